//! Guards `mmlogctl bench --peers` with its program: every peer that is here logs what is found afterwards, and one that is not is
//! named with the reason. What a peer does to lines and is no peer's promise is judged in `tests/bench_command.rs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "what was skipped is said")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const ALL: [&str; 11] = [
    "fern",
    "tracing-rolling",
    "spdlog-flush",
    "spdlog",
    "spdlog-async",
    "tracing-nonblock",
    "s6-log",
    "svlogd",
    "multilog",
    "systemd-cat",
    "logger",
];

/// Those are loggers of this program; the others need what a host may not have.
const ALWAYS: [&str; 3] = ["fern", "tracing-rolling", "tracing-nonblock"];

/// Their lines are in the file when the call returns, or in the pipe of a program that goes on.
const KEEP_ALL: [&str; 6] = ["fern", "tracing-rolling", "spdlog-flush", "s6-log", "svlogd", "multilog"];

/// By the tool that is built beside the program.
fn bench(dir: &Path, line: &str) -> Output {
    let tool = Path::new(env!("CARGO_BIN_EXE_mmlogctl-bench-peers")).with_file_name("mmlogctl");
    assert!(tool.is_file(), "{} is not built: cargo build -p mmlogctl", tool.display());
    Command::new(tool).args(["bench", "--dir"]).arg(dir).args(line.split_whitespace()).output().unwrap()
}

#[test]
fn every_peer_that_is_here_logs_what_is_found() {
    let dir = tempfile::tempdir().unwrap();
    // 128 divides the buffers of stdio: nothing is torn, by nobody.
    let output = bench(dir.path(), "--peers --size 128 --processes 2 --runs 1 --messages 300 --json");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = all["rows"].as_array().unwrap();
    let row_of = |name: &str| rows.iter().find(|row| row["engine"] == name);
    for name in ALL {
        let skipped = said.lines().find(|line| line.starts_with(&format!("mmlogctl: SKIPPED {name}: ")));
        let Some(row) = row_of(name) else {
            eprintln!("{}", skipped.unwrap_or_else(|| panic!("{name} is neither there nor skipped: {said}")));
            assert!(!ALWAYS.contains(&name), "{said}");
            continue;
        };
        // When that one ends, it waits a second for its thread and no longer.
        let may_lose = name == "tracing-nonblock";
        for key in ["lost_messages", "doubled_messages", "torn_messages"] {
            assert!(row[key] == 0 || may_lose, "{row}");
        }
        assert!(row["ns_per_message"].as_f64() > Some(0.0) && row["p50_ns"].is_u64(), "{row}");
        assert!(row["version"].as_str().unwrap().contains(|c: char| c.is_ascii_digit()), "{row}");
        if KEEP_ALL.contains(&name) {
            assert_eq!(row["lost_at_kill"], 0, "{row}");
        }
        if name == "spdlog" {
            // What is in the buffer of stdio.
            assert!(row["lost_at_kill"].as_u64() > Some(0), "{row}");
        }
    }
    assert!(row_of("mmlog").is_some_and(|row| row["lost_at_kill"] == 0), "{rows:?}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_name_that_is_no_peers_is_refused_with_those_that_are() {
    let dir = tempfile::tempdir().unwrap();
    let output = bench(dir.path(), "--peers=fern,syslog --messages 1");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("syslog is no peer") && ALL.iter().all(|name| said.contains(name)), "{said}");
}
