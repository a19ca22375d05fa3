//! What an append does off its straight way: waiting for space, another segment, a range that could not be stored.

use std::io;
use std::sync::Arc;

use nix::libc;

use crate::carry_out::{self, Tries};
use crate::chunks::{Lane, Retired, Segment, Unstored};
use crate::error::Fault;
use crate::files::guard::{LogLock, SpaceFor};
use crate::files::owner::Operation;
use crate::files::turn::Turn;
use crate::files::{Files, guard, meta};
use crate::layout::{Control, MAX_MESSAGE, POSITION_END};
use crate::metadata::Gate;
use crate::slots;
use crate::sys::{events, fs};

/// What may keep the next append from being stored, like the last one.
#[derive(Clone, Copy, Default)]
pub(super) struct Doubt {
    /// The range that could not be stored; empty where the metadata was the trouble.
    at: u64,
    len: u64,
    /// How much was free, where that was not enough.
    free: Option<u64>,
}

/// Step 1, where something is not as it should be: waits, grows, or says what is wrong.
#[cold]
pub(super) fn look_closely(
    files: &Files,
    lane: &mut Lane,
    retired: &mut Option<Retired>,
    (slot, floor): (u32, u64),
    (len, space): (u64, SpaceFor),
    tries: &mut Tries,
    mut looks: impl FnMut(),
) -> std::result::Result<(), Fault> {
    files.poisoned()?;
    if len == 0 {
        return Err(Fault::EmptyMessage);
    }
    if len > MAX_MESSAGE {
        return Err(Fault::TooLarge { len, max: MAX_MESSAGE });
    }
    let control = files.control();
    let mut fits = || {
        looks();
        let now = control.look();
        (now.gate == Gate::Open && now.start + len <= control.limit()).then_some(())
    };
    let deadline = files.patience();
    carry_out::look_now_and_then(files);
    loop {
        files.intact()?;
        files.is_as_we_left_it(&lane.segment, slot, floor)?;
        // It may be what has to go for the space that is waited for.
        if retired.is_some() {
            give_back(retired);
        }
        let start = control.look().start;
        if !Control::has_positions(start, len) {
            let max = POSITION_END - 1;
            return Err(Fault::OutOfRange { field: "cursor", value: start, min: 0, max });
        }
        match files.turn(Operation::Grow, &deadline, &mut fits)? {
            Turn::Ready(()) if control.base() == lane.segment.base() => return Ok(()),
            Turn::Locked(guard) if control.base() == lane.segment.base() => {
                tries.make_space(files, guard, len, space, &deadline)?;
            }
            // Without the lock, which is taken there if it must be.
            turn => {
                drop(turn);
                *retired = lane.move_to(current_segment(files)?);
            }
        }
    }
}

/// Step 3: at most 10 ms a look. With the lock, grows as far as this append needs.
pub(super) fn wait_for_space(
    files: &Files,
    segment: &Segment,
    start: u64,
    len: u64,
    mut looks: impl FnMut(),
) -> std::result::Result<(), Fault> {
    let control = files.control();
    let mut ready = || {
        looks();
        slots::may_copy(control, start, len).then_some(())
    };
    let deadline = files.patience();
    loop {
        let cursor = control.look().start;
        if cursor < start + len {
            return Err(files.set_back(segment, cursor, start + len));
        }
        match files.turn(Operation::Grow, &deadline, &mut ready)? {
            Turn::Ready(()) => return Ok(()),
            Turn::Locked(guard) => carry_out::grow(files, guard, start + len, SpaceFor::More, &deadline)?,
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
    // Rotated again, or damaged: whoever takes the lock finds the segment that the metadata means, and nobody rotates as long
    // as it is held.
    let _lock = files.lock(Operation::Settle, &files.patience())?;
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
pub(super) fn unstored(
    files: &Files,
    segment: &Segment,
    why: Unstored,
    start: u64,
    len: u64,
    doubt: &mut Option<Doubt>,
) -> Fault {
    if let Err(cut) = files.intact() {
        return cut;
    }
    let source = match why {
        Unstored::Truncated { found } => {
            *doubt = Some(Doubt { at: start, len, free: None });
            return Fault::Truncated { expected: files.control().file_size(), found };
        }
        Unstored::Failed(source) => source,
    };
    // This process's own limit is looked at before a range is taken, unless that counts on a mapping.
    let is_looked_at = segment.admits(start, len).is_err() && !events::any_cut();
    let free = (source.raw_os_error() == Some(libc::ENOSPC)).then(|| fs::free_bytes(segment.file()));
    *doubt = (!is_looked_at).then_some(Doubt { at: start, len, free });
    cannot_store(segment, len, source)
}

fn cannot_store(segment: &Segment, len: u64, source: io::Error) -> Fault {
    match guard::is_full(&source) {
        true => no_space(segment, len, source),
        false => Fault::Io { operation: "write to the data file", source },
    }
}

#[cold]
pub(super) fn no_space(segment: &Segment, needed: u64, source: io::Error) -> Fault {
    Fault::NoSpace { needed, free: fs::free_bytes(segment.file()), source }
}

impl Doubt {
    /// Whether a message of that length can be stored, as far as can be known before a range is taken for it.
    pub(super) fn clear(
        self,
        guard: &LogLock<'_>,
        segment: &Segment,
        len: u64,
    ) -> std::result::Result<(), Fault> {
        let needed = len.next_multiple_of(meta::page_size());
        // Nobody has freed anything.
        if let Some(then) = self.free
            && fs::free_bytes(segment.file()) <= then.max(needed)
        {
            return Err(no_space(segment, needed, nix::Error::ENOSPC.into()));
        }
        let stored = guard.store_nothing(segment, self.at, self.len);
        stored.map_err(|source| cannot_store(segment, needed, source))
    }
}
