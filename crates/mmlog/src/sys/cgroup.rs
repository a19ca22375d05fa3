//! Whether a process is frozen by a control group, of either version: then no signal reaches it, not even `kill -9`.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::holders::read_proc;
use super::mounts;

/// How long it is believed in which groups a process is.
const BELIEVED: Duration = Duration::from_secs(10);

/// A control group that keeps processes from running.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Freezer {
    /// Its directory.
    pub group: PathBuf,
    /// What thaws it is written there, and what that is.
    pub thawed_by: (PathBuf, &'static str),
}

/// A group that a process is in, and the one that all of its kind are in.
#[derive(Clone)]
struct Group {
    root: PathBuf,
    path: PathBuf,
    is_v2: bool,
}

/// Who is in which group, as far as it was asked.
#[derive(Default)]
pub(crate) struct Groups {
    of: HashMap<u32, (Vec<Group>, Instant)>,
    /// Of each group, within one look.
    frozen: HashMap<PathBuf, Option<Freezer>>,
    roots: Option<Vec<(PathBuf, bool)>>,
}

impl Groups {
    /// Before each look.
    pub(crate) fn look_anew(&mut self) {
        self.frozen.clear();
        self.of.retain(|_, (_, at)| at.elapsed() < BELIEVED);
    }

    /// Who keeps that process of this PID namespace from running.
    pub(crate) fn freezer_of(&mut self, pid: u32) -> Option<Freezer> {
        let roots = self.roots.get_or_insert_with(roots);
        if roots.is_empty() {
            return None;
        }
        let (groups, _) = self.of.entry(pid).or_insert_with(|| (groups_of(pid, roots), Instant::now()));
        let frozen = &mut self.frozen;
        groups
            .iter()
            .find_map(|group| frozen.entry(group.path.clone()).or_insert_with(|| frozen_by(group)).clone())
    }
}

/// Where the hierarchies that can freeze are mounted, and whether they are of version 2.
fn roots() -> Vec<(PathBuf, bool)> {
    mounts::control_groups().into_iter().filter(|(at, is_v2)| *is_v2 || at.ends_with("freezer")).collect()
}

fn groups_of(pid: u32, roots: &[(PathBuf, bool)]) -> Vec<Group> {
    let lines = read_proc(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let parsed = lines.split(|&b| b == b'\n').filter_map(|line| {
        let mut fields = line.splitn(3, |&b| b == b':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let is_v2 = controllers.is_empty();
        let can_freeze = is_v2 || controllers.split(|&b| b == b',').any(|name| name == b"freezer");
        let path = Path::new(OsStr::from_bytes(path)).strip_prefix("/").ok()?;
        // Of a group outside this namespace's, nothing is to be seen.
        let is_here = !path.components().any(|part| part.as_os_str() == "..");
        let (root, _) = roots.iter().find(|(_, kind)| *kind == is_v2)?;
        (can_freeze && is_here).then(|| Group { root: root.clone(), path: root.join(path), is_v2 })
    });
    parsed.collect()
}

/// The highest of its groups that is told to freeze, if it is frozen.
fn frozen_by(group: &Group) -> Option<Freezer> {
    let says = |file: PathBuf, word: &str| {
        fs::read_to_string(file).is_ok_and(|text| text.lines().any(|line| line.trim_end() == word))
    };
    let (state, frozen, asked, one, thawed) = match group.is_v2 {
        true => ("cgroup.events", "frozen 1", "cgroup.freeze", "1", ("cgroup.freeze", "0")),
        false => ("freezer.state", "FROZEN", "freezer.self_freezing", "1", ("freezer.state", "THAWED")),
    };
    if !says(group.path.join(state), frozen) {
        return None;
    }
    let above = group.path.ancestors().take_while(|dir| dir.starts_with(&group.root));
    let by = above.filter(|dir| says(dir.join(asked), one)).last().unwrap_or(&group.path);
    Some(Freezer { group: by.to_path_buf(), thawed_by: (by.join(thawed.0), thawed.1) })
}
