//! Guards `mmlogctl repair`: it says what it found and whose it was, does what it said and no more, takes nothing that
//! is alive, changes nothing where nothing is wrong, and leaves a log that works. A module for each kind of damage.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "repair_command/advice.rs"]
mod advice;
mod cli;
#[path = "repair_command/contract.rs"]
mod contract;
#[path = "repair_command/killed.rs"]
mod killed;
#[path = "repair_command/live.rs"]
mod live;
#[path = "repair_command/stale.rs"]
mod stale;
#[path = "repair_command/wishes.rs"]
mod wishes;

use std::fs;
use std::path::Path;

use cli::{Ended, mmlogctl, raw};

/// What the logs here hold.
const CONTENT: &[u8] = b"one\ntwo\nthree\n";

fn repair(log: &Path, options: &[&str]) -> Ended {
    mmlogctl("repair", log).args(options).run()
}

/// A dry run says `words` and changes no byte, the real run says them too and succeeds, a third has nothing to do.
#[track_caller]
fn mends(log: &Path, options: &[&str], words: &[&str]) -> Ended {
    let before = raw(log);
    let planned = repair(log, &[options, &["--dry-run"]].concat());
    assert_eq!(planned.code, 0, "{planned:?}");
    assert!(before == raw(log), "a dry run has changed something: {planned:?}");
    let ended = repair(log, options);
    ended.is_success();
    for words in words {
        assert!(planned.text().contains(words), "without {words:?}: {planned:?}");
        assert!(ended.text().contains(words), "without {words:?}: {ended:?}");
    }
    // What is planned is what is done.
    assert!(ended.text().starts_with(&planned.text()), "{planned:?}\n{ended:?}");
    assert!(ended.text().lines().last().unwrap().starts_with("  done  "), "{ended:?}");
    nothing_to_repair(log);
    ended
}

/// One line, and not a byte of both files has changed.
#[track_caller]
fn nothing_to_repair(log: &Path) {
    let before = raw(log);
    for options in [
        &[][..],
        &["--dry-run"],
        &["--clear-panic", "--rebuild", "--recreate", "--accept-loss", "--forget-missing"],
    ] {
        repair(log, options).printed(format!("{}: nothing to repair\n", log.display()).as_bytes());
    }
    assert!(before == raw(log), "repairing a healthy log has changed something");
}

/// Not done without being asked: exit code 4, the option is named, no byte has changed.
#[track_caller]
fn needs(log: &Path, option: &str, words: &[&str]) {
    let before = raw(log);
    let ended = repair(log, &[]);
    assert!(ended.code == 4 && ended.stderr.is_empty(), "{ended:?}");
    let text = ended.text();
    let left = text.lines().find(|line| line.starts_with("  left  ")).unwrap_or_else(|| panic!("{ended:?}"));
    assert!(
        left.contains(&format!("`mmlogctl repair {option} {}`", log.display())),
        "without {option}: {ended:?}"
    );
    for words in words {
        assert!(ended.text().contains(words), "without {words:?}: {ended:?}");
    }
    assert!(before == raw(log), "something has changed: {ended:?}");
}

/// The log holds this and goes on behind it, and its invariants hold.
#[track_caller]
fn goes_on(log: &Path, content: &[u8]) {
    mmlogctl("cat", log).run().printed(content);
    mmlogctl("append", log).input(b"next\n").run().is_success();
    // Not on a line that has no end, also where a hole is behind it.
    let end: &[u8] = if content.is_empty() || content.ends_with(b"\n") { b"" } else { b"\n" };
    mmlogctl("cat", log).run().printed(&[content, end, b"next\n"].concat());
    let deep = mmlogctl("check", log).arg("--deep").run();
    assert_eq!(deep.code, 0, "{deep:?}");
}

fn cut(path: &Path, len: u64) {
    fs::File::options().write(true).open(path).unwrap().set_len(len).unwrap();
}

/// Sets the panic flag as a process does that found an invariant broken.
fn poison(log: &Path) {
    mmlog::Log::options().open(log).unwrap().poison("the disk said no", 5).unwrap();
}
