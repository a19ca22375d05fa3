//! Disks that are full, or fail.

use std::fs;
use std::mem::offset_of;
use std::path::PathBuf;
use std::time::Duration;

use mmlog::layout::{Owner, SLOTS_AT, Slot, SlotHot};
use mmlog::{FindingId, Want, WriterStatus};
use rustix::io::Errno;

use super::super::mounts::{self, Mount};
use super::super::role::Role;
use super::super::stage::{self, Done, Stage, Stop};
use super::{Cure, Incident, needs_root};

const FREE_SPACE: Cure = Cure::People("free space on it (here: what was put there to fill it)", |stage| {
    Ok(fs::remove_file(ballast(stage))?)
});

pub(super) const INCIDENTS: &[Incident] = &[
    Incident {
        name: FindingId::DiskNearlyFull.name(),
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
        name: FindingId::DiskFull.name(),
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
        name: "disk-full-held",
        finding: FindingId::DiskFull,
        about: "The disk is full, and a consumer that no longer runs keeps every old segment.",
        needs: "root, to mount a small file system",
        stage: |stage| {
            small_disk(stage)?;
            stage.play(Role::Hold)?;
            let lines = b"one more line\n".repeat(8 << 10);
            for _ in 0..3 {
                stage.append(&lines)?;
                stage.tool("rotate").arg(&stage.log).finish(b"")?.or_fail("rotate")?;
            }
            mounts::fill(&ballast(stage), 0)?;
            Ok(None)
        },
        command: "mmlogctl prune --forget rehearsal --keep 1 {log}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::ReadOnly.name(),
        finding: FindingId::ReadOnly,
        about: "The file system is mounted read-only: every append fails.",
        needs: "root, to mount a small file system",
        stage: |stage| {
            small_disk(stage)?;
            stage.remount_read_only()?;
            Ok(None)
        },
        command: "mount -o remount,rw {directory}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::SyncFailed.name(),
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
    Incident {
        name: FindingId::FileSizeLimit.name(),
        finding: FindingId::FileSizeLimit,
        about: "A writer has come to its own file size limit (ulimit -f): it waits, others append.",
        needs: "",
        stage: |stage| waiting(stage, Role::Limited, Want::FileSize),
        command: "mmlogctl policy --set rotate-size=256K {log}",
        cure: Cure::Command,
    },
    Incident {
        name: "dropping",
        finding: FindingId::FileSizeLimit,
        about: "A program that does not wait for space (--on-full drop) has come to its own file size limit: it drops what comes.",
        needs: "",
        stage: |stage| {
            let pid = waiting(stage, Role::Dropping, Want::FileSize)?;
            stage.until("a program that drops", |stage| {
                let drops = |w: &WriterStatus| w.waiting.is_some_and(|waiting| waiting.dropped.is_some());
                Ok(stage.look()?.writers.iter().any(drops).then_some(()))
            })?;
            Ok(pid)
        },
        command: "mmlogctl policy --set rotate-size=256K {log}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::QuotaFull.name(),
        finding: FindingId::QuotaFull,
        about: "The disk quota of a writer's user is used up: it waits.",
        needs: "a kernel that filters system calls (seccomp)",
        stage: |stage| waiting(stage, Role::Quota, Want::Quota),
        command: "quota -v",
        cure: END_WRITER,
    },
    Incident {
        name: FindingId::StorageFails.name(),
        finding: FindingId::StorageFails,
        about: "The disk fails when a writer needs more of it: it waits.",
        needs: "a kernel that filters system calls (seccomp)",
        stage: |stage| waiting(stage, Role::Failing, Want::Storage),
        command: "dmesg --level=err",
        cure: END_WRITER,
    },
    Incident {
        name: FindingId::AppendFailed.name(),
        finding: FindingId::AppendFailed,
        about: "An append failed for want of space, and its program has not tried again.",
        needs: "a kernel that filters system calls (seccomp)",
        stage: |stage| {
            let pid = waiting(stage, Role::GiveUp, Want::Space)?;
            // As if that had been a minute ago.
            let ago = stage::before_now(Duration::from_secs(60));
            let hot = [offset_of!(SlotHot, wait_since_ns), offset_of!(SlotHot, wait_tried_ns)];
            let claimed = offset_of!(Slot, cold) + offset_of!(Owner, since_ns);
            for field in [claimed, hot[0], hot[1]] {
                stage.poke(&stage.metadata(), SLOTS_AT + field, &ago)?;
            }
            Ok(pid)
        },
        command: "",
        cure: END_WRITER,
    },
    Incident {
        name: FindingId::InodesUsedUp.name(),
        finding: FindingId::InodesUsedUp,
        about: "The file system has no inode left: appends go on, a rotation does not.",
        needs: "root, to mount a small file system",
        stage: |stage| {
            needs_root("mount a small file system")?;
            let place = stage.dir.join("disk");
            stage.mount(Mount::at(&place, "tmpfs", "size=4m,nr_inodes=8,mode=0755")?);
            stage.log = place.join("app.log");
            stage.log(&["--chunk-size", "64K", "--max-writers", "8"], b"before the inodes were gone\n")?;
            let small = small_files(stage);
            fs::create_dir(&small)?;
            for nth in 0.. {
                match fs::File::create(small.join(format!("{nth}"))) {
                    Ok(_) => {}
                    Err(e) if e.raw_os_error() == Some(Errno::NOSPC.raw_os_error()) => break,
                    Err(e) => return Err(e.into()),
                }
            }
            Ok(None)
        },
        command: "df -i {directory}",
        cure: Cure::People("remove files that nobody needs (here: many empty ones)", |stage| {
            Ok(fs::remove_dir_all(small_files(stage))?)
        }),
    },
];

/// What ends it in truth is outside of this stage.
const END_WRITER: Cure = Cure::People("mend what fails (here: that writer ends)", |stage| {
    stage.end_actors();
    Ok(())
});

/// A writer that cannot go on for that reason.
fn waiting(stage: &mut Stage<'_>, role: Role, want: Want) -> Done<Option<u32>> {
    stage.log(&["--chunk-size", "64K", "--max-writers", "8"], b"a line\n")?;
    let index = stage.start(role, 4096)?;
    stage.until("an append that waits", |stage| {
        let waits = |w: &WriterStatus| w.waiting.is_some_and(|waiting| waiting.want == want);
        Ok(stage.look()?.writers.iter().any(waits).then_some(()))
    })?;
    Ok(Some(stage.actor(index).pid()))
}

fn small_files(stage: &Stage<'_>) -> PathBuf {
    stage.log.with_file_name("small")
}

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
