//! Who stops or dies with a lock, or with the gate closed.

use mmlog::{FindingId, Lock, ProcessState, Status};

use super::super::role::Role;
use super::super::stage::{Done, Stage};
use super::{Cure, Incident};

/// Chunks so small that nearly every append has to grow the file.
const SMALL: &[&str] = &["--chunk-size", "4096"];

pub(super) const INCIDENTS: &[Incident] = &[
    Incident {
        name: FindingId::LockHeld.name(),
        finding: FindingId::LockHeld,
        about: "A process is stopped while it grows the log: appends that need space wait for it.",
        needs: "",
        stage: |stage| growing(stage).map(Some),
        command: "kill -CONT {pid}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::LockStale.name(),
        finding: FindingId::LockStale,
        about: "A process was killed while it grew the log.",
        needs: "",
        stage: |stage| {
            let pid = growing(stage)?;
            stage.end_actors();
            Ok(Some(pid))
        },
        command: "mmlogctl repair {log}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::MaintenanceHeld.name(),
        finding: FindingId::MaintenanceHeld,
        about: "A trim is stopped: no other trim, rotation or prune can run.",
        needs: "",
        // With the lock or a closed gate it is another incident.
        stage: |stage| {
            let only = |s: &Status| is_held(&s.maintenance) && s.lock.held == Ok(false) && s.gate.is_none();
            trimming(stage, "only maintenance held", only).map(Some)
        },
        command: "kill -CONT {pid}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::GateClosed.name(),
        finding: FindingId::GateClosed,
        about: "A trim was killed while it held all writers up.",
        needs: "",
        stage: |stage| {
            let pid = trimming(stage, "the gate closed", |status| status.gate.is_some())?;
            stage.end_actors();
            Ok(Some(pid))
        },
        command: "mmlogctl repair {log}",
        cure: Cure::Command,
    },
];

fn is_held(lock: &Lock) -> bool {
    lock.held == Ok(true) && lock.process == ProcessState::Stopped
}

fn growing(stage: &mut Stage<'_>) -> Done<u32> {
    stage.log(SMALL, b"the first line\n")?;
    let index = stage.start(Role::Append, 4096)?;
    stage.catch(index, "the log's lock held to grow", |s| is_held(&s.lock) && s.lock.operation == "grow")?;
    Ok(stage.actor(index).pid())
}

fn trimming(stage: &mut Stage<'_>, what: &str, wanted: fn(&Status) -> bool) -> Done<u32> {
    stage.log(SMALL, b"the first line\n")?;
    let index = stage.start(Role::Trim, 0)?;
    stage.catch(index, what, wanted)?;
    Ok(stage.actor(index).pid())
}
