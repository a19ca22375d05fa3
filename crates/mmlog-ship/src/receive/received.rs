//! What was received, read again: bytes by their positions, and ranges without any.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::state::Chain;
use crate::trouble::{Trouble, failed};
use crate::unit::{Kind, Why};

/// Why a range has no bytes here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// A unit says so.
    Told(Why),
    /// Its units were gone from the sink before they were received.
    Gone,
    /// The chain begins behind it.
    Before,
}

impl Absent {
    /// As it is written down.
    pub(super) fn name(self) -> &'static str {
        match self {
            Absent::Told(why) => Kind::Gap(why).name(),
            Absent::Gone => "gone",
            Absent::Before => "before",
        }
    }

    /// To people.
    pub(super) fn words(self, file: &str, from: u64, to: u64) -> String {
        match self {
            Absent::Told(why) => {
                format!("{file}: bytes {from} to {to} have no content: {}", Kind::Gap(why).name())
            }
            Absent::Gone => {
                format!("{file}: bytes {from} to {to} have no content: their units are gone from the sink")
            }
            Absent::Before => format!("{file}: it begins at position {to}: nothing before it was shipped"),
        }
    }
}

/// A range without content.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gap {
    pub(super) from: u64,
    pub(super) to: u64,
    /// Whether a unit says that there is none: otherwise the log may have what is not here.
    pub(super) is_told: bool,
}

/// The files of a chain.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) path: PathBuf,
    file: File,
    base: u64,
    pub(super) to: u64,
    gaps: Vec<Gap>,
}

impl Received {
    pub(super) fn open(into: &Path, chain: &Chain) -> Result<Received, Trouble> {
        let path = into.join(format!("{}.log", chain.file));
        let file = File::open(&path).map_err(failed(&path, "open"))?;
        let gaps = gaps(&into.join(format!("{}.gaps", chain.file)), chain.gaps)?;
        Ok(Received { path, file, base: chain.base, to: chain.to, gaps })
    }

    /// The gap that has that position, or the next one behind it.
    pub(super) fn gap(&self, at: u64) -> Option<Gap> {
        self.gaps.iter().find(|gap| gap.to > at).copied()
    }

    /// The first position at which these bytes differ. They lie where there is no gap.
    pub(super) fn differs(&self, at: u64, bytes: &[u8]) -> Result<Option<u64>, Trouble> {
        let before: u64 = self.gaps.iter().filter(|gap| gap.to <= at).map(|gap| gap.to - gap.from).sum();
        let mut ours = vec![0; bytes.len()];
        self.file.read_exact_at(&mut ours, at - self.base - before).map_err(failed(&self.path, "read"))?;
        Ok(ours.iter().zip(bytes).position(|(ours, theirs)| ours != theirs).map(|i| at + i as u64))
    }

    /// The same of a unit's bytes, from `from` on, as far as that was received. What was gone from the sink then is not here.
    pub(super) fn differs_from_unit(&self, from: u64, bytes: &[u8]) -> Result<Option<u64>, Trouble> {
        let mut at = from.max(self.base);
        let end = (from + bytes.len() as u64).min(self.to);
        while at < end {
            let gap = self.gap(at);
            if let Some(gap) = gap.filter(|gap| gap.from <= at) {
                if gap.is_told {
                    return Ok(Some(at));
                }
                at = gap.to;
                continue;
            }
            let stop = gap.map_or(end, |gap| gap.from.min(end));
            let part = &bytes[(at - from) as usize..(stop - from) as usize];
            if let Some(other) = self.differs(at, part)? {
                return Ok(Some(other));
            }
            at = stop;
        }
        Ok(None)
    }

    /// The first position of a range that is said to have no bytes, and has some.
    pub(super) fn content_within(&self, from: u64, to: u64) -> Option<u64> {
        let (mut at, end) = (from.max(self.base), to.min(self.to));
        while at < end {
            match self.gap(at).filter(|gap| gap.from <= at) {
                Some(gap) => at = gap.to,
                None => return Some(at),
            }
        }
        None
    }
}

fn gaps(path: &Path, length: u64) -> Result<Vec<Gap>, Trouble> {
    let text = fs::read_to_string(path).map_err(failed(path, "read"))?;
    let text = text.get(..usize::try_from(length).unwrap_or(usize::MAX)).unwrap_or(&text);
    let gap = |line: &str| {
        let mut words = line.split(' ');
        let (from, to) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let is_told = words.next().is_some_and(|kind| !["gone", "before"].contains(&kind));
        Some(Gap { from, to, is_told })
    };
    Ok(text.lines().filter_map(gap).collect())
}
