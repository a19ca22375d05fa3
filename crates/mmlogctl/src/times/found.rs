//! The range of a log that a range of times is.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use mmlog::{Edge, Follower, Log, Span, Start, units};

use super::narrow::{Asked, Finder};
use super::{TimeRange, local, told};

/// A range of positions that holds whatever was appended in the asked time.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Found {
    /// Where it begins: at the start of a line, not below the oldest position that is kept. Nothing without --since.
    pub from: Option<u64>,
    /// Where it ends, behind a line. Nothing without --until, or one that is still to come.
    pub to: Option<u64>,
    /// Something that was appended since then may have been pruned.
    pub is_pruned: bool,
    notices: Vec<String>,
    widths: Vec<String>,
}

impl Found {
    /// What there is to say of a span.
    fn of(span: &Span, since: Option<(Timestamp, &str)>) -> Self {
        let is_pruned = span.pruned_before.is_some();
        Self { notices: notices(span, since), is_pruned, ..Self::default() }
    }

    /// Lines for standard error: what was pruned, when the clock was set; for `-v`, how far the ends may be from what was
    /// asked for.
    pub fn said(&self, verbose: bool) -> impl Iterator<Item = &str> {
        let widths = if verbose { self.widths.as_slice() } else { &[] };
        self.notices.iter().chain(widths).map(String::as_str)
    }
}

impl TimeRange {
    /// The range of this log; nothing where no time was typed.
    ///
    /// # Errors
    /// When the log cannot be asked. What cannot be read in it only makes the range wider.
    pub fn find(&self, log: &Log, newline: u8) -> mmlog::Result<Option<Found>> {
        if !self.is_given() {
            return Ok(None);
        }
        let (since, until) = (self.begins(), self.ends());
        let span = self.span(log)?;
        let mut follower = log.follow(Start::Oldest)?;
        let (oldest, end) = (follower.position().get(), follower.watermark()?.get());
        let mut ends = Ends { finder: Finder::new(&mut follower, newline, local()), oldest, end };
        let mut found = Found::of(&span, since);
        if let Some((at, typed)) = since {
            let wide = ends.start(span.from);
            let edge = span.first.as_ref();
            let narrow = edge.and_then(|edge| ends.narrow(edge, Asked::Since(at))).unwrap_or(wide);
            found.from = Some(narrow);
            let off = edge.and_then(|edge| SystemTime::from(at).duration_since(edge.times.start).ok());
            found.widths.push(width(("--since", typed), "begins", narrow, narrow > wide, off));
        }
        if let (Some((at, typed)), Some(to)) = (until, span.to) {
            let wide = ends.behind(to);
            let edge = span.last.as_ref();
            let narrow = edge.and_then(|edge| ends.narrow(edge, Asked::Until(at))).unwrap_or(wide);
            let to = narrow.max(found.from.unwrap_or(oldest));
            found.to = Some(to);
            let off = edge.and_then(|edge| edge.times.end.duration_since(at.into()).ok());
            found.widths.push(width(("--until", typed), "ends", to, narrow < wide, off));
        }
        Ok(Some(found))
    }

    /// The same as the log knows it, without a look at lines.
    ///
    /// # Errors
    /// When the log cannot be asked.
    pub fn touched(&self, log: &Log) -> mmlog::Result<Found> {
        let (since, span) = (self.begins(), self.span(log)?);
        Ok(Found { from: since.map(|_| span.from), to: span.to, ..Found::of(&span, since) })
    }

    fn span(&self, log: &Log) -> mmlog::Result<Span> {
        let time = |asked: (Timestamp, _)| SystemTime::from(asked.0);
        log.span(self.begins().map(time), self.ends().map(time))
    }

    /// The asked times, each with what was typed.
    fn begins(&self) -> Option<(Timestamp, &str)> {
        self.since.as_ref().map(|moment| (moment.earliest, moment.typed.as_str()))
    }

    fn ends(&self) -> Option<(Timestamp, &str)> {
        self.until.as_ref().map(|moment| (moment.latest, moment.typed.as_str()))
    }
}

/// The ends of a range, looked for in what is kept and final.
struct Ends<'a> {
    finder: Finder<'a, Follower>,
    oldest: u64,
    end: u64,
}

impl Ends<'_> {
    fn kept(&self, position: u64) -> u64 {
        position.min(self.end).max(self.oldest)
    }

    /// Where the line begins that the position is in. What cannot be read here is said by whoever reads it.
    fn start(&mut self, position: u64) -> u64 {
        let position = self.kept(position);
        self.finder.start_of_line(position, self.oldest).unwrap_or(position)
    }

    fn behind(&mut self, position: u64) -> u64 {
        let position = self.kept(position);
        self.finder.end_of_line(position, self.oldest).unwrap_or(position)
    }

    fn narrow(&mut self, edge: &Edge, asked: Asked) -> Option<u64> {
        let positions = self.start(edge.positions.start)..self.behind(edge.positions.end);
        self.finder.narrow(&Edge { positions, times: edge.times.clone() }, asked).ok().flatten()
    }
}

fn notices(span: &Span, since: Option<(Timestamp, &str)>) -> Vec<String> {
    let mut all = Vec::new();
    if let (Some(below), Some((_, typed))) = (span.pruned_before, since) {
        all.push(format!(
            "--since {typed}: positions 0 to {below} are pruned, and something of that time may have been there"
        ));
    }
    if let Some(jump) = &span.jumped {
        let time = |at: SystemTime| Timestamp::try_from(at).map_or_else(|_| "?".to_owned(), told);
        all.push(format!(
            "the clock was set from {} to {} in this range, so it may hold more than was asked for",
            time(jump.from),
            time(jump.to)
        ));
    }
    if span.by_files {
        all.push(
            "the log has not noted when this was, so the times of its files are taken; if they were copied or changed, \
             something of the asked time may be missing"
                .to_owned(),
        );
    }
    if span.approximate {
        all.push(
            "the clock was set so often that not all of that is known any more; something of the asked time may be missing"
                .to_owned(),
        );
    }
    all
}

fn width(asked: (&str, &str), word: &str, at: u64, to_the_line: bool, off: Option<Duration>) -> String {
    let (option, typed) = asked;
    let how = match off {
        _ if to_the_line => "to the line, by the times that lines begin with".to_owned(),
        Some(off) => format!("within {} of it", units::lasting(off)),
        None => "where the log does: when that was is not known".to_owned(),
    };
    format!("{option} {typed}: {word} at position {at}, {how}")
}
