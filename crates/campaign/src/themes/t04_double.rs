//! T4: the one who goes on after a kill is killed too, at every instruction that matters; a third one goes on.
//!
//! The second is prepared before the first is killed, so that it is its very operation that meets what was left:
//! a held lock, a closed gate, a half-made file, an append in flight.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::children::Role;
use crate::random::Random;
use crate::run::{Place, Run};
use crate::steps::engine::Point;
use crate::steps::operations::{self, Found, Operation, TABLE};
use crate::steps::sabotage::Sabotage;
use crate::steps::scene::{Healer, Part, Scene, Setting};
use crate::steps::situation::{Goal, Situation};
use crate::steps::trace::{Trace, choose};
use crate::steps::{self, pool};
use crate::themes::Theme;

pub(crate) const THEME: Theme = Theme { id: "T4", about: "double kill", run };
pub(crate) const ROLES: &[Role] = &[(REPLAY, replay)];

const REPLAY: &str = "kill-twice-at";
/// The operations that meet what a kill has left.
const SECONDS: &[&str] = &[
    "create",
    "open",
    "arrive",
    "claim",
    "append",
    "append-large-grow",
    "trim",
    "rotate",
    "rotate-alone",
    "close",
    "sync",
    "repair-settle",
];
/// How many pairs of operations are tried, and in how many states the first leaves the log.
const PAIRS: u64 = 16;
const STATES: usize = 3;
/// What is tried in any case: a writer is killed that carries out the policy, and so is the one who goes on with it.
const BOUNDED: &[(&str, &str)] = &[
    ("append-rotates", "append"),
    ("append-rotates", "arrive"),
    ("append-prunes", "append"),
    ("append-prunes", "arrive"),
];

/// Two operations that follow each other; the healer comes third.
#[derive(Clone, Copy)]
struct Pair {
    first: Situation,
    second: &'static Operation,
    /// Decides what the first leaves.
    seed: u64,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.first, self.second.name)
    }
}

/// Two kills.
struct Double {
    pair: Pair,
    first: Goal,
    second: Goal,
    sabotage: Option<Sabotage>,
}

impl fmt::Display for Double {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.pair, self.first.point, self.second.point)
    }
}

fn run(run: &mut Run) -> anyhow::Result<()> {
    if !steps::is_possible(run) {
        return Ok(());
    }
    let directory = run.directory(Place::Memory)?;
    controls(run, directory.path())?;
    let pairs = chosen(run);
    let doubles: Vec<_> = pool::run(&pairs, |pair| pair.doubles(directory.path()));
    let mut all = Vec::new();
    for (pair, doubles) in pairs.iter().zip(doubles) {
        match doubles {
            Ok(doubles) => all.extend(doubles),
            Err(e) => run.violation(format!("{pair}, killed once: {e:#}")),
        }
    }
    let played = pool::run(&all, |double| double.play(directory.path()));
    let mut worst = (Duration::ZERO, String::new());
    for (double, played) in all.iter().zip(played) {
        match played {
            Ok(took) => {
                run.count("double kills", 1);
                worst = worst.max((took, double.to_string()));
            }
            Err(e) => run.violation(format!("{e:#}; `campaign role {REPLAY} {double}`")),
        }
    }
    println!("T4   worst heal {} us ({})", worst.0.as_micros(), worst.1);
    Ok(())
}

/// Some of the pairs that can be, each with a healer that can be there.
fn chosen(run: &mut Run) -> Vec<Pair> {
    let meets =
        |second: &&Operation| SECONDS.contains(&second.name) || matches!(second.found, Found::Damaged(_));
    let mut pairs = Vec::new();
    for second in TABLE.iter().filter(meets) {
        for first in TABLE.iter().filter(|first| may_follow(first, second)) {
            let suits = |healer: &Healer| healer.suits(first) && healer.suits(second);
            let healers: Vec<Healer> = Healer::ALL.into_iter().filter(suits).collect();
            let healer = *run.random.pick(&healers);
            pairs.push(Pair {
                first: Situation { operation: first, healer },
                second,
                seed: run.random.next(),
            });
        }
    }
    let is_bounded = |pair: &mut Pair| BOUNDED.contains(&(pair.first.operation.name, pair.second.name));
    let mut bounded: Vec<Pair> = pairs.extract_if(.., is_bounded).collect();
    choose(&mut pairs, run.size.of(PAIRS) as usize, &mut run.random);
    pairs.append(&mut bounded);
    pairs
}

/// Whether the second can stand by while the first begins.
fn may_follow(first: &Operation, second: &Operation) -> bool {
    let comes_later = matches!(second.name, "open" | "arrive" | "claim" | "repair-settle" | "rotate-alone");
    match first.found {
        Found::Nothing => matches!(second.name, "create" | "arrive"),
        Found::Data => second.name == "create",
        Found::Damaged(_) => second.name == first.name,
        Found::Log => second.found == Found::Log && second.name != "create" && (comes_later || !first.alone),
    }
}

impl Pair {
    fn setting<'a>(&self, below: &'a Path) -> Setting<'a> {
        self.first.patient(below)
    }

    /// The scene with both at their marks: the first at the origin of its operation.
    fn enter(&self, below: &Path) -> anyhow::Result<(Scene, Part, Part)> {
        let mut scene = Scene::new(&self.setting(below), self.first.operation)?;
        let second = scene.prepare(self.second)?;
        let mut first = scene.prepare(self.first.operation)?;
        scene.arrange(&mut first)?;
        Ok((scene, first, second))
    }

    /// The scene behind the first kill, with the second at the origin of its operation.
    fn after(&self, goal: &Goal, below: &Path) -> anyhow::Result<(Scene, Part)> {
        let (mut scene, mut first, mut second) = self.enter(below)?;
        goal.reach(&mut first)?;
        scene.kill(&mut first)?;
        scene.read_on()?;
        scene.begins(&mut second)?;
        Ok((scene, second))
    }

    /// The states in which the first operation can leave the log, but for those that need no care.
    fn states(&self, below: &Path) -> anyhow::Result<(Trace, Vec<Point>)> {
        let (mut scene, mut first, mut second) = self.enter(below)?;
        let trace = Trace::record(&mut first.victim, &scene.log)?;
        scene.finish(&mut first)?;
        scene.finish(&mut second)?;
        let left =
            trace.states.iter().filter(|(state, point)| !state.is_empty() && **point != Point::default());
        let points = left.map(|(_, point)| *point).collect();
        Ok((trace, points))
    }

    /// What the second does in some of these states, and where it is killed there.
    fn doubles(&self, below: &Path) -> anyhow::Result<Vec<Double>> {
        let (trace, mut points) = self.states(below)?;
        choose(&mut points, STATES, &mut Random::new(self.seed));
        points.extend(trace.gives_up().filter(|point| !points.contains(point)));
        let mut doubles = Vec::new();
        for first in points.into_iter().map(|point| Goal::of(&trace, point)) {
            let (mut scene, mut second) = self.after(&first, below)?;
            let trace = Trace::record(&mut second.victim, &scene.log)?;
            scene.finish(&mut second)?;
            scene.go_on(None).with_context(|| format!("behind {}", first.point))?;
            let goals = trace.telling().into_iter().map(|point| Goal::of(&trace, point));
            doubles.extend(goals.map(|second| Double { pair: *self, first, second, sabotage: None }));
        }
        Ok(doubles)
    }
}

impl Double {
    /// How long the next append took.
    fn play(&self, below: &Path) -> anyhow::Result<Duration> {
        let (mut scene, mut second) = self.pair.after(&self.first, below)?;
        self.second.reach(&mut second)?;
        scene.read_on()?;
        scene.kill(&mut second)?;
        scene.go_on(self.sabotage)
    }
}

/// What no two kills may do, done by hand behind the kill of one who had not settled anything yet.
fn controls(run: &mut Run, below: &Path) -> anyhow::Result<()> {
    let first = Situation::named("append", "Writer")?;
    let pair = Pair { first, second: operations::named("open")?, seed: run.seed };
    let (trace, _) = pair.states(below)?;
    let goal = Goal::of(&trace, *trace.states.get("copying").context("it never was copying")?);
    for sabotage in Sabotage::ALL {
        let second = Goal { point: Point::default(), landmark: None };
        let played = Double { pair, first: goal, second, sabotage: Some(sabotage) }.play(below);
        run.control(&format!("{sabotage:?}"), sabotage.is_noticed(&played));
    }
    Ok(())
}

/// FIRST HEALER SECOND POINT POINT, as a violation says it.
fn replay(arguments: &[String]) -> anyhow::Result<()> {
    let [first, healer, second, at, then] = arguments else { bail!("FIRST HEALER SECOND POINT POINT") };
    let pair = Pair { first: Situation::named(first, healer)?, second: operations::named(second)?, seed: 0 };
    let double = Double { pair, first: at.parse()?, second: then.parse()?, sabotage: None };
    steps::replay(|below| Ok(format!("the next append took {:?}", double.play(below)?)))
}
