//! The hostile log: what is not durable may become anything, what nobody holds goes, and hosts are copied.

use mmlog_ship::decide::{Ask, Compared, Log};
use mmlog_ship::machine::Piece;
use mmlog_ship::sum;

use crate::mutants::Mutant;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct History {
    pub(crate) id: u128,
    pub(crate) epoch: u64,
    /// All of it, also what is pruned: the judge compares with that. `None` is a hole.
    pub(crate) bytes: Vec<Option<u8>>,
    pub(crate) durable: usize,
    pub(crate) oldest: usize,
    pub(crate) hold: Option<u64>,
    /// Of these somebody took what they were.
    pub(crate) taken: Vec<usize>,
    /// Where it parts from the log that it was copied from: one byte is another, and those behind it are the same again.
    pub(crate) parts: Option<(usize, u8)>,
}

impl History {
    pub(crate) fn new(id: u128, bytes: usize) -> Self {
        let bytes: Vec<_> = (0..bytes).map(|at| Some(at as u8)).collect();
        let durable = bytes.len();
        History { id, epoch: 1, bytes, durable, oldest: 0, hold: None, taken: vec![], parts: None }
    }

    pub(crate) fn facts(&self) -> Log {
        let (oldest, durable) = (self.oldest as u64, self.durable as u64);
        Log { id: self.id, epoch: self.epoch, oldest, durable, hold: self.hold }
    }

    pub(crate) fn append(&mut self, is_hole: bool) {
        let at = self.bytes.len();
        let byte = match self.parts {
            Some((place, byte)) if place == at => byte,
            _ => at as u8,
        };
        self.bytes.push((!is_hole).then_some(byte));
    }

    /// What is not durable comes back as something else: other bytes, content where a hole was noted, or not at all.
    pub(crate) fn power_cut(&mut self, is_kept: bool) {
        self.epoch += 1;
        if is_kept {
            self.bytes[self.durable..].iter_mut().for_each(|byte| *byte = Some(90));
        } else {
            self.bytes.truncate(self.durable);
        }
    }

    /// A hole whose note was lost reads as NULs: nothing of it was content.
    pub(crate) fn forget_holes(&mut self) {
        self.bytes.iter_mut().filter(|byte| byte.is_none()).for_each(|byte| *byte = Some(0));
    }

    pub(crate) fn compare(&self, ask: Ask, mutant: Option<Mutant>) -> Compared {
        if ask.to.max(ask.end) > self.durable as u64 {
            return Compared::Beyond;
        }
        // What was told to be without bytes, and has some. A hole whose note was lost has NULs.
        let has_content =
            |at: usize| !self.taken.contains(&at) && self.bytes[at].is_some_and(|byte| byte != 0);
        if (ask.gap.max(self.oldest as u64) as usize..ask.end as usize).any(has_content) {
            return Compared::Differs;
        }
        if ask.from < self.oldest as u64 {
            return Compared::Pruned;
        }
        let asked = ask.from as usize..ask.to as usize;
        if self.taken.iter().any(|at| asked.contains(at)) {
            return if mutant == Some(Mutant::TakenDiffers) { Compared::Differs } else { Compared::Pruned };
        }
        let bytes = self.bytes[ask.from as usize..ask.to as usize].iter().copied();
        let passes = |byte: &Option<u8>| byte.is_some() || mutant != Some(Mutant::ProofAcrossGaps);
        let bytes: Option<Vec<u8>> = bytes.filter(passes).collect();
        match bytes.map(|bytes| sum::extend(ask.start, &bytes)) {
            Some(sum) if sum == ask.wanted => Compared::Equal,
            _ => Compared::Differs,
        }
    }

    pub(crate) fn read(&self, from: u64, most: u64, end: usize) -> Piece {
        let from = from as usize;
        if from < self.oldest {
            return Piece::Pruned;
        }
        if from >= end {
            return Piece::End;
        }
        if self.taken.contains(&from) {
            return Piece::Lost { to: from as u64 + 1 };
        }
        let end = self.taken.iter().copied().filter(|at| (from..end).contains(at)).min().unwrap_or(end);
        let is_hole = self.bytes[from].is_none();
        let alike = self.bytes[from..end].iter().take_while(|byte| byte.is_none() == is_hole);
        if is_hole {
            return Piece::Hole { to: (from + alike.count()) as u64 };
        }
        let bytes: Vec<u8> = alike.take(most as usize).filter_map(|byte| *byte).collect();
        Piece::Content { to: (from + bytes.len()) as u64, sum: sum::extend(0, &bytes) }
    }

    /// The bytes that are sent with a unit.
    pub(crate) fn payload(&self, from: u64, to: u64) -> Vec<u8> {
        let end = (to as usize).min(self.bytes.len());
        self.bytes[(from as usize).min(end)..end].iter().filter_map(|byte| *byte).collect()
    }
}
