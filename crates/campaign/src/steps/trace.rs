//! A reference run of an operation, instruction by instruction: which of them tell anything to other processes.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use mmlog::layout::GATE;
use mmlog::sync::Ordering;

use super::engine::{At, Landmark, Point, Victim};
use super::metadata::{Metadata, path_of};
use crate::oracle::Segments;
use crate::random::Random;

/// Bytes behind the cursor that are watched; larger messages go by system calls, which are noticed anyway.
const WINDOW: usize = 1024;

/// One instruction of the operation.
struct Step {
    point: Point,
    /// A shared word, a watched byte or a file changed, or a system call was made.
    telling: bool,
    /// Where the next instruction is, and how often this was the next one since the last system call.
    address: u64,
    visits: u32,
}

/// In the words of a state.
const GIVEN_UP: &str = "given up";

/// A breakpoint is as dear as that many steps.
const HIT: u32 = 4;
/// Instructions of the program itself are that near to where it is loaded.
const PROGRAM: u64 = 1 << 28;

/// An operation from its origin to its end.
pub(crate) struct Trace {
    steps: Vec<Step>,
    /// The first point at which the log is in that state, in words.
    pub(crate) states: BTreeMap<String, Point>,
}

impl Trace {
    /// Takes the victim from its origin to the end of its operation.
    pub(crate) fn record(victim: &mut Victim, log: &Path) -> anyhow::Result<Self> {
        let mut watch = Watch::new(log)?;
        let (mut calls, mut visits) = (HashMap::new(), HashMap::new());
        let mut trace =
            Self { steps: Vec::new(), states: BTreeMap::from([(watch.state(), Point::default())]) };
        let (mut point, mut telling) = (Point::default(), true);
        loop {
            let address = victim.address()?;
            let is_call = match calls.get(&address) {
                Some(&known) => known,
                None => *calls.entry(address).or_insert(victim.is_call(address)?),
            };
            let visits_here = visits.entry(address).or_insert(0);
            *visits_here += 1;
            trace.steps.push(Step { point, telling, address, visits: *visits_here });
            if victim.step()? == At::Mark {
                return Ok(trace);
            }
            if is_call {
                point = Point { calls: point.calls + 1, steps: 0 };
                visits.clear();
            } else {
                point.steps += 1;
            }
            telling = watch.has_changed(is_call)? || is_call;
            if telling {
                trace.states.entry(watch.state()).or_insert(point);
            }
        }
    }

    /// The quickest way to a point of this trace, if stepping all the way is slower.
    pub(crate) fn landmark(&self, to: Point) -> Option<Landmark> {
        let index = self.steps.binary_search_by_key(&to, |step| step.point).ok()?;
        let first = index - to.steps as usize;
        let near = self.steps[first + 1..=index].iter().rev().take(4096);
        let ways = near.filter(|step| step.address < PROGRAM).map(|step| Landmark {
            address: step.address,
            hits: step.visits,
            rest: to.steps - step.point.steps,
        });
        let cost = |way: &Landmark| HIT * way.hits + way.rest;
        ways.min_by_key(cost).filter(|way| cost(way) < to.steps)
    }

    /// The first point at which segments are given up, and still there.
    pub(crate) fn gives_up(&self) -> Option<Point> {
        self.states.iter().find(|(state, _)| state.contains(GIVEN_UP)).map(|(_, point)| *point)
    }

    /// Every instruction.
    pub(crate) fn all(&self) -> Vec<Point> {
        self.steps.iter().map(|step| step.point).collect()
    }

    /// The points just behind an instruction that tells something, and just before it.
    pub(crate) fn telling(&self) -> Vec<Point> {
        let next = |i: usize| self.steps.get(i + 1).is_some_and(|step| step.telling);
        let chosen = self.steps.iter().enumerate().filter(|(i, step)| step.telling || next(*i));
        chosen.map(|(_, step)| step.point).collect()
    }

    /// That many of the others.
    pub(crate) fn others(&self, count: u64, random: &mut Random) -> Vec<Point> {
        let telling = self.telling();
        let mut rest: Vec<Point> =
            self.all().into_iter().filter(|point| telling.binary_search(point).is_err()).collect();
        choose(&mut rest, count as usize, random);
        rest
    }
}

/// Keeps that many, in a random order.
pub(crate) fn choose<T>(from: &mut Vec<T>, count: usize, random: &mut Random) {
    for i in 0..from.len().min(count) {
        let other = i + random.below((from.len() - i) as u64) as usize;
        from.swap(i, other);
    }
    from.truncate(count);
}

/// What other processes can see of a log.
struct Watch {
    log: PathBuf,
    metadata: Option<Metadata>,
    words: Vec<u64>,
    files: [Option<(u64, u64)>; 2],
    data: Option<File>,
    /// Length of the next segment's file.
    next: Option<u64>,
    /// Names of the data file.
    links: u64,
    /// Where the oldest final segment begins.
    oldest: Option<u64>,
    from: u64,
    window: Vec<u8>,
}

impl Watch {
    fn new(log: &Path) -> anyhow::Result<Self> {
        let mut watch = Self {
            log: log.to_path_buf(),
            metadata: None,
            words: Vec::new(),
            files: [None, None],
            data: None,
            next: None,
            links: 1,
            oldest: None,
            from: 0,
            window: Vec::new(),
        };
        watch.look_at_files()?;
        watch.from = watch.metadata.as_ref().map_or(0, Metadata::cursor);
        watch.has_changed(false)?;
        Ok(watch)
    }

    /// Inodes and lengths; both change by system calls only.
    fn look_at_files(&mut self) -> anyhow::Result<bool> {
        let look = |path: &Path| path.symlink_metadata().ok().map(|m| (m.ino(), m.len()));
        let now = [look(&path_of(&self.log)), look(&self.log)];
        let mut next = path_of(&self.log).into_os_string();
        next.push("-next");
        self.next = look(next.as_ref()).map(|(_, len)| len);
        self.links = self.log.symlink_metadata().map_or(1, |m| m.nlink());
        self.oldest = Segments::look(&self.log)?.finals.first().map(|oldest| oldest.base);
        if now == self.files {
            return Ok(false);
        }
        self.files = now;
        self.metadata = Metadata::map(&self.log)?;
        self.data = File::open(&self.log).ok();
        Ok(true)
    }

    fn has_changed(&mut self, after_call: bool) -> anyhow::Result<bool> {
        let files = after_call && self.look_at_files()?;
        let words = match &self.metadata {
            Some(metadata) if !metadata.words().eq(self.words.iter().copied()) => {
                self.words = metadata.words().collect();
                true
            }
            _ => false,
        };
        let mut window = [0; WINDOW];
        let base = self.metadata.as_ref().map_or(0, |metadata| metadata.header().control.base());
        let from = self.from.saturating_sub(base);
        let len = self.data.as_ref().map_or(Ok(0), |data| data.read_at(&mut window, from))?;
        let bytes = self.window != window[..len];
        if bytes {
            self.window = window[..len].to_vec();
        }
        Ok(files || words || bytes)
    }

    /// What somebody who comes now has to deal with, in words. States that differ only in numbers are one.
    fn state(&self) -> String {
        let Some(metadata) = &self.metadata else {
            let len = |file: Option<(u64, u64)>| match file {
                None => "missing",
                Some((_, 0)) => "empty",
                Some(_) => "there",
            };
            return format!("metadata {}, data {}", len(self.files[0]), len(self.files[1]));
        };
        let header = metadata.header();
        let control = &header.control;
        let load = |word: &mmlog::sync::AtomicU64| word.load(Ordering::Relaxed);
        let (size, limit) = (load(&control.file_size), load(&control.limit));
        let data_len = self.files[1].map_or(0, |(_, len)| len);
        let phases: Vec<String> =
            metadata.slots().iter().filter_map(|s| s.hot.pending().phase()).map(|p| p.to_string()).collect();
        let mut parts = phases;
        let mut note = |is: bool, what: &str| parts.extend(is.then(|| what.to_string()));
        note(control.version.load(Ordering::Relaxed) == 0, "no version");
        note(control.is_ready.load(Ordering::Relaxed) == 0, "not ready");
        note(control.is_locked.load(Ordering::Relaxed) != 0, "locked");
        note(load(&control.cursor) & GATE != 0, "gate closed");
        note(load(&header.journal.kind) != 0, "journal");
        note(data_len > size, "file longer");
        note(data_len < size, "file shorter");
        note(limit != load(&control.base) + size, "limit differs");
        let inode = self.files[1].map_or(0, |(inode, _)| inode);
        note(load(&header.identity.inode) != inode, "exchanged");
        note(self.next.is_some(), "next file");
        note(self.links > 1, "two names");
        note(self.oldest.is_some_and(|oldest| oldest < load(&header.kept.first)), GIVEN_UP);
        parts.join(", ")
    }
}
