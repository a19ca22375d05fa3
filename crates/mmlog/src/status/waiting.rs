//! What is left over until somebody runs a command.

use super::diagnose::{info, some};
use super::{Finding, FindingId, Status};

impl Status {
    /// Readers see what has a position.
    pub(super) fn outside_bytes(&self) -> Option<Finding> {
        let bytes = some(self.outside, "byte");
        let sentence =
            format!("{bytes} that somebody put behind the log at rest, by `>>`, cannot be read yet");
        let next = format!("{} takes them into the log, as the next append does", self.command("trim"));
        (self.outside > 0).then(|| info(FindingId::OutsideBytes, sentence, next))
    }
}
