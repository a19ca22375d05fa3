//! Which segment the file at the path is, after a reboot: the names in the directory are the truth, the metadata may be
//! older or newer than they are.
//!
//! - Its inode is that of the current entry: nothing was half done.
//! - It is that of the entry before: the rename of the last rotation did not reach the disk. The log goes on there.
//! - The file of the current entry, or of a later generation, has a final name: rotations reached the disk that the
//!   metadata does not know of. The file at the path is the next generation, its base where the newest final segment's
//!   data ends.

use super::extent;
use crate::crash::crash_point;
use crate::error::Fault;
use crate::files::guard::LogLock;
use crate::files::segments::{Named, named};
use crate::metadata::{Entry, JOURNAL_ROTATE};
use crate::sync::Ordering;
use crate::sys::place::{Access, Part};
use crate::sys::process;

impl LogLock<'_> {
    /// Makes the metadata name the file at the path. Does nothing where it cannot be told which segment that is.
    pub(in crate::files) fn recover_segments(&self) -> Result<(), Fault> {
        let (header, place) = (self.files.meta.header(), &self.files.place);
        let look = || Fault::io("stat the log's segments");
        let Some(at_path) = place.find(Part::Data).map_err(look())?.map(|found| found.id.1) else {
            return Ok(());
        };
        let current = header.current();
        let before = header.segment(current.generation.wrapping_sub(1)).get();
        if current.inode == at_path {
            return self.name_current(current);
        }
        let rotating = header.journal.kind() == JOURNAL_ROTATE
            && header.journal.new_inode.load(Ordering::Relaxed) == at_path;
        // The entry may be of another write-back than the identity, which the data file confirms.
        if header.identity.inode.load(Ordering::Relaxed) == at_path && !rotating {
            let (base, generation) = (self.control().base(), header.generation());
            return self.name_current(Entry { generation, base, inode: at_path, ..current });
        }
        if before.inode == at_path && before.generation.checked_add(1) == Some(current.generation) {
            return self.name_current(before);
        }
        let mut newest = None;
        for n in named(place)? {
            let inode = n.find().map_err(look())?.map(|found| found.id.1);
            if inode.is_some() && inode != Some(at_path) && n.says.generation >= current.generation {
                newest = Some(n);
            }
        }
        let Some(newest) = newest else { return Ok(()) };
        let base = self.end_of(&newest)?;
        let generation = newest.says.generation + 1;
        self.name_current(Entry { generation, base, inode: at_path, began_ns: process::now_ns() })
    }

    fn name_current(&self, entry: Entry) -> Result<(), Fault> {
        let (header, control) = (self.files.meta.header(), self.control());
        header.segment(entry.generation).set(entry);
        header.set_generation(entry.generation);
        header.identity.inode.store(entry.inode, Ordering::Release);
        if control.base() != entry.base {
            control.begin_segment(entry.base, 0);
        }
        crash_point("reboot:named");
        Ok(())
    }

    /// Position behind the last byte of a final segment that the metadata does not know to be one; it is cut there.
    fn end_of(&self, segment: &Named) -> Result<u64, Fault> {
        let look = || Fault::io("read a final segment");
        let file = segment.open(Access::Write).map_err(look())?;
        let (base, len) = (segment.says.base, file.metadata().map_err(look())?.len());
        let synced = self.files.meta.header().checkpoint.synced();
        let from = synced.saturating_sub(base).min(len);
        let end = extent(&file, from, len).map_err(look())?.end;
        if end < len {
            file.set_len(end).map_err(Fault::io("cut the final segment behind its last byte"))?;
        }
        Ok(base.saturating_add(end))
    }
}
