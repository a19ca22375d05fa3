//! One log: the last look at it, and what changed since earlier ones.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use mmlog::{Finding, Lock, LogId, Severity, State, Status, WriterStatus};

use super::lines::Lines;
use crate::inspect::history::{History, Rates};
use crate::inspect::source::Look;

/// A writer's rate is the mean of at least so long.
const RATE: Duration = Duration::from_secs(1);
/// Operations that are remembered.
const OPERATIONS: usize = 50;

/// One log, as far as the inspector knows it.
#[derive(Debug)]
pub struct Log {
    /// As it was typed.
    pub path: PathBuf,
    /// The last look; `None` before the first.
    pub look: Option<Look>,
    /// What the figures were.
    pub history: History,
    /// Its last lines.
    pub lines: Lines,
    /// Who held the lock or the maintenance byte, the latest last.
    pub operations: VecDeque<Operation>,
    meters: HashMap<Key, Meter>,
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
            look: None,
            history: History::default(),
            lines: Lines::default(),
            operations: VecDeque::new(),
            meters: HashMap::new(),
            messages: 0,
            id: None,
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
            None => "LOOKING".to_owned(),
            Some(Ok(status)) => status.state.to_string(),
            Some(Err(finding)) if finding.state == State::Ok => "UNKNOWN".to_owned(),
            Some(Err(finding)) => finding.state.to_string(),
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

    /// When the disk is full if it goes on like this.
    #[must_use]
    pub fn full_in(&self) -> Option<Duration> {
        let status = self.status()?;
        let free = *status.file.free.as_ref().ok()?;
        let left = free.saturating_add(status.limit.saturating_sub(status.cursor));
        // A file grows by whole pages.
        let is_full = left < u64::from(status.page_size);
        if is_full { Some(Duration::ZERO) } else { self.history.full_in(left) }
    }

    /// Takes a look.
    pub fn looked(&mut self, at: Duration, look: Look) {
        if let Ok(status) = &look {
            let goes_on = self.id.replace(status.id).is_some_and(|id| id.uuid == status.id.uuid);
            if !goes_on {
                (self.history, self.meters, self.messages) = Default::default();
            }
            self.meter(at, &status.writers);
            // What was there at the first look was appended before it.
            if !goes_on {
                self.messages = 0;
            }
            self.history.note(at, status.cursor, self.messages);
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
            let new = Meter { seen: 0, at, messages: 0, bytes: 0, rate: None };
            let known = self.meters.get(&key).copied();
            let mut meter = known.unwrap_or(new);
            self.messages = self.messages.saturating_add(writer.messages.saturating_sub(meter.seen));
            meter.seen = writer.messages;
            meter.advance(at, writer, known.is_none());
            meters.insert(key, meter);
        }
        self.meters = meters;
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

impl Meter {
    fn advance(&mut self, at: Duration, writer: &WriterStatus, is_new: bool) {
        let since = at.saturating_sub(self.at);
        if is_new {
            (self.messages, self.bytes) = (writer.messages, writer.bytes);
        } else if since >= RATE || self.rate.is_none() && !since.is_zero() {
            let per_second = |now: u64, then: u64| {
                #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
                let more = now.saturating_sub(then) as f64;
                more / since.as_secs_f64()
            };
            let bytes = per_second(writer.bytes, self.bytes);
            let messages = per_second(writer.messages, self.messages);
            self.rate = Some(Rates { bytes, messages, growth: bytes });
            (self.at, self.messages, self.bytes) = (at, writer.messages, writer.bytes);
        }
    }
}

fn key(writer: &WriterStatus) -> Key {
    (writer.slot, writer.pid, writer.since)
}

#[cfg(test)]
mod tests {
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
        assert_eq!(log.rate(writer), Some(Rates { bytes: 1000.0, messages: 100.0, growth: 1000.0 }));
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
