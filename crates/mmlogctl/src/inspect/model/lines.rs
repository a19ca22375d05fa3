//! The last lines of a log, as they may be shown.

use std::collections::VecDeque;
use std::ops::Range;

use crate::inspect::sgr::{self, Runs};
use crate::inspect::tail::{Piece, note};
use crate::reading::escape::Escaper;

/// So many are kept.
const KEPT: usize = 2000;
/// Of a line, so many bytes.
const LONGEST: usize = 4096;
/// Where a line says how bad it is.
const WITHIN: usize = 200;

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A line of the log.
    Text,
    /// Something about it: a hole, a rotation.
    Note,
}

/// How bad a line says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// A warning.
    Warning,
    /// An error, or worse.
    Error,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is.
    pub kind: Kind,
    /// Without control characters.
    pub text: String,
    /// Its own colours.
    pub runs: Runs,
    /// How bad it says that it is, and where.
    pub level: Option<(Level, Range<usize>)>,
}

impl Row {
    fn note(text: String) -> Self {
        Self { kind: Kind::Note, text, runs: Runs::new(), level: None }
    }

    fn of(line: &[u8], is_tail: bool) -> Self {
        let mut escaper = Escaper::with_colours();
        let (cut, dots) = if line.len() > LONGEST { (LONGEST, "...") } else { (line.len(), "") };
        let part = if is_tail { &line[line.len() - cut..] } else { &line[..cut] };
        let mut safe = escaper.feed(part).to_vec();
        safe.extend_from_slice(escaper.finish());
        let text = String::from_utf8_lossy(&safe).replace('\t', "    ");
        let text = if is_tail { format!("...{text}") } else { text + dots };
        let (text, runs) = sgr::parsed(&text);
        let level = level(&text);
        Self { kind: Kind::Text, text, runs, level }
    }
}

/// A word in capitals, as most programs have it, or the value of a field that has that name.
fn level(text: &str) -> Option<(Level, Range<usize>)> {
    const ERRORS: [&str; 8] = ["ERROR", "FATAL", "PANIC", "CRITICAL", "CRIT", "ALERT", "EMERG", "SEVERE"];
    const WARNINGS: [&str; 2] = ["WARN", "WARNING"];
    let is_field = |before: &str| {
        let before = before.trim_end_matches(['"', '\'', ' ']);
        let name = before.strip_suffix(['=', ':']).map(|name| name.trim_end_matches(['"', '\'', ' ']));
        name.is_some_and(|name| name.ends_with("level") || name.ends_with("severity"))
    };
    let mut at = 0;
    for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        // The offset in the text: what separates words has any length.
        let start = at + text[at..].find(word)?;
        at = start + word.len();
        if start > WITHIN {
            return None;
        }
        if !(4..=8).contains(&word.len()) || word.contains(|c: char| c.is_ascii_digit()) {
            continue;
        }
        let is_said = word.bytes().all(|b| b.is_ascii_uppercase()) || is_field(&text[..start]);
        let has = |all: &[&str]| all.iter().any(|known| word.eq_ignore_ascii_case(known));
        match (is_said, has(&ERRORS), has(&WARNINGS)) {
            (true, true, _) => return Some((Level::Error, start..at)),
            (true, _, true) => return Some((Level::Warning, start..at)),
            _ => {}
        }
    }
    None
}

/// A ring of rows, numbered from the first that was ever there.
#[derive(Debug, Default)]
pub struct Lines {
    rows: VecDeque<Row>,
    /// The number of the first row that is kept.
    first: u64,
    /// The line that has no end yet.
    begun: Vec<u8>,
    /// Of that line the beginning was not read; it is shown only while there is no other, or if it is a long one.
    headless: bool,
}

impl Lines {
    /// Takes what was read.
    pub fn take(&mut self, piece: &Piece) {
        match piece {
            Piece::Start(at) => {
                *self = Self { headless: *at > 0, ..Self::default() };
            }
            Piece::Bytes(bytes) => self.bytes(bytes),
            other => {
                self.end_line();
                let text = note(other).map(|text| crate::exit::printable(&text)).unwrap_or_default();
                // What is wrong and what to do each have a row: a screen is narrow.
                let is_long = matches!(other, Piece::Unreadable(_));
                let said: Vec<&str> = if is_long { text.split("; ").collect() } else { vec![&text] };
                let last = self.rows.iter().skip(self.rows.len().saturating_sub(said.len()));
                if !last.map(|row| row.text.as_str()).eq(said.iter().copied()) {
                    said.iter().for_each(|part| self.push(Row::note((*part).to_owned())));
                }
                self.headless = matches!(other, Piece::Skipped(_));
            }
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
            // One more tells that something is missing.
            if self.headless {
                self.begun.extend_from_slice(&text[text.len().saturating_sub(LONGEST + 1)..]);
                self.begun.drain(..self.begun.len().saturating_sub(LONGEST + 1));
            } else {
                let room = (LONGEST + 1).saturating_sub(self.begun.len());
                self.begun.extend_from_slice(&text[..text.len().min(room)]);
            }
            if ends {
                let line = std::mem::take(&mut self.begun);
                let headless = std::mem::take(&mut self.headless);
                if !headless || line.len() > LONGEST {
                    self.push(Row::of(&line, headless));
                }
            }
        }
    }

    fn end_line(&mut self) {
        if !self.begun.is_empty() {
            let line = std::mem::take(&mut self.begun);
            if !self.headless || line.len() > LONGEST {
                self.push(Row::of(&line, self.headless));
            }
        }
    }

    fn push(&mut self, row: Row) {
        if self.rows.len() == KEPT {
            self.rows.pop_front();
            self.first += 1;
        }
        self.rows.push_back(row);
    }

    /// Whether the line that has no end is shown.
    fn shows_begun(&self) -> bool {
        !self.begun.is_empty() && (!self.headless || self.rows.is_empty() || self.begun.len() > LONGEST)
    }

    /// The numbers of all rows; a line without an end has one, too.
    #[must_use]
    pub fn range(&self) -> std::ops::Range<u64> {
        let begun = u64::from(self.shows_begun());
        self.first..self.first + self.rows.len() as u64 + begun
    }

    /// The row of that number.
    #[must_use]
    pub fn row(&self, number: u64) -> Option<Row> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        match self.rows.get(index) {
            Some(row) => Some(row.clone()),
            None if index == self.rows.len() && self.shows_begun() => {
                Some(Row::of(&self.begun, self.headless))
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
    fn of_a_long_line_whose_beginning_was_not_read_the_end_is_shown() {
        let long = vec![b'x'; 2 * LONGEST];
        let begun = of(&[Piece::Start(7), bytes(&long), bytes(b"end")]);
        assert!(texts(&begun)[0].starts_with("...xx") && texts(&begun)[0].ends_with("xend"));
        let ended = of(&[Piece::Start(7), bytes(&long), bytes(b"end\n")]);
        assert!(texts(&ended)[0].ends_with("xend"), "also once it is whole");
        assert_eq!(texts(&of(&[Piece::Start(7), bytes(b"short")])), ["...short"], "while there is no other");
    }

    #[test]
    fn a_line_says_how_bad_it_is_in_capitals_or_in_a_field() {
        let level = |text: &str| level(text).map(|(level, at)| (level, text[at].to_owned()));
        let (error, warning) =
            (|w: &str| Some((Level::Error, w.to_owned())), |w: &str| Some((Level::Warning, w.to_owned())));
        assert_eq!(level("2026-01-02 [ERROR] no"), error("ERROR"));
        assert_eq!(level("x WARN: y ERROR"), warning("WARN"));
        assert_eq!(level(r#"{"level": "error", "msg": "no"}"#), error("error"));
        assert_eq!(level("time=1 level=warning msg=x"), warning("warning"));
        for fine in ["", "no error here", "ERRORS_TOTAL 5", "level=info error=x", "\u{e4}\u{e4} ok"] {
            assert_eq!(level(fine), None, "{fine}");
        }
    }

    #[test]
    fn a_line_s_own_colours_are_kept_beside_its_text() {
        let lines = of(&[Piece::Start(0), bytes(b"a\x1b[31mred\x1b[0m\n")]);
        let row = lines.row(0);
        assert_eq!(row.as_ref().map(|row| (row.text.as_str(), row.runs.len())), Some(("ared", 2)));
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
    fn the_same_trouble_is_said_once_and_what_to_do_has_a_row_of_its_own() {
        let trouble = Piece::Unreadable("cut; run `mmlogctl repair app.log`".to_owned());
        assert_eq!(texts(&of(&[trouble.clone(), trouble])), ["cut", "run `mmlogctl repair app.log`"]);
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
