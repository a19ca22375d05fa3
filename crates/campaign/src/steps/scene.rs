//! A log, the handles that others have on it, and everything that was appended: what stands around a victim.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use mmlog::layout::SLOT_BYTES;
use mmlog::sync::Ordering;
use mmlog::{Adopt, Follower, Log, Observer, Phase, Start, State, Wait, Writer};
use nix::fcntl::{FallocateFlags, FcntlArg, fallocate, fcntl};
use nix::libc;

use super::engine::{At, Victim};
use super::ledger::{Fate, Ledger, Left, Reading, message};
use super::metadata::{Metadata, path_of};
use super::operations::{Company, Found, Operation};
use super::{CHUNK, HANG, PATIENCE, options};

/// Bytes of the messages of everybody who is no victim; each is long enough to be itself.
const BEFORE: u64 = 53;
const HEAL: u64 = 83;
const AFTER: u64 = 71;
/// Bytes of the append of which a planted dead writer has stored half.
const DEAD: u64 = 200;

/// Who goes on after a kill.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Healer {
    /// One that had a slot all the time.
    Writer,
    /// One that had the log open, and claims a slot afterwards.
    Handle,
    /// One that comes afterwards.
    Newcomer,
}

impl Healer {
    pub(crate) const ALL: [Self; 3] = [Self::Writer, Self::Handle, Self::Newcomer];

    /// Whether it can be there while that operation begins.
    pub(crate) fn suits(self, operation: &Operation) -> bool {
        match self {
            Self::Writer => operation.found == Found::Log && !operation.alone,
            Self::Handle => operation.found == Found::Log,
            Self::Newcomer => true,
        }
    }
}

/// A victim, prepared for its operation.
pub(crate) struct Part {
    pub(crate) victim: Victim,
    operation: &'static Operation,
    /// Number of its first message.
    first: u64,
    /// The cursor at the operation's origin.
    cursor: u64,
}

/// One log and all who use it.
pub(crate) struct Scene {
    // The handles go before the directory does.
    handle: Option<Log>,
    pub(crate) writer: Option<Writer>,
    follower: Option<Follower>,
    reading: Reading,
    sleeper: Option<JoinHandle<mmlog::Result<Wait>>>,
    pub(crate) ledger: Ledger,
    pub(crate) log: PathBuf,
    found: Found,
    healer: Healer,
    gate_ms: u32,
    _directory: tempfile::TempDir,
}

impl Scene {
    /// Below that directory, as that operation finds it, with the future healer in its place.
    pub(crate) fn new(below: &Path, found: Found, healer: Healer, gate_ms: u32) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("log").tempdir_in(below)?;
        let mut scene = Self {
            handle: None,
            writer: None,
            follower: None,
            reading: Reading::default(),
            sleeper: None,
            ledger: Ledger::default(),
            log: directory.path().join("app.log"),
            found,
            healer,
            gate_ms,
            _directory: directory,
        };
        match found {
            Found::Nothing => {}
            Found::Data => {
                let id = scene.ledger.ids(1);
                std::fs::write(&scene.log, message(id, BEFORE))?;
                scene.ledger.note(id, BEFORE, Fate::Acknowledged(0));
            }
            Found::Log => scene.begin()?,
        }
        Ok(scene)
    }

    fn begin(&mut self) -> anyhow::Result<()> {
        self.come()?;
        self.append(BEFORE)?;
        self.append(BEFORE)?;
        if self.healer != Healer::Writer {
            self.writer = None;
        }
        if self.healer == Healer::Newcomer {
            self.handle = None;
        }
        self.follower = Some(options().open_reader(&self.log)?.follow(Start::Oldest)?);
        self.read_on()
    }

    /// A newcomer opens the log and gets a writer.
    fn come(&mut self) -> anyhow::Result<()> {
        let adopt = if self.found == Found::Data { Adopt::Existing } else { Adopt::Refuse };
        let log = options().adopt(adopt).gate_ms(self.gate_ms).open_or_create(&self.log)?;
        self.writer = Some(log.writer()?);
        self.handle = Some(log);
        Ok(())
    }

    /// The scene's writer appends, or somebody who comes only for this.
    pub(crate) fn append(&mut self, len: u64) -> anyhow::Result<()> {
        let id = self.ledger.ids(1);
        let bytes = message(id, len);
        let at = match (&mut self.writer, &self.handle) {
            (Some(writer), _) => writer.append(&bytes),
            (None, Some(log)) => log.writer()?.append(&bytes),
            (None, None) => options().open(&self.log)?.writer()?.append(&bytes),
        };
        self.ledger.note(id, len, at.as_ref().map_or(Fate::Failed, |at| Fate::Acknowledged(at.get())));
        at?;
        Ok(())
    }

    pub(crate) fn metadata(&self) -> anyhow::Result<Option<Metadata>> {
        Ok(Metadata::map(&self.log)?)
    }

    fn ready(&self) -> anyhow::Result<Metadata> {
        self.metadata()?.context("there is no metadata")
    }

    fn cursor(&self) -> anyhow::Result<u64> {
        Ok(self.metadata()?.map_or(0, |metadata| metadata.cursor()))
    }

    /// Starts a victim and lets it prepare itself.
    pub(crate) fn prepare(&mut self, operation: &'static Operation) -> anyhow::Result<Part> {
        let first = self.ledger.ids(2);
        let before = self.cursor()?;
        let victim = Victim::start(operation.name, &self.log, first)?;
        if operation.before > 0 {
            self.ledger.note(first, operation.before, Fate::Acknowledged(before));
        }
        Ok(Part { victim, operation, first, cursor: self.cursor()? })
    }

    /// Makes the situation in which the operation is to begin, up to its origin.
    pub(crate) fn arrange(&mut self, part: &mut Part) -> anyhow::Result<()> {
        // Space first: whoever comes to take too much of it settles the dead.
        let dead = if part.operation.dead { DEAD } else { 0 };
        if let Some(space) = part.operation.space {
            self.make_space(space + dead)?;
        }
        if part.operation.dead {
            self.plant_dead()?;
        }
        match part.operation.company {
            Company::Nobody => {}
            Company::Sleeper => self.put_to_sleep()?,
            Company::Taker => {
                let metadata = self.ready()?;
                while metadata.pending_of(part.victim.pid()).is_none() {
                    ensure!(part.victim.step()? == At::Inside, "it never was reserving");
                }
                let space = metadata.header().control.limit() - metadata.cursor();
                self.append(space)?;
            }
        }
        part.cursor = self.cursor()?;
        Ok(())
    }

    /// Leaves in a free slot what a writer leaves that is killed in the middle of its copy.
    fn plant_dead(&mut self) -> anyhow::Result<()> {
        self.extend(DEAD)?;
        let metadata = self.ready()?;
        let free = (0..).zip(metadata.slots()).find(|(slot, _)| hold_slot(&self.log, *slot).is_ok());
        let (index, slot) = free.context("all slots are taken")?;
        let (id, start) = (self.ledger.ids(1), metadata.cursor());
        slot.hot.begin(DEAD, start);
        metadata.header().high_water.slots.fetch_max(index + 1, Ordering::AcqRel);
        metadata.header().control.reserve(DEAD);
        slot.hot.copying(start);
        let half = message(id, DEAD / 2);
        File::options().write(true).open(&self.log)?.write_all_at(&half, start)?;
        self.ledger.note(id, DEAD, Fate::Killed(Left::Hole(start)));
        Ok(())
    }

    /// Lets that many bytes, and only that many, lie between the cursor and the limit.
    fn make_space(&mut self, space: u64) -> anyhow::Result<()> {
        self.extend(space)?;
        let metadata = self.ready()?;
        let too_much = metadata.header().control.limit() - metadata.cursor() - space;
        if too_much > 0 {
            self.append(too_much)?;
        }
        Ok(())
    }

    /// What a writer leaves that is killed after growing and before reserving: space.
    fn extend(&self, space: u64) -> anyhow::Result<()> {
        let metadata = self.ready()?;
        let control = &metadata.header().control;
        let needed = metadata.cursor() + space;
        if needed > control.limit() {
            let len = needed.next_multiple_of(CHUNK);
            let data = File::options().write(true).open(&self.log)?;
            fallocate(&data, FallocateFlags::empty(), 0, len.cast_signed())?;
            control.publish_size(len);
        }
        Ok(())
    }

    fn put_to_sleep(&mut self) -> anyhow::Result<()> {
        let metadata = self.ready()?;
        let want = &metadata.header().data_wake.want;
        want.store(0, Ordering::SeqCst);
        let mut follower = options().open_reader(&self.log)?.follow(Start::Newest)?;
        self.sleeper = Some(std::thread::spawn(move || follower.wait(HANG)));
        while want.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Kills the victim, and notes what it has left.
    pub(crate) fn kill(&mut self, part: &mut Part) -> anyhow::Result<()> {
        let left = self.left_by(part)?;
        part.victim.kill()?;
        if part.operation.message > 0 {
            self.ledger.note(part.first + 1, part.operation.message, Fate::Killed(left));
        }
        Ok(())
    }

    fn left_by(&self, part: &Part) -> anyhow::Result<Left> {
        let Some(metadata) = self.metadata()? else { return Ok(Left::Nothing) };
        let reserved = metadata.cursor() - part.cursor;
        let pending = metadata.pending_of(part.victim.pid());
        Ok(match pending.and_then(|pending| Some((pending.phase()?, pending.position()))) {
            _ if reserved == 0 || part.operation.found == Found::Data => Left::Nothing,
            _ if reserved != part.operation.message => bail!("it has reserved {reserved} bytes"),
            None => Left::Whole,
            Some((Phase::Reserving, _)) => Left::Nuls,
            Some((Phase::Waiting | Phase::Copying, at)) => Left::Hole(at),
        })
    }

    /// The victim has finished: its append is acknowledged.
    pub(crate) fn note_finished(&mut self, part: &Part) {
        if part.operation.message > 0 {
            self.ledger.note(part.first + 1, part.operation.message, Fate::Killed(Left::Whole));
        }
    }

    /// Somebody goes on: the next append succeeds, whatever was left. Returns how long it took.
    pub(crate) fn heal(&mut self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        if self.handle.is_none() {
            self.come().context("open after the kill")?;
        }
        self.append(HEAL).context("append after the kill")?;
        Ok(begun.elapsed())
    }

    /// All that must hold once somebody has gone on. Returns what does not. Nobody else uses the log any more, so
    /// nothing has to wait for anybody: `patience` catches a stuck log.
    pub(crate) fn check(&mut self, patience: Duration) -> Vec<String> {
        let mut violations = Vec::new();
        let mut claim = |what: &str, held: anyhow::Result<()>| {
            violations.extend(held.err().map(|e| format!("{what}: {e:#}")));
        };
        claim("a sleeping follower wakes", self.wake());
        claim("readers", self.read_all());
        claim("a newcomer appends", self.come().and_then(|()| self.append(AFTER)));
        claim("trim", self.trim(patience));
        claim("append after the trim", self.append(AFTER));
        claim("status", self.look());
        claim("readers at the end", self.read_all());
        claim("close", self.close());
        claim("at rest", self.rest());
        violations
    }

    fn wake(&mut self) -> anyhow::Result<()> {
        let Some(sleeper) = self.sleeper.take() else { return Ok(()) };
        let woken = sleeper.join().map_err(|_| anyhow!("it panicked"))??;
        ensure!(woken == Wait::Moved, "{woken:?}");
        Ok(())
    }

    /// The follower of before goes on.
    pub(crate) fn read_on(&mut self) -> anyhow::Result<()> {
        match &mut self.follower {
            Some(follower) => self.reading.go_on(follower),
            None => Ok(()),
        }
    }

    /// How far the follower of before has come.
    pub(crate) fn read_to(&self) -> u64 {
        self.reading.end()
    }

    fn read_all(&mut self) -> anyhow::Result<()> {
        let cursor = self.cursor()?;
        self.read_anew().and_then(|reading| self.ledger.verify(&reading, cursor)).context("a new one")?;
        self.read_on()?;
        if self.follower.is_some() {
            self.ledger.verify(&self.reading, cursor).context("the one of before")?;
        }
        Ok(())
    }

    fn read_anew(&self) -> anyhow::Result<Reading> {
        let mut reading = Reading::default();
        reading.go_on(&mut options().open_reader(&self.log)?.follow(Start::Oldest)?)?;
        Ok(reading)
    }

    fn trim(&mut self, patience: Duration) -> anyhow::Result<()> {
        let log = self.handle.as_ref().context("nobody has it open")?;
        let trimmed = log.trim(patience)?;
        let (cursor, len) = (log.cursor().get(), self.log.metadata()?.size());
        ensure!((trimmed.after, len) == (cursor, cursor), "{trimmed:?}, cursor {cursor}, file {len}");
        Ok(())
    }

    fn look(&self) -> anyhow::Result<()> {
        let status = Observer::open(&self.log, &options())?.look()?;
        let quiet = status.writers.iter().all(|w| w.alive && w.in_flight.is_none());
        let is_free = !status.lock.held && !status.maintenance.held && status.gate.is_none();
        let is_ok = matches!(status.state, State::Ok | State::FullSoon) && status.panic.is_none();
        ensure!(quiet && is_free && is_ok && status.watermark == status.cursor, "{status:?}");
        Ok(())
    }

    fn close(&mut self) -> anyhow::Result<()> {
        self.writer = None;
        match self.handle.take() {
            Some(log) => Ok(log.close()?),
            None => Ok(()),
        }
    }

    /// At rest the file is exactly what was appended.
    fn rest(&self) -> anyhow::Result<()> {
        let (cursor, file) = (self.cursor()?, std::fs::read(&self.log)?);
        ensure!(file.len() as u64 == cursor, "the file has {} bytes, the cursor is {cursor}", file.len());
        let reading = self.read_anew()?;
        self.ledger.verify(&reading, cursor)?;
        ensure!(reading.bytes == file, "the file is not what readers are given");
        Ok(())
    }
}

/// Takes the lock byte of a slot, as if its owner lived; until the file is closed.
pub(crate) fn hold_slot(log: &Path, slot: u32) -> anyhow::Result<File> {
    let file = File::options().read(true).write(true).open(path_of(log))?;
    let range = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: (SLOT_BYTES + u64::from(slot)).cast_signed(),
        l_len: 1,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_OFD_SETLK(&range))?;
    Ok(file)
}
