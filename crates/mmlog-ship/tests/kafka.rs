//! Guards shipping to Kafka: each byte counts once, whoever is killed and whatever leaders go down; what does not count is seen, and said.
//!
//! The cluster is the client's own, made for such tests (`kafka_stage`). It keeps the last 5 MB of a partition, so who reads, reads along.
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

#[path = "../../../tests/common/mod.rs"]
mod common;
mod kafka_stage;
#[path = "stage/served.rs"]
mod served;
mod stage;
#[path = "kafka/trouble.rs"]
mod trouble;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use common::{Random, message, seed, until};
use kafka_stage::Cluster;
use mmlog::{Compress, Compression, Retention};
use mmlog_ship::Trouble;
use mmlog_ship::decide::Content;
use mmlog_ship::sinks::kafka::{Address, KafkaSink};
use mmlog_ship::sinks::{Cut, Message, Patience, Purpose, Secrets, Sink};
use mmlog_ship::unit::{Header, Kind, Proof};
use stage::{Ended, Shipper, Stage};

#[test]
fn what_is_there_is_shipped_and_a_second_run_goes_on_behind_it() {
    let (cluster, stage) = (Cluster::start(), Stage::new());
    let mut all = stage.lines(0, 2000);
    let checked = Ended::of(&stage.shipping(&cluster.address(), &["--check"]).output().unwrap());
    assert!(
        checked.printed.contains("strength at least once: doubles are seen and counted\n"),
        "{checked:?}"
    );
    assert_eq!(cluster.end(), 0);
    stage.append(&[&[b'x'; 30_000][..], b"\n"].concat());
    all.extend([&[b'x'; 30_000][..], b"\n"].concat());
    stage.shipped_to(&cluster.address(), &["--unit=8K"]).is(0, "a chain begins at position 0");
    stage.rotate();
    all.extend(stage.lines(2000, 6000));
    stage.shipped_to(&cluster.address(), &[]).is(0, "");
    assert!(cluster.shipped() == (all, 0));
    assert!(stage.checkpoint_of("kafka-logs-0").exists());
}

/// An empty unit that follows what `tail` has, of that connection.
fn unit(kind: Kind, after: u64, by: u64, range: (u64, u64), payload: &[u8]) -> Header {
    let (sum, proof) = (mmlog_ship::sum::extend(0, payload), Proof::at(range.1));
    let (from, to) = range;
    Header { kind, log: 7, epoch: 0, from, to, sum, proof, after, over: 0, by, connection: 1 }
}

fn send(sink: &mut KafkaSink, unit: &Header, after: u64, payload: &[u8]) -> Result<u64, Trouble> {
    sink.send(&Message { unit, after, cut: Cut::default(), payload })?;
    until("it answers", || sink.poll(Duration::from_millis(100)).transpose())
}

fn connection(cluster: &Cluster) -> KafkaSink {
    let patience = Patience::new(Duration::from_secs(30), Arc::default());
    let mut sink = KafkaSink::new(Address::read(&cluster.address()).unwrap(), Secrets::default(), patience);
    sink.open(Purpose::Ship).unwrap();
    sink.look().unwrap();
    sink
}

#[test]
fn what_a_connection_that_was_overtaken_still_sends_does_not_count_and_that_is_said() {
    let cluster = Cluster::start();
    let mut old = connection(&cluster);
    assert_eq!(old.look().unwrap().content, Content::Empty);
    let opening = unit(Kind::Opening, 0, 1, (0, 0), b"");
    assert_eq!(send(&mut old, &opening, 0, b"").unwrap(), 1);
    let begin = unit(Kind::Begin, opening.id(), 1, (0, 0), b"");
    assert_eq!(send(&mut old, &begin, 1, b"").unwrap(), 2);
    let abc = unit(Kind::Content, begin.id(), 1, (0, 3), b"abc");
    assert_eq!(send(&mut old, &abc, 2, b"abc").unwrap(), 3);
    let mut new = connection(&cluster);
    let second = unit(Kind::Opening, abc.id(), 2, (3, 3), b"");
    assert_eq!(send(&mut new, &second, 3, b"").unwrap(), 4);
    // Two that come late: they are there, and are no part of the log.
    let late = unit(Kind::Content, abc.id(), 1, (3, 8), b"defgh");
    old.send(&Message { unit: &late, after: 3, cut: Cut::default(), payload: b"defgh" }).unwrap();
    let later = unit(Kind::Content, late.id(), 1, (8, 11), b"ijk");
    old.send(&Message { unit: &later, after: 4, cut: Cut::default(), payload: b"ijk" }).unwrap();
    let refused = until("it answers", || match old.poll(Duration::from_millis(100)) {
        Ok(None) => None,
        answer => Some(answer),
    });
    assert!(matches!(refused, Err(Trouble::Refused(_))), "{refused:?}");
    until("both are there", || (cluster.end() == 6).then_some(()));
    let tail = new.look().unwrap();
    assert_eq!((tail.coordinate, tail.top.unwrap().id), (6, second.id()));
    assert_eq!(tail.content, Content::Unit(abc));
    // Who has sent one in between hears that, as of an answer that never came.
    let next = unit(Kind::Content, second.id(), 2, (3, 5), b"de");
    let answer = send(&mut new, &next, 4, b"de");
    assert!(matches!(answer, Err(Trouble::Refused(_))), "{answer:?}");
    let mut third = connection(&cluster);
    let notes = third.notes().join("\n");
    assert!(notes.contains("from offset 4 on, 2 units with 8 bytes follow none"), "{notes}");
    assert_eq!(third.look().unwrap().top.unwrap().id, next.id());
    assert_eq!(cluster.shipped(), (b"abcde".to_vec(), 2));
}

#[test]
fn of_two_shippers_of_two_hosts_one_ends_and_each_byte_counts_once() {
    let (cluster, stage) = (Cluster::start(), Stage::new());
    let mut all = stage.lines(0, 100);
    let reader = cluster.reader();
    let start = |more: &[&str]| Some(Shipper::of(&mut stage.shipping(&cluster.address(), more)));
    let mut first = start(&["--linger=1ms"]);
    until("it ships", || (reader.bytes() > 0).then_some(()));
    let other = stage.dir.path().join("other").display().to_string();
    let mut second = start(&["--linger=1ms", "--name=other", "--checkpoint", &other]);
    let mut number = 100;
    let ended = until("one of them ends", || {
        all.extend(stage.lines(number, number + 10));
        number += 10;
        [&mut first, &mut second].into_iter().find_map(|shipper| {
            let has_ended = shipper.as_mut().is_some_and(|shipper| !shipper.is_running());
            if has_ended { shipper.take() } else { None }
        })
    });
    ended.wait().is(3, "another shipper");
    let left = first.or(second).unwrap();
    until("all is there", || (reader.bytes() == all.len()).then_some(()));
    left.end().is(0, "");
    let (bytes, beside) = reader.end();
    println!("{beside} records do not count");
    assert!(bytes == all);
}

/// So much may come at once and the cluster still have it when the reader, who may be slow, comes to it.
const MOST: usize = 2 << 20;

#[test]
fn each_byte_counts_once_whoever_is_killed_and_whatever_goes_down() {
    let (mut cluster, stage, mut random) = (Cluster::start(), Stage::new(), Random::new(seed()));
    stage.lines(0, 10);
    let (address, reader) = (cluster.address(), cluster.reader());
    stage.shipped_to(&address, &[]).is(0, "");
    let log = stage::options().open_or_create(&stage.log).unwrap();
    let kills = std::env::var("MMLOG_KILLS").map_or(10, |kills| kills.parse().unwrap());
    let mut all = std::fs::read(stage.rotate()).unwrap();
    let more = ["--linger=1ms", "--keep-acked=10s", "--unit=16K", "--in-flight=256K", "--timeout=1s"];
    for round in 0..kills {
        let shipper = Shipper::of(&mut stage.shipping(&address, &more));
        thread::scope(|scope| {
            let log = &log;
            scope.spawn(move || {
                let mut writer = log.writer().unwrap();
                for number in 0..1500 {
                    writer.append(&message(0, round * 1500 + number, 300)).unwrap();
                    if number % 30 == 0 {
                        thread::sleep(Duration::from_millis(10));
                    }
                }
            });
            for _ in 0..=random.below(3) {
                thread::sleep(Duration::from_millis(random.below(300)));
                cluster.fail();
                thread::sleep(Duration::from_millis(random.below(50)));
                cluster.go_on();
            }
        });
        all.extend(std::fs::read(stage.rotate()).unwrap());
        if random.below(2) == 0 {
            log.compress(&Compress::new(Compression::Zstd), |_| {}).unwrap();
        }
        log.prune(&Retention::default().keep(0)).unwrap();
        shipper.kill();
        reader.reads_to(cluster.end());
        if all.len() - reader.bytes() > MOST {
            stage.shipped_to(&address, &[]).is(0, "");
            reader.reads_to(cluster.end());
        }
    }
    stage.shipped_to(&address, &[]).is(0, "");
    reader.reads_to(cluster.end());
    let (bytes, beside) = reader.end();
    println!("{} bytes, {beside} records do not count", bytes.len());
    assert!(bytes == all);
}

#[test]
fn without_its_checkpoint_it_goes_on_behind_what_certainly_counts_and_asks_where_too_little_is_left() {
    let cluster = Cluster::start();
    for (number, unit, code) in [(0, "--unit=16K", 0), (1, "--unit=900K", 4)] {
        let (stage, to) = (Stage::new(), cluster.partition(number));
        // More than the cluster keeps: the opening is gone.
        stage.append(&b"some line that is like all others\n".repeat(200_000));
        stage.shipped_to(&to, &[unit]).is(0, "");
        let checkpoint = stage.checkpoint_of(&format!("kafka-logs-{number}"));
        std::fs::remove_file(&checkpoint).unwrap();
        stage.shipped_to(&to, &[unit]).is(code, if code == 4 { "--sink-is-new continue" } else { "" });
        if code == 4 {
            stage.shipped_to(&to, &["--sink-is-new=continue"]).is(0, "");
        }
        // Behind an opening that was gone on from it is certain again.
        stage.lines(0, 10);
        stage.shipped_to(&to, &[unit]).is(0, "");
        std::fs::remove_file(&checkpoint).unwrap();
        stage.shipped_to(&to, &[unit]).is(0, "");
    }
}
