//! Guards against what a dead or stopped process could do to the others: lost or torn messages, a wedged log, a
//! reader that is held up or shown half an append. Random kills, and every state that a kill can leave, made by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

mod common;

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::surgeon::{COPYING, CURSOR, FILE_SIZE, GATE_AT, JOURNAL, LIMIT, RESERVING, Surgeon, WAITING};
use common::{Actor, Random, log_path, message, parameter, parse, scene};
use mmlog::{Fault, HoleKind, Log, Next, Observer, Options, Phase, ProcessState, Rotation, Start, State};

#[test]
fn role() {
    common::play(&[
        ("victim", victim),
        ("follower", common::follower),
        ("bystander", bystander),
        ("trimmer", trimmer),
        ("closes a gate", closes_a_gate),
    ]);
}

/// Trims or rotates, and somebody who has seen the gate open reserves when it is closed.
fn closes_a_gate() {
    #[cfg(debug_assertions)]
    mmlog::crash::set_hook(|point| {
        if point == "gate:announced" {
            Surgeon::new(&log_path()).append_in_flight(6, WAITING, 122);
        }
    });
    let log = options().open(log_path()).unwrap();
    if parameter("ROTATES") {
        log.rotate(&Rotation::default()).unwrap();
    } else {
        log.trim(Duration::from_secs(5)).unwrap();
    }
}

/// Appends until it is killed, and says each number that was acknowledged.
fn victim() {
    let log = options().open_or_create(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    let (id, mut random) = (parameter("ID"), Random::new(parameter("SEED")));
    for number in 0.. {
        let len = if random.below(20) == 0 { 25 + random.below(20_000) } else { 25 + random.below(400) };
        writer.append(&message(id, number, len as usize)).unwrap();
        common::say(&number.to_string());
    }
}

/// Has a slot and does nothing with it.
fn bystander() {
    let log = options().open_or_create(log_path()).unwrap();
    let writer = log.writer().unwrap();
    common::say("here");
    while common::listen() {}
    std::mem::forget(writer);
}

fn trimmer() {
    let log = options().open_or_create(log_path()).unwrap();
    loop {
        let _ = log.trim(Duration::from_millis(200));
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn options() -> Options {
    Log::options().chunk_size(16384).ring_chunks(2)
}

#[test]
fn killing_writers_and_trimmers_costs_at_most_the_append_in_flight() {
    let scene = scene();
    let seed = common::seed();
    let mut random = Random::new(seed);
    options().open_or_create(&scene.log).unwrap();
    let path = scene.log.display().to_string();
    let out = scene.dir.path().join("copy");
    let told = [("LOG", path.clone()), ("OUT", out.display().to_string()), ("RATE", "0".into())];
    let mut follower = Actor::new("follower", &told);
    let start = |id: u64| {
        let parameters = [("LOG", path.clone()), ("ID", id.to_string()), ("SEED", (seed ^ id).to_string())];
        (id, Actor::new("victim", &parameters), None)
    };
    let mut victims: Vec<(u64, Actor, Option<u64>)> = (0..6).map(start).collect();
    let mut trimmer = Actor::new("trimmer", &[("LOG", path.clone())]);
    let mut acknowledged = HashMap::new();
    let kills = if std::env::var_os("MMLOG_LONG").is_some() { 2000 } else { 120 };
    for id in 6..6 + kills {
        // Every victim gets somewhere before one is killed.
        let chosen = random.below(victims.len() as u64) as usize;
        for _ in 0..random.below(30) {
            victims[chosen].2 = Some(victims[chosen].1.hear().parse().unwrap());
        }
        let (victim, actor, heard) = victims.swap_remove(chosen);
        acknowledged.insert(victim, last_number(&actor.kill()).or(heard));
        victims.push(start(id));
        if id % 10 == 0 {
            trimmer.kill();
            trimmer = Actor::new("trimmer", &[("LOG", path.clone())]);
        }
    }
    for (victim, actor, heard) in victims {
        acknowledged.insert(victim, last_number(&actor.kill()).or(heard));
    }
    trimmer.kill();
    // Somebody goes on, which settles what the dead have left, and trims.
    let log = options().open(&scene.log).unwrap();
    log.writer().unwrap().append(&message(99_999, 0, 100)).unwrap();
    log.close().unwrap();
    let bytes = common::committed(&scene.log);
    let (lines, runs) = common::without_unplaced(&bytes);
    check(&parse(&lines).lines, &acknowledged);
    let status = Log::options().open_reader(&scene.log).unwrap().status().unwrap();
    let unplaced = status.holes_total - status.holes_forgotten - status.holes.len() as u64;
    assert!(runs <= unplaced, "{runs} runs of NULs, but {unplaced} holes of unknown place");
    println!("{} holes, {unplaced} of unknown place, {runs} runs of NULs", status.holes.len() as u64);
    follower.tell(&bytes.len().to_string());
    follower.finish();
    assert!(fs::read(out).unwrap() == bytes, "the follower's copy differs from what is committed");
}

fn last_number(said: &[u8]) -> Option<u64> {
    // The last line may be cut.
    let whole = said.iter().rposition(|&b| b == b'\n').map_or(&[][..], |end| &said[..end]);
    String::from_utf8_lossy(whole).lines().next_back().and_then(|line| line.parse().ok())
}

/// Every acknowledged line is there, in order, and at most one more of each victim.
fn check(lines: &HashMap<u64, Vec<u64>>, acknowledged: &HashMap<u64, Option<u64>>) {
    for (victim, last) in acknowledged {
        let there = lines.get(victim).map_or(&[][..], |n| n);
        assert!(there.iter().copied().eq(0..there.len() as u64), "writer {victim} has gaps: {there:?}");
        let least = last.map_or(0, |n| n + 1);
        let count = there.len() as u64;
        // The append in flight may have come through.
        assert!(
            (least..=least + 1).contains(&count),
            "writer {victim}: {count} lines are there, {least} were acknowledged"
        );
    }
}

/// Everything that a follower is given: bytes, and holes as (start, length, kind).
fn read_all(log: &Path) -> (Vec<u8>, Vec<(u64, u64, HoleKind)>) {
    let log = Log::options().open_reader(log).unwrap();
    let mut follower = log.follow(Start::Oldest).unwrap();
    let (mut bytes, mut holes, mut buf) = (Vec::new(), Vec::new(), [0; 4096]);
    loop {
        match follower.next(&mut buf).unwrap() {
            Next::Bytes(range) => bytes.extend_from_slice(&buf[..(range.end - range.start) as usize]),
            Next::Hole(hole) => holes.push((hole.start, hole.len, hole.kind)),
            _ => return (bytes, holes),
        }
    }
}

#[test]
fn a_writer_that_died_copying_leaves_an_exact_hole_that_is_zeroed_by_whoever_opens_next() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    log.writer().unwrap().append(b"before\n").unwrap();
    let surgeon = Surgeon::new(&scene.log);
    let start = surgeon.append_in_flight(5, COPYING, 100);
    File::options().write(true).open(&scene.log).unwrap().write_all_at(b"half an append", start).unwrap();
    log.writer().unwrap().append(b"after\n").unwrap();
    let expected = (b"before\nafter\n".to_vec(), vec![(start, 100, HoleKind::Torn)]);
    assert_eq!(read_all(&scene.log), expected, "a follower skips it before anybody has settled it");
    let other = options().open(&scene.log).unwrap();
    assert_eq!(read_all(&scene.log), expected, "and when it is settled");
    let status = other.status().unwrap();
    assert_eq!((status.holes.len(), status.holes[0].start, status.state), (1, start, State::Ok));
    let data = fs::read(&scene.log).unwrap();
    assert!(data[start as usize..start as usize + 100].iter().all(|&b| b == 0), "its bytes are zeroed");
}

#[test]
fn a_writer_that_died_waiting_beyond_the_end_of_the_file_holds_nobody_up() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    log.writer().unwrap().append(b"before\n").unwrap();
    let start = Surgeon::new(&scene.log).append_in_flight(5, WAITING, 100_000);
    assert_eq!(read_all(&scene.log), (b"before\n".to_vec(), vec![(start, 100_000, HoleKind::Unwritten)]));
    log.writer().unwrap().append(b"after\n").unwrap();
    log.trim(Duration::from_secs(5)).unwrap();
    drop(log);
    let expected = (b"before\nafter\n".to_vec(), vec![(start, 100_000, HoleKind::Unwritten)]);
    assert_eq!(read_all(&scene.log), expected);
    assert_eq!(fs::metadata(&scene.log).unwrap().len(), start + 100_006);
}

#[test]
fn a_writer_that_died_reserving_holds_nobody_up() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    log.writer().unwrap().append(b"before\n").unwrap();
    let surgeon = Surgeon::new(&scene.log);
    let cursor = surgeon.get(CURSOR);
    surgeon.append_in_flight(5, RESERVING, 50);
    surgeon.set(CURSOR, cursor);
    log.writer().unwrap().append(b"after\n").unwrap();
    assert_eq!(read_all(&scene.log), (b"before\nafter\n".to_vec(), vec![]));
    log.trim(Duration::from_secs(5)).unwrap();
    assert_eq!(log.status().unwrap().holes_total, 1, "it is counted: it may have reserved 50 bytes, or not");
}

#[test]
fn a_gate_that_a_dead_trimmer_closed_is_opened_by_the_next_append() {
    for published in [None, Some(7)] {
        let scene = scene();
        let log = options().open_or_create(&scene.log).unwrap();
        let mut writer = log.writer().unwrap();
        writer.append(b"before\n").unwrap();
        let surgeon = Surgeon::new(&scene.log);
        let cursor = surgeon.get(CURSOR);
        surgeon.set(JOURNAL, 4);
        surgeon.set(CURSOR, cursor | 1 << 63);
        surgeon.set(GATE_AT, cursor);
        // It may have died between publishing the new size, the limit, and cutting the file.
        if let Some(size) = published {
            surgeon.set(FILE_SIZE, size);
        }
        surgeon.0.write_all_at(&[1], 5).unwrap();
        writer.append(b"after\n").unwrap();
        assert_eq!(read_all(&scene.log).0, b"before\nafter\n");
        assert_eq!((surgeon.get(JOURNAL), log.status().unwrap().gate), (0, None));
        drop(writer);
        log.close().unwrap();
        assert_eq!(fs::read(&scene.log).unwrap(), b"before\nafter\n");
    }
}

#[test]
fn a_file_that_a_dead_grower_made_longer_is_cut_to_its_published_size() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(b"before\n").unwrap();
    File::options().write(true).open(&scene.log).unwrap().set_len(1 << 20).unwrap();
    drop(options().open(&scene.log).unwrap());
    assert_eq!(fs::metadata(&scene.log).unwrap().len(), 16384);
    // The size was published, the limit not yet.
    let surgeon = Surgeon::new(&scene.log);
    surgeon.set(LIMIT, 8192);
    drop(options().open(&scene.log).unwrap());
    assert_eq!(surgeon.get(LIMIT), 16384);
    writer.append(b"after\n").unwrap();
    assert_eq!(read_all(&scene.log).0, b"before\nafter\n");
}

#[test]
fn a_stopped_writer_is_named_and_never_robbed() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(b"before\n").unwrap();
    let mut other = Actor::on(&scene.log, "bystander");
    assert_eq!(other.hear(), "here");
    let surgeon = Surgeon::new(&scene.log);
    let start = surgeon.append_in_flight(1, COPYING, 100);
    signal(other.pid(), "STOP");
    common::until("the stop", || {
        (log.status().unwrap().writers[1].process == ProcessState::Stopped).then_some(())
    });
    writer.append(b"after\n").unwrap();
    assert_eq!(log.watermark().unwrap().get(), start, "readers wait for it");
    let fault = log.trim(Duration::ZERO).unwrap_err();
    let Fault::Stalled { blocker, .. } = fault.fault() else { panic!("{fault}") };
    assert_eq!((blocker.pid, &*blocker.process), (other.child.id(), "stopped"));
    writer.append(b"and on\n").unwrap();
    let status = Observer::open(&scene.log, &Log::options()).unwrap().look().unwrap();
    assert_eq!(status.state, State::Stalled);
    let flight = status.writers[1].in_flight.as_ref().unwrap();
    assert_eq!((flight.phase, flight.start, flight.end), (Phase::Copying, start, start + 100));
    assert_eq!(
        surgeon.get(mmlog::layout::SLOTS_AT + 128),
        COPYING << 62 | start,
        "nothing was taken from it"
    );
    other.kill();
    let expected = (b"before\nafter\nand on\n".to_vec(), vec![(start, 100, HoleKind::Torn)]);
    common::until("its death", || (read_all(&scene.log) == expected).then_some(()));
    log.trim(Duration::from_secs(5)).unwrap();
}

fn signal(pid: i32, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap().success());
}

#[test]
fn a_range_of_unknown_place_that_is_left_out_once_is_left_out_for_good() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    log.writer().unwrap().append(b"one\n").unwrap();
    log.close().unwrap();
    // Its writer died behind the reservation, and the file does not reach there.
    Surgeon::new(&scene.log).append_in_flight(0, RESERVING, 5000);
    let reader = Log::options().open_reader(&scene.log).unwrap();
    let (mut early, mut late) =
        (reader.follow(Start::Oldest).unwrap(), reader.follow(Start::Oldest).unwrap());
    assert_eq!(common::rest(&mut early), b"one\n");
    // One that has looked, and has not read.
    assert_eq!(late.watermark().unwrap().get(), 5004);
    let log = options().open(&scene.log).unwrap();
    log.writer().unwrap().append(b"two\n").unwrap();
    assert_eq!(common::rest(&mut early), b"two\n");
    assert_eq!(common::rest(&mut late), b"one\ntwo\n");
    assert_eq!(common::committed(&scene.log), b"one\ntwo\n");
    let status = log.status().unwrap();
    let holes: Vec<_> = status.holes.iter().map(|h| (h.start, h.len, h.kind)).collect();
    assert_eq!((holes.as_slice(), status.holes_total), (&[(4, 5000, HoleKind::Unwritten)][..], 1));
}

#[test]
fn growing_notes_no_hole_where_a_live_writer_waits_or_may_have_a_range() {
    for state in [RESERVING, WAITING] {
        let scene = scene();
        let log = options().open_or_create(&scene.log).unwrap();
        let mut writer = log.writer().unwrap();
        writer.append(b"one\n").unwrap();
        let other = options().open(&scene.log).unwrap();
        let mut late = other.writer().unwrap();
        // Behind the file's end, and the slot's lock byte is held.
        let len = 100_000;
        Surgeon::new(&scene.log).append_in_flight(0, state, len);
        late.append(b"two\n").unwrap();
        assert_eq!(other.status().unwrap().holes, []);
        Surgeon::new(&scene.log).set_pending(0, 0, 0);
    }
}

/// The gate's place is the log's end then, whatever was reserved behind it meanwhile, also where the file has to grow first.
#[test]
fn what_is_reserved_behind_a_closed_gate_keeps_no_trim_and_no_rotation_from_its_end() {
    for rotates in [false, true] {
        let scene = scene();
        let log = options().open_or_create(&scene.log).unwrap();
        let mut writer = log.writer().unwrap();
        writer.append(b"one\n").unwrap();
        // Behind the file's end: it has to grow while the gate is closed.
        Surgeon::new(&scene.log).append_in_flight(5, WAITING, 100_000);
        let parameters = [("LOG", scene.log.display().to_string()), ("ROTATES", rotates.to_string())];
        Actor::new("closes a gate", &parameters).finish();
        assert_eq!(Surgeon::new(&scene.log).pending(5), 0);
        writer.append(b"two\n").unwrap();
        let bytes = [b"one\n".as_slice(), b"two\n"].concat();
        assert_eq!(common::rest(&mut log.follow(Start::Oldest).unwrap()), bytes);
    }
}
