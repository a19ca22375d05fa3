//! The holds, and what their consumers do.

use std::time::{Duration, SystemTime};

use super::followers::held_up_in;
use super::observer::stuck_in;
use super::{FileFacts, Medium, Observer, OutputReader, Seat, SegmentStatus, ShipperStatus, Status};
use crate::files::Files;
use crate::holds::{self, Said};
use crate::sys::cgroup::Freezer;
use crate::sys::last_run;
use crate::sys::process::{self, ProcessState, time_of};

/// Who reads from it is looked at from then on.
const SOON: Duration = Duration::from_secs(1);
/// A page stays dirty for about so long.
const WRITTEN_BACK: Duration = Duration::from_secs(60);

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
    /// When it moved on last; unknown of earlier software.
    pub moved: Option<SystemTime>,
    /// For how long it has not moved on while bytes waited for it, where it runs and that is known.
    pub stands_for: Option<Duration>,
    /// Who reads what it writes, as [`FollowerStatus::reader`](super::FollowerStatus::reader).
    pub reader: Option<OutputReader>,
    /// What a shipper says of itself beside the log, where the hold is one's.
    pub shipper: Option<ShipperStatus>,
}

impl Status {
    /// Whether the log's policy passes that hold over, which lags by more than `hold_max`: it keeps nothing then.
    #[must_use]
    pub fn passes_over(&self, hold: &HoldStatus) -> bool {
        let lag = self.cursor.saturating_sub(hold.position);
        self.policy.state.rules().hold_max.is_some_and(|most| lag > most)
    }

    /// Whether that hold keeps the segment.
    #[must_use]
    pub fn is_kept_by(&self, segment: &SegmentStatus, hold: &HoldStatus) -> bool {
        hold.position < segment.end && !self.passes_over(hold)
    }
}

impl Observer {
    /// Every hold, the one that keeps most first.
    pub(crate) fn holds(&mut self, files: &Files) -> Vec<HoldStatus> {
        holds::in_order(files).into_iter().map(|said| self.hold(files, said)).collect()
    }

    /// Notes of those that run since when they have not moved on, where bytes wait for them.
    pub(super) fn watch(
        &mut self,
        files: &Files,
        holds: &mut [HoldStatus],
        file: &FileFacts,
        watermark: u64,
    ) {
        for hold in holds.iter_mut().filter(|hold| hold.position < watermark) {
            let unmoved = hold.moved.or(hold.last_seen).and_then(|at| at.elapsed().ok());
            if let Some(unmoved) = unmoved.filter(|time| *time >= SOON) {
                let waits = waiting_for(files, hold.position, file);
                self.stands(files, hold, waits.map(|waits| unmoved.min(waits)));
            }
        }
    }

    fn hold(&mut self, files: &Files, said: Said) -> HoldStatus {
        let mut seat = self.seat(&said.who);
        let (process, frozen_by) = match self.doing(process::state_at(&said.who, seat.pid), seat) {
            // Nobody is told to continue a process that somebody only stored there.
            (state, _) if state.is_held() && !seat.pid.is_none_or(|pid| files.may_be_held_by(pid)) => {
                (ProcessState::Gone, None)
            }
            seen => seen,
        };
        let stands = seat.pid.filter(|_| process.is_held());
        let unseen = || said.last_seen?.elapsed().ok();
        let shipper = ShipperStatus::beside(files.path(), &said.name);
        HoldStatus {
            name: said.name,
            position: said.position,
            pid: said.who.pid,
            command_line: stands.and_then(|_| self.called(&mut seat)),
            process,
            not_run_for: stands.and_then(|pid| last_run::not_run_for(pid).or_else(unseen)),
            frozen_by,
            seat,
            stuck_in: stuck_in(process, seat),
            since: time_of(said.since_ns),
            last_seen: said.last_seen,
            moved: said.moved,
            stands_for: None,
            reader: None,
            shipper,
        }
    }

    /// Of one that runs: it has not moved on for so long.
    fn stands(&mut self, files: &Files, hold: &mut HoldStatus, stands_for: Option<Duration>) {
        let runs = !hold.process.is_held() && !hold.process.is_over();
        let Some(stands_for) = stands_for.filter(|time| runs && *time >= SOON) else { return };
        match hold.seat.pid {
            Some(pid) if !files.may_be_held_by(pid) => hold.process = ProcessState::Gone,
            pid => {
                hold.stands_for = Some(stands_for);
                hold.command_line = self.called(&mut hold.seat);
                hold.stuck_in = pid.and_then(held_up_in);
            }
        }
    }
}

/// For how long bytes from there on have waited, at least.
fn waiting_for(files: &Files, position: u64, file: &FileFacts) -> Option<Duration> {
    let noted = files.noted();
    let pairs = noted.pairs.into_iter().chain(noted.finals.into_iter().map(|segment| segment.ended));
    let noted = pairs.filter(|pair| pair.settled > position).filter_map(|pair| time_of(pair.at_ns));
    // Stores move it when a page was clean.
    let changed = file.changed.filter(|_| file.medium != Medium::Memory).map(|at| at + WRITTEN_BACK);
    noted.chain(changed).min()?.elapsed().ok()
}
