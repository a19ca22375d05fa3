//! Policies that are not carried out.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use mmlog::layout::{Header, Overdue, PolicyCopy};
use mmlog::{FindingId, Undone};

use super::super::stage::{self, Done, Stage, Stop};
use super::{Cure, Incident};

pub(super) const INCIDENTS: &[Incident] = &[
    Incident {
        name: FindingId::RotationOverdue.name(),
        finding: FindingId::RotationOverdue,
        about: "Whoever appends was told to leave the policy to others, and the segment is longer than that says.",
        needs: "",
        stage: |stage| {
            let lines = rotated_at_64_kib(stage, 60)?;
            let append = stage.tool("append").env("MMLOG_NO_POLICY", "1").arg(&stage.log);
            append.finish(&lines)?.or_fail("append").map(|_| None)
        },
        command: "mmlogctl rotate {log}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::PolicyNotTrusted.name(),
        finding: FindingId::PolicyNotTrusted,
        about: "Everybody may write the metadata, and so set the policy, but not delete in the directory.",
        needs: "",
        stage: |stage| {
            stage.log(&["--keep", "3"], b"a line\n")?;
            fs::set_permissions(stage.metadata(), fs::Permissions::from_mode(0o646))?;
            Ok(None)
        },
        command: "chmod o-w {metadata}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::PruningOverdue.name(),
        finding: FindingId::PruningOverdue,
        about: "Old segments should have gone by the policy, and who appends could not remove them.",
        needs: "",
        stage: |stage| {
            rotated_at_64_kib(stage, 300)?;
            stage.tool("rotate").arg(&stage.log).finish(&[])?.or_fail("rotate")?;
            stage.tool("policy").args(["--set", "keep=0"]).arg(&stage.log).finish(&[])?.or_fail("policy")?;
            // As if he had no right to, an hour ago.
            let record = std::mem::offset_of!(Header, overdue_process);
            let note = |at, value: &[u8]| stage.poke(&stage.metadata(), record + at, value);
            note(std::mem::offset_of!(Overdue, kind), &Undone::Pruning.number().to_ne_bytes())?;
            note(std::mem::offset_of!(Overdue, errno), &13_u32.to_ne_bytes())?;
            note(std::mem::offset_of!(Overdue, uid), &stage::NOBODY.to_ne_bytes())?;
            let since = stage::before_now(Duration::from_secs(3600));
            note(std::mem::offset_of!(Overdue, since_ns), &since).map(|()| None)
        },
        command: "mmlogctl prune --policy {log}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::FreeSpaceNotFreed.name(),
        finding: FindingId::FreeSpaceNotFreed,
        about: "The oldest segments were removed for free space, and their blocks are not free.",
        needs: "",
        stage: |stage| {
            stage.log(&["--keep-free", "1%"], b"a line\n")?;
            // As if that had been an hour ago.
            unfreed_since(stage, stage::before_now(Duration::from_secs(3600)))?;
            match stage.look()?.policy.unfreed_since {
                Some(_) => Ok(None),
                None => Err(Stop::Failed("it is not seen".to_owned())),
            }
        },
        command: "df -h {directory}",
        cure: Cure::People("have removed segments let go (here: what says that they are not)", |stage| {
            unfreed_since(stage, [0; 8])
        }),
    },
    Incident {
        name: FindingId::PolicyDamaged.name(),
        finding: FindingId::PolicyDamaged,
        about: "Somebody has scribbled over the policy in the metadata.",
        needs: "",
        stage: |stage| {
            stage.log(&["--keep", "3"], b"a line\n")?;
            let keep = std::mem::offset_of!(Header, policies.copies) + size_of::<PolicyCopy>() + 24;
            stage.poke(&stage.metadata(), keep, &[0]).map(|()| None)
        },
        command: "mmlogctl policy --clear {log}",
        cure: Cure::Command,
    },
];

/// A log with so many lines of 1000 bytes, which are given back.
fn rotated_at_64_kib(stage: &Stage<'_>, lines: usize) -> Result<Vec<u8>, Stop> {
    let lines = [[b'.'; 999].as_slice(), b"\n"].concat().repeat(lines);
    stage.log(&["--rotate-size", "64K"], &lines)?;
    Ok(lines)
}

fn unfreed_since(stage: &Stage<'_>, at_ns: [u8; 8]) -> Done {
    let at = std::mem::offset_of!(Header, policies.unfreed_since_ns);
    stage.poke(&stage.metadata(), at, &at_ns)
}
