//! Which pages chunks get, and having them ready before they are needed.
//!
//! A fast log gets large pages: one fault stands for 512. But that fault fills 2 MiB with zeros, and meanwhile all who
//! append wait for it. So where several append, the one whose message begins a large page makes one ready that lies
//! [`AHEAD`] pages further, while the others go on. The kernel's own reading ahead is turned off: it
//! doubles each such fault, and fetches small pages for a process that comes second.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Lane, Segment, Way};
use crate::sys::process;

/// The size of a large page, where there are any.
pub(crate) const LARGE_PAGE: u64 = 2 << 20;

/// How many large pages before its first message one is made ready. That takes about as long as filling two, and several
/// processes do it side by side.
const AHEAD: u64 = 3;

/// A log that grows by a large page in less time gets large pages. With them a 1 KiB append
/// of four processes on ext4 costs half; but the first store into one makes all of it dirty, so a slow log would
/// have 2 MiB written to the disk each time the kernel writes back, instead of 4 KiB.
const FAST: Duration = Duration::from_millis(500);

/// Shorter messages are stored through large pages where several append: each copies while the others do, and `pwrite`
/// takes the file's lock. For longer ones it makes up for that by never filling pages with zeros.
const LARGE_BELOW: u64 = LARGE_PAGE;

/// A page that takes more faults to be made ready is none of the large ones; it should take one, a small one is
/// one of 512.
const FAULTS: u64 = 16;

/// So many pages that are not large, and none that is: the file system has no large ones.
const DOUBTS: u32 = 4;
const NO_DOUBT: u32 = u32::MAX;

/// Which pages a new chunk gets, if the log is fast enough.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pages {
    /// Somebody syncs often: each sync writes whole dirty pages.
    Small,
    /// Nobody does.
    Large,
}

/// How the log goes, as this process sees it come to new chunks.
pub(super) struct Pace {
    /// The newest chunk + 1, times two; odd when the log came to it fast.
    newest: AtomicU64,
    /// How many more pages may be small before no large ones are expected.
    doubts: AtomicU32,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { newest: AtomicU64::new(0), doubts: AtomicU32::new(DOUBTS) }
    }

    /// As another segment's pace was when the log left it.
    pub(super) fn go_on(&self, before: &Self) {
        self.newest.store(u64::from(before.is_large()), Ordering::Relaxed);
        self.doubts.store(before.doubts.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Whether the log has large pages now.
    fn is_large(&self) -> bool {
        self.newest.load(Ordering::Relaxed) % 2 == 1 && self.doubts.load(Ordering::Relaxed) != 0
    }

    /// Chunks that the log has come to.
    fn come(&self) -> u64 {
        self.newest.load(Ordering::Relaxed) / 2
    }

    fn learn(&self, is_large: bool) {
        let learnt = |before| if is_large { NO_DOUBT } else { before - 1 };
        let open = |doubts| (1..=DOUBTS).contains(&doubts).then(|| learnt(doubts));
        let _ = self.doubts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, open);
    }
}

impl Segment {
    /// Which pages a chunk is to be mapped with, when the log has come to it. `came` is when it came to the one before; not
    /// known is slow.
    pub(super) fn pages_of(
        &self,
        chunk: u64,
        came: &mut Option<Instant>,
        pages: &dyn Fn() -> Pages,
    ) -> Pages {
        let before = self.pace.come();
        if chunk >= before {
            let now = Instant::now();
            let passed = (chunk + 1 - before).saturating_mul(self.chunk_size / LARGE_PAGE);
            let slow = FAST.saturating_mul(u32::try_from(passed).unwrap_or(u32::MAX));
            let fast = came.replace(now).is_some_and(|at| now.duration_since(at) < slow);
            let large = fast && pages() == Pages::Large;
            self.pace.newest.store((chunk + 1) * 2 + u64::from(large), Ordering::Relaxed);
        }
        if self.pace.is_large() { Pages::Large } else { Pages::Small }
    }

    /// The length from which on a message goes by `pwrite`, at that position.
    pub(crate) fn pwrite_from(&self, position: u64, shared: bool, pages: &dyn Fn() -> Pages) -> u64 {
        if !shared || self.pwrite_from == 0 {
            return self.pwrite_from;
        }
        let chunk = (position - self.base) / self.chunk_size;
        // Who only writes maps nothing, and would never know.
        if chunk >= self.pace.come() {
            let mut ring = self.ring();
            self.pages_of(chunk, &mut ring.came, pages);
        }
        if self.pace.is_large() { LARGE_BELOW.max(self.pwrite_from) } else { self.pwrite_from }
    }

    /// The large page to make ready after a message of that range.
    #[inline]
    pub(crate) fn page_ahead(&self, message: &Range<u64>) -> Option<Range<u64>> {
        let page_of = |position: u64| (position - self.base) / LARGE_PAGE;
        let begun = page_of(message.end);
        if begun == page_of(message.start) || !self.pace.is_large() {
            return None;
        }
        let first = self.base + (begun + AHEAD) * LARGE_PAGE;
        Some(first..first + LARGE_PAGE)
    }
}

impl Lane {
    /// Makes the large page ready that begins at `first`. Only a hint: what fails here fails again where it is needed.
    #[cold]
    pub(crate) fn make_ready(&self, first: u64, pages: &dyn Fn() -> Pages) {
        let Self { segment, hint: current, pins } = self;
        let offset = first - segment.base;
        let chunk = offset / segment.chunk_size;
        let another = chunk + 1 != current.name;
        let whole = offset % segment.chunk_size + LARGE_PAGE <= segment.chunk_size;
        // In a small ring this chunk would take the place of one that is in use.
        if !whole || another && segment.entries.len() < 3 {
            return;
        }
        let mut hint = segment.nowhere();
        let Some(pin) = segment.pin(first, &mut Way { hint: &mut hint, pins, pages }) else { return };
        if segment.pace.is_large() {
            let within = (first - pin.first) as usize;
            let known = segment.pace.doubts.load(Ordering::Relaxed) == NO_DOUBT;
            let before = if known { 0 } else { process::page_faults() };
            let done = pin.bytes.populate(within, LARGE_PAGE as usize);
            if !known {
                let faults = process::page_faults().saturating_sub(before);
                segment.pace.learn(done && faults <= FAULTS);
            }
        }
    }
}
