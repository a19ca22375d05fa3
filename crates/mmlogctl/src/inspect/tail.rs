//! Reads the end of a log and what is appended to it; never blocks, and never reads more than a little at once.

use std::path::PathBuf;

use mmlog::{Follower, Hole, Next, Options, Position, Start};

use crate::unmade::explain;

use crate::text;

/// So far before the end it starts, and after having been left behind goes on.
const BACK: u64 = 64 << 10;
/// What one look may read.
const ONCE: usize = 256 << 10;
/// Farther behind than that it does not try to catch up.
const BEHIND: u64 = 1 << 20;

/// What a look brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// It begins here; the first line is whole only at the very start.
    Start(u64),
    /// The next bytes.
    Bytes(Vec<u8>),
    /// A range without content.
    Hole(Hole),
    /// What follows lies in the segment of this generation.
    Rotated(u64),
    /// So many bytes came too fast to be shown.
    Skipped(u64),
    /// The log cannot be read, in words.
    Unreadable(String),
}

/// The end of one log.
pub struct Tail {
    path: PathBuf,
    options: Options,
    follower: Option<Follower>,
    buf: Vec<u8>,
}

impl Tail {
    /// Opens nothing yet.
    #[must_use]
    pub fn new(path: PathBuf, options: Options) -> Self {
        Self { path, options, follower: None, buf: Vec::new() }
    }

    /// What is new. After an error the next read opens the log anew.
    pub fn read(&mut self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        if let Err(error) = self.advance(&mut pieces) {
            self.follower = None;
            let found = explain(&error);
            pieces.push(Piece::Unreadable(format!("{}; {}", found.sentence, found.next_step)));
        }
        pieces
    }

    fn advance(&mut self, pieces: &mut Vec<Piece>) -> mmlog::Result<()> {
        let follower = match &mut self.follower {
            Some(follower) => follower,
            none => {
                let log = self.options.clone().only_to_look().open_reader(&self.path)?;
                let oldest = log.oldest()?.get();
                let end = log.watermark()?.get();
                let start = end.saturating_sub(BACK).max(oldest).min(end);
                pieces.push(Piece::Start(start));
                let mut follower = log.follow(Start::At(Position::new(start)))?;
                // Whoever looks at who follows is not who he looks for.
                follower.stay_unseen();
                none.insert(follower)
            }
        };
        let (at, end) = (follower.position().get(), follower.watermark()?.get());
        if end.saturating_sub(at) > BEHIND {
            let to = end - BACK;
            pieces.push(Piece::Skipped(to - at));
            follower.seek(Position::new(to))?;
        }
        self.buf.resize(ONCE, 0);
        let mut left = ONCE;
        // Holes and rotations cost as if they were bytes, so that a table full of them ends, too.
        while left > 0 {
            let piece = match follower.next(&mut self.buf[..left])? {
                Next::Bytes(range) => {
                    let len = usize::try_from(range.end - range.start).unwrap_or(left);
                    left -= len.min(left);
                    Piece::Bytes(self.buf[..len].to_vec())
                }
                Next::Hole(hole) => Piece::Hole(hole),
                Next::Rotated(generation) => Piece::Rotated(generation),
                _ => break,
            };
            left = left.saturating_sub(64);
            pieces.push(piece);
        }
        Ok(())
    }
}

/// What a piece that is not bytes says on a line of its own.
#[must_use]
pub fn note(piece: &Piece) -> Option<String> {
    match piece {
        Piece::Hole(hole) => Some(crate::reading::describe(hole)),
        Piece::Rotated(generation) => Some(format!("generation {generation} begins")),
        Piece::Skipped(bytes) => {
            Some(format!("{} came faster than can be shown; `cat` has them", text::bytes(*bytes)))
        }
        Piece::Unreadable(why) => Some(why.clone()),
        Piece::Start(_) | Piece::Bytes(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use mmlog::Log;

    use super::*;

    fn bytes(pieces: &[Piece]) -> Vec<u8> {
        let content =
            |piece: &Piece| if let Piece::Bytes(bytes) = piece { bytes.clone() } else { Vec::new() };
        pieces.iter().flat_map(content).collect()
    }

    #[test]
    fn it_starts_a_little_before_the_end_and_follows() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("app.log");
        let log = Log::options().open_or_create(&path)?;
        let mut writer = log.writer()?;
        (0..20_000).try_for_each(|n| writer.append(format!("line {n}\n").as_bytes()).map(drop))?;
        let mut tail = Tail::new(path, Log::options());
        let first = bytes(&tail.read());
        assert_eq!(first.len() as u64, BACK);
        assert!(first.ends_with(b"line 19999\n"));
        assert_eq!(tail.read(), []);
        writer.append(b"more\n")?;
        assert_eq!(tail.read(), [Piece::Bytes(b"more\n".to_vec())]);
        Ok(())
    }

    #[test]
    fn what_comes_too_fast_is_skipped_and_said() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("app.log");
        let log = Log::options().open_or_create(&path)?;
        let mut writer = log.writer()?;
        let mut tail = Tail::new(path, Log::options());
        tail.read();
        writer.append(&vec![b'x'; 3 << 20])?;
        let pieces = tail.read();
        assert_eq!(pieces[0], Piece::Skipped((3 << 20) - BACK));
        assert_eq!(bytes(&pieces).len() as u64, BACK);
        Ok(())
    }

    #[test]
    fn a_log_that_is_not_there_is_said_and_tried_again() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("app.log");
        let mut tail = Tail::new(path.clone(), Log::options());
        assert!(matches!(tail.read()[..], [Piece::Unreadable(_)]));
        Log::options().open_or_create(&path)?.writer()?.append(b"a\n")?;
        assert_eq!(bytes(&tail.read()), b"a\n");
        Ok(())
    }
}
