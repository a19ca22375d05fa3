//! Guards the cost of the fast paths where noise cannot reach, against `counts.txt`: instructions of an append, of a log's first
//! one, of a follower's look and of closing, as callgrind counts them; system calls of opening, of one append between opening
//! and closing, of a chunk and of a rotation, as strace does; page faults of 10 000 appends, as the kernel does.
//!
//! `MMLOG_BLESS=1 cargo test --release -p campaign --test counts` records anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

#[path = "../../../tests/common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use common::{Actor, log_path, parameter, scene};
use mmlog::{Log, Next, Rotation, Start, Writer};
use nix::sys::resource::{UsageWho, getrusage};

/// How much more than what is recorded is no failure.
#[derive(Clone, Copy)]
enum Slack {
    /// Compilers, and labels that files have, differ by less; a lock, a call or a loop that came in costs more.
    Tenth,
    /// Of what happens each time, one more is a change; what happens now and then is a fraction.
    Half,
    /// Some belong to the program around it.
    Ten,
}

/// What strace calls system calls that only say how much memory a program has.
const MEMORY: [&str; 1] = ["brk"];
const CHUNK: u64 = 16 << 20;

#[test]
fn role() {
    common::play(&[
        ("appends", appends),
        ("looks", looks),
        ("chunks", chunks),
        ("rotations", rotations),
        ("sessions", sessions),
        ("faults", faults),
    ]);
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

/// Opens a log that is there and closes it, again and again; appends one line in between, where that is asked for.
fn sessions() {
    let appends: bool = parameter("APPENDS");
    for _ in 0..count() {
        let log = Log::options().open_or_create(log_path()).unwrap();
        if appends {
            first_append(&mut log.writer().unwrap());
        }
        close(log);
    }
    std::process::exit(0);
}

#[inline(never)]
fn first_append(writer: &mut Writer) {
    writer.append(b"one line\n").unwrap();
}

#[inline(never)]
fn close(log: Log) {
    log.close().unwrap();
}

/// Says how many page faults appends take behind the first one, in a log that is too slow for large pages.
fn faults() {
    let log = Log::options().open_or_create(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    let message = [b'x'; 128];
    let taken = || getrusage(UsageWho::RUSAGE_SELF).unwrap().minor_page_faults();
    writer.append(&message).unwrap();
    let before = taken();
    for _ in 0..count() {
        writer.append(&message).unwrap();
    }
    common::say(&(taken() - before).to_string());
    std::process::exit(0);
}

/// By kind, or all of one.
type Counts<N> = BTreeMap<String, N>;

/// What one more repetition of a role costs, by whoever counts a whole run of it.
fn each(
    role: &str,
    few: u64,
    more: &[(&'static str, String)],
    total: impl Fn(Actor, PathBuf) -> Counts<u64>,
    wrap: impl Fn(&str) -> Command,
) -> Counts<f64> {
    let run = |count: u64| {
        let scene = scene();
        let out = scene.dir.path().join("counted");
        let mut parameters = vec![("LOG", scene.log.display().to_string()), ("COUNT", count.to_string())];
        parameters.extend_from_slice(more);
        total(Actor::under(wrap(&out.display().to_string()), role, &parameters), out)
    };
    let (once, thrice) = (run(few), run(3 * few));
    let one_more = |(kind, n): (String, u64)| {
        let before = once.get(&kind).copied().unwrap_or(0);
        (kind, (n as f64 - before as f64) / (2 * few) as f64)
    };
    thrice.into_iter().map(one_more).collect()
}

/// Of all that a role does, or of one function.
fn instructions(role: &str, few: u64, more: &[(&'static str, String)], function: Option<&str>) -> f64 {
    let callgrind = |out: &str| {
        let mut command = Command::new("valgrind");
        command.args(["--quiet", "--tool=callgrind", &format!("--callgrind-out-file={out}")]);
        command.args(function.map(|name| format!("--toggle-collect=counts::{name}*")));
        command
    };
    let total = |actor: Actor, out: PathBuf| {
        actor.finish();
        let said = fs::read_to_string(out).unwrap();
        let line = said.lines().find_map(|line| line.strip_prefix("summary: ")).unwrap();
        Counts::from([(String::new(), line.trim().parse().unwrap())])
    };
    each(role, few, more, total, callgrind).values().sum()
}

fn calls(role: &str, few: u64, more: &[(&'static str, String)]) -> Counts<f64> {
    let strace = |out: &str| common::strace(&["-qq", "-e", "signal=none", "-o", out]).unwrap();
    let total = |actor: Actor, out: PathBuf| {
        actor.finish();
        let mut counts = Counts::new();
        for line in fs::read_to_string(out).unwrap().lines() {
            // `PID call(arguments) = result`.
            let call = line.split_whitespace().nth(1).and_then(|words| words.split_once('('));
            if let Some((kind, _)) = call.filter(|(kind, _)| !MEMORY.contains(kind)) {
                *counts.entry(kind.to_owned()).or_default() += 1;
            }
        }
        counts
    };
    each(role, few, more, total, strace)
}

/// Each kind of call for itself: which one came in is what somebody wants to know.
fn hold_calls(what: &str, few: u64, role: &str, more: &[(&'static str, String)]) {
    let seen = calls(role, few, more);
    seen.iter()
        .filter(|(_, n)| **n > 0.0)
        .for_each(|(kind, n)| hold(&format!("{kind} of {what}"), *n, Slack::Half));
}

/// Compares with what is recorded, or records.
fn hold(what: &str, seen: f64, slack: Slack) {
    static FILE: Mutex<()> = Mutex::new(());
    let _guard = FILE.lock().unwrap();
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/counts.txt");
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
    let expected = recorded.get(what).copied().unwrap_or(0.0);
    let most = match slack {
        Slack::Tenth => expected * 1.1,
        Slack::Half => expected + 0.5,
        Slack::Ten => expected + 10.0,
    };
    assert!(seen <= most, "{what}: {seen:.1}, recorded are {expected:.1}");
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
        let seen = instructions("appends", 5_000, &[("BYTES", bytes.to_string())], None);
        hold(&format!("instructions of an append of {bytes} B"), seen, Slack::Tenth);
    }
}

#[test]
fn a_followers_look_takes_no_more_instructions_than_recorded() {
    if !counts_instructions() {
        return;
    }
    for writers in [1, 1000] {
        let seen = instructions("looks", 200, &[("WRITERS", writers.to_string())], None);
        hold(&format!("instructions of an append and a look, {writers} writers"), seen, Slack::Tenth);
    }
}

#[test]
fn a_first_append_and_closing_take_no_more_instructions_than_recorded() {
    if !counts_instructions() {
        return;
    }
    for (what, function) in [("a first append", "first_append"), ("closing behind it", "close")] {
        let seen = instructions("sessions", 10, &[("APPENDS", true.to_string())], Some(function));
        hold(&format!("instructions of {what}"), seen, Slack::Tenth);
    }
}

/// Of a release build: others look at each descriptor before they close it.
fn counts_calls() -> bool {
    if cfg!(debug_assertions) {
        println!("SKIPPED: system calls are counted in release builds");
        return false;
    }
    has("strace", &["-o", "/dev/null", "true"])
}

#[test]
fn a_chunk_takes_no_more_system_calls_than_recorded() {
    if counts_calls() {
        // How fast a log goes decides on the pages of its chunks: not each kind for itself.
        let all = calls("chunks", 4, &[]).values().sum();
        hold("system calls of a chunk of 16 MiB", all, Slack::Tenth);
    }
}

#[test]
fn opening_closing_and_rotating_take_no_more_system_calls_than_recorded() {
    if !counts_calls() {
        return;
    }
    hold_calls("a rotation", 20, "rotations", &[]);
    hold_calls("opening and closing", 10, "sessions", &[("APPENDS", false.to_string())]);
    hold_calls("opening, an append and closing", 10, "sessions", &[("APPENDS", true.to_string())]);
}

#[test]
fn appends_take_no_more_page_faults_than_recorded() {
    let scene = scene();
    let parameters = [("LOG", scene.log.display().to_string()), ("COUNT", 10_000.to_string())];
    let mut actor = Actor::new("faults", &parameters);
    let taken = actor.hear().parse().unwrap();
    actor.finish();
    hold("page faults of 10000 appends of 128 B", taken, Slack::Ten);
}
