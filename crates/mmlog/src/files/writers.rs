//! The slots of this handle's writers: claimed by a lock byte each, and given back.

use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use super::owner::{self, Operation};
use super::{Files, SLICE};
use crate::crash::crash_point;
use crate::error::Fault;
use crate::layout::{SLOT_BYTES, Slot};
use crate::sys::{lock, process};

enum Claim {
    Mine,
    Taken,
    NeedsLock,
}

impl Files {
    fn owns(&self, slot: u32) -> bool {
        let word = self.own.get(slot as usize / 64);
        word.is_some_and(|w| w.load(Ordering::Acquire) & 1 << (slot % 64) != 0)
    }

    /// True when this call made it ours.
    pub(super) fn mark_own(&self, slot: u32) -> bool {
        let bit = 1 << (slot % 64);
        self.own[slot as usize / 64].fetch_or(bit, Ordering::AcqRel) & bit == 0
    }

    pub(super) fn unmark_own(&self, slot: u32) {
        self.own[slot as usize / 64].fetch_and(!(1 << (slot % 64)), Ordering::AcqRel);
    }

    /// Whether the slot's owner is dead, or was never there. When in doubt it lives.
    pub(crate) fn is_free(&self, slot: u32) -> bool {
        matches!(self.ask_alive(slot), Ok(false))
    }

    /// Whether somebody else has a lock on the slot's byte, for reading too.
    pub(crate) fn is_kept(&self, slot: u32) -> bool {
        let byte = SLOT_BYTES + u64::from(slot);
        !self.owns(slot) && self.lock_file.fd().is_some_and(|fd| matches!(lock::is_kept(fd, byte), Ok(true)))
    }

    /// Whether the slot has an owner.
    pub(crate) fn ask_alive(&self, slot: u32) -> Result<bool, Fault> {
        Ok(self.owns(slot) || self.ask_held(SLOT_BYTES + u64::from(slot))?)
    }

    /// Whether any slot has an owner besides this handle.
    pub(crate) fn any_writer(&self) -> Result<bool, Fault> {
        let fd = self.lock_file.fd().ok_or(Fault::Replaced)?;
        let count = u64::from(self.meta.geometry().max_writers);
        lock::is_locked(fd, SLOT_BYTES, count).map_err(Fault::io("ask who writes"))
    }

    /// Whether any slot has an owner in another process.
    pub(crate) fn any_process(&self) -> Result<bool, Fault> {
        if !self.any_writer()? {
            return Ok(false);
        }
        let me = process::me();
        for slot in 0..self.meta.header().high_water.slots.load(Ordering::Acquire) {
            let is_mine = self.owns(slot) || owner::is_held_by(&self.meta.slots()[slot as usize].cold, &me);
            if !is_mine && self.ask_held(SLOT_BYTES + u64::from(slot))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Claims a slot for a writer, settling what a dead owner left in it.
    pub(crate) fn claim(&self) -> Result<u32, Fault> {
        let max = self.meta.geometry().max_writers;
        let deadline = self.patience();
        let settled = deadline.within(4 * SLICE);
        // Whether nobody recovered the log when the round began: who does has all slots for a moment. Asked only where none was free.
        let mut counts = false;
        loop {
            let (mut skipped, mut busy) = (false, false);
            for slot in 0..max {
                match self.claim_one(slot)? {
                    Claim::Mine => {
                        self.waits_no_more();
                        return Ok(slot);
                    }
                    Claim::Taken => busy |= self.meta.slots()[slot as usize].hot.pending().phase().is_some(),
                    Claim::NeedsLock => skipped = true,
                }
            }
            let counted = std::mem::replace(&mut counts, !self.is_being_recovered());
            if counts && !counted {
                continue;
            }
            self.wait_for_slot();
            // Somebody may have a busy slot only to settle it.
            if counts && !skipped && (!busy || settled.is_over()) {
                return Err(Fault::WritersFull { max, who: self.who_writes() });
            }
            deadline.check(|| self.lock_holder())?;
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn claim_one(&self, slot: u32) -> Result<Claim, Fault> {
        let (fd, me) = (self.lock_file.fd().ok_or(Fault::Replaced)?, process::me());
        let byte = SLOT_BYTES + u64::from(slot);
        if !self.mark_own(slot) {
            return Ok(Claim::Taken);
        }
        let taken = lock::try_lock(fd, byte);
        if !matches!(taken, Ok(true)) {
            self.unmark_own(slot);
            return taken.map(|_| Claim::Taken).map_err(Fault::io("lock a slot"));
        }
        let Slot { hot, cold } = &self.meta.slots()[slot as usize];
        if hot.pending().phase().is_some() {
            // Never wait for the lock here: its owner may wait for this very slot.
            let Some(guard) = self.try_lock(Operation::Settle).inspect_err(|_| self.release(slot))? else {
                self.release(slot);
                return Ok(Claim::NeedsLock);
            };
            guard.settle_claimed(slot);
        }
        crash_point("claim:taken");
        owner::store(cold, &me, None);
        hot.messages.store(0, Ordering::Relaxed);
        hot.bytes.store(0, Ordering::Relaxed);
        hot.wants_nothing();
        self.meta.header().high_water.slots.fetch_max(slot + 1, Ordering::AcqRel);
        crash_point("claim:owner");
        self.expect_writers();
        Ok(Claim::Mine)
    }

    /// Gives a slot back. One that is not idle is thereby abandoned: whoever needs it settles it.
    pub(crate) fn release(&self, slot: u32) {
        if let Some(fd) = self.lock_file.fd() {
            let Slot { hot, cold } = &self.meta.slots()[slot as usize];
            hot.wants_nothing();
            owner::leave(cold);
            // Whoever then finds the byte free sees the slot as we left it.
            fence(Ordering::Release);
            // An unlock fails only when the kernel is out of memory for splitting a range; the slot then
            // stays ours until the descriptor closes, which holds nobody up while it is idle.
            if lock::unlock(fd, SLOT_BYTES + u64::from(slot)).is_ok() {
                self.unmark_own(slot);
            }
        }
    }

    /// Says that this handle waits to have a slot, at each try: for a free one, or for the lock that it opens with.
    pub(crate) fn wait_for_slot(&self) {
        let (wait, me, now) = (&self.meta.header().slot_wait, process::me(), process::now_ns());
        if !self.wants_slot.swap(true, Ordering::Relaxed) {
            // Those that are counted and have not tried for so long are dead.
            if wait.now().is_none() {
                wait.count.store(0, Ordering::Relaxed);
                wait.since_ns.store(now, Ordering::Relaxed);
            }
            wait.count.fetch_add(1, Ordering::Relaxed);
            wait.pid.store(me.pid, Ordering::Relaxed);
            wait.pid_namespace.store(me.pid_namespace, Ordering::Relaxed);
            wait.command.store(&me.command);
        }
        // Somebody has got his just now, who was the only one until then.
        let _ = wait.since_ns.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        wait.tried_ns.store(now, Ordering::Relaxed);
    }

    /// It has what it waited for.
    pub(super) fn waits_no_more(&self) {
        if self.gives_up_waiting() == Some(1) {
            self.meta.header().slot_wait.since_ns.store(0, Ordering::Relaxed);
        }
    }

    /// It does not want a slot any more, or comes back: who tries again soon has waited all the time. How many waited, if it
    /// did.
    pub(crate) fn gives_up_waiting(&self) -> Option<u32> {
        let count = &self.meta.header().slot_wait.count;
        let one_less = |n: u32| n.checked_sub(1);
        let waited = self.wants_slot.swap(false, Ordering::Relaxed);
        waited.then(|| count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).unwrap_or(0))
    }
}
