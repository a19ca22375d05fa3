//! A connection on a thread of its own: whoever waits for it still hears that it is to end, and one that hangs is left to itself.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use redis::Connection;

use super::super::Patience;
use crate::trouble::Trouble;

/// The longest wait in one piece: that it is to end is heard that late.
const SLICE: Duration = Duration::from_millis(50);

/// What the thread is to do; whether the connection is of use afterwards.
type Job = Box<dyn FnOnce(&mut Connection) -> bool + Send>;

/// The connection. What it has on its way ends with it, or comes to nobody.
pub(super) struct Line {
    jobs: Sender<Job>,
}

/// What a job will have come to.
pub(super) struct Answer<T> {
    from: Receiver<Result<T, Trouble>>,
    pub(super) since: Instant,
}

impl Line {
    /// Connects by `connect`, and says what that found.
    pub(super) fn open<T: Send + 'static>(
        connect: impl FnOnce() -> Result<(Connection, T), Trouble> + Send + 'static,
        patience: &Patience,
    ) -> Result<(Line, T), Trouble> {
        let (jobs, told) = mpsc::channel::<Job>();
        let (said, from) = mpsc::channel();
        let thread = thread::Builder::new().name("redis".to_owned()).spawn(move || {
            let mut connection = match connect() {
                Ok((connection, found)) => {
                    let _ = said.send(Ok(found));
                    connection
                }
                Err(trouble) => {
                    let _ = said.send(Err(trouble));
                    return;
                }
            };
            // After anything that went wrong nobody knows which answer is to what.
            while told.recv().is_ok_and(|job| job(&mut connection)) {}
        });
        thread.map_err(|e| Trouble::Away(format!("cannot begin a thread: {e}")))?;
        let found = Answer { from, since: Instant::now() }.wait_for(patience)?;
        Ok((Line { jobs }, found))
    }

    /// Has it done, behind all that was asked for before.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut Connection) -> Result<T, Trouble> + Send + 'static,
    ) -> Answer<T> {
        let (said, from) = mpsc::channel();
        // Where the thread has ended, so has the other end of the answer.
        let _ = self.jobs.send(Box::new(move |connection| {
            let done = what(connection);
            let is_well = done.is_ok();
            said.send(done).is_ok() && is_well
        }));
        Answer { from, since: Instant::now() }
    }
}

impl<T> Answer<T> {
    /// The answer; nothing, when there is none within that time.
    pub(super) fn within(&self, longest: Duration) -> Result<Option<T>, Trouble> {
        match self.from.recv_timeout(longest) {
            Ok(answer) => answer.map(Some),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Trouble::Away("the connection was cut".to_owned())),
        }
    }

    /// The answer, or that there was none in time.
    pub(super) fn wait_for(&self, patience: &Patience) -> Result<T, Trouble> {
        let mut patience = patience.clone();
        loop {
            if let Some(answer) = self.within(SLICE)? {
                return Ok(answer);
            }
            if let Some(over) = patience.is_over() {
                return Err(over);
            }
            if self.since.elapsed() >= patience.wait {
                return Err(Trouble::Away(format!("no answer for {} s", patience.wait.as_secs())));
            }
        }
    }
}
