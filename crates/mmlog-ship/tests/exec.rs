//! Guards shipping to a command: it has each unit whole, or not at all, until it says that it has it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

#[path = "../../../tests/common/mod.rs"]
mod common;
mod stage;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use common::surgeon::{COPYING, Surgeon};
use common::until;
use stage::{Ended, Shipper, Stage};

fn command(stage: &Stage, more: &[&str], script: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mmlogctl-ship"));
    command.arg("ship").arg(&stage.log).args(["--to", "exec"]).args(more);
    command.args(["--", "sh", "-ec", script]).current_dir(stage.dir.path());
    command
}

fn ship(stage: &Stage, more: &[&str], script: &str) -> Ended {
    Ended::of(&command(stage, more, script).output().unwrap())
}

const STORE: &str = "mkdir -p out; cat > out/$MMLOG_FROM.part; mv out/$MMLOG_FROM.part out/$MMLOG_FROM";

/// What the files have that are called by their first position: how often one has bytes of another is for the caller.
fn stored(stage: &Stage) -> BTreeMap<u64, Vec<u8>> {
    let out = stage.dir.path().join("out");
    if !out.exists() {
        return BTreeMap::new();
    }
    let whole = |path: PathBuf| Some((path.file_name()?.to_str()?.parse().ok()?, fs::read(path).unwrap()));
    fs::read_dir(out).unwrap().filter_map(|entry| whole(entry.unwrap().path())).collect()
}

fn joined(stage: &Stage) -> Vec<u8> {
    stored(stage).into_values().flatten().collect()
}

#[test]
fn a_command_is_run_for_each_unit_with_its_bytes_and_what_they_are() {
    let stage = Stage::new();
    let mut all = stage.lines(0, 1000);
    let script = format!(
        "{STORE}; echo $MMLOG_KIND $MMLOG_UUID $MMLOG_FROM $MMLOG_TO $MMLOG_BYTES $MMLOG_SUM $MMLOG_ID >> said"
    );
    ship(&stage, &["--until-now", "--unit=4K"], &script).is(0, "a chain begins at position 0");
    assert_eq!(joined(&stage), all);
    all.extend(stage.lines(1000, 1100));
    // What it goes on behind cannot be compared, and that is no news.
    let ended = ship(&stage, &["--until-now", "--unit=4K"], &script).is(0, "");
    assert_eq!((ended.said.as_str(), joined(&stage)), ("", all));
    let said = fs::read_to_string(stage.dir.path().join("said")).unwrap();
    let mut next = "0".to_owned();
    for line in said.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!((words[0], words.len(), words[2]), ("content", 7, next.as_str()), "{line}");
        let bytes = fs::read(stage.dir.path().join("out").join(words[2])).unwrap();
        assert_eq!(words[4], bytes.len().to_string());
        assert_eq!(words[5], format!("{:016x}", mmlog_ship::sum::extend(0, &bytes)));
        next = words[3].to_owned();
    }
}

#[test]
fn a_command_that_fails_is_run_again_and_nothing_is_lost() {
    let stage = Stage::new();
    let all = stage.lines(0, 300);
    let script = format!("echo x >> tries; [ $(wc -l < tries) -gt 2 ] || exit 3; {STORE}");
    ship(&stage, &["--until-now", "--unit=4K"], &script).is(0, "sh: it ended with 3; tried again");
    assert_eq!(joined(&stage), all);
    let all = [all, stage.lines(300, 400)].concat();
    ship(&stage, &["--until-now", "--give-up=100ms"], "exit 5").is(1, "it ended with 5");
    ship(&stage, &["--until-now", "--timeout=100ms", "--give-up=0s"], "sleep 1000").is(1, "no answer");
    // Two ways to fail in turn: each is said once, and what it gave up with.
    let script = "echo x >> fails; exit $((6 + $(wc -l < fails) % 2))";
    let ended = ship(&stage, &["--until-now", "--give-up=2s"], script).is(1, "it ended with ");
    let (lines, once): (Vec<_>, std::collections::BTreeSet<_>) =
        (ended.said.lines().collect(), ended.said.lines().collect());
    assert_eq!(lines.len(), once.len(), "{ended:?}");
    ship(&stage, &["--until-now"], STORE).is(0, "");
    assert_eq!(joined(&stage), all);
}

#[test]
fn a_command_that_cannot_be_started_is_1_and_none_is_2() {
    let stage = Stage::new();
    stage.lines(0, 10);
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mmlogctl-ship"));
        Ended::of(&command.arg("ship").arg(&stage.log).args(words).output().unwrap())
    };
    run(&["--to", "exec", "--until-now", "--", "/nowhere/x"]).is(1, "/nowhere/x: cannot be started");
    run(&["--to", "exec", "--check", "--", "/nowhere/x"]).is(1, "no such program");
    run(&["--to", "exec", "--check", "--", "no-such-program"]).is(1, "no such program");
    run(&["--to", "exec", "--check", "--", "sh", "-c", "exit 1"]).is(0, "");
    run(&["--to", "exec"]).is(2, "--to exec needs a command");
    run(&["--to", "file:x", "--", "cat"]).is(2, "takes no command");
}

#[test]
fn what_has_no_bytes_is_told_by_a_run_without_any() {
    let stage = Stage::new();
    let mut all = stage.lines(0, 10);
    Surgeon::new(&stage.log).append_in_flight(3, COPYING, 100);
    all.extend(stage.lines(10, 20));
    let script = format!("{STORE}; echo $MMLOG_KIND $MMLOG_FROM $MMLOG_TO $MMLOG_BYTES >> said");
    ship(&stage, &["--until-now"], &script).is(0, "have no content");
    assert_eq!(joined(&stage), all);
    let said = fs::read_to_string(stage.dir.path().join("said")).unwrap();
    let hole = said.lines().find(|line| line.starts_with("hole ")).unwrap();
    let words: Vec<u64> = hole.split(' ').skip(1).map(|word| word.parse().unwrap()).collect();
    assert_eq!((words[1] - words[0], words[2]), (100, 0));
}

#[test]
fn a_killed_shipper_has_units_run_again_and_none_is_left_out_or_cut() {
    let stage = Stage::new();
    let mut all = Vec::new();
    for round in 0..8 {
        all.extend(stage.lines(round * 100, round * 100 + 100));
        let had = stored(&stage).len();
        let shipper =
            Shipper::of(command(&stage, &["--unit=1K", "--linger=1ms"], STORE).stderr(Stdio::null()));
        until("some units", || (stored(&stage).len() > had).then_some(()));
        shipper.kill();
    }
    ship(&stage, &["--until-now", "--unit=1K"], STORE).is(0, "");
    // Units that were run again may have been cut anew, and are called by where they begin.
    let mut next = 0;
    for (from, bytes) in stored(&stage) {
        assert!(from <= next as u64, "bytes {next} to {from} are left out");
        assert!(bytes.ends_with(b"\n") && all[from as usize..].starts_with(&bytes), "a unit is cut");
        next = next.max(from as usize + bytes.len());
    }
    assert_eq!(next, all.len());
}

#[test]
fn a_signal_waits_for_the_command_in_hand() {
    let stage = Stage::new();
    let all = stage.lines(0, 10);
    let script = format!("touch begun; while ! [ -e go ]; do sleep 0.01; done; {STORE}");
    let shipper = Shipper::of(command(&stage, &["--drain=100s"], &script).stderr(Stdio::piped()));
    let at = |name: &str| stage.dir.path().join(name);
    until("the command", || at("begun").exists().then_some(()));
    shipper.signal();
    // Whether it is heard before the command ends or behind it: the unit is there, once.
    fs::write(at("go"), "").unwrap();
    shipper.wait().is(0, "");
    assert_eq!(joined(&stage), all);
    // It is written down: nothing is run again.
    fs::remove_dir_all(at("out")).unwrap();
    ship(&stage, &["--until-now"], STORE).is(0, "");
    assert!(joined(&stage).is_empty());
}

#[test]
fn a_log_that_was_made_anew_is_run_for_behind_the_old_one_at_once_and_by_the_next_start() {
    let stage = Stage::new();
    let script = format!("MMLOG_FROM=$MMLOG_UUID-$MMLOG_FROM; {STORE}");
    let whole = |stage: &Stage| -> usize {
        let Ok(files) = fs::read_dir(stage.dir.path().join("out")) else { return 0 };
        files
            .map(|file| file.unwrap())
            .filter(|f| !f.path().to_str().unwrap().ends_with(".part"))
            .map(|f| f.metadata().unwrap().len() as usize)
            .sum()
    };
    let mut all = stage.lines(0, 100).len();
    let shipper = Shipper::of(&mut command(&stage, &["--linger=1ms"], &script));
    until("the old log", || (whole(&stage) == all).then_some(()));
    let remove = || mmlog::remove(&stage.log, mmlog::Force::Always, &mmlog::Log::options()).unwrap();
    remove();
    all += stage.lines(100, 200).len();
    until("the new log", || (whole(&stage) == all).then_some(()));
    shipper.end().is(0, "the log was made anew");
    remove();
    all += stage.lines(200, 300).len();
    ship(&stage, &["--until-now"], &script).is(0, "a chain begins at position 0");
    assert_eq!(whole(&stage), all);
}

#[test]
fn what_was_written_down_and_is_lost_has_units_run_again_from_the_hold_on_and_a_restart_all() {
    let stage = Stage::new();
    let all = stage.lines(0, 100);
    let place = stage.checkpoint_of("exec-sh");
    ship(&stage, &["--until-now"], STORE).is(0, "");
    for more in [&["--until-now"][..], &["--until-now", "--sink-is-new=restart"]] {
        fs::remove_dir_all(stage.dir.path().join("out")).unwrap();
        if more.len() == 1 {
            fs::remove_file(&place).unwrap();
        }
        ship(&stage, more, STORE).is(0, "a chain begins at position 0");
        assert_eq!(joined(&stage), all);
        // Once.
        fs::remove_dir_all(stage.dir.path().join("out")).unwrap();
        ship(&stage, &["--until-now"], STORE).is(0, "");
        assert!(joined(&stage).is_empty());
        fs::create_dir(stage.dir.path().join("out")).unwrap();
    }
}
