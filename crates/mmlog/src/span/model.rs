//! The answer always contains every message whose append began or ended inside the asked time: for writers, publishers and
//! readers that sleep between any two steps or die there, places that are used again, clocks that are set, and power cuts.
//!
//! Actors run inside one another: at each step of one, others may take any number of theirs. The verbs are those that ship.
//! A clock is set at most once between two pairs, and a power cut comes when that was noted: nobody can know more.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::Known;
use crate::files::times::Noted;
use crate::layout::{STEPS_MAX, Times};
use crate::sync::Ordering::Relaxed;
use crate::times::{LOST_NS, Pair, Reading, SECOND_NS, Step, World as Asked};

const MS: u64 = 1_000_000;
const HOUR: u64 = 3600 * SECOND_NS;
const BEGAN_NS: u64 = 1_700_000_000 * SECOND_NS;
const UUID: [u64; 2] = [7, 11];
/// So few that they are used again all the time.
const PLACES: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mutant {
    None,
    SettledIsTheCursor,
    NoCheckOfPairs,
    NotLowered,
    NoSteps,
    ClocksReadOnce,
}

/// Xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

#[derive(Clone, Copy, Debug)]
struct Message {
    start: u64,
    end: u64,
    began_ns: u64,
    ended_ns: Option<u64>,
}

struct State {
    random: Random,
    up_ns: u64,
    /// The wall clock less the time since the boot.
    booted_ns: u64,
    cursor: u64,
    synced: u64,
    messages: Vec<Message>,
    pairs: [[u64; 4]; PLACES],
    on_disk: [[u64; 4]; PLACES],
    steps: [[u64; 8]; STEPS_MAX],
    sets: u64,
    /// Nobody has noted the last one.
    unseen: bool,
    depth: u32,
    narrow: u32,
}

struct Model {
    state: RefCell<State>,
    times: Times,
    mutant: Mutant,
}

/// One that notes a pair; dies after so many steps.
struct Publisher<'a> {
    model: &'a Model,
    dies_in: Cell<u64>,
    first: Cell<Option<Reading>>,
}

struct Killed;

impl Publisher<'_> {
    fn step(&self) {
        self.model.others();
        self.dies_in.set(self.dies_in.get().saturating_sub(1));
        if self.dies_in.get() == 0 {
            resume_unwind(Box::new(Killed));
        }
    }
}

impl Asked for Publisher<'_> {
    fn settled(&self) -> Option<u64> {
        self.step();
        let bound = self.model.state.borrow().cursor;
        self.step();
        let mut s = self.model.state.borrow_mut();
        if self.model.mutant == Mutant::SettledIsTheCursor {
            return Some(s.cursor);
        }
        // A slot that says "reserving" has a lower bound that may be old.
        let late = if s.random.one_in(4) { s.random.below(100) } else { 0 };
        Some(bound.min(s.watermark()).saturating_sub(late))
    }

    fn clocks(&self) -> Option<Reading> {
        if let (Mutant::ClocksReadOnce, Some(first)) = (self.model.mutant, self.first.get()) {
            self.first.set(None);
            return Some(first);
        }
        self.step();
        let reading = self.model.state.borrow_mut().read_clocks();
        self.first.set(Some(reading));
        Some(reading)
    }

    fn reserved(&self) -> u64 {
        self.step();
        self.model.state.borrow().cursor
    }

    fn note_step(&self, step: &Step) {
        self.step();
        if self.model.mutant != Mutant::NoSteps {
            self.model.state.borrow_mut().steps[step.place()] = step.words(UUID);
        }
        self.step();
    }
}

impl State {
    fn wall_ns(&self) -> u64 {
        self.booted_ns + self.up_ns
    }

    fn read_clocks(&mut self) -> Reading {
        let up_ns = self.up_ns;
        self.up_ns += self.random.below(MS / 2);
        let at_ns = self.wall_ns();
        self.up_ns += self.random.below(MS / 2);
        Reading { at_ns, up_ns, took_ns: self.up_ns - up_ns }
    }

    fn in_flight(&self) -> Vec<usize> {
        (0..self.messages.len()).filter(|&i| self.messages[i].ended_ns.is_none()).collect()
    }

    fn watermark(&self) -> u64 {
        let open = self.in_flight().into_iter().map(|i| self.messages[i].start);
        open.min().unwrap_or(self.cursor)
    }

    fn set_clock(&mut self) {
        if self.unseen {
            return;
        }
        let by = [MS, 20 * MS, 700 * MS, 2 * SECOND_NS, 100 * SECOND_NS, HOUR][self.random.below(6) as usize];
        let by = 1 + self.random.below(by);
        (self.sets, self.unseen) = (self.sets + 1, true);
        let back = self.random.one_in(2);
        self.booted_ns = if back { self.booted_ns - by } else { self.booted_ns + by };
    }

    /// A step of anybody but a publisher.
    fn act(&mut self) {
        match self.random.below(14) {
            0..5 => {
                let most =
                    [MS, 30 * MS, SECOND_NS, 3 * SECOND_NS, 20 * SECOND_NS][self.random.below(5) as usize];
                self.up_ns += self.random.below(most);
            }
            5 => self.set_clock(),
            6..9 => {
                let (start, len) = (self.cursor, 1 + self.random.below(100));
                self.cursor += len;
                let began_ns = self.wall_ns();
                self.messages.push(Message { start, end: start + len, began_ns, ended_ns: None });
            }
            9..12 => {
                let open = self.in_flight();
                if !open.is_empty() {
                    let i = open[self.random.below(open.len() as u64) as usize];
                    // Dead: a hole.
                    if self.random.one_in(10) {
                        self.messages.remove(i);
                    } else {
                        self.messages[i].ended_ns = Some(self.wall_ns());
                    }
                }
            }
            12 => {
                let i = self.random.below(PLACES as u64) as usize;
                self.on_disk[i] = self.pairs[i];
            }
            _ if self.random.one_in(4) => {
                self.synced = self.watermark();
                self.on_disk = self.pairs;
            }
            _ => {}
        }
    }
}

impl Model {
    fn new(seed: u64, mutant: Mutant) -> Self {
        let state = State {
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            up_ns: 50 * SECOND_NS,
            booted_ns: BEGAN_NS,
            cursor: 0,
            synced: 0,
            messages: Vec::new(),
            pairs: [[0; 4]; PLACES],
            on_disk: [[0; 4]; PLACES],
            steps: [[0; 8]; STEPS_MAX],
            sets: 0,
            unseen: false,
            depth: 0,
            narrow: 0,
        };
        let model = Self { state: RefCell::new(state), times: Times::default(), mutant };
        let now = model.state.borrow_mut().read_clocks();
        model.times.begin(&now, 0);
        model.times.last_ns.store(0, Relaxed);
        model
    }

    /// What everybody else does meanwhile.
    fn others(&self) {
        let steps = self.state.borrow_mut().random.below(4);
        for _ in 0..steps {
            let publishes = {
                let mut s = self.state.borrow_mut();
                s.random.one_in(5) && s.depth < 3
            };
            if publishes { self.publish() } else { self.state.borrow_mut().act() }
        }
    }

    fn publish(&self) {
        let (now_ns, sets, dies_in) = {
            let mut s = self.state.borrow_mut();
            let dies_in = if s.random.one_in(5) { 1 + s.random.below(14) } else { u64::MAX };
            (s.wall_ns(), s.sets, dies_in)
        };
        if !self.times.claim(now_ns) {
            return;
        }
        self.state.borrow_mut().depth += 1;
        let publisher = Publisher { model: self, dies_in: Cell::new(dies_in), first: Cell::new(None) };
        let done = catch_unwind(AssertUnwindSafe(|| {
            let Some(pair) = self.times.observe(&publisher) else { return false };
            self.put(&pair, || publisher.step());
            true
        }));
        let mut s = self.state.borrow_mut();
        s.depth -= 1;
        match done {
            Ok(noted) => s.unseen &= !(noted && sets == s.sets),
            Err(why) if why.is::<Killed>() => {}
            Err(why) => resume_unwind(why),
        }
    }

    /// Word by word.
    fn put(&self, pair: &Pair, between: impl Fn()) {
        let place = Pair::place(self.times.next()) % PLACES;
        for (i, word) in pair.words(place, UUID).into_iter().enumerate() {
            between();
            self.state.borrow_mut().pairs[place][i] = word;
        }
    }

    fn pairs(&self) -> Vec<(usize, Pair)> {
        let stored = self.state.borrow().pairs.into_iter().enumerate();
        let read = stored.filter_map(|(place, words)| match self.mutant {
            Mutant::NoCheckOfPairs if words[0] != 0 => {
                Some((place, Pair { at_ns: words[0], settled: words[1], reserved: words[2] }))
            }
            _ => Some((place, Pair::of(words, place, UUID)?)),
        });
        read.collect()
    }

    fn steps(&self) -> Vec<Step> {
        let stored = self.state.borrow().steps;
        (0..).zip(stored).filter_map(|(place, words)| Step::of(words, place, UUID)).collect()
    }

    /// What is on the disk, as a recovery makes a log of it.
    fn cut_power(&self) {
        let s = &mut *self.state.borrow_mut();
        if s.unseen {
            return;
        }
        let ends: Vec<u64> = s.messages.iter().map(|m| m.end).filter(|&end| end >= s.synced).collect();
        let end = match ends.len() as u64 {
            0 => s.synced,
            n => ends[s.random.below(n) as usize],
        };
        s.messages.retain(|m| m.end <= end && m.ended_ns.is_some());
        for place in 0..PLACES {
            if s.random.one_in(2) {
                s.pairs[place] = s.on_disk[place];
            }
        }
        (s.cursor, s.synced) = (end, end);
    }

    fn recover(&self) {
        let (pairs, steps) = (self.pairs(), self.steps());
        let s = &mut *self.state.borrow_mut();
        if s.unseen {
            return;
        }
        let end = s.cursor;
        if self.mutant != Mutant::NotLowered {
            for (place, pair) in &pairs {
                s.pairs[*place] = pair.lowered(end).words(*place, UUID);
            }
            for step in &steps {
                s.steps[step.place()] = step.lowered(end).words(UUID);
            }
        }
        let noted = pairs.iter().map(|(_, pair)| pair.at_ns).max().unwrap_or(0);
        let newest = noted.max(self.times.last_ns.load(Relaxed));
        let last = s.messages.iter().map(|m| m.began_ns.max(m.ended_ns.unwrap_or(0))).max().unwrap_or(0);
        // The clock goes on, or begins behind what is known.
        let behind = s.random.one_in(3) && last <= newest.saturating_add(LOST_NS) && newest > 2 * HOUR;
        let ns = if behind {
            newest - 1 - s.random.below(HOUR)
        } else {
            newest.max(last).max(BEGAN_NS) + s.random.below(HOUR)
        };
        s.up_ns = s.random.below(100 * SECOND_NS) + 1;
        s.booted_ns = ns - s.up_ns;
        let now = Reading { at_ns: ns, up_ns: s.up_ns, took_ns: 0 };
        if s.random.one_in(2) {
            self.times.steps.store(0, Relaxed);
        }
        let known = steps.iter().map(|step| step.number + 1).max().unwrap_or(0);
        let (step, pair) = self.times.begin_boot(&now, end, newest, known);
        if let Some(step) = step {
            s.sets += 1;
            s.steps[step.place()] = step.words(UUID);
        }
        let place = Pair::place(self.times.next()) % PLACES;
        s.pairs[place] = pair.words(place, UUID);
    }

    fn read(&self) -> (Known, u64) {
        let seen = (self.times.up_ns.load(Relaxed), self.times.booted_ns.load(Relaxed));
        self.others();
        let now = self.state.borrow_mut().read_clocks();
        self.others();
        let end = self.state.borrow().cursor;
        self.others();
        let pairs = self.pairs().into_iter().map(|(_, pair)| pair).collect();
        self.others();
        let noted = Noted { pairs, steps: self.steps(), finals: Vec::new() };
        let mut known = Known::of(noted, end);
        let again = self.state.borrow_mut().read_clocks();
        known.see(seen, [now, again], end);
        (known, end)
    }

    fn ask(&self) {
        // What happens meanwhile may be in the answer, or not.
        let asked = self.state.borrow().messages.clone();
        let (known, end) = self.read();
        if self.times.steps.load(Relaxed) > STEPS_MAX as u64 {
            // Said to be approximate.
            return;
        }
        let s = &mut *self.state.borrow_mut();
        for _ in 0..4 {
            let Some(one) = (!asked.is_empty()).then(|| asked[s.random.below(asked.len() as u64) as usize])
            else {
                return;
            };
            let at = if s.random.one_in(2) { one.began_ns } else { one.ended_ns.unwrap_or(one.began_ns) };
            let near = |random: &mut Random| at - 2 * SECOND_NS + random.below(4 * SECOND_NS);
            let since = if s.random.one_in(2) { at } else { near(&mut s.random) };
            let until = if s.random.one_in(2) { at } else { near(&mut s.random) };
            let span = known.span(Some(since), Some(until));
            s.narrow += u32::from(span.from > 0 && span.to.is_some_and(|to| to < end));
            let is_asked = |ns: u64| since <= ns && ns <= until;
            for m in asked.iter().filter(|m| is_asked(m.began_ns) || m.ended_ns.is_some_and(is_asked)) {
                if m.start < span.from || span.to.is_some_and(|to| m.end > to) {
                    resume_unwind(Box::new(format!(
                        "{m:?} is not in {span:?}, asked were {since}..={until}"
                    )));
                }
            }
        }
    }

    fn run(&self) {
        for _ in 0..150 {
            let what = self.state.borrow_mut().random.below(40);
            match what {
                0 => {
                    self.cut_power();
                    self.recover();
                    // Recoveries are repeated where they died.
                    if self.state.borrow_mut().random.one_in(2) {
                        self.recover();
                    }
                }
                1..8 => self.ask(),
                _ => self.others(),
            }
        }
    }
}

/// Of some hundred runs, what went wrong first, and how many answers left something out at both ends.
fn runs(seeds: std::ops::Range<u64>, mutant: Mutant) -> (Option<String>, u32) {
    let mut narrow = 0;
    for seed in seeds {
        let model = Model::new(seed, mutant);
        if let Err(why) = catch_unwind(AssertUnwindSafe(|| model.run())) {
            let why = why.downcast::<String>().map_or_else(|why| resume_unwind(why), |why| *why);
            return (Some(format!("seed {seed}: {why}")), narrow);
        }
        narrow += model.state.borrow().narrow;
    }
    (None, narrow)
}

#[test]
fn an_answer_has_every_message_whose_append_began_or_ended_in_the_asked_time() {
    let seed = std::env::var("MMLOG_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let (wrong, narrow) = runs(seed..seed + 800, Mutant::None);
    assert_eq!(wrong, None, "begin there with MMLOG_SEED");
    assert!(narrow > 1000, "only {narrow} answers leave something out at both ends");
}

#[test]
fn whatever_is_left_out_of_noting_times_is_caught() {
    let mutants = [
        Mutant::SettledIsTheCursor,
        Mutant::NoCheckOfPairs,
        Mutant::NotLowered,
        Mutant::NoSteps,
        Mutant::ClocksReadOnce,
    ];
    for mutant in mutants {
        let (wrong, _) = runs(1..20_000, mutant);
        assert!(wrong.is_some(), "{mutant:?} is not caught");
    }
}

/// The number of the pair in each place after so many seconds, and so, one second apart, when it was noted.
fn kept_after(seconds: u64) -> Vec<u64> {
    let mut places = [0; crate::layout::PAIRS_MAX];
    (1..=seconds).for_each(|n| places[Pair::place(n)] = n);
    let mut kept: Vec<u64> = places.into_iter().filter(|&n| n != 0).collect();
    kept.sort_unstable();
    kept
}

#[test]
fn pairs_of_30_days_are_apart_by_less_than_their_age_in_four_parts_of_a_thousand() {
    const DAY: u64 = 86_400;
    for now in [30 * DAY, 30 * DAY + 7777, 31 * DAY, 45 * DAY + 1] {
        let kept = kept_after(now);
        assert!(now - kept[0] >= 29 * DAY, "the oldest is {} days old", (now - kept[0]) / DAY);
        for two in kept.windows(2) {
            let (age, gap) = (now - two[0], two[1] - two[0]);
            assert!(gap == 1 || age > 480, "{gap} s apart {age} s ago");
            assert!(age <= 600 || gap * 1000 <= age * 4, "{gap} s apart {age} s ago");
        }
    }
}
