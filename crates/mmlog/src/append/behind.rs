//! Leaving the page cache to other programs ([`Options::drop_behind`](crate::Options::drop_behind)).
//!
//! Of all writers of all processes, one has the first byte of a piece (a chunk, or several small ones) in its message: it does
//! the work for that piece, after its append is done. No state is needed for that, shared or not.
//!
//! 1. The piece just left is begun to be written.
//! 2. The one that now lies too far behind is waited for, if the disk has not come that far: so the setting bounds
//!    dirty memory, too. Only this writer waits, with no lock, no pin and no slot in flight. (Not: without waiting.
//!    Behind a slow disk hardly anything can be dropped then, and the kernel stops appends for longer.)
//! 3. That one is dropped, and those before it: what was mapped still when its turn came (each handle unmaps its
//!    old chunks when it maps new ones, a writer that waits does not) gets further chances.

use std::fs::File;
use std::io;
use std::ops::Range;

use crate::chunks::Segment;
use crate::files::Files;
use crate::layout::POSITION_END;
use crate::sys::{cache, fs};

/// Smaller chunks are handled together.
const LEAST_PIECE: u64 = 1 << 20;

/// How often a piece is tried to be dropped; where nothing is left that costs little.
const TRIES: u64 = 32;

/// After an append of `[start, end)`: what its writer has to do if a piece begins there.
pub(super) fn leave_behind(files: &Files, segment: &Segment, start: u64, end: u64) {
    let (base, chunk) = (segment.base(), segment.chunk_size());
    let piece = LEAST_PIECE.next_multiple_of(chunk);
    let first = base + (start - base).next_multiple_of(piece);
    if first < end {
        let last = end - 1 - (end - 1 - base) % piece;
        let mapped = chunk.saturating_mul(files.config.ring_chunks as u64);
        let kept = files.config.drop_behind.max(mapped).min(POSITION_END).next_multiple_of(piece);
        clean_up(files, segment, first..last, piece, kept);
    }
}

#[cold]
#[inline(never)]
fn clean_up(files: &Files, segment: &Segment, begun: Range<u64>, piece: u64, kept: u64) {
    let Range { start: first, end: last } = begun;
    let left = first.saturating_sub(piece)..last;
    let far = first.saturating_sub(kept + piece)..last.saturating_sub(kept);
    let farther = first.saturating_sub(kept + TRIES * piece)..far.end;
    let near = (segment.file(), segment.base()..POSITION_END);
    let finals = finals(files, segment, farther.start);
    let each_file = |of: &Range<u64>, act: &dyn Fn(&File, &Range<u64>) -> io::Result<()>| {
        let parts = finals.iter().map(|(file, there)| (file, there.clone())).chain([near.clone()]);
        parts.map(|(file, there)| act_on(file, &there, of, act)).fold(Ok(()), io::Result::and)
    };
    // A hint: the append is done, and what fails here fails again where it is waited for.
    let _ = each_file(&left, &cache::start_writing);
    if let Err(e) = each_file(&far, &cache::write_out) {
        note(files, &e);
    }
    // Once the disk has failed, memory may have the only copy.
    if files.meta.header().checkpoint.failed().is_none() {
        let _ = each_file(&farther, &cache::drop_clean);
    }
}

/// What the range of positions has in the file of those that are `there`.
fn act_on(
    file: &File,
    there: &Range<u64>,
    of: &Range<u64>,
    act: &dyn Fn(&File, &Range<u64>) -> io::Result<()>,
) -> io::Result<()> {
    let (from, to) = (of.start.max(there.start), of.end.min(there.end));
    if from < to { act(file, &(from - there.start..to - there.start)) } else { Ok(()) }
}

/// The segments before this one, as far as they have positions behind `from`. In a directory that this user may not read
/// they are left as they are.
fn finals(files: &Files, segment: &Segment, from: u64) -> Vec<(File, Range<u64>)> {
    if from >= segment.base() {
        return Vec::new();
    }
    let mut end = segment.base();
    let mut found = files.open_finals(from).unwrap_or_default();
    found.retain(|(_, base)| *base < end);
    let ends = found.into_iter().rev().map(|(file, base)| (file, base..std::mem::replace(&mut end, base)));
    ends.collect()
}

/// A write to the disk that failed is told once to each descriptor: a later sync would find nothing wrong. So it is a sync
/// that failed. What says nothing of the disk, such as a file system or a sandbox without such calls, is none of that.
fn note(files: &Files, e: &io::Error) {
    if let Some(errno) = e.raw_os_error().filter(|_| fs::means_loss(e)) {
        files.meta.header().checkpoint.fail(errno.unsigned_abs());
    }
}
