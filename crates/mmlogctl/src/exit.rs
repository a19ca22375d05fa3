//! How a command ends: exit codes, and failures that carry one.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use mmlog::{
    Class, Error, Fault, Finding, FindingId, LeftOut, Observer, Options, Severity, State, Status, quoted,
    reason,
};

use crate::output::Standard;
use crate::unmade::explain;

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

    /// One sentence for the man pages.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "Done, or nothing to do; also when the reader of standard output went away.",
            Self::Failed => {
                "Failed, or something could not be looked at (rights, the disk, no descriptor left) and was left out; a line on standard error names the file, the problem and what to do."
            }
            Self::Usage => "The command line was wrong.",
            Self::Busy => {
                "Busy: another process is in the way, standard error says which. Try again later. (Not for space that could not be cut off once all else was done: that is a notice.)"
            }
            Self::Damaged => "The log is damaged or was marked unusable; it needs repair.",
        }
    }
}

/// The exit codes of `check`, which monitoring gives their meaning.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// All is well.
    Fine = 0,
    /// Somebody should look at it some time.
    Warning = 1,
    /// Somebody should look at it now.
    Critical = 2,
    /// Nobody knows.
    Unknown = 3,
}

impl Verdict {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 4] = [Self::Fine, Self::Warning, Self::Critical, Self::Unknown];

    /// What the diagnosis of a log means to monitoring: the worst of its findings.
    #[must_use]
    pub fn of(findings: &[Finding]) -> Self {
        match findings.iter().map(|finding| finding.severity).min() {
            Some(Severity::Critical) => Self::Critical,
            Some(Severity::Warning) => Self::Warning,
            Some(Severity::Info) | None => Self::Fine,
        }
    }

    /// What it means that a log could not be looked at: as bad as is known, such as that its files were removed under a writer.
    #[must_use]
    pub fn of_unread(finding: &Finding) -> Self {
        match finding.state {
            State::Ok => Self::Unknown,
            _ => Self::of(std::slice::from_ref(finding)),
        }
    }

    /// Whichever somebody has to look at sooner: what nobody knows may be anything but worse than critical.
    #[must_use]
    pub fn or_worse(self, other: Self) -> Self {
        let rank = |verdict| match verdict {
            Self::Fine => 0,
            Self::Warning => 1,
            Self::Unknown => 2,
            Self::Critical => 3,
        };
        if rank(other) > rank(self) { other } else { self }
    }

    /// The word of the monitoring plugins.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fine => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// One sentence for the man page.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Fine => "Nothing that somebody has to look at; with --deep, every invariant holds.",
            Self::Warning => {
                "Somebody should look at it today: the worst finding is a warning (FULL SOON, WARNING, STALLED, LOCKED), or a threshold of --warning is passed. Never with --deep."
            }
            Self::Critical => {
                "Somebody should look at it now: PANICKED, DAMAGED or FULL, also of a log that cannot be looked at; STALLED or LOCKED where appends have waited for 30 s, or all slots for writers are taken and somebody waits for one; or a threshold of --critical is passed; with --deep, an invariant is violated."
            }
            Self::Unknown => {
                "It could not be checked and nobody knows how it is, with --deep also where a part of it could not be looked at, or the command line was wrong. Of several logs the worst counts: 2, then 3, then 1."
            }
        }
    }
}

/// The exit codes of `grep`, which grep(1) gives their meaning.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Found {
    /// A line was selected.
    Some = 0,
    /// None was.
    Nothing = 1,
    /// Not everything was searched.
    Trouble = 2,
}

impl Found {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 3] = [Self::Some, Self::Nothing, Self::Trouble];

    /// One sentence for the man page.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Some => {
                "A line was selected; with -q also after trouble. Also when the reader of standard output went away."
            }
            Self::Nothing => "No line was selected.",
            Self::Trouble => {
                "Trouble, whether a line was selected or not: the command line was wrong, or a log, or a range of it, is missing, damaged or could not be read. Standard error says what and what to do; what could be read was searched. A pruned range is missing where it was asked for: where --from or --since begins below what is kept, or it was pruned while it was searched. Without them a search begins with what is kept, and nothing is missing. Holes are no trouble."
            }
        }
    }
}

/// What the shell sees of sets of exit codes whose numbers are their variants' values.
macro_rules! seen_by_the_shell {
    ($($codes:ident),+) => {$(
        impl $codes {
            /// What the shell sees.
            #[must_use]
            pub const fn code(self) -> u8 {
                self as u8
            }
        }

        impl From<$codes> for ExitCode {
            fn from(exit: $codes) -> Self {
                Self::from(exit.code())
            }
        }
    )+};
}
seen_by_the_shell!(Exit, Verdict, Found, NotRun);

/// The exit code of a command that a signal ended before all was done, as the man pages have it.
pub const ENDED: (&str, &str) = (
    "128+N",
    "Signal N (SIGTERM, SIGINT, SIGHUP) ended it before all was done, within 1 s wherever it waited or worked. Standard error says what it waited for, or how much was done; the same command does the rest. It dies of the signal; the first process of a container, which cannot, has this exit code.",
);

/// The exit codes of `exec` that say that CMD never ran.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum NotRun {
    /// Of our own doing.
    Failed = 125,
    /// It is there.
    Refused = 126,
    /// It is not.
    Missing = 127,
}

impl NotRun {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 3] = [Self::Failed, Self::Refused, Self::Missing];

    /// One sentence for the man page.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Failed => {
                "The log could not be opened, or the command line was wrong: CMD was not started."
            }
            Self::Refused => "CMD was found, and could not be executed.",
            Self::Missing => "CMD was not found.",
        }
    }
}

/// The exit codes of `exec` once CMD was started, as the man page has them.
pub const RAN: [(&str, &str); 3] = [
    ("N", "The exit code of CMD, which ended by itself."),
    ("128+N", "Signal N ended CMD."),
    (
        "1",
        "CMD was successful, and some of its output was not read, not stored, or not made durable: standard error says why. Not for what --on-full drop has dropped and the log says so.",
    ),
];

/// The exit codes of `status`, which looks at logs in whatever state, as the man page has them.
pub const LOOKED: [(&str, &str); 5] = [
    (
        "0",
        "Every log could be looked at, whatever its state. With --exit-code: nothing that somebody has to look at.",
    ),
    (
        "1",
        "A log could not be looked at; standard error says why and what to do (where it is known how the log is, as of one that somebody waits to make or whose files were removed, standard output has that in the usual form, and on a terminal it alone). With --exit-code: the worst finding is a warning.",
    ),
    ("2", "The command line was wrong. With --exit-code: the worst finding is critical."),
    (
        "3",
        "Busy: another process is in the way, standard error says which. With --exit-code: nobody knows how a log is, or the command line was wrong; of several logs the worst counts, 2, then 3, then 1.",
    ),
    ("4", "A log, or its metadata, is so damaged that it could not be looked at; never with --exit-code."),
];

/// Those of `ls`, which looks at many: who is in the way of one of them is one that could not be looked at.
pub const LISTED: [(&str, &str); 5] = [
    LOOKED[0],
    (
        "1",
        "A DIR, something below it, or a log could not be looked at; standard error says why and what to do. With --exit-code: the worst finding is a warning.",
    ),
    LOOKED[2],
    (
        "3",
        "Only with --exit-code: nobody knows how a log is, something below a DIR could not be looked at, or the command line was wrong; of several logs the worst counts, 2, then 3, then 1.",
    ),
    LOOKED[4],
];

/// What a command line that cannot be parsed ends with. For `check`, 2 would read as critical; for `exec`, as CMD's.
#[must_use]
pub fn of_usage(line: impl Iterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = line.skip(1).collect();
    // Options that stand before the command have no values.
    let command = words.iter().find(|word| !word.as_encoded_bytes().starts_with(b"-"));
    match command.and_then(|word| word.to_str()) {
        Some("check") => Verdict::Unknown.into(),
        Some("status" | "ls") if words.iter().any(|word| word == "--exit-code") => Verdict::Unknown.into(),
        Some("exec") => NotRun::Failed.into(),
        _ => Exit::Usage.into(),
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
        Self::new(Exit::Failed, format!("{}: {operation} failed: {}", shown(path), reason(error)))
    }

    /// What has the name of a segment and was left out, if anything: the command did less than it seems.
    #[must_use]
    pub fn of_left_out(log: &Path, left_out: &[LeftOut]) -> Option<Self> {
        let first = left_out.first()?;
        let more = match left_out.len() {
            1 => String::new(),
            n => format!(" ({} more like it)", n - 1),
        };
        Some(Self::new(Exit::Failed, format!("{}: {first}{more}", shown(log))))
    }

    /// What of the old segments could not be looked at, if anything: there may be more than is told.
    #[must_use]
    pub fn of_unseen(log: &Path, status: &Status) -> Option<Self> {
        let mut unseen = status.findings.iter().filter(|f| f.id == FindingId::SegmentUnreadable);
        let first = unseen.next()?;
        let more = match unseen.count() {
            0 => String::new(),
            n => format!(" ({n} more like it)"),
        };
        let (what, next) = (printable(&first.sentence), &first.next_step);
        Some(Self::new(Exit::Failed, format!("{}: {what}{more}; {next}", shown(log))))
    }

    /// That positions of the log contradict each other, if they do: nothing of what they say can be told.
    #[must_use]
    pub fn of_positions(log: &Path, status: &Status) -> Option<Self> {
        let found = status.findings.iter().find(|f| f.id == FindingId::Positions)?;
        // In the words of whoever opens it to read.
        let text = format!("{}: {}; run `mmlogctl repair {}`", shown(log), found.sentence, quoted(log));
        Some(Self::new(Exit::Damaged, text))
    }

    /// A failure of a standard stream; a closed pipe is the quiet one.
    #[must_use]
    pub fn of_stream(stream: Standard, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::new(Exit::Failed, format!("{stream}: write failed: {}", reason(error))),
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
        let text = match still_there(&error) {
            Some(found) => {
                format!("{}: {}; {}", shown(error.path()), printable(&found.sentence), found.next_step)
            }
            None => error.to_string(),
        };
        Self::new(exit_of(error.fault()), text)
    }
}

/// What `status` says of a log whose files are not at their paths: somebody may have them open, and then comes first what
/// saves their bytes.
fn still_there(error: &Error) -> Option<Finding> {
    match error.fault() {
        Fault::NoLog | Fault::NoMetadata { .. } => Some(explain(error)),
        Fault::NoData => {
            let mut observer = Observer::open(error.path(), &Options::new()).ok()?;
            observer.look().ok()?.findings.into_iter().find(|found| found.id == FindingId::DataGone)
        }
        _ => None,
    }
}

/// Why something that only limits keep from working failed, and what to do.
#[must_use]
pub fn limited(error: &io::Error) -> String {
    let said = reason(error);
    if said.contains("; ") { said } else { format!("{said}; look at the limits (`ulimit -a`)") }
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

/// Whether a terminal does something for a character besides showing it: control characters, and those that turn the
/// direction of writing, so that what is read is not what is there.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    let turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Text with what [`is_unsafe`] escaped.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) {
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
        assert_eq!(Verdict::ALL.map(Verdict::code), [0, 1, 2, 3]);
        assert_eq!(Found::ALL.map(Found::code), [0, 1, 2]);
        assert_eq!(NotRun::ALL.map(NotRun::code), [125, 126, 127]);
    }

    #[test]
    fn of_several_verdicts_the_one_to_look_at_first_counts() {
        use Verdict::{Critical, Fine, Unknown, Warning};
        let worst = |all: &[Verdict]| all.iter().fold(Fine, |worst, one| worst.or_worse(*one));
        assert_eq!(worst(&[Warning, Unknown, Fine]), Unknown);
        assert_eq!(worst(&[Unknown, Critical, Unknown]), Critical);
        assert_eq!((worst(&[Warning, Fine]), worst(&[])), (Warning, Fine));
    }

    #[test]
    fn a_wrong_command_line_is_not_taken_for_an_answer() {
        let of = |line: &str| of_usage(line.split(' ').map(OsString::from));
        for line in [
            "mmlogctl check",
            "mmlogctl --trust-path check --nonsense LOG",
            "mmlogctl -x check",
            "mmlogctl status --exit-code",
        ] {
            assert_eq!(of(line), Verdict::Unknown.into(), "{line}");
        }
        for line in ["mmlogctl exec", "mmlogctl --trust-path exec LOG"] {
            assert_eq!(of(line), NotRun::Failed.into(), "{line}");
        }
        for line in ["mmlogctl", "mmlogctl cat check", "mmlogctl --check"] {
            assert_eq!(of(line), Exit::Usage.into(), "{line}");
        }
    }

    #[test]
    fn a_closed_pipe_is_success() {
        let closed = io::Error::from(io::ErrorKind::BrokenPipe);
        let of = |error: &io::Error| Failure::of_stream(Standard::Output, error).exit();
        assert_eq!(of(&closed), Exit::Done);
        assert_eq!(of(&io::Error::from(io::ErrorKind::StorageFull)), Exit::Failed);
    }

    #[test]
    fn a_newline_in_a_name_stays_on_the_line() {
        assert_eq!(shown(Path::new("a\nb\x1b[0m\u{202e}")), "a\\nb\\u{1b}[0m\\u{202e}");
    }
}
