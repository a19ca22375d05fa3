//! When a writer looks at the time: before its appends, so seldom that fast ones do not feel it.

use std::time::Duration;

use crate::carry_out;
use crate::files::Files;
use crate::sys::process::coarse_now_ns;

/// A writer that comes so late looks before each append.
const SLOW: u64 = Duration::from_millis(100).as_nanos() as u64;
/// One that comes so early looks half as often.
const FAST: u64 = Duration::from_millis(1).as_nanos() as u64;
/// The most appends between two looks.
const MOST: u32 = 64;

/// When a writer looks next.
#[derive(Default)]
pub(super) struct Clock {
    due: u64,
    every: u32,
    looked_ns: u64,
}

impl Clock {
    /// The count of messages with which there is a look before the next append.
    pub(super) fn due(&self) -> u64 {
        self.due
    }

    /// Something took long: there is a look before the next append.
    pub(super) fn look_soon(&mut self) {
        (self.due, self.every) = (0, 1);
    }

    /// After so many messages. Nothing of this writer is in flight.
    pub(super) fn look(&mut self, files: &Files, messages: u64) {
        let now_ns = coarse_now_ns();
        self.looked(now_ns, messages);
        if files.meta.header().times.is_due(now_ns) && files.note_time(now_ns) {
            carry_out::look(files);
        }
    }

    fn looked(&mut self, now_ns: u64, messages: u64) {
        self.every = match now_ns.abs_diff(self.looked_ns) {
            SLOW.. => 1,
            0..FAST => (self.every * 2).clamp(1, MOST),
            _ => self.every.max(1),
        };
        (self.due, self.looked_ns) = (messages + u64::from(self.every), now_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_writer_looks_at_every_64th_append_and_a_slow_one_at_each() {
        let (mut clock, mut now_ns, mut messages) = (Clock::default(), 1 << 60, 0);
        assert_eq!(clock.due(), 0, "the first append has a look");
        let mut between = |clock: &mut Clock, passed: u64| {
            now_ns += passed;
            clock.looked(now_ns, messages);
            let before = std::mem::replace(&mut messages, clock.due());
            clock.due() - before
        };
        let fast: Vec<u64> = (0..8).map(|_| between(&mut clock, FAST - 1)).collect();
        assert_eq!(fast, [1, 2, 4, 8, 16, 32, 64, 64]);
        assert_eq!(between(&mut clock, FAST), 64, "neither");
        assert_eq!(between(&mut clock, SLOW), 1);
        assert_eq!(between(&mut clock, FAST - 1), 2);
        clock.look_soon();
        assert_eq!(clock.due(), 0);
    }
}
