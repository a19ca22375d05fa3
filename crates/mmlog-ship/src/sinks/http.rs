//! `otlp+http://HOST/PATH`, `http://HOST/PATH?format=ndjson` and `?format=bulk`: whatever takes logs by HTTP, a record a line.
//!
//! A unit goes by one request after the other, and is acknowledged when the last of them is. There is no tail to ask for (see `unasked`), so
//! all of it may be there again after trouble: each record has an id, by which the other side can tell. The same id has the same
//! bytes, always: a whole line is called by where it begins, a part of one by where it ends, too. So nothing is taken for what it is not,
//! where an id is taken once only.
//!
//! Nothing is skipped: a record that is refused stops the stream.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::unasked::{Unasked, is_for_us};
use super::{Message, Purpose, Sink, Strength, aside};
use crate::checkpoint::Known;
use crate::decide::Tail;
use crate::trouble::Trouble;
use crate::unit::LONGEST;
pub use address::Address;
use address::Format;
use records::Unit;
use wire::{Refused, Wire};

mod address;
mod json;
mod otlp;
mod records;
mod wire;

/// Units that wait for their turn: the next one is read while one is on its way.
const UNITS: usize = 4;

/// The sink.
pub struct HttpSink {
    address: Arc<Address>,
    known: Unasked,
    wire: Option<Arc<Wire>>,
    /// What the server has taught, for all connections.
    learnt: Arc<wire::Learnt>,
    units: VecDeque<(u64, Unit)>,
    running: Option<Running>,
    rest: Option<Duration>,
}

/// What is on its way.
struct Running {
    answer: Receiver<Result<(), Refused>>,
    is_left: Arc<AtomicBool>,
}

impl HttpSink {
    /// There.
    pub fn new(address: Address) -> Self {
        HttpSink {
            known: Unasked::new(address.born()),
            address: Arc::new(address),
            wire: None,
            learnt: Arc::default(),
            units: VecDeque::new(),
            running: None,
            rest: None,
        }
    }

    fn wire(&self) -> Result<Arc<Wire>, Trouble> {
        self.wire.clone().ok_or_else(|| Trouble::Away("it was left".to_owned()))
    }

    fn start(&self, unit: Unit) -> Result<Running, Trouble> {
        let (wire, is_left) = (self.wire()?, Arc::new(AtomicBool::new(false)));
        let left = Arc::clone(&is_left);
        let answer = aside::begin(move || wire.deliver(&unit, &left))?;
        Ok(Running { answer, is_left })
    }
}

impl Sink for HttpSink {
    fn name(&self) -> &str {
        &self.address.name
    }

    fn strength(&self) -> Strength {
        Strength::AtLeastOnce
    }

    fn units(&self) -> usize {
        UNITS
    }

    fn remember(&mut self, known: Option<Known>) {
        self.known.remember(known);
    }

    fn open(&mut self, purpose: Purpose) -> Result<u64, Trouble> {
        self.close();
        let wire = Arc::new(Wire::new(&self.address, &self.learnt)?);
        if purpose == Purpose::Look {
            let wire = Arc::clone(&wire);
            aside::aside(&self.address.patience, move || wire.knock())?;
        }
        self.wire = Some(wire);
        Ok(LONGEST)
    }

    fn notes(&self) -> Vec<String> {
        let is_open = self.address.is_clear() && self.address.has_secret();
        let clear = "the secret goes there as it is: https:// is encrypted";
        let bulk = "a line is there once as long as one index has the ids of all, without a rollover, and the server knows ids";
        let is_bulk = self.address.format == Format::Bulk;
        let own = [(is_open, clear), (is_bulk, bulk)].into_iter().filter(|(is, _)| *is);
        let warned = self.learnt.warning.get().map(|said| format!("it takes all of it, and warns: {said}"));
        own.map(|(_, note)| note.to_owned()).chain(warned).collect()
    }

    fn look(&mut self) -> Result<Tail, Trouble> {
        Ok(self.known.tail())
    }

    fn send(&mut self, message: &Message<'_>) -> Result<(), Trouble> {
        let unit = Unit { header: *message.unit, cut: message.cut, payload: message.payload.to_vec() };
        self.units.push_back((message.after + 1, unit));
        Ok(())
    }

    fn progress(&self) -> u64 {
        self.learnt.progress.load(Ordering::Relaxed)
    }

    fn poll(&mut self, within: Duration) -> Result<Option<u64>, Trouble> {
        let Some((coordinate, unit)) = self.units.front_mut() else { return Ok(None) };
        let (coordinate, header) = (*coordinate, unit.header);
        if !is_for_us(header.kind) {
            if self.running.is_none() {
                let unit = Unit { payload: std::mem::take(&mut unit.payload), ..*unit };
                self.running = Some(self.start(unit)?);
            }
            let Some(running) = &self.running else { return Ok(None) };
            let answer = match running.answer.recv_timeout(within) {
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => Err(aside::ended().into()),
                Ok(answer) => answer,
            };
            self.running = None;
            if let Err(refused) = answer {
                self.rest = refused.rest;
                return Err(refused.trouble);
            }
        }
        self.units.pop_front();
        Ok(Some(self.known.acknowledged(&header, coordinate)))
    }

    fn rest(&mut self) -> Option<Duration> {
        self.rest.take()
    }

    fn close(&mut self) {
        if let Some(running) = self.running.take() {
            running.is_left.store(true, Ordering::Release);
        }
        self.units.clear();
        self.wire = None;
    }
}

impl std::fmt::Debug for HttpSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpSink").field("name", &self.address.name).finish_non_exhaustive()
    }
}
