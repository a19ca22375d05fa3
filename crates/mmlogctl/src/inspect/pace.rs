//! How often it is looked: as often as asked, while that costs little.

use std::time::{Duration, Instant};

/// A look may take one part in so many of the time between two.
const SHARE: u32 = 40;
/// However much a look costs.
const RAREST: Duration = Duration::from_secs(3);

/// When the next look is due.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    due: Instant,
}

impl Pace {
    /// The first look is due now.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self { interval, due: Instant::now() }
    }

    /// How long there is nothing to do.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.due.saturating_duration_since(Instant::now())
    }

    /// Is it time?
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.left().is_zero()
    }

    /// The look that began then is over, and drawn; where it could not tell all, another does soon.
    pub fn looked(&mut self, begun: Instant, again: Option<Duration>) {
        let usual = begun + between(self.interval, begun.elapsed());
        self.due = again.map_or(usual, |soon| usual.min(Instant::now() + soon));
    }

    /// The next look is due now.
    pub fn hurry(&mut self) {
        self.due = Instant::now();
    }
}

fn between(interval: Duration, cost: Duration) -> Duration {
    interval.max(cost.saturating_mul(SHARE).min(RAREST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_costs_much_is_rarer() {
        let ms = Duration::from_millis;
        assert_eq!(between(ms(250), ms(1)), ms(250));
        assert_eq!(between(ms(250), ms(20)), ms(800));
        assert_eq!(between(ms(250), ms(2000)), ms(3000));
        assert_eq!(between(ms(10_000), ms(20)), ms(10_000));
    }
}
