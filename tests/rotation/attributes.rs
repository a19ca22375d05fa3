//! Who the new segment belongs to, and who may rotate.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use super::{is_sound, names, options, rotate};
use crate::common::{self, Actor, committed, metadata_of, scene};
use mmlog::{Log, Rotation};

/// Appends a line for each one it hears.
pub(crate) fn appender() {
    let log = options().open(common::log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    common::say("ready");
    while let Some(line) = common::heard() {
        let appended = writer.append(format!("{line}\n").as_bytes());
        common::say(&appended.map_or_else(|e| e.to_string(), |_| "done".into()));
    }
}

fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        println!("SKIPPED: works as several users, which needs root");
    }
    root
}

fn owned(path: &Path) -> (u32, u32, u32) {
    let m = fs::metadata(path).unwrap();
    (m.uid(), m.gid(), m.mode() & 0o7777)
}

/// The actor as that user of that group.
fn user(role: &str, uid: u32, gid: u32, log: &Path) -> Actor {
    let mut setpriv = Command::new("setpriv");
    setpriv.args([&format!("--reuid={uid}"), &format!("--regid={gid}"), "--clear-groups", "--"]);
    Actor::under(setpriv, role, &[("LOG", log.display().to_string())])
}

/// A log of user 1001 and group 2000, whose members may write.
fn shared_log() -> (common::Scene, Log) {
    let scene = scene();
    fs::set_permissions(scene.dir.path(), fs::Permissions::from_mode(0o2775)).unwrap();
    chown(scene.dir.path(), Some(0), Some(2000)).unwrap();
    let log = options().mode(0o660).open_or_create(&scene.log).unwrap();
    for file in [scene.log.clone(), metadata_of(&scene.log)] {
        chown(file, Some(1001), Some(2000)).unwrap();
    }
    (scene, log)
}

#[test]
fn root_rotates_a_log_of_two_users_of_one_group_and_both_go_on() {
    if !is_root() {
        return;
    }
    let (scene, log) = shared_log();
    let mut users = [1001, 1002].map(|uid| user("appender", uid, 2000, &scene.log));
    for actor in &mut users {
        assert_eq!(actor.hear(), "ready");
    }
    for round in 0..3 {
        for actor in &mut users {
            actor.tell(&format!("round {round}"));
            assert_eq!(actor.hear(), "done");
        }
        let rotated = rotate(&log);
        for file in [&rotated.path, &scene.log] {
            assert_eq!(owned(file), (1001, 2000, 0o660), "{}", file.display());
        }
    }
    for actor in &mut users {
        actor.tell("last");
        assert_eq!(actor.hear(), "done");
    }
    assert_eq!(committed(&scene.log).split(|&b| b == b'\n').count(), 9);
    is_sound(&scene.log);
}

#[test]
fn who_may_not_give_the_new_segment_its_owner_changes_nothing() {
    if !is_root() {
        return;
    }
    let (scene, log) = shared_log();
    log.writer().unwrap().append(b"one\n").unwrap();
    let before = names(&scene.log);
    let exe = env!("CARGO_BIN_EXE_mmlogctl");
    let tool = scene.dir.path().join("tool");
    fs::copy(exe, &tool).unwrap();
    let ended = Command::new("setpriv")
        .args(["--reuid=1002", "--regid=2000", "--clear-groups", "--"])
        .arg(&tool)
        .arg("rotate")
        .arg(&scene.log)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(
        said.contains("cannot give the next segment's file the owner, mode and labels of the log"),
        "{said}"
    );
    assert_eq!(names(&scene.log), before);
    log.writer().unwrap().append(b"two\n").unwrap();
    assert_eq!(committed(&scene.log), b"one\ntwo\n");
}

#[test]
fn mode_attributes_and_acl_are_those_of_the_log() {
    let scene = scene();
    let log = options().mode(0o604).open_or_create(&scene.log).unwrap();
    log.writer().unwrap().append(b"one\n").unwrap();
    let file = fs::File::open(&scene.log).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    if rustix::fs::fsetxattr(&file, "user.shipped-by", b"nobody", flags).is_err() {
        println!("SKIPPED: no extended attributes here");
        return;
    }
    // Owner rw-, user 1234 r--, group ---, mask r--, others r--.
    let entry = |tag: u16, perm: u16, id: u32| {
        [&tag.to_le_bytes()[..], &perm.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    let none = u32::MAX;
    let acl = [
        2_u32.to_le_bytes().to_vec(),
        entry(1, 6, none),
        entry(2, 4, 1234),
        entry(4, 0, none),
        entry(0x10, 4, none),
        entry(0x20, 4, none),
    ]
    .concat();
    let has_acl = rustix::fs::fsetxattr(&file, "system.posix_acl_access", &acl, flags).is_ok();
    // Root may give a file these; of another file they are not true.
    let of_its_content = ["security.ima", "security.evm"];
    for name in of_its_content {
        let _ = rustix::fs::fsetxattr(&file, name, b"\x01a sum of its content", flags);
    }
    let before = owned(&scene.log);
    rotate(&log);
    assert_eq!(owned(&scene.log), before);
    let new = fs::File::open(&scene.log).unwrap();
    let mut value = [0; 200];
    for name in of_its_content {
        assert!(rustix::fs::fgetxattr(&new, name, &mut value[..]).is_err(), "{name}");
    }
    let len = rustix::fs::fgetxattr(&new, "user.shipped-by", &mut value[..]).unwrap();
    assert_eq!(&value[..len], b"nobody");
    if has_acl {
        let len = rustix::fs::fgetxattr(&new, "system.posix_acl_access", &mut value[..]).unwrap();
        assert_eq!(value[..len], acl);
    }
}

#[test]
fn a_reader_that_may_only_read_follows_across_rotations() {
    let scene = scene();
    let log = options().mode(0o644).open_or_create(&scene.log).unwrap();
    log.writer().unwrap().append(b"one\n").unwrap();
    fs::set_permissions(metadata_of(&scene.log), fs::Permissions::from_mode(0o444)).unwrap();
    let reader = options().open_reader(&scene.log).unwrap();
    let mut follower = reader.follow(mmlog::Start::Oldest).unwrap();
    for _ in 0..3 {
        rotate(&log);
        log.writer().unwrap().append(b"more\n").unwrap();
    }
    assert_eq!(common::rest(&mut follower), b"one\nmore\nmore\nmore\n");
    assert!(reader.rotate(&Rotation::default()).is_err(), "opened for reading");
}
