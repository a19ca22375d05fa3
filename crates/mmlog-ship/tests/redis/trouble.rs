//! Servers that hang, that close in the middle, and those that take over from others.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mmlog_ship::Trouble;
use mmlog_ship::sinks::redis::{Address, RedisSink};
use mmlog_ship::sinks::{Patience, Purpose, Secrets, Sink as _};
use mmlog_ship::unit::Kind;
use redis::Value;

use super::common::{Random, seed, until};
use super::proxy::Proxy;
use super::redis_stage::{KEY, Server};
use super::stage::{Ended, Shipper, Stage};
use super::{answer, begun, queue, send, unit};

/// What the client sends last of a transaction.
const EXEC: &[u8] = b"\r\nEXEC\r\n";

#[test]
fn what_comes_between_a_transaction_and_the_watch_behind_it_refuses_the_next_one() {
    let Some(server) = Server::start() else { return };
    let changes: [&[&str]; 3] =
        [&["DEL", KEY], &["XADD", KEY, "*", "a", "b"], &["COPY", "earlier", KEY, "REPLACE"]];
    for change in changes {
        server.told(&["FLUSHALL"]);
        let (_, content) = begun(&server);
        server.told(&["COPY", KEY, "earlier"]);
        let (proxy, held, go) = Proxy::holding(server.process.port, EXEC);
        let address = Address::read(&format!("redis://127.0.0.1:{}/{KEY}", proxy.port)).unwrap();
        let patience = Patience::new(Duration::from_secs(60), Arc::default());
        let mut sink = RedisSink::new(address, Secrets::default(), patience);
        sink.open(Purpose::Ship).unwrap();
        sink.look().unwrap();
        let before = unit(Kind::Content, content.id(), 1, (3, 6), b"def");
        queue(&mut sink, &before, 3, b"def").unwrap();
        // Sends it; nothing answers before the proxy is told.
        assert_eq!(sink.poll(Duration::from_millis(1)).unwrap(), None);
        held.recv().unwrap();
        until("it is there", || (server.last() == 4).then_some(()));
        server.told(change);
        let last = server.last();
        go.send(()).unwrap();
        assert_eq!(answer(&mut sink).unwrap(), Some(4), "it was there");
        let next = unit(Kind::Content, before.id(), 1, (6, 9), b"ghi");
        let refused = send(&mut sink, &next, 4, b"ghi");
        assert!(matches!(refused, Err(Trouble::Refused(_))), "{change:?}: {refused:?}");
        assert_eq!(server.last(), last, "{change:?}: something of it went in");
    }
}

#[test]
fn a_server_that_closes_in_the_middle_of_whatever_costs_no_byte_and_doubles_none() {
    let Some(server) = Server::start() else { return };
    drop(server.connection());
    let stage = Stage::new();
    let mut all = stage.lines(0, 1);
    stage.ship_to(&server, &[]).is(0, "");
    let mut random = Random::new(seed());
    let cuts = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&cuts);
    let proxy = Proxy::cutting(server.process.port, move || {
        *counted.lock().unwrap() += 1;
        1000 + random.below(60_000)
    });
    let to = format!("redis://127.0.0.1:{}/{KEY}", proxy.port);
    let more = ["--unit=4K", "--in-flight=16K", "--linger=1ms", "--name=redis-logs_app"];
    let mut number = 1;
    while *cuts.lock().unwrap() < 40 {
        // Begins anew, so that it tries again without a pause.
        let shipper = Shipper::of(&mut stage.shipping(&to, &more));
        let before = *cuts.lock().unwrap();
        until("it was cut", || {
            all.extend(stage.lines(number, number + 200));
            number += 200;
            (*cuts.lock().unwrap() >= before + 3).then_some(())
        });
        shipper.kill();
    }
    stage.ship_to(&server, &[]).is(0, "");
    assert!(server.shipped() == all);
    // The way back is cut, too, and goes on.
    let mut random = Random::new(seed() + 1);
    let proxy = Proxy::cutting(server.process.port, move || 100 + random.below(900));
    let from = format!("redis://127.0.0.1:{}/{KEY}", proxy.port);
    let receiver = Shipper::of(&mut stage.receiving(&from, "in", &[]));
    until("all was received", || (stage.received_yet("in")? == all).then_some(()));
    receiver.end().is(0, "");
}

#[test]
fn told_to_end_it_ends_whatever_it_waits_for() {
    let Some(server) = Server::start() else { return };
    drop(server.connection());
    let stage = Stage::new();
    stage.lines(0, 100);
    stage.ship_to(&server, &[]).is(0, "");
    // Takes connections, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    // Answers up to the first transaction, which nobody hears of.
    let (proxy, held, _go) = Proxy::holding(server.process.port, EXEC);
    let places = [silent.local_addr().unwrap().port(), proxy.port];
    for (place, is_silent) in places.into_iter().zip([true, false]) {
        let address = format!("redis://127.0.0.1:{place}/{KEY}");
        // Longer than any test.
        let more = ["--timeout=1h", "--drain=1ms"];
        let ship = Shipper::of(&mut stage.shipping(&address, &more));
        let receive = Shipper::of(&mut stage.receiving(&address, "in", &[]));
        let accepted: Vec<_> = match is_silent {
            true => (0..2).map(|_| silent.accept().unwrap()).collect(),
            false => vec![],
        };
        if !is_silent {
            held.recv().unwrap();
        }
        ship.end().is(0, "");
        receive.end().is(0, "");
        drop(accepted);
    }
}

#[test]
fn where_a_replica_takes_over_that_had_less_it_is_filled_up_again() {
    let (Some(mut server), Some(replica)) = (Server::start(), Server::start()) else { return };
    let stage = Stage::new();
    let mut all = stage.lines(0, 500);
    let address =
        |servers: [&Server; 2]| format!("redis://{},{}/{KEY}", servers[0].place(), servers[1].place());
    replica.told(&["REPLICAOF", "127.0.0.1", &server.process.port.to_string()]);
    let both = address([&server, &replica]);
    stage.shipped_to(&both, &[]).is(0, "");
    // The one that is named first is a replica.
    let other = address([&replica, &server]);
    Ended::of(&stage.shipping(&other, &["--check"]).output().unwrap()).is(0, "");
    until("the replica has all", || (replica.last() == server.last()).then_some(()));
    let from = format!("redis://{}/{KEY}", replica.place());
    Ended::of(&stage.receiving(&from, "in", &["--until-now"]).output().unwrap()).is(0, "");
    assert!(stage.received("in") == all, "received from a replica");
    // It hears no more of the other one.
    replica.told(&["REPLICAOF", "NO", "ONE"]);
    all.extend(stage.lines(500, 1500));
    stage.shipped_to(&both, &[]).is(0, "");
    assert!(server.last() > replica.last());
    server.process.kill();
    stage.shipped_to(&both, &["--timeout=2s"]).is(0, "they are sent again");
    assert!(replica.shipped() == all);
}

#[test]
fn a_connection_that_is_cut_while_there_is_nothing_to_send_is_noticed() {
    let Some(server) = Server::start() else { return };
    drop(server.connection());
    let stage = Stage::new();
    let all = stage.lines(0, 10);
    let shipper = Shipper::of(&mut stage.shipping(&server.address(), &[]));
    until("it ships", || (server.last() > 1 && server.shipped() == all).then_some(()));
    server.told(&["CLIENT", "KILL", "TYPE", "normal"]);
    until("it is there again", || {
        let Value::BulkString(all) = server.told(&["CLIENT", "LIST", "TYPE", "normal"]) else { return None };
        // All but whoever asks for the list.
        String::from_utf8_lossy(&all).lines().any(|line| !line.contains("cmd=client")).then_some(())
    });
    shipper.end().is(0, "tried again");
}
