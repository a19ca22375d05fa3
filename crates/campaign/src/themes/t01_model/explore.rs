//! Breadth first through every world that can be reached.

use super::broken::{Broken, Kind, broken};
use super::coverage::Coverage;
use super::models::Model;
use super::packed::Packed;
use super::seen::Seen;
use super::steps::Step;
use super::turn::Turn;
use super::words;
use super::world::World;

/// Whose step leads from one world to the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum By {
    Step(usize),
    Death(usize),
    Follower,
}

/// A violation, and the shortest way there.
pub(super) struct Found {
    pub(super) broken: Broken,
    pub(super) trace: Vec<String>,
}

#[derive(Default)]
pub(super) struct Explored {
    pub(super) states: u64,
    pub(super) steps: u64,
    pub(super) ends: u64,
    pub(super) coverage: Coverage,
    pub(super) found: Option<Found>,
}

/// Steps out of one world.
#[derive(Default)]
pub(super) struct Steps {
    worlds: Vec<World>,
    by: Vec<By>,
}

impl Steps {
    fn clear(&mut self) {
        self.worlds.clear();
        self.by.clear();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (By, &World)> {
        self.by.iter().copied().zip(&self.worlds)
    }

    /// Every step that anybody can take. On a violation: who takes it.
    pub(super) fn from(&mut self, model: &Model, world: &World) -> Result<(), (By, Broken)> {
        self.clear();
        for p in 0..=model.opener() {
            Turn::new(model, world, p, &mut self.worlds).run().map_err(|b| (By::Step(p), b))?;
            self.by.resize(self.worlds.len(), By::Step(p));
        }
        if world.crashes > 0 {
            for p in (0..model.opener()).filter(|&p| can_die(world, p)) {
                let mut dead = model.killed(world, p);
                dead.crashes -= 1;
                self.worlds.push(dead);
                self.by.push(By::Death(p));
            }
        }
        if model.configuration.follower
            && let Some(next) = model.follow(world).map_err(|b| (By::Follower, b))?
        {
            self.worlds.push(next);
            self.by.push(By::Follower);
        }
        Ok(())
    }
}

/// Between two tasks a death changes nothing for anybody.
fn can_die(world: &World, process: usize) -> bool {
    !matches!(world.processes[process].at, Step::Ready | Step::Done | Step::Dead)
}

/// The graph without deaths and without the follower: who lives must be able to finish by living.
#[derive(Default)]
struct Graph {
    first: Vec<u32>,
    to: Vec<u32>,
    by: Vec<u8>,
    over: Vec<bool>,
}

pub(super) struct Exploration<'a> {
    model: &'a Model,
    seen: Seen,
    /// What is left when everybody dies at once.
    dead: Seen,
    /// What the opener then does.
    after: Vec<World>,
    parents: Vec<u32>,
    graph: Graph,
    steps: Steps,
    explored: Explored,
}

/// Explores it all, and in every world what is left when everybody dies there.
pub(super) fn explore(model: &Model) -> Explored {
    let width = Packed::of(&mut model.initial(), model).len();
    let mut exploration = Exploration {
        model,
        seen: Seen::new(width),
        dead: Seen::new(width),
        parents: Vec::new(),
        graph: Graph::default(),
        steps: Steps::default(),
        after: Vec::new(),
        explored: Explored::default(),
    };
    exploration.run();
    exploration.explored
}

impl Exploration<'_> {
    fn run(&mut self) {
        self.meet(self.model.initial(), 0);
        let mut at = 0;
        while at < self.seen.len() {
            if let Err((by, broken)) = self.expand(at as u32) {
                self.explored.found = Some(self.found(at as u32, by, broken));
                break;
            }
            at += 1;
        }
        self.explored.states = self.seen.len() as u64;
        if self.explored.found.is_none()
            && let Err((at, broken)) = self.everybody_can_finish()
        {
            self.explored.found = Some(self.found(at, None, broken));
        }
    }

    fn meet(&mut self, mut world: World, parent: u32) -> u32 {
        let packed = Packed::of(&mut world, self.model);
        let (number, new) = self.seen.insert(&packed.words[..packed.len()]);
        if new {
            self.parents.push(parent);
        }
        number
    }

    fn expand(&mut self, at: u32) -> Result<(), (Option<By>, Broken)> {
        let model = self.model;
        let world = World::unpack(self.seen.get(at as usize), model);
        let here = |broken| (None, broken);
        model.check(&world).map_err(here)?;
        let mut steps = std::mem::take(&mut self.steps);
        let stepped = steps.from(model, &world).map_err(|(by, broken)| (Some(by), broken));
        self.graph.first.push(self.graph.to.len() as u32);
        let mut moves = false;
        for (by, next) in steps.iter() {
            let number = self.meet(*next, at);
            if let By::Step(p) = by {
                moves = true;
                self.graph.to.push(number);
                self.graph.by.push(p as u8);
            }
            self.explored.steps += 1;
            self.explored.coverage.note(&world, by, next);
        }
        self.steps = steps;
        stepped?;
        let over = model.is_over(&world);
        self.graph.over.push(over);
        if over {
            self.explored.ends += 1;
            model.check_end(&world).map_err(here)?;
        }
        if !moves && !over {
            return broken(Kind::Deadlock, "nobody can move, and not everybody is done").map_err(here);
        }
        let mut dead = model.all_killed(&world);
        let packed = Packed::of(&mut dead, model);
        if self.dead.insert(&packed.words[..packed.len()]).1 {
            model.check_with_all_dead(dead, &mut self.after).map_err(here)?;
            self.after.clear();
        }
        if self.seen.len() as u64 > model.configuration.most {
            let text = format!("more than {} states", model.configuration.most);
            return broken(Kind::TooLarge, text).map_err(here);
        }
        Ok(())
    }

    /// From every world there is a way to the end without a death; with deadlines also when one of them is
    /// stopped there for ever.
    fn everybody_can_finish(&self) -> Result<(), (u32, Broken)> {
        self.can_finish(None)?;
        if self.model.configuration.deadlines {
            (0..self.model.opener()).try_for_each(|stopped| self.can_finish(Some(stopped)))?;
        }
        Ok(())
    }

    fn can_finish(&self, stopped: Option<usize>) -> Result<(), (u32, Broken)> {
        let (model, graph) = (self.model, &self.graph);
        let mut good: Vec<bool> = match stopped {
            None => graph.over.clone(),
            Some(stopped) => (0..self.seen.len())
                .map(|n| World::unpack(self.seen.get(n), model))
                .map(|world| (0..model.opener()).all(|p| p == stopped || model.is_finished(&world, p)))
                .collect(),
        };
        let ends = |n: usize| graph.first.get(n + 1).map_or(graph.to.len(), |&first| first as usize);
        loop {
            let mut changed = false;
            for n in (0..good.len()).rev().filter(|&n| graph.first.len() > n) {
                let mut edges = graph.first[n] as usize..ends(n);
                let counts = |edge: &usize| Some(usize::from(graph.by[*edge])) != stopped;
                if !good[n] && edges.any(|edge| counts(&edge) && good[graph.to[edge] as usize]) {
                    good[n] = true;
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
        let Some(bad) = good.iter().position(|good| !good) else { return Ok(()) };
        let text = match stopped {
            None => "from here nobody ever gets to the end".into(),
            Some(p) => format!("from here, with {} stopped, the others never get to the end", model.name(p)),
        };
        broken(Kind::Stuck, text).map_err(|broken| (bad as u32, broken))
    }

    /// The way to a world, and the step that breaks.
    fn found(&self, at: u32, by: Option<By>, broken: Broken) -> Found {
        let mut way = vec![at];
        while let Some(&last) = way.last()
            && last != 0
        {
            way.push(self.parents[last as usize]);
        }
        way.reverse();
        let worlds: Vec<World> =
            way.iter().map(|&n| World::unpack(self.seen.get(n as usize), self.model)).collect();
        let mut trace = words::trace(self.model, &worlds, by);
        if !self.after.is_empty() {
            trace.push("everybody dies, and an opener comes".into());
            trace.extend(words::trace(self.model, &self.after, None));
        }
        Found { trace, broken }
    }
}
