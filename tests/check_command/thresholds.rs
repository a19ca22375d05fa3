//! `check -w`, `-c`: a threshold that is passed is named, with its numbers and what to do.

use std::fs;
use std::path::{Path, PathBuf};

use mmlog::{Log, Position};

use crate::cli::{Held, Scratch, mmlogctl, skipped, slot, small_disk, write_hole, write_slot};
use crate::{CONTENT, check};

/// A log that has some of everything, until what is returned ends.
fn staged(scratch: &Scratch) -> (PathBuf, impl Sized) {
    let log = scratch.file("app.log");
    let open = Log::options().chunk_size(1 << 16).max_writers(8).open_or_create(&log).unwrap();
    let mut writer = open.writer().unwrap();
    writer.append(CONTENT).unwrap();
    let hold = open.hold("shipper", Position::new(4)).unwrap();
    let stands = Held::slot(&log, 3);
    write_slot(&log, 3, slot(3, 8), 2, std::process::id());
    write_hole(&log, 0, 2, 1);
    (log, (open, writer, hold, stands))
}

#[track_caller]
fn line(log: &Path, options: &[&str], code: i32) -> String {
    let ended = check(log, options);
    assert!(ended.code == code && ended.stderr.is_empty(), "{options:?}: {ended:?}");
    ended.text()
}

#[test]
fn every_threshold_can_be_passed_and_is_named_with_its_numbers() {
    let scratch = Scratch::new();
    let (log, _all) = staged(&scratch);
    for (name, at, said) in [
        ("file_size", "1K", "file_size is 64 KiB, above the 1K of --critical; "),
        ("writers", "1", "writers is 2, above the 1 of --critical; "),
        ("holes", "0", "holes is 1, above the 0 of --critical; "),
        ("lag", "5", "lag is 6 B, above the 5 of --critical; "),
        ("in_flight", "0", "in_flight is 1, above the 0 of --critical; "),
        ("slack", "1K", "slack is 64 KiB, above the 1K of --critical; "),
        ("free", "1000T", ", below the 1000T of --critical; "),
        ("behind", "9", "behind is 10 B, above the 9 of --critical; "),
        ("segments", "0", "segments is 1, above the 0 of --critical; "),
        ("size", "0", " KiB, above the 0 of --critical; "),
        ("unsynced", "13", "unsynced is 14 B, above the 13 of --critical; "),
    ] {
        let said_line = line(&log, &["-c", &format!("{name}={at}")], 2);
        assert!(said_line.starts_with("CRITICAL - ") && said_line.contains(said), "{name}: {said_line}");
        let words = said_line.split(" | ").next().unwrap();
        assert!(words.matches("; ").count() >= 2, "what to do? {words}");
        let figure = said_line.split([' ', '\n']).find(|word| word.starts_with(&format!("{name}="))).unwrap();
        assert!(!figure.split(';').nth(2).unwrap().is_empty(), "{figure}");
    }
}

#[test]
fn sizes_and_durations_of_thresholds_have_one_meaning() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    for (typed, figure) in [("1P", 1_u64 << 50), ("1PiB", 1 << 50), ("1E", 1 << 60), ("1.5T", 3 << 39)] {
        let said = line(&log, &["-w", &format!("free={typed}")], 1);
        assert!(said.contains(&format!("B;{figure}:;;0 ")), "{typed}: {said}");
    }
    for (typed, seconds) in [("14d", 1_209_600), ("2w", 1_209_600), ("1d12h", 129_600)] {
        let said = line(&log, &["-w", &format!("lock={typed}")], 0);
        assert!(said.contains(&format!(" lock=0s;{seconds};;0")), "{typed}: {said}");
    }
}

#[test]
fn a_threshold_that_is_just_reached_is_not_passed() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let at = ["-w", "file_size=14,segments=1,holes=0,lag=0", "--critical=unsynced=14", "-c", "behind=0"];
    assert!(line(&log, &at, 0).starts_with("OK - "));
    let said = line(&log, &["-w", "unsynced=13", "-c", "unsynced=14"], 1);
    assert!(said.starts_with("WARNING - ") && said.contains("unsynced is 14 B, above the 13 of --warn"));
    assert!(said.ends_with(" unsynced=14B;13;14;0\n"), "{said}");
}

#[test]
fn the_worst_of_several_comes_first_and_the_state_stays_where_it_is_as_bad() {
    let scratch = Scratch::new();
    let (log, _all) = staged(&scratch);
    let places = |said: &str, words: [&str; 4]| words.map(|words| said.find(words).unwrap()).is_sorted();
    let said = line(&log, &["-w", "holes=0", "-c", "slack=1"], 2);
    let order = ["slack is", "holes is", "writer ", "`mmlogctl trim"];
    assert!(said.starts_with("CRITICAL - ") && places(&said, order), "{said}");
    let said = line(&log, &["-w", "holes=0"], 1);
    assert!(said.starts_with("STALLED - ") && said.contains("holes is 1, above"), "{said}");
    Log::options().open(&log).unwrap().poison("no reason", 5).unwrap();
    let said = line(&log, &["-w", "holes=0"], 2);
    let order = ["PANICKED - ", "has stopped all writing", "holes is", "find the cause"];
    assert!(places(&said, order), "{said}");
}

#[test]
fn an_idle_log_is_what_the_threshold_says() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let ended = check(&log, &["-w", "idle=0s"]);
    if ended.text().contains(" idle=U;") {
        assert_eq!(ended.code, 3, "a threshold that nobody can tell of");
        return skipped("an idle log is a warning", "the temporary directory is in memory");
    }
    assert!(ended.code == 1 && ended.text().contains(", above the 0s of --warning; "), "{ended:?}");
    assert!(line(&log, &["-w", "idle=100h"], 0).contains(";360000;;0 "));
}

#[test]
fn a_disk_is_as_full_as_the_threshold_says() {
    let scratch = Scratch::new();
    let Some(disk) = small_disk(&scratch, "2m", "thresholds of free space") else { return };
    let log = disk.join("app.log");
    mmlogctl("append", &log).args(["--chunk-size=64K", "--max-writers=8"]).input(CONTENT).run().is_success();
    let said = line(&log, &[], 0);
    assert!(said.starts_with("OK - "), "{said}");
    let free = said.split_once(" free=").unwrap().1.split_once('B').unwrap().0.parse::<usize>().unwrap();
    assert!(line(&log, &["-w", "free=1G"], 1).starts_with("FULL SOON - "));
    assert!(line(&log, &["-c", "free=1G"], 2).starts_with("CRITICAL - "));
    fs::write(disk.join("filler"), vec![1; free - (64 << 10)]).unwrap();
    assert!(line(&log, &[], 1).starts_with("FULL SOON - "));
    assert!(line(&log, &["-w", "free=4K"], 0).starts_with("OK - "), "the threshold is the diagnosis's");
    assert!(line(&log, &["--warning=idle=1h"], 3).contains("idle could not be seen; "), "in memory");
}

#[test]
fn a_number_that_a_threshold_names_is_not_said_twice() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let said = line(&log, &["-c", "free=1E"], 2);
    let (said, _) = said.split_once(" | ").unwrap();
    assert!(said.contains("free is ") && said.contains("below the 1E of --critical"), "{said}");
    assert!(!said.contains("free on its file system") && said.contains("`df -h "), "{said}");
}
