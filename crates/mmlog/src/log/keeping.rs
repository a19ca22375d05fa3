//! For whoever keeps handles for others, and may not be told when they end.

use std::sync::Arc;
use std::time::Duration;

use super::Log;
use crate::error::{At, Result};
use crate::trim::{self, Last, Trimmed};

impl Log {
    /// Whether both are the same handle: clones, of one opening.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.files, &other.files)
    }

    /// Trims when no other process has a writer open, as the last [`close`](Self::close) does, and keeps the handle open: for a
    /// program that ends without closing, whatever its threads have open. `None` when another process writes: it will trim.
    /// Nothing is done in a forked child for the handle of its parent.
    ///
    /// # Errors
    /// As [`trim`](Self::trim).
    pub fn trim_if_last(&self, wait: Duration) -> Result<Option<Trimmed>> {
        if self.files.is_stale() {
            return Ok(None);
        }
        trim::trim_if_last(&self.files, Last::Process, &self.files.deadline(wait)).at(self.path())
    }
}
