//! A disk that is full: the program neither dies nor hangs of it, unless to wait is what was asked for.

use std::fs;

use nix::sys::signal::Signal;

use crate::cli::{Ended, Scratch, mmlogctl, small_disk, wait_for};
use crate::{content, line_after, shell};

const MIB: usize = 1 << 20;

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
fn a_program_on_a_full_disk_ends_well_and_what_was_dropped_is_said() {
    let scratch = Scratch::new();
    let Some(disk) = small_disk(&scratch, "2m", "a program on a full disk ends well") else { return };
    // Where a line has no room, the longer one that says so has not either.
    let prefix = format!("--prefix={}", "p".repeat(100_000));
    for (name, end, code) in [("ok", "true", 1), ("failing", "exit 7", 7)] {
        let log = disk.join(name);
        let options = ["--on-full=drop", "--chunk-size=64K", &prefix];
        let mut running = shell(&log, &options, &format!("while read go; do echo $go; done; {end}")).start();
        let mut fed = 0;
        while !running.said().contains(DROPPING) {
            running.feed(b"123456\n");
            fed += 1;
            let is_in = || log.exists() && content(&log).lines().count() == fed;
            wait_for("a line", || (running.said().contains(DROPPING) || is_in()).then_some(()));
        }
        running.feed(b"123456\n123456\n");
        let ended = running.end();
        assert_eq!(ended.code, code, "{ended:?}");
        let said: Vec<&str> = ended.stderr.lines().collect();
        assert_eq!(said.len(), 2, "{ended:?}");
        let parts = ["No space left on device", "; free some", DROPPING];
        assert!(parts.iter().all(|part| said[0].contains(part)), "{ended:?}");
        assert!(said[1].ends_with(": no space; the log does not say so"), "{ended:?}");
        let stored = content(&log).lines().count();
        assert_eq!(7 * stored + dropped(said[1]), 7 * (fed + 2));
        mmlogctl("rm", &log).run().is_success();
    }
}

/// What it says when it begins to drop.
const DROPPING: &str = "(dropping what comes, until there is space)";

/// How many bytes a line says were dropped.
fn dropped(line: &str) -> usize {
    let (before, _) = line.split_once(" bytes (").unwrap();
    before.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn drop_holds_no_program_up_and_goes_on_when_there_is_space() {
    let scratch = Scratch::new();
    let Some(disk) = small_disk(&scratch, "2m", "drop goes on when there is space") else { return };
    for on_full in ["drop", "fail"] {
        let (log, filler) = (disk.join(on_full), disk.join("filler"));
        fs::write(&filler, vec![1; MIB]).unwrap();
        let script = "seq 100000 399999; read go; echo last words; echo last words >&2; exit 7";
        let options =
            [&format!("--on-full={on_full}"), "--chunk-size=64K", "--prefix=p: ", "--stderr-prefix=e: "];
        let mut running = shell(&log, &options, script).start();
        running.until_stderr(DROPPING);
        fs::remove_file(&filler).unwrap();
        running.feed(b"\n");
        let ended = running.end();
        assert_eq!(ended.code, 7, "{ended:?}");
        let deprecated = ended.stderr.matches("mmlogctl: --on-full fail is now called drop").count();
        assert_eq!(deprecated, usize::from(on_full == "fail"), "{ended:?}");
        let content = content(&log);
        let (told, stored): (Vec<&str>, Vec<&str>) =
            content.lines().partition(|line| line.starts_with("p: mmlogctl: "));
        assert!(told.iter().all(|line| line.ends_with("Z: no space")), "{told:?}");
        let plain = stored.iter().map(|line| line[3..].len() + 1).sum::<usize>();
        let said = told.iter().map(|line| dropped(line)).sum::<usize>();
        assert_eq!(plain + said, 7 * 300_000 + 2 * "last words\n".len());
        mmlogctl("rm", &log).run().is_success();
    }
}

#[test]
fn drop_starts_the_program_where_the_log_is_yet_to_be_made_and_retry_waits() {
    let scratch = Scratch::new();
    let Some(disk) = small_disk(&scratch, "2m", "drop starts the program before there is a log") else {
        return;
    };
    for (on_full, says) in [("drop", DROPPING), ("retry", "(waiting; nothing is lost)")] {
        let (log, filler, started) = (disk.join(on_full), disk.join("filler"), scratch.file(on_full));
        fs::write(&filler, vec![1; 2 * MIB - 8192]).unwrap();
        // More than a pipe holds: most of it was read when the program goes on.
        let script = format!("seq 100000 199999; touch '{}'; read go; echo two; exit 7", started.display());
        let mut running = shell(&log, &[&format!("--on-full={on_full}")], &script).start();
        running.until_stderr(says);
        if on_full == "drop" {
            wait_for("the program runs", || started.exists().then_some(()));
        }
        assert_eq!(started.exists(), on_full == "drop");
        fs::remove_file(&filler).unwrap();
        running.until_stderr("goes on after");
        running.feed(b"\n");
        let ended = running.end();
        assert_eq!(ended.code, 7, "{ended:?}");
        let content = content(&log);
        let (told, stored): (Vec<&str>, Vec<&str>) =
            content.lines().partition(|line| line.starts_with("mmlogctl: "));
        let said = told.iter().map(|line| dropped(line)).sum::<usize>();
        assert_eq!(stored.iter().map(|line| line.len() + 1).sum::<usize>() + said, 700_000 + "two\n".len());
        assert_eq!(said > 0, on_full == "drop", "{told:?}");
        assert!(content.ends_with("two\n"));
        mmlogctl("rm", &log).run().is_success();
    }
}

#[test]
fn a_program_that_ends_before_the_log_could_be_made_has_its_exit_code() {
    let scratch = Scratch::new();
    let Some(disk) = small_disk(&scratch, "2m", "a program ends before the log could be made") else {
        return;
    };
    fs::write(disk.join("filler"), vec![1; 2 * MIB - 8192]).unwrap();
    for (script, code, untold) in [("echo one", 1, 4), ("echo one; exit 7", 7, 4), ("true", 0, 0)] {
        let ended = shell(&disk.join("app.log"), &["--on-full=drop"], script).run();
        assert_eq!(ended.code, code, "{ended:?}");
        let last = ended.stderr.lines().last().unwrap();
        match untold {
            0 => assert!(last.ends_with("nothing came"), "{ended:?}"),
            bytes => {
                assert!(dropped(last) == bytes && last.ends_with("the log does not say so"), "{ended:?}")
            }
        }
    }
}

#[test]
fn copies_go_on_when_the_log_cannot() {
    let scratch = Scratch::new();
    let Some(disk) = small_disk(&scratch, "2m", "copies go on when the log cannot") else { return };
    let log = disk.join("app.log");
    let ended = shell(&log, &["--on-full=drop", "--chunk-size=64K", "--tee"], MUCH).run();
    assert_eq!(ended.stdout.len(), MUCH_BYTES);
}

#[test]
fn retry_holds_the_program_up_and_goes_on_when_there_is_space() {
    let scratch = Scratch::new();
    let Some(disk) = small_disk(&scratch, "2m", "retry goes on when there is space") else { return };
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
    let Some(disk) = small_disk(&scratch, "2m", "a signal reaches a program that a full disk holds up")
    else {
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
