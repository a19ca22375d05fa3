//! What values count, as they are typed and said.

use std::time::Duration;

use mmlog::units;

use super::ms;
use crate::arguments::{duration, exact_duration, exact_size, size};

/// What a value counts.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Unit {
    Bytes,
    /// Values are in milliseconds, and written as seconds.
    Seconds,
    Count,
}

impl Unit {
    /// A value as people type it: `64M`, `5m`, `3`.
    pub(crate) fn parse(self, text: &str) -> Result<u64, String> {
        match self {
            Self::Bytes => size(text),
            Self::Seconds => duration(text).map(ms),
            Self::Count => text.parse().map_err(|_| "not a number such as 3".to_owned()),
        }
    }

    /// A number in the base unit.
    pub(crate) fn number(self, value: u64) -> String {
        match self {
            Self::Seconds if !value.is_multiple_of(1000) => format!("{}.{:03}", value / 1000, value % 1000),
            Self::Seconds => (value / 1000).to_string(),
            Self::Bytes | Self::Count => value.to_string(),
        }
    }

    /// A value for people.
    pub(crate) fn words(self, value: u64) -> String {
        match self {
            Self::Bytes => units::size(value),
            Self::Seconds => units::lasting(Duration::from_millis(value)),
            Self::Count => value.to_string(),
        }
    }

    /// A value as it may be typed, exactly.
    pub(crate) fn typed(self, value: u64) -> String {
        match self {
            Self::Bytes => exact_size(value),
            Self::Seconds => exact_duration(Duration::from_millis(value)),
            Self::Count => value.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_have_a_point_where_they_need_one() {
        assert_eq!([0, 5000, 1234, 50].map(|ms| Unit::Seconds.number(ms)), ["0", "5", "1.234", "0.050"]);
        assert_eq!(Unit::Seconds.parse("5m"), Ok(300_000));
        assert_eq!(Unit::Bytes.parse("64M"), Ok(64 << 20));
        assert_eq!(Unit::Count.parse("3"), Ok(3));
        assert!(Unit::Count.parse("3M").is_err() && Unit::Seconds.parse("3").is_err());
    }
}
