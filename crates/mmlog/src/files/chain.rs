//! Which file is a segment, where several of one generation begin at different positions.
//!
//! The log has made one of them; another was put there: a copy from an earlier life of the log, or a file renamed by hand.
//! Segments follow one another without a gap, so the one that ends where the next begins is the log's, and, of those, the
//! one that begins where the one before ends. What is not the log's is left out, and said.

use super::segment_dir::{LeftOut, Listing, Named};
use crate::codec::{self, Peek};
use crate::error::Fault;
use crate::metadata::Entry;
use crate::names::{Compression, SegmentName};
use crate::sys::place::Access;

/// Whether names, in their order, have a generation that begins at two positions.
pub(super) fn is_ambiguous<'a>(names: impl Iterator<Item = &'a SegmentName> + Clone) -> bool {
    let next = names.clone().skip(1);
    names.zip(next).any(|(a, b)| a.generation == b.generation && a.base != b.base)
}

/// Leaves one beginning to each generation below `current`.
pub(super) fn settle(listing: &mut Listing, current: &Entry) -> Result<(), Fault> {
    if !is_ambiguous(listing.named.iter().map(|n| &n.says)) {
        return Ok(());
    }
    let (mut next, mut kept) = ((current.generation, current.base), Vec::new());
    while let Some(generation) = listing.named.last().map(|n| n.says.generation) {
        let from = listing.named.partition_point(|n| n.says.generation < generation);
        let files = listing.named.split_off(from);
        let base = begins(&files, next, &listing.named)?;
        for n in files.into_iter().rev() {
            if n.says.base == base {
                kept.push(n);
                continue;
            }
            let why = format!(
                "not taken for a segment of this log: old segment {generation} begins at {base}, this one at {}; move it away",
                n.says.base
            );
            listing.left_out.push(LeftOut { path: n.path(), why });
        }
        next = (generation, base);
    }
    kept.reverse();
    listing.named = kept;
    Ok(())
}

/// Where the segment begins whose files these are.
fn begins(files: &[Named], next: (u64, u64), before: &[Named]) -> Result<u64, Fault> {
    let mut best = (0, 0);
    for (i, n) in files.iter().enumerate() {
        let goes_on = before.iter().rev().take_while(|b| b.says.generation + 1 == n.says.generation);
        let mut rank = u32::from(n.says.base <= next.1);
        if n.says.generation + 1 == next.0 && ends_at(n, next.1)? {
            rank += 4;
        }
        for b in goes_on {
            if ends_at(b, n.says.base)? {
                rank += 2;
                break;
            }
        }
        if i == 0 || rank > best.0 {
            best = (rank, n.says.base);
        }
    }
    Ok(best.1)
}

/// Whether a file holds the bytes up to there, as far as a look tells.
fn ends_at(n: &Named, end: u64) -> Result<bool, Fault> {
    let look = || Fault::io("look at a final segment");
    let Some(len) = end.checked_sub(n.says.base) else { return Ok(false) };
    let Some(compression) = n.says.compression else {
        return Ok(n.find().map_err(look())?.is_some_and(|found| found.len == len));
    };
    let Some(file) = n.open(Access::Read)? else { return Ok(false) };
    Ok(match codec::peek(compression, &file).map_err(look())? {
        Peek::Holds(said) if compression == Compression::Gzip => codec::gzip_agrees(said, len),
        Peek::Holds(said) => said == len,
        Peek::Unknown | Peek::Broken(_) => false,
    })
}
