//! A state in a few words: one description of the layout both packs and unpacks.

use super::models::Model;
use super::steps::{Following, Step};
use super::world::{Entry, Fate, Phase, Process, Record, Slot, World};

/// The most words that a state takes.
pub(super) const WORDS: usize = 10;

/// Packs the value it is given and returns it, or returns the value it unpacks.
trait Bits {
    fn bits(&mut self, width: u32, value: u8) -> u8;

    fn flag(&mut self, value: bool) -> bool {
        self.bits(1, value.into()) != 0
    }

    fn wide(&mut self, value: u16) -> u16 {
        let [low, high] = value.to_le_bytes();
        u16::from_le_bytes([self.bits(8, low), self.bits(8, high)])
    }
}

#[derive(Default)]
pub(super) struct Packed {
    pub(super) words: [u64; WORDS],
    at: usize,
    used: u32,
}

impl Packed {
    pub(super) fn of(world: &mut World, model: &Model) -> Self {
        let mut packed = Self::default();
        world.code(model, &mut packed);
        packed
    }

    pub(super) fn len(&self) -> usize {
        self.at + 1
    }
}

impl Bits for Packed {
    #[inline(always)]
    fn bits(&mut self, width: u32, value: u8) -> u8 {
        assert!(u32::from(value) >> width == 0, "{value} does not fit {width} bits");
        if self.used + width > 64 {
            (self.at, self.used) = (self.at + 1, 0);
        }
        self.words[self.at] |= u64::from(value) << self.used;
        self.used += width;
        value
    }
}

struct Unpacking<'a> {
    words: &'a [u64],
    at: usize,
    used: u32,
}

impl Bits for Unpacking<'_> {
    #[inline(always)]
    fn bits(&mut self, width: u32, _: u8) -> u8 {
        if self.used + width > 64 {
            (self.at, self.used) = (self.at + 1, 0);
        }
        let value = self.words[self.at] >> self.used & ((1 << width) - 1);
        self.used += width;
        value as u8
    }
}

impl World {
    pub(super) fn unpack(words: &[u64], model: &Model) -> Self {
        let mut world = model.initial();
        world.code(model, &mut Unpacking { words, at: 0, used: 0 });
        world
    }

    #[inline(always)]
    fn code(&mut self, model: &Model, b: &mut impl Bits) {
        self.cursor = b.bits(4, self.cursor);
        self.gate = b.flag(self.gate);
        self.gate_at = b.bits(4, self.gate_at);
        self.limit = b.bits(4, self.limit);
        self.file_size = b.bits(4, self.file_size);
        self.lock = b.bits(3, self.lock);
        self.crashes = b.bits(2, self.crashes);
        self.journal.kind = Record::of(b.bits(3, self.journal.kind as u8));
        self.holes = b.wide(self.holes);
        self.written = b.wide(self.written);
        for file in &mut self.files[..model.files] {
            file.size = b.bits(4, file.size);
        }
        for message in &mut self.messages[..model.messages] {
            message.fate = Fate::of(b.bits(3, message.fate as u8));
            message.start = b.bits(4, message.start);
        }
        for slot in &mut self.slots[..model.slots()] {
            slot.code(b);
        }
        for process in &mut self.processes[..model.opener()] {
            process.code(model.files > 1, b);
        }
        if model.files > 1 {
            self.code_rotation(model, b);
        }
        if model.configuration.cap > 0 || model.configuration.prunes() {
            self.code_policy(model, b);
        }
        if model.has_outsiders() {
            self.outside = b.wide(self.outside);
        }
        if model.comes_back() {
            self.panicked = b.flag(self.panicked);
            for slot in &mut self.slots[..model.slots()] {
                slot.is_said = b.flag(slot.is_said);
            }
        }
        if model.configuration.disk.is_some() {
            self.free = b.bits(4, self.free);
            self.sparse = b.wide(self.sparse);
        }
        if model.configuration.follower {
            self.code_follower(model.configuration.judges, b);
        }
    }

    #[inline(always)]
    fn code_rotation(&mut self, model: &Model, b: &mut impl Bits) {
        self.base = b.bits(4, self.base);
        self.inode = b.bits(3, self.inode);
        self.generation = b.bits(2, self.generation);
        for entry in &mut self.entries {
            entry.code(b);
        }
        let j = &mut self.journal;
        (j.old, j.new) = (b.bits(3, j.old), b.bits(3, j.new));
        (j.generation, j.position) = (b.bits(2, j.generation), b.bits(4, j.position));
        (j.old_base, j.new_size) = (b.bits(4, j.old_base), b.bits(4, j.new_size));
        (self.path, self.temp) = (b.bits(3, self.path), b.bits(3, self.temp));
        for name in &mut self.names[..model.files - 1] {
            *name = b.bits(3, *name);
        }
        for file in &mut self.files[1..model.files] {
            file.base = b.bits(4, file.base);
        }
        for file in &mut self.files[..model.files] {
            file.is_final = b.flag(file.is_final);
        }
    }

    #[inline(always)]
    fn code_policy(&mut self, model: &Model, b: &mut impl Bits) {
        self.maintenance = b.bits(3, self.maintenance);
        for process in &mut self.processes[..model.opener()] {
            (process.failed, process.owes) = (b.bits(4, process.failed), b.flag(process.owes));
        }
        if model.configuration.prunes() {
            for copy in &mut self.policy.copies {
                (copy.is_set, copy.is_whole) = (b.flag(copy.is_set), b.flag(copy.is_whole));
                copy.segments = b.bits(2, copy.segments);
            }
            self.policy.number = b.bits(1, self.policy.number);
            (self.first_kept, self.durable_kept) = (b.bits(4, self.first_kept), b.bits(4, self.durable_kept));
            self.checkpoint = b.bits(4, self.checkpoint);
            self.durable_path = b.bits(3, self.durable_path);
        }
    }

    #[inline(always)]
    fn code_follower(&mut self, judges: bool, b: &mut impl Bits) {
        let f = &mut self.follower;
        f.at = Following::of(b.bits(5, f.at as u8));
        f.i = b.bits(2, f.i);
        (f.watermark, f.most) = (b.bits(4, f.watermark), b.bits(4, f.most));
        (f.position, f.segment) = (b.bits(4, f.position), b.bits(3, f.segment));
        (f.file, f.generation) = (b.bits(3, f.file), b.bits(2, f.generation));
        f.entry.code(b);
        f.holes = b.wide(f.holes);
        let (phase, position, len) = f.seen;
        f.seen = (Phase::of(b.bits(2, phase as u8)), b.bits(4, position), b.bits(2, len));
        f.is_free = b.flag(f.is_free);
        if judges {
            (f.length, f.found) = (b.bits(4, f.length), b.bits(4, f.found));
            (f.cuts, self.cuts) = (b.bits(3, f.cuts), b.bits(3, self.cuts));
        }
    }
}

impl Slot {
    #[inline(always)]
    fn code(&mut self, b: &mut impl Bits) {
        self.phase = Phase::of(b.bits(2, self.phase as u8));
        self.position = b.bits(4, self.position);
        self.len = b.bits(2, self.len);
        self.owner = b.bits(3, self.owner);
    }
}

impl Entry {
    #[inline(always)]
    fn code(&mut self, b: &mut impl Bits) {
        self.base = b.bits(4, self.base);
        self.inode = b.bits(3, self.inode);
    }
}

impl Process {
    #[inline(always)]
    fn code(&mut self, rotates: bool, b: &mut impl Bits) {
        self.at = Step::of(b.bits(7, self.at as u8));
        self.back = Step::of(b.bits(7, self.back as u8));
        self.task = b.bits(3, self.task);
        self.slot = b.bits(2, self.slot);
        (self.x, self.end) = (b.bits(4, self.x), b.bits(4, self.end));
        (self.c, self.i) = (b.bits(4, self.c), b.bits(2, self.i));
        self.full = b.flag(self.full);
        if rotates {
            (self.base, self.inode) = (b.bits(4, self.base), b.bits(3, self.inode));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::themes::t01_model::explore::Steps;
    use crate::themes::t01_model::models::{Configuration, Task::*};
    use crate::themes::t01_model::seen::Seen;

    #[test]
    fn what_is_packed_comes_back() {
        let programs = &[&[Append(1), Append(2)] as &[_], &[Append(1)], &[Rotate], &[Trim]];
        let model = Model::new(Configuration::of("", programs).deaths(1).disk(3).judged().late());
        let mut worlds = vec![model.initial()];
        let mut seen = Seen::new(Packed::of(&mut model.initial(), &model).len());
        let mut steps = Steps::default();
        let mut at = 0;
        while at < 20_000 {
            steps.from(&model, &worlds[at]).unwrap();
            for (_, next) in steps.iter() {
                let packed = Packed::of(&mut next.clone(), &model);
                let words = &packed.words[..packed.len()];
                assert!(World::unpack(words, &model) == *next);
                if seen.insert(words).1 {
                    worlds.push(*next);
                }
            }
            at += 1;
        }
    }
}
