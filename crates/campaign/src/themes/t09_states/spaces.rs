//! Writers for which processes have other numbers, clocks another time, or paths another root.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use mmlog::{Log, Options, ProcessState, Status};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::containers::{Container, Stranger, new_pids, own_mounts};
use super::{Case, Scene, Skip, in_child, kill_and_wait, needs};

pub(super) const CASES: &[Case] = &[
    ("writers in different PID namespaces", pid_namespaces),
    ("writers in different time namespaces", time_namespaces),
    ("a writer in a chroot without /proc", chroot),
    ("one log by two mounts", bind_mounts),
];

/// Not in nix.
const CLONE_NEWTIME: i32 = 0x80;

/// Ten days later.
fn new_times() -> anyhow::Result<()> {
    needs("unshare(CLONE_NEWTIME)", unshare(CloneFlags::from_bits_retain(CLONE_NEWTIME)))?;
    fs::write("/proc/self/timens_offsets", "monotonic 864000 0\nboottime 864000 0\n")
        .map_err(|e| Skip(format!("timens_offsets: {e}")).into())
}

/// Nobody who is alive is called dead.
fn everybody_lives(status: &Status, writers: usize) -> anyhow::Result<()> {
    let alive = status.writers.iter().filter(|w| w.alive == Ok(true)).count();
    anyhow::ensure!(alive == writers, "{writers} writers live, status shows {:?}", status.writers);
    for writer in status.writers.iter().filter(|w| w.alive == Ok(true)) {
        let gone = matches!(writer.process, ProcessState::Gone | ProcessState::Zombie);
        anyhow::ensure!(!gone, "status calls a living writer {}: {writer:?}", writer.process);
    }
    Ok(())
}

/// Strangers come, append, and are killed, while one of us appends and another trims.
fn among_strangers(scene: &mut Scene, container: Container) -> anyhow::Result<()> {
    let log = scene.create()?;
    let path = scene.log.clone();
    let ours = scene.writer(&path)?;
    for _ in 0..scene.rounds {
        let ids = [scene.id(), scene.id()];
        let strangers =
            [Stranger::new(scene, container, ids[0], 2000)?, Stranger::new(scene, container, ids[1], 2000)?];
        super::until(|| Ok(log.status()?.writers.iter().filter(|w| w.alive == Ok(true)).count() == 3))?;
        scene.get_on(50)?;
        everybody_lives(&log.status()?, 3)?;
        let [one, other] = strangers;
        one.kill()?;
        scene.get_on(20)?;
        log.trim(Duration::from_secs(60))?;
        scene.get_on(20)?;
        everybody_lives(&log.status()?, 2)?;
        other.kill()?;
        scene.count(2, "kills");
    }
    scene.close(&[ours])?;
    drop(log);
    scene.judge()
}

/// Both have the number 1, each in its own.
fn pid_namespaces(scene: &mut Scene) -> anyhow::Result<()> {
    among_strangers(scene, Container::of(new_pids))
}

fn time_namespaces(scene: &mut Scene) -> anyhow::Result<()> {
    among_strangers(scene, Container::of(new_times))
}

/// It knows neither the boot nor itself. What it appends, and that it was there, is as good as anybody's.
fn chroot(scene: &mut Scene) -> anyhow::Result<()> {
    // Each in a process of its own that has not looked at /proc before.
    let look = |scene: &Scene| {
        in_child(|| {
            let status = scene.create()?.status()?;
            Ok(format!("{} {}", status.id, status.id.epoch))
        })
    };
    let before = look(scene)?;
    for round in 0..scene.rounds {
        let id = scene.id();
        let scene = &*scene;
        let said = in_child(|| {
            needs("chroot", nix::unistd::chroot(&scene.directory))?;
            std::env::set_current_dir("/")?;
            let log = scene.options().open("/odd.log")?;
            let mut writer = log.writer()?;
            let mut scribe = crate::oracle::Scribe::new(&scene.acks, id);
            for len in 1..200 {
                scribe.append(&mut writer, len)?;
            }
            drop(writer);
            // Alternating: closed well, or left behind.
            if round % 2 == 0 {
                log.close()?
            } else {
                std::process::exit(0)
            }
            Ok(String::new())
        });
        if let Err(e) = said {
            return Err(if e.is::<Skip>() { e } else { e.context("in the chroot") });
        }
        let after = look(scene)?;
        anyhow::ensure!(after == before, "the log was {before}, after a writer in a chroot it is {after}");
    }
    let made = in_child(|| {
        needs("chroot", nix::unistd::chroot(&scene.directory))?;
        let log = scene.options().open_or_create("/made.log")?;
        log.writer()?.append(b"made in a chroot\n")?;
        Ok(log.status()?.id.to_string())
    })?;
    anyhow::ensure!(
        made.chars().any(|c| c != '0' && c != '-'),
        "a log that was made in a chroot has no id: {made}"
    );
    scene.judge()
}

fn bind_mounts(scene: &mut Scene) -> anyhow::Result<()> {
    own_mounts()?;
    let none = None::<&str>;
    let (home, other, readonly) =
        (scene.directory.join("home"), scene.directory.join("other"), scene.directory.join("readonly"));
    for directory in [&home, &other, &readonly] {
        fs::create_dir(directory)?;
    }
    scene.log = home.join("odd.log");
    let log = scene.create()?;
    for to in [&other, &readonly] {
        needs("bind mount", mount(Some(&home), to, none, MsFlags::MS_BIND, none))?;
    }
    let remount = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    needs("read-only mount", mount(none, &readonly, none, remount, none))?;
    let by_both = [scene.writer(&home.join("odd.log"))?, scene.writer(&other.join("odd.log"))?];
    for _ in 0..scene.rounds {
        scene.get_on(50)?;
        let killed = scene.writer(&other.join("odd.log"))?;
        scene.get_on(50)?;
        kill_and_wait(killed)?;
        log.trim(Duration::from_secs(60))?;
    }
    scene.count(scene.rounds, "kills");
    scene.close(&by_both)?;
    let reader = Options::new().open_reader(readonly.join("odd.log"))?;
    anyhow::ensure!(reader.watermark()? == log.watermark()?, "the read-only mount shows something else");
    refused(&readonly, "read-only")?;
    symlink(&home, scene.directory.join("link"))?;
    drop(Log::options().open(scene.directory.join("link/odd.log"))?);
    drop(log);
    scene.judge()
}

fn refused(directory: &Path, word: &str) -> anyhow::Result<()> {
    match Log::options().open(directory.join("odd.log")) {
        Ok(_) => anyhow::bail!("a writer was let in at {}", directory.display()),
        Err(e) => {
            anyhow::ensure!(e.to_string().contains(word), "refused with {e}, which does not say {word:?}")
        }
    }
    Ok(())
}
