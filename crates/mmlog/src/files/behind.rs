//! Older metadata that came back: a copy of the file, of the same generation, written over it in place (`cp backup LOG.mmlog`).
//! The cursor is then below what was appended since.
//!
//! Space is zeros before it is stored to, and nobody stores to what he has not reserved. So a byte behind the cursor, which is
//! loaded after the byte, says that the cursor was set back. Nothing in the metadata says so, and a look costs system calls: it is
//! made where something could be lost by going on, or where somebody has seen the cursor further on.
//!
//! - Before bytes are cut off behind the cursor, or zeroed: trim, rotation, what stands behind the announced size, a dead writer's
//!   append. The slot may be of before, too, and the append complete.
//! - By whoever opens the log to write.
//! - By a writer that finds the cursor below the end of its last append, and by a follower that finds it below that of its last look.
//!
//! Whoever finds it sets the panic flag: nothing is appended over those bytes, and nobody cuts them off. Repair sets the cursor
//! behind them.
//!
//! What is not found: messages of NULs alone; and a writer whose last append was before the copy was made, while no other has
//! appended since: it appends over what came after the copy, until somebody looks.

use std::ops::Range;

use super::Files;
use super::content::{first_byte, first_stored};
use super::guard::LogLock;
use crate::chunks::Segment;
use crate::deadline::Deadline;
use crate::error::Fault;
use crate::layout::POSITION_END;
use crate::sync::{Ordering, fence};
use crate::sys::fs::PAGE;

impl Files {
    /// The first byte among those positions that lies behind the cursor.
    pub(crate) fn behind(&self, segment: &Segment, within: Range<u64>) -> Result<Option<u64>, Fault> {
        let (base, mut from) = (segment.base(), within.start);
        if base != self.control().base() || from < base || !self.is_of_this_boot() {
            return Ok(None);
        }
        while from < within.end {
            let (start, end) = (from - base, within.end - base);
            // Where a page is looked at, the question costs as much as the answer.
            let found = match end - start <= PAGE {
                true => first_byte(segment.file(), start, end),
                false => first_stored(segment.file(), start, end),
            };
            let found = found.map_err(Fault::io("read the data file"))?;
            let Some(at) = found.map(|offset| base + offset) else { return Ok(None) };
            // Whoever stored it had reserved it before.
            fence(Ordering::Acquire);
            let cursor = self.control().look().start;
            self.intact()?;
            if at >= cursor {
                return Ok(Some(at));
            }
            from = cursor;
        }
        Ok(None)
    }

    /// The same of the page at the cursor: messages follow one another.
    pub(crate) fn at_cursor(&self, segment: &Segment) -> Result<Option<u64>, Fault> {
        let control = self.control();
        let from = control.look().start;
        // Not the size: who takes bytes over moves the cursor between the two.
        self.behind(segment, from..control.limit().min(from.saturating_add(PAGE)))
    }

    /// Sets the panic flag if there is a byte behind the cursor among those positions.
    pub(crate) fn nothing_behind(&self, segment: &Segment, within: Range<u64>) -> Result<(), Fault> {
        let found = self.behind(segment, within)?;
        found.map_or(Ok(()), |at| Err(self.older_came_back(at)))
    }

    /// Sets the panic flag over a byte that lies behind the cursor.
    #[cold]
    fn older_came_back(&self, at: u64) -> Fault {
        self.broken(&older(self.control().look().start, at))
    }

    /// What is wrong where the cursor was found at `value`, and is known to have been at `known`.
    #[cold]
    pub(crate) fn set_back(&self, segment: &Segment, value: u64, known: u64) -> Fault {
        let there = segment.file().metadata().map_or(0, |stat| stat.len());
        let behind = self.nothing_behind(segment, value..segment.base().saturating_add(there));
        let out = Fault::OutOfRange { field: "cursor", value, min: known, max: POSITION_END - 1 };
        behind.err().unwrap_or(out)
    }

    /// For who does not write, and has seen the cursor further on.
    #[cold]
    pub(crate) fn note_set_back(&self, value: u64, known: u64) {
        if let (true, Ok(segment)) = (self.may_announce(), self.segment()) {
            self.set_back(&segment, value, known);
        }
    }

    /// What whoever opens the log to write does first, so that nobody dead is in the way.
    pub(super) fn settle_to_open(&self, deadline: &Deadline) -> Result<LogLock<'_>, Fault> {
        let guard = self.lock_to_open(deadline)?;
        // Where the flag is set, or is now, its writers are told.
        if guard.is_newer() {
            guard.settle_all();
        }
        Ok(guard)
    }
}

impl LogLock<'_> {
    /// Whether there is nothing at the cursor; else the panic flag is set.
    pub(super) fn is_newer(&self) -> bool {
        let found = self.files.at_cursor(&self.segment).ok().flatten();
        found.map(|at| self.files.older_came_back(at)).is_none()
    }

    /// Nobody stores from `at` on, where the gate is closed: what is there the cursor does not know of.
    pub(crate) fn nothing_from(&self, at: u64) -> Result<(), Fault> {
        self.files.nothing_behind(&self.segment, at..self.control().limit())
    }
}

/// In words.
pub(crate) fn older(cursor: u64, at: u64) -> String {
    format!(
        "the cursor is {cursor}, and there is a byte at {at}, behind it: older metadata was written over the newer"
    )
}
