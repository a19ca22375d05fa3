//! What is at a path that has no metadata beside it: nothing, a plain file, or a part of another log.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::METADATA_SUFFIX;
use crate::error::Fault;
use crate::names::{Compression, SegmentName};
use crate::sys::place::{Part, Place};

/// Why that is no log, and what to name instead, where that can be told. `len`: of the data file, 0 where there is none.
pub(super) fn no_log(place: &Place, len: u64) -> Fault {
    if len == 0 {
        return Fault::NoLog;
    }
    part_of_another(place, place.name(Part::Data)).unwrap_or(Fault::NoMetadata { len })
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
