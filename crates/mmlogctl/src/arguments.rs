//! What commands have in common on the command line: path access, sizes, durations, modes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
pub use mmlog::units::{typed_duration as duration, typed_size as size};
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
