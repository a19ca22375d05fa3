//! Looks at one log, again and again, whatever becomes of it.
//!
//! What cannot be opened is tried once a second and explained meanwhile. A log that was removed and made anew at the
//! same path is noticed within a second, by the inode of its metadata file.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mmlog::{Error, Finding, Observer, Options, Status};

use super::tail::{Piece, Tail};
use crate::exit::{Exit, exit_of};
use crate::reading::metadata_of;
use crate::unmade::explain;

/// How often what cannot be opened is tried, and what is open is compared with its path.
const AGAIN: Duration = Duration::from_secs(1);

/// How long one log may keep those that are looked at with it waiting: whoever owns it may keep everybody from opening it,
/// by a lease.
const LONGEST: Duration = Duration::from_millis(50);

/// A look at a log, or why there is none.
pub type Look = Result<Box<Status>, Box<Finding>>;

/// One log, as it is seen from outside.
pub struct Source {
    path: PathBuf,
    options: Options,
    open: Result<Open, Box<Finding>>,
    /// When it was opened, or tried to.
    tried: Option<Instant>,
    /// What a command that could not look at it would end with.
    exit: Exit,
    tail: Tail,
}

struct Open {
    observer: Observer,
    inode: Option<u64>,
    looks: u32,
}

impl Source {
    /// Opens nothing yet.
    #[must_use]
    pub fn new(path: &Path, options: &Options) -> Self {
        let (path, options) = (path.to_owned(), options.clone().wait(LONGEST));
        let tail = Tail::new(path.clone(), options.clone());
        Self { path, options, open: Err(Box::new(not_yet())), tried: None, exit: Exit::Done, tail }
    }

    /// Looks once.
    ///
    /// # Errors
    /// What is wrong with a log that cannot be looked at, and what to do.
    pub fn look(&mut self) -> Look {
        if self.tried.is_none_or(|tried| tried.elapsed() >= AGAIN) {
            self.check();
        }
        let open = self.open.as_mut().map_err(|finding| finding.clone())?;
        open.looks = open.looks.saturating_add(1);
        open.observer.look().map(Box::new).map_err(|error| self.lost(&error))
    }

    /// Whether it was looked at once only since it was opened.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.open.as_ref().is_ok_and(|open| open.looks == 1)
    }

    /// What a command ends with that only looks at it.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        self.exit
    }

    /// The log's last lines.
    pub fn read(&mut self) -> Vec<Piece> {
        self.tail.read()
    }

    fn check(&mut self) {
        self.tried = Some(Instant::now());
        let inode = metadata_inode(&self.path);
        if self.open.as_ref().is_ok_and(|open| inode.is_some() && open.inode == inode) {
            return;
        }
        self.tail = Tail::new(self.path.clone(), self.options.clone());
        self.exit = Exit::Done;
        self.open = match Observer::open(&self.path, &self.options) {
            Ok(observer) => Ok(Open { observer, inode, looks: 0 }),
            Err(error) => Err(self.lost(&error)),
        };
    }

    fn lost(&mut self, error: &Error) -> Box<Finding> {
        let finding = Box::new(explain(error));
        self.exit = exit_of(error.fault());
        self.open = Err(finding.clone());
        finding
    }
}

fn metadata_inode(log: &Path) -> Option<u64> {
    fs::metadata(metadata_of(log)).ok().map(|m| m.ino())
}

fn not_yet() -> Finding {
    Finding {
        id: mmlog::FindingId::Unreadable,
        severity: mmlog::Severity::Info,
        state: mmlog::State::Ok,
        sentence: "not looked at yet".to_owned(),
        next_step: "wait".to_owned(),
        pid: None,
    }
}

#[cfg(test)]
mod tests {
    use mmlog::{Force, Log, State};

    use super::*;

    /// As if a second had passed.
    fn later(source: &mut Source) {
        source.tried = None;
    }

    #[test]
    fn a_log_that_comes_later_and_is_made_anew_is_seen() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("app.log");
        let mut source = Source::new(&path, &Log::options());
        assert!(source.look().is_err());
        let log = Log::options().open_or_create(&path)?;
        log.writer()?.append(b"one\n")?;
        log.close()?;
        assert!(source.look().is_err(), "not before a second has passed");
        later(&mut source);
        let look = |source: &mut Source| source.look().map_err(|f| f.sentence);
        assert_eq!(look(&mut source).map(|s| (s.state, s.cursor)), Ok((State::Ok, 4)));
        mmlog::remove(&path, Force::Always, &Options::new())?;
        later(&mut source);
        assert!(source.look().is_err());
        Log::options().open_or_create(&path)?;
        later(&mut source);
        assert_eq!(look(&mut source).map(|s| s.cursor), Ok(0));
        Ok(())
    }
}
