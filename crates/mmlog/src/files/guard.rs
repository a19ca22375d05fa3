//! The log's lock, and everything that needs it: growing, cutting, settling the dead, finishing what they began.
//!
//! The lock is the handle's own mutex (threads of one handle share a description, the kernel would let each of them
//! in), then the lock byte; `is_locked` and the owner's record are for people. Whoever gets it first finishes or
//! undoes what a dead owner left.

use std::cell::Cell;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, MutexGuard};

use nix::libc;

use super::Files;
use super::believed::Believed;
use super::boot::{Boot, Quiet, Quieted};
use super::content::extent;
use super::meta::page_size;
use super::owner::{self, Operation};
use super::turn::try_mutex;
use crate::chunks::Segment;
use crate::crash::crash_point;
use crate::deadline::Deadline;
use crate::error::Fault;
use crate::holes::{self, Hole, HoleKind};
use crate::layout::{Control, LOCK_BYTE, POSITION_END, SLOT_BYTES, Slot};
use crate::metadata::{Gate, JOURNAL_EMPTY, JOURNAL_TRIM};
use crate::slots::{InFlight, Phase, Scan};
use crate::sync::Ordering;
use crate::sys::place::Part;
use crate::sys::{alloc, fs, lock, process};

/// The most that is stored of nothing, to know whether something could be.
const PROBE_MOST: u64 = 1 << 20;

/// What a file has allocated first. (Not: a page. Of a log whose metadata is gone, a page of NULs at the end is what is
/// recognised.)
const FIRST: u64 = 64 << 10;

/// What the data file grows for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SpaceFor {
    /// A message of a writer that most likely has no other.
    OneMessage,
    /// What comes after it, too.
    More,
}

/// The log's lock, held.
pub(crate) struct LogLock<'a> {
    pub(super) files: &'a Files,
    pub(super) segment: Arc<Segment>,
    /// What the header said when it was checked; `None` in repair, which believes nothing of it.
    pub(super) believed: Cell<Option<Believed>>,
    _in_process: MutexGuard<'a, ()>,
}

impl Drop for LogLock<'_> {
    fn drop(&mut self) {
        self.files.control().is_locked.store(0, Ordering::Relaxed);
        owner::leave(&self.files.meta.header().lock_owner);
        if let Some(fd) = self.files.lock_file.fd() {
            let _ = lock::unlock(fd, LOCK_BYTE);
        }
        self.files.wake_waiters();
    }
}

impl Files {
    /// The lock if nobody has it. What a dead owner left half done is finished before this returns.
    pub(crate) fn try_lock(&self, operation: Operation) -> Result<Option<LogLock<'_>>, Fault> {
        let Some(mut guard) = self.try_lock_as_is(operation)? else { return Ok(None) };
        let recovered = guard.after_reboot().and_then(|rebooted| {
            let rebooted = match rebooted {
                Quieted::Mine(quiet) => Some(quiet),
                Quieted::Working => None,
                // The lock is free already, or not yet: whoever died in it had all of the rest.
                Quieted::Recovering => return Ok(false),
            };
            let found = guard.verify(rebooted.as_ref())?;
            guard.recover(rebooted.as_ref(), found)?;
            Ok(true)
        });
        // Whatever they found, it was zeros if the metadata is cut by now.
        self.intact()?;
        Ok(recovered?.then_some(guard))
    }

    /// The lock if nobody has it, with everything as the last owner left it: for repair.
    fn try_lock_as_is(&self, operation: Operation) -> Result<Option<LogLock<'_>>, Fault> {
        let (fd, me) = (self.lock_file.fd().ok_or(Fault::Replaced)?, process::me());
        let Some(in_process) = try_mutex(&self.in_process) else { return Ok(None) };
        let segment = self.segment()?;
        if !lock::try_lock(fd, LOCK_BYTE).map_err(Fault::io("take the log's lock"))? {
            return Ok(None);
        }
        let guard = LogLock { files: self, segment, believed: Cell::new(None), _in_process: in_process };
        self.control().is_locked.store(1, Ordering::Relaxed);
        owner::store(&self.meta.header().lock_owner, &me, Some(operation));
        crash_point("lock:taken");
        self.intact()?;
        Ok(Some(guard))
    }

    /// As [`try_lock_as_is`](Self::try_lock_as_is), waiting for it.
    pub(crate) fn lock_as_is(&self, deadline: &Deadline) -> Result<LogLock<'_>, Fault> {
        let step = || self.try_lock_as_is(Operation::Repair);
        Self::wait_for(&self.meta.header().space_wake, deadline, || self.lock_holder(), step)
    }
}

impl LogLock<'_> {
    pub(super) fn control(&self) -> &Control {
        self.files.control()
    }

    /// The files behind the handle are still those at its path; the data file's length.
    pub(super) fn verify(&mut self, rebooted: Option<&Quiet>) -> Result<u64, Fault> {
        let verified = self.find_segment(rebooted).and_then(|()| self.verify_data());
        // What is wrong with the data file may be that somebody removed, and perhaps made anew, both files.
        if self.files.is_current()? { verified } else { Err(Fault::Replaced) }
    }

    /// The metadata names the file at the path, whoever died in a rotation.
    fn find_segment(&self, rebooted: Option<&Quiet>) -> Result<(), Fault> {
        if rebooted.is_some() { self.recover_segments() } else { self.finish_dead_rotation() }
    }

    /// Whether the log is of another boot; then nobody begins to work with it as long as the result is kept.
    fn after_reboot(&self) -> Result<Quieted, Fault> {
        match self.files.boot()? {
            Boot::This => Ok(Quieted::Working),
            // Somebody who has the log open has begun to work with it since, or not.
            Boot::Another => self.files.quiet(),
            Boot::Unknown => Err(Fault::BootUnknown),
        }
    }

    /// Everything below `bound` that is not final. Whoever has the lock sees every slot, whichever boot is recorded.
    pub(crate) fn scan(&self, bound: u64) -> Scan {
        self.files.scan_slots(bound)
    }

    fn verify_data(&mut self) -> Result<u64, Fault> {
        let recorded = self.files.meta.header().identity.inode.load(Ordering::Relaxed);
        let found = self.files.find(Part::Data)?;
        match found.map(|f| (f.id, f.is_emptied(), f.len)) {
            None => Err(Fault::NoData),
            Some(((_, found), is_emptied, _)) if found != recorded => {
                Err(Fault::replaced_by(is_emptied, recorded, found))
            }
            Some(((device, _), _, len)) => {
                self.segment = self.files.renew()?;
                if recorded != self.segment.inode() {
                    return Err(Fault::Replaced);
                }
                // Whoever opened it here has found that it is the log's on another mount.
                let known = &self.files.meta.header().identity.device;
                if known.load(Ordering::Relaxed) != device {
                    self.note_mount()?;
                }
                Ok(len)
            }
        }
    }

    /// Journal first, then the size rule: `file_size` is the truth. After a reboot it is not.
    fn recover(&self, rebooted: Option<&Quiet>, found: u64) -> Result<(), Fault> {
        if let Some(quiet) = rebooted {
            return self.recover_after_reboot(quiet);
        }
        let journal = &self.files.meta.header().journal;
        let kind = journal.kind();
        // A rotation's is finished by now, or nobody knows the file at the path.
        if kind != JOURNAL_EMPTY && kind != JOURNAL_TRIM {
            return Err(Fault::Journal { kind });
        }
        let control = self.control();
        self.files.meta.check_positions()?;
        let (file_size, limit) = (control.file_size(), control.limit());
        self.believe(file_size);
        let end = control.base() + file_size;
        if found < file_size {
            return Err(Fault::Truncated { expected: file_size, found });
        }
        if found > file_size && limit > end {
            self.expect_nothing(file_size, found)?;
        }
        self.still_believed(None)?;
        self.finish_take_over(file_size, limit)?;
        let file_size = self.undo_take_over(file_size, limit)?;
        let end = control.base() + file_size;
        if limit != end && !control.exchange_limit(limit, end) {
            return Err(Fault::OutOfRange { field: "limit", value: control.limit(), min: limit, max: limit });
        }
        if found > file_size {
            self.take_over_or_cut(file_size, found)?;
        }
        if control.look().gate == Gate::Closed {
            self.open_gate();
        }
        if kind != JOURNAL_EMPTY {
            journal.clear();
        }
        Ok(())
    }

    /// The limit says that there was more, and a dead trimmer would have left nothing of ours there: bytes below the
    /// cursor mean that the size is wrong. (Bytes behind size and limit are an outsider's.)
    fn expect_nothing(&self, file_size: u64, len: u64) -> Result<(), Fault> {
        let appended = self.offset(self.control().look().start)?;
        let end = extent(self.segment.file(), file_size, appended.min(len), self.files.waits())?.end;
        if end > file_size {
            return Err(Fault::OutOfRange { field: "file_size", value: file_size, min: end, max: len });
        }
        Ok(())
    }

    pub(super) fn data_len(&self) -> Result<u64, Fault> {
        Ok(self.segment.file().metadata().map_err(Fault::io("stat the data file"))?.size())
    }

    /// Records where the data file lies now.
    pub(super) fn note_mount(&self) -> Result<(), Fault> {
        let (file, header) = (self.segment.file(), self.files.meta.header());
        let device = file.metadata().map_err(Fault::io("stat the data file"))?.dev();
        header.identity.device.store(device, Ordering::Relaxed);
        header.epochs.file_system.store(fs::file_system(file), Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn cut(&self, len: u64) -> Result<(), Fault> {
        // The length came from there.
        self.files.intact()?;
        if len > self.data_len()? {
            // Lengthening past the limit would be a SIGXFSZ.
            alloc::within_file_size_limit(len).map_err(|source| self.no_space(len, source))?;
        }
        self.control().count_cut();
        self.segment.file().set_len(len).map_err(Fault::io("truncate the data file"))
    }

    /// Closes the gate for an operation that a successor can undo by opening it.
    pub(crate) fn close_gate(&self) -> u64 {
        self.close_gate_as(JOURNAL_TRIM)
    }

    /// The caller has stored the journal's other fields.
    pub(super) fn close_gate_as(&self, kind: u64) -> u64 {
        self.files.meta.header().journal.begin(kind);
        crash_point("gate:journal");
        let at = self.control().close_gate();
        crash_point("gate:closed");
        self.control().announce_gate(at);
        crash_point("gate:announced");
        self.files.wake_waiters();
        at
    }

    /// The gate opens before the journal is emptied: a closed gate implies a journal.
    pub(crate) fn open_gate(&self) {
        self.control().open_gate();
        crash_point("gate:open");
        self.files.meta.header().journal.clear();
        crash_point("gate:cleared");
        self.files.wake_waiters();
    }

    /// Makes the data file reach position `end`: whole chunks while there is space, up to the policy's longest segment, else
    /// what holds `end`. Beyond that segment it is `end` to the byte. (Not: the page. What is left of it lets others append
    /// there, and reserve beyond it, so that each who comes too late makes room for the next.)
    ///
    /// A file that is new, or was cut when the log was closed, has less at first: whoever opens a log for a few lines need not
    /// have a chunk allocated and given back; for one message it ends there, to the byte.
    ///
    /// # Errors
    /// [`Fault::NoSpace`] when not even that can be had; nothing has changed then.
    pub(crate) fn grow(&self, end: u64, space: SpaceFor) -> Result<(), Fault> {
        let control = self.control();
        if end <= control.limit() {
            return Ok(());
        }
        self.still_believed(None)?;
        self.note_unplaced();
        let (from, need) = (control.file_size(), self.offset(end)?);
        let least = need.next_multiple_of(page_size());
        let whole = need.next_multiple_of(self.files.meta.geometry().chunk_size);
        let is_cut = from == 0 || from % page_size() != 0;
        let is_all = is_cut && space == SpaceFor::OneMessage;
        let mut to = match self.files.meta.longest_segment() {
            Some(most) if need > most => need,
            _ if is_all => need,
            most => if is_cut { need.next_multiple_of(FIRST) } else { whole }.min(most.unwrap_or(whole)),
        };
        // Little is had by writing it as soon as by allocating it, and then belongs to nobody else either.
        let page_end = if is_all && to - from <= FIRST { to } else { from.next_multiple_of(page_size()) };
        let zeros = vec![0; (page_end.min(to) - from) as usize];
        loop {
            // Zeros behind a cut: a store that came late may have left bytes in the last page.
            let grown = alloc::write_at(self.segment.file(), from, &zeros).and_then(|()| {
                if to > page_end { alloc::allocate(self.segment.file(), page_end, to) } else { Ok(()) }
            });
            let Err(source) = grown else { break };
            // What a failed call did allocate is given back.
            self.cut(from)?;
            if !is_full(&source) {
                return Err(Fault::Io { operation: "allocate space in the data file", source });
            }
            if to <= least {
                return Err(self.no_space(least - from, source));
            }
            to = ((least + to) / 2 / page_size() * page_size()).max(least);
        }
        crash_point("grow:allocated");
        self.still_believed(None)?;
        self.publish_size(to)?;
        crash_point("grow:published");
        Ok(())
    }

    fn no_space(&self, needed: u64, source: std::io::Error) -> Fault {
        Fault::NoSpace { needed, free: fs::free_bytes(self.segment.file()), source }
    }

    /// Lets the file end at `end` although there may be no space: nobody will store in what that adds.
    pub(crate) fn extend_sparsely(&self, end: u64) -> Result<(), Fault> {
        self.still_believed(Some(end))?;
        self.note_unplaced();
        let len = self.offset(end)?;
        self.cut(len)?;
        crash_point("extend:sparse");
        self.publish_size(len)?;
        crash_point("extend:published");
        Ok(())
    }

    /// Cuts the data file at position `end`, where a closed gate has drained: published first, so that a
    /// successor can finish it.
    pub(crate) fn shrink(&self, end: u64) -> Result<(), Fault> {
        self.still_believed(Some(end))?;
        self.nothing_from(end)?;
        let (len, allocated) = (self.offset(end)?, self.control().file_size());
        self.publish_size(len)?;
        crash_point("shrink:published");
        self.count_outside(allocated)?;
        self.cut(len)?;
        crash_point("shrink:cut");
        Ok(())
    }

    /// Settles the slots whose owners are dead. Gives those that it could not take.
    pub(crate) fn settle(&self, dead: &[InFlight]) -> Vec<u32> {
        let mut kept = Vec::new();
        for seen in dead {
            let Some(fd) = self.files.lock_file.fd() else { break };
            if !self.files.mark_own(seen.slot) {
                continue;
            }
            if matches!(lock::try_lock(fd, SLOT_BYTES + u64::from(seen.slot)), Ok(true)) {
                self.settle_claimed(seen.slot);
                self.files.release(seen.slot);
            } else {
                self.files.unmark_own(seen.slot);
                kept.push(seen.slot);
            }
        }
        kept
    }

    /// Settles every dead writer's slot, wherever its position; also those that a spoiled high-water mark hides. Gives those in
    /// flight that it could not take: of the living, and of the dead where somebody keeps their bytes.
    pub(crate) fn settle_all(&self) -> Vec<u32> {
        let in_flight = |(i, slot): (usize, &Slot)| {
            let pending = slot.hot.pending();
            pending.phase().map(|_| InFlight { slot: i as u32, pending, len: 0 })
        };
        let seen: Vec<_> = self.files.meta.slots().iter().enumerate().filter_map(in_flight).collect();
        self.settle(&seen)
    }

    /// Settles a slot whose byte this handle has: hole noted, range zeroed, then idle.
    pub(crate) fn settle_claimed(&self, slot: u32) {
        let hot = &self.files.meta.slots()[slot as usize].hot;
        let pending = hot.pending();
        let Some(phase) = pending.phase() else { return };
        let seen = InFlight { slot, pending, len: hot.len.load(Ordering::Relaxed) };
        let counts = &self.files.meta.header().hole_counts;
        // In older metadata it may be complete.
        if phase == Phase::Copying && !self.is_newer() {
            return;
        }
        match self.files.hole_of(&seen).filter(|hole| self.is_placed(hole)) {
            Some(hole) => self.note_hole(&hole),
            None if phase == Phase::Reserving => drop(counts.unplaced.fetch_add(1, Ordering::Relaxed)),
            // Not a range of this log: a damaged slot is cleared, and nothing believed.
            None => {}
        }
        hot.settle();
        crash_point("settle:idle");
        self.files.wake_followers();
        self.files.wake_waiters();
    }

    /// Notes a hole and makes its range read as zeros, as far as the file reaches.
    pub(super) fn note_hole(&self, hole: &Hole) {
        let counts = &self.files.meta.header().hole_counts;
        holes::note(self.files.meta.holes(), counts, hole);
        crash_point("settle:noted");
        if hole.kind == HoleKind::Torn {
            self.zero_torn(hole);
        }
        crash_point("settle:zeroed");
    }

    pub(super) fn zero_torn(&self, hole: &Hole) {
        if self.zero(hole).is_err() {
            self.files.meta.header().hole_counts.not_zeroed.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn is_placed(&self, hole: &Hole) -> bool {
        hole.start >= self.control().base() && hole.end() <= self.control().look().start
    }

    pub(super) fn zero(&self, hole: &Hole) -> std::io::Result<()> {
        let base = self.control().base();
        let from = hole.start.checked_sub(base).ok_or(std::io::ErrorKind::InvalidInput)?;
        alloc::zero(self.segment.file(), from, from + hole.len)
    }

    /// Stores zeros in a range whose message could not be stored, so that it is a hole, and gives their blocks back:
    /// whether the file takes stores again. Where it is final by now, no other store will tell.
    pub(crate) fn store_nothing(&self, of: &Segment, start: u64, len: u64) -> std::io::Result<()> {
        let end = start.saturating_add(len);
        let is_there = len > 0 && start >= of.base() && end <= self.control().limit();
        if of.inode() != self.segment.inode() || !is_there {
            return Ok(());
        }
        let (from, to) = (start.max(end.saturating_sub(PROBE_MOST)) - of.base(), end - of.base());
        let zeros = vec![0; (to - from) as usize];
        alloc::write_at(self.segment.file(), from, &zeros)?;
        alloc::zero(self.segment.file(), from, to)
    }

    /// Where that position is in the data file.
    fn offset(&self, position: u64) -> Result<u64, Fault> {
        let base = self.control().base();
        let offset = position.checked_sub(base).filter(|_| position < POSITION_END);
        offset.ok_or(Fault::OutOfRange { field: "cursor", value: position, min: base, max: POSITION_END - 1 })
    }
}

pub(crate) fn is_full(e: &std::io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG))
}
