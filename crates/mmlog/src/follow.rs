//! Following: exact for any content, live or at rest.
//!
//! 1. `C` = cursor, then the slots: the watermark is the least of `C` and every live writer's pending position.
//! 2. Then the table of holes: whoever settled a slot before step 1 saw it idle has noted its hole by now; the
//!    holes of dead writers not settled yet are known from step 1.
//! 3. Then the generation: if the segment that is read is no longer the current one, it is final, and ends at the base
//!    of the next. (Not: generation before watermark; a short read would be taken for a hole, and the bytes lost.)
//! 4. Read up to the watermark, or the segment's end, with `pread`, never through a mapping: no race with the writers'
//!    stores, no SIGBUS. Then load `first_kept` again: what lies below may have been punched meanwhile.
//! 5. At the segment's end go on in the next one, by its name in the directory, or at the path.
//!
//! A follower sleeps on a futex that appends wake when somebody asked. It asks, forces every running writer
//! through a memory barrier (so that none is between "settled" and "does anybody sleep?" without our seeing the
//! one or its seeing the other), and looks once more. A lost wake-up costs at most [`LONGEST_SLEEP`].

mod announce;
mod compressed;
mod source;
mod standing;
mod unreadable;
mod version1;

use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::error::{At, Fault, Result};
use crate::files::content::has_nul;
use crate::files::version1::PATIENCE;
use crate::files::{Files, SLICE};
use crate::following::Told;
use crate::holes::{self, Hole, HoleKind};
use crate::position::Position;
use crate::status::{self, Damage, LogId};
use crate::sys::{barrier, futex};
use source::Source;
pub use standing::Standing;

/// What a lost wake-up costs at most.
pub const LONGEST_SLEEP: Duration = Duration::from_millis(250);
/// While bytes keep coming, what comes in so long is read together.
const GATHER: Duration = Duration::from_micros(50);
/// How often bytes are read again because holes were noted meanwhile.
const LOOKS: u32 = 8;
/// How often a follower looks that may not announce itself.
const UNANNOUNCED: Duration = Duration::from_millis(20);

/// Where a follower starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// At the first byte that is kept. If its segment is not there any more, at the hole that it left.
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
    /// What follows lies in the segment of this generation.
    Rotated(u64),
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

/// Reads a log in order of positions. Made by [`Log::follow`](crate::Log::follow). It may be given to another thread, between any two
/// calls.
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
    source: Source,
    at: u64,
    /// The most that was ever final.
    watermark: u64,
    /// The cursor at the last look.
    cursor: u64,
    /// Holes that end behind `at`, by position.
    holes: Vec<Hole>,
    /// How many holes had been noted when the table was last read.
    noted: Option<u64>,
    /// The epoch of what is below the watermark.
    epoch: u64,
    doubt: version1::Doubt,
    /// Where it was when it last waited.
    waited_at: u64,
    told: Told,
}

pub(crate) fn oldest(files: &Files) -> std::result::Result<u64, Fault> {
    Source::oldest(files)
}

pub(crate) fn last_byte(files: &Files) -> std::result::Result<Option<u8>, Fault> {
    Source::last_byte(files)
}

impl Follower {
    pub(crate) fn new(files: Arc<Files>, start: Start) -> Result<Self> {
        let source = Source::current(&files).at(files.path())?;
        let at = source.base;
        let mut follower = Self {
            files,
            source,
            at,
            // After a reboot the current segment may begin above what is certain.
            watermark: 0,
            cursor: 0,
            holes: Vec::new(),
            noted: None,
            epoch: 0,
            doubt: version1::Doubt::default(),
            waited_at: 0,
            told: Told::new(),
        };
        follower.look()?;
        if follower.files.is_version_1() && follower.watermark < follower.cursor {
            // What was in doubt when it was opened has an answer by then.
            std::thread::sleep(PATIENCE);
            follower.look()?;
        }
        match start {
            Start::Oldest => {
                let first = Source::first(&follower.files).at(follower.files.path())?;
                follower.seek(Position::new(first))?;
            }
            Start::Newest => follower.at = follower.watermark,
            Start::At(position) => follower.seek(position)?,
        }
        Ok(follower)
    }

    /// The next bytes or hole, at most `buf.len()` bytes. Never blocks.
    ///
    /// Beyond what the last look found it looks again, which takes cache lines from those who append: beside writers in a
    /// hurry, read up to [`watermark`](Self::watermark), then [`wait`](Self::wait).
    ///
    /// # Errors
    /// [`Fault::Truncated`] when somebody who is no writer cut the data file. [`Fault::Undecodable`],
    /// [`Fault::NotASegment`], [`Fault::Io`] when a final segment cannot be read: it stays where it is, and
    /// [`pass_unreadable`](Self::pass_unreadable) goes on behind that one.
    pub fn next(&mut self, buf: &mut [u8]) -> Result<Next> {
        self.told.reads(&self.files, self.at);
        for _ in 0..LOOKS {
            let next = self.step(buf)?;
            let Next::Bytes(range) = &next else { return Ok(next) };
            // Whoever makes the file reach a range without content notes it first: NULs read since the last look may be
            // such.
            if self.noted.is_none_or(|seen| seen == self.noted()) {
                return Ok(next);
            }
            self.at = range.start;
            self.look()?;
            if !self.holes.iter().any(|h| h.start < range.end && h.end() > range.start) {
                self.at = range.end;
                return Ok(next);
            }
        }
        self.step(buf)
    }

    fn step(&mut self, buf: &mut [u8]) -> Result<Next> {
        if self.at >= self.watermark || self.watermark < self.files.first_kept() {
            self.look()?;
        }
        if self.at >= self.watermark || buf.is_empty() {
            return Ok(Next::CaughtUp);
        }
        if let Some(pruned) = self.pruned() {
            return Ok(Next::Hole(pruned));
        }
        if !self.source.has(self.at) {
            self.source = Source::of(&self.files, self.at).at(self.files.path())?;
            if self.source.is_there() {
                return Ok(Next::Rotated(self.source.generation));
            }
        }
        let final_below = self.source.end.unwrap_or(self.watermark).min(self.watermark);
        // A range that was never reserved is no hole of this log, whatever the table says.
        let base = if self.source.is_there() { self.source.base } else { 0 };
        let upcoming =
            self.holes.iter().find(|h| h.end() > self.at && h.end() <= self.cursor && h.start >= base);
        let end = match upcoming {
            Some(hole) if hole.start <= self.at => {
                let mut hole = hole.clone();
                let end = hole.end();
                (hole.start, hole.len) = (self.at, end - self.at);
                // The whole segment is lost, and somebody knows.
                if !self.source.is_there() {
                    hole.kind = HoleKind::Gone;
                }
                self.at = end;
                return Ok(Next::Hole(hole));
            }
            Some(hole) => hole.start.min(final_below),
            None => final_below,
        };
        self.read(buf, end).at(self.files.path())
    }

    fn noted(&self) -> u64 {
        self.files.meta.header().hole_counts.noted.load(Ordering::Acquire) // hole
    }

    /// What prune has taken from the position it is at on.
    fn pruned(&mut self) -> Option<Hole> {
        let kept = self.files.first_kept().min(self.watermark);
        let start = self.at;
        (start < kept).then(|| {
            self.at = kept;
            Hole::pruned(start, kept)
        })
    }

    fn read(&mut self, buf: &mut [u8], end: u64) -> std::result::Result<Next, Fault> {
        let start = self.at;
        let most = (end - start).min(buf.len() as u64) as usize;
        loop {
            let read = self.source.read_at(&mut buf[..most], start)?;
            if let Some(pruned) = self.pruned() {
                return Ok(Next::Hole(pruned));
            }
            // Only NULs may be no content.
            if read > 0 && !has_nul(&buf[..read]) {
                self.at = start + read as u64;
                return Ok(Next::Bytes(start..self.at));
            }
            let read = self.source.vouched(read, start)?;
            if read > 0 {
                return self.written(read, end);
            }
            self.check_length()?;
            if !self.goes_on_in_copy()? {
                break;
            }
        }
        self.at = end;
        Ok(Next::Hole(self.source.lack(start, end, &self.files)))
    }

    /// So many bytes that were read, up to where no writer has ever stored any.
    fn written(&mut self, got: usize, end: u64) -> std::result::Result<Next, Fault> {
        let start = self.at;
        self.at = start + got as u64;
        if let Some(gap) = self.source.unwritten(got, start, end)? {
            if gap.start == start {
                self.at = gap.end;
                return Ok(Next::Hole(self.source.lack(start, gap.end, &self.files)));
            }
            self.at = gap.start;
        }
        Ok(Next::Bytes(start..self.at))
    }

    /// A compression cuts the plain file when the copy has its name, so whoever is in the middle of it, and finds its end
    /// too soon, goes on in the copy. The segment became final before: the generation is looked at after the read.
    fn goes_on_in_copy(&mut self) -> std::result::Result<bool, Fault> {
        if self.files.is_version_1() || self.source.is_compressed() {
            return Ok(false);
        }
        if self.source.grows() {
            if self.files.current_generation()? == self.source.generation {
                return Ok(false);
            }
            self.source.finish(&self.files)?;
        }
        let found = Source::of(&self.files, self.at)?;
        let is_copy = found.is_compressed() && found.generation == self.source.generation;
        if is_copy {
            self.source = found;
        }
        Ok(is_copy)
    }

    /// Tells a hole behind the end from a file that was cut from outside.
    fn check_length(&self) -> std::result::Result<(), Fault> {
        let Some(file) = self.source.file() else { return Ok(()) };
        let (expected, asked) = self.files.control().size_and(|| file.metadata());
        self.files.intact()?;
        let stat = asked.map_err(Fault::io("stat the data file"))?;
        let recorded = self.files.meta.header().identity.inode.load(Ordering::Acquire);
        let found = stat.len();
        // Rotated meanwhile: then the size was another file's.
        match recorded == stat.ino() && !self.source.is_foreign() {
            true if found < expected => Err(Fault::Truncated { expected, found }),
            false if self.source.is_foreign() && self.files.is_of_this_boot() => {
                Err(Fault::Foreign { recorded, found: stat.ino() })
            }
            _ => Ok(()),
        }
    }

    /// What is wrong with the log's files, so that what is read may not be what was appended: they contradict each other.
    /// Empty for a whole log, and for a copy of one that nobody writes to.
    ///
    /// Missing bytes are said by [`next`](Self::next), as they are come by. This finds a data file that was replaced by
    /// one as long or longer, as `sed -i` does.
    ///
    /// # Errors
    /// When the files cannot be asked.
    pub fn damage(&mut self) -> Result<Vec<Damage>> {
        status::to_readers(&self.files).at(self.files.path())
    }

    /// Sleeps until something may be there, at most `timeout`.
    ///
    /// A writer pays a system call for waking a follower, so one that was given something since it last waited lets more
    /// come for some 0.1 ms before it asks to be woken.
    ///
    /// # Errors
    /// Only in a forked child, when the log cannot be opened again.
    pub fn wait(&mut self, timeout: Duration) -> Result<Wait> {
        let deadline = self.files.deadline(timeout);
        if self.at != self.waited_at {
            self.waited_at = self.at;
            std::thread::sleep(GATHER.min(timeout));
            self.look()?;
            if self.watermark > self.at {
                return Ok(Wait::Moved);
            }
        }
        loop {
            self.told.tell(&self.files, self.at);
            let files = Arc::clone(&self.files);
            let wake = &files.meta.header().data_wake;
            let expected = files.may_announce().then(|| wake.ask());
            barrier::force_on_writers();
            self.look()?;
            let left = deadline.left().unwrap_or(Duration::MAX);
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
            if deadline.is_over() {
                return Ok(Wait::TimedOut);
            }
        }
    }

    /// The position it looks at next.
    pub fn position(&self) -> Position {
        Position::new(self.at)
    }

    /// The number of the segment that it reads now.
    pub fn generation(&self) -> u64 {
        self.source.generation
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
    /// [`Fault::NoPosition`] when it is beyond the cursor. Below the oldest byte, what was pruned comes first, as a hole.
    pub fn seek(&mut self, position: Position) -> Result<()> {
        let max = self.files.end().at(self.files.path())?;
        let value = position.get();
        if value > max {
            let min = Source::oldest(&self.files).at(self.files.path())?;
            return Err(Fault::NoPosition { value, min, max }).at(self.files.path());
        }
        if !self.source.has(value)
            && let Ok(source) = Source::of(&self.files, value)
        {
            // Else the next read meets the trouble, and whoever reads is told where.
            self.source = source;
        }
        if value < self.at {
            self.noted = None;
        }
        self.at = value;
        self.look()
    }

    /// How many bytes lie behind the end of a log at rest, put there by somebody who is no writer. They have no
    /// position yet: whoever takes the log's lock next, for an append or a trim, takes them in.
    ///
    /// # Errors
    /// [`Fault::Io`] when the file or its locks cannot be asked.
    pub fn outside(&self) -> Result<u64> {
        self.files.waiting_outside().at(self.files.path())
    }

    /// Which log this is, and the epoch of what was final at the last look: a position that was read means something
    /// together with it. Ask anew for each position that is kept.
    pub fn log_id(&self) -> LogId {
        LogId { epoch: self.epoch, ..LogId::of(&self.files.meta.header().identity) }
    }

    /// Steps 1 and 2.
    fn look(&mut self) -> Result<()> {
        self.files.intact().at(self.files.path())?;
        if self.files.is_stale() {
            self.files = self.files.of_this_process()?;
        }
        if self.files.is_version_1() {
            return self.look_at_version_1();
        }
        let cursor = self.files.end().at(self.files.path())?;
        if cursor < self.cursor {
            self.files.note_set_back(cursor, self.cursor);
        }
        if cursor == self.cursor && self.watermark == cursor && self.noted == Some(self.noted()) {
            self.epoch = self.files.epoch().at(self.files.path())?;
            return self.look_for_the_end();
        }
        let scan = self.files.scan(cursor).at(self.files.path())?;
        self.holes.retain(|h| h.end() > self.at);
        self.holes.extend(scan.dead.iter().filter_map(|dead| self.files.hole_of(dead)));
        let noted = self.noted();
        if self.noted != Some(noted) {
            let (at, table) = (self.at, self.files.meta.holes());
            self.holes.extend(holes::all(table).into_iter().filter(|h| h.end() > at));
            self.noted = Some(noted);
        }
        if let Some(found) = self.files.foreseen().at(self.files.path())? {
            self.holes.extend(found.holes.iter().filter(|h| h.end() > self.at).cloned());
        }
        // What the table says of a hole is the later and fuller word.
        if self.holes.len() > 1 {
            self.holes.sort_by_key(|h| (h.start, !h.is_noted));
            self.holes.dedup_by_key(|h| h.start);
        }
        self.files.intact().at(self.files.path())?;
        // Bytes that somebody copied over the metadata are nobody's watermark.
        self.files.meta.check_magic().at(self.files.path())?;
        if self.files.is_of_this_boot() {
            self.files.meta.check_positions().at(self.files.path())?;
        }
        self.cursor = cursor;
        self.watermark = self.watermark.max(scan.watermark);
        // Behind the watermark, which may be of before a recovery: bytes that come after it are not below.
        self.epoch = self.files.epoch().at(self.files.path())?;
        self.look_for_the_end()
    }

    /// Step 3.
    fn look_for_the_end(&mut self) -> Result<()> {
        let generation = self.files.current_generation().at(self.files.path())?;
        self.files.intact().at(self.files.path())?;
        if self.source.grows() && generation != self.source.generation {
            self.source.finish(&self.files).at(self.files.path())?;
        }
        if self.source.end.is_some_and(|end| self.at >= end) && self.source.is_there() {
            self.source.let_go();
            // What the handle has open itself; if that fails, whoever reads on is told.
            let _ = self.files.renew();
        }
        Ok(())
    }
}
