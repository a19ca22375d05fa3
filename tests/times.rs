//! Guards what a log knows of times: who notes them, what a rotation, a recovery and a clock that is set make of it, and what
//! an answer costs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

mod common;

use std::fs::{self, File, OpenOptions};
use std::mem::offset_of;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::surgeon::Surgeon;
use common::{Actor, log_path, metadata_of, parameter, scene};
use mmlog::layout::{Header, PAIRS_MAX, ring_at};
use mmlog::times::{Pair, SECOND_NS};
use mmlog::{Log, Options, Position, Rotation};

const WRITERS: u32 = 8;
const HOUR: u64 = 3600 * SECOND_NS;

#[test]
fn role() {
    common::play(&[("asks", asks)]);
}

fn options() -> Options {
    Log::options().chunk_size(65536).max_writers(WRITERS)
}

fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

fn time(ns: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(ns)
}

/// The next look finds that a second has gone by; a new writer looks before its first append.
fn append_with_a_look(log: &Log, message: &[u8]) -> Position {
    Surgeon::new(log.path()).set(offset_of!(Header, times.last_ns), 0);
    log.writer().unwrap().append(message).unwrap()
}

fn uuid(surgeon: &Surgeon) -> [u64; 2] {
    [0, 8].map(|at| surgeon.get(offset_of!(Header, identity.uuid) + at))
}

/// Stores a pair where that number has its place.
fn forge(log: &Path, number: u64, pair: &Pair) {
    let (surgeon, place) = (Surgeon::new(log), Pair::place(number));
    for (i, word) in pair.words(place, uuid(&surgeon)).into_iter().enumerate() {
        surgeon.set(ring_at(WRITERS) + 32 * place + 8 * i, word);
    }
}

#[test]
fn whoever_appends_notes_when_which_positions_were_reached() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let mut asked = Vec::new();
    for _ in 0..20 {
        let before = SystemTime::now();
        let at = append_with_a_look(&log, &[b'x'; 100]);
        asked.push((before, at.get(), SystemTime::now()));
    }
    let pairs = log.pairs().unwrap();
    assert!(pairs.is_sorted_by_key(|pair| (pair.reserved, pair.at)), "{pairs:?}");
    let reached: Vec<u64> = pairs.iter().map(|pair| pair.reserved).collect();
    assert!(asked.iter().all(|(_, at, _)| reached.contains(at)), "{reached:?}");
    for (before, at, after) in asked {
        let span = log.span(Some(before), Some(after)).unwrap();
        assert!(span.from <= at && span.to.is_none_or(|to| to >= at + 100), "{at}: {span:?}");
        assert!(span.jumped.is_none() && span.pruned_before.is_none() && !span.approximate);
    }
    // Times to come, and times long ago.
    let end = log.cursor().unwrap().get();
    assert_eq!(log.span(None, Some(time(1))).unwrap().to, Some(0));
    assert!(log.span(Some(time(now_ns() + HOUR)), None).unwrap().from >= end - 100);
    // A second has not gone by: of two, one is noted.
    let count = || Surgeon::new(&scene.log).get(offset_of!(Header, times.count));
    let before = count();
    append_with_a_look(&log, b"one");
    log.writer().unwrap().append(b"and another").unwrap();
    assert_eq!(count(), before + 1);
}

#[test]
fn a_final_segment_keeps_the_time_when_it_began() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let began: Vec<_> = (0..4)
        .map(|_| {
            log.writer().unwrap().append(b"a line\n").unwrap();
            let appended = SystemTime::now();
            log.rotate(&Rotation::default()).unwrap().unwrap();
            appended
        })
        .collect();
    let segments = log.status().unwrap().segments;
    // Each but the first began behind the message of the one before, and before its own.
    for (appended, seen) in began.iter().zip(&segments[1..]) {
        assert!(seen.began.unwrap() >= *appended, "{seen:?}");
    }
    for (appended, seen) in began.iter().zip(&segments) {
        assert!(seen.began.unwrap() <= *appended, "{seen:?}");
    }
}

#[test]
fn a_recovery_lowers_what_was_noted_of_positions_that_come_again() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    log.writer().unwrap().append_durable(b"durable\n").unwrap();
    let end = log.synced().get();
    append_with_a_look(&log, &[b'x'; 200]);
    drop(log);
    let noted = Pair { at_ns: now_ns() - HOUR, settled: end + 100, reserved: end + 150 };
    forge(&scene.log, 1 << 20, &noted);
    File::options().write(true).open(&scene.log).unwrap().set_len(end).unwrap();
    Surgeon::new(&scene.log).reboot();

    let log = options().open(&scene.log).unwrap();
    assert_eq!(log.cursor().unwrap().get(), end);
    let pairs = log.pairs().unwrap();
    assert!(pairs.iter().all(|pair| pair.settled <= end && pair.reserved <= end), "{pairs:?}");
    assert!(pairs.iter().any(|pair| (pair.at, pair.reserved) == (time(noted.at_ns), end)), "{pairs:?}");
    let before = SystemTime::now();
    let at = log.writer().unwrap().append(b"in their place\n").unwrap().get();
    assert_eq!(at, end);
    let span = log.span(Some(before), None).unwrap();
    assert!(span.from <= at && span.to.is_none(), "{span:?}");
}

#[test]
fn a_clock_that_was_set_is_noticed_and_said_and_makes_answers_longer() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let first = append_with_a_look(&log, b"an hour ahead\n").get();
    // As if the clock had been set back by an hour since.
    let (surgeon, booted) = (Surgeon::new(&scene.log), offset_of!(Header, times.booted_ns));
    surgeon.set(booted, surgeon.get(booted) + HOUR);
    let second = append_with_a_look(&log, b"set back\n").get();
    assert_eq!(surgeon.get(offset_of!(Header, times.steps)), 1);
    append_with_a_look(&log, b"once is enough\n");
    assert_eq!(surgeon.get(offset_of!(Header, times.steps)), 1);

    let whole = log.span(None, None).unwrap();
    let jump = whole.jumped.unwrap();
    assert_eq!(jump.position, second);
    let by = jump.from.duration_since(jump.to).unwrap();
    assert!(by > Duration::from_secs(3599) && by < Duration::from_secs(3700), "{by:?}");
    // The first message may have been appended in half an hour.
    let asked = log.span(Some(time(now_ns() + HOUR / 2)), None).unwrap();
    assert!(asked.from <= first, "{asked:?}");
}

#[test]
fn a_metadata_file_that_is_cut_before_the_ring_is_a_log_without_times() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    append_with_a_look(&log, b"one\n");
    OpenOptions::new()
        .write(true)
        .open(metadata_of(&scene.log))
        .unwrap()
        .set_len(ring_at(WRITERS) as u64)
        .unwrap();
    append_with_a_look(&log, b"two\n");
    assert!(log.pairs().unwrap().is_empty());
    log.rotate(&Rotation::default()).unwrap().unwrap();
    append_with_a_look(&log, b"three\n");
    let span = log.span(Some(time(1)), Some(SystemTime::now())).unwrap();
    assert_eq!((span.from, span.to), (0, None));
    let long_ago = log.span(None, Some(time(1))).unwrap();
    assert!(long_ago.by_files && long_ago.to == Some(8), "{long_ago:?}");
}

/// Asks for a time again and again.
fn asks() {
    let log = Log::options().open_reader(log_path()).unwrap();
    for n in 0..parameter::<u64>("COUNT") {
        let since = time(now_ns() - n % 20 * HOUR);
        let span = log.span(Some(since), None).unwrap();
        assert!(span.from > 0 && span.first.is_some());
    }
    std::process::exit(0);
}

#[test]
fn an_answer_takes_two_reads_of_a_log_of_100_gigabytes_with_all_the_pairs_that_there_can_be() {
    const LEN: u64 = 100 << 30;
    let scene = scene();
    options().open_or_create(&scene.log).unwrap().close().unwrap();
    fs::File::options().write(true).open(&scene.log).unwrap().set_len(LEN).unwrap();
    let surgeon = Surgeon::new(&scene.log);
    for at in [
        offset_of!(Header, control.file_size),
        offset_of!(Header, control.cursor),
        offset_of!(Header, control.limit),
    ] {
        surgeon.set(at, LEN);
    }
    let (places, began) = (PAIRS_MAX as u64, now_ns() - 24 * HOUR);
    for place in 0..places {
        let reserved = LEN / places * place;
        let pair = Pair { at_ns: began + 24 * HOUR / places * place, settled: reserved, reserved };
        for (i, word) in pair.words(place as usize, uuid(&surgeon)).into_iter().enumerate() {
            surgeon.set(ring_at(WRITERS) + 32 * place as usize + 8 * i, word);
        }
    }
    let reads = |count: u64| {
        let out = scene.dir.path().join("calls");
        let strace = common::strace(&["-qq", "-o", &out.display().to_string()])?;
        let parameters = [("LOG", scene.log.display().to_string()), ("COUNT", count.to_string())];
        Actor::under(strace, "asks", &parameters).finish();
        let said = fs::read_to_string(out).unwrap();
        Some((said.lines().filter(|l| l.contains("pread64(")).count() as u64, said.lines().count() as u64))
    };
    let Some((few, more)) = reads(10).zip(reads(30)) else { return };
    assert_eq!(more.0 - few.0, 2 * 20, "reads");
    assert!((more.1 - few.1) / 20 < 30, "{} system calls an answer", (more.1 - few.1) / 20);
}
