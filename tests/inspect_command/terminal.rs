//! The terminal is given back, whatever ends or stops the inspector.

use nix::sys::signal::Signal;

use crate::cli::wait_for;
use crate::common;
use crate::tmux::{Pane, signal};

/// What the shell says of a job that stopped.
const STOPPED: &str = "ended 147";

const CONTENT: &[u8] = b"one\ntwo\nthree\n";

#[test]
fn quitting_restores_the_terminal() {
    let Some(pane) = Pane::new("quitting_restores_the_terminal") else { return };
    let log = pane.scratch.log(CONTENT);
    let before = pane.settings();
    for key in ["q", "C-c"] {
        pane.runs("clear");
        pane.inspects("", &[&log]);
        assert!(pane.is_alternate());
        pane.press(key);
        pane.is_given_back(&before, 0);
    }
}

#[test]
fn a_signal_that_ends_it_restores_the_terminal_and_is_its_end() {
    let Some(pane) = Pane::new("a_signal_that_ends_it_restores_the_terminal_and_is_its_end") else { return };
    let log = pane.scratch.log(CONTENT);
    let before = pane.settings();
    // Not INT: a shell whose command dies of it forgets the rest of the line. It is caught in the same way.
    for deadly in [Signal::SIGTERM, Signal::SIGHUP] {
        pane.runs("clear");
        let pid = pane.inspects("", &[&log]);
        signal(pid, deadly);
        pane.is_given_back(&before, 128 + deadly as i32);
    }
}

#[test]
fn it_stops_as_a_job_and_goes_on() {
    let Some(pane) = Pane::new("it_stops_as_a_job_and_goes_on") else { return };
    let log = pane.scratch.log(CONTENT);
    let before = pane.settings();
    for how in ["key", "signal"] {
        pane.runs("clear");
        let pid = pane.inspects("", &[&log]);
        match how {
            "key" => pane.press("C-z"),
            _ => signal(pid, Signal::SIGTSTP),
        }
        pane.until(STOPPED);
        assert!(!pane.is_alternate());
        assert_eq!(pane.settings(), before, "{how}");
        pane.runs("fg");
        pane.until("? keys  q quit");
        assert!(pane.is_alternate());
        pane.press("q");
        wait_for("the shell is back", || (!pane.is_alternate()).then_some(()));
        assert_eq!(pane.settings(), before, "{how}");
    }
}

/// Takes the terminal as the inspector does, and panics.
pub(crate) fn panics() {
    let _screen = mmlogctl::inspect::terminal::Screen::take().unwrap();
    std::fs::write(common::log_path(), "taken").unwrap();
    common::heard();
    panic!("as planned");
}

#[test]
fn a_panic_restores_the_terminal_before_it_speaks() {
    let Some(pane) = Pane::new("a_panic_restores_the_terminal_before_it_speaks") else { return };
    let before = pane.settings();
    let (program, taken) = (std::env::current_exe().unwrap(), pane.scratch.file("taken"));
    pane.runs("clear");
    pane.runs(&format!(
        "MMLOG_ROLE=panics MMLOG_LOG=taken {} --exact role --nocapture; echo ended $?",
        program.display()
    ));
    wait_for("the terminal is taken", || taken.exists().then_some(()));
    assert!(pane.is_alternate());
    pane.press("C-j");
    pane.until("as planned");
    pane.is_given_back(&before, 101);
}

/// SIGSTOP cannot be caught, so the terminal stays as it is; what somebody prints there meanwhile must not stay.
#[test]
fn after_a_stop_that_nobody_can_catch_it_draws_all_anew() {
    let Some(pane) = Pane::new("after_a_stop_that_nobody_can_catch_it_draws_all_anew") else { return };
    let log = pane.scratch.log(CONTENT);
    let pid = pane.inspects("", &[&log]);
    signal(pid, Signal::SIGSTOP);
    pane.until(STOPPED);
    // The terminal is raw still: Enter is no end of a line.
    pane.types("echo gar''bage");
    pane.press("C-j");
    pane.until("garbage");
    pane.types("fg");
    pane.press("C-j");
    pane.until_screen("a whole screen", |screen| {
        screen.contains("? keys  q quit") && !screen.contains("garbage")
    });
    assert!(pane.screen().starts_with("OK "), "{}", pane.screen());
}
