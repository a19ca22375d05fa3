//! A reader who may only read the metadata, and locks all of it that he can. Read locks pass for no writer's life; who
//! needs the log's lock meanwhile is told so, and who does not goes on.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use mmlog::{Class, Log, Options};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{CHUNK, Case, Scene, kill_and_wait, line};
use crate::children;
use crate::oracle::Scribe;

pub(super) const CASES: &[Case] = &[
    ("a reader's lock on the log's lock", |scene| on_the_lock(scene, Kind::OfDescription)),
    ("a reader's POSIX lock on the log's lock", |scene| on_the_lock(scene, Kind::OfProcess)),
    ("a reader's lock on every slot", on_slots),
];

#[derive(Clone, Copy)]
enum Kind {
    OfDescription,
    OfProcess,
}

/// A process with read locks on these bytes, until it is killed.
fn attacker(scene: &Scene, kind: Kind, start: u64, len: u64) -> anyhow::Result<Pid> {
    let (mut from, mut to) = std::io::pipe()?;
    let pid = children::fork(|| {
        let metadata = File::open(metadata_of(scene))?;
        let lock = libc::flock {
            l_type: libc::F_RDLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: start.cast_signed(),
            l_len: len.cast_signed(),
            l_pid: 0,
        };
        let lock = match kind {
            Kind::OfDescription => FcntlArg::F_OFD_SETLK(&lock),
            Kind::OfProcess => FcntlArg::F_SETLK(&lock),
        };
        fcntl(&metadata, lock)?;
        writeln!(to, "locked")?;
        loop {
            std::thread::sleep(Duration::from_secs(1));
        }
    })?;
    drop(to);
    anyhow::ensure!(line(&mut from)? == "locked", "the reader could not lock");
    Ok(pid)
}

fn metadata_of(scene: &Scene) -> PathBuf {
    let mut path = scene.log.clone().into_os_string();
    path.push(mmlog::METADATA_SUFFIX);
    path.into()
}

fn impatient(scene: &Scene) -> Options {
    scene.options().wait(Duration::from_millis(200))
}

/// An error in time, which accuses nobody but the reader.
fn told<T: std::fmt::Debug>(what: &str, done: mmlog::Result<T>, reader: Pid) -> anyhow::Result<()> {
    let e = match done {
        Ok(done) => anyhow::bail!("{what} beside a reader's lock: {done:?}"),
        Err(e) => e,
    };
    anyhow::ensure!(e.fault().class() == Class::Busy, "{what}: {e}");
    let (text, number) = (e.to_string(), reader.to_string());
    let accused = text.split("process ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or("");
    anyhow::ensure!(accused.parse::<u32>().is_err() || accused == number, "{what} accuses another: {e}");
    Ok(())
}

/// On the log's lock and maintenance.
fn on_the_lock(scene: &mut Scene, kind: Kind) -> anyhow::Result<()> {
    drop(scene.create()?);
    let log = impatient(scene).open(&scene.log)?;
    let mut writer = log.writer()?;
    let id = scene.id();
    let mut scribe = Scribe::new(&scene.acks, id);
    for _ in 0..scene.rounds.min(5) {
        // Grows, so that there is space for what needs no lock.
        while log.status()?.limit - log.cursor()?.get() < 1000 {
            scribe.append(&mut writer, 1000)?;
        }
        let reader = attacker(scene, kind, mmlog::layout::LOCK_BYTE, 2)?;
        let space = log.status()?.limit - log.cursor()?.get();
        for _ in 1..space / 100 {
            scribe.append(&mut writer, 100)?;
        }
        told("an append that has to grow", scribe.append(&mut writer, 2 * CHUNK as usize), reader)?;
        told("a trim", log.trim(Duration::from_millis(200)), reader)?;
        told("an open", impatient(scene).open(&scene.log).and_then(|log| log.cursor()), reader)?;
        scribe.append(&mut writer, 1)?;
        kill_and_wait(reader)?;
        scribe.append(&mut writer, 2 * CHUNK as usize)?;
    }
    drop(writer);
    log.close()?;
    scene.judge()
}

/// On the bytes of all slots that nobody has: no writer comes in, those that are there go on, the dead stay dead.
fn on_slots(scene: &mut Scene) -> anyhow::Result<()> {
    drop(scene.create()?);
    let log = impatient(scene).open(&scene.log)?;
    for _ in 0..scene.rounds.min(5) {
        let path = scene.log.clone();
        let writer = scene.writer(&path)?;
        scene.get_on(50)?;
        kill(writer, Signal::SIGSTOP)?;
        let slots = mmlog::layout::SLOT_BYTES;
        let reader = attacker(scene, Kind::OfDescription, slots + 1, 63)?;
        let late = log.writer().map(drop).err().map(|e| e.to_string());
        anyhow::ensure!(late.is_some(), "a slot could be claimed beside a read lock");
        let alive =
            |log: &Log| anyhow::Ok(log.status()?.writers.iter().filter(|w| w.alive == Ok(true)).count());
        anyhow::ensure!(alive(&log)? == 1, "{} writers live, one does", alive(&log)?);
        kill(writer, Signal::SIGCONT)?;
        scene.get_on(50)?;
        kill_and_wait(writer)?;
        anyhow::ensure!(alive(&log)? == 0, "a reader's lock passes for a writer's life");
        kill_and_wait(reader)?;
        // Now on the dead writer's slot, too.
        let reader = attacker(scene, Kind::OfDescription, slots, 64)?;
        let (watermark, cursor) = (log.watermark()?, log.cursor()?);
        anyhow::ensure!(
            watermark == cursor,
            "a dead writer holds readers up at {watermark}, the log goes to {cursor}"
        );
        kill_and_wait(reader)?;
    }
    drop(log);
    scene.judge()
}
