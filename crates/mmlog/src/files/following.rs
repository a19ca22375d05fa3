//! The followers' places behind the other tables: adding them to metadata that has none, and mapping them.
//!
//! Whoever opens the log for writing adds them, also to metadata that this version has just made: allocated first, then
//! where they are, then that they are there. A process that dies in between leaves nothing that anybody looks at. Where
//! there is no space for them, followers are not seen, and nothing else changes.
//!
//! They are a mapping of their own, made by who needs it: so they may come later than the process that looks, and a file
//! that is cut there is nobody's trouble but theirs.

use std::io;
use std::os::fd::BorrowedFd;

use super::Files;
use super::guard::LogLock;
use super::meta::Meta;
use crate::crash::crash_point;
use crate::error::Fault;
use crate::layout::{
    FEATURE_FOLLOWING, FOLLOWING_BYTES, FOLLOWING_LEN, FOLLOWING_MAX, FollowingPlace, Header, following_at,
};
use crate::sync::Ordering;
use crate::sys::fork::LockFile;
use crate::sys::map::{Protection, SharedMap, View};
use crate::sys::place::{Access, Part};
use crate::sys::{alloc, fs, lock};

impl Meta {
    /// Where the followers' places are, if it says so. Anything else than this build would say is not believed.
    pub(crate) fn following(&self) -> Option<u64> {
        let Header { identity, following, .. } = self.header();
        let at = following_at(self.geometry().max_writers) as u64;
        // following
        let said = identity.features_optional.load(Ordering::Acquire) & FEATURE_FOLLOWING != 0;
        let is_here = following.at.load(Ordering::Relaxed) == at
            && following.len.load(Ordering::Relaxed) == FOLLOWING_LEN as u64;
        (said && is_here && self.version_1().is_none()).then_some(at)
    }
}

impl LogLock<'_> {
    /// Adds places for followers, unless they are there.
    pub(super) fn make_following(&self) -> io::Result<()> {
        let Some(fd) = self.files.lock_file.fd() else { return Ok(()) };
        let (meta, len) = (&self.files.meta, rustix::fs::fstat(fd)?.st_size.unsigned_abs());
        let at = following_at(meta.geometry().max_writers) as u64;
        let end = at + FOLLOWING_LEN as u64;
        if meta.following().is_some() && len >= end {
            return Ok(());
        }
        // What lies there already is nobody's: a place means something only together with its lock bytes.
        let from = at.min(len);
        alloc::allocate(&self.files.another_description()?, from, end)?;
        crash_point("following:allocated");
        let Header { identity, following, .. } = meta.header();
        following.at.store(at, Ordering::Relaxed);
        following.len.store(FOLLOWING_LEN as u64, Ordering::Relaxed);
        crash_point("following:placed");
        identity.features_optional.fetch_or(FEATURE_FOLLOWING, Ordering::Release); // following
        crash_point("following:said");
        Ok(())
    }
}

impl Files {
    /// The places, mapped; `None` where there are none now.
    pub(crate) fn map_following(
        &self,
        protection: Protection,
    ) -> Result<Option<View<FollowingPlace>>, Fault> {
        // A copy's followers are those of the original.
        let Some(at) = self.meta.following().filter(|_| self.is_copied().is_none()) else { return Ok(None) };
        let access = if protection == Protection::Read { Access::Read } else { Access::Write };
        let file = match self.place.open(Part::Metadata, access) {
            // Removed, or leased for a moment by who removes it.
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::WouldBlock) => {
                return Ok(None);
            }
            opened => opened.map_err(Fault::io("open the metadata file"))?,
        };
        let found = file.metadata().map_err(Fault::io("stat the metadata file"))?;
        if fs::identity(&found) != self.metadata_id || found.len() < at + FOLLOWING_LEN as u64 {
            return Ok(None);
        }
        let map = SharedMap::part(&file, at, FOLLOWING_LEN, protection);
        Ok(map.map_err(Fault::io("map the followers' places"))?.view(0, FOLLOWING_MAX))
    }

    /// A description of its own, for the lock bytes of one place or hold: a handle's own locks look free to it.
    pub(crate) fn own_locks(&self) -> io::Result<LockFile> {
        LockFile::open(|| self.another_description())
    }
}

/// Whether any follower has a place, by a descriptor of the metadata file.
pub(super) fn any_place_taken(fd: BorrowedFd<'_>) -> io::Result<bool> {
    lock::is_locked(fd, FOLLOWING_BYTES, 2 * FOLLOWING_MAX as u64)
}
