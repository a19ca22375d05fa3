//! The bytes read and not yet stored, and where the last line ends.
//!
//! Bounded: [`BUFFER`] bytes, or as many as the longest line and its newline need; all of it is had before the first
//! byte is read, so that memory cannot run out later; only what is used is touched. A newline is looked for once in every byte, backwards from the end of what was read.

use std::collections::TryReserveError;
use std::hint::black_box;
use std::ops::Range;

/// How much is read, and appended as one message, at a time.
pub(crate) const BUFFER: usize = 1 << 20;

/// What may be stored on its own.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Framing {
    /// Whole lines; one longer than `longest`, newline not counted, comes in pieces.
    Lines { longest: usize },
    /// Anything.
    Bytes,
}

/// How much is to be stored now.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Upto {
    /// A line without its newline waits for more.
    LastLine,
    /// Nothing more comes.
    End,
}

/// The next bytes to store.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Piece<'a> {
    /// As they are: whole lines, or raw bytes.
    Whole(&'a [u8]),
    /// Some of a line too long to be held, which goes on afterwards.
    Split(&'a [u8]),
    /// The last line, whose newline is missing.
    Rest(&'a [u8]),
}

#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    /// What is read and not stored.
    held: Range<usize>,
    /// The end of the last whole line; `held.start` if there is none.
    line_end: usize,
    framing: Framing,
}

impl Buffer {
    pub(crate) fn new(framing: Framing) -> Result<Self, TryReserveError> {
        let capacity = match framing {
            Framing::Lines { longest } => BUFFER.max(longest + 1),
            Framing::Bytes => BUFFER,
        };
        // Whether there is so much; zeros from the system cost nothing until they are touched, and come in no other way. A little
        // less: what is as large as something given back, glibc takes from its heap, and writes zeros into what was used there.
        let mut probe = Vec::<u8>::new();
        probe.try_reserve_exact(capacity - (16 << 10))?;
        drop(black_box(probe));
        Ok(Self { bytes: vec![0; capacity], held: 0..0, line_end: 0, framing })
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether there is enough for a message.
    pub(crate) fn is_full(&self) -> bool {
        self.held.len() >= BUFFER
    }

    /// Where to read to; never empty if [`Buffer::piece`] was asked until it had none.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.held.start > 0 {
            self.bytes.copy_within(self.held.clone(), 0);
            self.line_end -= self.held.start;
            self.held = 0..self.held.len();
        }
        &mut self.bytes[self.held.end..]
    }

    /// `n` bytes were read into the space.
    pub(crate) fn filled(&mut self, n: usize) {
        let new = self.held.end..self.held.end + n;
        self.held.end = new.end;
        match self.framing {
            Framing::Bytes => self.line_end = new.end,
            Framing::Lines { .. } => {
                if let Some(last) = memchr::memrchr(b'\n', &self.bytes[new.clone()]) {
                    self.line_end = new.start + last + 1;
                }
            }
        }
    }

    /// What to store next.
    pub(crate) fn piece(&self, upto: Upto) -> Option<Piece<'_>> {
        if self.line_end > self.held.start {
            return Some(Piece::Whole(&self.bytes[self.held.start..self.line_end]));
        }
        let rest = &self.bytes[self.held.clone()];
        match self.framing {
            _ if rest.is_empty() => None,
            _ if upto == Upto::End => Some(Piece::Rest(rest)),
            // At least one byte stays, so that what follows is still a line of its own.
            Framing::Lines { longest } if rest.len() == self.bytes.len() => {
                Some(Piece::Split(&rest[..(rest.len() - 1) / longest * longest]))
            }
            Framing::Lines { .. } | Framing::Bytes => None,
        }
    }

    /// The first `n` bytes are stored.
    pub(crate) fn consume(&mut self, n: usize) {
        self.held.start += n;
        self.line_end = self.line_end.max(self.held.start);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn put(buffer: &mut Buffer, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let space = buffer.space();
            let n = space.len().min(bytes.len());
            space[..n].copy_from_slice(&bytes[..n]);
            buffer.filled(n);
            bytes = &bytes[n..];
        }
    }

    #[test]
    fn whole_lines_are_one_piece_and_the_rest_waits() {
        let mut buffer = Buffer::new(Framing::Lines { longest: BUFFER }).unwrap();
        put(&mut buffer, b"one\ntwo\nthr");
        assert_eq!(buffer.piece(Upto::LastLine), Some(Piece::Whole(b"one\ntwo\n")));
        buffer.consume(8);
        assert_eq!(buffer.piece(Upto::LastLine), None);
        put(&mut buffer, b"ee\n");
        assert_eq!(buffer.piece(Upto::LastLine), Some(Piece::Whole(b"three\n")));
        buffer.consume(6);
        assert_eq!((buffer.piece(Upto::End), buffer.len()), (None, 0));
    }

    #[test]
    fn the_last_line_without_newline_is_stored_at_the_end() {
        let mut buffer = Buffer::new(Framing::Lines { longest: BUFFER }).unwrap();
        put(&mut buffer, b"a\nb");
        assert_eq!(buffer.piece(Upto::End), Some(Piece::Whole(b"a\n")));
        buffer.consume(2);
        assert_eq!(buffer.piece(Upto::End), Some(Piece::Rest(b"b")));
    }

    #[test]
    fn raw_bytes_wait_for_nothing() {
        let mut buffer = Buffer::new(Framing::Bytes).unwrap();
        put(&mut buffer, b"a\nb");
        assert_eq!(buffer.piece(Upto::LastLine), Some(Piece::Whole(b"a\nb")));
    }

    #[test]
    fn the_longest_line_is_whole_and_one_byte_more_is_split() {
        let mut buffer = Buffer::new(Framing::Lines { longest: BUFFER }).unwrap();
        put(&mut buffer, &vec![b'x'; BUFFER]);
        assert_eq!(buffer.piece(Upto::LastLine), None);
        put(&mut buffer, b"\n");
        assert!(matches!(buffer.piece(Upto::LastLine), Some(Piece::Whole(line)) if line.len() == BUFFER + 1));

        let mut buffer = Buffer::new(Framing::Lines { longest: BUFFER }).unwrap();
        put(&mut buffer, &vec![b'x'; BUFFER + 1]);
        assert!(matches!(buffer.piece(Upto::LastLine), Some(Piece::Split(piece)) if piece.len() == BUFFER));
    }

    #[test]
    fn a_full_buffer_is_split_at_multiples_of_a_short_limit() {
        let mut buffer = Buffer::new(Framing::Lines { longest: 1000 }).unwrap();
        put(&mut buffer, &vec![b'x'; BUFFER]);
        let piece = buffer.piece(Upto::LastLine);
        assert!(matches!(piece, Some(Piece::Split(piece)) if piece.len() == 1_048_000));
    }

    #[test]
    fn the_buffer_is_as_large_as_the_longest_line_needs() {
        let mut buffer = Buffer::new(Framing::Lines { longest: 3 * BUFFER }).unwrap();
        put(&mut buffer, &vec![b'x'; 3 * BUFFER]);
        put(&mut buffer, b"\n");
        assert_eq!(buffer.bytes.len(), 3 * BUFFER + 1);
        assert!(matches!(buffer.piece(Upto::LastLine), Some(Piece::Whole(_))));
    }
}
