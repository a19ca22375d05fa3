//! Where the last N lines or bytes of a log start: blocks are read from the end backwards.
//!
//! A final newline ends the last line and starts none; a last line without one counts. A hole is
//! data only where it is printed as NULs.

use std::io;

use mmlog::{Class, Fault, Position};

use super::Holes;
use super::stretch::{Piece, Source, next_piece};

/// What is counted.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Last {
    /// So many lines, each with that byte at its end.
    Lines(u64, u8),
    /// So many bytes.
    Bytes(u64),
}

/// A run of bytes in a block, in the order of positions.
enum Run {
    /// Bytes at this place of the buffer.
    Data { at: Position, from: usize, len: usize },
    /// A hole.
    Hole { at: Position, len: u64 },
}

/// Finds the position from which there are `last` lines or bytes up to `end`, or `oldest` when there
/// are fewer. The source stands anywhere afterwards.
///
/// # Errors
/// As [`Source::next`] and [`Source::seek`].
pub fn start_of_last<S: Source>(
    source: &mut S,
    last: Last,
    (oldest, end): (Position, Position),
    holes: Holes,
    buf: &mut [u8],
) -> mmlog::Result<Position> {
    let mut count = match last {
        Last::Lines(0, _) | Last::Bytes(0) => return Ok(end),
        Last::Lines(left, end) => Count::Lines { left, end, place: Place::End },
        Last::Bytes(bytes) => Count::Bytes { left: bytes },
    };
    let fits = buf.len() as u64;
    let (mut upper, mut reach) = (end, fits);
    while upper > oldest {
        let lower = Position::new(upper.get().saturating_sub(reach).max(oldest.get()));
        let Some((runs, first)) = read_block(source, lower, upper, buf)? else {
            reach = fits;
            continue;
        };
        for run in runs.iter().rev() {
            let found = match *run {
                Run::Data { at, from, len } => count.data(at, &buf[from..from + len]),
                Run::Hole { at, len } if holes == Holes::Nul => count.nuls(at, len),
                Run::Hole { .. } => None,
            };
            if let Some(found) = found {
                return Ok(found);
            }
        }
        // Of a hole behind the end of the file no start is known: it is stepped over faster and faster.
        let is_hole = runs.iter().all(|run| matches!(run, Run::Hole { .. }));
        reach = if is_hole { reach.saturating_mul(2) } else { fits };
        // A hole that reaches below the block need not be looked at again where it is not data.
        upper = if holes == Holes::Nul { lower } else { first.max(oldest) };
    }
    Ok(oldest)
}

/// Whether it is the same when it is tried again: damage, or a missing right.
fn lasts(fault: &Fault) -> bool {
    let denied =
        matches!(fault, Fault::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied);
    fault.class() == Class::Damaged || denied
}

/// Reads `[lower, upper)`; nothing when it holds more data than the buffer. Also gives the first
/// position the block's runs belong to: that of a hole may lie below `lower`.
fn read_block<S: Source>(
    source: &mut S,
    lower: Position,
    upper: Position,
    buf: &mut [u8],
) -> mmlog::Result<Option<(Vec<Run>, Position)>> {
    let (mut runs, mut first, mut filled) = (Vec::new(), lower, 0);
    source.seek(lower)?;
    loop {
        if filled == buf.len() && source.position() < upper {
            return Ok(None);
        }
        match next_piece(source, Some(upper), &mut buf[filled..])? {
            Piece::Data { at, bytes } => {
                runs.push(Run::Data { at, from: filled, len: bytes.len() });
                filled += bytes.len();
            }
            Piece::Hole { at, len, hole } => {
                first = first.min(Position::new(hole.start));
                runs.push(Run::Hole { at, len });
            }
            // What fails only now would be lines too many, in silence, when it is read forwards.
            Piece::Unread { error, .. } if !lasts(error.fault()) => return Err(error),
            // It is said when what lies behind is printed.
            Piece::Unread { at, len, .. } => runs.push(Run::Hole { at, len }),
            Piece::Segment(_) => {}
            Piece::CaughtUp | Piece::End => return Ok(Some((runs, first))),
        }
    }
}

/// How many are still to be found.
enum Count {
    Lines { left: u64, end: u8, place: Place },
    Bytes { left: u64 },
}

/// Whether a newline found now would be the one that ends the last line.
#[derive(Eq, PartialEq)]
enum Place {
    End,
    Inside,
}

impl Count {
    /// Counts a run of data; the start when the last one wanted lies in it.
    fn data(&mut self, at: Position, bytes: &[u8]) -> Option<Position> {
        let Self::Lines { left, end, place } = self else { return self.nuls(at, bytes.len() as u64) };
        let body = match (&*place, bytes) {
            (Place::End, [body @ .., last]) if last == end => body,
            _ => bytes,
        };
        if !bytes.is_empty() {
            *place = Place::Inside;
        }
        for newline in memchr::memrchr_iter(*end, body) {
            *left -= 1;
            if *left == 0 {
                return Some(at + (newline as u64 + 1));
            }
        }
        None
    }

    /// Counts bytes among which there is no newline.
    fn nuls(&mut self, at: Position, len: u64) -> Option<Position> {
        match self {
            Self::Lines { place, .. } => {
                *place = Place::Inside;
                None
            }
            Self::Bytes { left } if *left <= len => Some(at + (len - *left)),
            Self::Bytes { left } => {
                *left -= len;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::stretch::mock::{Mock, Part};
    use super::*;

    const HOLES: [Holes; 3] = [Holes::Skip, Holes::Nul, Holes::Say];

    /// What is printed from `start` on.
    fn printed(log: &mut Mock, start: Position, holes: Holes) -> Vec<u8> {
        let (mut all, mut buf, end) = (Vec::new(), [0; 16], log.end());
        log.at = start.get();
        loop {
            match next_piece(log, Some(end), &mut buf) {
                Ok(Piece::Data { bytes, .. }) => all.extend_from_slice(bytes),
                Ok(Piece::Hole { len, .. }) if holes == Holes::Nul => all.resize(all.len() + len as usize, 0),
                Ok(Piece::Hole { .. } | Piece::Segment(_)) => {}
                Ok(Piece::End | Piece::CaughtUp) => return all,
                Ok(Piece::Unread { error: e, .. }) | Err(e) => unreachable!("{e}"),
            }
        }
    }

    fn found(log: &mut Mock, last: Last, holes: Holes, block: usize) -> Vec<u8> {
        let ends = (Position::new(log.base), log.end());
        match start_of_last(log, last, ends, holes, &mut vec![0; block]) {
            Ok(start) => printed(log, start, holes),
            Err(e) => unreachable!("{e}"),
        }
    }

    fn last_lines(text: &[u8], n: usize) -> Vec<u8> {
        let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        lines[lines.len().saturating_sub(n)..].concat()
    }

    #[test]
    fn a_hole_of_unknown_start_takes_few_reads() {
        let data = || Part::Data(b"one\ntwo\nthree\n".to_vec());
        for holes in HOLES {
            let mut log = Mock::new(100, 99, &[data(), Part::Hole(1 << 60), data()]);
            let ends = (Position::new(log.base), log.end());
            let start = start_of_last(&mut log, Last::Lines(5, b'\n'), ends, holes, &mut [0; 16]);
            // A hole that is printed is part of a line.
            assert_eq!(start.ok(), Some(Position::new(104)), "{holes:?}");
        }
    }

    /// Every combination of content, block size, read size and count against a plain model.
    #[test]
    fn the_last_lines_and_bytes_are_those_of_the_printed_text() {
        let data = |text: &[u8]| Part::Data(text.to_vec());
        let logs = [
            vec![],
            vec![data(b"\n")],
            vec![data(b"one")],
            vec![data(b"one\ntwo\n\nthree\n")],
            vec![data(b"one\ntwo\nthree")],
            vec![Part::Hole(3)],
            vec![data(b"a\nb\n"), Part::Hole(40), data(b"c\nd"), Part::Hole(1), data(b"d\n")],
            vec![Part::Hole(2), data(b"a\n\0\n"), Part::Hole(33)],
        ];
        for parts in &logs {
            for holes in HOLES {
                for (block, most) in [(1, 1), (2, 99), (3, 2), (7, 99), (64, 5), (64, 99)] {
                    let mut log = Mock::new(100, most, parts);
                    let text = printed(&mut log, Position::new(100), holes);
                    for n in 0..9 {
                        let lines = found(&mut log, Last::Lines(n as u64, b'\n'), holes, block);
                        assert_eq!(
                            lines,
                            last_lines(&text, n),
                            "{n} lines of {parts:?}, {holes:?}, block {block}"
                        );
                        let bytes = found(&mut log, Last::Bytes(n as u64), holes, block);
                        let start = text.len().saturating_sub(n);
                        assert_eq!(bytes, text[start..], "{n} bytes of {parts:?}, {holes:?}, block {block}");
                    }
                }
            }
        }
    }
}
