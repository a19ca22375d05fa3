//! Servers that would not keep what they take, and those that do not let in whoever comes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use redis::Value;

use super::common::until;
use super::denied::{Certificates, is_denied};
use super::redis_stage::{KEY, Server};
use super::stage::{Ended, Shipper, Stage, committed};

#[test]
fn a_server_that_would_drop_units_is_refused_and_gets_nothing() {
    let Some(server) = Server::start() else { return };
    let stage = Stage::new();
    stage.lines(0, 10);
    let refused = |server: &Server, why: &str| {
        for more in ["--check", "--until-now"] {
            Ended::of(&stage.shipping(&server.address(), &[more]).output().unwrap()).is(4, why);
        }
        assert_eq!(server.last(), 0, "{why}");
    };
    for policy in ["allkeys-lru", "allkeys-random"] {
        server.told(&["CONFIG", "SET", "maxmemory-policy", policy]);
        refused(&server, "noeviction");
    }
    server.told(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.told(&["SET", KEY, "a text"]);
    refused(&server, "no stream");
    server.told(&["DEL", KEY]);
    server.told(&["XGROUP", "CREATE", KEY, "others", "0", "MKSTREAM"]);
    server.told(&["EXPIRE", KEY, "1000"]);
    refused(&server, "PERSIST");
    server.told(&["PERSIST", KEY]);
    let replica = Server::start().unwrap();
    replica.told(&["REPLICAOF", "127.0.0.1", &server.process.port.to_string()]);
    refused(&replica, &format!("is a replica of {}", server.place()));
    stage.ship_to(&server, &[]).is(0, "");
}

#[test]
fn what_is_somebody_elses_is_left_alone() {
    let Some(server) = Server::start() else { return };
    let stage = Stage::new();
    stage.lines(0, 10);
    server.told(&["XADD", KEY, "*", "mm-v", "1"]);
    let last = server.last();
    for more in ["--check", "--until-now"] {
        let ended = Ended::of(&stage.shipping(&server.address(), &[more]).output().unwrap());
        ended.is(4, "is no unit");
    }
    assert_eq!(server.last(), last);
}

#[test]
fn a_message_of_somebody_else_is_removed_and_nothing_else_is_lost() {
    let Some(server) = Server::start() else { return };
    let stage = Stage::new();
    let mut all = stage.lines(0, 100);
    stage.ship_to(&server, &[]).is(0, "");
    for round in 1..3 {
        // Behind the last one, with an id that is near; then by the clock.
        let id = if round == 1 { format!("{}-7", server.last()) } else { "*".to_owned() };
        let Value::BulkString(id) = server.told(&["XADD", KEY, &id, "what", "none"]) else { panic!() };
        all.extend(stage.lines(round * 100, round * 100 + 100));
        stage.ship_to(&server, &[]).is(4, "see that nobody does, and remove that alone");
        server.told(&["XDEL", KEY, std::str::from_utf8(&id).unwrap()]);
        if round == 2 {
            // What the sink has says enough.
            std::fs::remove_file(stage.checkpoint_of(&format!("redis-{}", KEY.replace(':', "_")))).unwrap();
        }
        stage.ship_to(&server, &[]).is(0, "");
        let received = stage.receiving(&server.address(), "in", &["--until-now"]).output().unwrap();
        Ended::of(&received).is(0, "");
        assert!(stage.received("in") == all);
    }
    // The last unit itself: it is sent again.
    server.told(&["XDEL", KEY, &format!("{}-0", server.last())]);
    stage.ship_to(&server, &[]).is(0, "they are sent again");
    all.extend(stage.lines(300, 400));
    stage.ship_to(&server, &[]).is(0, "");
    let received = stage.receiving(&server.address(), "in", &["--until-now"]).output().unwrap();
    Ended::of(&received).is(0, "");
    assert!(stage.received("in") == all);
}

#[test]
fn where_units_are_in_memory_only_that_is_said() {
    let Some(server) = Server::start_with(&["--maxmemory-policy", "volatile-lru"]) else { return };
    let stage = Stage::new();
    stage.lines(0, 10);
    drop(server.connection());
    let checked = Ended::of(&stage.shipping(&server.address(), &["--check"]).output().unwrap());
    assert!(checked.printed.contains("appendonly is off"), "{checked:?}");
    let ended = stage.ship_to(&server, &[]).is(0, "maxmemory-policy is volatile-lru");
    assert_eq!(ended.said.matches("appendonly is off").count(), 1, "{ended:?}");
}

#[test]
fn a_server_whose_memory_is_full_is_waited_for() {
    let Some(server) = Server::start() else { return };
    let stage = Stage::new();
    let mut all = stage.lines(0, 100);
    stage.ship_to(&server, &[]).is(0, "");
    server.told(&["CONFIG", "SET", "maxmemory", "1"]);
    all.extend(stage.lines(100, 20_000));
    stage.ship_to(&server, &["--give-up=1s"]).is(1, "its memory is full");
    let shipper = Shipper::of(&mut stage.shipping(&server.address(), &["--unit=4K"]));
    server.told(&["CONFIG", "SET", "maxmemory", "0"]);
    until("all is there", || (server.shipped().len() == all.len()).then_some(()));
    shipper.end().is(0, "");
    assert!(server.shipped() == all);
}

#[test]
fn what_a_server_takes_at_once_is_found_out_where_units_are_longer() {
    let Some(server) = Server::start_with(&["--appendonly", "yes", "--proto-max-bulk-len", "1mb"]) else {
        return;
    };
    let stage = Stage::new();
    let line = [&[b'x'; (3 << 20) + 7][..], b"\n"].concat();
    stage.append(&line);
    drop(server.connection());
    let ended = stage.ship_to(&server, &["--unit=8M"]).is(0, "proto-max-bulk-len");
    assert!(ended.said.contains("they are 768 KiB at most"), "{ended:?}");
    assert!(server.shipped() == line);
}

#[test]
fn of_a_cluster_the_server_that_has_the_key_has_to_be_named() {
    let cluster = ["--appendonly", "yes", "--cluster-enabled", "yes", "--cluster-port"];
    let start = || {
        let bus = super::served::port().to_string();
        let server = Server::start_with(&[&cluster[..], &[&bus]].concat())?;
        Some((server, bus))
    };
    let Some((empty, _)) = start() else { return };
    let (full, bus) = start().unwrap();
    full.told(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    empty.told(&["CLUSTER", "MEET", "127.0.0.1", &full.process.port.to_string(), &bus]);
    let stage = Stage::new();
    let all = stage.lines(0, 10);
    let is_well = |server: &Server| {
        let said: String = redis::cmd("CLUSTER").arg("INFO").query(&mut server.connection()).unwrap();
        said.contains("cluster_state:ok") && said.contains("cluster_known_nodes:2")
    };
    until("they know each other", || (is_well(&empty) && is_well(&full)).then_some(()));
    let there = format!("the key is on {}: name that server", full.place());
    for more in ["--check", "--until-now"] {
        Ended::of(&stage.shipping(&empty.address(), &[more]).output().unwrap()).is(4, &there);
    }
    stage.ship_to(&full, &[]).is(0, "");
    assert!(full.shipped() == all);
}

#[test]
fn a_secret_is_in_a_file_that_others_cannot_read_and_in_no_message() {
    const WHO: &str = "shipper:geheim@";
    let Some(mut server) = Server::start_as(|dir| {
        let users = dir.join("users");
        fs::write(&users, "user default off ~* +@all\nuser shipper on >geheim ~* +@all\n").unwrap();
        let options = ["--appendonly", "yes", "--aclfile", &users.display().to_string()];
        options.map(str::to_owned).to_vec()
    }) else {
        return;
    };
    let stage = Stage::new();
    let all = stage.lines(0, 10);
    drop(server.connection_as(WHO));
    let secret = stage.dir.path().join("secret");
    fs::write(&secret, "user shipper\npassword geheim\n").unwrap();
    let with = |server: &Server, more: &[&str]| {
        let mut command = stage.shipping(&server.address(), more);
        let ended = Ended::of(&command.arg("--credentials").arg(&secret).output().unwrap());
        assert!(!ended.said.contains("geheim") && !ended.printed.contains("geheim"), "{ended:?}");
        ended
    };
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    with(&server, &["--until-now"]).is(2, "everybody may read this secret");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    with(&server, &["--until-now"]).is(0, "");
    assert!(server.shipped_as(WHO) == all);
    stage.lines(10, 20);
    for (wrong, why) in
        [("user shipper\npassword Gehiem\n", "authentication failed"), ("password Gehiem\n", "")]
    {
        fs::write(&secret, wrong).unwrap();
        let ended = with(&server, &["--check"]);
        assert!(!ended.said.contains("Gehiem"), "{ended:?}");
        let command = |more: &[&str]| {
            let mut command = stage.shipping(&server.address(), more);
            command.arg("--credentials").arg(&secret);
            command
        };
        is_denied(&stage, command, why);
    }
    Ended::of(&stage.shipping(&server.address(), &["--check"]).output().unwrap()).is(1, "");
    // Replaced while it runs, in two steps.
    fs::write(&secret, "user shipper\npassword geheim\n").unwrap();
    let mut running = stage.shipping(&server.address(), &["--linger=1ms"]);
    let running = Shipper::of(running.arg("--credentials").arg(&secret));
    until("it ships", || (server.shipped_as(WHO).len() > all.len()).then_some(()));
    let mut all = committed(&stage.log);
    fs::write(&secret, "user shipper\n").unwrap();
    server.process.restart();
    all.extend(stage.lines(20, 30));
    fs::write(&secret, "user shipper\npassword geheim\n").unwrap();
    until("it ships again", || (server.shipped_as(WHO).len() == all.len()).then_some(()));
    running.end().is(0, "");
    fs::write(&secret, "user geheim\n").unwrap();
    with(&server, &["--check"]).is(2, "password WORD");
    nothing_that_was_typed_is_said(&stage, &server);
    assert!(server.shipped_as(WHO) == all, "nothing was sent");
}

fn nothing_that_was_typed_is_said(stage: &Stage, server: &Server) {
    let of = |from: &str, to: &str| server.address().replace(from, to);
    let typed = [
        of("redis://", "redis://shipper:geheim@"),
        of(KEY, "x@geheim"),
        of(KEY, "app?password=geheim"),
        of("127.0.0.1:", "127.0.0.1:geheim"),
        of(KEY, "geheim/app"),
    ];
    for address in typed {
        let into = stage.receiving(&address, "in", &[]);
        for mut command in [stage.shipping(&address, &[]), into] {
            let ended = Ended::of(&command.output().unwrap());
            assert!(ended.code == 2 && !ended.said.contains("geheim"), "{ended:?}");
        }
    }
}

#[test]
fn a_user_who_may_do_little_else_ships_and_one_who_may_not_write_is_told_so() {
    let Some(server) = Server::start() else { return };
    let stage = Stage::new();
    let all = stage.lines(0, 10);
    let may = format!("~{KEY}");
    let words = ["ACL", "SETUSER", "shipper", "on", ">geheim", &may];
    server.told(&[&words[..], &["+@stream", "+@transaction", "+pttl", "+select"]].concat());
    server.told(&["ACL", "SETUSER", "reader", "on", ">geheim", &may, "+@read", "+@transaction", "+info"]);
    let with = |user: &str, more: &str| {
        let secret = stage.dir.path().join(user);
        fs::write(&secret, format!("user {user}\npassword geheim\n")).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let mut command = stage.shipping(&server.address(), &[more, "--give-up=1s"]);
        Ended::of(&command.arg("--credentials").arg(secret).output().unwrap())
    };
    for more in ["--check", "--until-now"] {
        let denied = with("reader", more);
        assert!(denied.code == 1 && denied.said.contains("no permissions"), "{denied:?}");
    }
    assert_eq!(server.last(), 0);
    with("shipper", "--until-now").is(0, "INFO is not allowed");
    assert!(server.shipped() == all);
    // A server that starts again may not do what it has written down, if that user may not.
    server.told(&["ACL", "SETUSER", "admin", "on", ">geheim", "~*", "+@all"]);
    server.told(&["ACL", "SETUSER", "default", "-@all", "+ping"]);
    let said = with("admin", "--check").is(0, "").printed;
    assert!(said.contains("user default"), "{said}");
}

#[test]
fn a_connection_is_encrypted_to_the_server_that_is_vouched_for_alone() {
    let stage = Stage::new();
    let Some(certificates) = Certificates::make(stage.dir.path()) else { return };
    let start = |[certificate, key]: &[PathBuf; 2]| {
        let encrypted = super::served::port();
        let server = Server::start_as(|_| {
            let [certificate, key] = [certificate, key].map(|path| path.display().to_string());
            let port = encrypted.to_string();
            let tls = ["--tls-port", &port, "--tls-cert-file", &certificate, "--tls-key-file", &key];
            let more = ["--tls-auth-clients", "no", "--appendonly", "yes"];
            [&tls[..], &more].concat().into_iter().map(str::to_owned).collect()
        })?;
        drop(server.connection());
        Some((server, format!("rediss://127.0.0.1:{encrypted}/{KEY}")))
    };
    let Some((server, address)) = start(&certificates.ours) else { return };
    let (other, expired) = start(&certificates.expired).unwrap();
    let all = stage.lines(0, 5000);
    certificates.are_asked_for(&stage, [&address, &expired], |to, more| stage.shipping(to, more));
    assert_eq!((server.last(), other.last()), (0, 0));
    let ca = certificates.ca();
    stage.shipped_to(&address, &[&ca]).is(0, "");
    assert!(server.shipped() == all);
    let mut receive = stage.receiving(&address, "in", &["--until-now", &ca]);
    Ended::of(&receive.output().unwrap()).is(0, "");
    assert!(stage.received("in") == all);
    stage.shipped_to(&server.address(), &[&ca]).is(2, "rediss://");
}
