//! Whether a position that a consumer has noted means the same bytes still.

use super::Follower;
use crate::error::{At as _, Fault, Result};
use crate::files::Files;
use crate::files::reboot::foreseen::Unrecovered;
use crate::layout::WENT_ON;
use crate::metadata::Beginning;
use crate::position::Position;
use crate::status::LogId;

/// What a position means now that was noted together with a [`LogId`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// What it meant then.
    Same,
    /// Nothing: it is one of another log.
    OtherLog,
    /// When a later epoch began, the log ended below it: a reboot cost it bytes that were read before.
    Lost {
        /// There it ended and went on. Whoever has read everything below the position goes on here: all that is here and
        /// behind is new.
        from: Position,
    },
    /// It was above what was durable when earlier software began a later epoch, which does not say where the log ended
    /// then: other bytes may lie below it now.
    Changed {
        /// Below, all is as it was; `None` where that is not known, since too many epochs lie between.
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
    ///     Standing::Lost { from } => { /* go on at `from` */ }
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
    let between = now.epoch.checked_sub(id.epoch).filter(|between| *between <= WENT_ON as u64);
    let known =
        between.and_then(|_| (id.epoch..now.epoch).map(|epoch| header.beginning(epoch + 1)).collect());
    let Some(mut beginnings): Option<Vec<_>> = known else { return Ok(Standing::Changed { from: None }) };
    beginnings.extend(foreseen.map(|found| Beginning::WentOn(found.end)));
    Ok(after(&beginnings, position.get()))
}

/// What a position means after these.
fn after(beginnings: &[Beginning], position: u64) -> Standing {
    let (mut at, mut certain, mut is_known) = (position, position, true);
    for beginning in beginnings {
        match *beginning {
            Beginning::WentOn(end) => (at, certain) = (at.min(end), certain.min(end)),
            Beginning::SameBelow(from) => {
                is_known &= at <= from;
                certain = certain.min(from);
            }
        }
    }
    match is_known {
        false => Standing::Changed { from: Some(Position::new(certain)) },
        true if at == position => Standing::Same,
        true => Standing::Lost { from: Position::new(at) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Beginning::{SameBelow, WentOn};

    #[test]
    fn a_position_goes_on_at_the_lowest_end_since_and_by_the_old_rule_where_an_end_is_not_said() {
        let lost = |from| Standing::Lost { from: Position::new(from) };
        let changed = |from| Standing::Changed { from: Some(Position::new(from)) };
        for (beginnings, standing) in [
            (&[WentOn(100)][..], Standing::Same),
            (&[WentOn(99)], lost(99)),
            (&[WentOn(70), WentOn(300)], lost(70)),
            (&[WentOn(70), WentOn(60)], lost(60)),
            (&[SameBelow(100), WentOn(200)], Standing::Same),
            (&[SameBelow(99)], changed(99)),
            // What is lost then is no longer above.
            (&[WentOn(70), SameBelow(80)], lost(70)),
            (&[SameBelow(80), WentOn(70)], changed(70)),
        ] {
            assert_eq!(after(beginnings, 100), standing, "{beginnings:?}");
        }
    }
}
