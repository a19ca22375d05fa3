//! Consumers that are behind or gone, and looks that do not see everything.

use std::mem::offset_of;
use std::time::{Duration, SystemTime};

use mmlog::layout::{FollowingPlace, following_at};
use mmlog::{FindingId, Status};
use rustix::process::Signal;

use super::super::role::Role;
use super::super::stage::{Done, Looks, Stage};
use super::{Cure, Incident};

/// More than 16 chunks of the smallest size.
const MUCH: usize = 100 << 10;

pub(super) const INCIDENTS: &[Incident] = &[
    Incident {
        name: FindingId::FollowerBehind.name(),
        finding: FindingId::FollowerBehind,
        about: "A consumer is stopped, and far behind: old segments are kept for it.",
        needs: "",
        stage: |stage| {
            stopped_far_behind(stage, (Role::Follow, 0), "the consumer's hold", |status| {
                status.holds.iter().any(|hold| hold.position == status.cursor)
            })
        },
        command: "kill -CONT {pid}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::HoldKeeps.name(),
        finding: FindingId::HoldKeeps,
        about: "A consumer that runs no more keeps old segments from being pruned.",
        needs: "",
        stage: |stage| {
            stage.log(&[], b"a line that nobody fetches\n")?;
            let pid = stage.play(Role::Hold)?;
            for _ in 0..2 {
                stage.tool("rotate").arg(&stage.log).finish(b"")?.or_fail("rotate")?;
                stage.append(b"a line of the next segment\n")?;
            }
            Ok(Some(pid))
        },
        command: "mmlogctl prune --forget rehearsal {log}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::ReaderBehind.name(),
        finding: FindingId::ReaderBehind,
        about: "A follower without a hold is stopped, and far behind.",
        needs: "",
        stage: |stage| {
            stopped_far_behind(stage, (Role::Read, 1), "the follower", |status| {
                status.followers.iter().any(|f| f.position == status.cursor)
            })
        },
        command: "kill -CONT {pid}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::ReaderStands.name(),
        finding: FindingId::ReaderStands,
        about: "A follower without a hold has not come back to read for ten minutes, as one whose output nobody takes.",
        needs: "",
        stage: |stage| {
            let pid = stopped_far_behind(stage, (Role::Read, 1), "the follower", |status| {
                status.followers.iter().any(|f| f.position == status.cursor)
            })?;
            // It is the only one, and says nothing more.
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let seen = now.saturating_sub(Duration::from_secs(600)).as_nanos();
            let seen = u64::try_from(seen).unwrap_or(0).to_ne_bytes();
            let place = following_at(stage.look()?.max_writers);
            stage.poke(&stage.metadata(), place + offset_of!(FollowingPlace, seen_ns), &seen)?;
            Ok(pid)
        },
        command: "kill -CONT {pid}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::FollowersFull.name(),
        finding: FindingId::FollowersFull,
        about: "More followers than are seen: all of their places are taken.",
        needs: "",
        stage: |stage| {
            stage.log(&[], b"a line\n")?;
            stage.start(Role::Read, 257)?;
            stage.until("256 followers", |stage| Ok(stage.look()?.followers_full().then_some(())))?;
            Ok(None)
        },
        command: "mmlogctl status --json {log}",
        cure: Cure::People("end the followers that are not needed", |stage| {
            stage.end_actors();
            Ok(())
        }),
    },
    Incident {
        name: FindingId::Unseen.name(),
        finding: FindingId::Unseen,
        about: "Whoever looks may not ask the kernel who holds the locks, as in a sandbox.",
        needs: "a kernel that filters system calls (seccomp)",
        stage: |stage| {
            stage.log(&[], b"a line\n")?;
            stage.looks = Looks::Blindly;
            // Here it shows whether the kernel takes the filter.
            stage.says(FindingId::Unseen)?;
            Ok(None)
        },
        command: "mmlogctl status {log}",
        cure: Cure::PeopleThenCommand("look from outside the sandbox", |stage| {
            stage.looks = Looks::Plainly;
            Ok(())
        }),
    },
];

/// A reader that has come to the end is stopped there, and much is appended.
fn stopped_far_behind(
    stage: &mut Stage<'_>,
    (role, size): (Role, usize),
    what: &str,
    is_at_the_end: fn(&Status) -> bool,
) -> Done<Option<u32>> {
    stage.log(&["--chunk-size", "4096"], b"the first line\n")?;
    let index = stage.start(role, size)?;
    stage.until(what, |stage| Ok(is_at_the_end(&stage.look()?).then_some(())))?;
    stage.actor(index).signal(Signal::STOP)?;
    stage.until("its stop", |stage| Ok(stage.actor(index).is_stopped().then_some(())))?;
    stage.append(&b"a line that it does not see\n".repeat(MUCH / 28))?;
    Ok(Some(stage.actor(index).pid()))
}
