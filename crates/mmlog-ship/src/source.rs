//! The log: its durable bytes in whole lines, what is a gap, and the hold that keeps them from being pruned.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mmlog::{Fault, Follower, Hole, HoleKind, Log, Next, Options, Position, Start, Wait};

use crate::decide::{self, Ask, Compared};
use crate::machine::Piece;
use crate::sinks::Cut;
use crate::sum;
use crate::trouble::{Trouble, shown};

pub(crate) use hold::SIGN_OF_LIFE;

mod hold;
mod segments;

/// How much is read at a time.
const SLICE: usize = 256 << 10;
/// How often it is looked whether others have synced.
const LOOK: Duration = Duration::from_millis(50);

/// Who makes bytes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// This shipper, one sync for all that came meanwhile.
    Own,
    /// Others: what they have not synced waits.
    Wait,
}

/// How a log is read.
#[derive(Clone, Debug)]
pub struct How {
    /// Who syncs.
    pub sync: Sync,
    /// The longest piece.
    pub unit: usize,
    /// After so long a last line without its end is sent; never, where there is none.
    pub partial: Option<Duration>,
    /// What comes in so long is synced together.
    pub linger: Duration,
    /// Whether a gap that somebody made by removing a file may be announced.
    pub accept_gap: bool,
}

/// A log that is shipped.
pub struct Source {
    options: Options,
    path: PathBuf,
    how: How,
    log: Log,
    follower: Follower,
    durable: u64,
    /// Nothing is read from here on: where it ends for now.
    until: Option<u64>,
    /// Nothing more comes: also a line without its end is all there is.
    pub(crate) is_final: bool,
    /// What was read from `at` on and not given out, but for the first `given` bytes.
    buffer: Vec<u8>,
    at: u64,
    given: usize,
    /// What lies behind the buffer, if that has been seen.
    hole: Option<Hole>,
    /// Whether the byte before the buffer is within a line.
    is_within: bool,
    cut: Cut,
    partial: Option<(u64, Instant)>,
    /// The last read found less than a line, and had room for no more.
    pub(crate) needs_room: bool,
    hold: hold::Held,
    /// Where it is read as final segments.
    segments: Option<segments::Segments>,
}

impl Source {
    /// Opens the log; `name` is that of its hold.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path, options: Options, name: &str, how: How) -> Result<Source, Trouble> {
        let log = options.open(path)?;
        Source::of(log, path, options, name, how)
    }

    /// The same, for whoever changes nothing.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open_reader(path: &Path, options: Options, name: &str, how: How) -> Result<Source, Trouble> {
        let log = options.open_reader(path)?;
        Source::of(log, path, options, name, How { sync: Sync::Wait, ..how })
    }

    fn of(log: Log, path: &Path, options: Options, name: &str, how: How) -> Result<Source, Trouble> {
        let mut follower = log.follow(Start::Newest)?;
        follower.announce(name);
        let at = follower.position().get();
        let durable = log.synced().get();
        let hold = hold::Held::new(name);
        Ok(Source {
            options,
            path: path.to_owned(),
            how,
            log,
            follower,
            durable,
            until: None,
            is_final: false,
            buffer: Vec::new(),
            at,
            given: 0,
            hole: None,
            is_within: false,
            cut: Cut::default(),
            partial: None,
            needs_room: false,
            hold,
            segments: None,
        })
    }

    /// Makes durable what there is, and says up to where that holds.
    ///
    /// # Errors
    /// When it cannot be synced.
    pub fn sync(&mut self) -> Result<u64, Trouble> {
        let synced = match self.how.sync {
            Sync::Own => self.log.sync()?.get(),
            Sync::Wait => self.log.synced().get(),
        };
        self.durable = self.in_segments(synced)?;
        Ok(self.durable)
    }

    /// Reads no further than there.
    pub fn until(&mut self, end: u64) {
        self.until = Some(end);
    }

    /// What [`decide`](fn@decide::decide) wants to know.
    ///
    /// # Errors
    /// When the log cannot be asked.
    pub fn facts(&mut self) -> Result<decide::Log, Trouble> {
        let durable = self.sync()?;
        let id = self.follower.log_id();
        let oldest = self.log.oldest()?.get();
        let oldest = self.segments.as_ref().map_or(oldest, |segments| segments.oldest(oldest)).min(durable);
        let hold = self.held();
        Ok(decide::Log { id: u128::from_be_bytes(id.uuid), epoch: id.epoch, oldest, durable, hold })
    }

    /// From where on the hold keeps the log, if there is one.
    pub(crate) fn held(&self) -> Option<u64> {
        self.hold.position(&self.log)
    }

    fn end(&self) -> u64 {
        self.at + self.buffer.len() as u64
    }

    /// The buffer begins there from now on.
    fn go_to(&mut self, from: u64) -> Result<(), Trouble> {
        if (self.at..=self.end()).contains(&from) {
            let passed = (from - self.at) as usize;
            if passed > 0 {
                self.is_within = self.buffer[passed - 1] != b'\n';
                self.buffer.drain(..passed);
            }
            (self.at, self.given) = (from, 0);
            return Ok(());
        }
        let behind_hole = self.hole.as_ref().is_some_and(|hole| self.buffer.is_empty() && hole.end() == from);
        self.buffer.clear();
        (self.at, self.given, self.hole) = (from, 0, None);
        // Behind a hole nobody knows.
        self.is_within = !behind_hole && self.ends_within(from)?;
        if self.follower.position().get() != from {
            self.follower.seek(Position::new(from))?;
        }
        Ok(())
    }

    /// Whether the byte before that position is within a line.
    fn ends_within(&mut self, position: u64) -> Result<bool, Trouble> {
        let Some(before) =
            position.checked_sub(1).filter(|at| *at >= self.log.oldest().map_or(0, |o| o.get()))
        else {
            return Ok(false);
        };
        self.follower.seek(Position::new(before))?;
        let mut byte = [0];
        loop {
            match self.follower.next(&mut byte)? {
                Next::Rotated(_) => {}
                Next::Bytes(_) => return Ok(byte[0] != b'\n'),
                _ => return Ok(false),
            }
        }
    }

    /// What lies at a position, of the `most` bytes that there is room for now, and the `longest` that a unit may ever have there. Those
    /// are [`payload`](Self::payload) then.
    ///
    /// # Errors
    /// When the log is damaged, or cannot be read.
    pub fn read(&mut self, from: u64, most: u64, longest: u64) -> Result<Piece, Trouble> {
        self.needs_room = false;
        let end = self.until.map_or(self.durable, |until| until.min(self.durable));
        if from >= end {
            return Ok(Piece::End);
        }
        if self.segments.is_some() {
            return self.read_segment(from);
        }
        self.go_to(from)?;
        let unit = self.how.unit.min(usize::try_from(longest).unwrap_or(usize::MAX));
        let room = unit.min(usize::try_from(most).unwrap_or(usize::MAX));
        self.fill(room, end)?;
        if !self.buffer.is_empty() {
            return Ok(self.piece(room, unit));
        }
        match self.hole.clone() {
            Some(hole) => self.gap(&hole, end),
            None => Ok(Piece::End),
        }
    }

    fn fill(&mut self, room: usize, end: u64) -> Result<(), Trouble> {
        while self.buffer.len() < room && self.hole.is_none() && self.end() < end {
            let (had, left) = (self.buffer.len(), end - self.end());
            let want = (room - had).min(SLICE).min(usize::try_from(left).unwrap_or(SLICE));
            self.buffer.resize(had + want, 0);
            let next = self.follower.next(&mut self.buffer[had..]);
            let got = match &next {
                Ok(Next::Bytes(range)) => (range.end - range.start) as usize,
                _ => 0,
            };
            self.buffer.truncate(had + got);
            match next? {
                Next::Hole(hole) => self.hole = Some(hole),
                Next::CaughtUp => break,
                _ => {}
            }
        }
        Ok(())
    }

    /// Whole lines, unless there are none.
    fn piece(&mut self, room: usize, unit: usize) -> Piece {
        let region = self.buffer.len().min(room);
        let ends_at_hole = self.hole.is_some() && region == self.buffer.len();
        let lines = self.buffer[..region].iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
        let take = match lines {
            _ if ends_at_hole => region,
            Some(lines) => lines,
            // Longer than any unit: it is cut.
            None if region >= unit => region,
            None if region == room => {
                self.needs_room = true;
                return Piece::End;
            }
            None if self.is_given_up_on() => region,
            None => return Piece::End,
        };
        self.partial = None;
        self.given = take;
        let at_end = self.buffer[take - 1] != b'\n';
        self.cut = Cut { at_start: self.is_within, at_end };
        Piece::Content { to: self.at + take as u64, sum: sum::extend(0, &self.buffer[..take]) }
    }

    /// Whether nobody is waited for any more who may end the line at `at`.
    fn is_given_up_on(&mut self) -> bool {
        if self.is_final {
            return true;
        }
        let since = match self.partial {
            Some((at, since)) if at == self.at => since,
            _ => Instant::now(),
        };
        self.partial = Some((self.at, since));
        self.how.partial.is_some_and(|longest| since.elapsed() >= longest)
    }

    fn gap(&mut self, hole: &Hole, end: u64) -> Result<Piece, Trouble> {
        let to = hole.end().min(end);
        match hole.kind {
            HoleKind::Pruned => Ok(Piece::Pruned),
            HoleKind::Unseen => Err(Trouble::Failed(format!(
                "{}: this user may not list the log's directory, where bytes {} to {to} are",
                shown(&self.path),
                hole.start
            ))),
            HoleKind::Gone if !hole.is_noted && !self.how.accept_gap => Err(Trouble::Decide(format!(
                "{}: somebody removed the file of bytes {} to {to}; put it back, or announce the gap with --accept-gap",
                shown(&self.path),
                hole.start
            ))),
            HoleKind::Gone | HoleKind::Lost => Ok(Piece::Lost { to }),
            _ => Ok(Piece::Hole { to }),
        }
    }

    /// The bytes of the last piece, and where lines are cut.
    pub fn payload(&self) -> (&[u8], Cut) {
        (&self.buffer[..self.given], self.cut)
    }

    /// Reads the log's bytes again, and compares.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn compare(&mut self, ask: Ask) -> Result<Compared, Trouble> {
        if ask.to.max(ask.end) > self.durable {
            return Ok(Compared::Beyond);
        }
        self.buffer.clear();
        self.hole = None;
        (self.at, self.given) = (u64::MAX, 0);
        // A gap that is none: whoever said so read another log, or none.
        if content_within(&mut self.follower, ask.gap, ask.end)?.is_some() {
            return Ok(Compared::Differs);
        }
        if self.segments.is_some() {
            return self.compare_segment(ask);
        }
        self.follower.seek(Position::new(ask.from))?;
        let (mut at, mut sum) = (ask.from, ask.start);
        let mut slice = vec![0; SLICE];
        while at < ask.to {
            let want = usize::try_from(ask.to - at).unwrap_or(SLICE).min(SLICE);
            match self.follower.next(&mut slice[..want])? {
                Next::Bytes(range) => {
                    sum = sum::extend(sum, &slice[..(range.end - range.start) as usize]);
                    at = range.end;
                }
                Next::Rotated(_) => {}
                // What was shipped, and is not here any more, whoever took it, says nothing of the history.
                Next::Hole(Hole { kind: HoleKind::Pruned | HoleKind::Lost | HoleKind::Gone, .. }) => {
                    return Ok(Compared::Pruned);
                }
                _ => return Ok(Compared::Differs),
            }
        }
        Ok(if sum == ask.wanted { Compared::Equal } else { Compared::Differs })
    }

    /// Sleeps until there may be more at `at`, up to where everything was given out; whether there is.
    ///
    /// # Errors
    /// When what there is cannot be synced.
    pub fn wait(&mut self, at: u64, longest: Duration) -> Result<bool, Trouble> {
        if self.segments.is_some() {
            return self.wait_for_segment(longest);
        }
        let held_back = self.partial.filter(|(from, _)| *from == at && self.at == at);
        let is_due = |since: Instant| self.how.partial.is_some_and(|longest| since.elapsed() >= longest);
        if held_back.is_some_and(|(_, since)| self.is_final || is_due(since)) {
            return Ok(true);
        }
        let seen = if held_back.is_some() { self.end() } else { at };
        if seen < self.durable {
            return Ok(true);
        }
        if self.follower.position().get() != seen {
            // It was elsewhere, to compare.
            self.go_to(seen)?;
        }
        if self.follower.wait(longest)? == Wait::TimedOut {
            return Ok(false);
        }
        let before = self.durable;
        match self.how.sync {
            Sync::Own => std::thread::sleep(self.how.linger.min(longest)),
            Sync::Wait if self.log.synced().get() > before => {}
            Sync::Wait => std::thread::sleep(LOOK.min(longest)),
        }
        Ok(self.sync()? > before)
    }

    /// Whether there is something to read at that position.
    pub fn has_more(&self, at: u64) -> bool {
        at < self.until.map_or(self.durable, |until| until.min(self.durable))
    }

    /// Its uuid.
    pub(crate) fn log_id(&self) -> u128 {
        u128::from_be_bytes(self.follower.log_id().uuid)
    }

    /// Whether the log was removed or made anew.
    pub fn is_old(&self) -> bool {
        !self.log.is_current()
    }

    /// Whether another log is at the path, which is then the one that is shipped. Nothing is, when nobody has made one.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn renew(&mut self) -> Result<bool, Trouble> {
        match self.options.open(&self.path) {
            Ok(log) => {
                let name = self.hold.name().to_owned();
                let segments = self.segments.take();
                *self = Source::of(log, &self.path.clone(), self.options.clone(), &name, self.how.clone())?;
                self.taken_over(segments)?;
                Ok(true)
            }
            Err(e) if matches!(e.fault(), Fault::NoLog) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    /// The hold of this shipper.
    pub fn hold(&mut self) -> (&mut hold::Held, &Log) {
        (&mut self.hold, &self.log)
    }
}

/// The first byte of content in a range that is said to have none. NULs are none: a hole whose note a power cut took reads as those.
pub(crate) fn content_within(follower: &mut Follower, from: u64, to: u64) -> Result<Option<u64>, Trouble> {
    let mut at = from;
    let mut slice = vec![0; SLICE.min(usize::try_from(to.saturating_sub(from)).unwrap_or(SLICE))];
    if at < to {
        follower.seek(Position::new(at))?;
    }
    while at < to {
        let want = usize::try_from(to - at).unwrap_or(SLICE).min(slice.len());
        match follower.next(&mut slice[..want])? {
            Next::Bytes(range) => {
                let got = &slice[..(range.end - range.start) as usize];
                if let Some(byte) = got.iter().position(|byte| *byte != 0) {
                    return Ok(Some(range.start + byte as u64));
                }
                at = range.end;
            }
            Next::Hole(hole) => at = hole.end(),
            Next::Rotated(_) => {}
            _ => break,
        }
    }
    Ok(None)
}
