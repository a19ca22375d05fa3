//! Guards logs of the original's format against being written to, clobbered or called unreadable: they are read as they
//! are, and become logs of this format only when nobody writes to them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

mod common;

use std::fs;
use std::time::Duration;

use common::original::Original;
use common::{metadata_of, scene};
use mmlog::repair::{MetadataFact, Step, Wish};
use mmlog::{Class, Fault, FindingId, Log, Next, Observer, Options, Position, Start, State, check, repair};

fn options() -> Options {
    Log::options()
}

/// What a follower gives from the oldest byte on: bytes, and the ranges of holes.
fn read(log: &std::path::Path) -> (Vec<u8>, Vec<(u64, u64)>) {
    let log = options().open_reader(log).unwrap();
    let mut follower = log.follow(Start::Oldest).unwrap();
    let (mut bytes, mut holes, mut buf) = (Vec::new(), Vec::new(), [0; 4096]);
    loop {
        match follower.next(&mut buf).unwrap() {
            Next::Bytes(range) => bytes.extend_from_slice(&buf[..(range.end - range.start) as usize]),
            Next::Hole(hole) => holes.push((hole.start, hole.end())),
            _ => return (bytes, holes),
        }
    }
}

#[test]
fn its_messages_are_read_and_what_it_lost_is_a_hole() {
    let scene = scene();
    let mut original = Original::new(&scene.log, 65536);
    original.append(b"one\n");
    let lost = original.reserve(100);
    original.append(b"two\n");
    let last = original.reserve(50);
    let (bytes, holes) = read(&scene.log);
    assert_eq!(bytes, b"one\ntwo\n");
    assert_eq!(holes, [(lost, lost + 100), (last, last + 50)]);
}

#[test]
fn a_follower_reads_on_while_it_is_written() {
    let scene = scene();
    let mut original = Original::new(&scene.log, 65536);
    original.append(b"one\n");
    let log = options().open_reader(&scene.log).unwrap();
    let mut follower = log.follow(Start::Oldest).unwrap();
    assert_eq!(common::rest(&mut follower), b"one\n");
    original.append(b"two\n");
    let next = common::until("the second message", || {
        follower.wait(Duration::from_secs(1)).unwrap();
        let bytes = common::rest(&mut follower);
        (!bytes.is_empty()).then_some(bytes)
    });
    assert_eq!(next, b"two\n");
}

#[test]
fn a_file_that_its_trim_cut_is_no_damage() {
    let scene = scene();
    let mut original = Original::new(&scene.log, 65536);
    original.append(b"one\n");
    original.trim();
    assert_eq!(read(&scene.log).0, b"one\n");
    let status = Observer::open(&scene.log, &options()).unwrap().look().unwrap();
    // Of the format, which nobody can append to, and of nothing else.
    assert_eq!(status.findings.iter().map(|f| f.id).collect::<Vec<_>>(), [FindingId::Version1]);
    assert_eq!((status.state, status.format, status.cursor), (State::Warning, 1, 4));
}

#[test]
fn its_flags_are_named() {
    for (offset, state, name) in [(5, State::Locked, "is_locked"), (6, State::Panicked, "is_panicked")] {
        let scene = scene();
        let mut original = Original::new(&scene.log, 65536);
        original.append(b"one\n");
        original.flag(offset);
        let look = || Observer::open(&scene.log, &options()).unwrap().look().unwrap();
        drop(original);
        let status = look();
        assert_eq!(status.state, state);
        let problem = status.problem.unwrap();
        assert!(problem.contains(name) && problem.contains("stale"), "{problem}");
        assert_eq!(read(&scene.log).0, b"one\n", "readers still work");
    }
}

#[test]
fn appending_refuses_with_the_hint_and_changes_nothing() {
    let scene = scene();
    Original::new(&scene.log, 65536).append(b"one\n");
    let before = (fs::read(&scene.log).unwrap(), fs::read(metadata_of(&scene.log)).unwrap());
    let error = options().open_or_create(&scene.log).err().unwrap();
    assert!(matches!(error.fault(), Fault::Version { found: 1 }), "{error}");
    assert!(error.to_string().contains("repair --upgrade"), "{error}");
    let after = (fs::read(&scene.log).unwrap(), fs::read(metadata_of(&scene.log)).unwrap());
    assert!(before == after);
}

#[test]
fn an_upgrade_keeps_every_byte_and_position() {
    let scene = scene();
    let mut original = Original::new(&scene.log, 131_072);
    let messages: Vec<Vec<u8>> = (0..200).map(|n| common::message(1, n, 40 + n as usize)).collect();
    let starts: Vec<u64> = messages.iter().map(|m| original.append(&nul_free(m))).collect();
    let lost = original.reserve(77);
    original.append(b"last\n");
    original.flag(5);
    drop(original);

    let examination = repair::examine(&scene.log, &options()).unwrap();
    assert_eq!(examination.facts().metadata, MetadataFact::Version1);
    assert!(examination.plan(&[]).steps.is_empty(), "only when asked");
    let done = examination.plan(&[Wish::Upgrade]).apply().unwrap();
    assert_eq!(done, [Step::Upgrade]);

    let (bytes, holes) = read(&scene.log);
    let expected: Vec<u8> = messages.iter().flat_map(|m| nul_free(m)).chain(*b"last\n").collect();
    assert!(bytes == expected);
    assert_eq!(holes, [(lost, lost + 77)]);
    let log = options().open(&scene.log).unwrap();
    assert_eq!(log.chunk_size(), 131_072);
    assert_eq!(log.writer().unwrap().append(b"more\n").unwrap(), Position::new(lost + 77 + 5));
    let mut follower = log.follow(Start::At(Position::new(starts[100]))).unwrap();
    let mut buf = [0; 20];
    follower.next(&mut buf).unwrap();
    assert_eq!(buf[..], nul_free(&messages[100])[..20]);
    assert!(check::deep(&scene.log, &options()).unwrap().holds());
}

fn nul_free(message: &[u8]) -> Vec<u8> {
    message.iter().map(|&b| if b == 0 { b'.' } else { b }).collect()
}

#[test]
fn an_upgrade_is_refused_while_somebody_may_write() {
    let scene = scene();
    let mut original = Original::new(&scene.log, 65536);
    original.append(b"one\n");
    let before = fs::read(metadata_of(&scene.log)).unwrap();
    let upgrade = || repair::examine(&scene.log, &options()).unwrap().plan(&[Wish::Upgrade]).apply();
    let error = upgrade().unwrap_err();
    assert!(matches!(error.fault(), Fault::InUse { .. }), "{error}");
    assert_eq!(error.fault().class(), Class::Busy);
    assert!(before == fs::read(metadata_of(&scene.log)).unwrap());
    drop(original);
    // Another test's child may hold a copy of the descriptor until it executes its program.
    common::until("the upgrade", || upgrade().ok());
    assert_eq!(read(&scene.log).0, b"one\n");
}

#[test]
fn deep_checks_cannot_check_it() {
    let scene = scene();
    Original::new(&scene.log, 65536).append(b"one\n");
    let error = check::deep(&scene.log, &options()).unwrap_err();
    assert!(matches!(error.fault(), Fault::Version { found: 1 }), "{error}");
}
