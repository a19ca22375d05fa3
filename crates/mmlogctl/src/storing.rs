//! What the commands share that store lines in a log.
//!
//! One bounded buffer a stream: all whole lines in it are appended as one message, the rest waits. Nothing
//! is dropped unless that was asked for (`--on-full drop`), and then the log says how much: what cannot be stored
//! for another reason is the caller's to count and say.
//!
//! | file | job |
//! |---|---|
//! | `buffer` | the bytes read and not yet stored, and where the last line ends |
//! | `lines` | time, prefix and line limit, line by line for those who asked |
//! | `store` | where it is stored: in the log, or in the count of what was dropped |
//! | `opened` | the log, once there is space to make it |
//! | `patience` | full disk, stopped processes: when it is tried again |
//! | `compressor` | final segments, compressed as the policy says |
//! | `dropped` | what `--on-full drop` dropped, and the line that says so |
//! | `place` | whether a stream is the log itself, and whether the path still leads to it |
//! | `sync` | when what was appended is made durable |

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use mmlog::{Log, units};

use crate::arguments::{Access, duration, size};
use crate::commands::init::Creation;
use crate::exit::{Exit, Failure, limited, shown};
use crate::output::{Output, Standard};

pub(crate) mod buffer;
mod compressor;
mod dropped;
pub(crate) mod lines;
pub(crate) mod opened;
pub(crate) mod patience;
pub(crate) mod place;
pub(crate) mod store;
pub(crate) mod sync;

use buffer::{BUFFER, Buffer, Framing, Upto};
use lines::{Lines, Time};
use store::Store;
use sync::When;

/// The most bytes read at a time: what was read should still be in the processor's cache when it
/// is stored, and a store that is longer fills larger folios. 256 KiB measured best of 64 to 1024.
pub(crate) const AT_ONCE: usize = 256 << 10;

/// How lines are stored.
#[derive(Args, Debug)]
pub(crate) struct Storing {
    /// The log's data file; created when it is missing.
    pub(crate) log: PathBuf,
    /// Fail when the log does not exist.
    #[arg(long)]
    no_create: bool,
    /// Collect for up to DUR before appending, so that batches are fewer and bigger.
    #[arg(long, value_name = "DUR", value_parser = duration, default_value = "0s")]
    pub(crate) linger: Duration,
    /// Split a line that is longer than this, and say so. Each piece is a line of exactly SIZE bytes, the last one may
    /// be shorter; --split-mark tells them from lines of that length. This much of a line is held in
    /// memory (but at least 1M), twice with --timestamp or --prefix.
    #[arg(long, value_name = "SIZE", value_parser = line_limit, default_value = "1M")]
    max_line: usize,
    /// Put TEXT at the end of each piece of a split line but the last, so that whoever reads can join them: where a
    /// line ends with TEXT, the next one of the same writer (told by --prefix, where there are several) goes on with it.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    split_mark: String,
    /// What to do while the log cannot be made, or cannot grow, because the disk is full. While all slots for writers are taken, both retry and
    /// drop wait for one.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OnFull::Retry)]
    pub(crate) on_full: OnFull,
    /// When to make durable what was stored, against power failures: never, interval=DUR, or always,
    /// which is before anything more is read. After either of the last two, exit code 0 means that
    /// all of it is durable.
    #[arg(long, value_name = "WHEN", value_parser = sync::parse, default_value = "never")]
    sync: When,
    /// Keep about this much of the log's end in the page cache, and write out and drop what lies further behind: for hosts
    /// whose other programs need the cache. A burst of more has to wait for the disk. Whole chunks are kept, at
    /// least as many as are mapped.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    drop_behind: Option<u64>,
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

impl Storing {
    /// Whether anything of it has to be durable.
    fn syncs(&self) -> bool {
        self.sync != When::Never
    }

    /// Bytes of the metadata of a log that is made so.
    pub(crate) fn metadata_len(&self) -> u64 {
        self.creation.apply(Log::options()).metadata_len()
    }

    /// Why there are no signals.
    pub(crate) fn uncaught(&self, e: &io::Error) -> Failure {
        let log = shown(&self.log);
        Failure::new(Exit::Failed, format!("{log}: cannot catch signals: {}", limited(e)))
    }

    /// What is put before each line, and how long one may be.
    pub(crate) fn lines(&self) -> Lines {
        self.lines_prefixed(self.prefix.as_deref().unwrap_or_default())
    }

    /// The same with another prefix.
    pub(crate) fn lines_prefixed(&self, prefix: &str) -> Lines {
        let time = if self.timestamp { Time::Put } else { Time::Omit };
        Lines::new(self.max_line, time, prefix).marking(&self.split_mark)
    }
}

/// What to do while the disk is full.
#[derive(Copy, Clone, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum OnFull {
    /// Say it once, wait, and go on when there is space.
    Retry,
    /// Fail with how many bytes were not stored; for exec, the former name of drop.
    Fail,
    /// Drop what comes, go on when there is space, and leave one line in the log that says how much was dropped.
    Drop,
}

/// The longest line; it must fit into one message with the lines before it, a time, a prefix, and a line about what was
/// dropped. The system lets an argument have 128 KiB.
const LONGEST_LINE: u64 = mmlog::MAX_MESSAGE - 2 * BUFFER as u64;

pub(crate) fn line_limit(text: &str) -> Result<usize, String> {
    let limit = size(text)?;
    match usize::try_from(limit) {
        Ok(fits) if (1..=LONGEST_LINE).contains(&limit) => Ok(fits),
        _ => Err(format!("out of range [1, {LONGEST_LINE}]")),
    }
}

/// One stream's way into the log.
pub(crate) struct Stream {
    buffer: Buffer,
    lines: Lines,
    /// Where `--tee` copies to, as long as it can.
    copies: Option<Copies>,
    /// Why it cannot any more, where `--tee-ends` wants to know.
    broken: Option<Failure>,
}

/// `--tee`, `--tee-ends`.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Copies {
    to: Standard,
    /// Without them the stream is over.
    ends: bool,
}

impl Copies {
    /// What was asked for.
    pub(crate) fn asked(tee: bool, tee_ends: bool, to: Standard) -> Option<Self> {
        (tee || tee_ends).then_some(Self { to, ends: tee_ends })
    }
}

impl Stream {
    /// Whole lines.
    ///
    /// # Errors
    /// When there is no memory for the longest line.
    pub(crate) fn of_lines(lines: Lines, copies: Option<Copies>) -> Result<Self, Failure> {
        Self::new(Framing::Lines { longest: lines.longest() }, lines, copies)
    }

    /// Bytes as they come.
    ///
    /// # Errors
    /// When there is no memory for them.
    pub(crate) fn of_bytes(copies: Option<Copies>) -> Result<Self, Failure> {
        Self::new(Framing::Bytes, Lines::untouched(), copies)
    }

    fn new(framing: Framing, mut lines: Lines, copies: Option<Copies>) -> Result<Self, Failure> {
        let short = |e| {
            let text = format!(
                "no memory to hold lines in: {e}; raise the limit (`ulimit -v`), or lower --max-line"
            );
            Failure::new(Exit::Failed, text)
        };
        lines.reserve().map_err(short)?;
        Ok(Self { buffer: Buffer::new(framing).map_err(short)?, lines, copies, broken: None })
    }

    /// How many bytes are read and not stored.
    pub(crate) fn held(&self) -> usize {
        self.buffer.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.buffer.is_full()
    }

    /// Where copies go, if the stream is over without them: its reader may be gone (POLLERR) before anything is written.
    pub(crate) fn needs(&self) -> Option<Standard> {
        self.copies.filter(|copies| copies.ends).map(|copies| copies.to)
    }

    /// Why the stream is over, if it is: its copies could not be written.
    pub(crate) fn broken(&mut self) -> Option<Failure> {
        self.broken.take()
    }

    /// Copies no more.
    pub(crate) fn copy_no_more(&mut self) {
        self.copies = None;
    }

    /// Where to read to; never empty if [`Stream::flush`] came behind what was read last.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        self.buffer.space()
    }

    /// `n` bytes were read into the space.
    pub(crate) fn filled(&mut self, n: usize) {
        self.buffer.filled(n);
    }

    /// Stores what can be stored of what is held, and copies it.
    pub(crate) fn flush(
        &mut self,
        upto: Upto,
        store: &mut Store<'_>,
        out: &mut Output,
    ) -> Result<(), Failure> {
        while let Some(piece) = self.buffer.piece(upto) {
            let taken = self.lines.next(&piece);
            for _ in 0..taken.split_lines {
                let (path, limit) = (shown(store.path()), self.lines.longest());
                out.notice(&format!(
                    "{path}: a line longer than {limit} bytes is split; raise --max-line to keep it whole"
                ));
            }
            let parts = self.lines.parts(&piece);
            store.append(parts, taken.bytes, out)?;
            // Stored, whatever becomes of the rest: who repeats what was not must not repeat this.
            let settled = store.settle(out);
            if settled.is_ok() {
                let broken = copy(parts, &mut self.copies, store, out);
                self.broken = broken.or(self.broken.take());
                store.passed(parts, out);
            }
            self.buffer.consume(taken.bytes);
            settled?;
        }
        Ok(())
    }
}

/// Copies as long as it can; says why not any more, or returns it where the stream is over then.
fn copy(
    parts: [&[u8]; 2],
    copies: &mut Option<Copies>,
    store: &Store<'_>,
    out: &mut Output,
) -> Option<Failure> {
    let signals = store.signals();
    for part in parts {
        let Copies { to, ends } = (*copies)?;
        let Err(failure) = out.write_unless(to, signals, part, |waits| store.waits_for_reader(waits)) else {
            continue;
        };
        *copies = None;
        // After a signal the reader is not to blame.
        if ends && !signals.raised() {
            return Some(failure);
        }
        out.notice(&format!("{}; the log goes on without the copy", why(to, &failure)));
    }
    None
}

/// `2 bytes were not stored`: what a failure cost.
pub(crate) fn unstored(bytes: u64) -> String {
    format!("{} {} not stored", units::counted(bytes, "byte"), units::agree(bytes, "was", "were"))
}

/// Why copies cannot be written.
pub(crate) fn why(to: Standard, failure: &Failure) -> String {
    match failure {
        Failure::OutputClosed => format!("{to}: closed"),
        Failure::Said { text, .. } => text.clone(),
    }
}
