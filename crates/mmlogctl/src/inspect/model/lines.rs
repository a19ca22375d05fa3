//! The last lines of a log, as they may be shown.

use std::collections::VecDeque;

use crate::inspect::tail::{Piece, note};
use crate::reading::escape::Escaper;

/// So many are kept.
const KEPT: usize = 2000;
/// Of a line, so many bytes.
const LONGEST: usize = 4096;

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A line of the log.
    Text,
    /// Something about it: a hole, a rotation.
    Note,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is.
    pub kind: Kind,
    /// Without control characters.
    pub text: String,
}

/// A ring of rows, numbered from the first that was ever there.
#[derive(Debug, Default)]
pub struct Lines {
    rows: VecDeque<Row>,
    /// The number of the first row that is kept.
    first: u64,
    /// The line that has no end yet.
    begun: Vec<u8>,
    /// Until the next newline nothing is shown: its beginning was not read.
    headless: Option<u64>,
}

impl Lines {
    /// Takes what was read.
    pub fn take(&mut self, piece: &Piece) {
        match piece {
            Piece::Start(at) => {
                *self = Self { headless: (*at > 0).then_some(0), ..Self::default() };
            }
            Piece::Bytes(bytes) => self.bytes(bytes),
            other => {
                self.end_line();
                let again = |row: &Row| Some(&row.text) == note(other).as_ref();
                if let Some(text) = note(other).filter(|_| !self.rows.back().is_some_and(again)) {
                    self.push(Kind::Note, crate::exit::printable(&text));
                }
                if let Piece::Skipped(_) = other {
                    self.headless = Some(0);
                }
            }
        }
    }

    fn bytes(&mut self, mut bytes: &[u8]) {
        if self.headless.is_some() {
            let Some(end) = memchr::memchr(b'\n', bytes) else { return };
            self.headless = None;
            bytes = &bytes[end + 1..];
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
            // One more tells that something is missing.
            let room = (LONGEST + 1).saturating_sub(self.begun.len());
            self.begun.extend_from_slice(&text[..text.len().min(room)]);
            if ends {
                let line = std::mem::take(&mut self.begun);
                self.push(Kind::Text, shown(&line));
            }
        }
    }

    fn end_line(&mut self) {
        if !self.begun.is_empty() {
            let line = std::mem::take(&mut self.begun);
            self.push(Kind::Text, shown(&line));
        }
    }

    fn push(&mut self, kind: Kind, text: String) {
        if self.rows.len() == KEPT {
            self.rows.pop_front();
            self.first += 1;
        }
        self.rows.push_back(Row { kind, text });
    }

    /// The numbers of all rows; a line without an end has one, too.
    #[must_use]
    pub fn range(&self) -> std::ops::Range<u64> {
        let begun = u64::from(!self.begun.is_empty());
        self.first..self.first + self.rows.len() as u64 + begun
    }

    /// The row of that number.
    #[must_use]
    pub fn row(&self, number: u64) -> Option<Row> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        match self.rows.get(index) {
            Some(row) => Some(row.clone()),
            None if index == self.rows.len() && !self.begun.is_empty() => {
                Some(Row { kind: Kind::Text, text: shown(&self.begun) })
            }
            None => None,
        }
    }

    /// The numbers of rows that have the text, in small or capital letters.
    #[must_use]
    pub fn matches(&self, text: &str) -> Vec<u64> {
        let wanted = text.to_lowercase();
        let has = |n: &u64| self.row(*n).is_some_and(|row| row.text.to_lowercase().contains(&wanted));
        if wanted.is_empty() { Vec::new() } else { self.range().filter(has).collect() }
    }
}

fn shown(line: &[u8]) -> String {
    let mut escaper = Escaper::default();
    let (front, dots) = if line.len() > LONGEST { (&line[..LONGEST], "...") } else { (line, "") };
    let mut safe = escaper.feed(front).to_vec();
    safe.extend_from_slice(escaper.finish());
    String::from_utf8_lossy(&safe).replace('\t', "    ") + dots
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &Lines) -> Vec<String> {
        lines.range().filter_map(|n| lines.row(n)).map(|row| row.text).collect()
    }

    fn of(pieces: &[Piece]) -> Lines {
        let mut lines = Lines::default();
        pieces.iter().for_each(|piece| lines.take(piece));
        lines
    }

    fn bytes(bytes: &[u8]) -> Piece {
        Piece::Bytes(bytes.to_vec())
    }

    #[test]
    fn lines_may_come_in_pieces_and_the_last_may_have_no_end() {
        let lines = of(&[Piece::Start(0), bytes(b"one\ntw"), bytes(b"o\nthr")]);
        assert_eq!(texts(&lines), ["one", "two", "thr"]);
    }

    #[test]
    fn a_line_whose_beginning_was_not_read_is_not_shown() {
        assert_eq!(texts(&of(&[Piece::Start(7), bytes(b"ne\ntwo\n")])), ["two"]);
        let lines = of(&[Piece::Start(0), bytes(b"a\nb"), Piece::Skipped(2048), bytes(b"c\nd\n")]);
        assert_eq!(texts(&lines), ["a", "b", "2K came faster than can be shown; `cat` has them", "d"]);
    }

    #[test]
    fn control_bytes_and_endless_lines_are_made_harmless() {
        let lines = of(&[Piece::Start(0), bytes(b"\x1b[2J\ta\xff\n"), bytes(&[b'x'; 100_000]), bytes(b"\n")]);
        let texts = texts(&lines);
        assert_eq!(texts[0], "\\u{1b}[2J    a\\xff");
        assert_eq!(texts[1].len(), LONGEST + 3);
    }

    #[test]
    fn the_same_trouble_is_said_once() {
        let trouble = Piece::Unreadable("gone".to_owned());
        assert_eq!(texts(&of(&[trouble.clone(), trouble])), ["gone"]);
    }

    #[test]
    fn the_ring_keeps_the_last_and_their_numbers() {
        let mut lines = of(&[Piece::Start(0)]);
        (0..3000).for_each(|n| lines.take(&bytes(format!("{n}\n").as_bytes())));
        assert_eq!(lines.range(), 1000..3000);
        assert_eq!(lines.row(1234).map(|row| row.text), Some("1234".to_owned()));
        assert_eq!(
            lines.matches("299"),
            [1299, 2299, 2990, 2991, 2992, 2993, 2994, 2995, 2996, 2997, 2998, 2999]
        );
    }
}
