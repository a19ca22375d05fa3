//! T10: hostile metadata never crashes, hangs, or makes a write outside the log.
//!
//! | file | what |
//! |---|---|
//! | `forge` | header number N of a seed: random and structured |
//! | `spoil`, `fields` | the ways to spoil one |
//! | `bench` | the files it is put into, and their neighbours |
//! | `exercise` | a child looks, follows, writes, repairs |
//! | `tooled` | the same logs in the hands of `mmlogctl` |
//! | `neighbour` | root works on a log whose owner names a neighbour's directory for his old segments |
//! | `policy` | policies, times and pairs that nobody can have meant, and policies of who may not delete |
//! | `live` | metadata that is scribbled on while it is in use |
//! | `watch` | the parent: a child that dies or stalls is a violation, another goes on behind it |

mod bench;
mod exercise;
mod fields;
mod forge;
mod live;
mod neighbour;
mod policy;
mod spoil;
mod tooled;
mod watch;

use std::time::Duration;

use anyhow::Result;

use self::watch::{Report, Shift};
use super::Theme;
use crate::children::Role;
use crate::run::{Place, Run};

pub(crate) const THEME: Theme = Theme { id: "T10", about: "hostile metadata", run };
pub(crate) const ROLES: &[Role] =
    &[("hostile", exercise::play), ("scribbled", live::play), ("hostile-policy", policy::play)];

/// Headers at the CI size.
const HEADERS: u64 = 1_000_000;
/// Those that `mmlogctl` gets.
const TOOLED: u64 = 120;
/// Only catches a hang: a header takes a millisecond.
const DEADLINE: Duration = Duration::from_secs(180);

fn run(run: &mut Run) -> Result<()> {
    shifts(run, HEADERS, "")?;
    shifts(run, TOOLED, exercise::TOOLED)?;
    live::trapped(run)?;
    live::run(run)?;
    neighbour::run(run)?;
    policy::run(run)?;
    controls(run)
}

/// Works through headers, with a child for each processor.
fn shifts(run: &mut Run, at_ci: u64, control: &'static str) -> Result<()> {
    let headers = run.size.of(at_ci);
    let workers = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let share = headers.div_ceil(workers);
    let (seed, place) = (run.seed, Place::Memory);
    let directories = (0..workers).map(|_| run.directory(place)).collect::<std::io::Result<Vec<_>>>()?;
    let reports: Vec<Result<Report>> = std::thread::scope(|scope| {
        let watch = |(i, directory): (u64, &tempfile::TempDir)| {
            let first = (i * share).min(headers);
            let count = share.min(headers - first);
            let directory = directory.path().into();
            let shift = Shift { seed, first, count, directory, control, deadline: DEADLINE };
            scope.spawn(move || shift.watch())
        };
        let watched: Vec<_> = (0..).zip(&directories).map(watch).collect();
        let join = |handle: std::thread::ScopedJoinHandle<'_, Result<Report>>| {
            handle.join().unwrap_or_else(|_| anyhow::bail!("a watcher panicked"))
        };
        watched.into_iter().map(join).collect()
    });
    for report in reports {
        let report = report?;
        exercise::COUNTS.iter().zip(&report.counts).for_each(|(what, n)| run.count(what, *n));
        report.violations.into_iter().for_each(|v| run.violation(v));
    }
    Ok(())
}

/// Each way to go wrong, on purpose: it must be noticed.
fn controls(run: &mut Run) -> Result<()> {
    for control in ["panic", "abort", "stall", "memory", "spill", "store", "expect good", "expect refused"] {
        let directory = run.directory(Place::Memory)?;
        let deadline = if control == "stall" { Duration::from_secs(2) } else { DEADLINE };
        let shift = Shift {
            seed: run.seed,
            first: 600,
            count: 300,
            directory: directory.path().into(),
            control,
            deadline,
        };
        run.control(control, !shift.watch()?.violations.is_empty());
    }
    Ok(())
}
