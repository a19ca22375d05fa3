//! When which positions were reached: pairs of a time and two positions, noted once a second by whoever appends then.
//!
//! A pair is noted in this order: load the watermark, read the clock, load the cursor. So every append below `settled` had
//! ended before `at_ns`, and every one at or behind `reserved` began later, whoever sleeps between any two of the three.
//! (Not: one position. An append that is in flight lies on both sides of the time.)
//!
//! A clock that is set makes times say nothing of the order of positions. So whoever notes a pair compares the wall clock
//! with the time since the boot, and notes a *step* before the pair, if it has moved: up to when the clock may have gone
//! before, and from when on afterwards. What makes that sound, for any number of publishers that sleep or die anywhere, as
//! long as a pair is noted between two settings of the clock:
//!
//! 1. `up_ns`, then `booted_ns`, are loaded first. Who does not find what the clock goes by now notes a step of its own; who
//!    does comes behind the one that noted it, whose `reserved` is not above its own.
//! 2. The clocks are read once more behind the cursor: nobody set them in between.
//! 3. The step is written before `booted_ns` is stored, and `booted_ns` before the pair: whoever dies leaves it to the next.
//!
//! Pairs are put where the count of them says: each level has every second one of the level below, so old ones become
//! rarer as they get older, and none is ever moved. Each has a check of its words, its place and the log: what was written
//! by halves, or is of another log, is none. A pair that is lost makes answers wider, never narrower.

use crate::layout::{FINALS_MAX, LEVEL_PAIRS, STEPS_MAX, TIME_LEVELS, Times};
use crate::metadata::policy::mix;
use crate::sync::Ordering;

/// A pair a second, at most.
pub const SECOND_NS: u64 = 1_000_000_000;
/// The longest that reading two clocks may take for them to be read together.
pub const TOGETHER_NS: u64 = 1_000_000;
/// By how much two clocks that nobody set seem to move apart, at most.
const SET_NS: u64 = 3_000_000;
/// By how much ends of ranges move out: more than a clock can be wrong without a step.
pub const MARGIN_NS: u64 = 10_000_000;
/// A clock that was set by more is doubted for a while.
const DOUBTED_NS: u64 = 60 * SECOND_NS;
/// For so long.
const DOUBT_NS: u64 = 3600 * SECOND_NS;
/// How much older the newest time on the disk is than the newest bytes, at most: the kernel writes both within half a minute
/// or so, and a writer that was fast appends less than 64 messages before it looks at the time.
pub const LOST_NS: u64 = 600 * SECOND_NS;
/// How often a pair is begun anew because somebody sets the clock just then.
const TRIES: u32 = 4;

/// Two clocks, read together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reading {
    /// The wall clock.
    pub at_ns: u64,
    /// The time since the boot, before it.
    pub up_ns: u64,
    /// How much of it went by.
    pub took_ns: u64,
}

impl Reading {
    /// The wall clock less the time since the boot; perhaps less than 0, modulo 2^64.
    pub fn booted_ns(&self) -> u64 {
        self.at_ns.wrapping_sub(self.up_ns)
    }

    /// By how much the clock was set since it went by that.
    pub fn set_by(&self, booted_ns: u64) -> u64 {
        self.booted_ns().wrapping_sub(booted_ns).cast_signed().unsigned_abs()
    }

    fn was_set_since(&self, booted_ns: u64) -> bool {
        self.set_by(booted_ns) > SET_NS
    }
}

/// A time, and the positions that were reached then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pair {
    /// Nanoseconds since the epoch.
    pub at_ns: u64,
    /// What lies below had been appended.
    pub settled: u64,
    /// What lies there or behind had not been begun.
    pub reserved: u64,
}

/// The clock was set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// What lies below had been appended when that was noted.
    pub settled: u64,
    /// What lies there or behind had not been begun.
    pub reserved: u64,
    /// The latest that the clock can have said before.
    pub before_ns: u64,
    /// The earliest that it can have said afterwards, until somebody noted the next pair.
    pub after_ns: u64,
    /// Which, from 0.
    pub number: u64,
}

/// When a segment began and became final.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Final {
    /// Its number.
    pub generation: u64,
    /// Position of its first byte.
    pub base: u64,
    /// When it began.
    pub began_ns: u64,
    /// When it became final; its end is what was settled then.
    pub ended: Pair,
}

/// Tells words apart that belong together from any others, but for one in 2^64.
fn check(words: &[u64], place: usize, uuid: [u64; 2]) -> u64 {
    mix(words.iter().copied().chain([place as u64]).chain(uuid))
}

impl Pair {
    /// Which place the pair of that number, from 1, has.
    pub fn place(number: u64) -> usize {
        let level = (number.trailing_zeros() as usize).min(TIME_LEVELS - 1);
        let of_level = number >> (level + 1).min(TIME_LEVELS - 1);
        level * LEVEL_PAIRS + (of_level % LEVEL_PAIRS as u64) as usize
    }

    /// As it is stored.
    pub fn words(&self, place: usize, uuid: [u64; 2]) -> [u64; 4] {
        let words = [self.at_ns, self.settled, self.reserved];
        [words[0], words[1], words[2], check(&words, place, uuid)]
    }

    /// As it was stored there.
    pub fn of(words: [u64; 4], place: usize, uuid: [u64; 2]) -> Option<Self> {
        let [at_ns, settled, reserved, said] = words;
        let is_whole = said == check(&words[..3], place, uuid) && settled <= reserved;
        is_whole.then_some(Self { at_ns, settled, reserved })
    }

    /// What it is worth once positions from `end` on are given out anew.
    pub fn lowered(self, end: u64) -> Self {
        Self { settled: self.settled.min(end), reserved: self.reserved.min(end), ..self }
    }
}

impl Step {
    /// Which place it has.
    pub fn place(&self) -> usize {
        (self.number % STEPS_MAX as u64) as usize
    }

    /// As it is stored.
    pub fn words(&self, uuid: [u64; 2]) -> [u64; 8] {
        let Self { settled, reserved, before_ns, after_ns, number } = *self;
        with_check([settled, reserved, before_ns, after_ns, number, 0, 0, 0], self.place(), uuid)
    }

    /// As it was stored there.
    pub fn of(words: [u64; 8], place: usize, uuid: [u64; 2]) -> Option<Self> {
        let [settled, reserved, before_ns, after_ns, number, ..] = words;
        let is_whole = words == with_check(words, place, uuid) && settled <= reserved;
        is_whole.then_some(Self { settled, reserved, before_ns, after_ns, number })
    }

    /// What it is worth once positions from `end` on are given out anew.
    pub fn lowered(self, end: u64) -> Self {
        Self { settled: self.settled.min(end), reserved: self.reserved.min(end), ..self }
    }
}

impl Final {
    /// Which place the segment of that number has.
    pub fn place(generation: u64) -> usize {
        (generation % FINALS_MAX as u64) as usize
    }

    /// As it is stored.
    pub fn words(&self, uuid: [u64; 2]) -> [u64; 8] {
        let Self { generation, base, began_ns, ended } = *self;
        let words = [generation, base, began_ns, ended.at_ns, ended.settled, ended.reserved, 0, 0];
        with_check(words, Self::place(generation), uuid)
    }

    /// As it was stored there.
    pub fn of(words: [u64; 8], place: usize, uuid: [u64; 2]) -> Option<Self> {
        let [generation, base, began_ns, at_ns, settled, reserved, ..] = words;
        let is_whole = words == with_check(words, place, uuid) && base <= settled && settled <= reserved;
        is_whole.then_some(Self { generation, base, began_ns, ended: Pair { at_ns, settled, reserved } })
    }
}

fn with_check(mut words: [u64; 8], place: usize, uuid: [u64; 2]) -> [u64; 8] {
    words[7] = check(&words[..7], place, uuid);
    words
}

/// What noting a pair needs of the world.
pub trait World {
    /// Every append below has ended; `None` where that cannot be told.
    fn settled(&self) -> Option<u64>;
    /// `None` where they cannot be read together.
    fn clocks(&self) -> Option<Reading>;
    /// Every append that begins later is there or behind.
    fn reserved(&self) -> u64;
    /// Where nobody looks yet, or has noted it for good.
    fn note_step(&self, step: &Step);
}

impl Times {
    /// Whether a second has gone by since the last pair, or the clock was set: asked of each look.
    #[inline]
    pub fn is_due(&self, now_ns: u64) -> bool {
        now_ns.abs_diff(self.last_ns.load(Ordering::Relaxed)) >= SECOND_NS
    }

    /// Whose turn it is to note a pair: one of all that ask.
    pub fn claim(&self, now_ns: u64) -> bool {
        let last = self.last_ns.load(Ordering::Relaxed);
        now_ns.abs_diff(last) >= SECOND_NS
            && self.last_ns.compare_exchange(last, now_ns, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// The number of a pair that is to be stored, from 1.
    pub fn next(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// The pair of now, not stored yet; what the clock did since the last one is.
    pub fn observe(&self, world: &impl World) -> Option<Pair> {
        for _ in 0..TRIES {
            // In this order: who sees the time of a pair sees what the clock went by then.
            let up_ns = self.up_ns.load(Ordering::Acquire); // times
            let booted_ns = self.booted_ns.load(Ordering::Acquire); // times
            let settled = world.settled()?;
            let now = world.clocks()?;
            let reserved = world.reserved();
            if settled > reserved {
                return None;
            }
            if world.clocks()?.was_set_since(now.booted_ns()) {
                continue;
            }
            if let Some((before_ns, after_ns)) = step_since((up_ns, booted_ns), &now) {
                let number = self.steps.fetch_add(1, Ordering::Relaxed);
                world.note_step(&Step { settled, reserved, before_ns, after_ns, number });
                self.went_by(booted_ns, &now);
            }
            self.up_ns.fetch_max(now.up_ns, Ordering::Release); // times
            return Some(Pair { at_ns: now.at_ns, settled, reserved });
        }
        None
    }

    fn went_by(&self, booted_ns: u64, now: &Reading) {
        if now.set_by(booted_ns) > DOUBTED_NS {
            self.set_up_ns.store(now.up_ns, Ordering::Relaxed);
        }
        let to = now.booted_ns();
        // Who was faster has noted it, too.
        let _ = self.booted_ns.compare_exchange(booted_ns, to, Ordering::AcqRel, Ordering::Relaxed); // times
    }

    /// Begins anew with that reading; nobody else notes anything, or has.
    pub fn begin(&self, now: &Reading, epoch: u64) {
        self.last_ns.store(now.at_ns, Ordering::Relaxed);
        self.booted_ns.store(now.booted_ns(), Ordering::Relaxed);
        self.up_ns.store(now.up_ns, Ordering::Relaxed);
        self.set_up_ns.store(0, Ordering::Relaxed);
        self.epoch.store(epoch, Ordering::Release); // times
    }

    /// For how long it will be doubted yet, in nanoseconds, what the clock says: it was set by more than a minute since the
    /// last pair, or within the last hour.
    pub fn doubted_for(&self, now: &Reading) -> Option<u64> {
        if now.set_by(self.booted_ns.load(Ordering::Acquire)) > DOUBTED_NS {
            return Some(DOUBT_NS);
        }
        let set_up_ns = self.set_up_ns.load(Ordering::Relaxed);
        let ago = now.up_ns.saturating_sub(set_up_ns);
        (set_up_ns != 0 && ago < DOUBT_NS).then(|| DOUBT_NS - ago)
    }

    /// Another boot: positions go on at `end`. `newest_ns` is the newest time that was noted before, `steps` how many steps
    /// were. What is to be noted now.
    pub fn begin_boot(&self, now: &Reading, end: u64, newest_ns: u64, steps: u64) -> (Option<Step>, Pair) {
        let newest_ns = newest_ns.max(self.last_ns.load(Ordering::Relaxed));
        self.begin(now, self.epoch.load(Ordering::Relaxed));
        self.steps.fetch_max(steps, Ordering::Relaxed);
        let pair = Pair { at_ns: now.at_ns, settled: end, reserved: end };
        if now.at_ns >= newest_ns {
            return (None, pair);
        }
        self.set_up_ns.store(now.up_ns.max(1), Ordering::Relaxed);
        let (before_ns, number) =
            (newest_ns.saturating_add(LOST_NS), self.steps.fetch_add(1, Ordering::Relaxed));
        (Some(Step { settled: end, reserved: end, before_ns, after_ns: now.at_ns, number }), pair)
    }
}

/// Whether the clock was set since it was seen: the latest that it can have said before, and the earliest afterwards. Seen
/// are the time since the boot and what the clock went by then.
pub fn step_since((up_ns, booted_ns): (u64, u64), now: &Reading) -> Option<(u64, u64)> {
    if !now.was_set_since(booted_ns) {
        return None;
    }
    let at = |booted: u64, up: u64| {
        let ns = booted.wrapping_add(up);
        if ns > i64::MAX.cast_unsigned() { 0 } else { ns }
    };
    let before = at(booted_ns, now.up_ns).saturating_add(SET_NS + TOGETHER_NS);
    Some((before, at(now.booted_ns(), up_ns).saturating_sub(SET_NS + TOGETHER_NS)))
}

/// By position; those of one position by time.
pub fn sort(pairs: &mut Vec<Pair>) {
    pairs.sort_unstable_by_key(|pair| (pair.reserved, pair.at_ns, pair.settled));
    pairs.dedup();
}

/// Of pairs that are sorted: the one with the greatest `settled` before anything that is not before that time.
pub fn before<'a>(pairs: &'a [Pair], steps: &[Step], since_ns: u64) -> Option<&'a Pair> {
    let first = pairs.iter().position(|pair| pair.at_ns >= since_ns).unwrap_or(pairs.len());
    let steps = steps.iter().filter(|step| step.before_ns >= since_ns);
    let step = steps.map(|step| step.reserved).min().unwrap_or(u64::MAX);
    pairs[..first].iter().filter(|pair| pair.reserved < step).max_by_key(|pair| pair.settled)
}

/// Of pairs that are sorted: the first one behind anything that is not after that time.
pub fn behind<'a>(pairs: &'a [Pair], steps: &[Step], until_ns: u64) -> Option<&'a Pair> {
    let next = pairs.iter().rposition(|pair| pair.at_ns <= until_ns).map_or(0, |last| last + 1);
    let step = steps.iter().filter(|step| step.after_ns <= until_ns).map(|step| step.reserved).max();
    pairs[next..].iter().find(|pair| step.is_none_or(|step| pair.reserved > step))
}

/// What can be seen now, where the clock is that of who appends; `seen` as [`step_since`] has it, `end` the cursor between
/// two readings. A pair, or that the clock was set since.
pub fn seen_now(seen: (u64, u64), [now, again]: [Reading; 2], end: u64) -> Result<Pair, Step> {
    let set = step_since(seen, &now);
    match set.or_else(|| step_since((now.up_ns, now.booted_ns()), &again)) {
        None => Ok(Pair { at_ns: now.at_ns, settled: 0, reserved: end }),
        Some((before_ns, after_ns)) => {
            Err(Step { settled: end, reserved: end, before_ns, after_ns, number: u64::MAX })
        }
    }
}
