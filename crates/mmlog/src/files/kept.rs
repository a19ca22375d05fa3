//! What prune does to the files: announcing what is kept, giving blocks back, taking final segments away.
//!
//! `kept` is the label of the word that readers look at again after each `pread`: who has read what a punch left sees
//! that it is pruned.

use std::io;
use std::ops::Range;

use super::Files;
use super::guard::LogLock;
use super::meta::page_size;
use super::segments::Named;
use crate::crash::crash_point;
use crate::error::Fault;
use crate::holes;
use crate::sync::Ordering;
use crate::sys::{alloc, fs};

impl Files {
    /// The first position that prune has left; what lies below is given up.
    pub(crate) fn first_kept(&self) -> u64 {
        self.meta.header().kept.first.load(Ordering::Acquire) // kept
    }

    /// Takes a name of a final segment away; no error when somebody has done it.
    pub(crate) fn remove_final(&self, segment: &Named) -> Result<(), Fault> {
        match segment.remove() {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Fault::io("remove a final segment")(e)),
            _ => Ok(()),
        }
    }

    /// The whole pages of the current data file below `position` that have blocks, as positions.
    pub(crate) fn blocks_below(&self, position: u64) -> Result<Option<Range<u64>>, Fault> {
        let segment = self.renew()?;
        let whole = |len: u64| len / page_size() * page_size();
        let first =
            fs::first_block(segment.file()).map_err(Fault::io("ask where the data file has blocks"))?;
        let (from, to) = (whole(first), whole(position.saturating_sub(segment.base())));
        Ok((from < to).then(|| segment.base() + from..segment.base() + to))
    }
}

impl LogLock<'_> {
    /// What lies below `position`, which is final and durable, is given up: readers no longer look there.
    pub(crate) fn keep_from(&self, position: u64) -> Result<(), Fault> {
        self.still_believed(None)?;
        self.files.meta.header().kept.first.fetch_max(position, Ordering::Release); // kept
        crash_point("prune:kept");
        holes::retain(self.files.meta.holes(), |h| h.end() > position);
        crash_point("prune:holes");
        Ok(())
    }

    /// Whether the file system can give blocks back; asked behind the file's end, where there are none.
    pub(crate) fn can_punch(&self) -> Result<(), Fault> {
        let end = self.data_len()?.next_multiple_of(page_size());
        let tried = alloc::punch(self.segment.file(), end, end + page_size());
        tried.map_err(Fault::io("give blocks back: the file system cannot punch holes"))
    }

    /// Gives the blocks of these positions back, all of which are below the first one that is kept.
    pub(crate) fn punch(&self, range: &Range<u64>) -> Result<(), Fault> {
        self.still_believed(None)?;
        let base = self.control().base();
        if range.start < base || range.end > self.files.first_kept() {
            return Err(Fault::OutOfRange {
                field: "first_kept",
                value: self.files.first_kept(),
                min: range.end,
                max: self.control().look().start,
            });
        }
        let punched = alloc::punch(self.segment.file(), range.start - base, range.end - base);
        punched.map_err(Fault::io("give the oldest blocks back"))
    }
}
