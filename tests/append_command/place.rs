//! The log's own files as input and output, and a log that is taken away from under an appender.

use std::fs::{self, File};

use crate::cli::{Running, Scratch, Tool, metadata_of, mmlogctl};
use crate::{append, holds, wait_until_it_holds};

#[test]
fn a_log_is_not_appended_to_itself() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\ntwo\n");
    mmlogctl("rotate", &log).run();
    append(&log, &[]).input(b"three\n").run().is_success();
    let open = append(&log, &[]).start();
    open.until_open(&metadata_of(&log));
    let segments = fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = segments.collect();
    assert_eq!(files.len(), 3, "data, metadata, an old segment: {files:?}");
    for file in files {
        let ended = append(&log, &[]).stdin(File::open(&file).unwrap()).start().end();
        let step = format!("`mmlogctl cat {} > COPY`", log.display());
        ended.is_refused(1, &log, &["standard input is a file of this log; ", &step]);
    }
    open.end().is_success();
    holds(&log, b"one\ntwo\nthree\n");
    // A copy is as good as any other input.
    let copy = scratch.file("copy");
    fs::copy(&log, &copy).unwrap();
    append(&log, &[]).stdin(File::open(&copy).unwrap()).start().end().is_success();
    holds(&log, b"one\ntwo\nthree\nthree\n");
}

#[test]
fn copies_are_not_written_over_the_log() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    for option in ["--tee", "--tee-ends"] {
        let over = File::options().write(true).open(&log).unwrap();
        let ended = append(&log, &[option]).input(b"two\n").stdout(over).run();
        ended.is_refused(1, &log, &["standard output is a file of this log; "]);
    }
    // Nothing is written to it without.
    let over = File::options().write(true).open(&log).unwrap();
    append(&log, &[]).input(b"two\n").stdout(over).run().is_success();
    holds(&log, b"one\ntwo\n");
}

#[test]
fn a_new_log_that_is_one_of_our_streams_is_refused_and_not_waited_for() {
    for (line, stream, code) in [
        ("append --tee \"$1\" >> \"$1\"", "output", 1),
        ("append \"$1\" 2>> \"$1\"", "error", 1),
        // Also where nothing would be written to it: who has it open for writing is waited for.
        ("append \"$1\" >> \"$1\"", "output", 1),
        ("append \"$1\" <> \"$1\"", "input", 1),
        ("exec \"$1\" -- true >> \"$1\"", "output", 125),
        ("exec \"$1\" -- true 2>> \"$1\"", "error", 125),
        ("exec --tee \"$1\" -- true >> \"$1\"", "output", 125),
    ] {
        let scratch = Scratch::new();
        let log = scratch.file("new.log");
        File::create(&log).unwrap();
        let tool = env!("CARGO_BIN_EXE_mmlogctl");
        let script = format!("{tool} {line}");
        let ended =
            Tool::new("timeout").args(["--signal=KILL", "20", "sh", "-c", &script, "sh"]).arg(&log).run();
        let said = ended.stderr.clone() + &fs::read_to_string(&log).unwrap();
        assert_eq!(ended.code, code, "{line}: {ended:?}");
        assert!(said.contains(&format!("standard {stream} is a file of this log")), "{line}: {said}");
        assert!(!metadata_of(&log).exists(), "{line}");
    }
}

fn appending(scratch: &Scratch) -> Running {
    let log = scratch.file("app.log");
    let mut running = append(&log, &[]).start();
    running.feed(b"before\n");
    wait_until_it_holds(&log, b"before\n");
    running
}

#[test]
fn a_log_that_is_removed_under_an_appender_is_said_once() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut running = appending(&scratch);
    fs::remove_file(&log).unwrap();
    fs::remove_file(metadata_of(&log)).unwrap();
    // Though it is idle.
    running.until_stderr(
        "the log was removed under this process; what is appended goes to a file without a name",
    );
    running.feed(b"lost\n");
    let ended = running.end();
    assert_eq!((ended.code, ended.stderr.lines().count()), (0, 1), "{ended:?}");
}

#[test]
fn a_data_file_that_is_taken_away_under_an_appender_is_said_once_before_it_needs_space() {
    const SAYS: &str = "the data file was removed, moved or replaced under this process";
    let scratch = Scratch::new();
    let (log, moved) = (scratch.file("app.log"), scratch.file("moved"));
    let mut running = appending(&scratch);
    fs::rename(&log, &moved).unwrap();
    // Though it is idle.
    running.until_stderr(SAYS);
    fs::rename(&moved, &log).unwrap();
    running.feed(b"behind\n");
    let ended = running.end();
    assert_eq!((ended.code, ended.stderr.lines().count()), (0, 1), "{ended:?}");
    ended.says(&log, &[SAYS, &format!("`mmlogctl status {}`", log.display())]);
    holds(&log, b"before\nbehind\n");
}

#[test]
fn an_appender_goes_on_in_a_log_that_was_made_in_its_logs_place_and_says_so() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut running = appending(&scratch);
    fs::remove_file(&log).unwrap();
    fs::remove_file(metadata_of(&log)).unwrap();
    append(&log, &[]).input(b"of another\n").run().is_success();
    running.until_stderr("another log is at this path; ");
    running.feed(b"behind\n");
    let ended = running.end();
    assert_eq!((ended.code, ended.stderr.lines().count()), (0, 1), "{ended:?}");
    holds(&log, b"of another\nbehind\n");
}

#[test]
fn a_short_run_says_at_its_end_that_its_log_was_removed() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let running = appending(&scratch);
    fs::remove_file(&log).unwrap();
    fs::remove_file(metadata_of(&log)).unwrap();
    let ended = running.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.says(&log, &["the log was removed under this process"]);
}

#[test]
fn a_directory_that_is_renamed_under_an_appender_is_said_and_nothing_is_lost() {
    let scratch = Scratch::new();
    let (directory, moved) = (scratch.file("logs"), scratch.file("moved"));
    fs::create_dir(&directory).unwrap();
    let log = directory.join("app.log");
    let mut running = append(&log, &[]).start();
    running.feed(b"before\n");
    wait_until_it_holds(&log, b"before\n");
    fs::rename(&directory, &moved).unwrap();
    running.until_stderr("its directory was renamed or replaced");
    running.feed(b"behind\n");
    let ended = running.end();
    assert_eq!((ended.code, ended.stderr.lines().count()), (0, 1), "{ended:?}");
    holds(&moved.join("app.log"), b"before\nbehind\n");
}

#[test]
fn a_link_that_comes_to_lead_elsewhere_is_said_once_and_the_log_is_kept() {
    let scratch = Scratch::new();
    let (first, other, link) =
        (scratch.file("first.log"), scratch.file("other.log"), scratch.file("link.log"));
    mmlogctl("init", &first).run().is_success();
    mmlogctl("init", &other).run().is_success();
    std::os::unix::fs::symlink(&first, &link).unwrap();
    let mut append = mmlogctl("append", &link).arg("--trust-path").start();
    append.feed(b"one\n");
    wait_until_it_holds(&first, b"one\n");
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&other, &link).unwrap();
    append.until_stderr("other.log now; this goes on with");
    append.feed(b"two\n");
    let ended = append.end();
    assert!(ended.code == 0 && ended.stderr.lines().count() == 1, "{ended:?}");
    mmlogctl("cat", &first).run().printed(b"one\ntwo\n");
    mmlogctl("cat", &other).run().printed(b"");
}
