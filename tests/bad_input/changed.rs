//! Logs that somebody who is no writer has changed: copied, cut, replaced, poisoned. And input that is nothing.

use std::fs::{self, File};
use std::path::Path;

use crate::cli::{Scratch, WRITING, at, metadata_of, mmlogctl, poke, wait_for, write_hole_time};
use crate::{Bytes, CONTENT, has_status, is_readable, refused};

fn cut(path: &Path, len: u64) {
    File::options().write(true).open(path).unwrap().set_len(len).unwrap();
}

/// Puts a copy in the place of a file, as cp(1), rsync(1) or a restored backup do.
fn replace_by_a_copy(path: &Path) {
    let copy = path.with_extension("copy");
    fs::copy(path, &copy).unwrap();
    fs::rename(copy, path).unwrap();
}

#[test]
fn a_log_truncated_from_outside_is_damage_and_what_is_left_is_read() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    cut(&log, 5);
    let words = format!(
        "truncated from outside (expected >= 14 bytes, is 5); run `mmlogctl repair {}`",
        log.display()
    );
    let words = words.as_str();
    refused(&WRITING, &log, 4, &[words]);
    refused(&["tail"], &log, 4, &[words]);
    let ended = mmlogctl("cat", &log).run();
    ended.is_refused(4, &log, &[words]);
    assert_eq!(ended.text(), "one\nt");
    has_status(&log, "DAMAGED", "truncated from outside (expected >= 14 bytes, is 5)");
}

#[test]
fn bytes_that_a_shell_appended_are_told_of_until_the_next_append_takes_them_in() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let shell = b"from a shell\n";
    fs::write(&log, [CONTENT, shell].concat()).unwrap();
    let before = Bytes::of(&log);
    for command in ["cat", "tail"] {
        let ended = mmlogctl(command, &log).run();
        assert_eq!((ended.code, ended.stdout.as_slice()), (0, CONTENT), "{ended:?}");
        assert!(ended.stderr.contains("13 bytes that >> put behind its end are not shown"), "{ended:?}");
    }
    before.are_still_in(&log);
    mmlogctl("append", &log).input(b"four\n").run().is_success();
    is_readable(&log, &[CONTENT, shell, b"four\n"].concat());
}

#[test]
fn a_copied_log_can_be_read_and_no_more() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let copy = scratch.file("copy.log");
    fs::copy(&log, &copy).unwrap();
    fs::copy(metadata_of(&log), metadata_of(&copy)).unwrap();
    refused(&WRITING, &copy, 4, &["the metadata file is a copy", "only status, cat and tail work"]);
    is_readable(&copy, CONTENT);
    has_status(&copy, "DAMAGED", "metadata belongs to another file");
    // A copy that was made while the log grew lacks what its metadata counts.
    cut(&copy, 5);
    for command in ["cat", "tail"] {
        mmlogctl(command, &copy).run().is_refused(4, &copy, &["metadata belongs to another file"]);
    }
}

#[test]
fn a_log_whose_data_file_was_replaced_is_damage_and_what_is_there_is_read() {
    // As cp(1) and mv(1) do; as `sed -i` does, which makes it longer, or shorter.
    for content in [CONTENT, b"one\ntwotwo\nthree\n", b"one\n"] {
        let scratch = Scratch::new();
        let log = scratch.log(CONTENT);
        fs::write(&log, content).unwrap();
        replace_by_a_copy(&log);
        refused(&WRITING, &log, 4, &["metadata belongs to another file"]);
        for command in ["cat", "tail"] {
            let ended = mmlogctl(command, &log).run();
            ended.is_refused(4, &log, &["metadata belongs to another file"]);
            // Where lines cannot be counted from the end, there are none.
            assert!(
                command == "tail" || ended.stdout == content[..content.len().min(CONTENT.len())],
                "{ended:?}"
            );
        }
        has_status(&log, "DAMAGED", "metadata belongs to another file");
    }
}

#[test]
fn a_segment_that_somebody_removed_is_damage_until_somebody_takes_note() {
    let scratch = Scratch::new();
    let log = scratch.log(b"old\n");
    mmlogctl("rotate", &log).run().is_success();
    mmlogctl("append", &log).input(b"new\n").run().is_success();
    let of_segment = |file: &std::path::PathBuf| file.to_string_lossy().contains("app.log.0");
    let files = || fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().path());
    fs::remove_file(files().find(of_segment).unwrap()).unwrap();
    let said = "positions 0 to 4 are gone (4 bytes)";
    for options in [&["cat"][..], &["tail"], &["tail", "-n+1", "-ojson"]] {
        let ended = mmlogctl(options[0], &log).args(&options[1..]).run();
        ended.is_refused(4, &log, &[said, "; put it back"]);
        assert!(ended.text().contains("new"), "{ended:?}");
    }
    mmlogctl("cat", &log).arg("--from=4").run().printed(b"new\n");
    // The data file, too; whoever goes on without it has been told.
    fs::remove_file(&log).unwrap();
    mmlogctl("repair", &log).arg("--recreate").run();
    mmlogctl("append", &log).input(b"newest\n").run().is_success();
    let ended = mmlogctl("cat", &log).arg("--from=4").run();
    assert_eq!((ended.code, ended.text().as_str()), (0, "newest\n"), "{ended:?}");
    ended.says(&log, &["positions 4 to 8 are gone (4 bytes)"]);
    // Also where that one's clock said 1970.
    write_hole_time(&log, 0, 60_000_000_000);
    assert_eq!(mmlogctl("cat", &log).arg("--from=4").run().code, 0);
}

/// A command that appends, and has stored its first line.
fn appending(log: &Path) -> crate::cli::Running {
    let mut append = mmlogctl("append", log).arg("--chunk-size=64K").start();
    append.feed(b"first\n");
    wait_for("the first line", || fs::read(log).ok()?.starts_with(b"first\n").then_some(()));
    append
}

/// More than a chunk.
fn lines() -> Vec<u8> {
    b"0123456789abcdef\n".repeat(10_000)
}

#[test]
fn a_writer_whose_data_file_was_unlinked_says_so_at_its_next_growth() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut append = appending(&log);
    fs::remove_file(&log).unwrap();
    has_status(&log, "DAMAGED", "the data file is gone");
    append.feed(&lines());
    append.end().is_refused(4, &log, &["data file is gone, for at least ", "bytes were not stored)"]);
    assert!(!log.exists());
}

#[test]
fn a_writer_whose_data_file_was_replaced_does_not_write_to_the_other_one() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut append = appending(&log);
    fs::write(scratch.file("other"), "somebody else's\n").unwrap();
    fs::rename(scratch.file("other"), &log).unwrap();
    has_status(&log, "DAMAGED", "metadata belongs to another file");
    append.feed(&lines());
    append.end().is_refused(4, &log, &["metadata belongs to another file", "bytes were not stored)"]);
    assert_eq!(fs::read(&log).unwrap(), b"somebody else's\n");
}

#[test]
fn a_writer_whose_data_file_was_truncated_says_so_and_does_not_die_of_a_signal() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut append = appending(&log);
    cut(&log, 0);
    has_status(&log, "DAMAGED", "truncated from outside");
    append.feed(&lines());
    append.end().is_refused(4, &log, &["truncated from outside", "bytes were not stored)"]);
}

#[test]
fn a_writer_goes_on_in_a_log_that_was_made_anew() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut append = appending(&log);
    mmlogctl("rm", &log).arg("--force").run().is_success();
    mmlogctl("init", &log).arg("--chunk-size=64K").run().is_success();
    append.feed(&lines());
    append.end();
    is_readable_whole(&log, &lines());
}

#[test]
fn a_follower_whose_metadata_is_overwritten_says_so_and_follows_no_garbage() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let reader = mmlog::Log::options().open_reader(&log).unwrap();
    let mut follower = reader.follow(mmlog::Start::Oldest).unwrap();
    let mut buf = [0; 100];
    assert_eq!(follower.next(&mut buf).unwrap(), mmlog::Next::Bytes(0..CONTENT.len() as u64));
    let len = fs::metadata(metadata_of(&log)).unwrap().len();
    poke(&log, 0, &vec![b'x'; len as usize]);
    let error = follower.next(&mut buf).unwrap_err();
    assert!(error.to_string().contains("not a log's metadata (overwritten while it was open)"), "{error}");
    assert_eq!(follower.position().get(), CONTENT.len() as u64);
}

fn is_readable_whole(log: &Path, content: &[u8]) {
    mmlogctl("cat", log).run().printed(content);
}

#[test]
fn a_poisoned_log_refuses_every_writer_with_the_reason_and_readers_still_read() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let open = mmlog::Log::options().open(&log).unwrap();
    open.poison("the operator\nsays no", 5).unwrap();
    drop(open);
    let words = ["has stopped all writing: ", "the operator\\nsays no; find the cause"];
    refused(&["append", "trim"], &log, 4, &words);
    is_readable(&log, CONTENT);
    has_status(&log, "PANICKED", "has stopped all writing: the operator\\nsays no (Input/output error");
    assert_eq!(fs::read(metadata_of(&log)).unwrap()[at::IS_PANICKED], 1);
}

#[test]
fn empty_input_makes_an_empty_log() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    for _ in 0..2 {
        mmlogctl("append", &log).run().printed(b"");
        is_readable(&log, b"");
        assert_eq!(fs::metadata(&log).unwrap().len(), 0);
    }
}
