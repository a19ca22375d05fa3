//! Metadata beside no data file, which is that of another log: a copy, a second name, or renamed.

use std::fs;
use std::process::Command;

use crate::cli::{Scratch, Tool, metadata_of, mmlogctl};
use crate::{ls, objects};

/// The logs below, with their states, and what is none.
fn below(scratch: &Scratch) -> (Vec<(String, String)>, Vec<String>) {
    let (all, summary) = objects(&ls(["--only-below", "--json"]).arg(scratch.path()).run());
    let name = |path: &serde_json::Value| path.as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let logs =
        all.iter().map(|log| (name(&log["path"]), log["state"].as_str().unwrap().to_owned())).collect();
    (logs, summary["strays"].as_array().unwrap().iter().map(|stray| name(&stray["path"])).collect())
}

/// The command of its first finding, run.
#[track_caller]
fn mends(log: &std::path::Path) {
    let told = mmlogctl("status", log).arg("--json").run();
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    let command = told["findings"][0]["command"].as_str().unwrap();
    assert!(Command::new("sh").args(["-c", command]).status().unwrap().success(), "{told}");
}

#[test]
fn a_copy_and_a_second_name_of_metadata_are_no_logs_and_whose_they_are_is_said() {
    for is_copy in [true, false] {
        let scratch = Scratch::new();
        let (log, stray) = (scratch.log(b"one\n"), scratch.file("back up"));
        match is_copy {
            true => drop(fs::copy(metadata_of(&log), metadata_of(&stray)).unwrap()),
            false => fs::hard_link(metadata_of(&log), metadata_of(&stray)).unwrap(),
        }
        let name = log.file_name().unwrap().to_str().unwrap().to_owned();
        let ok = vec![(name.clone(), "OK".to_owned())];
        assert_eq!(below(&scratch), (ok.clone(), vec!["back up".to_owned()]), "{is_copy}");
        let listed = Tool::new(env!("CARGO_BIN_EXE_mmlogctl")).args(["ls", "--only-below", "--exit-code"]);
        let listed = listed.arg(scratch.path()).run();
        let whose = format!("of the metadata of {name}, and no log of its own");
        assert!(listed.code == 0 && listed.stderr.contains(&whose), "{listed:?}");
        // Nobody makes it a log of its own: that would be done to the other one.
        for command in [&["append"][..], &["cat"], &["repair", "--recreate"], &["repair", "--rebuild"]] {
            let refused = mmlogctl(command[0], &stray).args(&command[1..]).input(b"two\n").run();
            let said = refused.text() + &refused.stderr;
            assert!(
                refused.code != 0 && said.contains(&format!("metadata of {}", log.display())),
                "{refused:?}"
            );
        }
        mends(&stray);
        assert_eq!(below(&scratch), (ok, Vec::new()), "{is_copy}");
        mmlogctl("cat", &log).run().printed(b"one\n");
    }
}

#[test]
fn renamed_metadata_is_listed_as_its_log_and_once() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    for line in [b"one\n", b"two\n"] {
        mmlogctl("append", &log).input(line).run().is_success();
        let other = scratch.file("other");
        fs::rename(metadata_of(&log), metadata_of(&other)).unwrap();
        assert_eq!(below(&scratch), (vec![("app.log".to_owned(), "DAMAGED".to_owned())], Vec::new()));
        mends(if line == b"one\n" { &log } else { &other });
        assert_eq!(below(&scratch), (vec![("app.log".to_owned(), "OK".to_owned())], Vec::new()));
        // Its old segment tells what it is called, then.
        mmlogctl("rotate", &log).run().is_success();
    }
    mmlogctl("cat", &log).run().printed(b"one\ntwo\n");
}

/// Which has the number of the file that the log has lost.
#[test]
fn a_log_whose_data_file_is_gone_is_not_taken_for_another_one() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let number = |log: &std::path::Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(log).unwrap());
    let before = number(&log);
    fs::remove_file(&log).unwrap();
    let has_it = |n| {
        let other = scratch.file(&format!("other-{n}"));
        mmlogctl("append", &other).input(b"two\n").run().is_success();
        number(&other) == before
    };
    if !(0..20).any(has_it) {
        return crate::cli::skipped(
            "another log with the number of a lost file",
            "this file system gives none again",
        );
    }
    let told = mmlogctl("status", &log).run().text();
    assert!(told.contains("the data file is gone") && !told.contains("metadata of"), "{told}");
    assert!(below(&scratch).1.is_empty());
}
