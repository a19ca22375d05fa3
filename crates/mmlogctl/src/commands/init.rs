//! `mmlogctl init LOG`: create a log, or check that an existing one has these options.

use std::path::{Path, PathBuf};

use clap::Args;
use mmlog::{Adopt, Log, Options, Origin, units};

use crate::arguments::{Access, octal, size};
use crate::exit::{Exit, Failure, shown};
use crate::output::Output;
use crate::rules::Bounds;
use crate::waits::leave;

/// Create a log, or check that an existing one has these options.
///
/// An existing log is never changed: when it agrees with the options that were given, that is
/// success, else the differences are named. A data file that has no metadata is only taken
/// over with --adopt; its bytes stay where they are.
#[derive(Args, Debug)]
pub struct InitArgs {
    /// The log's data file; its metadata is LOG.mmlog.
    log: PathBuf,
    #[command(flatten)]
    creation: Creation,
    #[arg(long, value_name = "N", help = format!(
        "How long a trim keeps writers waiting before it gives up, in milliseconds [default: {}]",
        mmlog::DEFAULT_GATE_MS
    ))]
    gate_ms: Option<u32>,
    /// Log behind the bytes of a data file that has no metadata.
    #[arg(long)]
    adopt: bool,
    /// With --adopt: also a file that ends in a page or more of NULs, and behind them. Without it such a file is taken for that of
    /// a log whose metadata is gone, for which repair --rebuild is there.
    #[arg(long, requires = "adopt")]
    keep_nuls: bool,
    #[command(flatten)]
    access: Access,
}

/// What is settled when a log is created, and never afterwards.
#[derive(Args, Clone, Debug, Default)]
pub struct Creation {
    #[arg(long, value_name = "SIZE", value_parser = size, help = format!(
        "By how much the data file grows at a time, a multiple of the page size [default: {}]",
        units::size(mmlog::DEFAULT_CHUNK_SIZE)
    ))]
    chunk_size: Option<u64>,
    #[arg(long, value_name = "N", help = format!(
        "How many writers may have the log open at once [default: {}]",
        mmlog::DEFAULT_MAX_WRITERS
    ))]
    max_writers: Option<u32>,
    /// The permission bits of the files, in octal [default: 0666 without the umask].
    #[arg(long, value_name = "OCTAL", value_parser = octal)]
    mode: Option<u32>,
    #[command(flatten)]
    bounds: Bounds,
}

impl Creation {
    /// The library's options with what was typed.
    #[must_use]
    pub fn apply(&self, mut options: Options) -> Options {
        if let Some(bytes) = self.chunk_size {
            options = options.chunk_size(bytes);
        }
        if let Some(n) = self.max_writers {
            options = options.max_writers(n);
        }
        if let Some(mode) = self.mode {
            options = options.mode(mode);
        }
        self.bounds.apply(options)
    }

    /// That the log has another policy than was typed, if it has.
    #[must_use]
    pub fn overruled(&self, path: &Path, log: &Log) -> Option<String> {
        self.bounds.overruled(path, log)
    }
}

/// Creates the log, or compares.
///
/// # Errors
/// When the log cannot be had, or an existing one has other options.
pub fn run(args: &InitArgs, out: &mut Output) -> Result<Exit, Failure> {
    let adopt = match (args.adopt, args.keep_nuls) {
        (false, _) => Adopt::Refuse,
        (true, false) => Adopt::Existing,
        (true, true) => Adopt::WithNuls,
    };
    let mut options = args.creation.apply(args.access.options(&args.log).adopt(adopt));
    if let Some(ms) = args.gate_ms {
        options = options.gate_ms(ms);
    }
    let log = options.open_or_create(&args.log)?;
    match log.origin() {
        Origin::Created => {}
        Origin::Adopted { len } => {
            out.notice(&format!(
                "{}: logs behind the existing {}",
                shown(&args.log),
                units::counted(len, "byte")
            ));
        }
        Origin::Opened => agree(args, &log)?,
    }
    leave(log, out)?;
    Ok(Exit::Done)
}

fn agree(args: &InitArgs, log: &Log) -> Result<(), Failure> {
    let asked = [
        ("chunk_size", args.creation.chunk_size, log.chunk_size()),
        ("max_writers", args.creation.max_writers.map(u64::from), u64::from(log.max_writers())),
        ("gate_ms", args.gate_ms.map(u64::from), u64::from(log.gate_ms())),
    ];
    let mut different = differences(&asked);
    if let Some(asked) = args.creation.mode {
        let is = log.mode()?;
        if is != asked {
            different.push(format!("mode is {is:04o}, asked for {asked:04o}"));
        }
    }
    if different.is_empty() {
        let overruled = args.creation.overruled(&args.log, log);
        return overruled.map_or(Ok(()), |said| Err(Failure::new(Exit::Failed, said)));
    }
    let text = format!(
        "{}: {}; leave the option out to use the log as it is, or remove the log first",
        shown(&args.log),
        different.join("; ")
    );
    Err(Failure::new(Exit::Failed, text))
}

/// One text for each (name, asked, is) where something else was asked for.
fn differences(asked: &[(&str, Option<u64>, u64)]) -> Vec<String> {
    let differs = |&(name, asked, is): &(&str, Option<u64>, u64)| match asked {
        Some(asked) if asked != is => Some(format!("{name} is {is}, asked for {asked}")),
        _ => None,
    };
    asked.iter().filter_map(differs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_for_can_differ() {
        assert!(differences(&[("chunk_size", None, 4096), ("max_writers", Some(9), 9)]).is_empty());
        assert_eq!(
            differences(&[("chunk_size", Some(4096), 16_777_216)]),
            ["chunk_size is 16777216, asked for 4096"]
        );
    }
}
