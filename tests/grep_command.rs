//! Guards `mmlogctl grep`: it prints, counts and ends as grep(1) does on the same bytes, whatever files a log has them in,
//! says what it could not search, and follows.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;
#[path = "grep_command/ends.rs"]
mod ends;
#[path = "grep_command/follow.rs"]
mod follow;
#[path = "grep_command/gnu.rs"]
mod gnu;
#[path = "grep_command/words.rs"]
mod words;

use std::path::Path;

use cli::{Tool, mmlogctl};

/// `mmlogctl grep OPTIONS PATTERN LOG`.
fn grep(log: &Path, options: &[&str], pattern: &str) -> Tool {
    Tool::new(env!("CARGO_BIN_EXE_mmlogctl")).arg("grep").args(options).arg(pattern).arg(log)
}

fn append(log: &Path, bytes: &[u8]) {
    mmlogctl("append", log).input(bytes).run().is_success();
}
