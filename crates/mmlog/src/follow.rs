//! Following: exact for any content, live or at rest.
//!
//! 1. `C` = cursor, then the slots: the watermark is the least of `C` and every live writer's pending position.
//! 2. Then the table of holes: whoever settled a slot before step 1 saw it idle has noted its hole by now; the
//!    holes of dead writers not settled yet are known from step 1.
//! 3. Read up to the watermark with `pread`, never through a mapping: no race with the writers' stores, no SIGBUS.
//!
//! A follower sleeps on a futex that appends wake when somebody asked. It asks, forces every running writer
//! through a memory barrier (so that none is between "settled" and "does anybody sleep?" without our seeing the
//! one or its seeing the other), and looks once more. A lost wake-up costs at most [`LONGEST_SLEEP`].

mod version1;

use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::chunks::Segment;
use crate::error::{At, Fault, Result};
use crate::files::version1::PATIENCE;
use crate::files::{Files, SLICE};
use crate::holes::{self, Hole, HoleKind};
use crate::position::Position;
use crate::status::LogId;
use crate::sys::{barrier, futex};

/// What a lost wake-up costs at most.
pub const LONGEST_SLEEP: Duration = Duration::from_millis(250);
/// How often a follower looks that may not announce itself.
const UNANNOUNCED: Duration = Duration::from_millis(20);

/// Where a follower starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// At the first byte that is kept.
    Oldest,
    /// At the watermark: only what comes.
    Newest,
    /// At that position.
    At(Position),
}

/// What comes next in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// These positions; their bytes are in the front of the buffer.
    Bytes(Range<u64>),
    /// A range without content. Never delivered as bytes.
    Hole(Hole),
    /// Nothing more is final now.
    CaughtUp,
}

/// How a wait ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// There is something.
    Moved,
    /// There is nothing yet.
    TimedOut,
}

/// Reads a log in order of positions. Made by [`Log::follow`](crate::Log::follow).
///
/// ```
/// # fn main() -> mmlog::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("app.log");
/// use mmlog::{Log, Next, Start};
/// let log = Log::options().open_or_create(&path)?;
/// log.writer()?.append(b"hello\n")?;
/// let mut follower = log.follow(Start::Oldest)?;
/// let mut buf = [0; 4096];
/// match follower.next(&mut buf)? {
///     Next::Bytes(range) => assert_eq!(&buf[..(range.end - range.start) as usize], b"hello\n"),
///     other => panic!("{other:?}"),
/// }
/// assert_eq!(follower.next(&mut buf)?, Next::CaughtUp);
/// # Ok(())
/// # }
/// ```
pub struct Follower {
    files: Arc<Files>,
    segment: Arc<Segment>,
    at: u64,
    /// The most that was ever final.
    watermark: u64,
    /// The cursor at the last look.
    cursor: u64,
    /// Holes that end behind `at`, by position.
    holes: Vec<Hole>,
    /// How many holes had been noted when the table was last read.
    noted: Option<u64>,
    doubt: version1::Doubt,
}

impl Follower {
    pub(crate) fn new(files: Arc<Files>, start: Start) -> Result<Self> {
        let segment = files.segment().at(files.path())?;
        let at = segment.base();
        let mut follower = Self {
            files,
            segment,
            at,
            watermark: at,
            cursor: 0,
            holes: Vec::new(),
            noted: None,
            doubt: version1::Doubt::default(),
        };
        follower.look()?;
        if follower.files.is_version_1() && follower.watermark < follower.cursor {
            // What was in doubt when it was opened has an answer by then.
            std::thread::sleep(PATIENCE);
            follower.look()?;
        }
        match start {
            Start::Oldest => {}
            Start::Newest => follower.at = follower.watermark,
            Start::At(position) => follower.seek(position)?,
        }
        Ok(follower)
    }

    /// The next bytes or hole, at most `buf.len()` bytes. Never blocks.
    ///
    /// # Errors
    /// [`Fault::Truncated`] when somebody who is no writer cut the data file.
    pub fn next(&mut self, buf: &mut [u8]) -> Result<Next> {
        if self.at >= self.watermark {
            self.look()?;
        }
        if self.at >= self.watermark || buf.is_empty() {
            return Ok(Next::CaughtUp);
        }
        let base = self.segment.base();
        if self.at < base {
            let hole = Hole::lost(self.at, base);
            self.at = base;
            return Ok(Next::Hole(hole));
        }
        // A range that was never reserved is no hole of this log, whatever the table says.
        let upcoming =
            self.holes.iter().find(|h| h.end() > self.at && h.end() <= self.cursor && h.start >= base);
        let end = match upcoming {
            Some(hole) if hole.start <= self.at => {
                let mut hole = hole.clone();
                let end = hole.end();
                (hole.start, hole.len) = (self.at, end - self.at);
                self.at = end;
                return Ok(Next::Hole(hole));
            }
            Some(hole) => hole.start.min(self.watermark),
            None => self.watermark,
        };
        self.read(buf, end).at(self.files.path())
    }

    fn read(&mut self, buf: &mut [u8], end: u64) -> std::result::Result<Next, Fault> {
        let start = self.at;
        let most = (end - start).min(buf.len() as u64) as usize;
        let read = loop {
            match self.segment.file().read_at(&mut buf[..most], start - self.segment.base()) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                done => break done.map_err(Fault::io("read the data file"))?,
            }
        };
        if read > 0 {
            self.at = start + read as u64;
            return Ok(Next::Bytes(start..self.at));
        }
        self.check_length()?;
        // Below the watermark and behind the end: reserved by one that died before there was space.
        self.at = end;
        let kind = HoleKind::Unplaced;
        Ok(Next::Hole(Hole { start, len: end - start, pid: 0, command: String::new(), kind, at: None }))
    }

    /// Tells a hole behind the end from a file that was cut from outside.
    fn check_length(&self) -> std::result::Result<(), Fault> {
        let (expected, asked) = self.files.control().size_and(|| self.segment.file().metadata());
        self.files.intact()?;
        let found = asked.map_err(Fault::io("stat the data file"))?.len();
        if found < expected { Err(Fault::Truncated { expected, found }) } else { Ok(()) }
    }

    /// Sleeps until something may be there, at most `timeout`.
    ///
    /// # Errors
    /// Only in a forked child, when the log cannot be opened again.
    pub fn wait(&mut self, timeout: Duration) -> Result<Wait> {
        let deadline = Instant::now() + timeout;
        loop {
            let files = Arc::clone(&self.files);
            let wake = &files.meta.header().data_wake;
            let expected = files.may_announce().then(|| wake.ask());
            barrier::force_on_writers();
            self.look()?;
            let left = deadline.saturating_duration_since(Instant::now());
            // Somebody in flight may die there, and the dead wake nobody.
            let longest = if self.watermark < self.cursor { SLICE } else { LONGEST_SLEEP };
            match expected {
                _ if self.watermark > self.at => return Ok(Wait::Moved),
                Some(seq) => futex::wait(wake.word(), seq, left.min(longest)),
                None => std::thread::sleep(left.min(UNANNOUNCED)),
            }
            self.look()?;
            if self.watermark > self.at {
                return Ok(Wait::Moved);
            }
            if Instant::now() >= deadline {
                return Ok(Wait::TimedOut);
            }
        }
    }

    /// The position it looks at next.
    pub fn position(&self) -> Position {
        Position::new(self.at)
    }

    /// Every byte below is final now.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn watermark(&mut self) -> Result<Position> {
        self.look()?;
        Ok(Position::new(self.watermark))
    }

    /// Goes to `position`, forwards or backwards.
    ///
    /// # Errors
    /// [`Fault::NoPosition`] when it is not between the oldest byte and the cursor.
    pub fn seek(&mut self, position: Position) -> Result<()> {
        let (min, max) = (self.segment.base(), self.files.control().look().start);
        let value = position.get();
        if value < min || value > max {
            return Err(Fault::NoPosition { value, min, max }).at(self.files.path());
        }
        if value < self.at {
            self.noted = None;
        }
        self.at = value;
        self.look()
    }

    /// Which log this is.
    pub fn log_id(&self) -> LogId {
        LogId::of(&self.files.meta.header().identity)
    }

    /// Steps 1 and 2.
    fn look(&mut self) -> Result<()> {
        // In a forked child, or when positions go on in another data file.
        let base = self.files.control().base();
        self.files.intact().at(self.files.path())?;
        if self.files.is_stale() || base != self.segment.base() {
            self.files = Arc::new(self.files.open_again()?);
            self.segment = self.files.segment().at(self.files.path())?;
        }
        if self.files.is_version_1() {
            return self.look_at_version_1();
        }
        let cursor = self.files.control().look().start;
        if cursor == self.cursor && self.watermark == cursor && self.noted.is_some() {
            return self.files.intact().at(self.files.path());
        }
        let scan = self.files.scan(cursor);
        self.holes.retain(|h| h.end() > self.at);
        self.holes.extend(scan.dead.iter().filter_map(|dead| self.files.hole_of(dead)));
        let noted = self.files.meta.header().hole_counts.noted.load(Ordering::Acquire); // hole
        if self.noted != Some(noted) {
            let (at, table) = (self.at, self.files.meta.holes());
            self.holes.extend(holes::all(table).into_iter().filter(|h| h.end() > at));
            self.noted = Some(noted);
        }
        // What the table says of a hole is the later and fuller word.
        self.holes.sort_by_key(|h| (h.start, h.at.is_none()));
        self.holes.dedup_by_key(|h| h.start);
        self.files.intact().at(self.files.path())?;
        self.cursor = cursor;
        self.watermark = self.watermark.max(scan.watermark);
        Ok(())
    }
}
