//! `--run`.

use std::fs;

use crate::cli::Scratch;
use crate::{append, lines, rotate, segments};

#[test]
fn it_gets_the_segment_and_its_numbers_in_the_environment() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, &lines(0, 100));
    let first = lines(0, 100).len();
    let say =
        "cd /; echo $MMLOG_LOG $MMLOG_GENERATION $MMLOG_BASE $MMLOG_END $MMLOG_BYTES; cat $MMLOG_SEGMENT";
    let mut wanted = format!("{} 0 0 {first} {first}\n", log.display()).into_bytes();
    wanted.extend(lines(0, 100));
    rotate(&log, &["--run", say]).run().printed(&wanted);
    append(&log, b"second\n");
    let say = "echo $MMLOG_SEGMENT $MMLOG_GENERATION $MMLOG_BASE $MMLOG_END $MMLOG_BYTES";
    let ended = rotate(&log, &["--compress=gzip", "--run", say]).run();
    let path = segments(&log).remove(1);
    ended.printed(format!("{} 1 {first} {} 7\n", path.display(), first + 7).as_bytes());
}

#[test]
fn it_is_not_run_when_there_is_no_new_segment() {
    let scratch = Scratch::new();
    let log = scratch.log(b"");
    rotate(&log, &["--compress=zstd", "--run", "echo ran"]).run().printed(b"");
    append(&log, b"a\n");
    rotate(&log, &["--if-size=1M", "--run", "echo ran"]).run().printed(b"");
    rotate(&log, &["--dry-run", "--run", "touch $MMLOG_SEGMENT.ran"]).run().is_success();
    assert!(segments(&log).is_empty());
}

#[test]
fn its_failure_is_that_of_the_command_and_the_segment_stays() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    for (command, problem) in [("exit 7", "ended with exit code 7"), ("kill -9 $$", "was ended by signal 9")]
    {
        append(&log, b"a line\n");
        let ended = rotate(&log, &["--run", command]).run();
        ended.is_refused(1, &log, &[command, problem, "is final all the same"]);
    }
    let found = segments(&log);
    assert!(found.len() == 2 && found.iter().all(|path| fs::read(path).unwrap() == b"a line\n"), "{found:?}");
}

#[test]
fn it_is_run_also_when_compressing_failed() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, b"a line\n");
    fs::write(scratch.file("app.log.0000000000-0000000000000000000.zst"), b"none").unwrap();
    let ended = rotate(&log, &["--compress=zstd", "--run", "cat $MMLOG_SEGMENT"]).run();
    assert_eq!((ended.code, &*ended.text()), (1, "a line\n"), "{ended:?}");
}
