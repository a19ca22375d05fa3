//! Guards the cost of the fast paths where noise cannot reach: instructions of an append and of a follower's look as
//! callgrind counts them, system calls of a chunk and of a rotation as strace does, against `counts.txt`.
//!
//! `MMLOG_BLESS=1 cargo test --release -p mmlogctl --test counts` records anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use common::{Actor, log_path, parameter, scene};
use mmlog::{Log, Next, Rotation, Start};

/// Compilers, and labels that files have, differ by less; a lock, a call or a loop that came in costs more.
const TOLERANCE: f64 = 0.10;
const CHUNK: u64 = 16 << 20;

#[test]
fn role() {
    common::play(&[("appends", appends), ("looks", looks), ("chunks", chunks), ("rotations", rotations)]);
}

fn count() -> u64 {
    parameter("COUNT")
}

/// Appends of one length into a chunk that is mapped.
fn appends() {
    let log = Log::options().open_or_create(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    let message = vec![b'x'; parameter::<usize>("BYTES")];
    for _ in 0..count() {
        writer.append(&message).unwrap();
    }
    std::process::exit(0);
}

/// A follower's looks at a log, beside registered writers; before each, one of them appends.
fn looks() {
    let log = Log::options().open_or_create(log_path()).unwrap();
    let mut writers: Vec<_> = (0..parameter::<u32>("WRITERS")).map(|_| log.writer().unwrap()).collect();
    let mut follower = log.follow(Start::Newest).unwrap();
    // Once, and not when a second is over.
    follower.announce("");
    let mut buf = [0; 64];
    for _ in 0..count() {
        writers[0].append(b"one\n").unwrap();
        assert!(matches!(follower.next(&mut buf).unwrap(), Next::Bytes(_)));
    }
    drop(writers);
    std::process::exit(0);
}

fn chunks() {
    let log = Log::options().chunk_size(CHUNK).open_or_create(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    let message = [b'x'; 4096];
    for _ in 0..count() * CHUNK / 4096 {
        writer.append(&message).unwrap();
    }
    std::process::exit(0);
}

fn rotations() {
    let log = Log::options().open_or_create(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    for _ in 0..count() {
        writer.append(b"one line\n").unwrap();
        log.rotate(&Rotation::default()).unwrap();
    }
    std::process::exit(0);
}

/// What one more repetition of a role costs, by whoever counts a whole run of it.
fn each(
    role: &str,
    few: u64,
    more: &[(&'static str, String)],
    total: impl Fn(Actor, PathBuf) -> u64,
    wrap: impl Fn(&str) -> Command,
) -> f64 {
    let run = |count: u64| {
        let scene = scene();
        let out = scene.dir.path().join("counted");
        let mut parameters = vec![("LOG", scene.log.display().to_string()), ("COUNT", count.to_string())];
        parameters.extend_from_slice(more);
        total(Actor::under(wrap(&out.display().to_string()), role, &parameters), out)
    };
    (run(3 * few) as f64 - run(few) as f64) / (2 * few) as f64
}

fn instructions(role: &str, few: u64, more: &[(&'static str, String)]) -> f64 {
    let callgrind = |out: &str| {
        let mut command = Command::new("valgrind");
        command.args(["--quiet", "--tool=callgrind", &format!("--callgrind-out-file={out}")]);
        command
    };
    let total = |actor: Actor, out: PathBuf| {
        actor.finish();
        let said = fs::read_to_string(out).unwrap();
        let line = said.lines().find_map(|line| line.strip_prefix("summary: ")).unwrap();
        line.trim().parse().unwrap()
    };
    each(role, few, more, total, callgrind)
}

fn calls(role: &str, few: u64) -> f64 {
    let strace = |out: &str| common::strace(&["-qq", "-o", out]).unwrap();
    let total = |actor: Actor, out: PathBuf| {
        actor.finish();
        fs::read_to_string(out).unwrap().lines().count() as u64
    };
    each(role, few, &[], total, strace)
}

/// Compares with what is recorded, or records.
fn hold(what: &str, seen: f64) {
    static FILE: Mutex<()> = Mutex::new(());
    let _guard = FILE.lock().unwrap();
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/counts.txt");
    let text = fs::read_to_string(&file).unwrap_or_default();
    let mut recorded: BTreeMap<String, f64> = text
        .lines()
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(what, n)| (what.trim().to_owned(), n.parse().unwrap()))
        .collect();
    println!("{what}: {seen:.1}");
    if std::env::var_os("MMLOG_BLESS").is_some() {
        recorded.insert(what.to_owned(), seen);
        let mut lines = String::new();
        recorded.iter().for_each(|(what, n)| writeln!(lines, "{what:44} {n:.1}").unwrap());
        return fs::write(&file, lines).unwrap();
    }
    let expected = recorded[what];
    assert!(seen <= expected * (1.0 + TOLERANCE), "{what}: {seen:.1}, recorded are {expected:.1}");
}

fn has(program: &str, arguments: &[&str]) -> bool {
    let works = Command::new(program).args(arguments).output().is_ok_and(|o| o.status.success());
    if !works {
        println!("SKIPPED: {program} is missing or does not work here");
    }
    works
}

/// Of a release build, and where callgrind works.
fn counts_instructions() -> bool {
    if cfg!(debug_assertions) {
        println!("SKIPPED: instructions are counted in release builds");
        return false;
    }
    has("valgrind", &["--quiet", "--tool=callgrind", "--callgrind-out-file=/dev/null", "true"])
}

#[test]
fn an_append_takes_no_more_instructions_than_recorded() {
    if !counts_instructions() {
        return;
    }
    for bytes in [1, 128, 1024] {
        let seen = instructions("appends", 5_000, &[("BYTES", bytes.to_string())]);
        hold(&format!("instructions of an append of {bytes} B"), seen);
    }
}

#[test]
fn a_followers_look_takes_no_more_instructions_than_recorded() {
    if !counts_instructions() {
        return;
    }
    for writers in [1, 1000] {
        let seen = instructions("looks", 200, &[("WRITERS", writers.to_string())]);
        hold(&format!("instructions of an append and a look, {writers} writers"), seen);
    }
}

#[test]
fn a_chunk_and_a_rotation_take_no_more_system_calls_than_recorded() {
    if !has("strace", &["-o", "/dev/null", "true"]) || cfg!(debug_assertions) {
        return;
    }
    hold("system calls of a chunk of 16 MiB", calls("chunks", 4));
    hold("system calls of a rotation", calls("rotations", 20));
}
