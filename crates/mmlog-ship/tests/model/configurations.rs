//! The worlds that are searched, each with few things that may happen, and few times.

use mmlog_ship::decide::{From, SinkIsNew, Wishes};
use mmlog_ship::machine::Limits;

use crate::search::search;
use crate::world::{Budget, Setting, World};

pub(crate) struct Configuration {
    pub(crate) name: &'static str,
    pub(crate) setting: Setting,
    pub(crate) start: Box<dyn Fn(&Setting) -> World>,
}

const NONE: Budget = Budget {
    appends: 0,
    holes: 0,
    cuts: 0,
    crashes: 0,
    power_cuts: 0,
    unsaved: 0,
    lost_files: 0,
    old_files: 0,
    lost_holds: 0,
    stops: 0,
    duplicates: 0,
    copies: 0,
    restores: 0,
    forgets: 0,
    wipes: 0,
    rebirths: 0,
    moves: 0,
    reboots: 0,
    shrinks: 0,
    strangers: 0,
    stale: 0,
    trims: 0,
    forced_prunes: 0,
    takings: 0,
    ticks: 0,
    clones: 0,
    live_clones: 0,
    put_back: 0,
    remade: 0,
};
const UNDECIDED: Wishes =
    Wishes { from: From::Oldest, accept_gap: false, accept_fork: false, sink_is_new: None };
const GAPS: Wishes = Wishes { accept_gap: true, ..UNDECIDED };
const FORKS: Wishes = Wishes { accept_fork: true, ..UNDECIDED };
const RESTART: Wishes = Wishes { sink_is_new: Some(SinkIsNew::Restart), ..UNDECIDED };
const CONTINUE: Wishes = Wishes { sink_is_new: Some(SinkIsNew::Continue), ..UNDECIDED };

fn is_full() -> bool {
    std::env::var("MMLOG_SHIP_MODEL").is_ok_and(|size| size == "full")
}

fn configuration(
    name: &'static str,
    bytes: usize,
    is_weak: bool,
    wishes: Wishes,
    budget: Budget,
) -> Configuration {
    let limits = Limits { unit: 1, window: 2, units: 2, keep: 2, proof: 1 << 20 };
    let setting = Setting { limits, wishes, connections: 8, is_ragged: false, mutant: None };
    let more = u8::from(is_full());
    let (bytes, budget) = (bytes + usize::from(more), Budget { crashes: budget.crashes + more, ..budget });
    let start = Box::new(move |setting: &Setting| World::new(setting, bytes, is_weak, budget));
    Configuration { name, setting, start }
}

fn second(
    name: &'static str,
    connections: u64,
    bytes: usize,
    parts: Option<usize>,
    budget: Budget,
) -> Configuration {
    let mut configuration = configuration(name, bytes, false, UNDECIDED, budget);
    configuration.setting.connections = connections;
    let start = Box::new(move |setting: &Setting| {
        World::new(setting, bytes, false, budget).with_second(setting, parts)
    });
    Configuration { start, ..configuration }
}

/// With proofs that are cut soon.
fn short(name: &'static str, bytes: usize, is_weak: bool, wishes: Wishes, budget: Budget) -> Configuration {
    let mut configuration = configuration(name, bytes, is_weak, wishes, budget);
    configuration.setting.limits.proof = 1;
    configuration
}

fn ragged(name: &'static str, bytes: usize, is_weak: bool, wishes: Wishes, budget: Budget) -> Configuration {
    let mut configuration = configuration(name, bytes, is_weak, wishes, budget);
    configuration.setting.is_ragged = true;
    configuration.setting.limits.unit = 2;
    configuration
}

fn configurations() -> Vec<Configuration> {
    let c = configuration;
    let mut all = vec![
        c("restarts", 2, false, UNDECIDED, Budget { cuts: 1, crashes: 1, ..NONE }),
        c("restarts, weak", 1, true, UNDECIDED, Budget { cuts: 1, crashes: 1, unsaved: 1, ..NONE }),
        ragged("cut anew", 2, false, UNDECIDED, Budget { appends: 1, cuts: 1, duplicates: 1, ..NONE }),
        c("two zombies", 1, false, UNDECIDED, Budget { cuts: 2, duplicates: 1, ..NONE }),
        c("put back", 1, false, UNDECIDED, Budget { cuts: 1, copies: 1, restores: 1, duplicates: 1, ..NONE }),
        c(
            "put back, weak",
            1,
            true,
            UNDECIDED,
            Budget { cuts: 2, duplicates: 1, copies: 1, restores: 1, ..NONE },
        ),
        c(
            "put back, held",
            1,
            false,
            UNDECIDED,
            Budget { copies: 1, restores: 1, ticks: 2, cuts: 1, ..NONE },
        ),
        c("behind", 1, false, UNDECIDED, Budget { cuts: 1, copies: 1, stale: 1, restores: 1, ..NONE }),
        c("behind, weak", 1, true, UNDECIDED, Budget { cuts: 1, copies: 1, stale: 2, ..NONE }),
        c("server started again", 1, true, UNDECIDED, Budget { cuts: 1, crashes: 1, reboots: 1, ..NONE }),
        ragged("takes less", 3, false, UNDECIDED, Budget { shrinks: 1, crashes: 1, ..NONE }),
        c("strangers", 1, false, UNDECIDED, Budget { strangers: 1, cuts: 1, ..NONE }),
        c("strangers, weak", 1, true, UNDECIDED, Budget { strangers: 1, cuts: 1, ..NONE }),
        c("forgets", 1, false, UNDECIDED, Budget { crashes: 1, forgets: 1, ticks: 2, ..NONE }),
        c("forgets, appended", 1, false, UNDECIDED, Budget { appends: 1, crashes: 1, forgets: 1, ..NONE }),
        c("forgets, pruned", 1, true, GAPS, Budget { forgets: 1, ticks: 2, forced_prunes: 1, ..NONE }),
        c("wiped", 2, false, UNDECIDED, Budget { crashes: 1, wipes: 1, rebirths: 1, ..NONE }),
        c("wiped, restart", 1, false, RESTART, Budget { crashes: 1, wipes: 1, rebirths: 1, ..NONE }),
        c("wiped, restart, held", 1, false, RESTART, Budget { ticks: 2, wipes: 1, cuts: 1, ..NONE }),
        c("wiped, continue", 1, true, CONTINUE, Budget { cuts: 1, wipes: 1, trims: 1, ..NONE }),
        c(
            "wiped, continue, pruned",
            1,
            false,
            CONTINUE,
            Budget { wipes: 1, forced_prunes: 1, appends: 1, crashes: 1, ..NONE },
        ),
        c("moved", 1, false, UNDECIDED, Budget { copies: 1, moves: 1, cuts: 1, ..NONE }),
        c("moved, continue", 1, false, CONTINUE, Budget { copies: 1, moves: 1, cuts: 1, ..NONE }),
        c("trimmed", 1, false, UNDECIDED, Budget { cuts: 1, crashes: 1, trims: 1, ..NONE }),
        ragged("trimmed by parts", 1, true, UNDECIDED, Budget { cuts: 2, trims: 1, ..NONE }),
        c("trimmed, log put back", 2, false, UNDECIDED, Budget { trims: 1, appends: 2, put_back: 1, ..NONE }),
        c("lost file", 1, false, UNDECIDED, Budget { unsaved: 1, lost_files: 1, wipes: 1, ticks: 1, ..NONE }),
        c("old file", 2, false, UNDECIDED, Budget { old_files: 1, trims: 1, ticks: 1, ..NONE }),
        c("old file, wiped", 1, false, UNDECIDED, Budget { old_files: 1, wipes: 1, rebirths: 1, ..NONE }),
        c("lost hold", 1, false, UNDECIDED, Budget { lost_holds: 1, ticks: 2, cuts: 1, ..NONE }),
        c("damaged", 2, false, UNDECIDED, Budget { takings: 1, crashes: 1, cuts: 1, ..NONE }),
        c("power cut", 1, false, UNDECIDED, Budget { appends: 2, power_cuts: 1, ..NONE }),
        c("holes", 1, false, UNDECIDED, Budget { appends: 1, holes: 1, power_cuts: 1, ..NONE }),
        c("pruned", 2, false, UNDECIDED, Budget { cuts: 1, crashes: 1, forced_prunes: 1, ..NONE }),
        ragged("pruned by parts", 2, false, GAPS, Budget { cuts: 1, forced_prunes: 1, ..NONE }),
        c("pruned, accepted", 1, false, GAPS, Budget { crashes: 1, cuts: 1, forced_prunes: 1, ..NONE }),
        short("proofs", 3, false, UNDECIDED, Budget { cuts: 1, crashes: 1, ..NONE }),
        short("proofs, holes", 1, false, UNDECIDED, Budget { appends: 1, holes: 1, power_cuts: 1, ..NONE }),
        short("proofs, log put back", 3, false, UNDECIDED, Budget { appends: 1, put_back: 1, ..NONE }),
        c("clone", 1, false, UNDECIDED, Budget { appends: 1, clones: 1, ..NONE }),
        c("clone, running", 0, false, UNDECIDED, Budget { appends: 1, live_clones: 1, ..NONE }),
        second("second", 5, 1, None, NONE),
        second("second, wiped", 7, 1, None, Budget { wipes: 1, ..NONE }),
        second("fork", 5, 2, Some(0), NONE),
        c("log put back", 2, false, UNDECIDED, Budget { appends: 2, put_back: 1, ..NONE }),
        c("log put back, accepted", 1, false, FORKS, Budget { appends: 1, put_back: 1, cuts: 1, ..NONE }),
        c("made anew, lost file", 1, false, UNDECIDED, Budget { remade: 1, lost_files: 1, ..NONE }),
        c("made anew, lost file, accepted", 1, false, FORKS, Budget { remade: 1, lost_files: 1, ..NONE }),
        c("made anew", 1, false, UNDECIDED, Budget { remade: 1, cuts: 1, ..NONE }),
        c(
            "made anew, pruned",
            1,
            false,
            UNDECIDED,
            Budget { remade: 1, crashes: 1, forced_prunes: 1, ..NONE },
        ),
        c("stopped", 1, false, UNDECIDED, Budget { stops: 1, cuts: 1, ticks: 2, unsaved: 1, ..NONE }),
        c("stopped and started", 1, true, UNDECIDED, Budget { stops: 1, crashes: 1, appends: 1, ..NONE }),
    ];
    let copied = all.iter_mut().find(|c| c.name == "clone, running").expect("it is there");
    // Tight, so that endless turns of two copies are seen soon.
    copied.setting.connections = if is_full() { 7 } else { 5 };
    if is_full() {
        all.push(second("second, bad network", 7, 1, None, Budget { cuts: 1, ..NONE }));
    }
    all
}

pub(crate) fn named(name: &str) -> Configuration {
    configurations().into_iter().find(|c| c.name == name).expect("a name of the table")
}

fn run(all: Vec<Configuration>) {
    let (mut states, mut steps, mut wrong) = (0, 0, vec![]);
    let only = std::env::var("MMLOG_SHIP_WORLD").unwrap_or_default();
    for Configuration { name, setting, start } in all.into_iter().filter(|c| c.name.starts_with(&only)) {
        let begun = std::time::Instant::now();
        let outcome = search(&setting, start(&setting));
        let part = if outcome.is_whole { "" } else { " and more" };
        eprintln!("{name}: {} states{part}, {} steps, {:?}", outcome.states, outcome.steps, begun.elapsed());
        (states, steps) = (states + outcome.states, steps + outcome.steps);
        if let Some((what, trace)) = outcome.wrong {
            wrong.push(format!("{name}: {what}\n  {}", trace.join("\n  ")));
        }
    }
    eprintln!("{states} states, {steps} steps");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn whatever_sinks_and_logs_do_the_reader_has_each_byte_once_or_an_announced_gap() {
    run(configurations());
}
