//! Images of a recorded disk after a power cut: everything up to the last flush, and any part of what was written
//! later. A disk may have kept each of those writes or not, whatever their order, and a write that was under way may
//! have arrived in part.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::recorder::Record;
use crate::disks::reflink;
use crate::random::Random;

/// How a write that was not flushed may arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Grain {
    /// All of it or nothing.
    Whole,
    /// Any of its parts of so many bytes.
    Torn(usize),
}

/// Makes cut images in order of time.
pub(super) struct Cutter<'a> {
    records: &'a [Record],
    /// An image with all records below `flushed`.
    durable: PathBuf,
    file: File,
    flushed: usize,
}

impl<'a> Cutter<'a> {
    /// `durable` is the disk as it was before the first record; it changes.
    pub(super) fn new(records: &'a [Record], durable: PathBuf) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(&durable)?;
        Ok(Self { records, durable, file, flushed: 0 })
    }

    /// The image, at `to`, of a cut after the first `time` records; not before the last one's. Says how many writes
    /// were kept and dropped.
    pub(super) fn cut(
        &mut self,
        time: usize,
        grain: Grain,
        random: &mut Random,
        to: &Path,
    ) -> anyhow::Result<(u64, u64)> {
        let last = self.records[..time].iter().rposition(|r| *r == Record::Flush).unwrap_or(0);
        for record in &self.records[self.flushed..last] {
            record.apply(&self.file)?;
        }
        self.flushed = last;
        reflink(&self.durable, to)?;
        let image = File::options().write(true).open(to)?;
        // Sometimes most arrives, sometimes little.
        let percent = 5 + random.below(91);
        let (mut kept, mut dropped) = (0, 0);
        for record in &self.records[last..time] {
            for part in parts(record, grain) {
                if random.below(100) < percent {
                    part.apply(&image)?;
                    kept += 1;
                } else {
                    dropped += 1;
                }
            }
        }
        Ok((kept, dropped))
    }
}

fn parts(record: &Record, grain: Grain) -> Vec<Record> {
    match (record, grain) {
        (Record::Flush, _) => Vec::new(),
        (Record::Write { at, bytes }, Grain::Torn(size)) => bytes
            .chunks(size)
            .enumerate()
            .map(|(i, part)| Record::Write { at: at + (i * size) as u64, bytes: part.to_vec() })
            .collect(),
        (whole, _) => vec![whole.clone()],
    }
}
