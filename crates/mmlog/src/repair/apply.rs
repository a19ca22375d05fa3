//! Doing what a plan says: each step looks again under the lock, and may die and be repeated.

use std::ops::Range;
use std::sync::atomic::Ordering;

use super::plan::{Plan, Step};
use crate::check;
use crate::crash::crash_point;
use crate::deadline::Deadline;
use crate::error::{At, Fault, Result};
use crate::files::guard::LogLock;
use crate::files::owner::Operation;
use crate::files::{Files, Intent, SLICE};
use crate::status::flaws;
use crate::trim::{ClosedGate, Drained, wait_until_final};

impl Plan {
    /// Does the steps, under the maintenance byte. Live writers go on meanwhile, but for the milliseconds of a gate.
    /// Returns what was done; nothing, and without a store, for a healthy log.
    ///
    /// # Errors
    /// [`Fault::Busy`] when other maintenance runs, [`Fault::Stalled`] when a live writer does not finish its append,
    /// [`Fault::InUse`] when somebody has the data file open that metadata is made for, [`Fault::Unsound`] when the
    /// panic flag is to be cleared and an invariant does not hold. What was done until then stays done; a new
    /// examination says what is left.
    pub fn apply(&self) -> Result<Vec<Step>> {
        let Some(first) = self.steps.first() else { return Ok(Vec::new()) };
        let config = &self.options.0;
        if first.makes_anew() {
            Files::rebuild(&self.place, config)?;
            return Ok(self.steps.clone());
        }
        let files = Files::open_in(&self.place, config, Intent::Repair)?;
        self.mend(&files).at(self.place.path())
    }

    /// Asks for what [`apply`](Self::apply) would be refused before it does anything; changes nothing.
    ///
    /// # Errors
    /// [`Fault::InUse`] when somebody uses files that are to be made anew.
    pub fn ask(&self) -> Result<()> {
        match self.steps.first().is_some_and(Step::makes_anew) {
            true => Files::ask_to_rebuild(&self.place, &self.options.0).at(self.place.path()),
            false => Ok(()),
        }
    }

    fn mend(&self, files: &Files) -> std::result::Result<Vec<Step>, Fault> {
        let deadline = &files.patience();
        let _maintenance = files.maintenance(Operation::Repair, deadline)?;
        for step in &self.steps {
            match step {
                Step::Recreate { .. } => {
                    files.recreate_data()?;
                    behind_a_gate(files, deadline, |guard, at| guard.begin_segment(at))?;
                }
                Step::AcceptTruncation { .. } => {
                    let found =
                        files.segment()?.file().metadata().map_err(Fault::io("stat the data file"))?.len();
                    behind_a_gate(files, deadline, |guard, at| guard.accept_truncation(found, at))?;
                }
                Step::RecoverFromData { .. } => files.lock_as_is(deadline)?.recover_from_data()?,
                _ => {}
            }
            crash_point("repair:step");
        }
        // All that a dead process leaves is healed by taking the lock.
        let guard = files.lock(Operation::Repair, deadline)?;
        let kept = guard.settle_all();
        drop(guard);
        for step in &self.steps {
            match step {
                Step::RemoveLeftover { .. } => files.remove_leftovers()?,
                Step::AcceptLoss { .. } => files.meta.header().checkpoint.accept_loss(),
                Step::ForgetCut { .. } => files.forget_cut(),
                Step::ForgetMissing { from, to } => give_up(files, *from..*to, deadline)?,
                Step::ClearPanic(_) => clear_panic(files)?,
                _ => {}
            }
        }
        let is_done = |step: &&Step| !matches!(step, Step::Settle { slot, .. } if kept.contains(slot));
        Ok(self.steps.iter().filter(is_done).cloned().collect())
    }
}

/// Closes the gate, waits until all below it is final, and acts. Tries again until the deadline, with the gate open in between.
fn behind_a_gate(
    files: &Files,
    deadline: &Deadline,
    mut act: impl FnMut(&LogLock<'_>, u64) -> std::result::Result<(), Fault>,
) -> std::result::Result<(), Fault> {
    loop {
        let guard = files.lock_as_is(deadline)?;
        let at = guard.close_gate();
        let gate = ClosedGate(&guard);
        let slot = match wait_until_final(files, &guard, at, None, deadline)? {
            Drained::All => return act(&guard, at),
            Drained::HeldUpBy(slot, _) => slot,
        };
        drop(gate);
        drop(guard);
        deadline.check(|| files.slot_blocker(slot))?;
        std::thread::sleep(SLICE);
    }
}

/// Unless somebody has put it back meanwhile.
fn give_up(files: &Files, positions: Range<u64>, deadline: &Deadline) -> std::result::Result<(), Fault> {
    let guard = files.lock(Operation::Repair, deadline)?;
    if flaws::missing(files)?.contains(&positions) {
        guard.give_up(positions);
    }
    drop(guard);
    files.sync_metadata().map_err(Fault::io("make the hole durable"))
}

fn clear_panic(files: &Files) -> std::result::Result<(), Fault> {
    let found = check::of_files(files)?;
    if let Some(violation) = found.violations.first() {
        return Err(Fault::Unsound { violation: violation.to_string() });
    }
    let control = files.control();
    control.is_panicked.store(0, Ordering::Release); // panic
    files.meta.header().panic.empty();
    files.wake_waiters();
    Ok(())
}
