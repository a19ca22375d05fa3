//! Readers that prune overtakes: told exactly what they missed, and given everything behind it.

use std::fs;

use mmlog::{Hole, HoleKind, Log, Next, Retention, Rotation, Start};

use crate::cli::{Scratch, mmlogctl};
use crate::{append, contents, finals, is_sound, prune, segmented};

#[test]
fn a_reader_that_was_overtaken_is_told_exactly_the_range_and_gets_everything_after() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 3);
    let mut follower = Log::options().open_reader(&log).unwrap().follow(Start::Oldest).unwrap();
    let mut buf = [0; 5];
    assert_eq!(follower.next(&mut buf).unwrap(), Next::Bytes(0..5));
    prune(&log, &["--keep=1"]).run().printed(b"");
    let Next::Hole(Hole { start, len, kind: HoleKind::Pruned, .. }) = follower.next(&mut buf).unwrap() else {
        panic!("no hole");
    };
    assert_eq!((start, len), (5, 21), "to the end of the second segment, in one piece");
    let (mut rest, mut buf) = (Vec::new(), [0; 100]);
    loop {
        match follower.next(&mut buf).unwrap() {
            Next::Bytes(range) => rest.extend_from_slice(&buf[..(range.end - range.start) as usize]),
            Next::Rotated(_) => {}
            Next::CaughtUp => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(rest, contents(2, 3));
}

#[test]
fn cat_starts_at_the_first_byte_that_is_kept_and_says_what_it_was_asked_for_in_vain() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 3);
    prune(&log, &["--keep=1"]).run().printed(b"");
    mmlogctl("cat", &log).run().printed(&contents(2, 3));
    let ended = mmlogctl("cat", &log).arg("--from=3").run();
    assert_eq!((ended.code, &ended.stdout), (0, &contents(2, 3)));
    ended.says(&log, &["positions 3 to 26 are pruned (23 bytes)"]);
    let ended = mmlogctl("tail", &log).args(["--from=3", "-o", "json"]).run();
    ended.is_success();
    let text = ended.text();
    let hole: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((&hole["position"], &hole["end"]), (&3.into(), &26.into()), "{text}");
    assert_eq!(hole["hole"]["kind"], "pruned");
    assert_eq!(text.lines().count(), 3);
}

#[test]
fn a_tail_that_sleeps_through_it_goes_on_in_what_is_kept() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 2);
    let tail = mmlogctl("tail", &log).args(["-f", "-n+1"]).start();
    tail.until_stdout(|printed| printed == contents(0, 2));
    prune(&log, &["--keep=0"]).run().printed(b"");
    append(&log, b"later\n");
    tail.until_stdout(|printed| printed.ends_with(b"later\n"));
    tail.signal(nix::sys::signal::Signal::SIGTERM);
    let ended = tail.end();
    assert!(ended.stderr.is_empty(), "it had read all that was pruned: {ended:?}");
}

/// Writers, rotations, prunes, and a follower that is often too slow: what it gets and what it is told add up.
#[test]
fn a_follower_under_rotation_and_prune_accounts_for_every_position() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let open = || Log::options().chunk_size(64 << 10).max_writers(8).open_or_create(&log).unwrap();
    let handle = open();
    let mut follower = open().follow(Start::Oldest).unwrap();
    let mut writer = handle.writer().unwrap();
    let (mut at, mut pruned, mut read) = (0, 0, 0);
    let mut buf = [0; 700];
    for round in 0..300_u64 {
        for n in 0..20 {
            writer.append(format!("{round:06} {n:06} {:080}\n", 0).as_bytes()).unwrap();
        }
        if round % 3 == 0 {
            handle.rotate(&Rotation::default()).unwrap().unwrap();
        }
        if round % 7 == 0 {
            handle.prune(&Retention::default().keep(2)).unwrap();
        }
        for _ in 0..=round % 4 {
            match follower.next(&mut buf).unwrap() {
                Next::Bytes(range) => {
                    assert_eq!(range.start, at);
                    (at, read) = (range.end, read + range.end - range.start);
                    assert!(buf[..(range.end - range.start) as usize].iter().all(|&b| b != 0));
                }
                Next::Hole(hole) => {
                    assert_eq!((hole.kind, hole.start), (HoleKind::Pruned, at));
                    (at, pruned) = (hole.end(), pruned + hole.len);
                }
                _ => {}
            }
        }
    }
    assert!(read > 0 && pruned > 0, "{read} read, {pruned} pruned");
    assert_eq!(read + pruned, at);
    assert!(finals(&log).len() <= 5);
    is_sound(&log);
}

#[test]
fn a_log_whose_segments_are_gone_goes_on_after_rebuilding_its_metadata() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 2);
    prune(&log, &["--keep=1"]).run().printed(b"");
    fs::remove_file(crate::metadata_of(&log)).unwrap();
    mmlogctl("repair", &log).arg("--rebuild").run();
    append(&log, b"later\n");
    let ended = mmlogctl("cat", &log).run();
    assert_eq!(ended.text(), "generation 1\ngeneration 2\nlater\n", "{ended:?}");
    is_sound(&log);
}
