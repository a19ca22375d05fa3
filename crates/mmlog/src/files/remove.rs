//! Removing a log that nobody uses.
//!
//! 1. Leases on both files: the kernel grants them only when nobody else has the file open or mapped.
//! 2. Data file first, final segments if they are to go, metadata last: what an interrupted removal leaves is still found
//!    by the next one.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::leftovers::Leftover;
use super::open::{not_opened, resolve};
use super::segment_dir::{LeftOut, Listing, Named, Owner, SegmentDir, Stranger};
use super::{Config, in_use};
use crate::crash::crash_point;
use crate::deadline::Waits;
use crate::error::{At, Fault, Result};
use crate::sys::fs;
use crate::sys::lock::{self, Lease};
use crate::sys::place::{Access, Found, Part, Place};

/// Whether a log in use is removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Force {
    /// It is refused, and told who has it open.
    #[default]
    IfUnused,
    /// It is: whoever has it open goes on with files that have no name, and notices at its next growth.
    Always,
}

/// What [`remove`](crate::remove) took away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Paths, in the order of removal.
    pub files: Vec<PathBuf>,
    /// Paths of final segments that are still there, oldest first.
    pub left: Vec<PathBuf>,
    /// What has a segment's name, and was not taken for one.
    pub left_out: Vec<LeftOut>,
    /// The directory that could not be looked in for what is still there.
    pub unseen: Option<LeftOut>,
}

pub(crate) fn remove(path: &Path, force: Force, config: &Config) -> Result<Removed> {
    let place = Arc::new(resolve(path, config.trust).at(path)?);
    remove_parts(&place, force, config, Finals::Leave).at(place.path())
}

pub(crate) fn remove_all(path: &Path, force: Force, config: &Config) -> Result<Removed> {
    let place = Arc::new(resolve(path, config.trust).at(path)?);
    remove_parts(&place, force, config, Finals::Remove).at(place.path())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Finals {
    Leave,
    Remove,
}

fn remove_parts(
    place: &Arc<Place>,
    force: Force,
    config: &Config,
    finals: Finals,
) -> std::result::Result<Removed, Fault> {
    let look = || Fault::io("open the log's files");
    let open = |part| match place.open(part, Access::Read) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(not_opened(place, part, e, "open the log's files")),
    };
    let data = open(Part::Data)?;
    let Some(metadata) = open(Part::Metadata)? else {
        // Nothing says whose they were: the command line alone names the directory.
        let segments = SegmentDir::new(place, Owner::Anybody).named()?;
        return Err(match data {
            None if finals == Finals::Remove && !segments.is_empty() => {
                let files = remove_finals(&segments, &config.waits)?;
                return Ok(Removed { files, left: Vec::new(), left_out: Vec::new(), unseen: None });
            }
            data => {
                let len =
                    data.map(|file| file.metadata()).transpose().map_err(look())?.map_or(0, |m| m.len());
                super::absent::no_log(place, len, false)
            }
        });
    };
    let owner = Owner::of(config.trust, metadata.metadata().map_err(look())?.uid());
    let log = SegmentDir::new(place, owner);
    let admit = |file: &File| Ok(log.admit(&Found::by(file).map_err(look())?));
    admit(&metadata)?.map_err(|stranger| stranger.of_metadata(place))?;
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
    if let Some(data) = &data {
        admit(data)?.map_err(Stranger::of_data)?;
    }
    let old = match super::olddir::of_metadata(&metadata, &log, config) {
        // Nothing is looked for there.
        Err(Fault::OldDirectoryElsewhere { .. }) if finals == Finals::Leave => None,
        old => old?,
    };
    // What cannot be looked for is known before anything goes.
    let finals = match finals {
        Finals::Remove => everywhere(&log, old.as_ref())?.named,
        Finals::Leave => Vec::new(),
    };
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
    let gone = remove_finals(&finals, &config.waits)?;
    let not_seen = |what: &str, fault: &Fault| {
        let why = format!("{what} not looked for: {}; what is there stays", fault.problem());
        LeftOut { path: place.directory_path().to_path_buf(), why }
    };
    let leftovers = match super::leftovers::in_directories(&log, old.as_ref(), true) {
        Ok(leftovers) => {
            leftovers.iter().try_for_each(Leftover::remove).map_err(look())?;
            None
        }
        Err(fault) => Some(not_seen("files of killed operations were", &fault)),
    };
    take(Part::Metadata, place.metadata_path())?;
    files.splice(files.len() - 1..files.len() - 1, gone);
    let (Listing { named, left_out, .. }, unseen) = match everywhere(&log, old.as_ref()) {
        Ok(found) => (found, leftovers),
        Err(fault) => (Listing::default(), Some(not_seen("old segments were", &fault))),
    };
    Ok(Removed { files, left: named.iter().map(Named::path).collect(), left_out, unseen })
}

/// The final segments in the log's directory and that of old ones, oldest first.
fn everywhere(log: &SegmentDir, old: Option<&SegmentDir>) -> std::result::Result<Listing, Fault> {
    let mut all = log.list()?;
    if let Some(old) = old {
        all.add(old.list()?);
    }
    Ok(all)
}

fn remove_finals(segments: &[Named], waits: &Waits) -> std::result::Result<Vec<PathBuf>, Fault> {
    for (n, gone) in segments.iter().zip(0..) {
        waits.go_on("segments were removed", gone, segments.len() as u64)?;
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
