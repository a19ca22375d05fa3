//! `cat`: exactly the committed bytes.

use std::fs;
use std::io::Read as _;

use nix::pty::openpty;

use crate::cli::{Held, Scratch, mmlogctl, slot, write_slot};
use crate::{CHUNK, CONTENT, live};

#[test]
fn a_live_log_is_its_committed_bytes_and_not_its_allocated_ones() {
    let scratch = Scratch::new();
    let (log, _open, mut writer) = live(&scratch);
    assert_eq!(fs::metadata(&log).unwrap().len(), CHUNK);
    mmlogctl("cat", &log).run().printed(CONTENT);
    writer.append(&[0, 0, 255, b'\n', 0]).unwrap();
    mmlogctl("cat", &log).run().printed(&[CONTENT, &[0, 0, 255, b'\n', 0]].concat());
}

#[test]
fn beside_a_writer_it_ends_with_whole_lines_of_what_was_appended() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let lines: String = (0..300_000).map(|n| format!("{n}\n")).collect();
    let mut writer = mmlogctl("append", &log).arg("--chunk-size=64K").start();
    let mut seen = 0;
    for piece in lines.as_bytes().chunks(100_000) {
        writer.feed(piece);
        let printed = mmlogctl("cat", &log).run().stdout;
        assert!(lines.as_bytes().starts_with(&printed) && printed.len() >= seen);
        assert!(printed.is_empty() || printed.ends_with(b"\n"));
        seen = printed.len();
    }
    writer.end().is_success();
    mmlogctl("cat", &log).run().printed(lines.as_bytes());
}

#[test]
fn what_a_live_writer_has_not_finished_is_not_shown() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let _owner = Held::slot(&log, 5);
    write_slot(&log, 5, slot(3, 4), 4, std::process::id());
    mmlogctl("cat", &log).run().printed(b"one\n");
    mmlogctl("tail", &log).run().printed(b"one\n");
}

#[test]
fn several_logs_are_printed_one_after_the_other() {
    let scratch = Scratch::new();
    let first = scratch.log(CONTENT);
    let second = scratch.file("second.log");
    mmlogctl("append", &second).input(b"four\n").run().is_success();
    mmlogctl("cat", &first).arg(&second).arg(&first).run().printed(&[CONTENT, b"four\n", CONTENT].concat());
}

#[test]
fn from_and_to_bound_what_is_printed() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    for (from, to) in [(0, 0), (0, 4), (4, 8), (13, 14), (14, 14)] {
        let ended = mmlogctl("cat", &log).arg(format!("--from={from}")).arg(format!("--to={to}")).run();
        ended.printed(&CONTENT[from..to]);
    }
    mmlogctl("cat", &log).arg("--to=1G").run().printed(CONTENT);
    let ended = mmlogctl("cat", &log).args(["--from=8", "--to=4"]).run();
    assert_eq!((ended.code, ended.text().as_str()), (2, ""), "{ended:?}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let scratch = Scratch::new();
    let log = scratch.log(&b"0123456789abcdef\n".repeat(300_000));
    let mut running = mmlogctl("cat", &log).start_unread();
    let mut some = [0; 100];
    running.unread.take().unwrap().read_exact(&mut some).unwrap();
    running.end().is_success();
}

#[test]
fn a_standard_output_that_is_full_is_a_failure() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    for command in ["cat", "tail", "status"] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let ended = mmlogctl(command, &log).stdout(full).start_unread().end();
        assert_eq!(ended.code, 1, "{command}: {ended:?}");
        assert!(ended.stderr.starts_with("mmlogctl: standard output: "), "{command}: {ended:?}");
    }
}

/// What a terminal is shown.
fn on_a_terminal(tool: crate::cli::Tool) -> String {
    let terminal = openpty(None, None).unwrap();
    let running =
        tool.with(|c| c.env("TERM", "xterm").env_remove("NO_COLOR")).stdout(terminal.slave).start_unread();
    let (mut screen, mut shown) = (fs::File::from(terminal.master), Vec::new());
    // A terminal that nobody has open any more is an error, after everything that was written to it.
    let _ = screen.read_to_end(&mut shown);
    running.end().is_success();
    String::from_utf8_lossy(&shown).replace("\r\n", "\n")
}

#[test]
fn a_terminal_gets_no_control_characters_and_a_pipe_gets_the_bytes() {
    let content = b"\x1b[31mred\tand \xff\n";
    let scratch = Scratch::new();
    let log = scratch.log(content);
    for command in ["cat", "tail"] {
        mmlogctl(command, &log).run().printed(content);
        assert_eq!(on_a_terminal(mmlogctl(command, &log)), "\\u{1b}[31mred\tand \\xff\n");
    }
}

/// The second byte of a capital U with a circumflex begins a command of a terminal that reads single bytes.
#[test]
fn names_reach_a_terminal_without_utf8_in_ascii() {
    let scratch = Scratch::new();
    let log = scratch.file("\u{db}2J.log");
    mmlogctl("append", &log).input(b"one\n").run().is_success();
    let of = |tool: crate::cli::Tool, locale| on_a_terminal(tool.with(|c| c.env("LC_ALL", locale)));
    for (command, args) in [
        ("status", &[][..]),
        ("status", &["--json"]),
        ("check", &[]),
        ("segments", &["--json"]),
        ("tail", &["-v"]),
    ] {
        let tool = || mmlogctl(command, &log).args(args);
        let shown = of(tool(), "C");
        assert!(shown.is_ascii() && shown.contains("\\u00db2J.log"), "{command} {args:?}: {shown}");
        let shown = of(tool(), "C.UTF-8");
        assert!(shown.contains("\u{db}2J.log"), "{command} {args:?}: {shown}");
        // A script gets what it asked for.
        let piped = tool().with(|c| c.env("LC_ALL", "C")).run().text();
        assert!(piped.contains("\u{db}2J.log"), "{command} {args:?}: {piped}");
    }
    let ls = crate::cli::Tool::new(env!("CARGO_BIN_EXE_mmlogctl"))
        .args(["ls", "--only-below"])
        .arg(scratch.path());
    let shown = of(ls, "C");
    assert!(shown.is_ascii() && shown.contains("\\u00db2J.log"), "{shown}");
}

#[test]
fn colours_of_the_log_reach_a_terminal_where_raw_is_asked_for_and_nothing_else_does() {
    let content = b"\x1b[31mERROR\x1b[0m \x1b[2J\x07 \x1b]0;t\x07\x1b[1mx\ny\n";
    let shown = "\x1b[31mERROR\x1b[0m \\u{1b}[2J\\u{7} \\u{1b}]0;t\\u{7}\x1b[1mx\x1b[0m\ny\n";
    let scratch = Scratch::new();
    let log = scratch.log(content);
    for command in ["cat", "tail"] {
        for raw in ["-R", "--raw"] {
            assert_eq!(on_a_terminal(mmlogctl(command, &log).arg(raw)), shown);
            mmlogctl(command, &log).arg(raw).run().printed(content);
        }
        let escaped = on_a_terminal(mmlogctl(command, &log).args(["-R", "--color", "never"]));
        assert!(!escaped.contains('\x1b'), "{escaped}");
    }
}

#[test]
fn titles_are_coloured_where_colours_are_wanted() {
    let scratch = Scratch::new();
    let log = scratch.log(b"a\n");
    let title = format!("==> {} <==", log.display());
    let tail = || mmlogctl("tail", &log).arg("-v");
    assert_eq!(on_a_terminal(tail()), format!("\x1b[1m{title}\x1b[0m\na\n"));
    assert_eq!(on_a_terminal(tail().args(["--color", "never"])), format!("{title}\na\n"));
    tail().arg("--color=always").run().printed(format!("\x1b[1m{title}\x1b[0m\na\n").as_bytes());
    tail().run().printed(format!("{title}\na\n").as_bytes());
}

#[test]
fn as_json_it_prints_what_tail_does_from_the_start() {
    let scratch = Scratch::new();
    let log = scratch.log(b"a\nb\xff\nc");
    let tail = ["-n", "+1", "--until-now", "-o", "json", "--max-line", "1"];
    let wanted = mmlogctl("tail", &log).args(tail).run().stdout;
    assert_eq!(wanted.iter().filter(|byte| **byte == b'\n').count(), 4);
    mmlogctl("cat", &log).args(["-o", "json", "--max-line=1"]).run().printed(&wanted);
    let several = mmlogctl("tail", &log).arg(&log).args(tail).run().stdout;
    mmlogctl("cat", &log).arg(&log).args(["-o", "json", "--max-line=1"]).run().printed(&several);
}
