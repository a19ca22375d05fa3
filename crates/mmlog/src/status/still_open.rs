//! Files of a log that are not at their paths any more, and whoever has them open: what they hold can be saved as long as
//! he does.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Damage, FindingId, facts};
use crate::files::{Files, METADATA_SUFFIX, moved, owner};
use crate::names::SegmentName;
use crate::sys::holders::{Link, Opener, links, openers_of_removed, writers_of_removed};
use crate::sys::mounts::Table;
use crate::sys::place::{Access, Part, Place};

/// Who has a file open that is not at its path any more.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StillOpen {
    /// As far as this user may see; the writers first.
    pub by: Vec<Opener>,
    /// There are processes that he may not look at.
    pub is_unseen: bool,
    /// A name that is free.
    pub save_as: PathBuf,
    /// What was saved by one of the names that are given for it, and has all that was appended, or was within the last minute.
    pub saved: Option<PathBuf>,
    /// Until when it has what was appended; `None`: until now.
    pub saved_at: Option<SystemTime>,
    /// When its inode last changed: not before it lost its name, and perhaps later, if somebody writes to it.
    pub gone_since: Option<SystemTime>,
}

/// Notes who has the data file open, where it is gone from its path, or another one is there. `openers` tells, of an inode,
/// and whether there are processes that could not be asked.
pub(super) fn look(
    files: &Files,
    damage: &mut [Damage],
    mut openers: impl FnMut(u64) -> (Vec<Opener>, bool),
) {
    let is_lost = |d: &&mut Damage| {
        matches!(d.id, FindingId::DataGone | FindingId::DataReplaced) && d.moved_to.is_none()
    };
    // What copied metadata names is the original's.
    for damage in damage.iter_mut().filter(is_lost).filter(|_| files.is_copied().is_none()) {
        let inode = facts::recorded(files);
        let (mut by, is_unseen) = openers(inode);
        // The number may be another file's by now.
        let directory = files.place.directory_path().canonicalize().unwrap_or_default();
        let path = directory.join(files.place.name(Part::Data));
        by.retain(|opener| opener.was(&path) || files.is_held_by(opener.pid));
        damage.moved_to =
            by.iter().filter_map(Opener::path).find(|found| *found != path && is_at(found, inode, files));
        let writers: Vec<u32> =
            files.meta.used_slots().iter().map(|slot| owner::of(&slot.cold).pid).collect();
        by.sort_by_key(|opener| !writers.contains(&opener.pid));
        let save_as = free_name(files.path());
        let (saved, saved_at) = saved(files).unzip();
        // Each is not before it went.
        let gone_since = by.first().and_then(Opener::gone_since).into_iter().chain(damage.since).min();
        let open = StillOpen { by, is_unseen, save_as, saved, saved_at: saved_at.flatten(), gone_since };
        damage.still_open = damage.moved_to.is_none().then_some(open);
    }
}

/// Who writes to a log that was at this path before: both its files were removed, and it has not opened the log since.
pub(super) fn former(files: &Files, all: &[Link]) -> Option<StillOpen> {
    let directory = files.place.directory_path().canonicalize().ok()?;
    let path = |part| directory.join(files.place.name(part));
    let metadata = openers_of_removed(files.place.directory_fd(), all, &path(Part::Metadata));
    // A removed old segment may have had the name of the log, too.
    let was_its = |opener: &Opener| metadata.iter().any(|other| other.pid == opener.pid);
    if metadata.is_empty() {
        return None;
    }
    let mut by = writers_of_removed(files.place.directory_fd(), all, &path(Part::Data));
    by.retain(|opener| opener.pid != std::process::id() && was_its(opener));
    let gone_since = by.first()?.gone_since();
    Some(StillOpen { by, gone_since, save_as: free_name(files.path()), ..StillOpen::default() })
}

/// Whether that file is at a path of another process's here, too. Nobody is asked who may not answer.
fn is_at(path: &Path, inode: u64, files: &Files) -> bool {
    let here = rustix::fs::fstat(files.place.directory_fd()).map(|stat| stat.st_dev);
    !Table::own().is_answered_elsewhere(path)
        && std::fs::symlink_metadata(path).is_ok_and(|m| m.ino() == inode && here == Ok(m.dev()))
}

/// What becomes of a log whose metadata is not at its path: who has its files open.
pub(super) struct Removed {
    /// The data file; of one that is at its path, everybody who has it open.
    pub(super) data: Vec<Opener>,
    pub(super) metadata: Vec<Opener>,
    pub(super) save_as: PathBuf,
}

/// The files of a log that were given other names, and are not called like a log any more.
pub(super) struct Renamed {
    pub(super) data: PathBuf,
    pub(super) metadata: PathBuf,
    pub(super) by: Vec<Opener>,
    /// Something tells that they were called like that log; else its name may be one that never was.
    pub(super) is_its: bool,
}

/// More files of a process are not looked at.
const MOST: usize = 256;

/// What a process has open that was called by that log's name, or has files of its directory open: two of its files, of which one
/// is the metadata of the other. Where there are several, the process that was called by that name has it.
pub(super) fn renamed(log: &Path) -> Option<Renamed> {
    let place = Place::new(log, METADATA_SUFFIX).ok()?;
    let is_free = |part| place.find(part).is_ok_and(|found| found.is_none());
    if !is_free(Part::Data) || !is_free(Part::Metadata) {
        return None;
    }
    let links = place.links();
    let directory = place.directory_path().canonicalize().ok()?;
    let path = directory.join(place.name(Part::Data));
    let mut pairs: Vec<(bool, moved::Pair, Opener)> = Vec::new();
    let (mine, here) = (std::process::id(), Table::own());
    for theirs in links.chunk_by(|a, b| a.pid() == b.pid()).filter(|theirs| theirs[0].pid() != mine) {
        let pid = theirs[0].pid();
        let is_called = names(pid, &path);
        let files: BTreeSet<&Path> = theirs.iter().filter_map(Link::path).take(MOST).collect();
        let is_near = |path: &&Path| path.parent() == Some(&directory);
        if !is_called && !files.iter().any(is_near) {
            continue;
        }
        let files = files.into_iter().filter(|path| is_called || is_near(path));
        let files: Vec<&Path> = files.filter(|path| !here.is_answered_elsewhere(path)).collect();
        let pair = moved::pair(&files, place.directory_fd());
        pairs.extend(pair.map(|pair| {
            let fd = theirs.iter().find(|link| link.is_at(&pair.data)).map_or(0, Link::fd);
            (is_called, pair, Opener::new(pid, fd))
        }));
    }
    let is_called = pairs.iter().any(|(is_called, ..)| *is_called);
    pairs.retain(|(called, ..)| *called == is_called);
    let (_, first, _) = pairs.first()?;
    // It may be another's.
    if pairs.iter().any(|(_, pair, _)| pair != first) {
        return None;
    }
    let as_named = |path: &Path| moved::as_named(&place, path.to_path_buf());
    let (data, metadata) = (as_named(&first.data), as_named(&first.metadata));
    let is_its = is_called || was_called_like(&place, &[&data, &metadata]);
    Some(Renamed { data, metadata, by: pairs.into_iter().map(|(_, _, opener)| opener).collect(), is_its })
}

/// Whether these files still begin with the log's name, or old segments beside them do.
fn was_called_like(place: &Place, files: &[&Path]) -> bool {
    let log = place.name(Part::Data);
    let begins = |path: &&Path| path.file_name().is_some_and(|n| n.as_bytes().starts_with(log.as_bytes()));
    let is_segment = |name: &OsString| SegmentName::parse(log, name).is_some();
    files.iter().any(begins) || place.names().is_ok_and(|names| names.iter().any(is_segment))
}

/// Whether that process was called with that path, as it sees it. (Not: with a file of that name, which may be another log's.)
fn names(pid: u32, path: &Path) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let stands = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
    let is_it = |word: &[u8]| {
        let typed = stands.join(OsStr::from_bytes(word));
        let typed: PathBuf = typed.components().filter(|part| *part != Component::CurDir).collect();
        typed == path
    };
    line.split(|byte| *byte == 0).any(is_it)
}

pub(super) fn removed(log: &Path) -> Option<Removed> {
    let place = Place::new(log, METADATA_SUFFIX).ok()?;
    let all = links();
    let directory = place.directory_path().canonicalize().ok()?;
    // Who asks because its own log is gone does not tell itself what to do with its own descriptors.
    let is_other = |opener: &Opener| opener.pid != std::process::id();
    let openers = |part| {
        let mut openers = openers_of_removed(place.directory_fd(), &all, &directory.join(place.name(part)));
        openers.retain(is_other);
        openers
    };
    let metadata = openers(Part::Metadata);
    let data = openers(Part::Data);
    (!metadata.is_empty() || !data.is_empty()).then(|| Removed { data, metadata, save_as: free_name(log) })
}

/// A copy is not made again and again of what a program that never rests appends to.
const FRESH: Duration = Duration::from_secs(60);

/// The last copy, and until when it has what was appended, if not until now.
fn saved(files: &Files) -> Option<(PathBuf, Option<SystemTime>)> {
    let last = names_to_save_as(files.path()).take_while(|name| name.symlink_metadata().is_ok()).last()?;
    if has_all(&last, files) {
        return Some((last, None));
    }
    let at = last.symlink_metadata().ok()?.modified().ok()?;
    at.elapsed().is_ok_and(|ago| ago < FRESH).then_some((last, Some(at)))
}

/// Whether that file has what was appended, up to the last byte, as far as its length and that byte tell.
fn has_all(saved: &Path, files: &Files) -> bool {
    let control = files.control();
    let len = control.look().start.saturating_sub(control.base());
    let mut last = [0];
    let name = saved.file_name().unwrap_or_default();
    len > 0
        && files.place.find_named(name).is_ok_and(|found| found.is_some_and(|f| f.odd_kind().is_none()))
        && files
            .place
            .open_named(name, Access::Read)
            .is_ok_and(|f| f.read_exact_at(&mut last, len - 1).is_ok())
        && last != [0]
}

/// The last copy of a data file of that log that was made as status says, by its name; and when that was.
#[must_use]
pub fn saved_copy(log: &Path) -> Option<(PathBuf, SystemTime)> {
    let there =
        |name: PathBuf| Some((name.symlink_metadata().ok().filter(std::fs::Metadata::is_file)?, name));
    let (file, name) = names_to_save_as(log).map_while(there).last()?;
    Some((name, file.modified().ok()?))
}

/// `app.log.saved`, or with a number.
fn names_to_save_as(log: &Path) -> impl Iterator<Item = PathBuf> {
    let log = log.as_os_str().to_owned();
    let name = move |end: String| {
        let mut name = log.clone();
        name.push(end);
        PathBuf::from(name)
    };
    (0..100).map(move |nth| name(if nth == 0 { ".saved".to_owned() } else { format!(".saved.{nth}") }))
}

fn free_name(log: &Path) -> PathBuf {
    let mut names = names_to_save_as(log).skip_while(|name| name.symlink_metadata().is_ok());
    names.next().unwrap_or_else(|| names_to_save_as(log).next().unwrap_or_default())
}
