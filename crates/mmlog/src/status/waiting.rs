//! What is left over until somebody runs a command.

use std::time::SystemTime;

use super::diagnose::{info, is_recent, warning};
use super::{Finding, FindingId, State, Status};
use crate::units::{ago, counted, size};

/// Bytes that `>>` put behind the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OutsideBytes {
    /// Behind the end of the log at rest; whoever takes its lock next takes them in.
    pub waiting: u64,
    /// Cut off since the log was made: somebody was writing.
    pub cut: u64,
    /// When some were last cut off.
    pub cut_at: Option<SystemTime>,
}

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
    /// Readers see what has a position.
    pub(super) fn outside_bytes(&self) -> Option<Finding> {
        let bytes = size(self.outside.waiting);
        let sentence =
            format!("{bytes} that somebody put behind the log at rest, by `>>`, cannot be read yet");
        let next = format!("{} takes them into the log, as the next append does", self.command("trim"));
        (self.outside.waiting > 0).then(|| info(FindingId::OutsideBytes, sentence, next))
    }

    pub(super) fn outside_cut(&self) -> Option<Finding> {
        let cut_at = self.outside.cut_at?;
        let sentence = format!(
            "{} that somebody put behind the log by `>>` while a program was writing were cut off, the last {}",
            size(self.outside.cut),
            ago(cut_at, SystemTime::now())
        );
        let next = format!("append with {} instead, which goes beside others", self.command("append"));
        is_recent(cut_at).then(|| warning(FindingId::OutsideCut, State::Ok, sentence, next))
    }

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
