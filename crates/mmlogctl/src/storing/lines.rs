//! What is stored for a piece of input: time and prefix before each line, long lines split.
//!
//! Most of the time that is the piece itself, untouched and uncopied; only who asks for a time,
//! a prefix or a line limit below the buffer's size pays for looking at each line.

use std::collections::TryReserveError;

use memchr::memchr;

use super::buffer::{BUFFER, Piece};

#[derive(Debug)]
pub(crate) struct Lines {
    longest: usize,
    style: Style,
    /// What stands behind a piece of a line that goes on in the next: a mark, and a newline.
    split_end: Vec<u8>,
    /// The line that comes next is the rest of one that has been split, and said so.
    continuing: bool,
    /// What is stored, where it differs from the input.
    dressed: Vec<u8>,
}

#[derive(Debug)]
enum Style {
    /// The buffer holds no line that is too long; nothing to do by line.
    Plain,
    Each {
        time: Time,
        prefix: String,
    },
}

#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Time {
    Omit,
    Put,
}

/// What [`Lines::next`] took from its piece.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) struct Taken {
    /// Bytes of the piece.
    pub(crate) bytes: usize,
    /// How many lines in it are too long, each counted once.
    pub(crate) split_lines: usize,
}

impl Lines {
    /// No line is longer than `longest`; each gets the time, if asked for, and the prefix.
    pub(crate) fn new(longest: usize, time: Time, prefix: &str) -> Self {
        let plain = time == Time::Omit && prefix.is_empty() && longest >= BUFFER;
        let style = if plain { Style::Plain } else { Style::Each { time, prefix: prefix.to_owned() } };
        Self { longest, style, ..Self::untouched() }
    }

    /// The same with a mark at the end of each piece of a line that goes on in the next.
    pub(crate) fn marking(self, mark: &str) -> Self {
        Self { split_end: format!("{mark}\n").into_bytes(), ..self }
    }

    /// Reserves all that is ever needed, so that memory cannot run out later.
    pub(crate) fn reserve(&mut self) -> Result<(), TryReserveError> {
        match &self.style {
            Style::Plain => Ok(()),
            Style::Each { time, prefix } => {
                let before = before(*time, prefix).len();
                self.dressed.try_reserve_exact(BUFFER + before + self.longest + self.split_end.len())
            }
        }
    }

    /// Nothing is looked at.
    pub(crate) fn untouched() -> Self {
        let split_end = b"\n".to_vec();
        Self { longest: BUFFER, style: Style::Plain, split_end, continuing: false, dressed: Vec::new() }
    }

    pub(crate) const fn longest(&self) -> usize {
        self.longest
    }

    /// Takes some of `piece` and makes it ready; [`Lines::parts`] is what to store for it.
    pub(crate) fn next(&mut self, piece: &Piece<'_>) -> Taken {
        match &self.style {
            Style::Plain => self.plain(piece),
            Style::Each { time, prefix } => {
                let before = before(*time, prefix);
                self.each(piece, before.as_bytes())
            }
        }
    }

    /// A line of our own, as those of the input are.
    pub(crate) fn own(&self, text: &str) -> String {
        match &self.style {
            Style::Plain => format!("{text}\n"),
            Style::Each { time, prefix } => format!("{}{text}\n", before(*time, prefix)),
        }
    }

    /// What to store for what was taken, in two parts so that nothing is copied for a newline.
    pub(crate) fn parts<'a>(&'a self, piece: &Piece<'a>) -> [&'a [u8]; 2] {
        match (&self.style, piece) {
            (Style::Each { .. }, _) => [&self.dressed, b""],
            (Style::Plain, Piece::Whole(bytes)) => [bytes, b""],
            (Style::Plain, Piece::Split(bytes)) => [bytes, &self.split_end],
            (Style::Plain, Piece::Rest(bytes)) => [bytes, b"\n"],
        }
    }

    fn plain(&mut self, piece: &Piece<'_>) -> Taken {
        let first_split = !self.continuing;
        let (bytes, splits) = match piece {
            Piece::Split(bytes) => (bytes, true),
            Piece::Whole(bytes) | Piece::Rest(bytes) => (bytes, false),
        };
        self.continuing = splits;
        Taken { bytes: bytes.len(), split_lines: usize::from(splits && first_split) }
    }

    fn each(&mut self, piece: &Piece<'_>, before: &[u8]) -> Taken {
        let (Piece::Whole(bytes) | Piece::Split(bytes) | Piece::Rest(bytes)) = piece;
        let goes_on = matches!(piece, Piece::Split(_));
        self.dressed.clear();
        let mut taken = Taken { bytes: 0, split_lines: 0 };
        while taken.bytes < bytes.len() && self.dressed.len() < BUFFER {
            let rest = &bytes[taken.bytes..];
            let most = rest.len().min(self.longest);
            let (line, length, ended) = match memchr(b'\n', &rest[..rest.len().min(self.longest + 1)]) {
                Some(at) => (&rest[..at], at + 1, true),
                None => (&rest[..most], most, most == rest.len() && !goes_on),
            };
            self.dressed.extend_from_slice(before);
            self.dressed.extend_from_slice(line);
            let end: &[u8] = if ended { b"\n" } else { &self.split_end };
            self.dressed.extend_from_slice(end);
            taken.bytes += length;
            taken.split_lines += usize::from(!ended && !self.continuing);
            self.continuing = !ended;
        }
        taken
    }
}

/// What stands before a line.
fn before(time: Time, prefix: &str) -> String {
    match time {
        Time::Omit => prefix.to_owned(),
        Time::Put => format!("{:.6} {prefix}", crate::text::now()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(longest: usize, prefix: &str) -> Lines {
        Lines::new(longest, Time::Omit, prefix)
    }

    fn plain() -> Lines {
        Lines::new(BUFFER, Time::Omit, "")
    }

    #[test]
    fn plain_lines_are_passed_through_uncopied() {
        let mut lines = plain();
        let piece = Piece::Whole(b"a\nb\n");
        assert_eq!(lines.next(&piece), Taken { bytes: 4, split_lines: 0 });
        assert_eq!(lines.parts(&piece), [&b"a\nb\n"[..], b""]);
        assert_eq!(lines.parts(&Piece::Rest(b"c")), [&b"c"[..], b"\n"]);
    }

    #[test]
    fn a_line_split_many_times_is_said_once() {
        let mut lines = plain();
        let said = [Piece::Split(b"x"), Piece::Split(b"x"), Piece::Whole(b"x\ny\n"), Piece::Split(b"z")]
            .map(|piece| lines.next(&piece).split_lines);
        assert_eq!(said, [1, 0, 0, 1]);
    }

    #[test]
    fn every_line_gets_the_prefix() {
        let mut lines = each(100, "> ");
        let piece = Piece::Whole(b"a\n\nb\n");
        assert_eq!(lines.next(&piece).bytes, 5);
        assert_eq!(lines.parts(&piece)[0], b"> a\n> \n> b\n");
        lines.next(&Piece::Rest(b"c"));
        assert_eq!(lines.dressed, b"> c\n");
    }

    #[test]
    fn a_limit_splits_each_long_line_and_counts_it_once() {
        let mut lines = each(3, "");
        let taken = lines.next(&Piece::Whole(b"abc\nabcd\nabcdefg\nx\n"));
        assert_eq!(lines.dressed, b"abc\nabc\nd\nabc\ndef\ng\nx\n");
        assert_eq!(taken.split_lines, 2);
    }

    #[test]
    fn pieces_that_go_on_are_marked() {
        for whole in ["abc", "abcd", "abcdefg", "abcdef"] {
            let mut lines = each(3, "").marking("+");
            lines.next(&Piece::Whole(format!("{whole}\nx\n").as_bytes()));
            let joined = String::from_utf8_lossy(&lines.dressed).replace("+\n", "");
            assert_eq!(joined, format!("{whole}\nx\n"));
        }
        let lines = plain().marking("+");
        assert_eq!(lines.parts(&Piece::Split(b"abc")), [&b"abc"[..], b"+\n"]);
    }

    #[test]
    fn a_line_split_across_pieces_is_said_once() {
        let mut lines = each(3, "");
        let said = [Piece::Split(b"abcdef"), Piece::Whole(b"ghijk\nl\n"), Piece::Rest(b"abcd")]
            .map(|piece| lines.next(&piece).split_lines);
        assert_eq!(said, [1, 0, 1]);
    }

    #[test]
    fn a_batch_stays_bounded_when_prefixes_outweigh_the_lines() {
        let mut lines = each(100, &"p".repeat(100));
        let input = vec![b'\n'; BUFFER];
        let taken = lines.next(&Piece::Whole(&input));
        assert!(taken.bytes < BUFFER);
        assert!(lines.dressed.len() < BUFFER + 102);
    }

    #[test]
    fn the_time_is_rfc_3339_in_utc_with_microseconds() {
        let mut lines = Lines::new(100, Time::Put, "p ");
        lines.next(&Piece::Whole(b"x\n"));
        let text = String::from_utf8_lossy(&lines.dressed);
        let (time, line) = text.split_once(' ').unwrap_or_default();
        assert_eq!((time.len(), &time[19..20], &time[26..], line), (27, ".", "Z", "p x\n"));
        assert!(time.parse::<jiff::Timestamp>().is_ok());
    }
}
