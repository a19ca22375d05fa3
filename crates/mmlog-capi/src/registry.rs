//! The process's logs: an append-only list without a lock, so that no thread holds one while another forks.
//!
//! An entry is a log by its absolute path; its opening is what a process has open of it. A forked child finds the opening of its
//! parent by the number of forks, and puts its own in its place. Entries and openings are never freed: handles and threads
//! point to them.
#![allow(unsafe_code, reason = "the list's pointers, which lead to what is never freed")]

use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

use mmlog::{Log, Options, Writer, forks};

use crate::codes::{self, Failure, Outcome};
use crate::exit;

/// Writers that threads share which have none of their own.
pub(crate) const SHARED: usize = 8;

/// A log that this process, or one that it was forked from, has opened.
pub(crate) struct Entry {
    path: PathBuf,
    options: Options,
    /// After a panic nothing is done with the log any more.
    is_broken: AtomicBool,
    opening: AtomicPtr<Opening>,
    next: *const Entry,
}

// SAFETY: `next` is written before the entry is published, and leads to what is never freed; the rest is atomic or constant.
unsafe impl Sync for Entry {}

/// What one process has open of a log.
pub(crate) struct Opening {
    /// The process it belongs to, by its forks.
    forks: u64,
    /// Counts what `log` was: a writer of an earlier one is not used any more.
    turn: AtomicU64,
    log: RwLock<Log>,
    /// Threads with a writer of their own.
    pub(crate) threads: AtomicUsize,
    pub(crate) shared: [Mutex<Option<(u64, Writer)>>; SHARED],
    /// The parent's, so that nothing is lost sight of.
    _parent: *const Opening,
}

// SAFETY: `_parent` is never followed; all else may be shared.
unsafe impl Sync for Opening {}

impl Opening {
    fn new(log: Log, parent: *const Self) -> Box<Self> {
        Box::new(Self {
            forks: forks(),
            turn: AtomicU64::new(0),
            log: RwLock::new(log),
            threads: AtomicUsize::new(0),
            shared: Default::default(),
            _parent: parent,
        })
    }

    #[inline]
    pub(crate) fn turn(&self) -> u64 {
        self.turn.load(Ordering::Acquire)
    }

    /// Whether it is this process's.
    #[inline]
    pub(crate) fn is_here(&self) -> bool {
        self.forks == forks()
    }

    fn log(&self) -> Log {
        self.log.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For a thread that takes a writer: the log, and its turn.
    pub(crate) fn log_and_turn(&self) -> (Log, u64) {
        let log = self.log.read().unwrap_or_else(PoisonError::into_inner);
        (log.clone(), self.turn())
    }

    /// Puts another log in the place of `old`, unless somebody else did; the one that is there then.
    fn replace(&self, old: &Log, new: Log) -> Log {
        let mut log = self.log.write().unwrap_or_else(PoisonError::into_inner);
        if log.is_same(old) {
            self.turn.fetch_add(1, Ordering::AcqRel);
            *log = new;
        }
        log.clone()
    }
}

static FIRST: AtomicPtr<Entry> = AtomicPtr::new(ptr::null_mut());

fn entries() -> impl Iterator<Item = &'static Entry> {
    from(FIRST.load(Ordering::Acquire))
}

fn from(first: *const Entry) -> impl Iterator<Item = &'static Entry> {
    // SAFETY: null, or an entry, which is never freed.
    let follow = |at: *const Entry| unsafe { at.as_ref() };
    std::iter::successors(follow(first), move |entry| follow(entry.next))
}

/// What this process has open now.
pub(crate) fn open_here() -> impl Iterator<Item = Log> {
    entries().filter_map(|entry| {
        let opening = entry.last();
        // Whoever changes it now sees to it himself.
        if opening.is_here() { opening.log.try_read().ok().map(|log| log.clone()) } else { None }
    })
}

/// The log at that path, opened if it is not open yet.
pub(crate) fn open(path: &Path, options: &Options) -> Outcome<&'static Entry> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    exit::expect();
    let mut first = FIRST.load(Ordering::Acquire);
    if let Some(entry) = find(first, ptr::null(), &path) {
        return Ok(entry);
    }
    let opening = Box::into_raw(Opening::new(options.clone().open_or_create(&path)?, ptr::null()));
    let entry = Box::leak(Box::new(Entry {
        path,
        options: options.clone(),
        is_broken: AtomicBool::new(false),
        opening: AtomicPtr::new(opening),
        next: first,
    }));
    loop {
        entry.next = first;
        match FIRST.compare_exchange(first, entry, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return Ok(entry),
            Err(now) => {
                // Somebody was faster with this very path, perhaps.
                if let Some(found) = find(now, first, &entry.path) {
                    // SAFETY: both are boxes that nobody else has seen.
                    drop(unsafe { Box::from_raw(opening) });
                    // SAFETY: as above; the opening that it points to is not its own to free.
                    drop(unsafe { Box::from_raw(entry) });
                    return Ok(found);
                }
                first = now;
            }
        }
    }
}

/// The newest entry of that path before `end` whose log is there still.
fn find(first: *const Entry, end: *const Entry, path: &Path) -> Option<&'static Entry> {
    let new = from(first).take_while(|entry| !ptr::eq(*entry, end));
    new.filter(|entry| entry.path == path).find(|entry| entry.leads_there())
}

impl Entry {
    /// Refuses after a panic.
    #[inline]
    pub(crate) fn checked(&'static self) -> Outcome<&'static Self> {
        if self.is_broken.load(Ordering::Relaxed) { Err(broken()) } else { Ok(self) }
    }

    pub(crate) fn break_off(&self) {
        self.is_broken.store(true, Ordering::Relaxed);
    }

    /// Whether the path leads to this log still, and it may be used.
    fn leads_there(&'static self) -> bool {
        self.checked().and_then(Self::opening).is_ok_and(|opening| opening.log().is_current())
    }

    #[inline]
    fn last(&self) -> &'static Opening {
        // SAFETY: an opening is there from the start on, and none is ever freed.
        unsafe { &*self.opening.load(Ordering::Acquire) }
    }

    /// This process's.
    #[inline]
    pub(crate) fn opening(&'static self) -> Outcome<&'static Opening> {
        let opening = self.last();
        if opening.is_here() { Ok(opening) } else { self.open_in_child(opening) }
    }

    #[cold]
    fn open_in_child(&'static self, parent: &'static Opening) -> Outcome<&'static Opening> {
        // A thread of the parent's may have had it in the moment of the fork.
        let known = parent.log.try_read().ok().map(|log| log.clone());
        let log = match known.map(|log| log.renewed()) {
            Some(Ok(log)) => log,
            _ => self.options.clone().open_or_create(&self.path)?,
        };
        let mine = Box::into_raw(Opening::new(log, parent));
        let at: *const Opening = parent;
        match self.opening.compare_exchange(at.cast_mut(), mine, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: just made, and never freed from now on.
            Ok(_) => Ok(unsafe { &*mine }),
            Err(_) => {
                // SAFETY: a box that nobody else has seen.
                drop(unsafe { Box::from_raw(mine) });
                Ok(self.last())
            }
        }
    }

    /// The log as its writers have it: where it was made anew, the new one.
    pub(crate) fn log(&'static self) -> Outcome<Log> {
        let opening = self.opening()?;
        let log = opening.log();
        if log.is_current() {
            return Ok(log);
        }
        let new = log.renewed()?;
        Ok(if new.is_same(&log) { log } else { opening.replace(&log, new) })
    }
}

fn broken() -> Failure {
    Failure::new(codes::MMLOG_INTERNAL, "the handle refuses after an internal error; open the log again")
}
