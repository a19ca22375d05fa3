//! What dead processes, outsiders and hardware leave, and repair mends unasked.

use std::fs;
use std::path::{Path, PathBuf};

use mmlog::layout::{GATE, POSITION_END};
use mmlog::metadata::JOURNAL_TRIM;

use crate::cli::{Held, Scratch, at, mmlogctl, poke, reboot, slot, write_hole, write_slot};
use crate::{CONTENT, cut, goes_on, mends, nothing_to_repair, repair};

#[test]
fn a_healthy_log_is_one_line_and_not_touched() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    nothing_to_repair(&log);
    goes_on(&log, CONTENT);
}

#[test]
fn a_lock_flag_without_an_owner_is_cleared() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    poke(&log, at::IS_LOCKED, &[1]);
    mends(
        &log,
        &[],
        &[
            "fact  is_locked is set, and nobody has the lock; the last was process ",
            "plan  clear is_locked: ",
        ],
    );
    goes_on(&log, CONTENT);
}

#[test]
fn a_gate_left_closed_and_a_trims_journal_are_undone() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    poke(&log, at::JOURNAL, &JOURNAL_TRIM.to_ne_bytes());
    poke(&log, at::CURSOR, &(GATE | 14).to_ne_bytes());
    mends(
        &log,
        &[],
        &["plan  undo the operation of kind 4", "plan  open the gate that a dead process closed at 14"],
    );
    goes_on(&log, CONTENT);
}

#[test]
fn a_gate_left_closed_without_a_journal_is_opened() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    poke(&log, at::CURSOR, &(GATE | 14).to_ne_bytes());
    mends(&log, &[], &["plan  open the gate that a dead process closed at 14"]);
    goes_on(&log, CONTENT);
}

#[test]
fn a_dead_writers_slot_is_settled_by_how_far_it_had_come() {
    for (state, planned, left) in [
        (1, "no range of a known place", &b"one\ntwo\nthree\n"[..]),
        (2, "[4, 8) is a hole\n", b"one\nthree\n"),
        (3, "[4, 8) is a hole, zeroed\n", b"one\nthree\n"),
    ] {
        let scratch = Scratch::new();
        let log = scratch.log(CONTENT);
        write_slot(&log, 3, slot(state, 4), 4, 4242);
        let whose = "settle slot 3 of process 4242 (dead-writer, dead): ";
        mends(
            &log,
            &[],
            &[&format!("plan  {whose}{planned}"), "fact  slot 3: process 4242 (dead-writer), dead, was "],
        );
        let zeroed = if state == 3 { &b"one\n\0\0\0\0three\n"[..] } else { CONTENT };
        assert_eq!(fs::read(&log).unwrap(), zeroed, "exactly the torn range is zeroed");
        goes_on(&log, left);
    }
}

#[test]
fn slots_of_many_dead_writers_are_settled_and_each_is_named() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    write_slot(&log, 1, slot(3, 0), 4, 11);
    write_slot(&log, 2, slot(2, 4), 4, 22);
    write_slot(&log, 5, slot(3, 10), 4, 55);
    let words = ["slot 1 of process 11 ", "slot 2 of process 22 ", "slot 5 of process 55 "];
    let ended = mends(&log, &[], &words);
    assert!(ended.text().contains("3 steps"), "{ended:?}");
    assert_eq!(fs::read(&log).unwrap(), b"\0\0\0\0two\nth\0\0\0\0");
    goes_on(&log, b"th");
}

#[test]
fn an_impossible_slot_is_cleared_and_nothing_else_is_touched() {
    for (pending, len) in
        [(slot(3, 1 << 60), 1 << 61), (slot(3, 4), u64::MAX), (slot(2, POSITION_END - 1), 9)]
    {
        let scratch = Scratch::new();
        let log = scratch.log(CONTENT);
        write_slot(&log, 3, pending, len, 4242);
        mends(&log, &[], &["settle slot 3 of process 4242 (dead-writer, dead): no range of a known place"]);
        assert_eq!(fs::read(&log).unwrap(), CONTENT);
        goes_on(&log, CONTENT);
    }
}

#[test]
fn a_file_cut_from_outside_goes_on_behind_a_hole_and_keeps_what_was_before_the_cut() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    cut(&log, 8);
    mends(&log, &[], &["cut from 14 to 8 bytes: positions [8, 14) are lost and become a hole"]);
    assert_eq!(
        fs::read(&log).unwrap(),
        b"one\ntwo\n\0\0\0\0\0\0",
        "positions behind the cut keep their meaning"
    );
    goes_on(&log, b"one\ntwo\n");
    let said = mmlogctl("cat", &log).arg("--holes=say").run();
    assert!(said.stderr.contains("8") && said.text() == "one\ntwo\nnext\n", "{said:?}");
    let status = mmlogctl("status", &log).run().text();
    assert!(status.contains("6 B that may have been acknowledged are lost"), "{status}");
    assert!(!status.contains("nothing is lost"), "{status}");
}

#[test]
fn a_file_cut_to_nothing_loses_everything_and_goes_on() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    cut(&log, 0);
    mends(&log, &[], &["positions [0, 14) are lost"]);
    goes_on(&log, b"");
}

#[test]
fn space_that_somebody_cut_off_costs_nothing() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    for field in [at::FILE_SIZE, at::LIMIT] {
        poke(&log, field, &4096_u64.to_ne_bytes());
    }
    mends(&log, &[], &["cut from 4096 to 14 bytes: nothing was appended there"]);
    goes_on(&log, CONTENT);
}

#[test]
fn what_a_dead_grower_or_a_shell_left_behind_the_end_is_cut_off() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    fs::write(&log, [CONTENT, &[0; 100]].concat()).unwrap();
    mends(&log, &[], &["cut the data file from 114 to 14 bytes"]);
    goes_on(&log, CONTENT);
}

#[test]
fn positions_that_contradict_each_other_are_set_by_the_data() {
    for (field, value, words) in [
        (at::CURSOR, POSITION_END + 5, "cursor out of range (4611686018427387909"),
        (at::CURSOR, 1 << 50, "cursor out of range (1125899906842624"),
        (at::CURSOR, u64::MAX, "cursor out of range ("),
        (at::FILE_SIZE, u64::MAX, "file_size out of range (18446744073709551615"),
        (at::FILE_SIZE, 5, "file_size is 5, and there is a byte at 5, below the cursor"),
        (at::FILE_SIZE, 1 << 40, "cut from 1099511627776 to 14 bytes"),
    ] {
        let scratch = Scratch::new();
        let log = scratch.log(CONTENT);
        poke(&log, field, &value.to_ne_bytes());
        mends(&log, &[], &[words]);
        assert_eq!(fs::read(&log).unwrap(), CONTENT, "{words}");
        goes_on(&log, CONTENT);
    }
}

#[test]
fn a_limit_that_does_not_fit_is_set() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    poke(&log, at::LIMIT, &4096_u64.to_ne_bytes());
    mends(&log, &[], &["set limit to 14"]);
    goes_on(&log, CONTENT);
}

#[test]
fn after_a_reboot_the_data_says_where_the_log_ends() {
    for cursor in [14_u64, 400, 8] {
        let scratch = Scratch::new();
        let log = scratch.log(CONTENT);
        poke(&log, at::CURSOR, &cursor.to_ne_bytes());
        reboot(&log);
        mends(&log, &[], &["fact  not used since the reboot", "set cursor and size by the data file"]);
        goes_on(&log, CONTENT);
        let status = mmlogctl("status", &log).run().text();
        assert!(status.contains("recovered    "), "{status}");
    }
}

#[test]
fn after_a_reboot_pages_that_did_not_reach_the_disk_become_holes_and_are_said() {
    let scratch = Scratch::new();
    let (first, last) = ("x".repeat(4095) + "\n", "z".repeat(99) + "\n");
    let log = scratch.log((first.clone() + &"y".repeat(4096) + &last).as_bytes());
    let data = std::fs::File::options().write(true).open(&log).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&data, &[0; 4096], 4096).unwrap();
    reboot(&log);
    let ended = repair(&log, &[]);
    ended.is_success();
    assert!(ended.text().contains("  hole  [4096, 8192) lost\n"), "{ended:?}");
    goes_on(&log, (first + &last).as_bytes());
}

#[test]
fn what_a_truncation_took_and_what_the_dead_had_left_there_is_one_hole() {
    for in_flight_first in [true, false] {
        let scratch = Scratch::new();
        let log = scratch.log(b"one\n");
        poke(&log, at::CURSOR, &504_u64.to_ne_bytes());
        write_slot(&log, 3, slot(3, 4), 500, 4242);
        if in_flight_first {
            // Settled: a hole in the table before the file is cut.
            mmlogctl("append", &log).input(b"more\n").run().is_success();
        }
        let end = if in_flight_first { 509 } else { 504 };
        cut(&log, 0);
        mends(&log, &[], &[&format!("[0, {end})")]);
        let deep = mmlogctl("check", &log).arg("--deep").run();
        assert_eq!(deep.code, 0, "{deep:?}");
        let status: serde_json::Value =
            serde_json::from_slice(&mmlogctl("status", &log).arg("--json").run().stdout).unwrap();
        assert_eq!(status["holes"].as_array().map(Vec::len), Some(1), "{status}");
        goes_on(&log, b"");
    }
}

#[test]
fn a_lost_hole_around_others_as_earlier_builds_noted_it_is_no_violation() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    poke(&log, at::CURSOR, &504_u64.to_ne_bytes());
    write_slot(&log, 3, slot(3, 4), 500, 4242);
    cut(&log, 0);
    repair(&log, &[]).is_success();
    write_hole(&log, 7, 4, 500);
    let deep = mmlogctl("check", &log).arg("--deep").run();
    assert_eq!(deep.code, 0, "{deep:?}");
    goes_on(&log, b"");
}

/// What a killed rotation and a killed compression leave.
fn leave(log: &Path) -> [PathBuf; 2] {
    let left = ["app.log.mmlog-next", "app.log.0000000000-0000000000000000000.mmlog-part"];
    left.map(|name| {
        let path = log.with_file_name(name);
        fs::write(&path, [0; 65536]).unwrap();
        path
    })
}

#[test]
fn what_killed_operations_left_is_told_and_taken_away() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let left = leave(&log);
    let told = mmlogctl("status", &log).arg("--json").run();
    for path in &left {
        let sentence = format!("a killed operation left 64 KiB: {}", path.display());
        assert!(told.text().contains(&sentence), "{told:?}");
    }
    let check = mmlogctl("check", &log).run();
    assert!(check.code == 1 && check.text().contains("a killed operation left"), "{check:?}");
    mends(&log, &[], &[&format!("remove {}, which a killed operation left", left[0].display())]);
    assert!(left.iter().all(|path| !path.exists()));
    // Those who come by take what holds a whole chunk.
    for command in ["trim", "append"] {
        let [next, part] = leave(&log);
        mmlogctl(command, &log).input(b"").run().is_success();
        assert!(!next.exists() && part.exists(), "{command}");
    }
    goes_on(&log, CONTENT);
}

#[test]
fn a_rotation_under_way_leaves_nothing_to_take_away() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let left = leave(&log);
    let _held = Held::maintenance(&log);
    assert!(!mmlogctl("status", &log).run().text().contains("killed operation"));
    nothing_to_repair(&log);
    assert!(left.iter().all(|path| path.exists()));
}

#[test]
fn removing_a_log_takes_what_killed_operations_left() {
    for options in [&[][..], &["--all"]] {
        let scratch = Scratch::new();
        let log = scratch.log(CONTENT);
        leave(&log);
        mmlogctl("rm", &log).args(options).run().is_success();
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }
}
