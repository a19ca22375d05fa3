//! `mmlogctl trim LOG...`: cut the preallocated space behind the last byte off.

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use mmlog::Trimmed;

use crate::arguments::{Access, duration};
use crate::each::{Logs, Verbose};
use crate::exit::{Exit, Failure, shown};
use crate::output::Output;

/// Cut off the preallocated space behind the last byte.
///
/// Safe at any time, also while others append. The last writer to close a log does the same,
/// so this is for logs that stay open. It says what it cut only on a terminal: cron hears of trouble alone.
#[derive(Args, Debug)]
pub struct TrimArgs {
    #[command(flatten)]
    logs: Logs,
    /// Say what would be cut; change nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// How long to wait for others, for each log in all: another maintenance command, the log's lock, a writer in the way.
    #[arg(long, value_name = "DUR", value_parser = duration, default_value = "2s")]
    wait: Duration,
    #[command(flatten)]
    verbose: Verbose,
    #[command(flatten)]
    pub(crate) access: Access,
}

/// Trims; success is silent unless somebody is looking, for cron.
///
/// # Errors
/// When standard output fails.
pub fn run(args: &TrimArgs, out: &mut Output) -> Result<Exit, Failure> {
    args.logs.each(out, |log, out| trim(args, log, out))
}

fn trim(args: &TrimArgs, path: &Path, out: &mut Output) -> Result<Exit, Failure> {
    let begun = Instant::now();
    let options = args.access.options(path).wait(args.wait);
    let (verb, trimmed) = if args.dry_run {
        // A reader: closing a writing handle could itself trim.
        ("would cut", options.open_reader(path)?.plan_trim())
    } else {
        let log = options.open(path)?;
        let trimmed = log.trim(args.wait.saturating_sub(begun.elapsed()))?;
        log.close()?;
        ("cut", trimmed)
    };
    let nothing = args.verbose.tells_of_nothing().then(|| "nothing to cut off".to_owned());
    let what = said(verb, &trimmed).filter(|_| args.dry_run || args.verbose.tells(out));
    if let Some(what) = what.or(nothing) {
        out.line(&format!("{}: {what}", shown(path)))?;
    }
    Ok(Exit::Done)
}

fn said(verb: &str, &Trimmed { before, after, .. }: &Trimmed) -> Option<String> {
    let freed = before.checked_sub(after).filter(|freed| *freed > 0)?;
    Some(format!("{verb} the data file from {before} to {after} bytes ({freed} freed)"))
}
