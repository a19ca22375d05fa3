//! What the figures were at earlier looks: rates, growth, series for charts.

use std::collections::VecDeque;
use std::time::Duration;

/// No two samples that stay are closer together.
const SPACING: Duration = Duration::from_millis(500);
/// How long samples are kept, and the time that charts show once there is so much.
const SPAN: Duration = Duration::from_secs(300);
/// The time that they show before.
const YOUNG: Duration = Duration::from_secs(60);
/// What a rate is the mean of, at least, once it was looked for so long.
pub const RATE: Duration = Duration::from_secs(1);
/// What is less than that tells no rate: an append, or none, would be one of thousands a second.
pub const SHORTEST: Duration = Duration::from_millis(200);
/// How long a rate is said to be of a short time.
const EARLY: Duration = Duration::from_secs(2);
/// What the growth is the mean of, at most.
const GROWTH: Duration = Duration::from_secs(60);
/// So many times as far as it was looked back is looked ahead: one second tells of a minute, and a minute of all that goes on.
const AHEAD: u32 = 60;

#[derive(Clone, Copy, Debug)]
struct Sample {
    /// Since the inspector began.
    at: Duration,
    cursor: u64,
    messages: u64,
    not_final: u64,
}

/// What a chart shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Series {
    /// Bytes appended in a second.
    Bytes,
    /// Messages appended in a second.
    Messages,
    /// The most bytes that were not final yet.
    NotFinal,
}

/// The ring of samples of one log.
#[derive(Debug, Default)]
pub struct History {
    samples: VecDeque<Sample>,
}

/// What a log does in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Bytes appended.
    pub bytes: f64,
    /// Messages appended.
    pub messages: f64,
    /// Bytes appended, over a longer time.
    pub growth: f64,
    /// What the first two are the means of.
    pub over: Duration,
}

impl History {
    /// Notes a look. A cursor that went back belongs to another log: what was before says nothing.
    pub fn note(&mut self, at: Duration, cursor: u64, messages: u64, not_final: u64) {
        let sample = Sample { at, cursor, messages, not_final };
        if self.samples.back().is_some_and(|last| last.cursor > cursor || last.at > at) {
            self.samples.clear();
        }
        let len = self.samples.len();
        let last_two = len.checked_sub(2).map(|i| (self.samples[i], self.samples[i + 1]));
        match last_two {
            Some((before, last)) if last.at - before.at < SPACING => self.samples[len - 1] = sample,
            _ => self.samples.push_back(sample),
        }
        while self.samples.front().is_some_and(|first| at - first.at > SPAN + SPACING) {
            self.samples.pop_front();
        }
    }

    /// As of the last look; `None` until that is long enough after the first.
    #[must_use]
    pub fn rates(&self) -> Option<Rates> {
        let last = self.samples.back()?;
        let newest = self.samples.iter().rev().find(|s| last.at - s.at >= RATE).or(self.samples.front())?;
        let oldest = self.growing_from()?;
        let over = last.at - newest.at;
        let (short, long) = (over.as_secs_f64(), (last.at - oldest.at).as_secs_f64());
        if over < SHORTEST || last.at == oldest.at {
            return None;
        }
        Some(Rates {
            bytes: float(last.cursor - newest.cursor) / short,
            messages: float(last.messages.saturating_sub(newest.messages)) / short,
            growth: float(last.cursor - oldest.cursor) / long,
            over,
        })
    }

    /// What the growth is counted from.
    fn growing_from(&self) -> Option<&Sample> {
        let last = self.samples.back()?;
        self.samples.iter().find(|s| last.at - s.at <= GROWTH)
    }

    /// Whether it was looked for so short a time only that whoever reads a rate should know.
    #[must_use]
    pub fn is_early(&self) -> bool {
        let (first, last) = (self.samples.front(), self.samples.back());
        first.zip(last).is_some_and(|(first, last)| last.at - first.at < EARLY)
    }

    /// When so many bytes are used up, if it goes on as in the last minute. What was looked at for a shorter time tells of what is
    /// near, and else nothing: a burst, or a pause, is no hour.
    #[must_use]
    pub fn full_in(&self, left: u64) -> Option<Duration> {
        let full = Duration::try_from_secs_f64(float(left) / self.rates()?.growth).ok()?;
        let grown = self.samples.back()?.at - self.growing_from()?.at;
        (grown + SPACING >= GROWTH || full <= grown * AHEAD).then_some(full)
    }

    /// What it was in each of so many equal parts of the last minutes, oldest first; `None` before the first look.
    #[must_use]
    pub fn series(&self, series: Series, parts: u16) -> Vec<Option<f64>> {
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else {
            return vec![None; usize::from(parts)];
        };
        // At fixed times, so that parts move on and do not waver.
        let part = (self.span() / u32::from(parts.max(1))).max(SPACING);
        let number = |at: Duration| u64::try_from(at.as_nanos() / part.as_nanos()).unwrap_or(u64::MAX);
        let end = number(last.at).saturating_add(1);
        let time = |n: u64| part.saturating_mul(u32::try_from(n).unwrap_or(u32::MAX));
        (0..u64::from(parts))
            .map(|n| {
                let n = (end + n).checked_sub(u64::from(parts))?;
                let (from, to) = (time(n).max(first.at), time(n + 1).min(last.at));
                let seconds = to.checked_sub(from)?.as_secs_f64();
                (seconds > 0.0).then(|| match series {
                    Series::Bytes => (self.at(to, |s| s.cursor) - self.at(from, |s| s.cursor)) / seconds,
                    Series::Messages => {
                        (self.at(to, |s| s.messages) - self.at(from, |s| s.messages)) / seconds
                    }
                    Series::NotFinal => self.most(from, to),
                })
            })
            .collect()
    }

    /// The time that charts show.
    #[must_use]
    pub fn span(&self) -> Duration {
        let (first, last) = (self.samples.front(), self.samples.back());
        let seen = first.zip(last).map_or(Duration::ZERO, |(first, last)| last.at - first.at);
        if seen > YOUNG { SPAN } else { YOUNG }
    }

    /// Between two samples, as if it had grown evenly.
    fn at(&self, at: Duration, of: fn(&Sample) -> u64) -> f64 {
        let next = self.samples.partition_point(|s| s.at < at);
        let (Some(b), a) = (self.samples.get(next), next.checked_sub(1)) else {
            return self.samples.back().map_or(0.0, |s| float(of(s)));
        };
        let Some(a) = a.and_then(|i| self.samples.get(i)) else { return float(of(b)) };
        let part = (at - a.at).as_secs_f64() / (b.at - a.at).as_secs_f64();
        float(of(a)) + float(of(b).saturating_sub(of(a))) * part
    }

    /// The most bytes that were not final at any look from the last one before that time on.
    fn most(&self, from: Duration, to: Duration) -> f64 {
        let first = self.samples.partition_point(|s| s.at <= from).saturating_sub(1);
        let within = self.samples.range(first..).take_while(|s| s.at <= to);
        float(within.map(|s| s.not_final).max().unwrap_or(0))
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
const fn float(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steady(seconds: u64) -> History {
        let mut history = History::default();
        for quarter in 0..=seconds * 4 {
            history.note(Duration::from_millis(quarter * 250), quarter * 1000, quarter * 10, quarter);
        }
        history
    }

    #[test]
    fn a_steady_log_has_steady_rates() {
        let rates = steady(10).rates();
        assert_eq!(rates, Some(Rates { bytes: 4000.0, messages: 40.0, growth: 4000.0, over: RATE }));
        assert_eq!(steady(10).full_in(40_000), Some(Duration::from_secs(10)));
    }

    #[test]
    fn one_look_tells_no_rate() {
        assert_eq!(steady(0).rates(), None);
        assert_eq!(steady(0).full_in(1), None);
    }

    #[test]
    fn a_moment_tells_no_rate() {
        let mut history = History::default();
        history.note(Duration::ZERO, 0, 0, 0);
        history.note(Duration::from_millis(50), 100, 1, 0);
        assert_eq!((history.rates(), history.full_in(1)), (None, None));
        history.note(Duration::from_millis(1050), 2100, 21, 0);
        let over = Duration::from_millis(1050);
        assert_eq!(history.rates().map(|rates| (rates.bytes, rates.over)), Some((2000.0, over)));
    }

    #[test]
    fn an_idle_log_never_fills_the_disk() {
        let mut history = History::default();
        history.note(Duration::ZERO, 7, 1, 0);
        history.note(Duration::from_secs(5), 7, 1, 0);
        assert_eq!(history.rates(), Some(Rates { over: Duration::from_secs(5), ..Rates::default() }));
        assert_eq!(history.full_in(1), None);
    }

    #[test]
    fn what_was_seen_for_a_second_foretells_a_minute_and_no_more() {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        let foretold = |seen: u64, ahead: Duration| steady(seen).full_in(4000 * ahead.as_secs()).is_some();
        assert!(foretold(1, minutes(1)) && !foretold(1, minutes(2)));
        assert!(foretold(10, minutes(10)) && !foretold(10, minutes(11)));
        // A minute is all that a growth is the mean of.
        assert!(foretold(61, minutes(60 * 24 * 30)));
    }

    #[test]
    fn the_ring_keeps_some_minutes() {
        let history = steady(3600);
        assert!(history.samples.len() < 700, "{}", history.samples.len());
        for (series, steady) in [(Series::Bytes, 4000.0), (Series::Messages, 40.0)] {
            let line = history.series(series, 30);
            assert_eq!(line.len(), 30);
            assert!(line.iter().flatten().all(|rate| (rate - steady).abs() < 1.0), "{line:?}");
        }
        let not_final = history.series(Series::NotFinal, 600);
        let not_final: Vec<f64> = not_final.into_iter().flatten().collect();
        assert!(not_final.is_sorted() && not_final.last() == Some(&14400.0), "{not_final:?}");
    }

    #[test]
    fn a_young_chart_is_empty_on_the_left() {
        let line = steady(25).series(Series::Bytes, 30);
        assert_eq!(line.iter().flatten().count(), 13, "{line:?}");
        assert_eq!(History::default().series(Series::NotFinal, 4), [None; 4]);
        assert!(steady(25).series(Series::Bytes, 0).is_empty());
    }

    #[test]
    fn a_cursor_that_went_back_begins_anew() {
        let mut history = steady(10);
        history.note(Duration::from_secs(11), 5, 5, 0);
        assert_eq!(history.rates(), None);
    }
}
