//! Carrying out a log's policy, by whoever appends: where its size is reached, on the slow path, with nothing in flight.
//!
//! - Growth ends at the longest segment that the policy allows, so what does not fit there is off its straight way already.
//!   Only what is needed goes beyond: for a range in flight, for a drain, and for an append that cannot rotate.
//! - A rotation is tried once for an append, and waited for no longer than `gate_ms`. Whatever came of it, the message
//!   then fits, or makes the segment longer. Each turn rotates, grows or looks again.
//! - The maintenance byte is had by trying. While somebody else has it, whoever needs space waits for what he does: that is
//!   most likely a rotation.
//! - What fails is noted, see [`overdue`](crate::files::overdue), and nobody fails because of it.

pub(crate) mod due;

use crate::deadline::Deadline;
use crate::error::Fault;
use crate::files::Files;
use crate::files::guard::LogLock;
use crate::files::meta::page_size;
use crate::files::owner::Operation;
use crate::files::turn::{Held, Turn};
use crate::metadata::overdue::Undone;
use crate::policy::PolicyState;
use crate::rotate::rotate_at_once;

/// What one append has tried.
#[derive(Default)]
pub(crate) struct Tries {
    rotation: Option<Rotation>,
    /// What is left of its wait for others' maintenance.
    wait: Option<Deadline>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rotation {
    Done,
    /// The segment grows beyond its size.
    Failed,
}

impl Tries {
    /// Look, with the lock: there is no space for `len` bytes. Makes some, in this segment or in the next.
    pub(crate) fn make_space(&mut self, files: &Files, guard: LogLock<'_>, len: u64) -> Result<(), Fault> {
        let control = files.control();
        let (base, start) = (control.base(), control.look().start);
        let (used, end) = (start.saturating_sub(base), start.saturating_add(len));
        let Some(size) = files.meta.longest_segment().filter(|size| used.saturating_add(len) > *size) else {
            return guard.grow(end);
        };
        if self.rotation.is_none() && due::by_message(used, len, size) {
            drop(guard);
            self.rotation = self.rotate(files, base, len, size);
            return Ok(());
        }
        if self.rotation == Some(Rotation::Failed) {
            let step = due::step_beyond(size, page_size(), files.meta.geometry().chunk_size);
            let further = control.limit().saturating_add(step);
            if further > end && guard.grow(further).is_ok() {
                return Ok(());
            }
        }
        guard.grow(end)
    }

    /// `None`: somebody else has made space, as far as it goes.
    fn rotate(&mut self, files: &Files, base: u64, len: u64, size: u64) -> Option<Rotation> {
        if !may_rotate(files) {
            return Some(Rotation::Failed);
        }
        let control = files.control();
        let is_due = || {
            let used = control.look().start.saturating_sub(base);
            control.base() == base && due::by_message(used, len, size)
        };
        let has_space =
            || control.base() != base || control.look().start.saturating_add(len) <= control.limit();
        let wait = self.wait.get_or_insert_with(|| files.deadline(files.gate_time()));
        let held = match files.maintenance_turn(Operation::Rotate, wait, || has_space().then_some(())) {
            Ok(Turn::Ready(())) => {
                files.is_not_busy();
                return None;
            }
            Ok(Turn::Locked(held)) => held,
            Err(fault) => {
                files.note_busy(&fault);
                return Some(Rotation::Failed);
            }
        };
        Some(if rotate(files, &held, is_due) { Rotation::Done } else { Rotation::Failed })
    }
}

/// Once a second, by a handle that has nothing in flight: what became due by time, or was put off.
pub(crate) fn look(files: &Files) {
    if !files.looks_now() || !is_overdue(files) || !may_rotate(files) {
        return;
    }
    // Somebody else's maintenance is not waited for: there is another look.
    if let Ok(Some(held)) = files.try_maintenance(Operation::Rotate) {
        rotate(files, &held, || is_overdue(files));
    }
}

/// Whether the segment is older than it may be, or longer: a rotation failed, or the policy is newer than the segment.
fn is_overdue(files: &Files) -> bool {
    let current = files.meta.header().current();
    let used = files.control().look().start.saturating_sub(current.base);
    let rules = PolicyState::of(files.meta.policy()).rules();
    let age = || files.clock().age_of(current.began_ns);
    due::by_size(used, files.meta.longest_segment())
        || rules.rotate_age.is_some() && due::by_age(used, age(), rules.rotate_age)
}

/// With the maintenance byte: whether there was nothing in the way.
fn rotate(files: &Files, _maintenance: &Held<'_>, is_due: impl Fn() -> bool) -> bool {
    match rotate_at_once(files, is_due) {
        Ok(_) => files.has_succeeded(),
        Err(ref fault) => {
            files.note_undone(Undone::Rotation, fault);
            return false;
        }
    }
    true
}

/// Whether it is for this process to try, and it can give the log's directory a file like the log's: asked before one is
/// made, and removed again.
fn may_rotate(files: &Files) -> bool {
    if !files.may_try_policy() {
        return false;
    }
    let asked = files.may_make_next();
    if let Err(errno) = asked {
        files.note_own(Undone::Rotation, errno);
    }
    asked.is_ok()
}
