//! Appends that wait, and what comes and is dropped: who, since when, for how much.

use std::time::{Duration, SystemTime};

use mmlog::{
    FindingId, OutputFull, ProcessState, Seat, Severity, SlotWaiters, State, Status, Thresholds, Waiting,
    Want, WriterStatus,
};

use crate::cli::Scratch;
use crate::in_flight;

/// As a writer says it that waits.
fn waiting(want: Want, errno: i32, seconds: u64) -> Option<Waiting> {
    let now = SystemTime::now();
    Some(Waiting {
        want,
        errno,
        len: 57_344,
        dropped: None,
        since: now - Duration::from_secs(seconds),
        tried: now,
        seen: now,
    })
}

#[test]
fn who_looks_at_it_late_finds_what_was_true_when_it_was_read() {
    let read = SystemTime::now() - Duration::from_secs(60);
    for (before, is_trying) in [(1, true), (6, false)] {
        let tried = read - Duration::from_secs(before);
        let waiting = waiting(Want::Space, 28, 90).map(|waiting| Waiting { tried, seen: read, ..waiting });
        assert_eq!(waiting.unwrap().is_trying(), is_trying, "tried {before} s before");
    }
}

#[test]
fn a_full_disk_names_who_waits_since_when_and_for_how_much() {
    let scratch = Scratch::new();
    let here = Seat { namespace: None, pid: Some(6935), uid: None };
    let mut status = in_flight(&scratch.file("app.log"), ProcessState::Sleeping, here);
    let writer = &mut status.writers[0];
    (writer.in_flight, writer.pid, writer.command_line) =
        (None, 6935, Some("mmlogctl append app.log".into()));
    writer.waiting = waiting(Want::Space, 28, 29);
    // There is some: not enough for it.
    status.file.free = Ok(40_960);
    let found = status.diagnose(&Thresholds::default()).remove(0);
    assert_eq!(
        (found.id, found.state, found.severity),
        (FindingId::DiskFull, State::Full, Severity::Critical)
    );
    let said = "no space left, writer 6935 (mmlogctl append app.log) has waited 29 s to append 56 KiB; ";
    assert!(found.sentence.starts_with(said), "{}", found.sentence);
    // Somebody has freed some, and it has not tried since.
    status.file.free = Ok(1 << 20);
    let found = status.diagnose(&Thresholds::default()).remove(0);
    let said = "space is free again, writer 6935 (mmlogctl append app.log) has waited 29 s to append 56 KiB, \
                and tries again within a second; ";
    assert!(found.sentence.starts_with(said), "{}", found.sentence);
    // Nor does it: nobody waits for space.
    status.writers[0].waiting.as_mut().unwrap().tried -= Duration::from_secs(3);
    let ids = |status: &Status| {
        status.diagnose(&Thresholds::default()).iter().map(|found| found.id).collect::<Vec<_>>()
    };
    assert!(ids(&status).contains(&FindingId::AppendFailed), "{:?}", ids(&status));
    assert!(!ids(&status).contains(&FindingId::DiskFull), "{:?}", ids(&status));
    // Where there is none, it may only be slow.
    status.file.free = Ok(40_960);
    assert!(ids(&status).contains(&FindingId::DiskFull), "{:?}", ids(&status));
}

#[test]
fn who_drops_what_comes_is_named_with_how_much_since_when_and_nothing_is_said_to_be_kept() {
    let scratch = Scratch::new();
    let here = Seat { namespace: None, pid: Some(6935), uid: None };
    let mut status = in_flight(&scratch.file("app.log"), ProcessState::Sleeping, here);
    let one = status.writers.remove(0);
    status.file.free = Ok(0);
    let writer = |pid: u32, seconds, dropped| {
        let waiting = waiting(Want::Space, 28, seconds).map(|waiting| Waiting { dropped, ..waiting });
        let seat = Seat { namespace: None, pid: Some(pid), uid: None };
        WriterStatus {
            pid,
            seat,
            slot: pid,
            in_flight: None,
            command_line: Some("web".into()),
            waiting,
            ..one.clone()
        }
    };
    for (writers, said) in [
        (vec![writer(1, 29, Some(57_344))], "writer 1 (web) drops what comes, 56 KiB in 29 s; "),
        (
            vec![writer(1, 29, Some(1024)), writer(2, 60, None), writer(3, 31, Some(1024))],
            "2 writers drop what comes, 2 KiB, the longest of them, 3 (web), for 31 s, 1 other waits; ",
        ),
    ] {
        status.writers = writers;
        let found = status.diagnose(&Thresholds::default()).remove(0);
        assert_eq!((found.id, found.severity), (FindingId::DiskFull, Severity::Critical));
        assert!(found.sentence.starts_with(&format!("no space left, {said}")), "{}", found.sentence);
        assert!(!found.sentence.contains("not lost"), "{}", found.sentence);
    }
    status.writers = vec![writer(1, 60, None)];
    let found = status.diagnose(&Thresholds::default()).remove(0);
    assert!(found.sentence.ends_with("; what waits is not lost"), "{}", found.sentence);
    // One beside it has dropped what came, and nothing has come since.
    status.writers.push(writer(2, 60, Some(57_344)));
    status.writers[1].waiting.as_mut().unwrap().tried -= Duration::from_secs(50);
    let found = status.diagnose(&Thresholds::default()).remove(0);
    let said = "; what waits is not lost; 1 other writer dropped 56 KiB before";
    assert!(found.sentence.ends_with(said), "{}", found.sentence);
    status.writers = vec![writer(1, 60, Some(57_344))];
    status.writers[0].waiting.as_mut().unwrap().tried -= Duration::from_secs(50);
    let found = status.diagnose(&Thresholds::default());
    let found = found.iter().find(|found| found.id == FindingId::AppendFailed).unwrap();
    let said = "writer 1 (web) has dropped 56 KiB and tried again in vain 50 s ago (No space left";
    assert!(found.sentence.starts_with(said), "{}", found.sentence);
}

#[test]
fn appends_that_wait_for_more_than_30_s_are_critical_whatever_for() {
    let scratch = Scratch::new();
    let here = Seat { namespace: None, pid: Some(7), uid: None };
    let mut status = in_flight(&scratch.file("app.log"), ProcessState::Sleeping, here);
    status.writers[0].in_flight = None;
    (status.lock.held, status.lock.for_at_least) = (Ok(true), Duration::from_secs(1));
    status.gate_for_at_least = Duration::from_secs(1);
    for (want, errno, id) in [
        (Want::Lock, 0, FindingId::LockHeld),
        (Want::Gate, 0, FindingId::GateClosed),
        // FULL is at once: nobody lets go of that by himself.
        (Want::FileSize, 27, FindingId::FileSizeLimit),
        (Want::Quota, 122, FindingId::QuotaFull),
        (Want::Storage, 5, FindingId::StorageFails),
        (Want::Space, 28, FindingId::DiskFull),
    ] {
        let soon =
            if matches!(want, Want::Lock | Want::Gate) { Severity::Warning } else { Severity::Critical };
        let severity = |status: &Status| {
            status.diagnose(&Thresholds::default()).iter().find(|f| f.id == id).map(|f| f.severity)
        };
        status.gate = (want == Want::Gate).then_some(4);
        status.writers[0].waiting = waiting(want, errno, 5);
        assert_eq!(severity(&status), Some(soon), "{id}");
        status.writers[0].waiting = waiting(want, errno, 31);
        assert_eq!(severity(&status), Some(Severity::Critical), "{id}");
    }
}

#[test]
fn where_all_slots_are_taken_since_when_somebody_waits_is_said_before_who_has_them() {
    let scratch = Scratch::new();
    let here = Seat { namespace: None, pid: Some(6935), uid: None };
    let mut status = in_flight(&scratch.file("app.log"), ProcessState::Sleeping, here);
    let writer = &mut status.writers[0];
    (writer.in_flight, writer.pid, writer.command_line) = (None, 6935, Some("web --port 80".into()));
    status.max_writers = 1;
    let said = |status: &Status| status.diagnose(&Thresholds::default()).remove(0).sentence;
    let has_it = "process 6935 (web --port 80) has it";
    let nobody = format!("the one slot for a writer is taken, and no other process can append; {has_it}");
    assert_eq!(said(&status), nobody);
    let since = SystemTime::now() - Duration::from_secs(29);
    status.slot_waiters = Some(SlotWaiters { count: 1, since, pid: 718, command: "cron".into() });
    let waits = "the one slot for a writer is taken, and 1 program has waited 29 s for one, 718 (cron)";
    assert_eq!(said(&status), format!("{waits}; {has_it}"));
}

#[test]
fn a_stopped_writer_that_holds_its_program_up_for_long_is_critical() {
    let scratch = Scratch::new();
    let here = Seat { namespace: None, pid: Some(6935), uid: None };
    let mut status = in_flight(&scratch.file("app.log"), ProcessState::Stopped, here);
    let writer = &mut status.writers[0];
    (writer.in_flight, writer.process_for_at_least) = (None, Duration::from_secs(40));
    let mut said = |seconds| {
        status.writers[0].feeder_waits = Some(Duration::from_secs(seconds));
        let found = status.diagnose(&Thresholds::default()).remove(0);
        assert_eq!(found.id, FindingId::WriterStopped);
        (
            found.state,
            found.severity,
            found.sentence.contains("its pipe is full, and its program hangs, for "),
        )
    };
    assert_eq!(said(29), (State::Warning, Severity::Warning, true));
    assert_eq!(said(31), (State::Stalled, Severity::Critical, true));
    // So is one whose output nobody reads.
    let writer = &mut status.writers[0];
    writer.process = ProcessState::Sleeping;
    writer.output_full = Some(OutputFull { lasts: Duration::from_secs(40), is_known: true, reader: None });
    let found = status.diagnose(&Thresholds::default()).remove(0);
    assert_eq!((found.state, found.severity), (State::Stalled, Severity::Critical));
    assert!(found.sentence.ends_with("its pipe is full, and its program hangs, for 31 s"), "{found:?}");
}
