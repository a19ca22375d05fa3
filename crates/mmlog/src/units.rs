//! Sizes, durations and counts in words: the one printer of each.

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
}
