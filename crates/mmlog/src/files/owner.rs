//! What a holder says of itself beside its lock byte: for people, since the lock byte is the truth.
//!
//! A record is the holder's only while its operation has the bit [`HELD`]. It is stored after the byte is taken, so
//! for a moment it is still that of the holder before: a process that stops there is not named, rather than another
//! one blamed. And it is the word of whoever may write the metadata, on which root may be about to end a process: one that
//! does not have the metadata open, as far as may be looked, is not named either.

use super::Files;
use crate::error::Blocker;
use crate::layout::{HELD, Owner, SLOT_BYTES};
use crate::sync::Ordering;
use crate::sys::holders::{self, Wanted};
use crate::sys::process::{self, ProcessState, Who};
use crate::units::listed;

/// What a lock is held for; its number is stored beside the lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operation {
    Open = 1,
    Grow = 2,
    Settle = 3,
    Trim = 4,
    Close = 5,
    Sync = 6,
    Repair = 7,
    Rotate = 8,
    Prune = 9,
    #[cfg(feature = "compressed")]
    Compress = 10,
    Hold = 11,
    Move = 12,
    Hook = 13,
    Policy = 14,
}

impl Operation {
    fn name_of(number: u32) -> &'static str {
        match number & !HELD {
            0 => "",
            1 => "open",
            2 => "grow",
            3 => "settle",
            4 => "trim",
            5 => "close",
            6 => "sync",
            7 => "repair",
            8 => "rotate",
            9 => "prune",
            10 => "compress",
            11 => "hold",
            12 => "move",
            13 => "hook",
            14 => "policy",
            _ => "unknown operation",
        }
    }
}

/// Says who holds; a slot's holder names no operation.
pub(crate) fn store(owner: &Owner, who: &Who, operation: Option<Operation>) {
    owner.operation.store(0, Ordering::Release); // owner
    owner.pid.store(who.pid, Ordering::Relaxed);
    owner.start_time.store(who.start_time, Ordering::Relaxed);
    owner.pid_namespace.store(who.pid_namespace, Ordering::Relaxed);
    owner.since_ns.store(process::now_ns(), Ordering::Relaxed);
    owner.command.store(&who.command);
    owner.operation.store(HELD | operation.map_or(0, |o| o as u32), Ordering::Release); // owner
}

/// The record stays as that of who had it last; before the byte is given back.
pub(crate) fn leave(owner: &Owner) {
    owner.operation.fetch_and(!HELD, Ordering::Release); // owner
}

/// Who holds it, or had it last.
pub(crate) fn of(owner: &Owner) -> Who {
    Who {
        pid: owner.pid.load(Ordering::Relaxed),
        start_time: owner.start_time.load(Ordering::Relaxed),
        pid_namespace: owner.pid_namespace.load(Ordering::Relaxed),
        command: owner.command.load(),
    }
}

/// Whether that process says that it holds it.
pub(crate) fn is_held_by(owner: &Owner, who: &Who) -> bool {
    let is_held = owner.operation.load(Ordering::Acquire) & HELD != 0; // owner
    let Who { pid, start_time, pid_namespace, .. } = of(owner);
    is_held && (pid, start_time, pid_namespace) == (who.pid, who.start_time, who.pid_namespace)
}

/// What it is, or was, held for; empty for nothing.
pub(crate) fn operation_of(owner: &Owner) -> &'static str {
    Operation::name_of(owner.operation.load(Ordering::Acquire)) // owner
}

/// Who had it last, for a byte that nobody holds.
pub(crate) fn last(what: &str, owner: &Owner) -> Blocker {
    let (what, who) = (format!("{what} ({})", operation_of(owner)), of(owner));
    let state = process::state_of(&who);
    Blocker { what, pid: who.pid, command: called(&who, state), process: state.to_string() }
}

/// How a process was called, where that can be seen; many are called by programs of one name.
fn called(who: &Who, state: ProcessState) -> String {
    let is_here = process::other_namespace(who).is_none() && state != ProcessState::Gone;
    let seen = if is_here { process::command_line(who.pid) } else { None };
    seen.unwrap_or_else(|| who.command.clone())
}

impl Files {
    /// Whether a process, by its id here, may have anything of this log. When in doubt it may.
    pub(crate) fn may_be_held_by(&self, pid: u32) -> bool {
        self.wanted().is_none_or(|metadata| holders::may_have_open(metadata, pid))
    }

    /// The same; when in doubt it has not.
    pub(crate) fn is_held_by(&self, pid: u32) -> bool {
        let for_ever = self.deadline(std::time::Duration::MAX);
        self.wanted().is_some_and(|metadata| holders::has_open(metadata, pid, &for_ever))
    }

    /// The metadata file, as `/proc` tells it from others; asked once, since a look asks for every writer.
    pub(super) fn wanted(&self) -> Option<&Wanted> {
        match self.wanted.get() {
            None => self.lock_file.fd().and_then(Wanted::of).map(|found| self.wanted.get_or_init(|| found)),
            known => known,
        }
    }

    /// Who holds a byte that somebody holds, and what he is doing. Nobody by name if he has not said so yet, or is not
    /// believed.
    pub(crate) fn holder(&self, owner: &Owner) -> (Who, ProcessState) {
        let said = owner.operation.load(Ordering::Acquire) & HELD != 0; // owner
        let who = self.believed(of(owner));
        if said { who } else { (Who::default(), ProcessState::Unknown) }
    }

    /// Whoever is said to hold a byte that somebody holds, if that may be so.
    pub(crate) fn believed(&self, who: Who) -> (Who, ProcessState) {
        let is_elsewhere = process::other_namespace(&who).is_some();
        match process::state_of(&who) {
            ProcessState::Gone => (Who::default(), ProcessState::Unknown),
            state if is_elsewhere || self.may_be_held_by(who.pid) => (who, state),
            _ => (Who::default(), ProcessState::Unknown),
        }
    }

    pub(crate) fn blocker(&self, what: &str, owner: &Owner, byte: u64) -> Blocker {
        if owner.operation.load(Ordering::Acquire) & HELD == 0 /* owner */
            && let Some(who) = self.stranger(byte)
        {
            let process = process::state_of(&who);
            return Blocker {
                what: what.into(),
                pid: who.pid,
                command: called(&who, process),
                process: process.to_string(),
            };
        }
        self.named(format!("{what} ({})", operation_of(owner)), owner)
    }

    /// Who has a lock on a byte without having said so: somebody who is no program of a log's, or has only just taken it.
    pub(crate) fn stranger(&self, byte: u64) -> Option<Who> {
        let pid = self.lock_file.fd().and_then(|fd| holders::locker_of(fd, byte))?;
        Some(Who { pid, command: holders::command_of(pid), ..Who::default() })
    }

    fn named(&self, what: String, owner: &Owner) -> Blocker {
        let (who, state) = self.holder(owner);
        Blocker { what, pid: who.pid, command: called(&who, state), process: state.to_string() }
    }

    /// Who has that slot in flight. Of a dead writer, whoever keeps the slot's byte from those who would settle it: who may
    /// read the metadata file can, with a lock for reading.
    pub(crate) fn slot_blocker(&self, slot: u32) -> Blocker {
        let writer = self.named(format!("slot {slot}"), &self.meta.slots()[slot as usize].cold);
        if !self.is_free(slot) {
            return writer;
        }
        let dead = of(&self.meta.slots()[slot as usize].cold);
        let what = format!("slot {slot} of process {} ({}), which is dead", dead.pid, dead.command);
        let byte = SLOT_BYTES + u64::from(slot);
        let keeper = self.lock_file.fd().and_then(|fd| holders::locker_of(fd, byte));
        let Some(pid) = keeper else {
            let tells = holders::tells_lockers_of(self.place.metadata_path());
            return Blocker::unknown(&format!(
                "{what} (as root, {tells} tells who has a lock, on byte {byte})"
            ));
        };
        let command = holders::command_of(pid);
        let process = process::state_at(&Who::default(), Some(pid)).to_string();
        Blocker { what, pid, command, process }
    }
}

impl Files {
    /// Everybody who has a slot, and how many.
    pub(crate) fn who_writes(&self) -> String {
        let mut counts = std::collections::BTreeMap::new();
        for slot in self.meta.slots() {
            let who = of(&slot.cold);
            *counts.entry((who.pid, who.command)).or_insert(0) += 1;
        }
        let mut most: Vec<_> = counts.into_iter().collect();
        most.sort_by_key(|(_, slots)| std::cmp::Reverse(*slots));
        let said = |((pid, command), slots): &((u32, String), u32)| match self.may_be_held_by(*pid) {
            true => format!("process {pid} ({command}) has {slots}"),
            false => format!("a process that cannot be told has {slots}"),
        };
        let all: Vec<String> = most.iter().map(said).collect();
        listed(&all)
    }
}
