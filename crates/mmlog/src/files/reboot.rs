//! After a reboot: what the disk has is the truth, and the checkpoint says how much of it is certain.
//!
//! Nobody of before the reboot lives, so the first handle for writing that takes the log's lock does this before
//! anything is appended. Each step looks at what is there and may die and be repeated; the boot id is stored last.
//!
//! 1. What dead writers were about at or above the checkpoint is a torn hole, unless no byte of it is NUL: space is
//!    zeros before it is stored to, so such an append was complete, and the slot is older than the data. So is a slot
//!    below the checkpoint.
//! 2. The log ends behind the last byte that is not NUL, never below the checkpoint. The cursor of before was ahead
//!    of the data or behind it, and says nothing.
//! 3. Whole pages of NULs between the checkpoint and the end did not reach the disk: holes. Of torn holes there, the
//!    zeros may not have.
//! 4. The file is cut there, the cursor set, and all this synced; then the checkpoint is raised to the end and the
//!    epoch by one, since positions above the old checkpoint may mean other bytes now, and synced, before anybody
//!    appends.

pub(super) mod segments;

use std::os::unix::fs::FileExt;

use super::boot;
use super::guard::LogLock;
use super::version1::next_nuls;
use crate::crash::crash_point;
use crate::error::Fault;
use crate::holes::{self, Hole, HoleKind};
use crate::layout::POSITION_END;
use crate::slots::Phase;
use crate::sync::Ordering;
use crate::sys::{fs, process};

/// What pages are made of, on disks and in caches.
const PAGE: usize = 4096;
const READ_AT_A_TIME: usize = 1 << 20;

/// What a look at the bytes behind the checkpoint says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// Behind the last byte that is not NUL; the start of the look if there is none.
    pub(super) end: u64,
    /// Whole pages of NULs below the end, neighbours joined.
    pub(super) missing: Vec<(u64, u64)>,
}

/// Reads `[from, len)` of a file. Offsets, not positions.
pub(super) fn extent(file: &std::fs::File, from: u64, len: u64) -> std::io::Result<Extent> {
    let mut found = Extent { end: from, ..Extent::default() };
    let mut empty: Option<(u64, u64)> = None;
    let mut buf = vec![0; READ_AT_A_TIME];
    let mut at = from;
    while at < len {
        // Up to a multiple of the page, so that pages never straddle two reads.
        let next = (at + READ_AT_A_TIME as u64) / PAGE as u64 * PAGE as u64;
        let want = (next.min(len) - at) as usize;
        file.read_exact_at(&mut buf[..want], at)?;
        let mut rest = &buf[..want];
        while !rest.is_empty() {
            let page = rest.len().min(PAGE - at as usize % PAGE);
            match rest[..page].iter().rposition(|&b| b != 0) {
                Some(last) => {
                    found.missing.extend(empty.take());
                    found.end = at + last as u64 + 1;
                }
                None if page == PAGE => {
                    empty = Some((empty.map_or(at, |(start, _)| start), at + PAGE as u64))
                }
                // The rest of a page whose front is below the checkpoint, or of the last one.
                None => {}
            }
            at += page as u64;
            rest = &rest[page..];
        }
    }
    Ok(found)
}

impl LogLock<'_> {
    pub(super) fn recover_after_reboot(&self) -> Result<(), Fault> {
        let header = self.files.meta.header();
        let (control, checkpoint) = (self.control(), &header.checkpoint);
        let (base, len) = (control.base(), self.data_len()?);
        if base >= POSITION_END - len.min(POSITION_END - 1) {
            return self.files.meta.check_positions();
        }
        let kept = &header.kept.first;
        if kept.load(Ordering::Relaxed) > base + len {
            kept.store(base, Ordering::Release); // kept
        }
        // What is pruned was durable, and reads as NULs.
        let synced = checkpoint.synced().max(base).max(kept.load(Ordering::Relaxed));
        header.note_beginning(synced);
        // Positions from there on may mean other bytes now, which nobody has read.
        for record in self.files.meta.followers() {
            record.hold.fetch_min(synced, Ordering::Release); // held
        }
        if len < synced - base {
            return Err(Fault::Truncated { expected: synced - base, found: len });
        }
        let hint = control.look().start;
        let table = self.files.meta.holes();
        header.commit.reset(checkpoint.synced());
        // Those of final segments stay.
        holes::retain(table, |h| h.end() <= base || h.start >= base && h.end() <= base + len);
        self.settle_after_reboot(synced, base + len);
        self.zero_again(synced);
        let found =
            extent(self.segment.file(), synced - base, len).map_err(Fault::io("read the data file"))?;
        let end = base + found.end;
        holes::retain(table, |hole| hole.end() <= end);
        // In the same boot the cursor was spoiled, and says nothing of what is missing.
        let expected = if self.files.is_of_this_boot() { end } else { hint };
        let mut lost = expected.clamp(end, end + len) - end;
        for &(from, to) in &found.missing {
            lost += to - from;
            let known = |hole: &Hole| hole.start < base + to && base + from < hole.end();
            if !holes::all(table).iter().any(known) {
                self.note_hole(&Hole::lost(base + from, base + to));
            }
        }
        crash_point("reboot:holes");
        control.go_on_at(end, end - base);
        crash_point("reboot:cursor");
        self.cut(end - base)?;
        header.journal.clear();
        crash_point("reboot:cut");
        // On the disk before the boot id is: after another power cut, what the slots said is not applied again to
        // bytes that came later, and no epoch is given twice.
        self.make_durable()?;
        crash_point("reboot:durable");
        // In the same boot final segments may wait for a sync.
        if !self.files.is_of_this_boot() {
            checkpoint.raise(end, process::now_ns());
        }
        checkpoint.lost.store(lost, Ordering::Relaxed);
        checkpoint.recovered_end.store(end, Ordering::Relaxed);
        checkpoint.recovered_ns.store(process::now_ns(), Ordering::Relaxed);
        self.note_boot()?;
        crash_point("reboot:noted");
        self.make_durable()?;
        header.commit.raise_checkpoint(checkpoint.synced());
        self.files.known.is_this();
        Ok(())
    }

    fn make_durable(&self) -> Result<(), Fault> {
        let synced = fs::fdatasync(self.segment.file()).and_then(|()| self.files.sync_metadata());
        synced.map_err(Fault::io("make the recovery durable"))
    }

    /// Empties every slot; the high-water mark of before says nothing.
    fn settle_after_reboot(&self, synced: u64, end: u64) {
        for (index, slot) in (0u32..).zip(self.files.meta.slots()) {
            let pending = slot.hot.pending();
            if pending.phase().is_none() {
                continue;
            }
            let len = slot.hot.len.load(Ordering::Relaxed);
            let seen = crate::slots::InFlight { slot: index, pending, len };
            let exact = pending.phase() != Some(Phase::Reserving);
            let in_doubt = |h: &Hole| exact && h.start >= synced && h.start < end && !self.is_complete(h);
            if let Some(mut hole) = self.files.hole_of(&seen).filter(in_doubt) {
                hole.len = hole.end().min(end) - hole.start;
                self.note_hole(&hole);
            }
            slot.hot.settle();
        }
    }

    /// Behind the checkpoint a torn hole may have reached the disk, and its zeros not.
    fn zero_again(&self, from: u64) {
        let table = self.files.meta.holes();
        for hole in holes::all(table).iter().filter(|h| h.kind == HoleKind::Torn && h.start >= from) {
            self.zero_torn(hole);
        }
    }

    /// Whether the disk has all of an append without NULs. Where that cannot be told it is not.
    fn is_complete(&self, hole: &Hole) -> bool {
        let base = self.control().base();
        let reaches = self.data_len().is_ok_and(|len| hole.end() <= base + len);
        reaches && matches!(next_nuls(self.segment.file(), hole.start - base, hole.end() - base), Ok(None))
    }

    fn note_boot(&self) -> Result<(), Fault> {
        self.note_mount()?;
        let identity = &self.files.meta.header().identity;
        identity.epoch.fetch_add(1, Ordering::Release); // epoch
        boot::record(identity);
        Ok(())
    }
}
