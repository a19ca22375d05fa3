//! Who is at the other end of a process's pipes.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

use super::Key;

/// Which of a process's pipes, and thereby who is wanted at its other end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// Its standard input: whoever writes.
    #[default]
    Input,
    /// Its standard output: whoever reads.
    Output,
}

impl Side {
    /// The pipe that it is, by its number.
    pub(super) fn pipe_of(self, pid: u32) -> Option<u64> {
        pipe_at(pid, if self == Self::Input { "0" } else { "1" })
    }

    /// The pipes that a process's standard output and standard error are.
    pub(super) fn both_outputs_of(pid: u32) -> impl Iterator<Item = u64> {
        ["1", "2"].into_iter().filter_map(move |fd| pipe_at(pid, fd))
    }

    /// Where those at the other end have it most often, and what the mode of the link says then.
    const fn other_end(self) -> (&'static [&'static str], u32) {
        match self {
            Self::Input => (&["1", "2"], 0o200),
            Self::Output => (&["0"], 0o400),
        }
    }
}

/// Processes at the other ends of these pipes, and whether all descriptors were looked at: the standard ones of everybody
/// first, the others only where that tells nothing of a pipe.
pub(super) fn others_of(
    side: Side,
    pipes: &HashMap<u64, Vec<Key>>,
    thoroughly: bool,
) -> (HashMap<u64, Vec<u32>>, bool) {
    let (descriptors, way) = side.other_end();
    let mut found: HashMap<u64, Vec<u32>> = HashMap::new();
    let all: Vec<u32> = processes().collect();
    let mut note = |pid: u32, fd: &str| {
        let Some(pipe) = pipe_at(pid, fd) else { return };
        // Its own reader, which may write to another pipe of the same program.
        let is_wanted = pipes.get(&pipe).is_some_and(|keys| keys.iter().all(|key| key.0 != pid));
        if is_wanted && found.get(&pipe).is_none_or(|pids| !pids.contains(&pid)) {
            found.entry(pipe).or_default().push(pid);
        }
    };
    for pid in &all {
        descriptors.iter().for_each(|fd| note(*pid, fd));
    }
    if !thoroughly || pipes.keys().all(|pipe| found.contains_key(pipe)) {
        return (found, false);
    }
    let mut further: HashMap<u64, Vec<u32>> = HashMap::new();
    for pid in all {
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            // The link's own mode tells for what it is open.
            let is_that_way = || entry.path().symlink_metadata().is_ok_and(|m| m.mode() & way != 0);
            let link = fs::read_link(entry.path()).ok();
            let pipe = link.as_deref().and_then(|link| inode_of(link.to_str()?));
            let Some(pipe) = pipe.filter(|pipe| pipes.contains_key(pipe) && !found.contains_key(pipe)) else {
                continue;
            };
            let pids = further.entry(pipe).or_default();
            if !pids.contains(&pid) && is_that_way() {
                pids.push(pid);
            }
        }
    }
    further.retain(|_, pids| !pids.is_empty());
    found.extend(further);
    (found, true)
}

/// All pipes that a process has an end of.
pub(super) fn all_of(pid: u32) -> impl Iterator<Item = u64> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries.filter_map(|entry| inode_of(fs::read_link(entry.path()).ok()?.to_str()?))
}

fn pipe_at(pid: u32, fd: &str) -> Option<u64> {
    inode_of(fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok()?.to_str()?)
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// `pipe:[4711]`.
fn inode_of(link: &str) -> Option<u64> {
    link.strip_prefix("pipe:[")?.strip_suffix(']')?.parse().ok()
}
