//! `--punch`: the oldest part of a log that never rotates gives its blocks back while the log is in use.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use mmlog::{Fault, HoleKind, Log, Next, Position, Retention, Start};
use serde_json::Value;

use crate::cli::{Scratch, fill, metadata_of, mmlogctl, poke, reboot, small_disk, wait_for};
use crate::{allocated, append, is_sound, prune};

/// Lines of 100 bytes.
fn lines(from: u64, to: u64) -> Vec<u8> {
    (from..to).flat_map(|n| format!("{n:099}\n").into_bytes()).collect()
}

fn punch(log: &Path, keep: u64) {
    prune(log, &["--punch", &format!("--keep-bytes={keep}")]).run().printed(b"");
}

#[test]
fn the_last_bytes_stay_from_a_line_on_and_positions_do_not_change() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, &lines(0, 1000));
    let (len, before) = (fs::metadata(&log).unwrap().len(), allocated(&log));
    let plan = prune(&log, &["--punch", "--keep-bytes=20050", "-n"]).run();
    let said = format!("{}: would give back 76 KiB [0, 77824), kept from 80000 on\n", log.display());
    plan.printed(said.as_bytes());
    punch(&log, 20_050);
    assert_eq!(fs::metadata(&log).unwrap().len(), len);
    assert_eq!(before - allocated(&log), 77824);
    mmlogctl("cat", &log).run().printed(&lines(800, 1000));
    mmlogctl("cat", &log).arg("--from=90000").run().printed(&lines(900, 1000));
    let ended = mmlogctl("cat", &log).arg("--from=1").run();
    ended.says(&log, &["positions 1 to 80000 are pruned"]);
    let status = mmlogctl("status", &log).run().text();
    assert!(status.contains("  segments     1, kept from 80000 on\n"), "{status}");
    is_sound(&log);
    // Again it does nothing, and says nothing.
    let plan = prune(&log, &["--punch", "--keep-bytes=20050", "-n"]).run();
    plan.printed(b"");
    append(&log, &lines(1000, 1001));
    mmlogctl("cat", &log).run().printed(&lines(800, 1001));
    // Exactly at a line's start.
    punch(&log, 10_000);
    mmlogctl("cat", &log).run().printed(&lines(901, 1001));
}

#[test]
fn what_is_said_to_go_on_a_full_disk_is_what_goes() {
    let scratch = Scratch::new();
    let Some(disk) = small_disk(&scratch, "8m", "what is said to go on a full disk is what goes") else {
        return;
    };
    let log = disk.join("app.log");
    mmlogctl("init", &log).arg("--chunk-size=64K").run().is_success();
    append(&log, &lines(0, 60_000));
    fill(&disk);
    let look =
        || -> Value { serde_json::from_slice(&mmlogctl("status", &log).arg("--json").run().stdout).unwrap() };
    let full = look();
    let command = full["findings"][0]["command"].as_str().unwrap();
    assert_eq!(command, format!("mmlogctl prune --punch --keep-bytes 2M {}", log.display()));
    assert!(
        full["next_step"].as_str().unwrap().contains(" gives up the oldest 3.7 MiB of the log"),
        "{full}"
    );
    let plan = prune(&log, &["--punch", "--keep-bytes=2M", "-n"]).run().text();
    assert!(plan.contains(": would give back 3.7 MiB [0, "), "{plan}");
    // A hold keeps it: the step is about that, and so is the first sentence.
    let opened = Log::options().open(&log).unwrap();
    let hold = opened.hold("shipper", Position::new(5)).unwrap();
    let held = look();
    assert!(held["problem"].as_str().unwrap().contains("hold shipper keeps the oldest 3.7 MiB"), "{held}");
    assert!(
        held["next_step"].as_str().unwrap().contains("--forget shipper --punch --keep-bytes 2M"),
        "{held}"
    );
    let ended = prune(&log, &["--punch", "--keep-bytes=2M"]).run();
    ended.says(&log, &["removed nothing: hold shipper keeps all that would go"]);
    assert_eq!(ended.code, 0);
    // Of a part of it the rest is kept.
    hold.advance(Position::new(3 << 20)).unwrap();
    let held = look();
    assert!(held["next_step"].as_str().unwrap().contains(" gives up the oldest 3 MiB of the log"), "{held}");
}

#[test]
fn one_long_line_stays_whole() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, &[vec![b'x'; 100_000], b"\n".to_vec()].concat());
    punch(&log, 10);
    assert_eq!(mmlogctl("cat", &log).run().stdout.len(), 100_001);
}

#[test]
fn a_hold_bounds_it() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, &lines(0, 1000));
    drop(Log::options().open(&log).unwrap().hold("shipper", Position::new(50_000)).unwrap());
    punch(&log, 10_000);
    mmlogctl("cat", &log).run().printed(&lines(500, 1000));
    prune(&log, &["--punch", "--keep-bytes=10000", "--force"]).run().printed(b"");
    mmlogctl("cat", &log).run().printed(&lines(900, 1000));
}

#[test]
fn final_segments_are_older_and_go_first() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, &lines(0, 100));
    mmlogctl("rotate", &log).run().printed(b"");
    append(&log, &lines(100, 1000));
    punch(&log, 50_000);
    assert_eq!(crate::finals(&log).len(), 0);
    mmlogctl("cat", &log).run().printed(&lines(500, 1000));
    // The next rotation makes it final; what is pruned stays so.
    mmlogctl("rotate", &log).run().printed(b"");
    append(&log, &lines(1000, 1001));
    mmlogctl("cat", &log).run().printed(&lines(500, 1001));
    is_sound(&log);
}

#[test]
fn beside_writers_and_a_follower_nothing_that_is_kept_is_lost() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let open = || Log::options().chunk_size(64 << 10).max_writers(8).open_or_create(&log).unwrap();
    let (handle, done) = (open(), AtomicBool::new(false));
    let mut follower = open().follow(Start::Oldest).unwrap();
    let (read, pruned) = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|_| {
                let mut writer = handle.writer().unwrap();
                scope.spawn(move || {
                    lines(0, 20_000).chunks(100).for_each(|l| assert!(writer.append(l).is_ok()))
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                punch(&log, 300_000);
            }
        });
        let seen = scope.spawn(|| {
            let (mut at, mut read, mut pruned, mut buf) = (0, 0, 0, vec![0; 3000]);
            while at < 4_000_000 {
                match follower.next(&mut buf).unwrap() {
                    Next::Bytes(range) => {
                        assert_eq!(range.start, at);
                        let bytes = &buf[..(range.end - range.start) as usize];
                        assert!(bytes.iter().all(|b| b.is_ascii_digit() || *b == b'\n'), "at {at}");
                        (at, read) = (range.end, read + bytes.len() as u64);
                    }
                    Next::Hole(hole) => {
                        assert_eq!((hole.kind, hole.start), (HoleKind::Pruned, at));
                        (at, pruned) = (hole.end(), pruned + hole.len);
                    }
                    _ => drop(follower.wait(crate::cli::DEADLINE).unwrap()),
                }
            }
            (read, pruned)
        });
        writers.into_iter().for_each(|w| w.join().unwrap());
        let seen = seen.join().unwrap();
        done.store(true, Ordering::Relaxed);
        seen
    });
    assert_eq!(read + pruned, 4_000_000);
    punch(&log, 300_000);
    assert!(allocated(&log) < 1 << 20, "{}", allocated(&log));
    is_sound(&log);
}

#[test]
fn on_a_full_disk_it_makes_room_and_the_writer_goes_on() {
    let scratch = Scratch::new();
    let Some(disk) = small_disk(&scratch, "2M", "on a full disk it makes room") else { return };
    let log = disk.join("app.log");
    let mut writer = mmlogctl("append", &log).args(["--chunk-size=64K", "--max-writers=8"]).start();
    writer.feed(&lines(0, 10_000));
    writer.until_open(&log);
    wait_for("the log is there", || {
        let ended = mmlogctl("status", &log).run();
        (ended.code == 0 && ended.text().contains("cursor       1000000")).then_some(())
    });
    fill(&disk);
    writer.feed(&lines(10_000, 12_000));
    writer.until_stderr("no space");
    punch(&log, 100_000);
    let cursor = |wanted: &str| {
        wait_for("the writer goes on", || {
            mmlogctl("status", &log).run().text().contains(&format!("cursor       {wanted}")).then_some(())
        });
    };
    cursor("1200000");
    assert_eq!(writer.end().code, 0);
    let printed = mmlogctl("cat", &log).run().stdout;
    assert!(printed.len() >= 200_000 && lines(0, 12_000).ends_with(&printed), "{}", printed.len());
    is_sound(&log);
}

#[test]
fn a_reboot_does_not_take_what_was_punched_for_lost() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, &lines(0, 1000));
    punch(&log, 10_000);
    drop(Log::options().open(&log).unwrap().hold("shipper", Position::new(100_000)).unwrap());
    // Another boot, and a checkpoint that did not reach the disk.
    reboot(&log);
    poke(&log, crate::cli::at::SYNCED, &0_u64.to_ne_bytes());
    append(&log, &lines(1000, 1001));
    mmlogctl("cat", &log).run().printed(&lines(900, 1001));
    is_sound(&log);
    let status = mmlogctl("status", &log).run().text();
    assert!(status.contains("recovered    0 B lost, went on at 100000"), "{status}");
    assert!(status.contains("  holes        none"), "{status}");
    assert!(status.contains("  holds        shipper at 100000, "), "nothing was lost: {status}");
}

#[test]
fn metadata_that_is_made_anew_still_knows_what_is_pruned() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, &lines(0, 1000));
    punch(&log, 10_000);
    poke(&log, crate::cli::at::MAGIC, &[0; 8]);
    let repaired = mmlogctl("repair", &log).arg("--rebuild").run();
    assert_eq!(repaired.code, 0, "{repaired:?}");
    mmlogctl("cat", &log).run().printed(&lines(900, 1000));
    is_sound(&log);
    // Without any, what is missing can only be said to be lost.
    fs::remove_file(metadata_of(&log)).unwrap();
    let repaired = mmlogctl("repair", &log).arg("--rebuild").run();
    assert_eq!(repaired.code, 0, "{repaired:?}");
    let printed = mmlogctl("cat", &log).run().stdout;
    assert!(printed.ends_with(&lines(900, 1000)) && !printed.contains(&0));
}

#[test]
fn a_spoiled_first_kept_is_named_and_repaired() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, &lines(0, 10));
    poke(&log, std::mem::offset_of!(mmlog::layout::Header, kept), &u64::MAX.to_ne_bytes());
    let ended = mmlogctl("append", &log).input(b"x\n").run();
    assert_eq!(ended.code, 4, "{ended:?}");
    assert!(ended.stderr.contains("first_kept out of range"), "{ended:?}");
    let ended = mmlogctl("cat", &log).run();
    assert!(ended.stderr.contains("first_kept out of range"), "{ended:?}");
    let status = mmlogctl("status", &log).run().text();
    assert!(status.starts_with("DAMAGED") && status.contains("first_kept out of range"), "{status}");
    let repaired = mmlogctl("repair", &log).run();
    assert_eq!(repaired.code, 0, "{repaired:?}");
    mmlogctl("cat", &log).run().printed(&lines(0, 10));
    is_sound(&log);
}

#[test]
fn a_position_that_the_log_does_not_have_is_refused() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, &lines(0, 10));
    let opened = Log::options().open(&log).unwrap();
    let error = opened.prune(&Retention::default().keep_from(Position::new(1001))).unwrap_err();
    assert!(matches!(error.fault(), Fault::NoPosition { value: 1001, max: 1000, .. }), "{error}");
}
