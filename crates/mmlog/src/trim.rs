//! Trimming: at rest the data file is exactly the bytes that were appended.
//!
//! 1. Maintenance byte, lock, journal; close the gate at C, let those who wait below it go on.
//! 2. Grow if the limit is below C: writers there need their space.
//! 3. Drain: wait until everything below C is final; the slots of the dead are settled. After `gate_ms` open the
//!    gate and give up; the caller's patience is spent with the gate open.
//! 4. Publish the size, truncate, open the gate.

use std::time::Duration;

use crate::deadline::Deadline;
use crate::error::Fault;
use crate::files::guard::{LogLock, SpaceFor};
use crate::files::owner::Operation;
use crate::files::{Files, SLICE};
use crate::metadata::Gate;
use crate::slots::Pending;
use crate::sys::process::now_ns;

/// Length of the data file before and after a trim, bytes; equal when there was nothing to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trimmed {
    /// Before.
    pub before: u64,
    /// After.
    pub after: u64,
}

/// How often a drain looks before it sleeps between two looks: a copy takes microseconds.
const LOOKS: u32 = 64;

/// How long the last writer waits for others to trim what it leaves.
const CLOSING: Duration = Duration::from_secs(1);

/// Who leaves.
#[derive(Clone, Copy)]
pub(crate) enum Last {
    Handle,
    /// Its threads may have slots of other handles, and not be told.
    Process,
}

pub(crate) enum Drained {
    All,
    /// By that slot's append.
    HeldUpBy(u32, Pending),
}

/// Opens the gate again, however the operation ends.
pub(crate) struct ClosedGate<'a, 'b>(pub(crate) &'a LogLock<'b>);

impl Drop for ClosedGate<'_, '_> {
    fn drop(&mut self) {
        self.0.open_gate();
    }
}

pub(crate) fn plan(files: &Files) -> Trimmed {
    let control = files.control();
    Trimmed { before: control.file_size(), after: control.look().start.saturating_sub(control.base()) }
}

pub(crate) fn trim(files: &Files, deadline: &Deadline) -> Result<Trimmed, Fault> {
    files.writable()?;
    files.poisoned()?;
    let _maintenance = files.maintenance(Operation::Trim, deadline)?;
    loop {
        let guard = files.lock(Operation::Trim, deadline)?;
        let slot = match trim_once(files, &guard, deadline)? {
            Ok(trimmed) => {
                drop(guard);
                // What stays is found by status and by repair.
                let _ = files.remove_next();
                files.note_time(now_ns());
                return Ok(trimmed);
            }
            Err(slot) => slot,
        };
        drop(guard);
        deadline.check(|| files.slot_blocker(slot))?;
        std::thread::sleep(SLICE);
    }
}

/// Trims, unless somebody else has a slot: another handle, or another process.
pub(crate) fn trim_if_last(files: &Files, who: Last, deadline: &Deadline) -> Result<Option<Trimmed>, Fault> {
    match files.leaves(who, deadline)? {
        None => Ok(None),
        // As after one append, or none.
        Some(left) if left.before == left.after && !files.has_next() => {
            files.note_time(now_ns());
            Ok(Some(left))
        }
        Some(_) => trim(files, deadline).map(Some),
    }
}

/// `Err` of the inner result: the slot that holds the drain up.
fn trim_once(files: &Files, guard: &LogLock<'_>, deadline: &Deadline) -> Result<Result<Trimmed, u32>, Fault> {
    let planned = plan(files);
    if planned.before == planned.after && files.control().look().gate == Gate::Open {
        return Ok(Ok(planned));
    }
    let at = guard.close_gate();
    let _gate = ClosedGate(guard);
    if let Drained::HeldUpBy(slot, _) = drain(files, guard, at, deadline)? {
        return Ok(Err(slot));
    }
    guard.shrink(at)?;
    Ok(Ok(Trimmed { before: planned.before, after: files.control().file_size() }))
}

/// Waits until everything below the closed gate is final, growing the file as far as that needs it.
pub(crate) fn drain(
    files: &Files,
    guard: &LogLock<'_>,
    at: u64,
    deadline: &Deadline,
) -> Result<Drained, Fault> {
    let full = guard.grow(at, SpaceFor::More).err();
    files.wake_waiters();
    let drained = wait_until_final(files, guard, at, full, deadline)?;
    // Only holes lie beyond what the disk could give: nobody stores there.
    if matches!(drained, Drained::All) && files.control().limit() < at {
        guard.extend_sparsely(at)?;
    }
    Ok(drained)
}

/// Waits until everything below the closed gate at `at` is final. `full` is why the file could not grow to it.
pub(crate) fn wait_until_final(
    files: &Files,
    guard: &LogLock<'_>,
    at: u64,
    full: Option<Fault>,
    deadline: &Deadline,
) -> Result<Drained, Fault> {
    let closed = deadline.within(files.gate_time());
    let mut looks = 0u32;
    loop {
        let scan = guard.scan(at);
        files.intact()?;
        guard.settle(&scan.dead);
        let Some(holder) = scan.holder.or(scan.dead.first().copied()) else { return Ok(Drained::All) };
        let needs_space = holder.pending.position().saturating_add(holder.len) > files.control().limit();
        match full {
            Some(fault) if needs_space && scan.holder.is_some() => return Err(fault),
            // Whoever has no patience left still sees those to their end who are in the middle of a copy.
            _ if looks >= LOOKS && closed.is_over() => {
                return Ok(Drained::HeldUpBy(holder.slot, holder.pending));
            }
            _ => {}
        }
        looks += 1;
        if looks < LOOKS { std::thread::yield_now() } else { std::thread::sleep(Duration::from_micros(100)) }
    }
}

impl Files {
    /// What the last writing handle does: trims when no other has a slot. Once.
    pub(crate) fn close(self) -> Result<(), Fault> {
        let closed = self.trim_if_last();
        self.forget_writers();
        closed
    }

    fn trim_if_last(&self) -> Result<(), Fault> {
        if self.is_stale() || !self.had_writers() || self.control().is_panicked() {
            return Ok(());
        }
        // Whoever leaves has done what it came for: what keeps it from this is not worth a long wait.
        let deadline = self.patience().within(CLOSING);
        match trim_if_last(self, Last::Handle, &deadline).map(drop) {
            // Removed or replaced meanwhile: there is nothing left to trim.
            Err(Fault::Replaced) => Ok(()),
            trimmed => trimmed,
        }
    }

    /// What the last one leaves to be trimmed. The lock orders closers: of two, the later one sees no other. Whoever has it has
    /// found the file as long as it says, and the gate open.
    fn leaves(&self, who: Last, deadline: &Deadline) -> Result<Option<Trimmed>, Fault> {
        let _guard = self.lock(Operation::Close, deadline)?;
        let others = match who {
            Last::Handle => self.any_writer(),
            Last::Process => self.any_process(),
        };
        others.map(|others| (!others).then(|| plan(self)))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        if !self.is_stale() {
            self.gives_up_waiting();
        }
        let _ = self.trim_if_last();
    }
}
