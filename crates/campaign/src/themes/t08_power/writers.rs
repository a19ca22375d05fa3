//! The processes that write while the power is cut.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail};
use mmlog::{Log, Policy, Rotation, Writer};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use super::notes::{Note, Notebook, Stage, Word};
use crate::actor::{self, Actor};
use crate::disks::hide_boot_id;
use crate::random::Random;

/// Small chunks: growth, and messages over several chunks, all the time.
pub(super) const CHUNK: u64 = 64 << 10;

/// Catches a hang: a sync may take long on a busy machine.
const PATIENCE: Duration = Duration::from_secs(100);

/// How the logs of this theme are opened.
pub(super) fn options() -> mmlog::Options {
    Log::options().chunk_size(CHUNK).ring_chunks(2).max_writers(64).wait(PATIENCE)
}

/// What is written to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Subject {
    /// A log.
    Log,
    /// A log that rotates by its policy and keeps no final segment.
    KeepsNone,
    /// One that keeps the newest.
    KeepsOne,
    /// A plain file with one writer, synced by `fdatasync`: shows that the engine itself loses nothing.
    Plain,
}

impl Subject {
    /// How many final segments its policy keeps; `None` without one.
    pub(super) fn keeps(self) -> Option<u64> {
        match self {
            Self::KeepsNone => Some(0),
            Self::KeepsOne => Some(1),
            Self::Log | Self::Plain => None,
        }
    }

    /// The policy, of segments of so many chunks.
    fn policy(self, chunks: u64) -> Option<Policy> {
        let rotate_size = Some(chunks * CHUNK);
        self.keeps().map(|keep| Policy { rotate_size, keep: Some(keep), ..Policy::default() })
    }
}

/// When a writer syncs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Syncs {
    /// The log, after a few messages.
    Often,
    /// The log, after many messages.
    Rarely,
    /// What it wrote itself.
    Own,
    /// Each message, by `append_durable`.
    Each,
    Never,
    /// Notes a sync that it does not make. For the control.
    Faked,
}

macro_rules! words {
    ($type:ident: $($variant:ident),*) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self, f)
            }
        }
        impl FromStr for $type {
            type Err = anyhow::Error;
            fn from_str(word: &str) -> anyhow::Result<Self> {
                match word {
                    $(stringify!($variant) => Ok(Self::$variant),)*
                    other => bail!("{other} is no {}", stringify!($type)),
                }
            }
        }
    };
}
pub(super) use words;
words!(Subject: Log, KeepsNone, KeepsOne, Plain);
words!(Syncs: Often, Rarely, Own, Each, Never, Faked);

/// One round's writers.
pub(super) struct Crew<'a> {
    log: PathBuf,
    stage: &'a Stage,
    subject: Subject,
    seed: u64,
    blind: bool,
    writers: Vec<(Syncs, Actor)>,
    started: u64,
}

impl<'a> Crew<'a> {
    /// Writers numbered from `first` on; `blind` ones cannot read the boot id.
    pub(super) fn start(
        log: &Path,
        stage: &'a Stage,
        (subject, each): (Subject, &[Syncs]),
        seed: u64,
        first: u64,
        blind: bool,
    ) -> anyhow::Result<Self> {
        let log = log.to_path_buf();
        let mut crew = Self { log, stage, subject, seed, blind, writers: Vec::new(), started: first };
        for &syncs in each {
            let actor = crew.writer(syncs)?;
            crew.writers.push((syncs, actor));
        }
        Ok(crew)
    }

    fn writer(&mut self, syncs: Syncs) -> anyhow::Result<Actor> {
        let id = self.started;
        self.started += 1;
        let (log, stage) = (self.log.display(), self.stage.directory().display());
        let (subject, seed, blind) = (&self.subject, self.seed ^ id << 40, &self.blind);
        Actor::start("t08-writer", &[&log, &stage, &id, subject, &syncs, &seed, blind])
    }

    /// Kills one of the writers, wherever it is, and starts another in its place.
    pub(super) fn kill_one(&mut self, random: &mut Random) -> anyhow::Result<()> {
        let victim = random.below(self.writers.len() as u64) as usize;
        let syncs = self.writers[victim].0;
        let successor = self.writer(syncs)?;
        self.writers[victim].1 = successor;
        Ok(())
    }

    /// Waits until that many messages were begun, or nobody writes any more.
    pub(super) fn until_taken(&mut self, taken: u64) -> anyhow::Result<()> {
        while self.stage.get(Word::Taken) < taken {
            for (syncs, writer) in &mut self.writers {
                if let Some(status) = writer.has_ended()? {
                    bail!("a writer ({syncs}) ended early: {status}");
                }
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    /// Waits for all to end; an error if one failed.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        for (syncs, mut writer) in self.writers {
            let status = writer.end()?;
            if !status.success() {
                bail!("a writer ({syncs}) failed: {status}");
            }
        }
        Ok(())
    }
}

/// What a writer writes to.
enum Target {
    Log(Log, Box<Writer>),
    Plain(File, u64),
}

impl Target {
    fn open(subject: Subject, path: &Path) -> anyhow::Result<Self> {
        Ok(match subject {
            Subject::Plain => {
                let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
                File::open(path.parent().context("a directory")?)?.sync_all()?;
                // Behind what an earlier life has left there.
                let end = file.metadata()?.len();
                Self::Plain(file, end)
            }
            subject => {
                let options = options();
                let options = match subject.policy(1) {
                    Some(policy) => options.policy(&policy),
                    None => options,
                };
                let log = options.open_or_create(path)?;
                let writer = Box::new(log.writer()?);
                Self::Log(log, writer)
            }
        })
    }

    fn append(&mut self, message: &[u8], syncs: Syncs) -> anyhow::Result<u64> {
        Ok(match self {
            Self::Log(_, writer) if syncs == Syncs::Each => writer.append_durable(message)?.get(),
            Self::Log(_, writer) => writer.append(message)?.get(),
            Self::Plain(file, end) => {
                let at = *end;
                file.write_all_at(message, at)?;
                *end += message.len() as u64;
                at
            }
        })
    }

    fn watermark(&self) -> anyhow::Result<u64> {
        Ok(match self {
            Self::Log(log, _) => log.watermark()?.get(),
            Self::Plain(_, end) => *end,
        })
    }

    fn sync(&mut self, syncs: Syncs) -> anyhow::Result<Option<Note>> {
        let below = match (self, syncs) {
            (_, Syncs::Never | Syncs::Each) => return Ok(None),
            (target, Syncs::Faked) => target.watermark()?,
            (Self::Log(_, writer), Syncs::Own) => {
                writer.sync()?;
                return Ok(Some(Note::SyncedOwn));
            }
            (Self::Log(log, _), _) => log.sync()?.get(),
            (Self::Plain(file, end), _) => {
                file.sync_data()?;
                *end
            }
        };
        Ok(Some(Note::Synced { below }))
    }
}

/// Role: appends, syncs, notes; `LOG STAGE ID SUBJECT SYNCS SEED BLIND`.
pub(super) fn role(arguments: &[String]) -> anyhow::Result<()> {
    actor::end_with_parent()?;
    let [log, stage, id, subject, syncs, seed, blind] = arguments else { bail!("seven arguments") };
    if blind.parse()? {
        hide_boot_id()?;
    }
    let stage = Stage::open(Path::new(stage))?;
    let (id, syncs) = (id.parse()?, syncs.parse()?);
    let subject: Subject = subject.parse()?;
    let mut target = Target::open(subject, Path::new(log))?;
    let mut notebook = stage.notebook(id)?;
    if let Target::Log(log, _) = &target {
        let opened = Note::opened(log)?;
        notebook.note(stage.get(Word::Clock), opened)?;
    }
    let mut random = Random::new(seed.parse()?);
    let every = if syncs == Syncs::Rarely { 60 } else { 6 };
    for number in 0.. {
        if !permit(&stage) {
            break;
        }
        let at = target.append(&stage.message(id, number), syncs)?;
        let appended =
            if syncs == Syncs::Each { Note::Durable { at, number } } else { Note::Appended { at, number } };
        notebook.note(stage.get(Word::Clock), appended)?;
        if random.below(every) == 0
            && let Some(note) = target.sync(syncs)?
        {
            notebook.note(stage.get(Word::Clock), note)?;
        }
        if random.below(8) == 0 {
            nudge((&target, subject), Path::new(log), &mut random, &stage, &mut notebook)?;
        }
    }
    Ok(())
}

/// Waits for a permit to append one message; false at the end.
fn permit(stage: &Stage) -> bool {
    let mine = stage.raise(Word::Taken, 1);
    while mine >= stage.get(Word::Permits) && mine < stage.get(Word::End) {
        std::thread::sleep(Duration::from_micros(200));
    }
    mine < stage.get(Word::End)
}

/// What else happens to a log: the kernel writes one of its files back for reasons of its own, somebody trims it, rotates
/// it, or changes its policy.
fn nudge(
    (target, subject): (&Target, Subject),
    path: &Path,
    random: &mut Random,
    stage: &Stage,
    notebook: &mut Notebook,
) -> anyhow::Result<()> {
    let at = target.watermark()?;
    notebook.note(stage.get(Word::Clock), Note::Watermark { at })?;
    let Target::Log(log, _) = target else { return Ok(()) };
    match random.below(6) {
        5 if let Some(policy) = subject.policy(1 + random.below(2)) => {
            log.set_policy(|old| *old = policy, Duration::from_secs(30))?;
        }
        0 => {
            log.trim(Duration::from_secs(30))?;
        }
        4 | 5 => {
            log.rotate(&Rotation::default().wait(Duration::from_secs(30)))?;
        }
        1 | 2 => write_back(path)?,
        3 => write_back(&metadata_of(path))?,
        _ => {}
    }
    Ok(())
}

/// Starts the write-back of a file's dirty pages, without a flush of the disk.
fn write_back(path: &Path) -> anyhow::Result<()> {
    Ok(posix_fadvise(File::open(path)?, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?)
}

/// The metadata file of a log.
pub(super) fn metadata_of(log: &Path) -> PathBuf {
    let mut path = log.as_os_str().to_os_string();
    path.push(mmlog::METADATA_SUFFIX);
    path.into()
}
