//! Which writers are worth a look, and why: the worst come first wherever writers are listed.

use std::time::{Duration, SystemTime};

use mmlog::{ProcessState, Waiting, WriterStatus, units};

/// An append in flight for so long does not just work.
pub const LONG: Duration = Duration::from_secs(1);

/// How much a writer is worth a look; the most last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// None.
    None,
    /// It may be in somebody's way soon.
    Some,
    /// It stands, waits, also for whoever reads its output, or is dead with something in flight.
    Much,
}

/// For how long a writer has waited for whoever reads its output, where that is no moment only.
#[must_use]
pub fn unread(w: &WriterStatus) -> Option<Duration> {
    w.output_full.as_ref().map(|full| full.lasts).filter(|lasts| *lasts >= LONG)
}

/// What a writer waits for, or drops what comes for want of.
#[must_use]
pub fn waits(w: &Waiting) -> String {
    let time = units::lasting(units::passed(w.since, SystemTime::now()).unwrap_or_default());
    match w.dropped {
        None => format!("has waited {time} for {} to append {}", w.want, units::size(w.len)),
        Some(bytes) => format!("drops what comes for want of {}, {} in {time}", w.want, units::size(bytes)),
    }
}

/// Whether a writer stands, or is stuck in the kernel, and not for a moment only.
pub(super) fn stands(w: &WriterStatus) -> bool {
    w.process.stands()
        || matches!(w.process, ProcessState::DiskSleep | ProcessState::CoreDumping)
            && w.process_for_at_least >= LONG
}

/// Whether a writer is worth a look.
#[must_use]
pub fn trouble(w: &WriterStatus) -> Trouble {
    if stands(w)
        || unread(w).is_some()
        || w.alive == Ok(false)
        || w.waiting.is_some_and(|waiting| waiting.is_trying())
    {
        return Trouble::Much;
    }
    let is_long = w.in_flight.as_ref().is_some_and(|f| f.for_at_least >= LONG);
    if is_long || w.waiting.is_some() { Trouble::Some } else { Trouble::None }
}
