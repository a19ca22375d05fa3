//! `check --deep`: each invariant, violated by hand, is named. That is the proof that the check can fail.

use std::fs;
use std::path::Path;

use mmlog::layout::GATE;
use serde_json::Value;

use crate::cli::{
    Held, Scratch, at, metadata_of, mmlogctl, poke, raw, slot, write_hole, write_hole_time, write_slot,
};
use crate::{CONTENT, check};

/// The invariants that do not hold, from the object; the text names them too, a line each. Nothing is changed.
#[track_caller]
fn violations(log: &Path) -> Vec<String> {
    let before = raw(log);
    let (text, object) = (check(log, &["--deep"]), check(log, &["--deep", "--json"]));
    assert!(before == raw(log), "a check has changed something");
    let value: Value = serde_json::from_slice(&object.stdout).unwrap();
    let keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    let wanted = [
        "schema",
        "path",
        "holds",
        "violations",
        "unseen",
        "facts",
        "cursor",
        "watermark",
        "read",
        "nuls",
        "holes",
    ];
    assert_eq!(keys, wanted);
    let named: Vec<String> = value["violations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v["invariant"].as_str().unwrap().to_owned())
        .collect();
    let code = if named.is_empty() { 0 } else { 2 };
    assert!((text.code, object.code) == (code, code), "{text:?}");
    assert_eq!(value["holds"], named.is_empty());
    let lines: Vec<String> = text
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("  violated  "))
        .map(|line| line.split(':').next().unwrap().to_owned())
        .collect();
    assert_eq!(lines, named, "{text:?}");
    named
}

type Violation = (&'static [&'static str], fn(&Path));

const fn word(value: u64) -> [u8; 8] {
    value.to_ne_bytes()
}

const VIOLATIONS: &[Violation] = &[
    (&["positions"], |log| poke(log, at::CURSOR, &word(1 << 50))),
    (&["positions", "length"], |log| poke(log, at::FILE_SIZE, &word(u64::MAX))),
    (&["data-file"], |log| {
        fs::copy(log, log.with_extension("copy")).unwrap();
        fs::rename(log.with_extension("copy"), log).unwrap();
    }),
    (&["data-file"], |log| fs::remove_file(log).unwrap()),
    (&["metadata-file"], |log| {
        let (metadata, copy) = (metadata_of(log), log.with_extension("copy"));
        fs::copy(&metadata, &copy).unwrap();
        fs::rename(copy, metadata).unwrap();
    }),
    (&["length"], |log| fs::File::options().write(true).open(log).unwrap().set_len(5).unwrap()),
    (&["limit"], |log| poke(log, at::LIMIT, &word(4096))),
    (&["gate"], |log| poke(log, at::CURSOR, &word(GATE | 14))),
    (&["checkpoint"], |log| poke(log, at::SYNCED, &word(15))),
    (&["segment"], |log| poke(log, at::SEGMENT, &word(9))),
    (&["segment"], |log| poke(log, at::SEGMENT + 8, &word(9))),
    (&["segment"], |log| poke(log, at::SEGMENT + 16, &word(9))),
    (&["final-segment"], |log| {
        let opened = mmlog::Log::options().open(log).unwrap();
        let rotated = opened.rotate(&mmlog::Rotation::default()).unwrap().unwrap();
        fs::File::options().write(true).open(rotated.path).unwrap().set_len(5).unwrap();
    }),
    (&["slot-range"], |log| {
        write_slot(log, 3, slot(3, 4), 400, 4242);
        held(log, 3);
    }),
    (&["overlap"], |log| {
        write_slot(log, 3, slot(3, 2), 6, 4242);
        write_slot(log, 4, slot(3, 4), 6, 4242);
        held(log, 3);
        held(log, 4);
    }),
    (&["hole-range"], |log| write_hole(log, 7, 20, 100)),
    (&["hole-range"], |log| {
        fs::write(log, "\0".repeat(14)).unwrap();
        write_hole(log, 0, 2, 6);
        write_hole(log, 1, 4, 6);
    }),
    (&["torn-hole"], |log| write_hole(log, 0, 4, 4)),
    (&["torn-hole"], |log| {
        write_hole(log, 0, 4, 4);
        // A minute after a boot whose clock said 1970.
        write_hole_time(log, 0, 60_000_000_000);
    }),
    (&["beyond-cursor"], |log| {
        fs::write(log, [CONTENT, b"\0\0\0stray\0\0"].concat()).unwrap();
        poke(log, at::FILE_SIZE, &word(24));
        poke(log, at::LIMIT, &word(24));
    }),
];

/// The slot's owner lives for as long as this process does: what it has in flight is no hole.
fn held(log: &Path, index: u64) {
    std::mem::forget(Held::slot(log, index));
}

#[test]
fn each_invariant_that_is_violated_is_named_and_no_other() {
    for (nth, (expected, violate)) in VIOLATIONS.iter().enumerate() {
        let scratch = Scratch::new();
        let log = scratch.log(CONTENT);
        assert_eq!(violations(&log), [""; 0]);
        violate(&log);
        assert_eq!(violations(&log), *expected, "number {nth}");
    }
}

#[test]
fn a_data_file_that_is_gone_is_no_matter_of_rights() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    fs::remove_file(&log).unwrap();
    let text = mmlogctl("check", &log).arg("--deep").run().text();
    let steps: Vec<&str> = text.lines().filter(|line| line.starts_with("  next  ")).collect();
    assert!(matches!(steps[..], [one] if one.starts_with("  next  put it, or a copy, back")), "{text}");
    assert!(!text.contains("unseen"), "{text}");
}

#[test]
fn every_invariant_of_the_library_is_violated_here() {
    let source = ["check.rs", "check/data.rs", "check/finals.rs"].map(|name| {
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../mmlog/src").join(name)).unwrap()
    });
    let tried: Vec<&str> = VIOLATIONS.iter().flat_map(|(names, _)| names.iter().copied()).collect();
    let mut known = Vec::new();
    for text in &source {
        for before in ["claim(found, \"", "invariant: \""] {
            known.extend(text.split(before).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
    }
    assert!(known.len() >= 10, "{known:?}");
    for name in known {
        assert!(tried.contains(&name.as_str()), "nobody violates {name}");
    }
}

#[test]
fn what_the_dead_left_is_a_fact_and_no_violation() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    write_slot(&log, 3, slot(3, 4), 4, 4242);
    poke(&log, at::JOURNAL, &mmlog::metadata::JOURNAL_TRIM.to_ne_bytes());
    poke(&log, at::CURSOR, &word(GATE | 14));
    assert_eq!(violations(&log), [""; 0]);
    let text = check(&log, &["--deep"]).text();
    for fact in ["  fact  1 dead writers' slots", "  fact  a dead process left an operation half done"] {
        assert!(text.contains(fact), "{text}");
    }
    mmlogctl("append", &log).run().is_success();
    assert_eq!(violations(&log), [""; 0]);
}

#[test]
fn binary_content_is_counted_and_no_violation() {
    let scratch = Scratch::new();
    let log = scratch.log(b"a\0b\0\0c\n");
    let text = check(&log, &["--deep"]);
    assert!(text.code == 0 && text.text().contains("  fact  3 NULs below the watermark"), "{text:?}");
}
