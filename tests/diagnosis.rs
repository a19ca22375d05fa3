//! Guards the diagnosis where `drill` does not reach: who is named, and by which number, when processes have several.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use mmlog::{
    FindingId, InFlight, Log, Observer, Options, Phase, ProcessState, Seat, Severity, State, Status,
    Thresholds,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use cli::{Scratch, Tool, skipped, succeeds, wait_for};

fn look(log: &Path) -> Status {
    Observer::open(log, &Options::new()).unwrap().look().unwrap()
}

/// A status of a log with one writer, which has 8 bytes in flight.
fn in_flight(log: &Path, process: ProcessState, seat: Seat) -> Status {
    let open = Log::options().open_or_create(log).unwrap();
    let mut writer = open.writer().unwrap();
    writer.append(b"one\n").unwrap();
    let mut status = look(log);
    let writer = &mut status.writers[0];
    (writer.process, writer.seat) = (process, seat);
    writer.in_flight =
        Some(InFlight { phase: Phase::Copying, start: 4, end: 12, for_at_least: Duration::from_secs(192) });
    status
}

#[test]
fn a_stopped_writer_is_named_with_what_it_holds_up_and_the_command_that_continues_it() {
    let scratch = Scratch::new();
    let here = Seat { namespace: None, pid: Some(4312) };
    let mut status = in_flight(&scratch.file("app.log"), ProcessState::Stopped, here);
    (status.writers[0].pid, status.writers[0].command) = (4312, "nginx-log".to_owned());
    let found = status.diagnose(&Thresholds::default()).remove(0);
    assert_eq!(
        (found.id, found.severity, found.state, found.pid),
        (FindingId::WriterStalled, Severity::Warning, State::Stalled, Some(4312))
    );
    let said = "writer 4312 (nginx-log) is stopped with 8 bytes in flight at 4 (copying, for at least 3m12s); \
                followers cannot pass it";
    assert_eq!(found.sentence, said);
    assert!(found.next_step.starts_with("`kill -CONT 4312`, or `kill -9 4312`"), "{}", found.next_step);
}

#[test]
fn nobody_is_told_to_kill_a_number_of_another_pid_namespace() {
    let scratch = Scratch::new();
    let lost = Seat { namespace: Some(4_026_531_999), pid: None };
    let status = in_flight(&scratch.file("app.log"), ProcessState::Unknown, lost);
    let found = status.diagnose(&Thresholds::default()).remove(0);
    assert_eq!((found.id, found.pid), (FindingId::WriterStalled, None));
    assert!(found.sentence.contains("of PID namespace 4026531999"), "{}", found.sentence);
    assert!(!found.next_step.contains("kill -"), "{}", found.next_step);
}

#[test]
fn a_writer_of_another_pid_namespace_is_named_by_its_id_here() {
    let claim = "a writer of another PID namespace is named by its id here";
    if !succeeds(Command::new("unshare").args(["--pid", "--fork", "true"])) {
        return skipped(claim, "unshare(1) is missing or may not make PID namespaces");
    }
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let tool = env!("CARGO_BIN_EXE_mmlogctl");
    let mut running =
        Tool::new("unshare").args(["--pid", "--fork", "--kill-child", tool, "append"]).arg(&log).start();
    running.feed(b"one\n");
    let written = || Observer::open(&log, &Options::new()).ok()?.look().ok().filter(|s| s.cursor == 4);
    let status = wait_for("the line", written);
    let [writer] = &status.writers[..] else { panic!("{:?}", status.writers) };
    let here = writer.seat.pid.unwrap();
    assert_eq!(writer.pid, 1, "the first process of its namespace");
    assert!(writer.seat.namespace.is_some());
    assert_ne!(here, 1);
    assert_eq!(fs::read_to_string(format!("/proc/{here}/comm")).unwrap().trim(), writer.command);
    assert_ne!(writer.process, ProcessState::Unknown);
    kill(Pid::from_raw(here.cast_signed()), Signal::SIGSTOP).unwrap();
    let stopped = || (look(&log).writers[0].process == ProcessState::Stopped).then_some(());
    wait_for("it is seen stopped", stopped);
    kill(Pid::from_raw(here.cast_signed()), Signal::SIGCONT).unwrap();
    assert_eq!(running.end().code, 0);
}

#[test]
fn the_worst_finding_makes_the_state() {
    let scratch = Scratch::new();
    let here = Seat { namespace: None, pid: Some(std::process::id()) };
    let mut status = in_flight(&scratch.file("app.log"), ProcessState::Stopped, here);
    status.max_writers = 1;
    status.file.free = Ok(0);
    let found: Vec<FindingId> = status.diagnose(&Thresholds::default()).iter().map(|f| f.id).collect();
    assert_eq!(found, [FindingId::WriterStalled, FindingId::DiskNearlyFull, FindingId::WritersFull]);
    status.limit = status.cursor;
    let found = status.diagnose(&Thresholds::default());
    assert_eq!((found[0].id, found[0].state), (FindingId::DiskFull, State::Full));
}

#[test]
fn a_sentence_of_a_hostile_log_is_still_a_command_on_that_log() {
    let scratch = Scratch::new();
    let log = scratch.file("it's a $(log).log");
    let here = Seat { namespace: None, pid: Some(1) };
    let mut status = in_flight(&log, ProcessState::Sleeping, here);
    status.writers.clear();
    status.file.free = Ok(0);
    let next = status.diagnose(&Thresholds::default()).remove(0).next_step;
    let command = next.split('`').nth(1).unwrap();
    let words =
        Command::new("sh").arg("-c").arg(format!("set -- {command}; printf '%s' \"$3\"")).output().unwrap();
    assert_eq!(Path::new(std::str::from_utf8(&words.stdout).unwrap()), log.parent().unwrap(), "{command}");
}
