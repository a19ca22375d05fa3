//! Containers: processes with a boot id of their own, or none, on the same kernel, at a log of the host's. Beside each
//! other, and in turns with nobody there in between, it is one log of one boot.

use std::fs;
use std::io::Write;

use mmlog::Rotation;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use super::{Case, Scene, Skip, ended_well, in_child, line, needs};
use crate::children;
use crate::disks::hide_boot_id;
use crate::oracle::ENDS_IN_NULS;

pub(super) const CASES: &[Case] = &[
    ("writers with a boot id of their own", |scene| beside(scene, OWN_BOOT_ID)),
    ("writers that can read no boot id", |scene| beside(scene, NO_BOOT_ID)),
    ("containers of systemd-nspawn's kind beside their host", |scene| beside(scene, NSPAWN)),
    ("containers of LXC's kind beside their host", |scene| beside(scene, LXC)),
    ("containers with a boot id of their own and their host in turns", |scene| in_turns(scene, OWN_BOOT_ID)),
    ("containers of systemd-nspawn's kind and their host in turns", |scene| in_turns(scene, NSPAWN)),
    ("containers of LXC's kind and their host in turns", |scene| in_turns(scene, LXC)),
    ("units with ProcSubset=pid and their host in turns", |scene| in_turns(scene, NO_BOOT_ID)),
];

/// Longer than a page, so that there are whole pages of NULs in messages that end in them.
pub(super) const LONGEST: u64 = 12_000;

/// Whether every machine of this kind has a clock that runs through a reboot. Where one has none, a log that another boot id
/// was recorded of is recovered when nobody uses it: two boots may have begun at the same time.
pub(super) const CLOCKS_TELL: bool =
    cfg!(any(target_arch = "x86_64", target_arch = "s390x", target_arch = "powerpc64"));

/// Where a process runs: what its parent sets up, of which only its children are, and what it does itself.
#[derive(Clone, Copy)]
pub(super) struct Container {
    around: fn() -> anyhow::Result<()>,
    within: fn() -> anyhow::Result<()>,
}

pub(super) const HOST: Container = Container::of(nothing);
const OWN_BOOT_ID: Container = Container::of(own_boot_id);
/// As a unit with `ProcSubset=pid`.
const NO_BOOT_ID: Container = Container::of(no_boot_id);
const NSPAWN: Container = Container { around: nspawn_around, within: nspawn_within };
const LXC: Container = Container { around: new_pids, within: lxc_within };

impl Container {
    pub(super) const fn of(around: fn() -> anyhow::Result<()>) -> Self {
        Self { around, within: nothing }
    }

    /// Runs `act` in a process in it, and takes what that says.
    fn run(self, act: impl FnOnce() -> anyhow::Result<String>) -> anyhow::Result<String> {
        in_child(|| {
            (self.around)()?;
            in_child(|| {
                (self.within)()?;
                act()
            })
        })
    }

    /// Whether there can be such a one here.
    fn available(self) -> anyhow::Result<()> {
        let why = in_child(|| {
            Ok(match (self.around)() {
                Ok(()) => {
                    in_child(|| Ok((self.within)().err().map_or_else(String::new, |e| format!("{e:#}"))))?
                }
                Err(e) => format!("{e:#}"),
            })
        })?;
        if why.is_empty() { Ok(()) } else { Err(Skip(why).into()) }
    }
}

fn nothing() -> anyhow::Result<()> {
    Ok(())
}

/// In a mount namespace of its own, which takes its mounts along when it ends.
pub(super) fn own_mounts() -> anyhow::Result<()> {
    needs("unshare(CLONE_NEWNS)", unshare(CloneFlags::CLONE_NEWNS))?;
    let none = None::<&str>;
    needs("private mounts", mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none))
}

/// Another one each time: that is a container which was started again.
fn own_boot_id() -> anyhow::Result<()> {
    own_mounts()?;
    bind_boot_id()
}

fn bind_boot_id() -> anyhow::Result<()> {
    anyhow::ensure!(CLOCKS_TELL, Skip("no clock that always runs through a reboot".into()));
    let (none, id) = (None::<&str>, "/proc/sys/kernel/random/boot_id");
    let new = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
    needs("tmpfs", mount(Some("tmpfs"), "/mnt", Some("tmpfs"), MsFlags::empty(), none))?;
    fs::write("/mnt/boot_id", new)?;
    needs("bind mount", mount(Some("/mnt/boot_id"), id, none, MsFlags::MS_BIND, none))
}

fn own_proc() -> anyhow::Result<()> {
    needs("mount of proc", mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), None::<&str>))
}

fn no_boot_id() -> anyhow::Result<()> {
    needs("mount of proc, with subset=pid", hide_boot_id())
}

fn nspawn_around() -> anyhow::Result<()> {
    let own = CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
    needs("unshare(CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS)", unshare(own))
}

/// It binds the id over procfs, whose other knobs can only be read.
fn nspawn_within() -> anyhow::Result<()> {
    own_mounts()?;
    own_proc()?;
    bind_boot_id()?;
    let (none, sys) = (None::<&str>, "/proc/sys");
    needs("bind mount", mount(Some(sys), sys, none, MsFlags::MS_BIND | MsFlags::MS_REC, none))?;
    let read_only = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    needs("read-only mount", mount(none, sys, none, read_only, none))
}

pub(super) fn new_pids() -> anyhow::Result<()> {
    needs("unshare(CLONE_NEWPID)", unshare(CloneFlags::CLONE_NEWPID))
}

fn lxc_within() -> anyhow::Result<()> {
    own_mounts()?;
    own_proc()?;
    bind_boot_id()
}

/// A writer in a container, and the one that waits for it.
pub(super) struct Stranger {
    keeper: Pid,
    pid: Pid,
}

impl Stranger {
    pub(super) fn new(scene: &Scene, container: Container, id: u32, longest: u64) -> anyhow::Result<Self> {
        let (mut from, mut to) = std::io::pipe()?;
        let keeper = children::fork(|| {
            if let Err(e) = (container.around)() {
                writeln!(to, "{e:#}")?;
                return Ok(());
            }
            let pid = children::fork(|| {
                (container.within)()?;
                scene.append_until_closed(&scene.options().open(&scene.log)?, id, longest)
            })?;
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

    pub(super) fn kill(self) -> anyhow::Result<()> {
        kill(self.pid, Signal::SIGKILL)?;
        ended_well(self.keeper)
    }
}

/// Two that are killed, and one that leaves by itself, before them or last.
pub(super) fn crew(scene: &mut Scene, container: Container) -> anyhow::Result<()> {
    let ids = [(); 3].map(|()| scene.id() | ENDS_IN_NULS);
    let leaves_last = scene.random.below(2) == 0;
    let scene = &*scene;
    let leave = || container.run(|| scene.append_some(ids[2], LONGEST).map(|()| String::new())).map(drop);
    let killed = [
        Stranger::new(scene, container, ids[0], LONGEST)?,
        Stranger::new(scene, container, ids[1], LONGEST)?,
    ];
    scene.get_on(40)?;
    if !leaves_last {
        leave()?;
    }
    killed.into_iter().try_for_each(Stranger::kill)?;
    scene.count(2, "kills");
    if leaves_last {
        leave()?;
    }
    Ok(())
}

/// Which log it is, and how often it has been recovered, as somebody sees it who looks from there.
pub(super) fn identity(scene: &Scene, from: Container) -> anyhow::Result<String> {
    from.run(|| {
        let id = scene.options().open_reader(&scene.log)?.status()?.id;
        Ok(format!("{id} in epoch {}", id.epoch))
    })
}

/// One of us and a stranger append; each side rotates beside the other's writer, and is killed. Nobody here looks at the
/// boot id before he is a stranger.
fn beside(scene: &mut Scene, container: Container) -> anyhow::Result<()> {
    container.available()?;
    in_child(|| scene.create().map(|_| String::new()).map_err(Into::into))?;
    let first = identity(scene, HOST)?;
    for _ in 0..scene.rounds {
        let ids = [(); 2].map(|()| scene.id() | ENDS_IN_NULS);
        let ours = Stranger::new(scene, HOST, ids[0], LONGEST)?;
        let stranger = Stranger::new(scene, container, ids[1], LONGEST)?;
        scene.get_on(50)?;
        for side in [container, HOST] {
            rotate(scene, side)?;
            scene.get_on(20)?;
        }
        stranger.kill()?;
        scene.get_on(20)?;
        ours.kill()?;
        scene.count(2, "kills");
    }
    let last = identity(scene, container)?;
    anyhow::ensure!(last == first, "the log was {first}, beside strangers it became {last}");
    scene.judge()
}

/// One side comes, is killed and leaves, then the other.
fn in_turns(scene: &mut Scene, container: Container) -> anyhow::Result<()> {
    container.available()?;
    in_child(|| scene.create().map(|_| String::new()).map_err(Into::into))?;
    let first = identity(scene, HOST)?;
    for round in 0..scene.rounds {
        for (side, other) in [(container, HOST), (HOST, container)] {
            crew(scene, side)?;
            if scene.random.below(3) == 0 {
                rotate(scene, side)?;
            }
            let seen = identity(scene, other)?;
            anyhow::ensure!(seen == first, "in turn {round} the log that was {first} is {seen}");
        }
    }
    scene.judge()
}

fn rotate(scene: &Scene, side: Container) -> anyhow::Result<()> {
    side.run(|| {
        scene.options().open(&scene.log)?.rotate(&Rotation::default())?;
        Ok(String::new())
    })
    .map(drop)
}
