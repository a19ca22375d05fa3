//! What must not be: each [`Variant`] but the first has one step in the wrong place, and a checker must see it.
//!
//! Those in the verbs themselves are below; those between verbs are branches in `actors`.

use mmlog::layout::{Control, GATE, SlotHot};
use mmlog::metadata::{Gate, Reserved};
use mmlog::slots::{InFlight, Placed, Scan};
use mmlog::sync::Ordering;

use crate::world::World;

/// How a loop is put together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(
    feature = "shuttle",
    allow(dead_code, reason = "the relaxed ones make no difference in program order")
)]
pub(crate) enum Variant {
    AsShipped,
    // Appends.
    ReserveBeforeBegin,
    LimitBeforeReserve,
    SettleBeforeCopy,
    WaiterBlocksOnTheLock,
    ByteFreedBeforeSettle,
    // Gates.
    NoAnnounce,
    NoDrain,
    DrainWithoutGrowth,
    GateOpenedBeforePublish,
    // Claims.
    SettleBeforeNote,
    SettleWithoutTheByte,
    ClaimWithoutLook,
    // Followers.
    SlotsBeforeCursor,
    HolesBeforeSlots,
    ProbeWithoutSecondLoad,
    // Lengths.
    SameSizeTwice,
    CountBeforePublish,
    // Orderings.
    RelaxedReserve,
    RelaxedSettle,
    RelaxedLook,
    RelaxedScan,
    RelaxedLen,
    RelaxedClose,
    RelaxedOpen,
    NoFenceBeforeCut,
    NoFenceAfterLength,
}
use Variant::*;

/// [`mmlog::slots::place`] as it must not be.
pub(crate) fn place(control: &Control, slot: &SlotHot, len: u64, here: u64, variant: Variant) -> Placed {
    let early = control.limit();
    if variant != ReserveBeforeBegin {
        slot.begin(len, here);
    }
    let Reserved { start, gate } = match variant {
        RelaxedReserve => {
            let cursor = control.cursor.fetch_add(len, Ordering::Relaxed);
            let gate = if cursor & GATE == 0 { Gate::Open } else { Gate::Closed };
            Reserved { start: cursor & !GATE, gate }
        }
        _ => control.reserve(len),
    };
    if variant == ReserveBeforeBegin {
        slot.begin(len, here);
    }
    let limit = if variant == LimitBeforeReserve { early } else { control.limit() };
    if gate == Gate::Open && start + len <= limit {
        slot.copying(start);
        Placed::Now(start)
    } else {
        slot.waiting(start);
        Placed::Later(start)
    }
}

/// [`mmlog::slots::scan`] as it must not be.
pub(crate) fn scan(world: &World, bound: u64, variant: Variant) -> Scan {
    let word_order = if variant == RelaxedScan { Ordering::Relaxed } else { Ordering::Acquire };
    let len_order = if variant == RelaxedLen { Ordering::Relaxed } else { Ordering::Acquire };
    let mut scan = Scan { watermark: bound, ..Scan::default() };
    for (slot, hot) in (0u32..).zip(world.used_slots()) {
        let load = || (hot.pending.load(word_order), hot.len.load(len_order));
        loop {
            let (word, len) = load();
            // Only a slot makes a `Pending`.
            let copy = SlotHot::default();
            copy.pending.store(word, Ordering::Relaxed);
            let seen = InFlight { slot, pending: copy.pending(), len };
            if seen.pending.phase().is_none() || seen.pending.position() >= scan.watermark {
                break;
            }
            if !world.is_free(slot) {
                scan.watermark = seen.pending.position();
                scan.holder = Some(seen);
                break;
            }
            if variant == ProbeWithoutSecondLoad || load() == (word, len) {
                scan.dead.push(seen);
                break;
            }
        }
    }
    scan
}

/// `LogLock::shrink`, or with a step in the wrong place.
pub(crate) fn cut(world: &World, to: u64, variant: Variant) {
    let count = || match variant {
        NoFenceBeforeCut => drop(world.control.cuts.fetch_add(1, Ordering::AcqRel)),
        _ => world.control.count_cut(),
    };
    if variant == CountBeforePublish {
        count();
    }
    world.control.publish_size(to);
    if variant != CountBeforePublish {
        count();
    }
    world.file.cut(to);
}

/// [`Control::size_and`] the file's length, or as it must not be.
pub(crate) fn size_and_length(world: &World, variant: Variant) -> (u64, u64) {
    let control = &world.control;
    if !matches!(variant, SameSizeTwice | NoFenceAfterLength) {
        return control.size_and(|| world.file.len());
    }
    loop {
        let (cuts, size) = (control.cuts.load(Ordering::Acquire), control.file_size());
        let len = world.file.len();
        let same = match variant {
            SameSizeTwice => control.file_size() == size,
            _ => control.cuts.load(Ordering::Relaxed) == cuts,
        };
        if same {
            return (size, len);
        }
    }
}
