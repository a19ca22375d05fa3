//! Rotating: the data file becomes a final segment under a name of its own, an empty one takes its place. No signal
//! to anybody, no copy, nobody stopped for longer than `gate_ms`.
//!
//! 1. Maintenance byte; lock, so that nothing is half done. Make the next file under a temporary name, allocated, with
//!    the owner, group, mode, ACL and labels of the log. Writers go on meanwhile.
//! 2. Lock, journal; close the gate at C. Grow if the limit is below C. Drain; after `gate_ms` open the gate and try
//!    again: the caller's patience is spent with the gate open, and a writer that held a drain up is first waited for.
//! 3. Link the final name, rename the temporary file over the path: the commit. From here on whoever gets the lock
//!    finishes it ([`exchange`](crate::files::exchange)): segment entry, inode, size, limit, base, generation, gate;
//!    cut the old file to C.
//!
//! Where something is to be done with the segment ([`hooks`](crate::hooks)), that is noted and on the disk before.
//!
//! Writers find the new base at their next look, or where they wait at the gate, and open the file at the path.
//! Everything below C was drained, so nobody stores to the old file any more: it is final when this returns.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use crate::crash::crash_point;
use crate::deadline::Deadline;
use crate::error::Fault;
use crate::files::exchange::NextFile;
use crate::files::guard::LogLock;
use crate::files::owner::Operation;
use crate::files::room::Room;
use crate::files::{Files, SLICE};
use crate::layout::FEATURE_HOOKS;
use crate::metadata::Entry;
use crate::names::{GENERATION_END, SegmentName, Stamp};
use crate::slots::Pending;
use crate::sync::Ordering;
use crate::sys::place::Part;
use crate::sys::{cache, process};
use crate::trim::{Drained, drain};

/// When to rotate, and how. The default: now, with 2 s of patience.
///
/// With both [`if_size`](Self::if_size) and [`if_age`](Self::if_age), either is enough.
#[derive(Clone, Debug)]
pub struct Rotation {
    wait: Duration,
    if_size: Option<u64>,
    if_age: Option<Duration>,
    stamp: Option<Stamp>,
    hook: bool,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { wait: Duration::from_secs(2), if_size: None, if_age: None, stamp: None, hook: false }
    }
}

impl Rotation {
    /// How long to wait for another maintenance operation, or for a writer that does not finish its append.
    pub fn wait(mut self, longest: Duration) -> Self {
        self.wait = longest;
        self
    }

    /// Only if the segment has at least that many bytes.
    pub fn if_size(mut self, bytes: u64) -> Self {
        self.if_size = Some(bytes);
        self
    }

    /// Only if the segment began at least that long ago, or at a time that has not come: the clock was set back.
    pub fn if_age(mut self, age: Duration) -> Self {
        self.if_age = Some(age);
        self
    }

    /// Notes that something is to be done with the segment: [`Log::hook_turn`](crate::Log::hook_turn) tells of it until
    /// it is said to be done, whoever is killed.
    pub fn with_hook(mut self) -> Self {
        self.hook = true;
        self
    }

    /// Adds a time to the segment's name, behind generation and base.
    pub fn stamp(mut self, stamp: Stamp) -> Self {
        self.stamp = Some(stamp);
        self
    }
}

/// A segment that a rotation made final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// Where it is now: final, nobody ever stores there again.
    pub path: PathBuf,
    /// Its number.
    pub generation: u64,
    /// Position of its first byte.
    pub base: u64,
    /// Position behind its last byte; `end - base` is the file's length.
    pub end: u64,
    /// For how long the gate was closed in the try that succeeded: what a writer may have waited.
    pub pause: Duration,
}

/// What a rotation would make final now; `None` if it would do nothing. An error where the segment's name does not fit.
pub(crate) fn plan(files: &Files, how: &Rotation) -> Result<Option<Rotated>, Fault> {
    let current = files.meta.header().current();
    let end = files.control().look().start;
    let bytes = end.saturating_sub(current.base);
    // Of unknown age it is due: the next one's is known.
    let age = || files.clock().age_of(current.began_ns).unwrap_or(Duration::MAX);
    let due = match (how.if_size, how.if_age) {
        (None, None) => true,
        (size, least) => size.is_some_and(|s| bytes >= s) || least.is_some_and(|a| age() >= a),
    };
    if bytes == 0 || !due {
        return Ok(None);
    }
    let planned = rotated(files, &current, how.stamp, end, Duration::ZERO);
    let what = if how.stamp.is_some() { "an old segment with its time" } else { "an old segment" };
    Room::of(&files.place)?.check(planned.path.file_name().unwrap_or_default(), what)?;
    Ok(Some(planned))
}

fn rotated(files: &Files, current: &Entry, stamp: Option<Stamp>, end: u64, pause: Duration) -> Rotated {
    let Entry { generation, base, .. } = *current;
    let name = SegmentName::plain(generation, base, stamp).of(files.place.name(Part::Data));
    Rotated { path: files.path().with_file_name(name), generation, base, end, pause }
}

pub(crate) fn rotate(files: &Files, how: &Rotation) -> Result<Option<Rotated>, Fault> {
    files.writable()?;
    files.poisoned()?;
    if plan(files, how)?.is_none() {
        return Ok(None);
    }
    let deadline = files.deadline(how.wait);
    let _maintenance = files.maintenance(Operation::Rotate, &deadline)?;
    drop(files.lock(Operation::Rotate, &deadline)?);
    // Another one may have been at it.
    if plan(files, how)?.is_none() {
        return Ok(None);
    }
    let next = files.prepare_next()?;
    let noted = if how.hook { Some(Noted::note(files, &deadline)?) } else { None };
    let mut holder = None;
    // It has space allocated ahead: whoever closes last trims it.
    files.expect_writers();
    loop {
        if !holder.is_some_and(|h| is_still(files, h)) {
            let guard = files.lock(Operation::Rotate, &deadline)?;
            match rotate_once(files, &guard, &next, how.stamp, &deadline)? {
                Ok(done) => {
                    let segment = guard.taken();
                    drop(guard);
                    // What comes after a rotation (a copy, a sync, compression) has less to wait for then. (Not where an append
                    // rotates: it takes 3 to 26 ms for 64 MiB, until the disk has queued them, and a segment that goes within
                    // seconds need never be written. The kernel begins by itself after half a minute.)
                    let _ = cache::start_writing(segment.file(), &(0..done.bytes()));
                    files.note_time(process::now_ns());
                    noted.into_iter().for_each(Noted::stay);
                    return Ok(Some(done));
                }
                Err(slot) => holder = Some(slot),
            }
        }
        if let Some((slot, _)) = holder {
            deadline.check(|| files.slot_blocker(slot))?;
        }
        std::thread::sleep(SLICE);
    }
}

/// One try, by a caller that has the maintenance byte, waits for nobody longer than `gate_ms`, and knows whether it still
/// is due. `None` where it is not.
pub(crate) fn rotate_at_once(files: &Files, is_due: impl Fn() -> bool) -> Result<Option<Rotated>, Fault> {
    let gate = || files.deadline(files.gate_time());
    drop(files.lock(Operation::Rotate, &gate())?);
    if !is_due() {
        return Ok(None);
    }
    let next = files.prepare_next()?;
    files.expect_writers();
    let guard = files.lock(Operation::Rotate, &gate())?;
    if !is_due() {
        return Ok(None);
    }
    let deadline = gate();
    rotate_once(files, &guard, &next, None, &deadline)?.map(Some).map_err(|(slot, _)| {
        let (blocker, waited) = (files.slot_blocker(slot), files.gate_time());
        Fault::Stalled { blocker, waited }
    })
}

/// That something is to be done with the current segment, once it is final: taken back unless it becomes so.
struct Noted<'a> {
    files: &'a Files,
    generation: u64,
}

impl<'a> Noted<'a> {
    /// On the disk before the rotation is. The caller has the maintenance byte.
    fn note(files: &'a Files, deadline: &Deadline) -> Result<Self, Fault> {
        let guard = files.lock(Operation::Rotate, deadline)?;
        let header = files.meta.header();
        let noted = Self { files, generation: header.generation() };
        header.identity.features_optional.fetch_or(FEATURE_HOOKS, Ordering::Relaxed);
        header.hooks.note(noted.generation);
        drop(guard);
        crash_point("rotate:noted");
        files.sync_metadata().map_err(Fault::io("make durable that the segment has a hook"))?;
        Ok(noted)
    }

    fn stay(self) {
        std::mem::forget(self);
    }
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        // Committed, and an error afterwards?
        let header = self.files.meta.header();
        if header.generation() == self.generation {
            header.hooks.take_back(self.generation);
        }
    }
}

/// Whether the append that held a drain up is still in flight.
fn is_still(files: &Files, (slot, pending): (u32, Pending)) -> bool {
    files.meta.slots()[slot as usize].hot.pending() == pending && !files.is_free(slot)
}

/// `Err` of the inner result: what holds the drain up.
fn rotate_once(
    files: &Files,
    guard: &LogLock<'_>,
    next: &NextFile<'_>,
    stamp: Option<Stamp>,
    deadline: &Deadline,
) -> Result<Result<Rotated, (u32, Pending)>, Fault> {
    let current = files.meta.header().current();
    if current.generation >= GENERATION_END - 1 {
        return Err(Fault::OutOfRange {
            field: "generation",
            value: current.generation,
            min: 0,
            max: GENERATION_END - 2,
        });
    }
    let closed = Instant::now();
    let at = guard.close_gate_to_rotate(next);
    let name = SegmentName::plain(current.generation, current.base, stamp).of(files.place.name(Part::Data));
    let tried = drain(files, guard, at, deadline).and_then(|drained| match drained {
        Drained::All => guard.nothing_from(at).and_then(|()| guard.exchange(&name, at)).map(Ok),
        Drained::HeldUpBy(slot, pending) => Ok(Err((slot, pending))),
    });
    // Whatever was done, the file at the path says whether this finishes or undoes it.
    let finished = guard.finish_rotation();
    match tried? {
        Err(holder) => finished.map(|_| Err(holder)),
        Ok(()) => {
            let opened = finished?.unwrap_or_else(Instant::now);
            let header = files.meta.header();
            header.overdue_log.rotated();
            header.overdue_process.rotated();
            let pause = opened.saturating_duration_since(closed);
            if let Some(len) = at.checked_sub(current.base) {
                guard.cut_this(len)?;
            }
            Ok(Ok(rotated(files, &current, stamp, at, pause)))
        }
    }
}

impl Rotated {
    /// Bytes of the segment.
    pub fn bytes(&self) -> u64 {
        self.end - self.base
    }
}

/// When the current segment began.
pub(crate) fn began(files: &Files) -> Option<SystemTime> {
    process::time_of(files.meta.header().current().began_ns)
}
