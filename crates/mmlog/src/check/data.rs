//! The bytes of the current data file: NULs where they must be, and how many there are elsewhere.

use std::fs::File;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use super::{Deep, Violation, claim, go_on};
use crate::error::Fault;
use crate::files::{Files, behind, content};
use crate::holes::{Hole, HoleKind};
use crate::layout::LOCK_BYTE;

pub(super) fn check(files: &Files, holes: &[Hole], found: &mut Deep) -> Result<(), Fault> {
    let segment = match files.renew() {
        Ok(segment) => segment,
        // As has been said.
        Err(Fault::NoData) if found.violations.iter().any(|v| v.invariant == "data-file") => return Ok(()),
        Err(fault) => {
            found.unseen.push(format!("the data file: {}", fault.problem()));
            return Ok(());
        }
    };
    let (file, base) = (segment.file(), segment.base());
    // Rotated since, or the entry is wrong, which has been said.
    if base != files.control().base() {
        return Ok(());
    }
    torn_holes(files, file, base, holes, found);
    let mut at = base.max(files.meta.header().kept.first.load(Ordering::Acquire));
    for hole in holes.iter().filter(|h| h.start >= base) {
        let end = hole.start.min(found.watermark);
        count_nuls(files, file, base, (at, end), found)?;
        at = at.max(hole.end());
    }
    let end = found.watermark;
    count_nuls(files, file, base, (at, end), found)?;
    if found.nuls > 0 {
        found.facts.push(format!("{} NULs below the watermark that no hole explains", found.nuls));
    }
    beyond_the_cursor(files, file, base, found)?;
    // And what lies behind the size, unless `>>` has put it there.
    claim(found, "beyond-cursor", || {
        let at = files.came_after(&segment).ok()??;
        Some(behind::older(files.control().look().start, at))
    });
    Ok(())
}

/// Has `each` read the positions `[from, to)`, as far as the file reaches, and counts them.
fn read(
    files: &Files,
    file: &File,
    base: u64,
    (from, to): (u64, u64),
    found: &mut Deep,
    mut each: impl FnMut(u64, &[u8]),
) -> Result<(), Fault> {
    let from = from - base;
    let reached = content::pieces(file, from, to.saturating_sub(base), |at, piece| {
        each(base + at, piece);
        match go_on(files, found.read + at - from) {
            Ok(()) => ControlFlow::Continue(()),
            Err(fault) => ControlFlow::Break(fault),
        }
    });
    match reached.map_err(Fault::io("read the data file"))? {
        ControlFlow::Continue(reached) => found.read += reached - from,
        ControlFlow::Break(fault) => return Err(fault),
    }
    Ok(())
}

fn count_nuls(
    files: &Files,
    file: &File,
    base: u64,
    range: (u64, u64),
    found: &mut Deep,
) -> Result<(), Fault> {
    let mut nuls = 0;
    let count = |_, bytes: &[u8]| nuls += bytes.iter().filter(|&&b| b == 0).count() as u64;
    read(files, file, base, range, found, count)?;
    found.nuls += nuls;
    Ok(())
}

/// A torn hole is noted, then zeroed, under the lock.
fn torn_holes(files: &Files, file: &File, base: u64, holes: &[Hole], found: &mut Deep) {
    if files.meta.header().hole_counts.not_zeroed.load(Ordering::Relaxed) > 0 {
        return;
    }
    // After a reboot the recovery zeroes those above the checkpoint again.
    let zeroed = if files.is_of_this_boot() { u64::MAX } else { files.meta.header().checkpoint.synced() };
    let noted = |h: &&Hole| h.kind == HoleKind::Torn && h.is_noted && h.start >= base && h.end() <= zeroed;
    for hole in holes.iter().filter(noted) {
        let mut failed = None;
        claim(found, "torn-hole", || {
            let first = content::first_byte(file, hole.start - base, hole.end() - base);
            let at = base
                + first.unwrap_or_else(|e| {
                    failed = Some(e);
                    None
                })?;
            let said = format!("byte at {at} in the torn hole [{}, {})", hole.start, hole.end());
            // Who died between noting and zeroing left its slot, too; and who has the lock may be at it.
            let settled = !files.is_held(LOCK_BYTE)
                && files.meta.used_slots().iter().all(|s| s.hot.pending().position() != hole.start);
            settled.then_some(said)
        });
        let unseen = |e| format!("the torn hole [{}, {}): {e}", hole.start, hole.end());
        found.unseen.extend(failed.map(unseen));
    }
}

/// Nobody stores where nothing is reserved.
fn beyond_the_cursor(files: &Files, file: &File, base: u64, found: &mut Deep) -> Result<(), Fault> {
    let control = files.control();
    let (from, to) = (found.cursor.max(base), base.saturating_add(control.file_size()));
    let mut stray = None;
    let look = |at, bytes: &[u8]| {
        // The cursor of after the read: what was reserved meanwhile may be stored.
        let reserved = control.look().start.saturating_sub(at).min(bytes.len() as u64) as usize;
        if let (None, Some(i)) = (stray, bytes[reserved..].iter().position(|&b| b != 0)) {
            stray = Some(at + (reserved + i) as u64);
        }
    };
    read(files, file, base, (from, to), found, look)?;
    // A recovery may have set the cursor back, a rotation may have changed the file.
    if let Some(at) = stray.filter(|&at| files.is_of_this_boot() && at >= control.look().start) {
        let said = format!("a byte at {at}, the cursor is {}", control.look().start);
        found.violations.push(Violation { invariant: "beyond-cursor", found: said });
    }
    Ok(())
}
