//! Metadata that is missing, unfinished, of another kind, or says what cannot be.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use mmlog::layout::{LOCK_BYTE, POSITION_END};

use crate::cli::{self, COMMANDS, Held, Scratch, WRITING, at, metadata_of, mmlogctl, poke, slot, write_slot};
use crate::{CONTENT, has_status, is_readable, refused};

/// All but `rm`, which is there to get rid of such files.
const KEEPING: [&str; 6] = ["init", "append", "cat", "tail", "status", "trim"];

/// A log whose metadata has other bytes at this offset.
fn log_with(scratch: &Scratch, offset: usize, bytes: &[u8]) -> PathBuf {
    let log = scratch.log(CONTENT);
    poke(&log, offset, bytes);
    log
}

#[test]
fn a_data_file_without_metadata_is_never_clobbered_and_can_be_adopted() {
    let scratch = Scratch::new();
    let log = scratch.file("plain.log");
    fs::write(&log, CONTENT).unwrap();
    let step =
        format!("`mmlogctl init --adopt {}` makes it one that goes on behind its 14 bytes", log.display());
    let (reading, others): (Vec<&str>, Vec<&str>) =
        COMMANDS.iter().partition(|one| ["cat", "tail"].contains(one));
    refused(&others, &log, 1, &["not a log (no metadata); ", &step]);
    // It need not become one for that.
    let step =
        format!("not a log (no metadata), a file of 14 bytes; `cat {}` prints it; if it was", log.display());
    refused(&reading, &log, 1, &[&step]);
    assert!(!metadata_of(&log).exists());
    let adopted = mmlogctl("init", &log).arg("--adopt").run();
    assert_eq!(adopted.code, 0);
    adopted.says(&log, &["logs behind the existing 14 bytes"]);
    mmlogctl("append", &log).input(b"four\n").run().is_success();
    is_readable(&log, &[CONTENT, b"four\n"].concat());
}

/// Whoever mistypes a path is not told to make a log of what is there.
#[test]
fn a_file_that_nobody_would_make_a_log_of_is_said_to_be_none_and_no_more() {
    let is_plain = |tool: cli::Tool, why: &str| {
        let ended = tool.run();
        assert!(ended.stderr.contains("not a log (no metadata), a file of "), "{ended:?}");
        assert!(ended.stderr.contains(why), "{ended:?}");
        assert!(!ended.stderr.contains("--adopt") && !ended.stderr.contains("--rebuild"), "{ended:?}");
    };
    let of_the_system = Path::new("/etc/passwd");
    is_plain(mmlogctl("rotate", of_the_system), " in a directory of the system; name another file for a log");
    is_plain(mmlogctl("cat", of_the_system), "; `cat /etc/passwd` prints it");
    let scratch = Scratch::new();
    let log = scratch.file("plain.log");
    fs::write(&log, CONTENT).unwrap();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
    if !cli::is_root() || !cli::succeeds(std::process::Command::new("setpriv").arg("--version")) {
        return cli::skipped("a file of another user is no log to be", "needs root and setpriv(1)");
    }
    let user = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let as_user = || mmlogctl("rotate", &log).through("setpriv", &user);
    is_plain(as_user(), " that this user may not write, or make files beside; name another one");
    fs::set_permissions(&log, fs::Permissions::from_mode(0o666)).unwrap();
    is_plain(as_user(), " that this user may not write, or make files beside; name another one");
}

/// What completes beside a log's name is told from it, whatever it is given to.
#[test]
fn a_part_of_a_log_is_named_as_such_and_so_is_the_log() {
    for (compress, reads) in [(&[][..], "`cat "), (&["--compress=gzip"], "gzip unpacks this part of it")] {
        let scratch = Scratch::new();
        let log = scratch.log(CONTENT);
        mmlogctl("rotate", &log).args(compress).run().is_success();
        let is_segment =
            |path: &PathBuf| path.file_name().unwrap().to_string_lossy().contains(".0000000000-");
        let mut there = fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().path());
        let segment = there.find(is_segment).unwrap();
        let step =
            format!("an old segment of {0}; `mmlogctl cat {0}` reads that log, {reads}", log.display());
        refused(&["append", "cat", "tail", "status", "rm", "repair"], &segment, 1, &[&step]);
        let metadata = metadata_of(&log);
        let step = format!("the metadata of {0}; name that log: `mmlogctl status {0}`", log.display());
        refused(&["append", "cat", "tail", "status", "rm", "repair"], &metadata, 1, &[&step]);
        let elsewhere = scratch.file("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        let moved = elsewhere.join(segment.file_name().unwrap());
        fs::rename(&segment, &moved).unwrap();
        let step = format!("by its name an old segment of {}", elsewhere.join("app.log").display());
        refused(&["append", "cat", "tail", "status"], &moved, 1, &[&step, "that log is not there; "]);
    }
}

#[test]
fn metadata_without_its_data_file_is_damage() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    fs::remove_file(&log).unwrap();
    refused(
        &["init", "append", "cat", "tail", "trim"],
        &log,
        4,
        &["data file is gone, for at least ", "repair --recreate"],
    );
    has_status(&log, "DAMAGED", "the data file is gone");
}

#[test]
fn empty_metadata_is_initialised_again() {
    for command in ["init", "append"] {
        let scratch = Scratch::new();
        let log = scratch.file("app.log");
        fs::write(metadata_of(&log), "").unwrap();
        refused(&["cat", "tail", "status"], &log, 1, &["no such log"]);
        mmlogctl(command, &log).run().is_success();
        is_readable(&log, b"");
    }
}

#[test]
fn empty_metadata_beside_data_does_not_cost_the_data() {
    for command in COMMANDS.iter().filter(|command| **command != "rm") {
        let scratch = Scratch::new();
        let log = scratch.file("app.log");
        fs::write(&log, CONTENT).unwrap();
        fs::write(metadata_of(&log), "").unwrap();
        mmlogctl(command, &log).input(b"x\n").run().is_refused(1, &log, &["; "]);
        assert_eq!(fs::read(&log).unwrap(), CONTENT, "{command}");
    }
}

/// As a creator leaves it that died before its last two stores.
fn unfinished(scratch: &Scratch) -> PathBuf {
    let log = scratch.log(b"");
    poke(&log, at::VERSION, &[0; 4]);
    poke(&log, at::IS_READY, &[0]);
    log
}

#[test]
fn half_created_metadata_of_a_dead_creator_is_initialised_again() {
    for command in ["init", "append"] {
        let scratch = Scratch::new();
        let log = unfinished(&scratch);
        refused(&["cat", "tail", "status"], &log, 1, &["no such log"]);
        mmlogctl(command, &log).run().is_success();
        mmlogctl("append", &log).input(CONTENT).run().is_success();
        is_readable(&log, CONTENT);
    }
}

#[test]
fn a_live_creator_is_waited_for() {
    let scratch = Scratch::new();
    let log = unfinished(&scratch);
    let creator = Held::byte(&log, LOCK_BYTE);
    let mut append = mmlogctl("append", &log).start();
    append.feed(CONTENT);
    append.until_open(&metadata_of(&log));
    // It is done: its last two stores.
    poke(&log, at::VERSION, &2_u32.to_ne_bytes());
    poke(&log, at::IS_READY, &[1]);
    drop(creator);
    append.end().is_success();
    is_readable(&log, CONTENT);
}

#[test]
fn a_file_that_is_no_metadata_is_left_alone() {
    let scratch = Scratch::new();
    let log = log_with(&scratch, at::MAGIC, b"MMLOG");
    refused(&COMMANDS, &log, 1, &["not a log's metadata (no magic", "; move it away if it is not needed"]);
    fs::write(metadata_of(&log), "a letter to a friend\n").unwrap();
    refused(&COMMANDS, &log, 1, &["not a log's metadata (21 bytes, too short for a header)"]);
}

#[test]
fn metadata_that_was_cut_is_named() {
    for (len, words) in [
        (1, "(1 bytes, too short for a header)"),
        (31, "(31 bytes, too short for a header)"),
        (199, "(199 bytes, too short for a header)"),
        (5000, "(cut to 5000 bytes)"),
    ] {
        let scratch = Scratch::new();
        let log = scratch.log(CONTENT);
        fs::File::options().write(true).open(metadata_of(&log)).unwrap().set_len(len).unwrap();
        refused(&KEEPING, &log, 1, &["not a log's metadata", words]);
    }
}

#[test]
fn a_version_field_of_1_in_metadata_of_version_2_is_damage() {
    let scratch = Scratch::new();
    let log = log_with(&scratch, at::VERSION, &1_u32.to_ne_bytes());
    refused(&KEEPING, &log, 1, &["not a log's metadata", "its version field says 1"]);
}

#[test]
fn first_words_that_contradict_each_other_are_named_as_numbers() {
    for (version, ready, words) in
        [(0_u32, 1_u8, "(version 0, is_ready 1)"), (2, 7, "(version 2, is_ready 7)")]
    {
        let scratch = Scratch::new();
        let log = log_with(&scratch, at::VERSION, &version.to_ne_bytes());
        poke(&log, at::IS_READY, &[ready]);
        refused(&KEEPING, &log, 1, &["not a log's metadata", words]);
    }
}

#[test]
fn a_version_1_file_is_read_refuses_writers_by_its_format_and_is_left_as_it_is() {
    let scratch = Scratch::new();
    let log = scratch.file("old.log");
    fs::write(&log, CONTENT).unwrap();
    let words: [u32; 8] = [1, 1, 14, 0, 14, 0, 4096, 1 << 20];
    fs::write(metadata_of(&log), words.map(u32::to_ne_bytes).concat()).unwrap();
    let problem = ["format 1, this build appends to format 2; ", "repair --upgrade"];
    refused(&["append", "trim"], &log, 1, &problem);
    is_readable(&log, CONTENT);
}

#[test]
fn a_newer_version_is_refused_by_its_format() {
    for version in [3_u32, 7] {
        let scratch = Scratch::new();
        let log = log_with(&scratch, at::VERSION, &version.to_ne_bytes());
        let format = format!("format {version}, this build reads");
        refused(&KEEPING, &log, 1, &[&format, "; use a newer build"]);
    }
}

#[test]
fn metadata_that_somebody_printed_over_is_no_newer_version() {
    let scratch = Scratch::new();
    let log = log_with(&scratch, at::VERSION, b"some library complains");
    let problem = ["not a log's metadata", "other bytes were written over its beginning", "repair --rebuild"];
    refused(&KEEPING, &log, 1, &problem);
}

#[test]
fn a_feature_of_a_newer_build_is_refused() {
    let scratch = Scratch::new();
    let log = log_with(&scratch, at::FEATURES, &4_u32.to_ne_bytes());
    refused(&KEEPING, &log, 1, &["features 0x4 of a newer build"]);
}

#[test]
fn a_foreign_byte_order_is_named() {
    for (field, value) in [(at::VERSION, 2_u32), (at::BYTE_ORDER, 0x0102_0304)] {
        let scratch = Scratch::new();
        let log = log_with(&scratch, field, &value.swap_bytes().to_ne_bytes());
        refused(&KEEPING, &log, 1, &["not a log's metadata (written on a host of the other byte order)"]);
    }
}

#[test]
fn a_chunk_size_that_cannot_be_is_refused_before_anything_is_made() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    for (size, words) in [
        ("0", "chunk_size 0 out of range [4096, 1 GiB]"),
        ("5000", "chunk_size 5000 is not a multiple of"),
        ("2G", "chunk_size 2147483648 out of range [4096, 1 GiB]"),
        ("18446744073709551615", "chunk_size 18446744073709551615 out of range [4096, 1 GiB]"),
    ] {
        for command in ["init", "append"] {
            let ended = mmlogctl(command, &log).args(["--chunk-size", size]).input(b"x\n").run();
            ended.is_refused(1, &log, &[words]);
        }
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "nothing is left there");
    }
    assert_eq!(mmlogctl("init", &log).args(["--chunk-size", "-1"]).run().code, 2);
    assert_eq!(mmlogctl("init", &log).args(["--chunk-size", "many"]).run().code, 2);
}

#[test]
fn a_geometry_that_cannot_be_is_named_with_its_range() {
    for (field, value, words) in [
        (at::CHUNK_SIZE, 0, "chunk_size 0 out of range [4096, 1 GiB]"),
        (at::CHUNK_SIZE, 5000, "chunk_size 5000 is not a multiple of"),
        (at::CHUNK_SIZE, u32::MAX, "chunk_size 4294967295 out of range [4096, 1 GiB]"),
        (at::MAX_WRITERS, 0, "max_writers 0 out of range [1, 16384]"),
        (at::MAX_WRITERS, u32::MAX, "max_writers 4294967295 out of range [1, 16384]"),
        (at::GATE_MS, 0, "gate_ms 0 out of range [1, 60000]"),
    ] {
        let scratch = Scratch::new();
        let log = log_with(&scratch, field, &value.to_ne_bytes());
        refused(&KEEPING, &log, 1, &[words]);
    }
}

#[track_caller]
fn is_damage(log: &Path, words: &str) {
    let step = format!("; run `mmlogctl repair {}`", log.display());
    refused(&["init", "append", "cat", "tail", "trim"], log, 4, &[words, &step]);
    has_status(log, "DAMAGED", words.split('(').next().unwrap());
}

#[test]
fn a_cursor_out_of_range_is_damage() {
    let len = CONTENT.len() as u64;
    for (field, value, words) in [
        (at::CURSOR, POSITION_END + 5, "cursor out of range (4611686018427387909"),
        (at::CURSOR, u64::MAX, "cursor out of range ("),
        (at::BASE, len + 1, "cursor out of range (14"),
        (at::FILE_SIZE, u64::MAX, "file_size out of range (18446744073709551615"),
        (at::BASE, u64::MAX, "base out of range (18446744073709551615"),
    ] {
        let scratch = Scratch::new();
        let log = log_with(&scratch, field, &value.to_ne_bytes());
        is_damage(&log, words);
    }
}

#[test]
fn a_cursor_far_behind_the_end_of_the_file_hangs_nobody() {
    let scratch = Scratch::new();
    let log = log_with(&scratch, at::CURSOR, &(1_u64 << 50).to_ne_bytes());
    is_damage(&log, "cursor out of range (1125899906842624");
    // As far as it can be after a full disk.
    poke(&log, at::CURSOR, &(1_u64 << 30).to_ne_bytes());
    is_readable(&log, CONTENT);
    mmlogctl("tail", &log).arg("-c5").run().printed(b"hree\n");
}

#[test]
fn an_unknown_operation_in_the_journal_stops_writers_only() {
    let scratch = Scratch::new();
    let log = log_with(&scratch, at::JOURNAL, &77_u64.to_ne_bytes());
    refused(&WRITING, &log, 4, &["unfinished operation of kind 77 in the journal; "]);
    is_readable(&log, CONTENT);
    has_status(&log, "DAMAGED", "journal");
}

#[test]
fn an_impossible_slot_is_ignored_by_followers_and_cleared_by_the_next_writer() {
    for (pending, len) in
        [(slot(3, 1 << 60), 1 << 61), (slot(3, 4), u64::MAX), (slot(2, POSITION_END - 1), 9)]
    {
        let scratch = Scratch::new();
        let log = scratch.log(CONTENT);
        write_slot(&log, 3, pending, len, 1);
        is_readable(&log, CONTENT);
        mmlogctl("append", &log).input(b"four\n").run().is_success();
        is_readable(&log, &[CONTENT, b"four\n"].concat());
        let status = mmlogctl("status", &log).arg("--json").run();
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
        assert_eq!((&status["writers"], &status["holes"]), (&serde_json::json!([]), &serde_json::json!([])));
    }
}

#[test]
fn more_slots_in_use_than_there_are_do_no_harm() {
    let scratch = Scratch::new();
    let log = log_with(&scratch, at::HIGH_WATER, &u32::MAX.to_ne_bytes());
    is_readable(&log, CONTENT);
    mmlogctl("append", &log).input(b"four\n").run().is_success();
    is_readable(&log, &[CONTENT, b"four\n"].concat());
}

#[test]
fn all_slots_taken_is_busy_with_who_has_them_and_waited_for_until_one_is_free() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let open = mmlog::Log::options().max_writers(1).open_or_create(&log).unwrap();
    let mut writer = open.writer().unwrap();
    writer.append(CONTENT).unwrap();
    let before = fs::read(&log).unwrap();
    let us = format!("busy: 1 writer open already: process {} (", std::process::id());
    let wait = || {
        let running = mmlogctl("append", &log).start();
        running.until_stderr(&us);
        running
    };
    let mut ended = wait();
    drop(ended.stdin.take());
    ended.signal(nix::sys::signal::Signal::SIGTERM);
    let ended = ended.end();
    assert!(ended.code == 3 && ended.stderr.contains("raise --max-writers"), "{ended:?}");
    assert!(fs::read(&log).unwrap() == before, "it took nothing");
    is_readable(&log, CONTENT);
    let mut waiting = wait();
    waiting.feed(b"x\n");
    drop(waiting.stdin.take());
    drop(writer);
    let ended = waiting.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    is_readable(&log, &[CONTENT, b"x\n"].concat());
}
