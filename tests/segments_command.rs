//! Guards `mmlogctl segments`: what a log consists of, for people and for programs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use cli::{Scratch, at, mmlogctl, poke};
use mmlog::{Log, Position};
use serde_json::{Value, json};

/// Two final segments of 4 bytes and a current one of 6.
fn three(scratch: &Scratch) -> PathBuf {
    let log = scratch.log(b"one\n");
    mmlogctl("rotate", &log).run().printed(b"");
    mmlogctl("append", &log).input(b"two\n").run().is_success();
    mmlogctl("rotate", &log).run().printed(b"");
    mmlogctl("append", &log).input(b"three\n").run().is_success();
    log
}

fn listed(log: &std::path::Path) -> Vec<Value> {
    let ended = mmlogctl("segments", log).arg("--json").run();
    assert_eq!(ended.code, 0, "{ended:?}");
    let text = ended.text();
    assert_eq!(text.lines().count(), 1);
    let all: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(all["schema"], 1);
    all["segments"].as_array().unwrap().clone()
}

#[test]
fn json_has_every_segment_with_its_positions_bytes_times_state_and_path() {
    let scratch = Scratch::new();
    let log = three(&scratch);
    let all = listed(&log);
    assert_eq!(all.len(), 3);
    for (i, (base, end, state)) in
        [(0, 4, "final"), (4, 8, "final"), (8, 14, "current")].into_iter().enumerate()
    {
        let segment = &all[i];
        let keys = ["generation", "base", "end", "bytes", "state", "compression", "held_by", "first_kept"];
        let found: Vec<&Value> = keys.iter().map(|key| &segment[key]).collect();
        let expected = json!([i, base, end, end - base, state, null, [], null]);
        assert_eq!(json!(found), expected);
        let path = segment["path"].as_str().unwrap();
        assert_eq!(segment["allocated"], fs::metadata(path).unwrap().blocks() * 512);
        assert!(segment["changed"].is_string());
    }
    assert!(all[2]["began"].is_string());
    let content = |i: usize| fs::read(all[i]["path"].as_str().unwrap()).unwrap();
    assert_eq!((content(0), content(1), content(2)), (b"one\n".into(), b"two\n".into(), b"three\n".into()));
}

#[test]
fn who_holds_a_segment_and_what_is_pruned_is_said() {
    let scratch = Scratch::new();
    let log = three(&scratch);
    let opened = Log::options().open(&log).unwrap();
    opened.hold("shipper", Position::new(4)).unwrap();
    opened.hold("auditor", Position::new(7)).unwrap();
    let held = |all: &[Value]| all.iter().map(|s| s["held_by"].clone()).collect::<Vec<_>>();
    let both = json!(["shipper", "auditor"]);
    assert_eq!(held(&listed(&log)), [json!([]), both.clone(), both.clone()]);
    let table = mmlogctl("segments", &log).run().text();
    assert!(table.lines().nth(2).unwrap().ends_with("final, held by shipper +1"), "{table}");
    mmlogctl("prune", &log).arg("--keep=0").run().printed(b"");
    assert_eq!(held(&listed(&log)), [both.clone(), both]);
}

#[test]
fn of_a_holds_name_that_is_too_long_the_end_is_shown_and_that_something_is_missing() {
    let scratch = Scratch::new();
    let log = three(&scratch);
    let opened = Log::options().open(&log).unwrap();
    let name = |number: u32| format!("the-consumer-of-all-that-is-logged-here-{number}");
    opened.hold(&name(1), Position::new(4)).unwrap();
    let table = mmlogctl("segments", &log).run().text();
    let held = table.lines().nth(2).unwrap();
    assert!(held.contains("final, held by ...") && held.ends_with("here-1"), "{table}");
    opened.hold(&name(2), Position::new(7)).unwrap();
    let table = mmlogctl("segments", &log).run().text();
    assert!(table.lines().nth(2).unwrap().ends_with("ere-1 +1"), "{table}");
    assert!(table.lines().all(|line| line.len() <= 80), "{table}");
}

#[test]
fn a_compressed_segment_is_one_and_its_leftover_twin_is_counted_with_it() {
    let scratch = Scratch::new();
    let log = three(&scratch);
    let path = listed(&log)[1]["path"].as_str().unwrap().to_owned();
    let plain = fs::read(&path).unwrap();
    let ended = mmlogctl("rotate", &log).args(["--compress", "zstd"]).run();
    ended.is_success();
    fs::write(&path, plain).unwrap();
    let all = listed(&log);
    assert_eq!(all.len(), 4);
    let both: u64 =
        [path.clone(), format!("{path}.zst")].map(|p| fs::metadata(p).unwrap().blocks() * 512).iter().sum();
    assert_eq!((&all[1]["state"], &all[1]["allocated"]), (&"final".into(), &both.into()));
    fs::remove_file(&path).unwrap();
    let all = listed(&log);
    assert_eq!((&all[1]["state"], &all[1]["compression"]), (&"compressed".into(), &"zst".into()));
    assert_eq!((&all[1]["bytes"], &all[1]["flaw"]), (&4.into(), &Value::Null));
}

#[test]
fn what_is_missing_has_a_line_and_the_file_before_it_its_own_end() {
    let scratch = Scratch::new();
    let log = three(&scratch);
    fs::remove_file(listed(&log)[1]["path"].as_str().unwrap()).unwrap();
    let ended = mmlogctl("segments", &log).run();
    assert_eq!(ended.code, 4, "{ended:?}");
    let rows: Vec<Vec<String>> =
        ended.text().lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect();
    assert_eq!(rows[1][..4], ["0", "0", "4", "4"]);
    assert_eq!(rows[2], ["-", "4", "8", "4", "B", "-", "-", "missing"]);
    assert!(ended.stderr.contains("old segment 1 is missing: no file has the positions [4, 8)"), "{ended:?}");
}

#[test]
fn what_is_left_of_a_pruned_log_is_no_flaw_nor_is_what_a_rebuild_could_not_know() {
    let scratch = Scratch::new();
    let log = three(&scratch);
    mmlogctl("prune", &log).arg("--keep=1").run().printed(b"");
    mmlogctl("check", &log).run().is_success();
    fs::remove_file(format!("{}.mmlog", log.display())).unwrap();
    mmlogctl("repair", &log).arg("--rebuild").run().is_success();
    let ended = mmlogctl("check", &log).run();
    ended.is_success();
    assert_eq!(listed(&log)[0]["base"], 4);
}

#[test]
fn a_current_file_that_was_recreated_is_no_missing_old_segment() {
    let scratch = Scratch::new();
    let log = three(&scratch);
    fs::remove_file(&log).unwrap();
    mmlogctl("repair", &log).arg("--recreate").run().is_success();
    mmlogctl("append", &log).input(b"four\n").run().is_success();
    mmlogctl("check", &log).run().is_success();
    assert_eq!(mmlogctl("segments", &log).run().code, 0);
}

#[test]
fn the_table_fits_80_columns_whatever_the_positions() {
    let scratch = Scratch::new();
    let log = three(&scratch);
    let opened = Log::options().open(&log).unwrap();
    opened.hold(&"a-long-name".repeat(5), Position::new(0)).unwrap();
    drop(opened);
    let table = mmlogctl("segments", &log).run().text();
    assert!(table.starts_with("GEN  BASE  END  BYTES"), "{table}");
    assert_eq!(table.lines().count(), 4);
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    let far = 1_u64 << 60;
    poke(&log, at::CURSOR, &far.to_ne_bytes());
    let table = mmlogctl("segments", &log).run().text();
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
}

#[test]
fn positions_that_contradict_each_other_are_the_same_error_as_to_whoever_reads() {
    for cursor in [0, 5, 1 << 61] {
        let scratch = Scratch::new();
        let log = three(&scratch);
        poke(&log, at::CURSOR, &u64::to_ne_bytes(cursor));
        let read = mmlogctl("cat", &log).run();
        read.is_refused(4, &log, &["cursor out of range", "; run `mmlogctl repair "]);
        for options in [&[][..], &["--json"], &["--since=1h"]] {
            let ended = mmlogctl("segments", &log).args(options).run();
            ended.is_refused(4, &log, &[]);
            assert_eq!(ended.stderr, read.stderr);
        }
    }
}

#[test]
fn what_is_no_log_is_refused() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    mmlogctl("segments", &log).run().is_refused(1, &log, &["no such log"]);
}

#[test]
fn a_hold_that_the_policy_passes_over_holds_no_segment() {
    let scratch = Scratch::new();
    let log = three(&scratch);
    Log::options().open(&log).unwrap().hold("c1", Position::new(0)).unwrap();
    assert_eq!(listed(&log)[0]["held_by"], json!(["c1"]));
    // It is 14 bytes behind.
    mmlogctl("policy", &log).args(["--set", "hold-max=13", "--set", "keep=9"]).run().is_success();
    assert_eq!(listed(&log)[0]["held_by"], json!([]));
}
