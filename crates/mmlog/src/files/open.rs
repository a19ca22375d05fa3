//! Opening and creating: any number of processes may race, none is privileged.
//!
//! 1. Open the metadata file, making an empty one if allowed.
//! 2. If it is not ready, take its lock byte: a live creator is waited for, a dead one leaves the byte free.
//!    Whoever has the byte looks again, and creates (from the start, if somebody had begun).
//! 3. Ready is the last store of creation. Map, check, open the data file, compare.
//! 4. A writing handle takes the log's lock once: it finishes what a dead owner left, settles dead slots.
//!
//! The metadata file may be unlinked at any time (`remove`, or a creator that gives up): after taking a lock, its
//! path must still be this inode, else start over.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::libc;

use super::absent;
use super::boot::{Boot, Known};
use super::meta::{self, Meta, Stage, page_size};
use super::room::{Room, no_room};
use super::segment_dir::{Owner, SegmentDir, Stranger};
use super::segments::{CannotOpen, Others, is_of, number_of, open_current};
use super::{Adopt, Config, Files, Intent, METADATA_SUFFIX, Origin, Trust, moved, olddir};
use crate::chunks::Segment;
use crate::deadline::Deadline;
use crate::error::{At, Blocker, Fault, Result};
use crate::metadata::MadeAs;
use crate::sys::fork::LockFile;
use crate::sys::fs;
use crate::sys::map::Protection;
use crate::sys::place::{Access, Found, Part, Place};
use crate::sys::{barrier, process};

/// How often a data file on another device is looked at before it is refused.
const LOOKS: u32 = 100;

/// A metadata file and a second description of it, for locks only.
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) lock_file: LockFile,
    pub(super) id: (u64, u64),
    pub(super) made: MadeAs,
    access: Access,
    /// Read, not mapped.
    plain: bool,
}

impl Files {
    /// Opens the log at `path`.
    pub(crate) fn open(path: &Path, config: &Config, intent: Intent) -> Result<Self> {
        let place = resolve(path, config.trust).at(path)?;
        let place = Arc::new(place.with(config.together.clone()));
        Self::open_in(&place, config, intent)
    }

    /// Opens the log of these names in a directory that is open.
    pub(crate) fn open_in(place: &Arc<Place>, config: &Config, intent: Intent) -> Result<Self> {
        let deadline = Deadline::after(config.wait, &config.waits);
        Opening { place, config, intent, deadline, metadata: Metadata::Keep }.run().at(place.path())
    }

    /// Makes the metadata of the log at `place` anew from its data file, which nobody may have open for writing.
    pub(crate) fn rebuild(place: &Arc<Place>, config: &Config) -> Result<Self> {
        let config = Config { adopt: Adopt::Existing, ..config.clone() };
        Opening::to_rebuild(place, &config).run().at(place.path())
    }

    /// An error where [`Files::rebuild`] would be refused because of whoever uses the files. Nothing is made, and nothing stored.
    pub(crate) fn ask_to_rebuild(place: &Arc<Place>, config: &Config) -> std::result::Result<(), Fault> {
        Opening::to_rebuild(place, config).ask()
    }

    /// These files, or, in a forked child, the same opened again.
    ///
    /// # Errors
    /// [`Fault::Replaced`] when other files have their names now, or none have.
    pub(crate) fn of_this_process(self: &Arc<Self>) -> Result<Arc<Self>> {
        if !self.is_stale() {
            return Ok(Arc::clone(self));
        }
        let opened = match self.open_there() {
            Err(e) if e.fault().is_no_log() => return Err(Fault::Replaced.at(self.path())),
            opened => opened?,
        };
        // The mapping keeps this handle's inode from being another file's.
        match opened.metadata_id == self.metadata_id {
            true => Ok(Arc::new(opened)),
            false => Err(Fault::Replaced.at(self.path())),
        }
    }

    /// Opens what has these names now: this log, or the one that was made in its place.
    pub(crate) fn open_there(&self) -> Result<Self> {
        // What is gone is not made anew.
        let intent = if self.intent == Intent::Create { Intent::Write } else { self.intent };
        let mut opened = self.open_by_directory(intent)?;
        opened.intent = self.intent;
        Ok(opened)
    }

    /// As [`open_there`](Self::open_there), and makes it when it is gone, if this handle may.
    pub(crate) fn open_or_make_there(&self) -> Result<Self> {
        self.open_by_directory(self.intent)
    }

    /// Never by the path: a working directory, a root or a directory's name may be another by now.
    fn open_by_directory(&self, intent: Intent) -> Result<Self> {
        check_place(&self.place, self.config.trust).at(self.path())?;
        let opened = Self::open_in(&self.place, &self.config, intent);
        let mut opened = opened.map_err(|e| self.explain_denied(e.into_fault()).at(self.path()))?;
        opened.not_appended = Arc::clone(&self.not_appended);
        Ok(opened)
    }

    /// What a process may open, and this one could open before, may be a matter of who it was then.
    pub(super) fn explain_denied(&self, fault: Fault) -> Fault {
        let now = process::effective_user();
        match fault {
            Fault::Io { operation, .. } | Fault::Denied { operation, .. }
                if fault.is_denied() && now != self.opened_as =>
            {
                Fault::UserChanged { operation, opened_as: self.opened_as, now }
            }
            fault => fault,
        }
    }
}

/// Why one of the files could not be opened: what it is, or whose, where that is the reason.
pub(super) fn not_opened(place: &Place, part: Part, source: io::Error, operation: &'static str) -> Fault {
    let Ok(Some(found)) = place.find(part) else { return Fault::Io { operation, source } };
    match (part, found.odd_kind()) {
        (Part::Metadata, Some(kind)) => Stranger::Kind(kind).of_metadata(place),
        (_, Some("symbolic link")) => {
            let link = place.directory_path().join(place.name(part));
            Fault::Symlink { target: std::fs::read_link(link).unwrap_or_default() }
        }
        (_, Some(kind)) => Fault::NotRegular { kind },
        (_, None) if source.raw_os_error() == Some(libc::EACCES) => {
            Fault::Denied { operation, rights: found.rights(), uid: process::effective_user() }
        }
        (_, None) => Fault::Io { operation, source },
    }
}

/// Where the log lies, after the checks that need no open file.
pub(crate) fn resolve(path: &Path, trust: Trust) -> std::result::Result<Place, Fault> {
    let look = || Fault::io("look at the path");
    let place = Place::new(path, METADATA_SUFFIX).map_err(|e| match e.kind() {
        io::ErrorKind::IsADirectory => Fault::NotRegular { kind: "directory" },
        _ => Fault::io("look at the directory")(e),
    })?;
    Room::check_pair(&place)?;
    match place.find(Part::Data).map_err(look())?.and_then(|f| f.odd_kind()) {
        None => {}
        Some("symbolic link") if trust == Trust::AnyPath => {
            let target = path.canonicalize().map_err(look())?;
            return resolve(&target, trust);
        }
        Some("symbolic link") => {
            return Err(Fault::Symlink { target: std::fs::read_link(path).unwrap_or_default() });
        }
        Some(kind) => return Err(Fault::NotRegular { kind }),
    }
    check_place(&place, trust)?;
    Ok(place)
}

fn check_place(place: &Place, trust: Trust) -> std::result::Result<(), Fault> {
    if trust == Trust::Strict { check_directory_owner(place) } else { Ok(()) }
}

/// What others may do in the directory must not lead us to files that are not theirs.
fn check_directory_owner(place: &Place) -> std::result::Result<(), Fault> {
    let directory = place.directory().map_err(Fault::io("look at the directory"))?;
    if directory.mode & 0o002 != 0 && directory.mode & 0o1000 == 0 {
        return Err(Fault::UnsafeDirectory { directory: place.directory_path().to_path_buf() });
    }
    Ok(())
}

/// What becomes of metadata that is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Metadata {
    /// It is used.
    Keep,
    /// It is replaced in place, whatever it says, by what the data file shows.
    Rebuild,
}

pub(super) struct Opening<'a> {
    pub(super) place: &'a Arc<Place>,
    pub(super) config: &'a Config,
    pub(super) intent: Intent,
    pub(super) deadline: Deadline,
    pub(super) metadata: Metadata,
}

impl<'a> Opening<'a> {
    fn to_rebuild(place: &'a Arc<Place>, config: &'a Config) -> Self {
        let (intent, deadline) = (Intent::Create, Deadline::after(config.wait, &config.waits));
        Self { place, config, intent, deadline, metadata: Metadata::Rebuild }
    }

    fn run(&self) -> std::result::Result<Files, Fault> {
        loop {
            let Some(opened) = self.open_metadata()? else {
                self.pause()?;
                continue;
            };
            let opened = Opened { plain: self.is_read_plainly(&opened)?, ..opened };
            let stage = match self.metadata {
                Metadata::Keep => meta::stage(&opened.file)?,
                Metadata::Rebuild => Stage::Unfinished,
            };
            if stage == Stage::Version1 && self.intent.writes() {
                return Err(Fault::Version { found: 1 });
            }
            if stage != Stage::Unfinished {
                match self.assemble(opened, Origin::Opened) {
                    // Replaced between our open and our lock.
                    Err(Fault::Replaced) => self.pause()?,
                    done => return done,
                }
            } else if let Some(files) = self.create(opened)? {
                return Ok(files);
            }
        }
    }

    /// `None`: it vanished in between, try again.
    pub(super) fn open_metadata(&self) -> std::result::Result<Option<Opened>, Fault> {
        let wanted = if self.intent.writes() { Access::Write } else { Access::Read };
        let (file, access) = match self.open_existing(wanted) {
            Ok(found) => found,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                if let Err(fault) = self.check_absent() {
                    // Somebody may have made both files between our two looks.
                    return if self.metadata_id()?.is_some() { Ok(None) } else { Err(fault) };
                }
                let create = Access::Create(self.metadata_mode()?);
                let file = self.place.open(Part::Metadata, create).map_err(|e| match e.kind() {
                    // There is a directory, since it is open, and nothing can be made in it any more.
                    io::ErrorKind::NotFound => Fault::DirectoryGone,
                    _ => self.no_space_or(e, "create the metadata file"),
                })?;
                (file, Access::Write)
            }
            // Leased for a moment by who adopts or removes it.
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(e) => return Err(not_opened(self.place, Part::Metadata, e, "open the metadata file")),
        };
        let found = Found::by(&file).map_err(Fault::io("stat the metadata file"))?;
        let dir = SegmentDir::new(self.place, Owner::of(self.config.trust, found.uid));
        dir.admit(&found).map_err(|stranger| stranger.of_metadata(self.place))?;
        let id = found.id;
        let lock_file = match LockFile::open(|| self.place.open(Part::Metadata, access)) {
            Ok(lock_file) => lock_file,
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::WouldBlock) => {
                return Ok(None);
            }
            Err(e) => return Err(Fault::io("open the metadata file for locks")(e)),
        };
        let (same, made) = (self.is_still(id)?, MadeAs { inode: id.1, born_ns: found.born_ns });
        Ok(same.then_some(Opened { file, lock_file, id, made, access, plain: false }))
    }

    /// Whether a copy of a log is read with `read` alone, on a file system where memory is not shared as it has to be.
    /// Nobody can write to a copy, so nothing is missed. An error for anything else there.
    fn is_read_plainly(&self, opened: &Opened) -> std::result::Result<bool, Fault> {
        match check_file_system(&opened.file) {
            Err(Fault::FileSystem { .. })
                if !self.intent.writes() && meta::is_copy(&opened.file, opened.made)? =>
            {
                Ok(true)
            }
            checked => checked.map(|()| false),
        }
    }

    /// As the data file's, or as it will be: whoever may write there may finish what a dead creator began.
    fn metadata_mode(&self) -> std::result::Result<u32, Fault> {
        let existing = self.place.find(Part::Data).map_err(Fault::io("stat the data file"))?;
        Ok(existing.map(|found| found.mode).or(self.config.mode).unwrap_or(0o666))
    }

    /// A reader would like to write: to announce that it sleeps. It does without if it may not.
    fn open_existing(&self, wanted: Access) -> io::Result<(File, Access)> {
        if wanted == Access::Read
            && let Ok(file) = self.place.open(Part::Metadata, Access::Write)
        {
            return Ok((file, Access::Write));
        }
        self.place.open(Part::Metadata, wanted).map(|file| (file, wanted))
    }

    /// There is no metadata: may it be made?
    fn check_absent(&self) -> std::result::Result<(), Fault> {
        let data = self.place.find(Part::Data).map_err(Fault::io("look at the data file"))?;
        let len = data.map_or(0, |found| found.len);
        // Before anything is made there.
        check_file_system(self.place.directory_fd())?;
        if self.metadata == Metadata::Keep {
            absent::belongs_to_a_log(self.place).map_or(Ok(()), Err)?;
            data.map_or(Ok(()), |_| olddir::check_unnamed(self.place, self.config))?;
        }
        match (len, self.intent, self.config.adopt) {
            // One that was a log may have the name that it has.
            _ if self.metadata == Metadata::Rebuild => Ok(()),
            (_, Intent::Create, adopt) if !absent::is_refused(self.place, len, adopt) => {
                Room::of(self.place)?.check_new()
            }
            _ => Err(absent::no_other(self.place, len, self.intent == Intent::Read)),
        }
    }

    /// Making a name can need space, too.
    pub(super) fn no_space_or(&self, source: io::Error, operation: &'static str) -> Fault {
        match super::guard::is_full(&source) {
            true => no_room(self.place.directory_fd(), page_size(), source),
            false => Fault::Io { operation, source },
        }
    }

    pub(super) fn is_still(&self, id: (u64, u64)) -> std::result::Result<bool, Fault> {
        Ok(self.metadata_id()? == Some(id))
    }

    fn metadata_id(&self) -> std::result::Result<Option<(u64, u64)>, Fault> {
        let found = self.place.find(Part::Metadata).map_err(Fault::io("stat the metadata file"))?;
        Ok(found.map(|f| f.id))
    }

    /// Before another look; an error when the patience is spent.
    pub(super) fn pause(&self) -> std::result::Result<(), Fault> {
        self.deadline.check(|| Blocker::unknown("the log's files (to create, adopt or remove it)"))?;
        std::thread::sleep(Duration::from_millis(1));
        Ok(())
    }

    pub(super) fn check_data(&self, data: &File, stat: &std::fs::Metadata) -> std::result::Result<(), Fault> {
        if !stat.is_file() {
            return Err(Fault::NotRegular { kind: "device" });
        }
        check_file_system(data)
    }

    pub(super) fn assemble(&self, opened: Opened, origin: Origin) -> std::result::Result<Files, Fault> {
        let protection = if opened.access == Access::Read { Protection::Read } else { Protection::ReadWrite };
        let plain = opened.plain;
        let version_1 = !self.intent.writes() && meta::stage(&opened.file)? == Stage::Version1;
        let meta = match version_1 {
            true => self.show_version_1(&opened.file)?,
            false if plain => Meta::check(&meta::in_memory(&opened.file)?, Protection::ReadWrite)?,
            false => Meta::check(&opened.file, protection)?,
        };
        let looks = matches!(self.intent, Intent::Look | Intent::Repair);
        // What a power cut left is judged under the lock, by the data.
        let known = Known::default();
        if version_1 {
            known.is_this();
        }
        let boot = || known.boot(meta.header(), opened.lock_file.fd());
        let believed = self.intent != Intent::Repair && boot()? == Boot::This;
        let checked = if believed { meta.check_positions() } else { Ok(()) };
        let segment = match checked.and_then(|()| self.open_segment(&meta, &opened, boot)) {
            Ok(segment) => Some(Arc::new(segment)),
            Err(
                Fault::NoData
                | Fault::Foreign { .. }
                | Fault::Copied { .. }
                | Fault::OtherMount { .. }
                | Fault::Emptied { .. }
                | Fault::OutOfRange { .. }
                | Fault::OwnersDiffer { .. }
                | Fault::NotRegular { .. }
                | Fault::Symlink { .. },
            ) if looks => None,
            // Both files may have been replaced between our looks at the one and the other.
            Err(_) if !self.is_still(opened.id)? => return Err(Fault::Replaced),
            Err(fault) => return Err(moved::whose(self.place, meta.header(), fault)),
        };
        let max_writers = meta.geometry().max_writers;
        let files = Files {
            place: Arc::clone(self.place),
            config: self.config.clone(),
            intent: self.intent,
            origin,
            meta,
            metadata_id: opened.id,
            made: opened.made,
            wanted: Default::default(),
            opened_as: process::effective_user(),
            lock_file: opened.lock_file,
            known,
            may_announce: protection == Protection::ReadWrite && !version_1 && !plain,
            own: (0..max_writers.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            had_writers: AtomicBool::new(false),
            wants_slot: AtomicBool::new(false),
            in_process: Mutex::new(()),
            maintenance: Mutex::new(()),
            syncing: Mutex::new(()),
            sync_took_ns: AtomicU64::new(0),
            names_synced: AtomicU64::new(0),
            own_tries: Default::default(),
            #[cfg(feature = "compressed")]
            making: Mutex::default(),
            not_appended: Arc::default(),
            foreseen: Mutex::new(None),
            segment: Mutex::new(segment),
        };
        if self.intent.writes() {
            barrier::take_part();
        }
        if matches!(self.intent, Intent::Create | Intent::Write) && !files.control().is_panicked() {
            let guard = files.settle_to_open(&self.deadline)?;
            files.meta.header().note_made(files.made);
            // Without it, followers are not seen, and times not found: no reason not to write.
            let _ = (guard.make_following(), guard.mend_times());
        }
        Ok(files)
    }

    fn open_segment(
        &self,
        meta: &Meta,
        opened: &Opened,
        boot: impl Fn() -> std::result::Result<Boot, Fault>,
    ) -> std::result::Result<Segment, Fault> {
        // Of a copy both files may be others: what helps is the same.
        if self.intent.writes() {
            meta::copied(meta.header(), opened.made, &opened.file).map_or(Ok(()), Err)?;
        }
        let access = if self.intent.writes() { Access::Write } else { Access::Read };
        // After a reboot the names may say more than the metadata: judged under the lock.
        let judged = self.intent.writes() && boot()? == Boot::This;
        let others = if judged { Others::Refused } else { Others::Taken };
        let owner = opened.file.metadata().map_err(Fault::io("stat the metadata file"))?.uid();
        let dir = SegmentDir::new(self.place, Owner::of(self.config.trust, owner));
        let opened_data = loop {
            match open_current(&dir, meta.header(), access, others, &boot, &self.config.waits) {
                // Leased for a moment by who adopts or removes it.
                Err(CannotOpen::Path(e)) if e.kind() == io::ErrorKind::WouldBlock => self.pause()?,
                opened => break opened,
            }
        };
        let (entry, data) = match opened_data {
            Ok(found) => found,
            Err(CannotOpen::Path(e)) if e.kind() == io::ErrorKind::NotFound => return Err(Fault::NoData),
            Err(CannotOpen::Path(e)) => {
                return Err(not_opened(self.place, Part::Data, e, "open the data file"));
            }
            Err(CannotOpen::Fault(fault)) => return Err(fault),
        };
        let found = Found::by(&data).map_err(Fault::io("stat the data file"))?;
        // On the device of the metadata it is on that file system, which was looked at.
        if !opened.plain && (found.odd_kind().is_some() || found.id.0 != opened.id.0) {
            self.check_data(&data, &data.metadata().map_err(Fault::io("stat the data file"))?)?;
        }
        dir.admit(&found).map_err(Stranger::of_data)?;
        let (base, chunk_size) = (entry.base, meta.chunk_of_segment());
        let other_device = found.id.0 != meta.header().identity.device.load(Ordering::Relaxed);
        if self.intent.writes() && other_device && boot()? == Boot::This {
            drop(data);
            let mut looks = 0;
            while let Some(fault) = super::mount::differs(self.place, meta.header(), opened.id.1)? {
                looks += 1;
                // Others who find the log on its new mount have it open, too, until one of them has recorded that.
                if looks > LOOKS || self.pause().is_err() {
                    return Err(fault);
                }
            }
            // Recorded under the lock.
            let again = self.place.open(Part::Data, access);
            let data = again.map_err(|e| not_opened(self.place, Part::Data, e, "open the data file"))?;
            dir.admit(&Found::by(&data).map_err(Fault::io("stat the data file"))?)
                .map_err(Stranger::of_data)?;
            let stat = data.metadata().map_err(Fault::io("stat the data file"))?;
            if !is_of(&entry, &data)? {
                return Err(Fault::Replaced);
            }
            return Ok(Segment::new(data, base, stat.ino(), chunk_size, self.config.ring_chunks));
        }
        let inode = number_of(&entry, &data, &found);
        Ok(Segment::new(data, base, inode, chunk_size, self.config.ring_chunks))
    }
}

fn check_file_system(file: impl AsFd) -> std::result::Result<(), Fault> {
    match fs::incoherent_file_system(file).map_err(Fault::io("ask for the file system"))? {
        Some(name) => Err(Fault::FileSystem { name }),
        None => Ok(()),
    }
}
