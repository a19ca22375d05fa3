//! A call that fails is no answer: for each that a command makes on the log's files, the call fails once, and the command
//! does what it was asked for, or says what it could not look at; it never goes by the opposite of what is there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::{Ended, Scratch, mmlogctl, reboot, skipped, succeeds};
use crate::original::Original;
use crate::sweep::{CALLS, calls_on};
use crate::{content, finals, log_of};

/// The command, with each of its calls on the log's directory failing in turn, on a log that is made anew each time.
/// `is_right` says whether what it left and said will do where it claims to have done its work.
fn each_call_fails(
    claim: &str,
    make: impl Fn(&Path) -> PathBuf,
    line: &[&str],
    is_right: impl Fn(&Ended, &Path) -> bool,
) {
    if !succeeds(Command::new("strace").args(["-f", "-qq", "-o", "/dev/null", "true"])) {
        return skipped(claim, "there is no strace(1) here, or it may not trace");
    }
    let run = |scratch: &Scratch, spoiled: &[&str]| {
        let log = make(scratch.path());
        let out = scratch.file("trace.out");
        let plain = ["-f", "-qq", "-y", "-o", out.to_str().unwrap()];
        let strace = [&plain[..], spoiled].concat();
        let ended =
            mmlogctl(line[0], &log).args(&line[1..]).input(b"more\n").through("strace", &strace).run();
        (log, ended, fs::read(out).unwrap())
    };
    let scratch = Scratch::new();
    let (log, ended, trace) = run(&scratch, &["-e", &format!("trace={CALLS}")]);
    assert!(ended.code == 0 && is_right(&ended, &log), "{line:?}: {ended:?}");
    let calls = calls_on(&String::from_utf8_lossy(&trace), scratch.path());
    assert!(calls.len() > 5, "{line:?}: {calls:?}");
    for (call, number) in calls {
        let inject = format!("inject={call}:error=EIO:when={number}");
        let scratch = Scratch::new();
        let (log, ended, _) = run(&scratch, &["-e", &format!("trace={call}"), "-e", &inject]);
        let says = ended.code != 0 && !(ended.stderr.is_empty() && ended.stdout.is_empty());
        let says_aside = ended.code == 0 && ended.stderr.contains("nput/output error");
        assert!(says || says_aside || is_right(&ended, &log), "{line:?}, {inject}: {ended:?}");
    }
}

fn one_segment(directory: &Path) -> PathBuf {
    let log = directory.join("app.log");
    mmlogctl("append", &log).input(b"one\ntwo\n").run().is_success();
    log
}

#[test]
fn what_nobody_has_recovered_is_shown_whole_or_the_error_is_said() {
    let make = |directory: &Path| {
        let log = one_segment(directory);
        reboot(&log);
        log
    };
    let is_whole = |ended: &Ended, _: &Path| ended.stdout == b"one\ntwo\n";
    each_call_fails("what nobody has recovered", make, &["cat"], is_whole);
}

#[test]
fn a_hook_is_given_the_file_that_has_the_segment() {
    // A compression that died when it had emptied the plain file.
    let make = |directory: &Path| {
        let log = log_of(directory, 1);
        mmlogctl("rotate", &log).args(["--run", "false"]).run();
        let segment = finals(&log).remove(0);
        let plain = fs::read(&segment).unwrap();
        mmlogctl("rotate", &log).args(["--compress", "gzip"]).run().is_success();
        fs::write(&segment, b"").unwrap();
        assert!(!plain.is_empty() && finals(&log).len() == 2, "{:?}", finals(&log));
        log
    };
    let line = ["rotate", "--if-size", "1G", "--run", "test -s $MMLOG_SEGMENT && echo ran || echo empty"];
    each_call_fails("a hook's segment", make, &line, |ended, _| ended.text().contains("ran"));
}

#[test]
fn a_log_of_the_originals_format_is_shown_whole_or_the_error_is_said() {
    let make = |directory: &Path| {
        let log = directory.join("app.log");
        let mut original = Original::new(&log, 65536);
        original.append(b"one\n");
        original.append(b"two\n");
        log
    };
    let is_whole = |ended: &Ended, _: &Path| ended.stdout == b"one\ntwo\n";
    each_call_fails("the original's format", make, &["cat"], is_whole);
}

/// A log, and what a compression left that was killed in the making of its copy.
fn with_a_dead_part(directory: &Path) -> PathBuf {
    let log = log_of(directory, 3);
    let mut part = finals(&log).pop().unwrap().into_os_string();
    part.push(".mmlog-part");
    fs::write(part, b"half a copy").unwrap();
    log
}

fn has_a_part(log: &Path) -> bool {
    let entries = fs::read_dir(log.parent().unwrap()).unwrap();
    entries.map(|entry| entry.unwrap().path()).any(|path| path.to_str().unwrap().ends_with(".mmlog-part"))
}

#[test]
fn what_a_killed_compression_left_is_found_or_the_error_is_said() {
    let is_found = |ended: &Ended, _: &Path| ended.text().contains(".mmlog-part");
    each_call_fails("what a compression left", with_a_dead_part, &["status"], is_found);
    let is_gone = |_: &Ended, log: &Path| !has_a_part(log);
    each_call_fails("what a compression left", with_a_dead_part, &["repair"], is_gone);
    each_call_fails("what a compression left", with_a_dead_part, &["rm"], is_gone);
}

#[test]
fn another_directory_of_old_segments_forgets_none_in_the_one_before() {
    let make = |directory: &Path| {
        let log = log_of(directory, 2);
        fs::create_dir(directory.join("old")).unwrap();
        fs::create_dir(directory.join("new")).unwrap();
        mmlogctl("rotate", &log).args(["--olddir", "old"]).run().is_success();
        log
    };
    let all = || [content(0), content(1)].concat();
    let scratch = Scratch::new();
    let log = make(scratch.path());
    mmlogctl("rotate", &log).args(["--olddir", "new"]).run().is_refused(1, &log, &["there are some in"]);
    // Refused, also where it could not look: so it fails, and reads the same.
    let out = scratch.file("trace.out");
    let plain = ["-f", "-qq", "-y", "-o", out.to_str().unwrap(), "-e", "trace=openat"];
    mmlogctl("rotate", &log).args(["--olddir", "new"]).through("strace", &plain).run();
    for (call, number) in calls_on(&fs::read_to_string(&out).unwrap(), scratch.path()) {
        let inject = format!("inject={call}:error=EIO:when={number}");
        let spoiled = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=openat", "-e", &inject];
        let ended = mmlogctl("rotate", &log).args(["--olddir", "new"]).through("strace", &spoiled).run();
        let read = mmlogctl("cat", &log).run();
        assert!(ended.code != 0 && read.stdout == all(), "{inject}: {ended:?}");
    }
}
