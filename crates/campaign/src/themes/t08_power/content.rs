//! What can be read of a log, and when which of its positions were reached, as its metadata says.

use std::fs;
use std::mem::offset_of;
use std::path::Path;

use mmlog::layout::{Header, LEVEL_PAIRS, TIME_LEVELS, ring_at};
use mmlog::times::Pair;
use mmlog::{Log, Next, Start};

use super::writers::{Subject, metadata_of};

/// Bytes by position, and which of them are holes.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) bytes: Vec<u8>,
    pub(super) holes: Vec<(u64, u64)>,
    /// What lies below was pruned.
    pub(super) oldest: u64,
}

impl Content {
    pub(super) fn read(log: &Log, subject: Subject) -> anyhow::Result<Self> {
        let oldest = log.oldest()?.get();
        let mut content = Self { bytes: vec![0; oldest as usize], ..Self::default() };
        match subject.keeps() {
            Some(_) => content.oldest = oldest,
            // A segment whose name did not reach the disk.
            None if oldest > 0 => content.holes.push((0, oldest)),
            None => {}
        }
        let mut follower = log.follow(Start::Oldest)?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            match follower.next(&mut buffer)? {
                Next::Bytes(range) => {
                    content.bytes.extend_from_slice(&buffer[..(range.end - range.start) as usize]);
                }
                Next::Rotated(_) => {}
                Next::Hole(hole) => {
                    content.bytes.resize(hole.end() as usize, 0);
                    content.holes.push((hole.start, hole.end()));
                }
                _ => return Ok(content),
            }
        }
    }

    pub(super) fn get(&self, at: u64, len: usize) -> &[u8] {
        let start = (at as usize).min(self.bytes.len());
        &self.bytes[start..start.saturating_add(len).min(self.bytes.len())]
    }

    pub(super) fn in_hole(&self, from: u64, to: u64) -> bool {
        self.holes.iter().any(|&(start, end)| start < to && from < end)
    }

    /// The same, of what is left of a prune up to there.
    pub(super) fn pruned(mut self, oldest: u64) -> Self {
        let oldest = oldest.max(self.oldest);
        let below = (oldest as usize).min(self.bytes.len());
        self.bytes[..below].fill(0);
        self.holes.retain(|&(_, end)| end > oldest);
        Self { oldest, ..self }
    }
}

/// The highest position that a time was noted for.
pub(super) fn highest_noted(log: &Path) -> anyhow::Result<u64> {
    let metadata = fs::read(metadata_of(log))?;
    let word =
        |at: usize| metadata.get(at..at + 8).map_or(0, |word| word.try_into().map_or(0, u64::from_ne_bytes));
    let max_writers = word(offset_of!(Header, tables.max_writers)) as u32;
    let uuid = [0, 8].map(|at| word(offset_of!(Header, identity.uuid) + at));
    let pair = |place: usize| {
        let at = ring_at(max_writers) + place * 32;
        Pair::of([0, 8, 16, 24].map(|field| word(at + field)), place, uuid)
    };
    Ok((0..TIME_LEVELS * LEVEL_PAIRS).filter_map(pair).map(|pair| pair.reserved).max().unwrap_or(0))
}
