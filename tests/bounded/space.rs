//! Free space that the policy is to keep: the oldest segments make it.

use std::fs;
use std::mem::offset_of;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::{WRITERS, is_sound, lengths, options, rotated_at};
use crate::common::disk::Disk;
use crate::common::surgeon::Surgeon;
use crate::common::{self, Actor};
use mmlog::layout::Header;
use mmlog::{FindingId, Free, Log, Policy};

#[test]
fn on_a_full_disk_the_oldest_segments_make_space_and_no_append_fails() {
    let Some(disk) = Disk::new(8 << 20) else { return };
    // Almost nothing is to be free: space is made where an append finds none.
    let policy = Policy { keep_free: Some(Free::Bytes(1)), ..rotated_at(1 << 20) };
    let log = options().policy(&policy).max_writers(8).open_or_create(disk.log()).unwrap();
    let parameters = |id: u64| {
        let log = disk.log().display().to_string();
        [("LOG", log), ("ID", id.to_string()), ("EACH", "8000".to_owned()), ("SEED", "1".to_owned())]
    };
    let writers: Vec<_> = (0..WRITERS).map(|id| Actor::new("writer", &parameters(id))).collect();
    for writer in writers {
        writer.finish();
    }
    let status = log.status().unwrap();
    assert!(status.cursor > 24 << 20, "{}", status.cursor);
    assert!(status.first_kept > 16 << 20, "{}", status.first_kept);
    is_sound(&disk.log());
}

#[test]
fn on_a_full_disk_an_append_waits_for_what_was_removed_to_become_free() {
    let Some(disk) = Disk::new(8 << 20) else { return };
    let policy = Policy { keep_free: Some(Free::Bytes(1)), ..rotated_at(1 << 20) };
    let log = options().policy(&policy).max_writers(8).open_or_create(disk.log()).unwrap();
    let mut writer = log.writer().unwrap();
    let mut fill = |messages| {
        for _ in 0..messages {
            writer.append(&[b'.'; 1000]).unwrap();
        }
    };
    fill(3300);
    // Somebody who has nothing to do with the log has those open that go first.
    let mut keeper = keeps_open(&log);
    let surgeon = Surgeon::new(&disk.log());
    std::thread::scope(|scope| {
        let filling = scope.spawn(move || fill(9000));
        common::until("segments to be gone and not free", || {
            (filling.is_finished() || surgeon.get(offset_of!(Header, policies.free_retry)) != 0).then_some(())
        });
        keeper.kill().unwrap();
        keeper.wait().unwrap();
        filling.join().unwrap();
    });
    is_sound(&disk.log());
}

/// A program that has all final segments open.
fn keeps_open(log: &Log) -> Child {
    let segments = log.status().unwrap().segments;
    let finals: Vec<_> = segments.iter().filter(|s| s.final_since.is_some()).map(|s| &s.path).collect();
    let mut keeper = Command::new("tail");
    keeper.arg("-f").stdout(Stdio::null()).stderr(Stdio::null()).args(&finals);
    let keeper = keeper.spawn().unwrap();
    let fds = PathBuf::from(format!("/proc/{}/fd", keeper.id()));
    common::until("the files to be open", || (fs::read_dir(&fds).ok()?.count() > finals.len()).then_some(()));
    keeper
}

#[test]
fn where_removing_segments_frees_nothing_the_history_stays_and_it_is_said() {
    let Some(disk) = Disk::new(8 << 20) else { return };
    let log = options().policy(&rotated_at(256 << 10)).max_writers(8).open_or_create(disk.log()).unwrap();
    let mut writer = log.writer().unwrap();
    let mut append = |messages| {
        for _ in 0..messages {
            writer.append(&[b'.'; 1000]).unwrap();
        }
    };
    append(3000);
    let before = lengths(&log).len();
    assert!(before > 8, "{before}");
    // Somebody who has nothing to do with the log has them all open.
    let mut keeper = keeps_open(&log);
    log.set_policy(|policy| policy.keep_free = Some(Free::Percent(99)), super::WAIT).unwrap();
    let said = common::until("the finding", || {
        append(1);
        let findings = log.status().unwrap().findings;
        findings.into_iter().find(|finding| finding.id == FindingId::FreeSpaceNotFreed)
    });
    assert!(said.sentence.contains("(tail) has them open"), "{said:?}");
    assert!(lengths(&log).len() + 3 > before, "{:?}", lengths(&log));
    keeper.kill().unwrap();
    keeper.wait().unwrap();
}
