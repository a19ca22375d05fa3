//! Guards `mmlogctl bench`: what it says is in the schema, every engine's messages are found, nothing stays behind.
//! That the verifier notices what is lost, doubled or torn is tested beside it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use cli::{Ended, Scratch, Tool, is_root, mounted, skipped, wait_for};
use nix::sys::signal::Signal;
use serde_json::Value;

const ENGINES: [&str; 10] =
    ["mmlog", "write", "writev", "stdio", "direct", "aio", "uring", "pwrite", "floor", "shared-floor"];

const KEYS: [&str; 18] = [
    "engine",
    "size_bytes",
    "processes",
    "threads",
    "ns_per_message",
    "ns_min",
    "ns_max",
    "runs",
    "lost_messages",
    "doubled_messages",
    "torn_messages",
    "lost_at_kill",
    "syscalls_per_message",
    "p50_ns",
    "p99_ns",
    "p999_ns",
    "max_ns",
    "version",
];

/// Those need what a sandbox or a file system may refuse.
const MAY_BE_MISSING: [&str; 3] = ["direct", "aio", "uring"];

fn bench(dir: &Path, line: &str) -> Ended {
    let tool = Tool::new(env!("CARGO_BIN_EXE_mmlogctl")).arg("bench").arg("--dir").arg(dir);
    tool.args(line.split_whitespace()).run()
}

fn rows(ended: &Ended) -> Vec<Value> {
    assert_eq!(ended.code, 0, "{ended:?}");
    let all: Value = serde_json::from_str(&ended.text()).unwrap();
    assert_eq!(all["schema"], 1);
    assert!(all["processors"]["number"].as_u64().unwrap() > 0 && all["processors"]["line_moves"].is_array());
    all["rows"].as_array().unwrap().clone()
}

/// Engines of the rows; those that are said to be skipped are said on the terminal too.
fn engines(ended: &Ended, rows: &[Value]) -> Vec<String> {
    for line in ended.stderr.lines() {
        let skip = line.strip_prefix("mmlogctl: SKIPPED ").unwrap_or_else(|| panic!("{ended:?}"));
        let (engine, why) = skip.split_once(": ").unwrap();
        assert!(MAY_BE_MISSING.contains(&engine), "{skip}");
        skipped(engine, why);
    }
    rows.iter().map(|row| row["engine"].as_str().unwrap().to_owned()).collect()
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().next().is_none()
}

#[test]
fn every_engine_appends_what_is_found_and_leaves_nothing_behind() {
    let scratch = Scratch::new();
    // 300 000 bytes a worker and more: direct fills blocks, and its tail is no whole one.
    let ended = bench(scratch.path(), "--size 1,2,128,5000 --processes 2 --runs 1 --messages 61 --json");
    let rows = rows(&ended);
    let measured = engines(&ended, &rows);
    for engine in ENGINES {
        let times = measured.iter().filter(|measured| *measured == engine).count();
        let skipped = ended.stderr.contains(&format!("SKIPPED {engine}: "));
        assert_eq!(times, if skipped { 0 } else { 4 }, "{engine}");
    }
    for row in &rows {
        let keys: Vec<&String> = row.as_object().unwrap().keys().collect();
        assert_eq!(keys, KEYS);
        assert_eq!(row["lost_messages"], 0, "{row}");
        assert_eq!((&row["processes"], &row["threads"], &row["runs"]), (&2.into(), &1.into(), &1.into()));
        let (least, median) = (row["ns_min"].as_f64().unwrap(), row["ns_per_message"].as_f64().unwrap());
        assert!(median > 0.0 && least <= median && median <= row["ns_max"].as_f64().unwrap(), "{row}");
        assert!(row["p50_ns"].as_u64() <= row["max_ns"].as_u64() && row["max_ns"].is_u64(), "{row}");
    }
    assert!(is_empty(scratch.path()));
}

#[test]
fn an_append_by_write_is_one_system_call_and_by_a_mapping_hardly_any() {
    let scratch = Scratch::new();
    let line = "--engine write,writev,stdio,pwrite,floor,mmlog --size 64 --processes 1 --runs 1 --messages 2000 --json";
    for row in rows(&bench(scratch.path(), line)) {
        let calls = row["syscalls_per_message"].as_f64();
        match row["engine"].as_str().unwrap() {
            "mmlog" => match calls {
                Some(calls) => assert!(calls < 0.05, "{row}"),
                None => skipped("the system calls of mmlog", "no strace, or it may not trace"),
            },
            "floor" => assert!(calls.unwrap() < 0.05, "{row}"),
            _ => assert_eq!(calls, Some(1.0), "{row}"),
        }
    }
}

#[test]
fn bursts_have_what_single_appends_take_of_all_runs() {
    let scratch = Scratch::new();
    let line = "--burst --processes 2 --runs 2 --messages 130";
    let rows = rows(&bench(scratch.path(), &format!("{line} --json")));
    let names: Vec<&str> = rows.iter().map(|row| row["engine"].as_str().unwrap()).collect();
    assert_eq!(names, ["mmlog", "write"]);
    for row in &rows {
        assert_eq!(
            (&row["size_bytes"], &row["runs"], &row["lost_messages"]),
            (&128.into(), &2.into(), &0.into())
        );
        let quantiles = ["p50_ns", "p99_ns", "p999_ns", "max_ns"].map(|key| row[key].as_u64().unwrap());
        assert!(quantiles.is_sorted() && quantiles[0] > 0, "{row}");
        // The mean of what was timed: the pauses are no part of it.
        let mean = row["ns_per_message"].as_f64().unwrap();
        assert!(mean > 0.0 && row["ns_max"].as_f64().unwrap() <= row["max_ns"].as_f64().unwrap(), "{row}");
    }
    assert_eq!(bench(scratch.path(), &format!("{line} --sustain 1s")).code, 2);
    assert!(is_empty(scratch.path()));
}

#[test]
fn growth_has_a_row_for_each_thing_that_a_log_may_have() {
    let scratch = Scratch::new();
    let line = "--growth --size 9 --processes 2 --runs 1 --messages 100 --json";
    let rows = rows(&bench(scratch.path(), line));
    let names: Vec<&str> = rows.iter().map(|row| row["engine"].as_str().unwrap()).collect();
    let beside = ["base=2^32", "base=2^48", "base=2^60", "ring=2", "ring=16", "ring=64"];
    let others = ["idle=10", "idle=100", "idle=1000", "follower", "stopped"];
    let appends = beside.iter().chain(&others).map(|name| format!("mmlog+{name}"));
    let looks = [0, 10, 100, 1000].map(|idle| format!("look+idle={idle}"));
    let expected: Vec<String> = std::iter::once("mmlog".to_owned()).chain(appends).chain(looks).collect();
    assert_eq!(names, expected);
    for row in &rows {
        let lost = if row["engine"].as_str().unwrap().starts_with("mmlog") { 0.into() } else { Value::Null };
        assert_eq!(
            (&row["lost_messages"], row["ns_per_message"].as_f64() > Some(0.0)),
            (&lost, true),
            "{row}"
        );
    }
    assert!(is_empty(scratch.path()));
}

#[test]
fn a_log_that_drops_what_is_behind_is_measured_by_name() {
    let scratch = Scratch::new();
    let ended =
        bench(scratch.path(), "--engine mmlog-drop --size 128 --processes 2 --runs 1 --messages 100 --json");
    let rows = rows(&ended);
    assert_eq!(engines(&ended, &rows), ["mmlog-drop"]);
    assert_eq!(rows[0]["lost_messages"], 0);
}

#[test]
fn what_holds_messages_back_is_measured_by_name_and_found_whole() {
    let scratch = Scratch::new();
    // More workers than there are before the one whose number could be a newline.
    let line = "--engine batched,buffered --size 1,16,120 --processes 12 --runs 1 --messages 300 --json";
    let ended = bench(scratch.path(), line);
    let rows = rows(&ended);
    assert_eq!(engines(&ended, &rows), ["batched", "buffered", "batched", "buffered", "batched", "buffered"]);
    assert!(rows.iter().all(|row| row["lost_messages"] == 0), "{rows:?}");
}

#[test]
fn threads_are_workers_too() {
    let scratch = Scratch::new();
    let line = "--engine mmlog,write,floor,shared-floor --size 9 --processes 2 --threads 3 --runs 2 --messages 100 --json";
    let rows = rows(&bench(scratch.path(), line));
    assert_eq!(rows.len(), 4);
    for row in rows {
        assert_eq!((&row["threads"], &row["runs"], &row["lost_messages"]), (&3.into(), &2.into(), &0.into()));
    }
}

#[test]
fn a_table_has_a_line_for_each_engine_and_a_chart_is_drawn() {
    let scratch = Scratch::new();
    let chart = scratch.file("chart.svg");
    let line = format!(
        "--engine mmlog,write --size 1,128 --processes 1 --runs 1 --messages 50 --no-pin --chart {}",
        chart.display()
    );
    let ended = bench(scratch.path(), &line);
    ended.is_success();
    let text = ended.text();
    assert_eq!(text.matches("\nmmlog  ").count() + text.matches("\nwrite  ").count(), 4, "{text}");
    let (processors, tables) = text.split_once("\n\n").unwrap();
    assert!(processors.contains(" processor") && processors.contains("cache line"), "{text}");
    assert!(tables.starts_with("1 B, 1 process, 1 thread each: 1 run\nENGINE "), "{text}");
    let svg = fs::read_to_string(chart).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.matches("<polyline").count() == 2);
}

#[test]
fn durable_messages_are_found_under_every_policy() {
    let scratch = Scratch::new();
    let ended = bench(scratch.path(), "--durable --processes 2 --runs 1 --messages 70 --json");
    let rows = rows(&ended);
    let names: Vec<&str> = rows.iter().map(|row| row["engine"].as_str().unwrap()).collect();
    let ours = ["mmlog:each", "mmlog:batch-64", "mmlog:10ms", "write:each", "write:batch-64", "write:10ms"];
    assert_eq!(names[..6], ours);
    assert!(rows[..6].iter().all(|row| row["lost_messages"] == 0), "{rows:?}");
    assert!(names.len() == 7 || ended.stderr.contains("SKIPPED rocksdb: "), "{ended:?}");
}

#[test]
fn a_sustained_run_is_verified_too() {
    let scratch = Scratch::new();
    let ended = bench(scratch.path(), "--sustain 100ms --processes 2 --size 64K --json");
    let rows = rows(&ended);
    let measured = engines(&ended, &rows);
    assert!(measured.contains(&"mmlog-drop".to_owned()), "{measured:?}");
    for row in rows {
        assert_eq!(row["lost_messages"], 0, "{row}");
        // Kernels before 6.5 do not say.
        let (cached, dirty) = (&row["cached_bytes"], &row["dirty_bytes"]);
        assert!(cached.is_null() == dirty.is_null() && dirty.as_u64() <= cached.as_u64(), "{row}");
        assert!(row["bytes_in_each_second"][0].as_u64().unwrap() > 0, "{row}");
    }
    assert!(is_empty(scratch.path()));
}

/// A peers' program that has one peer without a fault, and one with each: of each writer's lines the second one is
/// missing, the third one there twice, the fourth one in two parts; killed, it has lost the last seven.
const PEERS: &str = r#"#!/bin/bash
if [ "$1" = list ]; then
  printf 'sound\tsound 1.0\nfaulty\tfaulty 2.0: a script\nSKIPPED gone\tnot installed\n'
  exit
fi
name=$2 dir=$4 purpose=$5 writers=$6 size=$7 messages=$8
echo ready
cat >/dev/null
awk -v name=$name -v purpose=$purpose -v writers=$writers -v size=$size -v messages=$messages 'BEGIN {
  dots = sprintf("%*s", size - 31, ""); gsub(" ", ".", dots)
  for (w = 0; w < writers; w++) for (n = 0; n < messages; n++) {
    tag = sprintf("%03d %010d", w, n); line = tag " " dots " " tag
    if (name == "faulty" && purpose == "kill" && n >= messages - 7) continue
    if (name == "faulty" && purpose != "kill") {
      if (n == 1) continue
      if (n == 2) print line
      if (n == 3) { print substr(line, 1, 40); print substr(line, 41); continue }
    }
    print line
  }
}' >"$dir/data"
for ((w = 0; w < writers; w++)); do
  one="{\"begun\":1,\"ended\":1001,\"appended\":$messages,\"calls\":null,\"samples\":[5],\"seconds\":[],\"longest\":0}"
  all="$all${all:+,}$one"
done
echo "[$all]"
"#;

/// The tool in a directory of its own, so that what is beside it is known, and `PATH` with that directory in front or not.
fn alone(scratch: &Scratch, path: &Path, line: &str) -> Ended {
    let bin = scratch.file("bin");
    fs::create_dir_all(&bin).unwrap();
    let tool = bin.join("mmlogctl");
    if !tool.exists() && fs::hard_link(env!("CARGO_BIN_EXE_mmlogctl"), &tool).is_err() {
        fs::copy(env!("CARGO_BIN_EXE_mmlogctl"), &tool).unwrap();
    }
    let usual = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(path.to_owned()).chain(std::env::split_paths(&usual));
    let path = std::env::join_paths(path).unwrap();
    let work = scratch.file("work");
    fs::create_dir_all(&work).unwrap();
    let tool = Tool::new(tool).args(["bench", "--dir"]).arg(&work);
    let ended = tool.args(line.split_whitespace()).with(|command| command.env("PATH", path)).run();
    assert!(is_empty(&work));
    ended
}

fn install_peers(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    let file = dir.join("mmlogctl-bench-peers");
    fs::write(&file, PEERS).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn what_a_peer_loses_doubles_and_tears_is_found_and_is_no_failure() {
    let scratch = Scratch::new();
    install_peers(&scratch.file("elsewhere"));
    let line = "--peers --processes 2 --runs 1 --messages 50 --json --size 120";
    let ended = alone(&scratch, &scratch.file("elsewhere"), line);
    assert!(ended.stderr.contains("SKIPPED gone: not installed"), "{ended:?}");
    let rows = rows(&ended);
    let of = |row: &Value| {
        let keys =
            ["engine", "lost_messages", "doubled_messages", "torn_messages", "lost_at_kill", "version"];
        keys.map(|key| row[key].clone())
    };
    // A run and one with a clock, two writers each; a torn line is a lost one, and two that are none.
    let expected = [
        ["mmlog".into(), 0.into(), 0.into(), 0.into(), 0.into(), Value::Null],
        ["write".into(), 0.into(), 0.into(), 0.into(), 0.into(), Value::Null],
        ["sound".into(), 0.into(), 0.into(), 0.into(), 0.into(), "sound 1.0".into()],
        ["faulty".into(), 8.into(), 4.into(), 8.into(), 7.into(), "faulty 2.0: a script".into()],
    ];
    assert_eq!(rows.iter().map(of).collect::<Vec<_>>(), expected);
    assert!(rows[2..].iter().all(|row| row["ns_per_message"] == 10.0 && row["p50_ns"] == 5), "{rows:?}");
}

#[test]
fn a_table_beside_peers_says_what_they_lost_and_which_they_were() {
    let scratch = Scratch::new();
    install_peers(&scratch.file("bin"));
    let line = "--peers --engine mmlog --processes 1 --runs 1 --messages 50";
    let text = alone(&scratch, Path::new("/nowhere"), line).text();
    let words = |name: &str| {
        let lines = text.lines().filter(|line| line.starts_with(&format!("{name} ")));
        lines.map(|line| line.split_whitespace().collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    let faulty = words("faulty");
    assert_eq!(faulty.len(), 3, "two sizes and its version: {text}");
    for row in &faulty[..2] {
        assert_eq!(row[row.len() - 4..], ["4", "2", "4", "7"], "{text}");
    }
    assert_eq!((&faulty[2][1..3], words("mmlog").len()), (&["faulty", "2.0:"][..], 2), "{text}");
    assert!(text.contains("128 B, 1 process") && text.contains("120 B, 1 process"), "{text}");
    assert_eq!(text.matches("    lost doubled    torn lost by kill\n").count(), 2, "{text}");
}

#[test]
fn a_missing_program_of_peers_is_named_with_the_way_to_it() {
    let scratch = Scratch::new();
    let ended = alone(&scratch, Path::new("/nowhere"), "--peers --messages 1");
    assert_eq!(ended.code, 1, "{ended:?}");
    for word in
        ["mmlogctl-bench-peers", "bin/mmlogctl", "PATH", "cargo install --locked --path crates/bench-peers"]
    {
        assert!(ended.stderr.contains(word), "{ended:?}");
    }
}

#[test]
fn a_signal_ends_it_and_leaves_nothing_behind() {
    let scratch = Scratch::new();
    let line = ["--engine", "write", "--size", "1", "--runs", "60000", "--messages", "10"];
    let running = Tool::new(env!("CARGO_BIN_EXE_mmlogctl"))
        .args(["bench", "--dir"])
        .arg(scratch.path())
        .args(line)
        .start();
    wait_for("a run", || (!is_empty(scratch.path())).then_some(()));
    running.signal(Signal::SIGTERM);
    let ended = running.end();
    assert!(ended.code == 1 && ended.stderr.contains("signal"), "{ended:?}");
    assert!(is_empty(scratch.path()));
}

#[test]
fn a_full_disk_is_said_for_each_engine_that_meets_it() {
    let scratch = Scratch::new();
    let Some(small) = mounted(&scratch, "tmpfs", "size=1m") else {
        return skipped("a full disk", "no mounts of our own");
    };
    let ended = bench(&small, "--engine write,mmlog,floor --size 64K --runs 1 --messages 20");
    assert_eq!(ended.code, 1, "{ended:?}");
    for engine in ["write", "mmlog", "floor"] {
        assert!(ended.stderr.contains(&format!("mmlogctl: {engine} at 65536 B, 4 processes")), "{ended:?}");
    }
    assert!(ended.stderr.contains("rows that are no measurement: 3; "), "{ended:?}");
    assert_eq!(ended.text().trim_end().lines().count(), 1, "only the processors: {ended:?}");
    assert!(is_empty(&small));
}

#[test]
fn a_wrong_command_line_is_refused_before_anything_is_written() {
    let scratch = Scratch::new();
    for line in [
        "--size 0",
        "--size 17M",
        "--size x",
        "--engine cat",
        "--processes 0",
        "--processes 256",
        "--processes 128 --threads 2",
        "--runs 0",
        "--messages 0",
        "--durable --engine floor",
        "--sustain 1s --durable",
        "--peers --size 31",
        "--peers --threads 2",
        "--peers --durable",
    ] {
        assert_eq!(bench(scratch.path(), line).code, 2, "{line}");
        assert!(is_empty(scratch.path()), "{line}");
    }
}

#[test]
fn a_directory_that_cannot_be_written_to_is_named() {
    let scratch = Scratch::new();
    let missing = scratch.file("missing");
    let below = |dir: &Path, ended: &Ended| {
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(
            ended.stderr.contains(&dir.display().to_string()) && ended.stderr.contains("; "),
            "{ended:?}"
        );
    };
    below(&missing, &bench(&missing, "--messages 1"));
    if is_root() {
        skipped("a read-only directory", "root may write everywhere");
        return;
    }
    let locked = scratch.file("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).unwrap();
    below(&locked, &bench(&locked, "--messages 1"));
}
