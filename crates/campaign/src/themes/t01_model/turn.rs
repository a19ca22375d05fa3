//! One process's turn: from a world, every world that its next step can lead to.

use super::broken::Outcome;
use super::models::{Model, Task};
use super::mutants::Mutant;
use super::steps::Step;
use super::world::*;

pub(super) struct Turn<'a> {
    pub(super) model: &'a Model,
    pub(super) me: usize,
    /// Becomes the world after the step.
    pub(super) world: World,
    pub(super) out: &'a mut Vec<World>,
}

impl<'a> Turn<'a> {
    pub(super) fn new(model: &'a Model, world: &World, me: usize, out: &'a mut Vec<World>) -> Self {
        Self { model, me, world: *world, out }
    }

    /// Another way to go on from the same world.
    pub(super) fn or(&mut self) -> Turn<'_> {
        Turn { model: self.model, me: self.me, world: self.world, out: self.out }
    }

    pub(super) fn my(&mut self) -> &mut Process {
        &mut self.world.processes[self.me]
    }

    pub(super) fn is(&self, mutant: Mutant) -> bool {
        self.model.is(mutant)
    }

    pub(super) fn task(&self) -> Option<Task> {
        self.model.task(&self.world, self.me)
    }

    pub(super) fn go(mut self, to: Step) -> Outcome {
        self.my().enter(to);
        self.out.push(self.world);
        Ok(())
    }

    /// No step: somebody else has to do something first.
    pub(super) fn blocked(self) -> Outcome {
        Ok(())
    }

    pub(super) fn next_task(mut self) -> Outcome {
        self.my().goes_on();
        self.begin_again()
    }

    /// To the present task, if there is one.
    pub(super) fn begin_again(mut self) -> Outcome {
        if self.task().is_none() {
            self.my().end(Step::Done);
        } else {
            self.my().enter(Step::Ready);
        }
        self.out.push(self.world);
        Ok(())
    }

    pub(super) fn lock_is_free(&self) -> bool {
        self.world.lock == NOBODY
    }

    /// Takes the free lock, recovers, goes on there.
    pub(super) fn lock_then(mut self, back: Step) -> Outcome {
        if self.world.panicked {
            return self.refused(back);
        }
        self.world.lock = self.me as u8;
        (self.my().back, self.my().x) = (back, 0);
        let grows = matches!(back, Step::LookGrow | Step::WaitGrow) && !self.world.gate;
        if grows && self.is(Mutant::GrowBeforeRecovery) {
            return self.go(back);
        }
        self.go(Step::Recover)
    }

    /// Waits for the lock; with deadlines, until one is over.
    pub(super) fn wait_for_lock(self, back: Step) -> Outcome {
        if self.lock_is_free() {
            self.lock_then(back)
        } else if self.model.configuration.deadlines {
            self.late()
        } else {
            self.blocked()
        }
    }

    /// The task ends with an error: what was reserved is abandoned.
    fn late(mut self) -> Outcome {
        match self.my().at {
            Step::WaitGate | Step::WaitLimit => self.go(Step::Abandon),
            _ => self.next_task(),
        }
    }

    pub(super) fn unlock_then(mut self, back: Step) -> Outcome {
        self.my().back = back;
        self.go(Step::Unlock)
    }

    fn unlock(mut self) -> Outcome {
        self.world.lock = NOBODY;
        match self.my().back {
            Step::Ready => self.begin_again(),
            back => self.go(back),
        }
    }

    pub(super) fn finish(mut self) -> Outcome {
        self.world.lock = NOBODY;
        if self.carries_out() { self.tried() } else { self.next_task() }
    }

    fn ready(mut self) -> Outcome {
        match self.task() {
            Some(_) if self.world.panicked => self.next_task(),
            Some(Task::Append(_)) if self.my().slot == NO_SLOT => self.claim(),
            Some(Task::Append(_)) => self.look(),
            Some(Task::Close) => self.close(),
            Some(Task::Trim) => self.wait_for_lock(Step::TrimPlan),
            Some(Task::Rotate) => self.wait_for_lock(Step::RotateTemp),
            Some(Task::SetKeep(_)) => self.set_keep(),
            Some(Task::Prune) => self.go(Step::PruneBegin),
            Some(Task::Settle) => self.wait_for_lock(Step::SettleAll),
            Some(Task::Repair) if self.needs_repair() && self.lock_is_free() => {
                self.lock_then(Step::SettleAll)
            }
            Some(Task::RepairLoosely) => self.settle_loosely(),
            Some(Task::Fills) => {
                self.world.free = 0;
                self.next_task()
            }
            Some(Task::Frees(pages)) => {
                self.world.free += pages;
                self.next_task()
            }
            Some(Task::AppendsOutside) => self.append_outside(),
            Some(Task::ComesBack) => self.come_back(),
            Some(Task::Repair) | None => self.blocked(),
        }
    }

    /// The metadata is that of the beginning. Nothing is in flight: what is, is known to nobody then.
    fn come_back(mut self) -> Outcome {
        self.or().next_task()?;
        let begun = |p: &Process| {
            matches!(p.at, Step::StoreLen | Step::StoreReserving | Step::Unlock) || p.back == Step::Finish
        };
        let in_flight = self.world.slots.iter().any(|slot| slot.phase != Phase::Idle);
        if in_flight || self.world.processes.iter().any(begun) || self.world.lock != NOBODY {
            return Ok(());
        }
        let World { cursor, gate, gate_at, limit, file_size, holes, slots, .. } = self.model.initial();
        let world = &mut self.world;
        (world.cursor, world.gate, world.gate_at) = (cursor, gate, gate_at);
        (world.limit, world.file_size, world.holes) = (limit, file_size, holes);
        world.journal = Journal::EMPTY;
        for (slot, then) in world.slots.iter_mut().zip(slots) {
            // Of a log at rest nobody had one.
            let is_said = then.is_said && file_size > 0;
            *slot = Slot { owner: slot.owner, is_said, ..then };
        }
        self.next_task()
    }

    /// Older metadata came back: nobody writes any more. What was begun with the lock is given up.
    pub(super) fn set_back(mut self) -> Outcome {
        self.world.panicked = true;
        let (me, back, own) = (self.me as u8, self.my().back, self.my().slot);
        if self.world.lock == me {
            (self.world.gate, self.world.journal, self.world.lock) = (false, Journal::EMPTY, NOBODY);
            let taken = |(i, slot): &(usize, &mut Slot)| slot.owner == me && *i != usize::from(own);
            self.world.slots.iter_mut().enumerate().filter(taken).for_each(|(_, slot)| slot.owner = NOBODY);
        }
        self.refused(back)
    }

    /// What the lock was wanted for ends with an error.
    fn refused(mut self, back: Step) -> Outcome {
        match back {
            Step::WaitGrow => self.go(Step::Abandon),
            Step::SettleAll if self.task() != Some(Task::Settle) => self.begin_again(),
            Step::ClaimSettle => {
                let slot = std::mem::replace(&mut self.my().slot, NO_SLOT);
                self.world.slots[usize::from(slot)].owner = NOBODY;
                self.next_task()
            }
            _ => self.next_task(),
        }
    }

    /// By `>>`, to a log at rest and to no other.
    fn append_outside(mut self) -> Outcome {
        self.or().next_task()?;
        let World { cursor, gate, limit, base, file_size, inode, path, lock, .. } = self.world;
        let file = &mut self.world.files[usize::from(path)];
        let at_rest = limit == cursor && base + file_size == cursor && file.size == file_size && !gate;
        if !at_rest || lock != NOBODY || inode != path || self.world.journal.kind != Record::Empty {
            return Ok(());
        }
        file.size += 1;
        self.world.outside |= 1 << cursor;
        self.next_task()
    }

    fn needs_repair(&self) -> bool {
        let dead = |slot: &Slot| slot.phase != Phase::Idle && slot.owner == NOBODY;
        self.world.gate || self.world.journal.kind != Record::Empty || self.world.slots.iter().any(dead)
    }

    /// The next step.
    pub(super) fn run(mut self) -> Outcome {
        match self.my().at {
            Step::Ready => self.ready(),
            Step::Done | Step::Dead => self.blocked(),
            Step::ClaimLock => self.claim_lock(),
            Step::ClaimSettle => self.claim_settle(),
            Step::LookLimit => self.look_limit(),
            Step::LookBase => self.look_base(),
            Step::LookOpen => self.look_open(),
            Step::LookGrow => self.look_grow(),
            Step::StoreLen => self.store_len(),
            Step::StoreReserving => self.store_reserving(),
            Step::Reserve => self.reserve(),
            Step::CheckLimit => self.check_limit(),
            Step::CheckBase => self.check_base(),
            Step::SayWaiting => self.say_waiting(),
            Step::WaitGate => self.wait_gate(),
            Step::WaitLimit => self.wait_limit(),
            Step::WaitGrow => self.wait_grow(),
            Step::RefreshBase => self.refresh_base(),
            Step::RefreshOpen => self.refresh_open(),
            Step::SayCopying => self.say_copying(),
            Step::Copy => self.copy(),
            Step::Acknowledge => self.acknowledge(),
            Step::Abandon => self.abandon(),
            Step::AbandonLock => self.abandon_lock(),
            Step::Recover => self.recover(),
            Step::TakeOver => self.take_over(),
            Step::Unlock => self.unlock(),
            Step::Allocate => self.allocate(),
            Step::CutBack => self.cut_back(),
            Step::GrowSize => self.grow_size(),
            Step::GrowLimit => self.grow_limit(),
            Step::SettleAll => self.settle_all(),
            Step::SettleNote => self.settle_note(),
            Step::SettleZero => self.settle_zero(),
            Step::SettleIdle => self.settle_idle(),
            Step::SettleRelease => self.settle_release(),
            Step::CloseLock => self.close_lock(),
            Step::CloseProbe => self.close_probe(),
            Step::TrimLock => self.wait_for_lock(Step::TrimPlan),
            Step::TrimPlan => self.trim_plan(),
            Step::CloseGate => self.close_gate(),
            Step::Announce => self.announce(),
            Step::Drain => self.drain(),
            Step::SparseCut => self.sparse_cut(),
            Step::SparseSize => self.sparse_size(),
            Step::SparseLimit => self.sparse_limit(),
            Step::ShrinkSize => self.shrink_size(),
            Step::Finish => self.finish(),
            Step::RotateTemp => self.rotate_temp(),
            Step::RotateJournal => self.rotate_journal(),
            Step::RotateNote => self.rotate_note(),
            Step::Link => self.link(),
            Step::Rename => self.rename(),
            Step::DropTemp => self.drop_temp(),
            Step::SetKeep => self.set_segments(),
            Step::SetNumber => self.set_number(),
            Step::Maintain => self.maintain(),
            Step::RotateLock => self.lock_or_not(Step::RotateLook),
            Step::RotateLook => self.unlock_then(Step::RotateTemp),
            Step::RotateAgain => self.lock_or_not(Step::RotateJournal),
            Step::PruneBegin => self.prune_begin(),
            Step::PruneLook => self.prune_look(),
            Step::PruneNames => self.prune_names(),
            Step::PruneLock => self.lock_or_not(Step::PruneDecide),
            Step::PruneDecide => self.prune_decide(),
            Step::PruneSync => self.prune_sync(),
            Step::PruneUnlink => self.prune_unlink(),
            Step::Release => self.release(),
            Step::LooseBase => self.loose_base(),
            Step::LooseOpen => self.loose_open(),
        }
    }
}
