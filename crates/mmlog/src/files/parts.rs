//! Compressed copies in the making: `SEGMENT.mmlog-part`, on which its maker holds a lock as long as it lives.
//!
//! They are made and locked under the maintenance byte. So for whoever has that byte, one without a lock was left by a
//! dead maker.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use super::Files;
use super::segment_dir::SegmentDir;
use crate::error::Fault;
use crate::names::{PART_SUFFIX, SegmentName};
use crate::sys::lock;
use crate::sys::place::{Access, Part, Place};

/// The byte of such a file that its maker locks.
pub(super) const MAKER_BYTE: u64 = 0;

/// The name of a copy of that segment in the making, of whatever format: there is one at a time.
pub(super) fn name_of(segment: &OsStr) -> OsString {
    let mut name = segment.to_os_string();
    name.push(PART_SUFFIX);
    name
}

fn is_part(place: &Place, name: &OsStr) -> bool {
    let segment = name.as_bytes().strip_suffix(PART_SUFFIX.as_bytes()).map(OsStr::from_bytes);
    segment.is_some_and(|segment| SegmentName::parse(place.name(Part::Data), segment).is_some())
}

/// Whether a live process has a copy of that name in the making. An error where what has the name is none, or it cannot
/// be told.
pub(super) fn is_being_made(dir: &SegmentDir, name: &OsStr) -> Result<bool, Fault> {
    if dir.find_work(name)?.is_none() {
        return Ok(false);
    }
    let file = match dir.place().open_named(name, Access::Read) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(Fault::io("see whether somebody makes the compressed copy")(e)),
    };
    lock::is_locked(file.as_fd(), MAKER_BYTE, 1).map_err(Fault::io("ask who makes the compressed copy"))
}

/// Those without a maker, in that directory. One that this user may not open has one, as far as he can see.
pub(super) fn dead(dir: &SegmentDir) -> Result<Vec<OsString>, Fault> {
    let mut found = Vec::new();
    for name in dir.place().names().map_err(Fault::io("look for what a killed compression left"))? {
        if !is_part(dir.place(), &name) {
            continue;
        }
        match is_being_made(dir, &name) {
            Ok(false) => found.push(name),
            Ok(true) | Err(Fault::InTheWay { .. }) => {}
            Err(fault) if fault.is_denied() => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(found)
}

impl Files {
    /// Takes away what dead makers left, as far as it may be looked for and taken away now: the caller, who has the
    /// maintenance byte, has other work to do. What stays is a finding of `status`.
    pub(crate) fn remove_dead_parts(&self) {
        let dirs = [self.log_directory().ok(), self.old_directory().ok().flatten()];
        for dir in dirs.into_iter().flatten() {
            for name in dead(&dir).unwrap_or_default() {
                let _ = dir.place().remove_named(&name);
            }
        }
    }
}
