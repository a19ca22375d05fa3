//! What is compared: one trait, an engine for each way to append. All append the same messages, one call a message;
//! what an engine needs beyond that (growing, a last flush) is in the measured time, since `finish` is.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use mmlog::{Log, Options};
use rawio::map::Words;
use rustix::fs::OFlags;

use super::peers::Peer;
use super::verify::{Rest, Written};

mod direct;
mod floors;
mod logged;
mod rings;
mod writes;

pub(super) use direct::Direct;
pub(super) use floors::{Floor, SharedFloor};
pub(super) use logged::{Batched, Logged};
pub(super) use rings::{NativeAio, Ring};
pub(super) use writes::{Buffered, Pwrite, Stdio, Write, Writev};

/// As much as a handle has mapped by default.
const DROP_BEHIND: u64 = 64 << 20;

/// The engines by name, in the order of the tables.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum Kind {
    /// The log: Writer::append of the library, default options
    Mmlog,
    /// As mmlog, with what is more than 64 MiB behind dropped from the page cache; only with --sustain, or by name
    MmlogDrop,
    /// The log: Writer::batched, which holds 8 KiB of whole lines back; only by name
    Batched,
    /// One file, O_APPEND, one write(2) a message
    Write,
    /// As write, each message in two parts by writev(2)
    Writev,
    /// As write, through a buffer that is flushed after each message
    Stdio,
    /// As stdio, flushed only when 8 KiB are full; only by name
    Buffered,
    /// O_DIRECT: a file a worker, blocks of 128 KiB, 8 in flight; what is not in a full block waits in memory
    Direct,
    /// One file, O_APPEND, native AIO (io_submit), one a message
    Aio,
    /// One file, O_APPEND, io_uring, one submission a message, up to 32 in flight
    Uring,
    /// One file, pwrite(2) at a cursor that all share
    Pwrite,
    /// A mapped file a worker, nothing shared: what copying and growing cost
    Floor,
    /// One mapped file and one shared cursor, nothing else
    SharedFloor,
    /// What another program has
    #[value(skip)]
    Peer(&'static Peer),
}

impl Kind {
    /// As it is typed and shown.
    pub(super) fn name(self) -> String {
        match self {
            Self::Peer(peer) => peer.name.clone(),
            _ => self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default(),
        }
    }

    /// Whether it is the log.
    pub(super) const fn is_log(self) -> bool {
        matches!(self, Self::Mmlog | Self::MmlogDrop | Self::Batched)
    }

    /// Whether it is measured without being named. What drops behind shows in the long run only; what holds messages back
    /// does not do what the others do.
    pub(super) fn is_default(self, sustained: bool) -> bool {
        match self {
            Self::MmlogDrop => sustained,
            Self::Batched | Self::Buffered => false,
            _ => true,
        }
    }

    /// With what else it wants of the log, if it is the log.
    pub(super) fn options(self, options: Options) -> Option<Options> {
        match self {
            Self::Mmlog | Self::Batched => Some(options),
            Self::MmlogDrop => Some(options.drop_behind(DROP_BEHIND)),
            _ => None,
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::value_variants().iter().copied().find(|kind| kind.name() == name)
    }

    /// Where a run in `dir` leaves its messages.
    pub(super) fn written(self, dir: &Path, size: usize, appended: &[u64]) -> Vec<Written> {
        let size = size as u64;
        let rest = match self {
            Self::Floor | Self::SharedFloor => Rest::Zeros,
            _ => Rest::Nothing,
        };
        match self {
            Self::Floor | Self::Direct => {
                let of = |(worker, n)| Written { path: own(dir, worker), due: n * size, rest };
                appended.iter().copied().enumerate().map(of).collect()
            }
            _ => vec![Written { path: data(dir), due: appended.iter().sum::<u64>() * size, rest }],
        }
    }

    /// Why it cannot be measured here, tried with a message of one page.
    pub(super) fn probe(self, dir: &Path) -> io::Result<()> {
        let site = Site { dir, worker: 0, size: 4096, log: None };
        match self {
            Self::Direct => once::<Direct>(&site),
            Self::Aio => once::<NativeAio>(&site),
            Self::Uring => once::<Ring>(&site),
            _ => Ok(()),
        }
    }
}

fn once<E: Engine>(site: &Site<'_>) -> io::Result<()> {
    let mut engine = E::open(site)?;
    engine.append(&vec![1; site.size])?;
    engine.finish()
}

/// Where a worker appends, and what.
pub(super) struct Site<'a> {
    pub(super) dir: &'a Path,
    pub(super) worker: usize,
    /// Of each message.
    pub(super) size: usize,
    /// The process's, for the engine that is one.
    pub(super) log: Option<&'a Log>,
}

/// One worker's way to append.
pub(super) trait Engine: Sized {
    fn open(site: &Site<'_>) -> io::Result<Self>;

    /// Appends one message.
    fn append(&mut self, message: &[u8]) -> io::Result<()>;

    /// After the last message: whatever is still on its way has arrived.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Makes durable what this worker appended.
    fn sync(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Appends one message, and returns when it is durable.
    fn append_durable(&mut self, message: &[u8]) -> io::Result<()> {
        self.append(message)?;
        self.sync()
    }

    /// System calls so far; `None` when it does not make them itself.
    fn calls(&self) -> Option<u64>;
}

/// The file that workers share; a log's, too.
pub(super) fn data(dir: &Path) -> PathBuf {
    dir.join("data")
}

fn own(dir: &Path, worker: usize) -> PathBuf {
    dir.join(format!("data.{worker}"))
}

/// What every run finds: shared words, all zero.
pub(super) fn prepare(dir: &Path) -> io::Result<()> {
    File::create(words(dir))?.set_len(Words::file_len(writes::WORDS))
}

fn words(dir: &Path) -> PathBuf {
    dir.join("words")
}

/// For reading too, as mappings want it.
fn create(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = flags.bits().cast_signed();
    File::options().read(true).write(true).create(true).truncate(false).custom_flags(flags).open(path)
}

/// All or an error: the rest of a short write would be another message.
fn whole(written: usize, message: &[u8]) -> io::Result<()> {
    if written == message.len() {
        return Ok(());
    }
    let text = format!("only {written} of {} bytes were written, which tears a message", message.len());
    Err(io::Error::new(io::ErrorKind::WriteZero, text))
}
