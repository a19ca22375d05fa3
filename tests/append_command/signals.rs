//! TERM, INT and HUP: what a producer has handed over is stored, then it ends.

use nix::sys::signal::Signal;

use crate::cli::{IGNORED, Running, Scratch, is_ignored, skipped};
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
fn a_signal_to_one_that_waits_for_input_ends_it_well() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        if is_ignored(signal) {
            skipped(&format!("a signal ends it well: {signal}"), IGNORED);
            continue;
        }
        let scratch = Scratch::new();
        let mut running = appending(&scratch, &[]);
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
    for (signal, options) in [(Signal::SIGTERM, &[][..]), (Signal::SIGINT, &["--linger=1h"])] {
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
    let mut running = append(&log, &["--linger=1h"]).start();
    running.until_open(&crate::cli::metadata_of(&log));
    running.feed(b"one\ntwo\n");
    running.signal(Signal::SIGTERM);
    let open = running.stdin.take();
    running.end().is_success();
    drop(open);
    holds(&log, b"one\ntwo\n");
}
