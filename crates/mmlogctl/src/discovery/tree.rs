//! The logs below a directory: files whose names are those of metadata; and data files without, of which old segments, or a file that
//! was their metadata, lie there: whoever looks at them knows whether they are logs.
//!
//! Links are not followed, not even where a directory becomes one meanwhile: each is opened from the first one on, with no
//! link on the way. What is mounted below is left alone, unless it is asked for.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use mmlog::{logs_named_by, quoted};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2, statat,
};
use rustix::io::Errno;

use super::log_of;
use crate::reading::metadata_of;
use crate::signals;

const FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

struct Walk<'a> {
    root: OwnedFd,
    /// As it was typed.
    name: &'a Path,
    device: u64,
    crossing: bool,
    /// What may be in several places.
    seen: HashSet<(u64, u64)>,
    logs: Vec<PathBuf>,
}

/// The logs there; what could not be read is added to `unread`.
pub(super) fn logs_below(
    directory: &Path,
    crossing: bool,
    unread: &mut Vec<(PathBuf, String)>,
) -> Vec<PathBuf> {
    let opened = openat(CWD, directory, FLAGS, Mode::empty()).and_then(|root| Ok((fstat(&root)?, root)));
    let (stat, root) = match opened {
        Ok(opened) => opened,
        Err(e) => {
            unread.push((directory.to_owned(), unopened(directory, e)));
            return Vec::new();
        }
    };
    let (device, name) = (device(&stat), directory);
    let mut walk = Walk { root, name, device, crossing, seen: HashSet::new(), logs: Vec::new() };
    let mut left = vec![PathBuf::new()];
    while let Some(below) = left.pop() {
        if signals::came() {
            unread.push((directory.to_owned(), "told to stop".to_owned()));
            break;
        }
        match walk.directory(&below, &mut left) {
            Ok(()) | Err(Errno::XDEV | Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => {}
            Err(e) => unread.push((joined(directory, &below), mmlog::reason(&e.into()))),
        }
    }
    walk.logs
}

/// Why a directory that was named is none.
fn unopened(directory: &Path, e: Errno) -> String {
    match e {
        Errno::NOENT => "no such directory; correct the path".to_owned(),
        Errno::NOTDIR => {
            let log = log_of(directory).unwrap_or_else(|| directory.to_owned());
            format!("not a directory, which this lists; `mmlogctl status {}` shows one log", quoted(&log))
        }
        e => mmlog::reason(&e.into()),
    }
}

impl Walk<'_> {
    fn directory(&mut self, below: &Path, left: &mut Vec<PathBuf>) -> Result<(), Errno> {
        let fd = self.open(below)?;
        let stat = fstat(&fd)?;
        if !self.crossing && device(&stat) != self.device || !self.seen.insert((device(&stat), stat.st_ino)) {
            return Ok(());
        }
        let mut without = BTreeSet::new();
        for entry in Dir::read_from(&fd)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let path = below.join(OsStr::from_bytes(name));
            let kind = match entry.file_type() {
                FileType::Unknown => statat(&fd, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)
                    .map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode)),
                kind => kind,
            };
            match kind {
                FileType::Directory => left.push(path),
                FileType::RegularFile => match log_of(&path) {
                    Some(log) => self.logs.push(joined(self.name, &log)),
                    None => without.extend(logs_named_by(OsStr::from_bytes(name)).map(OsStr::to_owned)),
                },
                _ => {}
            }
        }
        // Old segments may have a directory of their own, in the log's.
        let above = below.parent().and_then(|above| Some((self.open(above).ok()?, above)));
        for (fd, directory) in [(fd, below)].into_iter().chain(above) {
            let here = without.iter().filter(|log| has_no_metadata(&fd, log));
            self.logs.extend(here.map(|log| joined(self.name, &directory.join(log))));
        }
        Ok(())
    }

    fn open(&self, below: &Path) -> Result<OwnedFd, Errno> {
        if below.as_os_str().is_empty() {
            return openat(&self.root, c".", FLAGS, Mode::empty());
        }
        let mut how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        if !self.crossing {
            how |= ResolveFlags::NO_XDEV;
        }
        match openat2(&self.root, below, FLAGS, Mode::empty(), how) {
            // A kernel before 5.6, or a sandbox.
            Err(Errno::NOSYS | Errno::PERM) => {
                openat(&self.root, below, FLAGS | OFlags::NOFOLLOW, Mode::empty())
            }
            opened => opened,
        }
    }
}

/// Whether a data file is there, and no metadata.
fn has_no_metadata(directory: &OwnedFd, log: &OsStr) -> bool {
    let found = |name: &OsStr| statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
    let is_file = |stat: Stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    found(log).is_ok_and(is_file)
        && found(metadata_of(Path::new(log)).as_os_str()).is_err_and(|e| e == Errno::NOENT)
}

fn joined(directory: &Path, below: &Path) -> PathBuf {
    if below.as_os_str().is_empty() { directory.to_owned() } else { directory.join(below) }
}

#[expect(clippy::useless_conversion, reason = "of another type on some machines")]
fn device(stat: &Stat) -> u64 {
    u64::from(stat.st_dev)
}
