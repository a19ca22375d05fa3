//! Removing a log.

use std::path::Path;

use super::Options;
use crate::error::Result;
use crate::files::remove::{self, Force, Removed};

/// Removes a log: its data file and its metadata file. Final segments stay, see [`remove_all`].
///
/// # Errors
/// [`Fault::InUse`](crate::Fault::InUse) when somebody has either file open, [`Fault::NoLog`](crate::Fault::NoLog) when there is none,
/// [`Fault::NoMetadata`](crate::Fault::NoMetadata) for a plain file: that is not a log.
///
/// ```
/// # fn main() -> mmlog::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("app.log");
/// mmlog::Log::options().open_or_create(&path)?.close()?;
/// let gone = mmlog::remove(&path, mmlog::Force::IfUnused, &mmlog::Log::options())?;
/// assert_eq!(gone.files.len(), 2);
/// # Ok(())
/// # }
/// ```
pub fn remove(path: &Path, force: Force, options: &Options) -> Result<Removed> {
    remove::remove(path, force, &options.0)
}

/// As [`remove`], with all final segments; also those of a log of which nothing else is left.
///
/// # Errors
/// As [`remove`]; [`Fault::OldDirectoryElsewhere`](crate::Fault::OldDirectoryElsewhere) with nothing removed.
pub fn remove_all(path: &Path, force: Force, options: &Options) -> Result<Removed> {
    remove::remove_all(path, force, &options.0)
}
