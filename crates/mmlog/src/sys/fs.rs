//! What the kernel says about files and file systems, and what new files need.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::statfs::{self, FsType};
use rustix::fs::AtFlags;
use rustix::io::{Errno, fcntl_dupfd_cloexec};

use crate::error::Fault;

/// Kinds of file systems, as far as they make a difference to what can be said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Medium {
    /// With a disk behind it.
    #[default]
    Disk,
    /// In memory: tmpfs, ramfs.
    Memory,
    /// An overlay of other file systems: one file may have two inodes.
    Overlay,
}

/// The name of the file system, if the protocol cannot hold on it, or nobody knows whether it does.
pub(crate) fn incoherent_file_system(file: impl AsFd) -> io::Result<Option<&'static str>> {
    let FsType(magic) = statfs::fstatfs(&file)?.filesystem_type();
    let device = rustix::fs::fstat(&file)?.st_dev;
    Ok(incoherent(magic as u32, rustix::fs::major(device) != 0))
}

/// Those of the network and those that several hosts mount at once, by their magic numbers (`statfs(2)`). Of the rest,
/// what is on a block device is this host's; what is not is refused unless it is known: it may be anybody's.
fn incoherent(magic: u32, has_block_device: bool) -> Option<&'static str> {
    /// Of this host, without a block device of their own, or with a device number that does not show it: tmpfs, ramfs,
    /// overlayfs, btrfs, ZFS, bcachefs, UBIFS, eCryptfs.
    const LOCAL: [u32; 8] = [
        0x0102_1994,
        0x8584_58f6,
        0x794c_7630,
        0x9123_683e,
        0x2fc1_2fc1,
        0xca45_1a4e,
        0x2405_1905,
        0x0000_f15f,
    ];
    Some(match magic {
        0x0000_6969 => "NFS",
        0x0000_517b | 0xff53_4d42 | 0xfe53_4d42 => "SMB",
        0x0102_1997 => "9p",
        0x6573_5546 => "FUSE or virtiofs",
        0x00c3_6400 => "Ceph",
        0x0bd0_0bd0 => "Lustre",
        0x7461_636f => "OCFS2",
        0x0116_1970 => "GFS2",
        0x5346_414f | 0x6b41_4653 => "AFS",
        0x1983_0326 => "BeeGFS",
        0x7375_7245 => "Coda",
        0x786f_4256 => "vboxsf",
        0x2003_0528 => "OrangeFS",
        0x4750_4653 => "GPFS",
        0x0000_564c => "NCP",
        0xaad7_aaea => "PanFS",
        0x9584_58f6 => "hugetlbfs",
        0x0000_9fa0 => "procfs",
        0x6265_6572 => "sysfs",
        known if has_block_device || LOCAL.contains(&known) => return None,
        _ => "a file system that is not known here and has no block device",
    })
}

/// What a file system says of itself.
pub(crate) struct FileSystem {
    /// Bytes that it has left for this user.
    pub(crate) free: u64,
    /// Bytes that it has in all; 0 where it does not say.
    pub(crate) all: u64,
    pub(crate) medium: Medium,
    /// Inodes that it has left, and those that it has; `None` where it does not count them.
    pub(crate) inodes: Option<(u64, u64)>,
    /// The most bytes that a name has there.
    pub(crate) longest_name: usize,
}

/// Whether it is seen through an overlay of file systems.
pub(crate) fn is_overlay(file: impl AsFd) -> bool {
    statfs::fstatfs(file).is_ok_and(|s| s.filesystem_type() == statfs::OVERLAYFS_SUPER_MAGIC)
}

pub(crate) fn ask_file_system(file: impl AsFd) -> io::Result<FileSystem> {
    const RAMFS: FsType = FsType(0x8584_58f6);
    /// The kernel says 0 where a file system says nothing, and more where it counts characters.
    const LONGEST: usize = 255;
    let s = statfs::fstatfs(file)?;
    let medium = match s.filesystem_type() {
        statfs::TMPFS_MAGIC | RAMFS => Medium::Memory,
        statfs::OVERLAYFS_SUPER_MAGIC => Medium::Overlay,
        _ => Medium::Disk,
    };
    let name = usize::try_from(s.maximum_name_length()).unwrap_or(0);
    Ok(FileSystem {
        free: s.blocks_available().saturating_mul(s.block_size().unsigned_abs()),
        all: s.blocks().saturating_mul(s.block_size().unsigned_abs()),
        medium,
        inodes: (s.files() > 0).then_some((s.files_free(), s.files())),
        longest_name: if name == 0 { LONGEST } else { name.min(LONGEST) },
    })
}

/// What tells the file system, or subvolume, from others, as long as it lives; 0 where it says nothing.
pub(crate) fn file_system(file: impl AsFd) -> u64 {
    rustix::fs::fstatvfs(file).map_or(0, |s| s.f_fsid)
}

/// Bytes that it has left for this user; none when it cannot be asked.
pub(crate) fn free_bytes(file: impl AsFd) -> u64 {
    ask_file_system(file).map_or(0, |asked| asked.free)
}

/// Where the file's first byte lies that has a block; its end where none has one. Nobody of ours uses the offset of a
/// descriptor.
pub(crate) fn first_block(file: &File) -> io::Result<u64> {
    match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(0)) {
        Ok(at) => Ok(at),
        Err(rustix::io::Errno::NXIO) => Ok(file.metadata()?.len()),
        Err(e) => Err(e.into()),
    }
}

/// Sets a file's times to now.
pub(crate) fn touch(file: &File) -> io::Result<()> {
    use rustix::fs::{Timespec, Timestamps, UTIME_NOW, futimens};
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    Ok(futimens(file, &Timestamps { last_access: now, last_modification: now })?)
}

/// The same file by a descriptor that is no standard stream's: where a program was started without them, what anybody prints
/// would go into the file.
pub(crate) fn beyond_streams(fd: OwnedFd) -> io::Result<OwnedFd> {
    const FIRST: i32 = 3;
    if fd.as_raw_fd() >= FIRST { Ok(fd) } else { Ok(fcntl_dupfd_cloexec(fd, FIRST)?) }
}

/// How long a lease is waited for.
pub(crate) const LEASED: Duration = Duration::from_millis(200);

/// What `open` gives, which does not wait for leases itself. Whoever wants to know who has a file open (to adopt it, to remove it, to
/// take it for the log's on another mount) has a lease for a moment; `WouldBlock` where somebody has one for longer.
pub(crate) fn past_leases(mut open: impl FnMut() -> rustix::io::Result<OwnedFd>) -> io::Result<OwnedFd> {
    let mut begun = None;
    loop {
        match open() {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if begun.get_or_insert_with(Instant::now).elapsed() < LEASED => {
                std::thread::sleep(Duration::from_millis(1));
            }
            opened => return Ok(opened?),
        }
    }
}

/// How many inodes a file with two names takes at most: in tmpfs each name has one.
pub(crate) const INODES: u64 = 2;

/// What a disk has whole, or not at all.
pub(crate) const PAGE: u64 = 4096;

/// The first stretch within that range of offsets, all of which the file has, that the file system has never written:
/// it reads as NULs. Whole pages, where the file system tells at all. Moves the descriptor's offset.
pub(crate) fn unwritten(file: &File, within: &Range<u64>) -> io::Result<Option<Range<u64>>> {
    use rustix::fs::{SeekFrom, seek};
    let from = match seek(file, SeekFrom::Hole(within.start)) {
        Ok(at) if at < within.end => at,
        Ok(_) | Err(rustix::io::Errno::NXIO | rustix::io::Errno::INVAL) => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let to = match seek(file, SeekFrom::Data(from)) {
        Ok(at) => at.min(within.end),
        Err(rustix::io::Errno::NXIO) => within.end,
        Err(e) => return Err(e.into()),
    };
    Ok((from < to).then_some(from..to))
}

/// The first stretch within that range of offsets that may have been stored to, as far as the file reaches. Moves the descriptor's offset.
pub(crate) fn stored(file: &File, within: &Range<u64>) -> io::Result<Option<Range<u64>>> {
    use rustix::fs::{SeekFrom, seek};
    use rustix::io::Errno;
    let from = match seek(file, SeekFrom::Data(within.start)) {
        Ok(at) => at,
        Err(Errno::NXIO) => return Ok(None),
        Err(Errno::INVAL) => return Ok(Some(within.clone())),
        Err(e) => return Err(e.into()),
    };
    let to = match seek(file, SeekFrom::Hole(from)) {
        Ok(at) => at.min(within.end),
        // Cut meanwhile.
        Err(Errno::NXIO) => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    Ok((from < to).then_some(from..to))
}

/// All pages within that range of offsets that the file system has never written, neighbours joined: whole ones, and the last
/// as far as the range reaches.
pub(crate) fn unwritten_pages(file: &File, within: &Range<u64>) -> io::Result<Vec<Range<u64>>> {
    let (mut found, mut at) = (Vec::new(), within.start);
    while at < within.end
        && let Some(gap) = unwritten(file, &(at..within.end))?
    {
        let end = if gap.end == within.end { gap.end } else { gap.end / PAGE * PAGE };
        let pages = gap.start.next_multiple_of(PAGE)..end;
        at = gap.end;
        if !pages.is_empty() {
            found.push(pages);
        }
    }
    Ok(found)
}

/// Whether files can be renamed from one directory to the other.
pub(crate) fn is_same_mount(a: impl AsFd, b: impl AsFd) -> io::Result<bool> {
    Ok(Mount::of(a)? == Mount::of(b)?)
}

/// Between which directories files can be renamed: those on the same one.
#[derive(PartialEq, Eq)]
pub(crate) struct Mount {
    device: (u32, u32),
    /// Kernels before 5.8 do not know it: 0 then.
    id: u64,
}

impl Mount {
    /// An open directory's.
    pub(crate) fn of(directory: impl AsFd) -> io::Result<Self> {
        Self::at(directory, c"", AtFlags::EMPTY_PATH)
    }

    /// That of a name in a directory. Nothing is mounted for that, and no file system asked, which may not answer.
    pub(crate) fn of_named(directory: impl AsFd, name: impl rustix::path::Arg) -> io::Result<Self> {
        Self::at(directory, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT)
    }

    fn at(directory: impl AsFd, name: impl rustix::path::Arg, flags: AtFlags) -> io::Result<Self> {
        use rustix::fs::{StatxFlags, statx};
        let stat = statx(directory, name, flags | AtFlags::STATX_DONT_SYNC, StatxFlags::MNT_ID)?;
        Ok(Self { device: (stat.stx_dev_major, stat.stx_dev_minor), id: stat.stx_mnt_id })
    }
}

/// Whether the immutable or append-only attribute is set.
pub(crate) fn is_protected(file: &File) -> io::Result<bool> {
    use rustix::fs::{StatxAttributes, StatxFlags, statx};
    let protected = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
    Ok(statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?.stx_attributes.intersects(protected))
}

/// Whether a list gives more users and groups rights to it than its mode says; none where there are no such lists.
pub(crate) fn has_access_list(file: impl AsFd) -> io::Result<bool> {
    use rustix::io::Errno;
    match rustix::fs::fgetxattr(file, c"system.posix_acl_access", &mut [0u8; 0]) {
        Ok(len) => Ok(len > 0),
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Device and inode.
pub(crate) fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

const BTRFS: FsType = FsType(0x9123_683e);

/// Whether stores need new space although it was allocated, unless copy-on-write is off.
pub(crate) fn is_btrfs(file: impl AsFd) -> bool {
    statfs::fstatfs(file).is_ok_and(|s| s.filesystem_type() == BTRFS)
}

/// What a new file needs: its mode in spite of the umask, no copy-on-write on btrfs (a store into a mapped
/// page could otherwise need new space). A file with bytes is left alone.
pub(crate) fn prepare_new(file: &File, mode: Option<u32>, stat: &Metadata) -> io::Result<()> {
    use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
    if stat.len() > 0 {
        return Ok(());
    }
    if is_btrfs(file) {
        let flags = ioctl_getflags(file)?;
        ioctl_setflags(file, flags | IFlags::NOCOW)?;
    }
    match mode {
        Some(bits) => Ok(nix::sys::stat::fchmod(file, nix::sys::stat::Mode::from_bits_truncate(bits))?),
        None => Ok(()),
    }
}

/// Gives `file` to that user and group, if it is not theirs.
pub(crate) fn give_to(file: &File, uid: u32, gid: u32) -> io::Result<()> {
    let now = file.metadata()?;
    if (now.uid(), now.gid()) == (uid, gid) {
        return Ok(());
    }
    std::os::unix::fs::fchown(file, Some(uid), Some(gid))
}

/// Gives `file` the owner, group and mode of `like`.
pub(crate) fn take_after(file: &File, like: &Metadata) -> Result<(), Fault> {
    let now = file.metadata().map_err(Fault::io("stat the metadata file"))?;
    give_to(file, like.uid(), like.gid())
        .map_err(Fault::io("give the metadata file the data file's owner and group"))?;
    if now.mode() & 0o7777 != like.mode() & 0o7777 {
        let mode = nix::sys::stat::Mode::from_bits_truncate(like.mode() & 0o7777);
        nix::sys::stat::fchmod(file, mode)
            .map_err(|e| Fault::io("give the metadata file the data file's mode")(e.into()))?;
    }
    Ok(())
}

/// Gives `file`, which is new, the owner, group, extended attributes (ACL and labels among them) and mode of `like`.
pub(crate) fn look_like(file: &File, like: &File) -> io::Result<()> {
    let stat = like.metadata()?;
    give_to(file, stat.uid(), stat.gid())?;
    let (mine, wanted) = (attributes(file)?, attributes(like)?);
    for (name, value) in &wanted {
        if mine.get(name) != Some(value) {
            rustix::fs::fsetxattr(file, name.as_c_str(), value, rustix::fs::XattrFlags::empty())?;
        }
    }
    // A directory's default ACL, for one.
    for name in mine.keys().filter(|name| !wanted.contains_key(*name)) {
        rustix::fs::fremovexattr(file, name.as_c_str())?;
    }
    Ok(nix::sys::stat::fchmod(file, nix::sys::stat::Mode::from_bits_truncate(stat.mode() & 0o7777))?)
}

/// Extended attributes by name; none where the file system has no such thing.
fn attributes(file: &File) -> io::Result<BTreeMap<CString, Vec<u8>>> {
    use rustix::io::Errno;
    const MOST: usize = 64 * 1024;
    let mut names = vec![0; MOST];
    let len = match rustix::fs::flistxattr(file, &mut names[..]) {
        Err(Errno::NOTSUP) => 0,
        len => len?,
    };
    let mut found = BTreeMap::new();
    // The kernel's own, of one file's content: no other may have them.
    let is_own = |name: &[u8]| matches!(name, b"security.evm" | b"security.ima");
    for name in names[..len].split(|&b| b == 0).filter(|name| !name.is_empty() && !is_own(name)) {
        let name = CString::new(name)?;
        let mut value = vec![0; MOST];
        match rustix::fs::fgetxattr(file, name.as_c_str(), &mut value[..]) {
            Ok(len) => value.truncate(len),
            // Gone meanwhile, or not for us to see.
            Err(Errno::NODATA | Errno::PERM | Errno::ACCESS) => continue,
            Err(e) => return Err(e.into()),
        }
        found.insert(name, value);
    }
    Ok(found)
}

/// Makes data, and the length it needs, durable; also what was stored through mappings.
pub(crate) fn fdatasync(file: impl AsFd) -> io::Result<()> {
    loop {
        match rustix::fs::fdatasync(&file) {
            Err(Errno::INTR) => {}
            done => return Ok(done?),
        }
    }
}

/// Whether a sync that failed so has lost data, which the kernel says only once. Whatever else it fails with is its
/// caller's trouble: no memory, a sandbox.
pub(crate) fn means_loss(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::EIO | libc::ENOSPC | libc::EDQUOT | libc::EROFS))
}

#[cfg(test)]
mod tests {
    use super::incoherent;

    #[test]
    fn what_several_hosts_may_mount_is_refused_and_what_is_on_a_disk_of_this_host_is_not() {
        for (magic, name) in [(0x6969, "NFS"), (0x0bd0_0bd0, "Lustre"), (0x7461_636f, "OCFS2")] {
            assert_eq!([incoherent(magic, false), incoherent(magic, true)], [Some(name); 2]);
        }
        // ext4, XFS, F2FS, and one that is not known.
        for magic in [0xef53, 0x5846_5342, 0xf2f5_2010, 0x1234_5678] {
            assert_eq!(incoherent(magic, true), None);
        }
        // tmpfs, overlayfs, btrfs, ZFS.
        for magic in [0x0102_1994, 0x794c_7630, 0x9123_683e, 0x2fc1_2fc1] {
            assert_eq!(incoherent(magic, false), None);
        }
        assert!(incoherent(0x1234_5678, false).is_some_and(|said| said.contains("not known here")));
    }
}
