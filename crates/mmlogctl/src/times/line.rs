//! The time that a line begins with, if it does.
//!
//! RFC 3339 and what is near it (a blank or a slash, a comma before the decimals, a bracket in front), syslog's
//! `Nov 28 14:00:05`, and the common log format's `[28/Nov/2026:14:00:05 +0100]` behind its first fields. A line says its
//! time to the second or finer, and one without a zone may mean two instants: so it is a range.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};

use super::moment::instants;

/// How far into a line the time is looked for: behind an IPv6 address and a name, in the common log format.
pub const REACH: usize = 256;

const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// A day, for a clock of another zone or a year that is not said.
const DAY: i128 = 86_400_000_000_000;

/// When a line says that it was made: somewhere from the first to the last of these, nanoseconds since the epoch.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct LineTime {
    /// Not before.
    pub earliest: i128,
    /// Not behind.
    pub latest: i128,
}

/// What a line does not say.
#[derive(Clone, Debug)]
pub struct Unsaid {
    /// The zone of times without one.
    pub zone: TimeZone,
    /// A time without a year is the last such before this, or within a day behind it.
    pub before: Timestamp,
}

/// The time that a line begins with.
#[must_use]
pub fn of(line: &[u8], unsaid: &Unsaid) -> Option<LineTime> {
    let front = Text(line.strip_prefix(b"[").unwrap_or(line));
    iso(front, unsaid).or_else(|| syslog(front, unsaid)).or_else(|| {
        let reach = &line[..line.len().min(REACH)];
        common(Text(&reach[memchr::memchr(b'[', reach)? + 1..]))
    })
}

/// `2026-11-28T14:00:05.123456Z`, `2026/11/28 14:00:05`, `2026-11-28 14:00:05,123 +0100`.
fn iso(mut text: Text<'_>, unsaid: &Unsaid) -> Option<LineTime> {
    let year = text.number(4)?;
    let between = text.one_of(b"-/")?;
    let month = text.number(2)?;
    text.one_of(&[between])?;
    let day = text.number(2)?;
    text.one_of(b"T t")?;
    let civil = text.time(Date::new(i16::try_from(year).ok()?, month as i8, day as i8).ok()?)?;
    let (nanosecond, precision) = text.decimals();
    let zone = text.zone();
    range(civil, zone, unsaid)
        .map(|(a, b)| LineTime { earliest: a + nanosecond, latest: b + nanosecond + precision - 1 })
}

/// `Nov 28 14:00:05`, `Nov  8 14:00:05`.
fn syslog(mut text: Text<'_>, unsaid: &Unsaid) -> Option<LineTime> {
    let month = text.month()?;
    text.one_of(b" ")?;
    let day = if text.one_of(b" ").is_some() { text.number(1)? } else { text.number(2)? };
    text.one_of(b" ")?;
    let newest = unsaid.before.as_nanosecond() + DAY;
    let year = unsaid.before.to_zoned(unsaid.zone.clone()).year();
    [year + 1, year, year - 1].into_iter().find_map(|year| {
        let mut text = Text(text.0);
        let civil = text.time(Date::new(year, month, day as i8).ok()?)?;
        let (earliest, latest) = range(civil, None, unsaid)?;
        (earliest <= newest).then_some(LineTime { earliest, latest: latest + SECOND - 1 })
    })
}

/// `28/Nov/2026:14:00:05 +0100]`.
fn common(mut text: Text<'_>) -> Option<LineTime> {
    let day = text.number(2)?;
    text.one_of(b"/")?;
    let month = text.month()?;
    text.one_of(b"/")?;
    let year = i16::try_from(text.number(4)?).ok()?;
    text.one_of(b":")?;
    let civil = text.time(Date::new(year, month, day as i8).ok()?)?;
    let zone = text.zone()?;
    text.one_of(b"]")?;
    let at = zone.to_timestamp(civil).ok()?.as_nanosecond();
    Some(LineTime { earliest: at, latest: at + SECOND - 1 })
}

const SECOND: i128 = 1_000_000_000;

fn range(civil: DateTime, zone: Option<Offset>, unsaid: &Unsaid) -> Option<(i128, i128)> {
    let (a, b) = match zone {
        Some(zone) => zone.to_timestamp(civil).ok().map(|at| (at, at))?,
        None => instants(civil, &unsaid.zone)?,
    };
    Some((a.as_nanosecond(), b.as_nanosecond()))
}

/// What is left of a line.
#[derive(Copy, Clone)]
struct Text<'a>(&'a [u8]);

impl Text<'_> {
    /// A number of exactly so many digits.
    fn number(&mut self, digits: usize) -> Option<i32> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        let step = |n: i32, byte: &u8| byte.is_ascii_digit().then(|| n * 10 + i32::from(byte - b'0'));
        let number = number.iter().try_fold(0, step)?;
        self.0 = rest;
        Some(number)
    }

    fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        bytes.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    fn month(&mut self) -> Option<i8> {
        let (name, rest) = self.0.split_at_checked(3)?;
        let month = MONTHS.iter().position(|month| *month == name)?;
        self.0 = rest;
        i8::try_from(month + 1).ok()
    }

    /// `14:00:05`.
    fn time(&mut self, date: Date) -> Option<DateTime> {
        let hour = self.number(2)?;
        self.one_of(b":")?;
        let minute = self.number(2)?;
        self.one_of(b":")?;
        let second = self.number(2)?;
        // Whatever has more digits is something else.
        let ends = !self.0.first().is_some_and(u8::is_ascii_digit);
        DateTime::new(date.year(), date.month(), date.day(), hour as i8, minute as i8, second as i8, 0)
            .ok()
            .filter(|_| ends)
    }

    /// Nanoseconds behind a point or comma, and how many the last digit stands for.
    fn decimals(&mut self) -> (i128, i128) {
        let mut behind = *self;
        let (mut nanoseconds, mut precision) = (0, SECOND);
        if behind.one_of(b".,").is_some() {
            while let Some(digit) = behind.number(1) {
                precision /= 10;
                nanoseconds += i128::from(digit) * precision;
            }
        }
        if precision < SECOND {
            *self = behind;
        }
        (nanoseconds, precision.max(1))
    }

    /// `Z`, `+01:00`, `+0100`, ` UTC`; a blank may be in front.
    fn zone(&mut self) -> Option<Offset> {
        let mut text = Text(self.0.strip_prefix(b" ").unwrap_or(self.0));
        if [b"UTC", b"GMT"].iter().any(|name| text.0.starts_with(*name)) {
            return Some(Offset::UTC);
        }
        let zone = match text.one_of(b"Zz+-")? {
            b'Z' | b'z' => Some(Offset::UTC),
            sign => {
                let hours = text.number(2)?;
                let _ = text.one_of(b":");
                let seconds = (hours * 60 + text.number(2)?) * 60;
                Offset::from_seconds(if sign == b'-' { -seconds } else { seconds }).ok()
            }
        };
        let ends = !text.0.first().is_some_and(u8::is_ascii_alphanumeric);
        zone.filter(|_| ends).inspect(|_| *self = text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unsaid(before: &str) -> Unsaid {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap_or(TimeZone::UTC);
        Unsaid { zone, before: before.parse().unwrap_or_default() }
    }

    /// The first and the last instant that a line may be of, as at the end of November.
    fn read(line: &str) -> Option<(String, String)> {
        let time = of(line.as_bytes(), &unsaid("2026-11-28T14:30:00Z"))?;
        let text = |ns| Timestamp::from_nanosecond(ns).map(|t| t.to_string()).ok();
        Some((text(time.earliest)?, text(time.latest)?))
    }

    #[test]
    fn lines_begin_with_a_time_in_several_forms() {
        for (line, from, precision) in [
            ("2026-11-28T14:00:05.123456Z x", "2026-11-28T14:00:05.123456Z", "999"),
            ("2026-11-28T14:00:05Z", "2026-11-28T14:00:05Z", ".999999999"),
            ("2026-11-28T14:00:05+01:00 x", "2026-11-28T13:00:05Z", ".999999999"),
            ("2026-11-28 14:00:05.5 -0130 x", "2026-11-28T15:30:05.5Z", "99999999"),
            ("2026-11-28 14:00:05,123 INFO x", "2026-11-28T13:00:05.123Z", "999999"),
            ("2026-11-28 14:00:05.123 UTC [7] LOG", "2026-11-28T14:00:05.123Z", "999999"),
            ("2026-11-28 14:00:05", "2026-11-28T13:00:05Z", ".999999999"),
            ("[2026-11-28 14:00:05] x", "2026-11-28T13:00:05Z", ".999999999"),
            ("2026/11/28 14:00:05 [error] x", "2026-11-28T13:00:05Z", ".999999999"),
            ("2026-11-28T14:00:05.1234567891Z", "2026-11-28T14:00:05.123456789Z", ""),
            ("Nov 28 14:00:05 host x[1]: y", "2026-11-28T13:00:05Z", ".999999999"),
            ("Nov  8 14:00:05 host", "2026-11-08T13:00:05Z", ".999999999"),
            ("Nov 29 14:00:05 host", "2026-11-29T13:00:05Z", ".999999999"),
            ("Nov 30 14:00:05 host", "2025-11-30T13:00:05Z", ".999999999"),
            ("Jan  1 00:00:00 host", "2025-12-31T23:00:00Z", ".999999999"),
            ("::1 - - [28/Nov/2026:14:00:05 +0100] \"GET", "2026-11-28T13:00:05Z", ".999999999"),
            ("[28/Nov/2026:14:00:05 +0100] x", "2026-11-28T13:00:05Z", ".999999999"),
            ("x [28/Nov/2026:23:59:59 -0800]", "2026-11-29T07:59:59Z", ".999999999"),
        ] {
            let last = match precision {
                "" => from.to_owned(),
                _ => format!("{}{precision}Z", from.trim_end_matches('Z')),
            };
            assert_eq!(read(line), Some((from.to_owned(), last)), "{line}");
        }
    }

    #[test]
    fn a_year_that_is_not_said_is_that_of_when_it_was_appended() {
        let new_year = unsaid("2027-01-01T00:10:00Z");
        let of = |line: &str| {
            of(line.as_bytes(), &new_year).and_then(|t| Timestamp::from_nanosecond(t.earliest).ok())
        };
        assert_eq!(of("Dec 31 23:59:59 h").map(|t| t.to_string()).as_deref(), Some("2026-12-31T22:59:59Z"));
        assert_eq!(of("Jan  1 01:05:00 h").map(|t| t.to_string()).as_deref(), Some("2027-01-01T00:05:00Z"));
        assert_eq!(of("Feb 29 01:05:00 h"), None, "neither 2026 nor 2027 has one");
    }

    #[test]
    fn a_local_time_that_occurs_twice_is_either() {
        let times = read("2026-10-25 02:30:00 x");
        assert_eq!(
            times,
            Some(("2026-10-25T00:30:00Z".to_owned(), "2026-10-25T01:30:00.999999999Z".to_owned()))
        );
        assert_eq!(read("Oct 25 02:30:00 x").map(|t| t.0).as_deref(), Some("2026-10-25T00:30:00Z"));
    }

    #[test]
    fn anything_else_is_no_time() {
        for line in [
            "",
            "x",
            "2026-11-28",
            "2026-11-28T14:00",
            "2026-11-28T14:00:5Z",
            "2026-11/28 14:00:05",
            "20261128T140005Z",
            "2026-13-28T14:00:05Z",
            "2026-11-31T14:00:05Z",
            "2026-11-28T24:00:05Z",
            "2026-11-28T14:00:055Z",
            "12026-11-28T14:00:05Z",
            " 2026-11-28T14:00:05Z",
            "Nov 8 14:00:05",
            "nov 28 14:00:05",
            "Nov 28 14:00",
            "x [28/Nov/2026:14:00:05]",
            "x [1] [28/Nov/2026:14:00:05 +0100]",
            "[",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
        let far = format!("{}[28/Nov/2026:14:00:05 +0100]", "x".repeat(REACH));
        assert_eq!(read(&far), None);
    }
}
