//! What the kernel keeps of a file in memory: having a range written to the disk, having it dropped.

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::fd::AsRawFd;

use nix::libc;

/// Starts writing what is dirty there; waits at most for room in the disk's queue.
pub(crate) fn start_writing(file: &File, bytes: &Range<u64>) -> io::Result<()> {
    sync_file_range(file, bytes, libc::SYNC_FILE_RANGE_WRITE)
}

/// Writes what is dirty there, and waits until the disk has it. That says nothing of lengths and names, and of a disk's
/// own memory: it is no sync. But the kernel tells a failed write only once, and it may be here.
pub(crate) fn write_out(file: &File, bytes: &Range<u64>) -> io::Result<()> {
    let all =
        libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    sync_file_range(file, bytes, all)
}

#[allow(unsafe_code, reason = "neither nix nor rustix has sync_file_range")]
fn sync_file_range(file: &File, bytes: &Range<u64>, flags: libc::c_uint) -> io::Result<()> {
    let (from, len) = (bytes.start.cast_signed(), (bytes.end - bytes.start).cast_signed());
    // SAFETY: the descriptor is open as long as `file` is borrowed; no memory is passed.
    match unsafe { libc::sync_file_range(file.as_raw_fd(), from, len, flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Drops the pages there that are clean and mapped by nobody; of the others, the dirty ones are begun to be written.
pub(crate) fn drop_clean(file: &File, bytes: &Range<u64>) -> io::Result<()> {
    // No length would mean all of it.
    let Some(len) = NonZeroU64::new(bytes.end - bytes.start) else { return Ok(()) };
    Ok(rustix::fs::fadvise(file, bytes.start, Some(len), rustix::fs::Advice::DontNeed)?)
}
