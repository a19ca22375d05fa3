//! The log as final segments, for a sink that takes those: what is read is a segment from its first byte, or a gap where none is.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use mmlog::{Fault, HoleKind, Log, Next, Position, Rotation, SegmentStatus};
use nix::libc;

use super::Source;
use crate::decide::{Ask, Compared};
use crate::machine::Piece;
use crate::segment::{Gap, Segment, decoded, summed};
use crate::trouble::{Trouble, failed, shown};
use crate::unit::Why;

/// How often a segment is looked for anew that was compressed or moved meanwhile.
const LOOKS: u32 = 5;
/// How often it is looked whether the log is to be rotated.
const OFTEN: Duration = Duration::from_secs(1);

/// The final segments, as they were when one was added last.
pub(crate) struct Segments {
    rotate_after: Option<Duration>,
    stop: Arc<AtomicBool>,
    finals: Vec<SegmentStatus>,
    /// The current segment: its number, and its first position.
    generation: u64,
    base: u64,
    /// Not all that is final is durable.
    is_behind: bool,
    asked: Option<Instant>,
    /// What the last piece is.
    current: Option<Segment>,
}

impl Segments {
    fn look(&mut self, log: &Log) -> Result<(), Trouble> {
        let mut segments = log.status()?.segments;
        let Some(current) = segments.pop() else { return Ok(()) };
        (self.generation, self.base, self.finals) = (current.generation, current.base, segments);
        Ok(())
    }

    /// Up to where segments are durable, the last of them as a whole.
    fn durable(&mut self, synced: u64) -> u64 {
        let bounds = self.finals.iter().map(|segment| segment.base).chain([self.base]);
        self.is_behind = self.base > synced;
        bounds.filter(|bound| *bound <= synced).max().unwrap_or(synced)
    }

    /// Where the first segment begins that is kept as a whole.
    pub(super) fn oldest(&self, oldest: u64) -> u64 {
        let bounds = self.finals.iter().map(|segment| segment.base).chain([self.base]);
        bounds.filter(|bound| *bound >= oldest).min().unwrap_or(oldest)
    }
}

impl Source {
    /// Has it read as segments. A log with something that is not final is rotated where its segment began so long ago.
    ///
    /// # Errors
    /// When the log cannot be asked.
    pub(crate) fn by_segments(
        &mut self,
        rotate_after: Option<Duration>,
        stop: &Arc<AtomicBool>,
    ) -> Result<(), Trouble> {
        let mut segments = Segments {
            rotate_after,
            stop: Arc::clone(stop),
            finals: Vec::new(),
            generation: 0,
            base: 0,
            is_behind: false,
            asked: None,
            current: None,
        };
        segments.look(&self.log)?;
        self.segments = Some(segments);
        self.rotate_in_time()
    }

    /// As they are for another log that is at the path now.
    pub(super) fn taken_over(&mut self, from: Option<Segments>) -> Result<(), Trouble> {
        match from {
            Some(from) => self.by_segments(from.rotate_after, &from.stop),
            None => Ok(()),
        }
    }

    /// What is durable of segments, where that is what is read.
    pub(super) fn in_segments(&mut self, synced: u64) -> Result<u64, Trouble> {
        let Some(segments) = &mut self.segments else { return Ok(synced) };
        // Before it: what was rotated since is not durable by what was synced before.
        if segments.generation != self.log.generation() {
            segments.look(&self.log)?;
        }
        Ok(segments.durable(synced))
    }

    /// What is not final yet, which is not shipped: its first position, and that behind the last.
    pub(crate) fn open_range(&self) -> Option<(u64, u64)> {
        let segments = self.segments.as_ref()?;
        let end = self.log.cursor().ok()?.get();
        (end > segments.base).then_some((segments.base, end))
    }

    fn rotate_in_time(&mut self) -> Result<(), Trouble> {
        let Some(segments) = &mut self.segments else { return Ok(()) };
        let Some(age) = segments.rotate_after else { return Ok(()) };
        if segments.asked.is_some_and(|asked| asked.elapsed() < OFTEN) || !self.log.is_current() {
            return Ok(());
        }
        segments.asked = Some(Instant::now());
        match self.log.rotate(&Rotation::default().if_age(age)) {
            Err(e) if !matches!(e.fault(), Fault::Busy(_) | Fault::Stalled { .. }) => Err(e.into()),
            _ => Ok(()),
        }
    }

    /// As [`wait`](Self::wait), for a segment.
    pub(super) fn wait_for_segment(&mut self, longest: Duration) -> Result<bool, Trouble> {
        self.rotate_in_time()?;
        let before = self.durable;
        let is_due = self
            .segments
            .as_ref()
            .is_some_and(|segments| segments.is_behind || segments.generation != self.log.generation());
        if is_due && self.sync()? > before {
            return Ok(true);
        }
        std::thread::sleep(longest);
        Ok(false)
    }

    /// The segment that begins there, or the gap.
    pub(super) fn read_segment(&mut self, from: u64) -> Result<Piece, Trouble> {
        for look in 0..LOOKS {
            let Some(segments) = &mut self.segments else { return Ok(Piece::End) };
            if look > 0 {
                segments.look(&self.log)?;
            }
            let Some(at) = segments.finals.iter().position(|segment| segment.base == from) else { continue };
            let behind = segments.finals.get(at + 1).map_or(segments.base, |next| next.base);
            let Some(piece) = self.segment(at, behind)? else { continue };
            return Ok(piece);
        }
        self.gap_of_segments(from)
    }

    /// Opens one, and reads it through; nothing where it is not there any more.
    fn segment(&mut self, at: usize, behind: u64) -> Result<Option<Piece>, Trouble> {
        let Some(segments) = &mut self.segments else { return Ok(None) };
        let SegmentStatus { base, compression, path, .. } = &segments.finals[at];
        let (base, compression, path) = (*base, *compression, path.clone());
        let file = match OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(failed(&path, "open"))?,
        };
        // Compressed or moved, it is another file than was synced.
        file.sync_data().map_err(failed(&path, "sync"))?;
        let stored = file.metadata().map_err(failed(&path, "look at"))?.len();
        let summed =
            decoded(compression, &file).and_then(|bytes| summed(bytes, behind - base, &segments.stop));
        let Some((len, sum)) = summed.map_err(failed(&path, "read"))? else { return Ok(Some(Piece::End)) };
        if base + len > behind || len == 0 {
            return Err(Trouble::Decide(format!(
                "{}: it has {len} bytes of {}: `mmlogctl check` says what is wrong with the log",
                shown(&path),
                behind - base
            )));
        }
        let to = base + len;
        let gaps = self.gaps(base, to)?;
        if let Some(segments) = &mut self.segments {
            segments.current = Some(Segment { file, path, stored, compression, gaps });
        }
        Ok(Some(Piece::Segment { to, sum }))
    }

    /// What of a range is no content, as the log says.
    fn gaps(&self, from: u64, to: u64) -> Result<Vec<Gap>, Trouble> {
        let mut gaps: Vec<Gap> = Vec::new();
        for hole in self.log.status()?.holes {
            let last = gaps.last().map_or(from, |gap| gap.to);
            let (start, end) = (hole.start.max(last), hole.end().min(to));
            let why = if hole.kind == HoleKind::Lost { Why::Lost } else { Why::Hole };
            if start < end {
                gaps.push(Gap { from: start, to: end, why });
            }
        }
        Ok(gaps)
    }

    /// No segment begins there: what the log says of it, up to where the next one begins.
    fn gap_of_segments(&mut self, from: u64) -> Result<Piece, Trouble> {
        let Some(segments) = &self.segments else { return Ok(Piece::End) };
        let bounds = segments.finals.iter().map(|segment| segment.base).chain([segments.base]);
        let next = bounds.filter(|bound| *bound > from).min().unwrap_or(from);
        self.follower.seek(Position::new(from))?;
        let mut byte = [0];
        loop {
            return match self.follower.next(&mut byte)? {
                Next::Rotated(_) => continue,
                Next::Hole(hole) => self.gap(&hole, next),
                Next::Bytes(_) => Err(Trouble::Decide(format!(
                    "{}: no segment begins at position {from}; begin with --from oldest or newest",
                    shown(&self.path)
                ))),
                _ => Ok(Piece::End),
            };
        }
    }

    /// What the last piece is, once.
    pub(crate) fn segment_read(&mut self) -> Option<Segment> {
        self.segments.as_mut()?.current.take()
    }

    /// As [`compare`](Self::compare): what is proven is one segment, its bytes as they lie in the file.
    pub(super) fn compare_segment(&mut self, ask: Ask) -> Result<Compared, Trouble> {
        if ask.from == ask.to {
            return Ok(if ask.start == ask.wanted { Compared::Equal } else { Compared::Differs });
        }
        let Some(segments) = &mut self.segments else { return Ok(Compared::Pruned) };
        for _ in 0..LOOKS {
            segments.look(&self.log)?;
            let Some(segment) = segments.finals.iter().find(|segment| segment.base == ask.from) else {
                // Removed, by whomever; or another history, which has no boundary here.
                let is_there = segments.finals.iter().any(|s| s.base < ask.from && ask.from < s.end);
                return Ok(if is_there { Compared::Differs } else { Compared::Pruned });
            };
            let file = match OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(&segment.path)
            {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                file => file.map_err(failed(&segment.path, "open"))?,
            };
            let summed = decoded(segment.compression, &file)
                .and_then(|bytes| summed(bytes, ask.to - ask.from, &segments.stop));
            return match summed.map_err(failed(&segment.path, "read"))? {
                Some((len, sum)) if len == ask.to - ask.from && sum == ask.wanted => Ok(Compared::Equal),
                Some(_) => Ok(Compared::Differs),
                None => Err(Trouble::Away("it was told to end".to_owned())),
            };
        }
        Ok(Compared::Pruned)
    }
}
