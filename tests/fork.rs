//! Guards against what `fork` does to locks and buffers: a child that passes for its parent, or frees its slot; lines
//! lost or doubled by two processes with one handle; a dead parent that its child keeps alive.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]
#![allow(unsafe_code, reason = "fork is what is tested; std has no safe one")]

mod common;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::surgeon::{COPYING, Surgeon};
use common::{Actor, assert_complete, log_path, message, parse, say, scene};
use mmlog::{Fault, HoleKind, Log, Options, Start, Status, Writer};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

#[test]
fn role() {
    common::play(&[
        ("family", family),
        ("half_a_line", half_a_line),
        ("parent", parent),
        ("threads", threads),
        ("facade", facade),
        ("generations", generations),
        ("halves", halves),
        ("leaver", leaver),
        ("follower", follower),
    ]);
}

fn options() -> Options {
    Log::options().chunk_size(16384).ring_chunks(2)
}

/// Forks; the child runs `child` and ends without a word to the test harness.
fn in_child(child: impl FnOnce()) -> Pid {
    // SAFETY: the role's process has one other thread, the harness's, which only waits for this one and holds no
    // lock meanwhile; the C library makes its allocator usable in the child.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
            // SAFETY: ends the process at once; what the parent will flush or drop is not this process's.
            unsafe { nix::libc::_exit(i32::from(ended.is_err())) }
        }
    }
}

fn assert_ended_well(child: Pid) {
    assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
}

fn append(writer: &mut Writer, id: u64, numbers: std::ops::Range<u64>) {
    for number in numbers {
        writer.append(&message(id, number, 25 + (id + number * 37) as usize % 3000)).unwrap();
    }
}

const EACH: u64 = 400;

/// Parent, child and grandchild append with one inherited writer.
fn family() {
    let log = options().open_or_create(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    append(&mut writer, 0, 0..EACH / 2);
    let child = in_child(|| {
        append(&mut writer, 1, 0..EACH / 2);
        let grandchild = in_child(|| append(&mut writer, 2, 0..EACH));
        append(&mut writer, 1, EACH / 2..EACH);
        assert_ended_well(grandchild);
    });
    append(&mut writer, 0, EACH / 2..EACH);
    assert_ended_well(child);
    drop(writer);
    log.close().unwrap();
}

#[test]
fn parent_child_and_grandchild_append_by_one_writer_and_nothing_is_lost_or_doubled() {
    let scene = scene();
    Actor::on(&scene.log, "family").finish();
    assert_complete(&parse(&fs::read(&scene.log).unwrap()), 3, EACH);
}

/// The first child uses the writer whose buffer has half a line, the second only drops it.
fn half_a_line() {
    let log = options().open_or_create(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    writer.write_all(b"whole\nhalf ").unwrap();
    let user = in_child(|| {
        writer.write_all(b"child's\n").unwrap();
        writer.write_all(b"child's last").unwrap();
        writer.flush().unwrap();
    });
    assert_ended_well(user);
    let mut inherited = Some(writer);
    assert_ended_well(in_child(|| drop(inherited.take())));
    let mut writer = inherited.unwrap();
    writer.write_all(b"a line\nparent's last").unwrap();
    drop(writer);
    log.close().unwrap();
}

#[test]
fn half_a_line_in_the_buffer_stays_the_parents() {
    let scene = scene();
    Actor::on(&scene.log, "half_a_line").finish();
    let expected = "whole\nchild's\nchild's lasthalf a line\nparent's last";
    assert_eq!(String::from_utf8(fs::read(&scene.log).unwrap()).unwrap(), expected);
}

/// Has a child that appends and leaves, closing what it inherited; then one that stays.
fn parent() {
    let log = options().open_or_create(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    append(&mut writer, 0, 0..1);
    let mut inherited = Some((log, writer));
    let first = in_child(|| {
        let (log, mut writer) = inherited.take().unwrap();
        append(&mut writer, 1, 0..1);
        drop(writer);
        log.close().unwrap();
    });
    assert_ended_well(first);
    let second = in_child(|| {
        let (_, writer) = inherited.as_mut().unwrap();
        say("staying");
        assert!(common::listen());
        append(writer, 2, 0..1);
        say("appended");
        while common::listen() {}
    });
    assert_ended_well(second);
}

fn writers_of(status: &Status, pid: i32) -> Vec<u32> {
    status
        .writers
        .iter()
        .filter(|w| w.alive == Ok(true) && w.pid.cast_signed() == pid)
        .map(|w| w.slot)
        .collect()
}

#[test]
fn a_childs_end_leaves_the_parents_slot_and_a_parents_end_frees_it() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let mut actor = Actor::on(&scene.log, "parent");
    assert_eq!(actor.hear(), "staying");
    let slots = writers_of(&log.status().unwrap(), actor.pid());
    assert_eq!(slots, [0], "the first child has gone, its parent's slot is still the parent's");
    // In flight there: nobody takes it for dead.
    let start = Surgeon::new(&scene.log).append_in_flight(0, COPYING, 10);
    let error = log.trim(Duration::ZERO).unwrap_err();
    assert!(matches!(error.fault(), Fault::Stalled { .. }), "{error}");
    assert_eq!(log.watermark().unwrap().get(), start);
    // The second child lives, and has the parent's files open; the parent is dead all the same.
    actor.child.kill().unwrap();
    actor.child.wait().unwrap();
    common::until("the watermark", || (log.watermark().unwrap().get() == start + 10).then_some(()));
    assert_eq!(writers_of(&log.status().unwrap(), actor.pid()), []);
    actor.tell("go on");
    assert_eq!(actor.hear(), "appended");
    let status = log.status().unwrap();
    assert_eq!((status.holes.len(), status.holes[0].start, status.holes[0].kind), (1, start, HoleKind::Torn));
    let content = parse(&common::committed(&scene.log));
    assert_complete(&content, 3, 1);
    actor.end_input();
}

/// Follows, and has a child that follows on with what it inherited.
fn follower() {
    let log = options().open_or_create(log_path()).unwrap();
    let mut follower = log.follow(Start::Oldest).unwrap();
    follower.announce("family");
    let child = in_child(|| {
        say("staying");
        assert!(common::listen());
        follower.wait(Duration::ZERO).unwrap();
        follower.announce("child");
        say("following");
        while common::listen() {}
    });
    assert_ended_well(child);
}

#[test]
fn a_follower_is_its_process_and_not_the_child_that_inherited_it() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let mut actor = Actor::on(&scene.log, "follower");
    assert_eq!(actor.hear(), "staying");
    let seen = || {
        let followers = log.status().unwrap().followers;
        followers.into_iter().map(|f| (f.name.unwrap(), f.pid.cast_signed())).collect::<Vec<_>>()
    };
    assert_eq!(seen(), [("family".to_owned(), actor.pid())]);
    actor.child.kill().unwrap();
    actor.child.wait().unwrap();
    assert_eq!(seen(), [], "the child has its parent's files open, and is another process");
    actor.tell("go on");
    assert_eq!(actor.hear(), "following");
    let after = seen();
    assert!(after.len() == 1 && after[0].0 == "child" && after[0].1 != actor.pid(), "{after:?}");
    actor.end_input();
}

/// Forks children that append while its threads do.
fn threads() {
    let log = options().open_or_create(log_path()).unwrap();
    let done = AtomicBool::new(false);
    let counts: Vec<u64> = std::thread::scope(|scope| {
        let writing = |id: u64| {
            let (log, done) = (&log, &done);
            scope.spawn(move || {
                let mut writer = log.writer().unwrap();
                let mut number = 0;
                while !done.load(Ordering::Relaxed) {
                    append(&mut writer, id, number..number + 1);
                    number += 1;
                }
                number
            })
        };
        let writers = [writing(1000), writing(1001)];
        let mut inherited = log.writer().unwrap();
        for id in 0..CHILDREN {
            append(&mut inherited, 1002, id..id + 1);
            // The threads may hold a lock of the library or of the allocator at this moment; that is the point.
            let child = in_child(|| append(&mut inherited, id, 0..5));
            assert_ended_well(child);
        }
        done.store(true, Ordering::Relaxed);
        writers.map(|w| w.join().unwrap()).to_vec()
    });
    log.close().unwrap();
    say(&format!("{} {}", counts[0], counts[1]));
}

const CHILDREN: u64 = 200;

#[test]
fn children_forked_beside_appending_threads_append_too() {
    let scene = scene();
    let said = Actor::on(&scene.log, "threads").finish();
    let counts: Vec<u64> = said.lines().next().unwrap().split(' ').map(|n| n.parse().unwrap()).collect();
    let lines = parse(&fs::read(&scene.log).unwrap()).lines;
    let expected =
        (0..CHILDREN).map(|id| (id, 5)).chain([(1000, counts[0]), (1001, counts[1]), (1002, CHILDREN)]);
    for (id, count) in expected {
        assert!(lines[&id].iter().copied().eq(0..count), "writer {id}: {:?}, {count} expected", lines[&id]);
    }
}

/// Everything else that a handle can do, in the child.
fn facade() {
    let log = options().open_or_create(log_path()).unwrap();
    log.writer().unwrap().append(b"parent's\n").unwrap();
    let mut follower = log.follow(Start::Oldest).unwrap();
    let child = in_child(|| {
        log.writer().unwrap().append(b"child's\n").unwrap();
        assert_eq!(common::rest(&mut follower), b"parent's\nchild's\n");
        assert_eq!(log.trim(Duration::from_secs(60)).unwrap().after, 17);
        assert_eq!((log.status().unwrap().cursor, log.watermark().unwrap().get()), (17, 17));
        log.clone().close().unwrap();
    });
    assert_ended_well(child);
    assert_eq!(common::rest(&mut follower), b"parent's\nchild's\n");
    log.writer().unwrap().append(b"on\n").unwrap();
    log.poison("tried", 0).unwrap();
    let child = in_child(|| assert!(matches!(log.writer().err().unwrap().fault(), Fault::Poisoned(_))));
    assert_ended_well(child);
}

#[test]
fn a_child_can_do_all_that_its_parent_can() {
    let scene = scene();
    Actor::on(&scene.log, "facade").finish();
    assert_eq!(common::committed(&scene.log), b"parent's\nchild's\non\n");
}

/// Three generations at once, each by the inherited writer and by another one of the inherited log. The child
/// forks before it has used either.
fn generations() {
    let log = options().open_or_create(log_path()).unwrap();
    live(&log, &mut log.writer().unwrap(), 0);
    log.close().unwrap();
}

fn live(log: &Log, writer: &mut Writer, generation: u64) {
    let child = (generation < 2).then(|| in_child(|| live(log, writer, generation + 1)));
    let mut another = log.writer().unwrap();
    for number in 0..EACH {
        append(writer, generation, number..number + 1);
        append(&mut another, 3 + generation, number..number + 1);
    }
    if let Some(child) = child {
        assert_ended_well(child);
    }
}

#[test]
fn a_grandchild_of_a_child_that_never_used_the_log_appends_too() {
    let scene = scene();
    Actor::on(&scene.log, "generations").finish();
    assert_complete(&parse(&fs::read(&scene.log).unwrap()), 6, EACH);
}

/// With half a line in the buffer at the fork, parent and child write at the same time, each line in two halves.
fn halves() {
    let log = options().open_or_create(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    let begun = message(0, 0, 300);
    writer.write_all(&begun[..150]).unwrap();
    let child = in_child(|| write_in_halves(&mut writer, 1, 0));
    writer.write_all(&begun[150..]).unwrap();
    write_in_halves(&mut writer, 0, 1);
    assert_ended_well(child);
    drop(writer);
    log.close().unwrap();
}

fn write_in_halves(writer: &mut Writer, id: u64, first: u64) {
    for number in first..EACH {
        let line = message(id, number, 200);
        writer.write_all(&line[..70]).unwrap();
        writer.write_all(&line[70..]).unwrap();
    }
}

#[test]
fn half_lines_of_parent_and_child_do_not_mix_and_none_is_lost() {
    let scene = scene();
    Actor::on(&scene.log, "halves").finish();
    assert_complete(&parse(&fs::read(&scene.log).unwrap()), 2, EACH);
}

/// Closes and ends before its child, which then goes on.
fn leaver() {
    let log = options().open_or_create(log_path()).unwrap();
    let mut writer = Some(log.writer().unwrap());
    append(writer.as_mut().unwrap(), 0, 0..EACH);
    let me = std::process::id();
    in_child(|| {
        let mut mine = writer.take().unwrap();
        append(&mut mine, 1, 0..common::parameter("BEFORE"));
        common::until("the parent's end", || (std::os::unix::process::parent_id() != me).then_some(()));
        append(&mut mine, 1, common::parameter("BEFORE")..EACH);
        drop(mine);
        say("child done");
    });
    drop(writer);
    log.close().unwrap();
}

#[test]
fn a_child_goes_on_after_its_parent_has_closed_and_trims_as_the_last() {
    for before in [0, 1] {
        let scene = scene();
        let parameters = [("LOG", scene.log.display().to_string()), ("BEFORE", before.to_string())];
        let said = Actor::new("leaver", &parameters).finish();
        assert!(said.contains("child done"), "{said}");
        assert_complete(&parse(&fs::read(&scene.log).unwrap()), 2, EACH);
    }
}

#[test]
fn a_program_that_is_executed_inherits_no_descriptor_of_a_log() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(b"one\n").unwrap();
    log.sync().unwrap();
    let _follower = log.follow(Start::Oldest).unwrap();
    let directory = scene.log.parent().unwrap();
    let mut ours = 0;
    for entry in fs::read_dir("/proc/self/fd").unwrap().flatten() {
        if !fs::read_link(entry.path()).is_ok_and(|to| to.starts_with(directory)) {
            continue;
        }
        ours += 1;
        let facts = Path::new("/proc/self/fdinfo").join(entry.file_name());
        let facts = fs::read_to_string(facts).unwrap();
        let flags = facts.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
        let flags = i32::from_str_radix(flags, 8).unwrap();
        assert_ne!(flags & nix::libc::O_CLOEXEC, 0, "{:?}", fs::read_link(entry.path()));
    }
    // The directory, the metadata for locks, the data.
    assert!(ours >= 3, "{ours}");
}
