//! Metadata that somebody gave another name: it is looked for in the log's directory, and, elsewhere, among what those have
//! open who have the data file open. A copy is none: it was made under another number than its own.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::METADATA_SUFFIX;
use super::meta::{self, Meta, Stage};
use crate::error::Fault;
use crate::metadata::MadeAs;
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

/// Beside the log as the log was named, elsewhere whole.
fn as_named(place: &Place, there: PathBuf) -> PathBuf {
    let directory = place.directory_path().canonicalize().unwrap_or_default();
    match there.strip_prefix(&directory) {
        Ok(name) if name.components().count() == 1 => place.path().with_file_name(name),
        _ => there,
    }
}

/// Under a name that begins with the data file's.
fn beside(place: &Place, data: &Found) -> Option<(PathBuf, Found)> {
    let may_be_it =
        |name: &[u8]| name.windows(METADATA_SUFFIX.len()).any(|at| at == METADATA_SUFFIX.as_bytes());
    let names = place.names().ok()?;
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
