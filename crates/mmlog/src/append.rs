//! Appending: one reservation, one copy, no lock, and no system call on the way but one for 60 KiB, to have pages ready.
//!
//! 1. *Look*: nothing of mine is in flight, the log is writable, the gate is open, there is space, the chunk at the
//!    cursor is mapped. Whatever can fail or block does so here, before a range is taken.
//! 2. *Place* ([`slots::place`]): the slot says what is coming, one `fetch_add` takes the range.
//! 3. A closed gate or no space: *wait*, trying the lock in between (a dead owner's work is finished by the one
//!    who waits). A writer in flight never blocks on the lock: its owner may be waiting for this writer.
//! 4. *Copy*, settle the slot, wake followers if any sleep.
//!
//! An append that fails after step 2 abandons its slot as if its process had died: the range becomes a hole that
//! whoever needs it settles, and the writer claims another slot for its next append, once zeros could be stored in that
//! hole: a log that cannot be stored to gets one hole of a writer, not one of each attempt.
//!
//! The SIGBUS guard ([`sigbus`](crate::sys::sigbus)) may cut a mapping at any access. No byte is stored while the metadata is cut: the
//! range may be nobody's. A cut chunk has lost the copy: the message goes by `pwrite`, which knows the reason if
//! it fails too.

mod behind;
mod clock;
mod idle;
mod line;
mod others;
mod seat;
mod straight;
mod trouble;

use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;

use behind::leave_behind;
use clock::Clock;
use others::Others;
use straight::{Straight, Went};
use trouble::{
    Abandon, Doubt, current_segment, give_back, look_at_metadata, look_closely, no_space, unstored,
    wait_for_space,
};

use crate::carry_out::Tries;
use crate::chunks::{Lane, Retired, Segment, Unstored, Way};
use crate::crash::crash_point;
use crate::durable::{self, Need};
use crate::error::{At, Fault, Result};
use crate::files::Files;
use crate::files::content::has_nul;
use crate::files::guard::SpaceFor;
use crate::layout::{Control, MAX_MESSAGE};
use crate::metadata::Gate;
use crate::position::Position;
use crate::slots::{self, Placed};
use crate::sync::Ordering;
use crate::sys::events;
use crate::sys::map::prefetch_to_store;
use crate::waiting::HeldUp;

/// Longest line that the [`Write`](std::io::Write) side of a [`Writer`] holds back while it waits for a newline, bytes.
pub const LINE_BUFFER: usize = 64 * 1024;

/// Most that a [`Writer::batched`] holds back, bytes.
pub const MAX_BATCH: usize = 1 << 20;

/// One thread's way to append; owns a slot. Made by [`Log::writer`](crate::Log::writer). It may be given to another thread.
///
/// As [`std::io::Write`] it is line buffered: `write` appends everything up to the last newline as one message and
/// holds the rest back until its newline comes, [`LINE_BUFFER`] is full, `flush` is called, or the writer is
/// dropped. A [`batched`](Self::batched) one holds whole lines back as well. [`append`](Self::append) goes straight to the
/// log and does not touch that buffer.
///
/// Dropping a writer appends what it holds back. An error of that is told by [`Log::close`](crate::Log::close), if the log's
/// handle is closed after its writers; `flush` before tells it at once, and leaves nothing for the drop.
///
/// After `fork`, in the child, the first use registers the child as a writer of its own; what the parent holds back stays the
/// parent's.
pub struct Writer {
    files: Arc<Files>,
    lane: Lane,
    /// Of the segment before.
    retired: Option<Retired>,
    slot: Option<u32>,
    /// The slot while appends do not work: the straight way is not taken then.
    waiting_slot: Option<u32>,
    straight: Straight,
    held_up: HeldUp,
    doubt: Option<Doubt>,
    messages: u64,
    bytes: u64,
    /// Behind the last append.
    end: u64,
    /// A cursor that was seen: ranges below it are not ours.
    floor: u64,
    /// Somebody wants it durable: from now on, what is appended is looked at for NULs.
    syncs: bool,
    /// What is not durable yet may have NULs.
    nuls: bool,
    others: Others,
    clock: Clock,
    /// Bytes of the [`Write`](std::io::Write) side that are not appended yet.
    held: Vec<u8>,
    /// So many of them whole lines may be.
    batch: usize,
}

impl Writer {
    pub(crate) fn new(files: Arc<Files>) -> Result<Self> {
        files.writable().and_then(|()| files.poisoned()).at(files.path())?;
        let lane = Lane::new(files.segment().at(files.path())?);
        let mut writer = Self {
            files,
            lane,
            retired: None,
            slot: None,
            waiting_slot: None,
            straight: Straight::default(),
            held_up: HeldUp::default(),
            doubt: None,
            messages: 0,
            bytes: 0,
            end: 0,
            floor: 0,
            syncs: false,
            nuls: false,
            others: Others::default(),
            clock: Clock::default(),
            held: Vec::new(),
            batch: 0,
        };
        writer.register(0).at(writer.files.path())?;
        Ok(writer)
    }

    /// Appends `message`, 1 to [`MAX_MESSAGE`] bytes, and returns the position of its first byte.
    ///
    /// All or nothing: after an error no byte of it will ever be read. The bytes are visible to followers when
    /// this returns (a release that pairs with the follower's acquire of the slot).
    ///
    /// Under contention, writers of messages shorter than 256 bytes take turns: one that comes back within 1 us may wait
    /// for the rest of it.
    ///
    /// # Errors
    /// [`Fault::NoSpace`] before anything is taken (the cursor has not moved, unless others took the last space
    /// between the look and the reservation: the range is then a hole), [`Fault::Stalled`] when a stopped
    /// process holds the log up for longer than [`Options::wait`](crate::Options::wait), [`Fault::Poisoned`],
    /// [`Fault::EmptyMessage`], [`Fault::TooLarge`]. [`Fault::Truncated`] when somebody cut the data file: for a
    /// mapped writer only behind [`guard_against_sigbus`](crate::guard_against_sigbus).
    ///
    /// ```
    /// # fn main() -> mmlog::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("app.log");
    /// let log = mmlog::Log::options().open_or_create(&path)?;
    /// let mut writer = log.writer()?;
    /// let first = writer.append(b"hello\n")?;
    /// let second = writer.append(b"world\n")?;
    /// assert_eq!(second - first, 6);
    /// # Ok(())
    /// # }
    /// ```
    pub fn append(&mut self, message: &[u8]) -> Result<Position> {
        // A way of its own: a call before the straight one costs registers.
        if self.syncs { self.append_looked_at(message) } else { self.append_bytes(message) }
    }

    #[inline(never)]
    fn append_looked_at(&mut self, message: &[u8]) -> Result<Position> {
        self.look_for_nuls(message);
        self.append_bytes(message)
    }

    #[inline(always)]
    fn append_bytes(&mut self, message: &[u8]) -> Result<Position> {
        match self.go_straight(message) {
            Went::There(at) => Ok(Position::new(at)),
            Went::Nowhere => self.append_with_care(message),
            Went::Waits { start, here } => self.find_back(Placed::Later(start), here, message),
            Went::Astray { start, here } => self.find_back(Placed::Now(start), here, message),
        }
    }

    /// Appends the parts as one message.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_vectored(&mut self, parts: &[IoSlice<'_>]) -> Result<Position> {
        self.look_at_time_if_due();
        if self.syncs {
            parts.iter().for_each(|part| self.look_for_nuls(part));
        }
        let len = parts.iter().map(|p| p.len()).fold(0, usize::saturating_add);
        self.append_parts(len, |to, mut at| {
            parts.iter().filter(|part| !part.is_empty()).try_for_each(|part| {
                to.put(at, part)?;
                at += part.len() as u64;
                Ok(())
            })
        })
    }

    /// Makes everything durable that this writer appended; see [`Log::sync`](crate::Log::sync). What is held
    /// back is appended first. A writer that was asked once does so, too, with what it leaves in a log that was moved away
    /// and made anew, before it goes on there.
    ///
    /// After the first time, bytes without NULs cost one sync of the data file, as `fdatasync` after `write` does, and others
    /// one more, of the metadata. [`Log::synced`](crate::Log::synced) may be behind by what was synced in the last second.
    ///
    /// # Errors
    /// [`Fault::SyncFailed`] and [`Fault::Stalled`]: what was appended is in the log, but not durable.
    ///
    /// ```
    /// # fn main() -> mmlog::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// let log = mmlog::Log::options().open_or_create(dir.path().join("app.log"))?;
    /// let mut writer = log.writer()?;
    /// for batch in [["one\n", "two\n"], ["three\n", "four\n"]] {
    ///     for line in batch {
    ///         writer.append(line.as_bytes())?;
    ///     }
    ///     writer.sync()?; // one wait for the disk, for the whole batch
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn sync(&mut self) -> Result<()> {
        self.watch();
        self.flush_held()?;
        self.make_durable().at(self.files.path())
    }

    /// Appends `message` and returns when it is durable, and what this writer appended before.
    ///
    /// # Errors
    /// As [`append`](Self::append), with nothing written; [`Fault::NotDurable`] when it is written, will be read, and
    /// is not durable.
    pub fn append_durable(&mut self, message: &[u8]) -> Result<Position> {
        self.watch();
        let at = self.append(message)?;
        let not_durable = |cause| Fault::NotDurable { at: at.get(), cause: Box::new(cause) };
        self.make_durable().map_err(not_durable).at(self.files.path())?;
        Ok(at)
    }

    /// What was appended before somebody wanted it durable has not been looked at.
    fn watch(&mut self) {
        self.nuls |= !self.syncs && self.end > 0;
        self.syncs = true;
    }

    fn look_for_nuls(&mut self, bytes: &[u8]) {
        self.nuls = self.nuls || has_nul(bytes);
    }

    fn make_durable(&mut self) -> std::result::Result<(), Fault> {
        let cursor = self.files.control().look().start;
        if cursor < self.end && self.files.is_current()? {
            return Err(self.files.set_back(&self.lane.segment, cursor, self.end));
        }
        let need = if self.nuls { Need::Checkpoint } else { Need::Data };
        durable::sync_to(&self.files, self.end, need, &self.files.patience())?;
        self.nuls = false;
        Ok(())
    }

    fn append_parts(&mut self, len: usize, put: impl Fn(&mut Target<'_>, u64) -> Put) -> Result<Position> {
        self.straight.close();
        self.others.let_go_first();
        if self.files.is_stale() {
            self.reattach()?;
        }
        let tried = self.try_append(len as u64, &put);
        self.conclude(tried, len as u64, &put)
    }

    fn conclude(
        &mut self,
        tried: std::result::Result<Position, Fault>,
        len: u64,
        put: &impl Fn(&mut Target<'_>, u64) -> Put,
    ) -> Result<Position> {
        match tried {
            Ok(at) => Ok(at),
            // Somebody replaced or removed the files: go on with those that are there now.
            Err(Fault::Replaced) => {
                self.reattach()?;
                self.try_append(len, put).map_err(|fault| self.failed(fault, len))
            }
            Err(fault) => Err(self.failed(fault, len)),
        }
    }

    fn try_append(
        &mut self,
        len: u64,
        put: &impl Fn(&mut Target<'_>, u64) -> Put,
    ) -> std::result::Result<Position, Fault> {
        self.register(len)?;
        let Self { files, lane, retired, slot: mine, held_up, messages, others, clock, floor, .. } = self;
        let Some(slot) = *mine else { return Err(Fault::Replaced) };
        let (control, hot) = (files.control(), &files.meta.slots()[slot as usize].hot);
        if hot.pending().phase().is_some() {
            return Err(files.broken("a live writer's slot was changed by somebody else"));
        }
        let pages = || files.pages();
        let mut tries = Tries::default();
        let here = loop {
            let has_length = (1..=MAX_MESSAGE).contains(&len);
            let Some(here) = look(control, len, lane.segment.base()).filter(|_| has_length) else {
                clock.look_soon();
                let is_brief = files.config.brief && *messages == 0;
                let space = if is_brief { SpaceFor::OneMessage } else { SpaceFor::More };
                let (mine, looks) = ((slot, *floor), held_up.looks(control, hot, len));
                look_closely(files, lane, retired, mine, (len, space), &mut tries, looks)?;
                continue;
            };
            let base = lane.segment.base();
            if here < base.max(*floor) {
                return Err(files.set_back(&lane.segment, here, base.max(*floor)));
            }
            // Mapped before a range is taken; where no mapping can be had, the copy goes by pwrite, which has to be
            // allowed.
            let pwrite_from = pwrite_from(files, &lane.segment, others, *messages, here..here + len);
            if len < pwrite_from && lane.leads_to(here) {
                lane.have_ready(here, control.limit(), &pages);
                break here;
            }
            if len >= pwrite_from || !lane.find(here, &pages) {
                lane.admits(here, len).map_err(|source| no_space(&lane.segment, len, source))?;
                break here;
            }
        };
        held_up.goes_on(hot);
        // From here on, leaving early abandons the slot.
        *mine = None;
        let placed = slots::place(control, hot, len, here, lane.segment.base());
        let finished = self.finish(slot, placed, here, len, put);
        tries.settle_up(&self.files);
        finished
    }

    /// From the reservation on. The slot is taken from the writer, which gets it back when all is done.
    fn finish(
        &mut self,
        slot: u32,
        placed: Placed,
        here: u64,
        len: u64,
        put: &impl Fn(&mut Target<'_>, u64) -> Put,
    ) -> std::result::Result<Position, Fault> {
        let Self {
            files,
            lane,
            retired,
            slot: mine,
            held_up,
            doubt,
            messages,
            bytes,
            end,
            floor,
            others,
            clock,
            ..
        } = self;
        let abandon = Abandon { files, slot };
        let (control, hot) = (files.control(), &files.meta.slots()[slot as usize].hot);
        // The cursor only grows: else the metadata was changed under us, and the range is somebody else's.
        let least = here.max(*floor).max(lane.segment.base());
        let start = match placed {
            Placed::Now(start) => start,
            Placed::Later(start) if start < least => start,
            Placed::Later(start) => {
                clock.look_soon();
                wait_for_space(files, &lane.segment, start, len, held_up.looks(control, hot, len))?;
                held_up.goes_on(hot);
                // Rotated meanwhile: the range is in the segment that came after.
                if control.base() != lane.segment.base() {
                    *retired = lane.move_to(current_segment(files)?);
                }
                hot.copying(start);
                start
            }
        };
        let least = least.max(lane.segment.base());
        if start < least {
            hot.settle();
            std::mem::forget(abandon);
            *mine = Some(slot);
            return Err(files.set_back(&lane.segment, start, least));
        }
        crash_point("append:placed");
        // Before a byte is stored: the range is ours only if the cursor was.
        if events::any_cut() {
            look_at_metadata(files)?;
        }
        let pages = || files.pages();
        let way = Way { hint: &mut lane.hint, pins: &lane.pins, pages: &pages };
        let pwrite_from = pwrite_from(files, &lane.segment, others, *messages, start..start + len);
        if let Err(why) = put(&mut Target { segment: &lane.segment, pwrite_from, way }, start) {
            return Err(unstored(files, &lane.segment, why, start, len, doubt));
        }
        crash_point("append:copied");
        *messages += 1;
        *bytes += len;
        *end = start + len;
        let alone = start == std::mem::replace(floor, *end);
        hot.messages.store(*messages, Ordering::Relaxed);
        hot.bytes.store(*bytes, Ordering::Relaxed);
        // The slot's own page was stored to just now: settling it reaches the others, or is an error.
        if events::any_cut() {
            look_at_metadata(files)?;
        }
        std::mem::forget(abandon);
        *mine = Some(slot);
        hot.settle();
        crash_point("append:settled");
        files.wake_followers();
        if !alone {
            others.were_between(*messages, start..*end, lane.segment.chunk_size());
        }
        if len < pwrite_from && others.append_at(start) {
            others.make_ready(files, lane, start..*end);
        }
        if retired.is_some() {
            give_back(retired);
        }
        if files.config.drop_behind != 0 {
            leave_behind(files, &lane.segment, start, *end);
        }
        Ok(Position::new(start))
    }

    /// Owns a slot, before an append of `len` bytes.
    #[inline]
    fn register(&mut self, len: u64) -> std::result::Result<u32, Fault> {
        match self.slot {
            Some(slot) => Ok(slot),
            None => self.register_anew(len),
        }
    }
}

/// Step 1. Where the cursor was when there was space for `len` bytes, and the gate was open.
#[inline(always)]
fn look(control: &Control, len: u64, base: u64) -> Option<u64> {
    // The line is wanted for the reservation that follows: fetched once, not once for each.
    prefetch_to_store(control);
    let now = control.look();
    if now.gate == Gate::Closed || control.is_panicked() {
        return None;
    }
    let fits = now.start.saturating_add(len) <= control.limit() && control.base() == base;
    fits.then_some(now.start)
}

/// The length from which on a message at that position goes by `pwrite`, of a writer that has had so many. The first one of
/// a brief one does where the file ends with it: the chunk is mapped by who goes on.
fn pwrite_from(files: &Files, segment: &Segment, others: &Others, messages: u64, at: Range<u64>) -> u64 {
    if files.config.brief && messages == 0 && at.end == files.control().limit() {
        return 0;
    }
    let maps_long = others.append_at(at.start) && !files.config.writes_long;
    segment.pwrite_from(at.start, maps_long, &|| files.pages())
}

type Put = std::result::Result<(), Unstored>;

/// Where a message goes.
struct Target<'a> {
    segment: &'a Segment,
    pwrite_from: u64,
    way: Way<'a>,
}

impl Target<'_> {
    #[inline]
    fn put(&mut self, at: u64, bytes: &[u8]) -> Put {
        self.segment.write(at, bytes, self.pwrite_from, &mut self.way)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // A forked child that has not used it has nothing of its own here.
        if !self.files.is_stale() {
            if let Err(e) = self.flush_held() {
                self.files.could_not_append(e.into_fault());
            }
            self.leave();
        }
    }
}
