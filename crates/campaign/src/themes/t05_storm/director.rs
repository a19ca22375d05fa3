//! Directs one storm, in a process of its own without threads: starts the actors, kills and stops them, and says in
//! the end what it did. Whatever an actor complains of goes to stderr.

use std::path::Path;
use std::time::{Duration, Instant};

use mmlog::{Log, Rotation};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::Order;
use super::actors::{HASTY, Kind, Stage, is_whole};
use crate::children;
use crate::oracle::{Scribe, Segments};
use crate::random::Random;

/// Numbers of a handful that a killed writer leaves unused, and one in flight.
const LOST_NUMBERS: u64 = 5;
/// A kill comes when the writers have got on far enough, or after so long: somebody stopped may hold them up.
const PATIENCE: Duration = Duration::from_millis(5);

struct Actor {
    kind: &'static Kind,
    id: u32,
    pid: Pid,
    /// Stopped until that many kills are done.
    stopped_until: Option<u64>,
}

struct Director<'a> {
    stage: &'a Stage,
    random: Random,
    actors: Vec<Actor>,
    next_id: u32,
    kills: u64,
    stops: u64,
    unexpected: u32,
}

/// The role: `log acks sightings` and the order.
pub(super) fn direct(arguments: &[String]) -> anyhow::Result<()> {
    let [log, acks, sightings, order @ ..] = arguments else { anyhow::bail!("arguments: {arguments:?}") };
    let order = Order::parse(order)?;
    let stage =
        Stage::new(Path::new(log), Path::new(acks), Path::new(sightings), (order.seed, order.bounded))?;
    drop(stage.options.open_or_create(log)?);
    let mut director = Director {
        stage: &stage,
        random: Random::new(!order.seed),
        actors: Vec::new(),
        next_id: 1,
        kills: 0,
        stops: 0,
        unexpected: 0,
    };
    let kinds = if order.hasty { HASTY } else { stage.kinds() };
    for kind in kinds {
        for _ in 0..kind.crew {
            director.start(kind)?;
        }
    }
    director.storm(&order, kinds)?;
    director.calm()?;
    leave_at_rest(&stage)?;
    println!("{} {}", director.kills, director.stops);
    Ok(())
}

impl Director<'_> {
    fn start(&mut self, kind: &'static Kind) -> anyhow::Result<()> {
        let (id, seed, stage) = (self.next_id, self.random.next(), self.stage);
        self.next_id += 1;
        let pid = children::fork(|| {
            (kind.act)(stage, id, &mut Random::new(seed))
                .map_err(|e| anyhow::anyhow!("{} {id}: {e:#}", kind.name))
        })?;
        self.actors.push(Actor { kind, id, pid, stopped_until: None });
        Ok(())
    }

    fn storm(&mut self, order: &Order, kinds: &'static [Kind]) -> anyhow::Result<()> {
        let shares: u64 = kinds.iter().map(|kind| kind.share).sum();
        let goal = |kills: u64| kills * order.messages / order.kills + kills * LOST_NUMBERS;
        while self.kills < order.kills {
            let spread = goal(1);
            let next = goal(self.kills) + self.random.below(2 * spread);
            self.wait_for(next, Some(PATIENCE));
            let mut share = self.random.below(shares);
            let kind = kinds.iter().find(|kind| {
                let chosen = share < kind.share;
                share = share.saturating_sub(kind.share);
                chosen
            });
            let of_kind = |actor: &&Actor| Some(actor.kind.name) == kind.map(|kind| kind.name);
            let count = self.actors.iter().filter(of_kind).count() as u64;
            let nth = self.random.below(count) as usize;
            let Some(pid) = self.actors.iter().filter(of_kind).nth(nth).map(|actor| actor.pid) else {
                anyhow::bail!("no actor to kill")
            };
            self.replace(pid)?;
            self.stop_and_continue()?;
            self.reap()?;
        }
        self.resume(u64::MAX)?;
        self.wait_for(goal(order.kills), None);
        Ok(())
    }

    /// Until that many numbers are handed out.
    fn wait_for(&self, goal: u64, patience: Option<Duration>) {
        let begun = Instant::now();
        while self.stage.acks.handed_out() < goal
            && patience.is_none_or(|patience| begun.elapsed() < patience)
        {
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    fn replace(&mut self, pid: Pid) -> anyhow::Result<()> {
        let Some(index) = self.actors.iter().position(|actor| actor.pid == pid) else { return Ok(()) };
        kill(pid, Signal::SIGKILL)?;
        self.kills += 1;
        let kind = self.actors.swap_remove(index).kind;
        self.start(kind)
    }

    /// Stops one now and then, for the time of a few kills.
    fn stop_and_continue(&mut self) -> anyhow::Result<()> {
        let kills = self.kills;
        self.resume(kills)?;
        if self.random.below(8) == 0 {
            let chosen = self.random.below(self.actors.len() as u64) as usize;
            let actor = &mut self.actors[chosen];
            actor.stopped_until = Some(kills + 1 + self.random.below(6));
            kill(actor.pid, Signal::SIGSTOP)?;
            self.stops += 1;
        }
        Ok(())
    }

    /// Lets those go on who are stopped for no more than that many kills.
    fn resume(&mut self, kills: u64) -> anyhow::Result<()> {
        for actor in self.actors.iter_mut().filter(|a| a.stopped_until.is_some_and(|until| until <= kills)) {
            actor.stopped_until = None;
            kill(actor.pid, Signal::SIGCONT)?;
        }
        Ok(())
    }

    /// Buries the dead. Who was not killed should not be among them.
    fn reap(&mut self) -> anyhow::Result<()> {
        loop {
            let status = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(nix::Error::ECHILD) => return Ok(()),
                status => status?,
            };
            self.judge(status);
            if let Some(kind) = status.pid().and_then(|pid| self.forget(pid)) {
                self.start(kind)?;
            }
            anyhow::ensure!(self.unexpected < 20, "too many actors ended by themselves");
        }
    }

    fn forget(&mut self, pid: Pid) -> Option<&'static Kind> {
        let index = self.actors.iter().position(|actor| actor.pid == pid)?;
        Some(self.actors.swap_remove(index).kind)
    }

    fn judge(&mut self, status: WaitStatus) {
        let actor = self.actors.iter().find(|actor| Some(actor.pid) == status.pid());
        let expected = match status {
            WaitStatus::Signaled(_, Signal::SIGKILL, _) => actor.is_none(),
            WaitStatus::Exited(_, 0) => self.stage.acks.is_closed(),
            _ => false,
        };
        if !expected {
            self.unexpected += 1;
            let who = actor.map_or("one that was killed".into(), |a| format!("{} {}", a.kind.name, a.id));
            eprintln!("{who} ended by itself after {} kills: {status:?}", self.kills);
        }
    }

    /// Ends the storm: one half of the times everybody stops at a message's end, the other nobody is asked.
    fn calm(&mut self) -> anyhow::Result<()> {
        self.stage.acks.close();
        let asked = self.random.below(2) == 0;
        for actor in &self.actors {
            kill(actor.pid, if asked { Signal::SIGCONT } else { Signal::SIGKILL })?;
        }
        if !asked {
            self.actors.clear();
        }
        loop {
            match waitpid(None, None) {
                Err(nix::Error::ECHILD) => return Ok(()),
                status => self.judge(status?),
            }
        }
    }
}

/// Somebody goes on: that settles what the dead have left, and trims.
fn leave_at_rest(stage: &Stage) -> anyhow::Result<()> {
    let log = stage.options.open(&stage.log)?;
    Scribe::new(&stage.acks, 0).append(&mut log.writer()?, 100)?;
    // What a killed rotator has left goes with the next rotation.
    log.rotate(&Rotation::default())?;
    anyhow::ensure!(!Segments::look(&stage.log)?.has_next, "a rotation has left a temporary file");
    if stage.bounded {
        is_bounded(stage, &log)?;
    }
    let content = log.cursor()? - log.oldest()?;
    log.close()?;
    let len = Segments::look(&stage.log)?.bytes()?.len() as u64;
    anyhow::ensure!(len == content, "at rest the files have {len} bytes, {content} were appended");
    Ok(())
}

/// What the policy lets go is gone, once all is done that is due.
fn is_bounded(stage: &Stage, log: &Log) -> anyhow::Result<()> {
    log.housekeep()?;
    let state = log.policy();
    is_whole(&state)?;
    let (finals, keep) = (Segments::look(&stage.log)?.finals.len() as u64, state.rules().keep);
    anyhow::ensure!(keep.is_some_and(|keep| finals <= keep), "{finals} final segments, kept are {keep:?}");
    Ok(())
}
