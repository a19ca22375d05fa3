//! Native AIO: `io_submit` and what belongs to it.
//!
//! Completions are taken from the ring that the kernel maps into the process, as fio and Seastar do; only waiting for
//! one is a system call.
#![allow(unsafe_code, reason = "system calls that no maintained crate wraps, and the ring they map")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::aligned::Aligned;

/// `IOCB_CMD_PWRITE`.
const PWRITE: u16 = 1;
/// `AIO_RING_MAGIC`: the kernel's ring has the layout below.
const RING_MAGIC: u32 = 0xa10a_10a1;

/// `struct iocb`.
#[repr(C)]
#[derive(Default)]
struct Iocb {
    data: u64,
    key: u32,
    rw_flags: u32,
    opcode: u16,
    priority: i16,
    descriptor: u32,
    buf: u64,
    len: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    event_descriptor: u32,
}

/// `struct io_event`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Event {
    data: u64,
    object: u64,
    result: i64,
    result2: i64,
}

/// `struct aio_ring`, before its events.
#[repr(C)]
struct RingHead {
    id: u32,
    events: u32,
    head: AtomicU32,
    tail: AtomicU32,
    magic: u32,
    compatible: u32,
    incompatible: u32,
    header_len: u32,
}

const _: () = assert!(size_of::<Iocb>() == 64 && size_of::<Event>() == 32 && size_of::<RingHead>() == 32);

/// A write that is done.
#[derive(Debug)]
pub struct Done {
    /// What it wrote from, free again.
    pub buffer: Aligned,
    /// How many bytes were to be written.
    pub asked: usize,
    /// How many were, or why not.
    pub written: io::Result<usize>,
}

/// A context of native AIO, and the memory that it writes from.
#[derive(Debug)]
pub struct Aio {
    context: u64,
    in_flight: Vec<Option<(Aligned, usize)>>,
    calls: u64,
}

impl Aio {
    /// A context for `depth` writes at a time.
    ///
    /// # Errors
    /// When the kernel has none left, or no AIO at all.
    pub fn new(depth: usize) -> io::Result<Self> {
        let mut context: u64 = 0;
        // SAFETY: `context` is a live word that is zero, as io_setup wants it.
        let answer = unsafe { libc::syscall(libc::SYS_io_setup, depth, &raw mut context) };
        of(answer)?;
        Ok(Self { context, in_flight: (0..depth).map(|_| None).collect(), calls: 0 })
    }

    /// How many system calls it has made.
    #[must_use]
    pub const fn calls(&self) -> u64 {
        self.calls
    }

    /// Whether every place is taken: reap before the next [`submit`](Self::submit).
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.in_flight.iter().all(Option::is_some)
    }

    /// How many writes are in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.iter().flatten().count()
    }

    /// Writes `bytes` at `at` and waits until that is done; how many were written.
    ///
    /// # Errors
    /// What the write failed with; [`io::ErrorKind::ResourceBusy`] while others are in flight.
    pub fn write(&mut self, file: BorrowedFd<'_>, bytes: &[u8], at: u64) -> io::Result<usize> {
        if self.in_flight() > 0 {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        self.send(file, bytes, at, 0)?;
        let event = self.next_event();
        usize::try_from(event.result).map_err(|_| errno(event.result))
    }

    /// Starts writing the first `len` bytes of `buffer` at `at`.
    ///
    /// # Errors
    /// When every place is taken, `buffer` is shorter, or the kernel does not take it.
    pub fn submit(&mut self, file: BorrowedFd<'_>, buffer: Aligned, len: usize, at: u64) -> io::Result<()> {
        let place = self.in_flight.iter().position(Option::is_none).ok_or(io::ErrorKind::ResourceBusy)?;
        let bytes = buffer.bytes().get(..len).ok_or(io::ErrorKind::InvalidInput)?;
        self.send(file, bytes, at, place as u64)?;
        self.in_flight[place] = Some((buffer, len));
        Ok(())
    }

    /// Takes one write that is done; waits for it when none is. `None` when none is in flight.
    pub fn reap(&mut self) -> Option<Done> {
        if self.in_flight() == 0 {
            return None;
        }
        let event = self.next_event();
        let (buffer, asked) = self.in_flight.get_mut(usize::try_from(event.data).ok()?)?.take()?;
        let written = usize::try_from(event.result).map_err(|_| errno(event.result));
        Some(Done { buffer, asked, written })
    }

    fn send(&mut self, file: BorrowedFd<'_>, bytes: &[u8], at: u64, data: u64) -> io::Result<()> {
        let mut block = Iocb {
            data,
            opcode: PWRITE,
            descriptor: file.as_raw_fd().cast_unsigned(),
            buf: bytes.as_ptr() as u64,
            len: bytes.len() as u64,
            offset: at.cast_signed(),
            ..Iocb::default()
        };
        let mut blocks = [&raw mut block];
        self.calls += 1;
        // SAFETY: one live block. The kernel copies it, and reads `bytes` until it answers: `write` waits for that,
        // `submit` keeps the buffer, and `drop` waits.
        let answer =
            unsafe { libc::syscall(libc::SYS_io_submit, self.context, 1_usize, blocks.as_mut_ptr()) };
        of(answer).map(drop)
    }

    /// Waits for the next one; something is in flight.
    fn next_event(&mut self) -> Event {
        if let Some(event) = self.peek() {
            return event;
        }
        let mut event = Event::default();
        loop {
            self.calls += 1;
            let (none, out) = (std::ptr::null::<libc::timespec>(), &raw mut event);
            // SAFETY: `event` is live, and one is all that is asked for.
            let n =
                unsafe { libc::syscall(libc::SYS_io_getevents, self.context, 1_usize, 1_usize, out, none) };
            if n == 1 {
                return event;
            }
        }
    }

    /// The next completion, from the ring, if it has one.
    fn peek(&self) -> Option<Event> {
        let ring = self.context as *const RingHead;
        // SAFETY: a context is the address of the ring, mapped until io_destroy; atomics are what others change in it.
        let head = unsafe { &*ring };
        if head.magic != RING_MAGIC || head.header_len as usize != size_of::<RingHead>() {
            return None;
        }
        let at = head.head.load(Ordering::Relaxed);
        if at == head.tail.load(Ordering::Acquire) || at >= head.events {
            return None;
        }
        // SAFETY: the events follow the head of the ring, which is as long as one of them; `at` is below their number.
        let event = unsafe { ring.cast::<Event>().add(1 + at as usize) };
        // SAFETY: the kernel filled it before it moved the tail, and leaves it until the head has passed.
        let event = unsafe { event.read() };
        head.head.store((at + 1) % head.events, Ordering::Release);
        Some(event)
    }
}

impl Drop for Aio {
    fn drop(&mut self) {
        // SAFETY: a context of ours; the call returns when nothing is in flight any more.
        let answer = unsafe { libc::syscall(libc::SYS_io_destroy, self.context) };
        if answer != 0 {
            // The kernel may still read from them.
            self.in_flight.drain(..).for_each(std::mem::forget);
        }
    }
}

fn of(answer: libc::c_long) -> io::Result<libc::c_long> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

fn errno(result: i64) -> io::Error {
    io::Error::from_raw_os_error(i32::try_from(-result).unwrap_or(libc::EIO))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::os::fd::AsFd as _;
    use std::os::unix::fs::FileExt as _;

    use super::*;

    #[test]
    fn what_is_written_is_there_and_errors_are_told() {
        let Ok(mut aio) = Aio::new(2) else { return };
        let file = tempfile::tempfile().unwrap();
        for round in 0..100_u64 {
            assert_eq!(aio.write(file.as_fd(), &round.to_ne_bytes(), round * 8).unwrap(), 8);
        }
        let mut got = [0; 8];
        file.read_exact_at(&mut got, 99 * 8).unwrap();
        assert_eq!(u64::from_ne_bytes(got), 99);
        let unwritable = std::fs::File::open("/proc/self/exe").unwrap();
        assert!(aio.write(unwritable.as_fd(), b"x", 0).is_err());
    }

    #[test]
    fn several_are_in_flight_and_each_gives_its_memory_back() {
        let Ok(mut aio) = Aio::new(2) else { return };
        let file = tempfile::tempfile().unwrap();
        for at in [4096, 0] {
            let mut buffer = Aligned::zeroed(4096);
            buffer.bytes_mut().fill(b'a');
            aio.submit(file.as_fd(), buffer, 4096, at).unwrap();
        }
        assert!(aio.is_full());
        assert!(aio.submit(file.as_fd(), Aligned::zeroed(1), 1, 0).is_err());
        assert!(aio.write(file.as_fd(), b"x", 0).is_err());
        while let Some(done) = aio.reap() {
            assert_eq!((done.asked, done.written.unwrap(), done.buffer.bytes().len()), (4096, 4096, 4096));
        }
        assert_eq!((aio.in_flight(), file.metadata().unwrap().len()), (0, 8192));
    }
}
