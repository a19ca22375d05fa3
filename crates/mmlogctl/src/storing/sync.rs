//! `--sync`: when what was appended is made durable.
//!
//! `always` is the appender's own business, batch by batch. For an interval there is a thread, since the appender may be
//! asleep: in input that pauses, in a full disk, in a `--tee` that nobody reads.

use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mmlog::{Class, Error, Log, Position, Writer};

use crate::arguments::duration;

/// When to sync.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum When {
    /// The kernel writes back when it likes.
    Never,
    /// What was appended waits for this long at most.
    Interval(Duration),
    /// A batch is durable before the next one is read.
    Always,
}

/// Parses `never`, `always`, `interval=200ms`.
pub(crate) fn parse(text: &str) -> Result<When, String> {
    match text.split_once('=') {
        None if text == "never" => Ok(When::Never),
        None if text == "always" => Ok(When::Always),
        Some(("interval", length)) => duration(length).map(When::Interval),
        _ => Err("not one of never, always and interval=DUR, such as interval=200ms".to_owned()),
    }
}

/// Syncs a log in the background. Its descriptor is readable once a sync has failed.
pub(crate) struct Syncer {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
    trouble: UnixStream,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Since when something is not durable.
    dirty_since: Option<Instant>,
    /// Where something may not be durable, and behind the last append there. The last one is appended to; before it are
    /// those that it took the place of.
    logs: Vec<(Log, Position)>,
    failed: Option<Error>,
    ending: bool,
}

impl State {
    /// Those are synced; what was appended meanwhile is not.
    fn forget(&mut self, synced: &[(Log, Position)]) {
        let before = self.logs.drain(..synced.len()).next_back();
        let more = before.filter(|now| synced.last().is_some_and(|then| now.1 > then.1));
        self.logs.splice(..0, more);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Syncer {
    /// # Errors
    /// When the system refuses a socket pair.
    pub(crate) fn start(interval: Duration) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (trouble, its_end) = UnixStream::pair()?;
        let mut job = Job { shared: Arc::clone(&shared), interval, trouble: its_end };
        let thread = thread::Builder::new().spawn(move || job.run())?;
        Ok(Self { shared, thread, trouble })
    }

    /// What lies below `end` was appended.
    pub(crate) fn appended(&self, writer: &Writer, end: Position) {
        let mut state = self.shared.state();
        match state.logs.last_mut().filter(|(log, _)| log.is_of(writer)) {
            Some(last) => last.1 = end,
            None => state.logs.push((Log::of_writer(writer), end)),
        }
        if state.dirty_since.is_none() {
            state.dirty_since = Some(Instant::now());
            self.shared.changed.notify_one();
        }
    }

    /// The error of a sync since, once.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.shared.state().failed.take()
    }

    pub(crate) fn end(self) {
        self.shared.state().ending = true;
        self.shared.changed.notify_one();
        let _ = self.thread.join();
    }
}

impl AsFd for Syncer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.trouble.as_fd()
    }
}

struct Job {
    shared: Arc<Shared>,
    interval: Duration,
    trouble: UnixStream,
}

impl Job {
    fn run(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state();
        while !state.ending {
            let Some(since) = state.dirty_since else {
                state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = self.interval.saturating_sub(since.elapsed());
            if !left.is_zero() {
                state = shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            // What comes from now on may miss this sync.
            state.dirty_since = None;
            let logs = state.logs.clone();
            drop(state);
            let synced: Result<Vec<bool>, Error> = logs.iter().map(is_synced).collect();
            state = shared.state();
            match synced {
                Ok(all) if all.iter().all(|done| *done) => state.forget(&logs),
                Err(e) if e.fault().class() != Class::Busy => {
                    state.failed = Some(e);
                    let _ = self.trouble.write_all(b"!");
                    return;
                }
                // Somebody is in the way, and may get out of it; the sync at the end says who it is.
                Ok(_) | Err(_) => drop(state.dirty_since.get_or_insert_with(Instant::now)),
            }
        }
    }
}

/// Syncs it; false while somebody is still storing below the position.
fn is_synced((log, end): &(Log, Position)) -> Result<bool, Error> {
    Ok(log.sync()? >= *end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_ways_are_parsed() {
        assert_eq!(parse("never"), Ok(When::Never));
        assert_eq!(parse("always"), Ok(When::Always));
        assert_eq!(parse("interval=200ms"), Ok(When::Interval(Duration::from_millis(200))));
        for wrong in ["", "sometimes", "interval", "interval=", "interval=5", "always=1s"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
