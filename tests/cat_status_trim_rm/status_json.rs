//! `status --json`: a contract. Keys are added, never taken away or given another type.

use std::path::Path;

use mmlog::Start;
use serde_json::Value;

use crate::cli::{Held, Scratch, at, mmlogctl, poke, slot, write_slot};
use crate::{CONTENT, live};

/// A key and its type: `?` may be null.
type Key = (&'static str, &'static str);

const STATUS: [Key; 47] = [
    ("schema", "number"),
    ("path", "string"),
    ("format", "number"),
    ("id", "string"),
    ("epoch", "number"),
    ("state", "string"),
    ("problem", "string?"),
    ("next_step", "string"),
    ("findings", "array"),
    ("damage", "array"),
    ("version_1", "object?"),
    ("cursor", "number"),
    ("watermark", "number"),
    ("file_size", "number"),
    ("slack", "number"),
    ("base", "number"),
    ("limit", "number"),
    ("outside", "object"),
    ("unrun", "object"),
    ("policy", "object"),
    ("clock", "object?"),
    ("generation", "number"),
    ("gate", "number?"),
    ("gate_for_at_least_ms", "number?"),
    ("unfinished", "string?"),
    ("idle_s", "number?"),
    ("created", "time?"),
    ("page_size", "number"),
    ("chunk_size", "number"),
    ("max_writers", "number"),
    ("gate_ms", "number"),
    ("lock", "object"),
    ("maintenance", "object"),
    ("writers", "array"),
    ("slot_waiters", "object?"),
    ("holes", "array"),
    ("holes_total", "number"),
    ("holes_forgotten", "number"),
    ("segments", "array"),
    ("flaws", "array"),
    ("first_kept", "number"),
    ("holds", "array"),
    ("followers", "array"),
    ("followers_full", "boolean"),
    ("panic", "object?"),
    ("file", "object"),
    ("durability", "object"),
];

const POLICY: [Key; 5] =
    [("state", "string"), ("set_at", "time?"), ("rules", "object"), ("next", "object"), ("overdue", "array")];

const RULES: [Key; 8] = [
    ("rotate_size", "number?"),
    ("rotate_age_s", "number?"),
    ("keep", "number?"),
    ("keep_bytes", "number?"),
    ("keep_age_s", "number?"),
    ("keep_free", "string?"),
    ("hold_max", "number?"),
    ("compress", "string?"),
];

const NEXT: [Key; 5] = [
    ("rotates_in", "number?"),
    ("rotates_after_s", "number?"),
    ("prunes", "number"),
    ("held_by", "string?"),
    ("prunes_after_s", "number?"),
];

const FINDING: [Key; 7] = [
    ("id", "string"),
    ("severity", "string"),
    ("state", "string"),
    ("sentence", "string"),
    ("next_step", "string"),
    ("command", "string?"),
    ("pid", "number?"),
];

const DAMAGE: [Key; 5] = [
    ("id", "string"),
    ("problem", "string"),
    ("moved_to", "string?"),
    ("metadata_of", "string?"),
    ("open_by", "array"),
];

const VERSION_1: [Key; 3] = [("is_locked", "boolean"), ("is_panicked", "boolean"), ("holders", "array")];

/// Of a log that cannot be opened.
const UNREADABLE: [Key; 6] = [
    ("schema", "number"),
    ("path", "string"),
    ("state", "string"),
    ("problem", "string"),
    ("next_step", "string"),
    ("findings", "array"),
];

const LOCK: [Key; 14] = [
    ("held", "boolean?"),
    ("unseen", "string?"),
    ("pid", "number?"),
    ("command", "string?"),
    ("operation", "string?"),
    ("since", "time?"),
    ("process", "string?"),
    ("command_line", "string?"),
    ("stuck_in", "string?"),
    ("frozen_by", "string?"),
    ("namespace", "number?"),
    ("pid_here", "number?"),
    ("for_at_least_ms", "number?"),
    ("stale", "boolean"),
];

const WRITER: [Key; 21] = [
    ("slot", "number"),
    ("pid", "number"),
    ("namespace", "number?"),
    ("pid_here", "number?"),
    ("command", "string"),
    ("process", "string"),
    ("process_for_at_least_ms", "number"),
    ("not_run_for_ms", "number?"),
    ("stuck_in", "string?"),
    ("command_line", "string?"),
    ("frozen_by", "string?"),
    ("alive", "boolean?"),
    ("unseen", "string?"),
    ("in_flight", "object?"),
    ("waiting", "object?"),
    ("feeder_stopped", "number?"),
    ("feeder_waits_ms", "number?"),
    ("output_full_ms", "number?"),
    ("messages", "number"),
    ("bytes", "number"),
    ("since", "time?"),
];

const FOLLOWER: [Key; 13] = [
    ("name", "string?"),
    ("command", "string"),
    ("command_line", "string?"),
    ("pid", "number"),
    ("namespace", "number?"),
    ("pid_here", "number?"),
    ("process", "string"),
    ("frozen_by", "string?"),
    ("position", "number"),
    ("lag", "number"),
    ("beyond", "boolean"),
    ("since", "time?"),
    ("seen", "time?"),
];

const IN_FLIGHT: [Key; 4] =
    [("phase", "string"), ("start", "number"), ("end", "number"), ("for_at_least_ms", "number")];

const HOLE: [Key; 6] = [
    ("start", "number"),
    ("len", "number"),
    ("kind", "string"),
    ("pid", "number"),
    ("command", "string"),
    ("at", "time?"),
];

const SEGMENT: [Key; 5] = [
    ("generation", "number"),
    ("base", "number"),
    ("end", "number"),
    ("inode", "number"),
    ("path", "string"),
];

const PANIC: [Key; 5] =
    [("reason", "string"), ("errno", "number"), ("pid", "number"), ("command", "string"), ("at", "time?")];

const FILE: [Key; 11] = [
    ("len", "number"),
    ("allocated", "number"),
    ("mode", "string"),
    ("uid", "number"),
    ("gid", "number"),
    ("inode", "number"),
    ("device", "number"),
    ("free", "number?"),
    ("unseen", "string?"),
    ("inodes_free", "number?"),
    ("inodes", "number?"),
];

const DURABILITY: [Key; 4] =
    [("synced", "number"), ("synced_at", "time?"), ("error", "object?"), ("recovered", "object?")];

fn is_of_type(value: &Value, kind: &str) -> bool {
    match kind {
        "number" => value.is_u64() || value.is_i64(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "time" => value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok()),
        _ => value.is_null() || is_of_type(value, kind.trim_end_matches('?')),
    }
}

/// An object with these keys and no others.
#[track_caller]
fn has(object: &Value, keys: &[Key]) {
    let found: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    let mut wanted: Vec<&str> = keys.iter().map(|(name, _)| *name).collect();
    wanted.sort_by_key(|name| found.iter().position(|other| other == name));
    assert_eq!(found, wanted);
    for (name, kind) in keys {
        assert!(is_of_type(&object[name], kind), "{name} is {}, not a {kind}", object[name]);
    }
}

/// The object, all of its keys checked.
#[track_caller]
fn status(log: &Path) -> Value {
    let ended = mmlogctl("status", log).arg("--json").run();
    ended.is_success();
    assert_eq!(ended.text().matches('\n').count(), 1, "one object, on one line");
    let status: Value = serde_json::from_slice(&ended.stdout).unwrap();
    has(&status, &STATUS);
    has(&status["lock"], &LOCK);
    has(&status["maintenance"], &LOCK);
    has(&status["file"], &FILE);
    has(&status["durability"], &DURABILITY);
    let each =
        |name: &str, keys: &[Key]| status[name].as_array().unwrap().iter().for_each(|one| has(one, keys));
    each("findings", &FINDING);
    each("damage", &DAMAGE);
    each("writers", &WRITER);
    each("followers", &FOLLOWER);
    each("holes", &HOLE);
    each("segments", &SEGMENT);
    for writer in status["writers"].as_array().unwrap() {
        if !writer["in_flight"].is_null() {
            has(&writer["in_flight"], &IN_FLIGHT);
        }
    }
    if !status["version_1"].is_null() {
        has(&status["version_1"], &VERSION_1);
    }
    if !status["panic"].is_null() {
        has(&status["panic"], &PANIC);
    }
    let policy = &status["policy"];
    has(policy, &POLICY);
    has(&policy["rules"], &RULES);
    has(&policy["next"], &NEXT);
    assert_eq!(status["schema"], 1);
    status
}

#[test]
fn a_log_at_rest_has_the_documented_keys() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let status = status(&log);
    assert_eq!(status["state"], "OK");
    assert_eq!(status["path"], log.to_str().unwrap());
    for (key, value) in [("cursor", 14), ("watermark", 14), ("file_size", 14), ("base", 0), ("generation", 0)]
    {
        assert_eq!(status[key], value, "{key}");
    }
    assert_eq!((&status["lock"]["held"], &status["lock"]["pid"]), (&false.into(), &Value::Null));
    assert_eq!((&status["segments"][0]["end"], &status["file"]["len"]), (&14.into(), &14.into()));
}

#[test]
fn everything_that_can_be_the_case_has_the_documented_keys() {
    let scratch = Scratch::new();
    let (log, open, _writer) = live(&scratch);
    write_slot(&log, 4, slot(3, 8), 2, 4242);
    let _owner = Held::slot(&log, 5);
    write_slot(&log, 5, slot(3, 10), 4, std::process::id());
    let _held = Held::maintenance(&log);
    let mut follower = open.follow(Start::Oldest).unwrap();
    follower.announce("shipper");
    open.poison("why not", 5).unwrap();
    let status = status(&log);
    assert_eq!(status["state"], "PANICKED");
    assert_eq!(
        (&status["followers"][0]["name"], &status["followers"][0]["lag"]),
        (&"shipper".into(), &status["cursor"])
    );
    assert_eq!(status["panic"]["reason"], "why not");
    assert_eq!(
        (&status["maintenance"]["held"], &status["maintenance"]["operation"]),
        (&true.into(), &"trim".into())
    );
    assert_eq!(status["maintenance"]["pid"], std::process::id());
    assert_eq!((&status["holes"][0]["start"], &status["holes"][0]["kind"]), (&8.into(), &"torn".into()));
    let writers = status["writers"].as_array().unwrap();
    let in_flight = |slot: u64| {
        let writer = writers.iter().find(|writer| writer["slot"] == slot).unwrap();
        (writer["alive"].clone(), writer["in_flight"]["phase"].clone(), writer["in_flight"]["start"].clone())
    };
    assert_eq!(in_flight(4), (false.into(), "copying".into(), 8.into()));
    assert_eq!(in_flight(5), (true.into(), "copying".into(), 10.into()));
    assert_eq!((&writers[0]["messages"], &writers[0]["bytes"]), (&1.into(), &14.into()));
    assert_eq!(status["watermark"], 10);
    assert_eq!(writers[0]["pid_here"], writers[0]["pid"]);
    let ids = status["findings"].as_array().unwrap().iter().map(|f| f["id"].as_str().unwrap());
    let ids: Vec<&str> = ids.collect();
    assert_eq!((ids[0], ids[1]), ("panicked", "writer-stalled"), "{ids:?}");
    assert_eq!(status["findings"][1]["pid"], std::process::id());
    assert_eq!(status["findings"][0]["sentence"], status["problem"], "the first one is the problem");
}

#[test]
fn damage_is_an_object_each_and_a_finding_each() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    std::fs::File::options().write(true).open(&log).unwrap().set_len(5).unwrap();
    let status = status(&log);
    let (damage, finding) = (&status["damage"][0], &status["findings"][0]);
    assert_eq!((&damage["id"], &finding["id"]), (&"data-truncated".into(), &"data-truncated".into()));
    assert_eq!((&finding["severity"], &finding["state"]), (&"critical".into(), &"DAMAGED".into()));
}

#[test]
fn a_log_that_cannot_be_opened_is_an_object_too_and_still_a_failure() {
    let scratch = Scratch::new();
    let (log, missing) = (scratch.log(CONTENT), scratch.file("missing.log"));
    let ended = mmlogctl("status", &missing).arg(&log).arg("--json").run();
    ended.is_refused(1, &missing, &["no such log"]);
    let objects: Vec<Value> = ended.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    has(&objects[0], &UNREADABLE);
    has(&objects[0]["findings"][0], &FINDING);
    has(&objects[1], &STATUS);
    assert_eq!((&objects[0]["state"], &objects[1]["state"]), (&"UNKNOWN".into(), &"OK".into()));
    poke(&log, at::MAGIC, b"MMLOG");
    let ended = mmlogctl("status", &log).arg("--json").run();
    let object: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!((ended.code, &object["state"]), (1, &"DAMAGED".into()), "{ended:?}");
}

#[test]
fn several_logs_are_an_object_each() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let ended = mmlogctl("status", &log).arg(&log).arg("--json").run();
    ended.is_success();
    let objects: Vec<Value> = ended.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), 2);
    objects.iter().for_each(|object| has(object, &STATUS));
}
