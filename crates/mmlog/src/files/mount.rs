//! Whether a data file on another device than recorded is the log's. Device numbers hold for a mount: a container that is
//! started again, a volume that is attached again, a btrfs that is mounted again have others, with the same inodes.
//!
//! With both inodes as recorded it is the log, on a new mount, unless one of these says otherwise. Each mount of an
//! overlay, and each snapshot, has lock bytes of its own, so those do not tell.
//!
//! - On btrfs the subvolume is another one: a snapshot.
//! - The same two files are still there on the device that is recorded: a snapshot beside its original, an overlay and its
//!   layers.
//! - Somebody has the data file open for writing by another way: no lease is granted.

use std::fs::File;
use std::io::ErrorKind::{InvalidInput, NotFound, PermissionDenied, Unsupported};
use std::os::unix::fs::MetadataExt;

use super::Files;
use crate::error::Fault;
use crate::layout::Header;
use crate::sync::Ordering;
use crate::sys::lock::{self, Lease};
use crate::sys::place::{Access, Part, Place};
use crate::sys::{fs, mounts};

/// Why the data file, which has the recorded inode, is not the log's on a new mount; `None` if it is. `own_inode`: of the
/// metadata file that is open. This process has the data file open for reading at most.
pub(super) fn differs(place: &Place, header: &Header, own_inode: u64) -> Result<Option<Fault>, Fault> {
    let data: File = place.open(Part::Data, Access::Read).map_err(Fault::io("open the data file"))?;
    let stat = data.metadata().map_err(Fault::io("stat the data file"))?;
    let recorded = header.identity.device.load(Ordering::Relaxed);
    if stat.dev() == recorded {
        return Ok(None);
    }
    let because = |why| Ok(Some(Fault::OtherMount { recorded, found: stat.dev(), why }));
    let file_system = header.epochs.file_system.load(Ordering::Relaxed);
    if fs::is_btrfs(&data) && file_system != 0 && file_system != fs::file_system(&data) {
        return because("it is in another subvolume of a btrfs, as a snapshot is".into());
    }
    let files = [(place.name(Part::Data), stat.ino()), (place.name(Part::Metadata), own_inode)];
    match mounts::also_at(place.directory_fd(), &files, recorded) {
        Ok(None) => {}
        Ok(Some(directory)) => {
            return because(format!("the same log is in {} there", directory.display()));
        }
        Err(e) if e.kind() == NotFound => {
            return because(
                "whether the same log is there, too, cannot be told without /proc (mount it here: `mount -t proc proc /proc`)"
                    .into(),
            );
        }
        Err(e) => return Err(Fault::io("ask what is mounted")(e)),
    }
    match lock::try_lease(&data, Lease::Read) {
        Ok(false) => because("somebody has the data file open for writing, perhaps by another mount".into()),
        Ok(true) => Ok(None),
        // Who may not ask, or where there are no leases, goes without the answer.
        Err(e) if matches!(e.kind(), PermissionDenied | InvalidInput | Unsupported) => Ok(None),
        Err(e) => Err(Fault::io("ask who has the data file open")(e)),
    }
}

impl Files {
    /// Why appends are refused because of the device, if they are.
    pub(crate) fn other_mount(&self) -> Result<Option<Fault>, Fault> {
        differs(&self.place, self.meta.header(), self.metadata_id.1)
    }
}
