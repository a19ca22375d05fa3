//! Guards shipping to a sink that cannot be asked: `decide` and `machine`, as they ship, against one that takes what comes, answers or does
//! not, and never says what it has; and a log that is pruned, loses a range, and is made anew. All that was shipped is there at least once,
//! or announced, and more than once only after trouble. Each mutant must fail.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "counts, for whoever runs it by hand")]

mod searched;
#[path = "unasked/world.rs"]
mod world;

use mmlog_ship::decide::{From, SinkIsNew, Wishes};
use searched::search;
use world::{Budget, Mutant, Setting, World};

const UNDECIDED: Wishes =
    Wishes { from: From::Oldest, accept_gap: false, accept_fork: false, sink_is_new: None };
const GAPS: Wishes = Wishes { accept_gap: true, ..UNDECIDED };
const RESTART: Wishes = Wishes { sink_is_new: Some(SinkIsNew::Restart), ..UNDECIDED };

/// The worlds: what people decided, so many bytes, and what may happen.
fn worlds() -> Vec<(&'static str, Wishes, u64, Budget)> {
    let none = Budget::default();
    vec![
        ("killed and cut", UNDECIDED, 2, Budget { appends: 1, cuts: 1, crashes: 1, ticks: 1, ..none }),
        ("cannot write", UNDECIDED, 2, Budget { cuts: 1, crashes: 1, unsaved: 2, ticks: 1, ..none }),
        ("its file lost", UNDECIDED, 2, Budget { cuts: 1, lost_files: 2, ticks: 1, ..none }),
        ("holes", UNDECIDED, 1, Budget { holes: 1, appends: 1, crashes: 1, lost_files: 1, ..none }),
        ("pruned", UNDECIDED, 2, Budget { cuts: 1, crashes: 1, forced: 2, lost_files: 1, ..none }),
        // A second cut, before anything was written down, has nobody know what is there: see lib.rs.
        ("pruned, accepted", GAPS, 2, Budget { cuts: 1, forced: 2, unsaved: 1, ..none }),
        ("restart", RESTART, 2, Budget { cuts: 1, crashes: 1, ticks: 1, ..none }),
        (
            "made anew",
            UNDECIDED,
            1,
            Budget { remade: 1, appends: 1, cuts: 1, lost_files: 1, ticks: 1, ..none },
        ),
    ]
}

#[test]
fn all_is_there_at_least_once_whatever_is_killed_lost_or_made_anew() {
    for (name, wishes, bytes, budget) in worlds() {
        let setting = Setting { mutant: None, wishes };
        let outcome = search(setting, World::new(setting, bytes, budget));
        eprintln!("{name}: {} states, {} steps", outcome.states, outcome.steps);
        assert!(outcome.wrong.is_none(), "{name}: {:?}", outcome.wrong);
    }
}

#[test]
fn a_shipper_that_does_it_otherwise_is_found_out() {
    for mutant in [
        Mutant::AckedWhenSent,
        Mutant::HoldAhead,
        Mutant::PassesTheHold,
        Mutant::AsTrimmed,
        Mutant::FromTheOldest,
    ] {
        let found = worlds().into_iter().find_map(|(name, wishes, bytes, budget)| {
            let setting = Setting { mutant: Some(mutant), wishes };
            Some((name, search(setting, World::new(setting, bytes, budget)).wrong?))
        });
        eprintln!("{mutant:?}: {found:?}");
        assert!(found.is_some(), "nothing is wrong with {mutant:?}");
    }
}
