//! The same where the copy was made of a log at rest: what came after it lies behind the size that the copy announces, where `>>`
//! of a stranger puts bytes, too.

use std::fs;
use std::path::{Path, PathBuf};

use mmlog::{Log, Next, Start};
use nix::sys::signal::Signal;

use crate::CONTENT;
use crate::cli::{Running, Scratch, metadata_of, mmlogctl, wait_for};
use crate::older::{LATE, finding, is_mended, is_stopped, restore};

/// A live writer that has appended since its log's metadata was copied at rest.
struct Since {
    /// Removed with this.
    _scratch: Scratch,
    log: PathBuf,
    copy: Vec<u8>,
    writer: Running,
}

impl Since {
    fn new() -> Self {
        let scratch = Scratch::new();
        let log = scratch.log(CONTENT);
        let copy = fs::read(metadata_of(&log)).unwrap();
        let mut writer = mmlogctl("append", &log).start();
        writer.feed(LATE);
        let all = [CONTENT, LATE].concat();
        wait_for("the lines", || mmlogctl("cat", &log).run().stdout.eq(&all).then_some(()));
        Self { _scratch: scratch, log, copy, writer }
    }

    fn restored() -> Self {
        let since = Self::new();
        restore(&since.log, &since.copy);
        since
    }

    /// To the byte, as the file of a log at rest is.
    fn trimmed_and_restored() -> Self {
        let since = Self::new();
        mmlogctl("trim", &since.log).run().is_success();
        restore(&since.log, &since.copy);
        since
    }

    #[track_caller]
    fn writer_is_refused(mut self) -> (Scratch, PathBuf) {
        self.writer.feed(b"after\n");
        let ended = self.writer.end();
        assert!(ended.code == 4 && ended.stderr.contains("older metadata was written over"), "{ended:?}");
        (self._scratch, self.log)
    }
}

/// Damage for whoever looks, and nothing that is said of a stranger's bytes.
#[track_caller]
fn is_told(log: &Path, state: &str) {
    let found = finding(log);
    assert!(found["sentence"].to_string().contains("older metadata was written over the newer"), "{found}");
    let (status, shown) =
        (mmlogctl("status", log).run().text(), mmlogctl("inspect", log).arg("--once").run().text());
    assert!(status.starts_with(state) && !status.contains(">>"), "{status}");
    assert!(shown.contains(state) && !shown.contains(">>"), "{shown}");
    let read = mmlogctl("cat", log).run();
    assert!(!read.stderr.contains(">>"), "{read:?}");
    assert_eq!(mmlogctl("check", log).arg("--deep").run().code, 2);
}

#[test]
fn a_writer_takes_its_own_lines_for_nobody_elses_where_the_copy_was_made_at_rest() {
    for since in [Since::restored(), Since::trimmed_and_restored()] {
        let (_scratch, log) = since.writer_is_refused();
        is_mended(&log, &[CONTENT, LATE].concat());
    }
}

#[test]
fn whoever_looks_before_the_writer_appends_again_tells_it_as_what_it_is() {
    for since in [Since::restored(), Since::trimmed_and_restored()] {
        is_told(&since.log, "DAMAGED");
        let (_scratch, log) = since.writer_is_refused();
        is_told(&log, "PANICKED");
    }
}

#[test]
fn whoever_comes_before_the_writer_appends_again_takes_nothing_over() {
    for command in ["append", "trim", "rotate"] {
        for since in [Since::restored(), Since::trimmed_and_restored()] {
            let refused = mmlogctl(command, &since.log).input(b"more\n").run();
            let is_told = refused.stderr.contains("older metadata was written");
            assert!(refused.code == 4 && is_told, "{command}: {refused:?}");
            let (_scratch, log) = since.writer_is_refused();
            is_mended(&log, &[CONTENT, LATE].concat());
        }
    }
}

#[test]
fn what_a_killed_writer_has_left_is_not_taken_over_with_the_space_behind_it() {
    let since = Since::restored();
    since.writer.signal(Signal::SIGKILL);
    since.writer.end();
    is_told(&since.log, "DAMAGED");
    is_mended(&since.log, &[CONTENT, LATE].concat());
}

/// Nobody is left who knows better, and it is what was appended.
#[test]
fn what_was_trimmed_since_is_taken_over_as_it_is_once_nobody_writes() {
    let since = Since::trimmed_and_restored();
    since.writer.signal(Signal::SIGKILL);
    since.writer.end();
    mmlogctl("append", &since.log).input(b"more\n").run().is_success();
    mmlogctl("cat", &since.log).run().printed(&[CONTENT, LATE, b"more\n"].concat());
    assert_eq!(mmlogctl("check", &since.log).arg("--deep").run().code, 0);
}

#[test]
fn a_writer_that_appends_no_more_takes_nothing_over_when_it_ends() {
    let since = Since::restored();
    let ended = since.writer.end();
    assert!(ended.code == 4 && ended.stderr.contains("older metadata was written over"), "{ended:?}");
    is_mended(&since.log, &[CONTENT, LATE].concat());
}

/// In this process: a log at rest, the copy of its metadata, and a handle.
fn at_rest(scratch: &Scratch) -> (PathBuf, Vec<u8>, Log) {
    let path = scratch.log(CONTENT);
    let copy = fs::read(metadata_of(&path)).unwrap();
    let log = Log::options().open(&path).unwrap();
    (path, copy, log)
}

#[test]
fn a_follower_that_has_read_them_stops_the_writers() {
    let scratch = Scratch::new();
    let (path, copy, log) = at_rest(&scratch);
    let mut writer = log.writer().unwrap();
    writer.append(LATE).unwrap();
    let mut follower = log.follow(Start::Oldest).unwrap();
    let mut buf = [0; 64];
    while matches!(follower.next(&mut buf).unwrap(), Next::Bytes(_)) {}
    restore(&path, &copy);
    let _ = follower.next(&mut buf).unwrap();
    assert!(log.status().unwrap().panic.is_some());
    is_stopped(&writer.append(b"more\n").unwrap_err());
}

/// One of several that have appended knows it as well as the others.
#[test]
fn a_writer_that_has_not_appended_itself_finds_what_another_has() {
    for len in [1, 100, 100_000] {
        let scratch = Scratch::new();
        let (path, copy, log) = at_rest(&scratch);
        let (mut idle, mut other) = (log.writer().unwrap(), log.writer().unwrap());
        other.append(LATE).unwrap();
        restore(&path, &copy);
        is_stopped(&idle.append(&vec![b'y'; len]).unwrap_err());
        is_stopped(&other.append(b"more\n").unwrap_err());
        drop((idle, other));
        log.close().unwrap();
        is_mended(&path, &[CONTENT, LATE].concat());
    }
}

#[test]
fn writers_whose_slots_are_blank_again_say_who_they_are_where_nothing_came_after_the_copy() {
    let scratch = Scratch::new();
    let (path, copy, log) = at_rest(&scratch);
    let (mut first, mut second) = (log.writer().unwrap(), log.writer().unwrap());
    restore(&path, &copy);
    first.append(LATE).unwrap();
    // It finds space, and does not look.
    second.append(b"more\n").unwrap();
    let status = log.status().unwrap();
    assert_eq!(status.writers.len(), 2, "{status:?}");
    drop((first, second));
    log.close().unwrap();
    mmlogctl("cat", &path).run().printed(&[CONTENT, LATE, b"more\n"].concat());
    assert_eq!(mmlogctl("check", &path).arg("--deep").run().code, 0);
}
