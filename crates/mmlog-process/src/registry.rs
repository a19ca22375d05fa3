//! The process's logs: an append-only list without a lock, so that no thread holds one while another forks.
//!
//! An entry is an absolute path; its opening is what a process has open there. A forked child finds the opening of its
//! parent by the number of forks, and puts its own in its place. Entries and openings are never freed: handles and threads
//! point to them. What they hold is given up when the last handle is closed, and opened again with the next.
#![allow(unsafe_code, reason = "the list's pointers, which lead to what is never freed")]

use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use mmlog::{Log, Options, Result, Writer, forks};

use crate::{ending, exit};

/// Writers that threads share which have none of their own.
pub(crate) const SHARED: usize = 8;

/// How a log is opened.
#[derive(Clone)]
pub struct How {
    /// The options.
    pub options: Options,
    /// Whether none is made.
    pub has_to_exist: bool,
}

impl How {
    fn open(&self, path: &Path) -> Result<Log> {
        if self.has_to_exist { self.options.open(path) } else { self.options.open_or_create(path) }
    }
}

/// A path where this process, or one that it was forked from, has opened a log.
pub struct Entry {
    path: PathBuf,
    how: How,
    /// Handles that are not closed.
    handles: AtomicUsize,
    /// After a panic nothing is done with the log any more.
    is_broken: AtomicBool,
    opening: AtomicPtr<Opening>,
    next: *const Entry,
}

// SAFETY: `next` is written before the entry is published, and leads to what is never freed; the rest is atomic or constant.
unsafe impl Sync for Entry {}

/// What one process has open there.
pub(crate) struct Opening {
    path: PathBuf,
    /// The process it belongs to, by its forks.
    forks: u64,
    /// Counts what `log` was: a writer of an earlier one is not used any more.
    turn: AtomicU64,
    state: RwLock<State>,
    /// Threads with a writer of their own.
    pub(crate) threads: AtomicUsize,
    pub(crate) shared: [Mutex<Option<Kept>>; SHARED],
    /// The parent's, so that nothing is lost sight of.
    _parent: *const Opening,
}

/// A writer, and what it is of.
pub(crate) struct Kept {
    pub(crate) turn: u64,
    pub(crate) writer: Writer,
    /// The opening is known as long as it is used.
    pub(crate) _log: Arc<Log>,
}

struct State {
    how: How,
    /// None before the first handle, and behind the last.
    log: Option<Arc<Log>>,
    /// What it was before, as long as threads have writers of it, which they are not told to give back.
    former: Vec<Weak<Log>>,
}

// SAFETY: `_parent` is never followed; all else may be shared.
unsafe impl Sync for Opening {}

impl Opening {
    fn new(path: &Path, how: How, log: Option<Log>, parent: *const Self) -> Box<Self> {
        Box::new(Self {
            path: path.to_path_buf(),
            forks: forks(),
            turn: AtomicU64::new(0),
            state: RwLock::new(State { how, log: log.map(Arc::new), former: Vec::new() }),
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

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was there.
    fn put(&self, state: &mut State, log: Option<Arc<Log>>) -> Option<Arc<Log>> {
        self.turn.fetch_add(1, Ordering::AcqRel);
        let old = std::mem::replace(&mut state.log, log);
        state.former.retain(|log| log.strong_count() > 0);
        state.former.extend(old.as_ref().map(Arc::downgrade));
        old
    }

    /// The log at the path, for a new handle.
    fn open(&self, how: How) -> Result<()> {
        let is_open = |state: &State| state.log.as_ref().is_some_and(|log| log.is_current());
        if is_open(&self.read()) {
            return Ok(());
        }
        let mut state = self.write();
        if !is_open(&state) {
            let log = how.open(&self.path)?;
            self.put(&mut state, Some(Arc::new(log)));
            state.how = how;
        }
        Ok(())
    }

    /// For a thread that takes a writer: the log, opened where it is not open yet, as in a child; and its turn.
    pub(crate) fn log_and_turn(&self) -> Result<(Arc<Log>, u64)> {
        let now = |state: &State| Some((state.log.clone()?, self.turn()));
        if let Some(there) = now(&self.read()) {
            return Ok(there);
        }
        let mut state = self.write();
        if let Some(there) = now(&state) {
            return Ok(there);
        }
        let log = Arc::new(state.how.open(&self.path)?);
        self.put(&mut state, Some(Arc::clone(&log)));
        Ok((log, self.turn()))
    }

    /// Puts another log in the place of `old`, unless somebody else did; the one that is there then.
    fn replace(&self, old: &Log, new: Log) -> Log {
        let mut state = self.write();
        if state.log.as_ref().is_some_and(|log| log.is_same(old)) {
            self.put(&mut state, Some(Arc::new(new.clone())));
        }
        state.log.as_deref().cloned().unwrap_or(new)
    }

    /// Gives the log up, unless somebody has a handle again.
    fn give_up(&self, handles: &AtomicUsize) -> Option<Arc<Log>> {
        let mut state = self.write();
        if handles.load(Ordering::Acquire) > 0 {
            return None;
        }
        let log = self.put(&mut state, None);
        // Whoever has one of them in hand sees to it with the next turn.
        self.shared.iter().filter_map(|shared| shared.try_lock().ok()).for_each(|mut shared| *shared = None);
        log
    }
}

static FIRST: AtomicPtr<Entry> = AtomicPtr::new(ptr::null_mut());

fn entries(first: *const Entry) -> impl Iterator<Item = &'static Entry> {
    // SAFETY: null, or an entry, which is never freed.
    let follow = |at: *const Entry| unsafe { at.as_ref() };
    std::iter::successors(follow(first), move |entry| follow(entry.next))
}

/// What this process has open now, also where only threads have, which were not told that it was closed.
pub(crate) fn open_here() -> impl Iterator<Item = Arc<Log>> {
    entries(FIRST.load(Ordering::Acquire)).filter_map(|entry| {
        let opening = entry.last();
        // Whoever changes it now sees to it himself.
        let state = opening.is_here().then(|| opening.state.try_read().ok()).flatten()?;
        state.log.clone().or_else(|| state.former.iter().rev().find_map(Weak::upgrade))
    })
}

/// For a handle: the log at that path, opened if it is not open yet. What was opened before keeps its options.
///
/// # Errors
/// As those of [`Options::open_or_create`].
pub fn open(path: &Path, how: How) -> Result<&'static Entry> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    exit::expect();
    ending::expect();
    let entry = entry(path, &how);
    entry.handles.fetch_add(1, Ordering::AcqRel);
    match entry.opening().open(how) {
        Ok(()) => Ok(entry),
        Err(failure) => {
            entry.handles.fetch_sub(1, Ordering::AcqRel);
            Err(failure)
        }
    }
}

/// The entry of a path, made if it is missing.
fn entry(path: PathBuf, how: &How) -> &'static Entry {
    let find = |first: *const Entry, path: &Path| {
        entries(first).find(|entry| entry.path == path && !entry.is_broken.load(Ordering::Relaxed))
    };
    let mut first = FIRST.load(Ordering::Acquire);
    if let Some(entry) = find(first, &path) {
        return entry;
    }
    let opening = Box::into_raw(Opening::new(&path, how.clone(), None, ptr::null()));
    let entry = Box::leak(Box::new(Entry {
        path,
        how: how.clone(),
        handles: AtomicUsize::new(0),
        is_broken: AtomicBool::new(false),
        opening: AtomicPtr::new(opening),
        next: first,
    }));
    loop {
        entry.next = first;
        match FIRST.compare_exchange(first, entry, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return entry,
            Err(now) => {
                // Somebody was faster with this very path, perhaps.
                if let Some(found) = find(now, &entry.path) {
                    // SAFETY: both are boxes that nobody else has seen.
                    drop(unsafe { Box::from_raw(opening) });
                    // SAFETY: as above; the opening that it points to is not its own to free.
                    drop(unsafe { Box::from_raw(entry) });
                    return found;
                }
                first = now;
            }
        }
    }
}

impl Entry {
    /// Whether something panicked in the middle of it.
    #[inline]
    pub fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Relaxed)
    }

    /// Says that something has; the next who opens this path begins afresh.
    pub fn break_off(&self) {
        self.is_broken.store(true, Ordering::Relaxed);
    }

    #[inline]
    fn last(&self) -> &'static Opening {
        // SAFETY: an opening is there from the start on, and none is ever freed.
        unsafe { &*self.opening.load(Ordering::Acquire) }
    }

    /// This process's.
    #[inline]
    pub(crate) fn opening(&self) -> &'static Opening {
        let opening = self.last();
        if opening.is_here() { opening } else { self.of_this_child(opening) }
    }

    #[cold]
    fn of_this_child(&self, parent: &'static Opening) -> &'static Opening {
        // A thread of the parent's may have been at it in the moment of the fork: then it is opened by its path.
        let known =
            parent.state.try_read().ok().map(|state| (state.how.clone(), state.log.as_deref().cloned()));
        let (how, log) = known.unwrap_or_else(|| (self.how.clone(), None));
        let log = log.and_then(|log| log.renewed().ok());
        let mine = Box::into_raw(Opening::new(&self.path, how, log, parent));
        let at: *const Opening = parent;
        match self.opening.compare_exchange(at.cast_mut(), mine, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: just made, and never freed from now on.
            Ok(_) => unsafe { &*mine },
            Err(_) => {
                // SAFETY: a box that nobody else has seen.
                drop(unsafe { Box::from_raw(mine) });
                self.last()
            }
        }
    }

    /// The log as its writers have it: where it was made anew, the new one.
    ///
    /// # Errors
    /// When it cannot be opened, in a child or where it was made anew.
    pub fn log(&self) -> Result<Log> {
        let opening = self.opening();
        let (log, _) = opening.log_and_turn()?;
        if log.is_current() {
            return Ok(Log::clone(&log));
        }
        let new = log.renewed()?;
        Ok(if new.is_same(&log) { new } else { opening.replace(&log, new) })
    }

    /// A handle ends; with the last one, the log that is given up.
    pub(crate) fn close(&self) -> Option<Arc<Log>> {
        let opening = self.opening();
        match self.handles.fetch_sub(1, Ordering::AcqRel) {
            1 => opening.give_up(&self.handles),
            _ => None,
        }
    }
}
