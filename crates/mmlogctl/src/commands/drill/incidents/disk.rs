//! Disks that are full, or fail.

use std::fs;
use std::path::PathBuf;

use mmlog::FindingId;

use super::super::mounts::{self, Mount};
use super::super::role::Role;
use super::super::stage::{Done, Stage, Stop};
use super::{Cure, Incident, needs_root};

const FREE_SPACE: Cure = Cure::People("free space on it (here: what was put there to fill it)", |stage| {
    Ok(fs::remove_file(ballast(stage))?)
});

pub(super) const INCIDENTS: &[Incident] = &[
    Incident {
        finding: FindingId::DiskNearlyFull,
        about: "The disk has less than two chunks left.",
        needs: "root, to mount a small file system",
        stage: |stage| {
            small_disk(stage)?;
            mounts::fill(&ballast(stage), 64 << 10)?;
            Ok(None)
        },
        command: "df -h {directory}",
        cure: FREE_SPACE,
    },
    Incident {
        finding: FindingId::DiskFull,
        about: "The disk has no page left, and none is allocated ahead: whoever appends waits.",
        needs: "root, to mount a small file system",
        stage: |stage| {
            small_disk(stage)?;
            mounts::fill(&ballast(stage), 0)?;
            Ok(None)
        },
        command: "df -h {directory}",
        cure: FREE_SPACE,
    },
    Incident {
        finding: FindingId::SyncFailed,
        about: "A sync of the data file failed with an I/O error: nobody knows what is on the disk.",
        needs: "a kernel that filters system calls (seccomp)",
        stage: |stage| {
            stage.log(&[], b"a line\n")?;
            stage.play(Role::Sync)?;
            match stage.look()?.durability.error {
                Some(_) => Ok(None),
                None => Err(Stop::Failed("the sync did not fail".to_owned())),
            }
        },
        command: "mmlogctl repair --accept-loss {log}",
        cure: Cure::Command,
    },
];

fn small_disk(stage: &mut Stage<'_>) -> Done {
    needs_root("mount a small file system")?;
    let place = stage.dir.join("disk");
    stage.mount(Mount::at(&place, "tmpfs", "size=4m,mode=0755")?);
    stage.log = place.join("app.log");
    stage.log(&["--chunk-size", "64K", "--max-writers", "8"], b"before the disk was full\n")
}

fn ballast(stage: &Stage<'_>) -> PathBuf {
    stage.log.with_file_name("ballast")
}
