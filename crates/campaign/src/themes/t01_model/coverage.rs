//! What was reached: a model that never gets somewhere says nothing about that place.

use super::explore::By;
use super::steps::{Following, Step};
use super::world::{Process, Record, World};

/// Sets of steps, a bit each.
#[derive(Clone, Copy, Default)]
pub(super) struct Coverage {
    taken: u128,
    died_at: u128,
    followed: u32,
    /// By what the journal said: finished or undone by another process than the one that began it.
    recovered: u32,
    died_recovering: u32,
}

/// What a journal says, with the new file at the path or not.
const JOURNALS: [(Record, bool, &str); 7] = [
    (Record::Empty, false, "no journal: growth"),
    (Record::Trim, false, "a trim"),
    (Record::Rotate1, false, "J1, the old file at the path"),
    (Record::Rotate1, true, "one record, the new file at the path"),
    (Record::Rotate2, false, "J2, the old file at the path"),
    (Record::Rotate2, true, "J2, the new file at the path"),
    (Record::Rotate3, true, "J3"),
];

impl Coverage {
    pub(super) fn add(&mut self, other: &Self) {
        self.taken |= other.taken;
        self.died_at |= other.died_at;
        self.followed |= other.followed;
        self.recovered |= other.recovered;
        self.died_recovering |= other.died_recovering;
    }

    pub(super) fn note(&mut self, world: &World, by: By, next: &World) {
        match by {
            By::Follower => self.followed |= 1 << world.follower.at as u32,
            By::Step(p) => {
                let Process { at, back, .. } = world.processes[p];
                self.taken |= 1 << at as u32;
                // With nothing left to recover it does what it took the lock for.
                if at == Step::Recover && next.processes[p].at != Step::Recover {
                    self.taken |= 1 << back as u32;
                }
                if next.processes[p].at == Step::Recover {
                    self.recovered |= others_journal(world, p);
                }
            }
            By::Death(p) => {
                let Process { at, back, .. } = world.processes[p];
                self.died_at |= 1 << at as u32;
                if at == Step::Recover && !world.gate && world.journal.kind == Record::Empty {
                    self.died_at |= 1 << back as u32;
                }
                self.died_recovering |= others_journal(world, p);
            }
        }
    }

    /// What was never reached, in words.
    pub(super) fn missing(&self) -> Vec<String> {
        let idle = |step: &Step| matches!(step, Step::Ready | Step::Done | Step::Dead);
        let steps = || Step::ALL.iter().filter(|step| !idle(step));
        let lacks = |set: u128, number: u32| set & 1 << number == 0;
        let mut missing: Vec<String> = Vec::new();
        missing.extend(steps().filter(|s| lacks(self.taken, **s as u32)).map(|s| format!("step {s:?}")));
        missing
            .extend(steps().filter(|s| lacks(self.died_at, **s as u32)).map(|s| format!("death at {s:?}")));
        let follows = Following::ALL.iter().filter(|f| lacks(self.followed.into(), **f as u32));
        missing.extend(follows.map(|f| format!("follower's step {f:?}")));
        for (n, (_, _, words)) in JOURNALS.iter().enumerate() {
            for (set, what) in [(self.recovered, "recovery"), (self.died_recovering, "death in the recovery")]
            {
                if lacks(set.into(), n as u32) {
                    missing.push(format!("{what} of {words}"));
                }
            }
        }
        missing
    }
}

/// The bit of the journal that a process recovers which it has not written itself.
fn others_journal(world: &World, process: usize) -> u32 {
    let me = &world.processes[process];
    let mine = matches!(me.back, Step::Finish | Step::DropTemp);
    if me.at != Step::Recover || mine {
        return 0;
    }
    let journal = world.journal;
    let is_rotation = !matches!(journal.kind, Record::Empty | Record::Trim);
    let found = (journal.kind, is_rotation && world.path == journal.new);
    JOURNALS.iter().position(|&(kind, new, _)| (kind, new) == found).map_or(0, |n| 1 << n)
}
