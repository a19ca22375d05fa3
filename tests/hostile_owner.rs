//! Guards the files of others against whoever owns a log, or may write its metadata: root's `prune`, `rm --all`, `rotate`
//! and readers touch and show nothing that he could not have had himself. (logrotate had CVE-2011-1548 and CVE-2016-1247.)

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;

use std::fs;
use std::mem::offset_of;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use cli::{
    Ended, Held, NOBODY, Scratch, Tool, is_root, metadata_of, mmlogctl, poke, skipped, slot, write_owner,
    write_slot,
};
use mmlog::layout::{Header, LOCK_BYTE};

const OURS: &[u8] = b"ours 1\nours 2\nours 3\n";
const THEIRS: &[u8] = b"secret 1\nsecret 2\nsecret 3\n";

/// A directory with a log `app.log` of three segments, the last one current.
fn log_in(directory: &Path, content: &[u8]) -> PathBuf {
    fs::create_dir_all(directory).unwrap();
    let log = directory.join("app.log");
    let lines: Vec<&[u8]> = content.split_inclusive(|b| *b == b'\n').collect();
    for (i, line) in lines.iter().enumerate() {
        mmlogctl("append", &log).arg("--raw").input(line).run().is_success();
        if i + 1 < lines.len() {
            mmlogctl("rotate", &log).run().printed(b"");
        }
    }
    log
}

/// Gives the directory and everything in it to a user.
fn give(directory: &Path, uid: u32) {
    chown(directory, Some(uid), Some(uid)).unwrap();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_symlink() {
            chown(path, Some(uid), Some(uid)).unwrap();
        }
    }
}

/// What whoever may write the metadata stores there: the name of a directory of old segments.
fn name_directory(log: &Path, name: &str) {
    let mut field = [0; 192];
    field[..name.len()].copy_from_slice(name.as_bytes());
    poke(log, offset_of!(Header, policy.olddir_changes), &2_u64.to_ne_bytes());
    poke(log, offset_of!(Header, policy.olddir), &field);
}

/// Everything in a directory: name, owner, links, content.
fn everything(directory: &Path) -> Vec<(PathBuf, u32, u64, Vec<u8>)> {
    let look = |path: PathBuf| {
        let stat = fs::symlink_metadata(&path).unwrap();
        (path.clone(), stat.uid(), stat.nlink(), fs::read(&path).unwrap_or_default())
    };
    let mut all: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| look(entry.unwrap().path())).collect();
    all.sort();
    all
}

/// Every command that looks for segments, on a log of somebody else.
fn commands(log: &Path) -> Vec<Tool> {
    let tool = |command: &str, args: &[&str]| mmlogctl(command, log).args(args);
    vec![
        tool("cat", &[]),
        tool("tail", &["-n+1"]),
        tool("segments", &[]),
        tool("status", &[]),
        tool("check", &[]),
        tool("check", &["--deep"]),
        tool("prune", &["--keep=0", "-n"]),
        tool("prune", &["--keep=0"]),
        tool("rotate", &["--compress=zstd"]),
        tool("rotate", &[]),
        tool("rm", &["--all"]),
    ]
}

fn shows_a_secret(ended: &Ended) -> bool {
    ended.stdout.windows(6).any(|window| window == b"secret") || ended.stderr.contains("secret")
}

#[test]
fn a_neighbours_segments_are_neither_shown_nor_touched_whatever_the_metadata_names() {
    if !is_root() {
        return skipped("a hostile owner", "needs root");
    }
    let scratch = Scratch::new();
    let victim = scratch.file("victim");
    log_in(&victim, THEIRS);
    let before = everything(&victim);
    let mallory = scratch.file("mallory");
    let log = log_in(&mallory, OURS);
    symlink(&victim, mallory.join("link")).unwrap();
    symlink(scratch.path(), mallory.join("up")).unwrap();
    give(&mallory, NOBODY);
    let absolute = victim.to_str().unwrap().to_owned();
    for name in [absolute.as_str(), "../victim", "./../victim", "up/victim", "link/", "link/."] {
        name_directory(&log, name);
        for tool in commands(&log) {
            let ended = tool.run();
            assert!(!shows_a_secret(&ended), "{name}: {ended:?}");
            assert!(everything(&victim) == before, "{name}: {ended:?}");
        }
    }
}

#[test]
fn who_may_only_write_the_metadata_leads_nobody_to_another_log_of_the_same_owner() {
    let scratch = Scratch::new();
    let public = scratch.file("public");
    let log = log_in(&public, OURS);
    let metadata = metadata_of(&log);
    // Elsewhere, and below: with a log of that name in it, or on the way to its old segments.
    let (elsewhere, below) = (scratch.file("elsewhere"), public.join("below"));
    log_in(&elsewhere, THEIRS);
    let beneath = log_in(&below, THEIRS);
    fs::create_dir(below.join("old")).unwrap();
    for (name, mode) in
        [("../elsewhere", 0o666), ("../elsewhere", 0o664), ("below", 0o644), ("below/old", 0o644)]
    {
        if name == "below/old" {
            mmlogctl("rotate", &beneath).args(["--olddir", "old"]).run().is_success();
        }
        fs::set_permissions(&metadata, fs::Permissions::from_mode(mode)).unwrap();
        name_directory(&log, name);
        let all = || [&elsewhere, &below, &below.join("old")].map(|directory| everything(directory));
        let before = all();
        for tool in commands(&log).into_iter().take(8) {
            let ended = tool.run();
            assert!(!shows_a_secret(&ended) && all() == before, "{name}: {ended:?}");
        }
        let said = format!("--olddir {name}");
        mmlogctl("prune", &log).arg("--keep=0").run().is_refused(1, &log, &[&said]);
        mmlogctl("rm", &log).arg("--all").run().is_refused(1, &log, &[&said]);
        assert!(all() == before, "{name}");
    }
}

/// Ended with the test, however that ends.
struct Bystander(Child);

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn nobody_is_told_to_end_a_process_that_does_not_have_the_log_open_whatever_the_metadata_says() {
    let scratch = Scratch::new();
    let log = log_in(&scratch.file("log"), OURS);
    let bystander = Bystander(Command::new("sleep").arg("1d").spawn().unwrap());
    let pid = bystander.0.id();
    let (lock, slot_5) = (Held::byte(&log, LOCK_BYTE), Held::slot(&log, 5));
    write_owner(&log, offset_of!(Header, lock_owner), pid, 4, "sshd");
    write_slot(&log, 5, slot(3, 8), 4, pid);
    for (command, args) in
        [("status", &[][..]), ("status", &["--json"]), ("check", &[]), ("check", &["--deep"])]
    {
        let ended = mmlogctl(command, &log).args(args).run();
        assert!(!ended.text().contains(&pid.to_string()), "{pid}: {ended:?}");
    }
    for command in ["rotate", "trim"] {
        let ended = mmlogctl(command, &log).args(["--wait", "300ms"]).run();
        let said = ended.text() + &ended.stderr;
        assert!(ended.code == 3 && !said.contains(&pid.to_string()), "{command}, {pid}: {ended:?}");
        assert!(said.contains("a process that has not said who it is"), "{command}: {ended:?}");
    }
    drop((lock, slot_5));
}

#[test]
fn a_directory_elsewhere_is_looked_in_when_the_command_line_says_it_again() {
    let scratch = Scratch::new();
    let log = log_in(&scratch.file("here"), OURS);
    let old = scratch.file("it's old");
    fs::create_dir(&old).unwrap();
    for entry in fs::read_dir(log.parent().unwrap()).unwrap().map(Result::unwrap) {
        if entry.file_name().to_string_lossy().starts_with("app.log.0") {
            fs::rename(entry.path(), old.join(entry.file_name())).unwrap();
        }
    }
    let name = "../it's old";
    name_directory(&log, name);
    // All of it belongs to the log's owner: nobody has to say anything, as before.
    mmlogctl("cat", &log).run().printed(OURS);
    if !is_root() {
        return skipped("a hostile owner", "needs root");
    }
    give(&scratch.file("here"), NOBODY);
    // Now the directory is root's, and the segments in it are not the log's owner's.
    let said = r"--olddir '../it'\''s old'";
    for command in ["cat", "tail", "segments"] {
        let ended = mmlogctl(command, &log).run();
        assert!(ended.code == 1 && ended.stderr.contains(said), "{command}: {ended:?}");
    }
    let ended = mmlogctl("segments", &log).run();
    let sentence =
        format!("mmlogctl: {}: old segments could not be looked for: metadata names ", log.display());
    assert!(ended.stderr.starts_with(&sentence), "no directory is an old segment: {ended:?}");
    mmlogctl("prune", &log).arg("--keep=0").run().is_refused(1, &log, &[said]);
    mmlogctl("rm", &log).arg("--all").run().is_refused(1, &log, &[said]);
    assert!(mmlogctl("check", &log).run().text().contains(said));
    // To root no other user is advised.
    for (command, option, step) in [("check", "--deep", "  next  "), ("repair", "--dry-run", "  left  ")] {
        let ended = mmlogctl(command, &log).arg(option).run();
        let steps: Vec<String> =
            ended.text().lines().filter(|line| line.starts_with(step)).map(str::to_owned).collect();
        assert!(matches!(&steps[..], [one] if one.ends_with(said)), "{steps:?}: {ended:?}");
    }
    assert_eq!(everything(&old).len(), 2);
    // Root has moved the log owner's segments to a directory of his own.
    for entry in fs::read_dir(&old).unwrap() {
        chown(entry.unwrap().path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    mmlogctl("cat", &log).run().is_refused(1, &log, &[said]);
    for command in ["cat", "tail"] {
        mmlogctl(command, &log).args(["--olddir", name]).run().printed(OURS);
    }
    mmlogctl("segments", &log).args(["--olddir", name]).run().is_success();
    mmlogctl("check", &log).args(["--olddir", name]).run().is_success();
    mmlogctl("cat", &log).args(["--olddir", "."]).run().is_refused(1, &log, &["names another one"]);
    mmlogctl("prune", &log).args(["--keep=1", "--olddir", name]).run().printed(b"");
    assert_eq!(everything(&old).len(), 1);
    // It was moved there by an earlier version, and goes on to be.
    mmlogctl("rotate", &log).args(["--olddir", name]).run().printed(b"");
    assert_eq!(everything(&old).len(), 2);
    mmlogctl("rm", &log).args(["--all", "--olddir", name]).run().is_success();
    assert!(everything(&old).is_empty());
}

#[test]
fn a_segment_of_another_owner_is_left_out_and_said_and_stays() {
    if !is_root() {
        return skipped("segments of another owner", "needs root");
    }
    for place in ["", "old"] {
        let scratch = Scratch::new();
        let log = log_in(&scratch.file("here"), OURS);
        let directory = log.parent().unwrap().join(place);
        if !place.is_empty() {
            fs::create_dir(&directory).unwrap();
            mmlogctl("rotate", &log).args(["--olddir", place]).run().printed(b"");
        }
        give(log.parent().unwrap(), NOBODY);
        give(&directory, NOBODY);
        let strange = directory.join("app.log.0000000000-0000000000000000000");
        chown(&strange, Some(0), Some(0)).unwrap();
        let words = [
            "0000000000-0000000000000000000",
            "uid 0 owns it, the log belongs to uid 65534",
            "`chown 65534 ",
        ];
        let tool = |command: &str, args: &[&str]| mmlogctl(command, &log).args(args);
        let says = [
            (tool("cat", &[]), 4),
            (tool("tail", &["-n+1"]), 4),
            (tool("segments", &[]), 4),
            (tool("rotate", &["--compress=zstd"]), 1),
            (tool("prune", &["--keep=0"]), 1),
            (tool("rm", &["--all"]), 1),
        ];
        for (tool, code) in says {
            let ended = tool.run();
            assert!(words.iter().all(|word| ended.stderr.contains(word)), "{ended:?}");
            assert!(ended.code == code && !ended.text().contains("ours 1"), "{ended:?}");
        }
        assert_eq!(fs::read(&strange).unwrap(), b"ours 1\n");
        assert!(!log.exists() && !metadata_of(&log).exists(), "the rest is gone");
    }
}

#[test]
fn nothing_of_a_log_is_removed_where_its_old_segments_cannot_be_looked_for() {
    if !is_root() {
        return skipped("removal beside a directory that may not be read", "needs root, to be somebody else");
    }
    let scratch = Scratch::new();
    let log = log_in(&scratch.file("here"), OURS);
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let old = scratch.file("here/old");
    fs::create_dir(&old).unwrap();
    mmlogctl("rotate", &log).args(["--olddir", "old"]).run().printed(b"");
    give(log.parent().unwrap(), NOBODY);
    give(&old, NOBODY);
    fs::set_permissions(&old, fs::Permissions::from_mode(0o000)).unwrap();
    let as_nobody = |command: &mut std::process::Command| {
        std::os::unix::process::CommandExt::uid(command, NOBODY);
    };
    let ended = mmlogctl("rm", &log)
        .arg("--all")
        .with(|c| {
            as_nobody(c);
            c
        })
        .run();
    assert!(ended.code == 1 && log.exists() && metadata_of(&log).exists(), "{ended:?}");
    fs::set_permissions(&old, fs::Permissions::from_mode(0o755)).unwrap();
    mmlogctl("check", &log).run().is_success();
    mmlogctl("rm", &log).arg("--all").run().is_success();
}

#[test]
fn new_names_of_directories_elsewhere_are_refused() {
    let scratch = Scratch::new();
    let log = log_in(&scratch.file("here"), OURS);
    let elsewhere = scratch.file("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink("../elsewhere", scratch.file("here/link")).unwrap();
    fs::create_dir_all(scratch.file("elsewhere/sub")).unwrap();
    for name in [elsewhere.to_str().unwrap(), "../elsewhere", "link/sub"] {
        mmlogctl("rotate", &log).args(["--olddir", name]).run().is_refused(
            1,
            &log,
            &["below the log's directory"],
        );
    }
    assert_eq!(everything(&elsewhere).len(), 1);
    fs::create_dir_all(scratch.file("here/a/b")).unwrap();
    mmlogctl("rotate", &log).args(["--olddir", "a/./b"]).run().printed(b"");
    assert_eq!(everything(&scratch.file("here/a/b")).len(), 3);
    mmlogctl("cat", &log).run().printed(OURS);
}

#[test]
fn what_stands_where_a_file_is_to_be_made_is_said_and_stays() {
    let scratch = Scratch::new();
    let victim = scratch.file("victim");
    fs::write(&victim, b"secret").unwrap();
    let log = log_in(&scratch.file("here"), OURS);
    let segment = "app.log.0000000000-0000000000000000000";
    let cases: [(&str, &[&str]); 2] = [(segment, &["--compress=zstd"]), ("app.log.mmlog", &[])];
    for (of, args) in cases {
        let suffix = if args.is_empty() { "-next" } else { ".mmlog-part" };
        let name = scratch.file("here").join(format!("{of}{suffix}"));
        let refused = |kind: &str| {
            mmlogctl("append", &log).input(b"more\n").run().is_success();
            let ended = mmlogctl("rotate", &log).args(args).run();
            ended.is_refused(1, &log, &[kind, suffix, "move it away"]);
        };
        symlink(&victim, &name).unwrap();
        refused("a symbolic link is at");
        fs::remove_file(&name).unwrap();
        fs::create_dir(&name).unwrap();
        refused("a directory is at");
        fs::remove_dir(&name).unwrap();
        if is_root() {
            fs::write(&name, b"theirs").unwrap();
            chown(&name, Some(NOBODY), Some(NOBODY)).unwrap();
            refused("a file of uid 65534 is at");
            assert_eq!(fs::read(&name).unwrap(), b"theirs");
            fs::remove_file(&name).unwrap();
        }
        mmlogctl("rotate", &log).args(args).run().printed(b"");
    }
    assert_eq!(fs::read(&victim).unwrap(), b"secret");
}

#[test]
fn the_way_below_is_kept_where_the_kernel_does_not_know_openat2() {
    let injected: Vec<String> = ["ENOSYS", "EPERM"].map(|errno| format!("openat2:error={errno}")).into();
    let strace = |how: &str, tool: Tool| {
        let inject = format!("--inject={how}");
        tool.through("strace", &["-qq", "-f", "-o", "/dev/null", "--trace=openat2", &inject])
    };
    if !cli::succeeds(std::process::Command::new("strace").args(["-qq", "-o", "/dev/null", "true"])) {
        return skipped("a kernel without openat2", "no strace here");
    }
    for how in &injected {
        let scratch = Scratch::new();
        let log = log_in(&scratch.file("here"), OURS);
        fs::create_dir_all(scratch.file("here/a/old")).unwrap();
        fs::create_dir_all(scratch.file("elsewhere/old")).unwrap();
        symlink("../elsewhere", scratch.file("here/link")).unwrap();
        for name in ["link/old", "../elsewhere", "a/../../elsewhere"] {
            let ended = strace(how, mmlogctl("rotate", &log).args(["--olddir", name])).run();
            ended.is_refused(1, &log, &["below the log's directory"]);
        }
        strace(how, mmlogctl("rotate", &log).args(["--olddir", "a/old"])).run().printed(b"");
        strace(how, mmlogctl("cat", &log)).run().printed(OURS);
        assert_eq!(everything(&scratch.file("here/a/old")).len(), 3);
    }
}

#[test]
fn root_empties_and_gives_away_no_file_for_a_name_that_is_the_metadatas() {
    if !is_root() {
        return skipped("a second name", "needs root");
    }
    let scratch = Scratch::new();
    let victim = scratch.file("victim");
    for sticky in [false, true] {
        fs::write(&victim, b"secret".repeat(1000)).unwrap();
        let here = scratch.file(if sticky { "sticky" } else { "theirs" });
        fs::create_dir(&here).unwrap();
        let log = here.join("app.log");
        fs::write(&log, OURS).unwrap();
        chown(&log, Some(NOBODY), Some(NOBODY)).unwrap();
        match sticky {
            true => fs::set_permissions(&here, fs::Permissions::from_mode(0o1777)).unwrap(),
            false => chown(&here, Some(NOBODY), Some(NOBODY)).unwrap(),
        }
        fs::hard_link(&victim, metadata_of(&log)).unwrap();
        let before = (fs::metadata(&victim).unwrap().uid(), fs::read(&victim).unwrap());
        for args in [&["repair", "--rebuild"][..], &["init", "--adopt"], &["append"], &["rm", "--force"]] {
            let ended = mmlogctl(args[0], &log).args(&args[1..]).input(b"more\n").run();
            assert!(ended.code != 0, "{args:?}: {ended:?}");
            assert!(before == (fs::metadata(&victim).unwrap().uid(), fs::read(&victim).unwrap()), "{args:?}");
        }
        fs::remove_file(metadata_of(&log)).unwrap();
        // A file of another owner, with one name: repair does not take it over.
        fs::write(metadata_of(&log), b"secret".repeat(1000)).unwrap();
        let ended = mmlogctl("repair", &log).arg("--rebuild").run();
        assert!(ended.code != 0 && ended.stderr.contains("uid 0"), "{ended:?}");
        assert_eq!(fs::read(metadata_of(&log)).unwrap(), b"secret".repeat(1000));
    }
}
