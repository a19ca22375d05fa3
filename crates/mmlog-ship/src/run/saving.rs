//! Saving the checkpoint: at most five times a second, and what was done meanwhile.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::checkpoint::{Checkpoint, Counts, Known};
use crate::store::{self, Found, Store};
use crate::trouble::{Trouble, shown};

use super::Plan;

const EVERY: Duration = Duration::from_millis(200);

pub(super) struct Saving {
    store: Store,
    sink: String,
    pub(super) counts: Counts,
    due: Option<Known>,
    last: Option<Instant>,
    is_unsaved: bool,
}

/// The checkpoint, and how long ago it was written.
pub(super) fn written_down(plan: &Plan) -> Result<(Option<Checkpoint>, Duration), Trouble> {
    match store::load(&plan.checkpoint)? {
        Found::Whole(found, age) => Ok((Some(found), age)),
        Found::Nothing => Ok((None, Duration::ZERO)),
        Found::Unreadable(why) => {
            (plan.say)(&why);
            Ok((None, Duration::ZERO))
        }
    }
}

impl Saving {
    pub(super) fn new(store: Store, sink: &str, counts: Counts) -> Self {
        Saving { store, sink: sink.to_owned(), counts, due: None, last: None, is_unsaved: false }
    }

    pub(super) fn acknowledged(&mut self, bytes: u64, gap: u64) {
        self.counts.bytes += bytes;
        self.counts.units += 1;
        self.counts.gaps += gap;
    }

    pub(super) fn put_off(&mut self, known: Known) {
        self.due = Some(known);
    }

    /// How long until there is something to save.
    pub(super) fn nap(&self) -> Duration {
        match (&self.due, self.last) {
            (Some(_), Some(last)) => EVERY.saturating_sub(last.elapsed()),
            (Some(_), None) => Duration::ZERO,
            (None, _) => Duration::MAX,
        }
    }

    /// Saves what was put off, if it is time.
    pub(super) fn save(&mut self, at_once: bool) -> Option<io::Result<()>> {
        if !at_once && !self.nap().is_zero() {
            return None;
        }
        let known = self.due.take()?;
        self.last = Some(Instant::now());
        let saved =
            self.store.save(&Checkpoint { sink: self.sink.clone(), known, counts: self.counts }.write());
        if saved.is_ok() {
            self.is_unsaved = false;
        }
        Some(saved)
    }

    /// What to say of one that could not be saved, if that is news.
    pub(super) fn not_saved(&mut self, path: &Path, e: &io::Error) -> Option<String> {
        let is_news = !std::mem::replace(&mut self.is_unsaved, true);
        is_news.then(|| {
            format!(
                "{}: the checkpoint cannot be saved: {e}; shipping goes on, and the log keeps what it has: free space, or make the directory writable",
                shown(path)
            )
        })
    }
}
