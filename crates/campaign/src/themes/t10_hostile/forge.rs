//! Makes hostile metadata: what is made depends on the seed and the number alone.

use mmlog::layout::{WRITERS_RANGE, total_len};

use super::fields::Field;
use super::spoil::Forging;
use crate::random::Random;

pub(super) const PAGE: usize = 4096;

/// A valid pair of files.
pub(super) struct Template {
    pub(super) metadata: Vec<u8>,
    pub(super) data: Vec<u8>,
    /// What a reader of it gets, without holes.
    pub(super) content: Vec<u8>,
}

/// What must become of a forgery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Expect {
    /// No crash, no hang, nothing written elsewhere.
    Survival,
    /// It is a log at rest, with its content.
    Good,
    /// No way of opening it succeeds.
    Refused,
}

/// One hostile pair; its metadata is on the canvas.
pub(super) struct Forged {
    pub(super) kind: &'static str,
    pub(super) expect: Expect,
    pub(super) metadata_len: u64,
    /// A log of version 1, which a reader looks at for 200 ms.
    pub(super) is_slow: bool,
    /// Length that the data file is given.
    pub(super) data_len: u64,
    /// For what is done with it.
    pub(super) random: Random,
}

/// Metadata under change, and which of its pages differ from the template.
pub(super) struct Canvas {
    pub(super) bytes: Vec<u8>,
    pub(super) touched: u64,
}

impl Canvas {
    /// Starts over from `template`.
    pub(super) fn restore(&mut self, template: &[u8]) {
        if self.bytes.len() != template.len() {
            (self.bytes, self.touched) = (template.to_vec(), u64::MAX);
        }
        for (i, page) in self.bytes.chunks_mut(PAGE).enumerate().filter(|(i, _)| self.touched & bit(*i) != 0)
        {
            page.copy_from_slice(&template[i * PAGE..][..page.len()]);
        }
        self.touched = 0;
    }

    /// Stores what fits.
    pub(super) fn put(&mut self, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() || offset >= self.bytes.len() {
            return;
        }
        let end = (offset + bytes.len()).min(self.bytes.len());
        self.bytes[offset..end].copy_from_slice(&bytes[..end - offset]);
        (offset / PAGE..=(end - 1) / PAGE).for_each(|page| self.touched |= bit(page));
    }

    pub(super) fn set(&mut self, offset: usize, value: u64) {
        self.put(offset, &value.to_ne_bytes());
    }

    pub(super) fn set32(&mut self, offset: usize, value: u32) {
        self.put(offset, &value.to_ne_bytes());
    }

    pub(super) fn get(&self, field: Field) -> u64 {
        let mut word = [0; 8];
        let size = field.size.min(8);
        word[..size].copy_from_slice(&self.bytes[field.offset..][..size]);
        u64::from_le_bytes(word)
    }

    pub(super) fn fill(&mut self, random: &mut Random, from: usize, to: usize) {
        (from..to).step_by(8).for_each(|at| self.set(at, random.next()));
    }
}

/// The bit of a page; pages that are 64 apart share one.
pub(super) fn bit(page: usize) -> u64 {
    1 << (page % 64)
}

/// Of metadata files: as long as for the most writers.
const LONGEST: u64 = total_len(WRITERS_RANGE.1) as u64;
/// Every so many headers one is left as it is: it must be good.
const UNTOUCHED: u64 = 509;

/// Forges header `number` on the canvas, which is a fresh copy of the template's metadata.
pub(super) fn forge(
    canvas: &mut Canvas,
    template: &Template,
    other: &[u8],
    seed: u64,
    number: u64,
) -> Forged {
    let mut random = Random::new(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    random.next();
    let (metadata_len, data_len) = (template.metadata.len() as u64, template.data.len() as u64);
    if number.is_multiple_of(UNTOUCHED) {
        return Forged {
            kind: "untouched",
            expect: Expect::Good,
            metadata_len,
            is_slow: false,
            data_len,
            random,
        };
    }
    let mut forging = Forging { canvas, random, other, metadata_len, expect: Expect::Survival };
    let kind = forging.spoil();
    if forging.random.below(4) == 0 {
        forging.spoil();
        forging.expect = Expect::Survival;
    }
    let data_len = if forging.random.below(8) == 0 {
        let near = [0, 1, data_len.saturating_sub(1), data_len + 1, 4096, 8191, 8192, 8193, 65_536];
        *forging.random.pick(&near)
    } else {
        data_len
    };
    let Forging { metadata_len, expect, random, .. } = forging;
    let metadata_len = metadata_len.min(LONGEST);
    let is_slow = canvas.bytes[0] == 1;
    Forged { kind, expect, metadata_len, is_slow, data_len, random }
}
