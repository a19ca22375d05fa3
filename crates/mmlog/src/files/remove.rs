//! Removing a log that nobody uses.
//!
//! 1. Leases on both files: the kernel grants them only when nobody else has the file open or mapped.
//! 2. Data file first, final segments if they are to go, metadata last: what an interrupted removal leaves is still found
//!    by the next one.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::open::resolve;
use super::segments::{Named, named};
use super::{Trust, in_use};
use crate::crash::crash_point;
use crate::error::{At, Fault, Result};
use crate::sys::fs;
use crate::sys::lock::{self, Lease};
use crate::sys::place::{Access, Part, Place};

/// Whether a log in use is removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Force {
    /// It is refused, and told who has it open.
    #[default]
    IfUnused,
    /// It is: whoever has it open goes on with files that have no name, and notices at its next growth.
    Always,
}

/// What [`remove`] took away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Paths, in the order of removal.
    pub files: Vec<PathBuf>,
    /// Paths of final segments that are still there, oldest first.
    pub left: Vec<PathBuf>,
}

/// Removes a log: its data file and its metadata file. Final segments stay, see [`remove_all`].
///
/// # Errors
/// [`Fault::InUse`] when somebody has either file open, [`Fault::NoLog`] when there is none,
/// [`Fault::NoMetadata`] for a plain file: that is not a log.
///
/// ```
/// # fn main() -> mmlog::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("app.log");
/// mmlog::Log::options().open_or_create(&path)?.close()?;
/// let gone = mmlog::remove(&path, mmlog::Force::IfUnused, mmlog::Trust::Strict)?;
/// assert_eq!(gone.files.len(), 2);
/// # Ok(())
/// # }
/// ```
pub fn remove(path: &Path, force: Force, trust: Trust) -> Result<Removed> {
    let place = Arc::new(resolve(path, trust).at(path)?);
    remove_parts(&place, force, trust, Finals::Leave).at(place.path())
}

/// As [`remove`], with all final segments; also those of a log of which nothing else is left.
///
/// # Errors
/// As [`remove`].
pub fn remove_all(path: &Path, force: Force, trust: Trust) -> Result<Removed> {
    let place = Arc::new(resolve(path, trust).at(path)?);
    remove_parts(&place, force, trust, Finals::Remove).at(place.path())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Finals {
    Leave,
    Remove,
}

fn remove_parts(
    place: &Arc<Place>,
    force: Force,
    trust: Trust,
    finals: Finals,
) -> std::result::Result<Removed, Fault> {
    let look = || Fault::io("open the log's files");
    let open = |part| match place.open(part, Access::Read) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(look()(e)),
    };
    let data = open(Part::Data)?;
    let Some(metadata) = open(Part::Metadata)? else {
        let segments = everywhere(place, None)?;
        return Err(match data {
            None if finals == Finals::Remove && !segments.is_empty() => {
                return remove_finals(&segments).map(|files| Removed { files, left: Vec::new() });
            }
            Some(file) => Fault::NoMetadata { len: file.metadata().map_err(look())?.len() },
            None => Fault::NoLog,
        });
    };
    // Version 1 is a log too; anything else that is no metadata is not ours to remove.
    match super::meta::stage(&metadata) {
        Ok(_) | Err(Fault::Version { .. }) => {}
        Err(fault) if force == Force::IfUnused => return Err(fault),
        Err(_) => {}
    }
    // The metadata's lease is taken first: no writer can come in by it any more.
    let leased = [Some(&metadata), data.as_ref()];
    if force == Force::IfUnused {
        leased.into_iter().flatten().try_for_each(claim)?;
    }
    let old = super::olddir::of_metadata(&metadata, place, trust)?;
    // Both can go, or none goes.
    leased.into_iter().flatten().try_for_each(removable)?;
    let mut files = Vec::new();
    let mut take = |part, path: &Path| {
        place.remove(part).map_err(Fault::io("remove the log's files"))?;
        crash_point("remove:file");
        files.push(path.to_path_buf());
        Ok(())
    };
    if data.is_some() {
        take(Part::Data, place.path())?;
    }
    let gone = match finals {
        Finals::Remove => remove_finals(&everywhere(place, old.as_ref())?)?,
        Finals::Leave => Vec::new(),
    };
    for left in super::leftovers::in_directories(place, old.as_ref(), true) {
        left.remove().map_err(look())?;
    }
    take(Part::Metadata, place.metadata_path())?;
    files.splice(files.len() - 1..files.len() - 1, gone);
    // Who may not read the directory is not told of them.
    let left = everywhere(place, old.as_ref()).unwrap_or_default();
    let left = left.iter().map(Named::path).collect();
    Ok(Removed { files, left })
}

/// The final segments in the log's directory and that of old ones, oldest first.
fn everywhere(place: &Arc<Place>, old: Option<&Arc<Place>>) -> std::result::Result<Vec<Named>, Fault> {
    let mut all = named(place)?;
    if let Some(old) = old {
        all.extend(named(old)?);
        all.sort_by_key(|n| n.says.generation);
    }
    Ok(all)
}

fn remove_finals(segments: &[Named]) -> std::result::Result<Vec<PathBuf>, Fault> {
    for n in segments {
        n.remove().map_err(Fault::io("remove a final segment"))?;
        crash_point("remove:final");
    }
    Ok(segments.iter().map(Named::path).collect())
}

fn removable(file: &File) -> std::result::Result<(), Fault> {
    let operation = "remove the log's files";
    match fs::is_protected(file).map_err(Fault::io("ask for the attributes of the log's files"))? {
        true => Err(Fault::Io { operation, source: io::Error::from_raw_os_error(nix::libc::EPERM) }),
        false => Ok(()),
    }
}

fn claim(file: &File) -> std::result::Result<(), Fault> {
    if lock::try_lease(file, Lease::Write).map_err(Fault::io("ask whether the log is in use"))? {
        return Ok(());
    }
    Err(in_use(file))
}
