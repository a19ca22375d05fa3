//! Guards the commands of an operator beside a live log: they tell the truth, they wait for nobody for ever, and they
//! take nothing that somebody uses. A module for each command.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "cat_status_trim_rm/cat.rs"]
mod cat;
mod cli;
#[path = "cat_status_trim_rm/edited.rs"]
mod edited;
#[path = "cat_status_trim_rm/init.rs"]
mod init;
#[path = "cat_status_trim_rm/no_metadata.rs"]
mod no_metadata;
#[path = "cat_status_trim_rm/older.rs"]
mod older;
#[path = "cat_status_trim_rm/older_at_rest.rs"]
mod older_at_rest;
#[path = "cat_status_trim_rm/rm.rs"]
mod rm;
#[path = "cat_status_trim_rm/status.rs"]
mod status;
#[path = "cat_status_trim_rm/status_json.rs"]
mod status_json;
#[path = "cat_status_trim_rm/taken_away.rs"]
mod taken_away;
#[path = "cat_status_trim_rm/trim.rs"]
mod trim;

use std::path::PathBuf;

use cli::Scratch;
use mmlog::{Log, Writer};

/// What the logs here hold.
const CONTENT: &[u8] = b"one\ntwo\nthree\n";

/// Bytes of a chunk of the logs here.
const CHUNK: u64 = 64 << 10;

/// A log that this process has open and appends to.
fn live(scratch: &Scratch) -> (PathBuf, Log, Writer) {
    let path = scratch.file("app.log");
    let log = Log::options().chunk_size(CHUNK).max_writers(64).open_or_create(&path).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(CONTENT).unwrap();
    (path, log, writer)
}
