//! Which records of a partition count.
//!
//! A server of Kafka appends whatever comes: what a dead connection still had on its way, what a second shipper sends. But all who read a
//! partition read it in the same order. So a unit counts if it follows, by its `mm-after`, the last one that counted before it; whatever
//! does not follow does not count, for nobody, ever. That is the fence: the others' units are there, and are no part of the log.
//!
//! Who has the unit that counted at some place reads on from there. Who has none reads the partition from its first record. Where
//! that is gone, he reads until he has met units that certainly count: a shipper sends more than an opening only when that
//! counted, and has so many units on their way at most.

use crate::decide::Top;
use crate::unit::{Header, Id, Kind};

/// A connection has so many units on their way at most, so it has no more that do not count.
pub(super) const UNITS: usize = 128;

/// Records that were read, one after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Chain {
    /// What the first unit has to follow, where that is known.
    behind: Option<Id>,
    last: Option<Last>,
    /// The last unit that is no opening, and its coordinate.
    pub(super) content: Option<(u64, Header)>,
    /// So many units of one connection, one behind the other.
    run: usize,
    is_sure: bool,
    /// What does not count.
    pub(super) beside: Beside,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    kind: Kind,
    top: Top,
    born: u64,
}

/// What is in a partition and is no part of the log's chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Beside {
    /// Where the first of them is.
    pub(super) first: u64,
    /// Units that do not follow, and their bytes.
    pub(super) units: u64,
    pub(super) bytes: u64,
    /// Records that are no units.
    pub(super) others: u64,
}

impl Chain {
    /// Behind the unit of that id; 0 before the first one.
    pub(super) fn behind(id: Id) -> Self {
        Chain { behind: Some(id), is_sure: true, ..Chain::default() }
    }

    /// Somewhere.
    pub(super) fn somewhere() -> Self {
        Chain::default()
    }

    /// From a unit that counts.
    pub(super) fn from(at: u64, unit: &Header, born: u64) -> Self {
        let mut chain = Chain::behind(unit.after);
        chain.add(at, unit, born);
        // An opening that counts says as much of the log as what is below it.
        chain.content = Some((at, *unit));
        chain
    }

    /// Whether it is certain which units count.
    pub(super) fn is_sure(&self) -> bool {
        self.is_sure
    }

    /// Whether it begins behind a unit.
    pub(super) fn has_before(&self) -> bool {
        self.behind.is_some_and(|id| id != 0)
    }

    /// What the next one is to follow.
    pub(super) fn top(&self) -> Option<Top> {
        let before = self.behind.filter(|id| *id != 0).map(|id| Top { id, by: 0, connection: 0, over: 0 });
        self.last.map(|last| last.top).or(before)
    }

    /// When the sink was made, as the last unit says.
    pub(super) fn born(&self) -> Option<u64> {
        self.last.map(|last| last.born)
    }

    /// A unit.
    pub(super) fn add(&mut self, at: u64, unit: &Header, born: u64) {
        let follows = match &self.last {
            Some(last) => last.top.id == unit.after,
            None => self.behind.is_none_or(|id| id == unit.after),
        };
        if !follows && self.is_sure {
            self.beside.add(at);
            (self.beside.units, self.beside.bytes) =
                (self.beside.units + 1, self.beside.bytes + unit.length());
            return;
        }
        let is_of = |last: &Last| (last.top.by, last.top.connection) == (unit.by, unit.connection);
        let same = self.last.as_ref().filter(|last| follows && is_of(last));
        self.run = if same.is_some() { self.run + 1 } else { 1 };
        let is_confirmed = same.is_some_and(|last| last.kind == Kind::Opening && unit.kind != Kind::Opening);
        self.is_sure |= is_confirmed || self.run > UNITS;
        if !follows {
            self.content = None;
        }
        if unit.kind != Kind::Opening {
            self.content = Some((at, *unit));
        }
        self.last = Some(Last { kind: unit.kind, top: Top::of(unit), born });
    }

    /// A record that is no unit.
    pub(super) fn other(&mut self, at: u64) {
        self.beside.add(at);
        self.beside.others += 1;
    }
}

impl Beside {
    fn add(&mut self, at: u64) {
        if self.units + self.others == 0 {
            self.first = at;
        }
    }

    /// What people should know of it.
    pub(super) fn notes(&self) -> Vec<String> {
        let from = format!("of its records from offset {} on", self.first.saturating_sub(1));
        let mut notes = Vec::new();
        if self.units > 0 {
            notes.push(format!(
                "doubles: {from}, {} units with {} bytes follow none that counts: a connection that was dead had them on its way, or another shipper sent them; who reads leaves them out",
                self.units, self.bytes
            ));
        }
        if self.others > 0 {
            notes.push(format!(
                "{from}, {} are no units: somebody else writes there; who reads leaves them out",
                self.others
            ));
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unit::Proof;

    fn unit(kind: Kind, after: Id, connection: u64, from: u64) -> Header {
        let to = if kind == Kind::Content { from + 10 } else { from };
        let proof = Proof::at(to);
        Header { kind, log: 7, epoch: 0, from, to, sum: 0, proof, after, over: 0, by: 1, connection }
    }

    /// An opening behind that unit, and so many units behind it.
    fn connection(after: Id, number: u64, from: u64, units: u64) -> Vec<Header> {
        let mut all = vec![unit(Kind::Opening, after, number, from)];
        for i in 0..units {
            all.push(unit(Kind::Content, all[all.len() - 1].id(), number, from + i * 10));
        }
        all
    }

    fn read(mut chain: Chain, units: &[Header]) -> Chain {
        for (at, unit) in units.iter().enumerate() {
            chain.add(at as u64 + 1, unit, 5);
        }
        chain
    }

    fn top(chain: &Chain) -> Id {
        chain.top().map_or(0, |top| top.id)
    }

    #[test]
    fn what_a_dead_connection_had_on_its_way_does_not_count_behind_the_next_opening() {
        let first = connection(0, 1, 0, 5);
        // The next one has seen three of them; two come late, one of them behind what it sends.
        let second = connection(first[3].id(), 2, 30, 2);
        let all = [&first[..4], &second[..2], &first[4..5], &second[2..], &first[5..]].concat();
        let chain = read(Chain::behind(0), &all);
        assert_eq!(top(&chain), second[2].id());
        assert_eq!(chain.content.map(|(at, unit)| (at, unit.to)), Some((8, 50)));
        assert_eq!(chain.beside, Beside { first: 7, units: 2, bytes: 20, others: 0 });
        // Before it they count, and the opening does not.
        let chain = read(Chain::behind(0), &[&first[..], &second[..1]].concat());
        assert_eq!((top(&chain), chain.beside.units), (first[5].id(), 1));
    }

    #[test]
    fn who_begins_in_the_middle_is_sure_behind_an_opening_that_was_gone_on_from_or_after_many_units() {
        let first = connection(0, 1, 0, 200);
        let second = connection(first[3].id(), 2, 30, 1);
        // Nothing but what comes late, and an opening that may be late itself.
        let chain = read(Chain::somewhere(), &[&first[5..9], &second[..1]].concat());
        assert!(!chain.is_sure());
        let chain = read(Chain::somewhere(), &[&first[5..9], &second[..]].concat());
        assert!(chain.is_sure() && top(&chain) == second[1].id());
        // Cut off from its opening by one that came late.
        let chain = read(Chain::somewhere(), &[&second[..1], &first[5..6], &second[1..]].concat());
        assert!(!chain.is_sure());
        let chain = read(Chain::somewhere(), &first[5..5 + UNITS]);
        assert!(!chain.is_sure());
        let chain = read(Chain::somewhere(), &first[5..6 + UNITS]);
        assert!(chain.is_sure() && top(&chain) == first[5 + UNITS].id());
    }

    #[test]
    fn nothing_of_an_earlier_topic_counts_in_one_that_was_made_anew() {
        let first = connection(0, 1, 0, 5);
        let anew = connection(0, 3, 0, 1);
        let chain = read(Chain::behind(0), &[&first[3..], &anew[..]].concat());
        assert_eq!((top(&chain), chain.beside.units), (anew[1].id(), 3));
    }
}
