//! An operation with somebody who will go on: where its reference run is taken, and where it is killed.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, ensure};

use super::engine::{At, Landmark, Point};
use super::operations::{self, Operation, TABLE};
use super::scene::{Healer, Part, Scene, Setting};
use super::trace::{Trace, choose};
use crate::run::Run;

#[derive(Clone, Copy)]
pub(crate) struct Situation {
    pub(crate) operation: &'static Operation,
    pub(crate) healer: Healer,
}

impl fmt::Display for Situation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.operation.name, self.healer)
    }
}

impl Situation {
    /// Every operation with everybody who can be there.
    pub(crate) fn all() -> Vec<Self> {
        let every = |operation| Healer::ALL.map(|healer| Self { operation, healer });
        TABLE.iter().flat_map(every).filter(|situation| situation.healer.suits(situation.operation)).collect()
    }

    /// As many of them as the size says; however few that are, each operation under a policy is among them.
    pub(crate) fn some_of(mut all: Vec<Self>, run: &mut Run) -> Vec<Self> {
        let count = run.size.of(all.len() as u64) as usize;
        choose(&mut all, usize::MAX, &mut run.random);
        let rest = all.split_off(count.min(all.len()));
        for situation in rest.into_iter().filter(|situation| situation.operation.keep.is_some()) {
            if !all.iter().any(|chosen| chosen.operation.name == situation.operation.name) {
                all.push(situation);
            }
        }
        all
    }

    /// By name, as displayed.
    pub(crate) fn named(operation: &str, healer: &str) -> anyhow::Result<Self> {
        let healer = Healer::ALL.into_iter().find(|h| format!("{h:?}") == healer);
        Ok(Self { operation: operations::named(operation)?, healer: healer.context("no such healer")? })
    }

    /// Nobody is in a hurry.
    pub(crate) fn patient<'a>(&self, below: &'a Path) -> Setting<'a> {
        Setting::patient(below, self.healer)
    }

    /// The scene with the victim at the origin of its operation.
    pub(crate) fn enter(&self, setting: &Setting<'_>) -> anyhow::Result<(Scene, Part)> {
        let mut scene = Scene::new(setting, self.operation)?;
        let mut part = scene.prepare(self.operation)?;
        scene.arrange(&mut part)?;
        Ok((scene, part))
    }

    /// A reference run; it must end well too.
    pub(crate) fn trace(&self, setting: &Setting<'_>) -> anyhow::Result<Trace> {
        let (mut scene, mut part) = self.enter(setting)?;
        let trace = Trace::record(&mut part.victim, &scene.log)?;
        scene.finish(&mut part)?;
        ensure!(
            trace.gives_up().is_some() == self.operation.prunes(),
            "what it gives up: {:?}",
            trace.gives_up()
        );
        Ok(trace)
    }
}

/// A point, and a quicker way there where one is known.
#[derive(Clone, Copy)]
pub(crate) struct Goal {
    pub(crate) point: Point,
    pub(crate) landmark: Option<Landmark>,
}

impl Goal {
    pub(crate) fn of(trace: &Trace, point: Point) -> Self {
        Self { point, landmark: trace.landmark(point) }
    }

    /// False when the operation was over before.
    pub(crate) fn reach(&self, part: &mut Part) -> anyhow::Result<bool> {
        Ok(part.victim.go_to(self.point, self.landmark)? == At::Inside)
    }
}

impl FromStr for Goal {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        Ok(Self { point: text.parse()?, landmark: None })
    }
}
