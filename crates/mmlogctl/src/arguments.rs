//! What commands have in common on the command line: path access, sizes, durations, modes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use mmlog::{Options, Trust};

const TRUST_PATH: &str = "Accept a symbolic link as the last component, a directory that everybody may write to and that has no sticky bit, and files of different owners";

/// How carefully the log's path is looked at. Flattened into every command, so that the option
/// may stand before or after the command's name.
#[derive(Args, Clone, Debug, Default)]
pub struct Access {
    // In both forms, as the manual has only the long one of what the short help leaves out.
    #[arg(long, global = true, hide_short_help = true, display_order = 998, help = TRUST_PATH, long_help = TRUST_PATH)]
    trust_path: bool,
}

impl Access {
    /// What the library is told.
    #[must_use]
    pub const fn trust(&self) -> Trust {
        if self.trust_path { Trust::AnyPath } else { Trust::Strict }
    }
}

/// Where old segments are, said again. Flattened into the commands that look for them.
#[derive(Args, Clone, Debug, Default)]
pub struct OldSegments {
    /// Old segments are in DIR, relative to the log's directory.
    ///
    /// Only needed where the metadata's word is not enough, which the error says and prints: for a directory that is not below
    /// the log's, or across a symbolic link, if it does not wholly belong to the log's owner or others may write the metadata;
    /// and for one in which, or on the way to which, another log has that name. Or where the metadata is gone.
    #[arg(long, value_name = "DIR")]
    olddir: Option<PathBuf>,
}

impl OldSegments {
    /// The library's options for a log, with what was typed.
    #[must_use]
    pub fn options(&self, access: &Access, log: &Path) -> Options {
        self.say(access.options(log))
    }

    /// The same, on top of others.
    #[must_use]
    pub fn say(&self, options: Options) -> Options {
        match &self.olddir {
            Some(directory) => options.old_directory(directory),
            None => options,
        }
    }
}

/// Parses `4096`, `16K`, `1.5G`, `64MiB`: K, M, G, T, P and E stand for powers of 1024, as KiB to EiB do; with a B behind
/// them, as for tail(1), for powers of 1000 (`kB`, `MB`).
///
/// # Errors
/// When it is not such a size, or more than 64 bits hold.
pub fn size(text: &str) -> Result<u64, String> {
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
pub fn duration(text: &str) -> Result<Duration, String> {
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

/// A size as it may be typed, exactly: `64M`, `1500`.
#[must_use]
pub fn exact_size(bytes: u64) -> String {
    let power = (bytes.trailing_zeros() / 10).min(6);
    match power {
        _ if bytes == 0 => "0".to_owned(),
        0 => bytes.to_string(),
        _ => format!("{}{}", bytes >> (10 * power), ["", "K", "M", "G", "T", "P", "E"][power as usize]),
    }
}

/// A duration as it may be typed, to the millisecond: `14d`, `1h30m`, `500ms`.
#[must_use]
pub fn exact_duration(duration: Duration) -> String {
    let mut left = duration.as_millis();
    let mut text = String::new();
    for (unit, one) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
        let n = left / one;
        left %= one;
        if n > 0 {
            let _ = write!(text, "{n}{unit}");
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Parses permission bits such as `0640`.
///
/// # Errors
/// When it is not an octal number up to 7777.
pub fn octal(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text.trim_start_matches("0o"), 8) {
        Ok(mode) if mode <= 0o7777 => Ok(mode),
        _ => Err("not octal permission bits such as 0640".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_binary() {
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("16K"), Ok(16 << 10));
        assert_eq!(size("16M"), Ok(16 << 20));
        assert_eq!(size("1g"), Ok(1 << 30));
        assert_eq!((size("1K"), size("1KiB"), size("1 KiB")), (Ok(1024), Ok(1024), Ok(1024)));
        assert_eq!(["1T", "1P", "1E"].map(size), [Ok(1 << 40), Ok(1 << 50), Ok(1 << 60)]);
        assert_eq!(["1.5G", "0.5K", "7B", "0"].map(size), [Ok(3 << 29), Ok(512), Ok(7), Ok(0)]);
        assert_eq!(["1kB", "1MB"].map(size), [Ok(1000), Ok(1_000_000)]);
        for wrong in
            ["", "M", "-1", "12 parsecs", "1.", "1KK", "1BB", "16E", "1e3", "99999999999999999999", "1Kib2"]
        {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_have_a_unit_and_may_be_sums() {
        let seconds = |s| Ok(Duration::from_secs(s));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(["2s", "1m", "1h30m"].map(duration), [seconds(2), seconds(60), seconds(5400)]);
        assert_eq!(
            ["14d", "2w", "1d12h"].map(duration),
            [seconds(1_209_600), seconds(1_209_600), seconds(129_600)]
        );
        assert_eq!(
            ["1.5h", "2 days", "1h 30 min", "3m12s"].map(duration),
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
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_was_typed_is_said_as_it_may_be_typed_again() {
        for typed in ["14d", "1d12h", "1h30m", "500ms", "0s", "2m5s"] {
            assert_eq!(duration(typed).map(exact_duration).as_deref(), Ok(typed));
        }
        for typed in ["0", "1500", "64K", "1G", "1025M", "15E"] {
            assert_eq!(size(typed).map(exact_size).as_deref(), Ok(typed));
        }
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(octal("0640"), Ok(0o640));
        assert_eq!(octal("0o600"), Ok(0o600));
        assert!(octal("0648").is_err());
        assert!(octal("10000").is_err());
    }
}
