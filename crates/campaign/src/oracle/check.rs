//! One pass over a log at rest that accounts for every byte.
//!
//! 1. The acknowledged messages, by position: each is there, whole; none overlaps another.
//! 2. What lies between them ([`super::gap`]): holes that the log reports, whole messages of writers that died
//!    before they could acknowledge, NULs. Nothing else.
//! 3. Each writer's messages are in the order in which it appended them, and it has lost at most one.
//! 4. Every hole is explained by a lost message of that length, and runs of NULs are as many as the metadata
//!    says there are holes of unknown place.
//! 5. The segments join, and nothing else lies beside them.
//! 6. What the library itself can check holds.

use std::collections::HashMap;
use std::path::Path;

use mmlog::{Log, Options};

use super::acks::{Acks, Fate};
use super::content::Content;
use super::gap;
use super::message::Label;
use super::segments::Segments;

/// What a log was found to hold.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) acknowledged: u64,
    /// Never acknowledged, yet whole.
    pub(crate) unacknowledged: u64,
    /// Never acknowledged, and absent.
    pub(crate) lost: u64,
    /// Acknowledged, and gone with its segment, as the policy has it.
    pub(crate) pruned: u64,
    /// Refused with an error, and absent.
    pub(crate) refused: u64,
    pub(crate) holes: u64,
    /// Runs of NULs, where holes of unknown place lie.
    pub(crate) runs: u64,
    pub(crate) bytes: u64,
    pub(crate) violations: Vec<String>,
}

/// So many tell enough.
const MOST_VIOLATIONS: usize = 20;

impl Found {
    pub(super) fn wrong(&mut self, what: impl FnOnce() -> String) {
        if self.violations.len() < MOST_VIOLATIONS {
            self.violations.push(what());
        }
    }
}

/// Reads the log at `path`, at rest, and compares it with what was acknowledged.
pub(crate) fn check(path: &Path, acks: &Acks) -> anyhow::Result<(Found, Content)> {
    check_bounded(path, acks, None)
}

/// The same of a log that a policy prunes, which always lets it keep so many final segments: what lies below them may be
/// gone, whole segments of it, from the oldest on.
pub(crate) fn check_bounded(path: &Path, acks: &Acks, keep: Option<u64>) -> anyhow::Result<(Found, Content)> {
    let log = Options::new().open_reader(path)?;
    let content = Content::of(&log)?;
    let status = log.status()?;
    let mut found = Found { bytes: content.bytes.len() as u64, ..Found::default() };
    if content.end() != content.cursor {
        found.wrong(|| format!("the log ends at {}, its cursor is {}", content.end(), content.cursor));
    }
    found.check_order(acks);
    if let Some(keep) = keep {
        found.check_kept(&Segments::look(path)?, &content, keep);
    }
    let maybes = found.check_places(acks, &content, keep.is_some());
    found.check_holes(&log, &maybes, &content, status.holes_total - status.holes.len() as u64);
    for wrong in Segments::look(path)?.check(status.base) {
        found.wrong(|| wrong);
    }
    for violation in mmlog::check::deep(path, &Options::new())?.violations {
        found.wrong(|| violation.to_string());
    }
    Ok((found, content))
}

impl Found {
    /// Step 3, as far as the table tells.
    fn check_order(&mut self, acks: &Acks) {
        let mut writers: HashMap<u32, (u64, u32)> = HashMap::new();
        for (label, fate) in acks.all() {
            let (last, open) = writers.entry(label.writer).or_default();
            match fate {
                Fate::Acknowledged(at) => {
                    let before = std::mem::replace(last, at + u64::from(label.len));
                    if at < before || *open > 0 {
                        self.wrong(|| format!("{label:?} is acknowledged at {at}, its writer had come to {before} ({open} open)"));
                    }
                }
                Fate::Maybe => *open += 1,
                Fate::Refused => self.refused += 1,
            }
            if *open > 1 {
                let open = *open;
                self.wrong(|| {
                    format!("the table says that {label:?} is one of {open} appends in flight of one writer")
                });
            }
        }
    }

    /// Nobody has deleted what the policy keeps, and what is there begins where the oldest segment does.
    fn check_kept(&mut self, segments: &Segments, content: &Content, keep: u64) {
        let finals = &segments.finals;
        if content.base > 0 && (finals.len() as u64) < keep {
            self.wrong(|| format!("{} final segments are left, the policy keeps {keep}", finals.len()));
        }
        if let Some(first) = finals.first().filter(|first| first.base != content.base) {
            self.wrong(|| format!("the log begins at {}, {}", content.base, first.path.display()));
        }
    }

    /// Steps 1 and 2; the messages that were announced and are neither acknowledged nor there.
    fn check_places(&mut self, acks: &Acks, content: &Content, pruned: bool) -> gap::Maybes {
        let mut placed: Vec<(u64, u32)> = Vec::new();
        let mut maybes = gap::Maybes::default();
        for (label, fate) in acks.all() {
            match fate {
                Fate::Acknowledged(at) => placed.push((at, label.number)),
                Fate::Maybe => maybes.add(acks, label),
                Fate::Refused => {}
            }
        }
        placed.sort_unstable();
        let (mut at, mut expected) = (content.base, Vec::new());
        for (start, number) in placed {
            let Some((label, _)) = acks.look(number) else { continue };
            if pruned && start + u64::from(label.len) <= content.base {
                self.pruned += 1;
                continue;
            }
            if start < at {
                self.wrong(|| format!("{label:?} is acknowledged at {start}, within what ends at {at}"));
                continue;
            }
            gap::walk(self, &mut maybes, acks, content, at..start);
            label.write(acks.seed(), &mut expected);
            let there = content.at(start, expected.len());
            if there != expected {
                self.wrong(|| describe(acks, &label, start, &expected, there));
            }
            self.acknowledged += 1;
            at = start + u64::from(label.len);
        }
        gap::walk(self, &mut maybes, acks, content, at..content.end());
        self.lost = maybes.left().count() as u64;
        maybes
    }

    /// Step 4. `unplaced` is what the metadata counted.
    fn check_holes(&mut self, log: &Log, maybes: &gap::Maybes, content: &Content, unplaced: u64) {
        self.holes = content.holes.len() as u64;
        let mut lengths: HashMap<u64, u64> = HashMap::new();
        maybes.left().for_each(|label| *lengths.entry(label.len.into()).or_default() += 1);
        for hole in &content.holes {
            match lengths.get_mut(&(hole.end - hole.start)) {
                Some(left) if *left > 0 => *left -= 1,
                // One that was refused may have left its hole, too.
                _ if self.refused > 0 => {}
                _ => self.wrong(|| format!("{hole:?}: no lost message has that length")),
            }
        }
        let (runs, holes, gone) = (self.runs, self.holes, self.lost + self.refused);
        if runs > unplaced {
            self.wrong(|| {
                format!("{runs} runs of NULs, the metadata counted {unplaced} holes of unknown place")
            });
        }
        if holes + unplaced > gone {
            let path = log.path().display();
            self.wrong(|| {
                format!("{path}: {holes} holes and {unplaced} of unknown place, {gone} messages are gone")
            });
        }
    }
}

/// What is there in place of an acknowledged message.
fn describe(acks: &Acks, label: &Label, start: u64, expected: &[u8], there: &[u8]) -> String {
    let differs = expected.iter().zip(there).position(|(a, b)| a != b).unwrap_or(there.len());
    let what = match Label::read(acks.seed(), there) {
        Some(other) if other != *label => format!("{other:?} is there (doubled, or in the wrong place)"),
        _ if there.len() < expected.len() => "the log ends within it".into(),
        _ if there.iter().all(|&b| b == 0) => "NULs or a hole are there: it is lost".into(),
        _ => "it is torn".into(),
    };
    let (is, should) = (there.get(differs).copied(), expected.get(differs).copied());
    format!("{label:?}, acknowledged at {start}: {what}; byte {differs} is {is:?}, not {should:?}")
}
