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
//! A copy of a log at rest has the limit at its cursor: what came after it lies behind the size that is announced, where `>>` of a
//! stranger puts bytes, too. They are the log's own, and neither taken over nor cut off as a stranger's,
//!
//! - where the flag is set: all of the file is the log's then;
//! - where the file ends as writers make it, with NULs, at a page's end. (A stranger's bytes end where he stopped. One who
//!   writes while a file grows, and just so that the grower then dies, is taken for older metadata: nothing is lost by that.);
//! - where a slot's byte is locked whose record says that nobody has it: the copy is of before that claim. Who claims has the
//!   byte for a moment before he says so, which is waited for. Of one who is stopped, or stuck in the kernel, nobody knows which of the
//!   two it is: the bytes are neither taken over nor cut off until he goes on, and who wants them out of the way is told whom he
//!   waits for. (Where he cannot be seen, or is only kept waiting for a processor, the flag is set, and nothing is lost.)
//!
//! A writer knows its own record, and looks at it wherever it cannot go straight, before it takes the lock: at the copy's cursor there
//! is no space. One whose record is wiped, where nothing came after the copy, says again who it is.
//!
//! What is not found: messages of NULs alone; what a trim has cut to the byte, once nobody writes any more: it is taken over as
//! it is; and a writer whose last append was before the copy was made, while no other has appended since: it appends over what came
//! after the copy, until somebody looks.

use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use super::content::{first_byte, first_stored};
use super::guard::LogLock;
use super::meta::page_size;
use super::{Files, owner};
use crate::chunks::Segment;
use crate::deadline::Deadline;
use crate::error::{Blocker, Fault};
use crate::layout::{HELD, POSITION_END, SLOT_BYTES, Slot};
use crate::sync::{Ordering, fence};
use crate::sys::cgroup::Groups;
use crate::sys::fs::PAGE;
use crate::sys::process;

/// For how long a slot's byte may be locked by somebody who has not said so. He is in the middle of a claim, for microseconds.
const CLAIMING: Duration = Duration::from_millis(500);

/// The same for who only says what he sees.
const GLANCE: Duration = Duration::from_millis(8);

/// Between two looks at such a slot.
const PAUSE: Duration = Duration::from_millis(1);

/// Whoever has a slot, and has not said so.
enum Silent {
    Nobody,
    /// He should have by now.
    Somebody,
    /// He could not.
    Stands(Blocker),
}

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
        self.behind(segment, from..self.ours_until(segment).min(from.saturating_add(PAGE)))
    }

    /// Up to where bytes behind the cursor are nobody's but the log's.
    pub(crate) fn ours_until(&self, segment: &Segment) -> u64 {
        let limit = self.control().limit();
        match self.control().is_panicked() {
            true => limit.max(end_of(segment)),
            false => limit,
        }
    }

    /// The first byte behind the announced size, where those bytes are the log's own and not a stranger's.
    pub(crate) fn came_after(&self, segment: &Segment) -> Result<Option<u64>, Fault> {
        self.found_behind_the_size(segment, GLANCE)
    }

    fn found_behind_the_size(&self, segment: &Segment, doubt: Duration) -> Result<Option<u64>, Fault> {
        let control = self.control();
        let (base, size) = (control.base(), control.file_size());
        let (end, there) = (base.saturating_add(size), end_of(segment));
        if there <= end || base != segment.base() || !self.is_of_this_boot() {
            return Ok(None);
        }
        let cannot = || Fault::io("read the data file");
        let Some(first) = first_byte(segment.file(), size, there - base).map_err(cannot())? else {
            return Ok(None);
        };
        let is_full = control.look().start >= end;
        let ours = control.is_panicked()
            || is_full && self.ends_with_space(segment, there - base).map_err(cannot())?
            || match self.silent_holder(doubt)? {
                Silent::Nobody => false,
                Silent::Somebody => true,
                Silent::Stands(blocker) => return Err(Fault::Stalled { blocker, waited: doubt }),
            };
        // Nobody has made it longer meanwhile, to store there.
        let still = control.file_size() == size && control.base() == base;
        Ok((ours && still).then_some(base + first))
    }

    /// Whether a file of that length ends as one does that a writer has made longer.
    fn ends_with_space(&self, segment: &Segment, len: u64) -> std::io::Result<bool> {
        let is_grown = len.is_multiple_of(page_size()) || self.meta.longest_segment() == Some(len);
        let mut last = [1];
        if is_grown {
            segment.file().read_exact_at(&mut last, len - 1)?;
        }
        Ok(last == [0])
    }

    /// Who holds an idle slot whose record says that nobody does, and goes on doing so.
    fn silent_holder(&self, doubt: Duration) -> Result<Silent, Fault> {
        let says_nothing = |slot: &Slot| !says_whose(slot) && slot.hot.pending().phase().is_none();
        let over = self.deadline(doubt);
        let mut stands = Silent::Nobody;
        for (index, slot) in (0u32..).zip(self.meta.slots()) {
            // One who claims, or leaves, is through in a moment.
            while says_nothing(slot) && self.ask_alive(index)? && says_nothing(slot) {
                if over.is_over() {
                    match self.standing(index) {
                        Some(blocker) => stands = Silent::Stands(blocker),
                        None => return Ok(Silent::Somebody),
                    }
                    break;
                }
                std::thread::sleep(PAUSE);
            }
        }
        Ok(stands)
    }

    /// Whoever has that slot's byte and has not said so, where he could not have done so meanwhile.
    fn standing(&self, slot: u32) -> Option<Blocker> {
        let byte = SLOT_BYTES + u64::from(slot);
        let who = self.stranger(byte)?;
        let could_not = process::state_of(&who).is_held() || Groups::default().freezer_of(who.pid).is_some();
        could_not.then(|| self.blocker(&format!("slot {slot}"), &self.meta.slots()[slot as usize].cold, byte))
    }

    /// Whether the metadata still knows what this writer knows: the cursor, and who has its slot. `floor`: behind its last append.
    #[cold]
    pub(crate) fn is_as_we_left_it(&self, segment: &Segment, slot: u32, floor: u64) -> Result<(), Fault> {
        let cursor = self.control().look().start;
        if cursor < floor {
            return Err(self.set_back(segment, cursor, floor));
        }
        if says_whose(&self.meta.slots()[slot as usize]) {
            return Ok(());
        }
        self.intact()?;
        self.nothing_behind(segment, cursor..end_of(segment))?;
        self.say_again(slot)
    }

    /// Who has the slot, in a copy of before its claim, to which nothing was appended since.
    fn say_again(&self, slot: u32) -> Result<(), Fault> {
        owner::store(&self.meta.slots()[slot as usize].cold, &process::me(), None);
        // Others go straight from now on, where this one makes space.
        let mut held = self.meta.geometry().max_writers;
        while held > slot + 1 && !self.ask_alive(held - 1)? {
            held -= 1;
        }
        self.meta.header().high_water.slots.fetch_max(held, Ordering::AcqRel);
        Ok(())
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
        let behind = self.nothing_behind(segment, value..end_of(segment));
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
        self.files.nothing_behind(&self.segment, at..self.files.ours_until(&self.segment))
    }

    /// What lies behind the announced size is a stranger's, or space; else the panic flag is set.
    pub(super) fn nothing_came_after(&self) -> Result<(), Fault> {
        let found = self.files.found_behind_the_size(&self.segment, CLAIMING)?;
        found.map_or(Ok(()), |at| Err(self.files.older_came_back(at)))
    }
}

/// Whether a slot's record has an owner.
fn says_whose(slot: &Slot) -> bool {
    slot.cold.operation.load(Ordering::Acquire) & HELD != 0 // owner
}

/// The position behind a data file's last byte.
fn end_of(segment: &Segment) -> u64 {
    segment.base().saturating_add(segment.file().metadata().map_or(0, |stat| stat.len()))
}

/// In words.
pub(crate) fn older(cursor: u64, at: u64) -> String {
    format!(
        "the cursor is {cursor}, and there is a byte at {at}, behind it: older metadata was written over the newer"
    )
}
