//! What is left over until somebody runs a command.

use super::diagnose::warning;
use super::{Finding, FindingId, State, Status};
use crate::units::counted;

/// The final segments with which something is still to be done, see [`Rotation::with_hook`](crate::Rotation::with_hook).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UnrunHooks {
    /// Their numbers.
    pub segments: std::ops::Range<u64>,
    /// Somebody is at it.
    pub at_work: bool,
}

impl UnrunHooks {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.segments.end.saturating_sub(self.segments.start)
    }
}

impl Status {
    pub(super) fn hooks_unrun(&self) -> Option<Finding> {
        let (count, first) = (self.unrun.count(), self.unrun.segments.start);
        if count == 0 || self.unrun.at_work {
            return None;
        }
        let sentence = format!(
            "{}, from number {first} on, {} for the command of rotate --run, which has not ended with 0",
            counted(count, "final segment"),
            if count == 1 { "waits" } else { "wait" }
        );
        let next = format!(
            "{} shows where they are: mend what keeps the command from ending with 0, and rotate with --run again; \
             prune with --keep-unrun until then",
            self.command("segments")
        );
        Some(warning(FindingId::HooksUnrun, State::Ok, sentence, next))
    }
}
