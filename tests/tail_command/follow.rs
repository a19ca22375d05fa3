//! `-f` and `-F`: everything, exactly, and an end when there should be one.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use nix::sys::signal::Signal;

use crate::cli::{Ended, IGNORED, Running, Scratch, is_ignored, mmlogctl, skipped};
use crate::{append, tail, watched};

/// Ends it as an operator does.
fn stop(running: Running) -> Ended {
    running.signal(Signal::SIGTERM);
    running.end()
}

/// Binary content that differs from place to place.
fn noise(seed: u32, len: usize) -> Vec<u8> {
    let byte = |i: u32| (seed.wrapping_add(i).wrapping_mul(2_654_435_761) >> 11) as u8;
    (0..u32::try_from(len).unwrap()).map(byte).collect()
}

#[test]
fn it_follows_to_exactly_the_bytes() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, b"before\n");
    let running = tail(&log, &["-f", "-n", "+1"]).start();
    let mut all = b"before\n".to_vec();
    for (seed, len) in [(1, 1), (2, 5), (3, 65_536), (4, 200_000), (5, 17)] {
        let piece = noise(seed, len);
        append(&log, &piece);
        all.extend_from_slice(&piece);
        running.until_stdout(|printed| printed.len() >= all.len());
    }
    stop(running).printed(&all);
}

#[test]
fn it_follows_a_writer_that_has_allocated_ahead() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let open = mmlog::Log::options().chunk_size(1 << 20).open_or_create(&log).unwrap();
    let mut writer = open.writer().unwrap();
    writer.append(b"one\n").unwrap();
    assert_eq!(fs::metadata(&log).unwrap().len(), 64 << 10);
    let running = tail(&log, &["-f"]).start();
    running.until_stdout(|printed| printed == b"one\n");
    writer.append(b"two\n").unwrap();
    running.until_stdout(|printed| printed == b"one\ntwo\n");
    stop(running).printed(b"one\ntwo\n");
}

#[test]
fn following_begins_where_the_options_say() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, b"one\ntwo\nthree\n");
    for (options, start) in [
        (&["-f", "-n1"][..], &b"three\n"[..]),
        (&["-f", "-c3"], b"ee\n"),
        (&["-f", "-n", "+2"], b"two\nthree\n"),
        (&["-f", "--from=8"], b"three\n"),
        (&["-F", "-n1"], b"three\n"),
    ] {
        let running = tail(&log, options).start();
        running.until_stdout(|printed| printed == start);
        stop(running).printed(start);
    }
    // Lines that are not there yet are left out too.
    let running = tail(&log, &["-f", "-n", "+5"]).start();
    running.until_open(&log);
    append(&log, b"four\nfive\n");
    running.until_stdout(|printed| printed == b"five\n");
    stop(running).printed(b"five\n");
}

#[test]
fn int_ends_it_as_term_does() {
    if is_ignored(Signal::SIGINT) {
        return skipped("INT ends it as TERM does", IGNORED);
    }
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, b"one\n");
    let running = tail(&log, &["-f"]).start();
    running.until_stdout(|printed| printed == b"one\n");
    running.signal(Signal::SIGINT);
    running.end().printed(b"one\n");
}

#[test]
fn several_logs_are_followed_with_headers() {
    let scratch = Scratch::new();
    let (a, b) = (scratch.file("a"), scratch.file("b"));
    append(&a, b"a1\n");
    append(&b, b"b1\n");
    let both = |options: &[&str]| mmlogctl("tail", &a).arg(&b).args(options);
    let (name_a, name_b) = (a.display(), b.display());
    let running = both(&["-f"]).start();
    let mut wanted = format!("==> {name_a} <==\na1\n\n==> {name_b} <==\nb1\n");
    running.until_stdout(|printed| printed == wanted.as_bytes());
    for (log, lines, shown) in [
        (&b, "b2\n", "b2\n".to_owned()),
        (&a, "a2\n", format!("\n==> {name_a} <==\na2\n")),
        (&a, "a3\n", "a3\n".to_owned()),
        (&b, "b3\n", format!("\n==> {name_b} <==\nb3\n")),
    ] {
        append(log, lines.as_bytes());
        wanted.push_str(&shown);
        running.until_stdout(|printed| printed == wanted.as_bytes());
    }
    stop(running).printed(wanted.as_bytes());
    let quiet = both(&["-f", "-q", "-n1"]).start();
    quiet.until_stdout(|printed| printed == b"a3\nb3\n");
    stop(quiet).printed(b"a3\nb3\n");
}

#[test]
fn by_name_a_log_that_is_missing_is_waited_for() {
    let scratch = Scratch::new();
    let log = scratch.file("directory/app.log");
    let refused = tail(&log, &["-f"]).run();
    refused.is_refused(1, &log, &[]);
    let running = tail(&log, &["-F", "-n1"]).start();
    running.until_stderr("no log yet; waiting for it");
    fs::create_dir(scratch.file("directory")).unwrap();
    append(&log, b"one\ntwo\n");
    // Its end has not been seen before: all of it is new, whatever -n says.
    running.until_stdout(|printed| printed == b"one\ntwo\n");
    append(&log, b"three\n");
    running.until_stdout(|printed| printed == b"one\ntwo\nthree\n");
    let ended = stop(running);
    assert_eq!((ended.code, ended.text().as_str()), (0, "one\ntwo\nthree\n"));
    let said: Vec<&str> = ended.stderr.lines().collect();
    assert!(said.len() == 2 && said[1].ends_with("the log has appeared; following it"), "{ended:?}");
}

#[test]
fn by_name_a_log_that_was_made_anew_is_followed() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, b"old 1\nold 2\n");
    let by_name = tail(&log, &["-F", "-n1"]).start();
    let by_log = tail(&log, &["-f", "-n1"]).start();
    for running in [&by_name, &by_log] {
        running.until_stdout(|printed| printed == b"old 2\n");
    }
    mmlogctl("rm", &log).arg("--force").run().is_success();
    by_name.until_stderr("the log was removed; waiting for a new one");
    append(&log, b"new 1\nnew 2\n");
    by_name.until_stdout(|printed| printed == b"old 2\nnew 1\nnew 2\n");
    append(&log, b"new 3\n");
    by_name.until_stdout(|printed| printed == b"old 2\nnew 1\nnew 2\nnew 3\n");
    let ended = stop(by_name);
    assert_eq!(ended.code, 0);
    assert!(ended.stderr.contains("the log was made anew; following the new one"), "{ended:?}");
    stop(by_log).printed(b"old 2\n");
}

#[test]
fn by_name_a_link_that_leads_to_another_log_now_is_followed_there() {
    let scratch = Scratch::new();
    let (first, second) = (scratch.file("first.log"), scratch.file("second.log"));
    append(&first, b"first\n");
    append(&second, b"second\n");
    let (link, new) = (scratch.file("app.log"), scratch.file("new"));
    std::os::unix::fs::symlink("first.log", &link).unwrap();
    let running = tail(&link, &["-F", "--trust-path"]).start();
    running.until_stdout(|printed| printed == b"first\n");
    append(&first, b"still\n");
    running.until_stdout(|printed| printed == b"first\nstill\n");
    std::os::unix::fs::symlink("second.log", &new).unwrap();
    std::fs::rename(&new, &link).unwrap();
    running.until_stdout(|printed| printed == b"first\nstill\nsecond\n");
    append(&second, b"more\n");
    running.until_stdout(|printed| printed == b"first\nstill\nsecond\nmore\n");
    assert_eq!(stop(running).code, 0);
}

#[test]
fn waiting_for_a_log_ends_with_a_signal() {
    let scratch = Scratch::new();
    let running = tail(&scratch.file("app.log"), &["-F"]).start();
    running.until_stderr("waiting for it");
    assert_eq!(stop(running).code, 0);
}

#[test]
fn it_ends_when_the_process_has_ended_and_prints_all_before() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, b"one\n");
    let mut watched = watched();
    let pid = format!("--pid={}", watched.id());
    let running = tail(&log, &["-f", &pid]).start();
    running.until_stdout(|printed| printed == b"one\n");
    append(&log, b"two\n");
    drop(watched.stdin.take());
    watched.wait().unwrap();
    running.end().printed(b"one\ntwo\n");
    // It has ended already.
    tail(&log, &["-f", &pid]).run().printed(b"one\ntwo\n");
}

/// Starts it and reads what it prints first, so that it is known to follow.
fn following(log: &Path, first: &[u8]) -> Running {
    let mut running = tail(log, &["-f", "-n", "+1"]).start_unread();
    let mut read = vec![0; first.len()];
    running.unread.as_mut().unwrap().read_exact(&mut read).unwrap();
    assert_eq!(read, first);
    running
}

#[test]
fn a_closed_pipe_ends_it_although_the_log_is_idle() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, b"one\n");
    let mut running = following(&log, b"one\n");
    drop(running.unread.take());
    running.end().is_success();
}

#[test]
fn a_closed_pipe_ends_it_although_the_log_does_not_exist() {
    let scratch = Scratch::new();
    let mut running = tail(&scratch.file("app.log"), &["-F"]).start_unread();
    running.until_stderr("waiting for it");
    drop(running.unread.take());
    assert_eq!(running.end().code, 0);
}

#[test]
fn a_reader_that_is_slow_gets_everything() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, b"one\n");
    let mut running = following(&log, b"one\n");
    // More than any pipe holds, and nobody reads until it has been written.
    let much = noise(9, 5 << 20);
    append(&log, &much);
    let (mut read, mut piece) = (Vec::new(), [0; 4096]);
    while read.len() < much.len() {
        match running.unread.as_mut().unwrap().read(&mut piece).unwrap() {
            0 => panic!("it ended after {} bytes", read.len()),
            n => read.extend_from_slice(&piece[..n]),
        }
    }
    assert!(read == much);
    running.signal(Signal::SIGTERM);
    running.end().is_success();
}

#[test]
fn a_signal_ends_it_although_nobody_reads() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, b"one\n");
    let running = following(&log, b"one\n");
    append(&log, &noise(9, 5 << 20));
    running.signal(Signal::SIGTERM);
    assert_eq!(running.end().code, 0);
}

#[test]
fn until_now_ends_behind_what_is_there_also_where_it_has_to_wait_for_the_log() {
    let scratch = Scratch::new();
    let log = scratch.file("there/app.log");
    let running = mmlogctl("tail", &log).args(["-F", "--until-now"]).start();
    running.until_stderr("no log yet; waiting for it");
    // It appears with what is in it.
    fs::create_dir(scratch.file("made")).unwrap();
    mmlogctl("append", &scratch.file("made/app.log")).input(b"one\n").run().is_success();
    fs::rename(scratch.file("made"), scratch.file("there")).unwrap();
    let ended = running.end();
    assert_eq!((ended.code, ended.text().as_str()), (0, "one\n"), "{ended:?}");
    for options in [&["-F", "--until-now"][..], &["-f", "--until-now"], &["--until-now", "-Fn1"]] {
        mmlogctl("tail", &log).args(options).run().printed(b"one\n");
    }
    let place = scratch.file("place");
    let keeping = ["-F", "--until-now", "--cursor-file", place.to_str().unwrap()];
    mmlogctl("tail", &log).args(keeping).run().printed(b"one\n");
    mmlogctl("append", &log).input(b"two\n").run().is_success();
    mmlogctl("tail", &log).args(keeping).run().printed(b"two\n");
}

#[test]
fn all_that_was_pruned_is_told_where_it_reaches_beyond_what_was_being_printed() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let lines = "0123456789abcde\n".repeat(500_000).into_bytes();
    append(&log, &lines);
    // It prints up to here, and cannot go on before somebody reads.
    let mut running = tail(&log, &["-f", "-n", "+1", "-o", "json", "--holes", "say"]).start_unread();
    let mut out = BufReader::new(running.unread.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    mmlogctl("rotate", &log).run().is_success();
    append(&log, &lines);
    mmlogctl("rotate", &log).run().is_success();
    mmlogctl("prune", &log).args(["--keep=0"]).run().is_success();
    append(&log, b"end\n");
    let (mut at, end) = (0, 2 * lines.len() as u64 + 4);
    while at < end {
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["position"], at, "nothing is left out in silence: {line}");
        at = object["end"].as_u64().unwrap();
        line.clear();
        if at < end {
            out.read_line(&mut line).unwrap();
        }
    }
    stop(running);
}
