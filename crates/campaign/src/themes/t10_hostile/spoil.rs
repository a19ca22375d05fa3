//! The ways to spoil a header.

use std::mem::offset_of;

use mmlog::layout::{
    Checkpoint, Control, GATE, HOLES_AT, HOLES_MAX, HighWater, HoleCounts, HoleEntry, Identity, Journal,
    POSITION_END, SLOTS_AT, Slot, SlotHot, Tables, total_len,
};

use super::fields::{FIELDS, Field};
use super::forge::{Canvas, Expect, PAGE};
use crate::random::Random;
use crate::surgeon::word;

const CURSOR: usize = word!(control: Control, cursor) as usize;
const FILE_SIZE: usize = word!(control: Control, file_size) as usize;
const LIMIT: usize = word!(control: Control, limit) as usize;
const BASE: usize = word!(control: Control, base) as usize;
const CHUNK_SIZE: usize = word!(control: Control, chunk_size) as usize;
const PAGE_SIZE: usize = word!(control: Control, page_size) as usize;
const GATE_MS: usize = word!(control: Control, gate_ms) as usize;
const MAX_WRITERS: usize = word!(tables: Tables, max_writers) as usize;
const TOTAL_LEN: usize = word!(tables: Tables, total_len) as usize;
const MAGIC: usize = word!(identity: Identity, magic) as usize;

/// How often, its name, and the way.
type Kind = (u64, &'static str, fn(&mut Forging<'_>));

/// The ways to spoil a canvas, and how often each is taken.
const KINDS: &[Kind] = &[
    (30, "fields", |f| (0..=f.random.below(4)).for_each(|_| f.field())),
    (8, "bits", |f| (0..=f.random.below(8)).for_each(|_| f.bit())),
    (10, "words", |f| (0..=f.random.below(8)).for_each(|_| f.any_word())),
    (12, "slots", |f| f.slots()),
    (8, "holes", |f| f.holes()),
    (6, "journal", |f| f.journal()),
    (18, "lies", |f| f.lies()),
    (4, "random header", |f| f.random_header()),
    (2, "random bytes", |f| f.random_bytes()),
    (6, "length", |f| f.length()),
    (4, "regions", |f| f.regions()),
    (4, "another log's", |f| f.of_another_log()),
    (4, "version 1", |f| f.version_1()),
    (1, "byte order", |f| f.byte_order()),
    (2, "versions", |f| f.versions()),
];

/// A header in the making.
pub(super) struct Forging<'a> {
    pub(super) canvas: &'a mut Canvas,
    pub(super) random: Random,
    /// Metadata of another log.
    pub(super) other: &'a [u8],
    pub(super) metadata_len: u64,
    pub(super) expect: Expect,
}

/// A value that is likely to hurt in a field that holds `old`.
pub(super) fn value(random: &mut Random, old: u64, others: &[u64; 2]) -> u64 {
    let noise = random.next();
    let values = [
        0,
        1,
        2,
        noise & 0xff,
        noise & 0xffff,
        noise,
        noise % POSITION_END,
        u64::MAX,
        u64::MAX - 1,
        u64::from(u32::MAX),
        1 << 31,
        1 << 63,
        old ^ GATE,
        POSITION_END,
        POSITION_END - 1,
        old.wrapping_add(1),
        old.wrapping_sub(1),
        old ^ 1 << (noise % 64),
        old.wrapping_add(4096),
        old.wrapping_sub(4096),
        old.wrapping_mul(2),
        old & !4095,
        4096,
        65_536,
        1 << 20,
        1 << 30,
        (1 << 30) + 1,
        1 << 40,
        others[0],
        others[1],
    ];
    *random.pick(&values)
}

impl Forging<'_> {
    /// Spoils it in one way, and says which.
    pub(super) fn spoil(&mut self) -> &'static str {
        let mut at = self.random.below(KINDS.iter().map(|k| k.0).sum());
        let chosen = KINDS.iter().find(|(weight, ..)| {
            let here = at < *weight;
            at = at.wrapping_sub(*weight);
            here
        });
        let Some((_, name, act)) = chosen else { return "none" };
        act(self);
        name
    }

    /// As [`value`], with what else is in the header.
    fn value(&mut self, old: u64) -> u64 {
        let other = *self.random.pick(FIELDS);
        let others = [self.canvas.get(other), self.position()];
        value(&mut self.random, old, &others)
    }

    /// A position near what the header says.
    fn position(&mut self) -> u64 {
        let word = |offset| Field { offset, size: 8 };
        let near = *self.random.pick(&[CURSOR, FILE_SIZE, LIMIT, BASE]);
        let at = self.canvas.get(word(near)) & !GATE;
        let by = *self.random.pick(&[0, 1, 7, 100, 4095, 4096, 4097, 1 << 20, 1 << 30, 1 << 45]);
        if self.random.below(2) == 0 { at.wrapping_add(by) } else { at.saturating_sub(by) }
    }

    fn field(&mut self) {
        let field = *self.random.pick(FIELDS);
        let word = Field {
            offset: field.offset + self.random.below(field.size.div_ceil(8) as u64) as usize * 8,
            ..field
        };
        let word = Field { size: word.size.min(8), ..word };
        let value = self.value(self.canvas.get(word));
        self.canvas.put(word.offset, &value.to_le_bytes()[..word.size]);
    }

    fn bit(&mut self) {
        let len = if self.random.below(4) == 0 { self.canvas.bytes.len() } else { 0x340 };
        let at = self.random.below(len as u64) as usize;
        let byte = self.canvas.bytes[at] ^ 1 << self.random.below(8);
        self.canvas.put(at, &[byte]);
    }

    fn any_word(&mut self) {
        let len = if self.random.below(2) == 0 { self.canvas.bytes.len() } else { PAGE };
        let offset = self.random.below(len as u64 / 8) as usize * 8;
        let value = self.value(self.canvas.get(Field { offset, size: 8 }));
        self.canvas.set(offset, value);
    }

    /// Slots as their owners may have left them, and as nobody could.
    fn slots(&mut self) {
        let there = (self.canvas.bytes.len() - SLOTS_AT) / size_of::<Slot>();
        let used = if self.random.below(4) == 0 { self.random.next() as u32 } else { there as u32 };
        self.canvas.set32(word!(high_water: HighWater, slots) as usize, used);
        for slot in 0..there {
            let at = SLOTS_AT + slot * size_of::<Slot>();
            let pending = self.random.below(4) << 62 | (self.position() % POSITION_END);
            let (old, noise) = (self.random.below(5000), self.random.below(3));
            let len = if noise == 0 { self.value(old) } else { old };
            self.canvas.set(at + offset_of!(SlotHot, pending), pending);
            self.canvas.set(at + offset_of!(SlotHot, len), len);
            if self.random.below(4) == 0 {
                self.canvas.fill(&mut Random::new(len), at + 64, at + 128);
            }
        }
        if self.random.below(2) == 0 {
            let cursor = self.position();
            self.canvas.set(CURSOR, cursor);
        }
    }

    fn holes(&mut self) {
        let many = [1, 3, 20, HOLES_MAX as u64];
        let count = *self.random.pick(&many);
        for _ in 0..count {
            let at = HOLES_AT + self.random.below(HOLES_MAX as u64) as usize * size_of::<HoleEntry>();
            let (start, old) = (self.position(), self.random.below(3000));
            let len = if self.random.below(3) == 0 { self.value(old) } else { old };
            let kind = self.random.below(5) as u32;
            self.canvas.set(at + offset_of!(HoleEntry, start), start.wrapping_add(1));
            self.canvas.set(at + offset_of!(HoleEntry, len), len);
            self.canvas.set32(at + offset_of!(HoleEntry, kind), kind);
        }
        let noted = self.value(count);
        self.canvas.set(word!(hole_counts: HoleCounts, noted) as usize, noted);
    }

    fn journal(&mut self) {
        let at = word!(journal: Journal, kind) as usize;
        let kind = if self.random.below(4) == 0 { self.random.next() } else { self.random.below(6) };
        self.canvas.set(at, kind);
        for field in 1..7 {
            let value = self.position();
            let value = self.value(value);
            self.canvas.set(at + 8 * field, value);
        }
        let gate = if self.random.below(2) == 0 { GATE } else { 0 };
        let cursor = self.canvas.get(Field { offset: CURSOR, size: 8 });
        self.canvas.set(CURSOR, cursor & !GATE | gate);
    }

    /// A header whose fields fit each other, but not the files.
    fn lies(&mut self) {
        if self.random.below(3) == 0 {
            let most = 1 << *self.random.pick(&[1, 4, 10, 18]);
            let chunk = 4096 * (1 + self.random.below(most));
            self.canvas.set32(CHUNK_SIZE, chunk.min(1 << 30) as u32);
            let page = 4096 * (1 + self.random.below(16));
            self.canvas.set32(PAGE_SIZE, page as u32);
            let gate_ms = 1 + self.random.below(40);
            self.canvas.set32(GATE_MS, gate_ms as u32);
        }
        if self.random.below(3) == 0 {
            let most = 1 << *self.random.pick(&[2, 7, 14]);
            let writers = 1 + self.random.below(most) as u32;
            self.canvas.set32(MAX_WRITERS, writers);
            self.canvas.set(TOTAL_LEN, total_len(writers) as u64);
            if self.random.below(4) != 0 {
                self.metadata_len = total_len(writers) as u64;
            }
        }
        let base = *self.random.pick(&[0, 4096, 1 << 20, 1 << 40, POSITION_END - (1 << 20)]);
        let size = *self.random.pick(&[0, 1, 3000, 4096, 8192, 65_536, 1 << 30, 1 << 41]);
        let over = *self.random.pick(&[0, 0, 1, 4096, 100_000, 1 << 30, 3 << 30]);
        let cursor = base + if self.random.below(2) == 0 { self.random.below(size + 1) } else { size + over };
        let limit = if self.random.below(4) == 0 { self.position() } else { base + size };
        let gate = if self.random.below(4) == 0 { GATE } else { 0 };
        for (offset, value) in [(BASE, base), (FILE_SIZE, size), (LIMIT, limit), (CURSOR, cursor | gate)] {
            self.canvas.set(offset, value);
        }
        if self.random.below(4) == 0 {
            let boot = self.random.next();
            self.canvas.set(word!(identity: Identity, boot_id) as usize, boot);
            let synced = self.position();
            self.canvas.set(word!(checkpoint: Checkpoint, synced) as usize, synced);
        }
    }

    /// Noise behind an identity that is believed.
    fn random_header(&mut self) {
        let kept: Vec<(usize, Vec<u8>)> =
            [(0, 8), (PAGE_SIZE, 8), (GATE_MS, 4), (MAGIC, 16), (TOTAL_LEN - 0x28, 0x30)]
                .map(|(at, len)| (at, self.canvas.bytes[at..at + len].to_vec()))
                .into();
        let end = if self.random.below(2) == 0 { PAGE } else { 0x600 };
        self.canvas.fill(&mut self.random, 0, end);
        kept.iter().for_each(|(at, bytes)| self.canvas.put(*at, bytes));
    }

    fn random_bytes(&mut self) {
        let end = *self.random.pick(&[8, 32, 64, PAGE, self.canvas.bytes.len() / 8 * 8]);
        self.canvas.fill(&mut self.random, 0, end);
    }

    fn length(&mut self) {
        let whole = self.metadata_len;
        let short = [
            0,
            1,
            4,
            5,
            7,
            8,
            31,
            32,
            33,
            0xc8,
            4095,
            4096,
            4097,
            HOLES_AT as u64,
            SLOTS_AT as u64 - 1,
            SLOTS_AT as u64,
        ];
        let near = [SLOTS_AT as u64 + 127, whole.saturating_sub(1), whole + 1, whole + 4096, whole * 4];
        if self.random.below(2) == 0 {
            self.metadata_len = *self.random.pick(&short);
            self.expect = Expect::Refused;
        } else {
            self.metadata_len = *self.random.pick(&near);
        }
    }

    fn regions(&mut self) {
        let unit = *self.random.pick(&[8, 64, 64, 256, PAGE]);
        let units = (self.canvas.bytes.len() / unit) as u64;
        for _ in 0..=self.random.below(3) {
            let [one, two] = [0; 2].map(|_| self.random.below(units) as usize * unit);
            let (left, right) =
                (self.canvas.bytes[one..one + unit].to_vec(), self.canvas.bytes[two..two + unit].to_vec());
            self.canvas.put(one, &right);
            if self.random.below(2) == 0 {
                self.canvas.put(two, &left);
            }
        }
    }

    fn of_another_log(&mut self) {
        let (from, to) = match self.random.below(4) {
            0 => (0, self.other.len()),
            1 => (0, PAGE),
            2 => (PAGE, self.other.len()),
            _ => {
                let at = self.random.below(0x340 / 64) as usize * 64;
                (at, at + 64 * (1 + self.random.below(4) as usize))
            }
        };
        self.canvas.put(from, &self.other[from..to]);
    }

    /// The original's 32 bytes, alone or before other things.
    fn version_1(&mut self) {
        let (size, cursor) = (self.random.below(70_000), self.random.below(70_000));
        let (size, cursor) =
            (if self.random.below(3) == 0 { self.value(size) } else { size }, self.value(cursor));
        let flags = if self.random.below(3) == 0 { self.random.next() } else { 1 };
        let (page, chunk) =
            (*self.random.pick(&[4096, 0, 1, 65_536]), *self.random.pick(&[4096, 65_536, 0, 5000]));
        self.canvas.set32(0, 1);
        self.canvas.set32(4, flags as u32);
        self.canvas.set(8, size);
        self.canvas.set(16, cursor);
        self.canvas.set32(PAGE_SIZE, page);
        self.canvas.set32(CHUNK_SIZE, chunk);
        if self.random.below(4) != 0 {
            self.metadata_len = *self.random.pick(&[32, 32, 31, 33, 4096]);
        }
    }

    fn byte_order(&mut self) {
        for field in FIELDS.iter().filter(|f| f.size <= 8) {
            let mut bytes = self.canvas.bytes[field.offset..][..field.size].to_vec();
            bytes.reverse();
            self.canvas.put(field.offset, &bytes);
        }
        self.expect = Expect::Refused;
    }

    fn versions(&mut self) {
        if self.random.below(2) == 0 {
            let version = 3 + self.random.next() as u32 % (u32::MAX - 3);
            self.canvas.set32(0, version);
        } else {
            let at = MAGIC + self.random.below(5) as usize;
            let byte = self.canvas.bytes[at] ^ 0x20;
            self.canvas.put(at, &[byte]);
        }
        self.expect = Expect::Refused;
    }
}
