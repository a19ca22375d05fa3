//! Times of day as people read them where they are.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Where times are told.
#[derive(Clone, Debug)]
pub struct Zone(TimeZone);

impl Zone {
    /// Everywhere the same.
    #[must_use]
    pub const fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// As `TZ` or the system says; UTC where nobody says.
    #[must_use]
    pub fn local() -> Self {
        Self(TimeZone::try_system().unwrap_or(TimeZone::UTC))
    }

    /// `03:04:05`, and the zone.
    #[must_use]
    pub fn time(&self, at: SystemTime) -> String {
        self.told(Some(at), "%H:%M:%S")
    }

    /// `2026-01-02 03:04:05`, and the zone; `-` when nobody knows.
    #[must_use]
    pub fn date(&self, at: Option<SystemTime>) -> String {
        self.told(at, "%Y-%m-%d %H:%M:%S")
    }

    fn told(&self, at: Option<SystemTime>, format: &str) -> String {
        let Some(time) = at.and_then(|at| Timestamp::try_from(at).ok()) else { return "-".to_owned() };
        let zoned = time.to_zoned(self.0.clone());
        let zone = if zoned.offset().is_zero() { "Z" } else { "%:z" };
        zoned.strftime(&format!("{format}{zone}")).to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_time_says_its_zone() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        assert_eq!(Zone::utc().time(at), "08:00:00Z");
        let india = Zone(TimeZone::fixed(jiff::tz::offset(5)));
        assert_eq!(india.date(Some(at)), "2027-01-15 13:00:00+05:00");
        assert_eq!(india.date(None), "-");
    }
}
