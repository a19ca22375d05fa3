//! Which segment the file at the path is, after a reboot: the names in the directory are the truth, the metadata may be
//! older or newer than they are, by any number of rotations.
//!
//! - Its inode is that of the newer entry: nothing was half done.
//! - It is that of the entry before: the rename of the last rotation did not reach the disk. The log goes on there.
//! - The newest final name is that of the current entry's file, or of a later generation: rotations reached the disk that
//!   the metadata does not know of. Or names of generations before the current one are missing: the metadata knows of
//!   rotations that did not reach the disk. In both the file at the path is the generation behind the newest final
//!   segment, its base where that one's data ends.
//!
//! An inode number is another file's once its own is gone. So whoever takes a final segment away makes durable before that it
//! is final ([`durable`](crate::durable)), names included: the file at the path is none from before. And the entry of the
//! rotation that a recovery undoes is forgotten.

use std::fs::File;
use std::ops::Range;

use crate::crash::crash_point;
use crate::deadline::Waits;
use crate::error::Fault;
use crate::files::Files;
use crate::files::boot::Boot;
use crate::files::content::{extent, last_byte};
use crate::files::exchange::cut;
use crate::files::guard::LogLock;
use crate::files::segment_dir::{Named, SegmentDir};
use crate::layout::{Header, Segment};
use crate::metadata::{Entry, JOURNAL_ROTATE};
use crate::sync::Ordering;
use crate::sys::place::{Access, Part};
use crate::sys::{fs, process};

/// The current segment: as the metadata has it, or, until somebody has recovered after a reboot, as the names have it.
/// `dir` is where those are: not asked for nearly always.
pub(in crate::files) fn current(
    dir: impl FnOnce() -> Result<SegmentDir, Fault>,
    header: &Header,
    boot: Boot,
    waits: &Waits,
) -> Result<Entry, Fault> {
    let entry = header.current();
    match boot {
        Boot::This => Ok(entry),
        Boot::Another | Boot::Unknown => {
            Ok(at_path(&dir()?, header, waits)?.map_or(entry, |found| found.entry))
        }
    }
}

/// The segment at the path, and a final one that has to end where it begins.
struct Found {
    entry: Entry,
    behind: Option<Named>,
}

/// `None` where it cannot be told.
fn at_path(dir: &SegmentDir, header: &Header, waits: &Waits) -> Result<Option<Found>, Fault> {
    let look = || Fault::io("stat the log's segments");
    let Some(data) = dir.place().find(Part::Data).map_err(look())? else { return Ok(None) };
    let (inode, born_ns) = (data.id.1, data.born_ns.unwrap_or(0));
    let known = |entry| Ok(Some(Found { entry, behind: None }));
    let [newer, older] = entries(header);
    let is_of = |entry: &Entry| entry.is(inode, data.born_ns);
    if is_of(&newer) {
        return known(newer);
    }
    let rotating =
        header.journal.kind() == JOURNAL_ROTATE && header.journal.new_inode.load(Ordering::Relaxed) == inode;
    let current = header.current();
    // The entry may be of another write-back than the identity, which the data file confirms.
    let is_another = current.inode == inode && !is_of(&current);
    if header.identity.inode.load(Ordering::Relaxed) == inode && !rotating && !is_another {
        let (base, generation) = (header.control.base(), header.generation());
        return known(Entry { generation, base, inode, born_ns, ..current });
    }
    if is_of(&older) && !is_gone(dir, header, &older, &newer)? {
        return known(older);
    }
    let newest = dir.named_back_to(.., |n| n.id().1 != inode)?.into_iter().find(|n| n.id().1 != inode);
    let began_ns = process::now_ns();
    let Some(newest) = newest else {
        // Nor did one after the last final segment was removed; its rename had.
        let kept = &header.kept;
        if kept.inode.load(Ordering::Acquire) == inode {
            let (generation, base) =
                (kept.generation.load(Ordering::Relaxed), kept.base.load(Ordering::Relaxed));
            return known(Entry { generation, base, inode, began_ns, born_ns });
        }
        // Not one rotation reached the disk.
        let generation = current.generation.max(header.generation());
        let nothing_left = header.kept.first.load(Ordering::Acquire) == 0
            && header.policy.olddir_changes.load(Ordering::Acquire) == 0;
        let is_first = generation > 0 && nothing_left;
        let first = Entry { generation: 0, base: 0, inode, began_ns, born_ns };
        return Ok(is_first.then_some(Found { entry: first, behind: None }));
    };
    let generation = newest.says.generation + 1;
    // All names are there, and it is none of theirs; or nobody knows how long a compressed one was.
    if generation == current.generation || newest.says.compression.is_some() {
        return Ok(None);
    }
    let base = newest.says.base + end_of(header, &newest, waits)?.1;
    Ok(Some(Found { entry: Entry { generation, base, inode, began_ns, born_ns }, behind: Some(newest) }))
}

/// The entries, the newer one first. Each is whole, whatever the rest of the metadata is of: a rotation stores to the one that
/// it does not need any more. (Not: the one of the current generation. That may be of another write-back.)
fn entries(header: &Header) -> [Entry; 2] {
    let [a, b] = header.segments.each_ref().map(Segment::get);
    if a.generation < b.generation { [b, a] } else { [a, b] }
}

/// Whether the segment of that entry cannot be at the path any more: another file has its inode number by now. It is given up,
/// or something is final that cannot be before it is.
fn is_gone(dir: &SegmentDir, header: &Header, entry: &Entry, next: &Entry) -> Result<bool, Fault> {
    let follows = entry.generation.checked_add(1) == Some(next.generation);
    if !follows || header.kept.first.load(Ordering::Acquire) >= next.base {
        return Ok(true);
    }
    match dir.named_of(entry.generation..) {
        Err(fault) if fault.is_denied() => Ok(false),
        named => Ok(named?.iter().any(|n| n.id().1 != entry.inode)),
    }
}

/// A final segment that the metadata does not know to be one, or not where it ends; its length, and up to where it has
/// bytes.
fn end_of(header: &Header, segment: &Named, waits: &Waits) -> Result<(u64, u64), Fault> {
    let look = || Fault::io("read a final segment");
    let Some(file) = segment.open(Access::Read)? else {
        return Err(look()(std::io::ErrorKind::NotFound.into()));
    };
    loop {
        let len = file.metadata().map_err(look())?.len();
        let from = header.checkpoint.synced().saturating_sub(segment.says.base).min(len);
        match extent(&file, from, len, waits) {
            // Whoever has the lock cuts it just now.
            Err(Fault::Io { source, .. }) if source.kind() == std::io::ErrorKind::UnexpectedEof => {}
            found => return Ok((len, found?.end)),
        }
    }
}

/// The plain final segments that have positions at or behind `from`, and the newest one, oldest first, each with where the next
/// one begins.
fn with_ends(files: &Files, from: u64) -> Result<Vec<(Named, u64)>, Fault> {
    let current = files.current_segment()?;
    let named = match files.log_directory()?.named_back_to(..current.generation, |n| n.says.base <= from) {
        Err(fault) if fault.is_denied() => return Ok(Vec::new()),
        named => named?,
    };
    let of = |n: &Named| (n.says.generation, n.says.base);
    let nexts: Vec<_> = named.iter().skip(1).map(of).chain([(current.generation, current.base)]).collect();
    let follows = |n: &Named, next: u64| n.says.generation.checked_add(1) == Some(next);
    let plain =
        named.into_iter().zip(nexts).filter(|(n, next)| n.says.compression.is_none() && follows(n, next.0));
    Ok(plain.map(|(n, next)| (n, next.1)).collect())
}

/// Positions of final segments above the checkpoint that their files end before, oldest first: what was behind did not reach
/// the disk. (Where a file ends below the checkpoint, or what is kept, somebody cut it: that is damage.)
pub(super) fn lacking(files: &Files) -> Result<Vec<Range<u64>>, Fault> {
    let (header, current) = (files.meta.header(), files.current_segment()?);
    let certain = header.checkpoint.synced().max(header.kept.first.load(Ordering::Acquire));
    if certain >= current.base {
        return Ok(Vec::new());
    }
    let mut lacking = Vec::new();
    for (n, next) in with_ends(files, certain)? {
        let Some(found) = n.find().map_err(Fault::io("stat a final segment"))? else { continue };
        let end = n.says.base.saturating_add(found.len);
        if (certain..next).contains(&end) {
            lacking.push(end..next);
        }
    }
    Ok(lacking)
}

impl LogLock<'_> {
    /// Makes the metadata name the file at the path. Does nothing where it cannot be told which segment that is.
    pub(in crate::files) fn recover_segments(&self) -> Result<(), Fault> {
        let header = self.files.meta.header();
        let Some(found) = at_path(&self.files.log_directory()?, header, self.files.waits())? else {
            return Ok(());
        };
        if let Some(behind) = found.behind {
            let (len, end) = end_of(header, &behind, self.files.waits())?;
            if end < len
                && let Some(file) = behind.open(Access::Write)?
            {
                let cut = file.set_len(end).and_then(|()| fs::fdatasync(&file));
                cut.map_err(Fault::io("cut the final segment behind its last byte"))?;
            }
        }
        self.name_current(found.entry)?;
        self.cut_finals(header.checkpoint.synced())
    }

    /// Has final segments end where the next one begins, on the disk, those with positions at or behind `from` and the newest
    /// one: whoever was to cut them did not come to it, or a power cut has undone it.
    ///
    /// A checkpoint above a segment's base is written only where that holds. So a final segment longer than its positions has
    /// none above them, and [`end_of`] may take all below the checkpoint for its bytes. One that this process may not
    /// cut stays as it is: that is read right all the same.
    pub(crate) fn cut_finals(&self, from: u64) -> Result<(), Fault> {
        for (n, end) in with_ends(self.files, from)? {
            let len = end.saturating_sub(n.says.base);
            let found = n.find().map_err(Fault::io("stat a final segment"))?;
            let Some(found) = found.filter(|found| found.len > len) else { continue };
            let file = match n.open(Access::Write) {
                Err(fault) if fault.is_denied() => continue,
                file => file?,
            };
            // What is no NUL is somebody's who appended to it.
            let is_unused = |file: &File| last_byte(file, len, found.len).is_ok_and(|end| end <= len);
            if let Some(file) = file.filter(is_unused) {
                cut(&file, len)?;
                fs::fdatasync(&file).map_err(Fault::io("make durable where a final segment ends"))?;
            }
        }
        Ok(())
    }

    fn name_current(&self, entry: Entry) -> Result<(), Fault> {
        let (header, control) = (self.files.meta.header(), self.control());
        header.segment(entry.generation).set(entry);
        // Of a rotation that did not reach the disk: the next one may give its file the same inode number.
        let next = header.segment(entry.generation.wrapping_add(1));
        if next.get().generation.wrapping_add(1) != entry.generation {
            next.set(Entry { generation: 0, base: 0, inode: 0, began_ns: 0, born_ns: 0 });
        }
        header.set_generation(entry.generation);
        header.identity.inode.store(entry.inode, Ordering::Release);
        if control.base() != entry.base {
            control.begin_segment(entry.base, 0);
        }
        crash_point("reboot:named");
        Ok(())
    }
}
