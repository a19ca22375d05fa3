//! One plain-data snapshot of everything that the metadata says, and what it means.
//!
//! "Since when" is "at least since the first look that saw it": an append pays for no clock. [`Observer`] remembers
//! its looks; two of them 50 ms apart tell a stalled writer from a busy one.

mod clock;
mod diagnose;
pub(crate) mod facts;
mod finding;
pub(crate) mod flaws;
mod followers;
mod holds;
mod observer;
mod outputs;
mod outside;
mod policy;
mod segments;
mod shipper;
mod still_open;
mod waiting;

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

pub use clock::{ClockDoubt, ClockSet};
pub use diagnose::{explain, explain_removed};
pub use finding::{Finding, FindingId, Severity, Thresholds};
pub use flaws::SegmentFlaw;
pub use followers::{FollowerStatus, OutputReader};
pub use holds::HoldStatus;
pub use observer::Observer;
pub use outputs::{FeederStopped, OutputFull};
pub use outside::OutsideBytes;
pub use policy::{PolicyStatus, PolicyUndone};
pub use segments::{RemovedHeld, SegmentStatus};
pub use shipper::{ShipperState, ShipperStatus, shipper_file};
pub use still_open::{StillOpen, saved_copy};
pub use waiting::UnrunHooks;

use crate::durable;
pub use crate::error::Rights;
use crate::error::{Blocker, Fault, PanicRecord};
use crate::files::Files;
use crate::files::moved::Stray;
use crate::files::reboot::foreseen::Unrecovered;
use crate::holes::Hole;
use crate::layout::Identity;
use crate::slots::Phase;
use crate::sync::Ordering;
use crate::sys::cgroup::Freezer;
pub use crate::sys::fs::Medium;
use crate::sys::holders::Opener;
pub use crate::sys::mounts::{ReadOnly, WhyReadOnly};
use crate::sys::process::{ProcessState, time_of};
use crate::waiting::{SlotWaiters, Waiting};

/// How long contradictions have to last before a reader is told.
const SETTLED: Duration = Duration::from_millis(20);

macro_rules! states {
    ($($(#[$doc:meta])* $variant:ident = $word:literal),* $(,)?) => {
        /// The worst that is the case, worst first.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum State { $($(#[$doc])* $variant),* }

        impl State {
            /// All of them, worst first.
            pub const ALL: &[Self] = &[$(Self::$variant),*];
        }

        impl fmt::Display for State {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $(Self::$variant => $word),* })
            }
        }
    };
}

states! {
    /// The panic flag is set: nobody can write.
    Panicked = "PANICKED",
    /// The files contradict each other.
    Damaged = "DAMAGED",
    /// There is no space for another page.
    Full = "FULL",
    /// Somebody keeps what others wait for: the log's lock, or all slots.
    Locked = "LOCKED",
    /// An append in flight or a closed gate stands still.
    Stalled = "STALLED",
    /// Less than two chunks of space are left, and no policy keeps the log within them.
    FullSoon = "FULL SOON",
    /// Everybody can go on, and somebody should look at something today.
    Warning = "WARNING",
    /// Nothing is wrong.
    Ok = "OK",
}

/// Which log it is, across renames and copies. A position means something together with this.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct LogId {
    /// Random, made at creation.
    pub uuid: [u8; 16],
    /// Raised after each reboot: positions that were not durable may since mean other bytes.
    pub epoch: u64,
}

impl LogId {
    pub(crate) fn of(identity: &Identity) -> Self {
        let mut uuid = [0; 16];
        for (half, word) in uuid.chunks_exact_mut(8).zip(&identity.uuid) {
            half.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
        }
        Self { uuid, epoch: identity.epoch.load(Ordering::Relaxed) }
    }
}

impl fmt::Display for LogId {
    /// `8-4-4-4-12` hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.uuid.iter().enumerate() {
            let dash = if matches!(i, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

/// What the kernel was asked, or why it did not say.
pub type Seen<T> = std::result::Result<T, String>;

/// A lock and who has it, or had it last.
#[derive(Clone, Debug)]
pub struct Lock {
    /// Whether the kernel says that somebody has it.
    pub held: Seen<bool>,
    /// Process id in its own namespace.
    pub pid: u32,
    /// Where that process is.
    pub seat: Seat,
    /// Name of the process.
    pub command: String,
    /// How it was called, where it is to be talked about and that can be seen; at most 200 bytes.
    pub command_line: Option<String>,
    /// What it is, or was, held for.
    pub operation: String,
    /// When it was taken.
    pub since: Option<SystemTime>,
    /// What the owner is doing.
    pub process: ProcessState,
    /// Who keeps it from running, if a control group does.
    pub frozen_by: Option<Freezer>,
    /// Where in the kernel it is stuck, if it is and that can be seen.
    pub stuck_in: Option<String>,
    /// Unchanged since the first look that saw it.
    pub for_at_least: Duration,
    /// Nobody holds it, but its record says that somebody does: he died with it.
    pub is_stale: bool,
}

/// Where a process is, as seen from here: in which PID namespace, and what its id is in ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Seat {
    /// Its PID namespace, if that is not ours: the number that `lsns -t pid` shows.
    pub namespace: Option<u64>,
    /// Its id in our namespace; `None` when it cannot be found from here.
    pub pid: Option<u32>,
    /// The user whose rights it has, where it is to be talked about and that can be seen: who may end it.
    pub uid: Option<u32>,
}

impl Seat {
    /// The same process, one that can be found from here.
    fn is_of(self, other: Self) -> bool {
        self.pid.is_some() && self.pid == other.pid
    }
}

/// A reservation that is not finished.
#[derive(Clone, Debug)]
pub struct InFlight {
    /// How far it has come.
    pub phase: Phase,
    /// First position; a lower bound while reserving.
    pub start: u64,
    /// First position behind it.
    pub end: u64,
    /// Since the first look that saw it.
    pub for_at_least: Duration,
}

/// A slot that is in use, or that a dead writer left.
#[derive(Clone, Debug)]
pub struct WriterStatus {
    /// Index of the slot.
    pub slot: u32,
    /// Process id in its own namespace.
    pub pid: u32,
    /// Where that process is.
    pub seat: Seat,
    /// Name of the process.
    pub command: String,
    /// How it was called, where it is to be talked about and that can be seen; at most 200 bytes.
    pub command_line: Option<String>,
    /// Who writes into its standard input: [`diagnose`](Status::diagnose) names it before the process that passes it on.
    /// `None` unless whoever shows the status has looked for it: the library does not.
    pub feeder: Option<String>,
    /// Whoever feeds it is stopped. `None` unless whoever shows the status has looked for that: the library does not.
    pub feeder_stopped: Option<FeederStopped>,
    /// Of one that stands, or whose output is full: for how long whoever feeds it has waited to write into its full pipe. `None` unless whoever shows the
    /// status has looked for that: the library does not.
    pub feeder_waits: Option<Duration>,
    /// What it is doing.
    pub process: ProcessState,
    /// It does so for at least that long.
    pub process_for_at_least: Duration,
    /// Of a process that stands: for how long it has not run, as the kernel knows.
    pub not_run_for: Option<Duration>,
    /// Who keeps it from running, if a control group does.
    pub frozen_by: Option<Freezer>,
    /// Where in the kernel it is stuck, if it is and that can be seen.
    pub stuck_in: Option<String>,
    /// Whether the kernel says that the slot has an owner.
    pub alive: Seen<bool>,
    /// Its append, if one is in flight.
    pub in_flight: Option<InFlight>,
    /// Of a dead one whose append is in flight: who keeps the slot's byte, so that nobody can settle it.
    pub kept_by: Option<Blocker>,
    /// What its next append waits for.
    pub waiting: Option<Waiting>,
    /// Where that is a larger file: how long its process may make one, as far as that can be seen.
    pub file_size_limit: Option<u64>,
    /// It waits for whoever reads its output, and appends nothing meanwhile.
    pub output_full: Option<OutputFull>,
    /// Messages so far.
    pub messages: u64,
    /// Bytes so far.
    pub bytes: u64,
    /// When it became a writer.
    pub since: Option<SystemTime>,
}

/// What the file system says of the data file; zeros when it is gone.
#[derive(Clone, Debug)]
pub struct FileFacts {
    /// Length, bytes.
    pub len: u64,
    /// Bytes of disk that it takes.
    pub allocated: u64,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Inode.
    pub inode: u64,
    /// Device.
    pub device: u64,
    /// When its content last changed, as far as the kernel knows; `None` when it is gone. Stores through memory move it
    /// when a page was clean: on a disk within about a minute, in memory hardly ever.
    pub changed: Option<SystemTime>,
    /// When it was made, where the file system says it.
    pub born: Option<SystemTime>,
    /// What kind of file system it lies on.
    pub medium: Medium,
    /// Bytes that the file system has left for this user.
    pub free: Seen<u64>,
    /// The most bytes that a name has on the file system; 0 when it cannot be asked.
    pub longest_name: usize,
    /// Inodes that it has left for this user, and those that it has; `None` where it does not count them.
    pub inodes: Option<(u64, u64)>,
    /// That nothing can be written there.
    pub read_only: Option<ReadOnly>,
    /// Whose the directory is that it lies in, where that can be asked.
    pub directory: Option<Rights>,
}

impl FileFacts {
    /// Whose it is.
    #[must_use]
    pub fn rights(&self) -> Rights {
        Rights { uid: self.uid, gid: self.gid, mode: self.mode }
    }
}

/// What a power cut would leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Durability {
    /// Everything below is durable, as far as can be told: the checkpoint, and what was synced since if it has no NULs.
    pub synced: u64,
    /// When that was raised last; `None` when nobody ever asked for it.
    pub synced_at: Option<SystemTime>,
    /// Where durability was lost, and the errno: a sync failed, and nobody has accepted that yet.
    pub error: Option<(u64, i32)>,
    /// What the last recovery found.
    pub recovered: Option<Recovered>,
}

/// A recovery from what a reboot, or somebody else, left on the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recovered {
    /// When it was.
    pub at: SystemTime,
    /// Where the log went on.
    pub end: u64,
    /// Bytes that were lost, as far as can be told.
    pub lost: u64,
}

impl Durability {
    fn of(files: &Files) -> Self {
        let checkpoint = &files.meta.header().checkpoint;
        let recovered = time_of(checkpoint.recovered_ns.load(Ordering::Relaxed)).map(|at| Recovered {
            at,
            end: checkpoint.recovered_end.load(Ordering::Relaxed),
            lost: checkpoint.lost.load(Ordering::Relaxed),
        });
        Self {
            synced: durable::told(files),
            synced_at: time_of(checkpoint.synced_ns.load(Ordering::Relaxed)),
            error: checkpoint.failed().map(|(from, errno)| (from, errno.cast_signed())),
            recovered,
        }
    }
}

/// A contradiction between the files, in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// Which.
    pub id: FindingId,
    /// What was found, with the numbers.
    pub problem: String,
    /// Where the data file is that should be at the path, if it lies beside that or somebody has it open elsewhere.
    pub moved_to: Option<PathBuf>,
    /// Of a data file that has no name any more: who has it open.
    pub still_open: Option<StillOpen>,
    /// Of metadata without a data file: the log beside it whose metadata it is, under another name, or a copy.
    pub metadata_of: Option<Stray>,
    /// Of a file that is not at its path: when names in its directory changed last, which is not before it went.
    pub since: Option<SystemTime>,
}

impl Damage {
    /// Nothing is known but that.
    #[must_use]
    pub fn new(id: FindingId, problem: String) -> Self {
        Self { id, problem, moved_to: None, still_open: None, metadata_of: None, since: None }
    }
}

/// What makes it doubtful that a reader gets what was appended.
pub(crate) fn to_readers(files: &Files) -> std::result::Result<Vec<Damage>, Fault> {
    let look = || {
        let (entry, file_size, file) = segments::data_file(files, || facts::file(&files.place))?;
        facts::damage(files, &entry, file_size, &file)
    };
    let mut found = look()?;
    // Until somebody has recovered it after a reboot, the names and the checkpoint are the truth.
    if found.is_empty() || !files.is_of_this_boot() {
        return Ok(Vec::new());
    }
    // The files at the path are another log's, or nobody's; the one that is open is whole.
    if !files.is_current()? {
        return Ok(Vec::new());
    }
    // What another process is just changing contradicts itself for a moment.
    std::thread::sleep(SETTLED);
    let again = look()?;
    found.retain(|damage| again.iter().any(|a| a.id == damage.id));
    let has = |id| found.iter().any(|damage| damage.id == id);
    // The data file of a copy is another one, as its metadata file is.
    let is_copy = has(FindingId::DataReplaced) && has(FindingId::MetadataCopied);
    found.retain(|damage| match damage.id {
        FindingId::DataReplaced | FindingId::MetadataCopied => !is_copy,
        // Others keep writers away, or are another view of the same bytes.
        id => matches!(id, FindingId::DataGone | FindingId::DataTruncated | FindingId::Positions),
    });
    Ok(found)
}

/// The flags of a log of the original's format, which have no owner that could be asked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Version1Flags {
    /// `is_locked`.
    pub is_locked: bool,
    /// `is_panicked`.
    pub is_panicked: bool,
    /// Processes that have the data file open, as far as can be seen: pid and command.
    pub holders: Vec<(u32, String)>,
}

/// The whole picture at one moment.
#[derive(Clone, Debug)]
pub struct Status {
    /// Path of the data file.
    pub path: PathBuf,
    /// Path of the metadata file.
    pub metadata_path: PathBuf,
    /// Version of the metadata's format: 2, or 1 for the original's, which is only read.
    pub format: u32,
    /// The worst that is the case.
    pub state: State,
    /// Why the state is not OK.
    pub problem: Option<String>,
    /// What to do next, in words.
    pub next_step: String,
    /// All that is wrong or worth knowing, worst first; by the default [`Thresholds`].
    pub findings: Vec<Finding>,
    /// What contradicts each other.
    pub damage: Vec<Damage>,
    /// The original's flags, in a log of its format.
    pub version_1: Option<Version1Flags>,
    /// Where the next append goes.
    pub cursor: u64,
    /// Every byte below is final.
    pub watermark: u64,
    /// Bytes of the data file that belong to the log.
    pub file_size: u64,
    /// Position of the data file's first byte.
    pub base: u64,
    /// Number of the current segment.
    pub generation: u64,
    /// The first position without space behind it.
    pub limit: u64,
    /// What somebody who is no writer put behind the log.
    pub outside: OutsideBytes,
    /// Of a log that somebody writes to, from the second look of an [`Observer`] on: programs that have the data file open for
    /// writing, and nothing else of the log, as far as this user may see.
    pub strangers: Vec<Opener>,
    /// Final segments with which something is still to be done.
    pub unrun: UnrunHooks,
    /// Where the gate is closed, if it is.
    pub gate: Option<u64>,
    /// How long it was seen closed there.
    pub gate_for_at_least: Duration,
    /// The operation that the journal has open.
    pub unfinished: Option<&'static str>,
    /// Bytes.
    pub page_size: u32,
    /// Bytes.
    pub chunk_size: u32,
    /// Slots.
    pub max_writers: u32,
    /// How long a drain may hold writers up.
    pub gate_ms: u32,
    /// Which log.
    pub id: LogId,
    /// When it was made.
    pub created: Option<SystemTime>,
    /// The log's lock.
    pub lock: Lock,
    /// The maintenance byte.
    pub maintenance: Lock,
    /// Slots in use, and those that dead writers left unfinished.
    pub writers: Vec<WriterStatus>,
    /// Programs that wait for a slot, or for the lock that they open the log with.
    pub slot_waiters: Option<SlotWaiters>,
    /// Known holes, by position.
    pub holes: Vec<Hole>,
    /// How many holes were ever noted, or seen unplaced.
    pub holes_total: u64,
    /// How many the table no longer holds: their bytes read as NULs.
    pub holes_forgotten: u64,
    /// What the log's policy says, and does next.
    pub policy: PolicyStatus,
    /// Somebody set the clock lately.
    pub clock: Option<ClockDoubt>,
    /// Data files, the current one last.
    pub segments: Vec<SegmentStatus>,
    /// What is wrong with old segments.
    pub flaws: Vec<SegmentFlaw>,
    /// Who keeps blocks of segments that were removed, as far as this user may see.
    pub removed_held: Vec<RemovedHeld>,
    /// Who appends to a log that was at this path before, and was removed, as far as this user may see.
    pub former: Option<StillOpen>,
    /// The first position that prune has kept.
    pub first_kept: u64,
    /// Consumers that prune keeps bytes for, the one that needs most first.
    pub holds: Vec<HoldStatus>,
    /// Followers that announced themselves and have no hold of their name, the one farthest behind first.
    pub followers: Vec<FollowerStatus>,
    /// How many followers announced themselves, those with holds included.
    pub followers_seen: usize,
    /// Why the log refuses to be written.
    pub panic: Option<PanicRecord>,
    /// The data file.
    pub file: FileFacts,
    /// What is durable.
    pub durability: Durability,
    /// What waits for somebody to recover the log after a reboot.
    pub unrecovered: Option<Unrecovered>,
    /// What else could not be looked at, each with the reason: it counts as nothing above.
    pub unseen: Vec<String>,
}
