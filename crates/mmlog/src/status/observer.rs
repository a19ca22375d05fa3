//! Looking: one snapshot, and since when things have been as they are.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::facts::Unseen;
use super::flaws::Peeks;
use super::outputs::Outputs;
use super::{
    ClockDoubt, Durability, InFlight, Lock, LogId, OutputFull, OutsideBytes, PolicyStatus, RemovedHeld, Seat,
    Seen, State, Status, StillOpen, Thresholds, WriterStatus, facts, outside, segments, still_open,
};
use crate::error::{At, Fault, Result};
use crate::files::{Config, Files, Intent, owner};
use crate::holes;
use crate::hooks;
use crate::layout::{FollowingPlace, HELD, HOOK_BYTE, LOCK_BYTE, MAINTENANCE_BYTE, Owner, Slot, VERSION};
use crate::slots::Phase;
use crate::sync::Ordering;
use crate::sys::cgroup::{Freezer, Groups};
use crate::sys::holders::{Opener, openers_of};
use crate::sys::last_run;
use crate::sys::map::View;
use crate::sys::process::{self, ProcessState, Who, time_of};
use crate::waiting::Want;

/// How long it is believed who has files of the log open, and files that are not at their paths any more.
const HELD_FOR: Duration = Duration::from_secs(10);

/// How long it is believed of a process that it has something of the log: it did when it was asked, and had then begun.
const HAD_IT: Duration = Duration::from_secs(60);

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
    /// How processes were called, and whose they are.
    called: HashMap<u32, (Called, Instant)>,
    outputs: Outputs,
    peeks: Peeks,
    /// The followers' places, once they are there.
    pub(super) places: Option<View<FollowingPlace>>,
    has_looked: bool,
    /// Who else may write to the data file, by its inode.
    strangers: Lately<u64, Vec<Opener>>,
    /// Who has removed segments open.
    held: Lately<(), Vec<RemovedHeld>>,
    /// Who has the files of a log open that was at this path before.
    former: Lately<(), Option<StillOpen>>,
    /// Who has the data file open that is not at its path, by its inode.
    openers: Lately<u64, (Vec<Opener>, bool)>,
}

/// What takes a look at every descriptor of everybody, and is believed for a while.
struct Lately<K, T>(Option<(Instant, K, T)>);

impl<K: PartialEq, T> Lately<K, T> {
    fn of(&mut self, what: K, ask: impl FnOnce() -> T) -> &T {
        let known = self.0.take().filter(|(at, of, _)| *of == what && at.elapsed() < HELD_FOR);
        &self.0.insert(known.unwrap_or_else(|| (Instant::now(), what, ask()))).2
    }
}

/// Something that can stand still: the same key at two looks means that it did.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Still {
    Slot(u32, u64, Phase),
    Gate(u64),
    Lock(u64, u32, u64),
    Process(u32, ProcessState),
}

/// What is said of a process that is to be talked about.
struct Called {
    command_line: Option<String>,
    uid: Option<u32>,
}

impl Called {
    fn by(pid: u32) -> Self {
        Self { command_line: process::command_line(pid), uid: process::user_of(pid) }
    }
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
            called: HashMap::new(),
            outputs: Outputs::default(),
            peeks: Peeks::default(),
            places: None,
            has_looked: false,
            strangers: Lately(None),
            held: Lately(None),
            former: Lately(None),
            openers: Lately(None),
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

    /// For how long this was seen unchanged.
    fn age(&self, what: Still, seen: &mut Sightings) -> Duration {
        let since = *self.first_seen.get(&what).unwrap_or(&Instant::now());
        seen.insert(what, since);
        since.elapsed()
    }

    fn snapshot(&mut self, files: &Files, seen: &mut Sightings) -> std::result::Result<Status, Fault> {
        files.refresh()?;
        self.groups.look_anew();
        self.called.retain(|_, (_, at)| at.elapsed() < SEATED);
        self.believed.retain(|_, (is, at)| at.elapsed() < if *is { HAD_IT } else { HELD_FOR });
        // A screen that stays open does not keep the file of an old segment; who may not open the new one has seen that.
        let _ = files.renew();
        let (header, control) = (files.meta.header(), files.control());
        let cursor = control.look();
        let scan = files.scan(cursor.start)?;
        let used = (0u32..).zip(files.meta.used_slots());
        let mut writers: Vec<WriterStatus> =
            used.filter_map(|(i, slot)| self.writer(files, i, slot, seen)).collect();
        self.outputs.look(&mut writers);
        // They are to be talked about from now on.
        for writer in writers.iter_mut().filter(|w| w.output_full.is_some()) {
            writer.command_line = self.called(&mut writer.seat);
        }
        let dead = scan.dead.iter().filter_map(|dead| files.hole_of(dead));
        let holes = holes::with_dead(holes::all(files.meta.holes()), dead);
        let unplaced = header.hole_counts.unplaced.load(Ordering::Relaxed);
        let forgotten = header.hole_counts.forgotten.load(Ordering::Relaxed);
        let geometry = files.meta.geometry();
        let (entry, file_size, file) = segments::data_file(files, || facts::file(&files.place))?;
        // A rotation since the cursor was loaded has drained all below where it began this segment.
        let least = if files.is_of_this_boot() { entry.base } else { 0 };
        let (end_of_all, watermark) = (cursor.start.max(least), scan.watermark.max(least));
        let mut unseen = Unseen::default();
        let unrecovered = unseen.or_nothing("what waits for a recovery", files.unrecovered());
        let end = unrecovered.map_or(end_of_all, |left| left.end);
        let (all, flaws) = segments::all(files, &entry, end, &file, &mut self.peeks);
        let gate = control.closed_at(&cursor);
        let mut holds = self.holds(files);
        self.watch(files, &mut holds, &file, watermark);
        let (followers, followers_seen) =
            unseen.or_nothing("who follows", self.followers(files, end_of_all, &holds));
        let mut status = Status {
            path: files.path().to_path_buf(),
            metadata_path: files.place.metadata_path().to_path_buf(),
            format: if files.is_version_1() { 1 } else { VERSION },
            state: State::Ok,
            problem: None,
            next_step: String::new(),
            findings: Vec::new(),
            damage: unseen
                .or_nothing("whether the files fit together", facts::damage(files, &entry, file_size, &file)),
            version_1: facts::version_1(files),
            cursor: end_of_all,
            watermark,
            file_size,
            base: entry.base,
            generation: entry.generation,
            limit: control.limit(),
            outside: OutsideBytes::of(files, &mut unseen),
            strangers: Vec::new(),
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
            policy: PolicyStatus::of(files, &entry, &all, &holds, end_of_all),
            clock: ClockDoubt::of(files),
            segments: all,
            flaws,
            removed_held: self.held.of((), || segments::removed_held(files)).clone(),
            former: None,
            first_kept: files.first_kept(),
            holds,
            followers,
            followers_seen,
            panic: control.is_panicked().then(|| files.panic_record()),
            file,
            durability: Durability::of(files),
            unrecovered,
            unseen: unseen.0,
        };
        still_open::look(files, &mut status.damage, |inode| {
            self.openers.of(inode, || openers_of(files.place.directory_fd(), inode)).clone()
        });
        // It takes a look at every descriptor of everybody, which whoever looks once is not to pay for.
        if std::mem::replace(&mut self.has_looked, true) {
            self.look_at_others(files, &mut status);
        }
        files.intact()?;
        status.conclude(&Thresholds::default());
        Ok(status)
    }

    /// Who else writes to the log's file, and to one that was here before.
    fn look_at_others(&mut self, files: &Files, status: &mut Status) {
        let all = OnceCell::new();
        let links = || &**all.get_or_init(|| files.place.links());
        status.former.clone_from(self.former.of((), || still_open::former(files, links())));
        // At rest what they put behind the log is taken in.
        if status.writers.iter().any(|w| w.alive != Ok(false)) {
            let (inode, writers) = (status.file.inode, &status.writers);
            let strangers = self.strangers.of(inode, || outside::strangers(files, inode, writers, links()));
            status.strangers.clone_from(strangers);
        }
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
        // Asked before and behind: whoever settles has the byte for a moment.
        let is_kept = || files.is_kept(index) && files.is_free(index);
        let kept_by = (alive == Ok(false) && is_kept()).then(|| files.slot_blocker(index));
        let (who, mut seat) = self.known(files, owner::of(&slot.cold), &alive);
        let (process, frozen_by) = self.doing(state(&alive, &who, seat), seat);
        let since_ns = slot.cold.since_ns.load(Ordering::Relaxed);
        let (waiting, unread) = (slot.hot.waiting_for(since_ns), slot.hot.wants_a_reader_since(since_ns));
        let not_run_for = seat.pid.filter(|_| process.is_held()).and_then(last_run::not_run_for);
        let seen_for = self.age(Still::Process(who.pid, process), seen);
        if let (Some(flight), Some(stood)) = (&mut in_flight, not_run_for) {
            flight.for_at_least = flight.for_at_least.max(stood);
        }
        let wants_more = waiting.is_some_and(|waiting| waiting.want == Want::FileSize);
        let file_size_limit = seat.pid.filter(|_| wants_more).and_then(process::file_size_limit);
        let is_odd = in_flight.is_some() || waiting.is_some() || !is_well(process);
        let command_line = if is_odd { self.called(&mut seat) } else { None };
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
            kept_by,
            waiting,
            file_size_limit,
            command_line,
            feeder: None,
            feeder_stopped: None,
            feeder_waits: None,
            output_full: unread.and_then(OutputFull::since),
            messages: slot.hot.messages.load(Ordering::Relaxed),
            bytes: slot.hot.bytes.load(Ordering::Relaxed),
            since: time_of(since_ns),
        })
    }

    fn lock(&mut self, files: &Files, record: &Owner, byte: u64, seen: &mut Sightings) -> Lock {
        let said = record.operation.load(Ordering::Acquire) & HELD != 0; // owner
        let held = seen_by(files.ask_held(byte));
        // The record of another one does not tell of him.
        let is_his = held != Ok(true) || said;
        let who = match held {
            Ok(true) if said => files.holder(record).0,
            Ok(true) => files.stranger(byte).unwrap_or_default(),
            _ => owner::of(record),
        };
        let since = if is_his { record.since_ns.load(Ordering::Relaxed) } else { 0 };
        let (who, mut seat) = self.known(files, who, &held);
        let for_at_least = match held {
            Ok(true) => self.age(Still::Lock(byte, who.pid, since), seen),
            _ => Duration::ZERO,
        };
        let (process, frozen_by) = match held {
            Ok(true) => self.doing(process::state_at(&who, seat.pid), seat),
            _ => (process::state_at(&who, seat.pid), None),
        };
        let command_line = if held == Ok(true) { self.called(&mut seat) } else { None };
        Lock {
            is_stale: said && held == Ok(false) && owner::of(record).pid != 0,
            held,
            pid: who.pid,
            seat,
            operation: if is_his { owner::operation_of(record).into() } else { String::new() },
            since: time_of(since),
            process,
            frozen_by,
            stuck_in: stuck_in(process, seat),
            command_line,
            command: who.command,
            for_at_least,
        }
    }

    /// How a process was called that is to be talked about, and, in its seat, whose it is; not asked at every look.
    pub(super) fn called(&mut self, seat: &mut Seat) -> Option<String> {
        let pid = seat.pid?;
        let (known, _) = self.called.entry(pid).or_insert_with(|| (Called::by(pid), Instant::now()));
        seat.uid = known.uid;
        known.command_line.clone()
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
        let known = self.believed.get(&key).map(|(is, _)| *is);
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
            return Seat { namespace: None, pid: (who.pid != 0).then_some(who.pid), uid: None };
        };
        let key = (namespace, who.pid);
        let known = self.seats.get(&key).filter(|(_, at)| at.elapsed() < SEATED).map(|(pid, _)| *pid);
        let pid = known.unwrap_or_else(|| {
            let pid = process::find_in_namespace(who);
            self.seats.insert(key, (pid, Instant::now()));
            pid
        });
        Seat { namespace: Some(namespace), pid, uid: None }
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
