//! Which logs processes have open, for people: whoever uses a log has its metadata file open.
//!
//! Links of `/proc/PID/fd` are read, and never followed: behind them may be a pipe, a device, a file system that hangs,
//! whatever the process put there. What a descriptor is, `/proc` tells itself: inode and mount. So a path is only taken for
//! one of this process's where the same file is at it here. No path is asked for that lies on a file system which a program
//! or another host answers for: it may not answer.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, OFlags, StatxFlags, fcntl_getfl, fcntl_setfl, statx};

use super::holders::{DELETED, Descriptor, command_of, facts, is_nobody, super_blocks};
use super::mounts::Table;
use super::process::{Stat, directory_of, processes};

/// A kernel thread, in the flags of `/proc/PID/stat`: it has no descriptors, and most users may not ask.
const KERNEL_THREAD: u64 = 0x0020_0000;
/// The inode of the machine's own PID namespace: the kernel has it as a constant.
const FIRST_NAMESPACE: &str = "pid:[4026531836]";

/// What a descriptor has through which nobody uses a log, but only looks at it: two who list the logs in use would keep each
/// other's lists from ending. Nobody writes through it, so it means nothing else.
const LOOKING: OFlags = OFlags::APPEND;

/// A file, as every process of the machine tells it from others.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FileKey {
    /// The device of its file system; on btrfs not the one that `stat` says.
    pub device: (u32, u32),
    /// Its number there.
    pub inode: u64,
}

/// Where a log is that somebody has open.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Sight {
    /// At its path.
    Here,
    /// At a path of another mount namespace: here is another file, or none.
    Elsewhere,
    /// Nowhere: its metadata has no name any more, or another one than a log's.
    Deleted,
}

/// A process that has a log open.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// Its name.
    pub command: String,
}

/// A log that somebody has open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenLog {
    /// Path of the data file, as the processes have it.
    pub path: PathBuf,
    /// Whether that is its path here.
    pub sight: Sight,
    /// Its metadata file, where the kernel tells.
    pub metadata: Option<FileKey>,
    /// Who has it open, by process id.
    pub holders: Vec<Holder>,
}

/// The logs that processes have open, as far as this process may see.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OpenLogs {
    /// Each once, in the order in which they were found.
    pub logs: Vec<OpenLog>,
    /// Processes that could not be looked at, for want of permission.
    pub unseen: usize,
    /// What else keeps this process from seeing all of the machine, in words.
    pub limits: Vec<String>,
}

/// Looks for the logs that processes other than this one have open.
#[must_use]
pub(crate) fn open_logs(metadata_suffix: &str) -> OpenLogs {
    let mut looking = Looking {
        suffix: metadata_suffix.as_bytes(),
        found: OpenLogs::default(),
        known: HashMap::new(),
        mounts: Mounts::default(),
        here: Table::own(),
    };
    match processes() {
        Ok(ids) => {
            looking.limits();
            let mine = std::process::id();
            for pid in ids.filter(|pid| *pid != mine) {
                match looking.process(pid) {
                    Err(e) if is_nobody(&e) || has_no_descriptors(pid) => {}
                    Err(_) => looking.found.unseen += 1,
                    Ok(()) => {}
                }
            }
        }
        Err(e) => looking.found.limits.push(format!("/proc cannot be read: {}", crate::error::reason(&e))),
    }
    looking.found
}

/// A process that has a file locked as metadata is, under a name that is none of metadata's.
pub(crate) struct Odd {
    pub(crate) holder: Holder,
    pub(crate) metadata: FileKey,
    pub(crate) path: PathBuf,
    /// The files that it has open, where these paths lead to them here.
    pub(crate) files: Vec<PathBuf>,
}

/// More files of a process are not looked at.
const MOST: usize = 256;

/// Those that `found` does not know. `bytes`: those that only users of a log lock. The kernel lists all locks at once, so that
/// nobody's descriptors are looked at again where there is none of these.
pub(crate) fn oddly_named(found: &OpenLogs, metadata_suffix: &str, bytes: Range<u64>) -> Vec<Odd> {
    let mut keys = locked(bytes);
    for known in found.logs.iter().filter_map(|log| log.metadata) {
        keys.remove(&known);
    }
    let Some(pids) = processes().ok().filter(|_| !keys.is_empty()) else { return Vec::new() };
    let (mut mounts, here, mine) = (Mounts::default(), Table::own(), std::process::id());
    let mut odd = Vec::new();
    for pid in pids.filter(|pid| *pid != mine) {
        let files = mounts.files_of(pid, &here).unwrap_or_default();
        let is_odd = |(path, key): &&(PathBuf, FileKey)| {
            keys.contains(key) && !path.as_os_str().as_bytes().ends_with(metadata_suffix.as_bytes())
        };
        if let Some((path, metadata)) = files.iter().find(is_odd).cloned() {
            let holder = Holder { pid, command: command_of(pid) };
            let files = files.into_iter().map(|(path, _)| path).collect();
            odd.push(Odd { holder, metadata, path, files });
        }
    }
    odd
}

/// The files of which somebody has bytes within those locked, by the kernel's list of locks.
fn locked(bytes: Range<u64>) -> HashSet<FileKey> {
    let list = fs::read_to_string("/proc/locks").unwrap_or_default();
    let parsed = list.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let is_ours = fields.next()? == "OFDLCK";
        let mut file = fields.nth(3)?.split(':');
        let start: u64 = fields.next()?.parse().ok()?;
        let mut number = || u32::from_str_radix(file.next()?, 16).ok();
        let device = (number()?, number()?);
        let inode = file.next()?.parse().ok()?;
        (is_ours && bytes.contains(&start)).then_some(FileKey { device, inode })
    });
    parsed.collect()
}

/// Marks a descriptor of metadata as one through which nobody uses the log; where that fails, it counts as one that does.
pub(crate) fn mark_as_looking(fd: impl AsFd) {
    let _ = fcntl_getfl(&fd).and_then(|flags| fcntl_setfl(&fd, flags | LOOKING));
}

/// The files at these paths, those that can be asked; a link there is not followed.
pub fn file_keys<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Vec<Option<FileKey>> {
    let mut mounts = Mounts::default();
    paths.into_iter().map(|path| mounts.key_at(path).ok().map(|(key, _)| key)).collect()
}

/// The mounts of each mount namespace that was met: the device behind each.
#[derive(Default)]
struct Mounts(HashMap<PathBuf, HashMap<u64, (u32, u32)>>);

impl Mounts {
    fn of(&mut self, pid: &str) -> io::Result<&HashMap<u64, (u32, u32)>> {
        let namespace = fs::read_link(format!("/proc/{pid}/ns/mnt"))?;
        if !self.0.contains_key(&namespace) {
            self.0.insert(namespace.clone(), super_blocks(pid)?);
        }
        Ok(&self.0[&namespace])
    }

    /// The regular files that a process has open, at whose paths they are here.
    fn files_of(&mut self, pid: u32, here: &Table) -> io::Result<Vec<(PathBuf, FileKey)>> {
        let process = pid.to_string();
        let mut files = Vec::new();
        for entry in fs::read_dir(format!("/proc/{process}/fd"))?.flatten().take(MOST) {
            let Some(fd) = entry.file_name().to_str().and_then(|fd| fd.parse().ok()) else { continue };
            let Ok(path) = fs::read_link(entry.path()) else { continue };
            if !path.is_absolute() || path.starts_with("/dev") || here.is_answered_elsewhere(&path) {
                continue;
            }
            let Ok(Descriptor { inode: Some(inode), mount: Some(mount), .. }) = facts(&process, fd) else {
                continue;
            };
            let Some(&device) = self.of(&process)?.get(&mount) else { continue };
            let key = FileKey { device, inode };
            if self.key_at(&path).is_ok_and(|there| there == (key, true)) {
                files.push((path, key));
            }
        }
        Ok(files)
    }

    /// And whether it is a regular file.
    fn key_at(&mut self, path: &Path) -> io::Result<(FileKey, bool)> {
        let flags = AtFlags::STATX_DONT_SYNC | AtFlags::SYMLINK_NOFOLLOW;
        let s = statx(CWD, path, flags, StatxFlags::BASIC_STATS | StatxFlags::MNT_ID)?;
        // Kernels before 5.8 do not tell the mount.
        let mount = (s.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(s.stx_mnt_id);
        let device = mount.and_then(|mount| self.of("self").ok()?.get(&mount).copied());
        let device = device.unwrap_or((s.stx_dev_major, s.stx_dev_minor));
        let is_regular = FileType::from_raw_mode(s.stx_mode.into()) == FileType::RegularFile;
        Ok((FileKey { device, inode: s.stx_ino }, is_regular))
    }
}

struct Looking<'a> {
    suffix: &'a [u8],
    found: OpenLogs,
    known: HashMap<(PathBuf, Option<FileKey>, bool), usize>,
    mounts: Mounts,
    here: Table,
}

impl Looking<'_> {
    fn process(&mut self, pid: u32) -> io::Result<()> {
        let process = pid.to_string();
        for entry in fs::read_dir(format!("/proc/{process}/fd"))? {
            let entry = entry?;
            let Some(fd) = entry.file_name().to_str().and_then(|fd| fd.parse().ok()) else { continue };
            // Closed meanwhile, or longer than a path may be.
            let Ok(link) = fs::read_link(entry.path()) else { continue };
            let name = link.as_os_str().as_bytes();
            let (name, is_deleted) = name.strip_suffix(DELETED).map_or((name, false), |name| (name, true));
            let Some(log) = self.log_of(&process, name) else { continue };
            let Ok(Descriptor { inode, mount, flags }) = facts(&process, fd) else { continue };
            if flags.is_some_and(|flags| flags & LOOKING.bits() != 0) {
                continue;
            }
            let mounts = self.mounts.of(&process)?;
            let device = mount.and_then(|mount| mounts.get(&mount).copied());
            // Memory that only looks like a file.
            if is_deleted && mount.is_some() && device.is_none() {
                continue;
            }
            let key = inode.zip(device).map(|(inode, device)| FileKey { device, inode });
            let log = PathBuf::from(OsStr::from_bytes(log));
            let metadata = Path::new(OsStr::from_bytes(name));
            self.note(pid, log, metadata, key, is_deleted);
        }
        Ok(())
    }

    /// The data file of what is called like metadata. Or so but for what somebody put behind it: then its process has that data
    /// file open, and nothing that is called like its metadata.
    fn log_of<'n>(&self, process: &str, name: &'n [u8]) -> Option<&'n [u8]> {
        let is_one = |log: &&[u8]| log.starts_with(b"/") && !log.ends_with(b"/");
        if let Some(log) = name.strip_suffix(self.suffix) {
            return Some(log).filter(is_one);
        }
        let at = name.windows(self.suffix.len()).rposition(|part| part == self.suffix)?;
        let log = Some(&name[..at]).filter(is_one)?;
        let entries = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
        let links: HashSet<PathBuf> = entries.filter_map(|entry| fs::read_link(entry.path()).ok()).collect();
        let is_open = |path: &[u8]| links.contains(Path::new(OsStr::from_bytes(path)));
        (is_open(log) && !is_open(&name[..at + self.suffix.len()])).then_some(log)
    }

    fn note(&mut self, pid: u32, log: PathBuf, metadata: &Path, key: Option<FileKey>, is_deleted: bool) {
        let known = (log, key, is_deleted);
        let at = match self.known.get(&known) {
            Some(at) => *at,
            None => {
                let name = metadata.as_os_str().as_bytes();
                let sight = match self.regular_at(name, key) {
                    // A name may end like that of a file that has none.
                    _ if is_deleted && self.regular_at(&[name, DELETED].concat(), key).is_some() => return,
                    _ if is_deleted => Sight::Deleted,
                    Some(true) if !name.ends_with(self.suffix) => Sight::Deleted,
                    None if !name.ends_with(self.suffix) => return,
                    Some(true) => Sight::Here,
                    // A pipe, a device: no log.
                    Some(false) => return,
                    None => Sight::Elsewhere,
                };
                let path = known.0.clone();
                self.found.logs.push(OpenLog { path, sight, metadata: key, holders: Vec::new() });
                self.known.insert(known, self.found.logs.len() - 1);
                self.found.logs.len() - 1
            }
        };
        let holders = &mut self.found.logs[at].holders;
        if holders.last().is_none_or(|last| last.pid != pid) {
            holders.push(Holder { pid, command: command_of(pid) });
        }
    }

    /// Whether the file is a regular one, if it has that path here.
    fn regular_at(&mut self, path: &[u8], key: Option<FileKey>) -> Option<bool> {
        if self.here.is_answered_elsewhere(Path::new(OsStr::from_bytes(path))) {
            return Some(false);
        }
        let (found, is_regular) = self.mounts.key_at(Path::new(OsStr::from_bytes(path))).ok()?;
        (Some(found) == key).then_some(is_regular)
    }

    /// Why there may be processes that are not even in `/proc`.
    fn limits(&mut self) {
        let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        if namespace != Path::new(FIRST_NAMESPACE) && !namespace.as_os_str().is_empty() {
            let text =
                "this is a PID namespace of its own, such as a container's: only its processes are seen";
            self.found.limits.push(text.to_owned());
        }
        if !super::process::is_root() && super::mounts::hides_processes() {
            let text = "/proc hides the processes of other users (hidepid)";
            self.found.limits.push(text.to_owned());
        }
    }
}

/// Kernel threads, and the dead that nobody has waited for.
pub(super) fn has_no_descriptors(pid: u32) -> bool {
    let is_one = |stat: Stat| {
        matches!(stat.state(), None | Some("Z" | "X")) || stat.flags().is_some_and(|f| f & KERNEL_THREAD != 0)
    };
    Stat::read(&directory_of(pid)).is_ok_and(is_one)
}
