//! One log: the last look at it, and what changed since earlier ones.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use mmlog::{Finding, FindingId, Holder, Lock, LogId, Severity, Sight, State, Status, WriterStatus, quoted};

use super::lines::Lines;
use super::reader::{Reader, ReaderKey};
use crate::commands::status::json::word;
use crate::discovery::{Found, named};
use crate::exit::Verdict;
use crate::inspect::history::{History, RATE, Rates, SHORTEST};
use crate::inspect::source::Look;
use crate::who::{self, Who, person};

/// Nobody is called for a disk that is full later than that.
const SOON: Duration = Duration::from_secs(90 * 86_400);
/// Operations that are remembered.
const OPERATIONS: usize = 50;

/// One log, as far as the inspector knows it.
#[derive(Debug)]
pub struct Log {
    /// As it was typed, or found.
    pub path: PathBuf,
    /// Whether that is its path here; else it is never looked at.
    pub sight: Sight,
    /// Who has it open, where that was looked for.
    pub holders: Option<Vec<Holder>>,
    /// The last look; `None` before the first.
    pub look: Option<Look>,
    /// When that was, since the inspector began.
    pub at: Duration,
    /// What the figures were.
    pub history: History,
    /// Its last lines.
    pub lines: Lines,
    /// Who held the lock or the maintenance byte, the latest last.
    pub operations: VecDeque<Operation>,
    meters: HashMap<Key, Meter>,
    followers: HashMap<ReaderKey, Meter>,
    people: HashMap<who::Key, Who>,
    messages: u64,
    id: Option<LogId>,
}

/// The same writer at two looks.
type Key = (u32, u32, Option<SystemTime>);

#[derive(Clone, Copy, Debug)]
struct Meter {
    seen: u64,
    at: Duration,
    messages: u64,
    bytes: u64,
    rate: Option<Rates>,
    /// When it was first seen as it is now, and whether it was seen otherwise before.
    idle: (Duration, bool),
}

/// How long nothing came of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quiet {
    /// The last was seen to come.
    For(Duration),
    /// Nothing was seen to come at all.
    AtLeast(Duration),
}

/// Somebody held the lock or the maintenance byte for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Lock or maintenance byte.
    pub what: &'static str,
    /// What for.
    pub operation: String,
    /// Whose pid, in its own namespace.
    pub pid: u32,
    /// Its name.
    pub command: String,
    /// When he took it.
    pub since: Option<SystemTime>,
}

impl Log {
    /// Before the first look.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            sight: Sight::Here,
            holders: None,
            look: None,
            at: Duration::ZERO,
            history: History::default(),
            lines: Lines::default(),
            operations: VecDeque::new(),
            meters: HashMap::new(),
            followers: HashMap::new(),
            people: HashMap::new(),
            messages: 0,
            id: None,
        }
    }

    /// One that was found, before the first look.
    #[must_use]
    pub fn found(found: Found) -> Self {
        let look = out_of_sight(&found).map(|finding| Err(Box::new(finding)));
        Self { sight: found.sight, holders: found.holders, look, ..Self::new(&found.path) }
    }

    /// It was found again; who has it open may have changed.
    pub fn is_held_by(&mut self, found: Found) {
        if self.holders != found.holders {
            self.look = out_of_sight(&found).map(|finding| Err(Box::new(finding))).or(self.look.take());
            self.holders = found.holders;
        }
    }

    /// What the last look saw, if it could.
    #[must_use]
    pub fn status(&self) -> Option<&Status> {
        self.look.as_ref()?.as_ref().ok().map(Box::as_ref)
    }

    /// The state in a word.
    #[must_use]
    pub fn word(&self) -> String {
        match &self.look {
            _ if self.sight == Sight::Elsewhere => "ELSEWHERE".to_owned(),
            _ if self.sight == Sight::Deleted => "DELETED".to_owned(),
            None => "LOOKING".to_owned(),
            Some(Ok(status)) => status.state.to_string(),
            Some(Err(finding)) => word(finding),
        }
    }

    /// What it means to monitoring: one that cannot be looked at here is as bad as is known; one that is elsewhere is judged there.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match (self.sight, &self.look) {
            (Sight::Here, Some(Err(finding))) => Verdict::of_unread(finding),
            _ => Verdict::of(self.findings()),
        }
    }

    /// How bad it is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match &self.look {
            Some(Ok(s)) if s.state == State::Ok => Severity::Info,
            Some(Ok(s)) => s.findings.first().map_or(Severity::Warning, |f| f.severity),
            Some(Err(finding)) => finding.severity,
            None => Severity::Info,
        }
    }

    /// All that is known to be wrong or worth knowing, worst first.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        match &self.look {
            Some(Ok(status)) => &status.findings,
            Some(Err(finding)) => std::slice::from_ref(finding),
            None => &[],
        }
    }

    /// A sentence of diagnosis, and the next step.
    #[must_use]
    pub fn diagnosis(&self) -> (String, String) {
        match (self.findings().first(), self.status()) {
            (Some(first), _) => (first.sentence.clone(), first.next_step.clone()),
            (None, Some(status)) => (
                status.problem.clone().unwrap_or_else(|| "nothing is wrong".into()),
                status.next_step.clone(),
            ),
            (None, None) => ("it was not looked at yet".into(), "wait a moment".into()),
        }
    }

    /// What a writer does in a second.
    #[must_use]
    pub fn rate(&self, writer: &WriterStatus) -> Option<Rates> {
        self.meters.get(&key(writer))?.rate
    }

    /// How long a writer has appended nothing; `None` while it does.
    #[must_use]
    pub fn quiet(&self, writer: &WriterStatus) -> Option<Quiet> {
        let meter = self.meters.get(&key(writer))?;
        let (since, was_seen) = meter.idle;
        let quiet = self.at.saturating_sub(since);
        (quiet >= RATE).then_some(if was_seen { Quiet::For(quiet) } else { Quiet::AtLeast(quiet) })
    }

    /// Bytes in a second by which it comes on.
    #[must_use]
    pub fn pace(&self, reader: &Reader) -> Option<f64> {
        Some(self.followers.get(&reader.key())?.rate?.bytes)
    }

    /// Who a writer is.
    #[must_use]
    pub fn who(&self, writer: &WriterStatus) -> Option<&Who> {
        self.people.get(&person(writer)?)
    }

    /// Takes what is known of people now.
    pub fn introduced(&mut self, people: Vec<(who::Key, Who)>) {
        self.people.extend(people);
    }

    /// When the disk is full, where that is worth a word: it grows now, and not in some months.
    #[must_use]
    pub fn full_soon(&self) -> Option<Duration> {
        let is_growing = self.history.rates().is_some_and(|r| r.bytes > 0.0);
        self.full_in().filter(|left| left.is_zero() || is_growing && *left < SOON)
    }

    /// When the disk is full if it goes on like this; never by a log whose policy keeps it from that.
    #[must_use]
    pub fn full_in(&self) -> Option<Duration> {
        let status = self.status().filter(|status| !status.is_bounded())?;
        let free = *status.file.free.as_ref().ok()?;
        let left = free.saturating_add(status.limit.saturating_sub(status.cursor));
        // A file grows by whole pages.
        let is_full = left < u64::from(status.page_size);
        if is_full { Some(Duration::ZERO) } else { self.history.full_in(left) }
    }

    /// Takes a look.
    pub fn looked(&mut self, at: Duration, look: Look) {
        self.at = at;
        if let Ok(status) = &look {
            let goes_on = self.id.replace(status.id).is_some_and(|id| id.uuid == status.id.uuid);
            if !goes_on {
                (self.history, self.meters, self.messages) = Default::default();
            }
            self.meter(at, &status.writers);
            self.follow(at, status);
            let here: HashSet<_> = status.writers.iter().filter_map(person).collect();
            self.people.retain(|key, _| here.contains(key));
            // What was there at the first look was appended before it.
            if !goes_on {
                self.messages = 0;
            }
            let not_final = status.cursor.saturating_sub(status.watermark);
            self.history.note(at, status.cursor, self.messages, not_final);
            self.remember("lock", &status.lock);
            self.remember("maintenance", &status.maintenance);
        }
        self.look = Some(look);
    }

    fn meter(&mut self, at: Duration, writers: &[WriterStatus]) {
        let mut meters = HashMap::with_capacity(writers.len());
        for writer in writers {
            let key = key(writer);
            // Who came since has appended all of it since.
            let known = self.meters.get(&key).copied();
            let seen = known.map_or(0, |meter| meter.seen);
            self.messages = self.messages.saturating_add(writer.messages.saturating_sub(seen));
            meters.insert(key, Meter::at(known, at, writer.messages, writer.bytes));
        }
        self.meters = meters;
    }

    fn follow(&mut self, at: Duration, status: &Status) {
        let meter = |reader: Reader| {
            let key = reader.key();
            let known = self.followers.get(&key).copied();
            (key, Meter::at(known, at, 0, reader.position))
        };
        self.followers = Reader::all(status).map(meter).collect();
    }

    fn remember(&mut self, what: &'static str, lock: &Lock) {
        if lock.pid == 0 || lock.operation.is_empty() {
            return;
        }
        let (operation, command) = (lock.operation.clone(), lock.command.clone());
        let seen = Operation { what, operation, pid: lock.pid, command, since: lock.since };
        if !self.operations.contains(&seen) {
            self.operations.push_back(seen);
        }
        if self.operations.len() > OPERATIONS {
            self.operations.pop_front();
        }
    }
}

/// What there is to say of a log that is not at its path here.
fn out_of_sight(found: &Found) -> Option<Finding> {
    let holders = found.holders.as_deref().unwrap_or_default();
    let (who, path, pid) = (named(holders), quoted(&found.path), holders.first().map(|holder| holder.pid));
    let (severity, state, sentence, next_step) = match found.sight {
        Sight::Here => return None,
        Sight::Elsewhere => (
            Severity::Info,
            State::Ok,
            format!(
                "open at that path of another mount namespace, such as a container's, by {who}; here it is not"
            ),
            format!("run `mmlogctl status {path}` there"),
        ),
        Sight::Deleted => (
            Severity::Warning,
            State::Warning,
            format!("deleted, and still open by {who}; what it holds goes when the last of them ends"),
            "have them open it anew, by restarting them".to_owned(),
        ),
    };
    Some(Finding { id: FindingId::Unreadable, severity, state, sentence, next_step, pid })
}

impl Meter {
    /// At the next look.
    fn at(known: Option<Self>, at: Duration, messages: u64, bytes: u64) -> Self {
        let Some(mut meter) = known else {
            return Self { seen: messages, at, messages, bytes, rate: None, idle: (at, false) };
        };
        if meter.seen != messages {
            (meter.seen, meter.idle) = (messages, (at, true));
        }
        let since = at.saturating_sub(meter.at);
        if since >= RATE || meter.rate.is_none() && since >= SHORTEST {
            let per_second = |now: u64, then: u64| {
                #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
                let more = now.saturating_sub(then) as f64;
                more / since.as_secs_f64()
            };
            let (by_bytes, by_messages) =
                (per_second(bytes, meter.bytes), per_second(messages, meter.messages));
            meter.rate =
                Some(Rates { bytes: by_bytes, messages: by_messages, growth: by_bytes, over: since });
            (meter.at, meter.messages, meter.bytes) = (at, messages, bytes);
        }
        meter
    }
}

fn key(writer: &WriterStatus) -> Key {
    (writer.slot, writer.pid, writer.since)
}

#[cfg(test)]
mod tests {
    use mmlog::{Policy, PolicyState};

    use super::*;
    use crate::sample;

    fn log() -> Log {
        Log::new(Path::new("app.log"))
    }

    fn status(messages: u64, cursor: u64) -> Box<Status> {
        let mut status = sample::worst();
        status.writers.truncate(1);
        (status.writers[0].messages, status.writers[0].bytes, status.cursor) = (messages, cursor, cursor);
        Box::new(status)
    }

    #[test]
    fn a_writers_rate_is_the_mean_of_about_a_second() {
        let mut log = log();
        for quarter in 0..=8 {
            log.looked(Duration::from_millis(250 * quarter), Ok(status(1000 + quarter * 25, quarter * 250)));
        }
        let writer = &status(0, 0).writers[0];
        assert_eq!(log.rate(writer).map(|r| (r.bytes, r.messages, r.over)), Some((1000.0, 100.0, RATE)));
        let rates = log.history.rates();
        assert_eq!(rates.map(|r| (r.bytes, r.messages)), Some((1000.0, 100.0)));
    }

    #[test]
    fn writers_that_leave_take_no_messages_with_them() {
        let mut log = log();
        log.looked(Duration::ZERO, Ok(status(5000, 0)));
        let mut empty = status(0, 10);
        empty.writers.clear();
        log.looked(Duration::from_secs(1), Ok(empty));
        assert_eq!(log.history.rates().map(|r| r.messages), Some(0.0));
        log.looked(Duration::from_secs(2), Ok(status(30, 20)));
        assert_eq!(log.history.rates().map(|r| r.messages), Some(30.0));
    }

    #[test]
    fn a_disk_without_a_page_is_full_now() {
        let mut log = log();
        let mut full = status(0, u64::MAX);
        full.file.free = Ok(5);
        log.looked(Duration::ZERO, Ok(full));
        assert_eq!(log.full_in(), Some(Duration::ZERO));
    }

    #[test]
    fn a_log_that_its_policy_bounds_never_fills_the_disk() {
        let rules = Policy { rotate_size: Some(1 << 20), keep: Some(2), ..Policy::default() };
        for (state, is_bounded) in [(PolicyState::Unset, false), (PolicyState::Set(rules), true)] {
            let mut log = log();
            for second in 0..3 {
                let mut growing = status(second, second << 20);
                (growing.file.free, growing.limit) = (Ok(64 << 20), growing.cursor);
                growing.segments.clear();
                growing.policy.state = state.clone();
                (growing.policy.distrust, growing.policy.held_by) = (None, None);
                (growing.policy.unfreed_since, growing.policy.undone) = (None, Vec::new());
                log.looked(Duration::from_secs(second), Ok(growing));
            }
            assert_eq!(log.full_soon().is_none(), is_bounded, "{state:?}");
        }
    }

    #[test]
    fn an_operation_is_remembered_once_and_after_it_is_over() {
        let mut log = log();
        let mut free = status(0, 0);
        (free.lock.held, free.maintenance.held) = (Ok(false), Ok(false));
        log.looked(Duration::ZERO, Ok(status(0, 0)));
        log.looked(Duration::from_secs(1), Ok(free));
        let names: Vec<_> = log.operations.iter().map(|o| (o.what, o.operation.as_str())).collect();
        assert_eq!(names, [("lock", "append"), ("maintenance", "trim")]);
    }

    #[test]
    fn a_log_that_cannot_be_looked_at_says_so_in_its_first_word() {
        let mut log = log();
        assert_eq!(log.word(), "LOOKING");
        let mut source =
            crate::inspect::source::Source::new(Path::new("/nonexistent/x"), &mmlog::Log::options());
        log.looked(Duration::ZERO, source.look());
        assert_eq!(log.word(), "UNKNOWN");
        assert!(log.status().is_none() && log.findings().len() == 1);
        assert!(!log.diagnosis().1.is_empty());
    }
}
