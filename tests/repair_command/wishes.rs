//! What is only done when somebody asks for it.

use std::fs;
use std::mem::offset_of;
use std::path::Path;

use mmlog::layout::Header;
use mmlog::metadata::JOURNAL_TRIM;
use nix::sys::signal::Signal;

use crate::cli::{Scratch, at, metadata_of, mmlogctl, poke, raw, skipped, succeeds, write_hole};
use crate::{CONTENT, cut, goes_on, mends, needs, nothing_to_repair, poison, repair};

#[test]
fn a_panic_flag_stays_until_it_is_asked_for_and_its_cause_is_shown() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    poison(&log);
    let cause = "errno 5: the disk said no";
    needs(&log, "--clear-panic", &["fact  panicked: process ", cause]);
    needs(&log, "--clear-panic", &["left  panicked: process ", cause]);
    mends(
        &log,
        &["--clear-panic"],
        &["fact  panicked: process ", "plan  clear the panic flag (process ", cause],
    );
    goes_on(&log, CONTENT);
}

#[test]
fn other_damage_is_mended_while_the_panic_flag_stays() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    poison(&log);
    cut(&log, 8);
    let ended = repair(&log, &[]);
    assert_eq!(ended.code, 4, "{ended:?}");
    assert!(ended.text().contains("done  1 step; PANICKED"), "{ended:?}");
    mends(&log, &["--clear-panic"], &["plan  clear the panic flag"]);
    goes_on(&log, b"one\ntwo\n");
}

#[test]
fn damage_and_the_flag_are_mended_together() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    poison(&log);
    cut(&log, 8);
    poke(&log, at::JOURNAL, &JOURNAL_TRIM.to_ne_bytes());
    mends(
        &log,
        &["--clear-panic"],
        &["fact  violated: length: ", "positions [8, 14) are lost", "clear the panic flag"],
    );
    goes_on(&log, b"one\ntwo\n");
}

#[test]
fn the_panic_flag_is_not_cleared_while_an_invariant_is_violated() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    poison(&log);
    write_hole(&log, 0, 99, 100);
    let before = raw(&log);
    for options in [&["--clear-panic", "-n"][..], &["--clear-panic"]] {
        let ended = repair(&log, options);
        assert_eq!(ended.code, 4, "{ended:?}");
        let words = "left  an invariant does not hold (hole-range: hole [99, 199) is beyond the cursor 14, or empty); ";
        assert!(
            ended.text().contains(words)
                && ended.text().contains(&format!("`mmlogctl repair --rebuild {}`", log.display())),
            "{ended:?}"
        );
    }
    assert!(before == raw(&log));
    mmlogctl("append", &log).input(b"x\n").run().is_refused(4, &log, &["has stopped all writing"]);
    mends(&log, &["--clear-panic", "--rebuild"], &["make new metadata from the data file (hole-range: "]);
    goes_on(&log, CONTENT);
}

#[test]
fn torn_metadata_is_made_anew_from_the_data() {
    for (offset, bytes, words) in [
        (at::MAGIC, &b"MMLOG"[..], "not a log's metadata (no magic"),
        (at::BYTE_ORDER, &[0; 4], "not a log's metadata ("),
        (at::CHUNK_SIZE, &[1; 4], "chunk_size 16843009 is not a multiple of"),
        (at::MAX_WRITERS, &[0; 4], "max_writers 0 out of range [1, 16384]"),
    ] {
        let scratch = Scratch::new();
        let log = scratch.log(CONTENT);
        poke(&log, offset, bytes);
        needs(&log, "--rebuild", &[words]);
        mends(&log, &["--rebuild"], &["plan  make new metadata from the data file (", words]);
        goes_on(&log, CONTENT);
    }
}

#[test]
fn metadata_that_was_cut_is_made_anew() {
    for len in [100, 5000] {
        let scratch = Scratch::new();
        let log = scratch.log(CONTENT);
        cut(&metadata_of(&log), len);
        needs(&log, "--rebuild", &[]);
        mends(&log, &["--rebuild"], &[]);
        goes_on(&log, CONTENT);
    }
}

#[test]
fn missing_metadata_is_made_from_the_data_without_the_space_that_was_allocated_ahead() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    fs::remove_file(metadata_of(&log)).unwrap();
    fs::write(&log, [CONTENT, &[0; 9000]].concat()).unwrap();
    needs(&log, "--rebuild", &["fact  no metadata"]);
    mends(&log, &["--rebuild"], &["make new metadata from the data file (there is none)"]);
    assert_eq!(fs::read(&log).unwrap(), CONTENT);
    goes_on(&log, CONTENT);
}

#[test]
fn metadata_that_is_made_anew_says_what_becomes_of_the_policy_and_how_it_is_set_again() {
    let with_policy = |scratch: &Scratch| {
        let log = scratch.file("app.log");
        let bounds = ["--rotate-size=1M", "--keep=3"];
        mmlogctl("append", &log).args(bounds).input(CONTENT).run().is_success();
        log
    };
    let kept = "fact  new metadata keeps the log's policy: rotate-size=1M keep=3";
    let gone =
        "fact  new metadata has no policy, and nothing tells whether the log had one: `mmlogctl policy ";
    let again =
        |log: &Path| format!("`mmlogctl policy {} --set rotate-size=64M --set keep=10`", log.display());
    let scratch = Scratch::new();
    let log = with_policy(&scratch);
    poke(&log, at::MAGIC, b"MMLOG");
    needs(&log, "--rebuild", &[kept]);
    mends(&log, &["--rebuild"], &[kept]);
    assert!(mmlogctl("policy", &log).run().text().contains("rotate-size=1M keep=3"));
    // One that a scribbler spoiled stays what it is: nothing goes by it.
    poke(&log, offset_of!(Header, policies.number), &[9; 8]);
    poke(&log, at::BASE, &[0xff; 8]);
    mends(&log, &["--rebuild"], &["fact  the log's policy is damaged: ", &again(&log)]);
    fs::remove_file(metadata_of(&log)).unwrap();
    needs(&log, "--rebuild", &[gone, &again(&log)]);
    mends(&log, &["--rebuild"], &[gone, &again(&log)]);
    assert!(mmlogctl("policy", &log).run().text().contains(": none"));
    goes_on(&log, CONTENT);
}

#[test]
fn a_rebuild_that_knows_of_no_directory_of_old_segments_says_how_they_are_taken_along() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let said = |options: &[&str]| repair(&log, options).text();
    let any = format!("`mmlogctl repair --rebuild --olddir DIR {}`", log.display());
    let old = format!(
        "directory 'the old' has files with the names of this log's segments: \
         `mmlogctl repair --rebuild --olddir 'the old' {}` takes them along",
        log.display()
    );
    fs::create_dir(scratch.file("empty")).unwrap();
    assert!(!said(&["--dry-run", "--rebuild"]).contains("--olddir"), "the metadata would name it");
    fs::remove_file(metadata_of(&log)).unwrap();
    for options in [&["--dry-run"][..], &["--dry-run", "--rebuild"]] {
        assert!(said(options).contains(&any), "{}", said(options));
    }
    mends(&log, &["--rebuild"], &[&any]);
    fs::create_dir(scratch.file("the old")).unwrap();
    mmlogctl("rotate", &log).args(["--olddir", "the old"]).run().is_success();
    mmlogctl("append", &log).input(b"more\n").run().is_success();
    fs::remove_file(metadata_of(&log)).unwrap();
    for options in [&["--dry-run"][..], &["--dry-run", "--rebuild"]] {
        assert!(said(options).contains(&old), "{}", said(options));
    }
    let rebuild = ["--rebuild", "--olddir", "the old"];
    assert!(!said(&[&["--dry-run"], &rebuild[..]].concat()).contains("--olddir"), "it was said");
    mends(&log, &rebuild, &[]);
    mmlogctl("cat", &log).run().printed(&[CONTENT, b"more\n"].concat());
}

#[test]
fn metadata_that_nobody_can_finish_or_believe_is_made_anew() {
    for (offset, value, words) in [
        (at::JOURNAL, 77, "unfinished operation of kind 77"),
        (at::BASE, 15, "base is 15 in one place and 0 in another"),
        (at::BASE, u64::MAX, "base 18446744073709551615 is no position"),
    ] {
        let scratch = Scratch::new();
        let log = scratch.log(CONTENT);
        poke(&log, offset, &value.to_ne_bytes());
        needs(&log, "--rebuild", &[words]);
        mends(&log, &["--rebuild"], &[words]);
        goes_on(&log, CONTENT);
    }
}

#[test]
fn a_file_that_somebody_writes_to_gets_no_new_metadata() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    poke(&log, at::MAGIC, b"MMLOG");
    let writer = fs::File::options().append(true).open(&log).unwrap();
    let before = raw(&log);
    let us = format!("in use by process {} (", std::process::id());
    // What is only asked for says the same.
    for asked in [&["--rebuild", "--wait=0s"][..], &["--rebuild", "--dry-run"]] {
        let ended = repair(&log, asked);
        assert!(ended.code == 3 && ended.stderr.contains(&us), "{ended:?}");
        assert!(before == raw(&log));
    }
    drop(writer);
    crate::cli::when_out_of_use(|| repair(&log, &["--rebuild"])).is_success();
    goes_on(&log, CONTENT);
}

fn replace_by(log: &Path, content: &[u8]) {
    let other = log.with_extension("other");
    fs::write(&other, content).unwrap();
    fs::rename(other, log).unwrap();
}

#[test]
fn a_foreign_data_file_gets_metadata_of_its_own() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    replace_by(&log, b"somebody else's\n");
    needs(&log, "--rebuild", &["fact  the metadata is of another file (inode ", "put the right file back"]);
    mends(&log, &["--rebuild"], &["plan  make new metadata from the data file (metadata of another file"]);
    goes_on(&log, b"somebody else's\n");
}

/// As `sed -i` does beside a program that goes on.
#[test]
fn metadata_that_somebody_writes_by_is_not_made_anew_for_the_file_that_replaced_his() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut writer = mmlogctl("append", &log).start();
    writer.feed(CONTENT);
    crate::cli::wait_for("it is appended", || (fs::read(&log).ok()?.starts_with(CONTENT)).then_some(()));
    replace_by(&log, b"somebody else's\n");
    let him = format!("in use by process {} (", writer.pid());
    for asked in [&["--rebuild", "--wait=0s"][..], &["--rebuild", "--dry-run"]] {
        let refused = repair(&log, asked);
        assert!(refused.code == 3 && refused.stderr.contains(&him), "{refused:?}");
    }
    writer.signal(Signal::SIGKILL);
    writer.end();
    crate::cli::when_out_of_use(|| repair(&log, &["--rebuild"])).is_success();
    goes_on(&log, b"somebody else's\n");
}

#[test]
fn a_copied_metadata_file_is_made_anew_when_nobody_writes() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    replace_by(&metadata_of(&log), &fs::read(metadata_of(&log)).unwrap());
    needs(&log, "--rebuild", &["fact  the metadata file is a copy (", "put the original back"]);
    mends(&log, &["--rebuild"], &["plan  make new metadata from the data file (the metadata file is a copy"]);
    goes_on(&log, CONTENT);
}

#[test]
fn a_missing_data_file_is_made_anew_behind_the_lost_positions() {
    for rest in [None, Some(&b""[..])] {
        let scratch = Scratch::new();
        let log = scratch.log(CONTENT);
        match rest {
            None => fs::remove_file(&log).unwrap(),
            Some(content) => replace_by(&log, content),
        }
        needs(&log, "--recreate", &[]);
        mends(&log, &["--recreate"], &["whose first byte is position 14: positions [0, 14) are lost"]);
        goes_on(&log, b"");
        let status: serde_json::Value =
            serde_json::from_slice(&mmlogctl("status", &log).arg("--json").run().stdout).unwrap();
        assert_eq!(
            (&status["base"], &status["cursor"], &status["generation"]),
            (&14.into(), &19.into(), &1.into())
        );
    }
}

#[test]
fn a_recreated_log_shows_the_flag_that_could_not_be_seen_before() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    poison(&log);
    replace_by(&log, b"");
    let ended = repair(&log, &["--recreate"]);
    assert_eq!(ended.code, 4, "{ended:?}");
    assert!(ended.text().contains("left  panicked: process "), "{ended:?}");
    mends(&log, &["--clear-panic"], &[]);
    goes_on(&log, b"");
}

#[test]
fn neither_data_nor_metadata_is_beyond_repair_and_said() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    poke(&log, at::MAGIC, b"MMLOG");
    fs::remove_file(&log).unwrap();
    let before = raw(&log);
    let ended = repair(&log, &["--rebuild", "--recreate"]);
    assert!(ended.code == 4 && ended.text().contains("move away what is left"), "{ended:?}");
    assert!(before == raw(&log) && !log.exists());
    repair(&scratch.file("nothing.log"), &[]).is_refused(1, &scratch.file("nothing.log"), &["no such log"]);
}

#[test]
fn a_failed_sync_stays_an_error_until_its_loss_is_accepted() {
    let failing =
        ["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=1"];
    if !succeeds(std::process::Command::new("strace").args(["-o", "/dev/null", "true"])) {
        return skipped("a failed sync", "strace is missing or may not trace");
    }
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let append = |text: &[u8]| mmlogctl("append", &log).arg("--sync=always").input(text);
    let ended = append(b"four\n").through("strace", &failing).run();
    ended.is_refused(
        4,
        &log,
        &[
            "durability lost from position 0 on",
            &format!("`mmlogctl repair --accept-loss {}`", log.display()),
        ],
    );
    let status = mmlogctl("status", &log).run().text();
    assert!(
        status.starts_with("DAMAGED  ") && status.contains("durable      below 0 (0 B), lost from 0 on"),
        "{status}"
    );
    // The kernel would now say that all is well.
    append(b"five\n").run().is_refused(4, &log, &["durability lost from position 0 on"]);
    needs(&log, "--accept-loss", &["a sync failed (errno 5)"]);
    mends(&log, &["--accept-loss"], &["plan  forget the failed sync (errno 5, from position 0 on)"]);
    append(b"five\n").run().is_success();
    goes_on(&log, &[CONTENT, b"four\nfive\n"].concat());
    nothing_to_repair(&log);
}

#[test]
fn an_old_segment_that_never_comes_back_is_given_up_alone_and_its_positions_are_told_as_lost() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    for text in [&b"first\n"[..], b"second\n", b"third\n"] {
        mmlogctl("append", &log).input(text).run().is_success();
        mmlogctl("rotate", &log).run().is_success();
    }
    mmlogctl("append", &log).input(b"fourth\n").run().is_success();
    let named = format!("app.log.{:010}-{:019}", 1, 6);
    fs::remove_file(log.with_file_name(named)).unwrap();
    assert_eq!(mmlogctl("check", &log).run().code, 2);
    assert_eq!(mmlogctl("cat", &log).run().code, 4);
    needs(&log, "--forget-missing", &["no file has the positions [6, 13)"]);
    mends(
        &log,
        &["--forget-missing"],
        &["plan  give up the positions [6, 13), which no file has: they become a hole"],
    );
    let checked = mmlogctl("check", &log).run();
    assert!(checked.code == 0 && checked.text().starts_with("OK - "), "{checked:?}");
    assert!(
        mmlogctl("status", &log)
            .run()
            .text()
            .contains("  note         holes: 1 hole, the latest of 7 B at 6, lost\n")
    );
    mmlogctl("check", &log).arg("--deep").run().is_success();
    let printed = mmlogctl("cat", &log).arg("--holes=say").run();
    assert_eq!((printed.code, printed.text().as_str()), (0, "first\nthird\nfourth\n"), "{printed:?}");
    assert!(printed.stderr.contains("hole at 6, 7 bytes (lost)"), "{printed:?}");
    // It deletes nothing, and stands in nobody's way.
    mmlogctl("rotate", &log).run().is_success();
    mmlogctl("prune", &log).arg("--keep=1").run().is_success();
    mmlogctl("cat", &log).run().printed(b"fourth\n");
    nothing_to_repair(&log);
}
