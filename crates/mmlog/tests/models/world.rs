//! What the models share: the words of the metadata, and a kernel and a data file as small as they can be.
//!
//! Assumed of the kernel: taking a lock byte is an acquire, giving it back (or dying) a release. A probe is no
//! more than an acquire load: Linux answers `F_OFD_GETLK` without taking a lock of its own when it sees that a file
//! has none. A store, a cut and an allocation are ordered among themselves and order nothing else: they are relaxed
//! read-modify-writes, so they always meet the file as it is and hide no missing ordering.

use std::sync::atomic::AtomicU64 as Unmodelled;

use mmlog::layout::{Control, HighWater, HoleCounts, HoleEntry, POSITION_BITS, SlotHot, Wake};
use mmlog::sync::{AtomicU32, AtomicU64, Ordering, fence};

pub(crate) const SLOTS: usize = 4;
pub(crate) const POSITIONS: usize = 16;
pub(crate) const CHUNK: u64 = 4;
const HOLES: usize = 4;

/// What a violated invariant says.
pub(crate) const BEYOND: &str = "a store beyond the end of the file";
pub(crate) const UNDER_A_WRITER: &str = "the file is cut while a writer copies";
pub(crate) const OVERLAP: &str = "a store over another's byte";
pub(crate) const NOT_WRITTEN: &str = "the watermark has passed a byte that is not written";
pub(crate) const TORN_SHOWN: &str = "a byte of an abandoned append is shown as data";
pub(crate) const NO_HOLE: &str = "an append that was not abandoned is taken for a hole";
pub(crate) const INHERITED: &str = "a claimed slot is not idle";
pub(crate) const TWO_OWNERS: &str = "a slot has two owners";
pub(crate) const SETTLED_TWICE: &str = "a dead writer's slot is settled twice, or never";
pub(crate) const FALSE_DAMAGE: &str = "a sound log is called truncated";
pub(crate) const LOST_WAKE: &str = "a follower sleeps although there is something";

/// What a checker has found is one of these.
pub(crate) fn expect_one_of(violations: &[&str], found: &(dyn std::any::Any + Send)) {
    let text = found.downcast_ref::<String>().map(String::as_str).or(found.downcast_ref::<&str>().copied());
    let text = text.unwrap_or("a panic without text");
    assert!(violations.iter().any(|v| text.contains(v)), "caught, but not for {violations:?}: {text}");
    eprintln!("caught: {text}");
}

/// State `copying` of a slot's word, for slots that are found as a dead writer has left them.
pub(crate) const COPYING: u64 = 3 << POSITION_BITS;

/// How everything begins.
pub(crate) struct Begin {
    pub(crate) cursor: u64,
    pub(crate) file_size: u64,
    /// Slots `0..live` have owners.
    pub(crate) live: usize,
}

pub(crate) struct World {
    pub(crate) control: Control,
    pub(crate) data_wake: Wake,
    pub(crate) high_water: HighWater,
    pub(crate) slots: [SlotHot; SLOTS],
    pub(crate) holes: [HoleEntry; HOLES],
    pub(crate) counts: HoleCounts,
    pub(crate) slot_bytes: [LockByte; SLOTS],
    /// Who believes to own which slot; 0: nobody.
    pub(crate) owners: [AtomicU64; SLOTS],
    pub(crate) lock_byte: LockByte,
    pub(crate) file: DataFile,
    pub(crate) truth: Truth,
}

impl World {
    pub(crate) fn new(begin: &Begin) -> Self {
        let world = Self {
            control: Control::default(),
            data_wake: Wake::default(),
            high_water: HighWater::default(),
            slots: Default::default(),
            holes: Default::default(),
            counts: HoleCounts::default(),
            slot_bytes: Default::default(),
            owners: Default::default(),
            lock_byte: LockByte::default(),
            file: DataFile::default(),
            truth: Truth::default(),
        };
        world.control.cursor.store(begin.cursor, Ordering::Relaxed);
        world.file.allocate(begin.file_size);
        world.control.publish_size(begin.file_size);
        world.high_water.slots.store(begin.live as u32, Ordering::Relaxed);
        for byte in &world.slot_bytes[..begin.live] {
            assert!(byte.try_lock());
        }
        for at in 0..begin.cursor {
            world.file.store(at, u64::MAX);
        }
        world
    }

    /// As `Meta::used_slots`.
    pub(crate) fn used_slots(&self) -> &[SlotHot] {
        &self.slots[..self.high_water.slots.load(Ordering::Acquire) as usize]
    }

    /// As `Files::is_free`, for a slot that is not one's own.
    pub(crate) fn is_free(&self, slot: u32) -> bool {
        !self.slot_bytes[slot as usize].is_locked()
    }

    /// An end of a process, good or bad.
    pub(crate) fn free_slot(&self, slot: usize) {
        self.owners[slot].swap(0, Ordering::Relaxed);
        self.slot_bytes[slot].unlock();
    }

    /// As `holes::note`.
    pub(crate) fn note(&self, start: u64, len: u64) {
        let key = start + 1;
        let starts = || self.holes.iter().map(|e| (e.start.load(Ordering::Relaxed), e));
        if !starts().any(|(start, _)| start == key)
            && let Some((_, entry)) = starts().min_by_key(|&(start, _)| start)
        {
            entry.start.store(0, Ordering::Relaxed);
            fence(Ordering::Release);
            entry.len.store(len, Ordering::Relaxed);
            entry.start.store(key, Ordering::Release);
        }
        self.counts.noted.fetch_add(1, Ordering::Release);
    }

    /// As `holes::all`.
    pub(crate) fn noted_holes(&self) -> Vec<(u64, u64)> {
        let load = |entry: &HoleEntry| {
            let key = entry.start.load(Ordering::Acquire);
            let hole = (key.checked_sub(1)?, entry.len.load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            (entry.start.load(Ordering::Relaxed) == key).then_some(hole)
        };
        self.holes.iter().filter_map(load).collect()
    }
}

/// A byte that the kernel gives to one process at a time, and takes back when that ends.
#[derive(Default)]
pub(crate) struct LockByte(AtomicU32);

impl LockByte {
    pub(crate) fn try_lock(&self) -> bool {
        self.0.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Also what the kernel does for the dead.
    pub(crate) fn unlock(&self) {
        self.0.store(0, Ordering::Release);
    }

    pub(crate) fn is_locked(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }
}

const OPERATION: u64 = 1 << 63;

/// The data file and its mapping. Base is 0.
#[derive(Default)]
pub(crate) struct DataFile {
    /// Length; bit 63: an operation runs that needs every writer out.
    end: AtomicU64,
    bytes: [AtomicU64; POSITIONS],
}

impl DataFile {
    fn now(&self) -> u64 {
        self.end.fetch_add(0, Ordering::Relaxed)
    }

    pub(crate) fn len(&self) -> u64 {
        self.now() & !OPERATION
    }

    /// A store through the mapping.
    pub(crate) fn store(&self, at: u64, value: u64) {
        let end = self.now();
        assert!(end & OPERATION == 0, "{UNDER_A_WRITER}: position {at}");
        assert!(at < end, "{BEYOND}: position {at}, end {end}");
        let found = self.bytes[at as usize].swap(value, Ordering::Relaxed);
        assert!(found == 0, "{OVERLAP}: position {at}");
    }

    /// `pread`.
    pub(crate) fn read(&self, at: u64) -> u64 {
        self.bytes[at as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn zero(&self, start: u64, end: u64) {
        for byte in &self.bytes[start as usize..end as usize] {
            byte.swap(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn allocate(&self, to: u64) {
        self.end.fetch_max(to, Ordering::Relaxed);
    }

    pub(crate) fn begin_operation(&self) {
        self.end.fetch_or(OPERATION, Ordering::Relaxed);
    }

    pub(crate) fn end_operation(&self) {
        self.end.fetch_and(!OPERATION, Ordering::Relaxed);
    }

    /// `ftruncate` to something shorter: what lay behind is gone.
    pub(crate) fn cut(&self, to: u64) {
        let operation = self.now() & OPERATION;
        self.end.swap(to | operation, Ordering::Relaxed);
        self.zero(to, POSITIONS as u64);
    }
}

/// What really happened, known to nobody in the model: sets of positions, one bit each. Not modelled words, so that
/// they cost the checker nothing: each is written before the step that makes it matter.
#[derive(Default)]
pub(crate) struct Truth {
    abandoned: Unmodelled,
    unplaced: Unmodelled,
}

impl Truth {
    pub(crate) fn abandon(&self, start: u64, len: u64) {
        self.abandoned.fetch_or(bits(start, len), Ordering::Relaxed);
    }

    /// Abandoned where nobody can tell the place: zeros that count as data.
    pub(crate) fn abandon_unplaced(&self, start: u64, len: u64) {
        self.unplaced.fetch_or(bits(start, len), Ordering::Relaxed);
    }

    pub(crate) fn is_abandoned(&self, at: u64) -> bool {
        self.abandoned.load(Ordering::Relaxed) & 1 << at != 0
    }

    pub(crate) fn is_unplaced(&self, at: u64) -> bool {
        self.unplaced.load(Ordering::Relaxed) & 1 << at != 0
    }
}

fn bits(start: u64, len: u64) -> u64 {
    ((1 << len) - 1) << start
}
