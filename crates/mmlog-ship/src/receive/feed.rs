//! The units of a directory, in order, as they come.

use std::io;
use std::path::{Path, PathBuf};

use super::state::State;
use crate::sinks::file::born;
pub(super) use crate::sinks::file::stored::Stored;
use crate::sinks::file::stored::{self, Reader, Step};
use crate::trouble::{Trouble, failed, shown};

/// What comes next.
#[derive(Debug)]
pub(super) enum Fed {
    Unit(Stored),
    /// These units are not there any more, and somebody accepted that.
    Missing {
        from: u64,
        to: u64,
    },
    /// Nothing yet.
    Nothing,
}

#[derive(Debug)]
pub(super) struct Feed {
    directory: PathBuf,
    born: u64,
    next: u64,
    reader: Option<Open>,
}

/// The file that is read.
#[derive(Debug)]
struct Open {
    reader: Reader,
    first: u64,
    /// Where the next file begins, if there was one.
    end: u64,
}

impl Feed {
    pub(super) fn open(directory: &Path) -> Result<Feed, Trouble> {
        let born = born(directory)?;
        if born == 0 {
            return Err(Trouble::Failed(format!("{}: nothing was shipped there", shown(directory))));
        }
        Ok(Feed { directory: directory.to_owned(), born, next: 1, reader: None })
    }

    pub(super) fn born(&self) -> u64 {
        self.born
    }

    /// Behind what was received: the unit there has to be the one that was.
    pub(super) fn begin(&mut self, state: &State) -> Result<(), Trouble> {
        if state.coordinate == 0 {
            // Older files may be gone: it begins with what is there.
            self.next = self.files()?.first().copied().unwrap_or(1);
            return Ok(());
        }
        self.next = state.coordinate;
        let files = self.files()?;
        let is_gone = files.first().is_none_or(|first| *first > state.coordinate);
        if is_gone && !files.is_empty() || state.id == 0 {
            self.next += 1;
            return Ok(());
        }
        match self.next(false)? {
            Fed::Unit(unit) if unit.header.id() == state.id => Ok(()),
            _ => Err(Trouble::Decide(format!(
                "{}: the unit at {} is another one than was received, or is gone: this was put back to an earlier state; receive into another directory",
                shown(&self.directory),
                state.coordinate
            ))),
        }
    }

    fn files(&self) -> Result<Vec<u64>, Trouble> {
        stored::listed(&self.directory).map_err(failed(&self.directory, "read the directory"))
    }

    /// The next unit that counts: what lies in a file behind where the next one begins does not.
    pub(super) fn next(&mut self, accept_gap: bool) -> Result<Fed, Trouble> {
        loop {
            if self.reader.is_none() && !self.find()? {
                return self.missing(accept_gap);
            }
            let Some(open) = &mut self.reader else { return Ok(Fed::Nothing) };
            let (step, first, end) = (open.reader.step(), open.first, open.end);
            let step = step.map_err(|e| self.unread(e))?;
            match step {
                Step::Unit(unit) if unit.coordinate < self.next => continue,
                Step::Unit(unit) if unit.coordinate < end => {
                    self.next = unit.coordinate + 1;
                    return Ok(Fed::Unit(unit));
                }
                _ => {}
            }
            // Listed before the file is looked at again: what is listed later was begun behind all that is in it.
            let behind = self.files()?.into_iter().find(|file| *file > first);
            let has_grown = self.reader.as_mut().map_or(Ok(false), |open| open.reader.look());
            if has_grown.map_err(|e| self.unread(e))? {
                continue;
            }
            match (behind, step) {
                (Some(behind), _) if behind == self.next => self.reader = None,
                (Some(behind), _) => {
                    return Err(self.damaged(&format!(
                        "units {} to {} are not in its files",
                        self.next,
                        behind - 1
                    )));
                }
                (None, Step::Wrong(e)) => return Err(self.damaged(&e.to_string())),
                (None, _) => return Ok(Fed::Nothing),
            }
        }
    }

    /// Opens the file that has the next unit; nothing of it counts where another one begins there.
    fn find(&mut self) -> Result<bool, Trouble> {
        let files = self.files()?;
        let Some(at) = files.iter().rposition(|first| *first <= self.next) else { return Ok(false) };
        let (first, end) = (files[at], files.get(at + 1).copied().unwrap_or(u64::MAX));
        let reader = Reader::open(&self.directory, first).map_err(|e| self.unread(e))?;
        self.reader = Some(Open { reader, first, end });
        Ok(true)
    }

    fn missing(&mut self, accept_gap: bool) -> Result<Fed, Trouble> {
        let Some(first) = self.files()?.first().copied() else { return Ok(Fed::Nothing) };
        let (from, to) = (self.next, first - 1);
        if !accept_gap {
            return Err(Trouble::Decide(format!(
                "{}: units {from} to {to} are gone before they were received; --accept-gap makes what they had a gap",
                shown(&self.directory)
            )));
        }
        self.next = first;
        Ok(Fed::Missing { from, to })
    }

    fn unread(&self, e: io::Error) -> Trouble {
        failed(&self.directory, "read")(e)
    }

    fn damaged(&self, why: &str) -> Trouble {
        Trouble::Decide(format!("{}: {why}; nothing of it was written", shown(&self.directory)))
    }
}
