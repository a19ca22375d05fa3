//! Signals reach the program, each once, and the program decides what becomes of it.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::cli::{
    IGNORED, Scratch, Tool, finals, is_ignored, metadata_of, mmlogctl, skipped, succeeds, wait_for,
};
use crate::{content, holds, line_after, shell};

#[test]
fn a_signal_is_sent_on_and_the_exit_code_is_the_programs() {
    let signals = [
        (Signal::SIGTERM, "TERM"),
        (Signal::SIGINT, "INT"),
        (Signal::SIGHUP, "HUP"),
        (Signal::SIGQUIT, "QUIT"),
        (Signal::SIGUSR1, "USR1"),
        (Signal::SIGUSR2, "USR2"),
        (Signal::SIGWINCH, "WINCH"),
    ];
    for (signal, name) in signals {
        if is_ignored(signal) {
            skipped(&format!("a signal is sent on: {name}"), IGNORED);
            continue;
        }
        let scratch = Scratch::new();
        let log = scratch.file("app.log");
        let script =
            format!("sleep 1000 & trap 'kill $!; echo {name} came; exit 7' {name}; echo ready; wait");
        let running = shell(&log, &[], &script).start();
        line_after(&log, "ready");
        running.signal(signal);
        let ended = running.end();
        assert_eq!((ended.code, ended.stderr.as_str()), (7, ""), "{name}");
        holds(&log, &["ready", &format!("{name} came")]);
    }
}

#[test]
fn a_program_that_does_not_end_is_not_left() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let script =
        "trap 'echo TERM' TERM; trap 'exit 7' USR1; sleep 1000 & echo sleeper $!; wait; echo goes on; wait";
    let running = shell(&log, &[], script).start();
    let sleeper = line_after(&log, "sleeper ");
    running.signal(Signal::SIGTERM);
    line_after(&log, "goes on");
    running.signal(Signal::SIGUSR1);
    assert_eq!(running.end().code, 7);
    end(&sleeper);
    holds(&log, &[&format!("sleeper {sleeper}"), "TERM", "goes on"]);
}

#[test]
fn what_a_program_says_after_a_signal_is_bounded_by_the_policy_still() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let script = "trap 'seq 1000000 1149999; exit 7' TERM; echo ready; while :; do sleep 0.01; done";
    let running = shell(&log, &["--rotate-size=64K", "--keep=1"], script).start();
    line_after(&log, "ready");
    running.signal(Signal::SIGTERM);
    assert_eq!(running.end().code, 7);
    let generation = mmlog::Log::options().open_reader(&log).unwrap().generation();
    let finals = finals(&log).len();
    assert!(generation >= 4 && finals <= 2, "{finals} final segments of {generation}");
    assert!(content(&log).ends_with("\n1149998\n1149999\n"));
}

#[test]
fn a_signal_without_a_trap_ends_both() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let running = shell(&log, &[], "echo ready; exec sleep 1000").start();
    line_after(&log, "ready");
    running.signal(Signal::SIGTERM);
    let ended = running.end();
    assert_eq!((ended.code, ended.stderr.as_str()), (143, ""));
}

#[test]
fn an_interrupt_from_a_terminal_reaches_the_program_once() {
    if is_ignored(Signal::SIGINT) {
        return skipped("an interrupt from a terminal reaches the program once", IGNORED);
    }
    if !succeeds(Command::new("script").arg("--version")) {
        return skipped(
            "an interrupt from a terminal reaches the program once",
            "there is no script(1) here",
        );
    }
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let program = "trap 'echo INT' INT; trap 'exit 7' TERM; echo parent $PPID; while :; do read go; done";
    // Without a shell in between, which would die of the interrupt in its own right.
    let line =
        format!("exec {} exec {} -- sh -c \"{program}\"", env!("CARGO_BIN_EXE_mmlogctl"), log.display());
    let line = line.replace("$PPID", "\\$PPID");
    let mut terminal = Tool::new("script").args(["-q", "-e", "-c", &line, "/dev/null"]).start();
    let parent: i32 = line_after(&log, "parent ").parse().unwrap();
    terminal.feed(b"\x03");
    line_after(&log, "INT");
    // A second one would be sent on before this.
    kill(Pid::from_raw(parent), Signal::SIGTERM).unwrap();
    assert_eq!(terminal.end().code, 7);
    assert_eq!(content(&log), format!("parent {parent}\nINT\n"));
}

/// Ends a process that a program of ours left behind.
pub(crate) fn end(pid: &str) {
    kill(Pid::from_raw(pid.parse().unwrap()), Signal::SIGKILL).unwrap();
}

/// A process that is stopped, and does not stay so.
struct Stopped(Pid);

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
    }
}

#[test]
fn a_program_that_is_stopped_under_exec_or_before_a_pipe_is_seen_as_its_writer_would_be() {
    let scratch = Scratch::new();
    let told = |log: &Path| {
        let status: Value =
            serde_json::from_slice(&mmlogctl("status", log).arg("--json").run().stdout).unwrap();
        status["findings"].as_array().unwrap().iter().find(|f| f["id"] == "writer-stopped").cloned()
    };
    let is_told = |log: &Path, pid: Pid, name: &str| {
        kill(pid, Signal::SIGSTOP).unwrap();
        let found = wait_for("the finding", || told(log));
        assert_eq!((&found["pid"], &found["severity"]), (&pid.as_raw().into(), &"warning".into()));
        let sentence = found["sentence"].as_str().unwrap();
        assert!(sentence.contains(&format!("process {pid} ({name}), whose output writer ")), "{sentence}");
        assert!(found["next_step"].as_str().unwrap().starts_with(&format!("`kill -CONT {pid}`")), "{found}");
        assert_eq!(mmlogctl("check", log).run().code, 1);
        kill(pid, Signal::SIGCONT).unwrap();
        wait_for("its end", || told(log).is_none().then_some(()));
    };
    let log = scratch.log(b"");
    let exec = mmlogctl("exec", &log).args(["--", "sleep", "1000"]).start();
    let is_it =
        |pid: &Pid| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sleep\n");
    let program = wait_for("the program", || Some(exec.innermost()).filter(is_it));
    let _program = Stopped(program);
    is_told(&log, program, "sleep 1000");
    let other = scratch.file("other.log");
    let (read_end, write_end) = std::io::pipe().unwrap();
    let feeds = Tool::new("sleep").arg("1001").stdout(write_end).start();
    let append = mmlogctl("append", &other).stdin(read_end).start();
    append.until_open(&metadata_of(&other));
    is_told(&other, Pid::from_raw(feeds.pid().cast_signed()), "sleep 1001");
}
