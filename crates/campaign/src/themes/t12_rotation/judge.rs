//! What must be there in the end: the files, by name, one behind the other, are every acknowledged line exactly once,
//! each writer's in its order; every reader was given the same; what was final has not changed.
//!
//! No line has a NUL, so NULs are what killed writers have left: holes.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use mmlog::{Log, check};

use super::stage::{Stage, read_line};
use crate::oracle::{Seals, Segments, open};

/// Where pruned segments are kept.
pub(super) const ARCHIVE: &str = "archive";

/// So many tell enough.
const MOST: usize = 10;

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) lines: u64,
    pub(super) bytes: u64,
    pub(super) segments: u64,
    /// Rotations whose segments were noted as they returned.
    pub(super) seals: u64,
    /// Whole, and not acknowledged: their writers were killed.
    pub(super) unacknowledged: u64,
    /// Bytes that readers were told are pruned.
    pub(super) pruned: u64,
    pub(super) wrong: Vec<String>,
}

/// The lines of some files, one behind the other, without NULs.
struct Lines {
    files: std::vec::IntoIter<PathBuf>,
    reading: Option<BufReader<Box<dyn Read>>>,
    line: Vec<u8>,
}

impl Lines {
    fn of(files: Vec<PathBuf>) -> Self {
        Self { files: files.into_iter(), reading: None, line: Vec::new() }
    }

    /// The next line of this file, or the first of the next one; empty at the end.
    fn next(&mut self) -> io::Result<&[u8]> {
        self.line.clear();
        while self.line.is_empty() {
            let Some(reading) = &mut self.reading else {
                let Some(path) = self.files.next() else { break };
                self.reading = Some(BufReader::with_capacity(1 << 18, open(&path)?));
                continue;
            };
            if reading.read_until(b'\n', &mut self.line)? == 0 {
                self.reading = None;
            }
            self.line.retain(|&byte| byte != 0);
        }
        Ok(&self.line)
    }
}

/// What may be missing.
pub(super) enum Wants<'a> {
    Everything,
    /// Writers were killed, each may have left one line unacknowledged.
    Killed,
    /// Segments were pruned, which are kept there; readers may miss what they were told of.
    Pruned(&'a Path),
}

/// Looks at a log at rest.
pub(super) fn judge(
    log: &Path,
    stage: &Stage,
    seals: &Seals,
    readers: &[(&str, &Path)],
    wants: &Wants<'_>,
) -> anyhow::Result<Found> {
    let mut found = Found::default();
    let segments = Segments::look(log)?;
    let base = Log::options().open_reader(log)?.status()?.base;
    found.segments = segments.finals.len() as u64;
    found.wrong.extend(segments.check(base));
    let others = segments.others.iter().filter(|other| **other != ARCHIVE);
    found.wrong.extend(others.map(|other| format!("beside the log lies {other}")));
    if segments.has_next {
        found.wrong.push("a temporary file is left".into());
    }
    found.wrong.extend(check::deep(log, &Log::options())?.violations.iter().map(ToString::to_string));
    let kept = match wants {
        Wants::Pruned(archive) => Segments::look(&archive.join(log.file_name().unwrap_or_default()))?.finals,
        _ => segments.finals,
    };
    let files: Vec<PathBuf> = kept.into_iter().map(|f| f.path).chain([log.to_path_buf()]).collect();
    found.check_lines(&files, stage, matches!(wants, Wants::Killed))?;
    for (name, output) in readers {
        match wants {
            Wants::Pruned(_) => found.compare_told(&files, name, output)?,
            _ => found.compare(&files, name, output)?,
        }
    }
    for seal in seals.all()?.iter().filter(|_| !matches!(wants, Wants::Pruned(_))) {
        found.seals += 1;
        found.wrong.extend(seal.holds().err().map(|e| format!("{e:#}")));
    }
    found.wrong.truncate(MOST);
    Ok(found)
}

impl Found {
    fn check_lines(&mut self, files: &[PathBuf], stage: &Stage, killed: bool) -> anyhow::Result<()> {
        let mut next: HashMap<u32, u64> = HashMap::new();
        let mut lines = Lines::of(files.to_vec());
        while self.wrong.len() < MOST {
            let line = lines.next()?;
            if line.is_empty() {
                break;
            }
            self.lines += 1;
            self.bytes += line.len() as u64;
            let Some((writer, number)) = read_line(line) else {
                let text = String::from_utf8_lossy(&line[..line.len().min(60)]).into_owned();
                self.wrong.push(format!("line {} is nobody's, or split: {text:?}", self.lines));
                continue;
            };
            let expected = next.insert(writer, number + 1).unwrap_or(0);
            if number != expected {
                self.wrong.push(format!("writer {writer}: line {number} follows, {expected} should"));
            }
        }
        for writer in 0..super::stage::MOST_WRITERS as u32 {
            let (there, told) = (next.get(&writer).copied().unwrap_or(0), stage.acknowledged(writer));
            self.unacknowledged += there.saturating_sub(told);
            if there < told || there > told + u64::from(killed) {
                self.wrong
                    .push(format!("writer {writer}: {there} lines are there, {told} were acknowledged"));
            }
        }
        Ok(())
    }

    /// A reader's output is what the files have, but for the ranges that it was told are pruned.
    fn compare_told(&mut self, files: &[PathBuf], name: &str, output: &Path) -> anyhow::Result<()> {
        let (mut whole, mut told) = (Vec::new(), Vec::new());
        for path in files {
            open(path)?.read_to_end(&mut whole)?;
        }
        for line in std::fs::read_to_string(output.with_extension("told"))?.lines() {
            let range = line.split_once("positions ").and_then(|(_, rest)| rest.split_once(" are pruned"));
            match range.and_then(|(range, _)| range.split_once(" to ")) {
                Some((from, to)) => told.push((from.parse::<usize>()?, to.parse::<usize>()?)),
                None => self.wrong.push(format!("the {name} reader said {line:?}")),
            }
        }
        let (got, mut expected, mut at) = (std::fs::read(output)?, Vec::new(), 0);
        for (from, to) in told {
            self.pruned += (to - from) as u64;
            expected.extend_from_slice(whole.get(at..from).unwrap_or_default());
            at = to;
        }
        expected.extend_from_slice(whole.get(at..).unwrap_or_default());
        if got != expected {
            let same = got.iter().zip(&expected).take_while(|(a, b)| a == b).count();
            let (got, expected) = (got.len(), expected.len());
            self.wrong.push(format!(
                "the {name} reader got {got} bytes, {expected} were not said to be pruned; they differ from {same} on"
            ));
        }
        Ok(())
    }

    /// A reader's output is what the files have.
    fn compare(&mut self, files: &[PathBuf], name: &str, output: &Path) -> anyhow::Result<()> {
        let (mut are, mut read) = (Lines::of(files.to_vec()), Lines::of(vec![output.to_path_buf()]));
        for number in 1u64.. {
            let (is, got) = (are.next()?, read.next()?);
            if is != got {
                let [is, got] =
                    [is, got].map(|l| String::from_utf8_lossy(&l[..l.len().min(40)]).into_owned());
                self.wrong.push(format!("the {name} reader, line {number}: got {got:?}, there is {is:?}"));
            }
            if is.is_empty() || is != got {
                break;
            }
        }
        Ok(())
    }
}
