//! How much was appended when, from what the log knows: times, each with positions that were reached then.
//!
//! Between two of them nobody knows when which byte came. It is drawn as if they had come evenly, but for a stretch that is
//! much longer than those around it: whoever appends notes a time each second, so nothing came for most of it, and its bytes
//! are those of its beginning. What is certain is said beside it: at least, and at most.

use std::time::{SystemTime, UNIX_EPOCH};

use mmlog::{Log, Status};

/// Whoever appends notes a time so often.
const SECOND_NS: u64 = 1_000_000_000;
/// Which stretches, before and behind, tell how far apart times are around one.
const AROUND: usize = 4;
/// A stretch that is so many times longer than those around it had a pause in it.
const PAUSE: u64 = 4;

/// A time, and the positions that were reached then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) at_ns: u64,
    /// What lies below had been appended.
    pub(super) settled: u64,
    /// What lies there or behind had not been begun.
    pub(super) reserved: u64,
    /// It was noted by who appended, as once a second: not when a segment began or ended.
    pub(super) is_noted: bool,
}

/// Where points are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Noted while the log was written.
    Noted,
    /// Only from the times of its segments, or some of them.
    Segments,
    /// Nothing is known but what is there now.
    Nothing,
}

/// All points of a log, by position.
#[derive(Clone, Debug)]
pub(super) struct Points {
    pub(super) all: Vec<Point>,
    pub(super) origin: Origin,
}

/// Part of a log that was appended in one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) row: usize,
}

/// What was appended in an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) from_ns: u64,
    pub(super) to_ns: u64,
    /// Drawn as said above.
    pub(super) bytes: u64,
    /// Certainly not fewer.
    pub(super) at_least: u64,
    /// Certainly not more.
    pub(super) at_most: u64,
    /// Somebody set the clock from or to a time in it.
    pub(super) clock_set: bool,
    /// Only a part of the interval is in the asked or known time.
    pub(super) begins_within: bool,
    pub(super) ends_within: bool,
    /// Where the log was read.
    pub(super) lines: u64,
}

impl Row {
    /// Nothing was appended, as far as is known.
    pub(super) const fn is_empty(&self) -> bool {
        self.bytes == 0 && self.lines == 0 && !self.clock_set
    }

    /// More than a fifth may have been before or behind.
    pub(super) fn is_about(&self) -> bool {
        self.at_most.saturating_sub(self.at_least) > self.at_most / 5
    }

    pub(super) fn seconds(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let ns = self.to_ns.saturating_sub(self.from_ns).max(1) as f64;
        ns / 1e9
    }

    /// Bytes a second.
    pub(super) fn rate(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let bytes = self.bytes as f64;
        bytes / self.seconds()
    }
}

pub(super) fn nanoseconds(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

impl Points {
    /// All that is known of a log which was just looked at.
    pub(super) fn of(log: &Log, status: &Status, now_ns: u64) -> mmlog::Result<Self> {
        let noted = log.pairs()?.into_iter().map(|pair| Point {
            at_ns: nanoseconds(pair.at),
            settled: pair.settled,
            reserved: pair.reserved,
            is_noted: true,
        });
        let segments = status.segments.iter().flat_map(|s| {
            let point = |at: Option<SystemTime>, to| {
                Some(Point { at_ns: nanoseconds(at?), settled: to, reserved: to, is_noted: false })
            };
            [point(s.began, s.base), point(s.final_since, s.end)].into_iter().flatten()
        });
        let now = Point { at_ns: now_ns, settled: status.watermark, reserved: status.cursor, is_noted: true };
        Ok(Self::joined(segments.collect(), noted.collect(), now))
    }

    /// Times of segments only where nothing was noted.
    pub(super) fn joined(segments: Vec<Point>, noted: Vec<Point>, now: Point) -> Self {
        let first = noted.iter().map(|point| point.settled).min();
        let mut all: Vec<Point> =
            segments.into_iter().filter(|point| first.is_none_or(|first| point.settled < first)).collect();
        let origin = match (all.is_empty(), noted.is_empty()) {
            (true, false) => Origin::Noted,
            (false, _) => Origin::Segments,
            (true, true) => Origin::Nothing,
        };
        all.extend(noted);
        all.retain(|point| point.reserved <= now.reserved);
        all.sort_by_key(|point| (point.reserved, point.at_ns));
        all.push(now);
        // Of two that were noted at once the later one by position may know less.
        let mut settled = 0;
        for point in &mut all {
            settled = point.settled.max(settled);
            point.settled = settled;
            point.reserved = point.reserved.max(settled);
        }
        Self { all, origin }
    }

    /// The first position of which a time is known.
    pub(super) fn begin(&self) -> u64 {
        self.all.first().map_or(0, |point| point.settled)
    }

    /// The times from the earliest to the latest.
    pub(super) fn times(&self) -> (u64, u64) {
        let times = || self.all.iter().map(|point| point.at_ns);
        (times().min().unwrap_or(0), times().max().unwrap_or(0))
    }

    /// The latest time at which bytes came, drawn as said above.
    pub(super) fn last_ns(&self) -> Option<u64> {
        let with_bytes = (1..self.all.len()).filter(|i| self.all[*i].settled > self.all[i - 1].settled);
        with_bytes.map(|i| self.drawn(i).1).max()
    }

    /// About when the byte at a position was appended.
    pub(super) fn time_of(&self, position: u64) -> Option<u64> {
        let next = self.all.partition_point(|point| point.settled <= position);
        if next == 0 || next == self.all.len() {
            return None;
        }
        let (a, b) = (&self.all[next - 1], &self.all[next]);
        let (from, to) = self.drawn(next);
        let part = share(to - from, position - a.settled, b.settled - a.settled);
        Some(from + part)
    }

    /// What was appended between edges, which rise.
    pub(super) fn fill(&self, edges: &[u64]) -> (Vec<Row>, Vec<Part>) {
        let mut rows: Vec<Row> =
            edges.windows(2).map(|edge| Row { from_ns: edge[0], to_ns: edge[1], ..Row::default() }).collect();
        let mut parts = Vec::new();
        if rows.is_empty() {
            return (rows, parts);
        }
        for i in 1..self.all.len() {
            self.draw(i, edges, &mut rows, &mut parts);
        }
        self.bound(edges, &mut rows);
        (rows, parts)
    }

    /// From when to when the bytes before that point are drawn.
    fn drawn(&self, i: usize) -> (u64, u64) {
        let (a, b) = (&self.all[i - 1], &self.all[i]);
        if b.at_ns <= a.at_ns {
            return (b.at_ns, b.at_ns);
        }
        let (long, usual) = (b.at_ns - a.at_ns, self.usual(i).max(SECOND_NS));
        match a.is_noted && long > usual.saturating_mul(PAUSE) {
            true => (a.at_ns, a.at_ns + usual),
            false => (a.at_ns, b.at_ns),
        }
    }

    /// How far times are apart around there.
    fn usual(&self, i: usize) -> u64 {
        let around = (i.saturating_sub(AROUND)..=i + AROUND).filter(|n| *n != i && *n > 0);
        let mut apart: Vec<u64> = around
            .filter_map(|n| {
                let (a, b) = (self.all.get(n - 1)?, self.all.get(n)?);
                b.at_ns.checked_sub(a.at_ns).filter(|_| b.settled > a.settled)
            })
            .collect();
        apart.sort_unstable();
        apart.get(apart.len() / 2).copied().unwrap_or(0)
    }

    fn draw(&self, i: usize, edges: &[u64], rows: &mut [Row], parts: &mut Vec<Part>) {
        let (a, b) = (self.all[i - 1].settled, self.all[i].settled);
        let (from, to) = self.drawn(i);
        let mut at = a;
        let mut put = |upto: u64, row: Option<usize>| {
            if let Some(row) = row.filter(|_| upto > at) {
                rows[row].bytes += upto - at;
                parts.push(Part { from: at, to: upto, row });
            }
            at = upto;
        };
        let first = edges.partition_point(|edge| *edge <= from);
        for (edge, at_ns) in edges.iter().enumerate().skip(first).take_while(|(_, at_ns)| **at_ns < to) {
            put(a + share(b - a, at_ns - from, to - from), edge.checked_sub(1));
        }
        put(b, row_of(edges, to, to > from));
    }

    /// What is certain of each interval, whenever the bytes of a stretch came.
    fn bound(&self, edges: &[u64], rows: &mut [Row]) {
        let mut most: Vec<Option<Run>> = vec![None; rows.len()];
        let mut inside: Option<(usize, Run)> = None;
        let close = |inside: &mut Option<(usize, Run)>, rows: &mut [Row]| {
            if let Some((row, run)) = inside.take() {
                rows[row].at_least += run.to.saturating_sub(run.from);
            }
        };
        for (i, pair) in self.all.windows(2).enumerate() {
            let (a, b) = (&pair[0], &pair[1]);
            let (early, late) = (a.at_ns.min(b.at_ns), a.at_ns.max(b.at_ns));
            let (low, high) = (row_of(edges, early, false), row_of(edges, late, late > early));
            match (low, high) {
                (Some(low), Some(high)) if low == high => match &mut inside {
                    Some((row, run)) if *row == low && run.last + 1 == i => {
                        (run.to, run.last) = (b.settled, i);
                    }
                    _ => {
                        close(&mut inside, rows);
                        inside = Some((low, Run { last: i, from: a.reserved, to: b.settled }));
                    }
                },
                _ => {}
            }
            let last = rows.len() - 1;
            if late < edges[0] || early > edges[last + 1] {
                continue;
            }
            for row in low.unwrap_or(0)..=high.unwrap_or(last) {
                match &mut most[row] {
                    Some(run) if run.last + 1 == i => (run.to, run.last) = (b.reserved, i),
                    run => {
                        rows[row].at_most += run.as_ref().map_or(0, |run| run.to.saturating_sub(run.from));
                        *run = Some(Run { last: i, from: a.settled, to: b.reserved });
                    }
                }
            }
        }
        close(&mut inside, rows);
        for (row, run) in rows.iter_mut().zip(most) {
            row.at_most += run.map_or(0, |run| run.to.saturating_sub(run.from));
            row.at_most = row.at_most.max(row.bytes);
            row.at_least = row.at_least.min(row.bytes);
        }
    }
}

/// Stretches that follow each other.
#[derive(Clone, Copy)]
struct Run {
    last: usize,
    from: u64,
    to: u64,
}

/// In which interval a time is; `is_end`: what ends then. The last one has its end, too.
fn row_of(edges: &[u64], at: u64, is_end: bool) -> Option<usize> {
    let behind = edges.partition_point(|edge| if is_end { *edge < at } else { *edge <= at });
    let is_last = behind == edges.len() && edges.last() == Some(&at);
    let row = if is_last { behind.checked_sub(2) } else { behind.checked_sub(1) };
    row.filter(|row| row + 1 < edges.len())
}

/// `all * part / whole`, rounded down.
fn share(all: u64, part: u64, whole: u64) -> u64 {
    let share = (u128::from(all) * u128::from(part)).checked_div(u128::from(whole)).unwrap_or(0);
    u64::try_from(share).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = SECOND_NS;

    fn point(at: u64, position: u64) -> Point {
        Point { at_ns: at * S, settled: position, reserved: position, is_noted: true }
    }

    fn points(all: &[(u64, u64)]) -> Points {
        let mut all: Vec<Point> = all.iter().map(|(at, to)| point(*at, *to)).collect();
        let now = all.pop().unwrap_or(point(0, 0));
        Points::joined(Vec::new(), all, now)
    }

    fn edges(all: &[u64]) -> Vec<u64> {
        all.iter().map(|at| at * S).collect()
    }

    fn bytes(rows: &[Row]) -> Vec<u64> {
        rows.iter().map(|row| row.bytes).collect()
    }

    #[test]
    fn bytes_of_a_stretch_are_drawn_evenly_and_none_is_lost() {
        let log = points(&[(0, 0), (10, 100), (20, 100), (30, 400)]);
        let (rows, parts) = log.fill(&edges(&[0, 5, 15, 25, 30]));
        assert_eq!(bytes(&rows), [50, 50, 150, 150]);
        assert_eq!(parts.iter().map(|part| part.to - part.from).sum::<u64>(), 400);
        assert!(parts.windows(2).all(|two| two[0].to <= two[1].from));
        assert_eq!(log.time_of(250), Some(25 * S));
        assert_eq!(log.time_of(400), None);
    }

    #[test]
    fn what_is_drawn_lies_between_what_is_certain() {
        let mut all: Vec<(u64, u64)> = (0..50).map(|n| (n, n * n * 7)).collect();
        all.extend((0..50).map(|n| (40 + 3 * n, 49 * 49 * 7 + n * 11)));
        let log = points(&all);
        for by in [1, 2, 7, 60, 300] {
            let edges: Vec<u64> = (0..=300 / by).map(|n| n * by * S).collect();
            let (rows, _) = log.fill(&edges);
            let whole = log.all.last().map_or(0, |last| last.settled);
            assert_eq!(rows.iter().map(|row| row.bytes).sum::<u64>(), whole, "{by}");
            assert!(rows.iter().all(|row| row.at_least <= row.bytes && row.bytes <= row.at_most), "{by}");
            if by == 300 {
                assert_eq!((rows[0].at_least, rows[0].at_most, rows[0].is_about()), (whole, whole, false));
            }
        }
    }

    #[test]
    fn a_pause_is_empty_and_what_came_before_it_came_at_its_beginning() {
        let log = points(&[(0, 0), (1, 10), (2, 20), (3, 30), (4000, 40), (4001, 50), (4002, 60)]);
        let (rows, _) = log.fill(&edges(&[0, 1000, 2000, 3000, 4000, 5000]));
        assert_eq!(bytes(&rows), [40, 0, 0, 0, 20]);
        assert!(rows[1].is_empty() && rows[1].at_most == 10 && rows[1].at_least == 0);
        assert_eq!(log.last_ns(), Some(4002 * S));
    }

    #[test]
    fn a_clock_that_went_back_costs_no_bytes() {
        let log = points(&[(100, 0), (110, 100), (50, 150), (60, 250)]);
        let (rows, _) = log.fill(&edges(&[50, 80, 110]));
        assert_eq!(bytes(&rows), [150, 100]);
        assert_eq!(log.times(), (50 * S, 110 * S));
    }

    #[test]
    fn times_of_segments_are_used_where_nothing_was_noted() {
        let segment = |at, to| Point { is_noted: false, ..point(at, to) };
        let all = Points::joined(
            vec![segment(0, 0), segment(3600, 1000), segment(3700, 1100)],
            vec![point(3600, 1000), point(3700, 1100)],
            point(3701, 1200),
        );
        assert_eq!(all.all.iter().map(|p| p.is_noted).collect::<Vec<_>>(), [false, true, true, true]);
        assert_eq!(all.origin, Origin::Segments);
        // Nobody knows of a pause in there.
        let (rows, _) = all.fill(&edges(&[0, 1800, 3600]));
        assert_eq!(bytes(&rows), [500, 500]);
        let nothing = Points::joined(Vec::new(), Vec::new(), point(1, 70));
        assert_eq!((nothing.origin, nothing.begin()), (Origin::Nothing, 70));
        assert_eq!(nothing.last_ns(), None);
    }
}
