//! `--read`: one pass over the lines.

use std::path::Path;

use mmlog::{Follower, Log, Position, Start};

use super::common::{Common, EXAMPLE};
use super::shape::{LEVELS, REACH, Shaper};
use super::timeline::Part;
use crate::exit::{Exit, Failure, shown};
use crate::output::Output;
use crate::progress::Bar;
use crate::reading::copy::{Copier, Given, Order, Plain, Shown, Sink, Stopped};
use crate::reading::seen::keep_seen;
use crate::reading::skip::Skip;
use crate::reading::{self, Holes};
use crate::signals;

/// What the lines of a log are like.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) bytes: u64,
    pub(super) lines: u64,
    /// The last one has no end yet.
    pub(super) is_cut: bool,
    pub(super) empty: u64,
    /// Length without the newline, and where it begins.
    pub(super) longest: Option<(u64, u64)>,
    pub(super) levels: [u64; LEVELS.len()],
    pub(super) common: Common,
    /// Ranges without bytes: holes, and what standard error names; how many, and their bytes.
    pub(super) missing: (u64, u64),
    /// Lines of each part of the timeline.
    pub(super) of_parts: Vec<u64>,
}

impl Lines {
    /// Bytes of a line, with the newline.
    pub(super) fn mean(&self) -> Option<u64> {
        self.bytes.checked_div(self.lines)
    }
}

/// Reads what lies in a range, as `cat` does.
pub(super) fn read(
    path: &Path,
    log: &Log,
    range: (Option<u64>, Option<u64>),
    parts: &[Part],
    out: &mut Output,
) -> Result<(Lines, Exit), Failure> {
    reading::say_left_out(log, out)?;
    let now = log.watermark()?;
    let start = range.0.map_or(Start::Oldest, |from| Start::At(Position::new(from)));
    let until = range.1.map_or(now, |to| now.min(Position::new(to)));
    let mut follower = log.follow(start)?;
    keep_seen(&follower);
    if let Some(notice) = reading::unrecovered(path, &follower)? {
        out.notice(&notice);
    }
    let from = follower.position();
    let mut counter = Counter::new(path, (from, until), parts, out);
    let mut copier = Copier::new(Holes::Skip, Skip::NOTHING, Box::new(Plain));
    if from < until && copier.copy(&mut follower, Some(until), &mut counter)? == Stopped::Ordered {
        return Err(told_to_stop(path, &follower, until));
    }
    let (lines, exit) = counter.end();
    if range.1.is_none()
        && let Some(text) = reading::outside(path, &follower)?
    {
        out.notice(&format!("{}: {text}", shown(path)));
    }
    match reading::damage(path, &mut follower)? {
        Some(damage) => Ok((lines, exit.max(reading::report(damage, out)?))),
        None => Ok((lines, exit)),
    }
}

fn told_to_stop(path: &Path, follower: &Follower, until: Position) -> Failure {
    let at = follower.position();
    let text = format!(
        "{}: told to stop at position {at} of {until}; --since and --until read less of it",
        shown(path)
    );
    Failure::new(Exit::Failed, text)
}

/// Counts lines as they go by.
struct Counter<'a> {
    path: &'a Path,
    out: &'a mut Output,
    bar: Bar,
    worst: Exit,
    lines: Lines,
    shaper: Shaper,
    /// Where bytes go on, if nothing is missing.
    next: u64,
    /// The line that has begun: where, its length, and what is kept of it.
    begun: Option<(u64, u64)>,
    kept: Vec<u8>,
    parts: &'a [Part],
    /// The part that the last line was in, or the next one.
    part: usize,
}

impl<'a> Counter<'a> {
    fn new(path: &'a Path, range: (Position, Position), parts: &'a [Part], out: &'a mut Output) -> Self {
        let (from, to) = (range.0.get(), range.1.get().max(range.0.get()));
        let lines = Lines { from, to, of_parts: vec![0; parts.len()], ..Lines::default() };
        Self {
            path,
            bar: Bar::new(out.error_is_terminal()),
            out,
            worst: Exit::Done,
            lines,
            shaper: Shaper::default(),
            next: from,
            begun: None,
            kept: Vec::with_capacity(REACH),
            parts,
            part: 0,
        }
    }

    fn feed(&mut self, at: u64, bytes: &[u8]) {
        self.goes_on(at);
        self.next = at + bytes.len() as u64;
        self.lines.bytes += bytes.len() as u64;
        let mut from = 0;
        for newline in memchr::memchr_iter(b'\n', bytes) {
            let piece = &bytes[from..newline];
            match self.begun {
                None => self.line(at + from as u64, piece.len() as u64, piece),
                Some(_) => {
                    self.keep(at + from as u64, piece);
                    self.end_begun();
                }
            }
            from = newline + 1;
        }
        if from < bytes.len() {
            self.keep(at + from as u64, &bytes[from..]);
        }
    }

    /// What lies between is missing.
    fn goes_on(&mut self, at: u64) {
        if at > self.next {
            self.lines.missing.0 += 1;
            self.lines.missing.1 += at - self.next;
        }
    }

    fn keep(&mut self, at: u64, piece: &[u8]) {
        let (_, len) = self.begun.get_or_insert((at, 0));
        *len += piece.len() as u64;
        let room = REACH.saturating_sub(self.kept.len()).min(piece.len());
        self.kept.extend_from_slice(&piece[..room]);
    }

    fn end_begun(&mut self) {
        if let Some((at, len)) = self.begun.take() {
            let kept = std::mem::take(&mut self.kept);
            self.line(at, len, &kept);
            self.kept = kept;
            self.kept.clear();
        }
    }

    fn line(&mut self, at: u64, len: u64, text: &[u8]) {
        let lines = &mut self.lines;
        lines.lines += 1;
        lines.empty += u64::from(len == 0);
        if lines.longest.is_none_or(|(longest, _)| len > longest) {
            lines.longest = Some((len, at));
        }
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let (shape, level) = self.shaper.of(text);
        if let Some(level) = level {
            lines.levels[level] += 1;
        }
        lines.common.note(shape, at, &text[..text.len().min(EXAMPLE)]);
        while self.parts.get(self.part).is_some_and(|part| part.to <= at) {
            self.part += 1;
        }
        if self.parts.get(self.part).is_some_and(|part| part.from <= at) {
            lines.of_parts[self.part] += 1;
        }
    }

    fn end(mut self) -> (Lines, Exit) {
        self.goes_on(self.lines.to);
        self.lines.is_cut = self.begun.is_some();
        self.end_begun();
        (self.lines, self.worst)
    }
}

impl Sink for Counter<'_> {
    fn write(&mut self, shown: Shown<'_>) -> Result<(), Failure> {
        if let Given::Bytes(at) = shown.given {
            self.feed(at.get(), shown.bytes);
        }
        let (done, all) = (self.next - self.lines.from, self.lines.to - self.lines.from);
        self.bar.at(&crate::exit::shown(self.path), done, all, self.out);
        Ok(())
    }

    fn say(&mut self, text: &str) {
        self.out.notice(&format!("{}: {text}", shown(self.path)));
    }

    fn worsen(&mut self, to: Exit) {
        self.worst = self.worst.max(to);
    }

    fn order(&self) -> Order {
        if signals::came() { Order::Stop } else { Order::GoOn }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(pieces: &[(u64, &str)], to: u64) -> Lines {
        let mut out = Output::memory();
        let parts = [Part { from: 0, to: 6, row: 0 }, Part { from: 8, to: 100, row: 1 }];
        let range = (Position::new(0), Position::new(to));
        let mut counter = Counter::new(Path::new("a"), range, &parts, &mut out);
        for (at, text) in pieces {
            counter.feed(*at, text.as_bytes());
        }
        counter.end().0
    }

    #[test]
    fn lines_are_the_same_however_they_are_read() {
        let text = "a 1\n\nlonger 22\nb";
        for cut in 0..text.len() {
            let lines = counted(&[(0, &text[..cut]), (cut as u64, &text[cut..])], text.len() as u64);
            assert_eq!((lines.lines, lines.empty, lines.bytes, lines.is_cut), (4, 1, 16, true), "{cut}");
            assert_eq!((lines.longest, lines.missing), (Some((9, 5)), (0, 0)), "{cut}");
            assert_eq!(lines.of_parts, [3, 1], "{cut}");
            let shapes: Vec<_> = lines.common.top(9).iter().map(|e| (e.shape.clone(), e.first)).collect();
            let expected = [("a <n>", 0), ("", 4), ("longer <n>", 5), ("b", 15)];
            assert_eq!(shapes, expected.map(|(shape, at)| (shape.as_bytes().to_vec(), at)), "{cut}");
        }
    }

    #[test]
    fn what_is_missing_is_counted_and_a_line_goes_on_behind_it() {
        let lines = counted(&[(0, "a\nb"), (10, "c\n")], 20);
        assert_eq!((lines.lines, lines.missing), (2, (2, 15)));
        assert_eq!(lines.longest, Some((2, 2)));
    }
}
