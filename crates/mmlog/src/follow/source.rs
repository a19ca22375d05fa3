//! Where the bytes at a position are: in the current data file, in a final segment, or nowhere any more.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::SystemTime;

use super::compressed::Decoder;
use crate::chunks::Segment;
use crate::error::Fault;
use crate::files::segments::Named;
use crate::files::{Files, UNKNOWN_LEN};
use crate::holes::{self, Hole, HoleKind};
use crate::sync::Ordering;
use crate::sys::fs;
use crate::sys::place::Access;
use crate::sys::process::time_of;

/// The most that is decoded for one byte at its end: a second of gzip at worst.
const DECODED_FOR_ONE: u64 = 256 << 20;

/// A stretch of positions and what has their bytes.
pub(super) struct Source {
    pub(super) generation: u64,
    /// First position.
    pub(super) base: u64,
    /// First position behind it; `None` for the current segment, which grows.
    pub(super) end: Option<u64>,
    bytes: Bytes,
}

enum Bytes {
    /// It was the current data file when it was opened.
    Current(Arc<Segment>),
    /// It was at the path, and is another file than the metadata says: a copy, or one that took its place.
    Foreign(Arc<Segment>),
    Final(File),
    Compressed(Box<Decoder>),
    /// Pruned, or removed by somebody.
    Gone,
    /// Where it would be cannot be looked at.
    Unseen,
}

impl Source {
    /// The current segment.
    pub(super) fn current(files: &Files) -> Result<Self, Fault> {
        loop {
            let entry = files.current_segment()?;
            let segment = files.renew()?;
            if files.current_segment()?.generation == entry.generation {
                let (base, generation) = (segment.base(), entry.generation);
                let bytes = match segment.inode() == entry.inode {
                    true => Bytes::Current(segment),
                    false => Bytes::Foreign(segment),
                };
                return Ok(Self { generation, base, end: None, bytes });
            }
        }
    }

    /// What has the byte at `at`, which is not beyond the cursor.
    pub(super) fn of(files: &Files, at: u64) -> Result<Self, Fault> {
        loop {
            let current = files.current_segment()?;
            if at >= current.base {
                let found = Self::current(files)?;
                // Rotated again meanwhile.
                if at < found.base {
                    continue;
                }
                return Ok(found);
            }
            let Some((found, next)) = seen(files.finals_around(at))? else {
                return Ok(Self { generation: 0, base: at, end: Some(current.base), bytes: Bytes::Unseen });
            };
            let next = next.map_or((current.generation, current.base), |n| (n.says.generation, n.says.base));
            let (next, end) = next;
            let Some(found) = found else {
                return Ok(Self { generation: 0, base: at, end: Some(end), bytes: Bytes::Gone });
            };
            // Pruned or compressed since the directory was read: a name is taken away for good, so this ends.
            let Some(file) = found.open(Access::Read)? else { continue };
            let (found, file) = match found.says.compression {
                None => or_copy(files, &found, file, at)?,
                Some(_) => (found, file),
            };
            let (generation, base) = (found.says.generation, found.says.base);
            let bytes = match found.says.compression {
                None => Bytes::Final(file),
                Some(compression) => {
                    let is_whole = next == generation + 1 && end - base < UNKNOWN_LEN;
                    let decoder = Decoder::new(file, compression, &found.name, base..end, is_whole)?;
                    Bytes::Compressed(Box::new(decoder))
                }
            };
            return Ok(Self { generation, base, end: Some(end), bytes });
        }
    }

    /// Where the final segment ends in which the position lies, as far as its neighbours' names tell; `None` for the
    /// current one.
    pub(super) fn end_of_final(files: &Files, at: u64) -> Result<Option<u64>, Fault> {
        let current = files.current_segment()?;
        if at >= current.base {
            return Ok(None);
        }
        let finals = files.final_segments()?;
        let next = finals.iter().map(|n| n.says.base).find(|base| *base > at);
        Ok(Some(next.map_or(current.base, |next| next.min(current.base))))
    }

    /// The oldest position that has bytes.
    pub(super) fn oldest(files: &Files) -> Result<u64, Fault> {
        let current = files.current_segment()?.base;
        let first = match seen(files.final_segments())? {
            Some(finals) => finals.first().map_or(current, |n| n.says.base),
            // What is kept begins there, wherever its segments are.
            None => 0,
        };
        Ok(first.min(current).max(files.first_kept()))
    }

    /// Where everything that was not pruned begins, also what somebody removed.
    pub(super) fn first(files: &Files) -> Result<u64, Fault> {
        let oldest = Self::oldest(files)?;
        let current = files.current_segment()?.generation;
        let first = seen(files.final_segments())?.and_then(|finals| finals.into_iter().next());
        let generation = first.as_ref().map_or(current, |n| n.says.generation);
        // Metadata that was made later than that became final never knew what was before.
        let found = match first {
            Some(first) => first.find().map_err(Fault::io("stat a final segment"))?,
            None => None,
        };
        let was_there = created(files).zip(found).is_some_and(|(created, found)| found.changed < created);
        if generation == 0 || was_there || files.is_version_1() || !files.is_of_this_boot() {
            return Ok(oldest);
        }
        let kept = files.first_kept();
        let is_noted = |hole: &Hole| hole.start <= kept && hole.end() >= oldest;
        Ok(if holes::all(files.meta.holes()).iter().any(is_noted) { oldest } else { oldest.min(kept) })
    }

    /// The last byte that readers are given, whichever segment has it: what the next append goes behind. `None` where there
    /// is none, where somebody is storing it still, and where an old segment does not give it.
    pub(super) fn last_byte(files: &Files) -> Result<Option<u8>, Fault> {
        let (base, mut end) = (files.control().base(), files.control().look().start);
        let scan = files.scan(end)?;
        if scan.watermark < end {
            return Ok(None);
        }
        let mut holes = holes::all(files.meta.holes());
        holes.extend(scan.dead.iter().filter_map(|dead| files.hole_of(dead)));
        // Readers go over holes.
        while let Some(hole) = holes.iter().find(|hole| hole.start < end && hole.end() >= end) {
            end = hole.start;
        }
        if end <= files.first_kept() {
            return Ok(None);
        }
        let mut byte = [0];
        let read = Self::of(files, end - 1).and_then(|mut source| match source.takes_long() {
            true => Ok(0),
            false => source.read_at(&mut byte, end - 1),
        });
        files.intact()?;
        match read {
            // What is wrong with an old segment keeps nobody from appending.
            Err(_) if end <= base => Ok(None),
            read => Ok((read? == 1).then_some(byte[0])),
        }
    }

    /// Whether its last byte is behind more than somebody who wants only that should decode.
    fn takes_long(&self) -> bool {
        self.is_compressed() && self.end.is_none_or(|end| end - self.base > DECODED_FOR_ONE)
    }

    /// Whether it is, as far as known, the segment that grows.
    pub(super) fn grows(&self) -> bool {
        self.end.is_none()
    }

    /// The segment is final: finds out where it ends.
    pub(super) fn finish(&mut self, files: &Files) -> Result<(), Fault> {
        let current = files.current_segment()?;
        let end = if current.generation == self.generation + 1 {
            current.base
        } else {
            let finals = files.final_segments()?;
            let next = finals.iter().find(|n| n.says.generation > self.generation);
            next.map_or(current.base, |n| n.says.base)
        };
        self.end = Some(end);
        Ok(())
    }

    /// Whether it has bytes.
    pub(super) fn is_there(&self) -> bool {
        !matches!(self.bytes, Bytes::Gone | Bytes::Unseen)
    }

    /// What the range is of which nothing could be read.
    pub(super) fn lack(&self, start: u64, end: u64, files: &Files) -> Hole {
        // Behind a compressed one of unknown length, whoever made the metadata anew left positions out.
        let is_left_out = matches!(self.bytes, Bytes::Compressed(_))
            && self.end.is_some_and(|end| end - self.base >= UNKNOWN_LEN);
        let kind = match self.bytes {
            Bytes::Unseen => HoleKind::Unseen,
            // Reserved by one that died before there was space.
            _ if self.grows() => HoleKind::Unplaced,
            // Nothing is missing in a final segment, unless somebody took it.
            _ => HoleKind::Gone,
        };
        let at = created(files).filter(|_| is_left_out);
        Hole { kind, is_noted: is_left_out, at, ..Hole::lost(start, end) }
    }

    pub(super) fn has(&self, position: u64) -> bool {
        position >= self.base && self.end.is_none_or(|end| position < end)
    }

    /// Reads at a position; 0 bytes where there are none.
    pub(super) fn read_at(&mut self, buf: &mut [u8], position: u64) -> Result<usize, Fault> {
        let file = match &mut self.bytes {
            Bytes::Current(segment) | Bytes::Foreign(segment) => segment.file(),
            Bytes::Final(file) => file,
            Bytes::Compressed(decoder) => return decoder.read_at(buf, position),
            Bytes::Gone | Bytes::Unseen => return Ok(0),
        };
        loop {
            match file.read_at(buf, position - self.base) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                done => return done.map_err(Fault::io("read the log's data")),
            }
        }
    }

    /// How many of the bytes that were read at a position, with NULs among them, the file has still. Who cuts a file makes it shorter before its
    /// pages go, so that NULs of pages that went are read by nobody who looks at the length afterwards.
    pub(super) fn vouched(&self, got: usize, position: u64) -> Result<usize, Fault> {
        match self.plain() {
            Some(file) => {
                let len = file.metadata().map_err(Fault::io("stat the log's data"))?.len();
                Ok(len.saturating_sub(position - self.base).min(got as u64) as usize)
            }
            None => Ok(got),
        }
    }

    /// Positions among those of the bytes read, and up to `end`, that no writer has ever stored to, though the segment is
    /// final: its file was cut and made longer again, or blocks of it were lost.
    pub(super) fn unwritten(&self, got: usize, at: u64, end: u64) -> Result<Option<Range<u64>>, Fault> {
        let Some(file) = self.plain().filter(|_| !self.grows()) else { return Ok(None) };
        let offsets = at - self.base..end - self.base;
        let found = fs::unwritten(file, &offsets).map_err(Fault::io("ask what was written of a segment"))?;
        let found = found.map(|r| self.base + r.start..self.base + r.end);
        Ok(found.filter(|r| r.start < at + got as u64))
    }

    /// The file, if it is not compressed.
    fn plain(&self) -> Option<&File> {
        match &self.bytes {
            Bytes::Current(segment) | Bytes::Foreign(segment) => Some(segment.file()),
            Bytes::Final(file) => Some(file),
            Bytes::Compressed(_) | Bytes::Gone | Bytes::Unseen => None,
        }
    }

    pub(super) fn is_compressed(&self) -> bool {
        matches!(self.bytes, Bytes::Compressed(_))
    }

    /// Closes the file of a segment that has been read to its end: who sleeps there must not keep its blocks.
    pub(super) fn let_go(&mut self) {
        self.bytes = Bytes::Gone;
    }

    /// The data file that was the current one when it was opened.
    pub(super) fn file(&self) -> Option<&File> {
        match &self.bytes {
            Bytes::Current(segment) | Bytes::Foreign(segment) => Some(segment.file()),
            _ => None,
        }
    }

    /// Whether that was another file than the metadata says.
    pub(super) fn is_foreign(&self) -> bool {
        matches!(self.bytes, Bytes::Foreign(_))
    }
}

/// A plain segment, or, if it does not have the byte at `at`, its compressed copy: a compression cuts the plain file
/// when the copy is whole, and durable under its name.
fn or_copy(files: &Files, plain: &Named, file: File, at: u64) -> Result<(Named, File), Fault> {
    let len = file.metadata().map_err(Fault::io("stat a final segment"))?.len();
    if at < plain.says.base.saturating_add(len) {
        return Ok((plain.clone(), file));
    }
    let same = |n: &Named| n.says.generation == plain.says.generation && n.says.compression.is_some();
    for copy in files.final_names()?.into_iter().filter(same) {
        if let Some(file) = copy.open(Access::Read)? {
            return Ok((copy, file));
        }
    }
    Ok((plain.clone(), file))
}

/// What is known of final segments; `None` where this user may not list the directory.
fn seen<T>(looked: Result<T, Fault>) -> Result<Option<T>, Fault> {
    match looked {
        Ok(seen) => Ok(Some(seen)),
        Err(fault) if fault.is_denied() => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// When the metadata was made.
fn created(files: &Files) -> Option<SystemTime> {
    time_of(files.meta.header().identity.created_ns.load(Ordering::Relaxed))
}
