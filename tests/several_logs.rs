//! Guards commands that work on several logs, one after the other: each log is worked on, whatever becomes of the others,
//! the exit code is the worst, and every message names its log.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;

use std::fs;
use std::path::{Path, PathBuf};

use cli::{Ended, Scratch, Tool, at, mmlogctl, poke};
use mmlog::{Log, Position};
use serde_json::Value;

/// Three logs of two segments each; of the second one only a data file is left, which nothing says was a log.
fn logs(scratch: &Scratch) -> [PathBuf; 3] {
    let logs = ["a.log", "b.log", "c.log"].map(|name| scratch.file(name));
    for log in [&logs[0], &logs[2]] {
        mmlogctl("append", log).input(b"one\n").run().is_success();
        mmlogctl("rotate", log).run().printed(b"");
        mmlogctl("append", log).input(b"two\n").run().is_success();
    }
    fs::write(&logs[1], b"two\n").unwrap();
    logs
}

fn all(command: &str, args: &[&str], logs: &[PathBuf]) -> Ended {
    Tool::new(env!("CARGO_BIN_EXE_mmlogctl")).arg(command).args(args).args(logs).run()
}

/// So many segments.
fn segments(log: &Path) -> usize {
    let text = mmlogctl("segments", log).arg("--json").run().text();
    let object: Value = serde_json::from_str(&text).unwrap();
    object["segments"].as_array().unwrap().len()
}

#[test]
fn the_others_are_worked_on_where_one_fails_and_the_exit_code_is_the_worst() {
    for (command, args) in [("trim", &[][..]), ("rotate", &[]), ("prune", &["--keep=0"]), ("segments", &[])] {
        let scratch = Scratch::new();
        let logs = logs(&scratch);
        let ended = all(command, args, &logs);
        assert_eq!(ended.code, 1, "{command}: {ended:?}");
        ended.says(&logs[1], &[]);
        assert_eq!(ended.stderr.lines().count(), 1, "{command}: {ended:?}");
        let wanted = match command {
            "rotate" => 3,
            "prune" => 1,
            _ => 2,
        };
        assert_eq!([segments(&logs[0]), segments(&logs[2])], [wanted; 2], "{command}");
        // Damage is worse than a log that is not there.
        let is_old = |path: &PathBuf| path.to_string_lossy().contains("a.log.0");
        let entries = fs::read_dir(scratch.path()).unwrap();
        match command {
            "segments" => entries
                .map(|e| e.unwrap().path())
                .filter(is_old)
                .for_each(|old| fs::remove_file(old).unwrap()),
            _ => poke(&logs[0], at::IS_PANICKED, &[1]),
        }
        let ended = all(command, args, &logs);
        assert_eq!(ended.code, 4, "{command}: {ended:?}");
        assert_eq!(ended.stderr.lines().count(), 2, "{command}: {ended:?}");
    }
}

#[test]
fn what_was_done_is_said_for_each_log_where_that_is_asked_for() {
    let scratch = Scratch::new();
    let [a, _, c] = logs(&scratch);
    let both = [a.clone(), c.clone()];
    let says = |command: &str, args: &[&str], wanted: &str| {
        let ended = all(command, args, &both);
        ended.is_success();
        let text = ended.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{command}: {text}");
        for (line, log) in lines.iter().zip(&both) {
            assert!(line.starts_with(&format!("{}: {wanted}", log.display())), "{command}: {text}");
        }
    };
    all("rotate", &[], &both).printed(b"");
    for log in &both {
        mmlogctl("append", log).input(b"three\n").run().is_success();
    }
    says("rotate", &["-v"], "made ");
    says("rotate", &["-v"], "nothing to rotate");
    says("trim", &["-v"], "nothing to cut off");
    all("prune", &["--keep=2"], &both).printed(b"");
    says("prune", &["-v", "--keep=1"], "removed ");
    says("prune", &["--verbose", "--keep=1"], "nothing to remove");
    all("prune", &["--keep=0"], &both).printed(b"");
}

#[test]
fn the_command_of_rotate_runs_for_each_log_also_where_it_fails_for_one() {
    let scratch = Scratch::new();
    let [a, _, c] = logs(&scratch);
    let (done, both) = (scratch.file("done"), [a.clone(), c.clone()]);
    let command =
        format!("echo \"$MMLOG_LOG\" >> '{}'; case \"$MMLOG_LOG\" in */a.log) exit 7;; esac", done.display());
    let ended = all("rotate", &["--run", &command], &both);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert_eq!(fs::read_to_string(&done).unwrap(), format!("{}\n{}\n", a.display(), c.display()));
    ended.says(&a, &["ended with exit code 7"]);
}

#[test]
fn segments_of_several_logs_are_told_apart() {
    let scratch = Scratch::new();
    let [a, _, c] = logs(&scratch);
    let both = [a.clone(), c.clone()];
    let text = all("segments", &[], &both).text();
    let heads: Vec<&str> = text.lines().filter(|line| line.ends_with(".log:")).collect();
    assert_eq!(heads, [format!("{}:", a.display()), format!("{}:", c.display())], "{text}");
    assert_eq!(text.lines().count(), 2 * 4 + 1, "{text}");
    let text = all("segments", &["--json"], &both).text();
    let paths: Vec<Value> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["path"].take()).collect();
    assert_eq!(paths, both.map(|log| Value::from(log.to_str().unwrap())));
}

#[test]
fn a_hold_is_ended_in_every_log_that_has_it() {
    let scratch = Scratch::new();
    let [a, _, c] = logs(&scratch);
    let open = |log: &PathBuf| Log::options().open(log).unwrap();
    drop(open(&c).hold("shipper", Position::new(0)).unwrap());
    let ended = all("prune", &["--forget", "shipper"], &[a.clone(), c.clone()]);
    assert_eq!(ended.code, 1, "{ended:?}");
    ended.says(&a, &["shipper"]);
    assert!(open(&c).holds().is_empty());
}
