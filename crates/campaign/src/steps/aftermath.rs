//! What must hold after a victim's end, whatever it was doing.

use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use mmlog::{Observer, Policy, PolicyState, Start, State, Wait, check};

use super::damage::mend;
use super::ledger::Reading;
use super::operations::{FEW, Found, policy};
use super::sabotage::Sabotage;
use super::scene::Scene;
use super::{PATIENCE, options};
use crate::oracle::{Seal, Segments};

/// Bytes of the messages of those who go on.
const HEAL: u64 = 83;
const AFTER: u64 = 71;

impl Scene {
    /// Somebody goes on: the next append succeeds, whatever was left. Returns how long it took. What an outsider did
    /// is repaired before.
    fn heal(&mut self) -> anyhow::Result<Duration> {
        if let Found::Damaged(damage) = self.found {
            mend(&self.log, damage.wishes()).context("repair after the kill")?;
        }
        let begun = Instant::now();
        if self.handle.is_none() {
            self.come().context("open after the kill")?;
        }
        self.append(HEAL).context("append after the kill")?;
        Ok(begun.elapsed())
    }

    /// After a kill: somebody goes on, then all must hold. Returns how long the next append took.
    pub(crate) fn go_on(&mut self, sabotage: Option<Sabotage>) -> anyhow::Result<Duration> {
        self.read_on()?;
        let _kept = sabotage.map(|sabotage| sabotage.commit(self)).transpose()?;
        let took = self.heal()?;
        let violations = self.check(sabotage.map_or(PATIENCE, Sabotage::patience));
        ensure!(violations.is_empty(), "{}", violations.join("; "));
        Ok(took)
    }

    /// All that must hold once somebody has gone on. Returns what does not. Nobody else uses the log any more, so
    /// nothing has to wait for anybody: `patience` catches a stuck log.
    pub(crate) fn check(&mut self, patience: Duration) -> Vec<String> {
        let mut violations = Vec::new();
        let mut claim = |what: &str, held: anyhow::Result<()>| {
            violations.extend(held.err().map(|e| format!("{what}: {e:#}")));
        };
        claim("the policy", self.end_policy());
        claim("a sleeping follower wakes", self.wake());
        claim("readers", self.read_all());
        claim("a newcomer appends", self.come_and_append());
        claim("trim", self.trim(patience));
        claim("sync", self.sync());
        claim("invariants before a rotation", self.look_deep());
        claim("segments", self.seal());
        claim("rotation", self.rotate(patience));
        claim("a rotation leaves nothing", self.is_tidy());
        claim("append after the trim", self.append(AFTER).map_err(Into::into));
        claim("status", self.look());
        claim("readers at the end", self.read_all());
        claim("invariants", self.look_deep());
        claim("close", self.close());
        claim("at rest", self.rest());
        violations
    }

    /// The policy is one that somebody set, and what it lets go is gone, and no more. From here on there is none.
    fn end_policy(&mut self) -> anyhow::Result<()> {
        let Some(keep) = self.keep else { return Ok(()) };
        let log = self.handle()?;
        log.housekeep()?;
        let state = log.policy();
        let known = [keep, FEW].into_iter().find(|&keep| state == PolicyState::Set(policy(keep)));
        let keep = known.with_context(|| format!("nobody has set {state:?}"))?;
        log.set_policy(|rules| *rules = Policy::default(), PATIENCE)?;
        let (oldest, left) = (log.oldest()?.get(), Segments::look(&self.log)?.finals);
        let begins = left.first().map_or(self.current_base()?, |first| first.base);
        ensure!(begins == oldest, "the oldest segment begins at {begins}, the log at {oldest}");
        ensure!(left.len() as u64 <= keep, "{} final segments are left, {keep} are kept", left.len());
        ensure!(left.len() as u64 == keep || oldest == self.base, "only {} of {keep} are left", left.len());
        self.was_pruned()
    }

    /// What is gone need not be there any more.
    pub(super) fn was_pruned(&mut self) -> anyhow::Result<()> {
        let left = Segments::look(&self.log)?.finals;
        self.seals.retain(|seal| left.iter().any(|kept| kept.path == seal.path));
        self.base = self.handle()?.oldest()?.get();
        Ok(())
    }

    /// What a reader was given early is what is there now, unless repair has put the data file away.
    pub(crate) fn begins_with(&self, early: &Reading) -> anyhow::Result<()> {
        let is_same =
            early.base != self.base || Segments::look(&self.log)?.bytes()?.starts_with(&early.bytes);
        ensure!(is_same, "the {} bytes that a reader was given early are others now", early.bytes.len());
        Ok(())
    }

    /// Who sleeps is owed nothing as long as nothing is appended: each of the others may have had to wait.
    pub(crate) fn give_the_sleeper_something(&mut self) -> mmlog::Result<()> {
        if self.sleeper.is_some() { self.append(AFTER) } else { Ok(()) }
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
            let from = self.reading.base;
            ensure!(from <= self.base, "the one of before was told that all up to {from} is pruned");
            self.ledger.verify(&self.reading, cursor).context("the one of before")?;
        }
        Ok(())
    }

    fn read_anew(&self) -> anyhow::Result<Reading> {
        let mut reading = Reading::from(self.base);
        reading.go_on(&mut options().open_reader(&self.log)?.follow(Start::Oldest)?)?;
        Ok(reading)
    }

    fn come_and_append(&mut self) -> anyhow::Result<()> {
        self.come()?;
        Ok(self.append(AFTER)?)
    }

    fn trim(&mut self, patience: Duration) -> anyhow::Result<()> {
        let log = self.handle()?;
        let trimmed = log.trim(patience)?;
        let (size, len) = (log.cursor()?.get() - self.current_base()?, self.log.metadata()?.size());
        ensure!((trimmed.after, len) == (size, size), "{trimmed:?}, {size} bytes appended, file {len}");
        Ok(())
    }

    fn sync(&self) -> anyhow::Result<()> {
        let log = self.handle()?;
        let synced = log.sync()?;
        ensure!(synced == log.cursor()? && log.synced() == synced, "to {synced} of {}", log.cursor()?);
        Ok(())
    }

    fn look_deep(&self) -> anyhow::Result<()> {
        let found = check::deep(&self.log, &options())?;
        ensure!(found.holds(), "{:?}", found.violations);
        let nuls = self.read_anew()?.nuls();
        ensure!(found.nuls == nuls, "{} NULs that no hole explains; there should be {nuls}", found.nuls);
        Ok(())
    }

    fn look(&self) -> anyhow::Result<()> {
        let status = Observer::open(&self.log, &options())?.look()?;
        let is_quiet = status.writers.iter().all(|w| w.alive == Ok(true) && w.in_flight.is_none());
        let is_free =
            status.lock.held == Ok(false) && status.maintenance.held == Ok(false) && status.gate.is_none();
        let is_ok = matches!(status.state, State::Ok | State::FullSoon) && status.panic.is_none();
        ensure!(is_quiet && is_free && is_ok && status.watermark == status.cursor, "{status:?}");
        Ok(())
    }

    /// The final segments stay as they are from now on.
    fn seal(&mut self) -> anyhow::Result<()> {
        let seals = Segments::look(&self.log)?.seals()?;
        self.seals.extend(seals);
        Ok(())
    }

    /// The segments join, and nothing else is there.
    fn is_tidy(&self) -> anyhow::Result<()> {
        let segments = Segments::look(&self.log)?;
        let wrong = segments.check(self.current_base()?);
        // What repair has put away may stay.
        ensure!(wrong.is_empty() || matches!(self.found, Found::Damaged(_)), "{}", wrong.join("; "));
        ensure!(!segments.has_next, "a temporary file is left");
        ensure!(segments.others.is_empty(), "beside the log lies {:?}", segments.others);
        Ok(())
    }

    fn current_base(&self) -> anyhow::Result<u64> {
        Ok(self.ready()?.header().control.base())
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
        let (cursor, file) = (self.cursor()?, Segments::look(&self.log)?.bytes()?);
        let size = cursor - self.base;
        ensure!(file.len() as u64 == size, "the file has {} bytes, {size} were appended", file.len());
        self.seals.iter().try_for_each(Seal::holds)?;
        self.is_tidy()?;
        let reading = self.read_anew()?;
        self.ledger.verify(&reading, cursor)?;
        ensure!(reading.bytes == file, "the file is not what readers are given");
        Ok(())
    }
}
