//! The units of a directory, in order, as they come.

use std::io;
use std::path::{Path, PathBuf};

use super::born;
use super::stored::{self, Reader, Step};
use crate::receive::{self, Fed, Feed};
use crate::trouble::{Trouble, failed, shown};
use crate::unit::Id;

/// A directory that is read.
#[derive(Debug)]
pub struct FileFeed {
    directory: PathBuf,
    name: String,
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

impl FileFeed {
    /// Of that directory.
    pub fn new(directory: &Path) -> Self {
        FileFeed { directory: directory.to_owned(), name: shown(directory), next: 1, reader: None }
    }

    fn files(&self) -> Result<Vec<u64>, Trouble> {
        stored::listed(&self.directory).map_err(failed(&self.directory, "read the directory"))
    }

    /// The next unit that counts: what lies in a file behind where the next one begins does not.
    fn step(&mut self) -> Result<Fed, Trouble> {
        loop {
            if self.reader.is_none() && !self.find()? {
                return self.missing();
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
            let is_there =
                self.reader.as_ref().is_some_and(|open| open.reader.is_there(&self.directory, first));
            match (behind, step) {
                (Some(behind), _) if behind == self.next => self.reader = None,
                _ if !is_there => return Err(receive::put_back()),
                (Some(behind), _) if behind < self.next => return Err(receive::put_back()),
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

    fn missing(&mut self) -> Result<Fed, Trouble> {
        let Some(first) = self.files()?.first().copied() else { return Ok(Fed::Nothing) };
        let from = std::mem::replace(&mut self.next, first);
        Ok(Fed::Missing { from, to: first - 1 })
    }

    fn unread(&self, e: io::Error) -> Trouble {
        failed(&self.directory, "read")(e)
    }

    fn damaged(&self, why: &str) -> Trouble {
        Trouble::Decide(format!("{}: {why}; nothing of it was written", shown(&self.directory)))
    }
}

impl Feed for FileFeed {
    fn name(&self) -> &str {
        &self.name
    }

    fn open(&mut self) -> Result<Option<u64>, Trouble> {
        self.reader = None;
        Ok(Some(born(&self.directory)?).filter(|born| *born != 0))
    }

    fn begin(&mut self, coordinate: u64, id: Id) -> Result<bool, Trouble> {
        if coordinate == 0 {
            // Older files may be gone: it begins with what is there.
            self.next = self.files()?.first().copied().unwrap_or(1);
            self.reader = None;
            return Ok(true);
        }
        self.next = coordinate;
        let files = self.files()?;
        let is_gone = files.first().is_none_or(|first| *first > coordinate);
        if is_gone && !files.is_empty() || id == 0 {
            self.next += 1;
            return Ok(true);
        }
        Ok(matches!(self.step()?, Fed::Unit(unit) if unit.header.id() == id))
    }

    fn next(&mut self) -> Result<Fed, Trouble> {
        self.step()
    }
}
