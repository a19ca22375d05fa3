//! What a status says of the segments.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::FileFacts;
use crate::error::Fault;
use crate::files::Files;
use crate::metadata::Entry;
use crate::names::Compression;
use crate::sys::process::time_of;

/// How often the data file and its entry have to disagree; a rotation makes them agree in microseconds.
const LOOKS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(2);

/// One segment. Only the current one, the last, has the log's own path.
#[derive(Clone, Debug)]
pub struct SegmentStatus {
    /// Its number, from 0.
    pub generation: u64,
    /// Position of its first byte.
    pub base: u64,
    /// First position behind it; of the current segment, the cursor.
    pub end: u64,
    /// Length of its file, bytes.
    pub len: u64,
    /// Bytes of disk that it takes, with a compressed copy if there is one.
    pub allocated: u64,
    /// How it is compressed.
    pub compression: Option<Compression>,
    /// When it began, if the metadata still knows.
    pub began: Option<SystemTime>,
    /// When its file was last changed, if the file can be asked; stores through memory change it late.
    pub changed: Option<SystemTime>,
    /// Its inode.
    pub inode: u64,
    /// Where it is.
    pub path: PathBuf,
}

/// The data file at the path, its entry, and its size as they are together; the last look where they never are.
pub(super) fn data_file(
    files: &Files,
    ask: impl Fn() -> Result<FileFacts, Fault>,
) -> Result<(Entry, u64, FileFacts), Fault> {
    let header = files.meta.header();
    let mut look = 0;
    loop {
        let entry = header.current();
        let (size, asked) = header.control.size_and(&ask);
        let file = asked?;
        look += 1;
        if look == LOOKS || file.inode == entry.inode && header.current() == entry {
            return Ok((entry, size, file));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Oldest first. Where the directory may not be read, the current one alone.
pub(super) fn all(files: &Files, current: &Entry, cursor: u64, file: &FileFacts) -> Vec<SegmentStatus> {
    let names = files.final_names().unwrap_or_default();
    let allocated = |generation| {
        let of_it = names.iter().filter(|n| n.says.generation == generation);
        of_it.filter_map(|n| n.find().ok()?).map(|there| there.allocated).sum()
    };
    let mut finals = names.clone();
    finals.dedup_by_key(|n| n.says.generation);
    let ends = finals.iter().skip(1).map(|n| n.says.base).chain([current.base]);
    let mut found: Vec<SegmentStatus> = finals
        .iter()
        .zip(ends)
        .filter_map(|(n, end)| {
            let there = n.find().ok()??;
            let entry = files.meta.header().segment(n.says.generation).get();
            Some(SegmentStatus {
                generation: n.says.generation,
                base: n.says.base,
                end,
                len: there.len,
                allocated: allocated(n.says.generation),
                compression: n.says.compression,
                began: (entry.generation == n.says.generation).then(|| time_of(entry.began_ns)).flatten(),
                changed: Some(there.changed),
                inode: there.id.1,
                path: n.path(),
            })
        })
        .collect();
    found.push(SegmentStatus {
        generation: current.generation,
        base: current.base,
        end: cursor,
        len: file.len,
        allocated: file.allocated,
        compression: None,
        began: time_of(current.began_ns),
        changed: file.changed,
        inode: file.inode,
        path: files.path().to_path_buf(),
    });
    found
}
