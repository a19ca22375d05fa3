//! Mappings. No reference ever points into bytes that another process writes, except to all-atomic structs.
#![allow(unsafe_code, reason = "mapping, and bounds-checked views into mappings")]

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;

use memmap2::{Advice, MmapOptions, MmapRaw, UncheckedAdvice};
use nix::libc;

use super::sigbus::Registered;
use crate::layout::Shared;

/// Whether a mapping may be stored to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Protection {
    Read,
    ReadWrite,
}

/// A metadata file, or a part of one, mapped for as long as a [`View`] of it lives.
pub(crate) struct SharedMap {
    /// Stands before the map: dropped first.
    registered: Registered,
    map: MmapRaw,
}

impl SharedMap {
    /// Maps the first `len` bytes; the caller has seen that the file is that long.
    pub(crate) fn new(file: &File, len: usize, protection: Protection) -> io::Result<Arc<Self>> {
        Self::part(file, 0, len, protection)
    }

    /// Maps `len` bytes at `offset`, a multiple of 4096; the caller has seen that the file is that long.
    pub(crate) fn part(
        file: &File,
        offset: u64,
        len: usize,
        protection: Protection,
    ) -> io::Result<Arc<Self>> {
        let mut options = MmapOptions::new();
        options.offset(offset).len(len);
        let map = match protection {
            Protection::ReadWrite => options.map_raw(file)?,
            Protection::Read => options.map_raw_read_only(file)?,
        };
        Ok(Self::of(map))
    }

    fn of(map: MmapRaw) -> Arc<Self> {
        Arc::new(Self { registered: Registered::new(map.as_ptr(), map.len()), map })
    }

    /// `len` zeros that nobody else sees.
    pub(crate) fn anonymous(len: usize) -> io::Result<Arc<Self>> {
        Ok(Self::of(MmapOptions::new().len(len).map_anon()?.into()))
    }

    /// `count` values of `T` at `offset`, or `None` when they do not lie in the mapping, aligned.
    pub(crate) fn view<T: Shared>(self: &Arc<Self>, offset: usize, count: usize) -> Option<View<T>> {
        let end = count.checked_mul(size_of::<T>())?.checked_add(offset)?;
        if end > self.map.len() || !offset.is_multiple_of(align_of::<T>()) || count == 0 {
            return None;
        }
        // SAFETY: offset < len, checked above.
        let first = unsafe { self.map.as_mut_ptr().add(offset) };
        Some(View { first: NonNull::new(first.cast::<T>())?, count, map: self.clone() })
    }
}

/// Shared structs inside a mapping. `T` is atomics all through, so others may store to it at any time.
pub(crate) struct View<T> {
    first: NonNull<T>,
    count: usize,
    map: Arc<SharedMap>,
}

impl<T> View<T> {
    /// Whether the file was cut under the mapping: what was seen since may be zeros that are not the file's.
    #[inline]
    pub(crate) fn is_cut(&self) -> bool {
        self.map.registered.is_cut()
    }
}

// SAFETY: a view gives out only `&T` with `T: Shared`, which is atomics all through.
unsafe impl<T: Shared> Send for View<T> {}
// SAFETY: as above.
unsafe impl<T: Shared> Sync for View<T> {}

impl<T: Shared> Deref for View<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: `SharedMap::view` checked bounds and alignment, the map lives as long as `self`, `T: Shared`
        // may be stored to by others. A file cut from outside is SIGBUS (or, guarded, zeros), not undefined behaviour.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.count) }
    }
}

/// One of the structs that a [`View`] shows, found without a bound to check.
pub(crate) struct One<T> {
    at: NonNull<T>,
    _map: Arc<SharedMap>,
}

// SAFETY: as of a view.
unsafe impl<T: Shared> Send for One<T> {}
// SAFETY: as of a view.
unsafe impl<T: Shared> Sync for One<T> {}

impl<T: Shared> View<T> {
    /// The one with that index.
    pub(crate) fn one(&self, index: usize) -> Option<One<T>> {
        let at = self.get(index)?;
        Some(One { at: NonNull::from(at), _map: self.map.clone() })
    }
}

impl<T: Shared> Deref for One<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: an element of a view's slice, whose map lives as long as `self`; else as there.
        unsafe { self.at.as_ref() }
    }
}

/// Asks for the cache line of `what`, to store to it soon; a hint.
#[inline]
pub(crate) fn prefetch_to_store<T: Shared>(what: &T) {
    // SAFETY: a prefetch changes nothing and faults nowhere.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_ET0>(std::ptr::from_ref(what).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = what;
}

/// One chunk of a data file. Bytes go in; none come out (readers use `pread`).
pub(crate) struct ChunkMap {
    /// Stands before the map: dropped first.
    registered: Registered,
    map: MmapRaw,
}

impl ChunkMap {
    /// Maps `len` bytes at `offset`; they may lie beyond the end of the file until it grows. Whoever stores there has pages made
    /// ready as far as they will be needed: the kernel's reading ahead would fill 8 MiB with zeros for the first line of a log.
    pub(crate) fn new(file: &File, offset: u64, len: usize) -> io::Result<Self> {
        let map = MmapOptions::new().offset(offset).len(len).map_raw(file)?;
        let _ = map.advise(Advice::Random);
        Ok(Self { registered: Registered::new(map.as_ptr(), map.len()), map })
    }

    /// The first byte, for [`ChunkBytes`].
    pub(crate) fn base(&self) -> *mut u8 {
        self.map.as_mut_ptr()
    }

    /// Its length, bytes.
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// Asks for pages of 2 MiB from the first fault on, one at a time, where the file system has such; otherwise little
    /// changes.
    pub(crate) fn prefer_large_pages(&self) {
        let _ = self.map.advise(Advice::HugePage);
    }

    /// Takes the pages of that range out of this process's tables; what was stored there stays in the file.
    pub(crate) fn release_pages(&self, offset: usize, len: usize) {
        let len = len.min(self.map.len().saturating_sub(offset));
        // SAFETY: in bounds (memmap2 checks it, too), and the mapping is shared: no content is lost, and a later access
        // would find it again. It can only fail for memory that is locked, which then stays until it is unmapped.
        let _ = unsafe { self.map.unchecked_advise_range(UncheckedAdvice::DontNeed, offset, len) };
    }

    /// Whether some of what was stored went to pages that are not the file's.
    pub(crate) fn is_cut(&self) -> bool {
        self.registered.is_cut()
    }
}

/// A pinned chunk's memory: `len` bytes that stay mapped while the pin lives.
#[derive(Clone, Copy)]
pub(crate) struct ChunkBytes {
    base: *mut u8,
    len: usize,
}

impl ChunkBytes {
    /// # Safety
    /// `base` is the base of a [`ChunkMap`] of `len` bytes that stays mapped as long as this value is used.
    pub(crate) unsafe fn new(base: *mut u8, len: usize) -> Self {
        Self { base, len }
    }

    /// Whether they are that chunk's.
    pub(crate) fn are_of(&self, map: &ChunkMap) -> bool {
        self.base == map.base()
    }

    /// Has the pages of that range ready to be stored to; no byte changes. False when not all of them could be had.
    pub(crate) fn populate(&self, offset: usize, len: usize) -> bool {
        if offset > self.len || len > self.len - offset {
            return false;
        }
        // SAFETY: in bounds, checked above.
        let from = unsafe { self.base.add(offset) };
        // SAFETY: the range stays mapped. The call changes page tables only, and what it cannot do is an error (beyond
        // the file's end, too), not a signal.
        unsafe { libc::madvise(from.cast(), len, libc::MADV_POPULATE_WRITE) == 0 }
    }

    /// Copies `bytes` to `offset`; false, with nothing stored, when they do not fit.
    #[must_use]
    #[inline]
    pub(crate) fn copy_in(&self, offset: usize, bytes: &[u8]) -> bool {
        if self.len.checked_sub(bytes.len()).is_none_or(|last| offset > last) {
            return false;
        }
        // SAFETY: in bounds, checked above.
        let to = unsafe { self.base.add(offset) };
        match bytes.len() {
            // SAFETY: source and target cannot overlap: the target is a mapping that no reference points into.
            17.. => unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) },
            // SAFETY: so many bytes may be stored there.
            8.. => unsafe { store_ends::<8>(to, bytes) },
            // SAFETY: as above.
            4.. => unsafe { store_ends::<4>(to, bytes) },
            // SAFETY: as above.
            2.. => unsafe { store_ends::<2>(to, bytes) },
            // SAFETY: as above.
            _ => unsafe { store_ends::<1>(to, bytes) },
        }
        true
    }
}

/// Stores the first and the last `N` bytes, which are all of `N` to `2 * N`: without a call, and where there are fewer, nothing.
///
/// # Safety
/// `bytes.len()` bytes may be stored to.
#[inline(always)]
unsafe fn store_ends<const N: usize>(to: *mut u8, bytes: &[u8]) {
    let (Some(first), Some(last)) = (bytes.first_chunk::<N>(), bytes.last_chunk::<N>()) else { return };
    // SAFETY: `bytes` has `N`.
    unsafe { to.cast::<[u8; N]>().write(*first) };
    // SAFETY: `N` bytes, and `bytes` ends behind them.
    unsafe { to.wrapping_add(bytes.len() - N).cast::<[u8; N]>().write(*last) };
}
