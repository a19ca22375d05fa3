//! What the commands share that read a log's content.
//!
//! [`stretch`] reads a piece at a time and never shows the bytes of a known hole as data, [`copy`] is
//! the one loop from a log to standard output, [`backward`] finds where the last lines start.

use std::num::NonZero;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use mmlog::{Follower, Hole, HoleKind, Log, Position, Trust, Unrecovered, quoted, units};

use crate::arguments::OldSegments;
use crate::exit::{Exit, Failure, printable, shown};
use crate::output::Output;
use crate::waits;

pub mod backward;
pub mod copy;
pub mod cursor_file;
pub mod escape;
pub mod json;
pub mod place_file;
pub mod seen;
pub mod skip;
pub mod stretch;

/// Bytes asked for in one read: large enough that the system calls do not count, small enough
/// for the processor's cache.
pub const READ_SIZE: usize = 256 << 10;

/// What is printed for a hole: bytes that a writer reserved and, because it died, never wrote.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Holes {
    /// Nothing.
    #[default]
    Skip,
    /// As many NUL bytes as the hole is long, so that offsets in the output are positions.
    Nul,
    /// Nothing; where the hole is and who left it is said on standard error.
    Say,
}

/// The metadata file of the log at `path`.
#[must_use]
pub fn metadata_of(path: &Path) -> PathBuf {
    let mut metadata = path.as_os_str().to_owned();
    metadata.push(mmlog::METADATA_SUFFIX);
    metadata.into()
}

/// Opens a log for reading.
///
/// # Errors
/// As [`mmlog::Options::open_reader`].
pub fn open(path: &Path, trust: Trust, old: &OldSegments) -> mmlog::Result<Log> {
    old.say(waits::options(path, trust)).open_reader(path)
}

/// Says on standard error what has a segment's name and is not printed. What is missing for it is said by itself.
///
/// # Errors
/// When old segments cannot be looked for.
pub fn say_left_out(log: &Log, out: &mut Output) -> Result<(), Failure> {
    if let Some(Failure::Said { text, .. }) = Failure::of_left_out(log.path(), &log.left_out()?) {
        out.notice(&text);
    }
    Ok(())
}

/// Checks a position that a person or a consumer gave.
///
/// # Errors
/// When the log does not hold it yet.
pub fn check_position(path: &Path, given: Position, end: Position) -> Result<(), Failure> {
    if given <= end {
        return Ok(());
    }
    let problem = format!("position {given} is beyond the end {end}; check that it is this log's");
    Err(Failure::new(Exit::Failed, format!("{}: {problem}", shown(path))))
}

/// A signal came while a log was printed.
#[must_use]
pub fn stopped(path: &Path, at: Position, end: Position) -> Failure {
    let text =
        format!("{}: told to stop at position {at} of {end}; --from {at} goes on from there", shown(path));
    Failure::new(Exit::Failed, text)
}

/// Says on standard error what went wrong with one log of several; the exit code it deserves.
///
/// # Errors
/// [`Failure::OutputClosed`] ends the whole command.
pub fn report(failure: Failure, out: &mut Output) -> Result<Exit, Failure> {
    match failure {
        Failure::OutputClosed => Err(Failure::OutputClosed),
        Failure::Said { exit, text } => {
            out.notice(&text);
            Ok(exit)
        }
    }
}

/// What is wrong with the files of a log that was read, for standard error.
///
/// # Errors
/// When they cannot be asked.
pub fn damage(path: &Path, follower: &mut Follower) -> Result<Option<Failure>, Failure> {
    let found = follower.damage()?;
    let Some(first) = found.first() else { return Ok(None) };
    let text = format!(
        "{}: {}; what was read may not be what was appended, `mmlogctl status {}` says what to do",
        shown(path),
        first.problem,
        quoted(path)
    );
    Ok(Some(Failure::new(Exit::Damaged, text)))
}

/// What to say of bytes that were put behind the log at rest, which nobody can read yet.
///
/// # Errors
/// When the log cannot be asked.
pub fn outside(path: &Path, log: &Follower) -> mmlog::Result<Option<String>> {
    let (bytes, log) = (log.outside()?, quoted(path));
    let what = units::counted(bytes, "byte");
    let text = format!(
        "{what} that >> put behind its end {} not shown; the next append takes them in, or now: \
         `mmlogctl trim {log}`",
        units::agree(bytes, "is", "are")
    );
    Ok((bytes > 0).then_some(text))
}

/// What readers of a log have to know that nobody has recovered since the reboot, for standard error.
///
/// # Errors
/// When its files cannot be looked at.
pub fn unrecovered(path: &Path, follower: &Follower) -> mmlog::Result<Option<String>> {
    let waiting = follower.unrecovered()?.filter(Unrecovered::matters);
    Ok(waiting.map(|waiting| {
        format!(
            "{}: not recovered since the reboot: {} from {} on are as they have reached the disk; {}`mmlogctl repair {}`",
            shown(path),
            units::counted(waiting.end - waiting.synced, "byte"),
            waiting.synced,
            if waiting.by_append { "the next append recovers it, or " } else { "what recovers it is " },
            quoted(path)
        )
    }))
}

/// One line about the part of a hole that lies in what was asked for.
#[must_use]
pub fn describe_part(at: Position, len: u64, hole: &Hole) -> String {
    describe(&Hole { start: at.get(), len, ..hole.clone() })
}

/// One line about a hole for `--holes say`.
#[must_use]
pub fn describe(hole: &Hole) -> String {
    let Hole { start, len, pid, kind, .. } = hole;
    let (end, len) = (hole.end(), units::counted(*len, "byte"));
    match kind {
        HoleKind::Pruned => return format!("positions {start} to {end} are pruned ({len})"),
        HoleKind::Gone if hole.is_noted => {
            return format!("positions {start} to {end} are gone ({len})");
        }
        HoleKind::Gone => {
            return format!(
                "positions {start} to {end} are gone ({len}): somebody removed or cut their segment; put it back if you have it"
            );
        }
        HoleKind::Unseen => {
            return format!(
                "positions {start} to {end} could not be looked at ({len}): this user may not list the log's directory; run as the log's owner or group, or chmod it"
            );
        }
        _ => {}
    }
    let command = printable(&hole.command);
    let who = match (NonZero::new(*pid), command.as_str()) {
        (None, _) => String::new(),
        (Some(pid), "") => format!(", left by process {pid}"),
        (Some(pid), command) => format!(", left by process {pid} ({command})"),
    };
    format!("hole at {start}, {len} ({kind}){who}")
}

/// Makes the pipe at standard output hold more, so that writer and reader take turns less often.
pub fn widen_pipe(out: &Output) {
    // Fails for anything but a pipe, and above the user's limit; both are fine.
    let _ = rustix::pipe::fcntl_setpipe_size(out.as_fd(), 4 * READ_SIZE);
}
