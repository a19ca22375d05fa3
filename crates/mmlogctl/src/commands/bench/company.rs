//! What a log has beside the writers that are measured: a high base, a longer ring, idle writers, a follower.
//! `--growth` shows what each of them costs an append, and idle writers a follower's look.

use std::fs::File;
use std::io;
use std::mem::offset_of;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use mmlog::layout::{Control, Header, Segment};
use mmlog::{Log, Next, Options, Start, Writer};

use super::engines;
use super::job::Job;
use super::measure::{Group, Row};
use super::place::Place;
use super::worker::{READY, nanoseconds};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::reading::metadata_of;

/// One thing that is not as in an ordinary row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Company {
    Nobody,
    /// The first position, a power of two.
    Base(u32),
    /// Chunks that a process may keep mapped.
    Ring(usize),
    /// Writers that are registered and append nothing.
    Idle(u32),
    /// A process that reads everything as it comes.
    Follower,
    /// One that is stopped.
    Stopped,
}

/// What `--growth` compares: the ordinary row first.
pub(super) const ALL: [Company; 12] = [
    Company::Nobody,
    Company::Base(32),
    Company::Base(48),
    Company::Base(60),
    Company::Ring(2),
    Company::Ring(16),
    Company::Ring(64),
    Company::Idle(10),
    Company::Idle(100),
    Company::Idle(1000),
    Company::Follower,
    Company::Stopped,
];

/// Looks of a follower in a run, each at one message.
const LOOKS: u32 = 1000;

impl Company {
    /// As it is shown, and told to a worker.
    pub(super) fn name(self) -> String {
        match self {
            Self::Nobody => String::new(),
            Self::Base(power) => format!("base=2^{power}"),
            Self::Ring(chunks) => format!("ring={chunks}"),
            Self::Idle(writers) => format!("idle={writers}"),
            Self::Follower => "follower".to_owned(),
            Self::Stopped => "stopped".to_owned(),
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        ALL.into_iter().find(|company| company.name() == name)
    }

    /// How everybody opens the log.
    pub(super) fn options(self) -> Options {
        match self {
            Self::Ring(chunks) => Log::options().ring_chunks(chunks),
            _ => Log::options(),
        }
    }
}

/// The rows of a follower's looks beside idle writers.
pub(super) fn looks(place: &Place, runs: usize) -> Result<Vec<Row>, String> {
    let mut rows: Vec<(u32, Row)> = [0, 10, 100, 1000].map(|idle| (idle, empty_row(idle))).into();
    for _ in 0..runs {
        for (idle, row) in &mut rows {
            let dir = place.fresh().map_err(|e| e.to_string())?;
            let mut times = look(&engines::data(&dir), *idle).map_err(|e| e.to_string())?;
            row.ns.push(times.iter().sum::<u64>() as f64 / f64::from(LOOKS));
            row.samples.append(&mut times);
        }
    }
    rows.iter_mut().for_each(|(_, row)| row.samples.sort_unstable());
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

fn empty_row(idle: u32) -> Row {
    let group = Group { size: 128, processes: 1, threads: 1 };
    let name = format!("look+idle={idle}");
    Row::new(name, group)
}

fn look(path: &Path, idle: u32) -> mmlog::Result<Vec<u64>> {
    let log = Log::options().open_or_create(path)?;
    let _idle = (0..idle).map(|_| log.writer()).collect::<mmlog::Result<Vec<Writer>>>()?;
    let (mut writer, mut follower) = (log.writer()?, log.follow(Start::Oldest)?);
    let mut buffer = vec![0; 4096];
    (0..LOOKS)
        .map(|_| {
            writer.append(&[b'x'; 128])?;
            let begun = Instant::now();
            follower.next(&mut buffer)?;
            Ok(nanoseconds(begun.elapsed()))
        })
        .collect()
}

/// Those who are at a log while others append.
pub(super) struct Guests {
    writers: Vec<Writer>,
    log: Log,
}

impl Guests {
    /// Makes the log what it is to be; nobody where it is an ordinary one.
    pub(super) fn arrive(job: &Job, dir: &Path) -> io::Result<Option<Self>> {
        if job.company == Company::Nobody {
            return Ok(None);
        }
        let path = engines::data(dir);
        let open = || job.company.options().open_or_create(&path).map_err(io::Error::other);
        let mut log = open()?;
        if let Company::Base(power) = job.company {
            log.close().map_err(io::Error::other)?;
            begin_at(&path, 1 << power)?;
            log = open()?;
        }
        let idle = if let Company::Idle(idle) = job.company { idle } else { 0 };
        let writers: mmlog::Result<_> = (0..idle).map(|_| log.writer()).collect();
        Ok(Some(Self { writers: writers.map_err(io::Error::other)?, log }))
    }

    /// The last ones to leave leave nothing behind the last byte.
    pub(super) fn leave(self) -> io::Result<()> {
        drop(self.writers);
        self.log.close().map_err(io::Error::other)
    }
}

/// Reads a log as it grows, for ever.
pub(super) fn follow(job: &Job, out: &mut Output) -> Result<Exit, Failure> {
    let log = job.company.options().open_reader(engines::data(&job.dir))?;
    let mut follower = log.follow(Start::Oldest)?;
    let mut buffer = vec![0; 1 << 20];
    out.line(READY)?;
    loop {
        // As `tail -f` does it.
        let now = follower.watermark()?;
        while follower.position() < now && !matches!(follower.next(&mut buffer)?, Next::CaughtUp) {}
        follower.wait(Duration::from_secs(1))?;
    }
}

/// Lets a log that nobody uses, and that has no byte, begin there.
fn begin_at(log: &Path, base: u64) -> io::Result<()> {
    let metadata = File::options().write(true).open(metadata_of(log))?;
    let control = offset_of!(Header, control);
    let words = [
        control + offset_of!(Control, base),
        control + offset_of!(Control, cursor),
        control + offset_of!(Control, limit),
        offset_of!(Header, segments) + offset_of!(Segment, base),
    ];
    words.iter().try_for_each(|&at| metadata.write_all_at(&base.to_ne_bytes(), at as u64))
}
