//! Where intervals begin and end: at times that people know, such as full hours of their day.

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;

/// Rows that fit a screen, when nobody says how long an interval is.
const ROWS: u64 = 40;
/// The most that anybody gets.
pub(super) const MOST: u64 = 10_000;
const SECOND_NS: u64 = 1_000_000_000;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// Lengths that are chosen, in seconds.
const LENGTHS: [u64; 21] = [
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    7 * DAY,
    14 * DAY,
];

/// A length, in nanoseconds, by which a time of that length is some 20 to 40 intervals.
pub(super) fn chosen(length_ns: u64) -> u64 {
    let fits = |by: &u64| length_ns / (by * SECOND_NS) < ROWS;
    let mut by = LENGTHS.into_iter().find(fits).unwrap_or(28 * DAY);
    while !fits(&by) {
        by *= 2;
    }
    by * SECOND_NS
}

/// The edges of intervals of that length that a time has a part of. Nothing where they would be more than [`MOST`].
pub(super) fn edges(from_ns: u64, to_ns: u64, by_ns: u64, zone: &TimeZone) -> Option<Vec<u64>> {
    if to_ns.saturating_sub(from_ns) / by_ns >= MOST {
        return None;
    }
    let mut all = vec![begin(from_ns, by_ns, zone)];
    while let Some(last) = all.last().copied().filter(|last| *last < to_ns) {
        all.push(next(last, by_ns, zone));
    }
    if all.len() == 1 {
        all.push(next(all[0], by_ns, zone));
    }
    Some(all)
}

fn timestamp(ns: u64) -> Timestamp {
    Timestamp::from_nanosecond(ns.into()).unwrap_or(Timestamp::MAX)
}

fn nanoseconds(at: Timestamp) -> Option<u64> {
    u64::try_from(at.as_nanosecond()).ok()
}

/// The edge at or before a time: counted from midnight.
fn begin(at_ns: u64, by_ns: u64, zone: &TimeZone) -> u64 {
    let day = timestamp(at_ns).to_zoned(zone.clone()).with().time(Time::midnight()).build();
    let midnight =
        day.ok().and_then(|day| nanoseconds(day.timestamp())).filter(|midnight| *midnight <= at_ns);
    let midnight = midnight.unwrap_or(0);
    let edge = midnight + (at_ns - midnight) / by_ns * by_ns;
    // By the clock on the wall, if it was put forward or back in between.
    let is_civil = by_ns > HOUR * SECOND_NS && by_ns <= DAY * SECOND_NS;
    if !is_civil {
        return edge;
    }
    let mut at = midnight;
    loop {
        match next(at, by_ns, zone) {
            next if next <= at_ns => at = next,
            _ => return at,
        }
    }
}

/// The edge behind one. Longer ones than an hour are counted by the clock on the wall.
fn next(at_ns: u64, by_ns: u64, zone: &TimeZone) -> u64 {
    let plain = at_ns.saturating_add(by_ns);
    if by_ns <= HOUR * SECOND_NS {
        return plain;
    }
    let civil = || {
        let wall = timestamp(at_ns).to_zoned(zone.clone()).datetime();
        let by = jiff::SignedDuration::from_nanos(i64::try_from(by_ns).ok()?);
        let next = wall.checked_add(by).ok()?.to_zoned(zone.clone()).ok()?;
        nanoseconds(next.timestamp()).filter(|next| *next > at_ns)
    };
    civil().unwrap_or(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::posix(name).unwrap_or(TimeZone::UTC)
    }

    fn at(text: &str) -> u64 {
        text.parse().ok().and_then(nanoseconds).unwrap_or(0)
    }

    fn told(all: &[u64], zone: &TimeZone) -> Vec<String> {
        let tell = |ns: &u64| timestamp(*ns).to_zoned(zone.clone()).strftime("%d %H:%M").to_string();
        all.iter().map(tell).collect()
    }

    #[test]
    fn some_twenty_to_forty_intervals_are_chosen() {
        for seconds in [20, 45, 100, 3600, 10_000, 86_400, 1_000_000, 31_536_000, 4_000_000_000] {
            let by = chosen(seconds * SECOND_NS) / SECOND_NS;
            assert!((14..=40).contains(&(seconds / by)), "{seconds} {by}");
        }
        assert_eq!(chosen(0), SECOND_NS);
    }

    #[test]
    fn edges_are_full_hours_of_the_day_also_where_the_clocks_change() {
        let zone = zone("CET-1CEST,M3.5.0,M10.5.0/3");
        let (from, to) = (at("2026-10-25T00:10:00+02:00"), at("2026-10-25T13:00:00+01:00"));
        let quarters = edges(from, to, 6 * HOUR * SECOND_NS, &zone).unwrap_or_default();
        assert_eq!(told(&quarters, &zone), ["25 00:00", "25 06:00", "25 12:00", "25 18:00"]);
        let days = edges(from, to + DAY * SECOND_NS, DAY * SECOND_NS, &zone).unwrap_or_default();
        assert_eq!(told(&days, &zone), ["25 00:00", "26 00:00", "27 00:00"]);
        let hours = edges(from, from + 4 * HOUR * SECOND_NS, HOUR * SECOND_NS, &zone).unwrap_or_default();
        assert_eq!(told(&hours, &zone)[..4], ["25 00:00", "25 01:00", "25 02:00", "25 02:00"]);
        let odd = edges(from, to, 7 * 60 * SECOND_NS, &zone).unwrap_or_default();
        assert!(odd.windows(2).all(|two| two[1] - two[0] == 7 * 60 * SECOND_NS), "{odd:?}");
    }

    #[test]
    fn nobody_gets_millions_of_intervals() {
        assert_eq!(edges(0, u64::MAX, SECOND_NS, &TimeZone::UTC), None);
        assert_eq!(edges(5, 5, SECOND_NS, &TimeZone::UTC), Some(vec![0, SECOND_NS]));
    }
}
