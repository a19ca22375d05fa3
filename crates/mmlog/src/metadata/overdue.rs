//! The verbs of what the policy asks for and nobody could do: noting it, and when somebody may try again.
//!
//! A failure of the log (a stopped writer, no space, a name that is taken) is everybody's: its word says when anybody may
//! try again, so that a thousand writers do not all try. One of a process (its rights, its descriptors) is only its
//! own: the process waits by a word of its own, and the record in the metadata is for people. (Not: one word for both. Who
//! has no rights would keep the one beside him from rotating who has.)

use crate::layout::Overdue;
use crate::sync::{AtomicU64, Ordering};

/// What could not be done, by its number in the metadata.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Undone {
    /// Rotating: a system call failed.
    Rotation,
    /// Rotating: an append in flight did not end. The record names its process.
    InFlight,
    /// Rotating: somebody else has the maintenance byte, or the log's lock. The record names him.
    Busy,
    /// Rotating: another file has the segment's final name.
    NameTaken,
    /// Removing final segments: a system call failed.
    Pruning,
    /// Either: the process was told to leave it to others.
    LeftToOthers,
}

const KINDS: [Undone; 6] = [
    Undone::Rotation,
    Undone::InFlight,
    Undone::Busy,
    Undone::NameTaken,
    Undone::Pruning,
    Undone::LeftToOthers,
];

impl Undone {
    /// By what number the metadata has it.
    pub fn number(self) -> u32 {
        KINDS.iter().position(|kind| *kind == self).map_or(0, |at| at as u32 + 1)
    }

    /// In one word, for machines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rotation => "rotation",
            Self::InFlight => "in-flight",
            Self::Busy => "busy",
            Self::NameTaken => "name-taken",
            Self::Pruning => "pruning",
            Self::LeftToOthers => "left-to-others",
        }
    }
}

/// Bits of the exponent in a word of the next try.
const EXPONENT_BITS: u32 = 8;

/// So often the time to the next try is doubled at most.
const MOST_DOUBLINGS: u64 = 9;

/// How long after a failure the next try is: the first time, doubled from failure to failure, and at most.
#[derive(Clone, Copy, Debug)]
pub struct Tries {
    shortest_ms: u64,
    longest_ms: u64,
}

/// Of rotating and of removing. (Not: a second at first. A writer that gets no turn for the moment is in the way as one that
/// is stopped, and at full speed a second is hundreds of megabytes.)
pub const OFTEN: Tries = Tries { shortest_ms: 125, longest_ms: 60_000 };
/// Of making space by removing what then did not become free.
pub const SELDOM: Tries = Tries { shortest_ms: 60_000, longest_ms: 3_600_000 };

impl Tries {
    /// Whether somebody may try at that time, by the word of the next try. A time that lies further ahead than any is meant is
    /// not believed.
    pub fn may(self, word: &AtomicU64, now_ms: u64) -> bool {
        let next = word.load(Ordering::Relaxed) >> EXPONENT_BITS;
        !(1..=self.longest_ms).contains(&next.saturating_sub(now_ms))
    }

    /// It failed at that time. Of several failures at once one counts.
    pub fn put_off(self, word: &AtomicU64, now_ms: u64) {
        let seen = word.load(Ordering::Relaxed);
        let (next, exponent) = (seen >> EXPONENT_BITS, (seen & 0xff).min(MOST_DOUBLINGS));
        // Another clock, or another time: from the beginning.
        let exponent = if next.abs_diff(now_ms) > 2 * self.longest_ms { 0 } else { exponent };
        let next = now_ms.saturating_add((self.shortest_ms << exponent).min(self.longest_ms));
        let new = next << EXPONENT_BITS | (exponent + 1);
        let _ = word.compare_exchange(seen, new, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// Nobody else tries for so long.
pub fn hold_off(word: &AtomicU64, now_ms: u64, for_ms: u64) {
    let failures = word.load(Ordering::Relaxed) & 0xff;
    word.store(now_ms.saturating_add(for_ms) << EXPONENT_BITS | failures, Ordering::Relaxed);
}

/// Whether the next try is less than that ahead: somebody holds it off, or it is due soon.
pub fn holds_off(word: &AtomicU64, now_ms: u64, for_ms: u64) -> bool {
    let next = word.load(Ordering::Relaxed) >> EXPONENT_BITS;
    (1..=for_ms).contains(&next.saturating_sub(now_ms))
}

/// Who could not do it, or was in the way.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Culprit {
    /// By its own PID namespace.
    pub pid: u32,
    /// Which that is.
    pub pid_namespace: u64,
    /// The user whose rights it has.
    pub uid: u32,
    /// Its name.
    pub command: String,
}

/// A record, loaded once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Noted {
    /// `None`: a kind that this version does not know.
    pub undone: Option<Undone>,
    /// Since when.
    pub since_ns: u64,
    /// When it was last tried.
    pub at_ns: u64,
    /// Why the last try failed; 0 where no system call did.
    pub errno: i32,
    /// Who.
    pub who: Culprit,
}

impl Overdue {
    /// Notes a failure; since the first one of them, or since now where that would be ahead.
    pub fn note(&self, undone: Undone, errno: i32, who: &Culprit, now_ns: u64) {
        let before = self.get().map(|noted| noted.undone);
        if before.is_some_and(|before| (before == Some(Undone::Pruning)) != (undone == Undone::Pruning)) {
            // Another thing than before: since when that is overdue says nothing of it.
            self.since_ns.store(0, Ordering::Relaxed);
        }
        self.at_ns.store(now_ns, Ordering::Relaxed);
        self.kind.store(undone.number(), Ordering::Relaxed);
        self.errno.store(errno.cast_unsigned(), Ordering::Relaxed);
        self.pid.store(who.pid, Ordering::Relaxed);
        self.uid.store(who.uid, Ordering::Relaxed);
        self.pid_namespace.store(who.pid_namespace, Ordering::Relaxed);
        self.command.store(&who.command);
        let since = self.since_ns.load(Ordering::Relaxed);
        if since == 0 || since > now_ns {
            // Release: whoever sees the time sees the rest. overdue
            let _ = self.since_ns.compare_exchange(since, now_ns, Ordering::Release, Ordering::Relaxed);
        }
    }

    /// Somebody has rotated: nothing of that is overdue, and nobody has to wait.
    pub fn rotated(&self) {
        if self.retry.load(Ordering::Relaxed) != 0 {
            self.retry.store(0, Ordering::Relaxed);
        }
        self.clear(|undone| undone != Some(Undone::Pruning));
    }

    /// Somebody has removed what may go.
    pub fn pruned(&self) {
        self.clear(|undone| undone == Some(Undone::Pruning));
    }

    fn clear(&self, is_done: impl Fn(Option<Undone>) -> bool) {
        if self.get().is_some_and(|noted| is_done(noted.undone)) {
            self.since_ns.store(0, Ordering::Relaxed);
        }
    }

    /// What is noted, if something is.
    pub fn get(&self) -> Option<Noted> {
        let since_ns = self.since_ns.load(Ordering::Acquire); // overdue
        let number = self.kind.load(Ordering::Relaxed) as usize;
        (since_ns != 0).then(|| Noted {
            undone: number.checked_sub(1).and_then(|at| KINDS.get(at)).copied(),
            since_ns,
            at_ns: self.at_ns.load(Ordering::Relaxed),
            errno: self.errno.load(Ordering::Relaxed).cast_signed(),
            who: Culprit {
                pid: self.pid.load(Ordering::Relaxed),
                pid_namespace: self.pid_namespace.load(Ordering::Relaxed),
                uid: self.uid.load(Ordering::Relaxed),
                command: self.command.load(),
            },
        })
    }
}

#[cfg(all(test, not(any(feature = "loom", feature = "shuttle"))))]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    #[test]
    fn tries_are_put_off_by_an_eighth_of_a_second_then_twice_as_long_up_to_a_minute() {
        let word = AtomicU64::new(0);
        assert!(OFTEN.may(&word, NOW), "nothing has failed");
        let mut now = NOW;
        let mut waited = Vec::new();
        for _ in 0..11 {
            OFTEN.put_off(&word, now);
            let next = (now..).step_by(125).find(|&ms| OFTEN.may(&word, ms)).unwrap_or(0);
            waited.push(next - now);
            now = next;
        }
        let doubled = (0..9).map(|n| 125 << n);
        assert_eq!(waited, doubled.chain([60_000, 60_000]).collect::<Vec<u64>>());
    }

    #[test]
    fn a_time_that_nobody_can_have_meant_is_now() {
        for next in [NOW + 60_001, u64::MAX >> EXPONENT_BITS, NOW - 1, 0] {
            for exponent in [0, 6, 255] {
                let word = AtomicU64::new(next << EXPONENT_BITS | exponent);
                assert!(OFTEN.may(&word, NOW), "{next} {exponent}");
                OFTEN.put_off(&word, NOW);
                assert!(!OFTEN.may(&word, NOW) && OFTEN.may(&word, NOW + 60_000), "{next} {exponent}");
            }
        }
    }
}
