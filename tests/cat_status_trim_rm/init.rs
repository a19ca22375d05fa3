//! `init`: makes a log, or compares one.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use crate::cli::{Bytes, Scratch, metadata_of, mmlogctl};

#[test]
fn a_new_log_has_the_options_given() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let options = ["--chunk-size=128K", "--max-writers=7", "--gate-ms=20", "--mode=0640"];
    mmlogctl("init", &log).args(options).run().printed(b"");
    let open = mmlog::Log::options().open_reader(&log).unwrap();
    assert_eq!((open.chunk_size(), open.max_writers(), open.gate_ms()), (128 << 10, 7, 20));
    for file in [&log, &metadata_of(&log)] {
        assert_eq!(fs::metadata(file).unwrap().mode() & 0o7777, 0o640);
    }
    assert_eq!(fs::metadata(&log).unwrap().len(), 0);
}

#[test]
fn an_existing_log_that_agrees_is_success() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let options = ["--chunk-size=128K", "--max-writers=7", "--gate-ms=20", "--mode=0640"];
    mmlogctl("init", &log).args(options).run().printed(b"");
    mmlogctl("append", &log).input(b"one\n").run().is_success();
    let before = Bytes::of(&log);
    mmlogctl("init", &log).args(options).run().printed(b"");
    mmlogctl("init", &log).run().printed(b"");
    mmlogctl("init", &log).arg("--adopt").run().printed(b"");
    before.are_still_in(&log);
}

#[test]
fn an_existing_log_that_differs_is_named_difference_by_difference() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let made = ["--chunk-size=128K", "--max-writers=7", "--gate-ms=20", "--mode=0640"];
    mmlogctl("init", &log).args(made).run().printed(b"");
    let before = Bytes::of(&log);
    let differences = [
        ("--chunk-size=64K", "chunk_size is 131072, asked for 65536"),
        ("--max-writers=8", "max_writers is 7, asked for 8"),
        ("--gate-ms=50", "gate_ms is 20, asked for 50"),
        ("--mode=0600", "mode is 0640, asked for 0600"),
    ];
    for (option, words) in differences {
        mmlogctl("init", &log).arg(option).run().is_refused(1, &log, &[words]);
    }
    let all = mmlogctl("init", &log).args(differences.map(|(option, _)| option)).run();
    all.is_refused(1, &log, &differences.map(|(_, words)| words));
    before.are_still_in(&log);
}
