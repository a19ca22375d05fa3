//! `mmlogctl rm LOG`: remove data, segments and metadata of a log that nobody has open.

use std::path::PathBuf;

use clap::Args;
use mmlog::Force;

use crate::arguments::Access;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Remove a log that nobody has open: data, segments and metadata.
#[derive(Args, Debug)]
pub struct RmArgs {
    /// The log's data file.
    log: PathBuf,
    /// Remove it although somebody has it open; what they append from then on is lost.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    access: Access,
}

/// Removes the log.
///
/// # Errors
/// Busy when somebody has it open.
pub fn run(args: &RmArgs, _out: &mut Output) -> Result<Exit, Failure> {
    let force = if args.force { Force::Always } else { Force::IfUnused };
    mmlog::remove(&args.log, force, args.access.trust())?;
    Ok(Exit::Done)
}
