//! Guards against input that is no log, or no longer one: each gets one line that names it, its exit code, and neither
//! a write, a hang nor a crash. A module for each kind of input.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "bad_input/changed.rs"]
mod changed;
mod cli;
#[path = "bad_input/metadata.rs"]
mod metadata;
#[path = "bad_input/paths.rs"]
mod paths;
#[path = "bad_input/permissions.rs"]
mod permissions;

use std::path::Path;

use cli::{Bytes, Tool, mmlogctl, when_out_of_use};

/// What the logs here hold.
const CONTENT: &[u8] = b"one\ntwo\nthree\n";

/// Each of the commands ends with this code and this one line, prints nothing else and changes nothing.
#[track_caller]
fn refused(commands: &[&str], log: &Path, code: i32, words: &[&str]) {
    refused_by(|tool| tool, commands, log, code, words);
}

/// The same for processes made in a special way.
#[track_caller]
fn refused_by(made: impl Fn(Tool) -> Tool, commands: &[&str], log: &Path, code: i32, words: &[&str]) {
    for command in commands {
        let before = Bytes::of(log);
        let run = || made(mmlogctl(command, log)).input(b"x\n").run();
        let ended = if *command == "rm" { when_out_of_use(run) } else { run() };
        ended.is_refused(code, log, words);
        // Where it is known how the log is, status says that in its usual place.
        let is_known = *command == "status" && ended.text().starts_with("DAMAGED  ");
        assert!(is_known || ended.text().is_empty(), "{command}: {ended:?}");
        before.are_still_in(log);
    }
}

/// `cat` and `tail` print exactly this.
#[track_caller]
fn is_readable(log: &Path, content: &[u8]) {
    let before = Bytes::of(log);
    mmlogctl("cat", log).run().printed(content);
    mmlogctl("tail", log).run().printed(content);
    before.are_still_in(log);
}

/// `status` works, with this state, and changes nothing.
#[track_caller]
fn has_status(log: &Path, state: &str, words: &str) {
    let before = Bytes::of(log);
    let ended = mmlogctl("status", log).run();
    ended.is_success();
    assert!(ended.text().starts_with(&format!("{state}  ")), "{ended:?}");
    let text = ended.text().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains(words), "{ended:?}");
    before.are_still_in(log);
}
