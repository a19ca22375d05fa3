//! Guards what `mmlogctl tail` prints: on logs at rest what GNU tail prints, on live ones exactly the committed bytes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "tail_command/acks.rs"]
mod acks;
mod cli;
#[path = "tail_command/delivery.rs"]
mod delivery;
#[path = "tail_command/fingers.rs"]
mod fingers;
#[path = "tail_command/follow.rs"]
mod follow;
#[path = "tail_command/forms.rs"]
mod forms;
#[path = "tail_command/place.rs"]
mod place;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use cli::{Scratch, Tool, mmlogctl, skipped};

fn tail(log: &Path, options: &[&str]) -> Tool {
    mmlogctl("tail", log).args(options)
}

/// Appends bytes as they are.
#[track_caller]
fn append(log: &Path, bytes: &[u8]) {
    mmlogctl("append", log).args(["--raw", "--chunk-size=64K"]).input(bytes).run().is_success();
}

/// A process for `--pid`: it ends when its standard input does.
fn watched() -> Child {
    Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
}

fn has_gnu_tail() -> bool {
    let version = Command::new("tail").arg("--version").output();
    version.is_ok_and(|o| String::from_utf8_lossy(&o.stdout).contains("GNU coreutils"))
}

/// What GNU tail prints of data files at rest.
fn gnu(files: &[&Path], options: &[&str]) -> Vec<u8> {
    Tool::new("tail").args(options).args(files).run().stdout
}

/// Contents with all the ends and line lengths that matter, some larger than one read.
fn contents() -> Vec<(&'static str, Vec<u8>)> {
    let numbered = |n: usize| (0..n).map(|i| format!("line {i}\n")).collect::<String>().into_bytes();
    let binary: Vec<u8> =
        (0..20_000_u32).flat_map(|i| (i.wrapping_mul(2_654_435_761) >> 7).to_le_bytes()).collect();
    vec![
        ("empty", b"".to_vec()),
        ("a newline", b"\n".to_vec()),
        ("newlines", b"\n\n\n".to_vec()),
        ("a line", b"one\n".to_vec()),
        ("no last newline", b"one\ntwo\nthree".to_vec()),
        ("no newline at all", b"one".to_vec()),
        ("twelve lines", numbered(12)),
        ("many lines", numbered(60_000)),
        ("binary", binary),
        ("a long line", [&b"first\n"[..], &vec![b'x'; 300 << 10], b"\nlast"].concat()),
        ("NULs", [&b"a\n"[..], &[0; 1000], b"\nb\n"].concat()),
    ]
}

fn compare(counts: &[&str], letter: &str) {
    if !has_gnu_tail() {
        return skipped("tail prints what GNU tail prints", "there is no GNU tail here");
    }
    for (name, content) in contents() {
        let scratch = Scratch::new();
        let log = scratch.file("app.log");
        append(&log, &content);
        for count in counts {
            let option = format!("{letter}{count}");
            let ours = tail(&log, &[&option]).run();
            ours.is_success();
            assert!(ours.stdout == gnu(&[&log], &[&option]), "{name}, {option}: {ours:?}");
        }
    }
}

#[test]
fn the_last_lines_are_those_of_gnu_tail() {
    compare(&["0", "1", "2", "3", "10", "11", "12", "1000", "59999", "60000", "60001", "-5", "1K"], "-n");
}

#[test]
fn the_lines_from_the_nth_on_are_those_of_gnu_tail() {
    compare(&["+0", "+1", "+2", "+3", "+12", "+13", "+59999", "+60001", "+1000000"], "-n");
}

#[test]
fn the_last_bytes_are_those_of_gnu_tail() {
    compare(
        &["0", "1", "2", "3", "4", "13", "14", "1000", "262143", "262144", "262145", "307000", "1M"],
        "-c",
    );
}

#[test]
fn the_bytes_from_the_nth_on_are_those_of_gnu_tail() {
    compare(&["+0", "+1", "+2", "+4", "+14", "+15", "+262144", "+262145", "+307000", "+10M"], "-c");
}

#[test]
fn without_options_it_is_the_last_ten_lines() {
    compare(&[""], "-v");
}

#[test]
fn headers_are_those_of_gnu_tail() {
    if !has_gnu_tail() {
        return skipped("headers are those of GNU tail", "there is no GNU tail here");
    }
    let scratch = Scratch::new();
    let logs: Vec<PathBuf> = contents()[..7]
        .iter()
        .map(|(name, content)| {
            let log = scratch.file(name);
            append(&log, content);
            log
        })
        .collect();
    let logs: Vec<&Path> = logs.iter().map(PathBuf::as_path).collect();
    for options in [&[][..], &["-q"], &["-v"], &["-n1"], &["-c", "+3"], &["-n", "+2", "-v"], &["-q", "-v"]] {
        for logs in [&logs[..], &logs[..1], &logs[4..6]] {
            let ours = mmlogctl("tail", logs[0]).args(&logs[1..]).args(options).run();
            ours.printed(&gnu(logs, options));
        }
    }
}

#[test]
fn one_log_that_fails_does_not_keep_the_others_from_being_printed() {
    let scratch = Scratch::new();
    let (first, missing, last) = (scratch.file("first"), scratch.file("missing"), scratch.file("last"));
    append(&first, b"one\n");
    append(&last, b"two\n");
    for command in ["tail", "cat"] {
        let ended = mmlogctl(command, &first).arg(&missing).arg(&last).run();
        ended.is_refused(1, &missing, &["no such log"]);
        assert!(ended.text().contains("one\n") && ended.text().contains("two\n"), "{ended:?}");
    }
}

#[test]
fn contradicting_options_are_usage_errors() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, b"one\n");
    for wrong in [
        &["-n", "many"][..],
        &["-c", "-"],
        &["--pid=1"],
        &["-n1", "--from=0"],
        &["--holes=some"],
        &["-o", "xml"],
        &["--cursor-file=c", "another"],
    ] {
        let ended = tail(&log, wrong).run();
        assert!(
            ended.code == 2 && ended.stdout.is_empty() && !ended.stderr.is_empty(),
            "{wrong:?} {ended:?}"
        );
    }
}
