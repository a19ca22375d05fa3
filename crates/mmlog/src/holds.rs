//! Holds: consumers that have names, and that prune keeps what they have not read yet for, whether or not they run.
//!
//! 1. A record is claimed, advanced and forgotten under the log's lock, under which prune decides too: what a hold says
//!    when prune decides is what prune obeys, and a process that stopped in the middle never stores to a record that
//!    has become another's. A record is its holder's while `since_ns` is what it stored there.
//! 2. Who has a hold has its record's lock byte, by a description of its own, for as long as he lives: nobody takes it over
//!    then. Earlier software has none, and takes over without asking. A forked child has the hold together with its parent,
//!    and the byte from its first advance after the parent's end.
//! 3. Taking over a name sets the hold to the position given, lower or higher: the place that the consumer keeps for
//!    itself is the truth. From then on it only rises.
//! 4. A claim is durable when it returns. An advance need not be: an older one keeps more.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::crash::crash_point;
use crate::error::{At, Blocker, Fault, Result};
use crate::files::Files;
use crate::files::guard::LogLock;
use crate::files::owner::Operation;
use crate::layout::{FOLLOWERS_MAX, FollowerRecord, HOLD_BYTES};
use crate::position::Position;
use crate::sync::{AtomicU64, Ordering, fence};
use crate::sys::fork::LockFile;
use crate::sys::holders::tells_lockers_of;
use crate::sys::lock;
use crate::sys::process::{self, Who, now_ns, time_of};

/// The most bytes that a name may have.
const NAME_MAX: usize = 64;
const FREE: u32 = 0;
const IN_USE: u32 = 1;
/// How often a record that changes is read again.
const LOOKS: u32 = 16;

/// Keeps prune from everything at or behind its position, also after the process has ended, until somebody forgets it.
/// Made by [`Log::hold`](crate::Log::hold).
pub struct Hold {
    files: Arc<Files>,
    name: String,
    record: usize,
    since_ns: u64,
    wait: Duration,
    /// With the record's byte, unless another process of the same hold has it.
    alive: Mutex<Option<LockFile>>,
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Hold {
    pub(crate) fn claim(files: Arc<Files>, name: &str, position: Position) -> Result<Self> {
        let Claimed { record, since_ns, locks } = claim(&files, name, position.get()).at(files.path())?;
        let (wait, alive) = (files.config.wait, Mutex::new(Some(locks)));
        Ok(Self { files, name: name.into(), record, since_ns, wait, alive })
    }

    /// How long [`advance`](Self::advance) waits for a live process that has the log's lock; as the log was opened, if
    /// not set.
    pub fn patience(mut self, longest: Duration) -> Self {
        self.wait = longest;
        self
    }

    /// Lets prune take what lies below `position`, and says that this consumer is alive. Never goes back. In a forked child
    /// too, which is then the process that has the hold; it opens the log for each call.
    ///
    /// # Errors
    /// [`Fault::NoHold`] when somebody forgot it, or another process took the name over; [`Fault::Stalled`] when a live
    /// process keeps the log's lock, and nothing has changed.
    pub fn advance(&self, position: Position) -> Result<()> {
        let files = self.files.of_this_process()?;
        self.advance_to(&files, position.get()).at(self.files.path())
    }

    fn advance_to(&self, files: &Files, position: u64) -> std::result::Result<(), Fault> {
        let _guard = files.lock(Operation::Hold, &files.deadline(self.wait))?;
        let record = &files.meta.followers()[self.record];
        let seen = load(record).filter(|said| said.since_ns == self.since_ns && said.name == self.name);
        files.intact()?;
        if seen.is_none() {
            self.leave();
            return Err(Fault::NoHold { name: self.name.clone() });
        }
        within(files, position)?;
        let before = record.hold.fetch_max(position, Ordering::Release); // held
        if before < position {
            record.moved_ns.store(now_ns(), Ordering::Relaxed);
        }
        // A forked child may have taken it over.
        store_who(record);
        self.live_on(files);
        Ok(())
    }

    /// Takes the byte, where the process that had it was a parent and is no more.
    fn live_on(&self, files: &Files) {
        let mut alive = self.alive();
        if alive.as_ref().is_none_or(|locks| locks.fd().is_none()) {
            let takes = |locks: &LockFile| matches!(take(locks, self.record), Ok(true));
            *alive = files.own_locks().ok().filter(takes);
        }
    }

    /// A close gives the byte back, too, unless another process has the description for a moment.
    fn leave(&self) {
        let locks = self.alive().take();
        if let Some(fd) = locks.as_ref().and_then(LockFile::fd) {
            let _ = lock::unlock(fd, byte(self.record));
        }
    }

    fn alive(&self) -> MutexGuard<'_, Option<LockFile>> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.leave();
    }
}

const fn byte(record: usize) -> u64 {
    HOLD_BYTES + record as u64
}

/// False when a live process has it.
fn take(locks: &LockFile, record: usize) -> std::result::Result<bool, Fault> {
    let fd = locks.fd().ok_or(Fault::Replaced)?;
    lock::try_lock(fd, byte(record)).map_err(Fault::io("take the hold"))
}

struct Claimed {
    record: usize,
    since_ns: u64,
    locks: LockFile,
}

fn claim(files: &Files, name: &str, position: u64) -> std::result::Result<Claimed, Fault> {
    files.writable()?;
    let fits = (1..=NAME_MAX).contains(&name.len()) && !name.contains(char::is_control);
    if !fits {
        return Err(Fault::HoldName { len: name.len(), max: NAME_MAX });
    }
    let claimed = {
        let guard = files.lock(Operation::Hold, &files.patience())?;
        within(files, position)?;
        let kept = files.first_kept();
        files.intact()?;
        if position < kept {
            return Err(Fault::Pruned { value: position, kept });
        }
        store(&guard, files, name, position)?
    };
    files.sync_metadata().map_err(Fault::io("make the hold durable"))?;
    crash_point("hold:durable");
    Ok(claimed)
}

fn within(files: &Files, position: u64) -> std::result::Result<(), Fault> {
    let max = files.control().look().start;
    if position <= max {
        Ok(())
    } else {
        Err(Fault::NoPosition { value: position, min: files.first_kept(), max })
    }
}

/// Into the record of that name, or a free one.
fn store(
    _guard: &LogLock<'_>,
    files: &Files,
    name: &str,
    position: u64,
) -> std::result::Result<Claimed, Fault> {
    let (records, locks) = (files.meta.followers(), files.own_locks().map_err(Fault::io("take the hold"))?);
    let named = |r: &FollowerRecord| load(r).filter(|said| said.name == name);
    // One that was ended, and whose consumer has not heard of it, keeps its byte until then.
    let is_free =
        |index: &usize| load(&records[*index]).is_none() && matches!(take(&locks, *index), Ok(true));
    let index = match (0..).zip(records).find_map(|(index, r)| Some((index, named(r)?))) {
        Some((index, said)) if !take(&locks, index)? => {
            return Err(Fault::Busy(holder(files, index, said)));
        }
        Some((index, _)) => index,
        None => (0..records.len()).find(is_free).ok_or(Fault::HoldsFull { max: FOLLOWERS_MAX })?,
    };
    let record = &records[index];
    let since_ns = now_ns().max(record.since_ns.load(Ordering::Relaxed).saturating_add(1));
    record.hold.store(position, Ordering::Release); // held
    store_who(record);
    record.name.store(name);
    record.moved_ns.store(since_ns, Ordering::Relaxed);
    record.since_ns.store(since_ns, Ordering::Relaxed);
    crash_point("hold:stored");
    record.state.store(IN_USE, Ordering::Release); // held
    crash_point("hold:claimed");
    Ok(Claimed { record: index, since_ns, locks })
}

/// Who has that hold, whose byte somebody has.
fn holder(files: &Files, record: usize, said: Said) -> Blocker {
    let what = format!("the name {} of a hold", said.name);
    match files.believed(said.who) {
        (Who { pid: 0, .. }, _) => {
            let (byte, tells) = (byte(record), tells_lockers_of(files.place.metadata_path()));
            Blocker::unknown(&format!("{what} (byte {byte} of the metadata: {tells})"))
        }
        (who, state) => {
            // Of another PID namespace it is somebody else's id here.
            let here = process::other_namespace(&who).is_none();
            let command = here.then(|| process::command_line(who.pid)).flatten();
            let command = command.unwrap_or_else(|| "unknown".into());
            Blocker { what, pid: who.pid, command, process: state.to_string() }
        }
    }
}

/// Who has it, and that it is there.
fn store_who(record: &FollowerRecord) {
    let me = process::me();
    record.pid.store(me.pid, Ordering::Relaxed);
    record.start_time.store(me.start_time, Ordering::Relaxed);
    record.pid_namespace.store(me.pid_namespace, Ordering::Relaxed);
    record.last_seen_ns.store(now_ns(), Ordering::Relaxed);
}

/// Ends a hold, whoever has it.
pub(crate) fn forget(files: &Files, name: &str) -> std::result::Result<(), Fault> {
    files.writable()?;
    {
        let _guard = files.lock(Operation::Hold, &files.patience())?;
        let named = |r: &&FollowerRecord| load(r).is_some_and(|said| said.name == name);
        let record = files.meta.followers().iter().find(named);
        files.intact()?;
        let record = record.ok_or_else(|| Fault::NoHold { name: name.into() })?;
        record.state.store(FREE, Ordering::Release); // held
        crash_point("hold:forgotten");
    }
    files.sync_metadata().map_err(Fault::io("make it durable that the hold is forgotten"))
}

/// Name and position of every hold, the one that keeps most first.
pub(crate) fn positions(files: &Files) -> Vec<(String, u64)> {
    in_order(files).into_iter().map(|said| (said.name, said.position)).collect()
}

/// Every hold, the one that keeps most first.
pub(crate) fn in_order(files: &Files) -> Vec<Said> {
    let mut found: Vec<_> = files.meta.followers().iter().filter_map(load).collect();
    found.sort_by(|a, b| (a.position, &a.name).cmp(&(b.position, &b.name)));
    found
}

/// A record that is in use, loaded once.
pub(crate) struct Said {
    pub(crate) name: String,
    pub(crate) position: u64,
    pub(crate) who: Who,
    pub(crate) since_ns: u64,
    pub(crate) last_seen: Option<SystemTime>,
    /// When it moved last; unknown of earlier software.
    pub(crate) moved: Option<SystemTime>,
}

fn load(record: &FollowerRecord) -> Option<Said> {
    let mut looks = 0;
    loop {
        // held
        if record.state.load(Ordering::Acquire) != IN_USE {
            return None;
        }
        let since_ns = record.since_ns.load(Ordering::Relaxed);
        // Earlier software leaves what the one before said.
        let moved_ns = Some(record.moved_ns.load(Ordering::Relaxed)).filter(|moved| *moved >= since_ns);
        let said = Said {
            since_ns,
            moved: moved_ns.and_then(time_of),
            name: record.name.load(),
            position: record.hold.load(Ordering::Acquire), // held
            who: Who {
                pid: record.pid.load(Ordering::Relaxed),
                start_time: record.start_time.load(Ordering::Relaxed),
                pid_namespace: record.pid_namespace.load(Ordering::Relaxed),
                command: String::new(),
            },
            last_seen: time_of(record.last_seen_ns.load(Ordering::Relaxed)),
        };
        fence(Ordering::Acquire);
        let now = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let unchanged = record.state.load(Ordering::Relaxed) == IN_USE
            && now(&record.since_ns) == said.since_ns
            && record.pid.load(Ordering::Relaxed) == said.who.pid
            && now(&record.start_time) == said.who.start_time
            && now(&record.pid_namespace) == said.who.pid_namespace;
        looks += 1;
        // Who scribbles there is no reason to look for ever.
        if unchanged || looks == LOOKS {
            return Some(said);
        }
    }
}
