//! File systems on stage; each goes with its guard.

use std::ffi::CString;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

use super::stage::{Done, Stop, directory};

#[derive(Debug)]
pub(super) struct Mount(PathBuf);

impl Mount {
    /// At a new directory.
    pub(super) fn at(place: &Path, kind: &str, options: &str) -> Done<Self> {
        directory(place)?;
        let options = CString::new(options).map_err(|e| Stop::Failed(e.to_string()))?;
        match mount(kind, place, kind, MountFlags::NOSUID | MountFlags::NODEV, options.as_c_str()) {
            Ok(()) => Ok(Self(place.to_path_buf())),
            Err(e @ (Errno::PERM | Errno::ACCESS | Errno::NODEV | Errno::INVAL)) => {
                Err(Stop::Skipped(format!("no {kind} can be mounted here: {e}")))
            }
            Err(e) => Err(e.into()),
        }
    }
}

impl Mount {
    /// Nobody can write to it any more.
    pub(super) fn make_read_only(&self) -> Done {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::RDONLY;
        Ok(mount_remount(&self.0, flags, c"")?)
    }

    /// At a new directory, by what mounts it there.
    pub(super) fn of_image(place: &Path, mount: impl FnOnce(&Path) -> Done) -> Done<Self> {
        directory(place)?;
        mount(place)?;
        Ok(Self(place.to_path_buf()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Also when somebody stands in it, in another terminal.
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

/// Takes space until only so much is left.
pub(super) fn fill(ballast: &Path, leave: u64) -> Done {
    let mut file = File::create(ballast)?;
    let page = vec![b'.'; 4096];
    loop {
        match file.write_all(&page) {
            Ok(()) => {}
            Err(e) if e.raw_os_error() == Some(Errno::NOSPC.raw_os_error()) => break,
            Err(e) => return Err(e.into()),
        }
    }
    let len = file.metadata()?.len();
    Ok(file.set_len(len.saturating_sub(leave))?)
}
