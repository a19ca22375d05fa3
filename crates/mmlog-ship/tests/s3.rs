//! Guards shipping to stores that speak S3: each final segment is there once, as it lies on the disk, whatever is killed or answers wrongly,
//! and what is received is what the log has.
//!
//! The stores are started by the tests: a strict one of their own, and moto's where python3 has it.
#![cfg(feature = "s3")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

#[path = "../../../tests/common/mod.rs"]
mod common;
#[cfg(debug_assertions)]
#[path = "s3/crash.rs"]
mod crash;
#[path = "stage/denied.rs"]
mod denied;
#[path = "s3/receiving.rs"]
mod receiving;
mod s3_stage;
#[path = "stage/served.rs"]
mod served;
mod stage;
#[path = "s3/troubles.rs"]
mod troubles;
#[path = "stage/weather.rs"]
mod weather;
#[path = "stage/web.rs"]
mod web;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::surgeon::{COPYING, Surgeon};
use common::{Random, seed, until};
use mmlog::{Compress, Compression, Retention};
use receiving::receive;
use s3_stage::{Server, servers};
use stage::{Ended, Shipper, Stage, options};
use weather::{rotated, write};

#[cfg(debug_assertions)]
#[test]
fn role() {
    common::play(&[("ship", crash::ship)]);
}

/// What keys of the tests begin with.
const PREFIX: &str = "some/logs";

impl Stage {
    fn secret(&self) -> PathBuf {
        let path = self.dir.path().join("secret");
        if !path.exists() {
            fs::write(&path, "access-key AKIDEXAMPLE\nsecret-key geheim\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        path
    }

    fn s3(&self, server: &Server, more: &[&str]) -> Command {
        let mut command = self.shipping(&server.address(PREFIX), more);
        command.arg("--credentials").arg(self.secret());
        command.stderr(Stdio::piped()).stdout(Stdio::piped());
        command
    }

    fn ship_to(&self, server: &Server, more: &[&str]) -> Ended {
        Ended::of(&self.s3(server, more).arg("--until-now").output().unwrap())
    }

    /// What keys of the log begin with.
    fn directory(&self) -> String {
        let uuid: String = self.open().status().unwrap().id.uuid.iter().map(|b| format!("{b:02x}")).collect();
        format!("{PREFIX}/{uuid}/")
    }

    /// The names of the log's objects, behind its uuid.
    fn names(&self, server: &Server) -> Vec<String> {
        let of = self.directory();
        server.objects().keys().filter_map(|key| key.strip_prefix(&of)).map(str::to_owned).collect()
    }
}

/// As a segment is called.
fn named(from: usize, to: usize, end: &str) -> String {
    format!("{from:020}-{to:020}{end}")
}

/// All bytes of the segments that are there, in the order of their names; ends are of segments as they are.
fn stored(server: &Server) -> Vec<u8> {
    let mut all = Vec::new();
    for (key, object) in server.objects() {
        match key.rsplit_once('.') {
            None => all.extend_from_slice(&object.bytes),
            Some((_, "zst")) => all.extend(zstd::decode_all(&object.bytes[..]).unwrap()),
            Some(_) => {}
        }
    }
    all
}

#[test]
fn what_is_final_is_shipped_as_it_lies_on_the_disk_and_what_is_not_is_said() {
    for server in servers() {
        let stage = Stage::new();
        let first = stage.lines(0, 1000);
        let plain = fs::read(stage.rotate()).unwrap();
        let second = stage.lines(1000, 1500);
        let checked = Ended::of(&stage.s3(&server, &["--check"]).output().unwrap()).is(0, "");
        assert!(checked.printed.contains("strength by id: each byte once"), "{checked:?}");
        assert!(server.objects().is_empty(), "it was to change nothing");
        let (a, b) = (first.len(), first.len() + second.len());
        let says = format!("bytes {a} to {b} are not final yet");
        stage.ship_to(&server, &[]).is(0, &says);
        assert_eq!(stage.names(&server), [named(0, 0, ".begin"), named(0, a, "")]);
        assert!(stored(&server) == plain && plain == first);
        // Compressed before it was shipped.
        stage.rotate();
        stage.open().compress(&Compress::new(Compression::Zstd), |_| {}).unwrap();
        stage.ship_to(&server, &[]).is(0, "");
        assert_eq!(stage.names(&server)[2..], [named(a, b, ".zst")]);
        assert!(stored(&server) == [first, second].concat());
        // What is not final becomes it.
        let third = stage.lines(1500, 1600);
        stage.ship_to(&server, &["--rotate-after=1h"]).is(0, "are not final yet");
        let said = stage.ship_to(&server, &["--rotate-after=0s"]).is(0, "").said;
        assert!(!said.contains("not final"), "{said}");
        assert!(stored(&server).ends_with(&third));
        assert_eq!(stage.ship_to(&server, &[]).is(0, "").said, "");
        server.is_content();
    }
}

#[test]
fn one_that_follows_ships_each_segment_when_it_is_final_and_rotates_where_it_is_told() {
    for server in servers() {
        let stage = Stage::new();
        let mut all = stage.lines(0, 100);
        let shipper = Shipper::of(&mut stage.s3(&server, &[]));
        for round in 1..4 {
            stage.rotate();
            until("the segment is there", || (stored(&server) == all).then_some(()));
            all.extend(stage.lines(round * 100, round * 100 + 100));
        }
        shipper.end().is(0, "");
        let shipper = Shipper::of(&mut stage.s3(&server, &["--rotate-after=1ms"]));
        for round in 4..6 {
            until("all of it is there", || (stored(&server) == all).then_some(()));
            all.extend(stage.lines(round * 100, round * 100 + 100));
        }
        until("all of it is there", || (stored(&server) == all).then_some(()));
        shipper.end().is(0, "");
        server.is_content();
    }
}

#[test]
fn a_store_that_lost_the_last_segments_gets_them_again_and_a_wiped_one_needs_a_person() {
    for server in servers() {
        let stage = Stage::new();
        let mut all = Vec::new();
        for round in 0..4 {
            all.extend(stage.lines(round * 100, round * 100 + 100));
            stage.rotate();
            stage.ship_to(&server, &[]).is(0, "");
        }
        let keys: Vec<String> = server.objects().into_keys().collect();
        server.remove(&keys[4]);
        server.remove(&keys[3]);
        stage.ship_to(&server, &[]).is(0, "it had acknowledged: they are sent again");
        assert!(stored(&server) == all);
        // In the middle of the last ones, too: the last was on its way then.
        server.remove(&keys[3]);
        stage.ship_to(&server, &[]).is(0, "it had acknowledged: they are sent again");
        assert!(stored(&server) == all);
        server.remove(&keys[3]);
        fs::remove_file(stage.checkpoint_of("s3-bucket")).unwrap();
        stage.ship_to(&server, &[]).is(0, "");
        assert!(stored(&server) == all);
        server.wipe();
        for _ in 0..2 {
            stage.ship_to(&server, &[]).is(4, "--sink-is-new");
            assert!(server.objects().is_empty());
        }
        stage.ship_to(&server, &["--sink-is-new=restart"]).is(0, "");
        assert!(stored(&server) == all);
        server.wipe();
        all = stage.lines(400, 500);
        stage.rotate();
        stage.ship_to(&server, &["--sink-is-new=continue"]).is(0, "");
        assert!(stored(&server) == all);
        server.is_content();
    }
}

#[test]
fn what_another_history_has_under_a_name_is_never_changed_and_needs_a_person() {
    for server in servers() {
        let stage = Stage::new();
        stage.lines(0, 100);
        let metadata = stage.dir.path().join("app.log.mmlog");
        let before = fs::read(&metadata).unwrap();
        let segment = stage.rotate();
        stage.ship_to(&server, &[]).is(0, "");
        // Put back, and gone on with otherwise.
        fs::rename(segment, &stage.log).unwrap();
        fs::write(&metadata, before).unwrap();
        let all = [stage::committed(&stage.log), stage.lines(300, 500)].concat();
        stage.rotate();
        let has = server.objects();
        stage.ship_to(&server, &[]).is(4, "--accept-fork");
        stage.ship_to(&server, &["--accept-fork"]).is(4, "ship to another prefix");
        assert_eq!(server.objects().len(), has.len());
        server.wipe();
        fs::remove_file(stage.checkpoint_of("s3-bucket")).unwrap();
        stage.ship_to(&server, &["--sink-is-new=restart"]).is(0, "");
        assert!(stored(&server) == all);
        // The same name, and other bytes.
        let has = server.objects();
        let (last, object) = has.iter().next_back().unwrap();
        let mut changed = object.clone();
        changed.bytes[5] ^= 1;
        changed.headers.insert("x-amz-meta-mm-sum".to_owned(), "0000000000000001".to_owned());
        server.put(last, &changed);
        stage.ship_to(&server, &[]).is(4, "what it has last is no unit");
        assert!(server.objects()[last].bytes == changed.bytes, "it was changed");
        server.is_content();
    }
}

#[test]
fn a_segment_that_was_compressed_since_another_shipper_sent_it_is_there_once() {
    for server in servers() {
        let stage = Stage::new();
        let all = stage.lines(0, 1000);
        stage.rotate();
        stage.ship_to(&server, &[]).is(0, "");
        stage.open().compress(&Compress::new(Compression::Zstd), |_| {}).unwrap();
        let checkpoint = format!("--checkpoint={}", stage.dir.path().join("other").display());
        let second = ["--name=other", &checkpoint];
        stage.ship_to(&server, &second).is(0, "");
        assert!(stored(&server) == all);
        // Both go on, side by side, and each segment is there once.
        let mut all = all;
        let both = [&[][..], &second].map(|more| Shipper::of(&mut stage.s3(&server, more)));
        for round in 0..5 {
            all.extend(stage.lines(1000 + round * 100, 1100 + round * 100));
            stage.rotate();
            until("the segment is there", || (stored(&server).len() >= all.len()).then_some(()));
        }
        for shipper in both {
            shipper.end().is(0, "");
        }
        assert!(stored(&server) == all);
        receive(&stage, &server, "in", &[]).is(0, "");
        assert!(stage.received("in") == all);
        server.is_content();
    }
}

#[test]
fn what_is_larger_than_may_be_in_memory_goes_in_parts_and_uploads_that_were_left_are_ended() {
    for server in servers() {
        let stage = Stage::new();
        let mut random = Random::new(7);
        let line = |random: &mut Random| {
            let mut line: Vec<u8> = (0..100_000).map(|_| b'a' + random.below(26) as u8).collect();
            line.push(b'\n');
            line
        };
        let all: Vec<u8> = (0..170).flat_map(|_| line(&mut random)).collect();
        all.chunks(100_001).for_each(|line| stage.append(line));
        stage.rotate();
        if let Server::Strict(strict) = &server {
            use s3_stage::strict::Fault;
            // The begin, the look at what is there, the beginning of an upload, two parts, and the end.
            let killed = Shipper::of(&mut stage.s3(&server, &["--in-flight=5M", "--timeout=60s"]));
            until("an upload has begun", || (strict.uploads() == 1).then_some(()));
            strict.fail(&[Fault::Hangs, Fault::Hangs]);
            killed.kill();
            strict.fail(&[]);
            // More than a list has at once; and one of somebody else.
            strict.leave_uploads(&format!("{}{}", stage.directory(), named(0, all.len(), "")), 3);
            strict.leave_uploads(&format!("{}other", stage.directory()), 1);
        }
        stage.ship_to(&server, &["--in-flight=5M"]).is(0, "");
        assert!(stored(&server) == all);
        receive(&stage, &server, "in", &[]).is(0, "");
        assert!(stage.received("in") == all);
        if let Server::Strict(strict) = &server {
            assert_eq!(strict.uploads(), 1, "not all of the log's were ended, or one of somebody else's was");
            assert!(strict.state.lock().unwrap().longest <= 5 << 20);
        }
        server.is_content();
    }
}

#[test]
fn a_secret_is_in_a_file_that_others_cannot_read_and_in_no_message() {
    let server = &servers()[0];
    let stage = Stage::new();
    stage.lines(0, 10);
    stage.rotate();
    let secret = stage.secret();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    stage.ship_to(server, &[]).is(2, "everybody may read this secret");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&secret, "access-key AKIDEXAMPLE\ngeheim\n").unwrap();
    let said = stage.ship_to(server, &[]).is(2, "secret-key").said;
    assert!(!said.contains("geheim") && !said.contains("AKID"), "{said}");
    let typed = [
        "s3://AKID:geheim@bucket/x?region=r",
        "s3://bucket/x?region=r&secret=geheim",
        "s3://bucket/x?endpoint=http://AKID:geheim@127.0.0.1:1",
        "s3://bucket/../x?region=r",
        "s3://bucket/x?endpoint=ftp://127.0.0.1",
        "s3://bucket/x",
        "s3:///x?region=r",
    ];
    for address in typed {
        let run = |words: [&str; 4]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_mmlogctl-ship"));
            Ended::of(&command.args(words).arg("--credentials").arg(&secret).output().unwrap())
        };
        let (log, into) = (stage.log.to_str().unwrap(), stage.dir.path().join("in"));
        for ended in
            [run(["ship", log, "--to", address]), run(["receive", address, "--into", into.to_str().unwrap()])]
        {
            assert!(ended.code == 2 && !ended.said.contains("geheim"), "{address}: {ended:?}");
        }
    }
}

#[test]
fn each_byte_is_there_once_whenever_the_shipper_is_killed() {
    let kills: u64 = std::env::var("MMLOG_KILLS").map_or(12, |kills| kills.parse().unwrap());
    thread::scope(|scope| {
        for server in servers() {
            scope.spawn(move || storm(&server, kills));
        }
    });
}

fn storm(server: &Server, kills: u64) {
    let stage = Stage::new();
    let mut random = Random::new(seed());
    let log = options().open_or_create(&stage.log).unwrap();
    let stop = AtomicBool::new(false);
    // From then on a hold keeps what is not shipped.
    let mut all = stage.lines(0, 1);
    stage.ship_to(server, &[]).is(0, "");
    let mut segments = BTreeMap::new();
    let mut keep = |log: &mmlog::Log, all: &mut Vec<u8>| {
        let base = all.len();
        let bytes = rotated(log);
        segments.insert(base, bytes.clone());
        all.extend(bytes);
    };
    all.clear();
    if let Server::Strict(strict) = server {
        strict.fail_at_random(Some((Random::new(seed()), 12)));
    }
    thread::scope(|scope| {
        for writer in 0..4 {
            let (log, stop) = (&log, &stop);
            scope.spawn(move || write(log, writer, stop));
        }
        for _ in 0..kills {
            let shipper = Shipper::of(&mut stage.s3(server, &["--keep-acked=200ms", "--timeout=2s"]));
            for _ in 0..=random.below(3) {
                thread::sleep(Duration::from_millis(random.below(300)));
                keep(&log, &mut all);
                if random.below(2) == 0 {
                    log.compress(&Compress::new(Compression::Zstd), |_| {}).unwrap();
                }
            }
            log.prune(&Retention::default().keep(0)).unwrap();
            shipper.kill();
        }
        stop.store(true, Ordering::Relaxed);
    });
    keep(&log, &mut all);
    if let Server::Strict(strict) = server {
        strict.fail_at_random(None);
    }
    stage.ship_to(server, &[]).is(0, "");
    let shipped = stored(server);
    println!("{} bytes in {} segments, {kills} kills", all.len(), segments.len());
    assert_eq!(shipped.len(), all.len());
    assert!(shipped == all, "other bytes");
    receive(&stage, server, "in", &[]).is(0, "");
    assert!(stage.received("in") == all, "received otherwise");
    server.is_content();
}
