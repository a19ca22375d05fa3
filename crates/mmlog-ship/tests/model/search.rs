//! Breadth first over all states, each looked at once.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use crate::judge::judge;
use crate::world::{Setting, World};

pub(crate) struct Outcome {
    pub(crate) states: usize,
    pub(crate) steps: usize,
    /// What is wrong, and the steps that lead there.
    pub(crate) wrong: Option<(&'static str, Vec<&'static str>)>,
}

/// A hash that is one already.
#[derive(Default)]
pub(crate) struct Same(u64);

impl std::hash::Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

fn hash(world: &World) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(world)
}

pub(crate) fn search(setting: &Setting, start: World) -> Outcome {
    let mut seen: HashSet<u64, BuildHasherDefault<Same>> = HashSet::default();
    // Of each state: how it was reached, and from which.
    let mut ways: Vec<(u32, &'static str)> = vec![(0, "")];
    let mut waiting = VecDeque::from([(0, start)]);
    let (mut steps, mut found) = (0, vec![]);
    while let Some((number, world)) = waiting.pop_front() {
        let states = ways.len();
        world.steps(setting, &mut found);
        if !found.iter().any(|(_, by_itself, _)| *by_itself) && !world.is_complete() {
            return Outcome { states, steps, wrong: Some(("it waits for nothing", trace(&ways, number))) };
        }
        for (name, _, next) in found.drain(..) {
            steps += 1;
            if let Some(wrong) = judge(&next, setting) {
                let mut trace = trace(&ways, number);
                trace.push(name);
                return Outcome { states, steps, wrong: Some((wrong, trace)) };
            }
            if seen.insert(hash(&next)) {
                waiting.push_back((ways.len() as u32, next));
                ways.push((number, name));
            }
        }
    }
    Outcome { states: ways.len(), steps, wrong: None }
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
