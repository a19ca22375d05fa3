//! What the machine hears and says.

use crate::checkpoint::Known;
use crate::decide::{Ask, Compared, Decision, Log, Stop, Tail};
use crate::unit::{Header, Run};

/// What it may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// The longest unit.
    pub unit: u64,
    /// Bytes that may be sent and not acknowledged.
    pub window: u64,
    /// Units of which that is true, since a gap has no bytes.
    pub units: usize,
    /// For so long a place has to have been acknowledged before the hold moves there: longer than the sink takes to sync, and a tick.
    pub keep: u64,
    /// Content that a proof is at least of, where there is as much; and at most of twice that. It is read at every opening.
    pub proof: u64,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// It is time to connect, for the first time or again.
    Retry,
    /// The connection stands.
    Connected,
    /// The sink was looked at, and then the log.
    Seen(Tail, Log),
    /// The log was asked, and then looked at.
    Compared(Compared, Log),
    /// What [`decide`](crate::decide::decide) says.
    Decided(Decision),
    /// A checkpoint was saved, or was not.
    Saved(bool),
    /// The hold stands where it was asked for, or the log begins later by now, and nothing was changed.
    Held(bool),
    /// What was read.
    Read(Piece),
    /// More became durable.
    More,
    /// The sink has the oldest unit that is out, of this connection and at this coordinate.
    Acknowledged {
        /// The connection that it came by.
        connection: u64,
        /// Where the unit is.
        coordinate: u64,
    },
    /// Refused, silent for too long, cut, anything: what comes by the connection counts no more.
    Lost {
        /// Which connection.
        connection: u64,
    },
    /// Time went by. Any clock that does not go back. What was acknowledged is saved then: so this often, and no more.
    Tick(u64),
    /// It is to end: nothing is read or sent any more, what is out is waited for, and written down. Whoever waits no longer says that the
    /// connection is [`Lost`](Event::Lost).
    Stop,
}

/// What lies at a position of the log, up to what is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Piece {
    /// Bytes, and their sum.
    Content {
        /// Behind the last.
        to: u64,
        /// Of the bytes.
        sum: u64,
    },
    /// A final segment from its first byte, and the sum of its bytes.
    Segment {
        /// Behind the last.
        to: u64,
        /// Of the bytes.
        sum: u64,
    },
    /// A range without content.
    Hole {
        /// Behind it.
        to: u64,
    },
    /// A range whose content somebody took.
    Lost {
        /// Behind it.
        to: u64,
    },
    /// Nothing yet.
    End,
    /// It is not kept any more.
    Pruned,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Leave the connection, if there is one, and say [`Event::Retry`] after a while.
    Close,
    /// Connect; what comes of it has this number.
    Connect(u64),
    /// Read the sink's tail.
    Look,
    /// Ask the log.
    Compare(Ask),
    /// Have it decided: [`Machine::decide`](super::Machine::decide).
    Decide,
    /// Save the checkpoint, at once.
    Save(Known),
    /// Put this shipper's hold here, higher or lower than it was: all that is to be sent is kept before any of it is.
    Claim(u64),
    /// Move the hold up. Where somebody ended it this run ends, or the connection is [`Lost`](Event::Lost): the next one puts it back.
    Hold(u64),
    /// Read what lies there, this much at most.
    Read {
        /// The first position.
        from: u64,
        /// How many bytes at most.
        most: u64,
    },
    /// Append the unit, if the sink's tail is this one.
    Send {
        /// The unit.
        unit: Header,
        /// The coordinate of the sink's last message, which the unit follows. The id that it follows is in the unit.
        after: u64,
    },
    /// It ends.
    Exit(Exit),
}

/// Why it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// A person has to decide.
    Decision(Stop),
    /// Another shipper looked at what this one sent, and went on behind it.
    Second(Run),
    /// The first checkpoint could not be saved: without it nothing is sent.
    Unsaved,
    /// It was to end, and nothing is on its way that it waits for.
    Stopped,
}
