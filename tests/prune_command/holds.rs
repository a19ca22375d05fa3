//! Holds: what a consumer has not read stays, whether or not it runs, until somebody says otherwise.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

use mmlog::{Fault, Log, Position, Retention};
use nix::mount::{MsFlags, mount};
use nix::sys::signal::Signal;

use crate::cli::{Ended, NOBODY, Scratch, Tool, mmlogctl, own_mounts, skipped, wait_for};
use crate::{append, content, contents, finals, is_sound, prune, segmented};

fn tail(log: &Path, options: &[&str]) -> Tool {
    let place = format!("--cursor-file={}.place", log.display());
    mmlogctl("tail", log).args(["--hold=shipper", &place]).args(options)
}

fn status(log: &Path) -> serde_json::Value {
    serde_json::from_slice(&mmlogctl("status", log).arg("--json").run().stdout).unwrap()
}

fn hold_at(log: &Path) -> u64 {
    status(log)["holds"][0]["position"].as_u64().unwrap()
}

fn stop(running: crate::cli::Running) -> Ended {
    running.signal(Signal::SIGTERM);
    running.end()
}

/// A log with three final segments, and a hold at that position.
fn held_at(scratch: &Scratch, position: u64) -> (PathBuf, mmlog::Hold) {
    let log = segmented(scratch, 3);
    let hold = Log::options().open(&log).unwrap().hold("shipper", Position::new(position)).unwrap();
    (log, hold)
}

#[test]
fn what_a_hold_has_not_passed_stays_until_it_has() {
    let scratch = Scratch::new();
    let (log, hold) = held_at(&scratch, 13);
    let all = finals(&log);
    prune(&log, &["--keep=0"]).run().printed(b"");
    assert_eq!(finals(&log), all[1..]);
    let plan = prune(&log, &["--keep=0", "-n"]).run();
    plan.printed(
        format!("{}: hold shipper keeps the rest; --force takes it, --forget ends the hold\n", log.display())
            .as_bytes(),
    );
    hold.advance(Position::new(38)).unwrap();
    hold.advance(Position::new(20)).unwrap();
    prune(&log, &["--keep=0"]).run().printed(b"");
    assert_eq!(finals(&log), all[2..], "one byte of it is not read; a hold never goes back");
    hold.advance(Position::new(39)).unwrap();
    prune(&log, &["--keep=0"]).run().printed(b"");
    assert_eq!(finals(&log).len(), 0);
}

#[test]
fn a_consumer_that_does_not_run_keeps_what_it_has_not_read_and_goes_on_there() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 1);
    tail(&log, &["--until-now"]).run().printed(&contents(0, 1));
    assert_eq!(hold_at(&log), 26);
    mmlogctl("rotate", &log).run().printed(b"");
    append(&log, content(2).as_bytes());
    mmlogctl("rotate", &log).run().printed(b"");
    prune(&log, &["--keep=0"]).run().printed(b"");
    assert_eq!(finals(&log).len(), 1, "only the one that it has not read");
    tail(&log, &["--until-now"]).run().printed(content(2).as_bytes());
    prune(&log, &["--keep=0"]).run().printed(b"");
    assert_eq!(finals(&log).len(), 0);
}

#[test]
fn while_it_follows_the_hold_is_never_beyond_its_cursor_file() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 1);
    let place = scratch.file("app.log.place");
    let tail = tail(&log, &["-f", "-n+1"]).start();
    let end = 26 + 13;
    wait_for("the tail has registered", || (!status(&log)["holds"].as_array()?.is_empty()).then_some(()));
    append(&log, content(2).as_bytes());
    wait_for("the hold follows", || {
        let held = hold_at(&log);
        let text = fs::read_to_string(&place).unwrap();
        let saved: u64 = text.split_ascii_whitespace().nth(2).unwrap().parse().unwrap();
        assert!(held <= saved, "held {held}, saved {saved}");
        (held == end).then_some(())
    });
    let held = &status(&log)["holds"][0];
    assert_eq!((held["name"].as_str(), held["lag"].as_u64()), (Some("shipper"), Some(0)));
    assert_eq!(held["pid"].as_u64(), Some(tail.pid().into()));
    assert!(held["last_seen"].is_string());
    let human = mmlogctl("status", &log).run().text();
    assert!(human.contains("  holds        shipper at 39, 0 B behind, seen "), "{human}");
    assert!(human.lines().count() <= 24);
    let ended = stop(tail);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(hold_at(&log), end, "it stays");
    is_sound(&log);
}

#[test]
fn in_a_log_that_was_made_anew_a_follower_has_a_hold_of_its_own_at_its_place_there() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 1);
    let running = tail(&log, &["-F"]).start();
    wait_for("the hold", || (hold_at(&log) > 0).then_some(()));
    mmlogctl("rm", &log).args(["--all", "--force"]).run().is_success();
    mmlogctl("append", &log).input(b"new\n").run().is_success();
    wait_for("the new log's hold", || status(&log)["holds"][0]["position"].as_u64().filter(|at| *at == 4));
    stop(running);
}

#[test]
fn force_takes_what_is_held_and_the_consumer_is_told_what_it_missed() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 2);
    tail(&log, &["--until-now", "--from=5"]).run().is_success();
    // Its place is an older one again, as after it was restored.
    let place = scratch.file("app.log.place");
    let text = fs::read_to_string(&place).unwrap();
    fs::write(&place, text.replace(" 39 ", " 5 ")).unwrap();
    let opened = Log::options().open(&log).unwrap();
    drop(opened.hold("shipper", Position::new(5)).unwrap());
    prune(&log, &["--keep=0"]).run().says(&log, &["removed nothing: hold shipper keeps all"]);
    assert_eq!(finals(&log).len(), 2);
    prune(&log, &["--keep=0", "--force"]).run().printed(b"");
    assert_eq!(finals(&log).len(), 0);
    let late = opened.hold("late", Position::new(5)).unwrap_err();
    assert!(matches!(late.fault(), Fault::Pruned { value: 5, kept: 26 }), "{late}");
    assert!(late.to_string().contains("position 5 is pruned, the log is kept from 26 on"), "{late}");
    let ended = tail(&log, &["--until-now"]).run();
    assert_eq!((ended.code, &ended.stdout), (0, &contents(2, 2)));
    ended.says(&log, &["positions 5 to 26 are pruned (21 bytes)"]);
    assert_eq!(hold_at(&log), 39);
}

#[test]
fn a_prune_that_a_hold_keeps_from_removing_anything_is_not_silent_and_one_command_ends_the_hold_and_prunes() {
    let scratch = Scratch::new();
    let (log, _hold) = held_at(&scratch, 0);
    let all = finals(&log);
    for rules in [&["--keep=1"][..], &["--keep-bytes=1"]] {
        let ended = prune(&log, rules).run();
        assert_eq!((ended.code, ended.text()), (0, String::new()), "{ended:?}");
        ended.says(&log, &["removed nothing: hold shipper keeps all that would go", "--forget"]);
        assert_eq!(finals(&log), all);
    }
    // Nothing was asked to go.
    prune(&log, &["--keep=9"]).run().printed(b"");
    prune(&log, &["--forget=shipper", "--keep=1"]).run().printed(b"");
    assert_eq!(finals(&log), all[2..]);
}

#[test]
fn a_hold_that_is_forgotten_holds_nothing_and_its_consumer_is_told() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 1);
    let running = tail(&log, &["-f", "-n+1"]).start();
    running.until_stdout(|printed| printed == contents(0, 1));
    prune(&log, &["--forget=shipper"]).run().printed(b"");
    assert_eq!(status(&log)["holds"].as_array().unwrap().len(), 0);
    append(&log, b"later\n");
    running.until_stderr("hold shipper was ended");
    running.until_stdout(|printed| printed.ends_with(b"later\n"));
    stop(running);
    assert_eq!(status(&log)["holds"].as_array().unwrap().len(), 0, "it does not come back by itself");
    let ended = prune(&log, &["--forget=shipper"]).run();
    ended.is_refused(1, &log, &["no such hold: shipper"]);
}

#[test]
fn a_name_that_is_claimed_again_goes_over_to_the_new_process_at_its_place() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 2);
    let opened = Log::options().open(&log).unwrap();
    let old = opened.hold("shipper", Position::new(30)).unwrap();
    let error = Log::options().open(&log).unwrap().hold("shipper", Position::new(5)).unwrap_err();
    assert!(matches!(error.fault(), Fault::Busy(_)), "{error}");
    assert_eq!(opened.holds()[0].position, 30, "while it lives nobody takes it over");
    drop(old);
    let new = opened.hold("shipper", Position::new(5)).unwrap();
    let holds = opened.holds();
    assert_eq!((holds.len(), holds[0].position), (1, 5), "where its consumer says");
    assert!(opened.prune(&Retention::default().keep(0)).unwrap().is_empty());
    new.advance(Position::new(39)).unwrap();
    assert_eq!(opened.prune(&Retention::default().keep(0)).unwrap().segments.len(), 2);
}

#[test]
fn a_second_consumer_of_a_hold_is_told_who_has_it_and_the_first_misses_nothing() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 2);
    let running = tail(&log, &["-f", "--from=5"]).start();
    wait_for("the hold", || status(&log)["holds"][0]["position"].as_u64().filter(|at| *at == 39));
    let other = |options: &[&str]| {
        let place = format!("--cursor-file={}.other", log.display());
        mmlogctl("tail", &log).args(["--hold=shipper", &place]).args(options).run()
    };
    let who = format!("busy: process {} (mmlogctl tail ", running.innermost());
    let words = [who.as_str(), "holds the name shipper of a hold; try again later"];
    for options in [&["--until-now"][..], &["-f"], &["-F"]] {
        other(options).is_refused(3, &log, &words);
    }
    append(&log, content(3).as_bytes());
    running.until_stdout(|printed| printed.ends_with(content(3).as_bytes()));
    // Not only whoever ends it himself.
    running.signal(Signal::SIGKILL);
    running.end();
    other(&["--until-now", "-n+1"]).printed(&contents(0, 3));
    assert_eq!(status(&log)["holds"].as_array().unwrap().len(), 1);
    is_sound(&log);
}

#[test]
fn a_follower_by_name_that_finds_its_log_again_still_has_its_hold() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 1);
    let running = tail(&log, &["-F", "-n+1"]).start();
    running.until_stdout(|printed| printed == contents(0, 1));
    wait_for("the hold", || status(&log)["holds"][0]["position"].as_u64());
    let names = [log.clone(), scratch.file("app.log.mmlog")];
    let aside = |path: &Path| path.with_file_name(format!("aside-{}", path.file_name().unwrap().display()));
    for path in &names {
        fs::rename(path, aside(path)).unwrap();
    }
    running.until_stderr("waiting for a new one");
    for path in names.iter().rev() {
        fs::rename(aside(path), path).unwrap();
    }
    append(&log, content(2).as_bytes());
    running.until_stdout(|printed| printed.ends_with(content(2).as_bytes()));
    wait_for("the hold follows", || (hold_at(&log) == 39).then_some(()));
    assert_eq!(stop(running).code, 0);
}

#[test]
fn a_hold_that_was_ended_leaves_its_name_and_no_record_to_a_consumer_that_lives_on() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 1);
    let opened = Log::options().open(&log).unwrap();
    let old = opened.hold("shipper", Position::new(5)).unwrap();
    opened.forget("shipper").unwrap();
    let new = opened.hold("shipper", Position::new(7)).unwrap();
    let error = old.advance(Position::new(26)).unwrap_err();
    assert!(matches!(error.fault(), Fault::NoHold { .. }), "{error}");
    new.advance(Position::new(8)).unwrap();
    assert_eq!(opened.holds().iter().map(|hold| hold.position).collect::<Vec<_>>(), [8]);
    // Whoever was told has no record any more that others could not have.
    let more: Vec<_> = (0..63).map(|n| opened.hold(&n.to_string(), Position::new(0)).unwrap()).collect();
    assert_eq!(more.len() + 1, opened.holds().len());
}

#[test]
fn the_sixty_fifth_hold_and_bad_names_are_refused() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 1);
    let opened = Log::options().open(&log).unwrap();
    for name in ["", "a\nb", &"x".repeat(65)] {
        let error = opened.hold(name, Position::new(0)).unwrap_err();
        assert!(matches!(error.fault(), Fault::HoldName { .. }), "{error}");
    }
    let beyond = opened.hold("beyond", Position::new(99)).unwrap_err();
    assert!(matches!(beyond.fault(), Fault::NoPosition { value: 99, max: 26, .. }), "{beyond}");
    for n in 0..64 {
        opened.hold(&format!("{n:064}"), Position::new(n % 26)).unwrap();
    }
    let full = opened.hold("one more", Position::new(0)).unwrap_err();
    let words = format!("all 64 holds are in use; `mmlogctl status {}` lists them", log.display());
    assert!(full.to_string().contains(&words), "{full}");
    assert!(mmlogctl("status", &log).run().text().lines().count() <= 24);
    opened.forget(&format!("{:064}", 7)).unwrap();
    opened.hold("one more", Position::new(0)).unwrap();
    is_sound(&log);
}

#[test]
fn a_consumer_that_proc_hides_from_this_user_is_not_taken_for_gone() {
    let claim = "a_consumer_that_proc_hides_from_this_user_is_not_taken_for_gone";
    let scratch = Scratch::new();
    let log = segmented(&scratch, 3);
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let opened = Log::options().open(&log).unwrap();
    let _hold = opened.hold("shipper", Position::new(0)).unwrap();
    let hide = || mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), Some("hidepid=2"));
    if !own_mounts() || hide().is_err() {
        return skipped(claim, "not root, or no hidepid");
    }
    let said = mmlogctl("status", &log).arg("--json").with(|c| c.uid(NOBODY).gid(NOBODY)).run();
    let status: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(status["holds"][0]["process"], "hidden", "{said:?}");
    assert!(!said.text().contains("is gone"), "{said:?}");
}
