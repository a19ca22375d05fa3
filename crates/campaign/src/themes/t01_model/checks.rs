//! What must hold in every world, and when all is over.

use super::broken::{Kind, Outcome, broken};
use super::models::{Model, Task};
use super::steps::{Following, Step};
use super::turn::Turn;
use super::world::*;

/// More steps than anybody takes who is alone.
const ALONE: usize = 300;

/// Final segments that have a name.
fn finals(world: &World) -> usize {
    world.names.iter().filter(|&&file| file != NO_FILE && file != world.path).count()
}

impl Model {
    /// Whether a process has nothing left to do by itself.
    pub(super) fn is_finished(&self, world: &World, process: usize) -> bool {
        match world.processes[process].at {
            Step::Done | Step::Dead => true,
            Step::Ready => matches!(self.task(world, process), Some(Task::Repair | Task::RepairLoosely)),
            _ => false,
        }
    }

    pub(super) fn is_over(&self, world: &World) -> bool {
        (0..self.opener()).all(|p| self.is_finished(world, p))
    }

    /// Invariants of every world.
    pub(super) fn check(&self, world: &World) -> Outcome {
        let World { gate, journal, path, inode, .. } = *world;
        if gate && journal.kind == Record::Empty {
            return broken(Kind::Unexplained, "the gate is closed and the journal is empty");
        }
        let committed = gate && path == journal.new && !matches!(journal.kind, Record::Empty | Record::Trim);
        if path != inode && !committed {
            return broken(
                Kind::Unexplained,
                format!("file {path} is at the path, {inode} in use, and no journal says why"),
            );
        }
        for (number, file) in world.files[..self.files].iter().enumerate() {
            let has_name = path == number as u8 || world.names.contains(&(number as u8));
            if file.base != NO_BASE && !has_name && !world.is_pruned(file) {
                return broken(Kind::Lost, format!("file {number} is a segment and has no name"));
            }
        }
        self.check_policy(world)?;
        self.check_messages(world)
    }

    /// No checkpoint above what a power cut leaves: nobody syncs data here. And no segment is longer than the policy says, but for
    /// one message of each writer that was in flight when it filled, which nobody is who is alone.
    fn check_policy(&self, world: &World) -> Outcome {
        if world.checkpoint > 0 {
            let text = format!("the checkpoint is {}, and no byte has been synced", world.checkpoint);
            return broken(Kind::FalseDamage, text);
        }
        self.check_kept(world)?;
        let cap = self.configuration.cap;
        if cap == 0 || !self.is_calm(world) {
            return Ok(());
        }
        let writers = (0..self.opener()).filter(|&p| matches!(self.program(p)[0], Task::Append(_)));
        let most = usize::from(writers.clone().count() > 1);
        for writer in writers {
            let beyond = |file: &File| {
                let from = file.base + cap;
                let is_beyond = |&m: &usize| {
                    let Message { fate, start } = world.messages[m];
                    let here = world
                        .files
                        .get(usize::from(world.file_of(start)))
                        .is_some_and(|f| f.base == file.base);
                    let is_half = here && (start - file.base) * 2 >= cap;
                    fate == Fate::Acknowledged
                        && self.writer_of(m) == writer
                        && is_half
                        && start + self.len_of(m) > from
                };
                (0..self.messages).filter(is_beyond).count()
            };
            let segments = world.files[..self.files].iter().filter(|file| file.base != NO_BASE);
            if let Some(file) = segments.into_iter().find(|file| beyond(file) > most) {
                let (who, base) = (self.name(writer), file.base);
                let text = format!(
                    "{who} has more than {most} messages beyond {cap} bytes in the segment that begins at {base}"
                );
                return broken(Kind::TooLong, text);
            }
        }
        Ok(())
    }

    /// One final segment more than is kept, however many rotate and die: whoever rotates prunes before.
    fn check_kept(&self, world: &World) -> Outcome {
        let c = &self.configuration;
        let is_certain = c.disk.is_none() && !c.deadlines && !c.errors;
        let Some(keep) = c.keep.filter(|_| is_certain) else { return Ok(()) };
        let finals = finals(world);
        if finals > usize::from(keep) + 1 {
            return broken(Kind::TooMany, format!("{finals} final segments are there, {keep} are kept"));
        }
        Ok(())
    }

    /// Nothing was in anybody's way.
    fn is_calm(&self, world: &World) -> bool {
        let c = &self.configuration;
        world.crashes == c.crashes && c.disk.is_none() && !c.deadlines && !c.gives_up && !c.errors
    }

    /// What is in flight holds the watermark: whoever looks at the slots sees it.
    fn check_messages(&self, world: &World) -> Outcome {
        for (m, message) in world.messages[..self.messages].iter().enumerate() {
            let writer = self.writer_of(m);
            if message.fate != Fate::InFlight {
                continue;
            }
            let Process { slot, .. } = world.processes[writer];
            let covered = world.slots.get(usize::from(slot)).is_some_and(|s| {
                let exact = matches!(s.phase, Phase::Waiting | Phase::Copying);
                let announced = s.phase == Phase::Reserving && s.position <= message.start;
                usize::from(s.owner) == writer
                    && (announced || exact && (s.position, s.len) == (message.start, self.len_of(m)))
            });
            if !covered {
                let text = format!("message {m} at {} is in flight, and no slot says so", message.start);
                return broken(Kind::Watermark, text);
            }
        }
        Ok(())
    }

    /// A process dies where it stands.
    pub(super) fn killed(&self, world: &World, process: usize) -> World {
        let mut world = *world;
        if let Some(Task::Append(_)) = self.task(&world, process) {
            let slot = world.processes[process].slot;
            let message = &mut world.messages[self.message(&world, process)];
            if message.fate == Fate::InFlight {
                let unplaced =
                    world.slots.get(usize::from(slot)).is_some_and(|slot| slot.phase == Phase::Reserving);
                message.fate = if unplaced { Fate::Unplaced } else { Fate::Abandoned };
            }
        }
        world.kill(process);
        world
    }

    /// Everybody dies at once.
    pub(super) fn all_killed(&self, world: &World) -> World {
        let dead = (0..self.opener()).fold(*world, |world, p| self.killed(&world, p));
        World { crashes: 0, ..dead }
    }

    /// Nobody moves any more, and nobody has anything left to do.
    pub(super) fn check_end(&self, world: &World) -> Outcome {
        let c = &self.configuration;
        // Where older metadata came back, appends may have been refused.
        if self.is_calm(world) && !self.comes_back() {
            let missing = world.messages[..self.messages].iter().position(|m| m.fate != Fate::Acknowledged);
            if let Some(m) = missing {
                return broken(Kind::Incomplete, format!("nobody died and message {m} was not appended"));
            }
            let finals = finals(world);
            if c.keep.is_some_and(|keep| finals > usize::from(keep)) {
                return broken(Kind::TooMany, format!("nobody died and {finals} final segments are left"));
            }
            let everyone_closes = |program: &&[Task]| program.contains(&Task::Close);
            if c.programs.iter().all(everyone_closes)
                && world.files[usize::from(world.inode)].size != world.cursor - world.base
            {
                return broken(Kind::Incomplete, "everybody has closed and the file is not trimmed");
            }
        }
        Ok(())
    }

    /// Everybody is dead, and one comes who opens the log for writing: the log must be sound and complete
    /// then, also for a follower that was there all the time and for a new one.
    pub(super) fn check_with_all_dead(&self, mut world: World, way: &mut Vec<World>) -> Outcome {
        let opener = self.opener();
        world.processes[opener] = Process::NEW;
        way.push(world);
        for _ in 0..ALONE {
            let before = way.len();
            Turn::new(self, &world, opener, way).run()?;
            match way.get(before) {
                Some(next) => world = *next,
                None => break,
            }
        }
        if world.panicked {
            return self.check_stopped(&world);
        }
        self.check_at_rest(&world, opener)?;
        self.read_to_the_end(world, way)?;
        world.follower = Follower::NEW;
        self.read_to_the_end(world, way)
    }

    /// Nobody goes on by himself, and repair finds every byte.
    fn check_stopped(&self, world: &World) -> Outcome {
        let there = world.written & bits(0, world.files[usize::from(world.inode)].size);
        let is_gone = |m: &usize| {
            let Message { fate, start } = world.messages[*m];
            let range = bits(start, start + self.len_of(*m));
            fate == Fate::Acknowledged && there & range != range
        };
        match (0..self.messages).find(is_gone) {
            Some(m) => broken(Kind::Lost, format!("message {m} is not there when all writing was stopped")),
            None => Ok(()),
        }
    }

    fn check_at_rest(&self, world: &World, opener: usize) -> Outcome {
        let World { cursor, base, file_size, limit, inode, .. } = *world;
        let size = world.files[usize::from(inode)].size;
        let settled = world.slots.iter().all(|slot| slot.phase == Phase::Idle);
        let trimmed = limit == cursor && base + file_size == cursor && size == file_size;
        let done = world.processes[opener].at == Step::Done && world.lock == NOBODY;
        if done && settled && trimmed && !world.gate && world.journal.kind == Record::Empty {
            return Ok(());
        }
        let text = format!(
            "all others are dead, and after an opener's work: done {done}, settled {settled}, trimmed {trimmed} \
             (cursor {cursor}, base {base}, file_size {file_size}, limit {limit}, size {size}), gate closed: {}",
            world.gate
        );
        broken(Kind::Incomplete, text)
    }

    fn read_to_the_end(&self, mut world: World, way: &mut Vec<World>) -> Outcome {
        for _ in 0..ALONE {
            match self.follow(&world)? {
                Some(next) => world = next,
                None => break,
            }
            if self.configuration.follower {
                way.push(world);
            }
        }
        let Follower { at, position, .. } = world.follower;
        if at == Following::Idle && position == world.cursor {
            return Ok(());
        }
        broken(
            Kind::Incomplete,
            format!("at rest a follower comes to {position} and not to {}", world.cursor),
        )
    }
}
