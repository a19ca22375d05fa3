//! Which pages chunks get, and having them ready before they are needed.
//!
//! Small pages are made ready some at a time by each process that comes to them: a fault for each costs more, and what the
//! kernel reads ahead, 8 MiB of zeros where the disk asks for it, is a wait of milliseconds for the first line of a log.
//!
//! A fast log gets large pages: one fault stands for 512. But that fault fills 2 MiB with zeros, and meanwhile all who
//! append wait for it. So where several append, the one whose message begins a large page makes one ready that lies
//! [`AHEAD`] pages further, while the others go on. The kernel's own reading ahead is turned off: it
//! doubles each such fault, and fetches small pages for a process that comes second.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Lane, Mapped, Segment, Way};
use crate::sys::{page_size, process};

/// The size of a large page, where there are any.
pub(crate) const LARGE_PAGE: u64 = 2 << 20;

/// How many large pages before its first message one is made ready. That takes about as long as filling two, and several
/// processes do it side by side.
const AHEAD: u64 = 3;

/// A log that grows by a large page in less time gets large pages. With them a 1 KiB append
/// of four processes on ext4 costs half; but the first store into one makes all of it dirty, so a slow log would
/// have 2 MiB written to the disk each time the kernel writes back, instead of 4 KiB.
const FAST: Duration = Duration::from_millis(500);

/// So many bytes of small pages are made ready at a time. With 16 KiB, an append of 128 bytes takes 7 % longer; a
/// burst of 64 by each of four processes comes through the pages of two such.
const SMALL_AHEAD: u64 = 64 << 10;

/// So many bytes behind its last message a process lets go of what it has mapped, a large page or more at a time: its memory is
/// then what is between there and the pages ahead, however many chunks are mapped. Letting go costs as much whenever it comes.
const BEHIND: u64 = LARGE_PAGE;

/// After so many large pages of small ones a log is known to be fast.
const SURE: u64 = 2;

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

    /// Whether the file system is known to have large pages.
    pub(super) fn is_sure(&self) -> bool {
        self.doubts.load(Ordering::Relaxed) == NO_DOUBT
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

    /// Lets go of pages that are far behind, if there are enough of them. Who still stores there has them mapped again.
    fn let_go_behind(&self, position: u64) {
        let offset = position.saturating_sub(self.base + BEHIND);
        let to = self.base + offset / LARGE_PAGE * LARGE_PAGE;
        let from = self.let_go.load(Ordering::Relaxed);
        if to < from + LARGE_PAGE {
            return;
        }
        // Whoever maps a chunk meanwhile is not waited for: there is a next time.
        let Ok(ring) = self.ring.try_lock() else { return };
        self.let_go.store(to, Ordering::Relaxed);
        for Mapped { map, name, .. } in &ring.mapped {
            let Some(map) = map else { continue };
            let first = self.base + (name - 1) * self.chunk_size;
            let (start, end) = (from.max(first), to.min(first + self.chunk_size));
            if start < end {
                map.release_pages((start - first) as usize, (end - start) as usize);
            }
        }
    }

    /// Asks for large pages in the rest of a mapped chunk.
    fn enlarge(&self, name: u64) {
        let ring = self.ring();
        if let Some(map) = ring.mapped.iter().find(|m| m.name == name).and_then(|m| m.map.as_ref()) {
            map.prefer_large_pages();
            self.pace.newest.fetch_max(name * 2 + 1, Ordering::Relaxed);
        }
    }

    /// The length from which on a message goes by `pwrite`, at that position.
    pub(crate) fn pwrite_from(&self, position: u64, maps_long: bool, pages: &dyn Fn() -> Pages) -> u64 {
        if !maps_long || self.pwrite_from == 0 {
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
    /// Has small pages ready from that position on, which is in the hint's chunk, as far as the file reaches: each would cost
    /// a fault of its own. A hint. A log that goes fast here gets large ones at once, not only in the next chunk.
    pub(crate) fn have_ready(&mut self, position: u64, file_end: u64, pages: &dyn Fn() -> Pages) {
        let within = position.wrapping_sub(self.hint.first);
        if within < self.hint.ready {
            return;
        }
        self.segment.let_go_behind(position);
        let chunk_size = self.segment.chunk_size;
        let has_large = self.hint.entry.ready.load(Ordering::Relaxed) >= chunk_size;
        if has_large || self.goes_fast(position, file_end, pages) {
            // From one large page to the next it need not ask.
            self.hint.ready = (within / LARGE_PAGE * LARGE_PAGE + LARGE_PAGE).min(chunk_size);
            return;
        }
        let Self { segment, hint, pins, ready_to, .. } = self;
        // By another thread.
        hint.ready = hint.entry.ready.load(Ordering::Relaxed);
        let Some(pin) = segment.pin_entry(hint, pins).filter(|_| within >= hint.ready) else { return };
        let page = page_size();
        let from = within / page * page;
        let end = file_end.saturating_sub(pin.first).min(segment.chunk_size);
        // Who appends once, or now and then and finds the log far beyond what it had: a fault is cheaper.
        let near = *ready_to > 0 && position.saturating_sub(*ready_to) <= SMALL_AHEAD;
        let to = if near { (from + SMALL_AHEAD).min(end) } else { from + page };
        if near && to > from {
            pin.bytes.populate(from as usize, (to - from) as usize);
        }
        // Less the last one: a message that begins before the end should end there, too.
        hint.ready = to.saturating_sub(page).max(from + page);
        hint.entry.ready.fetch_max(hint.ready, Ordering::Relaxed);
        *ready_to = pin.first + to;
    }

    /// Whether the log has come so far so fast that the rest of the chunk has large pages.
    fn goes_fast(&mut self, position: u64, file_end: u64, pages: &dyn Fn() -> Pages) -> bool {
        let Self { segment, hint, was, .. } = self;
        let before = was.filter(|(_, at)| (hint.first..=position).contains(at));
        let Some((since, at)) = before else {
            *was = Some((Instant::now(), position));
            return false;
        };
        let pages_on = (position - at) / LARGE_PAGE;
        if pages_on < SURE {
            return false;
        }
        *was = None;
        let slow = FAST.saturating_mul(u32::try_from(pages_on).unwrap_or(u32::MAX));
        let are_none = segment.pace.doubts.load(Ordering::Relaxed) == 0;
        if since.elapsed() >= slow || pages() == Pages::Small || are_none {
            return false;
        }
        segment.enlarge(hint.name);
        let next = segment.base + (position - segment.base).next_multiple_of(LARGE_PAGE);
        if !segment.pace.is_sure() && next.saturating_add(LARGE_PAGE) <= file_end {
            self.make_ready(next, pages);
        }
        let is_sure = self.segment.pace.is_sure();
        if is_sure {
            self.hint.entry.ready.store(self.segment.chunk_size, Ordering::Relaxed);
        }
        is_sure
    }

    /// Makes the large page ready that begins at `first`. Only a hint: what fails here fails again where it is needed.
    #[cold]
    pub(crate) fn make_ready(&self, first: u64, pages: &dyn Fn() -> Pages) {
        let Self { segment, hint: current, pins, .. } = self;
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
            let known = segment.pace.is_sure();
            let before = if known { 0 } else { process::page_faults() };
            let done = pin.bytes.populate(within, LARGE_PAGE as usize);
            if !known {
                let faults = process::page_faults().saturating_sub(before);
                segment.pace.learn(done && faults <= FAULTS);
            }
        }
    }
}
