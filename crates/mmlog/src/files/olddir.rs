//! The directory that final segments are moved to, if there is one.
//!
//! A segment is durable, and known to the metadata on the disk to be final, before it is moved: so syncs and recoveries
//! look in the log's directory alone. Readers look there first, then load the name of the other one, and look there.
//!
//! Nothing is moved to a directory because the metadata names it: the caller does. The metadata's word alone is enough
//! for a directory below the log's, unless a log of the same name is in it, or on the way: the segments are that one's.
//! For one elsewhere (an absolute name, `..`, a link on the way; earlier versions took such) the caller has to say it
//! again, unless nobody but the log's owner may write the metadata, and the directory and every segment in it are his:
//! whoever may write the metadata could else have maintenance delete, and readers show, what he may not even read.

use std::fs::File;
use std::io::ErrorKind::{NotADirectory, NotFound};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::owner::Operation;
use super::segment_dir::{Named, Owner, SegmentDir};
use super::{Config, Files, chain, parts};
use crate::crash::crash_point;
use crate::deadline::Deadline;
use crate::error::{Fault, quoted, shown};
use crate::layout::{Header, Text};
use crate::names::SegmentName;
use crate::sys::fs;
use crate::sys::place::{Access, Found, Part, Place, Way, is_elsewhere};

/// Bytes of the field for its name.
const MOST: usize = size_of::<Text<24>>();

/// Opens the directory that the metadata names, if it is there. `metadata`: the file that says so; `said`: how the caller
/// names it, if he does.
fn look_there(
    log: &SegmentDir,
    metadata: &Found,
    name: &str,
    said: Option<&Path>,
) -> Result<Option<SegmentDir>, Fault> {
    let directory = Path::new(name);
    if let Some(said) = said {
        return as_said(log, directory, said).map(Some);
    }
    let way = if log.owner() == Owner::Anybody { Way::Any } else { Way::Below };
    match log.place().beside(directory, way) {
        Ok(there) => {
            check(log, directory, &there)?;
            if way == Way::Below {
                check_nearest(log, directory)?;
            }
            Ok(Some(log.with(there)))
        }
        Err(e) if e.kind() == NotFound => Ok(None),
        Err(e) if way == Way::Below && is_elsewhere(&e) => elsewhere(log, metadata, directory),
        Err(e) => Err(cannot(directory, e.to_string())),
    }
}

/// The caller's word is enough, where it is not another directory than the metadata's.
fn as_said(log: &SegmentDir, directory: &Path, said: &Path) -> Result<SegmentDir, Fault> {
    let there = log.place().beside(said, Way::Any).map_err(|e| cannot(said, e.to_string()))?;
    check(log, said, &there)?;
    if said != directory
        && let Ok(other) = log.place().beside(directory, Way::Any)
        && id(&other)? != id(&there)?
    {
        let name = quoted(directory);
        return Err(cannot(said, format!("the metadata names another one, {name}; name that")));
    }
    Ok(log.with(there))
}

/// That no other log of the same name is nearer to a directory below: it could be its segments that are there.
fn check_nearest(log: &SegmentDir, directory: &Path) -> Result<(), Fault> {
    let mut way = PathBuf::new();
    for step in directory.components() {
        way.push(step);
        let there = log.place().beside(&way, Way::Below).map_err(look())?;
        let has = |part| Ok(there.find(part).map_err(look())?.is_some());
        let is_ours = || Ok::<_, Fault>(id(&there)? == id(log.place())?);
        if (has(Part::Metadata)? || has(Part::Data)?) && !is_ours()? {
            let problem = format!("another log of that name is in {}", shown(&way));
            return Err(Fault::OldDirectoryElsewhere { directory: directory.to_path_buf(), problem });
        }
    }
    Ok(())
}

/// One that is not below the log's, and that nobody but the metadata names.
fn elsewhere(log: &SegmentDir, metadata: &Found, directory: &Path) -> Result<Option<SegmentDir>, Fault> {
    let there = match log.place().beside(directory, Way::Any) {
        Ok(there) => there,
        Err(e) if e.kind() == NotFound => return Ok(None),
        Err(e) => return Err(cannot(directory, e.to_string())),
    };
    let refused = |why: String| {
        let problem = format!("it is not below the log's directory, or across a link, and {why}");
        Err(Fault::OldDirectoryElsewhere { directory: directory.to_path_buf(), problem })
    };
    let uid = there.directory().map_err(look())?.uid;
    if metadata.mode & 0o022 != 0 {
        return refused("others than the log's owner may write the metadata, which names it".to_owned());
    }
    if log.owner() != Owner::User(uid) {
        return refused(format!("it belongs to uid {uid}, who is not the log's owner"));
    }
    check(log, directory, &there)?;
    let dir = log.with(there);
    match dir.list()?.left_out.first() {
        Some(_) => refused("not every segment there belongs to the log's owner".to_owned()),
        None => Ok(Some(dir)),
    }
}

/// The directory of old segments by the metadata file, of a log that nobody uses.
pub(super) fn of_metadata(
    metadata: &File,
    log: &SegmentDir,
    config: &Config,
) -> Result<Option<SegmentDir>, Fault> {
    let Some(name) = said(metadata)? else { return Ok(None) };
    look_there(log, &Found::by(metadata).map_err(look())?, &name, config.old_directory.as_deref())
}

/// What a metadata file says that nobody uses; a shorter file says nothing.
fn said(metadata: &File) -> Result<Option<String>, Fault> {
    const AT: usize = std::mem::offset_of!(Header, policy.olddir_changes);
    let mut field = [0; 8 + MOST];
    match metadata.read_exact_at(&mut field, AT as u64) {
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read.map_err(Fault::io("read the metadata file"))?,
    }
    let (changes, name) = field.split_at(8);
    let name = name.split(|&byte| byte == 0).next().and_then(|name| std::str::from_utf8(name).ok());
    let is_set =
        changes != [0; 8] && u64::from_ne_bytes(changes.try_into().unwrap_or_default()).is_multiple_of(2);
    Ok(name.filter(|name| is_set && !name.is_empty()).map(str::to_owned))
}

/// The directory of old segments for metadata that is made anew, with its name: the old metadata's, or, where that says
/// none, the caller's.
pub(super) fn to_keep(
    metadata: &File,
    log: &SegmentDir,
    config: &Config,
) -> Result<Option<(String, SegmentDir)>, Fault> {
    let by_caller = || Some(config.old_directory.as_ref()?.to_str()?.to_owned());
    let Some(name) = said(metadata)?.or_else(by_caller) else { return Ok(None) };
    let found = Found::by(metadata).map_err(look())?;
    Ok(look_there(log, &found, &name, config.old_directory.as_deref())?.map(|there| (name, there)))
}

/// Directories in the log's that have files with the names of its segments, and no log of that name, where neither metadata nor
/// caller names one.
pub(crate) fn unnamed(place: &Place, config: &Config) -> Option<Vec<PathBuf>> {
    let metadata = place.open(Part::Metadata, Access::Read).ok();
    if config.old_directory.is_some()
        || metadata.is_some_and(|metadata| said(&metadata).is_ok_and(|said| said.is_some()))
    {
        return None;
    }
    let log = place.name(Part::Data);
    let has_segments = |directory: &PathBuf| {
        let names = place.beside(directory, Way::Below).and_then(|there| there.names());
        names.is_ok_and(|names| {
            let is = |part| names.iter().any(|name| name == place.name(part));
            !is(Part::Metadata)
                && !is(Part::Data)
                && names.iter().any(|name| SegmentName::parse(log, name).is_some())
        })
    };
    let directories = place.directories().unwrap_or_default().into_iter().map(PathBuf::from);
    Some(directories.filter(has_segments).collect())
}

/// Before metadata is made anew for a data file that is there: its positions would begin at 0 again, beside old segments that
/// have them.
pub(super) fn check_unnamed(place: &Place, config: &Config) -> Result<(), Fault> {
    let first = unnamed(place, config).unwrap_or_default().into_iter().next();
    first.map_or(Ok(()), |directory| Err(Fault::OldSegmentsUnnamed(directory)))
}

impl Files {
    /// The directory that the metadata names, if it is there.
    pub(crate) fn old_directory(&self) -> Result<Option<SegmentDir>, Fault> {
        let name = self.meta.header().policy.old_directory();
        self.intact()?;
        let Some(name) = name.filter(|name| !name.is_empty() && !self.is_version_1()) else {
            return Ok(None);
        };
        let said = self.config.old_directory.as_deref();
        look_there(&self.log_directory()?, &self.metadata_found()?, &name, said)
    }

    /// Opens a directory for the log's final segments, and notes it in the metadata.
    pub(crate) fn set_old_directory(
        &self,
        directory: &Path,
        deadline: &Deadline,
    ) -> Result<SegmentDir, Fault> {
        let refused = |problem: &str| Err(cannot(directory, problem.to_owned()));
        let Some(name) = directory.to_str().filter(|name| !name.is_empty() && name.len() <= MOST) else {
            return refused(
                "its name has to be UTF-8 of at most 192 bytes; use a shorter path, relative to the log's",
            );
        };
        let log = self.log_directory()?;
        let place = self.place.beside(directory, Way::Any);
        let place = place.map_err(|e| cannot(directory, format!("{e}; make it first")))?;
        check(&log, directory, &place)?;
        if !fs::is_same_mount(place.directory_fd(), self.place.directory_fd()).map_err(look())? {
            return refused(
                "it is on another file system, and segments are renamed, not copied; use one beside the log",
            );
        }
        let wanted = id(&place)?;
        if wanted == id(&self.place)? {
            return refused("it is the log's own; leave --olddir away");
        }
        let _maintenance = self.maintenance(Operation::Move, deadline)?;
        let policy = &self.meta.header().policy;
        let before = policy.old_directory().filter(|before| !before.is_empty());
        let there = match before.map(|before| self.place.beside(Path::new(&before), Way::Any)).transpose() {
            Err(e) if matches!(e.kind(), NotFound | NotADirectory) => None,
            there => there.map_err(Fault::io("look at the directory of old segments of before"))?,
        };
        if let Some(there) = there {
            // Said again, by whichever name.
            if id(&there)? == wanted {
                return Ok(log.with(place));
            }
            if let Some(n) = log.with(there).named()?.first() {
                let problem = format!(
                    "there are some in {} still; move them there, or beside the log",
                    n.path().display()
                );
                return Err(cannot(directory, problem));
            }
        }
        let dir = log.with(place);
        if let Some(n) = dir.named()?.last()
            && !self.is_just_before(n, &log)?
        {
            let name = n.name.to_string_lossy();
            return refused(&format!(
                "it has segments that this log does not know ({name}): if they are its own, move them beside the log and its metadata file away, and `mmlogctl repair --rebuild LOG` goes on behind them; if they are another's, use one directory for each log"
            ));
        }
        match self.place.beside(directory, Way::Below) {
            Ok(below) if id(&below)? == wanted => {}
            Err(e) if !is_elsewhere(&e) => return Err(look()(e)),
            _ => {
                return refused(
                    "it is not below the log's directory, or there is a link on the way, so the metadata could lead whoever works on the log anywhere; use one below it, named relative to it",
                );
            }
        }
        check_nearest(&log, directory)?;
        policy.set_old_directory(name);
        crash_point("olddir:set");
        self.sync_metadata().map_err(Fault::io("make the directory of old segments durable"))?;
        Ok(dir)
    }

    /// Whether a segment ends where the oldest one that the log knows begins: metadata that was made anew did not know of the
    /// directory.
    fn is_just_before(&self, n: &Named, log: &SegmentDir) -> Result<bool, Fault> {
        let current = self.current_segment()?;
        let here = log.names()?.into_iter().map(|(says, _)| (says.generation, says.base));
        let oldest = here.min().unwrap_or((current.generation, current.base));
        let oldest = oldest.min((current.generation, current.base));
        Ok(n.says.generation < oldest.0 && chain::precedes(n, oldest)? != Some(false))
    }

    /// Whether the log's own directory has final segments.
    pub(crate) fn has_finals_here(&self, below: u64) -> Result<bool, Fault> {
        Ok(!self.log_directory()?.named_back_to(..below, |_| true)?.is_empty())
    }

    /// Renames final segments to that directory; the caller has made sure that they are durable. Gives those that were
    /// moved, as they are there, and those that are being compressed, which stay.
    pub(crate) fn move_finals(
        &self,
        to: &SegmentDir,
        below: u64,
        deadline: &Deadline,
    ) -> Result<(Vec<Named>, Vec<Named>), Fault> {
        let _maintenance = self.maintenance(Operation::Move, deadline)?;
        // The cut of the newest one may be what a dead rotator left to do, and finds it by its name.
        drop(self.lock(Operation::Move, deadline)?);
        let (mut moved, mut stay, log) = (Vec::new(), Vec::new(), self.log_directory()?);
        let all = log.named_of(..below)?;
        let (of, mut goes_on) = (all.len() as u64, Ok(()));
        for n in all {
            goes_on = self.waits().go_on("segments were moved", moved.len() as u64, of);
            if goes_on.is_err() {
                break;
            }
            if parts::is_being_made(&log, &parts::name_of(&n.name))? {
                stay.push(n);
                continue;
            }
            to.place().take_named(&self.place, &n.name).map_err(|e| match e.kind() {
                std::io::ErrorKind::AlreadyExists => Fault::SegmentExists {
                    name: to.place().path().with_file_name(&n.name).to_string_lossy().into_owned(),
                },
                _ => Fault::io("move a final segment to the directory of old ones")(e),
            })?;
            crash_point("olddir:moved");
            let n = n.moved(to);
            // In somebody's own directory a name can become another file's at any time: that is not left there.
            if n.find().map_err(look())?.is_none_or(|found| found.id != n.id()) {
                return Err(Fault::Replaced);
            }
            moved.push(n);
        }
        if let Some(last) = moved.last()
            && let Some(file) = last.open(Access::Read)?
        {
            let sync = || {
                to.place().sync_names(&file)?;
                self.place.sync_names(&file)
            };
            sync().map_err(Fault::io("make moved segments durable"))?;
        }
        goes_on.map(|()| (moved, stay))
    }
}

/// Whoever else could put files there could give readers, and maintenance, what is not the log's.
fn check(log: &SegmentDir, directory: &Path, place: &Place) -> Result<(), Fault> {
    let there = place.directory().map_err(look())?;
    let Owner::User(owner) = log.owner() else { return Ok(()) };
    let problem = if there.mode & 0o002 != 0 && there.mode & 0o1000 == 0 {
        "it is writable by everybody and has no sticky bit; chmod o-w it".to_owned()
    } else if ![0, owner].contains(&there.uid) {
        format!("user {} owns it, who is neither root nor the log's ({owner}); chown it", there.uid)
    } else {
        return Ok(());
    };
    Err(cannot(directory, format!("{problem}, or use --trust-path")))
}

fn id(place: &Place) -> Result<(u64, u64), Fault> {
    place.directory().map(|found| found.id).map_err(look())
}

fn look() -> impl FnOnce(std::io::Error) -> Fault {
    Fault::io("look at the directory of old segments")
}

fn cannot(directory: &Path, problem: String) -> Fault {
    Fault::OldDirectory { directory: directory.to_path_buf(), problem }
}
