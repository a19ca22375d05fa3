//! What the shared words mean: the verbs of the protocol, with their memory orderings.
//!
//! Each release has the label of the acquire that it pairs with:
//!
//! - `cursor-order`: the cursor's modification order decides who came first, an append or a gate. Every change is
//!   a read-modify-write, so each continues the release sequence of all before it. An append that saw no gate had
//!   stored its slot's word before its `fetch_add` (release); the `fetch_or` that closes the gate comes later in
//!   the order and acquires it: the slot is visible to whoever closed the gate. No store-load fence is needed.
//! - `limit`: whoever reads a limit sees the file grown to it.
//! - `size`: as `limit`, for readers of `file_size`.
//! - `cuts`: whoever reads a count of cuts sees the shorter size that was published before that cut, or a later one.
//! - `gate-at`: a waiter that finds its start below `gate_at` sees base and limit as that gate's operation left them.
//! - `journal`: the fields are complete when the kind is seen.
//! - `generation`: the entry of that generation is complete when the generation is seen, and is not stored to again
//!   before the generation after the next: who finds the generation unchanged has read the entry of that one.
//! - `panic`: the record is complete when the flag is seen.
//! - `checkpoint`: the bytes below it, and what the metadata said of them, were durable when it was raised.
//! - `sync-error`: where durability ends is stored when the errno is seen.
//! - `olddir`: who finds an even count of changes, the same before and after it read the name, has read all of it.
//! - `policy`: a copy of the policy is complete when its number is seen; who finds the number unchanged behind it has
//!   read that one.
//! - `epoch`: where an epoch began is stored when the epoch is seen.
//! - `made`: when the metadata file was made is stored when it is seen of which one that is said.
//! - `hooks`: who finds a generation noted, and the current one behind it, finds its segment.
//! - `ready`: everything that creation stored is seen with `is_ready`.

mod entry;
mod epochs;
mod made;
pub mod overdue;
pub mod policy;

use std::ops::Range;

use crate::layout::{
    Checkpoint, Commit, Control, GATE, Header, Hooks, Journal, POSITION_END, Panic, Policy, Segment, Wake,
};
use crate::sync::{AtomicU32, Ordering, fence};

pub use entry::Entry;
pub use epochs::Beginning;
pub use made::MadeAs;

/// What a `fetch_add` on the cursor gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reserved {
    /// First position of the range.
    pub start: u64,
    /// Whether the gate was closed.
    pub gate: Gate,
}

/// State of the gate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gate {
    Open,
    Closed,
}

#[inline(always)]
fn split(cursor: u64) -> Reserved {
    if cursor & GATE == 0 {
        Reserved { start: cursor, gate: Gate::Open }
    } else {
        Reserved { start: cursor & !GATE, gate: Gate::Closed }
    }
}

impl Control {
    /// The cursor now.
    #[inline]
    pub fn look(&self) -> Reserved {
        split(self.cursor.load(Ordering::Acquire)) // cursor-order
    }

    /// Takes the next `len` bytes: the one contended operation of an append.
    #[inline]
    pub fn reserve(&self, len: u64) -> Reserved {
        split(self.cursor.fetch_add(len, Ordering::AcqRel)) // cursor-order
    }

    /// Closes the gate: every reservation is wholly below the result, or wholly at or above it. Until
    /// [`announce_gate`](Self::announce_gate) nobody who waited at an earlier gate goes on.
    pub fn close_gate(&self) -> u64 {
        self.cursor.fetch_or(GATE, Ordering::AcqRel) & !GATE // cursor-order
    }

    /// Lets those who wait below the gate go on: without it they and the drain would wait for each other.
    pub fn announce_gate(&self, at: u64) {
        self.gate_at.store(at, Ordering::Release); // gate-at
    }

    /// Where the gate is closed, if that look found it so: the cursor, while whoever closed it has not said where.
    pub fn closed_at(&self, look: &Reserved) -> Option<u64> {
        let Reserved { start, gate: Gate::Closed } = *look else { return None };
        let said = self.gate_at.load(Ordering::Acquire); // gate-at
        // That of an earlier gate, or of none.
        let is_this = (self.base()..=start).contains(&said) && (said > 0 || start == 0);
        Some(if is_this { said } else { start })
    }

    /// Opens the gate.
    pub fn open_gate(&self) {
        self.cursor.fetch_and(!GATE, Ordering::AcqRel); // cursor-order
    }

    /// Whether a reservation that starts at `start` may be copied as far as gates go.
    #[inline]
    pub fn passes_gate(&self, start: u64) -> bool {
        // gate-at
        self.look().gate == Gate::Open || self.gate_at.load(Ordering::Acquire) > start
    }

    /// The first position without space behind it. Loaded after the reservation, never before: a trim may
    /// have lowered it meanwhile.
    #[inline]
    pub fn limit(&self) -> u64 {
        self.limit.load(Ordering::Acquire) // limit
    }

    /// Position of the data file's first byte.
    #[inline]
    pub fn base(&self) -> u64 {
        self.base.load(Ordering::Acquire) // limit
    }

    /// Bytes of the data file that are allocated to the log.
    #[inline]
    pub fn file_size(&self) -> u64 {
        self.file_size.load(Ordering::Acquire) // size
    }

    /// Before each cut of the data file, behind the announcement of its new length.
    pub fn count_cut(&self) {
        self.cuts.fetch_add(1, Ordering::AcqRel); // cuts
        fence(Ordering::Release);
    }

    /// `file_size`, and what `ask` said while the file was at least that long, unless somebody cut it from outside.
    /// (Not: the same `file_size` before and after; a trim and a growth can lie between, and `ask` between those.)
    pub fn size_and<T>(&self, mut ask: impl FnMut() -> T) -> (u64, T) {
        loop {
            let cuts = self.cuts.load(Ordering::Acquire); // cuts
            let seen = (self.file_size(), ask());
            // Whoever saw a cut sees its count.
            fence(Ordering::Acquire);
            if self.cuts.load(Ordering::Relaxed) == cuts {
                return seen;
            }
        }
    }

    /// Announces a new length: after the file has grown to it, or before it is cut to it. The caller has the
    /// log's lock.
    pub fn publish_size(&self, file_size: u64) {
        self.file_size.store(file_size, Ordering::Release); // size
        self.limit.store(self.base().saturating_add(file_size), Ordering::Release); // limit
    }

    /// Announces a new length in place of the one that was checked; false, with nothing announced that could be used,
    /// when somebody else has changed it.
    #[must_use]
    pub fn exchange_size(&self, seen: u64, file_size: u64) -> bool {
        let (old, new) = (self.base().saturating_add(seen), self.base().saturating_add(file_size));
        self.exchange_size_only(seen, file_size) && self.exchange_limit(old, new)
    }

    /// Announces a new length, and no space up to there yet; false when it is no longer the one that was seen.
    #[must_use]
    pub fn exchange_size_only(&self, seen: u64, file_size: u64) -> bool {
        self.file_size.compare_exchange(seen, file_size, Ordering::Release, Ordering::Relaxed).is_ok() // size
    }

    /// Gives the positions from `seen` to `to`, which lies behind it, to bytes that are there already; false when
    /// somebody has reserved since, or moved the gate. The caller has the log's lock.
    #[must_use]
    pub fn move_cursor(&self, seen: Reserved, to: u64) -> bool {
        let gate = if seen.gate == Gate::Closed { GATE } else { 0 };
        let moved = self.cursor.compare_exchange(
            seen.start | gate,
            to | gate,
            Ordering::AcqRel, // cursor-order
            Ordering::Relaxed,
        );
        moved.is_ok()
    }

    /// Corrects the limit; false when it is no longer the one that was seen.
    #[must_use]
    pub fn exchange_limit(&self, seen: u64, limit: u64) -> bool {
        self.limit.compare_exchange(seen, limit, Ordering::Release, Ordering::Relaxed).is_ok() // limit
    }

    /// Makes `at`, where the gate is closed and drained, the first position of a new data file of that size.
    pub fn begin_segment(&self, at: u64, file_size: u64) {
        self.file_size.store(file_size, Ordering::Release); // size
        self.limit.store(at.saturating_add(file_size), Ordering::Release); // limit
        self.base.store(at, Ordering::Release); // limit
    }

    /// Sets position and size anew, the gate open. For recovery when no writer lives; the caller has the log's lock.
    pub fn go_on_at(&self, position: u64, file_size: u64) {
        self.publish_size(file_size);
        self.cursor.store(position & !GATE, Ordering::Release); // cursor-order
    }

    /// Whether creation is complete.
    pub fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Acquire) == 1 // ready
    }

    /// Whether the panic flag is set.
    #[inline]
    pub fn is_panicked(&self) -> bool {
        self.is_panicked.load(Ordering::Acquire) != 0 // panic
    }

    /// Whether `len` more bytes keep positions in range.
    #[inline]
    pub fn has_positions(start: u64, len: u64) -> bool {
        len < POSITION_END && start < POSITION_END - len
    }
}

impl Wake {
    /// Called by whoever has made something happen: true when somebody asked to be woken, who then must be.
    #[inline]
    pub fn take(&self) -> bool {
        if self.want.load(Ordering::Relaxed) == 0 || self.want.swap(0, Ordering::AcqRel) == 0 {
            return false;
        }
        self.seq.fetch_add(1, Ordering::Release);
        true
    }

    /// Called before looking a last time and sleeping: the value to sleep on.
    pub fn ask(&self) -> u32 {
        let seq = self.seq.load(Ordering::Acquire);
        self.want.store(1, Ordering::SeqCst);
        seq
    }

    /// The word to sleep on.
    pub fn word(&self) -> &AtomicU32 {
        &self.seq
    }
}

/// Nothing is half done.
pub const JOURNAL_EMPTY: u64 = 0;
/// A rotation: undone while the old data file is at the path, finished once the new one is.
pub const JOURNAL_ROTATE: u64 = 1;
/// A trim: undone by opening the gate, the size rule does the rest.
pub const JOURNAL_TRIM: u64 = 4;

impl Journal {
    /// Notes an operation; the caller has stored the other fields.
    pub fn begin(&self, kind: u64) {
        self.kind.store(kind, Ordering::Release); // journal
    }

    /// Nothing is half done any more.
    pub fn clear(&self) {
        self.kind.store(JOURNAL_EMPTY, Ordering::Release); // journal
    }

    /// The operation that is half done.
    pub fn kind(&self) -> u64 {
        self.kind.load(Ordering::Acquire) // journal
    }
}

impl Header {
    /// Where the entry of that generation is, while it is the current or the next one.
    pub fn segment(&self, generation: u64) -> &Segment {
        &self.segments[(generation % 2) as usize]
    }

    /// The number of the current segment.
    pub fn generation(&self) -> u64 {
        self.identity.generation.load(Ordering::Acquire) // generation
    }

    /// Names the current segment; the caller has the log's lock, and has set its entry.
    pub fn set_generation(&self, generation: u64) {
        self.identity.generation.store(generation, Ordering::Release); // generation
    }

    /// Whether the file with that inode is at the path because of a rotation that is not finished.
    pub fn is_exchanged_for(&self, inode: u64) -> bool {
        self.journal.kind() == JOURNAL_ROTATE && self.journal.new_inode.load(Ordering::Relaxed) == inode
    }

    /// The current segment.
    pub fn current(&self) -> Entry {
        loop {
            let generation = self.generation();
            let entry = self.segment(generation).get();
            fence(Ordering::Acquire);
            if self.generation() == generation {
                return entry;
            }
        }
    }
}

impl Policy {
    /// The directory of old segments; none while it is not set, or is being set.
    pub fn old_directory(&self) -> Option<String> {
        loop {
            let changes = self.olddir_changes.load(Ordering::Acquire); // olddir
            if changes == 0 || !changes.is_multiple_of(2) {
                return None;
            }
            let name = self.olddir.load();
            fence(Ordering::Acquire);
            if self.olddir_changes.load(Ordering::Relaxed) == changes {
                return Some(name);
            }
        }
    }

    /// Sets it; the caller has the maintenance byte. Whoever dies here leaves none set.
    pub fn set_old_directory(&self, name: &str) {
        let odd = self.olddir_changes.load(Ordering::Relaxed) | 1;
        self.olddir_changes.store(odd, Ordering::Relaxed);
        fence(Ordering::Release);
        self.olddir.store(name);
        self.olddir_changes.store(odd.wrapping_add(1), Ordering::Release); // olddir
    }
}

impl Hooks {
    /// The generations below `current`, so those of final segments, with which something is still to be done.
    pub fn pending(&self, current: u64) -> Range<u64> {
        let to = self.to.load(Ordering::Acquire).min(current); // hooks
        self.from.load(Ordering::Acquire).min(to)..to
    }

    /// Notes a generation; the caller has the log's lock, and it is the current one.
    pub fn note(&self, generation: u64) {
        if self.pending(u64::MAX).is_empty() {
            self.from.fetch_max(generation, Ordering::AcqRel);
        }
        self.to.fetch_max(generation + 1, Ordering::AcqRel); // hooks
    }

    /// It did not become final; the caller has the log's lock.
    pub fn take_back(&self, generation: u64) {
        let _ = self.to.compare_exchange(generation + 1, generation, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// All is done up to that generation.
    pub fn done(&self, generation: u64) {
        self.from.fetch_max(generation.saturating_add(1), Ordering::AcqRel); // hooks
    }
}

impl Commit {
    /// Every byte of the data file below is durable.
    pub fn data_synced(&self) -> u64 {
        self.data_synced.load(Ordering::Acquire) // checkpoint
    }

    /// Raises it after a sync of the data file.
    pub fn raise(&self, position: u64) {
        self.data_synced.fetch_max(position, Ordering::AcqRel); // checkpoint
    }

    /// The checkpoint that is on the disk.
    pub fn checkpointed(&self) -> u64 {
        self.checkpointed.load(Ordering::Acquire) // checkpoint
    }

    /// Raises it after the metadata has been synced.
    pub fn raise_checkpoint(&self, position: u64) {
        self.checkpointed.fetch_max(position, Ordering::AcqRel); // checkpoint
    }

    /// Asks for a checkpoint up to there; before the sync that is to serve it.
    pub fn want(&self, position: u64) {
        self.wanted.fetch_max(position, Ordering::AcqRel);
    }

    /// Up to where somebody asked for a checkpoint.
    pub fn wanted(&self) -> u64 {
        self.wanted.load(Ordering::Acquire)
    }

    /// Nothing above `checkpoint` is known to be durable, and the next sync raises it: after a reboot, or when
    /// positions go on in another data file.
    pub fn reset(&self, checkpoint: u64) {
        self.checkpointed.store(checkpoint, Ordering::Release); // checkpoint
        self.data_synced.store(0, Ordering::Release); // checkpoint
        self.wanted.store(0, Ordering::Relaxed);
        self.noted.store(u64::MAX, Ordering::Relaxed);
    }
}

impl Checkpoint {
    /// What a recovery after a power cut would find if it had reached the disk: every byte below is durable.
    pub fn synced(&self) -> u64 {
        self.synced.load(Ordering::Acquire) // checkpoint
    }

    /// Raises it after a sync of everything below `position`.
    pub fn raise(&self, position: u64, at_ns: u64) {
        self.synced_ns.store(at_ns, Ordering::Relaxed);
        self.synced.fetch_max(position, Ordering::AcqRel); // checkpoint
    }

    /// Notes the first sync that failed; a later one says nothing new.
    pub fn fail(&self, errno: u32) {
        if self.sync_errno.load(Ordering::Relaxed) == 0 {
            self.sync_error_at.store(self.synced(), Ordering::Relaxed);
            self.sync_errno.store(errno, Ordering::Release); // sync-error
        }
    }

    /// Where durability ends and why, once a sync has failed.
    pub fn failed(&self) -> Option<(u64, u32)> {
        let errno = self.sync_errno.load(Ordering::Acquire); // sync-error
        (errno != 0).then(|| (self.sync_error_at.load(Ordering::Relaxed), errno))
    }

    /// Forgets a failed sync, as somebody decided who knows of it.
    pub fn accept_loss(&self) {
        self.sync_errno.store(0, Ordering::Release); // sync-error
    }
}

impl Panic {
    /// Makes room for another reason, after the flag was cleared.
    pub fn empty(&self) {
        self.state.store(0, Ordering::Release);
    }

    /// Fills the record unless somebody did; the caller sets the flag afterwards.
    pub fn fill(&self, reason: &str, errno: u32, pid: u32, command: &str, at_ns: u64) {
        if self.state.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return;
        }
        self.errno.store(errno, Ordering::Relaxed);
        self.pid.store(pid, Ordering::Relaxed);
        self.at_ns.store(at_ns, Ordering::Relaxed);
        self.command.store(command);
        self.reason.store(reason);
        self.state.store(2, Ordering::Release);
    }
}
