//! A read of the program's output that fails is no end of it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::cli::{Ended, Scratch, skipped, succeeds};
use crate::{content, holds, shell};

/// Runs it with these calls of read failing in `exec` itself, under strace.
fn under(log: &Path, trace: &Path, inject: &str, script: &str) -> Ended {
    let inject = format!("--inject=read:{inject}");
    let mut arguments = vec!["-qq", "-o", trace.to_str().unwrap(), "-e", "trace=read"];
    if inject.contains("error") {
        arguments.push(&inject);
    }
    shell(log, &[], script).through("strace", &arguments).run()
}

/// Which call of read is the one that meets the program's first words.
fn first_read(scratch: &Scratch, script: &str) -> Option<usize> {
    if !succeeds(Command::new("strace").args(["-qq", "-o", "/dev/null", "true"])) {
        return None;
    }
    let (log, trace) = (scratch.file("probe.log"), scratch.file("probe"));
    assert_eq!(under(&log, &trace, "", script).code, 0);
    let trace = fs::read_to_string(&trace).unwrap();
    Some(trace.lines().position(|line| line.contains("\"hello")).unwrap() + 1)
}

const SCRIPT: &str = "echo hello; echo good bye";

#[test]
fn a_read_that_fails_is_said_and_costs_nothing() {
    let scratch = Scratch::new();
    let Some(first) = first_read(&scratch, SCRIPT) else {
        return skipped("a read that fails is said", "there is no strace(1) here, or it may not trace");
    };
    for (error, words) in [("EIO", "Input/output error"), ("ENOMEM", "Cannot allocate memory")] {
        let log = scratch.file(error);
        let inject = format!("error={error}:when={first}..{}", first + 1);
        let ended = under(&log, &scratch.file("trace"), &inject, SCRIPT);
        assert_eq!(ended.code, 0, "{ended:?}");
        // The end of the other stream may be read first.
        assert!(ended.stderr.contains(&format!(": read failed: {words}")), "{ended:?}");
        holds(&log, &["hello", "good bye"]);
    }
}

#[test]
fn output_that_cannot_be_read_at_all_is_a_failure_with_its_bytes() {
    let scratch = Scratch::new();
    let Some(first) = first_read(&scratch, SCRIPT) else {
        return skipped(
            "output that cannot be read is counted",
            "there is no strace(1) here, or it may not trace",
        );
    };
    for (end, code) in [("true", 1), ("exit 7", 7)] {
        let log = scratch.file(end);
        let script = format!("{SCRIPT}; {end}");
        let ended = under(&log, &scratch.file("trace"), &format!("error=EIO:when={first}+"), &script);
        assert_eq!(ended.code, code, "{ended:?}");
        assert!(ended.stderr.contains("(15 bytes were not stored)\n"), "{ended:?}");
        assert_eq!(content(&log), "");
    }
}
