//! Exit codes, what is said, how it ends.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::OwnedFd;

use mmlog::{Compress, Compression, Log, Rotation};

use crate::cli::{Scratch, Tool, mmlogctl, slot, write_slot};
use crate::grep;

#[test]
fn exit_codes_are_those_of_grep() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\ntwo\n");
    let missing = scratch.file("none.log");
    let missing = missing.to_str().unwrap();
    let code = |options: &[&str], pattern: &str| grep(&log, options, pattern).run().code;
    assert_eq!([code(&[], "two"), code(&[], "three"), code(&["-v"], "one|two")], [0, 1, 1]);
    assert_eq!([code(&["-m0"], "two"), code(&["-q"], "two"), code(&["-c"], "three")], [1, 0, 1]);
    // A log that is missing is trouble, but for -q where a line was selected.
    let both = |options: &[&str], pattern: &str| grep(&log, options, pattern).arg(missing).run();
    let found = both(&[], "two");
    assert_eq!((found.code, found.text()), (2, format!("{}:two\n", log.display())), "{found:?}");
    assert!(found.stderr.contains("none.log"), "{found:?}");
    assert_eq!([both(&["-q"], "two").code, both(&["-q"], "three").code], [0, 2]);
    let other =
        Tool::new(env!("CARGO_BIN_EXE_mmlogctl")).args(["grep", "-q", "two", missing]).arg(&log).run();
    assert_eq!(other.code, 0, "{other:?}");
}

#[test]
fn a_wrong_command_line_is_2_and_says_what_is_right() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one {\n");
    for (options, pattern, said) in [
        (&[][..], "a(", "-F takes it as text"),
        (&[], "\"x\":{", "-F takes it as text"),
        (&["--from=9", "--to=3"], "x", "swap them"),
        (&["-c", "-f"], "x", "--follow"),
        (&["--from=999"], "x", "beyond the end"),
        (&["--files-with-matches"], "x", "`grep -c`"),
        (&["--recursive"], "x", "mmlogctl ls"),
        (&["--perl-regexp"], "x", "leave it out"),
        (&["--file=x"], "x", "-e \"$(cat FILE)\""),
    ] {
        let ended = grep(&log, options, pattern).run();
        assert!(ended.code == 2 && ended.stderr.contains(said), "{options:?}: {ended:?}");
        assert!(ended.stdout.is_empty(), "{ended:?}");
    }
    let bare = Tool::new(env!("CARGO_BIN_EXE_mmlogctl")).args(["grep", "-e", "x"]).run();
    assert!(bare.code == 2 && bare.stderr.contains("no log to search"), "{bare:?}");
    grep(&log, &["-F"], "{").run().printed(b"one {\n");
}

#[test]
fn patterns_of_basic_grep_that_match_nothing_have_a_tip() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\ntwo\n");
    let ended = grep(&log, &[], r"one\|two").run();
    assert!(ended.code == 1 && ended.stderr.contains("grep -E"), "{ended:?}");
    assert_eq!(grep(&log, &["-q"], r"one\|two").run().stderr, "");
    grep(&log, &[], "one|two").run().printed(b"one\ntwo\n");
}

/// A log of three segments, the first one compressed.
fn three_segments(scratch: &Scratch) -> std::path::PathBuf {
    let path = scratch.file("app.log");
    let log = Log::options().chunk_size(64 << 10).max_writers(4).open_or_create(&path).unwrap();
    for segment in 0..3 {
        let lines: String = (0..300).map(|i| format!("segment {segment}, line {i}\n")).collect();
        log.writer().unwrap().append(lines.as_bytes()).unwrap();
        if segment < 2 {
            log.rotate(&Rotation::default()).unwrap().unwrap();
        }
        if segment == 0 {
            log.compress(&Compress::new(Compression::Zstd), |_| {}).unwrap();
        }
    }
    log.close().unwrap();
    path
}

/// The file of the oldest segment.
fn oldest(log: &std::path::Path) -> std::path::PathBuf {
    let files = fs::read_dir(log.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.to_str().unwrap().contains(".log.0")).min().unwrap()
}

#[test]
fn what_is_damaged_or_gone_is_said_as_by_cat_and_what_lies_behind_is_searched() {
    let damages: [fn(&std::path::Path); 2] = [
        |path| {
            let mut bytes = fs::read(path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x55;
            fs::write(path, bytes).unwrap();
        },
        |path| fs::remove_file(path).unwrap(),
    ];
    for damage in damages {
        let scratch = Scratch::new();
        let log = three_segments(&scratch);
        damage(&oldest(&log));
        let cat = mmlogctl("cat", &log).run();
        assert_eq!(cat.code, 4, "{cat:?}");
        let all = grep(&log, &[], "line 7$").run();
        let behind = "segment 1, line 7\nsegment 2, line 7\n";
        assert_eq!((all.code, all.text().as_str(), &all.stderr), (2, behind, &cat.stderr));
        assert_eq!(grep(&log, &["-c"], "line 7$").run().text(), "2\n");
        assert_eq!(grep(&log, &["-q"], "line 7$").run().code, 0);
        assert_eq!(grep(&log, &["-q"], "line 700$").run().code, 2);
    }
}

#[test]
fn a_pruned_range_is_trouble_where_it_was_asked_for_and_a_hole_is_none() {
    let scratch = Scratch::new();
    let log = three_segments(&scratch);
    mmlogctl("prune", &log).arg("--keep=0").run();
    grep(&log, &["-n"], "line 7$").run().printed(b"8:segment 2, line 7\n");
    let cat = mmlogctl("cat", &log).arg("--from=0").run();
    let ended = grep(&log, &["-n", "--from=0"], "line 7$").run();
    assert_eq!((ended.code, ended.text().as_str(), &ended.stderr), (2, "8:segment 2, line 7\n", &cat.stderr));
    assert!(cat.code == 0 && ended.stderr.contains("are pruned"), "{ended:?}");
    // Everything since 1970 is asked for, and what is kept is.
    let since = grep(&log, &["--since=@1"], "line 7$").run();
    assert_eq!((since.code, since.text().as_str()), (2, "segment 2, line 7\n"), "{since:?}");
    since.says(&log, &["--since @1: positions 0 to ", "are pruned"]);
    assert_eq!(grep(&log, &["--until=@1"], "line 7$").run().code, 1);
    assert_eq!(grep(&log, &["-q", "--from=0"], "line 7$").run().code, 0, "-q is content with a line");
    assert_eq!(grep(&log, &["-q", "--from=0"], "line 700$").run().code, 2);
    let scratch = Scratch::new();
    let log = scratch.log(b"one\ntwo\nthree\n");
    write_slot(&log, 0, slot(3, 4), 4, 4242);
    grep(&log, &["-n"], "o|e").run().printed(b"1:one\n2:three\n");
    grep(&log, &["-b", "--holes=nul"], "three").run().printed(b"4:\0\0\0\0three\n");
    grep(&log, &["-b"], "three").run().printed(b"8:three\n");
    let said = grep(&log, &["--holes=say"], "o").run();
    said.says(&log, &["hole at 4, 4 bytes (torn), left by process 4242"]);
}

#[test]
fn what_is_pruned_while_it_is_searched_is_said_and_is_trouble() {
    let scratch = Scratch::new();
    let log = scratch.log("a line of the oldest segment\n".repeat(150_000).as_bytes());
    mmlogctl("rotate", &log).run().is_success();
    mmlogctl("append", &log).input(b"a line of the last\n").run().is_success();
    let mut running = grep(&log, &[], "line").start_unread();
    // It has begun, and cannot go on: nobody reads what it prints.
    let mut output = running.unread.take().unwrap();
    output.read_exact(&mut [0; 9]).unwrap();
    mmlogctl("prune", &log).arg("--keep=0").run().is_success();
    let mut rest = Vec::new();
    output.read_to_end(&mut rest).unwrap();
    assert!(rest.len() < 4_000_000 && rest.ends_with(b"a line of the last\n"), "{} bytes", rest.len());
    let ended = running.end();
    assert_eq!(ended.code, 2, "{ended:?}");
    ended.says(&log, &["positions ", "are pruned"]);
}

#[test]
fn a_line_longer_than_the_limit_is_searched_in_pieces() {
    const PIECE: usize = 16 << 20;
    let scratch = Scratch::new();
    let path = scratch.file("app.log");
    let log = Log::options().open_or_create(&path).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(&[b"first\n", vec![b'x'; PIECE].as_slice(), b"needle\nlast\n"].concat()).unwrap();
    drop(writer);
    log.close().unwrap();
    let ended = grep(&path, &["-nb"], "needle|first|last").run();
    let last = 6 + PIECE + 7;
    ended.printed(format!("1:0:first\n3:{}:needle\n4:{last}:last\n", 6 + PIECE).as_bytes());
}

#[test]
fn a_closed_pipe_is_success_and_an_output_that_takes_nothing_is_trouble() {
    let scratch = Scratch::new();
    let log = scratch.log(&b"a line\n".repeat(100_000));
    let mut running = grep(&log, &[], "line").start_unread();
    drop(running.unread.take());
    running.end().is_success();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let ended = grep(&log, &[], "line").stdout(OwnedFd::from(full)).run();
    assert!(ended.code == 2 && ended.stderr.contains("standard output"), "{ended:?}");
    let shell = |line: &str| {
        let tool = env!("CARGO_BIN_EXE_mmlogctl");
        Tool::new("sh").args(["-c", &format!("exec {tool} {line}"), "sh"]).arg(&log).run()
    };
    let ended = shell("grep line \"$1\" >&-");
    assert!(ended.code == 2 && ended.stderr.contains("standard output is closed"), "{ended:?}");
    assert_eq!(shell("grep -q line \"$1\" >&-").code, 0);
}
