//! What `--compress` makes, and what it leaves alone.

use std::fs::{self, File, Metadata, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::Command;

use crate::cli::{NOBODY, Scratch, Tool, is_root, metadata_of, mmlogctl, skipped, succeeds};
use crate::{append, has_suffix, lines, rotate, segments};

#[test]
fn a_compressed_segment_is_what_other_programs_read_and_looks_like_the_plain_one() {
    for program in ["gzip", "zstd"] {
        let scratch = Scratch::new();
        let log = scratch.file("app.log");
        append(&log, &lines(0, 5000));
        fs::set_permissions(&log, Permissions::from_mode(0o640)).unwrap();
        if is_root() {
            chown(&log, Some(NOBODY), Some(NOBODY)).unwrap();
            chown(metadata_of(&log), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        rotate(&log, &[]).run().printed(b"");
        let plain = fs::metadata(&segments(&log)[0]).unwrap();
        rotate(&log, &["--compress", program]).run().printed(b"");
        let found = segments(&log);
        assert_eq!(found.len(), 1, "{found:?}");
        let stat = fs::metadata(&found[0]).unwrap();
        let looks = |m: &Metadata| (m.uid(), m.gid(), m.mode(), m.modified().unwrap());
        assert_eq!(looks(&stat), looks(&plain));
        assert!(stat.len() < plain.len());
        if succeeds(Command::new(program).arg("--version")) {
            Tool::new(program).arg("-dc").arg(&found[0]).run().printed(&lines(0, 5000));
        } else {
            skipped("another program reads it", program);
        }
    }
}

#[test]
fn segments_that_are_plain_are_caught_up_also_when_there_is_nothing_to_rotate() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    for round in 0..3 {
        append(&log, &lines(round * 1000, (round + 1) * 1000));
        rotate(&log, &[]).run().printed(b"");
    }
    let plan = rotate(&log, &["-n", "--compress=zstd"]).run();
    plan.is_success();
    assert_eq!(plan.text().matches("would compress").count(), 3, "{plan:?}");
    rotate(&log, &["--compress=zstd", "--level=19"]).run().printed(b"");
    let found = segments(&log);
    assert!(found.len() == 3 && found.iter().all(|path| has_suffix(path, ".zst")), "{found:?}");
    mmlogctl("cat", &log).run().printed(&lines(0, 3000));
}

#[test]
fn a_file_that_has_the_name_of_the_copy_and_is_none_stays_and_so_does_the_segment() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    for round in 0..2 {
        append(&log, &lines(round * 1000, (round + 1) * 1000));
        rotate(&log, &[]).run().printed(b"");
    }
    let plain = segments(&log).remove(0);
    let taken = plain.with_file_name(format!("{}.gz", plain.file_name().unwrap().display()));
    fs::write(&taken, b"something else").unwrap();
    let ended = rotate(&log, &["--compress=zstd"]).run();
    ended.is_refused(1, &log, &["is there already, and is not this segment"]);
    assert_eq!(fs::read(&taken).unwrap(), b"something else");
    assert_eq!(fs::read(&plain).unwrap(), lines(0, 1000));
    assert!(has_suffix(&segments(&log)[2], ".zst"), "it keeps no other from being compressed");
    mmlogctl("cat", &log).run().printed(&lines(0, 2000));
}

#[test]
fn a_segment_that_somebody_cut_is_left_as_it_is() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, &lines(0, 1000));
    rotate(&log, &[]).run().printed(b"");
    let segment = segments(&log).remove(0);
    let len = fs::metadata(&segment).unwrap().len();
    File::options().write(true).open(&segment).unwrap().set_len(100).unwrap();
    let ended = rotate(&log, &["--compress=zstd"]).run();
    ended.is_refused(4, &log, &[&format!("has 100 of its {len} bytes")]);
    assert_eq!(segments(&log), [segment]);
}

#[test]
fn root_does_not_compress_a_second_name_of_a_file_in_somebody_elses_directory() {
    if !is_root() {
        return skipped("a second name is refused", "needs root");
    }
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, &lines(0, 1000));
    rotate(&log, &[]).run().printed(b"");
    let segment = segments(&log).remove(0);
    fs::hard_link(&segment, scratch.file("other")).unwrap();
    chown(scratch.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    rotate(&log, &["--compress=zstd"]).run().is_refused(1, &log, &[" 2 "]);
    assert_eq!(segments(&log), [segment]);
}

/// A small disk of its own, unmounted at the end.
struct Disk(Scratch);

impl Disk {
    fn new() -> Option<Self> {
        let scratch = Scratch::new();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=2M", "none"]).arg(scratch.path());
        (is_root() && succeeds(&mut mount)).then_some(Self(scratch))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        succeeds(Command::new("umount").arg("-l").arg(self.0.path()));
    }
}

#[test]
fn a_full_disk_is_an_error_that_leaves_the_segment_and_nothing_else() {
    let Some(disk) = Disk::new() else { return skipped("a full disk", "cannot mount a tmpfs here") };
    let log = disk.0.log(b"");
    append(&log, &lines(0, 20_000));
    rotate(&log, &[]).run().printed(b"");
    let plain = segments(&log);
    let mut ballast = File::create(disk.0.file("ballast")).unwrap();
    while ballast.write_all(&[1; 4096]).is_ok() {}
    rotate(&log, &["--compress=gzip"]).run().is_refused(1, &log, &["no space"]);
    assert_eq!(segments(&log), plain);
    ballast.set_len(0).unwrap();
    rotate(&log, &["--compress=gzip"]).run().printed(b"");
    mmlogctl("cat", &log).run().printed(&lines(0, 20_000));
}

#[test]
fn a_bar_is_shown_on_a_terminal_only() {
    if !succeeds(Command::new("script").arg("--version")) {
        return skipped("a bar on a terminal", "there is no script(1) here");
    }
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, &lines(0, 10_000));
    let line = format!("{} rotate --compress=zstd {}", env!("CARGO_BIN_EXE_mmlogctl"), log.display());
    let ended = Tool::new("script").args(["-q", "-e", "-c", &line, "/dev/null"]).run();
    assert_eq!(ended.code, 0, "{ended:?}");
    for wanted in ["app.log.0000000000-0000000000000000000 [", "%", ": made ", ": compressed "] {
        assert!(ended.text().contains(wanted), "without {wanted:?}: {ended:?}");
    }
}

#[test]
fn where_no_thread_can_be_had_segments_are_compressed_all_the_same() {
    let trace = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=clone3"];
    if !succeeds(Command::new("strace").args(trace).arg("true")) {
        return skipped("compressing without a thread", "strace is missing or may not trace");
    }
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let fails = [&trace[..], &["-e", "inject=clone3:error=EAGAIN"]].concat();
    let ended = mmlogctl("rotate", &log).arg("--compress=gzip").through("strace", &fails).run();
    ended.is_success();
    let names = || fs::read_dir(scratch.path()).unwrap().map(|e| e.unwrap().file_name());
    assert!(names().any(|name| name.to_string_lossy().ends_with(".gz")), "{ended:?}");
}
