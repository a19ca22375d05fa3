//! The hostile sink: a list that appends if its tail is the right one, and is put back, wiped, trimmed and made anew.

use mmlog_ship::decide::{Content, Tail, Top};
use mmlog_ship::unit::{Header, Id, Kind};

use crate::mutants::Mutant;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Message {
    pub(crate) header: Header,
    pub(crate) payload: Vec<u8>,
    /// The coordinate that it is to follow.
    pub(crate) after: u64,
    pub(crate) connection: u64,
    /// Somebody else's: no unit.
    pub(crate) is_foreign: bool,
}

impl Message {
    pub(crate) fn is_opening(&self) -> bool {
        !self.is_foreign && self.header.kind == Kind::Opening
    }

    fn id(&self) -> Id {
        // What others send has an id that is none of ours.
        if self.is_foreign { Id::MAX } else { self.header.id() }
    }
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
    /// It was started again, and knows the last id no more: what names one is refused until it took something.
    pub(crate) is_forgetful: bool,
    /// The longest payload that it takes, whatever it says.
    pub(crate) longest: u64,
}

impl Sink {
    pub(crate) fn new(is_weak: bool) -> Self {
        Sink {
            born: 1,
            messages: Vec::new(),
            trimmed: 0,
            flushed: 0,
            then: 0,
            is_weak,
            is_forgetful: false,
            longest: 8,
        }
    }

    /// The coordinate, if it took the message.
    pub(crate) fn take(&mut self, message: &Message, mutant: Option<Mutant>) -> Option<u64> {
        let last = self.messages.last().map_or(0, Message::id);
        let is_by_coordinate = self.is_weak && message.header.kind == Kind::Opening;
        let has_coordinate = message.after == self.messages.len() as u64;
        let has_id = message.header.after == last && !self.is_forgetful;
        let fits = match mutant {
            Some(Mutant::NoFence) => true,
            Some(Mutant::RetryQueue) if message.after == u64::MAX => true,
            Some(Mutant::CoordinateAlone) => has_coordinate,
            Some(Mutant::IdAlone) => has_id,
            Some(Mutant::IdIsAPlace) => {
                let place = |m: &Message| (m.header.kind, m.header.log, m.header.from);
                if let Some(at) = self
                    .messages
                    .iter()
                    .position(|m| m.header.kind == Kind::Content && place(m) == place(message))
                {
                    return Some(at as u64 + 1);
                }
                true
            }
            _ => has_coordinate && (is_by_coordinate || has_id),
        };
        if !fits || message.header.length() > self.longest {
            return None;
        }
        self.is_forgetful = false;
        self.messages.push(message.clone());
        Some(self.messages.len() as u64)
    }

    /// Up to where the chain goes in its first messages.
    pub(crate) fn end(&self, messages: usize) -> u64 {
        let unit = self.messages[..messages].iter().rev().find(|m| !m.is_opening() && !m.is_foreign);
        unit.map_or(0, |message| message.header.to)
    }

    pub(crate) fn tail(&self, mutant: Option<Mutant>) -> Tail {
        let kept = &self.messages[self.trimmed..];
        let is_content =
            |message: &&Message| !message.is_opening() || mutant == Some(Mutant::OpeningsAreAuthority);
        let content = match kept.iter().rev().find(is_content) {
            Some(message) if message.is_foreign => Content::Foreign,
            Some(message) => Content::Unit(message.header),
            None if self.trimmed > 0 => Content::Trimmed(self.trimmed as u64),
            None => Content::Empty,
        };
        let top = kept.last().filter(|message| !message.is_foreign).map(|message| Top::of(&message.header));
        let top = top.map(|top| match mutant {
            Some(Mutant::BlindToRivals) => Top { over: 0, ..top },
            Some(Mutant::BlindToCopies) => Top { connection: 0, ..top },
            _ => top,
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
