//! What the kernel knows of standard streams, and of sockets that are such.
#![allow(
    unsafe_code,
    reason = "std opens /dev/null in the place of closed streams before main; no safe crate has SIOCOUTQ"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

static CLOSED: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];

extern "C" fn look() {
    for (fd, closed) in (0..).zip(&CLOSED) {
        // SAFETY: asks for the flags of a descriptor, which need not be open.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
        closed.store(flags == -1, Ordering::Relaxed);
    }
}

/// Called by the loader, before std looks.
#[used]
// SAFETY: an entry is a pointer to a C function without arguments that it needs; it stores to atomics and calls fcntl.
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

/// Whether the stream with that number (0, 1, 2) was closed when the process began.
#[must_use]
pub fn was_closed(stream: usize) -> bool {
    CLOSED.get(stream).is_some_and(|closed| closed.load(Ordering::Relaxed))
}

/// How much memory what was written to a Unix socket takes that its reader has not taken: no less than its bytes, and 0
/// only when he has taken all.
///
/// # Errors
/// When it is no socket.
pub fn not_taken(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open; the kernel stores one integer, which lives until it has answered.
    let said = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if said == -1 { Err(io::Error::last_os_error()) } else { Ok(u64::try_from(bytes).unwrap_or(0)) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::io::{Read as _, Write as _};
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_socket_tells_what_its_reader_has_not_taken() {
        let (mut reader, mut writer) = UnixStream::pair().unwrap();
        assert_eq!(not_taken(writer.as_fd()).unwrap(), 0);
        for _ in 0..10 {
            writer.write_all(&[1; 1000]).unwrap();
        }
        assert!(not_taken(writer.as_fd()).unwrap() >= 10_000);
        reader.read_exact(&mut [0; 9_999]).unwrap();
        assert!(not_taken(writer.as_fd()).unwrap() >= 1);
        reader.read_exact(&mut [0]).unwrap();
        assert_eq!(not_taken(writer.as_fd()).unwrap(), 0);
    }

    #[test]
    fn streams_that_are_open_are_not_said_to_be_closed() {
        assert!(!was_closed(1) && !was_closed(2) && !was_closed(3));
    }
}
