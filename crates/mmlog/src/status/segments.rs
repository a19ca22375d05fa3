//! What a status says of the segments.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::flaws::{self, Peeks, SegmentFlaw};
use super::{FileFacts, FindingId, facts};
use crate::error::Fault;
use crate::files::Files;
use crate::metadata::Entry;
use crate::names::{Compression, SegmentName};
use crate::sys::holders::{Unnamed, unnamed_in};
use crate::sys::place::Part;
use crate::sys::process::time_of;

/// How often the data file and its entry have to disagree; a rotation makes them agree in microseconds.
const LOOKS: u32 = 5;
/// How often another rotation may come between.
const ROTATIONS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(2);

/// One segment. Only the current one, the last, has the log's own path.
#[derive(Clone, Debug)]
pub struct SegmentStatus {
    /// Its number, from 0.
    pub generation: u64,
    /// Position of its first byte.
    pub base: u64,
    /// First position behind what its file has, as far as lengths and headers tell; of the current segment, the cursor,
    /// or where its file has bytes up to, if nobody has recovered the log since the reboot.
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
    /// When it became final, as prune's `keep_age` counts; `None` of the current one. Where the metadata does not know that any
    /// more, what its file says: of segments that earlier versions made, but for the newest, that may be earlier.
    pub final_since: Option<SystemTime>,
    /// Its inode.
    pub inode: u64,
    /// Where it is.
    pub path: PathBuf,
    /// What is wrong with it, if that costs positions: [`Status::flaws`](crate::Status::flaws) has the words.
    pub flaw: Option<FindingId>,
}

/// The data file at the path, its entry, and its size as they are together; the last look where they never are. After a
/// reboot, until somebody recovers the log, the entry is the one that he will make.
pub(super) fn data_file(
    files: &Files,
    ask: impl Fn() -> Result<FileFacts, Fault>,
) -> Result<(Entry, u64, FileFacts), Fault> {
    let header = files.meta.header();
    let (mut looks, mut rotations) = (0, 0);
    loop {
        let entry = facts::current(files);
        let (size, asked) = header.control.size_and(&ask);
        let file = asked?;
        if facts::current(files) != entry && rotations < ROTATIONS {
            rotations += 1;
            continue;
        }
        looks += 1;
        if looks == LOOKS || file.inode == entry.inode {
            return Ok((entry, size, file));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Oldest first, and what is wrong with them. Where the directory may not be read, the current one alone.
pub(super) fn all(
    files: &Files,
    current: &Entry,
    end: u64,
    file: &FileFacts,
    peeks: &mut Peeks,
) -> (Vec<SegmentStatus>, Vec<SegmentFlaw>) {
    let (finals, flaws) = flaws::survey(files, current, peeks);
    let times = files.final_times();
    let mut found: Vec<SegmentStatus> = finals
        .into_iter()
        .map(|s| {
            let says = &s.name.says;
            let entry = files.meta.header().segment(says.generation).get();
            let began_ns = match times.noted(says.generation, says.base) {
                Some(noted) => Some(noted.began_ns),
                None => (entry.generation == says.generation).then_some(entry.began_ns),
            };
            SegmentStatus {
                generation: says.generation,
                base: says.base,
                end: s.end,
                len: s.stat.map_or(0, |stat| stat.len),
                allocated: s.allocated,
                compression: says.compression,
                began: began_ns.and_then(time_of),
                changed: s.stat.map(|stat| stat.changed),
                final_since: s.stat.map(|stat| times.since(says.generation, says.base, stat.changed)),
                inode: s.stat.map_or(0, |stat| stat.id.1),
                path: s.name.path(),
                flaw: s.flaw,
            }
        })
        .collect();
    found.push(SegmentStatus {
        generation: current.generation,
        base: current.base,
        end: end.max(current.base),
        len: file.len,
        allocated: file.allocated,
        compression: None,
        began: time_of(current.began_ns),
        changed: file.changed,
        final_since: None,
        inode: file.inode,
        path: files.path().to_path_buf(),
        flaw: None,
    });
    (found, flaws)
}

/// Somebody who keeps blocks of a segment that was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovedHeld {
    /// Its process id.
    pub pid: u32,
    /// Its name.
    pub command: String,
    /// The inode of the file, which has no name any more.
    pub inode: u64,
    /// Bytes of disk.
    pub allocated: u64,
}

/// Who has old segments open that were removed, as far as this user may see. Where none was ever removed, nobody is asked.
pub(super) fn removed_held(files: &Files) -> Vec<RemovedHeld> {
    let was_rotated = files.meta.header().generation() > 0;
    let Some(directory) = was_rotated.then(|| files.place.directory_path().canonicalize().ok()).flatten()
    else {
        return Vec::new();
    };
    let log = files.place.name(Part::Data);
    // The file that was at the path is named by that, whatever its name became.
    let was_ours = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        path.parent() == Some(&directory) && (name == log || SegmentName::parse(log, name).is_some())
    };
    let held = |u: Unnamed| RemovedHeld {
        pid: u.who.pid,
        command: u.who.command,
        inode: u.inode,
        allocated: u.allocated,
    };
    unnamed_in(files.place.directory_fd(), &files.place.links(), was_ours).into_iter().map(held).collect()
}
