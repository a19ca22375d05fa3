//! One run of one theme: its seed, its size, what it counted and found.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Seek};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::children;
use crate::random::Random;

/// How much of the CI size is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size(pub(crate) f64);

impl Size {
    /// `at_ci`, scaled; at least 1.
    pub(crate) fn of(self, at_ci: u64) -> u64 {
        ((at_ci as f64 * self.0) as u64).max(1)
    }
}

/// Handed to a theme.
pub(crate) struct Run {
    pub(crate) seed: u64,
    pub(crate) size: Size,
    pub(crate) random: Random,
    pub(crate) tally: Tally,
}

impl Run {
    pub(crate) fn new(id: &'static str, about: &'static str, seed: u64, size: Size) -> Self {
        Self { seed, size, random: Random::new(seed), tally: Tally::new(id, about) }
    }

    /// Counts what was done: "kills", "messages", "images".
    pub(crate) fn count(&mut self, what: &'static str, n: u64) {
        *self.tally.counts.entry(what).or_default() += n;
    }

    /// Something that must hold does not. The text names the numbers; the seed is added.
    pub(crate) fn violation(&mut self, what: impl Into<String>) {
        let what = format!("{} (seed {})", what.into(), self.seed);
        println!("{} VIOLATION: {what}", self.tally.id);
        self.tally.violations.push(what);
    }

    /// A part that cannot run here, and why.
    pub(crate) fn skipped(&mut self, why: impl Into<String>) {
        let why = why.into();
        println!("{} SKIPPED: {why}", self.tally.id);
        self.tally.skipped.push(why);
    }

    /// A control must fail: `caught` says whether it did.
    pub(crate) fn control(&mut self, name: &str, caught: bool) {
        self.count("controls caught", caught.into());
        if !caught {
            self.violation(format!("control not caught: {name}"));
        }
    }

    /// Lets a role work at its own pace and takes what it prints, a line each: `count 3 kills` (of the known `counts`),
    /// `skipped` and why; anything else is a violation, and so is an end that is no success.
    pub(crate) fn delegate(
        &mut self,
        context: &str,
        mut role: Command,
        deadline: Duration,
        counts: &[&'static str],
    ) -> anyhow::Result<()> {
        let mut said = tempfile::tempfile()?;
        let mut child = role.stdin(Stdio::null()).stdout(said.try_clone()?).spawn()?;
        let ended = children::wait(&mut child, deadline)?;
        if ended.is_none() {
            child.kill()?;
            child.wait()?;
        }
        said.rewind()?;
        for line in io::read_to_string(said)?.lines() {
            let counted = line.strip_prefix("count ").and_then(|rest| rest.split_once(' '));
            let known = counted.and_then(|(n, what)| Some((n, counts.iter().find(|known| **known == what)?)));
            match (known, line.strip_prefix("skipped ")) {
                (Some((n, what)), _) => self.count(what, n.parse()?),
                (None, Some(why)) => self.skipped(format!("{context}: {why}")),
                (None, None) => self.violation(format!("{context}: {line}")),
            }
        }
        match ended {
            Some(status) if status.success() => {}
            Some(status) => self.violation(format!("{context}: ended with {status}")),
            None => self.violation(format!("{context}: hangs")),
        }
        Ok(())
    }

    /// A directory of its own on the disk (`/tmp`), or in memory (`/dev/shm`).
    pub(crate) fn directory(&self, place: Place) -> std::io::Result<tempfile::TempDir> {
        place.directory()
    }
}

/// Where a log lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Disk,
    Memory,
}

impl Place {
    /// A new directory there.
    pub(crate) fn directory(self) -> std::io::Result<tempfile::TempDir> {
        tempfile::Builder::new().prefix("campaign").tempdir_in(self.path())
    }

    fn path(self) -> PathBuf {
        match self {
            Self::Disk => std::env::temp_dir(),
            Self::Memory => PathBuf::from("/dev/shm"),
        }
    }
}

/// What a theme counted and found.
pub(crate) struct Tally {
    id: &'static str,
    about: &'static str,
    counts: BTreeMap<&'static str, u64>,
    pub(crate) violations: Vec<String>,
    skipped: Vec<String>,
    pub(crate) took: Duration,
}

impl Tally {
    pub(crate) fn new(id: &'static str, about: &'static str) -> Self {
        let (counts, violations, skipped) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self { id, about, counts, violations, skipped, took: Duration::ZERO }
    }

    pub(crate) fn add(&mut self, other: Self) {
        other.counts.into_iter().for_each(|(what, n)| *self.counts.entry(what).or_default() += n);
        self.violations.extend(other.violations);
        self.skipped
            .extend(other.skipped.into_iter().filter(|s| !self.skipped.contains(s)).collect::<Vec<_>>());
        self.took += other.took;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:4} {:14} {:6.1} s", self.id, self.about, self.took.as_secs_f64())?;
        self.counts.iter().try_for_each(|(what, n)| write!(f, "  {n} {what}"))?;
        write!(f, "  {} violations", self.violations.len())?;
        if !self.skipped.is_empty() {
            write!(f, "  {} SKIPPED ({})", self.skipped.len(), self.skipped.join("; "))?;
        }
        Ok(())
    }
}
