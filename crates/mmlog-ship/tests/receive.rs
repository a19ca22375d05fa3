//! Guards the way back: what was shipped becomes the log's bytes again, exactly, whoever is killed, and nothing unchecked is written.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

#[path = "../../../tests/common/mod.rs"]
mod common;
mod stage;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[cfg(debug_assertions)]
use common::Actor;
use common::surgeon::{COPYING, Surgeon};
use common::{Random, parameter, say, seed, until};
use stage::{Ended, Shipper, Stage, committed, copy, options, unit_files};

#[test]
fn role() {
    common::play(&[("receive", receive_to)]);
}

fn command(stage: &Stage, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mmlogctl-ship"));
    command.arg("receive").arg(stage.to()).arg("--into").arg(into(stage)).args(more);
    command
}

fn into(stage: &Stage) -> PathBuf {
    stage.dir.path().join("into")
}

fn receive(stage: &Stage, more: &[&str]) -> Ended {
    Ended::of(&command(stage, more).arg("--until-now").output().unwrap())
}

/// Files with that end, in order.
fn files(stage: &Stage, end: &str) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(into(stage)).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|e| e == end));
    found.sort();
    found
}

fn received(stage: &Stage) -> Vec<u8> {
    files(stage, "log").iter().flat_map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn what_was_shipped_is_the_logs_bytes_again_under_its_uuid() {
    let stage = Stage::new();
    let mut all = stage.lines(0, 1000);
    stage.rotate();
    stage.ship(&["--unit=4K"]).is(0, "");
    receive(&stage, &["--label", "web7"]).is(0, "");
    all.extend(stage.lines(1000, 1500));
    stage.ship(&[]).is(0, "");
    let log = stage.log.to_str().unwrap();
    let compared = receive(&stage, &["--label", "web7", "--verify", log]).is(0, "");
    assert!(compared.printed.starts_with(&format!(
        "{} bytes from position 0 to {} are as in ",
        all.len(),
        all.len()
    )));
    assert_eq!(received(&stage), all);
    let uuid: String =
        stage.open().status().unwrap().id.uuid.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(files(&stage, "log"), [into(&stage).join(format!("web7-{uuid}.log"))]);

    let file = OpenOptions::new().write(true).open(&files(&stage, "log")[0]).unwrap();
    file.write_all_at(b"X", 1234).unwrap();
    receive(&stage, &["--verify", log]).is(4, "at position 1234");
}

#[test]
fn one_that_follows_has_what_comes_and_a_second_one_is_3() {
    let stage = Stage::new();
    let mut all = stage.lines(0, 100);
    stage.ship(&[]).is(0, "");
    let receiver = Shipper::of(command(&stage, &[]).stderr(Stdio::piped()));
    let shipper = stage.start(&["--linger=1ms"]);
    for round in 1..5 {
        until("the lines", || (into(&stage).exists() && received(&stage) == all).then_some(()));
        all.extend(stage.lines(round * 100, round * 100 + 100));
    }
    until("the last lines", || (received(&stage) == all).then_some(()));
    receive(&stage, &[]).is(3, &format!("another receiver is at it: pid {} ", receiver.pid()));
    shipper.end().is(0, "");
    receiver.end().is(0, "");
}

#[test]
fn ranges_without_content_are_in_a_small_file() {
    let stage = Stage::new();
    let mut all = stage.lines(0, 10);
    let before = all.len();
    Surgeon::new(&stage.log).append_in_flight(3, COPYING, 100);
    all.extend(stage.lines(10, 20));
    stage.ship(&[]).is(0, "");
    let log = stage.log.to_str().unwrap().to_owned();
    receive(&stage, &["--verify", &log]).is(0, "have no content: hole");
    assert_eq!(received(&stage), all);
    let said = fs::read_to_string(&files(&stage, "gaps")[0]).unwrap();
    let words: Vec<&str> = said.trim_end().split(' ').collect();
    let numbers: Vec<usize> = [0, 1, 3].map(|i: usize| words[i].parse().unwrap()).into();
    assert_eq!((numbers[1] - numbers[0], words[2], numbers[2]), (100, "hole", before));
}

#[test]
fn nothing_of_a_unit_that_is_wrong_is_written_and_its_coordinate_is_said() {
    let stage = Stage::new();
    let all = stage.lines(0, 1000);
    stage.ship(&["--unit=4K"]).is(0, "");
    let (file, units) = (unit_files(&stage.sink).pop().unwrap(), stage::units(&stage.sink));
    let whole = fs::read(&file).unwrap();
    let fifth = &units[4];
    let at = whole.windows(20).position(|bytes| bytes == &fifth.payload[..20]).unwrap();
    let good: usize = units[..4].iter().map(|unit| unit.payload.len()).sum();
    let head = format!("unit {} ", fifth.coordinate);
    let line = whole.windows(head.len()).position(|bytes| bytes == head.as_bytes()).unwrap();
    let end = line + whole[line..].iter().position(|byte| *byte == b'\n').unwrap();
    let too_long = [&whole[..line], format!("{head}9 99999999999").as_bytes(), &whole[end..]].concat();
    let mut other_byte = whole.clone();
    other_byte[at + 100] ^= 1;
    let mut other_field = whole.clone();
    other_field[line + 40] ^= 1;
    for (bytes, says) in [
        (other_byte, "the unit at 5 is damaged: its bytes have another sum than it says"),
        (other_field, "the unit at 5 is damaged"),
        (too_long, "the unit at 5 says that it has 99999999999 bytes"),
    ] {
        fs::write(&file, bytes).unwrap();
        receive(&stage, &[]).is(4, says);
        assert_eq!(received(&stage), all[..good]);
    }
    fs::write(&file, &whole).unwrap();
    receive(&stage, &[]).is(0, "");
    assert_eq!(received(&stage), all);
}

/// A sink with more than its copy has, and everything that was received of it.
fn copied(stage: &Stage) -> PathBuf {
    stage.lines(0, 100);
    stage.ship(&["--unit=1K"]).is(0, "");
    let copied = stage.dir.path().join("copy");
    copy(&stage.sink, &copied);
    stage.lines(100, 200);
    stage.ship(&["--unit=1K"]).is(0, "");
    receive(stage, &[]).is(0, "");
    copied
}

fn put_back(stage: &Stage, copied: &Path) {
    fs::remove_dir_all(&stage.sink).unwrap();
    copy(copied, &stage.sink);
}

#[test]
fn a_sink_that_was_put_back_and_filled_again_is_compared_and_gone_on_with() {
    let stage = Stage::new();
    let copied = copied(&stage);
    put_back(&stage, &copied);
    // Not filled again yet: that is no harm.
    receive(&stage, &[]).is(0, "its shipper fills it again");
    assert_eq!(received(&stage), committed(&stage.log));
    // Its units are others then.
    stage.ship(&["--unit=2K"]).is(0, "the sink lost");
    receive(&stage, &[]).is(0, "what it has is what was received");
    for (from, to) in [(200, 250), (250, 300)] {
        stage.lines(from, to);
        put_back(&stage, &copied);
        stage.ship(&["--unit=700"]).is(0, "the sink lost");
        receive(&stage, &[]).is(0, "what it has is what was received");
        assert_eq!(received(&stage), committed(&stage.log));
    }
    receive(&stage, &["--verify", stage.log.to_str().unwrap()]).is(0, "");
    assert_eq!(files(&stage, "log").len(), 1);

    // Other bytes than were received.
    put_back(&stage, &copied);
    stage.ship(&[]).is(0, "the sink lost");
    let file = OpenOptions::new().write(true).open(&files(&stage, "log")[0]).unwrap();
    file.write_all_at(b"X", 3000).unwrap();
    for _ in 0..2 {
        receive(&stage, &[]).is(4, "at position 3000 it differs from what was received");
    }
    assert_eq!(received(&stage).len(), committed(&stage.log).len());
    file.write_all_at(&committed(&stage.log)[3000..3001], 3000).unwrap();
    receive(&stage, &[]).is(0, "");
}

#[test]
fn a_sink_that_is_put_back_under_a_receiver_that_follows_is_gone_on_with() {
    let stage = Stage::new();
    let copied = copied(&stage);
    let mut receiver = Shipper::of(command(&stage, &[]).stderr(Stdio::piped()));
    let mut number = 200;
    for round in 0..6 {
        put_back(&stage, &copied);
        stage.lines(number, number + 50);
        number += 50;
        let unit = format!("--unit={}", 600 + 100 * round);
        stage.ship(&[&unit]).is(0, "the sink lost");
        until("what is new", || {
            assert!(receiver.is_running(), "it ended");
            (received(&stage) == committed(&stage.log)).then_some(())
        });
    }
    receiver.end().is(0, "what it has is what was received");
}

#[test]
fn what_is_gone_from_the_sink_is_a_gap_that_somebody_accepts_and_another_sink_is_another() {
    let stage = Stage::new();
    let mut first = stage.lines(0, 100);
    stage.ship(&[]).is(0, "");
    receive(&stage, &[]).is(0, "");
    let more = stage.lines(200, 300);
    stage.ship(&[]).is(0, "");
    let last = stage.lines(300, 400);
    stage.ship(&[]).is(0, "");
    let files = unit_files(&stage.sink);
    for file in &files[..files.len() - 1] {
        fs::remove_file(file).unwrap();
    }
    receive(&stage, &[]).is(4, "are gone before they were received; --accept-gap");
    receive(&stage, &["--accept-gap"]).is(0, "their units are gone from the sink");
    let had = first.len();
    first.extend(&last);
    assert_eq!(received(&stage), first);
    let verified = receive(&stage, &["--verify", stage.log.to_str().unwrap()]).is(0, "");
    let says = format!("; {} positions were gone from the sink before they were received", more.len());
    assert!(verified.printed.contains(&says), "{verified:?}");

    // A first start finds as little.
    fs::remove_dir_all(into(&stage)).unwrap();
    receive(&stage, &[]).is(0, "their units are gone from the sink");
    assert_eq!(received(&stage), last);
    let said = fs::read_to_string(&self::files(&stage, "gaps")[0]).unwrap();
    assert_eq!(said, format!("0 {} gone 0\n", had + more.len()));
    let verified = receive(&stage, &["--verify", stage.log.to_str().unwrap()]).is(0, "");
    assert!(verified.printed.starts_with(&format!("{} bytes from position ", last.len())), "{verified:?}");

    fs::write(stage.sink.join("born"), "0000000000000001\n").unwrap();
    receive(&stage, &[]).is(4, "it is of another sink");
}

#[test]
fn a_chain_that_does_not_begin_with_the_log_says_so() {
    let stage = Stage::new();
    let before = stage.lines(0, 100);
    stage.ship(&["--from=newest"]).is(0, "");
    let all = stage.lines(100, 200);
    stage.ship(&[]).is(0, "");
    receive(&stage, &[])
        .is(0, &format!("it begins at position {}: nothing before it was shipped", before.len()));
    assert_eq!(received(&stage), all);
    let said = fs::read_to_string(&files(&stage, "gaps")[0]).unwrap();
    assert_eq!(said, format!("0 {} before 0\n", before.len()));
    receive(&stage, &["--verify", stage.log.to_str().unwrap()]).is(0, "");
}

#[test]
fn a_chain_that_begins_anew_has_files_of_its_own() {
    let stage = Stage::new();
    let first = stage.lines(0, 100);
    stage.ship(&[]).is(0, "");
    receive(&stage, &[]).is(0, "");
    mmlog::remove(&stage.log, mmlog::Force::Always, &mmlog::Log::options()).unwrap();
    let second = stage.lines(100, 200);
    stage.ship(&[]).is(0, "a chain begins");
    receive(&stage, &[]).is(0, "");
    let mut has: Vec<Vec<u8>> = files(&stage, "log").iter().map(|path| fs::read(path).unwrap()).collect();
    has.sort();
    assert_eq!(has, [first, second]);
}

/// Receives, and ends at that crash point.
fn receive_to() {
    #[cfg(debug_assertions)]
    {
        use std::sync::atomic::{AtomicU64, Ordering};
        static PASSED: AtomicU64 = AtomicU64::new(0);
        mmlog::crash::set_hook(|name| {
            if PASSED.fetch_add(1, Ordering::Relaxed) == parameter::<u64>("END") {
                std::process::abort();
            }
            say(name);
        });
    }
    let (from, into): (String, String) = (parameter("FROM"), parameter("TO"));
    let line = ["mmlogctl-ship", "receive", "--until-now", &from, "--into", &into];
    mmlog_ship::cli::main(line.map(Into::into));
    say("ended");
}

#[cfg(debug_assertions)]
#[test]
fn a_receiver_that_ends_at_any_point_is_gone_on_for_by_the_next() {
    let stage = Stage::new();
    let mut all = stage.lines(0, 50);
    stage.ship(&["--unit=1K"]).is(0, "");
    let (begun, earlier) = (stage.dir.path().join("begun"), stage.dir.path().join("earlier"));
    for world in ["first start", "begun", "put back", "trimmed"] {
        let was_begun = ["begun", "put back"].contains(&world);
        let _ = fs::remove_dir_all(&begun);
        match world {
            "begun" => {
                receive(&stage, &[]).is(0, "");
                copy(&into(&stage), &begun);
                copy(&stage.sink, &earlier);
                all.extend(stage.lines(50, 100));
                stage.ship(&["--unit=1K"]).is(0, "");
            }
            "put back" => {
                receive(&stage, &[]).is(0, "");
                copy(&into(&stage), &begun);
                put_back(&stage, &earlier);
                all.extend(stage.lines(100, 150));
                stage.ship(&["--unit=1500"]).is(0, "the sink lost");
            }
            "trimmed" => {
                let files = unit_files(&stage.sink);
                files[..files.len() - 1].iter().for_each(|file| fs::remove_file(file).unwrap());
                let last = stage::units(&stage.sink);
                all = last.into_iter().flat_map(|unit| unit.payload).collect();
            }
            _ => {}
        }
        let mut passed = std::collections::BTreeSet::new();
        for point in 0.. {
            let _ = fs::remove_dir_all(into(&stage));
            if was_begun {
                copy(&begun, &into(&stage));
            }
            let said = ended_at(&stage, point);
            if (said.len() as u64) < point {
                break;
            }
            passed.extend(said);
            receive(&stage, &[]).is(0, "");
            assert!(received(&stage) == all, "{world}, at point {point}");
        }
        for name in ["receive:taken", "receive:durable", "receive:said", "ship:checkpoint-named"] {
            assert!(passed.contains(name), "{passed:?}");
        }
    }
}

#[cfg(debug_assertions)]
fn ended_at(stage: &Stage, point: u64) -> Vec<String> {
    let parameters =
        [("FROM", stage.to()), ("TO", into(stage).display().to_string()), ("END", point.to_string())];
    stage::said_to_the_end(Actor::new("receive", &parameters))
}

#[test]
fn whoever_is_killed_the_bytes_are_the_same() {
    let stage = Stage::new();
    let mut random = Random::new(seed());
    let log = options().open_or_create(&stage.log).unwrap();
    let mut writer = log.writer().unwrap();
    let mut all = Vec::new();
    for round in 0..20 {
        let shipper = stage.start(&["--linger=1ms", "--unit=4K"]);
        let receiver = (round > 0).then(|| Shipper::of(command(&stage, &[]).stderr(Stdio::null())));
        let (mut left, had) = (20 + random.below(60), all.len());
        while left > 0 {
            let message = common::message(1, left, 30 + random.below(2000) as usize);
            writer.append(&message).unwrap();
            all.extend(message);
            left -= 1;
        }
        // Somewhere in the middle of it.
        let some = had + random.below((all.len() - had) as u64) as usize / 2;
        until("some of it", || (stage.sink.exists() && stage.shipped().len() > some).then_some(()));
        if random.below(2) == 0 {
            shipper.kill();
        }
        drop(receiver);
    }
    drop(writer);
    log.close().unwrap();
    stage.ship(&[]).is(0, "");
    let path = stage.log.to_str().unwrap().to_owned();
    receive(&stage, &["--verify", &path]).is(0, "");
    assert!(received(&stage) == all);
}

#[test]
fn who_is_told_to_end_while_it_compares_says_that_not_all_was_compared() {
    let stage = Stage::new();
    stage.lines(0, 1000);
    stage.ship(&[]).is(0, "");
    receive(&stage, &[]).is(0, "");
    let verify = |is_told: bool| {
        mmlog_ship::receive::verify(&into(&stage), &stage.log, &mmlog::Log::options(), &is_told.into())
    };
    assert!(verify(false).is_ok());
    let told = verify(true).unwrap_err();
    assert!(told.code() == 1 && told.to_string().contains("told to end: 0 bytes are as there"), "{told}");
}
