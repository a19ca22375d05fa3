//! What this user may not do.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use nix::mount::{MsFlags, mount};
use nix::sys::signal::Signal;

use crate::cli::{
    Bytes, COMMANDS, NOBODY, Scratch, Tool, WRITING, is_root, metadata_of, mmlogctl, own_mounts, skipped,
    succeeds, wait_for,
};
use crate::{CONTENT, has_status, is_readable, refused, refused_by};

fn as_nobody(tool: Tool) -> Tool {
    tool.with(|command| command.uid(NOBODY).gid(NOBODY))
}

/// Whether that user could do anything at all.
fn nobody_can_run() -> bool {
    let mut version = Command::new(env!("CARGO_BIN_EXE_mmlogctl"));
    is_root() && succeeds(version.arg("--version").uid(NOBODY).gid(NOBODY))
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn another_users_private_log_is_refused_with_the_reason_in_words() {
    if !nobody_can_run() {
        return skipped("another user's log is refused", "only root can act as another user");
    }
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    set_mode(scratch.path(), 0o755);
    set_mode(&log, 0o600);
    set_mode(&metadata_of(&log), 0o600);
    let denied = "Permission denied (os error 13): it has mode 0600, owner 0:0, and this is uid 65534; ";
    let reason = [denied, "run it as root"];
    refused_by(as_nobody, &COMMANDS, &log, 1, &reason);
    let step = format!("{denied}as root: `mmlogctl status {}`", log.display());
    let checked = as_nobody(mmlogctl("check", &log)).run();
    assert!(checked.code == 3 && checked.text().contains(&step), "{checked:?}");
    let listed = as_nobody(mmlogctl("ls", scratch.path()).arg("--only-below")).run();
    assert!(listed.stderr.contains(&step) && !listed.text().contains("denied"), "{listed:?}");
    chown(metadata_of(&log), Some(1001), None).unwrap();
    let seen = as_nobody(mmlogctl("cat", &log)).run();
    assert!(
        seen.stderr.contains("owner 1001:0, and this is uid 65534; run it as root or as uid 1001"),
        "{seen:?}"
    );
    set_mode(scratch.path(), 0o700);
    refused_by(as_nobody, &COMMANDS, &log, 1, &["Permission denied"]);
}

#[test]
fn who_may_not_signal_a_stopped_process_is_told_who_may() {
    if !nobody_can_run() {
        return skipped("another user's process is said to be", "only root can act as another user");
    }
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    set_mode(scratch.path(), 0o755);
    for file in [&log, &metadata_of(&log)] {
        set_mode(file, 0o644);
    }
    let mut writer = mmlogctl("append", &log).start();
    writer.feed(b"four\n");
    wait_for("the line", || mmlogctl("cat", &log).run().text().ends_with("four\n").then_some(()));
    writer.signal(Signal::SIGSTOP);
    let step = |by: fn(Tool) -> Tool| {
        let said = by(mmlogctl("status", &log).arg("--json")).run();
        let status: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
        let findings = status["findings"].as_array().unwrap();
        let found = findings.iter().find(|f| f["id"] == "writer-stopped")?;
        assert_eq!(found["command"], format!("kill -CONT {}", writer.pid()));
        Some(found["next_step"].as_str().unwrap().to_owned())
    };
    let told = |by: fn(Tool) -> Tool| wait_for("a writer that is stopped", || step(by));
    assert!(told(as_nobody).starts_with("as root: `kill -CONT "), "{}", told(as_nobody));
    assert!(told(|tool| tool).starts_with("`kill -CONT "), "{}", told(|tool| tool));
    writer.signal(Signal::SIGCONT);
    writer.end();
}

#[test]
fn another_users_readable_log_can_be_read_and_no_more() {
    if !nobody_can_run() {
        return skipped("another user's log can be read", "only root can act as another user");
    }
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    set_mode(scratch.path(), 0o755);
    set_mode(&log, 0o644);
    set_mode(&metadata_of(&log), 0o644);
    for command in ["cat", "tail"] {
        as_nobody(mmlogctl(command, &log)).run().printed(CONTENT);
    }
    as_nobody(mmlogctl("status", &log)).run().is_success();
    refused_by(as_nobody, &["init", "append", "trim", "rm"], &log, 1, &["Permission denied"]);
}

#[test]
fn who_may_not_list_the_directory_is_told_what_could_not_be_looked_at() {
    if !nobody_can_run() {
        return skipped("a hidden directory is said", "only root can act as another user");
    }
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    set_mode(scratch.path(), 0o711);
    for file in [&log, &metadata_of(&log)] {
        set_mode(file, 0o644);
    }
    for command in ["cat", "tail"] {
        as_nobody(mmlogctl(command, &log)).run().printed(CONTENT);
    }
    mmlogctl("rotate", &log).run().is_success();
    mmlogctl("append", &log).input(b"four\nfive\n").run().is_success();
    for options in [&["cat"][..], &["tail"], &["tail", "-n+1", "-ojson"]] {
        let ended = as_nobody(mmlogctl(options[0], &log).args(&options[1..])).run();
        ended.is_refused(1, &log, &["positions 0 to 14 could not be looked at", "may not list"]);
        assert!(ended.text().contains("four"), "{ended:?}");
    }
    // What does not lie there is not concerned.
    as_nobody(mmlogctl("tail", &log).arg("-n1")).run().printed(b"five\n");
    as_nobody(mmlogctl("cat", &log).arg("--from=14")).run().printed(b"four\nfive\n");
}

#[test]
fn who_follows_by_name_goes_on_while_the_directory_may_not_be_looked_at() {
    if !nobody_can_run() {
        return skipped("an inaccessible directory is waited for", "only root can act as another user");
    }
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    set_mode(scratch.path(), 0o755);
    for file in [&log, &metadata_of(&log)] {
        set_mode(file, 0o644);
    }
    let running = as_nobody(mmlogctl("tail", &log).args(["-F", "-n+1"])).start();
    running.until_stdout(|printed| printed == CONTENT);
    set_mode(scratch.path(), 0o000);
    running.until_stderr("inaccessible, going on with what is open");
    mmlogctl("append", &log).input(b"four\n").run().is_success();
    running.until_stdout(|printed| printed.ends_with(b"four\n"));
    mmlogctl("rotate", &log).run().is_success();
    mmlogctl("append", &log).input(b"five\n").run().is_success();
    set_mode(scratch.path(), 0o755);
    running.until_stderr("accessible again");
    running.until_stdout(|printed| printed.ends_with(b"five\n"));
    running.signal(Signal::SIGTERM);
    let ended = running.end();
    assert_eq!((ended.code, ended.stderr.lines().count()), (0, 2), "{ended:?}");
    assert_eq!(ended.stdout, [CONTENT, b"four\nfive\n"].concat());
}

#[test]
fn files_of_different_owners_are_refused_and_the_option_that_allows_them_named() {
    if !is_root() {
        return skipped("files of different owners are refused", "only root can give files away");
    }
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    chown(&log, Some(NOBODY), None).unwrap();
    let words = ["data file belongs to uid 65534, metadata to uid 0; chown one, or use --trust-path"];
    refused(&["init", "append", "cat", "tail", "trim"], &log, 1, &words);
    has_status(&log, "DAMAGED", words[0].split(';').next().unwrap());
    mmlogctl("cat", &log).arg("--trust-path").run().printed(CONTENT);
    mmlogctl("append", &log).arg("--trust-path").input(b"four\n").run().is_success();
}

#[test]
fn root_works_on_a_service_users_log_and_takes_nothing_from_it() {
    if !is_root() {
        return skipped("root works on a service user's log", "only root can give files away");
    }
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    for file in [&log, &metadata_of(&log)] {
        chown(file, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    mmlogctl("append", &log).input(b"four\n").run().is_success();
    mmlogctl("trim", &log).run().printed(b"");
    is_readable(&log, &[CONTENT, b"four\n"].concat());
    for file in [&log, &metadata_of(&log)] {
        let owner = fs::metadata(file).unwrap();
        assert_eq!((owner.uid(), owner.gid()), (NOBODY, NOBODY));
    }
}

#[test]
fn on_a_read_only_mount_logs_are_read_and_writing_is_refused_in_words() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let none = None::<&str>;
    let remount = |flags| mount(Some(scratch.path()), scratch.path(), none, flags, none).is_ok();
    let read_only = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    if !(own_mounts() && remount(MsFlags::MS_BIND) && remount(read_only)) {
        return skipped("a read-only mount is named", "mounting needs root");
    }
    refused(&["init", "append", "trim", "rm"], &log, 1, &["the mount is read-only"]);
    refused(&["init", "append"], &scratch.file("new"), 1, &["the mount is read-only"]);
    is_readable(&log, CONTENT);
    has_status(&log, "OK", "nothing to do");
}

/// The attribute of `file` while `then` runs; false when it cannot be had.
fn with_attribute(attribute: &str, file: &Path, then: impl FnOnce()) -> bool {
    let chattr = |sign| succeeds(Command::new("chattr").arg(format!("{sign}{attribute}")).arg(file));
    let set = chattr("+");
    if set {
        then();
        assert!(chattr("-"));
    }
    set
}

#[test]
fn an_attribute_that_forbids_mapped_writers_is_named() {
    let words = ["append-only or immutable attribute set", "lsattr", "need both attributes off"];
    for attribute in ["i", "a"] {
        let scratch = Scratch::new();
        let log = scratch.log(CONTENT);
        let tried = with_attribute(attribute, &log, || {
            refused(&WRITING, &log, 1, &words);
            refused(&["rm"], &log, 1, &words);
            is_readable(&log, CONTENT);
        });
        let both = with_attribute(attribute, &metadata_of(&log), || {
            refused(&WRITING, &log, 1, &words);
            is_readable(&log, CONTENT);
        });
        if !(tried && both) {
            return skipped(
                "the attributes +i and +a are named",
                "chattr needs root and a file system with them",
            );
        }
    }
}

#[test]
fn a_log_that_cannot_be_removed_whole_is_not_removed_by_half() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let tried = with_attribute("i", &metadata_of(&log), || refused(&["rm"], &log, 1, &["attribute"]));
    if !tried {
        skipped("rm removes both files or none", "chattr needs root and a file system with attributes");
    }
}

#[test]
fn too_few_descriptors_are_named_with_the_limit() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let limited = |limit: &'static str| move |tool: Tool| tool.through("prlimit", &[limit]);
    if !succeeds(Command::new("prlimit").arg("--version")) {
        return skipped("too few descriptors are named", "there is no prlimit(1) here");
    }
    let words = |limit| format!("Too many open files (os error 24) (RLIMIT_NOFILE, `ulimit -n`, is {limit})");
    refused_by(limited("--nofile=4"), &["init", "cat", "tail", "status", "trim"], &log, 1, &[&words(4)]);
    refused_by(limited("--nofile=8"), &["append"], &log, 1, &[&words(8), "(2 bytes were not stored)"]);
    let before = Bytes::of(&log);
    // With so few not even signals can be caught; the program itself may need more to start.
    let ended = limited("--nofile=5")(mmlogctl("append", &log)).input(b"x\n").run();
    ended.is_refused(1, &log, &["Too many open files"]);
    before.are_still_in(&log);
}
