//! What the header said when the owner of the lock checked it, and whether it says so still.

use super::guard::LogLock;
use crate::error::Fault;
use crate::layout::POSITION_END;
use crate::sync::Ordering;

/// Words that only the owner of the lock changes, and the cursor, which only grows. Others can spoil them at any time
/// (a copy over the metadata, a punched page), so they are compared before anything is done to the data file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Believed {
    base: u64,
    file_size: u64,
    cursor: u64,
}

impl LogLock<'_> {
    /// What the header says, and has been checked.
    pub(super) fn believe(&self, file_size: u64) {
        let control = self.control();
        self.believed.set(Some(Believed { base: control.base(), file_size, cursor: control.look().start }));
    }

    /// A size that this process has announced. (Not: the cursor anew. It may have passed a closed gate.)
    pub(super) fn now_believed(&self, file_size: u64) {
        self.believed.set(self.believed.get().map(|seen| Believed { file_size, ..seen }));
    }

    /// The header says what it said. `end`: where the log is about to be cut.
    pub(super) fn still_believed(&self, end: Option<u64>) -> Result<(), Fault> {
        self.files.intact()?;
        let Some(seen) = self.believed.get() else { return Ok(()) };
        let control = self.control();
        let out = |field, value, min, max| Err(Fault::OutOfRange { field, value, min, max });
        let recorded = self.files.meta.header().identity.inode.load(Ordering::Relaxed);
        if recorded != self.segment.inode() {
            return Err(Fault::Foreign { recorded, found: self.segment.inode() });
        }
        if control.base() != seen.base {
            return out("base", control.base(), seen.base, seen.base);
        }
        if control.file_size() != seen.file_size {
            return out("file_size", control.file_size(), seen.file_size, seen.file_size);
        }
        let cursor = end.unwrap_or(control.look().start);
        if cursor < seen.cursor { out("cursor", cursor, seen.cursor, POSITION_END - 1) } else { Ok(()) }
    }

    /// Announces a new length of the data file.
    pub(super) fn publish_size(&self, file_size: u64) -> Result<(), Fault> {
        let Some(seen) = self.believed.get() else {
            self.control().publish_size(file_size);
            return Ok(());
        };
        if !self.control().exchange_size(seen.file_size, file_size) {
            let value = self.control().file_size();
            return Err(Fault::OutOfRange { field: "file_size", value, min: seen.file_size, max: file_size });
        }
        self.now_believed(file_size);
        Ok(())
    }
}
