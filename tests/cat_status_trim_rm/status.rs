//! `status` for people: the truth on one screen.

use std::fs;
use std::path::Path;
use std::process::Command;

use mmlog::Log;
use mmlog::layout::LOCK_BYTE;
use nix::sys::signal::Signal;

use crate::cli::{
    Bytes, Held, Scratch, Tool, at, metadata_of, mmlogctl, poke, skipped, slot, small_disk, succeeds,
    wait_for, write_slot,
};
use crate::{CONTENT, live};

/// What is said where nobody breaks the lines: nothing but text. Looking changes nothing.
#[track_caller]
fn screen(log: &Path) -> String {
    let before = Bytes::of(log);
    let ended = mmlogctl("status", log).run();
    ended.is_success();
    before.are_still_in(log);
    let text = ended.text();
    assert!(text.ends_with('\n') && text.lines().all(|line| !line.contains(char::is_control)), "{text}");
    text
}

/// Its state and one more text on it; a sentence may be spread over lines.
#[track_caller]
fn shows(log: &Path, state: &str, wanted: &[&str]) {
    let screen = screen(log);
    assert!(screen.starts_with(&format!("{state}  ")), "{screen}");
    let joined = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in wanted {
        assert!(joined.contains(words), "without {words:?}:\n{screen}");
    }
}

#[test]
fn a_log_at_rest_is_ok() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    shows(
        &log,
        "OK",
        &["cursor 14 (14 B), watermark 14", "writers none", "holes none", "next nothing to do"],
    );
}

#[test]
fn live_writers_are_listed_and_the_list_is_cut() {
    let scratch = Scratch::new();
    let (log, open, _writer) = live(&scratch);
    let us = format!("{} (", std::process::id());
    shows(&log, "OK", &["writers 1", &us, "1 message, 14 B"]);
    let _more: Vec<_> = (0..40).map(|_| open.writer().unwrap()).collect();
    shows(&log, "OK", &["writers 41", "... and 37 more"]);
}

#[test]
fn a_writer_that_stands_is_stalled_and_named() {
    let scratch = Scratch::new();
    let (log, _open, _writer) = live(&scratch);
    let _owner = Held::slot(&log, 5);
    write_slot(&log, 5, slot(3, 4), 4, std::process::id());
    let who = format!("writer {} (", std::process::id());
    let waits = "with 4 B in flight at 4 (copying), for at least";
    shows(&log, "STALLED", &[&who, waits, "see nothing behind it", "watermark 4, 10 B not final", "next"]);
}

#[test]
fn a_lock_that_is_kept_is_locked() {
    let scratch = Scratch::new();
    let (log, _open, _writer) = live(&scratch);
    let _held = Held::byte(&log, LOCK_BYTE);
    shows(&log, "LOCKED", &["has held the log's lock", "lock held by"]);
}

#[test]
fn what_else_was_found_follows_what_to_do() {
    let scratch = Scratch::new();
    let (log, _open, _writer) = live(&scratch);
    let _held = Held::byte(&log, LOCK_BYTE);
    let _owner = Held::slot(&log, 5);
    write_slot(&log, 5, slot(3, 4), 4, std::process::id());
    let screen = screen(&log);
    let begins: Vec<&str> = screen.lines().map(|line| line.get(..15).unwrap_or(line).trim()).collect();
    let places = ["problem", "next", "also", "cursor"].map(|name| begins.iter().position(|one| *one == name));
    assert!(
        screen.starts_with("LOCKED  ") && places.iter().all(Option::is_some) && places.is_sorted(),
        "{screen}"
    );
    assert!(screen.contains("  also         writer-stalled: writer "), "{screen}");
    // Each with what to do.
    assert!(screen.contains("               cat /proc/"), "{screen}");
}

#[test]
fn maintenance_that_runs_is_shown() {
    let scratch = Scratch::new();
    let (log, _open, _writer) = live(&scratch);
    let _held = Held::maintenance(&log);
    let holder = format!("maintenance held by {} for trim", std::process::id());
    // As it was called, whatever it once said of itself.
    shows(&log, "OK", &[&holder, "(cat_status_trim_rm"]);
}

#[test]
fn holes_are_shown_with_who_left_them_and_the_list_is_cut() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    write_slot(&log, 0, slot(3, 4), 4, 4242);
    shows(&log, "OK", &["1 dead", "holes 1", "4 B at 4, torn, left by 4242 (dead-writer)"]);
    let log = scratch.file("many.log");
    mmlogctl("append", &log).arg("--max-writers=50").input(&b"four".repeat(50)).run().is_success();
    (0..50).for_each(|n| write_slot(&log, n, slot(3, 4 * n as u64), 4, 4242));
    mmlogctl("append", &log).run().is_success();
    shows(&log, "OK", &["holes 50", "4 B at 196, torn", "... and 48 more"]);
}

#[test]
fn a_poisoned_log_gives_the_reason() {
    let scratch = Scratch::new();
    let (log, open, _writer) = live(&scratch);
    open.poison(&"words that go on and on \x1b[31m".repeat(20), 5).unwrap();
    shows(&log, "PANICKED", &["words that go on", "errno 5", "next find the cause"]);
}

#[test]
fn a_closed_gate_that_nobody_holds_is_stalled() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    poke(&log, at::CURSOR, &(mmlog::layout::GATE | 14).to_ne_bytes());
    shows(&log, "STALLED", &["left the gate closed at 14, for ", "next mmlogctl repair"]);
}

#[test]
fn a_long_path_is_whole_and_quoted_where_it_is_to_be_pasted() {
    let scratch = Scratch::new();
    let directory = scratch.file(&"long-directory-name-".repeat(10));
    std::fs::create_dir(&directory).unwrap();
    let log = directory.join("app\n\x1b[2J.log");
    mmlogctl("init", &log).run().is_success();
    shows(&log, "OK", &["long-directory-name-/app\\n"]);
    std::fs::remove_file(&log).unwrap();
    let directory = directory.display();
    let step = format!("mmlogctl repair --recreate $'{directory}/app\\012\\033[2J.log'");
    shows(&log, "DAMAGED", &["the data file is gone", &step]);
}

#[test]
fn a_full_disk_is_full_and_one_nearly_so_full_soon() {
    let scratch = Scratch::new();
    let Some(disk) = small_disk(&scratch, "2m", "a full disk is shown") else { return };
    let log = disk.join("app.log");
    mmlogctl("append", &log).input(CONTENT).run().is_success();
    shows(&log, "FULL SOON", &["free on its file system"]);
    let input = b"0123456789abcdef\n".repeat(200_000);
    let ended = mmlogctl("append", &log).arg("--on-full=fail").input(&input).run();
    assert_eq!(ended.code, 1, "{ended:?}");
    let left = 2 << 20;
    // What the failed append could not use is used up; a write as large as the disk takes all that is left.
    let _ = std::fs::write(disk.join("filler"), vec![1; left]);
    shows(
        &log,
        "FULL",
        &["no space left", "next mmlogctl prune --punch --keep-bytes ", "or free something else, `df -h "],
    );
}

/// Of all that append through the tool, the tool's own name tells nobody whom to call.
#[test]
fn a_writer_is_named_by_the_program_that_feeds_its_pipe() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let (theirs, ours) = std::io::pipe().unwrap();
    let mut program = Command::new("sleep").arg("1000").stdout(ours).spawn().unwrap();
    let writer = mmlogctl("append", &log).stdin(theirs).start();
    let pid = writer.pid();
    let line = format!("    {pid} (sleep 1000, through mmlogctl, sleeping) 0 messages, 0 B");
    wait_for("the writer's line", || {
        mmlogctl("status", &log).run().text().lines().any(|said| said.starts_with(&line)).then_some(())
    });
    writer.signal(Signal::SIGSTOP);
    let said = format!("writer {pid} (sleep 1000, through mmlogctl) is stopped");
    for command in ["status", "check"] {
        let ended = mmlogctl(command, &log).run();
        assert!(ended.text().contains(&said), "{command}: {ended:?}");
    }
    let json = mmlogctl("status", &log).arg("--json").run().text().to_owned();
    assert!(json.contains(&said) && json.contains(r#""command":"mmlogctl""#), "{json}");
    writer.signal(Signal::SIGCONT);
    program.kill().unwrap();
    program.wait().unwrap();
    writer.end().is_success();
}

/// It is the program that an outage is seen by first.
#[test]
fn a_program_that_hangs_on_the_full_pipe_of_a_stopped_writer_is_told() {
    if !std::path::Path::new("/proc/self/sched").exists() {
        return skipped("a program that hangs is told", "this kernel does not say when a thread ran last");
    }
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let (theirs, ours) = std::io::pipe().unwrap();
    let mut program = Command::new("sh")
        .args(["-c", "read go; exec yes"])
        .stdin(std::process::Stdio::piped())
        .stdout(ours)
        .spawn()
        .map(Ended)
        .unwrap();
    let writer = mmlogctl("append", &log).stdin(theirs).start();
    // Not while it becomes one: another sentence says that.
    let line = format!("    {} (", writer.pid());
    wait_for("the writer's line", || {
        mmlogctl("status", &log).run().text().lines().any(|said| said.starts_with(&line)).then_some(())
    });
    writer.signal(Signal::SIGSTOP);
    let mut go = program.0.stdin.take().unwrap();
    std::io::Write::write_all(&mut go, b"go\n").unwrap();
    let said = "; its pipe is full, and its program hangs, for ";
    wait_for("what the program waits for", || {
        mmlogctl("check", &log).run().text().contains(said).then_some(())
    });
    drop(program);
    writer.signal(Signal::SIGCONT);
    writer.end().is_success();
}

/// As long as it lives; ended also where the test fails.
struct Ended(std::process::Child);

impl Ended {
    fn signal(&self, signal: Signal) {
        kill(self.0.id(), signal);
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn kill(pid: u32, signal: Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.cast_signed()), signal).unwrap();
}

/// Until its status says so; before that and afterwards it does not.
fn says_while_stopped(log: &Path, pid: u32, said: &str) {
    let is_said = || mmlogctl("status", log).run().text().contains(said);
    assert!(!is_said());
    kill(pid, Signal::SIGSTOP);
    wait_for(said, || is_said().then_some(()));
    kill(pid, Signal::SIGCONT);
    wait_for("it goes on", || (!is_said()).then_some(()));
}

#[test]
fn a_program_that_is_stopped_is_named_also_where_others_stand_between_it_and_the_writer() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let ((first, programs), (second, filters)) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
    let program = Ended(Command::new("sleep").arg("1000").stdout(programs).spawn().unwrap());
    let filter = Ended(Command::new("cat").stdin(first).stdout(filters).spawn().unwrap());
    let writer = mmlogctl("append", &log).stdin(second).start();
    let (pid, ours) = (program.0.id(), writer.pid());
    says_while_stopped(
        &log,
        pid,
        &format!("process {pid} (sleep 1000), whose output writer {ours} appends, is stopped"),
    );
    drop(program);
    drop(filter);
    writer.end().is_success();
}

#[test]
fn so_it_is_below_the_program_that_exec_has_started() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let running = mmlogctl("exec", &log).args(["--", "sh", "-c", "sleep 1000 & echo $!; wait"]).start();
    let text = wait_for("its id", || fs::read_to_string(&log).ok().filter(|text| text.contains('\n')));
    let (pid, ours) = (text.lines().next().unwrap().parse().unwrap(), running.pid());
    says_while_stopped(
        &log,
        pid,
        &format!("process {pid} (sleep 1000), whose output writer {ours} appends, is stopped"),
    );
    kill(pid, Signal::SIGKILL);
    running.end();
}

#[test]
fn who_reads_from_a_follower_and_is_stopped_is_named_while_the_pipe_has_room() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let ((first, followers), (second, filters)) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
    let follows = Ended(
        Command::new(env!("CARGO_BIN_EXE_mmlogctl"))
            .args(["tail", "-f"])
            .arg(&log)
            .stdout(followers)
            .spawn()
            .unwrap(),
    );
    let filter = Ended(Command::new("cat").stdin(first).stdout(filters).spawn().unwrap());
    let pager = Ended(Command::new("sleep").arg("1000").stdin(second).spawn().unwrap());
    let (tail, pid) = (follows.0.id(), pager.0.id());
    wait_for("the follower", || {
        mmlogctl("status", &log).run().text().contains("followers    ").then_some(())
    });
    let said = format!(
        "what follower {tail} (mmlogctl tail -f {}) prints is read by {pid} (sleep 1000), which is stopped",
        log.display()
    );
    says_while_stopped(&log, pid, &said);
    filter.signal(Signal::SIGKILL);
}

#[test]
fn several_logs_are_shown_and_one_that_fails_does_not_hide_the_others() {
    let scratch = Scratch::new();
    let (first, missing) = (scratch.log(CONTENT), scratch.file("missing.log"));
    let ended = mmlogctl("status", &first).arg(&missing).arg(&first).run();
    ended.is_refused(1, &missing, &["no such log"]);
    assert_eq!(ended.text().matches("OK  ").count(), 2, "{ended:?}");
}

#[test]
fn a_state_is_the_worst_that_is_true() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    std::fs::remove_file(&log).unwrap();
    shows(&log, "DAMAGED", &[]);
    poke(&log, at::IS_PANICKED, &[1]);
    shows(&log, "PANICKED", &[]);
    drop(Log::options().open_reader(&log));
}

#[test]
fn what_the_kernel_does_not_say_is_said_and_never_called_a_fault_of_the_log() {
    if !succeeds(Command::new("strace").args(["-o", "/dev/null", "true"])) {
        return skipped("calls that fail", "strace is missing or may not trace");
    }
    let scratch = Scratch::new();
    let (log, _open, _writer) = live(&scratch);
    for (call, most, wanted) in [
        ("fstatfs", 8, &["free space could not be seen: Input/output error"][..]),
        ("fcntl", 50, &["lock could not be seen: Input", "maintenance could not be seen: Input", "writer"]),
    ] {
        let screens = (1..=most).filter_map(|nth| {
            let inject = format!("inject={call}:error=EIO:when={nth}");
            let strace = ["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject];
            let ended = mmlogctl("status", &log).through("strace", &strace).run();
            // Opening may need the answer.
            (ended.code == 0).then(|| ended.text().split_whitespace().collect::<Vec<_>>().join(" "))
        });
        let screens: Vec<String> = screens.collect();
        let is_well = |screen: &String| {
            screen.starts_with("OK ")
                || screen.starts_with("WARNING ") && screen.contains("could not be seen")
        };
        assert!(screens.iter().all(is_well), "{screens:#?}");
        for words in wanted {
            let said = |screen: &String| screen.contains(words) && screen.contains("could not be seen");
            assert!(screens.iter().any(said), "nowhere {words:?}: {screens:#?}");
        }
    }
}

#[test]
fn its_exit_code_is_that_of_check_where_that_is_asked_for() {
    let scratch = Scratch::new();
    let (log, missing) = (scratch.log(CONTENT), scratch.file("missing.log"));
    let code = |log: &Path, options: &[&str]| mmlogctl("status", log).args(options).run().code;
    assert_eq!((code(&log, &[]), code(&log, &["--exit-code"])), (0, 0));
    assert_eq!((code(&missing, &[]), code(&missing, &["--exit-code"])), (1, 3));
    // A slot and a lock byte that are held stand for somebody who stands: a warning.
    let _held = Held::byte(&log, LOCK_BYTE);
    let warned = mmlogctl("check", &log).run().code;
    assert_eq!((warned, code(&log, &[]), code(&log, &["--exit-code"])), (1, 0, 1));
    assert_eq!(mmlogctl("status", &log).arg(&missing).arg("--exit-code").run().code, 3);
    std::fs::write(&log, b"").unwrap();
    assert_eq!((code(&log, &[]), code(&log, &["--exit-code"])), (0, 2));
    // What the line cannot mean is no verdict.
    assert_eq!((code(&log, &["--nonsense"]), code(&log, &["--exit-code", "--nonsense"])), (2, 3));
}

#[test]
fn the_state_has_its_colour_where_colours_are_wanted() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let said = |command, options: &[&str]| mmlogctl(command, &log).args(options).run().text();
    assert!(said("status", &["--color=always"]).starts_with("\x1b[1;32mOK\x1b[0m  /"));
    assert!(said("check", &["--color=always"]).starts_with("\x1b[1;32mOK\x1b[0m - /"));
    for never in [&["--color=never"][..], &[]] {
        assert!(said("status", never).starts_with("OK  /") && said("check", never).starts_with("OK - /"));
    }
    std::fs::write(&log, b"").unwrap();
    assert!(said("status", &["--color=always"]).starts_with("\x1b[1;31mDAMAGED\x1b[0m  /"));
    let json = mmlogctl("status", &log).args(["--json", "--color=always"]).run();
    assert!(!json.text().contains('\x1b'), "{json:?}");
}

#[test]
fn what_is_wrong_is_said_once_where_both_streams_are_one_file() {
    let scratch = Scratch::new();
    let (path, _log, _writer) = live(&scratch);
    std::fs::remove_file(&path).unwrap();
    std::fs::remove_file(metadata_of(&path)).unwrap();
    let said = scratch.file("said");
    let script = r#""$1" status "$2" >"$3" 2>&1"#;
    let tool = Tool::new("sh").args(["-c", script, "sh", env!("CARGO_BIN_EXE_mmlogctl")]);
    tool.args([&path, &said]).run();
    let said = std::fs::read_to_string(said).unwrap();
    assert!(said.starts_with("DAMAGED") && said.matches("the log was removed").count() == 1, "{said}");
}

#[test]
fn a_program_that_writes_to_a_removed_log_is_named_where_the_log_was_made_anew() {
    let scratch = Scratch::new();
    let (path, _log, _writer) = live(&scratch);
    std::fs::remove_file(&path).unwrap();
    std::fs::remove_file(metadata_of(&path)).unwrap();
    assert_eq!(mmlogctl("init", &path).run().code, 0);
    let found = mmlogctl("check", &path).run();
    let me = std::process::id().to_string();
    let says = "the log that was here before was removed, for ";
    assert!(found.code == 1 && found.text().contains(says) && found.text().contains(&me), "{found:?}");
    assert!(found.text().contains("what it appends is in no log"), "{found:?}");
    // Who only has a removed file open loses nothing.
    drop((_writer, _log));
    let _reader = std::fs::File::open(&path).unwrap();
    let found = mmlogctl("check", &path).run();
    assert_eq!(found.code, 0, "{found:?}");
}
