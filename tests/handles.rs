//! Guards against handles that find another log than the one that was opened: after `chdir`, `chroot`, `fork`, a renamed or
//! removed directory, rights given up, files replaced.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]
#![allow(unsafe_code, reason = "fork is what is tested; std has no safe one")]

mod common;

use std::env::set_current_dir;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{Actor, Scene, committed, metadata_of, parameter, scene};
use mmlog::{Fault, Force, Log, Next, Observer, Options, Position, Rotation, Start, Writer, repair};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Uid, fork, geteuid, getpid, getppid, seteuid};

#[test]
fn role() {
    common::play(&[
        ("daemon", daemon),
        ("jailed", jailed),
        ("renamed", renamed),
        ("moved_on", moved_on),
        ("homeless", homeless),
        ("orphans", orphans),
        ("holder", holder),
        ("orphaned_holder", orphaned_holder),
        ("dropping", dropping),
        ("mender", mender),
        ("shut_out", shut_out),
        ("moved_away", moved_away),
        ("held", held),
    ]);
}

fn options() -> Options {
    Log::options().chunk_size(4096).ring_chunks(2).wait(common::DEADLINE)
}

/// The name of every log here: relative, as a service has it in its configuration.
const NAME: &str = "app.log";

/// Runs a role with a directory of its own, in which `here` and `there` are.
fn play(role: &str) -> Scene {
    let scene = scene();
    for name in ["here", "there"] {
        fs::create_dir(scene.dir.path().join(name)).unwrap();
    }
    Actor::new(role, &[("DIR", scene.dir.path().display().to_string())]).finish();
    scene
}

fn here() -> PathBuf {
    parameter::<PathBuf>("DIR").join("here")
}

fn there() -> PathBuf {
    parameter::<PathBuf>("DIR").join("there")
}

fn text(scene: &Scene, directory: &str) -> String {
    String::from_utf8(committed(&scene.dir.path().join(directory).join(NAME))).unwrap()
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).unwrap().next().is_none()
}

/// Opens a log by its name alone, and appends a line.
fn open_here() -> (Log, Writer) {
    set_current_dir(here()).unwrap();
    let log = options().open_or_create(NAME).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(b"parent\n").unwrap();
    (log, writer)
}

fn in_child(child: impl FnOnce()) {
    // SAFETY: the role's process has one other thread, the harness's, which only waits for this one.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => {
            assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
        }
        ForkResult::Child => {
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
            // SAFETY: ends the process at once; what the parent will flush or drop is not this process's.
            unsafe { nix::libc::_exit(i32::from(ended.is_err())) }
        }
    }
}

/// What `daemon(3)` does.
fn daemon() {
    let (log, mut writer) = open_here();
    let mut follower = log.follow(Start::Oldest).unwrap();
    in_child(|| {
        set_current_dir(there()).unwrap();
        assert!(log.is_current());
        assert_eq!(writer.append(b"child\n").unwrap().get(), 7);
        log.writer().unwrap().append(b"child's own\n").unwrap();
        assert_eq!(common::rest(&mut follower), b"parent\nchild\nchild's own\n");
        assert_eq!(log.status().unwrap().cursor, 25);
        assert!(is_empty(&there()));
    });
}

#[test]
fn a_child_that_changes_its_directory_appends_to_the_log_that_its_parent_opened() {
    let scene = play("daemon");
    assert_eq!(text(&scene, "here"), "parent\nchild\nchild's own\n");
    assert!(is_empty(&scene.dir.path().join("there")));
}

fn jailed() {
    set_current_dir(here()).unwrap();
    let log = options().open_or_create(here().join(NAME)).unwrap();
    let mut writer = log.writer().unwrap();
    // The same path, inside.
    let inside = there().join(here().strip_prefix("/").unwrap());
    fs::create_dir_all(&inside).unwrap();
    in_child(|| {
        std::os::unix::fs::chroot(there()).unwrap();
        set_current_dir("/").unwrap();
        writer.append(b"child\n").unwrap();
        assert!(!log.is_current(), "in here, the path leads nowhere");
        log.renewed().unwrap().sync().unwrap();
    });
    assert!(is_empty(&inside));
}

#[test]
fn a_child_in_a_chroot_appends_to_the_log_that_its_parent_opened() {
    if geteuid().is_root() {
        assert_eq!(text(&play("jailed"), "here"), "child\n");
    }
}

/// Another directory with another log has the name now.
fn renamed() {
    set_current_dir(here()).unwrap();
    let path = here().join(NAME);
    let log = options().open_or_create(&path).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(b"parent\n").unwrap();
    fs::remove_dir(there()).unwrap();
    fs::rename(here(), there()).unwrap();
    fs::create_dir(here()).unwrap();
    options().open_or_create(&path).unwrap().writer().unwrap().append(b"other\n").unwrap();
    assert!(!log.is_current());
    writer.append(b"parent\n").unwrap();
    in_child(|| {
        writer.append(b"child\n").unwrap();
        assert_eq!(log.watermark().unwrap().get(), 20);
    });
    // As a service does that syncs in the background.
    assert_eq!(log.renewed().unwrap().sync().unwrap().get(), 20);
}

#[test]
fn a_handle_goes_on_in_its_directory_when_another_one_has_got_the_name() {
    let scene = play("renamed");
    assert_eq!(text(&scene, "there"), "parent\nparent\nchild\n");
    assert_eq!(text(&scene, "here"), "other\n");
}

fn moved_on() {
    let (log, mut writer) = open_here();
    set_current_dir(there()).unwrap();
    assert!(log.is_current());
    let remove = || mmlog::remove(&here().join(NAME), Force::Always, &Options::new()).unwrap();
    remove();
    assert!(!log.is_current());
    let new = options().open_or_create(here().join(NAME)).unwrap();
    // Longer than what is allocated.
    writer.append(&[b'x'; 9000]).unwrap();
    assert_eq!(new.cursor().unwrap().get(), 9000);
    assert_eq!(log.renewed().unwrap().cursor().unwrap().get(), 9000);
    remove();
    assert!(matches!(log.renewed().err().unwrap().fault(), Fault::NoLog));
    writer.append(&[b'x'; 18_000]).unwrap();
    assert!(here().join(NAME).exists() && is_empty(&there()), "made anew where it was");
}

#[test]
fn a_writer_whose_log_was_made_anew_goes_on_there_wherever_its_process_has_gone() {
    play("moved_on");
}

fn homeless() {
    let (_log, mut writer) = open_here();
    set_current_dir(there()).unwrap();
    fs::remove_dir_all(here()).unwrap();
    let error = writer.append(&[b'x'; 9000]).unwrap_err();
    assert!(matches!(error.fault(), Fault::DirectoryGone), "{error}");
    in_child(|| {
        let error = writer.append(b"child\n").unwrap_err();
        assert!(matches!(error.fault(), Fault::DirectoryGone), "{error}");
    });
    assert!(is_empty(&there()));
}

#[test]
fn a_removed_directory_is_an_error_that_says_so() {
    play("homeless");
}

/// What the child inherited is of a log that is no more, but a writer goes on as its parent's would.
fn orphans() {
    let (log, mut writer) = open_here();
    let mut follower = log.follow(Start::Oldest).unwrap();
    let mut observer = Observer::open(NAME, &options()).unwrap();
    let hold = log.hold("shipper", Position::default()).unwrap();
    mmlog::remove(Path::new(NAME), Force::Always, &Options::new()).unwrap();
    let replaced = |e: mmlog::Error| assert!(matches!(e.fault(), Fault::Replaced), "{e}");
    in_child(|| {
        replaced(log.status().unwrap_err());
        assert!(is_empty(&here()), "asking makes nothing");
    });
    drop(options().open_or_create(NAME).unwrap());
    in_child(|| {
        // What it had seen is final, and there.
        assert_eq!(follower.next(&mut [0; 10]).unwrap(), Next::Bytes(0..7));
        replaced(follower.next(&mut [0; 10]).unwrap_err());
        replaced(observer.look().unwrap_err());
        replaced(hold.advance(Position::new(1)).unwrap_err());
        replaced(log.sync().unwrap_err());
        replaced(log.rotate(&Rotation::default()).unwrap_err());
        replaced(log.forget("shipper").unwrap_err());
        assert_eq!(writer.append(b"child\n").unwrap().get(), 0);
        log.writer().unwrap().append(b"child's own\n").unwrap();
    });
}

#[test]
fn in_a_child_a_log_that_was_replaced_is_an_error_but_for_appends() {
    assert_eq!(text(&play("orphans"), "here"), "child\nchild's own\n");
}

fn holder() {
    let (log, writer) = open_here();
    let hold = log.hold("shipper", Position::default()).unwrap();
    in_child(|| {
        set_current_dir(there()).unwrap();
        hold.advance(Position::new(3)).unwrap();
        let holds = log.holds();
        assert_eq!((holds[0].position, holds[0].pid), (3, std::process::id()));
        in_child(|| hold.advance(Position::new(4)).unwrap());
        hold.advance(Position::new(5)).unwrap();
    });
    hold.advance(Position::new(6)).unwrap();
    assert_eq!((log.holds()[0].position, log.holds()[0].pid), (6, std::process::id()));
    drop(writer);
}

/// A child takes a hold, leaves it to its own child, and ends.
fn orphaned_holder() {
    let (log, _writer) = open_here();
    let (mut here, mut there) = UnixStream::pair().unwrap();
    in_child(|| {
        let (hold, parent) = (log.hold("shipper", Position::default()).unwrap(), getpid());
        // SAFETY: as in `in_child`.
        if matches!(unsafe { fork() }.unwrap(), ForkResult::Parent { .. }) {
            return;
        }
        common::until("the parent has ended", || (getppid() != parent).then_some(()));
        hold.advance(Position::new(3)).unwrap();
        there.write_all(b"!").unwrap();
        there.read_exact(&mut [0]).unwrap();
        drop(hold);
        there.write_all(b"!").unwrap();
    });
    let claim = || log.hold("shipper", Position::new(1));
    here.read_exact(&mut [0]).unwrap();
    let taken = claim().unwrap_err();
    assert!(matches!(taken.fault(), Fault::Busy(_)), "{taken}");
    here.write_all(b"!").unwrap();
    here.read_exact(&mut [0]).unwrap();
    claim().unwrap();
}

#[test]
fn a_hold_whose_process_ended_lives_on_in_the_forked_child_that_advances_it() {
    play("orphaned_holder");
}

#[test]
fn a_hold_advances_in_a_forked_child_which_then_has_it() {
    play("holder");
}

/// Opens as root, goes on as somebody else.
fn dropping() {
    let (log, mut writer) = open_here();
    let mut child = log.clone().writer().unwrap();
    let root = options().open(here().join(NAME)).unwrap();
    let somebody = Uid::from_raw(65_534);
    seteuid(somebody).unwrap();
    writer.append(b"dropped\n").unwrap();
    seteuid(Uid::from_raw(0)).unwrap();
    root.rotate(&Rotation::default()).unwrap().unwrap();
    seteuid(somebody).unwrap();
    let refused = |writer: &mut Writer| {
        let error = writer.append(b"refused\n").unwrap_err();
        assert!(matches!(error.fault(), Fault::UserChanged { opened_as: 0, now: 65_534, .. }), "{error}");
        assert!(error.to_string().contains("`chown 65534`"), "{error}");
    };
    for _ in 0..3 {
        refused(&mut writer);
    }
    in_child(|| refused(&mut child));
    seteuid(Uid::from_raw(0)).unwrap();
    for entry in fs::read_dir(here()).unwrap() {
        std::os::unix::fs::chown(entry.unwrap().path(), Some(65_534), None).unwrap();
    }
    seteuid(somebody).unwrap();
    writer.append(b"as advised\n").unwrap();
    in_child(|| assert!(child.append(b"child\n").is_ok()));
    seteuid(Uid::from_raw(0)).unwrap();
    assert_eq!(root.status().unwrap().holes, []);
}

#[test]
fn rights_given_up_are_an_error_with_both_users_at_the_next_rotation() {
    if geteuid().is_root() {
        let scene = scene();
        // The directory of a scene is root's alone.
        let dir = scene.dir.path();
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(dir.join("here")).unwrap();
        Actor::new("dropping", &[("DIR", dir.display().to_string())]).finish();
        assert_eq!(text(&scene, "here"), "parent\ndropped\nas advised\nchild\n");
    }
}

/// Looks at one log, and has another of the same name before its eyes when it acts.
fn mender() {
    set_current_dir(there()).unwrap();
    drop(options().open_or_create(NAME).unwrap());
    let other = fs::read(metadata_of(Path::new(NAME))).unwrap();
    let (log, writer) = open_here();
    log.poison("tried", 0).unwrap();
    let plan = repair::examine(NAME, &options()).unwrap().plan(&[repair::Wish::ClearPanic]);
    drop((log, writer));
    set_current_dir(there()).unwrap();
    assert_eq!(plan.apply().unwrap().len(), 1);
    let mended = options().open(here().join(NAME)).unwrap();
    assert!(mended.status().unwrap().panic.is_none());
    mended.trim(Duration::from_secs(60)).unwrap();
    assert!(fs::read(metadata_of(Path::new(NAME))).unwrap() == other);
}

#[test]
fn a_repair_is_applied_to_the_log_that_was_examined() {
    play("mender");
}

/// The directory's mode is taken away from under a process that is not root.
fn shut_out() {
    use std::os::unix::fs::PermissionsExt;
    let somebody = Uid::from_raw(65_534);
    let as_owner = || seteuid(if Uid::current().is_root() { somebody } else { Uid::current() }).unwrap();
    let mode = |mode| fs::set_permissions(here(), fs::Permissions::from_mode(mode)).unwrap();
    as_owner();
    let (log, mut writer) = open_here();
    let other = options().open(NAME).unwrap();
    let hold = log.hold("shipper", Position::default()).unwrap();
    log.rotate(&Rotation::default()).unwrap().unwrap();
    writer.append(b"durable\n").unwrap();
    mode(0);
    // The old segment cannot be opened, to be synced.
    assert_eq!(log.sync().unwrap().get(), 15);
    for _ in 0..3 {
        writer.append(&[b'x'; 9000]).unwrap();
    }
    let mut second = log.writer().unwrap();
    second.append_durable(&[b'y'; 20_000]).unwrap();
    drop(second);
    hold.advance(Position::new(20)).unwrap();
    log.trim(common::DEADLINE).unwrap();
    writer.append(b"\ntrimmed\n").unwrap();
    let end = log.cursor().unwrap();
    let denied = |e: mmlog::Error| {
        assert!(e.to_string().contains("Permission denied"), "{e}");
        assert_eq!(log.cursor().unwrap(), end, "nothing was taken");
    };
    denied(log.rotate(&Rotation::default()).unwrap_err());
    denied(log.prune(&mmlog::Retention::default()).unwrap_err());
    in_child(|| drop(log.writer().err().unwrap()));
    mode(0o700);
    other.rotate(&Rotation::default()).unwrap().unwrap();
    mode(0);
    for _ in 0..2 {
        denied(writer.append(b"where is the new segment?\n").unwrap_err());
    }
    denied(log.sync().unwrap_err());
    mode(0o700);
    writer.append(b"let in\n").unwrap();
    log.sync().unwrap();
    assert_eq!(log.status().unwrap().holes, []);
}

#[test]
fn who_may_not_search_the_directory_any_more_goes_on_with_what_is_open() {
    use std::os::unix::fs::{PermissionsExt, chown};
    let scene = scene();
    let dir = scene.dir.path();
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(dir.join("here")).unwrap();
    if geteuid().is_root() {
        chown(dir.join("here"), Some(65_534), None).unwrap();
    }
    Actor::new("shut_out", &[("DIR", dir.display().to_string())]).finish();
    let found = text(&scene, "here");
    let expected =
        format!("parent\ndurable\n{}{}\ntrimmed\nlet in\n", "x".repeat(27_000), "y".repeat(20_000));
    assert!(found == expected, "{} bytes, {}", found.len(), expected.len());
}

/// The files of a log get other names, and it is made anew under a writer that syncs.
fn moved_away() {
    let (log, mut writer) = open_here();
    writer.sync().unwrap();
    writer.append(b"not durable yet\n").unwrap();
    for name in [Path::new(NAME), &metadata_of(Path::new(NAME))] {
        fs::rename(name, there().join(name)).unwrap();
    }
    drop(options().open_or_create(NAME).unwrap());
    assert!(log.is_of(&writer));
    // Longer than what is allocated.
    assert_eq!(writer.append(&[b'x'; 9000]).unwrap().get(), 0);
    assert!(!log.is_of(&writer));
    let log = Log::of_writer(&writer);
    writer.sync().unwrap();
    assert_eq!((log.cursor().unwrap().get(), log.synced().get()), (9000, 9000));
    let before = options().open_reader(there().join(NAME)).unwrap();
    assert_eq!((before.synced(), before.cursor().unwrap()), (Position::new(23), Position::new(23)));
}

#[test]
fn what_a_writer_that_syncs_leaves_in_a_log_that_was_moved_away_is_durable() {
    let scene = play("moved_away");
    assert_eq!(text(&scene, "there"), "parent\nnot durable yet\n");
}

/// A hold on a log that is made anew.
fn held() {
    let (log, _writer) = open_here();
    let hold = log.hold("shipper", Position::default()).unwrap();
    let replaced = |position| {
        let error = hold.advance(Position::new(position)).unwrap_err();
        assert!(matches!(error.fault(), Fault::Replaced), "{error}");
    };
    mmlog::remove(Path::new(NAME), Force::Always, &Options::new()).unwrap();
    replaced(1);
    let new = options().open_or_create(NAME).unwrap();
    new.writer().unwrap().append(b"new\n").unwrap();
    let its_own = new.hold("shipper", Position::default()).unwrap();
    replaced(2);
    assert_eq!(new.holds()[0].position, 0, "positions of the one before mean nothing there");
    its_own.advance(Position::new(3)).unwrap();
    drop(its_own);
    let renewed = log.renewed().unwrap().hold("shipper", Position::new(1)).unwrap();
    renewed.advance(Position::new(4)).unwrap();
    assert_eq!(new.holds()[0].position, 4);
}

#[test]
fn a_hold_on_a_log_that_was_made_anew_is_an_error_and_leaves_the_new_ones_alone() {
    play("held");
}
