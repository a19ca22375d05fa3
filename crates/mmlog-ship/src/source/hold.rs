//! The hold: what this shipper may have to send again stays.

use std::time::{Duration, Instant};

use mmlog::{Fault, Hold, Log, Position};

use crate::trouble::Trouble;

/// For so long the log's lock is waited for; where it is not had, the hold moves later.
const PATIENCE: Duration = Duration::from_millis(200);
/// How often a shipper with nothing to do says that it is there.
pub(crate) const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// A hold, once it is claimed.
#[derive(Debug)]
pub struct Held {
    name: String,
    hold: Option<Hold>,
    at: u64,
    said: Instant,
}

impl Held {
    pub(super) fn new(name: &str) -> Self {
        Held { name: name.to_owned(), hold: None, at: 0, said: Instant::now() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is, if there is one, whoever has it.
    pub fn position(&self, log: &Log) -> Option<u64> {
        log.holds().into_iter().find(|hold| hold.name == self.name).map(|hold| hold.position)
    }

    /// Puts it there, lower or higher than it was, and says whether that could be: the log may begin later by now.
    ///
    /// # Errors
    /// [`Trouble::Busy`] when another process has it.
    pub fn claim(&mut self, log: &Log, at: u64) -> Result<bool, Trouble> {
        // One that lives is not taken over, our own neither.
        self.hold = None;
        let hold = match log.hold(&self.name, Position::new(at)) {
            Ok(hold) => hold,
            Err(e) => match e.fault() {
                Fault::Pruned { .. } => return Ok(false),
                Fault::Busy(_) => return Err(Trouble::Busy(e.to_string())),
                _ => return Err(e.into()),
            },
        };
        (self.hold, self.at, self.said) = (Some(hold.patience(PATIENCE)), at, Instant::now());
        Ok(true)
    }

    /// Moves it. Where somebody has the log's lock for longer it moves the next time.
    ///
    /// # Errors
    /// [`Trouble::Failed`] when somebody ended it.
    pub fn advance(&mut self, to: u64) -> Result<(), Trouble> {
        let Some(hold) = &self.hold else { return Ok(()) };
        self.at = self.at.max(to);
        self.said = Instant::now();
        match hold.advance(Position::new(self.at)) {
            Err(e) if matches!(e.fault(), Fault::NoHold { .. }) => Err(Trouble::Failed(e.to_string())),
            _ => Ok(()),
        }
    }

    /// Says once in a while that somebody is here.
    ///
    /// # Errors
    /// As [`advance`](Self::advance).
    pub fn stay(&mut self) -> Result<(), Trouble> {
        if self.said.elapsed() < SIGN_OF_LIFE { Ok(()) } else { self.advance(self.at) }
    }
}
