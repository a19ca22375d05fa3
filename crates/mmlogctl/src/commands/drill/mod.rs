//! `mmlogctl drill`: every incident that `status` knows, staged for real on a scratch log. What `status` then says is
//! held against who did it and what ends it, and what it says is done.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args};

use crate::exit::{Exit, Failure, limited, shown};
use crate::output::Output;
use crate::signals::{self, Signals};

mod act;
mod actor;
mod incidents;
mod mounts;
mod rehearse;
mod report;
pub mod role;
mod sight;
mod stage;
mod undo;

use incidents::Incident;
use report::Report;
use stage::{Stop, Theatre};

/// Rehearse incidents: stage them on a scratch log, see what `status` says, do it.
///
/// Each one is real: processes are stopped and killed, disks filled, files removed, all on logs of its own in a scratch
/// directory. `status` has to say what it is, name the process whose doing it is, and print a step; that step is then
/// done as it is printed, and the log has to be well. One NAME on a terminal is a rehearsal: it waits, so that you can
/// look for yourself and mend it from another terminal. What cannot be staged here is SKIPPED with the reason. Exit
/// code 0 when all that was staged was named and healed.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("which").args(["names", "all", "list"]).required(true))]
pub struct DrillArgs {
    /// Incidents, by their names: those of the findings, and some more.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// All of them.
    #[arg(long)]
    all: bool,
    /// Say which there are, and what they need.
    #[arg(long)]
    list: bool,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    /// Make the scratch directory there [default: where temporary directories are].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Leave the scratch directory, and say where it is.
    #[arg(long)]
    keep: bool,
}

/// The names that may be typed.
#[must_use]
pub fn names() -> Vec<&'static str> {
    incidents::all().iter().map(|incident| incident.name).collect()
}

/// Lists, rehearses, or drills.
///
/// # Errors
/// When an incident is unknown, there is no scratch directory, or a signal came.
pub fn run(args: &DrillArgs, out: &mut Output) -> Result<Exit, Failure> {
    let chosen = choose(args)?;
    if args.list {
        report::list(&chosen, args.json, out)?;
        return Ok(Exit::Done);
    }
    let signals = Signals::catch()
        .map_err(|e| Failure::new(Exit::Failed, format!("cannot catch signals: {}", limited(&e))))?;
    // It takes the stage down first.
    signals::grant(Duration::MAX);
    let theatre = Theatre::open(args.dir.as_deref(), args.keep, signals).map_err(failure)?;
    let watched = rehearse::is_watched(out) && !args.json;
    if let ([incident], false, true) = (&chosen[..], args.all, watched) {
        let outcome = rehearse::rehearse(&theatre, incident, out).map_err(failure)?;
        kept(args, &theatre, out);
        return Ok(if outcome.is_good() { Exit::Done } else { Exit::Failed });
    }
    let mut report = Report::new(args.json);
    for incident in chosen {
        let outcome = act::play(&theatre, incident).map_err(failure)?;
        report.add(outcome, out)?;
    }
    report.finish(out)?;
    kept(args, &theatre, out);
    Ok(if report.is_good() { Exit::Done } else { Exit::Failed })
}

fn kept(args: &DrillArgs, theatre: &Theatre, out: &mut Output) {
    if args.keep {
        out.notice(&format!("{} is left as it is", shown(theatre.root())));
    }
}

fn choose(args: &DrillArgs) -> Result<Vec<&'static Incident>, Failure> {
    if args.names.is_empty() {
        return Ok(incidents::all());
    }
    let find = |name: &String| {
        let unknown = || format!("drill: no incident {name:?}; `mmlogctl drill --list` names them");
        incidents::named(name).ok_or_else(|| Failure::new(Exit::Usage, unknown()))
    };
    let mut chosen = args.names.iter().map(find).collect::<Result<Vec<_>, _>>()?;
    // Each has a directory of its name.
    chosen.sort_by_key(|incident| (incident.finding, incident.name));
    chosen.dedup_by_key(|incident| incident.name);
    Ok(chosen)
}

fn failure(stop: Stop) -> Failure {
    match stop {
        Stop::Interrupted => Failure::new(Exit::Failed, "drill: interrupted; everything on stage has ended"),
        Stop::Failed(why) | Stop::Skipped(why) => Failure::new(Exit::Failed, format!("drill: {why}")),
        Stop::Output(failure) => failure,
    }
}
