//! Makes in a metadata file, word by word, what a process leaves that is killed or stopped at that point.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use mmlog::layout::SLOTS_AT;

/// Offsets of words in the metadata file, see `mmlog::layout`.
pub const FILE_SIZE: usize = 0x08;
pub const CURSOR: usize = 0x10;
pub const LIMIT: usize = 0x40;
pub const GATE_AT: usize = 0x50;
pub const DATA_WAKE_WANT: usize = 0x6c4;
pub const HIGH_WATER: usize = 0x180;
pub const JOURNAL: usize = 0x2c0;
/// States of a slot.
pub const RESERVING: u64 = 1;
pub const WAITING: u64 = 2;
pub const COPYING: u64 = 3;
/// The journal's kind while a trim is under way.
pub const TRIM: u64 = 4;
/// The bit of the cursor that is the gate.
pub const GATE: u64 = 1 << 63;

/// Writes into a metadata file that others have mapped.
pub struct Surgeon(pub File);

impl Surgeon {
    pub fn new(log: &Path) -> Self {
        Self(File::options().read(true).write(true).open(super::metadata_of(log)).unwrap())
    }

    /// The log is of another boot now.
    pub fn reboot(&self) {
        mmlog::pretend_reboot(&self.0).unwrap();
    }

    pub fn get(&self, offset: usize) -> u64 {
        let mut word = [0; 8];
        self.0.read_exact_at(&mut word, offset as u64).unwrap();
        u64::from_ne_bytes(word)
    }

    pub fn get32(&self, offset: usize) -> u32 {
        let mut word = [0; 4];
        self.0.read_exact_at(&mut word, offset as u64).unwrap();
        u32::from_ne_bytes(word)
    }

    pub fn set(&self, offset: usize, value: u64) {
        self.0.write_all_at(&value.to_ne_bytes(), offset as u64).unwrap();
    }

    /// The word of that slot.
    pub fn pending(&self, slot: usize) -> u64 {
        self.get(SLOTS_AT + 128 * slot)
    }

    pub fn set_pending(&self, slot: usize, state: u64, position: u64) {
        self.set(SLOTS_AT + 128 * slot, state << 62 | position);
    }

    /// An append of `len` bytes at the cursor that came as far as `state`; returns its start.
    pub fn append_in_flight(&self, slot: usize, state: u64, len: u64) -> u64 {
        let start = self.get(CURSOR);
        self.set(SLOTS_AT + 128 * slot + 8, len);
        self.set_pending(slot, state, start & !GATE);
        self.set(CURSOR, start + len);
        if self.get32(HIGH_WATER) as usize <= slot {
            self.0.write_all_at(&(slot as u32 + 1).to_ne_bytes(), HIGH_WATER as u64).unwrap();
        }
        start & !GATE
    }
}
