//! Guards shipping to Redis: each byte is in the stream once, whichever side is killed, and nobody else gets in between.
//!
//! Servers are started by the tests, on ports of their own. Where there is no `redis-server` the tests say SKIPPED.
#![cfg(feature = "redis")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

#[path = "../../../tests/common/mod.rs"]
mod common;
#[path = "stage/denied.rs"]
mod denied;
#[path = "redis/keeping.rs"]
mod keeping;
#[path = "stage/proxy.rs"]
mod proxy;
#[path = "redis/receiving.rs"]
mod receiving;
mod redis_stage;
#[path = "stage/served.rs"]
mod served;
mod stage;
#[path = "stage/storm.rs"]
mod storm;
#[path = "redis/trouble.rs"]
mod trouble;
#[path = "stage/weather.rs"]
mod weather;

use std::sync::Arc;
use std::time::Duration;

use common::until;
use mmlog_ship::Trouble;
use mmlog_ship::decide::Content;
use mmlog_ship::sinks::redis::{Address, RedisSink};
use mmlog_ship::sinks::{Cut, Message, Patience, Purpose, Secrets, Sink};
use mmlog_ship::unit::{Header, Kind, Proof};
use redis_stage::{KEY, Server};
use stage::{Ended, Shipper, Stage};
use storm::{kills, storm};

impl Stage {
    fn ship_to(&self, server: &Server, more: &[&str]) -> Ended {
        self.shipped_to(&server.address(), more)
    }
}

#[test]
fn what_is_there_is_shipped_and_a_second_run_goes_on_behind_it() {
    let Some(mut server) = Server::start() else { return };
    let stage = Stage::new();
    let mut all = stage.lines(0, 2000);
    stage.append(&[&[b'x'; 30_000][..], b"\n"].concat());
    all.extend([&[b'x'; 30_000][..], b"\n"].concat());
    stage.ship_to(&server, &["--unit=8K"]).is(0, "a chain begins at position 0");
    stage.rotate();
    all.extend(stage.lines(2000, 6000));
    server.process.restart();
    stage.ship_to(&server, &[]).is(0, "");
    assert!(server.shipped() == all);
}

/// An empty unit that follows what `tail` has, of that connection.
fn unit(kind: Kind, after: u64, by: u64, range: (u64, u64), payload: &[u8]) -> Header {
    let (sum, proof) = (mmlog_ship::sum::extend(0, payload), Proof::at(range.1));
    let (from, to) = range;
    Header { kind, log: 7, epoch: 0, from, to, sum, proof, after, over: 0, by, connection: 1 }
}

fn queue(sink: &mut RedisSink, unit: &Header, after: u64, payload: &[u8]) -> Result<(), Trouble> {
    sink.send(&Message { unit, after, cut: Cut::default(), payload })
}

fn answer(sink: &mut RedisSink) -> Result<Option<u64>, Trouble> {
    for _ in 0..100 {
        if let Some(at) = sink.poll(Duration::from_millis(100))? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

fn send(sink: &mut RedisSink, unit: &Header, after: u64, payload: &[u8]) -> Result<Option<u64>, Trouble> {
    queue(sink, unit, after, payload)?;
    answer(sink)
}

fn connection(server: &Server) -> RedisSink {
    let address = Address::read(&server.address()).unwrap();
    let patience = Patience::new(Duration::from_secs(10), Arc::default());
    let mut sink = RedisSink::new(address, Secrets::default(), patience);
    until("the server answers", || sink.open(Purpose::Ship).ok());
    sink.look().unwrap();
    sink
}

/// A sink with an opening, a beginning and three bytes.
fn begun(server: &Server) -> (RedisSink, Header) {
    let mut sink = connection(server);
    assert_eq!(sink.look().unwrap().content, Content::Empty);
    let opening = unit(Kind::Opening, 0, 1, (0, 0), b"");
    assert_eq!(send(&mut sink, &opening, 0, b"").unwrap(), Some(1));
    let begin = unit(Kind::Begin, opening.id(), 1, (0, 0), b"");
    assert_eq!(send(&mut sink, &begin, 1, b"").unwrap(), Some(2));
    let content = unit(Kind::Content, begin.id(), 1, (0, 3), b"abc");
    assert_eq!(send(&mut sink, &content, 2, b"abc").unwrap(), Some(3));
    (sink, content)
}

#[test]
fn a_unit_goes_in_behind_the_one_that_was_looked_at_alone() {
    let Some(server) = Server::start() else { return };
    let (mut sink, content) = begun(&server);
    let next = |after| unit(Kind::Content, after, 1, (3, 6), b"def");
    for (after, place) in [(content.id(), 2), (content.id(), 4), (content.id() - 1, 3), (0, 3)] {
        let refused = send(&mut connection(&server), &next(after), place, b"def");
        assert!(matches!(refused, Err(Trouble::Refused(_))), "{place}: {refused:?}");
    }
    // Both have looked at the same.
    let mut other = connection(&server);
    assert_eq!(send(&mut other, &next(content.id()), 3, b"def").unwrap(), Some(4));
    let late = send(&mut sink, &next(content.id()), 3, b"def");
    assert!(matches!(late, Err(Trouble::Refused(_))), "{late:?}");
    let tail = connection(&server).look().unwrap();
    assert_eq!((tail.coordinate, tail.top.unwrap().id), (4, next(content.id()).id()));
}

#[test]
fn whatever_is_done_to_the_key_between_two_transactions_refuses_the_second_as_a_whole() {
    let Some(server) = Server::start() else { return };
    let changes: [&[&str]; 6] = [
        &["DEL", KEY],
        &["FLUSHALL"],
        &["XADD", KEY, "*", "a", "b"],
        &["XADD", KEY, "4-7", "a", "b"],
        &["RENAME", KEY, "elsewhere"],
        // It is again what it was a unit ago.
        &["COPY", "earlier", KEY, "REPLACE"],
    ];
    for change in changes {
        server.told(&["FLUSHALL"]);
        let (mut sink, content) = begun(&server);
        server.told(&["COPY", KEY, "earlier"]);
        let before = unit(Kind::Content, content.id(), 1, (3, 6), b"def");
        assert_eq!(send(&mut sink, &before, 3, b"def").unwrap(), Some(4));
        server.told(change);
        let last = server.last();
        let next = unit(Kind::Content, before.id(), 1, (6, 9), b"ghi");
        let behind = unit(Kind::Content, next.id(), 1, (9, 12), b"jkl");
        queue(&mut sink, &next, 4, b"ghi").unwrap();
        queue(&mut sink, &behind, 5, b"jkl").unwrap();
        let refused = answer(&mut sink);
        assert!(matches!(refused, Err(Trouble::Refused(_))), "{change:?}: {refused:?}");
        assert_eq!(server.last(), last, "{change:?}: something of it went in");
    }
}

#[test]
fn a_sink_that_is_put_back_is_filled_up_again_and_one_that_is_wiped_needs_a_person() {
    let Some(mut server) = Server::start() else { return };
    let stage = Stage::new();
    let mut all = stage.lines(0, 500);
    stage.ship_to(&server, &[]).is(0, "");
    server.process.kill();
    let earlier = stage.dir.path().join("earlier");
    server.process.save(&earlier);
    server.process.go_on();
    all.extend(stage.lines(500, 1500));
    stage.ship_to(&server, &[]).is(0, "");
    server.process.kill();
    server.process.put_back(&earlier);
    server.process.go_on();
    stage.ship_to(&server, &[]).is(0, "it had acknowledged: they are sent again");
    assert!(server.shipped() == all);
    for wiped in [&["DEL", KEY][..], &["FLUSHALL"], &["RENAME", KEY, "elsewhere"]] {
        server.told(wiped);
        for _ in 0..2 {
            stage.ship_to(&server, &[]).is(4, "--sink-is-new");
        }
        stage.ship_to(&server, &["--sink-is-new=restart"]).is(0, "");
        assert!(server.shipped() == all);
    }
    // What says when it was made is gone: the rest is whole, and is gone on with.
    let born = connection(&server).look().unwrap().born;
    server.told(&["XGROUP", "DESTROY", KEY, &format!("mmlog-{born:016x}")]);
    all.extend(stage.lines(1500, 1600));
    stage.ship_to(&server, &[]).is(4, "--sink-is-new");
    stage.ship_to(&server, &["--sink-is-new=continue"]).is(0, "");
    assert!(server.shipped() == all);
    server.process.kill();
    server.process.wipe();
    server.process.go_on();
    stage.ship_to(&server, &[]).is(4, "--sink-is-new");
    stage.ship_to(&server, &["--sink-is-new=restart"]).is(0, "");
    assert!(server.shipped() == all);
}

#[test]
fn a_stream_that_was_made_anew_and_filled_by_another_shipper_of_the_same_log_is_noticed() {
    let Some(server) = Server::start() else { return };
    let stage = Stage::new();
    stage.lines(0, 500);
    stage.ship_to(&server, &["--keep-acked=1ms"]).is(0, "");
    server.told(&["DEL", KEY]);
    stage.lines(500, 1000);
    // It begins later, and has more.
    let other = stage.dir.path().join("other").display().to_string();
    let from = ["--name=other", "--checkpoint", &other, "--from=5000"];
    stage.ship_to(&server, &from).is(0, "a chain begins at position 5000");
    stage.ship_to(&server, &[]).is(4, "--sink-is-new");
}

#[test]
fn retention_takes_what_it_likes_and_the_shipper_goes_on() {
    let Some(mut server) = Server::start() else { return };
    let stage = Stage::new();
    let mut all = stage.lines(0, 500);
    for (round, kept) in [3, 1, 0, 0].into_iter().enumerate() {
        stage.ship_to(&server, &["--unit=4K"]).is(0, "");
        let had = server.last();
        server.trim_to(kept);
        if round % 2 == 1 {
            server.process.restart();
        }
        assert_eq!(server.last(), had);
        all.extend(stage.lines(1000 * (round as u64 + 1), 1000 * (round as u64 + 1) + 100));
        let sent = all.len() - server.shipped().len();
        stage.ship_to(&server, &["--unit=4K"]).is(0, "");
        let has = server.shipped();
        assert!(all.ends_with(&has) && has.len() > 1000, "{} of {sent}", has.len());
    }
    // Those that are read and removed one by one, from the end on, too.
    let last = server.last();
    server.told(&["XDEL", KEY, &format!("{last}-0"), &format!("{}-0", last - 1)]);
    stage.lines(9000, 9100);
    stage.ship_to(&server, &[]).is(0, "");
    assert!(server.last() > last);
}

#[test]
fn of_two_shippers_of_two_hosts_one_ends_and_each_byte_is_there_once() {
    let Some(server) = Server::start() else { return };
    let stage = Stage::new();
    let mut all = stage.lines(0, 100);
    let start = |more: &[&str]| Some(Shipper::of(&mut stage.shipping(&server.address(), more)));
    let mut first = start(&["--linger=1ms"]);
    until("it ships", || (server.last() > 2).then_some(()));
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
    until("all is there", || (server.shipped().len() == all.len()).then_some(()));
    left.end().is(0, "");
    assert!(server.shipped() == all);
}

#[test]
fn each_byte_is_there_once_whoever_is_killed() {
    let Some(mut server) = Server::start() else { return };
    let stage = Stage::new();
    let first = stage.lines(0, 1);
    stage.ship_to(&server, &[]).is(0, "");
    let address = server.address();
    let all = storm(&stage, &mut server.process, kills(), |more| stage.shipping(&address, more));
    stage.ship_to(&server, &["--timeout=10s"]).is(0, "");
    let shipped = server.shipped();
    Ended::of(&stage.receiving(&address, "in", &["--until-now"]).output().unwrap()).is(0, "");
    println!("{} bytes, {} kills of the shipper", all.len(), kills());
    assert_eq!(shipped.len(), all.len());
    assert!(shipped == all, "other bytes");
    assert!(all.starts_with(&first) && stage.received("in") == all, "received otherwise");
}

#[test]
fn what_lies_in_the_stream_is_read_by_who_has_read_the_page_alone() {
    let Some(server) = Server::start() else { return };
    let stage = Stage::new();
    let mut all = stage.lines(0, 3000);
    for _ in 0..2 {
        stage.ship_to(&server, &["--unit=4K"]).is(0, "");
        all.extend(stage.lines(3000, 4000));
        stage.append(&[&[b'y'; 9000][..], b"\n"].concat());
        all.extend([&[b'y'; 9000][..], b"\n"].concat());
    }
    stage.ship_to(&server, &["--unit=4K"]).is(0, "");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reader.py");
    let read = std::process::Command::new("python3").arg(script).arg(server.address()).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    assert!(read.stdout == all);
}
