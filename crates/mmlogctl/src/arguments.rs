//! What commands have in common on the command line: path access, sizes, durations, modes.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;
use jiff::SignedDuration;
use mmlog::{Log, Options, Trust};

/// How carefully the log's path is looked at. Flattened into every command, so that the option
/// may stand before or after the command's name.
#[derive(Args, Clone, Debug, Default)]
pub struct Access {
    /// Accept a symbolic link as the last component, a directory that everybody may write to,
    /// and files of different owners.
    #[arg(long, global = true)]
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
    /// Only needed where the log's metadata names a directory that is not below the log's, or across a symbolic link, and
    /// that does not wholly belong to the log's owner: the error prints it; or where the metadata is gone.
    #[arg(long, value_name = "DIR")]
    olddir: Option<PathBuf>,
}

impl OldSegments {
    /// The library's options with what was typed.
    #[must_use]
    pub fn options(&self, access: &Access) -> Options {
        self.say(Log::options().trust(access.trust()))
    }

    /// As [`options`](Self::options), on top of others.
    #[must_use]
    pub fn say(&self, options: Options) -> Options {
        match &self.olddir {
            Some(directory) => options.old_directory(directory),
            None => options,
        }
    }
}

/// Parses `4096`, `16K`, `16M`, `1G`: binary units, K = 1024.
///
/// # Errors
/// When it is not such a size.
pub fn size(text: &str) -> Result<u64, String> {
    let binary = match text.as_bytes().last() {
        Some(b'K' | b'M' | b'G' | b'T' | b'k' | b'm' | b'g' | b't') => format!("{text}iB"),
        _ => text.to_owned(),
    };
    match binary.parse::<ByteSize>() {
        Ok(size) => Ok(size.as_u64()),
        Err(_) => Err("not a size such as 4096, 16K, 16M or 1G".to_owned()),
    }
}

/// Parses `500ms`, `2s`, `1m`, `1h30m`.
///
/// # Errors
/// When it is not such a duration, or a negative one.
pub fn duration(text: &str) -> Result<Duration, String> {
    let parsed: Option<SignedDuration> = text.parse().ok();
    let positive = parsed.and_then(|signed| Duration::try_from(signed).ok());
    positive.ok_or_else(|| "not a duration such as 500ms, 2s or 1m".to_owned())
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
        assert!(size("").is_err());
        assert!(size("M").is_err());
        assert!(size("-1").is_err());
        assert!(size("12 parsecs").is_err());
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("1m"), Ok(Duration::from_secs(60)));
        assert!(duration("2").is_err());
        assert!(duration("-2s").is_err());
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(octal("0640"), Ok(0o640));
        assert_eq!(octal("0o600"), Ok(0o600));
        assert!(octal("0648").is_err());
        assert!(octal("10000").is_err());
    }
}
