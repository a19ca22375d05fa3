//! `repair --json`: keys are added, never taken away or given another type. And what it says of wrong command lines.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::cli::{Held, Scratch, at, metadata_of, mmlogctl, poke, raw, slot, write_slot};
use crate::{CONTENT, cut, poison, repair};

const KEYS: [&str; 8] = ["schema", "path", "facts", "steps", "left", "holes", "applied", "error"];
const FACTS: [&str; 25] = [
    "metadata",
    "metadata_problem",
    "data",
    "foreign",
    "copied",
    "base",
    "other_base",
    "cursor",
    "file_size",
    "positions",
    "wrong_limit",
    "rebooted",
    "stale_lock",
    "stale_gate",
    "stale_journal",
    "live_writers",
    "dead",
    "suspects",
    "synced",
    "sync_error",
    "unnamed_directories",
    "policy",
    "leftovers",
    "panic",
    "saved",
];

#[track_caller]
fn has(object: &Value, keys: &[&str]) {
    let found: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(found, keys);
}

/// The object, all of its keys checked.
#[track_caller]
fn object(log: &Path, options: &[&str], code: i32) -> Value {
    let ended = repair(log, &[options, &["--json"]].concat());
    assert_eq!(ended.code, code, "{ended:?}");
    assert_eq!(ended.text().matches('\n').count(), 1, "one object, on one line");
    let object: Value = serde_json::from_slice(&ended.stdout).unwrap();
    has(&object, &KEYS);
    has(&object["facts"], &[&FACTS[..], &["violation"]].concat());
    for step in object["steps"].as_array().unwrap() {
        has(step, &["kind", "what", "ranges", "pid", "command"]);
        step["ranges"].as_array().unwrap().iter().for_each(|range| has(range, &["start", "end", "zeroed"]));
    }
    object["left"].as_array().unwrap().iter().for_each(|left| has(left, &["what", "why", "option"]));
    object["holes"].as_array().unwrap().iter().for_each(|hole| {
        has(hole, &["start", "end", "kind", "pid", "command"]);
    });
    assert_eq!((&object["schema"], &object["path"]), (&json!(1), &json!(log)));
    object
}

#[test]
fn a_healthy_log_has_no_steps() {
    let scratch = Scratch::new();
    let object = object(&scratch.log(CONTENT), &[], 0);
    assert_eq!(
        (&object["steps"], &object["left"], &object["applied"]),
        (&json!([]), &json!([]), &json!(true))
    );
    assert_eq!((&object["facts"]["metadata"], &object["facts"]["cursor"]), (&json!("sound"), &json!(14)));
    assert_eq!(
        (&object["facts"]["policy"]["state"], &object["facts"]["policy"]["what"]),
        (&json!("none"), &Value::Null)
    );
}

#[test]
fn a_policy_that_is_gone_with_the_metadata_is_said_with_the_command_that_sets_it() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    fs::remove_file(metadata_of(&log)).unwrap();
    for (options, code) in [(&[][..], 4), (&["--dry-run", "--rebuild"], 0), (&["--rebuild"], 0)] {
        let policy = &object(&log, options, code)["facts"]["policy"];
        has(policy, &["state", "rules", "what"]);
        assert_eq!((&policy["state"], &policy["rules"]), (&Value::Null, &Value::Null));
        let command = format!("`mmlogctl policy {} --set rotate-size=64M --set keep=10`", log.display());
        assert!(policy["what"].as_str().unwrap().contains(&command), "{policy}");
    }
}

#[test]
fn steps_have_a_kind_their_ranges_and_whose_they_were() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    poison(&log);
    cut(&log, 12);
    write_slot(&log, 3, slot(3, 4), 4, 4242);
    let before = raw(&log);
    let planned = object(&log, &["-n"], 4);
    assert!(before == raw(&log) && planned["applied"] == false && planned["holes"] == json!([]));
    let done = object(&log, &[], 4);
    assert!(done["applied"] == true && done["error"] == Value::Null);
    assert_eq!((&planned["steps"], &planned["facts"]), (&done["steps"], &done["facts"]));
    let steps =
        |key: &str| done["steps"].as_array().unwrap().iter().map(|s| s[key].clone()).collect::<Vec<_>>();
    assert_eq!(steps("kind"), ["accept-truncation", "settle"]);
    let range =
        |start: u64, end: u64, zeroed: bool| json!([{ "start": start, "end": end, "zeroed": zeroed }]);
    assert_eq!(steps("ranges"), [range(12, 14, false), range(4, 8, true)]);
    assert_eq!(
        (steps("pid"), steps("command")),
        (vec![Value::Null, 4242.into()], vec![Value::Null, "dead-writer".into()])
    );
    assert_eq!(
        (&done["left"][0]["why"], &done["left"][0]["option"]),
        (&json!("unasked"), &json!("--clear-panic"))
    );
    let kinds: Vec<&Value> = done["holes"].as_array().unwrap().iter().map(|hole| &hole["kind"]).collect();
    assert_eq!(kinds, ["torn", "lost"]);
}

#[test]
fn a_failure_is_in_the_object_and_on_standard_error() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    cut(&log, 8);
    let _held = Held::maintenance(&log);
    let before = raw(&log);
    let ended = repair(&log, &["--json", "--wait=0s"]);
    let holder = format!("busy: process {} (repair_command", std::process::id());
    ended.is_refused(3, &log, &[&holder, "; try again later"]);
    let object: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert!(object["applied"] == false && object["error"].as_str().unwrap().contains(&holder), "{object}");
    assert!(before == raw(&log));
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    for options in [&["--nonsense"][..], &["--wait=soon"], &["second.log"]] {
        assert_eq!(repair(&log, options).code, 2, "{options:?}");
    }
}

#[test]
fn a_log_that_a_user_may_only_read_is_examined_and_left() {
    if !crate::cli::is_root() {
        return crate::cli::skipped("repair without permission", "changing the user needs root");
    }
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    poke(&log, at::IS_LOCKED, &[1]);
    fs::set_permissions(scratch.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let before = raw(&log);
    let nobody = |options: &[&str]| {
        let tool = mmlogctl("repair", &log).args(options);
        tool.with(|c| std::os::unix::process::CommandExt::uid(c, crate::cli::NOBODY)).run()
    };
    assert_eq!(nobody(&["-n"]).code, 0);
    let ended = nobody(&[]);
    assert!(ended.code == 1 && ended.stderr.contains("Permission denied"), "{ended:?}");
    assert!(before == raw(&log));
}
