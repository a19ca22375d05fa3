//! What prune does to the files: announcing what is kept, giving blocks back, taking final segments away.
//!
//! `kept` is the label of the word that readers look at again after each `pread`: who has read what a punch left sees
//! that it is pruned.

use std::cell::OnceCell;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::time::SystemTime;

use super::guard::LogLock;
use super::meta::page_size;
use super::segments::Named;
use super::{Files, reboot};
use crate::crash::crash_point;
use crate::deadline::Deadline;
use crate::error::Fault;
use crate::holes;
use crate::layout::HOOK_BYTE;
use crate::metadata::Entry;
use crate::sync::Ordering;
use crate::sys::holders::{all_holders_of, has_open};
use crate::sys::lock::{self, Lease};
use crate::sys::place::Access;
use crate::sys::process::{self, Who, time_of};
use crate::sys::{alloc, fs};
use crate::times::Final;

/// When final segments became so, as the log has noted it; of others, what their files say.
pub(crate) struct FinalTimes<'a> {
    files: &'a Files,
    /// Read when the first segment is asked about: most logs that are looked at have none.
    noted: OnceCell<Vec<Final>>,
    current: Entry,
}

impl FinalTimes<'_> {
    /// What was noted of that one.
    pub(crate) fn noted(&self, generation: u64, base: u64) -> Option<&Final> {
        let noted = self.noted.get_or_init(|| self.files.noted_finals());
        noted.iter().find(|noted| (noted.generation, noted.base) == (generation, base))
    }

    /// When it became final, whose file says `changed`. That is asked only where nothing is noted: anybody may touch a file.
    /// Rotations set it. Those of earlier versions did not, so the newest one's is not believed below the time at which the
    /// current one began.
    pub(crate) fn since(&self, generation: u64, base: u64, changed: SystemTime) -> SystemTime {
        if let Some(at) = self.noted(generation, base).and_then(|noted| time_of(noted.ended.at_ns)) {
            return at;
        }
        let is_newest = generation.checked_add(1) == Some(self.current.generation);
        time_of(self.current.began_ns).filter(|_| is_newest).map_or(changed, |began| began.max(changed))
    }
}

impl Files {
    /// The first position that prune has left; what lies below is given up.
    pub(crate) fn first_kept(&self) -> u64 {
        let kept = self.meta.header().kept.first.load(Ordering::Acquire); // kept
        match !self.intent.writes() && !self.is_of_this_boot() {
            true => self.kept_by_recovery(kept),
            false => kept,
        }
    }

    /// After a power cut the file at the path may be one from before what was given up: then the recovery takes that back.
    #[cold]
    fn kept_by_recovery(&self, kept: u64) -> u64 {
        let Ok(segment) = self.renew() else { return kept };
        let len = segment.file().metadata().map_or(u64::MAX, |stat| stat.len());
        reboot::kept_of(kept, segment.base(), len)
    }

    /// When final segments became so.
    pub(crate) fn final_times(&self) -> FinalTimes<'_> {
        FinalTimes { files: self, noted: OnceCell::new(), current: self.meta.header().current() }
    }

    /// Takes a name of a final segment away, its bytes first; whether it was still that of the file that was
    /// looked at.
    ///
    /// An idle writer has the file mapped, an idle reader has it open, and both keep its blocks for as long as they sleep,
    /// and they run nothing of ours. So the file is cut once it has lost its name, unless it has another one, by which
    /// somebody wants it. (Not: before. What cannot lose its name, in a directory that this user may not write, would stay as an
    /// empty file.) What makes that sound:
    /// - Nobody stores to it: a rotation drains every append below its end before the segment is final, and an append that
    ///   comes later sees another base. A mapping that stays behind is never touched again, only unmapped: no SIGBUS.
    /// - Readers use `pread`. Below `first_kept`, which was published, and made durable, before, they look at that
    ///   word after each read, and report what is pruned. In a segment that was compressed they find the end too soon, and go on
    ///   in the copy, which has had its name, durably, before ([`Follower::next`](crate::Follower::next)). A file that is cut
    ///   becomes shorter before its pages go: NULs of those are never taken for content.
    /// - Syncs and recoveries need no bytes of it: callers have raised the checkpoint, or else `first_kept`, above it, and the
    ///   metadata on the disk knows that.
    /// - Killed in between, its blocks go with the last who has it open. Earlier software left an empty file: below `first_kept`
    ///   the next prune takes it away; beside a compressed copy the next compression does, and until then readers take the copy.
    ///
    /// Where the file cannot be opened for writing, somebody reads it who does not have the log open (a copy, a hook), or it
    /// is not known `until` then that nobody does, it loses the name alone, and its blocks go with the last who has it open.
    pub(crate) fn remove_final(&self, segment: &Named, until: &Deadline) -> Result<bool, Fault> {
        let file = match segment.open(Access::Write) {
            Ok(Some(file)) => {
                let stat = file.metadata().map_err(Fault::io("stat a final segment"))?;
                let is_it = stat.nlink() == 1 && fs::identity(&stat) == segment.id();
                (is_it && self.only_we_read(&file, until)).then_some(file)
            }
            _ => None,
        };
        crash_point("final:asked");
        let removed = match segment.remove() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            removed => removed.map_err(Fault::io("remove a final segment"))?,
        };
        if let Some(file) = file.filter(|file| file.metadata().is_ok_and(|stat| stat.nlink() == 0)) {
            crash_point("final:nameless");
            let _ = file.set_len(0);
            crash_point("final:cut");
        }
        Ok(removed)
    }

    /// Whether all who have a final segment open are known to have the log open as well, as far as this user may see.
    fn only_we_read(&self, file: &File, until: &Deadline) -> bool {
        // A hook's shell has inherited its turn.
        if self.ask_held(HOOK_BYTE).unwrap_or(true) {
            return false;
        }
        // Nobody has it, the kernel says: /proc, which takes a second for a thousand processes, need not be asked for each
        // segment that goes.
        if matches!(lock::try_lease(file, Lease::Write), Ok(true)) {
            return true;
        }
        let Some(others) = all_holders_of(file, until) else { return false };
        if others.is_empty() {
            return process::is_root();
        }
        let has_log = |who: &Who| self.wanted().is_some_and(|metadata| has_open(metadata, who.pid, until));
        others.iter().all(has_log)
    }

    /// The whole pages of the current data file below `position` that have blocks, as positions.
    pub(crate) fn blocks_below(&self, position: u64) -> Result<Option<Range<u64>>, Fault> {
        let segment = self.renew()?;
        let whole = |len: u64| len / page_size() * page_size();
        let first =
            fs::first_block(segment.file()).map_err(Fault::io("ask where the data file has blocks"))?;
        let (from, to) = (whole(first), whole(position.saturating_sub(segment.base())));
        Ok((from < to).then(|| segment.base() + from..segment.base() + to))
    }
}

impl LogLock<'_> {
    /// What lies below `position`, which is final and durable, is given up: readers no longer look there.
    pub(crate) fn keep_from(&self, position: u64) -> Result<(), Fault> {
        self.still_believed(None)?;
        let header = self.files.meta.header();
        let (kept, current) = (&header.kept, header.current());
        let noted = Entry {
            generation: kept.generation.load(Ordering::Relaxed),
            base: kept.base.load(Ordering::Relaxed),
            inode: kept.inode.load(Ordering::Relaxed),
            ..current
        };
        // The inode says that the others are its. (Not: the same inode, nothing to note. Its number is another file's once the
        // file is gone, and the first one that a file system gives again.)
        if position >= current.base && noted != current {
            kept.inode.store(0, Ordering::Relaxed);
            kept.generation.store(current.generation, Ordering::Release);
            kept.base.store(current.base, Ordering::Release);
            kept.inode.store(current.inode, Ordering::Release);
        } else if noted.base < position && noted != current {
            kept.inode.store(0, Ordering::Release);
        }
        self.files.meta.header().kept.first.fetch_max(position, Ordering::Release); // kept
        crash_point("prune:kept");
        holes::retain(self.files.meta.holes(), |h| h.end() > position);
        crash_point("prune:holes");
        Ok(())
    }

    /// Whether the file system can give blocks back; asked behind the file's end, where there are none.
    pub(crate) fn can_punch(&self) -> Result<(), Fault> {
        let end = self.data_len()?.next_multiple_of(page_size());
        let tried = alloc::punch(self.segment.file(), end, end + page_size());
        tried.map_err(Fault::io("give blocks back: the file system cannot punch holes"))
    }

    /// Gives the blocks of these positions back, all of which are below the first one that is kept.
    pub(crate) fn punch(&self, range: &Range<u64>) -> Result<(), Fault> {
        self.still_believed(None)?;
        let base = self.control().base();
        if range.start < base || range.end > self.files.first_kept() {
            return Err(Fault::OutOfRange {
                field: "first_kept",
                value: self.files.first_kept(),
                min: range.end,
                max: self.control().look().start,
            });
        }
        let punched = alloc::punch(self.segment.file(), range.start - base, range.end - base);
        punched.map_err(Fault::io("give the oldest blocks back"))
    }
}
