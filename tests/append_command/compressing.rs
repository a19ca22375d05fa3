//! What the log's policy has compressed beside what is stored.

use std::process::Command;

use crate::cli::{Scratch, skipped, succeeds, wait_for};
use crate::{append, holds};

#[test]
fn an_end_in_the_middle_of_a_compression_leaves_no_copy_in_the_making() {
    let delays = "--inject=pwrite64:delay_enter=5s";
    if !succeeds(Command::new("strace").args(["-f", delays, "true"])) {
        return skipped("no copy in the making is left", "no strace, or it may not trace");
    }
    let scratch = Scratch::new();
    let (log, part) =
        (scratch.file("app.log"), scratch.file("app.log.0000000000-0000000000000000000.mmlog-part"));
    let lines = "a line of the log\n".repeat(5000);
    let options = ["--rotate-size=64K", "--keep=9", "--compress=zstd"];
    // What it writes of the copy takes longer than anybody waits.
    let (path, trace) = (part.to_str().unwrap(), scratch.file("trace"));
    let args = ["-f", "-o", trace.to_str().unwrap(), "-P", path, delays];
    let mut running = append(&log, &options).through("strace", &args).start();
    running.feed(lines.as_bytes());
    running.feed(b"the last one\n");
    wait_for("the copy to be begun", || part.exists().then_some(()));
    // strace may have said something of itself.
    let ended = running.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(!part.exists());
    holds(&log, format!("{lines}the last one\n").as_bytes());
}
