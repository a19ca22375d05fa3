//! Guards `mmlogctl prune`: it takes what the rules say, oldest first, and nothing that is current or held; readers are
//! told what they missed, and one that was killed is redone by the next.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;
#[path = "prune_command/holds.rs"]
mod holds;
#[path = "prune_command/punch.rs"]
mod punch;
#[path = "prune_command/readers.rs"]
mod readers;

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cli::{
    Bytes, Held, Scratch, Tool, became_final, finals, forget_final, is_root, metadata_of, mmlogctl, skipped,
};

fn append(log: &Path, bytes: &[u8]) {
    mmlogctl("append", log)
        .args(["--raw", "--chunk-size=64K", "--max-writers=8"])
        .input(bytes)
        .run()
        .is_success();
}

/// What segment `generation` holds.
fn content(generation: u64) -> String {
    format!("generation {generation}\n")
}

/// A log of so many final segments, and a current one that has a line, too.
fn segmented(scratch: &Scratch, finals: u64) -> PathBuf {
    let log = scratch.file("app.log");
    for generation in 0..finals {
        append(&log, content(generation).as_bytes());
        mmlogctl("rotate", &log).run().printed(b"");
    }
    append(&log, content(finals).as_bytes());
    log
}

/// All that `segmented` has appended from that generation on.
fn contents(from: u64, finals: u64) -> Vec<u8> {
    (from..=finals).flat_map(|generation| content(generation).into_bytes()).collect()
}

fn prune(log: &Path, options: &[&str]) -> Tool {
    mmlogctl("prune", log).args(options)
}

fn is_sound(log: &Path) {
    let ended = mmlogctl("check", log).arg("--deep").run();
    assert_eq!(ended.code, 0, "{ended:?}");
}

/// A final segment became one so long ago.
fn age(log: &Path, generation: u64, age: Duration) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    became_final(log, generation, (now - age).as_nanos() as u64);
}

/// Makes a file look as if it had last been changed so long ago.
fn touch(file: &Path, age: Duration) {
    File::options().write(true).open(file).unwrap().set_modified(SystemTime::now() - age).unwrap();
}

fn allocated(file: &Path) -> u64 {
    fs::metadata(file).unwrap().blocks() * 512
}

#[test]
fn the_newest_n_stay() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 5);
    let all = finals(&log);
    prune(&log, &["--keep=2"]).run().printed(b"");
    assert_eq!(finals(&log), all[3..]);
    mmlogctl("cat", &log).run().printed(&contents(3, 5));
    is_sound(&log);
    prune(&log, &["--keep=0"]).run().printed(b"");
    assert_eq!(finals(&log), [""; 0].map(PathBuf::from));
    mmlogctl("cat", &log).run().printed(&contents(5, 5));
    is_sound(&log);
}

#[test]
fn as_many_of_the_newest_stay_as_fit_the_bytes() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 4);
    let all = finals(&log);
    let two: u64 = all[2..].iter().map(|segment| allocated(segment)).sum();
    prune(&log, &[&format!("--keep-bytes={two}")]).run().printed(b"");
    assert_eq!(finals(&log), all[2..]);
    prune(&log, &[&format!("--keep-bytes={}", two - 1)]).run().printed(b"");
    assert_eq!(finals(&log), all[3..]);
    mmlogctl("cat", &log).run().printed(&contents(3, 4));
}

#[test]
fn those_that_are_young_enough_stay() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 4);
    let all = finals(&log);
    let hour = Duration::from_secs(3600);
    age(&log, 0, 9 * hour);
    age(&log, 1, 2 * hour);
    prune(&log, &["--keep-age=3h"]).run().printed(b"");
    assert_eq!(finals(&log), all[1..]);
    prune(&log, &["--keep-age=90m"]).run().printed(b"");
    assert_eq!(finals(&log), all[2..]);
}

#[test]
fn ages_may_be_days_weeks_and_sums() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 3);
    let all = finals(&log);
    let day = Duration::from_secs(86_400);
    age(&log, 0, 15 * day);
    age(&log, 1, 40 * day / 24);
    prune(&log, &["--keep-age=14d"]).run().printed(b"");
    assert_eq!(finals(&log), all[1..]);
    prune(&log, &["--keep-age=2w"]).run().printed(b"");
    let dry = prune(&log, &["--keep-age=1d12h", "-n"]).run();
    assert!(dry.text().ends_with(": --keep-age 1d12h\n"), "{dry:?}");
    mmlogctl("rotate", &log).args(["-n", "--if-age", "1d"]).run().printed(b"");
    let wrong = prune(&log, &["--keep-age=14y"]).run();
    assert!(wrong.code == 2 && wrong.stderr.contains("1d12h or 2w"), "{wrong:?}");
}

#[test]
fn age_counts_from_becoming_final_however_old_the_last_line_is() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, b"an old line\n");
    touch(&log, Duration::from_secs(3600));
    mmlogctl("rotate", &log).run().printed(b"");
    append(&log, b"a second one\n");
    touch(&log, Duration::from_secs(3600));
    mmlogctl("rotate", &log).args(["--compress", "zstd"]).run().is_success();
    prune(&log, &["--keep-age=30m"]).run().printed(b"");
    assert_eq!(finals(&log).len(), 2);
    let final_since = || -> Vec<String> {
        let text = mmlogctl("segments", &log).arg("--json").run().text();
        text.split("\"final_since\":")
            .skip(1)
            .map(|rest| rest[..rest.find(',').unwrap()].to_owned())
            .collect()
    };
    let before = final_since();
    assert_eq!(before.len(), 3, "{before:?}");
    // Whoever touches the files makes them neither older nor younger.
    finals(&log).iter().for_each(|segment| touch(segment, Duration::from_secs(3600)));
    assert_eq!(final_since(), before);
    prune(&log, &["--keep-age=30m"]).run().printed(b"");
    assert_eq!(finals(&log).len(), 2);
    age(&log, 0, Duration::from_secs(3600));
    finals(&log).iter().for_each(|segment| touch(segment, Duration::ZERO));
    assert!(prune(&log, &["-n", "--keep-age=30m"]).run().text().contains("would remove"));
    // As an earlier version left the newest one; the one before looks as old as its last line.
    finals(&log).iter().for_each(|segment| touch(segment, Duration::from_secs(3600)));
    [0, 1].into_iter().for_each(|generation| forget_final(&log, generation));
    prune(&log, &["--keep-age=30m"]).run().printed(b"");
    assert_eq!(finals(&log).len(), 1);
}

#[test]
fn the_rule_that_keeps_least_holds() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 4);
    let all = finals(&log);
    age(&log, 0, Duration::from_secs(7200));
    prune(&log, &["--keep=3", "--keep-age=1h", "--keep-bytes=1T"]).run().printed(b"");
    assert_eq!(finals(&log), all[1..]);
    prune(&log, &["--keep=1", "--keep-age=1h"]).run().printed(b"");
    assert_eq!(finals(&log), all[3..]);
}

#[test]
fn nothing_to_do_is_silent_success_and_changes_nothing() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 2);
    let before = Bytes::of(&log);
    for options in
        [&["--keep=2"][..], &["--keep=2", "-n"], &["--keep-age=1h"], &["--keep-bytes=1G", "--wait=0s"]]
    {
        prune(&log, options).run().printed(b"");
    }
    prune(&log, &["--punch", "--keep-bytes=1G"]).run().printed(b"");
    before.are_still_in(&log);
    assert_eq!(finals(&log).len(), 2);
}

#[test]
fn a_dry_run_says_exactly_what_a_prune_then_does() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 3);
    let all = finals(&log);
    age(&log, 0, Duration::from_secs(7200));
    age(&log, 1, Duration::from_secs(7200));
    let before = Bytes::of(&log);
    let line = |i: usize, range: &str, why: &str| {
        let disk = mmlog::units::size(allocated(&all[i]));
        format!("{}: would remove {}, {disk} {range}: {why}\n", log.display(), all[i].display())
    };
    let plan = line(0, "[0, 13)", "--keep 2") + &line(1, "[13, 26)", "--keep-age 1h");
    let rules = ["--keep=2", "--keep-age=1h"];
    prune(&log, &rules).arg("--dry-run").run().printed(plan.as_bytes());
    before.are_still_in(&log);
    assert_eq!(finals(&log), all);
    prune(&log, &rules).run().printed(b"");
    assert_eq!(finals(&log), all[2..]);
    prune(&log, &rules).arg("-n").run().printed(b"");
}

#[test]
fn a_compressed_copy_goes_with_its_segment() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 2);
    let all = finals(&log);
    let twin = PathBuf::from(format!("{}.zst", all[0].display()));
    fs::write(&twin, [1; 100]).unwrap();
    let plan = prune(&log, &["--keep=1", "-n"]).run();
    assert!(plan.text().contains(&format!("{} and {}", all[0].display(), twin.display())), "{plan:?}");
    prune(&log, &["--keep=1"]).run().printed(b"");
    assert_eq!(finals(&log), all[1..]);
}

#[test]
fn only_a_rule_prunes() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 1);
    for wrong in [&[][..], &["--force"], &["--punch"], &["--punch", "--keep=1"], &["--forget=a", "-n"]] {
        assert_eq!(prune(&log, wrong).run().code, 2, "{wrong:?}");
    }
    assert_eq!(finals(&log).len(), 1);
}

#[test]
fn another_maintenance_command_is_busy_and_named() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 1);
    let held = Held::maintenance(&log);
    let ended = prune(&log, &["--keep=0", "--wait=0s"]).run();
    let holder = format!("process {} (prune_command", std::process::id());
    ended.is_refused(3, &log, &["busy: ", &holder, "trim"]);
    assert_eq!(finals(&log).len(), 1);
    // It is waited for.
    let running = prune(&log, &["--keep=0", "--wait=1h"]).start();
    running.until_open(&metadata_of(&log));
    drop(held);
    running.end().printed(b"");
    assert_eq!(finals(&log).len(), 0);
}

#[test]
fn what_cannot_be_removed_is_an_error_and_the_next_one_goes_on() {
    if !is_root() {
        return skipped("what cannot be removed is an error", "needs root to set an attribute");
    }
    let scratch = Scratch::new();
    let log = segmented(&scratch, 2);
    let all = finals(&log);
    let chattr = |flag: &str| cli::succeeds(std::process::Command::new("chattr").arg(flag).arg(&all[0]));
    if !chattr("+i") {
        return skipped("what cannot be removed is an error", "needs a file system with attributes");
    }
    let ended = prune(&log, &["--keep=0"]).run();
    assert!(chattr("-i"));
    ended.is_refused(1, &log, &["cannot remove a final segment"]);
    assert_eq!(finals(&log), all);
    // It was given up all the same.
    mmlogctl("cat", &log).run().printed(&contents(2, 2));
    is_sound(&log);
    let plan = prune(&log, &["--keep=9", "-n"]).run();
    assert_eq!(plan.text().matches("an earlier prune did not come to its end").count(), 2, "{plan:?}");
    prune(&log, &["--keep=9"]).run().printed(b"");
    assert_eq!(finals(&log).len(), 0);
}

#[test]
fn rm_leaves_final_segments_and_says_so_unless_all_are_to_go() {
    let scratch = Scratch::new();
    let log = segmented(&scratch, 2);
    let all = finals(&log);
    let ended = mmlogctl("rm", &log).run();
    assert_eq!(ended.code, 0);
    ended.says(
        &log,
        &[
            "2 final segments stay",
            &all[0].display().to_string(),
            &format!("`mmlogctl rm --all {}` removes them", log.display()),
        ],
    );
    assert_eq!(finals(&log), all);
    mmlogctl("rm", &log).arg("--all").run().printed(b"");
    assert_eq!(finals(&log).len(), 0);
    let log = segmented(&scratch, 2);
    mmlogctl("rm", &log).arg("--all").run().printed(b"");
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
}

#[test]
fn who_reads_an_old_segment_without_the_log_reads_all_of_it() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\ntwo\n");
    mmlogctl("rotate", &log).run().is_success();
    mmlogctl("append", &log).input(b"three\n").run().is_success();
    let segment =
        mmlog::Observer::open(&log, &mmlog::Options::new()).unwrap().look().unwrap().segments[0].path.clone();
    // As cp(1), sha256sum(1) or a hook have it open.
    let mut reader = std::fs::File::open(&segment).unwrap();
    mmlogctl("prune", &log).args(["--keep", "0"]).run().is_success();
    assert!(!segment.exists());
    let mut read = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut read).unwrap();
    assert_eq!(read, b"one\ntwo\n");
}

/// A power cut must not bring an older file back to the path, when the next one may have its inode number.
#[test]
fn whoever_takes_a_segment_away_makes_the_names_durable_before_and_then_the_metadata() {
    let trace = ["-f", "-qq", "-y", "-o", "/dev/null", "-e", "trace=fsync"];
    if !cli::succeeds(std::process::Command::new("strace").args(trace).arg("true")) {
        return skipped("the order of syncs and removals", "strace is missing or may not trace");
    }
    let most_of_one = b"a line of a segment\n".repeat(48 * 1024 / 20);
    let append = |log: &Path| {
        mmlogctl("append", log)
            .args(["--rotate-size=64K", "--keep=1", "--chunk-size=64K"])
            .input(&most_of_one)
    };
    let by_policy = |scratch: &Scratch| {
        let log = scratch.file("app.log");
        (0..2).for_each(|_| append(&log).run().is_success());
        append(&log)
    };
    let by_hand = |scratch: &Scratch| prune(&segmented(scratch, 3), &["--keep=1"]);
    // A checkpoint at its end says nothing of the rotation that follows.
    let compressed = |scratch: &Scratch| {
        let log = scratch.file("app.log");
        append(&log).arg("--sync=always").run().is_success();
        mmlogctl("rotate", &log).arg("--compress=gzip")
    };
    type Staged<'a> = (&'a str, &'a dyn Fn(&Scratch) -> Tool);
    let each: [Staged<'_>; 3] =
        [("policy", &by_policy), ("prune", &by_hand), ("rotate --compress", &compressed)];
    for (who, tool) in each {
        let scratch = Scratch::new();
        let tool = tool(&scratch);
        let traced = scratch.file("trace");
        let path = traced.display().to_string();
        let how = ["-f", "-qq", "-y", "-o", &path, "-e", "trace=fsync,fdatasync,unlink,unlinkat,ftruncate"];
        tool.through("strace", &how).run().is_success();
        let calls = fs::read_to_string(&traced).unwrap();
        let directory = format!("<{}>)", scratch.path().canonicalize().unwrap().display());
        let is_removal = |call: &str| {
            call.contains("app.log.0")
                && (call.contains("unlink") || call.contains("ftruncate") && call.contains(", 0)"))
        };
        let at = |wanted: &dyn Fn(&str) -> bool| calls.lines().position(wanted);
        let removed = at(&is_removal).unwrap_or_else(|| panic!("{who} removes nothing: {calls}"));
        let before: Vec<&str> = calls.lines().take(removed).collect();
        let names = before.iter().position(|call| call.contains("fsync(") && call.contains(&directory));
        let metadata =
            before.iter().rposition(|call| call.contains("fdatasync(") && call.contains("app.log.mmlog>"));
        assert!(names.is_some() && names < metadata, "{who}: {calls}");
    }
}
