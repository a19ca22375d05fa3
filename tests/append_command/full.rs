//! A disk that is full, or a limit that is reached: said once, nothing dropped, and it goes on when there is space.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;

use crate::cli::{Ended, Scratch, mmlogctl, mounted, skipped, succeeds};
use crate::{append, holds};

pub(crate) const MIB: usize = 1 << 20;

pub(crate) fn small_disk(scratch: &Scratch, claim: &str) -> Option<PathBuf> {
    let disk = mounted(scratch, "tmpfs", "size=2m");
    if disk.is_none() {
        skipped(claim, "mounting a small tmpfs needs root");
    }
    disk
}

pub(crate) fn lines(bytes: usize) -> Vec<u8> {
    let lines: String = (0..bytes / 16).map(|n| format!("{n:015}\n")).collect();
    lines.into_bytes()
}

/// How many bytes it says were not stored.
fn not_stored(ended: &Ended) -> usize {
    let (before, _) = ended.stderr.split_once(" bytes were not stored)\n").unwrap();
    before.rsplit('(').next().unwrap().parse().unwrap()
}

/// What is stored and what is said not to be is the input, whole lines of it.
#[track_caller]
fn nothing_is_dropped(log: &Path, ended: &Ended, input: &[u8]) {
    let stored = mmlogctl("cat", log).run().stdout;
    assert!(!stored.is_empty() && input.starts_with(&stored) && stored.ends_with(b"\n"), "{}", stored.len());
    assert_eq!(stored.len() + not_stored(ended), input.len(), "{ended:?}");
}

#[test]
fn on_full_fail_says_how_many_bytes_were_not_stored() {
    let scratch = Scratch::new();
    let Some(disk) = small_disk(&scratch, "on a full disk the bytes not stored are said") else { return };
    let (log, source) = (disk.join("app.log"), scratch.file("source"));
    let input = lines(4 * MIB);
    fs::write(&source, &input).unwrap();
    let ended = append(&log, &["--on-full=fail"]).stdin(File::open(&source).unwrap()).start().end();
    ended.is_refused(1, &log, &["no space to grow by", "No space left on device", "free some and try again"]);
    nothing_is_dropped(&log, &ended, &input);
    // A message smaller than what is left of a page still fits, or is refused; neither does harm.
    let more = append(&log, &["--on-full=fail"]).input(b"x\n").run();
    assert!(matches!(more.code, 0 | 1), "{more:?}");
    mmlogctl("status", &log).run().is_success();
}

#[test]
fn a_log_that_cannot_even_begin_says_so_and_leaves_nothing() {
    let scratch = Scratch::new();
    let Some(disk) = small_disk(&scratch, "on a full disk no half of a log is made") else { return };
    fs::write(disk.join("filler"), vec![1; 2 * MIB - 8192]).unwrap();
    let log = disk.join("app.log");
    let ended = append(&log, &["--on-full=fail"]).input(b"one\ntwo\n").run();
    ended.is_refused(1, &log, &["no space", "(8 bytes were not stored)"]);
    fs::remove_file(disk.join("filler")).unwrap();
    append(&log, &["--on-full=fail"]).input(b"one\n").run().is_success();
    holds(&log, b"one\n");
}

#[test]
fn retry_waits_for_space_to_make_the_log() {
    let scratch = Scratch::new();
    let Some(disk) = small_disk(&scratch, "retry waits for space to make the log") else { return };
    let (log, filler) = (disk.join("app.log"), disk.join("filler"));
    fs::write(&filler, vec![1; 2 * MIB - 8192]).unwrap();
    let mut running = append(&log, &[]).start();
    running.feed(b"one\n");
    running.until_stderr("(waiting; nothing is lost)");
    fs::remove_file(&filler).unwrap();
    assert_eq!(running.end().code, 0);
    holds(&log, b"one\n");
}

#[test]
fn retry_says_it_once_and_goes_on_when_there_is_space() {
    let scratch = Scratch::new();
    let Some(disk) = small_disk(&scratch, "retry goes on when there is space") else { return };
    let (log, filler) = (disk.join("app.log"), disk.join("filler"));
    fs::write(&filler, vec![1; 3 * MIB / 2]).unwrap();
    let input = lines(MIB);
    let mut running = append(&log, &[]).start();
    running.feed(&input);
    running.until_stderr("(waiting; nothing is lost)");
    fs::remove_file(&filler).unwrap();
    let ended = running.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    let said: Vec<&str> = ended.stderr.lines().collect();
    assert!(
        said.len() == 2 && said[0].contains("no space") && said[1].contains("goes on after"),
        "{ended:?}"
    );
    // Who waits tries by himself.
    assert!(said[0].contains("; free some, ") && !said[0].contains("try again"), "{ended:?}");
    holds(&log, &input);
}

#[test]
fn a_signal_ends_the_wait_for_space_and_says_what_was_not_stored() {
    let scratch = Scratch::new();
    let Some(disk) = small_disk(&scratch, "a signal ends the wait for space") else { return };
    let (log, source) = (disk.join("app.log"), scratch.file("source"));
    let input = lines(4 * MIB);
    fs::write(&source, &input).unwrap();
    let running = append(&log, &[]).stdin(File::open(&source).unwrap()).start();
    running.until_stderr("(waiting; nothing is lost)");
    running.signal(Signal::SIGTERM);
    let ended = running.end();
    assert_eq!(ended.code, 1, "{ended:?}");
    nothing_is_dropped(&log, &ended, &input);
}

#[test]
fn a_file_size_limit_is_named_and_is_not_a_signal() {
    if !succeeds(Command::new("prlimit").arg("--version")) {
        return skipped("a file size limit is named", "there is no prlimit(1) here");
    }
    let scratch = Scratch::new();
    let (log, source) = (scratch.file("app.log"), scratch.file("source"));
    let input = lines(4 * MIB);
    fs::write(&source, &input).unwrap();
    let limited =
        append(&log, &["--on-full=fail", "--chunk-size=64K"]).through("prlimit", &["--fsize=1000000"]);
    let ended = limited.stdin(File::open(&source).unwrap()).start().end();
    let step =
        format!("`mmlogctl policy --set rotate-size=256K {}` has it go on in new files", log.display());
    ended.is_refused(
        1,
        &log,
        &["the file may not grow by ", "File too large", "`ulimit -f`, is 1000000", &step],
    );
    assert!(!ended.stderr.contains("space"), "there is some: {ended:?}");
    nothing_is_dropped(&log, &ended, &input);
}

#[test]
fn what_status_says_of_a_file_size_limit_has_the_writer_go_on_below_it() {
    if !succeeds(Command::new("prlimit").arg("--version")) {
        return skipped("a file size limit is told with its length", "there is no prlimit(1) here");
    }
    let scratch = Scratch::new();
    let (log, source) = (scratch.file("app.log"), scratch.file("source"));
    let input = lines(4 * MIB);
    fs::write(&source, &input).unwrap();
    let limited = append(&log, &["--chunk-size=64K"]).through("prlimit", &["--fsize=1000000"]);
    let running = limited.stdin(File::open(&source).unwrap()).start();
    running.until_stderr("(waiting; nothing is lost)");
    let said = mmlogctl("status", &log).run().text();
    let step = "mmlogctl policy --set rotate-size=256K ";
    assert!(said.contains("limit (ulimit -f), 977 KiB, is reached") && said.contains(step), "{said}");
    mmlogctl("policy", &log).args(["--set", "rotate-size=256K"]).run().is_success();
    assert_eq!(running.end().code, 0);
    holds(&log, &input);
}

#[test]
fn a_log_that_a_file_size_limit_keeps_from_being_made_leaves_nothing_but_what_was_there() {
    if !succeeds(Command::new("prlimit").arg("--version")) {
        return skipped("a file size limit leaves no half of a log", "there is no prlimit(1) here");
    }
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let names = || {
        let names = fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.collect::<Vec<_>>()
    };
    for there in [false, true] {
        if there {
            File::create(&log).unwrap();
        }
        let ended = mmlogctl("init", &log).through("prlimit", &["--fsize=4096"]).run();
        ended.is_refused(1, &log, &["cannot write the metadata file", "is 4096"]);
        assert_eq!(names().len(), usize::from(there), "{:?}", names());
    }
}
