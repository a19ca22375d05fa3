//! Consumers that are behind or gone, and looks that do not see everything.

use mmlog::{FindingId, Status};
use rustix::process::Signal;

use super::super::role::Role;
use super::super::stage::{Done, Looks, Stage};
use super::{Cure, Incident};

/// More than 16 chunks of the smallest size.
const MUCH: usize = 100 << 10;
const SMALL: &[&str] = &["--chunk-size", "4096"];

pub(super) const INCIDENTS: &[Incident] = &[
    Incident {
        name: FindingId::FollowerBehind.name(),
        finding: FindingId::FollowerBehind,
        about: "A consumer is stopped, and far behind: old segments are kept for it.",
        needs: "",
        stage: |stage| {
            let pid = stopped_at_the_end(stage, (Role::Follow, 0), "the consumer's hold", is_passed)?;
            stage.append(&missed())?;
            Ok(pid)
        },
        command: "kill -CONT {pid}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::HoldKeeps.name(),
        finding: FindingId::HoldKeeps,
        about: "A consumer that no longer runs keeps old segments from being pruned.",
        needs: "",
        stage: |stage| {
            stage.log(&[], b"a line that nobody fetches\n")?;
            let pid = stage.play(Role::Hold)?;
            segments_later(stage)?;
            Ok(Some(pid))
        },
        command: "mmlogctl prune --forget rehearsal {log}",
        cure: Cure::Command,
    },
    Incident {
        name: "hold-stopped",
        finding: FindingId::HoldKeeps,
        about: "A consumer is stopped, not far behind: it keeps old segments from being pruned.",
        needs: "",
        stage: |stage| {
            let pid = stopped_at_the_end(stage, (Role::Follow, 0), "the consumer's hold", is_passed)?;
            segments_later(stage)?;
            // It has to last a second.
            stage.until("a consumer that stands", |stage| stage.says(FindingId::HoldKeeps))?;
            Ok(pid)
        },
        command: "kill -CONT {pid}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::ReaderBehind.name(),
        finding: FindingId::ReaderBehind,
        about: "A follower without a hold does not read on, as one whose output nobody takes: it is far behind.",
        needs: "",
        stage: |stage| {
            stage.log(SMALL, b"the first line\n")?;
            let index = stage.start(Role::Linger, 0)?;
            stage.until("the follower", |stage| Ok(is_read(&stage.look()?).then_some(())))?;
            stage.append(&missed())?;
            Ok(Some(stage.actor(index).pid()))
        },
        command: "",
        cure: Cure::People("have its output taken, or end it", |stage| {
            stage.end_actors();
            Ok(())
        }),
    },
    Incident {
        name: FindingId::ReaderStands.name(),
        finding: FindingId::ReaderStands,
        about: "A follower without a hold is stopped, and bytes wait for it.",
        needs: "",
        stage: |stage| {
            let pid = stopped_at_the_end(stage, (Role::Read, 1), "the follower", is_read)?;
            stage.append(&missed())?;
            // It has to last a second.
            stage.until("a follower that stands", |stage| stage.says(FindingId::ReaderStands))?;
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

/// A follower has come to the end.
fn is_read(status: &Status) -> bool {
    status.followers.iter().any(|f| f.position == status.cursor)
}

/// A consumer's hold has come to the end.
fn is_passed(status: &Status) -> bool {
    status.holds.iter().any(|hold| hold.position == status.cursor)
}

/// Two old segments more.
fn segments_later(stage: &mut Stage<'_>) -> Done {
    for _ in 0..2 {
        stage.tool("rotate").arg(&stage.log).finish(b"")?.or_fail("rotate")?;
        stage.append(b"a line of the next segment\n")?;
    }
    Ok(())
}

fn missed() -> Vec<u8> {
    b"a line that it does not see\n".repeat(MUCH / 28)
}

/// A reader that has come to the end is stopped there.
fn stopped_at_the_end(
    stage: &mut Stage<'_>,
    (role, size): (Role, usize),
    what: &str,
    is_at_the_end: fn(&Status) -> bool,
) -> Done<Option<u32>> {
    stage.log(SMALL, b"the first line\n")?;
    let index = stage.start(role, size)?;
    stage.until(what, |stage| Ok(is_at_the_end(&stage.look()?).then_some(())))?;
    stage.actor(index).signal(Signal::STOP)?;
    stage.until("its stop", |stage| Ok(stage.actor(index).is_stopped().then_some(())))?;
    Ok(Some(stage.actor(index).pid()))
}
