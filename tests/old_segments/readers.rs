//! Whoever reads, or sleeps, in an old segment while it is compressed, pruned or damaged.

use std::fs::{self, File};

use std::os::unix::fs::MetadataExt as _;

use mmlog::{Compress, Compression, Follower, HoleKind, Next, Retention, Rotation, Start};

use crate::cli::{Scratch, mmlogctl, wait_for};
use crate::{Log, cut, text};

/// Everything from where it is on: bytes, and holes with their kinds.
fn rest(follower: &mut Follower) -> (Vec<u8>, Vec<(HoleKind, u64, u64)>) {
    let (mut bytes, mut holes, mut buf) = (Vec::new(), Vec::new(), vec![0; 1000]);
    loop {
        match follower.next(&mut buf).unwrap() {
            Next::Bytes(range) => bytes.extend_from_slice(&buf[..(range.end - range.start) as usize]),
            Next::Hole(hole) => holes.push((hole.kind, hole.start, hole.end())),
            Next::CaughtUp => return (bytes, holes),
            _ => {}
        }
    }
}

/// A follower that has read the first bytes.
fn begun(log: &mmlog::Log) -> Follower {
    let mut follower = log.follow(Start::Oldest).unwrap();
    assert_eq!(follower.next(&mut [0; 1000]).unwrap(), Next::Bytes(0..1000));
    follower
}

#[test]
fn readers_in_a_segment_that_is_compressed_go_on_in_the_copy() {
    let scratch = Scratch::new();
    let path = scratch.log(&text(0));
    let log = mmlog::Log::options().open(&path).unwrap();
    let mut in_current = begun(&log);
    let rotated = log.rotate(&Rotation::default()).unwrap().unwrap();
    let mut in_final = begun(&log);
    let held = File::open(&rotated.path).unwrap();
    log.compress(&Compress::new(Compression::Zstd), &mut |_: mmlog::Compressing<'_>| {}).unwrap();
    assert_eq!(held.metadata().unwrap().len(), 0, "who has it open keeps no blocks");
    for follower in [&mut in_current, &mut in_final] {
        let (bytes, holes) = rest(follower);
        assert!(bytes == text(0)[1000..] && holes.is_empty(), "{holes:?}");
    }
}

#[test]
fn readers_in_a_segment_that_is_pruned_are_told_so() {
    let scratch = Scratch::new();
    let path = scratch.log(&text(0));
    let log = mmlog::Log::options().open(&path).unwrap();
    let mut in_current = begun(&log);
    let rotated = log.rotate(&Rotation::default()).unwrap().unwrap();
    let mut in_final = begun(&log);
    let held = File::open(&rotated.path).unwrap();
    log.prune(&Retention::default().keep(0)).unwrap();
    assert_eq!(held.metadata().unwrap().len(), 0, "who has it open keeps no blocks");
    let end = text(0).len() as u64;
    for follower in [&mut in_current, &mut in_final] {
        assert_eq!(rest(follower), (Vec::new(), vec![(HoleKind::Pruned, 1000, end)]));
    }
}

#[test]
fn a_segment_that_has_a_second_name_keeps_its_bytes_there() {
    let log = Log::new(None);
    let files = log.files();
    let kept: Vec<_> = files.iter().map(|file| format!("{}.kept", file.display())).collect();
    files.iter().zip(&kept).for_each(|(file, kept)| fs::hard_link(file, kept).unwrap());
    mmlogctl("prune", &log.path).arg("--keep=1").run().is_success();
    mmlogctl("rotate", &log.path).args(["--compress", "gzip"]).run().is_success();
    for (segment, kept) in (0..).zip(&kept) {
        assert!(fs::read(kept).unwrap() == text(segment));
    }
}

#[test]
fn a_compression_that_was_killed_behind_its_cut_is_read_and_finished() {
    let log = Log::new(Some("zstd"));
    let plain = log.files()[1].with_extension("");
    assert!(plain.to_str().unwrap().len() > log.path.to_str().unwrap().len());
    File::create(&plain).unwrap();
    let whole: Vec<u8> = (0..4).flat_map(text).collect();
    let cat = mmlogctl("cat", &log.path).run();
    assert!(cat.code == 0 && cat.stdout == whole);
    let check = mmlogctl("check", &log.path).run();
    assert!(check.code == 1 && check.text().contains("second file of this segment"), "{check:?}");
    mmlogctl("rotate", &log.path).args(["--compress", "zstd"]).run().is_success();
    assert!(!plain.exists());
    mmlogctl("check", &log.path).run().is_success();
}

#[test]
fn pages_that_nobody_wrote_are_a_gap_and_never_nuls() {
    let scratch = Scratch::new();
    let mut content = text(0);
    content.extend_from_slice(&[0; 10]);
    let path = scratch.log(&content);
    mmlogctl("rotate", &path).run().is_success();
    // The NULs are no end of a line, which an append of lines would begin behind.
    mmlogctl("append", &path).arg("--raw").input(b"more\n").run().is_success();
    let log = mmlog::Log::options().open_reader(&path).unwrap();
    let mut whole = log.follow(Start::Oldest).unwrap();
    assert!(rest(&mut whole).0.starts_with(&content), "NULs that were appended are content");
    let segment = &mmlog::Observer::open(&path, &mmlog::Log::options()).unwrap().look().unwrap().segments[0];
    let (len, from) = (content.len() as u64, 8192);
    cut(&segment.path, from);
    cut(&segment.path, len);
    let mut follower = log.follow(Start::Oldest).unwrap();
    let (bytes, holes) = rest(&mut follower);
    assert!(bytes == [&content[..8192], b"more\n"].concat());
    assert_eq!(holes, [(HoleKind::Gone, from, len)]);
    mmlogctl("check", &path).run().is_success();
    let deep = mmlogctl("check", &path).arg("--deep").run();
    assert!(
        deep.code == 2 && deep.text().contains(&format!("[{from}, {len}) were never written")),
        "{deep:?}"
    );
}

#[test]
fn a_compressed_segment_with_a_wrong_sum_is_found_when_all_is_read() {
    for format in ["zstd", "gzip"] {
        let log = Log::new(Some(format));
        let file = log.files()[1].clone();
        let mut bytes = fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        fs::write(&file, bytes).unwrap();
        let deep = mmlogctl("check", &log.path).arg("--deep").run();
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(deep.code == 2 && deep.text().contains(name), "{deep:?}");
        // No byte of it is sure; readers have shown some before they see that.
        let (base, end) = (Log::base(1), Log::base(2));
        let range = format!("positions [{base}, {end})");
        assert!(deep.text().contains("cannot be read: ") && deep.text().contains(&range), "{deep:?}");
        let cat = mmlogctl("cat", &log.path).run();
        assert!(cat.stderr.contains(&format!(" to {end} could not")), "{cat:?}");
        assert!(cat.code == 4 && cat.stderr.contains(name), "{cat:?}");
    }
}

/// How often a process has that file open or mapped.
fn held(pid: u32, inode: u64) -> usize {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let open = open.filter_map(|fd| fs::metadata(fd.path()).ok()).filter(|stat| stat.ino() == inode);
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mapped = maps.lines().filter(|line| line.split_whitespace().nth(4) == Some(&inode.to_string()));
    open.count() + mapped.count()
}

#[test]
fn an_idle_tail_lets_go_of_what_it_has_read() {
    let log = Log::new(None);
    let tail = mmlogctl("tail", &log.path).args(["-n", "1", "-f"]).start();
    mmlogctl("append", &log.path).input(b"seen\n").run().is_success();
    tail.until_stdout(|printed| printed.ends_with(b"seen\n"));
    let inode = fs::metadata(&log.path).unwrap().ino();
    assert!(held(tail.pid(), inode) > 0);
    mmlogctl("rotate", &log.path).run().is_success();
    wait_for("the old segment is closed", || (held(tail.pid(), inode) == 0).then_some(()));
}

#[test]
fn an_idle_append_lets_go_of_what_it_has_written() {
    let log = Log::new(None);
    let mut append = mmlogctl("append", &log.path).start();
    append.feed(b"a line\n");
    append.until_open(&log.path);
    wait_for("the line is in the log", || {
        let status = log.status();
        (status["writers"][0]["messages"] == 1).then_some(())
    });
    let inode = fs::metadata(&log.path).unwrap().ino();
    assert!(held(append.pid(), inode) > 0);
    mmlogctl("rotate", &log.path).run().is_success();
    wait_for("the old segment is closed", || (held(append.pid(), inode) == 0).then_some(()));
}

#[test]
fn who_keeps_the_blocks_of_a_removed_segment_is_named() {
    let log = Log::new(None);
    let oldest = log.files()[0].clone();
    let second = format!("{}.second", oldest.display());
    fs::hard_link(&oldest, &second).unwrap();
    let held = File::open(&oldest).unwrap();
    mmlogctl("prune", &log.path).arg("--keep=2").run().is_success();
    let findings = || log.status()["findings"].to_string();
    assert!(!findings().contains("space-held"), "it has a name");
    fs::remove_file(second).unwrap();
    let (bytes, pid) = (held.metadata().unwrap().blocks() * 512, std::process::id());
    let bytes = mmlog::units::size(bytes);
    let said = format!("{bytes} of removed segments are not free yet: process {pid} ");
    assert!(findings().contains("space-held") && findings().contains(&said), "{}", findings());
    drop(held);
    assert!(!findings().contains("space-held"));
}

/// Moves old segments to `old`, and gives its path.
fn olddir(log: &Log, count: usize) -> std::path::PathBuf {
    let old = log.path.with_file_name("old");
    fs::create_dir(&old).unwrap();
    for file in &log.files()[..count] {
        fs::rename(file, old.join(file.file_name().unwrap())).unwrap();
    }
    old
}

/// The log's metadata made anew while that directory was elsewhere: beside it, a rebuild is refused.
fn rebuild_without(log: &Log, old: &std::path::Path) {
    fs::remove_file(format!("{}.mmlog", log.path.display())).unwrap();
    let refused = mmlogctl("repair", &log.path).arg("--rebuild").run();
    assert!(refused.code == 4 && refused.text().contains("--olddir"), "{refused:?}");
    let elsewhere = Scratch::new();
    let away = elsewhere.file("old");
    fs::rename(old, &away).unwrap();
    mmlogctl("repair", &log.path).arg("--rebuild").run().is_success();
    fs::rename(&away, old).unwrap();
}

#[test]
fn metadata_that_was_made_anew_takes_a_directory_of_its_old_segments_back() {
    for format in [None, Some("zstd")] {
        let log = Log::new(format);
        rebuild_without(&log, &olddir(&log, 2));
        let ended = mmlogctl("rotate", &log.path).args(["--olddir", "old"]).run();
        assert_eq!(ended.code, 0, "{ended:?}");
        let cat = mmlogctl("cat", &log.path).run();
        let whole: Vec<u8> = (0..4).flat_map(text).collect();
        assert!(cat.stdout == whole, "{cat:?}");
        assert_eq!(mmlogctl("segments", &log.path).run().text().lines().count(), 6, "{format:?}");
        mmlogctl("check", &log.path).run().is_success();
        mmlogctl("prune", &log.path).arg("--keep=1").run().is_success();
        assert_eq!(mmlogctl("segments", &log.path).run().text().lines().count(), 3);
    }
}

#[test]
fn a_directory_of_segments_that_do_not_fit_is_refused_with_the_step() {
    let log = Log::new(None);
    let old = olddir(&log, 3);
    fs::remove_file(old.join(fs::read_dir(&old).unwrap().next().unwrap().unwrap().file_name())).unwrap();
    rebuild_without(&log, &old);
    let ended = mmlogctl("rotate", &log.path).args(["--olddir", "old"]).run();
    assert!(ended.code == 1 && ended.stderr.contains("move them beside the log"), "{ended:?}");
    for file in fs::read_dir(&old).unwrap().flatten() {
        fs::rename(file.path(), log.path.with_file_name(file.file_name())).unwrap();
    }
    fs::rename(format!("{}.mmlog", log.path.display()), log.path.with_file_name("away")).unwrap();
    let ended = mmlogctl("repair", &log.path).arg("--rebuild").run();
    assert!(ended.code == 4 && ended.text().contains("  done  1 step; DAMAGED"), "one is missing: {ended:?}");
    let ended = mmlogctl("rotate", &log.path).args(["--olddir", "old"]).run();
    assert_eq!(ended.code, 0, "{ended:?}");
}

/// Old segments alone, without a data file: each in its format, or plain.
fn segments_alone(formats: [Option<&str>; 3]) -> (Scratch, std::path::PathBuf) {
    let (scratch, log) = (Scratch::new(), Log::new(None));
    let files = |log: &Log| log.files().into_iter();
    for (nth, format) in formats.into_iter().enumerate() {
        let of_format = format.map(|format| Log::new(Some(format)));
        let from = files(of_format.as_ref().unwrap_or(&log)).nth(nth).unwrap();
        fs::copy(&from, scratch.file(from.file_name().unwrap().to_str().unwrap())).unwrap();
    }
    let path = scratch.file("app.log");
    (scratch, path)
}

#[test]
fn a_log_that_is_made_behind_old_segments_begins_where_they_end() {
    let (zstd, gzip) = (Some("zstd"), Some("gzip"));
    let mixes = [[None; 3], [zstd, zstd, None], [None, zstd, zstd], [gzip, None, gzip], [zstd, gzip, zstd]];
    for formats in mixes {
        let (_scratch, path) = segments_alone(formats);
        mmlogctl("init", &path).run().is_success();
        mmlogctl("append", &path).input(&text(3)).run().is_success();
        let whole: Vec<u8> = (0..4).flat_map(text).collect();
        mmlogctl("cat", &path).run().printed(&whole);
        mmlogctl("check", &path).run().is_success();
        mmlogctl("check", &path).arg("--deep").run().is_success();
        let status = mmlogctl("status", &path).arg("--json").run().text();
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        assert_eq!(
            (&status["cursor"], &status["generation"]),
            (&whole.len().into(), &3.into()),
            "{formats:?}"
        );
    }
}

/// What of it could be read is given, and no position of it is given again.
#[test]
fn behind_one_that_nobody_can_read_to_its_end_a_log_begins_far_away() {
    for format in [Some("zstd"), Some("gzip")] {
        let (_scratch, path) = segments_alone([None, None, format]);
        let mut files: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().flatten().collect();
        files.sort_by_key(std::fs::DirEntry::path);
        let last = files.pop().unwrap().path();
        super::cut(&last, super::len(&last) / 2);
        mmlogctl("init", &path).run().is_success();
        let status = mmlogctl("status", &path).arg("--json").run().text();
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        assert!(status["cursor"].as_u64().unwrap() > 1 << 40, "{status}");
    }
}

/// To remove what can still be read is no cure.
#[test]
fn no_step_for_damage_of_an_old_segment_deletes_anything() {
    let ways: [fn(&std::path::Path); 2] = [|p| super::cut(p, 9), |p| fs::remove_file(p).unwrap()];
    for damage in ways {
        let log = Log::new(None);
        damage(&log.files()[1]);
        let status = log.status();
        let said = mmlogctl("status", &log.path).run().text();
        let deep = mmlogctl("check", &log.path).arg("--deep").run();
        assert_eq!(status["state"], "DAMAGED");
        let command = status["findings"][0]["command"].as_str().unwrap();
        assert!(command.starts_with("mmlogctl segments ") || command.starts_with("find "), "{command}");
        for text in [status.to_string(), said, deep.text()] {
            assert!(!text.contains("prune -") && !text.contains("mmlogctl rm"), "{text}");
        }
    }
}
