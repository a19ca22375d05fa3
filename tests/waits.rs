//! Guards that whatever waits for others has an end: its patience, a signal, or theirs; that it says for whom it waits;
//! and that what was done is not called a failure because others were in the way afterwards.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use cli::{Held, IGNORED, Running, Scratch, is_ignored, mmlogctl, skipped, wait_for};
use mmlog::layout::{Header, LOCK_BYTE, SLOT_BYTES, SlotWait};
use mmlog::repair;
use mmlog::{Class, Fault, Log, Observer, Options, Retention, Rotation, Start, Wait};
use nix::libc;
use nix::sys::signal::Signal;

/// Commands with a patience of their own, and what makes them have something to do.
const PATIENT: [(&str, &[&str]); 4] =
    [("rotate", &[]), ("trim", &[]), ("prune", &["--keep=0"]), ("repair", &["--accept-loss"])];

/// A log at rest with two segments, for which each of [`PATIENT`] has something to do.
fn busy_log(scratch: &Scratch) -> PathBuf {
    let log = scratch.log(b"one\n");
    mmlogctl("rotate", &log).run().is_success();
    mmlogctl("append", &log).input(b"two\n").run().is_success();
    log
}

/// The seconds that it says to have waited.
fn said_to_have_waited(stderr: &str) -> f64 {
    let (_, said) = stderr.split_once("for more than ").unwrap_or_else(|| panic!("{stderr}"));
    let words: Vec<&str> = said.split([' ', ';']).collect();
    let number: f64 = words[0].parse().unwrap();
    if words[1] == "ms" { number / 1000.0 } else { number }
}

#[test]
fn wait_is_the_whole_patience_also_for_the_logs_lock() {
    let scratch = Scratch::new();
    let log = busy_log(&scratch);
    let held = Held::byte(&log, LOCK_BYTE);
    for (command, args) in PATIENT.into_iter().filter(|(command, _)| *command != "repair") {
        let ended = mmlogctl(command, &log).args(args).arg("--wait=1ms").run();
        ended.is_refused(3, &log, &["holds the log's lock"]);
        // The library's own patience is 10 s: that much is never load.
        assert!(said_to_have_waited(&ended.stderr) < 9.0, "{command}: {ended:?}");
    }
    drop(held);
}

/// Waits until the process sleeps, with the log's metadata open.
fn until_it_waits(running: &Running, log: &Path) {
    running.until_open(&cli::metadata_of(log));
    let stat = format!("/proc/{}/stat", running.pid());
    let sleeps = || {
        let stat = std::fs::read_to_string(&stat).ok()?;
        stat.rsplit_once(") ")?.1.starts_with('S').then_some(())
    };
    wait_for("it sleeps", sleeps);
}

#[test]
fn a_signal_ends_whoever_waits_however_patient() {
    let scratch = Scratch::new();
    let log = busy_log(&scratch);
    let _held = Held::byte(&log, LOCK_BYTE);
    for (command, args) in PATIENT.into_iter().filter(|(command, _)| *command != "repair") {
        let running = mmlogctl(command, &log).args(args).arg("--wait=1h").start();
        until_it_waits(&running, &log);
        running.signal(Signal::SIGTERM);
        assert_eq!(running.end().code, -(Signal::SIGTERM as i32), "{command}");
    }
}

#[test]
fn an_append_that_waits_for_the_lock_hears_a_signal_and_says_what_is_not_stored() {
    if is_ignored(Signal::SIGTERM) {
        return skipped("a signal ends an append that waits for the lock", IGNORED);
    }
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let held = Held::byte(&log, LOCK_BYTE);
    let mut running = mmlogctl("append", &log).start();
    running.feed(b"four\n");
    until_it_waits(&running, &log);
    running.signal(Signal::SIGTERM);
    let ended = running.end();
    ended.is_refused(3, &log, &["stopped while it waited", "the log's lock", "(5 bytes were not stored)"]);
    drop(held);
    mmlogctl("cat", &log).run().printed(b"one\n");
}

/// A lock for reading on that byte, as whoever may read the metadata can have it.
fn read_lock(log: &Path, byte: u64) -> File {
    let file = File::open(cli::metadata_of(log)).unwrap();
    let lock = libc::flock {
        l_type: libc::F_RDLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: byte.cast_signed(),
        l_len: 1,
        l_pid: 0,
    };
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_OFD_SETLK(&lock)).unwrap();
    file
}

#[test]
fn a_durable_append_that_cannot_be_synced_hears_a_signal() {
    if is_ignored(Signal::SIGTERM) {
        return skipped("a signal ends an append that waits for a sync", IGNORED);
    }
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let mut running = mmlogctl("append", &log).arg("--sync=always").start();
    until_it_waits(&running, &log);
    // A dead writer's append in flight, whose byte nobody can have.
    let _held = read_lock(&log, SLOT_BYTES + 5);
    cli::poke(&log, cli::at::CURSOR, &8u64.to_ne_bytes());
    cli::write_slot(&log, 5, 3 << 62 | 4, 4, std::process::id());
    running.feed(b"two\n");
    running.signal(Signal::SIGTERM);
    let ended = running.end();
    assert_eq!(ended.code, 3, "{ended:?}");
    for words in ["slot 5", "which is dead", "what was read is in the log"] {
        assert!(ended.stderr.contains(words), "without {words:?}: {ended:?}");
    }
}

#[test]
fn a_program_that_ends_is_not_outlived_by_a_wait_after_a_signal() {
    if is_ignored(Signal::SIGTERM) {
        return skipped("a signal ends exec with its program", IGNORED);
    }
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let program = "trap '' TERM; echo up; read go; head -c 100000 /dev/zero | tr '\\0' x; echo";
    let mut running = mmlogctl("exec", &log).args(["--", "sh", "-c", program]).start();
    wait_for("the program runs", || (mmlogctl("cat", &log).run().stdout == b"one\nup\n").then_some(()));
    // More than a chunk: it has to grow, and cannot.
    let _held = Held::byte(&log, LOCK_BYTE);
    running.signal(Signal::SIGTERM);
    running.feed(b"go\n");
    let ended = running.end();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("100001 bytes of the program's output were not stored"), "{ended:?}");
}

#[test]
fn whom_a_long_wait_is_for_is_said_on_a_terminal() {
    let scratch = Scratch::new();
    let log = busy_log(&scratch);
    let held = Held::byte(&log, LOCK_BYTE);
    let terminal = nix::pty::openpty(None, None).unwrap();
    let mut trim = Command::new(env!("CARGO_BIN_EXE_mmlogctl"));
    trim.args(["trim", "--wait=1h"]).arg(&log).stdin(Stdio::null()).stderr(terminal.slave);
    let mut child = trim.spawn().unwrap();
    drop(trim);
    let (mut screen, mut said) = (File::from(terminal.master), Vec::new());
    let wanted = format!("{}: waiting: ", log.display());
    // If it is not said, the test is ended by the deadline of whoever runs it.
    while !String::from_utf8_lossy(&said).contains(&wanted) {
        let mut piece = [0; 512];
        let n = screen.read(&mut piece).unwrap();
        said.extend_from_slice(&piece[..n]);
    }
    assert!(String::from_utf8_lossy(&said).contains("holds the log's lock"));
    drop(held);
    assert!(child.wait().unwrap().success());
}

#[test]
fn an_append_that_cannot_trim_behind_it_has_done_its_work() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let _held = Held::maintenance(&log);
    // One message from a pipe that has ended leaves nothing to trim.
    let one = mmlogctl("append", &log).stdin(ended_pipe(b"two\n")).start().end();
    assert_eq!((one.code, one.stderr.as_str()), (0, ""));
    let lines = scratch.file("lines");
    std::fs::write(&lines, b"three\n").unwrap();
    let ended = mmlogctl("append", &log).stdin(File::open(lines).unwrap()).start().end();
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.says(&log, &["(waits-", "maintenance", "nothing is lost"]);
    let ended = mmlogctl("exec", &log).args(["--", "sh", "-c", "echo four; exit 7"]).run();
    assert_eq!(ended.code, 7, "{ended:?}");
    ended.says(&log, &["(waits-", "maintenance", "nothing is lost"]);
    mmlogctl("cat", &log).run().printed(b"one\ntwo\nthree\nfour\n");
}

fn ended_pipe(content: &[u8]) -> std::io::PipeReader {
    let (read, mut write) = std::io::pipe().unwrap();
    write.write_all(content).unwrap();
    read
}

#[test]
fn prune_does_not_sync_while_it_keeps_others_from_maintenance() {
    let scratch = Scratch::new();
    let log = busy_log(&scratch);
    let maintenance = Held::maintenance(&log);
    let pruned = mmlogctl("prune", &log).args(["--keep=0", "--wait=1ms"]).run();
    pruned.is_refused(3, &log, &["(waits-"]);
    drop(maintenance);
    let status = mmlogctl("status", &log).arg("--json").run().text();
    assert!(status.contains("\"synced\":8"), "it had synced before it was refused: {status}");
}

fn options() -> Options {
    Log::options().chunk_size(65536)
}

#[test]
fn a_patience_of_any_length_will_do() {
    let scratch = Scratch::new();
    let (path, old) = (scratch.file("app.log"), scratch.file("old"));
    std::fs::create_dir(&old).unwrap();
    let longest = Duration::MAX;
    let log = options().wait(longest).open_or_create(&path).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append_durable(b"one\n").unwrap();
    log.trim(longest).unwrap();
    let how = Rotation::default().if_age(longest).if_size(1).wait(longest);
    log.rotate(&how).unwrap().unwrap();
    log.set_old_directory(Path::new("old"), longest).unwrap();
    log.move_segments(Path::new("old"), longest).unwrap();
    log.compress(&mmlog::Compress::new(mmlog::Compression::Zstd).wait(longest), |_| {}).unwrap();
    writer.append(b"two\n").unwrap();
    let hold = log.hold("reader", log.oldest().unwrap()).unwrap().patience(longest);
    hold.advance(log.cursor().unwrap()).unwrap();
    log.prune(&Retention::default().keep(0).keep_age(longest).wait(longest)).unwrap();
    let mut follower = log.follow(Start::Oldest).unwrap();
    assert_eq!(follower.wait(longest).unwrap(), Wait::Moved);
    repair::examine(&path, &options().wait(longest)).unwrap().plan(&[]).apply().unwrap();
    mmlogctl("trim", &path).args(["--wait", "9223372036854775000s"]).run().is_success();
}

#[test]
fn a_raised_flag_ends_a_wait_and_lets_all_else_be_done() {
    let scratch = Scratch::new();
    let path = scratch.file("app.log");
    let stop = Arc::new(AtomicBool::new(false));
    let log = options().wait(Duration::MAX).stop(Arc::clone(&stop)).open_or_create(&path).unwrap();
    let mut writer = log.writer().unwrap();
    stop.store(true, Ordering::Release);
    writer.append(b"one\n").unwrap();
    let held = Held::byte(&path, LOCK_BYTE);
    let error = writer.append(&[b'x'; 70000]).unwrap_err();
    assert!(matches!(error.fault(), Fault::Stopped { .. }), "{error}");
    assert_eq!(error.fault().class(), Class::Busy);
    let waiting = thread::spawn({
        let log = log.clone();
        move || log.trim(Duration::MAX)
    });
    assert!(matches!(waiting.join().unwrap().unwrap_err().fault(), Fault::Stopped { .. }));
    drop(held);
    writer.append(&[b'x'; 70000]).unwrap();
}

#[test]
fn who_waits_for_the_lock_to_open_the_log_is_counted_and_makes_that_critical_after_half_a_minute() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let held = Held::byte(&log, LOCK_BYTE);
    let waiters = || Observer::open(&log, &Log::options()).unwrap().look().unwrap().slot_waiters;
    assert_eq!(waiters(), None);
    let opened = || Log::options().wait(Duration::from_millis(1)).open(&log);
    let since = [(); 2].map(|()| {
        assert!(matches!(opened().err().unwrap().fault(), Fault::Stalled { .. }));
        waiters().map(|w| (w.count, w.since))
    });
    assert!(since[0].is_some_and(|(count, _)| count == 1));
    assert_eq!(since[0], since[1], "who comes back has waited all the time");

    let running = mmlogctl("append", &log).input(b"two\n").start();
    let now = wait_for("it is seen", || waiters().filter(|w| w.pid == running.pid()));
    assert_eq!(now.count, 1);
    let ago = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() - Duration::from_secs(40);
    let ago = u64::try_from(ago.as_nanos()).unwrap();
    cli::poke(&log, offset_of!(Header, slot_wait) + offset_of!(SlotWait, since_ns), &ago.to_ne_bytes());
    let checked = mmlogctl("check", &log).run();
    assert!(checked.code == 2 && checked.text().starts_with("LOCKED - "), "{checked:?}");
    let said = format!("process {} (mmlogctl) has waited 4", running.pid());
    assert!(checked.text().contains(&said), "{checked:?}");
    let metrics = mmlogctl("check", &log).args(["--prom", "-"]).run().text();
    let sample = |name: &str| metrics.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(sample("mmlog_appends_waiting{").ends_with(" 1"), "{metrics}");
    assert!(!sample("mmlog_append_wait_seconds{").ends_with(" 0"), "{metrics}");
    let json = mmlogctl("status", &log).arg("--json").run().text();
    assert!(json.contains(&format!("\"slot_waiters\":{{\"count\":1,\"pid\":{},", running.pid())), "{json}");

    drop(held);
    running.end().is_success();
    assert_eq!(waiters(), None);
    assert_eq!(mmlogctl("check", &log).run().code, 0);
}
