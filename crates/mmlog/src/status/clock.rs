//! Whether what the clock says is doubted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::files::Files;
use crate::files::times::read_clocks;
use crate::sync::Ordering;
use crate::times::{Step, seen_now};

/// Somebody set the clock by more than a minute, within the last hour or since the last look of who appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockDoubt {
    /// How it was set last, where that was noted or can be seen.
    pub set: Option<ClockSet>,
    /// For how long it is doubted yet: until then nothing goes because of its age by a policy.
    pub lasts: Duration,
}

/// How a clock was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSet {
    /// What it said before, at the latest.
    pub from: SystemTime,
    /// What it said then, at the earliest.
    pub to: SystemTime,
    /// What lies there or behind was appended later.
    pub position: u64,
}

impl ClockDoubt {
    /// Asked where the clock is that of who appends.
    pub(super) fn of(files: &Files) -> Option<Self> {
        let times = &files.meta.header().times;
        // In this order, as when a pair is noted.
        let seen = (times.up_ns.load(Ordering::Acquire), times.booted_ns.load(Ordering::Acquire)); // times
        let now = read_clocks();
        let lasts = files.doubts_clock(&now)?;
        let mut steps = files.noted().steps;
        steps.extend(seen_now(seen, [now, read_clocks()], files.control().look().start).err());
        Some(Self { set: steps.iter().max_by_key(|step| step.number).map(ClockSet::of), lasts })
    }
}

impl ClockSet {
    fn of(step: &Step) -> Self {
        let time = |ns| UNIX_EPOCH + Duration::from_nanos(ns);
        Self { from: time(step.before_ns), to: time(step.after_ns), position: step.reserved }
    }
}
