//! Looking at the log's directory.

use std::collections::{BTreeMap, HashSet};
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use mmlog::Log;

use super::Result;

pub(crate) struct Looks {
    directory: PathBuf,
    log: String,
    /// How many looks found so many files of segments: the current one, final ones, temporary and compressed ones.
    found: BTreeMap<u64, u64>,
    /// The final segments that were seen.
    seen: HashSet<String>,
    /// The longest file that was seen, and how many were longer than they may be.
    longest: u64,
    longer: HashSet<String>,
    may_have: u64,
    undone: HashSet<(&'static str, Option<SystemTime>)>,
}

impl Looks {
    /// At a log whose segments may have so many bytes.
    pub(crate) fn new(log: &Path, may_have: u64) -> Self {
        let directory = log.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let log = log.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (found, seen, longer) = (BTreeMap::new(), HashSet::new(), HashSet::new());
        Self {
            directory: directory.to_owned(),
            log,
            found,
            seen,
            longest: 0,
            longer,
            may_have,
            undone: HashSet::new(),
        }
    }

    pub(crate) fn look(&mut self) -> Result<()> {
        let files = self.files()?;
        *self.found.entry(files.len() as u64).or_default() += 1;
        for (name, stat) in files {
            self.longest = self.longest.max(stat.len());
            let is_current = name.is_empty();
            if !is_current && stat.len() > self.may_have {
                self.longer.insert(name.clone());
            }
            if !is_current {
                self.seen.insert(name);
            }
        }
        Ok(())
    }

    /// What is noted as not done, now and then.
    pub(crate) fn ask(&mut self, log: &Log) -> Result<()> {
        for undone in log.status()?.policy.undone {
            self.undone.insert((undone.what.map_or("unknown", |what| what.name()), undone.since));
        }
        Ok(())
    }

    /// What the files of segments have behind the log's name.
    fn files(&self) -> Result<Vec<(String, Metadata)>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let entry = entry?;
            if let Some(rest) = entry.file_name().to_string_lossy().strip_prefix(&self.log)
                && rest != mmlog::METADATA_SUFFIX
                && let Ok(stat) = entry.metadata()
            {
                files.push((rest.to_owned(), stat));
            }
        }
        Ok(files)
    }

    /// After how long nothing is left but what is kept and the current segment; `None`: not within 5 s.
    pub(crate) fn until_kept(&self, keep: u64) -> Result<Option<Duration>> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(5) {
            if self.files()?.len() as u64 <= keep + 1 {
                return Ok(Some(begun.elapsed()));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(None)
    }

    /// Against how many files there may be.
    pub(crate) fn summary(&self, files: u64) -> String {
        let looks: u64 = self.found.values().sum();
        let more: u64 = self.found.range(files + 1..).map(|(_, looks)| looks).sum();
        let most = self.found.last_key_value().map_or(0, |(most, _)| *most);
        let at_most = self.found.get(&most).copied().unwrap_or(0);
        let mut kinds: Vec<&str> = self.undone.iter().map(|(kind, _)| *kind).collect();
        kinds.sort_unstable();
        let kinds = kinds.join(", ");
        let Self { may_have, longest, longer, seen, .. } = self;
        format!(
            "{looks} looks: at most {most} files of segments ({at_most} times), more than {files} {more} times; \
             {} of {} segments seen above {may_have}, the longest {longest}; on record for a time: {}",
            longer.len(),
            seen.len(),
            if kinds.is_empty() { "nothing" } else { &kinds },
        )
    }
}
