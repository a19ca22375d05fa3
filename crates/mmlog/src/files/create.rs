//! Creating, adopting, rebuilding: metadata for a data file.

use std::fs::File;
use std::io;
use std::mem::offset_of;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::atomic::{AtomicU64, Ordering};

use super::content::{Extent, extent};
use super::following::any_place_taken;
use super::meta::{self, Geometry, Meta, Stage};
use super::open::{Metadata, Opened, Opening, not_opened};
use super::segment_dir::{Owner, SegmentDir, Stranger};
use super::{Config, Files, Intent, Origin, version1};
use super::{absent, boot, olddir, policy};
use crate::crash::crash_point;
use crate::error::Fault;
use crate::holes::{self, Hole};
use crate::layout::{
    Control, FOLLOWING_FIRST, Header, LOCK_BYTE, POSITION_END, RING_LEN, SLOT_BYTES, Version1, WRITERS_RANGE,
    ring_at, total_len,
};
use crate::metadata::Entry;
use crate::metadata::policy::{SET_NS, Said};
use crate::sys::lock::{self, Lease};
use crate::sys::place::{Access, Found, Part};
use crate::sys::{alloc, fs, process};

/// More than a compressed segment holds: positions of a new log go on so far behind one that nobody can read to its end.
pub(crate) const UNKNOWN_LEN: u64 = 1 << 40;

/// Where appends begin in a data file that has bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Start {
    /// Behind all of them: it was no log.
    Here,
    /// Behind the last one that is not NUL: it was a log, whose metadata is lost (a power cut came before the disk had
    /// it, or somebody asked to rebuild it) and which had space allocated ahead.
    WhereDataEnds,
    /// At the cursor of version 1; runs of NULs below it are holes.
    Version1 { cursor: u64, chunk_size: u64 },
}

impl Opening<'_> {
    /// Creates under the lock byte; `None`: somebody else did, or gave up: look again.
    pub(super) fn create(&self, opened: Opened) -> std::result::Result<Option<Files>, Fault> {
        let Some(fd) = opened.lock_file.fd() else { return Ok(None) };
        if !matches!(self.intent, Intent::Create | Intent::Write) {
            // A reader waits for whoever creates, and finds nothing where nobody does.
            let alive = lock::is_locked(fd, LOCK_BYTE, 1).map_err(Fault::io("ask who creates the log"))?;
            return if alive { self.pause().map(|()| None) } else { Err(self.nothing_there()?) };
        }
        if !lock::try_lock(fd, LOCK_BYTE).map_err(Fault::io("take the log's lock"))? {
            return self.pause().map(|()| None);
        }
        let ready = self.metadata == Metadata::Keep && meta::stage(&opened.file)? == Stage::Ready;
        if !self.is_still(opened.id)? || ready {
            return Ok(None);
        }
        let found = Found::by(&opened.file).map_err(Fault::io("stat the metadata file"))?;
        self.check_owner(&found)?;
        let allocated = found.len;
        let was_log = self.metadata == Metadata::Rebuild || allocated >= total_len(WRITERS_RANGE.0) as u64;
        let had_data = self.place.find(Part::Data).map_err(Fault::io("stat the data file"))?.is_some();
        let created = match version1::cursor_and_chunk(&opened.file)? {
            Some((cursor, chunk_size)) if self.metadata == Metadata::Rebuild => {
                self.fill(&opened, Start::Version1 { cursor, chunk_size })
            }
            _ => self.fill(&opened, if was_log { Start::WhereDataEnds } else { Start::Here }),
        };
        if created.is_err() && (!was_log || allocated == 0) {
            // It has said nothing so far; whoever waits for the lock sees that it has no link and starts over.
            let _ = self.place.remove(Part::Metadata);
            if !had_data {
                self.remove_empty_data();
            }
        }
        let origin = created?;
        lock::unlock(fd, LOCK_BYTE).map_err(Fault::io("give the log's lock back"))?;
        self.assemble(opened, origin).map(Some)
    }

    /// What has the metadata's name and is filled, or emptied first, has to be the log's; without a byte, it may be what a
    /// dead creator left.
    fn check_owner(&self, metadata: &Found) -> std::result::Result<(), Fault> {
        let data = self.place.find(Part::Data).map_err(Fault::io("stat the data file"))?;
        let owner = Owner::of(self.config.trust, data.map_or(process::effective_user(), |found| found.uid));
        let dir = SegmentDir::new(self.place, owner);
        let admitted = if metadata.len == 0 { dir.admit_work(metadata) } else { dir.admit(metadata) };
        admitted.map_err(|stranger| match stranger {
            Stranger::Owner { uid, log } => Fault::OwnersDiffer { data_uid: log, metadata_uid: uid },
            other => other.of_data(),
        })
    }

    /// Metadata that says nothing, beside data or not.
    fn nothing_there(&self) -> std::result::Result<Fault, Fault> {
        let data = self.place.find(Part::Data).map_err(Fault::io("stat the data file"))?;
        Ok(match data.map_or(0, |found| found.len) {
            0 => Fault::NoLog,
            len => absent::without_metadata(self.place, len, false),
        })
    }

    /// Data file first, empty, so that a creator's death leaves nothing that looks like lost metadata.
    fn fill(&self, opened: &Opened, start: Start) -> std::result::Result<Origin, Fault> {
        if self.intent != Intent::Create && start == Start::Here {
            return Err(self.nothing_there()?);
        }
        let mut geometry = self.config.geometry();
        if let Start::Version1 { chunk_size, .. } = start {
            geometry.chunk_size = chunk_size;
        }
        geometry.check()?;
        crash_point("create:metadata");
        let (data, existed) = self.create_data()?;
        crash_point("create:data");
        let stat = data.metadata().map_err(Fault::io("stat the data file"))?;
        let len = stat.size();
        // A repair has asked for them before.
        if existed && self.metadata == Metadata::Keep {
            olddir::check_unnamed(self.place, self.config)?;
        }
        if start == Start::Here && absent::is_refused(self.place, len, self.config.adopt) {
            return Err(absent::without_metadata(self.place, len, false));
        }
        self.check_data(&data, &stat)?;
        let dir = SegmentDir::new(self.place, Owner::of(self.config.trust, stat.uid()));
        let own = Found::by(&data).map_err(Fault::io("stat the data file"))?;
        dir.admit(&own).map_err(Stranger::of_data)?;
        let _lease = match existed.then(|| self.lease()).transpose() {
            // Where the kernel has no leases, nothing speaks against an empty file.
            Err(Fault::Io { .. }) if len == 0 && start == Start::Here => None,
            lease => lease?,
        };
        let (kept, old, mut said) = match start {
            Start::WhereDataEnds => {
                let old = olddir::to_keep(&opened.file, &dir, self.config)?;
                (said_kept(&opened.file)?, old, policy::said(&opened.file)?)
            }
            Start::Here | Start::Version1 { .. } => (None, None, Said::Nothing),
        };
        if let (Said::Nothing, Some(mut words)) = (said, self.config.policy) {
            words[SET_NS] = process::now_ns();
            said = Said::Whole(words);
        }
        self.check_unused(opened, geometry.max_writers)?;
        self.allocate(opened, &stat, geometry.max_writers, start)?;
        // Who came in between sees that there are no places any more.
        while self.stores_followers(opened, geometry.max_writers)? {
            self.pause()?;
        }
        let identity = |to: &crate::layout::Identity| {
            let set = |words: &[AtomicU64], values: [u64; 2]| {
                words.iter().zip(values).for_each(|(w, v)| w.store(v, Ordering::Relaxed));
            };
            set(&to.uuid, process::random_id());
            to.device.store(stat.dev(), Ordering::Relaxed);
            to.inode.store(stat.ino(), Ordering::Relaxed);
            to.own_inode.store(opened.id.1, Ordering::Relaxed);
            to.created_ns.store(process::now_ns(), Ordering::Relaxed);
            boot::record(to);
        };
        let mut found = match start {
            Start::Here => Extent { end: len, missing: Vec::new() },
            Start::Version1 { cursor, .. } => version1::extent(&data, cursor.min(len), &self.config.waits)?,
            Start::WhereDataEnds => extent(&data, 0, len, &self.config.waits)?,
        };
        // From here on a power cut leaves a file whose length says that this was a log.
        self.place.sync(&opened.file).map_err(Fault::io("make the metadata file durable"))?;
        crash_point("create:allocated");
        let first = self.first_segment(&dir, old.as_ref().map(|(_, there)| there), &own)?;
        let meta = Meta::fill(&opened.file, geometry, identity, first, found.end)?;
        if let Some(kept) = kept.filter(|&kept| is_pruned(&found, &first, kept)) {
            meta.header().kept.first.store(kept, Ordering::Release); // kept
            found.missing.remove(0);
        }
        for &(from, to) in &found.missing {
            holes::note(
                meta.holes(),
                &meta.header().hole_counts,
                &Hole::lost(first.base + from, first.base + to),
            );
        }
        meta.header().note_made(opened.made);
        meta.header().epochs.file_system.store(fs::file_system(&data), Ordering::Relaxed);
        if let Some((name, _)) = &old {
            meta.header().policy.set_old_directory(name);
        }
        meta.keep_policy(said);
        meta.begin_times();
        crash_point("create:filled");
        if meta.control().is_panicked() {
            meta.header().panic.fill("set in format 1, which records no reason", 0, 0, "", process::now_ns());
        }
        meta.make_ready();
        crash_point("create:ready");
        Ok(if len > 0 { Origin::Adopted { len } } else { Origin::Created })
    }

    /// Whether somebody uses the files of a log that is to be made anew.
    pub(super) fn ask(&self) -> std::result::Result<(), Fault> {
        self.lease()?;
        let is_there = |found: Option<Found>| found.is_some_and(|found| found.len > 0);
        if !is_there(self.place.find(Part::Metadata).map_err(Fault::io("stat the metadata file"))?) {
            return Ok(());
        }
        let Some(opened) = self.open_metadata()? else { return Ok(()) };
        self.check_unused(&opened, self.config.geometry().max_writers)
    }

    fn check_unused(&self, opened: &Opened, max_writers: u32) -> std::result::Result<(), Fault> {
        let is_used = self.has_writers(opened)? || self.stores_followers(opened, max_writers)?;
        if is_used { Err(super::in_use(&opened.file)) } else { Ok(()) }
    }

    /// Whether somebody writes by the metadata that is made anew: he has another data file, and takes ranges here that he
    /// stores there.
    fn has_writers(&self, opened: &Opened) -> std::result::Result<bool, Fault> {
        let fd = opened.lock_file.fd().ok_or(Fault::Replaced)?;
        let held = lock::is_locked(fd, SLOT_BYTES, u64::from(WRITERS_RANGE.1));
        Ok(self.metadata == Metadata::Rebuild && held.map_err(Fault::io("ask who writes"))?)
    }

    /// Whether a follower of what was here may store where slots are to be.
    fn stores_followers(&self, opened: &Opened, max_writers: u32) -> std::result::Result<bool, Fault> {
        if total_len(max_writers) <= FOLLOWING_FIRST {
            return Ok(false);
        }
        let fd = opened.lock_file.fd().ok_or(Fault::Replaced)?;
        any_place_taken(fd).map_err(Fault::io("ask who follows the log"))
    }

    /// Behind what a log left at this path that is gone, or whose metadata is: no segment is ever overwritten, and no
    /// position is given twice.
    fn first_segment(
        &self,
        dir: &SegmentDir,
        old: Option<&SegmentDir>,
        data: &Found,
    ) -> std::result::Result<Entry, Fault> {
        let (began_ns, inode, born_ns) = (process::now_ns(), data.id.1, data.born_ns.unwrap_or(0));
        let look = || Fault::io("stat a final segment");
        let mut names = match dir.named() {
            // Where the directory may not be read, a rotation still overwrites nothing.
            Err(fault) if fault.is_denied() => Vec::new(),
            names => names?,
        };
        names.extend(old.map(SegmentDir::named).transpose()?.unwrap_or_default());
        names.sort_by_key(|n| (n.says.generation, n.says.base));
        let (mut behind, mut follower) = ((0, 0), None);
        for group in names.chunk_by(|a, b| a.says.generation == b.says.generation).rev() {
            let mut highest = follower;
            for n in group {
                let Some(found) = n.find().map_err(look())? else { continue };
                // A rotation was given up, or interrupted, before the new file had its place.
                if found.id.1 == inode {
                    let (generation, base) = (n.says.generation, n.says.base);
                    return Ok(Entry { generation, base, inode, began_ns, born_ns });
                }
                highest = highest.max(Some(n.says.base));
                // One that another follows ends where that one begins at the latest, so it is not read.
                let len = match n.says.compression {
                    Some(_) if follower >= Some(n.says.base) => Some(0),
                    _ => n.content_len(&found, &self.config.waits)?,
                };
                // A generation is left out, too: readers then know that positions may be.
                let (next, len) = len.map_or((2, UNKNOWN_LEN), |len| (1, len));
                let end = n.says.base.saturating_add(len);
                behind = (behind.0.max(n.says.generation + next), behind.1.max(end));
            }
            follower = highest;
        }
        let (generation, base) = behind;
        if !Control::has_positions(base, POSITION_END / 2) {
            return Err(Fault::OutOfRange { field: "base", value: base, min: 0, max: POSITION_END / 2 });
        }
        Ok(Entry { generation, base, inode, began_ns, born_ns })
    }

    /// The data file, and whether it was there.
    fn create_data(&self) -> std::result::Result<(File, bool), Fault> {
        let existed = self.place.find(Part::Data).map_err(Fault::io("stat the data file"))?.is_some();
        let mode = self.config.mode.unwrap_or(0o666);
        // Adopting takes a lease, which our own descriptor for writing would refuse to us.
        let access = if existed { Access::Read } else { Access::Create(mode) };
        let data = self.place.open(Part::Data, access);
        let data = data.map_err(|e| match self.no_space_or(e, "create the data file") {
            Fault::Io { source, operation } => not_opened(self.place, Part::Data, source, operation),
            full => full,
        })?;
        let stat = data.metadata().map_err(Fault::io("stat the data file"))?;
        // An empty one may be what a dead creator left; one with bytes is somebody's, and stays as it is.
        match fs::prepare_new(&data, self.config.mode, &stat) {
            Err(e) if !existed => Err(Fault::io("set the data file's mode")(e)),
            _ => Ok((data, existed)),
        }
    }

    /// Proof that nobody writes to the file that is adopted; held until the metadata is ready.
    fn lease(&self) -> std::result::Result<File, Fault> {
        let file = self.place.open(Part::Data, Access::Read).map_err(Fault::io("open the data file"))?;
        if lock::try_lease(&file, Lease::Read).map_err(Fault::io("take a lease on the data file"))? {
            return Ok(file);
        }
        Err(super::in_use(&file))
    }

    /// Takes back the data file of a log that could not be made; not one that somebody else has taken.
    fn remove_empty_data(&self) {
        let Ok(file) = self.place.open(Part::Data, Access::Read) else { return };
        let is_empty = file.metadata().is_ok_and(|stat| stat.size() == 0);
        if is_empty && lock::try_lease(&file, Lease::Write).is_ok_and(|is_alone| is_alone) {
            let _ = self.place.remove(Part::Data);
        }
    }

    fn allocate(
        &self,
        opened: &Opened,
        data: &std::fs::Metadata,
        max_writers: u32,
        start: Start,
    ) -> std::result::Result<(), Fault> {
        fs::take_after(&opened.file, data)?;
        let stat = opened.file.metadata().map_err(Fault::io("stat the metadata file"))?;
        fs::prepare_new(&opened.file, None, &stat).map_err(Fault::io("set up the metadata file"))?;
        let (needed, ring) = (total_len(max_writers) as u64, ring_at(max_writers) as u64);
        // Zeros by writing, not by cutting: somebody may have mapped what is there. A header of version 1 stays until
        // the last store of an upgrade, which can be begun again until then.
        let kept = if matches!(start, Start::Version1 { .. }) { size_of::<Version1>() as u64 } else { 0 };
        // What lies between the two is nobody's: a follower's place means something only together with its lock bytes.
        let len = opened.file.metadata().map_err(Fault::io("stat the metadata file"))?.len();
        for (from, to) in [(kept, needed), (ring, ring + RING_LEN as u64)] {
            alloc::write_at(&opened.file, from, &vec![0; to.min(len).saturating_sub(from) as usize])
                .map_err(Fault::io("write the metadata file"))?;
        }
        let needed = ring + RING_LEN as u64;
        // Never sparse: a store on a full disk would be SIGBUS.
        alloc::allocate(&opened.file, 0, needed).map_err(|source| {
            match self.no_space_or(source, "allocate the metadata file") {
                Fault::NoSpace { free, source, .. } => Fault::NoSpace { needed, free, source },
                other => other,
            }
        })
    }
}

/// What the metadata that is made anew says that prune kept; not believed yet.
fn said_kept(metadata: &File) -> Result<Option<u64>, Fault> {
    let mut word = [0; 8];
    match metadata.read_exact_at(&mut word, offset_of!(Header, kept.first) as u64) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        read => read.map(|()| Some(u64::from_ne_bytes(word))).map_err(Fault::io("read the metadata file")),
    }
}

/// Whether the data file looks as a prune that kept everything from there on has left it: all whole pages below are NULs.
fn is_pruned(found: &Extent, segment: &Entry, kept: u64) -> bool {
    let below = kept.saturating_sub(segment.base) / meta::page_size() * meta::page_size();
    below > 0 && kept <= segment.base.saturating_add(found.end) && found.missing.first() == Some(&(0, below))
}

impl Config {
    fn geometry(&self) -> Geometry {
        Geometry {
            chunk_size: self.chunk_size,
            page_size: meta::page_size(),
            max_writers: self.max_writers,
            gate_ms: self.gate_ms,
        }
    }
}
