//! What is in the way of a policy: appends go on, it is noted who could not, and what was put off is done later.

use std::fs;
use std::mem::offset_of;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use super::{SIZE, WRITERS, finals, is_sound, keeping, lengths, options, rotated_at, start_writers};
use crate::common::surgeon::{COPYING, Surgeon};
use crate::common::{self, Actor, Random, Scene, metadata_of, scene};
use mmlog::layout::{Header, Overdue};
use mmlog::{Finding, FindingId, Log, Observer, Policy, Position};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const OF_LOG: usize = offset_of!(Header, overdue_log);
const OF_PROCESS: usize = offset_of!(Header, overdue_process);

/// Has a slot and does nothing.
pub(crate) fn bystander() {
    let log = options().open(common::log_path()).unwrap();
    let _writer = log.writer().unwrap();
    common::say("here");
    while common::listen() {}
}

/// Appends two segments and more, and waits in the middle of removing the first.
pub(crate) fn pruner() {
    #[cfg(debug_assertions)]
    mmlog::crash::set_hook(|name| {
        if name == "final:asked" {
            common::say(name);
            common::listen();
        }
    });
    let log = options().open(common::log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    for _ in 0..300 {
        writer.append(&[b'.'; 1000]).unwrap();
    }
}

/// Appends until its own message has made a segment final and the first one is about to go, and waits there; says how many
/// messages that were.
#[cfg(debug_assertions)]
pub(crate) fn rotator() {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    mmlog::crash::set_hook(|name| {
        if name == "prune:names" {
            common::say(&NUMBER.load(Ordering::Relaxed).to_string());
            common::listen();
        }
    });
    let log = options().open(common::log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    for _ in 0..300 {
        NUMBER.fetch_add(1, Ordering::Relaxed);
        writer.append(&[b'.'; 1000]).unwrap();
    }
}

/// Stops itself in the middle of an append, whose bytes are copied and not final yet, and ends it when it goes on.
#[cfg(debug_assertions)]
pub(crate) fn stops_in_flight() {
    let log = options().open(common::log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    mmlog::crash::set_hook(|point| {
        if point == "append:copied" {
            nix::sys::signal::raise(Signal::SIGSTOP).unwrap();
        }
    });
    writer.append(b"from one that was stopped\n").unwrap();
    common::say("done");
    while common::listen() {}
}

/// Has many files open, none of them a log's.
pub(crate) fn hoarder() {
    let open = || fs::File::open("/dev/null").unwrap();
    let _files: Vec<fs::File> = std::iter::repeat_with(open).take(800).collect();
    common::say("here");
    while common::listen() {}
}

/// Appends with no descriptor left.
pub(crate) fn without_descriptors() {
    let log = options().open(common::log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(b"before\n").unwrap();
    let files: Vec<fs::File> = std::iter::from_fn(|| fs::File::open("/dev/null").ok()).collect();
    for _ in 0..500 {
        writer.append(&[b'.'; 1000]).unwrap();
    }
    common::say("done");
    common::listen();
    // Another process has rotated.
    common::say(&writer.append(b"after\n").unwrap_err().to_string());
    drop(files);
    writer.append(b"after\n").unwrap();
    common::say("done");
}

/// What is noted there: kind, errno, who; `None` while nothing is overdue.
fn noted(log: &Path, record: usize) -> Option<(u32, i32, u32)> {
    let surgeon = Surgeon::new(log);
    let get = |field: usize| surgeon.get32(record + field);
    let noted = (
        get(offset_of!(Overdue, kind)),
        get(offset_of!(Overdue, errno)).cast_signed(),
        get(offset_of!(Overdue, pid)),
    );
    (surgeon.get(record + offset_of!(Overdue, since_ns)) != 0).then_some(noted)
}

/// Tells a paced writer to append so many messages of 1000 bytes.
fn append(writer: &mut Actor, messages: u64) {
    writer.tell(&messages.to_string());
    assert_eq!(writer.hear(), "done");
}

#[test]
fn a_writer_that_does_not_finish_holds_no_append_up_and_its_rotation_is_made_up_for() {
    let scene = scene();
    let policy = rotated_at(SIZE);
    let log = Log::options().gate_ms(20).policy(&policy).open_or_create(&scene.log).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(b"before\n").unwrap();
    let mut other = Actor::on(&scene.log, "bystander");
    assert_eq!(other.hear(), "here");
    Surgeon::new(&scene.log).append_in_flight(1, COPYING, 100);
    for _ in 0..1000 {
        writer.append(&[b'.'; 1000]).unwrap();
    }
    assert!(lengths(&log).is_empty());
    assert_eq!(noted(&scene.log, OF_LOG), Some((2, 0, other.child.id())));
    other.kill();
    common::until("the rotation", || {
        writer.append(b"after\n").unwrap();
        (!lengths(&log).is_empty()).then_some(())
    });
    assert_eq!(noted(&scene.log, OF_LOG), None);
    is_sound(&scene.log);
}

/// What status says of a rotation that is overdue.
fn overdue(log: &Path) -> Option<Finding> {
    let findings = Observer::open(log, &options()).unwrap().look().unwrap().findings;
    findings.into_iter().find(|finding| finding.id == FindingId::RotationOverdue)
}

#[test]
#[cfg(debug_assertions)]
fn beside_a_writer_that_is_stopped_in_flight_appends_go_on_and_its_rotation_is_made_up_for_when_it_goes_on() {
    let scene = scene();
    let policy = rotated_at(SIZE);
    let log = Log::options().gate_ms(20).policy(&policy).open_or_create(&scene.log).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(b"before\n").unwrap();
    let mut stopped = Actor::on(&scene.log, "stops_in_flight");
    let state = format!("/proc/{}/stat", stopped.pid());
    common::until("it is stopped", || fs::read_to_string(&state).unwrap().contains(") T ").then_some(()));
    for _ in 0..1000 {
        writer.append(&[b'.'; 1000]).unwrap();
    }
    assert!(lengths(&log).is_empty());
    assert_eq!(noted(&scene.log, OF_LOG), Some((2, 0, stopped.child.id())));
    // For its first second it is nothing but a long append.
    let found = common::until("status names it", || overdue(&scene.log));
    let whose = format!("an append of process {} (", stopped.child.id());
    assert!(
        found.sentence.starts_with("rotation overdue for ") && found.sentence.contains(&whose),
        "{found:?}"
    );
    kill(Pid::from_raw(stopped.pid()), Signal::SIGCONT).unwrap();
    assert_eq!(stopped.hear(), "done");
    common::until("the rotation", || {
        writer.append(b"after\n").unwrap();
        (!lengths(&log).is_empty()).then_some(())
    });
    assert_eq!((noted(&scene.log, OF_LOG), overdue(&scene.log)), (None, None));
    stopped.finish();
    let content = common::committed(&scene.log);
    assert!(content.starts_with(b"before\nfrom one that was stopped\n"), "every byte is there");
    is_sound(&scene.log);
}

fn needs_users() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        println!("SKIPPED: works as several users, which needs root");
    }
    root
}

/// A paced writer as that user.
fn paced_as(uid: u32, log: &Path) -> Actor {
    let mut setpriv = Command::new("setpriv");
    setpriv.args([&format!("--reuid={uid}"), &format!("--regid={uid}"), "--clear-groups", "--"]);
    Actor::under(setpriv, "paced", &[("LOG", log.display().to_string())])
}

/// A log, in a directory of user 1001, that everybody may write to.
fn log_of_1001(policy: &Policy) -> Scene {
    let scene = scene();
    drop(options().mode(0o666).policy(policy).open_or_create(&scene.log).unwrap());
    for path in [scene.dir.path(), &scene.log, &metadata_of(&scene.log)] {
        chown(path, Some(1001), Some(1001)).unwrap();
    }
    fs::set_permissions(scene.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    scene
}

#[test]
fn beside_a_writer_that_may_not_make_files_another_rotates() {
    if !needs_users() {
        return;
    }
    let scene = log_of_1001(&rotated_at(SIZE));
    let mut stranger = paced_as(1002, &scene.log);
    append(&mut stranger, 500);
    assert_eq!(finals(&scene), 0);
    let pid = stranger.child.id();
    assert_eq!(noted(&scene.log, OF_PROCESS), Some((1, libc::EPERM, pid)));
    assert_eq!(noted(&scene.log, OF_LOG), None, "others may be able to");
    let mut owner = paced_as(1001, &scene.log);
    append(&mut owner, 500);
    assert!(finals(&scene) > 2, "{}", finals(&scene));
    assert_eq!(noted(&scene.log, OF_PROCESS), None);
    append(&mut stranger, 10);
    is_sound(&scene.log);
}

#[test]
fn a_program_without_a_descriptor_left_is_named_with_what_it_could_not_open() {
    let scene = scene();
    let log = super::with_policy(&scene, &rotated_at(SIZE));
    let mut limited = Command::new("prlimit");
    limited.args(["--nofile=64", "--"]);
    let mut writer =
        Actor::under(limited, "without_descriptors", &[("LOG", scene.log.display().to_string())]);
    assert_eq!(writer.hear(), "done");
    assert!(lengths(&log).is_empty());
    assert_eq!(noted(&scene.log, OF_PROCESS), Some((1, libc::EMFILE, writer.child.id())));
    let found = overdue(&scene.log).unwrap();
    let (said, step, next) = (found.sentence, found.next_step, metadata_of(&scene.log));
    let why = format!(
        "cannot make {}-next, the next segment's file: Too many open files (os error 24); ",
        next.display()
    );
    assert!(said.contains(&why), "{said}");
    let shows = format!("`prlimit --nofile --pid {}` shows ", writer.child.id());
    assert!(step.contains(&shows), "{step}");
    assert!(log.rotate(&mmlog::Rotation::default()).unwrap().is_some());
    writer.tell("go on");
    let failed = writer.hear();
    let place = scene.log.display().to_string();
    assert!(failed.contains(&place) && failed.contains("Too many open files (os error 24)"), "{failed}");
    assert_eq!(writer.hear(), "done");
    is_sound(&scene.log);
}

#[test]
fn while_the_directory_is_read_only_segments_grow_and_then_they_are_rotated_again() {
    if !needs_users() {
        return;
    }
    let scene = log_of_1001(&keeping(SIZE, 2));
    let mut writer = paced_as(1001, &scene.log);
    append(&mut writer, 1000);
    assert!(finals(&scene) > 2);
    let mode = |bits| fs::set_permissions(scene.dir.path(), fs::Permissions::from_mode(bits)).unwrap();
    mode(0o555);
    let before = finals(&scene);
    append(&mut writer, 1000);
    assert_eq!(finals(&scene), before);
    assert_eq!(noted(&scene.log, OF_PROCESS), Some((1, libc::EACCES, writer.child.id())));
    let found = overdue(&scene.log).unwrap();
    let (said, step, place) = (found.sentence, found.next_step, scene.dir.path().display());
    let whose = format!(
        "uid 1001) cannot make a file like the log's (mode 0666, owner 1001:1001) in {place} (mode 0555, owner 1001:1001): Permission denied (os error 13); the segment"
    );
    assert!(said.contains(&whose), "{said}");
    assert!(step.contains("`, as root, does it now; for good, "), "{step}");
    assert!(step.contains(&format!("`chmod u+w {place}`, else `systemctl enable --now ")), "{step}");
    // What lets him, as the directory is: his group's, or somebody else's.
    for (uid, gid, lets) in [(0, 1001, "chmod g+w"), (0, 0, "chown 1001")] {
        chown(scene.dir.path(), Some(uid), Some(gid)).unwrap();
        let step = overdue(&scene.log).unwrap().next_step;
        assert!(step.contains(&format!("`{lets} {place}`")), "{step}");
    }
    chown(scene.dir.path(), Some(1001), Some(1001)).unwrap();
    mode(0o755);
    common::until("a rotation", || {
        append(&mut writer, 1);
        (finals(&scene) != before).then_some(())
    });
    assert_eq!(noted(&scene.log, OF_PROCESS), None);
    assert_eq!(overdue(&scene.log), None);
    is_sound(&scene.log);
}

#[test]
fn writers_that_are_killed_leave_a_log_that_is_as_short_as_before() {
    let scene = scene();
    let log = super::with_policy(&scene, &keeping(SIZE, 3));
    let mut random = Random::new(common::seed());
    let mut writers = start_writers(&scene, 1_000_000);
    for _ in 0..12 {
        let one = random.below(WRITERS) as usize;
        let before = log.status().unwrap().cursor;
        common::until("an append", || (log.status().unwrap().cursor > before + SIZE / 4).then_some(()));
        assert!(finals(&scene) <= 8, "{}", finals(&scene));
        writers.remove(one).kill();
        writers.push(start_writers(&scene, 1_000_000).remove(0));
    }
    writers.into_iter().for_each(|writer| drop(writer.kill()));
    let mut writer = log.writer().unwrap();
    let generation = log.status().unwrap().generation;
    common::until("three rotations", || {
        writer.append(&[b'.'; 1000]).unwrap();
        (log.status().unwrap().generation > generation + 2).then_some(())
    });
    assert!(finals(&scene) <= 4, "{}", finals(&scene));
    is_sound(&scene.log);
}

/// Length of the file of that inode, which a process has open.
fn length_of(pid: u32, inode: u64) -> Option<u64> {
    let mut open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let found = |fd: fs::DirEntry| fs::metadata(fd.path()).ok().filter(|stat| stat.ino() == inode);
    open.find_map(found).map(|stat| stat.len())
}

#[test]
fn an_append_looks_for_who_has_a_pruned_segment_open_no_longer_than_it_may_wait() {
    let mut hoarders: Vec<Actor> = (0..20).map(|_| Actor::new("hoarder", &[])).collect();
    hoarders.iter_mut().for_each(|hoarder| assert_eq!(hoarder.hear(), "here"));
    for (gate_ms, is_cut) in [(1, false), (30_000, true)] {
        let scene = scene();
        let policy = Policy { keep: Some(1), ..rotated_at(SIZE) };
        let log = Log::options().gate_ms(gate_ms).policy(&policy).open_or_create(&scene.log).unwrap();
        let mut writer = log.writer().unwrap();
        let mut other = Actor::on(&scene.log, "bystander");
        assert_eq!(other.hear(), "here");
        let inode = fs::metadata(&scene.log).unwrap().ino();
        common::until("the first segment to be pruned", || {
            writer.append(&[b'.'; 1000]).unwrap();
            (log.oldest().unwrap().get() > 0).then_some(())
        });
        let left = length_of(other.child.id(), inode).unwrap();
        assert_eq!(left == 0, is_cut, "{left} bytes are left after a look of {gate_ms} ms");
    }
}

#[cfg(debug_assertions)]
#[test]
fn who_rotates_has_appended_before_it_prunes_and_who_rotates_next_prunes_what_it_left() {
    let scene = scene();
    let log = super::with_policy(&scene, &keeping(SIZE, 1));
    let mut rotator = Actor::on(&scene.log, "rotator");
    let messages: u64 = rotator.hear().parse().unwrap();
    // Others could have filled the segment while it prunes: its message is there already.
    assert_eq!(log.cursor().unwrap(), Position::new(messages * 1000));
    assert_eq!(finals(&scene), 2);
    rotator.kill();
    let mut writer = log.writer().unwrap();
    let generation = log.generation();
    while log.generation() == generation {
        writer.append(&[b'.'; 1000]).unwrap();
    }
    assert_eq!(finals(&scene), 1);
    is_sound(&scene.log);
}

#[cfg(debug_assertions)]
#[test]
fn a_sync_needs_no_segment_that_somebody_is_about_to_remove() {
    let scene = scene();
    drop(super::with_policy(&scene, &Policy { keep: Some(1), ..rotated_at(SIZE) }));
    let mut pruner = Actor::on(&scene.log, "pruner");
    assert_eq!(pruner.hear(), "final:asked");
    // Nobody else can open that one: a lease says whether somebody has.
    let log = options().open(&scene.log).unwrap();
    log.writer().unwrap().append(b"mine\n").unwrap();
    assert_eq!(log.sync().unwrap(), log.cursor().unwrap());
    pruner.tell("go on");
    pruner.finish();
}

/// What status says of segments that should have gone.
fn not_pruned(log: &Path) -> Option<Finding> {
    let findings = Observer::open(log, &options()).unwrap().look().unwrap().findings;
    findings.into_iter().find(|finding| finding.id == FindingId::PruningOverdue)
}

#[test]
fn segments_that_nobody_can_remove_are_told_with_who_cannot_and_none_is_cut_for_it() {
    if !needs_users() {
        return;
    }
    let scene = log_of_1001(&rotated_at(SIZE));
    fs::set_permissions(metadata_of(&scene.log), fs::Permissions::from_mode(0o644)).unwrap();
    let old = scene.dir.path().join("old");
    fs::create_dir(&old).unwrap();
    let mut writer = paced_as(1001, &scene.log);
    append(&mut writer, 300);
    let log = options().open(&scene.log).unwrap();
    log.set_old_directory(Path::new("old"), super::WAIT).unwrap();
    assert_eq!(log.move_segments(Path::new("old"), super::WAIT).unwrap().segments.len(), 2);
    let moved: Vec<u64> =
        fs::read_dir(&old).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).collect();
    assert!(!moved.is_empty() && moved.iter().all(|len| *len > 0), "{moved:?}");
    log.set_policy(|policy| policy.keep = Some(1), super::WAIT).unwrap();
    // The directory is root's.
    append(&mut writer, 500);
    let found = not_pruned(&scene.log).unwrap();
    let who = format!("process {} (", writer.child.id());
    let why = format!("from {}: Permission denied (os error 13); the log grows", old.display());
    assert!(found.sentence.starts_with("pruning overdue for ") && found.sentence.contains(&who), "{found:?}");
    assert!(
        found.sentence.contains("uid 1001) cannot remove ") && found.sentence.contains(&why),
        "{found:?}"
    );
    assert!(found.next_step.starts_with("`mmlogctl prune --policy "), "{found:?}");
    let left = || fs::read_dir(&old).unwrap().map(|file| file.unwrap().metadata().unwrap().len());
    assert_eq!(left().sum::<u64>(), moved.iter().sum::<u64>(), "what stays is whole");
    chown(&old, Some(1001), Some(1001)).unwrap();
    common::until("what should have gone to go", || {
        append(&mut writer, 150);
        (left().count() == 0 && not_pruned(&scene.log).is_none()).then_some(())
    });
    is_sound(&scene.log);
}
