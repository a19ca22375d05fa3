//! `--on-full drop`: every byte of the input is in the log or counted, in a line of the log or, at the end, on standard error.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::Timestamp;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::cli::{Ended, Scratch, metadata_of, mmlogctl, mounted, skipped, succeeds, wait_for};
use crate::full::{MIB, lines, small_disk};
use crate::{append, holds};

/// What it says when it begins to.
const DROPPING: &str = "(dropping what comes, until there is space)";

/// Bytes and reason of a line that says what was dropped; nothing for another line.
fn dropped(line: &str) -> Option<(usize, String)> {
    let (bytes, rest) = line.strip_prefix("mmlogctl: ")?.split_once(" bytes (")?;
    let (lines, rest) = rest.split_once(")")?;
    let (from, rest) = rest.strip_prefix(" dropped, ")?.split_once(" to ")?;
    let (to, why) = rest.split_once(": ")?;
    let bytes: usize = bytes.parse().unwrap();
    let plural = if bytes == 16 { "" } else { "s" };
    assert_eq!(lines, format!("{} line{plural}", bytes / 16), "of 16 bytes each");
    assert!(from.parse::<Timestamp>().unwrap() <= to.parse::<Timestamp>().unwrap(), "{line}");
    assert!(from.len() == 20 && to.len() == 20, "whole seconds, UTC: {line}");
    Some((bytes, why.to_owned()))
}

/// What the log has of the input, each line once and in order, and how many bytes it says were dropped.
fn accounted(log: &Path, prefix: &str) -> (usize, Vec<usize>) {
    let content = mmlogctl("cat", log).run().text();
    let (mut stored, mut missing, mut next) = (0, Vec::new(), 0);
    for line in content.lines() {
        let line = line.strip_prefix(prefix).unwrap();
        match dropped(line) {
            Some((bytes, why)) => {
                assert!(["no space", "file size limit"].contains(&why.as_str()), "{line}");
                missing.push(bytes);
                next += bytes / 16;
            }
            None => {
                assert_eq!(line.parse::<usize>().unwrap(), next);
                stored += 16;
                next += 1;
            }
        }
    }
    (stored, missing)
}

/// How many bytes standard error says were dropped.
fn said_at_the_end(ended: &Ended) -> usize {
    let line = ended.stderr.lines().last().unwrap().strip_suffix("; the log does not say so").unwrap();
    dropped(&line[line.find(": mmlogctl: ").unwrap() + 2..]).unwrap().0
}

#[test]
fn drop_goes_on_when_there_is_space_and_the_log_says_what_is_missing() {
    let scratch = Scratch::new();
    let Some(disk) = small_disk(&scratch, "drop goes on when there is space") else { return };
    let (log, filler) = (disk.join("app.log"), disk.join("filler"));
    fs::write(&filler, vec![1; MIB]).unwrap();
    let input = lines(4 * MIB);
    let (before, behind) = input.split_at(3 * MIB);
    let mut running = append(&log, &["--on-full=drop", "--chunk-size=64K", "--prefix=p: "]).start();
    running.feed(before);
    running.until_stderr(DROPPING);
    // Nothing more comes, and still the log says it.
    fs::remove_file(&filler).unwrap();
    wait_for("the log accounts for all", || {
        let (stored, missing) = accounted(&log, "p: ");
        (stored + missing.iter().sum::<usize>() == before.len()).then_some(())
    });
    running.feed(&behind[..MIB / 4]);
    let ended = running.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    let (stored, missing) = accounted(&log, "p: ");
    assert_eq!(stored + missing.iter().sum::<usize>(), before.len() + MIB / 4);
    assert_eq!(missing.len(), ended.stderr.matches("the log says so").count(), "{ended:?}");
}

#[test]
fn what_is_dropped_right_now_is_seen_by_whoever_looks() {
    let scratch = Scratch::new();
    let Some(disk) = small_disk(&scratch, "what is dropped right now is seen") else { return };
    let (log, filler) = (disk.join("app.log"), disk.join("filler"));
    fs::write(&filler, vec![1; MIB]).unwrap();
    let waiting = || {
        let status = mmlogctl("status", &log).arg("--json").run();
        let status: Value = serde_json::from_slice(&status.stdout).unwrap();
        status["writers"][0]["waiting"].clone()
    };
    let mut running = append(&log, &["--on-full=drop", "--chunk-size=64K"]).start();
    let input = lines(3 * MIB);
    running.feed(&input);
    running.until_stderr(DROPPING);
    let stored = || accounted(&log, "").0 as u64;
    // All of it is read, and what has no room is dropped.
    let seen = wait_for("all that is dropped is told", || {
        let seen = waiting();
        (seen["dropped"].as_u64()? + stored() == input.len() as u64).then_some(seen)
    });
    assert_eq!(
        (&seen["for"], &seen["errno"], &seen["is_trying"]),
        (&"space".into(), &28.into(), &true.into())
    );
    let checked = mmlogctl("check", &log).run();
    let said = format!("FULL - {}: no space left, writer {} (", log.display(), running.pid());
    assert!(checked.code == 2 && checked.text().starts_with(&said), "{checked:?}");
    assert!(
        checked.text().contains(" drops what comes, 2.") && !checked.text().contains("nothing is lost"),
        "{checked:?}"
    );
    let metrics = mmlogctl("check", &log).args(["--prom", "-"]).run().text();
    let sample = metrics.lines().find(|line| line.starts_with("mmlog_dropped_bytes{")).unwrap();
    assert!(sample.ends_with(&format!(" {}", seen["dropped"])), "{sample}");
    assert!(mmlogctl("status", &log).run().text().contains(" drops what comes for want of space, 2."));
    fs::remove_file(&filler).unwrap();
    running.until_stderr("goes on after");
    assert_eq!(waiting(), Value::Null);
    assert_eq!(running.end().code, 0);
}

#[test]
fn each_drop_has_its_line() {
    if !succeeds(Command::new("prlimit").arg("--version")) {
        return skipped("each drop has its line", "there is no prlimit(1) here");
    }
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let input = lines(4 * MIB);
    let limited =
        append(&log, &["--on-full=drop", "--chunk-size=64K"]).through("prlimit", &["--fsize=500000:"]);
    let mut running = limited.start();
    let limit = |pid: u32, limit: &str| {
        let arguments = [format!("--pid={pid}"), format!("--fsize={limit}:")];
        assert!(succeeds(Command::new("prlimit").args(arguments)));
    };
    for (round, soft) in ["1500000", "unlimited"].into_iter().enumerate() {
        running.feed(&input[2 * round * MIB..][..2 * MIB]);
        let says = |what: &str| running.until_stderr_times(what, round + 1);
        says(DROPPING);
        limit(running.pid(), soft);
        says("goes on after");
    }
    let ended = running.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    let (stored, missing) = accounted(&log, "");
    assert_eq!((stored + missing.iter().sum::<usize>(), missing.len()), (input.len(), 2));
    assert!(mmlogctl("cat", &log).run().text().contains("Z: file size limit\n"));
}

#[test]
fn what_no_line_could_say_is_said_at_the_end() {
    let scratch = Scratch::new();
    let Some(disk) = small_disk(&scratch, "what no line could say is said at the end") else { return };
    let log = disk.join("app.log");
    // Where a line of the input has no room, one that is longer has not either.
    let prefix = "p".repeat(100_000);
    let options = ["--on-full=drop", "--chunk-size=64K", &format!("--prefix={prefix}")];
    let (input, mut fed) = (lines(100 * 16), 0);
    let mut running = append(&log, &options).start();
    while !running.said().contains(DROPPING) {
        running.feed(&input[fed..fed + 16]);
        fed += 16;
        let is_in = || log.exists() && accounted(&log, &prefix).0 == fed;
        wait_for("a line", || (running.said().contains(DROPPING) || is_in()).then_some(()));
    }
    running.feed(&input[fed..]);
    let ended = running.end();
    assert_eq!((ended.code, ended.stderr.lines().count()), (1, 2), "{ended:?}");
    let (stored, missing) = accounted(&log, &prefix);
    assert_eq!((stored + said_at_the_end(&ended), missing.len()), (input.len(), 0));
}

#[test]
fn the_line_about_raw_bytes_is_a_line_of_its_own() {
    let scratch = Scratch::new();
    let Some(disk) = small_disk(&scratch, "the line about raw bytes is a line of its own") else { return };
    let (log, filler) = (disk.join("app.log"), disk.join("filler"));
    fs::write(&filler, vec![1; MIB]).unwrap();
    let mut running = append(&log, &["--on-full=drop", "--chunk-size=64K", "--raw"]).start();
    running.feed(b"no newline");
    crate::wait_until_it_holds(&log, b"no newline");
    // One write of more than there is room for would be read in pieces, some of which fit.
    let mut fed = 0;
    while !running.said().contains(DROPPING) {
        running.feed(&[b'\0'; 60_000]);
        fed += 60_000;
    }
    fs::remove_file(&filler).unwrap();
    running.until_stderr("goes on after");
    running.feed(b"behind");
    assert_eq!(running.end().code, 0);
    let content = mmlogctl("cat", &log).run().stdout;
    let zeros = content.iter().filter(|byte| **byte == 0).count();
    let text = String::from_utf8(content).unwrap();
    let told: Vec<&str> = text.split('\n').filter(|line| line.starts_with("mmlogctl: ")).collect();
    let missing: usize =
        told.iter().map(|line| line.split(' ').nth(1).unwrap().parse::<usize>().unwrap()).sum();
    assert_eq!(zeros + missing, fed, "{told:?}");
    assert!(
        !told.is_empty() && told.iter().all(|line| line.contains("bytes (0 lines) dropped, ")),
        "{told:?}"
    );
    assert!(text.starts_with("no newline\0") && text.ends_with("behind"));
}

/// What keeps a log from being made in that directory, until it is removed.
pub(crate) fn in_the_way(disk: &Path, by: &str) -> Vec<PathBuf> {
    match by {
        "space" => {
            let filler = disk.join("filler");
            fs::write(&filler, vec![1; 2 * MIB - 8192]).unwrap();
            vec![filler]
        }
        _ => {
            let names = (0..).map(|n| disk.join(format!("filler {n}")));
            names.take_while(|name| fs::write(name, "").is_ok()).collect()
        }
    }
}

fn bytes_of(log: &Path) -> u64 {
    fs::metadata(log).map_or(0, |found| found.len())
}

#[test]
fn drop_goes_on_where_the_log_is_yet_to_be_made() {
    for (by, options) in [("space", "size=2m"), ("inodes", "size=2m,nr_inodes=8")] {
        let scratch = Scratch::new();
        let Some(disk) = mounted(&scratch, "tmpfs", options) else {
            return skipped("drop goes on where the log is yet to be made", "mounting needs root");
        };
        let (log, fillers) = (disk.join("app.log"), in_the_way(&disk, by));
        // All of it would have room, whatever was read before there was some.
        let input = lines(3 * MIB / 2 + 1024);
        let (before, behind) = input.split_at(3 * MIB / 2);
        let mut running = append(&log, &["--on-full=drop", "--chunk-size=64K", "--tee"]).start();
        running.until_stderr(DROPPING);
        // The pipe is smaller, and by more than is read at a time: what was read first is dropped.
        running.feed(before);
        assert_eq!(bytes_of(&log), 0);
        fillers.iter().for_each(|filler| fs::remove_file(filler).unwrap());
        wait_for("the log accounts for all", || {
            let (stored, missing) = (bytes_of(&log) > 0).then(|| accounted(&log, ""))?;
            (stored + missing.iter().sum::<usize>() == before.len()).then_some(())
        });
        running.feed(behind);
        let ended = running.end();
        assert_eq!((ended.code, ended.stderr.lines().count()), (0, 2), "{by}: {ended:?}");
        assert!(ended.stderr.contains(" dropped, the log says so"), "{by}: {ended:?}");
        let (stored, missing) = accounted(&log, "");
        assert_eq!((stored + missing[0], missing.len()), (input.len(), 1), "{by}");
        assert_eq!(ended.stdout, input, "copies go on");
    }
}

#[test]
fn a_log_that_could_be_made_before_anything_came_has_no_line_about_it() {
    let scratch = Scratch::new();
    let Some(disk) = small_disk(&scratch, "a log made in time has no line about drops") else { return };
    let (log, fillers) = (disk.join("app.log"), in_the_way(&disk, "space"));
    let mut running = append(&log, &["--on-full=drop"]).start();
    running.until_stderr(DROPPING);
    fs::remove_file(&fillers[0]).unwrap();
    running.until_stderr("nothing was dropped");
    running.feed(b"one\n");
    assert_eq!(running.end().code, 0);
    holds(&log, b"one\n");
}

#[test]
fn a_signal_while_the_log_is_yet_to_be_made_leaves_the_grace_and_says_what_was_dropped() {
    for (grace, space, code) in [("0s", false, 1), ("1h", false, 1), ("1h", true, 0)] {
        let scratch = Scratch::new();
        let Some(disk) = small_disk(&scratch, "a signal before the log is made leaves the grace") else {
            return;
        };
        let (log, fillers) = (disk.join("app.log"), in_the_way(&disk, "space"));
        let mut running = append(&log, &["--on-full=drop", &format!("--grace={grace}")]).start();
        running.until_stderr(DROPPING);
        running.feed(&lines(32));
        running.signal(Signal::SIGTERM);
        let fed = if grace == "0s" {
            32
        } else {
            running.until_stderr("a signal came");
            running.feed(&lines(64)[32..]);
            64
        };
        if space {
            fs::remove_file(&fillers[0]).unwrap();
        }
        let open = (grace == "0s").then(|| running.stdin.take());
        let ended = running.end();
        drop(open);
        assert_eq!(ended.code, code, "{ended:?}");
        if space {
            let (stored, missing) = accounted(&log, "");
            assert_eq!(stored + missing.iter().sum::<usize>(), fed);
        } else {
            assert_eq!(said_at_the_end(&ended), fed);
            assert!(bytes_of(&log) == 0 && !metadata_of(&log).exists());
        }
    }
}

#[test]
fn a_log_that_has_space_is_not_told_of_drops() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, &["--on-full=drop"]).input(b"one\ntwo").run().printed(b"");
    holds(&log, b"one\ntwo\n");
}
