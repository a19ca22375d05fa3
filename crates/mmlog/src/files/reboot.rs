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
//! 3. Whole pages of NULs between the checkpoint and the end did not reach the disk, and the NULs before them are what the
//!    last page had behind the data: holes. Of torn holes there, the zeros may not have.
//!    Of a final segment above the checkpoint, its file may be shorter than its positions: a hole, too.
//! 4. The file is cut there, the cursor set, and all this synced; then the checkpoint is raised to the end and the
//!    epoch by one, since positions from the end on mean other bytes now, and synced, before anybody appends. Between the
//!    old checkpoint and the end the disk has what was there before, or a hole: who has read up to a position there lacks
//!    nothing below it.

pub(crate) mod foreseen;
pub(super) mod segments;

use std::fs::File;
use std::ops::Range;

use super::boot::Quiet;
use super::content::{extent, next_nuls};
use super::guard::LogLock;
use super::{Files, boot, owner};
use crate::crash::crash_point;
use crate::error::Fault;
use crate::holes::{self, Hole, HoleKind};
use crate::layout::{Control, POSITION_END, Slot};
use crate::slots::Phase;
use crate::sync::Ordering;
use crate::sys::{fs, process};

/// The data file that a reboot left, and how much of it is certain.
struct Left<'a> {
    file: &'a File,
    base: u64,
    len: u64,
    /// Everything below is: not below what prune has left, which was durable and reads as NULs.
    synced: u64,
}

/// Where what is kept begins, given a data file: it may be one from before what was given up.
pub(super) fn kept_of(kept: u64, base: u64, len: u64) -> u64 {
    if kept > base.saturating_add(len) { base } else { kept }
}

impl<'a> Left<'a> {
    fn of(files: &Files, file: &'a File, base: u64) -> Result<Self, Fault> {
        let len = file.metadata().map_err(Fault::io("stat the data file"))?.len();
        let header = files.meta.header();
        if base >= POSITION_END - len.min(POSITION_END - 1) {
            files.meta.check_positions()?;
            return Err(Fault::OutOfRange { field: "base", value: base, min: 0, max: POSITION_END - 1 });
        }
        let kept = kept_of(header.kept.first.load(Ordering::Relaxed), base, len);
        let synced = header.checkpoint.synced().max(base).max(kept);
        if len < synced - base {
            return Err(Fault::Truncated { expected: synced - base, found: len });
        }
        Ok(Self { file, base, len, synced })
    }

    /// Those of final segments, and those that the file has room for.
    fn keeps(&self, hole: &Hole) -> bool {
        hole.end() <= self.base || hole.start >= self.base && hole.end() <= self.base + self.len
    }

    /// The hole that a dead writer's slot stands for; none where the append was complete.
    fn in_doubt(&self, slot: &Slot) -> Option<Hole> {
        let pending = slot.hot.pending();
        let phase = pending.phase().filter(|&phase| phase != Phase::Reserving)?;
        let len = slot.hot.len.load(Ordering::Relaxed);
        let start = pending.position();
        if len == 0 || !Control::has_positions(start, len) {
            return None;
        }
        let mut hole = Hole::of_slot(phase, start, len, &owner::of(&slot.cold))?;
        let end = self.base + self.len;
        if hole.start < self.synced || hole.start >= end || self.is_complete(&hole) {
            return None;
        }
        hole.len = hole.end().min(end) - hole.start;
        Some(hole)
    }

    /// Those ranges of offsets, and of positions in final segments, as far as no hole that is known has them.
    fn lost(&self, missing: &[(u64, u64)], finals: &[Range<u64>], known: &[Hole]) -> Vec<Hole> {
        let missing = missing.iter().map(|(from, to)| self.base + from..self.base + to);
        let mut lost = Vec::new();
        for mut range in finals.iter().cloned().chain(missing) {
            while !range.is_empty() {
                let from = range.start;
                let behind = known.iter().filter(|h| h.start <= from).map(Hole::end).max().unwrap_or(from);
                if behind > from {
                    range.start = behind;
                    continue;
                }
                let next = known.iter().map(|h| h.start).filter(|&start| start > from).min();
                range.start = next.map_or(range.end, |next| next.min(range.end));
                lost.push(Hole::lost(from, range.start));
            }
        }
        lost
    }

    /// Whether the disk has all of an append without NULs. Where that cannot be told it is not.
    fn is_complete(&self, hole: &Hole) -> bool {
        let (from, to) = (hole.start - self.base, hole.end() - self.base);
        to <= self.len && matches!(next_nuls(self.file, from, to), Ok(None))
    }
}

impl LogLock<'_> {
    pub(super) fn recover_after_reboot(&self, quiet: &Quiet) -> Result<(), Fault> {
        let header = self.files.meta.header();
        let (control, checkpoint) = (self.control(), &header.checkpoint);
        let left = Left::of(self.files, self.segment.file(), control.base())?;
        let (base, len, synced) = (left.base, left.len, left.synced);
        let kept = header.kept.first.load(Ordering::Relaxed);
        if kept_of(kept, base, len) != kept {
            header.kept.first.store(base, Ordering::Release); // kept
        }
        let same_boot = self.files.is_of_this_boot();
        let hint = control.look().start;
        let table = self.files.meta.holes();
        header.commit.reset(checkpoint.synced());
        holes::retain(table, |hole| left.keeps(hole));
        self.settle_after_reboot(&left);
        self.zero_again(synced);
        let found = extent(self.segment.file(), synced - base, len, self.files.waits())?;
        let end = base + found.end;
        holes::retain(table, |hole| hole.end() <= end);
        // Positions from the end on mean other bytes now, which nobody has read.
        header.note_beginning(if same_boot { end } else { synced }, end);
        for record in self.files.meta.followers() {
            record.hold.fetch_min(end, Ordering::Release); // held
        }
        // In the same boot the cursor was spoiled, and says nothing of what is missing.
        let expected = if same_boot { end } else { hint };
        let mut lost = expected.clamp(end, end + len) - end;
        let finals = if same_boot { Vec::new() } else { segments::lacking(self.files)? };
        lost += found.missing.iter().map(|(from, to)| to - from).sum::<u64>();
        lost += finals.iter().map(|range| range.end - range.start).sum::<u64>();
        for hole in left.lost(&found.missing, &finals, &holes::all(table)) {
            self.note_hole(&hole);
        }
        self.lower_times(end, same_boot).map_err(Fault::io("correct the times of before"))?;
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
        if !same_boot {
            checkpoint.raise(end, process::now_ns());
        }
        checkpoint.lost.store(lost, Ordering::Relaxed);
        checkpoint.recovered_end.store(end, Ordering::Relaxed);
        checkpoint.recovered_ns.store(process::now_ns(), Ordering::Relaxed);
        self.note_boot()?;
        // Appends have to grow first, for which they need the lock. Syncs would say of the metadata what is not done yet.
        quiet.give_slots_back();
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
    fn settle_after_reboot(&self, left: &Left<'_>) {
        for slot in self.files.meta.slots().iter().filter(|slot| slot.hot.pending().phase().is_some()) {
            if let Some(hole) = left.in_doubt(slot) {
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

    fn note_boot(&self) -> Result<(), Fault> {
        self.note_mount()?;
        let identity = &self.files.meta.header().identity;
        let before = identity.epoch.fetch_add(1, Ordering::Release); // epoch
        self.begin_epoch(before);
        boot::record(identity);
        Ok(())
    }
}
