//! Signals in the middle of work: what was done is said with its numbers, and the next run does the rest.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cli::{
    Ended, IGNORED, Scratch, Tool, is_ignored, metadata_of, mmlogctl, reboot, skipped, succeeds, wait_for,
    when_out_of_use,
};
use crate::{has_term, signal_when_it_waits};

/// A log with so many final segments of a line each.
fn segmented(scratch: &Scratch, segments: usize) -> PathBuf {
    let log = scratch.log(b"line 0\n");
    let open = mmlog::Log::options().open(&log).unwrap();
    let mut writer = open.writer().unwrap();
    for line in 1..=segments {
        open.rotate(&mmlog::Rotation::default()).unwrap().unwrap();
        writer.append(format!("line {line}\n").as_bytes()).unwrap();
    }
    log
}

fn plain_segments(log: &Path) -> usize {
    let names = fs::read_dir(log.parent().unwrap()).unwrap().flatten();
    names.filter(|entry| entry.file_name().to_string_lossy().starts_with("app.log.0")).count()
}

/// The command, with that system call slow in it and what it starts.
fn slowly(call: &str, by: &str, tool: Tool) -> Option<Tool> {
    with_strace(&["-f"], call, by, tool)
}

fn with_strace(whom: &[&str], call: &str, by: &str, tool: Tool) -> Option<Tool> {
    if !succeeds(Command::new("strace").args(["-o", "/dev/null", "true"])) {
        skipped("a signal ends work between two pieces", "strace is missing or may not trace");
        return None;
    }
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:delay_enter={by}"));
    Some(tool.through("strace", &[whom, &["-o", "/dev/null", "-e", &trace, "-e", &inject]].concat()))
}

#[test]
fn a_signal_that_comes_while_the_handlers_are_made_is_heard() {
    let claim = "a signal that comes while the handlers are made is heard";
    if is_ignored(Signal::SIGTERM) {
        return skipped(claim, IGNORED);
    }
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    // Each handler of the three signals takes its time, so that TERM has one long before all is made.
    let tool = mmlogctl("tail", &log).arg("-f");
    let Some(tool) = slowly("rt_sigaction", "200ms", tool) else { return };
    let running = tool.start();
    let pid = wait_for("it catches TERM", || {
        let pid = running.innermost();
        has_term(pid, "SigCgt")?.then_some(pid)
    });
    kill(pid, Signal::SIGTERM).unwrap();
    assert_eq!(running.end().code, 0);
}

/// How many of how many it says to have done.
fn done_of(ended: &Ended, work: &str) -> (usize, usize) {
    let (_, said) = ended.stderr.split_once("told to stop when ").unwrap_or_else(|| panic!("{ended:?}"));
    let words: Vec<&str> = said.split(' ').collect();
    assert!(said.contains(work), "{ended:?}");
    (words[0].parse().unwrap(), words[2].parse().unwrap())
}

const SEGMENTS: usize = 60;

/// Ends the command when some of the segments have gone; how many it says are.
fn ended_in_the_middle(tool: Tool, log: &Path, work: &str) -> usize {
    let running = tool.start();
    wait_for("some are gone", || (plain_segments(log) < SEGMENTS - 2).then_some(()));
    kill(running.innermost(), Signal::SIGTERM).unwrap();
    let ended = running.end();
    assert_eq!(ended.code, -(Signal::SIGTERM as i32), "{ended:?}");
    let (done, of) = done_of(&ended, work);
    assert!(of == SEGMENTS && (1..SEGMENTS).contains(&done), "{ended:?}");
    assert_eq!(plain_segments(log), SEGMENTS - done, "{ended:?}");
    done
}

#[test]
fn a_prune_that_a_signal_ends_says_how_many_went_and_the_next_removes_the_rest() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, SEGMENTS);
    let Some(tool) = slowly("unlinkat", "40ms", mmlogctl("prune", &log).arg("--keep=0")) else { return };
    ended_in_the_middle(tool, &log, "segments were removed");
    let last = format!("line {SEGMENTS}\n");
    mmlogctl("cat", &log).run().printed(last.as_bytes());
    assert_eq!(mmlogctl("check", &log).arg("--deep").run().code, 0);
    mmlogctl("prune", &log).arg("--keep=0").run().is_success();
    assert_eq!(plain_segments(&log), 0);
}

#[test]
fn moving_that_a_signal_ends_is_gone_on_with_by_the_next_rotate() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, SEGMENTS);
    let old = scratch.file("old");
    fs::create_dir(&old).unwrap();
    let whole = mmlogctl("cat", &log).run().stdout;
    let arguments = ["--if-size=1G", "--olddir=old"];
    let Some(tool) = slowly("renameat2", "40ms", mmlogctl("rotate", &log).args(arguments)) else { return };
    let moved = ended_in_the_middle(tool, &log, "segments were moved");
    assert_eq!(fs::read_dir(&old).unwrap().count(), moved);
    mmlogctl("cat", &log).run().printed(&whole);
    mmlogctl("rotate", &log).args(arguments).run().is_success();
    assert_eq!((fs::read_dir(&old).unwrap().count(), plain_segments(&log)), (SEGMENTS, 0));
    mmlogctl("cat", &log).run().printed(&whole);
}

#[test]
fn a_removal_that_a_signal_ends_is_finished_by_the_next() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, SEGMENTS);
    let Some(tool) = slowly("unlinkat", "40ms", mmlogctl("rm", &log).arg("--all")) else { return };
    ended_in_the_middle(tool, &log, "segments were removed");
    when_out_of_use(|| mmlogctl("rm", &log).arg("--all").run());
    assert_eq!(plain_segments(&log), 0);
    assert!(!metadata_of(&log).exists());
}

/// A log with several megabytes that do not compress.
pub(crate) fn heavy(scratch: &Scratch) -> PathBuf {
    let log = scratch.file("app.log");
    let mut bytes = vec![0; 8 << 20];
    File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    bytes.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b'x');
    mmlogctl("append", &log).arg("--raw").input(&bytes).run().is_success();
    log
}

/// The same, in a final segment.
fn heavy_segment(scratch: &Scratch) -> PathBuf {
    let log = heavy(scratch);
    mmlogctl("rotate", &log).run().is_success();
    log
}

#[test]
fn a_compression_that_a_signal_ends_leaves_the_plain_segment_and_no_copy() {
    let scratch = Scratch::new();
    let log = heavy_segment(&scratch);
    let files = || {
        let names = fs::read_dir(scratch.path()).unwrap().flatten();
        names.map(|entry| entry.file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let compress = || mmlogctl("rotate", &log).args(["--compress=zstd", "--level=1"]);
    let Some(tool) = slowly("pread64", "40ms", compress()) else { return };
    let running = tool.start();
    wait_for("it compresses", || files().iter().any(|name| name.contains("mmlog-part")).then_some(()));
    kill(running.innermost(), Signal::SIGTERM).unwrap();
    let ended = running.end();
    assert_eq!(ended.code, -(Signal::SIGTERM as i32), "{ended:?}");
    assert_eq!(done_of(&ended, "segments were compressed"), (0, 1), "{ended:?}");
    assert!(files().iter().all(|name| !name.contains("part") && !name.ends_with(".zst")), "{:?}", files());
    compress().run().is_success();
    assert!(files().iter().any(|name| name.ends_with(".zst")), "{:?}", files());
    assert_eq!(mmlogctl("check", &log).arg("--deep").run().code, 0);
}

#[test]
fn a_deep_check_that_a_signal_ends_says_how_far_it_came() {
    let scratch = Scratch::new();
    let log = heavy_segment(&scratch);
    for command in [("check", "--deep"), ("repair", "--rebuild")] {
        let Some(tool) = slowly("read,pread64", "40ms", mmlogctl(command.0, &log).arg(command.1)) else {
            return;
        };
        let running = tool.start();
        signal_when_it_waits(&running, &log, Signal::SIGTERM);
        let ended = running.end();
        assert_eq!(ended.code, -(Signal::SIGTERM as i32), "{command:?}: {ended:?}");
        let (done, of) = done_of(&ended, "bytes were checked");
        assert!(of == 8 << 20 && done < of, "{command:?}: {ended:?}");
    }
    assert_eq!(mmlogctl("check", &log).arg("--deep").run().code, 0);
}

/// A command that reads the whole data file to find where the log ends, ended in the middle; the same command then does it.
fn looking_for_the_end_is_ended(log: &Path, command: &[&str]) {
    let tool = || mmlogctl(command[0], log).args(&command[1..]);
    let Some(slow) = slowly("pread64", "50ms", tool()) else { return };
    let running = slow.start();
    wait_for("its metadata", || metadata_of(log).exists().then_some(()));
    signal_when_it_waits(&running, log, Signal::SIGTERM);
    let ended = running.end();
    assert_eq!(ended.code, -(Signal::SIGTERM as i32), "{command:?}: {ended:?}");
    let (done, of) = done_of(&ended, "bytes were looked at for where the log ends");
    assert!(of == 8 << 20 && done < of, "{command:?}: {ended:?}");
    assert_eq!(tool().run().code, 0, "{command:?}");
    assert_eq!(mmlogctl("check", log).arg("--deep").run().code, 0, "{command:?}");
}

#[test]
fn a_rebuild_or_a_recovery_that_a_signal_ends_says_how_far_it_came_and_the_next_does_it() {
    for command in [&["trim"][..], &["repair"], &["repair", "--rebuild"]] {
        let scratch = Scratch::new();
        let log = heavy(&scratch);
        let whole = mmlogctl("cat", &log).run().stdout;
        match command.contains(&"--rebuild") {
            true => fs::remove_file(metadata_of(&log)).unwrap(),
            false => reboot(&log),
        }
        looking_for_the_end_is_ended(&log, command);
        mmlogctl("cat", &log).run().printed(&whole);
    }
}

#[test]
fn a_step_that_hears_nothing_is_ended_where_it_is_and_done_by_the_next_run() {
    let scratch = Scratch::new();
    let log = heavy(&scratch);
    let whole = mmlogctl("cat", &log).run().stdout;
    fs::remove_file(metadata_of(&log)).unwrap();
    let tool = mmlogctl("repair", &log).arg("--rebuild");
    let Some(tool) = slowly("fallocate", "2s", tool) else { return };
    let running = tool.start();
    wait_for("new metadata", || metadata_of(&log).exists().then_some(()));
    signal_when_it_waits(&running, &log, Signal::SIGTERM);
    let ended = running.end();
    assert_eq!(ended.code, -(Signal::SIGTERM as i32), "{ended:?}");
    assert!(ended.stderr.contains("ended by a signal in the middle of a step"), "{ended:?}");
    assert_eq!(mmlogctl("repair", &log).arg("--rebuild").run().code, 0);
    mmlogctl("cat", &log).run().printed(&whole);
    assert_eq!(mmlogctl("check", &log).arg("--deep").run().code, 0);
}

#[test]
fn an_exec_that_does_not_come_back_from_the_log_ends_soon_after_its_program_with_that_ones_code() {
    for (script, code) in [("exit 7", 7), ("exit 0", 1)] {
        let scratch = Scratch::new();
        let log = scratch.log(b"one\n");
        let script = format!("trap '{script}' TERM; echo two; while :; do sleep 0.05; done");
        // What it leaves the log with.
        let tool = mmlogctl("exec", &log).args(["--", "sh", "-c", &script]);
        let Some(tool) = with_strace(&[], "ftruncate", "3s", tool) else { return };
        let running = tool.start();
        wait_for("the line", || (mmlogctl("cat", &log).run().stdout == b"one\ntwo\n").then_some(()));
        let strace = running.pid();
        let children = fs::read_to_string(format!("/proc/{strace}/task/{strace}/children")).unwrap();
        kill(Pid::from_raw(children.trim().parse().unwrap()), Signal::SIGTERM).unwrap();
        let ended = running.end();
        assert_eq!(ended.code, code, "{ended:?}");
        assert!(ended.stderr.contains("ended by a signal"), "{ended:?}");
        mmlogctl("cat", &log).run().printed(b"one\ntwo\n");
    }
}
