//! Guards `mmlogctl append --sync`: what is said to be durable was synced before, whatever input and output do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;

use std::path::Path;
use std::process::Command;

use cli::{Running, Scratch, Tool, mmlogctl, skipped, succeeds, wait_for};
use nix::sys::signal::Signal;
use serde_json::Value;

fn append(log: &Path, sync: &str) -> Tool {
    mmlogctl("append", log).args(["--chunk-size=64K", &format!("--sync={sync}")])
}

/// Everything below is durable, says the log; `None` if there is none.
fn synced(log: &Path) -> Option<u64> {
    let status = mmlogctl("status", log).arg("--json").run();
    let status: Value = serde_json::from_slice(&status.stdout).ok()?;
    status["durability"]["synced"].as_u64()
}

fn until_synced(log: &Path, end: u64) {
    wait_for("the sync", || (synced(log)? == end).then_some(()));
}

fn until_stored(log: &Path, content: &[u8]) {
    wait_for("the lines", || (mmlogctl("cat", log).run().stdout == content).then_some(()));
}

#[test]
fn never_syncs_nothing() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, "never").input(b"one\n").run().is_success();
    mmlogctl("append", &log).input(b"two\n").run().is_success();
    assert_eq!(synced(&log), Some(0));
    let status = mmlogctl("status", &log).run().text();
    assert!(status.contains("durable      nothing yet"), "{status}");
}

#[test]
fn always_is_durable_batch_by_batch_and_at_the_end() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut running = append(&log, "always").start();
    running.feed(b"one\n");
    until_synced(&log, 4);
    running.feed(b"two\nthr");
    until_synced(&log, 8);
    running.end().is_success();
    assert_eq!(synced(&log), Some(12), "the last line has got its newline");
    let status = mmlogctl("status", &log).run().text();
    assert!(status.contains("durable      below 12 (12 B), synced "), "{status}");
}

#[test]
fn a_copy_on_standard_output_is_of_what_is_durable() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut running = append(&log, "always").arg("--tee").start();
    for (line, end) in [(&b"one\n"[..], 4), (b"two\n", 8)] {
        running.feed(line);
        running.until_stdout(|printed| printed.len() == end);
        assert_eq!(synced(&log), Some(end as u64));
    }
    running.end();
}

#[test]
fn an_interval_passes_also_when_input_pauses_and_when_nobody_reads_the_copy() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut running = append(&log, "interval=20ms").start();
    running.feed(b"one\n");
    until_synced(&log, 4);
    running.feed(b"two\n");
    until_synced(&log, 8);
    running.end().is_success();
    let stuck = scratch.file("stuck.log");
    let mut running = append(&stuck, "interval=20ms").args(["--tee", "--grace=0s"]).start_unread();
    let line = [&[b'x'; 199_999][..], b"\n"].concat();
    running.feed(&line);
    until_synced(&stuck, line.len() as u64);
    running.signal(Signal::SIGTERM);
    running.end();
}

#[test]
fn an_interval_that_has_not_passed_costs_nothing_at_the_end() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut running: Running = append(&log, "interval=1h").start();
    running.feed(b"one\n");
    until_stored(&log, b"one\n");
    assert_eq!(synced(&log), Some(0));
    running.feed(b"two\n");
    running.end().is_success();
    assert_eq!(synced(&log), Some(8));
}

#[test]
fn after_a_signal_what_was_stored_is_durable() {
    for sync in ["always", "interval=1h"] {
        let scratch = Scratch::new();
        let log = scratch.file("app.log");
        let mut running = append(&log, sync).arg("--grace=0s").start();
        running.feed(b"one\ntwo\n");
        until_stored(&log, b"one\ntwo\n");
        running.signal(Signal::SIGTERM);
        running.end().is_success();
        assert_eq!(synced(&log), Some(8), "{sync}");
    }
}

#[test]
fn an_interval_goes_on_in_a_log_that_was_made_anew() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut running = append(&log, "interval=20ms").start();
    running.feed(b"one\n");
    until_synced(&log, 4);
    mmlogctl("rm", &log).arg("--force").run().is_success();
    mmlogctl("init", &log).arg("--chunk-size=64K").run().is_success();
    let lines = b"0123456789abcdef\n".repeat(10_000);
    running.feed(&lines);
    wait_for("a sync of the new log", || synced(&log).filter(|&end| end > 0));
    running.end();
}

#[test]
fn an_interval_covers_what_was_appended_before_a_log_was_moved_away_and_made_anew() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut running = append(&log, "interval=2s").start();
    running.feed(b"one\n");
    until_stored(&log, b"one\n");
    let before = scratch.file("before.log");
    let names = |log: &Path| [log.to_path_buf(), log.with_extension("log.mmlog")];
    names(&log).iter().zip(names(&before)).for_each(|(from, to)| std::fs::rename(from, to).unwrap());
    mmlogctl("init", &log).arg("--chunk-size=64K").run().is_success();
    // Its end is below that of the new log, where somebody else has appended and synced.
    mmlogctl("append", &log).arg("--sync=always").input(b"somebody else's line\n").run().is_success();
    until_synced(&before, 4);
    running.end();
}

/// The k-th sync of data or metadata fails.
fn failing(tool: Tool, nth: u32) -> Tool {
    let inject = format!("inject=fdatasync:error=EIO:when={nth}");
    tool.through("strace", &["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", &inject])
}

#[test]
fn a_sync_that_fails_is_exit_code_4_and_says_what_is_in_the_log_and_what_is_not_durable() {
    if !succeeds(Command::new("strace").args(["-o", "/dev/null", "true"])) {
        return skipped("a sync that fails", "strace is missing or may not trace");
    }
    for sync in ["always", "interval=1ms", "interval=1h"] {
        let scratch = Scratch::new();
        let log = scratch.log(b"");
        let mut running = failing(append(&log, sync), 1).start();
        running.feed(b"one\n");
        if sync == "interval=1h" {
            until_stored(&log, b"one\n");
        } else {
            // By itself: a pause in the input must not hide it.
            wait_for("the error", || {
                mmlogctl("status", &log).run().text().starts_with("DAMAGED").then_some(())
            });
        }
        let ended = running.end();
        let words =
            ["durability lost from position 0 on: ", "what was read is in the log", "before position 4)"];
        ended.is_refused(4, &log, &words);
        mmlogctl("cat", &log).run().printed(b"one\n");
    }
}

#[test]
fn a_log_whose_durability_is_lost_takes_nothing_that_must_be_durable() {
    if !succeeds(Command::new("strace").args(["-o", "/dev/null", "true"])) {
        return skipped("a log whose durability is lost", "strace is missing or may not trace");
    }
    let scratch = Scratch::new();
    let log = scratch.log(b"");
    assert_eq!(failing(append(&log, "always"), 1).input(b"one\n").run().code, 4);
    for sync in ["always", "interval=1s"] {
        let ended = append(&log, sync).input(b"two\n").run();
        ended.is_refused(4, &log, &["durability lost from position 0 on", "(4 bytes were not stored)"]);
    }
    mmlogctl("cat", &log).run().printed(b"one\n");
    mmlogctl("append", &log).input(b"three\n").run().is_success();
}

#[test]
fn what_is_no_way_to_sync_is_a_wrong_command_line() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    for sync in ["sometimes", "interval", "interval=soon", ""] {
        assert_eq!(append(&log, sync).run().code, 2, "{sync}");
    }
    assert!(!log.exists());
}
