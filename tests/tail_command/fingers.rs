//! What fingers know of GNU tail: counts without a letter, `--follow=name`, `--retry`, `-z`, `-s`.

use nix::sys::signal::Signal;

use crate::cli::{Scratch, Tool, mmlogctl, skipped};
use crate::{append, gnu, has_gnu_tail, tail};

/// Options before the log, as GNU tail wants those.
fn ours(options: &[&str], log: &std::path::Path) -> crate::cli::Ended {
    Tool::new(env!("CARGO_BIN_EXE_mmlogctl")).arg("tail").args(options).arg(log).run()
}

#[test]
fn counts_without_a_letter_and_lines_that_end_with_nul_are_those_of_gnu_tail() {
    if !has_gnu_tail() {
        return skipped("counts without a letter are those of GNU tail", "there is no GNU tail here");
    }
    let lines: String = (0..3000).map(|n| format!("line {n}\n")).collect();
    for content in [lines.as_bytes(), &lines.replace('\n', "\0").into_bytes(), b"a\0b\nc\0d", b"\0\0", b""] {
        let scratch = Scratch::new();
        let log = scratch.file("app.log");
        append(&log, content);
        for options in [
            &["-50"][..],
            &["-1"],
            &["-0"],
            &["-5c"],
            &["-1b"],
            &["-7l"],
            &["+2998"],
            &["+10c"],
            &["-z", "-n2"],
            &["-z", "-n", "+2"],
            &["--zero-terminated", "-n", "1000"],
            &["-zn1"],
            &["-s", "0.1", "-n1"],
        ] {
            let ended = ours(options, &log);
            ended.is_success();
            assert!(ended.stdout == gnu(&[&log], options), "{options:?}: {ended:?}");
        }
    }
    // Of several, and behind the log, where GNU tail has none.
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, lines.as_bytes());
    tail(&log, &["-2"]).run().printed(b"line 2998\nline 2999\n");
    tail(&log, &["-q", "-1"]).arg(&log).run().printed(b"line 2999\nline 2999\n");
    tail(&log, &["-n", "-1"]).run().printed(b"line 2999\n");
}

#[test]
fn a_count_with_f_follows() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, b"one\ntwo\n");
    let running = tail(&log, &["-1f", "-s", "1"]).start();
    running.until_stdout(|printed| printed == b"two\n");
    append(&log, b"three\n");
    running.until_stdout(|printed| printed == b"two\nthree\n");
    running.signal(Signal::SIGTERM);
    running.end().printed(b"two\nthree\n");
}

#[test]
fn by_name_a_log_made_anew_is_followed_and_one_that_is_removed_ends_it() {
    let scratch = Scratch::new();
    let (log, next) = (scratch.file("app.log"), scratch.file("next.log"));
    let missing = tail(&log, &["--follow=name"]).run();
    assert!(missing.code == 1 && missing.stderr.contains("no such log"), "{missing:?}");
    append(&log, b"old\n");
    append(&next, b"new\n");
    let running = tail(&log, &["--follow=name", "-n1"]).start();
    running.until_stdout(|printed| printed == b"old\n");
    // Both files have other names at the same moment; what is between is no removal.
    std::fs::rename(&next, &log).unwrap();
    std::fs::rename(scratch.file("next.log.mmlog"), scratch.file("app.log.mmlog")).unwrap();
    running.until_stdout(|printed| printed == b"old\nnew\n");
    mmlogctl("rm", &log).arg("--force").run().is_success();
    let ended = running.end();
    assert_eq!((ended.code, ended.stdout.as_slice()), (1, &b"old\nnew\n"[..]), "{ended:?}");
    assert!(ended.stderr.contains("the log was removed; --retry would wait"), "{ended:?}");
}

#[test]
fn retry_waits_for_a_log_that_is_to_come() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    for options in [&["-f", "--retry"][..], &["--follow=name", "--retry"]] {
        let running = tail(&log, options).start();
        running.until_stderr("waiting for it");
        append(&log, b"one\n");
        running.until_stdout(|printed| printed == b"one\n");
        running.signal(Signal::SIGTERM);
        assert_eq!(running.end().code, 0);
        mmlogctl("rm", &log).arg("--force").run().is_success();
    }
    let ended = tail(&log, &["--retry"]).run();
    assert!(ended.code == 1 && ended.stderr.contains("--retry is ignored"), "{ended:?}");
}

#[test]
fn what_contradicts_itself_is_refused_in_words() {
    let scratch = Scratch::new();
    let log = scratch.log(b"a\n");
    for (options, said) in [
        (&["-z", "--holes", "nul"][..], "--holes nul prints what ends lines under -z"),
        (&["-s", "soon"], "not a number of seconds"),
        (&["--follow=path"], "descriptor, name"),
    ] {
        let ended = tail(&log, options).run();
        assert!(ended.code == 2 && ended.stderr.contains(said), "{options:?}: {ended:?}");
    }
}
