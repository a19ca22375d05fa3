//! A log as a stream of bytes for the searcher: without what is not there, which is said, and in lines of bounded length.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use mmlog::{Follower, HoleKind, Log, Position};

use super::shared::Shared;
use crate::exit::{Failure, exit_of};
use crate::output::Output;
use crate::reading::copy::{is_news, is_passed, lacks, not_read};
use crate::reading::stretch::{Piece, next_piece};
use crate::reading::{self, Holes, describe_part, stopped};
use crate::signals;
use crate::times::TimeRange;

/// A longer line is given out in pieces of this length, each a line of its own: what a searcher has in memory.
const LONGEST_LINE: u64 = 16 << 20;
/// Bytes that the searcher wants to see first.
const PEEK: u64 = 3;
/// The longest sleep while following; how late an order is noticed.
const SLICE: Duration = Duration::from_millis(250);
/// How often a followed log is asked whether its files still fit each other.
const LOOKS: Duration = Duration::from_secs(5);
/// Output that is collected before it is written.
const PAGE: usize = 64 << 10;

/// The search of one log: what its reader and its printer have in common.
pub(super) struct Search<'a> {
    pub(super) shared: &'a Shared,
    pub(super) index: usize,
    places: RefCell<Places>,
    page: RefCell<Vec<u8>>,
    /// What ended it.
    failure: Cell<Option<Failure>>,
    /// It was said that something is wrong with the log's files.
    is_damaged: Cell<bool>,
}

impl<'a> Search<'a> {
    pub(super) fn new(shared: &'a Shared, index: usize) -> Self {
        Self {
            shared,
            index,
            places: RefCell::default(),
            page: RefCell::new(Vec::with_capacity(PAGE)),
            failure: Cell::new(None),
            is_damaged: Cell::new(false),
        }
    }

    /// The position of a byte of the stream. They are asked for in their order.
    pub(super) fn position(&self, offset: u64) -> Position {
        self.places.borrow_mut().of(offset)
    }

    /// Adds to the output; what `line` adds is whole lines.
    pub(super) fn print(&self, line: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let mut page = self.page.borrow_mut();
        line(&mut page);
        let is_full = page.len() >= PAGE || self.shared.plan().on_terminal;
        drop(page);
        if is_full { self.flush() } else { Ok(()) }
    }

    /// Writes what was collected.
    pub(super) fn flush(&self) -> io::Result<()> {
        let mut page = self.page.borrow_mut();
        let written = self.shared.write(self.index, &page);
        page.clear();
        written.map_err(|failure| self.end(failure))
    }

    /// Ends the search with a failure; the error by which the searcher hears of it.
    fn end(&self, failure: Failure) -> io::Error {
        self.failure.set(Some(failure));
        io::Error::other("the search has ended")
    }

    /// What ended the search, if something did.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.failure.take()
    }

    /// Says once what is wrong with the log's files.
    pub(super) fn look_for_damage(&self, follower: &mut Follower) -> Result<(), Failure> {
        if self.is_damaged.get() {
            return Ok(());
        }
        if let Some(damage) = reading::damage(&self.shared.plan().logs[self.index], follower)? {
            self.is_damaged.set(true);
            self.shared.fail(&damage);
        }
        Ok(())
    }

    fn say(&self, text: &str) -> io::Result<()> {
        self.flush()?;
        self.shared.say(self.index, text);
        Ok(())
    }
}

/// Which positions the bytes of a stream have.
#[derive(Debug, Default)]
struct Places {
    /// Where a run of positions begins: (offset in the stream, position).
    runs: Vec<(u64, u64)>,
}

impl Places {
    /// From this offset on, the bytes have the positions from `at` on.
    fn note(&mut self, offset: u64, at: Position) {
        let goes_on = self.runs.last().is_some_and(|(from, first)| first + (offset - from) == at.get());
        if !goes_on {
            self.runs.push((offset, at.get()));
        }
    }

    /// The position of that byte; those of bytes before it are forgotten.
    fn of(&mut self, offset: u64) -> Position {
        let behind = self.runs.partition_point(|(from, _)| *from <= offset);
        self.runs.drain(..behind.saturating_sub(1));
        let (from, first) = self.runs.first().copied().unwrap_or_default();
        Position::new(first + offset.saturating_sub(from))
    }
}

/// The bytes of a log from where its follower is, up to a position.
pub(super) struct LogReader<'a> {
    search: &'a Search<'a>,
    follower: &'a mut Follower,
    /// What is read now.
    until: Position,
    /// Bytes given out.
    offset: u64,
    /// Those since the last newline.
    line: u64,
    /// Bytes of the log are missing behind them.
    is_broken: bool,
    /// NULs that stand for a hole, not given out yet.
    nuls: u64,
    following: Option<Following<'a>>,
    /// The searcher has looked at the first bytes.
    is_peeked: bool,
}

/// What it takes to go on at the end.
pub(super) struct Following<'a> {
    log: &'a Log,
    caught_up: Option<SyncSender<()>>,
    looked: Instant,
    /// The asked time is over: what is read now is the last.
    is_last: bool,
}

impl<'a> Following<'a> {
    /// `caught_up` hears when all that is there was read.
    pub(super) fn new(log: &'a Log, caught_up: SyncSender<()>) -> Self {
        Self { log, caught_up: Some(caught_up), looked: Instant::now(), is_last: false }
    }

    /// Where the asked time ends, once it is over.
    fn end_of_time(&mut self, times: &TimeRange) -> mmlog::Result<Option<Position>> {
        self.is_last = times.is_over();
        let found = if self.is_last { times.without_since().find(self.log, b'\n')? } else { None };
        Ok(found.and_then(|found| found.to).map(Position::new))
    }
}

impl<'a> LogReader<'a> {
    pub(super) const fn new(
        search: &'a Search<'a>,
        follower: &'a mut Follower,
        until: Position,
        following: Option<Following<'a>>,
    ) -> Self {
        Self {
            search,
            follower,
            until,
            offset: 0,
            line: 0,
            is_broken: false,
            nuls: 0,
            following,
            is_peeked: false,
        }
    }

    /// A range without bytes.
    fn lack(&mut self, at: Position, len: u64, hole: &mmlog::Hole) -> io::Result<()> {
        if is_news(hole) {
            // Without --from and --since the search begins with what is kept: what is pruned here was asked for, or still
            // there when that was.
            if lacks(hole).is_some() || hole.kind == HoleKind::Pruned {
                self.search.shared.trouble();
            }
            self.is_broken = self.line > 0;
            return self.search.say(&describe_part(at, len, hole));
        }
        match self.search.shared.plan().holes {
            Holes::Skip => {}
            Holes::Nul => self.nuls = len,
            Holes::Say => self.search.say(&describe_part(at, len, hole))?,
        }
        Ok(())
    }

    /// A range that cannot be read.
    fn pass(&mut self, at: Position, len: u64, error: mmlog::Error) -> io::Result<()> {
        if !is_passed(exit_of(error.fault())) {
            return Err(self.search.end(error.into()));
        }
        self.is_broken = self.line > 0;
        self.search.shared.trouble();
        self.search.say(&not_read(at, len, &error))
    }

    fn give(&mut self, at: Position, bytes: &[u8]) -> usize {
        self.search.places.borrow_mut().note(self.offset, at);
        self.offset += bytes.len() as u64;
        self.line = match memchr::memrchr(b'\n', bytes) {
            Some(newline) => (bytes.len() - newline - 1) as u64,
            None => self.line + bytes.len() as u64,
        };
        bytes.len()
    }

    fn give_nuls(&mut self, buf: &mut [u8]) -> usize {
        let len = usize::try_from(self.nuls).map_or(buf.len(), |nuls| nuls.min(buf.len()));
        buf[..len].fill(0);
        let at = Position::new(self.follower.position() - Position::new(self.nuls));
        self.nuls -= len as u64;
        self.give(at, &buf[..len])
    }

    /// Waits for more at the end; false when nothing more is read.
    fn more(&mut self) -> io::Result<bool> {
        let end = |e: mmlog::Error| self.search.end(e.into());
        let Some(following) = &mut self.following else { return Ok(false) };
        self.search.flush()?;
        // Nobody may wait for it any more.
        drop(following.caught_up.take());
        let plan = self.search.shared.plan();
        loop {
            let at = self.follower.position();
            if signals::came() || self.search.shared.is_over() || following.is_last {
                return Ok(false);
            }
            let to = following.end_of_time(&plan.times).map_err(end)?.or(plan.to);
            let bound = to.unwrap_or(Position::new(u64::MAX));
            if at >= bound {
                return Ok(false);
            }
            if Output::standard().is_closed() {
                return Err(self.search.end(Failure::OutputClosed));
            }
            let now = self.follower.watermark().map_err(end)?.min(bound);
            if now > at {
                self.until = now;
                return Ok(true);
            }
            if following.looked.elapsed() >= LOOKS {
                following.looked = Instant::now();
                self.search.look_for_damage(self.follower).map_err(|failure| self.search.end(failure))?;
            }
            self.follower.wait(SLICE).map_err(end)?;
        }
    }
}

impl Read for LogReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            if signals::came() && self.following.is_none() {
                let path = &self.search.shared.plan().logs[self.search.index];
                return Err(self.search.end(stopped(path, self.follower.position(), self.until)));
            }
            if (self.is_broken || self.line >= LONGEST_LINE) && !buf.is_empty() {
                buf[0] = b'\n';
                (self.line, self.offset, self.is_broken) = (0, self.offset + 1, false);
                return Ok(1);
            }
            let left = usize::try_from(LONGEST_LINE - self.line).unwrap_or(buf.len());
            let room = left.min(buf.len());
            if self.nuls > 0 {
                return Ok(self.give_nuls(&mut buf[..room]));
            }
            let piece = next_piece(self.follower, Some(self.until), &mut buf[..room]);
            match piece.map_err(|e| self.search.end(e.into()))? {
                Piece::Data { at, bytes } => return Ok(self.give(at, bytes)),
                Piece::Hole { at, len, hole } => self.lack(at, len, &hole)?,
                Piece::Unread { at, len, error } => self.pass(at, len, error)?,
                Piece::Segment(_) => {}
                Piece::CaughtUp | Piece::End => {
                    // The searcher begins with a look at three bytes, and would wait for them, although it was told to
                    // sniff at nothing; this ends that look, no more.
                    let is_peek = self.offset < PEEK && !std::mem::replace(&mut self.is_peeked, true);
                    if is_peek || !self.more()? {
                        return Ok(0);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_keep_their_positions_over_what_is_left_out() {
        let mut places = Places::default();
        for (offset, at) in [(0, 100), (10, 110), (20, 150), (30, 160)] {
            places.note(offset, Position::new(at));
        }
        assert_eq!(places.runs.len(), 2);
        let positions = [0, 19, 20, 35].map(|offset| places.of(offset).get());
        assert_eq!(positions, [100, 119, 150, 165]);
        assert_eq!(places.runs.len(), 1);
    }
}
