//! A segment becomes the log's bytes: its content, and a line for each range of it that has none.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::Path;

use mmlog::Compression;
use mmlog::crash::crash_point;

use super::Receiver;
use super::received::{Absent, Received};
use crate::segment::{Gap, decoded};
use crate::sinks::Stored;
use crate::trouble::{Trouble, failed};

/// How much is read at a time.
const SLICE: u64 = 256 << 10;

/// A segment that was fetched: its sum is what its header says.
#[derive(Debug)]
pub struct Fetched {
    /// Where it is, and what: without a payload.
    pub unit: Stored,
    /// As it lay in the sink.
    pub file: File,
    /// How it is compressed.
    pub compression: Option<Compression>,
    /// Ranges of it without content.
    pub gaps: Vec<Gap>,
}

/// A part of a segment, with its first position.
enum Part<'a> {
    Content(u64, &'a [u8]),
    Gap(Gap),
}

impl Fetched {
    /// Goes through its parts, until there is an answer.
    fn parts<T>(
        &self,
        mut part: impl FnMut(Part<'_>) -> Result<Option<T>, Trouble>,
    ) -> Result<Option<T>, Trouble> {
        let header = &self.unit.header;
        let unread = failed(Path::new("a segment"), "read what was fetched of");
        (&self.file).rewind().map_err(&unread)?;
        let mut bytes = decoded(self.compression, &self.file).map_err(&unread)?;
        let mut slice = vec![0; usize::try_from(SLICE.min(header.length())).unwrap_or(0)];
        let (mut at, mut gaps) = (header.from, self.gaps.iter().peekable());
        while at < header.to {
            let gap = gaps.next_if(|gap| gap.from <= at);
            let end = match gap {
                Some(gap) => gap.to,
                None => gaps.peek().map_or(header.to, |gap| gap.from),
            };
            while at < end {
                let piece = &mut slice[..usize::try_from((end - at).min(SLICE)).unwrap_or(0)];
                bytes.read_exact(piece).map_err(&unread)?;
                let answer = if gap.is_some() { None } else { part(Part::Content(at, piece))? };
                if answer.is_some() {
                    return Ok(answer);
                }
                at += piece.len() as u64;
            }
            if let Some(gap) = gap
                && let Some(answer) = part(Part::Gap(*gap))?
            {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    /// The first position at which it differs from what was received.
    pub(super) fn differs(&self, received: &Received) -> Result<Option<u64>, Trouble> {
        self.parts(|part| match part {
            Part::Content(at, bytes) => received.differs_from_unit(at, bytes),
            Part::Gap(gap) => Ok(received.content_within(gap.from, gap.to)),
        })
    }
}

impl Receiver<'_> {
    /// Writes what it has from there on.
    pub(super) fn segment(&mut self, segment: &Fetched, from: u64) -> Result<(), Trouble> {
        let written = segment.parts(|part| -> Result<Option<()>, Trouble> {
            match part {
                Part::Content(at, bytes) => {
                    let passed = usize::try_from(from.saturating_sub(at)).unwrap_or(usize::MAX);
                    self.write(&bytes[passed.min(bytes.len())..])?;
                    crash_point("receive:segment-in-part");
                }
                Part::Gap(gap) if gap.to > from => {
                    self.gap(Absent::Told(gap.why), gap.from.max(from), gap.to)?;
                }
                Part::Gap(_) => {}
            }
            Ok(None)
        });
        written.map(drop)
    }
}
