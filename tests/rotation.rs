//! Guards against what rotation costs elsewhere: lost, doubled or split messages, writers that go on in the old file,
//! readers that miss its end, a moment without a file at the path, another owner or mode, a rotator that dies and
//! leaves the log half done.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

#[path = "rotation/attributes.rs"]
mod attributes;
mod common;
#[path = "rotation/load.rs"]
mod load;
#[path = "rotation/obstacles.rs"]
mod obstacles;
#[path = "rotation/reboot.rs"]
mod reboot;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use common::{Actor, Scene, committed, scene};
use mmlog::{Fault, HoleKind, Log, Next, Options, Position, Retention, Rotated, Rotation, Start, check};

#[test]
fn role() {
    common::play(&[
        ("writer", load::writer),
        ("rotator", load::rotator),
        ("follower", common::follower),
        ("appender", attributes::appender),
        ("bystander", obstacles::bystander),
        ("late", late),
    ]);
}

fn options() -> Options {
    Log::options().chunk_size(65536).max_writers(64)
}

fn rotate(log: &Log) -> Rotated {
    log.rotate(&Rotation::default()).unwrap().expect("there are bytes")
}

/// Names beside the log that begin with its name, in order.
fn names(log: &Path) -> Vec<String> {
    let entries = fs::read_dir(log.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|n| n.into_string().unwrap()).collect();
    names.retain(|n| n.starts_with("app.log"));
    names.sort();
    names
}

/// The final segments, oldest first.
fn segments(log: &Path) -> Vec<PathBuf> {
    let is_segment = |n: &&String| n.starts_with("app.log.0");
    names(log).iter().filter(is_segment).map(|n| log.with_file_name(n)).collect()
}

fn is_sound(log: &Path) {
    let found = check::deep(log, &options()).unwrap();
    assert!(found.holds(), "{:?}", found.violations);
}

#[test]
fn a_rotated_segment_has_all_bytes_of_before_and_the_log_goes_on() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let mut writer = log.writer().unwrap();
    let mut whole = Vec::new();
    for generation in 0..5_u64 {
        let base = whole.len() as u64;
        for line in 0..1000 {
            let line = format!("{generation} {line}\n");
            assert_eq!(writer.append(line.as_bytes()).unwrap().get(), whole.len() as u64);
            whole.extend_from_slice(line.as_bytes());
        }
        let rotated = rotate(&log);
        assert_eq!((rotated.generation, rotated.base, rotated.end), (generation, base, whole.len() as u64));
        let name = format!("app.log.{generation:010}-{base:019}");
        assert_eq!(rotated.path.file_name().unwrap().to_str(), Some(&*name));
        assert_eq!(fs::read(&rotated.path).unwrap(), whole[base as usize..]);
    }
    writer.append(b"the last\n").unwrap();
    whole.extend_from_slice(b"the last\n");
    assert_eq!(committed(&scene.log), whole);
    is_sound(&scene.log);
    drop(writer);
    log.close().unwrap();
    assert_eq!(fs::read(&scene.log).unwrap(), b"the last\n", "at rest it is what was appended");
    assert_eq!(names(&scene.log).len(), 5 + 2, "segments, data, metadata");
}

#[test]
fn a_segment_without_bytes_is_never_rotated() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    assert_eq!(log.rotate(&Rotation::default()).unwrap(), None);
    log.writer().unwrap().append(b"one\n").unwrap();
    rotate(&log);
    assert_eq!(log.rotate(&Rotation::default()).unwrap(), None);
    assert_eq!(names(&scene.log).len(), 3);
}

#[test]
fn a_segment_that_is_not_due_is_left() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    log.writer().unwrap().append(&[b'x'; 100]).unwrap();
    let hour = std::time::Duration::from_secs(3600);
    for how in [Rotation::default().if_size(101), Rotation::default().if_age(hour)] {
        assert_eq!(log.rotate(&how).unwrap(), None);
    }
    let either = Rotation::default().if_age(hour).if_size(100);
    assert!(log.plan_rotation(&either).unwrap().is_some());
    assert!(log.rotate(&either).unwrap().is_some());
}

#[test]
fn a_handle_that_slept_through_rotations_goes_on_in_the_current_segment() {
    let scene = scene();
    let (log, other) = (options().open_or_create(&scene.log).unwrap(), options().open(&scene.log).unwrap());
    let mut sleeper = other.writer().unwrap();
    let mut writer = log.writer().unwrap();
    sleeper.append(b"first\n").unwrap();
    for _ in 0..3 {
        writer.append(b"one\n").unwrap();
        rotate(&log);
    }
    let before: Vec<_> = segments(&scene.log).iter().map(|s| fs::read(s).unwrap()).collect();
    sleeper.append(&vec![b'z'; 200_000]).unwrap();
    other.trim(std::time::Duration::from_secs(5)).unwrap();
    sleeper.append(b"last\n").unwrap();
    other.sync().unwrap();
    assert_eq!(before, segments(&scene.log).iter().map(|s| fs::read(s).unwrap()).collect::<Vec<_>>());
    let expected = [b"first\none\none\none\n".to_vec(), vec![b'z'; 200_000], b"last\n".to_vec()].concat();
    assert_eq!(committed(&scene.log), expected);
    is_sound(&scene.log);
}

/// Appends once for each line that it is told.
fn late() {
    let log = options().open_or_create(common::log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    while common::listen() {
        writer.append(b"late\n").unwrap();
        common::say("appended");
    }
}

#[test]
fn a_writer_that_is_slow_to_find_what_is_current_is_no_damage_however_often_others_rotate() {
    let scene = scene();
    // Whatever it looks at it sees 20 ms late.
    let slow = ["-o", "/dev/null", "-e", "inject=fstat,newfstatat,statx:delay_enter=20000"];
    let Some(slow) = common::strace(&slow) else { return };
    let log = options().open_or_create(&scene.log).unwrap();
    let mut writer = log.writer().unwrap();
    let mut late = Actor::under(slow, "late", &[("LOG", scene.log.display().to_string())]);
    let rotations = AtomicU64::new(0);
    let mut append = || {
        let seen = rotations.load(Ordering::Relaxed);
        common::until("a rotation", || (rotations.load(Ordering::Relaxed) > seen).then_some(()));
        late.tell("append");
        late.hear()
    };
    let heard = std::thread::scope(|scope| {
        let asks = scope.spawn(|| (0..10).map(|_| append()).take_while(|said| said == "appended").count());
        while !asks.is_finished() {
            writer.append(b"often\n").unwrap();
            match log.rotate(&Rotation::default()) {
                Ok(rotated) => _ = rotations.fetch_add(rotated.is_some().into(), Ordering::Relaxed),
                Err(e) => assert!(matches!(e.fault(), Fault::Busy(_) | Fault::Stalled { .. }), "{e}"),
            }
            log.prune(&Retention::default().keep(2)).unwrap();
        }
        asks.join().unwrap()
    });
    assert_eq!(heard, 10);
    late.finish();
}

#[test]
fn a_follower_ten_generations_behind_gets_every_byte_that_exists() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(b"0\n").unwrap();
    let mut behind = log.follow(Start::Oldest).unwrap();
    let reader = options().open_reader(&scene.log).unwrap();
    let mut late = reader.follow(Start::Oldest).unwrap();
    let mut expected = b"0\n".to_vec();
    for generation in 1..=10 {
        rotate(&log);
        let line = format!("{generation}\n");
        writer.append(line.as_bytes()).unwrap();
        expected.extend_from_slice(line.as_bytes());
    }
    assert_eq!(common::rest(&mut behind), expected);
    assert_eq!((late.generation(), common::rest(&mut late)), (0, expected.clone()));
    assert_eq!(late.generation(), 10);
    for at in 0..expected.len() as u64 {
        late.seek(Position::new(at)).unwrap();
        assert_eq!(common::rest(&mut late), expected[at as usize..], "from {at}");
    }
    assert_eq!(log.oldest().unwrap().get(), 0);
}

#[test]
fn a_follower_is_told_which_positions_somebody_removed() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let mut writer = log.writer().unwrap();
    let mut ends = Vec::new();
    for _ in 0..4 {
        writer.append(b"ten bytes\n").unwrap();
        ends.push(rotate(&log).end);
    }
    writer.append(b"current\n").unwrap();
    let found = segments(&scene.log);
    for removed in [&found[0], &found[2]] {
        fs::remove_file(removed).unwrap();
    }
    assert_eq!(log.oldest().unwrap().get(), ends[0]);
    let mut follower = log.follow(Start::At(Position::new(0))).unwrap();
    let (mut told, mut buf) = (Vec::new(), [0; 100]);
    loop {
        match follower.next(&mut buf).unwrap() {
            Next::Bytes(range) => told.push((range.start, range.end, None)),
            Next::Hole(hole) => told.push((hole.start, hole.end(), Some(hole.kind))),
            Next::CaughtUp => break,
            _ => {}
        }
    }
    let gone = Some(HoleKind::Gone);
    assert_eq!(told, [(0, 10, gone), (10, 20, None), (20, 30, gone), (30, 40, None), (40, 48, None)]);
}

#[test]
fn holes_of_dead_writers_stay_holes_in_final_segments() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(b"one\n").unwrap();
    let start = common::surgeon::Surgeon::new(&scene.log).append_in_flight(9, common::surgeon::COPYING, 50);
    writer.append(b"two\n").unwrap();
    let rotated = rotate(&log);
    assert_eq!(rotated.end, 4 + 50 + 4);
    rotate_on(&log, 3);
    let mut follower = log.follow(Start::Oldest).unwrap();
    let mut buf = [0; 100];
    assert_eq!(follower.next(&mut buf).unwrap(), Next::Bytes(0..4));
    let Next::Hole(hole) = follower.next(&mut buf).unwrap() else { panic!("no hole") };
    assert_eq!((hole.start, hole.len, hole.kind), (start, 50, HoleKind::Torn));
    assert!(committed(&scene.log).starts_with(b"one\ntwo\n"));
}

/// Some more segments.
fn rotate_on(log: &Log, times: u32) {
    for _ in 0..times {
        log.writer().unwrap().append(b"more\n").unwrap();
        rotate(log);
    }
}

#[test]
fn a_log_made_anew_goes_on_behind_the_segments_that_are_there() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    log.writer().unwrap().append(b"old\n").unwrap();
    rotate_on(&log, 2);
    log.close().unwrap();
    common::until("the removal", || {
        mmlog::remove(&scene.log, mmlog::Force::IfUnused, &mmlog::Log::options()).ok()
    });
    let log = options().open_or_create(&scene.log).unwrap();
    let at = log.writer().unwrap().append(b"new\n").unwrap();
    assert_eq!(at.get(), 4 + 5 + 5);
    assert_eq!(committed(&scene.log), b"old\nmore\nmore\nnew\n");
    assert_eq!(rotate(&log).generation, 2);
    is_sound(&scene.log);
}

/// A log that was removed but for its one old segment, which gzip has compressed; where that one lies.
fn only_a_compressed_segment(scene: &Scene) -> PathBuf {
    let log = options().open_or_create(&scene.log).unwrap();
    log.writer().unwrap().append(b"old\n").unwrap();
    let rotated = rotate(&log);
    log.close().unwrap();
    let compressed = std::process::Command::new("gzip").arg(&rotated.path).status().unwrap();
    assert!(compressed.success());
    common::until("the removal", || {
        mmlog::remove(&scene.log, mmlog::Force::IfUnused, &mmlog::Log::options()).ok()
    });
    let mut path = rotated.path.into_os_string();
    path.push(".gz");
    path.into()
}

fn append_and_cat(scene: &Scene) -> (u64, std::process::Output) {
    let log = options().open_or_create(&scene.log).unwrap();
    let at = log.writer().unwrap().append(b"new\n").unwrap().get();
    let cat = std::process::Command::new(env!("CARGO_BIN_EXE_mmlogctl")).arg("cat").arg(&scene.log).output();
    (at, cat.unwrap())
}

#[test]
fn a_log_made_anew_goes_on_behind_a_segment_that_can_be_read_to_its_end() {
    let scene = scene();
    only_a_compressed_segment(&scene);
    let (at, read) = append_and_cat(&scene);
    assert_eq!(at, 4);
    assert_eq!(read.stdout, b"old\nnew\n");
    assert!(read.status.success() && read.stderr.is_empty(), "{read:?}");
}

#[test]
fn a_log_made_anew_leaves_a_gap_behind_a_segment_whose_length_is_not_known() {
    let scene = scene();
    let segment = only_a_compressed_segment(&scene);
    let whole = fs::read(&segment).unwrap();
    fs::write(&segment, &whole[..whole.len() - 1]).unwrap();
    let (at, read) = append_and_cat(&scene);
    assert!(at > 1 << 30, "nothing of what it may hold comes twice: {at}");
    assert!(read.stdout.ends_with(b"new\n"), "{read:?}");
    assert!(!read.status.success(), "what cannot be read is said: {read:?}");
}

#[test]
fn metadata_made_anew_knows_generation_and_base_from_the_names() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    log.writer().unwrap().append(b"old\n").unwrap();
    rotate_on(&log, 2);
    log.writer().unwrap().append(b"current\n").unwrap();
    log.close().unwrap();
    fs::remove_file(common::metadata_of(&scene.log)).unwrap();
    common::until("the lease", || {
        let plan =
            mmlog::repair::examine(&scene.log, &options()).unwrap().plan(&[mmlog::repair::Wish::Rebuild]);
        plan.apply().ok()
    });
    let log = options().open(&scene.log).unwrap();
    assert_eq!(committed(&scene.log), b"old\nmore\nmore\ncurrent\n");
    let at = log.writer().unwrap().append(b"on\n").unwrap();
    assert_eq!((at.get(), rotate(&log).generation), (4 + 5 + 5 + 8, 2));
    is_sound(&scene.log);
}
