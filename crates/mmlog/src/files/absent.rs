//! What is at a path that has no metadata beside it: nothing, a plain file, or a part of another log.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::meta::{self, Stage};
use super::{Adopt, METADATA_SUFFIX, moved};
use crate::error::Fault;
use crate::names::{Compression, SegmentName};
use crate::sys::place::{Access, Part, Place};

/// Why that is no log, and what to name instead, where that can be told. `len`: of the data file, 0 where there is none;
/// `reads`: whether it was only to be read.
pub(super) fn no_log(place: &Place, len: u64, reads: bool) -> Fault {
    belongs_to_a_log(place).unwrap_or_else(|| no_other(place, len, reads))
}

/// The same of what [`belongs_to_a_log`] does not know.
pub(super) fn no_other(place: &Place, len: u64, reads: bool) -> Fault {
    if len == 0 && segments(place) == 0 {
        return Fault::NoLog;
    }
    segment(place, place.name(Part::Data)).unwrap_or_else(|| without_metadata(place, len, reads))
}

/// Why a data file without metadata is never to become a log, whoever asks for it: it is one, whose metadata was moved, or it
/// is the metadata of one.
pub(super) fn belongs_to_a_log(place: &Place) -> Option<Fault> {
    moved::metadata(place).or_else(|| metadata_of(place, place.name(Part::Data)))
}

/// Of a data file that has so many bytes.
pub(super) fn without_metadata(place: &Place, len: u64, reads: bool) -> Fault {
    let (ends_in_nuls, segments) = (ends_in_nuls(place, len), segments(place));
    Fault::NoMetadata { len, ends_in_nuls, segments, reads, unfit: unfit(place) }
}

/// How many old segments lie beside a data file. (Not: without one. A directory of old segments has those alone.)
fn segments(place: &Place) -> u64 {
    let log = place.name(Part::Data);
    let names = if is_there(place, log) { place.names().unwrap_or_default() } else { Vec::new() };
    names.iter().filter(|name| SegmentName::parse(log, name).is_some()).count() as u64
}

/// Directories of the system in which nobody has logs.
const OF_THE_SYSTEM: [&str; 15] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/sbin",
    "/usr/bin",
    "/usr/include",
    "/usr/lib",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/sbin",
    "/usr/share",
];

/// Why a file is hardly meant to become a log, or cannot be made one by this user.
fn unfit(place: &Place) -> Option<&'static str> {
    let parent = place.path().parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = std::fs::canonicalize(parent.unwrap_or(Path::new("."))).unwrap_or_default();
    if OF_THE_SYSTEM.iter().any(|system| directory.starts_with(system)) {
        return Some("in a directory of the system; name another file for a log");
    }
    let may = place.may_write(Part::Data).and_then(|()| place.may_make_files());
    may.is_err().then_some(
        "that this user may not write, or make files beside; name another one for a log, or run it as a user who may",
    )
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

/// What is called like metadata of a log that is there, or so but for what somebody put behind it.
fn metadata_of(place: &Place, name: &OsStr) -> Option<Fault> {
    let (bytes, suffix) = (name.as_bytes(), METADATA_SUFFIX.as_bytes());
    let mut ends = (1..bytes.len()).filter(|at| bytes[*at..].starts_with(suffix));
    let is_it = |end: usize| {
        end + suffix.len() == bytes.len()
            || place
                .open_named(name, Access::Read)
                .is_ok_and(|file| matches!(meta::stage(&file), Ok(Stage::Ready)))
    };
    let end = ends.find(|end| is_there(place, OsStr::from_bytes(&bytes[..*end])) && is_it(*end))?;
    Some(Fault::Metadata(place.path().with_file_name(OsStr::from_bytes(&bytes[..end]))))
}

/// The names of the logs to which a file of that name may belong: as an old segment, or as metadata behind whose name somebody has
/// put something.
pub fn logs_named_by(name: &OsStr) -> impl Iterator<Item = &OsStr> {
    let (bytes, suffix) = (name.as_bytes(), METADATA_SUFFIX.as_bytes());
    let is_suffix = move |at: &usize| bytes[*at..].starts_with(suffix) && at + suffix.len() < bytes.len();
    let metadata = (1..bytes.len()).filter(is_suffix).map(|at| OsStr::from_bytes(&bytes[..at]));
    SegmentName::find(name).map(|(log, _)| log).into_iter().chain(metadata)
}

fn segment(place: &Place, name: &OsStr) -> Option<Fault> {
    let (of, segment) = SegmentName::find(name)?;
    let reads = match segment.compression {
        None => "`cat LOG` reads this part of it",
        Some(Compression::Zstd) => "zstd unpacks this part of it",
        Some(Compression::Gzip) => "gzip unpacks this part of it",
    };
    let metadata = [of.as_bytes(), METADATA_SUFFIX.as_bytes()].concat();
    let log = place.path().with_file_name(of);
    Some(Fault::Segment { log, reads, is_there: is_there(place, OsStr::from_bytes(&metadata)) })
}

fn is_there(place: &Place, name: &OsStr) -> bool {
    place.find_named(name).is_ok_and(|found| found.is_some())
}
