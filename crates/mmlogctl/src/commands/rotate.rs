//! `mmlogctl rotate LOG`: make what was appended a final segment and go on in a new data file.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use mmlog::{Log, Rotated, Rotation, Stamp};

use crate::arguments::{Access, duration, size};
use crate::exit::{Exit, Failure, shown};
use crate::output::Output;

/// Make what was appended a final segment and go on in a new data file.
///
/// Nobody is stopped or signalled, nothing is copied, and no byte is lost or doubled, under any load: writers and
/// followers go on by themselves. When the command returns the segment is final, and can be compressed, hashed or
/// shipped at once. Its name, LOG.GENERATION-POSITION, orders the segments and never matches *.log.
/// Nothing to do is exit 0 without a word. With both --if-size and --if-age, either is enough.
#[derive(Args, Debug)]
pub struct RotateArgs {
    /// The log's data file.
    log: PathBuf,
    /// Say what would be rotated; change nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Only if the segment has at least that many bytes: 64M, 1G.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    if_size: Option<u64>,
    /// Only if the segment began at least that long ago: 1h, 1d.
    #[arg(long, value_name = "DUR", value_parser = duration)]
    if_age: Option<Duration>,
    /// How long to wait for another maintenance command, or for a writer that does not finish its append.
    #[arg(long, value_name = "DUR", value_parser = duration, default_value = "2s")]
    wait: Duration,
    /// Add the time (UTC) to the segment's name: LOG.GENERATION-POSITION-20261121T093000Z.
    #[arg(long)]
    utc: bool,
    #[command(flatten)]
    pub(crate) access: Access,
}

impl RotateArgs {
    fn how(&self) -> Rotation {
        let mut how = Rotation::default().wait(self.wait);
        if let Some(bytes) = self.if_size {
            how = how.if_size(bytes);
        }
        if let Some(age) = self.if_age {
            how = how.if_age(age);
        }
        let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        match Stamp::new(&now).filter(|_| self.utc) {
            Some(stamp) => how.stamp(stamp),
            None => how,
        }
    }
}

/// Rotates; success is silent unless somebody is looking, for cron.
///
/// # Errors
/// When the log cannot be had; busy after `--wait`, with who it is.
pub fn run(args: &RotateArgs, out: &mut Output) -> Result<Exit, Failure> {
    let options = Log::options().trust(args.access.trust());
    let how = args.how();
    let (verb, rotated) = if args.dry_run {
        ("would make", options.open_reader(&args.log)?.plan_rotation(&how))
    } else {
        let log = options.open(&args.log)?;
        let rotated = log.rotate(&how)?;
        log.close()?;
        ("made", rotated)
    };
    if let Some(rotated) = rotated.filter(|_| args.dry_run || out.is_terminal()) {
        out.line(&said(verb, args, &rotated))?;
    }
    Ok(Exit::Done)
}

fn said(verb: &str, args: &RotateArgs, rotated: &Rotated) -> String {
    let Rotated { base, end, path, .. } = rotated;
    let (log, path, bytes) = (shown(&args.log), shown(path), end - base);
    format!("{log}: {verb} {path} of {bytes} bytes [{base}, {end})")
}
