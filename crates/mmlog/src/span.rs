//! Which positions belong to a time: from pairs of a time and positions, a range that holds everything of it.
//!
//! - From the greatest `settled` of the pairs before the first pair, by position, that is not before the time, and before
//!   the first step at which the clock may have been there: all that lies below ended earlier.
//! - Up to `reserved` of the first pair behind the last one, by position, that is not after the time, and behind the last
//!   step after which the clock may have been there: all that lies there or behind began later.
//!
//! Where the log has noted nothing (earlier versions made it, it was rebuilt), the files of final segments say when those ended,
//! one end of a range each by the time that makes it longer.
//!
//! So a clock that went back makes the range longer. (Not: bisection. Pairs are not sorted by time where a clock was set.)
//! Pairs of one position are in the order of their times; a step there counts for both ends against them.

mod by_files;
#[cfg(test)]
mod model;

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::Fault;
use crate::files::Files;
use crate::files::times::{Noted, read_clocks};
use crate::follow;
use crate::layout::STEPS_MAX;
use crate::sync::Ordering::{Acquire, Relaxed};
use crate::times::{self, MARGIN_NS, Reading, Step, TOGETHER_NS};

/// The positions of a time: everything of it lies in `from..to`, and perhaps more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// What lies below ended before, or is pruned.
    pub from: u64,
    /// What lies there or behind began later. `None`: the end is open, also for what is appended from now on.
    pub to: Option<u64>,
    /// The clock was set inside: the first time of that, by position.
    pub jumped: Option<Jump>,
    /// Where it begins: what of it may be of before. Nothing where nobody knows how much that is.
    pub first: Option<Edge>,
    /// Where it ends: what of it may be of later.
    pub last: Option<Edge>,
    /// Something of the time may have been pruned: where what is kept begins.
    pub pruned_before: Option<u64>,
    /// The clock was set so often that it is not known any more when, as far back as this: something of the time may be missing.
    pub approximate: bool,
    /// Times of files were taken, where the log has noted none: true unless somebody copied or changed them.
    pub by_files: bool,
}

/// A stretch of a [`Span`] of which it is not known on which side of the asked time it lies, only that it was appended
/// between two times, and that nobody set the clock in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Its positions.
    pub positions: Range<u64>,
    /// The times.
    pub times: Range<SystemTime>,
}

/// Somebody set the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    /// What lies there or behind was appended later.
    pub position: u64,
    /// What the clock said before, at the latest.
    pub from: SystemTime,
    /// What it said then, at the earliest.
    pub to: SystemTime,
}

impl Jump {
    fn of(step: &Step) -> Self {
        Self { position: step.reserved, from: time(step.before_ns), to: time(step.after_ns) }
    }
}

/// When positions were reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The time.
    pub at: SystemTime,
    /// What lies below had been appended.
    pub settled: u64,
    /// What lies there or behind had not been begun.
    pub reserved: u64,
}

/// Pairs by position, and steps.
#[derive(Default)]
struct Known {
    pairs: Vec<times::Pair>,
    steps: Vec<Step>,
    /// When segments had ended, at the latest, by their files: only what lies below is meant.
    ended: Vec<times::Pair>,
    /// When segments ended, at the earliest: only what lies behind is meant.
    began: Vec<times::Pair>,
    /// When the log ended where: as long as nobody has looked, nowhere.
    now: (u64, u64),
}

impl Known {
    /// Those that can be: the log has their positions.
    fn of(noted: Noted, end: u64) -> Self {
        let Noted { mut pairs, mut steps, finals } = noted;
        pairs.extend(finals.iter().map(|segment| segment.ended));
        pairs.retain(|pair| pair.reserved <= end);
        steps.retain(|step| step.reserved <= end);
        let mut known = Self { pairs, steps, ..Self::default() };
        known.sort();
        known
    }

    fn sort(&mut self) {
        times::sort(&mut self.pairs);
        self.steps.sort_unstable_by_key(|step| step.reserved);
    }

    /// Pairs whose `settled` holds.
    fn settled(&self) -> Vec<times::Pair> {
        merged(&self.pairs, &self.ended)
    }

    /// Pairs whose `reserved` holds.
    fn reserved(&self) -> Vec<times::Pair> {
        merged(&self.pairs, &self.began)
    }

    /// The pair with the greatest `settled` before anything that is not before that time.
    fn before(&self, since_ns: u64) -> Option<times::Pair> {
        times::before(&self.settled(), &self.steps, since_ns).copied()
    }

    /// The first pair behind anything that is not after that time.
    fn behind(&self, until_ns: u64) -> Option<times::Pair> {
        times::behind(&self.reserved(), &self.steps, until_ns).copied()
    }

    /// From what had ended before to what was begun after: by a pair that ended it, and one, or now, before which it began.
    fn edge(&self, ended: times::Pair, began: (u64, u64)) -> Option<Edge> {
        let (reserved, at_ns) = began;
        let positions = ended.settled..reserved.max(ended.settled);
        let is_inside = |step: &Step| step.reserved >= positions.start && step.settled <= positions.end;
        let is_sound = !self.steps.iter().any(is_inside) && ended.at_ns <= at_ns;
        is_sound.then(|| Edge { positions, times: time(ended.at_ns)..time(at_ns) })
    }

    fn first_edge(&self, before: times::Pair, since_ns: u64) -> Option<Edge> {
        let is_behind = |pair: &&times::Pair| pair.at_ns >= since_ns && pair.reserved >= before.settled;
        let inside = self.reserved().iter().find(is_behind).map(|pair| (pair.reserved, pair.at_ns));
        self.edge(before, inside.unwrap_or(self.now))
    }

    fn last_edge(&self, behind: times::Pair, until_ns: u64) -> Option<Edge> {
        let is_before = |pair: &&times::Pair| pair.at_ns <= until_ns && pair.settled <= behind.reserved;
        let inside =
            self.settled().into_iter().filter(|pair| is_before(&pair)).max_by_key(|pair| pair.settled);
        self.edge(inside?, (behind.reserved, behind.at_ns))
    }

    fn span(&self, since_ns: Option<u64>, until_ns: Option<u64>) -> Span {
        let before = since_ns.and_then(|since| self.before(since.saturating_sub(MARGIN_NS)));
        let behind = until_ns.and_then(|until| self.behind(until.saturating_add(MARGIN_NS)));
        let from = before.map_or(0, |pair| pair.settled);
        let to = behind.map(|pair| pair.reserved.max(from));
        let is_inside = |step: &&Step| step.reserved >= from && to.is_none_or(|to| step.settled < to);
        let jump = self.steps.iter().find(is_inside);
        let is_by_files = |pair: Option<times::Pair>, files: &[times::Pair]| {
            pair.is_some_and(|pair| files.contains(&pair) && !self.pairs.contains(&pair))
        };
        Span {
            from,
            to,
            jumped: jump.map(Jump::of),
            first: before.zip(since_ns).and_then(|(pair, since)| self.first_edge(pair, since)),
            last: behind.zip(until_ns).and_then(|(pair, until)| self.last_edge(pair, until)),
            pruned_before: None,
            approximate: false,
            by_files: is_by_files(before, &self.ended) || is_by_files(behind, &self.began),
        }
    }
}

fn merged(noted: &[times::Pair], by_files: &[times::Pair]) -> Vec<times::Pair> {
    let mut all = [noted, by_files].concat();
    times::sort(&mut all);
    all
}

fn time(ns: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(ns)
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// What the clock goes by: the time since the boot of the last pair, and the wall clock less the time since the boot.
type Seen = (u64, u64);

impl Known {
    /// Adds what can be seen now, where the clock is that of who appends: it was set since `seen`, or was not. `end` is the
    /// cursor between two readings.
    fn see(&mut self, seen: Seen, [now, again]: [Reading; 2], end: u64) {
        match times::seen_now(seen, [now, again], end) {
            Ok(pair) => self.pairs.push(pair),
            Err(step) => self.steps.push(step),
        }
        self.sort();
    }
}

/// What is known, with what can be seen now; whether steps are missing.
fn known(files: &Files) -> Result<(Known, bool), Fault> {
    let times = &files.meta.header().times;
    files.refresh()?;
    // In this order, as when a pair is noted.
    let seen = (times.up_ns.load(Acquire), times.booted_ns.load(Acquire)); // times
    let now = read_clocks();
    let end = files.end()?;
    let noted = files.noted();
    let (ended, began) = by_files::ends(files, &noted.finals);
    let mut known = Known { ended, began, now: (end, now.at_ns), ..Known::of(noted, end) };
    let lacks_steps = times.steps.load(Relaxed) > STEPS_MAX as u64;
    // The clock here is that of who appends, and neither was nor is being set.
    let is_here = files.has_times() && files.is_of_this_boot() && files.is_copied().is_none();
    let again = read_clocks();
    if is_here && [now, again].iter().all(|reading| reading.took_ns <= TOGETHER_NS) {
        known.see(seen, [now, again], end);
    }
    Ok((known, lacks_steps))
}

pub(crate) fn span(
    files: &Files,
    since: Option<SystemTime>,
    until: Option<SystemTime>,
) -> Result<Span, Fault> {
    let (known, lacks_steps) = known(files)?;
    let mut span = known.span(since.map(nanoseconds), until.map(nanoseconds));
    let oldest = follow::oldest(files)?;
    let oldest_step = known.steps.first().map_or(0, |step| step.reserved);
    span.approximate = lacks_steps && (since.is_some() || until.is_some()) && span.from < oldest_step;
    if span.from < oldest {
        span.pruned_before = since.map(|_| oldest);
        span.from = oldest;
        span.to = span.to.map(|to| to.max(oldest));
    }
    Ok(span)
}

pub(crate) fn pairs(files: &Files) -> Result<Vec<Pair>, Fault> {
    files.refresh()?;
    let known = Known::of(files.noted(), files.end()?);
    let public =
        |pair: &times::Pair| Pair { at: time(pair.at_ns), settled: pair.settled, reserved: pair.reserved };
    Ok(known.pairs.iter().map(public).collect())
}

pub(crate) fn jumps(files: &Files) -> Result<Vec<Jump>, Fault> {
    let (known, _) = known(files)?;
    Ok(known.steps.iter().map(Jump::of).collect())
}
