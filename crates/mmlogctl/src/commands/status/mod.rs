//! `mmlogctl status LOG...`: how a log is, and what to do next.
//!
//! It looks twice, 50 ms apart: only what stands still between two looks is said to stand. Where a process does nothing
//! that has nothing in flight, it looks once more after a second: it may do so for a moment only.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Args;
use mmlog::{Error, Observer, Options, Status, Thresholds, Together};

use crate::arguments::{Access, OldSegments};
use crate::colours::{Coloured, Painter};
use crate::exit::{Exit, Failure, Verdict};
use crate::output::Output;
use crate::unmade::explain;
use crate::who;

mod human;
pub(crate) mod json;
pub(crate) mod page;

pub(crate) use human::{called, seated};

/// Between the two looks.
pub(crate) const APART: Duration = Duration::from_millis(50);

/// Say how a log is: state, positions, lock, writers, holes, followers, what to do next.
///
/// The first word is the worst that is true: PANICKED, DAMAGED, FULL, LOCKED, STALLED,
/// FULL SOON, WARNING or OK: nobody has anything to do. What to do comes with it, a command
/// on a line of its own. It only looks, and works on a damaged log too. It looks twice, 50 ms
/// apart, so that it can tell a writer that stands from one that works; a third time, a
/// second later, where one seems to be stopped.
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// The data files of the logs.
    #[arg(required = true, value_name = "LOG")]
    logs: Vec<PathBuf>,
    /// One JSON object for each log, one per line; of a log that cannot be read, what is known.
    #[arg(long)]
    json: bool,
    /// End with the exit code that check would have: 0 nothing to look at, 1 a warning, 2 critical, 3 not known; of several
    /// logs the worst counts.
    ///
    /// Without it, every log that could be looked at is 0, whatever its state.
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    coloured: Coloured,
    #[command(flatten)]
    old: OldSegments,
    #[command(flatten)]
    access: Access,
}

/// Reports every log that can be read, whatever its state; says of each other one why it cannot.
///
/// # Errors
/// When standard output fails.
pub fn run(args: &StatusArgs, out: &mut Output) -> Result<ExitCode, Failure> {
    let (exit, verdict) = report(args, out)?;
    Ok(if args.exit_code { verdict.into() } else { exit.into() })
}

/// What is wrong while looking, and the worst of what was seen.
pub(crate) fn report(args: &StatusArgs, out: &mut Output) -> Result<(Exit, Verdict), Failure> {
    let (mut exit, mut verdict) = (Exit::Done, Verdict::Fine);
    let painter = args.coloured.painter(out);
    let shown_besides = if args.json { |_: &Status| Vec::new() } else { human::listed };
    let mut gap = "";
    for (path, looked) in
        args.logs.iter().zip(look_twice(&args.logs, |log| args.old.options(&args.access, log), shown_besides))
    {
        match looked {
            Ok(status) => {
                let of_log = Verdict::of(&status.findings);
                verdict = verdict.or_worse(of_log);
                if args.json {
                    out.text(&json::line(&json::object(&status)))?;
                } else {
                    let text = human::text(&status, out.columns());
                    out.text(&format!(
                        "{gap}{}",
                        coloured(&text, &status.state.to_string(), of_log, painter)
                    ))?;
                    gap = "\n";
                }
                if let Some(failure) = Failure::of_unseen(path, &status) {
                    exit = exit.max(failure.exit());
                    out.report(&failure);
                }
            }
            Err(error) => {
                let found = explain(&error);
                let of_log = Verdict::of_unread(&found);
                verdict = verdict.or_worse(of_log);
                // As of one that could be looked at, where it is known how it is.
                let is_page = !args.json && of_log != Verdict::Unknown;
                if args.json {
                    out.text(&json::line(&json::explained(path, &found)))?;
                } else if is_page {
                    let text = page::explained(path, &found, out.columns());
                    out.text(&format!("{gap}{}", coloured(&text, &json::word(&found), of_log, painter)))?;
                    gap = "\n";
                }
                let failure = Failure::from(error);
                exit = exit.max(failure.exit());
                // Somebody who has just read it reads it once.
                if !(is_page && out.is_one_stream()) {
                    out.report(&failure);
                }
            }
        }
    }
    Ok((exit, verdict))
}

/// With the state, the first word, in its colour.
fn coloured(text: &str, state: &str, verdict: Verdict, painter: Painter) -> String {
    painter.paint(verdict.into(), state) + text.strip_prefix(state).unwrap_or_default()
}

/// Looks at each log, at all of them within the same short time. Of the writers that are named in findings, or shown, it is
/// known then who feeds them.
pub(super) fn look_twice(
    logs: &[PathBuf],
    options: impl Fn(&Path) -> Options,
    shown: impl Fn(&Status) -> Vec<who::Key>,
) -> Vec<Result<Status, Error>> {
    let together = Together::default();
    let first = |path: &PathBuf| {
        let mut observer = Observer::open(path, &options(path).together(&together))?;
        observer.look()?;
        Ok(observer)
    };
    let seen: Vec<Result<Observer, Error>> = logs.iter().map(first).collect();
    if seen.iter().any(Result::is_ok) {
        thread::sleep(APART);
    }
    let mut looked: Vec<_> = seen
        .into_iter()
        .map(|observer| {
            let mut observer = observer?;
            Ok((observer.look()?, observer))
        })
        .collect();
    // Who stands may do so for a moment only.
    let usual = Thresholds::default();
    let is_odd = |one: &Result<(Status, Observer), Error>| {
        one.as_ref().is_ok_and(|(status, _)| status.is_worth_another_look(&usual))
    };
    if looked.iter().any(is_odd) {
        thread::sleep(usual.stopped);
        for one in looked.iter_mut().filter(|one| is_odd(one)) {
            if let Ok((status, observer)) = one {
                match observer.look() {
                    Ok(again) => *status = again,
                    Err(error) => *one = Err(error),
                }
            }
        }
    }
    let mut looked: Vec<_> = looked.into_iter().map(|one| one.map(|(status, _)| status)).collect();
    who::introduce(looked.iter_mut().flatten(), shown);
    looked
}
