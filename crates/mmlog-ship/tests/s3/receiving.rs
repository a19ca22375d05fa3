//! The way back from a store.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use super::common::until;
use super::s3_stage::strict::Object;
use super::s3_stage::{Server, servers};
use super::stage::{Ended, Shipper, Stage};
use super::{COPYING, PREFIX, Surgeon, named};

fn command(stage: &Stage, address: &str, into: &str, more: &[&str]) -> Command {
    let mut command = stage.receiving(address, into, more);
    command.arg("--credentials").arg(stage.secret());
    command
}

/// Receives what there is, into a directory of that name.
pub(super) fn receive(stage: &Stage, server: &Server, into: &str, more: &[&str]) -> Ended {
    let mut command = command(stage, &server.address(PREFIX), into, more);
    Ended::of(&command.arg("--until-now").output().unwrap())
}

fn files(stage: &Stage, into: &str) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(stage.dir.path().join(into)).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect()
}

#[test]
fn what_is_received_is_what_is_received_from_elsewhere_ranges_without_content_too() {
    for server in servers() {
        let stage = Stage::new();
        let mut all = stage.lines(0, 10);
        let before = all.len();
        Surgeon::new(&stage.log).append_in_flight(3, COPYING, 100);
        all.extend(stage.lines(10, 20));
        stage.rotate();
        all.extend(stage.lines(20, 30));
        stage.rotate();
        stage.ship_to(&server, &[]).is(0, "");
        let end = all.len() + 100;
        assert_eq!(stage.names(&server)[2], named(0, end - (all.len() - before) / 2, ".gaps"));
        let log = stage.log.to_str().unwrap();
        receive(&stage, &server, "in", &["--verify", log]).is(0, "have no content: hole");
        assert!(stage.received("in") == all);
        stage.ship(&[]).is(0, "");
        let mut elsewhere = Command::new(env!("CARGO_BIN_EXE_mmlogctl-ship"));
        elsewhere.args(["receive", "--until-now", &stage.to(), "--into"]).arg(stage.dir.path().join("other"));
        Ended::of(&elsewhere.output().unwrap()).is(0, "");
        let mut both = [files(&stage, "in"), files(&stage, "other")];
        for files in &mut both {
            files.retain(|name, _| !name.starts_with("receive.state"));
        }
        assert!(both[0].len() == 2 && both[0] == both[1], "{:?}", both.map(|files| files.into_keys()));
        server.is_content();
    }
}

#[test]
fn one_that_follows_has_what_comes_and_a_log_that_is_made_anew_has_files_of_its_own() {
    for server in servers() {
        let stage = Stage::new();
        let mut first = stage.lines(0, 100);
        stage.rotate();
        stage.ship_to(&server, &[]).is(0, "");
        let receiver = Shipper::of(&mut command(&stage, &server.address(PREFIX), "in", &[]));
        until("the first lines", || {
            let into = stage.dir.path().join("in");
            (into.exists() && files(&stage, "in").values().any(|bytes| *bytes == first)).then_some(())
        });
        first.extend(stage.lines(100, 200));
        stage.rotate();
        stage.ship_to(&server, &[]).is(0, "");
        mmlog::remove_all(&stage.log, mmlog::Force::Always, &mmlog::Log::options()).unwrap();
        let second = stage.lines(200, 300);
        stage.rotate();
        stage.ship_to(&server, &[]).is(0, "a chain begins");
        until("both", || {
            let files = files(&stage, "in");
            let has = |all: &Vec<u8>| files.values().any(|bytes| bytes == all);
            (has(&first) && has(&second)).then_some(())
        });
        receiver.end().is(0, "");
        // Gone on with, and begun again, it is the same.
        receive(&stage, &server, "in", &[]).is(0, "");
        receive(&stage, &server, "again", &[]).is(0, "");
        let logs = |into| -> Vec<Vec<u8>> {
            let logs = files(&stage, into).into_iter().filter(|(name, _)| name.ends_with(".log"));
            logs.map(|(_, bytes)| bytes).collect()
        };
        assert!(logs("in").len() == 2 && logs("in") == logs("again"));
        server.is_content();
    }
}

#[test]
fn of_logs_side_by_side_each_is_received_by_its_own_name() {
    for server in servers() {
        let stages = [Stage::new(), Stage::new()];
        let all = [stages[0].lines(0, 100), stages[1].lines(500, 700)];
        for stage in &stages {
            stage.rotate();
            stage.ship_to(&server, &[]).is(0, "");
        }
        receive(&stages[0], &server, "in", &[]).is(4, "s3://BUCKET/PREFIX/UUID");
        for (stage, all) in stages.iter().zip(all) {
            let uuid: String =
                stage.open().status().unwrap().id.uuid.iter().map(|b| format!("{b:02x}")).collect();
            let address = server.address(&format!("{PREFIX}/{uuid}"));
            let mut receive = command(stage, &address, "own", &["--until-now"]);
            Ended::of(&receive.output().unwrap()).is(0, "");
            assert!(stage.received("own") == all);
        }
    }
}

#[test]
fn nothing_of_an_object_that_is_wrong_is_written_and_names_are_no_paths() {
    for server in servers() {
        let stage = Stage::new();
        let first = stage.lines(0, 100);
        stage.rotate();
        let second = stage.lines(100, 200);
        stage.rotate();
        stage.ship_to(&server, &[]).is(0, "");
        let whole = server.objects();
        let (key, object) = whole.iter().next_back().unwrap();
        let with = |name: &str, value: &str| {
            let mut object = object.clone();
            object.headers.insert(format!("x-amz-meta-{name}"), value.to_owned());
            object
        };
        let mut cut = object.clone();
        cut.bytes.truncate(100);
        let mut other = object.clone();
        other.bytes[10] ^= 1;
        let mut long = object.clone();
        long.bytes.extend_from_slice(b"more\n");
        let uuid = &object.headers["x-amz-meta-mm-log"];
        let wrong: [(Object, &str); 8] = [
            (cut, "it has 100 bytes"),
            (other, "another SHA-256"),
            (long, "bytes, and says"),
            (with("mm-sum", "0000000000000007"), "is damaged"),
            (with("mm-log", &uuid.replace(&uuid[..4], "../.")), "mm-log"),
            (with("mm-v", "99"), "of version 99"),
            (with("mm-gaps", "1"), "it is not there"),
            (Object { bytes: object.bytes.clone(), ..Object::default() }, "it does not say what it is"),
        ];
        for (object, says) in wrong {
            server.put(key, &object);
            receive(&stage, &server, "in", &[]).is(4, says);
            assert!(stage.received("in") == first, "{says}");
        }
        server.put(key, object);
        let directory = key.rsplit_once('/').unwrap().0;
        for name in ["../../../outside", "..", "x", "99999999999999999999-99999999999999999999"] {
            server.put(&format!("{PREFIX}/{name}"), object);
            server.put(&format!("{directory}/{name}"), object);
        }
        receive(&stage, &server, "in", &[]).is(0, "");
        assert!(stage.received("in") == [first, second].concat());
        let there: Vec<String> = files(&stage, "in").into_keys().collect();
        assert!(
            there.iter().all(|name| name.contains(&uuid[..]) || name.starts_with("receive.state")),
            "{there:?}"
        );
    }
}

#[test]
fn what_was_removed_before_it_was_received_is_asked_about_and_one_that_was_put_back_is_found() {
    for server in servers() {
        let stage = Stage::new();
        let mut all = Vec::new();
        for round in 0..4 {
            all.push(stage.lines(round * 100, round * 100 + 100));
            stage.rotate();
            stage.ship_to(&server, &[]).is(0, "");
            if round == 1 {
                receive(&stage, &server, "in", &[]).is(0, "");
            }
        }
        let whole = server.objects();
        let keys: Vec<&String> = whole.keys().collect();
        for key in &keys[..4] {
            server.remove(key);
        }
        receive(&stage, &server, "in", &[]).is(4, "--accept-gap");
        receive(&stage, &server, "in", &["--accept-gap"]).is(0, "have no content");
        assert!(stage.received("in") == [&all[0][..], &all[1], &all[3]].concat());
        // From nothing it begins with what is there.
        receive(&stage, &server, "late", &[]).is(0, "");
        assert!(stage.received("late") == all[3]);
        server.wipe();
        receive(&stage, &server, "late", &[]).is(1, "nothing was shipped there");
        // Another history under the same names.
        for (key, object) in &whole {
            let mut other = object.clone();
            other.headers.insert("x-amz-meta-mm-after".to_owned(), "00000000000000aa".to_owned());
            server.put(key, &other);
        }
        receive(&stage, &server, "late", &[]).is(4, "nothing of it was written");
    }
}

/// A reader that has nothing but the manual page.
#[test]
fn another_reader_finds_the_same() {
    let server = &servers()[0];
    let stage = Stage::new();
    let mut all = stage.lines(0, 1000);
    Surgeon::new(&stage.log).append_in_flight(3, COPYING, 100);
    all.extend(stage.lines(1000, 2000));
    stage.rotate();
    all.extend(stage.lines(2000, 2500));
    stage.rotate();
    stage.ship_to(server, &[]).is(0, "");
    let there = stage.dir.path().join("objects");
    for (key, object) in server.objects() {
        let path = there.join(key.rsplit_once('/').unwrap().1);
        fs::create_dir_all(&there).unwrap();
        fs::write(&path, &object.bytes).unwrap();
        let fields = object
            .headers
            .iter()
            .filter_map(|(name, value)| Some(format!("{}: {value}\n", name.strip_prefix("x-amz-meta-")?)));
        fs::write(
            path.with_file_name(format!("{}@", path.file_name().unwrap().display())),
            fields.collect::<String>(),
        )
        .unwrap();
    }
    let reader = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/s3/reader.py");
    let Ok(read) = Command::new("python3").arg(reader).arg(&there).output() else {
        println!("SKIPPED: no python3");
        return;
    };
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    assert!(read.stdout == all);
}
