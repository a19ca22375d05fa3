//! How long an operation may wait for others, and what ends its wait sooner.
//!
//! Every wait of the library has a [`Deadline`], made where the operation begins and handed down: what the lock, the
//! maintenance byte, a slot and a drain take comes from one patience. Whoever waits looks at it between slices of at most
//! 10 ms.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::error::{Blocker, Fault};

/// How long waits go on that hear the flag: what a healthy log makes anybody wait is over sooner.
const LAST_PATIENCE: Duration = Duration::from_millis(200);

/// After how long a wait is told of.
const TOLD_AFTER: Duration = Duration::from_secs(1);

/// What a program wants of the waits of its handles.
#[derive(Clone, Default)]
pub(crate) struct Waits {
    stop: Option<Arc<Stop>>,
    tell: Option<Arc<Tell>>,
}

type Tell = dyn Fn(&Blocker, Duration) + Send + Sync;

struct Stop {
    raised: Arc<AtomicBool>,
    /// When a wait first saw it raised.
    seen: OnceLock<Instant>,
}

impl fmt::Debug for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stop, tell) = (self.stop.is_some(), self.tell.is_some());
        f.debug_struct("Waits").field("stop", &stop).field("tell", &tell).finish()
    }
}

impl Waits {
    /// The flag that ends them.
    pub(crate) fn stop_at(&mut self, raised: Arc<AtomicBool>) {
        self.stop = Some(Arc::new(Stop { raised, seen: OnceLock::new() }));
    }

    /// Who is told of long ones.
    pub(crate) fn tell(&mut self, tell: Arc<Tell>) {
        self.tell = Some(tell);
    }

    /// Between two pieces of long work, of which so many are done.
    ///
    /// # Errors
    /// [`Fault::Interrupted`] once the flag is raised.
    pub(crate) fn go_on(&self, work: &'static str, done: u64, of: u64) -> Result<(), Fault> {
        if self.is_raised() { Err(Fault::Interrupted { work, done, of }) } else { Ok(()) }
    }

    /// Whether the flag is.
    pub(crate) fn is_raised(&self) -> bool {
        // Acquire: what was done before the flag was raised has happened for who gives up.
        self.stop.as_ref().is_some_and(|stop| stop.raised.load(Ordering::Acquire))
    }

    /// Whether one that began then has heard the flag long enough.
    fn are_over(&self, begun: Instant) -> bool {
        self.stop.as_ref().filter(|_| self.is_raised()).is_some_and(|stop| {
            let seen = *stop.seen.get_or_init(Instant::now);
            begun.max(seen).elapsed() >= LAST_PATIENCE
        })
    }
}

/// The end of an operation's patience.
#[derive(Debug)]
pub(crate) struct Deadline {
    begun: Instant,
    /// `None`: later than a clock can say.
    at: Option<Instant>,
    waits: Waits,
    told: Cell<bool>,
}

impl Deadline {
    /// That long from now on.
    pub(crate) fn after(wait: Duration, waits: &Waits) -> Self {
        let begun = Instant::now();
        Self { begun, at: begun.checked_add(wait), waits: waits.clone(), told: Cell::new(false) }
    }

    /// This one, or that long from now on, whichever is sooner.
    pub(crate) fn within(&self, wait: Duration) -> Self {
        let part = Self::after(wait, &self.waits);
        let at = [self.at, part.at].into_iter().flatten().min();
        Self { at, ..part }
    }

    /// What is left, if there is an end.
    pub(crate) fn left(&self) -> Option<Duration> {
        let left = self.at.map(|at| at.saturating_duration_since(Instant::now()));
        if self.waits.are_over(self.begun) { Some(Duration::ZERO) } else { left }
    }

    /// Whether nothing more is to be waited for.
    pub(crate) fn is_over(&self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// Before another slice of a wait for `who`.
    ///
    /// # Errors
    /// [`Fault::Stalled`] when it is over, [`Fault::Stopped`] when that is because of the flag.
    pub(crate) fn check(&self, who: impl FnOnce() -> Blocker) -> Result<(), Fault> {
        let waited = self.begun.elapsed();
        if self.waits.are_over(self.begun) {
            return Err(Fault::Stopped { blocker: who(), waited });
        }
        if self.is_over() {
            // In round words: so long as it was told to.
            let waited = self.at.map_or(waited, |at| at.saturating_duration_since(self.begun).min(waited));
            return Err(Fault::Stalled { blocker: who(), waited });
        }
        if let Some(tell) = self.waits.tell.as_ref().filter(|_| waited >= TOLD_AFTER)
            && !self.told.replace(true)
        {
            tell(&who(), waited);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who() -> Blocker {
        Blocker { what: "it".into(), pid: 1, command: "sh".into(), process: "stopped".into() }
    }

    #[test]
    fn a_patience_beyond_the_clock_never_ends() {
        let never = Deadline::after(Duration::MAX, &Waits::default());
        assert!(!never.is_over() && never.left().is_none() && never.check(who).is_ok());
        assert!(never.within(Duration::ZERO).is_over());
    }

    #[test]
    fn no_patience_is_over_at_once_and_says_who() {
        let now = Deadline::after(Duration::ZERO, &Waits::default());
        assert!(now.is_over() && now.within(Duration::MAX).is_over());
        assert!(matches!(now.check(who), Err(Fault::Stalled { blocker, .. }) if blocker == who()));
    }

    #[test]
    fn a_raised_flag_ends_every_wait() {
        let mut waits = Waits::default();
        let raised = Arc::new(AtomicBool::new(false));
        waits.stop_at(Arc::clone(&raised));
        let never = Deadline::after(Duration::MAX, &waits);
        assert!(never.check(who).is_ok());
        raised.store(true, Ordering::Release);
        while never.check(who).is_ok() {
            std::thread::yield_now();
        }
        assert!(matches!(never.check(who), Err(Fault::Stopped { .. })));
        let later = Deadline::after(Duration::MAX, &waits);
        assert!(later.check(who).is_ok(), "what a healthy log needs is waited for all the same");
        while later.check(who).is_ok() {
            std::thread::yield_now();
        }
    }
}
