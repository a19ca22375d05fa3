//! This process's ring of mapped chunks of one data file. Nothing in it is shared with other processes.
//!
//! Invariants:
//! - at most `capacity` chunks are mapped;
//! - a chunk is unmapped only when nobody has it pinned, the oldest first;
//! - a full ring never fails and never waits: the caller writes with `pwrite` instead;
//! - a chunk that the SIGBUS guard has cut is pinned no more, and unmapped first of all.
//!
//! A pin is a word of its writer's that names the chunk, see [`pins`].
#![allow(unsafe_code, reason = "a pin says that its chunk is mapped")]

mod pages;
mod pins;

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use pages::Pace;
pub(crate) use pages::Pages;
use pins::{Everybody, PinWord, Pins};

use crate::sys::map::{ChunkBytes, ChunkMap};
use crate::sys::{alloc, events, fs};

/// From this length on a message goes by `pwrite`, which fills large folios where a mapping faults page by page:
/// on ext4 0.3 to 0.5 s of processor a GiB against 0.6 at 16 KiB, 0.2 against 0.7 at 64 KiB; even at 8 KiB.
const PWRITE_FROM: u64 = 16 * 1024;

/// On btrfs everything goes by `pwrite`. On a full disk each first store into a clean page flushes the others, so a
/// copy whose stores straddle two pages makes no progress (Linux 6.18), and no signal says so.
const PWRITE_FROM_ON_BTRFS: u64 = 0;

/// Where a writer found its last chunk, among the entries of its segment: any of them will do, the last one saves a search
/// and a division.
pub(crate) struct Hint {
    entry: Arc<Entry>,
    /// What the entry's name was.
    name: u64,
    /// Position of the chunk's first byte.
    first: u64,
    /// So many bytes of the chunk are behind the cursor, or ready to be stored to; from there on the writer asks.
    ready: u64,
    /// Positions that the process's file size limit was last asked for, in the look before a reservation. So many are
    /// reserved then, there or further on: in a later message none of them comes again, and what is found here was asked
    /// for this one.
    admitted: (u64, u64),
}

/// One writer's way into a segment.
pub(crate) struct Lane {
    pub(crate) segment: Arc<Segment>,
    pub(crate) hint: Hint,
    pub(crate) pins: Arc<Pins>,
    /// Where the pages end that were last made ready, a position.
    ready_to: u64,
    /// When it was where, in a chunk with small pages.
    was: Option<(Instant, u64)>,
}

impl Lane {
    pub(crate) fn new(segment: Arc<Segment>) -> Self {
        let (hint, pins) = (segment.nowhere(), segment.everybody.join());
        Self { segment, hint, pins, ready_to: 0, was: None }
    }

    /// Whether the pinned chunk, that of the hint, is that of `position`, and has its page ready.
    #[inline]
    pub(crate) fn is_ready(&self, pin: &Pin<'_>, position: u64) -> bool {
        // A position below the base, which only a spoiled cursor gives, is in no chunk.
        position.wrapping_sub(pin.first) < self.hint.ready
    }

    /// Whether the hint is of the chunk of `position`.
    pub(crate) fn leads_to(&self, position: u64) -> bool {
        let Self { segment, hint, pins, .. } = self;
        segment.pin_entry(hint, pins).is_some_and(|pin| segment.has(&pin, position))
    }

    /// Has the hint lead to the chunk of `position`; false when no mapping can be had.
    #[cold]
    pub(crate) fn find(&mut self, position: u64, pages: &dyn Fn() -> Pages) -> bool {
        let Self { segment, hint, pins, .. } = self;
        let mut way = Way { hint, pins, pages };
        segment.pin(position, &mut way).is_some()
    }

    /// Whether this process may write there, as [`Segment::admits`] says; whoever does need not ask again.
    pub(crate) fn admits(&mut self, position: u64, len: u64) -> io::Result<()> {
        self.segment.admits(position, len)?;
        self.hint.admitted = (position, position + len);
        Ok(())
    }

    /// Goes on in another segment; what is left of this one.
    pub(crate) fn move_to(&mut self, segment: Arc<Segment>) -> Option<Retired> {
        Retired::of(std::mem::replace(self, Self::new(segment)))
    }
}

/// How a writer finds and maps chunks.
pub(crate) struct Way<'a> {
    /// Left here by the last pin.
    pub(crate) hint: &'a mut Hint,
    /// The writer's own.
    pub(crate) pins: &'a Pins,
    /// Asked when a chunk is mapped.
    pub(crate) pages: &'a dyn Fn() -> Pages,
}

#[repr(align(64))]
pub(crate) struct Entry {
    /// Of the chunk that is mapped: its number + 1, or 0.
    name: AtomicU64,
    base: AtomicPtr<u8>,
    /// So many bytes of it have been made ready to be stored to, or need not be: its pages are large.
    ready: AtomicU64,
}

/// No chunk has that name.
const NOWHERE: u64 = u64::MAX;

/// Ages of what is mapped begin behind these two.
const RETIRED: u64 = 0;
const FREE: u64 = 1;

struct Mapped {
    map: Option<ChunkMap>,
    age: u64,
    /// What its pins say, also when the entry has lost its name.
    name: u64,
}

impl Mapped {
    const NOTHING: Self = Self { map: None, age: FREE, name: 0 };
}

/// What is mapped.
struct Ring {
    mapped: Vec<Mapped>,
    /// When the log came to the newest chunk.
    came: Option<Instant>,
}

/// Why bytes were not stored.
pub(crate) enum Unstored {
    /// Somebody cut the file: it ends before them.
    Truncated {
        /// Its length.
        found: u64,
    },
    /// `pwrite` said why.
    Failed(io::Error),
}

/// What became of a copy through mappings.
enum Copied {
    Whole,
    /// A mapping cannot be had, which is no reason to lose a reserved range.
    Impossible,
    Cut,
}

/// One data file and the chunks of it that are mapped.
pub(crate) struct Segment {
    file: File,
    base: u64,
    inode: u64,
    chunk_size: u64,
    pwrite_from: u64,
    /// The longest message that is always stored through a mapping.
    mapped: u64,
    entries: Box<[Arc<Entry>]>,
    everybody: Everybody,
    pace: Pace,
    /// The position below which this process has let go of what it had mapped.
    let_go: AtomicU64,
    ring: Mutex<Ring>,
}

/// The mappings of a data file that nobody stores to any more. Unmapping them takes up to a millisecond, which an
/// append should not wait for: they are given back in pieces.
pub(crate) struct Retired {
    maps: Vec<ChunkMap>,
    /// How much of the last one is given back.
    released: usize,
}

/// What one page of a page table maps.
const RELEASE_AT_A_TIME: usize = 2 << 20;

impl Retired {
    /// `None` while somebody else uses the segment, and when nothing of it is mapped.
    pub(crate) fn of(lane: Lane) -> Option<Self> {
        let ring = Arc::into_inner(lane.segment)?.ring.into_inner().unwrap_or_else(PoisonError::into_inner);
        let maps: Vec<ChunkMap> = ring.mapped.into_iter().filter_map(|m| m.map).collect();
        (!maps.is_empty()).then_some(Self { maps, released: 0 })
    }

    /// Gives some of it back; `None` when nothing is left.
    pub(crate) fn give_back(mut self) -> Option<Self> {
        let map = self.maps.last()?;
        map.release_pages(self.released, RELEASE_AT_A_TIME);
        self.released += RELEASE_AT_A_TIME;
        if self.released >= map.len() {
            self.maps.pop();
            self.released = 0;
        }
        (!self.maps.is_empty()).then_some(self)
    }
}

/// A chunk that stays mapped while this lives.
pub(crate) struct Pin<'a> {
    word: &'a PinWord,
    name: u64,
    /// Position of the chunk's first byte.
    first: u64,
    bytes: ChunkBytes,
}

impl Drop for Pin<'_> {
    #[inline]
    fn drop(&mut self) {
        // Release: pairs with the acquire of whoever unmaps the chunk; the copy has happened.
        self.word.store(0, Ordering::Release);
    }
}

impl Segment {
    pub(crate) fn new(file: File, base: u64, inode: u64, chunk_size: u64, capacity: usize) -> Self {
        let entries = (0..capacity)
            .map(|_| Entry {
                name: AtomicU64::new(0),
                base: AtomicPtr::new(std::ptr::null_mut()),
                ready: AtomicU64::new(0),
            })
            .map(Arc::new)
            .collect();
        let mapped = (0..capacity).map(|_| Mapped::NOTHING).collect();
        let ring = Mutex::new(Ring { mapped, came: None });
        let pwrite_from = if fs::is_btrfs(&file) { PWRITE_FROM_ON_BTRFS } else { PWRITE_FROM };
        let (everybody, pace) = (Everybody::new(), Pace::new());
        let mapped = pwrite_from.saturating_sub(1);
        let let_go = AtomicU64::new(base);
        Self { file, base, inode, chunk_size, pwrite_from, mapped, entries, everybody, pace, let_go, ring }
    }

    /// The log goes on in it as it went on in the one before: as fast, and with pages as large.
    pub(crate) fn after(self, before: &Self) -> Self {
        let came = before.ring().came;
        self.ring().came = came;
        self.pace.go_on(&before.pace);
        self
    }

    /// Whether a message has that length at all, and is always stored through a mapping.
    #[inline]
    pub(crate) fn maps(&self, len: u64) -> bool {
        // 0 less 1 is more than any.
        len.wrapping_sub(1) < self.mapped
    }

    /// A hint of no chunk.
    fn nowhere(&self) -> Hint {
        Hint { entry: self.entries[0].clone(), name: NOWHERE, first: 0, ready: 0, admitted: (0, 0) }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Bytes of a chunk.
    pub(crate) fn chunk_size(&self) -> u64 {
        self.chunk_size
    }

    /// Its inode.
    pub(crate) fn inode(&self) -> u64 {
        self.inode
    }

    /// Whether the pinned chunk is that of `position`.
    #[inline]
    pub(crate) fn has(&self, pin: &Pin<'_>, position: u64) -> bool {
        // A position below the base, which only a spoiled cursor gives, is in no chunk.
        position.wrapping_sub(pin.first) < self.chunk_size
    }

    /// Stores `bytes` at `position`, if all of them lie in the pinned chunk.
    #[inline]
    pub(crate) fn store_in(&self, pin: &Pin<'_>, position: u64, bytes: &[u8]) -> bool {
        let within = position.wrapping_sub(pin.first);
        usize::try_from(within).is_ok_and(|within| pin.bytes.copy_in(within, bytes))
    }

    /// Keeps the chunk of `position` mapped while the pin lives; `None` when all entries are in use, or no
    /// mapping can be had.
    #[inline]
    fn pin<'a>(&'a self, position: u64, way: &mut Way<'a>) -> Option<Pin<'a>> {
        let offset = position.checked_sub(self.base)?;
        if position.wrapping_sub(way.hint.first) < self.chunk_size
            && let Some(pin) = self.pin_entry(way.hint, way.pins)
        {
            return Some(pin);
        }
        self.pin_slowly(offset / self.chunk_size, way)
    }

    /// Keeps a chunk mapped that was pinned before, if it still is there.
    #[inline(always)]
    pub(crate) fn pin_entry<'a>(&'a self, at: &Hint, pins: &'a Pins) -> Option<Pin<'a>> {
        let (word, Hint { entry, name, first, .. }) = (&pins.0, at);
        self.everybody.pin(word, *name);
        // Acquire: pairs with the release in `map_into` that names the chunk, after its base was stored.
        if entry.name.load(Ordering::Acquire) != *name {
            word.store(0, Ordering::Release);
            return None;
        }
        let base = entry.base.load(Ordering::Relaxed);
        // SAFETY: the entry, one of ours, named the chunk after our word did, so its map, `chunk_size` bytes from
        // `base`, stays.
        let bytes = unsafe { ChunkBytes::new(base, self.chunk_size as usize) };
        Some(Pin { word, name: *name, first: *first, bytes })
    }

    #[cold]
    fn pin_slowly<'a>(&'a self, chunk: u64, way: &mut Way<'a>) -> Option<Pin<'a>> {
        let (name, first, pins) = (chunk + 1, self.base + chunk * self.chunk_size, way.pins);
        let find = |hint: &mut Hint| {
            self.entries.iter().find_map(|entry| {
                let at = Hint { entry: entry.clone(), name, first, ready: 0, admitted: (0, 0) };
                let pin = self.pin_entry(&at, pins)?;
                *hint = at;
                Some(pin)
            })
        };
        if let Some(pin) = find(way.hint) {
            return Some(pin);
        }
        let mut ring = self.ring();
        if let Some(pin) = find(way.hint) {
            return Some(pin);
        }
        let index = self.vacate(&mut ring.mapped)?;
        self.map_into(&mut ring, index, chunk, way.pages).ok()?;
        // Nobody vacates it while we have the ring.
        find(way.hint)
    }

    /// An entry without a chunk: one that was cut, a free one, or the oldest; none that somebody has pinned.
    fn vacate(&self, mapped: &mut [Mapped]) -> Option<usize> {
        let mut by_age: Vec<usize> = (0..mapped.len()).collect();
        by_age.sort_by_key(|&i| mapped[i].age);
        by_age.into_iter().find(|&i| {
            if mapped[i].map.is_none() {
                return true;
            }
            let (entry, name) = (&self.entries[i].name, mapped[i].name);
            let named = entry.load(Ordering::Relaxed);
            // Once before the name is taken away: a full ring should cost no barrier.
            if self.everybody.uses(name) {
                return false;
            }
            entry.store(0, Ordering::Relaxed);
            self.everybody.hear();
            if self.everybody.uses(name) {
                // Release: pairs with the acquire of `pin_entry`, as if it had not been away.
                entry.store(named, Ordering::Release);
                return false;
            }
            mapped[i] = Mapped::NOTHING;
            true
        })
    }

    fn map_into(
        &self,
        ring: &mut Ring,
        index: usize,
        chunk: u64,
        pages: &dyn Fn() -> Pages,
    ) -> io::Result<()> {
        let first = chunk * self.chunk_size;
        let map = ChunkMap::new(&self.file, first, self.chunk_size as usize)?;
        let mut ready = 0;
        if self.pages_of(chunk, &mut ring.came, pages) == Pages::Large {
            map.prefer_large_pages();
            ready = if self.pace.is_sure() { self.chunk_size } else { 0 };
        }
        let entry = &self.entries[index];
        entry.ready.store(ready, Ordering::Relaxed);
        entry.base.store(map.base(), Ordering::Relaxed);
        let age = ring.mapped.iter().map(|m| m.age).max().unwrap_or(FREE) + 1;
        ring.mapped[index] = Mapped { map: Some(map), age, name: chunk + 1 };
        entry.name.store(chunk + 1, Ordering::Release);
        Ok(())
    }

    /// Stores `bytes` at `position`: through chunks of the ring, or by `pwrite` from that length on and where it is the only
    /// way. The range is reserved, and the file long enough.
    pub(crate) fn write<'a>(
        &'a self,
        position: u64,
        bytes: &[u8],
        pwrite_from: u64,
        way: &mut Way<'a>,
    ) -> Result<(), Unstored> {
        let offset = position - self.base;
        if (bytes.len() as u64) < pwrite_from {
            match self.copy(offset, bytes, way) {
                Copied::Whole => return Ok(()),
                Copied::Impossible => {}
                // Where a store can have no space, `pwrite` either finds some or says why not.
                Copied::Cut => self.reaches(offset + bytes.len() as u64)?,
            }
        }
        let (from, to) = way.hint.admitted;
        let write = match from <= position && position + bytes.len() as u64 <= to {
            true => alloc::write_admitted,
            false => alloc::write_at,
        };
        write(&self.file, offset, bytes).map_err(Unstored::Failed)
    }

    /// Whether this process may write there, as far as its file size limit goes: others may have a file that is longer.
    pub(crate) fn admits(&self, position: u64, len: u64) -> io::Result<()> {
        alloc::within_file_size_limit(position.saturating_sub(self.base).saturating_add(len))
    }

    /// The file was at least that long when the range was reserved.
    fn reaches(&self, end: u64) -> Result<(), Unstored> {
        let found = self.file.metadata().map_err(Unstored::Failed)?.len();
        if found < end { Err(Unstored::Truncated { found }) } else { Ok(()) }
    }

    /// Copies into at most two chunks. Unless all of it was possible, the caller writes all of it.
    fn copy<'a>(&'a self, offset: u64, bytes: &[u8], way: &mut Way<'a>) -> Copied {
        let room = (self.chunk_size - offset % self.chunk_size) as usize;
        if bytes.len() > room {
            let (first, second) = bytes.split_at(room);
            if second.len() as u64 > self.chunk_size {
                return Copied::Impossible;
            }
            return match self.copy(offset, first, way) {
                Copied::Whole => self.copy(offset + room as u64, second, way),
                not => not,
            };
        }
        match self.pin(self.base + offset, way) {
            Some(pin) => self.store(&pin, (self.base + offset - pin.first) as usize, bytes),
            None => Copied::Impossible,
        }
    }

    fn store(&self, pin: &Pin<'_>, within: usize, bytes: &[u8]) -> Copied {
        if !pin.bytes.copy_in(within, bytes) {
            return Copied::Impossible;
        }
        // While it is pinned: the mark goes with the mapping.
        if events::any_cut() && self.retire_if_cut(pin) { Copied::Cut } else { Copied::Whole }
    }

    /// True when the chunk is cut; then it loses its name, so that nobody pins it again. Who has it pinned already
    /// finds the mark after the copy, as we did.
    #[cold]
    fn retire_if_cut(&self, pin: &Pin<'_>) -> bool {
        let mapped = &mut self.ring().mapped;
        let is_mine = |m: &Mapped| m.map.as_ref().is_some_and(|map| pin.bytes.are_of(map));
        let Some(index) = mapped.iter().position(is_mine) else { return false };
        if !mapped[index].map.as_ref().is_some_and(ChunkMap::is_cut) {
            return false;
        }
        let named = &self.entries[index].name;
        if named.load(Ordering::Relaxed) == pin.name {
            named.store(0, Ordering::Relaxed);
            mapped[index].age = RETIRED;
        }
        true
    }
}
