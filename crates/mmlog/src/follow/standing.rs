//! Whether a position that a consumer has noted means the same bytes still.

use super::Follower;
use crate::error::{At as _, Fault, Result};
use crate::files::Files;
use crate::files::reboot::foreseen::Unrecovered;
use crate::position::Position;
use crate::status::LogId;

/// What a position means now that was noted together with a [`LogId`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// What it meant then.
    Same,
    /// Nothing: it is one of another log.
    OtherLog,
    /// It was above what was durable when a later epoch began: other bytes may lie below it now.
    Changed {
        /// Below, all is as it was; `None` where that is not known, since too many epochs lie between, or earlier
        /// software began one of them.
        from: Option<Position>,
    },
}

impl Follower {
    /// What a position means here now that was noted under `id`.
    ///
    /// # Errors
    /// When nobody has recovered the log since the reboot, and its files cannot be looked at.
    ///
    /// ```
    /// # fn main() -> mmlog::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("app.log");
    /// use mmlog::{Log, Standing, Start};
    /// let log = Log::options().open_or_create(&path)?;
    /// log.writer()?.append(b"hello\n")?;
    /// let follower = log.follow(Start::Newest)?;
    /// let (id, position) = (follower.log_id(), follower.position());
    /// // Later, perhaps after a reboot:
    /// match log.follow(Start::Oldest)?.standing(id, position)? {
    ///     Standing::Same => { /* go on at `position` */ }
    ///     Standing::Changed { from } => println!("other bytes from {from:?} on"),
    ///     Standing::OtherLog => println!("start anew"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn standing(&self, id: LogId, position: Position) -> Result<Standing> {
        of(&self.files, id, position).at(self.files.path())
    }

    /// Whether nobody has recovered the log since the reboot. Its bytes are read as the recovery will leave them, as far
    /// as that can be told.
    ///
    /// # Errors
    /// When its files cannot be looked at.
    pub fn unrecovered(&self) -> Result<Option<Unrecovered>> {
        self.files.unrecovered().at(self.files.path())
    }
}

/// What a position means here.
fn of(files: &Files, id: LogId, position: Position) -> std::result::Result<Standing, Fault> {
    let header = files.meta.header();
    let now = LogId::of(&header.identity);
    if id.uuid != now.uuid {
        return Ok(Standing::OtherLog);
    }
    let foreseen = files.foreseen()?;
    // One that was noted before a recovery, for the epoch to come, is the same whether or not that has begun.
    if id.epoch == now.epoch && foreseen.is_none() || now.epoch.checked_add(1) == Some(id.epoch) {
        return Ok(Standing::Same);
    }
    let to_come = foreseen.map_or(u64::MAX, |found| found.same_below);
    Ok(match header.same_below(id.epoch, now.epoch).map(|from| from.min(to_come)) {
        Some(from) if position.get() <= from => Standing::Same,
        from => Standing::Changed { from: from.map(Position::new) },
    })
}
