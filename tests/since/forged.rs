//! What a log has noted of times, forged.

use std::fs;
use std::mem::offset_of;
use std::path::Path;
use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use mmlog::layout::{FINALS_AT, Header, RING_LEN, STEPS_AT, TimePair, TimeStep, ring_at};
use mmlog::times::{Final, Pair, Step};

use crate::cli::{self, metadata_of, poke};

/// What a log is to have noted of times, forged: seconds since [`BEGAN`], and positions.
pub(crate) struct Forged {
    ring: Vec<u8>,
    pub(crate) at: usize,
    uuid: [u64; 2],
    pairs: u64,
    steps: u64,
}

/// Two hours ago; the same for all of a test.
static BEGAN: LazyLock<Timestamp> = LazyLock::new(|| {
    let now = Timestamp::now().as_second();
    Timestamp::from_second(now - 7200).unwrap()
});

pub(crate) fn at(seconds: i64) -> Timestamp {
    *BEGAN + SignedDuration::from_secs(seconds)
}

pub(crate) fn ns(at: Timestamp) -> u64 {
    u64::try_from(at.as_nanosecond()).unwrap()
}

/// As it is typed.
pub(crate) fn typed(at: Timestamp) -> String {
    format!("@{}.{:09}", at.as_second(), at.subsec_nanosecond())
}

impl Forged {
    pub(crate) fn new(log: &Path) -> Self {
        let metadata = fs::read(metadata_of(log)).unwrap();
        let word = |at: usize| u64::from_ne_bytes(metadata[at..at + 8].try_into().unwrap());
        let uuid = offset_of!(Header, identity.uuid);
        let at = ring_at(word(cli::at::MAX_WRITERS) as u32);
        Self { ring: vec![0; RING_LEN], at, uuid: [word(uuid), word(uuid + 8)], pairs: 0, steps: 0 }
    }

    fn put(&mut self, at: usize, words: &[u64]) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.ring[at..at + bytes.len()].copy_from_slice(&bytes);
    }

    /// That time was noted at these positions.
    pub(crate) fn pair(mut self, when: Timestamp, settled: u64, reserved: u64) -> Self {
        self.pairs += 1;
        let (place, pair) = (Pair::place(self.pairs), Pair { at_ns: ns(when), settled, reserved });
        let words = pair.words(place, self.uuid);
        self.put(place * size_of::<TimePair>(), &words);
        self
    }

    /// The clock was set there.
    pub(crate) fn step(mut self, position: u64, before: Timestamp, after: Timestamp) -> Self {
        let number = self.steps;
        let step = Step {
            settled: position,
            reserved: position,
            before_ns: ns(before),
            after_ns: ns(after),
            number,
        };
        self.steps += 1;
        let (place, words) = (step.place(), step.words(self.uuid));
        self.put(STEPS_AT + place * size_of::<TimeStep>(), &words);
        self
    }

    /// A segment became final then.
    pub(crate) fn ended(
        mut self,
        generation: u64,
        began: Timestamp,
        positions: std::ops::Range<u64>,
        ended: Timestamp,
    ) -> Self {
        let end = Pair { at_ns: ns(ended), settled: positions.end, reserved: positions.end };
        let times = Final { generation, base: positions.start, began_ns: ns(began), ended: end };
        let at = FINALS_AT + Final::place(generation) * 64;
        let words = times.words(self.uuid);
        self.put(at, &words);
        self
    }

    pub(crate) fn write(self, log: &Path) {
        poke(log, self.at, &self.ring);
        poke(log, offset_of!(Header, times.count), &self.pairs.to_ne_bytes());
        poke(log, offset_of!(Header, times.steps), &self.steps.to_ne_bytes());
    }
}
