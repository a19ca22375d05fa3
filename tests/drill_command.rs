//! Guards `mmlogctl drill`, and through it the diagnosis: every incident is staged for real, named with its culprit, and
//! healed by the printed step, as root and as anybody; and nothing of a drill stays, however it ends.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

mod cli;
#[path = "drill_command/views.rs"]
mod views;

use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use cli::{Ended, NOBODY, Running, Scratch, Tool, is_root, own_mounts, skipped, succeeds, wait_for};
use mmlog::FindingId;
use nix::pty::{Winsize, openpty};
use nix::sys::signal::Signal;
use serde_json::Value;

const TOOL: &str = env!("CARGO_BIN_EXE_mmlogctl");

fn drill<S: AsRef<std::ffi::OsStr>>(names: &[S], place: &Path) -> Tool {
    Tool::new(TOOL).arg("drill").args(names).arg("--dir").arg(place)
}

/// Each of them, in the order of the list.
fn names() -> Vec<String> {
    let list = Tool::new(TOOL).args(["drill", "--list", "--json"]).run();
    let list: Value = serde_json::from_slice(&list.stdout).unwrap();
    let drills = list["drills"].as_array().unwrap();
    drills.iter().map(|drill| drill["name"].as_str().unwrap().to_owned()).collect()
}

/// How many processes share the incidents: these mostly wait, to see what lasts.
const CREWS: usize = 4;

/// That of all incidents, staged in that place, each of which is named and healed, or skipped with a reason; how many were
/// skipped.
#[track_caller]
fn all_is_well(place: &Path, by: impl Fn(&mut Command) -> &mut Command) -> usize {
    let names = names();
    let crews: Vec<Running> = (0..CREWS)
        .map(|crew| names.iter().skip(crew).step_by(CREWS).collect::<Vec<_>>())
        .map(|names| drill(&names, place).arg("--json").with(&by).start())
        .collect();
    let reports: Vec<Value> = crews.into_iter().map(report).collect();
    let drills: Vec<&Value> =
        reports.iter().flat_map(|report| report["drills"].as_array().unwrap()).collect();
    has_each_finding(&drills);
    for drill in &drills {
        if let Some(why) = drill["skipped"].as_str() {
            assert!(!why.is_empty() && drill["staged"] == false, "{drill}");
            skipped(drill["name"].as_str().unwrap(), why);
            continue;
        }
        assert!(drill["staged"] == true && drill["named"] == true, "{drill}");
        let on_record = drill["healed"].is_null() && drill["note"].is_string();
        assert!(drill["healed"] == true || on_record, "{drill}");
    }
    drills.iter().filter(|drill| drill["skipped"].is_string()).count()
}

/// What it ended with, whose counts are right.
#[track_caller]
fn report(running: Running) -> Value {
    let ended = running.end();
    ended.is_success();
    let report: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(report["schema"], 1);
    let drills = report["drills"].as_array().unwrap();
    let skipped = drills.iter().filter(|drill| drill["skipped"].is_string()).count();
    assert_eq!(report["counts"]["skipped"], skipped);
    report
}

/// One of its name; those of other names are of one of the findings, too.
#[track_caller]
fn has_each_finding(drills: &[&Value]) {
    let text = |drill: &'_ Value, key: &str| drill[key].as_str().unwrap().to_owned();
    let all: Vec<(String, String)> = drills.iter().map(|d| (text(d, "finding"), text(d, "name"))).collect();
    let mut own: Vec<&str> =
        all.iter().filter(|(finding, name)| finding == name).map(|(name, _)| &**name).collect();
    let mut expected: Vec<&str> = FindingId::ALL.iter().map(|id| id.name()).collect();
    own.sort_unstable();
    expected.sort_unstable();
    assert_eq!(own, expected);
    assert!(all.iter().all(|(finding, _)| expected.contains(&&**finding)), "{all:?}");
}

fn is_empty(place: &Path) -> bool {
    fs::read_dir(place).unwrap().next().is_none()
}

#[test]
fn every_incident_is_named_with_its_culprit_and_healed_by_the_printed_step() {
    // Of this test alone, so that they go with it.
    own_mounts();
    let scratch = Scratch::new();
    all_is_well(scratch.path(), |command| command);
    assert!(is_empty(scratch.path()));
}

#[test]
fn whoever_is_not_root_is_told_what_only_root_can_stage() {
    let scratch = Scratch::new();
    let place = scratch.file("anybody's");
    fs::create_dir(&place).unwrap();
    if is_root() {
        fs::set_permissions(scratch.path(), Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&place, Permissions::from_mode(0o777)).unwrap();
        if !succeeds(Command::new(TOOL).arg("--version").uid(NOBODY).gid(NOBODY)) {
            return skipped("drills of another user", "it cannot reach the program");
        }
    }
    fn by(command: &mut Command) -> &mut Command {
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }
    assert!(all_is_well(&place, by) >= 4);
    assert!(is_empty(&place));
}

#[test]
fn the_list_has_a_sentence_for_each_incident() {
    let list = Tool::new(TOOL).args(["drill", "--list"]).run();
    list.is_success();
    let text = list.text();
    let list = Tool::new(TOOL).args(["drill", "--list", "--json"]).run();
    let list: Value = serde_json::from_slice(&list.stdout).unwrap();
    let drills = list["drills"].as_array().unwrap();
    has_each_finding(&drills.iter().collect::<Vec<_>>());
    assert_eq!(text.lines().count(), drills.len());
    for (line, drill) in text.lines().zip(drills) {
        let about = line.strip_prefix(drill["name"].as_str().unwrap()).unwrap().trim();
        assert!(about.ends_with('.') && about.len() > 20, "{line}");
    }
}

#[test]
fn an_incident_that_nobody_knows_is_a_usage_error() {
    let ended = Tool::new(TOOL).args(["drill", "meteorite"]).run();
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.stderr.contains("meteorite") && ended.stderr.contains("drill --list"), "{ended:?}");
}

/// Processes whose command line has that path.
fn about(place: &Path) -> Vec<String> {
    let place = place.to_str().unwrap();
    let lines = fs::read_dir("/proc").unwrap().flatten();
    let lines = lines.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|l| l.contains(place))
        .collect()
}

/// A drill that has a process on stage.
fn underway(place: &Path) -> Running {
    let running = drill(&["--all"], place).start();
    wait_for("a process on stage", || {
        about(place).iter().any(|line| line.contains("drill-role")).then_some(())
    });
    running
}

#[test]
fn an_interrupted_drill_leaves_no_process_and_no_directory() {
    own_mounts();
    let scratch = Scratch::new();
    let running = underway(scratch.path());
    running.signal(Signal::SIGTERM);
    let ended = running.end();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("interrupted"), "{ended:?}");
    assert_eq!(about(scratch.path()), Vec::<String>::new());
    assert!(is_empty(scratch.path()));
}

#[test]
fn a_killed_drill_leaves_no_process() {
    own_mounts();
    let scratch = Scratch::new();
    let running = underway(scratch.path());
    running.signal(Signal::SIGKILL);
    running.end();
    wait_for("the end of all processes", || about(scratch.path()).is_empty().then_some(()));
}

#[test]
fn a_killed_drill_leaves_nothing_frozen() {
    own_mounts();
    let scratch = Scratch::new();
    for name in ["frozen-v1", "frozen-v2", "disk-frozen"] {
        let mut trainee = Trainee::at(name, scratch.path());
        if !trainee.is_told("Enter shows what status says.") {
            let (_, why) = trainee.shown.split_once("SKIPPED: ").unwrap();
            skipped(&format!("a killed drill leaves nothing frozen: {name}"), why.trim());
            continue;
        }
        trainee.running.signal(Signal::SIGKILL);
        trainee.running.end();
        wait_for("the end of all processes", || about(scratch.path()).is_empty().then_some(()));
    }
}

#[test]
fn a_directory_is_kept_when_asked_for_and_its_name_may_hold_anything() {
    let scratch = Scratch::new();
    let place = scratch.file("it's a \"dir\"");
    fs::create_dir(&place).unwrap();
    let ended = drill(&["data-truncated", "dead-writer", "--keep"], &place).run();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.text().contains("2 staged: 2 named, 2 healed"), "{ended:?}");
    let kept = fs::read_dir(&place).unwrap().next().unwrap().unwrap().path();
    assert!(ended.stderr.contains(kept.to_str().unwrap()), "{ended:?}");
    assert!(kept.join("data-truncated/app.log").exists());
}

/// Somebody at a terminal.
struct Trainee {
    terminal: fs::File,
    shown: String,
    running: Running,
}

impl Trainee {
    fn at(name: &str, place: &Path) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 400, ws_xpixel: 0, ws_ypixel: 0 };
        let terminal = openpty(&size, None).unwrap();
        let stdin = terminal.slave.try_clone().unwrap();
        let running = drill(&[name], place).stdin(stdin).stdout(terminal.slave).start_unread();
        Self { terminal: fs::File::from(terminal.master), shown: String::new(), running }
    }

    fn reads(&mut self, words: &str) {
        assert!(self.is_told(words), "{}", self.shown);
    }

    /// Whether that comes before the end.
    fn is_told(&mut self, words: &str) -> bool {
        let mut buf = [0; 4096];
        while !self.shown.contains(words) {
            // A terminal that everybody has closed fails.
            let Ok(len) = self.terminal.read(&mut buf) else { return false };
            self.shown.push_str(&String::from_utf8_lossy(&buf[..len]));
        }
        true
    }

    fn presses_enter(&mut self) {
        self.terminal.write_all(b"\n").unwrap();
    }

    /// The word behind some others.
    fn word_after(&self, words: &str) -> String {
        let rest = self.shown.split_once(words).unwrap().1;
        rest.split_whitespace().next().unwrap().trim_matches('`').to_owned()
    }
}

#[test]
fn a_rehearsal_waits_then_shows_the_step_then_does_it() {
    let scratch = Scratch::new();
    let mut trainee = Trainee::at("data-truncated", scratch.path());
    trainee.reads("Enter shows what status says.");
    assert!(!trainee.shown.contains("repair"), "{}", trainee.shown);
    trainee.presses_enter();
    trainee.reads("Enter does that");
    assert!(trainee.shown.contains("next step: `mmlogctl repair "), "{}", trainee.shown);
    trainee.presses_enter();
    trainee.reads("healed; an append and check --deep work");
    trainee.running.end().is_success();
    assert!(is_empty(scratch.path()));
}

#[test]
fn a_trainee_may_mend_it_from_another_terminal() {
    let scratch = Scratch::new();
    let mut trainee = Trainee::at("data-truncated", scratch.path());
    trainee.reads("Enter shows what status says.");
    let log = trainee.word_after("Something is wrong with ");
    Tool::new(TOOL).args(["repair", &log]).run().is_success();
    trainee.presses_enter();
    trainee.reads("healed (by you)");
    trainee.running.end().is_success();
}
