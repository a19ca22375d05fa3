//! Files that killed operations left, and that are nobody's: the next segment's of a rotation, compressed copies in the
//! making.
//!
//! Whoever makes such a file has the maintenance byte as long as it has its temporary name, or, for a copy, a lock on it.
//! So it is found first, then its maker is asked for, then it is found again: the same file then has no maker.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use super::segment_dir::SegmentDir;
use super::{Files, parts};
use crate::error::Fault;
use crate::layout::MAINTENANCE_BYTE;
use crate::sync::Ordering;
use crate::sys::place::{Found, Part};

/// A file that is nobody's.
pub(crate) struct Leftover {
    dir: SegmentDir,
    name: OsString,
    found: Found,
}

impl Leftover {
    #[cfg(feature = "compressed")]
    pub(super) fn new(dir: SegmentDir, name: OsString, found: Found) -> Self {
        Self { dir, name, found }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path(&self.name)
    }

    /// Bytes of disk that it takes.
    pub(crate) fn allocated(&self) -> u64 {
        self.found.allocated
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        let place = self.dir.place();
        match place.find_named(&self.name)? {
            Some(found) if found.id == self.found.id => place.remove_named(&self.name),
            _ => Ok(()),
        }
    }
}

/// What a log's operations may have left in its directory and that of its old segments, where nobody is at work; without
/// what has such a name and is none of theirs.
pub(super) fn in_directories(
    log: &SegmentDir,
    old: Option<&SegmentDir>,
    next: bool,
) -> Result<Vec<Leftover>, Fault> {
    let mut names = Vec::new();
    if next {
        names.push((log, log.place().name(Part::Next).to_owned()));
    }
    for dir in [Some(log), old].into_iter().flatten() {
        names.extend(parts::dead(dir)?.into_iter().map(|name| (dir, name)));
    }
    let mut all = Vec::new();
    for (dir, name) in names {
        match dir.find_work(&name) {
            Ok(Some(found)) => all.push(Leftover { dir: dir.clone(), name, found }),
            Ok(None) | Err(Fault::InTheWay { .. }) => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(all)
}

impl Files {
    /// What killed operations left, where nobody is at work now.
    pub(crate) fn leftovers(&self) -> Result<Vec<Leftover>, Fault> {
        let look = || self.place.find(Part::Next).map_err(Fault::io("look for what a killed rotation left"));
        let first = look()?;
        if self.is_version_1() || self.is_held(MAINTENANCE_BYTE) {
            return Ok(Vec::new());
        }
        // After a reboot it may be the log's own file: judged under the lock.
        let own = self.meta.header().identity.inode.load(Ordering::Relaxed);
        let again = look()?;
        let is_nobodys = |next: Found| {
            let same = again.is_some_and(|again| again.id == next.id);
            same && next.id.1 != own && self.is_of_this_boot()
        };
        let (log, old) = (self.log_directory()?, self.old_directory()?);
        in_directories(&log, old.as_ref(), first.is_some_and(is_nobodys))
    }

    /// Takes away what killed operations left. The caller has the maintenance byte, and has had the lock.
    pub(crate) fn remove_leftovers(&self) -> Result<(), Fault> {
        let old = self.old_directory()?;
        for left in in_directories(&self.log_directory()?, old.as_ref(), true)? {
            left.remove().map_err(Fault::io("remove what a killed operation left"))?;
        }
        Ok(())
    }

    /// Whether a rotator's file may be there.
    pub(crate) fn has_next(&self) -> bool {
        !matches!(self.place.find(Part::Next), Ok(None))
    }

    /// Takes a dead rotator's file away. The caller has the maintenance byte, and has had the lock.
    /// An error where something else has its name.
    pub(crate) fn remove_next(&self) -> Result<(), Fault> {
        match self.log_directory()?.find_work(self.place.name(Part::Next))? {
            Some(_) => {
                self.place.remove(Part::Next).map_err(Fault::io("remove what an unfinished rotation left"))
            }
            None => Ok(()),
        }
    }
}
