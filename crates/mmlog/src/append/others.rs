//! Appending where others append, too: in turns, and with large pages made ready for all.
//!
//! Cores that append all the time wait for the cursor's cache line at each append, and for the lines that neighbouring
//! messages share: 120 ns on two cores, 17 for one that has them to itself. So a writer that finds others' bytes before its
//! own, and has had its turn, lets them have theirs: its next append begins [`REST`] later, if it is asked for before.
//! Nothing of it is in flight then, and who appends now and then waits for nothing.
//!
//! Spinning for a fixed time after a conflict is from Dave Dice, Danny Hendler and Ilya Mirsky, "Lightweight Contention
//! Management for Efficient Compare-and-Swap Operations" (2013).

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::chunks::Lane;
use crate::files::Files;
use crate::files::guard::SpaceFor;
use crate::files::owner::Operation;
use crate::layout::Control;

/// What the others have the lines for: some fifty short appends. Longer ones gain little, and it is the longest that
/// an append waits.
const REST: Duration = Duration::from_micros(1);

/// Shortest turn, messages. Its length is drawn, so that two do not rest at the same time again and again.
const TURN: u64 = 16;

/// Messages of so many bytes and more gain nothing from turns: their own lines and pages cost more than the shared ones.
const SHORT: u64 = 256;

/// What one writer knows of the others.
#[derive(Default)]
pub(super) struct Others {
    rest_until: Option<Instant>,
    /// The count of messages with which the turn is over.
    turn_ends: u64,
    /// Others append in the positions below, as far as is known.
    until: u64,
}

impl Others {
    /// Before an append: waits if it is the others' turn.
    #[inline]
    pub(super) fn let_go_first(&mut self) {
        if let Some(until) = self.rest_until.take() {
            rest(until);
        }
    }

    /// After an append, the writer's so many-th, that found others' bytes before its own: whether its turn is over.
    #[inline]
    pub(super) fn were_between(&mut self, messages: u64, range: Range<u64>, chunk: u64) -> bool {
        self.until = range.end.saturating_add(chunk);
        let is_over = messages >= self.turn_ends && range.end - range.start < SHORT;
        if is_over {
            self.end_turn(messages, range.start);
        }
        is_over
    }

    /// Whether others append there.
    #[inline]
    pub(super) fn append_at(&self, position: u64) -> bool {
        position < self.until
    }

    /// After an append by a mapping, where others append: if its message begins a large page, has one ready that will be
    /// needed soon. Nothing of this writer is in flight.
    #[inline]
    pub(super) fn make_ready(&self, files: &Files, lane: &Lane, message: Range<u64>) {
        if let Some(page) = lane.segment.page_ahead(&message) {
            make_page_ready(files, lane, page);
        }
    }

    #[cold]
    fn end_turn(&mut self, messages: u64, position: u64) {
        // Two writers never have the same position: they draw different lengths (Knuth's multiplicative hash).
        let drawn = position.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 59;
        self.turn_ends = messages + TURN + drawn;
        self.rest_until = Instant::now().checked_add(REST);
    }
}

#[cold]
fn rest(until: Instant) {
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

#[cold]
#[inline(never)]
fn make_page_ready(files: &Files, lane: &Lane, page: Range<u64>) {
    let control = files.control();
    let late = || control.look().start > page.start || control.base() != lane.segment.base();
    if late() || !Control::has_positions(page.start, page.end - page.start) {
        return;
    }
    // The segment ends before: by then there is another one.
    let is_beyond = |most: u64| page.end - lane.segment.base() > most;
    if files.meta.longest_segment().is_some_and(is_beyond) {
        return;
    }
    if control.limit() < page.end {
        // Somebody else's growth, or a full disk, is not waited for here.
        let grown = files
            .try_lock(Operation::Grow)
            .ok()
            .flatten()
            .is_some_and(|lock| !late() && lock.grow(page.end, SpaceFor::More).is_ok());
        if !grown {
            return;
        }
    }
    lane.make_ready(page.start, &|| files.pages());
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The message of that length with which the turn is over, one of the 1000 after `before`.
    fn turn(others: &mut Others, before: u64, len: u64) -> Option<u64> {
        (before + 1..=before + 1000).find(|messages| {
            let at = messages * len * 2;
            others.were_between(*messages, at..at + len, 1 << 20);
            others.rest_until.is_some()
        })
    }

    #[test]
    fn a_turn_among_others_has_16_to_47_short_messages() {
        let mut others = Others::default();
        let mut before = turn(&mut others, 0, 100).unwrap();
        assert_eq!(before, 1, "who comes first lets the others go");
        let mut drawn = std::collections::BTreeSet::new();
        for _ in 0..1000 {
            others.let_go_first();
            let last = turn(&mut others, before, 100).unwrap();
            drawn.insert(last - before);
            before = last;
        }
        assert!(drawn.len() > 1 && drawn.iter().all(|n| (TURN..TURN + 32).contains(n)), "{drawn:?}");
    }

    #[test]
    fn messages_of_256_bytes_are_never_kept_waiting() {
        assert_eq!(turn(&mut Others::default(), 0, SHORT), None);
        assert_eq!(turn(&mut Others::default(), 0, SHORT - 1), Some(1));
    }

    #[test]
    fn others_are_forgotten_a_chunk_after_they_were_last_seen() {
        let mut others = Others::default();
        assert!(!others.append_at(0));
        others.were_between(1, 100..600, 4096);
        assert!(others.append_at(600 + 4095) && !others.append_at(600 + 4096));
    }
}
