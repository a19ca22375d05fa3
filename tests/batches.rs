//! Guards what is done in batches: a sync of many messages promises each of them and costs what it has to; lines that are held
//! back stay whole, and are lost where it says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

mod common;

use std::fs;
use std::io::{ErrorKind, IoSlice, Write};
use std::os::unix::fs::FileExt;

use common::surgeon::Surgeon;
use common::{Actor, Random, log_path, parameter, say, scene};
use mmlog::{Fault, LINE_BUFFER, Log, MAX_BATCH, Options};

#[test]
fn role() {
    common::play(&[("ends_in_nuls", ends_in_nuls), ("batches", batches), ("held", held)]);
}

fn options() -> Options {
    Log::options().chunk_size(65536)
}

/// Makes durable what ends in NULs, in one of these ways, and says where it ends.
fn ends_in_nuls() {
    let log = options().open_or_create(log_path()).unwrap();
    log.writer().unwrap().append(b"one\n").unwrap();
    // From now on the data alone need be synced.
    log.sync().unwrap();
    let mut writer = log.writer().unwrap();
    let way: String = parameter("WAY");
    if way != "appended before anybody wanted a sync" {
        writer.sync().unwrap();
    }
    match way.as_str() {
        "in parts" => {
            writer.append_vectored(&[IoSlice::new(b"two"), IoSlice::new(b"\0\0")]).unwrap();
        }
        "a line that is held back" => writer.write_all(b"two\0\0").unwrap(),
        "durable by itself" => {
            writer.append_durable(b"two\0\0").unwrap();
        }
        _ => {
            writer.append(b"two\0\0").unwrap();
        }
    }
    writer.sync().unwrap();
    say("done");
    common::listen();
}

#[test]
fn nuls_at_the_end_of_a_batch_survive_a_power_cut_however_they_were_appended() {
    let ways = [
        "appended",
        "in parts",
        "a line that is held back",
        "durable by itself",
        "appended before anybody wanted a sync",
    ];
    for way in ways {
        let scene = scene();
        let log = ("LOG", scene.log.display().to_string());
        let mut actor = Actor::new("ends_in_nuls", &[log, ("WAY", way.into())]);
        assert_eq!(actor.hear(), "done");
        actor.kill();
        Surgeon::new(&scene.log).reboot();
        options().open(&scene.log).unwrap().close().unwrap();
        assert_eq!(common::committed(&scene.log), b"one\ntwo\0\0", "{way}");
    }
}

/// Appends `COUNT` batches of three lines, and syncs after each.
fn batches() {
    let log = options().open_or_create(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    for _ in 0..parameter("COUNT") {
        for line in [b"one\n", b"two\n", b"six\n"] {
            writer.append(line).unwrap();
        }
        writer.sync().unwrap();
    }
}

#[test]
fn a_batch_of_text_costs_one_sync() {
    let count = 100;
    let scene = scene();
    let counts = scene.dir.path().join("calls");
    let Some(strace) = common::strace(&["-c", "-e", "trace=fdatasync", "-o", counts.to_str().unwrap()])
    else {
        return;
    };
    let parameters = [("LOG", scene.log.display().to_string()), ("COUNT", count.to_string())];
    Actor::under(strace, "batches", &parameters).finish();
    let table = fs::read_to_string(&counts).unwrap();
    let calls: u64 = table
        .lines()
        .filter(|line| line.ends_with("fdatasync"))
        .filter_map(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok())
        .sum();
    // Two where the checkpoint is raised, too: at first, and once a second.
    assert!((count..count * 3 / 2).contains(&calls), "{calls} calls for {count} batches: {table}");
}

#[test]
fn what_a_batch_of_text_has_synced_is_told_as_durable_and_what_nuls_leave_in_doubt_is_not() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let (mut writer, mut other) = (log.writer().unwrap(), log.writer().unwrap());
    let told = || log.status().unwrap().durability.synced;
    for number in 1..=3 {
        writer.append(b"one\n").unwrap();
        writer.sync().unwrap();
        assert_eq!(told(), 4 * number);
    }
    other.append(b"\0\0").unwrap();
    writer.append(b"two\n").unwrap();
    writer.sync().unwrap();
    assert_eq!(told(), log.synced().get(), "no more than the checkpoint");
    other.sync().unwrap();
    assert_eq!((told(), log.synced().get()), (18, 18));
}

#[test]
fn a_checkpoint_is_never_left_far_behind() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append_durable(b"one\n").unwrap();
    let much = vec![b'x'; 5 << 20];
    let end = writer.append(&much).unwrap() + much.len() as u64;
    writer.sync().unwrap();
    assert_eq!(log.synced(), end);
}

#[test]
fn lines_that_come_in_pieces_are_never_torn_however_many_are_held_back() {
    for batch in [0, 1, 60, 1000, 8192, LINE_BUFFER, MAX_BATCH, usize::MAX] {
        let scene = scene();
        let log = options().open_or_create(&scene.log).unwrap();
        let (mut writer, mut other) = (log.writer().unwrap().batched(batch), log.writer().unwrap());
        let mut random = Random::new(common::seed() ^ batch as u64);
        let mut text = Vec::new();
        for number in 0..400 {
            let len = if number % 100 == 50 { 20_000 } else { 100 };
            let len = random.below(len) as usize;
            writeln!(text, "{number} {:len$}|", "").unwrap();
        }
        let mut rest = &text[..];
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(rest.len().min(1 + random.below(300) as usize));
            writer.write_all(piece).unwrap();
            other.append(b"other\n").unwrap();
            rest = later;
        }
        drop(writer);
        let content = common::committed(&scene.log);
        let lines = content.split_inclusive(|byte| *byte == b'\n').filter(|line| *line != b"other\n");
        assert!(lines.flatten().eq(&text), "{batch}, seed {}", common::seed());
    }
}

#[test]
fn whole_lines_wait_until_the_batch_is_full_and_are_one_message_then() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let mut writer = log.writer().unwrap().batched(10);
    let messages = || log.status().unwrap().writers.iter().map(|writer| writer.messages).sum::<u64>();
    let has = |content: &str, count: u64, when: &str| {
        assert_eq!(String::from_utf8_lossy(&common::committed(&scene.log)), content, "{when}");
        assert_eq!(messages(), count, "{when}");
    };
    writer.write_all(b"one\ntwo\n").unwrap();
    has("", 0, "held back");
    write!(writer, "th").unwrap();
    has("", 0, "held back up to the last byte");
    write!(writer, "r").unwrap();
    has("one\ntwo\n", 1, "the line that has begun stays");
    write!(writer, "ee\nfour\nfi").unwrap();
    has("one\ntwo\nthree\nfour\n", 2, "more than a batch at once");
    writer.flush().unwrap();
    has("one\ntwo\nthree\nfour\nfi", 3, "flush takes all");
    writer.write_all(b"ve\n").unwrap();
    writer.sync().unwrap();
    has("one\ntwo\nthree\nfour\nfive\n", 4, "and so does sync");
    writer.write_all(b"six\n").unwrap();
    drop(writer);
    assert_eq!(common::committed(&scene.log), b"one\ntwo\nthree\nfour\nfive\nsix\n", "and dropping it");
}

/// Writes lines of 10 bytes, 4000 bytes of them held back at most.
fn held() {
    let log = options().open_or_create(log_path()).unwrap();
    let mut writer = log.writer().unwrap().batched(4000);
    for number in 0..1234 {
        writeln!(writer, "line {number:04}").unwrap();
    }
    say("written");
    common::listen();
}

#[test]
fn a_kill_costs_whole_lines_that_were_held_back_and_no_more_than_a_batch() {
    let scene = scene();
    let mut actor = Actor::on(&scene.log, "held");
    assert_eq!(actor.hear(), "written");
    actor.kill();
    let content = common::committed(&scene.log);
    let written: String = (0..1234).map(|number| format!("line {number:04}\n")).collect();
    assert!(written.as_bytes().starts_with(&content) && content.ends_with(b"\n"));
    assert!((1..=4000).contains(&(written.len() - content.len())), "{} bytes are there", content.len());
}

/// The byte of the metadata by which every append is an error.
fn set_panicked(surgeon: &Surgeon, panicked: bool) {
    surgeon.0.write_all_at(&[u8::from(panicked)], 6).unwrap();
}

#[test]
fn what_could_not_be_appended_is_held_back_still_and_tried_again() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let mut writer = log.writer().unwrap().batched(8);
    let surgeon = Surgeon::new(&scene.log);
    writer.write_all(b"one\ntwo\n").unwrap();
    set_panicked(&surgeon, true);
    for _ in 0..3 {
        assert_eq!(writer.write_all(b"three\n").unwrap_err().kind(), ErrorKind::Other);
        writer.flush().unwrap_err();
    }
    set_panicked(&surgeon, false);
    writer.write_all(b"three\n").unwrap();
    drop(writer);
    assert_eq!(common::committed(&scene.log), b"one\ntwo\nthree\n");
    log.close().unwrap();
}

#[test]
fn what_a_dropped_writer_could_not_append_is_an_error_of_closing_the_log() {
    for batch in [0, 100] {
        let scene = scene();
        let log = options().open_or_create(&scene.log).unwrap();
        let same = log.clone();
        let (mut first, second) = (log.writer().unwrap().batched(batch), log.writer().unwrap());
        write!(first, "a line that has begun").unwrap();
        log.poison("for this test", 5).unwrap();
        drop((first, second));
        let error = log.close().unwrap_err();
        assert!(matches!(error.fault(), Fault::Poisoned(_)), "{error:?}");
        same.close().expect("it is told once");
    }
}
