//! Where the bytes at a position are: in the current data file, in a final segment, or nowhere any more.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::SystemTime;

use super::compressed::Decoder;
use crate::chunks::Segment;
use crate::error::Fault;
use crate::files::segments::Named;
use crate::files::{Files, UNKNOWN_LEN};
use crate::holes::{self, Hole, HoleKind};
use crate::sync::Ordering;
use crate::sys::place::Access;
use crate::sys::process::time_of;

/// A stretch of positions and what has their bytes.
pub(super) struct Source {
    pub(super) generation: u64,
    /// First position.
    pub(super) base: u64,
    /// First position behind it; `None` for the current segment, which grows.
    pub(super) end: Option<u64>,
    bytes: Bytes,
}

enum Bytes {
    /// It was the current data file when it was opened.
    Current(Arc<Segment>),
    /// It was at the path, and is another file than the metadata says: a copy, or one that took its place.
    Foreign(Arc<Segment>),
    Final(File),
    Compressed(Box<Decoder>),
    /// Pruned, or removed by somebody.
    Gone,
    /// Where it would be cannot be looked at.
    Unseen,
}

impl Source {
    /// The current segment.
    pub(super) fn current(files: &Files) -> Result<Self, Fault> {
        loop {
            let entry = files.current_segment()?;
            let segment = files.renew()?;
            if files.current_segment()?.generation == entry.generation {
                let (base, generation) = (segment.base(), entry.generation);
                let bytes = match segment.inode() == entry.inode {
                    true => Bytes::Current(segment),
                    false => Bytes::Foreign(segment),
                };
                return Ok(Self { generation, base, end: None, bytes });
            }
        }
    }

    /// What has the byte at `at`, which is not beyond the cursor.
    pub(super) fn of(files: &Files, at: u64) -> Result<Self, Fault> {
        loop {
            let current = files.current_segment()?;
            if at >= current.base {
                let found = Self::current(files)?;
                // Rotated again meanwhile.
                if at < found.base {
                    continue;
                }
                return Ok(found);
            }
            let Some(finals) = seen(files)? else {
                return Ok(Self { generation: 0, base: at, end: Some(current.base), bytes: Bytes::Unseen });
            };
            let behind = finals.iter().position(|n| n.says.base > at).unwrap_or(finals.len());
            let next = finals.get(behind).map_or(current.generation, |n| n.says.generation);
            let end = finals.get(behind).map_or(current.base, |n| n.says.base);
            let Some(found) = behind.checked_sub(1).map(|i| &finals[i]) else {
                return Ok(Self { generation: 0, base: at, end: Some(end), bytes: Bytes::Gone });
            };
            let file = match found.open(Access::Read) {
                Ok(file) => file,
                // Pruned or compressed since the directory was read: a name is taken away for good, so this ends.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) => return Err(Fault::io("open a final segment")(e)),
            };
            let (generation, base) = (found.says.generation, found.says.base);
            let bytes = match found.says.compression {
                None => Bytes::Final(file),
                Some(compression) => {
                    let is_whole = next == generation + 1 && end - base < UNKNOWN_LEN;
                    let decoder = Decoder::new(file, compression, &found.name, base..end, is_whole)?;
                    Bytes::Compressed(Box::new(decoder))
                }
            };
            return Ok(Self { generation, base, end: Some(end), bytes });
        }
    }

    /// The oldest position that has bytes.
    pub(super) fn oldest(files: &Files) -> Result<u64, Fault> {
        let current = files.current_segment()?.base;
        let first = match seen(files)? {
            Some(finals) => finals.first().map_or(current, |n| n.says.base),
            // What is kept begins there, wherever its segments are.
            None => 0,
        };
        Ok(first.min(current).max(files.first_kept()))
    }

    /// Where everything that was not pruned begins, also what somebody removed.
    pub(super) fn first(files: &Files) -> Result<u64, Fault> {
        let oldest = Self::oldest(files)?;
        let current = files.current_segment()?.generation;
        let first = seen(files)?.and_then(|finals| finals.into_iter().next());
        let generation = first.as_ref().map_or(current, |n| n.says.generation);
        // Metadata that was made later than that became final never knew what was before.
        let found = first.and_then(|n| n.find().ok()?);
        let was_there = created(files).zip(found).is_some_and(|(created, found)| found.changed < created);
        if generation == 0 || was_there || files.is_version_1() || !files.is_of_this_boot() {
            return Ok(oldest);
        }
        let kept = files.first_kept();
        let is_noted = |hole: &Hole| hole.start <= kept && hole.end() >= oldest;
        Ok(if holes::all(files.meta.holes()).iter().any(is_noted) { oldest } else { oldest.min(kept) })
    }

    /// Whether it is, as far as known, the segment that grows.
    pub(super) fn grows(&self) -> bool {
        self.end.is_none()
    }

    /// The segment is final: finds out where it ends.
    pub(super) fn finish(&mut self, files: &Files) -> Result<(), Fault> {
        let current = files.current_segment()?;
        let end = if current.generation == self.generation + 1 {
            current.base
        } else {
            let finals = files.final_segments()?;
            let next = finals.iter().find(|n| n.says.generation > self.generation);
            next.map_or(current.base, |n| n.says.base)
        };
        self.end = Some(end);
        Ok(())
    }

    /// Whether it has bytes.
    pub(super) fn is_there(&self) -> bool {
        !matches!(self.bytes, Bytes::Gone | Bytes::Unseen)
    }

    /// What the range is of which nothing could be read.
    pub(super) fn lack(&self, start: u64, end: u64, files: &Files) -> Hole {
        // Behind a compressed one of unknown length, whoever made the metadata anew left positions out.
        let is_left_out = matches!(self.bytes, Bytes::Compressed(_))
            && self.end.is_some_and(|end| end - self.base >= UNKNOWN_LEN);
        let kind = match self.bytes {
            Bytes::Unseen => HoleKind::Unseen,
            // Reserved by one that died before there was space.
            _ if self.grows() => HoleKind::Unplaced,
            // Nothing is missing in a final segment, unless somebody took it.
            _ => HoleKind::Gone,
        };
        Hole { kind, at: created(files).filter(|_| is_left_out), ..Hole::lost(start, end) }
    }

    pub(super) fn has(&self, position: u64) -> bool {
        position >= self.base && self.end.is_none_or(|end| position < end)
    }

    /// Reads at a position; 0 bytes where there are none.
    pub(super) fn read_at(&mut self, buf: &mut [u8], position: u64) -> Result<usize, Fault> {
        let file = match &mut self.bytes {
            Bytes::Current(segment) | Bytes::Foreign(segment) => segment.file(),
            Bytes::Final(file) => file,
            Bytes::Compressed(decoder) => return decoder.read_at(buf, position),
            Bytes::Gone | Bytes::Unseen => return Ok(0),
        };
        loop {
            match file.read_at(buf, position - self.base) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                done => return done.map_err(Fault::io("read the log's data")),
            }
        }
    }

    /// The data file that was the current one when it was opened.
    pub(super) fn file(&self) -> Option<&File> {
        match &self.bytes {
            Bytes::Current(segment) | Bytes::Foreign(segment) => Some(segment.file()),
            _ => None,
        }
    }

    /// Whether that was another file than the metadata says.
    pub(super) fn is_foreign(&self) -> bool {
        matches!(self.bytes, Bytes::Foreign(_))
    }
}

/// The final segments; `None` where this user may not list the directory.
fn seen(files: &Files) -> Result<Option<Vec<Named>>, Fault> {
    match files.final_segments() {
        Ok(finals) => Ok(Some(finals)),
        Err(Fault::Io { source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// When the metadata was made.
fn created(files: &Files) -> Option<SystemTime> {
    time_of(files.meta.header().identity.created_ns.load(Ordering::Relaxed))
}
