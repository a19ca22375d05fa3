//! What a snapshot means: a pure function from facts to findings. Every word that an operator reads about the state
//! of a log is said here, whichever command shows it.

mod gone;
mod hold;
mod output;
mod policy;
mod room;
mod segments;
mod shipper;
mod stuck;
mod waits;
mod who;

use std::time::{Duration, SystemTime};

pub use gone::{explain, explain_removed};

use super::{
    Damage, Finding, FindingId, Seat, SegmentFlaw, Severity, State, Status, Thresholds, Unrecovered,
};
use crate::error::{GONE, quoted, quoted_directory, with_log};
use crate::holes::HoleKind;
use crate::sys::fs::Medium;
use crate::units::{ago, agree, counted, lasting, listed, size};

impl Status {
    /// All that is wrong or worth knowing, worst first.
    #[must_use]
    pub fn diagnose(&self, thresholds: &Thresholds) -> Vec<Finding> {
        let mut found = Vec::new();
        found.extend(self.panicked());
        found.extend(self.damage.iter().map(|damage| self.damaged(damage)));
        found.extend(self.sync_failed());
        // What an older copy of the metadata does not know of is no surplus.
        let is_known = |flaw: &&SegmentFlaw| flaw.id != FindingId::SegmentSurplus || !self.is_copied();
        found.extend(self.flaws.iter().filter(is_known).map(|flaw| self.flawed(flaw)));
        found.extend(self.original());
        found.extend(self.read_only());
        found.extend(self.space(thresholds));
        found.extend(self.limits());
        found.extend(self.lock_held(thresholds));
        found.extend(self.maintenance_held());
        found.extend(self.writers_stalled(thresholds));
        found.extend(self.writers_stopped(thresholds));
        found.extend(self.writers_unread(thresholds));
        found.extend(self.writers_unfed(thresholds));
        found.extend(self.gate_closed(thresholds));
        found.extend(self.inodes());
        found.extend(self.given_up());
        found.extend(self.dead_writers());
        found.extend(self.kept_slots());
        found.extend(self.lock_stale());
        found.extend(self.writers_full());
        let hold = |hold| self.shipper(hold).or_else(|| self.hold(hold, thresholds));
        found.extend(self.holds.iter().filter_map(hold));
        found.extend(self.readers_stopped(thresholds));
        found.extend(self.readers_stand(thresholds));
        found.extend(self.reader_behind(thresholds));
        found.extend(self.places_taken());
        found.extend(self.unseen());
        found.extend(self.idle(thresholds));
        found.extend(self.recovered());
        found.extend(self.not_recovered());
        found.extend(self.space_held());
        found.extend(self.former_log());
        found.extend(self.holed());
        found.extend(self.slack());
        found.extend(self.outside_bytes());
        found.extend(self.outside_live());
        found.extend(self.outside_cut());
        found.extend(self.hooks_unrun());
        found.extend(self.name_too_long());
        found.extend(self.rotation_overdue());
        found.extend(self.pruning_overdue());
        found.extend(self.policy_not_trusted());
        found.extend(self.free_space_not_freed());
        found.extend(self.policy_damaged());
        for finding in &mut found {
            // Somebody has something to do.
            if finding.state == State::Ok && finding.severity < Severity::Info {
                finding.state = State::Warning;
            }
        }
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

    /// Where it lies, as a shell reads it.
    pub(super) fn directory(&self) -> String {
        quoted_directory(&self.path)
    }

    fn panicked(&self) -> Option<Finding> {
        let p = self.panic.as_ref().filter(|_| self.version_1.is_none())?;
        let why = match p.errno {
            0 => String::new(),
            errno => format!(" ({})", std::io::Error::from_raw_os_error(errno)),
        };
        let sentence =
            format!("process {} ({}) has stopped all writing: {}{why}", p.pid, p.command, p.reason);
        let clear = self.command("repair --clear-panic");
        let next = format!("find the cause, then {clear}; nobody can write until then, readers still work");
        Some(critical(FindingId::Panicked, State::Panicked, sentence, next).of(p.pid))
    }

    fn damaged(&self, damage: &Damage) -> Finding {
        let (repair, rebuild) = (self.command("repair"), self.command("repair --rebuild"));
        let plan = format!("; `mmlogctl repair --dry-run {}` shows the plan", quoted(&self.path));
        if let Some(there) = &damage.moved_to {
            return self.moved(damage, there);
        }
        if let Some(stray) = &damage.metadata_of {
            return self.stray(damage, stray);
        }
        let next = match damage.id {
            FindingId::DataGone => with_log(GONE, &self.path),
            FindingId::DataReplaced if self.file.len == 0 && !self.is_copied() => {
                let recreate = self.command("repair --recreate");
                format!(
                    "put the right file back, or {recreate} goes on in this one behind the lost positions"
                )
            }
            FindingId::DataReplaced => {
                format!(
                    "put the right file back, or stop all writers and {rebuild} makes new metadata for this one"
                )
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
        // What cut it was then, unless somebody stored to it since.
        let changed = self.file.changed.filter(|_| damage.id == FindingId::DataTruncated);
        let changed = changed.map_or_else(String::new, |at| {
            format!("; the file was last changed {}", ago(at, SystemTime::now()))
        });
        // Else it is said with who has it.
        let is_had = damage.still_open.as_ref().is_some_and(|open| !open.by.is_empty());
        let gone = if is_had { String::new() } else { gone::lasts(damage.since) };
        let found = critical(damage.id, State::Damaged, damage.problem.clone() + &changed + &gone, next);
        match &damage.still_open {
            Some(open) => self.still_open(open, found),
            None => found,
        }
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
                return Some(warning(FindingId::Version1, State::Warning, sentence, next));
            }
        };
        let named: Vec<String> = flags.holders.iter().map(|(pid, name)| format!("{pid} ({name})")).collect();
        let open = match named.is_empty() {
            true => "no process that can be seen has the log open, so it is stale".to_owned(),
            false => format!(
                "{} {} {} the log open",
                agree(named.len() as u64, "process", "processes"),
                listed(&named),
                agree(named.len() as u64, "has", "have")
            ),
        };
        let state = if flags.is_panicked { State::Panicked } else { State::Locked };
        let made = if flags.is_panicked { critical } else { warning };
        let found = made(FindingId::Version1Flag, state, format!("format 1: {flag} is set; {open}"), next);
        Some(match flags.holders.first() {
            Some((pid, _)) => found.of(*pid),
            None => found,
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
        let said = [free, lock, maintenance].into_iter().flatten().chain(writers.take(1));
        let said: Vec<String> = said.chain(self.unseen.iter().cloned()).collect();
        let next = format!(
            "look again from outside its sandbox or container, as root if it stays so: {}; nothing else is wrong with what could be seen",
            self.command("status")
        );
        (!said.is_empty()).then(|| warning(FindingId::Unseen, State::Ok, said.join("; "), next))
    }

    /// In memory nobody knows: stores do not move the time there.
    fn idle(&self, thresholds: &Thresholds) -> Option<Finding> {
        let quiet = self.idle_for().filter(|quiet| *quiet >= thresholds.idle)?;
        let open = match self.writers.iter().filter(|w| w.alive != Ok(false)).count() as u64 {
            0 => "no writer has it open".to_owned(),
            n => format!("{} {} it open", counted(n, "writer"), agree(n, "has", "have")),
        };
        let sentence = format!("nothing was appended for {}; {open}", lasting(quiet));
        let next = format!(
            "{} shows what came last, and when if lines have a time; see whether the programs that should append still run",
            self.command("tail -n 3")
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
            size(r.lost),
            ago(r.at, SystemTime::now()),
            r.end
        );
        let next = format!(
            "`mmlogctl cat --holes say {0} > /dev/null` names the lost ranges; what must not be lost at the next one has to be appended with --sync always",
            quoted(&self.path)
        );
        Some(info(FindingId::Recovered, sentence, next))
    }

    fn not_recovered(&self) -> Option<Finding> {
        let waiting = self.unrecovered.filter(Unrecovered::matters)?;
        let sentence = format!(
            "not recovered since the reboot: {} from {} on are as they have reached the disk",
            size(waiting.end - waiting.synced),
            waiting.synced
        );
        let repair = self.command("repair");
        let next = match waiting.by_append {
            true => format!("nothing to do: the next append recovers it, {repair} does it now"),
            false => format!(
                "{repair} recovers it if the machine was rebooted since; where /proc/sys/kernel/random/boot_id cannot be read, as here, an append does not"
            ),
        };
        let next = format!("{next}; cat and tail show what that will leave");
        Some(info(FindingId::NotRecovered, sentence, next))
    }

    fn holed(&self) -> Option<Finding> {
        let recent = |at: Option<SystemTime>| at.is_some_and(is_recent);
        let last = self.holes.iter().filter(|h| recent(h.at)).max_by_key(|h| h.at)?;
        // Without one, none is known to have died: what `>>` put behind it, or a reboot, left it.
        let who = match last.pid {
            0 => String::new(),
            pid => format!(", left by process {pid} ({})", last.command),
        };
        let sentence = format!(
            "{}, the latest of {} at {}, {}{who}",
            counted(self.holes_total, "hole"),
            size(last.len),
            last.start,
            last.kind
        );
        let next = format!(
            "{}`mmlogctl cat --holes say {} > /dev/null` names them all",
            self.holes_cost(),
            quoted(&self.path)
        );
        Some(info(FindingId::Holes, sentence, next).of(last.pid))
    }

    /// Programs that read the file as a plain one find zeros in it.
    fn slack(&self) -> Option<Finding> {
        let slack = self.limit.saturating_sub(self.cursor);
        let is_owned = self.writers.iter().any(|w| w.alive != Ok(false))
            || [&self.lock, &self.maintenance].iter().any(|lock| lock.held != Ok(false))
            || self.slot_waiters.is_some();
        let is_known = self.damage.is_empty() && self.unrecovered.is_none() && self.version_1.is_none();
        let sentence = format!(
            "{} of zeros stand behind the last byte: the last writer ended without closing the log",
            size(slack)
        );
        let next =
            format!("nothing to do: the next writer uses them; {} cuts them off now", self.command("trim"));
        (slack > 0 && is_known && !is_owned && self.gate.is_none())
            .then(|| info(FindingId::Slack, sentence, next))
    }

    /// What the holes took from those who had been told "it is in the log": no hole of a writer that died did.
    fn holes_cost(&self) -> String {
        let lost = self.holes.iter().filter(|h| h.kind == HoleKind::Lost).map(|h| h.len).sum();
        match (lost, self.holes.len() as u64 == self.holes_total) {
            (0, true) => "nothing is lost that was acknowledged; ".to_owned(),
            // The kinds of those that the table has no room for are not known.
            (0, false) => String::new(),
            (bytes, _) => format!("{} that may have been acknowledged are lost; ", size(bytes)),
        }
    }
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

/// What is older is history. So is what comes later than that: who told the time had another clock.
pub(super) fn is_recent(at: SystemTime) -> bool {
    const RECENT: Duration = Duration::from_secs(24 * 3600);
    at.elapsed().unwrap_or_else(|e| e.duration()) < RECENT
}
