//! Metadata that is gone from its path: old segments tell that there was a log, a repair who has it open.

use std::fs;
use std::path::Path;

use crate::cli::{Scratch, Tool, finals, metadata_of, mmlogctl};

/// Of a log at rest its old segments tell; of a data file alone nothing does.
#[test]
fn removed_metadata_of_a_log_at_rest_is_told_by_its_old_segments() {
    let scratch = Scratch::new();
    let below = |code: i32| {
        let tool = Tool::new(env!("CARGO_BIN_EXE_mmlogctl")).args(["ls", "--only-below", "--exit-code"]);
        let listed = tool.arg(scratch.path()).run();
        assert_eq!(listed.code, code, "{listed:?}");
        listed.text() + &listed.stderr
    };
    let (logs, archive) = (scratch.file("logs"), scratch.file("archive"));
    [&logs, &archive].into_iter().for_each(|directory| fs::create_dir(directory).unwrap());
    let (log, plain) = (logs.join("app.log"), logs.join("plain.log"));
    for log in [&log, &plain] {
        mmlogctl("append", log).input(b"one\n").run().is_success();
    }
    for line in [b"two\n", b"six\n"] {
        mmlogctl("rotate", &log).run().is_success();
        mmlogctl("append", &log).input(line).run().is_success();
    }
    // A directory of old segments alone is no log.
    let copies = |to: &Path| {
        for segment in finals(&log) {
            fs::copy(&segment, to.join(segment.file_name().unwrap())).unwrap();
        }
    };
    copies(&archive);
    assert!(below(0).starts_with("2 logs: 2 OK\n"));
    let metadata = metadata_of(&log);
    for (gone, why) in [("app.log.mmlog.bak", "the metadata was moved"), ("", "the metadata is gone")] {
        match gone {
            "" => fs::remove_file(&metadata).unwrap(),
            name => fs::rename(&metadata, logs.join(name)).unwrap(),
        }
        let listed = below(2);
        assert!(listed.starts_with("2 logs: 1 DAMAGED, 1 OK\n") && listed.contains(why), "{listed}");
        assert_eq!(mmlogctl("check", &log).run().code, 2);
        for command in ["status", "cat", "append", "rotate"] {
            let told = mmlogctl(command, &log).input(b"more\n").run();
            assert!(told.code == 4 && (told.text() + &told.stderr).contains(why), "{command}: {told:?}");
        }
        if !gone.is_empty() {
            fs::rename(logs.join(gone), &metadata).unwrap();
        }
    }
    fs::remove_file(metadata_of(&plain)).unwrap();
    assert!(below(2).starts_with("1 log: 1 DAMAGED\n"));
    // They may have a directory of their own.
    let (old, segments) = (logs.join("old"), finals(&log));
    fs::create_dir(&old).unwrap();
    copies(&old);
    segments.iter().for_each(|segment| fs::remove_file(segment).unwrap());
    let listed = below(2);
    assert!(
        listed.contains("no metadata, and directory old has old segments of this log's name"),
        "{listed}"
    );
    for segment in segments {
        fs::rename(old.join(segment.file_name().unwrap()), segment).unwrap();
    }
    mmlogctl("repair", &log).arg("--rebuild").run().is_success();
    mmlogctl("cat", &log).run().printed(b"one\ntwo\nsix\n");
    assert!(below(0).starts_with("1 log: 1 OK\n"));
}

#[test]
fn a_repair_says_before_its_plan_who_has_removed_metadata_open() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let writer = crate::taken_away::writing(&log);
    fs::remove_file(metadata_of(&log)).unwrap();
    let told = mmlogctl("repair", &log).args(["--rebuild", "--dry-run"]).run();
    let at = |words: &str| told.text().find(words).unwrap_or_else(|| panic!("{words}: {told:?}"));
    assert!(at(&format!("process {} (mmlogctl append", writer.pid())) < at("  plan  "), "{told:?}");
    assert_eq!(told.code, 3, "{told:?}");
}
