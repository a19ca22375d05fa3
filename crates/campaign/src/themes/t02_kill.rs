//! T2: kill -9 inside the library call, at every instruction that matters, and somebody else goes on.
//!
//! Each operation is killed just before and just behind every instruction that other processes can tell from its
//! effects, and at others at random; the plain append at every single one. Then the next append must succeed, and
//! every byte must be accounted for.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::children::Role;
use crate::run::{Place, Run};
use crate::steps::sabotage::Sabotage;
use crate::steps::scene::Healer;
use crate::steps::situation::{Goal, Situation};
use crate::steps::trace::Trace;
use crate::steps::{self, pool};
use crate::themes::Theme;

pub(crate) const THEME: Theme = Theme { id: "T2", about: "kill by step", run };
pub(crate) const ROLES: &[Role] = &[(REPLAY, replay)];

const REPLAY: &str = "kill-at";
/// Instructions of a longer operation that nobody else can tell, and at which it is killed too.
const OTHERS: u64 = 300;

/// One kill.
struct Kill {
    situation: Situation,
    goal: Goal,
    sabotage: Option<Sabotage>,
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.situation, self.goal.point)
    }
}

fn run(run: &mut Run) -> anyhow::Result<()> {
    if !steps::is_possible(run) {
        return Ok(());
    }
    let directory = run.directory(Place::Memory)?;
    let situations = Situation::some_of(Situation::all(), run);
    let traces = pool::run(&situations, |situation| situation.trace(&situation.patient(directory.path())));
    let mut kills = Vec::new();
    for (situation, trace) in situations.iter().zip(traces) {
        match trace {
            Ok(trace) => kills.extend(chosen(*situation, &trace, run)),
            Err(e) => run.violation(format!("{situation}, left alone: {e:#}")),
        }
    }
    controls(run, directory.path())?;
    let played = pool::run(&kills, |kill| kill.play(directory.path()));
    let mut worst = (Duration::ZERO, String::new());
    for (kill, played) in kills.iter().zip(played) {
        match played {
            Ok(Some(took)) => {
                run.count("kills", 1);
                worst = worst.max((took, kill.to_string()));
            }
            Ok(None) => run.count("came too late", 1),
            Err(e) => run.violation(format!("{e:#}; `campaign role {REPLAY} {kill}`")),
        }
    }
    println!("T2   worst heal {} us ({})", worst.0.as_micros(), worst.1);
    Ok(())
}

fn chosen(situation: Situation, trace: &Trace, run: &mut Run) -> Vec<Kill> {
    let points = if situation.operation.short {
        trace.all()
    } else {
        let healers = Healer::ALL.iter().filter(|healer| healer.suits(situation.operation)).count();
        let mut points = trace.telling();
        points.extend(trace.others(OTHERS / healers as u64, &mut run.random));
        points
    };
    let kill = |point| Kill { situation, goal: Goal::of(trace, point), sabotage: None };
    points.into_iter().map(kill).collect()
}

impl Kill {
    /// How long the next append took; `None` when the operation was over before it could be killed.
    fn play(&self, below: &Path) -> anyhow::Result<Option<Duration>> {
        let (mut scene, mut part) = self.situation.enter(&self.situation.patient(below))?;
        let is_inside = self.goal.reach(&mut part)?;
        scene.read_on()?;
        scene.kill(&mut part)?;
        let took = scene.go_on(self.sabotage)?;
        Ok(is_inside.then_some(took))
    }
}

/// What no kill may do, done by hand to a log whose writer was killed in the middle of its copy.
fn controls(run: &mut Run, below: &Path) -> anyhow::Result<()> {
    let situation = Situation::named("append", "Writer")?;
    let trace = situation.trace(&situation.patient(below))?;
    let goal = Goal::of(&trace, *trace.states.get("copying").context("it never was copying")?);
    for sabotage in Sabotage::ALL {
        let played = Kill { situation, goal, sabotage: Some(sabotage) }.play(below);
        run.control(&format!("{sabotage:?}"), sabotage.is_noticed(&played));
    }
    Ok(())
}

/// OPERATION HEALER POINT, as a violation says it.
fn replay(arguments: &[String]) -> anyhow::Result<()> {
    let [operation, healer, point] = arguments else { bail!("OPERATION HEALER POINT") };
    let situation = Situation::named(operation, healer)?;
    let kill = Kill { situation, goal: point.parse()?, sabotage: None };
    steps::replay(|below| Ok(format!("the next append took {:?}", kill.play(below)?)))
}
