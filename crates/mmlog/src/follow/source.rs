//! Where the bytes at a position are: in the current data file, in a final segment, or nowhere any more.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::compressed::Decoder;
use crate::chunks::Segment;
use crate::error::Fault;
use crate::files::{Files, UNKNOWN_LEN};
use crate::sys::place::Access;

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
    Final(File),
    Compressed(Box<Decoder>),
    /// Pruned, or removed by somebody.
    Gone,
}

impl Source {
    /// The current segment.
    pub(super) fn current(files: &Files) -> Result<Self, Fault> {
        loop {
            let generation = files.current_segment()?.generation;
            let segment = files.renew()?;
            if files.current_segment()?.generation == generation {
                let (base, bytes) = (segment.base(), Bytes::Current(segment));
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
            let finals = files.final_segments()?;
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
        // Who may not read the directory sees the current segment.
        let first = files.final_segments().ok().and_then(|finals| Some(finals.first()?.says.base));
        Ok(first.unwrap_or(current).min(current).max(files.first_kept()))
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
        !matches!(self.bytes, Bytes::Gone)
    }

    pub(super) fn has(&self, position: u64) -> bool {
        position >= self.base && self.end.is_none_or(|end| position < end)
    }

    /// Reads at a position; 0 bytes where there are none.
    pub(super) fn read_at(&mut self, buf: &mut [u8], position: u64) -> Result<usize, Fault> {
        let file = match &mut self.bytes {
            Bytes::Current(segment) => segment.file(),
            Bytes::Final(file) => file,
            Bytes::Compressed(decoder) => return decoder.read_at(buf, position),
            Bytes::Gone => return Ok(0),
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
            Bytes::Current(segment) => Some(segment.file()),
            _ => None,
        }
    }
}
