//! A writer's slot: had, kept while appends do not work, given up.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use super::trouble::Doubt;
use super::{Others, Writer};
use crate::chunks::Lane;
use crate::durable::{self, Need};
use crate::error::{At, Error, Fault, Result};
use crate::files::Files;
use crate::files::owner::Operation;
use crate::layout::SlotHot;

impl Writer {
    #[cold]
    #[inline(never)]
    pub(super) fn register_anew(&mut self, len: u64) -> std::result::Result<u32, Fault> {
        self.straight.forget();
        if self.doubt.is_some() {
            self.is_whole()?;
        }
        let slot = match self.waiting_slot.take() {
            Some(slot) => slot,
            None => {
                let slot = self.files.claim()?;
                self.floor = self.floor.max(self.files.control().look().start);
                (self.messages, self.bytes, self.others) = (0, 0, Others::default());
                self.clock.look_soon();
                slot
            }
        };
        self.slot = Some(slot);
        if let Some(doubt) = self.doubt {
            self.look_into(doubt, len)?;
            self.doubt = None;
        }
        Ok(slot)
    }

    /// After an append that could not be stored: whether another can, before it takes a range.
    #[cold]
    fn look_into(&self, doubt: Doubt, len: u64) -> std::result::Result<(), Fault> {
        // Whoever takes the lock compares the data file with what the metadata promises.
        let guard = self.files.lock(Operation::Settle, &self.files.patience())?;
        guard.settle_all();
        doubt.clear(&guard, &self.lane.segment, len)
    }

    fn is_whole(&self) -> std::result::Result<(), Fault> {
        match self.files.intact() {
            // The file is whole, only the mapping is not its any more: map it anew.
            Err(Fault::NoSpace { .. }) => Err(Fault::Replaced),
            intact => intact,
        }
    }

    /// The writer's slot says what its next append waits for. Once the metadata is cut, this mapping of it is of no use
    /// to that append.
    #[cold]
    pub(super) fn failed(&mut self, fault: Fault, len: u64) -> Error {
        if self.files.meta.is_cut() {
            self.leave();
            self.doubt = Some(Doubt::default());
        }
        let hot = hot_of(&self.files, self.slot);
        if self.held_up.failed(self.files.control(), hot, &fault, len) {
            self.waiting_slot = self.slot.take();
            self.straight.forget();
        }
        fault.at(self.files.path())
    }

    /// Says, to whoever looks at the log, that nothing more is appended until somebody reads what this program writes
    /// elsewhere, such as a copy on its standard output; and, by `false`, that it was read. Like all that a slot says of waiting
    /// it decides nothing. A program that only waits in `write(2)` need not: that can be seen.
    pub fn waits_for_reader(&self, waits: bool) {
        let slot = self.slot.filter(|_| !self.files.is_stale() && !self.files.meta.is_cut());
        let Some(hot) = hot_of(&self.files, slot) else { return };
        match waits {
            true => hot.wants_a_reader(),
            false => hot.wants_nothing(),
        }
    }

    /// Tells whoever looks at the log that this writer's program does not wait until appends work again: so many bytes it has
    /// dropped since they have not. The next one that works ends that; where the last one did, this does nothing.
    ///
    /// ```
    /// # fn main() -> mmlog::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// let log = mmlog::Log::options().open_or_create(dir.path().join("app.log"))?;
    /// let (mut writer, mut dropped) = (log.writer()?, 0);
    /// for message in [b"one\n", b"two\n"] {
    ///     match writer.append(message) {
    ///         Err(e) if e.fault().class() == mmlog::Class::Retry => {
    ///             dropped += message.len() as u64;
    ///             writer.drops(dropped);
    ///         }
    ///         appended => drop(appended?),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn drops(&mut self, bytes: u64) {
        let slot = self.slot.or(self.waiting_slot).filter(|_| !self.files.is_stale());
        self.held_up.drops(hot_of(&self.files, slot), bytes);
    }

    /// Becomes a writer of the log that has its names now: in a forked child, which leaves what its parent
    /// holds back to the parent, or after a replacement.
    #[cold]
    pub(super) fn reattach(&mut self) -> Result<()> {
        self.straight.forget();
        if self.files.is_stale() {
            self.held.clear();
            (self.slot, self.waiting_slot) = (None, None);
        }
        let files = Arc::new(self.files.open_or_make_there()?);
        if self.syncs && !self.files.is_stale() {
            sync_what_is_left(&self.files, self.end).at(self.files.path())?;
        }
        self.leave();
        self.lane = Lane::new(files.segment().at(files.path())?);
        let is_same = !self.files.is_stale() && files.is_same_file(&self.files);
        self.files = files;
        (self.doubt, self.floor) = (None, 0);
        self.end = if is_same { self.end } else { 0 };
        self.register(0).at(self.files.path()).map(drop)
    }

    /// A forked child looks when it has files of its own.
    pub(super) fn look_at_time_if_due(&mut self) {
        if self.messages >= self.clock.due() && !self.files.is_stale() {
            self.clock.look(&self.files, self.messages);
        }
    }

    pub(super) fn leave(&mut self) {
        self.straight.forget();
        for slot in [self.slot.take(), self.waiting_slot.take()].into_iter().flatten() {
            self.files.release(slot);
        }
    }
}

fn hot_of(files: &Files, slot: Option<u32>) -> Option<&SlotHot> {
    files.meta.slots().get(slot? as usize).map(|slot| &slot.hot)
}

/// Before a writer leaves these files for others: makes durable what it appended there, where they have names still. Where
/// they have none, nobody will read them again.
#[cold]
pub(super) fn sync_what_is_left(files: &Files, end: u64) -> std::result::Result<(), Fault> {
    if end == 0 || files.meta.is_cut() {
        return Ok(());
    }
    let stat = files.segment()?.file().metadata().map_err(Fault::io("stat the data file"))?;
    if stat.nlink() == 0 {
        return Ok(());
    }
    match durable::sync_to(files, end, Need::Checkpoint, &files.patience()) {
        // What keeps it from being final there is for whoever takes the log's lock, whose files have to have their names.
        Err(Fault::Replaced) => Ok(()),
        synced => synced,
    }
}
