//! What may be typed after `mmlogctl tail`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgGroup, Args, ValueEnum};

use crate::arguments::{Access, OldSegments, size};
use crate::reading::Holes;
use crate::storing::line_limit;

/// Print the end of logs, and follow them.
#[derive(Args, Debug)]
#[command(
    long_about = "Print the end of logs, and follow them. The letters are those of tail(1), which itself must \
    not be used on a live log: it shows preallocated space as NUL bytes and misses what is stored through \
    memory. Numbers may have a suffix K, M or G (1024, 1024^2, 1024^3). On a terminal control characters \
    are escaped, also those that turn the direction of writing. What could not be printed is said on standard error: of a damaged log, or one that lacks a segment, \
    what is there is printed and the exit code is 4; where something could not be looked at it is 1. Holes and \
    pruned ranges are no failure.",
    group = ArgGroup::new("following").args(["follow", "follow_name"]).multiple(true)
)]
pub struct TailArgs {
    #[command(flatten)]
    pub(super) access: Access,
    /// Logs to print; with several, a line `==> LOG <==` says whose lines follow.
    #[arg(value_name = "LOG", required = true)]
    pub(super) logs: Vec<PathBuf>,
    /// Print the last N lines (without this option 10), or with +N all from line N on.
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
    /// Print what is appended, as soon as it is.
    #[arg(short, long, overrides_with = "follow")]
    pub(super) follow: bool,
    /// As -f, and wait for a log that does not exist yet, and go on with one that was made anew.
    #[arg(
        short = 'F',
        overrides_with = "follow_name",
        long_help = "As -f, and wait for a log that does not exist yet, and go on with one that was made anew: when \
        a log is removed and created again, -F goes on with the new one, while -f stays with the old one."
    )]
    pub(super) follow_name: bool,
    /// Never print whose lines follow.
    #[arg(short, long, visible_alias = "silent", overrides_with_all = ["quiet", "verbose"])]
    pub(super) quiet: bool,
    /// Always print whose lines follow.
    #[arg(short, long, overrides_with_all = ["quiet", "verbose"])]
    pub(super) verbose: bool,
    /// With -f or -F, end when this process has ended; given several times, when all have.
    #[arg(long = "pid", value_name = "PID", requires = "following", value_parser = clap::value_parser!(i32).range(1..))]
    pub(super) pids: Vec<i32>,
    /// Start at this position.
    #[arg(long, value_name = "POSITION", value_parser = size, conflicts_with_all = ["lines", "bytes"])]
    pub(super) from: Option<u64>,
    /// Start where this file says, and keep in it how far the output has come.
    #[arg(
        long,
        value_name = "FILE",
        long_help = "Start where this file says, if it exists, else as the other options say, and keep in it how far \
        the output has come: one line `UUID EPOCH POSITION LOG`, replaced by rename at most ten times a second while \
        following and always at the end. Where that cannot be, as on a full disk or a file that is a mount of its own, it \
        is written in place; what cannot be saved is said and the output goes on. A symbolic link is followed, an empty \
        file is a fresh start. Where standard output is a pipe, that is what its reader has taken and has \
        lived on with for 50 ms; at its end tail waits until the reader has taken everything or has gone, or for a \
        signal. So nothing is missing after a reader died; the last it took may come again. A place in \
        a log that was made anew since, at the path LOG, goes on at the start of the new one, but for -f; one in another \
        log is an error. Another process that has the file is named, exit code 3. For one log."
    )]
    pub(super) cursor_file: Option<PathBuf>,
    /// Keep prune from what this consumer has not read yet, under this name.
    #[arg(
        long,
        value_name = "NAME",
        requires = "cursor_file",
        long_help = "Keep prune from what this consumer has not read yet, under this name, also while it does not run: \
        `mmlogctl status` lists it, `mmlogctl prune --forget NAME` ends it. The cursor-file is then synced, about once \
        a second, and the hold follows it; it never comes first. Needs permission to write to the log's files."
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
        without one, it waits for that. In bash, with a FIFO: `mkfifo acks; mmlogctl tail -F -o json --cursor-file place \
        --ack 3 app.log 3<acks | while read -r line; do ship \"$line\" && jq .end <<<\"$line\"; done >acks`"
    )]
    pub(super) ack: Option<u32>,
    /// Print everything that is final now, from the start or where -n, -c, --from or --cursor-file say, then end.
    #[arg(long, conflicts_with = "following")]
    pub(super) until_now: bool,
    /// The form of the output.
    #[arg(
        short,
        long,
        value_enum,
        value_name = "FORM",
        default_value_t,
        long_help = "The form of the output. `json` is one object for each line of the log, one on a line: `position` and \
        `end` (where the line begins, and where the next byte after it and its newline lies), `segment` (the \
        generation of the file it begins in), and `text`, or `base64` where the line is not UTF-8; the newline is in \
        neither. A last line without newline is held back while following and has `\"partial\": true` when printed at \
        the end, and so has a piece of a line longer than --max-line: the next object goes on with the line. With --holes say, a hole is an object with `position`, `end` and `hole`, which holds `pid` (null when \
        unknown), `command` and `kind`. With several logs or -v each object has `log`, the path as it was typed, and \
        `log_base64` where that is not UTF-8."
    )]
    pub(super) output: Form,
    /// With -o json, give a longer line in pieces of so many bytes.
    #[arg(
        long,
        value_name = "SIZE",
        value_parser = line_limit,
        default_value = "1M",
        long_help = "With -o json, give a longer line in pieces of so many bytes at most, so that no line takes much memory: \
        about 20 times as much at worst. All but the last piece have `\"partial\": true`, and the next object with `text` \
        or `base64` of the same log goes on with the line, at the position where the piece before ended."
    )]
    pub(super) max_line: usize,
    /// What to print for a hole, a range whose writer died before it was written.
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    pub(super) holes: Holes,
    #[command(flatten)]
    pub(super) old: OldSegments,
}

/// The form of the output.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum Form {
    /// The bytes as they were appended.
    #[default]
    Text,
    /// One JSON object for each line of the log: position, end, segment, and text or base64.
    Json,
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
        match text.strip_prefix('+') {
            Some(n) => size(n).map(Self::From),
            None => size(text.strip_prefix('-').unwrap_or(text)).map(Self::Last),
        }
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
        ] {
            assert!(tail(line), "{line:?}");
        }
        for wrong in [
            &["-n", "x", "a"][..],
            &[],
            &["--pid", "1", "a"],
            &["-f", "--until-now", "a"],
            &["-n1", "--from=2", "a"],
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
