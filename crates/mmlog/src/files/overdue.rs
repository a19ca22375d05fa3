//! What this process could not do of the policy: noted for people, and when it may try again.

use std::error::Error;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::libc;

use super::Files;
use crate::error::{Blocker, Fault};
use crate::metadata::overdue::{Culprit, OFTEN, SELDOM, Undone, hold_off, holds_off};
use crate::sys::{fs, process};

/// The maintenance byte was another's for so long: that is no rotation that takes its time.
const BUSY_MS: u64 = 1000;

/// How often a handle looks for what is due.
const LOOKS_EVERY_MS: u64 = 1000;

/// What a handle knows of its own tries.
#[derive(Default)]
pub(crate) struct OwnTries {
    /// When this process may try again what it could not do itself.
    retry: AtomicU64,
    prune_retry: AtomicU64,
    /// What it removed for free space, where that did not become free at once.
    freed: Mutex<Option<Freed>>,
    /// Since when others have the maintenance byte, milliseconds; 0: they have not.
    busy_since: AtomicU64,
    /// When it last looked for what is due, milliseconds.
    looked: AtomicU64,
}

/// Whether to try what the policy asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Try {
    Not,
    /// Only if nobody is at work on the log: somebody is for long, but may end at any time. (Not: only a second later. At full
    /// speed that is a segment of hundreds of megabytes, where a disk was slow once.)
    AtOnce,
    /// Whoever is at work is waited for.
    Patiently,
}

/// Segments that were removed to make space.
pub(crate) struct Freed {
    /// The file system's free bytes before.
    pub(crate) before: u64,
    /// What they took.
    pub(crate) bytes: u64,
    /// The log's limit then: what it takes itself is no more free.
    pub(crate) limit: u64,
}

/// How long all wait for removed segments to become free: those who append let go of them when they next do.
const FREES_MS: u64 = 2000;

/// Why it failed, and whose failure that is.
struct Why {
    undone: Undone,
    errno: i32,
    /// Who was in the way; `None`: this process tried.
    blocker: Option<Blocker>,
    /// Another process may be able to.
    is_own: bool,
}

pub(crate) fn now_ms() -> u64 {
    process::now_ns() / 1_000_000
}

impl Files {
    /// Whether this process may try what the policy asks for: it carries it out at all, and neither it nor anybody else has
    /// failed a moment ago.
    pub(crate) fn may_try_policy(&self) -> Try {
        let now = now_ms();
        if !OFTEN.may(&self.own_tries.retry, now) {
            return Try::Not;
        }
        if !self.config.carries_out_policy {
            self.note_own(Undone::LeftToOthers, 0);
            return Try::Not;
        }
        let log = &self.meta.header().overdue_log;
        match OFTEN.may(&log.retry, now) {
            true => Try::Patiently,
            false if log.get().is_some_and(|noted| noted.undone == Some(Undone::Busy)) => Try::AtOnce,
            false => Try::Not,
        }
    }

    /// The same of pruning.
    pub(crate) fn may_try_pruning(&self) -> bool {
        self.config.carries_out_policy && OFTEN.may(&self.own_tries.prune_retry, now_ms())
    }

    /// Whether this process may make files in the log's directory, and give them the log's owner; else why not.
    pub(crate) fn may_make_next(&self) -> Result<(), i32> {
        let is_owner = |owner: u32| owner == process::effective_user() || process::is_root();
        let owner = self
            .segment()
            .and_then(|segment| segment.file().metadata().map_err(Fault::io("stat the data file")));
        match owner {
            Ok(stat) if !is_owner(stat.uid()) => Err(libc::EPERM),
            _ => self.place.may_make_files().map_err(|e| e.raw_os_error().unwrap_or(libc::EACCES)),
        }
    }

    /// Whether this handle has not looked for a second for what is due, whichever way the clock went; then it has now.
    pub(crate) fn looks_now(&self) -> bool {
        let (now, looked) = (now_ms(), &self.own_tries.looked);
        let last = looked.load(Ordering::Relaxed);
        let is_due = last.abs_diff(now) >= LOOKS_EVERY_MS;
        is_due && looked.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Notes that this process cannot.
    pub(crate) fn note_own(&self, undone: Undone, errno: i32) {
        self.note_failure(Why { undone, errno, blocker: None, is_own: true });
    }

    /// Notes what kept this process from it; nothing where that will show by itself, or it was told to stop.
    pub(crate) fn note_undone(&self, what: Undone, fault: &Fault) {
        let errno = errno_of(fault).unwrap_or(0);
        let why = match fault {
            Fault::Stopped { .. } | Fault::Interrupted { .. } => return,
            Fault::Busy(blocker) | Fault::Stalled { blocker, .. } => {
                let in_flight = blocker.what.starts_with("slot ");
                let undone = if in_flight { Undone::InFlight } else { Undone::Busy };
                Why { undone, errno: 0, blocker: Some(blocker.clone()), is_own: false }
            }
            Fault::SegmentExists { .. } => {
                Why { undone: Undone::NameTaken, errno: libc::EEXIST, blocker: None, is_own: false }
            }
            _ => Why { undone: what, errno, blocker: None, is_own: is_of_process(errno) },
        };
        self.note_failure(why);
    }

    fn note_failure(&self, why: Why) {
        let now_ns = process::now_ns();
        let me = process::me();
        let who = match &why.blocker {
            Some(holder) => {
                let (pid, command) = (holder.pid, holder.command.clone());
                Culprit { pid, pid_namespace: me.pid_namespace, uid: 0, command }
            }
            None => Culprit {
                pid: me.pid,
                pid_namespace: me.pid_namespace,
                uid: process::effective_user(),
                command: me.command,
            },
        };
        let header = self.meta.header();
        let record = if why.is_own { &header.overdue_process } else { &header.overdue_log };
        let retry = match (why.undone, why.is_own) {
            // Rotations go on.
            (Undone::Pruning, _) => &self.own_tries.prune_retry,
            (_, true) => &self.own_tries.retry,
            (_, false) => &header.overdue_log.retry,
        };
        header.policies.failures.fetch_add(1, Ordering::Relaxed);
        record.note(why.undone, why.errno, &who, now_ns);
        OFTEN.put_off(retry, now_ns / 1_000_000);
    }

    /// Whether more may be removed for free space: what went before has become free.
    pub(crate) fn may_free(&self) -> bool {
        !self.may_become_free() && SELDOM.may(&self.meta.header().policies.free_retry, now_ms())
    }

    /// Whether what was removed for free space a moment ago may become free yet.
    pub(crate) fn may_become_free(&self) -> bool {
        let waits = holds_off(&self.meta.header().policies.free_retry, now_ms(), FREES_MS);
        let mut freed = self.own_tries.freed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = freed.take_if(|own| !waits || self.has_become_free(own)) {
            self.judge(&own);
            return false;
        }
        waits
    }

    /// After segments were removed for free space.
    pub(crate) fn has_freed(&self, freed: Freed) {
        let policies = &self.meta.header().policies;
        if self.has_become_free(&freed) {
            self.judge(&freed);
            return;
        }
        hold_off(&policies.free_retry, now_ms(), FREES_MS);
        *self.own_tries.freed.lock().unwrap_or_else(PoisonError::into_inner) = Some(freed);
    }

    fn has_become_free(&self, freed: &Freed) -> bool {
        let taken = self.control().limit().saturating_sub(freed.limit);
        let free = fs::free_bytes(self.place.directory_fd());
        free.saturating_add(taken) >= freed.before.saturating_add(freed.bytes / 2)
    }

    fn judge(&self, freed: &Freed) {
        let policies = &self.meta.header().policies;
        if self.has_become_free(freed) {
            policies.free_retry.store(0, Ordering::Relaxed);
            policies.unfreed_since_ns.store(0, Ordering::Relaxed);
            return;
        }
        let now_ns = process::now_ns();
        SELDOM.put_off(&policies.free_retry, now_ns / 1_000_000);
        if policies.unfreed_since_ns.load(Ordering::Relaxed) == 0 {
            policies.unfreed_since_ns.store(now_ns, Ordering::Relaxed);
        }
    }

    /// Others had the maintenance byte for as long as this append could wait. Nothing is wrong unless they keep it.
    pub(crate) fn note_busy(&self, fault: &Fault) {
        let (busy, now) = (&self.own_tries.busy_since, now_ms());
        self.meta.header().policies.failures.fetch_add(1, Ordering::Relaxed);
        let since = busy.load(Ordering::Relaxed);
        if since == 0 || since > now {
            busy.store(now, Ordering::Relaxed);
        } else if now - since >= BUSY_MS {
            self.note_undone(Undone::Busy, fault);
        }
    }

    /// Somebody has had it, and done something.
    pub(crate) fn is_not_busy(&self) {
        self.own_tries.busy_since.store(0, Ordering::Relaxed);
    }

    /// This process can do what it is asked for.
    pub(crate) fn has_succeeded(&self) {
        self.own_tries.retry.store(0, Ordering::Relaxed);
        self.is_not_busy();
    }
}

/// What the system call said on which a fault rests.
fn errno_of(fault: &Fault) -> Option<i32> {
    let mut cause: Option<&(dyn Error + 'static)> = fault.source();
    while let Some(error) = cause {
        if let Some(e) = error.downcast_ref::<io::Error>() {
            return e.raw_os_error();
        }
        cause = error.source();
    }
    match fault {
        Fault::Io { source, .. } | Fault::NoSpace { source, .. } => source.raw_os_error(),
        Fault::NoInode { .. } => Some(libc::ENOSPC),
        Fault::Denied { .. } => Some(libc::EACCES),
        Fault::InTheWay { .. } => Some(libc::EEXIST),
        _ => None,
    }
}

/// Whether another process may fare better.
fn is_of_process(errno: i32) -> bool {
    matches!(errno, libc::EACCES | libc::EPERM | libc::EROFS | libc::EMFILE | libc::ENOSYS | libc::ENOMEM)
}
