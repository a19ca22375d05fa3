//! `mmlogctl rm LOG`: remove data, segments and metadata of a log that nobody has open.

use std::path::PathBuf;

use clap::Args;
use mmlog::{Force, quoted};

use crate::arguments::{Access, OldSegments};
use crate::exit::{Exit, Failure, shown};
use crate::output::Output;
use crate::reading::report;

/// Remove a log that nobody has open: data and metadata, with --all its final segments too.
#[derive(Args, Debug)]
pub struct RmArgs {
    /// The log's data file.
    log: PathBuf,
    /// Remove it although somebody has it open; what they append from then on is lost.
    #[arg(long)]
    force: bool,
    /// Also the final segments, which else stay where they are.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    old: OldSegments,
    #[command(flatten)]
    access: Access,
}

/// Removes the log.
///
/// # Errors
/// Busy when somebody has it open.
pub fn run(args: &RmArgs, out: &mut Output) -> Result<Exit, Failure> {
    let force = if args.force { Force::Always } else { Force::IfUnused };
    let remove = if args.all { mmlog::remove_all } else { mmlog::remove };
    let removed = remove(&args.log, force, &args.old.options(&args.access, &args.log))?;
    if let [first, ..] = removed.left.as_slice() {
        let (log, count, first) = (shown(&args.log), removed.left.len(), shown(first));
        let all = quoted(&args.log);
        let segments = if count == 1 { "final segment stays" } else { "final segments stay" };
        out.notice(&format!(
            "{log}: {count} {segments}, the oldest is {first}; `mmlogctl rm --all {all}` removes them"
        ));
    }
    // Without --all old segments stay anyway, whosever they are.
    let left_out: Vec<_> =
        removed.unseen.into_iter().chain(removed.left_out.into_iter().filter(|_| args.all)).collect();
    match Failure::of_left_out(&args.log, &left_out) {
        Some(failure) => report(failure, out),
        None => Ok(Exit::Done),
    }
}
