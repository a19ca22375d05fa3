//! What writers note outside the disk that loses its power: each append, each sync that returned, and when.
//!
//! Time is a clock in shared memory that cuts are ordered by. A sync that returned is noted with the time read after
//! it; a cut at that time or later must have it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use mmlog::Log;

use crate::oracle::Words;
use crate::random::Random;

/// Words that all processes of a round share.
#[derive(Clone, Copy)]
pub(super) enum Word {
    /// Ticks with each record of the logged disk, or before each snapshot.
    Clock,
    /// Messages that may be appended by now.
    Permits,
    /// Permits that were taken.
    Taken,
    /// Messages after which writers end.
    End,
    /// Not 0: messages have no NULs.
    Text,
}

/// The directory, in memory, where a round's notes lie.
pub(super) struct Stage {
    directory: PathBuf,
    words: Words,
}

impl Stage {
    pub(super) fn create(directory: &Path) -> io::Result<Self> {
        let words = Words::create(&directory.join("words"), 5)?;
        Ok(Self { directory: directory.to_path_buf(), words })
    }

    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        Ok(Self { directory: directory.to_path_buf(), words: Words::open(&directory.join("words"))? })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn get(&self, word: Word) -> u64 {
        self.words.get(word as usize).load(Ordering::SeqCst)
    }

    pub(super) fn set(&self, word: Word, value: u64) {
        self.words.get(word as usize).store(value, Ordering::SeqCst);
    }

    pub(super) fn raise(&self, word: Word, by: u64) -> u64 {
        self.words.get(word as usize).fetch_add(by, Ordering::SeqCst)
    }

    /// Message `number` of that writer; nobody has to remember it.
    pub(super) fn message(&self, writer: u64, number: u64) -> Vec<u8> {
        message(writer, number, self.get(Word::Text) != 0)
    }

    pub(super) fn notebook(&self, writer: u64) -> io::Result<Notebook> {
        Ok(Notebook(File::options().append(true).create_new(true).open(self.notes(writer))?))
    }

    fn notes(&self, writer: u64) -> PathBuf {
        self.directory.join(format!("notes-{writer}"))
    }

    /// All notes of all writers.
    pub(super) fn read(&self) -> io::Result<Vec<WriterNotes>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let writer =
                path.file_name().and_then(|name| name.to_str()?.strip_prefix("notes-")?.parse().ok());
            if let Some(writer) = writer {
                all.push(WriterNotes { writer, notes: Note::parse(&fs::read(&path)?) });
            }
        }
        Ok(all)
    }
}

pub(super) struct WriterNotes {
    pub(super) writer: u64,
    pub(super) notes: Vec<(u64, Note)>,
}

/// One writer's notes; each is one `write`, so that a kill leaves only whole ones.
pub(super) struct Notebook(File);

impl Notebook {
    pub(super) fn note(&mut self, time: u64, note: Note) -> io::Result<()> {
        let fields = match note {
            Note::Appended { at, number } => [0, time, at, number],
            Note::Synced { below } => [1, time, below, 0],
            Note::SyncedOwn => [2, time, 0, 0],
            Note::Watermark { at } => [3, time, at, 0],
            Note::Durable { at, number } => [4, time, at, number],
            Note::Opened { uuid, epoch } => [5, time, uuid, epoch],
        };
        self.0.write_all(fields.map(u64::to_ne_bytes).as_flattened())
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Note {
    /// `append` returned this position for the writer's message of that number.
    Appended { at: u64, number: u64 },
    /// `Log::sync` returned this position.
    Synced { below: u64 },
    /// `Writer::sync` returned.
    SyncedOwn,
    /// `append_durable` returned this position.
    Durable { at: u64, number: u64 },
    /// The log had this name, to which positions belong: half of its uuid, and its epoch.
    Opened { uuid: u64, epoch: u64 },
    /// The watermark was there, and nothing was synced. For the control.
    Watermark { at: u64 },
}

impl Note {
    /// What somebody sees who has opened the log.
    pub(super) fn opened(log: &Log) -> mmlog::Result<Self> {
        let id = log.status()?.id;
        let uuid = id.uuid.first_chunk().map_or(0, |half| u64::from_ne_bytes(*half));
        Ok(Self::Opened { uuid, epoch: id.epoch })
    }

    fn parse(bytes: &[u8]) -> Vec<(u64, Self)> {
        let word = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_ne_bytes);
        let note = |record: &[u8]| {
            let fields: Vec<u64> = record.chunks_exact(8).map(word).collect();
            let note = match fields[0] {
                0 => Self::Appended { at: fields[2], number: fields[3] },
                1 => Self::Synced { below: fields[2] },
                2 => Self::SyncedOwn,
                3 => Self::Watermark { at: fields[2] },
                4 => Self::Durable { at: fields[2], number: fields[3] },
                _ => Self::Opened { uuid: fields[2], epoch: fields[3] },
            };
            (fields[1], note)
        };
        bytes.chunks_exact(32).map(note).collect()
    }
}

fn message(writer: u64, number: u64, text: bool) -> Vec<u8> {
    let mut random = Random::new(writer << 32 ^ number);
    let len = match random.below(100) {
        0..30 => 1 + random.below(60),
        30..85 => 60 + random.below(1500),
        85..97 => 3000 + random.below(6000),
        97..99 => 16_000 + random.below(9000),
        _ => 60_000 + random.below(80_000),
    } as usize;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&random.next().to_ne_bytes());
    }
    bytes.truncate(len);
    // What begins with a NUL could not be told from a hole.
    bytes[0] |= 1;
    if text {
        bytes.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b' ');
    } else if len > 8 && random.below(8) == 0 {
        // Behind content that ends in NULs, only the checkpoint says where the log ends.
        let nuls = 1 + random.below(len as u64 - 8) as usize;
        bytes[len - nuls..].fill(0);
    }
    bytes
}
