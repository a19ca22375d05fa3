//! Ranges beyond the limit that nobody will ever fill, nor note: their writers died before they knew them.
//!
//! As long as the file does not reach there readers find no bytes, and leave the range out. So whoever makes the file
//! reach there notes it as a hole first: what is below the watermark stays what it was.
//!
//! Every reservation below a cursor that was loaded before the slots is in a slot, settled, or nobody's (the argument of
//! the watermark). One in a slot that says *reserving* may lie anywhere behind its lower bound: where a live writer is
//! there, for some instructions, nothing is noted.

use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::guard::LogLock;
use crate::holes::{self, Hole, HoleKind};
use crate::slots::Phase;
use crate::sync::Ordering;

impl LogLock<'_> {
    /// Notes what lies between limit and cursor and is nobody's.
    pub(super) fn note_unplaced(&self) {
        let (cursor, limit) = (self.control().look().start, self.control().limit());
        if cursor <= limit {
            return;
        }
        self.settle_all();
        let Some(mut taken) = self.in_flight(cursor) else { return };
        // After the slots: a hole is noted before its slot is settled.
        taken.extend(holes::all(self.files.meta.holes()).iter().map(|h| h.start..h.end()));
        taken.sort_by_key(|range| range.start);
        let mut from = limit;
        for range in taken {
            self.note_gap(from..range.start.min(cursor), limit);
            from = from.max(range.end);
        }
        self.note_gap(from..cursor, limit);
    }

    /// Ranges of appends in flight that may begin below `cursor`; `None` where that cannot be told.
    fn in_flight(&self, cursor: u64) -> Option<Vec<Range<u64>>> {
        let mut ranges = Vec::new();
        for slot in self.files.meta.used_slots() {
            let (pending, len) = loop {
                let pending = slot.hot.pending();
                let len = slot.hot.len.load(Ordering::Acquire); // len
                if slot.hot.pending() == pending {
                    break (pending, len);
                }
            };
            let start = pending.position();
            match pending.phase() {
                Some(Phase::Reserving) if start < cursor => return None,
                Some(Phase::Waiting | Phase::Copying) => ranges.push(start..start.saturating_add(len)),
                Some(Phase::Reserving) | None => {}
            }
        }
        Some(ranges)
    }

    /// Whether somebody's message ends there, as far as a byte that is not NUL tells.
    fn ends_with_a_byte(&self, at: u64) -> bool {
        let mut byte = [0];
        let offset = at.checked_sub(self.control().base() + 1);
        offset
            .is_none_or(|offset| self.segment.file().read_exact_at(&mut byte, offset).is_ok() && byte != [0])
    }

    fn note_gap(&self, gap: Range<u64>, limit: u64) {
        if gap.start >= gap.end {
            return;
        }
        self.note_hole(&Hole { kind: HoleKind::Unwritten, ..Hole::lost(gap.start, gap.end) });
        // What begins at the limit may begin below it, where nobody knows its place.
        if gap.start == limit && !self.ends_with_a_byte(limit) {
            return;
        }
        let unplaced = &self.files.meta.header().hole_counts.unplaced;
        unplaced.store(unplaced.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
    }
}
