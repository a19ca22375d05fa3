//! Policies that are not carried out, as a look may find them.

use mmlog::{PolicyUndone, Undone};

use super::found::{With, long_ago};

pub(super) fn rotation_overdue(with: With<'_>) {
    let all = [
        (Undone::Rotation, false, 1),
        (Undone::Rotation, false, 13),
        (Undone::Rotation, false, 24),
        (Undone::Rotation, true, 28),
        (Undone::Rotation, true, 17),
        (Undone::Rotation, true, 0),
        (Undone::InFlight, true, 0),
        (Undone::Busy, true, 0),
        (Undone::NameTaken, true, 17),
        (Undone::LeftToOthers, false, 0),
    ];
    for (what, of_log, errno) in all {
        let undone = undone(what, of_log, errno, 1000);
        with(&|s| (s.policy.rotates_in, s.policy.undone) = (Some(0), vec![undone.clone()]));
    }
}

pub(super) fn pruning_overdue(with: With<'_>) {
    for (of_log, errno, uid) in [(false, 13, 1000), (false, 1, 0), (true, 5, 0), (true, 0, 1000)] {
        let undone = undone(Undone::Pruning, of_log, errno, uid);
        with(&|s| (s.policy.prunes, s.policy.undone) = (2, vec![undone.clone()]));
    }
}

fn undone(what: Undone, of_log: bool, errno: i32, uid: u32) -> PolicyUndone {
    let (since, tried) = (Some(long_ago()), Some(long_ago()));
    let (pid, command) = (4312, "web".to_owned());
    PolicyUndone { what: Some(what), since, tried, errno, of_log, pid, uid, command }
}
