//! What a log must hold: who appended what, and what became of it. A reading of the log is held against it, every
//! position of it.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, bail, ensure};
use mmlog::{Follower, HoleKind, Next};

use crate::random::Random;

/// What a killed process had come to with its append, from the words that it left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Left {
    /// Nothing was reserved.
    Nothing,
    /// It was settled: as good as acknowledged.
    Whole,
    /// Its place is known: an exact hole there.
    Hole(u64),
    /// Its place is not known (killed between reserving and saying where): NULs, once, somewhere.
    Nuls,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// Its append returned this position.
    Acknowledged(u64),
    /// Its append returned an error: no byte of it may be read. A hole may be there.
    Failed,
    /// Its process was killed.
    Killed(Left),
}

struct Entry {
    id: u64,
    len: u64,
    fate: Fate,
}

/// All appends to one log.
#[derive(Default)]
pub(crate) struct Ledger {
    next_id: u64,
    entries: Vec<Entry>,
}

/// The bytes of a message: random, never NUL.
pub(crate) fn message(id: u64, len: u64) -> Vec<u8> {
    let mut random = Random::new(id);
    (0..len).map(|_| random.below(255) as u8 + 1).collect()
}

impl Ledger {
    /// Numbers for that many messages.
    pub(crate) fn ids(&mut self, count: u64) -> u64 {
        self.next_id += count;
        self.next_id - count
    }

    pub(crate) fn note(&mut self, id: u64, len: u64, fate: Fate) {
        self.entries.push(Entry { id, len, fate });
    }

    /// The last message met another fate.
    pub(crate) fn revise_last(&mut self, fate: Fate) {
        if let Some(last) = self.entries.last_mut() {
            last.fate = fate;
        }
    }

    /// Everything is gone.
    pub(crate) fn forget_all(&mut self) {
        self.entries.clear();
    }

    /// The first message that was acknowledged: its position and bytes.
    pub(crate) fn first_acknowledged(&self) -> anyhow::Result<(u64, Vec<u8>)> {
        let first = self.entries.iter().find_map(|e| match e.fate {
            Fate::Acknowledged(at) => Some((at, message(e.id, e.len))),
            _ => None,
        });
        first.context("nothing was acknowledged")
    }

    /// Every position of the reading below `end` is accounted for: each message that must be there is, once, whole, at its
    /// place; nothing else is.
    pub(crate) fn verify(&self, reading: &Reading, end: u64) -> anyhow::Result<()> {
        ensure!(reading.end() == end, "a reader comes to {} of {end} positions", reading.end());
        let is_read = |entry: &&Entry| entry.place().is_none_or(|at| at >= reading.base);
        let mut open: Vec<&Entry> = self.entries.iter().filter(is_read).collect();
        // Of two runs of NULs side by side, the longer one first: then the other one is left over, whole.
        open.sort_by_key(|entry| Reverse(entry.len));
        let mut at = reading.base;
        while at < end {
            let found = open.iter().position(|entry| reading.shows(entry, at));
            let Some(index) = found else {
                bail!("position {at} of {end}: {} there; expected one of {open:?}", reading.describe(at));
            };
            at += open.remove(index).len;
        }
        open.retain(|entry| !matches!(entry.fate, Fate::Failed | Fate::Killed(Left::Nothing)));
        ensure!(open.is_empty(), "not in the log, or at another position: {open:?}");
        Ok(())
    }
}

impl Entry {
    /// Where it is, where that is known.
    fn place(&self) -> Option<u64> {
        match self.fate {
            Fate::Acknowledged(at) | Fate::Killed(Left::Hole(at)) => Some(at),
            Fate::Failed | Fate::Killed(_) => None,
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {} of {} bytes, {:?}", self.id, self.len, self.fate)
    }
}

/// What a follower was given: bytes, and NULs where it was told of a hole.
#[derive(Default)]
pub(crate) struct Reading {
    pub(crate) base: u64,
    pub(crate) bytes: Vec<u8>,
    holes: BTreeMap<u64, (u64, HoleKind)>,
}

impl Reading {
    /// Nothing yet, of a log whose first position is `base`.
    pub(crate) fn from(base: u64) -> Self {
        Self { base, ..Self::default() }
    }

    /// Reads on until the follower has caught up.
    pub(crate) fn go_on(&mut self, follower: &mut Follower) -> anyhow::Result<()> {
        let mut buf = [0; 8192];
        loop {
            let (start, end) = match follower.next(&mut buf)? {
                Next::Bytes(range) => {
                    self.bytes.extend_from_slice(&buf[..(range.end - range.start) as usize]);
                    (range.start, range.end)
                }
                // What was read before does not matter any more: it ends where the next begins.
                Next::Hole(hole) if hole.kind == HoleKind::Pruned => {
                    ensure!(self.end() == hole.start, "a reader at {} was told of {hole:?}", self.end());
                    *self = Self::from(hole.end());
                    continue;
                }
                Next::Hole(hole) => {
                    self.holes.insert(hole.start, (hole.len, hole.kind));
                    self.bytes.resize((hole.end() - self.base) as usize, 0);
                    (hole.start, hole.end())
                }
                Next::CaughtUp => return Ok(()),
                // It goes on in the next segment.
                _ => continue,
            };
            ensure!(self.end() == end, "a reader was given [{start}, {end}) out of turn");
        }
    }

    pub(crate) fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// Bytes that read as NULs, and are in no exact hole.
    pub(crate) fn nuls(&self) -> u64 {
        let noted = |kind| ![HoleKind::Unplaced, HoleKind::Gone].contains(&kind);
        let exact = self.holes.values().filter(|(_, kind)| noted(*kind));
        let holes: u64 = exact.map(|(len, _)| len).sum();
        self.bytes.iter().filter(|&&b| b == 0).count() as u64 - holes
    }

    fn range(&self, at: u64, len: u64) -> Option<&[u8]> {
        self.bytes.get((at - self.base) as usize..(at + len - self.base) as usize)
    }

    /// Whether the log may have that append at that position.
    fn shows(&self, entry: &Entry, at: u64) -> bool {
        let len = entry.len;
        let hole = self.holes.get(&at);
        let is_hole = || hole.is_some_and(|&(found, kind)| found == len && kind != HoleKind::Unplaced);
        let is_message =
            || hole.is_none() && self.range(at, len).is_some_and(|found| found == message(entry.id, len));
        match entry.fate {
            Fate::Acknowledged(place) => place == at && is_message(),
            Fate::Failed => is_hole(),
            Fate::Killed(Left::Nothing) => false,
            Fate::Killed(Left::Whole) => is_message(),
            Fate::Killed(Left::Hole(place)) => place == at && is_hole(),
            // The file may end within it: NULs, then what was behind the end, which whoever grew over it has noted. Of a
            // final segment pages without a block are a gap.
            Fate::Killed(Left::Nuls) => {
                let nuls = self.range(at, len).is_some_and(|found| found.iter().all(|&b| b == 0));
                let mut holes = self.holes.range(at..at + len);
                let behind = [HoleKind::Unplaced, HoleKind::Unwritten, HoleKind::Gone];
                nuls && holes
                    .all(|(start, (len_of, kind))| behind.contains(kind) && start + len_of <= at + len)
            }
        }
    }

    fn describe(&self, at: u64) -> String {
        match self.holes.get(&at) {
            Some((len, kind)) => format!("a hole of {len} ({kind})"),
            None => {
                let rest = &self.bytes[(at - self.base) as usize..];
                let nuls = rest.iter().take_while(|&&b| b == 0).count();
                format!("{nuls} NULs, then {:02x?}", &rest[nuls..(nuls + 8).min(rest.len())])
            }
        }
    }
}
