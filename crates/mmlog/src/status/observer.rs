//! Looking: one snapshot, and since when things have been as they are.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::facts::Unseen;
use super::flaws::Peeks;
use super::{
    ClockDoubt, Durability, InFlight, Lock, LogId, PolicyStatus, RemovedHeld, Seat, Seen, State, Status,
    Thresholds, WriterStatus, facts, segments, still_open,
};
use crate::error::{At, Fault, Result};
use crate::files::{Config, Files, Intent, owner};
use crate::holes;
use crate::hooks;
use crate::layout::{FollowingPlace, HELD, HOOK_BYTE, LOCK_BYTE, MAINTENANCE_BYTE, Owner, Slot, VERSION};
use crate::metadata::Gate;
use crate::slots::Phase;
use crate::sync::Ordering;
use crate::sys::cgroup::{Freezer, Groups};
use crate::sys::last_run;
use crate::sys::map::View;
use crate::sys::process::{self, ProcessState, Who, time_of};

/// How long it is believed who has removed segments open.
const HELD_FOR: Duration = Duration::from_secs(10);

/// How long it is believed where a process of another PID namespace is.
const SEATED: Duration = Duration::from_secs(5);

/// Looks at a log, whatever state it is in, and remembers since when things stand still.
///
/// ```
/// # fn main() -> mmlog::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("app.log");
/// use mmlog::{Log, Observer, State};
/// let log = Log::options().open_or_create(&path)?;
/// let mut writer = log.writer()?;
/// writer.append(b"hello\n")?;
/// let status = Observer::open(&path, &Log::options())?.look()?;
/// assert_eq!((status.cursor, status.state), (6, State::Ok));
/// assert_eq!(status.writers[0].messages, 1);
/// # Ok(())
/// # }
/// ```
pub struct Observer {
    files: Arc<Files>,
    first_seen: HashMap<Still, Instant>,
    seats: HashMap<(u64, u32), (Option<u32>, Instant)>,
    /// Whether processes that the metadata names have anything of the log.
    believed: HashMap<(u32, u64), (bool, Instant)>,
    groups: Groups,
    command_lines: HashMap<u32, (Option<String>, Instant)>,
    peeks: Peeks,
    /// The followers' places, once they are there.
    pub(super) places: Option<View<FollowingPlace>>,
    /// Who had removed segments open, and when that was asked.
    held: Option<(Instant, Vec<RemovedHeld>)>,
}

/// Something that can stand still: the same key at two looks means that it did.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Still {
    Slot(u32, u64, Phase),
    Gate(u64),
    Lock(u64, u32, u64),
    Process(u32, ProcessState),
}

/// What one look has seen, for the next one.
type Sightings = HashMap<Still, Instant>;

impl Observer {
    pub(crate) fn open_with(path: &Path, config: &Config) -> Result<Self> {
        let files = Files::open(path, config, Intent::Look)?;
        files.only_looks();
        Ok(Self::of(Arc::new(files)))
    }

    pub(crate) fn of(files: Arc<Files>) -> Self {
        Self {
            files,
            first_seen: HashMap::new(),
            seats: HashMap::new(),
            groups: Groups::default(),
            believed: HashMap::new(),
            command_lines: HashMap::new(),
            peeks: Peeks::default(),
            places: None,
            held: None,
        }
    }

    /// Looks once.
    ///
    /// # Errors
    /// Only when the files cannot be asked at all.
    pub fn look(&mut self) -> Result<Status> {
        let mut seen = HashMap::new();
        self.files = self.files.of_this_process()?;
        let files = Arc::clone(&self.files);
        let status = self.snapshot(&files, &mut seen).at(files.path())?;
        self.first_seen = seen;
        Ok(status)
    }

    /// Every descriptor of everybody is looked at for that: not at every look.
    fn removed_held(&mut self, files: &Files) -> Vec<RemovedHeld> {
        let known = self.held.take().filter(|(at, _)| at.elapsed() < HELD_FOR);
        let known = known.unwrap_or_else(|| (Instant::now(), segments::removed_held(files)));
        self.held.insert(known).1.clone()
    }

    /// For how long this was seen unchanged.
    fn age(&self, what: Still, seen: &mut Sightings) -> Duration {
        let since = *self.first_seen.get(&what).unwrap_or(&Instant::now());
        seen.insert(what, since);
        since.elapsed()
    }

    fn snapshot(&mut self, files: &Files, seen: &mut Sightings) -> std::result::Result<Status, Fault> {
        files.refresh()?;
        self.groups.look_anew();
        self.command_lines.retain(|_, (_, at)| at.elapsed() < SEATED);
        self.believed.retain(|_, (_, at)| at.elapsed() < SEATED);
        // A screen that stays open does not keep the file of an old segment; who may not open the new one has seen that.
        let _ = files.renew();
        let (header, control) = (files.meta.header(), files.control());
        let cursor = control.look();
        let scan = files.scan(cursor.start)?;
        let used = (0u32..).zip(files.meta.used_slots());
        let writers = used.filter_map(|(i, slot)| self.writer(files, i, slot, seen)).collect();
        let dead = scan.dead.iter().filter_map(|dead| files.hole_of(dead));
        let holes = holes::with_dead(holes::all(files.meta.holes()), dead);
        let unplaced = header.hole_counts.unplaced.load(Ordering::Relaxed);
        let forgotten = header.hole_counts.forgotten.load(Ordering::Relaxed);
        let geometry = files.meta.geometry();
        let (entry, file_size, file) = segments::data_file(files, || facts::file(&files.place))?;
        let (all, flaws) = segments::all(files, &entry, cursor.start, &file, &mut self.peeks);
        let gate = (cursor.gate == Gate::Closed).then(|| control.gate_at.load(Ordering::Relaxed));
        let mut unseen = Unseen::default();
        let holds = self.holds(files);
        let (followers, followers_seen) =
            unseen.or_nothing("who follows", self.followers(files, cursor.start, &holds));
        let mut status = Status {
            path: files.path().to_path_buf(),
            metadata_path: files.place.metadata_path().to_path_buf(),
            format: if files.is_version_1() { 1 } else { VERSION },
            state: State::Ok,
            problem: None,
            next_step: String::new(),
            findings: Vec::new(),
            damage: unseen
                .or_nothing("whether the files fit together", facts::damage(files, file_size, &file)),
            version_1: facts::version_1(files),
            cursor: cursor.start,
            watermark: scan.watermark,
            file_size,
            base: entry.base,
            generation: entry.generation,
            limit: control.limit(),
            outside: super::OutsideBytes {
                waiting: unseen.or_nothing("what >> put behind the end", files.waiting_outside()),
                cut: header.outside.cut.load(Ordering::Relaxed),
                cut_at: time_of(header.outside.cut_ns.load(Ordering::Relaxed)),
            },
            unrun: super::UnrunHooks {
                segments: hooks::pending(files),
                at_work: unseen.or_nothing("whether a hook is at work", files.ask_held(HOOK_BYTE)),
            },
            gate,
            gate_for_at_least: gate.map_or(Duration::ZERO, |at| self.age(Still::Gate(at), seen)),
            unfinished: facts::unfinished(header.journal.kind()),
            page_size: geometry.page_size as u32,
            chunk_size: geometry.chunk_size as u32,
            max_writers: geometry.max_writers,
            gate_ms: geometry.gate_ms,
            id: LogId::of(&header.identity),
            created: time_of(header.identity.created_ns.load(Ordering::Relaxed)),
            lock: self.lock(files, &header.lock_owner, LOCK_BYTE, seen),
            maintenance: self.lock(files, &header.maintenance_owner, MAINTENANCE_BYTE, seen),
            writers,
            slot_waiters: header.slot_wait.now(),
            holes_total: (holes.len() as u64).saturating_add(forgotten).saturating_add(unplaced),
            holes,
            holes_forgotten: forgotten,
            policy: PolicyStatus::of(files, &all, &holds, cursor.start),
            clock: ClockDoubt::of(files),
            segments: all,
            flaws,
            removed_held: self.removed_held(files),
            first_kept: files.first_kept(),
            holds,
            followers,
            followers_seen,
            panic: control.is_panicked().then(|| files.panic_record()),
            file,
            durability: Durability::of(&header.checkpoint),
            unrecovered: unseen.or_nothing("what waits for a recovery", files.unrecovered()),
            unseen: unseen.0,
        };
        still_open::look(files, &mut status.damage);
        files.intact()?;
        status.conclude(&Thresholds::default());
        Ok(status)
    }

    fn writer(
        &mut self,
        files: &Files,
        index: u32,
        slot: &Slot,
        seen: &mut Sightings,
    ) -> Option<WriterStatus> {
        let pending = slot.hot.pending();
        let alive = seen_by(files.ask_alive(index));
        let mut in_flight = pending.phase().map(|phase| {
            let start = pending.position();
            let end = start.saturating_add(slot.hot.len.load(Ordering::Relaxed));
            InFlight { phase, start, end, for_at_least: self.age(Still::Slot(index, start, phase), seen) }
        });
        if alive == Ok(false) && in_flight.is_none() {
            return None;
        }
        let (who, seat) = self.known(files, owner::of(&slot.cold), &alive);
        let (process, frozen_by) = self.doing(state(&alive, &who, seat), seat);
        let waiting = slot.hot.waiting_for(slot.cold.since_ns.load(Ordering::Relaxed));
        let not_run_for = seat.pid.filter(|_| process.is_held()).and_then(last_run::not_run_for);
        let seen_for = self.age(Still::Process(who.pid, process), seen);
        if let (Some(flight), Some(stood)) = (&mut in_flight, not_run_for) {
            flight.for_at_least = flight.for_at_least.max(stood);
        }
        let is_odd = in_flight.is_some() || waiting.is_some() || !is_well(process);
        Some(WriterStatus {
            slot: index,
            pid: who.pid,
            seat,
            process,
            process_for_at_least: seen_for.max(not_run_for.unwrap_or_default()),
            not_run_for,
            stuck_in: stuck_in(process, seat),
            frozen_by,
            command: who.command,
            alive,
            in_flight,
            waiting,
            command_line: if is_odd { self.command_line(seat) } else { None },
            feeder: None,
            messages: slot.hot.messages.load(Ordering::Relaxed),
            bytes: slot.hot.bytes.load(Ordering::Relaxed),
            since: time_of(slot.cold.since_ns.load(Ordering::Relaxed)),
        })
    }

    fn lock(&mut self, files: &Files, record: &Owner, byte: u64, seen: &mut Sightings) -> Lock {
        let said = record.operation.load(Ordering::Acquire) & HELD != 0; // owner
        let held = seen_by(files.ask_held(byte));
        let who = if held == Ok(true) { files.holder(record).0 } else { owner::of(record) };
        let since = record.since_ns.load(Ordering::Relaxed);
        let (who, seat) = self.known(files, who, &held);
        let for_at_least = match held {
            Ok(true) => self.age(Still::Lock(byte, who.pid, since), seen),
            _ => Duration::ZERO,
        };
        let (process, frozen_by) = match held {
            Ok(true) => self.doing(process::state_at(&who, seat.pid), seat),
            _ => (process::state_at(&who, seat.pid), None),
        };
        let command_line = if held == Ok(true) { self.command_line(seat) } else { None };
        Lock {
            is_stale: said && held == Ok(false) && owner::of(record).pid != 0,
            held,
            pid: who.pid,
            seat,
            operation: owner::operation_of(record).into(),
            since: time_of(since),
            process,
            frozen_by,
            stuck_in: stuck_in(process, seat),
            command_line,
            command: who.command,
            for_at_least,
        }
    }

    /// How a process was called; not asked at every look.
    pub(super) fn command_line(&mut self, seat: Seat) -> Option<String> {
        let pid = seat.pid?;
        let known =
            self.command_lines.entry(pid).or_insert_with(|| (process::command_line(pid), Instant::now()));
        known.0.clone()
    }

    /// A frozen process looks asleep.
    pub(super) fn doing(&mut self, state: ProcessState, seat: Seat) -> (ProcessState, Option<Freezer>) {
        let may_be =
            matches!(state, ProcessState::Sleeping | ProcessState::DiskSleep | ProcessState::Running);
        match seat.pid.filter(|_| may_be).and_then(|pid| self.groups.freezer_of(pid)) {
            Some(freezer) => (ProcessState::Frozen, Some(freezer)),
            None => (state, None),
        }
    }

    /// Who has something of the log, and where he is; nobody by name, where the process that the metadata names has not. Not
    /// asked at every look.
    fn known(&mut self, files: &Files, who: Who, has_it: &Seen<bool>) -> (Who, Seat) {
        let seat = self.seat(&who);
        let Some(pid) = seat.pid.filter(|_| *has_it != Ok(false)) else { return (who, seat) };
        let key = (pid, who.start_time);
        let known = self.believed.get(&key).filter(|(_, at)| at.elapsed() < SEATED).map(|(is, _)| *is);
        let is_believed = known.unwrap_or_else(|| {
            let is_believed = files.may_be_held_by(pid);
            self.believed.insert(key, (is_believed, Instant::now()));
            is_believed
        });
        if is_believed { (who, seat) } else { (Who::default(), Seat::default()) }
    }

    /// Where a process is. Those of other PID namespaces are looked for in /proc, and not at every look.
    pub(super) fn seat(&mut self, who: &Who) -> Seat {
        let Some(namespace) = process::other_namespace(who) else {
            let pid = (who.pid != 0).then_some(who.pid);
            return Seat { namespace: None, pid, uid: pid.and_then(process::user_of) };
        };
        let key = (namespace, who.pid);
        let known = self.seats.get(&key).filter(|(_, at)| at.elapsed() < SEATED).map(|(pid, _)| *pid);
        let pid = known.unwrap_or_else(|| {
            let pid = process::find_in_namespace(who);
            self.seats.insert(key, (pid, Instant::now()));
            pid
        });
        Seat { namespace: Some(namespace), pid, uid: pid.and_then(process::user_of) }
    }
}

pub(super) fn stuck_in(state: ProcessState, seat: Seat) -> Option<String> {
    seat.pid.filter(|_| state == ProcessState::DiskSleep).and_then(process::waits_in)
}

fn is_well(state: ProcessState) -> bool {
    matches!(state, ProcessState::Running | ProcessState::Sleeping)
}

/// Who has a lock byte lives, whatever its start time looks like from another time namespace.
pub(super) fn state(alive: &Seen<bool>, who: &Who, seat: Seat) -> ProcessState {
    match process::state_at(who, seat.pid) {
        _ if *alive == Ok(false) => ProcessState::Gone,
        ProcessState::Gone => ProcessState::Unknown,
        state => state,
    }
}

fn seen_by<T>(asked: std::result::Result<T, Fault>) -> Seen<T> {
    asked.map_err(|fault| match fault {
        Fault::Io { source, .. } => source.to_string(),
        other => other.problem(),
    })
}
