//! Guards that TERM, INT and HUP end every command soon, wherever it waits or works, also as the first process of a
//! container; that it says what was and was not done; and that what they leave the next run finishes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;
#[path = "signals/hung.rs"]
mod hung;
#[path = "signals/work.rs"]
mod work;

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use cli::{
    Held, IGNORED, Running, Scratch, Tool, at, is_ignored, metadata_of, mmlogctl, poke, skipped, slot,
    succeeds, wait_for, write_slot,
};
use mmlog::layout::LOCK_BYTE;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How a process is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum As {
    /// As any other.
    Ordinary,
    /// As the first one of a container, to whom the kernel gives no signal that it does not catch.
    First,
}

impl As {
    /// Those that can be had here.
    fn all(claim: &str) -> Vec<Self> {
        if is_ignored(Signal::SIGTERM) {
            skipped(claim, IGNORED);
            return Vec::new();
        }
        if succeeds(Command::new("unshare").args(UNSHARE).arg("true")) {
            return vec![Self::Ordinary, Self::First];
        }
        skipped(claim, "no PID namespace can be made, so only for ordinary processes");
        vec![Self::Ordinary]
    }

    fn start(self, tool: Tool) -> Running {
        match self {
            Self::Ordinary => tool.start(),
            Self::First => tool.through("unshare", &UNSHARE).start(),
        }
    }

    /// The code of a process that this signal ended.
    fn code(self, signal: Signal) -> i32 {
        match self {
            Self::Ordinary => -(signal as i32),
            Self::First => 128 + signal as i32,
        }
    }
}

const UNSHARE: [&str; 4] = ["--pid", "--fork", "--mount-proc", "--kill-child"];

/// Ended with the test, however that ends.
struct Stopped(Child);

impl Stopped {
    fn holding(log: &Path) -> Self {
        Self(Held::by_a_stopped_process(log))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether TERM is among those signals of that process (`SigCgt`: it has a handler); nothing once it is gone.
fn has_term(pid: Pid, which: &str) -> Option<bool> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let signals = status.lines().find_map(|line| line.strip_prefix(which)?.strip_prefix(':'))?;
    let signals = u64::from_str_radix(signals.trim(), 16).ok()?;
    Some(signals >> (Signal::SIGTERM as i32 - 1) & 1 == 1)
}

/// Waits until the tool has the log's metadata, or its directory, open and sleeps, then sends it the signal. (Who tries
/// again and again to open a log has the metadata only now and then.)
fn signal_when_it_waits(running: &Running, log: &Path, signal: Signal) {
    let metadata = metadata_of(log).canonicalize().unwrap();
    let directory = metadata.parent().unwrap();
    let waiting = || {
        let pid = running.innermost();
        let mut open = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
        open.find(|entry| {
            fs::read_link(entry.path()).is_ok_and(|target| target == metadata || target == directory)
        })?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Traced, it is stopped at each slow call.
        stat.rsplit_once(") ")?.1.starts_with(['S', 't']).then_some(pid)
    };
    kill(wait_for("it waits", waiting), signal).unwrap();
}

/// Commands that need the log's lock, and what makes them have something to do.
const LOCKING: [(&str, &[&str]); 5] = [
    ("rotate", &["--wait=1h"]),
    ("trim", &["--wait=1h"]),
    ("prune", &["--keep=0", "--wait=1h"]),
    ("prune", &["--forget=x", "--wait=1h"]),
    ("repair", &["--wait=1h"]),
];

/// A log with two segments, a hold, and a dead writer's append in flight.
fn busy_log(scratch: &Scratch) -> PathBuf {
    let log = scratch.log(b"one\n");
    mmlogctl("rotate", &log).run().is_success();
    mmlogctl("append", &log).input(b"two\n").run().is_success();
    let place = scratch.file("place");
    let held = ["--hold=x", "--until-now", "--cursor-file"];
    mmlogctl("tail", &log).args(held).arg(&place).run().printed(b"one\ntwo\n");
    poke(&log, at::CURSOR, &12_u64.to_ne_bytes());
    write_slot(&log, 5, slot(3, 8), 4, i32::MAX.cast_unsigned());
    log
}

#[test]
fn a_signal_ends_whoever_waits_for_the_lock_of_a_stopped_process_and_names_it() {
    for way in As::all("a signal ends whoever waits for the lock") {
        for (command, args) in LOCKING {
            let scratch = Scratch::new();
            let log = busy_log(&scratch);
            let holder = Stopped::holding(&log);
            let running = way.start(mmlogctl(command, &log).args(args));
            signal_when_it_waits(&running, &log, Signal::SIGTERM);
            let ended = running.end();
            assert_eq!(ended.code, way.code(Signal::SIGTERM), "{command}, {way:?}: {ended:?}");
            // A container does not see who is outside.
            let who =
                if way == As::First { "a process that has not said who it is" } else { "sleep 1d, stopped" };
            ended.says(&log, &["stopped while it waited", who, "the log's lock"]);
            drop(holder);
            let again = mmlogctl(command, &log).args(args).run();
            assert_eq!(again.code, 0, "{command}: {again:?}");
            assert_eq!(mmlogctl("check", &log).arg("--deep").run().code, 0, "{command}");
        }
    }
}

#[test]
fn a_signal_ends_whoever_waits_for_maintenance_or_for_a_writer_and_nobody_is_held_up() {
    for way in As::all("a signal ends whoever waits for maintenance or a writer") {
        for (command, args) in LOCKING.iter().filter(|(_, args)| args[0] != "--forget=x") {
            for what in ["maintenance", "slot 5"] {
                // A prune and a repair do not wait for a writer who is at it.
                if what == "slot 5" && !["rotate", "trim"].contains(command) {
                    continue;
                }
                let scratch = Scratch::new();
                let log = busy_log(&scratch);
                let held = match what {
                    "slot 5" => Held::slot(&log, 5),
                    _ => Held::maintenance(&log),
                };
                let running = way.start(mmlogctl(command, &log).args(*args));
                signal_when_it_waits(&running, &log, Signal::SIGTERM);
                let ended = running.end();
                assert_eq!(ended.code, way.code(Signal::SIGTERM), "{command} for {what}, {way:?}: {ended:?}");
                ended.says(&log, &["stopped while it waited", what]);
                // The gate is open.
                let mut append = mmlogctl("append", &log).start();
                append.feed(b"three\n");
                let cursor = || mmlogctl("status", &log).arg("--json").run().text();
                wait_for("the line", || cursor().contains("\"cursor\":18,").then_some(()));
                drop(held);
                append.end();
                mmlogctl("cat", &log).run().printed(b"one\ntwo\nthree\n");
                let again = mmlogctl(command, &log).args(*args).run();
                assert_eq!(again.code, 0, "{command}: {again:?}");
            }
        }
    }
}

#[test]
fn a_second_signal_ends_an_append_that_is_the_first_process_of_a_container() {
    for way in As::all("a second signal ends an append") {
        let scratch = Scratch::new();
        let log = scratch.log(b"one\n");
        let mut running = way.start(mmlogctl("append", &log).arg("--grace=1h"));
        running.feed(b"two\n");
        wait_for("the line", || (mmlogctl("cat", &log).run().stdout == b"one\ntwo\n").then_some(()));
        let pid = running.innermost();
        kill(pid, Signal::SIGTERM).unwrap();
        running.until_stderr("a second signal ends this at once");
        kill(pid, Signal::SIGTERM).unwrap();
        let open = running.stdin.take();
        assert_eq!(running.end().code, way.code(Signal::SIGTERM), "{way:?}");
        drop(open);
    }
}

/// Every command that opens a log, as it is typed.
const OPENING: [(&str, &[&str]); 19] = [
    ("init", &[]),
    ("append", &[]),
    ("exec", &["--", "true"]),
    ("cat", &[]),
    ("tail", &[]),
    ("tail", &["-f"]),
    ("grep", &["-e", "x"]),
    ("grep", &["-fe", "x"]),
    ("status", &[]),
    ("segments", &[]),
    ("stats", &[]),
    ("stats", &["--read"]),
    ("check", &[]),
    ("check", &["--deep"]),
    ("repair", &["--wait=1h"]),
    ("trim", &["--wait=1h"]),
    ("rotate", &["--wait=1h"]),
    ("prune", &["--keep=0", "--wait=1h"]),
    ("inspect", &["--once"]),
];

/// What each of them ends with, instead of as the signal would end it.
fn own_code(command: &str, args: &[&str]) -> Option<i32> {
    match command {
        "append" => Some(3),
        "tail" if args.contains(&"-f") => Some(3),
        "grep" if args.contains(&"-fe") => Some(2),
        "exec" => Some(125),
        // It shows what it knows of each log.
        "inspect" => Some(0),
        _ => None,
    }
}

/// A log that somebody is making, and not done with.
fn in_the_making(scratch: &Scratch) -> (PathBuf, Held) {
    let log = scratch.log(b"one\n");
    let held = Held::byte(&log, LOCK_BYTE);
    poke(&log, at::IS_READY, &[0]);
    (log, held)
}

#[test]
fn a_signal_ends_every_command_that_waits_for_a_log_to_be_made() {
    for way in As::all("a signal ends every command that waits for a log to be made") {
        let scratch = Scratch::new();
        let (log, held) = in_the_making(&scratch);
        // Ctrl-C is ignored in a background job of a script, and so it is by what that starts.
        let signal = if is_ignored(Signal::SIGINT) { Signal::SIGTERM } else { Signal::SIGINT };
        // A screen of many logs waits for none of them.
        for (command, args) in OPENING.into_iter().filter(|(command, _)| *command != "inspect") {
            let running = way.start(mmlogctl(command, &log).args(args));
            signal_when_it_waits(&running, &log, signal);
            let ended = running.end();
            let code = own_code(command, args).unwrap_or(way.code(signal));
            assert_eq!(ended.code, code, "{command} {args:?}, {way:?}: {ended:?}");
            // A plugin's first line is on standard output.
            let said = ended.text() + &ended.stderr;
            assert!(said.contains("stopped while it waited"), "{command} {args:?}: {ended:?}");
        }
        poke(&log, at::IS_READY, &[1]);
        drop(held);
        mmlogctl("cat", &log).run().printed(b"one\n");
    }
}

#[test]
fn a_signal_says_of_each_log_that_was_not_begun() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let others = ["b.log", "c.log"].map(|name| scratch.file(name));
    let held = Held::byte(&log, LOCK_BYTE);
    let running = mmlogctl("rotate", &log).args(&others).arg("--wait=1h").start();
    signal_when_it_waits(&running, &log, Signal::SIGTERM);
    let ended = running.end();
    let [b, c] = others.map(|log| log.display().to_string());
    let said = format!("{b}, {c}: told to stop, and did not begin them; the same command does\n");
    assert!(ended.stderr.contains("stopped while it waited") && ended.stderr.contains(&said), "{ended:?}");
    drop(held);
}

#[test]
fn every_command_says_on_a_terminal_whom_it_waits_for() {
    let scratch = Scratch::new();
    let (log, held) = in_the_making(&scratch);
    for (command, args) in OPENING.iter().filter(|(command, _)| *command != "inspect") {
        let terminal = nix::pty::openpty(None, None).unwrap();
        let mut tool = Command::new(env!("CARGO_BIN_EXE_mmlogctl"));
        tool.arg(command)
            .arg(&log)
            .args(*args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(terminal.slave);
        let mut child = tool.spawn().unwrap();
        drop(tool);
        let (mut screen, mut said) = (File::from(terminal.master), Vec::new());
        // If it is not said, the wait ends, and with it the terminal.
        while !String::from_utf8_lossy(&said).contains("waiting: ") {
            let mut piece = [0; 512];
            let n =
                screen.read(&mut piece).unwrap_or_else(|e| panic!("{command} {args:?} does not say: {e}"));
            said.extend_from_slice(&piece[..n]);
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    drop(held);
}

#[test]
fn a_signal_ends_whoever_prints_for_a_reader_that_stands_still() {
    for way in As::all("a signal ends whoever prints for a reader that stands still") {
        for (command, args) in
            [("cat", &[][..]), ("tail", &["-n+1"]), ("tail", &["-n+1", "-f"]), ("grep", &["-e", "."])]
        {
            let scratch = Scratch::new();
            let log = work::heavy(&scratch);
            let tool = mmlogctl(command, &log).args(args);
            let running = match way {
                As::Ordinary => tool.start_unread(),
                As::First => tool.through("unshare", &UNSHARE).start_unread(),
            };
            let pid = wait_for("it waits in a write", || {
                let pid = running.innermost();
                let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
                let call = |path: PathBuf| fs::read_to_string(path.join("syscall")).unwrap_or_default();
                // write(1, ...)
                threads
                    .map(|thread| call(thread.path()))
                    .any(|call| call.starts_with("1 0x1 "))
                    .then_some(pid)
            });
            kill(pid, Signal::SIGTERM).unwrap();
            let ended = running.end();
            let follows = args.contains(&"-f");
            let code = if follows { 0 } else { way.code(Signal::SIGTERM) };
            assert_eq!(ended.code, code, "{command} {args:?}, {way:?}: {ended:?}");
            assert!(follows || ended.stderr.contains("ended by a signal"), "{ended:?}");
        }
    }
}

#[test]
fn an_input_that_was_closed_is_called_empty_and_no_file_of_the_log_takes_its_place() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let shell = |redirections: &str, line: &str| {
        let tool = env!("CARGO_BIN_EXE_mmlogctl");
        let script = format!("exec {tool} {line} {redirections}");
        Tool::new("sh").args(["-c", &script, "sh"]).arg(&log)
    };
    let ended = shell("<&-", "append \"$1\"").run();
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.says(&log, &["standard input is closed", "nothing to append"]);
    mmlogctl("append", &log).stdin(Stdio::null()).start().end().is_success();
    for closed in ["<&- >&- 2>&-", ">&-", "2>&-", "<&- 2>&-"] {
        for line in
            ["tail -f \"$1\"", "cat \"$1\" /nonexistent", "append \"$1\"", "trim \"$1\"", "status \"$1\""]
        {
            let running = shell(closed, line).start();
            // Without an output it ends by itself.
            if line.starts_with("tail") && !closed.split(' ').any(|stream| stream == ">&-") {
                running.until_open(&metadata_of(&log));
                for standard in 0..3 {
                    let there = fs::read_link(format!("/proc/{}/fd/{standard}", running.pid())).unwrap();
                    assert!(!there.starts_with(scratch.path()), "{closed}: {}", there.display());
                }
                running.signal(Signal::SIGTERM);
            }
            running.end();
        }
    }
    mmlogctl("cat", &log).run().printed(b"one\n");
    assert_eq!(mmlogctl("check", &log).arg("--deep").run().code, 0);
}
