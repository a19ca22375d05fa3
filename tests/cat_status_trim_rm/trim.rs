//! `trim`: cuts what is allocated ahead, and nothing else.

use std::fs;
use std::path::Path;

use crate::cli::{Bytes, Held, Scratch, at, metadata_of, mmlogctl, poke, slot, wait_for, write_slot};
use crate::{CHUNK, CONTENT, live};

fn len(log: &Path) -> u64 {
    fs::metadata(log).unwrap().len()
}

#[test]
fn nothing_to_do_is_silent_success() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let before = Bytes::of(&log);
    for options in [&[][..], &["--dry-run"], &["-n", "--wait=0s"], &["--wait=1h"]] {
        mmlogctl("trim", &log).args(options).run().printed(b"");
    }
    before.are_still_in(&log);
}

#[test]
fn a_dry_run_says_exactly_what_a_trim_then_does() {
    let scratch = Scratch::new();
    let (log, _open, mut writer) = live(&scratch);
    let before = Bytes::of(&log);
    let freed = CHUNK - CONTENT.len() as u64;
    let plan =
        format!("{}: would cut the data file from {CHUNK} to 14 bytes ({freed} freed)\n", log.display());
    mmlogctl("trim", &log).arg("--dry-run").run().printed(plan.as_bytes());
    before.are_still_in(&log);
    // Silent, for cron.
    for _ in 0..2 {
        mmlogctl("trim", &log).run().printed(b"");
        assert_eq!(fs::read(&log).unwrap(), CONTENT);
    }
    mmlogctl("trim", &log).arg("--dry-run").run().printed(b"");
    writer.append(b"four\n").unwrap();
    mmlogctl("cat", &log).run().printed(&[CONTENT, b"four\n"].concat());
}

#[test]
fn beside_a_writer_it_loses_nothing() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let lines: String = (0..200_000).map(|n| format!("{n}\n")).collect();
    let mut writer = mmlogctl("append", &log).arg("--chunk-size=64K").start();
    for piece in lines.as_bytes().chunks(50_000) {
        writer.feed(piece);
        // It makes the log at the first of them, at a time of its own.
        wait_for("the log", || metadata_of(&log).exists().then_some(()));
        mmlogctl("trim", &log).run().is_success();
    }
    writer.end().is_success();
    mmlogctl("cat", &log).run().printed(lines.as_bytes());
    assert_eq!(len(&log), lines.len() as u64);
}

#[test]
fn another_maintenance_command_is_busy_and_named() {
    let scratch = Scratch::new();
    let (log, _open, _writer) = live(&scratch);
    let _held = Held::maintenance(&log);
    let before = Bytes::of(&log);
    let ended = mmlogctl("trim", &log).arg("--wait=0s").run();
    let holder = format!("process {} (cat_status_trim_rm", std::process::id());
    ended.is_refused(3, &log, &["busy: ", &holder, "trim", "; try again later"]);
    before.are_still_in(&log);
    mmlogctl("trim", &log).arg("-n").run().is_success();
}

#[test]
fn a_busy_log_is_waited_for() {
    let scratch = Scratch::new();
    let (log, _open, _writer) = live(&scratch);
    let held = Held::maintenance(&log);
    let running = mmlogctl("trim", &log).arg("--wait=1h").start();
    running.until_open(&metadata_of(&log));
    assert_eq!(len(&log), CHUNK);
    drop(held);
    running.end().is_success();
    assert_eq!(len(&log), CONTENT.len() as u64);
}

#[test]
fn a_writer_that_stands_is_named_and_nothing_is_taken_from_it() {
    let scratch = Scratch::new();
    let (log, _open, _writer) = live(&scratch);
    let _owner = Held::slot(&log, 5);
    write_slot(&log, 5, slot(3, 4), 4, std::process::id());
    let before = fs::read(&log).unwrap();
    let ended = mmlogctl("trim", &log).arg("--wait=0s").run();
    let holder = format!("process {} (cat_status_trim_rm", std::process::id());
    ended.is_refused(
        3,
        &log,
        &[&holder, "holds slot 5", "; try again later, or end it: `kill ", "` (it was not touched)"],
    );
    assert!(fs::read(&log).unwrap() == before);
    // The gate is open again: others append.
    mmlogctl("append", &log).input(b"four\n").run().is_success();
}

#[test]
fn what_a_dead_trim_left_is_finished() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    // Killed with the gate closed.
    poke(&log, at::JOURNAL, &mmlog::metadata::JOURNAL_TRIM.to_ne_bytes());
    poke(&log, at::CURSOR, &(mmlog::layout::GATE | 14).to_ne_bytes());
    mmlogctl("cat", &log).run().printed(CONTENT);
    mmlogctl("trim", &log).run().printed(b"");
    mmlogctl("append", &log).input(b"four\n").run().is_success();
    mmlogctl("cat", &log).run().printed(&[CONTENT, b"four\n"].concat());
}
