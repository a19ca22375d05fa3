//! What a log's own policy does about a full disk, about who holds others up, and about what was in its way.

use std::time::{Duration, SystemTime};

use mmlog::{
    FindingId, Free, Lock, Policy, PolicyState, PolicyUndone, ProcessState, Seat, SegmentStatus, Severity,
    State, Status, Thresholds, Undone,
};

use crate::cli::Scratch;
use crate::in_flight;

const HERE: Seat = Seat { namespace: None, pid: Some(4312), uid: None };

fn of(status: &Status, id: FindingId) -> Option<mmlog::Finding> {
    status.diagnose(&Thresholds::default()).into_iter().find(|found| found.id == id)
}

#[test]
fn a_full_disk_is_not_full_while_the_policy_has_old_segments_to_give() {
    let scratch = Scratch::new();
    let mut status = in_flight(&scratch.file("app.log"), ProcessState::Sleeping, HERE);
    status.writers.clear();
    (status.file.free, status.limit) = (Ok(0), status.cursor);
    status.policy.state =
        PolicyState::Set(Policy { keep_free: Some(Free::Bytes(5 << 20)), ..Policy::default() });
    let full = of(&status, FindingId::DiskFull).unwrap();
    assert_eq!(full.state, State::Full, "there is none");
    let current = status.segments[0].clone();
    status.generation = 1;
    status.segments.push(SegmentStatus { generation: 1, ..current });
    status.policy.prunes = 1;
    assert_eq!(of(&status, FindingId::DiskFull), None);
    let said = of(&status, FindingId::DiskNearlyFull).unwrap();
    assert_eq!(said.severity, Severity::Info, "{said:?}");
    assert!(said.sentence.contains("appends remove the oldest of 1 old segment for it"), "{said:?}");
    // What it keeps free is less than two chunks, and there.
    (status.file.free, status.policy.prunes) = (Ok(5 << 20), 0);
    assert_eq!(of(&status, FindingId::DiskNearlyFull), None);
    // Removing makes no space.
    (status.file.free, status.policy.unfreed_since) = (Ok(0), Some(SystemTime::now()));
    assert!(of(&status, FindingId::DiskFull).is_some());
}

#[test]
fn who_appends_loses_what_is_in_its_pipe_whatever_it_is_at() {
    let scratch = Scratch::new();
    let mut status = in_flight(&scratch.file("app.log"), ProcessState::Stopped, HERE);
    status.writers[0].in_flight = None;
    let held = |operation: &str, seat| Lock {
        held: Ok(true),
        pid: 4312,
        seat,
        operation: operation.to_owned(),
        process: ProcessState::Stopped,
        for_at_least: Duration::from_secs(9),
        ..status.maintenance.clone()
    };
    let elsewhere = Seat { pid: Some(4313), ..HERE };
    for (operation, seat, loses) in
        [("rotate", HERE, true), ("prune", HERE, true), ("rotate", elsewhere, false)]
    {
        let status = Status { maintenance: held(operation, seat), ..status.clone() };
        let step = of(&status, FindingId::MaintenanceHeld).unwrap().next_step;
        assert_eq!(step.contains("what is not yet appended, pipe included, is lost"), loses, "{step}");
        assert_eq!(step.contains("nothing is lost"), !loses, "{step}");
    }
}

#[test]
fn a_rotation_is_not_overdue_for_somebody_who_is_gone() {
    let scratch = Scratch::new();
    let mut status = in_flight(&scratch.file("app.log"), ProcessState::Stopped, HERE);
    let since = Some(SystemTime::now() - Duration::from_secs(40));
    let undone = |what, pid| PolicyUndone {
        what: Some(what),
        since,
        tried: since,
        errno: 0,
        of_log: true,
        pid,
        uid: 0,
        command: "web".to_owned(),
    };
    status.policy.rotates_in = Some(0);
    let in_its_slot = status.writers[0].pid;
    for (what, pid, is_there) in
        [(Undone::InFlight, in_its_slot, true), (Undone::InFlight, 77, false), (Undone::Busy, 77, false)]
    {
        status.policy.undone = vec![undone(what, pid)];
        let found = of(&status, FindingId::RotationOverdue).unwrap();
        let severity = if is_there { Severity::Warning } else { Severity::Info };
        assert_eq!(found.severity, severity, "{found:?}");
        assert_eq!(found.sentence.contains("process 77 (web) was in the way, and is no more"), !is_there);
    }
}
