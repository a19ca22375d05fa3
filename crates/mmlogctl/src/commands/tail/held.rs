//! The hold of a consumer: prune keeps what its cursor-file has not passed.

use std::path::Path;
use std::time::{Duration, Instant};

use mmlog::{Fault, Hold, LogId, Start};

use super::plan::Plan;
use crate::reading::cursor_file::Place;
use crate::waits;

/// How long the log's lock is waited for; nothing is lost when it is not had, the hold then comes later.
const PATIENCE: Duration = Duration::from_millis(100);
/// How often a consumer that has nothing to read says that it is there.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// A hold on one log.
#[derive(Debug)]
pub(super) struct Held {
    hold: Hold,
    id: LogId,
    said: Instant,
}

impl Held {
    /// Registers it at a place that is in the cursor-file; behind what is pruned, if that is too late.
    pub(super) fn begin(path: &Path, plan: &Plan, name: &str, place: Place) -> mmlog::Result<Self> {
        let log = plan.old.say(waits::options(path, plan.trust)).open(path)?;
        let id = log.follow(Start::Newest)?.log_id();
        let mut position = place.position;
        let hold = loop {
            match log.hold(name, position) {
                Ok(hold) => break hold,
                Err(e) if matches!(e.fault(), Fault::Pruned { .. }) => position = log.oldest()?,
                Err(e) => return Err(e),
            }
        };
        drop(log);
        Ok(Self { hold: hold.patience(PATIENCE), id, said: Instant::now() })
    }

    /// Follows the cursor-file, which is on the disk as it says. False when somebody has ended the hold.
    pub(super) fn follow(&mut self, place: &Place) -> bool {
        if place.id.uuid != self.id.uuid {
            return true;
        }
        self.said = Instant::now();
        match self.hold.advance(place.position) {
            Err(e) => !matches!(e.fault(), Fault::NoHold { .. }),
            Ok(()) => true,
        }
    }

    /// Says that the consumer is there, once in a while.
    pub(super) fn stay(&mut self, place: &Place) -> bool {
        self.said.elapsed() < SIGN_OF_LIFE || self.follow(place)
    }
}
