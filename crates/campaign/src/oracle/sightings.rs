//! What followers saw while the log was written: for each block of positions a hash of its bytes and of which
//! positions were holes. All followers share one table, so that one that is killed leaves what it had seen; two
//! that differ are found at once, one that differs from the log at rest in the end.

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

use mmlog::{HoleKind, Next};

use super::content::Content;
use super::message::mix;
use super::words::Words;

const BLOCK: u64 = 4096;
/// Words before the blocks': how many blocks were seen differently by two, and the first of them + 1.
const DIFFERING: usize = 0;
const WHERE: usize = 1;
const FIRST: usize = 8;

pub(crate) struct Sightings(Words);

impl Sightings {
    /// For positions below `end`.
    pub(crate) fn create(path: &Path, end: u64) -> io::Result<Self> {
        Words::create(path, FIRST + end.div_ceil(BLOCK) as usize).map(Self)
    }

    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Words::open(path).map(Self)
    }

    fn saw(&self, block: u64, hash: u64) {
        let word = self.0.get(FIRST + block as usize);
        if let Err(before) = word.compare_exchange(0, hash, Ordering::Relaxed, Ordering::Relaxed)
            && before != hash
        {
            self.0.get(DIFFERING).fetch_add(1, Ordering::Relaxed);
            self.0.get(WHERE).store(block + 1, Ordering::Relaxed);
        }
    }

    /// How many blocks were seen; what is wrong goes to `violations`.
    pub(crate) fn compare(&self, content: &Content, violations: &mut Vec<String>) -> u64 {
        let differing = self.0.get(DIFFERING).load(Ordering::Relaxed);
        if differing > 0 {
            let at = (self.0.get(WHERE).load(Ordering::Relaxed) - 1) * BLOCK;
            violations.push(format!("{differing} blocks were read differently, one at {at}"));
        }
        let mut seen = 0;
        let mut compare =
            |block: u64, hash: u64| match self.0.get(FIRST + block as usize).load(Ordering::Relaxed) {
                0 => {}
                before => {
                    seen += 1;
                    if before != hash && violations.len() < 20 {
                        violations.push(format!(
                            "a follower read other bytes at {} than are there now",
                            block * BLOCK
                        ));
                    }
                }
            };
        let mut watcher = Watcher::new(content.base);
        let mut at = content.base;
        for hole in &content.holes {
            watcher.bytes(content.at(at, (hole.start - at) as usize), &mut compare);
            watcher.hole(hole.end - hole.start, &mut compare);
            at = hole.end;
        }
        watcher.bytes(content.at(at, (content.end() - at) as usize), &mut compare);
        seen
    }
}

/// One follower's eye.
pub(crate) struct Watcher {
    at: u64,
    /// Whether the block was seen from its start.
    whole: bool,
    block: Box<[u8; BLOCK as usize]>,
    /// Ranges of the block that are holes.
    holes: Vec<(u64, u64)>,
}

impl Watcher {
    pub(crate) fn new(at: u64) -> Self {
        let whole = at.is_multiple_of(BLOCK);
        Self { at, whole, block: Box::new([0; BLOCK as usize]), holes: Vec::new() }
    }

    /// Takes what a follower was given; an error when it is not what comes next.
    pub(crate) fn see(&mut self, next: &Next, buf: &[u8], sightings: &Sightings) -> anyhow::Result<()> {
        let mut saw = |block, hash| sightings.saw(block, hash);
        let (start, end) = match next {
            Next::Bytes(range) => (range.start, range.end),
            Next::Hole(hole) => (hole.start, hole.end()),
            _ => return Ok(()),
        };
        anyhow::ensure!(
            start == self.at && end > start,
            "at {}, a follower was given [{start}, {end})",
            self.at
        );
        match next {
            Next::Hole(hole) if hole.kind == HoleKind::Pruned => *self = Self::new(end),
            Next::Hole(hole) if hole.kind != HoleKind::Unplaced => self.hole(end - start, &mut saw),
            // Behind the end of the file now, NULs once it has grown over them.
            Next::Hole(_) => self.bytes(&vec![0; (end - start) as usize], &mut saw),
            _ => self.bytes(&buf[..(end - start) as usize], &mut saw),
        }
        Ok(())
    }

    fn bytes(&mut self, mut bytes: &[u8], saw: &mut impl FnMut(u64, u64)) {
        while !bytes.is_empty() {
            let (start, len) = self.room(bytes.len() as u64);
            let (now, rest) = bytes.split_at(len as usize);
            self.block[start as usize..][..now.len()].copy_from_slice(now);
            self.pass(len, saw);
            bytes = rest;
        }
    }

    fn hole(&mut self, mut left: u64, saw: &mut impl FnMut(u64, u64)) {
        while left > 0 {
            let (start, len) = self.room(left);
            self.block[start as usize..][..len as usize].fill(0);
            match self.holes.last_mut().filter(|(_, end)| *end == start) {
                Some((_, end)) => *end += len,
                None => self.holes.push((start, start + len)),
            }
            self.pass(len, saw);
            left -= len;
        }
    }

    /// Where in the block it is, and how many of `wanted` bytes fit.
    fn room(&self, wanted: u64) -> (u64, u64) {
        let start = self.at % BLOCK;
        (start, wanted.min(BLOCK - start))
    }

    fn pass(&mut self, len: u64, saw: &mut impl FnMut(u64, u64)) {
        self.at += len;
        if self.at.is_multiple_of(BLOCK) {
            if std::mem::replace(&mut self.whole, true) {
                saw(self.at / BLOCK - 1, self.hash());
            }
            self.holes.clear();
        }
    }

    /// Never 0.
    fn hash(&self) -> u64 {
        let words = self.block.chunks_exact(8).map(|w| u64::from_le_bytes(std::array::from_fn(|i| w[i])));
        let step = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let bytes = words.fold(1, step);
        mix(self.holes.iter().fold(bytes, |hash, &(start, end)| step(step(hash, !start), !end))) | 1
    }
}
