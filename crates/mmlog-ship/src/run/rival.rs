//! Another shipper that is faster than this one: its units come between the look and the opening, each time.
//!
//! What a dead connection had on its way comes late, too, but ends. So one look tells nothing: several in a row do, in the ever longer
//! times between them, when each finds more of one other run and nothing of this one was taken.

use crate::decide::Tail;
use crate::unit::Run;

/// So many looks in a row tell.
const LOOKS: u32 = 6;

/// What the last looks have found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rival {
    by: Run,
    coordinate: u64,
    looks: u32,
}

impl Rival {
    /// A look of the run `ours`: the run that is alive there besides, once that is certain.
    pub(super) fn seen(&mut self, tail: &Tail, ours: Run) -> Option<Run> {
        let by = tail.top.map_or(0, |top| top.by);
        let has_more = by == self.by && tail.coordinate > self.coordinate;
        let looks = if by != 0 && by != ours && has_more { self.looks + 1 } else { 1 };
        *self = Rival { by, coordinate: tail.coordinate, looks };
        (looks >= LOOKS).then_some(by)
    }

    /// Something of this run was taken.
    pub(super) fn answered(&mut self) {
        *self = Rival::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{Content, Top};

    fn tail(by: Run, coordinate: u64) -> Tail {
        Tail {
            born: 1,
            coordinate,
            top: Some(Top { id: 1, by, connection: 1, over: 0 }),
            content: Content::Empty,
        }
    }

    #[test]
    fn who_sends_at_each_look_is_alive_and_whose_units_end_is_not() {
        let mut rival = Rival::default();
        let found: Vec<_> = (1..=6).map(|at| rival.seen(&tail(7, at), 3)).collect();
        assert_eq!(found, [None, None, None, None, None, Some(7)]);
        // It may come late up to here, and then no more.
        let mut rival = Rival::default();
        assert!([1, 2, 3, 4, 5, 5, 5, 5].iter().all(|at| rival.seen(&tail(7, *at), 3).is_none()));
        // Of this run, or of ever another one.
        let mut rival = Rival::default();
        assert!((1..20).all(|at| rival.seen(&tail(3, at), 3).is_none()));
        assert!((1..20).all(|at| rival.seen(&tail(100 + at, at), 3).is_none()));
        for at in 1..20 {
            assert_eq!(rival.seen(&tail(7, at), 3), None);
            rival.answered();
        }
    }
}
