//! `--olddir`.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::PathBuf;
use std::process::Command;

use crate::cli::{NOBODY, Scratch, is_root, mmlogctl, skipped, succeeds};
use crate::{append, has_suffix, lines, rotate, segments, segments_in};

/// A log, and a directory beside it.
fn beside(scratch: &Scratch) -> (PathBuf, PathBuf) {
    let (log, old) = (scratch.file("app.log"), scratch.file("old"));
    fs::create_dir(&old).unwrap();
    append(&log, &lines(0, 1000));
    (log, old)
}

#[test]
fn segments_are_moved_and_everybody_finds_them() {
    let scratch = Scratch::new();
    let (log, old) = beside(&scratch);
    rotate(&log, &[]).run().printed(b"");
    append(&log, &lines(1000, 2000));
    let say = "echo $MMLOG_SEGMENT";
    let ended = rotate(&log, &["--olddir=old", "--compress=zstd", "--run", say]).run();
    let found = segments_in(&old);
    ended.printed(format!("{}\n", found[1].display()).as_bytes());
    assert!(found.len() == 2 && segments(&log).is_empty(), "{found:?}");
    append(&log, &lines(2000, 3000));
    mmlogctl("cat", &log).run().printed(&lines(0, 3000));
    mmlogctl("tail", &log).arg("-n2500").run().printed(&lines(500, 3000));
    // Also without saying where they are.
    rotate(&log, &[]).run().printed(b"");
    assert_eq!(segments(&log).len(), 1);
    mmlogctl("cat", &log).run().printed(&lines(0, 3000));
    mmlogctl("check", &log).arg("--deep").run().is_success();
    assert!(mmlogctl("status", &log).run().text().contains("old/app.log.0000000000"));
    let open = mmlog::Log::options().open(&log).unwrap();
    assert_eq!(open.prune(&mmlog::Retention::default().keep(1)).unwrap().segments.len(), 2);
    open.close().unwrap();
    assert!(segments_in(&old).is_empty() && segments(&log).len() == 1);
    mmlogctl("cat", &log)
        .arg("--from")
        .arg(lines(0, 2000).len().to_string())
        .run()
        .printed(&lines(2000, 3000));
}

#[test]
fn a_follower_sees_every_byte_while_segments_are_rotated_and_moved_and_compressed() {
    let scratch = Scratch::new();
    let (log, old) = beside(&scratch);
    let tail = mmlogctl("tail", &log).args(["-n+1", "-f"]).start();
    for round in 1..12 {
        append(&log, &lines(round * 1000, (round + 1) * 1000));
        rotate(&log, &["--olddir=old", "--compress=gzip"]).run().printed(b"");
        // A new reader, too.
        mmlogctl("cat", &log).run().printed(&lines(0, (round + 1) * 1000));
    }
    let all = lines(0, 12_000);
    tail.until_stdout(|printed| printed.len() >= all.len());
    assert!(tail.printed() == all);
    assert!(segments_in(&old).iter().all(|path| has_suffix(path, ".gz")));
}

#[test]
fn a_directory_that_will_not_do_is_refused_before_anything() {
    let scratch = Scratch::new();
    let (log, old) = beside(&scratch);
    symlink(&old, scratch.file("link")).unwrap();
    fs::write(scratch.file("file"), b"").unwrap();
    let open = scratch.file("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
    let too_long = format!("{}old", "./".repeat(100));
    let cases = [
        ("missing", "make it first"),
        ("link", "cannot hold"),
        ("file", "cannot hold"),
        ("open", "writable by everybody"),
        (".", "the log's own"),
        ("/proc", "another file system"),
        (&*too_long, "192 bytes"),
    ];
    for (directory, problem) in cases {
        let ended = rotate(&log, &["--olddir", directory]).run();
        assert!(ended.code == 1 && ended.stderr.contains(problem), "{directory}: {ended:?}");
        assert!(segments(&log).is_empty());
    }
    if is_root() {
        chown(&old, Some(NOBODY), None).unwrap();
        let ended = rotate(&log, &["--olddir=old"]).run();
        ended.is_refused(1, &log, &["user 65534 owns it"]);
    }
    mmlogctl("cat", &log).run().printed(&lines(0, 1000));
}

#[test]
fn another_directory_is_refused_while_there_are_segments_in_the_first() {
    let scratch = Scratch::new();
    let (log, old) = beside(&scratch);
    fs::create_dir(scratch.file("older")).unwrap();
    rotate(&log, &["--olddir=old"]).run().printed(b"");
    append(&log, &lines(1000, 2000));
    rotate(&log, &["--olddir=older"]).run().is_refused(1, &log, &["there are some in", "move them"]);
    assert!(segments(&log).is_empty(), "nothing was rotated");
    // The same by another name is the same.
    rotate(&log, &["--olddir", old.to_str().unwrap()]).run().printed(b"");
    for path in segments_in(&old) {
        fs::rename(&path, scratch.file(path.file_name().unwrap().to_str().unwrap())).unwrap();
    }
    rotate(&log, &["--olddir=older"]).run().printed(b"");
    assert_eq!(segments_in(&scratch.file("older")).len(), 2);
    mmlogctl("cat", &log).run().printed(&lines(0, 2000));
}

#[test]
fn the_directory_of_another_log_of_that_name_is_refused() {
    let scratch = Scratch::new();
    let (log, old) = beside(&scratch);
    rotate(&log, &["--olddir=old"]).run().printed(b"");
    let other = Scratch::new();
    append(&other.file("app.log"), b"other\n");
    let ended = rotate(&other.file("app.log"), &["--olddir", old.to_str().unwrap()]).run();
    ended.is_refused(1, &other.file("app.log"), &["segments that this log does not know"]);
    mmlogctl("cat", &other.file("app.log")).run().printed(b"other\n");
}

#[test]
fn another_file_system_is_refused() {
    let scratch = Scratch::new();
    let (log, old) = beside(&scratch);
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "none"]).arg(&old);
    if !is_root() || !succeeds(&mut mount) {
        return skipped("another file system", "cannot mount a tmpfs here");
    }
    let ended = rotate(&log, &["--olddir=old"]).run();
    succeeds(Command::new("umount").arg("-l").arg(&old));
    ended.is_refused(1, &log, &["another file system"]);
    assert!(segments(&log).is_empty());
}

#[test]
fn what_a_plan_says_is_what_is_done() {
    let scratch = Scratch::new();
    let (log, old) = beside(&scratch);
    let plan = rotate(&log, &["-n", "--olddir=old", "--compress=zstd"]).run();
    plan.is_success();
    assert!(plan.text().contains("would move") && plan.text().contains("would compress"), "{plan:?}");
    assert!(segments_in(&old).is_empty() && segments(&log).is_empty());
}

#[test]
fn a_log_that_is_removed_with_all_segments_leaves_none_there() {
    let scratch = Scratch::new();
    let (log, old) = beside(&scratch);
    rotate(&log, &["--olddir=old"]).run().printed(b"");
    append(&log, &lines(1000, 2000));
    rotate(&log, &[]).run().printed(b"");
    mmlogctl("rm", &log).arg("--all").run().is_success();
    assert!(segments_in(&old).is_empty() && segments(&log).is_empty());
}
