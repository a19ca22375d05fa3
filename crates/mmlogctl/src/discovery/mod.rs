//! Which logs there are: those that processes have open or are to make, and those that lie below directories.

mod tree;

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use mmlog::units::{agree, listed};
use mmlog::{
    FileKey, Holder, OpenLog, OpenLogs, Sight, Stray, explain_removed, file_keys, open_logs, quoted,
    stray_metadata,
};

use crate::exit::printable;
use crate::reading::metadata_of;
use crate::text::clipped;
use crate::unmade::{OURS, is_missing, unmade};
use crate::who;

/// The most columns of how a process was called.
const TITLE: usize = 40;

/// A log that there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its data file.
    pub path: PathBuf,
    /// Whether that is its path here.
    pub sight: Sight,
    /// Who has it open, as far as one may see; `None` where that was not looked for.
    pub holders: Option<Vec<Holder>>,
}

/// Where to look for logs.
#[derive(Clone, Debug)]
pub struct Search {
    /// Below these directories.
    pub directories: Vec<PathBuf>,
    /// Also those that processes have open.
    pub processes: bool,
    /// Also below what is mounted in the directories.
    pub crossing: bool,
}

/// The logs that there are, as far as one may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Each once, by path.
    pub found: Vec<Found>,
    /// What could not be read, and why.
    pub unread: Vec<(PathBuf, String)>,
    /// So many processes could not be looked at.
    pub unseen: usize,
    /// What else keeps one from seeing all, in words.
    pub limits: Vec<String>,
    /// Metadata that is another name, or a copy, of that of a log beside it: no log.
    pub strays: Vec<(PathBuf, Stray)>,
}

impl Search {
    /// For those that processes have open.
    #[must_use]
    pub const fn of_processes() -> Self {
        Self { directories: Vec::new(), processes: true, crossing: false }
    }

    /// Looks for them. Nothing is opened but directories.
    #[must_use]
    pub fn run(&self) -> Census {
        let mut census = Census::default();
        for directory in &self.directories {
            let here = tree::logs_below(directory, self.crossing, &mut census.unread);
            let found = here.into_iter().map(|path| Found { path, sight: Sight::Here, holders: None });
            census.found.extend(found);
        }
        census.found.sort_by(|a, b| a.path.cmp(&b.path));
        census.found.dedup_by(|a, b| a.path == b.path);
        if self.processes {
            census.take(open_logs());
        }
        census.set_strays_aside();
        self.add_missing(&mut census);
        census.found.sort_by(|a, b| (&a.path, a.sight).cmp(&(&b.path, b.sight)));
        census.found.dedup_by(|a, b| a.path == b.path && a.sight == b.sight && a.holders == b.holders);
        census
    }

    /// Logs that have no metadata at their paths: somebody is to make it, or has it open still. They are looked for below the
    /// directories, too, where no file tells of them.
    fn add_missing(&self, census: &mut Census) {
        let directories: Vec<PathBuf> =
            self.directories.iter().filter_map(|directory| directory.canonicalize().ok()).collect();
        let is_wanted =
            |log: &Path| self.processes || directories.iter().any(|directory| log.starts_with(directory));
        if !self.processes {
            let is_one = |log: &OpenLog| is_removed(log.sight, &log.path) && is_wanted(&log.path);
            let removed = open_logs().logs.into_iter().filter(is_one);
            let here = |log: OpenLog| Found { path: log.path, sight: Sight::Here, holders: None };
            census.found.extend(removed.map(here));
        }
        for path in unmade().into_iter().filter(|log| is_wanted(log)) {
            let holders = self.processes.then(Vec::new);
            if !census.found.iter().any(|found| found.path == path && found.sight == Sight::Here) {
                census.found.push(Found { path, sight: Sight::Here, holders });
            }
        }
    }
}

/// Whether nothing is at the path of a log whose metadata was removed: then it is known there what becomes of it.
fn is_removed(sight: Sight, log: &Path) -> bool {
    sight == Sight::Deleted && is_missing(log) && explain_removed(log).is_some()
}

impl Census {
    /// A log that lies below a directory keeps the path that leads there from it.
    fn take(&mut self, open: OpenLogs) {
        let metadata: Vec<PathBuf> = self.found.iter().map(|found| metadata_of(&found.path)).collect();
        let keys = file_keys(metadata.iter().map(PathBuf::as_path));
        let known: HashMap<FileKey, usize> =
            keys.into_iter().enumerate().filter_map(|(i, key)| Some((key?, i))).collect();
        // What an append of this tool has open under odd names is listed by how that was called.
        let is_unmade = |log: &OpenLog| {
            log.sight == Sight::Here && is_missing(&log.path) && log.holders.iter().all(|h| h.command == OURS)
        };
        for log in open.logs.into_iter().filter(|log| !is_unmade(log)) {
            match log.metadata.and_then(|key| known.get(&key)) {
                Some(i) if log.sight != Sight::Deleted => {
                    self.found[*i].holders.get_or_insert_default().extend(log.holders);
                }
                _ => {
                    let sight = if is_removed(log.sight, &log.path) { Sight::Here } else { log.sight };
                    self.found.push(Found { path: log.path, sight, holders: Some(log.holders) });
                }
            }
        }
        self.found
            .iter_mut()
            .for_each(|found| found.holders = Some(found.holders.take().unwrap_or_default()));
        (self.unseen, self.limits) = (open.unseen, open.limits);
    }

    /// Metadata beside no data file may be that of another log, which is listed once, with who has either open.
    fn set_strays_aside(&mut self) {
        let is_one = |found: &Found| {
            found.sight == Sight::Here
                && found.path.symlink_metadata().is_err_and(|e| e.kind() == ErrorKind::NotFound)
        };
        for found in self.found.extract_if(.., |found| is_one(found)).collect::<Vec<_>>() {
            let Some(stray) = stray_metadata(&found.path) else {
                self.found.push(found);
                continue;
            };
            let log = stray.log().to_path_buf();
            if !matches!(stray, Stray::Renamed(_)) {
                self.strays.push((found.path, stray));
            }
            let known = self.found.iter_mut().find(|known| known.sight == Sight::Here && known.path == log);
            match (known, found.holders) {
                (Some(known), Some(holders)) => known.holders.get_or_insert_default().extend(holders),
                (Some(_), None) => {}
                (None, holders) => self.found.push(Found { path: log, sight: Sight::Here, holders }),
            }
        }
    }

    /// What there may be besides, in sentences.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.limits.clone();
        notes.extend(self.strays.iter().map(|(path, stray)| {
            format!(
                "{}; `mmlogctl status {}` says what to do",
                stray.said_of(&metadata_of(path)),
                quoted(path)
            )
        }));
        if self.unseen > 0 {
            let (n, processes) = (self.unseen, agree(self.unseen as u64, "process", "processes"));
            let text = "could not be looked at and may have more logs open; run as root to see them";
            notes.push(format!("{n} {processes} {text}"));
        }
        notes
    }
}

/// `4312 (nginx-log), 4313 (web) and 2 more`.
#[must_use]
pub fn named(holders: &[Holder]) -> String {
    let called = |h: &Holder| {
        let called = who::command_line(h.pid);
        clipped(&printable(if called.is_empty() { &h.command } else { &called }), TITLE)
    };
    let names = holders.iter().map(|h| format!("{} ({})", h.pid, called(h)));
    match holders {
        [] => "nobody".to_owned(),
        _ => listed(&names.collect::<Vec<_>>()),
    }
}

/// Whether a file's name is one of metadata; then the log's.
pub(crate) fn log_of(metadata: &Path) -> Option<PathBuf> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let bytes = metadata.as_os_str().as_bytes();
    let log = bytes.strip_suffix(mmlog::METADATA_SUFFIX.as_bytes())?;
    (!log.is_empty() && !log.ends_with(b"/")).then(|| PathBuf::from(OsStr::from_bytes(log)))
}
