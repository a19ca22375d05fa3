//! A policy in the log: writers rotate at `rotate_size` and prune by `keep`, on their slow path, with nothing in flight.
//!
//! - Growth ends at `base + cap`, and so does the next segment's file. Only what is needed goes beyond: for a range in
//!   flight, for the drain, and for an append that cannot rotate, or has tried.
//! - Due is what does not fit, asked under the lock in the segment that is in use then, once half of `rotate_size` is
//!   used: else one long message among short ones would make a segment of each of them. An append tries once a segment.
//! - Rotate: give the lock back; maintenance byte; prune what the rotation before has left; lock, so that nothing is half
//!   done, and give it back; make the next file; lock, journal, gate, as by command. Then append, and only then prune. So
//!   there is one final segment more than is kept, at most, whoever is killed.
//! - Prune: look, with nothing held; make the names durable, so that what goes is not at the path after a power cut; decide
//!   and publish `first_kept` under the lock; make the metadata durable; unlink, oldest first, at most two. The checkpoint
//!   stays as it is.
//! - The record is two copies and a number: whoever is killed while he fills a copy has not put it in force.

use super::broken::{Kind, Outcome, broken};
use super::models::Task;
use super::mutants::Mutant;
use super::steps::Step;
use super::turn::Turn;
use super::world::*;

/// The most segments that go at a time.
const AT_A_TIME: usize = 2;

impl Turn<'_> {
    /// Where `rotate_size` ends in the segment in use; above all positions without a policy.
    pub(super) fn cap(&self) -> u8 {
        match self.model.configuration.cap {
            0 => u8::MAX,
            cap => self.world.base + cap,
        }
    }

    /// Look, with the lock: there is no space up to `end`. It rotates, grows, or looks again.
    pub(super) fn grow_or_rotate(mut self, end: u8) -> Outcome {
        let World { base, path, cursor, .. } = self.world;
        // Somebody has rotated: it is another segment that is full.
        if self.my().base != base {
            (self.my().base, self.my().inode) = (base, path);
            return self.unlock_then(Step::Ready);
        }
        let (cap, used, failed) = (self.cap(), cursor - base, self.my().failed);
        if self.is(Mutant::DueBySize) {
            return match end > cap {
                true if used >= self.model.configuration.cap => self.unlock_then(Step::Maintain),
                true => self.unlock_then(Step::Ready),
                false => self.grow(end, Step::Ready),
            };
        }
        if !self.is_due() {
            return self.grow(end, Step::Ready);
        }
        if failed != base && !(self.my().owes && self.is(Mutant::TriesOnce)) {
            return self.unlock_then(Step::Maintain);
        }
        if failed != base {
            let who = self.model.name(self.me);
            let text =
                format!("{who} lets the segment at {base} grow to {end}, and has not tried to rotate it");
            return broken(Kind::TooLong, text);
        }
        self.grow(end, Step::Ready)
    }

    /// Whether this append's message does not fit the segment that it has looked at, and half of that is used.
    pub(super) fn is_due(&self) -> bool {
        let World { base, cursor, processes, .. } = &self.world;
        let used = cursor - base;
        let is_half = used > 0 && used * 2 >= self.model.configuration.cap;
        processes[self.me].base == *base && cursor + self.len() > self.cap() && is_half
    }

    // ---- rotating

    /// Whether it rotates for the policy: an append.
    pub(super) fn carries_out(&self) -> bool {
        self.model.configuration.cap > 0 && matches!(self.task(), Some(Task::Append(_)))
    }

    /// Somebody else's maintenance is waited for: most likely it makes space.
    pub(super) fn maintain(mut self) -> Outcome {
        let World { base, cursor, limit, maintenance, .. } = self.world;
        if maintenance == NOBODY || self.is(Mutant::NoMaintenance) {
            self.world.maintenance = self.me as u8;
            let prunes = self.model.configuration.prunes() && !self.is(Mutant::RotatesFirst);
            return self.go(if prunes { Step::PruneLook } else { Step::RotateLock });
        }
        if self.my().base != base || cursor + self.len() <= limit {
            return self.begin_again();
        }
        if !self.model.configuration.deadlines {
            return self.blocked();
        }
        self.my().failed = base;
        self.begin_again()
    }

    /// Waits for the lock, with the maintenance byte.
    pub(super) fn lock_or_not(self, back: Step) -> Outcome {
        match () {
            () if self.lock_is_free() => self.lock_then(back),
            () if !self.model.configuration.deadlines => self.blocked(),
            () if back == Step::PruneDecide => self.pruned(),
            () => self.tried(),
        }
    }

    /// The lock is given back: this append has rotated, or could not.
    pub(super) fn tried(mut self) -> Outcome {
        let (base, is_made) = (self.my().base, self.world.temp != NO_FILE);
        match self.world.base == base {
            true => self.my().failed = base,
            false => self.my().owes = true,
        }
        self.go(if is_made { Step::DropTemp } else { Step::Release })
    }

    /// Then the append goes on, or, once it is settled, ends.
    pub(super) fn release(mut self) -> Outcome {
        self.world.maintenance = NOBODY;
        if self.is_settled() { self.next_task() } else { self.begin_again() }
    }

    /// Of an append: whether its message is in the log. Who only prunes has none.
    fn is_settled(&self) -> bool {
        match self.task() {
            Some(Task::Append(_)) => self.world.messages[self.message()].fate == Fate::Acknowledged,
            _ => true,
        }
    }

    // ---- setting

    /// The copy that is not in force is filled.
    pub(super) fn set_keep(mut self) -> Outcome {
        let in_force = usize::from(self.world.policy.number);
        let i = if self.is(Mutant::HalfRecord) { in_force } else { 1 - in_force };
        let copy = &mut self.world.policy.copies[i];
        (copy.is_set, copy.is_whole) = (true, false);
        self.my().i = i as u8;
        self.go(Step::SetKeep)
    }

    pub(super) fn set_segments(mut self) -> Outcome {
        let Some(Task::SetKeep(segments)) = self.task() else { return self.blocked() };
        let i = usize::from(self.my().i);
        self.world.policy.copies[i] = Keep { is_set: true, segments, is_whole: true };
        self.go(Step::SetNumber)
    }

    pub(super) fn set_number(mut self) -> Outcome {
        self.world.policy.number = self.my().i;
        self.next_task()
    }

    // ---- pruning

    /// Nothing of its own is in flight. Whoever has the byte has it since that rotation, and prunes before his own.
    pub(super) fn prune_begin(mut self) -> Outcome {
        if self.world.maintenance != NOBODY || self.is(Mutant::NobodySettlesUp) {
            return self.next_task();
        }
        self.world.maintenance = self.me as u8;
        self.go(Step::PruneLook)
    }

    pub(super) fn prune_look(self) -> Outcome {
        let Keep { is_set, segments, is_whole } = self.in_force();
        let finals = self.finals();
        let over = is_set && (is_whole || self.is(Mutant::HalfRecord)) && finals.len() > segments.into();
        match () {
            () if !over && !self.has_unfinished() => self.pruned(),
            () if self.is(Mutant::UnlinkBeforeNames) => self.go(Step::PruneLock),
            () => self.go(Step::PruneNames),
        }
    }

    pub(super) fn prune_names(mut self) -> Outcome {
        self.world.durable_path = self.world.path;
        self.go(Step::PruneLock)
    }

    /// Before a rotation, or with nothing more to do.
    fn pruned(self) -> Outcome {
        if self.is_settled() { self.go(Step::Release) } else { self.go(Step::RotateLock) }
    }

    fn in_force(&self) -> Keep {
        let Policy { copies, number } = self.world.policy;
        copies[usize::from(number)]
    }

    /// Whether somebody gave segments up, and died before he had unlinked them.
    fn has_unfinished(&self) -> bool {
        self.finals().iter().any(|(_, end)| *end <= self.world.first_kept)
    }

    /// Final segments that are there, oldest first: generation, and where it ends.
    fn finals(&self) -> Vec<(usize, u8)> {
        let World { names, generation, files, path, .. } = self.world;
        let is_final = |g: &usize| names[*g] != NO_FILE && names[*g] != path;
        let named = (0..usize::from(generation)).filter(is_final);
        let end_of = |g: usize| {
            let base = files[usize::from(names[g])].base;
            let later = files.iter().map(|f| f.base).filter(|&b| b != NO_BASE && b > base);
            later.min().unwrap_or(NO_BASE)
        };
        named.map(|g| (g, end_of(g))).collect()
    }

    pub(super) fn prune_decide(mut self) -> Outcome {
        let Keep { is_set, segments, is_whole } = self.in_force();
        let finals = self.finals();
        let over = finals.len().saturating_sub(segments.into()).min(AT_A_TIME);
        let goes = is_set && (is_whole || self.is(Mutant::HalfRecord)) && over > 0;
        if !goes {
            return self.decided();
        }
        if !self.model.configuration.wants(segments) {
            let who = self.model.name(self.me);
            return broken(
                Kind::Unwanted,
                format!("{who} keeps {segments} final segments, and nobody said so"),
            );
        }
        let to = self.world.first_kept.max(finals[over - 1].1);
        self.world.first_kept = to;
        if self.is(Mutant::CheckpointRaised) {
            self.world.checkpoint = to;
        }
        self.decided()
    }

    /// With what is published by then, whoever has died in between.
    fn decided(mut self) -> Outcome {
        self.world.lock = NOBODY;
        let to = self.world.first_kept;
        if !self.has_unfinished() {
            return self.pruned();
        }
        self.my().end = to;
        let next = if self.is(Mutant::UnlinkBeforeSync) { Step::PruneUnlink } else { Step::PruneSync };
        self.go(next)
    }

    pub(super) fn prune_sync(mut self) -> Outcome {
        let end = self.my().end;
        self.world.durable_kept = self.world.durable_kept.max(self.world.first_kept);
        if self.is(Mutant::UnlinkBeforeSync) {
            return self.pruned();
        }
        self.my().end = end;
        self.go(Step::PruneUnlink)
    }

    pub(super) fn prune_unlink(mut self) -> Outcome {
        let end = self.my().end;
        match self.finals().first() {
            Some(&(generation, to)) if to <= end => {
                let file = self.world.names[generation];
                if file == self.world.durable_path {
                    let text = format!("file {file} is unlinked, and a power cut leaves it at the path");
                    return broken(Kind::Lost, text);
                }
                self.world.names[generation] = NO_FILE;
                self.go(Step::PruneUnlink)
            }
            _ if self.is(Mutant::UnlinkBeforeSync) => self.go(Step::PruneSync),
            _ => self.pruned(),
        }
    }
}
