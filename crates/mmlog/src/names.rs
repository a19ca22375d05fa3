//! Names of final segments: `<log>.<generation, 10 digits>-<base, 19 digits>[-<UTC time>][.zst|.gz]`.
//!
//! The directory alone orders the segments and gives every byte its position. No name ends in `.log`, so that a
//! pattern for logs does not match it.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;

use crate::layout::POSITION_END;

const GENERATION_DIGITS: usize = 10;
const BASE_DIGITS: usize = 19;
/// What a copy of a segment in the making has behind the segment's name.
pub(crate) const PART_SUFFIX: &str = ".mmlog-part";
/// How many bytes a final segment's name has more than its log's.
pub(crate) const SEGMENT_BYTES: usize = 1 + GENERATION_DIGITS + 1 + BASE_DIGITS;
/// How many the longest name of all has: that of a segment with a time, while a compressed copy of it is made.
pub(crate) const LONGEST_BYTES: usize = SEGMENT_BYTES + 1 + size_of::<Stamp>() + PART_SUFFIX.len();
/// The first generation that has no name.
pub(crate) const GENERATION_END: u64 = 10_u64.pow(GENERATION_DIGITS as u32);

/// How a final segment is compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compression {
    /// Zstandard, `.zst`.
    Zstd,
    /// Gzip, `.gz`.
    Gzip,
}

impl Compression {
    /// What is added to the segment's name.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
        }
    }
}

/// What a segment's name says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SegmentName {
    pub(crate) generation: u64,
    pub(crate) base: u64,
    pub(crate) stamp: Option<Stamp>,
    pub(crate) compression: Option<Compression>,
}

/// A UTC time in a segment's name, such as `20261121T093000Z`: for people, it orders nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp([u8; 16]);

impl Stamp {
    /// `None` unless it is eight digits, `T`, six digits, `Z`.
    pub fn new(text: &str) -> Option<Self> {
        let bytes: [u8; 16] = text.as_bytes().try_into().ok()?;
        let fits = bytes.iter().enumerate().all(|(i, b)| match i {
            8 => *b == b'T',
            15 => *b == b'Z',
            _ => b.is_ascii_digit(),
        });
        fits.then_some(Self(bytes))
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl SegmentName {
    /// Of a segment that has just become final.
    pub(crate) fn plain(generation: u64, base: u64, stamp: Option<Stamp>) -> Self {
        Self { generation, base, stamp, compression: None }
    }

    /// Reads the name of a file beside the log `log`; `None` for anything else.
    pub(crate) fn parse(log: &OsStr, name: &OsStr) -> Option<Self> {
        let rest = name.as_bytes().strip_prefix(log.as_bytes())?.strip_prefix(b".")?;
        let rest = std::str::from_utf8(rest).ok()?;
        let (generation, rest) = number(rest, GENERATION_DIGITS)?;
        let (base, rest) = number(rest.strip_prefix('-')?, BASE_DIGITS)?;
        let (stamp, rest) = match rest.strip_prefix('-') {
            Some(rest) => (Some(Stamp::new(rest.get(..16)?)?), &rest[16..]),
            None => (None, rest),
        };
        let known = [Compression::Zstd, Compression::Gzip];
        let compression = match rest {
            "" => None,
            suffix => Some(known.into_iter().find(|c| c.suffix() == suffix)?),
        };
        (base < POSITION_END).then_some(Self { generation, base, stamp, compression })
    }

    /// The log of which that is the name of a segment.
    pub(crate) fn find(name: &OsStr) -> Option<(&OsStr, Self)> {
        let dots = name.as_bytes().iter().enumerate().filter(|(_, byte)| **byte == b'.');
        let mut logs = dots.map(|(at, _)| OsStr::from_bytes(&name.as_bytes()[..at]));
        logs.find_map(|log| Some((log, Self::parse(log, name)?)))
    }

    /// The name beside the log `log`.
    pub(crate) fn of(&self, log: &OsStr) -> OsString {
        let (generation, base) = (self.generation, self.base);
        let mut text = format!(".{generation:0GENERATION_DIGITS$}-{base:0BASE_DIGITS$}");
        if let Some(stamp) = &self.stamp {
            // Writing to a string cannot fail.
            let _ = write!(text, "-{}", stamp.as_str());
        }
        text.push_str(self.compression.map_or("", Compression::suffix));
        let mut name = log.to_os_string();
        name.push(text);
        name
    }
}

fn number(text: &str, digits: usize) -> Option<(u64, &str)> {
    let (head, rest) = text.split_at_checked(digits)?;
    head.bytes().all(|b| b.is_ascii_digit()).then(|| head.parse().ok()).flatten().map(|n| (n, rest))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn parse(name: &str) -> Option<SegmentName> {
        SegmentName::parse(OsStr::new("app.log"), OsStr::new(name))
    }

    #[test]
    fn a_name_says_what_it_was_made_of() {
        let stamp = Stamp::new("20261121T093000Z");
        for compression in [None, Some(Compression::Zstd), Some(Compression::Gzip)] {
            for stamp in [None, stamp] {
                let name = SegmentName { generation: 7, base: POSITION_END - 1, stamp, compression };
                let text = name.of(OsStr::new("app.log"));
                assert_eq!(SegmentName::parse(OsStr::new("app.log"), &text), Some(name));
            }
        }
    }

    #[test]
    fn names_are_as_long_as_they_are_said_to_be() {
        let log = OsStr::new("app.log");
        let of = |stamp| SegmentName::plain(GENERATION_END - 1, POSITION_END - 1, stamp).of(log).len();
        assert_eq!(of(None) - log.len(), SEGMENT_BYTES);
        let stamp = Stamp::new("20261121T093000Z");
        assert_eq!(of(stamp) + PART_SUFFIX.len() - log.len(), LONGEST_BYTES);
        assert!([Compression::Zstd, Compression::Gzip].iter().all(|c| c.suffix().len() <= PART_SUFFIX.len()));
    }

    #[test]
    fn names_sort_by_generation() {
        let of = |generation, base| SegmentName::plain(generation, base, None).of(OsStr::new("a"));
        assert!(of(9, 900) < of(10, 1000) && of(99, 5) < of(100, 6));
    }

    #[test]
    fn other_names_are_no_segments() {
        assert!(parse("app.log.0000000007-0000000000000001234").is_some());
        let not = [
            "app.log",
            "app.log.mmlog",
            "app.log.1",
            "app.log.0000000007-0000000000000001234.tmp",
            "app.log.0000000007-0000000000000001234-20261121",
            "app.log.0000000007-9999999999999999999",
            "app.log.000000007-0000000000000001234",
            "app.log.+000000007-0000000000000001234",
            "other.log.0000000007-0000000000000001234",
        ];
        assert_eq!(not.iter().filter(|name| parse(name).is_some()).count(), 0);
    }
}
