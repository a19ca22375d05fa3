//! What a snapshot means: the worst that is the case, why, and what to do.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use super::{InFlight, Lock, Observer, State, Status, Still, WriterStatus};
use crate::error::Fault;
use crate::layout::Version1;
use crate::metadata::{JOURNAL_EMPTY, JOURNAL_ROTATE, JOURNAL_TRIM};
use crate::sys::process::{self, ProcessState};

/// How long something must stand still to be called held or stalled.
const STANDSTILL: Duration = Duration::from_millis(40);

impl Observer {
    /// The worst that is the case, why, and what to do.
    pub(super) fn judge(
        &self,
        s: &Status,
        seen: &mut HashMap<Still, Instant>,
    ) -> (State, Option<String>, String) {
        let version_1 = self.files.meta.version_1().map(|old| self.judge_version_1(s, old));
        let found = version_1
            .unwrap_or_else(|| self.judge_panic(s))
            .or_else(|| self.judge_damage(s))
            .or_else(|| judge_space(s, 0, State::Full))
            .or_else(|| self.judge_lock(s, seen))
            .or_else(|| self.judge_standstill(s, seen))
            .or_else(|| judge_space(s, 2 * u64::from(s.chunk_size), State::FullSoon));
        match (found, unseen(s)) {
            (Some((state, problem, next)), _) => (state, Some(problem), next),
            (None, Some(unseen)) => (State::Ok, Some(unseen), "look again; nothing else is wrong".into()),
            (None, None) => (State::Ok, None, "nothing to do".into()),
        }
    }

    fn judge_panic(&self, s: &Status) -> Option<Judgement> {
        let p = s.panic.as_ref()?;
        let why = format!("poisoned by process {} ({}), errno {}: {}", p.pid, p.command, p.errno, p.reason);
        let next = "find the cause, then `mmlogctl repair --clear-panic`; readers still work".into();
        Some((State::Panicked, why, next))
    }

    /// The original's flags have no owner that could be asked.
    fn judge_version_1(&self, s: &Status, old: &Version1) -> Option<Judgement> {
        let (locked, panicked) = (&old.is_locked, &old.is_panicked);
        let set = |flag: &AtomicU8| flag.load(Ordering::Relaxed) != 0;
        if !set(locked) && !set(panicked) {
            return None;
        }
        let holders: Vec<String> = process::holders_of(s.file.device, s.file.inode)
            .iter()
            .map(|w| format!("{} ({})", w.pid, w.command))
            .collect();
        let open = match holders.is_empty() {
            true => "no process that can be seen has the log open, so it is stale".into(),
            false => format!("processes {} have the log open", holders.join(", ")),
        };
        let next = "stop its writers, then `mmlogctl repair --upgrade`; cat, tail and status work as it is";
        let judged =
            |state, flag: &str| Some((state, format!("format 1: {flag} is set; {open}"), next.to_string()));
        if set(panicked) {
            judged(State::Panicked, "is_panicked")
        } else {
            judged(State::Locked, "is_locked")
        }
    }

    fn judge_damage(&self, s: &Status) -> Option<Judgement> {
        let damaged =
            |why: String| Some((State::Damaged, why, "run `mmlogctl repair --dry-run`, then repair".into()));
        if let Err(fault) = self.files.meta.check_positions() {
            return damaged(fault.problem());
        }
        let header = self.files.meta.header();
        let kind = header.journal.kind();
        let recorded = header.identity.inode.load(Ordering::Relaxed);
        if s.file.inode == 0 {
            return damaged("the data file is gone".into());
        }
        // A rotation in the middle, of somebody dead or stopped, is finished by whoever gets the lock.
        let rotating = kind == JOURNAL_ROTATE;
        if s.file.inode != recorded && !rotating {
            return damaged(Fault::Foreign { recorded, found: s.file.inode }.problem());
        }
        if let Some(fault) = self.files.is_copied() {
            return damaged(fault.problem());
        }
        if let Some(fault) = self.files.owners_differ(s.file.uid) {
            return Some((
                State::Damaged,
                fault.to_string(),
                "chown one of the two files, or use --trust-path".into(),
            ));
        }
        if s.file.len < s.file_size && !rotating {
            let why = Fault::Truncated { expected: s.file_size, found: s.file.len };
            return damaged(why.problem());
        }
        if !matches!(kind, JOURNAL_EMPTY | JOURNAL_TRIM | JOURNAL_ROTATE) {
            return damaged(Fault::Journal { kind }.problem());
        }
        let (from, errno) = s.durability.error?;
        let why = format!("a sync failed (errno {errno}): durability lost from {from} on");
        let next = "copy the log now, find out about the disk, then `mmlogctl repair --accept-loss`";
        Some((State::Damaged, why, next.into()))
    }

    fn judge_lock(&self, s: &Status, seen: &mut HashMap<Still, Instant>) -> Option<Judgement> {
        if s.lock.held != Ok(true) {
            return None;
        }
        let since = self.files.meta.header().lock_owner.since_ns.load(Ordering::Relaxed);
        let age = self.age(Still::Lock(s.lock.pid, since), seen);
        (age >= STANDSTILL || s.lock.process == ProcessState::Stopped).then(|| {
            let Lock { pid, command, operation, process, .. } = &s.lock;
            let why = format!("process {pid} ({command}, {process}) holds the log's lock for {operation}");
            (State::Locked, why, resume(*pid, *process))
        })
    }

    fn judge_standstill(&self, s: &Status, seen: &mut HashMap<Still, Instant>) -> Option<Judgement> {
        let slow = s.writers.iter().filter(|w| w.alive == Ok(true)).find_map(|w| {
            let flight = w.in_flight.as_ref()?;
            let still = flight.for_at_least >= STANDSTILL || w.process == ProcessState::Stopped;
            still.then_some((w, flight))
        });
        if let Some((w, flight)) = slow {
            let InFlight { phase, start, end, for_at_least } = flight;
            let why = format!(
                "process {} ({}, {}) is {phase} [{start}, {end}) for at least {} ms; readers wait at {}",
                w.pid,
                w.command,
                w.process,
                for_at_least.as_millis(),
                s.watermark
            );
            return Some((State::Stalled, why, resume(w.pid, w.process)));
        }
        let at = s.gate?;
        (self.age(Still::Gate(at), seen) >= STANDSTILL).then(|| {
            let why = format!("the gate is closed at {at}");
            (State::Stalled, why, "the next append opens it if its owner is dead; see maintenance".into())
        })
    }
}

type Judgement = (State, String, String);

fn resume(pid: u32, process: ProcessState) -> String {
    match process {
        ProcessState::Stopped => {
            format!("`kill -CONT {pid}`, or `kill -9 {pid}`: at most its one append is lost")
        }
        _ => format!("look at process {pid}; if it hangs, `kill -9 {pid}` costs at most its one append"),
    }
}

fn judge_space(s: &Status, least: u64, state: State) -> Option<Judgement> {
    let (slack, free) = (s.limit.saturating_sub(s.cursor), *s.file.free.as_ref().ok()?);
    if free >= least.max(u64::from(s.page_size)) || (state == State::Full && slack > 0) {
        return None;
    }
    let why = format!("{free} bytes free on the file system, {slack} allocated ahead");
    Some((state, why, "free space; appends that wait go on by themselves".into()))
}

/// What the kernel did not say, which is no fault of the log.
fn unseen(s: &Status) -> Option<String> {
    let of = |what: &str, reason: &String| format!("{what} could not be seen: {reason}");
    let writer = |w: &WriterStatus| {
        let reason = w.alive.as_ref().err()?;
        Some(of(&format!("whether writer {} ({}) lives", w.pid, w.command), reason))
    };
    let free = s.file.free.as_ref().err().map(|e| of("the free space", e));
    let lock = s.lock.held.as_ref().err().map(|e| of("the owner of the log's lock", e));
    let maintenance = s.maintenance.held.as_ref().err().map(|e| of("the owner of maintenance", e));
    free.or(lock).or(maintenance).or_else(|| s.writers.iter().find_map(writer))
}
