//! A compressor that is killed, and two at a time.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use crate::cli::{Running, Scratch, mmlogctl, wait_for};
use crate::{append, has_suffix, lines, rotate, segments};

/// Copies in the making.
fn parts(log: &Path) -> Vec<PathBuf> {
    segments(log).into_iter().filter(|path| has_suffix(path, ".mmlog-part")).collect()
}

#[test]
fn killed_anywhere_the_next_run_finishes_and_nothing_stays() {
    const ROUNDS: u64 = 24;
    const EACH: u64 = 10_000;
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut killed = 0;
    for round in 0..ROUNDS {
        append(&log, &lines(round * EACH, (round + 1) * EACH));
        // It takes away what the round before has left.
        rotate(&log, &[]).run().printed(b"");
        let running = rotate(&log, &["--compress=gzip"]).start();
        // Later in each round: from the first byte of a copy to its end.
        let wanted = round * 4000;
        let newest = format!("app.log.{round:010}-");
        wait_for("a copy grows, or all is done", || {
            let long = |path: &PathBuf| fs::metadata(path).is_ok_and(|stat| stat.len() >= wanted);
            let done = |path: &PathBuf| path.to_str().unwrap().contains(&newest) && has_suffix(path, ".gz");
            (parts(&log).iter().any(long) || segments(&log).iter().any(done)).then_some(())
        });
        running.signal(Signal::SIGKILL);
        killed += u64::from(running.end().code == -9);
        mmlogctl("cat", &log).run().printed(&lines(0, (round + 1) * EACH));
    }
    assert!(killed > 0, "none was killed");
    rotate(&log, &["--compress=gzip"]).run().printed(b"");
    let found = segments(&log);
    assert!(found.len() as u64 == ROUNDS && found.iter().all(|path| has_suffix(path, ".gz")), "{found:?}");
    mmlogctl("cat", &log).run().printed(&lines(0, ROUNDS * EACH));
}

/// Stands in the middle of the copy of a segment.
fn stopped_compressor(log: &Path) -> Running {
    append(log, &lines(0, 1_000_000));
    let running = rotate(log, &["--compress=gzip", "--level=9"]).start();
    wait_for("a copy grows", || fs::metadata(parts(log).first()?).is_ok_and(|m| m.len() > 0).then_some(()));
    running.signal(Signal::SIGSTOP);
    running
}

#[test]
fn a_live_compressor_is_left_alone_and_what_a_dead_one_left_is_taken_away_by_a_rotation() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let running = stopped_compressor(&log);
    assert_eq!(parts(&log).len(), 1, "it was stopped in the middle");
    append(&log, b"meanwhile\n");
    let ended = rotate(&log, &["--compress=zstd"]).run();
    ended.says(
        &log,
        &[&segments(&log)[0].display().to_string(), "left to another process, which compresses it"],
    );
    assert_eq!((ended.code, ended.stdout.len()), (0, 0), "{ended:?}");
    let found = segments(&log);
    assert!(parts(&log).len() == 1 && has_suffix(&found[2], ".zst"), "{found:?}");
    running.signal(Signal::SIGKILL);
    running.end();
    append(&log, b"afterwards\n");
    rotate(&log, &[]).run().printed(b"");
    assert!(parts(&log).is_empty(), "{:?}", segments(&log));
}

#[test]
fn a_segment_that_is_pruned_while_it_is_compressed_is_said_and_no_failure() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let running = stopped_compressor(&log);
    let plain = segments(&log).remove(0);
    mmlogctl("prune", &log).arg("--keep=0").run().is_success();
    running.signal(Signal::SIGCONT);
    let ended = running.end();
    ended.says(&log, &[&plain.display().to_string(), "was pruned meanwhile, and not compressed"]);
    assert_eq!((ended.code, ended.stdout.len(), ended.stderr.lines().count()), (0, 0, 1), "{ended:?}");
    assert!(segments(&log).is_empty(), "{:?}", segments(&log));
}

#[test]
fn a_plain_file_beside_its_whole_copy_is_taken_away_by_the_next_run() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, &lines(0, 1000));
    rotate(&log, &[]).run().printed(b"");
    let plain = segments(&log).remove(0);
    rotate(&log, &["--compress=gzip"]).run().printed(b"");
    fs::write(&plain, lines(0, 1000)).unwrap();
    mmlogctl("cat", &log).run().printed(&lines(0, 1000));
    rotate(&log, &["--compress=zstd"]).run().printed(b"");
    let found = segments(&log);
    assert!(found.len() == 1 && has_suffix(&found[0], ".gz"), "{found:?}");
}
