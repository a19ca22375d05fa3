//! TERM, INT and HUP: what a producer says until its end, within the grace, is stored; then append ends.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::thread;

use nix::sys::signal::{Signal, killpg};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use crate::cli::{IGNORED, Running, Scratch, Tool, finals, is_ignored, skipped};
use crate::{append, holds, wait_until_it_holds};

/// An appender that has stored a first line, so that it is known to catch signals.
fn appending(scratch: &Scratch, options: &[&str]) -> Running {
    let log = scratch.file("app.log");
    let mut running = append(&log, options).start();
    running.feed(b"first\n");
    wait_until_it_holds(&log, b"first\n");
    running
}

#[test]
fn without_a_grace_a_signal_to_one_that_waits_for_input_ends_it_well() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        if is_ignored(signal) {
            skipped(&format!("a signal ends it well: {signal}"), IGNORED);
            continue;
        }
        let scratch = Scratch::new();
        let mut running = appending(&scratch, &["--grace=0s"]);
        running.signal(signal);
        // Its standard input stays open: the signal alone has to end it.
        let open = running.stdin.take();
        running.end().is_success();
        drop(open);
        holds(&scratch.file("app.log"), b"first\n");
    }
}

#[test]
fn what_lies_in_the_pipe_when_a_signal_comes_is_stored() {
    let lines: String = (0..4000).map(|n| format!("line {n}\n")).collect();
    for (signal, options) in
        [(Signal::SIGTERM, &["--grace=0s"][..]), (Signal::SIGINT, &["--grace=0s", "--linger=1h"])]
    {
        if is_ignored(signal) {
            skipped(&format!("what lies in the pipe is stored: {signal}"), IGNORED);
            continue;
        }
        let scratch = Scratch::new();
        let mut running = append(&scratch.file("app.log"), options).start();
        running.until_open(&crate::cli::metadata_of(&scratch.file("app.log")));
        running.signal(Signal::SIGSTOP);
        running.feed(lines.as_bytes());
        running.feed(b"no newline yet");
        running.signal(signal);
        running.signal(Signal::SIGCONT);
        let open = running.stdin.take();
        running.end().is_success();
        drop(open);
        holds(&scratch.file("app.log"), format!("{lines}no newline yet\n").as_bytes());
    }
}

#[test]
fn what_lingers_when_a_signal_comes_is_stored() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut running = append(&log, &["--grace=0s", "--linger=1h"]).start();
    running.until_open(&crate::cli::metadata_of(&log));
    running.feed(b"one\ntwo\n");
    running.signal(Signal::SIGTERM);
    let open = running.stdin.take();
    running.end().is_success();
    drop(open);
    holds(&log, b"one\ntwo\n");
}

/// What it says when it goes on after a signal.
const GOES_ON: &str = "a signal came; standard input is still open, and is read to its end";

#[test]
fn what_the_producer_says_after_the_signal_is_stored() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        if is_ignored(signal) {
            skipped(&format!("last words are stored: {signal}"), IGNORED);
            continue;
        }
        let scratch = Scratch::new();
        let mut running = appending(&scratch, &["--grace=1h"]);
        running.signal(signal);
        running.until_stderr(GOES_ON);
        running.feed(b"closing the database\n");
        wait_until_it_holds(&scratch.file("app.log"), b"first\nclosing the database\n");
        running.feed(b"good bye");
        let ended = running.end();
        assert_eq!((ended.code, ended.stderr.lines().count()), (0, 1), "{ended:?}");
        ended.says(
            &scratch.file("app.log"),
            &[GOES_ON, "for 3600s at most", "a second signal ends this at once"],
        );
        holds(&scratch.file("app.log"), b"first\nclosing the database\ngood bye\n");
    }
}

#[test]
fn after_a_signal_what_is_read_on_is_bounded_by_the_policy_still() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut running = appending(&scratch, &["--grace=1h", "--rotate-size=64K", "--keep=1"]);
    running.signal(Signal::SIGTERM);
    running.until_stderr(GOES_ON);
    let line = [[b'.'; 999].as_slice(), b"\n"].concat();
    for _ in 0..30 {
        running.feed(&line.repeat(40));
    }
    running.end();
    let finals = finals(&log).len();
    let generation = mmlog::Log::options().open_reader(&log).unwrap().generation();
    assert!(generation >= 4 && finals <= 2, "{finals} final segments of {generation}");
}

#[test]
fn a_signal_to_the_whole_group_costs_no_last_words() {
    const PROGRAM: &str =
        r#"trap 'read go <"$0"; echo last words; exit' TERM; echo ready; while :; do read go <"$0"; done"#;
    let scratch = Scratch::new();
    let (log, fifo) = (scratch.file("app.log"), scratch.file("fifo"));
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let pipeline =
        r#"trap '' TERM; (trap - TERM; exec sh -c "$0" "$2") | (trap - TERM; exec "$1" append "$3")"#;
    let group = Tool::new("sh")
        .args(["-c", pipeline, PROGRAM, env!("CARGO_BIN_EXE_mmlogctl")])
        .args([&fifo, &log])
        .with(|command| command.process_group(0));
    let running = group.start();
    wait_until_it_holds(&log, b"ready\n");
    killpg(Pid::from_raw(running.pid().cast_signed()), Signal::SIGTERM).unwrap();
    // The read that TERM interrupts begins again, or is in the trap by now: each takes a line.
    running.until_stderr(GOES_ON);
    let feeder = thread::spawn(move || while fs::write(&fifo, "\n\n").is_ok() {});
    assert_eq!(running.end().code, 0);
    holds(&log, b"ready\nlast words\n");
    drop(feeder);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (first, second) in [(Signal::SIGTERM, Signal::SIGTERM), (Signal::SIGHUP, Signal::SIGTERM)] {
        if is_ignored(first) {
            skipped(&format!("a second signal ends it at once: {first}"), IGNORED);
            continue;
        }
        let scratch = Scratch::new();
        let mut running = appending(&scratch, &["--grace=1h"]);
        running.signal(first);
        running.until_stderr(GOES_ON);
        running.signal(second);
        let open = running.stdin.take();
        assert_eq!(running.end().code, -(second as i32));
        drop(open);
        holds(&scratch.file("app.log"), b"first\n");
    }
}

#[test]
fn a_terminal_that_goes_away_and_sends_two_signals_costs_no_last_words() {
    if is_ignored(Signal::SIGHUP) {
        return skipped("two SIGHUP cost no last words", IGNORED);
    }
    let scratch = Scratch::new();
    let mut running = appending(&scratch, &["--grace=1h"]);
    for _ in 0..2 {
        running.signal(Signal::SIGHUP);
        running.until_stderr(GOES_ON);
    }
    running.feed(b"last words\n");
    assert_eq!(running.end().code, 0);
    holds(&scratch.file("app.log"), b"first\nlast words\n");
}

#[test]
fn an_input_that_does_not_end_is_left_after_the_grace_and_that_is_said() {
    let scratch = Scratch::new();
    let mut running = appending(&scratch, &["--grace=1ms"]);
    running.feed(b"rest");
    running.signal(Signal::SIGTERM);
    let open = running.stdin.take();
    let ended = running.end();
    drop(open);
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.says(&scratch.file("app.log"), &["standard input is still open after 1ms", "is not stored"]);
    holds(&scratch.file("app.log"), b"first\nrest\n");
}

#[test]
fn nothing_is_said_of_an_input_that_is_at_its_end() {
    let scratch = Scratch::new();
    let mut running = appending(&scratch, &[]);
    running.signal(Signal::SIGSTOP);
    running.feed(b"last words\n");
    drop(running.stdin.take());
    running.signal(Signal::SIGTERM);
    running.signal(Signal::SIGCONT);
    running.end().is_success();
    holds(&scratch.file("app.log"), b"first\nlast words\n");
}

#[test]
fn a_file_has_no_last_words_and_is_not_read_on() {
    let scratch = Scratch::new();
    let (log, source) = (scratch.file("app.log"), scratch.file("source"));
    fs::write(&source, b"0123456789abcde\n".repeat(1 << 16)).unwrap();
    let running = append(&log, &["--tee"]).stdin(File::open(&source).unwrap()).start_unread();
    // Nobody reads the copy, so it does not come to the end of the file.
    running.until_open(&crate::cli::metadata_of(&log));
    running.signal(Signal::SIGTERM);
    let ended = running.end();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("standard input: stopped by a signal before its end"), "{ended:?}");
}
