//! Guards `mmlogctl exec`: what a program says is in the log, and the program does not notice that we are there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;

#[path = "exec_command/full.rs"]
mod full;
#[path = "exec_command/left_behind.rs"]
mod left_behind;
#[path = "exec_command/reading.rs"]
mod reading;
#[path = "exec_command/signals.rs"]
mod signals;
#[path = "exec_command/start.rs"]
mod start;

use std::path::Path;

use cli::{Scratch, Tool, mmlogctl, wait_for};

fn exec(log: &Path, options: &[&str], command: &[&str]) -> Tool {
    mmlogctl("exec", log).args(options).arg("--").args(command)
}

fn shell(log: &Path, options: &[&str], script: &str) -> Tool {
    exec(log, options, &["sh", "-c", script])
}

fn content(log: &Path) -> String {
    String::from_utf8(mmlogctl("cat", log).run().stdout).unwrap()
}

#[track_caller]
fn holds(log: &Path, lines: &[&str]) {
    let content = content(log);
    let mut is: Vec<&str> = content.lines().collect();
    is.sort_unstable();
    let mut wanted = lines.to_vec();
    wanted.sort_unstable();
    assert_eq!(is, wanted);
    assert!(content.is_empty() || content.ends_with('\n'), "{content:?}");
}

/// The rest of the line that begins with this, once the log has it whole.
fn line_after(log: &Path, start: &str) -> String {
    wait_for("the line", || content(log).lines().find_map(|line| line.strip_prefix(start).map(str::to_owned)))
}

#[test]
fn both_streams_are_stored_and_nothing_is_printed() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    shell(&log, &[], "echo out; echo err >&2").run().printed(b"");
    holds(&log, &["out", "err"]);
}

#[test]
fn a_missing_last_newline_is_added_to_each_stream() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    shell(&log, &[], "printf 'one\\nout'; printf err >&2").run().printed(b"");
    holds(&log, &["one", "out", "err"]);
}

#[test]
fn a_line_has_bytes_of_one_stream_only() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let script = "printf a; printf 1 >&2; printf b; printf 2 >&2; echo c; echo 3 >&2; printf d; printf 4 >&2";
    shell(&log, &[], script).run().printed(b"");
    holds(&log, &["abc", "123", "d", "4"]);
}

#[test]
fn every_line_of_much_output_of_both_streams_is_stored_once_and_in_order() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    // 28.8 MB each.
    let script = "seq 10000000 13199999 & seq 50000000 53199999 >&2; wait";
    shell(&log, &[], script).run().printed(b"");
    let all = mmlogctl("cat", &log).run().stdout;
    assert_eq!(all.len(), 2 * 3_200_000 * 9);
    let mut next = [10_000_000, 50_000_000];
    for line in all.split_inclusive(|byte| *byte == b'\n') {
        let number: u32 = str::from_utf8(line).unwrap().trim_end().parse().unwrap();
        let next = &mut next[usize::from(number >= 50_000_000)];
        assert_eq!(number, *next);
        *next += 1;
    }
    assert_eq!(next, [13_200_000, 53_200_000]);
}

#[test]
fn streams_have_their_prefixes_and_the_time() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let script = "echo out; echo err >&2";
    shell(&log, &["--prefix=app: "], script).run().printed(b"");
    shell(&log, &["--prefix=o: ", "--stderr-prefix=e: "], script).run().printed(b"");
    holds(&log, &["app: out", "app: err", "o: out", "e: err"]);

    let log = scratch.file("timed.log");
    shell(&log, &["--timestamp", "--stderr-prefix=e: "], script).run().printed(b"");
    let content = content(&log);
    let lines = content.lines().map(|line| line.split_once(' ').unwrap());
    let mut ends: Vec<&str> = lines
        .map(|(time, rest)| {
            time.parse::<jiff::Timestamp>().unwrap();
            rest
        })
        .collect();
    ends.sort_unstable();
    assert_eq!(ends, ["e: err", "out"]);
}

#[test]
fn tee_copies_each_stream_to_its_own() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let ended = shell(&log, &["--tee", "--prefix=> "], "printf out; echo err >&2; exit 3").run();
    assert_eq!((ended.code, ended.text().as_str(), ended.stderr.as_str()), (3, "> out\n", "> err\n"));
    holds(&log, &["> out", "> err"]);
}

#[test]
fn a_copy_that_breaks_stops_neither_the_log_nor_the_program() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut running = shell(&log, &["--tee"], "read go; seq 100000; exit 3").start_unread();
    drop(running.unread.take());
    running.feed(b"\n");
    let ended = running.end();
    assert_eq!(ended.code, 3);
    assert_eq!(ended.stderr, "mmlogctl: standard output: closed; the log goes on without the copy\n");
    assert_eq!(content(&log).lines().count(), 100_000);
}

#[test]
fn with_tee_ends_the_program_meets_what_it_would_without_us() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let script = "echo one; read go; trap '' TERM; while echo more; do :; done; echo failed >&2; exit 7";
    let mut running = shell(&log, &["--tee-ends"], script).start_unread();
    line_after(&log, "one");
    drop(running.unread.take());
    running
        .until_stderr("standard output: closed; the program's standard output is closed, too (--tee-ends)\n");
    running.feed(b"\n");
    // A shell that does not die of SIGPIPE sees EPIPE.
    let ended = running.end();
    assert!([7, 141].contains(&ended.code), "{ended:?}");
    assert_eq!(content(&log).lines().next(), Some("one"));
}

#[test]
fn lines_that_linger_are_stored_when_the_program_ends() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    shell(&log, &["--linger=1h"], "echo one; echo two").run().printed(b"");
    holds(&log, &["one", "two"]);
    let mut running = shell(&log, &["--linger=1ms"], "echo three; read go").start();
    wait_for("what lingered", || content(&log).contains("three\n").then_some(()));
    running.feed(b"\n");
    running.end().is_success();
}
