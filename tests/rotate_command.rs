//! Guards what `rotate` does with segments behind the rotation: compressing them costs no byte, whoever is killed in the
//! middle or reads meanwhile; a damaged one is an error and never short; `--run` gets what it was promised.
#![allow(clippy::unwrap_used, clippy::panic)]

mod cli;
#[path = "rotate_command/compress.rs"]
mod compress;
#[path = "rotate_command/killed.rs"]
mod killed;
#[path = "rotate_command/olddir.rs"]
mod olddir;
#[path = "rotate_command/read.rs"]
mod read;
#[path = "rotate_command/run.rs"]
mod run;

use std::fs;
use std::path::{Path, PathBuf};

use cli::{Tool, mmlogctl};

fn append(log: &Path, bytes: &[u8]) {
    mmlogctl("append", log).arg("--raw").input(bytes).run().is_success();
}

fn rotate(log: &Path, args: &[&str]) -> Tool {
    mmlogctl("rotate", log).args(args)
}

/// The files in a directory that are segments, or may become some, in order.
fn segments_in(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with("app.log.0"));
    found.sort();
    found
}

fn segments(log: &Path) -> Vec<PathBuf> {
    segments_in(log.parent().unwrap())
}

fn has_suffix(path: &Path, suffix: &str) -> bool {
    path.to_str().unwrap().ends_with(suffix)
}

/// Lines that compress, but not to nothing.
fn lines(from: u64, to: u64) -> Vec<u8> {
    let line = |n: u64| format!("{n} {:x}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    (from..to).map(line).collect::<String>().into_bytes()
}

/// A log of a zstd, a gzip and a plain segment, and a current one; all that was appended.
fn mixed(log: &Path) -> Vec<u8> {
    for (i, args) in [vec!["--compress=zstd"], vec!["--compress=gzip"], vec![]].iter().enumerate() {
        append(log, &lines(i as u64 * 10_000, (i as u64 + 1) * 10_000));
        rotate(log, args).run().printed(b"");
    }
    append(log, &lines(30_000, 40_000));
    let found = segments(log);
    assert!(found.len() == 3 && has_suffix(&found[0], ".zst") && has_suffix(&found[1], ".gz"), "{found:?}");
    lines(0, 40_000)
}
