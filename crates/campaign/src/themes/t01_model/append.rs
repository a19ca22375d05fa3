//! Section 4: look, reserve, wait or copy, settle; and how an append fails.

use super::broken::{Kind, Outcome, broken};
use super::mutants::Mutant;
use super::steps::Step;
use super::turn::Turn;
use super::world::*;

impl Turn<'_> {
    pub(super) fn message(&self) -> usize {
        self.model.message(&self.world, self.me)
    }

    pub(super) fn len(&self) -> u8 {
        self.model.len_of(self.message())
    }

    fn start(&self) -> u8 {
        self.world.messages[self.message()].start
    }

    fn my_slot(&mut self) -> &mut Slot {
        let slot = self.my().slot;
        &mut self.world.slots[slot as usize]
    }

    // ---- a slot

    /// Takes a free slot byte, any; what a dead writer left in the slot is settled under the lock.
    pub(super) fn claim(mut self) -> Outcome {
        let mut none = true;
        for slot in 0..self.model.slots() {
            if self.world.slots[slot].owner != NOBODY {
                continue;
            }
            none = false;
            let mut taken = self.or();
            (taken.world.slots[slot].owner, taken.world.slots[slot].is_said) = (taken.me as u8, true);
            taken.my().slot = slot as u8;
            let idle = taken.world.slots[slot].phase == Phase::Idle;
            taken.go(if idle { Step::Ready } else { Step::ClaimLock })?;
        }
        if none && self.model.configuration.deadlines { self.next_task() } else { Ok(()) }
    }

    /// Never waits for the lock here: its owner may wait for this very slot.
    pub(super) fn claim_lock(mut self) -> Outcome {
        if self.lock_is_free() {
            return self.lock_then(Step::ClaimSettle);
        }
        self.my_slot().owner = NOBODY;
        self.my().slot = NO_SLOT;
        if self.model.configuration.deadlines {
            self.or().next_task()?;
        }
        self.go(Step::Ready)
    }

    pub(super) fn claim_settle(mut self) -> Outcome {
        self.my().i = self.my().slot;
        self.my().back = Step::Ready;
        self.settle_note()
    }

    // ---- look

    pub(super) fn look(mut self) -> Outcome {
        if self.world.gate {
            return self.look_closely();
        }
        self.my().x = self.world.cursor;
        self.go(Step::LookLimit)
    }

    pub(super) fn look_limit(mut self) -> Outcome {
        if self.my().x + self.len() > self.world.limit {
            return self.look_closely();
        }
        if self.model.rotates() { self.go(Step::LookBase) } else { self.looked() }
    }

    fn looked(mut self) -> Outcome {
        let first = if self.is(Mutant::ReserveBeforeBegin) { Step::Reserve } else { Step::StoreLen };
        let x = self.my().x;
        self.my().x = if first == Step::Reserve { 0 } else { x };
        self.go(first)
    }

    pub(super) fn look_base(mut self) -> Outcome {
        if self.my().base == self.world.base {
            return self.looked();
        }
        if self.is(Mutant::FileBeforeBase) {
            self.my().inode = self.world.path;
        } else {
            self.my().c = self.world.base;
        }
        self.go(Step::LookOpen)
    }

    /// Base first, then the file: a base is stored after the rename.
    pub(super) fn look_open(mut self) -> Outcome {
        if self.is(Mutant::FileBeforeBase) {
            self.my().base = self.world.base;
        } else {
            (self.my().base, self.my().inode) = (self.my().c, self.world.path);
        }
        self.go(Step::Ready)
    }

    /// Where it cannot go straight: whether the metadata still knows what this writer does, before it takes the lock.
    fn look_closely(mut self) -> Outcome {
        if self.model.comes_back() && !self.is(Mutant::NobodyLooks) {
            if self.world.cursor < self.floor() {
                return self.refuse_below();
            }
            if !self.my_slot().is_said {
                if self.world.written >> self.world.cursor != 0 {
                    return self.set_back();
                }
                self.my_slot().is_said = true;
            }
        }
        self.wait_for_lock(Step::LookGrow)
    }

    /// Behind its last append.
    fn floor(&self) -> u8 {
        let mine = |m: &usize| self.model.writer_of(*m) == self.me;
        let is_there = |m: &usize| self.world.messages[*m].fate == Fate::Acknowledged;
        let end = |m: usize| self.world.messages[m].start + self.model.len_of(m);
        (0..self.model.messages).filter(mine).filter(is_there).map(end).max().unwrap_or(0)
    }

    /// The cursor only grows: an error, and the panic flag if there is anything behind it.
    fn refuse_below(self) -> Outcome {
        if self.world.written >> self.world.cursor == 0 { self.next_task() } else { self.set_back() }
    }

    pub(super) fn look_grow(self) -> Outcome {
        let end = self.world.cursor + self.len();
        if end <= self.world.limit {
            self.unlock_then(Step::Ready)
        } else if self.model.configuration.cap > 0 {
            self.grow_or_rotate(end)
        } else {
            self.grow(end, Step::Ready)
        }
    }

    // ---- place

    pub(super) fn store_len(mut self) -> Outcome {
        self.my_slot().len = self.len();
        self.go(Step::StoreReserving)
    }

    pub(super) fn store_reserving(mut self) -> Outcome {
        let x = self.my().x;
        if self.is(Mutant::ReserveBeforeBegin) {
            (self.my_slot().phase, self.my_slot().position) = (Phase::Reserving, self.start());
            return self.go(if x == 0 { Step::CheckLimit } else { Step::SayWaiting });
        }
        (self.my_slot().phase, self.my_slot().position) = (Phase::Reserving, x);
        self.my().x = if self.is(Mutant::LimitBeforeReserve) { self.world.limit } else { 0 };
        self.go(Step::Reserve)
    }

    pub(super) fn reserve(mut self) -> Outcome {
        let (start, message) = (self.world.cursor, self.message());
        let end = start + self.len();
        if self.model.comes_back() && start < self.floor() {
            (self.world.cursor, self.my_slot().phase, self.my_slot().position) = (end, Phase::Idle, 0);
            return self.refuse_below();
        }
        for position in start..end {
            if let Some(other) = self.model.owner(&self.world, position) {
                let who = self.model.name(self.me);
                return broken(
                    Kind::Overlap,
                    format!("{who} reserves position {position}, which message {other} has"),
                );
            }
        }
        self.world.cursor = end;
        self.world.messages[message] = Message { fate: Fate::InFlight, start };
        let gate = self.world.gate;
        if self.is(Mutant::ReserveBeforeBegin) {
            self.my().x = gate.into();
            return self.go(Step::StoreLen);
        }
        self.go(if gate { Step::SayWaiting } else { Step::CheckLimit })
    }

    /// The limit is loaded after the reservation.
    pub(super) fn check_limit(mut self) -> Outcome {
        let limit = if self.is(Mutant::LimitBeforeReserve) { self.my().x } else { self.world.limit };
        let fits = self.start() + self.len() <= limit;
        match fits {
            true if self.model.rotates() && !self.is(Mutant::BaseNotChecked) => self.go(Step::CheckBase),
            true => self.go(Step::SayCopying),
            false => self.go(Step::SayWaiting),
        }
    }

    pub(super) fn check_base(mut self) -> Outcome {
        let mine = self.my().base == self.world.base;
        self.go(if mine { Step::SayCopying } else { Step::SayWaiting })
    }

    // ---- wait

    pub(super) fn say_waiting(mut self) -> Outcome {
        (self.my_slot().phase, self.my_slot().position) = (Phase::Waiting, self.start());
        self.go(Step::WaitGate)
    }

    pub(super) fn wait_gate(self) -> Outcome {
        let passes = !self.world.gate || self.world.gate_at > self.start();
        if passes && !self.is(Mutant::BlocksOnTheLock) {
            return self.go(Step::WaitLimit);
        }
        self.wait_for_lock(Step::WaitGrow)
    }

    pub(super) fn wait_limit(self) -> Outcome {
        if self.start() + self.len() > self.world.limit {
            return self.wait_for_lock(Step::WaitGrow);
        }
        if self.model.rotates() { self.go(Step::RefreshBase) } else { self.go(Step::SayCopying) }
    }

    pub(super) fn wait_grow(self) -> Outcome {
        if self.is(Mutant::GateInFlight) {
            return self.go(Step::TrimPlan);
        }
        let end = self.start() + self.len();
        if self.is(Mutant::RotatesInFlight) && end > self.cap() {
            return self.unlock_then(Step::Maintain);
        }
        let again = if self.is(Mutant::BlocksOnTheLock) { Step::WaitLimit } else { Step::WaitGate };
        if end <= self.world.limit { self.unlock_then(again) } else { self.grow(end, again) }
    }

    pub(super) fn refresh_base(mut self) -> Outcome {
        if self.my().base == self.world.base {
            return self.go(Step::SayCopying);
        }
        self.my().c = self.world.base;
        self.go(Step::RefreshOpen)
    }

    pub(super) fn refresh_open(mut self) -> Outcome {
        (self.my().base, self.my().inode) = (self.my().c, self.world.path);
        self.go(Step::SayCopying)
    }

    // ---- copy

    pub(super) fn say_copying(mut self) -> Outcome {
        (self.my_slot().phase, self.my_slot().position) = (Phase::Copying, self.start());
        if self.is(Mutant::SettleBeforeCopy) { self.go(Step::Acknowledge) } else { self.go(Step::Copy) }
    }

    pub(super) fn copy(mut self) -> Outcome {
        if self.model.configuration.errors {
            self.or().go(Step::Abandon)?;
        }
        let Process { x, base, inode, .. } = *self.my();
        let position = self.start() + x;
        self.world.store(self.model.name(self.me), inode, base, position)?;
        self.my().x += 1;
        if x + 1 < self.len() {
            self.go(Step::Copy)
        } else if self.is(Mutant::SettleBeforeCopy) {
            self.next_task()
        } else {
            self.go(Step::Acknowledge)
        }
    }

    pub(super) fn acknowledge(mut self) -> Outcome {
        let message = self.message();
        let range = bits(self.start(), self.start() + self.len());
        self.my_slot().phase = Phase::Idle;
        self.my_slot().position = 0;
        if self.is(Mutant::SettleBeforeCopy) {
            return self.go(Step::Copy);
        }
        if self.world.written & range != range || self.world.holes & range != 0 {
            return broken(
                Kind::Robbed,
                format!("message {message} returns Ok, and is not there or marked as a hole"),
            );
        }
        self.world.messages[message].fate = Fate::Acknowledged;
        let settles_up = self.my().owes && self.model.configuration.prunes();
        if settles_up { self.go(Step::PruneBegin) } else { self.next_task() }
    }

    // ---- fail

    /// Leaves the slot as if its process had died.
    pub(super) fn abandon(mut self) -> Outcome {
        let message = self.message();
        if self.is(Mutant::AbandonWithoutHole) {
            (self.my_slot().phase, self.my_slot().position) = (Phase::Idle, 0);
        }
        if self.is(Mutant::CursorTakenBack) && self.world.cursor == self.start() + self.len() {
            self.world.cursor = self.start();
            self.world.messages[message] = Message { fate: Fate::None, start: 0 };
            (self.my_slot().phase, self.my_slot().position) = (Phase::Idle, 0);
            return self.next_task();
        }
        self.world.messages[message].fate = Fate::Abandoned;
        self.my_slot().owner = NOBODY;
        self.my().slot = NO_SLOT;
        self.my().goes_on();
        self.go(Step::AbandonLock)
    }

    pub(super) fn abandon_lock(self) -> Outcome {
        if self.lock_is_free() { self.lock_then(Step::SettleAll) } else { self.begin_again() }
    }
}
