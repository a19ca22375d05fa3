//! To the line, where lines begin with a time.
//!
//! What the log knows ends somewhere in a stretch of which it only knows between which two times it was appended
//! ([`Edge`]). Inside that stretch lines may be dropped, and nowhere else:
//!
//! - A line whose own time lies outside the asked range, between whole lines that do, too.
//! - One without a time only where its neighbour lies more than `MARGIN` outside.
//! - One whose time lies `MARGIN` or less outside, only where lines of the stretch agree with when they were appended: none is
//!   more than `AGREES` older than the stretch (newer, for its end). Else somebody holds lines back, or has another clock.
//! - A time that is more than `MARGIN` outside the stretch's own times is none: another clock or zone, old lines that were
//!   put in, a writer that held them back.
//!
//! A short stretch is read line by line, so no order is taken for granted. A long one is halved again and again by
//! `SAMPLES` lines, all of which have to be there and in order, and only what lies more than the margin outside is left unread; where that fails, the stretch's end stands.

use std::ops::Range;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use mmlog::{Edge, Position};

use super::line::{self, LineTime, REACH, Unsaid};
use crate::reading::backward::{Last, start_of_last};
use crate::reading::stretch::{Piece, Source, next_piece};
use crate::reading::{Holes, READ_SIZE};

/// How far lines may be from their order, and their times from when they were appended, in nanoseconds.
pub const MARGIN: i128 = 10_000_000_000;
/// How much a line's time may differ from when it was appended, and agree with it.
const AGREES: i128 = 1_000_000_000;
/// Lines of a long stretch that are looked at together.
const SAMPLES: u64 = 64;
/// How far behind its place a sample is looked for.
const SAMPLE_REACH: u64 = 64 << 10;
/// What is read at once for it.
const SAMPLE_READ: usize = 4 << 10;
/// What is read line by line without samples, bytes; and the longest line.
const MOST: u64 = 8 << 20;
/// So many times that is read line by line at most: ten seconds of a fast log.
const TIMES_MOST: u64 = 32;

/// What is asked for.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Asked {
    /// Lines of this time or later.
    Since(Timestamp),
    /// Lines up to this time.
    Until(Timestamp),
}

/// Finds lines in a log.
pub struct Finder<'a, S> {
    source: &'a mut S,
    newline: u8,
    zone: TimeZone,
    /// What is read line by line without samples, bytes.
    most: u64,
}

impl<'a, S: Source> Finder<'a, S> {
    /// Reads lines that end with that byte; times that name no zone are of this one.
    pub const fn new(source: &'a mut S, newline: u8, zone: TimeZone) -> Self {
        Self { source, newline, zone, most: MOST }
    }

    /// Where the range begins, or ends, inside the edge; nothing where the edge's own end stands.
    ///
    /// # Errors
    /// As [`Source::next`] and [`Source::seek`].
    pub fn narrow(&mut self, edge: &Edge, asked: Asked) -> mmlog::Result<Option<u64>> {
        let judge = Judge::new(edge, asked, &self.zone);
        let Some(range) = self.halve(&judge, edge.positions.clone())? else { return Ok(None) };
        let differ = self.differ(&judge, edge)?;
        match asked {
            Asked::Since(_) => self.first(&judge, range, differ).map(Some),
            Asked::Until(_) => self.behind_last(&judge, range, differ),
        }
    }

    /// Where the line begins that the position is in; the position itself when that is too far back.
    ///
    /// # Errors
    /// As [`Source::next`] and [`Source::seek`].
    pub fn start_of_line(&mut self, at: u64, oldest: u64) -> mmlog::Result<u64> {
        if at <= oldest || self.ends_line(at)? {
            return Ok(at);
        }
        let lowest = oldest.max(at.saturating_sub(MOST));
        let ends = (Position::new(lowest), Position::new(at));
        let last = Last::Lines(1, self.newline);
        let found = start_of_last(self.source, last, ends, Holes::Skip, &mut vec![0; READ_SIZE])?.get();
        Ok(if found == lowest && lowest > oldest { at } else { found })
    }

    /// Where the line ends that the position is in; the position itself when it is between two lines.
    ///
    /// # Errors
    /// As [`Source::next`] and [`Source::seek`].
    pub fn end_of_line(&mut self, at: u64, oldest: u64) -> mmlog::Result<u64> {
        if at <= oldest || self.ends_line(at)? {
            return Ok(at);
        }
        let line = self.lines(at, READ_SIZE)?.next(at + 1)?;
        Ok(line.filter(|line| line.start == at).map_or(at, |line| line.end))
    }

    /// Whether what is before the position is the end of a line: also what no line goes on behind.
    fn ends_line(&mut self, at: u64) -> mmlog::Result<bool> {
        self.source.seek(Position::new(at - 1))?;
        let mut byte = [0];
        loop {
            match next_piece(self.source, Some(Position::new(at)), &mut byte)? {
                Piece::Data { bytes, .. } => return Ok(bytes.first() == Some(&self.newline)),
                Piece::Segment(_) => {}
                _ => return Ok(true),
            }
        }
    }

    fn lines(&mut self, at: u64, buffer: usize) -> mmlog::Result<Lines<'_, S>> {
        self.source.seek(Position::new(at))?;
        Ok(Lines { source: self.source, newline: self.newline, at, buf: vec![0; buffer], have: 0..0 })
    }

    /// Whether lines at that end of the stretch say that they are of another time than they were appended at.
    fn differ(&mut self, judge: &Judge, edge: &Edge) -> mmlog::Result<bool> {
        let Range { start, end } = edge.positions;
        let from = match judge.asked {
            Asked::Since(_) => start,
            Asked::Until(_) => end.saturating_sub(SAMPLE_REACH).max(start),
        };
        let mut lines = self.lines(from, SAMPLE_READ)?;
        if from > start {
            // This one may have begun before.
            let _ = lines.next(from + 1)?;
        }
        while let Some(line) = lines.next(end.min(from + SAMPLE_REACH))? {
            if judge.differs(&line) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The start of the first line that is wanted.
    fn first(&mut self, judge: &Judge, range: Range<u64>, mut differ: bool) -> mmlog::Result<u64> {
        let limit = range.end.min(range.start.saturating_add(self.most * TIMES_MOST));
        let mut lines = self.lines(range.start, READ_SIZE)?;
        let begun = Cut { cut: range.start, kept: range.start, is_open: false, is_found: false };
        let (mut exact, mut wide) = (begun, begun);
        while let Some(line) = lines.next(limit)? {
            let side = judge.side(&line);
            differ |= judge.differs(&line);
            exact.look(&line, side);
            wide.look(&line, side.map(Side::widened));
            if if differ { wide.is_found } else { exact.is_found } {
                break;
            }
        }
        Ok(if differ { wide.start() } else { exact.start() })
    }

    /// Behind the last line that is wanted; nothing when the range is too long to be read.
    fn behind_last(
        &mut self,
        judge: &Judge,
        range: Range<u64>,
        mut differ: bool,
    ) -> mmlog::Result<Option<u64>> {
        if range.end - range.start > self.most * TIMES_MOST {
            return Ok(Some(range.end));
        }
        let mut lines = self.lines(range.start, READ_SIZE)?;
        let (mut exact, mut wide, mut last) = (range.start, range.start, None);
        while let Some(line) = lines.next(range.end)? {
            let side = judge.side(&line);
            differ |= judge.differs(&line);
            let goes = |side: Option<Side>| match side {
                Some(side) => side >= Side::Behind,
                None => last == Some(Side::FarBehind),
            };
            if !goes(side) {
                exact = line.end;
            }
            if !goes(side.map(Side::widened)) {
                wide = line.end;
            }
            last = side.or(last);
        }
        Ok(Some(if differ { wide } else { exact }))
    }

    /// The part that has to be read line by line; nothing where lines do not tell.
    fn halve(&mut self, judge: &Judge, mut range: Range<u64>) -> mmlog::Result<Option<Range<u64>>> {
        while range.end.saturating_sub(range.start) > self.most {
            let Some(samples) = self.samples(judge, &range)? else { return Ok(None) };
            let (before, behind) = match judge.asked {
                Asked::Since(_) => (Side::FarBefore, Side::At),
                Asked::Until(_) => (Side::At, Side::FarBehind),
            };
            let low = samples.iter().rev().find(|(_, side)| *side <= before);
            let high = samples.iter().find(|(_, side)| *side >= behind);
            let low = low.map_or(range.start, |(at, _)| *at);
            let high = high.map_or(range.end, |(at, _)| *at);
            let is_stuck = high - low > (range.end - range.start) / 2;
            range = low..high;
            if is_stuck {
                break;
            }
        }
        Ok(Some(range))
    }

    /// Lines all over the range with their sides; nothing unless each has a time and they are in order.
    fn samples(&mut self, judge: &Judge, range: &Range<u64>) -> mmlog::Result<Option<Vec<(u64, Side)>>> {
        let step = (range.end - range.start) / SAMPLES;
        let mut found = Vec::new();
        let mut newest: Option<LineTime> = None;
        for nth in 0..SAMPLES {
            let Some((at, time)) = self.sample(judge, range.start + nth * step)? else { return Ok(None) };
            let is_older = |newest: LineTime| time.earliest < newest.earliest || time.latest < newest.latest;
            if newest.is_some_and(is_older) {
                return Ok(None);
            }
            newest = Some(time);
            found.push((at, judge.side_of(time)));
        }
        Ok(Some(found))
    }

    /// The first line with a time that begins behind the position, not far from it.
    fn sample(&mut self, judge: &Judge, from: u64) -> mmlog::Result<Option<(u64, LineTime)>> {
        let mut lines = self.lines(from, SAMPLE_READ)?;
        // This one may have begun before.
        let _ = lines.next(from + 1)?;
        while let Some(line) = lines.next(from + SAMPLE_REACH)? {
            if let Some(time) = judge.time(&line) {
                return Ok(Some((line.start, time)));
            }
        }
        Ok(None)
    }
}

/// On which side of the asked time a line is.
#[derive(Copy, Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Side {
    /// More than the margin before it.
    FarBefore,
    Before,
    /// It may be of the asked time itself.
    At,
    Behind,
    /// More than the margin behind it.
    FarBehind,
}

impl Side {
    /// Where lines are of another time than they were appended at, all that is near may be of the asked time.
    fn widened(self) -> Self {
        if matches!(self, Self::Before | Self::Behind) { Self::At } else { self }
    }
}

/// Where the first wanted line begins, as far as lines were looked at.
#[derive(Copy, Clone)]
struct Cut {
    /// All before goes.
    cut: u64,
    /// The line that those without a time behind it belong to.
    kept: u64,
    is_open: bool,
    is_found: bool,
}

impl Cut {
    fn look(&mut self, line: &Line, side: Option<Side>) {
        match side {
            _ if self.is_found => {}
            Some(Side::FarBefore) => (self.kept, self.cut, self.is_open) = (line.start, line.end, false),
            Some(Side::Before) if !self.is_open => (self.kept, self.cut) = (line.start, line.end),
            Some(_) => self.is_found = true,
            None => self.is_open = true,
        }
    }

    const fn start(&self) -> u64 {
        if self.is_open { self.kept } else { self.cut }
    }
}

/// What a line's time means.
struct Judge {
    asked: Asked,
    at: i128,
    /// Which times are believed.
    plausible: (i128, i128),
    unsaid: Unsaid,
}

impl Judge {
    fn new(edge: &Edge, asked: Asked, zone: &TimeZone) -> Self {
        let (Asked::Since(at) | Asked::Until(at)) = asked;
        let time = |at: SystemTime, unknown| Timestamp::try_from(at).unwrap_or(unknown);
        let (from, to) = (time(edge.times.start, Timestamp::MIN), time(edge.times.end, Timestamp::MAX));
        Self {
            asked,
            at: at.as_nanosecond(),
            plausible: (from.as_nanosecond() - MARGIN, to.as_nanosecond() + MARGIN),
            unsaid: Unsaid { zone: zone.clone(), before: to },
        }
    }

    fn time(&self, line: &Line) -> Option<LineTime> {
        let (from, to) = self.plausible;
        line::of(line.front(), &self.unsaid).filter(|time| time.latest >= from && time.earliest <= to)
    }

    fn side(&self, line: &Line) -> Option<Side> {
        self.time(line).map(|time| self.side_of(time))
    }

    /// Whether a line says that it is older than the stretch that it was appended in; for the end, newer.
    fn differs(&self, line: &Line) -> bool {
        let (from, to) = self.plausible;
        self.time(line).is_some_and(|time| match self.asked {
            Asked::Since(_) => time.latest < from + MARGIN - AGREES,
            Asked::Until(_) => time.earliest > to - MARGIN + AGREES,
        })
    }

    const fn side_of(&self, time: LineTime) -> Side {
        match time {
            _ if time.latest < self.at - MARGIN => Side::FarBefore,
            _ if time.earliest > self.at + MARGIN => Side::FarBehind,
            _ if time.latest < self.at => Side::Before,
            _ if time.earliest > self.at => Side::Behind,
            _ => Side::At,
        }
    }
}

/// A line's place, and how it begins.
struct Line {
    start: u64,
    /// Behind its newline.
    end: u64,
    begins: [u8; REACH],
    has: usize,
}

impl Line {
    const fn at(start: u64) -> Self {
        Self { start, end: start, begins: [0; REACH], has: 0 }
    }

    fn goes_on(&mut self, bytes: &[u8]) {
        let more = bytes.len().min(REACH - self.has);
        self.begins[self.has..self.has + more].copy_from_slice(&bytes[..more]);
        self.has += more;
        self.end += bytes.len() as u64;
    }

    fn front(&self) -> &[u8] {
        &self.begins[..self.has]
    }
}

/// One line after the other. A hole ends one, as it ends its writer's message.
struct Lines<'a, S> {
    source: &'a mut S,
    newline: u8,
    /// Position of what is there and not given yet.
    at: u64,
    buf: Vec<u8>,
    have: Range<usize>,
}

impl<S: Source> Lines<'_, S> {
    /// The next line, if it begins before `limit`.
    fn next(&mut self, limit: u64) -> mmlog::Result<Option<Line>> {
        let mut begun: Option<Line> = None;
        loop {
            if self.have.is_empty() {
                if begun.is_none() && self.at >= limit {
                    return Ok(None);
                }
                match next_piece(self.source, None, &mut self.buf)? {
                    Piece::Data { at, bytes } => (self.at, self.have) = (at.get(), 0..bytes.len()),
                    Piece::Hole { at, len, .. } | Piece::Unread { at, len, .. } => {
                        self.at = at.get() + len;
                        if begun.is_some() {
                            return Ok(begun);
                        }
                        continue;
                    }
                    Piece::Segment(_) => continue,
                    Piece::CaughtUp | Piece::End => return Ok(begun),
                }
            }
            if begun.is_none() && self.at >= limit {
                return Ok(None);
            }
            let line = begun.get_or_insert(Line::at(self.at));
            let bytes = &self.buf[self.have.clone()];
            let ends = memchr::memchr(self.newline, bytes);
            let bytes = &bytes[..ends.map_or(bytes.len(), |newline| newline + 1)];
            line.goes_on(bytes);
            self.have.start += bytes.len();
            self.at += bytes.len() as u64;
            // Nobody's line is longer.
            if ends.is_some() || line.end - line.start > MOST {
                return Ok(begun);
            }
        }
    }
}

#[cfg(test)]
mod tests;
