//! Processes that hold others up: with the lock, maintenance, the gate, an append, a slot; or that only stand.

use std::collections::BTreeMap;
use std::time::Duration;

use super::waits::LONG;
use super::who::{Loses, Person, all_are, until_now};
use super::{critical, info, warning};
use crate::status::{
    Finding, FindingId, Lock, OutputFull, Severity, State, Status, Thresholds, WriterStatus,
};
use crate::sys::process::ProcessState;
use crate::units::{agree, counted, lasting, listed, size};
use crate::waiting::Want;

/// So many of those who have all slots are named.
const NAMED: usize = 2;

fn made(severity: Severity, id: FindingId, state: State, (sentence, next_step): (String, String)) -> Finding {
    Finding { id, severity, state, sentence, next_step, pid: None }
}

/// For how long it is known to last; else what was seen of it. How far apart two looks were is nobody's business.
pub(super) fn since(known: Option<Duration>, seen: Duration) -> String {
    match known.filter(|time| *time >= seen) {
        Some(time) if time < MOMENT => "for a moment".to_owned(),
        Some(time) => format!("for {}", lasting(time)),
        None if seen < MOMENT => "for at least a moment".to_owned(),
        None => format!("for at least {}", lasting(seen)),
    }
}

/// What lasts no longer is not said in milliseconds.
const MOMENT: Duration = Duration::from_secs(1);

/// Where what so many writers are to append is meanwhile; `hangs`: for how long a program has waited to write into the full pipe of one.
pub(super) fn held_up(writers: usize, hangs: Option<Duration>) -> String {
    match (writers, hangs) {
        (1, Some(time)) => format!("its pipe is full, and its program hangs, for {}", lasting(time)),
        (_, Some(time)) => format!("pipes are full, and programs hang, for up to {}", lasting(time)),
        (1, None) => "its messages wait, in its pipe or in its program".to_owned(),
        _ => "their messages wait, in their pipes or in their programs".to_owned(),
    }
}

/// Of a writer with nothing in flight: others go on, its own program may not.
pub(super) fn appends_nothing(hangs: Option<Duration>, sentence: String, next: String) -> Finding {
    match hangs.is_some_and(|time| time >= LONG) {
        true => critical(FindingId::WriterStopped, State::Stalled, sentence, next),
        false => warning(FindingId::WriterStopped, State::Warning, sentence, next),
    }
}

impl Status {
    pub(super) fn lock_held(&self, thresholds: &Thresholds) -> Option<Finding> {
        let l = &self.lock;
        // A slow disk is no standstill.
        let on_disk = l.process == ProcessState::DiskSleep;
        let works = on_disk && until_now(l.since).is_some_and(|time| time < thresholds.stopped);
        let lasts = l.for_at_least >= thresholds.standstill && !works;
        // Who has closed the gate holds up all, not only those that need space: that is said instead.
        let is_told = self.gate_closed(thresholds).is_some();
        let held = l.held == Ok(true) && (lasts || l.process.stands()) && !is_told;
        held.then(|| {
            let (waits, severity) = self.cost_of(&[Want::Lock]);
            let cost = format!("every append that needs space waits for it{waits}");
            let said = self.holding(l, "the log's lock", &cost);
            made(severity, FindingId::LockHeld, State::Locked, said).at(l.seat)
        })
    }

    /// One that works may take its time: rotating, compressing.
    pub(super) fn maintenance_held(&self) -> Option<Finding> {
        let l = &self.maintenance;
        (l.held == Ok(true) && l.process.stands()).then(|| {
            let said = self.holding(l, "maintenance", "no trim, rotate or prune can run");
            made(Severity::Warning, FindingId::MaintenanceHeld, State::Warning, said).at(l.seat)
        })
    }

    /// Appends in flight that stand, those in the same state together.
    pub(super) fn writers_stalled(&self, thresholds: &Thresholds) -> Vec<Finding> {
        let stalls = |w: &&WriterStatus| {
            let stands = |for_at_least| for_at_least >= thresholds.standstill || w.process.stands();
            w.alive == Ok(true) && w.in_flight.as_ref().is_some_and(|f| stands(f.for_at_least))
        };
        self.by_state(stalls).map(|them| self.stalled(&them)).collect()
    }

    fn stalled(&self, them: &[&WriterStatus]) -> Finding {
        let people: Vec<Person<'_>> = them.iter().map(|w| Person::from(*w)).collect();
        let flights = || them.iter().filter_map(|w| w.in_flight.as_ref());
        let bytes: u64 = flights().map(|f| f.end.saturating_sub(f.start)).sum();
        let first = flights().min_by_key(|f| f.start);
        let at = first.map_or_else(String::new, |f| format!(" at {} ({})", f.start, f.phase));
        let lasted = flights().map(|f| f.for_at_least).max().unwrap_or_default();
        // Nothing below it became final since the file changed last.
        let quiet = if self.writers.len() == them.len() { until_now(self.file.changed) } else { None };
        let quiet = them.iter().filter_map(|w| w.not_run_for).max().or(quiet);
        let (waits, severity) = self.cost_of(&[Want::Gate]);
        // It is an append that waits, too.
        let severity = if lasted >= LONG { Severity::Critical } else { severity };
        let sentence = format!(
            "{} with {} in flight{at}, {}{}; followers see nothing behind it{waits}",
            all_are("writer", &people, self.writers.len()),
            size(bytes),
            since(quiet, lasted),
            people[0].done_by(),
        );
        let said = (sentence, self.resume(&people, Loses::AnAppend));
        made(severity, FindingId::WriterStalled, State::Stalled, said).at(people[0].seat)
    }

    /// Writers with nothing in flight that do nothing: what their programs write waits in their pipes.
    pub(super) fn writers_stopped(&self, thresholds: &Thresholds) -> Vec<Finding> {
        let stands = |w: &&WriterStatus| {
            // Who holds a lock is named for that.
            let is_named = |l: &Lock| l.held == Ok(true) && l.seat == w.seat;
            w.alive == Ok(true)
                && w.in_flight.is_none()
                && w.process.is_held()
                && w.process_for_at_least >= thresholds.stopped
                && !is_named(&self.lock)
                && !is_named(&self.maintenance)
        };
        let finding = |them: Vec<&WriterStatus>| {
            let people: Vec<Person<'_>> = them.iter().map(|w| Person::from(*w)).collect();
            let lasted = them.iter().map(|w| w.process_for_at_least).max().unwrap_or_default();
            let known = them.iter().filter_map(|w| w.not_run_for).max();
            let hangs = them.iter().filter_map(|w| w.feeder_waits).max();
            let sentence = format!(
                "{}, {}{}; {}",
                all_are("writer", &people, self.writers.len()),
                since(known, lasted),
                people[0].done_by(),
                held_up(people.len(), hangs)
            );
            let next = self.resume(&people, Loses::AnAppend);
            appends_nothing(hangs, sentence, next).at(people[0].seat)
        };
        self.by_state(stands).map(finding).collect()
    }

    /// Whether somebody stands who may do so for a moment only: worth another look.
    #[must_use]
    pub fn is_worth_another_look(&self, thresholds: &Thresholds) -> bool {
        let writer = |w: &WriterStatus| {
            w.alive == Ok(true)
                && w.in_flight.is_none()
                && w.process.is_held()
                && w.process_for_at_least < thresholds.stopped
        };
        let is_soon = |time: Option<Duration>| time.is_some_and(|time| time < thresholds.stopped);
        let mut followers = self.followers.iter().filter(|f| f.lag > 0 && f.process.is_held());
        let mut holds = self.holds.iter().filter(|h| h.position < self.cursor);
        // Where the kernel does not know since when.
        let unread = |full: &OutputFull| !full.is_known && full.lasts < thresholds.stopped;
        self.writers.iter().any(|w| writer(w) || w.output_full.as_ref().is_some_and(unread))
            || followers.any(|f| is_soon(f.not_run_for))
            || holds.any(|h| is_soon(h.not_run_for))
    }

    fn by_state(
        &self,
        mut is_one: impl FnMut(&&WriterStatus) -> bool,
    ) -> impl Iterator<Item = Vec<&WriterStatus>> {
        let mut groups: BTreeMap<String, Vec<&WriterStatus>> = BTreeMap::new();
        for w in self.writers.iter().filter(|w| is_one(w)) {
            // Of one freezer; what runs or sleeps is told one by one.
            let key = match w.process {
                ProcessState::Running | ProcessState::Sleeping => format!("{}", w.slot),
                _ => Person::from(w).doing() + &Person::from(w).done_by(),
            };
            groups.entry(key).or_default().push(w);
        }
        groups.into_values()
    }

    pub(super) fn gate_closed(&self, thresholds: &Thresholds) -> Option<Finding> {
        let at = self.gate.filter(|_| self.gate_for_at_least >= thresholds.standstill)?;
        let is_lock = self.lock.held == Ok(true) || (self.lock.is_stale && self.maintenance.held != Ok(true));
        let l = if is_lock { &self.lock } else { &self.maintenance };
        let operation = self.unfinished.unwrap_or("trim");
        let wants = if self.lock.held == Ok(true) { &[Want::Gate, Want::Lock][..] } else { &[Want::Gate] };
        let (waits, severity) = self.cost_of(wants);
        if l.held == Ok(true) {
            let (who, lasting) = (self.holder(l), since(until_now(l.since), self.gate_for_at_least));
            let sentence = format!(
                "process {} is {} and has held all appends up {lasting}, for {operation} (the gate is closed at {at}){}{waits}",
                who.named(),
                who.doing(),
                who.done_by()
            );
            let said = (sentence, self.resume(&[who], self.loses(l)));
            return Some(made(severity, FindingId::GateClosed, State::Stalled, said).at(l.seat));
        }
        let sentence = format!(
            "process {} ({}) ended in the middle of {operation} and left the gate closed at {at}, {}{}",
            l.pid,
            l.command,
            since(until_now(l.since), self.gate_for_at_least),
            if waits.is_empty() { "; nobody waits for it" } else { &waits }
        );
        let next = format!("{} opens it now; the next append does so by itself", self.command("repair"));
        Some(made(severity, FindingId::GateClosed, State::Stalled, (sentence, next)).of(l.pid))
    }

    fn holding(&self, l: &Lock, what: &str, cost: &str) -> (String, String) {
        let who = self.holder(l);
        let sentence = format!(
            "process {} is {} and has held {what} {}, for {}{}; {cost}",
            who.named(),
            who.doing(),
            since(until_now(l.since), l.for_at_least),
            if l.operation.is_empty() { "an operation that it has not named yet" } else { &l.operation },
            who.done_by(),
        );
        (sentence, self.resume(&[who], self.loses(l)))
    }

    /// Whoever has a slot appends: a rotation, or what goes by the policy, is a part of that.
    fn loses(&self, l: &Lock) -> Loses {
        let appends = matches!(&*l.operation, "" | "open" | "grow" | "settle");
        let has_slot = || self.writers.iter().any(|w| w.alive != Ok(false) && w.seat.is_of(l.seat));
        if appends || has_slot() { Loses::AnAppend } else { Loses::Nothing }
    }

    pub(super) fn dead_writers(&self) -> Option<Finding> {
        let mut dead = self.writers.iter().filter(|w| w.alive == Ok(false) && w.kept_by.is_none());
        let first = dead.next()?;
        let f = first.in_flight.as_ref()?;
        let more = match dead.count() {
            0 => String::new(),
            n => format!(", and {n} more"),
        };
        let (len, start) = (f.end.saturating_sub(f.start), f.start);
        let sentence = format!(
            "writer {} ({}) ended with {} in flight at {start}{more}; readers pass it as a hole",
            first.pid,
            first.command,
            size(len)
        );
        let next = format!(
            "nothing to do: the next append that needs it settles it; {} does it now",
            self.command("repair")
        );
        Some(info(FindingId::DeadWriter, sentence, next).of(first.pid))
    }

    /// Those that nobody can settle.
    pub(super) fn kept_slots(&self) -> Option<Finding> {
        let mut kept = self.writers.iter().filter_map(|w| Some((w.kept_by.as_ref()?, w.in_flight.as_ref()?)));
        let (by, f) = kept.next()?;
        let more = match kept.count() {
            0 => String::new(),
            n => format!(", and {} more", counted(n as u64, "slot")),
        };
        let sentence = format!(
            "{by}, with {} in flight at {}{more}: nobody can settle that, and who needs it waits (durable appends, rotate, trim)",
            size(f.end.saturating_sub(f.start)),
            f.start
        );
        let next = format!("{}; {} settles it then", by.next_step(), self.command("repair"));
        let found = warning(FindingId::DeadWriter, State::Warning, sentence, next);
        Some(if by.pid == 0 { found } else { found.of(by.pid) })
    }

    pub(super) fn lock_stale(&self) -> Option<Finding> {
        let of = |l: &Lock, what: &str| {
            let sentence =
                format!("process {} ({}) ended with {what}, for {}", l.pid, l.command, l.operation);
            let next = format!(
                "nothing to do: whoever needs it next finishes that; {} does it now",
                self.command("repair")
            );
            info(FindingId::LockStale, sentence, next).of(l.pid)
        };
        let lock = self.lock.is_stale.then(|| of(&self.lock, "the log's lock"));
        lock.or_else(|| self.maintenance.is_stale.then(|| of(&self.maintenance, "maintenance")))
    }

    pub(super) fn writers_full(&self) -> Option<Finding> {
        if !self.is_taken() {
            return None;
        }
        let mut counts = BTreeMap::new();
        self.writers.iter().for_each(|w| *counts.entry(w.pid).or_insert(0_usize) += 1);
        let most = counts.into_iter().max_by_key(|(_, n)| *n);
        // Of many who have one each, none is to blame.
        let greedy = most.filter(|(_, n)| *n > 1 || self.max_writers == 1);
        let writer = greedy.and_then(|(pid, _)| self.writers.iter().find(|w| w.pid == pid));
        let seat = writer.map(|w| w.seat);
        let who = match (greedy, writer.map(|w| Person::from(w).named())) {
            (Some((_, 1)), Some(named)) => format!("process {named} has it"),
            (Some((_, n)), Some(named)) => format!("process {named} has {n} of them"),
            // Those who had it first.
            _ => {
                let first = self.writers.iter().take(NAMED).map(|w| Person::from(w).named());
                let more = self.writers.len().saturating_sub(NAMED);
                let more = (more > 0).then(|| format!("{more} more"));
                format!("{} have them", listed(&first.chain(more).collect::<Vec<_>>()))
            }
        };
        // Since when comes before who it is: of a long sentence the end may not be seen.
        let waits = match &self.slot_waiters {
            Some(wait) => {
                let (count, since) = (wait.count.into(), until_now(Some(wait.since)).unwrap_or_default());
                format!(
                    ", and {} {} waited {} for one, {}{} ({})",
                    counted(count, "program"),
                    agree(count, "has", "have"),
                    lasting(since),
                    agree(count, "", "the last of them "),
                    wait.pid,
                    wait.command
                )
            }
            None => ", and no other process can append".to_owned(),
        };
        let taken = match self.max_writers {
            1 => "the one slot for a writer is taken".to_owned(),
            n => format!("all {n} slots for writers are taken"),
        };
        let sentence = format!("{taken}{waits}; {who}");
        let next = format!(
            "{} tells how much each of them appends: end {}; a new log takes more by --max-writers",
            self.command("stats"),
            if self.max_writers == 1 { "it if it is not needed" } else { "those that are not needed" }
        );
        let found = match &self.slot_waiters {
            Some(_) => critical(FindingId::WritersFull, State::Locked, sentence, next),
            None => warning(FindingId::WritersFull, State::Warning, sentence, next),
        };
        Some(found.at(seat.unwrap_or_default()))
    }
}
