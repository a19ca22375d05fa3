//! Guards against writing on after an invariant was found broken: the flag stops every writer of every process with
//! the reason, changes no byte, and keeps no reader from reading.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

mod common;

use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use common::surgeon::{COPYING, CURSOR, Surgeon};
use common::{Actor, log_path, say, scene};
use mmlog::{Class, Error, Fault, Log, Next, Observer, Options, PanicRecord, Start, State, Wait};

#[test]
fn role() {
    common::play(&[("writer", writer), ("follower", follower), ("second", second), ("racer", racer)]);
}

fn options() -> Options {
    Log::options().chunk_size(65536)
}

fn refusal(error: &Error) -> PanicRecord {
    let Fault::Poisoned(record) = error.fault() else { panic!("{error}") };
    assert_eq!(error.fault().class(), Class::Damaged);
    record.clone()
}

/// Appends a line for each line it hears, until that is refused; says how it went. Then closes.
fn writer() {
    let log = options().open_or_create(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    while let Some(line) = common::heard() {
        match writer.append(format!("{line}\n").as_bytes()) {
            Ok(_) => say("ok"),
            Err(error) => say(&format!("{} {}", refusal(&error).pid, refusal(&error).reason)),
        }
    }
    drop(writer);
    log.close().unwrap();
    say("closed");
}

/// Says all that it reads, a line at a time, for as long as the test listens.
fn follower() {
    let log = Log::options().open_reader(log_path()).unwrap();
    let mut follower = log.follow(Start::Oldest).unwrap();
    say("following");
    let mut buf = [0; 4096];
    loop {
        match follower.next(&mut buf).unwrap() {
            Next::Bytes(range) => {
                say(String::from_utf8_lossy(&buf[..(range.end - range.start) as usize]).trim_end())
            }
            _ => assert!(matches!(
                follower.wait(Duration::from_secs(1)).unwrap(),
                Wait::Moved | Wait::TimedOut
            )),
        }
    }
}

/// Finds another reason, later.
fn second() {
    Log::options().open(log_path()).unwrap().poison("another reason", 5).unwrap();
}

#[test]
fn writers_of_every_process_refuse_with_the_first_reason_and_readers_read_on() {
    let scene = scene();
    let parameters = [("LOG", scene.log.display().to_string())];
    let log = options().open_or_create(&scene.log).unwrap();
    let mut mine = log.writer().unwrap();
    let mut writer = Actor::new("writer", &parameters);
    writer.tell("one");
    assert_eq!(writer.hear(), "ok");
    let mut follower = Actor::new("follower", &parameters);
    assert_eq!((follower.hear(), follower.hear()), ("following".into(), "one".into()));
    writer.tell("two");
    assert_eq!(writer.hear(), "ok");

    log.poison("the moon is full", 28).unwrap();
    Actor::new("second", &parameters).finish();

    let me = std::process::id();
    writer.tell("three");
    assert_eq!(writer.hear(), format!("{me} the moon is full"));
    let record = refusal(&mine.append(b"four\n").unwrap_err());
    assert_eq!((record.reason.as_str(), record.errno, record.pid), ("the moon is full", 28, me));
    assert!(record.at.is_some() && !record.command.is_empty());
    for error in [
        mine.append_vectored(&[std::io::IoSlice::new(b"five\n")]).err(),
        log.writer().err(),
        log.trim(Duration::from_secs(1)).err(),
        options().open(&scene.log).unwrap().writer().err(),
        options().open_or_create(&scene.log).unwrap().trim(Duration::from_secs(1)).err(),
    ] {
        assert_eq!(refusal(&error.unwrap()), record);
    }
    let written = mine.write_all(b"six\n").unwrap_err();
    assert!(written.to_string().contains("the moon is full"), "{written}");

    assert_eq!(follower.hear(), "two", "who was following reads what there is");
    assert_eq!(common::committed(&scene.log), b"one\ntwo\n", "and so does who comes later");
    let status = Observer::open(&scene.log, &Log::options()).unwrap().look().unwrap();
    assert_eq!((status.state, status.panic), (State::Panicked, Some(record)));
    assert_eq!((status.cursor, status.watermark), (8, 8));
    follower.kill();
}

#[test]
fn closing_a_poisoned_log_leaves_its_file_as_it_is() {
    let scene = scene();
    let mut writer = Actor::on(&scene.log, "writer");
    writer.tell("one");
    assert_eq!(writer.hear(), "ok");
    let log = options().open(&scene.log).unwrap();
    let mut mine = log.writer().unwrap();
    mine.append(b"two\n").unwrap();
    log.poison("evidence", 0).unwrap();
    drop(mine);
    log.close().unwrap();
    assert!(writer.finish().contains("closed"));
    let bytes = fs::read(&scene.log).unwrap();
    assert_eq!(bytes.len(), 65536, "nobody has trimmed");
    assert!(bytes.starts_with(b"one\ntwo\n") && bytes[8..].iter().all(|&b| b == 0));
}

#[test]
fn a_reader_may_not_poison() {
    let scene = scene();
    drop(options().open_or_create(&scene.log).unwrap());
    let reader = Log::options().open_reader(&scene.log).unwrap();
    assert!(matches!(reader.poison("no", 0).unwrap_err().fault(), Fault::ReadOnly));
    assert!(options().open(&scene.log).unwrap().writer().is_ok());
}

#[test]
fn a_slot_that_changes_under_its_writer_sets_the_flag() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(b"before\n").unwrap();
    let surgeon = Surgeon::new(&scene.log);
    surgeon.set_pending(0, COPYING, 3);
    let record = refusal(&writer.append(b"after\n").unwrap_err());
    assert!(record.reason.contains("slot was changed"), "{record:?}");
    assert_eq!(surgeon.get(CURSOR), 7, "nothing was reserved");
    surgeon.set_pending(0, 0, 0);
    assert_eq!(common::committed(&scene.log), b"before\n");
}

#[test]
fn neither_the_dead_nor_a_plain_errno_set_the_flag() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let mut writer = Actor::on(&scene.log, "writer");
    writer.tell("one");
    assert_eq!(writer.hear(), "ok");
    let start = Surgeon::new(&scene.log).append_in_flight(0, COPYING, 100);
    writer.kill();
    log.writer().unwrap().append(b"two\n").unwrap();
    assert!(log.writer().unwrap().append(b"").is_err(), "an empty message is refused");
    // Cut from outside: an error for who needs space, not the end of the log.
    let data = fs::File::options().write(true).open(&scene.log).unwrap();
    data.set_len(start + 104).unwrap();
    let error = log.writer().unwrap().append(&vec![b'x'; 100_000]).unwrap_err();
    assert!(matches!(error.fault(), Fault::Truncated { .. }), "{error}");
    data.set_len(65536).unwrap();
    data.write_all_at(b"two\n", start + 100).unwrap();
    log.writer().unwrap().append(b"three\n").unwrap();
    assert_eq!(common::committed(&scene.log), b"one\ntwo\nthree\n");
    assert_eq!(log.status().unwrap().panic, None);
}

/// Poisons when told, with a reason of its own.
fn racer() {
    let log = options().open(log_path()).unwrap();
    say("ready");
    assert!(common::listen());
    log.poison(&reason_of(std::process::id()), std::process::id().cast_signed()).unwrap();
    say("poisoned");
}

/// As long as a record has room for.
fn reason_of(pid: u32) -> String {
    format!("found by {pid:07} ").repeat(14)
}

#[test]
fn of_racing_reasons_one_stays_whole() {
    for _ in 0..10 {
        let scene = scene();
        let log = options().open_or_create(&scene.log).unwrap();
        let parameters = [("LOG", scene.log.display().to_string())];
        let mut racers: Vec<Actor> = (0..6).map(|_| Actor::new("racer", &parameters)).collect();
        racers.iter_mut().for_each(|racer| assert_eq!(racer.hear(), "ready"));
        racers.iter_mut().for_each(|racer| racer.tell("now"));
        racers.iter_mut().for_each(|racer| assert_eq!(racer.hear(), "poisoned"));
        let record = refusal(&log.writer().err().unwrap());
        assert_eq!(record.reason, reason_of(record.pid));
        assert_eq!(record.errno, record.pid.cast_signed());
        assert!(racers.iter().any(|racer| racer.child.id() == record.pid), "{record:?}");
    }
}
