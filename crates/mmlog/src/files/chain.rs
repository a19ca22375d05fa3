//! Which file is a segment, where more have such names than the log has made.
//!
//! Another was put there: a copy from an earlier life of the log, or a file renamed by hand.
//! Segments follow one another without a gap. So, of several of one generation, the one that ends where the next begins is
//! the log's, and, of those, the one that begins where the one before ends. Below what is kept, where prune leaves nothing
//! but what it did not come to, the oldest first, also a file that is alone has to end where the next begins: it is going to
//! be removed. What is not the log's is left out, and said.

use super::UNKNOWN_LEN;
use super::segment_dir::{LeftOut, Listing, Named};
use crate::error::{Fault, set_aside};
use crate::metadata::Entry;
use crate::names::SegmentName;

/// A generation, and where it begins.
type Beginning = (u64, u64);

/// The first generation, of names in their order, that begins at two positions.
pub(super) fn twins<'a>(names: impl Iterator<Item = &'a SegmentName> + Clone) -> Option<u64> {
    let next = names.clone().skip(1);
    let two = |(a, b): &(&SegmentName, &SegmentName)| a.generation == b.generation && a.base != b.base;
    names.zip(next).find(two).map(|(a, _)| a.generation)
}

/// Whether there is any.
pub(super) fn is_ambiguous<'a>(names: impl Iterator<Item = &'a SegmentName> + Clone) -> bool {
    twins(names).is_some()
}

/// Whether names, in their order, do not tell by themselves which files are the log's.
pub(super) fn is_in_doubt<'a>(
    names: impl Iterator<Item = &'a SegmentName> + Clone,
    current: &Entry,
    kept: u64,
) -> bool {
    let of = |n: &SegmentName| (n.generation, n.base);
    let next = names.clone().skip(1).map(of).chain([(current.generation, current.base)]);
    let is_given_up = names.clone().map(of).zip(next).any(|(n, next)| n.0 != next.0 && next.1 <= kept);
    is_given_up || is_ambiguous(names)
}

/// Leaves one beginning to each generation below `current`, and, below what is kept, none that does not lead there.
pub(super) fn settle(listing: &mut Listing, current: &Entry, kept: u64) -> Result<(), Fault> {
    listing.twins = twins(listing.named.iter().map(|n| &n.says));
    if !is_in_doubt(listing.named.iter().map(|n| &n.says), current, kept) {
        return Ok(());
    }
    let (mut next, mut taken) = ((current.generation, current.base), Vec::new());
    while let Some(generation) = listing.named.last().map(|n| n.says.generation) {
        let from = listing.named.partition_point(|n| n.says.generation < generation);
        let files = listing.named.split_off(from);
        let base = match next.1 <= kept && !any_precedes(&files, next)? && !any_emptied(&files)? {
            true => None,
            false => Some(begins(&files, next, &listing.named)?),
        };
        for n in files.into_iter().rev() {
            if Some(n.says.base) == base {
                taken.push(n);
                continue;
            }
            // A prune may have taken it away meanwhile.
            if n.find().map_err(look())?.is_some() {
                let (path, why) = (n.path(), why(&n, base, next, kept));
                listing.left_out.push(LeftOut { path, why });
            }
        }
        next = base.map_or(next, |base| (generation, base));
    }
    taken.reverse();
    listing.named = taken;
    Ok(())
}

/// Why it is left out: its generation begins elsewhere, or is not the log's.
fn why(n: &Named, base: Option<u64>, next: Beginning, kept: u64) -> String {
    let (generation, at) = (n.says.generation, n.says.base);
    let why = match base {
        Some(base) => format!("old segment {generation} begins at {base}, this one at {at}"),
        None => format!(
            "what is kept begins at {kept}, and this one does not end where segment {} begins ({})",
            next.0, next.1
        ),
    };
    format!("not taken for a segment of this log: {why}; {}", set_aside(&n.path()))
}

/// Where the segment begins whose files these are.
fn begins(files: &[Named], next: Beginning, before: &[Named]) -> Result<u64, Fault> {
    let mut best = (0, files[0].says.base);
    if files.iter().all(|n| n.says.base == best.1) {
        return Ok(best.1);
    }
    for (i, n) in files.iter().enumerate() {
        let here = (n.says.generation, n.says.base);
        let from = before.partition_point(|b| b.says.generation + 1 < here.0);
        let mut rank = u32::from(here.1 <= next.1);
        if precedes(n, next)? == Some(true) {
            rank += 4;
        }
        if any_precedes(&before[from..], here)? {
            rank += 2;
        }
        if i == 0 || rank > best.0 {
            best = (rank, here.1);
        }
    }
    Ok(best.1)
}

fn any_precedes(files: &[Named], next: Beginning) -> Result<bool, Fault> {
    for n in files {
        if precedes(n, next)? == Some(true) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether one has nothing in it any more: so a prune leaves it that dies before it takes the name away.
fn any_emptied(files: &[Named]) -> Result<bool, Fault> {
    for n in files {
        if n.find().map_err(look())?.is_some_and(|found| found.is_emptied()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a segment's file ends where the next one begins; `None` where a look does not tell.
pub(super) fn precedes(n: &Named, next: Beginning) -> Result<Option<bool>, Fault> {
    let generations = next.0.checked_sub(n.says.generation);
    match (generations, next.1.checked_sub(n.says.base)) {
        (Some(1), Some(len)) => n.holds(len),
        // Behind a compressed one, metadata that is made anew leaves a generation out, and positions.
        (Some(2), Some(len)) => Ok(Some(n.says.compression.is_some() && len >= UNKNOWN_LEN)),
        _ => Ok(Some(false)),
    }
}

fn look() -> impl FnOnce(std::io::Error) -> Fault {
    Fault::io("look at a final segment")
}
