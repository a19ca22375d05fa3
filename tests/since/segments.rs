//! Times and old segments.

use std::fs::{self, File, OpenOptions};
use std::mem::offset_of;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use mmlog::layout::{Header, RING_LEN};

use crate::cli::{Scratch, Tool, metadata_of, mmlogctl, poke, skipped, wait_for};
use crate::forged::{Forged, at, typed};
use crate::{run, timed};

/// Three segments of ten lines, ten minutes each, and a current one of one line.
fn segments(scratch: &Scratch) -> (PathBuf, Vec<String>) {
    let log = scratch.file("app.log");
    let mut lines = Vec::new();
    for part in 0..4 {
        let new: Vec<String> = (0..10).map(|n| format!("part {part} line {n}\n")).collect();
        mmlogctl("append", &log).arg("--chunk-size=64K").input(new.concat().as_bytes()).run().is_success();
        lines.push(new.concat());
        if part < 3 {
            mmlogctl("rotate", &log).run().printed(b"");
        }
    }
    (log, lines)
}

#[test]
fn segments_lists_those_that_touch_the_time_with_their_first_and_last() {
    let scratch = Scratch::new();
    let (log, lines) = segments(&scratch);
    let len = lines[0].len() as u64;
    let forged = (0..3).fold(Forged::new(&log), |forged, n: u64| {
        let (from, to) = (at(n as i64 * 600), at((n + 1) as i64 * 600));
        forged.pair(from, n * len, n * len).ended(n, from, n * len..(n + 1) * len, to)
    });
    forged.write(&log);
    let (since, until) = (typed(at(700)), typed(at(1100)));
    let range = ["--since", since.as_str(), "--until", until.as_str()];
    let table = run("segments", &log, &range).text();
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows.len(), 2, "{table}");
    assert_eq!(
        rows[0].split_whitespace().collect::<Vec<_>>(),
        ["GEN", "BASE", "BYTES", "FIRST", "LAST", "STATE"]
    );
    let first = at(600).to_string();
    assert!(rows[1].trim_start().starts_with("1 ") && rows[1].contains(&first), "{table}");
    let json = run("segments", &log, &["--json", "--since", &since]).text();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let all = json["segments"].as_array().unwrap();
    let generations: Vec<&serde_json::Value> = all.iter().map(|segment| &segment["generation"]).collect();
    assert_eq!((generations[0].as_u64(), all.len()), (Some(1), 3), "{json}");
    assert_eq!(all[0]["began"], first);
    for (from, to, parts) in [(650, 1150, 1..2), (550, 1150, 0..2), (1250, 1750, 2..3)] {
        let ended = run("cat", &log, &["--since", &typed(at(from)), "--until", &typed(at(to))]);
        assert_eq!(ended.text(), lines[parts].concat(), "{from} to {to}: {ended:?}");
    }
}

#[test]
fn times_lead_into_compressed_segments() {
    let scratch = Scratch::new();
    let (log, lines) = timed(&scratch, "app.log", |at| format!("{at:.6}"));
    let ring = {
        let forged = Forged::new(&log);
        let mut bytes = vec![0; RING_LEN];
        File::open(metadata_of(&log)).unwrap().read_exact_at(&mut bytes, forged.at as u64).unwrap();
        bytes
    };
    mmlogctl("rotate", &log).args(["--compress", "zstd"]).run().is_success();
    mmlogctl("append", &log).input(b"now\n").run().is_success();
    poke(&log, Forged::new(&log).at, &ring);
    let ended = run("cat", &log, &["--since", &typed(at(100)), "--until", &typed(at(200))]);
    assert_eq!((ended.text(), ended.code), (lines[17..34].concat(), 0), "{ended:?}");
}

/// Sets when a file was last changed; when it got its name cannot be.
fn changed(path: &str, at: Timestamp) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_modified(at.into()).unwrap();
}

fn paths(log: &Path) -> Vec<String> {
    let json: serde_json::Value =
        serde_json::from_str(&mmlogctl("segments", log).arg("--json").run().text()).unwrap();
    let all = json["segments"].as_array().unwrap();
    all.iter().map(|segment| segment["path"].as_str().unwrap().to_owned()).collect()
}

/// Of a log that has noted nothing the files of its segments tell, which is said.
fn goes_by_files(log: &Path, lines: &[String]) {
    for (path, n) in paths(log).iter().zip(1..).take(3) {
        changed(path, at(n * 600));
    }
    // Ends move out by 10 ms.
    let (named, margin) = (Timestamp::now(), SignedDuration::from_millis(20));
    let now = wait_for("the clock goes on", || Some(Timestamp::now()).filter(|now| *now > named + margin));
    let now = typed(now);
    let until = run("cat", log, &["--until", &typed(at(700))]);
    assert_eq!((until.code, until.text()), (0, lines[..2].concat()), "{until:?}");
    let table = run("segments", log, &["--until", &typed(at(700))]);
    assert_eq!(table.text().lines().count(), 3, "{table:?}");
    for ended in [&until, &table] {
        assert!(ended.stderr.contains("the times of its files are taken"), "{ended:?}");
    }
    let since = run("cat", log, &["--since", &now]);
    assert!(lines.concat().ends_with(&since.text()), "{since:?}");
    assert!(since.stderr.contains("the times of its files are taken"), "{since:?}");
    assert_eq!(since.text(), lines[3], "{since:?}");
}

#[test]
fn a_rebuilt_log_goes_by_the_times_of_its_files() {
    let scratch = Scratch::new();
    let (log, lines) = segments(&scratch);
    fs::remove_file(metadata_of(&log)).unwrap();
    mmlogctl("repair", &log).arg("--rebuild").run().is_success();
    goes_by_files(&log, &lines);
}

#[test]
fn a_log_of_the_version_before_goes_by_the_times_of_its_files() {
    let Some(before) = std::env::var_os("MMLOGCTL_BEFORE") else {
        return skipped("since of a log of the version before", "MMLOGCTL_BEFORE does not name its tool");
    };
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let tool = |command: &str| Tool::new(&before).arg(command).arg(&log);
    let mut lines = Vec::new();
    for part in 0..4 {
        lines.push(format!("part {part}\n").repeat(10));
        tool("append").input(lines[part].as_bytes()).run().is_success();
        if part < 3 {
            tool("rotate").run().is_success();
        }
    }
    goes_by_files(&log, &lines);
    // Both go on.
    mmlogctl("append", &log).input(b"more\n").run().is_success();
    assert!(run("cat", &log, &["--since", "1h"]).text().ends_with("more\n"));
    assert!(tool("cat").run().text().ends_with("more\n"));
}

#[test]
fn while_the_clock_is_doubted_no_policy_removes_a_segment_for_its_age_whoever_goes_by_it() {
    let scratch = Scratch::new();
    let (log, lines) = segments(&scratch);
    let len = lines[0].len() as u64;
    let forged = (0..3).fold(Forged::new(&log), |forged, n: u64| {
        let (from, to) = (at(n as i64 * 600), at((n + 1) as i64 * 600));
        forged.pair(from, n * len, n * len).ended(n, from, n * len..(n + 1) * len, to)
    });
    forged.write(&log);
    mmlogctl("policy", &log).args(["--set", "keep-age=1h"]).run().is_success();
    let prune = |rule: &str| mmlogctl("prune", &log).args(["--dry-run", rule]).run().text().lines().count();
    let next = || run("policy", &log, &[]).text();
    assert_eq!((prune("--policy"), prune("--keep-age=1h")), (3, 3));
    assert!(next().contains("3 final segments go now"), "{}", next());
    let set_up = offset_of!(Header, times.set_up_ns);
    poke(&log, set_up, &crate::up_ns().to_ne_bytes());
    assert_eq!(
        (prune("--policy"), prune("--keep-age=1h")),
        (0, 3),
        "who names an age himself knows the time"
    );
    assert!(next().ends_with("nothing to remove\n"), "{}", next());
    let opened = mmlog::Log::options().open(&log).unwrap();
    opened.housekeep().unwrap();
    assert_eq!(opened.oldest().unwrap().get(), 0);
    poke(&log, set_up, &[0; 8]);
    opened.housekeep().unwrap();
    assert_eq!(opened.oldest().unwrap().get(), 3 * len);
}
