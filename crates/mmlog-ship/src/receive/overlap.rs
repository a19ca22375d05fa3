//! A sink that was put back to an earlier state, and is filled again by its shipper: the same bytes in other units.
//!
//! What it has is compared with what was received, from where the chain begins on. Where the bytes agree it is gone on behind them; where
//! they do not, one of the two has another history.

use super::received::{Absent, Received};
use super::{Fetched, Receiver, Stored};
use crate::trouble::Trouble;
use crate::unit::{Id, Kind};

/// What is compared.
#[derive(Debug)]
pub(super) struct Overlap {
    received: Received,
    /// Up to there they agree; nothing was compared yet where there is none.
    at: Option<u64>,
    /// Of the unit before; 0 where there is none.
    id: Id,
    is_said: bool,
}

impl Overlap {
    /// Units are gone that would come next.
    pub(super) fn passed(&mut self) {
        self.id = 0;
    }
}

impl Receiver<'_> {
    /// The unit that was taken last is another one by now, or none.
    pub(super) fn compare_from_here(&mut self) -> Result<(), Trouble> {
        let Some(chain) = &self.state.chain else {
            // Nothing but openings was taken.
            (self.state.coordinate, self.state.id) = (0, 0);
            return Ok(());
        };
        let received = Received::open(&self.plan.into, chain)?;
        (self.plan.say)(&format!(
            "{}: it was put back to an earlier state: what it has is compared with what was received",
            self.from
        ));
        self.overlap = Some(Overlap { received, at: None, id: 0, is_said: false });
        Ok(())
    }

    /// There is no more: what was received is more than it has.
    pub(super) fn compared_all(&mut self) {
        let Some(overlap) = &mut self.overlap else { return };
        if !std::mem::replace(&mut overlap.is_said, true) {
            let at = overlap.at.map_or("it has nothing of it yet".to_owned(), |at| {
                format!("it has the same up to position {at}")
            });
            (self.plan.say)(&format!(
                "{}: of what was received up to position {} {at}; its shipper fills it again",
                self.from, overlap.received.to
            ));
        }
    }

    /// Whether the unit is one of what was received already, in whole or up to where that ends.
    pub(super) fn compare(&mut self, unit: &Stored, segment: Option<&Fetched>) -> Result<bool, Trouble> {
        let (Some(overlap), Some(chain)) = (&mut self.overlap, &self.state.chain) else { return Ok(false) };
        let (header, place) = (&unit.header, unit.coordinate);
        let before = std::mem::replace(&mut overlap.id, header.id());
        if place < chain.begun || header.kind == Kind::Opening {
            return Ok(true);
        }
        if before != 0 && header.after != before {
            return Err(self.broken(place, "it does not follow the one before"));
        }
        let (ends, is_ours) = (chain.to, header.log == chain.log);
        if header.kind == Kind::Begin && (!is_ours || place != chain.begun) {
            // A chain that was begun since: it has files of its own.
            (self.overlap, self.state.id) = (None, 0);
            return Ok(false);
        }
        let expected = overlap.at.unwrap_or(header.from);
        if !is_ours || header.from != expected || header.from > ends {
            let why = format!(
                "it begins at position {}, and what was received ends at {ends}; receive into another directory",
                header.from
            );
            return Err(self.broken(place, &why));
        }
        let differs = match header.kind {
            Kind::Content => overlap.received.differs_from_unit(header.from, &unit.payload)?,
            Kind::Segment => match segment {
                Some(segment) => segment.differs(&overlap.received)?,
                None => Some(header.from),
            },
            Kind::Gap(_) => overlap.received.content_within(header.from, header.to),
            Kind::Begin | Kind::Opening => None,
        };
        if let Some(at) = differs {
            let why = format!(
                "at position {at} it differs from what was received: this was put back, and has another history since; receive into another directory"
            );
            return Err(self.broken(place, &why));
        }
        if header.to < ends {
            if let Some(overlap) = &mut self.overlap {
                overlap.at = Some(header.to);
            }
            return Ok(true);
        }
        self.go_on_behind(unit, segment, ends)?;
        Ok(true)
    }

    /// They agree: what the unit has behind that is new.
    fn go_on_behind(&mut self, unit: &Stored, segment: Option<&Fetched>, ends: u64) -> Result<(), Trouble> {
        let header = &unit.header;
        (self.plan.say)(&format!(
            "{}: what it has is what was received, up to position {ends}; goes on behind it",
            self.from
        ));
        self.overlap = None;
        match header.kind {
            Kind::Segment => {
                if let Some(segment) = segment {
                    self.segment(segment, ends)?;
                }
            }
            Kind::Content => self.write(&unit.payload[(ends - header.from) as usize..])?,
            Kind::Gap(why) if header.to > ends => self.gap(Absent::Told(why), ends, header.to)?,
            _ => {}
        }
        self.taken(unit)
    }
}
