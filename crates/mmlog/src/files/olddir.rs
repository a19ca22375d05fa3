//! The directory that final segments are moved to, if there is one.
//!
//! A segment is durable, and known to the metadata on the disk to be final, before it is moved: so syncs and recoveries
//! look in the log's directory alone. Readers look there first, then load the name of the other one, and look there.
//!
//! Nothing is moved to a directory because the metadata names it: the caller does. Where the metadata's is only looked
//! in, it must be one that others cannot put files in, as the log's own.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::owner::Operation;
use super::segments::{Named, named};
use super::{Files, Trust, parts};
use crate::crash::crash_point;
use crate::deadline::Deadline;
use crate::error::Fault;
use crate::layout::{Header, Text};
use crate::sys::fs;
use crate::sys::place::{Access, Part, Place};

/// Bytes of the field for its name.
const MOST: usize = size_of::<Text<24>>();

/// Opens the directory of that name, as metadata has it, if it is there.
fn look_there(place: &Place, name: &str, trust: Trust) -> Result<Option<Arc<Place>>, Fault> {
    let directory = Path::new(name);
    match place.beside(directory) {
        Ok(there) => check(place, directory, &there, trust).map(|()| Some(Arc::new(there))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(cannot(directory, e.to_string())),
    }
}

/// The directory of old segments by the metadata file, of a log that nobody uses.
pub(super) fn of_metadata(metadata: &File, place: &Place, trust: Trust) -> Result<Option<Arc<Place>>, Fault> {
    const AT: usize = std::mem::offset_of!(Header, policy.olddir_changes);
    let mut field = [0; 8 + MOST];
    // A shorter file has none.
    if metadata.read_exact_at(&mut field, AT as u64).is_err() {
        return Ok(None);
    }
    let (changes, name) = field.split_at(8);
    let name = name.split(|&byte| byte == 0).next().and_then(|name| std::str::from_utf8(name).ok());
    let is_set =
        changes != [0; 8] && u64::from_ne_bytes(changes.try_into().unwrap_or_default()).is_multiple_of(2);
    match name.filter(|name| is_set && !name.is_empty()) {
        Some(name) => look_there(place, name, trust),
        None => Ok(None),
    }
}

impl Files {
    /// The directory that the metadata names, if it is there.
    pub(crate) fn old_directory(&self) -> Result<Option<Arc<Place>>, Fault> {
        let name = self.meta.header().policy.old_directory();
        self.intact()?;
        let Some(name) = name.filter(|name| !name.is_empty() && !self.is_version_1()) else {
            return Ok(None);
        };
        look_there(&self.place, &name, self.config.trust)
    }

    /// Opens a directory for the log's final segments, and notes it in the metadata.
    pub(crate) fn set_old_directory(
        &self,
        directory: &Path,
        deadline: &Deadline,
    ) -> Result<Arc<Place>, Fault> {
        let refused = |problem: &str| Err(cannot(directory, problem.to_owned()));
        let Some(name) = directory.to_str().filter(|name| !name.is_empty() && name.len() <= MOST) else {
            return refused(
                "its name has to be UTF-8 of at most 192 bytes; use a shorter path, relative to the log's",
            );
        };
        let place =
            self.place.beside(directory).map_err(|e| cannot(directory, format!("{e}; make it first")))?;
        check(&self.place, directory, &place, self.config.trust)?;
        let look = || Fault::io("look at the directory of old segments");
        if !fs::is_same_mount(place.directory_fd(), self.place.directory_fd()).map_err(look())? {
            return refused(
                "it is on another file system, and segments are renamed, not copied; use one beside the log",
            );
        }
        let id = |place: &Place| place.directory().map(|found| found.id).map_err(look());
        if id(&place)? == id(&self.place)? {
            return refused("it is the log's own; leave --olddir away");
        }
        let place = Arc::new(place);
        let _maintenance = self.maintenance(Operation::Move, deadline)?;
        let policy = &self.meta.header().policy;
        if policy.old_directory().is_some_and(|before| before == name) {
            return Ok(place);
        }
        if let Some(before) = self.old_directory()?
            && id(&before)? != id(&place)?
            && let Some(n) = named(&before)?.first()
        {
            let problem =
                format!("there are some in {} still; move them there, or beside the log", n.path().display());
            return Err(cannot(directory, problem));
        }
        let is_new = self.old_directory()?.is_none_or(|before| id(&before).ok() != id(&place).ok());
        if is_new && let Some(n) = named(&place)?.first() {
            let name = n.name.to_string_lossy();
            return refused(&format!(
                "it has segments of another log of this name ({name}); use one for each log"
            ));
        }
        policy.set_old_directory(name);
        crash_point("olddir:set");
        self.sync_metadata().map_err(Fault::io("make the directory of old segments durable"))?;
        Ok(place)
    }

    /// Whether the log's own directory has final segments.
    pub(crate) fn has_finals_here(&self, below: u64) -> Result<bool, Fault> {
        Ok(named(&self.place)?.iter().any(|n| n.says.generation < below))
    }

    /// Renames final segments to that directory; the caller has made sure that they are durable. Those that are being
    /// compressed stay. Gives those that were moved, as they are there.
    pub(crate) fn move_finals(
        &self,
        to: &Arc<Place>,
        below: u64,
        deadline: &Deadline,
    ) -> Result<Vec<Named>, Fault> {
        let _maintenance = self.maintenance(Operation::Move, deadline)?;
        // The cut of the newest one may be what a dead rotator left to do, and finds it by its name.
        drop(self.lock(Operation::Move, deadline)?);
        let mut moved = Vec::new();
        for n in named(&self.place)?.into_iter().filter(|n| n.says.generation < below) {
            if parts::is_being_made(&self.place, &parts::name_of(&n.name)) {
                continue;
            }
            to.take_named(&self.place, &n.name).map_err(|e| match e.kind() {
                std::io::ErrorKind::AlreadyExists => Fault::SegmentExists {
                    name: to.path().with_file_name(&n.name).to_string_lossy().into_owned(),
                },
                _ => Fault::io("move a final segment to the directory of old ones")(e),
            })?;
            crash_point("olddir:moved");
            moved.push(Named { place: Arc::clone(to), ..n });
        }
        if let Some(last) = moved.last() {
            let sync = || {
                let file = last.open(Access::Read)?;
                to.sync_names(&file)?;
                self.place.sync_names(&file)
            };
            sync().map_err(Fault::io("make moved segments durable"))?;
        }
        Ok(moved)
    }
}

/// Whoever else could put files there could give readers, and maintenance, what is not the log's.
fn check(log: &Place, directory: &Path, place: &Place, trust: Trust) -> Result<(), Fault> {
    let look = || Fault::io("look at the directory of old segments");
    let there = place.directory().map_err(look())?;
    let owner = log.find(Part::Metadata).map_err(look())?.map_or(0, |found| found.uid);
    let problem = if trust == Trust::AnyPath {
        return Ok(());
    } else if there.mode & 0o002 != 0 && there.mode & 0o1000 == 0 {
        "it is writable by everybody and has no sticky bit; chmod o-w it".to_owned()
    } else if ![0, owner].contains(&there.uid) {
        format!("user {} owns it, who is neither root nor the log's ({owner}); chown it", there.uid)
    } else {
        return Ok(());
    };
    Err(cannot(directory, format!("{problem}, or use --trust-path (Trust::AnyPath)")))
}

fn cannot(directory: &Path, problem: String) -> Fault {
    Fault::OldDirectory { directory: directory.to_path_buf(), problem }
}
