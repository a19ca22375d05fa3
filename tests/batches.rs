//! Guards what is done in batches: a sync of many messages promises each of them and costs what it has to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

mod common;

use std::fs;
use std::io::{IoSlice, Write};

use common::surgeon::Surgeon;
use common::{Actor, log_path, parameter, say, scene};
use mmlog::{Log, Options};

#[test]
fn role() {
    common::play(&[("ends_in_nuls", ends_in_nuls), ("batches", batches)]);
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
