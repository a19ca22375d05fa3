//! `-f`: what is appended, as soon as a line is complete.

use std::thread;

use mmlog::{Log, Rotation};
use nix::sys::signal::Signal;

use crate::cli::{Ended, Running, Scratch, Tool, mmlogctl, wait_for};
use crate::{append, grep};

fn stop(running: Running) -> Ended {
    running.signal(Signal::SIGTERM);
    running.end()
}

fn prints(running: &Running, wanted: &[u8]) {
    running.until_stdout(|printed| printed == wanted);
}

#[test]
fn it_prints_what_is_there_and_then_each_line_as_it_is_completed() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\ntwo\n");
    let running = grep(&log, &["-f", "-n"], "o").start();
    prints(&running, b"1:one\n2:two\n");
    append(&log, b"three\nfour\n");
    prints(&running, b"1:one\n2:two\n4:four\n");
    mmlogctl("append", &log).arg("--raw").input(b"fo").run().is_success();
    mmlogctl("append", &log).arg("--raw").input(b"o\nx\n").run().is_success();
    prints(&running, b"1:one\n2:two\n4:four\n5:foo\n");
    stop(running).printed(b"1:one\n2:two\n4:four\n5:foo\n");
    let running = grep(&log, &["-f"], "nothing").start();
    running.until_open(&crate::cli::metadata_of(&log));
    wait_for("it is seen to follow", || {
        let status = mmlogctl("status", &log).arg("--json").run().text();
        status.contains(&format!("\"pid\":{},", running.pid())).then_some(())
    });
    assert_eq!(stop(running).code, 1);
}

#[test]
fn context_goes_on_in_what_is_appended() {
    let scratch = Scratch::new();
    let log = scratch.log(b"a\nb\nhit\n");
    let running = grep(&log, &["-f", "-B1", "-A2"], "hit").start();
    prints(&running, b"b\nhit\n");
    append(&log, b"c\n");
    prints(&running, b"b\nhit\nc\n");
    append(&log, b"d\ne\nf\nhit\n");
    prints(&running, b"b\nhit\nc\nd\n--\nf\nhit\n");
    stop(running).printed(b"b\nhit\nc\nd\n--\nf\nhit\n");
}

#[test]
fn it_follows_through_rotations_and_beside_writers_to_exactly_the_lines() {
    const WRITERS: usize = 3;
    const LINES: usize = 2000;
    let scratch = Scratch::new();
    let path = scratch.file("app.log");
    let log = Log::options().chunk_size(64 << 10).max_writers(8).open_or_create(&path).unwrap();
    let running = grep(&path, &["-f"], "[05]$").start();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let log = &log;
            scope.spawn(move || {
                let mut writing = log.writer().unwrap();
                for line in 0..LINES {
                    writing.append(format!("writer {writer} line {line}\n").as_bytes()).unwrap();
                    if line % 500 == 250 && writer == 0 {
                        log.rotate(&Rotation::default()).unwrap();
                    }
                }
            });
        }
    });
    let all = mmlogctl("cat", &path).run().stdout;
    let matches = |line: &&[u8]| line.ends_with(b"0\n") || line.ends_with(b"5\n");
    let wanted = all.split_inclusive(|byte| *byte == b'\n').filter(matches).collect::<Vec<_>>().concat();
    assert_eq!(wanted.iter().filter(|byte| **byte == b'\n').count(), WRITERS * LINES / 5);
    running.until_stdout(|printed| printed.len() >= wanted.len());
    stop(running).printed(&wanted);
    grep(&path, &[], "[05]$").run().printed(&wanted);
}

#[test]
fn several_logs_are_followed_with_their_names() {
    let scratch = Scratch::new();
    let (first, second) = (scratch.file("a.log"), scratch.file("b.log"));
    append(&first, b"hit 1\n");
    append(&second, b"hit 2\n");
    let running = grep(&first, &["-f"], "hit").arg(&second).start();
    let line = |log: &std::path::Path, text: &str| format!("{}:{text}\n", log.display());
    let mut wanted = line(&first, "hit 1") + &line(&second, "hit 2");
    prints(&running, wanted.as_bytes());
    for (log, text) in [(&second, "hit 3"), (&first, "hit 4"), (&second, "hit 5")] {
        append(log, format!("{text}\nmiss\n").as_bytes());
        wanted += &line(log, text);
        prints(&running, wanted.as_bytes());
    }
    stop(running).printed(wanted.as_bytes());
}

#[test]
fn quiet_and_a_count_wait_for_lines_and_end_then() {
    let scratch = Scratch::new();
    let (log, idle) = (scratch.log(b"starting\n"), scratch.file("idle.log"));
    append(&idle, b"x\n");
    let tool = env!("CARGO_BIN_EXE_mmlogctl");
    let quiet = Tool::new(tool).args(["grep", "-qf", "ready"]).arg(&log).arg(&idle).start();
    let counted = grep(&log, &["-f", "-m2"], "ready").start();
    append(&log, b"ready\n");
    quiet.end().printed(b"");
    prints(&counted, b"ready\n");
    append(&log, b"ready again\nready\n");
    counted.end().printed(b"ready\nready again\n");
}

#[test]
fn a_range_that_ends_ends_it_and_so_does_a_closed_pipe() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let bounded = grep(&log, &["-f", "--from=2", "--to=8"], ".").start();
    prints(&bounded, b"e\n");
    // Nor does it wait for more where there is nothing yet.
    let empty = scratch.file("empty.log");
    mmlogctl("init", &empty).run();
    let from_nothing = grep(&empty, &["-f"], ".").start();
    from_nothing.until_open(&crate::cli::metadata_of(&empty));
    append(&empty, b"x\n");
    prints(&from_nothing, b"x\n");
    stop(from_nothing).printed(b"x\n");
    append(&log, b"two\nthree\n");
    bounded.end().printed(b"e\ntwo\n");
    let mut running = grep(&log, &["-f"], "one").start_unread();
    let mut first = [0; 4];
    std::io::Read::read_exact(running.unread.as_mut().unwrap(), &mut first).unwrap();
    drop(running.unread.take());
    running.end().is_success();
}

#[test]
fn it_stays_with_the_log_that_was_opened() {
    let scratch = Scratch::new();
    let path = scratch.file("app.log");
    let log = Log::options().max_writers(4).open_or_create(&path).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(b"one\n").unwrap();
    let running = grep(&path, &["-f"], ".").start();
    prints(&running, b"one\n");
    // As `mmlogctl rm --force` or somebody with rm(1) does.
    for entry in std::fs::read_dir(scratch.path()).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    writer.append(b"two\n").unwrap();
    prints(&running, b"one\ntwo\n");
    running.signal(Signal::SIGTERM);
    let ended = running.end();
    let tail = "what was read may not be what was appended";
    assert!(ended.text() == "one\ntwo\n" && (ended.code == 0 || ended.stderr.contains(tail)), "{ended:?}");
}
