//! What may be typed after `mmlogctl tail`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgGroup, Args, ValueEnum};

use crate::arguments::{Access, OldSegments, size};
use crate::colours::Colours;
use crate::reading::Holes;
use crate::reading::json::Formed;
use crate::times::TimeRange;

/// Print the end of logs, and follow them.
#[derive(Args, Debug)]
#[command(
    long_about = "Print the end of logs, and follow them. The letters are those of tail(1), also `-50`, `-1f` and `+50`; that one \
    must not be used on a live log: it shows preallocated space as NUL bytes and misses what is stored through \
    memory. Numbers may have a suffix K, M or G (1024, 1024^2, 1024^3). On a terminal control characters \
    are escaped, also those that turn the direction of writing; -R lets colours through. What could not be printed is said on standard error: of a damaged log, or one that lacks a segment, \
    what is there is printed, what lies behind a damaged segment too, and the exit code is 4; where something could not be looked at it is 1, \
    and with --cursor-file, -f or -F the output ends before it. Holes and pruned ranges are no failure. SIGTERM, SIGINT and SIGHUP end following, and whatever keeps a place, within 1 s with exit code 0.",
    group = ArgGroup::new("following").args(["follow", "follow_name"]).multiple(true)
)]
pub struct TailArgs {
    #[command(flatten)]
    pub(super) access: Access,
    /// Logs to print; with several, a line `==> LOG <==` says whose lines follow.
    #[arg(value_name = "LOG", required = true)]
    pub(super) logs: Vec<PathBuf>,
    /// Print the last N lines (without this option 10, with --since all), or with +N all from line N on.
    #[arg(
        short = 'n',
        long,
        value_name = "[+]N",
        allow_hyphen_values = true,
        overrides_with_all = ["lines", "bytes"]
    )]
    pub(super) lines: Option<Count>,
    /// Print the last N bytes, or with +N all from byte N on.
    #[arg(
        short = 'c',
        long,
        value_name = "[+]N",
        allow_hyphen_values = true,
        overrides_with_all = ["lines", "bytes"]
    )]
    pub(super) bytes: Option<Count>,
    /// Print what is appended, as soon as it is; with `name`, go on with a log that was made anew.
    #[arg(
        short,
        long,
        value_enum,
        value_name = "HOW",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "descriptor",
        overrides_with = "follow",
        long_help = "Print what is appended, as soon as it is. `descriptor`, which is meant without HOW, stays with the log that \
        was opened, whatever becomes of its name; `name` goes on with a log that was made anew at the path, and ends when \
        the log was removed, but for --retry. Where it may write the log's metadata, status lists it with what it has not printed."
    )]
    pub(super) follow: Option<By>,
    /// As --follow=name --retry: wait for a log that does not exist yet, and go on with one that was made anew.
    #[arg(
        short = 'F',
        overrides_with = "follow_name",
        long_help = "As --follow=name --retry: wait for a log that does not exist yet, and go on with one that was made anew: when \
        a log is removed and created again, -F goes on with the new one, while -f stays with the old one."
    )]
    pub(super) follow_name: bool,
    /// With -f, wait for a log that does not exist yet; with --follow=name, also for one that was removed.
    #[arg(long)]
    pub(super) retry: bool,
    #[arg(short = 's', long, value_name = "N", value_parser = seconds, hide_short_help = true, help = SLEEP, long_help = SLEEP)]
    pub(super) sleep_interval: Option<f64>,
    /// Never print whose lines follow.
    #[arg(short, long, visible_alias = "silent", overrides_with_all = ["quiet", "verbose"])]
    pub(super) quiet: bool,
    /// Always print whose lines follow; with --since and --until, say how far the ends may be from these times.
    #[arg(short, long, overrides_with_all = ["quiet", "verbose"])]
    pub(super) verbose: bool,
    /// With -f or -F, end when this process has ended; given several times, when all have.
    #[arg(long = "pid", value_name = "PID", requires = "following", value_parser = clap::value_parser!(i32).range(1..))]
    pub(super) pids: Vec<i32>,
    /// Start at this position.
    #[arg(long, value_name = "POSITION", value_parser = size, conflicts_with_all = ["lines", "bytes", "since"])]
    pub(super) from: Option<u64>,
    #[command(flatten)]
    pub(super) times: TimeRange,
    /// Start where this file says, and keep in it how far the output has come.
    #[arg(
        long,
        value_name = "FILE",
        long_help = "Start where this file says, and keep in it how far the output has come. If it does not exist, or is empty, \
        start as the other options say.\n\n\
        It has one line, `UUID EPOCH POSITION LOG`, and is replaced by rename, at most ten times a second while following and \
        always at the end. Where that cannot be (a full disk, a file that is a mount of its own) it is written in place. If a \
        place cannot be saved (the file can only be read, its directory was removed meanwhile), that is said once and the output \
        goes on; the hold stays at the last saved place, and the exit code is 1 unless saving works again. If none was ever \
        saved, nothing is printed, and the exit code is 1.\n\n\
        Where standard output is a pipe or a local socket, the place is what its reader has taken and has lived on with for \
        50 ms. At its end tail waits until the reader has taken everything or has gone, or for a signal. So nothing is missing \
        after a reader died; the last it took may come again.\n\n\
        If the log was made anew since, at the path LOG, the output goes on at the start of the new one, except with -f. A place \
        in another log is an error. What a reboot cost the log behind the place is said, and tail goes on where the log does. \
        Another process that has the file is named, exit code 3. A symbolic link of this user or of root is followed, one of \
        another user is refused. For one log."
    )]
    pub(super) cursor_file: Option<PathBuf>,
    /// Keep prune from what this consumer has not read yet, under this name.
    #[arg(
        long,
        value_name = "NAME",
        requires = "cursor_file",
        long_help = "Keep prune from what this consumer has not read yet, under this name, also while it does not run: \
        `mmlogctl status` lists it, `mmlogctl prune --forget NAME` ends it. The cursor-file is then synced, about once \
        a second, and the hold follows it; it never comes first. Another live process that has the hold is named, exit code 3. \
        Needs permission to write to the log's files."
    )]
    pub(super) hold: Option<String>,
    /// With -o json, keep in the cursor-file only what the consumer acknowledges on this descriptor.
    #[arg(
        long,
        value_name = "FD",
        requires = "cursor_file",
        long_help = "With -o json, keep in the cursor-file, and in the hold, only what the consumer acknowledges: it writes the \
        `end` of an object that it is done with, one number a line, to the pipe or FIFO that tail has open as FD. A \
        number that was not printed, or that is smaller than before, is an error, exit code 1. When the consumer closes \
        it, the place stays where it is. At its end tail waits for the last acknowledgement. After 1048576 objects \
        without one, it waits for that. In bash, with a FIFO: `mkfifo acks; mmlogctl tail -F -n +1 -o json --cursor-file place \
        --ack 3 app.log 3<acks | while read -r line; do ship \"$line\" && jq .end <<<\"$line\"; done >acks`"
    )]
    pub(super) ack: Option<u32>,
    /// Print everything that is final now, from the start or where -n, -c, --from or --cursor-file say, then end; with -F, wait first for a log that does not exist yet.
    #[arg(long)]
    pub(super) until_now: bool,
    #[command(flatten)]
    pub(super) form: Formed,
    /// Lines end with NUL, not newline.
    #[arg(short = 'z', long)]
    pub(super) zero_terminated: bool,
    #[command(flatten)]
    pub(super) colours: Colours,
    /// What to print for a hole, a range whose writer ended before it was written.
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    pub(super) holes: Holes,
    #[command(flatten)]
    pub(super) old: OldSegments,
}

/// Which log is followed.
#[derive(Copy, Clone, Debug, Eq, PartialEq, ValueEnum)]
pub enum By {
    /// The one that was opened, whatever becomes of its name.
    Descriptor,
    /// The one that has the name.
    Name,
}

const SLEEP: &str =
    "Accepted for the sake of tail(1), and without meaning: nothing is polled, a line is shown when it comes";

/// Seconds, as tail(1) has them.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|s: &f64| s.is_finite() && *s >= 0.0);
    seconds.ok_or_else(|| "not a number of seconds such as 1 or 0.5".to_owned())
}

/// The value of `-n` and `-c`.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Count {
    /// `N`: the last N.
    Last(u64),
    /// `+N`: all from the Nth on, counted from 1.
    From(u64),
}

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let count = match text.strip_prefix('+') {
            Some(n) => size(n).map(Self::From),
            None => size(text.strip_prefix('-').unwrap_or(text)).map(Self::Last),
        };
        // They are lines, too.
        count.map_err(|_| "not a number such as 50, +1 or 16K".to_owned())
    }
}

/// What was typed behind `tail`, for unit tests.
#[cfg(test)]
pub(super) fn parse(line: &[&str]) -> Result<TailArgs, clap::Error> {
    let command = TailArgs::augment_args(clap::Command::new("tail"));
    clap::FromArgMatches::from_arg_matches(&command.try_get_matches_from([&["tail"], line].concat())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_signs_and_suffixes() {
        assert_eq!("5".parse(), Ok(Count::Last(5)));
        assert_eq!("-5".parse(), Ok(Count::Last(5)));
        assert_eq!("+2K".parse(), Ok(Count::From(2048)));
        let wrong = "abc".parse::<Count>();
        assert!(wrong.is_err_and(|said| said.contains("number") && !said.contains("size")));
        assert!("".parse::<Count>().is_err());
        assert!("+-1".parse::<Count>().is_err());
        assert!("--1".parse::<Count>().is_err());
    }

    #[test]
    fn the_letters_are_those_of_gnu_tail() {
        let tail = |line: &[&str]| parse(line).is_ok_and(|args| !args.logs.is_empty());
        for line in [
            &["-n5", "a"][..],
            &["-n", "-5", "a"],
            &["-n", "+5", "a"],
            &["-fn0", "a"],
            &["-c", "+1G", "a", "b"],
            &["-fn1", "-s", "0.5", "a"],
            &["--follow=name", "--retry", "-z", "a"],
            &["--follow", "a"],
            &["--sleep-interval=1", "a"],
        ] {
            assert!(tail(line), "{line:?}");
        }
        for wrong in [
            &["-n", "x", "a"][..],
            &[],
            &["--pid", "1", "a"],
            &["-n1", "--from=2", "a"],
            &["-s", "x", "a"],
            &["--follow=file", "a"],
        ] {
            assert!(!tail(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn the_last_of_two_that_contradict_each_other_holds() {
        let Ok(args) = parse(&["-c3", "-n7", "-q", "-v", "a"]) else { unreachable!("does not parse") };
        assert_eq!(
            (args.lines, args.bytes, args.quiet, args.verbose),
            (Some(Count::Last(7)), None, false, true)
        );
    }
}
