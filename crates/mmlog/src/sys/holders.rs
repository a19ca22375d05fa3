//! Who has a file open or mapped, for people.
//!
//! Everybody's descriptors are looked at, and the file system behind one may hang for ever: a FUSE without its daemon, a
//! server that is gone. So nobody is asked but `/proc`, which knows inode and mount of each descriptor and mapping; what
//! has our inode on our file system is then asked what it is.

use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, OsStr};
use std::fs;
use std::io::{self, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, Statx, StatxFlags, openat, readlinkat_raw, statx};

use super::open_logs::has_no_descriptors;
use super::process::{self, Who};
use crate::deadline::{Deadline, Waits};
use crate::error::quoted;
use crate::units::{agree, listed};

fn for_ever() -> Deadline {
    Deadline::after(Duration::MAX, &Waits::default())
}

fn in_time(until: &Deadline) -> io::Result<()> {
    if until.is_over() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
}

/// Of a path in `/proc`, the kernel tells a page at most.
const LONGEST_LINK: usize = 4096;

/// The mark of a link to a file that has lost its name.
pub(super) const DELETED: &[u8] = b" (deleted)";

/// A file, as `/proc` tells one from another.
pub(crate) struct Wanted {
    inode: u64,
    /// As `stat` says: on btrfs another one than the file system's.
    device: (u32, u32),
    /// The file system's.
    super_block: (u32, u32),
}

/// Processes other than this one that have the file open or mapped, as far as this user may see.
pub(crate) fn holders_of(file: impl AsFd) -> Vec<Who> {
    look_for_holders(file, &for_ever()).0
}

/// The same; `None` where something but a missing permission kept it from looking, or the time was over, so that there may
/// be more.
pub(crate) fn all_holders_of(file: impl AsFd, until: &Deadline) -> Option<Vec<Who>> {
    let (found, saw_all) = look_for_holders(file, until);
    saw_all.then_some(found)
}

/// Whether that process has the file open or mapped; when in doubt it has not.
pub(crate) fn has_open(file: &Wanted, pid: u32, until: &Deadline) -> bool {
    file.is_held_by(pid, until).unwrap_or(false)
}

/// Whether that process has the file open or mapped, as far as this user may see; when in doubt it has.
pub(crate) fn may_have_open(file: &Wanted, pid: u32) -> bool {
    file.is_held_by(pid, &for_ever()).unwrap_or(true)
}

/// A process that has a lock on that byte of the file, for reading or writing, as far as this user may see.
pub(crate) fn locker_of(file: impl AsFd, byte: u64) -> Option<u32> {
    let wanted = Wanted::of(file)?;
    process::processes().ok()?.find(|&pid| wanted.is_locked_by(pid, byte).unwrap_or(false))
}

/// A command that tells who has a lock on a file, in a shell. (lslocks shows no process for locks of our kind.)
pub(crate) fn tells_lockers_of(file: &Path) -> String {
    format!("`grep -ls \"ADVISORY.*:$(stat -c %i {}) \" /proc/[0-9]*/fdinfo/*`", quoted(file))
}

fn look_for_holders(file: impl AsFd, until: &Deadline) -> (Vec<Who>, bool) {
    let (mine, Some(wanted)) = (std::process::id(), Wanted::of(file)) else { return (Vec::new(), false) };
    let Ok(entries) = fs::read_dir("/proc") else { return (Vec::new(), false) };
    let (mut found, mut saw_all) = (Vec::new(), true);
    for entry in entries {
        let Ok(entry) = entry else {
            saw_all = false;
            break;
        };
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if pid == mine {
            continue;
        }
        match wanted.is_held_by(pid, until) {
            Ok(false) => {}
            Ok(true) => found.push(Who { pid, command: command_of(pid), ..Who::default() }),
            Err(e) => saw_all &= is_nobody(&e) || e.kind() == io::ErrorKind::PermissionDenied,
        }
    }
    (found, saw_all)
}

/// Whether what was asked of `/proc` is of a process, or a descriptor, that is no more. EINVAL is what the mounts of a process
/// say that has ended, and that nobody has waited for.
pub(super) fn is_nobody(e: &io::Error) -> bool {
    use nix::libc::{EINVAL, ENOENT, ESRCH};
    matches!(e.raw_os_error(), Some(ENOENT | ESRCH | EINVAL))
}

/// A file of `/proc`, in as few reads as the kernel allows: its length says nothing.
pub(super) fn read_proc(path: String) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(16 << 10);
    fs::File::open(path)?.take(u64::MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

pub(crate) fn command_of(pid: u32) -> String {
    let comm = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    String::from_utf8_lossy(comm.strip_suffix(b"\n").unwrap_or(&comm)).into_owned()
}

/// A descriptor by which a process has a file open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opener {
    /// Its process id.
    pub pid: u32,
    /// How it was called, at most 200 bytes, or its name.
    pub command: String,
    /// The number of the descriptor.
    pub fd: i32,
}

impl Opener {
    pub(crate) fn new(pid: u32, fd: i32) -> Self {
        Self { pid, command: process::command_line(pid).unwrap_or_else(|| command_of(pid)), fd }
    }

    /// `4312 (web)`.
    pub(crate) fn named(&self) -> String {
        format!("{} ({})", self.pid, self.command)
    }

    /// Where the file is, as its process has it; `None` where it has no name.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        let link = self.link()?;
        (!link.as_os_str().as_bytes().ends_with(DELETED)).then_some(link)
    }

    /// Whether that was its last name.
    pub(crate) fn was(&self, path: &Path) -> bool {
        let link = self.link().unwrap_or_default();
        link.as_os_str().as_bytes().strip_suffix(DELETED) == Some(path.as_os_str().as_bytes())
    }

    /// When the inode of the file, which has lost its last name, was last changed. The file is one of the log's file system.
    pub(crate) fn gone_since(&self) -> Option<SystemTime> {
        let asked = fs::metadata(format!("/proc/{}/fd/{}", self.pid, self.fd)).ok()?;
        let since = Duration::new(asked.ctime().try_into().ok()?, asked.ctime_nsec().try_into().ok()?);
        (asked.nlink() == 0).then(|| SystemTime::UNIX_EPOCH.checked_add(since))?
    }

    fn link(&self) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/fd/{}", self.pid, self.fd)).ok()
    }
}

/// `process 4312 (web) has it open still`.
pub(crate) fn have_open(openers: &[Opener], since: &str) -> String {
    let named: Vec<String> = openers.iter().map(Opener::named).collect();
    let count = named.len() as u64;
    let (who, has) = (agree(count, "process", "processes"), agree(count, "has", "have"));
    format!("{who} {}{since} {has} it open still", listed(&named))
}

/// Processes other than this one that have the file of that number open, on the file system of `place`; and whether there
/// were processes that this user may not look at.
pub(crate) fn openers_of(place: impl AsFd, inode: u64) -> (Vec<Opener>, bool) {
    let (mine, Some(here)) = (std::process::id(), Wanted::of(place)) else { return (Vec::new(), true) };
    let wanted = Wanted { inode, ..here };
    let Ok(pids) = process::processes() else { return (Vec::new(), true) };
    let (mut found, mut is_unseen) = (Vec::new(), false);
    for pid in pids.filter(|pid| *pid != mine) {
        match wanted.descriptor_of(pid, &for_ever()) {
            Ok(fd) => found.extend(fd.map(|fd| Opener::new(pid, fd))),
            Err(e) => is_unseen |= !is_nobody(&e) && !has_no_descriptors(pid),
        }
    }
    (found, is_unseen)
}

/// Processes that have a file open, on the file system of `place`, whose last name was that path.
pub(crate) fn openers_of_removed(place: impl AsFd, all: &[Link], path: &Path) -> Vec<Opener> {
    let Some(here) = Wanted::of(place) else { return Vec::new() };
    let was_there = all.iter().filter(|link| link.is_nameless && link.path == path);
    let mut found: Vec<Opener> = was_there
        .filter(|one| one.asked_on(&here).is_some_and(|stat| stat.stx_nlink == 0))
        .map(|one| Opener::new(one.pid, one.fd))
        .collect();
    found.dedup_by_key(|opener| opener.pid);
    found
}

/// Those of [`openers_of_removed`] that have it open for writing.
pub(crate) fn writers_of_removed(place: impl AsFd, all: &[Link], path: &Path) -> Vec<Opener> {
    let mut found = openers_of_removed(place, all, path);
    found.retain(|opener| may_write(opener.pid, opener.fd));
    found
}

/// Whether a process may write through that descriptor, as far as that can be seen.
fn may_write(pid: u32, fd: i32) -> bool {
    let flags = facts(&pid.to_string(), fd).ok().and_then(|facts| facts.flags);
    flags.is_some_and(|flags| flags & OFlags::ACCMODE.bits() != OFlags::RDONLY.bits())
}

/// Those of [`openers_at`] that have it open for writing, but for some: each costs a dozen calls.
pub(crate) fn who_may_write(
    place: impl AsFd,
    all: &[Link],
    path: &Path,
    inode: u64,
    but: &HashSet<u32>,
) -> Vec<Opener> {
    openers_by(place, all, path, inode, |link| !but.contains(&link.pid) && may_write(link.pid, link.fd))
}

fn openers_by(
    place: impl AsFd,
    all: &[Link],
    path: &Path,
    inode: u64,
    is_one: impl Fn(&Link) -> bool,
) -> Vec<Opener> {
    let mine = std::process::id();
    let mut there = all.iter().filter(|link| link.pid != mine && link.is_at(path)).peekable();
    let Some(here) = there.peek().and_then(|_| Wanted::of(place)) else { return Vec::new() };
    let wanted = Wanted { inode, ..here };
    let is_it = |link: &&Link| is_one(link) && wanted.is(&link.pid.to_string(), link.fd).unwrap_or(false);
    let mut found: Vec<Opener> = there.filter(is_it).map(|one| Opener::new(one.pid, one.fd)).collect();
    found.dedup_by_key(|opener| opener.pid);
    found
}

/// Processes other than this one that have the file of that number open, on the file system of `place`, at that path.
pub(crate) fn openers_at(place: impl AsFd, all: &[Link], path: &Path, inode: u64) -> Vec<Opener> {
    openers_by(place, all, path, inode, |_| true)
}

/// A file without a name that a process has open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unnamed {
    pub(crate) who: Who,
    pub(crate) inode: u64,
    /// Bytes of disk that it takes.
    pub(crate) allocated: u64,
}

/// A descriptor of a process, and the path of its file.
#[derive(Debug)]
pub(crate) struct Link {
    pid: u32,
    fd: i32,
    path: PathBuf,
    /// It has lost that name.
    is_nameless: bool,
}

impl Link {
    /// By its number and what it leads to; `None` of what is no file, and of devices.
    fn of(pid: u32, number: &CStr, leads_to: &[u8]) -> Option<Self> {
        let (name, is_nameless) =
            leads_to.strip_suffix(DELETED).map_or((leads_to, false), |name| (name, true));
        if !name.starts_with(b"/") || name.starts_with(b"/dev/") {
            return None;
        }
        let fd = number.to_str().ok()?.parse().ok()?;
        Some(Self { pid, fd, path: Path::new(OsStr::from_bytes(name)).into(), is_nameless })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn fd(&self) -> i32 {
        self.fd
    }

    /// Where its file is, as its process has it; `None` where it has lost that name.
    pub(crate) fn path(&self) -> Option<&Path> {
        (!self.is_nameless).then_some(&*self.path)
    }

    /// Byte by byte: `Path`s are equal also with a slash too many.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        !self.is_nameless && self.path.as_os_str() == path.as_os_str()
    }

    /// What it is, if it is on the file system of that file.
    fn asked_on(&self, here: &Wanted) -> Option<Statx> {
        let process = self.pid.to_string();
        let mount = super_block(&process, facts(&process, self.fd).ok()?.mount?).ok()??;
        let link = format!("/proc/{process}/fd/{}", self.fd);
        let asked = || statx(CWD, link.as_str(), AtFlags::STATX_DONT_SYNC, StatxFlags::BASIC_STATS).ok();
        (mount == here.super_block).then(asked)?
    }
}

/// All such descriptors, as far as this user may see; not those of devices.
pub(crate) fn links() -> Vec<Link> {
    let Ok(pids) = process::processes() else { return Vec::new() };
    let (mut names, mut link) = ([MaybeUninit::uninit(); 4096], [MaybeUninit::uninit(); LONGEST_LINK]);
    let open = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut found = Vec::new();
    for pid in pids {
        let Ok(dir) = openat(CWD, format!("/proc/{pid}/fd"), open, Mode::empty()) else { continue };
        let mut entries = RawDir::new(&dir, &mut names);
        // From where they are: the way through /proc costs as much as the link that it leads to.
        while let Some(Ok(entry)) = entries.next() {
            let read = readlinkat_raw(&dir, entry.file_name(), &mut link);
            found.extend(read.ok().and_then(|(to, _)| Link::of(pid, entry.file_name(), to)));
        }
    }
    found
}

/// Files on the file system of `place` that have lost their last name, which was one that `was_ours` knows, and that some
/// process has open. A process in another mount namespace may see them by another path.
pub(crate) fn unnamed_in(place: impl AsFd, all: &[Link], was_ours: impl Fn(&Path) -> bool) -> Vec<Unnamed> {
    let mut ours = all.iter().filter(|link| link.is_nameless && was_ours(&link.path)).peekable();
    if ours.peek().is_none() {
        return Vec::new();
    }
    let Some(here) = Wanted::of(place) else { return Vec::new() };
    let mut found = Vec::new();
    for one in ours {
        if let Some(stat) = one.asked_on(&here)
            && stat.stx_nlink == 0
            && stat.stx_blocks > 0
        {
            let who = Who { pid: one.pid, command: command_of(one.pid), ..Who::default() };
            found.push(Unnamed { who, inode: stat.stx_ino, allocated: stat.stx_blocks * 512 });
        }
    }
    found.dedup();
    found
}

impl Wanted {
    pub(crate) fn of(file: impl AsFd) -> Option<Self> {
        let fd = file.as_fd();
        let stat = statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).ok()?;
        let device = (stat.stx_dev_major, stat.stx_dev_minor);
        let mount = facts("self", fd.as_raw_fd()).ok().and_then(|facts| facts.mount);
        let super_block = mount.and_then(|mount| super_block("self", mount).ok()?).unwrap_or(device);
        Some(Self { inode: stat.stx_ino, device, super_block })
    }

    fn is_held_by(&self, pid: u32, until: &Deadline) -> io::Result<bool> {
        in_time(until)?;
        Ok(self.is_mapped_by(pid)? || self.is_opened_by(pid, until)?)
    }

    fn is_mapped_by(&self, pid: u32) -> io::Result<bool> {
        let maps = read_proc(format!("/proc/{pid}/maps"))?;
        Ok(String::from_utf8_lossy(&maps).lines().any(|line| {
            // Addresses, rights, offset, device, inode, and perhaps a name.
            let mut fields = line.split_ascii_whitespace().skip(3);
            let device = fields.next().and_then(|device| numbers(device, 16));
            let inode = fields.next().and_then(|inode| inode.parse().ok());
            (device, inode) == (Some(self.super_block), Some(self.inode))
        }))
    }

    fn is_opened_by(&self, pid: u32, until: &Deadline) -> io::Result<bool> {
        Ok(self.descriptor_of(pid, until)?.is_some())
    }

    /// The number by which a process has it open.
    fn descriptor_of(&self, pid: u32, until: &Deadline) -> io::Result<Option<i32>> {
        let pid = pid.to_string();
        for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
            in_time(until)?;
            let Some(fd) = entry?.file_name().to_str().and_then(|fd| fd.parse().ok()) else { continue };
            match self.is(&pid, fd) {
                Ok(true) => return Ok(Some(fd)),
                Ok(false) => {}
                // Closed meanwhile.
                Err(e) if is_nobody(&e) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(None)
    }

    fn is_locked_by(&self, pid: u32, byte: u64) -> io::Result<bool> {
        let pid = pid.to_string();
        for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
            let Some(fd) = entry?.file_name().to_str().and_then(|fd| fd.parse().ok()) else { continue };
            let said = fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).unwrap_or_default();
            if said.lines().any(|line| is_lock_on(line, byte)) && self.is(&pid, fd).unwrap_or(false) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is(&self, pid: &str, fd: i32) -> io::Result<bool> {
        let facts = facts(pid, fd)?;
        // Kernels before 5.14 do not tell the inode.
        if facts.inode.is_some_and(|inode| inode != self.inode) {
            return Ok(false);
        }
        let Some(mount) = facts.mount else { return Ok(false) };
        if super_block(pid, mount)? != Some(self.super_block) {
            return Ok(false);
        }
        let link = format!("/proc/{pid}/fd/{fd}");
        let s = statx(CWD, link.as_str(), AtFlags::STATX_DONT_SYNC, StatxFlags::BASIC_STATS)?;
        Ok((s.stx_ino, (s.stx_dev_major, s.stx_dev_minor)) == (self.inode, self.device))
    }
}

/// Whether a line of `/proc` is a lock on that byte: `lock: 1: OFDLCK ADVISORY READ -1 fe:00:123 0 EOF`.
fn is_lock_on(line: &str, byte: u64) -> bool {
    let Some(lock) = line.strip_prefix("lock:") else { return false };
    let mut ends = lock.split_ascii_whitespace().skip(6);
    let first = ends.next().and_then(|first| first.parse::<u64>().ok());
    let last = ends.next().map(|last| last.parse().unwrap_or(u64::MAX));
    first.zip(last).is_some_and(|(first, last)| (first..=last).contains(&byte))
}

/// What `/proc` says of a descriptor.
pub(super) struct Descriptor {
    pub(super) inode: Option<u64>,
    pub(super) mount: Option<u64>,
    /// As open(2) and fcntl(2) have them.
    pub(super) flags: Option<u32>,
}

pub(super) fn facts(pid: &str, fd: i32) -> io::Result<Descriptor> {
    let said = fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}"))?;
    let field = |name: &str| said.lines().find_map(|l| l.strip_prefix(name)).map(str::trim);
    let number = |name: &str| field(name)?.parse().ok();
    let flags = field("flags:").and_then(|flags| u32::from_str_radix(flags, 8).ok());
    Ok(Descriptor { inode: number("ino:"), mount: number("mnt_id:"), flags })
}

/// The device of the file system behind one of a process's mounts.
fn super_block(pid: &str, mount: u64) -> io::Result<Option<(u32, u32)>> {
    Ok(super_blocks(pid)?.remove(&mount))
}

/// The devices of the file systems behind all of a process's mounts.
pub(super) fn super_blocks(pid: &str) -> io::Result<HashMap<u64, (u32, u32)>> {
    let mounts = read_proc(format!("/proc/{pid}/mountinfo"))?;
    let mounts = String::from_utf8_lossy(&mounts);
    // Its id, its parent's, the device.
    let parsed = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        Some((fields.next()?.parse().ok()?, numbers(fields.nth(1)?, 10)?))
    });
    Ok(parsed.collect())
}

/// Major and minor number.
fn numbers(text: &str, radix: u32) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(':')?;
    Some((u32::from_str_radix(major, radix).ok()?, u32::from_str_radix(minor, radix).ok()?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn who_has_ended_and_is_not_waited_for_yet_is_nobody() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        let has_ended = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") Z ");
        while !has_ended() {
            std::thread::yield_now();
        }
        let asked = super_block(&pid.to_string(), 0).map(|_| ());
        let waited = child.wait();
        assert!(asked.is_err_and(|e| is_nobody(&e)));
        assert!(waited.unwrap().success());
    }
}
