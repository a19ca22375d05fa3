//! What a shipper says of itself in a file beside the log: how far its sink is, and what keeps it from going on.
//!
//! The program that ships writes it, whoever looks at the log reads it. It is for people alone: nothing is decided by it.

use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::OFlags;

/// What the file has at most.
const MOST: usize = 4096;
/// So many bytes are kept of a place, of a promise, and of why it is not shipping: whole where that names what decides.
const WORDS: [usize; 3] = [1000, 200, 2000];
const VERSION: &str = "1";
/// One that lives says something more often.
const SILENT: Duration = Duration::from_secs(30);
/// A hold of that name has a shipper.
const PREFIX: &str = "ship:";

/// What a shipper is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShipperState {
    /// It has not reached its sink yet.
    #[default]
    Starting,
    /// It ships, or waits for something to ship.
    Shipping,
    /// Its sink is away, or refuses for a while: it tries again.
    Away,
    /// Its sink does not let it in: it tries again, seldom.
    Denied,
    /// It ended, as it was told to.
    Ended,
    /// It ended, and a person has to decide how it goes on.
    Decide,
    /// It ended since something failed.
    Failed,
}

impl ShipperState {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Starting, "starting"),
        (Self::Shipping, "shipping"),
        (Self::Away, "away"),
        (Self::Denied, "denied"),
        (Self::Ended, "ended"),
        (Self::Decide, "decide"),
        (Self::Failed, "failed"),
    ];

    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(state, _)| *state == self).map_or("", |(_, word)| word)
    }

    fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == word).map(|(state, _)| *state)
    }
}

/// A shipper, as it said last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShipperStatus {
    /// Where to, without secrets.
    pub sink: String,
    /// What the sink promises, in words.
    pub promise: String,
    /// What it is at.
    pub state: ShipperState,
    /// Since when.
    pub since: Option<SystemTime>,
    /// Why it is not shipping; empty where it is.
    pub why: String,
    /// The position up to which the sink has acknowledged, once it is known.
    pub acked: Option<u64>,
    /// Since when bytes wait for an acknowledgement; `None` while none does.
    pub waits_since: Option<SystemTime>,
    /// Bytes that were acknowledged, over all runs.
    pub bytes: u64,
    /// Bytes that were sent again, since the sink had lost them.
    pub resent: u64,
    /// Bytes in gaps that were announced.
    pub gaps: u64,
    /// How often the sink went away in this run.
    pub troubles: u64,
    /// When it said so.
    pub said: Option<SystemTime>,
}

/// The file in which the shipper of that name says how it is: beside the log.
#[must_use]
pub fn shipper_file(log: &Path, name: &str) -> PathBuf {
    let mut whole = log.as_os_str().to_owned();
    whole.push(format!(".mmlog-ship-{name}.state"));
    PathBuf::from(whole)
}

impl ShipperStatus {
    /// As the file has it. Two of the same `turn` are the same text, so that a reader knows a half-written one.
    #[must_use]
    pub fn text(&self, turn: u64) -> String {
        let time = |at: Option<SystemTime>| {
            at.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map_or(0, |since| since.as_millis())
        };
        let words = |text: &str, most: usize| {
            let mut kept = String::new();
            let plain =
                text.chars().flat_map(|c| if c.is_control() { c.escape_debug().collect() } else { vec![c] });
            for c in plain {
                if kept.len() + c.len_utf8() > most {
                    break;
                }
                kept.push(c);
            }
            kept
        };
        let [place, promise, why] = WORDS;
        let acked = self.acked.map_or_else(|| "none".to_owned(), |at| at.to_string());
        format!(
            "mmlog-shipper {VERSION} {turn}\nsink {}\npromise {}\nstate {}\nsince {}\nwhy {}\nacked {acked}\nwaits-since {}\nbytes {}\nresent {}\ngaps {}\ntroubles {}\nsaid {}\nend {turn}\n",
            words(&self.sink, place),
            words(&self.promise, promise),
            self.state.word(),
            time(self.since),
            words(&self.why, why),
            time(self.waits_since),
            self.bytes,
            self.resent,
            self.gaps,
            self.troubles,
            time(self.said),
        )
    }

    /// Reads what [`text`](Self::text) wrote; `None` of anything else, a later version too.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let turn = lines.next()?.strip_prefix("mmlog-shipper ")?.strip_prefix(VERSION)?.strip_prefix(' ')?;
        let mut next = |key: &str| lines.next()?.strip_prefix(key)?.strip_prefix(' ').map(str::to_owned);
        let time = |text: String| -> Option<Option<SystemTime>> {
            let at = UNIX_EPOCH.checked_add(Duration::from_millis(text.parse().ok()?))?;
            Some((at != UNIX_EPOCH).then_some(at))
        };
        let read = Self {
            sink: next("sink")?,
            promise: next("promise")?,
            state: ShipperState::of(&next("state")?)?,
            since: time(next("since")?)?,
            why: next("why")?,
            acked: match next("acked")?.as_str() {
                "none" => None,
                at => Some(at.parse().ok()?),
            },
            waits_since: time(next("waits-since")?)?,
            bytes: next("bytes")?.parse().ok()?,
            resent: next("resent")?.parse().ok()?,
            gaps: next("gaps")?.parse().ok()?,
            troubles: next("troubles")?.parse().ok()?,
            said: time(next("said")?)?,
        };
        (next("end")? == turn).then_some(read)
    }

    /// What the shipper that has that hold says; `None` where it is no shipper's, or there is nothing that can be read.
    pub(super) fn beside(log: &Path, hold: &str) -> Option<Self> {
        let path = shipper_file(log, hold.strip_prefix(PREFIX).filter(|name| !name.contains('/'))?);
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let flags = i32::try_from(flags.bits()).ok()?;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
        file.metadata().ok().filter(|found| found.is_file())?;
        // It may be written just now.
        (0..3).find_map(|_| {
            let mut bytes = [0; MOST];
            let got = file.read_at(&mut bytes, 0).ok()?;
            Self::of(std::str::from_utf8(&bytes[..got]).ok()?)
        })
    }

    /// For how long bytes have waited for an acknowledgement, of a log that goes up to `cursor`.
    #[must_use]
    pub fn waits_for(&self, cursor: u64) -> Duration {
        // One that was killed says nothing any more.
        let is_silent = self.said.and_then(|at| at.elapsed().ok()).is_some_and(|time| time > SILENT);
        let since = match self.state {
            ShipperState::Ended | ShipperState::Decide | ShipperState::Failed => self.since,
            _ => self.waits_since.or(self.said.filter(|_| is_silent)),
        };
        let waits = self.acked.is_none_or(|acked| acked < cursor);
        since.filter(|_| waits).and_then(|at| at.elapsed().ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shipper_says_is_read_and_half_of_it_is_not() {
        let at = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let said = ShipperStatus {
            sink: "nats://n1/logs".to_owned(),
            promise: "fenced".to_owned(),
            state: ShipperState::Away,
            since: Some(at),
            why: "connection refused".to_owned(),
            acked: Some(7),
            said: Some(at),
            ..ShipperStatus::default()
        };
        let text = said.text(3);
        assert_eq!(ShipperStatus::of(&text), Some(said.clone()));
        for end in 0..text.len() {
            assert!(end + 1 == text.len() || ShipperStatus::of(&text[..end]).is_none(), "{end}");
        }
        let other = text.replace("end 3", "end 4");
        assert_eq!(
            (ShipperStatus::of(&other), ShipperStatus::of(&text.replace("r 1 3", "r 2 3"))),
            (None, None)
        );
        let sentence = ShipperStatus { why: "words, ".repeat(100), ..said.clone() };
        assert_eq!(ShipperStatus::of(&sentence.text(4)), Some(sentence));
        let numbers = ShipperStatus { acked: Some(u64::MAX), bytes: u64::MAX, resent: u64::MAX, ..said };
        let numbers = ShipperStatus { gaps: u64::MAX, troubles: u64::MAX, waits_since: Some(at), ..numbers };
        let [sink, promise] = ["x", "\u{e4}"].map(|text| text.repeat(9999));
        let long = ShipperStatus { why: "\n\u{1f600}".repeat(4000), sink, promise, ..numbers };
        assert!(long.text(u64::MAX).len() <= MOST && ShipperStatus::of(&long.text(0)).is_some());
    }
}
