//! Guards what the world limits: lengths of names, descriptors, memory, file sizes, what the clock says. Every command
//! works, or says in one line what is wrong, with the numbers, and what to do; none loses a byte, ends by a signal or panics.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;
#[path = "bounds/clocks.rs"]
mod clocks;
#[path = "bounds/limits.rs"]
mod limits;
#[path = "bounds/names.rs"]
mod names;

use std::path::Path;

use cli::{Ended, mmlogctl};

/// What the logs here hold.
const CONTENT: &[u8] = b"one\ntwo\nthree\n";

/// A success, or a refusal of one line with these words; whichever it was, no panic and no signal.
#[track_caller]
fn ended(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, code, "{ended:?}");
    assert!(words.iter().all(|word| ended.stderr.contains(word)), "{words:?}: {ended:?}");
    assert!(code == 0 || ended.stderr.lines().count() == 1, "{ended:?}");
}

#[track_caller]
fn has(log: &Path, content: &[u8]) {
    mmlogctl("cat", log).run().printed(content);
}
