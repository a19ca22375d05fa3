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
    let names: Vec<&str> = figures.split(' ').map(figure).collect();
    assert_eq!(names[..5], ["cursor", "watermark", "file_size", "writers", "holes"]);
    assert!((1..names.len()).all(|nth| !names[..nth].contains(&names[nth])), "{names:?}");
}

/// The name of `name=value[unit];warning;critical;least;most`, as the plugins' guidelines have it.
#[track_caller]
fn figure(text: &str) -> &str {
    let (name, values) = text.split_once('=').unwrap();
    let number = |text: &str| text.parse::<f64>().is_ok() && !text.contains(['e', 'n', '-', '+']);
    let range = |text: &str| text.is_empty() || number(text.strip_suffix(':').unwrap_or(text));
    let values: Vec<&str> = values.split(';').collect();
    let value = values[0].trim_end_matches(['B', 's', 'c']);
    assert!(number(value) && values[0].len() - value.len() <= 1 || value == "U", "{text}");
    assert!((4..=5).contains(&values.len()) && values[1..].iter().all(|value| range(value)), "{text}");
    assert!(!name.contains(['\'', '=', ' ']), "{text}");
    name
}

#[test]
fn a_log_at_rest_is_ok_and_has_figures() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let figures = "cursor=14B;;;0 watermark=14B;;;0 file_size=14B;;;0 writers=0;;;0;8 holes=0;;;0 ";
    says(&log, 0, &format!("OK - {}: nothing to do | {figures}", log.display()));
    let open = Log::options().open(&log).unwrap();
    let _writer = open.writer().unwrap();
    write_slot(&log, 3, slot(3, 4), 4, 4242);
    let ended = check(&log, &[]);
    assert!(ended.text().contains(" writers=1;;;0;8 holes=1;;;0 "), "{ended:?}");
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
fn what_cannot_be_checked_is_unknown_unless_it_is_known_to_be_damaged_and_said_on_standard_output() {
    let scratch = Scratch::new();
    let missing = scratch.file("missing.log");
    says(&missing, 3, &format!("UNKNOWN - {}: no such log; ", missing.display()));
    let log = scratch.log(CONTENT);
    poke(&log, at::MAGIC, b"MMLOG");
    // Nor can this one, which has no figures either, and yet it is known how it is.
    let ended = check(&log, &[]);
    assert!(ended.code == 2 && ended.text().starts_with("DAMAGED - "), "{ended:?}");
    assert_eq!(ended.text().lines().count(), 1, "{ended:?}");
    assert_eq!(check(&log, &["--deep"]).code, 2);
    assert_eq!(check(&missing, &["--deep", "--json"]).code, 3);
}

#[test]
fn several_logs_are_a_line_each_and_the_worst_counts() {
    let scratch = Scratch::new();
    let (log, missing) = (scratch.log(CONTENT), scratch.file("missing.log"));
    let ended = mmlogctl("check", &log).arg(&missing).arg(&log).run();
    let words: Vec<String> =
        ended.text().lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!((ended.code, words), (3, ["OK", "UNKNOWN", "OK"].map(str::to_owned).to_vec()));
    let damaged = scratch.file("damaged.log");
    mmlogctl("append", &damaged).input(CONTENT).run().is_success();
    fs::File::options().write(true).open(&damaged).unwrap().set_len(5).unwrap();
    assert_eq!(mmlogctl("check", &damaged).arg(&missing).arg(&log).run().code, 2);
    assert_eq!(mmlogctl("check", &damaged).arg(&log).arg("--deep").run().code, 2);
}

#[test]
fn a_finding_that_stops_nobody_is_a_warning_all_the_same() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let open = Log::options().max_writers(1).open_or_create(&log).unwrap();
    let _writer = open.writer().unwrap();
    says(&log, 1, &format!("WARNING - {}: the one slot for a writer is taken", log.display()));
}

#[test]
fn a_wrong_command_line_is_unknown_and_never_critical() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    for options in [
        &["--nonsense"][..],
        &["-w", "nonsense=1"],
        &["-c", "free"],
        &["--critical=idle=5"],
        &["-w", "cursor=1"],
        &["--deep", "-w", "holes=1"],
        &["--deep", "--prom", "-"],
    ] {
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
