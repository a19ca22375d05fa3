//! Guards the diagnosis where `drill` does not reach: who is named, and by which number, when processes have several.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;
#[path = "diagnosis/policies.rs"]
mod policies;
#[path = "diagnosis/waits.rs"]
mod waits;

use std::fs;
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use mmlog::layout::{Owner, SLOTS_AT, Slot, SlotHot};
use mmlog::{
    Fault, FindingId, FollowerStatus, InFlight, Log, Observer, Options, OutputReader, Phase, ProcessState,
    Seat, Severity, State, Status, Thresholds, Want, WriterStatus,
};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use cli::{Scratch, Tool, mmlogctl, own_mounts, skipped, small_disk, succeeds, wait_for};

fn look(log: &Path) -> Status {
    Observer::open(log, &Options::new()).unwrap().look().unwrap()
}

/// A status of a log with one writer, which has 8 bytes in flight.
fn in_flight(log: &Path, process: ProcessState, seat: Seat) -> Status {
    let open = Log::options().open_or_create(log).unwrap();
    let mut writer = open.writer().unwrap();
    writer.append(b"one\n").unwrap();
    let mut status = look(log);
    let writer = &mut status.writers[0];
    (writer.process, writer.seat) = (process, seat);
    writer.in_flight =
        Some(InFlight { phase: Phase::Copying, start: 4, end: 12, for_at_least: Duration::from_secs(192) });
    status
}

#[test]
fn a_stopped_writer_is_named_with_what_it_holds_up_and_the_command_that_continues_it() {
    let scratch = Scratch::new();
    let here = Seat { namespace: None, pid: Some(4312), uid: None };
    let mut status = in_flight(&scratch.file("app.log"), ProcessState::Stopped, here);
    (status.writers[0].pid, status.writers[0].command) = (4312, "nginx-log".to_owned());
    let found = status.diagnose(&Thresholds::default()).remove(0);
    assert_eq!(
        (found.id, found.severity, found.state, found.pid),
        (FindingId::WriterStalled, Severity::Critical, State::Stalled, Some(4312))
    );
    let said = "writer 4312 (nginx-log) is stopped with 8 B in flight at 4 (copying), for at least 3m12s; \
                followers see nothing behind it";
    assert_eq!(found.sentence, said);
    let step =
        "`kill -CONT 4312`, or `kill -9 4312`: it heals; what is not yet appended, pipe included, is lost";
    assert_eq!(found.next_step, step);
}

#[test]
fn what_was_seen_for_less_than_a_second_is_not_said_in_milliseconds() {
    let scratch = Scratch::new();
    let here = Seat { namespace: None, pid: Some(4312), uid: None };
    let mut status = in_flight(&scratch.file("app.log"), ProcessState::Stopped, here);
    let usual = Thresholds::default();
    for (ms, said) in [
        (66, ", for at least a moment; "),
        (999, ", for at least a moment; "),
        (1066, ", for at least 1 s; "),
    ] {
        status.writers[0].in_flight.as_mut().unwrap().for_at_least = Duration::from_millis(ms);
        let found = status.diagnose(&usual).remove(0);
        assert!(found.id == FindingId::WriterStalled && found.sentence.contains(said), "{found:?}");
    }
}

#[test]
fn nobody_is_told_to_kill_a_number_of_another_pid_namespace() {
    let scratch = Scratch::new();
    let lost = Seat { namespace: Some(4_026_531_999), pid: None, uid: None };
    let status = in_flight(&scratch.file("app.log"), ProcessState::Unknown, lost);
    let found = status.diagnose(&Thresholds::default()).remove(0);
    assert_eq!((found.id, found.pid), (FindingId::WriterStalled, None));
    assert!(found.sentence.contains("of PID namespace 4026531999"), "{}", found.sentence);
    assert!(!found.next_step.contains("kill -"), "{}", found.next_step);
}

#[test]
fn a_writer_of_another_pid_namespace_is_named_by_its_id_here() {
    let claim = "a writer of another PID namespace is named by its id here";
    if !succeeds(Command::new("unshare").args(["--pid", "--fork", "true"])) {
        return skipped(claim, "unshare(1) is missing or may not make PID namespaces");
    }
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let tool = env!("CARGO_BIN_EXE_mmlogctl");
    let mut running =
        Tool::new("unshare").args(["--pid", "--fork", "--kill-child", tool, "append"]).arg(&log).start();
    running.feed(b"one\n");
    let written = || Observer::open(&log, &Options::new()).ok()?.look().ok().filter(|s| s.cursor == 4);
    let status = wait_for("the line", written);
    let [writer] = &status.writers[..] else { panic!("{:?}", status.writers) };
    let here = writer.seat.pid.unwrap();
    assert_eq!(writer.pid, 1, "the first process of its namespace");
    assert!(writer.seat.namespace.is_some());
    assert_ne!(here, 1);
    assert_eq!(fs::read_to_string(format!("/proc/{here}/comm")).unwrap().trim(), writer.command);
    assert_ne!(writer.process, ProcessState::Unknown);
    kill(Pid::from_raw(here.cast_signed()), Signal::SIGSTOP).unwrap();
    let stopped = || (look(&log).writers[0].process == ProcessState::Stopped).then_some(());
    wait_for("it is seen stopped", stopped);
    kill(Pid::from_raw(here.cast_signed()), Signal::SIGCONT).unwrap();
    assert_eq!(running.end().code, 0);
}

#[test]
fn the_worst_finding_makes_the_state() {
    let scratch = Scratch::new();
    let here = Seat { namespace: None, pid: Some(std::process::id()), uid: None };
    let mut status = in_flight(&scratch.file("app.log"), ProcessState::Stopped, here);
    status.max_writers = 1;
    status.file.free = Ok(0);
    let found: Vec<FindingId> = status.diagnose(&Thresholds::default()).iter().map(|f| f.id).collect();
    assert_eq!(found, [FindingId::WriterStalled, FindingId::DiskNearlyFull, FindingId::WritersFull]);
    status.limit = status.cursor;
    let found = status.diagnose(&Thresholds::default());
    assert_eq!((found[0].id, found[0].state), (FindingId::DiskFull, State::Full));
}

#[test]
fn a_sentence_of_a_hostile_log_is_still_a_command_on_that_log() {
    let scratch = Scratch::new();
    let log = scratch.file("it's a $(log).log");
    let here = Seat { namespace: None, pid: Some(1), uid: None };
    let mut status = in_flight(&log, ProcessState::Sleeping, here);
    status.writers.clear();
    status.file.free = Ok(0);
    let next = status.diagnose(&Thresholds::default()).remove(0).next_step;
    let command = next.split('`').nth(1).unwrap();
    let words =
        Command::new("sh").arg("-c").arg(format!("set -- {command}; printf '%s' \"$3\"")).output().unwrap();
    assert_eq!(Path::new(std::str::from_utf8(&words.stdout).unwrap()), log.parent().unwrap(), "{command}");
}

#[test]
fn a_time_that_nobody_knows_is_not_said() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let open = Log::options().open_or_create(&log).unwrap();
    let _writer = open.writer().unwrap();
    let hot = |field: usize, bytes: &[u8]| cli::poke(&log, SLOTS_AT + field, bytes);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let now_ns = u64::try_from(now.as_nanos()).unwrap();
    let soon_after_1970 = 1_000_000_000_u64.to_ne_bytes();
    hot(offset_of!(Slot, cold) + offset_of!(Owner, since_ns), &soon_after_1970);
    hot(offset_of!(SlotHot, wait_since_ns), &now_ns.to_ne_bytes());
    hot(offset_of!(SlotHot, wait_tried_ns), &soon_after_1970);
    hot(offset_of!(SlotHot, wait_kind), &1_u32.to_ne_bytes());
    let json = mmlogctl("status", &log).arg("--json").run().text();
    assert!(json.contains("\"since\":null") && !json.contains("1970"), "{json}");
    let status = mmlogctl("status", &log).run().text();
    assert!(!status.contains("1970") && !status.contains("y ago"), "{status}");
}

#[test]
fn a_lock_that_a_slow_disk_keeps_for_a_moment_is_nobodys_fault() {
    let scratch = Scratch::new();
    let here = Seat { namespace: None, pid: Some(7), uid: None };
    let mut status = in_flight(&scratch.file("app.log"), ProcessState::Sleeping, here);
    (status.lock.held, status.lock.process) = (Ok(true), ProcessState::DiskSleep);
    status.lock.for_at_least = Duration::from_millis(54);
    let is_held = |status: &Status| {
        status.diagnose(&Thresholds::default()).iter().any(|found| found.id == FindingId::LockHeld)
    };
    status.lock.since = Some(SystemTime::now());
    assert!(!is_held(&status));
    status.lock.since = Some(SystemTime::now() - Duration::from_secs(9));
    assert!(is_held(&status));
}

#[test]
fn several_that_stand_are_one_sentence_and_one_command() {
    let scratch = Scratch::new();
    let here = Seat { namespace: None, pid: Some(1), uid: None };
    let mut status = in_flight(&scratch.file("app.log"), ProcessState::Stopped, here);
    let one = status.writers.remove(0);
    for pid in [18018, 18062, 18401] {
        let seat = Seat { namespace: None, pid: Some(pid), uid: None };
        status.writers.push(WriterStatus { slot: pid, pid, seat, ..one.clone() });
    }
    let found = status.diagnose(&Thresholds::default());
    let stalled: Vec<_> = found.iter().filter(|f| f.id == FindingId::WriterStalled).collect();
    let [found] = stalled[..] else { panic!("{found:?}") };
    let said = "3 of 3 writers are stopped: 18018, 18062, 18401 with 24 B in flight";
    assert!(found.sentence.starts_with(said), "{}", found.sentence);
    assert_eq!(found.command(), Some("kill -CONT 18018 18062 18401"));
}

#[test]
fn who_waits_for_a_slot_is_counted_until_he_has_one() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let open = Log::options().max_writers(1).open_or_create(&log).unwrap();
    let first = open.writer().unwrap();
    assert_eq!(look(&log).slot_waiters, None);
    let (second, third) = (Log::options().open(&log).unwrap(), Log::options().open(&log).unwrap());
    for other in [&second, &third, &second] {
        assert!(matches!(other.writer().err().unwrap().fault(), Fault::WritersFull { .. }));
    }
    let status = look(&log);
    let waiters = status.slot_waiters.clone().unwrap();
    assert_eq!((waiters.count, waiters.pid), (2, std::process::id()));
    let full = status.findings.iter().find(|f| f.id == FindingId::WritersFull).unwrap();
    assert_eq!((full.severity, status.state), (Severity::Critical, State::Locked));
    assert!(full.sentence.contains("2 programs have waited"), "{}", full.sentence);
    // One gives up, the other gets it.
    third.close().unwrap();
    assert_eq!(look(&log).slot_waiters.map(|w| w.count), Some(1));
    drop(first);
    let _writer = second.writer().unwrap();
    assert_eq!(look(&log).slot_waiters, None);
}

#[test]
fn a_writer_says_what_it_waits_for_until_an_append_works() {
    let claim = "a writer says what it waits for until an append works";
    let scratch = Scratch::new();
    let Some(disk) = small_disk(&scratch, "1m", claim) else { return };
    let log = disk.join("app.log");
    let open = Log::options().chunk_size(65536).max_writers(8).open_or_create(&log).unwrap();
    let (mut writer, mut other) = (open.writer().unwrap(), open.writer().unwrap());
    writer.append(b"fits\n").unwrap();
    assert_eq!(look(&log).writers[0].waiting, None);
    let large = vec![b'x'; 4 << 20];
    let tries: Vec<_> = (0..2)
        .map(|_| {
            assert!(matches!(writer.append(&large).unwrap_err().fault(), Fault::NoSpace { .. }));
            look(&log).writers[0].waiting.unwrap()
        })
        .collect();
    let (first, second) = (tries[0], tries[1]);
    assert_eq!((first.want, first.len, first.errno, first.since), (Want::Space, 4 << 20, 28, second.since));
    assert!(first.is_trying() && second.tried >= first.tried);
    assert_eq!(look(&log).state, State::Full);
    // Others still fit.
    other.append(b"small\n").unwrap();
    assert!(look(&log).writers[0].waiting.is_some(), "it is the other one that has appended");
    writer.append(b"small, too\n").unwrap();
    assert_eq!(look(&log).writers[0].waiting, None);
    assert_ne!(look(&log).state, State::Full);
}

/// A writer in another process, which has appended a line.
fn writing(log: &Path) -> cli::Running {
    let mut running = Tool::new(env!("CARGO_BIN_EXE_mmlogctl")).arg("append").arg(log).start();
    running.feed(b"one\n");
    wait_for("the line", || {
        Observer::open(log, &Options::new()).ok()?.look().ok().filter(|s| s.watermark == 4)
    });
    running
}

/// What a first look says of writers that stand; `None` as long as it says nothing.
fn stopped(log: &Path) -> Option<mmlog::Finding> {
    look(log).findings.into_iter().find(|found| found.id == FindingId::WriterStopped)
}

#[test]
fn since_when_a_process_stands_is_known_to_whoever_comes_later() {
    if !Path::new("/proc/self/sched").exists() {
        return skipped("since when a process stands", "this kernel does not say when a thread ran last");
    }
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let running = writing(&log);
    running.signal(Signal::SIGSTOP);
    let found = wait_for("a first look that knows", || stopped(&log));
    assert!(found.sentence.contains("is stopped, for ") && !found.sentence.contains("at least"), "{found:?}");
    running.signal(Signal::SIGCONT);
    wait_for("it goes on", || stopped(&log).is_none().then_some(()));
    assert_eq!(running.end().code, 0);
}

#[test]
fn a_writer_that_a_debugger_has_stopped_is_told_from_one_that_a_signal_has() {
    let claim = "a writer that a debugger has stopped is told from one that a signal has";
    if !Path::new("/proc/self/sched").exists() {
        return skipped(claim, "this kernel does not say when a thread ran last");
    }
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let running = writing(&log);
    let pid = Pid::from_raw(running.pid().cast_signed());
    if let Err(e) = ptrace::seize(pid, ptrace::Options::empty()) {
        return skipped(claim, &format!("it may not be traced: {e}"));
    }
    ptrace::interrupt(pid).unwrap();
    let found = wait_for("a look that knows", || stopped(&log));
    // That is this process.
    let tracer = std::process::id();
    assert!(found.sentence.contains(&format!("stopped by its debugger {tracer} (")), "{found:?}");
    assert!(found.sentence.contains("), for "), "{found:?}");
    assert_eq!(found.command(), Some(&*format!("ps -fp {tracer}")));
    assert_eq!(found.severity, Severity::Warning);
    ptrace::detach(pid, None).unwrap();
    assert_eq!(running.end().code, 0);
}

/// A small file system of its own, which can be frozen; thawed at the end.
struct Freezable(std::path::PathBuf);

impl Freezable {
    fn new(scratch: &Scratch) -> Option<Self> {
        let (image, place) = (scratch.file("image"), scratch.file("disk"));
        fs::File::create(&image).unwrap().set_len(32 << 20).unwrap();
        fs::create_dir(&place).unwrap();
        let run = |program: &str, words: &[&str], paths: &[&Path]| {
            succeeds(Command::new(program).args(words).args(paths))
        };
        let is_there = own_mounts()
            && run("mkfs.ext4", &["-q"], &[&image])
            && run("mount", &["-o", "loop"], &[&image, &place])
            && run("fsfreeze", &["-f"], &[&place]);
        let disk = Self(place);
        disk.thaw();
        is_there.then_some(disk)
    }

    fn freeze(&self) {
        assert!(succeeds(Command::new("fsfreeze").arg("-f").arg(&self.0)));
    }

    fn thaw(&self) {
        let _ = Command::new("fsfreeze").arg("-u").arg(&self.0).output();
    }
}

impl Drop for Freezable {
    fn drop(&mut self) {
        self.thaw();
    }
}

#[test]
fn a_writer_whose_core_is_being_written_is_said_to_be_dying() {
    let claim = "a writer whose core is being written is said to be dying";
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if pattern.starts_with(['|', '/', '@']) || !Path::new("/proc/self/sched").exists() {
        return skipped(claim, "cores are not written to the working directory here");
    }
    let scratch = Scratch::new();
    let Some(disk) = Freezable::new(&scratch) else {
        return skipped(claim, "freezing a file system needs root, mkfs.ext4 and a loop device");
    };
    let log = scratch.file("app.log");
    let tool = Tool::new(env!("CARGO_BIN_EXE_mmlogctl")).arg("append").arg(&log);
    let tool = tool.through("prlimit", &["--core=unlimited"]).with(|command| command.current_dir(&disk.0));
    let mut running = tool.start();
    running.feed(b"one\n");
    wait_for("the line", || {
        Observer::open(&log, &Options::new()).ok()?.look().ok().filter(|s| s.watermark == 4)
    });
    disk.freeze();
    running.signal(Signal::SIGABRT);
    let found = wait_for("a look that knows", || stopped(&log));
    assert!(found.sentence.contains("core"), "{found:?}");
    assert_eq!(found.command(), Some(&*format!("grep CoreDumping /proc/{}/status", running.pid())));
    disk.thaw();
    assert_eq!(running.end().code, -(Signal::SIGABRT as i32));
}

/// What it writes to may be slow, or read by somebody who has gone for lunch: that is worth knowing, and nobody's alarm.
#[test]
fn a_reader_that_has_not_come_back_for_long_is_a_note_and_one_that_moves_or_waits_is_none() {
    let scratch = Scratch::new();
    let log = scratch.log(&b"one line\n".repeat(1 << 17));
    let (_nobody_reads, full) = std::io::pipe().unwrap();
    let stuck = mmlogctl("tail", &log).args(["-f", "-n", "+1"]).stdout(full).start_unread();
    let waits = mmlogctl("tail", &log).args(["-f", "-n", "0"]).start();
    let seen = |process: &cli::Running, wanted: &dyn Fn(&FollowerStatus) -> bool| {
        let is_it = |f: &FollowerStatus| f.pid == process.pid() && wanted(f);
        wait_for("it is seen", || look(&log).followers.into_iter().find(is_it))
    };
    assert_eq!(seen(&waits, &|f| f.lag == 0).stands_for, None);
    // Its process says where it is, and since when it has not read.
    let stands = seen(&stuck, &|f| {
        let unseen = f.last_seen.unwrap().elapsed().unwrap_or_default();
        f.stands_for.is_some_and(|time| time > unseen + Duration::from_millis(900))
    });
    let mut status = look(&log);
    assert_eq!(status.followers.len(), 2, "{:?}", status.followers);
    status.followers.retain(|f| f.pid == stuck.pid());
    let said = |status: &Status| {
        let found = status.diagnose(&Thresholds::default());
        found.into_iter().find(|f| f.id == FindingId::ReaderStands)
    };
    assert_eq!(said(&status), None, "{stands:?}");
    status.followers[0].stands_for = Some(Duration::from_secs(252));
    assert_eq!(said(&status), None, "a slow one may take so long");
    status.followers[0].stands_for = Some(Duration::from_secs(372));
    let found = said(&status).unwrap();
    assert_eq!((found.severity, found.pid), (Severity::Info, Some(stuck.pid())));
    let sentence = format!("follower {} (mmlogctl tail", stuck.pid());
    assert!(found.sentence.starts_with(&sentence), "{}", found.sentence);
    assert!(found.sentence.contains(" has read nothing for 6m12s, "), "{}", found.sentence);
    let reader = |is_stopped| {
        let command_line = "less +F".to_owned();
        Some(OutputReader { pid: 4313, command_line, is_stopped })
    };
    status.followers[0].reader = reader(false);
    let found = said(&status).unwrap();
    assert!(found.severity == Severity::Info && found.sentence.contains("4313 (less +F)"), "{found:?}");
    (status.followers[0].reader, status.followers[0].stands_for) =
        (reader(true), Some(Duration::from_secs(12)));
    let found = said(&status).unwrap();
    assert_eq!(
        (found.severity, found.pid, found.command()),
        (Severity::Warning, Some(4313), Some("kill -CONT 4313"))
    );
    assert!(
        found
            .sentence
            .contains(" has read nothing for 12 s, its output is read by 4313 (less +F), which is stopped; ")
    );
    // It has read ahead: what it prints waits in the pipe.
    let late = std::mem::replace(&mut status.followers[0].lag, 0);
    let found = said(&status).unwrap();
    assert_eq!((found.severity, found.command()), (Severity::Warning, Some("kill -CONT 4313")));
    assert!(found.sentence.contains(" prints is read by 4313 (less +F), which is stopped; "), "{found:?}");
    status.followers[0].process = ProcessState::Stopped;
    assert_eq!(said(&status), None, "the whole job is stopped, and nothing waits for it");
    (status.followers[0].process, status.followers[0].lag) = (ProcessState::Sleeping, late);
    (status.followers[0].reader, status.followers[0].stands_for) = (None, Some(Duration::from_secs(372)));
    let behind = |f: &mmlog::Finding| f.id == FindingId::ReaderBehind;
    assert!(!status.diagnose(&Thresholds::default()).iter().any(behind), "it is said once");
    for running in [stuck, waits] {
        running.signal(Signal::SIGKILL);
        running.end();
    }
}
