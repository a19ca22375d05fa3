//! The pair on disk: a data file and its metadata file, opened, and locked.
//!
//! Only this module changes a file's length or name, and only with a [`guard::LogLock`] as the witness.

pub(crate) mod absent;
mod age;
pub(crate) mod behind;
mod believed;
pub(crate) mod boot;
mod chain;
#[cfg(feature = "compressed")]
pub(crate) mod compress;
pub(crate) mod content;
mod create;
pub(crate) mod exchange;
mod following;
pub(crate) mod guard;
mod kept;
pub(crate) mod leftovers;
mod mend;
pub(crate) mod meta;
mod mount;
pub(crate) mod moved;
pub(crate) use moved::moved;
pub(crate) mod olddir;
pub(crate) mod open;
mod outside;
pub(crate) mod overdue;
pub(crate) mod owner;
mod parts;
pub(crate) mod policy;
pub(crate) mod reboot;
pub(crate) mod remove;
pub(crate) mod room;
pub(crate) mod segment_dir;
pub(crate) mod segments;
pub(crate) mod times;
pub(crate) mod turn;
mod unplaced;
pub(crate) mod version1;
mod writers;

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::chunks::Segment;
use crate::deadline::{Deadline, Waits};
use crate::error::Fault;
use crate::holes::Hole;
use crate::layout::{Control, Wake, total_len};
use crate::metadata::policy::Words;
use crate::metadata::{JOURNAL_ROTATE, MadeAs};
use crate::slots::{self, Scan};
use crate::sys::fork::LockFile;
use crate::sys::holders::{Wanted, holders_of};
use crate::sys::open_logs;
use crate::sys::place::{Found, Part, Place};
use crate::sys::process;
use crate::sys::together::Together;
use crate::sys::{fs, futex, lock};
use crate::units::listed;
pub(crate) use create::UNKNOWN_LEN;
use meta::Meta;
use reboot::foreseen::Foreseen;

/// Suffix of the metadata file's name.
pub const METADATA_SUFFIX: &str = ".mmlog";

/// Longest sleep of anybody who waits for a writer, the lock or space: what a lost wake-up costs at most.
pub(crate) const SLICE: Duration = Duration::from_millis(10);

/// Whether paths are taken as they come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Trust {
    /// Refuses symbolic links as the last component, directories that everybody may write to without a sticky
    /// bit, and files of two owners; old segments of another owner are left out.
    #[default]
    Strict,
    /// Takes any path.
    AnyPath,
}

/// Whether a data file that has bytes but no metadata becomes a log behind them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Adopt {
    /// It is an error.
    #[default]
    Refuse,
    /// Its bytes become positions 0 to its length. Not where a page or more of NULs is its end, as of a log whose metadata is
    /// gone: that is an error.
    Existing,
    /// The same, and such NULs are content like all else.
    WithNuls,
}

/// How a log came to be open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// This call created it.
    Created,
    /// This call put metadata beside an existing data file.
    Adopted {
        /// Bytes that were there.
        len: u64,
    },
    /// It was there.
    Opened,
}

/// What a handle may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Intent {
    /// Append; make the log if it is missing.
    Create,
    /// Append to what is there.
    Write,
    /// Follow.
    Read,
    /// Look at the metadata, whatever state the log is in.
    Look,
    /// Mend it, whatever state it is in.
    Repair,
}

impl Intent {
    pub(crate) fn writes(self) -> bool {
        matches!(self, Self::Create | Self::Write | Self::Repair)
    }
}

/// Everything that is chosen when a log is opened.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) chunk_size: u64,
    pub(crate) ring_chunks: usize,
    pub(crate) max_writers: u32,
    pub(crate) mode: Option<u32>,
    pub(crate) gate_ms: u32,
    pub(crate) wait: Duration,
    pub(crate) waits: Waits,
    pub(crate) trust: Trust,
    pub(crate) adopt: Adopt,
    /// The directory of old segments, as the caller names it.
    pub(crate) old_directory: Option<PathBuf>,
    /// What a log that is created gets.
    pub(crate) policy: Option<Words>,
    /// Its appends rotate and prune as the log's policy says.
    pub(crate) carries_out_policy: bool,
    /// 0: nothing is dropped.
    pub(crate) drop_behind: u64,
    /// Long messages by `pwrite` also beside others.
    pub(crate) writes_long: bool,
    /// Its writers have one message each, as far as is known.
    pub(crate) brief: bool,
    /// Its readers only look, and are no users of the log.
    pub(crate) looks: bool,
    /// The logs that it is looked at with.
    pub(crate) together: Option<Together>,
}

/// An open log.
pub(crate) struct Files {
    pub(crate) place: Arc<Place>,
    pub(crate) config: Config,
    pub(crate) intent: Intent,
    pub(crate) origin: Origin,
    pub(crate) meta: Meta,
    metadata_id: (u64, u64),
    made: MadeAs,
    wanted: OnceLock<Wanted>,
    /// The user whose rights opened it.
    opened_as: u32,
    lock_file: LockFile,
    /// Whether it is of this boot.
    known: boot::Known,
    /// A read-only mapping cannot announce that somebody sleeps.
    may_announce: bool,
    /// Slots of this handle: their own locks look free to it.
    own: Box<[AtomicU64]>,
    had_writers: AtomicBool,
    /// It counts as one that waits for a slot.
    pub(crate) wants_slot: AtomicBool,
    in_process: Mutex<()>,
    maintenance: Mutex<()>,
    syncing: Mutex<()>,
    /// How long this handle's last sync took, nanoseconds.
    pub(crate) sync_took_ns: AtomicU64,
    /// One more than the generation whose names this handle has made durable; 0 for none.
    pub(crate) names_synced: AtomicU64,
    pub(crate) own_tries: overdue::OwnTries,
    /// The compressed copy that this handle makes now.
    #[cfg(feature = "compressed")]
    making: Mutex<Option<leftovers::Leftover>>,
    /// Why a writer that is gone could not append what it held back; of all files that this handle's writers went on with.
    not_appended: Arc<Mutex<Option<Fault>>>,
    /// What a reader has found that a recovery would leave.
    foreseen: Mutex<Option<Arc<Foreseen>>>,
    /// `None` only for a handle that looks at a log whose data file is gone.
    segment: Mutex<Option<Arc<Segment>>>,
}

impl Files {
    /// Whether this is a forked child of the process that opened it.
    #[inline]
    pub(crate) fn is_stale(&self) -> bool {
        self.lock_file.fd().is_none()
    }

    /// This handle writes nothing, and whoever lists the users of a log leaves it out.
    pub(crate) fn only_looks(&self) {
        if let Some(fd) = self.lock_file.fd() {
            open_logs::mark_as_looking(fd);
        }
    }

    pub(crate) fn control(&self) -> &Control {
        self.meta.control()
    }

    /// The data file now in use by this handle.
    pub(crate) fn segment(&self) -> Result<Arc<Segment>, Fault> {
        self.segment.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(Fault::NoData)
    }

    pub(crate) fn may_announce(&self) -> bool {
        self.may_announce
    }

    pub(crate) fn had_writers(&self) -> bool {
        self.had_writers.load(Ordering::Relaxed)
    }

    /// Closing this handle trims the log if no writer is left.
    pub(crate) fn expect_writers(&self) {
        self.had_writers.store(true, Ordering::Relaxed);
    }

    /// A writer that is dropped cannot say it itself. The first reason is kept.
    pub(crate) fn could_not_append(&self, fault: Fault) {
        self.not_appended.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(fault);
    }

    /// That, once.
    pub(crate) fn not_appended(&self) -> Result<(), Fault> {
        self.not_appended.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }

    /// So that closing is done once.
    pub(crate) fn forget_writers(&self) {
        self.had_writers.store(false, Ordering::Relaxed);
    }

    /// The patience of an operation that has one of its own.
    pub(crate) fn deadline(&self, wait: Duration) -> Deadline {
        Deadline::after(wait, &self.config.waits)
    }

    /// How long a drain may hold writers up.
    pub(crate) fn gate_time(&self) -> Duration {
        Duration::from_millis(self.meta.geometry().gate_ms.into())
    }

    /// The patience of all others.
    pub(crate) fn patience(&self) -> Deadline {
        self.deadline(self.config.wait)
    }

    pub(crate) fn writable(&self) -> Result<(), Fault> {
        if self.intent.writes() { Ok(()) } else { Err(Fault::ReadOnly) }
    }

    /// Whether every word of the metadata that was read until now was the file's. Where the SIGBUS guard has put zeros
    /// in its place, nothing may be concluded from them.
    pub(crate) fn intact(&self) -> Result<(), Fault> {
        if self.meta.is_cut() { Err(self.cut_metadata()) } else { Ok(()) }
    }

    #[cold]
    fn cut_metadata(&self) -> Fault {
        let found = self.lock_file.fd().and_then(|fd| rustix::fs::fstat(fd).ok());
        let len = found.map_or(0, |stat| stat.st_size.unsigned_abs());
        if len < total_len(self.meta.geometry().max_writers) as u64 {
            return Fault::NotMetadata { why: format!("cut to {len} bytes while it was open") };
        }
        // By the directory: whoever asks may have the lock on the data file in use.
        let free = fs::free_bytes(self.place.directory_fd());
        Fault::NoSpace { needed: meta::page_size(), free, source: nix::Error::ENOSPC.into() }
    }

    /// The panic record, if the flag is set.
    pub(crate) fn poisoned(&self) -> Result<(), Fault> {
        if !self.control().is_panicked() {
            return Ok(());
        }
        Err(Fault::Poisoned(self.panic_record()))
    }

    pub(crate) fn panic_record(&self) -> crate::error::PanicRecord {
        let p = &self.meta.header().panic;
        crate::error::PanicRecord {
            reason: p.reason.load(),
            errno: p.errno.load(Ordering::Relaxed).cast_signed(),
            pid: p.pid.load(Ordering::Relaxed),
            command: p.command.load(),
            at: process::time_of(p.at_ns.load(Ordering::Relaxed)),
        }
    }

    /// Sets the panic flag; the first reason stays.
    pub(crate) fn poison(&self, reason: &str, errno: i32) {
        let me = process::me();
        let panic = &self.meta.header().panic;
        panic.fill(reason, errno.cast_unsigned(), me.pid, &me.command, process::now_ns());
        self.control().is_panicked.store(1, Ordering::Release); // panic
        self.wake_waiters();
    }

    /// An invariant does not hold: nobody may write until somebody has looked.
    pub(crate) fn broken(&self, what: &str) -> Fault {
        self.poison(what, 0);
        Fault::Poisoned(self.panic_record())
    }

    /// Whether another handle holds that lock byte. When in doubt it does.
    pub(crate) fn is_held(&self, byte: u64) -> bool {
        self.ask_held(byte).unwrap_or(true)
    }

    /// Whether another handle holds that lock byte.
    pub(crate) fn ask_held(&self, byte: u64) -> Result<bool, Fault> {
        let fd = self.lock_file.fd().ok_or(Fault::Replaced)?;
        lock::is_locked(fd, byte, 1).map_err(Fault::io("ask who has a lock byte"))
    }

    /// Whether the metadata file of that name is still this one.
    pub(crate) fn is_current(&self) -> Result<bool, Fault> {
        let found = self.find(Part::Metadata)?;
        Ok(found.is_some_and(|f| f.id == self.metadata_id))
    }

    /// Whether the path, directories included, still leads to this metadata file, as far as can be told.
    pub(crate) fn is_at_its_path(&self) -> bool {
        !self.place.is_led_astray(self.metadata_id)
    }

    /// Whether the data file that the metadata means has its name, as far as can be told.
    pub(crate) fn is_data_at_its_path(&self) -> bool {
        let header = self.meta.header();
        let meant = || header.identity.inode.load(Ordering::Acquire); // identity
        let before = meant();
        let is_it = |found: Option<Found>| found.is_some_and(|found| found.id.1 == before);
        // A rotation gives the name to the next file before it says so, and a repair means none until it has.
        self.place.find(Part::Data).map_or(true, is_it)
            || header.journal.kind() == JOURNAL_ROTATE
            || before == 0
            || meant() != before
    }

    /// Why this metadata file is not the one that was made, if it is not.
    pub(crate) fn is_copied(&self) -> Option<Fault> {
        let copied = meta::copied(self.meta.header(), self.made, self.place.directory_fd());
        copied.filter(|_| !self.is_version_1())
    }

    /// Why a data file of that owner would be refused, if it would.
    pub(crate) fn owners_differ(&self, data_uid: u32) -> Option<Fault> {
        match self.owner().ok()? {
            segment_dir::Owner::User(metadata_uid) if metadata_uid != data_uid => {
                Some(Fault::OwnersDiffer { data_uid, metadata_uid })
            }
            _ => None,
        }
    }

    /// What is final below `bound`, a cursor loaded before. After a reboot, until somebody has recovered the log,
    /// what readers foresee that he will leave, and for others only what is below the checkpoint.
    pub(crate) fn scan(&self, bound: u64) -> Result<Scan, Fault> {
        let checkpoint = &self.meta.header().checkpoint;
        let bound = if self.is_version_1() { bound.min(self.control().limit()) } else { bound };
        if let Some(found) = self.foreseen()? {
            return Ok(Scan { watermark: bound.min(found.end), ..Scan::default() });
        }
        let bound = if self.is_of_this_boot() { bound } else { bound.min(checkpoint.synced()) };
        Ok(self.scan_slots(bound))
    }

    fn scan_slots(&self, bound: u64) -> Scan {
        let scan =
            slots::scan(bound, self.meta.used_slots().iter().map(|s| &s.hot), |slot| self.is_free(slot));
        if self.meta.is_cut() { Scan::default() } else { scan }
    }

    /// The hole that a dead writer's slot stands for.
    pub(crate) fn hole_of(&self, dead: &slots::InFlight) -> Option<Hole> {
        let cold = &self.meta.slots().get(dead.slot as usize)?.cold;
        let len = dead.len;
        if len == 0 || !Control::has_positions(dead.pending.position(), len) {
            return None;
        }
        Hole::of_slot(dead.pending.phase()?, dead.pending.position(), len, &owner::of(cold))
    }

    /// Wakes followers, if any sleep.
    #[inline]
    pub(crate) fn wake_followers(&self) {
        wake(&self.meta.header().data_wake);
    }

    /// Makes the metadata durable.
    pub(crate) fn sync_metadata(&self) -> std::io::Result<()> {
        // Any descriptor of the file will do.
        match self.lock_file.fd() {
            Some(fd) => fs::fdatasync(fd),
            None => Err(std::io::ErrorKind::NotConnected.into()),
        }
    }

    /// Wakes whoever waits for a sync.
    pub(crate) fn wake_syncers(&self) {
        wake(&self.meta.header().sync_wake);
    }

    /// Wakes whoever waits for space, a gate or the lock.
    pub(crate) fn wake_waiters(&self) {
        wake(&self.meta.header().space_wake);
    }

    /// Permission bits of the data file.
    pub(crate) fn mode(&self) -> Result<u32, Fault> {
        let stat = self.segment()?.file().metadata().map_err(Fault::io("stat the data file"))?;
        Ok(stat.mode() & 0o7777)
    }

    /// Path of the data file, for errors.
    pub(crate) fn path(&self) -> &Path {
        self.place.path()
    }
}

/// Wakes whoever sleeps on it.
#[inline]
pub(crate) fn wake(wake: &Wake) {
    if wake.take() {
        futex::wake_all(wake.word());
    }
}

/// Says who has the file open, as far as this user may see.
pub(crate) fn in_use(file: &File) -> Fault {
    let who: Vec<String> =
        holders_of(file).iter().map(|w| format!("process {} ({})", w.pid, w.command)).collect();
    let who = match who.is_empty() {
        true => {
            let unseen = match process::effective_user() {
                0 => "of another PID namespace".to_owned(),
                me => format!("that uid {me} may not look at (root sees it)"),
            };
            // There it has another device, and perhaps another inode.
            let elsewhere =
                "one that has it open through another mount, as an overlay's (`findmnt` lists them)";
            format!("this process, one {unseen}, or {elsewhere}")
        }
        false => listed(&who),
    };
    Fault::InUse { who }
}
