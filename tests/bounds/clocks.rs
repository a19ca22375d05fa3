//! What the clock says, said, or will say.

use std::fs::{File, FileTimes};
use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mmlog::layout::{Header, Owner, SLOTS_AT, Segment, Slot};

use crate::cli::{Scratch, Tool, became_final, messages, metadata_of, mmlogctl, poke, skipped, succeeds};
use crate::{CONTENT, ended, has};

const HOUR: Duration = Duration::from_secs(3600);
const BOOTED: usize = offset_of!(Header, identity.booted_ns);

/// Of the segment that is current after so many rotations.
const fn began(rotations: usize) -> usize {
    offset_of!(Header, segments) + rotations % 2 * size_of::<Segment>() + offset_of!(Segment, began_ns)
}

fn poke_time(log: &Path, offset: usize, at: u64) {
    poke(log, offset, &at.to_ne_bytes());
}

fn now_ns() -> u64 {
    ns(SystemTime::now())
}

fn ns(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap().as_nanos().try_into().unwrap()
}

/// A log with three final segments, oldest first.
fn rotated(scratch: &Scratch) -> (PathBuf, Vec<PathBuf>) {
    let log = scratch.log(CONTENT);
    for _ in 0..3 {
        mmlogctl("rotate", &log).run().is_success();
        mmlogctl("append", &log).input(CONTENT).run().is_success();
    }
    let name = |n: usize| format!("app.log.{n:010}-{:019}", n * CONTENT.len());
    (log, (0..3).map(|n| scratch.file(&name(n))).collect())
}

fn set_time(path: &Path, at: SystemTime) {
    File::options().write(true).open(path).unwrap().set_times(FileTimes::new().set_modified(at)).unwrap();
}

/// Since the boot, if that is long enough to tell times of it from others.
fn up() -> Option<Duration> {
    let up = std::fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = up.split(' ').next()?.parse().ok()?;
    Some(Duration::from_secs_f64(seconds)).filter(|up| *up > Duration::from_secs(60))
}

#[test]
fn nothing_is_pruned_as_years_old_because_a_clock_that_began_in_1970_was_set() {
    let Some(up) = up() else { return skipped("ages of this boot", "/proc/uptime says too little") };
    let scratch = Scratch::new();
    let (log, segments) = rotated(&scratch);
    // When the machine was booted its clock said 1970; both segments are of half a minute ago.
    let then = UNIX_EPOCH + Duration::from_secs(10);
    poke_time(&log, BOOTED, 10_000_000_000);
    let half_a_minute_ago = then + up - Duration::from_secs(30);
    segments[..2].iter().for_each(|path| set_time(path, half_a_minute_ago));
    [0, 1].into_iter().for_each(|generation| became_final(&log, generation, ns(half_a_minute_ago)));
    mmlogctl("prune", &log).args(["--keep-age", "1h"]).run().printed(b"");
    has(&log, &CONTENT.repeat(4));
    mmlogctl("prune", &log).args(["--keep-age", "10s"]).run().is_success();
    has(&log, &CONTENT.repeat(2));
}

#[test]
fn a_segment_is_not_rotated_as_years_old_because_a_clock_that_began_in_1970_was_set() {
    let Some(up) = up() else { return skipped("ages of this boot", "/proc/uptime says too little") };
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    poke_time(&log, BOOTED, 10_000_000_000);
    poke_time(&log, began(0), 10_000_000_000 + (up - Duration::from_secs(30)).as_nanos() as u64);
    let rotate = |age: &str| mmlogctl("rotate", &log).args(["--dry-run", "--if-age", age]).run().text();
    assert_eq!(rotate("1h"), "");
    assert!(rotate("10s").contains("would make"));
}

#[test]
fn a_segment_that_began_in_the_future_is_due() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    poke_time(&log, began(0), now_ns() + 1_000 * HOUR.as_nanos() as u64);
    mmlogctl("rotate", &log).args(["--if-age", "1h"]).run().is_success();
    mmlogctl("append", &log).input(CONTENT).run().is_success();
    assert!(scratch.file("app.log.0000000000-0000000000000000000").exists());
    assert_eq!(mmlogctl("rotate", &log).args(["-n", "--if-age", "1h"]).run().text(), "", "now it is known");
    has(&log, &CONTENT.repeat(2));
}

#[test]
fn a_segment_from_the_future_keeps_nothing_older_from_being_pruned() {
    let scratch = Scratch::new();
    let (log, _) = rotated(&scratch);
    became_final(&log, 0, ns(SystemTime::now() + 1_000 * HOUR));
    became_final(&log, 1, ns(SystemTime::now() - 1_000 * HOUR));
    mmlogctl("prune", &log).args(["--keep-age", "1h"]).run().is_success();
    has(&log, &CONTENT.repeat(2));
}

/// Where a log keeps times.
fn times() -> Vec<usize> {
    let owner = offset_of!(Owner, since_ns);
    let slot = |n: usize| SLOTS_AT + n * size_of::<Slot>() + offset_of!(Slot, cold) + owner;
    let header = [
        offset_of!(Header, identity.created_ns),
        BOOTED,
        offset_of!(Header, identity.up_ns),
        offset_of!(Header, checkpoint.synced_ns),
        offset_of!(Header, checkpoint.recovered_ns),
        offset_of!(Header, lock_owner) + owner,
        offset_of!(Header, maintenance_owner) + owner,
        offset_of!(Header, outside.cut_ns),
    ];
    header.into_iter().chain([began(0), began(1)]).chain((0..3).map(slot)).collect()
}

/// Commands that say how long ago something was, or go by it.
const TIMED: [(&str, &[&str]); 14] = [
    ("status", &[]),
    ("status", &["--json"]),
    ("check", &[]),
    ("check", &["--deep"]),
    ("segments", &[]),
    ("inspect", &["--once"]),
    ("tail", &["-n", "1", "-o", "json"]),
    ("rotate", &["-n", "--if-age", "1h", "--utc"]),
    ("prune", &["-n", "--keep-age", "1h"]),
    ("repair", &["-n"]),
    ("append", &["--timestamp", "--sync", "always", "--prefix", "p: "]),
    ("rotate", &["--if-age", "1h", "--utc"]),
    ("prune", &["--keep-age", "87600h"]),
    ("trim", &[]),
];

/// All of them end well and lose nothing.
#[track_caller]
fn works(log: &Path, made: impl Fn(Tool) -> Tool) {
    for (command, args) in TIMED {
        let run = made(mmlogctl(command, log).args(args)).input(b"more\n").run();
        ended(&run, 0, &[]);
        assert!(run.stderr.is_empty(), "{command}: {run:?}");
    }
    let whole = mmlogctl("cat", log).run();
    assert!(whole.code == 0 && whole.stdout.starts_with(&CONTENT.repeat(4)), "{whole:?}");
    assert!(whole.stdout.ends_with(b"p: more\n"), "{whole:?}");
}

#[test]
fn every_time_that_a_log_has_may_be_any_number() {
    let later = now_ns() + 100_000 * HOUR.as_nanos() as u64;
    for at in [0, 1, later, u64::MAX - 1, u64::MAX] {
        let scratch = Scratch::new();
        let (log, segments) = rotated(&scratch);
        assert!(messages(&log) > 0 && metadata_of(&log).exists());
        times().into_iter().for_each(|offset| poke_time(&log, offset, at));
        segments.iter().for_each(|path| set_time(path, UNIX_EPOCH + Duration::from_nanos(at.min(later))));
        (0..3).for_each(|generation| became_final(&log, generation, at));
        works(&log, |tool| tool);
    }
}

#[test]
fn every_command_works_whatever_the_clock_says() {
    if !succeeds(Command::new("faketime").args(["2200-01-01", "true"])) {
        return skipped("clocks that are wrong", "faketime is not installed");
    }
    let scratch = Scratch::new();
    for clock in ["1960-01-01", "1970-01-01", "2200-01-01", "2600-01-01"] {
        let log = rotated(&scratch).0;
        works(&log, |tool| {
            let by = |command: &mut Command| {
                command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
            };
            tool.through("faketime", &["-m", clock]).with(|command| {
                by(command);
                command
            })
        });
        // And after it was set back, or ahead.
        works(&log, |tool| tool);
        mmlogctl("rm", &log).arg("--all").run().is_success();
    }
}

/// A clock that is tens of thousands of years ahead, which no tool of the distribution makes.
const AHEAD: &str = "#define _GNU_SOURCE
#include <time.h>
#include <sys/syscall.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *time) {
    int done = syscall(SYS_clock_gettime, clock, time);
    if (clock == CLOCK_REALTIME) time->tv_sec += 1000000000000;
    return done;
}
";

#[test]
fn a_year_of_five_digits_keeps_nobody_from_appending_and_rotating() {
    let scratch = Scratch::new();
    let (source, shim) = (scratch.file("ahead.c"), scratch.file("ahead.so"));
    std::fs::write(&source, AHEAD).unwrap();
    if !succeeds(Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&shim, &source])) {
        return skipped("a year of five digits", "there is no C compiler here");
    }
    let ahead = |tool: Tool| tool.with(|command| command.env("LD_PRELOAD", &shim)).run();
    let log = scratch.log(CONTENT);
    for args in [&["rotate"][..], &["rotate", "--utc"], &["rotate", "-n", "--if-age", "1h"]] {
        ahead(mmlogctl("append", &log).arg("--timestamp").input(CONTENT)).is_success();
        let ended = ahead(mmlogctl(args[0], &log).args(&args[1..]));
        assert_eq!(ended.code, 0, "{args:?}: {ended:?}");
    }
    for command in ["status", "segments", "check"] {
        let ended = ahead(mmlogctl(command, &log));
        assert!(ended.code < 2 && ended.stderr.is_empty(), "{command}: {ended:?}");
    }
}
