//! Guards against what handles could do to each other: two in one process that take each other for dead, threads that
//! run out of slots, a close that cuts others' bytes or leaves slack, a writer or reader whose log is taken away.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

mod common;

use std::fs;
use std::path::Path;
use std::time::Duration;

use common::surgeon::{COPYING, Surgeon};
use common::{Actor, Scene, committed, log_path, message, metadata_of, parameter, parse, rest, say, scene};
use mmlog::{Fault, Force, Log, Next, Options, Start, Wait, Writer};

#[test]
fn role() {
    common::play(&[("writer", writer), ("leaver", leaver)]);
}

fn options() -> Options {
    Log::options().chunk_size(4096).ring_chunks(2).wait(common::DEADLINE)
}

fn remove(log: &Path) {
    mmlog::remove(log, Force::Always, &Options::new()).unwrap();
}

fn append(writer: &mut Writer, numbers: std::ops::Range<u64>, len: usize) {
    for number in numbers {
        writer.append(&message(1, number, len)).unwrap();
    }
}

fn len_of(scene: &Scene) -> u64 {
    fs::metadata(&scene.log).unwrap().len()
}

#[test]
fn a_writer_whose_log_was_replaced_goes_on_in_the_new_one_at_its_next_growth() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(&message(1, 0, 100)).unwrap();
    remove(&scene.log);
    let new = options().open_or_create(&scene.log).unwrap();
    assert!(new.is_current() && !log.is_current());
    // Space was allocated ahead, so this one still goes to the file that has no name any more.
    assert_eq!(writer.append(&message(1, 1, 100)).unwrap().get(), 100);
    new.writer().unwrap().append(&message(2, 0, 50)).unwrap();
    // This one needs a new chunk: all of it is in the new log.
    assert_eq!(writer.append(&message(1, 2, 9000)).unwrap().get(), 50);
    writer.append(&message(1, 3, 100)).unwrap();
    let content = parse(&committed(&scene.log));
    assert_eq!((content.lines[&2].as_slice(), content.lines[&1].as_slice()), (&[0][..], &[2, 3][..]));
    assert_eq!(parse(&rest(&mut log.follow(Start::Oldest).unwrap())).lines[&1], [0, 1]);
    drop((writer, log, new));
    assert_eq!(len_of(&scene), 50 + 9000 + 100, "whoever closes last trims the log that it has moved to");
}

#[test]
fn a_writer_whose_log_was_removed_makes_it_anew_only_if_it_may_create() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let mut creating = log.writer().unwrap();
    let mut opening = options().open(&scene.log).unwrap().writer().unwrap();
    creating.append(&message(1, 0, 100)).unwrap();
    opening.append(&message(2, 0, 100)).unwrap();
    remove(&scene.log);
    let error = opening.append(&message(2, 1, 5000)).unwrap_err();
    assert!(matches!(error.fault(), Fault::NoLog), "{error}");
    assert!(!scene.log.exists() && !metadata_of(&scene.log).exists());
    assert_eq!(creating.append(&message(1, 1, 5000)).unwrap().get(), 0);
    // There is a log again.
    opening.append(&message(2, 1, 5000)).unwrap();
    let lines = parse(&committed(&scene.log)).lines;
    assert_eq!((lines[&1].as_slice(), lines[&2].as_slice()), (&[1][..], &[1][..]));
}

#[test]
fn a_follower_of_a_removed_log_reads_it_to_the_end() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let mut writer = log.writer().unwrap();
    append(&mut writer, 0..100, 100);
    let reader = Log::options().open_reader(&scene.log).unwrap();
    let mut follower = reader.follow(Start::Oldest).unwrap();
    let mut buf = [0; 100];
    assert_eq!(follower.next(&mut buf).unwrap(), Next::Bytes(0..100));
    remove(&scene.log);
    drop((writer, log));
    assert!(!reader.is_current());
    assert_eq!(parse(&rest(&mut follower)).lines[&1], (1..100).collect::<Vec<_>>());
    assert_eq!(follower.wait(Duration::from_millis(1)).unwrap(), Wait::TimedOut);
}

const LINES: u64 = 3000;

/// Appends its lines, whatever happens to the log, and says nothing until it is done.
fn writer() {
    let id: u64 = parameter("ID");
    let mut writer = common::until("a log", || options().open_or_create(log_path()).ok()?.writer().ok());
    say("writing");
    for number in 0..LINES {
        let message = message(id, number, 25 + (number * 37 + id) as usize % 600);
        // Between two steps of a removal the log is damaged or changes hands: nothing was appended then.
        common::until("a log", || match writer.append(&message) {
            Ok(_) => Some(()),
            Err(error) => match error.fault() {
                Fault::Replaced | Fault::NoData | Fault::NoLog => None,
                _ => panic!("{error}"),
            },
        });
    }
}

#[test]
fn a_log_replaced_again_and_again_under_load_loses_no_acknowledged_line() {
    let scene = scene();
    let log = scene.log.display().to_string();
    let mut writers: Vec<Actor> =
        (0..4).map(|id| Actor::new("writer", &[("LOG", log.clone()), ("ID", id.to_string())])).collect();
    writers.iter_mut().for_each(|w| assert_eq!(w.hear(), "writing"));
    // Of each log a reader is kept, by which its files can still be read.
    let mut logs = Vec::new();
    while writers.iter_mut().any(|w| w.child.try_wait().unwrap().is_none()) {
        let Ok(reader) = Log::options().open_reader(&scene.log) else { continue };
        // It has been written to before it goes.
        common::until("a line", || {
            let done = writers.iter_mut().all(|w| w.child.try_wait().unwrap().is_some());
            (done || reader.cursor().unwrap().get() > 20_000).then_some(())
        });
        remove(&scene.log);
        logs.push(reader);
    }
    writers.into_iter().for_each(|w| drop(w.finish()));
    if let Ok(last) = Log::options().open_reader(&scene.log) {
        logs.push(last);
    }
    let all: Vec<u8> = logs.iter().flat_map(|log| rest(&mut log.follow(Start::Oldest).unwrap())).collect();
    println!("{} logs", logs.len());
    assert!(logs.len() > 5);
    let lines = parse(&all).lines;
    for id in 0..4 {
        assert!(lines[&id].iter().copied().eq(0..LINES), "writer {id} lost, doubled or reordered lines");
    }
}

#[test]
fn removing_is_refused_while_any_handle_is_open() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let refused = |scene: &Scene| {
        let error = mmlog::remove(&scene.log, Force::IfUnused, &Options::new()).unwrap_err();
        assert!(matches!(error.fault(), Fault::InUse { .. }), "{error}");
    };
    refused(&scene);
    let reader = Log::options().open_reader(&scene.log).unwrap();
    drop(log);
    refused(&scene);
    drop(reader);
    // A process that another test starts has its parent's files open until its exec.
    common::until("the removal", || mmlog::remove(&scene.log, Force::IfUnused, &Options::new()).ok());
    assert!(!scene.log.exists() && !metadata_of(&scene.log).exists());
}

#[test]
fn two_handles_in_one_process_are_two_to_each_other() {
    let scene = scene();
    let (a, b) =
        (options().open_or_create(&scene.log).unwrap(), options().open_or_create(&scene.log).unwrap());
    let (mut one, mut two) = (a.writer().unwrap(), b.writer().unwrap());
    one.append(&message(1, 0, 100)).unwrap();
    two.append(&message(2, 0, 100)).unwrap();
    let slots: Vec<u32> = a.status().unwrap().writers.iter().map(|w| w.slot).collect();
    assert_eq!(slots, [0, 1]);
    // In flight by the one handle: it is alive to the other, and to itself.
    let surgeon = Surgeon::new(&scene.log);
    surgeon.append_in_flight(0, COPYING, 10);
    for log in [&a, &b] {
        let error = log.trim(Duration::ZERO).unwrap_err();
        assert!(matches!(error.fault(), Fault::Stalled { .. }), "{error}");
        assert_eq!(log.watermark().unwrap().get(), 200);
    }
    surgeon.set_pending(0, 0, 0);
    drop(one);
    a.close().unwrap();
    assert_eq!(len_of(&scene), 4096, "the other handle still writes");
    two.append(&message(2, 1, 100)).unwrap();
    drop(two);
    b.close().unwrap();
    assert_eq!(len_of(&scene), 310);
}

#[test]
fn threads_that_come_and_go_always_find_one_of_as_many_slots() {
    const THREADS: u64 = 8;
    const TURNS: u64 = 1500;
    let scene = scene();
    let log = options().max_writers(THREADS as u32).open_or_create(&scene.log).unwrap();
    std::thread::scope(|scope| {
        for id in 0..THREADS {
            let log = &log;
            scope.spawn(move || {
                for number in 0..TURNS {
                    let mut writer = log.writer().unwrap();
                    writer.append(&message(id, number, 60)).unwrap();
                }
            });
        }
    });
    log.close().unwrap();
    common::assert_complete(&parse(&fs::read(&scene.log).unwrap()), THREADS, TURNS);
}

#[test]
fn the_slot_after_the_last_is_an_error_that_says_so() {
    let scene = scene();
    let log = options().max_writers(2).open_or_create(&scene.log).unwrap();
    let other = options().open(&scene.log).unwrap();
    let writers = (log.writer().unwrap(), other.writer().unwrap());
    let error = log.writer().err().unwrap();
    assert!(matches!(error.fault(), Fault::WritersFull { max: 2, .. }), "{error}");
    let us = format!("process {} (", std::process::id());
    assert!(error.to_string().contains(&us) && error.to_string().contains(" has 2"), "{error}");
    assert_eq!(error.fault().class(), mmlog::Class::Busy);
    drop(writers.1);
    assert!(log.writer().is_ok());
}

#[test]
fn only_the_last_to_leave_trims_in_whatever_order_they_leave() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let clone = log.clone();
    let mut writer = log.writer().unwrap();
    let follower = log.follow(Start::Oldest).unwrap();
    writer.append(&message(1, 0, 100)).unwrap();
    log.close().unwrap();
    assert_eq!(len_of(&scene), 4096);
    drop(clone);
    writer.append(&message(1, 1, 100)).unwrap();
    drop(writer);
    assert_eq!(len_of(&scene), 4096, "a follower of the writing handle keeps it open");
    drop(follower);
    assert_eq!(len_of(&scene), 200);
}

fn brief() -> Options {
    options().brief(true)
}

#[test]
fn a_log_that_is_opened_for_one_line_is_never_longer_than_its_lines() {
    let scene = scene();
    for lines in 1..=50 {
        let log = brief().open_or_create(&scene.log).unwrap();
        let mut writer = log.writer().unwrap();
        append(&mut writer, lines - 1..lines, 100);
        assert_eq!(len_of(&scene), lines * 100);
        drop(writer);
        log.close().unwrap();
        assert_eq!(len_of(&scene), lines * 100);
    }
    assert_eq!(parse(&fs::read(&scene.log).unwrap()).lines[&1], (0..50).collect::<Vec<_>>());
}

#[test]
fn who_opens_it_for_one_line_and_appends_another_has_space_for_more() {
    let scene = scene();
    let log = brief().open_or_create(&scene.log).unwrap();
    let mut writer = log.writer().unwrap();
    append(&mut writer, 0..1, 100);
    assert_eq!(len_of(&scene), 100);
    append(&mut writer, 1..2, 100);
    assert_eq!(len_of(&scene), 4096);
    drop(writer);
    log.close().unwrap();
    assert_eq!(len_of(&scene), 200);
}

#[test]
fn first_lines_of_many_writers_at_once_are_all_there() {
    let scene = scene();
    let log = brief().max_writers(16).open_or_create(&scene.log).unwrap();
    for round in 0..20 {
        let writers: Vec<_> = (0..8).map(|_| log.writer().unwrap()).collect();
        std::thread::scope(|scope| {
            for (id, mut writer) in (0..).zip(writers) {
                scope.spawn(move || writer.append(&message(id, round, 100 + id as usize)).unwrap());
            }
        });
        log.trim(common::DEADLINE).unwrap();
    }
    log.close().unwrap();
    let content = parse(&fs::read(&scene.log).unwrap());
    for id in 0..8 {
        assert_eq!(content.lines[&id], (0..20).collect::<Vec<_>>(), "writer {id}");
    }
}

#[test]
fn the_last_writer_trims_under_an_attached_reader_who_reads_on() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let mut writer = log.writer().unwrap();
    append(&mut writer, 0..50, 300);
    let reader = Log::options().open_reader(&scene.log).unwrap();
    let mut follower = reader.follow(Start::Oldest).unwrap();
    let mut buf = [0; 1000];
    let Next::Bytes(first) = follower.next(&mut buf).unwrap() else { panic!("nothing to read") };
    drop(writer);
    log.close().unwrap();
    assert_eq!(len_of(&scene), 50 * 300);
    let again = options().open(&scene.log).unwrap();
    again.writer().unwrap().append(&message(1, 50, 300)).unwrap();
    let bytes = [&buf[..first.end as usize], &rest(&mut follower)].concat();
    assert_eq!(parse(&bytes).lines[&1], (0..51).collect::<Vec<_>>());
    drop(again);
    assert_eq!(len_of(&scene), 51 * 300);
}

#[test]
fn a_reader_changes_nothing_when_it_comes_and_goes() {
    let scene = scene();
    let mut actor = Actor::on(&scene.log, "leaver");
    assert_eq!(actor.hear(), "written");
    actor.kill();
    let before = (fs::read(&scene.log).unwrap(), fs::read(metadata_of(&scene.log)).unwrap());
    let reader = Log::options().open_reader(&scene.log).unwrap();
    assert_eq!(rest(&mut reader.follow(Start::Oldest).unwrap()), message(1, 0, 100));
    assert!(matches!(reader.writer().err().unwrap().fault(), Fault::ReadOnly));
    assert!(matches!(reader.trim(Duration::ZERO).unwrap_err().fault(), Fault::ReadOnly));
    reader.close().unwrap();
    assert!((fs::read(&scene.log).unwrap(), fs::read(metadata_of(&scene.log)).unwrap()) == before);
    assert_eq!(before.0.len(), 4096, "the dead writer's slack is the next writer's to use, or to trim");
}

/// Appends a line and waits for its end.
fn leaver() {
    let log = options().open_or_create(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(&message(1, 0, 100)).unwrap();
    say("written");
    while common::listen() {}
}
