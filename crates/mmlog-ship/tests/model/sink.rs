//! The hostile sink: a list that appends if its tail is the right one, and is put back, wiped, trimmed and made anew.

use mmlog_ship::decide::{Content, Tail, Top};
use mmlog_ship::unit::{Header, Kind};

use crate::mutants::Mutant;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Message {
    pub(crate) header: Header,
    pub(crate) payload: Vec<u8>,
    /// The coordinate that it is to follow.
    pub(crate) after: u64,
    pub(crate) connection: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sink {
    pub(crate) born: u64,
    pub(crate) messages: Vec<Message>,
    /// So many of them are gone by retention; the judge has them still.
    pub(crate) trimmed: usize,
    /// So many of them are on its disk.
    pub(crate) flushed: usize,
    /// At the last tick.
    pub(crate) then: usize,
    /// Compares the coordinate of openings alone, as servers do that forget ids.
    pub(crate) is_weak: bool,
}

impl Sink {
    pub(crate) fn new(is_weak: bool) -> Self {
        Sink { born: 1, messages: Vec::new(), trimmed: 0, flushed: 0, then: 0, is_weak }
    }

    /// The coordinate, if it took the message.
    pub(crate) fn take(&mut self, message: &Message, mutant: Option<Mutant>) -> Option<u64> {
        let last = self.messages.last().map_or(0, |message| message.header.id());
        let is_by_coordinate =
            self.is_weak && message.header.kind == Kind::Opening || mutant == Some(Mutant::CoordinateAlone);
        let fits =
            message.after == self.messages.len() as u64 && (is_by_coordinate || message.header.after == last);
        let is_again = mutant == Some(Mutant::RetryQueue) && message.after == u64::MAX;
        if !fits && !is_again && mutant != Some(Mutant::NoFence) {
            return None;
        }
        self.messages.push(message.clone());
        Some(self.messages.len() as u64)
    }

    pub(crate) fn tail(&self, mutant: Option<Mutant>) -> Tail {
        let kept = &self.messages[self.trimmed..];
        let is_content = |message: &&Message| {
            message.header.kind != Kind::Opening || mutant == Some(Mutant::OpeningsAreAuthority)
        };
        let content = match kept.iter().rev().find(is_content) {
            Some(message) => Content::Unit(message.header),
            None if self.trimmed > 0 => Content::Trimmed,
            None => Content::Empty,
        };
        let over = |header: &Header| if mutant == Some(Mutant::BlindToRivals) { 0 } else { header.over };
        let top = kept.last().map(|message| {
            let header = &message.header;
            Top { id: header.id(), by: header.by, over: over(header) }
        });
        Tail { born: self.born, coordinate: self.messages.len() as u64, top, content }
    }

    /// Back to an earlier state of its list.
    pub(crate) fn put_back(&mut self, messages: Vec<Message>) {
        self.messages = messages;
        self.trimmed = self.trimmed.min(self.messages.len());
        self.flushed = self.messages.len();
        self.then = self.messages.len();
    }
}
