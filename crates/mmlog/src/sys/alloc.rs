//! Space: allocating it before anybody stores there, and giving it back.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;

use nix::fcntl::{FallocateFlags, fallocate};
use nix::libc;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};

use super::fs;

/// btrfs keeps an extent as long as one byte of it is in use: a trim gives back what is a piece of its own.
const BTRFS_PIECE: u64 = 128 * 1024;

/// Allocates `[from, to)`, the file then being at least `to` long. It is `fallocate(2)` itself: C's
/// `posix_fallocate` writes where the file system cannot allocate.
pub(crate) fn allocate(file: &File, from: u64, to: u64) -> io::Result<()> {
    within_file_size_limit(to)?;
    let piece = if fs::is_btrfs(file) { BTRFS_PIECE } else { to - from };
    let mut at = from;
    while at < to {
        let end = to.min(at + piece);
        allocate_piece(file, at, end)?;
        at = end;
    }
    Ok(())
}

fn allocate_piece(file: &File, from: u64, to: u64) -> io::Result<()> {
    let (offset, len) = (from.cast_signed(), (to - from).cast_signed());
    loop {
        match fallocate(file, FallocateFlags::empty(), offset, len) {
            Ok(()) => return Ok(()),
            Err(nix::Error::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// EFBIG as an error value: growing past `RLIMIT_FSIZE` would be a SIGXFSZ.
pub(crate) fn within_file_size_limit(end: u64) -> io::Result<()> {
    let (soft, _) = getrlimit(Resource::RLIMIT_FSIZE)?;
    if end > soft { Err(io::Error::from_raw_os_error(libc::EFBIG)) } else { Ok(()) }
}

/// Writes all of `bytes` at `offset`, which lies inside the file.
pub(crate) fn write_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    within_file_size_limit(offset.saturating_add(bytes.len() as u64))?;
    write_admitted(file, offset, bytes)
}

/// As [`write_at`], where [`within_file_size_limit`] has just been asked.
pub(crate) fn write_admitted(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    file.write_all_at(bytes, offset)
}

/// Writes `bytes` at `offset` by one call, so that no signal and no death leaves half of them; the file is that long.
pub(crate) fn write_once(fd: BorrowedFd<'_>, offset: u64, bytes: &[u8]) -> io::Result<()> {
    within_file_size_limit(offset.saturating_add(bytes.len() as u64))?;
    match rustix::io::pwrite(fd, bytes, offset)? {
        n if n == bytes.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// Gives the blocks of `[from, to)` back; the range reads as zeros, and the file's length stays. Needs no space.
pub(crate) fn punch(file: &File, from: u64, to: u64) -> io::Result<()> {
    let punch = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    loop {
        match fallocate(file, punch, from.cast_signed(), (to - from).cast_signed()) {
            Ok(()) => return Ok(()),
            Err(nix::Error::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// Makes `[from, to)` read as zeros without changing the file's length. Blocks SIGXFSZ meanwhile.
pub(crate) fn zero(file: &File, from: u64, to: u64) -> io::Result<()> {
    let to = to.min(file.metadata()?.len());
    if from >= to {
        return Ok(());
    }
    match punch(file, from, to) {
        Ok(()) => Ok(()),
        Err(_) => without_sigxfsz(|| {
            let zeros = [0; 65536];
            let mut at = from;
            while at < to {
                let n = (to - at).min(zeros.len() as u64);
                file.write_all_at(&zeros[..n as usize], at)?;
                at += n;
            }
            Ok(())
        }),
    }
}

fn without_sigxfsz<T>(act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let mut old = SigSet::empty();
    let xfsz = SigSet::from(Signal::SIGXFSZ);
    pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&xfsz), Some(&mut old))?;
    let done = act();
    if !old.contains(Signal::SIGXFSZ) {
        take_pending(&xfsz);
    }
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&old), None)?;
    done
}

#[allow(unsafe_code, reason = "nix has no sigtimedwait")]
fn take_pending(set: &SigSet) {
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both pointers are to live values; a null info pointer is allowed.
    unsafe { libc::sigtimedwait(set.as_ref(), std::ptr::null_mut(), &now) };
}
