//! Resource limits: every command under each of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::{Ended, Scratch, Tool, mmlogctl, skipped, succeeds};
use crate::{CONTENT, has};

/// Every command that takes a log, with what it reads; those that have the log end as they are last.
const COMMANDS: [(&str, &[&str]); 26] = [
    ("init", &[]),
    ("cat", &[]),
    ("tail", &["-n", "2"]),
    ("tail", &["-n", "2", "-o", "json"]),
    ("tail", &["--until-now", "--cursor-file", "place"]),
    ("tail", &["--until-now", "--hold", "h", "--cursor-file", "held"]),
    ("status", &[]),
    ("status", &["--json"]),
    ("check", &[]),
    ("check", &["--deep"]),
    ("check", &["--prom", "metrics.prom"]),
    ("segments", &[]),
    ("stats", &["--read"]),
    ("inspect", &["--once"]),
    ("trim", &[]),
    ("rotate", &["-n"]),
    ("append", &["--on-full", "fail"]),
    ("append", &["--on-full", "fail", "--sync", "always", "--timestamp"]),
    ("exec", &["--on-full", "drop", "--", "echo", "more"]),
    ("rotate", &["--compress", "zstd"]),
    ("rotate", &["--run", "true"]),
    ("rotate", &["--olddir", "old"]),
    ("prune", &["--keep", "9"]),
    ("repair", &[]),
    ("repair", &["--rebuild"]),
    ("rm", &["--all"]),
];

/// A log with a compressed segment, a plain one and a current one, in a directory with another one.
fn made(scratch: &Scratch) -> PathBuf {
    let log = scratch.log(CONTENT);
    std::fs::create_dir_all(scratch.file("old")).unwrap();
    for compress in [&["--compress", "zstd"][..], &[]] {
        mmlogctl("rotate", &log).args(compress).run().is_success();
        mmlogctl("append", &log).input(CONTENT).run().is_success();
    }
    log
}

/// It worked, or said what is wrong, with the limit, and what to do; it was no signal and no panic, and nothing is lost.
fn judge(what: &str, limit: &str, log: &Path, ended: &Ended) {
    // Its codes are verdicts.
    let is_verdict = what.contains(" check ") && ended.text().contains(" - ");
    let said = format!("{what}: {ended:?}");
    assert!((0..=4).contains(&ended.code) || ended.code == 125, "{said}");
    assert!(!ended.stderr.contains("panicked") && !ended.stderr.contains("RUST_BACKTRACE"), "{said}");
    if ended.code != 0 && !is_verdict {
        let text = format!("{}{}", ended.text(), ended.stderr);
        // On a screen the step has a line of its own.
        let has_step =
            text.contains("; ") || what.contains(" inspect ") && text.contains("\nraise the limit");
        assert!(text.contains(limit) && has_step, "{said}");
    }
    if log.exists() {
        let whole = mmlogctl("cat", log).run();
        assert!(whole.code == 0 && whole.stdout.starts_with(&CONTENT.repeat(3)), "{said}, then {whole:?}");
        let deep = mmlogctl("check", log).arg("--deep").run();
        assert_eq!(deep.code, 0, "{said}, then {deep:?}");
    }
}

/// All commands under each limit, each on a log of its own where it changes one.
fn under(limits: &[&str], words: &str) {
    if !succeeds(Command::new("prlimit").arg("--version")) {
        return skipped("commands under resource limits", "prlimit is not installed");
    }
    for limit in limits {
        let mut scratch = Scratch::new();
        let mut log = made(&scratch);
        for (command, args) in COMMANDS {
            let what = format!("{limit} {command} {args:?}");
            let run = |tool: Tool| {
                let tool = tool.through("prlimit", &[limit, "--"]);
                tool.input(b"more\n").with(|tool| tool.current_dir(scratch.path())).run()
            };
            judge(&what, words, &log, &run(mmlogctl(command, &log).args(args)));
            if command == "rm" || command == "repair" {
                scratch = Scratch::new();
                log = made(&scratch);
            }
        }
        has(&log, &CONTENT.repeat(3));
    }
}

#[test]
fn every_command_works_or_names_the_limit_with_few_descriptors() {
    under(&["--nofile=4", "--nofile=6", "--nofile=8", "--nofile=11"], "RLIMIT_NOFILE");
}

#[test]
fn every_command_works_or_names_the_limit_with_a_file_size_limit() {
    under(&["--fsize=0", "--fsize=4096"], "RLIMIT_FSIZE");
}

#[test]
fn every_command_works_with_little_memory() {
    under(&["--as=67108864", "--stack=524288"], "RLIMIT_AS");
}
