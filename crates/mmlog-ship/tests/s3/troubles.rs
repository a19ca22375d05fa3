//! A store that answers wrongly, late, in half, or not.

use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::common::until;
use super::denied::{Certificates, is_denied};
use super::receiving::receive;
use super::s3_stage::Server;
use super::s3_stage::strict::{Fault, Strict};
use super::stage::{Ended, Shipper, Stage};
use super::{PREFIX, Retention, named, stored};

fn strict() -> (Strict, Server) {
    let strict = Strict::start();
    (strict.clone(), Server::Strict(strict))
}

#[test]
fn whatever_one_answer_is_the_next_try_has_each_byte_there_once() {
    let faults = [
        Fault::Says(503, "SlowDown"),
        Fault::Says(500, "InternalError"),
        Fault::Says(409, "ConditionalRequestConflict"),
        Fault::Says(429, "TooManyRequests"),
        Fault::Says(403, "AccessDenied"),
        Fault::Says(400, "RequestTimeout"),
        Fault::Refuses,
        Fault::Forgets,
        Fault::Breaks,
        Fault::Lies,
        Fault::Hangs,
    ];
    // Side by side: each waits for what is tried again.
    thread::scope(|scope| {
        for fault in faults {
            scope.spawn(move || answers_once_so(&fault));
        }
    });
}

fn answers_once_so(fault: &Fault) {
    let (strict, server) = strict();
    let stage = Stage::new();
    let mut all = Vec::new();
    // Each of a run's; fewer, where each takes a second.
    let requests = if matches!(fault, Fault::Hangs) { 3 } else { 8 };
    for good in 0..requests {
        all.extend(stage.lines(good * 10, good * 10 + 10));
        stage.rotate();
        let before = [&vec![Fault::Lies; good as usize][..], std::slice::from_ref(fault)].concat();
        // Of what is no end of an upload a lie is an answer as any other: so the fault comes after so many requests.
        strict.fail(&before);
        stage.ship_to(&server, &["--timeout=1s"]).is(0, "");
        strict.fail(&[]);
        assert!(stored(&server) == all, "{fault:?} after {good}");
    }
    for good in 0..requests {
        strict.fail(&[&vec![Fault::Lies; good as usize][..], std::slice::from_ref(fault)].concat());
        receive(&stage, &server, &format!("in-{good}"), &["--timeout=1s"]).is(0, "");
        strict.fail(&[]);
        assert!(stage.received(&format!("in-{good}")) == all, "{fault:?} after {good}");
    }
    server.is_content();
}

#[test]
fn what_a_person_has_to_mend_is_4_and_said_with_what_to_do() {
    let (strict, server) = strict();
    let stage = Stage::new();
    stage.lines(0, 10);
    stage.rotate();
    for more in ["--check", "--until-now"] {
        strict.fail(&[Fault::Elsewhere("eu-central-9")]);
        let ended = Ended::of(&stage.s3(&server, &[more]).output().unwrap());
        ended.is(4, "region=eu-central-9");
    }
    strict.remove_bucket();
    for more in ["--check", "--until-now"] {
        Ended::of(&stage.s3(&server, &[more]).output().unwrap()).is(4, "there is no bucket bucket");
    }
    receive(&stage, &server, "in", &[]).is(4, "there is no bucket bucket");
    assert!(server.objects().is_empty());
}

#[test]
fn who_is_not_let_in_is_1_for_one_look_and_tried_again_for_one_that_follows() {
    let (strict, server) = strict();
    let stage = Stage::new();
    let all = stage.lines(0, 10);
    stage.rotate();
    for (status, code, says) in [
        (403, "InvalidAccessKeyId", "it does not let us list what it has: 403 InvalidAccessKeyId"),
        (401, "Unauthorized", "it does not let us list what it has: 401 Unauthorized"),
        (403, "RequestTimeTooSkewed", "this host and the store have other clocks"),
    ] {
        strict.fail(&vec![Fault::Says(status, code); 1000]);
        is_denied(&stage, |more| stage.s3(&server, more), says);
    }
    assert!(server.objects().is_empty());
    let shipper = Shipper::of(&mut stage.s3(&server, &[]));
    strict.fail(&[]);
    until("it is let in", || (stored(&server) == all).then_some(()));
    shipper.end().is(0, "");
}

#[test]
fn one_that_is_told_to_end_ends_whatever_the_store_does() {
    // Whoever connects gets no answer.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let stage = Stage::new();
    stage.lines(0, 10);
    stage.rotate();
    let address = format!("s3://bucket/{PREFIX}?endpoint=http://127.0.0.1:{port}");
    let into = stage.dir.path().join("in");
    let (log, into) = (stage.log.to_str().unwrap(), into.to_str().unwrap());
    for words in [["ship", log, "--to", &address], ["receive", &address, "--into", into]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mmlogctl-ship"));
        command.args(words).arg("--credentials").arg(stage.secret());
        if words[0] == "ship" {
            command.arg("--timeout=10m");
        }
        let shipper = Shipper::of(&mut command);
        let (connection, _) = silent.accept().unwrap();
        // Ten minutes are not waited for, nor ten seconds of receive.
        let begun = Instant::now();
        let ended = shipper.end();
        assert_eq!(ended.code, 0, "{ended:?}");
        println!("{} ended after {} ms", words[0], begun.elapsed().as_millis());
        drop(connection);
    }
    // In the middle of a unit.
    let (strict, server) = strict();
    let shipper = Shipper::of(&mut stage.s3(&server, &["--timeout=10m", "--drain=1ms"]));
    until("it ships", || (server.objects().len() == 2).then_some(()));
    stage.lines(10, 20);
    strict.fail(&vec![Fault::Hangs; 100]);
    stage.rotate();
    thread::sleep(Duration::from_millis(300));
    assert_eq!(shipper.end().code, 0);
}

#[test]
fn a_certificate_that_nobody_here_signed_is_said() {
    // Not TLS at all is refused alike: nothing is sent in the clear.
    let (_, server) = strict();
    let stage = Stage::new();
    stage.lines(0, 10);
    stage.rotate();
    let address = server.address(PREFIX).replace("http://", "https://");
    let mut command = Command::new(env!("CARGO_BIN_EXE_mmlogctl-ship"));
    command.arg("ship").arg(&stage.log).args(["--to", &address, "--check", "--timeout=1s", "--credentials"]);
    let ended = Ended::of(&command.arg(stage.secret()).output().unwrap());
    assert!(ended.code == 1 && !ended.said.contains("Signature"), "{ended:?}");
    assert!(server.objects().is_empty());
}

#[test]
fn a_store_that_cannot_what_it_takes_needs_a_person() {
    let mut refused = 0;
    for good in 0..6 {
        let (strict, server) = strict();
        let stage = Stage::new();
        let all = stage.lines(0, 10);
        stage.rotate();
        strict.fail(&[&vec![Fault::Lies; good][..], &[Fault::Says(501, "NotImplemented")]].concat());
        let ended = stage.ship_to(&server, &[]);
        strict.fail(&[]);
        refused += u64::from(ended.said.contains("the store cannot store an object: 501 NotImplemented"));
        // Uploads that were left cost, and keep nothing from being shipped.
        assert!(ended.code == 4 || ended.code == 0 && stored(&server) == all, "{ended:?}");
    }
    assert!(refused > 0);
}

#[test]
fn a_session_token_is_sent_and_never_said() {
    let (strict, server) = strict();
    let stage = Stage::new();
    let all = stage.lines(0, 10);
    stage.rotate();
    fs::write(stage.secret(), "access-key A\nsecret-key geheim\nsession-token fluechtig/+=\n").unwrap();
    stage.ship_to(&server, &[]).is(0, "");
    assert!(stored(&server) == all);
    let token = || strict.state.lock().unwrap().token.clone();
    assert_eq!(token().as_deref(), Some("fluechtig/+="));
    // One that is over, and is replaced.
    strict.fail(&vec![Fault::Says(403, "ExpiredToken"); 1000]);
    let ended = stage.ship_to(&server, &["--give-up=0s"]).is(1, "403 ExpiredToken");
    assert!(!ended.said.contains("fluechtig") && !ended.said.contains("geheim"), "{ended:?}");
    strict.fail(&[]);
    fs::write(stage.secret(), "access-key A\nsecret-key geheim\nsession-token another\n").unwrap();
    stage.ship_to(&server, &[]).is(0, "");
    assert_eq!(token().as_deref(), Some("another"));
    server.is_content();
}

#[test]
fn a_store_is_asked_only_where_somebody_vouches_for_it() {
    let stage = Stage::new();
    let Some(certificates) = Certificates::make(stage.dir.path()) else { return };
    let all = stage.lines(0, 10);
    stage.rotate();
    let servers =
        [&certificates.ours, &certificates.expired].map(|pair| Server::Strict(Strict::start_as(pair)));
    let address = |server: &Server| server.address(PREFIX).replace("http://", "https://");
    let [ours, expired] = [0, 1].map(|at| address(&servers[at]));
    let command = |to: &str, more: &[&str]| {
        let mut command = stage.shipping(to, more);
        command.arg("--credentials").arg(stage.secret());
        command
    };
    certificates.are_asked_for(&stage, [&ours, &expired], command);
    assert!(servers.iter().all(|server| server.objects().is_empty()));
    Ended::of(&command(&ours, &["--until-now", &certificates.ca()]).output().unwrap()).is(0, "");
    assert!(stored(&servers[0]) == all);
}

#[test]
fn what_was_pruned_before_it_was_shipped_needs_a_person_and_is_a_gap() {
    let (_, server) = strict();
    let stage = Stage::new();
    let first = stage.lines(0, 100);
    stage.rotate();
    stage.ship_to(&server, &[]).is(0, "");
    let taken = stage.lines(100, 200);
    let segment = stage.rotate();
    // The hold keeps it, until somebody ends that.
    stage.open().prune(&Retention::default().keep(0)).unwrap();
    assert!(segment.exists(), "what the store has not got was pruned");
    stage.open().forget("ship:s3-bucket").unwrap();
    stage.open().prune(&Retention::default().keep(0)).unwrap();
    assert!(!segment.exists());
    let last = stage.lines(200, 300);
    stage.rotate();
    let (from, to) = (first.len(), first.len() + taken.len());
    for _ in 0..2 {
        stage.ship_to(&server, &[]).is(4, &format!("no bytes {from} to {to} any more"));
    }
    stage.ship_to(&server, &["--accept-gap"]).is(0, "is announced");
    assert!(stage.names(&server).contains(&named(from, to, ".pruned")));
    receive(&stage, &server, "in", &[]).is(0, "have no content: pruned");
    assert!(stage.received("in") == [first, last].concat());
    server.is_content();
}
