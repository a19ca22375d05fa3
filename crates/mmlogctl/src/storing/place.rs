//! The files of the log and where they are: whether one of our streams is one of them, and whether the path still leads to
//! the log.

use std::fs;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use mmlog::{Error, Fault, Log, ReadOnly, WhyReadOnly, Writer, with_log};
use rustix::fs::{FileType, fstat};

use crate::exit::{Exit, Failure, shown};
use crate::link::Link;
use crate::output::Output;
use crate::reading::metadata_of;

/// How often we look whether the path still leads to the log.
const EVERY: Duration = Duration::from_secs(5);

/// A standard stream that might be a file of the log.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Stream {
    Input,
    Output,
    Error,
}

impl Stream {
    fn fd(self) -> BorrowedFd<'static> {
        match self {
            Self::Input => rustix::stdio::stdin(),
            Self::Output => rustix::stdio::stdout(),
            Self::Error => rustix::stdio::stderr(),
        }
    }

    fn refused(self, log: &Path) -> Failure {
        let (name, trouble) = self.trouble();
        let (path, trouble) = (shown(log), with_log(trouble, log));
        Failure::new(Exit::Failed, format!("{path}: {name} is a file of this log; {trouble}"))
    }

    fn trouble(self) -> (&'static str, &'static str) {
        match self {
            Self::Input => (
                "standard input",
                "it would be fed by what it appends; `mmlogctl cat LOG > COPY` first, and append that",
            ),
            Self::Output => {
                ("standard output", "what is written there would be written over the log; name another file")
            }
            Self::Error => {
                ("standard error", "what is said there would be written into the log; name another file")
            }
        }
    }
}

/// # Errors
/// When one of the streams is the log's data file, its metadata or an old segment of it.
pub(super) fn refuse_itself(log: &Log, streams: &[Stream]) -> Result<(), Failure> {
    for stream in streams {
        let Ok(stat) = fstat(stream.fd()) else { continue };
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            continue;
        }
        if log.has_file(stream.fd()).unwrap_or(false) {
            return Err(stream.refused(log.path()));
        }
    }
    Ok(())
}

/// The same before the log is opened: where it is made from a file that is there, whoever has that open for writing is waited
/// for, and that would be ourselves, or who started us.
///
/// # Errors
/// When one of the streams is what has the log's name; where that is no log yet, any standard stream.
pub(crate) fn refuse_named(log: &Path, streams: &[Stream]) -> Result<(), Failure> {
    const ALL: [Stream; 3] = [Stream::Input, Stream::Output, Stream::Error];
    let Ok(named) = fs::metadata(log).map(|named| (named.dev(), named.ino())) else { return Ok(()) };
    let is_log = fs::canonicalize(log).is_ok_and(|log| metadata_of(&log).exists());
    let streams = if is_log { streams } else { &ALL };
    let is_it = |stream: &&Stream| fstat(stream.fd()).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == named);
    streams.iter().find(is_it).map_or(Ok(()), |stream| Err(stream.refused(log)))
}

/// Whether the path still leads to the log, and the log can still be written, looked at now and then.
#[derive(Debug)]
pub(super) struct Watch {
    next: Instant,
    /// It does not, and that was said.
    lost: bool,
    /// What else is wrong, and was said.
    trouble: Option<String>,
    link: Link,
}

impl Watch {
    /// Of the log that was named so.
    pub(super) fn new(named: &Path, opened: &Path) -> Self {
        let (next, link) = (Instant::now() + EVERY, Link::at(named, opened));
        Self { next, lost: false, trouble: None, link }
    }

    pub(super) const fn next(&self) -> Instant {
        self.next
    }

    /// Says, once, that what is appended does not go where it should, although appends still work.
    pub(super) fn warn(&mut self, log: &Log, out: &mut Output) {
        let trouble = trouble(log);
        if let Some(text) = trouble.as_ref().filter(|_| trouble != self.trouble) {
            out.notice(&format!("{}: {}", shown(log.path()), with_log(text, log.path())));
        }
        self.trouble = trouble;
    }

    /// Looks, and goes on in the log that was made in this one's place, as writers do when they have to grow; says what
    /// was found, once. Gives whether it goes on there.
    pub(super) fn look(&mut self, log: &mut Log, writer: &mut Writer, out: &mut Output) -> bool {
        self.next = Instant::now() + EVERY;
        // Nor does it keep the file of an old segment.
        writer.let_go();
        // What is due by time, although nothing comes; what is in the way is noted for status.
        let _ = log.housekeep();
        if let Some(text) = self.link.moved() {
            out.notice(&format!("{}: {text}", shown(log.path())));
        }
        if log.is_current() {
            return false;
        }
        let path = shown(log.path());
        let renewed = log.renewed();
        if let Ok(new) = &renewed
            && new.is_current()
            && let Ok(its_writer) = new.writer()
        {
            (*log, *writer, self.lost) = (new.clone(), its_writer, false);
            out.notice(&format!(
                "{path}: another log is at this path; what was appended to the one before is in a file that has no name here any more; goes on in this one"
            ));
            return true;
        }
        if !std::mem::replace(&mut self.lost, true) {
            // It is where it was opened: a directory on the way is another one.
            let what = match renewed.as_ref().map_err(Error::fault) {
                Ok(_) => {
                    "the path does not lead to this log any more: its directory was renamed or replaced; it goes on where it was opened, restart it to append at this path".to_owned()
                }
                Err(fault @ (Fault::Io { .. } | Fault::Denied { .. })) => format!(
                    "the path does not lead to this log any more, and what is there could not be looked at ({fault}); it goes on where it was opened"
                ),
                Err(_) if log.has_its_data_file() => {
                    "the metadata was removed or replaced under this process: nobody else can append, and this cannot either once the file has to grow or rotate; `mmlogctl status LOG` says what saves the policy, and what to do".to_owned()
                }
                Err(_) => {
                    "the log was removed under this process; what is appended goes to a file without a name, and is gone when nobody has it open; make another (`mmlogctl init LOG`), or restart this".to_owned()
                }
            };
            out.notice(&format!("{path}: {}", with_log(&what, log.path())));
        }
        false
    }
}

/// Why what is appended is not safe, although its writer notices nothing before it needs more space.
fn trouble(log: &Log) -> Option<String> {
    if let Some(ReadOnly { at, why }) = log.read_only() {
        let at = shown(&at);
        return match why {
            WhyReadOnly::Error => Some(format!(
                "its file system, mounted at {at}, had an error and takes no writes any more: what is appended now is in memory alone; `mmlogctl status LOG` says what to do"
            )),
            WhyReadOnly::FileSystem => Some(format!(
                "its file system, mounted at {at}, is read-only now; `mmlogctl status LOG` says what to do"
            )),
            // Of who looks by it. Ours was opened by another.
            WhyReadOnly::Mount => None,
        };
    }
    let is_lost = log.is_current() && !log.has_its_data_file();
    is_lost.then(|| {
        "the data file was removed, moved or replaced under this process: what is appended goes to the one before, until that needs space, which is an error; `mmlogctl status LOG` says what saves it".to_owned()
    })
}
