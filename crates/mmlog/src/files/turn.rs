//! Waiting for one's turn: at the log's lock, the maintenance byte, the sync byte.
//!
//! A wait looks, tries, asks to be woken, looks and tries again, and sleeps in slices of at most [`SLICE`]: a lost
//! wake-up or an owner that died costs one slice. Threads of one handle share a description, so each byte has a
//! mutex of the handle before it.

use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use super::guard::LogLock;
use super::owner::{self, Operation};
use super::{Files, SLICE};
use crate::error::Fault;
use crate::layout::{MAINTENANCE_BYTE, Owner, SYNC_BYTE, Wake};
use crate::sys::{futex, lock, process};

/// What a [`Files::turn`] ended with.
pub(crate) enum Turn<T, L> {
    /// What was waited for has come.
    Ready(T),
    /// The lock, before it came.
    Locked(L),
}

/// A lock byte, held; one of those that stand for an operation that takes long.
pub(crate) struct Held<'a> {
    files: &'a Files,
    byte: u64,
    owner: &'a Owner,
    _in_process: MutexGuard<'a, ()>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        owner::leave(self.owner);
        if let Some(fd) = self.files.lock_file.fd() {
            let _ = lock::unlock(fd, self.byte);
        }
    }
}

impl Files {
    /// Waits until `step` gives something, at most for `wait`; who wakes `wake` is waited for.
    pub(super) fn wait_for<T>(
        wake: &Wake,
        wait: Duration,
        mut step: impl FnMut() -> Result<Option<T>, Fault>,
    ) -> Result<Option<T>, Fault> {
        let begun = Instant::now();
        let mut seq = None;
        loop {
            if let Some(value) = step()? {
                return Ok(Some(value));
            }
            // Look once more after having asked to be woken.
            let Some(expected) = seq.take() else {
                seq = Some(wake.ask());
                continue;
            };
            if begun.elapsed() >= wait {
                return Ok(None);
            }
            futex::wait(wake.word(), expected, SLICE);
        }
    }

    /// Waits until `ready` says so or the lock is had, whichever is first; at most for `wait`.
    pub(crate) fn turn<T>(
        &self,
        operation: Operation,
        wait: Duration,
        mut ready: impl FnMut() -> Option<T>,
    ) -> Result<Turn<T, LogLock<'_>>, Fault> {
        let begun = Instant::now();
        let step = || match ready() {
            Some(value) => Ok(Some(Turn::Ready(value))),
            None => Ok(self.try_lock(operation)?.map(Turn::Locked)),
        };
        let turn = Self::wait_for(&self.meta.header().space_wake, wait, step)?;
        turn.ok_or_else(|| self.stalled_by_lock(begun))
    }

    /// The log's lock, waiting for it at most for `wait`.
    pub(crate) fn lock(&self, operation: Operation, wait: Duration) -> Result<LogLock<'_>, Fault> {
        let begun = Instant::now();
        let guard = Self::wait_for(&self.meta.header().space_wake, wait, || self.try_lock(operation))?;
        guard.ok_or_else(|| self.stalled_by_lock(begun))
    }

    pub(super) fn stalled_by_lock(&self, since: Instant) -> Fault {
        let blocker = self.blocker("the log's lock", &self.meta.header().lock_owner);
        Fault::Stalled { blocker, waited: since.elapsed() }
    }

    /// Waits until `ready` says so or this caller is the one that syncs.
    pub(crate) fn sync_turn<T>(
        &self,
        wait: Duration,
        mut ready: impl FnMut() -> Result<Option<T>, Fault>,
    ) -> Result<Turn<T, Held<'_>>, Fault> {
        let begun = Instant::now();
        let header = self.meta.header();
        let step = || match ready()? {
            Some(value) => Ok(Some(Turn::Ready(value))),
            None => {
                let held = self.try_held(&self.syncing, SYNC_BYTE, &header.sync_owner, Operation::Sync)?;
                Ok(held.map(Turn::Locked))
            }
        };
        let stalled = || {
            let blocker = self.blocker("the sync", &header.sync_owner);
            Fault::Stalled { blocker, waited: begun.elapsed() }
        };
        Self::wait_for(&header.sync_wake, wait, step)?.ok_or_else(stalled)
    }

    /// The maintenance byte: one operation that takes long at a time, waited for until `deadline`.
    pub(crate) fn maintenance(&self, operation: Operation, deadline: Instant) -> Result<Held<'_>, Fault> {
        let owner = &self.meta.header().maintenance_owner;
        loop {
            if let Some(held) = self.try_held(&self.maintenance, MAINTENANCE_BYTE, owner, operation)? {
                return Ok(held);
            }
            if Instant::now() >= deadline {
                return Err(Fault::Busy(self.blocker("maintenance", owner)));
            }
            std::thread::sleep(SLICE / 4);
        }
    }

    fn try_held<'a>(
        &'a self,
        mutex: &'a Mutex<()>,
        byte: u64,
        owner: &'a Owner,
        operation: Operation,
    ) -> Result<Option<Held<'a>>, Fault> {
        let (fd, me) = (self.lock_file.fd().ok_or(Fault::Replaced)?, process::me());
        let Some(in_process) = try_mutex(mutex) else { return Ok(None) };
        if !lock::try_lock(fd, byte).map_err(Fault::io("take a lock byte"))? {
            return Ok(None);
        }
        owner::store(owner, &me, Some(operation));
        Ok(Some(Held { files: self, byte, owner, _in_process: in_process }))
    }
}

pub(super) fn try_mutex(mutex: &Mutex<()>) -> Option<MutexGuard<'_, ()>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(e)) => Some(e.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
