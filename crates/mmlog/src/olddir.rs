//! Moving final segments to another directory: noted in the metadata first, durable before they are renamed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::durable;
use crate::error::Fault;
use crate::files::Files;
use crate::files::segments::Named;

/// Checks the directory, and makes it the log's.
pub(crate) fn set(files: &Files, directory: &Path, wait: Duration) -> Result<(), Fault> {
    files.writable()?;
    files.poisoned()?;
    files.set_old_directory(directory, &files.deadline(wait)).map(drop)
}

/// What became of the final segments beside the log.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Moved {
    /// Where those are that were moved, oldest first.
    pub segments: Vec<PathBuf>,
    /// Those that another process compresses: they stay for the next time.
    pub at_work: Vec<PathBuf>,
}

/// Moves the final segments there.
pub(crate) fn move_there(files: &Files, directory: &Path, wait: Duration) -> Result<Moved, Fault> {
    files.writable()?;
    files.poisoned()?;
    let deadline = files.deadline(wait);
    let place = files.set_old_directory(directory, &deadline)?;
    let current = files.meta.header().current();
    if !files.has_finals_here(current.generation)? {
        return Ok(Moved::default());
    }
    durable::sync_finals(files, &deadline)?;
    let (moved, stay) = files.move_finals(&place, current.generation, &deadline)?;
    let paths = |named: &[Named]| named.iter().map(Named::path).collect();
    Ok(Moved { segments: paths(&moved), at_work: paths(&stay) })
}
