//! Logs of version 1: read as they are, and made logs of version 2 when nobody writes to them.
//!
//! Their metadata has no slots, so nobody can say which bytes below the cursor are written: a byte counts as written
//! when it is not NUL. A run of NULs may be an append in flight or a message that the original lost; it becomes a hole
//! for a reader when it stands for [`PATIENCE`] below a cursor seen before.

use std::fs::File;
use std::time::Duration;

use super::Files;
use super::content::{Extent, LOOKED_AT, cannot_read, next_nuls};
use super::meta::{self, Meta};
use super::open::Opening;
use crate::deadline::Waits;
use crate::error::Fault;
use crate::layout::HOLES_MAX;
use crate::metadata::Entry;
use crate::sync::Ordering;
use crate::sys::place::Part;

/// How much is looked at between two looks at whether to stop.
const AT_A_TIME: u64 = 16 << 20;

/// How long a run of NULs may be an append in flight; the original's takes microseconds.
pub(crate) const PATIENCE: Duration = Duration::from_millis(200);

impl Files {
    pub(crate) fn is_version_1(&self) -> bool {
        self.meta.version_1().is_some()
    }

    /// Takes over what the metadata of version 1 says now. The file's length is its size: the original's trim leaves
    /// `file_size` as it was.
    pub(crate) fn refresh(&self) -> Result<(), Fault> {
        let (Some(old), control) = (self.meta.version_1(), self.control()) else { return Ok(()) };
        let found = self.place.find(Part::Data).map_err(Fault::io("stat the data file"))?;
        let len = found.map_or(0, |found| found.len);
        control.go_on_at(old.cursor.load(Ordering::Acquire), len);
        control.is_locked.store(old.is_locked.load(Ordering::Relaxed), Ordering::Relaxed);
        control.is_panicked.store(old.is_panicked.load(Ordering::Relaxed), Ordering::Relaxed);
        Ok(())
    }
}

impl Opening<'_> {
    pub(super) fn show_version_1(&self, file: &File) -> Result<Meta, Fault> {
        let meta = Meta::of_version_1(file)?;
        let (identity, data) = (&meta.header().identity, self.place.find(Part::Data));
        let data = data.map_err(Fault::io("stat the data file"))?.ok_or(Fault::NoData)?;
        identity.inode.store(data.id.1, Ordering::Relaxed);
        let (inode, born_ns) = (data.id.1, data.born_ns.unwrap_or(0));
        meta.header().segment(0).set(Entry { generation: 0, base: 0, inode, began_ns: 0, born_ns });
        meta.make_ready();
        Ok(meta)
    }
}

/// Cursor and chunk size of a metadata file of version 1; `None` if it is something else.
///
/// # Errors
/// Where that cannot be seen: its only cursor would be lost if it were taken for something else.
pub(super) fn cursor_and_chunk(file: &File) -> Result<Option<(u64, u64)>, Fault> {
    match meta::stage(file) {
        Ok(meta::Stage::Version1) => {}
        Err(fault @ Fault::Io { .. }) => return Err(fault),
        _ => return Ok(None),
    }
    let meta = Meta::of_version_1(file)?;
    let cursor = meta.version_1().map(|old| old.cursor.load(Ordering::Acquire));
    Ok(cursor.map(|cursor| (cursor, meta.geometry().chunk_size)))
}

/// What becomes of a data file of version 1: appends go on at the cursor, NULs below are holes.
pub(super) fn extent(file: &File, cursor: u64, waits: &Waits) -> Result<Extent, Fault> {
    let mut found = Extent { end: cursor, ..Extent::default() };
    let mut at = 0;
    // The table has room for so many; what it has no room for reads as NULs.
    while at < cursor && found.missing.len() < HOLES_MAX {
        waits.go_on(LOOKED_AT, at, cursor)?;
        let to = cursor.min(at + AT_A_TIME);
        let nuls = next_nuls(file, at, to).map_err(cannot_read())?;
        at = nuls.map_or(to, |(_, to)| to);
        match (nuls, found.missing.last_mut()) {
            (Some((from, to)), Some(last)) if last.1 == from => last.1 = to,
            (Some(run), _) => found.missing.push(run),
            (None, _) => {}
        }
    }
    Ok(found)
}
