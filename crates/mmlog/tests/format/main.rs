//! Guards the format: against a change that nobody meant (the golden file), against pages that no longer tell the
//! truth (the tables), and against a description that is not enough (a reader written from it).
//!
//! `MMLOG_BLESS=1 cargo test -p mmlog --test format` rewrites `tests/data/header.golden`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "what is skipped is said")]

mod reader;
mod tables;

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mmlog::{Compression, Fault, Free, Log, Next, Observer, Policy, PolicyState, Start, Want};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use reader::{Reader, Seen};

/// Bytes that differ from log to log, or from process to process.
const VARIABLE: [Range<usize>; 14] = [
    0x00d8..0x00e8,   // uuid
    0x00f0..0x0110,   // boot_id, device, inode
    0x0118..0x0140,   // created_ns, own_inode, clocks_of, booted_ns, up_ns
    0x0240..0x0244,   // the log's lock: pid
    0x0248..0x0280,   // its start_time, pid_namespace, since_ns, command
    0x0280..0x0284,   // maintenance: the same
    0x0288..0x02c0,   //
    0x0450..0x0470,   // segments[0]: inode, began_ns, born_ns, born_of
    0x0780..0x0788,   // file_system
    0x0cc8..0x0ce0,   // last_ns, booted_ns, up_ns
    0x0d00..0x0d10,   // made: born_ns, born_of
    0x13040..0x13080, // slot 0, who
    0x3b000..0x3b008, // the first pair: its time
    0x3b018..0x3b020, // its check
];

/// Sixteen bytes a line, `..` for what varies; lines of zeros are left out.
fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (at, line) in (0..).step_by(16).zip(bytes.chunks(16)) {
        let varies = |i: usize| VARIABLE.iter().any(|range| range.contains(&(at + i)));
        if (0..line.len()).all(|i| line[i] == 0 || varies(i)) && !(0..line.len()).any(varies) {
            continue;
        }
        write!(text, "{at:05x}:").unwrap();
        for (i, byte) in line.iter().enumerate() {
            if varies(i) { text += " .." } else { write!(text, " {byte:02x}").unwrap() }
        }
        text.push('\n');
    }
    text
}

fn metadata_of(log: &Path) -> PathBuf {
    log.with_extension("log.mmlog")
}

#[test]
fn the_metadata_of_a_new_log_is_the_golden_one() {
    if cfg!(target_endian = "big") || rustix::param::page_size() != 4096 {
        println!("SKIPPED: the golden file is for little-endian hosts with pages of 4096 bytes");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("golden.log");
    let options = Log::options().chunk_size(65536).max_writers(8).gate_ms(50).mode(0o640);
    let log = options.open_or_create(&path).unwrap();
    log.writer().unwrap().append(b"hello\n").unwrap();
    log.close().unwrap();

    let found = dump(&fs::read(metadata_of(&path)).unwrap());
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/header.golden");
    if std::env::var_os("MMLOG_BLESS").is_some() {
        fs::write(&golden, &found).unwrap();
    }
    let expected = fs::read_to_string(&golden).unwrap();
    assert!(expected == found, "expected:\n{expected}\nfound:\n{found}\nif that was meant: MMLOG_BLESS=1");
}

#[test]
fn the_manual_has_every_field_where_the_layout_asserts_it() {
    let (manual, asserted) = (tables::manual(), tables::asserted());
    let parts = tables::parts_of_header(&asserted);
    for (path, offset, bytes) in &asserted {
        let (owner, field) = path.rsplit_once('.').unwrap();
        let Some(bytes) = bytes else { continue };
        if field == "spare" {
            continue;
        }
        let found = manual.iter().any(|row| {
            let here = match tables::sections_of(owner) {
                Some((section, plus)) => {
                    row.relative && row.section.starts_with(section) && row.offset == offset + plus
                }
                None => !row.relative && row.offset == offset + parts.get(owner).unwrap_or(&0),
            };
            here && row.name == field && row.bytes == bytes.to_string()
        });
        assert!(found, "mmlog(5) does not have {path} at {offset:#x} with {bytes} bytes");
    }
}

#[test]
fn the_manual_has_no_field_that_the_layout_does_not_assert() {
    let asserted = tables::asserted();
    let names: Vec<&str> = asserted.iter().flat_map(|(path, ..)| path.split('.')).collect();
    let tables_behind = ["control", "followers", "holes", "slots"];
    for row in tables::manual() {
        let known = names.contains(&row.name.as_str()) || tables_behind.contains(&row.name.as_str());
        assert!(known || row.section == "LOCK BYTES" || row.section == "Map", "{row:?}");
    }
    assert_eq!(tables::overlaps(&tables::manual()), [].into());
}

#[test]
fn the_module_head_and_the_manual_agree() {
    let manual = tables::manual();
    for (offset, bytes, name) in tables::module_head() {
        let same = |row: &&tables::Row| !row.relative && row.offset == offset && row.bytes == bytes;
        let rows: Vec<_> = manual.iter().filter(same).collect();
        assert!(!rows.is_empty(), "mmlog(5) has nothing of {bytes} bytes at {offset:#x}");
        let is_field = bytes.parse().is_ok_and(|n: u64| n <= 8);
        assert!(!is_field || rows.iter().any(|row| row.name == name), "{offset:#x} is {name} in layout.rs");
    }
}

#[test]
fn the_manual_names_the_lock_bytes() {
    use mmlog::layout::{FOLLOWING_BYTES, LOCK_BYTE, MAINTENANCE_BYTE, SLOT_BYTES};
    assert_eq!((LOCK_BYTE, MAINTENANCE_BYTE, SLOT_BYTES), (1 << 40, (1 << 40) + 1, (1 << 40) + 4096));
    assert_eq!(FOLLOWING_BYTES, (1 << 40) + 32768);
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../man/mmlog.5")).unwrap();
    let places = ["2^40 + 32768 + 2\\fIi\\fR|", "2^40 + 32769 + 2\\fIi\\fR|", "2^40 + 36864 + \\fIi\\fR|"];
    for row in ["0x10000000000 (2^40)|", "2^40 + 1|", "2^40 + 4096 + \\fIi\\fR|"].iter().chain(&places) {
        assert!(page.contains(row), "{row}");
    }
}

fn by_the_library(path: &Path) -> Seen {
    let mut follower = Log::options().open_reader(path).unwrap().follow(Start::Oldest).unwrap();
    let (mut bytes, mut holes, mut buf) = (Vec::new(), Vec::new(), vec![0; 1000]);
    loop {
        match follower.next(&mut buf).unwrap() {
            Next::Bytes(range) => bytes.extend_from_slice(&buf[..(range.end - range.start) as usize]),
            Next::Hole(hole) => holes.push(hole.start..hole.end()),
            Next::CaughtUp => break,
            other => panic!("{other:?}"),
        }
    }
    Seen { bytes, holes, watermark: follower.watermark().unwrap().get() }
}

#[test]
fn a_reader_written_from_the_manual_alone_sees_the_followers_that_the_library_sees() {
    for (max_writers, len) in [(8, 0x6c000), (2000, 0x8b000)] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.log");
        let log = Log::options().chunk_size(65536).max_writers(max_writers).open_or_create(&path).unwrap();
        assert_eq!(fs::metadata(metadata_of(&path)).unwrap().len(), len);
        log.writer().unwrap().append(b"hello\n").unwrap();
        let reader = Reader::open(&path).unwrap();
        assert_eq!(reader.followers().unwrap(), []);
        let [mut named, mut unnamed] = [Start::Oldest, Start::Newest].map(|at| log.follow(at).unwrap());
        named.announce("shipper");
        unnamed.announce("");
        let (me, mut seen) = (std::process::id(), reader.followers().unwrap());
        assert_eq!(seen[0], ("shipper".into(), me, 0, 0));
        assert_eq!((seen.len(), seen[1].1, seen[1].2), (2, me, 6));
        let status = log.status().unwrap();
        let mut by_library: Vec<_> =
            status.followers.iter().map(|f| (f.title().to_owned(), f.pid, f.position, 0)).collect();
        seen.sort();
        by_library.sort();
        assert_eq!(seen, by_library);
        drop(named);
        assert_eq!(reader.followers().unwrap().len(), 1);
    }
}

#[test]
fn a_reader_written_from_the_manual_alone_sees_who_waits_for_what_and_who_drops() {
    // More than another test of this process stores in a file.
    const LIMIT: u64 = 64 << 20;
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("app.log");
    let log = Log::options().chunk_size(1 << 16).open_or_create(&path).unwrap();
    let mut writer = log.writer().unwrap();
    let waiting = || {
        let status = Observer::open(&path, &Log::options()).unwrap().look().unwrap();
        let by_library = status.writers[0].waiting.map(|w| (w.want, w.errno, w.len, w.dropped));
        (Reader::open(&path).unwrap().waiting().unwrap(), by_library)
    };
    assert_eq!(waiting(), (vec![], None));
    let (soft, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, LIMIT, hard).unwrap();
    let too_much = vec![b'm'; LIMIT as usize + 1];
    let fault = writer.append(&too_much).unwrap_err();
    setrlimit(Resource::RLIMIT_FSIZE, soft, hard).unwrap();
    assert!(matches!(fault.fault(), Fault::NoSpace { .. }), "{fault}");
    let (len, errno) = (too_much.len() as u64, 27);
    assert_eq!(waiting(), (vec![(2, 27, len)], Some((Want::FileSize, errno, len, None))));
    for bytes in [len, len + 9] {
        writer.drops(bytes);
        assert_eq!(waiting(), (vec![(8, 27, bytes)], Some((Want::FileSize, errno, 0, Some(bytes)))));
    }
    writer.append(b"one\n").unwrap();
    writer.drops(9);
    assert_eq!(waiting(), (vec![], None), "that one was not dropped");
}

#[test]
fn a_reader_written_from_the_manual_alone_reads_the_policy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.log");
    let options = Log::options().chunk_size(65536).max_writers(8);
    let log = options.clone().open_or_create(&path).unwrap();
    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.policy().unwrap(), Ok(vec![]));
    let policy = Policy {
        rotate_size: Some(1 << 20),
        keep: Some(3),
        keep_age: Some(Duration::from_secs(60)),
        keep_free: Some(Free::Percent(10)),
        compress: Some(Compression::Gzip),
        ..Policy::default()
    };
    let expected = vec![(0, 1 << 20), (2, 3), (4, 60_000_000_000), (5, 1 << 63 | 10), (7, 2)];
    log.set_policy(|to| *to = policy.clone(), Duration::from_secs(10)).unwrap();
    assert_eq!(reader.policy().unwrap(), Ok(expected));
    log.set_policy(|to| *to = Policy { keep: Some(4), ..Policy::default() }, Duration::from_secs(10))
        .unwrap();
    assert_eq!(reader.policy().unwrap(), Ok(vec![(2, 4)]));
    leave(&path, 0xb80 + 0x18, 5);
    assert!(reader.policy().unwrap().is_err());
    assert_eq!(log.policy(), PolicyState::Damaged);
}

/// What the reader and the library both make of it.
fn both(path: &Path) -> Seen {
    let seen = Reader::open(path).unwrap().read().unwrap();
    assert_eq!(seen, by_the_library(path), "the reader from mmlog(5) and the library do not see the same");
    seen
}

/// Puts a word where mmlog(5) has it, as a writer that stands still or died there would have left it.
fn leave(log: &Path, at: u64, word: u64) {
    let file = OpenOptions::new().write(true).open(metadata_of(log)).unwrap();
    file.write_all_at(&word.to_ne_bytes(), at).unwrap();
}

#[test]
fn a_reader_written_from_the_manual_alone_sees_what_the_library_sees() {
    const COPYING: u64 = 3 << 62;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.log");
    let log = Log::options().chunk_size(65536).max_writers(8).open_or_create(&path).unwrap();
    let mut writers = [log.writer().unwrap(), log.writer().unwrap()];
    let mut sent = Vec::new();
    for i in 0u32..2000 {
        let message: Vec<u8> = (0..i % 97 + 1).map(|k| (k * i) as u8).collect();
        writers[i as usize % 2].append(&message).unwrap();
        sent.extend_from_slice(&message);
    }
    let end = sent.len() as u64;
    assert!(fs::metadata(&path).unwrap().len() > end, "a live log has space allocated ahead");
    assert_eq!(both(&path), Seen { bytes: sent.clone(), holes: vec![], watermark: end });

    // Slot 1 has a living owner, and stands at 700.
    leave(&path, 0x13000 + 128 + 8, 50);
    leave(&path, 0x13000 + 128, COPYING | 700);
    assert_eq!(both(&path), Seen { bytes: sent[..700].to_vec(), holes: vec![], watermark: 700 });
    leave(&path, 0x13000 + 128, 0);

    // Slot 5 has none: it died while it copied [1000, 1300).
    leave(&path, 0x180, 6);
    leave(&path, 0x13000 + 5 * 128 + 8, 300);
    leave(&path, 0x13000 + 5 * 128, COPYING | 1000);
    let hole = 1000..1300;
    let content = [&sent[..1000], &sent[1300..]].concat();
    let seen = Seen { bytes: content, holes: Vec::from_iter([hole]), watermark: end };
    assert_eq!(both(&path), seen);

    // Ranges that nobody reserved are no holes, whatever the table says: beyond the cursor, or without end.
    for (entry, start, len) in [(0, 2000, u64::MAX), (1, end - 9, 10)] {
        leave(&path, 0x3000 + entry * 64 + 8, len);
        leave(&path, 0x3000 + entry * 64, start + 1);
        leave(&path, 0x4c0, entry + 1);
        assert_eq!(both(&path), seen);
        leave(&path, 0x3000 + entry * 64, 0);
    }

    // Somebody settles it: the hole is in the table now, and no byte of it in the file.
    drop(Log::options().open(&path).unwrap());
    assert_eq!(Reader::open(&path).unwrap().read().unwrap(), seen);
    assert_eq!(both(&path), seen);
    assert_eq!(fs::read(&path).unwrap()[1000..1300], [0; 300]);

    drop(writers);
    log.close().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), end, "at rest the file is what was appended");
    assert_eq!(both(&path), seen);
}

#[test]
fn a_reader_written_from_the_manual_alone_finds_by_time_what_the_library_finds() {
    use mmlog::times::{Pair, SECOND_NS};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.log");
    let log = Log::options().chunk_size(65536).max_writers(8).open_or_create(&path).unwrap();
    let mut writer = log.writer().unwrap();
    let uuid = {
        let mut bytes = [0; 16];
        fs::File::open(metadata_of(&path)).unwrap().read_exact_at(&mut bytes, 0xd8).unwrap();
        [&bytes[..8], &bytes[8..]].map(|half| u64::from_ne_bytes(half.try_into().unwrap()))
    };
    // An hour each minute of which has a pair, two hours ago.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let began = now / SECOND_NS * SECOND_NS - 7200 * SECOND_NS;
    let minute = |n: u64| began + n * 60 * SECOND_NS;
    for n in 1..=60 {
        let settled = writer.append(&[b'x'; 100]).unwrap().get();
        let (place, pair) = (Pair::place(n), Pair { at_ns: minute(n), settled, reserved: settled + n % 3 });
        for (word, at) in pair.words(place, uuid).into_iter().zip((0..).step_by(8)) {
            leave(&path, 0x3b000 + 32 * place as u64 + at, word);
        }
    }
    log.rotate(&mmlog::Rotation::default()).unwrap();
    writer.append(b"in the next segment\n").unwrap();
    let (reader, end) = (Reader::open(&path).unwrap(), log.cursor().unwrap().get());
    let time = |ns: u64| Some(std::time::UNIX_EPOCH + std::time::Duration::from_nanos(ns));
    let margin = 10_000_000;
    for n in 0..62 {
        for (since, until) in [(minute(n), minute(n + 1)), (minute(n) + 1, minute(n) + SECOND_NS)] {
            let span = log.span(time(since), time(until)).unwrap();
            let read = reader.between(since - margin, until + margin).unwrap().unwrap();
            assert_eq!((span.from, span.to.unwrap_or(end)), (read.0, read.1.unwrap_or(end)), "{n}");
        }
    }
    let whole = log.span(None, None).unwrap();
    assert_eq!((whole.from, whole.to), (0, None));
    // Another version has recovered the log.
    leave(&path, 0xce8, 7);
    assert_eq!(reader.between(0, u64::MAX).unwrap(), None);
    assert!(log.pairs().unwrap().is_empty());
}

#[test]
fn boots_and_epochs_are_told_from_the_manual_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.log");
    let append = |line: &[u8], durable| {
        let log = Log::options().open_or_create(&path).unwrap();
        let mut writer = log.writer().unwrap();
        if durable {
            writer.append_durable(line).unwrap()
        } else {
            writer.append(line).unwrap()
        };
        drop(writer);
        log.close().unwrap();
    };
    let reader = || Reader::open(&path).unwrap();
    append(b"durable\n", true);
    assert_eq!(reader().is_of_this_boot().unwrap(), Some(true));
    append(b"not\n", false);
    for epoch in 1..=9 {
        leave(&path, 0xf0, epoch);
        assert_eq!(reader().is_of_this_boot().unwrap(), None);
        append(b"again\n", false);
        assert_eq!(reader().is_of_this_boot().unwrap(), Some(true));
    }
    let read = |at| u64::from_ne_bytes(fs::read(metadata_of(&path)).unwrap()[at..at + 8].try_into().unwrap());
    let goes_on = |then, position| reader().goes_on(then, position).unwrap();
    assert_eq!(
        (goes_on(9, 1000), goes_on(8, 1000), goes_on(8, 60)),
        (Some(1000), Some(12 + 8 * 6), Some(60))
    );
    assert_eq!((goes_on(0, 1000), goes_on(0, 12), goes_on(0, 5)), (Some(12), Some(12), Some(5)));
    // Begun by earlier software: the last epoch, and the first, which the smaller table has forgotten.
    for epoch in [9, 1] {
        leave(&path, 0x900 + 16 * epoch, 0);
    }
    assert_eq!((goes_on(8, 54), goes_on(8, 55), goes_on(0, 5)), (Some(54), None, None));
    // A boot without an id, with its clocks: the same one, and one of an hour ago.
    for at in [0xf0, 0xf8] {
        leave(&path, at, 0);
    }
    assert_eq!(reader().is_of_this_boot().unwrap(), Some(false), "of earlier software");
    leave(&path, 0x128, 1);
    assert_eq!(reader().is_of_this_boot().unwrap(), Some(true));
    append(b"the same boot\n", false);
    assert_eq!(read(0xe8), 9);
    leave(&path, 0x130, read(0x130) - 3_600_000_000_000);
    assert_eq!(reader().is_of_this_boot().unwrap(), Some(false));
    append(b"another\n", false);
    assert_eq!(read(0xe8), 10);
}
