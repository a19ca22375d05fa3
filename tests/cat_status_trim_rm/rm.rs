//! `rm`: all of a log that nobody has open.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;

use nix::sys::signal::Signal;

use crate::cli::{Bytes, Hung, Scratch, metadata_of, mmlogctl, skipped, when_out_of_use};
use crate::{CONTENT, live};

fn is_gone(scratch: &Scratch) {
    let left: Vec<_> = fs::read_dir(scratch.path()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_log_at_rest_is_removed_with_its_metadata() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    mmlogctl("rm", &log).run().printed(b"");
    is_gone(&scratch);
    mmlogctl("rm", &log).run().is_refused(1, &log, &["no such log"]);
}

#[test]
fn a_log_that_a_writer_has_open_is_refused_and_the_writer_named() {
    let scratch = Scratch::new();
    let (log, open, mut writer) = live(&scratch);
    let before = Bytes::of(&log);
    let us = format!("in use by process {} (", std::process::id());
    mmlogctl("rm", &log).run().is_refused(3, &log, &[&us, "; stop it first"]);
    before.are_still_in(&log);
    writer.append(b"four\n").unwrap();
    drop((open, writer));
    when_out_of_use(|| mmlogctl("rm", &log).run()).printed(b"");
    is_gone(&scratch);
}

#[test]
fn a_log_that_is_followed_is_refused_and_the_follower_named() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let running = mmlogctl("tail", &log).arg("-f").start();
    running.until_stdout(|printed| printed == CONTENT);
    let follower = format!("in use by process {} (mmlogctl", running.pid());
    mmlogctl("rm", &log).run().is_refused(3, &log, &[&follower]);
    running.signal(Signal::SIGTERM);
    running.end().printed(CONTENT);
    mmlogctl("rm", &log).run().printed(b"");
}

#[test]
fn of_many_who_have_it_open_some_are_named_and_the_others_counted() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let running: Vec<_> = (0..5).map(|_| mmlogctl("tail", &log).arg("-f").start()).collect();
    for one in &running {
        one.until_stdout(|printed| printed == CONTENT);
    }
    let refused = mmlogctl("rm", &log).run();
    refused.is_refused(3, &log, &["in use by process ", " and 2 more; stop it first"]);
    assert_eq!(refused.stderr.matches("process ").count(), 3, "{refused:?}");
    for one in running {
        one.signal(Signal::SIGTERM);
        one.end();
    }
}

#[test]
fn a_data_file_that_a_pager_has_open_is_in_use_too() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let pager = fs::File::open(&log).unwrap();
    let us = format!("process {} (", std::process::id());
    mmlogctl("rm", &log).run().is_refused(3, &log, &["in use by", &us]);
    drop(pager);
    when_out_of_use(|| mmlogctl("rm", &log).run()).printed(b"");
}

#[test]
fn who_has_it_open_is_found_beside_files_whose_file_system_hangs() {
    let claim = "who_has_it_open_is_found_beside_files_whose_file_system_hangs";
    let scratch = Scratch::new();
    let Some(hung) = Hung::mount(&scratch) else {
        return skipped(claim, "no FUSE, or not root");
    };
    // A directory of it, open in this process, whom the tool looks at.
    let path_only = nix::libc::O_PATH | nix::libc::O_DIRECTORY;
    let directory = OpenOptions::new().read(true).custom_flags(path_only).open(&hung.place).unwrap();
    let (log, open, writer) = live(&scratch);
    let us = format!("in use by process {} (", std::process::id());
    let ended = mmlogctl("rm", &log).through("timeout", &["--signal=KILL", "20"]).run();
    ended.is_refused(3, &log, &[&us, "; stop it first"]);
    drop((open, writer, directory, hung));
}

#[test]
fn force_removes_a_log_in_use_and_its_name_is_free() {
    let scratch = Scratch::new();
    let (log, _open, _writer) = live(&scratch);
    mmlogctl("rm", &log).arg("--force").run().printed(b"");
    is_gone(&scratch);
    mmlogctl("append", &log).input(b"new\n").run().is_success();
    mmlogctl("cat", &log).run().printed(b"new\n");
}

#[test]
fn a_removal_that_was_interrupted_can_be_finished() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    fs::remove_file(&log).unwrap();
    mmlogctl("rm", &log).run().printed(b"");
    is_gone(&scratch);
}

/// Only the metadata is there, as a killed `rm` leaves it, or somebody who took the data file.
#[test]
fn a_log_that_is_half_removed_says_so_and_both_steps_to_whoever_comes() {
    let commands: [&[&str]; 8] = [
        &["append"],
        &["init"],
        &["cat"],
        &["tail"],
        &["check"],
        &["check", "--deep"],
        &["status", "--json"],
        &["repair", "--dry-run"],
    ];
    for (name, quoted) in [("app.log", ""), ("my app's.log", "$")] {
        let scratch = Scratch::new();
        let log = scratch.file(name);
        mmlogctl("append", &log).input(CONTENT).run().is_success();
        mmlogctl("rotate", &log).run().is_success();
        mmlogctl("append", &log).input(CONTENT).run().is_success();
        fs::remove_file(&log).unwrap();
        let path = match quoted {
            "" => log.display().to_string(),
            _ => format!("'{}'", log.display().to_string().replace('\'', r"'\''")),
        };
        for command in commands {
            let ended = mmlogctl(command[0], &log).args(&command[1..]).input(b"x\n").run();
            let said = format!("{}{}", ended.text(), ended.stderr).replace(r"\\", r"\");
            assert!(ended.code != 0 || command[0] == "status", "{command:?}: {ended:?}");
            let steps = [
                "data file is gone".to_owned(),
                format!("`mmlogctl repair --recreate {path}` goes on behind the lost positions"),
                format!("if the log was to be removed, `mmlogctl rm {path}` takes away what is left"),
            ];
            for step in &steps {
                assert!(said.contains(step), "{command:?}: {ended:?} has no {step:?}");
            }
            assert!(!said.contains("--rebuild"), "does nothing there: {command:?}: {ended:?}");
            assert!(!log.exists(), "{command:?} made it");
        }
        let segment = mmlogctl("rm", &log).run();
        assert!(
            segment.code == 0 && segment.stderr.contains(&format!("`mmlogctl rm --all {path}`")),
            "{segment:?}"
        );
        mmlogctl("rm", &log).arg("--all").run().is_success();
        is_gone(&scratch);
    }
}

#[test]
fn a_plain_file_is_no_log_and_is_kept() {
    let scratch = Scratch::new();
    let file = scratch.file("notes.txt");
    fs::write(&file, CONTENT).unwrap();
    for options in [&[][..], &["--force"]] {
        mmlogctl("rm", &file).args(options).run().is_refused(1, &file, &["not a log (no metadata)"]);
    }
    fs::write(metadata_of(&file), "somebody else's file\n").unwrap();
    when_out_of_use(|| mmlogctl("rm", &file).run()).is_refused(1, &file, &["not a log's metadata"]);
    assert_eq!(fs::read(&file).unwrap(), CONTENT);
}

#[test]
fn what_was_left_by_a_dead_creator_can_be_removed() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    fs::write(metadata_of(&log), "").unwrap();
    when_out_of_use(|| mmlogctl("rm", &log).run()).printed(b"");
    is_gone(&scratch);
}
