//! Mapped files: words that processes share, windows that bytes are copied into. No reference points into bytes that
//! others write, except to atomics.
#![allow(unsafe_code, reason = "pointers into mappings that live as long as what hands them out")]

use std::fs::File;
use std::io;
use std::sync::atomic::AtomicU64;

use memmap2::{MmapOptions, MmapRaw};

/// So far apart that no two words share a cache line.
const LINE: usize = 64;

/// Atomic words in a file, each on a cache line of its own.
#[derive(Debug)]
pub struct Words {
    map: MmapRaw,
}

impl Words {
    /// How long a file of `n` words has to be.
    #[must_use]
    pub const fn file_len(n: usize) -> u64 {
        (n * LINE) as u64
    }

    /// Maps the first `n` words of a file that is at least that long.
    ///
    /// # Errors
    /// When it is shorter, or cannot be mapped for writing.
    pub fn map(file: &File, n: usize) -> io::Result<Self> {
        if file.metadata()?.len() < Self::file_len(n) {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file of shared words is too short",
            ));
        }
        Ok(Self { map: MmapOptions::new().len(n * LINE).map_raw(file)? })
    }

    /// The word with this number.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn word(&self, n: usize) -> &AtomicU64 {
        assert!(n < self.map.len() / LINE, "no shared word {n}");
        // SAFETY: `n` was checked: the offset is within the mapping.
        let at = unsafe { self.map.as_mut_ptr().add(n * LINE) };
        // SAFETY: mapped as long as `self` lives, aligned as mappings and lines are, and only ever used as an atomic.
        unsafe { AtomicU64::from_ptr(at.cast()) }
    }
}

/// A range of a file, mapped for writing. No page of it is touched before bytes are put there.
#[derive(Debug)]
pub struct Window {
    map: MmapRaw,
    start: u64,
}

impl Window {
    /// Maps `len` bytes of `file` from `start` on, a multiple of the page size.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn map(file: &File, start: u64, len: usize) -> io::Result<Self> {
        Ok(Self { map: MmapOptions::new().offset(start).len(len).map_raw(file)?, start })
    }

    /// How many bytes there is room for at offset `at` of the file.
    #[inline]
    #[must_use]
    pub fn room(&self, at: u64) -> usize {
        match at.checked_sub(self.start) {
            // A mapping's length is an isize: what is below it fits.
            Some(offset) if offset < self.map.len() as u64 => self.map.len() - offset as usize,
            _ => 0,
        }
    }

    /// Copies `bytes` to offset `at` of the file, if they fit the window.
    #[inline]
    #[must_use]
    pub fn put(&self, at: u64, bytes: &[u8]) -> bool {
        if self.room(at) < bytes.len() || bytes.is_empty() {
            return bytes.is_empty();
        }
        // SAFETY: `room` says that `at` lies in the mapping.
        let to = unsafe { self.map.as_mut_ptr().add((at - self.start) as usize) };
        // SAFETY: `room` says that all of `bytes` fits from there on; nothing of Rust's overlaps a mapping.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        true
    }
}

/// Takes `len` bytes of memory in the largest pages that there are, stores to all of it, and gives it back: whoever
/// allocates next finds memory that a hypervisor has really given to this machine.
///
/// # Errors
/// When there is no such memory.
pub fn warm_memory(len: usize) -> io::Result<()> {
    let mut memory = memmap2::MmapOptions::new().len(len.max(1)).map_anon()?;
    // A hint: kernels without large pages do without.
    let _ = memory.advise(memmap2::Advice::HugePage);
    memory.fill(1);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::os::unix::fs::FileExt as _;
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn words_are_shared_and_a_file_without_them_is_refused() {
        let file = tempfile::tempfile().unwrap();
        assert!(Words::map(&file, 2).is_err());
        file.set_len(Words::file_len(2)).unwrap();
        let (one, other) = (Words::map(&file, 2).unwrap(), Words::map(&file, 2).unwrap());
        one.word(1).fetch_add(7, Ordering::AcqRel);
        assert_eq!(other.word(1).load(Ordering::Acquire), 7);
        assert_eq!(other.word(0).load(Ordering::Acquire), 0);
    }

    #[test]
    fn bytes_go_where_they_belong_or_nowhere() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(12288).unwrap();
        let window = Window::map(&file, 4096, 4096).unwrap();
        assert!(window.put(8190, b"ab") && window.put(4096, b"c"));
        for at in [0, 4095, 8191, 8192, u64::MAX] {
            assert!(!window.put(at, b"xy"), "{at}");
        }
        let mut got = [0; 3];
        file.read_exact_at(&mut got, 8190).unwrap();
        assert_eq!(&got, b"ab\0");
        file.read_exact_at(&mut got, 4095).unwrap();
        assert_eq!(&got, b"\0c\0");
    }
}
