//! Opening files without being led astray, and what the kernel says about them.

use std::ffi::OsStr;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc;
use nix::sys::statfs::{self, FsType};

use crate::error::Fault;

/// What [`open`] is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    Read,
    Write,
    /// Write; made with these permission bits when it is not there.
    Create(u32),
}

/// Opens a regular file: never follows a link in the last place, never blocks, never becomes a terminal.
pub(crate) fn open(path: &Path, access: Access) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(access != Access::Read)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC);
    if let Access::Create(mode) = access {
        options.create(true).mode(mode);
    }
    options.open(path)
}

/// Opens a directory, to ask about it.
pub(crate) fn open_directory(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY | libc::O_CLOEXEC).open(path)
}

/// What the path is, when it is no regular file. `None`: a regular file, or nothing there.
pub(crate) fn odd_kind(path: &Path) -> io::Result<Option<&'static str>> {
    let kind = match path.symlink_metadata() {
        Ok(m) => m.file_type(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    Ok(match kind {
        _ if kind.is_file() => None,
        _ if kind.is_dir() => Some("directory"),
        _ if kind.is_fifo() => Some("FIFO"),
        _ if kind.is_socket() => Some("socket"),
        _ if kind.is_symlink() => Some("symbolic link"),
        _ => Some("device"),
    })
}

/// The directory that holds `path`.
pub(crate) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Whether anybody may replace files in that directory.
pub(crate) fn is_unsafe_directory(directory: &Path) -> io::Result<bool> {
    let mode = directory.metadata()?.mode();
    Ok(mode & 0o002 != 0 && mode & 0o1000 == 0)
}

/// `path` with `suffix` behind its name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(OsStr::new(suffix));
    name.into()
}

/// The name of the file system, if the protocol cannot hold on it.
pub(crate) fn incoherent_file_system(file: &File) -> io::Result<Option<&'static str>> {
    const HUGETLBFS: FsType = FsType(libc::HUGETLBFS_MAGIC);
    const NFS: FsType = FsType(libc::NFS_SUPER_MAGIC);
    const SMB: FsType = FsType(libc::SMB_SUPER_MAGIC);
    const PROC: FsType = FsType(libc::PROC_SUPER_MAGIC);
    const CIFS: FsType = FsType(0xff53_4d42);
    const SMB2: FsType = FsType(0xfe53_4d42);
    const NINE_P: FsType = FsType(0x0102_1997);
    const FUSE: FsType = FsType(0x6573_5546);
    const SYSFS: FsType = FsType(0x6265_6572);
    const CEPH: FsType = FsType(0x00c3_6400);
    Ok(match statfs::fstatfs(file)?.filesystem_type() {
        NFS => Some("NFS"),
        SMB | CIFS | SMB2 => Some("SMB"),
        NINE_P => Some("9p"),
        FUSE => Some("FUSE or virtiofs"),
        HUGETLBFS => Some("hugetlbfs"),
        CEPH => Some("Ceph"),
        PROC => Some("procfs"),
        SYSFS => Some("sysfs"),
        _ => None,
    })
}

/// Bytes that the file system has left for this user.
pub(crate) fn free_bytes(file: &File) -> u64 {
    statfs::fstatfs(file).map_or(0, |s| s.blocks_available().saturating_mul(s.block_size().unsigned_abs()))
}

/// Whether the immutable or append-only attribute is set.
pub(crate) fn is_protected(file: &File) -> io::Result<bool> {
    use rustix::fs::{AtFlags, StatxAttributes, StatxFlags, statx};
    let protected = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
    Ok(statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?.stx_attributes.intersects(protected))
}

/// Device and inode.
pub(crate) fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Device and inode of what is at the path now, `None` for nothing.
pub(crate) fn identity_at(path: &Path) -> io::Result<Option<(u64, u64)>> {
    match path.symlink_metadata() {
        Ok(m) => Ok(Some(identity(&m))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// What a new data file needs: its mode in spite of the umask, no copy-on-write on btrfs (a store into a mapped
/// page could otherwise need new space). A file with bytes is left alone.
pub(crate) fn prepare_new(file: &File, mode: Option<u32>, stat: &Metadata) -> io::Result<()> {
    use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
    const BTRFS: FsType = FsType(0x9123_683e);
    if stat.len() > 0 {
        return Ok(());
    }
    if statfs::fstatfs(file)?.filesystem_type() == BTRFS {
        let flags = ioctl_getflags(file)?;
        ioctl_setflags(file, flags | IFlags::NOCOW)?;
    }
    match mode {
        Some(bits) => Ok(nix::sys::stat::fchmod(file, nix::sys::stat::Mode::from_bits_truncate(bits))?),
        None => Ok(()),
    }
}

/// Gives `file` the owner, group and mode of `like`.
pub(crate) fn take_after(file: &File, like: &Metadata) -> Result<(), Fault> {
    let now = file.metadata().map_err(Fault::io("stat the metadata file"))?;
    if (now.uid(), now.gid()) != (like.uid(), like.gid()) {
        std::os::unix::fs::fchown(file, Some(like.uid()), Some(like.gid()))
            .map_err(Fault::io("give the metadata file the data file's owner and group"))?;
    }
    if now.mode() & 0o7777 != like.mode() & 0o7777 {
        let mode = nix::sys::stat::Mode::from_bits_truncate(like.mode() & 0o7777);
        nix::sys::stat::fchmod(file, mode)
            .map_err(|e| Fault::io("give the metadata file the data file's mode")(e.into()))?;
    }
    Ok(())
}
