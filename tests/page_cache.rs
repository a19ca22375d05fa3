//! Guards `Options::drop_behind`: what is far behind leaves the page cache, and only that; nobody reads less for it; it costs a
//! few system calls a chunk, once for all writers; a disk that failed meanwhile is known to the next sync.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

mod common;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Actor, Scene, assert_complete, committed, log_path, message, parameter, parse, scene};
use mmlog::{Fault, Log, Options, Rotation};
use rawio::cache::Cached;

const MIB: u64 = 1 << 20;
const CHUNK: u64 = MIB;
/// As much as a handle has mapped.
const BEHIND: u64 = 4 * MIB;
const TOTAL: u64 = 64 * MIB;
/// Of what may be in memory: what is kept, the chunk in use, those that another writer was slow to unmap, large folios.
const MOST: u64 = 16 * MIB;

#[test]
fn role() {
    common::play(&[("writer", writer)]);
}

fn options() -> Options {
    Log::options().chunk_size(CHUNK)
}

/// Appends `EACH` messages of `LEN` bytes, and tells whether the log can be synced.
fn writer() {
    let log = options().drop_behind(parameter("BEHIND")).open_or_create(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    for number in 0..parameter("EACH") {
        writer.append(&message(parameter("ID"), number, parameter("LEN"))).unwrap();
    }
    let synced = log.sync();
    common::say(match synced.as_ref().map_err(mmlog::Error::fault) {
        Ok(_) => "synced",
        Err(Fault::SyncFailed { .. }) => "sync failed",
        Err(_) => "something else",
    });
}

fn parameters(scene: &Scene, id: u64, len: u64, each: u64, behind: u64) -> Vec<(&'static str, String)> {
    let numbers = [("ID", id), ("LEN", len), ("EACH", each), ("BEHIND", behind)];
    let mut all: Vec<_> = numbers.iter().map(|&(name, n)| (name, n.to_string())).collect();
    all.push(("LOG", scene.log.display().to_string()));
    all
}

/// Bytes of a file in memory, and those of them that are not on the disk; `None`, with a line, where nobody can say.
fn cached(file: &Path) -> Option<(u64, u64)> {
    const TMPFS: u64 = 0x0102_1994;
    let file = File::open(file).unwrap();
    if rustix::fs::fstatfs(&file).unwrap().f_type.cast_unsigned() == TMPFS {
        println!("SKIPPED: a tmpfs is nothing but page cache");
        return None;
    }
    let page = rustix::param::page_size() as u64;
    let said = Cached::of(&file).inspect_err(|e| println!("SKIPPED: cachestat: {e}")).ok()?;
    Some((said.pages * page, said.dirty * page))
}

/// What this process has mapped of a file, bytes that are in memory.
fn mapped(file: &Path) -> u64 {
    let (mut of_it, mut all) = (false, 0);
    for line in fs::read_to_string("/proc/self/smaps").unwrap().lines() {
        let first = line.split_whitespace().next().unwrap();
        if !first.ends_with(':') {
            of_it = line.ends_with(file.to_str().unwrap());
        } else if of_it && first == "Rss:" {
            all += line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10;
        }
    }
    all
}

#[test]
fn a_process_keeps_little_of_its_log_mapped_however_large_its_chunks_are() {
    // What is made ready for all that append, the page in use, and what is let go of at a time.
    const MOST: u64 = 16 * MIB;
    // Small pages, where somebody syncs often; large ones, if the log is fast and there are some.
    for often in [true, false] {
        let scene = scene();
        let log = Log::options().chunk_size(16 * MIB).open_or_create(&scene.log).unwrap();
        let mut writers = [log.writer().unwrap(), log.writer().unwrap()];
        let mut most = 0;
        for number in 0..TOTAL / 4096 {
            writers[number as usize % 2].append(&message(number % 2, number / 2, 4096)).unwrap();
            if number.is_multiple_of(MIB / 4096) {
                most = most.max(mapped(&scene.log));
                if often {
                    log.sync().unwrap();
                }
            }
        }
        println!("often synced {often}: {most} bytes mapped");
        assert!(most <= MOST, "often synced {often}: {most} bytes mapped");
        assert_complete(&parse(&committed(&scene.log)), 2, TOTAL / 4096 / 2);
    }
}

#[test]
fn what_is_far_behind_leaves_the_page_cache_whatever_way_it_came() {
    // By mappings, by pwrite, and over several chunks at a time.
    for len in [100, 4095, 64 << 10, 3 * MIB] {
        let scene = scene();
        let log = options().drop_behind(BEHIND).open_or_create(&scene.log).unwrap();
        let mut writer = log.writer().unwrap();
        let each = TOTAL / len;
        (0..each).for_each(|number| _ = writer.append(&message(1, number, len as usize)).unwrap());
        if let Some((all, dirty)) = cached(&scene.log) {
            println!("{len} B: {all} bytes cached, {dirty} dirty");
            assert!(all <= MOST.max(4 * len) && dirty <= all, "{len} B: {all} bytes cached, {dirty} dirty");
            assert!(all >= BEHIND, "{len} B: only {all} bytes cached");
        }
        // From the disk.
        assert_complete(&parse(&committed(&scene.log)), 1, each);
    }
}

#[test]
fn unless_asked_for_nothing_is_dropped() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let mut writer = log.writer().unwrap();
    (0..TOTAL / 4096).for_each(|number| _ = writer.append(&message(1, number, 4096)).unwrap());
    if let Some((all, _)) = cached(&scene.log) {
        assert!(all >= TOTAL, "only {all} bytes cached");
    }
}

#[test]
fn writers_of_several_processes_drop_together_and_lose_nothing() {
    let (scene, each) = (scene(), TOTAL / 4 / 1000);
    let reader = options().open_or_create(&scene.log).unwrap();
    let start = || (0..4).map(|id| Actor::new("writer", &parameters(&scene, id, 1000, each, BEHIND)));
    let writers: Vec<Actor> = start().collect();
    writers.into_iter().for_each(|w| assert!(w.finish().contains("synced")));
    if let Some((all, _)) = cached(&scene.log) {
        println!("{all} bytes cached");
        assert!(all <= MOST, "{all} bytes cached");
    }
    assert_complete(&parse(&committed(&scene.log)), 4, each);
    drop(reader);
}

#[test]
fn segments_that_a_rotation_made_final_are_dropped_too() {
    for segment in [MIB / 2, 3 * MIB, 9 * MIB] {
        let scene = scene();
        let log = options().drop_behind(BEHIND).open_or_create(&scene.log).unwrap();
        let mut writer = log.writer().unwrap();
        let (mut files, mut number) = (vec![scene.log.clone()], 0);
        for _ in 0..TOTAL / segment {
            for _ in 0..segment / 4096 {
                writer.append(&message(1, number, 4096)).unwrap();
                number += 1;
            }
            files.push(log.rotate(&Rotation::default()).unwrap().unwrap().path);
        }
        let seen: Option<Vec<(u64, u64)>> = files.iter().map(|file| cached(file)).collect();
        if let Some(all) = seen.map(|seen| seen.iter().map(|(all, _)| all).sum::<u64>()) {
            println!("segments of {segment}: {all} bytes cached");
            assert!(all <= MOST + segment, "segments of {segment}: {all} bytes cached");
        }
        assert_complete(&parse(&committed(&scene.log)), 1, number);
    }
}

/// How often the calls were made by all of two processes that append `TOTAL`, if that can be traced.
fn traced(len: u64, behind: u64) -> Option<[u64; 2]> {
    let scene = scene();
    let _open = options().open_or_create(&scene.log).unwrap();
    let traces = [scene.dir.path().join("0.trace"), scene.dir.path().join("1.trace")];
    let mut actors = Vec::new();
    for (id, trace) in traces.iter().enumerate() {
        let strace =
            common::strace(&["-qq", "-e", "sync_file_range,fadvise64", "-o", &trace.display().to_string()])?;
        let parameters = parameters(&scene, id as u64, len, TOTAL / 2 / len, behind);
        actors.push(Actor::under(strace, "writer", &parameters));
    }
    actors.into_iter().for_each(|actor| drop(actor.finish()));
    let said = traces.map(|trace| std::fs::read_to_string(trace).unwrap()).concat();
    Some(["sync_file_range(", "fadvise64("].map(|call| said.matches(call).count() as u64))
}

#[test]
fn three_system_calls_for_each_chunk_of_all_writers_together() {
    let chunks = TOTAL / CHUNK;
    for len in [128, 64 << 10] {
        let Some([writes, drops]) = traced(len, BEHIND) else { return };
        assert!((2 * chunks - 20..=2 * chunks).contains(&writes), "{len} B: {writes} for {chunks} chunks");
        assert!((chunks - 20..=chunks).contains(&drops), "{len} B: {drops} for {chunks} chunks");
        assert_eq!(traced(len, 0), Some([0, 0]));
    }
}

/// What the writer says of syncing when the calls fail like that, and how often it has had pages dropped.
fn injected(errno: &str) -> Option<(String, usize)> {
    let scene = scene();
    let trace = scene.dir.path().join("trace");
    let strace = common::strace(&[
        "-qq",
        "-e",
        "sync_file_range,fadvise64",
        "-e",
        &format!("inject=sync_file_range:error={errno}"),
        "-o",
        &trace.display().to_string(),
    ])?;
    let mut actor = Actor::under(strace, "writer", &parameters(&scene, 0, 4096, 16 * MIB / 4096, BEHIND));
    let said = actor.hear();
    actor.finish();
    assert_complete(&parse(&committed(&scene.log)), 1, 16 * MIB / 4096);
    Some((said, std::fs::read_to_string(trace).unwrap().matches("fadvise64(").count()))
}

#[test]
fn a_disk_that_failed_meanwhile_is_a_failed_sync_and_no_failed_append() {
    if let Some((said, drops)) = injected("EIO") {
        assert_eq!(said, "sync failed");
        assert_eq!(drops, 0, "memory may have the only copy");
    }
}

#[test]
fn a_file_system_without_such_calls_is_no_failure() {
    for errno in ["ENOSYS", "EINVAL", "ESPIPE"] {
        if let Some((said, drops)) = injected(errno) {
            assert_eq!(said, "synced", "{errno}");
            assert!(drops > 0, "{errno}");
        }
    }
}

#[test]
fn append_and_exec_have_it_as_an_option() {
    let scene = scene();
    for command in [vec!["append"], vec!["exec"]] {
        let log = scene.dir.path().join(command[0]);
        let mut tool = Command::new(env!("CARGO_BIN_EXE_mmlogctl"));
        tool.args(&command).args(["--chunk-size", "1M", "--drop-behind", "4M"]).arg(&log);
        if command[0] == "exec" {
            tool.args(["--", "cat"]);
        }
        let mut child = tool.stdin(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let line = [&[b'x'; 1023], &b"\n"[..]].concat();
        (0..TOTAL / 1024).for_each(|_| input.write_all(&line).unwrap());
        drop(input);
        assert!(child.wait().unwrap().success());
        assert_eq!(log.metadata().unwrap().len(), TOTAL);
        if let Some((all, _)) = cached(&log) {
            println!("{command:?}: {all} bytes cached");
            assert!(all <= MOST, "{command:?}: {all} bytes cached");
        }
    }
}
