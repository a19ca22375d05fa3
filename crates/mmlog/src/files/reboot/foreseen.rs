//! What readers see of a log that nobody has recovered since the reboot: what the recovery will leave, looked at
//! without changing anything. An archive that nobody writes to again is read like this for ever.
//!
//! The recovery raises the epoch and changes no byte of what was foreseen, so positions up to there are those of the
//! epoch to come. Should the log be in use in this boot after all, by somebody with another boot id who has it closed
//! just now, then no epoch comes, and the bytes are what they are.

use std::sync::{Arc, PoisonError};

use super::Left;
use super::segments::lacking;
use crate::error::{Class, Fault};
use crate::files::boot::Boot;
use crate::files::content::{cannot_read, extent_without, last_byte};
use crate::files::{Files, Intent};
use crate::holes::{self, Hole, HoleKind};
use crate::layout::LOCK_BYTE;
use crate::sync::Ordering;

/// What a recovery would leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Foreseen {
    /// Where the log would end.
    pub(crate) end: u64,
    /// What it would note, besides what is in the table.
    pub(crate) holes: Vec<Hole>,
    /// It is about this file, of that length.
    file: (u64, u64),
}

/// A log that nobody has recovered since the reboot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unrecovered {
    /// Everything below was durable.
    pub synced: u64,
    /// Up to there the data file has bytes, as far as they have reached the disk.
    pub end: u64,
    /// The next append recovers it. Not where this process cannot tell whether the machine was rebooted: a repair does.
    pub by_append: bool,
}

impl Unrecovered {
    /// Whether that is worth a word: nothing is uncertain of a log that was durable to its end.
    #[must_use]
    pub fn matters(&self) -> bool {
        self.end > self.synced || !self.by_append
    }
}

impl Files {
    /// Where the log ends: the cursor, or where a recovery would set it.
    pub(crate) fn end(&self) -> Result<u64, Fault> {
        Ok(self.foreseen()?.map_or_else(|| self.control().look().start, |found| found.end))
    }

    /// For readers of a log of another boot. `None` where its files do not fit together, so that only the checkpoint is
    /// certain; an error where they could not be looked at.
    #[inline]
    pub(crate) fn foreseen(&self) -> Result<Option<Arc<Foreseen>>, Fault> {
        if self.intent != Intent::Read { Ok(None) } else { self.recovery() }
    }

    /// The same, for who judges what is there.
    pub(crate) fn recovery(&self) -> Result<Option<Arc<Foreseen>>, Fault> {
        if self.is_of_this_boot() {
            return Ok(None);
        }
        if_whole(self.looked_ahead())
    }

    #[cold]
    fn looked_ahead(&self) -> Result<Option<Arc<Foreseen>>, Fault> {
        let mut known = self.foreseen.lock().unwrap_or_else(PoisonError::into_inner);
        let segment = self.renew()?;
        let len = segment.file().metadata().map_err(Fault::io("stat the data file"))?.len();
        let file = (segment.inode(), len);
        if known.as_ref().is_none_or(|known| known.file != file) {
            *known = None;
            let found = self.foresee(file)?;
            // Whoever recovers it just now has changed what was looked at.
            let is_still = !self.is_held(LOCK_BYTE) && !self.is_of_this_boot() && self.intact().is_ok();
            *known = is_still.then(|| Arc::new(found));
        }
        Ok(known.clone())
    }

    fn foresee(&self, file: (u64, u64)) -> Result<Foreseen, Fault> {
        let segment = self.renew()?;
        let left = Left::of(self, segment.file(), segment.base())?;
        let (base, synced) = (left.base, left.synced);
        let in_doubt: Vec<Hole> = self.meta.slots().iter().filter_map(|slot| left.in_doubt(slot)).collect();
        let mut noted = holes::all(self.meta.holes());
        noted.retain(|h| left.keeps(h));
        noted.extend(in_doubt.iter().cloned());
        let torn = |h: &&Hole| h.kind == HoleKind::Torn && h.start >= synced;
        let zeroed: Vec<_> = noted.iter().filter(torn).map(|h| (h.start - base, h.end() - base)).collect();
        let found = extent_without(segment.file(), synced - base, left.len, &zeroed, self.waits())?;
        let end = base + found.end;
        let mut holes = left.lost(&found.missing, &lacking(self)?, &noted);
        holes.extend(in_doubt);
        holes.retain(|h| h.end() <= end);
        Ok(Foreseen { end, holes, file })
    }

    /// Bytes that the data file has to have after a reboot.
    pub(crate) fn certain(&self) -> u64 {
        let base = self.current_segment().map_or(0, |entry| entry.base);
        self.meta.header().checkpoint.synced().saturating_sub(base)
    }

    /// The epoch of what is read now.
    pub(crate) fn epoch(&self) -> Result<u64, Fault> {
        let epoch = self.meta.header().identity.epoch.load(Ordering::Acquire); // epoch
        Ok(epoch.saturating_add(u64::from(self.foreseen()?.is_some())))
    }

    /// How much waits for a recovery, if it does; the last bytes of the file are looked at, not all of it.
    pub(crate) fn unrecovered(&self) -> Result<Option<Unrecovered>, Fault> {
        if self.is_of_this_boot() {
            return Ok(None);
        }
        let look = || {
            let synced = self.meta.header().checkpoint.synced();
            let segment = self.renew()?;
            let left = Left::of(self, segment.file(), segment.base())?;
            let end = last_byte(segment.file(), left.synced - left.base, left.len);
            let end = end.map_err(cannot_read())?;
            let by_append = !matches!(self.boot(), Ok(Boot::Unknown));
            Ok(Some(Unrecovered { synced, end: left.base + end, by_append }))
        };
        if_whole(look())
    }
}

/// Nothing is foreseen of a log whose files do not fit together.
fn if_whole<T>(seen: Result<Option<T>, Fault>) -> Result<Option<T>, Fault> {
    match seen {
        Err(fault) if fault.class() == Class::Damaged => Ok(None),
        seen => seen,
    }
}
