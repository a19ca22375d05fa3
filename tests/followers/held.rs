//! Followers that cannot read on: whose doing that is, and what lets them.

use std::process::{Command, Stdio};
use std::time::SystemTime;

use mmlog::State;
use mmlog::layout::{FOLLOWERS_AT, FollowerRecord};
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::*;
use crate::cli::Ends;

#[test]
fn followers_that_are_stopped_with_bytes_before_them_are_a_warning_and_one_command_continues_all() {
    let scratch = Scratch::new();
    let log = new_log(&scratch, b"one line\n");
    let both = [tail(&log, &[]).start(), tail(&log, &[]).start()];
    for running in &both {
        seen(&log, running, |f| f.position == 9);
        running.signal(Signal::SIGSTOP);
    }
    let stopped = || status(&log).followers.iter().all(|f| f.process == ProcessState::Stopped).then_some(());
    wait_for("they are stopped", stopped);
    assert_eq!(mmlogctl("check", &log).run().code, 0, "nothing waits for them");
    append(&log, b"another\n");
    let said = "2 of 2 followers are stopped: ";
    let found =
        wait_for("it is said", || status(&log).findings.into_iter().find(|f| f.sentence.starts_with(said)));
    assert_eq!(found.id, FindingId::ReaderStands);
    assert_eq!((found.severity, found.state), (Severity::Warning, State::Warning), "{found:?}");
    let mut ids = both.each_ref().map(Running::pid);
    let either = [ids, {
        ids.reverse();
        ids
    }]
    .map(|[a, b]| format!("kill -CONT {a} {b}"));
    assert!(either.iter().any(|command| found.command() == Some(command)), "{found:?}");
    let said = "2 of 2 followers are stopped: ";
    assert!(
        found.sentence.starts_with(said) && found.sentence.contains("up to 8 B wait for them"),
        "{found:?}"
    );
    let checked = mmlogctl("check", &log).run();
    assert!(checked.code == 1 && checked.text().starts_with("WARNING - "), "{checked:?}");
    for running in both {
        running.signal(Signal::SIGCONT);
        seen(&log, &running, |f| f.lag == 0);
        running.signal(Signal::SIGKILL);
        running.end();
    }
    assert_eq!(mmlogctl("check", &log).run().code, 0);
}

#[test]
fn who_does_not_take_what_a_follower_writes_is_named() {
    let scratch = Scratch::new();
    let log = new_log(&scratch, &b"more than a pipe holds\n".repeat(1 << 17));
    let (theirs, ours) = std::io::pipe().unwrap();
    let sleep =
        Command::new("sleep").arg("1000").stdin(theirs).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let reader = Ends(sleep.unwrap());
    let stuck = tail(&log, &["-n", "+1"]).stdout(ours).start_unread();
    let named = format!(", read by {} (sleep 1000), is full; ", reader.0.id());
    let line = wait_for("it is said", || {
        let shown = mmlogctl("status", &log).run().text();
        let line = shown.lines().find(|line| line.contains("reader-behind"))?;
        line.contains(&named).then(|| line.to_owned())
    });
    assert!(line.contains(&format!("follower {} (mmlogctl tail", stuck.pid())), "{line}");
    assert!(line.contains(" has read nothing for 1"), "since when: {line}");
    drop(reader);
    stuck.signal(Signal::SIGKILL);
    stuck.end();
}

#[test]
fn a_consumer_that_is_stopped_is_a_note_while_bytes_wait_for_it_and_a_warning_once_it_keeps_an_old_segment() {
    let scratch = Scratch::new();
    let log = new_log(&scratch, b"one line\n");
    let place = format!("--cursor-file={}", scratch.file("place").display());
    let running = tail(&log, &["--hold=shipper", &place]).start();
    let hold = |status: &mmlog::Status| status.holds.first().cloned();
    wait_for("it has read", || hold(&status(&log)).filter(|hold| hold.position == 9));
    running.signal(Signal::SIGSTOP);
    wait_for("it is stopped", || hold(&status(&log)).filter(|hold| hold.process == ProcessState::Stopped));
    assert_eq!(mmlogctl("check", &log).run().code, 0, "nothing waits for it");
    append(&log, b"another\n");
    let said = |severity| {
        let found = wait_for("it is said", || {
            let status = status(&log);
            status.findings.into_iter().find(|f| f.id == FindingId::HoldKeeps && f.severity == severity)
        });
        assert_eq!(found.command(), Some(&*format!("kill -CONT {}", running.pid())), "{found:?}");
        assert_eq!(found.pid, Some(running.pid()));
        found.sentence
    };
    let process = format!("the consumer of hold shipper, process {} (mmlogctl tail", running.pid());
    let note = said(Severity::Info);
    assert!(note.starts_with(&process) && note.contains(" is stopped, for "), "{note}");
    assert!(note.contains("it is at 9, 8 B behind") && note.ends_with("keeps no old segment yet"), "{note}");
    assert_eq!(mmlogctl("check", &log).run().code, 0);
    mmlogctl("rotate", &log).run().is_success();
    let warning = said(Severity::Warning);
    assert!(warning.ends_with(" and keeps 1 old segment (4 KiB)"), "{warning}");
    assert_eq!(mmlogctl("check", &log).run().code, 1);
    running.signal(Signal::SIGCONT);
    wait_for("it goes on", || hold(&status(&log)).filter(|hold| hold.position == 17));
    assert_eq!(mmlogctl("check", &log).run().code, 0);
    running.signal(Signal::SIGKILL);
    running.end();
}

#[test]
fn a_consumer_that_does_not_move_on_is_told_with_whoever_reads_from_it_and_one_at_the_end_is_not() {
    let scratch = Scratch::new();
    let log = new_log(&scratch, b"one line\n");
    let place = |name: &str| format!("--cursor-file={}", scratch.file(name).display());
    let (theirs, ours) = std::io::pipe().unwrap();
    let (null, again) = (Stdio::null(), Stdio::null());
    let sleep = Command::new("sleep").arg("1000").stdin(theirs).stdout(null).stderr(again).spawn();
    let reader = Ends(sleep.unwrap());
    let running = tail(&log, &["--hold=shipper", &place("one")]).stdout(ours).start_unread();
    let at_the_end = tail(&log, &["--hold=reads", &place("other")]).start();
    let found = wait_for("it is said", || {
        // While the log goes on.
        append(&log, b"another\n");
        let shown = mmlogctl("status", &log).run().text().split_whitespace().collect::<Vec<_>>().join(" ");
        let said = format!("the consumer of hold shipper, process {} (mmlogctl tail", running.pid());
        shown.contains(&said).then_some(shown)
    });
    let read = format!(", its output is read by {} (sleep 1000); it is at ", reader.0.id());
    assert!(found.starts_with("OK") && found.contains(" has not moved on for 1"), "{found}");
    assert!(found.contains(&read) && found.contains(" behind, last seen "), "{found}");
    assert!(found.contains(" and keeps no old segment yet") && !found.contains("hold reads,"), "{found}");
    wait_for("the other one is at the end", || {
        let status = status(&log);
        let other = status.holds.iter().find(|hold| hold.name == "reads").unwrap();
        assert!(other.stands_for.is_none_or(|time| time < Duration::from_secs(10)), "{other:?}");
        (other.position == status.cursor).then_some(())
    });
    assert_eq!(mmlogctl("check", &log).run().code, 0, "whoever reads may be slow");

    let pid = Pid::from_raw(reader.0.id().cast_signed());
    kill(pid, Signal::SIGSTOP).unwrap();
    let warning = wait_for("it is said", || {
        let checked = mmlogctl("check", &log).run();
        (checked.code == 1).then(|| checked.text())
    });
    assert!(warning.contains(&format!("`kill -CONT {pid}` lets it read on")), "{warning}");
    drop(reader);
    for running in [running, at_the_end] {
        running.signal(Signal::SIGKILL);
        running.end();
    }
}

#[test]
fn what_was_appended_just_now_does_not_make_a_consumer_stand_that_had_nothing_to_read_for_long() {
    let scratch = Scratch::new();
    let log = new_log(&scratch, b"one line\n");
    let open = Log::options().open(&log).unwrap();
    let mut writer = open.writer().unwrap();
    let _hold = open.hold("shipper", open.oldest().unwrap() + 9).unwrap();
    // It has been where it is for long: nothing came.
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    let ns = u64::try_from(hour_ago.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos()).unwrap();
    for field in [offset_of!(FollowerRecord, moved_ns), offset_of!(FollowerRecord, since_ns)] {
        poke(&log, FOLLOWERS_AT + field, &ns.to_ne_bytes());
    }
    let mut stands = || {
        writer.append(b"another\n").unwrap();
        status(&log).holds[0].stands_for
    };
    assert_eq!(stands(), None);
    let stands = wait_for("it stands", || stands().filter(|time| *time >= Duration::from_secs(10)));
    assert!(stands < Duration::from_secs(600), "no longer than bytes have waited for it: {stands:?}");
}
