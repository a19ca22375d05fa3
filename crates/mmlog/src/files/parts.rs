//! Compressed copies in the making: `SEGMENT.mmlog-part`, on which its maker holds a lock as long as it lives.
//!
//! They are made and locked under the maintenance byte. So for whoever has that byte, one without a lock was left by a
//! dead maker.

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use super::Files;
use crate::names::SegmentName;
use crate::sys::lock;
use crate::sys::place::{Access, Part, Place};

const SUFFIX: &str = ".mmlog-part";
/// The byte of such a file that its maker locks.
pub(super) const MAKER_BYTE: u64 = 0;

/// The name of a copy of that segment in the making, of whatever format: there is one at a time.
pub(super) fn name_of(segment: &OsStr) -> OsString {
    let mut name = segment.to_os_string();
    name.push(SUFFIX);
    name
}

fn is_part(place: &Place, name: &OsStr) -> bool {
    let segment = name.as_bytes().strip_suffix(SUFFIX.as_bytes()).map(OsStr::from_bytes);
    segment.is_some_and(|segment| SegmentName::parse(place.name(Part::Data), segment).is_some())
}

/// Whether a live process has a copy of that name in the making. When in doubt it has.
pub(super) fn is_being_made(place: &Place, name: &OsStr) -> bool {
    match place.open_named(name, Access::Read) {
        Ok(file) => lock::is_locked(file.as_fd(), MAKER_BYTE, 1).unwrap_or(true),
        Err(e) => e.kind() != std::io::ErrorKind::NotFound,
    }
}

/// Those without a maker, in that directory.
pub(super) fn dead(place: &Place) -> Vec<OsString> {
    let mut names = place.names().unwrap_or_default();
    names.retain(|name| is_part(place, name) && !is_being_made(place, name));
    names
}

impl Files {
    /// Takes away what dead makers left. The caller has the maintenance byte; what it may not take away stays.
    pub(crate) fn remove_dead_parts(&self) {
        let old = self.old_directory().ok().flatten();
        for place in [Some(&self.place), old.as_ref()].into_iter().flatten() {
            for name in dead(place) {
                let _ = place.remove_named(&name);
            }
        }
    }
}
