//! Exchanging the data file: the steps of a rotation that change names, under the log's lock, and what finishes or
//! undoes them when the rotator died.
//!
//! The journal is written once, before the gate closes. Until the rename the old file is at the path, and opening the
//! gate undoes everything. From the rename on rotation *is* recovery: each store may be repeated, by anybody who gets
//! the lock. C needs no place in the journal: no gate closes, and nobody grows, before it is empty, since both take
//! the lock, so `gate_at` is C.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Instant;

use super::Files;
use super::guard::{LogLock, is_full};
use super::meta::page_size;
use super::room::no_room;
use crate::chunks::Segment;
use crate::crash::crash_point;
use crate::error::Fault;
use crate::layout::POSITION_END;
use crate::metadata::{Entry, JOURNAL_ROTATE};
use crate::sync::{AtomicU64, Ordering};
use crate::sys::place::{Access, Part};
use crate::sys::{alloc, fs, process};

/// So much of the next file is in the cache before anybody stores there, bytes.
const TOUCHED: u64 = 128 * 1024;

/// The data file of the next segment, under its temporary name until the exchange.
pub(crate) struct NextFile<'a> {
    files: &'a Files,
    inode: u64,
    len: u64,
}

impl Drop for NextFile<'_> {
    fn drop(&mut self) {
        let there = self.files.place.find(Part::Next).ok().flatten();
        if there.is_some_and(|found| found.id.1 == self.inode) {
            let _ = self.files.place.remove(Part::Next);
        }
    }
}

impl Files {
    /// Makes the next segment's file, allocated, of the data file's owner, group, mode, labels and ACL. The caller has
    /// the maintenance byte, and nothing is half done.
    pub(crate) fn prepare_next(&self) -> Result<NextFile<'_>, Fault> {
        self.remove_strays()?;
        let old = self.renew()?;
        let create = || Fault::io("create the next segment's file");
        let file = self
            .place
            .open(Part::Next, Access::New(0o600))
            .map_err(|e| self.full_or(e, page_size(), create()))?;
        let mut next = NextFile { files: self, inode: 0, len: 0 };
        let stat = file.metadata().map_err(create())?;
        next.inode = stat.ino();
        crash_point("rotate:created");
        fs::prepare_new(&file, None, &stat).map_err(create())?;
        fs::look_like(&file, old.file())
            .map_err(Fault::io("give the next segment's file the owner, mode and labels of the log"))?;
        next.len = self.allocate_next(&file)?;
        crash_point("rotate:allocated");
        Ok(next)
    }

    /// A chunk, or a segment of the policy's length where that is less, or where the disk has neither a page.
    fn allocate_next(&self, file: &File) -> Result<u64, Fault> {
        let allocate = |len| alloc::allocate(file, 0, len).map(|()| len);
        let chunk = allocate(self.meta.chunk_of_segment());
        let allocated = chunk.or_else(|e| match is_full(&e) {
            true => file.set_len(0).and_then(|()| allocate(page_size())),
            false => Err(e),
        });
        let touched = allocated.and_then(|len| {
            // The first appends find their pages in the cache: a fault in a fresh file can wait for the disk's journal.
            alloc::write_at(file, 0, &vec![0; TOUCHED.min(len) as usize]).map(|()| len)
        });
        touched.map_err(|e| self.full_or(e, page_size(), Fault::io("allocate the next segment's file")))
    }

    pub(super) fn full_or(
        &self,
        source: io::Error,
        needed: u64,
        other: impl FnOnce(io::Error) -> Fault,
    ) -> Fault {
        match is_full(&source) {
            true => no_room(self.place.directory_fd(), needed, source),
            false => other(source),
        }
    }

    /// What a dead rotator left: the file that never became a segment, second names of the current one.
    fn remove_strays(&self) -> Result<(), Fault> {
        let clean = || Fault::io("remove what an unfinished rotation left");
        let dir = self.log_directory()?;
        self.remove_next()?;
        self.remove_dead_parts();
        let current = self.meta.header().current();
        let strays = dir.named_of(current.generation..)?;
        for n in strays.iter().filter(|n| n.id().1 == current.inode) {
            n.remove().map_err(clean())?;
        }
        Ok(())
    }
}

impl LogLock<'_> {
    /// Closes the gate for a rotation to `next`.
    pub(crate) fn close_gate_to_rotate(&self, next: &NextFile<'_>) -> u64 {
        let header = self.files.meta.header();
        let (journal, current) = (&header.journal, header.current());
        journal.old_inode.store(current.inode, Ordering::Relaxed);
        journal.new_inode.store(next.inode, Ordering::Relaxed);
        journal.generation.store(current.generation + 1, Ordering::Relaxed);
        journal.at_ns.store(process::now_ns(), Ordering::Relaxed);
        journal.old_base.store(current.base, Ordering::Relaxed);
        journal.new_size.store(next.len, Ordering::Relaxed);
        self.close_gate_as(JOURNAL_ROTATE)
    }

    /// Gives the data file its final name, and `next` its place: the commit. An error leaves everything as it was, to
    /// be undone by opening the gate.
    pub(crate) fn exchange(&self, name: &OsStr, at: u64) -> Result<(), Fault> {
        self.still_believed(Some(at))?;
        let place = &self.files.place;
        let inode_of = |name: &OsStr| Ok(place.find_named(name)?.map(|found| found.id.1));
        let linked = match place.link_data(name) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                return Err(Fault::SegmentExists { name: name.to_string_lossy().into_owned() });
            }
            linked => linked.and_then(|()| inode_of(name)),
        };
        crash_point("rotate:linked");
        let committed = match linked {
            Ok(found) if found == Some(self.segment.inode()) => place.put_next(),
            Ok(_) => Err(io::ErrorKind::ResourceBusy.into()),
            Err(e) => {
                let other = Fault::io("give the segment its final name");
                return Err(self.files.full_or(e, page_size(), other));
            }
        };
        crash_point("rotate:renamed");
        committed.map_err(|source| {
            // Only while the path still has it.
            if inode_of(place.name(Part::Data)).is_ok_and(|there| there == Some(self.segment.inode())) {
                let _ = place.remove_named(name);
            }
            Fault::Io { operation: "put the next segment's file in the log's place", source }
        })
    }

    /// As [`finish_rotation`](Self::finish_rotation), of a rotator that is dead: nobody needs the file that it made. What
    /// stays of it is found by status and by repair.
    pub(super) fn finish_dead_rotation(&self) -> Result<(), Fault> {
        let journal = &self.files.meta.header().journal;
        let made = (journal.kind() == JOURNAL_ROTATE).then(|| journal.new_inode.load(Ordering::Relaxed));
        self.finish_rotation()?;
        let is_there =
            || self.files.place.find(Part::Next).is_ok_and(|next| next.map(|next| next.id.1) == made);
        if made.is_some() && is_there() {
            let _ = self.files.remove_next();
        }
        Ok(())
    }

    /// Finishes or undoes the rotation in the journal, if there is one: by which file is at the path. Where neither is,
    /// nothing is done. Returns when the gate was opened.
    pub(crate) fn finish_rotation(&self) -> Result<Option<Instant>, Fault> {
        let journal = &self.files.meta.header().journal;
        if journal.kind() != JOURNAL_ROTATE {
            return Ok(None);
        }
        let there = self.files.place.find(Part::Data);
        let there =
            there.map_err(|e| self.files.explain_denied(Fault::io("finish a dead process's rotation")(e)))?;
        let is_at_path = |inode: &AtomicU64| there.is_some_and(|f| f.id.1 == inode.load(Ordering::Relaxed));
        if is_at_path(&journal.old_inode) {
            self.open_gate();
        } else if is_at_path(&journal.new_inode) {
            return self.redo().map(Some);
        }
        Ok(None)
    }

    fn redo(&self) -> Result<Instant, Fault> {
        let (header, control) = (self.files.meta.header(), self.control());
        let journal = &header.journal;
        let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let (generation, at, old_base) =
            (load(&journal.generation), control.gate_at.load(Ordering::Acquire), load(&journal.old_base));
        let (inode, len) = (load(&journal.new_inode), load(&journal.new_size));
        let follows = [1, 0].iter().any(|n| header.generation().checked_add(*n) == Some(generation));
        let fits = old_base <= at && at <= control.look().start && len < POSITION_END - at;
        self.files.intact()?;
        if !follows || !fits {
            return Err(Fault::Journal { kind: JOURNAL_ROTATE });
        }
        let began_ns = load(&journal.at_ns);
        // It has its place by now.
        let there = self.files.place.find(Part::Data).ok().flatten().filter(|found| found.id.1 == inode);
        let born_ns = there.and_then(|found| found.born_ns).unwrap_or(0);
        header.segment(generation).set(Entry { generation, base: at, inode, began_ns, born_ns });
        crash_point("rotate:entry");
        header.identity.inode.store(inode, Ordering::Release);
        crash_point("rotate:inode");
        control.begin_segment(at, len);
        crash_point("rotate:base");
        header.set_generation(generation);
        crash_point("rotate:generation");
        let last = header.segment(generation.wrapping_sub(1)).get();
        if last.base == old_base && last.generation.wrapping_add(1) == generation {
            self.note_final(&last, at);
        }
        control.open_gate();
        let opened = Instant::now();
        self.files.wake_waiters();
        crash_point("rotate:open");
        // One that stays longer than its positions is read right all the same: nobody is held up by it.
        let _ = self.cut_final(generation.saturating_sub(1), load(&journal.old_inode), at - old_base);
        crash_point("rotate:cut");
        journal.clear();
        self.files.wake_waiters();
        self.files.wake_followers();
        Ok(opened)
    }

    /// Cuts the segment that has become final behind its last byte.
    fn cut_final(&self, generation: u64, inode: u64, len: u64) -> Result<(), Fault> {
        if self.segment.inode() == inode {
            return self.cut_this(len);
        }
        for n in self.files.log_directory()?.named_of(generation..=generation)? {
            if let Ok(Some(file)) = n.open(Access::Write)
                && file.metadata().is_ok_and(|stat| stat.ino() == inode)
            {
                return cut(&file, len);
            }
        }
        Ok(())
    }

    /// The segment that was the current one when the lock was taken, for after it is given back.
    pub(crate) fn taken(&self) -> Arc<Segment> {
        Arc::clone(&self.segment)
    }

    /// Cuts the file that was the current one when the lock was taken, now a final segment of `len` bytes.
    pub(crate) fn cut_this(&self, len: u64) -> Result<(), Fault> {
        cut(self.segment.file(), len)
    }
}

/// From then on the file's time says when it became final: a compressed copy gets it too, moves and `cp -a` keep it.
pub(super) fn cut(file: &File, len: u64) -> Result<(), Fault> {
    let longer = file.metadata().map(|stat| stat.len() > len);
    let done = longer.and_then(|longer| if longer { file.set_len(len) } else { Ok(()) });
    // Whoever may write to the file may do that. Where it fails the segment looks older than it is, as it did before.
    let _ = fs::touch(file);
    done.map_err(Fault::io("cut the final segment behind its last byte"))
}
