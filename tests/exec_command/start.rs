//! How the program is started, what it finds, and what its end and ours have to do with each other.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{SigSet, Signal};

use crate::cli::{Scratch, mmlogctl, wait_for};
use crate::{content, exec, holds, line_after, shell};

#[test]
fn the_exit_code_is_the_programs() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    for code in [0, 1, 7, 125, 255] {
        let ended = shell(&log, &[], &format!("echo said; exit {code}")).run();
        assert_eq!((ended.code, ended.stderr.as_str()), (code, ""));
    }
    holds(&log, &["said"; 5]);
}

#[test]
fn a_signal_that_ended_the_program_is_told_as_a_shell_tells_it() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    for (name, code) in [("KILL", 137), ("TERM", 143), ("SEGV", 139)] {
        let ended = shell(&log, &[], &format!("echo said; kill -{name} $$")).run();
        assert_eq!((ended.code, ended.stderr.as_str()), (code, ""), "{name}");
    }
    holds(&log, &["said"; 3]);
}

#[test]
fn a_program_that_is_not_there_is_127_and_one_that_cannot_be_run_126() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let plain = scratch.file("plain");
    fs::write(&plain, "echo hello\n").unwrap();
    let cases = [
        (Path::new("no-such-program-anywhere"), 127, "No such file or directory"),
        (Path::new("/no/such/program"), 127, "No such file or directory"),
        (&plain, 126, "Permission denied"),
        (scratch.path(), 126, "Permission denied"),
    ];
    for (program, code, why) in cases {
        let ended = exec(&log, &[], &[program.to_str().unwrap(), "--argument"]).run();
        ended.is_refused(code, program, &["cannot be run: ", why]);
    }
    holds(&log, &[]);
}

#[test]
fn without_a_log_there_is_no_program() {
    let scratch = Scratch::new();
    let ran = scratch.file("ran");
    let touch = ["touch", ran.to_str().unwrap()];
    let missing = scratch.file("app.log");
    exec(&missing, &["--no-create"], &touch).run().is_refused(125, &missing, &["no such log"]);
    exec(scratch.path(), &[], &touch).run().is_refused(125, scratch.path(), &["not a regular file"]);
    let nowhere = scratch.file("no/such/log");
    exec(&nowhere, &[], &touch).run().is_refused(125, &nowhere, &["No such file or directory"]);
    assert!(!ran.exists());
}

#[test]
fn a_wrong_command_line_is_125() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    assert_eq!(mmlogctl("exec", &log).run().code, 125);
    assert_eq!(mmlogctl("exec", &log).arg("--").run().code, 125);
    assert_eq!(exec(&log, &["--nonsense"], &["true"]).run().code, 125);
    assert!(!log.exists());
}

#[test]
fn the_program_has_our_standard_input_and_its_arguments_as_they_are() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    exec(&log, &[], &["cat"]).input(b"one\ntwo").run().printed(b"");
    exec(&log, &[], &["printf", "%s\n", "a  b", "--tee", "--", "-h", "$HOME"]).run().printed(b"");
    holds(&log, &["one", "two", "a  b", "--tee", "--", "-h", "$HOME"]);
}

#[test]
fn a_program_that_closes_its_output_is_waited_for() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut running = shell(&log, &[], "echo said; exec >&- 2>&-; read go; exit 6").start();
    wait_for("the line", || (content(&log) == "said\n").then_some(()));
    running.feed(b"\n");
    assert_eq!(running.end().code, 6);
}

#[test]
fn what_lies_in_the_pipes_when_the_program_ends_is_stored() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    // 700 000 bytes, which are not read at once.
    let mut running = shell(&log, &[], "echo program $$; read go; seq 100000 199999; exit 7").start();
    let status = format!("/proc/{}/status", line_after(&log, "program "));
    running.signal(Signal::SIGSTOP);
    running.feed(b"\n");
    wait_for("the end of the program", || {
        fs::read_to_string(&status).unwrap().contains("State:\tZ").then_some(())
    });
    running.signal(Signal::SIGCONT);
    assert_eq!(running.end().code, 7);
    assert_eq!(content(&log).lines().skip(1).count(), 100_000);
}

#[test]
fn the_program_has_no_descriptor_of_ours() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let list = ["ls", "/proc/self/fd"];
    let without = Command::new(list[0]).arg(list[1]).output().unwrap().stdout;
    exec(&log, &[], &list).run().printed(b"");
    assert_eq!(content(&log), String::from_utf8(without).unwrap());
}

/// A mask of /proc/PID/status.
fn mask(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap()
}

#[test]
fn the_program_has_signals_as_our_caller_had_them() {
    const HUP: u64 = 1;
    const PIPE: u64 = 1 << 12;
    // What a thread library keeps for itself.
    const NAMED: u64 = (1 << 31) - 1;
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let status = ["cat", "/proc/self/status"];
    let direct = Command::new(status[0]).arg(status[1]).output().unwrap().stdout;
    let direct = String::from_utf8(direct).unwrap();
    exec(&log, &[], &status).run().printed(b"");
    let is = content(&log);
    for name in ["SigBlk:", "SigIgn:", "SigCgt:"] {
        assert_eq!(mask(&is, name) & NAMED, mask(&direct, name) & NAMED, "{name}");
    }
    assert_eq!(mask(&is, "SigIgn:") & PIPE, 0, "SIGPIPE");

    let log = scratch.file("ignoring.log");
    let ignoring = |trap: &str, status: &[&str]| {
        let script = format!("trap '' {trap}; exec \"$@\"");
        exec(&log, &[], status).through("sh", &["-c", &script, "sh"]).run().printed(b"");
        mask(content(&log).lines().rfind(|line| line.starts_with("SigIgn:")).unwrap(), "SigIgn:")
    };
    assert_eq!(ignoring("HUP", &status) & HUP, HUP);
    // An exception, and the way round it that the page names.
    assert_eq!(ignoring("PIPE", &status) & PIPE, 0);
    let shell = ["sh", "-c", "trap '' PIPE; exec \"$0\" \"$@\""];
    assert_eq!(ignoring("PIPE", &[&shell[..], &status].concat()) & PIPE, PIPE);

    // Blocked in this thread, so in what it starts.
    let log = scratch.file("blocking.log");
    SigSet::from_iter([Signal::SIGUSR1]).thread_block().unwrap();
    exec(&log, &[], &status).run().printed(b"");
    assert_eq!(mask(&content(&log), "SigBlk:"), 1 << (Signal::SIGUSR1 as i32 - 1));
}
