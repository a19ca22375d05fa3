//! Guards shipping by HTTP: each line is a record at least once, whatever is killed or answers wrongly, a double has the id of its twin and
//! nothing else has it, what is refused is said and not skipped.
//!
//! Servers are of the tests' own (`http_stage`), and rotel, where it is to be had.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

#[path = "../../../tests/common/mod.rs"]
mod common;
#[cfg(debug_assertions)]
#[path = "http/crash.rs"]
mod crash;
#[path = "stage/denied.rs"]
mod denied;
mod http_stage;
#[path = "http/refusals.rs"]
mod refusals;
#[path = "stage/served.rs"]
mod served;
mod stage;
#[path = "stage/storm.rs"]
mod storm;
#[path = "stage/weather.rs"]
mod weather;
#[path = "stage/web.rs"]
mod web;

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use common::surgeon::{COPYING, Surgeon};
use common::{parameter, until};
use http_stage::{Fault, Record, Server, WAYS, Way, address};
use served::Process;
use stage::{Ended, Shipper, Stage};

#[test]
fn role() {
    common::play(&[
        ("serve", serve),
        #[cfg(debug_assertions)]
        ("ship", crash::ship),
    ]);
}

/// Takes logs until it is killed.
fn serve() {
    let _server = Server::at(parameter("PORT"), &parameter::<std::path::PathBuf>("STORE"));
    loop {
        std::thread::park();
    }
}

/// The lines of records, each once, in their order: the same id has the same bytes.
fn lines(records: &[Record]) -> Vec<u8> {
    let mut by_place: BTreeMap<u64, &Record> = BTreeMap::new();
    let mut by_id: BTreeMap<&str, &Record> = BTreeMap::new();
    for record in records {
        let twin = by_id.insert(&record.id, record);
        assert!(twin.is_none_or(|twin| twin.body == record.body), "{twin:?} {record:?}");
        if record.gap.is_empty() {
            by_place.insert(record.from(), record);
        }
    }
    let line = |record: &&Record| [&record.body[..], b"\n"].concat();
    by_place.values().flat_map(line).collect()
}

#[test]
fn each_line_is_a_record_with_its_place_and_what_is_known_of_it() {
    for way in WAYS {
        let (server, stage) = (Server::start(), Stage::new());
        stage.append(b"one\n\ntwo \"quoted\" \\ \x01 \xc3\xa4\n");
        let bad = b"bad \xff\xfe bytes";
        stage.append(&[bad, &b"\n"[..]].concat());
        Surgeon::new(&stage.log).append_in_flight(3, COPYING, 100);
        stage.append(b"after\nno end");
        let service = if way == Way::Otlp { "?" } else { "&" };
        let to = format!("{}{service}service.name=web&compress=gzip", server.address(way));
        stage.shipped_to(&to, &[]).is(0, "have no content");
        let records = server.records();
        let log = &records[0].id[..32];
        let ids: Vec<_> = records.iter().map(|r| r.id.strip_prefix(&format!("{log}:")).unwrap()).collect();
        assert_eq!(ids, ["0", "4", "5", "25", "38-138:hole", "138", "144-150"], "{way:?}");
        let bodies: Vec<_> = records.iter().map(|record| &record.body[..]).collect();
        let said = "mmlog: bytes 38 to 138 have no content: a writer ended in the middle".as_bytes();
        let two = "two \"quoted\" \\ \u{1} ä".as_bytes();
        assert_eq!(bodies, [&b"one"[..], b"", two, bad, said, b"after", b"no end"], "{way:?}");
        assert_eq!(records.iter().position(|record| !record.is_text), Some(3));
        assert_eq!((records[4].gap.as_str(), records[6].cut.as_str()), ("hole", "end"));
        for record in &records {
            assert!(!record.host.is_empty() && record.service == "web", "{record:?}");
            assert_eq!(record.path, stage.log.to_str().unwrap());
        }
        assert!(server.state.lock().unwrap().compressed > 0);
        // Nothing is sent again.
        stage.shipped_to(&server.address(way), &[]).is(0, "");
        assert_eq!(server.records().len(), records.len());
    }
}

#[test]
fn whatever_one_answer_is_the_next_try_has_each_line_there() {
    let faults = [
        Fault::Says(429, "retry-after: 0", "slowly"),
        Fault::Says(502, "x: y", "<html>"),
        Fault::Says(503, "retry-after: soon", ""),
        Fault::Says(504, "x: y", ""),
        Fault::Refuses,
        Fault::Forgets,
        Fault::Breaks,
        Fault::Half,
        Fault::Hangs,
    ];
    for way in WAYS {
        let (server, stage) = (Server::start(), Stage::new());
        let mut all = Vec::new();
        for (i, fault) in faults.iter().enumerate() {
            let i = i as u64;
            all.extend(stage.lines(i * 10, i * 10 + 10));
            server.fail(std::slice::from_ref(fault));
            stage
                .shipped_to(&server.address(way), &["--timeout=300ms"])
                .is(0, "tried again, nothing is lost");
            assert!(lines(&server.records()) == all, "{way:?} {fault:?}");
        }
        let records = server.records().len();
        assert_eq!(way == Way::Bulk, records == 10 * faults.len(), "{way:?}: {records}");
    }
}

#[test]
fn one_that_asks_to_be_left_alone_is_left_alone_for_so_long() {
    let (server, stage) = (Server::start(), Stage::new());
    let all = stage.lines(0, 10);
    // The server says what is wrong, if anything comes before.
    server.fail(&[Fault::Rest(2)]);
    stage.shipped_to(&server.address(Way::Otlp), &[]).is(0, "429");
    assert!(lines(&server.records()) == all);
}

#[test]
fn what_is_too_much_at_once_comes_in_parts_and_a_line_that_is_too_long_is_4() {
    for way in WAYS {
        let (server, stage) = (Server::start(), Stage::new());
        let mut all = stage.lines(0, 4000);
        server.takes(20_000);
        stage.shipped_to(&server.address(way), &[]).is(0, "");
        assert!(lines(&server.records()) == all, "{way:?}");
        let long = [&vec![b'x'; 30_000][..], b"\n"].concat();
        stage.append(&long);
        let ended = stage.shipped_to(&server.address(way), &[]);
        ended.is(4, "a line is longer than it takes: 413 too long");
        all.extend_from_slice(&long);
        server.takes(100_000);
        stage.shipped_to(&server.address(way), &[]).is(0, "");
        assert!(lines(&server.records()) == all, "{way:?}");
    }
}

#[test]
fn a_line_whose_beginning_came_before_is_not_taken_for_that() {
    for way in WAYS {
        let (server, stage) = (Server::start(), Stage::new());
        stage.append(b"begun");
        // It is there, and nobody hears of it: then the line has an end.
        server.fail(&[Fault::Forgets, Fault::Hangs]);
        let more = ["--timeout=300ms", "--give-up=0s"];
        stage.shipped_to(&server.address(way), &more).is(1, "");
        stage.append(b" and done\n");
        server.fail(&[]);
        stage.shipped_to(&server.address(way), &[]).is(0, "");
        let whole: Vec<_> = server.records().into_iter().filter(|record| record.cut.is_empty()).collect();
        assert_eq!(whole.len(), 1, "{way:?}");
        assert_eq!(whole[0].body, b"begun and done", "{way:?}");
    }
}

#[test]
fn a_line_that_is_longer_than_a_unit_comes_in_parts_that_are_marked() {
    for way in WAYS {
        let (server, stage) = (Server::start(), Stage::new());
        stage.append(&[&[b'x'; 2500][..], b"\nnext\n"].concat());
        stage.shipped_to(&server.address(way), &["--unit=1000"]).is(0, "");
        let records = server.records();
        let cuts: Vec<_> = records.iter().map(|record| record.cut.as_str()).collect();
        assert_eq!(cuts, ["end", "both", "start", ""], "{way:?}");
        let bytes: Vec<u8> = records.into_iter().flat_map(|record| record.body).collect();
        assert_eq!(bytes, [&[b'x'; 2500][..], b"next"].concat());
    }
}

#[test]
fn one_that_is_told_to_end_ends_whatever_the_server_does() {
    let (server, stage) = (Server::start(), Stage::new());
    stage.lines(0, 10);
    server.fail(&[Fault::Hangs]);
    let mut command = stage.shipping(&server.address(Way::Bulk), &["--timeout=10m", "--drain=1ms"]);
    let shipper = Shipper::of(&mut command);
    until("it sends", || (server.requests() > 0).then_some(()));
    // Ten minutes are not waited for.
    assert_eq!(shipper.end().code, 0);
    server.fail(&[Fault::Hangs]);
    let shipper = Shipper::of(
        stage.shipping(&server.address(Way::Otlp), &["--check", "--timeout=10m"]).stdout(Stdio::piped()),
    );
    until("it looks", || (server.requests() > 1).then_some(()));
    assert_eq!(shipper.end().code, 1);
}

#[test]
fn whoever_is_killed_nothing_is_missing_and_doubles_have_one_id() {
    for way in WAYS {
        let stage = Stage::new();
        let mut server = Process::start(|dir, port| {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", "role", "--nocapture", "--test-threads=1", "--quiet"]);
            command.env("MMLOG_ROLE", "serve").env("MMLOG_PORT", port.to_string());
            command.env("MMLOG_STORE", dir.join("store/records"));
            command
        });
        let to = address(server.port, way);
        stage.lines(0, 10);
        stage.shipped_to(&to, &[]).is(0, "");
        let all =
            storm::storm(&stage, &mut server, storm::kills().div_ceil(5), |more| stage.shipping(&to, more));
        stage.shipped_to(&to, &[]).is(0, "");
        server.kill();
        let (records, _) = Record::stored(&server.dir.path().join("store/records"));
        println!("{way:?}: {} bytes, {} records", all.len(), records.len());
        let whole: Vec<_> = records.into_iter().filter(|record| record.gap.is_empty()).collect();
        assert!(lines(&whole) == all, "{way:?}");
        if way == Way::Bulk {
            let ids: std::collections::BTreeSet<_> = whole.iter().map(|record| &record.id).collect();
            assert_eq!(ids.len(), whole.len());
        }
    }
}

#[test]
fn rotel_has_all_of_it() {
    let Some(program) = std::env::var_os("MMLOG_ROTEL").filter(|path| !path.is_empty()) else {
        println!("SKIPPED: no MMLOG_ROTEL, which names rotel-agent");
        return;
    };
    let grpc = served::port().to_string();
    let mut server = Process::start(|_, port| {
        let mut command = Command::new(program);
        command.args(["start", "--exporter", "blackhole", "--debug-log", "logs"]);
        command.args(["--debug-log-verbosity", "detailed", "--otlp-http-endpoint"]);
        command.arg(format!("127.0.0.1:{port}")).args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{grpc}")]);
        command
    });
    let stage = Stage::new();
    stage.lines(0, 100);
    stage.append(b"bad \xff bytes\n");
    let to = address(server.port, Way::Otlp);
    let check = || Ended::of(&stage.shipping(&to, &["--check"]).output().unwrap());
    until("it answers", || (check().code == 0).then_some(()));
    stage.shipped_to(&to, &[]).is(0, "");
    let said = || fs::read_to_string(server.dir.path().join("out")).unwrap();
    let uids = || said().matches("log.record.uid: Str(").count();
    until("it says what it has", || (uids() == 101).then_some(()));
    for number in 0..100 {
        assert!(said().contains(&format!("Body: Str(line {number} of some length)")), "{number}: {}", said());
    }
    assert!(said().contains("Body: Bytes([98, 97, 100, 32, 255, 32, "), "{}", said());
    assert!(said().contains(&format!("log.file.path: Str({})", stage.log.display())), "{}", said());
    server.kill();
}
