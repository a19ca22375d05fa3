//! A copy of a log on a file system where memory is not shared as it has to be (FUSE, NFS) is read with `read` alone. The
//! kernel's answer is changed on its way, so that no such file system is needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::{Ended, Scratch, metadata_of, mmlogctl, skipped, succeeds};
use crate::{content, log_of};

/// `f_type` of FUSE, in the first bytes of what fstatfs(2) gives.
const FUSE: &str = "inject=fstatfs:poke_exit=@arg2=4655736500000000";

fn on_fuse(line: &[&str], log: &Path) -> Ended {
    let strace = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=fstatfs", "-e", FUSE];
    mmlogctl(line[0], log).args(&line[1..]).through("strace", &strace).run()
}

/// The log and its old segments in another directory, as cp makes them.
fn copied(log: &Path, to: &Path) -> PathBuf {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(log.parent().unwrap()).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
    to.join(log.file_name().unwrap())
}

#[test]
fn a_copy_on_a_file_system_that_shares_no_memory_is_read_and_the_log_itself_is_refused() {
    let strace = ["-qq", "-o", "/dev/null", "-e", "trace=fstatfs", "-e", FUSE, "true"];
    if !succeeds(Command::new("strace").args(strace)) {
        return skipped(
            "a copy on FUSE",
            "there is no strace(1) here that changes answers, or it may not trace",
        );
    }
    let scratch = Scratch::new();
    let log = log_of(scratch.path(), 3);
    let copy = copied(&log, &scratch.file("copy"));
    let all = (0..3).map(content).collect::<Vec<_>>().concat();
    for line in [&["cat"][..], &["tail", "-n+1"], &["tail", "--until-now"]] {
        on_fuse(line, &copy).printed(&all);
        on_fuse(line, &log).is_refused(1, &log, &["on FUSE or virtiofs", "not coherent"]);
    }
    let before = fs::read(metadata_of(&copy)).unwrap();
    let ended = mmlogctl("append", &copy).through("strace", &strace[..7]).input(b"x\n").run();
    ended.is_refused(1, &copy, &["on FUSE or virtiofs"]);
    assert!(fs::read(metadata_of(&copy)).unwrap() == before);
}
