//! What an append does off its straight way: waiting for space, another segment, a range that could not be stored.

use std::sync::Arc;

use crate::chunks::{Lane, Retired, Segment, Unstored};
use crate::error::Fault;
use crate::files::owner::Operation;
use crate::files::turn::Turn;
use crate::files::{Files, guard};
use crate::layout::{Control, MAX_MESSAGE, POSITION_END};
use crate::metadata::Gate;
use crate::slots;
use crate::sys::fs;

/// What may keep the next append from being stored, like the last one.
#[derive(Clone, Copy)]
pub(super) enum Doubt {
    /// There was no space for bytes whose range was reserved, when this much was free.
    Space { free: u64 },
    /// Anything else.
    Log,
}

/// Step 1, where something is not as it should be: waits, grows, or says what is wrong.
#[cold]
pub(super) fn look_closely(
    files: &Files,
    lane: &mut Lane,
    retired: &mut Option<Retired>,
    len: u64,
) -> std::result::Result<(), Fault> {
    files.poisoned()?;
    if len == 0 {
        return Err(Fault::EmptyMessage);
    }
    if len > MAX_MESSAGE {
        return Err(Fault::TooLarge { len, max: MAX_MESSAGE });
    }
    let control = files.control();
    let fits = || {
        let now = control.look();
        (now.gate == Gate::Open && now.start + len <= control.limit()).then_some(())
    };
    let deadline = files.patience();
    loop {
        files.intact()?;
        let start = control.look().start;
        if !Control::has_positions(start, len) {
            let max = POSITION_END - 1;
            return Err(Fault::OutOfRange { field: "cursor", value: start, min: 0, max });
        }
        match files.turn(Operation::Grow, &deadline, fits)? {
            Turn::Ready(()) if control.base() == lane.segment.base() => return Ok(()),
            Turn::Ready(()) => {
                *retired = lane.move_to(current_segment(files)?);
            }
            Turn::Locked(guard) => guard.grow(control.look().start + len)?,
        }
    }
}

/// Step 3: at most 10 ms a look. With the lock, grows as far as this append needs.
pub(super) fn wait_for_space(files: &Files, start: u64, len: u64) -> std::result::Result<(), Fault> {
    let control = files.control();
    let ready = || slots::may_copy(control, start, len).then_some(());
    let deadline = files.patience();
    loop {
        match files.turn(Operation::Grow, &deadline, ready)? {
            Turn::Ready(()) => return Ok(()),
            Turn::Locked(guard) => guard.grow(start + len)?,
        }
    }
}

/// The data file that appends go to, once the gate is open.
#[cold]
pub(super) fn current_segment(files: &Files) -> std::result::Result<Arc<Segment>, Fault> {
    let segment = files.renew()?;
    let base = files.control().base();
    if segment.base() == base {
        return Ok(segment);
    }
    // Rotated again, or damaged: whoever takes the lock finds the segment that the metadata means.
    drop(files.lock(Operation::Settle, &files.patience())?);
    let segment = files.renew()?;
    let (value, min) = (files.control().base(), segment.base());
    if value == min { Ok(segment) } else { Err(Fault::OutOfRange { field: "base", value, min, max: min }) }
}

#[cold]
#[inline(never)]
pub(super) fn give_back(retired: &mut Option<Retired>) {
    *retired = retired.take().and_then(Retired::give_back);
}

/// Leaves a slot to whoever needs it settled.
pub(super) struct Abandon<'a> {
    pub(super) files: &'a Files,
    pub(super) slot: u32,
}

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.files.release(self.slot);
        // Best done at once, while the reason is known; not waited for.
        if let Ok(Some(guard)) = self.files.try_lock(Operation::Settle) {
            guard.settle_all();
        }
    }
}

/// Some mapping of this process is cut: whether it is this log's metadata.
#[cold]
#[inline(never)]
pub(super) fn look_at_metadata(files: &Files) -> std::result::Result<(), Fault> {
    files.intact()
}

/// Why an append failed whose range was reserved, and what is in doubt now.
#[cold]
#[inline(never)]
pub(super) fn unstored(files: &Files, why: Unstored, len: u64, doubt: &mut Option<Doubt>) -> Fault {
    if let Err(cut) = files.intact() {
        return cut;
    }
    let fault = match why {
        Unstored::Truncated { found } => Fault::Truncated { expected: files.control().file_size(), found },
        Unstored::Failed(source) if guard::is_full(&source) => {
            let free = files.segment().map_or(0, |segment| fs::free_bytes(segment.file()));
            Fault::NoSpace { needed: len, free, source }
        }
        Unstored::Failed(source) => Fault::Io { operation: "write to the data file", source },
    };
    *doubt = Some(Doubt::after(&fault));
    fault
}

impl Doubt {
    fn after(fault: &Fault) -> Self {
        match *fault {
            Fault::NoSpace { free, ref source, .. } if source.raw_os_error() == Some(nix::libc::ENOSPC) => {
                Self::Space { free }
            }
            _ => Self::Log,
        }
    }
}
