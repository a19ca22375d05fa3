//! The bytes of old segments: whether they can be read, what the compressed ones' recorded sums say, and NULs that no hole
//! explains.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;

use super::{Deep, Violation, go_on};
use crate::codec;
use crate::error::Fault;
use crate::files::Files;
use crate::holes::Hole;
use crate::status::FindingId;
use crate::status::flaws::{Peeks, SegmentFlaw, Survey, survey};
use crate::sync::Ordering;
use crate::sys::fs::{self, PAGE};
use crate::sys::place::Access;

const READ_AT_A_TIME: usize = 1 << 20;

pub(super) fn check(files: &Files, known: &[Hole], found: &mut Deep) -> Result<(), Fault> {
    let current = files.current_segment()?;
    let (finals, flaws) = survey(files, &current, &mut Peeks::default());
    for flaw in flaws.iter().filter(|flaw| flaw.id == FindingId::SegmentUnreadable) {
        let said = described(flaw);
        if !found.unseen.contains(&said) {
            found.unseen.push(said);
        }
    }
    let kept = files.first_kept();
    for segment in finals.iter().filter(|s| s.flaw.is_none() && s.end > kept) {
        // Of a binary log there may be as many NULs as bytes.
        let in_it = |h: &&Hole| h.end() > segment.name.says.base && h.start < segment.end;
        let known: Vec<&Hole> = known.iter().filter(in_it).collect();
        let mut look = Look { files, known, kept, segment, nuls: 0, first: None, read: 0 };
        let problem = look.at_bytes();
        // Pruned, compressed or moved meanwhile: what was read of it counts, what went does not.
        let is_there = segment.name.find().map_or(true, |now| {
            now.map(|now| (now.id, now.len)) == segment.stat.map(|stat| (stat.id, stat.len))
        });
        found.read += look.read;
        found.nuls += look.nuls;
        go_on(files, found.read)?;
        let path = segment.name.path();
        match problem.filter(|_| is_there && segment.end > files.first_kept()) {
            Some(Problem::Unseen(why)) => found.unseen.push(format!("{}: {why}", path.display())),
            Some(Problem::Wrong(what)) => {
                let said = format!("{}: {what}", path.display());
                found.violations.push(Violation { invariant: "final-segment", found: said });
            }
            None => {}
        }
        if let Some(first) = look.first {
            let nuls = look.nuls;
            found.facts.push(format!(
                "{}: {nuls} NULs that no hole explains, the first at {first}; in a text log they are damage",
                path.display()
            ));
        }
    }
    Ok(())
}

/// What is wrong with an old segment, in one line.
pub(super) fn described(flaw: &SegmentFlaw) -> String {
    let (path, Range { start, end }) = (flaw.path.display(), &flaw.positions);
    format!("{path}: {}; positions [{start}, {end})", flaw.problem)
}

/// Why a segment is not known to be right.
enum Problem {
    Wrong(String),
    /// It could not be looked at.
    Unseen(String),
}

struct Look<'a> {
    files: &'a Files,
    known: Vec<&'a Hole>,
    kept: u64,
    segment: &'a Survey,
    nuls: u64,
    first: Option<u64>,
    read: u64,
}

impl Look<'_> {
    /// What is wrong with them, if something is.
    fn at_bytes(&mut self) -> Option<Problem> {
        match self.read_all() {
            Ok(problem) => problem.map(Problem::Wrong),
            // Damage of a compressed one has no errno, and no byte of it is sure.
            Err(e) => {
                let (base, end) = (self.segment.name.says.base, self.segment.end);
                let is_plain = self.segment.name.says.compression.is_none();
                let from = if is_plain { (base + self.read).min(end) } else { base.max(self.kept) };
                let what = format!("it cannot be read: {e}; positions [{from}, {end})");
                Some(if e.raw_os_error().is_some() { Problem::Unseen(what) } else { Problem::Wrong(what) })
            }
        }
    }

    fn read_all(&mut self) -> io::Result<Option<String>> {
        let says = &self.segment.name.says;
        let file = match self.segment.name.open(Access::Read) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(None),
            Err(Fault::Io { source, .. }) => return Err(source),
            Err(e) => return Ok(Some(format!("it could not be opened: {e}"))),
        };
        let end = self.segment.end;
        let range = |from: u64| format!("positions [{from}, {end})");
        let read = match says.compression {
            None => {
                if let Some(gap) = self.never_written(&file)? {
                    return Ok(Some(format!(
                        "positions [{}, {}) were never written: blocks of it were lost, or it was cut and made longer",
                        gap.start, gap.end
                    )));
                }
                let mut file = file;
                file.rewind().and_then(|()| self.all(file.take(end - says.base)))
            }
            Some(compression) => codec::decoder(compression, file).and_then(|decoder| self.all(decoder)),
        };
        let has = says.base + self.read;
        Ok(match read {
            Err(e) if e.kind() == io::ErrorKind::Unsupported => {
                Some("it is compressed, and this build does not decompress".into())
            }
            Err(e) => return Err(e),
            Ok(()) if has < end => Some(format!("it ends at position {has}; {}", range(has))),
            Ok(()) if has > end => {
                Some(format!("it holds bytes up to {has}, beyond its end {end}; {}", range(says.base)))
            }
            Ok(()) => None,
        })
    }

    fn all(&mut self, mut from: impl Read) -> io::Result<()> {
        let mut buf = vec![0; READ_AT_A_TIME];
        loop {
            match from.read(&mut buf) {
                // What it says then is not asked for any more.
                _ if self.files.waits().is_raised() => return Ok(()),
                Ok(0) => return Ok(()),
                Ok(n) => {
                    let at = self.segment.name.says.base + self.read;
                    self.count(at, &buf[..n]);
                    self.read += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn count(&mut self, at: u64, bytes: &[u8]) {
        if !bytes.contains(&0) {
            return;
        }
        for (position, _) in (at..).zip(bytes).filter(|(_, byte)| **byte == 0) {
            let explained = self.known.iter().any(|h| h.start <= position && position < h.end());
            if position >= self.kept && !explained {
                self.nuls += 1;
                self.first = self.first.or(Some(position));
            }
        }
    }

    /// Whole pages that no writer has stored to, that no hole explains, and that have no block. Where a power cut came
    /// before the bytes, allocated blocks are there, and read as NULs.
    fn never_written(&self, file: &File) -> io::Result<Option<Range<u64>>> {
        let counts = &self.files.meta.header().hole_counts;
        if counts.unplaced.load(Ordering::Relaxed) + counts.forgotten.load(Ordering::Relaxed) > 0 {
            return Ok(None);
        }
        let base = self.segment.name.says.base;
        let stat = file.metadata()?;
        let has_no_block = |gap: &Range<u64>| {
            stat.blocks() * 512 + (gap.end - gap.start) <= stat.len().next_multiple_of(PAGE)
        };
        let within = base.max(self.kept) - base..self.segment.end - base;
        let gaps = fs::unwritten_pages(file, &within)?;
        let gaps = gaps.into_iter().filter(has_no_block);
        let mut gaps = gaps.map(|gap| base + gap.start..base + gap.end);
        Ok(gaps.find(|gap| !self.is_explained(gap.clone())))
    }

    /// Whether holes cover all of it.
    fn is_explained(&self, mut gap: Range<u64>) -> bool {
        while let Some(hole) = self.known.iter().find(|h| h.start <= gap.start && gap.start < h.end()) {
            gap.start = hole.end();
        }
        gap.is_empty()
    }
}
