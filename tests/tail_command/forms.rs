//! What is printed for a line and for a hole: JSON, and the bytes that a dead writer left.

use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::cli::{Scratch, Tool, mmlogctl, slot, write_slot};
use crate::{append, tail, watched};

/// Their ids are looked at, and left out.
fn objects(stdout: &[u8]) -> Vec<Value> {
    let lines = stdout.split_inclusive(|b| *b == b'\n');
    let whole = |line| {
        let mut object: Value = serde_json::from_slice(line).unwrap();
        let id = object.as_object_mut().unwrap().remove("id").unwrap();
        let (log, place) = id.as_str().unwrap().split_once(':').unwrap();
        let (from, to) = (&object["position"], &object["end"]);
        let wanted = match () {
            () if object.get("hole").is_some() => format!("{from}-{to}:hole"),
            () if object.get("partial").is_some() => format!("{from}-{to}"),
            () => from.to_string(),
        };
        assert_eq!(place, wanted, "{object}");
        assert!(log.len() == 32 && log.chars().all(|c| c.is_ascii_hexdigit()), "{log}");
        object
    };
    lines.map(whole).collect()
}

#[test]
fn a_line_has_an_id_that_is_the_same_again_and_no_other_line_of_any_log_has() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, b"1\n1\n");
    let ids = |log: &Path| -> Vec<String> {
        let printed = tail(log, &["-ojson"]).run().stdout;
        let lines = printed.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        let id = |line| serde_json::from_slice::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned();
        lines.map(id).collect()
    };
    let first = ids(&log);
    mmlogctl("rotate", &log).run().is_success();
    append(&log, b"1\n");
    let later = ids(&log);
    assert_eq!((&later[..2], later.len()), (&first[..], 3));
    mmlogctl("rm", &log).arg("--all").run().is_success();
    append(&log, b"1\n");
    let anew = ids(&log);
    let all: std::collections::HashSet<_> = later.iter().chain(&anew).collect();
    assert_eq!(all.len(), 4);
}

#[test]
fn each_line_is_an_object_with_exactly_the_documented_keys() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, b"a \"b\"\t\\\n\n\xc3\xa4\x1b\n\xff\x00\npart");
    let ended = tail(&log, &["-o", "json"]).run();
    ended.is_success();
    let wanted = [
        json!({"position": 0, "end": 8, "segment": 0, "text": "a \"b\"\t\\"}),
        json!({"position": 8, "end": 9, "segment": 0, "text": ""}),
        json!({"position": 9, "end": 13, "segment": 0, "text": "ä\u{1b}"}),
        json!({"position": 13, "end": 16, "segment": 0, "base64": "/wA="}),
        json!({"position": 16, "end": 20, "segment": 0, "text": "part", "partial": true}),
    ];
    assert_eq!(objects(&ended.stdout), wanted);
    // No control character reaches a terminal or breaks a line.
    assert_eq!(ended.text().matches(|c: char| c.is_control()).count(), wanted.len());
}

#[test]
fn objects_name_the_log_when_there_are_several() {
    let scratch = Scratch::new();
    let (a, b) = (scratch.file("a"), scratch.file("b"));
    append(&a, b"1\n");
    append(&b, b"2\n");
    let object =
        |log: &Path, text: &str| json!({"log": log, "position": 0, "end": 2, "segment": 0, "text": text});
    let both = mmlogctl("tail", &a).arg(&b).arg("-ojson").run();
    assert_eq!(objects(&both.stdout), [object(&a, "1"), object(&b, "2")]);
    assert_eq!(objects(&tail(&a, &["-ojson", "-v"]).run().stdout), [object(&a, "1")]);
    let quiet = mmlogctl("tail", &a).arg(&b).args(["-ojson", "-q"]).run();
    assert!(objects(&quiet.stdout).iter().all(|object| object.get("log").is_none()), "{quiet:?}");
}

#[test]
fn a_line_is_one_object_however_it_was_appended() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let long = "x".repeat(300 << 10);
    append(&log, b"first\n");
    let mut watched = watched();
    let running = tail(&log, &["-f", "-ojson", &format!("--pid={}", watched.id())]).start();
    running.until_stdout(|printed| printed.ends_with(b"\n"));
    for piece in [long.as_bytes(), b"-", long.as_bytes(), b"\nrest"] {
        append(&log, piece);
    }
    running.until_stdout(|printed| printed.iter().filter(|b| **b == b'\n').count() == 2);
    drop(watched.stdin.take());
    watched.wait().unwrap();
    let ended = running.end();
    ended.is_success();
    let objects = objects(&ended.stdout);
    assert_eq!(objects.len(), 3);
    assert_eq!(objects[1]["text"], format!("{long}-{long}"));
    let end = 6 + 2 * long.len() + 2;
    assert_eq!((&objects[1]["position"], &objects[1]["end"]), (&6.into(), &end.into()));
    // Held back while following, in the hope of its newline; printed at the end.
    assert_eq!(
        objects[2],
        json!({"position": end, "end": end + 4, "segment": 0, "text": "rest", "partial": true})
    );
}

/// Content of which a dead writer has left `two\n` unfinished.
fn log_with_a_hole(scratch: &Scratch, state: u64) -> PathBuf {
    let log = scratch.file("app.log");
    append(&log, b"one\ntwo\nthree\n");
    write_slot(&log, 0, slot(state, 4), 4, 4242);
    log
}

/// The same log as somebody leaves it who settles the slot.
fn settled(scratch: &Scratch, state: u64) -> PathBuf {
    let log = log_with_a_hole(scratch, state);
    mmlogctl("append", &log).run().is_success();
    log
}

#[test]
fn a_hole_is_skipped_unless_told_otherwise() {
    for made in [log_with_a_hole, settled] {
        let scratch = Scratch::new();
        let log = made(&scratch, 3);
        for command in ["cat", "tail"] {
            mmlogctl(command, &log).run().printed(b"one\nthree\n");
            mmlogctl(command, &log).arg("--holes=skip").run().printed(b"one\nthree\n");
            mmlogctl(command, &log).arg("--holes=nul").run().printed(b"one\n\0\0\0\0three\n");
        }
        tail(&log, &["-n2"]).run().printed(b"one\nthree\n");
        tail(&log, &["-c8", "--holes=nul"]).run().printed(b"\0\0three\n");
        tail(&log, &["-n", "+2"]).run().printed(b"three\n");
    }
}

#[test]
fn a_hole_is_said_with_who_left_it() {
    for (state, kind) in [(2, "unwritten"), (3, "torn")] {
        for made in [log_with_a_hole, settled] {
            let scratch = Scratch::new();
            let log = made(&scratch, state);
            for command in ["cat", "tail"] {
                let ended = mmlogctl(command, &log).arg("--holes=say").run();
                assert_eq!((ended.code, ended.text().as_str()), (0, "one\nthree\n"), "{ended:?}");
                let said = format!("hole at 4, 4 bytes ({kind}), left by process 4242 (dead-writer)");
                ended.says(&log, &[&said]);
            }
        }
    }
}

#[test]
fn a_hole_that_is_said_is_an_object_in_json() {
    for made in [log_with_a_hole, settled] {
        let scratch = Scratch::new();
        let log = made(&scratch, 3);
        let ended = tail(&log, &["-ojson", "--holes=say"]).run();
        ended.is_success();
        let who = json!({"pid": 4242, "command": "dead-writer", "kind": "torn"});
        let wanted = [
            json!({"position": 0, "end": 4, "segment": 0, "text": "one"}),
            json!({"position": 4, "end": 8, "hole": who}),
            json!({"position": 8, "end": 14, "segment": 0, "text": "three"}),
        ];
        assert_eq!(objects(&ended.stdout), wanted);
        assert_eq!(
            objects(&tail(&log, &["-ojson"]).run().stdout),
            [&wanted[0], &wanted[2]].map(Clone::clone)
        );
    }
}

#[test]
fn a_follower_passes_the_hole_of_a_writer_that_died() {
    let scratch = Scratch::new();
    let log = log_with_a_hole(&scratch, 3);
    let running = tail(&log, &["-f"]).start();
    running.until_stdout(|printed| printed == b"one\nthree\n");
    append(&log, b"four\n");
    running.until_stdout(|printed| printed == b"one\nthree\nfour\n");
    running.signal(Signal::SIGTERM);
    running.end().printed(b"one\nthree\nfour\n");
}

#[test]
fn a_line_without_end_takes_little_memory_and_can_be_joined() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let long = "ä".repeat(20 << 20);
    append(&log, &[long.as_bytes(), b"\nshort\n"].concat());
    // Less than what it takes to hold the line three times.
    let limited = |tool: Tool| tool.through("prlimit", &["--as=120000000"]).run();
    let ended = limited(tail(&log, &["-n+1", "-ojson"]));
    ended.is_success();
    let objects = objects(&ended.stdout);
    let (short, pieces) = objects.split_last().unwrap();
    assert_eq!((short["text"].as_str(), short.get("partial")), (Some("short"), None));
    let (last, before) = pieces.split_last().unwrap();
    assert!(before.len() >= 39 && last.get("partial").is_none(), "the last piece ends the line");
    let mut end = json!(0);
    for piece in pieces {
        assert!(piece["position"] == end && piece["text"].as_str().unwrap().len() <= 1 << 20);
        end = piece["end"].clone();
    }
    assert!(before.iter().all(|piece| piece["partial"] == true));
    let text: String = pieces.iter().map(|piece| piece["text"].as_str().unwrap()).collect();
    assert!(text == long);
    // The bytes as they are, and their end, are read in blocks.
    for command in [&["cat"][..], &["tail", "-n2"], &["tail", "-n+1"], &["tail", "-c5"]] {
        limited(mmlogctl(command[0], &log).args(&command[1..])).is_success();
    }
}

/// The objects that are no holes.
fn texts(stdout: &[u8]) -> Vec<Value> {
    objects(stdout).into_iter().filter(|object| object.get("hole").is_none()).collect()
}

/// `one` and the beginning of a line, the end of that line, and more; in segments of their own, the last one current.
fn line_over_segments(scratch: &Scratch) -> (PathBuf, PathBuf) {
    let log = scratch.file("app.log");
    for piece in ["one\nha", "lf, and"] {
        append(&log, piece.as_bytes());
        mmlogctl("rotate", &log).run().is_success();
    }
    append(&log, b" more\nlast\n");
    (scratch.file("app.log.0000000001-0000000000000000006"), log)
}

#[test]
fn what_is_left_of_a_line_before_positions_that_are_missing_is_partial() {
    let parts = [
        json!({"position": 0, "end": 4, "segment": 0, "text": "one"}),
        json!({"position": 4, "end": 6, "segment": 0, "text": "ha", "partial": true}),
        json!({"position": 13, "end": 19, "segment": 2, "text": " more"}),
        json!({"position": 19, "end": 24, "segment": 2, "text": "last"}),
    ];
    let gone = |segment: &Path| std::fs::remove_file(segment).unwrap();
    let cut = |segment: &Path| std::fs::write(segment, "").unwrap();
    for way in [&gone as &dyn Fn(&Path), &cut] {
        let scratch = Scratch::new();
        let (segment, log) = line_over_segments(&scratch);
        way(&segment);
        for line in [&["cat", "-ojson"][..], &["tail", "-n+1", "-ojson"]] {
            let ended = mmlogctl(line[0], &log).args(&line[1..]).run();
            assert_eq!((ended.code, texts(&ended.stdout)), (4, parts.to_vec()), "{ended:?}");
        }
        let ended = Tool::new(env!("CARGO_BIN_EXE_mmlogctl")).args(["grep", "ha.*more"]).arg(&log).run();
        assert_eq!((ended.code, ended.text().as_str()), (2, ""), "{ended:?}");
    }
    // Where its compressed copy cannot be decoded.
    let scratch = Scratch::new();
    let (segment, log) = line_over_segments(&scratch);
    mmlogctl("rotate", &log).arg("--compress=zstd").run().is_success();
    let copy = PathBuf::from(format!("{}.zst", segment.display()));
    let mut bytes = std::fs::read(&copy).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&copy, bytes).unwrap();
    let ended = mmlogctl("cat", &log).arg("-ojson").run();
    assert_eq!((ended.code, texts(&ended.stdout)), (4, parts.to_vec()), "{ended:?}");
}

#[test]
fn what_is_left_of_a_line_that_is_pruned_while_it_is_followed_is_partial() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, b"one\nha");
    let running = tail(&log, &["-F", "-n+1", "-ojson"]).start();
    running.until_stdout(|printed| printed.ends_with(b"\n"));
    running.signal(Signal::SIGSTOP);
    append(&log, b"lf\n");
    mmlogctl("rotate", &log).run().is_success();
    append(&log, b"last\n");
    mmlogctl("prune", &log).arg("--keep=0").run().is_success();
    running.signal(Signal::SIGCONT);
    running.until_stdout(|printed| printed.ends_with(b"\"last\"}\n"));
    running.signal(Signal::SIGTERM);
    let ended = running.end();
    let parts = [
        json!({"position": 0, "end": 4, "segment": 0, "text": "one"}),
        json!({"position": 4, "end": 6, "segment": 0, "text": "ha", "partial": true}),
        json!({"position": 9, "end": 14, "segment": 1, "text": "last"}),
    ];
    assert_eq!((ended.code, texts(&ended.stdout)), (0, parts.to_vec()), "{ended:?}");
}
