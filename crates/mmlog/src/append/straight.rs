//! The way of nearly every message: into a chunk that is mapped, nothing to wait for, nothing in doubt.
//!
//! What cannot change between two appends unless the writer itself changes it is found once and kept. What the writer
//! has to do now and then (look at the time, let others go first) is one number, up to which it need not ask; what
//! happens to a process behind its back is one word, see [`events`].

use super::{Target, Writer, look};
use crate::crash::crash_point;
use crate::error::Result;
use crate::files::wake;
use crate::layout::{Header, Slot};
use crate::position::Position;
use crate::slots::{self, Placed};
use crate::sync::Ordering;
use crate::sys::events;
use crate::sys::map::One;

/// A straight way that was found free.
#[derive(Default)]
pub(super) struct Straight {
    /// Where the writer's words are; none while it has no slot, or has had none since it was given another.
    words: Option<Words>,
    /// The count of messages up to which the way is free; 0 while it is not.
    until: u64,
}

struct Words {
    header: One<Header>,
    slot: One<Slot>,
    /// The process's events as long as nothing happens to it.
    calm: u64,
}

impl Straight {
    /// Something has to be seen to before the next append.
    #[inline]
    pub(super) fn close(&mut self) {
        self.until = 0;
    }

    /// The writer's slot or its files are not those of before.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

/// How far a message came on the straight way.
pub(super) enum Went {
    /// All of it, to that position.
    There(u64),
    /// Nothing has begun.
    Nowhere,
    /// A range was taken after a look that found the cursor `here`; there is more to do.
    Waits { start: u64, here: u64 },
    /// As that, and nothing to wait for; its bytes are perhaps not stored, or perhaps not in the file.
    Astray { start: u64, here: u64 },
}

impl Writer {
    #[inline(always)]
    pub(super) fn go_straight(&mut self, message: &[u8]) -> Went {
        let len = message.len() as u64;
        let Self { files, lane, straight, messages, bytes, end, floor, others, .. } = self;
        if *messages >= straight.until {
            return Went::Nowhere;
        }
        let Some(Words { header, slot, calm }) = &straight.words else { return Went::Nowhere };
        let (control, hot, segment) = (&header.control, &slot.hot, &lane.segment);
        let base = segment.base();
        if events::now() != *calm || !segment.maps(len) || !hot.is_settled() {
            return Went::Nowhere;
        }
        // The chunk of the last append, nearly always this one's, too. Pinned first, so that little stands between the
        // look and the reservation, while the hot line is ours.
        let Some(pin) = segment.pin_entry(&lane.hint, &lane.pins) else { return Went::Nowhere };
        let Some(here) = look(control, len, base) else { return Went::Nowhere };
        if !lane.is_ready(&pin, here) {
            return Went::Nowhere;
        }
        let start = match slots::place(control, hot, len, here, base) {
            Placed::Now(start) => start,
            Placed::Later(start) => return Went::Waits { start, here },
        };
        let stored = start >= here && start >= *floor && events::now() == *calm && {
            crash_point("straight:placed");
            segment.store_in(&pin, start, message)
        };
        if !stored {
            return Went::Astray { start, here };
        }
        crash_point("straight:copied");
        hot.messages.store(*messages + 1, Ordering::Relaxed);
        // The slot's own page was stored to just now: settling it reaches the others, or is an error.
        if events::now() != *calm {
            return Went::Astray { start, here };
        }
        *messages += 1;
        *bytes += len;
        hot.bytes.store(*bytes, Ordering::Relaxed);
        let alone = start == *floor;
        (*end, *floor) = (start + len, start + len);
        hot.settle();
        crash_point("straight:settled");
        wake(&header.data_wake);
        drop(pin);
        if !alone && others.were_between(*messages, start..*end, segment.chunk_size()) {
            straight.close();
        }
        if others.append_at(start) {
            others.make_ready(files, lane, start..*end);
        }
        Went::There(start)
    }

    /// Where the straight way was not free: does what is due, and tries it once more.
    #[cold]
    #[inline(never)]
    pub(super) fn append_with_care(&mut self, message: &[u8]) -> Result<Position> {
        self.look_at_time_if_due();
        self.others.let_go_first();
        self.find_straight_way();
        match self.go_straight(message) {
            Went::There(at) => Ok(Position::new(at)),
            Went::Nowhere => self.append_parts(message.len(), |to, at| to.put(at, message)),
            Went::Waits { start, here } => self.find_back(Placed::Later(start), here, message),
            Went::Astray { start, here } => self.find_back(Placed::Now(start), here, message),
        }
    }

    /// Goes on with a range that was taken on the straight way.
    #[cold]
    #[inline(never)]
    pub(super) fn find_back(&mut self, placed: Placed, here: u64, message: &[u8]) -> Result<Position> {
        self.straight.close();
        let (len, put) = (message.len() as u64, |to: &mut Target<'_>, at| to.put(at, message));
        // Only a writer with a slot goes straight.
        let Some(slot) = self.slot.take() else { return self.append_parts(message.len(), put) };
        let tried = self.finish(slot, placed, here, len, &put);
        self.conclude(tried, len, &put)
    }

    fn find_straight_way(&mut self) {
        self.straight.close();
        let Self { files, straight, slot: Some(slot), retired: None, .. } = self else { return };
        let calm = events::now();
        if files.is_stale() || events::has_cuts(calm) {
            return;
        }
        if straight.words.is_none() {
            straight.words = files.meta.words_of(*slot).map(|(header, slot)| Words { header, slot, calm });
        }
        if let Some(words) = &mut straight.words {
            words.calm = calm;
            straight.until = self.clock.due();
        }
    }
}
