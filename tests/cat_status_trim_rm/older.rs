//! Older metadata that is written over the newer in place, as `cp backup LOG.mmlog` does: nobody appends over what came after it,
//! nobody cuts that off, and the step that is printed has all of it back.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use mmlog::{Fault, Log, Next, Start, Writer};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::cli::{Running, Scratch, metadata_of, mmlogctl, slot, wait_for, write_slot};
use crate::{CHUNK, CONTENT};

/// Appended after the copy was made.
pub(crate) const LATE: &[u8] = b"late one\nlate two\nlate three\n";

/// A live writer whose log's metadata is that of before its last lines.
fn restored(scratch: &Scratch) -> (PathBuf, Running) {
    let log = scratch.file("it's app.log");
    let mut writer = mmlogctl("append", &log).start();
    let has =
        |bytes: &[u8]| wait_for("the lines", || mmlogctl("cat", &log).run().stdout.eq(bytes).then_some(()));
    writer.feed(CONTENT);
    has(CONTENT);
    let copy = fs::read(metadata_of(&log)).unwrap();
    writer.feed(LATE);
    has(&[CONTENT, LATE].concat());
    restore(&log, &copy);
    (log, writer)
}

/// The inode stays, and who has it mapped sees the older bytes. (Not: `fs::write`, which makes it empty first; that is seen as such.)
pub(crate) fn restore(log: &Path, copy: &[u8]) {
    fs::File::options().write(true).open(metadata_of(log)).unwrap().write_all(copy).unwrap();
}

pub(crate) fn finding(log: &Path) -> Value {
    let json = mmlogctl("status", log).arg("--json").run();
    let mut object: Value = serde_json::from_slice(&json.stdout).unwrap();
    object["findings"][0].take()
}

/// Damaged for everybody, refused to writers, and mended by what is printed, with every byte.
#[track_caller]
pub(crate) fn is_mended(log: &Path, bytes: &[u8]) {
    let found = finding(log);
    let sentence = found["sentence"].as_str().unwrap();
    assert!(sentence.contains("older metadata was written over the newer"), "{found}");
    assert_eq!(mmlogctl("check", log).run().code, 2);
    assert_eq!(mmlogctl("check", log).arg("--deep").run().code, 2);
    for command in ["append", "trim", "rotate"] {
        let refused = mmlogctl(command, log).input(b"more\n").run();
        assert!(refused.code == 4 && refused.stderr.contains("older metadata was written"), "{refused:?}");
    }
    // By now somebody has set the flag.
    let found = finding(log);
    let command = found["command"].as_str().unwrap();
    assert!(command.starts_with("mmlogctl repair --clear-panic "), "{found}");
    let pasted = command.replacen("mmlogctl", env!("CARGO_BIN_EXE_mmlogctl"), 1);
    let done = std::process::Command::new("sh").args(["-c", &pasted]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    mmlogctl("cat", log).run().printed(bytes);
    mmlogctl("append", log).input(b"more\n").run().is_success();
    mmlogctl("cat", log).run().printed(&[bytes, b"more\n"].concat());
    assert_eq!(mmlogctl("check", log).arg("--deep").run().code, 0);
}

#[test]
fn a_writer_that_finds_its_lines_behind_the_cursor_stops_all_writing_and_cuts_nothing() {
    let scratch = Scratch::new();
    let (log, mut writer) = restored(&scratch);
    writer.feed(b"after\n");
    let ended = writer.end();
    assert!(ended.code == 4 && ended.stderr.contains("older metadata was written over"), "{ended:?}");
    is_mended(&log, &[CONTENT, LATE].concat());
}

#[test]
fn a_writer_that_appends_no_more_cuts_nothing_when_it_ends() {
    let scratch = Scratch::new();
    let (log, writer) = restored(&scratch);
    let ended = writer.end();
    assert!(ended.code == 4 && ended.stderr.contains("older metadata was written over"), "{ended:?}");
    is_mended(&log, &[CONTENT, LATE].concat());
}

#[test]
fn behind_a_writer_that_was_killed_the_next_one_appends_over_nothing() {
    for in_flight in [false, true] {
        let scratch = Scratch::new();
        let (log, writer) = restored(&scratch);
        writer.signal(Signal::SIGKILL);
        writer.end();
        let found = finding(&log);
        assert_eq!((&found["id"], &found["severity"]), (&"positions".into(), &"critical".into()), "{found}");
        if in_flight {
            // The slot is of then, too: its append is complete by now.
            write_slot(&log, 0, slot(3, CONTENT.len() as u64 - 4), 4, 0);
        }
        is_mended(&log, &[CONTENT, LATE].concat());
    }
}

/// Where no space stands behind the copy's cursor, the bytes are taken for those that `>>` puts there.
#[test]
fn of_a_log_at_rest_nothing_is_lost() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let copy = fs::read(metadata_of(&log)).unwrap();
    mmlogctl("append", &log).input(LATE).run().is_success();
    restore(&log, &copy);
    mmlogctl("append", &log).input(b"more\n").run().is_success();
    mmlogctl("cat", &log).run().printed(&[CONTENT, LATE, b"more\n"].concat());
    assert_eq!(mmlogctl("check", &log).arg("--deep").run().code, 0);
}

/// In this process: with a small chunk, so that the file has grown since.
fn grown(scratch: &Scratch) -> (PathBuf, Log, Writer, Vec<u8>, u64) {
    let (path, log, mut writer) = crate::live(scratch);
    let copy = fs::read(metadata_of(&path)).unwrap();
    for _ in 0..5 {
        writer.append(&vec![b'x'; CHUNK as usize / 2]).unwrap();
    }
    let end = log.status().unwrap().cursor;
    (path, log, writer, copy, end)
}

pub(crate) fn is_stopped(error: &mmlog::Error) {
    let Fault::Poisoned(record) = error.fault() else { panic!("{error}") };
    assert!(record.reason.contains("older metadata"), "{record:?}");
}

#[test]
fn what_grew_since_is_not_cut_off_and_appends_long_and_short_are_refused() {
    for len in [1, CHUNK as usize / 2, 2 * CHUNK as usize] {
        let scratch = Scratch::new();
        let (path, log, mut writer, copy, end) = grown(&scratch);
        restore(&path, &copy);
        is_stopped(&writer.append(&vec![b'y'; len]).unwrap_err());
        is_stopped(&log.writer().err().unwrap());
        drop(writer);
        log.close().unwrap();
        assert!(fs::metadata(&path).unwrap().len() >= end, "{len}");
        mmlogctl("repair", &path).arg("--clear-panic").run().is_success();
        assert_eq!(mmlogctl("cat", &path).run().stdout.len() as u64, end, "{len}");
    }
}

#[test]
fn a_message_longer_than_all_that_came_since_is_refused_before_it_takes_its_range() {
    let scratch = Scratch::new();
    let (path, log, mut writer) = crate::live(&scratch);
    let copy = fs::read(metadata_of(&path)).unwrap();
    writer.append(LATE).unwrap();
    restore(&path, &copy);
    is_stopped(&writer.append(&vec![b'y'; CHUNK as usize / 2]).unwrap_err());
    assert_eq!(log.status().unwrap().cursor, CONTENT.len() as u64);
}

#[test]
fn nothing_behind_an_older_cursor_is_durable() {
    let scratch = Scratch::new();
    let (path, _log, mut writer, copy, _) = grown(&scratch);
    restore(&path, &copy);
    is_stopped(&writer.sync().unwrap_err());
}

/// Its last append was before the copy was made: it cannot know. Who has read further does.
#[test]
fn a_follower_that_has_read_further_stops_a_writer_that_cannot_know() {
    let scratch = Scratch::new();
    let (path, log, mut idle) = crate::live(&scratch);
    let copy = fs::read(metadata_of(&path)).unwrap();
    let mut other = log.writer().unwrap();
    other.append(LATE).unwrap();
    other.append(b"last\n").unwrap();
    let mut follower = log.follow(Start::Oldest).unwrap();
    let mut buf = [0; 64];
    while matches!(follower.next(&mut buf).unwrap(), Next::Bytes(_)) {}
    restore(&path, &copy);
    idle.append(b"over\n").unwrap();
    let _ = follower.next(&mut buf).unwrap();
    is_stopped(&idle.append(b"over\n").unwrap_err());
    drop((idle, other, follower));
    log.close().unwrap();
    mmlogctl("repair", &path).arg("--clear-panic").run().is_success();
    let all = [CONTENT, b"over\n", &LATE[5..], b"last\n"].concat();
    mmlogctl("cat", &path).run().printed(&all);
}
