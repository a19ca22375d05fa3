//! Guards what programs put into a log that know nothing of it: at rest it is a plain file, and `>>` works.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

#[path = "outside/claiming.rs"]
mod claiming;
mod cli;
mod common;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use cli::{Running, Scratch, Tool, mmlogctl, wait_for};
use serde_json::Value;

const OUTSIDE: &[u8] = b"by a script\n";

#[test]
fn role() {
    common::play(&[("claims", claiming::claims)]);
}

fn put_behind(log: &Path, bytes: &[u8]) {
    OpenOptions::new().append(true).open(log).unwrap().write_all(bytes).unwrap();
}

fn content(log: &Path) -> String {
    let ended = mmlogctl("cat", log).run();
    ended.is_success();
    ended.text()
}

/// A process that has the log open, and has appended this.
fn appending(log: &Path, line: &str, so_far: &str) -> Running {
    let mut append = mmlogctl("append", log).start();
    append.feed(line.as_bytes());
    wait_for("the line", || (content(log) == so_far).then_some(()));
    append
}

#[test]
fn what_redirection_put_behind_a_log_at_rest_is_kept_by_the_next_append() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    for (line, so_far) in
        [("two\n", "one\nby a script\ntwo\n"), ("three\n", "one\nby a script\ntwo\nby a script\nthree\n")]
    {
        put_behind(&log, OUTSIDE);
        mmlogctl("append", &log).input(line.as_bytes()).run().is_success();
        assert_eq!(content(&log), so_far);
        assert_eq!(fs::read_to_string(&log).unwrap(), so_far, "and the file is the log");
    }
    mmlogctl("check", &log).arg("--deep").run().is_success();
}

#[test]
fn whoever_takes_the_logs_lock_takes_them_in() {
    for command in ["trim", "rotate", "repair"] {
        let scratch = Scratch::new();
        let log = scratch.log(b"one\n");
        put_behind(&log, OUTSIDE);
        mmlogctl(command, &log).run().is_success();
        assert_eq!(content(&log), "one\nby a script\n", "{command}");
        mmlogctl("check", &log).arg("--deep").run().is_success();
    }
}

#[test]
fn a_follower_gets_them_with_the_next_append() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let tail = mmlogctl("tail", &log).args(["-f", "-n", "+1"]).start();
    tail.until_stdout(|seen| seen == b"one\n");
    put_behind(&log, OUTSIDE);
    mmlogctl("append", &log).input(b"two\n").run().is_success();
    tail.until_stdout(|seen| seen == b"one\nby a script\ntwo\n");
}

#[test]
fn behind_the_space_that_a_killed_writer_has_left_they_are_kept_too() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    drop(appending(&log, "two\n", "one\ntwo\n"));
    put_behind(&log, OUTSIDE);
    mmlogctl("append", &log).input(b"three\n").run().is_success();
    assert_eq!(content(&log), "one\ntwo\nby a script\nthree\n");
    mmlogctl("check", &log).arg("--deep").run().is_success();
}

#[test]
fn whoever_reads_the_log_meanwhile_is_told_how_many_wait() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    put_behind(&log, OUTSIDE);
    for command in ["cat", "tail"] {
        let ended = mmlogctl(command, &log).run();
        assert_eq!((ended.code, ended.text().as_str()), (0, "one\n"));
        ended.says(&log, &["12 bytes that >> put behind its end are not shown", "`mmlogctl trim "]);
    }
    let status = mmlogctl("status", &log).arg("--json").run();
    assert!(status.text().contains("\"outside-bytes\""), "{status:?}");
    mmlogctl("trim", &log).run().is_success();
    mmlogctl("cat", &log).run().printed(b"one\nby a script\n");
}

#[test]
fn zeros_alone_are_what_a_dead_grower_leaves_and_go() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    put_behind(&log, &[0; 100]);
    mmlogctl("append", &log).input(b"two\n").run().is_success();
    assert_eq!(content(&log), "one\ntwo\n");
}

#[test]
fn behind_a_writer_that_was_opened_for_one_line_they_are_kept() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let open = mmlog::Log::options().brief(true).open(&log).unwrap();
    let mut writer = open.writer().unwrap();
    writer.append(b"two\n").unwrap();
    put_behind(&log, OUTSIDE);
    writer.append(b"three\n").unwrap();
    drop((writer, open));
    let all = "one\ntwo\nby a script\nthree\n";
    assert_eq!((content(&log).as_str(), fs::read_to_string(&log).unwrap().as_str()), (all, all));
    mmlogctl("check", &log).arg("--deep").run();
}

#[test]
fn a_writer_that_grows_the_log_cuts_them_off() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let mut append = appending(&log, "two\n", "one\ntwo\n");
    put_behind(&log, OUTSIDE);
    let long = [vec![b'x'; 100_000], b"\n".to_vec()].concat();
    append.feed(&long);
    append.end().is_success();
    assert_eq!(content(&log).into_bytes(), [b"one\ntwo\n".as_slice(), &long].concat());
    mmlogctl("check", &log).arg("--deep").run();
}

#[test]
fn the_last_writer_that_closes_keeps_them() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let append = appending(&log, "two\n", "one\ntwo\n");
    put_behind(&log, OUTSIDE);
    append.end().is_success();
    assert_eq!(content(&log), "one\ntwo\nby a script\n");
    mmlogctl("check", &log).arg("--deep").run();
}

#[test]
fn the_next_line_does_not_go_on_where_a_file_without_a_final_newline_ends() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    fs::write(&log, b"adopted").unwrap();
    assert_eq!(mmlogctl("init", &log).arg("--adopt").run().code, 0);
    mmlogctl("append", &log).input(b"one\n").run().is_success();
    put_behind(&log, b"by a script");
    mmlogctl("append", &log).input(b"two\nthree\n").run().is_success();
    put_behind(&log, b"again");
    let exec = mmlogctl("exec", &log).args(["--", "echo", "four"]).run();
    assert_eq!(exec.code, 0, "{exec:?}");
    assert_eq!(content(&log), "adopted\none\nby a script\ntwo\nthree\nagain\nfour\n");
    put_behind(&log, b"raw");
    mmlogctl("append", &log).arg("--raw").input(b" bytes\n").run().is_success();
    assert!(content(&log).ends_with("raw bytes\n"), "bytes go where they come");
}

#[test]
fn the_next_line_does_not_go_on_where_a_segment_without_a_final_newline_ends() {
    for compress in [&[][..], &["--compress", "zstd"], &["--compress", "gzip"]] {
        let scratch = Scratch::new();
        let log = scratch.log(b"one\n");
        put_behind(&log, b"torn");
        // Twice: the second has nothing to rotate, or leaves an empty segment.
        for _ in 0..2 {
            mmlogctl("rotate", &log).args(compress).run();
        }
        mmlogctl("append", &log).input(b"two\n").run().is_success();
        assert_eq!(content(&log), "one\ntorn\ntwo\n", "{compress:?}");
        mmlogctl("rotate", &log).args(compress).run().is_success();
        mmlogctl("append", &log).input(b"three\n").run().is_success();
        assert_eq!(content(&log), "one\ntorn\ntwo\nthree\n", "and owes none behind one, {compress:?}");
    }
}

#[test]
fn the_next_line_does_not_wait_for_an_old_segment_that_cannot_be_read() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    put_behind(&log, b"torn");
    mmlogctl("rotate", &log).args(["--compress", "zstd"]).run().is_success();
    let segment = fs::read_dir(log.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let segment = segment.into_iter().find(|path| path.extension().is_some_and(|e| e == "zst")).unwrap();
    fs::write(&segment, b"no zstd").unwrap();
    mmlogctl("append", &log).input(b"two\n").run().is_success();
    assert!(fs::read_to_string(&log).unwrap() == "two\n");
}

/// What is said of `>>` behind a log in use, if anything is.
fn told(log: &Path) -> Option<(Value, Value)> {
    let status: Value = serde_json::from_slice(&mmlogctl("status", log).arg("--json").run().stdout).unwrap();
    let findings = status["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["id"] == "outside-live").cloned();
    found.map(|found| (found, status["outside"].clone()))
}

#[test]
fn behind_a_log_in_use_they_are_told_with_the_step_that_saves_them() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let mut append = appending(&log, "two\n", "one\ntwo\n");
    assert_eq!(told(&log), None);
    put_behind(&log, OUTSIDE);
    let (found, outside) = told(&log).unwrap();
    assert_eq!((&outside["beside"], &outside["waiting"]), (&12.into(), &0.into()));
    assert_eq!(mmlogctl("check", &log).run().code, 1, "WARNING");
    let step = found["next_step"].as_str().unwrap();
    let commands: Vec<&str> = step.split('`').skip(1).step_by(2).collect();
    let [saves, puts_in] = commands[..] else { panic!("{step}") };
    let shell = |command: &str| {
        let tool = Path::new(env!("CARGO_BIN_EXE_mmlogctl")).parent().unwrap().to_owned();
        let path = std::env::join_paths([tool, PathBuf::from("/usr/bin"), PathBuf::from("/bin")]).unwrap();
        Tool::new("sh").args(["-c", command]).with(|sh| sh.env("PATH", path)).run().is_success();
    };
    shell(saves);
    // It needs more space than it has: they are cut off.
    append.feed(&[vec![b'x'; 99_999], b"\n".to_vec()].concat().repeat(170));
    wait_for("the cut", || told(&log).is_none().then_some(()));
    append.end().is_success();
    shell(puts_in);
    assert!(content(&log).ends_with("x\nby a script\n"));
}

#[test]
fn that_they_were_cut_off_is_told_until_somebody_accepts_it() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let append = appending(&log, "two\n", "one\ntwo\n");
    put_behind(&log, OUTSIDE);
    // A trim cuts what has no position.
    mmlogctl("trim", &log).run().is_success();
    append.end().is_success();
    let check = |code: i32| {
        let checked = mmlogctl("check", &log).arg("--json").run();
        assert_eq!(checked.code, code, "{checked:?}");
        serde_json::from_slice::<Value>(&checked.stdout).unwrap()
    };
    let command = format!("mmlogctl repair --accept-loss {}", log.display());
    let checked = check(1);
    assert_eq!(
        (&checked["findings"][0]["id"], &checked["findings"][0]["command"]),
        (&"outside-cut".into(), &command.into())
    );
    // Nothing of the log is broken: only who asks is told of a step.
    mmlogctl("repair", &log).run().is_success();
    check(1);
    let accepts = mmlogctl("repair", &log).arg("--accept-loss").run();
    assert!(accepts.code == 0 && accepts.text().contains("that somebody put behind the log"), "{accepts:?}");
    check(0);
    assert!(mmlogctl("repair", &log).arg("--accept-loss").run().text().contains("nothing to repair"));
    assert_eq!(content(&log), "one\ntwo\n");
}

#[test]
fn the_step_that_saves_them_is_gone_once_they_are_saved() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let _append = appending(&log, "two\n", "one\ntwo\n");
    put_behind(&log, OUTSIDE);
    let save = |found: &Value| found["next_step"].as_str().unwrap().split('`').nth(1).unwrap().to_owned();
    let (found, _) = told(&log).unwrap();
    let tail = save(&found);
    assert!(tail.starts_with("tail -c "), "{found}");
    Tool::new("sh").args(["-c", &tail]).run().is_success();
    let (found, _) = told(&log).unwrap();
    assert!(save(&found).starts_with("mmlogctl append "), "{found}");
    assert!(found["sentence"].as_str().unwrap().contains("and are saved in "), "{found}");
    // Those that come behind them are not.
    put_behind(&log, OUTSIDE);
    assert!(save(&told(&log).unwrap().0).starts_with("tail -c "));
}

#[test]
fn whoever_has_a_log_in_use_open_for_them_is_named() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let _append = appending(&log, "two\n", "one\ntwo\n");
    let follows = mmlogctl("tail", &log).args(["-f", "-n", "+1"]).start();
    follows.until_stdout(|seen| seen == b"one\ntwo\n");
    let reads = fs::File::open(&log).unwrap();
    let _reads = Tool::new("sleep").arg("1000").stdin(Stdio::from(reads)).start();
    assert_eq!(told(&log), None, "nobody else writes");
    let open = OpenOptions::new().append(true).open(&log).unwrap();
    let writes = Tool::new("sleep").arg("1001").stdout(Stdio::from(open)).start();
    let (found, outside) = told(&log).unwrap();
    assert_eq!((&found["pid"], &outside["open_by"][0]["pid"]), (&writes.pid().into(), &writes.pid().into()));
    assert!(found["sentence"].as_str().unwrap().contains("(sleep 1001)"), "{found}");
    drop(writes);
    assert_eq!(told(&log), None);
}
