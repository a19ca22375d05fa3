//! Carrying out a log's policy, by whoever appends: where its size is reached, on the slow path, with nothing in flight.
//!
//! - Growth ends at the longest segment that the policy allows, so what does not fit there is off its straight way already.
//!   Only what is needed goes beyond: for a range in flight, for a drain, and for an append that cannot rotate.
//! - An append tries to rotate a segment once, and waits no longer than `gate_ms` in all. Whatever came of it, the message
//!   then fits, makes that segment longer, or finds another one full. Each turn rotates, grows or looks again.
//! - Who has rotated appends, then prunes. (Not: the other way round. Others fill the next segment meanwhile, and whoever
//!   prunes for all of them is the one that waits too long.) Others may rotate in between, so who rotates first prunes what
//!   is left of the rotation before: one segment more than is kept, at most.
//! - The maintenance byte is had by trying. While somebody else has it, whoever needs space waits for what he does: that is
//!   most likely a rotation.
//! - All that can block (reading the directory, making and removing files, syncing metadata) is outside the gate, which is
//!   closed for some hundred microseconds where nobody is in the middle of an append. A process that is stopped just then
//!   holds all others up until it goes on, as one does that is stopped with the log's lock; they name it.
//! - What fails is noted, see [`overdue`](crate::files::overdue), and nobody fails because of it.

pub(crate) mod due;
pub(crate) mod trust;

use std::time::Duration;

use crate::deadline::Deadline;
use crate::error::Fault;
use crate::files::Files;
use crate::files::guard::{LogLock, SpaceFor};
use crate::files::overdue::{Freed, Try};
use crate::files::owner::Operation;
use crate::files::turn::{Held, Turn};
use crate::metadata::overdue::Undone;
use crate::policy::{Policy, PolicyState};
use crate::prune::{Pruning, Retention, Rule, give_way, prune_gently};
use crate::rotate::rotate_at_once;
use crate::sys::fs;

/// Between two looks for space that somebody else may be making.
const PAUSE: Duration = Duration::from_millis(1);

/// What one append has tried.
#[derive(Default)]
pub(crate) struct Tries {
    /// The base of the segment that it could not rotate: that one grows beyond its size. (Not: whether it has rotated.
    /// Others may fill the next segment, too, before this process runs again.)
    failed: Option<u64>,
    /// It has rotated, and what the policy lets go by that is still there.
    owes: bool,
    /// What is left of its wait for others' maintenance.
    wait: Option<Deadline>,
}

impl Tries {
    /// Look, with the lock: there is no space for `len` bytes. Makes some, in this segment or in the next.
    pub(crate) fn make_space(
        &mut self,
        files: &Files,
        guard: LogLock<'_>,
        len: u64,
        space: SpaceFor,
        deadline: &Deadline,
    ) -> Result<(), Fault> {
        let control = files.control();
        let (base, start) = (control.base(), control.look().start);
        let (used, end) = (start.saturating_sub(base), start.saturating_add(len));
        let Some(size) = files.meta.longest_segment().filter(|size| used.saturating_add(len) > *size) else {
            return grow(files, guard, end, space, deadline);
        };
        let has_failed = self.failed == Some(base);
        if !has_failed && due::by_message(used, len, size) {
            drop(guard);
            self.failed = (!self.rotate(files, base, len, size)).then_some(base);
            return Ok(());
        }
        if has_failed {
            let limit = control.limit();
            let beyond = limit.saturating_sub(base).saturating_sub(size);
            let step = due::step_beyond(size, beyond, files.meta.geometry().chunk_size);
            let further = limit.saturating_add(step);
            if further > end && guard.grow(further, SpaceFor::More).is_ok() {
                return Ok(());
            }
        }
        grow(files, guard, end, space, deadline)
    }

    /// Whether this process has made space, or somebody else, as far as it goes.
    fn rotate(&mut self, files: &Files, base: u64, len: u64, size: u64) -> bool {
        let may = may_rotate(files);
        if may == Try::Not {
            return false;
        }
        let control = files.control();
        let is_due = || {
            let used = control.look().start.saturating_sub(base);
            control.base() == base && due::by_message(used, len, size)
        };
        let has_space =
            || control.base() != base || control.look().start.saturating_add(len) <= control.limit();
        let held = if may == Try::AtOnce {
            let Ok(Some(held)) = files.try_maintenance(Operation::Rotate) else { return false };
            held
        } else {
            let wait = self.wait.get_or_insert_with(|| files.deadline(files.gate_time()));
            match files.maintenance_turn(Operation::Rotate, wait, || has_space().then_some(())) {
                Ok(Turn::Ready(())) => {
                    files.is_not_busy();
                    return true;
                }
                Ok(Turn::Locked(held)) => held,
                Err(fault) => {
                    files.note_busy(&fault);
                    return false;
                }
            }
        };
        // Whoever rotated last was killed, or has not come to it.
        prune(files, &held);
        let Some(rotated) = rotate(files, &held, is_due) else { return false };
        self.owes |= rotated;
        true
    }

    /// The message is in the log, or failed, and nothing is in flight: this append's wait, and nobody else's.
    #[inline]
    pub(crate) fn settle_up(&self, files: &Files) {
        if self.owes {
            // Whoever has the maintenance byte has it since that rotation. One who rotates for the policy prunes before; after
            // anybody else the next rotation does, or the look of each second.
            if let Ok(Some(held)) = files.try_maintenance(Operation::Prune) {
                prune(files, &held);
            }
        }
    }
}

/// Makes the data file reach position `end`. On a full disk, what the policy lets go goes first: `Ok` then says to look
/// again. Also for a range in flight: the maintenance byte is only tried, and no gate closes without it.
pub(crate) fn grow(
    files: &Files,
    guard: LogLock<'_>,
    end: u64,
    space: SpaceFor,
    deadline: &Deadline,
) -> Result<(), Fault> {
    let full = match guard.grow(end, space) {
        Err(full @ Fault::NoSpace { .. }) => full,
        grown => return grown,
    };
    // What was removed becomes free once those who append here, too, have come past it.
    if files.may_become_free() {
        drop(guard);
        if deadline.is_over() {
            return Err(full);
        }
        std::thread::sleep(PAUSE);
        return Ok(());
    }
    let Some(how) = retention(files) else { return Err(full) };
    if let Some(_maintenance) = files.try_maintenance(Operation::Prune)? {
        let has_space = removes_some(files, &how, || give_way(files, guard, &how));
        return if has_space { Ok(()) } else { Err(full) };
    }
    // Whoever has it may be making space.
    drop(guard);
    deadline.check(|| files.maintenance_holder())?;
    std::thread::sleep(PAUSE);
    Ok(())
}

/// By whoever comes to a new chunk, at most once a second.
pub(crate) fn look_now_and_then(files: &Files) {
    if files.looks_now() {
        look(files);
    }
}

/// Once a second, with nothing in flight: what became due by time, and what was put off.
pub(crate) fn look(files: &Files) {
    let rules = rules(files);
    if rules.rotate_age.is_some() {
        files.give_an_age();
    }
    let rotates = is_overdue(files, &rules) && may_rotate(files) != Try::Not;
    let prunes = removes(&rules) && files.may_try_pruning();
    if !rotates && !prunes {
        return;
    }
    // Somebody else's maintenance is not waited for: there is another look.
    if let Ok(Some(held)) = files.try_maintenance(Operation::Rotate) {
        if rotates {
            rotate(files, &held, || is_overdue(files, &rules));
        }
        prune(files, &held);
    }
}

/// All that is due, however much that is.
pub(crate) fn housekeep(files: &Files) -> Result<(), Fault> {
    files.writable()?;
    files.poisoned()?;
    look(files);
    // Without such a rule nobody is told that somebody prunes.
    if !removes(&rules(files)) {
        return Ok(());
    }
    // Each turn takes something away, or is the last.
    while let Some(held) = files.try_maintenance(Operation::Prune)?
        && prune(files, &held)
    {
        files.waits().go_on("looks for what the policy lets go", 0, 1)?;
    }
    Ok(())
}

fn rules(files: &Files) -> Policy {
    PolicyState::of(files.meta.policy()).rules()
}

pub(crate) fn removes(rules: &Policy) -> bool {
    let Policy { keep, keep_bytes, keep_age, keep_free, .. } = rules;
    keep.is_some() || keep_bytes.is_some() || keep_age.is_some() || keep_free.is_some()
}

/// Whether the segment is older than it may be, or longer: a rotation failed, or the policy is newer than the segment.
fn is_overdue(files: &Files, rules: &Policy) -> bool {
    let current = files.meta.header().current();
    let used = files.control().look().start.saturating_sub(current.base);
    let age = || files.clock().age_of(current.began_ns);
    due::by_size(used, files.meta.longest_segment())
        || rules.rotate_age.is_some() && due::by_age(used, age(), rules.rotate_age)
}

/// What came of it; `None` where something was in the way.
fn rotate(files: &Files, _maintenance: &Held<'_>, is_due: impl Fn() -> bool) -> Option<bool> {
    match rotate_at_once(files, is_due) {
        Ok(rotated) => {
            files.has_succeeded();
            Some(rotated.is_some())
        }
        Err(fault) => {
            files.note_undone(Undone::Rotation, &fault);
            None
        }
    }
}

/// A few segments at a time: what is left goes at the next look. Whether any went.
fn prune(files: &Files, _maintenance: &Held<'_>) -> bool {
    retention(files).is_some_and(|how| removes_some(files, &how, || prune_gently(files, &how)))
}

/// What the policy lets go now, by this process.
fn retention(files: &Files) -> Option<Retention> {
    let rules = rules(files);
    if !removes(&rules) || !files.may_try_pruning() || !trust::may_delete(files) {
        return None;
    }
    let how = Retention::of(&rules);
    Some(Retention { free: how.free.filter(|_| files.may_free()), ..how })
}

/// Whether any went.
fn removes_some(files: &Files, how: &Retention, go: impl FnOnce() -> Result<Pruning, Fault>) -> bool {
    // Asked only where it matters.
    let before = how.free.map_or(0, |_| fs::free_bytes(files.place.directory_fd()));
    let limit = files.control().limit();
    let pruned = match go() {
        Ok(pruned) => pruned,
        Err(fault) => {
            files.note_undone(Undone::Pruning, &fault);
            return false;
        }
    };
    // What may go is gone.
    let header = files.meta.header();
    header.overdue_log.pruned();
    header.overdue_process.pruned();
    if pruned.segments.iter().any(|gone| gone.rule == Rule::Free) {
        let bytes = pruned.segments.iter().map(|gone| gone.allocated).sum();
        files.has_freed(Freed { before, bytes, limit });
    }
    !pruned.segments.is_empty()
}

/// Whether it is for this process to try, and it can give the log's directory a file like the log's: asked before one is
/// made, and removed again.
fn may_rotate(files: &Files) -> Try {
    let may = files.may_try_policy();
    if may == Try::Not {
        return may;
    }
    match files.may_make_next() {
        Ok(()) => may,
        Err(errno) => {
            files.note_own(Undone::Rotation, errno);
            Try::Not
        }
    }
}
