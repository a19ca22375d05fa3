//! Files of a log that are not at their paths any more, and whoever has them open: what they hold can be saved as long as
//! he does.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Damage, FindingId, facts};
use crate::files::{Files, METADATA_SUFFIX, owner};
use crate::sys::holders::{Opener, links, openers_of_removed};
use crate::sys::mounts::Table;
use crate::sys::place::{Part, Place};

/// Who has a file open that is not at its path any more.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StillOpen {
    /// As far as this user may see; the writers first.
    pub by: Vec<Opener>,
    /// There are processes that he may not look at.
    pub is_unseen: bool,
    /// A name that is free.
    pub save_as: PathBuf,
}

/// Notes who has the data file open, where it is gone from its path, or another one is there. `openers` tells, of an inode,
/// and whether there are processes that could not be asked.
pub(super) fn look(
    files: &Files,
    damage: &mut [Damage],
    mut openers: impl FnMut(u64) -> (Vec<Opener>, bool),
) {
    let is_lost = |d: &&mut Damage| {
        matches!(d.id, FindingId::DataGone | FindingId::DataReplaced) && d.moved_to.is_none()
    };
    // What copied metadata names is the original's.
    for damage in damage.iter_mut().filter(is_lost).filter(|_| files.is_copied().is_none()) {
        let inode = facts::recorded(files);
        let (mut by, is_unseen) = openers(inode);
        // The number may be another file's by now.
        let directory = files.place.directory_path().canonicalize().unwrap_or_default();
        let path = directory.join(files.place.name(Part::Data));
        by.retain(|opener| opener.was(&path) || files.is_held_by(opener.pid));
        damage.moved_to =
            by.iter().filter_map(Opener::path).find(|found| *found != path && is_at(found, inode, files));
        let writers: Vec<u32> =
            files.meta.used_slots().iter().map(|slot| owner::of(&slot.cold).pid).collect();
        by.sort_by_key(|opener| !writers.contains(&opener.pid));
        let save_as = free_name(files.path());
        damage.still_open = damage.moved_to.is_none().then_some(StillOpen { by, is_unseen, save_as });
    }
}

/// Whether that file is at a path of another process's here, too. Nobody is asked who may not answer.
fn is_at(path: &Path, inode: u64, files: &Files) -> bool {
    let here = rustix::fs::fstat(files.place.directory_fd()).map(|stat| stat.st_dev);
    !Table::own().is_answered_elsewhere(path)
        && std::fs::symlink_metadata(path).is_ok_and(|m| m.ino() == inode && here == Ok(m.dev()))
}

/// What becomes of a log whose metadata is not at its path: who has its files open.
pub(super) struct Removed {
    /// The data file; of one that is at its path, everybody who has it open.
    pub(super) data: Vec<Opener>,
    pub(super) metadata: Vec<Opener>,
    pub(super) save_as: PathBuf,
}

pub(super) fn removed(log: &Path) -> Option<Removed> {
    let place = Place::new(log, METADATA_SUFFIX).ok()?;
    let all = links();
    let directory = place.directory_path().canonicalize().ok()?;
    // Who asks because its own log is gone does not tell itself what to do with its own descriptors.
    let is_other = |opener: &Opener| opener.pid != std::process::id();
    let openers = |part| {
        let mut openers = openers_of_removed(place.directory_fd(), &all, &directory.join(place.name(part)));
        openers.retain(is_other);
        openers
    };
    let metadata = openers(Part::Metadata);
    let data = openers(Part::Data);
    (!metadata.is_empty() || !data.is_empty()).then(|| Removed { data, metadata, save_as: free_name(log) })
}

/// `app.log.saved`, or with a number.
fn free_name(log: &Path) -> PathBuf {
    let name = |end: String| {
        let mut name: OsString = log.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let mut names =
        std::iter::once(name(".saved".to_owned())).chain((1..100).map(|nth| name(format!(".saved.{nth}"))));
    names.find(|name| name.symlink_metadata().is_err()).unwrap_or_else(|| name(".saved".to_owned()))
}
