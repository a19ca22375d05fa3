//! T3: a process stops inside the library call, others do everything that they can do, and it goes on.
//!
//! Each of the others either succeeds or says that it waits for the stopped one; nobody takes anything from that
//! one. When it goes on it finishes, and every byte is accounted for.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};

use crate::children::Role;
use crate::random::Random;
use crate::run::{Place, Run};
use crate::steps::ledger::Reading;
use crate::steps::others::{self, Foul, Other, Outcome, Stopped};
use crate::steps::scene::{Healer, Setting};
use crate::steps::situation::{Goal, Situation};
use crate::steps::trace::{Trace, choose};
use crate::steps::{self, PATIENCE, pool};
use crate::themes::Theme;

pub(crate) const THEME: Theme = Theme { id: "T3", about: "stop by step", run };
pub(crate) const ROLES: &[Role] = &[(REPLAY, replay)];

const REPLAY: &str = "stop-at";
/// Instructions that nobody else can tell, and at which it is stopped too.
const OTHERS: u64 = 30;
/// A drain gives up soon.
const GATE_MS: u32 = 2;

/// One stop.
struct Stop {
    situation: Situation,
    goal: Goal,
    /// Decides in which order the others come, and how long they wait.
    seed: u64,
    foul: Option<Foul>,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.situation, self.goal.point, self.seed)
    }
}

fn run(run: &mut Run) -> anyhow::Result<()> {
    if !steps::is_possible(run) {
        return Ok(());
    }
    let directory = run.directory(Place::Memory)?;
    controls(run, directory.path())?;
    let situations = Situation::some_of(with_most_company(), run);
    let traces = pool::run(&situations, |situation| {
        situation.trace(&setting(situation, directory.path(), PATIENCE, 60_000))
    });
    let mut stops = Vec::new();
    for (situation, trace) in situations.iter().zip(traces) {
        match trace {
            Ok(trace) => stops.extend(chosen(*situation, &trace, run)),
            Err(e) => run.violation(format!("{situation}, left alone: {e:#}")),
        }
    }
    let played = pool::run(&stops, |stop| stop.play(directory.path()));
    for (stop, played) in stops.iter().zip(played) {
        match played {
            Ok(outcomes) => {
                let count = |what| outcomes.iter().filter(|&&outcome| outcome == what).count() as u64;
                run.count("stops", 1);
                run.count("pairs", outcomes.len() as u64);
                run.count("of them stalled", count(Outcome::Stalled));
                run.count("of them unnamed", count(Outcome::Unnamed));
                run.count("of them refused", count(Outcome::Refused));
            }
            Err(e) => run.violation(format!("{e:#}; `campaign role {REPLAY} {stop}`")),
        }
    }
    Ok(())
}

fn setting<'a>(situation: &Situation, below: &'a Path, wait: Duration, gate_ms: u32) -> Setting<'a> {
    Setting { gate_ms, wait, leaver: true, ..situation.patient(below) }
}

/// Every operation, each with as many others beside it as there can be.
fn with_most_company() -> Vec<Situation> {
    let mut situations = Situation::all();
    situations.dedup_by_key(|situation| situation.operation.name);
    situations
}

fn chosen(situation: Situation, trace: &Trace, run: &mut Run) -> Vec<Stop> {
    let mut points = trace.telling();
    points.extend(trace.others(OTHERS, &mut run.random));
    let stop = |point| Stop { situation, goal: Goal::of(trace, point), seed: run.random.next(), foul: None };
    points.into_iter().map(stop).collect()
}

impl Stop {
    fn play(&self, below: &Path) -> anyhow::Result<Vec<Outcome>> {
        let mut random = Random::new(self.seed);
        let wait = if random.below(16) == 0 { Duration::from_millis(5) } else { Duration::ZERO };
        let setting = setting(&self.situation, below, wait, GATE_MS);
        let (mut scene, mut part) = self.situation.enter(&setting)?;
        let mut stopped = Stopped { scene: &mut scene, pid: part.victim.pid(), early: Reading::default() };
        let mut outcomes = Vec::new();
        if self.goal.reach(&mut part)? {
            let mut others: Vec<&Other> = others::possible(self.situation.operation.found).collect();
            choose(&mut others, usize::MAX, &mut random);
            for other in others {
                outcomes.push(stopped.watch(other, self.foul).context(other.name)?);
            }
        }
        let early = stopped.early;
        scene.leaver = None;
        scene.finish(&mut part)?;
        scene.give_the_sleeper_something().context("append for a sleeping follower")?;
        let violations = scene.check(PATIENCE);
        ensure!(violations.is_empty(), "{}", violations.join("; "));
        scene.begins_with(&early)?;
        Ok(outcomes)
    }
}

/// What nobody may do to a stopped process, done.
fn controls(run: &mut Run, below: &Path) -> anyhow::Result<()> {
    for (foul, operation, state) in [
        (Foul::Settled, "append", "copying"),
        (Foul::Overwritten, "append", "copying"),
        (Foul::Blamed, "trim", "locked, gate closed, journal"),
    ] {
        let situation = Situation { operation: steps::operations::named(operation)?, healer: Healer::Writer };
        let trace = situation.trace(&setting(&situation, below, PATIENCE, 60_000))?;
        let point = trace.states.get(state).with_context(|| anyhow!("{operation} never was {state}"))?;
        let stop = Stop { situation, goal: Goal::of(&trace, *point), seed: run.seed, foul: Some(foul) };
        let said = stop.play(below).err().map(|e| format!("{e:#}")).unwrap_or_default();
        run.control(&format!("{foul:?}"), said.contains(foul.noticed_as()));
    }
    Ok(())
}

/// OPERATION HEALER POINT SEED, as a violation says it.
fn replay(arguments: &[String]) -> anyhow::Result<()> {
    let [operation, healer, point, seed] = arguments else { bail!("OPERATION HEALER POINT SEED") };
    let situation = Situation::named(operation, healer)?;
    let stop = Stop { situation, goal: point.parse()?, seed: seed.parse()?, foul: None };
    steps::replay(|below| Ok(format!("{:?}", stop.play(below)?)))
}
