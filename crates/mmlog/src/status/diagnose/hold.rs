//! What is to be said of consumers: holds, and followers for which nothing is kept.

use std::path::Path;
use std::time::SystemTime;

use super::who::{Person, thaw};
use super::{Finding, FindingId, State, Status, Thresholds, info, quoted, warning};
use crate::holds::HoldStatus;
use crate::layout::FOLLOWING_MAX;
use crate::sys::holders::tells_lockers_of;
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

    /// Its own business, as long as nobody asks for more: prune does not wait for it.
    pub(super) fn reader_behind(&self, thresholds: &Thresholds) -> Option<Finding> {
        let most = thresholds.behind.unwrap_or(16 * u64::from(self.chunk_size));
        let far = self.followers.iter().filter(|f| f.lag >= most && !f.is_beyond).count() as u64;
        let first = self.followers.first().filter(|_| far > 0)?;
        let seen = first
            .last_seen
            .map_or_else(String::new, |at| format!(", last seen {}", ago(at, SystemTime::now())));
        let others = match far - 1 {
            0 => String::new(),
            more => format!("; so are {}", counted(more, "other")),
        };
        let who = Person::from(first);
        let name = first.name.as_ref().map_or_else(String::new, |name| format!("{name}, process "));
        let (at, lag, doing) = (first.position, size(first.lag), who.doing());
        let sentence = format!(
            "follower {name}{} is {doing} at {at}, {lag} behind{seen}{}; nothing is kept for it{others}",
            who.named(),
            who.done_by()
        );
        let next = match (first.process, first.seat.pid, who.frozen_by) {
            _ if first.pid == 0 => format!(
                "{} tells as root who has its place; nothing is kept for it",
                tells_lockers_of(&self.metadata_path)
            ),
            (ProcessState::Frozen, _, Some(by)) => thaw(by),
            (ProcessState::Stopped, Some(pid), _) => format!("`kill -CONT {pid}`: it goes on where it was"),
            (_, Some(pid), _) => format!("look at process {pid} and at whoever reads from it"),
            (_, None, _) => "it is in another PID namespace: look at it there (`lsns -t pid`)".to_owned(),
        };
        Some(info(FindingId::ReaderBehind, sentence, next).at(first.seat))
    }

    pub(super) fn places_taken(&self) -> Option<Finding> {
        let sentence = format!("{FOLLOWING_MAX} places for followers are taken; others are not seen");
        let next = format!(
            "nothing to do, all of them follow; {} lists those that are seen",
            self.command("status --json")
        );
        self.followers_full().then(|| info(FindingId::FollowersFull, sentence, next))
    }
}
