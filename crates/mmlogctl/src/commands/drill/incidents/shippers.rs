//! Shippers whose sinks are away or refuse them, and one that needs a person. What a shipper says of itself is written as shippers write it.

use std::fs;
use std::time::{Duration, SystemTime};

use mmlog::{FindingId, ShipperState, ShipperStatus, shipper_file};

use super::super::role::{CONSUMER, Role};
use super::super::stage::{Done, Stage};
use super::{Cure, Incident};

pub(super) const INCIDENTS: &[Incident] = &[
    Incident {
        name: FindingId::SinkAway.name(),
        finding: FindingId::SinkAway,
        about: "The server that a log is shipped to is away: what it has not had is kept.",
        needs: "",
        stage: |stage| {
            shipper(stage)?;
            says(stage, ShipperState::Away, "connection refused")?;
            Ok(None)
        },
        command: "mmlogctl segments {log}",
        cure: Cure::People("have the server run again", is_reached),
    },
    Incident {
        name: FindingId::SinkRefuses.name(),
        finding: FindingId::SinkRefuses,
        about: "The server that a log is shipped to does not let the shipper in: its password was changed.",
        needs: "",
        stage: |stage| {
            shipper(stage)?;
            says(stage, ShipperState::Denied, "authorization violation")?;
            Ok(None)
        },
        command: "mmlogctl segments {log}",
        cure: Cure::People("put the new password into the shipper's file", is_reached),
    },
    Incident {
        name: FindingId::ShipperEnded.name(),
        finding: FindingId::ShipperEnded,
        about: "A shipper has ended, since only a person can decide how it goes on, and nobody needs it any more.",
        needs: "",
        stage: |stage| {
            shipper(stage)?;
            stage.end_actors();
            says(
                stage,
                ShipperState::Decide,
                "the log has no bytes 0 to 4096 any more; --accept-gap announces the gap",
            )?;
            Ok(None)
        },
        command: "mmlogctl prune --forget ship:rehearsal {log}",
        cure: Cure::Command,
    },
];

/// A log, and who has the hold of a shipper.
fn shipper(stage: &mut Stage<'_>) -> Done {
    stage.log(&[], b"a line that is to be shipped\n")?;
    stage.start(Role::Ship, 0)?;
    stage.until("the shipper's hold", |stage| Ok((!stage.look()?.holds.is_empty()).then_some(())))
}

fn says(stage: &Stage<'_>, state: ShipperState, why: &str) -> Done {
    let said = SystemTime::now();
    let status = ShipperStatus {
        sink: "nats://archive/logs.rehearsal".to_owned(),
        promise: "fenced: each byte once".to_owned(),
        state,
        why: why.to_owned(),
        since: said.checked_sub(Duration::from_secs(240)),
        acked: Some(if state == ShipperState::Ended { stage.look()?.cursor } else { 0 }),
        said: Some(said),
        ..ShipperStatus::default()
    };
    Ok(fs::write(shipper_file(&stage.log, CONSUMER), status.text(1))?)
}

/// All is shipped then, and the shipper of a rehearsal ends.
fn is_reached(stage: &mut Stage<'_>) -> Done {
    stage.end_actors();
    says(stage, ShipperState::Ended, "")
}
