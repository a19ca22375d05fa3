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
        self.every = match now_ns.abs_diff(self.looked_ns) {
            SLOW.. => 1,
            0..FAST => (self.every * 2).clamp(1, MOST),
            _ => self.every.max(1),
        };
        (self.due, self.looked_ns) = (messages + u64::from(self.every), now_ns);
        if files.meta.header().times.is_due(now_ns) && files.note_time(now_ns) {
            carry_out::look(files);
        }
    }
}
