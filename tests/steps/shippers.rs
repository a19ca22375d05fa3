//! Holds, and what the shippers that have some say of themselves, as a look may find it.

use std::time::{Duration, SystemTime};

use mmlog::{FindingId, HoldStatus, ProcessState, ShipperState, ShipperStatus, WriterStatus};

use super::found::{With, writer};

/// Of each state that makes the finding, and of one that was killed.
pub(super) fn all(id: FindingId, with: With<'_>) {
    let states: &[ShipperState] = match id {
        FindingId::SinkAway => &[ShipperState::Away],
        FindingId::SinkRefuses => &[ShipperState::Denied],
        _ => &[ShipperState::Decide, ShipperState::Failed],
    };
    for state in states {
        with(&|s| (s.cursor, s.holds) = (1 << 30, vec![shipped(*state)]));
    }
    if id == FindingId::ShipperEnded {
        let killed = || HoldStatus { process: ProcessState::Gone, ..shipped(ShipperState::Shipping) };
        with(&|s| (s.cursor, s.holds) = (1 << 30, vec![killed()]));
    }
}

/// With words that are nobody's commands.
fn shipped(state: ShipperState) -> HoldStatus {
    let (sink, why) = ("nats://n`1`/logs".to_owned(), "it's `rm -rf /`".to_owned());
    let since = SystemTime::now().checked_sub(Duration::from_secs(600));
    let ship = ShipperStatus { sink, why, state, since, acked: Some(0), ..ShipperStatus::default() };
    HoldStatus { name: "ship:it's `x`".to_owned(), shipper: Some(ship), ..hold(&writer()) }
}

pub(super) fn hold(w: &WriterStatus) -> HoldStatus {
    HoldStatus {
        name: "the `night` shift's\n".to_owned(),
        position: 0,
        pid: w.pid,
        seat: w.seat,
        command_line: w.command_line.clone(),
        process: w.process,
        not_run_for: None,
        frozen_by: w.frozen_by.clone(),
        stuck_in: w.stuck_in.clone(),
        since: None,
        last_seen: None,
        moved: None,
        stands_for: None,
        reader: None,
        shipper: None,
    }
}
