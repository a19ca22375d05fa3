//! The metadata file, mapped to look at and to change by hand while everybody who uses it is stopped.
#![allow(unsafe_code, reason = "views into a mapping that others write: all-atomic structs only")]

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use memmap2::{MmapOptions, MmapRaw};
use mmlog::layout::{self, HOLES_AT, Header, SLOTS_AT, Shared, Slot};
use mmlog::slots::Pending;
use mmlog::sync::{AtomicU64, Ordering};

use super::WRITERS;

/// A complete metadata file. Mapped anew after each system call that may have cut it.
pub(crate) struct Metadata {
    map: MmapRaw,
}

/// Path of a log's metadata file.
pub(crate) fn path_of(log: &Path) -> PathBuf {
    let mut path = log.as_os_str().to_os_string();
    path.push(mmlog::METADATA_SUFFIX);
    path.into()
}

impl Metadata {
    /// `None` while the file is missing or shorter than a complete one.
    pub(crate) fn map(log: &Path) -> io::Result<Option<Self>> {
        let file = match File::options().read(true).write(true).open(path_of(log)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let len = layout::total_len(WRITERS);
        if file.metadata()?.len() < len as u64 {
            return Ok(None);
        }
        Ok(Some(Self { map: MmapOptions::new().len(len).map_raw(&file)? }))
    }

    fn view<T: Shared>(&self, at: usize, count: usize) -> &[T] {
        assert!(at + count * size_of::<T>() <= self.map.len() && at.is_multiple_of(align_of::<T>()));
        // SAFETY: the assertion keeps `at` inside the mapping.
        let first = unsafe { self.map.as_ptr().add(at) };
        // SAFETY: in bounds and aligned (asserted; a mapping begins at a page), mapped while `self` lives; `Shared`
        // types are atomics all through, so that others may store there.
        unsafe { std::slice::from_raw_parts(first.cast::<T>(), count) }
    }

    pub(crate) fn header(&self) -> &Header {
        &self.view(0, 1)[0]
    }

    pub(crate) fn slots(&self) -> &[Slot] {
        self.view(SLOTS_AT, WRITERS as usize)
    }

    /// Everything that an operation may store: the first page, the first holes, the slots.
    pub(crate) fn words(&self) -> impl Iterator<Item = u64> {
        let parts: [&[AtomicU64]; 3] = [
            self.view(0, size_of::<Header>() / 8),
            self.view(HOLES_AT, 512),
            self.view(SLOTS_AT, WRITERS as usize * size_of::<Slot>() / 8),
        ];
        parts.into_iter().flatten().map(|word| word.load(Ordering::Relaxed))
    }

    pub(crate) fn cursor(&self) -> u64 {
        self.header().control.look().start
    }

    /// All words of a slot.
    pub(crate) fn slot_words(&self, slot: u32) -> Vec<u64> {
        let words: &[AtomicU64] =
            self.view(SLOTS_AT + slot as usize * size_of::<Slot>(), size_of::<Slot>() / 8);
        words.iter().map(|word| word.load(Ordering::Relaxed)).collect()
    }

    /// The slot that says it belongs to that process.
    pub(crate) fn slot_of(&self, pid: u32) -> Option<(u32, &Slot)> {
        (0..).zip(self.slots()).find(|(_, slot)| slot.cold.pid.load(Ordering::Relaxed) == pid)
    }

    /// What that process has in flight.
    pub(crate) fn pending_of(&self, pid: u32) -> Option<Pending> {
        self.slot_of(pid).map(|(_, slot)| slot.hot.pending()).filter(|pending| pending.phase().is_some())
    }
}
