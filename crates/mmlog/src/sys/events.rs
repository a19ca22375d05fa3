//! What may befall a process between two of its appends, in one word, so that a writer asks once: forks that it came
//! from, and mappings that the SIGBUS guard has cut.

use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};

/// Forks in the upper half, mappings that are cut in the lower.
static EVENTS: AtomicU64 = AtomicU64::new(0);
const FORK: u64 = 1 << 32;
const CUTS: u64 = FORK - 1;

/// The word now: equal to what a writer saw when nothing was cut, if neither a fork nor a cut came since.
///
/// One load: nothing but the compiler could move it before a store that traps on this thread, and
/// [`sigbus`](super::sigbus) says why it sees other threads' marks.
#[inline]
pub(crate) fn now() -> u64 {
    compiler_fence(Ordering::SeqCst);
    EVENTS.load(Ordering::Relaxed)
}

/// How many forks lie between this process and the first that opened a log. What was opened at another count belongs to
/// the parent: a program that keeps handles for others opens its own where this has changed.
#[inline]
pub fn forks() -> u64 {
    EVENTS.load(Ordering::Relaxed) / FORK
}

/// Whether any of this process's mappings is cut.
#[inline]
pub(crate) fn any_cut() -> bool {
    has_cuts(now())
}

/// Whether mappings were cut when the word was that.
#[inline]
pub(crate) fn has_cuts(events: u64) -> bool {
    events & CUTS != 0
}

/// In a child, which has one thread.
pub(super) fn forked() {
    EVENTS.fetch_add(FORK, Ordering::Relaxed);
}

/// One more mapping is cut. Async-signal-safe.
pub(super) fn cut() {
    EVENTS.fetch_add(1, Ordering::SeqCst);
}

/// A mapping that was cut is gone, or was counted twice.
pub(super) fn uncut() {
    EVENTS.fetch_sub(1, Ordering::SeqCst);
}
