//! Paths that are not UTF-8: JSON has them as text, and in base64, so that a script can open what it is told of.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use serde_json::Value;

use crate::cli::{Scratch, mmlogctl};
use crate::log_of;

/// Every object in a value that has a path.
fn paths(value: &Value, found: &mut Vec<(String, Option<String>)>) {
    match value {
        Value::Array(all) => all.iter().for_each(|value| paths(value, found)),
        Value::Object(object) => {
            if let Some(path) = object.get("path").and_then(Value::as_str) {
                let exact = object.get("path_base64").and_then(Value::as_str);
                found.push((path.to_owned(), exact.map(str::to_owned)));
            }
            object.values().for_each(|value| paths(value, found));
        }
        _ => {}
    }
}

#[test]
fn a_path_that_is_not_utf8_is_whole_in_each_json_output() {
    let scratch = Scratch::new();
    let directory = scratch.path().join(OsStr::from_bytes(b"b\xfcro"));
    std::fs::create_dir(&directory).unwrap();
    let log = log_of(&directory, 3);
    for line in [
        &["status", "--json"][..],
        &["segments", "--json"],
        &["check", "--json"],
        &["check", "--deep", "--json"],
        &["repair", "--dry-run", "--json"],
        &["inspect", "--batch", "--json", "-n1"],
    ] {
        let ended = mmlogctl(line[0], &log).args(&line[1..]).run();
        assert_eq!(ended.code, 0, "{line:?}: {ended:?}");
        let mut found = Vec::new();
        for line in ended.text().lines() {
            paths(&serde_json::from_str(line).unwrap(), &mut found);
        }
        assert!(!found.is_empty(), "{line:?}: {ended:?}");
        for (text, exact) in found {
            // b\xfcro/app.log, and what lies beside it, wherever the scratch directory is.
            let exact = exact.unwrap_or_else(|| panic!("{line:?}: {text:?} alone"));
            assert!(text.contains("b\u{fffd}ro"), "{text}");
            let bytes = decoded(&exact);
            assert!(bytes.starts_with(directory.as_os_str().as_bytes()), "{line:?}: {exact}");
            assert!(std::path::Path::new(OsStr::from_bytes(&bytes)).exists(), "{line:?}: {text}");
        }
    }
    // What is UTF-8 has no second key.
    let log = log_of(scratch.path(), 1);
    let ended = mmlogctl("status", &log).arg("--json").run();
    assert!(!ended.text().contains("base64"), "{ended:?}");
}

fn decoded(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0u32, 0);
    for digit in text.bytes().filter(|byte| *byte != b'=') {
        let value = DIGITS.iter().position(|known| *known == digit).unwrap() as u32;
        (bits, held) = (bits << 6 | value, held + 6);
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}
