//! The situation in which an operation begins: how much space there is, who died just before, who else is there.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Context, ensure};
use mmlog::Start;
use mmlog::sync::Ordering;
use nix::fcntl::{FallocateFlags, fallocate};

use super::engine::At;
use super::ledger::{Fate, Left, message};
use super::operations::{Company, SEGMENT, policy};
use super::scene::{Part, Scene, is_slot_free};
use super::{CHUNK, HANG, PATIENCE};

/// Bytes of the append of which a planted dead writer has stored half.
const DEAD: u64 = 200;

impl Scene {
    /// Makes the situation in which the operation is to begin, up to its origin.
    pub(crate) fn arrange(&mut self, part: &mut Part) -> anyhow::Result<()> {
        if let Some(keep) = part.operation.keep {
            self.bound(keep)?;
        }
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
                self.let_reserve(part)?;
                self.take_space()?;
            }
            Company::Rotator => {
                self.let_reserve(part)?;
                self.rotate(PATIENCE)?;
            }
        }
        self.begins(part)
    }

    /// A policy, one more final segment, which the victims have open, and a current one that is nearly as long as it may be.
    /// The follower of before has read all of it. (Nobody has the two oldest open: who asks for that goes through all
    /// processes where somebody has, which takes minutes by single steps, and another way each time.)
    fn bound(&mut self, keep: u64) -> anyhow::Result<()> {
        self.begin_segments(1)?;
        self.append(SEGMENT - CHUNK / 2)?;
        let log = self.options().open(&self.log)?;
        log.set_policy(|rules| *rules = policy(keep), PATIENCE)?;
        self.read_on()
    }

    /// Leaves in a free slot what a writer leaves that is killed in the middle of its copy.
    fn plant_dead(&mut self) -> anyhow::Result<()> {
        self.extend(DEAD)?;
        let metadata = self.ready()?;
        let is_free = |slot| is_slot_free(&self.log, slot).unwrap_or(false);
        let free = (0..).zip(metadata.slots()).find(|(slot, _)| is_free(*slot));
        let (index, slot) = free.context("all slots are taken")?;
        let (id, start) = (self.ledger.ids(1), metadata.cursor());
        slot.hot.begin(DEAD, start);
        metadata.header().high_water.slots.fetch_max(index + 1, Ordering::AcqRel);
        metadata.header().control.reserve(DEAD);
        slot.hot.copying(start);
        let half = message(id, DEAD / 2);
        let base = metadata.header().control.base();
        File::options().write(true).open(&self.log)?.write_all_at(&half, start - base)?;
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
            let len = (needed - control.base()).next_multiple_of(CHUNK);
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
        let mut follower = self.options().open_reader(&self.log)?.follow(Start::Newest)?;
        self.sleeper = Some(std::thread::spawn(move || follower.wait(HANG)));
        while want.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        Ok(())
    }

    /// The victim has looked, and is about to reserve.
    fn let_reserve(&self, part: &mut Part) -> anyhow::Result<()> {
        let metadata = self.ready()?;
        while metadata.pending_of(part.victim.pid()).is_none() {
            ensure!(part.victim.step()? == At::Inside, "it never was reserving");
        }
        Ok(())
    }

    fn take_space(&mut self) -> anyhow::Result<()> {
        let metadata = self.ready()?;
        let space = metadata.header().control.limit() - metadata.cursor();
        Ok(self.append(space)?)
    }
}
