//! What somebody who is no writer has put behind the log's end, by `>>`.
//!
//! At rest the data file is a plain file, so such bytes belong to the log: whoever takes its lock takes them over,
//! in three stores.
//!
//! 1. `file_size`. Nobody reserves by it.
//! 2. The cursor, by compare-and-exchange: whoever has reserved since it was looked at (a writer that had looked before
//!    the file was cut there) wins, and the log is not at rest.
//! 3. The limit. Only now is there a position for others behind the new end.
//!
//! What it leaves out before those bytes is noted before the limit; a word says from where on, should its owner die first.
//!
//! Who dies in between leaves a limit below the size, as a grower does; but a grower leaves zeros there. The cursor
//! tells how far it came: behind the new end, or at it, the bytes are the log's (or of those who reserved there, who
//! will store their own); below it, the size is taken back to it, and all begins anew.
//!
//! Where somebody writes, space is allocated ahead, and what `>>` puts behind that has no position: it is cut off, and
//! counted. Where nobody has a slot the space between the cursor and those bytes, which a dead writer has left, becomes a
//! hole.
//!
//! Bytes that the log's own writers have put there, where older metadata came back, are no stranger's: [`behind`](super::behind).
//!
//! Just before the cut the length is looked at once more. What lands between that look and the cut, microseconds, is lost
//! uncounted: `ftruncate` does not say what it cuts, nothing keeps others from writing in between (a lease is not to be had
//! while the log is open, locks bind only who asks), and neither times nor blocks tell afterwards that bytes had been there.

use std::sync::atomic::Ordering;

use super::Files;
use super::content::first_byte;
use super::guard::LogLock;
use crate::crash::crash_point;
use crate::error::Fault;
use crate::holes::Hole;
use crate::layout::Control;
use crate::sys::process;

/// How often a file that becomes longer is looked at again, before it is cut.
const LOOKS: u32 = 8;

impl Files {
    /// That something was cut off is told no more; how much it was stays counted.
    pub(crate) fn forget_cut(&self) {
        self.meta.header().outside.cut_ns.store(0, Ordering::Relaxed);
    }

    /// Whether somebody has a slot, this handle included.
    fn anybody_writes(&self) -> Result<bool, Fault> {
        let mine = self.own.iter().any(|word| word.load(Ordering::Acquire) != 0);
        Ok(mine || self.any_writer()?)
    }

    /// How many bytes lie behind the end of a log that nobody writes to, which the next owner of its lock takes over.
    pub(crate) fn waiting_outside(&self) -> Result<u64, Fault> {
        let (bytes, is_live) = self.outside()?;
        Ok(if is_live { 0 } else { bytes })
    }

    /// How many bytes of an outsider lie behind the end, and whether somebody writes, who will cut them off.
    pub(crate) fn outside(&self) -> Result<(u64, bool), Fault> {
        let nothing = Ok((0, false));
        let control = self.control();
        let (file_size, base) = (control.file_size(), control.base());
        // None is open of a log that is only looked at: that is damage, and told as such.
        let Ok(segment) = self.segment() else { return nothing };
        let found = segment.file().metadata().map_err(Fault::io("stat the data file"))?.len();
        // A file that took its place has bytes of its own.
        let is_ours = (segment.base(), segment.inode()) == (base, self.meta.header().current().inode);
        // What a reboot left is the recovery's to judge.
        let believed = is_ours && self.is_of_this_boot();
        let fits = believed && control.look().start <= base.saturating_add(file_size);
        if found <= file_size || !fits || self.is_version_1() {
            return nothing;
        }
        let first = first_byte(segment.file(), file_size, found).map_err(Fault::io("read the data file"))?;
        let is_live = self.anybody_writes()?;
        // Nobody has made them a part of it meanwhile, to store there.
        let still = control.file_size() == file_size && control.base() == base;
        // The log's own is damage, and told as such.
        let is_a_strangers = || matches!(self.came_after(&segment), Ok(None) | Err(Fault::Stalled { .. }));
        let first = first.filter(|_| is_a_strangers());
        Ok(first.filter(|_| still).map_or((0, is_live), |_| (found - file_size, is_live)))
    }
}

impl LogLock<'_> {
    /// Takes back what somebody announced who died before the cursor had moved. Returns the size that holds.
    pub(super) fn undo_take_over(&self, file_size: u64, limit: u64) -> Result<u64, Fault> {
        let control = self.control();
        let (base, end) = (control.base(), control.base() + file_size);
        // Not below the cursor: where somebody has reserved, he stores.
        let from = limit.max(control.look().start);
        if limit >= end || from < base || from >= end {
            return Ok(file_size);
        }
        let from = from - base;
        match self.first_byte(from, file_size)? {
            None => Ok(file_size),
            Some(_) => self.announce_size(file_size, from).map(|()| from),
        }
    }

    /// Takes over what lies between `file_size` and `found`, the data file's length, if it is an outsider's and the log
    /// is at rest; else cuts it off.
    pub(super) fn take_over_or_cut(&self, file_size: u64, mut found: u64) -> Result<(), Fault> {
        self.nothing_from(self.control().look().start)?;
        self.nothing_came_after()?;
        for _ in 0..LOOKS {
            if self.take_over(file_size, found)? {
                return Ok(());
            }
            match self.data_len()? {
                longer if longer > found => found = longer,
                _ => break,
            }
        }
        self.count_outside(file_size)?;
        self.cut(file_size)
    }

    /// Counts what `>>` has put behind `file_size`, which is about to be cut off.
    pub(super) fn count_outside(&self, file_size: u64) -> Result<(), Fault> {
        let found = self.data_len()?;
        if found > file_size
            && let Some(first) = self.first_byte(file_size, found)?
        {
            self.count_cut_off(found - first);
        }
        Ok(())
    }

    fn first_byte(&self, from: u64, to: u64) -> Result<Option<u64>, Fault> {
        first_byte(self.segment.file(), from, to).map_err(Fault::io("read the data file"))
    }

    /// False when there is nothing to keep.
    fn take_over(&self, file_size: u64, found: u64) -> Result<bool, Fault> {
        let control = self.control();
        let cursor = control.look();
        let Some(first) = self.first_byte(file_size, found)? else { return Ok(false) };
        let (base, end) = (control.base(), control.base() + file_size);
        let is_at_rest = cursor.start == end || cursor.start < end && !self.files.anybody_writes()?;
        if !is_at_rest || !Control::has_positions(base, found) {
            return Ok(false);
        }
        self.still_believed(None)?;
        self.announce_size(file_size, found)?;
        crash_point("outside:size");
        let nothing = Hole::unwritten(cursor.start, base + first);
        let from = &self.files.meta.header().outside.from;
        if nothing.len > 0 {
            from.store(cursor.start + 1, Ordering::Release);
        }
        if !control.move_cursor(cursor, base + found) {
            from.store(0, Ordering::Release);
            self.announce_size(found, file_size)?;
            return Ok(false);
        }
        crash_point("outside:cursor");
        self.note_nothing(&nothing);
        crash_point("outside:hole");
        if !control.exchange_limit(end, base + found) {
            let value = control.limit();
            return Err(Fault::OutOfRange { field: "limit", value, min: end, max: end });
        }
        crash_point("outside:limit");
        self.files.meta.header().outside.taken.fetch_add(found - first, Ordering::Relaxed);
        self.files.wake_waiters();
        self.files.wake_followers();
        Ok(true)
    }

    /// What lies before the bytes that were taken over, and is nobody's, becomes a hole without blocks.
    fn note_nothing(&self, nothing: &Hole) {
        if nothing.len > 0 {
            self.note_hole(nothing);
            // It reads as NULs with them, too.
            let _ = self.zero(nothing);
        }
        self.files.meta.header().outside.from.store(0, Ordering::Release);
    }

    /// Notes the hole of a take-over whose owner died when the cursor had moved. Where it had not, somebody may have
    /// reserved there since, and has stored bytes, or a limit below them keeps him waiting.
    pub(super) fn finish_take_over(&self, file_size: u64, limit: u64) -> Result<(), Fault> {
        let word = &self.files.meta.header().outside.from;
        let Some(from) = word.load(Ordering::Acquire).checked_sub(1) else { return Ok(()) };
        let base = self.control().base();
        let (cursor, end) = (self.control().look().start, base + file_size);
        let moved = base <= from && from <= limit && limit < end && end <= cursor;
        let first = match moved {
            true => self.first_byte(from - base, file_size)?.filter(|first| base + first >= limit),
            false => None,
        };
        self.note_nothing(&Hole::unwritten(from, first.map_or(from, |first| base + first)));
        Ok(())
    }

    fn count_cut_off(&self, bytes: u64) {
        let counts = &self.files.meta.header().outside;
        counts.cut.fetch_add(bytes, Ordering::Relaxed);
        counts.cuts.fetch_add(1, Ordering::Relaxed);
        counts.cut_ns.store(process::now_ns(), Ordering::Relaxed);
    }

    fn announce_size(&self, seen: u64, file_size: u64) -> Result<(), Fault> {
        let control = self.control();
        if !control.exchange_size_only(seen, file_size) {
            let value = control.file_size();
            return Err(Fault::OutOfRange { field: "file_size", value, min: seen, max: file_size });
        }
        self.now_believed(file_size);
        Ok(())
    }
}
