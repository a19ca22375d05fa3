//! Where epochs began, from which is told what a position of an earlier one means.

use crate::layout::{Epoch, Header};
use crate::sync::Ordering;

/// How an epoch began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Beginning {
    /// The log ended there. What it had had behind was lost, and all that is there now is of this epoch.
    WentOn(u64),
    /// By earlier software: below, all is as it was; where the log ended is not known.
    SameBelow(u64),
}

fn of_epoch(table: &[Epoch], epoch: u64) -> &Epoch {
    &table[(epoch % table.len() as u64) as usize]
}

impl Epoch {
    fn note(&self, epoch: u64, from: u64) {
        if self.epoch.load(Ordering::Relaxed) == epoch {
            // The one that died may have raised the checkpoint already, and bytes of outsiders may have come since.
            self.from.fetch_min(from, Ordering::Relaxed);
            return;
        }
        self.epoch.store(0, Ordering::Relaxed);
        self.from.store(from, Ordering::Release);
        self.epoch.store(epoch, Ordering::Release); // epoch
    }

    fn get(&self, epoch: u64) -> Option<u64> {
        let said = self.epoch.load(Ordering::Acquire); // epoch
        let from = self.from.load(Ordering::Acquire);
        (said == epoch && self.epoch.load(Ordering::Relaxed) == epoch).then_some(from)
    }
}

impl Header {
    /// Notes that another epoch begins, with everything below `synced` as it was, and positions from `end` on given out
    /// anew: before the epoch is raised, and again by whoever finishes what a dead one began.
    pub fn note_beginning(&self, synced: u64, end: u64) {
        let epoch = self.identity.epoch.load(Ordering::Relaxed).wrapping_add(1);
        of_epoch(&self.went_on, epoch).note(epoch, end);
        of_epoch(&self.epochs.began, epoch).note(epoch, synced);
    }

    /// What is known of how that epoch began.
    pub fn beginning(&self, epoch: u64) -> Option<Beginning> {
        let went_on = of_epoch(&self.went_on, epoch).get(epoch).map(Beginning::WentOn);
        went_on.or_else(|| of_epoch(&self.epochs.began, epoch).get(epoch).map(Beginning::SameBelow))
    }
}
