//! The steps of a compression that change names.
//!
//! The maintenance byte is had twice, and briefly: to claim a segment, and to put its finished copy in its place. In
//! between, which may take minutes, the lock on the copy in the making keeps other compressions off, and rotations go on.
//! Whoever takes a segment away meanwhile, as prune does under the same byte, is noticed at the end.
//!
//! Killed anywhere, the plain file is still there, or the copy is whole: it was verified, and durable, before it got
//! its name. Where both have names, the next compression compares them and takes the plain one away; where the plain one
//! was cut already, it decodes the copy to its end.

use std::ffi::OsString;
use std::fs::{File, FileTimes, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::sync::PoisonError;
use std::time::Duration;

use super::Files;
use super::leftovers::Leftover;
use super::meta::page_size;
use super::owner::Operation;
use super::parts::{self, MAKER_BYTE};
use super::room::Room;
use super::segments::Named;
use crate::crash::crash_point;
use crate::deadline::Deadline;
use crate::error::Fault;
use crate::names::{Compression, SegmentName};
use crate::sys::place::{Access, Found};
use crate::sys::{fs, lock};

/// How long the end of a compression waits for another maintenance operation, rather than to throw its work away.
const PATIENCE: Duration = Duration::from_secs(60);

/// What became of a wish to compress a segment.
pub(crate) enum Claim<'a> {
    Mine(Box<PartFile<'a>>),
    /// Another process compresses it.
    AtWork,
    /// It was taken away, or compressed, meanwhile.
    Gone,
}

/// A compressed copy in the making, and the segment that it is of.
pub(crate) struct PartFile<'a> {
    files: &'a Files,
    segment: &'a Named,
    source: File,
    stat: Metadata,
    file: File,
    name: OsString,
}

impl Drop for PartFile<'_> {
    /// Takes the temporary name away, if it still has it.
    fn drop(&mut self) {
        self.files.makes(None);
        let mine = self.file.metadata().map(|stat| fs::identity(&stat));
        let there = self.segment.dir.place().find_named(&self.name).ok().flatten();
        if there.is_some_and(|found| mine.is_ok_and(|id| id == found.id)) {
            let _ = self.segment.dir.place().remove_named(&self.name);
        }
    }
}

impl Files {
    fn makes(&self, part: Option<Leftover>) {
        *self.making.lock().unwrap_or_else(PoisonError::into_inner) = part;
    }

    /// Takes the copy away that another thread makes by this handle, if it has not come to its end: that thread fails then.
    pub(crate) fn abandon_copy(&self) {
        if let Some(part) = self.making.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = part.remove();
        }
    }

    /// Claims a plain final segment.
    pub(crate) fn claim_segment<'a>(
        &'a self,
        segment: &'a Named,
        deadline: &Deadline,
    ) -> Result<Claim<'a>, Fault> {
        let _maintenance = self.maintenance(Operation::Compress, deadline)?;
        let Some(source) = segment.open(Access::Read)? else { return Ok(Claim::Gone) };
        let stat = source.metadata().map_err(Fault::io("stat a final segment"))?;
        // Another file than the one that was looked at.
        if fs::identity(&stat) != segment.id() {
            return Ok(Claim::Gone);
        }
        self.remove_dead_parts();
        let name = parts::name_of(&segment.name);
        Room::of(segment.dir.place())?.check(&name, "the compressed copy in the making")?;
        if parts::is_being_made(&segment.dir, &name)? {
            return Ok(Claim::AtWork);
        }
        let create = || Fault::io("create the compressed copy");
        let file = segment.dir.place().open_named(&name, Access::New(0o600));
        let file = file.map_err(|e| self.full_or(e, page_size(), create()))?;
        if let Ok(found) = Found::by(&file) {
            self.makes(Some(Leftover::new(segment.dir.clone(), name.clone(), found)));
        }
        let part = PartFile { files: self, segment, source, stat, file, name };
        crash_point("compress:created");
        lock::try_lock(part.file.as_fd(), MAKER_BYTE).map_err(create())?;
        fs::prepare_new(&part.file, None, &part.file.metadata().map_err(create())?).map_err(create())?;
        Ok(Claim::Mine(Box::new(part)))
    }
}

impl PartFile<'_> {
    /// The plain file.
    pub(crate) fn source(&self) -> &File {
        &self.source
    }

    /// Bytes of the plain file.
    pub(crate) fn source_len(&self) -> u64 {
        self.stat.len()
    }

    /// The copy.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// What a write to the copy failed with.
    pub(crate) fn cannot_write(&self, e: io::Error) -> Fault {
        self.files.full_or(e, page_size(), Fault::io("write the compressed copy"))
    }

    /// A compressed copy that has its name already, and how it is compressed.
    pub(crate) fn twin(&self) -> Result<Option<Named>, Fault> {
        for compression in [Compression::Zstd, Compression::Gzip] {
            let twin = self.named(compression, (0, 0));
            if let Some(found) = twin.find().map_err(Fault::io("stat a final segment"))? {
                return Ok(Some(self.named(compression, found.id)));
            }
        }
        Ok(None)
    }

    fn named(&self, compression: Compression, id: (u64, u64)) -> Named {
        let says = SegmentName { compression: Some(compression), ..self.segment.says.clone() };
        self.segment.beside(says, id)
    }

    /// Gives the copy, which is whole, the segment's owner, group, mode, labels and time, and its place. None when the
    /// segment was taken away meanwhile.
    pub(crate) fn publish(&self, compression: Compression) -> Result<Option<Named>, Fault> {
        fs::look_like(&self.file, &self.source)
            .map_err(Fault::io("give the compressed copy the owner, mode and labels of the segment"))?;
        let changed = self.stat.modified().map(|at| FileTimes::new().set_modified(at));
        changed.and_then(|times| self.file.set_times(times)).map_err(|e| self.cannot_write(e))?;
        self.file.sync_all().map_err(Fault::io("make the compressed copy durable"))?;
        crash_point("compress:synced");
        let id = self.file.metadata().map(|stat| fs::identity(&stat));
        let copy = self.named(compression, id.map_err(Fault::io("stat the compressed copy"))?);
        self.replace_by(&copy, &self.file, || {
            self.segment.dir.place().rename_named(&self.name, &copy.name)?;
            crash_point("compress:renamed");
            Ok(())
        })
        .map(|there| there.then_some(copy))
    }

    /// Takes the plain file away: a dead compressor had come that far. False when it is gone.
    pub(crate) fn settle(&self, twin: &Named, copy: &File) -> Result<bool, Fault> {
        copy.sync_all().map_err(Fault::io("make the compressed copy durable"))?;
        self.replace_by(twin, copy, || Ok(()))
    }

    fn replace_by(
        &self,
        copy: &Named,
        file: &File,
        put: impl FnOnce() -> io::Result<()>,
    ) -> Result<bool, Fault> {
        let _maintenance = self.files.maintenance(Operation::Compress, &self.files.deadline(PATIENCE))?;
        let there = self.segment.find().map_err(Fault::io("stat a final segment"))?;
        if there.is_none_or(|found| found.id != fs::identity(&self.stat)) {
            return Ok(false);
        }
        let put = || {
            put()?;
            copy.dir.place().sync_names(file)
        };
        put().map_err(Fault::io("put the compressed copy in the segment's place"))?;
        let removed = self.files.remove_final(self.segment, &self.files.deadline(Duration::MAX))?;
        crash_point("compress:removed");
        Ok(removed)
    }
}
