//! A data file that somebody edits while others have it open: what is printed saves what was in it, and goes on, as one command.

use std::fs;
use std::process::{Child, Command};

use serde_json::Value;

use crate::cli::{Scratch, mmlogctl, wait_for};
use crate::taken_away::{bytes_of, paste, said_by_all, writing};

struct Reader(Child);

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// As `sed -i` does. Nothing is lost by what is printed first: what was appended, before the edit and since, the edited file, and what
/// comes then.
#[test]
fn a_data_file_that_was_edited_under_a_writer_is_saved_and_gone_on_behind_in_one_line() {
    let scratch = Scratch::new();
    let log = scratch.file("it's app.log");
    let mut writer = writing(&log);
    let edited = scratch.file("edited");
    fs::write(&edited, "ONE\n").unwrap();
    fs::rename(&edited, &log).unwrap();
    writer.feed(b"since\n");
    wait_for("the line", || mmlogctl("status", &log).run().text().contains("watermark 10,").then_some(()));
    let who = format!("process {} (mmlogctl append", writer.pid());
    let (command, _) = said_by_all(&log, &who, &[]);
    assert!(!command.contains('\n') && command.matches(" && ").count() == 2, "{command}");
    // On a small screen, too, what helps is the third line.
    let screen = mmlogctl("inspect", &log).arg("--once").run().text();
    assert!(screen.lines().nth(2).unwrap().starts_with("  cp --sparse=always "), "{screen}");
    paste(&command);
    assert_eq!(bytes_of(&format!("{}.saved", log.display())), b"one\nsince\n");
    assert_eq!(fs::read(format!("{}.other", log.display())).unwrap(), b"ONE\n");
    writer.feed(b"two\n");
    wait_for("the next line", || mmlogctl("cat", &log).run().text().contains("two\n").then_some(()));
    writer.end();
    assert_eq!(mmlogctl("check", &log).run().code, 0);
}

/// Who only reads keeps nobody from making the edited file the log.
#[test]
fn a_data_file_that_was_edited_under_a_reader_becomes_the_log_once_what_it_was_is_saved() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let _reader =
        Reader(Command::new("sleep").arg("600").stdin(fs::File::open(&log).unwrap()).spawn().unwrap());
    let edited = scratch.file("edited");
    fs::write(&edited, "ONE\n").unwrap();
    fs::rename(&edited, &log).unwrap();
    let told: Value = serde_json::from_slice(&mmlogctl("status", &log).arg("--json").run().stdout).unwrap();
    let command = told["findings"][0]["command"].as_str().unwrap();
    let (copies, mends) = command.split_once(" && ").unwrap();
    paste(copies);
    let saved = format!("{}.saved", log.display());
    assert_eq!(fs::read(&saved).unwrap(), b"one\n");
    // A repair says where that is, for people and for programs.
    let planned = mmlogctl("repair", &log).args(["--rebuild", "--dry-run"]).run();
    assert!(
        planned.text().contains(&format!("{saved} is a copy of the data file of before, made ")),
        "{planned:?}"
    );
    let planned = mmlogctl("repair", &log).args(["--rebuild", "--dry-run", "--json"]).run();
    let planned: Value = serde_json::from_slice(&planned.stdout).unwrap();
    assert_eq!(planned["facts"]["saved"], saved.as_str());
    paste(mends);
    mmlogctl("cat", &log).run().printed(b"ONE\n");
    assert_eq!(mmlogctl("check", &log).run().code, 0);
}

/// Since names in its directory changed last: not since somebody looked, nor since a program wrote to what is gone.
#[test]
fn how_long_a_file_is_gone_is_told_by_its_directory() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut writer = writing(&log);
    let since = |changes: &dyn Fn()| {
        changes();
        let told: Value =
            serde_json::from_slice(&mmlogctl("status", &log).arg("--json").run().stdout).unwrap();
        told["findings"][0]["sentence"].as_str().unwrap().to_owned()
    };
    let (there, metadata) = (scratch.file("old"), crate::cli::metadata_of(&log));
    let said = since(&|| fs::rename(&log, &there).unwrap());
    assert!(said.contains("moved: it is old now, in the same directory, for at least "), "{said}");
    fs::rename(&there, &log).unwrap();
    let said = since(&|| fs::rename(&metadata, &there).unwrap());
    assert!(said.contains("has it open still, for at least "), "{said}");
    fs::rename(&there, &metadata).unwrap();
    let said = since(&|| fs::remove_file(&log).unwrap());
    assert!(said.contains("the data file is gone, for at least "), "{said}");
    // The file was written to since, the directory was not changed.
    let told = || mmlogctl("status", &log).run().text();
    wait_for("a second", || told().contains("gone, for at least 1 s; process ").then_some(()));
    writer.feed(b"more\n");
    wait_for("the line", || told().contains("watermark 9,").then_some(()));
    assert!(!told().contains("for at least a moment"));
    writer.end();
    assert!(told().contains("the data file is gone, for at least "));
}

/// What would put them back there would take them away from it.
#[test]
fn the_renamed_files_of_a_log_are_not_those_of_one_of_the_same_name_elsewhere() {
    let (scratch, other) = (Scratch::new(), Scratch::new());
    let log = scratch.file("app.log");
    let writer = writing(&log);
    fs::rename(&log, scratch.file("x")).unwrap();
    fs::rename(crate::cli::metadata_of(&log), scratch.file("y")).unwrap();
    let told = mmlogctl("status", &other.file("app.log")).run();
    assert!(told.code == 1 && told.stderr.contains("no such log"), "{told:?}");
    let told = mmlogctl("status", &log).run().text();
    assert!(told.contains("the log was moved: its data file is "), "{told}");
    writer.end();
}

/// A name that never was: what would "put them back" would give the files of another log that name.
#[test]
fn the_renamed_files_of_a_log_are_offered_and_not_claimed_where_nothing_tells_that_they_had_that_name() {
    let scratch = Scratch::new();
    let log = scratch.file("a b");
    let writer = writing(&log);
    let renamed = |data: &str, metadata: &str| {
        fs::rename(&log, scratch.file(data)).unwrap();
        fs::rename(crate::cli::metadata_of(&log), scratch.file(metadata)).unwrap();
    };
    renamed("x", "y");
    let slip = scratch.file("TYPO.log");
    let told = mmlogctl("status", &slip).run();
    assert!(told.code == 1 && told.stderr.contains("no such log; but "), "{told:?}");
    assert!(told.stderr.contains(&format!("process {} (mmlogctl append", writer.pid())), "{told:?}");
    assert!(told.stderr.contains("if that was its name, `mv -n "), "{told:?}");
    assert_eq!(mmlogctl("check", &slip).run().code, 3);
    // Who was called with its name, or still is called like it, is known to be it.
    assert_eq!(mmlogctl("check", &log).run().code, 2);
    fs::rename(scratch.file("x"), scratch.file("TYPO.log.old")).unwrap();
    let told = mmlogctl("status", &slip).run().text();
    assert!(told.starts_with("DAMAGED  ") && told.contains("the log was moved: its data file is "), "{told}");
    writer.end();
}
