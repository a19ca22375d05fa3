//! What is in the way of a rotation: clear errors, nothing changed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use super::{is_sound, names, options, rotate};
use crate::common::disk::Disk;
use crate::common::surgeon::{COPYING, CURSOR, Surgeon, WAITING};
use crate::common::{self, Actor, committed, scene};
use mmlog::{Fault, Rotation};

/// Has slot 1 and does nothing.
pub(crate) fn bystander() {
    let log = options().open(common::log_path()).unwrap();
    let _writer = log.writer().unwrap();
    common::say("here");
    while common::listen() {}
}

#[test]
fn a_writer_that_does_not_finish_is_named_and_nothing_has_changed() {
    for (state, wait) in [(COPYING, 0), (COPYING, 300), (WAITING, 0)] {
        let scene = scene();
        let log = options().open_or_create(&scene.log).unwrap();
        let mut writer = log.writer().unwrap();
        writer.append(b"before\n").unwrap();
        let mut other = Actor::on(&scene.log, "bystander");
        assert_eq!(other.hear(), "here");
        let start = Surgeon::new(&scene.log).append_in_flight(1, state, 100);
        let before = names(&scene.log);
        let error = log.rotate(&Rotation::default().wait(Duration::from_millis(wait))).unwrap_err();
        let Fault::Stalled { blocker, .. } = error.fault() else { panic!("{error}") };
        assert_eq!((blocker.pid, &*blocker.what), (other.child.id(), "slot 1"));
        assert_eq!(names(&scene.log), before);
        writer.append(b"after\n").unwrap();
        assert_eq!(log.status().unwrap().gate, None);
        other.kill();
        let rotated = common::until("its death", || log.rotate(&Rotation::default()).ok().flatten());
        assert_eq!((rotated.base, rotated.end), (0, start + 100 + 6));
        assert_eq!(committed(&scene.log), b"before\nafter\n");
        is_sound(&scene.log);
    }
}

/// The longest append is printed, not asserted: one closing of the gate is at most `gate_ms`, 50.
#[test]
fn beside_a_writer_that_does_not_finish_the_others_go_on_while_a_rotation_waits() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(b"before\n").unwrap();
    let mut other = Actor::on(&scene.log, "bystander");
    assert_eq!(other.hear(), "here");
    Surgeon::new(&scene.log).append_in_flight(1, COPYING, 100);
    std::thread::scope(|scope| {
        let rotating =
            scope.spawn(|| log.rotate(&Rotation::default().wait(Duration::from_secs(1))).unwrap_err());
        let (mut appends, mut longest) = (0_u32, Duration::ZERO);
        while !rotating.is_finished() {
            let begun = std::time::Instant::now();
            writer.append(b"meanwhile\n").unwrap();
            longest = longest.max(begun.elapsed());
            appends += 1;
        }
        let error = rotating.join().unwrap();
        assert!(matches!(error.fault(), Fault::Stalled { .. }), "{error}");
        println!("{appends} appends while the rotation waited 1 s, the longest took {longest:?}");
        assert!(appends > 1000, "only {appends} appends");
    });
    other.kill();
    common::until("its death", || log.rotate(&Rotation::default()).ok().flatten());
    is_sound(&scene.log);
}

#[test]
fn a_file_of_the_segments_name_is_never_overwritten() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    log.writer().unwrap().append(b"one\n").unwrap();
    let taken = log.plan_rotation(&Rotation::default()).unwrap().unwrap().path;
    fs::write(&taken, b"somebody else's").unwrap();
    let before = names(&scene.log);
    let error = log.rotate(&Rotation::default()).unwrap_err();
    assert!(matches!(error.fault(), Fault::SegmentExists { .. }), "{error}");
    assert_eq!(names(&scene.log), before);
    assert_eq!(fs::read(&taken).unwrap(), b"somebody else's");
    log.writer().unwrap().append(b"two\n").unwrap();
    fs::remove_file(&taken).unwrap();
    assert_eq!(fs::read(rotate(&log).path).unwrap(), b"one\ntwo\n");
}

#[test]
fn what_a_dead_rotator_left_is_removed_by_the_next() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    log.writer().unwrap().append(b"one\n").unwrap();
    fs::write(scene.log.with_file_name("app.log.mmlog-next"), vec![0; 65536]).unwrap();
    fs::hard_link(
        &scene.log,
        scene.log.with_file_name("app.log.0000000000-0000000000000000000-20260101T000000Z"),
    )
    .unwrap();
    assert_eq!(committed(&scene.log), b"one\n", "a name of the current segment is no segment");
    rotate(&log);
    let expected = ["app.log", "app.log.0000000000-0000000000000000000", "app.log.mmlog"];
    assert_eq!(names(&scene.log), expected);
    assert_eq!(committed(&scene.log), b"one\n");
}

#[test]
fn a_directory_without_permission_is_an_error_and_the_log_goes_on() {
    if nix::unistd::geteuid().is_root()
        && !Command::new("setpriv").arg("--version").output().is_ok_and(|o| o.status.success())
    {
        println!("SKIPPED: needs setpriv to be no root");
        return;
    }
    let scene = scene();
    let tool = scene.dir.path().join("tool");
    fs::copy(env!("CARGO_BIN_EXE_mmlogctl"), &tool).unwrap();
    let log = options().mode(0o666).open_or_create(&scene.log).unwrap();
    log.writer().unwrap().append(b"one\n").unwrap();
    fs::set_permissions(scene.dir.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let mut command = Command::new("setpriv");
    if nix::unistd::geteuid().is_root() {
        command.args(["--reuid=1001", "--regid=1001", "--clear-groups"]);
    }
    let ended = command.arg("--").arg(&tool).arg("rotate").arg(&scene.log).output().unwrap();
    fs::set_permissions(scene.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot create the next segment's file: Permission denied"), "{said}");
    log.writer().unwrap().append(b"two\n").unwrap();
    assert_eq!(committed(&scene.log), b"one\ntwo\n");
}

#[test]
fn on_a_nearly_full_disk_the_new_segment_starts_with_a_page_and_on_a_full_one_nothing_changes() {
    let Some(disk) = Disk::new(4 << 20) else { return };
    let path = disk.0.path().join("app.log");
    let log = options().open_or_create(&path).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(b"one\n").unwrap();
    let ballast = disk.0.path().join("ballast");
    let fill = |leave: u64| {
        let free = || rustix::fs::statvfs(disk.0.path()).unwrap();
        let _ = fs::remove_file(&ballast);
        let bytes = free().f_bavail * free().f_bsize - leave;
        fs::write(&ballast, vec![1; bytes as usize]).unwrap();
    };
    fill(0);
    let before = names(&path);
    let error = log.rotate(&Rotation::default()).unwrap_err();
    assert!(matches!(error.fault(), Fault::NoSpace { .. }), "{error}");
    assert_eq!(names(&path), before);
    writer.append(b"two\n").unwrap();
    fill(2 * 4096);
    assert_eq!(fs::read(rotate(&log).path).unwrap(), b"one\ntwo\n");
    assert_eq!(fs::metadata(&path).unwrap().len(), 4096);
    writer.append(b"three\n").unwrap();
    assert_eq!(committed(&path), b"one\ntwo\nthree\n");
    is_sound(&path);
}

#[test]
fn a_cursor_set_back_below_the_segment_is_an_error_of_each_append() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(&[b'x'; 100]).unwrap();
    rotate(&log);
    writer.append(b"known\n").unwrap();
    let surgeon = Surgeon::new(&scene.log);
    let cursor = surgeon.get(CURSOR);
    for spoiled in [0, 99] {
        surgeon.set(CURSOR, spoiled);
        for message in [&b"short\n"[..], &[b'x'; 20_000]] {
            let error = writer.append(message).unwrap_err();
            assert!(matches!(error.fault(), Fault::OutOfRange { field: "cursor", .. }), "{error}");
        }
    }
    surgeon.set(CURSOR, cursor);
    writer.append(b"as before\n").unwrap();
}

/// As whoever removes a log, adopts one or finds it on another mount has a lease, to learn who has the file open.
#[test]
fn a_writer_waits_for_who_has_a_lease_on_the_new_data_file_for_a_moment() {
    use std::os::fd::AsRawFd as _;

    use nix::libc::{F_GETLEASE, F_RDLCK, F_SETLEASE, F_UNLCK, SIGURG, fcntl};
    // Of <fcntl.h>, for Linux.
    const F_SETSIG: i32 = 10;
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(b"before\n").unwrap();
    let tool = env!("CARGO_BIN_EXE_mmlogctl");
    assert!(Command::new(tool).arg("rotate").arg(&scene.log).status().unwrap().success());
    let leased = fs::File::open(&scene.log).unwrap();
    let call = |command, argument: i32| {
        // SAFETY: fcntl with an integer argument touches no memory.
        #[allow(unsafe_code, reason = "nix has no F_SETLEASE")]
        let answer = unsafe { fcntl(leased.as_raw_fd(), command, argument) };
        assert!(answer >= 0, "{}", std::io::Error::last_os_error());
        answer
    };
    call(F_SETSIG, SIGURG);
    call(F_SETLEASE, F_RDLCK);
    std::thread::scope(|scope| {
        let appends = scope.spawn(|| writer.append(b"after\n").map(drop));
        // It is asked to give it up: somebody has tried to open the file.
        common::until("who opens the file", || (call(F_GETLEASE, 0) != F_RDLCK).then_some(()));
        call(F_SETLEASE, F_UNLCK);
        appends.join().unwrap().unwrap();
    });
    assert_eq!(committed(&scene.log), b"before\nafter\n");
}
