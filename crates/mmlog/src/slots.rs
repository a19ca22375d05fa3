//! Writers in flight: one word says how far each has come, and the least of them bounds what is final.
//!
//! A slot's states, in the order in which an append passes them:
//!
//! - *idle*: nothing in flight;
//! - *reserving*: a lower bound of the position; perhaps something is reserved, perhaps not;
//! - *waiting*: the exact start; no byte is stored;
//! - *copying*: the exact start; bytes may be torn.
//!
//! `len` is stored only while idle. Labels: `slot` pairs the word's stores with the scans' loads, `len` those of the
//! length.

use crate::layout::{Control, POSITION_BITS, POSITION_END, SlotHot};
use crate::metadata::{Gate, Reserved};
use crate::sync::{Ordering, compiler_fence};

/// How far an append has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Phase {
    /// The range is perhaps reserved, somewhere at or above the position.
    Reserving,
    /// The range is reserved; no byte of it is stored.
    Waiting,
    /// Bytes of the range are being stored.
    Copying,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Reserving => "reserving",
            Self::Waiting => "waiting",
            Self::Copying => "copying",
        })
    }
}

/// A slot's word, loaded once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pending(u64);

impl Pending {
    const IDLE: Self = Self(0);

    fn new(phase: Phase, position: u64) -> Self {
        let state = match phase {
            Phase::Reserving => 1,
            Phase::Waiting => 2,
            Phase::Copying => 3,
        };
        Self(state << POSITION_BITS | position & (POSITION_END - 1))
    }

    /// `None` when idle.
    pub fn phase(self) -> Option<Phase> {
        match self.0 >> POSITION_BITS {
            0 => None,
            1 => Some(Phase::Reserving),
            2 => Some(Phase::Waiting),
            _ => Some(Phase::Copying),
        }
    }

    /// The position, meaningful unless idle.
    pub fn position(self) -> u64 {
        self.0 & (POSITION_END - 1)
    }
}

impl SlotHot {
    /// The slot's word now.
    #[inline]
    pub fn pending(&self) -> Pending {
        Pending(self.pending.load(Ordering::Acquire)) // slot
    }

    /// Whether nothing is in flight, and nothing else is in the word.
    #[inline]
    pub fn is_settled(&self) -> bool {
        self.pending.load(Ordering::Acquire) == Pending::IDLE.0 // slot
    }

    /// First step of an append: visible to every gate that closes after the reservation that follows.
    #[inline(always)]
    pub fn begin(&self, len: u64, lower_bound: u64) {
        // Release: whoever sees this length sees that the slot was settled before, and does not take it for the
        // length of the append before.
        self.len.store(len, Ordering::Release); // len
        self.pending.store(Pending::new(Phase::Reserving, lower_bound).0, Ordering::Release); // slot
    }

    /// The range is known, but must not be stored to yet.
    pub fn waiting(&self, start: u64) {
        self.pending.store(Pending::new(Phase::Waiting, start).0, Ordering::Release); // slot
    }

    /// Bytes follow. The fence keeps the compiler from storing any before the word says so; the processor
    /// need not be kept, since a dead process's stores are all seen in program order's end state.
    #[inline]
    pub fn copying(&self, start: u64) {
        self.pending.store(Pending::new(Phase::Copying, start).0, Ordering::Release); // slot
        compiler_fence(Ordering::SeqCst);
    }

    /// The append is done, or its hole is noted.
    #[inline]
    pub fn settle(&self) {
        self.pending.store(Pending::IDLE.0, Ordering::Release); // slot
    }
}

/// Where a reservation may go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placed {
    /// No gate, space behind it: copy now.
    Now(u64),
    /// Closed gate or no space: the slot says waiting.
    Later(u64),
}

/// Takes a range: the middle of every append. On return the slot says waiting or copying. `lower_bound` is
/// any value that the cursor has had.
#[inline(always)]
pub fn place(control: &Control, slot: &SlotHot, len: u64, lower_bound: u64, my_base: u64) -> Placed {
    slot.begin(len, lower_bound);
    let Reserved { start, gate } = control.reserve(len);
    // The limit is loaded after the reservation: seen without a gate, no trim can lower it below us now.
    let is_free = gate == Gate::Open
        && start.checked_add(len).is_some_and(|end| end <= control.limit())
        && control.base() == my_base;
    if is_free {
        slot.copying(start);
        Placed::Now(start)
    } else {
        slot.waiting(start);
        Placed::Later(start)
    }
}

/// Whether a waiting append may copy now.
pub fn may_copy(control: &Control, start: u64, len: u64) -> bool {
    control.passes_gate(start) && start.saturating_add(len) <= control.limit()
}

/// A slot that holds the watermark, or would if its owner lived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InFlight {
    /// Index of the slot.
    pub slot: u32,
    /// Its word.
    pub pending: Pending,
    /// Bytes of the append.
    pub len: u64,
}

/// What a scan of the slots says about the positions below `bound`.
#[derive(Debug, Default)]
pub struct Scan {
    /// Every byte below is final.
    pub watermark: u64,
    /// The live append that holds the watermark below the bound.
    pub holder: Option<InFlight>,
    /// Appends below the watermark whose writers are dead, their slots not settled yet (some may lie above it).
    pub dead: Vec<InFlight>,
}

/// Computes the watermark below `bound`, a cursor that was loaded *before* this call (slots first and cursor
/// second would pass an append that began between the two). `is_free(slot)` asks the kernel whether the slot's
/// lock byte has no owner; it is asked only about slots that hold something up.
pub fn scan<'a>(
    bound: u64,
    slots: impl ExactSizeIterator<Item = &'a SlotHot> + Clone,
    mut is_free: impl FnMut(u32) -> bool,
) -> Scan {
    let mut scan = Scan { watermark: bound, ..Scan::default() };
    for (slot, hot) in (0u32..).zip(slots) {
        loop {
            let pending = hot.pending();
            if pending.phase().is_none() || pending.position() >= scan.watermark {
                break;
            }
            let seen = InFlight { slot, pending, len: hot.len.load(Ordering::Acquire) }; // len
            let is_dead = is_free(slot);
            // Unchanged after the probe: the answer and the length are of this append. Else look again.
            if hot.pending() != pending {
                continue;
            }
            if is_dead {
                scan.dead.push(seen);
            } else {
                scan.watermark = pending.position();
                scan.holder = Some(seen);
            }
            break;
        }
    }
    scan
}
