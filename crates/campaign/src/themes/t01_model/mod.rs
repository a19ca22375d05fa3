//! T1: an explicit-state model of the protocol.

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
mod recover;
mod seen;
mod steps;
mod turn;
mod words;
mod world;

use super::Theme;
use crate::run::Run;
use configurations::{APPEND_AND_TRIM, ROTATION};
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
    for records in [Records::One, Records::Three] {
        let with_records = ROTATION.iter().map(|c| Configuration { records, ..*c });
        let mut states = 0;
        for configuration in with_records.filter(fits) {
            states += look_at(run, configuration, &mut coverage);
        }
        println!("T1 rotation, {records:?} record(s) in the journal: {states} states");
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
        let records = configuration.records;
        let way = trace.join("\n    ");
        run.violation(format!(
            "{name}, records: {records:?}: {:?}: {}\n    {way}\n",
            broken.kind, broken.text
        ));
    }
    states
}
