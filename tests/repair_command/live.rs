//! Beside writers: nothing is lost, nothing alive is touched, what can be mended is mended under them.

use std::fs;
use std::path::Path;

use mmlog::layout::LOCK_BYTE;
use mmlog::{Log, Writer};
use nix::sys::signal::Signal;

use crate::cli::{Held, Running, Scratch, at, mmlogctl, poke, raw, slot, wait_for, write_slot};
use crate::{CONTENT, cut, goes_on, mends, nothing_to_repair, repair};

/// A command that appends what it is fed, and has stored its first line.
fn appending(log: &Path) -> Running {
    let mut append = mmlogctl("append", log).arg("--chunk-size=64K").start();
    append.feed(b"first\n");
    wait_for("the first line", || (mmlogctl("cat", log).run().stdout == b"first\n").then_some(()));
    append
}

fn open(log: &Path) -> (Log, Writer) {
    let open = Log::options().open(log).unwrap();
    let writer = open.writer().unwrap();
    (open, writer)
}

#[test]
fn a_healthy_log_with_live_writers_is_one_line_and_not_touched() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let (_open, mut writer) = open(&log);
    writer.append(b"four\n").unwrap();
    nothing_to_repair(&log);
}

/// A stopped process with an append in flight: not a byte of the log is changed.
#[test]
fn a_stopped_writers_append_is_left_and_named() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let append = appending(&log);
    append.signal(Signal::SIGSTOP);
    stopped(append.pid());
    write_slot(&log, 0, slot(3, 2), 4, append.pid());
    let before = raw(&log);
    let ended = repair(&log, &["--wait=0s"]);
    assert!(ended.code == 3 && ended.stderr.is_empty(), "{ended:?}");
    let holder = format!(
        "left  process {} (mmlogctl append {} --chunk-size=64K, stopped) holds slot 0; it is alive (stopped), not touched",
        append.pid(),
        log.display()
    );
    assert!(ended.text().contains(&holder), "{ended:?}");
    let object = repair(&log, &["--json"]);
    assert!(object.code == 3 && object.text().contains("\"why\":\"alive\",\"option\":null"), "{object:?}");
    assert!(before == raw(&log), "something of a live process was touched");
    // As it was.
    write_slot(&log, 0, 0, 0, append.pid());
    append.signal(Signal::SIGCONT);
    append.end().is_success();
    nothing_to_repair(&log);
}

fn stopped(pid: u32) {
    wait_for("the process is stopped", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.starts_with('T').then_some(())
    });
}

#[test]
fn what_needs_a_drain_waits_for_a_live_writer_and_names_it() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let _owner = Held::slot(&log, 5);
    write_slot(&log, 5, slot(3, 4), 4, std::process::id());
    cut(&log, 8);
    let ended = repair(&log, &["--wait=0s"]);
    let holder = format!("process {} (repair_command", std::process::id());
    ended.is_refused(
        3,
        &log,
        &[&holder, "holds slot 5", "; try again later, or end it: `kill ", "` (it was not touched)"],
    );
    assert_eq!(fs::read(&log).unwrap(), b"one\ntwo\n");
}

#[test]
fn a_lock_that_is_kept_is_busy_and_the_dead_wait_for_it() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    write_slot(&log, 3, slot(3, 4), 4, 4242);
    let held = Held::byte(&log, LOCK_BYTE);
    let before = raw(&log).0;
    repair(&log, &["--wait=0s"]).is_refused(3, &log, &["holds the log's lock"]);
    assert!(before == raw(&log).0);
    drop(held);
    repair(&log, &[]).is_success();
    goes_on(&log, b"one\nthree\n");
}

#[test]
fn positions_are_not_set_by_the_data_under_a_live_writer() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let (_open, writer) = open(&log);
    poke(&log, at::CURSOR, &(1_u64 << 50).to_ne_bytes());
    let before = raw(&log);
    let ended = repair(&log, &[]);
    assert!(
        ended.code == 3 && ended.text().contains("1 writer still open, stop all of them first"),
        "{ended:?}"
    );
    assert!(before == raw(&log));
    drop(writer);
}

#[test]
fn a_dead_writers_slot_is_settled_beside_a_live_writer() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let (_open, mut writer) = open(&log);
    write_slot(&log, 3, slot(3, 4), 4, 4242);
    let ended = repair(&log, &[]);
    ended.is_success();
    assert!(ended.text().contains("fact  1 live writer\n"), "{ended:?}");
    nothing_to_repair(&log);
    writer.append(b"four\n").unwrap();
    goes_on(&log, b"one\nthree\nfour\n");
}

#[test]
fn a_file_cut_under_a_live_writer_goes_on() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let (_open, mut writer) = open(&log);
    writer.append(b"four\n").unwrap();
    cut(&log, 8);
    let ended = repair(&log, &[]);
    ended.is_success();
    assert!(ended.text().contains("positions [8, 19) are lost"), "{ended:?}");
    writer.append(b"five\n").unwrap();
    goes_on(&log, b"one\ntwo\nfive\n");
}

/// The lines of one of four writers.
fn lines(writer: usize) -> Vec<u8> {
    (0..30_000).map(|n| format!("writer {writer} line {n}\n")).collect::<String>().into_bytes()
}

#[test]
fn repairing_beside_four_writers_loses_nothing_and_finds_nothing() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    mmlogctl("init", &log).arg("--chunk-size=64K").run().is_success();
    let mut writers: Vec<Running> = (0..4).map(|_| mmlogctl("append", &log).start()).collect();
    let texts: Vec<Vec<u8>> = (0..4).map(lines).collect();
    let mut repaired = 0;
    for piece in 0..20 {
        for (writer, text) in writers.iter_mut().zip(&texts) {
            let part = text.len().div_ceil(20);
            writer.feed(&text[piece * part..text.len().min((piece + 1) * part)]);
        }
        let ended = repair(&log, &[]);
        ended.printed(format!("{}: nothing to repair\n", log.display()).as_bytes());
        repaired += 1;
    }
    assert_eq!(repaired, 20);
    writers.into_iter().for_each(|writer| writer.end().is_success());
    let content = mmlogctl("cat", &log).run().text();
    for (id, text) in texts.iter().enumerate() {
        let mine: String = content
            .lines()
            .filter(|l| l.starts_with(&format!("writer {id} ")))
            .map(|l| format!("{l}\n"))
            .collect();
        assert!(mine.as_bytes() == text, "writer {id} has lost something");
    }
    assert_eq!(content.len(), texts.iter().map(Vec::len).sum::<usize>());
}

#[test]
fn recreating_under_live_writers_they_go_on_and_a_follower_is_told_what_is_lost() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let (mut first, mut second) = (appending(&log), mmlogctl("append", &log).start());
    second.feed(b"second\n");
    wait_for("both lines", || (mmlogctl("cat", &log).run().stdout == b"first\nsecond\n").then_some(()));
    // One follower has read everything, the other one nothing yet.
    let reader = Log::options().open_reader(&log).unwrap();
    let mut behind = reader.follow(mmlog::Start::Oldest).unwrap();
    let tail = mmlogctl("tail", &log).args(["-f", "-n+1", "--holes=say"]).start();
    tail.until_stdout(|printed| printed == b"first\nsecond\n");
    fs::remove_file(&log).unwrap();
    let ended = repair(&log, &["--recreate"]);
    ended.is_success();
    assert!(ended.text().contains("fact  2 live writers"), "{ended:?}");
    assert!(ended.text().contains("positions [0, 13) are lost"), "{ended:?}");
    first.feed(b"third\n");
    wait_for("the third line", || (mmlogctl("cat", &log).run().stdout == b"third\n").then_some(()));
    second.feed(b"fourth\n");
    tail.until_stdout(|printed| printed == b"first\nsecond\nthird\nfourth\n");
    first.end().is_success();
    second.end().is_success();
    tail.signal(Signal::SIGTERM);
    let _ = tail.end();
    // It had the lost file open: what it cannot have of that is a hole, and nothing is left out in silence.
    let mut at = 0;
    for (start, end) in told(&mut behind) {
        assert_eq!(start, at, "a gap that nobody was told of");
        at = end;
    }
    assert_eq!(at, 13 + 13);
    let ended = mmlogctl("cat", &log).arg("--from=5").run();
    assert_eq!(ended.stdout, b"third\nfourth\n", "{ended:?}");
    assert!(ended.stderr.contains("positions 5 to 13 are gone (8 bytes)"), "{ended:?}");
    goes_on(&log, b"third\nfourth\n");
}

/// The ranges that a follower is given up to the end, bytes or holes.
fn told(follower: &mut mmlog::Follower) -> Vec<(u64, u64)> {
    let (mut ranges, mut buf) = (Vec::new(), [0; 4096]);
    loop {
        match follower.next(&mut buf).unwrap() {
            mmlog::Next::Bytes(range) => ranges.push((range.start, range.end)),
            mmlog::Next::Hole(hole) => ranges.push((hole.start, hole.end())),
            mmlog::Next::CaughtUp => return ranges,
            _ => {}
        }
    }
}

#[test]
fn a_dead_writers_slot_that_somebody_keeps_is_left_and_he_is_named() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    write_slot(&log, 3, slot(3, 4), 4, 4242);
    let held = Held::slot_for_reading(&log, 3);
    let us = format!("left  process {} (", std::process::id());
    for arguments in [&[][..], &["--dry-run"]] {
        let ended = repair(&log, arguments);
        assert_eq!(ended.code, 3, "{ended:?}");
        let said = ended.text();
        let whose = "holds slot 3 of process 4242 (dead-writer), which is dead; it is alive";
        assert!(said.contains(&us) && said.contains(whose), "{ended:?}");
        assert!(!said.contains("plan") && !said.contains("done"), "{ended:?}");
    }
    let ended = repair(&log, &["--json"]);
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.text().contains("\"steps\":[]") && !ended.text().contains("\"left\":[]"), "{ended:?}");
    drop(held);
    mends(&log, &[], &["plan  settle slot 3 of process 4242 (dead-writer, dead): [4, 8) is a hole, zeroed"]);
}

#[test]
fn a_dead_writers_slot_that_somebody_keeps_is_a_warning_that_names_him() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    write_slot(&log, 3, slot(3, 4), 4, 4242);
    let finding = || {
        let said = mmlogctl("status", &log).arg("--json").run();
        let said: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
        let all = said["findings"].as_array().unwrap().clone();
        let found: Vec<_> = all.into_iter().filter(|f| f["id"] == "dead-writer").collect();
        assert_eq!(found.len(), 1, "{said}");
        (said["state"].clone(), found[0].clone())
    };
    let (state, found) = finding();
    assert_eq!((state.as_str(), found["severity"].as_str()), (Some("OK"), Some("info")), "{found}");
    let held = Held::slot_for_reading(&log, 3);
    let (state, found) = finding();
    assert_eq!((state.as_str(), found["severity"].as_str()), (Some("WARNING"), Some("warning")), "{found}");
    assert_eq!(found["pid"], std::process::id(), "{found}");
    let check = mmlogctl("check", &log).run();
    let us = format!("process {} (", std::process::id());
    let whose = "holds slot 3 of process 4242 (dead-writer), which is dead, with 4 B in flight at 4";
    let kill = format!("`kill {}`", std::process::id());
    assert!(
        check.code == 1 && [us.as_str(), whose, &kill].iter().all(|w| check.text().contains(w)),
        "{check:?}"
    );
    drop(held);
    assert_eq!(finding().0, "OK");
}

#[test]
fn who_has_the_lock_and_is_no_program_of_a_logs_is_named() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let held = Held::byte(&log, LOCK_BYTE);
    let named = format!("process {} (", std::process::id());
    wait_for("the finding", || {
        let said = mmlogctl("status", &log).run().text();
        (said.contains(&named) && said.contains("has held the log's lock")).then_some(())
    });
    let ended = mmlogctl("rotate", &log).arg("--wait=0s").run();
    assert!(ended.code == 3 && ended.stderr.contains(&named), "{ended:?}");
    drop(held);
}
