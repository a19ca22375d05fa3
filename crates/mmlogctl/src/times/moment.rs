//! A time as people type it.
//!
//! Pure: what time it is, and in which zone, is given. A local time that a change of the clocks repeats or leaves out
//! stands for two instants; who asks for a range takes the one that makes it wider.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use crate::arguments;

/// What may be typed, for errors.
pub const FORMS: &str = "14:00 or 14:00:05 (today), `2026-11-28 14:00`, today, yesterday, `yesterday 14:00`, 15m or 2h30m (ago), @EPOCH, or RFC 3339 \
as 2026-11-28T14:00:05Z; where no zone is named it is the local time";

/// What was typed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Moment {
    /// As it was typed.
    pub typed: String,
    /// The first instant that it may mean.
    pub earliest: Timestamp,
    /// The last one; another one only of a local time that is repeated or left out.
    pub latest: Timestamp,
    /// When it was read.
    pub now: Timestamp,
}

impl Moment {
    /// Reads it now, here.
    ///
    /// # Errors
    /// When it is not in one of the [`FORMS`].
    pub fn typed(text: &str) -> Result<Self, String> {
        Self::read(text, crate::text::now(), &super::local())
    }

    /// Reads it as at `now`, in that zone.
    ///
    /// # Errors
    /// When it is not in one of the [`FORMS`].
    pub fn read(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Self, String> {
        let trimmed = text.trim();
        let found = exact(trimmed, now).map(|at| (at, at)).or_else(|| {
            let local = local(&trimmed.to_ascii_lowercase(), now.to_zoned(zone.clone()).date())?;
            instants(local, zone)
        });
        let (earliest, latest) = found.ok_or_else(|| format!("not a time; one is: {FORMS}"))?;
        Ok(Self { typed: text.to_owned(), earliest, latest, now })
    }

    /// Whether all that it may mean is further away than `leeway`.
    #[must_use]
    pub fn is_to_come(&self, leeway: SignedDuration) -> bool {
        self.earliest.duration_since(self.now) > leeway
    }

    /// Whether it stands for two instants.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        self.earliest != self.latest
    }
}

/// An instant that no zone is needed for.
fn exact(text: &str, now: Timestamp) -> Option<Timestamp> {
    if text.eq_ignore_ascii_case("now") {
        return Some(now);
    }
    if let Some(epoch) = text.strip_prefix('@') {
        return since_epoch(epoch);
    }
    // `[zone]` behind it would be read past.
    let is_stamp = text.len() > "2026-11-28".len() && !text.contains('[');
    let stamp = if is_stamp { text.parse().ok() } else { None };
    stamp.or_else(|| distance(text, now))
}

/// `1790000000`, `1790000000.5`: at most nine decimals.
fn since_epoch(text: &str) -> Option<Timestamp> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 9 {
        return None;
    }
    Timestamp::new(whole.parse().ok()?, format!("{part:0<9}").parse().ok()?).ok()
}

/// `15m`, `-15m`, `15m ago`; `+15m` is still to come.
fn distance(text: &str, now: Timestamp) -> Option<Timestamp> {
    let (text, ago) = text.strip_suffix("ago").map_or((text, false), |text| (text.trim_end(), true));
    let (text, to_come) = match text.split_at_checked(1)? {
        ("-", text) if !ago => (text, false),
        ("+", text) if !ago => (text, true),
        _ => (text, false),
    };
    let by = SignedDuration::try_from(arguments::duration(text).ok()?).ok()?;
    let at = if to_come { now.checked_add(by) } else { now.checked_sub(by) };
    // Longer ago than there are years is before everything.
    at.ok().or(Some(Timestamp::MIN).filter(|_| !to_come))
}

/// A date, a time of day, or both, of nobody's zone yet.
fn local(text: &str, today: Date) -> Option<DateTime> {
    let (date, time) = if let Some(time) = text.strip_prefix("today") {
        (today, time)
    } else if let Some(time) = text.strip_prefix("yesterday") {
        (today.yesterday().ok()?, time)
    } else if text.contains('-') {
        let (date, time) = text.split_once([' ', 't']).unwrap_or((text, ""));
        (civil_date(date)?, time)
    } else {
        (today, if text.is_empty() { return None } else { text })
    };
    let time = time.trim_start();
    Some(date.to_datetime(if time.is_empty() { Time::midnight() } else { civil_time(time)? }))
}

/// `2026-11-28`, and nothing else that a parser of dates may pass over.
fn civil_date(text: &str) -> Option<Date> {
    let is_date = text.len() == "2026-11-28".len() && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    if is_date { text.parse().ok() } else { None }
}

/// `14:00`, `14:00:05`, `14:00:05.123`, and nothing else.
fn civil_time(text: &str) -> Option<Time> {
    let is_time = text.contains(':') && text.bytes().all(|b| b.is_ascii_digit() || b == b':' || b == b'.');
    if is_time { text.parse().ok() } else { None }
}

/// The first and the last instant that a local time may mean.
pub(super) fn instants(local: DateTime, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
    let (a, b) = match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => (offset, offset),
        AmbiguousOffset::Gap { before, after } | AmbiguousOffset::Fold { before, after } => (before, after),
    };
    let (a, b) = (a.to_timestamp(local).ok()?, b.to_timestamp(local).ok()?);
    Some((a.min(b), a.max(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-28T14:30:15.5Z.
    fn now() -> Timestamp {
        Timestamp::constant(1_795_876_215, 500_000_000)
    }

    /// Central Europe, whose clocks go forward on 29 March and back on 25 October 2026.
    fn zone() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap_or(TimeZone::UTC)
    }

    fn read(text: &str) -> Option<(String, String)> {
        let moment = Moment::read(text, now(), &zone()).ok()?;
        Some((moment.earliest.to_string(), moment.latest.to_string()))
    }

    #[test]
    fn every_form_is_an_instant() {
        for (typed, meant) in [
            ("14:00", "2026-11-28T13:00:00Z"),
            ("14:00:05", "2026-11-28T13:00:05Z"),
            ("14:00:05.123", "2026-11-28T13:00:05.123Z"),
            ("2026-11-27 14:00", "2026-11-27T13:00:00Z"),
            ("2026-07-01 14:00:05.123", "2026-07-01T12:00:05.123Z"),
            ("2026-11-27T14:00:05", "2026-11-27T13:00:05Z"),
            ("2026-11-27", "2026-11-26T23:00:00Z"),
            ("2026-11-27T14:00:05Z", "2026-11-27T14:00:05Z"),
            ("2026-11-27t14:00:05.25z", "2026-11-27T14:00:05.25Z"),
            ("2026-11-27 14:00:05+05:30", "2026-11-27T08:30:05Z"),
            ("2026-11-27T14:00-08:00", "2026-11-27T22:00:00Z"),
            ("today", "2026-11-27T23:00:00Z"),
            ("Today 14:00", "2026-11-28T13:00:00Z"),
            ("yesterday", "2026-11-26T23:00:00Z"),
            ("yesterday 14:00", "2026-11-27T13:00:00Z"),
            ("now", "2026-11-28T14:30:15.5Z"),
            ("15m", "2026-11-28T14:15:15.5Z"),
            ("-15m", "2026-11-28T14:15:15.5Z"),
            (" 15m ago ", "2026-11-28T14:15:15.5Z"),
            ("15 min ago", "2026-11-28T14:15:15.5Z"),
            ("2h30m", "2026-11-28T12:00:15.5Z"),
            ("-1d", "2026-11-27T14:30:15.5Z"),
            ("+15m", "2026-11-28T14:45:15.5Z"),
            ("0s", "2026-11-28T14:30:15.5Z"),
            ("99999999w", "-009999-01-02T01:59:59Z"),
            ("@1790000000", "2026-09-21T14:13:20Z"),
            ("@1790000000.000000001", "2026-09-21T14:13:20.000000001Z"),
            ("@0", "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(read(typed), Some((meant.to_owned(), meant.to_owned())), "{typed}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_forms() {
        for wrong in [
            "",
            " ",
            "soon",
            "14",
            "25:00",
            "14:60",
            "2026-13-01",
            "2026-11-31 14:00",
            "20261128",
            "-",
            "--15m",
            "-15m ago",
            "+15m ago",
            "ago",
            "15",
            "@",
            "@-5",
            "@1.",
            "@1.0000000001",
            "@x",
            "@99999999999999999999",
            "2026-11-28 14:00[Europe/Berlin]",
            "2026-11-28T14:00:00Z[UTC]",
            "14:00Z",
            "14:00+01:00",
            "tomorrow",
            "2026-11-28 14:00 +01:00x",
            "yesterdayish",
            "today today",
            "12:00pm",
            "1y",
        ] {
            let refused = Moment::read(wrong, now(), &zone()).err();
            assert!(refused.is_some_and(|text| text.contains("@EPOCH")), "{wrong:?}: {:?}", read(wrong));
        }
    }

    #[test]
    fn a_local_time_that_occurs_twice_or_never_is_both_of_its_instants() {
        let both = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(read("2026-10-25 02:30"), both("2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"));
        assert_eq!(read("2026-03-29 02:30"), both("2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"));
        assert_eq!(read("2026-03-29 03:30"), both("2026-03-29T01:30:00Z", "2026-03-29T01:30:00Z"));
        assert_eq!(read("2026-10-25 02:30+02:00"), both("2026-10-25T00:30:00Z", "2026-10-25T00:30:00Z"));
    }

    #[test]
    fn what_is_to_come_is_known() {
        let to_come = |text| {
            Moment::read(text, now(), &zone()).is_ok_and(|moment| moment.is_to_come(SignedDuration::ZERO))
        };
        assert!(to_come("+1ms") && to_come("23:00") && to_come("2027-01-01") && to_come("@1800000000"));
        assert!(!to_come("now") && !to_come("today") && !to_come("15:30") && !to_come("0s"));
    }
}
