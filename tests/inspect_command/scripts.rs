//! `--once` and `--batch`, and logs in any state.

use std::fs;
use std::path::Path;

use mmlog::Log;

use crate::cli::{Ended, Scratch, metadata_of, mmlogctl, poke};
use crate::common::original::Original;
use crate::common::surgeon::{COPYING, Surgeon};
use crate::common::{Random, seed};

fn once(log: &Path) -> String {
    let ended = mmlogctl("inspect", log).arg("--once").with(plain).run();
    // As whatever else only looks at it.
    assert_eq!(ended.code, mmlogctl("status", log).run().code, "{ended:?}");
    is_clean_text(&ended.text());
    ended.text()
}

fn plain(command: &mut std::process::Command) -> &mut std::process::Command {
    command.env_remove("COLUMNS").env_remove("LINES").env_remove("LC_ALL").env("LANG", "C.UTF-8")
}

/// Success, and nothing but printable lines that fit.
#[track_caller]
fn is_clean(ended: &Ended) {
    ended.is_success();
    is_clean_text(&ended.text());
}

#[track_caller]
fn is_clean_text(text: &str) {
    assert!(text.lines().count() == 24 && text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
}

#[test]
fn without_a_terminal_it_names_once() {
    let scratch = Scratch::new();
    let ended = mmlogctl("inspect", &scratch.log(b"one\n")).run();
    assert_eq!((ended.code, ended.text().as_str()), (1, ""), "{ended:?}");
    assert!(ended.stderr.contains("needs a terminal; --once prints one frame"), "{ended:?}");
}

/// The second byte of a capital U with a circumflex begins a command of a terminal that reads single bytes.
#[test]
fn without_utf8_no_other_byte_of_a_line_or_a_name_is_drawn() {
    let scratch = Scratch::new();
    let log = scratch.file("\u{db}.log");
    mmlogctl("append", &log).input("evil \u{db}2J end\n".as_bytes()).run().is_success();
    let text = |locale| {
        mmlogctl("inspect", &log).arg("--once").with(|c| plain(c).env("LC_ALL", locale)).run().text()
    };
    assert!(text("C.UTF-8").contains("evil \u{db}2J end") && text("C.UTF-8").contains("\u{db}.log"));
    let ascii = text("C");
    assert!(ascii.is_ascii() && ascii.contains("evil ?2J end") && ascii.contains("?.log"), "{ascii}");
}

#[test]
fn once_prints_one_frame_of_the_size_that_is_asked_for() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let text = once(&log);
    assert!(text.starts_with("OK  ") && text.contains("WRITERS 0") && text.contains("  one\n"), "{text}");
    let sized = |columns: &str, lines: &str| {
        let tool = mmlogctl("inspect", &log).arg("--once");
        tool.with(|command| command.env("COLUMNS", columns).env("LINES", lines)).run().text()
    };
    let small = sized("40", "10");
    assert!(small.lines().count() == 10 && small.lines().all(|line| line.chars().count() <= 40), "{small}");
    assert_eq!(sized("9", "2"), "too small\n\n");
    is_clean_text(&sized("wide", "-3"));
}

#[test]
fn times_are_those_of_the_place_unless_utc_is_asked_for() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let last = |options: &[&str]| {
        let tool = mmlogctl("inspect", &log).arg("--once").args(options);
        let ended = tool.with(|command| plain(command).env("TZ", "IST-5:30")).run();
        ended.text().lines().last().map(str::to_owned).unwrap()
    };
    assert!(last(&[]).ends_with("+05:30"), "{}", last(&[]));
    assert!(last(&["--utc"]).ends_with('Z'), "{}", last(&["--utc"]));
}

#[test]
fn a_batch_is_a_frame_or_an_object_at_a_tick() {
    let scratch = Scratch::new();
    let (log, none) = (scratch.log(b"one\n"), scratch.file("none.log"));
    let frames = mmlogctl("inspect", &log).args(["--batch", "-d", "0.05", "-n", "3"]).with(plain).run();
    frames.is_success();
    assert_eq!(frames.text().matches("OK  ").count(), 3, "{frames:?}");
    let objects =
        mmlogctl("inspect", &log).arg(&none).args(["--batch", "--json", "-d", "50ms", "-n", "2"]).run();
    objects.is_success();
    let text = objects.text();
    let objects: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), 4, "{text}");
    for pair in objects.chunks(2) {
        assert_eq!(
            (&pair[0]["schema"], &pair[0]["state"], &pair[0]["cursor"]),
            (&1.into(), &"OK".into(), &4.into())
        );
        assert!(pair[0]["rates"]["bytes_per_second"].is_number(), "{}", pair[0]);
        assert!(pair[0]["rates"]["over_s"].as_f64().unwrap() > 0.9, "no moment's: {}", pair[0]);
        assert_eq!((&pair[1]["schema"], &pair[1]["problem"]), (&1.into(), &"no such log".into()));
    }
}

#[test]
fn a_frame_says_over_how_long_its_rates_were_measured() {
    let scratch = Scratch::new();
    let text = once(&scratch.log(b"one\n"));
    let said = text.lines().find_map(|line| line.split("  over ").nth(1)).unwrap_or_else(|| panic!("{text}"));
    let seconds: f64 = said.split(' ').next().unwrap().parse().unwrap();
    assert!(seconds >= 1.0 && said[said.find(' ').unwrap()..].starts_with(" s "), "{text}");
}

#[test]
fn a_reader_that_has_enough_ends_a_batch() {
    let scratch = Scratch::new();
    let mut running =
        mmlogctl("inspect", &scratch.log(b"one\n")).args(["--batch", "-d", "1h"]).start_unread();
    let mut first = [0; 4];
    std::io::Read::read_exact(running.unread.as_mut().unwrap(), &mut first).unwrap();
    assert_eq!(&first, b"OK  ");
    drop(running.unread.take());
    assert_eq!(running.end().code, 0);
}

#[test]
fn what_cannot_be_asked_for_is_a_usage_error() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    for options in
        [&["-d", "1ms"][..], &["-n", "3"], &["--batch", "-n", "0"], &["--once", "--batch"], &["--json"]]
    {
        let ended = mmlogctl("inspect", &log).args(options).run();
        assert_eq!((ended.code, ended.text().as_str()), (2, ""), "{options:?}: {ended:?}");
    }
}

#[test]
fn a_damaged_log_is_explained() {
    let scratch = Scratch::new();
    let log = scratch.log(&b"line\n".repeat(1000));
    fs::File::options().write(true).open(&log).unwrap().set_len(10).unwrap();
    let text = once(&log);
    assert!(text.starts_with("DAMAGED  ") && text.contains("repair"), "{text}");
    fs::remove_file(&log).unwrap();
    let text = once(&log);
    assert!(text.starts_with("DAMAGED  ") && text.contains("\n  mmlogctl "), "{text}");
}

#[test]
fn a_log_of_the_original_s_format_is_explained() {
    let scratch = Scratch::new();
    let log = scratch.file("old.log");
    let mut original = Original::new(&log, 65536);
    original.append(b"one\n");
    let text = once(&log);
    assert!(
        text.starts_with("WARNING  ") && text.contains("format 1") && text.contains("--upgrade"),
        "{text}"
    );
}

#[test]
fn names_that_are_terminal_commands_are_only_text() {
    let scratch = Scratch::new();
    let log = scratch.file("a\x1b[2J\n\u{9b}b.log");
    mmlogctl("append", &log).input(b"one\n").run().is_success();
    assert!(once(&log).contains("a\\u{1b}[2J\\n\\u{9b}b.log"));
}

#[test]
fn hostile_metadata_is_explained_or_shown_and_does_no_harm() {
    let seed = seed();
    let mut random = Random::new(seed);
    for _ in 0..24 {
        let scratch = Scratch::new();
        let log = scratch.log(b"one\ntwo\n");
        let len = fs::metadata(metadata_of(&log)).unwrap().len();
        // From a word to everything but the magic.
        for _ in 0..1 << random.below(10) {
            let offset = 8 * random.below(len / 8);
            poke(&log, usize::try_from(offset).unwrap(), &random.below(u64::MAX).to_ne_bytes());
        }
        let ended = mmlogctl("inspect", &log).arg("--once").with(plain).run();
        assert_eq!(ended.code, 0, "seed {seed}: {ended:?}");
        is_clean(&ended);
    }
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let noise: Vec<u8> = (0..1 << 16).flat_map(|_| random.below(u64::MAX).to_ne_bytes()).collect();
    fs::write(metadata_of(&log), noise).unwrap();
    let text = once(&log);
    assert!(text.contains("\n  mmlogctl "), "{text}");
}

#[test]
fn a_writer_table_that_somebody_filled_is_shown() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let open = Log::options().open(&log).unwrap();
    let _writer = open.writer().unwrap();
    let surgeon = Surgeon::new(&log);
    (1..8).for_each(|slot| assert!(surgeon.append_in_flight(slot, COPYING, 16) >= 4));
    let text = once(&log);
    assert!(text.contains("dead") && text.contains("in flight"), "{text}");
}
