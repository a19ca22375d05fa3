//! `io_uring`, as far as writing needs it: each message is copied to a buffer of ours and submitted by one call.
#![allow(unsafe_code, reason = "the kernel reads from memory that lives until it has answered")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use io_uring::{IoUring, opcode, types};

/// A ring, and the memory that it writes from.
pub struct Uring {
    ring: IoUring,
    buffers: Vec<Vec<u8>>,
    /// Lengths of what is in flight, by buffer.
    asked: Vec<Option<u32>>,
    free: Vec<usize>,
    size: usize,
    calls: u64,
}

impl Uring {
    /// A ring for `depth` writes at a time of at most `size` bytes each.
    ///
    /// # Errors
    /// When the kernel refuses it; sandboxes often do.
    pub fn new(depth: u32, size: usize) -> io::Result<Self> {
        let ring = IoUring::new(depth)?;
        let depth = depth as usize;
        Ok(Self {
            ring,
            buffers: vec![vec![0; size]; depth],
            asked: vec![None; depth],
            free: (0..depth).collect(),
            size,
            calls: 0,
        })
    }

    /// How many system calls it has made.
    #[must_use]
    pub const fn calls(&self) -> u64 {
        self.calls
    }

    /// Hands `bytes` to the kernel, to be written at `at` (a file opened for appending: at its end). Waits for another
    /// write only when as many are in flight as there may be.
    ///
    /// # Errors
    /// What an earlier write, or this one, failed with; also when one was cut short.
    pub fn submit(&mut self, file: BorrowedFd<'_>, bytes: &[u8], at: u64) -> io::Result<()> {
        let len = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        if bytes.len() > self.size {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.take_done()?;
        while self.free.is_empty() {
            self.enter(1)?;
            self.take_done()?;
        }
        let Some(place) = self.free.pop() else { return Err(io::ErrorKind::ResourceBusy.into()) };
        let buffer = &mut self.buffers[place][..bytes.len()];
        buffer.copy_from_slice(bytes);
        let write = opcode::Write::new(types::Fd(file.as_raw_fd()), buffer.as_ptr(), len);
        let entry = write.offset(at).build().user_data(place as u64);
        self.asked[place] = Some(len);
        // SAFETY: the buffer is not moved, changed or freed before the kernel has answered: `free` has it again only
        // then, and `drop` waits.
        unsafe { self.ring.submission().push(&entry) }.map_err(|_| io::ErrorKind::ResourceBusy)?;
        self.enter(0)
    }

    /// Waits until nothing is in flight.
    ///
    /// # Errors
    /// What a write failed with.
    pub fn finish(&mut self) -> io::Result<()> {
        let mut first = Ok(());
        while self.free.len() < self.buffers.len() {
            self.enter(1)?;
            let done = self.take_done();
            first = first.and(done);
        }
        first
    }

    fn enter(&mut self, wanted: usize) -> io::Result<()> {
        loop {
            self.calls += 1;
            match self.ring.submit_and_wait(wanted) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                answer => return answer.map(drop),
            }
        }
    }

    fn take_done(&mut self) -> io::Result<()> {
        let mut first = Ok(());
        for done in self.ring.completion() {
            let place = usize::try_from(done.user_data()).unwrap_or(usize::MAX);
            let Some(Some(asked)) = self.asked.get_mut(place).map(Option::take) else { continue };
            self.free.push(place);
            let result = match u32::try_from(done.result()) {
                Err(_) => Err(io::Error::from_raw_os_error(-done.result())),
                Ok(written) if written != asked => {
                    let text = format!("only {written} of {asked} bytes were written, which tears a message");
                    Err(io::Error::new(io::ErrorKind::WriteZero, text))
                }
                Ok(_) => Ok(()),
            };
            first = first.and(result);
        }
        first
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        while self.free.len() < self.buffers.len() {
            if self.enter(1).is_err() {
                // The kernel may still read from them.
                self.buffers.drain(..).for_each(std::mem::forget);
                return;
            }
            let _ = self.take_done();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::os::fd::AsFd as _;
    use std::os::unix::fs::FileExt as _;

    use super::*;

    #[test]
    fn more_than_fit_at_a_time_are_all_written_and_errors_are_told() {
        let Ok(mut ring) = Uring::new(4, 8) else { return };
        let file = tempfile::tempfile().unwrap();
        for n in 0..100_u64 {
            ring.submit(file.as_fd(), &n.to_ne_bytes(), n * 8).unwrap();
        }
        ring.finish().unwrap();
        for n in 0..100_u64 {
            let mut got = [0; 8];
            file.read_exact_at(&mut got, n * 8).unwrap();
            assert_eq!(u64::from_ne_bytes(got), n);
        }
        assert!(ring.submit(file.as_fd(), &[0; 9], 0).is_err());
        let unwritable = std::fs::File::open("/proc/self/exe").unwrap();
        let told = ring.submit(unwritable.as_fd(), b"x", 0).and_then(|()| ring.finish());
        assert!(told.is_err());
    }
}
