//! Where a log lies: its directory, open, and the names of its files there.
//!
//! Everything that opens, asks about or removes one of the files is relative to the open directory and follows no
//! link in the last place. So whoever may rename directories on the way cannot lead maintenance, which often runs as
//! root, to somebody else's files between one call and the next.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Statx, StatxFlags, StatxTimestamp, linkat, openat,
    openat2, renameat, statat, statx, unlinkat,
};
use rustix::io::Errno;

use super::fs;
use super::holders::{Link, links};
use super::together::Together;
use crate::error::Rights;

/// What [`Place::open`] is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    Read,
    Write,
    /// Write; made with these permission bits when it is not there.
    Create(u32),
    /// Write; made with these permission bits, and an error when it is there.
    New(u32),
}

/// Which of a log's files that have one name each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    Data,
    Metadata,
    /// The data file of the next segment, before it has its name.
    Next,
}

/// What the directory says of a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Found {
    pub(crate) id: (u64, u64),
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mode: u32,
    pub(crate) len: u64,
    /// Bytes of disk that it takes.
    pub(crate) allocated: u64,
    pub(crate) links: u64,
    /// When its content last changed.
    pub(crate) changed: SystemTime,
    /// When its inode last did: not before it got its name.
    pub(crate) named: SystemTime,
    /// When it was made, nanoseconds since the epoch, where the file system says it.
    pub(crate) born_ns: Option<u64>,
    kind: FileType,
}

impl Found {
    /// Whether it is a file without a byte.
    pub(crate) fn is_emptied(&self) -> bool {
        self.odd_kind().is_none() && self.len == 0
    }

    /// What is at that path below `at`. Nothing is mounted for it.
    fn at(at: impl AsFd, path: &OsStr, flags: AtFlags) -> Result<Self, Errno> {
        match statx(&at, path, flags | AtFlags::NO_AUTOMOUNT, StatxFlags::BASIC_STATS | StatxFlags::BTIME) {
            Ok(stat) => Ok(Self::of(&stat)),
            // An old sandbox.
            Err(Errno::NOSYS) => Ok(Self::of_stat(&statat(&at, path, flags)?)),
            Err(e) => Err(e),
        }
    }

    fn of(stat: &Statx) -> Self {
        let since = |t: StatxTimestamp| {
            u64::try_from(t.tv_sec).ok()?.checked_mul(1_000_000_000)?.checked_add(t.tv_nsec.into())
        };
        let born = (stat.stx_mask & StatxFlags::BTIME.bits() != 0).then_some(stat.stx_btime);
        Self {
            id: (rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor), stat.stx_ino),
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            mode: u32::from(stat.stx_mode) & 0o7777,
            len: stat.stx_size,
            allocated: stat.stx_blocks * 512,
            links: stat.stx_nlink.into(),
            changed: time_of(stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec.into()),
            named: time_of(stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec.into()),
            born_ns: born.and_then(since),
            kind: FileType::from_raw_mode(stat.stx_mode.into()),
        }
    }

    fn of_stat(stat: &rustix::fs::Stat) -> Self {
        Self {
            id: (stat.st_dev, stat.st_ino),
            uid: stat.st_uid,
            gid: stat.st_gid,
            mode: stat.st_mode & 0o7777,
            len: stat.st_size.unsigned_abs(),
            allocated: stat.st_blocks.unsigned_abs() * 512,
            links: stat.st_nlink,
            changed: time_of(stat.st_mtime, stat.st_mtime_nsec),
            named: time_of(stat.st_ctime, stat.st_ctime_nsec),
            born_ns: None,
            kind: FileType::from_raw_mode(stat.st_mode),
        }
    }

    /// What an open file is.
    pub(crate) fn by(file: impl AsFd) -> io::Result<Self> {
        Ok(Self::at(file, OsStr::new(""), AtFlags::EMPTY_PATH)?)
    }

    /// Whether others than root may give names to files in it, if it is a directory.
    pub(crate) fn is_open_to_others(&self) -> bool {
        self.uid != 0 || self.mode & 0o002 != 0 || self.gid != 0 && self.mode & 0o020 != 0
    }

    /// Whose it is.
    pub(crate) fn rights(&self) -> Rights {
        Rights { uid: self.uid, gid: self.gid, mode: self.mode }
    }

    /// What it is, when it is no regular file.
    pub(crate) fn odd_kind(&self) -> Option<&'static str> {
        match self.kind {
            FileType::RegularFile => None,
            FileType::Directory => Some("directory"),
            FileType::Fifo => Some("FIFO"),
            FileType::Socket => Some("socket"),
            FileType::Symlink => Some("symbolic link"),
            _ => Some("device"),
        }
    }
}

fn time_of(seconds: i64, nanos: u64) -> SystemTime {
    let nanos = Duration::from_nanos(nanos.min(999_999_999));
    let seconds = Duration::from_secs(seconds.max(0).unsigned_abs());
    UNIX_EPOCH.checked_add(seconds + nanos).unwrap_or(UNIX_EPOCH)
}

/// A directory's names, to be made durable; `None` where it may not be read.
pub(crate) struct Names(Option<OwnedFd>);

impl Names {
    /// Where names, or segments, cannot be listed.
    pub(crate) const fn unseen() -> Self {
        Self(None)
    }

    /// Does it; where the directory may not be read, for the whole file system of `file`.
    pub(crate) fn sync(&self, file: impl AsFd) -> io::Result<()> {
        match &self.0 {
            Some(directory) => Ok(rustix::fs::fsync(directory)?),
            None => Ok(rustix::fs::syncfs(file)?),
        }
    }
}

/// How a directory may be come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// Down from the log's: not by an absolute name, not by `..`, not across a link.
    Below,
    /// As the name says.
    Any,
}

/// Opens a directory below another one. An error of [`is_elsewhere`] when the way there leads out of it, or across a link.
fn open_below(from: &OwnedFd, directory: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    if !directory.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir)) {
        return Err(Errno::XDEV.into());
    }
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(from, directory, flags, Mode::empty(), resolve) {
        // Kernels before 5.6; filters of system calls that do not know it.
        Err(Errno::NOSYS | Errno::PERM) => step_by_step(from, directory, flags),
        opened => Ok(opened?),
    }
}

/// As [`open_below`], a component at a time.
fn step_by_step(from: &OwnedFd, directory: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let mut at = openat(from, c".", flags, Mode::empty())?;
    for component in directory.components() {
        at = openat(&at, component.as_os_str(), flags, Mode::empty())?;
    }
    Ok(at)
}

/// Whether [`Way::Below`] is not the way to that directory. (Where it crosses a link, the kernel says "no directory" of
/// one system call, and "a loop" of the other.)
pub(crate) fn is_elsewhere(e: &io::Error) -> bool {
    [Errno::XDEV, Errno::LOOP, Errno::NOTDIR]
        .iter()
        .any(|errno| e.raw_os_error() == Some(errno.raw_os_error()))
}

/// A log's directory and names.
#[derive(Debug)]
pub(crate) struct Place {
    directory: OwnedFd,
    path: PathBuf,
    metadata_path: PathBuf,
    /// The metadata file's path from the root, as it was when this was opened.
    metadata_from_root: PathBuf,
    name: OsString,
    metadata_name: OsString,
    next_name: OsString,
    /// With which other logs it is looked at.
    together: Option<Together>,
}

impl Place {
    /// Opens the directory of the data file's path; needs only search permission there.
    pub(crate) fn new(path: &Path, metadata_suffix: &str) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?.to_os_string();
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(parent, flags, Mode::empty())?;
        let with_suffix = |text: &OsStr| {
            let mut text = text.to_os_string();
            text.push(metadata_suffix);
            text
        };
        let metadata_path = PathBuf::from(with_suffix(path.as_os_str()));
        // Later, the working directory may be another one. One that has no path any more leaves the path as it is.
        let metadata_from_root =
            std::path::absolute(&metadata_path).unwrap_or_else(|_| metadata_path.clone());
        let metadata_name = with_suffix(&name);
        let mut next_name = metadata_name.clone();
        next_name.push("-next");
        let path = path.to_path_buf();
        let together = None;
        Ok(Self {
            directory,
            path,
            metadata_path,
            metadata_from_root,
            name,
            metadata_name,
            next_name,
            together,
        })
    }

    /// The same, looked at together with others.
    pub(crate) fn with(self, together: Option<Together>) -> Self {
        Self { together, ..self }
    }

    /// The same log's names in another directory, relative to this one.
    pub(crate) fn beside(&self, directory: &Path, way: Way) -> io::Result<Self> {
        // Its last component is no link either way, as no name of the log's is.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = match way {
            Way::Below => open_below(&self.directory, directory, flags)?,
            Way::Any => openat(&self.directory, directory, flags, Mode::empty())?,
        };
        Ok(Self {
            directory: opened,
            path: self.path.with_file_name(directory).join(&self.name),
            metadata_path: self.metadata_path.clone(),
            metadata_from_root: self.metadata_from_root.clone(),
            name: self.name.clone(),
            metadata_name: self.metadata_name.clone(),
            next_name: self.next_name.clone(),
            together: self.together.clone(),
        })
    }

    /// Moves a file here from another place. An error when the name is taken.
    pub(crate) fn take_named(&self, from: &Self, name: &OsStr) -> io::Result<()> {
        use rustix::fs::{RenameFlags, renameat_with};
        Ok(renameat_with(&from.directory, name, &self.directory, name, RenameFlags::NOREPLACE)?)
    }

    /// The path that was given, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The metadata file's path, for messages.
    pub(crate) fn metadata_path(&self) -> &Path {
        &self.metadata_path
    }

    /// Whether the path that was given, directories included, leads to another metadata file than `id` now, or to none.
    /// Where that cannot be told it does not.
    pub(crate) fn is_led_astray(&self, id: (u64, u64)) -> bool {
        use std::os::unix::fs::MetadataExt;
        match self.metadata_from_root.symlink_metadata() {
            Ok(found) => (found.dev(), found.ino()) != id,
            Err(e) => matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        }
    }

    /// The directory's path, for messages.
    pub(crate) fn directory_path(&self) -> &Path {
        self.path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// The name of one of the files.
    pub(crate) fn name(&self, part: Part) -> &OsStr {
        match part {
            Part::Data => &self.name,
            Part::Metadata => &self.metadata_name,
            Part::Next => &self.next_name,
        }
    }

    /// Opens a file: never follows a link, never blocks on a FIFO, never becomes a terminal; waits for a lease no longer than
    /// [`fs::past_leases`].
    pub(crate) fn open(&self, part: Part, access: Access) -> io::Result<File> {
        self.open_named(self.name(part), access)
    }

    /// As [`open`](Self::open), any name in the directory.
    pub(crate) fn open_named(&self, name: &OsStr, access: Access) -> io::Result<File> {
        let common = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let (flags, mode) = match access {
            Access::Read => (OFlags::RDONLY, 0),
            Access::Write => (OFlags::RDWR, 0),
            Access::Create(mode) => (OFlags::RDWR | OFlags::CREATE, mode),
            Access::New(mode) => (OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, mode),
        };
        let open = || openat(&self.directory, name, common | flags, Mode::from_raw_mode(mode));
        Ok(fs::beyond_streams(fs::past_leases(open)?)?.into())
    }

    /// What has that name now, `None` for nothing.
    pub(crate) fn find(&self, part: Part) -> io::Result<Option<Found>> {
        self.find_named(self.name(part))
    }

    /// As [`find`](Self::find), any name in the directory.
    pub(crate) fn find_named(&self, name: &OsStr) -> io::Result<Option<Found>> {
        match Found::at(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Ok(Some(found)),
            // A name that the file system cannot have names nothing.
            Err(Errno::NOENT | Errno::NAMETOOLONG) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Takes the name away.
    pub(crate) fn remove(&self, part: Part) -> io::Result<()> {
        self.remove_named(self.name(part))
    }

    /// Takes any name in the directory away.
    pub(crate) fn remove_named(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.directory, name, AtFlags::empty())?)
    }

    /// Gives the data file a second name. An error when that is taken.
    pub(crate) fn link_data(&self, name: &OsStr) -> io::Result<()> {
        Ok(linkat(&self.directory, &self.name, &self.directory, name, AtFlags::empty())?)
    }

    /// Puts the next segment's file in the data file's place: at every instant one of them is there.
    pub(crate) fn put_next(&self) -> io::Result<()> {
        Ok(renameat(&self.directory, &self.next_name, &self.directory, &self.name)?)
    }

    /// Gives what has the one name the other; what has that is replaced.
    #[cfg(feature = "compressed")]
    pub(crate) fn rename_named(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(renameat(&self.directory, from, &self.directory, to)?)
    }

    /// Every name in the directory that begins with the data file's, in no order.
    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
        let ours = |name: &OsString| name.as_bytes().starts_with(self.name.as_bytes());
        let Some(together) = &self.together else {
            return Ok(self.list()?.into_iter().filter(ours).collect());
        };
        let all = together.names(&self.directory, || self.list())?;
        let first = all.partition_point(|name| name < &self.name);
        Ok(all[first..].iter().take_while(|name| ours(name)).cloned().collect())
    }

    /// All names in its directory.
    pub(crate) fn all_names(&self) -> io::Result<Vec<OsString>> {
        let Some(together) = &self.together else { return self.list() };
        Ok(together.names(&self.directory, || self.list())?.to_vec())
    }

    fn list(&self) -> io::Result<Vec<OsString>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let entries = Dir::new(openat(&self.directory, c".", flags, Mode::empty())?)?;
        entries.map(|entry| Ok(OsStr::from_bytes(entry?.file_name().to_bytes()).to_os_string())).collect()
    }

    /// The files that processes have open: what is known of them together with the other logs.
    pub(crate) fn links(&self) -> Arc<[Link]> {
        self.together.as_ref().map_or_else(|| links().into(), Together::links)
    }

    /// What the file with that inode is called here, if it is; in a directory of very many names, that is not known.
    pub(crate) fn name_of(&self, inode: u64) -> Option<OsString> {
        const MOST: usize = 10_000;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let entries = Dir::new(openat(&self.directory, c".", flags, Mode::empty()).ok()?).ok()?;
        // Where a directory is, something may be mounted that never answers.
        let is_it = |entry: &rustix::fs::DirEntry| {
            entry.ino() == inode && entry.file_type() == rustix::fs::FileType::RegularFile
        };
        let mut named = entries.take(MOST).flatten().filter(is_it);
        named.find_map(|entry| {
            let name = OsStr::from_bytes(entry.file_name().to_bytes()).to_os_string();
            let found = self.find_named(&name).ok().flatten()?;
            (found.id.1 == inode && found.odd_kind().is_none()).then_some(name)
        })
    }

    /// The directories in it to which its files can be renamed, in the order of their names; of very many, some. One where
    /// something else is mounted is none of them, and is not opened: it may never answer.
    pub(crate) fn directories(&self) -> io::Result<Vec<OsString>> {
        const MOST: usize = 1000;
        let here = fs::Mount::of(&self.directory)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut names = Vec::new();
        for entry in Dir::new(openat(&self.directory, c".", flags, Mode::empty())?)? {
            let entry = entry?;
            let may_be_one = matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
            let name = entry.file_name().to_bytes();
            if !may_be_one || [&b"."[..], b".."].contains(&name) || names.len() >= MOST {
                continue;
            }
            if fs::Mount::of_named(&self.directory, name).is_ok_and(|of| of == here) {
                names.push(OsStr::from_bytes(name).to_os_string());
            }
        }
        names.sort();
        Ok(names)
    }

    /// The directory itself.
    pub(crate) fn directory(&self) -> io::Result<Found> {
        Found::by(&self.directory)
    }

    /// Whether this process, with the rights that it has now, may give names in the directory.
    pub(crate) fn may_make_files(&self) -> io::Result<()> {
        use rustix::fs::{Access as Wanted, accessat};
        Ok(accessat(&self.directory, c".", Wanted::WRITE_OK | Wanted::EXEC_OK, AtFlags::EACCESS)?)
    }

    /// The directory's descriptor, to ask about its file system.
    /// The same of writing to what is there.
    pub(crate) fn may_write(&self, part: Part) -> io::Result<()> {
        use rustix::fs::{Access as Wanted, accessat};
        Ok(accessat(&self.directory, self.name(part), Wanted::WRITE_OK, AtFlags::EACCESS)?)
    }

    pub(crate) fn directory_fd(&self) -> &OwnedFd {
        &self.directory
    }

    /// Makes a file of this directory durable, and its name.
    pub(crate) fn sync(&self, file: &File) -> io::Result<()> {
        fs::fdatasync(file)?;
        self.sync_names(file)
    }

    /// Makes the names in the directory durable; where it may not be read, the whole file system of `file`.
    pub(crate) fn sync_names(&self, file: impl AsFd) -> io::Result<()> {
        self.open_names()?.sync(file)
    }

    /// The names in the directory, to be made durable.
    pub(crate) fn open_names(&self) -> io::Result<Names> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat(&self.directory, c".", flags, Mode::empty()) {
            Ok(directory) => Ok(Names(Some(directory))),
            Err(Errno::ACCESS) => Ok(Names(None)),
            Err(e) => Err(e.into()),
        }
    }
}
