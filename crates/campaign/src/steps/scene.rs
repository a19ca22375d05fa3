//! A log, the handles that others have on it, and everything that was appended: what stands around a victim.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, bail};
use mmlog::layout::SLOT_BYTES;
use mmlog::{Adopt, Follower, Log, Options, Phase, Position, Rotated, Rotation, Start, Wait, Writer};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::engine::Victim;
use super::ledger::{Fate, Ledger, Left, Reading, message};
use super::metadata::{Metadata, path_of};
use super::operations::{FEW, Found, Operation, policy};
use super::{PATIENCE, options};
use crate::children::WithoutForks;
use crate::oracle::Seal;

/// Bytes of the messages that are there before.
pub(super) const BEFORE: u64 = 53;

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

/// How a scene is set.
#[derive(Clone, Copy)]
pub(crate) struct Setting<'a> {
    /// The directory in which it gets its own.
    pub(crate) below: &'a Path,
    pub(crate) healer: Healer,
    /// How long a drain may take, milliseconds: nearly for ever, or hardly at all.
    pub(crate) gate_ms: u32,
    /// How long its handles wait for others.
    pub(crate) wait: Duration,
    /// Whether there is a writer besides, who is to leave.
    pub(crate) leaver: bool,
}

impl<'a> Setting<'a> {
    /// Nobody is in a hurry, so that what a victim does depends on no clock.
    pub(crate) fn patient(below: &'a Path, healer: Healer) -> Self {
        Self { below, healer, gate_ms: 60_000, wait: PATIENCE, leaver: false }
    }
}

/// A victim, prepared for its operation.
pub(crate) struct Part {
    pub(crate) victim: Victim,
    pub(crate) operation: &'static Operation,
    /// Number of its first message.
    first: u64,
    /// The cursor at the operation's origin.
    cursor: u64,
}

/// One log and all who use it.
pub(crate) struct Scene {
    // The handles go before the directory does.
    pub(super) handle: Option<Log>,
    pub(super) writer: Option<Writer>,
    /// A writer who is to leave; without a slot by now if nobody may have one.
    pub(crate) leaver: Option<(Log, Option<Writer>)>,
    pub(super) follower: Option<Follower>,
    pub(super) reading: Reading,
    pub(super) sleeper: Option<JoinHandle<mmlog::Result<Wait>>>,
    pub(crate) ledger: Ledger,
    pub(crate) log: PathBuf,
    /// The first position.
    pub(super) base: u64,
    /// Final segments; they may not change any more.
    pub(super) seals: Vec<Seal>,
    pub(super) found: Found,
    /// How many final segments the log's policy keeps, if it has one.
    pub(super) keep: Option<u64>,
    gate_ms: u32,
    pub(super) wait: Duration,
    _directory: tempfile::TempDir,
    _without_forks: Option<WithoutForks>,
}

impl Scene {
    /// A log as that operation finds it, with the future healer in its place.
    pub(crate) fn new(setting: &Setting<'_>, operation: &Operation) -> anyhow::Result<Self> {
        let (found, without_forks) = (operation.found, operation.leases().then(WithoutForks::begin));
        let directory = tempfile::Builder::new().prefix("log").tempdir_in(setting.below)?;
        let mut scene = Self {
            handle: None,
            writer: None,
            leaver: None,
            follower: None,
            reading: Reading::default(),
            sleeper: None,
            ledger: Ledger::default(),
            log: directory.path().join("app.log"),
            base: 0,
            seals: Vec::new(),
            found,
            keep: operation.keep,
            gate_ms: setting.gate_ms,
            wait: setting.wait,
            _directory: directory,
            _without_forks: without_forks,
        };
        match found {
            Found::Nothing => {}
            Found::Data => {
                let id = scene.ledger.ids(1);
                std::fs::write(&scene.log, message(id, BEFORE))?;
                scene.ledger.note(id, BEFORE, Fate::Acknowledged(0));
            }
            Found::Log => {
                scene.begin(setting)?;
                scene.follower = Some(scene.options().open_reader(&scene.log)?.follow(Start::Oldest)?);
                scene.read_on()?;
            }
            Found::Damaged(damage) => {
                scene.begin(setting)?;
                damage.inflict(&mut scene)?;
            }
        }
        Ok(scene)
    }

    fn begin(&mut self, setting: &Setting<'_>) -> anyhow::Result<()> {
        self.come()?;
        self.append(BEFORE)?;
        self.append(BEFORE)?;
        if self.keep.is_some() {
            self.begin_segments(2)?;
        }
        if setting.leaver && self.found == Found::Log {
            let log = self.options().open(&self.log)?;
            let writer = log.writer()?;
            self.leaver = Some((log, (setting.healer == Healer::Writer).then_some(writer)));
        }
        if setting.healer != Healer::Writer {
            self.writer = None;
        }
        if setting.healer == Healer::Newcomer {
            self.handle = None;
        }
        Ok(())
    }

    /// So many more final segments.
    pub(super) fn begin_segments(&mut self, count: u32) -> anyhow::Result<()> {
        for _ in 0..count {
            self.rotate(PATIENCE)?;
            self.append(BEFORE)?;
        }
        Ok(())
    }

    /// How everybody here but the victims opens the log.
    pub(crate) fn options(&self) -> Options {
        let adopt = if self.found == Found::Data { Adopt::Existing } else { Adopt::Refuse };
        options().gate_ms(self.gate_ms).wait(self.wait).adopt(adopt)
    }

    /// The handle that was there all the time.
    pub(crate) fn handle(&self) -> anyhow::Result<&Log> {
        self.handle.as_ref().context("nobody has it open")
    }

    /// A newcomer opens the log and gets a writer.
    pub(crate) fn come(&mut self) -> mmlog::Result<()> {
        let log = self.options().open_or_create(&self.log)?;
        self.writer = Some(log.writer()?);
        self.handle = Some(log);
        Ok(())
    }

    /// The scene's writer appends, or somebody who comes only for this.
    pub(crate) fn append(&mut self, len: u64) -> mmlog::Result<()> {
        match (self.writer.take(), self.handle.take()) {
            (Some(mut writer), handle) => {
                let done = self.append_by(&mut writer, len);
                (self.writer, self.handle) = (Some(writer), handle);
                done
            }
            (None, Some(handle)) => {
                let done = handle.writer().and_then(|mut writer| self.append_by(&mut writer, len));
                self.handle = Some(handle);
                done
            }
            (None, None) => self.append_by(&mut self.options().open(&self.log)?.writer()?, len),
        }
    }

    /// Appends a message that nobody has appended before, and notes what became of it.
    pub(crate) fn append_by(&mut self, writer: &mut Writer, len: u64) -> mmlog::Result<()> {
        let id = self.ledger.ids(1);
        let done = writer.append(&message(id, len)).map(Position::get);
        self.ledger.note(id, len, done.as_ref().map_or(Fate::Failed, |&at| Fate::Acknowledged(at)));
        done.map(drop)
    }

    /// Somebody rotates, whoever is there; the segment is final from then on.
    pub(crate) fn rotate_within(&mut self, wait: Duration) -> anyhow::Result<Option<Rotated>> {
        let newcomer = self.handle.is_none().then(|| self.options().open(&self.log)).transpose()?;
        let log = self.handle.as_ref().or(newcomer.as_ref()).context("nobody has it open")?;
        let rotated = log.rotate(&Rotation::default().wait(wait))?;
        if let Some(rotated) = &rotated {
            self.seals.push(Seal::of(&rotated.path)?);
        }
        Ok(rotated)
    }

    /// Of a log that has a policy: fewer segments are kept.
    pub(super) fn keep_few(&self) -> anyhow::Result<()> {
        if self.keep.is_some() {
            self.handle()?.set_policy(|rules| *rules = policy(FEW), self.wait)?;
        }
        Ok(())
    }

    pub(super) fn rotate(&mut self, patience: Duration) -> anyhow::Result<()> {
        self.rotate_within(patience)?.map(drop).context("there was nothing to rotate")
    }

    pub(crate) fn metadata(&self) -> anyhow::Result<Option<Metadata>> {
        Ok(Metadata::map(&self.log)?)
    }

    pub(crate) fn ready(&self) -> anyhow::Result<Metadata> {
        self.metadata()?.context("there is no metadata")
    }

    pub(super) fn cursor(&self) -> anyhow::Result<u64> {
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

    /// The operation begins here: whatever is reserved from now on is the victim's.
    pub(crate) fn begins(&self, part: &mut Part) -> anyhow::Result<()> {
        part.cursor = self.cursor()?;
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
        if part.operation.message == 0 || metadata.cursor() == part.cursor {
            return Ok(Left::Nothing);
        }
        let reserved = metadata.cursor() - part.cursor;
        let pending = metadata.pending_of(part.victim.pid());
        Ok(match pending.and_then(|pending| Some((pending.phase()?, pending.position()))) {
            _ if reserved != part.operation.message => bail!("it has reserved {reserved} bytes"),
            None => Left::Whole,
            Some((Phase::Reserving, _)) => Left::Nuls,
            Some((Phase::Waiting | Phase::Copying, at)) => Left::Hole(at),
        })
    }

    /// Lets the victim finish: its append is acknowledged.
    pub(crate) fn finish(&mut self, part: &mut Part) -> anyhow::Result<()> {
        part.victim.finish()?;
        if part.operation.message > 0 {
            self.ledger.note(part.first + 1, part.operation.message, Fate::Killed(Left::Whole));
        }
        Ok(())
    }
}

/// Takes the lock byte of a slot, as if its owner lived; until the file is closed.
pub(crate) fn hold_slot(log: &Path, slot: u32) -> anyhow::Result<File> {
    let file = File::options().read(true).write(true).open(path_of(log))?;
    fcntl(&file, FcntlArg::F_OFD_SETLK(&byte_of(slot)))?;
    Ok(file)
}

/// Whether nobody has that slot. Only asked, not tried: a child that another thread forks would keep what was taken
/// until it executes its program.
pub(crate) fn is_slot_free(log: &Path, slot: u32) -> anyhow::Result<bool> {
    let (file, mut range) = (File::options().read(true).write(true).open(path_of(log))?, byte_of(slot));
    fcntl(&file, FcntlArg::F_OFD_GETLK(&mut range))?;
    Ok(range.l_type == libc::F_UNLCK as libc::c_short)
}

fn byte_of(slot: u32) -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: (SLOT_BYTES + u64::from(slot)).cast_signed(),
        l_len: 1,
        l_pid: 0,
    }
}
