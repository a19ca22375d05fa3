//! Guards that a log bounds itself: whoever appends carries its policy out, nobody loses a byte by it, and what cannot be
//! done makes segments longer, not appends fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

mod common;
#[path = "bounded/obstacles.rs"]
mod obstacles;
#[path = "bounded/space.rs"]
mod space;

use std::mem::offset_of;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::surgeon::Surgeon;
use common::{Actor, Random, Scene, committed, message, parameter, scene};
use mmlog::layout::{Header, Segment};
use mmlog::{HoleKind, Log, Next, Options, Policy, Position, Start, Trust, check};

const SIZE: u64 = 128 << 10;
const HOUR: Duration = Duration::from_secs(3600);
const WAIT: Duration = Duration::from_secs(30);
/// Bytes of the longest message of a [`writer`].
const LONGEST: u64 = 2000;
const WRITERS: u64 = 4;

#[test]
fn role() {
    common::play(&[
        ("writer", writer),
        ("paced", paced),
        ("bystander", obstacles::bystander),
        #[cfg(debug_assertions)]
        ("stops_in_flight", obstacles::stops_in_flight),
        #[cfg(debug_assertions)]
        ("rotator", obstacles::rotator),
        ("without_descriptors", obstacles::without_descriptors),
        ("hoarder", obstacles::hoarder),
        ("pruner", obstacles::pruner),
    ]);
}

/// A drain that takes long here says how busy the machine is.
fn options() -> Options {
    Log::options().gate_ms(30_000).wait(common::DEADLINE)
}

/// Appends `EACH` messages as fast as it can.
fn writer() {
    let (id, each): (u64, u64) = (parameter("ID"), parameter("EACH"));
    let mut random = Random::new(parameter::<u64>("SEED") ^ id);
    let log = options().open_or_create(common::log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    for number in 0..each {
        let len = 24 + random.below(LONGEST - 24);
        writer.append(&message(id, number, len as usize)).unwrap();
    }
    drop(writer);
    log.close().unwrap();
}

/// Appends messages of 1000 bytes, as many as it is told to at a time.
fn paced() {
    let log = options().open_or_create(common::log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    let mut number = 0;
    while let Some(line) = common::heard() {
        for _ in 0..line.parse::<u64>().unwrap() {
            writer.append(&message(0, number, 1000)).unwrap();
            number += 1;
        }
        common::say("done");
    }
}

fn with_policy(scene: &Scene, policy: &Policy) -> Log {
    options().policy(policy).open_or_create(&scene.log).unwrap()
}

fn rotated_at(rotate_size: u64) -> Policy {
    Policy { rotate_size: Some(rotate_size), ..Policy::default() }
}

fn start_writers(scene: &Scene, each: u64) -> Vec<Actor> {
    let seed = common::seed();
    let start = |id: u64| {
        let parameters = [
            ("ID", id.to_string()),
            ("EACH", each.to_string()),
            ("SEED", seed.to_string()),
            ("LOG", scene.log.display().to_string()),
        ];
        Actor::new("writer", &parameters)
    };
    (0..WRITERS).map(start).collect()
}

/// Lengths of the final segments, oldest first.
fn lengths(log: &Log) -> Vec<u64> {
    let segments = log.status().unwrap().segments;
    segments.iter().filter(|s| s.final_since.is_some()).map(|s| s.end - s.base).collect()
}

fn is_sound(log: &Path) {
    let found = check::deep(log, &options().trust(Trust::AnyPath)).unwrap();
    assert!(found.holds(), "{:?}", found.violations);
}

#[test]
fn writers_begin_the_next_segment_at_its_size_and_lose_nothing() {
    let scene = scene();
    let log = with_policy(&scene, &rotated_at(SIZE));
    let writers = start_writers(&scene, 1500);
    for writer in writers {
        writer.finish();
    }
    let content = common::parse(&committed(&scene.log));
    common::assert_complete(&content, WRITERS, 1500);
    let lengths = lengths(&log);
    assert!(lengths.len() as u64 >= log.status().unwrap().cursor / SIZE / 2, "{lengths:?}");
    for len in &lengths {
        assert!((SIZE / 2..=SIZE + WRITERS * LONGEST).contains(len), "{len} of {lengths:?}");
    }
    is_sound(&scene.log);
}

#[test]
fn a_long_message_among_short_ones_does_not_make_a_segment_of_each_of_them() {
    let scene = scene();
    let log = with_policy(&scene, &rotated_at(SIZE));
    let mut writer = log.writer().unwrap();
    for number in 0..10 {
        writer.append(&message(1, number, 30)).unwrap();
        writer.append(&message(2, number, 2 * SIZE as usize)).unwrap();
    }
    let lengths = lengths(&log);
    assert_eq!(lengths.len(), 9, "{lengths:?}");
    // A short one still fits into the page with which a long one ends.
    assert!(lengths.iter().all(|len| (2 * SIZE..=2 * SIZE + 60).contains(len)), "{lengths:?}");
}

#[test]
fn a_size_that_is_set_reaches_a_writer_that_runs() {
    let scene = scene();
    let log = with_policy(&scene, &rotated_at(1 << 20));
    let parameters = [("LOG", scene.log.display().to_string())];
    let mut writer = Actor::new("paced", &parameters);
    let mut append = |messages: u64| {
        writer.tell(&messages.to_string());
        assert_eq!(writer.hear(), "done");
    };
    append(1500);
    assert_eq!(lengths(&log), [(1 << 20) / 1000 * 1000]);
    log.set_policy(|policy| policy.rotate_size = Some(SIZE), WAIT).unwrap();
    append(2000);
    let lengths = lengths(&log);
    // Nothing but what was there already is longer.
    let smaller = lengths.iter().skip(2).collect::<Vec<_>>();
    assert!(smaller.len() > 5 && smaller.iter().all(|len| **len == SIZE / 1000 * 1000), "{lengths:?}");
    writer.finish();
}

#[test]
fn a_handle_that_leaves_it_to_others_makes_segments_longer() {
    let scene = scene();
    drop(with_policy(&scene, &rotated_at(SIZE)));
    let left = options().carry_out_policy(false).open(&scene.log).unwrap();
    let mut writer = left.writer().unwrap();
    for number in 0..1000 {
        writer.append(&message(0, number, 1000)).unwrap();
    }
    assert!(lengths(&left).is_empty());
    let log = options().open(&scene.log).unwrap();
    let mut another = log.writer().unwrap();
    for number in 0..200 {
        another.append(&message(1, number, 1000)).unwrap();
    }
    assert!(lengths(&log)[0] >= 1_000_000, "{:?}", lengths(&log));
    is_sound(&scene.log);
}

fn keeping(rotate_size: u64, keep: u64) -> Policy {
    Policy { keep: Some(keep), ..rotated_at(rotate_size) }
}

/// How many final segments have a name.
fn finals(scene: &Scene) -> usize {
    let names = std::fs::read_dir(scene.dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_str().unwrap().starts_with("app.log.") && !is_metadata(name)).count()
}

fn is_metadata(name: &std::ffi::OsStr) -> bool {
    name.to_str().unwrap().ends_with(mmlog::METADATA_SUFFIX)
}

#[test]
fn at_each_look_there_are_the_segments_that_are_kept_and_three_more_and_a_follower_knows_what_went() {
    let scene = scene();
    let log = with_policy(&scene, &keeping(SIZE, 3));
    let mut follower = log.follow(Start::Oldest).unwrap();
    let writers = start_writers(&scene, 3000);
    let (mut expected, mut pruned, mut bytes, mut buf) = (0, 0, Vec::new(), vec![0; 1 << 16]);
    let mut ended = 0;
    let mut running: Vec<Actor> = writers;
    let mut most = 0;
    while ended < 2 {
        most = most.max(finals(&scene));
        match follower.next(&mut buf).unwrap() {
            Next::Bytes(range) => {
                assert_eq!(range.start, expected, "nothing is left out in silence");
                expected = range.end;
                bytes.extend_from_slice(&buf[..(range.end - range.start) as usize]);
            }
            Next::Hole(hole) => {
                assert_eq!((hole.start, hole.kind), (expected, HoleKind::Pruned));
                expected = hole.end();
                pruned += hole.len;
            }
            Next::Rotated(_) => {}
            Next::CaughtUp => {
                running.retain_mut(|writer| writer.child.try_wait().unwrap().is_none());
                ended += u32::from(running.is_empty());
                follower.wait(Duration::from_millis(1)).unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
    println!("at most {most} final segments, {pruned} bytes were pruned before they were read");
    assert!(most <= 6, "{most}");
    assert_eq!(finals(&scene), 3);
    let status = log.status().unwrap();
    assert_eq!(expected, status.cursor);
    assert_eq!(bytes.len() as u64 + pruned, status.cursor);
    is_sound(&scene.log);
}

#[test]
fn an_append_that_rotates_and_removes_syncs_the_metadata_and_waits_for_no_data() {
    let scene = scene();
    let log = with_policy(&scene, &keeping(SIZE, 1));
    let calls = scene.dir.path().join("calls");
    let syncs = "trace=fsync,fdatasync,sync_file_range,msync,syncfs,sync";
    let Some(strace) = common::strace(&["-y", "-e", syncs, "-o", calls.to_str().unwrap()]) else { return };
    let mut writer = Actor::under(strace, "paced", &[("LOG", scene.log.display().to_string())]);
    writer.tell("1000");
    assert_eq!(writer.hear(), "done");
    writer.finish();
    assert!(log.generation() > 5 && finals(&scene) == 1);
    let traced = std::fs::read_to_string(&calls).unwrap();
    let synced: Vec<&str> = traced.lines().filter(|line| line.contains("sync")).collect();
    // The directory, where the newest final segment goes: its name says where the file at the path begins.
    let directory = format!("<{}>", scene.dir.path().canonicalize().unwrap().display());
    let is_small = |line: &&str| line.contains(".mmlog>") || line.contains(&directory);
    assert!(!synced.is_empty() && synced.iter().all(is_small), "{traced}");
}

#[test]
fn a_segment_that_began_at_a_time_that_has_not_come_gets_older_all_the_same() {
    let scene = scene();
    let log = with_policy(&scene, &Policy { rotate_age: Some(HOUR), ..Policy::default() });
    let surgeon = Surgeon::new(&scene.log);
    let began = offset_of!(Header, segments) + offset_of!(Segment, began_ns);
    let now_ns = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    // A second has gone by, and a new writer looks at the time before it appends.
    let append = || {
        surgeon.set(offset_of!(Header, times.last_ns), 0);
        log.writer().unwrap().append(b"a line\n").unwrap();
    };
    append();
    // The clock was set back by a thousand hours, or nobody ever noted the time.
    for not_known in [now_ns() + 1000 * HOUR.as_nanos() as u64, 0, u64::MAX] {
        surgeon.set(began, not_known);
        let before = now_ns();
        append();
        assert!((before..=now_ns()).contains(&surgeon.get(began)), "{not_known}");
        assert!(lengths(&log).is_empty(), "it has just begun");
    }
    // What is known stays, and an hour later the segment is an hour old.
    let half_an_hour_ago = now_ns() - HOUR.as_nanos() as u64 / 2;
    surgeon.set(began, half_an_hour_ago);
    append();
    assert_eq!(surgeon.get(began), half_an_hour_ago);
    surgeon.set(began, now_ns() - HOUR.as_nanos() as u64);
    append();
    assert_eq!(lengths(&log).len(), 1);
}

#[test]
fn a_backlog_goes_two_segments_at_a_time() {
    let scene = scene();
    let log = with_policy(&scene, &rotated_at(SIZE));
    let mut writer = log.writer().unwrap();
    let fill = |writer: &mut mmlog::Writer| {
        let before = log.generation();
        while log.generation() == before {
            writer.append(&message(0, 0, 10_000)).unwrap();
        }
    };
    (0..10).for_each(|_| fill(&mut writer));
    assert_eq!(finals(&scene), 10);
    log.set_policy(|policy| policy.keep = Some(1), WAIT).unwrap();
    fill(&mut writer);
    assert!((7..=9).contains(&finals(&scene)), "{}", finals(&scene));
    (0..8).for_each(|_| fill(&mut writer));
    assert_eq!(finals(&scene), 1);
}

#[test]
fn a_hold_keeps_what_the_policy_would_let_go() {
    let scene = scene();
    let log = with_policy(&scene, &keeping(SIZE, 1));
    let hold = log.hold("backup", Position::new(0)).unwrap();
    let mut writer = log.writer().unwrap();
    for number in 0..1000 {
        writer.append(&message(0, number, 1000)).unwrap();
    }
    assert_eq!(finals(&scene), lengths(&log).len());
    assert!(finals(&scene) > 5);
    drop(hold);
}

#[test]
fn who_may_write_the_metadata_and_not_the_directory_has_nobody_delete() {
    let scene = scene();
    let log = with_policy(&scene, &keeping(SIZE, 1));
    let mode = std::os::unix::fs::PermissionsExt::from_mode;
    std::fs::set_permissions(common::metadata_of(&scene.log), mode(0o666)).unwrap();
    let mut writer = log.writer().unwrap();
    let mut append = || {
        for number in 0..1000 {
            writer.append(&message(0, number, 1000)).unwrap();
        }
    };
    append();
    assert!(finals(&scene) > 5, "{}", finals(&scene));
    std::fs::set_permissions(scene.dir.path(), mode(0o777)).unwrap();
    append();
    assert!(finals(&scene) <= 2, "{}", finals(&scene));
}
