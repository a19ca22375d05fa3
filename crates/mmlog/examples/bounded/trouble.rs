//! What is done to the writers.

use std::fmt;
use std::time::{Duration, Instant};

use mmlog::{FindingId, Log, PolicyUndone, Undone};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Crew, Result};

const BETWEEN_KILLS: Duration = Duration::from_millis(50);
const STOPPED_FOR: Duration = Duration::from_secs(10);

/// One that is stopped.
pub(crate) struct Stop {
    pid: u32,
    at: Instant,
    named: Option<Duration>,
    /// For how long it was, once it goes on.
    was: Option<Duration>,
    made_up: Option<Duration>,
}

pub(crate) enum Trouble<'a> {
    Calm,
    Kills { next: Duration, random: u64, killed: u64 },
    Stops { log: &'a Log, at: Duration, one: Option<Stop> },
}

impl<'a> Trouble<'a> {
    pub(crate) fn new(word: &str, log: &'a Log, span: Duration) -> Result<Self> {
        match word {
            "" | "calm" => Ok(Self::Calm),
            "kill" => Ok(Self::Kills { next: BETWEEN_KILLS, random: 1, killed: 0 }),
            "stop" if span > 2 * STOPPED_FOR => Ok(Self::Stops { log, at: span / 6, one: None }),
            "stop" => Err("a writer is stopped for 10 s: more than 20 s are needed".into()),
            other => Err(format!("{other} is none of calm, kill, stop").into()),
        }
    }

    pub(crate) fn make(&mut self, crew: &mut Crew, now: Duration) -> Result<()> {
        match self {
            Self::Kills { next, random, killed } if now >= *next => {
                *next = now + BETWEEN_KILLS;
                *random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let which = usize::try_from(*random >> 33)? % crew.running.len();
                // Stays there until it has ended: whatever fails, it is not left behind.
                crew.running[which].kill()?;
                crew.running[which].wait()?;
                let ended = crew.running[which].id();
                crew.running.retain(|child| child.id() != ended);
                *killed += 1;
                crew.start()
            }
            Self::Stops { log, at, one } => match one {
                None if now >= *at => {
                    *one = Some(Stop::in_flight(log, crew)?);
                    Ok(())
                }
                None => Ok(()),
                Some(stop) => stop.look(log),
            },
            _ => Ok(()),
        }
    }

    /// Which writer was.
    pub(crate) fn stopped(&self) -> Option<u32> {
        match self {
            Self::Stops { one: Some(stop), .. } => Some(stop.pid),
            _ => None,
        }
    }
}

fn send(pid: u32, signal: Signal) -> Result<()> {
    Ok(kill(Pid::from_raw(pid.cast_signed()), signal)?)
}

impl Stop {
    /// Stops one until it is in the middle of an append.
    fn in_flight(log: &Log, crew: &Crew) -> Result<Self> {
        let pid = crew.running.first().ok_or("no writer")?.id();
        for _ in 0..10_000 {
            send(pid, Signal::SIGSTOP)?;
            let at = Instant::now();
            std::thread::sleep(Duration::from_millis(2));
            let status = log.status()?;
            // With a lock it would hold all others up, whatever the policy.
            let has_lock = [&status.lock, &status.maintenance]
                .iter()
                .any(|lock| lock.held != Ok(false) && lock.pid == pid);
            if !has_lock && status.writers.iter().any(|w| w.pid == pid && w.in_flight.is_some()) {
                return Ok(Self { pid, at, named: None, was: None, made_up: None });
            }
            send(pid, Signal::SIGCONT)?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Err("no append was caught in flight".into())
    }

    fn look(&mut self, log: &Log) -> Result<()> {
        let since = self.at.elapsed();
        if let Some(was) = self.was {
            let is_still = |u: &PolicyUndone| u.what == Some(Undone::InFlight) && u.pid == self.pid;
            if self.made_up.is_none() && !log.status()?.policy.undone.iter().any(is_still) {
                self.made_up = Some(since.saturating_sub(was));
            }
            return Ok(());
        }
        if self.named.is_none() {
            let named = |id: FindingId| id == FindingId::RotationOverdue;
            let whose = format!("process {}", self.pid);
            let found = log.status()?.findings;
            if found.iter().any(|finding| named(finding.id) && finding.sentence.contains(&whose)) {
                self.named = Some(since);
            }
        }
        if since >= STOPPED_FOR {
            send(self.pid, Signal::SIGCONT)?;
            self.was = Some(since);
        }
        Ok(())
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        if self.was.is_none() {
            let _ = send(self.pid, Signal::SIGCONT);
        }
    }
}

impl fmt::Display for Trouble<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |took: Option<Duration>| {
            took.map_or("never".to_owned(), |t| format!("after {} ms", t.as_millis()))
        };
        match self {
            Self::Kills { killed, .. } => write!(f, "  {killed} writers killed"),
            Self::Stops { one: Some(stop), .. } => write!(
                f,
                "  one stopped in flight for 10 s: named {}; after that made up for {}",
                ms(stop.named),
                ms(stop.made_up)
            ),
            _ => write!(f, "  calm"),
        }
    }
}
