//! A policy in the log: writers rotate at `rotate_size` and prune by `keep`, on their slow path, with nothing in flight.
//!
//! - Growth ends at `base + cap`, and so does the next segment's file. Only what is needed goes beyond: for a range in
//!   flight, for the drain, and for an append that cannot rotate, or has tried.
//! - Due is what does not fit, asked under the lock in the segment that is in use then, once half of `rotate_size` is
//!   used: else one long message among short ones would make a segment of each of them. An append tries once.
//! - Prune: decide and publish `first_kept` under the lock; make the metadata durable; unlink, oldest first, at most two.
//!   The checkpoint stays as it is.
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
        let (cap, used, tried) = (self.cap(), cursor - base, self.my().tried);
        let is_half = used > 0 && used * 2 >= self.model.configuration.cap;
        if self.is(Mutant::DueBySize) {
            return match end > cap {
                true if used >= self.model.configuration.cap => self.go(Step::RotateTemp),
                true => self.unlock_then(Step::Ready),
                false => self.grow(end, Step::Ready),
            };
        }
        if end > cap && is_half && !tried { self.go(Step::RotateTemp) } else { self.grow(end, Step::Ready) }
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

    /// The gate is open, and nobody waits for the lock here.
    pub(super) fn prune_try(self) -> Outcome {
        if self.lock_is_free() { self.lock_then(Step::PruneDecide) } else { self.pruned() }
    }

    fn pruned(self) -> Outcome {
        if self.task() == Some(Task::Prune) { self.next_task() } else { self.begin_again() }
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
        let Policy { copies, number } = self.world.policy;
        let Keep { is_set, segments, is_whole } = copies[usize::from(number)];
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
        if !self.finals().iter().any(|(_, end)| *end <= to) {
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
                self.world.names[generation] = NO_FILE;
                self.go(Step::PruneUnlink)
            }
            _ if self.is(Mutant::UnlinkBeforeSync) => self.go(Step::PruneSync),
            _ => self.pruned(),
        }
    }
}
