//! Everything that a log holds, as a follower is given it.

use mmlog::{HoleKind, Log, Next, Start};

/// A range of positions without content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Gone {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// The bytes from `base` on. Those of exact holes are zeros.
pub(crate) struct Content {
    pub(crate) base: u64,
    pub(crate) bytes: Vec<u8>,
    /// Exact holes, by position. Where the log does not know the place, there are only NULs; of a final segment, pages of
    /// them without a block are told as a gap.
    pub(crate) holes: Vec<Gone>,
    /// Where the next append would go; the log is at rest when the content ends there.
    pub(crate) cursor: u64,
}

impl Content {
    pub(crate) fn of(log: &Log) -> anyhow::Result<Self> {
        let mut follower = log.follow(Start::Oldest)?;
        let base = log.oldest()?.get();
        let mut content = Self { base, bytes: Vec::new(), holes: Vec::new(), cursor: log.cursor()?.get() };
        content.bytes.reserve((content.cursor - base) as usize);
        let mut buf = vec![0; 1 << 17];
        loop {
            let end = content.end();
            let (start, next) = match follower.next(&mut buf)? {
                Next::Bytes(range) => {
                    content.bytes.extend_from_slice(&buf[..(range.end - range.start) as usize]);
                    (range.start, range.end)
                }
                Next::Hole(hole) => {
                    if ![HoleKind::Unplaced, HoleKind::Gone].contains(&hole.kind) {
                        content.holes.push(Gone { start: hole.start, end: hole.end() });
                    }
                    content.bytes.resize((hole.end() - base) as usize, 0);
                    (hole.start, hole.end())
                }
                Next::Rotated(_) => continue,
                Next::CaughtUp => return Ok(content),
                other => anyhow::bail!("a follower said {other:?} at {end}"),
            };
            anyhow::ensure!(start == end, "a follower jumped from {end} to {start} (and goes on at {next})");
        }
    }

    pub(crate) fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// The bytes of a range, or of the part of it that is there.
    pub(crate) fn at(&self, start: u64, len: usize) -> &[u8] {
        let from = (start.saturating_sub(self.base) as usize).min(self.bytes.len());
        &self.bytes[from..(from + len).min(self.bytes.len())]
    }
}
