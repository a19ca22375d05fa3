//! What is to be done with each segment once it is final, and which ones it was not yet done with.
//!
//! A rotation that is asked to notes its segment, durably, before the commit: whoever dies in between leaves it noted.
//! Who has the turn (a lock byte) is told of the noted segments, oldest first, and says of each when it is done. Only
//! numbers are noted: what is to be done is the business of whoever asks, and nothing from the metadata is ever run.
//!
//! The note is a range of generations. What became final behind one that is not done waits behind it, so a range is all
//! that is needed, however long it gets.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use crate::error::{At, Fault, Result};
use crate::files::owner::{self, Operation};
use crate::files::{Files, SLICE};
use crate::layout::HOOK_BYTE;
use crate::rotate::Rotated;
use crate::sys::{lock, process};

/// The turn of whoever does what is to be done with final segments. Made by [`Log::hook_turn`](crate::Log::hook_turn);
/// ends when it is dropped.
///
/// It is a lock on a description of its own, whose descriptor is [`as_fd`](AsFd::as_fd): a child that inherits it keeps
/// the turn while it lives, also when its parent is killed. (It is `O_CLOEXEC`: whoever wants that clears the flag.)
pub struct HookTurn {
    files: Arc<Files>,
    file: File,
}

/// What [`HookTurn::due`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Due {
    /// A segment that is noted, where it is now.
    Segment(Rotated),
    /// Noted segments whose files are not there any more, by number. They are not noted from now on.
    Gone(Range<u64>),
}

/// The segments that are noted: those that are final.
pub(crate) fn pending(files: &Files) -> Range<u64> {
    let header = files.meta.header();
    header.hooks.pending(header.generation())
}

pub(crate) fn turn(files: Arc<Files>, wait: Duration) -> std::result::Result<HookTurn, Fault> {
    files.writable()?;
    let owner = &files.meta.header().hook_owner;
    let file = files.open_for_locks()?;
    let deadline = files.deadline(wait);
    while !lock::try_lock(file.as_fd(), HOOK_BYTE).map_err(Fault::io("take the turn for hooks"))? {
        let who = || files.blocker("the turn for hooks", owner, HOOK_BYTE);
        match deadline.check(who) {
            Err(Fault::Stalled { blocker, .. }) => return Err(Fault::Busy(blocker)),
            waits => waits?,
        }
        std::thread::sleep(SLICE);
    }
    owner::store(owner, &process::me(), Some(Operation::Hook));
    Ok(HookTurn { files, file })
}

impl fmt::Debug for HookTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookTurn").field("log", &self.files.path()).finish_non_exhaustive()
    }
}

impl HookTurn {
    /// The oldest segment that is noted, until [`done`](Self::done) is said of it; `None` when none is.
    ///
    /// # Errors
    /// [`Fault::Io`] when the directory cannot be read: nothing is concluded then.
    pub fn due(&mut self) -> Result<Option<Due>> {
        self.oldest().at(self.files.path())
    }

    fn oldest(&self) -> std::result::Result<Option<Due>, Fault> {
        self.files.intact()?;
        let range = pending(&self.files);
        if range.is_empty() {
            return Ok(None);
        }
        let finals = self.files.final_contents()?;
        let found = finals.iter().position(|n| n.says.generation >= range.start);
        let found = found.filter(|&i| range.contains(&finals[i].says.generation));
        let first = found.map_or(range.end, |i| finals[i].says.generation);
        if first > range.start {
            self.files.meta.header().hooks.done(first - 1);
            return Ok(Some(Due::Gone(range.start..first)));
        }
        let Some(i) = found else { return Ok(None) };
        let says = &finals[i].says;
        let current = self.files.meta.header().current().base;
        Ok(Some(Due::Segment(Rotated {
            path: finals[i].path(),
            generation: says.generation,
            base: says.base,
            end: finals.get(i + 1).map_or(current, |next| next.says.base),
            pause: Duration::ZERO,
        })))
    }

    /// Says that all is done with the segment of that number, and with those before it.
    pub fn done(&mut self, generation: u64) {
        self.files.meta.header().hooks.done(generation);
    }
}

impl AsFd for HookTurn {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for HookTurn {
    /// Also where a child has the descriptor, which may outlive what it was started for.
    fn drop(&mut self) {
        owner::leave(&self.files.meta.header().hook_owner);
        let _ = lock::unlock(self.file.as_fd(), HOOK_BYTE);
    }
}
