//! What a snapshot means: a pure function from facts to findings. Every word that an operator reads about the state
//! of a log is said here, whichever command shows it.

mod hold;
mod segments;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::{
    Damage, Finding, FindingId, InFlight, Lock, Seat, Severity, State, Status, Thresholds, WriterStatus,
};
use crate::error::{Class, Error, Fault, GONE, quoted, with_log};
use crate::sys::fs::Medium;
use crate::sys::process::ProcessState;
use crate::units::{ago, counted, lasting, size};

impl Status {
    /// All that is wrong or worth knowing, worst first.
    #[must_use]
    pub fn diagnose(&self, thresholds: &Thresholds) -> Vec<Finding> {
        let mut found = Vec::new();
        found.extend(self.panicked());
        found.extend(self.damage.iter().map(|damage| self.damaged(damage)));
        found.extend(self.sync_failed());
        found.extend(self.flaws.iter().map(|flaw| self.flawed(flaw)));
        found.extend(self.original());
        found.extend(self.space(thresholds));
        found.extend(self.lock_held(thresholds));
        found.extend(self.maintenance_held());
        found.extend(self.writers.iter().filter_map(|w| self.writer_stalled(w, thresholds)));
        found.extend(self.gate_closed(thresholds));
        found.extend(self.dead_writers());
        found.extend(self.lock_stale());
        found.extend(self.writers_full());
        found.extend(self.holds.iter().filter_map(|hold| self.hold(hold, thresholds)));
        found.extend(self.unseen());
        found.extend(self.idle(thresholds));
        found.extend(self.recovered());
        found.extend(self.not_recovered());
        found.extend(self.space_held());
        found.extend(self.holed());
        found.extend(self.outside_bytes());
        found.extend(self.outside_cut());
        found.extend(self.hooks_unrun());
        found.extend(self.name_too_long());
        found.sort_by_key(|f| (f.state, f.severity));
        found
    }

    /// Judges anew, by other thresholds: findings, state, problem and next step.
    pub fn conclude(&mut self, thresholds: &Thresholds) {
        self.findings = self.diagnose(thresholds);
        let worst = self.findings.first().filter(|f| f.severity < Severity::Info);
        self.state = worst.map_or(State::Ok, |f| f.state);
        self.problem = worst.map(|f| f.sentence.clone());
        self.next_step = worst.map_or_else(|| "nothing to do".to_owned(), |f| f.next_step.clone());
    }

    /// A command of the tool on this log.
    pub(super) fn command(&self, words: &str) -> String {
        format!("`mmlogctl {words} {}`", quoted(&self.path))
    }

    fn panicked(&self) -> Option<Finding> {
        let p = self.panic.as_ref().filter(|_| self.version_1.is_none())?;
        let sentence =
            format!("poisoned by process {} ({}), errno {}: {}", p.pid, p.command, p.errno, p.reason);
        let clear = self.command("repair --clear-panic");
        let next = format!("find the cause, then {clear}; nobody can write until then, readers still work");
        Some(critical(FindingId::Panicked, State::Panicked, sentence, next).of(p.pid))
    }

    fn damaged(&self, damage: &Damage) -> Finding {
        let (repair, rebuild) = (self.command("repair"), self.command("repair --rebuild"));
        let plan = format!("; `mmlogctl repair --dry-run {}` shows the plan", quoted(&self.path));
        let next = match damage.id {
            FindingId::DataGone => with_log(GONE, &self.path),
            FindingId::DataReplaced if self.file.len == 0 && !self.is_copied() => {
                let recreate = self.command("repair --recreate");
                format!(
                    "put the right file back, or {recreate} goes on in this one behind the lost positions"
                )
            }
            FindingId::DataReplaced => {
                format!("put the right file back, or {rebuild} makes new metadata for this one")
            }
            FindingId::MetadataCopied => {
                format!("put the original metadata back, or stop all writers and {rebuild}")
            }
            FindingId::OverlayView => {
                format!(
                    "use the log where its writers do, inside the same mount (`findmnt` lists them), here it can only be read; or, if this one is to be a log of its own, {rebuild} makes new metadata for it"
                )
            }
            FindingId::OwnersDiffer => {
                let owner = format!("chown {}", self.file.uid);
                format!(
                    "`{owner} {}` if it is right that uid {} owns the log, or use --trust-path",
                    quoted(&self.metadata_path),
                    self.file.uid
                )
            }
            FindingId::UnknownOperation => {
                format!("use the build that began it, or {rebuild} makes new metadata from the data file")
            }
            _ => format!("{repair}{plan}"),
        };
        critical(damage.id, State::Damaged, damage.problem.clone(), next)
    }

    fn is_copied(&self) -> bool {
        self.damage.iter().any(|damage| damage.id == FindingId::MetadataCopied)
    }

    fn sync_failed(&self) -> Option<Finding> {
        let (from, errno) = self.durability.error?;
        let reason = std::io::Error::from_raw_os_error(errno);
        let sentence = format!("a sync failed ({reason}): durability is lost from position {from} on");
        let accept = self.command("repair --accept-loss");
        let next = format!("copy the log now, find out about the disk (dmesg), then {accept}");
        Some(critical(FindingId::SyncFailed, State::Damaged, sentence, next))
    }

    fn original(&self) -> Option<Finding> {
        let flags = self.version_1.as_ref()?;
        let upgrade = self.command("repair --upgrade");
        let next = format!("stop its writers, then {upgrade}; cat, tail and status work as it is");
        let flag = match (flags.is_panicked, flags.is_locked) {
            (true, _) => "is_panicked",
            (_, true) => "is_locked",
            _ => {
                let sentence = "format 1, the original's: it can be read, not appended to".to_owned();
                return Some(info(FindingId::Version1, sentence, next));
            }
        };
        let named: Vec<String> = flags.holders.iter().map(|(pid, name)| format!("{pid} ({name})")).collect();
        let open = match named.is_empty() {
            true => "no process that can be seen has the log open, so it is stale".to_owned(),
            false => format!("processes {} have the log open", named.join(", ")),
        };
        let state = if flags.is_panicked { State::Panicked } else { State::Locked };
        let made = if flags.is_panicked { critical } else { warning };
        let found = made(FindingId::Version1Flag, state, format!("format 1: {flag} is set; {open}"), next);
        Some(match flags.holders.first() {
            Some((pid, _)) => found.of(*pid),
            None => found,
        })
    }

    fn space(&self, thresholds: &Thresholds) -> Option<Finding> {
        let (slack, free) = (self.limit.saturating_sub(self.cursor), *self.file.free.as_ref().ok()?);
        let soon = thresholds.free.unwrap_or(2 * u64::from(self.chunk_size));
        let sentence = format!("{} free on the file system, {} allocated ahead", size(free), size(slack));
        let blocked = self.writers.iter().filter(|w| w.in_flight.as_ref().is_some_and(|f| f.waits())).count();
        let waits = if blocked > 0 {
            format!("; {} held up", counted(blocked as u64, "append"))
        } else {
            String::new()
        };
        let next = format!(
            "free space on it (`df -h {}`): {} lists old segments, {} takes all but the newest N; appends that wait go on by themselves",
            quoted(self.path.parent().unwrap_or(&self.path)),
            self.command("segments"),
            self.command("prune --keep N"),
        );
        if free < u64::from(self.page_size) && slack < u64::from(self.page_size) {
            return Some(critical(FindingId::DiskFull, State::Full, sentence + &waits, next));
        }
        (free < soon).then(|| warning(FindingId::DiskNearlyFull, State::FullSoon, sentence, next))
    }

    fn lock_held(&self, thresholds: &Thresholds) -> Option<Finding> {
        let l = &self.lock;
        let held = l.held == Ok(true)
            && (l.for_at_least >= thresholds.standstill || l.process == ProcessState::Stopped);
        held.then(|| {
            let (sentence, next) = holding(l, "the log's lock", "appends that need space wait for it");
            warning(FindingId::LockHeld, State::Locked, sentence, next).at(l.seat)
        })
    }

    /// One that works may take its time: rotating, compressing.
    fn maintenance_held(&self) -> Option<Finding> {
        let l = &self.maintenance;
        (l.held == Ok(true) && l.process == ProcessState::Stopped).then(|| {
            let (sentence, next) = holding(l, "maintenance", "trim, rotate and prune cannot run");
            warning(FindingId::MaintenanceHeld, State::Ok, sentence, next).at(l.seat)
        })
    }

    fn writer_stalled(&self, w: &WriterStatus, thresholds: &Thresholds) -> Option<Finding> {
        let f = w.in_flight.as_ref().filter(|_| w.alive == Ok(true))?;
        let stopped = w.process == ProcessState::Stopped;
        if f.for_at_least < thresholds.standstill && !stopped {
            return None;
        }
        let sentence = format!(
            "writer {} is {} with {} in flight at {} ({}, for at least {}); followers cannot pass it",
            named(w.pid, &w.command, w.seat),
            w.process,
            counted(f.end.saturating_sub(f.start), "byte"),
            f.start,
            f.phase,
            lasting(f.for_at_least),
        );
        Some(
            warning(FindingId::WriterStalled, State::Stalled, sentence, resume(w.seat, w.process)).at(w.seat),
        )
    }

    fn gate_closed(&self, thresholds: &Thresholds) -> Option<Finding> {
        let at = self.gate.filter(|_| self.gate_for_at_least >= thresholds.standstill)?;
        let lasting = lasting(self.gate_for_at_least);
        let l = if self.lock.held == Ok(true) { &self.lock } else { &self.maintenance };
        let operation = self.unfinished.unwrap_or("trim");
        if l.held == Ok(true) {
            let who = named(l.pid, &l.command, l.seat);
            let sentence = format!(
                "the gate is closed at {at} for at least {lasting}, by process {who} for {operation}"
            );
            return Some(
                warning(FindingId::GateClosed, State::Stalled, sentence, resume(l.seat, l.process))
                    .at(l.seat),
            );
        }
        let sentence = format!(
            "the gate was left closed at {at} for at least {lasting} by process {} ({}), which died in the middle of {operation}",
            l.pid, l.command
        );
        let next = format!("the next append opens it by itself; {} does it now", self.command("repair"));
        Some(warning(FindingId::GateClosed, State::Stalled, sentence, next).of(l.pid))
    }

    fn dead_writers(&self) -> Option<Finding> {
        let mut dead = self.writers.iter().filter(|w| w.alive == Ok(false));
        let first = dead.next()?;
        let f = first.in_flight.as_ref()?;
        let more = match dead.count() {
            0 => String::new(),
            n => format!(", and {n} more"),
        };
        let (len, start) = (counted(f.end.saturating_sub(f.start), "byte"), f.start);
        let sentence = format!(
            "writer {} ({}) died with {len} in flight at {start}{more}; readers pass it as a hole",
            first.pid, first.command
        );
        let next =
            format!("the next append that needs it settles it; {} does it now", self.command("repair"));
        Some(info(FindingId::DeadWriter, sentence, next).of(first.pid))
    }

    fn lock_stale(&self) -> Option<Finding> {
        let of = |l: &Lock, what: &str| {
            let sentence = format!("process {} ({}) died with {what}, for {}", l.pid, l.command, l.operation);
            let next = format!("whoever needs it next finishes that; {} does it now", self.command("repair"));
            info(FindingId::LockStale, sentence, next).of(l.pid)
        };
        let lock = self.lock.is_stale.then(|| of(&self.lock, "the log's lock"));
        lock.or_else(|| self.maintenance.is_stale.then(|| of(&self.maintenance, "maintenance")))
    }

    fn writers_full(&self) -> Option<Finding> {
        let open = self.writers.iter().filter(|w| w.alive != Ok(false)).count();
        (open >= self.max_writers as usize).then(|| {
            let sentence =
                format!("all {} slots for writers are taken; no other process can append", self.max_writers);
            let mut counts = BTreeMap::new();
            self.writers.iter().for_each(|w| *counts.entry(w.pid).or_insert(0) += 1);
            let most = counts.into_iter().max_by_key(|(_, n)| *n);
            // Of many who have one each, none is to blame.
            let greedy = most.filter(|(_, n)| *n > 1);
            let seat = greedy.and_then(|(pid, _)| self.writers.iter().find(|w| w.pid == pid)).map(|w| w.seat);
            let who = most.map_or_else(String::new, |(pid, n)| format!(" (process {pid} has {n})"));
            let next = format!(
                "end writers that are not needed{who}; {} lists them, a new log takes more by --max-writers",
                self.command("status --json"),
            );
            warning(FindingId::WritersFull, State::Ok, sentence, next).at(seat.unwrap_or_default())
        })
    }

    /// What the kernel did not say, which is no fault of the log.
    fn unseen(&self) -> Option<Finding> {
        let of = |what: &str, reason: &String| format!("{what} could not be seen: {reason}");
        let free = self.file.free.as_ref().err().map(|e| of("the free space", e));
        let lock = self.lock.held.as_ref().err().map(|e| of("the owner of the log's lock", e));
        let maintenance = self.maintenance.held.as_ref().err().map(|e| of("the owner of maintenance", e));
        let writers = self.writers.iter().filter_map(|w| {
            let reason = w.alive.as_ref().err()?;
            Some(of(&format!("whether writer {} ({}) lives", w.pid, w.command), reason))
        });
        let said: Vec<String> =
            [free, lock, maintenance].into_iter().flatten().chain(writers.take(1)).collect();
        let next = format!(
            "look again from outside its sandbox or container, as root if it stays so: {}; nothing else is wrong with what could be seen",
            self.command("status")
        );
        (!said.is_empty()).then(|| warning(FindingId::Unseen, State::Ok, said.join("; "), next))
    }

    /// In memory nobody knows: stores do not move the time there.
    fn idle(&self, thresholds: &Thresholds) -> Option<Finding> {
        let quiet = self.idle_for().filter(|quiet| *quiet >= thresholds.idle)?;
        let writers = self.writers.iter().filter(|w| w.alive != Ok(false)).count();
        let sentence = format!(
            "nothing was appended for {}; open in {}",
            lasting(quiet),
            counted(writers as u64, "writer")
        );
        let next = format!(
            "see whether the programs that should write still run; `echo test | mmlogctl append {}` shows whether the log works",
            quoted(&self.path)
        );
        Some(info(FindingId::Idle, sentence, next))
    }

    /// For how long nothing was appended, within about a minute; `None` when the file system does not tell.
    #[must_use]
    pub fn idle_for(&self) -> Option<Duration> {
        let changed = self.file.changed.filter(|_| self.file.medium != Medium::Memory)?;
        SystemTime::now().duration_since(changed).ok()
    }

    fn recovered(&self) -> Option<Finding> {
        let r = self.durability.recovered.filter(|r| r.lost > 0)?;
        let sentence = format!(
            "a reboot or power cut cost {} {}; the log went on at {}",
            counted(r.lost, "byte"),
            ago(r.at, SystemTime::now()),
            r.end
        );
        let next = format!(
            "`mmlogctl cat --holes say {}` names the lost ranges; `append --sync` keeps what must not be lost",
            quoted(&self.path)
        );
        Some(info(FindingId::Recovered, sentence, next))
    }

    fn not_recovered(&self) -> Option<Finding> {
        let waiting = self.unrecovered?;
        let sentence = format!(
            "not recovered since the reboot: {} from {} on are as they have reached the disk",
            counted(waiting.end - waiting.synced, "byte"),
            waiting.synced
        );
        let next = format!(
            "nothing to do: the next append recovers it, {} does it now; cat and tail show what that will leave",
            self.command("repair")
        );
        Some(info(FindingId::NotRecovered, sentence, next))
    }

    fn holed(&self) -> Option<Finding> {
        let recent = |at: Option<SystemTime>| at.is_some_and(is_recent);
        let last = self.holes.iter().filter(|h| recent(h.at)).max_by_key(|h| h.at)?;
        let who = if last.pid == 0 {
            "unknown".to_owned()
        } else {
            format!("process {} ({})", last.pid, last.command)
        };
        let sentence = format!(
            "{}, the latest of {} at {}, {}, left by {who}",
            counted(self.holes_total, "hole"),
            counted(last.len, "byte"),
            last.start,
            last.kind
        );
        let next = format!(
            "nothing is lost that was acknowledged; `mmlogctl cat --holes say {}` names them all",
            quoted(&self.path)
        );
        Some(info(FindingId::Holes, sentence, next).of(last.pid))
    }
}

/// A log that cannot even be looked at, as a finding.
#[must_use]
pub fn explain(error: &Error) -> Finding {
    let text = error.words();
    let (problem, next) =
        text.split_once("; ").unwrap_or((&text, "look at the path, and at who may read it"));
    let id = match error.fault() {
        Fault::NoData => FindingId::DataGone,
        Fault::Foreign { .. } | Fault::Emptied { .. } => FindingId::DataReplaced,
        Fault::Copied { .. } => FindingId::MetadataCopied,
        Fault::OtherMount { .. } => FindingId::OverlayView,
        Fault::Truncated { .. } => FindingId::DataTruncated,
        Fault::OwnersDiffer { .. } => FindingId::OwnersDiffer,
        Fault::OutOfRange { .. } => FindingId::Positions,
        _ => FindingId::Unreadable,
    };
    let state = match error.fault() {
        Fault::NotMetadata { .. } | Fault::Geometry { .. } => State::Damaged,
        other if other.class() == Class::Damaged => State::Damaged,
        _ => State::Ok,
    };
    critical(id, state, problem.to_owned(), next.to_owned())
}

fn critical(id: FindingId, state: State, sentence: String, next_step: String) -> Finding {
    Finding { id, severity: Severity::Critical, state, sentence, next_step, pid: None }
}

pub(super) fn warning(id: FindingId, state: State, sentence: String, next_step: String) -> Finding {
    Finding { id, severity: Severity::Warning, state, sentence, next_step, pid: None }
}

pub(super) fn info(id: FindingId, sentence: String, next_step: String) -> Finding {
    Finding { id, severity: Severity::Info, state: State::Ok, sentence, next_step, pid: None }
}

impl Finding {
    fn of(self, pid: u32) -> Self {
        Self { pid: (pid != 0).then_some(pid), ..self }
    }

    fn at(self, seat: Seat) -> Self {
        Self { pid: seat.pid, ..self }
    }
}

impl InFlight {
    fn waits(&self) -> bool {
        self.phase == crate::slots::Phase::Waiting
    }
}

fn holding(l: &Lock, what: &str, cost: &str) -> (String, String) {
    let who = named(l.pid, &l.command, l.seat);
    let sentence = format!(
        "process {who} is {} and holds {what} for {} (for at least {}); {cost}",
        l.process,
        l.operation,
        lasting(l.for_at_least)
    );
    (sentence, resume(l.seat, l.process))
}

/// `4312 (nginx-log)`; of another container, with its id here.
fn named(pid: u32, command: &str, seat: Seat) -> String {
    match (seat.namespace, seat.pid) {
        (None, _) => format!("{pid} ({command})"),
        (Some(namespace), Some(here)) => {
            format!("{here} ({command}, {pid} in its own PID namespace {namespace})")
        }
        (Some(namespace), None) => format!("{pid} ({command}) of PID namespace {namespace}"),
    }
}

/// Only an id of this namespace may be told to `kill`.
fn resume(seat: Seat, process: ProcessState) -> String {
    let Some(pid) = seat.pid else {
        return "it is in another PID namespace: find it there (`lsns -t pid`), continue it or end it; it heals by itself then"
            .to_owned();
    };
    match process {
        ProcessState::Stopped => {
            format!(
                "`kill -CONT {pid}`, or `kill -9 {pid}`: it heals by itself, at most its one append is lost"
            )
        }
        _ => format!(
            "look at process {pid} (`cat /proc/{pid}/stack`); if it hangs, `kill -9 {pid}` costs at most its one append"
        ),
    }
}

/// What is older is history. So is what comes later than that: who told the time had another clock.
pub(super) fn is_recent(at: SystemTime) -> bool {
    const RECENT: Duration = Duration::from_secs(24 * 3600);
    at.elapsed().unwrap_or_else(|e| e.duration()) < RECENT
}
