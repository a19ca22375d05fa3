//! The verbs of the policy of rotation and retention: storing one, so that whoever dies in between has set none of it, and
//! loading one whole.
//!
//! 1. There are two copies, and a number that says which holds. Setters have the maintenance byte: each fills the copy
//!    that does not hold, then stores the next number. A copy is filled again only behind the number after its own, so
//!    whoever finds the number unchanged behind a copy has read that policy and no other.
//! 2. Each copy has a check of its words, its number and its log: what a power cut or a scribbler left is no policy, and
//!    nothing is deleted by it. (Not: the number alone. It says nothing of words that came to the disk by halves.)
//! 3. Growth reads one word, stored behind the number, and takes whatever it finds into its range.

use crate::layout::{POSITION_END, Policies, Policy, PolicyCopy};
use crate::sync::{AtomicU64, Ordering, fence};
use crate::units::{lasting, size};

/// The words of a policy: which are set, the eight rules, when it was set, and spare ones.
pub type Words = [u64; 15];
/// Where the rules begin in them.
pub const FIRST_RULE: usize = 1;
/// Where the time is at which it was set.
pub const SET_NS: usize = 9;
/// Bit of the rule for free space: it is a share.
pub const SHARE: u64 = 1 << 63;
/// The most bytes of any rule.
const MOST_BYTES: u64 = 1 << 61;
/// The least bytes of a segment that is full.
const LEAST_SEGMENT: u64 = 64 << 10;
const SECOND: u64 = 1_000_000_000;
const CENTURY: u64 = 100 * 365 * 86_400 * SECOND;

/// What a rule's word means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Unit {
    Bytes,
    Nanoseconds,
    Count,
    BytesOrShare,
    Codec,
}

/// A rule of the policy, and which values it may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    /// As command lines have it.
    pub name: &'static str,
    unit: Unit,
    least: u64,
    most: u64,
}

const fn rule(name: &'static str, unit: Unit, least: u64, most: u64) -> Rule {
    Rule { name, unit, least, most }
}

/// In the order of their words and bits.
pub const RULES: [Rule; 8] = [
    rule("rotate-size", Unit::Bytes, LEAST_SEGMENT, MOST_BYTES),
    rule("rotate-age", Unit::Nanoseconds, SECOND, CENTURY),
    rule("keep", Unit::Count, 0, 1_000_000_000),
    rule("keep-bytes", Unit::Bytes, 0, MOST_BYTES),
    rule("keep-age", Unit::Nanoseconds, SECOND, CENTURY),
    rule("keep-free", Unit::BytesOrShare, 1, MOST_BYTES),
    rule("hold-max", Unit::Bytes, 1, MOST_BYTES),
    rule("compress", Unit::Codec, 1, 2),
];

impl Rule {
    /// Whether it may have that value.
    pub fn allows(&self, value: u64) -> bool {
        match self.unit {
            Unit::BytesOrShare if value & SHARE != 0 => (1..=99).contains(&(value & !SHARE)),
            _ => (self.least..=self.most).contains(&value),
        }
    }

    /// A value in words.
    pub fn shown(&self, value: u64) -> String {
        match self.unit {
            Unit::BytesOrShare if value & SHARE != 0 => format!("{}%", value & !SHARE),
            Unit::Bytes | Unit::BytesOrShare => size(value),
            Unit::Nanoseconds => lasting(std::time::Duration::from_nanos(value)),
            Unit::Count => value.to_string(),
            Unit::Codec => ["zstd", "gzip"].get(value.wrapping_sub(1) as usize).unwrap_or(&"?").to_string(),
        }
    }

    /// A value that it may not have, in words: in round ones, that may be the end of the range itself.
    pub fn refused(&self, value: u64) -> String {
        let shown = self.shown(value);
        match value {
            _ if value > self.most && shown == self.shown(self.most) => format!("of more than {shown}"),
            _ if value < self.least && shown == self.shown(self.least) => format!("of less than {shown}"),
            _ => shown,
        }
    }

    /// The values that it may have, in words.
    pub fn range(&self) -> String {
        let (least, most) = (self.shown(self.least), self.shown(self.most));
        match self.unit {
            Unit::BytesOrShare => format!("{least} to {most}, or 1% to 99%"),
            Unit::Codec => format!("{least} or {most}"),
            _ => format!("{least} to {most}"),
        }
    }
}

/// The rules that are set, with their values.
pub fn rules_of(words: &Words) -> impl Iterator<Item = (Rule, u64)> + '_ {
    let set = words[0];
    let values = words[FIRST_RULE..].iter().copied();
    RULES.into_iter().zip(values).zip(0..).filter(move |(_, bit)| set >> bit & 1 == 1).map(|(rule, _)| rule)
}

/// What the metadata says of the log's policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said {
    /// There is none.
    Nothing,
    /// This.
    Whole(Words),
    /// What is there is none: nothing goes by it.
    Torn,
}

/// Tells words apart that belong together from any others, but for one in 2^64.
pub fn mix(words: impl IntoIterator<Item = u64>) -> u64 {
    words.into_iter().fold(0x9e37_79b9_7f4a_7c15, |mixed, word| {
        let mixed = (mixed ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd);
        mixed ^ (mixed >> 32)
    })
}

/// What a copy's check has to be.
fn check_of(words: &Words, number: u64, uuid: [u64; 2]) -> u64 {
    mix(words.iter().copied().chain([number]).chain(uuid))
}

impl PolicyCopy {
    fn words(&self) -> [&AtomicU64; 15] {
        let [a, b, c, d, e] = &self.spare_words;
        let Self { set, rotate_size, rotate_age_ns, keep, keep_bytes, keep_age_ns, .. } = self;
        let Self { keep_free, hold_max, compress, set_ns, .. } = self;
        [
            set,
            rotate_size,
            rotate_age_ns,
            keep,
            keep_bytes,
            keep_age_ns,
            keep_free,
            hold_max,
            compress,
            set_ns,
            a,
            b,
            c,
            d,
            e,
        ]
    }

    /// Stores the words, which are to hold from `number` on.
    pub fn fill(&self, words: &Words, number: u64, uuid: [u64; 2]) {
        for (to, &word) in self.words().into_iter().zip(words) {
            to.store(word, Ordering::Relaxed);
        }
        self.check.store(check_of(words, number, uuid), Ordering::Relaxed);
    }

    /// The words, if they are those of `number`.
    pub fn get(&self, number: u64, uuid: [u64; 2]) -> Said {
        let words = self.words().map(|word| word.load(Ordering::Relaxed));
        let is_whole = self.check.load(Ordering::Relaxed) == check_of(&words, number, uuid);
        match is_whole && rules_of(&words).all(|(rule, value)| rule.allows(value)) {
            true if rules_of(&words).next().is_none() => Said::Nothing,
            true => Said::Whole(words),
            false => Said::Torn,
        }
    }
}

/// More of them in one look than anybody could start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooManySetters;

impl Policies {
    const TRIES: usize = 16;

    /// The copy of that number.
    pub fn copy(&self, number: u64) -> &PolicyCopy {
        &self.copies[(number % 2) as usize]
    }

    /// The policy that holds, by what `get` makes of its copy and its number: `None` while none was set.
    pub fn read<T>(&self, get: impl Fn(&PolicyCopy, u64) -> T) -> Result<Option<T>, TooManySetters> {
        for _ in 0..Self::TRIES {
            let number = self.number.load(Ordering::Acquire); // policy
            if number == 0 {
                return Ok(None);
            }
            let got = get(self.copy(number), number);
            fence(Ordering::Acquire); // policy
            if self.number.load(Ordering::Relaxed) == number {
                return Ok(Some(got));
            }
        }
        Err(TooManySetters)
    }

    /// Sets the next policy, by what `fill` stores in its copy; the caller has the maintenance byte. Whoever dies here has
    /// set none of it.
    pub fn write(&self, fill: impl FnOnce(&PolicyCopy, u64)) {
        let number = self.next();
        // Who sees any of the copy sees the number before, at the least.
        fence(Ordering::Release); // policy
        fill(self.copy(number), number);
        self.number.store(number, Ordering::Release); // policy
    }

    /// The policy that holds.
    pub fn load(&self, uuid: [u64; 2]) -> Said {
        match self.read(|copy, number| copy.get(number, uuid)) {
            Ok(said) => said.unwrap_or(Said::Nothing),
            Err(TooManySetters) => Said::Torn,
        }
    }

    /// Sets it, as [`write`](Self::write).
    pub fn store(&self, words: &Words, uuid: [u64; 2]) {
        self.write(|copy, number| copy.fill(words, number, uuid));
    }

    /// Says that there was a policy, and that nobody knows which.
    pub fn store_damaged(&self) {
        self.write(|copy, _| {
            copy.set.store(u64::MAX, Ordering::Relaxed);
            copy.check.store(0, Ordering::Relaxed);
        });
    }

    fn next(&self) -> u64 {
        match self.number.load(Ordering::Relaxed).wrapping_add(1) {
            0 => 2,
            number => number,
        }
    }
}

impl Policy {
    /// Tells growth; the caller has the maintenance byte, and has set the policy.
    pub fn tell_growth(&self, words: &Words) {
        let bytes = words[0] % 2 * words[FIRST_RULE];
        if self.rotate_size.load(Ordering::Relaxed) != bytes {
            self.rotate_size.store(bytes, Ordering::Relaxed);
        }
    }

    /// The most bytes that growth may give a segment, if there is such a length: whole pages, whatever is stored there.
    pub fn longest_segment(&self, page_size: u64) -> Option<u64> {
        let bytes = self.rotate_size.load(Ordering::Relaxed);
        (1..=MOST_BYTES).contains(&bytes).then(|| {
            let bytes = bytes.max(LEAST_SEGMENT);
            bytes - bytes % page_size.max(1)
        })
    }

    /// The position at which growth of a segment that begins at `base` ends, if it does.
    pub fn cap(&self, base: u64, page_size: u64) -> Option<u64> {
        self.longest_segment(page_size).map(|bytes| base.saturating_add(bytes).min(POSITION_END - 1))
    }
}
