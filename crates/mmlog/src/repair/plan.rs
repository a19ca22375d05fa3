//! Facts and wishes in, steps out: the whole decision, and nothing but it.

use std::path::PathBuf;
use std::sync::Arc;

use super::facts::{Facts, MetadataFact, Suspect};
use crate::error::{Blocker, Class, Fault, GONE, PanicRecord, numbers, shown};
use crate::holes::Hole;
use crate::layout::POSITION_END;
use crate::log::Options;
use crate::metadata::JOURNAL_TRIM;
use crate::sys::place::Place;
use crate::units::counted;

/// What is only done when somebody asks for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// Takes the panic flag away, if the invariants hold.
    ClearPanic,
    /// Makes the metadata anew from the data file.
    Rebuild,
    /// Makes an empty data file behind the lost positions.
    Recreate,
    /// Makes a log of the original's format one of this format.
    Upgrade,
    /// Forgets a failed sync, and what was cut off that `>>` had put behind the log.
    AcceptLoss,
    /// Gives up old segments that are missing.
    ForgetMissing,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Step {
    /// `is_locked` without an owner.
    ClearLockFlag {
        /// Who had it, in words.
        who: String,
    },
    /// A gate that a dead process closed.
    OpenGate {
        /// Where it is closed.
        at: u64,
    },
    /// An operation that a dead process began.
    FinishJournal {
        /// Its kind.
        kind: u64,
    },
    /// A dead writer's slot.
    Settle {
        /// Index.
        slot: u32,
        /// Whose it was.
        pid: u32,
        /// Name of that process.
        command: String,
        /// The range that becomes a hole; torn ones are zeroed.
        hole: Option<Hole>,
    },
    /// The limit does not fit base and size.
    PublishLimit {
        /// What it should be.
        limit: u64,
    },
    /// Bytes behind what the metadata promises: a dead grower's, or appended from outside while somebody wrote.
    CutExcess {
        /// Length now.
        from: u64,
        /// Length after.
        to: u64,
    },
    /// Bytes that somebody who is no writer put behind the log at rest become its own.
    TakeOver {
        /// Position of the first of them.
        at: u64,
        /// How many.
        bytes: u64,
    },
    /// Somebody cut the file: what he took becomes a hole, appends go on behind.
    AcceptTruncation {
        /// Bytes that the metadata promised.
        expected: u64,
        /// Bytes there.
        found: u64,
        /// The positions that are lost.
        lost: (u64, u64),
    },
    /// Cursor and size cannot be believed, or are of before a reboot: the data file says where the log ends.
    RecoverFromData {
        /// What is wrong, in words.
        why: String,
        /// The checkpoint, never gone below.
        synced: u64,
    },
    /// A new, empty data file, its first byte at that position.
    Recreate {
        /// Where the lost positions begin.
        from: u64,
        /// The cursor.
        at: u64,
    },
    /// New metadata from the data file.
    Rebuild {
        /// What is wrong with the old one.
        why: String,
    },
    /// Metadata of this format in place of the original's.
    Upgrade,
    /// A file that a killed operation left.
    RemoveLeftover {
        /// Where it is.
        path: PathBuf,
        /// Bytes of disk that it takes.
        bytes: u64,
    },
    /// The sync error is forgotten.
    AcceptLoss {
        /// Where durability was lost.
        from: u64,
        /// The errno.
        errno: i32,
    },
    /// What `>>` put behind the log, and was cut off, is told no more.
    ForgetCut {
        /// How many bytes that were.
        bytes: u64,
    },
    /// What old segments had that are missing becomes a hole.
    ForgetMissing {
        /// The first position.
        from: u64,
        /// The first one behind.
        to: u64,
    },
    /// The panic flag is taken away.
    ClearPanic(PanicRecord),
}

/// Why something is left as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// Somebody has to ask for it: with that.
    Unasked(Wish),
    /// Its owner is alive.
    Alive,
    /// Nothing here can do it.
    Beyond,
    /// It could not be looked at.
    Unseen,
}

/// Something that the plan does not touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// What, in words, with what to do.
    pub what: String,
    /// Why.
    pub why: Why,
}

/// What to do, and what to leave.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) place: Arc<Place>,
    pub(super) options: Options,
    /// In the order in which they are done.
    pub steps: Vec<Step>,
    /// What stays as it is.
    pub left: Vec<Left>,
}

impl Plan {
    /// Nothing is wrong.
    pub fn is_healthy(&self) -> bool {
        self.steps.is_empty() && self.left.is_empty()
    }

    /// What the caller can do about what is left.
    pub fn class(&self) -> Option<Class> {
        let of = |left: &Left| match left.why {
            Why::Alive => Class::Busy,
            Why::Unasked(_) | Why::Beyond => Class::Damaged,
            Why::Unseen => Class::Refused,
        };
        let has = |class: &Class| self.left.iter().any(|left| of(left) == *class);
        [Class::Busy, Class::Damaged, Class::Refused].into_iter().find(has)
    }
}

/// Steps and what is left.
pub(super) fn decide(facts: &Facts, wishes: &[Wish]) -> (Vec<Step>, Vec<Left>) {
    let mut plan = Deciding { facts, wishes, steps: Vec::new(), left: Vec::new() };
    plan.decide();
    (plan.steps, plan.left)
}

struct Deciding<'a> {
    facts: &'a Facts,
    wishes: &'a [Wish],
    steps: Vec<Step>,
    left: Vec<Left>,
}

impl Deciding<'_> {
    fn wanted(&mut self, wish: Wish, step: Step, otherwise: impl FnOnce() -> String) {
        if self.wishes.contains(&wish) {
            self.steps.push(step);
        } else {
            self.left.push(Left { what: otherwise(), why: Why::Unasked(wish) });
        }
    }

    fn decide(&mut self) {
        let facts = self.facts;
        let rebuild = |why: &str| Step::Rebuild { why: why.into() };
        let unnamed = facts.unnamed_directories.iter().flatten().next();
        match &facts.metadata {
            MetadataFact::Sound => self.decide_sound(),
            MetadataFact::Unfinished if facts.data.is_none() => {
                let what = "creation was not finished; `mmlogctl init LOG` does it, and so does the next append".into();
                self.left.push(Left { what, why: Why::Beyond });
            }
            _ if facts.data.is_none() => {
                let what =
                    "neither a data file nor metadata that says anything; move away what is left".into();
                self.left.push(Left { what, why: Why::Beyond });
            }
            // Without them it would begin at position 0 again, and then no command takes them along.
            _ if unnamed.is_some() => self.left.extend(unnamed.map(|directory| {
                let what = Fault::OldSegmentsUnnamed(directory.clone()).to_string();
                Left { what, why: Why::Beyond }
            })),
            MetadataFact::Version1 => self.wanted(Wish::Upgrade, Step::Upgrade, || {
                "the original's format; cat, tail and status work, `mmlogctl repair --upgrade LOG` makes it writable"
                    .into()
            }),
            MetadataFact::Missing => self.wanted(Wish::Rebuild, rebuild("there is none"), || {
                "no metadata; `mmlogctl repair --rebuild LOG` makes it from the data file".into()
            }),
            MetadataFact::Unfinished => {
                self.wanted(Wish::Rebuild, rebuild("its creation was not finished"), || {
                    "unfinished metadata; `mmlogctl repair --rebuild LOG` makes it from the data file".into()
                });
            }
            MetadataFact::Torn(why) => self.wanted(Wish::Rebuild, rebuild(why), || {
                format!("metadata that says nothing ({why}); `mmlogctl repair --rebuild LOG` makes it from the data file")
            }),
        }
    }

    fn decide_sound(&mut self) {
        let facts = self.facts;
        for suspect in &facts.suspects {
            let Suspect { blocker, process } = suspect;
            let what = format!("{blocker}; it is alive ({process}), not touched: {}", blocker.next_step());
            self.left.push(Left { what, why: Why::Alive });
        }
        // What made it a log of its own would be done to the other one.
        if let Some(stray) = &facts.stray {
            let what = format!(
                "this is the metadata of {}; `mmlogctl status LOG` says what to do",
                shown(stray.log())
            );
            return self.left.push(Left { what, why: Why::Beyond });
        }
        // Both files of a restored copy are others, its data perhaps empty: a recreation that was interrupted leaves the
        // metadata as it was.
        if let Some(why) = &facts.copied {
            return self.wanted(Wish::Rebuild, Step::Rebuild { why: why.clone() }, || {
                format!(
                    "{why}; put the original back, or stop all writers and `mmlogctl repair --rebuild LOG`"
                )
            });
        }
        if let Some(recorded) = facts.foreign {
            if facts.data.is_some_and(|d| d.len == 0) {
                return self.recreate();
            }
            let found = facts.data.map_or(0, |d| d.inode);
            let why = format!("metadata of another file ({})", numbers(recorded, found));
            return self.wanted(Wish::Rebuild, Step::Rebuild { why: why.clone() }, || {
                format!(
                    "{why}; put the right file back, or stop all writers and `mmlogctl repair --rebuild LOG` makes new metadata for this one"
                )
            });
        }
        if let Some(why) = &facts.other_mount {
            return self.wanted(Wish::Rebuild, Step::Rebuild { why: why.clone() }, || {
                format!("{why}; use it where its writers do, or `mmlogctl repair --rebuild LOG` makes this one a log of its own")
            });
        }
        match facts.data {
            None if facts.positions.is_some() => {
                let what = "the data file is gone, and the metadata says nothing that could be believed; \
                            move it away"
                    .into();
                self.left.push(Left { what, why: Why::Beyond });
            }
            None => self.recreate(),
            Some(data) => {
                if let Some(why) = self.unusable() {
                    return self.wanted(Wish::Rebuild, Step::Rebuild { why: why.clone() }, || {
                        format!(
                            "{why}; `mmlogctl repair --rebuild LOG` makes new metadata from the data file"
                        )
                    });
                }
                self.decide_positions(data.len);
            }
        }
        self.decide_stale();
        for missing in &facts.missing {
            let (from, to) = (missing.start, missing.end);
            self.wanted(Wish::ForgetMissing, Step::ForgetMissing { from, to }, || {
                format!(
                    "no file has the positions [{from}, {to}): put their old segments back, or, if they will never come back, `mmlogctl repair --forget-missing LOG`"
                )
            });
        }
        self.decide_flags();
        if let Some(why) = &facts.unseen {
            let what = format!("files of killed operations: {why}");
            self.left.push(Left { what, why: Why::Unseen });
        }
        let left = facts.leftovers.iter().cloned();
        self.steps.extend(left.map(|(path, bytes)| Step::RemoveLeftover { path, bytes }));
    }

    /// What nobody can tell from the rest of the metadata.
    fn unusable(&self) -> Option<String> {
        let facts = self.facts;
        let kind = facts.stale_journal;
        if facts.base >= POSITION_END {
            return Some(format!("base {} is no position", facts.base));
        }
        if let Some(other) = facts.other_base {
            return Some(format!("base is {} in one place and {other} in another", facts.base));
        }
        (kind > JOURNAL_TRIM).then(|| {
            format!("unfinished operation of kind {kind} in the journal; use the build that began it, if there is one")
        })
    }

    fn recreate(&mut self) {
        let (from, at) = (self.facts.base, self.facts.cursor);
        self.wanted(Wish::Recreate, Step::Recreate { from, at }, || {
            format!("the data file is gone, and with it positions [{from}, {at}); {GONE}")
        });
    }

    fn decide_positions(&mut self, len: u64) {
        let facts = self.facts;
        let needs_data = match &facts.positions {
            Some(why) => Some(why.clone()),
            None if facts.rebooted => Some("the metadata is of before a reboot".into()),
            None => None,
        };
        if let Some(why) = needs_data {
            if facts.live_writers > 0 {
                let what = format!(
                    "{why}; {} still open, stop all of them first",
                    counted(facts.live_writers as u64, "writer")
                );
                return self.left.push(Left { what, why: Why::Alive });
            }
            return self.steps.push(Step::RecoverFromData { why, synced: facts.synced });
        }
        if len < facts.file_size {
            let from = facts.base + len;
            let lost = (from, facts.cursor.max(from));
            self.steps.push(Step::AcceptTruncation { expected: facts.file_size, found: len, lost });
        } else if facts.outside > 0 {
            let at = facts.base + facts.file_size;
            self.steps.push(Step::TakeOver { at, bytes: facts.outside });
        } else if len > facts.file_size && self.nobody_works() {
            self.steps.push(Step::CutExcess { from: len, to: facts.file_size });
        }
    }

    /// A grower makes the file longer before it says so.
    fn nobody_works(&self) -> bool {
        self.facts.live_writers == 0
    }

    /// What the next lock heals anyway.
    fn decide_stale(&mut self) {
        let facts = self.facts;
        if facts.stale_journal != 0 {
            self.steps.push(Step::FinishJournal { kind: facts.stale_journal });
        }
        self.steps.extend(facts.stale_gate.map(|at| Step::OpenGate { at }));
        let republished = |step: &Step| {
            matches!(
                step,
                Step::RecoverFromData { .. } | Step::AcceptTruncation { .. } | Step::Recreate { .. }
            )
        };
        if facts.wrong_limit && !self.steps.iter().any(republished) {
            self.steps.push(Step::PublishLimit { limit: facts.base.saturating_add(facts.file_size) });
        }
        for dead in &facts.dead {
            let (slot, pid, command, hole) = (dead.slot, dead.pid, dead.command.clone(), dead.hole.clone());
            self.steps.push(Step::Settle { slot, pid, command, hole });
        }
        let who = |b: &Blocker| format!("process {} ({}, {}) for {}", b.pid, b.command, b.process, b.what);
        self.steps.extend(facts.stale_lock.as_ref().map(|b| Step::ClearLockFlag { who: who(b) }));
    }

    fn decide_flags(&mut self) {
        let facts = self.facts;
        // What something else mends is no reason; whether it did is looked at again before the flag is cleared.
        let nothing_else = self.steps.is_empty() && self.left.is_empty();
        if let Some(why) = facts.violation.as_ref().filter(|_| nothing_else) {
            self.wanted(Wish::Rebuild, Step::Rebuild { why: why.clone() }, || {
                format!("an invariant does not hold ({why}); `mmlogctl repair --rebuild LOG` makes new metadata from the data file")
            });
            // New metadata has no flags; without it they stay.
            return;
        }
        if let Some((from, errno)) = facts.sync_failed {
            self.wanted(Wish::AcceptLoss, Step::AcceptLoss { from, errno }, || {
                format!(
                    "a sync failed (errno {errno}): durability lost from {from} on; copy the log, then `mmlogctl repair --accept-loss LOG`"
                )
            });
        }
        // Nothing of the log is broken: it is told by status alone, and by a plan that was asked for it.
        if let Some(bytes) = facts.outside_cut.filter(|_| self.wishes.contains(&Wish::AcceptLoss)) {
            self.steps.push(Step::ForgetCut { bytes });
        }
        if let Some(record) = &facts.panic {
            self.wanted(Wish::ClearPanic, Step::ClearPanic(record.clone()), || {
                format!(
                    "panicked: process {} ({}), errno {}: {}; find the cause, then `mmlogctl repair --clear-panic LOG`",
                    record.pid, record.command, record.errno, record.reason
                )
            });
        }
    }
}
