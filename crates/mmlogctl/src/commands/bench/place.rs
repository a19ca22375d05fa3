//! Where runs happen: a directory of their own below `--dir`, removed at the end; and how much may be written there.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{statvfs, syncfs};
use rustix::param::page_size;

use super::engines;
use crate::exit::{Exit, Failure, shown};

/// A row writes no more at a time, even where the kernel would let it.
const MOST: u64 = 256 << 20;

/// A directory that goes when this does.
pub(super) struct Place {
    dir: PathBuf,
}

impl Place {
    /// Makes one below `parent`.
    pub(super) fn new(parent: &Path) -> Result<Self, Failure> {
        let dir = parent.join(format!("mmlog-bench.{}", std::process::id()));
        let failed = |e: io::Error| {
            let text =
                format!("{}: cannot be made: {e}; name a directory that is writable: --dir", shown(&dir));
            Failure::new(Exit::Failed, text)
        };
        fs::create_dir(&dir).map_err(failed)?;
        // The library wants a path that does not depend on where a process is.
        let dir = dir.canonicalize().map_err(failed)?;
        Ok(Self { dir })
    }

    pub(super) fn path(&self) -> &Path {
        &self.dir
    }

    /// An empty directory for a run; what the one before left is removed, and the file system at rest.
    pub(super) fn fresh(&self) -> io::Result<PathBuf> {
        let run = self.dir.join("run");
        if run.exists() {
            fs::remove_dir_all(&run)?;
        }
        fs::create_dir(&run)?;
        engines::prepare(&run)?;
        syncfs(File::open(&run)?)?;
        Ok(run)
    }

    /// How many bytes a run may write: less than the kernel starts writing back for, and than there is space for.
    pub(super) fn below_dirty_limits(&self) -> io::Result<u64> {
        let vmstat = fs::read_to_string("/proc/vmstat").unwrap_or_default();
        let pages = vmstat
            .lines()
            .find_map(|l| l.strip_prefix("nr_dirty_background_threshold ")?.parse::<u64>().ok());
        let limit = pages.map_or(MOST, |pages| pages * page_size() as u64 / 2);
        Ok(MOST.min(limit).min(self.free()? / 3).max(1))
    }

    /// How much space there is.
    pub(super) fn free(&self) -> io::Result<u64> {
        let fs = statvfs(&self.dir)?;
        Ok(fs.f_bavail * fs.f_frsize)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}
