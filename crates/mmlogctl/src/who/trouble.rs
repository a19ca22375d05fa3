//! Which writers are worth a look: the worst come first wherever writers are listed.

use std::time::Duration;

use mmlog::{ProcessState, WriterStatus};

/// An append in flight for so long does not just work.
pub const LONG: Duration = Duration::from_secs(1);

/// How much a writer is worth a look; the most last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// None.
    None,
    /// It may be in somebody's way soon.
    Some,
    /// It stands, waits, or is dead with something in flight.
    Much,
}

/// Whether a writer is worth a look.
#[must_use]
pub fn trouble(w: &WriterStatus) -> Trouble {
    let stands = w.process.stands()
        || matches!(w.process, ProcessState::DiskSleep | ProcessState::CoreDumping)
            && w.process_for_at_least >= LONG;
    if stands || w.alive == Ok(false) || w.waiting.is_some_and(|waiting| waiting.is_trying()) {
        return Trouble::Much;
    }
    let is_long = w.in_flight.as_ref().is_some_and(|f| f.for_at_least >= LONG);
    if is_long || w.waiting.is_some() { Trouble::Some } else { Trouble::None }
}
