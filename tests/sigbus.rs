//! Guards the SIGBUS guard: a log that is cut under its writers, or has no block left under a page, is an error of
//! that append; no acknowledged byte goes to a page that is nobody's, nothing hangs, nothing that was stored is harmed,
//! and every other SIGBUS stays what it was.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

mod cli;
mod common;
#[path = "sigbus/disks.rs"]
mod disks;
#[path = "sigbus/others.rs"]
mod others;

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::Barrier;
use std::time::Duration;

use cli::{Scratch, metadata_of, mmlogctl, wait_for};
use common::{Actor, heard, log_path, parameter, say, scene};
use mmlog::layout::SLOTS_AT;
use mmlog::{Error, Fault, Log, Next, Options, Start};
use nix::libc::SIGBUS;

const ON: &str = "on";
const OFF: &str = "off";

#[test]
fn role() {
    common::play(&[
        ("writer", writer),
        ("threads", threads),
        ("everybody", everybody),
        ("other", others::other),
    ]);
}

fn options() -> Options {
    Log::options().chunk_size(65536).max_writers(64)
}

fn cut(path: &Path, len: u64) {
    File::options().write(true).open(path).unwrap().set_len(len).unwrap();
}

fn told<T: std::fmt::Debug>(done: Result<T, Error>) -> String {
    match done {
        Ok(value) => format!("ok {value:?}"),
        Err(error) => error.to_string(),
    }
}

/// Appends as many bytes as it is told, and says what came of it and where the cursor is.
fn writer() {
    if parameter::<String>("GUARD") == ON {
        mmlog::guard_against_sigbus().unwrap();
        mmlog::guard_against_sigbus().unwrap();
    }
    let log = options().open_or_create(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    while let Some(len) = heard() {
        let done = writer.append(&vec![b'x'; len.parse().unwrap()]);
        let done = done.map(mmlog::Position::get);
        say(&format!("{} at {}", told(done), log.cursor().unwrap().get()));
    }
}

fn a_writer(log: &Path, guard: &str) -> Actor {
    Actor::new("writer", &[("LOG", log.display().to_string()), ("GUARD", guard.into())])
}

fn append(writer: &mut Actor, len: usize) -> String {
    writer.tell(&len.to_string());
    writer.hear()
}

#[test]
fn a_truncated_log_is_an_error_that_costs_one_hole_and_readers_go_on() {
    let scene = scene();
    let mut actor = a_writer(&scene.log, ON);
    assert_eq!(append(&mut actor, 3000), "ok 0 at 3000");
    let reader = options().open_reader(&scene.log).unwrap();
    let mut follower = reader.follow(Start::Oldest).unwrap();
    // The next message begins in a page that is left and ends in one that is not.
    cut(&scene.log, 4096);
    let words = format!(
        "truncated from outside (expected >= 65536 bytes, is 4096); run `mmlogctl repair {}`",
        scene.log.display()
    );
    for _ in 0..3 {
        let said = append(&mut actor, 5000);
        assert!(said.contains(&words) && said.ends_with(" at 8000"), "{said}");
    }
    let mut buf = [0; 8192];
    assert_eq!(follower.next(&mut buf).unwrap(), Next::Bytes(0..3000));
    assert!(buf[..3000].iter().all(|&b| b == b'x'));
    let Next::Hole(hole) = follower.next(&mut buf).unwrap() else { panic!("no hole") };
    assert_eq!((hole.start, hole.len), (3000, 5000));
    assert_eq!(follower.next(&mut buf).unwrap(), Next::CaughtUp);
    assert_eq!(fs::metadata(&scene.log).unwrap().len(), 4096, "left as it was found");
    actor.finish();
}

#[test]
fn without_the_guard_the_same_store_is_the_end() {
    let scene = scene();
    let mut actor = a_writer(&scene.log, OFF);
    assert_eq!(append(&mut actor, 3000), "ok 0 at 3000");
    cut(&scene.log, 4096);
    assert_eq!(append(&mut actor, 5000), "", "it says nothing more");
    assert_eq!(common::wait(&mut actor.child).signal(), Some(SIGBUS));
}

/// Lengths of the process's mappings of that file.
fn mapped(actor: &Actor, file: &Path) -> Vec<u64> {
    let maps = fs::read_to_string(format!("/proc/{}/maps", actor.pid())).unwrap();
    let of_file = maps.lines().filter(|line| line.ends_with(file.to_str().unwrap()));
    let address = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let range = |line: &str| {
        let (range, _) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        address(end) - address(start)
    };
    of_file.map(range).collect()
}

#[test]
fn a_file_that_is_whole_again_loses_nothing_that_is_appended_then() {
    let scene = scene();
    let mut actor = a_writer(&scene.log, ON);
    assert_eq!(append(&mut actor, 100), "ok 0 at 100");
    cut(&scene.log, 0);
    assert!(append(&mut actor, 100).contains("truncated from outside"));
    assert!(append(&mut actor, 100).contains("truncated from outside"));
    cut(&scene.log, 65536);
    assert_eq!(append(&mut actor, 100), "ok 200 at 300");
    assert_eq!(append(&mut actor, 100), "ok 300 at 400");
    assert_eq!(mapped(&actor, &scene.log), [65536], "the old mapping, which has a page of its own, is gone");
    actor.finish();
    let bytes = fs::read(&scene.log).unwrap();
    assert_eq!(bytes, [vec![0; 200], vec![b'x'; 200]].concat());
}

/// The same page of the same chunk, cut before either of two threads stores there: whoever comes second finds the
/// page that the first one's signal left.
fn threads() {
    mmlog::guard_against_sigbus().unwrap();
    for round in 0..parameter::<u64>("ROUNDS") {
        let path = log_path().with_extension(round.to_string());
        let log = options().open_or_create(&path).unwrap();
        let ready = Barrier::new(3);
        std::thread::scope(|scope| {
            let append = || {
                let mut writer = log.writer().unwrap();
                writer.append(b"before").unwrap();
                ready.wait();
                ready.wait();
                writer.append(b"behind the end")
            };
            let both = [scope.spawn(append), scope.spawn(append)];
            ready.wait();
            cut(&path, 0);
            ready.wait();
            for thread in both {
                let error = thread.join().unwrap().expect_err("stored nowhere, and acknowledged");
                assert!(matches!(error.fault(), Fault::Truncated { .. }), "round {round}: {error}");
            }
        });
        drop(log);
        fs::remove_file(metadata_of(&path)).unwrap();
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn two_threads_that_store_into_one_cut_page_both_hear_of_it() {
    let scene = scene();
    let parameters = [("LOG", scene.log.display().to_string()), ("ROUNDS", "300".into())];
    Actor::new("threads", &parameters).finish();
}

/// Every door to a log, tried again after its metadata was cut; says what each said.
fn everybody() {
    mmlog::guard_against_sigbus().unwrap();
    let log = options().open_or_create(log_path()).unwrap();
    let reader = options().open_reader(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    let mut spare = log.writer().unwrap();
    writer.append(b"first\n").unwrap();
    let mut mine = log.follow(Start::Newest).unwrap();
    let mut theirs = reader.follow(Start::Newest).unwrap();
    say("ready");
    heard();
    let short = Duration::from_millis(1);
    say(&told(writer.append(b"second\n")));
    say(&told(writer.append(b"third\n")));
    say(&told(spare.append(b"fourth\n")));
    say(&told(spare.append(&[b'x'; 100_000])));
    say(&told(log.writer().and_then(|mut w| w.append(b"fifth\n"))));
    say(&told(mine.wait(Duration::from_secs(600))));
    say(&told(mine.next(&mut [0; 10])));
    say(&told(theirs.wait(Duration::from_secs(600))));
    say(&told(theirs.watermark()));
    say(&told(log.follow(Start::Oldest).map(|f| f.position())));
    say(&told(log.status().map(|s| s.state)));
    say(&told(log.trim(short)));
    say(&told(log.sync()));
    drop((writer, spare, mine));
    say(&told(log.close()));
    say("done");
}

#[test]
fn cut_metadata_is_an_error_of_everybody_and_harms_no_data() {
    for len in [0, 4096, SLOTS_AT as u64] {
        let scene = scene();
        let mut actor = Actor::on(&scene.log, "everybody");
        assert_eq!(actor.hear(), "ready");
        let before = fs::read(&scene.log).unwrap();
        cut(&metadata_of(&scene.log), len);
        actor.tell("go on");
        let words = format!("not a log's metadata (cut to {len} bytes while it was open)");
        for number in 0.. {
            let said = actor.hear();
            if said == "done" {
                assert_eq!(number, 14);
                break;
            }
            assert!(said.contains(&words), "cut to {len}, number {number}: {said}");
        }
        actor.finish();
        assert!(before == fs::read(&scene.log).unwrap(), "cut to {len}: the data file has changed");
        assert_eq!(fs::metadata(metadata_of(&scene.log)).unwrap().len(), len, "left as it was found");
    }
}

#[test]
fn the_tool_says_so_in_one_line() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut running = mmlogctl("append", &log).arg("--chunk-size=64K").start();
    running.feed(b"first\n");
    wait_for("the first line", || fs::read(&log).ok()?.starts_with(b"first\n").then_some(()));
    cut(&log, 0);
    running.feed(b"second\n");
    let ended = running.end();
    ended.is_refused(
        4,
        &log,
        &["truncated from outside (expected >= 65536 bytes, is 0)", "7 bytes were not stored"],
    );
}

#[test]
fn the_tools_reader_ends_when_the_metadata_is_cut() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let running = mmlogctl("tail", &log).arg("-f").start();
    running.until_stdout(|bytes| bytes == b"one\n");
    cut(&metadata_of(&log), 0);
    running.end().is_refused(1, &log, &["not a log's metadata (cut to 0 bytes while it was open)"]);
}
