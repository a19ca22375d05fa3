//! Guards shipping by name: `decide` and `machine`, as they ship, against a store that takes each name once, for ever, and a log of
//! final segments, step by step and breadth first. The sink of `s3.rs` is here as its list is: an object a unit, and a tail
//! that ends where one does not begin at the end of the one before. Each mutant must fail.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "counts, for whoever runs it by hand")]

#[path = "by_name/steps.rs"]
mod steps;
#[path = "by_name/world.rs"]
mod world;

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use mmlog_ship::decide::{From, Wishes};
use world::{Budget, Mutant, Setting, World};

/// No world has as many states.
const MOST: usize = 3_000_000;

struct Outcome {
    states: usize,
    steps: usize,
    wrong: Option<(&'static str, Vec<&'static str>)>,
}

fn trace(ways: &[(usize, &'static str)], mut at: usize) -> Vec<&'static str> {
    let mut names = vec![];
    while at != 0 {
        names.push(ways[at].1);
        at = ways[at].0;
    }
    names.reverse();
    names
}

fn search(setting: Setting, start: World) -> Outcome {
    let hash = |world: &World| {
        let mut hasher = DefaultHasher::new();
        world.hash(&mut hasher);
        hasher.finish()
    };
    let mut seen = HashSet::from([hash(&start)]);
    let mut ways: Vec<(usize, &'static str)> = vec![(0, "")];
    let mut waiting = VecDeque::from([(0, start)]);
    let (mut steps, mut found) = (0, vec![]);
    while let Some((number, world)) = waiting.pop_front() {
        assert!(ways.len() < MOST, "a world of more than {MOST} states");
        world.steps(setting, &mut found);
        let is_still = !found.iter().any(|(_, by_itself, _)| *by_itself);
        let settled = world.settled(setting).filter(|_| is_still);
        if let Some(wrong) = settled {
            return Outcome { states: ways.len(), steps, wrong: Some((wrong, trace(&ways, number))) };
        }
        for (name, _, next) in found.drain(..) {
            steps += 1;
            if let Some(wrong) = next.wrong {
                let mut names = trace(&ways, number);
                names.push(name);
                return Outcome { states: ways.len(), steps, wrong: Some((wrong, names)) };
            }
            if seen.insert(hash(&next)) {
                waiting.push_back((ways.len(), next));
                ways.push((number, name));
            }
        }
    }
    Outcome { states: ways.len(), steps, wrong: None }
}

fn nothing() -> Wishes {
    Wishes { from: From::Oldest, accept_gap: false, accept_fork: false, sink_is_new: None }
}

/// The worlds: so many segments, so many shippers, and what may happen.
fn worlds() -> Vec<(&'static str, usize, usize, Budget)> {
    let none = Budget::default();
    let late = Budget { rotations: 1, holes: 1, cuts: 1, crashes: 1, ticks: 1, ..none };
    vec![
        ("killed and cut, late deliveries, rotations beside it", 1, 1, late),
        ("its file lost", 2, 1, Budget { cuts: 1, crashes: 1, lost_files: 1, ticks: 1, ..none }),
        ("a store that loses", 2, 1, Budget { cuts: 1, crashes: 1, losses: 2, ticks: 2, ..none }),
        ("a store that is put back", 2, 1, Budget { rotations: 1, cuts: 1, copies: 1, ticks: 1, ..none }),
        ("a store that is wiped", 2, 1, Budget { cuts: 1, wipes: 1, lost_files: 1, ticks: 1, ..none }),
        (
            "a rule that removes what is old",
            2,
            1,
            Budget { rotations: 1, crashes: 1, trims: 2, ticks: 1, ..none },
        ),
        ("power cuts", 1, 1, Budget { rotations: 2, cuts: 1, power_cuts: 1, ticks: 1, ..none }),
        ("forced prunes", 3, 1, Budget { cuts: 1, crashes: 1, forced: 2, ticks: 1, ..none }),
        ("two shippers of one log", 2, 2, Budget { cuts: 1, ..none }),
    ]
}

#[test]
fn each_segment_is_there_once_in_a_chain_whatever_is_lost_late_or_killed() {
    let (mut states, mut steps) = (0, 0);
    for (name, segments, shippers, budget) in worlds() {
        let setting = Setting { mutant: None, wishes: nothing() };
        let outcome = search(setting, World::new(setting, segments, shippers, budget));
        eprintln!("{name}: {} states, {} steps", outcome.states, outcome.steps);
        assert!(outcome.wrong.is_none(), "{name}: {:?}", outcome.wrong);
        (states, steps) = (states + outcome.states, steps + outcome.steps);
    }
    eprintln!("{states} states, {steps} steps");
}

#[test]
fn a_shipper_that_does_it_otherwise_is_found_out() {
    for mutant in [
        Mutant::LastOfAll,
        Mutant::SaysWho,
        Mutant::AckedWhenSent,
        Mutant::HoldAhead,
        Mutant::FromTheLast,
        Mutant::BeforeDurable,
    ] {
        let setting = Setting { mutant: Some(mutant), wishes: nothing() };
        let found = worlds().into_iter().find_map(|(name, segments, shippers, budget)| {
            let wrong = search(setting, World::new(setting, segments, shippers, budget)).wrong?;
            Some((name, wrong))
        });
        eprintln!("{mutant:?}: {found:?}");
        assert!(found.is_some(), "nothing is wrong with {mutant:?}");
    }
}
