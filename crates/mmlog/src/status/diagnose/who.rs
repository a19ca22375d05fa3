//! Who stands in the way, in words, and what lets him go on.

use std::time::{Duration, SystemTime};

use super::quoted;
use crate::status::{FollowerStatus, HoldStatus, Lock, Seat, Status, WriterStatus};
use crate::sys::cgroup::Freezer;
use crate::sys::holders;
use crate::sys::process::{self, ProcessState};
use crate::units::{counted, listed};

/// Where the kernel lets whoever writes to a frozen file system wait.
const FROZEN: &str = "percpu_rwsem";

pub(super) const ELSEWHERE: &str = "it is in another PID namespace: look at it there (`lsns -t pid`)";

/// What is traced, where it is not said by whom.
const DEBUGGED: &str = "stopped by a debugger";

/// Where something is left out.
const DOTS: &str = "...";

/// A process that is to be talked about.
#[derive(Clone, Copy)]
pub(super) struct Person<'a> {
    pub(super) pid: u32,
    pub(super) command: &'a str,
    pub(super) command_line: Option<&'a str>,
    pub(super) feeder: Option<&'a str>,
    pub(super) seat: Seat,
    pub(super) process: ProcessState,
    pub(super) frozen_by: Option<&'a Freezer>,
    pub(super) stuck_in: Option<&'a str>,
}

impl<'a> From<&'a WriterStatus> for Person<'a> {
    fn from(w: &'a WriterStatus) -> Self {
        let (command_line, feeder) = (w.command_line.as_deref(), w.feeder.as_deref());
        let (process, frozen_by, stuck_in) = (w.process, w.frozen_by.as_ref(), w.stuck_in.as_deref());
        Self {
            pid: w.pid,
            command: &w.command,
            command_line,
            feeder,
            seat: w.seat,
            process,
            frozen_by,
            stuck_in,
        }
    }
}

impl<'a> From<&'a FollowerStatus> for Person<'a> {
    fn from(f: &'a FollowerStatus) -> Self {
        let command_line = f.command_line.as_deref();
        let (process, frozen_by, stuck_in) = (f.process, f.frozen_by.as_ref(), f.stuck_in.as_deref());
        Self {
            pid: f.pid,
            command: &f.command,
            command_line,
            feeder: None,
            seat: f.seat,
            process,
            frozen_by,
            stuck_in,
        }
    }
}

impl<'a> From<&'a HoldStatus> for Person<'a> {
    fn from(h: &'a HoldStatus) -> Self {
        let command_line = h.command_line.as_deref();
        let (process, frozen_by, stuck_in) = (h.process, h.frozen_by.as_ref(), h.stuck_in.as_deref());
        // Its record has no room for a command.
        let command = "unknown";
        Self { pid: h.pid, command, command_line, feeder: None, seat: h.seat, process, frozen_by, stuck_in }
    }
}

impl<'a> From<&'a Lock> for Person<'a> {
    fn from(l: &'a Lock) -> Self {
        let command_line = l.command_line.as_deref();
        let (process, frozen_by, stuck_in) = (l.process, l.frozen_by.as_ref(), l.stuck_in.as_deref());
        Self {
            pid: l.pid,
            command: &l.command,
            command_line,
            feeder: None,
            seat: l.seat,
            process,
            frozen_by,
            stuck_in,
        }
    }
}

impl Person<'_> {
    /// Whom to call: who writes into its pipe, else how it was called.
    fn called(&self) -> String {
        match self.feeder {
            Some(feeder) => format!("{feeder}, through {}", self.command),
            None => self.command_line.unwrap_or(self.command).to_owned(),
        }
    }

    /// `4312 (nginx-log)`; with who writes into its pipe, `4313 (web --port 80, through mmlogctl)`: that is whom to call. Of
    /// another container, with its id here.
    pub(super) fn named(&self) -> String {
        let command = self.called();
        let pid = self.pid;
        if pid == 0 {
            return "that has not said who it is".to_owned();
        }
        match (self.seat.namespace, self.seat.pid) {
            (None, _) => format!("{pid} ({command})"),
            (Some(namespace), Some(here)) => {
                format!("{here} ({command}, {pid} in its own PID namespace {namespace})")
            }
            (Some(namespace), None) => format!("{pid} ({command}) of PID namespace {namespace}"),
        }
    }

    /// What it does, and why it does nothing. The control group that froze it has a [clause](Self::done_by) of its own.
    pub(super) fn doing(&self) -> String {
        match self.process {
            ProcessState::DiskSleep => match self.stuck_in {
                Some(place) => format!("stuck in the kernel (state D, in {place})"),
                None => "stuck in the kernel (state D)".to_owned(),
            },
            ProcessState::Unknown if self.pid == 0 => "alive".to_owned(),
            ProcessState::Traced => match self.tracer() {
                Some(tracer) => {
                    let called =
                        process::command_line(tracer).map_or_else(String::new, |c| format!(" ({c})"));
                    format!("stopped by its debugger {tracer}{called}")
                }
                None => DEBUGGED.to_owned(),
            },
            ProcessState::Hidden => {
                format!("not visible to uid {} (hidepid)", process::effective_user())
            }
            state => state.to_string(),
        }
    }

    fn tracer(&self) -> Option<u32> {
        self.seat.pid.filter(|_| self.process == ProcessState::Traced).and_then(process::tracer_of)
    }

    /// A clause of its own behind since when: the path of a control group may be longer than a screen is wide.
    pub(super) fn done_by(&self) -> String {
        let by = self.frozen_by.filter(|_| self.process == ProcessState::Frozen);
        by.map_or_else(String::new, |by| format!("; control group {} is frozen", by.group.display()))
    }
}

impl Status {
    /// A sentence of this status in which each process is called by so many characters at most, by its id alone for 0: where
    /// there is no room for all, who it is gives way to what is the case.
    #[must_use]
    pub fn with_short_names(&self, sentence: &str, most: usize) -> String {
        let writers = self.writers.iter().map(Person::from);
        let locks = [&self.lock, &self.maintenance].map(|lock| self.holder(lock));
        let holds = self.holds.iter().map(Person::from);
        let people = writers.chain(locks).chain(holds).chain(self.followers.iter().map(Person::from));
        let id_before = |at: usize| sentence[..at].rsplit(|c: char| !c.is_ascii_digit()).next();
        let named: Vec<u32> =
            sentence.match_indices(" (").filter_map(|(at, _)| id_before(at)?.parse().ok()).collect();
        let mut said = sentence.to_owned();
        for who in people {
            let pid = who.seat.pid.unwrap_or(who.pid);
            if !named.contains(&pid) {
                continue;
            }
            let (id, called) = (format!("{pid} ("), who.called());
            let long = format!("{id}{called}");
            if called.chars().count() <= most || !said.contains(&long) {
                continue;
            }
            said = match most {
                0 => said.replace(&format!("{long})"), &pid.to_string()),
                most => said.replace(&long, &(id + &shortened(&called, most))),
            };
        }
        said
    }
}

fn shortened(text: &str, most: usize) -> String {
    let front: String = text.chars().take(most.saturating_sub(DOTS.len())).collect();
    front.trim_end().to_owned() + DOTS
}

/// `writer 4312 (web) is stopped`, `3 of 200 writers are stopped: 18018, 18062, 18401`.
pub(super) fn all_are(what: &str, people: &[Person<'_>], of: usize) -> String {
    let [first, others @ ..] = people else { return String::new() };
    if others.is_empty() {
        return format!("{what} {} is {}", first.named(), first.doing());
    }
    // Each may have another debugger.
    let doing = if first.process == ProcessState::Traced { DEBUGGED.to_owned() } else { first.doing() };
    let (all, ids) = (counted(of as u64, what), ids_of(people.iter().copied()));
    format!("{} of {all} are {doing}: {ids}", people.len())
}

/// By their numbers here, where they have one.
pub(super) fn ids_of<'a>(people: impl Iterator<Item = Person<'a>>) -> String {
    let ids: Vec<String> = people.map(|p| p.seat.pid.unwrap_or(p.pid).to_string()).collect();
    listed(&ids)
}

/// What killing whoever stands costs.
#[derive(Clone, Copy)]
pub(super) enum Loses {
    Nothing,
    /// It has only read.
    AReader,
    /// Its append in flight; and what it has read or waits in its pipe, where its program feeds it through one.
    AnAppend,
}

impl Status {
    /// Who has a lock: who feeds it is known of the writer that it is.
    pub(super) fn holder<'a>(&'a self, l: &'a Lock) -> Person<'a> {
        let writer = self.writers.iter().find(|w| w.seat.is_of(l.seat));
        Person { feeder: writer.and_then(|w| w.feeder.as_deref()), ..Person::from(l) }
    }

    /// One command for all of them, who are in the same state. Only ids of this namespace may be told to `kill`.
    pub(super) fn resume(&self, people: &[Person<'_>], loses: Loses) -> String {
        if people.iter().all(|p| p.pid == 0) {
            let tells = holders::tells_lockers_of(&self.metadata_path);
            return format!(
                "{tells} shows as root who has a lock on the metadata file, by its number in /proc; end that process"
            );
        }
        let ids: Vec<String> = people.iter().filter_map(|p| p.seat.pid).map(|pid| pid.to_string()).collect();
        let (Some(first), Some(pid)) = (people.first(), ids.first()) else {
            return "it is in another PID namespace: find it there (`lsns -t pid`), continue it or end it; it heals by itself then"
            .to_owned();
        };
        let (all, by) = (ids.join(" "), signalled_by(people));
        let cost = match (loses, ids.len()) {
            (Loses::Nothing, _) => "it heals by itself, nothing is lost",
            (Loses::AReader, 1) => "it goes on where it was",
            (Loses::AReader, _) => "they go on where they were",
            (Loses::AnAppend, 1) => "it heals; what is not yet appended, pipe included, is lost",
            (Loses::AnAppend, _) => "it heals; what is not yet appended, pipes included, is lost",
        };
        match (first.process, first.frozen_by) {
            (ProcessState::Frozen, Some(by)) => thaw(by),
            (ProcessState::Stopped, _) if matches!(loses, Loses::AReader) => {
                format!("{by}`kill -CONT {all}`: {cost}")
            }
            (ProcessState::Stopped, _) => format!("{by}`kill -CONT {all}`, or `kill -9 {all}`: {cost}"),
            (ProcessState::Traced, _) => {
                let tells = match first.tracer() {
                    Some(tracer) => format!("`ps -fp {tracer}` tells whose debugger that is: have it detach"),
                    None => format!(
                        "`grep TracerPid /proc/{pid}/status` tells which process traces it: have that one detach"
                    ),
                };
                format!("{tells}, or {by}`kill -9 {all}`: {cost}")
            }
            (ProcessState::CoreDumping, _) => {
                format!(
                    "`grep CoreDumping /proc/{pid}/status`: it is dying, and heals by itself once its core is written"
                )
            }
            (ProcessState::DiskSleep, _) if first.stuck_in.is_some_and(|place| place.contains(FROZEN)) => {
                format!(
                    "`fsfreeze -u {}` thaws the log's file system, which somebody seems to have frozen (a snapshot, a backup); no signal reaches it until then",
                    self.directory()
                )
            }
            (ProcessState::DiskSleep, _) => format!(
                "`cat /proc/{pid}/stack` shows as root what it waits for: a disk (dmesg), a network file system, or one that is frozen (`fsfreeze -u {}`); no signal reaches it until then",
                self.directory()
            ),
            (ProcessState::Hidden, _) => {
                format!("as root: {} shows what it does", self.command("status"))
            }
            _ => format!(
                "`cat /proc/{pid}/stack` shows as root what it waits for; if it hangs, {by}`kill -9 {all}`: {cost}"
            ),
        }
    }
}

/// Who may signal them, where whoever looks may not.
fn signalled_by(people: &[Person<'_>]) -> String {
    let me = process::effective_user();
    let of_others = people.iter().filter_map(|p| p.seat.uid).find(|uid| me != 0 && *uid != me);
    of_others.map_or_else(String::new, |uid| format!("{}: ", crate::error::as_whom(uid)))
}

/// Where a service manager or a container's may know of it, that one has to be told.
pub(super) fn thaw(by: &Freezer) -> String {
    let unit = by.group.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (file, word) = &by.thawed_by;
    let by_hand = format!("echo {word} > {}", quoted(file));
    let command = match unit.strip_prefix("docker-").and_then(|rest| rest.strip_suffix(".scope")) {
        Some(container) => format!("docker unpause {container}"),
        None if unit.ends_with(".service") => format!("systemctl thaw {unit}"),
        None => by_hand,
    };
    format!("`{command}` thaws it; no signal reaches a frozen process, not even kill -9")
}

/// Since when, as a duration up to now.
pub(super) fn until_now(since: Option<SystemTime>) -> Option<Duration> {
    since.and_then(|since| since.elapsed().ok())
}
