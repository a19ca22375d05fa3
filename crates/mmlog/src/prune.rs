//! Pruning: final segments that nobody needs any more go, the oldest first; of a log that never rotates the oldest part
//! of the data file gives its blocks back, while it is in use.
//!
//! 1. Lock, so that nothing is half done. Sync up to what will be kept: a checkpoint below which nothing is needed for a
//!    recovery after a reboot. Nothing is held meanwhile: a slow disk is nobody else's wait.
//! 2. Maintenance byte, so that no segment becomes final, or compressed, from here on; once more from 1 if one has. The names
//!    of the log's files are durable from here on, too: after a power cut the file at the path is none of those that go.
//! 3. Lock; decide (a pure function) with the holds as they are now; publish `first_kept`, forget the holes below.
//! 4. Make that durable; from here on what lies below it is gone for everybody, whatever is there.
//! 5. Unlink, oldest first; lock, give blocks back. Who finds less than that done, the next time, does the rest.
//!
//! Positions do not change. Followers look at `first_kept` after each read, and report what they missed as one range.

pub(crate) mod decide;
mod gently;

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use crate::crash::crash_point;
use crate::deadline::Deadline;
use crate::durable::{self, Need};
use crate::error::{Blocker, Fault};
use crate::files::Files;
use crate::files::guard::LogLock;
use crate::files::owner::Operation;
use crate::files::segments::Named;
use crate::holds;
use crate::hooks;
use crate::position::Position;
pub(crate) use gently::{give_way, prune_gently};

use decide::{Decision, Facts, Final, decide};

/// Free space of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Free {
    /// So many bytes.
    Bytes(u64),
    /// A share of all its space, in per cent.
    Percent(u8),
}

/// Whether prune keeps what holds keep.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Holds {
    /// It does.
    #[default]
    Obey,
    /// It does not: their consumers are told what they missed.
    Override,
}

/// What is kept. Of several rules the one that keeps least holds; without any, nothing is pruned.
#[derive(Clone, Debug)]
pub struct Retention {
    pub(crate) wait: Duration,
    pub(crate) keep: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) age: Option<Duration>,
    pub(crate) from: Option<u64>,
    pub(crate) free: Option<Free>,
    pub(crate) holds: Holds,
    pub(crate) hold_max: Option<u64>,
    pub(crate) unrun: bool,
    /// Nothing goes where it is not sure which files are the log's.
    pub(crate) by_policy: bool,
    /// By somebody who has something else to do: a few segments at a time.
    pub(crate) gently: bool,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(2),
            keep: None,
            bytes: None,
            age: None,
            from: None,
            free: None,
            holds: Holds::Obey,
            hold_max: None,
            unrun: false,
            by_policy: false,
            gently: false,
        }
    }
}

impl Retention {
    /// How long to wait for another maintenance operation.
    pub fn wait(mut self, longest: Duration) -> Self {
        self.wait = longest;
        self
    }

    /// The newest so many final segments.
    pub fn keep(mut self, segments: u64) -> Self {
        self.keep = Some(segments);
        self
    }

    /// As many of the newest final segments as fit these bytes of disk.
    pub fn keep_bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Final segments that became so less than that long ago.
    pub fn keep_age(mut self, age: Duration) -> Self {
        self.age = Some(age);
        self
    }

    /// Everything from this position on, also within the current segment: whole pages of its data file that lie below
    /// give their blocks back.
    pub fn keep_from(mut self, position: Position) -> Self {
        self.from = Some(position.get());
        self
    }

    /// While the file system has less free space than that, the oldest final segments go, also those that the other rules
    /// keep. Nothing, where the file system does not say how large it is.
    pub fn keep_free(mut self, least: Free) -> Self {
        self.free = Some(least);
        self
    }

    /// Whether also those are kept with which something is still to be done, see
    /// [`Rotation::with_hook`](crate::Rotation::with_hook), and all behind them.
    pub fn keep_unrun(mut self, keep: bool) -> Self {
        self.unrun = keep;
        self
    }

    /// Whether holds are obeyed; they are if not set.
    pub fn holds(mut self, holds: Holds) -> Self {
        self.holds = holds;
        self
    }

    /// A hold that lags by more bytes keeps nothing. It stays: its consumer is told what it missed, and is obeyed again once
    /// it has caught up.
    pub fn hold_max(mut self, bytes: u64) -> Self {
        self.hold_max = Some(bytes);
        self
    }

    /// Whether any rule needs more than the names.
    fn asks_files(&self) -> bool {
        self.bytes.is_some() || self.age.is_some() || self.free.is_some()
    }
}

/// Why a segment goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// There are more than [`Retention::keep`].
    Count,
    /// They take more than [`Retention::keep_bytes`].
    Bytes,
    /// It is older than [`Retention::keep_age`].
    Age,
    /// It lies below [`Retention::keep_from`].
    Position,
    /// The file system has less free space than [`Retention::keep_free`].
    Free,
    /// An earlier prune gave it up and did not come to its end.
    Unfinished,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Count => "count",
            Self::Bytes => "bytes",
            Self::Age => "age",
            Self::Position => "position",
            Self::Free => "free space",
            Self::Unfinished => "unfinished prune",
        })
    }
}

/// A final segment that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrunedSegment {
    /// Its number.
    pub generation: u64,
    /// Position of its first byte.
    pub base: u64,
    /// First position behind it.
    pub end: u64,
    /// Bytes of disk that it takes.
    pub allocated: u64,
    /// Why it goes.
    pub rule: Rule,
    /// Its file, and its compressed copy if there are both.
    pub paths: Vec<PathBuf>,
}

/// What a prune does, or has done.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Pruning {
    /// Final segments that go, oldest first.
    pub segments: Vec<PrunedSegment>,
    /// Positions of the current data file whose blocks are given back.
    pub punched: Option<Range<u64>>,
    /// What is kept begins there.
    pub first_kept: u64,
    /// The hold that keeps more than the rules do.
    pub held_by: Option<String>,
    /// Final segments that go although something is still to be done with them, by number.
    pub unrun: Vec<u64>,
    /// The segment that is kept, with all behind it, because something is still to be done with it.
    pub waits_for_hook: Option<u64>,
    /// Holds that keep nothing, because they lag by more than [`Retention::hold_max`].
    pub passed_over: Vec<String>,
    /// A generation whose files begin at different positions, because of which the policy takes nothing.
    pub twins: Option<u64>,
    /// Positions are given up, with files or without: old segments may be missing.
    pub gives_up: bool,
}

impl Pruning {
    /// Nothing to do.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.punched.is_none() && !self.gives_up
    }
}

/// Names and positions of what keeps more than the rules do, the one that keeps most first: a segment with which something
/// is still to be done has no name. And the names of those that lag too much.
fn held(files: &Files, facts: &Facts, how: &Retention) -> (Vec<(String, u64)>, Vec<String>) {
    let all = match how.holds {
        Holds::Obey => holds::positions(files),
        Holds::Override => Vec::new(),
    };
    let (mut held, passed_over) = how.without_lagging(all, files.control().look().start);
    if how.unrun {
        let pending = hooks::pending(files);
        let first = facts.finals.iter().find(|f| pending.contains(&f.generation));
        held.extend(first.map(|f| (String::new(), f.base)));
        held.sort_by_key(|(_, position)| *position);
    }
    (held, passed_over)
}

/// The decision, with the holds as they are now, and what it means for the files.
fn decided(files: &Files, facts: &Facts, how: &Retention) -> Result<Pruning, Fault> {
    let (held, passed_over) = held(files, facts, how);
    let mut pruning = pruning(files, facts, how, decide(facts, how, &held))?;
    pruning.passed_over = passed_over;
    Ok(pruning)
}

/// What the decision means for the files.
fn pruning(files: &Files, facts: &Facts, how: &Retention, decision: Decision) -> Result<Pruning, Fault> {
    let Decision { rules, first_kept: decided, held_by } = decision;
    let segment = |(f, rule): (&Final, Rule)| {
        let paths = f.names.iter().map(Named::path).collect();
        let allocated = if how.asks_files() { f.allocated } else { f.on_disk()? };
        Ok(PrunedSegment { generation: f.generation, base: f.base, end: f.end, allocated, rule, paths })
    };
    let segments = facts.finals.iter().zip(rules).map(segment).collect::<Result<Vec<_>, Fault>>()?;
    let pending = hooks::pending(files);
    let unrun = segments.iter().map(|s| s.generation).filter(|g| pending.contains(g)).collect();
    let waits_for_hook = held_by.as_ref().filter(|name| name.is_empty()).map(|_| pending.start);
    let held_by = held_by.filter(|name| !name.is_empty());
    let punched = match how.from {
        Some(_) => files.blocks_below(decided)?,
        None => None,
    };
    // Less than a page below it is not worth announcing.
    let first_kept = match &punched {
        None => decided.min(facts.base).max(facts.first_kept),
        Some(_) => decided,
    };
    let gives_up = first_kept > facts.first_kept;
    let (passed_over, twins) = (Vec::new(), facts.twins.filter(|_| how.by_policy));
    Ok(Pruning {
        segments,
        punched,
        first_kept,
        held_by,
        unrun,
        waits_for_hook,
        passed_over,
        twins,
        gives_up,
    })
}

/// What a prune would do now.
pub(crate) fn plan(files: &Files, how: &Retention) -> Result<Pruning, Fault> {
    let max = files.control().look().start;
    if let Some(value) = how.from.filter(|&from| from > max) {
        return Err(Fault::NoPosition { value, min: files.first_kept(), max });
    }
    let facts = Facts::gather(files, how)?;
    let planned = decided(files, &facts, how)?;
    files.intact().map(|()| planned)
}

pub(crate) fn prune(files: &Files, how: &Retention) -> Result<Pruning, Fault> {
    files.writable()?;
    files.poisoned()?;
    let planned = plan(files, how)?;
    if planned.is_empty() {
        return Ok(planned);
    }
    let deadline = files.deadline(how.wait);
    drop(files.lock(Operation::Prune, &deadline)?);
    let needed = || how.from.unwrap_or(0).max(files.meta.header().current().base);
    let _maintenance = loop {
        durable::sync_to(files, needed(), Need::Checkpoint, &deadline)?;
        crash_point("prune:synced");
        let maintenance = files.maintenance(Operation::Prune, &deadline)?;
        drop(files.lock(Operation::Prune, &deadline)?);
        if files.meta.header().commit.checkpointed() >= needed() {
            break maintenance;
        }
        // Rotated meanwhile.
        deadline.check(|| Blocker::unknown("the maintenance byte, by turns"))?;
    };
    durable::sync_finals(files, &deadline)?;
    // Another one may have been at it.
    let planned = plan(files, how)?;
    if planned.is_empty() {
        return Ok(planned);
    }
    let facts = Facts::gather(files, how)?;
    let planned = announce(files, &files.lock(Operation::Prune, &deadline)?, &facts, how)?;
    files.sync_metadata().map_err(Fault::io("make durable what is kept"))?;
    crash_point("prune:durable");
    let go_on = |gone, of| files.waits().go_on("segments were removed", gone, of);
    take_away(files, &facts, &planned, &files.deadline(Duration::MAX), go_on)?;
    let header = files.meta.header();
    header.overdue_log.pruned();
    header.overdue_process.pruned();
    files.remove_dead_parts();
    if let Some(range) = &planned.punched {
        files.lock(Operation::Prune, &deadline)?.punch(range)?;
        crash_point("prune:punched");
    }
    Ok(planned)
}

/// Step 5. What is kept is durable. Who has them open is looked for `until` then. Oldest first, and none behind one that
/// cannot go: what is left is what a killed prune leaves, whatever becomes of the metadata.
fn take_away(
    files: &Files,
    facts: &Facts,
    planned: &Pruning,
    until: &Deadline,
    go_on: impl Fn(u64, u64) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let going = facts.finals.iter().take(planned.segments.len());
    for (segment, gone) in going.zip(0..) {
        go_on(gone, planned.segments.len() as u64)?;
        for name in &segment.names {
            files.remove_final(name, until)?;
            crash_point("prune:removed");
        }
    }
    if let Some(&last) = planned.unrun.last() {
        files.meta.header().hooks.done(last);
    }
    Ok(())
}

/// Step 3: nobody claims or moves a hold meanwhile.
fn announce(files: &Files, guard: &LogLock<'_>, facts: &Facts, how: &Retention) -> Result<Pruning, Fault> {
    let planned = decided(files, facts, how)?;
    files.intact()?;
    if planned.punched.is_some() {
        guard.can_punch()?;
    }
    if !planned.is_empty() {
        guard.keep_from(planned.first_kept)?;
    }
    Ok(planned)
}
