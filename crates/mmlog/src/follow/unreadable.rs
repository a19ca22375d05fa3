//! Going on behind a final segment that cannot be read.

use std::ops::Range;

use super::Follower;
use super::source::Source;
use crate::error::{At, Result};

impl Follower {
    /// Goes on behind a final segment of which [`next`](Self::next) said an error: damaged, not to be opened by this user,
    /// on a disk that fails. Gives the positions that are left out so, from where it is to the segment's end. `None`, and it
    /// stays where it is, in the current segment, which has no end yet.
    ///
    /// An error alone moves nothing: whoever calls `next` again tries again. That is right where the cause may pass (no
    /// descriptor left, say), and for whoever must not miss a byte.
    ///
    /// # Errors
    /// When the directory cannot be read, which tells where the segment ends.
    ///
    /// ```
    /// # fn main() -> mmlog::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("app.log");
    /// # mmlog::Log::options().open_or_create(&path)?.writer()?.append(b"x\n")?;
    /// use mmlog::{Log, Next, Start};
    /// let log = Log::options().open_reader(&path)?;
    /// let (mut follower, mut buf) = (log.follow(Start::Oldest)?, [0; 4096]);
    /// loop {
    ///     match follower.next(&mut buf) {
    ///         Ok(Next::CaughtUp) => break,
    ///         Ok(_) => {}
    ///         Err(error) => match follower.pass_unreadable()? {
    ///             Some(lost) => eprintln!("[{}, {}): {error}", lost.start, lost.end),
    ///             None => return Err(error),
    ///         },
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn pass_unreadable(&mut self) -> Result<Option<Range<u64>>> {
        if self.files.is_version_1() || self.at >= self.watermark {
            return Ok(None);
        }
        let start = self.at;
        let end = Source::end_of_final(&self.files, start).at(self.files.path())?;
        Ok(end.map(|end| {
            self.at = end.min(self.watermark);
            start..self.at
        }))
    }
}
