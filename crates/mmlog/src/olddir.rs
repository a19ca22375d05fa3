//! Moving final segments to another directory: noted in the metadata first, durable before they are renamed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::durable::{self, Need};
use crate::error::Fault;
use crate::files::Files;

/// Checks the directory, and makes it the log's.
pub(crate) fn set(files: &Files, directory: &Path, wait: Duration) -> Result<(), Fault> {
    files.writable()?;
    files.poisoned()?;
    files.set_old_directory(directory, &files.deadline(wait)).map(drop)
}

/// Moves the final segments there; where they are then.
pub(crate) fn move_there(files: &Files, directory: &Path, wait: Duration) -> Result<Vec<PathBuf>, Fault> {
    files.writable()?;
    files.poisoned()?;
    let deadline = files.deadline(wait);
    let place = files.set_old_directory(directory, &deadline)?;
    let current = files.meta.header().current();
    if !files.has_finals_here(current.generation)? {
        return Ok(Vec::new());
    }
    durable::sync_to(files, current.base, Need::Checkpoint, &deadline)?;
    let moved = files.move_finals(&place, current.generation, &deadline)?;
    Ok(moved.iter().map(|n| n.path()).collect())
}
