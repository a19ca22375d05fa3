//! `cmd | mmlogctl append LOG`: standard input into a log.
//!
//! One bounded buffer: read what lies there, append all whole lines in it as one message, keep
//! the rest. A log that cannot take more stops the reading, and the pipe stops the producer.
//! Nothing is ever dropped: what cannot be stored is counted and said.
//!
//! | file | job |
//! |---|---|
//! | `input` | standard input: waiting, reading, what still lies in it |
//! | `buffer` | the bytes read and not yet stored, and where the last line ends |
//! | `lines` | time, prefix and line limit, line by line for those who asked |
//! | `store` | the log: full disk, stopped processes, `--tee`, progress |
//! | `sync` | when what was appended is made durable |

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use crate::arguments::{Access, duration, size};
use crate::commands::init::Creation;
use crate::exit::{Exit, Failure, shown};
use crate::output::Output;
use crate::progress::Progress;
use crate::signals::Signals;

mod buffer;
mod input;
mod lines;
mod store;
mod sync;

use buffer::{Buffer, Framing, Upto};
use input::{Input, Read};
use lines::Lines;
use store::Store;
use sync::When;

/// Append standard input to a log: whole lines, nothing ever dropped.
///
/// Creates the log when it is missing. All whole lines that lie in the input are appended as
/// one message, so lines of several writers never mix; a line without its newline waits for
/// it, and a newline that is missing at the end of the input is added. Input that the log
/// cannot take yet stays in the pipe, which stops whoever writes to it.
///
/// While the disk is full, or a stopped process is in the way, it says so once, waits, and
/// goes on by itself. After SIGTERM or SIGINT it stores what lies in the pipe and ends; a
/// second signal ends it at once.
#[derive(Args, Debug)]
pub struct AppendArgs {
    /// The log's data file; created when it is missing.
    log: PathBuf,
    /// Fail when the log does not exist.
    #[arg(long)]
    no_create: bool,
    /// Bytes as they come: no waiting for a newline, none added at the end.
    #[arg(long, conflicts_with_all = ["max_line", "timestamp", "prefix"])]
    raw: bool,
    /// Collect for up to DUR before appending, so that batches are fewer and bigger.
    #[arg(long, value_name = "DUR", value_parser = duration, default_value = "0s")]
    linger: Duration,
    /// Split a line that is longer than this, and say so.
    #[arg(long, value_name = "SIZE", value_parser = line_limit, default_value = "1M")]
    max_line: usize,
    /// What to do while the log cannot grow because the disk is full.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OnFull::Retry)]
    on_full: OnFull,
    /// When to make durable what was stored, against power failures: never, interval=DUR, or always,
    /// which is before anything more is read. After either of the last two, exit code 0 means that
    /// all of it is durable.
    #[arg(long, value_name = "WHEN", value_parser = sync::parse, default_value = "never")]
    sync: When,
    /// Copy to standard output what was stored.
    #[arg(long)]
    tee: bool,
    /// Put the time of storing before each line: RFC 3339, UTC, microseconds.
    #[arg(long)]
    timestamp: bool,
    /// Put TEXT before each line (after the time, if both are asked for).
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    #[command(flatten)]
    creation: Creation,
    #[command(flatten)]
    access: Access,
}

/// What to do while the disk is full.
#[derive(Copy, Clone, Debug, Eq, PartialEq, ValueEnum)]
enum OnFull {
    /// Say it once, wait, and go on when there is space.
    Retry,
    /// Fail with how many bytes were not stored.
    Fail,
}

/// The longest line; it must fit into one message with its newline.
fn line_limit(text: &str) -> Result<usize, String> {
    let limit = size(text)?;
    match usize::try_from(limit) {
        Ok(fits) if limit > 0 && limit < mmlog::MAX_MESSAGE => Ok(fits),
        _ => Err(format!("out of range [1, {}]", mmlog::MAX_MESSAGE - 1)),
    }
}

/// Appends standard input until it ends or a signal comes.
///
/// # Errors
/// What stopped it, with how many bytes were not stored.
pub fn run(args: &AppendArgs, out: &mut Output) -> Result<Exit, Failure> {
    let uncaught = |e: std::io::Error| {
        let text = format!("{}: cannot catch signals: {e}; raise the limit (`ulimit -n`)", shown(&args.log));
        Failure::new(Exit::Failed, text)
    };
    let input = Input::stdin();
    let signals = Signals::catch().map_err(|e| counted(uncaught(e), input.lying()))?;
    let progress = match (out.error_is_terminal(), input.is_terminal()) {
        (true, false) => Progress::showing(),
        _ => Progress::hidden(),
    };
    let framing = if args.raw { Framing::Bytes } else { Framing::Lines { longest: args.max_line } };
    let store = Store::open(args, &signals, progress, out).map_err(|e| counted(e, input.lying()))?;
    let (buffer, lines) = (Buffer::new(framing), Lines::new(args));
    let mut job = Job { buffer, lines, store, linger: args.linger, input: &input, signals: &signals };
    let pumped = job.pump(out);
    let unstored = job.buffer.len() as u64;
    let closed = job.store.close(out);
    // The first reason is the one to act on, also when closing failed too.
    pumped.map_err(|e| counted(e, unstored + input.lying()))?;
    closed?;
    Ok(Exit::Done)
}

/// Adds what the failure cost.
fn counted(failure: Failure, unstored: u64) -> Failure {
    match failure {
        Failure::Said { exit, text } if unstored > 0 => {
            Failure::new(exit, format!("{text} ({unstored} bytes were not stored)"))
        }
        other => other,
    }
}

/// The way from input to store.
struct Job<'a> {
    buffer: Buffer,
    lines: Lines,
    store: Store<'a>,
    linger: Duration,
    input: &'a Input,
    signals: &'a Signals,
}

impl Job<'_> {
    fn pump(&mut self, out: &mut Output) -> Result<(), Failure> {
        let mut deadline = None;
        loop {
            match self.input.read(self.buffer.space(), deadline, self.signals, self.store.trouble()) {
                Ok(Read::Bytes(n)) => {
                    self.buffer.filled(n);
                    if deadline.is_none() && !self.linger.is_zero() {
                        deadline = Instant::now().checked_add(self.linger);
                    }
                    if deadline.is_some() && !self.buffer.is_full() {
                        continue;
                    }
                    self.flush(Upto::LastLine, out)?;
                }
                Ok(Read::TimeUp) => self.flush(Upto::LastLine, out)?,
                Ok(Read::End) => return self.flush(Upto::End, out),
                Ok(Read::Signal) => return self.drain(out),
                Ok(Read::Trouble) => return self.store.check(),
                Err(failure) => {
                    self.flush(Upto::End, out)?;
                    return Err(failure);
                }
            }
            deadline = None;
        }
    }

    /// Stores what can be stored of the buffer.
    fn flush(&mut self, upto: Upto, out: &mut Output) -> Result<(), Failure> {
        while let Some(piece) = self.buffer.piece(upto) {
            let taken = self.lines.next(&piece);
            for _ in 0..taken.split_lines {
                let (path, limit) = (shown(self.store.path()), self.lines.longest());
                out.notice(&format!(
                    "{path}: a line longer than {limit} bytes is split; raise --max-line to keep it whole"
                ));
            }
            let parts = self.lines.parts(&piece);
            self.store.append(parts, out)?;
            // Stored, whatever becomes of the rest: who repeats what was not must not repeat this.
            let settled = self.store.settle(parts, out);
            self.buffer.consume(taken.bytes);
            settled?;
        }
        Ok(())
    }

    /// After a signal: what lies in the pipe at this moment, without waiting for more, and no
    /// more than that, or a busy producer would keep us here.
    fn drain(&mut self, out: &mut Output) -> Result<(), Failure> {
        let mut left = self.input.drainable();
        while left > 0 {
            let space = self.buffer.space();
            let most = space.len().min(left);
            let n = self.input.read_now(&mut space[..most])?;
            if n == 0 {
                break;
            }
            left -= n;
            self.buffer.filled(n);
            self.flush(Upto::LastLine, out)?;
        }
        self.flush(Upto::End, out)?;
        if self.input.is_file() && self.input.lying() > 0 {
            return Err(Failure::new(Exit::Failed, "standard input: stopped by a signal before its end"));
        }
        Ok(())
    }
}
