//! Guards `--since` and `--until`: nothing of the asked time is left out, and what cannot be known is said.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;

use std::path::Path;

use cli::{Ended, Scratch, mmlogctl};

/// The commands that have them.
const COMMANDS: [&str; 4] = ["cat", "tail", "segments", "grep"];

/// Central Europe, also where there is no data base of zones.
const ZONE: (&str, &str) = ("TZ", "CET-1CEST,M3.5.0,M10.5.0/3");

fn thirty(scratch: &Scratch) -> (std::path::PathBuf, String) {
    let text: String = (1..=30).map(|n| format!("line {n}\n")).collect();
    (scratch.log(text.as_bytes()), text)
}

fn run(command: &str, log: &Path, args: &[&str]) -> Ended {
    let pattern: &[&str] = if command == "grep" { &["-e", "line"] } else { &[] };
    mmlogctl(command, log).args(pattern).args(args).with(|command| command.env(ZONE.0, ZONE.1)).run()
}

#[test]
fn what_is_no_time_or_still_to_come_ends_with_2_and_the_forms() {
    let scratch = Scratch::new();
    let (log, _) = thirty(&scratch);
    for command in COMMANDS {
        for (args, said) in [
            (&["--since", "soon"][..], "'soon'"),
            (&["--until", "-soon"], "'-soon'"),
            (&["--since=25:00"], "'25:00'"),
            (&["--since", "+1h"], "--since +1h: "),
            (&["--until", "9999-01-01"], "--until 9999-01-01: 9999-01-01 00:00:00+01:00 is still to come"),
        ] {
            let ended = run(command, &log, args);
            assert_eq!((ended.code, ended.stdout.len()), (2, 0), "{command} {args:?}: {ended:?}");
            for text in [said, "yesterday", "@EPOCH", "RFC 3339"] {
                assert!(ended.stderr.contains(text), "{command} {args:?}: {ended:?}");
            }
        }
        let swapped = run(command, &log, &["--since", "1h", "--until", "2h"]);
        assert!(swapped.code == 2 && swapped.stderr.contains("swap them"), "{swapped:?}");
    }
    // A start that is still to come is nothing to wait for.
    assert_eq!(run("tail", &log, &["-f", "--since", "+1h"]).code, 2);
    for other in ["--from", "--to"] {
        let time = if other == "--from" { "--since=1h" } else { "--until=1h" };
        assert_eq!(run("cat", &log, &[other, "0", time]).code, 2);
    }
}

#[test]
fn times_are_typed_in_many_forms_also_with_a_dash_in_front() {
    let scratch = Scratch::new();
    let (log, text) = thirty(&scratch);
    for since in
        ["-15m", "15m", "15m ago", "2h30m", "yesterday", "yesterday 14:00", "2020-01-02", "2020-01-02 03:04"]
            .into_iter()
            .chain(["2020-01-02T03:04:05.678Z", "2020-01-02 03:04:05+01:00", "@1600000000.5", "-99999999w"])
    {
        for command in ["cat", "tail"] {
            let ended = run(command, &log, &["--since", since]);
            assert_eq!((ended.code, ended.text()), (0, text.clone()), "{command} {since}: {ended:?}");
            let before = run(command, &log, &[&format!("--until={since}")]);
            assert_eq!((before.code, before.text().as_str()), (0, ""), "{command} {since}: {before:?}");
        }
    }
    let now = run("cat", &log, &["--since", "-1h", "--until", "now"]);
    assert_eq!(now.text(), text);
}

#[test]
fn a_local_time_that_a_change_of_the_clocks_repeats_or_leaves_out_is_said() {
    let scratch = Scratch::new();
    let (log, text) = thirty(&scratch);
    for command in COMMANDS {
        let ended = run(command, &log, &["--since", "2020-10-25 02:30", "--until", "now"]);
        let said = "--since 2020-10-25 02:30: the clocks change then, so it is 2020-10-25 02:30:00+02:00 or \
                    2020-10-25 02:30:00+01:00; the first is taken";
        assert!(ended.code == 0 && ended.stderr.contains(said), "{command}: {ended:?}");
    }
    let never = run("cat", &log, &["--until", "2020-03-29 02:30"]);
    assert!(never.code == 0 && never.stderr.contains("; the second is taken"), "{never:?}");
    let once = run("cat", &log, &["--since", "2020-03-29 03:30"]);
    assert_eq!((once.text(), once.stderr.as_str()), (text, ""));
}

#[test]
fn tail_since_prints_all_from_there_unless_told_how_much() {
    let scratch = Scratch::new();
    let (log, text) = thirty(&scratch);
    assert_eq!(run("tail", &log, &["--since", "1h"]).text(), text);
    assert_eq!(run("tail", &log, &["--since", "1h", "-n", "2"]).text(), "line 29\nline 30\n");
    assert_eq!(run("tail", &log, &["--since", "1h", "-n", "+30"]).text(), "line 30\n");
    assert_eq!(run("tail", &log, &[]).text().lines().count(), 10);
}

#[test]
fn until_ends_what_follows() {
    let scratch = Scratch::new();
    let (log, text) = thirty(&scratch);
    // Past already: what is there of it, and no more.
    let past = run("tail", &log, &["-f", "--until", "1h"]);
    assert_eq!((past.code, past.text().as_str()), (0, ""), "{past:?}");
    for follow in ["-f", "-F", "--follow=name"] {
        let ended = run("tail", &log, &[follow, "--since", "1h", "--until", "+50ms"]);
        assert_eq!((ended.code, ended.text()), (0, text.clone()), "{follow}: {ended:?}");
    }
    let missing = run("tail", &scratch.file("no.log"), &["-F", "--until", "+50ms"]);
    assert!(missing.code == 0 && missing.stderr.contains("no log yet"), "{missing:?}");
}
