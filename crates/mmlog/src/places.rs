//! The verbs of a follower's place: filling it, and reading it whole.
//!
//! 1. A place has two lock bytes, on a description that is its follower's alone. Who has the first one fills the place;
//!    who has both has filled it. The kernel takes them from the dead, so a place whose second byte is held was filled by
//!    who lives. (Not: one byte; a place that was just claimed would show who died in it as alive.)
//! 2. Who fills a place stores `since_ns` = 0 first, and its own time last. Who looks loads `since_ns`, then the rest,
//!    asks for the second byte, and loads `since_ns` again: unchanged, all of it is one follower's, and that one lived.
//!    (What the kernel says of a byte that is held comes behind all that its owner stored before he took it.)
//! 3. The position and when it was last seen are words of one follower, stored and loaded each by itself: they may be of
//!    two moments, one store apart.

use crate::layout::FollowingPlace;
use crate::sync::{Ordering, fence};

impl FollowingPlace {
    /// Fills it; the caller has its first byte, and then takes the second one.
    pub fn fill(&self, since_ns: u64, rest: impl FnOnce(&Self)) {
        self.since_ns.store(0, Ordering::Relaxed);
        // Who sees any of the rest sees at least the 0.
        fence(Ordering::Release); // place
        rest(self);
        self.since_ns.store(since_ns, Ordering::Release); // place
    }

    /// Since when it has been its follower's, and what `rest` loads of it, if that follower lives: `lives` asks for the
    /// second byte. Nothing while it changes hands.
    pub fn read<T>(&self, rest: impl FnOnce(&Self) -> T, lives: impl FnOnce() -> bool) -> Option<(u64, T)> {
        let since_ns = self.since_ns.load(Ordering::Acquire); // place
        if since_ns == 0 {
            return None;
        }
        let found = rest(self);
        fence(Ordering::Acquire); // place
        (lives() && self.since_ns.load(Ordering::Relaxed) == since_ns).then_some((since_ns, found))
    }
}
