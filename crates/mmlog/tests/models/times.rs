//! Noting times: publishers that look at once, a clock that is set meanwhile, places that two store to.
//!
//! A clock is the kernel's: whoever reads it has what everybody has by now, which is a read-modify-write here.

use std::sync::{Arc, Mutex};

use mmlog::layout::Times;
use mmlog::sync::{AtomicU64, Ordering};
use mmlog::times::{self, Pair, Reading, SECOND_NS, Step, World as Asked, step_since};

use crate::checker::{caught, holds, spawn};

const MISSED: &str = "an answer lacks a message";
const MIXED: &str = "two pairs are read as one";
const TWICE: &str = "both note a pair";
const UUID: [u64; 2] = [3, 5];
/// What the clock goes by at first, and what it is set to.
const HIGH: u64 = 10_000 * SECOND_NS;
const LOW: u64 = 1000 * SECOND_NS;
const UP: u64 = 100 * SECOND_NS;
/// The length of a message.
const LEN: u64 = 10;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    AsShipped,
    /// What the clock went by is looked at behind the positions.
    SeenLast,
    /// Others hear that it was set before a step says so.
    StepLast,
    #[cfg_attr(feature = "shuttle", allow(dead_code, reason = "no difference in program order"))]
    Relaxed,
}
use Way::*;

struct World {
    times: Times,
    booted: AtomicU64,
    cursor: AtomicU64,
    settled: AtomicU64,
    /// Read when all is done.
    noted: Mutex<(Vec<Pair>, Vec<Step>)>,
}

impl Asked for World {
    fn settled(&self) -> Option<u64> {
        Some(self.settled.load(Ordering::Acquire))
    }

    fn clocks(&self) -> Option<Reading> {
        let booted = self.booted.fetch_add(0, Ordering::AcqRel);
        Some(Reading { at_ns: booted + UP, up_ns: UP, took_ns: 0 })
    }

    fn reserved(&self) -> u64 {
        self.cursor.load(Ordering::Acquire)
    }

    fn note_step(&self, step: &Step) {
        self.noted.lock().unwrap().1.push(*step);
    }
}

impl World {
    fn new() -> Arc<Self> {
        let world = Self {
            times: Times::default(),
            booted: AtomicU64::new(HIGH),
            cursor: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            noted: Mutex::default(),
        };
        world.times.begin(&world.clocks().unwrap(), 0);
        Arc::new(world)
    }

    fn append(&self) {
        let start = self.cursor.fetch_add(LEN, Ordering::AcqRel);
        self.settled.store(start + LEN, Ordering::Release);
    }

    /// [`Times::observe`], or as it must not be.
    fn observe(&self, way: Way) -> Option<Pair> {
        if way == AsShipped {
            return self.times.observe(self);
        }
        let order = if way == Relaxed { Ordering::Relaxed } else { Ordering::Acquire };
        let seen = || (self.times.up_ns.load(order), self.times.booted_ns.load(order));
        let first = (way != SeenLast).then(seen);
        let (settled, now, reserved) = (self.settled()?, self.clocks()?, self.reserved());
        let seen = first.unwrap_or_else(seen);
        if let Some((before_ns, after_ns)) = step_since(seen, &now) {
            let number = self.times.steps.fetch_add(1, Ordering::Relaxed);
            let step = Step { settled, reserved, before_ns, after_ns, number };
            let tell = || {
                let order = if way == Relaxed { Ordering::Relaxed } else { Ordering::AcqRel };
                let now = now.booted_ns();
                let _ = self.times.booted_ns.compare_exchange(seen.1, now, order, Ordering::Relaxed);
            };
            if way == StepLast {
                // It dies here.
                tell();
                return None;
            }
            self.note_step(&step);
            tell();
        }
        Some(Pair { at_ns: now.at_ns, settled, reserved })
    }

    fn publish(&self, way: Way) {
        if let Some(pair) = self.observe(way) {
            self.noted.lock().unwrap().0.push(pair);
        }
    }
}

/// A message while the clock is ahead, and another behind the hour at which it is set back; two publishers meanwhile.
fn clock_is_set_back(way: Way) {
    let world = World::new();
    let publishers = [way, if way == StepLast { AsShipped } else { way }].map(|way| {
        let world = Arc::clone(&world);
        spawn(move || world.publish(way))
    });
    world.append();
    world.booted.fetch_add(LOW.wrapping_sub(HIGH), Ordering::AcqRel);
    world.append();
    publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
    let (mut pairs, mut steps) = std::mem::take(&mut *world.noted.lock().unwrap());
    let seen = (UP, world.times.booted_ns.load(Ordering::Acquire));
    match times::seen_now(seen, [world.clocks().unwrap(); 2], 2 * LEN) {
        Ok(pair) => pairs.push(pair),
        Err(step) => steps.push(step),
    }
    times::sort(&mut pairs);
    // The first one was appended then.
    let from = times::before(&pairs, &steps, HIGH + UP).map_or(0, |pair| pair.settled);
    assert_eq!(from, 0, "{MISSED} since: {pairs:?} {steps:?}");
    // The second one when the clock had been set back.
    let to = times::behind(&pairs, &steps, LOW + UP).map_or(2 * LEN, |pair| pair.reserved);
    assert_eq!(to, 2 * LEN, "{MISSED} until: {pairs:?} {steps:?}");
}

#[test]
fn an_answer_has_what_was_appended_before_and_after_a_clock_was_set() {
    holds(2, || clock_is_set_back(AsShipped));
}

#[test]
fn looking_last_at_what_the_clock_goes_by_is_caught() {
    caught(3, &[MISSED], || clock_is_set_back(SeenLast));
}

#[test]
fn telling_that_a_clock_was_set_before_a_step_says_so_is_caught() {
    caught(3, &[MISSED], || clock_is_set_back(StepLast));
}

/// Only a checker of memory orders sees it.
#[cfg(feature = "loom")]
#[test]
fn finding_relaxed_that_somebody_noted_a_step_is_caught() {
    caught(3, &[MISSED], || clock_is_set_back(Relaxed));
}

/// Two store to one place, word by word, and somebody reads it.
fn place_is_shared(is_checked: bool) {
    let place: Arc<[AtomicU64; 4]> = Arc::new(std::array::from_fn(|_| AtomicU64::new(0)));
    let pairs = [1, 2].map(|n| Pair { at_ns: n, settled: n, reserved: n });
    let writers = pairs.map(|pair| {
        let place = Arc::clone(&place);
        spawn(move || {
            let words = pair.words(0, UUID);
            place.iter().zip(words).for_each(|(to, word)| to.store(word, Ordering::Relaxed));
        })
    });
    let words = std::array::from_fn(|i| place[i].load(Ordering::Relaxed));
    let [at_ns, settled, reserved, check] = words;
    let read = match is_checked {
        true => Pair::of(words, 0, UUID),
        false => (check != 0).then_some(Pair { at_ns, settled, reserved }),
    };
    assert!(read.is_none_or(|read| pairs.contains(&read)), "{MIXED}: {read:?}");
    writers.into_iter().for_each(|writer| writer.join().unwrap());
}

#[test]
fn a_pair_is_read_as_it_was_or_not_at_all() {
    holds(3, || place_is_shared(true));
}

#[test]
fn reading_a_pair_without_its_check_is_caught() {
    caught(2, &[MIXED], || place_is_shared(false));
}

/// Of any that find that a second has gone by, one notes a pair.
fn claims(count: u64) {
    let times = Arc::new(Times::default());
    times.last_ns.store(SECOND_NS, Ordering::Relaxed);
    let others: Vec<_> = (1..count)
        .map(|n| {
            let times = Arc::clone(&times);
            spawn(move || u64::from(times.claim(3 * SECOND_NS + n)))
        })
        .collect();
    let mine = u64::from(times.claim(3 * SECOND_NS));
    let all: u64 = mine + others.into_iter().map(|other| other.join().unwrap()).sum::<u64>();
    assert_eq!(all, 1, "{TWICE}");
}

#[test]
fn of_all_who_look_one_notes_a_pair() {
    holds(3, || claims(3));
}
