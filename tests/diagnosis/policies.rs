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
fn a_rotation_is_not_overdue_for_somebody_who_is_gone_or_for_space_that_is_there_again() {
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
    let no_space = PolicyUndone { errno: 28, ..undone(Undone::Rotation, 77) };
    for (free, is_there) in [(0, true), (1 << 20, false)] {
        status.policy.undone = vec![no_space.clone()];
        status.file.free = Ok(free);
        let found = of(&status, FindingId::RotationOverdue).unwrap();
        assert_eq!(found.severity, if is_there { Severity::Warning } else { Severity::Info }, "{found:?}");
        let said = "there was no space for the next segment, and there is now";
        assert_eq!(found.sentence.contains(said), !is_there, "{found:?}");
    }
    // Not where what it lacked was an inode, and one is too few for a file and its second name.
    for (left, says) in [
        (0, "no inode is left to make the next segment with"),
        (1, "1 inode is left, and the next segment needs 2 here"),
        (2, "and there is now"),
    ] {
        status.file.inodes = Some((left, 64));
        let found = of(&status, FindingId::RotationOverdue).unwrap();
        assert!(found.sentence.contains(says), "{found:?}");
    }
    status.file.inodes = Some((0, 64));
    let found = of(&status, FindingId::InodesUsedUp).unwrap();
    assert!(found.sentence.contains("(0 of 64 free), for at least 40 s: appends go on"), "{found:?}");
    status.policy.undone.clear();
    let found = of(&status, FindingId::InodesUsedUp).unwrap();
    assert!(found.sentence.contains("(0 of 64 free): appends go on"), "{found:?}");
}

/// As it is on a disk of 24 MiB, of which so much is free: a segment of each of these sizes, the last the current one.
fn on_a_small_disk(log: &std::path::Path, sizes: &[u64], free: u64) -> Status {
    let mut status = in_flight(log, ProcessState::Sleeping, HERE);
    status.writers.clear();
    let one = status.segments[0].clone();
    let mut base = 0;
    status.segments.clear();
    for (generation, &len) in (0..).zip(sizes) {
        let end = base + len;
        status.segments.push(SegmentStatus { generation, base, end, len, allocated: len, ..one.clone() });
        (status.generation, status.base, status.cursor) = (generation, base, end);
        base = end;
    }
    (status.file.free, status.limit) = (Ok(free), status.cursor);
    status
}

const MIB: u64 = 1 << 20;

#[test]
fn a_log_that_its_policy_keeps_within_what_is_free_is_not_said_to_fill_a_small_disk() {
    let scratch = Scratch::new();
    let mut status = on_a_small_disk(&scratch.file("app.log"), &[2 * MIB, 2 * MIB, MIB], 6 * MIB);
    let rules = Policy { rotate_size: Some(2 * MIB), keep_bytes: Some(6 * MIB), ..Policy::default() };
    let soon = |status: &Status| of(status, FindingId::DiskNearlyFull).map(|found| found.state);
    status.policy.state = PolicyState::Set(rules.clone());
    // 6 MiB are kept, with the current one and one that is not yet removed 10: 5 more than there are.
    assert_eq!(soon(&status), None);
    let asked = Thresholds { free: Some(8 * MIB), ..Thresholds::default() };
    let ids: Vec<FindingId> = status.diagnose(&asked).iter().map(|found| found.id).collect();
    assert!(ids.contains(&FindingId::DiskNearlyFull), "somebody asked for more: {ids:?}");
    for (free, keep, rotate_size, held_by) in [
        (4 * MIB, None, Some(2 * MIB), None),
        (6 * MIB, None, None, None),
        (6 * MIB, None, Some(2 * MIB), Some("backup".to_owned())),
    ] {
        let mut other = status.clone();
        (other.file.free, other.policy.held_by) = (Ok(free), held_by);
        other.policy.state = PolicyState::Set(Policy { rotate_size, keep, ..rules.clone() });
        assert_eq!(soon(&other), Some(State::FullSoon), "{:?}", other.policy);
    }
    status.policy.state = PolicyState::Set(Policy { keep: Some(1), ..rules });
    status.file.free = Ok(MIB);
    assert_eq!(soon(&status), None, "the rule that keeps least holds");
    status.policy.undone = vec![PolicyUndone {
        what: Some(Undone::Rotation),
        since: Some(SystemTime::now()),
        tried: None,
        errno: 28,
        of_log: true,
        pid: 4312,
        uid: 0,
        command: "web".to_owned(),
    }];
    assert_eq!(soon(&status), Some(State::FullSoon), "it is not carried out");
}

#[test]
fn what_is_to_be_given_up_is_half_of_the_log_and_the_newest_old_segment_stays_if_it_can() {
    let scratch = Scratch::new();
    for (sizes, step) in [
        (&[4 * MIB, MIB][..], "prune --keep 0 "),
        // The current one has more than half.
        (&[MIB, 11 * MIB], "prune --punch --keep-bytes 6M "),
        (&[4 * MIB, 4 * MIB, MIB], "prune --keep 1 "),
        (&[MIB, MIB, MIB, MIB, MIB], "prune --keep 1 "),
        (&[8 * MIB, MIB, MIB, MIB], "prune --keep 2 "),
        (&[4096, 64 * MIB, MIB], "prune --keep 0 "),
        (&[4096, 4096], "prune --keep 0 "),
        (&[9 * MIB], "prune --punch --keep-bytes 4M "),
        // Where a MiB would be all of it.
        (&[MIB - 4096], "prune --punch --keep-bytes 510K "),
        (&[128 << 10], "prune --punch --keep-bytes 64K "),
    ] {
        let mut status = on_a_small_disk(&scratch.file("app.log"), sizes, 0);
        let full = of(&status, FindingId::DiskFull).unwrap();
        assert!(full.next_step.contains(step), "{sizes:?}: {full:?}");
        status.file.free = Ok(MIB);
        let soon = of(&status, FindingId::DiskNearlyFull).unwrap();
        assert!(soon.next_step.contains(step), "{sizes:?}: {soon:?}");
        let is_all = soon.next_step.contains(", all but the current one; ");
        assert_eq!(is_all, step.contains("--keep 0"), "{soon:?}");
    }
    let status = on_a_small_disk(&scratch.file("app.log"), &[64 << 10], 0);
    let full = of(&status, FindingId::DiskFull).unwrap();
    assert!(
        full.command().is_some_and(|command| command.starts_with("df ")),
        "less is not worth it: {full:?}"
    );
}
