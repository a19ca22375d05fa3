//! Signals to commands that stand in the kernel, on a file system that does not answer: no handler of theirs runs there.

use std::fs;
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cli::{Hung, IGNORED, Running, Scratch, is_ignored, metadata_of, mmlogctl, skipped, wait_for};
use crate::{As, OPENING, has_term};

/// Waits until it stands in a call to that file system, where no handler runs, and TERM is caught.
fn in_the_kernel(running: &Running, hung: &Hung) -> Pid {
    wait_for("it stands in the kernel", || {
        let pid = running.innermost();
        (has_term(pid, "SigCgt")? && hung.is_called()).then_some(pid)
    })
}

#[test]
fn a_signal_ends_every_command_whose_file_system_does_not_answer() {
    let claim = "a signal ends every command whose file system does not answer";
    // Each command takes a second to be ended.
    thread::scope(|scope| {
        for way in As::all(claim) {
            scope.spawn(move || ends_every_command(claim, way));
        }
    });
}

fn ends_every_command(claim: &str, way: As) {
    let scratch = Scratch::new();
    let Some(hung) = Hung::mount(&scratch) else {
        return skipped(claim, "no FUSE, or not root");
    };
    let log = hung.place.join("app.log");
    let more: [(&str, &[&str]); 3] = [("rm", &[]), ("repair", &["--rebuild"]), ("tail", &["-F"])];
    for (command, args) in OPENING.into_iter().chain(more) {
        let running = way.start(mmlogctl(command, &log).args(args));
        kill(in_the_kernel(&running, &hung), Signal::SIGTERM).unwrap();
        let ended = running.end();
        // What follows has a main thread that does not stand there.
        let code = if command == "tail" && !args.is_empty() { 0 } else { way.code(Signal::SIGTERM) };
        assert_eq!(ended.code, code, "{command} {args:?}, {way:?}: {ended:?}");
        assert!(code == 0 || ended.stderr.contains("ended by a signal"), "{command} {args:?}: {ended:?}");
    }
    drop(hung);
}

#[test]
fn a_second_signal_ends_at_once_who_has_time_and_a_file_system_that_does_not_answer() {
    let claim = "a second signal ends at once who has time";
    if is_ignored(Signal::SIGTERM) {
        return skipped(claim, IGNORED);
    }
    let scratch = Scratch::new();
    let Some(hung) = Hung::mount(&scratch) else {
        return skipped(claim, "no FUSE, or not root");
    };
    let running = mmlogctl("append", &hung.place.join("app.log")).arg("--grace=1h").start();
    let pid = in_the_kernel(&running, &hung);
    kill(pid, Signal::SIGTERM).unwrap();
    // Two that wait at the same time are one.
    wait_for("it has the first", || (!has_term(pid, "ShdPnd")?).then_some(()));
    kill(pid, Signal::SIGTERM).unwrap();
    let ended = running.end();
    assert_eq!(ended.code, -(Signal::SIGTERM as i32), "{ended:?}");
    drop(hung);
}

#[test]
fn a_rebuild_does_not_look_into_what_is_mounted_below_the_logs_directory() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let Some(hung) = Hung::mount(&scratch) else {
        return skipped("a rebuild does not look into what is mounted below", "no FUSE, or not root");
    };
    fs::remove_file(metadata_of(&log)).unwrap();
    // It hints at directories of old segments.
    let ended = mmlogctl("repair", &log).arg("--rebuild").through("timeout", &["--signal=KILL", "20"]).run();
    assert_eq!(ended.code, 0, "{ended:?}");
    drop(hung);
}
