//! The holds, and what their consumers do.

use std::time::{Duration, SystemTime};

use super::observer::stuck_in;
use super::{Observer, Seat};
use crate::files::Files;
use crate::holds::{self, Said};
use crate::sys::cgroup::Freezer;
use crate::sys::last_run;
use crate::sys::process::{self, ProcessState, time_of};

/// A hold, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldStatus {
    /// Its name.
    pub name: String,
    /// Prune keeps everything from here on.
    pub position: u64,
    /// Who has it, or had it last; in its own namespace.
    pub pid: u32,
    /// Where that process is.
    pub seat: Seat,
    /// How it was called, where it stands and that can be seen; at most 200 bytes.
    pub command_line: Option<String>,
    /// What that process is doing.
    pub process: ProcessState,
    /// Of a process that stands: for how long it has not run, as far as that is known.
    pub not_run_for: Option<Duration>,
    /// Who keeps it from running, if a control group does.
    pub frozen_by: Option<Freezer>,
    /// Where in the kernel it is stuck, if it is and that can be seen.
    pub stuck_in: Option<String>,
    /// When that process took it.
    pub since: Option<SystemTime>,
    /// When that process last said where it is.
    pub last_seen: Option<SystemTime>,
}

impl Observer {
    /// Every hold, the one that keeps most first.
    pub(crate) fn holds(&mut self, files: &Files) -> Vec<HoldStatus> {
        holds::in_order(files).into_iter().map(|said| self.hold(files, said)).collect()
    }

    fn hold(&mut self, files: &Files, said: Said) -> HoldStatus {
        let seat = self.seat(&said.who);
        let (process, frozen_by) = match self.doing(process::state_at(&said.who, seat.pid), seat) {
            // Nobody is told to continue a process that somebody only stored there.
            (state, _) if state.is_held() && !seat.pid.is_none_or(|pid| files.may_be_held_by(pid)) => {
                (ProcessState::Gone, None)
            }
            seen => seen,
        };
        let stands = seat.pid.filter(|_| process.is_held());
        let unseen = || said.last_seen?.elapsed().ok();
        HoldStatus {
            name: said.name,
            position: said.position,
            pid: said.who.pid,
            seat,
            command_line: stands.and_then(|_| self.command_line(seat)),
            process,
            not_run_for: stands.and_then(|pid| last_run::not_run_for(pid).or_else(unseen)),
            frozen_by,
            stuck_in: stuck_in(process, seat),
            since: time_of(said.since_ns),
            last_seen: said.last_seen,
        }
    }
}
