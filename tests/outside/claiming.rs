//! Bytes behind a log of which a process has taken a slot, and is stopped before it has said so: they look like lines of a writer
//! whose record an older copy of the metadata has wiped.

use common::{Actor, listen, log_path, say};
use nix::sys::signal::{Signal, kill, raise};
use nix::unistd::Pid;

use crate::cli::{Scratch, mmlogctl};
use crate::{OUTSIDE, common, content, put_behind};

/// Becomes a writer, and stops in the middle of that.
pub(crate) fn claims() {
    let log = mmlog::Log::options().open(log_path()).unwrap();
    mmlog::crash::set_hook(|point| {
        if point == "claim:taken" {
            say("taken");
            raise(Signal::SIGSTOP).unwrap();
        }
    });
    let writer = log.writer().unwrap();
    say("a writer");
    listen();
    drop(writer);
    log.close().unwrap();
}

#[test]
fn one_who_is_stopped_while_he_becomes_a_writer_is_waited_for_and_nothing_is_taken_for_damage() {
    if !cfg!(debug_assertions) {
        return;
    }
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let mut actor = Actor::on(&log, "claims");
    assert_eq!(actor.hear(), "taken");
    put_behind(&log, OUTSIDE);
    let told = mmlogctl("status", &log).run().text();
    assert!(!told.contains("older metadata") && !told.starts_with("DAMAGED"), "{told}");
    let names = format!("`kill -CONT {}`", actor.pid());
    for command in ["trim", "rotate"] {
        let refused = mmlogctl(command, &log).run();
        assert!(refused.code == 3 && refused.stderr.contains(&names), "{refused:?}");
    }
    let mut append = mmlogctl("append", &log).start();
    append.feed(b"two\n");
    append.until_stderr(&names);
    kill(Pid::from_raw(actor.pid()), Signal::SIGCONT).unwrap();
    assert_eq!(actor.hear(), "a writer");
    assert_eq!(append.end().code, 0);
    actor.finish();
    assert!(content(&log).starts_with("one\n") && content(&log).ends_with("two\n"), "{}", content(&log));
    mmlogctl("check", &log).arg("--deep").run().is_success();
}
