//! What others do while a victim is stopped inside its operation, and what they may get from it: success, or the
//! word that they wait for that process.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::ensure;
use mmlog::sync::Ordering;
use mmlog::{Class, Fault, Observer, Phase, ProcessState, Retention, Start};

use super::CHUNK;
use super::damage::Damage;
use super::ledger::Reading;
use super::operations::Found;
use super::scene::{Scene, is_slot_free};

/// Bytes of their messages.
const SMALL: u64 = 67;

/// One thing that others do.
pub(crate) struct Other {
    pub(crate) name: &'static str,
    act: fn(&mut Stopped<'_>) -> anyhow::Result<()>,
    /// Whether it needs a handle from before, so that the log must have been there.
    needs_log: bool,
}

#[rustfmt::skip]
const TABLE: &[Other] = &[
    Other { name: "append", needs_log: true, act: |s| Ok(s.scene.append(SMALL)?) },
    Other { name: "append and grow", needs_log: true, act: |s| Ok(s.scene.append(CHUNK + SMALL)?) },
    Other { name: "arrive and leave", needs_log: false, act: arrive },
    Other { name: "open", needs_log: false, act: |s| Ok(s.scene.options().open(&s.scene.log).map(drop)?) },
    Other { name: "claim", needs_log: true, act: |s| Ok(s.scene.handle()?.writer().map(drop)?) },
    Other { name: "close", needs_log: true, act: close },
    Other { name: "trim", needs_log: true, act: |s| Ok(s.scene.handle()?.trim(s.scene.wait).map(drop)?) },
    Other { name: "rotate", needs_log: true, act: |s| s.scene.rotate_within(s.scene.wait).map(drop) },
    Other { name: "prune", needs_log: true, act: prune },
    Other { name: "housekeep", needs_log: true, act: |s| Ok(s.scene.handle()?.housekeep()?) },
    Other { name: "keep few", needs_log: true, act: |s| s.scene.keep_few() },
    Other { name: "sync", needs_log: true, act: |s| Ok(s.scene.handle()?.sync().map(drop)?) },
    Other { name: "repair", needs_log: true, act: repair },
    Other { name: "follow", needs_log: true, act: |s| s.scene.read_on() },
    Other { name: "read", needs_log: false, act: read },
    Other { name: "status", needs_log: false, act: look },
];

/// Those that can be done to what the victim has found.
pub(crate) fn possible(found: Found) -> impl Iterator<Item = &'static Other> {
    TABLE.iter().filter(move |other| found == Found::Log || !other.needs_log)
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// It succeeded.
    Done,
    /// It says that it waits for the victim.
    Stalled,
    /// It says that it waits, and cannot say for whom.
    Unnamed,
    /// It says that the log has to be repaired, which the victim was about to do.
    Refused,
}

/// What nobody may do: controls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Foul {
    /// The victim's slot is settled.
    Settled,
    /// A byte of its range is stored.
    Overwritten,
    /// Another process is named.
    Blamed,
}

impl Foul {
    pub(crate) fn noticed_as(self) -> &'static str {
        match self {
            Self::Settled => "its slot was changed",
            Self::Overwritten => "its range was changed",
            Self::Blamed => "instead of the victim",
        }
    }
}

/// A scene while its victim is stopped.
pub(crate) struct Stopped<'a> {
    pub(crate) scene: &'a mut Scene,
    pub(crate) pid: u32,
    /// What the last new reader was given.
    pub(crate) early: Reading,
}

/// What is the victim's, and must stay as it is: its slot, and the bytes of its range.
#[derive(PartialEq, Eq)]
struct Belongings {
    slot: Vec<u64>,
    range: Vec<u8>,
}

impl Stopped<'_> {
    /// Lets somebody do it.
    pub(crate) fn watch(&mut self, other: &Other, foul: Option<Foul>) -> anyhow::Result<Outcome> {
        let before = self.belongings()?;
        let done = (other.act)(self);
        self.commit(foul)?;
        if let Some(before) = before {
            let after = self.belongings()?;
            ensure!(after.as_ref().is_some_and(|a| a.slot == before.slot), "its slot was changed");
            ensure!(after.is_some_and(|a| a.range == before.range), "its range was changed");
        }
        self.is_shown_nothing(self.scene.read_to())?;
        let blamed = self.pid + u32::from(foul == Some(Foul::Blamed));
        done.map(|()| Outcome::Done).or_else(|e| self.excuse(e, blamed))
    }

    fn belongings(&self) -> anyhow::Result<Option<Belongings>> {
        let Some(metadata) = self.scene.metadata()? else { return Ok(None) };
        let Some((slot, words)) = metadata.slot_of(self.pid) else { return Ok(None) };
        // One that it has given back is anybody's.
        if is_slot_free(&self.scene.log, slot)? {
            return Ok(None);
        }
        let mut range = Vec::new();
        let pending = words.hot.pending();
        if pending.phase() == Some(Phase::Copying) {
            range.resize(words.hot.len.load(Ordering::Relaxed) as usize, 0);
            let base = metadata.header().control.base();
            File::open(&self.scene.log)?.read_exact_at(&mut range, pending.position() - base)?;
        }
        Ok(Some(Belongings { slot: metadata.slot_words(slot), range }))
    }

    /// No reader passes an append that is not finished.
    fn is_shown_nothing(&self, read_to: u64) -> anyhow::Result<()> {
        let pending = self.scene.metadata()?.and_then(|metadata| metadata.pending_of(self.pid));
        let bound = pending.map_or(u64::MAX, |pending| pending.position());
        ensure!(read_to <= bound, "a reader comes to {read_to}, the victim's append begins at {bound}");
        Ok(())
    }

    /// An error may only say that the victim is waited for.
    fn excuse(&self, error: anyhow::Error, victim: u32) -> anyhow::Result<Outcome> {
        let Some(known) = error.downcast_ref::<mmlog::Error>() else { return Err(error) };
        match known.fault() {
            Fault::NoLog | Fault::NoMetadata { .. } if self.is_unfinished()? => Ok(Outcome::Stalled),
            _ if matches!(self.scene.found, Found::Damaged(_)) && is_refusal(known) => Ok(Outcome::Refused),
            Fault::Stalled { blocker, .. } | Fault::Busy(blocker) => {
                let (pid, state) = (blocker.pid, &blocker.process);
                // It has just taken the lock and not yet said who it is, or it creates what would say it.
                if pid == 0 {
                    return Ok(Outcome::Unnamed);
                }
                ensure!(pid == victim, "waits for {pid} instead of the victim, {victim}: {known}");
                ensure!(state == "traced", "the victim is said to be {state}: {known}");
                Ok(Outcome::Stalled)
            }
            _ => Err(error),
        }
    }

    fn is_unfinished(&self) -> anyhow::Result<bool> {
        let metadata = self.scene.metadata()?;
        Ok(metadata.is_none_or(|metadata| !metadata.header().control.is_ready()))
    }

    fn commit(&self, foul: Option<Foul>) -> anyhow::Result<()> {
        let Some(metadata) = self.scene.metadata()? else { return Ok(()) };
        let Some((_, slot)) = metadata.slot_of(self.pid) else { return Ok(()) };
        match foul {
            Some(Foul::Settled) => slot.hot.settle(),
            Some(Foul::Overwritten) => {
                let data = File::options().write(true).open(&self.scene.log)?;
                let base = metadata.header().control.base();
                data.write_all_at(&[0xff], slot.hot.pending().position() - base)?;
            }
            Some(Foul::Blamed) | None => {}
        }
        Ok(())
    }
}

/// Whether an error is about the log, not about somebody.
fn is_refusal(error: &mmlog::Error) -> bool {
    matches!(error.fault().class(), Class::Damaged | Class::Refused)
}

/// A repair of nothing in particular.
fn repair(stopped: &mut Stopped<'_>) -> anyhow::Result<()> {
    let found = mmlog::repair::examine(&stopped.scene.log, &stopped.scene.options())?;
    Ok(found.plan(&[]).apply().map(drop)?)
}

/// Of a log with a policy, too, somebody says what goes.
fn prune(stopped: &mut Stopped<'_>) -> anyhow::Result<()> {
    let how = Retention::default().keep(1).wait(stopped.scene.wait);
    let pruned = stopped.scene.handle()?.prune(&how);
    stopped.scene.was_pruned()?;
    Ok(pruned.map(drop)?)
}

/// A new writer comes, appends and goes.
fn arrive(stopped: &mut Stopped<'_>) -> anyhow::Result<()> {
    let log = stopped.scene.options().open_or_create(&stopped.scene.log)?;
    let mut writer = log.writer()?;
    stopped.scene.append_by(&mut writer, SMALL)?;
    drop(writer);
    Ok(log.close()?)
}

/// A writer of before goes.
fn close(stopped: &mut Stopped<'_>) -> anyhow::Result<()> {
    let Some((log, writer)) = stopped.scene.leaver.take() else { return Ok(()) };
    drop(writer);
    Ok(log.close()?)
}

/// A new reader reads what there is.
fn read(stopped: &mut Stopped<'_>) -> anyhow::Result<()> {
    let log = stopped.scene.options().open_reader(&stopped.scene.log)?;
    let mut reading = Reading::from(log.oldest()?.get());
    reading.go_on(&mut log.follow(Start::Oldest)?)?;
    stopped.is_shown_nothing(reading.end())?;
    stopped.early = reading;
    Ok(())
}

/// The status says of a victim in flight that it is stopped by a tracer.
fn look(stopped: &mut Stopped<'_>) -> anyhow::Result<()> {
    let status = Observer::open(&stopped.scene.log, &stopped.scene.options())?.look()?;
    for writer in status.writers.iter().filter(|writer| writer.pid == stopped.pid && writer.alive == Ok(true))
    {
        ensure!(writer.process == ProcessState::Traced, "{writer:?}");
    }
    let was_poisoned = stopped.scene.found == Found::Damaged(Damage::Panic);
    ensure!(status.panic.is_none() || was_poisoned, "poisoned: {:?}", status.panic);
    Ok(())
}
