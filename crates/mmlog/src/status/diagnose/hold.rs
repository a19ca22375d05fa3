//! What is to be said of a hold.

use std::path::Path;
use std::time::SystemTime;

use super::{Finding, FindingId, State, Status, Thresholds, quoted, warning};
use crate::holds::HoldStatus;
use crate::sys::process::{self, ProcessState};
use crate::units::{ago, counted, size};

impl Status {
    /// A consumer that runs is behind; one that does not only keeps.
    pub(super) fn hold(&self, hold: &HoldStatus, thresholds: &Thresholds) -> Option<Finding> {
        let behind = self.cursor.saturating_sub(hold.position);
        let runs = !matches!(hold.process, ProcessState::Gone | ProcessState::Zombie);
        let most = thresholds.behind.unwrap_or(16 * u64::from(self.chunk_size));
        let seen = hold.last_seen;
        let seen = seen.map_or_else(String::new, |at| format!(", last seen {}", ago(at, SystemTime::now())));
        let at = format!("at {}, {} behind", hold.position, size(behind));
        if runs && behind >= most {
            let sentence =
                format!("follower {} (process {}, {}) is {at}{seen}", hold.name, hold.pid, hold.process);
            let (pid, me) = (hold.pid, process::effective_user());
            let look = match hold.process {
                ProcessState::Stopped => format!("`kill -CONT {pid}`: it goes on where it was"),
                ProcessState::Hidden => {
                    format!("look as root: process {pid} is not visible to uid {me} (hidepid)")
                }
                _ => format!("look at process {pid} and at whoever reads from it"),
            };
            let next = format!("{look}; old segments are kept until it has passed");
            // Of another PID namespace, it could not be seen.
            let known = if hold.process == ProcessState::Unknown { 0 } else { hold.pid };
            return Some(warning(FindingId::FollowerBehind, State::Ok, sentence, next).of(known));
        }
        let kept = self.segments.iter().filter(|g| g.end > hold.position && g.generation < self.generation);
        let (count, bytes) = kept.fold((0, 0), |(n, sum), g| (n + 1, sum + g.allocated));
        (!runs && count > 0).then(|| {
            let sentence = format!(
                "hold {} {at}{seen} keeps {} ({}); its process {} is gone",
                hold.name,
                counted(count, "old segment"),
                size(bytes),
                hold.pid
            );
            let forget = self.command(&format!("prune --forget {}", quoted(Path::new(&hold.name))));
            let next = format!("start that consumer again, or {forget} if nobody needs it any more");
            warning(FindingId::HoldKeeps, State::Ok, sentence, next).of(hold.pid)
        })
    }
}
