//! The world of the model: the words of the metadata, the kernel's locks, directory, files and disk, and
//! where everybody stands; beside that, known to nobody in it, what really happened.
//!
//! A byte is one position, a page is one byte. What a file holds needs no values: the first byte that lands
//! where it does not belong ends the run, so "written" says all.

use super::broken::{Kind, Outcome, broken};
use super::steps::{Following, Step, coded, keep};

pub(super) const PROCESSES: usize = 6;
pub(super) const SLOTS: usize = 3;
pub(super) const MESSAGES: usize = 6;
pub(super) const FILES: usize = 4;

pub(super) const NOBODY: u8 = 7;
pub(super) const NO_SLOT: u8 = 3;
pub(super) const NO_FILE: u8 = 7;
/// Of a follower that has not begun.
pub(super) const NO_SEGMENT: u8 = 7;
/// Pages on a disk that is never full.
pub(super) const PLENTY: u8 = 100;
/// Base of a file that is no segment yet.
pub(super) const NO_BASE: u8 = 15;

coded! {
    /// State of a slot.
    Phase { Idle, Reserving, Waiting, Copying }
}

coded! {
    /// What really became of a message.
    Fate {
        /// Not reserved; or refused before.
        None,
        InFlight,
        Acknowledged,
        /// Its writer died or gave up; the range is a hole.
        Abandoned,
        /// Its writer died between reserving and saying where: the documented exception.
        Unplaced,
    }
}

coded! {
    /// Kind of the journal. With one record a rotation stays at `Rotate1`.
    Record { Empty, Rotate1, Rotate2, Rotate3, Trim }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) phase: Phase,
    pub(super) position: u8,
    pub(super) len: u8,
    /// Who holds its lock byte.
    pub(super) owner: u8,
    /// The record says that somebody does.
    pub(super) is_said: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Journal {
    pub(super) kind: Record,
    pub(super) old: u8,
    pub(super) new: u8,
    pub(super) generation: u8,
    pub(super) position: u8,
    pub(super) old_base: u8,
    pub(super) new_size: u8,
}

impl Journal {
    pub(super) const EMPTY: Self =
        Self { kind: Record::Empty, old: 0, new: 0, generation: 0, position: 0, old_base: 0, new_size: 0 };
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) base: u8,
    pub(super) inode: u8,
}

/// How many final segments are kept, in two copies: `number` says which one is in force.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) copies: [Keep; 2],
    pub(super) number: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Keep {
    pub(super) is_set: bool,
    pub(super) segments: u8,
    /// Whether its check word fits.
    pub(super) is_whole: bool,
}

/// A file; its index is its inode number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct File {
    pub(super) size: u8,
    /// Position of its first byte, once it is a segment.
    pub(super) base: u8,
    /// A later segment is at the path.
    pub(super) is_final: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) fate: Fate,
    pub(super) start: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) at: Step,
    /// Where it goes on after a subroutine.
    pub(super) back: Step,
    pub(super) task: u8,
    pub(super) slot: u8,
    /// The segment that its handle has open.
    pub(super) base: u8,
    pub(super) inode: u8,
    pub(super) x: u8,
    pub(super) end: u8,
    pub(super) c: u8,
    pub(super) i: u8,
    pub(super) full: bool,
    /// The base of the segment that this append could not rotate, or [`NO_BASE`].
    pub(super) failed: u8,
    /// This append has rotated, and prunes when it is settled.
    pub(super) owes: bool,
}

impl Process {
    pub(super) const NEW: Self = Self {
        at: Step::Ready,
        back: Step::Ready,
        task: 0,
        slot: NO_SLOT,
        base: 0,
        inode: 0,
        x: 0,
        end: 0,
        c: 0,
        i: 0,
        full: false,
        failed: NO_BASE,
        owes: false,
    };

    pub(super) fn enter(&mut self, to: Step) {
        let keeps = to.keeps();
        self.at = to;
        for (register, bit) in [
            (&mut self.x, keep::X),
            (&mut self.end, keep::END),
            (&mut self.c, keep::C),
            (&mut self.i, keep::I),
        ] {
            if keeps & bit == 0 {
                *register = 0;
            }
        }
        self.full &= keeps & keep::FULL != 0;
        if keeps & keep::BACK == 0 {
            self.back = Step::Ready;
        }
    }

    /// To the next of its tasks.
    pub(super) fn goes_on(&mut self) {
        self.task += 1;
        (self.failed, self.owes) = (NO_BASE, false);
    }

    pub(super) fn end(&mut self, at: Step) {
        *self = Self { at, slot: if at == Step::Dead { NO_SLOT } else { self.slot }, ..Self::NEW };
    }
}

/// A reader that may not write the metadata.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Follower {
    pub(super) at: Following,
    pub(super) i: u8,
    /// The watermark that it is computing, and the most there was.
    pub(super) watermark: u8,
    pub(super) most: u8,
    /// What it reads next, in which segment, from which file.
    pub(super) position: u8,
    pub(super) segment: u8,
    pub(super) file: u8,
    /// The generation it saw last, and that one's entry.
    pub(super) generation: u8,
    pub(super) entry: Entry,
    /// Holes it knows, a bit a position.
    pub(super) holes: u16,
    pub(super) seen: (Phase, u8, u8),
    pub(super) is_free: bool,
    /// Counts of cuts and lengths that it compares.
    pub(super) cuts: u8,
    pub(super) length: u8,
    pub(super) found: u8,
}

impl Follower {
    pub(super) const NEW: Self = Self {
        at: Following::Idle,
        i: 0,
        watermark: 0,
        most: 0,
        position: 0,
        segment: 0,
        file: NO_FILE,
        generation: 0,
        entry: Entry { base: 0, inode: 0 },
        holes: 0,
        seen: (Phase::Idle, 0, 0),
        is_free: false,
        cuts: 0,
        length: 0,
        found: 0,
    };
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct World {
    // The metadata.
    pub(super) cursor: u8,
    pub(super) gate: bool,
    pub(super) gate_at: u8,
    pub(super) limit: u8,
    pub(super) file_size: u8,
    pub(super) base: u8,
    pub(super) inode: u8,
    pub(super) generation: u8,
    pub(super) entries: [Entry; 2],
    pub(super) journal: Journal,
    pub(super) slots: [Slot; SLOTS],
    /// The table of holes, a bit a position.
    pub(super) holes: u16,
    /// Raised before each cut, where followers judge lengths.
    pub(super) cuts: u8,
    pub(super) policy: Policy,
    pub(super) first_kept: u8,
    pub(super) checkpoint: u8,
    pub(super) panicked: bool,
    // The kernel.
    pub(super) lock: u8,
    /// Who carries a policy out: the maintenance byte. (Who rotates or trims by command does without.)
    pub(super) maintenance: u8,
    pub(super) path: u8,
    pub(super) temp: u8,
    /// Stable names, by generation.
    pub(super) names: [u8; FILES],
    pub(super) files: [File; FILES],
    /// Pages that are left on the disk.
    pub(super) free: u8,
    /// The `first_kept` that a power cut leaves, and the file at the path. Nothing else is ever synced here.
    pub(super) durable_kept: u8,
    pub(super) durable_path: u8,
    // Everybody.
    pub(super) processes: [Process; PROCESSES],
    pub(super) follower: Follower,
    // The truth.
    pub(super) messages: [Message; MESSAGES],
    pub(super) written: u16,
    /// Positions with bytes that an outsider has put behind the log at rest, by `>>`.
    pub(super) outside: u16,
    /// Positions inside a file that have no space.
    pub(super) sparse: u16,
    pub(super) crashes: u8,
}

pub(super) fn bits(start: u8, end: u8) -> u16 {
    if start >= end { 0 } else { (((1u32 << (end - start)) - 1) << start) as u16 }
}

impl World {
    /// The segment's file that has `position`, whatever anybody believes.
    pub(super) fn file_of(&self, position: u8) -> u8 {
        let segments = (0..FILES as u8).filter(|&f| self.files[f as usize].base <= position);
        segments.max_by_key(|&f| self.files[f as usize].base).unwrap_or(NO_FILE)
    }

    /// A store at `position` through a handle that takes `inode` for the segment which begins at `base`.
    fn target(&self, who: &str, inode: u8, base: u8, position: u8) -> Outcome {
        let Some(file) = self.files.get(inode as usize) else {
            return broken(Kind::Misplaced, format!("{who} has no file to store position {position} in"));
        };
        if file.is_final {
            return broken(
                Kind::FinalSegment,
                format!("{who} stores position {position} in file {inode}, which is final"),
            );
        }
        if file.base != base {
            let at = file.base;
            return broken(
                Kind::Misplaced,
                format!(
                    "{who} stores position {position} in file {inode}, which begins at {at}, as if at {base}"
                ),
            );
        }
        if position < base || position - base >= file.size {
            let size = file.size;
            return broken(
                Kind::Beyond,
                format!(
                    "{who} stores position {position} beyond the end of its file: base {base}, size {size}"
                ),
            );
        }
        Ok(())
    }

    pub(super) fn store(&mut self, who: &str, inode: u8, base: u8, position: u8) -> Outcome {
        self.target(who, inode, base, position)?;
        if self.sparse & 1 << position != 0 {
            return broken(
                Kind::Beyond,
                format!("{who} stores position {position}, which has no space behind it"),
            );
        }
        if self.written & 1 << position != 0 {
            return broken(Kind::Overlap, format!("{who} stores position {position}, which is written"));
        }
        self.written |= 1 << position;
        self.outside &= !(1 << position);
        Ok(())
    }

    pub(super) fn zero(&mut self, who: &str, inode: u8, base: u8, position: u8) -> Outcome {
        self.target(who, inode, base, position)?;
        self.written &= !(1 << position);
        self.outside &= !(1 << position);
        Ok(())
    }

    /// `ftruncate` to something not longer.
    pub(super) fn cut(&mut self, who: &str, inode: u8, size: u8) -> Outcome {
        let file = self.files[inode as usize];
        if file.base != NO_BASE {
            let lost =
                (file.base + size..16).find(|&p| self.written & 1 << p != 0 && self.file_of(p) == inode);
            if let Some(position) = lost {
                return broken(
                    Kind::Lost,
                    format!(
                        "{who} cuts file {inode} to {size}, and with it position {position}, which is written"
                    ),
                );
            }
        }
        self.free_pages(inode, size);
        if file.base != NO_BASE && size < file.size {
            self.outside &= !bits(file.base + size, file.base + file.size);
        }
        self.files[inode as usize].size = size;
        Ok(())
    }

    fn free_pages(&mut self, inode: u8, size: u8) {
        let file = self.files[inode as usize];
        let gone = file.size.saturating_sub(size);
        let sparse = if file.base == NO_BASE {
            0
        } else {
            bits(file.base + size, file.base + file.size) & self.sparse
        };
        self.free += gone - sparse.count_ones() as u8;
        self.sparse &= !sparse;
    }

    /// The temporary file loses its name, and thereby its pages.
    pub(super) fn unlink_temp(&mut self) {
        let inode = self.temp;
        self.free_pages(inode, 0);
        self.files[inode as usize] = File { size: 0, base: NO_BASE, is_final: false };
        self.temp = NO_FILE;
    }

    /// Whether prune has given the whole segment up, as a power cut leaves it.
    pub(super) fn is_pruned(&self, file: &File) -> bool {
        let ends = self.files.iter().map(|f| f.base).filter(|&base| base != NO_BASE && base > file.base);
        ends.min().is_some_and(|end| end <= self.durable_kept)
    }

    /// Whether a file is neither at the path, nor the temporary one, nor has a stable name.
    pub(super) fn is_unused(&self, inode: u8) -> bool {
        self.files[inode as usize].base == NO_BASE && self.temp != inode
    }

    /// A process ends, however: the kernel takes its locks back. What it had in flight is a hole from now on.
    pub(super) fn kill(&mut self, process: usize) {
        let me = process as u8;
        for byte in [&mut self.lock, &mut self.maintenance].into_iter().filter(|byte| **byte == me) {
            *byte = NOBODY;
        }
        for slot in self.slots.iter_mut().filter(|slot| slot.owner == me) {
            slot.owner = NOBODY;
        }
        self.processes[process].end(Step::Dead);
    }
}
