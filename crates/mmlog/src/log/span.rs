//! Finding by time.

use std::time::SystemTime;

use super::Log;
use crate::error::{At, Result};
use crate::span::{self, Jump, Pair, Span};

impl Log {
    /// The positions of a time: a range that holds every message whose append began or ended in it, and perhaps more. Two
    /// reads of the metadata file and a look at the directory, whatever the length of the log; no byte of it is read.
    ///
    /// ```
    /// # fn main() -> mmlog::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("app.log");
    /// let log = mmlog::Log::options().open_or_create(&path)?;
    /// let began = std::time::SystemTime::now();
    /// let at = log.writer()?.append(b"hello\n")?;
    /// let span = log.span(Some(began), None)?;
    /// assert!(span.from <= at.get() && span.to.is_none());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the log's directory cannot be read, and as [`cursor`](Self::cursor).
    pub fn span(&self, since: Option<SystemTime>, until: Option<SystemTime>) -> Result<Span> {
        span::span(&*self.files.of_this_process()?, since, until).at(self.path())
    }

    /// When which positions were reached, by position: once a second at best, and the rarer the longer ago, 30 days of a log
    /// that is always written to. Nothing of logs that earlier versions made.
    ///
    /// # Errors
    /// As [`cursor`](Self::cursor).
    pub fn pairs(&self) -> Result<Vec<Pair>> {
        span::pairs(&*self.files.of_this_process()?).at(self.path())
    }

    /// When somebody set the clock while the log was written, by position; the latest of them, where there were many.
    ///
    /// # Errors
    /// As [`cursor`](Self::cursor).
    pub fn jumps(&self) -> Result<Vec<Jump>> {
        span::jumps(&*self.files.of_this_process()?).at(self.path())
    }
}
