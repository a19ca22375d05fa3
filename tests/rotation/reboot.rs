//! After a reboot: names, metadata and data may each be older or newer on the disk than the others.

use std::fs;
use std::io::Write;
use std::mem::offset_of;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{is_sound, names, options, rotate};
use crate::common::surgeon::Surgeon;
use crate::common::{committed, metadata_of, scene};
use mmlog::layout::{Header, Segment};
use mmlog::{Log, Retention, Writer};

/// What the metadata file holds.
fn saved(log: &Path) -> Vec<u8> {
    fs::read(metadata_of(log)).unwrap()
}

/// Puts that back, as of another boot.
fn restored(log: &Path, bytes: &[u8]) {
    fs::File::options().write(true).open(metadata_of(log)).unwrap().write_all(bytes).unwrap();
    Surgeon::new(log).reboot();
}

/// A log with one message in its old segment, and one in the current one.
fn rotated(path: &Path, old: &[u8], current: &[u8]) -> (Log, Writer) {
    let log = options().open_or_create(path).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(old).unwrap();
    rotate(&log);
    writer.append(current).unwrap();
    (log, writer)
}

fn goes_on(log: &Path, expected: &[u8]) {
    let opened = options().open(log).unwrap();
    assert_eq!(String::from_utf8_lossy(&committed(log)), String::from_utf8_lossy(expected));
    opened.writer().unwrap().append(b"goes on\n").unwrap();
    rotate(&opened);
    opened.writer().unwrap().append(b"and on\n").unwrap();
    assert_eq!(committed(log), [expected, b"goes on\nand on\n"].concat());
    opened.close().unwrap();
    is_sound(log);
}

#[test]
fn rotations_that_the_metadata_does_not_know_of_are_found_by_their_names() {
    for rotations in 1..5 {
        let scene = scene();
        let (log, mut writer) = rotated(&scene.log, b"first\n", b"second\n");
        let old = saved(&scene.log);
        let mut expected = b"first\nsecond\n".to_vec();
        for n in 0..rotations {
            rotate(&log);
            writer.append(format!("later {n}\n").as_bytes()).unwrap();
            expected.extend(format!("later {n}\n").as_bytes());
        }
        drop(writer);
        log.close().unwrap();
        restored(&scene.log, &old);
        goes_on(&scene.log, &expected);
    }
}

#[test]
fn where_no_final_segment_is_left_the_file_at_the_path_begins_where_prune_noted_it() {
    for rotations in 1..4 {
        let scene = scene();
        let (log, mut writer) = rotated(&scene.log, b"gone\n", b"kept\n");
        log.prune(&Retention::default().keep(0)).unwrap();
        let at_the_path = scene.dir.path().join("at the path");
        fs::hard_link(&scene.log, &at_the_path).unwrap();
        for _ in 0..rotations {
            rotate(&log);
            writer.append(b"not on the disk\n").unwrap();
        }
        drop(writer);
        log.close().unwrap();
        let new = saved(&scene.log);
        for name in names(&scene.log).iter().filter(|name| name.starts_with("app.log.0")) {
            fs::remove_file(scene.dir.path().join(name)).unwrap();
        }
        fs::rename(at_the_path, &scene.log).unwrap();
        restored(&scene.log, &new);
        goes_on(&scene.log, b"kept\n");
    }
}

/// A file system gives the number of a removed file to the next one.
#[test]
fn a_note_about_another_file_with_the_inode_number_of_this_one_is_replaced() {
    let scene = scene();
    let (log, mut writer) = rotated(&scene.log, b"gone\n", b"kept\n");
    let surgeon = Surgeon::new(&scene.log);
    let noted =
        [offset_of!(Header, kept.inode), offset_of!(Header, kept.generation), offset_of!(Header, kept.base)];
    let inode = fs::metadata(&scene.log).unwrap().ino();
    noted.into_iter().zip([inode, 0, 0]).for_each(|(at, value)| surgeon.set(at, value));
    log.prune(&Retention::default().keep(0)).unwrap();
    assert_eq!(noted.map(|at| surgeon.get(at)), [inode, 1, 5]);
    // It says nothing any more when its file is given up with others kept behind it.
    rotate(&log);
    writer.append(b"more\n").unwrap();
    rotate(&log);
    log.prune(&Retention::default().keep(1)).unwrap();
    assert_eq!(surgeon.get(noted[0]), 0);
}

#[test]
fn a_rename_that_did_not_reach_the_disk_is_undone() {
    let scene = scene();
    let (log, writer) = rotated(&scene.log, b"first\n", b"second\n");
    let rotated = rotate(&log);
    drop(writer);
    log.close().unwrap();
    let new = saved(&scene.log);
    fs::rename(&scene.log, scene.log.with_file_name("app.log.mmlog-next")).unwrap();
    fs::rename(&rotated.path, &scene.log).unwrap();
    restored(&scene.log, &new);
    goes_on(&scene.log, b"first\nsecond\n");
    assert!(!names(&scene.log).contains(&"app.log.mmlog-next".into()));
}

#[test]
fn the_link_alone_is_undone() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    log.writer().unwrap().append(b"first\n").unwrap();
    let name = log.plan_rotation(&mmlog::Rotation::default()).unwrap().unwrap().path;
    log.close().unwrap();
    fs::hard_link(&scene.log, name).unwrap();
    let old = saved(&scene.log);
    restored(&scene.log, &old);
    goes_on(&scene.log, b"first\n");
}

#[test]
fn a_strangers_file_at_the_path_is_no_segment() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    log.writer().unwrap().append(b"first\n").unwrap();
    rotate(&log);
    log.writer().unwrap().append(b"second\n").unwrap();
    log.close().unwrap();
    let old = saved(&scene.log);
    let other = scene.log.with_file_name("other");
    fs::write(&other, b"somebody else's").unwrap();
    fs::rename(&other, &scene.log).unwrap();
    restored(&scene.log, &old);
    let error = options().open(&scene.log).err().unwrap();
    assert!(matches!(error.fault(), mmlog::Fault::Foreign { .. }), "{error}");
    assert_eq!(fs::read(&scene.log).unwrap(), b"somebody else's");
}

/// A file system gives the number of a removed segment to the next file.
#[test]
fn an_entry_of_a_segment_that_is_given_up_is_not_that_of_a_later_file_with_its_inode_number() {
    let scene = scene();
    let (log, mut writer) = rotated(&scene.log, b"gone\n", b"second\n");
    log.prune(&Retention::default().keep(0)).unwrap();
    let old = saved(&scene.log);
    rotate(&log);
    writer.append(b"third\n").unwrap();
    drop(writer);
    log.close().unwrap();
    restored(&scene.log, &old);
    let inode = fs::metadata(&scene.log).unwrap().ino();
    Surgeon::new(&scene.log).set(offset_of!(Header, segments) + offset_of!(Segment, inode), inode);
    goes_on(&scene.log, b"second\nthird\n");
}

/// The next one may get the inode number of the file that was lost, and its entry may reach the disk later than the rest.
#[test]
fn the_entry_of_a_rotation_that_is_undone_is_forgotten() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(b"first\n").unwrap();
    let rotated = rotate(&log);
    drop(writer);
    log.close().unwrap();
    fs::rename(&rotated.path, &scene.log).unwrap();
    Surgeon::new(&scene.log).reboot();
    let log = options().open(&scene.log).unwrap();
    let entries = |bytes: &[u8]| {
        let at = offset_of!(Header, segments);
        bytes[at..at + 2 * size_of::<Segment>()].to_vec()
    };
    let before = entries(&saved(&scene.log));
    log.writer().unwrap().append(b"more than was there then\n").unwrap();
    rotate(&log);
    log.writer().unwrap().append(b"second\n").unwrap();
    log.close().unwrap();
    let mut torn = saved(&scene.log);
    torn[offset_of!(Header, segments)..][..before.len()].copy_from_slice(&before);
    restored(&scene.log, &torn);
    let surgeon = Surgeon::new(&scene.log);
    let inode_of_1 = offset_of!(Header, segments) + size_of::<Segment>() + offset_of!(Segment, inode);
    if surgeon.get(inode_of_1) != 0 {
        surgeon.set(inode_of_1, fs::metadata(&scene.log).unwrap().ino());
    }
    goes_on(&scene.log, b"first\nmore than was there then\nsecond\n");
}

#[test]
fn what_a_final_segment_lacks_that_was_not_durable_is_a_hole_and_what_was_is_damage() {
    for (checkpoint, is_damage) in [(3, false), (6, false), (7, true), (13, true)] {
        let scene = scene();
        let log = options().open_or_create(&scene.log).unwrap();
        let mut writer = log.writer().unwrap();
        writer.append(b"first\nsecond\n").unwrap();
        let rotated = rotate(&log);
        writer.append(b"third\n").unwrap();
        drop(writer);
        log.close().unwrap();
        fs::File::options().write(true).open(&rotated.path).unwrap().set_len(6).unwrap();
        let surgeon = Surgeon::new(&scene.log);
        surgeon.set(offset_of!(Header, checkpoint.synced), checkpoint);
        surgeon.reboot();
        let holes = || {
            let mut follower =
                options().open_reader(&scene.log).unwrap().follow(mmlog::Start::Oldest).unwrap();
            let (mut holes, mut buf) = (Vec::new(), [0; 100]);
            loop {
                match follower.next(&mut buf).unwrap() {
                    mmlog::Next::CaughtUp => return holes,
                    mmlog::Next::Hole(hole) => holes.push((hole.start, hole.end(), hole.kind)),
                    _ => {}
                }
            }
        };
        let kind = if is_damage { mmlog::HoleKind::Gone } else { mmlog::HoleKind::Lost };
        assert_eq!(holes(), [(6, 13, kind)], "before the recovery, checkpoint {checkpoint}");
        let log = options().open(&scene.log).unwrap();
        assert_eq!(holes(), [(6, 13, kind)], "checkpoint {checkpoint}");
        let deep = mmlog::check::deep(&scene.log, &options()).unwrap();
        assert_eq!(!deep.violations.is_empty(), is_damage, "checkpoint {checkpoint}: {deep:?}");
        drop(log);
    }
}

/// Has the final segment be longer than its positions, as one that nobody has cut yet, or whose cut a power cut has undone.
fn not_cut(segment: &Path) {
    fs::File::options().write(true).open(segment).unwrap().set_len(65536).unwrap();
}

/// Rotates more, none of which reaches the disk but in the metadata; the file that is at the path now is there again, which
/// begins where the newest final segment ends. A checkpoint in it says nothing of where that is.
fn later_rotations_are_lost(log: Log, path: &Path, expected: &[u8]) {
    let mut lost = Vec::new();
    for n in 0..3 {
        lost.push(rotate(&log).path);
        log.writer().unwrap().append(format!("lost {n}\n").as_bytes()).unwrap();
    }
    log.close().unwrap();
    fs::rename(&lost[0], path).unwrap();
    lost[1..].iter().for_each(|path| fs::remove_file(path).unwrap());
    Surgeon::new(path).reboot();
    let reader = options().open_reader(path).unwrap();
    let shown = crate::common::rest(&mut reader.follow(mmlog::Start::Oldest).unwrap());
    assert_eq!(String::from_utf8_lossy(&shown), String::from_utf8_lossy(expected), "before the recovery");
    goes_on(path, expected);
}

#[test]
fn where_a_final_segment_ends_is_on_the_disk_before_a_sync_serves_what_is_behind_it() {
    for synced_before in [false, true] {
        let scene = scene();
        let log = options().open_or_create(&scene.log).unwrap();
        let mut writer = log.writer().unwrap();
        writer.append(b"first\n").unwrap();
        if synced_before {
            log.sync().unwrap();
        }
        let first = rotate(&log);
        not_cut(&first.path);
        writer.append(b"second\n").unwrap();
        log.sync().unwrap();
        drop(writer);
        assert_eq!(fs::metadata(&first.path).unwrap().len(), 6, "synced before: {synced_before}");
        later_rotations_are_lost(log, &scene.log, b"first\nsecond\n");
    }
}

#[test]
fn a_recovery_has_a_final_segment_end_where_the_next_one_begins_before_it_raises_the_checkpoint() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    log.writer().unwrap().append(b"first\n").unwrap();
    let first = rotate(&log);
    log.writer().unwrap().append(b"second\n").unwrap();
    log.close().unwrap();
    not_cut(&first.path);
    Surgeon::new(&scene.log).reboot();
    let log = options().open(&scene.log).unwrap();
    assert_eq!(fs::metadata(&first.path).unwrap().len(), 6);
    later_rotations_are_lost(log, &scene.log, b"first\nsecond\n");
}
