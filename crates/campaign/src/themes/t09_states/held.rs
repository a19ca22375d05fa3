//! Writers that are held up in the middle of an append by a stop, the freezer, a frozen file system or their own core
//! dump: alive, so nothing is taken from them, and they are named.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mmlog::{Class, Fault, Log, Next, Observer, Options, Phase, ProcessState, Start, State, Status, repair};
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::containers::own_mounts;
use super::{CHUNK, Case, Scene, Skip, ended_well, in_child, kill_and_wait, pause, tool, until, write};
use crate::children;
use crate::oracle::Scribe;

pub(super) const CASES: &[Case] = &[
    ("a writer stopped in an append", stopped),
    ("a writer frozen in an append", frozen),
    ("a writer that dumps core in an append", dumping),
    ("a trimmer stopped at work", stopped_trimmer),
    ("a file system frozen under writers", frozen_file_system),
];

/// What the held writer appends: long enough to be met at it.
const LONG: u64 = 3 * CHUNK;

fn writer_of(scene: &mut Scene, longest: u64, prepare: impl Fn() -> anyhow::Result<()>) -> nix::Result<Pid> {
    let id = scene.id();
    let scene = &*scene;
    children::fork(|| {
        prepare()?;
        scene.append_until_closed(&scene.options().open(&scene.log)?, id, longest)
    })
}

/// Its append, if it is copying, and has no lock.
fn flight(status: &Status, pid: Pid) -> Option<(u64, bool)> {
    let writer = status.writers.iter().find(|w| w.pid == pid.as_raw().unsigned_abs())?;
    let flight =
        writer.in_flight.as_ref().filter(|f| f.phase == Phase::Copying && status.lock.held == Ok(false))?;
    Some((flight.start, writer.alive == Ok(true) && writer.process != ProcessState::Gone))
}

/// What holds while the writer `pid`, and nobody else, is held in the append that starts at `start`.
fn claims(scene: &mut Scene, log: &Log, pid: Pid, start: u64) -> anyhow::Result<()> {
    let number = pid.as_raw().unsigned_abs();
    let mut scribe = Scribe::new(&scene.acks, scene.next_id + 1);
    scene.next_id += 1;
    let mut writer = log.writer()?;
    for _ in 0..20 {
        scribe.append(&mut writer, 1 + scene.random.below(CHUNK) as usize)?;
    }
    anyhow::ensure!(
        log.watermark()?.get() <= start,
        "the watermark passed {start}, which {pid} is copying to"
    );
    let mut observer = Observer::open(&scene.log, &Options::new())?;
    until(|| Ok(observer.look()?.state == State::Stalled))?;
    let said = observer.look()?.problem.unwrap_or_default();
    anyhow::ensure!(
        said.contains(&format!("writer {number} ")),
        "status says {said:?}, and does not name {number}"
    );
    match log.trim(Duration::ZERO).map_err(|e| e.to_string()) {
        Err(e) if e.contains(&format!("process {number} ")) => {}
        other => anyhow::bail!("a trim beside held {number}: {other:?}"),
    }
    match repair::examine(&scene.log, &Options::new().wait(Duration::ZERO))?.plan(&[]).apply() {
        Err(e) if e.fault().class() != Class::Busy => return Err(e.into()),
        _ => {}
    }
    let now = flight(&log.status()?, pid);
    anyhow::ensure!(now == Some((start, true)), "{number} was copying at {start}, now there is {now:?}");
    scene.count(1, "held in flight");
    Ok(())
}

/// Stops the writer again and again, until that is in the middle of an append.
fn hold(
    scene: &Scene,
    log: &Log,
    pid: Pid,
    hold: &dyn Fn() -> anyhow::Result<()>,
    release: &dyn Fn() -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    loop {
        scene.get_on(1)?;
        hold()?;
        if let Some((start, alive)) = flight(&log.status()?, pid) {
            anyhow::ensure!(alive, "a held writer is called dead");
            return Ok(start);
        }
        release()?;
    }
}

fn stopped(scene: &mut Scene) -> anyhow::Result<()> {
    let log = scene.create()?;
    let pid = writer_of(scene, LONG, || Ok(()))?;
    let stop = || {
        kill(pid, Signal::SIGSTOP)?;
        until(|| Ok(state_of(pid)? == 'T'))
    };
    let go_on = || Ok(kill(pid, Signal::SIGCONT)?);
    for _ in 0..scene.rounds {
        let start = hold(scene, &log, pid, &stop, &go_on)?;
        claims(scene, &log, pid, start)?;
        go_on()?;
    }
    // The last time it does not come back.
    hold(scene, &log, pid, &stop, &go_on)?;
    kill_and_wait(pid)?;
    log.trim(Duration::from_secs(60))?;
    drop(log);
    scene.judge()
}

/// A letter of proc(5).
fn state_of(pid: Pid) -> anyhow::Result<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    Ok(stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).unwrap_or('?'))
}

/// A group of the freezer, version 1 or 2; taken away in the end, its processes thawed.
struct Freezer {
    group: PathBuf,
    switch: (&'static str, &'static str, &'static str),
}

impl Freezer {
    fn new() -> anyhow::Result<Self> {
        let name = format!("campaign-{}", std::process::id());
        let kinds = [
            ("/sys/fs/cgroup/freezer", ("freezer.state", "FROZEN", "THAWED")),
            ("/sys/fs/cgroup/unified", ("cgroup.freeze", "1", "0")),
            ("/sys/fs/cgroup", ("cgroup.freeze", "1", "0")),
        ];
        for (at, switch) in kinds {
            let group = Path::new(at).join(&name);
            if Path::new(at).join("cgroup.procs").exists() && fs::create_dir(&group).is_ok() {
                let freezer = Self { group, switch };
                if freezer.group.join(switch.0).exists() {
                    return Ok(freezer);
                }
            }
        }
        Err(Skip("no freezer in /sys/fs/cgroup that may be used".into()).into())
    }

    fn freeze(&self) -> anyhow::Result<()> {
        let (file, frozen, _) = self.switch;
        write(&self.group.join(file), frozen)?;
        until(|| {
            let says = |file: &str, word: &str| {
                fs::read_to_string(self.group.join(file)).is_ok_and(|text| text.contains(word))
            };
            Ok(says(file, "FROZEN") || says("cgroup.events", "frozen 1"))
        })
    }

    fn thaw(&self) -> anyhow::Result<()> {
        Ok(write(&self.group.join(self.switch.0), self.switch.2)?)
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        let _ = self.thaw();
        // Its processes leave it when they end.
        let left = || fs::read_to_string(self.group.join("cgroup.procs")).unwrap_or_default();
        for pid in left().lines().filter_map(|pid| pid.parse().ok()) {
            let _ = kill_and_wait(Pid::from_raw(pid));
        }
        let _ = fs::remove_dir(&self.group);
    }
}

fn frozen(scene: &mut Scene) -> anyhow::Result<()> {
    let freezer = Freezer::new()?;
    let log = scene.create()?;
    let pid = writer_of(scene, LONG, || Ok(()))?;
    write(&freezer.group.join("cgroup.procs"), &pid.to_string())?;
    for _ in 0..scene.rounds {
        let start = hold(scene, &log, pid, &|| freezer.freeze(), &|| freezer.thaw())?;
        claims(scene, &log, pid, start)?;
        freezer.thaw()?;
    }
    scene.close(&[pid])?;
    drop(log);
    scene.judge()
}

/// A file system of its own in a file, mounted; and somebody who thaws it if we cannot any more.
struct Island {
    path: PathBuf,
    watch: Child,
}

impl Island {
    fn new(scene: &Scene) -> anyhow::Result<Self> {
        own_mounts()?;
        let (image, path) = (scene.directory.join("image"), scene.directory.join("island"));
        fs::File::create(&image)?.set_len(1 << 30)?;
        fs::create_dir(&path)?;
        let (image, at) = (image.display().to_string(), path.display().to_string());
        tool("mkfs.ext4", &["-q", "-F", &image])?;
        tool("mount", &["-o", "loop", &image, &at])?;
        let watch = Command::new("sh")
            .args(["-c", "sleep 150; fsfreeze -u \"$0\"", &at])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self { path, watch })
    }

    fn freeze(&self) -> anyhow::Result<()> {
        tool("fsfreeze", &["-f", &self.path.display().to_string()])
    }

    fn thaw(&self) -> anyhow::Result<()> {
        tool("fsfreeze", &["-u", &self.path.display().to_string()])
    }
}

impl Drop for Island {
    fn drop(&mut self) {
        let _ = self.thaw();
        let _ = (self.watch.kill(), self.watch.wait());
        let _ = tool("umount", &["-l", &self.path.display().to_string()]);
    }
}

/// It dumps into a frozen file system, so that takes as long as we like. Its locks end with it, not before.
fn dumping(scene: &mut Scene) -> anyhow::Result<()> {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern")?;
    if pattern.starts_with(['|', '/', '@']) {
        return Err(Skip(format!("core dumps go to {}", pattern.trim())).into());
    }
    let log = scene.create()?;
    let island = Island::new(scene)?;
    let (mut met, path) = (0, island.path.clone());
    while met < scene.rounds.min(5) {
        let pid = writer_of(scene, LONG, || {
            setrlimit(Resource::RLIMIT_CORE, RLIM_INFINITY, RLIM_INFINITY)?;
            Ok(std::env::set_current_dir(&path)?)
        })?;
        let some = 2 + scene.random.below(8);
        scene.get_on(some)?;
        island.freeze()?;
        kill(pid, Signal::SIGABRT)?;
        until(|| Ok(fs::read_to_string(format!("/proc/{pid}/status"))?.contains("CoreDumping:\t1")))?;
        if let Some((start, alive)) = flight(&log.status()?, pid) {
            anyhow::ensure!(alive, "a writer that dumps core is called dead");
            claims(scene, &log, pid, start)?;
            met += 1;
        }
        island.thaw()?;
        let ended = waitpid(pid, None)?;
        anyhow::ensure!(matches!(ended, WaitStatus::Signaled(_, Signal::SIGABRT, _)), "{ended:?}");
        log.trim(Duration::from_secs(60))?;
        for entry in fs::read_dir(&island.path)?.flatten() {
            let _ = fs::remove_file(entry.path());
        }
    }
    drop(log);
    scene.judge()
}

/// Whoever needs what it holds is told who it is; whoever needs nothing goes on.
fn stopped_trimmer(scene: &mut Scene) -> anyhow::Result<()> {
    let log = scene.create()?;
    let path = scene.log.clone();
    let writer = scene.writer(&path)?;
    for round in 0..scene.rounds {
        let scene = &*scene;
        let trimmer = children::fork(|| {
            let log = scene.options().open(&scene.log)?;
            loop {
                log.trim(Duration::from_secs(60))?;
            }
        })?;
        until(|| {
            kill(trimmer, Signal::SIGSTOP)?;
            until(|| Ok(state_of(trimmer)? == 'T'))?;
            let status = log.status()?;
            let mine =
                |lock: &mmlog::Lock| lock.held == Ok(true) && lock.pid == trimmer.as_raw().unsigned_abs();
            let held = mine(&status.maintenance) && (mine(&status.lock) || status.lock.held == Ok(false));
            if !held {
                kill(trimmer, Signal::SIGCONT)?;
            }
            Ok(held)
        })?;
        let impatient = scene.options().wait(Duration::from_millis(200)).open(&scene.log);
        let said = impatient.and_then(|log| log.trim(Duration::ZERO));
        match said.as_ref().map_err(|e| e.fault()) {
            Err(Fault::Busy(who) | Fault::Stalled { blocker: who, .. })
                if [0, trimmer.as_raw().unsigned_abs()].contains(&who.pid) => {}
            _ => anyhow::bail!("a trim beside stopped trimmer {trimmer}: {said:?}"),
        }
        if round % 2 == 0 {
            kill(trimmer, Signal::SIGCONT)?;
            scene.get_on(20)?;
        }
        kill_and_wait(trimmer)?;
        scene.get_on(20)?;
    }
    scene.count(scene.rounds, "kills");
    scene.close(&[writer])?;
    drop(log);
    scene.judge()
}

/// Writers wait for as long as it is frozen, and go on. Who only looks does not wait.
fn frozen_file_system(scene: &mut Scene) -> anyhow::Result<()> {
    let island = Island::new(scene)?;
    scene.log = island.path.join("odd.log");
    drop(scene.create()?);
    // Short messages: who freezes it may be slow, and its space is not to run out.
    let mut short = || writer_of(scene, 100, || Ok(()));
    let writers = [short()?, short()?, short()?];
    for _ in 0..scene.rounds.min(10) {
        scene.get_on(200)?;
        island.freeze()?;
        until(|| {
            let before = scene.acks.handed_out();
            for _ in 0..100 {
                pause();
            }
            let waiting = writers.iter().any(|&pid| state_of(pid).is_ok_and(|state| state == 'D'));
            Ok(waiting && scene.acks.handed_out() == before)
        })?;
        let looked = in_child(|| {
            let status = Observer::open(&scene.log, &Options::new())?.look()?;
            let log = Options::new().open_reader(&scene.log)?;
            let next = log.follow(Start::Oldest)?.next(&mut [0; 1000])?;
            anyhow::ensure!(matches!(next, Next::Bytes(_)), "a follower is given {next:?}");
            Ok(format!("{}", status.writers.iter().filter(|w| w.alive == Ok(true)).count()))
        });
        island.thaw()?;
        anyhow::ensure!(looked? == "3", "not every writer was seen alive on the frozen file system");
    }
    for pid in writers {
        anyhow::ensure!(state_of(pid)? != 'Z', "a writer did not survive");
    }
    scene.get_on(200)?;
    scene.acks.close();
    writers.into_iter().try_for_each(ended_well)?;
    scene.judge()
}
