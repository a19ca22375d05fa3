//! Logs that are yet to be made: an `append` or `exec` waits for the space to make one with. It has no file of the log open
//! then; how it was called tells, as far as one may see.
//!
//! No path of another process is asked for on a file system that a program or another host answers for.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use mmlog::units::{ago, agree, size};
use mmlog::{
    Error, Fault, Finding, FindingId, Holder, Severity, State, is_answered_elsewhere, processes, quoted,
};
use rustix::fs::statvfs;
use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};

use crate::cli::{self, Command};
use crate::discovery::{log_of, named};
use crate::exit::printable;
use crate::reading::metadata_of;
use crate::storing::OnFull;
use crate::who::began;

/// A process that was called to append to a log.
#[derive(Debug)]
struct Maker {
    pid: u32,
    log: PathBuf,
    since: Option<SystemTime>,
    /// It goes on, and drops what comes.
    drops: bool,
    /// Bytes of the metadata that it would make.
    needs: u64,
    /// The metadata of a log that it has open, where that is now.
    has: Option<PathBuf>,
}

/// Logs that are not there, and that somebody is to make.
pub(crate) fn unmade() -> Vec<PathBuf> {
    makers().map(|maker| maker.log).filter(|log| is_missing(log)).collect()
}

/// Whether no metadata is at the path.
pub(crate) fn is_missing(log: &Path) -> bool {
    let is_not_there =
        |asked: io::Result<fs::Metadata>| asked.is_err_and(|e| e.kind() == ErrorKind::NotFound);
    !is_answered_elsewhere(log) && is_not_there(metadata_of(log).symlink_metadata())
}

/// A log that cannot even be looked at, as a finding; also one that somebody waits to make.
#[must_use]
pub(crate) fn explain(error: &Error) -> Finding {
    let found = mmlog::explain(error);
    match error.fault() {
        // Else its files are there without their names.
        Fault::NoLog if found.state == State::Ok => waited_for(error.path()).unwrap_or(found),
        _ => found,
    }
}

fn waited_for(log: &Path) -> Option<Finding> {
    let typed = std::path::absolute(log).ok()?;
    let directory = typed.parent()?;
    let found = directory.canonicalize().ok()?.join(typed.file_name()?);
    let names = [plain(&typed), found];
    let (makers, users): (Vec<Maker>, Vec<Maker>) =
        called().filter(|maker| names.contains(&maker.log)).partition(|maker| maker.has.is_none());
    if let Some(user) = users.first() {
        return moved(log, user);
    }
    let first = makers.iter().min_by_key(|maker| maker.since)?;
    let count = makers.len() as u64;
    let holder = |maker: &Maker| Holder { pid: maker.pid, command: OURS.to_owned() };
    let names: Vec<Holder> = makers.iter().map(holder).collect();
    let started = first.since.map(|at| format!(", started {},", ago(at, SystemTime::now())));
    let (processes, waits) = (agree(count, "process", "processes"), agree(count, "waits", "wait"));
    let who = format!("{processes} {}{}", named(&names), started.unwrap_or_default());
    let drops = if makers.iter().any(|maker| maker.drops) { ", and drops what comes until then" } else { "" };
    let at = directory_of(log);
    let rest = "remove something there, and it goes on by itself";
    let room = statvfs(directory).ok();
    // Its metadata and its data file.
    let files = if log.symlink_metadata().is_ok() { 1 } else { 2 };
    let (id, state, sentence, next_step) = match room {
        Some(room) if room.f_files > 0 && room.f_favail < files => (
            FindingId::InodesUsedUp,
            State::Full,
            format!(
                "no log yet: {who} {waits} for an inode to make it with ({} of {} {} free{}){drops}",
                if room.f_favail == 0 { "none".to_owned() } else { room.f_favail.to_string() },
                room.f_files,
                agree(room.f_favail.max(1), "is", "are"),
                if room.f_favail == 0 { String::new() } else { format!(", it needs {files}") }
            ),
            format!("`df -i {at}` tells how full it is; {rest}"),
        ),
        Some(room) if room.f_bavail.saturating_mul(room.f_frsize) < first.needs => (
            FindingId::DiskFull,
            State::Full,
            format!(
                "no log yet: {who} {waits} for space to make it ({} free on its file system, the metadata needs {}){drops}",
                size(room.f_bavail.saturating_mul(room.f_frsize)),
                size(first.needs)
            ),
            format!("`df -h {at}` tells how full it is; {rest}"),
        ),
        _ => (
            FindingId::Unreadable,
            State::Ok,
            format!(
                "no log yet: {who} {} to make it, and {} not yet",
                agree(count, "is", "are"),
                agree(count, "has", "have")
            ),
            format!("`ls -l /proc/{}/fd/2` shows where it says what it waits for", first.pid),
        ),
    };
    Some(Finding { id, severity: Severity::Critical, state, sentence, next_step, pid: Some(first.pid) })
}

/// Both files are somewhere else: whoever was called to append by this path appends there.
fn moved(log: &Path, user: &Maker) -> Option<Finding> {
    let metadata = user.has.as_ref().filter(|there| !is_answered_elsewhere(there) && there.is_file())?;
    let there = log_of(metadata)?;
    let sentence = format!(
        "the log was moved: it is {} now, and process {} ({}) appends to it there",
        printable(&there.to_string_lossy()),
        user.pid,
        OURS
    );
    let at = directory_of(log);
    let back = match there.file_name() == log.file_name() {
        true => format!("mv -n {} {} {at}", quoted(&there), quoted(metadata)),
        // Renamed, perhaps where it lies.
        false => format!(
            "mv -n {} {} && mv -n {} {}",
            quoted(&there),
            quoted(log),
            quoted(metadata),
            quoted(&metadata_of(log))
        ),
    };
    let next_step = format!("`{back}` puts it back; old segments, `ls {}.*`, belong to it", quoted(&there));
    let (id, severity) = (FindingId::Unreadable, Severity::Critical);
    Some(Finding { id, severity, state: State::Damaged, sentence, next_step, pid: Some(user.pid) })
}

impl Maker {
    /// As that process sees it.
    fn of(pid: u32) -> Option<Self> {
        if fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim_end() != OURS || is_in_other_mounts(pid)
        {
            return None;
        }
        let mut line = Vec::new();
        fs::File::open(format!("/proc/{pid}/cmdline")).ok()?.take(LONGEST).read_to_end(&mut line).ok()?;
        let words = line.strip_suffix(b"\0")?.split(|&byte| byte == 0);
        let called = cli::parse(words.map(|word| OsStr::from_bytes(word).to_owned())).ok()?;
        let (storing, drops) = match &called {
            Command::Append(args) => (args.storing(), args.storing().on_full == OnFull::Drop),
            Command::Exec(args) => (args.storing(), args.storing().on_full != OnFull::Retry),
            _ => return None,
        };
        let log = match storing.log.is_absolute() {
            true => storing.log.clone(),
            false => fs::read_link(format!("/proc/{pid}/cwd")).ok()?.join(&storing.log),
        };
        Some(Self {
            pid,
            log: plain(&log),
            since: started(pid),
            drops,
            needs: storing.metadata_len(),
            has: metadata_open_in(pid),
        })
    }
}

/// What every command of this tool calls itself.
pub(crate) const OURS: &str = "mmlogctl";

/// The most of a command line that is looked at, bytes.
const LONGEST: u64 = 1 << 20;

fn makers() -> impl Iterator<Item = Maker> {
    called().filter(|maker| maker.has.is_none())
}

/// Those that were called to append to a log.
fn called() -> impl Iterator<Item = Maker> {
    processes().into_iter().flatten().filter(|pid| *pid != std::process::id()).filter_map(Maker::of)
}

/// As a shell reads it.
fn directory_of(log: &Path) -> String {
    quoted(log.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

/// Also one that was removed.
fn metadata_open_in(pid: u32) -> Option<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
    let mut links = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    links.find(|link| link.to_string_lossy().trim_end_matches(" (deleted)").ends_with(mmlog::METADATA_SUFFIX))
}

/// Where its paths may lead to other files than ours. Of whom that cannot be seen, they are taken to lead to the same.
fn is_in_other_mounts(pid: u32) -> bool {
    let theirs = fs::read_link(format!("/proc/{pid}/ns/mnt"));
    theirs.is_ok_and(|theirs| fs::read_link("/proc/self/ns/mnt").is_ok_and(|ours| ours != theirs))
}

/// Without `.` and `..`, by its words alone.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

fn started(pid: u32) -> Option<SystemTime> {
    let ticks = began(pid)?;
    let up = clock_gettime(ClockId::Boottime);
    let up = Duration::new(up.tv_sec.try_into().ok()?, up.tv_nsec.try_into().ok()?);
    let at = Duration::from_millis(ticks.saturating_mul(1000) / clock_ticks_per_second().max(1));
    SystemTime::now().checked_sub(up.saturating_sub(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_compared_by_its_words() {
        for (typed, same) in
            [("/a/./b/../c.log", "/a/c.log"), ("/../c.log", "/c.log"), ("/a//c.log", "/a/c.log")]
        {
            assert_eq!(plain(Path::new(typed)), Path::new(same));
        }
    }
}
