//! T2: kill -9 inside the library call, and somebody else goes on.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::run::{Place, Run};
use crate::steps::engine::Point;
use crate::steps::operations::{Operation, TABLE};
use crate::steps::scene::{Healer, Scene};
use crate::steps::trace::{Trace, choose};
use crate::steps::{self, PATIENCE, pool};
use crate::themes::Theme;

pub(crate) const THEME: Theme = Theme { id: "T2", about: "kill by step", run };

/// Instructions of a longer operation at which nothing happens that others can tell, and at which it is killed too.
const OTHERS: u64 = 30;

/// An operation with somebody who will go on.
struct Situation {
    operation: &'static Operation,
    healer: Healer,
}

impl fmt::Display for Situation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.operation.name, self.healer)
    }
}

/// One kill.
struct Case {
    operation: &'static Operation,
    healer: Healer,
    point: Point,
    address: u64,
    landmark: Option<steps::engine::Landmark>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {}", self.operation.name, self.healer, self.point)
    }
}

fn run(run: &mut Run) -> anyhow::Result<()> {
    let directory = run.directory(Place::Memory)?;
    let below = directory.path();
    let situations: Vec<Situation> = TABLE
        .iter()
        .flat_map(|operation| Healer::ALL.map(|healer| Situation { operation, healer }))
        .filter(|situation| situation.healer.suits(situation.operation))
        .collect();
    let begun = std::time::Instant::now();
    let traces = pool::run(&situations, |situation| situation.trace(below));
    println!("traces {:?}", begun.elapsed());
    let mut cases = Vec::new();
    for (situation, trace) in situations.iter().zip(traces) {
        match trace {
            Ok(trace) => {
                println!(
                    "{situation}: {} steps, {} telling, {:#?}",
                    trace.len(),
                    trace.telling().len(),
                    trace.states
                );
                cases.extend(situation.cases(&trace, run));
            }
            Err(e) => run.violation(format!("{situation}: {e:#}")),
        }
    }
    println!("{} cases", cases.len());
    let begun = std::time::Instant::now();
    let results = pool::run(&cases, |case| {
        let b = std::time::Instant::now();
        let r = case.play(below);
        (b.elapsed(), r)
    });
    let mut sums: std::collections::BTreeMap<String, (u32, Duration)> = Default::default();
    for (c, (t, _)) in cases.iter().zip(&results) {
        let e = sums.entry(format!("{} {:?}", c.operation.name, c.healer)).or_default();
        e.0 += 1;
        e.1 += *t;
    }
    for (k, (n, t)) in &sums {
        println!("{k}: {n} x {:?}", *t / *n);
    }
    println!("kills {:?}", begun.elapsed());
    let mut worst = (Duration::ZERO, String::new());
    for (case, (_, result)) in cases.iter().zip(results) {
        run.count("kills", 1);
        match result {
            Ok(took) => {
                if took > worst.0 {
                    worst = (took, case.to_string())
                }
            }
            Err(e) => run.violation(format!("{case}: {e:#}")),
        }
    }
    println!("worst {worst:?}");
    Ok(())
}

impl Situation {
    fn trace(&self, below: &Path) -> anyhow::Result<Trace> {
        let mut scene = Scene::new(below, self.operation.found, self.healer, 60_000)?;
        let mut part = scene.prepare(self.operation)?;
        scene.arrange(&mut part)?;
        let trace = Trace::record(&mut part.victim, &scene.log)?;
        part.victim.finish(steps::engine::At::Mark)?;
        Ok(trace)
    }

    fn cases(&self, trace: &Trace, run: &mut Run) -> Vec<Case> {
        let mut points = if self.operation.short { trace.all() } else { trace.telling() };
        if !self.operation.short {
            points.extend(trace.others(OTHERS, &mut run.random));
        }
        points
            .into_iter()
            .map(|point| Case {
                operation: self.operation,
                healer: self.healer,
                point,
                address: trace.address(point),
                landmark: trace.landmark(point),
            })
            .collect()
    }
}

impl Case {
    fn play(&self, below: &Path) -> anyhow::Result<Duration> {
        let mut scene = Scene::new(below, self.operation.found, self.healer, 60_000)?;
        let mut part = scene.prepare(self.operation)?;
        scene.arrange(&mut part)?;
        anyhow::ensure!(part.victim.go_to(self.point, self.landmark)? == steps::engine::At::Inside, "missed");
        static OFF: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        static ON: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        if self.landmark.is_some() && self.address < 1 << 28 {
            if part.victim.address()? == self.address {
                ON.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            } else {
                println!(
                    "off {self} {:?} {}",
                    self.landmark,
                    OFF.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1
                );
            }
        }
        scene.kill(&mut part)?;
        let took = scene.heal()?;
        let violations = scene.check(PATIENCE);
        anyhow::ensure!(violations.is_empty(), "{}", violations.join("; "));
        Ok(took)
    }
}
