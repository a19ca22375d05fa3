//! Streams that others made or write to, users that may not do everything, and servers that do not answer.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use async_nats::jetstream::stream::Config;

use super::SUBJECT;
use super::common::until;
use super::denied::Certificates;
use super::nats_stage::{Mute, Server, each_beside_the_others, fit, servers};
use super::receiving::{receive, received};
use super::stage::{Ended, Shipper, Stage};

fn ship_to(stage: &Stage, address: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mmlogctl-ship"));
    command.arg("ship").arg(&stage.log).args(["--to", address]).args(more);
    command.stderr(Stdio::piped()).stdout(Stdio::piped());
    command
}

fn ended(mut command: Command) -> Ended {
    Ended::of(&command.output().unwrap())
}

#[test]
fn the_servers_of_a_sink_may_be_named_in_any_order_and_with_their_port_or_not() {
    for server in servers() {
        let (stage, server) = (Stage::new(), Server::start(&server));
        let port = server.port();
        server.make(fit(SUBJECT));
        for (round, servers) in [
            format!("127.0.0.1:{port}"),
            format!("127.0.0.1:1,127.0.0.1:{port}"),
            format!("localhost:{port}"),
        ]
        .into_iter()
        .enumerate()
        {
            stage.lines(round as u64 * 10, round as u64 * 10 + 10);
            let address = format!("nats://{servers}/{SUBJECT}");
            let ended = ended(ship_to(&stage, &address, &["--until-now"])).is(0, "");
            assert_eq!(ended.said.contains("a chain begins"), round == 0, "{ended:?}");
            assert!(!ended.said.contains("damaged"), "{ended:?}");
        }
        assert_eq!(server.shipped(SUBJECT), super::stage::committed(&stage.log));
    }
}

#[test]
fn a_subject_whose_stream_has_the_name_of_anothers_needs_a_person() {
    for server in servers() {
        let (stage, server) = (Stage::new(), Server::start(&server));
        stage.lines(0, 10);
        server.make(fit("a-b"));
        let address = server.address("a.b");
        ended(ship_to(&stage, &address, &["--until-now"]))
            .is(4, "the stream a-b is there, and not of the subject a.b");
        assert_eq!(server.last("a-b"), 0);
        server.make(Config { name: "other".to_owned(), ..fit("a.b") });
        ended(ship_to(&stage, &address, &["--until-now"])).is(0, "");
    }
}

#[test]
fn what_a_stream_drops_as_it_was_told_to_is_said() {
    for server in servers() {
        let (stage, server) = (Stage::new(), Server::start(&server));
        stage.lines(0, 10);
        server.make(Config { max_age: Duration::from_secs(3600), max_messages: 5, ..fit(SUBJECT) });
        let (age, number) = ("keeps units for 3600 s: what nobody", "keeps the last 5 units: what nobody");
        let checked = ended(ship_to(&stage, &server.address(SUBJECT), &["--check"])).is(0, "");
        assert!(checked.printed.contains(age) && checked.printed.contains(number), "{checked:?}");
        stage.ship_to(&server, &[]).is(0, age).is(0, number);
    }
}

#[test]
fn a_message_of_somebody_else_is_removed_and_nothing_else_is_lost() {
    for server in servers() {
        let (stage, server) = (Stage::new(), Server::start(&server));
        let mut all = stage.lines(0, 100);
        stage.ship_to(&server, &[]).is(0, "");
        let at = server.send(SUBJECT);
        all.extend(stage.lines(100, 200));
        stage.ship_to(&server, &[]).is(4, "see that nobody does, and remove that alone");
        server.remove_at(SUBJECT, at);
        stage.ship_to(&server, &[]).is(0, "");
        ended(receive(&stage, &server, "in", &["--until-now"])).is(0, "");
        assert!(received(&stage, "in") == all);
        // The last unit itself: it is sent again, and whoever had received it compares.
        server.remove_at(SUBJECT, server.last(SUBJECT));
        stage.ship_to(&server, &[]).is(0, "they are sent again");
        all.extend(stage.lines(200, 300));
        stage.ship_to(&server, &[]).is(0, "");
        ended(receive(&stage, &server, "in", &["--until-now"])).is(0, "");
        assert!(received(&stage, "in") == all);
    }
}

#[test]
fn who_may_not_send_is_told_so_and_so_is_who_only_looks() {
    let users = "authorization { users: [
        {user: a, password: a},
        {user: b, password: b, permissions: {publish: [\"$JS.API.>\"], subscribe: \"_INBOX.>\"}},
        {user: c, password: c, permissions: {publish: [\"logs.app\"], subscribe: \"_INBOX.>\"}} ] }";
    for server in servers() {
        let (stage, server) = (Stage::new(), Server::start_with(&server, users));
        stage.lines(0, 10);
        server.make_as(fit(SUBJECT), ("a", "a"));
        let secret = |user: &str| {
            let path = stage.dir.path().join(user);
            fs::write(&path, format!("user {user}\npassword {user}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            format!("--credentials={}", path.display())
        };
        let ship = |user: &str, more: &[&str]| {
            ended(ship_to(&stage, &server.address(SUBJECT), &[&[&secret(user)[..]], more].concat()))
        };
        for (user, what) in [("b", SUBJECT), ("c", "$JS.API")] {
            for more in [&["--check"][..], &["--until-now", "--give-up=0s"]] {
                let ended = ship(user, more).is(1, "this user may not: ");
                assert!(ended.said.contains(what), "{ended:?}");
            }
        }
        // However often it is tried.
        let tried = ship("b", &["--until-now", "--give-up=2s"]).is(1, "this user may not: ");
        let lines: Vec<&str> = tried.said.lines().collect();
        let once: std::collections::BTreeSet<&str> = lines.iter().copied().collect();
        assert_eq!(lines.len(), once.len(), "{tried:?}");
        ship("a", &["--check"]).is(0, "");
        // Nobody has sent a thing: not even a look.
        let has = server.shipped_as(SUBJECT, ("a", "a"));
        assert!(has.is_empty());
        ship("a", &["--until-now"]).is(0, "");
        assert!(!server.shipped_as(SUBJECT, ("a", "a")).is_empty());
    }
}

#[test]
fn a_server_gets_units_only_where_somebody_vouches_for_it() {
    for program in servers() {
        let stage = Stage::new();
        let Some(certificates) = Certificates::make(stage.dir.path()) else { return };
        let all = stage.lines(0, 10);
        let running = [&certificates.ours, &certificates.expired].map(|[certificate, key]| {
            let tls = format!("tls {{ cert_file: {certificate:?}, key_file: {key:?} }}");
            let server = Server::start_with(&program, &tls);
            until("it answers", || TcpStream::connect(("127.0.0.1", server.port())).ok());
            server
        });
        let address = |server: &Server| server.address(SUBJECT).replace("nats://", "tls://");
        let [ours, expired] = [0, 1].map(|at: usize| address(&running[at]));
        certificates.are_asked_for(&stage, [&ours, &expired], |to, more| ship_to(&stage, to, more));
        let ca = certificates.ca();
        let mut nothing = stage.receiving(&ours, "in", &["--until-now", "--give-up=0s", &ca]);
        Ended::of(&nothing.output().unwrap()).is(1, "nothing was shipped there");
        ended(ship_to(&stage, &ours, &["--until-now", &ca])).is(0, "");
        ended(stage.receiving(&ours, "in", &["--until-now", &ca])).is(0, "");
        assert!(received(&stage, "in") == all);
    }
}

#[test]
fn whoever_is_told_to_end_ends_while_nobody_answers() {
    for greets in [false, true] {
        let (stage, mute) = (Stage::new(), Mute::start(greets));
        stage.lines(0, 10);
        let address = mute.address(SUBJECT);
        let into = stage.dir.path().join("in");
        let started = || stage.checkpoint_of("nats-logs.app.lock").exists();
        let mut shipper = Shipper::of(&mut ship_to(&stage, &address, &["--timeout=1h"]));
        until("it has begun", || started().then_some(()));
        shipper.signal();
        until("it ends", || (!shipper.is_running()).then_some(()));
        shipper.wait().is(0, "");
        let mut receiver = Command::new(env!("CARGO_BIN_EXE_mmlogctl-ship"));
        receiver.args(["receive", &address, "--into"]).arg(&into).stderr(Stdio::piped());
        let mut receiver = Shipper::of(&mut receiver);
        until("it has begun", || into.join("receive.state.lock").exists().then_some(()));
        receiver.signal();
        until("it ends", || (!receiver.is_running()).then_some(()));
        receiver.wait().is(0, "");
    }
}

#[test]
fn of_a_receiver_that_is_killed_the_server_keeps_nothing() {
    each_beside_the_others(|server| {
        let (stage, server) = (Stage::new(), Server::start(server));
        let all = stage.lines(0, 10);
        stage.ship_to(&server, &[]).is(0, "");
        let receiver = Shipper::of(&mut receive(&stage, &server, "in", &[]));
        until("it reads", || (server.readers(SUBJECT) == 1).then_some(()));
        receiver.kill();
        until("the server forgets it", || (server.readers(SUBJECT) == 0).then_some(()));
        ended(receive(&stage, &server, "in", &["--until-now"])).is(0, "");
        assert!(received(&stage, "in") == all);
    });
}
