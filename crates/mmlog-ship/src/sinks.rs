//! Sinks: where units go.
//!
//! A sink is a list that appends a unit if its tail is the one that the unit follows. It answers in the order in which it was sent to,
//! and may have many units on the way. Whatever goes wrong closes the connection: the next one begins with a look at the tail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::checkpoint::Known;
use crate::decide::Tail;
use crate::segment::Segment;
use crate::trouble::Trouble;
use crate::unit::Header;

#[cfg(any(feature = "http", feature = "kafka", feature = "s3"))]
mod aside;
pub mod exec;
pub mod file;
#[cfg(any(feature = "kafka", feature = "redis"))]
mod hosts;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(any(feature = "kafka", feature = "nats", feature = "redis"))]
mod reading;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(any(feature = "http", feature = "kafka", feature = "nats", feature = "redis", feature = "s3"))]
mod secrets;
mod unasked;
#[cfg(any(feature = "http", feature = "s3"))]
mod web;

#[cfg(any(feature = "http", feature = "kafka", feature = "nats", feature = "redis", feature = "s3"))]
pub use secrets::Secrets;

/// What a sink can promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    /// It refuses whatever does not follow its tail: each byte is there once.
    Fenced,
    /// It takes an id once: each byte is there once, whoever sends it.
    ById,
    /// What was sent may be there more than once after trouble: which of it counts can be told, and the rest is counted.
    Counted,
    /// What was sent may be there more than once after trouble.
    AtLeastOnce,
}

impl Strength {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Strength::Fenced => "fenced: each byte once",
            Strength::ById => "by id: each byte once",
            Strength::Counted => "at least once: doubles are seen and counted",
            Strength::AtLeastOnce => "at least once: doubles after trouble",
        }
    }
}

/// How long an answer is waited for. Whoever is told to end waits for a moment only, whatever it waits for.
#[derive(Clone, Debug)]
pub struct Patience {
    /// So long at most.
    pub wait: Duration,
    stop: Arc<AtomicBool>,
    stopped: Option<Instant>,
}

impl Patience {
    /// An answer that is under way comes within that.
    const GRACE: Duration = Duration::from_millis(500);

    /// That long, until `stop` is raised.
    pub fn new(wait: Duration, stop: Arc<AtomicBool>) -> Self {
        Patience { wait, stop, stopped: None }
    }

    /// Asked in between, again and again: whether it was told to end a moment ago, and what is said then.
    pub fn is_over(&mut self) -> Option<Trouble> {
        if !self.stop.load(Ordering::Acquire) {
            return None;
        }
        let since = *self.stopped.get_or_insert_with(Instant::now);
        (since.elapsed() >= Self::GRACE)
            .then(|| Trouble::Away("no answer until it was told to end".to_owned()))
    }
}

/// What a sink is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To send.
    Ship,
    /// To look: nothing is made or changed there. What would keep this user from sending is an error, as far as that can be told.
    Look,
}

/// Where a unit begins or ends within a line, since that is longer than a unit, or its writer was killed or has not finished it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// It begins within one.
    pub at_start: bool,
    /// It ends within one.
    pub at_end: bool,
}

impl Cut {
    /// The field of a unit that says so.
    pub const FIELD: &'static str = "mm-cut";

    /// What that is, if it has to be said.
    pub fn word(self) -> Option<&'static str> {
        match (self.at_start, self.at_end) {
            (false, false) => None,
            (true, false) => Some("start"),
            (false, true) => Some("end"),
            (true, true) => Some("both"),
        }
    }
}

/// A unit on its way.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// What it is.
    pub unit: &'a Header,
    /// The coordinate that it follows. The id that it follows is in the unit.
    pub after: u64,
    /// Whether lines are cut.
    pub cut: Cut,
    /// Its bytes.
    pub payload: &'a [u8],
}

/// A unit in a sink.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Where.
    pub coordinate: u64,
    /// What it is.
    pub header: Header,
    /// Its bytes, which are those that the header speaks of.
    pub payload: Vec<u8>,
}

/// Where units go. Everything may block, for as long as the sink was told to wait at most.
pub trait Sink {
    /// What it is called, without secrets.
    fn name(&self) -> &str;

    /// What it promises.
    fn strength(&self) -> Strength;

    /// How many units may be on their way.
    fn units(&self) -> usize {
        1024
    }

    /// Whether it takes final segments as they lie on the disk, by their names, and gaps: see
    /// [`by_name`](crate::machine::Machine::by_name).
    fn takes_segments(&self) -> bool {
        false
    }

    /// What the checkpoint says, before anything else: for a sink that cannot be asked what it has, or that is asked from there on.
    fn remember(&mut self, _known: Option<Known>) {}

    /// From where on the hold keeps which log, whenever that moves: what is below, the sink may lose.
    fn keeps(&mut self, _log: u128, _from: u64) {}

    /// Which log the next looks are for.
    fn turn_to(&mut self, _log: u128) {}

    /// Connects. Says how many bytes a unit may have there, with all that goes with them.
    ///
    /// # Errors
    /// One that [passes](Trouble::passes) is tried again.
    fn open(&mut self, purpose: Purpose) -> Result<u64, Trouble>;

    /// What the sink that is open does to units that people may want to know, a sentence each: how long it keeps them. Asked when it is
    /// opened, and with each answer.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// Reads the tail.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    fn look(&mut self) -> Result<Tail, Trouble>;

    /// Sends a unit: it is to be appended if the tail is the one that it follows.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    fn send(&mut self, message: &Message<'_>) -> Result<(), Trouble>;

    /// Sends a segment, where it [takes them](Self::takes_segments).
    ///
    /// # Errors
    /// As [`open`](Self::open).
    fn send_segment(&mut self, _unit: &Header, _after: u64, _segment: Segment) -> Result<(), Trouble> {
        Err(Trouble::Failed("it takes no segments".to_owned()))
    }

    /// A number that becomes another one while a unit is on its way, as long as it gets on.
    fn progress(&self) -> u64 {
        0
    }

    /// Waits for the answer to the oldest unit that has none: the coordinate that it has. Nothing, when there is none within that time.
    ///
    /// # Errors
    /// As [`open`](Self::open): it was refused, or nobody knows what became of it.
    fn poll(&mut self, within: Duration) -> Result<Option<u64>, Trouble>;

    /// So long it asked to be left alone, with the last error.
    fn rest(&mut self) -> Option<Duration> {
        None
    }

    /// Leaves the connection, if there is one, and all that is on its way.
    fn close(&mut self);
}
