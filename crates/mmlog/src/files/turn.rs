//! Waiting for one's turn: at the log's lock, the maintenance byte, the sync byte.
//!
//! A wait looks, tries, asks to be woken, looks and tries again, and sleeps in slices of at most [`SLICE`]: a lost
//! wake-up or an owner that died costs one slice. Threads of one handle share a description, so each byte has a
//! mutex of the handle before it.

use std::sync::{Mutex, MutexGuard, TryLockError};

use super::guard::LogLock;
use super::owner::{self, Operation};
use super::{Files, SLICE};
use crate::deadline::{Deadline, Waits};
use crate::error::{Blocker, Fault};
use crate::layout::{LOCK_BYTE, MAINTENANCE_BYTE, Owner, SYNC_BYTE, Wake};
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
    /// What ends waits and long work sooner.
    pub(crate) const fn waits(&self) -> &Waits {
        &self.config.waits
    }

    /// Waits until `step` gives something; who wakes `wake` is waited for, and `who` is to blame.
    pub(super) fn wait_for<T>(
        wake: &Wake,
        deadline: &Deadline,
        who: impl Fn() -> Blocker,
        mut step: impl FnMut() -> Result<Option<T>, Fault>,
    ) -> Result<T, Fault> {
        let mut seq = None;
        loop {
            if let Some(value) = step()? {
                return Ok(value);
            }
            // Look once more after having asked to be woken.
            let Some(expected) = seq.take() else {
                seq = Some(wake.ask());
                continue;
            };
            deadline.check(&who)?;
            futex::wait(wake.word(), expected, SLICE);
        }
    }

    /// Waits until `ready` says so or the lock is had, whichever is first.
    pub(crate) fn turn<T>(
        &self,
        operation: Operation,
        deadline: &Deadline,
        mut ready: impl FnMut() -> Option<T>,
    ) -> Result<Turn<T, LogLock<'_>>, Fault> {
        let step = || match ready() {
            Some(value) => Ok(Some(Turn::Ready(value))),
            None => Ok(self.try_lock(operation)?.map(Turn::Locked)),
        };
        Self::wait_for(&self.meta.header().space_wake, deadline, || self.lock_holder(), step)
    }

    /// The log's lock, waiting for it.
    pub(crate) fn lock(&self, operation: Operation, deadline: &Deadline) -> Result<LogLock<'_>, Fault> {
        let step = || self.try_lock(operation);
        Self::wait_for(&self.meta.header().space_wake, deadline, || self.lock_holder(), step)
    }

    /// The same for who opens the log, and has no slot to say in that it waits.
    pub(super) fn lock_to_open(&self, deadline: &Deadline) -> Result<LogLock<'_>, Fault> {
        let mut looks = 0_u32;
        let step = || {
            let lock = self.try_lock(Operation::Open)?;
            looks = looks.saturating_add(1);
            // One look before it asks to be woken, one behind that.
            if lock.is_none() && looks > 2 {
                self.wait_for_slot();
            }
            Ok(lock)
        };
        let wake = &self.meta.header().space_wake;
        let lock = Self::wait_for(wake, deadline, || self.lock_holder(), step)?;
        self.waits_no_more();
        Ok(lock)
    }

    pub(super) fn lock_holder(&self) -> Blocker {
        self.blocker("the log's lock", &self.meta.header().lock_owner, LOCK_BYTE)
    }

    /// Waits until `ready` says so or this caller is the one that syncs.
    pub(crate) fn sync_turn<T>(
        &self,
        deadline: &Deadline,
        mut ready: impl FnMut() -> Result<Option<T>, Fault>,
    ) -> Result<Turn<T, Held<'_>>, Fault> {
        let header = self.meta.header();
        let step = || match ready()? {
            Some(value) => Ok(Some(Turn::Ready(value))),
            None => {
                let held = self.try_held(&self.syncing, SYNC_BYTE, &header.sync_owner, Operation::Sync)?;
                Ok(held.map(Turn::Locked))
            }
        };
        let who = || self.blocker("the sync", &header.sync_owner, SYNC_BYTE);
        Self::wait_for(&header.sync_wake, deadline, who, step)
    }

    /// The maintenance byte: one operation that takes long at a time.
    pub(crate) fn maintenance(&self, operation: Operation, deadline: &Deadline) -> Result<Held<'_>, Fault> {
        loop {
            if let Some(held) = self.try_maintenance(operation)? {
                return Ok(held);
            }
            deadline.check(|| self.maintenance_holder()).map_err(|fault| match fault {
                Fault::Stalled { blocker, .. } => Fault::Busy(blocker),
                stopped => stopped,
            })?;
            std::thread::sleep(SLICE / 4);
        }
    }

    /// The maintenance byte, if nobody has it.
    pub(crate) fn try_maintenance(&self, operation: Operation) -> Result<Option<Held<'_>>, Fault> {
        let owner = &self.meta.header().maintenance_owner;
        let held = self.try_held(&self.maintenance, MAINTENANCE_BYTE, owner, operation)?;
        if held.is_some() {
            self.meta.mend_growth();
        }
        Ok(held)
    }

    /// Waits until `ready` says so or the maintenance byte is had, whichever is first.
    pub(crate) fn maintenance_turn<T>(
        &self,
        operation: Operation,
        deadline: &Deadline,
        mut ready: impl FnMut() -> Option<T>,
    ) -> Result<Turn<T, Held<'_>>, Fault> {
        let step = || match ready() {
            Some(value) => Ok(Some(Turn::Ready(value))),
            None => Ok(self.try_maintenance(operation)?.map(Turn::Locked)),
        };
        Self::wait_for(&self.meta.header().space_wake, deadline, || self.maintenance_holder(), step)
    }

    pub(crate) fn maintenance_holder(&self) -> Blocker {
        self.blocker("maintenance", &self.meta.header().maintenance_owner, MAINTENANCE_BYTE)
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
