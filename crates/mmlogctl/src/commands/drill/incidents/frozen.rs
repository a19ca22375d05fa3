//! Writers that something keeps from running: a control group, a frozen file system.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use mmlog::FindingId;
use rustix::process::Signal;

use super::super::mounts::Mount;
use super::super::role::Role;
use super::super::stage::{Done, Stage, Stop};
use super::{Cure, Incident, needs_root};
use crate::who;

/// Of the file system that is frozen.
const DISK: u64 = 32 << 20;

pub(super) const INCIDENTS: &[Incident] = &[
    Incident {
        name: "frozen-v1",
        finding: FindingId::WriterStopped,
        about: "A writer's control group (version 1) is frozen, as by docker pause: no signal reaches it.",
        needs: "root and the freezer of control groups of version 1",
        stage: |stage| {
            let root =
                mounted(|kind, options| kind == "cgroup" && options.split(',').any(|o| o == "freezer"));
            let root = root.ok_or_else(|| skipped("no freezer of version 1 is mounted here"))?;
            frozen(stage, &root, ("freezer.state", "FROZEN", "THAWED"))
        },
        command: "echo THAWED > {group}/freezer.state",
        cure: Cure::Command,
    },
    Incident {
        name: "frozen-v2",
        finding: FindingId::WriterStopped,
        about: "A writer's control group (version 2) is frozen: no signal reaches it.",
        needs: "root and control groups of version 2",
        stage: |stage| {
            let root = mounted(|kind, _| kind == "cgroup2");
            let root = root.ok_or_else(|| skipped("no control groups of version 2 are mounted here"))?;
            frozen(stage, &root, ("cgroup.freeze", "1", "0"))
        },
        command: "echo 0 > {group}/cgroup.freeze",
        cure: Cure::Command,
    },
    Incident {
        name: "disk-frozen",
        finding: FindingId::WriterStopped,
        about: "The log's file system is frozen, as for a snapshot that never ended: writers are stuck in the kernel.",
        needs: "root, mkfs.ext4, a loop device and fsfreeze",
        stage: |stage| {
            needs_root("freeze a file system")?;
            let place = small_disk(stage)?;
            stage.log = place.join("app.log");
            stage.log(&["--chunk-size", "64K"], b"before it was frozen\n")?;
            let index = idle_writer(stage)?;
            stage.undo("fsfreeze -u \"$1\"", &place)?;
            program(stage, "fsfreeze", &["-f"], &place)?;
            let pid = stage.actor(index).pid();
            stage.actor(index).signal(Signal::CONT)?;
            stage.until("it waits in the kernel", |_| {
                Ok((who::state(pid).as_deref() == Some("D")).then_some(()))
            })?;
            Ok(Some(pid))
        },
        command: "fsfreeze -u {directory}",
        cure: Cure::Command,
    },
];

fn skipped(why: &str) -> Stop {
    Stop::Skipped(why.to_owned())
}

/// A writer that is stopped between two appends.
fn idle_writer(stage: &mut Stage<'_>) -> Done<usize> {
    let index = stage.start(Role::Pace, 1)?;
    stage.catch(index, "a writer with nothing in flight", |status| {
        let idle = status.writers.iter().any(|w| w.messages > 0 && w.in_flight.is_none());
        idle && status.lock.held == Ok(false)
    })?;
    Ok(index)
}

/// Where a file system is mounted that is wanted, by its kind and options.
fn mounted(is_wanted: impl Fn(&str, &str) -> bool) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let found = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (place, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
        is_wanted(kind, options).then(|| PathBuf::from(place))
    });
    found.filter(|place| place.is_dir())
}

/// A writer in a group of its own, with the file that freezes it, and what is written there.
fn frozen(stage: &mut Stage<'_>, root: &Path, (file, freeze, thaw): (&str, &str, &str)) -> Done<Option<u32>> {
    needs_root("freeze a control group")?;
    stage.log(&[], b"a line\n")?;
    let index = idle_writer(stage)?;
    let pid = stage.actor(index).pid();
    let group = root.join(format!("mmlogctl-drill-{}", std::process::id()));
    let not_here = |e| skipped(&format!("no control group can be made in {}: {e}", root.display()));
    fs::create_dir(&group).map_err(not_here)?;
    let gone = format!(
        "echo {thaw} > \"$1/{file}\"; while read -r pid; do echo \"$pid\" > \"$1/../cgroup.procs\"; done < \"$1/cgroup.procs\"; rmdir \"$1\""
    );
    stage.undo(&gone, &group)?;
    let freezer = group.join(file);
    if !freezer.exists() {
        return Err(skipped(&format!("{} has no {file}", root.display())));
    }
    fs::write(group.join("cgroup.procs"), pid.to_string())?;
    stage.actor(index).signal(Signal::CONT)?;
    fs::write(&freezer, freeze)?;
    stage.group = Some(group);
    stage.until("the frost", |stage| {
        let frozen = mmlog::ProcessState::Frozen;
        Ok(stage.look()?.writers.iter().any(|w| w.process == frozen && w.in_flight.is_none()).then_some(()))
    })?;
    Ok(Some(pid))
}

/// One that goes with its guard.
fn small_disk(stage: &mut Stage<'_>) -> Done<PathBuf> {
    let (image, place) = (stage.dir.join("image"), stage.dir.join("disk"));
    File::create(&image)?.set_len(DISK)?;
    program(stage, "mkfs.ext4", &["-q"], &image)?;
    let disk = Mount::of_image(&place, |place| {
        let image = image.display().to_string();
        program(stage, "mount", &["-o", "loop", &image], place)
    })?;
    stage.mount(disk);
    Ok(place)
}

/// Without which nothing can be staged.
fn program(stage: &Stage<'_>, name: &str, words: &[&str], path: &Path) -> Done {
    let ended = match stage.program(name).args(words).arg(path).finish(b"") {
        Err(Stop::Failed(why)) => return Err(Stop::Skipped(why)),
        ended => ended?,
    };
    match ended.code {
        Some(0) => Ok(()),
        _ => Err(Stop::Skipped(format!("{name}: {}", ended.stderr.trim_end()))),
    }
}
