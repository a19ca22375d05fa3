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

/// One writer's countdown to its next look.
pub(super) struct Clock {
    left: u32,
    every: u32,
    looked_ns: u64,
}

impl Default for Clock {
    fn default() -> Self {
        Self { left: 1, every: 1, looked_ns: 0 }
    }
}

impl Clock {
    /// Before an append: whether it is one with a look.
    #[inline]
    pub(super) fn is_due(&mut self) -> bool {
        self.left = self.left.wrapping_sub(1);
        self.left == 0
    }

    /// Something took long: there is a look before the next append.
    pub(super) fn look_soon(&mut self) {
        (self.left, self.every) = (1, 1);
    }

    /// Nothing of this writer is in flight.
    pub(super) fn look(&mut self, files: &Files) {
        let now_ns = coarse_now_ns();
        self.every = match now_ns.abs_diff(self.looked_ns) {
            SLOW.. => 1,
            0..FAST => (self.every * 2).min(MOST),
            _ => self.every,
        };
        (self.left, self.looked_ns) = (self.every, now_ns);
        if files.meta.header().times.is_due(now_ns) && files.note_time(now_ns) {
            carry_out::look(files);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_countdown_is_due_once_in_its_length() {
        let mut clock = Clock::default();
        assert!(clock.is_due(), "the first append has a look");
        clock.left = 5;
        let due: Vec<bool> = (0..5).map(|_| clock.is_due()).collect();
        assert_eq!(due, [false, false, false, false, true]);
        clock.look_soon();
        assert!(clock.is_due());
    }
}
