//! Every slot for a writer is taken: `append` and `exec` wait for one as they wait for space, unless told not to.

use std::fs::{self, File};

use mmlog::{FindingId, Log, Observer, Options, Severity};
use nix::sys::signal::Signal;

use crate::cli::{Running, Scratch, Tool, mmlogctl, wait_for};
use crate::holds;

/// What it says once, on standard error, while it waits.
#[track_caller]
fn waits_for_a_slot(waiting: Running, log: &std::path::Path, slot: mmlog::Writer, line: &[u8]) {
    let full = wait_for("somebody is seen to wait", || {
        let status = Observer::open(log, &Options::new()).unwrap().look().unwrap();
        let waits = status.slot_waiters.as_ref().is_some_and(|waiters| waiters.count == 1);
        status.findings.into_iter().find(|found| waits && found.id == FindingId::WritersFull)
    });
    assert_eq!(full.severity, Severity::Critical);
    assert!(full.sentence.contains("1 program has waited"), "{full:?}");
    drop(slot);
    let ended = waiting.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ended.stderr.matches("(waiting; nothing is lost)").count(), 1, "{ended:?}");
    assert!(
        ended.stderr.contains("1 writer open already") && ended.stderr.contains("goes on after"),
        "{ended:?}"
    );
    holds(log, line);
}

#[test]
fn append_waits_for_a_slot_and_says_so_once() {
    for options in [&[][..], &["--on-full", "drop"]] {
        let scratch = Scratch::new();
        let log = scratch.file("app.log");
        let slot = Log::options().max_writers(1).open_or_create(&log).unwrap().writer().unwrap();
        let mut waiting = mmlogctl("append", &log).args(options).start();
        waiting.feed(b"a line\n");
        waits_for_a_slot(waiting, &log, slot, b"a line\n");
    }
}

#[test]
fn exec_waits_for_a_slot_before_it_starts_the_program() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let slot = Log::options().max_writers(1).open_or_create(&log).unwrap().writer().unwrap();
    let started = scratch.file("started");
    let exec = mmlogctl("exec", &log).args(["--", "sh", "-c", "touch \"$0\"; echo a line"]).arg(&started);
    waits_for_a_slot(Tool::start(exec), &log, slot, b"a line\n");
    assert!(started.exists());
}

#[test]
fn who_shall_not_wait_fails_and_says_what_was_not_stored() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let _slot = Log::options().max_writers(1).open_or_create(&log).unwrap().writer().unwrap();
    let ended = mmlogctl("append", &log).args(["--on-full", "fail"]).input(b"a line\n").run();
    ended.is_refused(3, &log, &["1 writer open already", "(7 bytes were not stored)"]);
    holds(&log, b"");
}

#[test]
fn a_signal_ends_the_wait_for_a_slot_and_the_exit_code_says_who_is_in_the_way() {
    let scratch = Scratch::new();
    let (log, source) = (scratch.file("app.log"), scratch.file("source"));
    fs::write(&source, "a line\n").unwrap();
    let _slot = Log::options().max_writers(1).open_or_create(&log).unwrap().writer().unwrap();
    let running = mmlogctl("append", &log).stdin(File::open(&source).unwrap()).start();
    running.until_stderr("(waiting; nothing is lost)");
    running.signal(Signal::SIGTERM);
    let ended = running.end();
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.stderr.contains("(7 bytes were not stored)"), "{ended:?}");
}
