//! Limits of the process, and names: an error that says so before anything is read, or a program started.

use std::process::Command;

use crate::cli::{Scratch, Tool, mmlogctl, skipped, succeeds};
use crate::{append, holds};

fn has_prlimit(claim: &str) -> bool {
    let has = succeeds(Command::new("prlimit").arg("--version"));
    if !has {
        skipped(claim, "there is no prlimit(1) here");
    }
    has
}

#[test]
fn memory_for_the_longest_line_is_had_before_anything_is_read() {
    if !has_prlimit("memory for the longest line is had before anything is read") {
        return;
    }
    let scratch = Scratch::new();
    let (log, started) = (scratch.file("app.log"), scratch.file("started"));
    let limit = ["--as=200000000"];
    for options in [&["--max-line=512M"][..], &["--max-line=150M", "--prefix=x"]] {
        let ended = append(&log, options).through("prlimit", &limit).input(b"one\n").run();
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.stderr.starts_with("mmlogctl: no memory to hold lines in: "), "{ended:?}");
        assert!(ended.stderr.ends_with("lower --max-line (4 bytes were not stored)\n"), "{ended:?}");
        let exec = mmlogctl("exec", &log).args(options).args(["--", "touch"]).arg(&started);
        let ended = exec.through("prlimit", &limit).run();
        assert_eq!(ended.code, 125, "{ended:?}");
        assert!(ended.stderr.contains("no memory to hold lines in: "), "{ended:?}");
        assert!(!started.exists());
    }
    append(&log, &[]).through("prlimit", &limit).input(b"one\n").run().is_success();
    holds(&log, b"one\n");
}

#[test]
fn a_file_size_limit_on_what_is_said_is_no_signal() {
    if !has_prlimit("a file size limit on what is said is no signal") {
        return;
    }
    let scratch = Scratch::new();
    let script = r#""$1" init "$2" 2>"$3"; echo $?"#;
    let tool = Tool::new("sh").args(["-c", script, "sh", env!("CARGO_BIN_EXE_mmlogctl")]);
    let tool = tool.args([scratch.file("app.log"), scratch.file("said")]);
    tool.through("prlimit", &["--fsize=0"]).run().printed(b"1\n");
}
