//! Sizes, durations and counts in words: the one printer of each, and the one reader of those that people type.

use std::time::{Duration, SystemTime};

/// A size in bytes in the largest binary unit, rounded, with at most one decimal: `512 B`, `16 MiB`, `8.5 MiB`, `163 KiB`.
///
/// A KiB has 1024 bytes; the largest unit is the EiB.
///
/// ```
/// assert_eq!(mmlog::units::size(0), "0 B");
/// assert_eq!(mmlog::units::size(167_117), "163 KiB");
/// ```
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let rounded = |times: u128, one: u128| (u128::from(bytes) * times + one / 2) / one;
    let mut unit = 0;
    // What would be rounded up to 1024 is 1 of the next unit.
    while unit + 1 < UNITS.len() && rounded(1, 1 << (10 * unit)) >= 1024 {
        unit += 1;
    }
    let one = 1_u128 << (10 * unit);
    match rounded(10, one) {
        tenths @ 0..1000 if !tenths.is_multiple_of(10) => {
            format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
        }
        _ => format!("{} {}", rounded(1, one), UNITS[unit]),
    }
}

/// A duration in its two largest units, cut down: `40 ms`, `12 s`, `3m12s`, `2h05m`, `3d04h`, `2y`.
///
/// ```
/// use std::time::Duration;
///
/// assert_eq!(mmlog::units::lasting(Duration::from_secs(7500)), "2h05m");
/// ```
#[must_use]
pub fn lasting(duration: Duration) -> String {
    const YEAR: u64 = 365 * 86_400;
    let (ms, s) = (duration.as_millis(), duration.as_secs());
    match s {
        0 => format!("{ms} ms"),
        1..60 => format!("{s} s"),
        60..3600 => format!("{}m{:02}s", s / 60, s % 60),
        3600..86_400 => format!("{}h{:02}m", s / 3600, s / 60 % 60),
        86_400..YEAR => format!("{}d{:02}h", s / 86_400, s / 3600 % 24),
        _ if s / YEAR < 1000 => format!("{}y", s / YEAR),
        _ => ">999y".to_owned(),
    }
}

/// How long ago that was; `None` of a time that has not come: whoever told it had a clock that was set back since.
///
/// Times that two processors tell at once may differ a little: up to 2 s ahead is now.
#[must_use]
pub fn passed(at: SystemTime, now: SystemTime) -> Option<Duration> {
    const SAME: Duration = Duration::from_secs(2);
    now.duration_since(at).or_else(|e| if e.duration() < SAME { Ok(Duration::ZERO) } else { Err(e) }).ok()
}

/// The same in words: `just now`, `12 s ago`, `before the clock was set back`.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
///
/// let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
/// assert_eq!(mmlog::units::ago(at(0), at(7500)), "2h05m ago");
/// assert_eq!(mmlog::units::ago(at(7500), at(0)), "before the clock was set back");
/// ```
#[must_use]
pub fn ago(at: SystemTime, now: SystemTime) -> String {
    match passed(at, now) {
        Some(ago) if ago.as_secs() == 0 => "just now".to_owned(),
        Some(ago) => format!("{} ago", lasting(ago)),
        None => "before the clock was set back".to_owned(),
    }
}

/// A count and what is counted, in English with the plural by `s`: `1 hole`, `2 holes`.
///
/// ```
/// assert_eq!(mmlog::units::counted(1, "live writer"), "1 live writer");
/// ```
#[must_use]
pub fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The verb that goes with a count: `1 byte was`, `2 bytes were`.
///
/// ```
/// use mmlog::units::{agree, counted};
///
/// assert_eq!(format!("{} {}", counted(1, "byte"), agree(1, "was", "were")), "1 byte was");
/// ```
#[must_use]
pub const fn agree<'a>(count: u64, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

/// Names for a sentence, three of them at most.
pub fn listed(names: &[String]) -> String {
    const MOST: usize = 3;
    let first = names[..names.len().min(MOST)].join(", ");
    match names.len().saturating_sub(MOST) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// Parses `4096`, `16K`, `1.5G`, `64MiB`: K, M, G, T, P and E stand for powers of 1024, as KiB to EiB do; with a B behind
/// them, as for tail(1), for powers of 1000 (`kB`, `MB`).
///
/// # Errors
/// When it is not such a size, or more than 64 bits hold.
pub fn typed_size(text: &str) -> Result<u64, String> {
    let wrong = || "not a size such as 4096, 16K, 1.5G or 64MiB".to_owned();
    let (number, unit) = numbered(text).ok_or_else(wrong)?;
    let unit = unit.trim_start().to_ascii_lowercase();
    let (letter, rest) = unit.split_at_checked(1).unwrap_or_default();
    let power = match (letter, rest) {
        ("" | "b", "") => 0,
        _ => "kmgtpe".find(letter).ok_or_else(wrong)? as u32 + 1,
    };
    let base: u128 = match rest {
        "" | "ib" => 1024,
        "b" if power > 0 => 1000,
        _ => return Err(wrong()),
    };
    let bytes = number.times(base.pow(power)).ok_or_else(wrong)?;
    u64::try_from(bytes).map_err(|_| "more than 16 EiB".to_owned())
}

/// Parses `500ms`, `2s`, `1m`, `1h30m`, `14d`, `2w`: a number and its unit, or a sum of such. A day has 24 hours.
///
/// # Errors
/// When it is not such a duration, or of more seconds than 64 bits hold.
pub fn typed_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "not a duration such as 500ms, 2s, 1m, 1d12h or 2w".to_owned();
    let (mut rest, mut ns) = (text.trim(), 0_u128);
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let (number, behind) = numbered(rest).ok_or_else(wrong)?;
        let behind = behind.trim_start();
        let end = behind.find(|c: char| !c.is_alphabetic()).unwrap_or(behind.len());
        let (unit, next) = behind.split_at(end);
        let (_, one) = DURATIONS.iter().find(|(names, _)| names.contains(&unit)).ok_or_else(wrong)?;
        ns = number.times(*one).and_then(|more| ns.checked_add(more)).ok_or_else(wrong)?;
        rest = next.trim_start_matches([' ', ',']);
    }
    let (seconds, ns) = (ns / 1_000_000_000, ns % 1_000_000_000);
    Ok(Duration::new(u64::try_from(seconds).map_err(|_| wrong())?, u32::try_from(ns).map_err(|_| wrong())?))
}

/// The units of durations, in nanoseconds.
const DURATIONS: &[(&[&str], u128)] = &[
    (&["w", "week", "weeks"], 7 * 86_400_000_000_000),
    (&["d", "day", "days"], 86_400_000_000_000),
    (&["h", "hr", "hrs", "hour", "hours"], 3_600_000_000_000),
    (&["m", "min", "mins", "minute", "minutes"], 60_000_000_000),
    (&["s", "sec", "secs", "second", "seconds"], 1_000_000_000),
    (&["ms", "msec", "msecs", "millis"], 1_000_000),
    (&["us", "\u{b5}s", "usec", "usecs"], 1000),
    (&["ns", "nsec", "nsecs"], 1),
];

/// A number with at most nine decimals.
struct Number {
    whole: u64,
    /// In billionths.
    part: u64,
}

impl Number {
    fn times(&self, unit: u128) -> Option<u128> {
        const BILLION: u128 = 1_000_000_000;
        let part = u128::from(self.part).checked_mul(unit)? / BILLION;
        u128::from(self.whole).checked_mul(unit)?.checked_add(part)
    }
}

/// The number that a text begins with, and what is behind it.
fn numbered(text: &str) -> Option<(Number, &str)> {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (whole, behind) = text.split_at(digits(text));
    let whole = whole.parse().ok()?;
    let Some(decimals) = behind.strip_prefix('.') else { return Some((Number { whole, part: 0 }, behind)) };
    let (part, behind) = decimals.split_at(digits(decimals));
    if part.is_empty() || part.len() > 9 {
        return None;
    }
    let part = format!("{part:0<9}").parse().ok()?;
    Some((Number { whole, part }, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_rounded_to_what_one_unit_says() {
        let sizes =
            [1, 1023, 1024, 1535, 8_912_896, 16 << 20, 102_350, 1_048_064, 1_048_063, 1 << 50, u64::MAX];
        let said = [
            "1 B", "1023 B", "1 KiB", "1.5 KiB", "8.5 MiB", "16 MiB", "100 KiB", "1 MiB", "1023 KiB",
            "1 PiB", "16 EiB",
        ];
        assert_eq!(sizes.map(size), said);
    }

    #[test]
    fn a_duration_has_two_units_at_most() {
        let at = |s| lasting(Duration::from_secs(s));
        assert_eq!([12, 192, 7500, 273_600, 70_000_000].map(at), ["12 s", "3m12s", "2h05m", "3d04h", "2y"]);
        assert_eq!(
            (lasting(Duration::from_millis(40)), at(u64::MAX)),
            ("40 ms".to_owned(), ">999y".to_owned())
        );
    }

    #[test]
    fn a_time_that_has_not_come_is_of_a_clock_that_was_set_back() {
        let at = |s| SystemTime::UNIX_EPOCH + Duration::from_secs(s);
        assert_eq!(
            [0, 12, 3600, 200_000].map(|s| ago(at(0), at(s))),
            ["just now", "12 s ago", "1h00m ago", "2d07h ago"]
        );
        assert_eq!([1, 99].map(|s| ago(at(s), at(0))), ["just now", "before the clock was set back"]);
    }

    #[test]
    fn one_has_no_plural() {
        assert_eq!([0, 1, 2].map(|n| counted(n, "hole")), ["0 holes", "1 hole", "2 holes"]);
        assert_eq!([0, 1, 2].map(|n| agree(n, "is", "are")), ["are", "is", "are"]);
    }

    #[test]
    fn of_many_names_three_are_said() {
        let of = |n: u32| listed(&(0..n).map(|i| i.to_string()).collect::<Vec<_>>());
        assert_eq!([1, 3, 4, 150].map(of), ["0", "0, 1, 2", "0, 1, 2 and 1 more", "0, 1, 2 and 147 more"]);
    }

    #[test]
    fn sizes_are_binary() {
        assert_eq!(typed_size("4096"), Ok(4096));
        assert_eq!(typed_size("16K"), Ok(16 << 10));
        assert_eq!(typed_size("16M"), Ok(16 << 20));
        assert_eq!(typed_size("1g"), Ok(1 << 30));
        assert_eq!(
            (typed_size("1K"), typed_size("1KiB"), typed_size("1 KiB")),
            (Ok(1024), Ok(1024), Ok(1024))
        );
        assert_eq!(["1T", "1P", "1E"].map(typed_size), [Ok(1 << 40), Ok(1 << 50), Ok(1 << 60)]);
        assert_eq!(["1.5G", "0.5K", "7B", "0"].map(typed_size), [Ok(3 << 29), Ok(512), Ok(7), Ok(0)]);
        assert_eq!(["1kB", "1MB"].map(typed_size), [Ok(1000), Ok(1_000_000)]);
        for wrong in
            ["", "M", "-1", "12 parsecs", "1.", "1KK", "1BB", "16E", "1e3", "99999999999999999999", "1Kib2"]
        {
            assert!(typed_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_have_a_unit_and_may_be_sums() {
        let seconds = |s| Ok(Duration::from_secs(s));
        assert_eq!(typed_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(["2s", "1m", "1h30m"].map(typed_duration), [seconds(2), seconds(60), seconds(5400)]);
        assert_eq!(
            ["14d", "2w", "1d12h"].map(typed_duration),
            [seconds(1_209_600), seconds(1_209_600), seconds(129_600)]
        );
        assert_eq!(
            ["1.5h", "2 days", "1h 30 min", "3m12s"].map(typed_duration),
            [5400, 172_800, 5400, 192].map(seconds)
        );
        for wrong in [
            "",
            "2",
            "-2s",
            "2y",
            "d",
            "1d2",
            "1d-2h",
            "s2",
            "18446744073709551616s",
            "18446744073709551615w",
        ] {
            assert!(typed_duration(wrong).is_err(), "{wrong}");
        }
    }
}
