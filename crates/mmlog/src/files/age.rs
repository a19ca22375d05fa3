//! How old something is, by a time that a wall clock told which somebody may have set since.
//!
//! The metadata says when this boot was, by the wall clock of when the log was first opened in it. Where that clock was
//! set afterwards, the boot seems to have been at another time now, and by as much a time is wrong that was told before
//! (of a board without a clock, years). A time that lies in this boot by both clocks may be of either: the smaller
//! age is taken, so that nothing is given up too early.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Files;
use super::boot::{self, TOLERANCE_NS};
use crate::sync::Ordering;
use crate::sys::process;

/// What the clocks say now.
pub(crate) struct Clock {
    now_ns: u64,
    up_ns: u64,
    /// When this boot was, by the wall clock as it went when the log was first opened in it; none when that is not known.
    booted_ns: Option<u64>,
}

impl Files {
    pub(crate) fn clock(&self) -> Clock {
        let (now_ns, up_ns) = (process::now_ns(), process::up_ns());
        Clock { now_ns, up_ns, booted_ns: boot::booted_ns(self.meta.header()) }
    }

    /// Where it is not known when the current segment began, or that has not come yet (the clock was set back), it begins now:
    /// else it would not get older until then.
    pub(crate) fn give_an_age(&self) {
        let (clock, header) = (self.clock(), self.meta.header());
        let current = header.current();
        if clock.age_of(current.began_ns).is_some() || self.intact().is_err() {
            return;
        }
        // Nobody has the lock: what was stored meanwhile is another segment's time, or this one's of now.
        let began_ns = &header.segment(current.generation).began_ns;
        let _ =
            began_ns.compare_exchange(current.began_ns, clock.now_ns, Ordering::Relaxed, Ordering::Relaxed);
    }
}

impl Clock {
    /// How long ago that was, at the least; none of a time that is not known, or has not come: whoever told it had
    /// another clock.
    pub(crate) fn age_of(&self, at_ns: u64) -> Option<Duration> {
        let age = self.now_ns.checked_sub(at_ns);
        // Both clocks were not read at once.
        let age = age.or_else(|| (at_ns - self.now_ns <= TOLERANCE_NS).then_some(0));
        let age = age.filter(|_| at_ns != 0);
        let booted_ns = self.now_ns.saturating_sub(self.up_ns);
        let was_set = self.booted_ns.filter(|then| then.abs_diff(booted_ns) > TOLERANCE_NS);
        // Since the boot, by the clock of before.
        let then = was_set.and_then(|then| self.up_ns.checked_sub(at_ns.checked_sub(then)?));
        let known = match then {
            Some(then) if at_ns >= booted_ns => Some(age.map_or(then, |age| age.min(then))),
            Some(then) => Some(then),
            None => age,
        };
        known.map(Duration::from_nanos)
    }

    /// The same of a file's time.
    pub(crate) fn age_of_file(&self, at: SystemTime) -> Option<Duration> {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.age_of(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000_000_000;
    /// Some day, in hours.
    const DAY: u64 = 500_000;

    /// Up for ten hours; the clock of before said that the boot was at that hour.
    fn clock(booted: Option<u64>) -> Clock {
        Clock { now_ns: DAY * HOUR, up_ns: 10 * HOUR, booted_ns: booted.map(|hour| hour * HOUR) }
    }

    fn hours(clock: &Clock, at: u64) -> Option<u64> {
        clock.age_of(at * HOUR).map(|age| age.as_secs() / 3600)
    }

    #[test]
    fn by_a_clock_that_nobody_set_an_age_is_the_difference() {
        for clock in [clock(None), clock(Some(DAY - 10))] {
            assert_eq!([DAY, DAY - 3, DAY - 30].map(|at| hours(&clock, at)), [Some(0), Some(3), Some(30)]);
            assert_eq!(clock.age_of(DAY * HOUR + TOLERANCE_NS), Some(Duration::ZERO));
        }
    }

    #[test]
    fn a_time_that_has_not_come_or_was_never_told_says_nothing() {
        let clock = clock(None);
        assert_eq!([0, DAY + 1, DAY * 2].map(|at| hours(&clock, at)), [None; 3]);
        assert_eq!(clock.age_of(u64::MAX), None);
    }

    #[test]
    fn a_time_of_a_clock_that_was_years_behind_is_as_old_as_it_is() {
        // Booted in 1970, set right seven hours later.
        let clock = clock(Some(0));
        assert_eq!([1, 6, 7].map(|at| hours(&clock, at)), [Some(9), Some(4), Some(3)]);
        // Told by the clock of now; of a boot before.
        assert_eq!([DAY - 2, DAY - 30].map(|at| hours(&clock, at)), [Some(2), Some(30)]);
    }

    #[test]
    fn a_time_of_a_clock_that_was_ahead_is_as_old_as_it_is() {
        let clock = clock(Some(DAY + 990));
        assert_eq!([DAY + 991, DAY + 1000].map(|at| hours(&clock, at)), [Some(9), Some(0)]);
        assert_eq!([DAY - 2, DAY + 500].map(|at| hours(&clock, at)), [Some(2), None]);
    }

    #[test]
    fn of_two_ages_that_a_time_may_have_the_smaller_is_taken() {
        // Set ahead by two hours, and back by two.
        assert_eq!(hours(&clock(Some(DAY - 12)), DAY - 5), Some(3));
        assert_eq!(hours(&clock(Some(DAY - 8)), DAY - 5), Some(5));
        assert_eq!(hours(&clock(Some(DAY - 8)), DAY + 1), Some(1));
    }
}
