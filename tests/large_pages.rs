//! Guards who makes large pages ready, as strace sees it: one writer for all, only where several append and nobody syncs often;
//! and that long messages go through them, whole.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::{Actor, assert_complete, committed, log_path, message, parameter, parse, scene};
use mmlog::Log;

const MIB: u64 = 1 << 20;
const CHUNK: u64 = 16 * MIB;
const LARGE_PAGE: u64 = 2 * MIB;
const TOTAL: u64 = 128 * MIB;
/// Slow, as far as is known, is the log so far.
const FIRST: u64 = 2 * LARGE_PAGE;
/// Small pages are made ready so many bytes at a time.
const SMALL: u64 = 64 << 10;
/// A log that takes longer for all of it may be slow now and then; fast is one of 2 MiB in half a second.
const IS_FAST: Duration = Duration::from_millis(TOTAL / LARGE_PAGE * 200);
/// So many pages are tried before it is known that the file system has no large ones.
const TRIED: u64 = 4;

#[test]
fn role() {
    common::play(&[("writers", writers)]);
}

/// `WRITERS` writers append in turns, one message after the other, until the log has `TOTAL` bytes.
fn writers() {
    let log = Log::options().chunk_size(CHUNK).open_or_create(log_path()).unwrap();
    let (count, len, sync): (u64, u64, u64) = (parameter("WRITERS"), parameter("LEN"), parameter("SYNC"));
    let mut writers: Vec<_> = (0..count).map(|_| log.writer().unwrap()).collect();
    for number in 0..TOTAL / len / count {
        for (id, writer) in writers.iter_mut().enumerate() {
            writer.append(&message(id as u64, number, len as usize)).unwrap();
        }
        if sync != 0 && number % sync == 0 {
            log.sync().unwrap();
        }
    }
}

/// What system calls did.
struct Seen {
    /// Large pages made ready.
    ready: u64,
    /// Pieces of small ones.
    small: u64,
    /// Messages written.
    written: u64,
}

/// What that many writers do, if it can be traced.
fn traced(count: u64, len: u64, sync: u64) -> Option<Seen> {
    const BTRFS: u64 = 0x9123_683e;
    let scene = scene();
    if rustix::fs::statfs(scene.dir.path()).unwrap().f_type.cast_unsigned() == BTRFS {
        println!("SKIPPED: on btrfs nothing is mapped");
        return None;
    }
    let trace = scene.dir.path().join("trace");
    let strace = common::strace(&[
        "-e",
        "trace=madvise,pwrite64",
        "-e",
        "signal=none",
        "-o",
        trace.to_str().unwrap(),
    ])?;
    let mut parameters = vec![("LOG", scene.log.display().to_string())];
    parameters
        .extend([("WRITERS", count), ("LEN", len), ("SYNC", sync)].map(|(name, n)| (name, n.to_string())));
    let begun = Instant::now();
    Actor::under(strace, "writers", &parameters).finish();
    if begun.elapsed() > IS_FAST {
        println!("SKIPPED: this machine is so busy that the log is a slow one");
        return None;
    }
    assert_complete(&parse(&committed(&scene.log)), count, TOTAL / len / count);
    assert_eq!(
        fs::metadata(&scene.log).unwrap().len(),
        TOTAL / len / count * count * len,
        "nothing stays behind"
    );
    let seen = fs::read_to_string(&trace).unwrap();
    let calls = |what: &[&str]| {
        seen.lines().filter(|line| what.iter().all(|part| line.contains(part))).count() as u64
    };
    let (ready, small) =
        (calls(&[&format!(" {LARGE_PAGE}, MADV_POPULATE")]), calls(&[&format!(" {SMALL}, MADV_POPULATE")]));
    // What is written of the time, once in a while, is shorter.
    let written = calls(&["pwrite64(", &format!(", {len}, ")]);
    println!("{count} writers, {len} B: {ready} and {small} made ready, {written} written");
    Some(Seen { ready, small, written })
}

/// So many pieces of small pages, each made ready by one writer of the process.
fn are_small(small: u64, bytes: u64) {
    let pieces = bytes / SMALL;
    assert!((pieces / 2..=pieces + pieces / 8).contains(&small), "{small} of {pieces}");
}

#[test]
fn beside_others_each_large_page_is_made_ready_by_one() {
    let Some(Seen { ready, small, .. }) = traced(2, 4096, 0) else { return };
    let pages = (TOTAL - FIRST) / LARGE_PAGE;
    assert!(ready == TRIED || (pages - TRIED..=pages + TRIED).contains(&ready), "{ready} of {pages}");
    if ready > TRIED {
        are_small(small, FIRST);
    }
}

#[test]
fn a_writer_alone_only_tries_whether_there_are_large_pages() {
    let Some(Seen { ready, small, .. }) = traced(1, 4096, 0) else { return };
    assert!(ready == 1 || ready == TRIED, "{ready}");
    are_small(small, if ready == TRIED { TOTAL } else { FIRST });
}

#[test]
fn who_syncs_often_has_small_pages() {
    let Some(Seen { ready, small, .. }) = traced(2, 4096, MIB / 8192) else { return };
    assert_eq!(ready, 0);
    are_small(small, TOTAL);
}

#[test]
fn long_messages_beside_others_go_through_large_pages() {
    let len = 64 << 10;
    let Some(Seen { ready, written, .. }) = traced(2, len, 0) else { return };
    // Where there are none, all of them are written, but for those while it was tried.
    let least = if ready > TRIED { 0 } else { (TOTAL - CHUNK) / len };
    let most = if ready > TRIED { CHUNK / len + 8 } else { u64::MAX };
    assert!((least..=most).contains(&written), "{written} written, {ready} made ready");
    let Some(Seen { ready, written, .. }) = traced(1, len, 0) else { return };
    assert_eq!(ready, 0);
    assert!(written >= TOTAL / len, "{written} written");
}
