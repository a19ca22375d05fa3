//! `check` as a monitoring plugin: one line, figures, 0 to 3.

use std::fs;
use std::path::Path;

use mmlog::Log;
use mmlog::layout::LOCK_BYTE;

use crate::cli::{
    Held, Scratch, Tool, at, mmlogctl, mounted, own_mounts, poke, raw, skipped, slot, write_slot,
};
use crate::{CONTENT, check};

/// One line with this beginning, figures and exit code; nothing is changed.
#[track_caller]
fn says(log: &Path, code: i32, start: &str) {
    let before = raw(log);
    let ended = check(log, &[]);
    assert!(before == raw(log), "a check has changed something");
    assert!(ended.code == code && ended.stderr.is_empty(), "{ended:?}");
    let text = ended.text();
    assert!(text.starts_with(start) && text.matches('\n').count() == 1 && text.ends_with('\n'), "{ended:?}");
    if code == 3 {
        return;
    }
    let (said, figures) = text.trim_end().split_once(" | ").unwrap();
    assert!(said.contains("; ") || code == 0, "what to do? {ended:?}");
    let names: Vec<&str> = figures.split(' ').map(|figure| figure.split_once('=').unwrap().0).collect();
    assert_eq!(names, ["cursor", "watermark", "file_size", "writers", "holes"]);
}

#[test]
fn a_log_at_rest_is_ok_and_has_figures() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    says(
        &log,
        0,
        &format!(
            "OK - {}: nothing to do | cursor=14B watermark=14B file_size=14B writers=0 holes=0",
            log.display()
        ),
    );
    let open = Log::options().open(&log).unwrap();
    let _writer = open.writer().unwrap();
    write_slot(&log, 3, slot(3, 4), 4, 4242);
    let ended = check(&log, &[]);
    assert!(ended.text().ends_with("writers=1 holes=1\n"), "{ended:?}");
}

#[test]
fn what_somebody_should_look_at_some_time_is_a_warning() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let lock = Held::byte(&log, LOCK_BYTE);
    says(&log, 1, "LOCKED - ");
    drop(lock);
    let owner = Held::slot(&log, 5);
    write_slot(&log, 5, slot(3, 4), 4, std::process::id());
    says(&log, 1, "STALLED - ");
    drop(owner);
    says(&log, 0, "OK - ");
}

#[test]
fn what_somebody_should_look_at_now_is_critical() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    fs::File::options().write(true).open(&log).unwrap().set_len(5).unwrap();
    says(&log, 2, &format!("DAMAGED - {}: truncated from outside", log.display()));
    let log = scratch.file("other.log");
    mmlogctl("append", &log).input(CONTENT).run().is_success();
    let open = Log::options().open(&log).unwrap();
    open.poison("a reason | with a bar\nand lines", 5).unwrap();
    says(&log, 2, "PANICKED - ");
}

#[test]
fn a_disk_nearly_full_is_a_warning_and_a_full_one_critical() {
    let scratch = Scratch::new();
    if !own_mounts() {
        return skipped("a full disk is critical", "mounting a small tmpfs needs root");
    }
    let disk = mounted(&scratch, "tmpfs", "size=2m").unwrap();
    let log = disk.join("app.log");
    mmlogctl("append", &log).input(CONTENT).run().is_success();
    says(&log, 1, "FULL SOON - ");
    let _ = fs::write(disk.join("filler"), vec![1; 2 << 20]);
    says(&log, 2, "FULL - ");
}

#[test]
fn what_cannot_be_checked_is_unknown_and_said_on_standard_output() {
    let scratch = Scratch::new();
    let missing = scratch.file("missing.log");
    says(&missing, 3, &format!("UNKNOWN - {}: no such log; ", missing.display()));
    let log = scratch.log(CONTENT);
    poke(&log, at::MAGIC, b"MMLOG");
    says(&log, 3, "UNKNOWN - ");
    assert_eq!(check(&log, &["--deep"]).code, 3);
    assert_eq!(check(&missing, &["--deep", "--json"]).code, 3);
}

#[test]
fn a_wrong_command_line_is_unknown_and_never_critical() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    for options in [&["--nonsense"][..], &["--json"], &["second.log"]] {
        let ended = check(&log, options);
        assert!(ended.code == 3 && !ended.stderr.is_empty(), "{options:?}: {ended:?}");
    }
    let tool = || Tool::new(env!("CARGO_BIN_EXE_mmlogctl"));
    for line in [&["check"][..], &["--trust-path", "check"], &["check", "--deep"]] {
        assert_eq!(tool().args(line).run().code, 3, "{line:?}");
    }
    assert_eq!(tool().args(["check", "--help"]).run().code, 0);
    assert_eq!(tool().arg("cat").run().code, 2, "the others keep clap's");
}
