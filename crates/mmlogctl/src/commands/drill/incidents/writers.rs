//! Writers that stop, die, are too many, or give up.

use mmlog::{FindingId, Phase, Status};

use rustix::process::Signal;

use super::super::role::Role;
use super::super::stage::{Done, Stage};
use super::{Cure, Incident};

/// Long enough that a stop often comes in the middle of the copy.
const LARGE: usize = 4 << 20;

pub(super) const INCIDENTS: &[Incident] = &[
    Incident {
        name: FindingId::WriterStalled.name(),
        finding: FindingId::WriterStalled,
        about: "A writer is stopped in the middle of an append: followers cannot pass it.",
        needs: "",
        stage: |stage| in_flight(stage).map(Some),
        command: "kill -CONT {pid}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::WriterStopped.name(),
        finding: FindingId::WriterStopped,
        about: "A writer is stopped between two appends: what its program writes waits.",
        needs: "",
        stage: |stage| {
            stage.log(&[], b"a line\n")?;
            let index = stage.start(Role::Write, 1)?;
            stage.until("a writer", |stage| Ok((stage.look()?.writers.len() == 1).then_some(())))?;
            stage.actor(index).signal(Signal::STOP)?;
            Ok(Some(stage.actor(index).pid()))
        },
        command: "kill -CONT {pid}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::DeadWriter.name(),
        finding: FindingId::DeadWriter,
        about: "A writer was killed in the middle of an append, and nobody has appended since.",
        needs: "",
        stage: |stage| killed_in_flight(stage).map(Some),
        command: "mmlogctl repair {log}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::Holes.name(),
        finding: FindingId::Holes,
        about: "A killed writer's append was settled: a range of positions that has no content.",
        needs: "",
        stage: |stage| {
            let pid = killed_in_flight(stage)?;
            stage.append(b"whoever appends next settles it\n")?;
            Ok(Some(pid))
        },
        command: "mmlogctl cat --holes say {log} > /dev/null",
        cure: Cure::Stays("a hole stays on record: what was in flight when its writer ended is not there"),
    },
    Incident {
        name: FindingId::WritersFull.name(),
        finding: FindingId::WritersFull,
        about: "Every slot for a writer is taken: nobody else can append.",
        needs: "",
        stage: |stage| {
            stage.log(&["--max-writers", "2"], b"")?;
            let index = stage.start(Role::Write, 2)?;
            stage.until("two writers", |stage| Ok((stage.look()?.writers.len() == 2).then_some(())))?;
            Ok(Some(stage.actor(index).pid()))
        },
        command: "mmlogctl stats {log}",
        cure: Cure::People("end the writers that are not needed", |stage| {
            stage.end_actors();
            Ok(())
        }),
    },
    Incident {
        name: FindingId::Panicked.name(),
        finding: FindingId::Panicked,
        about: "A program has set the panic flag: nobody can write until somebody clears it.",
        needs: "",
        stage: |stage| {
            stage.log(&[], b"a line\n")?;
            stage.play(Role::Poison).map(Some)
        },
        command: "mmlogctl repair --clear-panic {log}",
        cure: Cure::Command,
    },
];

fn in_flight(stage: &mut Stage<'_>) -> Done<u32> {
    stage.log(&[], b"the first line\n")?;
    let index = stage.start(Role::Append, LARGE)?;
    stage.catch(index, "an append in flight", is_copying)?;
    Ok(stage.actor(index).pid())
}

/// Nothing else may stand still, so that this is what is shown.
fn is_copying(status: &Status) -> bool {
    let free = status.lock.held == Ok(false) && status.maintenance.held == Ok(false);
    let copying = |phase| phase == Phase::Copying;
    free && status.writers.iter().any(|w| w.in_flight.as_ref().is_some_and(|f| copying(f.phase)))
}

fn killed_in_flight(stage: &mut Stage<'_>) -> Done<u32> {
    let pid = in_flight(stage)?;
    stage.end_actors();
    Ok(pid)
}
