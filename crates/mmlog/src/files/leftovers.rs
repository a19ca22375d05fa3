//! Files that killed operations left, and that are nobody's: the next segment's of a rotation, compressed copies in the
//! making.
//!
//! Whoever makes such a file has the maintenance byte as long as it has its temporary name, or, for a copy, a lock on it.
//! So it is found first, then its maker is asked for, then it is found again: the same file then has no maker.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Files, parts};
use crate::error::Fault;
use crate::layout::MAINTENANCE_BYTE;
use crate::sync::Ordering;
use crate::sys::place::{Found, Part, Place};

/// A file that is nobody's.
pub(crate) struct Leftover {
    place: Arc<Place>,
    name: OsString,
    /// Bytes of disk that it takes.
    pub(crate) allocated: u64,
}

impl Leftover {
    pub(crate) fn path(&self) -> PathBuf {
        self.place.path().with_file_name(&self.name)
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        match self.place.remove_named(&self.name) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}

/// What a log's operations may have left in its directory and that of its old segments, where nobody is at work.
pub(super) fn in_directories(place: &Arc<Place>, old: Option<&Arc<Place>>, next: bool) -> Vec<Leftover> {
    let mut found = Vec::new();
    let mut add = |place: &Arc<Place>, name: OsString, is: Option<Found>| {
        found.extend(is.map(|is| Leftover { place: Arc::clone(place), name, allocated: is.allocated }));
    };
    if next {
        add(place, place.name(Part::Next).to_owned(), place.find(Part::Next).ok().flatten());
    }
    for place in [Some(place), old].into_iter().flatten() {
        for name in parts::dead(place) {
            let is = place.find_named(&name).ok().flatten();
            add(place, name, is);
        }
    }
    found
}

impl Files {
    /// What killed operations left, as far as it can be seen now.
    pub(crate) fn leftovers(&self) -> Vec<Leftover> {
        let first = self.place.find(Part::Next).ok().flatten();
        if self.is_version_1() || self.is_held(MAINTENANCE_BYTE) {
            return Vec::new();
        }
        // After a reboot it may be the log's own file: judged under the lock.
        let own = self.meta.header().identity.inode.load(Ordering::Relaxed);
        let again = self.place.find(Part::Next).ok().flatten();
        let is_nobodys = |next: Found| {
            let same = again.is_some_and(|again| again.id == next.id);
            same && next.id.1 != own && self.is_of_this_boot()
        };
        let old = self.old_directory().ok().flatten();
        in_directories(&self.place, old.as_ref(), first.is_some_and(is_nobodys))
    }

    /// Takes away what killed operations left. The caller has the maintenance byte, and has had the lock.
    pub(crate) fn remove_leftovers(&self) -> Result<(), Fault> {
        let old = self.old_directory().ok().flatten();
        for left in in_directories(&self.place, old.as_ref(), true) {
            left.remove().map_err(Fault::io("remove what a killed operation left"))?;
        }
        Ok(())
    }

    /// Takes a dead rotator's file away. The caller has the maintenance byte, and has had the lock.
    pub(crate) fn remove_next(&self) -> io::Result<()> {
        match self.place.find(Part::Next)? {
            Some(_) => self.place.remove(Part::Next),
            None => Ok(()),
        }
    }
}
