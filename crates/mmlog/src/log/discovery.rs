//! Logs that are in use.

use std::path::{Path, PathBuf};

use crate::files::{METADATA_SUFFIX, moved};
use crate::layout::LOCK_BYTE;
use crate::sys::mounts::Table;
use crate::sys::open_logs::{self, Odd, OpenLog, OpenLogs, Sight};
use crate::sys::place::Place;

/// The logs that other processes have open, as far as `/proc` tells this one. No log is opened, and nothing that a process
/// has open is followed; of a log that is where its path says, the path may be opened. Where the metadata has a name that is none
/// of metadata's, it is found by who has it locked, and belongs to the data file that the same process has open.
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
    let mut found = open_logs::open_logs(METADATA_SUFFIX);
    for odd in open_logs::oddly_named(&found, METADATA_SUFFIX, LOCK_BYTE..LOCK_BYTE + LOCKED) {
        let Some(path) = data_of(&odd) else { continue };
        let is_it = |log: &&mut OpenLog| log.path == path && log.metadata == Some(odd.metadata);
        match found.logs.iter_mut().find(is_it) {
            Some(known) => known.holders.push(odd.holder),
            None => found.logs.push(OpenLog {
                path,
                sight: Sight::Here,
                metadata: Some(odd.metadata),
                holders: vec![odd.holder],
            }),
        }
    }
    found
}

/// More than the bytes that users of a log lock.
const LOCKED: u64 = 1 << 20;

/// The data file of metadata whose name does not tell which that is: what else its process has open.
fn data_of(odd: &Odd) -> Option<PathBuf> {
    let files: Vec<&Path> = odd.files.iter().map(PathBuf::as_path).collect();
    let on = Place::new(&odd.path, "").ok()?;
    Some(moved::pair(&files, on.directory_fd())?.data)
}

/// Whether what has that path is on a file system that another host or a program answers for (NFS, FUSE). No log is used
/// there, and whoever asks it waits as long as the other one likes.
#[must_use]
pub fn is_answered_elsewhere(path: impl AsRef<Path>) -> bool {
    Table::own().is_answered_elsewhere(path.as_ref())
}
