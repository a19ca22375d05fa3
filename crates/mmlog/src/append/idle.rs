//! What a writer does while nothing comes.

use std::sync::Arc;

use super::Writer;
use crate::files::Files;

impl Writer {
    pub(crate) fn files(&self) -> &Arc<Files> {
        &self.files
    }

    /// Closes and unmaps what it has of a segment that was rotated away. The next append does that too; a program that
    /// appends seldom calls it every few seconds, so that the blocks of removed segments are free before that. Where nothing
    /// was rotated it costs one load.
    ///
    /// ```
    /// # fn main() -> mmlog::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// let log = mmlog::Log::options().open_or_create(dir.path().join("app.log"))?;
    /// let mut writer = log.writer()?;
    /// writer.append(b"the last line for hours\n")?;
    /// log.rotate(&mmlog::Rotation::default())?;
    /// writer.let_go();
    /// writer.append(b"a line in the new segment\n")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn let_go(&mut self) {
        let base = self.files.control().base();
        if self.files.is_stale() {
            return;
        }
        // In the middle of a rotation the next look does it.
        if base != self.lane.segment.base()
            && let Ok(segment) = self.files.renew()
            && segment.base() == base
        {
            self.retired = self.lane.move_to(segment);
        }
        self.retired = None;
    }
}
