//! Metadata that somebody gave another name: it is looked for in the log's directory, and, elsewhere, among what those have
//! open who have the data file open. A copy is none: it was made under another number than its own. And the other way round: whose
//! metadata it is that has no data file beside it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::METADATA_SUFFIX;
use super::absent::logs_named_by;
use super::meta::{self, Meta, Stage};
use crate::error::{Fault, shown};
use crate::layout::Header;
use crate::metadata::MadeAs;
use crate::names::SegmentName;
use crate::sync::Ordering;
use crate::sys::holders::{Link, have_open, openers_at};
use crate::sys::map::Protection;
use crate::sys::mounts::Table;
use crate::sys::place::{Access, Found, Part, Place};

/// Where the metadata of that data file is, if it is not where it should be, and who uses it there.
pub(crate) fn moved(log: &Path) -> Option<Fault> {
    let place = Place::new(log, METADATA_SUFFIX).ok()?;
    place.find(Part::Metadata).is_ok_and(|found| found.is_none()).then(|| metadata(&place))?
}

/// The same, of a place that has none.
pub(super) fn metadata(place: &Place) -> Option<Fault> {
    let data = place.find(Part::Data).ok()??;
    let links = place.links();
    let (there, found) = beside(place, &data).or_else(|| of_whoever_has_it_open(place, &links, &data)).map(
        |(there, found)| {
            // As its processes have it.
            (there.canonicalize().unwrap_or(there), found)
        },
    )?;
    let by = openers_at(place.directory_fd(), &links, &there, found.id.1);
    let used = if by.is_empty() { String::new() } else { have_open(&by, "") };
    Some(Fault::MetadataMoved { to: as_named(place, there), used, pid: by.first().map(|one| one.pid) })
}

/// Metadata without a data file under its name, which is that of a log beside it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stray {
    /// That log has none at its path: this is it.
    Renamed(PathBuf),
    /// That log has it; this is its second name.
    SecondName(PathBuf),
    /// That log has its own; this is a copy of it.
    Copy(PathBuf),
}

impl Stray {
    /// That log's data file.
    #[must_use]
    pub fn log(&self) -> &Path {
        let (Self::Renamed(log) | Self::SecondName(log) | Self::Copy(log)) = self;
        log
    }

    /// As in `backup.mmlog is a copy of the metadata of app.log`.
    #[must_use]
    pub fn said_of(&self, metadata: &Path) -> String {
        let what = match self {
            Self::Renamed(_) => "the metadata",
            Self::SecondName(_) => "a second name of the metadata",
            Self::Copy(_) => "a copy of the metadata",
        };
        let log = self.log().file_name().unwrap_or_default();
        format!("{} is {what} of {}, and no log of its own", shown(metadata), shown(Path::new(log)))
    }
}

pub(crate) fn metadata_at(log: &Path) -> PathBuf {
    let mut path = log.to_path_buf().into_os_string();
    path.push(METADATA_SUFFIX);
    path.into()
}

/// Whose metadata lies at the path of a log that is none: it has no data file.
#[must_use]
pub fn stray_metadata(log: &Path) -> Option<Stray> {
    let place = Place::new(log, METADATA_SUFFIX).ok()?;
    if place.find(Part::Data).ok()?.is_some() {
        return None;
    }
    let file = place.open(Part::Metadata, Access::Read).ok()?;
    let is_whole =
        Found::by(&file).ok()?.odd_kind().is_none() && matches!(meta::stage(&file), Ok(Stage::Ready));
    stray(&place, Meta::check(&file, Protection::Read).ok().filter(|_| is_whole)?.header())
}

/// Whose it is, if a file of its directory is the data file that it names, and the log is called like that.
pub(crate) fn stray(place: &Place, header: &Header) -> Option<Stray> {
    let metadata = place.find(Part::Metadata).ok()??;
    let data = place.name_of(header.identity.inode.load(Ordering::Acquire))?; // identity
    // Copied before a rotation, it names what is an old segment now.
    let others = [&*data].into_iter().chain(logs_named_by(&data)).map(|log| place.path().with_file_name(log));
    for log in others.filter(|log| log != place.path()) {
        let other = Place::new(&log, METADATA_SUFFIX).ok()?;
        match other.find(Part::Metadata).ok()? {
            Some(found) if found.id == metadata.id => return Some(Stray::SecondName(log)),
            // The number of the data file may be another's by now.
            Some(_) => return is_of_the_same(&other, header).then_some(Stray::Copy(log)),
            None => {}
        }
    }
    let made = MadeAs { inode: metadata.id.1, born_ns: metadata.born_ns };
    let is_copied = meta::copied(header, made, place.directory_fd()).is_some();
    let is_its = !is_copied && is_renamed(place, place.name(Part::Data), &data);
    is_its.then(|| Stray::Renamed(place.path().with_file_name(&data)))
}

/// Why a log cannot be opened, of metadata that may be another one's.
pub(super) fn whose(place: &Place, header: &Header, fault: Fault) -> Fault {
    let may_be = matches!(fault, Fault::NoData | Fault::Copied { .. })
        && place.find(Part::Data).is_ok_and(|found| found.is_none());
    let stray = may_be.then(|| stray(place, header)).flatten();
    stray.map_or(fault, |stray| Fault::Metadata(stray.log().to_path_buf()))
}

fn uuid(header: &Header) -> [u64; 2] {
    [0, 1].map(|word: usize| header.identity.uuid[word].load(Ordering::Relaxed))
}

fn is_of_the_same(other: &Place, header: &Header) -> bool {
    let file = other.open(Part::Metadata, Access::Read).ok();
    let says = file.filter(|file| matches!(meta::stage(file), Ok(Stage::Ready)));
    let says = says.and_then(|file| Meta::check(&file, Protection::Read).ok());
    says.is_some_and(|says| uuid(says.header()) == uuid(header))
}

/// Which of the two was renamed, metadata that is called like that of `named`, or the data file? Old segments have the log's name;
/// what a file is called when it is put aside goes on behind its name, or is no name of a log's at all.
fn is_renamed(place: &Place, named: &OsStr, data: &OsStr) -> bool {
    let has_segments = |log: &OsStr| {
        let names = place.all_names().unwrap_or_default();
        names.iter().any(|name| SegmentName::parse(log, name).is_some())
    };
    let (named_bytes, data_bytes) = (named.as_bytes(), data.as_bytes());
    let ends = |name: &[u8]| name.ends_with(b".log");
    match (has_segments(named), has_segments(data)) {
        (true, _) => false,
        (false, true) => true,
        _ if data_bytes.starts_with(named_bytes) => false,
        _ => named_bytes.starts_with(data_bytes) || ends(data_bytes) && !ends(named_bytes),
    }
}

/// Beside the log as the log was named, elsewhere whole.
pub(crate) fn as_named(place: &Place, there: PathBuf) -> PathBuf {
    let directory = place.directory_path().canonicalize().unwrap_or_default();
    match there.strip_prefix(&directory) {
        Ok(name) if name.components().count() == 1 => place.path().with_file_name(name),
        _ => there,
    }
}

/// Under a name that begins with the data file's, or that of a log which has no data file.
fn beside(place: &Place, data: &Found) -> Option<(PathBuf, Found)> {
    let suffix = METADATA_SUFFIX.as_bytes();
    let log = place.name(Part::Data);
    let may_be_it = |name: &[u8]| match name.strip_suffix(suffix).map(OsStr::from_bytes) {
        _ if name.starts_with(log.as_bytes()) => name.windows(suffix.len()).any(|at| at == suffix),
        Some(other) => {
            place.find_named(other).is_ok_and(|found| found.is_none()) && is_renamed(place, other, log)
        }
        None => false,
    };
    let names = place.all_names().ok()?;
    let mut named = names.iter().filter(|name| may_be_it(name.as_bytes()));
    named.find_map(|name| {
        let file = place.open_named(name, Access::Read).ok()?;
        Some((place.directory_path().join(name), is_metadata_of(&file, data)?))
    })
}

/// Under any name. Nobody is asked who may not answer.
fn of_whoever_has_it_open(place: &Place, links: &[Link], data: &Found) -> Option<(PathBuf, Found)> {
    let path = place.directory_path().canonicalize().ok()?.join(place.name(Part::Data));
    let users: BTreeSet<u32> = links.iter().filter(|link| link.is_at(&path)).map(Link::pid).collect();
    let theirs = links.iter().filter(|link| users.contains(&link.pid()) && !link.is_at(&path));
    let others: BTreeSet<&Path> = theirs.filter_map(Link::path).collect();
    let here = Table::own();
    let mut others = others.into_iter().filter(|path| !here.is_answered_elsewhere(path));
    others.find_map(|path| {
        let there = Place::new(path, "").ok()?;
        let found = there.find(Part::Data).ok()??;
        if found.odd_kind().is_some() || found.id.0 != data.id.0 {
            return None;
        }
        Some((path.to_path_buf(), is_metadata_of(&there.open(Part::Data, Access::Read).ok()?, data)?))
    })
}

/// Metadata and the data file that it names.
#[derive(PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) data: PathBuf,
    pub(crate) metadata: PathBuf,
}

/// Of these files, on the file system of `on`, two that are such, and are not called like a log.
pub(crate) fn pair(files: &[&Path], on: impl AsFd) -> Option<Pair> {
    let device = Found::by(&on).ok()?.id.0;
    let places = files.iter().filter_map(|path| Some((*path, Place::new(path, "").ok()?)));
    let found: Vec<(&Path, Place, Found)> = places
        .filter_map(|(path, place)| {
            let found = place.find(Part::Data).ok()??;
            (found.odd_kind().is_none() && found.id.0 == device).then_some((path, place, found))
        })
        .collect();
    found.iter().find_map(|(metadata, place, _)| {
        let file = place.open(Part::Data, Access::Read).ok()?;
        let (data, ..) =
            found.iter().find(|(path, _, data)| path != metadata && is_metadata_of(&file, data).is_some())?;
        let pair = Pair { data: data.to_path_buf(), metadata: metadata.to_path_buf() };
        (metadata_at(data) != *metadata).then_some(pair)
    })
}

/// What the file is, if it is the metadata of the log with that data file, and no copy.
fn is_metadata_of(file: &File, data: &Found) -> Option<Found> {
    let found = Found::by(file).ok()?;
    if found.odd_kind().is_some() || found.id.0 != data.id.0 || !matches!(meta::stage(file), Ok(Stage::Ready))
    {
        return None;
    }
    let says = Meta::check(file, Protection::Read).ok()?;
    let is_its = says.header().identity.inode.load(Ordering::Relaxed) == data.id.1;
    (is_its
        && meta::copied(says.header(), MadeAs { inode: found.id.1, born_ns: found.born_ns }, file).is_none())
    .then_some(found)
}
