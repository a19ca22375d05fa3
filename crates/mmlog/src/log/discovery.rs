//! Logs that are in use.

use std::path::Path;

use crate::files::METADATA_SUFFIX;
use crate::sys::mounts::Table;
use crate::sys::open_logs::{self, OpenLogs};

/// The logs that other processes have open, as far as `/proc` tells this one. No log is opened, and nothing that a process
/// has open is followed; of a log that is where its path says, the path may be opened.
///
/// ```
/// let found = mmlog::open_logs();
/// for log in &found.logs {
///     println!("{} {:?} {:?}", log.path.display(), log.sight, log.holders);
/// }
/// println!("{} processes could not be looked at", found.unseen);
/// ```
#[must_use]
pub fn open_logs() -> OpenLogs {
    open_logs::open_logs(METADATA_SUFFIX)
}

/// Whether what has that path is on a file system that another host or a program answers for (NFS, FUSE). No log is used
/// there, and whoever asks it waits as long as the other one likes.
#[must_use]
pub fn is_answered_elsewhere(path: impl AsRef<Path>) -> bool {
    Table::own().is_answered_elsewhere(path.as_ref())
}
