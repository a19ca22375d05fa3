//! Guards `mmlogctl policy`, the options that give a new log its policy, and what goes by it: only the rules that are named
//! change, all or none, and what is refused changes nothing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;

use std::fs;
use std::mem::offset_of;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use cli::{Held, Scratch, Tool, is_root, metadata_of, mmlogctl, poke, skipped, wait_for};
use mmlog::layout::Header;
use serde_json::{Value, json};

fn policy(log: &Path, args: &[&str]) -> Tool {
    mmlogctl("policy", log).args(args)
}

fn object(log: &Path) -> Value {
    serde_json::from_str(&policy(log, &["--json"]).run().text()).unwrap()
}

/// The rules that are set.
fn rules(log: &Path) -> Value {
    let mut rules = object(log)["rules"].as_object().unwrap().clone();
    rules.retain(|_, value| !value.is_null());
    Value::Object(rules)
}

fn append(log: &Path, args: &[&str], line: &str) -> cli::Ended {
    mmlogctl("append", log).args(args).input(line.as_bytes()).run()
}

fn finals(log: &Path) -> usize {
    let prefix = format!("{}.0", log.file_name().unwrap().display());
    let names = fs::read_dir(log.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with(&prefix)).count()
}

/// A log of so many final segments, and a current one with a line.
fn segmented(scratch: &Scratch, finals: usize) -> PathBuf {
    let log = scratch.file("app.log");
    for n in 0..finals {
        append(&log, &[], &format!("line {n}\n")).is_success();
        mmlogctl("rotate", &log).run().is_success();
    }
    append(&log, &[], "last\n").is_success();
    log
}

#[test]
fn rules_that_are_named_change_and_no_other_and_clear_takes_one_or_all() {
    let scratch = Scratch::new();
    let log = scratch.log(b"");
    assert_eq!((object(&log)["state"].as_str(), rules(&log)), (Some("none"), json!({})));
    policy(&log, &["--set=rotate-size=64M", "--set", "keep=10"]).run().printed(b"");
    assert_eq!(rules(&log), json!({ "rotate_size": 64 << 20, "keep": 10 }));
    let all = [
        "rotate-age=24h",
        "keep-bytes=10G",
        "keep-age=30d",
        "keep-free=10%",
        "hold-max=20G",
        "compress=zstd",
    ];
    policy(&log, &all.map(|rule| ["--set", rule]).concat()).run().printed(b"");
    policy(&log, &["--set", "keep=3", "--clear=rotate-age"]).run().printed(b"");
    let expected = json!({
        "rotate_size": 64 << 20, "keep": 3, "keep_bytes": 10_u64 << 30, "keep_age_s": 2_592_000.0, "keep_free": "10%",
        "hold_max": 20_u64 << 30, "compress": "zstd",
    });
    assert_eq!(rules(&log), expected);
    let said = policy(&log, &[]).run().text();
    let line =
        "rotate-size=64M keep=3 keep-bytes=10G keep-age=30d keep-free=10% hold-max=20G compress=zstd, set";
    assert!(said.contains(line), "{said}");
    policy(&log, &["--clear", "--set=keep=1"]).run().printed(b"");
    assert_eq!(rules(&log), json!({ "keep": 1 }));
    policy(&log, &["--clear"]).run().printed(b"");
    assert_eq!((object(&log)["state"].as_str(), rules(&log)), (Some("none"), json!({})));
    let said = policy(&log, &[]).run().text();
    assert!(said.ends_with(": none\n"), "{said}");
}

#[test]
fn a_value_out_of_range_or_a_rule_that_there_is_not_is_exit_2_with_the_range_and_nothing_changes() {
    let scratch = Scratch::new();
    let log = scratch.log(b"");
    policy(&log, &["--set=keep=7"]).run().is_success();
    let refused = [
        ("rotate-size=0", "64 KiB to 2 EiB"),
        ("rotate-size=63K", "64 KiB to 2 EiB"),
        ("rotate-size=3E", "64 KiB to 2 EiB"),
        ("rotate-age=0s", "1 s to 100y"),
        ("keep=1000000001", "0 to 1000000000"),
        ("keep=-1", "not a number"),
        ("keep-age=101y", "not a duration"),
        ("keep-free=100%", "1% to 99%"),
        ("hold-max=0", "1 B to 2 EiB"),
        ("compress=rar", "not zstd or gzip"),
        ("rotate=1M", "no rule is called rotate; there are rotate-size"),
        ("keep", "RULE=VALUE"),
    ];
    for (rule, words) in refused {
        let ended = policy(&log, &["--set=keep=8", "--set", rule]).run();
        assert_eq!(ended.code, 2, "{rule}: {ended:?}");
        assert!(ended.stderr.contains(words), "{rule}: {ended:?}");
        assert_eq!(rules(&log), json!({ "keep": 7 }), "{rule}");
    }
    assert_eq!(policy(&log, &["--clear=size"]).run().code, 2);
    let new = scratch.file("new.log");
    let ended = append(&new, &["--rotate-size=1K"], "line\n");
    assert!(ended.code == 2 && ended.stderr.contains("64 KiB to 2 EiB"), "{ended:?}");
    assert!(!new.exists());
}

#[test]
fn a_new_log_gets_the_policy_and_one_that_is_there_says_once_that_it_has_another() {
    for command in ["append", "init"] {
        let scratch = Scratch::new();
        let log = scratch.file("app.log");
        let with = |args: &[&str]| mmlogctl(command, &log).args(args).input(b"line\n").run();
        with(&["--rotate-size=1M", "--keep=3"]).printed(b"");
        assert_eq!(rules(&log), json!({ "rotate_size": 1 << 20, "keep": 3 }), "{command}");
        let same = with(&["--rotate-size=1M", "--keep=3"]);
        assert_eq!((same.code, same.stderr.as_str()), (0, ""), "{command}");
        let other = with(&["--keep=5"]);
        assert_eq!(other.code, if command == "init" { 1 } else { 0 }, "{command}: {other:?}");
        assert_eq!(other.stderr.lines().count(), 1, "{command}: {other:?}");
        for words in [
            "its policy is rotate-size=1M keep=3;",
            &format!("`mmlogctl policy {} --set keep=5`", log.display()),
        ] {
            assert!(other.stderr.contains(words), "{command}: {other:?}");
        }
        assert_eq!(rules(&log), json!({ "rotate_size": 1 << 20, "keep": 3 }), "{command}");
    }
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    mmlogctl("exec", &log)
        .args(["--keep-age=2d", "--compress=gzip", "--", "echo", "line"])
        .run()
        .is_success();
    assert_eq!(rules(&log), json!({ "keep_age_s": 172_800.0, "compress": "gzip" }));
}

#[test]
fn what_is_due_next_is_said() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 3);
    policy(&log, &["--set=rotate-size=1M", "--set=rotate-age=1h", "--set=keep=1"]).run().is_success();
    let next = &object(&log)["next"];
    assert_eq!((next["rotates_in"].as_u64(), next["prunes"].as_u64()), (Some((1 << 20) - 5), Some(2)));
    assert!(next["rotates_after_s"].as_f64().is_some_and(|s| s > 3000.0 && s <= 3600.0), "{next}");
    let said = policy(&log, &[]).run().text();
    assert!(
        said.contains("a new segment after 1 MiB, or in 59m") && said.contains("2 final segments go now"),
        "{said}"
    );
    let status = mmlogctl("status", &log).run().text();
    assert!(status.contains("policy       rotate-size=1M rotate-age=1h keep=1"), "{status}");
    let status: Value = serde_json::from_str(&mmlogctl("status", &log).arg("--json").run().text()).unwrap();
    assert_eq!(status["policy"]["rules"]["keep"], 1);
}

#[test]
fn prune_and_rotate_go_by_the_policy_when_they_are_asked_to() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 3);
    mmlogctl("prune", &log)
        .args(["--policy", "-v"])
        .run()
        .printed(format!("{}: nothing to remove\n", log.display()).as_bytes());
    mmlogctl("rotate", &log)
        .args(["--if-due", "-v"])
        .run()
        .printed(format!("{}: not due\n", log.display()).as_bytes());
    policy(&log, &["--set=keep=1", "--set=rotate-age=1h"]).run().is_success();
    let planned = mmlogctl("prune", &log).args(["--policy", "-n"]).run().text();
    assert_eq!(planned.matches("policy keep=1").count(), 2, "{planned}");
    mmlogctl("prune", &log).arg("--policy").run().printed(b"");
    assert_eq!(finals(&log), 1);
    mmlogctl("rotate", &log).arg("--if-due").run().printed(b"");
    assert_eq!(finals(&log), 1, "it is not an hour old");
    // As if it had begun at the beginning of time.
    let began = offset_of!(Header, segments) + 64 + 24;
    poke(&log, began, &1_u64.to_ne_bytes());
    mmlogctl("rotate", &log).arg("--if-due").run().printed(b"");
    assert_eq!(finals(&log), 2);
    for args in [["--policy", "--keep=3"], ["--policy", "--keep-age=3d"]] {
        assert_eq!(mmlogctl("prune", &log).args(args).run().code, 2, "{args:?}");
    }
}

#[test]
fn rotate_compresses_as_the_policy_wishes() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 1);
    policy(&log, &["--set=compress=zstd"]).run().is_success();
    let compressed = || {
        let names = fs::read_dir(scratch.path()).unwrap().map(|e| e.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().ends_with(".zst")).count()
    };
    let planned = mmlogctl("rotate", &log).arg("-n").run().text();
    assert_eq!((planned.matches("would compress").count(), compressed()), (2, 0), "{planned}");
    mmlogctl("rotate", &log).run().printed(b"");
    assert_eq!((compressed(), finals(&log)), (2, 2));
    mmlogctl("cat", &log).run().printed(b"line 0\nlast\n");
}

#[test]
fn monitoring_has_what_the_policy_leaves_undone() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 3);
    let check = |args: &[&str]| mmlogctl("check", &log).args(args).run();
    assert_eq!(check(&["--warning=surplus=0", "--warning=beyond=0", "--critical=overdue=0s"]).code, 0);
    policy(&log, &["--set=keep=1"]).run().is_success();
    let ended = check(&["--warning=surplus=0"]);
    assert!(ended.code == 1 && ended.text().contains("surplus is 2"), "{ended:?}");
    assert!(ended.text().contains("mmlogctl policy"), "{ended:?}");
    let metrics = check(&["--prom=-"]).text();
    let family = metrics.lines().find(|line| line.starts_with("mmlog_policy_surplus_segments{"));
    assert!(family.is_some_and(|line| line.ends_with(" 2")), "{metrics}");
}

#[test]
fn a_damaged_policy_is_said_and_prunes_nothing_until_one_is_set() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 3);
    policy(&log, &["--set=keep=1", "--set=rotate-size=1M"]).run().is_success();
    poke(&log, offset_of!(Header, policies.copies) + 128 + 24, &[0]);
    assert_eq!(object(&log)["state"], "damaged");
    let ended = mmlogctl("prune", &log).arg("--policy").run();
    assert!(ended.code == 4 && ended.stderr.contains("its policy is damaged"), "{ended:?}");
    assert_eq!(finals(&log), 3);
    let ended = policy(&log, &["--set=keep=2"]).run();
    assert!(ended.code == 0 && ended.stderr.contains("its policy was damaged"), "{ended:?}");
    assert_eq!(rules(&log), json!({ "keep": 2 }));
}

#[test]
fn who_may_not_write_the_metadata_may_look_and_not_change() {
    let as_other = is_root();
    if as_other && !cli::succeeds(Command::new("setpriv").arg("--version")) {
        return skipped("who may not write the metadata may not change the policy", "needs setpriv(1)");
    }
    let scratch = Scratch::new();
    let log = scratch.log(b"");
    for (path, mode) in [(scratch.path(), 0o755), (&log, 0o666), (&metadata_of(&log), 0o444)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let tool = policy(&log, &["--set=keep=2"]);
    let tool = match as_other {
        true => tool.through("setpriv", &["--reuid=65534", "--regid=65534", "--clear-groups"]),
        false => tool,
    };
    let ended = tool.run();
    assert!(ended.code == 1 && ended.stderr.contains("Permission denied"), "{ended:?}");
    assert_eq!(object(&log)["state"], "none");
}

#[test]
fn of_several_logs_each_is_changed_and_another_at_work_is_named() {
    let scratch = Scratch::new();
    let [a, b, c] = ["a.log", "b.log", "c.log"].map(|name| scratch.file(name));
    for log in [&a, &c] {
        append(log, &[], "line\n").is_success();
    }
    let ended =
        Tool::new(env!("CARGO_BIN_EXE_mmlogctl")).args(["policy", "--set=keep=4"]).args([&a, &b, &c]).run();
    assert_eq!((ended.code, ended.stderr.lines().count()), (1, 1), "{ended:?}");
    ended.says(&b, &["no such log"]);
    assert_eq!([rules(&a), rules(&c)], [json!({ "keep": 4 }), json!({ "keep": 4 })]);
    let _held = Held::maintenance(&a);
    let ended = policy(&a, &["--set=keep=5", "--wait=100ms"]).run();
    assert!(ended.code == 3 && ended.stderr.contains("maintenance"), "{ended:?}");
    assert_eq!(rules(&a), json!({ "keep": 4 }));
}

#[test]
fn space_beyond_a_smaller_size_is_given_back_at_once() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let held = mmlog::Log::options().chunk_size(1 << 20).open_or_create(&log).unwrap();
    let mut writer = held.writer().unwrap();
    // More than what a log is given first.
    let lines = b"line\n".repeat(10_000);
    writer.append(&lines).unwrap();
    writer.append(&lines).unwrap();
    assert_eq!(fs::metadata(&log).unwrap().len(), 1 << 20);
    policy(&log, &["--set=rotate-size=128K"]).run().printed(b"");
    assert_eq!(fs::metadata(&log).unwrap().len(), 2 * lines.len() as u64);
    writer.append(b"line\n").unwrap();
    assert_eq!(fs::metadata(&log).unwrap().len(), 128 << 10);
}

/// The final segments that are there, compressed or not.
fn final_names(log: &Path) -> Vec<String> {
    let names = fs::read_dir(log.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter_map(|name| name.into_string().ok()).filter(|name| name.contains(".log.0")).collect()
}

#[test]
fn append_and_exec_compress_final_segments_beside_what_they_store() {
    let bounds = ["--rotate-size=64K", "--compress=zstd"];
    let lines: String = (0..20_000).map(|n| format!("line {n} of many that are alike\n")).collect();
    for command in ["append", "exec"] {
        let scratch = Scratch::new();
        let log = scratch.file("app.log");
        let tool = mmlogctl(command, &log).args(bounds);
        let tool = if command == "exec" { tool.args(["--", "cat"]) } else { tool };
        let mut running = tool.start();
        running.feed(lines.as_bytes());
        wait_for("every final segment is compressed, and no copy is in the making", || {
            let all = final_names(&log);
            (all.len() > 1 && all.iter().all(|name| name.ends_with(".zst"))).then_some(())
        });
        running.feed(b"it goes on\n");
        let ended = running.end();
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{command}: {ended:?}");
        mmlogctl("cat", &log).run().printed(format!("{lines}it goes on\n").as_bytes());
        let deep = mmlogctl("check", &log).arg("--deep").run();
        assert_eq!(deep.code, 0, "{deep:?}");
    }
}

#[test]
fn what_cannot_be_compressed_is_said_once_and_all_input_is_stored() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let input = b"a line\n".repeat(30_000);
    mmlogctl("append", &log).arg("--rotate-size=64K").input(&input).run().is_success();
    // Somebody cut one: it is not what the log had.
    let first = final_names(&log).into_iter().min().unwrap();
    fs::File::options().write(true).open(scratch.file(&first)).unwrap().set_len(10).unwrap();
    policy(&log, &["--set", "compress=gzip"]).run().is_success();
    let mut running = mmlogctl("append", &log).start();
    running.until_stderr("a segment is not compressed: ");
    running.feed(b"it goes on\n");
    let ended = running.end();
    assert_eq!((ended.code, ended.stderr.lines().count()), (0, 1), "{ended:?}");
    assert!(mmlogctl("cat", &log).run().stdout.ends_with(b"it goes on\n"));
}

#[test]
fn what_is_in_the_place_of_the_next_file_is_named_with_what_moves_it_away() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let next = scratch.file("app.log.mmlog-next");
    let lines = format!("{}\n", ".".repeat(99)).repeat(2000);
    append(&log, &["--rotate-size=64K", "--keep=9"], "first\n").is_success();
    fs::create_dir(&next).unwrap();
    append(&log, &[], &lines).is_success();
    append(&log, &[], &lines).is_success();
    assert_eq!(finals(&log), 0);
    let status: Value = serde_json::from_str(&mmlogctl("status", &log).arg("--json").run().text()).unwrap();
    let found = &status["findings"][0];
    assert_eq!(found["id"], "rotation-overdue", "{found}");
    let sentence = found["sentence"].as_str().unwrap();
    assert!(sentence.contains("app.log.mmlog-next") && !sentence.contains("Success"), "{found}");
    let command = found["next_step"].as_str().unwrap().split('`').nth(1).unwrap();
    assert!(Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
    assert!(!next.exists());
    wait_for("the rotation", || {
        append(&log, &[], "more\n").is_success();
        (finals(&log) > 0).then_some(())
    });
}

#[test]
fn what_is_out_of_range_is_said_as_it_was_typed() {
    let scratch = Scratch::new();
    let log = scratch.log(b"");
    for (rule, words) in [
        ("rotate-size=63K", "63 KiB is out of its range, 64 KiB to "),
        ("rotate-size=2305843009213693953", "of more than 2 EiB is out of its range"),
        ("keep-age=36501d", "of more than 100y is out of its range, 1 s to 100y"),
        ("=5", "not RULE=VALUE, such as keep=10"),
    ] {
        let ended = policy(&log, &["--set", rule]).run();
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.stderr.contains(words), "{ended:?}");
    }
    assert_eq!(rules(&log), json!({}));
}

#[test]
fn all_who_may_not_write_the_metadata_are_named_at_once() {
    let scratch = Scratch::new();
    let log = scratch.log(b"a line\n");
    policy(&log, &["--set", "keep=3"]).run().is_success();
    fs::set_permissions(metadata_of(&log), fs::Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(log.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    let status: Value = serde_json::from_str(&mmlogctl("status", &log).arg("--json").run().text()).unwrap();
    let found = &status["findings"][0];
    assert_eq!(found["id"], "policy-not-trusted", "{found}");
    let command = found["next_step"].as_str().unwrap().split('`').nth(1).unwrap();
    assert!(Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
    let said = mmlogctl("status", &log).run().text();
    assert!(!said.contains("no old segment is removed by the policy"), "{said}");
}
