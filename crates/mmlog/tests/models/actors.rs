//! The loops of `append.rs`, `trim.rs`, `follow.rs` and `files/`, put together again from the real verbs.
//!
//! Whatever sleeps there yields here, and every deadline is infinite: what would time out is stuck, and the checker
//! says so.

use mmlog::layout::GATE;
use mmlog::metadata::Gate;
use mmlog::slots::{self, InFlight, Phase, Placed, Scan};
use mmlog::sync::Ordering;

use crate::checker::yield_now;
use crate::mutants::Variant::{self, *};
use crate::mutants::{place, scan};
use crate::world::*;

/// The step after which somebody dies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dies {
    Never,
    AfterBegin,
    AfterReserve,
    AfterPlace,
    InCopy,
    BeforeSettle,
}

impl Dies {
    pub(crate) const ALL: [Self; 5] =
        [Self::AfterBegin, Self::AfterReserve, Self::AfterPlace, Self::InCopy, Self::BeforeSettle];
}

/// The step of a trim after which its owner dies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TrimDies {
    Never,
    AfterClose,
    AfterAnnounce,
    AfterDrain,
    AfterPublish,
    AfterCut,
}

impl TrimDies {
    pub(crate) const ALL: [Self; 5] =
        [Self::AfterClose, Self::AfterAnnounce, Self::AfterDrain, Self::AfterPublish, Self::AfterCut];
}

// ---- the log's lock, as `LogLock`

/// Not released by a destructor: a failed model must not go on while it unwinds.
#[must_use]
pub(crate) struct LogLock<'a>(&'a World);

impl World {
    pub(crate) fn try_lock(&self) -> Option<LogLock<'_>> {
        let lock = self.lock_byte.try_lock().then_some(LogLock(self))?;
        lock.recover();
        Some(lock)
    }

    pub(crate) fn lock(&self) -> LogLock<'_> {
        loop {
            if let Some(lock) = self.try_lock() {
                return lock;
            }
            yield_now();
        }
    }
}

impl LogLock<'_> {
    pub(crate) fn unlock(self) {
        self.0.lock_byte.unlock();
    }

    fn recover(&self) {
        let World { control, file, .. } = self.0;
        let file_size = control.file_size();
        if control.limit() != control.base() + file_size {
            control.publish_size(file_size);
        }
        if file.len() > file_size {
            file.cut(file_size);
        }
        if control.look().gate == Gate::Closed {
            control.open_gate();
        }
    }

    fn grow(&self, end: u64) {
        let World { control, file, .. } = self.0;
        if end > control.limit() {
            let to = (end - control.base()).next_multiple_of(CHUNK);
            file.allocate(to);
            control.publish_size(to);
        }
    }

    pub(crate) fn settle(&self, dead: &[InFlight]) {
        for seen in dead {
            let byte = &self.0.slot_bytes[seen.slot as usize];
            if byte.try_lock() {
                self.settle_claimed(seen.slot as usize, AsShipped);
                byte.unlock();
            }
        }
    }

    fn settle_claimed(&self, slot: usize, variant: Variant) {
        let World { slots, control, file, counts, .. } = self.0;
        let hot = &slots[slot];
        let pending = hot.pending();
        let Some(phase) = pending.phase() else { return };
        let (start, len) = (pending.position(), hot.len.load(Ordering::Relaxed));
        if variant == SettleBeforeNote {
            hot.settle();
        }
        if phase == Phase::Reserving {
            counts.unplaced.fetch_add(1, Ordering::Relaxed);
        } else if start + len <= control.look().start {
            self.0.note(start, len);
            if phase == Phase::Copying {
                file.zero(start, start + len);
            }
        }
        if variant != SettleBeforeNote {
            hot.settle();
        }
    }
}

// ---- appending

/// A process with one slot.
#[derive(Clone, Copy)]
pub(crate) struct Writer {
    pub(crate) slot: usize,
    /// What its bytes are; not 0.
    pub(crate) value: u64,
}

/// Where an append is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Appended {
    pub(crate) start: u64,
    pub(crate) len: u64,
    pub(crate) value: u64,
}

impl Writer {
    pub(crate) fn append(self, world: &World, len: u64, variant: Variant) -> Appended {
        self.append_or_die(world, len, variant, Dies::Never).unwrap()
    }

    /// `None`: died on the way, slot byte given back by the kernel.
    pub(crate) fn append_or_die(
        self,
        world: &World,
        len: u64,
        variant: Variant,
        dies: Dies,
    ) -> Option<Appended> {
        let (control, hot) = (&world.control, &world.slots[self.slot]);
        let here = world.look(len);
        assert!(hot.pending().phase().is_none(), "{INHERITED}: slot {}", self.slot);
        if matches!(dies, Dies::AfterBegin | Dies::AfterReserve) {
            hot.begin(len, here);
            if dies == Dies::AfterReserve {
                world.truth.abandon_unplaced(control.reserve(len).start, len);
            }
            world.free_slot(self.slot);
            return None;
        }
        let placed = match variant {
            ReserveBeforeBegin | LimitBeforeReserve | RelaxedReserve => {
                place(control, hot, len, here, variant)
            }
            _ => slots::place(control, hot, len, here, 0),
        };
        let start = match placed {
            Placed::Now(start) | Placed::Later(start) if dies == Dies::AfterPlace => {
                return self.die(world, start, len);
            }
            Placed::Now(start) => start,
            Placed::Later(start) => {
                world.wait_for_space(start, len, variant);
                hot.copying(start);
                start
            }
        };
        self.copy(world, start, len, variant, dies)
    }

    fn copy(self, world: &World, start: u64, len: u64, variant: Variant, dies: Dies) -> Option<Appended> {
        let hot = &world.slots[self.slot];
        if variant == SettleBeforeCopy {
            hot.settle();
        }
        if variant == ByteFreedBeforeSettle {
            world.free_slot(self.slot);
        }
        for at in start..start + len {
            world.file.store(at, self.value);
            if dies == Dies::InCopy {
                return self.die(world, start, len);
            }
        }
        if dies == Dies::BeforeSettle {
            return self.die(world, start, len);
        }
        match variant {
            SettleBeforeCopy => {}
            RelaxedSettle => hot.pending.store(0, Ordering::Relaxed),
            _ => hot.settle(),
        }
        Some(Appended { start, len, value: self.value })
    }

    fn die(self, world: &World, start: u64, len: u64) -> Option<Appended> {
        world.truth.abandon(start, len);
        world.free_slot(self.slot);
        None
    }

    /// What a writer does that ends: its slot is idle, its byte goes.
    pub(crate) fn exit(self, world: &World) {
        world.free_slot(self.slot);
    }
}

impl World {
    fn look(&self, len: u64) -> u64 {
        let control = &self.control;
        loop {
            let now = control.look();
            if now.gate == Gate::Open && now.start + len <= control.limit() {
                return now.start;
            }
            if let Some(lock) = self.try_lock() {
                lock.grow(control.look().start + len);
                lock.unlock();
            } else {
                yield_now();
            }
        }
    }

    fn wait_for_space(&self, start: u64, len: u64, variant: Variant) {
        while !slots::may_copy(&self.control, start, len) {
            let lock = if variant == WaiterBlocksOnTheLock { Some(self.lock()) } else { self.try_lock() };
            if let Some(lock) = lock {
                lock.grow(start + len);
                lock.unlock();
            } else {
                yield_now();
            }
        }
    }
}

// ---- gates

/// As `trim_once`.
pub(crate) fn trim(world: &World, variant: Variant, dies: TrimDies) {
    let World { control, file, .. } = world;
    let lock = world.lock();
    let now = control.look();
    if control.file_size() == now.start && now.gate == Gate::Open {
        return lock.unlock();
    }
    let at = match variant {
        RelaxedClose => control.cursor.fetch_or(GATE, Ordering::Relaxed) & !GATE,
        _ => control.close_gate(),
    };
    if dies == TrimDies::AfterClose {
        return lock.unlock();
    }
    if variant != NoAnnounce {
        control.announce_gate(at);
    }
    if dies == TrimDies::AfterAnnounce {
        return lock.unlock();
    }
    if variant != NoDrain {
        drain(&lock, at, variant);
    }
    if dies == TrimDies::AfterDrain {
        return lock.unlock();
    }
    if variant == GateOpenedBeforePublish {
        control.open_gate();
    }
    file.begin_operation();
    control.publish_size(at);
    if dies != TrimDies::AfterPublish {
        file.cut(at);
    }
    file.end_operation();
    if matches!(dies, TrimDies::AfterPublish | TrimDies::AfterCut) {
        return lock.unlock();
    }
    match variant {
        GateOpenedBeforePublish => {}
        RelaxedOpen => drop(control.cursor.fetch_and(!GATE, Ordering::Relaxed)),
        _ => control.open_gate(),
    }
    lock.unlock();
}

fn drain(lock: &LogLock<'_>, at: u64, variant: Variant) {
    if variant != DrainWithoutGrowth {
        lock.grow(at);
    }
    loop {
        let scan = lock.0.scan(at);
        lock.settle(&scan.dead);
        match scan.holder {
            None if scan.dead.is_empty() => return,
            None => {}
            Some(_) => yield_now(),
        }
    }
}

// ---- claims

/// As `Files::claim`. `value` is who claims.
pub(crate) fn claim(world: &World, value: u64, variant: Variant) -> Writer {
    loop {
        for slot in 0..SLOTS {
            if claim_one(world, slot, variant) {
                let hot = &world.slots[slot];
                assert!(hot.pending().phase().is_none(), "{INHERITED}: slot {slot}");
                let before = world.owners[slot].swap(value, Ordering::Relaxed);
                assert!(before == 0, "{TWO_OWNERS}: slot {slot}, {before} and {value}");
                world.high_water.slots.fetch_max(slot as u32 + 1, Ordering::AcqRel);
                return Writer { slot, value };
            }
        }
        yield_now();
    }
}

fn claim_one(world: &World, slot: usize, variant: Variant) -> bool {
    let (byte, hot) = (&world.slot_bytes[slot], &world.slots[slot]);
    if variant == SettleWithoutTheByte {
        if byte.is_locked() {
            return false;
        }
    } else if !byte.try_lock() {
        return false;
    }
    if variant != ClaimWithoutLook && hot.pending().phase().is_some() {
        let Some(lock) = world.try_lock() else {
            byte.unlock();
            return false;
        };
        lock.settle_claimed(slot, variant);
        lock.unlock();
    }
    true
}

// ---- following

impl World {
    pub(crate) fn scan(&self, bound: u64) -> Scan {
        slots::scan(bound, self.used_slots().iter(), |slot| self.is_free(slot))
    }
}

/// As `Follower`.
#[derive(Default)]
pub(crate) struct Follower {
    pub(crate) watermark: u64,
    holes: Vec<(u64, u64)>,
    noted: Option<u64>,
}

impl Follower {
    /// As `Follower::look`, without its short cut.
    pub(crate) fn look(&mut self, world: &World, variant: Variant) {
        if variant == HolesBeforeSlots {
            self.read_table(world);
        }
        let scan = match variant {
            SlotsBeforeCursor => {
                let scan = world.scan(POSITIONS as u64);
                Scan { watermark: scan.watermark.min(world.control.look().start), ..scan }
            }
            RelaxedLook => world.scan(world.control.cursor.load(Ordering::Relaxed) & !GATE),
            ProbeWithoutSecondLoad | RelaxedScan | RelaxedLen => {
                scan(world, world.control.look().start, variant)
            }
            _ => world.scan(world.control.look().start),
        };
        self.watermark = self.watermark.max(scan.watermark);
        let placed = scan.dead.iter().filter(|dead| dead.pending.phase() != Some(Phase::Reserving));
        self.holes.extend(placed.map(|dead| (dead.pending.position(), dead.len)));
        if variant != HolesBeforeSlots {
            self.read_table(world);
        }
    }

    fn read_table(&mut self, world: &World) {
        let noted = world.counts.noted.load(Ordering::Acquire);
        if self.noted != Some(noted) {
            self.holes.extend(world.noted_holes());
            self.noted = Some(noted);
        }
    }

    /// Everything below the watermark is data or a hole, and rightly so.
    pub(crate) fn check(&self, world: &World) {
        for at in 0..self.watermark {
            let abandoned = world.truth.is_abandoned(at);
            if self.holes.iter().any(|&(start, len)| (start..start + len).contains(&at)) {
                assert!(abandoned, "{NO_HOLE}: position {at}");
            } else {
                assert!(!abandoned, "{TORN_SHOWN}: position {at}");
                let written = world.file.read(at) != 0;
                assert!(written || world.truth.is_unplaced(at), "{NOT_WRITTEN}: position {at}");
            }
        }
    }
}
