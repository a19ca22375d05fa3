//! The live screen.

use std::io::Write as _;
use std::time::Instant;

use mmlog::Log;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::cli::{mmlogctl, wait_for};
use crate::common::surgeon::{COPYING, Surgeon};
use crate::common::{self, Actor};
use crate::tmux::{Pane, signal};

/// Appends one line and keeps its slot.
pub(crate) fn writer() {
    let log = Log::options().open(common::log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(b"one\n").unwrap();
    common::say("begun");
    common::heard();
}

#[test]
fn it_fits_itself_to_the_terminal() {
    let Some(pane) = Pane::new("it_fits_itself_to_the_terminal") else { return };
    let log = pane.scratch.log(b"one\n");
    pane.inspects("", &[&log]);
    pane.until("\u{2500} lines");
    for (columns, lines, words) in [
        (40, 10, "WRITERS 0"),
        (12, 3, "too small"),
        (100, 30, "messages/s"),
        (40, 10, "msgs/s  not final 0B"),
    ] {
        pane.resize(columns, lines);
        let fits = |screen: &str| {
            let all = screen.trim_end_matches('\n').lines();
            screen.contains(words) && all.clone().all(|line| line.chars().count() <= columns.into())
        };
        pane.until_screen(words, fits);
    }
    pane.press("q");
    pane.until("ended 0");
}

#[test]
fn keys_sort_filter_turn_and_explain() {
    let Some(pane) = Pane::new("keys_sort_filter_turn_and_explain") else { return };
    let log = pane.scratch.log(b"one\ntwo\n");
    pane.inspects("", &[&log]);
    pane.until("s sort by state \u{25bc}");
    pane.types("S");
    pane.until("s sort by who \u{25b2}");
    pane.types("o");
    pane.until("s sort by who \u{25bc}");
    pane.types("?");
    pane.until("show or hide the keys");
    pane.until("sort the other way round");
    pane.types("?");
    pane.until("s sort by who \u{25bc}");
    pane.press("Tab");
    pane.until("LINES");
    pane.until("\n  two\n");
    pane.runs("/ONE");
    pane.until("> one");
    mmlogctl("append", &log).input(b"three\n").run().is_success();
    pane.until("three");
    pane.press("BTab");
    pane.until("WRITERS");
    pane.types(" ");
    pane.until("PAUSED");
    pane.types("f");
    pane.until("FINDINGS");
}

#[test]
fn of_several_logs_there_is_a_list_first() {
    let Some(pane) = Pane::new("of_several_logs_there_is_a_list_first") else { return };
    let (log, none) = (pane.scratch.log(b"one\n"), pane.scratch.file("none.log"));
    pane.inspects("", &[&log, &none]);
    let list = pane.until("no such log");
    assert!(list.starts_with("2 logs: 1 UNKNOWN, 1 OK"), "the worst first: {list}");
    pane.press("Enter");
    pane.until_screen("the second log", |screen| screen.starts_with("UNKNOWN"));
    mmlogctl("append", &none).input(b"two\n").run().is_success();
    pane.until_screen("a log that has come since", |screen| screen.starts_with("OK "));
    pane.press("Escape");
    pane.until("2 logs");
}

#[test]
fn without_a_log_those_of_the_host_come_and_go() {
    let Some(pane) = Pane::new("without_a_log_those_of_the_host_come_and_go") else { return };
    let log = pane.scratch.file("one-that-comes-and-goes.log");
    pane.inspects("", &[]);
    pane.until("log");
    pane.types("/comes-and-goes");
    pane.press("Enter");
    pane.until("no log has that text");
    let writer = mmlogctl("append", &log).start();
    pane.until("comes-and-goes.log");
    pane.press("Enter");
    pane.until_screen("the log", |screen| screen.starts_with("OK  /"));
    writer.end().is_success();
    pane.press("Escape");
    pane.until("no log has that text");
    pane.press("q");
    pane.until("ended 0");
}

#[test]
fn a_writer_is_told_by_who_writes_into_its_pipe() {
    let Some(pane) = Pane::new("a_writer_is_told_by_who_writes_into_its_pipe") else { return };
    let log = pane.scratch.log(b"one\n");
    let (tool, job) = (env!("CARGO_BIN_EXE_mmlogctl"), pane.scratch.file("job"));
    pane.runs(&format!("sh -c 'echo $$ > job; echo two; exec sleep 1000' | {tool} append app.log &"));
    let is_there = || std::fs::read_to_string(&log).is_ok_and(|text| text.contains("two")).then_some(());
    wait_for("its writer", is_there);
    let feeder: i32 = std::fs::read_to_string(&job).unwrap().trim().parse().unwrap();
    pane.runs("clear");
    pane.inspects("", &[&log]);
    pane.until("sleep 1000 | mmlogctl append");
    pane.press("q");
    pane.until("ended 0");
    // Its writer ends with it.
    signal(Pid::from_raw(feeder), Signal::SIGKILL);
}

#[test]
fn the_mouse_scrolls_and_clicks_until_it_is_left_to_the_terminal() {
    let Some(pane) = Pane::new("the_mouse_scrolls_and_clicks_until_it_is_left_to_the_terminal") else {
        return;
    };
    let log = pane.scratch.log(b"one\n");
    pane.inspects("--utc", &[&log]);
    assert!(pane.has_mouse(), "it is asked for");
    // A click on the second tab, as terminals tell it.
    pane.types("\x1b[<0;15;3M");
    pane.until("LINES");
    pane.types("m");
    pane.until("the mouse selects text");
    wait_for("the terminal has it", || (!pane.has_mouse()).then_some(()));
    pane.types("m");
    wait_for("it is ours", || pane.has_mouse().then_some(()));
    pane.press("q");
    pane.until("ended 0");
    assert!(!pane.has_mouse(), "it is given back");
    pane.runs("clear");
    pane.inspects("--no-mouse", &[&log]);
    assert!(!pane.has_mouse());
}

#[test]
fn only_ascii_is_drawn_where_the_locale_has_no_more() {
    let Some(pane) = Pane::new("only_ascii_is_drawn_where_the_locale_has_no_more") else { return };
    let log = pane.scratch.log(b"one\n");
    pane.runs("export LC_ALL=C; clear");
    pane.inspects("", &[&log]);
    assert!(pane.until("s sort by state v").is_ascii(), "{}", pane.screen());
}

#[test]
fn a_long_line_without_an_end_shows_its_tail() {
    let Some(pane) = Pane::new("a_long_line_without_an_end_shows_its_tail") else { return };
    let mut content = vec![b'x'; 4 << 20];
    content.extend_from_slice(b"the tail\n");
    let log = pane.scratch.log(&content);
    pane.inspects("", &[&log]);
    pane.press("Tab");
    let screen = pane.until("LINES");
    assert!(!screen.contains("no lines yet"), "{screen}");
    pane.until("...xxx");
}

#[test]
fn colours_are_left_out_when_nobody_wants_them() {
    let Some(pane) = Pane::new("colours_are_left_out_when_nobody_wants_them") else { return };
    let log = pane.scratch.log(b"one\n");
    let has_colours = |screen: &str| {
        // 39 and 49 are the terminal's own.
        let set = screen.replace("\x1b[39m", "").replace("\x1b[49m", "");
        ["\x1b[3", "\x1b[1;3", "\x1b[4"].iter().any(|start| set.contains(start))
    };
    for (setting, wanted) in [("unset NO_COLOR", true), ("export NO_COLOR=1", false)] {
        pane.runs(setting);
        pane.runs("clear");
        pane.inspects("", &[&log]);
        let screen = pane.coloured();
        assert_eq!(has_colours(&screen), wanted, "{setting}: {screen:?}");
        pane.press("q");
        pane.until("ended 0");
    }
}

#[test]
fn a_stopped_writer_appears_by_itself() {
    let Some(pane) = Pane::new("a_stopped_writer_appears_by_itself") else { return };
    let log = pane.scratch.log(b"");
    let mut actor = Actor::new("writer", &[("LOG", log.display().to_string())]);
    assert_eq!(actor.hear(), "begun");
    pane.inspects("", &[&log]);
    pane.until("WRITERS 1");
    signal(Pid::from_raw(actor.pid()), Signal::SIGSTOP);
    let at = Surgeon::new(&log).append_in_flight(0, COPYING, 128);
    let begun = Instant::now();
    let screen = pane.until_screen("STALLED", |screen| screen.starts_with("STALLED"));
    let _ = writeln!(std::io::stderr(), "a stopped writer is on the screen after {:?}", begun.elapsed());
    // The test's own long command line takes one more.
    let first: Vec<&str> = screen.lines().take(4).collect();
    let (words, pid) = (first.join(" "), actor.pid());
    assert!(words.contains("is stopped") && words.contains(&format!("128 B in flight at {at}")), "{screen}");
    assert!(first.iter().any(|line| line.trim() == format!("kill -CONT {pid}")), "to be pasted: {screen}");
    let screen = pane.until("> in flight");
    assert!(screen.contains("]\n = written"), "{screen}");
    // Dead, it heals: the next append settles what it left.
    actor.kill();
    mmlogctl("append", &log).input(b"two\n").run().is_success();
    pane.until_screen("OK", |screen| screen.starts_with("OK "));
    wait_for("the hole", || pane.screen().contains("holes 1").then_some(()));
}
