//! What only repair does to the files, under the log's lock.

use std::ops::Range;
use std::sync::Arc;

use super::boot::Quieted;
use super::guard::LogLock;
use super::segment_dir::Stranger;
use super::{Files, PoisonError};
use crate::chunks::Segment;
use crate::crash::crash_point;
use crate::error::Fault;
use crate::holes::{self, Hole};
use crate::metadata::Entry;
use crate::sync::Ordering;
use crate::sys::place::{Access, Found, Part};
use crate::sys::{fs, process};

impl Files {
    /// Makes an empty data file where there is none, of the metadata's owner and mode, and uses it. Nobody else does
    /// until [`LogLock::begin_segment`] has named it.
    pub(crate) fn recreate_data(&self) -> Result<(), Fault> {
        let found = self.place.find(Part::Metadata).map_err(Fault::io("stat the metadata file"))?;
        let like = found.ok_or(Fault::Replaced)?;
        let file = self.place.open(Part::Data, Access::Create(like.mode));
        let file = file.map_err(Fault::io("create the data file"))?;
        // The name may have been somebody's since.
        let found = Found::by(&file).map_err(Fault::io("stat the data file"))?;
        self.log_directory()?.admit_work(&found).map_err(Stranger::of_data)?;
        let stat = file.metadata().map_err(Fault::io("stat the data file"))?;
        if stat.len() > 0 {
            return Err(Fault::Replaced);
        }
        fs::prepare_new(&file, Some(like.mode), &stat).map_err(Fault::io("set the data file's mode"))?;
        fs::give_to(&file, like.uid, like.gid).map_err(Fault::io("set the data file's owner"))?;
        let (base, chunk_size) = (self.control().look().start, self.meta.geometry().chunk_size);
        let segment = Segment::new(file, base, fs::identity(&stat).1, chunk_size, self.config.ring_chunks);
        *self.segment.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(segment));
        Ok(())
    }
}

impl LogLock<'_> {
    /// Goes on at position `at` in the data file of this handle, which is empty. The gate is closed there.
    pub(crate) fn begin_segment(&self, at: u64) -> Result<(), Fault> {
        let header = self.files.meta.header();
        let (identity, control) = (&header.identity, self.control());
        let generation = header.generation() + 1;
        let inode = self.segment.inode();
        let final_below = header.current().base;
        holes::retain(self.files.meta.holes(), |h| h.end() <= final_below || h.start >= at);
        if final_below < at {
            // So that readers can tell it from a segment that nobody knows to be missing.
            self.note_hole(&Hole::lost(final_below, at));
        }
        // Until the end no data file is the log's: the new one may have got the inode of the lost one.
        identity.inode.store(0, Ordering::Release);
        crash_point("recreate:none");
        header.commit.reset(header.checkpoint.synced());
        control.begin_segment(at, 0);
        crash_point("recreate:base");
        let found = Found::by(self.segment.file()).map_err(Fault::io("stat the data file"))?;
        let (began_ns, born_ns) = (process::now_ns(), found.born_ns.unwrap_or(0));
        header.segment(generation).set(Entry { generation, base: at, inode, began_ns, born_ns });
        header.set_generation(generation);
        self.note_mount()?;
        identity.inode.store(inode, Ordering::Release);
        crash_point("recreate:inode");
        self.files.wake_followers();
        Ok(())
    }

    /// What somebody cut off behind `found` bytes becomes a hole up to `at`, where the gate is closed.
    pub(crate) fn accept_truncation(&self, found: u64, at: u64) -> Result<(), Fault> {
        let from = self.control().base() + found;
        if from < at {
            self.note_hole(&Hole::lost(from, at));
        }
        crash_point("truncation:noted");
        self.shrink(at)
    }

    /// What no file has is told as lost from now on, and is nobody's damage any more.
    pub(crate) fn give_up(&self, positions: Range<u64>) {
        self.note_hole(&Hole::lost(positions.start, positions.end));
    }

    /// Cursor and size are set by the data file; after a reboot the metadata names the one at the path first. Nobody has a
    /// slot.
    pub(crate) fn recover_from_data(&mut self) -> Result<(), Fault> {
        let Quieted::Mine(quiet) = self.files.quiet()? else {
            return Err(Fault::InUse { who: "a writer of this log".into() });
        };
        if !self.files.is_of_this_boot() {
            self.verify(Some(&quiet))?;
        }
        let checkpoint = &self.files.meta.header().checkpoint;
        let end = self.control().base().saturating_add(self.data_len()?);
        // One that not even the metadata has bytes for says nothing: the content does.
        let is_spoiled = checkpoint.synced() > end.max(self.control().limit());
        let most = if is_spoiled { self.control().base() } else { end };
        checkpoint.synced.fetch_min(most, Ordering::AcqRel); // checkpoint
        self.recover_after_reboot(&quiet)
    }
}
