//! This process's ring of mapped chunks of one data file. Nothing in it is shared with other processes.
//!
//! Invariants:
//! - at most `capacity` chunks are mapped;
//! - a chunk is unmapped only when nobody has it pinned, the oldest first;
//! - a full ring never fails and never waits: the caller writes with `pwrite` instead.
//!
//! An entry's word holds the chunk's number + 1 and its pins. A pin is one `fetch_add`: when the word turns out to
//! name another chunk by then, it is taken back. Such a stray pin may stand on an entry that is being reused, so a
//! word is changed by compare-exchange from "no pins", or by addition, never by a plain store.
#![allow(unsafe_code, reason = "a pin says that its chunk is mapped")]

use std::fs::File;
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::sys::alloc;
use crate::sys::map::{ChunkBytes, ChunkMap};

const PIN_BITS: u32 = 20;

/// From this length on a message goes by `pwrite`, which fills large folios where a mapping faults page by page:
/// on ext4 0.3 to 0.5 s of processor a GiB against 0.6 at 16 KiB, 0.2 against 0.7 at 64 KiB; even at 8 KiB.
pub(crate) const PWRITE_FROM: usize = 16 * 1024;

#[repr(align(64))]
struct Entry {
    word: AtomicU64,
    base: AtomicPtr<u8>,
}

impl Entry {
    fn holds(&self, chunk: u64) -> bool {
        self.word.load(Ordering::Relaxed) >> PIN_BITS == chunk + 1
    }
}

struct Mapped {
    map: Option<ChunkMap>,
    age: u64,
}

/// One data file and the chunks of it that are mapped.
pub(crate) struct Segment {
    file: File,
    base: u64,
    inode: u64,
    chunk_size: u64,
    entries: Box<[Entry]>,
    mapped: Mutex<Vec<Mapped>>,
}

/// A chunk that stays mapped while this lives.
pub(crate) struct Pin<'a> {
    entry: &'a Entry,
    chunk: u64,
    bytes: ChunkBytes,
}

impl Drop for Pin<'_> {
    #[inline]
    fn drop(&mut self) {
        self.entry.word.fetch_sub(1, Ordering::Release);
    }
}

impl Segment {
    pub(crate) fn new(file: File, base: u64, inode: u64, chunk_size: u64, capacity: usize) -> Self {
        let entries = (0..capacity)
            .map(|_| Entry { word: AtomicU64::new(0), base: AtomicPtr::new(std::ptr::null_mut()) })
            .collect();
        let mapped = Mutex::new((0..capacity).map(|_| Mapped { map: None, age: 0 }).collect());
        Self { file, base, inode, chunk_size, entries, mapped }
    }

    /// The data file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Position of its first byte.
    #[inline]
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// Its inode.
    pub(crate) fn inode(&self) -> u64 {
        self.inode
    }

    fn chunk_of(&self, position: u64) -> u64 {
        (position - self.base) / self.chunk_size
    }

    /// Keeps the chunk of `position` mapped; `None` when all entries are in use. `hint` is any number, best the
    /// one that the last call left there.
    #[inline]
    pub(crate) fn pin(&self, position: u64, hint: &mut usize) -> io::Result<Option<Pin<'_>>> {
        let chunk = self.chunk_of(position);
        if let Some(pin) = self.entries.get(*hint).and_then(|e| self.pin_entry(e, chunk)) {
            return Ok(Some(pin));
        }
        self.pin_slowly(chunk, hint)
    }

    #[inline]
    fn pin_entry<'a>(&'a self, entry: &'a Entry, chunk: u64) -> Option<Pin<'a>> {
        if !entry.holds(chunk) {
            return None;
        }
        // Acquire: pairs with the addition in `map_into` that names the chunk, after its base was stored.
        if entry.word.fetch_add(1, Ordering::Acquire) >> PIN_BITS != chunk + 1 {
            entry.word.fetch_sub(1, Ordering::Release);
            return None;
        }
        Some(self.pinned(entry, chunk))
    }

    fn pinned<'a>(&'a self, entry: &'a Entry, chunk: u64) -> Pin<'a> {
        let base = NonNull::new(entry.base.load(Ordering::Relaxed)).unwrap_or(NonNull::dangling());
        // SAFETY: the entry names the chunk and has our pin, so its map, `chunk_size` bytes from `base`, stays.
        let bytes = unsafe { ChunkBytes::new(base, self.chunk_size as usize) };
        Pin { entry, chunk, bytes }
    }

    #[cold]
    fn pin_slowly(&self, chunk: u64, hint: &mut usize) -> io::Result<Option<Pin<'_>>> {
        let find = |hint: &mut usize| {
            self.entries.iter().enumerate().find_map(|(i, e)| {
                let pin = self.pin_entry(e, chunk)?;
                *hint = i;
                Some(pin)
            })
        };
        if let Some(pin) = find(hint) {
            return Ok(Some(pin));
        }
        let mut mapped = self.mapped.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pin) = find(hint) {
            return Ok(Some(pin));
        }
        let Some(index) = self.vacate(&mut mapped) else { return Ok(None) };
        *hint = index;
        self.map_into(&mut mapped, index, chunk).map(Some)
    }

    /// An entry without a chunk: a free one, or the oldest that nobody has pinned.
    fn vacate(&self, mapped: &mut [Mapped]) -> Option<usize> {
        if let Some(free) = mapped.iter().position(|m| m.map.is_none()) {
            return Some(free);
        }
        let mut by_age: Vec<usize> = (0..mapped.len()).collect();
        by_age.sort_by_key(|&i| mapped[i].age);
        by_age.into_iter().find(|&i| {
            let word = &self.entries[i].word;
            let unpinned = word.load(Ordering::Relaxed) >> PIN_BITS << PIN_BITS;
            // Acquire: every copy that a past pin covered has happened.
            let freed = word.compare_exchange(unpinned, 0, Ordering::Acquire, Ordering::Relaxed).is_ok();
            if freed {
                mapped[i].map = None;
            }
            freed
        })
    }

    fn map_into(&self, mapped: &mut [Mapped], index: usize, chunk: u64) -> io::Result<Pin<'_>> {
        let map = ChunkMap::new(&self.file, chunk * self.chunk_size, self.chunk_size as usize)?;
        let entry = &self.entries[index];
        entry.base.store(map.base().as_ptr(), Ordering::Relaxed);
        let age = mapped.iter().map(|m| m.age).max().unwrap_or(0) + 1;
        mapped[index] = Mapped { map: Some(map), age };
        entry.word.fetch_add((chunk + 1) << PIN_BITS | 1, Ordering::AcqRel);
        Ok(self.pinned(entry, chunk))
    }

    /// Stores `bytes` at `position`: through `pin` or other chunks of the ring, or by `pwrite` where that is
    /// the better or the only way. The range is reserved, and the file long enough.
    pub(crate) fn write(
        &self,
        position: u64,
        bytes: &[u8],
        pin: Option<&Pin<'_>>,
        hint: &mut usize,
    ) -> io::Result<()> {
        let offset = position - self.base;
        if bytes.len() < PWRITE_FROM && self.copy(offset, bytes, pin, hint) {
            return Ok(());
        }
        alloc::write_at(&self.file, offset, bytes)
    }

    /// Copies into at most two chunks; false when that is not possible (some bytes may be stored then: a mapping
    /// that cannot be had is no reason to lose a reserved range, the caller writes all of them).
    fn copy(&self, offset: u64, bytes: &[u8], pin: Option<&Pin<'_>>, hint: &mut usize) -> bool {
        let within = (offset % self.chunk_size) as usize;
        let room = self.chunk_size as usize - within;
        if bytes.len() > room {
            let (first, second) = bytes.split_at(room);
            return second.len() as u64 <= self.chunk_size
                && self.copy(offset, first, pin, hint)
                && self.copy(offset + room as u64, second, pin, hint);
        }
        if let Some(pin) = pin.filter(|p| p.chunk == offset / self.chunk_size) {
            return pin.bytes.copy_in(within, bytes);
        }
        matches!(self.pin(self.base + offset, hint), Ok(Some(pin)) if pin.bytes.copy_in(within, bytes))
    }
}
