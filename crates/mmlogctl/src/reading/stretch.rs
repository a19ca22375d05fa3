//! One piece of a log after the other, up to a bound.
//!
//! Holds: no piece reaches beyond the bound, bytes of a known hole are never data, pieces come in
//! the order of their positions.

use std::ops::Range;

use mmlog::{Error, Follower, Hole, LogId, Next, Position};

/// Something that is read forwards from any position: a [`Follower`], or a mock in tests.
pub trait Source {
    /// As [`Follower::next`].
    ///
    /// # Errors
    /// As [`Follower::next`].
    fn next(&mut self, buf: &mut [u8]) -> mmlog::Result<Next>;

    /// As [`Follower::seek`].
    ///
    /// # Errors
    /// As [`Follower::seek`].
    fn seek(&mut self, to: Position) -> mmlog::Result<()>;

    /// As [`Follower::pass_unreadable`].
    ///
    /// # Errors
    /// As [`Follower::pass_unreadable`].
    fn pass_unreadable(&mut self) -> mmlog::Result<Option<Range<u64>>>;

    /// As [`Follower::position`].
    fn position(&self) -> Position;

    /// As [`Follower::log_id`].
    fn log_id(&self) -> LogId;
}

impl Source for Follower {
    fn next(&mut self, buf: &mut [u8]) -> mmlog::Result<Next> {
        Follower::next(self, buf)
    }

    fn seek(&mut self, to: Position) -> mmlog::Result<()> {
        Follower::seek(self, to)
    }

    fn pass_unreadable(&mut self) -> mmlog::Result<Option<Range<u64>>> {
        Follower::pass_unreadable(self)
    }

    fn position(&self) -> Position {
        Follower::position(self)
    }

    fn log_id(&self) -> LogId {
        Follower::log_id(self)
    }
}

/// What comes next.
#[derive(Debug)]
pub enum Piece<'b> {
    /// Committed bytes.
    Data {
        /// Position of the first one.
        at: Position,
        /// The bytes.
        bytes: &'b [u8],
    },
    /// A hole, or the part of it that lies in the stretch.
    Hole {
        /// Position of the part's first byte.
        at: Position,
        /// Length of the part in bytes.
        len: u64,
        /// The whole hole.
        hole: Hole,
    },
    /// The rest of a final segment that cannot be read, or the part of it that lies in the stretch.
    Unread {
        /// Position of the part's first byte.
        at: Position,
        /// Length of the part in bytes.
        len: u64,
        /// Why not.
        error: Error,
    },
    /// What follows lies in the segment of this generation.
    Segment(u64),
    /// Nothing more is final now.
    CaughtUp,
    /// The bound is reached.
    End,
}

/// Reads the next piece, not beyond `until`.
///
/// # Errors
/// As [`Follower::next`], where there is nothing to go on behind.
pub fn next_piece<'b, S: Source>(
    source: &mut S,
    until: Option<Position>,
    buf: &'b mut [u8],
) -> mmlog::Result<Piece<'b>> {
    loop {
        let at = source.position();
        let left = until.map_or(u64::MAX, |until| until - at);
        if left == 0 {
            return Ok(Piece::End);
        }
        let room = usize::try_from(left).map_or(buf.len(), |left| left.min(buf.len()));
        let next = match source.next(&mut buf[..room]) {
            Ok(next) => next,
            Err(error) => {
                let Ok(Some(passed)) = source.pass_unreadable() else { return Err(error) };
                let end = within(source, Position::new(passed.end), until)?;
                let at = Position::new(passed.start);
                return Ok(Piece::Unread { at, len: end - at, error });
            }
        };
        return Ok(match next {
            Next::Bytes(range) => {
                let bytes = usize::try_from(range.end - range.start).unwrap_or(room).min(room);
                Piece::Data { at: Position::new(range.start), bytes: &buf[..bytes] }
            }
            Next::Hole(hole) => {
                let start = Position::new(hole.start).max(at);
                let end = within(source, Position::new(hole.end()), until)?;
                Piece::Hole { at: start, len: end - start, hole }
            }
            Next::Rotated(generation) => Piece::Segment(generation),
            Next::CaughtUp => Piece::CaughtUp,
            // An event that this tool does not know yet; the next call goes on behind it.
            _ => continue,
        });
    }
}

/// Where a range that ends there is left: what lies beyond the bound comes next, for whoever asks for more.
fn within<S: Source>(source: &mut S, end: Position, until: Option<Position>) -> mmlog::Result<Position> {
    match until.filter(|until| *until < end) {
        Some(until) => source.seek(until).map(|()| until),
        None => Ok(end),
    }
}

/// Logs made up for unit tests.
#[cfg(test)]
pub(crate) mod mock {
    use super::*;
    use mmlog::HoleKind;

    /// A stretch of bytes or a hole.
    #[derive(Clone, Debug)]
    pub(crate) enum Part {
        Data(Vec<u8>),
        Hole(u64),
    }

    /// A log in memory that starts at position `base` and hands out at most `most` bytes a read.
    #[derive(Debug)]
    pub(crate) struct Mock {
        pub(crate) base: u64,
        pub(crate) parts: Vec<Part>,
        pub(crate) most: usize,
        pub(crate) at: u64,
    }

    impl Mock {
        pub(crate) fn new(base: u64, most: usize, parts: &[Part]) -> Self {
            Self { base, parts: parts.to_vec(), most, at: base }
        }

        pub(crate) fn end(&self) -> Position {
            let len = |part: &Part| match part {
                Part::Data(bytes) => bytes.len() as u64,
                Part::Hole(len) => *len,
            };
            Position::new(self.base + self.parts.iter().map(len).sum::<u64>())
        }
    }

    pub(crate) fn hole(start: u64, len: u64) -> Hole {
        let (command, kind) = ("w\x1b".to_owned(), HoleKind::Torn);
        Hole { start, len, pid: 7, command, kind, is_noted: false, at: None }
    }

    impl Source for Mock {
        fn next(&mut self, buf: &mut [u8]) -> mmlog::Result<Next> {
            let mut start = self.base;
            for part in &self.parts {
                match part {
                    Part::Data(bytes) if self.at < start + bytes.len() as u64 => {
                        let rest = &bytes[(self.at - start) as usize..];
                        let n = rest.len().min(buf.len()).min(self.most);
                        buf[..n].copy_from_slice(&rest[..n]);
                        self.at += n as u64;
                        return Ok(Next::Bytes(self.at - n as u64..self.at));
                    }
                    Part::Hole(len) if self.at < start + len => {
                        self.at = start + len;
                        return Ok(Next::Hole(hole(start, *len)));
                    }
                    Part::Data(bytes) => start += bytes.len() as u64,
                    Part::Hole(len) => start += len,
                }
            }
            Ok(Next::CaughtUp)
        }

        fn seek(&mut self, to: Position) -> mmlog::Result<()> {
            self.at = to.get();
            Ok(())
        }

        fn pass_unreadable(&mut self) -> mmlog::Result<Option<Range<u64>>> {
            Ok(None)
        }

        fn position(&self) -> Position {
            Position::new(self.at)
        }

        fn log_id(&self) -> LogId {
            LogId::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::mock::{Mock, Part};
    use super::*;

    #[test]
    fn a_hole_is_cut_to_the_stretch() {
        let mut log = Mock::new(10, 99, &[Part::Hole(10), Part::Data(b"abc".to_vec())]);
        log.at = 14;
        let (end, mut buf) = (Some(Position::new(18)), [0; 8]);
        let piece = next_piece(&mut log, end, &mut buf);
        let Ok(Piece::Hole { at, len, hole }) = piece else { unreachable!("{piece:?}") };
        assert_eq!((at.get(), len, hole.start, hole.len), (14, 4, 10, 10));
        assert!(matches!(next_piece(&mut log, end, &mut buf), Ok(Piece::End)));
        let piece = next_piece(&mut log, None, &mut buf);
        let Ok(Piece::Hole { at, len, .. }) = piece else { unreachable!("{piece:?}") };
        assert_eq!((at.get(), len), (18, 2), "the rest is told to whoever goes on");
    }

    #[test]
    fn data_never_reaches_beyond_the_bound() {
        let mut log = Mock::new(0, 99, &[Part::Data(b"abcdef".to_vec())]);
        let mut buf = [0; 8];
        let piece = next_piece(&mut log, Some(Position::new(4)), &mut buf);
        let Ok(Piece::Data { bytes, .. }) = piece else { unreachable!("{piece:?}") };
        assert_eq!(bytes, b"abcd");
    }
}
