//! The segments of a log: the current one by its entry in the metadata, the final ones by their names.
//!
//! In the middle of a rotation the entry's file is no longer at the path; then it is at its final name.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, PoisonError};

use super::boot::Boot;
use super::chain;
use super::reboot::segments::current;
pub(crate) use super::segment_dir::Named;
use super::segment_dir::{Listing, Owner, SegmentDir, Stranger, Unseen, order};
use super::{Files, SLICE};
use crate::chunks::{Pages, Segment};
use crate::deadline::Waits;
use crate::error::Fault;
use crate::layout::Header;
use crate::metadata::Entry;
use crate::sync::Ordering;
use crate::sys::fs;
use crate::sys::place::{Access, Found, Part};

/// How often somebody who may not read the directory looks for the end of a rotation.
const LOOKS: u32 = 10;

/// Bytes that are unsynced at most, where syncs come often.
const SYNCED_OFTEN: u64 = 4 << 20;

/// Opens the data file of the current segment. What is at the path instead is given where `others` is
/// [`Others::Taken`].
pub(super) fn open_current(
    dir: &SegmentDir,
    header: &Header,
    access: Access,
    others: Others,
    boot: impl Fn() -> Result<Boot, Fault>,
    waits: &Waits,
) -> Result<(Entry, File), CannotOpen> {
    let mut looks = 0;
    loop {
        let entry = current(|| Ok(dir.clone()), header, boot()?, waits)?;
        let at_path = dir.place().open(Part::Data, access).map_err(CannotOpen::Path);
        let found = match &at_path {
            Ok(file) if is_of(&entry, file)? => return at_path.map(|file| (entry, file)),
            Ok(file) => fs::identity(&stat(file)?).1,
            Err(_) => 0,
        };
        if let Some(file) = open_final(dir, &entry, access)? {
            return Ok((entry, file));
        }
        if current(|| Ok(dir.clone()), header, boot()?, waits)? != entry {
            continue;
        }
        // In the middle of a rotation, and the final name cannot be looked for: soon the entry names what is there.
        if header.is_exchanged_for(found) {
            looks += 1;
            if looks < LOOKS {
                std::thread::sleep(SLICE);
                continue;
            }
            let source = io::ErrorKind::PermissionDenied.into();
            return Err(Fault::Io { operation: "read the log's directory", source }.into());
        }
        return match at_path {
            Ok(file) if others == Others::Taken => Ok((entry, file)),
            Ok(file) => {
                let stat = stat(&file)?;
                Err(Fault::replaced_by(stat.is_file() && stat.len() == 0, entry.inode, found).into())
            }
            Err(e) => Err(e),
        };
    }
}

/// What to do with a file at the path that is not the log's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Others {
    Refused,
    Taken,
}

/// Why the current data file could not be opened.
pub(super) enum CannotOpen {
    /// What the file system said of the path.
    Path(io::Error),
    Fault(Fault),
}

impl From<Fault> for CannotOpen {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

fn stat(file: &File) -> Result<std::fs::Metadata, Fault> {
    file.metadata().map_err(Fault::io("stat the data file"))
}

/// Whether that is the entry's data file.
pub(super) fn is_of(entry: &Entry, file: &File) -> Result<bool, Fault> {
    let found = Found::by(file).map_err(Fault::io("stat the data file"))?;
    Ok(number_of(entry, file, &found) == entry.inode)
}

/// The file's inode number; 0 where that was the log's, and has been given again.
pub(super) fn number_of(entry: &Entry, file: &File, found: &Found) -> u64 {
    let inode = found.id.1;
    if entry.is_given_again(inode, found.born_ns) && !fs::is_overlay(file) { 0 } else { inode }
}

/// Between the two names a rotation gives it, the file of the current entry has the final one alone.
fn open_final(dir: &SegmentDir, entry: &Entry, access: Access) -> Result<Option<File>, Fault> {
    let named = match dir.named_of(entry.generation..=entry.generation) {
        Ok(named) => named,
        // Who may not read the directory finds it at the path, a moment later.
        Err(fault) if fault.is_denied() => return Ok(None),
        Err(fault) => return Err(fault),
    };
    for n in named.iter().filter(|n| n.id().1 == entry.inode) {
        match n.open(access) {
            Ok(Some(file)) if is_of(entry, &file)? => return Ok(Some(file)),
            // Somebody took its name meanwhile.
            Ok(_) | Err(Fault::NotASegment { .. }) => {}
            // It is there. That this process has no descriptor left, or no right, says nothing of the log.
            Err(fault) => return Err(fault),
        }
    }
    Ok(None)
}

/// A final segment, and the next one.
pub(crate) type Around = (Option<Named>, Option<Named>);

impl Files {
    /// Which pages appends should get. While less is unsynced than a few large pages, syncs come so often that each
    /// would write more of them than there is new.
    pub(crate) fn pages(&self) -> Pages {
        let commit = &self.meta.header().commit;
        let durable = commit.data_synced().max(commit.checkpointed());
        let unsynced = self.control().look().start.saturating_sub(durable);
        if unsynced < SYNCED_OFTEN { Pages::Small } else { Pages::Large }
    }

    /// The current data file, opened if it is another than the last time.
    pub(crate) fn renew(&self) -> Result<Arc<Segment>, Fault> {
        let mut mine = self.segment.lock().unwrap_or_else(PoisonError::into_inner);
        let header = self.meta.header();
        let entry = self.current_segment()?;
        self.intact()?;
        if let Some(segment) = mine.as_ref().filter(|s| (s.inode(), s.base()) == (entry.inode, entry.base)) {
            return Ok(Arc::clone(segment));
        }
        let (access, others) = match self.intent.writes() {
            true => (Access::Write, Others::Refused),
            false => (Access::Read, Others::Taken),
        };
        let dir = self.log_directory()?;
        let opened = open_current(&dir, header, access, others, || self.boot(), self.waits());
        let opened = opened.map_err(|e| match e {
            CannotOpen::Path(e) if e.kind() == io::ErrorKind::NotFound => Fault::NoData,
            CannotOpen::Path(e) => {
                self.explain_denied(Fault::Io { operation: "open the data file", source: e })
            }
            CannotOpen::Fault(fault) => fault,
        });
        self.intact()?;
        let (entry, file) = opened?;
        let found = Found::by(&file).map_err(Fault::io("stat the data file"))?;
        dir.admit(&found).map_err(Stranger::of_data)?;
        let (chunk_size, ring) = (self.meta.chunk_of_segment(), self.config.ring_chunks);
        let inode = number_of(&entry, &file, &found);
        let segment = Segment::new(file, entry.base, inode, chunk_size, ring);
        let segment = Arc::new(match &*mine {
            Some(before) => segment.after(before),
            None => segment,
        });
        *mine = Some(Arc::clone(&segment));
        Ok(segment)
    }

    /// What has that name now. Who may not search the log's directory any more (its mode was changed, rights were given up)
    /// goes on with what is open, as long as that is the log's and has a name: growing, recovering, settling, trimming and
    /// syncing need no other. What has to be opened (the next segment after a rotation, everything in a forked child) or
    /// made (rotating) is an error, before anything is taken.
    pub(crate) fn find(&self, part: Part) -> Result<Option<Found>, Fault> {
        let denied = match self.place.find(part) {
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => e,
            Err(e) if part == Part::Metadata => return Err(Fault::io("stat the metadata file")(e)),
            found => return found.map_err(Fault::io("stat the data file")),
        };
        match self.opened(part) {
            Some(opened) => Ok(Some(opened).filter(|opened| opened.links > 0)),
            None => Err(self.explain_denied(Fault::io("search the log's directory")(denied))),
        }
    }

    /// Whether another handle is of the same metadata file.
    pub(crate) fn is_same_file(&self, other: &Self) -> bool {
        self.metadata_id == other.metadata_id
    }

    /// What this handle has open of that name, if it is what the log has there now.
    fn opened(&self, part: Part) -> Option<Found> {
        match part {
            Part::Metadata => Found::by(self.lock_file.fd()?).ok(),
            Part::Data => {
                let current = self.meta.header().identity.inode.load(Ordering::Relaxed);
                Found::by(self.segment().ok()?.file()).ok().filter(|found| found.id.1 == current)
            }
            Part::Next => None,
        }
    }

    /// The entry of the current segment.
    #[inline]
    pub(crate) fn current_segment(&self) -> Result<Entry, Fault> {
        match self.boot()? {
            Boot::This => Ok(self.meta.header().current()),
            boot => current(|| self.log_directory(), self.meta.header(), boot, self.waits()),
        }
    }

    /// Its generation.
    #[inline]
    pub(crate) fn current_generation(&self) -> Result<u64, Fault> {
        match self.boot()? {
            Boot::This => Ok(self.meta.header().generation()),
            _ => self.current_segment().map(|entry| entry.generation),
        }
    }

    /// Who has to own the log's files: as the metadata's, which is open.
    pub(super) fn owner(&self) -> Result<Owner, Fault> {
        Ok(Owner::of(self.config.trust, self.metadata_found()?.uid))
    }

    /// Whether a list gives rights to the metadata file.
    pub(crate) fn metadata_has_list(&self) -> Result<bool, Fault> {
        let fd = self.lock_file.fd().ok_or(Fault::Replaced)?;
        fs::has_access_list(fd).map_err(Fault::io("read the access list of the metadata file"))
    }

    /// What the metadata file is that is open.
    pub(crate) fn metadata_found(&self) -> Result<Found, Fault> {
        let asked = match self.lock_file.fd() {
            Some(fd) => Found::by(fd).map(Some),
            // In a forked child.
            None => self.place.find(Part::Metadata),
        };
        asked.map_err(Fault::io("stat the metadata file"))?.ok_or(Fault::Replaced)
    }

    /// The log's own directory, to look for segments in.
    pub(crate) fn log_directory(&self) -> Result<SegmentDir, Fault> {
        Ok(SegmentDir::new(&self.place, self.owner()?))
    }

    /// Final segments that have a name, by generation; each once.
    pub(crate) fn final_segments(&self) -> Result<Vec<Named>, Fault> {
        let mut found = self.final_names()?;
        found.dedup_by_key(|n| n.says.generation);
        Ok(found)
    }

    /// As [`final_segments`](Self::final_segments), each by the name that has its bytes.
    pub(crate) fn final_contents(&self) -> Result<Vec<Named>, Fault> {
        let look = || Fault::io("stat a final segment");
        let mut all: Vec<Named> = Vec::new();
        for n in self.final_names()? {
            match all.last_mut().filter(|first| first.says.generation == n.says.generation) {
                // A compression takes the plain file away behind its copy; one that died may have emptied it before.
                Some(first) if first.find().map_err(look())?.is_none_or(|found| found.is_emptied()) => {
                    *first = n
                }
                Some(_) => {}
                None => all.push(n),
            }
        }
        Ok(all)
    }

    /// Every name of a final segment, by generation; a plain file before its compressed copy.
    pub(crate) fn final_names(&self) -> Result<Vec<Named>, Fault> {
        self.finals().map(|listing| listing.named)
    }

    /// As [`final_names`](Self::final_names), with what has such a name and is not taken for one.
    pub(crate) fn finals(&self) -> Result<Listing, Fault> {
        // Of a later one it is not sure yet that it becomes final.
        let current = self.current_segment()?;
        let mut found = self.log_directory()?.list()?;
        found.too_early =
            found.named.split_off(found.named.partition_point(|n| n.says.generation < current.generation));
        // In this order: what moves meanwhile is seen in one of both.
        if let Some(old) = self.old_directory()? {
            found.add(old.list()?);
        }
        found.named.retain(|n| n.says.generation < current.generation);
        chain::settle(&mut found, &current, self.first_kept())?;
        Ok(found)
    }

    /// Whether that is open on the metadata, the data file or a final segment.
    pub(crate) fn has_file(&self, file: BorrowedFd<'_>) -> Result<bool, Fault> {
        let id = Found::by(file).map_err(Fault::io("stat a file that may be the log's"))?.id;
        let data = self.place.find(Part::Data).map_err(Fault::io("stat the data file"))?;
        let is_current = id == self.metadata_id || data.is_some_and(|data| data.id == id);
        Ok(is_current || self.final_names()?.iter().any(|n| n.id() == id))
    }

    /// The final segment that `at` lies in, and the next one, as [`final_segments`](Self::final_segments) has them; the files
    /// of others are not looked at.
    pub(crate) fn finals_around(&self, at: u64) -> Result<Around, Fault> {
        let mut looks = 0;
        loop {
            let current = self.current_segment()?;
            let mut names = self.log_directory()?.unseen(..current.generation)?;
            if let Some(old) = self.old_directory()? {
                names.extend(old.unseen(..current.generation)?);
            }
            names.sort_by_key(|n| order(&n.says));
            if chain::is_in_doubt(names.iter().map(|n| &n.says), &current, self.first_kept()) {
                let segments = self.final_names()?;
                names.retain(|n| segments.iter().any(|segment| segment.says == n.says));
            }
            match around(&mut names, at, looks >= LOOKS)? {
                Some(found) => return Ok(found),
                // Its name is gone, or another, since the directories were read.
                None => looks += 1,
            }
        }
    }

    /// The final segments that have bytes at or behind `from`, oldest first, each with its base. Without those that were compressed, or moved
    /// to another directory, which were durable before, and those that are pruned by now. (Not: as long as they have a name.
    /// Who is stopped while he removes one may have a lease on it, and nobody else can open it until he goes on.)
    pub(crate) fn open_finals(&self, from: u64) -> Result<Vec<(File, u64)>, Fault> {
        let from = from.max(self.first_kept());
        let current = self.meta.header().generation();
        let named = self.log_directory()?.named_back_to(..current, |n| n.says.base <= from)?;
        let plain = named.iter().filter(|n| n.says.compression.is_none());
        let opened = plain.map(|n| Ok(n.open(Access::Read)?.map(|file| (file, n.says.base))));
        opened.filter_map(Result::transpose).collect()
    }
}

/// The segment that `at` lies in, and the next one; what is no segment is taken out. `None` where a name is gone, unless
/// those that are count for nothing.
fn around(names: &mut Vec<Unseen>, at: u64, without_gone: bool) -> Result<Option<Around>, Fault> {
    loop {
        let behind = names.iter().position(|n| n.says.base > at).unwrap_or(names.len());
        let generation = behind.checked_sub(1).map(|last| names[last].says.generation);
        // A plain file before its compressed copy.
        let first = names.iter().position(|n| Some(n.says.generation) == generation);
        // Another name of the same one.
        if names.get(behind).is_some_and(|next| Some(next.says.generation) == generation) {
            names.remove(behind);
            continue;
        }
        let (mut found, mut out) = ([None, None], None);
        for (found, index) in found.iter_mut().zip([first, Some(behind)]) {
            let Some(index) = index.filter(|&index| index < names.len()) else { continue };
            match names[index].look()? {
                Some(Ok(named)) => *found = Some(named),
                None if !without_gone => return Ok(None),
                None | Some(Err(_)) => out = Some(index),
            }
        }
        match out {
            Some(index) => drop(names.remove(index)),
            None => return Ok(Some(found.into())),
        }
    }
}
