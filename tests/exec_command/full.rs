//! A disk that is full: the program neither dies nor hangs of it, unless to wait is what was asked for.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal;

use crate::cli::{Ended, Scratch, mounted, skipped};
use crate::{content, line_after, shell};

const MIB: usize = 1 << 20;

fn small_disk(scratch: &Scratch, claim: &str) -> Option<PathBuf> {
    let disk = mounted(scratch, "tmpfs", "size=2m");
    if disk.is_none() {
        skipped(claim, "mounting a small tmpfs needs root");
    }
    disk
}

/// How many bytes it says were not stored, in its last line.
fn not_stored(ended: &Ended) -> usize {
    let last = ended.stderr.lines().last().unwrap();
    let (before, _) = last.split_once(" bytes of the program's output were not stored").unwrap();
    before.rsplit(' ').next().unwrap().parse().unwrap()
}

/// 4.5 MB.
const MUCH: &str = "seq 100000 742856";
const MUCH_BYTES: usize = 642_857 * 7;

#[test]
fn a_program_on_a_full_disk_ends_well_and_what_was_not_stored_is_said() {
    let scratch = Scratch::new();
    let Some(disk) = small_disk(&scratch, "a program on a full disk ends well") else { return };
    for (name, end, code) in [("ok", "true", 1), ("failing", "exit 7", 7)] {
        let log = disk.join(name);
        let ended = shell(&log, &["--on-full=fail", "--chunk-size=64K"], &format!("{MUCH}; {end}")).run();
        assert_eq!(ended.code, code, "{ended:?}");
        let said: Vec<&str> = ended.stderr.lines().collect();
        assert_eq!(said.len(), 2, "{ended:?}");
        let parts =
            ["No space left on device", "; free some", "(nothing more of the program's output is stored)"];
        assert!(parts.iter().all(|part| said[0].contains(part)), "{ended:?}");
        let stored = content(&log);
        assert!(stored.starts_with("100000\n100001\n") && stored.ends_with('\n'));
        assert_eq!(stored.len() + not_stored(&ended), MUCH_BYTES);
        fs::remove_file(&log).unwrap();
    }
}

#[test]
fn copies_go_on_when_the_log_cannot() {
    let scratch = Scratch::new();
    let Some(disk) = small_disk(&scratch, "copies go on when the log cannot") else { return };
    let log = disk.join("app.log");
    let ended = shell(&log, &["--on-full=fail", "--chunk-size=64K", "--tee"], MUCH).run();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert_eq!(ended.stdout.len(), MUCH_BYTES);
}

#[test]
fn retry_holds_the_program_up_and_goes_on_when_there_is_space() {
    let scratch = Scratch::new();
    let Some(disk) = small_disk(&scratch, "retry goes on when there is space") else { return };
    let (log, filler) = (disk.join("app.log"), disk.join("filler"));
    fs::write(&filler, vec![1; 3 * MIB / 2]).unwrap();
    let running = shell(&log, &["--chunk-size=64K"], "seq 100000 249999; exit 7").start();
    running.until_stderr("(waiting; nothing is lost)");
    fs::remove_file(&filler).unwrap();
    let ended = running.end();
    assert_eq!(ended.code, 7, "{ended:?}");
    assert!(ended.stderr.lines().count() == 2 && ended.stderr.contains("goes on after"), "{ended:?}");
    assert_eq!(content(&log).lines().count(), 150_000);
}

#[test]
fn a_signal_reaches_a_program_that_a_full_disk_holds_up() {
    let scratch = Scratch::new();
    let Some(disk) = small_disk(&scratch, "a signal reaches a program that a full disk holds up") else {
        return;
    };
    let log = disk.join("app.log");
    let script = format!("trap 'exit 7' TERM; echo ready; {MUCH}; {MUCH}; {MUCH}; sleep 1000");
    let running = shell(&log, &["--chunk-size=64K"], &script).start();
    line_after(&log, "ready");
    running.until_stderr("(waiting; nothing is lost)");
    running.signal(Signal::SIGTERM);
    let ended = running.end();
    assert_eq!(ended.code, 7, "{ended:?}");
    assert!(not_stored(&ended) > 0);
}
