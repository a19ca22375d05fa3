//! The table of holes: ranges that were reserved and abandoned.
//!
//! An entry is published by its `start` (position + 1): the noter stores 0, then the other fields, then `start`
//! (label `hole`); a reader loads `start`, the fields, and `start` again. Positions are never reused, so an equal
//! `start` means the same hole. A hole is noted before its slot becomes idle, so whoever finds the slot idle and
//! looks at the table afterwards finds the hole there.

use std::fmt;
use std::time::SystemTime;

use crate::layout::{HoleCounts, HoleEntry};
use crate::slots::Phase;
use crate::sync::{Ordering, fence};
use crate::sys::process::{Who, now_ns, time_of};

/// What became of an abandoned range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HoleKind {
    /// Its writer died while it stored bytes; they were zeroed.
    Torn,
    /// No byte of it was ever stored.
    Unwritten,
    /// Somebody who is no writer, or a power cut, took the bytes.
    Lost,
    /// Given up by prune. Never in the table.
    Pruned,
    /// The segment's file was removed by somebody; [`Hole::is_noted`] says whether `repair` took note of that. Never in the
    /// table.
    Gone,
    /// In segments that nobody could look for: this user may not list the log's directory. Never in the table.
    Unseen,
    /// Below the watermark but behind the end of the data file, or of a place that cannot be told.
    Unplaced,
}

impl HoleKind {
    /// As the table has it; an unplaced hole has no place there.
    fn number(self) -> u32 {
        match self {
            Self::Torn => 3,
            Self::Lost => 4,
            Self::Unwritten | Self::Unplaced | Self::Pruned | Self::Gone | Self::Unseen => 2,
        }
    }

    fn of(number: u32) -> Self {
        match number {
            3 => Self::Torn,
            4 => Self::Lost,
            _ => Self::Unwritten,
        }
    }
}

impl fmt::Display for HoleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Torn => "torn",
            Self::Unwritten => "unwritten",
            Self::Lost => "lost",
            Self::Pruned => "pruned",
            Self::Gone => "gone",
            Self::Unseen => "unseen",
            Self::Unplaced => "unplaced",
        })
    }
}

/// A range of positions without content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    /// First position.
    pub start: u64,
    /// Length, bytes.
    pub len: u64,
    /// Who left it, 0 if that is not known.
    pub pid: u32,
    /// Name of the process that left it.
    pub command: String,
    /// What became of it.
    pub kind: HoleKind,
    /// Somebody has taken note of it; false while it is only seen, as in a dead writer's slot.
    pub is_noted: bool,
    /// When that was, if it is known: a clock that was not set yet tells nobody.
    pub at: Option<SystemTime>,
}

impl Hole {
    /// First position behind it.
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.len)
    }

    /// A range that nobody of ours gave up.
    pub(crate) fn lost(start: u64, end: u64) -> Self {
        let len = end.saturating_sub(start);
        let (pid, command, kind) = (0, String::new(), HoleKind::Lost);
        Self { start, len, pid, command, kind, is_noted: false, at: None }
    }

    /// A range that nobody ever stored in.
    pub(crate) fn unwritten(start: u64, end: u64) -> Self {
        Self { kind: HoleKind::Unwritten, ..Self::lost(start, end) }
    }

    /// A range that prune gave up.
    pub(crate) fn pruned(start: u64, end: u64) -> Self {
        Self { kind: HoleKind::Pruned, ..Self::lost(start, end) }
    }

    /// The hole that a dead writer's slot stands for, `None` when its place cannot be told.
    pub(crate) fn of_slot(phase: Phase, start: u64, len: u64, who: &Who) -> Option<Self> {
        let kind = match phase {
            Phase::Reserving => return None,
            Phase::Waiting => HoleKind::Unwritten,
            Phase::Copying => HoleKind::Torn,
        };
        let (pid, command) = (who.pid, who.command.clone());
        Some(Self { start, len, pid, command, kind, is_noted: false, at: None })
    }
}

/// Notes a hole, as far as the table does not have it; the caller has the log's lock. No two entries overlap: what is
/// noted before keeps its place, but for what lies wholly in the new one. When the table is full the oldest is forgotten
/// and counted.
pub(crate) fn note(table: &[HoleEntry], counts: &HoleCounts, hole: &Hole) {
    let mut rest = hole.start..hole.end();
    let mut covered = Vec::new();
    let mut known: Vec<_> = table.iter().filter_map(|e| Some((range_of(e)?, e))).collect();
    known.sort_by_key(|(known, _)| known.start);
    for (known, entry) in known.iter().filter(|(known, _)| known.start < hole.end() && known.end > hole.start)
    {
        if known.start >= hole.start && known.end <= hole.end() && *known != (hole.start..hole.end()) {
            covered.push(*entry);
        } else if known.start <= rest.start {
            rest.start = rest.start.max(known.end);
        } else {
            rest.end = rest.end.min(known.start);
        }
    }
    if rest.start < rest.end {
        put(table, counts, hole, rest, &covered);
    }
    counts.noted.fetch_add(1, Ordering::Release); // hole
}

/// For whoever has the log's lock: nobody else stores there.
fn range_of(entry: &HoleEntry) -> Option<std::ops::Range<u64>> {
    let start = entry.start.load(Ordering::Relaxed).checked_sub(1)?;
    Some(start..start.saturating_add(entry.len.load(Ordering::Relaxed)))
}

/// `covered`: entries of which nothing is left beside the new one.
fn put(
    table: &[HoleEntry],
    counts: &HoleCounts,
    hole: &Hole,
    range: std::ops::Range<u64>,
    covered: &[&HoleEntry],
) {
    let starts = table.iter().map(|e| (e.start.load(Ordering::Relaxed), e));
    let oldest = starts.min_by_key(|&(start, _)| start);
    let Some((old, entry)) = covered.first().map(|e| (0, *e)).or(oldest) else { return };
    if old != 0 {
        counts.forgotten.fetch_add(1, Ordering::Relaxed);
    }
    entry.start.store(0, Ordering::Relaxed);
    fence(Ordering::Release);
    entry.len.store(range.end - range.start, Ordering::Relaxed);
    entry.pid.store(hole.pid, Ordering::Relaxed);
    entry.kind.store(hole.kind.number(), Ordering::Relaxed);
    entry.at_ns.store(now_ns(), Ordering::Relaxed);
    entry.command.store(&hole.command);
    entry.start.store(range.start + 1, Ordering::Release); // hole
    for entry in covered.iter().skip(1) {
        entry.start.store(0, Ordering::Release); // hole
    }
}

/// Forgets the holes that `keep` does not want, because their positions mean something else now; the caller has the
/// log's lock.
pub(crate) fn retain(table: &[HoleEntry], keep: impl Fn(&Hole) -> bool) {
    for entry in table {
        if load(entry).is_none_or(|hole| !keep(&hole)) {
            entry.start.store(0, Ordering::Release); // hole
        }
    }
}

/// The holes in the table, by position.
pub(crate) fn all(table: &[HoleEntry]) -> Vec<Hole> {
    let mut holes: Vec<Hole> = table.iter().filter_map(load).collect();
    holes.sort_by_key(|h| h.start);
    holes
}

/// Those in the table, and those that dead writers' slots stand for and it does not have; by position.
pub(crate) fn with_dead(noted: Vec<Hole>, dead: impl Iterator<Item = Hole>) -> Vec<Hole> {
    let is_noted = |hole: &Hole| noted.iter().any(|h| h.start <= hole.start && hole.end() <= h.end());
    let unnoted: Vec<Hole> = dead.filter(|hole| !is_noted(hole)).collect();
    let mut all = [noted, unnoted].concat();
    all.sort_by_key(|h| (h.start, !h.is_noted));
    all.dedup_by_key(|h| h.start);
    all
}

fn load(entry: &HoleEntry) -> Option<Hole> {
    let key = entry.start.load(Ordering::Acquire); // hole
    let hole = Hole {
        start: key.checked_sub(1)?,
        len: entry.len.load(Ordering::Relaxed),
        pid: entry.pid.load(Ordering::Relaxed),
        command: entry.command.load(),
        kind: HoleKind::of(entry.kind.load(Ordering::Relaxed)),
        is_noted: true,
        at: time_of(entry.at_ns.load(Ordering::Relaxed)),
    };
    fence(Ordering::Acquire);
    (entry.start.load(Ordering::Relaxed) == key).then_some(hole)
}
