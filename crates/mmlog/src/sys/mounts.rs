//! What is mounted, as far as this mount namespace sees it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::{statfs, statvfs::FsFlags};
use rustix::fs::{AtFlags, StatxFlags, major, minor};

/// A line of `/proc/self/mountinfo`.
struct Mount {
    id: u64,
    /// Of its file system; the files of a btrfs have others.
    device: (u32, u32),
    at: PathBuf,
    kind: String,
    options: Vec<u8>,
}

impl Mount {
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|&b| b == b' ');
        let (id, device, at) = (fields.next()?, fields.nth(1)?, fields.nth(1)?);
        let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
        let (kind, _source, options) = (rest.next()?, rest.next()?, rest.next()?);
        let text = std::str::from_utf8(device).ok()?;
        let (major, minor) = text.split_once(':')?;
        Some(Self {
            id: std::str::from_utf8(id).ok()?.parse().ok()?,
            device: (major.parse().ok()?, minor.parse().ok()?),
            at: unescaped(at).into(),
            kind: String::from_utf8_lossy(kind).into_owned(),
            options: unescaped(options).into_vec(),
        })
    }

    fn has(&self, option: &[u8]) -> bool {
        self.options.split(|&b| b == b',').any(|other| other == option)
    }

    /// The directories that an overlay is made of, by names that lead to them from here.
    fn layers(&self) -> impl Iterator<Item = PathBuf> {
        let options = self.options.split(|&b| b == b',');
        let named = options.filter_map(|option| {
            let (name, value) = option.split_at(option.iter().position(|&b| b == b'=')?);
            let is_layer = matches!(name, b"lowerdir" | b"upperdir" | b"lowerdir+");
            (self.kind == "overlay" && is_layer).then(|| &value[1..])
        });
        named.flat_map(|dirs| dirs.split(|&b| b == b':')).map(|dir| PathBuf::from(OsStr::from_bytes(dir)))
    }
}

/// That nothing can be written where a log lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadOnly {
    /// Where it is mounted.
    pub at: PathBuf,
    /// Why.
    pub why: WhyReadOnly,
}

/// What keeps everybody from writing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhyReadOnly {
    /// This mount is read-only, as a container may have it; others of the same file system may be written to.
    Mount,
    /// The file system is.
    FileSystem,
    /// It had an error, and takes no writes any more: not even those that were made in memory.
    Error,
}

/// Whether nothing can be written where that directory lies.
pub(crate) fn read_only(directory: impl AsFd) -> Option<ReadOnly> {
    let said = statfs::fstatfs(&directory).ok()?;
    let is_read_only = said.flags().contains(FsFlags::ST_RDONLY);
    // Of an error ext4 tells in the table of mounts alone. That takes longer, so others are not looked for there.
    if !is_read_only && said.filesystem_type() != statfs::EXT4_SUPER_MAGIC {
        return None;
    }
    let asked = rustix::fs::statx(&directory, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).ok()?;
    let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
    let mut mounts = table.split(|&b| b == b'\n').filter_map(Mount::parse);
    let Some(mount) = mounts.find(|mount| mount.id == asked.stx_mnt_id) else {
        let here = format!("/proc/self/fd/{}", directory.as_fd().as_raw_fd());
        let at = fs::read_link(here).unwrap_or_default();
        return is_read_only.then_some(ReadOnly { at, why: WhyReadOnly::FileSystem });
    };
    let why = match is_read_only {
        _ if mount.has(b"emergency_ro") || mount.has(b"shutdown") => WhyReadOnly::Error,
        true if mount.has(b"ro") => WhyReadOnly::FileSystem,
        true => WhyReadOnly::Mount,
        false => return None,
    };
    Some(ReadOnly { at: mount.at, why })
}

/// Every mount of this namespace, read once.
pub(crate) struct Table(Vec<Mount>);

impl Table {
    /// Nothing is known where there is no `/proc`.
    pub(crate) fn own() -> Self {
        Self::parse(&fs::read("/proc/self/mountinfo").unwrap_or_default())
    }

    fn parse(table: &[u8]) -> Self {
        Self(table.split(|&b| b == b'\n').filter_map(Mount::parse).collect())
    }

    /// Whether what has that path is on a file system that somebody else answers for, another host or a program. No log is
    /// used there, and whoever asks waits as long as the other one likes.
    pub(crate) fn is_answered_elsewhere(&self, path: &Path) -> bool {
        // Of two at one place the later one covers the other.
        let over = self.0.iter().filter(|mount| path.starts_with(&mount.at));
        let mount = over.max_by_key(|mount| mount.at.as_os_str().len());
        mount.is_some_and(|mount| {
            let family = mount.kind.split('.').next().unwrap_or_default();
            ELSEWHERE.contains(&family)
        })
    }
}

/// Kinds of file systems that another host or a program answers for, up to the first point.
const ELSEWHERE: [&str; 18] = [
    "fuse",
    "fuseblk",
    "virtiofs",
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "ceph",
    "lustre",
    "ocfs2",
    "gfs2",
    "afs",
    "beegfs",
    "coda",
    "autofs",
    "glusterfs",
];

/// `\040` is a space.
fn unescaped(field: &[u8]) -> OsString {
    let (mut bytes, mut at) = (Vec::with_capacity(field.len()), 0);
    while at < field.len() {
        let octal = field.get(at + 1..at + 4).filter(|_| field[at] == b'\\');
        match octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                at += 4;
            }
            None => {
                bytes.push(field[at]);
                at += 1;
            }
        }
    }
    OsString::from_vec(bytes)
}

/// Where files of these names and inodes lie on that device, if they do: below one of its mounts, at the end of the path
/// that this directory has here; or in a layer of the overlay that it is in. `NotFound` where there is no /proc to ask.
pub(crate) fn also_at(
    directory: impl AsFd,
    files: &[(&OsStr, u64)],
    device: u64,
) -> io::Result<Option<PathBuf>> {
    let here = fs::read_link(format!("/proc/self/fd/{}", directory.as_fd().as_raw_fd()))?;
    let table = fs::read("/proc/self/mountinfo")?;
    let mounts: Vec<Mount> = table.split(|&b| b == b'\n').filter_map(Mount::parse).collect();
    let is_there = |place: &Path| {
        files.iter().all(|(name, inode)| {
            let found = fs::symlink_metadata(place.join(name));
            found.is_ok_and(|found| (found.dev(), found.ino()) == (device, *inode))
        })
    };
    let steps: Vec<_> = here.components().skip(1).collect();
    let of_device = |mount: &&Mount| mount.device == (major(device), minor(device)) || mount.kind == "btrfs";
    let below = |mount: &Mount| -> Option<PathBuf> {
        let ends = (0..=steps.len()).map(|skipped| steps[skipped..].iter().collect::<PathBuf>());
        ends.map(|end| mount.at.iter().chain(&end).collect::<PathBuf>()).find(|place| is_there(place))
    };
    let ours = mounts.iter().rev().filter(|mount| here.starts_with(&mount.at));
    let ours = ours.max_by_key(|mount| mount.at.as_os_str().len());
    let in_layer = || {
        let (mount, rest) = ours.and_then(|mount| Some((mount, here.strip_prefix(&mount.at).ok()?)))?;
        mount.layers().map(|layer| layer.join(rest)).find(|place| is_there(place))
    };
    Ok(mounts.iter().filter(of_device).find_map(below).or_else(in_layer))
}

/// Where control groups are mounted, and whether they are of version 2.
pub(crate) fn control_groups() -> Vec<(PathBuf, bool)> {
    let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
    let mounts = table.split(|&b| b == b'\n').filter_map(Mount::parse);
    mounts
        .filter_map(|mount| match &*mount.kind {
            "cgroup2" => Some((mount.at, true)),
            "cgroup" => Some((mount.at, false)),
            _ => None,
        })
        .collect()
}

/// Whether `/proc` is mounted so that users do not see each other's processes.
pub(crate) fn hides_processes() -> bool {
    let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
    let at_proc = |mount: &Mount| mount.at == Path::new("/proc") && mount.kind == "proc";
    let last = table.split(|&b| b == b'\n').filter_map(Mount::parse).rfind(at_proc);
    let options = last.map_or_else(Vec::new, |mount| mount.options);
    let hides =
        |option: &[u8]| option.strip_prefix(b"hidepid=").is_some_and(|how| !matches!(how, b"0" | b"off"));
    options.split(|&b| b == b',').any(hides)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_answer_for_is_told_by_the_mount_that_a_path_lies_on() {
        let table = Table::parse(
            b"1 0 8:0 / / rw - ext4 /dev/sda rw\n2 1 0:30 / /home/a\\040b rw - fuse.sshfs x rw\n3 2 8:0 / /home/a\\040b/disk rw - ext4 /dev/sda rw\n4 1 0:31 / /srv rw - nfs4 s:/ rw\n5 1 8:1 / /srv rw - xfs /dev/sdb rw\n",
        );
        let of = |path: &str| table.is_answered_elsewhere(Path::new(path));
        assert!(of("/home/a b/app.log") && !of("/home/a b/disk/app.log") && !of("/home/a bc/app.log"));
        assert!(!of("/srv/app.log"), "it is covered");
        assert!(!Table::parse(b"").is_answered_elsewhere(Path::new("/x")));
    }

    #[test]
    fn a_line_of_the_table_is_read_with_its_escapes_and_layers() {
        let line = b"36 35 98:0 /mnt1 /mnt\\040two rw,noatime master:1 - overlay over rw,lowerdir=/a:/b\\040c,upperdir=/u";
        let seen = Mount::parse(line)
            .map(|mount| (mount.id, mount.device, mount.at.clone(), mount.layers().collect::<Vec<_>>()));
        let layers = ["/a", "/b c", "/u"].map(PathBuf::from).to_vec();
        assert_eq!(seen, Some((36, (98, 0), PathBuf::from("/mnt two"), layers)));
    }
}
