//! Sections 5 and 6, what is done with the lock: growing, settling the dead. Settling can also be done
//! without it.

use super::broken::{Kind, Outcome, broken};
use super::models::Task;
use super::mutants::Mutant;
use super::steps::Step;
use super::turn::Turn;
use super::world::*;

impl Turn<'_> {
    /// The data file that the lock's guard hands out: the one in use, not the one that a handle once opened.
    pub(super) fn guarded(&mut self) -> u8 {
        if self.is(Mutant::StaleHandle) { self.my().inode } else { self.world.inode }
    }

    // ---- growing

    /// Makes the file reach position `end`, then goes on at `back`.
    pub(super) fn grow(mut self, end: u8, back: Step) -> Outcome {
        (self.my().end, self.my().back, self.my().x) = (end, back, 0);
        if self.is(Mutant::LimitBeforeAllocation) {
            self.world.limit = end;
        }
        self.go(Step::Allocate)
    }

    /// The next multiple of a chunk, but not more than `rotate_size` unless it is needed; at the second attempt, only what
    /// is needed.
    fn wanted(&mut self) -> u8 {
        let (need, Process { x: attempt, back, .. }) = (self.my().end - self.world.base, *self.my());
        let whole = need.next_multiple_of(self.model.configuration.chunk);
        let cap = self.cap() - self.world.base;
        match () {
            () if attempt > 0 => need,
            () if self.is(Mutant::LimitAboveCap) && back == Step::Ready => whole,
            () if self.is(Mutant::DrainCapped) && back == Step::Drain => whole.min(cap),
            () => whole.min(cap.max(need)),
        }
    }

    /// What lies between limit and cursor and is in no slot was reserved by one that died before he knew it: noted before
    /// the file reaches there. In doubt nothing is.
    fn note_unplaced(&mut self) -> Outcome {
        let live = |slot: &Slot| slot.owner != NOBODY;
        let (slots, limit, cursor) = (self.world.slots, self.world.limit, self.world.cursor);
        let slots = &slots[..self.model.slots()];
        let in_doubt = |s: &Slot| s.phase == Phase::Reserving && s.position < cursor && live(s);
        if slots.iter().any(in_doubt) && !self.is(Mutant::NotesInDoubt) {
            return Ok(());
        }
        let exact = |s: &&Slot| matches!(s.phase, Phase::Waiting | Phase::Copying);
        let taken = slots.iter().filter(exact).fold(0, |all, s| all | bits(s.position, s.position + s.len));
        let taken = taken | self.world.holes;
        for position in (limit..cursor).filter(|p| taken & 1 << p == 0) {
            let fate = self.model.owner(&self.world, position).map(|m| self.world.messages[m].fate);
            if fate != Some(Fate::Unplaced) {
                let who = self.model.name(self.me);
                let text =
                    format!("{who} notes a hole at position {position}, which is somebody's ({fate:?})");
                return broken(Kind::Robbed, text);
            }
            self.world.holes |= bits(position, position + 1);
        }
        Ok(())
    }

    pub(super) fn allocate(mut self) -> Outcome {
        self.note_unplaced()?;
        let to = self.wanted();
        let inode = self.world.inode;
        let from = self.world.files[inode as usize].size;
        let more = to.saturating_sub(from);
        if more > self.world.free {
            // As much as there was may have been allocated.
            self.world.files[inode as usize].size += self.world.free;
            self.world.free = 0;
            return self.go(Step::CutBack);
        }
        self.world.free -= more;
        self.world.files[inode as usize].size = from.max(to);
        self.go(Step::GrowSize)
    }

    pub(super) fn cut_back(mut self) -> Outcome {
        let (inode, size, who) = (self.world.inode, self.world.file_size, self.model.name(self.me));
        let more = self.wanted() > self.my().end - self.world.base;
        self.world.cut(who, inode, size)?;
        if more {
            self.my().x = 1;
            return self.go(Step::Allocate);
        }
        match self.my().back {
            Step::Drain => {
                self.my().full = true;
                self.drain_from(0)
            }
            // Look: the cursor has not moved.
            Step::Ready => {
                self.my().goes_on();
                self.unlock_then(Step::Ready)
            }
            _ => self.unlock_then(Step::Abandon),
        }
    }

    pub(super) fn grow_size(mut self) -> Outcome {
        self.world.file_size = self.world.files[self.world.inode as usize].size;
        self.go(Step::GrowLimit)
    }

    pub(super) fn grow_limit(mut self) -> Outcome {
        self.world.limit = self.world.base + self.world.file_size;
        match self.my().back {
            Step::Drain => self.drain_from(0),
            back => self.unlock_then(back),
        }
    }

    // ---- settling

    /// From slot `i` on: the next slot that a dead writer has left.
    pub(super) fn settle_all(mut self) -> Outcome {
        let dead = |slot: &Slot| slot.phase != Phase::Idle && slot.owner == NOBODY;
        let from = usize::from(self.my().i);
        if self.finds_behind(self.world.cursor)? {
            return self.set_back();
        }
        match (from..self.model.slots()).find(|&i| dead(&self.world.slots[i])) {
            Some(i) => self.take_byte(i, Step::SettleAll),
            None => {
                if self.task() == Some(Task::Settle) {
                    self.my().goes_on();
                }
                self.unlock_then(Step::Ready)
            }
        }
    }

    /// Takes the byte of a slot whose owner is dead, settles it, goes on at `back`.
    pub(super) fn take_byte(mut self, i: usize, back: Step) -> Outcome {
        if !self.is(Mutant::SettleWithoutTheByte) {
            self.world.slots[i].owner = self.me as u8;
        }
        (self.my().i, self.my().back) = (i as u8, back);
        let without_lock = self.world.lock != self.me as u8;
        if without_lock && self.is(Mutant::FileOfBefore) {
            return self.go(Step::SettleNote);
        }
        self.go(if without_lock { Step::LooseBase } else { Step::SettleNote })
    }

    /// The range that the slot stands for.
    fn settled(&mut self) -> (usize, Slot) {
        let i = usize::from(self.my().i);
        (i, self.world.slots[i])
    }

    pub(super) fn settle_note(mut self) -> Outcome {
        let (_, slot) = self.settled();
        let next = if slot.phase == Phase::Copying { Step::SettleZero } else { Step::SettleIdle };
        if matches!(slot.phase, Phase::Waiting | Phase::Copying) && !self.is(Mutant::SettleBeforeNote) {
            self.note(slot)?;
        }
        self.my().x = 0;
        self.go(next)
    }

    fn note(&mut self, slot: Slot) -> Outcome {
        for position in slot.position..slot.position + slot.len {
            let owner = self.model.owner(&self.world, position);
            if owner.is_none_or(|m| self.world.messages[m].fate != Fate::Abandoned) {
                let who = self.model.name(self.me);
                let text = format!("{who} notes a hole at position {position}, which was not abandoned");
                return broken(Kind::Robbed, text);
            }
        }
        self.world.holes |= bits(slot.position, slot.position + slot.len);
        Ok(())
    }

    pub(super) fn settle_zero(mut self) -> Outcome {
        let (_, slot) = self.settled();
        let who = self.model.name(self.me);
        let x = self.my().x;
        let (inode, base) = match self.world.lock == self.me as u8 {
            true => (self.guarded(), self.world.base),
            false => (self.my().inode, self.my().base),
        };
        if self.world.lock == self.me as u8 && self.finds_behind(self.world.cursor)? {
            return self.set_back();
        }
        let position = slot.position + x;
        let owner = self.model.owner(&self.world, position);
        if owner.is_none_or(|m| self.world.messages[m].fate != Fate::Abandoned) {
            return broken(
                Kind::Robbed,
                format!("{who} zeroes position {position}, which was not abandoned"),
            );
        }
        self.world.zero(who, inode, base, position)?;
        self.my().x += 1;
        self.go(if x + 1 < slot.len { Step::SettleZero } else { Step::SettleIdle })
    }

    pub(super) fn settle_idle(mut self) -> Outcome {
        let (i, slot) = self.settled();
        let note_later = self.is(Mutant::SettleBeforeNote) && slot.phase != Phase::Reserving;
        self.world.slots[i].phase = Phase::Idle;
        if note_later {
            self.my().x = 1;
        } else {
            self.world.slots[i].position = 0;
        }
        if usize::from(self.my().slot) == i {
            return self.unlock_then(Step::Ready);
        }
        self.go(Step::SettleRelease)
    }

    pub(super) fn settle_release(mut self) -> Outcome {
        let (i, slot) = self.settled();
        if self.my().x == 1 {
            self.note(slot)?;
            (self.world.slots[i].position, self.my().x) = (0, 0);
            return self.go(Step::SettleRelease);
        }
        if !self.is(Mutant::SettleWithoutTheByte) {
            self.world.slots[i].owner = NOBODY;
        }
        if self.world.lock != self.me as u8 {
            (self.my().base, self.my().inode) = (0, 0);
        }
        let back = self.my().back;
        self.go(back)
    }

    // ---- without the lock

    pub(super) fn settle_loosely(mut self) -> Outcome {
        let dead = |slot: &Slot| slot.phase != Phase::Idle && slot.owner == NOBODY;
        for i in (0..self.model.slots()).filter(|&i| dead(&self.world.slots[i])).collect::<Vec<_>>() {
            self.or().take_byte(i, Step::Ready)?;
        }
        self.blocked()
    }

    /// The file is the one in use after the byte was taken.
    pub(super) fn loose_base(mut self) -> Outcome {
        self.my().base = self.world.base;
        self.go(Step::LooseOpen)
    }

    pub(super) fn loose_open(mut self) -> Outcome {
        self.my().inode = self.world.path;
        self.settle_note()
    }
}
