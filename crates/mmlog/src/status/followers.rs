//! Followers that say what they read.

use std::time::{Duration, SystemTime};

use super::observer::{state, stuck_in};
use super::{HoldStatus, Observer, Seat, Status};
use crate::error::Fault;
use crate::files::Files;
use crate::following;
use crate::layout::FOLLOWING_MAX;
use crate::sys::cgroup::Freezer;
use crate::sys::last_run;
use crate::sys::map::Protection;
use crate::sys::process::{self, ProcessState};

/// Who it is that does not read is looked at from then on, which is before it is a finding.
pub(super) const LOOKED_AT: Duration = Duration::from_secs(10);

/// A follower that announced itself, and lives. It keeps nothing from being pruned.
#[derive(Clone, Debug)]
pub struct FollowerStatus {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Process id in its own namespace.
    pub pid: u32,
    /// Where that process is.
    pub seat: Seat,
    /// Name of the process.
    pub command: String,
    /// How it was called, where that can be seen; at most 200 bytes.
    pub command_line: Option<String>,
    /// What it is doing.
    pub process: ProcessState,
    /// Where bytes wait for it and it stands: for how long it has not run, as far as that is known.
    pub not_run_for: Option<Duration>,
    /// Who keeps it from running, if a control group does.
    pub frozen_by: Option<Freezer>,
    /// Where in the kernel it waits, of one that has not read for long or is stuck, if that can be seen.
    pub stuck_in: Option<String>,
    /// Who reads what it writes: [`diagnose`](Status::diagnose) names it. `None` unless whoever shows the status has looked for
    /// it: the library does not.
    pub reader: Option<OutputReader>,
    /// What it reads next, as it says.
    pub position: u64,
    /// Bytes from there to the cursor; 0 where it says that it is beyond.
    pub lag: u64,
    /// It says a position that the log does not have.
    pub is_beyond: bool,
    /// When it began.
    pub since: Option<SystemTime>,
    /// When it last said where it is. One that has nothing to read does every five seconds.
    pub last_seen: Option<SystemTime>,
    /// For how long it has neither read nor waited, where bytes wait for it.
    pub stands_for: Option<Duration>,
}

/// Whoever reads a follower's output.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutputReader {
    /// Its id here.
    pub pid: u32,
    /// How it was called.
    pub command_line: String,
    /// A signal has stopped it: nothing it is fed goes on.
    pub is_stopped: bool,
}

impl FollowerStatus {
    /// Its name, or its process's.
    #[must_use]
    pub fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.command)
    }
}

impl Status {
    /// Whether all 256 places for followers are taken, so that others are not seen.
    #[must_use]
    pub fn followers_full(&self) -> bool {
        self.followers_seen >= FOLLOWING_MAX
    }
}

/// Where in the kernel a process waits that does not come back to read: if a thread of it writes to a full pipe, there.
pub(super) fn held_up_in(pid: u32) -> Option<String> {
    process::waits_to_write(pid).map(|waits| waits.place).or_else(|| process::waits_in(pid))
}

impl Observer {
    /// The one farthest behind first, and how many there are. Without those that are seen by their holds.
    pub(super) fn followers(
        &mut self,
        files: &Files,
        cursor: u64,
        holds: &[HoldStatus],
    ) -> Result<(Vec<FollowerStatus>, usize), Fault> {
        self.places.take_if(|places| places.is_cut());
        if self.places.is_none() {
            self.places = files.map_following(Protection::Read)?;
        }
        let Some(places) = &self.places else { return Ok((Vec::new(), 0)) };
        let said = following::all(files, places)?;
        let (count, end) = (said.len(), files.control().look().start);
        let is_hold = |said: &following::Said| holds.iter().any(|h| Some(&h.name) == said.name.as_ref());
        let mut found: Vec<FollowerStatus> = said
            .into_iter()
            .filter(|said| !is_hold(said))
            .map(|said| {
                let mut seat = self.seat(&said.who);
                let lag = cursor.saturating_sub(said.position);
                let unseen = said.seen.and_then(|at| at.elapsed().ok());
                let (process, frozen_by) = self.doing(state(&Ok(true), &said.who, seat), seat);
                let stands_for = unseen.map(|unseen| unseen + said.stands).filter(|_| lag > 0);
                let is_late = stands_for.is_some_and(|time| time >= LOOKED_AT);
                FollowerStatus {
                    command_line: self.called(&mut seat),
                    name: said.name,
                    pid: said.who.pid,
                    seat,
                    command: said.who.command,
                    process,
                    not_run_for: seat
                        .pid
                        .filter(|_| lag > 0 && process.is_held())
                        .and_then(last_run::not_run_for)
                        .or(stands_for.filter(|_| process.is_held())),
                    frozen_by,
                    stuck_in: match seat.pid.filter(|_| is_late) {
                        Some(pid) => held_up_in(pid),
                        None => stuck_in(process, seat),
                    },
                    reader: None,
                    position: said.position,
                    lag,
                    stands_for,
                    is_beyond: said.position > end,
                    since: said.since,
                    last_seen: said.seen,
                }
            })
            .collect();
        found.sort_by_key(|follower| std::cmp::Reverse(follower.lag));
        // Those that may be talked about: whoever writes the metadata can store anybody's id there.
        for (nth, one) in found.iter_mut().enumerate() {
            let stands = one.process.is_held() || one.stands_for.is_some_and(|time| time >= LOOKED_AT);
            let is_late = one.lag > 0 && (nth == 0 || stands);
            let is_read = || one.seat.pid.is_some_and(process::prints_into_a_pipe);
            if (is_late || is_read()) && !one.seat.pid.is_none_or(|pid| files.may_be_held_by(pid)) {
                (one.pid, one.seat, one.process) = (0, Seat::default(), ProcessState::Unknown);
                (one.command_line, one.frozen_by, one.stuck_in) = (None, None, None);
            }
        }
        Ok((found, count))
    }
}
