//! Full disks on which a store into a mapped page needs a new block: shared blocks on xfs and btrfs.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::{FallocateFlags, fallocate};
use nix::libc::SIGBUS;

use crate::cli::{Scratch, metadata_of, own_mounts, skipped, succeeds};
use crate::common::{committed, wait};
use crate::{OFF, ON, a_writer, append};

/// A file system of its own in a file; unmounted in the end.
struct Disk {
    place: PathBuf,
    _scratch: Scratch,
}

impl Disk {
    fn new(kind: &str) -> Option<Self> {
        let scratch = Scratch::new();
        let (image, place) = (scratch.file("image"), scratch.file("disk"));
        File::create(&image).unwrap().set_len(400 << 20).unwrap();
        fs::create_dir(&place).unwrap();
        let made = succeeds(Command::new(format!("mkfs.{kind}")).arg("-q").arg(&image));
        if !made
            || !own_mounts()
            || !succeeds(Command::new("mount").args(["-o", "loop"]).args([&image, &place]))
        {
            skipped(&format!("a full {kind} is an error"), "needs root, its mkfs and a loop device");
            return None;
        }
        // What is copied has to be as the log is, which btrfs does not copy on every write.
        let _ = Command::new("chattr").arg("+C").arg(&place).output();
        Some(Self { place, _scratch: scratch })
    }

    fn copy(&self, file: &Path) {
        assert!(succeeds(
            Command::new("cp").arg("--reflink=always").arg(file).arg(file.with_extension("copy"))
        ));
    }

    /// Takes every block.
    fn fill(&self) -> PathBuf {
        let ballast = self.place.join("ballast");
        let file = File::create(&ballast).unwrap();
        let mut at = 0;
        for step in [1 << 20, 4096] {
            while fallocate(&file, FallocateFlags::empty(), at, step).is_ok() {
                at += step;
            }
        }
        file.sync_all().unwrap();
        ballast
    }

    fn empty(&self, ballast: &Path) {
        fs::remove_file(ballast).unwrap();
        assert!(succeeds(Command::new("sync").arg("-f").arg(&self.place)));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.place).status();
    }
}

fn a_full_disk_under_a_shared_block_is_an_error(kind: &str) {
    let Some(disk) = Disk::new(kind) else { return };
    let [log, other] = ["app.log", "other.log"].map(|name| disk.place.join(name));
    let mut actor = a_writer(&log, ON);
    let mut unguarded = a_writer(&other, OFF);
    for actor in [&mut actor, &mut unguarded] {
        assert_eq!(append(actor, 1000), "ok 0 at 1000");
    }
    disk.copy(&log);
    disk.copy(&other);
    let ballast = disk.fill();
    let said = append(&mut unguarded, 100);
    if kind == "btrfs" {
        // No mapped store there, so no signal either.
        assert!(said.contains("no space to grow by"), "{said}");
    } else {
        assert_eq!(said, "", "it says nothing more");
        assert_eq!(wait(&mut unguarded.child).signal(), Some(SIGBUS), "the disk is as full as it has to be");
    }
    for _ in 0..3 {
        let said = append(&mut actor, 100);
        assert!(said.contains("no space to grow by") && said.contains("No space left on device"), "{said}");
        assert!(said.ends_with(" at 1100"), "one hole, not one of each attempt: {said}");
    }
    disk.empty(&ballast);
    assert_eq!(append(&mut actor, 100), "ok 1100 at 1200");
    assert_eq!(append(&mut actor, 100), "ok 1200 at 1300");
    actor.finish();
    assert_eq!(committed(&log), vec![b'x'; 1200]);
}

#[test]
fn a_full_xfs_under_a_shared_block_is_an_error() {
    a_full_disk_under_a_shared_block_is_an_error("xfs");
}

#[test]
fn a_full_btrfs_under_a_shared_block_is_an_error() {
    a_full_disk_under_a_shared_block_is_an_error("btrfs");
}

#[test]
fn a_writer_maps_anew_the_metadata_that_had_no_block_left() {
    let Some(disk) = Disk::new("xfs") else { return };
    let log = disk.place.join("app.log");
    let mut actor = a_writer(&log, ON);
    assert_eq!(append(&mut actor, 1000), "ok 0 at 1000");
    disk.copy(&metadata_of(&log));
    let ballast = disk.fill();
    for _ in 0..3 {
        let said = append(&mut actor, 100);
        assert!(said.contains("No space left on device"), "{said}");
    }
    disk.empty(&ballast);
    let said = append(&mut actor, 100);
    assert!(said.starts_with("ok 1000 "), "{said}");
    actor.finish();
    assert_eq!(committed(&log), vec![b'x'; 1100]);
}
