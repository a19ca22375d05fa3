//! What is mounted, as far as this mount namespace sees it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor};

/// A line of `/proc/self/mountinfo`.
struct Mount {
    /// Of its file system; the files of a btrfs have others.
    device: (u32, u32),
    at: PathBuf,
    kind: String,
    options: Vec<u8>,
}

impl Mount {
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|&b| b == b' ');
        let (device, at) = (fields.nth(2)?, fields.nth(1)?);
        let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
        let (kind, _source, options) = (rest.next()?, rest.next()?, rest.next()?);
        let text = std::str::from_utf8(device).ok()?;
        let (major, minor) = text.split_once(':')?;
        Some(Self {
            device: (major.parse().ok()?, minor.parse().ok()?),
            at: unescaped(at).into(),
            kind: String::from_utf8_lossy(kind).into_owned(),
            options: unescaped(options).into_vec(),
        })
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
    fn a_line_of_the_table_is_read_with_its_escapes_and_layers() {
        let line = b"36 35 98:0 /mnt1 /mnt\\040two rw,noatime master:1 - overlay over rw,lowerdir=/a:/b\\040c,upperdir=/u";
        let seen = Mount::parse(line)
            .map(|mount| (mount.device, mount.at.clone(), mount.layers().collect::<Vec<_>>()));
        let layers = ["/a", "/b c", "/u"].map(PathBuf::from).to_vec();
        assert_eq!(seen, Some(((98, 0), PathBuf::from("/mnt two"), layers)));
    }
}
