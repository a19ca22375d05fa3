//! The one loop that brings a log's content to standard output.
//!
//! Bytes go from the read buffer to write(2) without a copy unless their form has to change.

use mmlog::{Error, Hole, HoleKind, LogId, Position};

use super::escape::Escaper;
use super::skip::Skip;
use super::stretch::{Piece, Source, next_piece};
use super::{Holes, READ_SIZE, describe_part};
use crate::exit::{Exit, Failure, exit_of};

/// What is written for bytes of a log.
#[derive(Copy, Clone, Debug)]
pub struct Shown<'a> {
    /// The bytes to write.
    pub bytes: &'a [u8],
    /// What they are of the log.
    pub given: Given<'a>,
}

/// Which places of the log are reached in the middle of what is written.
#[derive(Copy, Clone, Debug)]
pub enum Given<'a> {
    /// Each byte is one of the log's, from this position on.
    Bytes(Position),
    /// After so many bytes everything below a position has been given out.
    Records(&'a [(usize, Position)]),
    /// None that is known.
    Whole,
}

/// How content looks on standard output.
pub trait Render: Send {
    /// What is written for these bytes.
    fn data<'a>(&'a mut self, at: Position, bytes: &'a [u8]) -> Shown<'a>;

    /// What is written for a hole under `--holes say`; nothing when it is said on standard error.
    fn hole(&mut self, _at: Position, _len: u64, _hole: &Hole) -> Option<&[u8]> {
        None
    }

    /// What follows lies in the segment of this generation.
    fn segment(&mut self, _generation: u64) {}

    /// What follows is of this log.
    fn log(&mut self, _id: LogId) {}

    /// What is still held back, when nothing more comes, or nothing that goes on with it.
    fn rest(&mut self) -> Shown<'_> {
        Shown { bytes: &[], given: Given::Whole }
    }

    /// Below this position everything read has been given out, when it was read up to `read`.
    fn settled(&self, read: Position) -> Position {
        read
    }
}

/// The bytes as they are.
#[derive(Debug)]
pub struct Plain;

impl Render for Plain {
    fn data<'a>(&'a mut self, at: Position, bytes: &'a [u8]) -> Shown<'a> {
        Shown { bytes, given: Given::Bytes(at) }
    }
}

impl Render for Escaper {
    fn data<'a>(&'a mut self, _at: Position, bytes: &'a [u8]) -> Shown<'a> {
        Shown { bytes: self.feed(bytes), given: Given::Whole }
    }

    fn rest(&mut self) -> Shown<'_> {
        Shown { bytes: self.finish(), given: Given::Whole }
    }
}

/// Where the copy goes.
pub trait Sink {
    /// Writes all of these bytes now.
    ///
    /// # Errors
    /// When standard output does not take them.
    fn write(&mut self, shown: Shown<'_>) -> Result<(), Failure>;

    /// One line on standard error about the log.
    fn say(&mut self, text: &str);

    /// Something could not be given out, or not be looked at: the command ends with this, or with worse.
    fn worsen(&mut self, _to: Exit) {}

    /// Whether it goes on behind something that it cannot read, which is a failure with this exit code. Damage does not go
    /// away by trying again; whatever else it is may, and who keeps a place must not pass it by.
    fn passes(&self, failed: Exit) -> bool {
        is_passed(failed)
    }

    /// What is given out from here on was read from this log, in this epoch.
    fn reading(&mut self, _of: LogId) {}

    /// Everything below the position has been written.
    fn settled(&mut self, _below: Position) {}

    /// Asked between two reads.
    fn order(&self) -> Order {
        Order::GoOn
    }
}

/// Whether a copy goes on.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Order {
    /// It does.
    GoOn,
    /// It ends where it is.
    Stop,
}

/// Why a copy ended.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Stopped {
    /// All of the stretch has been copied.
    Complete,
    /// It was told to.
    Ordered,
}

/// Copies the content of one log.
pub struct Copier {
    holes: Holes,
    skip: Skip,
    render: Box<dyn Render>,
    buf: Vec<u8>,
}

impl Copier {
    /// Copies all but what `skip` leaves out.
    #[must_use]
    pub fn new(holes: Holes, skip: Skip, render: Box<dyn Render>) -> Self {
        Self { holes, skip, render, buf: vec![0; READ_SIZE] }
    }

    /// What follows is of this log, and lies in the segment of this generation.
    pub fn begins(&mut self, log: LogId, generation: u64) {
        self.render.log(log);
        self.render.segment(generation);
    }

    /// Copies what is final and lies below `until`.
    ///
    /// # Errors
    /// When the log cannot be read or standard output cannot be written.
    pub fn copy<S: Source>(
        &mut self,
        source: &mut S,
        until: Option<Position>,
        sink: &mut dyn Sink,
    ) -> Result<Stopped, Failure> {
        let Self { holes, skip, render, buf } = self;
        while sink.order() == Order::GoOn {
            let piece = next_piece(source, until, buf)?;
            sink.reading(source.log_id());
            match piece {
                Piece::Data { at, bytes } => put(render.as_mut(), skip, at, bytes, sink)?,
                Piece::Segment(generation) => render.segment(generation),
                Piece::Unread { at, len, error } => pass(render.as_mut(), at, len, error, sink)?,
                // Nobody asked for it to be said, but it is no longer what the log was.
                Piece::Hole { at, len, hole } if is_news(&hole) => {
                    break_off(render.as_mut(), sink)?;
                    say(render.as_mut(), at, len, &hole, sink)?
                }
                Piece::Hole { at, len, hole } => match holes {
                    Holes::Skip => {}
                    Holes::Nul => put_nuls(render.as_mut(), skip, at, len, sink)?,
                    Holes::Say if skip.is_over() => say(render.as_mut(), at, len, &hole, sink)?,
                    Holes::Say => {}
                },
                Piece::CaughtUp | Piece::End => return Ok(Stopped::Complete),
            }
            sink.settled(render.settled(source.position()));
        }
        Ok(Stopped::Ordered)
    }

    /// Writes what is held back: nothing more comes from this log.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn finish<S: Source>(&mut self, source: &S, sink: &mut dyn Sink) -> Result<(), Failure> {
        break_off(self.render.as_mut(), sink)?;
        sink.settled(self.render.settled(source.position()));
        Ok(())
    }
}

/// Bytes that were in the log and are no longer, or cannot be looked at: said whatever was asked for.
pub(crate) fn is_news(hole: &Hole) -> bool {
    matches!(hole.kind, HoleKind::Pruned | HoleKind::Gone | HoleKind::Unseen)
}

/// What the command has to end with because of a hole.
pub(crate) fn lacks(hole: &Hole) -> Option<Exit> {
    match hole.kind {
        // What somebody has taken note of, by `repair`, is history.
        HoleKind::Gone if !hole.is_noted => Some(Exit::Damaged),
        HoleKind::Unseen => Some(Exit::Failed),
        _ => None,
    }
}

/// Whether who reads all that there is goes on behind a failure with this exit code.
pub(crate) const fn is_passed(failed: Exit) -> bool {
    matches!(failed, Exit::Damaged | Exit::Failed)
}

/// What is said of a range that cannot be read.
pub(crate) fn not_read(at: Position, len: u64, error: &Error) -> String {
    format!("positions {at} to {} could not be read ({len} bytes): {}", at + len, error.fault())
}

/// What was begun ends here: bytes of the log are missing behind it. (A hole has none: who died there has appended nothing.)
fn break_off(render: &mut dyn Render, sink: &mut dyn Sink) -> Result<(), Failure> {
    let rest = render.rest();
    if rest.bytes.is_empty() { Ok(()) } else { sink.write(rest) }
}

/// Says what cannot be read, if it goes on behind that.
fn pass(
    render: &mut dyn Render,
    at: Position,
    len: u64,
    error: Error,
    sink: &mut dyn Sink,
) -> Result<(), Failure> {
    let exit = exit_of(error.fault());
    if !sink.passes(exit) {
        return Err(error.into());
    }
    break_off(render, sink)?;
    sink.worsen(exit);
    sink.say(&not_read(at, len, &error));
    Ok(())
}

fn say(
    render: &mut dyn Render,
    at: Position,
    len: u64,
    hole: &Hole,
    sink: &mut dyn Sink,
) -> Result<(), Failure> {
    let lacks = lacks(hole);
    if let Some(exit) = lacks {
        sink.worsen(exit);
    }
    let shown = render.hole(at, len, hole);
    if shown.is_none() || lacks.is_some() {
        sink.say(&describe_part(at, len, hole));
    }
    shown.map_or(Ok(()), |bytes| sink.write(Shown { bytes, given: Given::Whole }))
}

fn put(
    render: &mut dyn Render,
    skip: &mut Skip,
    at: Position,
    bytes: &[u8],
    sink: &mut dyn Sink,
) -> Result<(), Failure> {
    let left_out = skip.of(bytes);
    let shown = render.data(at + left_out as u64, &bytes[left_out..]);
    if shown.bytes.is_empty() { Ok(()) } else { sink.write(shown) }
}

fn put_nuls(
    render: &mut dyn Render,
    skip: &mut Skip,
    mut at: Position,
    len: u64,
    sink: &mut dyn Sink,
) -> Result<(), Failure> {
    static NULS: [u8; 64 << 10] = [0; 64 << 10];
    let end = at + len;
    while at < end && sink.order() == Order::GoOn {
        let some = usize::try_from(end - at).map_or(NULS.len(), |left| left.min(NULS.len()));
        put(render, skip, at, &NULS[..some], sink)?;
        at = at + some as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::stretch::mock::{Mock, Part};
    use super::*;

    #[derive(Default)]
    struct Kept {
        stdout: Vec<u8>,
        stderr: String,
        settled: u64,
    }

    impl Sink for Kept {
        fn write(&mut self, shown: Shown<'_>) -> Result<(), Failure> {
            self.stdout.extend_from_slice(shown.bytes);
            Ok(())
        }

        fn say(&mut self, text: &str) {
            self.stderr.push_str(text);
        }

        fn settled(&mut self, below: Position) {
            self.settled = below.get();
        }
    }

    fn copied(holes: Holes, skip: Skip) -> Kept {
        let parts = [Part::Data(b"a\nb\n".to_vec()), Part::Hole(3), Part::Data(b"c\n".to_vec())];
        let (mut log, mut kept) = (Mock::new(50, 3, &parts), Kept::default());
        let ended = Copier::new(holes, skip, Box::new(Plain)).copy(&mut log, None, &mut kept);
        assert_eq!(ended.ok(), Some(Stopped::Complete));
        kept
    }

    #[test]
    fn a_hole_gets_what_its_policy_says() {
        let skipped = copied(Holes::Skip, Skip::NOTHING);
        assert_eq!((skipped.stdout.as_slice(), skipped.stderr.as_str()), (&b"a\nb\nc\n"[..], ""));
        assert_eq!(skipped.settled, 59);
        assert_eq!(copied(Holes::Nul, Skip::NOTHING).stdout, b"a\nb\n\0\0\0c\n");
        let said = copied(Holes::Say, Skip::NOTHING);
        assert_eq!(said.stdout, b"a\nb\nc\n");
        assert_eq!(said.stderr, "hole at 54, 3 bytes (torn), left by process 7 (w\\u{1b})");
    }

    #[test]
    fn what_is_left_out_is_counted_in_what_is_printed() {
        assert_eq!(copied(Holes::Skip, Skip::Bytes(5)).stdout, b"\n");
        assert_eq!(copied(Holes::Nul, Skip::Bytes(5)).stdout, b"\0\0c\n");
        assert_eq!(copied(Holes::Skip, Skip::Lines(2, b'\n')).stdout, b"c\n");
        assert_eq!(copied(Holes::Say, Skip::Lines(1, b'\n')).stderr.lines().count(), 1);
    }
}
