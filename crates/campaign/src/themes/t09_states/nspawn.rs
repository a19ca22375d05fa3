//! Real containers, where there is a `systemd-nspawn`: with its mounts, its boot id and its filter of system calls.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::mount::{MsFlags, mount};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::containers::{CLOCKS_TELL, HOST, LONGEST, crew, identity, own_mounts};
use super::{Case, Scene, Skip, in_child, kill_and_wait, needs, until};
use crate::disks::has_program;
use crate::oracle::{Acks, ENDS_IN_NULS};
use crate::random::Random;

pub(super) const CASES: &[Case] = &[("containers of systemd-nspawn and their host", containers)];

/// Each takes a moment to start.
const ROUNDS: u64 = 8;

/// The role: `id some|until`; in a container, in which log and notes lie where [`container`] has put them.
pub(super) fn guest(arguments: &[String]) -> anyhow::Result<()> {
    let [id, how] = arguments else { anyhow::bail!("arguments: {arguments:?}") };
    let id: u32 = id.parse()?;
    let scene = Scene {
        directory: "/log".into(),
        log: "/log/odd.log".into(),
        notes: "/notes".into(),
        acks: Acks::open(Path::new("/notes/acks"))?,
        random: Random::new(id.into()),
        rounds: 0,
        next_id: id,
    };
    match &**how {
        "some" => scene.append_some(id, LONGEST),
        _ => scene.append_until_closed(&scene.options().open(&scene.log)?, id, LONGEST),
    }
}

/// A container of its own for a program of the host's.
fn container(scene: &Scene, number: u32, program: &Path, arguments: &[&str]) -> anyhow::Result<Command> {
    let root = scene.directory.join(format!("root-{number}"));
    for directory in ["usr", "etc", "log", "notes"] {
        fs::create_dir_all(root.join(directory))?;
    }
    fs::write(root.join("etc/os-release"), "ID=campaign\n")?;
    for link in ["bin", "sbin", "lib", "lib64"] {
        symlink(format!("usr/{link}"), root.join(link))?;
    }
    let bind = |kind: &str, from: &Path, to: &str| format!("--{kind}={}:{to}", from.display());
    let mut command = Command::new("systemd-nspawn");
    command
        .args(["--quiet", "--register=no", "--keep-unit", "--bind-ro=/usr"])
        .arg(format!("--machine=campaign-{}-{number}", std::process::id()))
        .arg(format!("--directory={}", root.display()))
        .arg(bind("bind", &scene.directory, "/log"))
        .arg(bind("bind", &scene.notes, "/notes"))
        .arg(bind("bind-ro", program, "/program"))
        .arg("/program")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    Ok(command)
}

/// A writer in one.
fn start(scene: &mut Scene, how: &str) -> anyhow::Result<Child> {
    let id = scene.id() | ENDS_IN_NULS;
    let arguments = ["role", "odd-guest", "--", &id.to_string(), how];
    Ok(container(scene, id, &std::env::current_exe()?, &arguments)?.spawn()?)
}

/// Kills what runs in it, as `kill -9` of the host's root does.
fn kill_within(mut container: Child) -> anyhow::Result<()> {
    let keeper = container.id();
    let children = fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/children"))?;
    let within = children.split_whitespace().next().ok_or_else(|| anyhow::anyhow!("nothing runs in it"))?;
    kill(Pid::from_raw(within.parse()?), Signal::SIGKILL)?;
    container.wait()?;
    Ok(())
}

fn available(scene: &mut Scene) -> anyhow::Result<()> {
    if !has_program("systemd-nspawn") {
        return Err(Skip("no systemd-nspawn; install systemd-container".into()).into());
    }
    if !CLOCKS_TELL {
        return Err(Skip("no clock that always runs through a reboot".into()).into());
    }
    // What it leaves there goes with this process.
    own_mounts()?;
    let none = None::<&str>;
    needs("tmpfs", mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), none))?;
    let tried = container(scene, 0, Path::new("/usr/bin/true"), &[])?.output()?;
    let said = String::from_utf8_lossy(&tried.stderr);
    anyhow::ensure!(tried.status.success(), Skip(format!("systemd-nspawn: {}", said.trim())));
    Ok(())
}

/// Two that are killed beside a writer of the host's; one that comes and leaves while nobody else is there; the host.
fn containers(scene: &mut Scene) -> anyhow::Result<()> {
    available(scene)?;
    in_child(|| scene.create().map(|_| String::new()).map_err(Into::into))?;
    let first = identity(scene, HOST)?;
    for round in 0..scene.rounds.min(ROUNDS) {
        let killed = [start(scene, "until")?, start(scene, "until")?];
        let log = scene.log.clone();
        let ours = scene.writer(&log)?;
        in_child(|| {
            let log = scene.options().open_reader(&log)?;
            until(|| Ok(log.status()?.writers.iter().filter(|w| w.alive == Ok(true)).count() == 3))?;
            Ok(String::new())
        })?;
        scene.get_on(100)?;
        killed.into_iter().try_for_each(kill_within)?;
        kill_and_wait(ours)?;
        scene.count(3, "kills");
        let left = start(scene, "some")?.wait()?;
        anyhow::ensure!(left.success(), "a writer in a container ended with {left}");
        crew(scene, HOST)?;
        let seen = identity(scene, HOST)?;
        anyhow::ensure!(seen == first, "in round {round} the log that was {first} is {seen}");
    }
    scene.judge()
}
