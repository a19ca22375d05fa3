//! `--run`.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::cli::{Ended, Scratch, Tool, mmlogctl, wait_for};
use crate::{append, lines, rotate, segments};

#[test]
fn it_gets_the_segment_and_its_numbers_in_the_environment() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, &lines(0, 100));
    let first = lines(0, 100).len();
    let say =
        "cd /; echo $MMLOG_LOG $MMLOG_GENERATION $MMLOG_BASE $MMLOG_END $MMLOG_BYTES; cat $MMLOG_SEGMENT";
    let mut wanted = format!("{} 0 0 {first} {first}\n", log.display()).into_bytes();
    wanted.extend(lines(0, 100));
    rotate(&log, &["--run", say]).run().printed(&wanted);
    append(&log, b"second\n");
    let say = "echo $MMLOG_SEGMENT $MMLOG_GENERATION $MMLOG_BASE $MMLOG_END $MMLOG_BYTES";
    let ended = rotate(&log, &["--compress=gzip", "--run", say]).run();
    let path = segments(&log).remove(1);
    ended.printed(format!("{} 1 {first} {} 7\n", path.display(), first + 7).as_bytes());
}

#[test]
fn it_is_not_run_when_there_is_no_new_segment() {
    let scratch = Scratch::new();
    let log = scratch.log(b"");
    rotate(&log, &["--compress=zstd", "--run", "echo ran"]).run().printed(b"");
    append(&log, b"a\n");
    rotate(&log, &["--if-size=1M", "--run", "echo ran"]).run().printed(b"");
    rotate(&log, &["--dry-run", "--run", "touch $MMLOG_SEGMENT.ran"]).run().is_success();
    assert!(segments(&log).is_empty());
}

#[test]
fn its_failure_is_that_of_the_command_and_the_segment_stays() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    for (command, problem) in [("exit 7", "ended with exit code 7"), ("kill -9 $$", "was ended by signal 9")]
    {
        append(&log, b"a line\n");
        let ended = rotate(&log, &["--run", command]).run();
        ended.is_refused(1, &log, &[command, problem, "is final all the same"]);
    }
    let found = segments(&log);
    assert!(found.len() == 2 && found.iter().all(|path| fs::read(path).unwrap() == b"a line\n"), "{found:?}");
}

#[test]
fn it_is_run_also_when_compressing_failed() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, b"a line\n");
    fs::write(scratch.file("app.log.0000000000-0000000000000000000.zst"), b"none").unwrap();
    let ended = rotate(&log, &["--compress=zstd", "--run", "cat $MMLOG_SEGMENT"]).run();
    assert_eq!((ended.code, &*ended.text()), (1, "a line\n"), "{ended:?}");
}

const SHIP: &str = "[ -e net ] || exit 1; echo $MMLOG_GENERATION $MMLOG_SEGMENT >> done";

/// Runs `rotate --run` in the directory of the log, where the hook finds its files.
fn ship(scratch: &Scratch, log: &Path, arguments: &[&str]) -> Ended {
    let arguments = [&["--run", SHIP], arguments].concat();
    rotate(log, &arguments).with(|command| command.current_dir(scratch.path())).run()
}

/// The generations that were shipped, and the names of their segments then.
fn shipped(scratch: &Scratch) -> Vec<(u64, String)> {
    let done = fs::read_to_string(scratch.file("done")).unwrap_or_default();
    let parts = done.lines().map(|line| line.split_once(' ').unwrap());
    parts.map(|(number, path)| (number.parse().unwrap(), path.rsplit('/').next().unwrap().into())).collect()
}

fn unrun(log: &Path) -> (u64, bool) {
    let status: Value = serde_json::from_slice(&mmlogctl("status", log).arg("--json").run().stdout).unwrap();
    let found = status["findings"].as_array().unwrap().iter().any(|f| f["id"] == "hooks-unrun");
    (status["unrun"]["count"].as_u64().unwrap(), found)
}

#[test]
fn what_it_failed_for_is_caught_up_by_the_next_one_oldest_first() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    for so_far in 1..=3 {
        append(&log, b"a line\n");
        ship(&scratch, &log, &["--compress=gzip"]).is_refused(1, &log, &["exit code 1", "begins with it"]);
        assert_eq!(unrun(&log), (so_far, true));
    }
    let check = mmlogctl("check", &log).run();
    assert!(
        check.code == 1 && check.text().contains("3 final segments, from number 0 on, wait"),
        "{check:?}"
    );
    fs::write(scratch.file("net"), b"").unwrap();
    // There is nothing to rotate.
    ship(&scratch, &log, &[]).printed(b"");
    let names =
        segments(&log).iter().map(|p| p.file_name().unwrap().to_str().unwrap().into()).collect::<Vec<_>>();
    assert_eq!(shipped(&scratch), (0..3).zip(names).collect::<Vec<_>>(), "as they are called by now");
    assert_eq!(unrun(&log), (0, false));
    ship(&scratch, &log, &[]).printed(b"");
    assert_eq!(shipped(&scratch).len(), 3, "once it ended with 0, it is not run again");
}

#[test]
fn a_rotate_that_is_killed_before_it_leaves_it_to_the_next_one() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    fs::write(scratch.file("net"), b"").unwrap();
    append(&log, &lines(0, 300_000));
    let arguments = ["--compress=zstd", "--level=22", "--run", "touch ran"];
    let rotating = rotate(&log, &arguments).with(|command| command.current_dir(scratch.path())).start();
    // Its copy in the making may be there, too.
    wait_for("the segment", || (!segments(&log).is_empty()).then_some(()));
    rotating.signal(Signal::SIGKILL);
    rotating.end();
    assert!(!scratch.file("ran").exists(), "it was killed too late to say anything");
    ship(&scratch, &log, &[]).printed(b"");
    assert_eq!(shipped(&scratch).iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0]);
}

#[test]
fn it_is_never_run_twice_at_a_time_also_when_the_rotate_before_was_killed() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, b"a line\n");
    // It cannot be made twice.
    let alone =
        "mkdir at_work || echo twice; echo begun; while [ ! -e end ]; do sleep 0.01; done; rmdir at_work";
    let at_work = |wait: &'static str| {
        rotate(&log, &["--wait", wait, "--run", alone]).with(|command| command.current_dir(scratch.path()))
    };
    let first = at_work("0s").start();
    first.until_stdout(|seen| seen == b"begun\n");
    let second = at_work("0s").run();
    assert_eq!((second.code, second.stdout.len()), (0, 0), "{second:?}");
    second.says(&log, &["holds the turn for hooks", "too"]);
    first.signal(Signal::SIGKILL);
    let third = at_work("60s").start();
    fs::write(scratch.file("end"), b"").unwrap();
    third.end().printed(b"begun\n");
    drop(first);
    assert_eq!(unrun(&log), (0, false));
}

#[test]
fn term_ends_it_and_its_children_and_the_segment_waits() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, b"a line\n");
    if crate::cli::is_ignored(Signal::SIGTERM) {
        return crate::cli::skipped("term_ends_it", crate::cli::IGNORED);
    }
    let hook = "trap 'echo told >&2' TERM; sleep 1000 & echo $!; wait; exit 1";
    let rotating = rotate(&log, &["--run", hook]).start();
    rotating.until_stdout(|seen| seen.ends_with(b"\n"));
    let child = String::from_utf8(rotating.printed()).unwrap().trim().to_owned();
    rotating.signal(Signal::SIGTERM);
    let ended = rotating.end();
    assert!(ended.code == -(Signal::SIGTERM as i32) && ended.stderr.contains("told\n"), "{ended:?}");
    wait_for("its child has ended", || {
        let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        (stat.is_empty() || stat.contains(") Z ")).then_some(())
    });
    assert_eq!(unrun(&log), (1, true));
}

#[test]
fn prune_keeps_what_waits_for_it_if_it_is_told_to_and_says_so_if_not() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, b"not to be shipped\n");
    rotate(&log, &[]).run().printed(b"");
    for _ in 0..2 {
        append(&log, b"a line\n");
        ship(&scratch, &log, &[]);
    }
    let prune = |arguments: &[&str]| mmlogctl("prune", &log).args(["--keep=0"]).args(arguments).run();
    let planned = prune(&["--keep-unrun", "-n"]);
    assert!(planned.code == 0 && planned.text().contains("segment 1 waits for rotate --run"), "{planned:?}");
    prune(&["--keep-unrun", "--force"]).printed(b"");
    assert_eq!(segments(&log).len(), 2);
    let taken = prune(&[]);
    assert!(taken.code == 0 && taken.stderr.contains("took segment 1, for which"), "{taken:?}");
    assert!(taken.stderr.contains("took segment 2, for which"), "{taken:?}");
    assert_eq!((segments(&log).len(), unrun(&log)), (0, (0, false)));
}

#[test]
fn a_segment_that_is_gone_is_said_once() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    for _ in 0..2 {
        append(&log, b"a line\n");
        ship(&scratch, &log, &[]);
    }
    fs::remove_file(&segments(&log)[0]).unwrap();
    fs::write(scratch.file("net"), b"").unwrap();
    let ended = ship(&scratch, &log, &[]);
    assert_eq!((ended.code, ended.stderr.matches("segment 0 is gone").count()), (1, 1), "{ended:?}");
    assert_eq!(shipped(&scratch).len(), 1);
    ship(&scratch, &log, &[]).printed(b"");
}

#[test]
fn it_is_given_the_file_that_has_the_bytes_where_a_killed_compression_left_two() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, b"one\n");
    assert_eq!(rotate(&log, &["--compress", "zstd", "--run", "false"]).run().code, 1);
    let copy = segments(&log).remove(0);
    // The plain file was cut, and its compressor died before it took the name away.
    fs::write(copy.with_extension(""), "").unwrap();
    let ended = rotate(&log, &["--if-size", "1G", "--run", "echo $MMLOG_SEGMENT"]).run();
    ended.printed(format!("{}\n", copy.display()).as_bytes());
}

#[test]
fn it_reads_all_of_its_segment_while_another_compresses_it() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, &lines(0, 1000));
    let tool = env!("CARGO_BIN_EXE_mmlogctl");
    let other = format!("{tool} rotate --compress zstd --if-size 1G {}", log.display());
    let hook = format!("exec 3<$MMLOG_SEGMENT; {other} >&2 3<&- && cat <&3");
    rotate(&log, &["--run", &hook]).run().printed(&lines(0, 1000));
}

#[test]
fn the_command_has_signals_as_the_caller_of_rotate_had_them() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, b"a line\n");
    let masks = |status: &str| -> Vec<String> {
        let masks = status.lines().filter(|line| line.starts_with("SigBlk") || line.starts_with("SigIgn"));
        masks.map(str::to_owned).collect()
    };
    let script = format!("grep Sig /proc/self/status > {}", scratch.file("status").display());
    let ours = Tool::new("grep").args(["Sig", "/proc/self/status"]).run().text();
    rotate(&log, &["--run", &script]).run().is_success();
    let theirs = fs::read_to_string(scratch.file("status")).unwrap();
    assert!(!masks(&theirs).is_empty());
    assert_eq!(masks(&theirs), masks(&ours));
}
