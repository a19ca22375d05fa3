//! What lines are like: `--read`.

use std::process::Command;

use serde_json::{Value, json};

use crate::cli::{Scratch, mmlogctl, skipped, succeeds, write_hole};
use crate::{object, stats, text};

/// Three shapes, 6, 3 and 1 times, and an empty line.
const CORPUS: &str = "\
2026-11-29T08:00:00.1Z INFO user 17 from 10.0.0.3 in 12.5ms
2026-11-29T08:00:01.2Z INFO user 4711 from 10.1.2.30 in 3ms
Nov 29 08:00:01 web level=warn disk=/dev/sda1 left=0x7f
2026-11-29T08:00:02.3Z INFO user 8 from fe80::1 in 1,200ms

Nov 29 08:00:02 web level=warn disk=/dev/sda2 left=0xff
2026-11-29 08:00:03 INFO user 9 from 10.0.0.3 in 7ms
2026-11-29T08:00:04+01:00 INFO user 9 from 10.0.0.3 in 7ms
Nov 29 08:00:05 web level=warn disk=/dev/sda1 left=0x0
\x1b[31mERROR\x1b[0m job 6fa459ea-ee8a-3ca4-894e-db77e160355e \"of bob\" \u{202e}failed
2026-11-29T08:00:05Z INFO user 10 from 10.0.0.3 in 7ms
";

fn read(log: &std::path::Path, args: &[&str]) -> Value {
    object(log, &[&["--read"], args].concat())["read"].clone()
}

#[test]
fn lines_levels_and_shapes_are_counted_with_where_they_are() {
    let scratch = Scratch::new();
    let log = scratch.log(CORPUS.as_bytes());
    let read = read(&log, &[]);
    let len = CORPUS.len();
    assert_eq!((&read["lines"], &read["bytes"], &read["empty_lines"]), (&json!(11), &json!(len), &json!(1)));
    assert_eq!((&read["from"], &read["to"], &read["mean_line"]), (&json!(0), &json!(len), &json!(len / 11)));
    assert_eq!(read["levels"], json!({ "error": 1, "warn": 3, "info": 6 }));
    let longest = CORPUS.lines().max_by_key(|line| line.len()).unwrap();
    assert_eq!(read["longest_line"]["bytes"], longest.len());
    assert_eq!(read["longest_line"]["position"], CORPUS.find(longest).unwrap());
    let shapes: Vec<(&str, u64, u64)> = read["shapes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| {
            (
                s["shape"].as_str().unwrap(),
                s["count"].as_u64().unwrap(),
                s["count_at_least"].as_u64().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("<time> INFO user <n> from <ip> in <n>ms", 6, 6),
        ("<time> web level=warn disk=/dev/sda<n> left=<hex>", 3, 3),
        ("", 1, 1),
        ("ERROR job <uuid> <quoted> \\u{202e}failed", 1, 1),
    ];
    assert_eq!(shapes, expected);
    let first = &read["shapes"][0];
    assert_eq!((&first["first"]["position"], &first["share"]), (&json!(0), &json!(6.0 / 11.0)));
    let last = CORPUS.rfind("2026").unwrap();
    assert_eq!(first["last"]["position"], last);
    assert!(first["last"]["time"].is_string(), "{first}");
    assert_eq!(read["shapes_distinct"], 4);
}

#[test]
fn people_see_the_same_with_an_example_that_is_harmless() {
    let scratch = Scratch::new();
    let log = scratch.log(CORPUS.as_bytes());
    let shown = text(&log, &["--read"]);
    for part in [
        "read         11 lines, ",
        "levels       ERROR 1 (9.0 %), WARN 3 (27.2 %), INFO 6 (54.5 %)",
        "4 shapes of lines:",
        "  6  54.5 %  <time> INFO user <n> from <ip> in <n>ms",
        "first at 0 (",
        "      2026-11-29T08:00:00.1Z INFO user 17 from 10.0.0.3 in 12.5ms",
        "      \\u{1b}[31mERROR\\u{1b}[0m job",
        "bytes, lines by 1s",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    assert!(!shown.contains('\x1b') && !shown.contains('\u{202e}'), "{shown}");
}

#[test]
fn rotated_and_compressed_segments_are_read_and_lines_go_on_across_them() {
    let scratch = Scratch::new();
    let log = scratch.log(b"INFO one 1\nINFO tw");
    mmlogctl("rotate", &log).args(["--compress", "zstd"]).run().is_success();
    mmlogctl("append", &log).arg("--raw").input(b"o 2\nINFO one 3\n").run().is_success();
    mmlogctl("rotate", &log).run().is_success();
    mmlogctl("append", &log).arg("--raw").input(b"last").run().is_success();
    let read = read(&log, &[]);
    assert_eq!((&read["lines"], &read["last_line_is_cut"]), (&json!(4), &json!(true)), "{read}");
    let shapes: Vec<&str> =
        read["shapes"].as_array().unwrap().iter().map(|s| s["shape"].as_str().unwrap()).collect();
    assert_eq!(shapes, ["INFO one <n>", "INFO two <n>", "last"]);
}

#[test]
fn what_is_missing_is_said_and_ends_as_with_cat() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    for text in [&b"two\n"[..], b"three\n"] {
        mmlogctl("rotate", &log).run().is_success();
        mmlogctl("append", &log).input(text).run().is_success();
    }
    write_hole(&log, 0, 8, 3);
    let read = read(&log, &[]);
    assert_eq!(
        (&read["missing_ranges"], &read["missing_bytes"], &read["lines"]),
        (&json!(1), &json!(3), &json!(3))
    );
    let segments = mmlogctl("segments", &log).arg("--json").run().text();
    let segments: Value = serde_json::from_str(&segments).unwrap();
    std::fs::remove_file(segments["segments"][1]["path"].as_str().unwrap()).unwrap();
    let (ended, cat) = (stats(&log, &["--read", "--json"]).run(), mmlogctl("cat", &log).run());
    assert_eq!((ended.code, cat.code), (4, 4), "{ended:?}");
    assert_eq!(ended.stderr, cat.stderr);
    let object: Value = serde_json::from_str(&ended.text()).unwrap();
    let read = &object["read"];
    assert_eq!(
        (&read["missing_ranges"], &read["missing_bytes"], &read["lines"]),
        (&json!(1), &json!(7), &json!(2))
    );
}

#[test]
fn what_is_pruned_is_not_read_but_was_appended() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    mmlogctl("rotate", &log).run().is_success();
    mmlogctl("append", &log).input(b"two\n").run().is_success();
    mmlogctl("prune", &log).args(["--keep", "0"]).run().is_success();
    let object = object(&log, &["--read"]);
    assert_eq!((&object["oldest"], &object["read"]["lines"]), (&json!(4), &json!(1)), "{object}");
    let all = object["intervals"].as_array().unwrap().iter();
    assert_eq!(all.map(|i| i["bytes"].as_u64().unwrap()).sum::<u64>(), 8, "{object}");
    assert!(text(&log, &[]).contains("pruned       4 B below"), "{object}");
}

/// Of a million different lines and a common one: memory is bounded, counts are never too low, and it is said how much they may be too high.
#[test]
fn a_million_different_shapes_take_no_more_memory_and_hide_no_common_one() {
    let scratch = Scratch::new();
    const ALL: u64 = 1_000_000;
    let letters =
        |n: u64| -> String { format!("{n:06}").bytes().map(|digit| char::from(digit + 49)).collect() };
    let mut content = String::new();
    for n in 0..ALL {
        if n % 50 == 0 {
            content.push_str("INFO a common one\n");
        }
        content.push_str(&letters(n));
        content.push('\n');
    }
    let log = scratch.file("app.log");
    mmlogctl("append", &log).arg("--raw").input(content.as_bytes()).run().is_success();
    let mut tool = stats(&log, &["--read", "--json"]);
    // A table with all of them would need far more.
    match succeeds(Command::new("prlimit").arg("--version")) {
        true => tool = tool.through("prlimit", &["--data=40000000"]),
        false => skipped("memory is bounded", "prlimit is not installed"),
    }
    let ended = tool.run();
    assert_eq!(ended.code, 0, "{ended:?}");
    let object: Value = serde_json::from_str(&ended.text()).unwrap();
    let (read, common) = (&object["read"], &object["read"]["shapes"][0]);
    assert_eq!((&read["shapes_distinct"], &read["shapes_counted"]), (&Value::Null, &json!(8192)));
    assert_eq!((&common["shape"], &read["lines"]), (&json!("INFO a common one"), &json!(ALL + ALL / 50)));
    let [least, most] = ["count_at_least", "count"].map(|key| common[key].as_u64().unwrap());
    assert!(least <= ALL / 50 && ALL / 50 <= most && most - least <= (ALL + ALL / 50) / 8192, "{common}");
    assert_eq!(common["first"]["position"], 0);
}
