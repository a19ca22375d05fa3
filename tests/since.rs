//! Guards `--since` and `--until`: nothing of the asked time is left out, and what cannot be known is said.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;
#[path = "since/forged.rs"]
mod forged;
#[path = "since/segments.rs"]
mod segments;

use std::fs;
use std::mem::offset_of;
use std::path::{Path, PathBuf};

use cli::{Ended, Scratch, mmlogctl, poke};
use forged::{Forged, at, typed};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use mmlog::layout::Header;

/// The commands that have them.
const COMMANDS: [&str; 5] = ["cat", "tail", "segments", "grep", "stats"];

/// India, where the clocks never change.
const ZONE: &str = "IST-5:30";
/// Central Europe, also where there is no data base of zones.
const CHANGING: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

fn thirty(scratch: &Scratch) -> (PathBuf, String) {
    let text: String = (1..=30).map(|n| format!("line {n}\n")).collect();
    (scratch.log(text.as_bytes()), text)
}

fn run(command: &str, log: &Path, args: &[&str]) -> Ended {
    run_in(ZONE, command, log, args)
}

fn run_in(zone: &str, command: &str, log: &Path, args: &[&str]) -> Ended {
    let pattern: &[&str] = if command == "grep" { &["-e", "line"] } else { &[] };
    mmlogctl(command, log).args(pattern).args(args).with(|command| command.env("TZ", zone)).run()
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
            (&["--until", "9999-01-01"], "--until 9999-01-01: 9999-01-01 00:00:00+05:30 is still to come"),
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
    // An end that is seconds away is now: clocks differ, and who types 14:30 may be early.
    let near = run("cat", &log, &["--until", "+50s"]);
    assert_eq!((near.code, near.stdout), (0, run("cat", &log, &[]).stdout), "{}", near.stderr);
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
        let ended = run_in(CHANGING, command, &log, &["--since", "2020-10-25 02:30", "--until", "now"]);
        let said = "--since 2020-10-25 02:30: the clocks change then, so it is 2020-10-25 02:30:00+02:00 or \
                    2020-10-25 02:30:00+01:00; the first is taken";
        assert!(ended.code == 0 && ended.stderr.contains(said), "{command}: {ended:?}");
    }
    let never = run_in(CHANGING, "cat", &log, &["--until", "2020-03-29 02:30"]);
    assert!(never.code == 0 && never.stderr.contains("; the second is taken"), "{never:?}");
    let once = run_in(CHANGING, "cat", &log, &["--since", "2020-03-29 03:30"]);
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

/// A hundred lines of nine bytes, ten a minute, with a pair each minute.
fn hundred(scratch: &Scratch) -> (PathBuf, Vec<String>) {
    let lines: Vec<String> = (0..100).map(|n| format!("line {n:03}\n")).collect();
    let log = scratch.log(lines.concat().as_bytes());
    let forged = (0..=10).fold(Forged::new(&log), |forged, minute: i64| {
        forged.pair(at(minute * 60), minute as u64 * 90, minute as u64 * 90)
    });
    forged.write(&log);
    (log, lines)
}

#[test]
fn what_the_log_has_noted_is_the_answer_where_lines_have_no_time() {
    let scratch = Scratch::new();
    let (log, lines) = hundred(&scratch);
    let (since, until) = (typed(at(210)), typed(at(330)));
    for command in ["cat", "tail", "grep"] {
        let from = run(command, &log, &["--since", &since]);
        assert_eq!((from.text(), from.stderr.as_str()), (lines[30..].concat(), ""));
        let both = run(command, &log, &["--since", &since, "--until", &until]);
        assert_eq!(both.text(), lines[30..60].concat(), "{command}: {both:?}");
    }
    let widths = run("cat", &log, &["-v", "--since", &since, "--until", &until]).stderr;
    for said in [
        format!("--since {since}: begins at position 270, within 30 s of it"),
        format!("--until {until}: ends at position 540, within 30 s of it"),
    ] {
        assert!(widths.contains(&said), "{widths}");
    }
    assert_eq!(run("cat", &log, &["--until", &until]).text(), lines[..60].concat());
    assert_eq!(run("tail", &log, &["--until", &until]).text(), lines[50..60].concat());
    assert_eq!(
        run("tail", &log, &["-f", "--since", &since, "--until", &until]).text(),
        lines[30..60].concat()
    );
    // Before all that is known, and behind it.
    assert_eq!(run("cat", &log, &["--since", &typed(at(-60))]).text(), lines.concat());
    assert_eq!(run("cat", &log, &["--since", &typed(at(700))]).text(), "");
    assert_eq!(run("cat", &log, &["--until", &typed(at(-60))]).text(), "");
}

#[test]
fn both_ends_are_whole_lines() {
    let scratch = Scratch::new();
    let (log, lines) = hundred(&scratch);
    let forged = Forged::new(&log).pair(at(0), 0, 0).pair(at(60), 94, 96).pair(at(120), 200, 205).pair(
        at(180),
        884,
        884,
    );
    forged.write(&log);
    let ended = run("cat", &log, &["--since", &typed(at(90)), "--until", &typed(at(90))]);
    assert_eq!(ended.text(), lines[10..23].concat());
    let json = run("tail", &log, &["-ojson", "--since", &typed(at(90)), "--until", &typed(at(100))]);
    assert!(json.text().starts_with("{\"position\":90,"), "{json:?}");
}

/// Lines each six seconds, as a program writes them, with a pair each minute.
fn timed(scratch: &Scratch, name: &str, line: impl Fn(Timestamp) -> String) -> (PathBuf, Vec<String>) {
    let lines: Vec<String> = (0..200).map(|n| format!("{} n{n}\n", line(at(n * 6)))).collect();
    let log = scratch.file(name);
    mmlogctl("append", &log).input(lines.concat().as_bytes()).run().is_success();
    let mut position = 0;
    let mut forged = Forged::new(&log);
    for (line, n) in lines.iter().zip(0..) {
        if n % 10 == 0 {
            forged = forged.pair(at(n * 6), position, position);
        }
        position += line.len() as u64;
    }
    forged.pair(at(1200), position, position).write(&log);
    (log, lines)
}

/// How lines begin with a time.
type Form = (&'static str, fn(Timestamp) -> String);

const FORMS: [Form; 4] = [
    ("rfc3339.log", |at| format!("{at:.6}")),
    ("python.log", |at| local(at, "%Y-%m-%d %H:%M:%S,000 INFO")),
    ("syslog.log", |at| local(at, "%b %e %H:%M:%S host x:")),
    ("common.log", |at| local(at, "::1 - - [%d/%b/%Y:%H:%M:%S %z] \"GET /\"")),
];

fn local(at: Timestamp, format: &str) -> String {
    at.to_zoned(TimeZone::posix(ZONE).unwrap()).strftime(format).to_string()
}

#[test]
fn lines_that_begin_with_a_time_and_are_sorted_are_cut_exactly() {
    let scratch = Scratch::new();
    for (name, line) in FORMS {
        let (log, lines) = timed(&scratch, name, line);
        for (from, to) in [(100, 200), (333, 333), (336, 336), (5, 1190), (0, 0), (1193, 1194), (59, 61)] {
            let (since, until) = (typed(at(from)), typed(at(to)));
            let ended = run("cat", &log, &["--since", &since, "--until", &until]);
            let first = (from + 5) / 6;
            let wanted: String = lines[first as usize..=(to / 6).max(first - 1) as usize].concat();
            assert_eq!((ended.text(), ended.stderr.as_str()), (wanted, ""), "{name}, {from} to {to}");
        }
        let said = run("cat", &log, &["-v", "--since", &typed(at(100))]).stderr;
        assert!(said.contains("to the line, by the times that lines begin with"), "{said}");
    }
}

#[test]
fn a_clock_that_was_set_in_the_range_is_one_line_and_leaves_nothing_out() {
    let scratch = Scratch::new();
    let (log, lines) = hundred(&scratch);
    // Five minutes on, an hour back, five minutes on.
    let mut forged = Forged::new(&log);
    for minute in 0..=5 {
        forged = forged.pair(at(minute * 60), minute as u64 * 90, minute as u64 * 90);
    }
    forged = forged.step(450, at(301), at(-3301));
    for minute in 6..=10 {
        forged = forged.pair(at(minute * 60 - 3600), minute as u64 * 90, minute as u64 * 90);
    }
    forged.write(&log);
    let ended = run("cat", &log, &["--since", &typed(at(210))]);
    assert_eq!(ended.text(), lines[30..].concat());
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    assert!(
        ended.stderr.contains("the clock was set from ") && ended.stderr.contains("in this range"),
        "{ended:?}"
    );
    // What came behind the step is of an hour before, and of this time as well.
    let before = run("cat", &log, &["--since", &typed(at(-3270)), "--until", &typed(at(-3150))]);
    assert_eq!(before.text(), lines[..80].concat(), "{before:?}");
}

/// How long the machine has run.
fn up_ns() -> u64 {
    let up = fs::read_to_string("/proc/uptime").unwrap();
    up.split('.').next().unwrap().parse::<u64>().unwrap() * 1_000_000_000
}

#[test]
fn status_says_that_the_clock_was_set_and_what_that_means() {
    let scratch = Scratch::new();
    let (log, _) = hundred(&scratch);
    let status = |args: &[&str]| run("status", &log, args).text();
    let json = || -> serde_json::Value { serde_json::from_str(&status(&["--json"])).unwrap() };
    assert!(!status(&[]).contains("\n  clock ") && json()["clock"].is_null(), "{}", status(&[]));
    Forged::new(&log).pair(at(0), 0, 0).step(450, at(3600), at(0)).pair(at(60), 900, 900).write(&log);
    poke(&log, offset_of!(Header, times.set_up_ns), &up_ns().to_ne_bytes());
    let time = |at: Timestamp| local(at, "%Y-%m-%d %H:%M:%S+05:30");
    let text = status(&[]);
    let line = text.lines().find(|line| line.starts_with("  clock ")).unwrap();
    let set = format!("was set from {} to {}, seen at position 450; for ", time(at(3600)), time(at(0)));
    let means =
        "ages may be wrong; --since and --until leave nothing out, and may print more than was asked for";
    assert!(line.contains(&set) && line.ends_with(means) && !line.contains("keep-age"), "{line}");
    let clock = &json()["clock"];
    assert_eq!(clock["set"]["position"], 450);
    assert!((3500.0..=3600.0).contains(&clock["doubted_s"].as_f64().unwrap()), "{clock}");
    mmlogctl("policy", &log).args(["--set", "keep-age=30d"]).run().is_success();
    assert!(status(&[]).contains("nothing goes by keep-age, ages may be wrong; "), "{}", status(&[]));
}

#[test]
fn what_was_pruned_of_the_asked_time_is_said() {
    let scratch = Scratch::new();
    let (log, _) = hundred(&scratch);
    mmlogctl("rotate", &log).run().printed(b"");
    mmlogctl("append", &log).input(b"line 100\n").run().is_success();
    mmlogctl("prune", &log).arg("--keep=0").run().is_success();
    let forged = Forged::new(&log).pair(at(0), 0, 0).pair(at(60), 900, 900).pair(at(120), 909, 909);
    forged.write(&log);
    let ended = run("cat", &log, &["--since", &typed(at(30))]);
    assert_eq!((ended.code, ended.text().as_str()), (0, "line 100\n"));
    assert!(ended.stderr.contains("positions 0 to 900 are pruned"), "{ended:?}");
    assert_eq!(run("cat", &log, &["--since", &typed(at(90))]).stderr, "");
}
