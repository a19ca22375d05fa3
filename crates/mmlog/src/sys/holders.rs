//! Who has a file open or mapped, for people.
//!
//! Everybody's descriptors are looked at, and the file system behind one may hang for ever: a FUSE without its daemon, a
//! server that is gone. So nobody is asked but `/proc`, which knows inode and mount of each descriptor and mapping; what
//! has our inode on our file system is then asked what it is.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use super::process::Who;

/// A file, as `/proc` tells one from another.
struct Wanted {
    inode: u64,
    /// As `stat` says: on btrfs another one than the file system's.
    device: (u32, u32),
    /// The file system's.
    super_block: (u32, u32),
}

/// Processes other than this one that have the file open or mapped, as far as this user may see.
pub(crate) fn holders_of(file: impl AsFd) -> Vec<Who> {
    let (mine, Some(wanted)) = (std::process::id(), Wanted::of(file)) else { return Vec::new() };
    let Ok(all) = procfs::process::all_processes() else { return Vec::new() };
    all.flatten()
        .filter(|p| u32::try_from(p.pid()).is_ok_and(|pid| pid != mine))
        .filter(|p| wanted.is_mapped_by(p.pid()) || wanted.is_opened_by(p.pid()))
        .filter_map(|p| p.stat().ok())
        .map(|s| Who { pid: s.pid.unsigned_abs(), command: s.comm, ..Who::default() })
        .collect()
}

/// A file without a name that a process has open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unnamed {
    pub(crate) who: Who,
    pub(crate) inode: u64,
    /// Bytes of disk that it takes.
    pub(crate) allocated: u64,
}

/// Files on the file system of `place` that have lost their last name, which was one that `was_ours` knows, and that some
/// process has open, as far as this user may see. A process in another mount namespace may see them by another path.
pub(crate) fn unnamed_in(place: impl AsFd, was_ours: impl Fn(&Path) -> bool) -> Vec<Unnamed> {
    let Some(here) = Wanted::of(place) else { return Vec::new() };
    let Ok(all) = procfs::process::all_processes() else { return Vec::new() };
    let mut found = Vec::new();
    for process in all.flatten() {
        let pid = process.pid().to_string();
        let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        for fd in entries.flatten().filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok()) {
            let link = format!("/proc/{pid}/fd/{fd}");
            let is_ours = fs::read_link(&link).is_ok_and(|to| {
                let name = to.as_os_str().as_bytes().strip_suffix(b" (deleted)");
                name.is_some_and(|name| was_ours(Path::new(OsStr::from_bytes(name))))
            });
            let mount = || facts(&pid, fd)?.mount.and_then(|mount| super_block(&pid, mount));
            if !is_ours || mount() != Some(here.super_block) {
                continue;
            }
            let asked = statx(CWD, link.as_str(), AtFlags::STATX_DONT_SYNC, StatxFlags::BASIC_STATS);
            if let (Ok(stat), Ok(who)) = (asked, process.stat())
                && stat.stx_nlink == 0
                && stat.stx_blocks > 0
            {
                let who = Who { pid: who.pid.unsigned_abs(), command: who.comm, ..Who::default() };
                found.push(Unnamed { who, inode: stat.stx_ino, allocated: stat.stx_blocks * 512 });
            }
        }
    }
    found.dedup();
    found
}

impl Wanted {
    fn of(file: impl AsFd) -> Option<Self> {
        let fd = file.as_fd();
        let stat = statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).ok()?;
        let device = (stat.stx_dev_major, stat.stx_dev_minor);
        let mount = facts("self", fd.as_raw_fd()).and_then(|facts| facts.mount);
        let super_block = mount.and_then(|mount| super_block("self", mount)).unwrap_or(device);
        Some(Self { inode: stat.stx_ino, device, super_block })
    }

    fn is_mapped_by(&self, pid: i32) -> bool {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
        maps.lines().any(|line| {
            // Addresses, rights, offset, device, inode, and perhaps a name.
            let mut fields = line.split_ascii_whitespace().skip(3);
            let device = fields.next().and_then(|device| numbers(device, 16));
            let inode = fields.next().and_then(|inode| inode.parse().ok());
            (device, inode) == (Some(self.super_block), Some(self.inode))
        })
    }

    fn is_opened_by(&self, pid: i32) -> bool {
        let pid = pid.to_string();
        let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        let mut descriptors = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
        descriptors.any(|fd| self.is(&pid, fd))
    }

    fn is(&self, pid: &str, fd: i32) -> bool {
        let Some(facts) = facts(pid, fd) else { return false };
        // Kernels before 5.14 do not tell the inode.
        if facts.inode.is_some_and(|inode| inode != self.inode) {
            return false;
        }
        if facts.mount.and_then(|mount| super_block(pid, mount)) != Some(self.super_block) {
            return false;
        }
        let link = format!("/proc/{pid}/fd/{fd}");
        let asked = statx(CWD, link.as_str(), AtFlags::STATX_DONT_SYNC, StatxFlags::BASIC_STATS);
        asked.is_ok_and(|s| (s.stx_ino, (s.stx_dev_major, s.stx_dev_minor)) == (self.inode, self.device))
    }
}

/// What `/proc` says of a descriptor.
struct Descriptor {
    inode: Option<u64>,
    mount: Option<u64>,
}

fn facts(pid: &str, fd: i32) -> Option<Descriptor> {
    let said = fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).ok()?;
    let number = |name: &str| said.lines().find_map(|l| l.strip_prefix(name))?.trim().parse().ok();
    Some(Descriptor { inode: number("ino:"), mount: number("mnt_id:") })
}

/// The device of the file system behind one of a process's mounts.
fn super_block(pid: &str, mount: u64) -> Option<(u32, u32)> {
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).ok()?;
    // Its id, its parent's, the device.
    let line = mounts.lines().find(|line| line.split(' ').next() == Some(&mount.to_string()))?;
    numbers(line.split(' ').nth(2)?, 10)
}

/// Major and minor number.
fn numbers(text: &str, radix: u32) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(':')?;
    Some((u32::from_str_radix(major, radix).ok()?, u32::from_str_radix(minor, radix).ok()?))
}
