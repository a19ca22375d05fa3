//! T9: namespaces and odd states of processes: writers that have other numbers, clocks, boot ids or roots; forks without
//! exec; writers that are stopped, frozen or dumping core in the middle of an append; one file by two paths, or on a file
//! system that is mounted again; readers who lock what they can. Each case has a process of its own, in which it may unshare and mount.

mod attack;
mod containers;
mod forks;
mod held;
mod nspawn;
mod remounts;
mod spaces;
mod views;

use std::fs::File;
use std::io::{PipeReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mmlog::{Log, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use crate::children::{self, Role};
use crate::oracle::{Acks, Scribe, check};
use crate::random::Random;
use crate::run::{Place, Run};
use crate::themes::Theme;

pub(crate) const THEME: Theme = Theme { id: "T9", about: "odd states", run };
pub(crate) const ROLES: &[Role] = &[("odd", odd), ("odd-guest", nspawn::guest)];

type Case = (&'static str, fn(&mut Scene) -> anyhow::Result<()>);

const CASES: &[&[Case]] = &[
    spaces::CASES,
    containers::CASES,
    nspawn::CASES,
    views::CASES,
    remounts::CASES,
    forks::CASES,
    held::CASES,
    attack::CASES,
];
const COUNTS: &[&str] = &["cases", "kills", "forks", "held in flight", "messages"];
/// Catches a hang.
const DEADLINE: Duration = Duration::from_secs(180);
/// How often a case repeats what comes out differently each time.
const ROUNDS: u64 = 40;

fn run(run: &mut Run) -> anyhow::Result<()> {
    for (name, _) in CASES.concat() {
        let (directory, notes) = (run.directory(Place::Disk)?, run.directory(Place::Memory)?);
        let text = |path: &Path| path.display().to_string();
        let (seed, rounds) = (run.random.next(), run.size.of(ROUNDS));
        let arguments =
            [name.into(), text(directory.path()), text(notes.path()), seed.to_string(), rounds.to_string()];
        let case = children::role("odd", &arguments)?;
        run.delegate(&format!("{name}, case seed {seed}"), case, DEADLINE, COUNTS)?;
    }
    Ok(())
}

/// The role: `case directory notes seed rounds`.
fn odd(arguments: &[String]) -> anyhow::Result<()> {
    let [name, directory, notes, seed, rounds] = arguments else { anyhow::bail!("arguments: {arguments:?}") };
    let seed = seed.parse()?;
    let mut scene = Scene {
        directory: directory.into(),
        log: Path::new(directory).join("odd.log"),
        notes: notes.into(),
        acks: Acks::create(&Path::new(notes).join("acks"), seed, 1 << 22)?,
        random: Random::new(seed),
        rounds: rounds.parse()?,
        next_id: 1,
    };
    let cases = CASES.concat();
    let Some((_, case)) = cases.iter().find(|(known, _)| known == name) else {
        anyhow::bail!("no case {name}")
    };
    match case(&mut scene) {
        Ok(()) => println!("count 1 cases"),
        Err(e) if e.is::<Skip>() => println!("skipped {e}"),
        Err(e) => println!("{}", format!("{e:#}").replace('\n', " ")),
    }
    Ok(())
}

/// Why a case cannot run here.
#[derive(Debug)]
struct Skip(String);

impl std::fmt::Display for Skip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skip {}

/// For what needs root or a feature of the kernel.
fn needs<T>(what: &str, done: nix::Result<T>) -> anyhow::Result<T> {
    done.map_err(|e| Skip(format!("{what}: {}", e.desc())).into())
}

/// What a case has to work with.
struct Scene {
    directory: PathBuf,
    log: PathBuf,
    /// Where the table of `acks` lies.
    notes: PathBuf,
    acks: Acks,
    random: Random,
    rounds: u64,
    next_id: u32,
}

const CHUNK: u64 = 16384;

impl Scene {
    fn options(&self) -> Options {
        Log::options().chunk_size(CHUNK).ring_chunks(2).max_writers(64).wait(Duration::from_secs(60))
    }

    fn create(&self) -> mmlog::Result<Log> {
        self.options().open_or_create(&self.log)
    }

    fn count(&self, n: u64, what: &str) {
        println!("count {n} {what}");
    }

    /// A number for one more hand.
    fn id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    /// Appends until it is killed or the table is closed; not so fast that a slow machine fills table or disk.
    fn append_until_closed(&self, log: &Log, id: u32, longest: u64) -> anyhow::Result<()> {
        let mut writer = log.writer()?;
        let (mut scribe, mut random) = (Scribe::new(&self.acks, id), Random::new(id.into()));
        while !self.acks.is_closed() {
            for _ in 0..8 {
                scribe.append(&mut writer, 1 + random.below(longest) as usize)?;
            }
            pause();
        }
        Ok(())
    }

    /// Comes, appends and leaves.
    fn append_some(&self, id: u32, longest: u64) -> anyhow::Result<()> {
        let log = self.options().open(&self.log)?;
        let mut writer = log.writer()?;
        let (mut scribe, mut random) = (Scribe::new(&self.acks, id), Random::new(id.into()));
        for _ in 0..20 {
            scribe.append(&mut writer, 1 + random.below(longest) as usize)?;
        }
        drop(writer);
        Ok(log.close()?)
    }

    /// A process that opens the log at `path` and appends.
    fn writer(&mut self, path: &Path) -> nix::Result<Pid> {
        let id = self.id();
        let scene = &*self;
        children::fork(|| scene.append_until_closed(&scene.options().open(path)?, id, 2000))
    }

    /// Until that many more numbers were handed out; an error when a child ends meanwhile.
    fn get_on(&self, numbers: u64) -> anyhow::Result<()> {
        let goal = self.acks.handed_out() + numbers;
        until(|| {
            let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
            match waitid(Id::All, look) {
                Ok(WaitStatus::StillAlive) | Err(nix::Error::ECHILD) => Ok(self.acks.handed_out() >= goal),
                ended => anyhow::bail!("a child ended too early: {ended:?}"),
            }
        })
    }

    /// Everybody ends by himself, and well.
    fn close(&self, writers: &[Pid]) -> anyhow::Result<()> {
        self.acks.close();
        writers.iter().try_for_each(|&pid| ended_well(pid))
    }

    /// Somebody goes on, which settles what the dead have left; then the log holds what was acknowledged.
    fn judge(&mut self) -> anyhow::Result<()> {
        let id = self.id();
        let log = self.create()?;
        Scribe::new(&self.acks, id).append(&mut log.writer()?, 100)?;
        log.close()?;
        let (found, _) = check(&self.log, &self.acks)?;
        anyhow::ensure!(found.violations.is_empty(), "{}", found.violations.join("; "));
        self.count(found.acknowledged, "messages");
        Ok(())
    }
}

/// Waits for what must come; the case's deadline catches it if it does not.
fn until(mut look: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    while !look()? {
        pause();
    }
    Ok(())
}

/// Before another look.
fn pause() {
    std::thread::sleep(Duration::from_micros(300));
}

fn ended_well(pid: Pid) -> anyhow::Result<()> {
    let ended = waitpid(pid, None)?;
    anyhow::ensure!(ended == WaitStatus::Exited(pid, 0), "a child ended with {ended:?}");
    Ok(())
}

fn kill_and_wait(pid: Pid) -> anyhow::Result<()> {
    kill(pid, Signal::SIGKILL)?;
    let ended = waitpid(pid, None)?;
    anyhow::ensure!(
        matches!(ended, WaitStatus::Signaled(_, Signal::SIGKILL, _)),
        "one to be killed: {ended:?}"
    );
    Ok(())
}

/// Runs `act` in a child and takes what it returns, at most a few KiB.
fn in_child(act: impl FnOnce() -> anyhow::Result<String>) -> anyhow::Result<String> {
    let (mut from, mut to) = std::io::pipe()?;
    let pid = children::fork(|| Ok(to.write_all(act()?.as_bytes())?))?;
    drop(to);
    let mut said = String::new();
    from.read_to_string(&mut said)?;
    ended_well(pid)?;
    Ok(said)
}

/// The next line that a child says.
fn line(from: &mut PipeReader) -> anyhow::Result<String> {
    let (mut line, mut byte) = (String::new(), [0]);
    while from.read(&mut byte)? == 1 && byte != *b"\n" {
        line.push(byte[0].into());
    }
    Ok(line)
}

/// A tool of the system.
fn tool(name: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let done = std::process::Command::new(name).args(arguments).output();
    let done = done.map_err(|e| Skip(format!("{name}: {e}")))?;
    let said = String::from_utf8_lossy(&done.stderr);
    anyhow::ensure!(done.status.success(), Skip(format!("{name} {}: {}", arguments.join(" "), said.trim())));
    Ok(())
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    File::options().write(true).open(path)?.write_all(text.as_bytes())
}
