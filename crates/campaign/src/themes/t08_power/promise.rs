//! What a cut must have kept: the syncs that had returned by then.

use std::collections::BTreeMap;
use std::path::Path;

use super::notes::{Note, Stage, WriterNotes};

/// One life of a disk, from power-on to a cut.
struct Life {
    stage: Stage,
    time: u64,
    writers: Vec<WriterNotes>,
}

impl Life {
    /// With `watermarks`, as if every watermark had been synced: the control.
    fn synced(&self, watermarks: bool) -> u64 {
        let below = |(noted, note): &(u64, Note)| match note {
            _ if *noted > self.time => None,
            Note::Synced { below } => Some(*below),
            Note::Watermark { at } if watermarks => Some(*at),
            _ => None,
        };
        self.writers.iter().flat_map(|w| &w.notes).filter_map(below).max().unwrap_or(0)
    }

    /// Position, writer, number of each message that was promised.
    fn kept(&self, synced: u64) -> impl Iterator<Item = (u64, u64, u64)> {
        self.writers.iter().flat_map(move |WriterNotes { writer, notes }| {
            let own = notes.iter().rposition(|(noted, note)| *noted <= self.time && *note == Note::SyncedOwn);
            notes.iter().enumerate().filter_map(move |(index, (noted, note))| match *note {
                Note::Appended { at, number } | Note::Durable { at, number }
                    if at < synced || own.is_some_and(|own| index < own) =>
                {
                    Some((at, *writer, number))
                }
                Note::Durable { at, number } if *noted <= self.time => Some((at, *writer, number)),
                _ => None,
            })
        })
    }

    /// The first position that a writer was given.
    fn begins(&self) -> Option<u64> {
        let notes = self.writers.iter().flat_map(|writer| &writer.notes);
        notes
            .filter_map(|(_, note)| match note {
                Note::Appended { at, .. } | Note::Durable { at, .. } => Some(*at),
                _ => None,
            })
            .min()
    }

    /// What the writers had in hand when they noted nothing more: each may be in the log, whole.
    fn unnoted(&self) -> impl Iterator<Item = Vec<u8>> {
        self.writers.iter().map(|w| {
            let noted = w.notes.iter().rev().find_map(|(_, note)| match note {
                Note::Appended { number, .. } | Note::Durable { number, .. } => Some(number + 1),
                _ => None,
            });
            self.stage.message(w.writer, noted.unwrap_or(0))
        })
    }
}

/// What all lives of a disk have promised.
#[derive(Default)]
pub(super) struct Promise {
    /// Below it everything is durable.
    pub(super) synced: u64,
    /// The messages that are, by position.
    pub(super) kept: BTreeMap<u64, Vec<u8>>,
    /// Messages that may be there as well.
    pub(super) unnoted: Vec<Vec<u8>>,
    /// Positions that an earlier cut left with whatever had reached the disk.
    pub(super) doubtful: Vec<(u64, u64)>,
    /// The names of the log that somebody saw.
    pub(super) opened: Vec<Note>,
}

impl Promise {
    /// `lives`: the stage and the time of the cut of each, oldest first.
    pub(super) fn of(lives: &[(&Path, u64)], watermarks: bool) -> anyhow::Result<Self> {
        let mut promise = Self::default();
        for &(directory, time) in lives {
            let stage = Stage::open(directory)?;
            let life = Life { time, writers: stage.read()?, stage };
            if let Some(begins) = life.begins() {
                promise.doubtful.push((promise.synced, begins));
            }
            let synced = life.synced(watermarks);
            for (at, writer, number) in life.kept(synced) {
                promise.kept.insert(at, life.stage.message(writer, number));
            }
            promise.unnoted.extend(life.unnoted());
            promise.synced = promise.synced.max(synced);
            let opened = |(noted, note): &&(u64, Note)| *noted <= time && matches!(note, Note::Opened { .. });
            let notes = life.writers.iter().flat_map(|writer| &writer.notes);
            promise.opened.extend(notes.filter(opened).map(|(_, note)| *note));
        }
        Ok(promise)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.synced == 0 && self.kept.is_empty()
    }
}
