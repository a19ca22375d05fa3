//! Forks without exec, four ways, and one with.

use std::io::{PipeWriter, Write};
use std::process::{Command, Stdio};

use mmlog::{Force, Log, Options};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid, getppid};

use super::{Case, Scene, ended_well, kill_and_wait, line, pause, until};
use crate::children;
use crate::oracle::Scribe;

pub(super) const CASES: &[Case] = &[
    ("a fork in a thread", in_a_thread),
    ("a fork whose parent dies", parent_dies),
    ("a child of a child", generations),
    ("forks while siblings append", while_siblings_append),
    ("a child by exec", by_exec),
];

const EACH: usize = 100;

/// Appends a few messages by whatever handle it was given.
fn append_some(scene: &Scene, log: &Log, id: u32) -> anyhow::Result<()> {
    let mut writer = log.writer()?;
    let mut scribe = Scribe::new(&scene.acks, id);
    for n in 0..EACH {
        scribe.append(&mut writer, 1 + n * 17 % 3000)?;
    }
    Ok(())
}

/// A thread forks; parent, thread and child go on with the same handle.
fn in_a_thread(scene: &mut Scene) -> anyhow::Result<()> {
    let log = scene.create()?;
    for _ in 0..scene.rounds {
        let ids = [scene.id(), scene.id(), scene.id()];
        let (scene, log) = (&*scene, &log);
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let child = children::fork(|| append_some(scene, log, ids[0]))?;
                append_some(scene, log, ids[1])?;
                ended_well(child)
            });
            append_some(scene, log, ids[2])?;
            thread.join().map_err(|_| anyhow::anyhow!("the thread panicked"))?
        })?;
    }
    scene.count(scene.rounds, "forks");
    drop(log);
    scene.judge()
}

/// The child has the handle, and does not keep the dead parent's append alive.
fn parent_dies(scene: &mut Scene) -> anyhow::Result<()> {
    let log = scene.create()?;
    for _ in 0..scene.rounds {
        let ids = [scene.id(), scene.id()];
        let (mut from, to) = std::io::pipe()?;
        let parent = {
            let scene = &*scene;
            children::fork(move || be_parent(scene, ids, to))?
        };
        anyhow::ensure!(line(&mut from)? == "here", "the child did not come");
        scene.get_on(20)?;
        kill_and_wait(parent)?;
        // Dead at once, although its child has every descriptor but those of locks.
        let alive: Vec<u32> =
            log.status()?.writers.iter().filter(|w| w.alive == Ok(true)).map(|w| w.pid).collect();
        let number = parent.as_raw().unsigned_abs();
        anyhow::ensure!(!alive.contains(&number), "the killed parent {parent} lives: {alive:?}");
        anyhow::ensure!(line(&mut from)? == "done", "the orphan failed");
    }
    scene.count(scene.rounds, "forks");
    drop(log);
    scene.judge()
}

/// Appends until it is killed; its child then appends by the same handle.
fn be_parent(scene: &Scene, ids: [u32; 2], mut to: PipeWriter) -> anyhow::Result<()> {
    let log = scene.options().open(&scene.log)?;
    let parent = getpid();
    children::fork(|| {
        set_pdeathsig(None)?;
        writeln!(to, "here")?;
        while getppid() == parent {
            pause();
        }
        append_some(scene, &log, ids[1])?;
        Ok(writeln!(to, "done")?)
    })?;
    scene.append_until_closed(&log, ids[0], 5000)
}

/// Each appends before and after it has a child, and all at once.
fn generations(scene: &mut Scene) -> anyhow::Result<()> {
    const DEPTH: u32 = 6;
    fn descend(scene: &Scene, log: &Log, first: u32, depth: u32) -> anyhow::Result<()> {
        let mut writer = log.writer()?;
        let mut scribe = Scribe::new(&scene.acks, first + depth);
        scribe.append(&mut writer, 100)?;
        if depth == 0 {
            return Ok(());
        }
        let child = children::fork(|| descend(scene, log, first, depth - 1))?;
        for n in 0..EACH {
            scribe.append(&mut writer, 1 + n * 31 % 4000)?;
        }
        ended_well(child)
    }
    for _ in 0..scene.rounds {
        let first = scene.id();
        scene.next_id += DEPTH;
        let log = scene.create()?;
        let scene = &*scene;
        ended_well(children::fork(|| descend(scene, &log, first, DEPTH))?)?;
    }
    scene.count(scene.rounds * u64::from(DEPTH), "forks");
    scene.judge()
}

/// Two threads append all the time; children of a third use the handle, and some are killed at it.
fn while_siblings_append(scene: &mut Scene) -> anyhow::Result<()> {
    let log = scene.create()?;
    let siblings = [scene.id(), scene.id()];
    let children: Vec<(u32, bool)> =
        (0..scene.rounds).map(|_| (scene.id(), scene.random.below(2) == 0)).collect();
    let (shared, log) = (&*scene, &log);
    std::thread::scope(|scope| {
        let threads = siblings.map(|id| scope.spawn(move || shared.append_until_closed(log, id, 3000)));
        let done = children.into_iter().try_for_each(|(id, killed)| child_beside(shared, log, id, killed));
        // Whatever came of them: the siblings would go on for ever.
        shared.acks.close();
        let joined = threads.map(|t| t.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?);
        joined.into_iter().fold(done, |done, ended| done.and(ended))
    })?;
    scene.count(scene.rounds, "forks");
    scene.judge()
}

/// One that is killed at its appends, or ends by itself, however little the others have done by then.
fn child_beside(scene: &Scene, log: &Log, id: u32, killed: bool) -> anyhow::Result<()> {
    if !killed {
        return ended_well(children::fork(|| append_some(scene, log, id))?);
    }
    let child = children::fork(|| scene.append_until_closed(log, id, 3000))?;
    scene.get_on(50)?;
    kill_and_wait(child)
}

/// A program that a writer has started keeps nothing of the log when the writer dies.
fn by_exec(scene: &mut Scene) -> anyhow::Result<()> {
    let log = scene.create()?;
    for _ in 0..scene.rounds {
        let id = scene.id();
        let (mut from, mut to) = std::io::pipe()?;
        let writer = {
            let scene = &*scene;
            children::fork(move || {
                let log = scene.options().open(&scene.log)?;
                let writer = log.writer()?;
                let program = Command::new("sleep").arg("300").stdout(Stdio::null()).spawn()?;
                writeln!(to, "{}", program.id())?;
                drop(writer);
                scene.append_until_closed(&log, id, 3000)
            })?
        };
        let program = Pid::from_raw(line(&mut from)?.parse()?);
        scene.get_on(20)?;
        kill_and_wait(writer)?;
        // The kernel lets the writer go on a moment before it closes the program's copies of descriptors.
        until(|| Ok(log.status()?.writers.iter().all(|w| w.alive == Ok(false))))?;
        kill(program, Signal::SIGKILL)?;
    }
    drop(log);
    scene.judge()?;
    scene.count(scene.rounds, "kills");
    mmlog::remove(&scene.log, Force::IfUnused, &Options::new())?;
    Ok(())
}
