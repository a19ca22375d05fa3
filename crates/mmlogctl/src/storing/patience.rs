//! Waiting for space, for a slot, for whoever is in the way: when to try again, and how to say so.

use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::{Duration, Instant};

use mmlog::{Class, Error, Fault, units};
use rustix::event::{PollFd, PollFlags, poll};

use super::OnFull;
use crate::exit::shown;
use crate::output::Output;
use crate::signals::Signals;

/// The pauses between two attempts: the first, and what doubling ends at.
pub(crate) const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// When to try again, and how to say so.
pub(super) struct Patience<'a> {
    pub(super) on_full: OnFull,
    /// What ends every wait.
    pub(super) signals: &'a Signals,
}

impl Patience<'_> {
    /// Attempts until it works or there is no point. After a signal there is one attempt more,
    /// because whoever sent it will not wait for somebody to free space.
    pub(super) fn insist<T>(
        &self,
        out: &mut Output,
        path: &Path,
        mut attempt: impl FnMut() -> mmlog::Result<T>,
    ) -> Result<T, Error> {
        let mut waiting_since: Option<Instant> = None;
        let (mut pause, longest) = PAUSES;
        loop {
            let last = self.signals.raised();
            let error = match attempt() {
                Ok(done) => {
                    if let Some(since) = waiting_since {
                        out.notice(&format!(
                            "{}: goes on after {}",
                            shown(path),
                            units::lasting(since.elapsed())
                        ));
                    }
                    return Ok(done);
                }
                Err(error) => error,
            };
            if last || !self.is_worth_waiting(&error) {
                return Err(error);
            }
            if waiting_since.is_none() {
                waiting_since = Some(Instant::now());
                out.notice(&format!("{} (waiting; nothing is lost)", without_trying(&error.to_string())));
            }
            self.sleep(pause);
            pause = longest.min(2 * pause);
        }
    }

    fn is_worth_waiting(&self, error: &Error) -> bool {
        match error.fault().class() {
            _ if matches!(error.fault(), Fault::Stopped { .. }) => false,
            // Without one, nothing can be said of what would be dropped.
            _ if matches!(error.fault(), Fault::WritersFull { .. }) => self.on_full != OnFull::Fail,
            Class::Retry => self.on_full == OnFull::Retry,
            Class::Busy => true,
            Class::Damaged | Class::Refused => false,
        }
    }

    /// A pause that a signal ends.
    fn sleep(&self, pause: Duration) {
        let signal = self.signals.as_fd();
        let _ = poll(&mut [PollFd::new(&signal, PollFlags::IN)], pause.try_into().ok().as_ref());
    }
}

/// What is to be done in the words of an error, but for what whoever waits does by itself.
fn without_trying(text: &str) -> String {
    let tries = ["try again later, or ", "; try again later", " and try again"];
    tries.iter().fold(text.to_owned(), |text, words| text.replace(words, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_not_told_to_try_again() {
        for (said, left) in [
            ("full; free some and try again, nothing was taken", "full; free some, nothing was taken"),
            ("busy: 7 holds it; try again later", "busy: 7 holds it"),
            ("7 holds it; try again later, or end it: `kill 7`", "7 holds it; end it: `kill 7`"),
        ] {
            assert_eq!(without_trying(said), left);
        }
    }
}
