//! Guards what a shipper says of itself beside the log: whoever looks at the log sees how far its sink is, and why no farther.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

#[path = "../../../tests/common/mod.rs"]
mod common;
mod stage;

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use common::until;
use mmlog::{Observer, ShipperState, ShipperStatus, Status, shipper_file};
use stage::{Ended, Stage};

fn look(stage: &Stage) -> Status {
    Observer::open(&stage.log, &stage::options()).unwrap().look().unwrap()
}

fn said(status: &Status) -> Option<&ShipperStatus> {
    status.holds.iter().find_map(|hold| hold.shipper.as_ref())
}

#[test]
fn the_log_says_how_far_a_sink_is_while_its_shipper_runs_and_when_it_has_ended() {
    let stage = Stage::new();
    let end = stage.lines(0, 100).len() as u64;
    let shipper = stage.start(&[]);
    let has_all = |state| {
        let status = look(&stage);
        said(&status).is_some_and(|ship| {
            (ship.state, ship.acked, ship.waits_since) == (state, Some(end), None) && ship.bytes == end
        })
    };
    until("all is acknowledged, and said", || has_all(ShipperState::Shipping).then_some(()));
    let status = look(&stage);
    let ship = said(&status).unwrap();
    assert!(ship.sink.starts_with("file:") && ship.promise.starts_with("fenced"), "{ship:?}");
    assert!(ship.waits_for(status.cursor).is_zero() && ship.why.is_empty(), "{ship:?}");
    shipper.end().is(0, "");
    assert_eq!(said(&look(&stage)).unwrap().state, ShipperState::Ended);
    // What comes then waits for the next one.
    stage.lines(100, 101);
    let status = look(&stage);
    assert!(said(&status).unwrap().acked.unwrap() < status.cursor);
    until("it is known how long", || {
        (!said(&look(&stage)).unwrap().waits_for(u64::MAX).is_zero()).then_some(())
    });
}

#[test]
fn the_log_says_why_its_sink_is_away() {
    let stage = Stage::new();
    stage.lines(0, 100);
    stage.ship(&[]).is(0, "begins at position 0");
    stage.lines(100, 200);
    // A directory that cannot be had: a file is in its place.
    fs::rename(&stage.sink, stage.dir.path().join("elsewhere")).unwrap();
    fs::write(&stage.sink, "").unwrap();
    let ended = stage.ship(&["--give-up=1ms"]);
    assert_ne!(ended.code, 0, "{ended:?}");
    let status = look(&stage);
    let ship = said(&status).unwrap();
    assert!(matches!(ship.state, ShipperState::Failed | ShipperState::Decide), "{ship:?}");
    assert!(!ship.why.is_empty() && ship.since.is_some(), "{ship:?}");
}

#[test]
fn the_log_says_the_whole_sentence_with_the_options_that_decide() {
    let stage = Stage::new();
    stage.lines(0, 100);
    stage.ship(&[]).is(0, "");
    fs::rename(&stage.sink, stage.dir.path().join("elsewhere")).unwrap();
    let ended = stage.ship(&[]).is(4, "--sink-is-new continue what was not acknowledged");
    let status = look(&stage);
    let ship = said(&status).unwrap();
    assert_eq!(ship.state, ShipperState::Decide);
    assert!(ended.said.trim_end().ends_with(&ship.why), "{} is not {ended:?}", ship.why);
}

#[test]
fn a_directory_that_has_no_place_is_said_with_what_is_missing() {
    let stage = Stage::new();
    stage.lines(0, 10);
    let path = |name: &str| stage.dir.path().join(name);
    fs::write(path("file"), "").unwrap();
    for (to, missing) in [("none/sink", "none"), ("file/sink", "file"), ("file", "file")] {
        let to = format!("file:{}", path(to).display());
        let says = format!("{to}: {} is no directory: make it or mount it", path(missing).display());
        for more in ["--check", "--until-now"] {
            Ended::of(&stage.shipping(&to, &[more]).output().unwrap()).is(1, &says);
        }
    }
}

#[test]
fn what_is_no_file_of_the_shippers_own_is_not_written() {
    let stage = Stage::new();
    stage.lines(0, 100);
    let (file, other) = (shipper_file(&stage.log, "file-sink"), stage.dir.path().join("another's"));
    fs::write(&other, "as it was").unwrap();
    for link in [symlink, fs::hard_link] as [fn(_, _) -> _; 2] {
        link(other.clone(), file.clone()).unwrap();
        stage.ship(&[]);
        assert_eq!(fs::read_to_string(&other).unwrap(), "as it was");
        assert!(said(&look(&stage)).is_none());
        fs::remove_file(&file).unwrap();
    }
}

#[test]
fn whatever_is_in_the_file_a_look_at_the_log_goes_on() {
    let stage = Stage::new();
    stage.lines(0, 100);
    stage.ship(&[]).is(0, "");
    let file = shipper_file(&stage.log, "file-sink");
    let text = fs::read_to_string(&file).unwrap();
    let hostile = [
        String::new(),
        "x".repeat(1 << 20),
        text.replace("acked ", "acked 9999999999999999999999"),
        text.replace("state ended", "state \u{1b}[31m"),
        text.replace("since ", "since 18446744073709551615"),
    ];
    for bytes in hostile {
        fs::write(&file, bytes).unwrap();
        assert_eq!(said(&look(&stage)), None);
    }
    fs::write(&file, text.replace("acked ", "acked 1844674407370")).unwrap();
    let status = look(&stage);
    assert!(said(&status).unwrap().waits_for(status.cursor) == Duration::ZERO);
}
