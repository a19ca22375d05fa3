//! Watches a child that works through hostile headers.

use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::exercise::{COUNTS, Progress, STAGES};
use crate::children;

/// A row of headers.
pub(super) struct Shift {
    pub(super) seed: u64,
    pub(super) first: u64,
    pub(super) count: u64,
    pub(super) directory: PathBuf,
    /// What the child does wrong on purpose; empty for nothing.
    pub(super) control: &'static str,
    /// For one stage of one header.
    pub(super) deadline: Duration,
}

/// What came of a shift.
pub(super) struct Report {
    pub(super) counts: Vec<u64>,
    pub(super) violations: Vec<String>,
}

/// After so many deaths the rest is left.
const DEATHS: usize = 50;

impl Shift {
    /// Starts children until all headers are done; one that dies or stalls is followed by another.
    pub(super) fn watch(&self) -> Result<Report> {
        let mut report = Report { counts: vec![0; COUNTS.len()], violations: Vec::new() };
        let (mut next, end) = (self.first, self.first + self.count);
        for _ in 0..DEATHS {
            if next >= end {
                return Ok(report);
            }
            next = self.one_child(next, end - next, &mut report)?;
        }
        report.violations.push(format!("{DEATHS} children died; headers {next} to {end} were left"));
        Ok(report)
    }

    /// Returns the number behind the last header that it came to.
    fn one_child(&self, first: u64, count: u64, report: &mut Report) -> Result<u64> {
        let directory = self.directory.display().to_string();
        let arguments =
            [self.seed.to_string(), first.to_string(), count.to_string(), directory, self.control.into()];
        let (out, err) = (self.directory.join("stdout"), self.directory.join("stderr"));
        let progress = self.directory.join("progress");
        let _ = fs::remove_file(&progress);
        let mut command = children::role("hostile", &arguments)?;
        command.stdout(File::create(&out)?).stderr(File::create(&err)?);
        let mut child = command.spawn().context("start a child")?;
        let ended = self.wait(&mut child, &progress)?;
        let words = Progress::read(&progress).unwrap_or_default();
        let [number, stage, counts @ ..] = &words[..] else {
            anyhow::bail!("the child did not begin: {}", text(&err))
        };
        report.counts.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n);
        let replay = |number: &str| {
            format!(
                "replay: campaign role hostile -- {} {number} 1 EMPTY_DIRECTORY '{}'",
                self.seed, self.control
            )
        };
        for line in text(&out).lines() {
            let number = line.split(' ').next().unwrap_or_default();
            report.violations.push(format!("header {line}; {}", replay(number)));
        }
        let Some(how) = ended else { return Ok(first + count) };
        let stage = STAGES.get(*stage as usize).unwrap_or(&"?");
        let said = text(&err).lines().last().unwrap_or_default().to_string();
        report
            .violations
            .push(format!("header {number} {how} in {stage}: {said}; {}", replay(&number.to_string())));
        Ok(number + 1)
    }

    /// How the child ended, if not well.
    fn wait(&self, child: &mut Child, progress: &std::path::Path) -> Result<Option<String>> {
        let (mut seen, mut since) = (None, Instant::now());
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok((!status.success()).then(|| format!("ended with {status}")));
            }
            let now =
                Progress::read(progress).ok().map(|words| (words.first().copied(), words.get(1).copied()));
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
            if since.elapsed() > self.deadline {
                child.kill()?;
                child.wait()?;
                return Ok(Some("stalls".into()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn text(path: &std::path::Path) -> String {
    let mut bytes = Vec::new();
    let _ = File::open(path).and_then(|mut file| file.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}
