//! Guards what programs put into a log that know nothing of it: at rest it is a plain file, and `>>` works.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use cli::{Running, Scratch, mmlogctl, wait_for};

const OUTSIDE: &[u8] = b"by a script\n";

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
