//! What is typed, and how it looks.

use crate::cli::{Scratch, Tool};
use crate::{append, grep};

#[test]
fn patterns_may_begin_with_a_dash_and_come_from_a_file() {
    let scratch = Scratch::new();
    let log = scratch.log(b"a -v b\nplain\nlast\n");
    grep(&log, &["-e"], "-v").run().printed(b"a -v b\n");
    grep(&log, &["--"], "-v").run().printed(b"a -v b\n");
    grep(&log, &["-e", "plain", "-e"], "last").run().printed(b"plain\nlast\n");
    let script = "printf 'plain\\nlast\\n' >p; exec \"$0\" grep -n -e \"$(cat p)\" app.log";
    let shell = Tool::new("sh").args(["-c", script, env!("CARGO_BIN_EXE_mmlogctl")]);
    shell.with(|command| command.current_dir(scratch.path())).run().printed(b"2:plain\n3:last\n");
    // Options may stand behind what they are for, as people type.
    grep(&log, &[], "PLAIN").arg("-i").run().printed(b"plain\n");
    assert_eq!(grep(&log, &["-E", "-F"], "a|l").run().code, 1);
    assert_eq!(grep(&log, &["-F", "-E"], "a|l").run().code, 0);
}

#[test]
fn what_matches_is_highlighted_where_colours_are() {
    let scratch = Scratch::new();
    let log = scratch.log(b"say ab or ab\nnext\n");
    grep(&log, &["--color=always", "-n"], "ab")
        .run()
        .printed(b"\x1b[32m1\x1b[0m\x1b[36m:\x1b[0msay \x1b[1;31mab\x1b[0m or \x1b[1;31mab\x1b[0m\n");
    grep(&log, &["--color=always", "-v"], "ab").run().printed(b"next\n");
    grep(&log, &["--color=always", "-o"], "next").run().printed(b"\x1b[1;31mnext\x1b[0m\n");
    grep(&log, &[], "ab").run().printed(b"say ab or ab\n");
}

#[test]
fn bytes_are_as_they_are_but_on_a_terminal() {
    let scratch = Scratch::new();
    let line = b"red \x1b[31m \xff \x07 end\n";
    let log = scratch.log(line);
    grep(&log, &[], "end").run().printed(line);
    let shell = format!("{} grep end {}", env!("CARGO_BIN_EXE_mmlogctl"), log.display());
    let on_terminal = Tool::new("script").args(["-qec", &shell, "/dev/null"]);
    let ended = on_terminal.with(|command| command.env("TERM", "xterm").env_remove("NO_COLOR")).run();
    let wanted = "red \\u{1b}[31m \\xff \\u{7} \x1b[1;31mend\x1b[0m\r\n";
    assert_eq!(ended.text(), wanted, "{ended:?}");
}

#[test]
fn names_are_printed_as_they_were_given() {
    let scratch = Scratch::new();
    for name in ["a.log", "b.log"] {
        append(&scratch.file(name), b"x\n");
    }
    let tool = |words: &[&str]| {
        let tool = Tool::new(env!("CARGO_BIN_EXE_mmlogctl")).arg("grep").args(words);
        tool.with(|command| command.current_dir(scratch.path())).run()
    };
    tool(&["x", "a.log", "./b.log"]).printed(b"a.log:x\n./b.log:x\n");
    tool(&["-c", "x", "a.log", "./b.log"]).printed(b"a.log:1\n./b.log:1\n");
    tool(&["-H", "x", "a.log"]).printed(b"a.log:x\n");
    tool(&["--no-filename", "x", "a.log", "b.log"]).printed(b"x\nx\n");
}

#[test]
fn times_limit_what_is_searched_and_end_what_is_followed() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\ntwo\n");
    grep(&log, &["--since", "1h", "-n"], "o").run().printed(b"1:one\n2:two\n");
    assert_eq!(grep(&log, &["--until", "-1h"], "o").run().code, 1);
    grep(&log, &["-f", "--since=1h", "--until", "+50ms"], "two").run().printed(b"two\n");
    assert_eq!(grep(&log, &["-f", "--until", "1h"], "o").run().code, 1);
}
