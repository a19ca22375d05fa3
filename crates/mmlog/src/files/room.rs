//! Whether a log's directory takes the names that its files have: each has the log's and something behind it; and why it takes
//! no file.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;

use nix::libc;

use crate::error::Fault;
use crate::names::LONGEST_BYTES;
use crate::sys::fs;
use crate::sys::place::{Part, Place};

/// How long names may be in a log's directory.
pub(crate) struct Room<'a> {
    place: &'a Place,
    most: usize,
}

impl<'a> Room<'a> {
    pub(crate) fn of(place: &'a Place) -> Result<Self, Fault> {
        let asked = fs::ask_file_system(place.directory_fd());
        let most = asked.map_err(Fault::io("ask for the file system"))?.longest_name;
        Ok(Self { place, most })
    }

    fn too_long(&self, needed: usize, what: &'static str, exists: bool) -> Fault {
        let name = self.place.name(Part::Data).len();
        let fits = self.most.saturating_sub(LONGEST_BYTES);
        Fault::NameTooLong { name, what, needed, most: self.most, fits, exists }
    }

    /// An error where a log cannot have that name, because its metadata could not.
    pub(crate) fn check_pair(place: &'a Place) -> Result<(), Fault> {
        /// Every file system allows as many.
        const SHORT: usize = 128;
        let needed = place.name(Part::Metadata).len();
        if needed <= SHORT {
            return Ok(());
        }
        let room = Self::of(place)?;
        if needed <= room.most { Ok(()) } else { Err(room.too_long(needed, "its metadata", false)) }
    }

    /// An error where the log, which is to be made, could later not be rotated or compressed.
    pub(crate) fn check_new(&self) -> Result<(), Fault> {
        let needed = self.place.name(Part::Data).len() + LONGEST_BYTES;
        match needed <= self.most {
            true => Ok(()),
            false => Err(self.too_long(needed, "an old segment", false)),
        }
    }

    /// An error where the name does not fit of a file that is to be made for a log that is there.
    pub(crate) fn check(&self, name: &OsStr, what: &'static str) -> Result<(), Fault> {
        if name.len() <= self.most { Ok(()) } else { Err(self.too_long(name.len(), what, true)) }
    }
}

/// Why a file could not be made there: where there is space for it, what has run out are inodes.
pub(super) fn no_room(directory: impl AsFd, needed: u64, source: io::Error) -> Fault {
    let asked = fs::ask_file_system(directory).ok();
    let free = asked.as_ref().map_or(0, |asked| asked.free);
    match asked.and_then(|asked| asked.inodes) {
        Some((0, all)) if free >= needed && source.raw_os_error() == Some(libc::ENOSPC) => {
            Fault::NoInode { all, free }
        }
        _ => Fault::NoSpace { needed, free, source },
    }
}
