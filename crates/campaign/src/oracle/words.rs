//! Words in a file that any number of processes map.
#![allow(unsafe_code, reason = "borrowing atomics from a mapping")]

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicU64;

use memmap2::{MmapOptions, MmapRaw};

/// Zeros at first.
pub(crate) struct Words(MmapRaw);

impl Words {
    /// A new file of that many words; what is never touched takes no memory.
    pub(crate) fn create(path: &Path, count: usize) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create_new(true).open(path)?;
        file.set_len(count as u64 * 8)?;
        Self::map(&file)
    }

    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::map(&File::options().read(true).write(true).open(path)?)
    }

    fn map(file: &File) -> io::Result<Self> {
        MmapOptions::new().map_raw(file).map(Self)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len() / 8
    }

    pub(crate) fn get(&self, index: usize) -> &AtomicU64 {
        assert!(index < self.len(), "word {index} of {}: make the table larger", self.len());
        let word = self.0.as_mut_ptr().cast::<u64>().wrapping_add(index);
        // SAFETY: within the mapping by the assertion, which lives as long as `self`; aligned, since mappings begin
        // at pages; every process uses it as atomics only.
        unsafe { AtomicU64::from_ptr(word) }
    }
}
