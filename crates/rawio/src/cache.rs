//! What the kernel keeps of a file in memory.
#![allow(unsafe_code, reason = "neither libc nor rustix has cachestat")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// The same number on every architecture: `linux/unistd.h`, since 6.5.
const SYS_CACHESTAT: libc::c_long = 451;

/// `struct cachestat_range`; no length means all of it.
#[repr(C)]
struct Range {
    off: u64,
    len: u64,
}

/// `struct cachestat`.
#[repr(C)]
#[derive(Default)]
struct Stat {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// Pages of a file that are in memory.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Cached {
    /// All.
    pub pages: u64,
    /// Those that the disk does not have yet, also if it is being written.
    pub dirty: u64,
}

impl Cached {
    /// Asks about all of `file`.
    ///
    /// # Errors
    /// Of kernels before 6.5, and for files that are not this user's to write.
    pub fn of(file: &File) -> io::Result<Self> {
        let (range, mut stat) = (Range { off: 0, len: 0 }, Stat::default());
        // SAFETY: the descriptor is open; both structs are as the kernel has them, and live until it has answered.
        let said =
            unsafe { libc::syscall(SYS_CACHESTAT, file.as_raw_fd(), &raw const range, &raw mut stat, 0) };
        if said != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { pages: stat.cached, dirty: stat.dirty + stat.writeback })
    }

    /// Of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self { pages: self.pages + other.pages, dirty: self.dirty + other.dirty }
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::print_stdout,
        reason = "a test fails by panicking, and says what it skips"
    )]

    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_was_just_written_is_cached() {
        let mut file = tempfile::tempfile().unwrap();
        let before = match Cached::of(&file) {
            Ok(before) => before,
            Err(e) => return println!("SKIPPED: cachestat: {e}"),
        };
        assert_eq!(before, Cached::default());
        file.write_all(&[1; 100_000]).unwrap();
        let after = Cached::of(&file).unwrap();
        assert!(after.pages > 0 && after.dirty <= after.pages, "{after:?}");
    }
}
