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
    pane.until("= written");
    for (columns, lines, words) in
        [(40, 10, "WRITERS 0"), (12, 3, "too small"), (100, 30, "= written"), (40, 10, "cursor 4B")]
    {
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
    pane.until("s sort by age v");
    pane.types("s");
    pane.until("s sort by pid ^");
    pane.types("o");
    pane.until("s sort by pid v");
    pane.types("?");
    pane.until("show or hide the keys");
    pane.types("G");
    pane.until("sort the other way round");
    pane.types("?");
    pane.until("s sort by pid v");
    pane.press("Tab");
    pane.until("LINES");
    pane.until("\ntwo\n");
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
    assert!(list.starts_with("2 logs") && list.contains("UNKNOWN") && list.contains("OK "), "{list}");
    pane.types("j");
    pane.press("Enter");
    pane.until_screen("the second log", |screen| screen.starts_with("UNKNOWN"));
    mmlogctl("append", &none).input(b"two\n").run().is_success();
    pane.until_screen("a log that has come since", |screen| screen.starts_with("OK "));
    pane.press("Escape");
    pane.until("2 logs");
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
    let words = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    let pid = actor.pid();
    assert!(words.contains(&format!("128 bytes in flight at {at}")), "{screen}");
    assert!(words.contains(&format!("next: `kill -CONT {pid}`")), "{screen}");
    assert!(words.contains("> in flight") && screen.contains('>'), "{screen}");
    // Dead, it heals: the next append settles what it left.
    actor.kill();
    mmlogctl("append", &log).input(b"two\n").run().is_success();
    pane.until_screen("OK", |screen| screen.starts_with("OK "));
    wait_for("the hole", || pane.screen().contains("holes 1").then_some(()));
}
