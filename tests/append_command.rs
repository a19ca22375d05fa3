//! Guards what is piped into `mmlogctl append`: all of it is stored, in whole lines, or what is not is said.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;

#[path = "append_command/compressing.rs"]
mod compressing;
#[path = "append_command/dropping.rs"]
mod dropping;
#[path = "append_command/full.rs"]
mod full;
#[path = "append_command/limits.rs"]
mod limits;
#[path = "append_command/place.rs"]
mod place;
#[path = "append_command/signals.rs"]
mod signals;
#[path = "append_command/slots.rs"]
mod slots;
#[path = "append_command/unmade.rs"]
mod unmade;
#[path = "append_command/unread.rs"]
mod unread;

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::sys::signal::Signal;

use cli::{Scratch, Tool, messages, metadata_of, mmlogctl, wait_for};

fn append(log: &Path, options: &[&str]) -> Tool {
    mmlogctl("append", log).args(options)
}

#[track_caller]
fn holds(log: &Path, content: &[u8]) {
    mmlogctl("cat", log).run().printed(content);
}

fn wait_until_it_holds(log: &Path, content: &[u8]) {
    wait_for("the log holds it", || (mmlogctl("cat", log).run().stdout == content).then_some(()));
}

/// What a log holds after this input.
fn stored(options: &[&str], input: &[u8]) -> Vec<u8> {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, options).input(input).run().printed(b"");
    let data = fs::read(&log).unwrap();
    holds(&log, &data);
    data
}

#[test]
fn lines_are_stored_as_they_are() {
    for input in [&b""[..], b"\n", b"one\n", b"one\n\ntwo\r\n", b"\0\xff\x1b[2J\n\xc3\n"] {
        assert_eq!(stored(&[], input), input);
    }
}

#[test]
fn a_missing_last_newline_is_added() {
    assert_eq!(stored(&[], b"one\ntwo"), b"one\ntwo\n");
    assert_eq!(stored(&[], b"\0"), b"\0\n");
}

#[test]
fn raw_adds_nothing_and_waits_for_no_newline() {
    assert_eq!(stored(&["--raw"], b"one\ntwo"), b"one\ntwo");
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut running = append(&log, &["--raw"]).start();
    running.feed(b"no newline");
    wait_until_it_holds(&log, b"no newline");
    running.end().is_success();
}

#[test]
fn a_line_waits_for_its_newline() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut running = append(&log, &[]).start();
    running.feed(b"one\npar");
    wait_until_it_holds(&log, b"one\n");
    append(&log, &[]).input(b"from another\n").run().is_success();
    running.feed(b"tial\n");
    running.end().is_success();
    holds(&log, b"one\nfrom another\npartial\n");
}

#[test]
fn a_line_over_the_limit_is_split_and_that_is_said_once() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let ended = append(&log, &["--max-line=10"]).input(b"0123456789\n0123456789ABCDEFGHIJxyz\nshort\n").run();
    assert_eq!(ended.code, 0);
    ended.says(&log, &["a line longer than 10 bytes is split; raise --max-line to keep it whole"]);
    holds(&log, b"0123456789\n0123456789\nABCDEFGHIJ\nxyz\nshort\n");
}

#[test]
fn marked_pieces_of_a_split_line_can_be_joined() {
    let line = |len: usize| "x".repeat(len) + "\n";
    let long: String = [9, 10, 11, 20, 21, 3 << 20, 5].map(line).concat();
    for options in [&["--max-line=10"][..], &["--max-line=1M"], &["--max-line=10", "--prefix=p: "]] {
        let scratch = Scratch::new();
        let log = scratch.file("app.log");
        let ended = append(&log, options).arg("--split-mark=\\").input(long.as_bytes()).run();
        assert!(ended.code == 0 && ended.stderr.contains("is split"), "{ended:?}");
        let content = mmlogctl("cat", &log).run().text().replace("p: ", "");
        assert!(content.replace("\\\n", "") == long, "{options:?}");
    }
}

#[test]
fn the_longest_line_that_fits_is_whole() {
    let line = [&vec![b'x'; 1 << 20][..], b"\n"].concat();
    assert!(stored(&[], &line) == line);
    let longer = [&vec![b'y'; 3 << 20][..], b"\n"].concat();
    assert!(stored(&["--max-line=3M"], &longer) == longer);
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let ended = append(&log, &[]).input(&longer).run();
    ended.says(&log, &["a line longer than 1048576 bytes is split"]);
    let part = [&vec![b'y'; 1 << 20][..], b"\n"].concat();
    holds(&log, &part.repeat(3));
}

#[test]
fn lines_that_linger_are_one_message() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut lingering = append(&log, &["--linger=1h"]).start();
    lingering.feed(b"one\n");
    lingering.feed(b"two\n");
    lingering.end().is_success();
    assert_eq!(messages(&log), 1);
    let mut prompt = append(&log, &[]).start();
    prompt.feed(b"three\n");
    wait_until_it_holds(&log, b"one\ntwo\nthree\n");
    prompt.feed(b"four\n");
    prompt.end().is_success();
    assert_eq!(messages(&log), 2);
    holds(&log, b"one\ntwo\nthree\nfour\n");
}

#[test]
fn lines_linger_no_longer_than_they_are_told_to() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut running = append(&log, &["--linger=1ms"]).start();
    running.feed(b"one\n");
    wait_until_it_holds(&log, b"one\n");
    running.end().is_success();
}

#[test]
fn every_line_gets_the_prefix() {
    assert_eq!(stored(&["--prefix=web: "], b"one\n\ntwo"), b"web: one\nweb: \nweb: two\n");
    // Parts of a line that is split are lines of the log.
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, &["--prefix=> ", "--max-line=3"]).input(b"abcdef\n").run().says(&log, &["is split"]);
    holds(&log, b"> abc\n> def\n");
}

#[test]
fn every_line_gets_the_time() {
    let stored = String::from_utf8(stored(&["--timestamp", "--prefix=web: "], b"one\ntwo\n")).unwrap();
    let ends = ["web: one", "web: two"];
    assert_eq!(stored.lines().count(), 2);
    for (line, end) in stored.lines().zip(ends) {
        let (time, rest) = line.split_once(' ').unwrap();
        assert_eq!((time.len(), rest), ("2026-01-02T03:04:05.123456Z".len(), end));
        time.parse::<jiff::Timestamp>().unwrap();
    }
}

#[test]
fn tee_copies_what_was_stored() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, &["--tee", "--prefix=> "]).input(b"one\ntwo").run().printed(b"> one\n> two\n");
    holds(&log, b"> one\n> two\n");
}

#[test]
fn a_broken_standard_output_does_not_stop_the_log() {
    let lines = b"0123456789abcdef\n".repeat(100_000);
    let scratch = Scratch::new();
    for (name, why) in [("closed", "standard output: closed"), ("full", "No space left on device")] {
        let log = scratch.file(name);
        let full = File::options().write(true).open("/dev/full").unwrap();
        let tee = append(&log, &["--tee"]);
        let mut running = if name == "full" { tee.stdout(full).start_unread() } else { tee.start_unread() };
        drop(running.unread.take());
        running.feed(&lines);
        let ended = running.end();
        assert_eq!(ended.code, 0);
        assert!(ended.stderr.contains(why), "{ended:?}");
        assert!(ended.stderr.ends_with("; the log goes on without the copy\n"), "{ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1);
        holds(&log, &lines);
    }
}

#[test]
fn tee_ends_ends_when_nobody_reads_the_copy() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut running = append(&log, &["--tee-ends"]).start_unread();
    running.feed(b"one\ntwo\n");
    let mut reader = running.unread.take().unwrap();
    let mut copy = [0; 8];
    reader.read_exact(&mut copy).unwrap();
    assert_eq!(&copy, b"one\ntwo\n");
    // Nothing more comes: it is not the next line that ends it.
    drop(reader);
    let open = running.stdin.take();
    running.end().is_success();
    drop(open);
    holds(&log, b"one\ntwo\n");
}

#[test]
fn what_lies_in_the_pipe_when_nobody_reads_the_copy_is_stored() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut running = append(&log, &["--tee-ends"]).start_unread();
    running.until_open(&metadata_of(&log));
    running.signal(Signal::SIGSTOP);
    running.feed(b"one\ntwo");
    drop(running.unread.take());
    running.signal(Signal::SIGCONT);
    let open = running.stdin.take();
    running.end().is_success();
    drop(open);
    holds(&log, b"one\ntwo\n");
}

#[test]
fn a_copy_that_fails_ends_tee_ends_with_a_failure() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut running = append(&log, &["--tee-ends"]).stdout(full).start();
    running.feed(b"one\n");
    let open = running.stdin.take();
    let ended = running.end();
    drop(open);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.starts_with("mmlogctl: standard output: write failed: No space left"), "{ended:?}");
    holds(&log, b"one\n");
}

#[test]
fn no_create_makes_nothing() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let ended = append(&log, &["--no-create"]).input(b"x\n").run();
    ended.is_refused(1, &log, &["no such log", "(2 bytes were not stored)"]);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    append(&log, &[]).input(b"one\n").run().is_success();
    append(&log, &["--no-create"]).input(b"two\n").run().is_success();
    holds(&log, b"one\ntwo\n");
}

#[test]
fn a_log_is_made_with_the_options_given() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, &["--chunk-size=128K", "--max-writers=3", "--mode=0640"]).input(b"x\n").run().is_success();
    let status = mmlogctl("status", &log).arg("--json").run();
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!((&status["chunk_size"], &status["max_writers"]), (&131_072.into(), &3.into()));
    for file in [&log, &metadata_of(&log)] {
        assert_eq!(fs::metadata(file).unwrap().mode() & 0o7777, 0o640);
    }
}

#[test]
fn lines_of_two_appenders_are_never_mixed() {
    const LINES: usize = 20_000;
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let lines = |who: char| -> Vec<u8> {
        let line = |n: usize| format!("{who} {n} {}\n", who.to_string().repeat(n % 100));
        (0..LINES).map(line).collect::<String>().into_bytes()
    };
    std::thread::scope(|scope| {
        for who in ['a', 'b'] {
            let (log, lines) = (&log, lines(who));
            scope.spawn(move || {
                let mut running = append(log, &["--chunk-size=64K"]).start();
                // Pieces that end anywhere.
                lines.chunks(997).for_each(|piece| running.feed(piece));
                running.end().is_success();
            });
        }
    });
    let all = fs::read(&log).unwrap();
    holds(&log, &all);
    for who in ['a', 'b'] {
        let of = |line: &&[u8]| line.first() == Some(&(who as u8));
        let mine = all.split_inclusive(|b| *b == b'\n').filter(of).collect::<Vec<_>>().concat();
        assert!(mine == lines(who), "the lines of {who}");
    }
    assert_eq!(all.len(), lines('a').len() + lines('b').len());
}

/// 64 MiB of lines, none like the one before.
fn much() -> Vec<u8> {
    let mut all = Vec::with_capacity((64 << 20) + 200);
    for n in 0_u64.. {
        if all.len() >= 64 << 20 {
            break;
        }
        let len = usize::try_from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 57).unwrap();
        writeln!(all, "{n} {:len$}|", "").unwrap();
    }
    all
}

/// Its own memory, without what it has mapped of files, in KiB.
fn own_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn much_input_in_pieces_needs_little_memory() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let much = much();
    let mut running = append(&log, &[]).start();
    let mut most = 0;
    for piece in much.chunks(60_007) {
        running.feed(piece);
        most = most.max(own_memory(running.pid()));
    }
    running.end().is_success();
    assert!(most < 16 << 10, "RssAnon {most} KiB");
    holds(&log, &much);
    assert!(fs::read(&log).unwrap() == much, "at rest the data file is what was appended");
}

#[test]
fn a_file_is_stored_whole() {
    let scratch = Scratch::new();
    let (log, source) = (scratch.file("app.log"), scratch.file("source"));
    let lines = b"0123456789abcdef\n".repeat(200_000);
    fs::write(&source, &lines).unwrap();
    append(&log, &[]).stdin(File::open(&source).unwrap()).start().end().is_success();
    holds(&log, &lines);
}

#[test]
fn input_that_cannot_be_read_is_a_failure() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let ended = append(&log, &[]).stdin(File::open(scratch.path()).unwrap()).start().end();
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.starts_with("mmlogctl: standard input: read failed: Is a directory"), "{ended:?}");
}
