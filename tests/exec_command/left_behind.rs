//! Processes that a program leaves behind with its output open.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::cli::{Scratch, wait_for};
use crate::signals::end;
use crate::{content, holds, line_after, shell};

fn fifo(scratch: &Scratch) -> PathBuf {
    let path = scratch.file("fifo");
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    path
}

fn until_gone(pid: &str) {
    let process = format!("/proc/{pid}");
    wait_for("the process is gone", || (!Path::new(&process).exists()).then_some(()));
}

#[test]
fn a_process_left_behind_is_not_waited_for_and_nothing_said_before_is_lost() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let ended = shell(&log, &[], "sleep 1000 & echo sleeper $!; echo hi; printf rest >&2; exit 7").run();
    assert_eq!((ended.code, ended.stderr.as_str()), (7, ""));
    let sleeper = line_after(&log, "sleeper ");
    end(&sleeper);
    holds(&log, &[&format!("sleeper {sleeper}"), "hi", "rest"]);
}

#[test]
fn a_process_left_behind_that_never_stops_writing_keeps_nobody() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    // It ends by itself, of SIGPIPE.
    shell(&log, &[], "yes & echo hi").run().is_success();
    let content = content(&log);
    assert!(content.lines().any(|line| line == "hi"));
    assert!(content.lines().all(|line| line == "hi" || line == "y"));
}

#[test]
fn a_process_left_behind_meets_a_closed_pipe() {
    let scratch = Scratch::new();
    let (log, fifo, result) = (scratch.file("app.log"), fifo(&scratch), scratch.file("result"));
    let left = "trap '' PIPE; read go <$0; /bin/echo late 2>$1.said && r=stored || r=refused; echo $r >$1";
    let script = format!("({left}) & echo hi");
    let tool = shell(&log, &[], &script).arg(&fifo).arg(&result);
    tool.run().is_success();
    fs::write(&fifo, "\n").unwrap();
    wait_for("the result", || (fs::read_to_string(&result).ok()? == "refused\n").then_some(()));
    holds(&log, &["hi"]);
}

#[test]
fn until_closed_stores_what_a_process_left_behind_says() {
    let scratch = Scratch::new();
    let (log, fifo) = (scratch.file("app.log"), fifo(&scratch));
    let script = "(read go <$0; echo late) & echo program $$; exit 7";
    let running = shell(&log, &["--until-closed"], script).arg(&fifo).start();
    let program = line_after(&log, "program ");
    until_gone(&program);
    fs::write(&fifo, "\n").unwrap();
    assert_eq!(running.end().code, 7);
    holds(&log, &[&format!("program {program}"), "late"]);
}

#[test]
fn a_signal_ends_until_closed() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let script = "sleep 1000 & echo sleeper $!; echo program $$; exit 7";
    let running = shell(&log, &["--until-closed"], script).start();
    let (sleeper, program) = (line_after(&log, "sleeper "), line_after(&log, "program "));
    until_gone(&program);
    running.signal(Signal::SIGTERM);
    assert_eq!(running.end().code, 7);
    end(&sleeper);
}
