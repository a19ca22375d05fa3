//! Sections 7 and 8: the gate, trim, closing, and rotation up to its commit.

use super::broken::{Broken, Kind, Outcome, broken};
use super::models::{Configuration, Records};
use super::mutants::Mutant;
use super::steps::Step;
use super::turn::Turn;
use super::world::*;

impl Turn<'_> {
    // ---- closing

    pub(super) fn close(mut self) -> Outcome {
        if self.is(Mutant::ProbeBeforeRelease) {
            self.my().x = self.others().into();
        } else {
            self.give_slot_back();
        }
        self.go(Step::CloseLock)
    }

    fn give_slot_back(&mut self) {
        let slot = std::mem::replace(&mut self.my().slot, NO_SLOT);
        if slot != NO_SLOT {
            self.world.slots[slot as usize].owner = NOBODY;
        }
    }

    /// One's own locks look free to oneself.
    fn others(&self) -> bool {
        self.world.slots.iter().any(|slot| slot.owner != NOBODY && slot.owner != self.me as u8)
    }

    pub(super) fn close_lock(mut self) -> Outcome {
        if !self.is(Mutant::ProbeBeforeRelease) {
            return self.wait_for_lock(Step::CloseProbe);
        }
        self.give_slot_back();
        if self.my().x == 1 { self.next_task() } else { self.go(Step::TrimLock) }
    }

    /// The lock orders closers: of two, the later one sees no other.
    pub(super) fn close_probe(mut self) -> Outcome {
        if !self.others() {
            return self.unlock_then(Step::TrimLock);
        }
        self.my().goes_on();
        self.unlock_then(Step::Ready)
    }

    // ---- the gate

    fn is_rotation(&self) -> bool {
        self.task().is_some_and(|task| self.model.configuration.rotates_at(&task))
    }

    pub(super) fn trim_plan(mut self) -> Outcome {
        let World { cursor, base, file_size, .. } = self.world;
        let closed_first = self.is(Mutant::GateBeforeJournal);
        if self.my().x == 0 && cursor - base == file_size {
            return self.finish();
        }
        if closed_first && self.my().x == 0 {
            (self.world.gate, self.my().x) = (true, 1);
            return self.go(Step::TrimPlan);
        }
        self.world.journal.kind = Record::Trim;
        self.go(Step::CloseGate)
    }

    pub(super) fn close_gate(mut self) -> Outcome {
        self.my().c = self.world.cursor;
        self.world.gate = true;
        self.go(Step::Announce)
    }

    pub(super) fn announce(mut self) -> Outcome {
        let c = self.my().c;
        if !self.is(Mutant::NoAnnounce) {
            self.world.gate_at = c;
        }
        match self.model.configuration.records {
            Records::Three if self.is_rotation() => self.go(Step::RotateNote),
            _ => self.gate_closed(),
        }
    }

    fn gate_closed(mut self) -> Outcome {
        let c = self.my().c;
        if self.is_rotation() && c == self.world.base && !self.is(Mutant::NoEmptyCheck) {
            return self.undo_rotation();
        }
        if self.world.limit < c && !self.is(Mutant::DrainWithoutGrowth) {
            return self.grow(c, Step::Drain);
        }
        self.drain_from(0)
    }

    pub(super) fn drain_from(mut self, i: u8) -> Outcome {
        self.my().i = i;
        let enough = self.world.limit >= self.my().c;
        let waits = self.is_rotation() || self.model.configuration.trim_waits || !enough;
        if usize::from(i) < self.model.slots() && waits && !self.is(Mutant::NoDrain) {
            return self.go(Step::Drain);
        }
        if enough { self.drained() } else { self.go(Step::SparseCut) }
    }

    /// One slot after the other is waited for, or settled.
    pub(super) fn drain(mut self) -> Outcome {
        let Process { i, c, full, .. } = *self.my();
        let slot = self.world.slots[usize::from(i)];
        let gives_up = self.model.configuration.gives_up && !self.is(Mutant::DrainsForEver);
        if full && self.is(Mutant::SparseUnderTheLiving) && self.world.limit < c {
            return self.go(Step::SparseCut);
        }
        if slot.phase == Phase::Idle || slot.position >= c {
            return self.drain_from(i + 1);
        }
        if slot.owner == NOBODY {
            return self.take_byte(usize::from(i), Step::Drain);
        }
        let needs_space = slot.position + slot.len > self.world.limit;
        if full && needs_space || gives_up {
            return self.give_up();
        }
        self.blocked()
    }

    fn give_up(self) -> Outcome {
        if self.is_rotation() { self.undo_rotation() } else { self.recover_then(Step::Finish) }
    }

    fn recover_then(mut self, back: Step) -> Outcome {
        self.my().back = back;
        self.go(Step::Recover)
    }

    /// Only holes lie beyond what the disk could give: nobody stores there.
    pub(super) fn sparse_cut(mut self) -> Outcome {
        let World { base, limit, inode, .. } = self.world;
        let c = self.my().c;
        self.world.files[inode as usize].size = c - base;
        self.world.sparse |= bits(limit, c);
        self.go(Step::SparseSize)
    }

    pub(super) fn sparse_size(mut self) -> Outcome {
        self.world.file_size = self.my().c - self.world.base;
        self.go(Step::SparseLimit)
    }

    pub(super) fn sparse_limit(mut self) -> Outcome {
        self.world.limit = self.my().c;
        if self.is(Mutant::SparseUnderTheLiving) { self.drain_from(0) } else { self.drained() }
    }

    fn drained(self) -> Outcome {
        match self.is_rotation() {
            true if self.is(Mutant::RenameBeforeLink) => self.go(Step::Rename),
            true => self.go(Step::Link),
            false => self.go(Step::ShrinkSize),
        }
    }

    // ---- trim

    /// A byte behind the cursor says that older metadata was written over the newer.
    pub(super) fn finds_behind(&self, at: u8) -> Result<bool, Broken> {
        let World { written, outside, cursor, limit, .. } = self.world;
        let behind = (written | outside) & bits(at, limit);
        if behind == 0 || self.model.comes_back() {
            return Ok(behind != 0);
        }
        let (who, position) = (self.model.name(self.me), behind.trailing_zeros());
        broken(Kind::FalseDamage, format!("{who} finds a byte at {position}, the cursor is {cursor}"))
    }

    /// Its commit; limit, cut, gate and journal follow, as in a recovery.
    pub(super) fn shrink_size(mut self) -> Outcome {
        let c = self.my().c;
        if self.finds_behind(c)? {
            return self.set_back();
        }
        let size = c - self.world.base;
        if self.is(Mutant::CutBeforePublish) && self.my().x == 0 {
            let (who, inode) = (self.model.name(self.me), self.world.inode);
            self.world.cut(who, inode, size)?;
            self.my().x = 1;
            return self.go(Step::ShrinkSize);
        }
        self.world.file_size = size;
        self.recover_then(Step::Finish)
    }

    // ---- rotation

    /// Step 0. A chunk, or, on a full disk, one page.
    pub(super) fn rotate_temp(mut self) -> Outcome {
        if self.carries_out() && !self.is_due() {
            return self.go(Step::Release);
        }
        if self.world.temp != NO_FILE {
            self.world.unlink_temp();
            return self.go(Step::RotateTemp);
        }
        let Configuration { chunk, cap, .. } = self.model.configuration;
        let chunk = if cap > 0 && !self.is(Mutant::ChunkNext) { chunk.min(cap) } else { chunk };
        let size = if self.world.free >= chunk { chunk } else { self.world.free.min(1) };
        self.world.free -= size;
        if size == 0 {
            return if self.carries_out() { self.tried() } else { self.finish() };
        }
        let Some(inode) = (0..FILES as u8).find(|&f| self.world.is_unused(f)) else {
            return broken(Kind::TooLarge, "more files than the model has");
        };
        self.world.files[inode as usize] = File { size, base: NO_BASE, is_final: false };
        (self.world.temp, self.my().c) = (inode, inode);
        let next = if self.carries_out() { Step::RotateAgain } else { Step::RotateJournal };
        self.go(next)
    }

    pub(super) fn rotate_journal(mut self) -> Outcome {
        if self.carries_out() && !self.is_due() {
            return self.finish();
        }
        let World { inode, generation, base, .. } = self.world;
        let temp = self.my().c;
        self.world.journal = Journal {
            kind: Record::Rotate1,
            old: inode,
            new: temp,
            generation: generation + 1,
            position: 0,
            old_base: base,
            new_size: self.world.files[temp as usize].size,
        };
        self.go(Step::CloseGate)
    }

    /// Three records only.
    pub(super) fn rotate_note(mut self) -> Outcome {
        self.world.journal.position = self.my().c;
        self.world.journal.kind = Record::Rotate2;
        self.gate_closed()
    }

    fn fails(&self) -> bool {
        self.model.configuration.errors
    }

    /// Step 4. The name is perhaps there already, from a rotation that was undone.
    pub(super) fn link(mut self) -> Outcome {
        let c = self.my().c;
        if self.finds_behind(c)? {
            return self.set_back();
        }
        if self.fails() {
            self.or().undo_rotation()?;
        }
        let (path, generation) = (self.world.path, self.world.journal.generation - 1);
        let old = if self.is(Mutant::RenameBeforeLink) { self.world.journal.old } else { path };
        let name = &mut self.world.names[usize::from(generation)];
        if *name != NO_FILE && *name != old {
            let text = format!("the stable name of generation {generation} is file {name}'s, not {old}'s");
            return broken(Kind::Undecided, text);
        }
        *name = old;
        if self.is(Mutant::RenameBeforeLink) {
            self.recover_then(Step::Finish)
        } else {
            self.go(Step::Rename)
        }
    }

    /// Step 5, the commit. The rest is what recovery does.
    pub(super) fn rename(mut self) -> Outcome {
        if self.fails() {
            self.or().undo_rotation()?;
        }
        let World { path, temp, .. } = self.world;
        let c = self.my().c;
        let unfinished = |m: &&Message| m.fate == Fate::InFlight && m.start < c;
        if let Some(message) = self.world.messages.iter().find(unfinished) {
            let text =
                format!("a rotation commits at {c} while the append at {} is unfinished", message.start);
            return broken(Kind::Undecided, text);
        }
        if temp == NO_FILE {
            return broken(Kind::FalseDamage, "the temporary file of a rotation is gone before its commit");
        }
        self.world.files[path as usize].is_final = true;
        self.world.files[temp as usize].base = c;
        (self.world.path, self.world.temp) = (temp, NO_FILE);
        if self.is(Mutant::RenameBeforeLink) { self.go(Step::Link) } else { self.recover_then(Step::Finish) }
    }

    /// Gate and journal as a recovery does it; then the temporary file, which a dead rotator would have left.
    fn undo_rotation(self) -> Outcome {
        let next = if self.carries_out() { Step::Finish } else { Step::DropTemp };
        self.recover_then(next)
    }

    pub(super) fn drop_temp(mut self) -> Outcome {
        let next = if self.carries_out() { Step::Release } else { Step::Finish };
        if self.world.temp != NO_FILE {
            self.world.unlink_temp();
        } else if next == Step::Finish {
            return self.finish();
        }
        self.go(next)
    }
}
