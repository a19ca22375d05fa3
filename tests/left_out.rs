//! Guards that nothing is left out in silence: what a command could not read, or not look at, is said on standard error,
//! and its exit code is 4 where the log is damaged, 1 where the system did not let it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "left_out/answers.rs"]
mod answers;
mod cli;
#[path = "common/original.rs"]
#[allow(dead_code, unreachable_pub, reason = "other tests use more of it, as a module of theirs")]
mod original;
#[path = "left_out/paths.rs"]
mod paths;
#[path = "left_out/plainly.rs"]
mod plainly;
#[path = "left_out/rights.rs"]
mod rights;
#[path = "left_out/sweep.rs"]
mod sweep;

use std::fs;
use std::path::{Path, PathBuf};

use cli::{Scratch, finals, metadata_of, mmlogctl};
use mmlog::{Compress, Compression, Follower, Log, Next, Rotation, Start};

/// Lines of a segment.
const LINES: u32 = 300;

fn content(generation: u32) -> Vec<u8> {
    (0..LINES).flat_map(|i| format!("segment {generation}, line {i:04}\n").into_bytes()).collect()
}

/// A log of so many segments, the last one current; the first is compressed.
fn log_of(directory: &Path, segments: u32) -> PathBuf {
    let path = directory.join("app.log");
    let log = Log::options().chunk_size(64 << 10).max_writers(4).open_or_create(&path).unwrap();
    for generation in 0..segments {
        log.writer().unwrap().append(&content(generation)).unwrap();
        if generation + 1 < segments {
            log.rotate(&Rotation::default()).unwrap().unwrap();
        }
        if generation == 0 {
            log.compress(&Compress::new(Compression::Zstd), |_| {}).unwrap();
        }
    }
    log.close().unwrap();
    path
}

/// Changes a byte in the middle of a file.
fn spoil(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    fs::write(path, bytes).unwrap();
}

#[test]
fn what_lies_behind_a_damaged_compressed_segment_is_read_and_the_damage_has_its_numbers() {
    let scratch = Scratch::new();
    let log = log_of(scratch.path(), 3);
    spoil(&finals(&log)[0]);
    let (len, rest) = (content(0).len(), [content(1), content(2)].concat());
    let said = [
        format!("positions 0 to {len} could not be read ({len} bytes): "),
        format!("{} cannot be decompressed at position", finals(&log)[0].file_name().unwrap().display()),
    ];
    let said = said.each_ref().map(String::as_str);
    let cursor = scratch.file("place");
    let cursor = cursor.to_str().unwrap();
    for line in [
        &["cat"][..],
        &["tail", "-n+1"],
        &["tail", "-n", "100000"],
        &["tail", "--until-now", "--cursor-file", cursor],
        &["tail", "-n+1", "-f", "--pid", "2147483647"],
    ] {
        let ended = mmlogctl(line[0], &log).args(&line[1..]).run();
        ended.is_refused(4, &log, &said);
        assert!(ended.stdout == rest, "{line:?}: {ended:?}");
    }
    let ended = mmlogctl("tail", &log).args(["-n+1", "-ojson"]).run();
    ended.is_refused(4, &log, &said);
    assert_eq!(ended.text().lines().count() as u32, 2 * LINES);
    // Whoever has passed it is not told again, nor who does not come so far back.
    mmlogctl("tail", &log).args(["--until-now", "--cursor-file", cursor]).run().printed(b"");
    mmlogctl("tail", &log).args(["-n", "500"]).run().is_success();
    mmlogctl("cat", &log).args(["--from", &len.to_string()]).run().printed(&rest);
}

/// All that a follower gives, and what it passes.
fn read_on(follower: &mut Follower) -> (Vec<u8>, Vec<(u64, u64)>) {
    let (mut read, mut passed, mut buf) = (Vec::new(), Vec::new(), [0; 4096]);
    loop {
        match follower.next(&mut buf) {
            Ok(Next::CaughtUp) => return (read, passed),
            Ok(Next::Bytes(range)) => read.extend_from_slice(&buf[..(range.end - range.start) as usize]),
            Ok(_) => {}
            Err(_) => {
                let lost = follower.pass_unreadable().unwrap().unwrap();
                passed.push((lost.start, lost.end));
            }
        }
    }
}

#[test]
fn a_reader_of_the_library_stays_at_what_it_cannot_read_until_it_passes_it() {
    let scratch = Scratch::new();
    let log = log_of(scratch.path(), 3);
    let copy = fs::read(&finals(&log)[0]).unwrap();
    spoil(&finals(&log)[0]);
    let len = content(0).len() as u64;
    let mut follower = Log::options().open_reader(&log).unwrap().follow(Start::Oldest).unwrap();
    let mut buf = [0; 64];
    for _ in 0..2 {
        follower.next(&mut buf).unwrap_err();
        assert_eq!(follower.position().get(), 0);
    }
    // Put right, it goes on where it is.
    fs::write(&finals(&log)[0], copy).unwrap();
    assert_eq!(read_on(&mut follower), ([content(0), content(1), content(2)].concat(), Vec::new()));
    spoil(&finals(&log)[0]);
    let mut follower = Log::options().open_reader(&log).unwrap().follow(Start::Oldest).unwrap();
    assert_eq!(read_on(&mut follower), ([content(1), content(2)].concat(), vec![(0, len)]));
    assert_eq!(follower.pass_unreadable().unwrap(), None, "the current segment has no end");
}
