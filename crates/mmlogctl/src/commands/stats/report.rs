//! What is told of one log, before it is told: to people, or to programs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use mmlog::{Jump, Status};

use super::edges::{self, MOST};
use super::now::Now;
use super::read::Lines;
use super::timeline::{Part, Points, Row, nanoseconds};
use crate::arguments::exact_duration;
use crate::exit::{Exit, Failure, shown};

/// The times up to now whose rate is told.
const WINDOWS: [u64; 3] = [60, 600, 3600];
const SECOND_NS: u64 = 1_000_000_000;

/// From when to when, as typed; nothing where nothing was.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    pub(super) since_ns: Option<u64>,
    pub(super) until_ns: Option<u64>,
    pub(super) by_ns: Option<u64>,
}

/// Everything that is told.
pub(super) struct Report {
    pub(super) path: PathBuf,
    pub(super) status: Status,
    pub(super) points: Points,
    /// The oldest position that is kept.
    pub(super) oldest: u64,
    pub(super) by_ns: u64,
    pub(super) rows: Vec<Row>,
    pub(super) parts: Vec<Part>,
    pub(super) jumps: Vec<Jump>,
    /// Rates of the last minute and so on; the last one as far back as times are known.
    pub(super) windows: Vec<Row>,
    /// Nothing was appended since; not where the asked time ends before.
    pub(super) idle_since: Option<u64>,
    pub(super) now: Now,
    pub(super) lines: Option<Lines>,
}

impl Report {
    pub(super) fn new(
        path: &Path,
        (status, now): (Status, Now),
        (points, oldest, jumps): (Points, u64, Vec<Jump>),
        asked: &Asked,
        zone: &TimeZone,
    ) -> Result<Self, Failure> {
        let now_ns = points.all.last().map_or(0, |now| now.at_ns);
        let mut report = Self {
            path: path.to_owned(),
            status,
            points,
            oldest,
            by_ns: SECOND_NS,
            rows: Vec::new(),
            parts: Vec::new(),
            jumps,
            windows: Vec::new(),
            idle_since: None,
            now,
            lines: None,
        };
        report.intervals(asked, zone)?;
        if asked.until_ns.is_none() {
            report.windows = report.windows(now_ns);
        }
        Ok(report)
    }

    /// Positions of which nobody knows when they were appended.
    pub(super) fn untimed(&self) -> Option<(u64, u64)> {
        let end = self.points.begin();
        (self.oldest < end).then_some((self.oldest, end))
    }

    fn intervals(&mut self, asked: &Asked, zone: &TimeZone) -> Result<(), Failure> {
        let (first, last) = self.points.times();
        let Some(active) = self.points.last_ns() else { return Ok(()) };
        let start = asked.since_ns.map_or(first, |since| since.max(first));
        let mut end = asked.until_ns.map_or(last, |until| until.min(last));
        if start > end {
            return Ok(());
        }
        let busy = if asked.until_ns.is_none() { end.min(active.max(start)) } else { end };
        self.by_ns = asked.by_ns.unwrap_or_else(|| edges::chosen(busy - start));
        // A pause up to now is no part of the picture.
        if asked.until_ns.is_none() && end - busy > 2 * self.by_ns {
            self.idle_since = Some(active);
            end = busy;
        }
        let Some(mut all) = edges::edges(start, end, self.by_ns, zone) else {
            let by = exact_duration(Duration::from_nanos(self.by_ns));
            let text = format!(
                "{}: --by {by} would be more than {MOST} intervals from {} to {}; type a longer one, or --since",
                shown(&self.path),
                time(start),
                time(end)
            );
            return Err(Failure::new(Exit::Usage, text));
        };
        let begins_within = all[0] < start;
        let ends_within = self.idle_since.is_none() && all.last().is_some_and(|edge| *edge > end);
        all[0] = start;
        if ends_within && end > all[all.len() - 2] {
            let last = all.len() - 1;
            all[last] = end;
        }
        let (mut rows, parts) = self.points.fill(&all);
        if parts.is_empty() {
            return Ok(());
        }
        for set in self.jumps.iter().flat_map(|jump| [jump.from, jump.to]) {
            let at = nanoseconds(set);
            if let Some(row) = rows.iter_mut().find(|row| (row.from_ns..row.to_ns).contains(&at)) {
                row.clock_set = true;
            }
        }
        rows[0].begins_within = begins_within;
        let last = rows.len() - 1;
        rows[last].ends_within = ends_within;
        (self.rows, self.parts) = (rows, parts);
        Ok(())
    }

    fn windows(&self, now_ns: u64) -> Vec<Row> {
        let (first, _) = self.points.times();
        let mut all: Vec<Row> = Vec::new();
        for seconds in WINDOWS {
            let from = now_ns.saturating_sub(seconds * SECOND_NS).max(first.min(now_ns));
            let is_news = all.last().is_none_or(|last| last.from_ns != from);
            if now_ns - from >= SECOND_NS && is_news && self.points.last_ns().is_some() {
                all.extend(self.points.fill(&[from, now_ns]).0);
            }
        }
        all
    }

    /// Adds what was read.
    pub(super) fn add(&mut self, lines: Lines) {
        for (part, n) in self.parts.iter().zip(&lines.of_parts) {
            self.rows[part.row].lines += n;
        }
        self.lines = Some(lines);
    }
}

/// RFC 3339.
pub(super) fn time(at_ns: u64) -> String {
    Timestamp::from_nanosecond(at_ns.into()).map_or_else(|_| "?".to_owned(), |at| at.to_string())
}
