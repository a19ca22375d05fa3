//! Guards shipping to a directory, by whole processes: each byte once whatever ends the shipper, and what it does where the sink or the
//! log is not what it was.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

#[path = "../../../tests/common/mod.rs"]
mod common;
mod stage;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use common::disk::Disk;
use common::surgeon::{COPYING, Surgeon};
use common::until;
use mmlog::{Compress, Compression, Retention};
use mmlog_ship::decide::Content;
use mmlog_ship::sinks::file::FileSink;
use mmlog_ship::sinks::{Cut, Message, Purpose, Sink as _};
use mmlog_ship::unit::{Header, Kind, Why};
use stage::{Ended, Stage, committed, copy, unit_files, units};

#[test]
fn what_there_is_is_shipped_and_the_next_run_goes_on_behind_it() {
    let stage = Stage::new();
    let mut all = stage.lines(0, 1000);
    stage.rotate();
    stage.ship(&[]).is(0, "a chain begins at position 0");
    assert_eq!(stage.shipped(), all);
    all.extend(stage.lines(1000, 2000));
    let log = stage.open();
    log.compress(&Compress::new(Compression::Zstd), |_| {}).unwrap();
    let ended = stage.ship(&[]).is(0, "");
    assert_eq!(ended.said, "");
    assert_eq!(stage.shipped(), all);
    assert_eq!(stage.written("to"), all.len() as u64);
    stage.ship(&[]).is(0, "");
    assert_eq!(stage.shipped(), all);
}

#[test]
fn a_look_says_what_would_happen_and_changes_nothing() {
    let stage = Stage::new();
    let all = stage.lines(0, 100);
    stage.open().sync().unwrap();
    let look = || Ended::of(&stage.command(&["--check"]).output().unwrap());
    let first = look().is(0, "");
    assert!(first.printed.contains("a chain would begin at position 0"), "{first:?}");
    assert!(first.printed.contains("strength fenced"), "{first:?}");
    assert!(!stage.sink.exists() && !stage.checkpoint().exists());
    assert!(stage.open().holds().is_empty());
    stage.ship(&[]).is(0, "");
    let then = look().is(0, "");
    assert!(then.printed.contains(&format!("goes on at position {}", all.len())), "{then:?}");
    fs::remove_dir_all(&stage.sink).unwrap();
    look().is(4, "--sink-is-new");
    assert!(!stage.sink.exists());
    // Nor could it be made.
    let stage = Stage { sink: "/nowhere/sink".into(), ..stage };
    let mut nowhere = stage.command(&["--check", "--name=other"]);
    Ended::of(&nowhere.output().unwrap()).is(1, "is no directory: make it or mount it");
}

#[test]
fn lines_stay_whole_a_longer_one_is_cut_and_marked_and_one_without_its_end_is_held_back() {
    let stage = Stage::new();
    let long = [&[b'x'; 10_000][..], b"\nshort\n"].concat();
    stage.append(&long);
    stage.append(b"no end yet");
    let mut shipper = stage.start(&["--unit=4K", "--linger-partial=never"]);
    until("the lines", || (stage.sink.exists() && stage.shipped() == long).then_some(()));
    assert!(shipper.is_running());
    let cuts: Vec<String> = units(&stage.sink).iter().map(|unit| unit.field("mm-cut").to_owned()).collect();
    assert_eq!(cuts[cuts.len() - 3..], ["end", "both", "start"], "{cuts:?}");
    stage.append(b", but now\n");
    let whole = [&long[..], b"no end yet, but now\n"].concat();
    until("the line", || (stage.shipped() == whole).then_some(()));
    stage.append(b"never ended");
    shipper.end().is(0, "");
    assert_eq!(stage.shipped(), whole);
    stage.ship(&[]).is(0, "");
    assert_eq!(stage.shipped(), [&whole[..], b"never ended"].concat());
    assert_eq!(units(&stage.sink).last().unwrap().field("mm-cut"), "end");
}

#[test]
fn one_that_follows_is_ended_by_a_signal_when_what_was_on_its_way_has_arrived() {
    let stage = Stage::new();
    let mut all = stage.lines(0, 10);
    let shipper = stage.start(&["--linger=1ms"]);
    let mut next = 10;
    for _ in 0..5 {
        all.extend(stage.lines(next, next + 100));
        next += 100;
        stage.rotate();
        until("the lines", || (stage.sink.exists() && stage.shipped() == all).then_some(()));
    }
    shipper.end().is(0, "");
    assert_eq!(stage.written("to"), all.len() as u64);
    assert_eq!(stage.written("bytes"), all.len() as u64);
}

#[test]
fn a_second_one_ends_with_3_and_says_who_is_the_first() {
    let stage = Stage::new();
    stage.lines(0, 10);
    let first = stage.start(&[]);
    until("the first", || stage.checkpoint().exists().then_some(()));
    let pid = first.pid();
    stage.ship(&[]).is(3, &format!("pid {pid} "));
    // With a checkpoint of its own it meets the first one at the sink.
    stage.ship(&["--name=another"]).is(3, &format!("pid {pid} "));
    first.end().is(0, "");
}

#[test]
fn a_sink_that_was_put_back_is_filled_again_and_that_is_counted() {
    let stage = Stage::new();
    let mut all = stage.lines(0, 500);
    stage.ship(&[]).is(0, "");
    let copied = stage.dir.path().join("copy");
    copy(&stage.sink, &copied);
    let before = all.len() as u64;
    all.extend(stage.lines(500, 900));
    stage.ship(&[]).is(0, "");
    fs::remove_dir_all(&stage.sink).unwrap();
    copy(&copied, &stage.sink);
    let lost = all.len() as u64 - before;
    all.extend(stage.lines(900, 1000));
    stage.ship(&[]).is(0, &format!("the sink lost {lost} bytes"));
    assert_eq!(stage.shipped(), all);
    assert_eq!(stage.written("resent"), lost);
}

#[test]
fn a_sink_that_is_put_back_under_a_running_one_is_filled_again() {
    let stage = Stage::new();
    let mut all = stage.lines(0, 500);
    stage.ship(&[]).is(0, "");
    let copied = stage.dir.path().join("copy");
    copy(&stage.sink, &copied);
    let shipper = stage.start(&["--linger=1ms"]);
    all.extend(stage.lines(500, 600));
    until("their acknowledgement", || (stage.written("to") == all.len() as u64).then_some(()));
    for file in unit_files(&stage.sink) {
        fs::remove_file(file).unwrap();
    }
    copy(&copied, &stage.sink);
    all.extend(stage.lines(600, 700));
    until("all lines", || (stage.shipped() == all).then_some(()));
    shipper.end().is(0, "the sink lost");
}

#[test]
fn a_sink_is_what_it_says_of_itself_whatever_its_address() {
    let mut stage = Stage::new();
    let mut all = stage.lines(0, 500);
    stage.ship(&[]).is(0, "");
    let moved = stage.dir.path().join("moved");
    fs::rename(&stage.sink, &moved).unwrap();
    stage.sink = moved;
    all.extend(stage.lines(500, 600));
    let ended = stage.ship(&["--name=file-sink"]).is(0, "");
    assert_eq!(ended.said, "");
    assert_eq!(stage.shipped(), all);
    // Another one there is another one.
    stage.sink = stage.dir.path().join("sink");
    stage.ship(&["--name=file-sink"]).is(4, "--sink-is-new");
}

/// Puts a unit behind what is there that says of bytes that there are none.
fn forge(stage: &Stage, why: Why, upto: u64) {
    let mut sink = FileSink::new(&stage.sink);
    sink.open(Purpose::Ship).unwrap();
    let tail = sink.look().unwrap();
    let (Content::Unit(last), Some(top)) = (tail.content, tail.top) else { panic!("{tail:?}") };
    let unit =
        Header { kind: Kind::Gap(why), from: last.to, to: upto, sum: 0, after: top.id, over: top.by, ..last };
    sink.send(&Message { unit: &unit, after: tail.coordinate, cut: Cut::default(), payload: b"" }).unwrap();
    while sink.poll(Duration::ZERO).unwrap().is_none() {}
}

#[test]
fn a_gap_that_the_log_has_bytes_for_is_believed_by_nobody() {
    for why in [Why::Hole, Why::Pruned, Why::Lost] {
        let stage = Stage::new();
        let first = stage.lines(0, 500);
        stage.ship(&[]).is(0, "");
        stage.lines(500, 600);
        forge(&stage, why, first.len() as u64 + 70);
        for how in ["--until-now", "--check"] {
            let ended = stage.command(&[how]).output().unwrap();
            Ended::of(&ended).is(4, "it has another history than the log");
        }
        // A reader has only the log to ask.
        let into = stage.dir.path().join("into");
        let mut receive = Command::new(env!("CARGO_BIN_EXE_mmlogctl-ship"));
        receive.args(["receive", &stage.to(), "--into"]).arg(&into).arg("--verify").arg(&stage.log);
        let says = format!("at position {}: it was told that there are no bytes", first.len());
        Ended::of(&receive.output().unwrap()).is(4, &says);
    }
}

#[test]
fn a_sink_that_was_wiped_needs_a_person() {
    let stage = Stage::new();
    let all = stage.lines(0, 500);
    stage.ship(&[]).is(0, "");
    for way in ["restart", "continue"] {
        fs::remove_dir_all(&stage.sink).unwrap();
        stage.ship(&[]).is(4, "--sink-is-new restart");
        assert!(unit_files(&stage.sink).is_empty(), "nothing is sent");
        stage.ship(&[&format!("--sink-is-new={way}")]).is(0, "a chain begins");
        let has = stage.shipped();
        assert!(if way == "restart" { has == all } else { has.is_empty() }, "{way}: {}", has.len());
    }
}

#[test]
fn a_lost_checkpoint_costs_nothing_a_damaged_one_is_said_and_a_later_one_is_refused() {
    let stage = Stage::new();
    let mut all = stage.lines(0, 500);
    stage.ship(&[]).is(0, "");
    fs::remove_file(stage.checkpoint()).unwrap();
    all.extend(stage.lines(500, 600));
    stage.ship(&[]).is(0, "");
    assert_eq!(stage.shipped(), all);

    let file = OpenOptions::new().write(true).open(stage.checkpoint()).unwrap();
    file.write_all_at(b"X", 40).unwrap();
    all.extend(stage.lines(600, 700));
    stage.ship(&[]).is(0, "is damaged: its sum is another");
    assert_eq!(stage.shipped(), all);

    fs::write(stage.checkpoint(), "version 2\n").unwrap();
    stage.ship(&[]).is(4, "is of version 2, and this program reads up to 1");
    // With the sink empty, too, what the hold says is no first start.
    fs::remove_file(stage.checkpoint()).unwrap();
    fs::remove_dir_all(&stage.sink).unwrap();
    stage.ship(&[]).is(4, "--sink-is-new");
}

#[test]
fn a_torn_end_of_a_file_does_not_count_and_stays() {
    let stage = Stage::new();
    let mut all = stage.lines(0, 2000);
    stage.ship(&["--unit=4K"]).is(0, "");
    let file = unit_files(&stage.sink).pop().unwrap();
    let len = fs::metadata(&file).unwrap().len();
    for cut in [1, 100, 4000, 9000] {
        OpenOptions::new().write(true).open(&file).unwrap().set_len(len - cut).unwrap();
        all.extend(stage.lines(0, 10));
        stage.ship(&["--unit=4K"]).is(0, "the sink lost");
        assert_eq!(stage.shipped(), all);
        fs::remove_file(unit_files(&stage.sink).pop().unwrap()).unwrap();
    }
    // A byte that is another.
    let file = OpenOptions::new().write(true).open(&file).unwrap();
    file.write_all_at(b"X", 20_000).unwrap();
    stage.ship(&["--unit=4K"]).is(0, "the sink lost");
    assert_eq!(stage.shipped(), all);
}

#[test]
fn what_a_dead_writer_left_is_a_gap_with_its_kind() {
    let stage = Stage::new();
    let mut all = stage.lines(0, 10);
    Surgeon::new(&stage.log).append_in_flight(3, COPYING, 100);
    all.extend(stage.lines(10, 20));
    stage.ship(&[]).is(0, "have no content: a writer ended in the middle");
    assert_eq!(stage.shipped(), all);
    let gaps: Vec<_> =
        units(&stage.sink).into_iter().filter(|unit| unit.field("mm-kind") == "hole").collect();
    assert_eq!(gaps.iter().map(|gap| gap.number("mm-to") - gap.number("mm-from")).collect::<Vec<_>>(), [100]);
    assert_eq!(stage.written("gaps"), 100);
}

#[test]
fn what_was_pruned_or_taken_before_it_was_shipped_needs_a_person_and_is_a_gap() {
    let stage = Stage::new();
    let mut all = stage.lines(0, 100);
    stage.ship(&[]).is(0, "");
    let (from, _) = (all.len(), stage.rotate());
    stage.lines(100, 200);
    let to = from + fs::metadata(&stage.log).unwrap().len() as usize;
    stage.rotate();
    all.extend(stage.lines(200, 300));
    stage.open().forget("ship:file-sink").unwrap();
    stage.open().prune(&Retention::default().keep(0)).unwrap();
    stage.ship(&[]).is(4, &format!("no bytes {from} to {to} any more"));
    stage.ship(&["--accept-gap"]).is(0, "is announced");
    assert_eq!(stage.shipped(), all);

    // In the middle of what is kept.
    let (from, taken) = (all.len() + to - from, stage.rotate());
    stage.append(b"x\n");
    let taken = (stage.rotate(), taken).0;
    all.extend_from_slice(&stage.lines(300, 400));
    fs::remove_file(taken).unwrap();
    stage.ship(&[]).is(4, "--accept-gap");
    stage.ship(&["--accept-gap"]).is(0, &format!("bytes {from} to {} have no content", from + 2));
    assert_eq!(stage.shipped(), all);
    let kinds: Vec<String> = units(&stage.sink).iter().map(|unit| unit.field("mm-kind").to_owned()).collect();
    let gaps: Vec<&String> =
        kinds.iter().filter(|kind| ["pruned", "lost"].contains(&kind.as_str())).collect();
    assert_eq!(gaps, ["pruned", "lost"]);
}

#[test]
fn prune_keeps_what_was_not_acknowledged_for_long_enough_and_names_the_shipper() {
    let stage = Stage::new();
    stage.lines(0, 100);
    stage.ship(&["--keep-acked=1h"]).is(0, "");
    stage.rotate();
    let log = stage.open();
    let keeps = || log.prune(&Retention::default().keep(0)).unwrap();
    assert!(keeps().is_empty());
    assert_eq!(log.holds()[0].name, "ship:file-sink");
    // The run after finds it acknowledged long ago.
    stage.ship(&["--keep-acked=0s"]).is(0, "");
    assert!(!keeps().is_empty());
}

#[test]
fn a_log_that_was_copied_and_went_on_is_another_history() {
    let stage = Stage::new();
    stage.lines(0, 100);
    let copied = stage.dir.path().join("copy");
    fs::create_dir(&copied).unwrap();
    for name in ["app.log", "app.log.mmlog"] {
        fs::copy(stage.dir.path().join(name), copied.join(name)).unwrap();
    }
    stage.lines(100, 200);
    stage.ship(&[]).is(0, "");
    for name in ["app.log", "app.log.mmlog"] {
        fs::copy(copied.join(name), stage.dir.path().join(name)).unwrap();
    }
    stage.lines(300, 500);
    let had = stage.shipped();
    stage.ship(&[]).is(4, "--accept-fork begins a new chain");
    assert_eq!(stage.shipped(), had);
    stage.ship(&["--accept-fork"]).is(0, "a chain begins at position 0");
    assert_eq!(stage.shipped(), [had, committed(&stage.log)].concat());
}

#[test]
fn a_segment_that_somebody_removed_after_it_was_shipped_makes_no_other_history() {
    let stage = Stage::new();
    let mut all = stage.lines(0, 100);
    stage.rotate();
    all.extend(stage.lines(100, 200));
    let segment = stage.rotate();
    all.extend(stage.lines(200, 300));
    stage.ship(&[]).is(0, "");
    fs::remove_file(segment).unwrap();
    all.extend(stage.lines(300, 400));
    stage.ship(&[]).is(0, "was not compared");
    assert_eq!(stage.shipped(), all);
}

#[test]
fn a_log_that_was_made_anew_is_shipped_behind_the_old_one() {
    let stage = Stage::new();
    let old = stage.lines(0, 100);
    let mut all = old.clone();
    let shipper = stage.start(&["--linger=1ms"]);
    until("the old log", || (stage.sink.exists() && stage.shipped() == all).then_some(()));
    mmlog::remove(&stage.log, mmlog::Force::Always, &mmlog::Log::options()).unwrap();
    all.extend(stage.lines(100, 200));
    until("the new log", || (stage.shipped() == all).then_some(()));
    shipper.end().is(0, "the log was made anew");
    let logs: std::collections::BTreeSet<_> =
        units(&stage.sink).iter().map(|unit| unit.field("mm-log").to_owned()).collect();
    assert_eq!(logs.len(), 2);
    assert_eq!(committed(&stage.log), all[old.len()..]);
}

#[test]
fn a_full_disk_for_the_checkpoint_stops_nothing_and_one_at_the_sink_is_waited_for() {
    let Some(disk) = Disk::new(1 << 20) else { return };
    let mut stage = Stage::new();
    stage.sink = disk.0.path().join("sink");
    let checkpoint = disk.0.path().join("place");
    let checkpoint = format!("--checkpoint={}", checkpoint.display());
    let mut all = stage.lines(0, 100);
    stage.ship(&[&checkpoint, "--name=file-sink"]).is(0, "");
    let ballast = disk.ballast("ballast", 600 << 10);
    let filler = fill(&disk);
    // The spare has its space; what is shipped has none.
    all.extend(stage.lines(100, 9000));
    let shipper = stage.start(&[&checkpoint, "--name=file-sink", "--linger=1ms"]);
    until("it is tried", || disk.0.path().join("sink/new").exists().then_some(()));
    fs::remove_file(ballast).unwrap();
    until("the lines", || (stage.shipped() == all).then_some(()));
    shipper.end().is(0, "reached again");
    fs::remove_file(filler).unwrap();

    // A disk for the checkpoint alone.
    stage.sink = stage.dir.path().join("other");
    let name = "--name=other";
    stage.ship(&[&checkpoint.replace("place", "other"), name]).is(0, "");
    let filler = fill(&disk);
    all.extend(stage.lines(9000, 9500));
    stage.ship(&[&checkpoint.replace("place", "other"), name]).is(0, "");
    assert_eq!(stage.shipped(), all);
    let text = fs::read_to_string(disk.0.path().join("other")).unwrap();
    assert!(text.contains(&format!("\nto {}\n", all.len())), "{text}");
    fs::remove_file(filler).unwrap();
}

/// Leaves no space.
fn fill(disk: &Disk) -> PathBuf {
    let path = disk.0.path().join("filler");
    let mut file = fs::File::create(&path).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    path
}

#[test]
fn a_reader_written_from_the_page_alone_reads_what_was_shipped() {
    let stage = Stage::new();
    let mut all = stage.lines(0, 300);
    stage.ship(&["--unit=2K"]).is(0, "");
    Surgeon::new(&stage.log).append_in_flight(3, COPYING, 100);
    all.extend(stage.lines(300, 400));
    stage.ship(&["--unit=2K"]).is(0, "");
    let reader = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reader.py");
    let Ok(read) = Command::new("python3").arg(reader).arg(&stage.sink).output() else {
        println!("SKIPPED: no python3");
        return;
    };
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    assert!(read.stdout == all);
}

#[test]
fn what_others_have_not_synced_waits_where_they_do_it() {
    let stage = Stage::new();
    let log = stage::options().open_or_create(&stage.log).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(b"durable\n").unwrap();
    log.sync().unwrap();
    writer.append(b"not yet\n").unwrap();
    stage.ship(&["--sync=wait"]).is(0, "");
    assert_eq!(stage.shipped(), b"durable\n");
    let shipper = stage.start(&["--sync=wait", "--linger=1ms"]);
    log.sync().unwrap();
    until("what is durable now", || (stage.shipped() == b"durable\nnot yet\n").then_some(()));
    shipper.end().is(0, "");
}

#[test]
fn a_first_start_begins_where_it_is_told_and_a_later_one_where_the_sink_is() {
    let stage = Stage::new();
    let all = stage.lines(0, 100);
    let half = b"line 0 of some length\n".len() * 3;
    stage.ship(&["--from", &half.to_string()]).is(0, &format!("a chain begins at position {half}"));
    assert_eq!(stage.shipped(), all[half..]);
    let more = stage.lines(100, 110);
    stage.ship(&["--from=oldest"]).is(0, "");
    assert_eq!(stage.shipped(), [&all[half..], &more].concat());
    let other = format!("file:{}", stage.dir.path().join("other").display());
    let mut newest = Command::new(env!("CARGO_BIN_EXE_mmlogctl-ship"));
    newest.arg("ship").arg(&stage.log).args(["--until-now", "--from=newest", "--to", &other]);
    Ended::of(&newest.output().unwrap()).is(0, &format!("begins at position {}", all.len() + more.len()));
}

#[test]
fn a_wrong_command_line_is_2_and_what_cannot_be_opened_is_1() {
    let stage = Stage::new();
    let run = |words: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mmlogctl-ship"));
        Ended::of(&command.args(words).output().unwrap())
    };
    run(&["ship", "x.log", "--to", "nowhere:x"]).is(2, "no such sink");
    run(&["ship", "x.log"]).is(2, "--to");
    let to = stage.to();
    run(&["ship", "x.log", "--to", &to, "--name", "a/b"]).is(2, "no name of a shipper");
    stage.ship(&[]).is(1, "app.log");
    stage.append(b"x\n");
    fs::write(&stage.sink, "a file").unwrap();
    stage.ship(&[]).is(1, "sink");
}
