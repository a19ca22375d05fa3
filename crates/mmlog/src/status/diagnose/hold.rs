//! What is to be said of consumers: holds, and followers for which nothing is kept.

use std::path::Path;
use std::time::SystemTime;

use super::who::{Person, thaw};
use super::{Finding, FindingId, State, Status, Thresholds, info, quoted, warning};
use crate::holds::HoldStatus;
use crate::layout::FOLLOWING_MAX;
use crate::status::FollowerStatus;
use crate::sys::holders::tells_lockers_of;
use crate::sys::process::{self, ProcessState};
use crate::units::{ago, counted, lasting, size};

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
        let is_far = |f: &&FollowerStatus| f.lag >= most && !f.is_beyond && !stands(f, thresholds);
        let mut far = self.followers.iter().filter(is_far);
        let first = far.next()?;
        let seen = first
            .last_seen
            .map_or_else(String::new, |at| format!(", last seen {}", ago(at, SystemTime::now())));
        let (who, at, lag) = (Person::from(first), first.position, size(first.lag));
        let sentence = format!(
            "follower {} is {} at {at}, {lag} behind{seen}{}; nothing is kept for it{}",
            called(first),
            who.doing(),
            who.done_by(),
            and_others(far.count())
        );
        Some(info(FindingId::ReaderBehind, sentence, self.reads_on(first)).at(first.seat))
    }

    /// It is not slow: it has not come back to read at all. A pager that waits for a key does so, too.
    pub(super) fn reader_stands(&self, thresholds: &Thresholds) -> Option<Finding> {
        let mut standing = self.followers.iter().filter(|f| stands(f, thresholds) && !f.is_beyond);
        let first = standing.next()?;
        let (who, at, lag) = (Person::from(first), first.position, size(first.lag));
        let sentence = format!(
            "follower {} has read nothing for {}, {lag} wait for it at {at}; it is {}{}; nothing is kept for it{}",
            called(first),
            lasting(first.stands_for.unwrap_or_default()),
            who.doing(),
            who.done_by(),
            and_others(standing.count())
        );
        Some(info(FindingId::ReaderStands, sentence, self.reads_on(first)).at(first.seat))
    }

    /// What has a follower read on.
    fn reads_on(&self, follower: &FollowerStatus) -> String {
        let who = Person::from(follower);
        match (follower.process, follower.seat.pid, who.frozen_by) {
            _ if follower.pid == 0 => format!(
                "{} tells as root who has its place; nothing is kept for it",
                tells_lockers_of(&self.metadata_path)
            ),
            (ProcessState::Frozen, _, Some(by)) => thaw(by),
            (ProcessState::Stopped, Some(pid), _) => format!("`kill -CONT {pid}`: it goes on where it was"),
            (_, Some(pid), _) => format!("look at process {pid} and at whoever reads from it"),
            (_, None, _) => "it is in another PID namespace: look at it there (`lsns -t pid`)".to_owned(),
        }
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

fn stands(follower: &FollowerStatus, thresholds: &Thresholds) -> bool {
    follower.lag > 0 && follower.stands_for.is_some_and(|time| time >= thresholds.unread)
}

/// By its name, if it has one.
fn called(follower: &FollowerStatus) -> String {
    let name = follower.name.as_ref().map_or_else(String::new, |name| format!("{name}, process "));
    name + &Person::from(follower).named()
}

fn and_others(count: usize) -> String {
    match count {
        0 => String::new(),
        more => format!("; {} like it", counted(more as u64, "other")),
    }
}
