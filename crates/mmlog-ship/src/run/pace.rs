//! When to try again, and what is said of it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::trouble::Trouble;

const FIRST: Duration = Duration::from_millis(100);
/// Whatever comes back is noticed that late, at most.
const LAST: Duration = Duration::from_secs(5);
/// Who is not let in asks less often: each try costs the server more than others do, and a person has to mend it.
const DENIED: Duration = Duration::from_secs(30);
/// Whatever a sink asks for, it is asked again then.
const REST: Duration = Duration::from_secs(300);
/// So many things are said of a sink that is away.
const SAID: usize = 16;

/// Tries follow each other in ever longer times until the sink answers.
pub(crate) struct Pace {
    next: Instant,
    /// The sink asked to be left alone until then.
    rested: Instant,
    step: Duration,
    last: Duration,
    away: Option<Away>,
    troubles: u64,
}

struct Away {
    since: Instant,
    said: BTreeSet<String>,
    why: Trouble,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Pace {
            next: Instant::now(),
            rested: Instant::now(),
            step: FIRST,
            last: LAST,
            away: None,
            troubles: 0,
        }
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
        self.next = self.next.max(self.rested);
        self.step = (self.step * 2).min(self.last);
    }

    /// No try before that is over.
    pub(crate) fn rest(&mut self, longest: Duration) {
        self.rested = Instant::now() + longest.min(REST);
    }

    pub(crate) fn at_once(&mut self) {
        (self.next, self.step) = (Instant::now(), FIRST);
    }

    /// Why the sink is not reached, if it is not.
    pub(crate) fn trouble(&self) -> Option<&Trouble> {
        self.away.as_ref().map(|away| &away.why)
    }

    /// How often it was gone.
    pub(crate) fn troubles(&self) -> u64 {
        self.troubles
    }

    /// Why the sink is not reached, if that is so for that long.
    pub(crate) fn is_away_for(&self, longest: Duration) -> Option<Trouble> {
        self.away.as_ref().filter(|away| away.since.elapsed() >= longest).map(|away| away.why.clone())
    }

    /// The sink is gone: what to say, if that was not said since.
    pub(crate) fn gone(&mut self, trouble: &Trouble, sink: &str) -> Option<String> {
        let text = trouble.to_string();
        self.troubles += 1;
        self.last = if matches!(trouble, Trouble::Denied(_)) { DENIED } else { LAST };
        let new = || Away { since: Instant::now(), said: BTreeSet::new(), why: trouble.clone() };
        let away = self.away.get_or_insert_with(new);
        away.why = trouble.clone();
        let line = format!("{sink}: {text}; tried again, nothing is lost");
        (away.said.len() < SAID && away.said.insert(text)).then_some(line)
    }

    /// The sink answered: what to say, if that is news.
    pub(crate) fn reached(&mut self, sink: &str) -> Option<String> {
        self.step = FIRST;
        let away = self.away.take()?;
        Some(format!("{sink}: reached again after {} s", away.since.elapsed().as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_said_once_while_the_sink_is_away_and_the_time_runs_from_the_first() {
        let mut pace = Pace::new();
        assert!(pace.is_away_for(Duration::ZERO).is_none());
        let (one, other) =
            (Trouble::Away("no answer".to_owned()), Trouble::Refused("another tail".to_owned()));
        let said: Vec<_> =
            [&one, &other, &one, &other].map(|t| pace.gone(t, "x")).into_iter().flatten().collect();
        assert_eq!(said.len(), 2, "{said:?}");
        let since = pace.away.as_ref().map(|away| away.since);
        assert_eq!(pace.is_away_for(Duration::ZERO), Some(other));
        // Numbers in them make endless ones no news.
        let said = (0..1000).filter_map(|i| pace.gone(&Trouble::Refused(format!("at {i}")), "x")).count();
        assert_eq!(said, SAID - 2);
        assert_eq!(pace.away.as_ref().map(|away| away.since), since);
        assert!(pace.reached("x").is_some() && pace.reached("x").is_none());
        assert!(pace.gone(&one, "x").is_some());
    }
}
