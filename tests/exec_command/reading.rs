//! A read of the program's output that fails is no end of it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::cli::{Ended, Scratch, skipped, succeeds};
use crate::{content, shell};

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
    under(&log, &trace, "", script);
    let trace = fs::read_to_string(&trace).unwrap();
    Some(trace.lines().position(|line| line.contains("\"hello")).unwrap() + 1)
}

const SCRIPT: &str = "echo hello; echo good bye";

/// Runs it until the failing reads have met the program's words: how many reads come before is not always the same, and
/// those that were counted may have been more than most have.
fn failing(scratch: &Scratch, error: &str, last: &str, script: &str, met: &str) -> Option<(Ended, String)> {
    let first = first_read(scratch, script)?;
    let attempts = (0..100).map(|attempt| {
        let log = scratch.file(&format!("{attempt}.log"));
        let inject = format!("error={error}:when={}{last}", first.saturating_sub(attempt % 4).max(1));
        let ended = under(&log, &scratch.file("trace"), &inject, script);
        (ended, content(&log))
    });
    let met = |(ended, _): &(Ended, String)| ended.stderr.contains(met);
    Some(attempts.into_iter().find(met).unwrap())
}

#[test]
fn a_read_that_fails_is_said_and_costs_nothing() {
    for (error, words) in [("EIO", "Input/output error"), ("ENOMEM", "Cannot allocate memory")] {
        let scratch = Scratch::new();
        let Some((ended, stored)) = failing(&scratch, error, "", SCRIPT, "standard output: read failed")
        else {
            return skipped("a read that fails is said", "there is no strace(1) here, or it may not trace");
        };
        assert_eq!((ended.code, stored.as_str()), (0, "hello\ngood bye\n"), "{ended:?}");
        let said = format!("mmlogctl: the program's standard output: read failed: {words}");
        assert!(ended.stderr.starts_with(&said), "{ended:?}");
    }
}

#[test]
fn output_that_cannot_be_read_at_all_is_a_failure_with_its_bytes() {
    for (end, code) in [("true", 1), ("exit 7", 7)] {
        let scratch = Scratch::new();
        let Some((ended, stored)) =
            failing(&scratch, "EIO", "+", &format!("{SCRIPT}; {end}"), "bytes were not stored)")
        else {
            return skipped("unread output is counted", "there is no strace(1) here, or it may not trace");
        };
        assert_eq!(ended.code, code, "{ended:?}");
        let said = format!("({} bytes were not stored)\n", "hello\ngood bye\n".len() - stored.len());
        assert!(ended.stderr.contains(&said), "{ended:?}");
    }
}
