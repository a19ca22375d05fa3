//! `check --json` without `--deep`: what the line says, for programs.

use serde_json::{Value, json};

use crate::cli::{Scratch, mmlogctl};
use crate::{CONTENT, check};

#[test]
fn one_object_a_log_has_verdict_thresholds_and_figures() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let missing = scratch.file("missing.log");
    let ended = mmlogctl("check", &log).arg(&missing).args(["--json", "-w", "unsynced=13"]).run();
    assert_eq!(ended.code, 3, "{ended:?}");
    let objects: Vec<Value> = ended.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [found, unseen] = &objects[..] else { panic!("{ended:?}") };
    assert_eq!((&found["schema"], &found["path"]), (&json!(1), &json!(log.to_str().unwrap())));
    assert_eq!(
        (&found["verdict"], &found["code"], &found["state"]),
        (&json!("WARNING"), &json!(1), &json!("OK"))
    );
    assert_eq!((&found["metrics"]["cursor"], &found["metrics"]["lock"]), (&json!(14), &json!(0.0)));
    let passed = &found["passed"][0];
    assert_eq!((&passed["metric"], &passed["verdict"]), (&json!("unsynced"), &json!("WARNING")));
    assert_eq!(found["next_step"], passed["next_step"]);
    assert!(found["findings"].is_array() && found["problem"].is_null(), "{found}");
    assert_eq!(
        (&unseen["verdict"], &unseen["code"], &unseen["metrics"]),
        (&json!("UNKNOWN"), &json!(3), &Value::Null)
    );
    assert!(unseen["problem"].as_str().unwrap().contains("no such log"), "{unseen}");
}

#[test]
fn the_exit_code_is_that_of_the_line() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    for options in [&[][..], &["-w", "unsynced=13"], &["-c", "unsynced=13"]] {
        let (line, object) = (check(&log, options), check(&log, &[options, &["--json"]].concat()));
        assert_eq!(line.code, object.code, "{options:?}");
        let object: Value = serde_json::from_str(&object.text()).unwrap();
        assert_eq!(object["code"], json!(line.code), "{options:?}");
    }
}
