//! The processes that meet a full disk or a limit. A signal ends them, and is seen as such.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use mmlog::{Fault, Log, Rotation, Writer};
use nix::libc;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

use crate::actor::{end_with_parent, listen, say};
use crate::oracle::{Acks, Scribe};
use crate::random::Random;

/// Catches a hang: who is short of space may take long to find that out.
const PATIENCE: Duration = Duration::from_secs(100);

/// How a log is opened here.
pub(super) fn options(chunk: u64) -> mmlog::Options {
    Log::options().chunk_size(chunk).ring_chunks(2).max_writers(64).wait(PATIENCE)
}

/// A log, a writer and the hand that notes what it appends.
struct Desk<'a> {
    log: Log,
    writer: Writer,
    scribe: Scribe<'a>,
    random: Random,
    acknowledged: u64,
}

impl<'a> Desk<'a> {
    fn open(log: &str, chunk: u64, acks: &'a Acks, id: u32) -> mmlog::Result<Self> {
        let log = options(chunk).open_or_create(log)?;
        let writer = log.writer()?;
        let (scribe, random) = (Scribe::new(acks, id), Random::new(id.into()));
        Ok(Self { log, writer, scribe, random, acknowledged: 0 })
    }

    fn append(&mut self, len: usize) -> mmlog::Result<()> {
        self.scribe.append(&mut self.writer, len)?;
        self.acknowledged += 1;
        Ok(())
    }

    /// Mostly stores through a mapping, sometimes a `pwrite`.
    fn append_any(&mut self) -> mmlog::Result<()> {
        let len = match self.random.below(50) {
            0 => 16_000 + self.random.below(9000),
            _ => 1 + self.random.below(3000),
        };
        self.append(len as usize)
    }

    /// Appends until there was no space so many times.
    fn fill(&mut self, fulls: u64) -> mmlog::Result<()> {
        let mut seen = 0;
        while seen < fulls {
            match self.append_any() {
                Err(e) if matches!(e.fault(), Fault::NoSpace { .. }) => seen += 1,
                done => done?,
            }
        }
        Ok(())
    }

    /// Makes a final segment; a full disk is told apart.
    fn rotate(&self) -> mmlog::Result<bool> {
        match self.log.rotate(&Rotation::default().wait(PATIENCE)) {
            Err(e) if matches!(e.fault(), Fault::NoSpace { .. }) => Ok(false),
            done => done.map(|_| true),
        }
    }

    /// Ends the writer, then the handle, which trims.
    fn close(self) -> mmlog::Result<()> {
        drop(self.writer);
        self.log.close()
    }
}

/// Role: `LOG ACKS ID CHUNK guarded|bare`. Does what it is told, and says how many messages it has had acknowledged.
pub(super) fn writer(arguments: &[String]) -> anyhow::Result<()> {
    end_with_parent()?;
    let [log, acks, id, chunk, guard] = arguments else { bail!("five arguments") };
    if guard == "guarded" {
        mmlog::guard_against_sigbus()?;
    }
    let acks = Acks::open(Path::new(acks))?;
    let mut desk = Desk::open(log, chunk.parse()?, &acks, id.parse()?)?;
    say("open");
    while let Some(line) = listen()? {
        let (what, number) = line.split_once(' ').unwrap_or((&line, "0"));
        let number = number.parse()?;
        match what {
            "fill" => desk.fill(number)?,
            "append" => (0..number).try_for_each(|_| desk.append_any())?,
            // So many, as far as there is space for them.
            "rotate" => (0..number).try_for_each(|_| desk.rotate().map(drop))?,
            // There is space for it.
            "surely-rotate" => ensure!(desk.rotate()?, "no space for a page"),
            "trim" => desk.log.trim(Duration::from_secs(30)).map(drop)?,
            other => bail!("told to {other}"),
        }
        say(desk.acknowledged);
    }
    Ok(desk.close()?)
}

/// Role: `LOG CHUNK`. Creates a log where there may be no space; says `created` or what is wrong.
pub(super) fn creator(arguments: &[String]) -> anyhow::Result<()> {
    end_with_parent()?;
    let [log, chunk] = arguments else { bail!("two arguments") };
    match options(chunk.parse()?).open_or_create(log).and_then(Log::close) {
        Ok(()) => say("created"),
        Err(e) if matches!(e.fault(), Fault::NoSpace { .. }) => say(e),
        Err(e) => return Err(e.into()),
    }
    Ok(())
}

/// Sets the soft limit only, so that it can be lifted again.
fn limit(resource: Resource, soft: u64) -> anyhow::Result<()> {
    let (_, hard) = getrlimit(resource)?;
    Ok(setrlimit(resource, soft.min(hard), hard)?)
}

/// Role: `LOG ACKS`. Segments under a file size limit, and rotations where not even a page can be had.
pub(super) fn file_size_rotated(arguments: &[String]) -> anyhow::Result<()> {
    end_with_parent()?;
    let [log, acks] = arguments else { bail!("two arguments") };
    let acks = Acks::open(Path::new(acks))?;
    let mut desk = Desk::open(log, 64 << 10, &acks, 0)?;
    limit(Resource::RLIMIT_FSIZE, 256 << 10)?;
    for _ in 0..8 {
        desk.fill(3)?;
        ensure!(desk.rotate()?, "no rotation at the limit");
    }
    // A page and no chunk, then not even a page.
    for (most, fits) in [(4096, true), (4095, false), (0, false)] {
        limit(Resource::RLIMIT_FSIZE, 256 << 10)?;
        desk.append(500)?;
        limit(Resource::RLIMIT_FSIZE, most)?;
        ensure!(desk.rotate()? == fits, "a rotation under a limit of {most}");
    }
    limit(Resource::RLIMIT_FSIZE, RLIM_INFINITY)?;
    (0..500).try_for_each(|_| desk.append_any()).context("after the limit was lifted")?;
    ensure!(desk.rotate()?, "no rotation without a limit");
    Ok(desk.close()?)
}

/// Role: `LOG ACKS`. A file size limit that comes and goes.
pub(super) fn file_size(arguments: &[String]) -> anyhow::Result<()> {
    const CHUNK: u64 = 64 << 10;
    end_with_parent()?;
    let [log, acks] = arguments else { bail!("two arguments") };
    let acks = Acks::open(Path::new(acks))?;
    let mut desk = Desk::open(log, CHUNK, &acks, 0)?;
    limit(Resource::RLIMIT_FSIZE, 1 << 20)?;
    desk.fill(20)?;
    let cursor = desk.log.cursor()?.get();
    ensure!(cursor > (1 << 20) - 3000, "full at {cursor}, the limit is 1 MiB");
    limit(Resource::RLIMIT_FSIZE, RLIM_INFINITY)?;
    let before = desk.acknowledged;
    (0..500).try_for_each(|_| desk.append_any()).context("after the limit was lifted")?;
    ensure!(desk.acknowledged == before + 500, "the writer did not go on");
    // Below what the file has: stores through a mapping go on, a `pwrite` is refused.
    limit(Resource::RLIMIT_FSIZE, 1 << 20)?;
    let long = desk.append(20_000).map_err(|e| e.to_string());
    ensure!(long.is_err(), "a pwrite behind the limit");
    for _ in 0..20 {
        if let Err(e) = desk.append(100) {
            ensure!(matches!(e.fault(), Fault::NoSpace { .. }), "{e}");
        }
    }
    limit(Resource::RLIMIT_FSIZE, RLIM_INFINITY)?;
    desk.append(20_000)?;
    say(desk.acknowledged);
    Ok(desk.close()?)
}

/// Role: `LOG ACKS`. A file size limit below what others have made of the file: each large message is refused.
pub(super) fn confined(arguments: &[String]) -> anyhow::Result<()> {
    end_with_parent()?;
    let [log, acks] = arguments else { bail!("two arguments") };
    let acks = Acks::open(Path::new(acks))?;
    let mut desk = Desk::open(log, 1 << 20, &acks, 9)?;
    limit(Resource::RLIMIT_FSIZE, 4096)?;
    for _ in 0..30 {
        match desk.append(20_000) {
            Err(e) if matches!(e.fault(), Fault::NoSpace { .. }) => {}
            done => bail!("a pwrite behind the limit: {:?}", done.map_err(|e| e.to_string())),
        }
    }
    limit(Resource::RLIMIT_FSIZE, RLIM_INFINITY)?;
    desk.append(20_000).context("after the limit was lifted")?;
    say(desk.acknowledged);
    Ok(desk.close()?)
}

/// Whether that is an error of the limit: names its errno, whatever was tried.
fn is_errno(fault: &Fault, errno: i32) -> bool {
    matches!(fault, Fault::Io { source, .. } if source.raw_os_error() == Some(errno))
}

/// Opens, appends, reads, looks, closes; what came of it.
fn visit(log: &str, chunk: u64, acks: &Acks, id: u32) -> mmlog::Result<()> {
    let mut desk = Desk::open(log, chunk, acks, id)?;
    for len in [100, 5000, 50_000] {
        desk.append(len)?;
    }
    let reader = options(chunk).open_reader(log)?;
    let mut follower = reader.follow(mmlog::Start::Oldest)?;
    follower.next(&mut [0; 4096])?;
    reader.status()?;
    desk.close()
}

/// Under each of these limits a visit succeeds or fails with that errno; without a limit it always succeeds.
fn sweep(
    arguments: &[String],
    resource: Resource,
    errno: i32,
    chunk: u64,
    softs: impl Iterator<Item = u64>,
) -> anyhow::Result<()> {
    end_with_parent()?;
    let [log, acks] = arguments else { bail!("two arguments") };
    let acks = Acks::open(Path::new(acks))?;
    let (mut good, mut bad, mut id) = (0, 0, 0..);
    let mut next = || id.next().context("an id");
    visit(log, chunk, &acks, next()?).context("before the sweep")?;
    for soft in softs {
        let id = next()?;
        limit(resource, soft)?;
        let done = visit(log, chunk, &acks, id);
        limit(resource, RLIM_INFINITY)?;
        match done {
            Ok(()) => good += 1,
            Err(e) if is_errno(e.fault(), errno) => bad += 1,
            Err(e) => bail!("under a limit of {soft}: {e}"),
        }
        visit(log, chunk, &acks, next()?).with_context(|| format!("after a limit of {soft}"))?;
    }
    ensure!(good > 0 && bad > 0, "the sweep missed the limit: {good} good, {bad} bad");
    say(good + bad);
    Ok(())
}

/// Role: `LOG ACKS`. Each number of file descriptors that is too small, and some that are not.
pub(super) fn descriptors(arguments: &[String]) -> anyhow::Result<()> {
    sweep(arguments, Resource::RLIMIT_NOFILE, libc::EMFILE, 64 << 10, 3..16)
}

/// Role: `LOG ACKS`. Address space for the heap, but not for all mappings.
pub(super) fn address_space(arguments: &[String]) -> anyhow::Result<()> {
    const CHUNK: u64 = 8 << 20;
    // Not a multiple of the step: what is left beside the mappings is the same at each step, and has to do for the heap.
    const HEAP: u64 = 3 << 19;
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split(' ').next().context("statm")?.parse()?;
    let now = pages * 4096 + HEAP;
    sweep(arguments, Resource::RLIMIT_AS, libc::ENOMEM, CHUNK, (0..24).map(|step| now + step * (CHUNK / 8)))
}
