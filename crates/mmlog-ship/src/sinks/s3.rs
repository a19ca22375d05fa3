//! `s3://BUCKET/PREFIX`: a bucket of a store that speaks S3, which gets final segments, as they lie on the disk.
//!
//! A unit is an object, called by its range: `PREFIX/UUID/FROM-TO`, with `.zst` or `.gz` where the segment is compressed. The fence is the
//! name: an object is made if none has it (`If-None-Match: *`), and never changed. A unit says nothing of who sent it, so the same unit
//! is the same object, whoever comes first; where another one has the name, this log has another history. What a dead connection
//! had on its way may come at any time: it only does what was to be done. Before a unit is sent it is looked whether anything begins
//! at its position by another name, as when the segment was compressed meanwhile.
//!
//! The tail is a list from where the hold is on, or the last key, up to where one object does not begin at the end of the one before.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::{Message, Purpose, Sink, Strength, aside};
use crate::checkpoint::Known;
use crate::decide::{Content, Tail, Top};
use crate::segment::Segment;
use crate::trouble::Trouble;
use crate::unit::Header;
pub use feed::S3Feed;
pub use location::Location;
use stored::Read;
use upload::Job;
use wire::Wire;

mod feed;
mod location;
mod names;
mod stored;
mod upload;
mod wire;

/// The sink.
pub struct S3Sink {
    location: Location,
    /// Bytes that may be in memory.
    part: u64,
    wire: Option<Arc<Wire>>,
    /// Which log is shipped.
    log: u128,
    /// A log, and where its last object begins, as far as that is known.
    last: Option<(u128, u64)>,
    /// A log, and from where on it can be sent again.
    hold: Option<(u128, u64)>,
    is_to_be_cleaned: bool,
    jobs: VecDeque<Job>,
    running: Option<Running>,
    progress: Arc<AtomicU64>,
}

/// What is on its way.
struct Running {
    coordinate: u64,
    /// Of which log, and where it begins.
    unit: (u128, u64),
    answer: Receiver<Result<(), Trouble>>,
    is_left: Arc<AtomicBool>,
}

impl S3Sink {
    /// There; `in_flight` is how many bytes may be in memory.
    pub fn new(location: Location, in_flight: u64) -> Self {
        S3Sink {
            location,
            part: in_flight,
            wire: None,
            log: 0,
            last: None,
            hold: None,
            is_to_be_cleaned: false,
            jobs: VecDeque::new(),
            running: None,
            progress: Arc::new(AtomicU64::new(0)),
        }
    }

    fn wire(&self) -> Result<Arc<Wire>, Trouble> {
        self.wire.clone().ok_or_else(|| Trouble::Away("it was left".to_owned()))
    }

    fn start(&self, job: Job) -> Result<Running, Trouble> {
        let (wire, is_left) = (self.wire()?, Arc::new(AtomicBool::new(false)));
        let (coordinate, unit, left) = (job.coordinate, (job.unit.log, job.unit.from), Arc::clone(&is_left));
        let answer = aside::begin(move || upload::upload(&wire, &job, &left))?;
        Ok(Running { coordinate, unit, answer, is_left })
    }
}

/// The last object that is a unit of that log's chain, and where it begins.
fn tail(wire: &Wire, log: u128, known: Option<u64>) -> Result<Option<(Tail, u64)>, Trouble> {
    let Some(name) = wire.last(log, known)? else { return Ok(None) };
    let found = wire.found(log, name)?;
    let tail = Tail { born: wire.location.born(), coordinate: 0, top: None, content: Content::Foreign };
    let tail = match found {
        None => return Err(Trouble::Away(format!("{} is there, and is not", name.write()))),
        Some(Read::Other(content, _)) => Tail { content, ..tail },
        Some(Read::Unit(found)) => Tail {
            coordinate: found.coordinate,
            top: Some(Top::of(&found.header)),
            content: Content::Unit(found.header),
            ..tail
        },
    };
    Ok(Some((tail, name.from)))
}

/// Of the log that is shipped; where there is nothing of it, of the one before. The first one is looked at from where it is kept on: what
/// was on its way may be there although the store has lost what it was to follow.
fn either(
    wire: &Wire,
    log: u128,
    last: Option<(u128, u64)>,
    hold: Option<(u128, u64)>,
) -> Result<(Tail, Option<(u128, u64)>), Trouble> {
    let known = [last, hold].into_iter().flatten().filter(|(of, _)| *of == log).map(|(_, from)| from).min();
    if let Some((tail, from)) = tail(wire, log, known)? {
        return Ok((tail, Some((log, from))));
    }
    if let Some((before, from)) = last.filter(|(of, _)| *of != log)
        && let Some((tail, from)) = tail(wire, before, Some(from))?
    {
        return Ok((tail, Some((before, from))));
    }
    Ok((Tail { born: wire.location.born(), coordinate: 0, top: None, content: Content::Empty }, last))
}

impl Sink for S3Sink {
    fn name(&self) -> &str {
        &self.location.name
    }

    fn strength(&self) -> Strength {
        Strength::ById
    }

    fn units(&self) -> usize {
        1
    }

    fn takes_segments(&self) -> bool {
        true
    }

    fn remember(&mut self, known: Option<Known>) {
        // What is proven is the last segment.
        self.last = known.and_then(|known| Some((known.log, known.place?.proof.from)));
    }

    fn keeps(&mut self, log: u128, from: u64) {
        self.hold = Some((log, from));
    }

    fn turn_to(&mut self, log: u128) {
        self.log = log;
    }

    fn open(&mut self, purpose: Purpose) -> Result<u64, Trouble> {
        self.close();
        // Once, for what an earlier run has left.
        self.is_to_be_cleaned |= purpose == Purpose::Ship && self.progress.load(Ordering::Relaxed) == 0;
        self.wire = Some(Arc::new(Wire::new(&self.location, &self.progress)?));
        Ok(u64::MAX)
    }

    fn look(&mut self) -> Result<Tail, Trouble> {
        let (wire, log, last, hold) = (self.wire()?, self.log, self.last, self.hold);
        let is_to_be_cleaned = self.is_to_be_cleaned;
        let (tail, last) = aside::aside(&self.location.patience, move || {
            let found = either(&wire, log, last, hold)?;
            if is_to_be_cleaned {
                upload::abort_stale(&wire, log)?;
            }
            Ok(found)
        })?;
        (self.last, self.is_to_be_cleaned) = (last, false);
        Ok(tail)
    }

    fn send(&mut self, message: &Message<'_>) -> Result<(), Trouble> {
        let (unit, coordinate) = (*message.unit, message.after + 1);
        self.jobs.push_back(Job { unit, coordinate, segment: None, part: self.part });
        Ok(())
    }

    fn send_segment(&mut self, unit: &Header, after: u64, segment: Segment) -> Result<(), Trouble> {
        let (unit, coordinate) = (*unit, after + 1);
        self.jobs.push_back(Job { unit, coordinate, segment: Some(segment), part: self.part });
        Ok(())
    }

    fn progress(&self) -> u64 {
        self.progress.load(Ordering::Relaxed)
    }

    fn poll(&mut self, within: Duration) -> Result<Option<u64>, Trouble> {
        if self.running.is_none() {
            let Some(job) = self.jobs.pop_front() else { return Ok(None) };
            self.running = Some(self.start(job)?);
        }
        let Some(running) = &self.running else { return Ok(None) };
        let answer = match running.answer.recv_timeout(within) {
            Err(RecvTimeoutError::Timeout) => return Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(aside::ended()),
            Ok(answer) => answer,
        };
        let (coordinate, unit) = (running.coordinate, running.unit);
        self.running = None;
        answer?;
        // Where nothing was there, this is the first: it has to be there from now on.
        if self.last.is_none_or(|(of, _)| of != unit.0) {
            self.last = Some(unit);
        }
        Ok(Some(coordinate))
    }

    fn close(&mut self) {
        if let Some(running) = self.running.take() {
            running.is_left.store(true, Ordering::Release);
        }
        self.jobs.clear();
        self.wire = None;
    }
}

impl std::fmt::Debug for S3Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Sink").field("name", &self.location.name).finish_non_exhaustive()
    }
}
