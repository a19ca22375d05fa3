//! What a log's policy says, does next, and could not do, from what a look has seen.

use std::time::{Duration, SystemTime};

use super::{HoldStatus, SegmentStatus};
use crate::carry_out;
use crate::carry_out::trust::{self, Distrust};
use crate::files::Files;
use crate::layout::Overdue;
use crate::metadata::Entry;
use crate::metadata::overdue::{Culprit, Noted, Undone};
use crate::metadata::policy::{SET_NS, Said};
use crate::policy::{Policy, PolicyState};
use crate::prune::Retention;
use crate::prune::decide::{Listed, Outlook, outlook};
use crate::sync::Ordering;
use crate::sys::process::time_of;

/// The policy, and what it does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyStatus {
    /// What it says.
    pub state: PolicyState,
    /// When it was set.
    pub set_at: Option<SystemTime>,
    /// How many bytes fit the current segment before it is as long as it may be; `None` where no rule says how long that is.
    pub rotates_in: Option<u64>,
    /// After how long the current segment is as old as it may be, 0 once it is; `None` where no rule says so, or it has no
    /// byte.
    pub rotates_after: Option<Duration>,
    /// Final segments that go now.
    pub prunes: u64,
    /// The hold that keeps more than the policy does.
    pub held_by: Option<String>,
    /// After how long the oldest of the others is as old as it may be; `None` where no rule says so.
    pub prunes_after: Option<Duration>,
    /// What was tried and not done, for a reason of the log's, and of a process's.
    pub undone: Vec<PolicyUndone>,
    /// How often something was tried and not done, since the log was made.
    pub failures: u64,
    /// Who may write the metadata, and not delete old segments: because of that none goes by the policy.
    pub distrust: Option<Distrust>,
    /// Since when removing segments makes no space.
    pub unfreed_since: Option<SystemTime>,
}

/// Something that the policy asks for, and that could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyUndone {
    /// What; `None`: something that this version does not know.
    pub what: Option<Undone>,
    /// Since when.
    pub since: Option<SystemTime>,
    /// When it was last tried.
    pub tried: Option<SystemTime>,
    /// Why the last try failed; 0 where no system call did.
    pub errno: i32,
    /// Whether everybody fails; else it is one process that may not, and another one may be able to.
    pub of_log: bool,
    /// Who tried, or was in the way, by its id in its own namespace.
    pub pid: u32,
    /// The user whose rights it has.
    pub uid: u32,
    /// Its name.
    pub command: String,
}

impl PolicyStatus {
    pub(super) fn of(
        files: &Files,
        current: &Entry,
        segments: &[SegmentStatus],
        holds: &[HoldStatus],
        cursor: u64,
    ) -> Self {
        let header = files.meta.header();
        let said = files.meta.policy();
        let state = PolicyState::of(said);
        let policy = state.rules();
        let set_at = match said {
            Said::Whole(words) => time_of(words[SET_NS]),
            Said::Nothing | Said::Torn => None,
        };
        let used = cursor.saturating_sub(current.base);
        let left = |most: Option<Duration>, age| Some(most?.saturating_sub(age?));
        // Of unknown age: it begins with the next look of who appends.
        let age = Some(files.clock().age_of(current.began_ns).unwrap_or_default()).filter(|_| used > 0);
        let finals = segments.iter().filter(|s| s.generation < current.generation).map(|s| {
            let &SegmentStatus { generation, base, end, allocated, final_since, .. } = s;
            Listed { generation, base, end, allocated, final_since }
        });
        let holds = holds.iter().map(|hold| (hold.name.clone(), hold.position)).collect();
        let Outlook { segments: prunes, held_by, oldest } =
            outlook(files, &Retention::of(&policy), finals, holds, cursor);
        let undone = [(&header.overdue_log, true), (&header.overdue_process, false)];
        let undone = undone.into_iter().filter_map(|(record, of_log)| PolicyUndone::of(record, of_log));
        Self {
            set_at,
            rotates_in: policy.rotate_size.map(|most| most.saturating_sub(used)),
            rotates_after: left(policy.rotate_age, age),
            prunes,
            held_by,
            prunes_after: left(policy.keep_age, oldest),
            undone: undone.collect(),
            failures: header.policies.failures.load(Ordering::Relaxed),
            distrust: distrust(files, &policy),
            unfreed_since: time_of(header.policies.unfreed_since_ns.load(Ordering::Relaxed))
                .filter(|_| policy.keep_free.is_some()),
            state,
        }
    }
}

/// As the metadata's owner is trusted, who does most of the work.
fn distrust(files: &Files, policy: &Policy) -> Option<Distrust> {
    let owner = files.metadata_found().ok()?.uid;
    let is_asked = carry_out::removes(policy);
    if is_asked { trust::why_not(files, owner).ok()? } else { None }
}

impl PolicyUndone {
    fn of(record: &Overdue, of_log: bool) -> Option<Self> {
        let Noted { undone: what, since_ns, at_ns, errno, who } = record.get()?;
        let (since, tried) = (time_of(since_ns), time_of(at_ns));
        let Culprit { pid, uid, command, .. } = who;
        Some(Self { what, since, tried, errno, of_log, pid, uid, command })
    }
}
