//! T1: an explicit-state model of the protocol.

mod append;
mod broken;
mod checks;
mod configurations;
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
use configurations::*;
use models::Model;

pub(crate) const THEME: Theme = Theme { id: "T1", about: "model", run };

fn run(run: &mut Run) -> anyhow::Result<()> {
    let which = std::env::var("W").unwrap_or_default();
    let three: Vec<_> = ROTATION.iter().map(|c| c.three()).collect();
    let all: Vec<_> = APPEND_AND_TRIM.iter().chain(ROTATION).copied().chain(three).collect();
    let all = if which == "L" { LARGE.to_vec() } else { all };
    for configuration in &all {
        let begun = std::time::Instant::now();
        let explored = explore::explore(&Model::new(*configuration));
        println!(
            "{:30} {} states, {} steps, {} ends, {:.1} s",
            configuration.name,
            explored.states,
            explored.steps,
            explored.ends,
            begun.elapsed().as_secs_f64()
        );
        run.count("states", explored.states);
        run.count("configurations", 1);
        if let Some(found) = explored.found {
            run.violation(format!(
                "{}: {:?}: {}\n  {}",
                configuration.name,
                found.broken.kind,
                found.broken.text,
                found.trace.join("\n  ")
            ));
        }
    }
    for control in mutants::CONTROLS {
        let c = control.configuration;
        let begun = std::time::Instant::now();
        let explored = explore::explore(&Model::new(c));
        run.count("states", explored.states);
        let kind = explored.found.as_ref().map(|f| f.broken.kind);
        println!(
            "{:?}: {:?} after {} states {:.1} s",
            c.mutant,
            kind,
            explored.states,
            begun.elapsed().as_secs_f64()
        );
        if let Some(found) = explored.found
            && std::env::var("TRACE").is_ok()
        {
            println!("{}\n  {}", found.broken.text, found.trace.join("\n  "));
        }
        run.control(&format!("{:?}", c.mutant), kind.is_some_and(|k| control.expected.contains(&k)));
    }
    Ok(())
}
