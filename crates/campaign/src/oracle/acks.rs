//! The table of what was announced and what was acknowledged, and the hand that keeps it.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::Ordering;

use mmlog::{Position, Writer};

use super::message::Label;
use super::words::Words;

/// Words: next number, seed, closed, spare; then two for each number: who and how long, and what became of it.
const NEXT: usize = 0;
const SEED: usize = 1;
const CLOSED: usize = 2;
const FIRST: usize = 8;
/// Second word of one whose append returned an error. 0: not known; else position + 1.
const REFUSED: u64 = u64::MAX;
/// Numbers that a hand takes at a time, so that hands seldom meet.
const HANDFUL: u64 = 8;

/// What became of an announced message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// Its writer died before it could say.
    Maybe,
    Acknowledged(u64),
    Refused,
}

/// One announced message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket(u32);

pub(crate) struct Acks(Words);

impl Acks {
    /// A table for so many messages; numbers that a dead writer had taken and not used are lost.
    pub(crate) fn create(path: &Path, seed: u64, messages: usize) -> io::Result<Self> {
        let acks = Self(Words::create(path, FIRST + messages * 2)?);
        acks.0.get(SEED).store(seed, Ordering::Relaxed);
        Ok(acks)
    }

    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Words::open(path).map(Self)
    }

    pub(super) fn seed(&self) -> u64 {
        self.0.get(SEED).load(Ordering::Relaxed)
    }

    /// Numbers handed out, a few more than were announced.
    pub(crate) fn handed_out(&self) -> u64 {
        self.0.get(NEXT).load(Ordering::Relaxed)
    }

    /// Tells all who look that it is enough.
    pub(crate) fn close(&self) {
        self.0.get(CLOSED).store(1, Ordering::Relaxed);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.get(CLOSED).load(Ordering::Relaxed) != 0
    }

    fn take(&self) -> Range<u32> {
        let first = self.0.get(NEXT).fetch_add(HANDFUL, Ordering::Relaxed) as u32;
        first..first + HANDFUL as u32
    }

    fn announce(&self, label: Label) -> Ticket {
        let who = u64::from(label.writer) << 32 | u64::from(label.len);
        self.0.get(FIRST + label.number as usize * 2).store(who, Ordering::Release);
        Ticket(label.number)
    }

    pub(crate) fn acknowledge(&self, ticket: Ticket, at: Position) {
        self.settle(ticket, at.get() + 1);
    }

    pub(crate) fn refuse(&self, ticket: Ticket) {
        self.settle(ticket, REFUSED);
    }

    fn settle(&self, ticket: Ticket, word: u64) {
        self.0.get(FIRST + ticket.0 as usize * 2 + 1).store(word, Ordering::Release);
    }

    /// The message of that number and its fate, if it was announced.
    pub(super) fn look(&self, number: u32) -> Option<(Label, Fate)> {
        if u64::from(number) >= self.handed_out() {
            return None;
        }
        let at = FIRST + number as usize * 2;
        let who = self.0.get(at).load(Ordering::Acquire);
        let label = Label { writer: (who >> 32) as u32, number, len: who as u32 };
        let fate = match self.0.get(at + 1).load(Ordering::Acquire) {
            0 => Fate::Maybe,
            REFUSED => Fate::Refused,
            position => Fate::Acknowledged(position - 1),
        };
        (label.len != 0).then_some((label, fate))
    }

    /// All that were announced, by number; those of one writer are in the order in which it appended them.
    pub(super) fn all(&self) -> impl Iterator<Item = (Label, Fate)> + '_ {
        (0..self.handed_out() as u32).filter_map(|number| self.look(number))
    }

    /// Every acknowledged message: position and bytes, by number.
    pub(crate) fn acknowledged(&self) -> impl Iterator<Item = (u64, Vec<u8>)> + '_ {
        self.all().filter_map(|(label, fate)| {
            let Fate::Acknowledged(at) = fate else { return None };
            let mut bytes = Vec::new();
            label.write(self.seed(), &mut bytes);
            Some((at, bytes))
        })
    }
}

/// One writer's hand: announces, appends, acknowledges.
pub(crate) struct Scribe<'a> {
    acks: &'a Acks,
    writer: u32,
    numbers: Range<u32>,
    bytes: Vec<u8>,
}

impl<'a> Scribe<'a> {
    /// No two hands of one table have the same `writer`.
    pub(crate) fn new(acks: &'a Acks, writer: u32) -> Self {
        Self { acks, writer, numbers: 0..0, bytes: Vec::new() }
    }

    /// The next message, announced.
    pub(crate) fn announce(&mut self, len: usize) -> (Ticket, &[u8]) {
        if self.numbers.is_empty() {
            self.numbers = self.acks.take();
        }
        let number = self.numbers.start;
        self.numbers.start += 1;
        let label = Label { writer: self.writer, number, len: len as u32 };
        label.write(self.acks.seed(), &mut self.bytes);
        (self.acks.announce(label), &self.bytes)
    }

    /// Appends the next message, of `len` bytes.
    pub(crate) fn append(&mut self, to: &mut Writer, len: usize) -> mmlog::Result<Position> {
        let acks = self.acks;
        let (ticket, bytes) = self.announce(len);
        let done = to.append(bytes);
        match &done {
            Ok(at) => acks.acknowledge(ticket, *at),
            Err(_) => acks.refuse(ticket),
        }
        done
    }
}
