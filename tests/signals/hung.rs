//! Signals to commands that stand in the kernel, on a file system that does not answer: no handler of theirs runs there.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cli::{
    IGNORED, Running, Scratch, hung_mount, is_ignored, metadata_of, mmlogctl, skipped, wait_for,
};
use crate::{As, OPENING};

/// Waits until a thread of the tool is where no handler runs, and TERM is caught.
fn in_the_kernel(running: &Running) -> Pid {
    let is_there = |stat: String| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('D'));
    wait_for("it stands in the kernel", || {
        let pid = running.innermost();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
        let caught = u64::from_str_radix(caught.trim(), 16).ok()?;
        if caught >> (Signal::SIGTERM as i32 - 1) & 1 == 0 {
            return None;
        }
        let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
        let mut stats =
            threads.map(|thread| fs::read_to_string(thread.path().join("stat")).unwrap_or_default());
        stats.any(is_there).then_some(pid)
    })
}

#[test]
fn a_signal_ends_every_command_whose_file_system_does_not_answer() {
    let claim = "a signal ends every command whose file system does not answer";
    for way in As::all(claim) {
        let scratch = Scratch::new();
        let Some((mounted, daemon)) = hung_mount(&scratch.file("fuse")) else {
            return skipped(claim, "no FUSE, or not root");
        };
        let log = mounted.join("app.log");
        let more: [(&str, &[&str]); 3] = [("rm", &[]), ("repair", &["--rebuild"]), ("tail", &["-F"])];
        for (command, args) in OPENING.into_iter().chain(more) {
            let running = way.start(mmlogctl(command, &log).args(args));
            kill(in_the_kernel(&running), Signal::SIGTERM).unwrap();
            let ended = running.end();
            // What follows has a main thread that does not stand there.
            let code = if command == "tail" && !args.is_empty() { 0 } else { way.code(Signal::SIGTERM) };
            assert_eq!(ended.code, code, "{command} {args:?}, {way:?}: {ended:?}");
            assert!(code == 0 || ended.stderr.contains("ended by a signal"), "{command} {args:?}: {ended:?}");
        }
        drop(daemon);
    }
}

#[test]
fn a_second_signal_ends_at_once_who_has_time_and_a_file_system_that_does_not_answer() {
    let claim = "a second signal ends at once who has time";
    if is_ignored(Signal::SIGTERM) {
        return skipped(claim, IGNORED);
    }
    let scratch = Scratch::new();
    let Some((mounted, daemon)) = hung_mount(&scratch.file("fuse")) else {
        return skipped(claim, "no FUSE, or not root");
    };
    let running = mmlogctl("append", &mounted.join("app.log")).arg("--grace=1h").start();
    let pid = in_the_kernel(&running);
    kill(pid, Signal::SIGTERM).unwrap();
    // The second one is another signal: two of one kind may arrive as one.
    kill(pid, Signal::SIGINT).unwrap();
    let ended = running.end();
    assert!(
        [Signal::SIGTERM, Signal::SIGINT].map(|signal| -(signal as i32)).contains(&ended.code),
        "{ended:?}"
    );
    drop(daemon);
}

#[test]
fn a_rebuild_does_not_look_into_what_is_mounted_below_the_logs_directory() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let Some((_, daemon)) = hung_mount(&scratch.file("fuse")) else {
        return skipped("a rebuild does not look into what is mounted below", "no FUSE, or not root");
    };
    fs::remove_file(metadata_of(&log)).unwrap();
    // It hints at directories of old segments.
    let ended = mmlogctl("repair", &log).arg("--rebuild").through("timeout", &["--signal=KILL", "20"]).run();
    assert_eq!(ended.code, 0, "{ended:?}");
    drop(daemon);
}
