//! What is at a path that has no metadata beside it: nothing, a plain file, or a part of another log.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use super::{Adopt, METADATA_SUFFIX};
use crate::error::Fault;
use crate::names::{Compression, SegmentName};
use crate::sys::place::{Access, Part, Place};

/// Why that is no log, and what to name instead, where that can be told. `len`: of the data file, 0 where there is none;
/// `reads`: whether it was only to be read.
pub(super) fn no_log(place: &Place, len: u64, reads: bool) -> Fault {
    if len == 0 {
        return Fault::NoLog;
    }
    part_of_another(place, place.name(Part::Data)).unwrap_or_else(|| without_metadata(place, len, reads))
}

/// Of a data file that has so many bytes.
pub(super) fn without_metadata(place: &Place, len: u64, reads: bool) -> Fault {
    Fault::NoMetadata { len, ends_in_nuls: ends_in_nuls(place, len), reads }
}

/// Whether its bytes are not to be taken for content.
pub(super) fn is_refused(place: &Place, len: u64, adopt: Adopt) -> bool {
    len > 0
        && match adopt {
            Adopt::Refuse => true,
            Adopt::Existing => ends_in_nuls(place, len),
            Adopt::WithNuls => false,
        }
}

/// What was allocated ahead in a log whose metadata is gone, most likely. Of what cannot be read nobody says so.
fn ends_in_nuls(place: &Place, len: u64) -> bool {
    let mut page = [1; 4096];
    let last = len.checked_sub(page.len() as u64);
    let mut read = |at| place.open(Part::Data, Access::Read)?.read_exact_at(&mut page, at);
    last.is_some_and(|at| read(at).is_ok()) && page.iter().all(|byte| *byte == 0)
}

fn part_of_another(place: &Place, name: &OsStr) -> Option<Fault> {
    let log = |name: &OsStr| place.path().with_file_name(name);
    let is_there = |name: &OsStr| place.find_named(name).is_ok_and(|found| found.is_some());
    let data = name.as_bytes().strip_suffix(METADATA_SUFFIX.as_bytes()).map(OsStr::from_bytes);
    if let Some(data) = data.filter(|data| is_there(data)) {
        return Some(Fault::Metadata(log(data)));
    }
    let dots = name.as_bytes().iter().enumerate().filter(|(_, byte)| **byte == b'.');
    let mut names = dots.map(|(at, _)| OsStr::from_bytes(&name.as_bytes()[..at]));
    let (of, segment) = names.find_map(|of| Some((of, SegmentName::parse(of, name)?)))?;
    let reads = match segment.compression {
        None => "`cat LOG` reads this part of it",
        Some(Compression::Zstd) => "zstd unpacks this part of it",
        Some(Compression::Gzip) => "gzip unpacks this part of it",
    };
    let metadata = [of.as_bytes(), METADATA_SUFFIX.as_bytes()].concat();
    Some(Fault::Segment { log: log(of), reads, is_there: is_there(OsStr::from_bytes(&metadata)) })
}
