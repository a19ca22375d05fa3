//! Writers for which processes have other numbers, clocks another time, or paths another root.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use mmlog::{Log, Options, ProcessState, Rotation, Status};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use super::{Case, Scene, Skip, ended_well, in_child, kill_and_wait, line, needs};
use crate::children;

pub(super) const CASES: &[Case] = &[
    ("writers in different PID namespaces", pid_namespaces),
    ("writers in different time namespaces", time_namespaces),
    ("a writer in a chroot without /proc", chroot),
    ("writers with a boot id of their own", own_boot_ids),
    ("writers that can read no boot id", no_boot_ids),
    ("one log by two mounts", bind_mounts),
];

/// Not in nix.
const CLONE_NEWTIME: i32 = 0x80;

/// A process of the new namespaces that `prepare` asks for, and the one that waits for it.
struct Stranger {
    keeper: Pid,
    pid: Pid,
}

impl Stranger {
    fn new(scene: &mut Scene, prepare: fn() -> anyhow::Result<()>) -> anyhow::Result<Self> {
        let (id, path) = (scene.id(), scene.log.clone());
        let (mut from, mut to) = std::io::pipe()?;
        let scene = &*scene;
        let keeper = children::fork(|| {
            if let Err(e) = prepare() {
                writeln!(to, "{e:#}")?;
                return Ok(());
            }
            let pid = children::fork(|| scene.append_until_closed(&scene.options().open(path)?, id, 2000))?;
            writeln!(to, "{pid}")?;
            let ended = waitpid(pid, None)?;
            anyhow::ensure!(ended.pid() == Some(pid), "{ended:?}");
            Ok(())
        })?;
        let said = line(&mut from)?;
        match said.parse() {
            Ok(pid) => Ok(Self { keeper, pid: Pid::from_raw(pid) }),
            Err(_) => {
                ended_well(keeper)?;
                Err(Skip(said).into())
            }
        }
    }

    fn kill(self) -> anyhow::Result<()> {
        kill(self.pid, Signal::SIGKILL)?;
        ended_well(self.keeper)
    }
}

fn new_pids() -> anyhow::Result<()> {
    needs("unshare(CLONE_NEWPID)", unshare(CloneFlags::CLONE_NEWPID))
}

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
fn among_strangers(scene: &mut Scene, prepare: fn() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let log = scene.create()?;
    let path = scene.log.clone();
    let ours = scene.writer(&path)?;
    for _ in 0..scene.rounds {
        let strangers = [Stranger::new(scene, prepare)?, Stranger::new(scene, prepare)?];
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
    among_strangers(scene, new_pids)
}

fn time_namespaces(scene: &mut Scene) -> anyhow::Result<()> {
    among_strangers(scene, new_times)
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

/// As systemd-nspawn and LXC set up a container.
fn own_boot_id() -> anyhow::Result<()> {
    own_mounts()?;
    let none = None::<&str>;
    needs("tmpfs", mount(Some("tmpfs"), "/mnt", Some("tmpfs"), MsFlags::empty(), none))?;
    fs::write("/mnt/boot_id", "11111111-2222-3333-4444-555555555555\n")?;
    let id = "/proc/sys/kernel/random/boot_id";
    needs("bind mount", mount(Some("/mnt/boot_id"), id, none, MsFlags::MS_BIND, none))
}

/// As a unit with `ProcSubset=pid`.
fn no_boot_id() -> anyhow::Result<()> {
    own_mounts()?;
    needs("subset=pid", mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), Some("subset=pid")))
}

fn own_boot_ids(scene: &mut Scene) -> anyhow::Result<()> {
    by_turns(scene, own_boot_id)
}

fn no_boot_ids(scene: &mut Scene) -> anyhow::Result<()> {
    by_turns(scene, no_boot_id)
}

/// One of us and a stranger append; each side rotates beside the other's writer, and is killed. Whoever comes next finds
/// the log of this boot, or recovers it, and loses nothing. Nobody here looks at the boot id before he is a stranger.
fn by_turns(scene: &mut Scene, prepare: fn() -> anyhow::Result<()>) -> anyhow::Result<()> {
    in_child(|| scene.create().map(|_| String::new()).map_err(Into::into))?;
    let path = scene.log.clone();
    for _ in 0..scene.rounds {
        let ours = scene.writer(&path)?;
        let stranger = Stranger::new(scene, prepare)?;
        scene.get_on(50)?;
        let options = scene.options();
        for strange in [true, false] {
            in_child(|| {
                if strange {
                    prepare()?;
                }
                options.open(&path)?.rotate(&Rotation::default())?;
                Ok(String::new())
            })?;
            scene.get_on(20)?;
        }
        stranger.kill()?;
        scene.get_on(20)?;
        kill_and_wait(ours)?;
        scene.count(2, "kills");
    }
    in_child(|| {
        let options = scene.options();
        let seen = options.open_reader(&path)?.watermark()?;
        anyhow::ensure!(seen.get() > 0, "nothing can be read");
        Ok(String::new())
    })?;
    scene.judge()
}

/// In a mount namespace of its own, which takes its mounts along when it ends.
pub(super) fn own_mounts() -> anyhow::Result<()> {
    needs("unshare(CLONE_NEWNS)", unshare(CloneFlags::CLONE_NEWNS))?;
    let none = None::<&str>;
    needs("private mounts", mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none))
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
