//! T1: an explicit-state model of the protocol, sections 4 to 9. It is the specification from which rotation
//! is built.
//!
//! *Who takes part*: writers, trimmers, rotators, closers, repairers with and without the lock, a follower
//! that may not write, a stranger who fills the disk. A step is one shared-memory operation or one system
//! call. Every order of steps is followed, breadth first; anybody may die at any step (once or twice, the one
//! who recovers included), drains may be given up, waits may end, copies, `link` and `rename` may fail, the
//! disk may be full from the start or fill up; an outsider may append to the log at rest, by `>>`, or write the metadata of the
//! beginning over the newer.
//!
//! *What is checked*: each store hits a byte of its own range, in the current segment's file, with space
//! behind it; no cut takes a written byte; no hole is noted and no byte zeroed but of an abandoned append;
//! what is in flight is covered by its slot; a closed gate and a path that differs from the metadata are
//! explained by the journal; each segment has a name; what an outsider appended at rest is cut only where somebody has
//! reserved its place meanwhile. Where older metadata came back, at any moment at which nothing is in flight, nothing is stored over
//! what was appended since, and nothing of it is cut off or buried: appends may be refused, and all writing stopped. The
//! follower's watermark passes nothing unfinished, and it is shown exactly what was acknowledged. Nobody is stuck: somebody can
//! always move, and the end can always be reached without a death; where waits have deadlines, also with any one process stopped
//! for ever.
//! And in *every* state everybody dies at once, and one opener comes: it must find a sound log, settle and
//! trim it, and an old and a new follower must read it to its end.
//!
//! *What makes it smaller, soundly*: registers that no longer matter are zeroed. Merged into one step is only
//! what nobody else can tell apart: the journal's fields with its kind; a slot's word with its length (used
//! only if the word is the same later); base and inode of an entry (used only if the generation is the same
//! later); loads of words that only the lock's owner stores. The maintenance byte is left out, but for who
//! carries a policy out ([`policy`]): without it there are more orders, not fewer. Writers are not interchanged:
//! slots are scanned in order.
//!
//! *Left out*: older metadata that comes back in the middle of an append or of what is done with the lock, and a claim that has its
//! slot's byte and has not said so; weak memory and slot claims beside it (`mmlog`'s loom models), threads of one handle, pages (a
//! page is a byte), power loss but for what a prune by policy needs of it, prune by command.
//!
//! # What it says about rotation
//!
//! **One record in the journal is enough.** Written once, before the gate closes; kind last. C needs no place
//! in it: at the commit `gate_at` is C, and no gate closes and nobody grows before the journal is empty,
//! since both take the lock, and whoever takes it recovers first. All configurations of
//! [`configurations::ROTATION`] hold with one record (11.2 million states; 44 million at `--scale 4`) and
//! with three (12.2 and 48 million); with one, J1 with the new file at the path, which three records must
//! call damaged, cannot happen. What it rests on is a control: `GrowBeforeRecovery`.
//!
//! - From the rename on, rotation *is* recovery: entry, inode, file_size, limit, base, generation, gate, cut
//!   of the old file, journal; each "compare, then store" ([`recover`]). Its undo is, too: gate, journal, and
//!   only the rotator itself then removes the temporary file.
//! - Trim is the same: journal, gate, drain, `file_size`; the rest is recovery.
//! - A handle loads base first, and opens the file at the path after it. The other way round it keeps a final
//!   segment's file under a new base.
//! - What a follower has to do is in [`follow`]: never the previous generation's entry, and no word about
//!   truncation from `file_size` alone.
//! - A trim need not drain where the limit is at or above C: every store of those below the gate lies below
//!   the cut. Then a stopped writer does not hold it up ("trims that do not drain"). A rotation must drain,
//!   and a trim on a full disk.
//! - That the gate opens before the journal is emptied is only tidy as long as recovery opens every closed
//!   gate it finds.

mod append;
mod broken;
mod checks;
mod configurations;
mod coverage;
mod explore;
mod follow;
mod locked;
mod models;
mod mutants;
mod operate;
mod packed;
mod policy;
mod recover;
mod seen;
mod steps;
mod turn;
mod words;
mod world;

use super::Theme;
use crate::run::Run;
use configurations::{APPEND_AND_TRIM, POLICY, ROTATION};
use coverage::Coverage;
use explore::{Explored, Found, explore};
use models::{Configuration, Model, Records};
use mutants::CONTROLS;

pub(crate) const THEME: Theme = Theme { id: "T1", about: "model", run };

/// Configurations of at most so many states are for every day.
const AT_CI: u64 = 3_200_000;

fn run(run: &mut Run) -> anyhow::Result<()> {
    let bound = run.size.of(AT_CI);
    let fits = |c: &Configuration| c.most <= bound;
    let mut coverage = Coverage::default();
    for configuration in APPEND_AND_TRIM.iter().filter(|c| fits(c)) {
        look_at(run, *configuration, &mut coverage);
    }
    for configuration in POLICY.iter().filter(|c| fits(c)) {
        look_at(run, *configuration, &mut coverage);
    }
    for records in [Records::One, Records::Three] {
        let with_records = ROTATION.iter().map(|c| Configuration { records, ..*c });
        let mut states = 0;
        for configuration in with_records.filter(fits) {
            states += look_at(run, configuration, &mut coverage);
        }
        println!("T1 rotation with {}: {states} states", records.words());
    }
    if bound >= AT_CI {
        coverage.missing().into_iter().for_each(|what| run.violation(format!("never reached: {what}")));
    }
    for control in CONTROLS {
        let explored = explore(&Model::new(control.configuration));
        count(run, &explored);
        let found = explored.found.map(|found| found.broken.kind);
        let name = format!("{:?} (found: {found:?})", control.configuration.mutant);
        run.control(&name, found.is_some_and(|kind| control.expected.contains(&kind)));
    }
    Ok(())
}

fn count(run: &mut Run, explored: &Explored) {
    run.count("states", explored.states);
    run.count("steps", explored.steps);
}

fn look_at(run: &mut Run, configuration: Configuration, coverage: &mut Coverage) -> u64 {
    let explored = explore(&Model::new(configuration));
    let Explored { states, steps, ends, .. } = explored;
    let name = configuration.name;
    println!("T1 {name}: {states} states, {steps} steps, {ends} ends");
    run.count("configurations", 1);
    count(run, &explored);
    coverage.add(&explored.coverage);
    if let Some(Found { broken, trace }) = explored.found {
        let records = configuration.records.words();
        let way = trace.join("\n    ");
        run.violation(format!("{name}, {records}: {:?}: {}\n    {way}\n", broken.kind, broken.text));
    }
    states
}
