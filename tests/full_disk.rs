//! Guards against what a full disk does elsewhere: SIGBUS in the middle of a copy, a stuck log, a moved cursor, lost
//! messages. Every limit is an error value before anything is taken, and space that comes back is used.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use common::disk::Disk;
use common::{Actor, assert_complete, log_path, message, parameter, parse};
use mmlog::{Class, Fault, Log, Options, Rotation};
use nix::libc;
use nix::sys::resource::{Resource, setrlimit};

#[test]
fn role() {
    common::play(&[("filler", filler), ("limited", limited), ("confined", confined), ("unlucky", unlucky)]);
}

fn is_full(fault: &Fault) -> bool {
    matches!(fault, Fault::NoSpace { .. })
}

#[test]
fn where_inodes_are_used_up_what_needs_a_file_says_so_and_appends_go_on() {
    let Some(disk) = Disk::with("size=8m,nr_inodes=12") else { return };
    let path = disk.log();
    let log = Log::options().chunk_size(65536).open_or_create(&path).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(b"a line\n").unwrap();
    let mut files = (0..).map(|n| disk.0.path().join(format!("file-{n}")));
    files.find(|file| fs::write(file, "").is_err()).unwrap();
    let new = disk.0.path().join("new.log");
    let errors =
        [log.rotate(&Rotation::default()).unwrap_err(), Log::options().open_or_create(&new).err().unwrap()];
    for error in errors {
        assert!(matches!(error.fault(), Fault::NoInode { all: 12, .. }), "{error}");
        assert_eq!(error.fault().class(), Class::Retry);
        let said = error.to_string();
        let asks = format!("`df -i {}`", disk.0.path().display());
        assert!(
            said.contains("no inode left") && said.contains("0 of 12 free") && said.contains(&asks),
            "{said}"
        );
    }
    writer.append(&vec![b'x'; 100_000]).unwrap();
    // One for the file, and on this file system one for its second name.
    let remove = |file: &str| fs::remove_file(disk.0.path().join(file)).unwrap();
    remove("file-0");
    let error = log.rotate(&Rotation::default()).unwrap_err();
    assert!(matches!(error.fault(), Fault::NoInode { all: 12, .. }), "{error}");
    assert!(error.to_string().contains("(a rotation needs one, in tmpfs two)"), "{error}");
    remove("file-1");
    log.rotate(&Rotation::default()).unwrap();
}

#[test]
fn a_full_disk_is_an_error_only_when_no_page_is_left_and_nothing_has_moved() {
    let Some(disk) = Disk::new(8 << 20) else { return };
    let log = Log::options().open_or_create(disk.log()).unwrap();
    let mut writer = log.writer().unwrap();
    let mut number = 0;
    let error = loop {
        match writer.append(&message(1, number, 100)) {
            Ok(_) => number += 1,
            Err(error) => break error,
        }
    };
    assert!(is_full(error.fault()), "{error}");
    // 8 MiB less the metadata, to the page: the tmpfs gives the data file every page that it has.
    let blocks = fs::metadata(disk.log()).unwrap().blocks() * 512;
    let metadata = fs::metadata(disk.0.path().join("app.log.mmlog")).unwrap().blocks() * 512;
    assert_eq!(blocks + metadata, 8 << 20, "no page is left");
    assert_eq!(log.cursor().unwrap().get(), number * 100, "the cursor has not moved");
    assert!(number * 100 + 100 > blocks, "the last page is used");
    assert!(is_full(writer.append(&message(1, number, 100)).unwrap_err().fault()), "and again");
    drop(writer);
    log.close().unwrap();
    assert_complete(&parse(&fs::read(disk.log()).unwrap()), 1, number);
}

#[test]
fn freed_space_is_used_at_once() {
    let Some(disk) = Disk::new(8 << 20) else { return };
    let log = Log::options().open_or_create(disk.log()).unwrap();
    let ballast = disk.ballast("ballast", 6 << 20);
    let mut writer = log.writer().unwrap();
    let mut number = 0;
    while writer.append(&message(1, number, 1000)).is_ok() {
        number += 1;
    }
    fs::remove_file(ballast).unwrap();
    let before = number;
    while writer.append(&message(1, number, 1000)).is_ok() {
        number += 1;
    }
    assert!(number - before > 5000, "only {} messages after 6 MiB came back", number - before);
    drop(writer);
    log.close().unwrap();
    assert_complete(&parse(&fs::read(disk.log()).unwrap()), 1, number);
}

/// Appends until the disk has been full 50 times; says how many messages were acknowledged.
fn filler() {
    let log = Log::options().chunk_size(65536).open_or_create(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    let (id, mut number, mut full) = (parameter("ID"), 0, 0);
    while full < 50 {
        match writer.append(&message(id, number, 25 + number as usize * 37 % 3000)) {
            Ok(_) => number += 1,
            Err(error) if is_full(error.fault()) => full += 1,
            Err(error) => panic!("{error}"),
        }
    }
    drop(writer);
    common::say(&number.to_string());
}

#[test]
fn many_processes_on_a_full_disk_keep_every_acknowledged_message() {
    let Some(disk) = Disk::new(4 << 20) else { return };
    let log = disk.log().display().to_string();
    let fillers: Vec<Actor> =
        (0..6).map(|id| Actor::new("filler", &[("LOG", log.clone()), ("ID", id.to_string())])).collect();
    let acknowledged: Vec<u64> =
        fillers.into_iter().map(|f| f.finish().lines().next().unwrap().parse().unwrap()).collect();
    let content = parse(&common::committed(&disk.log()));
    for (id, &count) in (0u64..).zip(&acknowledged) {
        let numbers = content.lines.get(&id).map_or(&[][..], |n| n);
        assert!(numbers.iter().copied().eq(0..count), "writer {id}: {} of {count} are there", numbers.len());
    }
}

#[test]
fn trim_works_on_a_full_disk() {
    let Some(disk) = Disk::new(4 << 20) else { return };
    let log = Log::options().chunk_size(1 << 20).open_or_create(disk.log()).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(&message(1, 0, 5000)).unwrap();
    let free = (4 << 20) - allocated(disk.0.path());
    disk.ballast("ballast", free);
    let trimmed = log.trim(std::time::Duration::from_secs(5)).unwrap();
    assert_eq!((trimmed.before, trimmed.after), (64 << 10, 5000));
    writer.append(&message(1, 1, 1000)).unwrap();
    drop(writer);
    log.close().unwrap();
    assert_complete(&parse(&fs::read(disk.log()).unwrap()), 1, 2);
}

fn allocated(directory: &Path) -> u64 {
    fs::read_dir(directory).unwrap().map(|e| e.unwrap().metadata().unwrap().blocks() * 512).sum()
}

/// Under `ulimit -f`: appends until the limit says no; says how many messages.
fn limited() {
    let log = Log::options().chunk_size(65536).open_or_create(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    let mut number = 0;
    let error = loop {
        match writer.append(&message(1, number, 1000)) {
            Ok(_) => number += 1,
            Err(error) => break error,
        }
    };
    assert!(is_full(error.fault()), "{error}");
    assert!(writer.append(&message(1, number, 30_000)).is_err());
    drop(writer);
    log.close().unwrap();
    common::say(&number.to_string());
}

#[test]
fn a_file_size_limit_is_an_error_and_no_signal() {
    let scene = common::scene();
    let mut shell = Command::new("sh");
    // 1 MiB in the shell's blocks of 512 bytes; the metadata file is smaller.
    shell.args(["-c", "ulimit -f 2048; exec \"$0\" \"$@\""]);
    let actor = Actor::under(shell, "limited", &[("LOG", scene.log.display().to_string())]);
    let number: u64 = actor.finish().lines().next().unwrap().parse().unwrap();
    assert_eq!(number, (1 << 20) / 1000, "all of the limit is used");
    assert_complete(&parse(&fs::read(&scene.log).unwrap()), 1, number);
}

/// A log with a chunk of space that another writer had allocated.
fn with_space(log: &Path) -> (Log, mmlog::Writer) {
    let log = options().open_or_create(log).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(&message(1, 0, 5000)).unwrap();
    (log, writer)
}

fn options() -> Options {
    Log::options().chunk_size(8 << 20)
}

/// Sets a limit below the file's length, which others have made: large messages are refused, small ones are not.
fn confined() {
    let log = options().open(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, 4096, 4096).unwrap();
    for number in 0..20 {
        let error = writer.append(&message(2, 0, 20_000)).unwrap_err();
        let Fault::NoSpace { source, .. } = error.fault() else { panic!("{error}") };
        assert_eq!(source.raw_os_error(), Some(libc::EFBIG));
        writer.append(&message(2, number, 1000)).unwrap();
    }
}

#[test]
fn a_limit_below_the_length_that_others_made_takes_no_range() {
    let scene = common::scene();
    let (log, writer) = with_space(&scene.log);
    Actor::on(&scene.log, "confined").finish();
    assert_eq!(log.status().unwrap().holes_total, 0);
    drop(writer);
    log.close().unwrap();
    assert_complete_of(&scene.log, &[(1, 1), (2, 20)]);
}

/// Cannot store for a while, by strace; then it can.
fn unlucky() {
    let log = options().open(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    for _ in 0..parameter("FAILURES") {
        let error = writer.append(&message(2, 0, 20_000)).unwrap_err();
        assert!(matches!(error.fault(), Fault::Io { .. } | Fault::NoSpace { .. }), "{error}");
    }
    writer.append(&message(2, 0, 20_000)).unwrap();
}

#[test]
fn a_log_that_cannot_be_stored_to_gets_one_hole_of_a_writer_and_not_one_of_each_attempt() {
    for errno in ["EIO", "EDQUOT", "EFBIG"] {
        let scene = common::scene();
        let inject = format!("inject=pwrite64:error={errno}:when=1..8");
        let args = ["-o", "/dev/null", "-e", "trace=pwrite64", "-e", &inject];
        let Some(strace) = common::strace(&args) else { return };
        let (log, writer) = with_space(&scene.log);
        let parameters = [("LOG", scene.log.display().to_string()), ("FAILURES", "8".into())];
        // EFBIG of the file system itself, which no limit of the process tells.
        Actor::under(strace, "unlucky", &parameters).finish();
        let status = log.status().unwrap();
        assert_eq!((status.holes_total, status.holes.len()), (1, 1), "{errno}");
        drop(writer);
        log.close().unwrap();
        assert_complete_of(&scene.log, &[(1, 1), (2, 1)]);
    }
}

/// Each writer's messages are there.
fn assert_complete_of(log: &Path, writers: &[(u64, u64)]) {
    let content = parse(&common::committed(log));
    for &(writer, messages) in writers {
        let found = content.lines.get(&writer).map_or(0, |found| found.len() as u64);
        assert_eq!(found, messages, "of writer {writer}");
    }
}
