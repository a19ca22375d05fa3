//! One plain-data snapshot of everything that the metadata says, and what it means.
//!
//! "Since when" is "at least since the first look that saw it": an append pays for no clock. [`Observer`] remembers
//! its looks; two of them 50 ms apart tell a stalled writer from a busy one.

mod judge;
mod segments;

use std::collections::HashMap;
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

pub use segments::SegmentStatus;

use crate::error::{At, Fault, PanicRecord, Result};
use crate::files::{Config, Files, Intent, owner};
use crate::holds::{self, HoldStatus};
use crate::holes::{self, Hole};
use crate::layout::{Checkpoint, Identity, LOCK_BYTE, MAINTENANCE_BYTE, Owner, Slot, VERSION};
use crate::metadata::Gate;
use crate::slots::Phase;
use crate::sys::fs;
use crate::sys::place::{Access, Part, Place};
use crate::sys::process::{self, ProcessState, Who, time_of};

/// The worst that is the case, worst first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum State {
    /// The panic flag is set: nobody can write.
    Panicked,
    /// The files contradict each other.
    Damaged,
    /// There is no space for another page.
    Full,
    /// Somebody keeps the log's lock.
    Locked,
    /// An append in flight or a closed gate stands still.
    Stalled,
    /// Less than two chunks of space are left.
    FullSoon,
    /// Nothing is wrong.
    Ok,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Panicked => "PANICKED",
            Self::Damaged => "DAMAGED",
            Self::Full => "FULL",
            Self::Locked => "LOCKED",
            Self::Stalled => "STALLED",
            Self::FullSoon => "FULL SOON",
            Self::Ok => "OK",
        })
    }
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
    /// Name of the process.
    pub command: String,
    /// What it is, or was, held for.
    pub operation: String,
    /// When it was taken.
    pub since: Option<SystemTime>,
    /// What the owner is doing.
    pub process: ProcessState,
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
    /// Name of the process.
    pub command: String,
    /// What it is doing.
    pub process: ProcessState,
    /// Whether the kernel says that the slot has an owner.
    pub alive: Seen<bool>,
    /// Its append, if one is in flight.
    pub in_flight: Option<InFlight>,
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
    /// When its content last changed, as far as the kernel knows; `None` when it is gone.
    pub changed: Option<SystemTime>,
    /// Bytes that the file system has left for this user.
    pub free: Seen<u64>,
}

/// What a power cut would leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Durability {
    /// Everything below is durable.
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
    fn of(checkpoint: &Checkpoint) -> Self {
        let recovered = time_of(checkpoint.recovered_ns.load(Ordering::Relaxed)).map(|at| Recovered {
            at,
            end: checkpoint.recovered_end.load(Ordering::Relaxed),
            lost: checkpoint.lost.load(Ordering::Relaxed),
        });
        Self {
            synced: checkpoint.synced(),
            synced_at: time_of(checkpoint.synced_ns.load(Ordering::Relaxed)),
            error: checkpoint.failed().map(|(from, errno)| (from, errno.cast_signed())),
            recovered,
        }
    }
}

/// The whole picture at one moment.
#[derive(Clone, Debug)]
pub struct Status {
    /// Path of the data file.
    pub path: PathBuf,
    /// Version of the metadata's format: 2, or 1 for the original's, which is only read.
    pub format: u32,
    /// The worst that is the case.
    pub state: State,
    /// Why the state is not OK.
    pub problem: Option<String>,
    /// What to do next, in words.
    pub next_step: String,
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
    /// Where the gate is closed, if it is.
    pub gate: Option<u64>,
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
    /// Known holes, by position.
    pub holes: Vec<Hole>,
    /// How many holes were ever noted, or seen unplaced.
    pub holes_total: u64,
    /// How many the table no longer holds: their bytes read as NULs.
    pub holes_forgotten: u64,
    /// Data files, the current one last.
    pub segments: Vec<SegmentStatus>,
    /// The first position that prune has kept.
    pub first_kept: u64,
    /// Consumers that prune keeps bytes for, the one that needs most first.
    pub holds: Vec<HoldStatus>,
    /// Why the log refuses to be written.
    pub panic: Option<PanicRecord>,
    /// The data file.
    pub file: FileFacts,
    /// What is durable.
    pub durability: Durability,
}

/// Looks at a log, whatever state it is in, and remembers since when things stand still.
///
/// ```
/// # fn main() -> mmlog::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("app.log");
/// use mmlog::{Log, Observer, State};
/// let log = Log::options().open_or_create(&path)?;
/// let mut writer = log.writer()?;
/// writer.append(b"hello\n")?;
/// let status = Observer::open(&path, &Log::options())?.look()?;
/// assert_eq!((status.cursor, status.state), (6, State::Ok));
/// assert_eq!(status.writers[0].messages, 1);
/// # Ok(())
/// # }
/// ```
pub struct Observer {
    files: Arc<Files>,
    first_seen: HashMap<Still, Instant>,
}

/// Something that can stand still: the same key at two looks means that it did.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Still {
    Slot(u32, u64, Phase),
    Gate(u64),
    Lock(u32, u64),
}

impl Observer {
    pub(crate) fn open_with(path: &Path, config: &Config) -> Result<Self> {
        Ok(Self::of(Arc::new(Files::open(path, config, Intent::Look)?)))
    }

    pub(crate) fn of(files: Arc<Files>) -> Self {
        Self { files, first_seen: HashMap::new() }
    }

    /// Looks once.
    ///
    /// # Errors
    /// Only when the files cannot be asked at all.
    pub fn look(&mut self) -> Result<Status> {
        let mut seen = HashMap::new();
        let status = self.snapshot(&mut seen).at(self.files.path())?;
        self.first_seen = seen;
        Ok(status)
    }

    /// For how long this was seen unchanged.
    fn age(&self, what: Still, seen: &mut HashMap<Still, Instant>) -> Duration {
        let since = *self.first_seen.get(&what).unwrap_or(&Instant::now());
        seen.insert(what, since);
        since.elapsed()
    }

    fn snapshot(&self, seen: &mut HashMap<Still, Instant>) -> std::result::Result<Status, Fault> {
        let files = &self.files;
        files.refresh();
        let (header, control) = (files.meta.header(), files.control());
        let cursor = control.look();
        let scan = files.scan(cursor.start);
        let used = (0u32..).zip(files.meta.used_slots());
        let writers = used.filter_map(|(i, slot)| self.writer(i, slot, seen)).collect();
        let mut holes = holes::all(files.meta.holes());
        holes.extend(scan.dead.iter().filter_map(|dead| files.hole_of(dead)));
        holes.sort_by_key(|h| (h.start, h.at.is_none()));
        holes.dedup_by_key(|h| h.start);
        let unplaced = header.hole_counts.unplaced.load(Ordering::Relaxed);
        let forgotten = header.hole_counts.forgotten.load(Ordering::Relaxed);
        let geometry = files.meta.geometry();
        let (entry, file_size, file) = segments::data_file(files, || file_facts(&files.place))?;
        let mut status = Status {
            path: files.path().to_path_buf(),
            format: if files.is_version_1() { 1 } else { VERSION },
            state: State::Ok,
            problem: None,
            next_step: String::new(),
            cursor: cursor.start,
            watermark: scan.watermark,
            file_size,
            base: entry.base,
            generation: entry.generation,
            limit: control.limit(),
            gate: (cursor.gate == Gate::Closed).then(|| control.gate_at.load(Ordering::Relaxed)),
            page_size: geometry.page_size as u32,
            chunk_size: geometry.chunk_size as u32,
            max_writers: geometry.max_writers,
            gate_ms: geometry.gate_ms,
            id: LogId::of(&header.identity),
            created: time_of(header.identity.created_ns.load(Ordering::Relaxed)),
            lock: lock(files, &header.lock_owner, LOCK_BYTE),
            maintenance: lock(files, &header.maintenance_owner, MAINTENANCE_BYTE),
            writers,
            holes_total: holes.len() as u64 + forgotten + unplaced,
            holes,
            holes_forgotten: forgotten,
            segments: segments::all(files, &entry, cursor.start, &file),
            first_kept: files.first_kept(),
            holds: holds::all(files),
            panic: control.is_panicked().then(|| files.panic_record()),
            file,
            durability: Durability::of(&header.checkpoint),
        };
        files.intact()?;
        (status.state, status.problem, status.next_step) = self.judge(&status, seen);
        Ok(status)
    }

    fn writer(&self, index: u32, slot: &Slot, seen: &mut HashMap<Still, Instant>) -> Option<WriterStatus> {
        let pending = slot.hot.pending();
        let alive = seen_by(self.files.ask_alive(index));
        let who = owner::of(&slot.cold);
        let in_flight = pending.phase().map(|phase| {
            let start = pending.position();
            let end = start.saturating_add(slot.hot.len.load(Ordering::Relaxed));
            InFlight { phase, start, end, for_at_least: self.age(Still::Slot(index, start, phase), seen) }
        });
        (alive != Ok(false) || in_flight.is_some()).then(|| WriterStatus {
            slot: index,
            pid: who.pid,
            process: state(&alive, &who),
            command: who.command,
            alive,
            in_flight,
            messages: slot.hot.messages.load(Ordering::Relaxed),
            bytes: slot.hot.bytes.load(Ordering::Relaxed),
            since: time_of(slot.cold.since_ns.load(Ordering::Relaxed)),
        })
    }
}

/// Who has a lock byte lives, whatever its start time looks like from another time namespace.
fn state(alive: &Seen<bool>, who: &Who) -> ProcessState {
    match process::state_of(who) {
        _ if *alive == Ok(false) => ProcessState::Gone,
        ProcessState::Gone => ProcessState::Unknown,
        state => state,
    }
}

fn seen_by<T>(asked: std::result::Result<T, Fault>) -> Seen<T> {
    asked.map_err(|fault| match fault {
        Fault::Io { source, .. } => source.to_string(),
        other => other.problem(),
    })
}

fn lock(files: &Files, owner: &Owner, byte: u64) -> Lock {
    let held = seen_by(files.ask_held(byte));
    let last = || (owner::of(owner), process::state_of(&owner::of(owner)));
    let (who, process) = if held == Ok(true) { owner::holder(owner) } else { last() };
    Lock {
        held,
        pid: who.pid,
        operation: owner::operation_of(owner).into(),
        since: time_of(owner.since_ns.load(Ordering::Relaxed)),
        process,
        command: who.command,
    }
}

fn file_facts(place: &Place) -> std::result::Result<FileFacts, Fault> {
    let free = fs::ask_free_bytes(place.directory_fd()).map_err(|e| e.to_string());
    let gone =
        FileFacts { len: 0, allocated: 0, mode: 0, uid: 0, gid: 0, inode: 0, device: 0, changed: None, free };
    match place.open(Part::Data, Access::Read).and_then(|file| file.metadata()) {
        Ok(m) => Ok(FileFacts {
            len: m.size(),
            allocated: m.blocks() * 512,
            mode: m.mode() & 0o7777,
            uid: m.uid(),
            gid: m.gid(),
            inode: m.ino(),
            device: m.dev(),
            changed: m.modified().ok(),
            ..gone
        }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(gone),
        Err(e) => Err(Fault::io("open the data file")(e)),
    }
}
