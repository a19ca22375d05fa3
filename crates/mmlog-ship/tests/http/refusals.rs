//! What is refused is said, with what to do, and not skipped; who is not let in is tried again; what is wrong is said before.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::common::until;
use super::denied::{Certificates, is_denied};
use super::http_stage::{Fault, Server, WAYS, Way};
use super::lines;
use super::stage::{Ended, Shipper, Stage};

#[test]
fn what_is_refused_is_4_and_nothing_is_skipped() {
    let all_ways = [
        (Fault::Says(400, "x: y", "no such field"), "it refuses what is sent: 400 no such field"),
        (Fault::Says(404, "x: y", "not here"), "nothing takes logs at that path: 404 not here"),
        (Fault::Says(301, "location: https://there/", ""), "it says that it is elsewhere, at https://there/"),
        (Fault::Says(501, "x: y", "\u{1b}[31m"), "it refuses what is sent: 501  [31m"),
        (Fault::Says(200, "content-type: text/html", "<html>Log in"), "it answers \"200 <html>Log in\""),
    ];
    let partial = "\n\x0b\x08\x02\x12\x07too old";
    let of_otlp = [
        (
            Fault::Says(200, "content-type: application/x-protobuf", partial),
            "it refuses 2 of 10 records, \"too old\"",
        ),
        (
            Fault::Says(
                200,
                "content-type: application/json",
                "{\"partialSuccess\":{\"rejectedLogRecords\":\"3\",\"errorMessage\":\"x\"}}",
            ),
            "it refuses 3 of 10 records, \"x\"",
        ),
        (Fault::Says(200, "content-type: application/x-protobuf", "<html>"), "as no receiver of OTLP does"),
        (Fault::Says(500, "x: y", "oh"), "it refuses what is sent: 500 oh"),
        (Fault::Endless, "its answer is longer than 16 MiB"),
    ];
    let item =
        "{\"items\":[{\"create\":{\"status\":400,\"error\":{\"type\":\"mapper_parsing_exception\"}}}]}";
    let of_bulk = [
        (
            Fault::Says(200, "content-type: application/json", "{\"items\":[]}"),
            "as no answer to a bulk request does",
        ),
        (
            Fault::Says(200, "content-type: application/json", "{\"items\""),
            "as no answer to a bulk request does",
        ),
        (Fault::Says(200, "x: y", ""), "as no answer to a bulk request does"),
        (Fault::Says(500, "x: y", "oh"), "it refuses what is sent: 500 oh"),
    ];
    for way in WAYS {
        let (server, stage) = (Server::start(), Stage::new());
        let all = stage.lines(0, 10);
        let more = match way {
            Way::Otlp => &of_otlp[..],
            Way::Lines => &[],
            Way::Bulk => &of_bulk[..],
        };
        for (fault, says) in all_ways.iter().chain(more) {
            server.fail(std::slice::from_ref(fault));
            stage.shipped_to(&server.address(way), &[]).is(4, says);
            assert!(server.records().is_empty(), "{way:?} {fault:?}");
        }
        if way == Way::Lines {
            // Vector says so of a place behind it.
            server.fail(&[Fault::Says(500, "x: y", "oh")]);
        }
        stage.shipped_to(&server.address(way), &[]).is(0, "");
        assert!(lines(&server.records()) == all);
    }
    let (server, stage) = (Server::start(), Stage::new());
    stage.lines(0, 1);
    server.fail(&[Fault::Says(200, "content-type: application/json", item)]);
    let ended = stage.shipped_to(&server.address(Way::Bulk), &[]);
    ended.is(4, ":0, 400 {\"type\":\"mapper_parsing_exception\"}: nothing is skipped");
}

#[test]
fn what_a_receiver_warns_of_although_it_took_all_is_said_once() {
    let (server, stage) = (Server::start(), Stage::new());
    stage.lines(0, 100);
    server.fail(&[
        Fault::Says(200, "content-type: application/x-protobuf", "\n\x0a\x12\x08slow\x1bing"),
        Fault::Says(200, "content-type: application/json", "{\"partialSuccess\":{\"errorMessage\":\"2nd\"}}"),
    ]);
    let ended = stage.shipped_to(&server.address(Way::Otlp), &["--unit=1K"]).is(0, "and warns: slow ing");
    assert!(ended.said.matches("warns").count() == 1 && !ended.said.contains("2nd"), "{ended:?}");
    // None of it comes again: the third unit follows.
    let records = server.records();
    assert!(records.len() > 10 && records.iter().all(|record| record.from() >= 1900), "{records:?}");
}

fn secret(stage: &Stage, text: &str) -> PathBuf {
    let path = stage.dir.path().join("secret");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

#[test]
fn who_is_not_let_in_is_1_for_one_look_and_tried_again_for_one_that_follows_and_secrets_are_read_again() {
    for (text, header, value) in [
        ("user me\npassword geheim", "authorization", "Basic bWU6Z2VoZWlt"),
        ("token geheim", "authorization", "Bearer geheim"),
        ("api-key geheim", "authorization", "ApiKey geheim"),
        ("header X-Scope-OrgID geheim", "x-scope-orgid", "geheim"),
    ] {
        let (server, stage) = (Server::start(), Stage::new());
        let all = stage.lines(0, 10);
        server.wants(header, value);
        let path = secret(&stage, "token wrong");
        let with = |more: &[&str]| {
            let mut command = stage.shipping(&server.address(Way::Bulk), more);
            command.arg("--credentials").arg(&path);
            command
        };
        is_denied(&stage, with, "it does not let us in: 401 who is there?");
        let ended = Ended::of(&with(&["--check"]).output().unwrap());
        assert!(!ended.said.contains("wrong"), "{ended:?}");
        assert!(server.records().is_empty());
        let shipper = Shipper::of(&mut with(&[]));
        secret(&stage, text);
        until("it is let in", || (lines(&server.records()) == all).then_some(()));
        shipper.end().is(0, "");
        let ended = Ended::of(&with(&["--check"]).output().unwrap()).is(0, "");
        assert!(!ended.printed.contains("geheim") && ended.printed.contains("strength at least once"));
        assert!(ended.printed.contains("tail cannot be asked"), "{ended:?}");
        assert!(ended.printed.contains("note the secret goes there as it is"), "{ended:?}");
        assert!(ended.printed.contains("note a line is there once as long as one index has"), "{ended:?}");
    }
}

#[test]
fn a_server_gets_lines_only_where_somebody_vouches_for_it() {
    let stage = Stage::new();
    let Some(certificates) = Certificates::make(stage.dir.path()) else { return };
    let all = stage.lines(0, 10);
    let servers = [&certificates.ours, &certificates.expired].map(Server::start_as);
    for way in WAYS {
        let [ours, expired] = [0, 1].map(|at: usize| servers[at].address(way).replace("http://", "https://"));
        if way == WAYS[0] {
            certificates.are_asked_for(&stage, [&ours, &expired], |to, more| stage.shipping(to, more));
        }
        assert!(servers.iter().all(|server| server.records().is_empty()));
        stage.shipped_to(&ours, &["--name", &format!("{way:?}"), &certificates.ca()]).is(0, "");
        assert!(lines(&servers[0].records()) == all);
        *servers[0].state.lock().unwrap() = Default::default();
    }
}

#[test]
fn what_is_typed_wrongly_is_2_and_nothing_is_sent() {
    let (server, stage) = (Server::start(), Stage::new());
    stage.lines(0, 10);
    for (to, says) in [
        ("http://me:geheim@there/x?format=ndjson", "a password in a command line is seen by everybody"),
        ("http://there/x", "?format=ndjson or ?format=bulk is missing"),
        ("http://there/x?format=xml", "no such format"),
        ("http://there/x?format=bulk", "ends with /_bulk"),
        ("otlp+http://there?format=bulk", "no such format there"),
        ("otlp+http://?x", "no address"),
        ("otlp+http://there?service.name=a%20b", "no service.name"),
        ("otlp+http://there?compress=zstd", "compress=gzip is all there is"),
    ] {
        let ended = stage.shipped_to(to, &[]).is(2, says);
        assert!(!ended.said.contains("geheim"), "{ended:?}");
    }
    let to = server.address(Way::Otlp);
    let path = secret(&stage, "nothing of use");
    let with = format!("--credentials={}", path.display());
    stage.shipped_to(&to, &[&with]).is(2, "no lines `user NAME`");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    stage.shipped_to(&to, &[&with]).is(2, "everybody may read this secret");
    stage.shipped_to(&to, &["--tls-ca=/etc/hostname"]).is(2, "--tls-ca is of no use");
    // Not TLS at all: nothing is sent in the clear.
    let to = to.replace("http://", "https://");
    for more in ["--check", "--give-up=0s"] {
        let more = if more == "--check" { vec![more] } else { vec![more, "--until-now"] };
        let ended = Ended::of(&stage.shipping(&to, &more).arg("--timeout=2s").output().unwrap());
        assert_eq!(ended.code, 1, "{ended:?}");
    }
    assert!(server.records().is_empty() && server.requests() == 0);
}

#[test]
fn another_place_by_the_same_name_is_asked_about() {
    let (one, other, stage) = (Server::start(), Server::start(), Stage::new());
    let all = stage.lines(0, 10);
    stage.shipped_to(&one.address(Way::Lines), &[]).is(0, "");
    stage.shipped_to(&other.address(Way::Lines), &[]).is(4, "--sink-is-new restart");
    assert_eq!(other.requests(), 0);
    stage
        .shipped_to(&other.address(Way::Lines), &["--sink-is-new=restart"])
        .is(0, "a chain begins at position 0");
    assert!(lines(&other.records()) == all);
}
