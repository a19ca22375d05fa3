//! Open file description locks: the kernel says who is alive.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// Not in the libc crate; the same on every Linux.
const F_SETSIG: i32 = 10;

fn range(kind: i32, start: u64, len: u64) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: start.cast_signed(),
        l_len: len.cast_signed(),
        l_pid: 0,
    }
}

/// Takes the write lock on one byte; false when another description has it.
pub(crate) fn try_lock(fd: BorrowedFd<'_>, byte: u64) -> io::Result<bool> {
    try_lock_range(fd, byte, 1)
}

/// Takes the write lock on all of the bytes; false when another description has a lock on any of them.
pub(crate) fn try_lock_range(fd: BorrowedFd<'_>, start: u64, len: u64) -> io::Result<bool> {
    loop {
        return match fcntl(fd, FcntlArg::F_OFD_SETLK(&range(libc::F_WRLCK, start, len))) {
            Ok(_) => Ok(true),
            Err(nix::Error::EAGAIN | nix::Error::EACCES) => Ok(false),
            Err(nix::Error::EINTR) => continue,
            Err(e) => Err(e.into()),
        };
    }
}

/// Gives one byte back.
pub(crate) fn unlock(fd: BorrowedFd<'_>, byte: u64) -> io::Result<()> {
    unlock_range(fd, byte, 1)
}

/// Gives all of the bytes back that this description has. (A close does it when the last descriptor goes: a child between
/// `vfork` and `exec` has another one.)
pub(crate) fn unlock_range(fd: BorrowedFd<'_>, start: u64, len: u64) -> io::Result<()> {
    fcntl(fd, FcntlArg::F_OFD_SETLK(&range(libc::F_UNLCK, start, len)))?;
    Ok(())
}

/// Whether another description holds a write lock on any of the bytes. Asks for a read lock, so that a
/// reader's lock cannot pass for a live writer.
pub(crate) fn is_locked(fd: BorrowedFd<'_>, start: u64, len: u64) -> io::Result<bool> {
    blocking(fd, start, len).map(|found| found.is_some())
}

/// Whether another description holds a lock on the byte, for reading too: nobody else can take it.
pub(crate) fn is_kept(fd: BorrowedFd<'_>, byte: u64) -> io::Result<bool> {
    in_the_way_of(libc::F_WRLCK, fd, byte, 1).map(|found| found.is_some())
}

/// The first write lock that another description holds on any of the bytes: where it begins, and how long it is.
pub(crate) fn blocking(fd: BorrowedFd<'_>, start: u64, len: u64) -> io::Result<Option<(u64, u64)>> {
    in_the_way_of(libc::F_RDLCK, fd, start, len)
}

fn in_the_way_of(kind: i32, fd: BorrowedFd<'_>, start: u64, len: u64) -> io::Result<Option<(u64, u64)>> {
    let mut found = range(kind, start, len);
    while let Err(e) = fcntl(fd, FcntlArg::F_OFD_GETLK(&mut found)) {
        if e != nix::Error::EINTR {
            return Err(e.into());
        }
    }
    let is_held = i32::from(found.l_type) != libc::F_UNLCK;
    Ok(is_held.then(|| (found.l_start.cast_unsigned(), found.l_len.cast_unsigned())))
}

/// Whether the kernel grants a lease, which proves that nobody else has the file open: for writing
/// ([`Lease::Read`], on a read-only descriptor), or at all ([`Lease::Write`]). It ends with the descriptor.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lease {
    Read,
    Write,
}

/// Takes a lease; false when somebody else has the file open.
pub(crate) fn try_lease(file: &File, lease: Lease) -> io::Result<bool> {
    let fd = file.as_fd().as_raw_fd();
    let kind = match lease {
        Lease::Read => libc::F_RDLCK,
        Lease::Write => libc::F_WRLCK,
    };
    // Who opens the file meanwhile breaks the lease; SIGIO, the default notice, would kill this process.
    lease_call(fd, F_SETSIG, libc::SIGURG)?;
    match lease_call(fd, libc::F_SETLEASE, kind) {
        Ok(()) => Ok(true),
        Err(e) if e.raw_os_error() == Some(libc::EAGAIN) => Ok(false),
        Err(e) => Err(e),
    }
}

#[allow(unsafe_code, reason = "nix has no F_SETLEASE")]
fn lease_call(fd: RawFd, command: i32, argument: i32) -> io::Result<()> {
    // SAFETY: fcntl with an integer argument touches no memory; `fd` is open, borrowed by the caller.
    let r = unsafe { libc::fcntl(fd, command, argument) };
    if r == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
