//! Section 9: a follower that may not write the metadata. It has one step in every world, or none.
//!
//! What of section 9 had to be made exact for rotation:
//!
//! - the file of the current generation is looked for at the path, then at the stable name; of an older one
//!   only at its stable name;
//! - the end of a segment is the base in the entry of the next generation while that is the current one,
//!   checked by loading the generation again; of older ones it is in the next stable name. An entry of an
//!   older generation is never used: the next rotation but one may be overwriting it;
//! - a short read in the current segment is a hole. That the file was cut from outside may only be said if a
//!   count of cuts, raised between publishing a shorter `file_size` and each cut to it, was the same before
//!   and after `file_size` and fstat were looked at, and the inode in use, loaded last, is still the file's.
//!   (Not: the same `file_size` before and after; a trim and a growth can lie between.)

use super::broken::{Broken, Kind, Outcome, broken};
use super::models::Model;
use super::mutants::Mutant;
use super::steps::Following::{self, *};
use super::world::{Entry as SegmentEntry, *};

/// Above every position.
const ANY: u8 = 15;

pub(super) struct Reading<'a> {
    model: &'a Model,
    world: World,
}

impl Model {
    pub(super) fn follow(&self, world: &World) -> Result<Option<World>, Broken> {
        let mut reading = Reading { model: self, world: *world };
        match reading.step()? {
            Some(at) => {
                reading.enter(at);
                Ok(Some(reading.world))
            }
            None => Ok(None),
        }
    }
}

impl Reading<'_> {
    fn my(&mut self) -> &mut Follower {
        &mut self.world.follower
    }

    /// Forgets what does not matter there.
    fn enter(&mut self, at: Following) {
        let f = self.my();
        f.at = at;
        if !matches!(at, Probe | Again) {
            f.seen = Follower::NEW.seen;
        }
        f.is_free &= at == Again;
        if !matches!(at, Scan | Probe | Again) {
            f.i = 0;
        }
        if !matches!(at, Scan | Probe | Again | Table) {
            f.watermark = 0;
        }
        if !matches!(at, EntryAgain | OpenPath | OpenName | Read | Cuts | Length | Stat | CutsAgain | Inode) {
            f.entry = Follower::NEW.entry;
        }
        if matches!(at, Idle | Generation) {
            f.generation = 0;
        }
        if !matches!(at, Length | Stat | CutsAgain) {
            f.cuts = 0;
        }
        if !matches!(at, Stat | CutsAgain | Inode) {
            f.length = 0;
        }
        if !matches!(at, CutsAgain | Inode) {
            f.found = 0;
        }
        f.holes &= !bits(0, f.position);
    }

    fn step(&mut self) -> Result<Option<Following>, Broken> {
        let world = self.world;
        let f = world.follower;
        Ok(Some(match f.at {
            Idle if f.segment == NO_SEGMENT => Generation,
            Idle if world.cursor <= f.position => return Ok(None),
            Idle => self.begin(),
            Scan => self.scan()?,
            Probe => {
                self.my().is_free = world.slots[usize::from(f.i)].owner == NOBODY;
                if self.model.is(Mutant::ProbeWithoutSecondLoad) { self.judge()? } else { Again }
            }
            Again => {
                let slot = world.slots[usize::from(f.i)];
                if (slot.phase, slot.position) == (f.seen.0, f.seen.1) { self.judge()? } else { Scan }
            }
            Table => {
                self.my().holes |= world.holes;
                self.chosen()
            }
            Generation => self.generation(world.generation),
            Entry => {
                let previous =
                    self.model.is(Mutant::PreviousEntry) && f.generation == f.segment.wrapping_add(2);
                let of = if previous { f.generation - 1 } else { f.generation };
                self.my().entry = world.entries[usize::from(of % 2)];
                EntryAgain
            }
            EntryAgain if world.generation != f.generation => Generation,
            EntryAgain if f.segment == NO_SEGMENT => {
                (self.my().segment, self.my().position) = (f.generation, f.entry.base);
                Idle
            }
            EntryAgain if f.generation == f.segment => {
                if self.model.is(Mutant::StableNameFirst) {
                    OpenName
                } else {
                    OpenPath
                }
            }
            EntryAgain => self.old_segment(),
            EndName => self.end_name()?,
            OpenPath if world.path == f.entry.inode => self.open_path()?,
            OpenPath if self.model.is(Mutant::StableNameFirst) => {
                return broken(
                    Kind::Reader,
                    "neither the stable name nor the path has the follower's segment",
                );
            }
            OpenPath => OpenName,
            OpenName => self.open_name()?,
            Read => self.read()?,
            Cuts => {
                self.my().cuts = world.cuts;
                Length
            }
            Length => {
                self.my().length = world.file_size;
                Stat
            }
            Stat => {
                self.my().found = world.files[usize::from(f.file)].size;
                CutsAgain
            }
            CutsAgain if self.model.is(Mutant::JudgeByFileSize) => {
                if world.file_size == f.length {
                    Inode
                } else {
                    Cuts
                }
            }
            CutsAgain if world.cuts == f.cuts => Inode,
            CutsAgain => Cuts,
            Inode => self.short_read()?,
        }))
    }

    // ---- the watermark

    fn begin(&mut self) -> Following {
        let (cursor, generation) = (self.world.cursor, self.world.generation);
        if self.model.is(Mutant::HolesBeforeSlots) {
            self.my().holes |= self.world.holes;
        }
        if self.model.is(Mutant::GenerationBeforeWatermark) {
            self.my().generation = generation;
        }
        self.my().watermark = if self.model.is(Mutant::SlotsBeforeCursor) { ANY } else { cursor };
        Scan
    }

    /// The slot's word, and its length with it: the length is used only if the word is the same later.
    fn scan(&mut self) -> Result<Following, Broken> {
        let Follower { i, watermark, .. } = *self.my();
        let Slot { phase, position, len, .. } = self.world.slots[usize::from(i)];
        if phase == Phase::Idle || position >= watermark {
            return self.next_slot();
        }
        self.my().seen = (phase, position, len);
        Ok(Probe)
    }

    fn next_slot(&mut self) -> Result<Following, Broken> {
        self.my().i += 1;
        if usize::from(self.my().i) < self.model.slots() {
            return Ok(Scan);
        }
        if self.model.is(Mutant::SlotsBeforeCursor) {
            self.my().watermark = self.my().watermark.min(self.world.cursor);
        }
        self.scanned()
    }

    /// A live owner holds the watermark; a dead one left a hole, unless nobody can know where.
    fn judge(&mut self) -> Result<Following, Broken> {
        let Follower { seen: (phase, position, len), is_free, .. } = *self.my();
        if !is_free {
            self.my().watermark = position;
        } else if phase != Phase::Reserving {
            self.my().holes |= bits(position, position + len);
        }
        self.next_slot()
    }

    fn scanned(&mut self) -> Result<Following, Broken> {
        let Follower { position, watermark, .. } = *self.my();
        for p in position..watermark {
            let fate = self.model.owner(&self.world, p).map(|m| self.world.messages[m].fate);
            let taken_over = fate.is_none() && self.world.outside & 1 << p != 0;
            if matches!(fate, None | Some(Fate::InFlight)) && !taken_over {
                let text = format!("the watermark is {watermark}, and position {p} is not final ({fate:?})");
                return broken(Kind::Watermark, text);
            }
        }
        Ok(if self.model.is(Mutant::HolesBeforeSlots) { self.chosen() } else { Table })
    }

    fn chosen(&mut self) -> Following {
        let f = self.my();
        f.most = f.most.max(f.watermark);
        if f.most <= f.position {
            return Idle;
        }
        if !self.model.rotates() {
            self.my().file = 0;
            return Read;
        }
        if self.model.is(Mutant::GenerationBeforeWatermark) {
            let generation = self.my().generation;
            return self.generation(generation);
        }
        Generation
    }

    // ---- the segment

    fn generation(&mut self, generation: u8) -> Following {
        let f = self.my();
        f.generation = generation;
        match generation.wrapping_sub(f.segment) {
            _ if f.segment == NO_SEGMENT => Entry,
            0 if f.file != NO_FILE => Read,
            0 | 1 => Entry,
            2 if self.model.is(Mutant::PreviousEntry) => Entry,
            _ => EndName,
        }
    }

    /// The end of an old segment is known.
    fn old_segment(&mut self) -> Following {
        if self.my().file == NO_FILE { OpenName } else { Read }
    }

    fn end_name(&mut self) -> Result<Following, Broken> {
        let next = self.my().segment + 1;
        let Some(file) = self.world.files.get(usize::from(self.world.names[usize::from(next)])) else {
            if let Some(at) = self.behind_prune() {
                return Ok(at);
            }
            return broken(Kind::Reader, format!("segment {next} is over and has no stable name"));
        };
        self.my().entry = SegmentEntry { base: file.base, inode: NO_FILE };
        Ok(self.old_segment())
    }

    fn open_path(&mut self) -> Result<Following, Broken> {
        let (path, SegmentEntry { base, .. }) = (self.world.path, self.my().entry);
        let begins = self.world.files[usize::from(path)].base;
        if begins != base {
            return broken(Kind::Reader, format!("file {path} begins at {begins}, its entry says {base}"));
        }
        self.my().file = path;
        Ok(Read)
    }

    fn open_name(&mut self) -> Result<Following, Broken> {
        let Follower { segment, generation, .. } = *self.my();
        let file = self.world.names[usize::from(segment)];
        if file == NO_FILE {
            if self.model.is(Mutant::StableNameFirst) && segment == generation {
                return Ok(OpenPath);
            }
            if let Some(at) = self.behind_prune() {
                return Ok(at);
            }
            return broken(
                Kind::Reader,
                format!("segment {segment} is neither at the path nor at its stable name"),
            );
        }
        self.my().file = file;
        Ok(if generation == segment { Generation } else { Read })
    }

    /// A name that is missing was pruned, `first_kept` says: goes on in the oldest segment that is there.
    fn behind_prune(&mut self) -> Option<Following> {
        let World { first_kept, generation, names, .. } = self.world;
        let f = self.my();
        if first_kept == 0 || first_kept < f.position {
            return None;
        }
        let is_there = |g: &u8| *g == generation || names[usize::from(*g)] != NO_FILE;
        f.segment = (f.segment..=generation).find(is_there)?;
        (f.file, f.position) = (NO_FILE, first_kept);
        Some(if f.position < f.most { Generation } else { Idle })
    }

    // ---- reading

    fn read(&mut self) -> Result<Following, Broken> {
        let Follower { most, position, segment, generation, entry, file, .. } = *self.my();
        let is_current = generation == segment;
        let end = if is_current { most } else { most.min(entry.base) };
        if position >= end {
            if !is_current && most >= entry.base {
                let f = self.my();
                (f.segment, f.file, f.position) = (segment + 1, NO_FILE, position.max(entry.base));
                return Ok(if f.position < f.most { Generation } else { Idle });
            }
            return Ok(Idle);
        }
        let file = self.world.files[usize::from(file)];
        let file_end = file.base + file.size;
        if position >= file_end && self.my().holes & 1 << position == 0 {
            if !is_current {
                return broken(
                    Kind::Reader,
                    format!("segment {segment} is over, and ends before {position}"),
                );
            }
            return if self.model.configuration.judges { Ok(Cuts) } else { self.short_read() };
        }
        for p in position..end {
            if self.my().holes & 1 << p == 0 && p >= file_end {
                self.my().position = p;
                return Ok(Read);
            }
            self.deliver(p)?;
        }
        self.my().position = end;
        Ok(if is_current { Idle } else { Read })
    }

    fn deliver(&mut self, position: u8) -> Outcome {
        let is_hole = self.my().holes & 1 << position != 0;
        let fate =
            self.model.owner(&self.world, position).map_or(Fate::None, |m| self.world.messages[m].fate);
        let written = self.world.written & 1 << position != 0;
        let right_file = self.world.file_of(position) == self.my().file;
        let fine = match fate {
            Fate::Acknowledged => !is_hole && written && right_file,
            Fate::Abandoned => is_hole,
            Fate::Unplaced => true,
            Fate::None => !is_hole && right_file && self.world.outside & 1 << position != 0,
            Fate::InFlight => false,
        };
        if fine {
            return Ok(());
        }
        let taken = if is_hole { "a hole" } else { "content" };
        let text = format!(
            "position {position} is read as {taken} ({fate:?}, written: {written}, in this file: {right_file})"
        );
        broken(Kind::Reader, text)
    }

    /// Below the watermark and behind the end of the file: reserved by one that died before there was space.
    fn short_read(&mut self) -> Result<Following, Broken> {
        let Follower { most, position, file, length, found, .. } = *self.my();
        let in_use = self.model.is(Mutant::LengthWithoutInode) || self.world.inode == file;
        if in_use && found < length && self.model.configuration.judges {
            return broken(
                Kind::FalseDamage,
                format!("file {file} has {found} bytes and not {length}: cut from outside?"),
            );
        }
        let end = (position..most).find(|p| self.my().holes & 1 << p != 0).unwrap_or(most);
        for p in position..end {
            let fate = self.model.owner(&self.world, p).map_or(Fate::None, |m| self.world.messages[m].fate);
            if !matches!(fate, Fate::Unplaced | Fate::Abandoned) {
                return broken(
                    Kind::Reader,
                    format!("position {p} ({fate:?}) is taken for a hole behind the end"),
                );
            }
        }
        self.my().position = end;
        Ok(if end < most { Read } else { Idle })
    }
}
