//! How a command ends: exit codes, and failures that carry one.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use mmlog::{Class, Error, Fault};

/// Every exit code of the tool; EXIT STATUS in the man pages is rendered from it.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum Exit {
    /// Done, or there was nothing to do.
    Done = 0,
    /// It failed; standard error says what to do.
    Failed = 1,
    /// The command line was wrong.
    Usage = 2,
    /// Somebody else is in the way; try again later.
    Busy = 3,
    /// The log is damaged or poisoned.
    Damaged = 4,
}

impl Exit {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 5] = [Self::Done, Self::Failed, Self::Usage, Self::Busy, Self::Damaged];

    /// What the shell sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// One sentence for the man pages.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "Done, or nothing to do; also when the reader of standard output went away.",
            Self::Failed => "Failed; one line on standard error names the file, the problem and what to do.",
            Self::Usage => "The command line was wrong.",
            Self::Busy => "Busy: another process is in the way, standard error says which. Try again later.",
            Self::Damaged => "The log is damaged or was marked unusable; it needs repair.",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command stopped before its end.
#[derive(Debug)]
pub enum Failure {
    /// Nobody reads standard output any more: a quiet success.
    OutputClosed,
    /// Anything else.
    Said {
        /// The exit code.
        exit: Exit,
        /// One line, `PATH: problem; what to do`.
        text: String,
    },
}

impl Failure {
    /// A failure with its one line, `PATH: problem; what to do`.
    pub fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self::Said { exit, text: text.into() }
    }

    /// A failure of an operation on a file that is not the log's.
    #[must_use]
    pub fn io(path: &Path, operation: &str, error: &io::Error) -> Self {
        Self::new(Exit::Failed, format!("{}: {operation} failed: {error}", shown(path)))
    }

    /// A failure of standard output; a closed pipe is the quiet one.
    #[must_use]
    pub fn output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::new(Exit::Failed, format!("standard output: write failed: {error}")),
        }
    }

    /// The exit code.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::OutputClosed => Exit::Done,
            Self::Said { exit, .. } => *exit,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(exit_of(error.fault()), error.to_string())
    }
}

/// The exit code a fault of the library deserves.
#[must_use]
pub fn exit_of(fault: &Fault) -> Exit {
    match fault.class() {
        Class::Busy => Exit::Busy,
        Class::Damaged => Exit::Damaged,
        Class::Retry | Class::Refused => Exit::Failed,
    }
}

/// A path as it may stand in a line of output: control characters escaped, so that a
/// newline in a name cannot forge a second message.
#[must_use]
pub fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// Text with its control characters escaped.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            let _ = write!(safe, "{}", c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_documented_ones() {
        assert_eq!(Exit::ALL.map(Exit::code), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_closed_pipe_is_success() {
        let closed = io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(Failure::output(&closed).exit(), Exit::Done);
        assert_eq!(Failure::output(&io::Error::from(io::ErrorKind::StorageFull)).exit(), Exit::Failed);
    }

    #[test]
    fn a_newline_in_a_name_stays_on_the_line() {
        assert_eq!(shown(Path::new("a\nb\x1b[0m")), "a\\nb\\u{1b}[0m");
    }
}
