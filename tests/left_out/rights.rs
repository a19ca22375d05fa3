//! Other users: each command that reads says what it may not look at, and ends with 1.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::cli::{NOBODY, Scratch, Tool, is_root, metadata_of, mmlogctl, skipped, succeeds};
use crate::{content, finals, log_of};

/// Runs as nobody, without any rights that root has.
fn as_nobody(tool: Tool) -> Tool {
    let user = NOBODY.to_string();
    tool.through("setpriv", &["--reuid", &user, "--regid", &user, "--clear-groups"])
}

/// Whether that user could do anything at all.
fn nobody_can_run() -> bool {
    let user = NOBODY.to_string();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups", env!("CARGO_BIN_EXE_mmlogctl")]);
    is_root() && succeeds(command.arg("--version"))
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A log that everybody may read.
fn readable(scratch: &Scratch) -> std::path::PathBuf {
    let log = log_of(scratch.path(), 3);
    set_mode(scratch.path(), 0o755);
    for file in finals(&log).iter().chain([&log, &metadata_of(&log)]) {
        set_mode(file, 0o644);
    }
    log
}

#[test]
fn an_old_segment_that_this_user_may_not_read_is_said_and_the_rest_is_read() {
    if !nobody_can_run() {
        return skipped("a segment that may not be read", "needs root and setpriv(1)");
    }
    let scratch = Scratch::new();
    let log = readable(&scratch);
    let (first, second) = (content(0).len(), content(0).len() + content(1).len());
    set_mode(&finals(&log)[1], 0o600);
    let lost = format!("positions {first} to {second} could not be read");
    for line in [&["cat"][..], &["tail", "-n+1"], &["tail", "-n100000"]] {
        let ended = as_nobody(mmlogctl(line[0], &log).args(&line[1..])).run();
        ended.is_refused(1, &log, &[&lost, "Permission denied"]);
        assert!(ended.stdout == [content(0), content(2)].concat(), "{line:?}: {ended:?}");
    }
    // Whoever keeps a place must not be led past what it may read tomorrow.
    let place = tempfile::tempdir().unwrap();
    set_mode(place.path(), 0o777);
    let place = place.path().join("place");
    let follow = ["--until-now", "--cursor-file", place.to_str().unwrap()];
    let ended = as_nobody(mmlogctl("tail", &log).args(follow)).run();
    ended.is_refused(1, &log, &["Permission denied"]);
    assert!(ended.stdout == content(0), "{ended:?}");
    set_mode(&finals(&log)[1], 0o644);
    as_nobody(mmlogctl("tail", &log).args(follow)).run().printed(&[content(1), content(2)].concat());
    set_mode(&finals(&log)[1], 0o600);
    for command in ["segments", "status"] {
        let ended = as_nobody(mmlogctl(command, &log)).run();
        ended.is_refused(1, &log, &[finals(&log)[1].to_str().unwrap(), "Permission denied"]);
    }
    let checked = as_nobody(mmlogctl("check", &log)).run();
    assert!(checked.code == 1 && checked.text().contains("Permission denied"), "{checked:?}");
    let checked = as_nobody(mmlogctl("check", &log).arg("--deep")).run();
    let text = checked.text();
    assert!(
        checked.code == 3
            && text.starts_with("UNKNOWN - ")
            && text.contains("not all of it could be looked at"),
        "{checked:?}"
    );
    assert!(text.contains("  unseen  ") && !text.contains("violated"), "{checked:?}");
}

#[test]
fn a_directory_that_this_user_may_not_list_is_said_by_all_who_look_for_old_segments() {
    if !nobody_can_run() {
        return skipped("a hidden directory", "needs root and setpriv(1)");
    }
    let scratch = Scratch::new();
    let log = readable(&scratch);
    let hidden = |mode| {
        set_mode(scratch.path(), mode);
        for line in [&["cat"][..], &["tail", "-n+1"], &["segments"], &["status"], &["status", "--json"]] {
            let ended = as_nobody(mmlogctl(line[0], &log).args(&line[1..])).run();
            ended.is_refused(
                1,
                &log,
                &[if mode & 1 == 1 { "could not be looked" } else { "Permission denied" }],
            );
        }
        let checked = as_nobody(mmlogctl("check", &log)).run();
        assert!(
            [1, 3].contains(&checked.code) && checked.text().contains("Permission denied"),
            "{checked:?}"
        );
        let checked = as_nobody(mmlogctl("check", &log).arg("--deep")).run();
        assert!(checked.code == 3 && checked.text().contains("Permission denied"), "{checked:?}");
    };
    hidden(0o711);
    hidden(0o700);
    // The directory of old segments alone.
    set_mode(scratch.path(), 0o755);
    fs::create_dir(scratch.file("old")).unwrap();
    mmlogctl("rotate", &log).arg("--olddir=old").run().is_success();
    mmlogctl("append", &log).input(b"on\n").run().is_success();
    for mode in [0o711, 0o700] {
        set_mode(&scratch.file("old"), mode);
        for line in [&["cat"][..], &["tail", "-n+1"], &["segments"], &["status"]] {
            let ended = as_nobody(mmlogctl(line[0], &log).args(&line[1..])).run();
            ended.is_refused(1, &log, &["could not be looked"]);
        }
    }
}

#[test]
fn rm_says_that_it_could_not_look_for_old_segments() {
    if !nobody_can_run() {
        return skipped("rm in a hidden directory", "needs root and setpriv(1)");
    }
    let scratch = Scratch::new();
    let log = readable(&scratch);
    for file in finals(&log).iter().map(std::path::PathBuf::as_path).chain([
        &*log,
        &*metadata_of(&log),
        scratch.path(),
    ]) {
        std::os::unix::fs::chown(file, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    set_mode(scratch.path(), 0o300);
    let ended = as_nobody(mmlogctl("rm", &log)).run();
    ended.is_refused(
        1,
        &log,
        &["old segments were not looked for", "Permission denied", "what is there stays"],
    );
    assert!(!log.exists() && finals(&log).len() == 2, "{ended:?}");
}
