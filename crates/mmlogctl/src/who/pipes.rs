//! Who is at the other end of a process's pipes, and at those of the pipes of whoever is there.

use std::collections::{HashMap, HashSet};
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

/// Somebody who writes into what is appended, or reads what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// Its id.
    pub pid: u32,
    /// Through whom, who is nearer by one; `None` of one with the pipe itself.
    pub through: Option<u32>,
}

/// Of how many at most it is told that they are behind a pipe.
const LONGEST_LINE: usize = 32;

/// Who is at the other ends of pipes.
#[derive(Debug, Default)]
pub(super) struct Ends {
    others: HashMap<u64, Vec<u32>>,
    /// Of the same side as the pipe that was asked for: what those who are there have there themselves.
    own: HashMap<u32, u64>,
    /// All descriptors were looked at: the standard ones of everybody first, the others only where that tells nothing of a pipe that
    /// was asked for.
    pub(super) are_all: bool,
}

impl Ends {
    /// Not its own reader, which may write to another pipe of the same program.
    pub(super) fn at(&self, pipe: u64, but: u32) -> impl Iterator<Item = u32> {
        self.others.get(&pipe).into_iter().flatten().copied().filter(move |pid| *pid != but)
    }

    /// All that are behind these pipes, the nearest first.
    pub(super) fn line(&self, pipes: &[u64], but: u32) -> Vec<Behind> {
        let mut line: Vec<Behind> = Vec::new();
        let mut pipes: Vec<(u64, Option<u32>)> = pipes.iter().map(|pipe| (*pipe, None)).collect();
        let mut nth = 0;
        while let Some(&(pipe, through)) = pipes.get(nth) {
            nth += 1;
            for pid in self.at(pipe, but) {
                if line.len() == LONGEST_LINE || line.iter().any(|known| known.pid == pid) {
                    continue;
                }
                line.push(Behind { pid, through });
                let own = self.own.get(&pid).filter(|own| pipes.iter().all(|(pipe, _)| pipe != *own));
                pipes.extend(own.map(|own| (*own, Some(pid))));
            }
        }
        line
    }

    fn note(&mut self, pipe: u64, pid: u32) {
        let pids = self.others.entry(pipe).or_default();
        if !pids.contains(&pid) {
            pids.push(pid);
        }
    }
}

/// Who is at the other ends of these pipes, and of the pipes of those who are.
pub(super) fn others_of(side: Side, pipes: &HashMap<u64, Vec<Key>>, thoroughly: bool) -> Ends {
    let (descriptors, way) = side.other_end();
    let mut ends = Ends::default();
    let all: Vec<u32> = mmlog::processes().into_iter().flatten().collect();
    for &pid in &all {
        let there: Vec<u64> = descriptors.iter().filter_map(|fd| pipe_at(pid, fd)).collect();
        if !there.is_empty() {
            there.into_iter().for_each(|pipe| ends.note(pipe, pid));
            ends.own.extend(side.pipe_of(pid).map(|own| (pid, own)));
        }
    }
    let is_found = |ends: &Ends, pipe: &u64, keys: &[Key]| {
        let is_another = |pid: &u32| keys.iter().all(|key| key.0 != *pid);
        ends.others.get(pipe).is_some_and(|pids| pids.iter().any(is_another))
    };
    let lacking: HashSet<u64> =
        pipes.iter().filter(|(pipe, keys)| !is_found(&ends, pipe, keys)).map(|(pipe, _)| *pipe).collect();
    if !thoroughly || lacking.is_empty() {
        return ends;
    }
    ends.are_all = true;
    for pid in all {
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            // The link's own mode tells for what it is open.
            let is_that_way = || entry.path().symlink_metadata().is_ok_and(|m| m.mode() & way != 0);
            let link = fs::read_link(entry.path()).ok();
            let pipe = link.as_deref().and_then(|link| inode_of(link.to_str()?));
            if let Some(pipe) = pipe.filter(|pipe| lacking.contains(pipe))
                && is_that_way()
            {
                ends.note(pipe, pid);
            }
        }
    }
    ends
}

/// All pipes that a process has an end of.
pub(super) fn all_of(pid: u32) -> impl Iterator<Item = u64> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries.filter_map(|entry| inode_of(fs::read_link(entry.path()).ok()?.to_str()?))
}

fn pipe_at(pid: u32, fd: &str) -> Option<u64> {
    inode_of(fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok()?.to_str()?)
}

/// `pipe:[4711]`.
fn inode_of(link: &str) -> Option<u64> {
    link.strip_prefix("pipe:[")?.strip_suffix(']')?.parse().ok()
}
