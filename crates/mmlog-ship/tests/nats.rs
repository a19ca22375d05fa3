//! Guards shipping to JetStream: each byte is in the stream once, whichever side is killed, and nobody else gets in between.
//!
//! Servers are started by the tests, on ports of their own: `nats-server` of the PATH, or those that MMLOG_NATS_SERVERS names (paths with
//! colons between them). Where there is none the tests say SKIPPED.
#![cfg(feature = "nats")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

#[path = "../../../tests/common/mod.rs"]
mod common;
#[path = "stage/denied.rs"]
mod denied;
mod nats_stage;
#[path = "nats/receiving.rs"]
mod receiving;
#[path = "stage/served.rs"]
mod served;
mod stage;
#[path = "stage/storm.rs"]
mod storm;
#[path = "nats/strangers.rs"]
mod strangers;
#[path = "stage/weather.rs"]
mod weather;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, PersistenceMode, RetentionPolicy, StorageType};
use common::until;
use mmlog_ship::Trouble;
use mmlog_ship::decide::Content;
use mmlog_ship::sinks::nats::{Address, NatsSink};
use mmlog_ship::sinks::{Cut, Message, Patience, Purpose, Secrets, Sink};
use mmlog_ship::unit::{Header, Kind, Proof};
use nats_stage::{Server, each_beside_the_others, servers};
use receiving::{receive, received};
use stage::Stage;
use storm::{kills, storm};

/// What the tests ship to.
const SUBJECT: &str = "logs.app";

impl Stage {
    fn ship_to(&self, server: &Server, more: &[&str]) -> stage::Ended {
        self.shipped_to(&server.address(SUBJECT), more)
    }

    fn nats(&self, server: &Server, more: &[&str]) -> std::process::Command {
        let mut command = self.shipping(&server.address(SUBJECT), more);
        command.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        command
    }
}

#[test]
fn of_the_servers_that_are_named_one_has_to_be_there() {
    for server in servers() {
        let (stage, server) = (Stage::new(), Server::start(&server));
        stage.lines(0, 10);
        // Nobody listens at the first two.
        let address = server.address(SUBJECT).replace("nats://", "nats://127.0.0.1:1,127.0.0.1:2,");
        let ship = |more: &str| {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mmlogctl-ship"));
            command.arg("ship").arg(&stage.log).args(["--to", &address, more]);
            stage::Ended::of(&command.output().unwrap())
        };
        until("the server answers", || (ship("--until-now").code == 0).then_some(()));
        for _ in 0..20 {
            ship("--check").is(0, "");
        }
    }
}

#[test]
fn what_is_there_is_shipped_and_a_second_run_goes_on_behind_it() {
    for server in servers() {
        let (stage, mut server) = (Stage::new(), Server::start(&server));
        let mut all = stage.lines(0, 2000);
        stage.ship_to(&server, &[]).is(0, "a chain begins at position 0");
        stage.rotate();
        all.extend(stage.lines(2000, 6000));
        server.restart();
        stage.ship_to(&server, &[]).is(0, "");
        assert!(server.shipped(SUBJECT) == all);
    }
}

#[test]
fn a_message_with_its_headers_fits_what_the_server_takes() {
    for server in servers() {
        let (stage, server) = (Stage::new(), Server::start_with(&server, "max_payload: 8192\n"));
        let mut all = stage.lines(0, 2000);
        stage.append(&[&[b'x'; 30_000][..], b"\n"].concat());
        all.extend([&[b'x'; 30_000][..], b"\n"].concat());
        stage.ship_to(&server, &[]).is(0, "");
        assert!(server.shipped(SUBJECT) == all);
    }
}

/// An empty unit that follows what `tail` has, of that connection.
fn unit(kind: Kind, after: u64, by: u64, range: (u64, u64), payload: &[u8]) -> Header {
    let sum = mmlog_ship::sum::extend(0, payload);
    Header {
        kind,
        log: 7,
        epoch: 0,
        from: range.0,
        to: range.1,
        sum,
        proof: Proof::at(range.1),
        after,
        over: 0,
        by,
        connection: 1,
    }
}

fn send(sink: &mut NatsSink, unit: &Header, after: u64, payload: &[u8]) -> Result<Option<u64>, Trouble> {
    sink.send(&Message { unit, after, cut: Cut::default(), payload })?;
    let mut answer = sink.poll(Duration::from_millis(100))?;
    for _ in 0..100 {
        if answer.is_some() {
            break;
        }
        answer = sink.poll(Duration::from_millis(100))?;
    }
    Ok(answer)
}

fn connection(server: &Server) -> NatsSink {
    let address = Address::read(&server.address(SUBJECT)).unwrap();
    let mut sink =
        NatsSink::new(address, Secrets::default(), Patience::new(Duration::from_secs(10), Arc::default()));
    until("the server answers", || sink.open(Purpose::Ship).ok());
    sink
}

#[test]
fn neither_the_place_alone_nor_the_id_alone_lets_a_unit_in() {
    for server in servers() {
        let server = Server::start(&server);
        let mut sink = connection(&server);
        assert_eq!(sink.look().unwrap().content, Content::Empty);
        let opening = unit(Kind::Opening, 0, 1, (0, 0), b"");
        assert_eq!(send(&mut sink, &opening, 0, b"").unwrap(), Some(1));
        let begin = unit(Kind::Begin, opening.id(), 1, (0, 0), b"");
        assert_eq!(send(&mut sink, &begin, 1, b"").unwrap(), Some(2));
        let content = |after| unit(Kind::Content, after, 1, (0, 3), b"abc");
        for (after, place) in [(begin.id(), 1), (begin.id(), 3), (opening.id(), 2), (opening.id(), 1)] {
            let mut sink = connection(&server);
            let refused = send(&mut sink, &content(after), place, b"abc");
            assert!(matches!(refused, Err(Trouble::Refused(_))), "{place}: {refused:?}");
        }
        assert_eq!(send(&mut connection(&server), &content(begin.id()), 2, b"abc").unwrap(), Some(3));
        let tail = sink.look().unwrap();
        assert_eq!((tail.coordinate, tail.top.unwrap().id), (3, content(begin.id()).id()));
        // "I have that", with another place, is no answer to this one.
        let again = send(&mut sink, &content(begin.id()), 2, b"abc");
        assert!(matches!(again, Err(Trouble::Refused(_))), "{again:?}");
        assert_eq!(server.last(SUBJECT), 3);
    }
}

#[test]
fn a_stream_that_would_lose_double_or_mix_units_is_refused_and_gets_nothing() {
    for server in servers() {
        let server = Server::start(&server);
        let stage = Stage::new();
        stage.lines(0, 10);
        let fit = || nats_stage::fit(SUBJECT);
        let unfit: [(Config, &str); 11] = [
            (Config { storage: StorageType::Memory, ..fit() }, "is in memory"),
            (Config { retention: RetentionPolicy::WorkQueue, ..fit() }, "drops what somebody has read"),
            (Config { retention: RetentionPolicy::Interest, ..fit() }, "drops what somebody has read"),
            (Config { subjects: vec!["logs.*".to_owned()], ..fit() }, "has other subjects"),
            (
                Config { subjects: vec![SUBJECT.to_owned(), "others".to_owned()], ..fit() },
                "has other subjects",
            ),
            (Config { no_ack: true, ..fit() }, "does not acknowledge"),
            (Config { max_messages_per_subject: 1, ..fit() }, "keeps a number of messages of a subject"),
            (
                Config {
                    max_messages_per_subject: 3,
                    discard: DiscardPolicy::New,
                    discard_new_per_subject: true,
                    ..fit()
                },
                "keeps a number of messages of a subject",
            ),
            // Of later servers.
            (Config { persist_mode: Some(PersistenceMode::Async), ..fit() }, "has not stored yet"),
            (
                Config {
                    subject_delete_marker_ttl: Some(Duration::from_secs(60)),
                    max_age: Duration::from_secs(100),
                    allow_message_ttl: true,
                    ..fit()
                },
                "gets messages of the server's own",
            ),
            (Config { allow_message_counter: true, ..fit() }, "counts, and takes nothing else"),
        ];
        for (config, why) in unfit {
            if !server.makes(&config) {
                continue;
            }
            for more in ["--check", "--until-now"] {
                let ended = stage::Ended::of(&stage.nats(&server, &[more]).output().unwrap());
                ended.is(4, why);
            }
            assert_eq!(server.last(SUBJECT), 0, "{why}");
            server.remove(SUBJECT);
        }
    }
}

#[test]
fn a_stream_that_is_missing_is_made_where_that_was_asked_for_alone() {
    for server in servers() {
        let (stage, server) = (Stage::new(), Server::start(&server));
        let all = stage.lines(0, 10);
        let bare = server.address(SUBJECT).replace("?create=1", "");
        let ship = |to: &str, more: &[&str]| {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mmlogctl-ship"));
            command.arg("ship").arg(&stage.log).args(["--to", to]).args(more);
            stage::Ended::of(&command.output().unwrap())
        };
        ship(&bare, &["--until-now"]).is(4, "?create=1");
        ship(&server.address(SUBJECT), &["--check"]).is(4, "?create=1");
        ship(&server.address(SUBJECT), &["--until-now"]).is(0, "");
        ship(&bare, &["--until-now"]).is(0, "");
        assert!(server.shipped(SUBJECT) == all);
        // Made anew it is another one.
        server.remove(SUBJECT);
        ship(&bare, &["--until-now"]).is(4, "?create=1");
        ship(&server.address(SUBJECT), &["--until-now"]).is(4, "--sink-is-new");
    }
}

#[test]
fn a_sink_that_is_put_back_is_filled_up_again_and_one_that_is_wiped_needs_a_person() {
    for server in servers() {
        let (stage, mut server) = (Stage::new(), Server::start(&server));
        let mut all = stage.lines(0, 500);
        stage.ship_to(&server, &[]).is(0, "");
        server.kill();
        let earlier = stage.dir.path().join("earlier");
        server.save(&earlier);
        server.go_on();
        all.extend(stage.lines(500, 1500));
        stage.ship_to(&server, &[]).is(0, "");
        server.kill();
        server.put_back(&earlier);
        server.go_on();
        stage.ship_to(&server, &[]).is(0, "it had acknowledged: they are sent again");
        assert!(server.shipped(SUBJECT) == all);
        server.kill();
        server.wipe();
        server.go_on();
        for _ in 0..2 {
            stage.ship_to(&server, &[]).is(4, "--sink-is-new");
        }
        stage.ship_to(&server, &["--sink-is-new=restart"]).is(0, "");
        assert!(server.shipped(SUBJECT) == all);
    }
}

#[test]
fn of_two_shippers_of_two_hosts_one_ends_and_each_byte_is_there_once() {
    for server in servers() {
        let (stage, server) = (Stage::new(), Server::start(&server));
        let mut all = stage.lines(0, 100);
        let mut first = Some(stage::Shipper::of(&mut stage.nats(&server, &["--linger=1ms"])));
        until("it ships", || (server.last(SUBJECT) > 2).then_some(()));
        let other = stage.dir.path().join("other");
        let mut second = stage.nats(&server, &["--linger=1ms", "--name=other"]);
        let mut second = Some(stage::Shipper::of(second.arg("--checkpoint").arg(&other)));
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
        until("all is there", || (server.shipped(SUBJECT).len() == all.len()).then_some(()));
        left.end().is(0, "");
        assert!(server.shipped(SUBJECT) == all);
    }
}

#[test]
fn a_secret_is_in_a_file_that_others_cannot_read_and_in_no_message() {
    for server in servers() {
        let authorization = "authorization { user: shipper, password: geheim }\n";
        const WHO: (&str, &str) = ("shipper", "geheim");
        let (stage, mut server) = (Stage::new(), Server::start_with(&server, authorization));
        let all = stage.lines(0, 10);
        let secret = stage.dir.path().join("secret");
        fs::write(&secret, "user shipper\npassword geheim\n").unwrap();
        let with = |server: &Server, more: &[&str]| {
            let mut command = stage.nats(server, more);
            stage::Ended::of(&command.arg("--credentials").arg(&secret).output().unwrap())
        };
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
        with(&server, &["--until-now"]).is(2, "everybody may read this secret");
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        with(&server, &["--until-now"]).is(0, "");
        assert!(server.shipped_as(SUBJECT, WHO) == all);
        stage.lines(10, 20);
        fs::write(&secret, "user shipper\npassword Gehiem\n").unwrap();
        let command = |more: &[&str]| {
            let mut command = stage.nats(&server, more);
            command.arg("--credentials").arg(&secret);
            command
        };
        denied::is_denied(&stage, command, "authorization");
        let ended = with(&server, &["--check"]);
        assert!(!ended.said.contains("Gehiem"), "{ended:?}");
        // Replaced while it runs, in two steps.
        fs::write(&secret, "user shipper\npassword geheim\n").unwrap();
        let mut running = stage.nats(&server, &["--linger=1ms"]);
        let running = stage::Shipper::of(running.arg("--credentials").arg(&secret));
        until("it ships", || (server.shipped_as(SUBJECT, WHO).len() > all.len()).then_some(()));
        let mut all = stage::committed(&stage.log);
        fs::write(&secret, "user shipper\n").unwrap();
        server.restart();
        all.extend(stage.lines(20, 30));
        fs::write(&secret, "user shipper\npassword geheim\n").unwrap();
        until("it ships again", || (server.shipped_as(SUBJECT, WHO).len() == all.len()).then_some(()));
        running.end().is(0, "");
        fs::write(&secret, "password geheim\n").unwrap();
        assert!(!with(&server, &["--check"]).is(2, "neither").said.contains("geheim"));
        let of = |from: &str, to: &str| server.address(SUBJECT).replace(from, to);
        let typed = [
            of("nats://", "nats://shipper:geheim@"),
            of(SUBJECT, "x@geheim"),
            of("create=1", "token=geheim"),
            of("127.0.0.1:", "127.0.0.1:geheim"),
            of("nats://", "redis://shipper:geheim@"),
        ];
        for address in typed {
            for command in [["ship", "--to"], ["receive", "--into"]] {
                let mut typed = std::process::Command::new(env!("CARGO_BIN_EXE_mmlogctl-ship"));
                let ends = [stage.log.display().to_string(), address.clone()];
                let [first, second] =
                    if command[0] == "ship" { &ends } else { &[ends[1].clone(), ends[0].clone()] };
                let ended = stage::Ended::of(
                    &typed.arg(command[0]).args([first, command[1], second]).output().unwrap(),
                );
                assert!(ended.code == 2 && !ended.said.contains("geheim"), "{ended:?}");
            }
        }
        assert!(server.shipped_as(SUBJECT, WHO) == all, "nothing was sent");
    }
}

#[test]
fn each_byte_is_there_once_whoever_is_killed() {
    each_beside_the_others(|server| {
        let (stage, mut server) = (Stage::new(), Server::start(server));
        stage.lines(0, 1);
        stage.ship_to(&server, &[]).is(0, "");
        let address = server.address(SUBJECT);
        let all = storm(&stage, &mut server, kills(), |more| stage.shipping(&address, more));
        stage.ship_to(&server, &["--timeout=10s"]).is(0, "");
        let shipped = server.shipped(SUBJECT);
        let ended = receive(&stage, &server, "in", &["--until-now"]).output().unwrap();
        stage::Ended::of(&ended).is(0, "");
        // It has the line from before, too.
        assert!(received(&stage, "in").ends_with(&shipped));
        println!("{}: {} bytes, {} kills of the shipper", server.name(), all.len(), kills());
        assert_eq!(shipped.len(), all.len());
        assert!(shipped == all, "other bytes");
    });
}
