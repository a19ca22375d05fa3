//! Guards what a returned sync promises, that one sync serves many, that a failed one is never forgotten, and that the
//! first writer after a reboot goes on from the checkpoint and the data, whatever the metadata says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

mod common;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::Duration;

use common::surgeon::{COPYING, CURSOR, Surgeon};
use common::{Actor, log_path, metadata_of, parameter, say, scene};
use mmlog::layout::SLOT_BYTES;
use mmlog::repair::{self, Wish};
use mmlog::{Class, Fault, HoleKind, Log, Next, Options, Position, Start, check};
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The entry of the current segment: generation, base, inode.
const SEGMENT: usize = 0x440;

#[test]
fn role() {
    common::play(&[
        ("durable", durable),
        ("failing", failing),
        ("stopped", stopped),
        ("before", before),
        ("crowded", crowded),
        ("cramped", cramped),
    ]);
}

fn options() -> Options {
    Log::options().chunk_size(65536)
}

/// Appends `EACH` messages, each durable before the next.
fn durable() {
    let log = options().open_or_create(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    say("ready");
    common::listen();
    for number in 0..parameter("EACH") {
        let message = common::message(parameter("WRITER"), number, 120);
        writer.append_durable(&message).unwrap();
    }
}

#[test]
fn what_a_sync_returned_is_below_the_checkpoint() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    assert_eq!(log.sync().unwrap(), Position::new(0));
    let mut writer = log.writer().unwrap();
    writer.append(b"one\n").unwrap();
    assert_eq!(log.synced(), Position::new(0));
    writer.sync().unwrap();
    assert_eq!(log.synced(), Position::new(4));
    writer.append(b"two\n").unwrap();
    assert_eq!(log.sync().unwrap(), Position::new(8));
    assert_eq!(log.synced(), Position::new(8));
}

#[test]
fn writers_that_wait_share_syncs() {
    let (writers, each) = (8, 25);
    let scene = scene();
    let counts = scene.dir.path().join("calls");
    let Some(strace) = common::strace(&["-c", "-e", "trace=fdatasync", "-o", counts.to_str().unwrap()])
    else {
        return;
    };
    // One process whose threads are counted together; processes share in the same way, by the metadata.
    let parameters =
        [("LOG", scene.log.display().to_string()), ("WRITER", "0".into()), ("EACH", each.to_string())];
    let mut others: Vec<Actor> = (1..writers)
        .map(|w: u64| {
            let mut parameters = parameters.clone();
            parameters[1].1 = w.to_string();
            Actor::new("durable", &parameters)
        })
        .collect();
    let mut counted = Actor::under(strace, "durable", &parameters);
    others.iter_mut().chain([&mut counted]).for_each(|a| assert_eq!(a.hear(), "ready"));
    others.iter_mut().chain([&mut counted]).for_each(|a| a.tell("go"));
    others.into_iter().for_each(|a| drop(a.finish()));
    counted.finish();
    let content = common::parse(&common::committed(&scene.log));
    common::assert_complete(&content, writers, each);
    let table = fs::read_to_string(&counts).unwrap();
    // Two calls a sync, data and metadata: who never profits from another's makes twice as many as messages.
    let calls: u64 = table
        .lines()
        .filter(|l| l.ends_with("fdatasync"))
        .filter_map(|l| l.split_whitespace().nth(3)?.parse::<u64>().ok())
        .sum();
    assert!(calls < 2 * each, "{calls} calls for {each} messages: {table}");
}

/// Its syncs fail, by strace; says what it is told.
fn failing() {
    let log = options().open(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    let error = writer.append_durable(b"one\n").unwrap_err();
    let Fault::NotDurable { at: 0, cause } = error.fault() else { panic!("{error}") };
    assert!(matches!(**cause, Fault::SyncFailed { from: 0, .. }), "{error}");
    assert_eq!(error.fault().class(), Class::Damaged);
    say(&error.to_string());
    writer.append(b"two\n").unwrap();
}

#[test]
fn a_failed_sync_is_remembered_until_somebody_accepts_the_loss() {
    let scene = scene();
    let Some(strace) = common::strace(&["-o", "/dev/null", "-e", "inject=fdatasync:error=EIO:when=1"]) else {
        return;
    };
    options().open_or_create(&scene.log).unwrap().close().unwrap();
    let mut failing = Actor::under(strace, "failing", &[("LOG", scene.log.display().to_string())]);
    let said = failing.hear();
    assert!(
        said.contains("written at position 0") && said.contains("durability lost from position 0"),
        "{said}"
    );
    failing.finish();
    assert_eq!(common::committed(&scene.log), b"one\ntwo\n", "appends went on");
    let log = options().open(&scene.log).unwrap();
    for _ in 0..2 {
        let error = log.sync().unwrap_err();
        assert!(matches!(error.fault(), Fault::SyncFailed { from: 0, .. }), "{error}");
    }
    let plan = repair::examine(&scene.log, &options()).unwrap().plan(&[]);
    assert!(plan.steps.is_empty() && plan.left.len() == 1, "{plan:?}");
    repair::examine(&scene.log, &options()).unwrap().plan(&[Wish::AcceptLoss]).apply().unwrap();
    assert_eq!(log.sync().unwrap(), Position::new(8));
}

/// Has an append in flight for as long as it is stopped.
fn stopped() {
    let log = options().open_or_create(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(b"one\n").unwrap();
    say("ready");
    common::listen();
}

#[test]
fn a_sync_behind_a_stopped_writer_names_it() {
    let scene = scene();
    let mut actor = Actor::on(&scene.log, "stopped");
    assert_eq!(actor.hear(), "ready");
    kill(Pid::from_raw(actor.pid()), Signal::SIGSTOP).unwrap();
    let start = Surgeon::new(&scene.log).append_in_flight(0, COPYING, 10);
    let log = options().wait(Duration::from_millis(30)).open(&scene.log).unwrap();
    let mut writer = log.writer().unwrap();
    let at = writer.append(b"two\n").unwrap();
    let error = writer.sync().unwrap_err();
    let Fault::Stalled { blocker, .. } = error.fault() else { panic!("{error}") };
    assert_eq!(blocker.pid.cast_signed(), actor.pid());
    assert_eq!(log.synced(), Position::new(start), "what is final is durable");
    actor.kill();
    writer.sync().unwrap();
    assert_eq!(log.synced(), at + 4);
}

/// Keeps the slot's byte from whoever wants to write-lock it, as somebody can who may only read the metadata.
fn read_lock(log: &std::path::Path, slot: u64) -> File {
    let file = File::open(metadata_of(log)).unwrap();
    let lock = nix::libc::flock {
        l_type: nix::libc::F_RDLCK as nix::libc::c_short,
        l_whence: nix::libc::SEEK_SET as nix::libc::c_short,
        l_start: (SLOT_BYTES + slot).cast_signed(),
        l_len: 1,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_OFD_SETLK(&lock)).unwrap();
    file
}

#[test]
fn a_sync_ends_where_a_dead_writers_slot_cannot_be_had_and_names_it() {
    let scene = scene();
    let log = options().wait(Duration::from_millis(30)).open_or_create(&scene.log).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(b"one\n").unwrap();
    let start = Surgeon::new(&scene.log).append_in_flight(7, COPYING, 10);
    let held = read_lock(&scene.log, 7);
    let at = writer.append(b"two\n").unwrap();
    let error = writer.sync().unwrap_err();
    assert!(matches!(error.fault(), Fault::Stalled { .. }), "{error}");
    assert!(error.to_string().contains("slot 7") && error.to_string().contains("dead"), "{error}");
    assert_eq!(log.synced(), Position::new(start), "what is below it is durable");
    drop(held);
    writer.sync().unwrap();
    assert_eq!(log.synced(), at + 4);
}

#[test]
fn a_sync_of_what_a_spoiled_cursor_does_not_reach_is_an_error() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let mut writer = log.writer().unwrap();
    // Of NULs nobody can tell that they were appended.
    writer.append(&[0; 4]).unwrap();
    Surgeon::new(&scene.log).set(CURSOR, 0);
    let error = writer.sync().unwrap_err();
    assert!(matches!(error.fault(), Fault::OutOfRange { field: "cursor", value: 0, .. }), "{error}");
}

#[test]
fn a_spoiled_cursor_is_no_checkpoint_and_what_repair_leaves_is_the_content() {
    // Further than all writers together can have reserved.
    for beyond in [1 << 62, 1 << 61, 1 << 45] {
        let scene = scene();
        let log = options().open_or_create(&scene.log).unwrap();
        let mut writer = log.writer().unwrap();
        writer.append(b"one\n").unwrap();
        Surgeon::new(&scene.log).set(CURSOR, beyond);
        // Either says so, or makes durable what there is.
        let _ = writer.sync();
        let _ = log.sync();
        drop((writer, log));
        Surgeon::new(&scene.log).set(CURSOR, beyond);
        let tool = |command| {
            let mut tool = Command::new(env!("CARGO_BIN_EXE_mmlogctl"));
            tool.arg(command).arg(&scene.log).output().unwrap()
        };
        assert!(tool("repair").status.success(), "{beyond}");
        assert!(tool("cat").stdout == b"one\n", "{beyond}");
    }
}

/// Has every descriptor in use that it may have when it syncs.
fn crowded() {
    let log = options().open_or_create(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(b"one\n").unwrap();
    let mut crowd = Vec::new();
    setrlimit(Resource::RLIMIT_NOFILE, 64, 64).unwrap();
    while let Ok(file) = File::open("/dev/null") {
        crowd.push(file);
    }
    let error = writer.sync().unwrap_err();
    let Fault::Io { source, .. } = error.fault() else { panic!("{error}") };
    assert_eq!(source.raw_os_error(), Some(nix::libc::EMFILE));
    say("crowded");
    common::listen();
    drop(crowd);
    writer.sync().unwrap();
}

#[test]
fn a_process_out_of_descriptors_costs_nobody_durability() {
    let scene = scene();
    let mut actor = Actor::on(&scene.log, "crowded");
    assert_eq!(actor.hear(), "crowded");
    let log = options().open(&scene.log).unwrap();
    assert_eq!(log.sync().unwrap(), Position::new(4), "others sync");
    actor.tell("go");
    actor.finish();
}

/// As `failing`, with an error that says nothing of the disk.
fn cramped() {
    let log = options().open(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    let error = writer.append_durable(b"one\n").unwrap_err();
    let Fault::NotDurable { at: 0, cause } = error.fault() else { panic!("{error}") };
    assert!(matches!(**cause, Fault::Io { .. }), "{error}");
    writer.sync().unwrap();
}

#[test]
fn a_sync_that_fails_for_want_of_memory_can_be_done_again() {
    let scene = scene();
    let Some(strace) = common::strace(&["-o", "/dev/null", "-e", "inject=fdatasync:error=ENOMEM:when=1"])
    else {
        return;
    };
    options().open_or_create(&scene.log).unwrap().close().unwrap();
    Actor::under(strace, "cramped", &[("LOG", scene.log.display().to_string())]).finish();
}

/// Appends two messages and syncs them.
fn before() {
    let log = options().open_or_create(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(b"one\n").unwrap();
    writer.append(b"two\n").unwrap();
    say(&log.sync().unwrap().to_string());
    common::listen();
}

/// A log whose first two messages are synced, as a power cut leaves it; returns the position behind them.
fn synced_log(scene: &common::Scene) -> u64 {
    let mut before = Actor::on(&scene.log, "before");
    let synced = before.hear().parse().unwrap();
    before.kill();
    synced
}

#[test]
fn after_a_reboot_the_log_ends_where_the_data_does() {
    for cursor in ["behind the data", "ahead of the data"] {
        let scene = scene();
        let synced = synced_log(&scene);
        let surgeon = Surgeon::new(&scene.log);
        let data = File::options().write(true).open(&scene.log).unwrap();
        data.write_all_at(b"three\n", synced).unwrap();
        surgeon.set(CURSOR, if cursor == "behind the data" { synced } else { synced + 5000 });
        surgeon.reboot();
        let id = mmlog::Observer::open(&scene.log, &options()).unwrap().look().unwrap().id;

        let reader = options().open_reader(&scene.log).unwrap();
        let mut follower = reader.follow(Start::Oldest).unwrap();
        assert_eq!(common::rest(&mut follower), b"one\ntwo\nthree\n", "{cursor}: what it will be");

        let log = options().open(&scene.log).unwrap();
        assert_eq!(log.writer().unwrap().append(b"four\n").unwrap(), Position::new(synced + 6), "{cursor}");
        assert_eq!(common::committed(&scene.log), b"one\ntwo\nthree\nfour\n", "{cursor}");
        let now = log.status().unwrap().id;
        assert_eq!((now.uuid, now.epoch), (id.uuid, id.epoch + 1), "{cursor}");
        assert!(check::deep(&scene.log, &options()).unwrap().holds());
    }
}

#[test]
fn after_a_reboot_the_current_segment_is_the_one_that_the_identity_names() {
    let scene = scene();
    synced_log(&scene);
    let surgeon = Surgeon::new(&scene.log);
    let entry = [0, 8, 16].map(|at| SEGMENT + at);
    let before = entry.map(|word| surgeon.get(word));
    // The sector with the entry did not reach the disk, the one with the identity did.
    for word in entry {
        surgeon.set(word, 0xdead);
    }
    surgeon.reboot();
    let log = options().open(&scene.log).unwrap();
    log.writer().unwrap().append(b"three\n").unwrap();
    assert_eq!(entry.map(|word| surgeon.get(word)), before);
    assert_eq!(check::deep(&scene.log, &options()).unwrap().violations, []);
}

#[test]
fn after_a_reboot_pages_that_were_lost_are_holes() {
    let scene = scene();
    let synced = synced_log(&scene);
    let surgeon = Surgeon::new(&scene.log);
    let data = File::options().write(true).open(&scene.log).unwrap();
    // The message's second and third page did not reach the disk.
    data.write_all_at(&vec![b'x'; 4096 - synced as usize], synced).unwrap();
    data.write_all_at(b"end\n", 3 * 4096).unwrap();
    surgeon.reboot();
    let log = options().open(&scene.log).unwrap();
    let mut follower = log.follow(Start::At(Position::new(synced))).unwrap();
    let mut buf = [0; 65536];
    assert_eq!(follower.next(&mut buf).unwrap(), Next::Bytes(synced..4096));
    let Next::Hole(hole) = follower.next(&mut buf).unwrap() else { panic!("no hole") };
    assert_eq!((hole.start, hole.end(), hole.kind), (4096, 3 * 4096, HoleKind::Lost));
    assert_eq!(follower.next(&mut buf).unwrap(), Next::Bytes(3 * 4096..3 * 4096 + 4));
}

#[test]
fn after_a_reboot_appends_in_flight_are_torn_above_the_checkpoint_and_done_below() {
    let scene = scene();
    let synced = synced_log(&scene);
    let surgeon = Surgeon::new(&scene.log);
    let data = File::options().write(true).open(&scene.log).unwrap();
    let torn = surgeon.append_in_flight(3, COPYING, 20);
    data.write_all_at(b"torn", torn).unwrap();
    data.write_all_at(b"after\n", torn + 20).unwrap();
    // All of this one is there: the slot is older than the data.
    let complete = surgeon.append_in_flight(4, COPYING, 6);
    assert_eq!(complete, torn + 20);
    // What this slot says is older than the checkpoint that reached the disk.
    surgeon.set_pending(2, COPYING, 4);
    surgeon.set(mmlog::layout::SLOTS_AT + 128 * 2 + 8, 4);
    surgeon.reboot();
    let log = options().open(&scene.log).unwrap();
    assert_eq!(common::committed(&scene.log), b"one\ntwo\nafter\n");
    let holes = log.status().unwrap().holes;
    assert_eq!(holes.len(), 1);
    assert_eq!((holes[0].start, holes[0].len, holes[0].kind), (synced, 20, HoleKind::Torn));
}

#[test]
fn metadata_that_never_reached_the_disk_is_made_from_the_data() {
    let scene = scene();
    synced_log(&scene);
    let len = fs::metadata(metadata_of(&scene.log)).unwrap().len();
    fs::write(metadata_of(&scene.log), vec![0; len as usize]).unwrap();
    // Another test's child may hold a copy of a descriptor until it executes its program.
    let log = common::until("the lease", || options().open(&scene.log).ok());
    log.writer().unwrap().append(b"three\n").unwrap();
    assert_eq!(common::committed(&scene.log), b"one\ntwo\nthree\n");
    assert!(check::deep(&scene.log, &options()).unwrap().holds());
}

#[test]
fn after_a_reboot_a_file_shorter_than_the_checkpoint_is_damage() {
    let scene = scene();
    let synced = synced_log(&scene);
    let surgeon = Surgeon::new(&scene.log);
    File::options().write(true).open(&scene.log).unwrap().set_len(4).unwrap();
    surgeon.reboot();
    let error = options().open(&scene.log).err().unwrap();
    assert!(
        matches!(error.fault(), Fault::Truncated { expected, found: 4 } if *expected == synced),
        "{error}"
    );
    repair::examine(&scene.log, &options()).unwrap().plan(&[]).apply().unwrap();
    let log = options().open(&scene.log).unwrap();
    log.writer().unwrap().append(b"three\n").unwrap();
    assert_eq!(common::committed(&scene.log), b"one\nthree\n");
}

#[test]
fn a_live_writer_of_this_boot_is_never_taken_for_one_of_before() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(b"one\n").unwrap();
    let surgeon = Surgeon::new(&scene.log);
    surgeon.reboot();
    let second = options().open(&scene.log).unwrap();
    second.writer().unwrap().append(b"two\n").unwrap();
    writer.append(b"three\n").unwrap();
    assert_eq!(surgeon.get(CURSOR), 14);
    let epoch = |log: &mmlog::Log| log.status().unwrap().id.epoch;
    assert_eq!(epoch(&second), 0);
    // With nobody there it is of before.
    drop((writer, second, log));
    assert_eq!(epoch(&options().open(&scene.log).unwrap()), 1);
}

/// As if the rotations of the metadata had not reached the disk from that one on; the boot is another one.
fn forget_rotations(log: &std::path::Path, finals: &[std::path::PathBuf], from: usize) {
    fs::rename(&finals[from], log).unwrap();
    finals[from + 1..].iter().for_each(|path| fs::remove_file(path).unwrap());
    Surgeon::new(log).reboot();
}

#[test]
fn after_a_reboot_the_names_decide_however_many_rotations_did_not_reach_the_disk() {
    for from in 0..4 {
        let scene = scene();
        let log = options().open_or_create(&scene.log).unwrap();
        let mut writer = log.writer().unwrap();
        let mut finals = Vec::new();
        for number in 0..4 {
            writer.append(format!("{number}\n").as_bytes()).unwrap();
            if number == 0 {
                log.sync().unwrap();
            }
            finals.push(log.rotate(&mmlog::Rotation::default()).unwrap().expect("it has bytes").path);
        }
        drop(writer);
        log.close().unwrap();
        forget_rotations(&scene.log, &finals, from);
        let expected = (0..=from).map(|number| format!("{number}\n")).collect::<String>();

        let reader = options().open_reader(&scene.log).unwrap();
        let shown = common::rest(&mut reader.follow(Start::Oldest).unwrap());
        assert_eq!(shown, expected.as_bytes(), "{from}: a reader is shown what the recovery will leave");

        let log = options().open(&scene.log).unwrap();
        assert_eq!(log.cursor().unwrap(), Position::new(expected.len() as u64), "{from}");
        assert_eq!(common::rest(&mut log.follow(Start::Oldest).unwrap()), expected.as_bytes(), "{from}");
        log.writer().unwrap().append(b"on\n").unwrap();
        let rotated = log.rotate(&mmlog::Rotation::default()).unwrap().expect("it has bytes");
        assert_eq!((rotated.path, rotated.generation), (finals[from].clone(), from as u64));
        assert_eq!(check::deep(&scene.log, &options()).unwrap().violations, []);
    }
}

#[test]
fn a_checkpoint_is_taken_also_after_the_clock_was_set_back() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append_durable(b"one\n").unwrap();
    log.sync().unwrap();
    let synced_ns = 0x208;
    let surgeon = Surgeon::new(&scene.log);
    // A year ahead of what the clock says now.
    surgeon.set(synced_ns, surgeon.get(synced_ns) + 365 * 86_400 * 1_000_000_000);
    writer.append_durable(b"two\n").unwrap();
    assert_eq!(log.synced().get(), 8);
}
