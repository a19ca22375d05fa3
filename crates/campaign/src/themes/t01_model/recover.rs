//! What whoever gets the lock does first: finish or undo what a dead owner has left. Each store is "compare,
//! then store", so that it may die and be repeated. Trim and rotation end with it too: after their commit
//! they do what recovery does.

use super::broken::{Broken, Kind, Outcome, broken};
use super::models::Records;
use super::mutants::Mutant;
use super::steps::Step;
use super::turn::Turn;
use super::world::*;

/// One store of a recovery.
enum Store {
    EntryBase(u8),
    EntryInode(u8),
    Inode(u8),
    FileSize(u8),
    Limit(u8),
    Base(u8),
    Generation(u8),
    Journal(Record),
    OpenGate,
    Cut {
        inode: u8,
        to: u8,
    },
    /// What an outsider has appended to the log at rest: its new size.
    TakeOver {
        size: u8,
    },
    /// None: older metadata came back.
    SetBack,
}

impl Turn<'_> {
    /// The next store; when nothing is left, what the lock was taken for.
    pub(super) fn recover(mut self) -> Outcome {
        match self.left_to_do()? {
            Some(Store::Cut { .. }) if self.model.configuration.judges && self.my().x == 0 => {
                self.world.cuts = (self.world.cuts + 1) % 8;
                self.my().x = 1;
                self.go(Step::Recover)
            }
            Some(Store::TakeOver { size }) => {
                self.my().x = self.world.cursor;
                if !self.is(Mutant::CursorBeforeSize) {
                    self.world.file_size = size;
                }
                self.go(Step::TakeOver)
            }
            Some(Store::SetBack) => self.set_back(),
            Some(store) => {
                self.apply(store)?;
                self.my().x = 0;
                self.go(Step::Recover)
            }
            None => {
                self.my().at = self.my().back;
                self.run()
            }
        }
    }

    /// Size, cursor, limit, in this order: whoever comes after a death in between sees from the cursor what was done.
    /// Where somebody has reserved meanwhile, the log is in use and the bytes are in nobody's range.
    pub(super) fn take_over(mut self) -> Outcome {
        let x = std::mem::take(&mut self.my().x);
        let inode = self.guarded();
        let end = self.world.base + self.world.files[inode as usize].size;
        if self.world.cursor == x || self.is(Mutant::CursorStored) {
            self.world.cursor = end;
        }
        self.go(Step::Recover)
    }

    fn left_to_do(&mut self) -> Result<Option<Store>, Broken> {
        if self.is(Mutant::SizeRuleFirst)
            && let Some(store) = self.size_rule()?
        {
            return Ok(Some(store));
        }
        match self.world.journal.kind {
            Record::Empty | Record::Trim => self.close_up(),
            Record::Rotate1 | Record::Rotate2 if self.world.path == self.world.journal.old => self.undo(),
            Record::Rotate1 | Record::Rotate2 if self.is(Mutant::UndoAfterCommit) => self.undo(),
            Record::Rotate1 | Record::Rotate2 => self.redo(),
            Record::Rotate3 => Ok(self.after_gate()),
        }
    }

    /// A rotation that was not committed. The temporary file is left to the next one.
    fn undo(&mut self) -> Result<Option<Store>, Broken> {
        let gate_first = !self.is(Mutant::JournalEmptiedFirst);
        Ok(Some(if self.world.gate && gate_first { Store::OpenGate } else { Store::Journal(Record::Empty) }))
    }

    /// A rotation that was committed: everything from the journal, then the gate, then the old file's end.
    fn redo(&mut self) -> Result<Option<Store>, Broken> {
        let Journal { kind, new, generation, new_size, .. } = self.world.journal;
        if self.world.path != new {
            let path = self.world.path;
            return broken(
                Kind::FalseDamage,
                format!("file {path} is at the path, neither the old nor the new one"),
            );
        }
        let one = self.model.configuration.records == Records::One;
        if kind == Record::Rotate1 && !one {
            return broken(Kind::FalseDamage, "J1 and the new file at the path: nobody knows C");
        }
        let at = self.rotated_at();
        let entry = self.world.entries[usize::from(generation % 2)];
        let stores = [
            (entry.base != at, Store::EntryBase(at)),
            (entry.inode != new, Store::EntryInode(new)),
            (self.world.inode != new, Store::Inode(new)),
            (self.world.file_size != new_size, Store::FileSize(new_size)),
            (self.world.limit != at + new_size, Store::Limit(at + new_size)),
            (self.world.base != at, Store::Base(at)),
            (self.world.generation != generation, Store::Generation(generation)),
        ];
        let first = match () {
            () if self.is(Mutant::GenerationBeforeEntry) && stores[6].0 => Some(6),
            () if self.is(Mutant::GateBeforeBase) && self.world.gate && !stores[2].0 => {
                return Ok(Some(Store::OpenGate));
            }
            () => stores.iter().position(|(differs, _)| *differs),
        };
        if let Some(first) = first {
            return Ok(stores.into_iter().nth(first).map(|(_, store)| store));
        }
        Ok(if one { self.after_gate() } else { Some(Store::Journal(Record::Rotate3)) })
    }

    /// C of a rotation: with one record `gate_at` has it, since no other gate closes before the journal is
    /// empty.
    fn rotated_at(&self) -> u8 {
        match self.model.configuration.records {
            Records::One => self.world.gate_at,
            Records::Three => self.world.journal.position,
        }
    }

    fn after_gate(&mut self) -> Option<Store> {
        let Journal { kind, old, old_base, .. } = self.world.journal;
        let at = if kind == Record::Rotate3 { self.world.journal.position } else { self.rotated_at() };
        let old_base = if self.is(Mutant::OldBaseFromMetadata) { self.world.base } else { old_base };
        let to = at - old_base;
        if self.world.gate && !self.is(Mutant::JournalEmptiedFirst) {
            Some(Store::OpenGate)
        } else if self.world.files[old as usize].size > to {
            Some(Store::Cut { inode: old, to })
        } else {
            Some(Store::Journal(Record::Empty))
        }
    }

    /// No journal, or a trim's: the size rule, then the gate, then the journal.
    fn close_up(&mut self) -> Result<Option<Store>, Broken> {
        let (gate, journal) = (self.world.gate, self.world.journal.kind != Record::Empty);
        if gate && self.is(Mutant::GateBeforeCut) {
            return Ok(Some(Store::OpenGate));
        }
        if let Some(store) = self.size_rule()? {
            return Ok(Some(store));
        }
        if journal && (!gate || self.is(Mutant::JournalEmptiedFirst)) {
            return Ok(Some(Store::Journal(Record::Empty)));
        }
        Ok(gate.then_some(Store::OpenGate))
    }

    /// `file_size` is the truth; a file that is shorter was truncated from outside.
    fn size_rule(&mut self) -> Result<Option<Store>, Broken> {
        let inode = self.guarded();
        let (size, expected) = (self.world.files[inode as usize].size, self.world.file_size);
        if size < expected {
            let text = format!(
                "file {inode} has {size} bytes, the metadata says {expected}: truncated from outside?"
            );
            return broken(Kind::FalseDamage, text);
        }
        let World { base, limit, cursor, .. } = self.world;
        // As far as the metadata tells, what writers have put there looks like it.
        let own = if self.model.comes_back() { self.world.written } else { 0 };
        let strange = self.world.outside | own;
        let from_outside = |from: u8, to: u8| strange & bits(from, to) != 0;
        let from = limit.max(cursor);
        if limit < base + expected && from < base + expected && from_outside(from, base + expected) {
            return Ok(Some(Store::FileSize(from - base)));
        }
        if self.world.limit != self.world.base + expected {
            return Ok(Some(Store::Limit(self.world.base + expected)));
        }
        let end = base + expected;
        if size > expected && (self.finds_behind(cursor)? || self.finds_own(end, base + size)) {
            return Ok(Some(Store::SetBack));
        }
        let looks = !self.is(Mutant::CutsWithoutALook);
        if size > expected && cursor == end && from_outside(end, base + size) && looks {
            return Ok(Some(Store::TakeOver { size }));
        }
        Ok((size > expected).then_some(Store::Cut { inode, to: expected }))
    }

    /// Whether those bytes are the log's own: the file ends with space, or somebody holds a slot and does not say so.
    fn finds_own(&self, from: u8, to: u8) -> bool {
        let World { written, cursor, slots, .. } = self.world;
        let is_blind = [Mutant::NobodyLooks, Mutant::TakesOwnOver].iter().any(|&mutant| self.is(mutant));
        if !self.model.comes_back() || is_blind || written & bits(from, to) == 0 {
            return false;
        }
        let is_silent = |s: &Slot| s.owner != NOBODY && !s.is_said && s.phase == Phase::Idle;
        let ends_with_space = cursor >= from && written & bits(to - 1, to) == 0;
        ends_with_space || slots[..self.model.slots()].iter().any(is_silent)
    }

    fn apply(&mut self, store: Store) -> Outcome {
        let who = self.model.name(self.me);
        let world = &mut self.world;
        let entry = &mut world.entries[usize::from(world.journal.generation % 2)];
        match store {
            Store::EntryBase(base) => entry.base = base,
            Store::EntryInode(inode) => entry.inode = inode,
            Store::Inode(inode) => world.inode = inode,
            Store::FileSize(size) => world.file_size = size,
            Store::Limit(limit) => world.limit = limit,
            Store::Base(base) => world.base = base,
            Store::Generation(generation) => world.generation = generation,
            Store::OpenGate => world.gate = false,
            Store::Journal(Record::Empty) => world.journal = Journal::EMPTY,
            Store::Journal(kind) => world.journal.kind = kind,
            Store::Cut { inode, to } => {
                let (from, end) = (world.base + to, world.base + world.files[inode as usize].size);
                let taken = world.inode == inode && world.outside & bits(from, end) != 0;
                if taken && self.model.owner(world, from).is_none() {
                    let text =
                        format!("{who} cuts what was appended from outside at {from}, in nobody's range");
                    return broken(Kind::Lost, text);
                }
                return world.cut(who, inode, to);
            }
            Store::TakeOver { .. } | Store::SetBack => {}
        }
        Ok(())
    }
}
