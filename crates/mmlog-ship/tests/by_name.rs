//! Guards shipping by name: `decide` and `machine`, as they ship, against a store that takes each name once, for ever, and a log of
//! final segments, step by step and breadth first. The sink of `s3.rs` is here as its list is: an object a unit, and a tail
//! that ends where one does not begin at the end of the one before. Each mutant must fail.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "counts, for whoever runs it by hand")]

mod searched;
#[path = "by_name/steps.rs"]
mod steps;
#[path = "by_name/world.rs"]
mod world;

use mmlog_ship::decide::{From, Wishes};
use searched::search;
use world::{Budget, Mutant, Setting, World};

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

/// Each with the world that shows it.
const MUTANTS: [(Mutant, &str); 6] = [
    (Mutant::LastOfAll, "a store that loses"),
    (Mutant::SaysWho, "killed and cut, late deliveries, rotations beside it"),
    (Mutant::AckedWhenSent, "killed and cut, late deliveries, rotations beside it"),
    (Mutant::HoldAhead, "killed and cut, late deliveries, rotations beside it"),
    (Mutant::FromTheLast, "a store that loses"),
    (Mutant::BeforeDurable, "power cuts"),
];

#[test]
fn a_shipper_that_does_it_otherwise_is_found_out() {
    for (mutant, name) in MUTANTS {
        let setting = Setting { mutant: Some(mutant), wishes: nothing() };
        let (_, segments, shippers, budget) =
            worlds().into_iter().find(|(world, ..)| *world == name).expect("a world of that name");
        let outcome = search(setting, World::new(setting, segments, shippers, budget));
        eprintln!("{mutant:?}: {:?}, after {} states", outcome.wrong, outcome.states);
        assert!(outcome.wrong.is_some(), "nothing is wrong with {mutant:?}");
    }
}
