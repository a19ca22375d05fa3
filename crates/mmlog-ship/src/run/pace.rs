//! When to try again, and what is said of it.

use std::time::{Duration, Instant};

use crate::trouble::Trouble;

const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(30);

/// Whoever wants what there is now waits for a sink that is away no longer than that.
pub(crate) const GIVE_UP: Duration = Duration::from_secs(30);

/// Tries follow each other in ever longer times, up to 30 s, until the sink answers.
pub(crate) struct Pace {
    next: Instant,
    step: Duration,
    /// Since when the sink is not reached, and what was said of it.
    away: Option<(Instant, String)>,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Pace { next: Instant::now(), step: FIRST, away: None }
    }

    pub(crate) fn is_time(&self) -> bool {
        Instant::now() >= self.next
    }

    pub(crate) fn nap(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
    }

    /// Half of the step at least, so that many shippers do not come at once.
    pub(crate) fn retry_later(&mut self) {
        let part = crate::sinks::file::random() % 1000;
        let half = self.step / 2;
        self.next = Instant::now() + half + half * u32::try_from(part).unwrap_or(0) / 1000;
        self.step = (self.step * 2).min(LAST);
    }

    pub(crate) fn at_once(&mut self) {
        (self.next, self.step) = (Instant::now(), FIRST);
    }

    pub(crate) fn is_away_for(&self, longest: Duration) -> bool {
        self.away.as_ref().is_some_and(|(since, _)| since.elapsed() >= longest)
    }

    /// The sink is gone: what to say, if that is news.
    pub(crate) fn gone(&mut self, trouble: &Trouble, sink: &str) -> Option<String> {
        let text = trouble.to_string();
        let since = match &self.away {
            Some((_, said)) if *said == text => return None,
            Some((since, _)) => *since,
            None => Instant::now(),
        };
        let line = format!("{sink}: {text}; tried again, nothing is lost");
        self.away = Some((since, text));
        Some(line)
    }

    /// The sink answered: what to say, if that is news.
    pub(crate) fn reached(&mut self, sink: &str) -> Option<String> {
        self.step = FIRST;
        let (since, _) = self.away.take()?;
        Some(format!("{sink}: reached again after {} s", since.elapsed().as_secs()))
    }
}
