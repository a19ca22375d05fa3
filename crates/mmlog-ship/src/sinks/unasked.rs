//! Sinks that cannot be asked what they have: they take what they are told, and say that they took it.
//!
//! So the checkpoint is all that is known. It is behind what was acknowledged, and the hold is behind it: wherever is gone on from there,
//! nothing is missing, and what was acknowledged since is there again. Coordinates are counted here, and mean nothing to the sink.

use crate::checkpoint::Known;
use crate::decide::{Content, Tail, Top};
use crate::unit::{Header, Kind};

/// What is known of one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unasked {
    tail: Tail,
}

/// Whether such a sink hears nothing of units of that kind: they move a tail, and there is none.
pub(super) fn is_for_us(kind: Kind) -> bool {
    matches!(kind, Kind::Opening | Kind::Begin)
}

impl Unasked {
    /// Nothing yet; `born` says which sink it is.
    pub(super) fn new(born: u64) -> Self {
        Unasked { tail: Tail { born, coordinate: 0, top: None, content: Content::Unasked } }
    }

    /// What was written down.
    pub(super) fn remember(&mut self, known: Option<Known>) {
        if let Some(place) = known.and_then(|known| known.place) {
            self.tail.coordinate = place.coordinate;
        }
    }

    /// It took that.
    pub(super) fn acknowledged(&mut self, unit: &Header, coordinate: u64) -> u64 {
        (self.tail.coordinate, self.tail.top) = (coordinate, Some(Top::of(unit)));
        coordinate
    }

    /// For whoever looks.
    pub(super) fn tail(&self) -> Tail {
        self.tail
    }
}
