//! Breadth first over all states, each looked at once.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hash, Hasher};

use crate::judge::judge;
use crate::world::{Setting, World};

/// More are for another day: what is looked at is then the shortest ways to wherever. No world of an ordinary run has as many.
const MOST: usize = 5_000_000;

pub(crate) struct Outcome {
    pub(crate) states: usize,
    pub(crate) steps: usize,
    /// All states were looked at.
    pub(crate) is_whole: bool,
    /// What is wrong, and the steps that lead there.
    pub(crate) wrong: Option<(&'static str, Vec<&'static str>)>,
}

/// A hash that is one already.
#[derive(Default)]
pub(crate) struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// Multiplies and folds: a world is some hundred small numbers, and most of the time goes here.
struct Folding(u64);

impl Hasher for Folding {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..piece.len()].copy_from_slice(piece);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_u64(&mut self, value: u64) {
        let mixed =
            u128::from(self.0 ^ value ^ 0x9e37_79b9_7f4a_7c15) * u128::from(0xa076_1d64_78bd_642f_u64);
        self.0 = (mixed as u64) ^ (mixed >> 64) as u64 ^ self.0.rotate_left(23);
    }
}

fn hash(world: &World) -> u64 {
    let mut hasher = Folding(0);
    world.hash(&mut hasher);
    hasher.finish()
}

pub(crate) fn search(setting: &Setting, start: World) -> Outcome {
    let mut seen: HashSet<u64, BuildHasherDefault<Same>> = HashSet::default();
    // Of each state: how it was reached, and from which.
    let mut ways: Vec<(u32, &'static str)> = vec![(0, "")];
    let mut waiting = VecDeque::from([(0, start)]);
    let (mut steps, mut found) = (0, vec![]);
    while let Some((number, world)) = waiting.pop_front() {
        let states = ways.len();
        if states > MOST {
            return Outcome { states, steps, is_whole: false, wrong: None };
        }
        world.steps(setting, &mut found);
        let is_still = !found.iter().any(|(_, by_itself, _)| *by_itself);
        if is_still && !world.is_complete() {
            return Outcome {
                states,
                steps,
                is_whole: false,
                wrong: Some(("it waits for nothing", trace(&ways, number))),
            };
        }
        if let (true, Some(wrong)) = (is_still, world.settled()) {
            return Outcome { states, steps, is_whole: false, wrong: Some((wrong, trace(&ways, number))) };
        }
        for (name, _, next) in found.drain(..) {
            steps += 1;
            if let Some(wrong) = judge(&next, setting) {
                let mut trace = trace(&ways, number);
                trace.push(name);
                return Outcome { states, steps, is_whole: false, wrong: Some((wrong, trace)) };
            }
            if seen.insert(hash(&next)) {
                waiting.push_back((ways.len() as u32, next));
                ways.push((number, name));
            }
        }
    }
    Outcome { states: ways.len(), steps, is_whole: true, wrong: None }
}

fn trace(ways: &[(u32, &'static str)], mut number: u32) -> Vec<&'static str> {
    let mut names = vec![];
    while number != 0 {
        let (from, name) = ways[number as usize];
        names.push(name);
        number = from;
    }
    names.reverse();
    names
}
