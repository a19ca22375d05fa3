//! A partition: what of it is there, and its records.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Headers as _};
use rdkafka::producer::{Producer as _, ThreadedProducer};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use super::super::reading::{Read, read};
use super::address::Address;
use super::chain::{Chain, UNITS};
use super::client::{Ear, Heard, of_error, patiently};
use crate::decide::{Content, Tail};
use crate::trouble::Trouble;
use crate::unit::{Header, Id};

/// The field that says when the sink was made, at random: who found nothing that counts has made it.
pub(super) const BORN: &str = "mm-born";
/// So often it is looked whether anybody still waits.
const NAP: Duration = Duration::from_millis(100);

/// A unit that counts, from which it is read on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) coordinate: u64,
    pub(super) id: Id,
}

/// What was found.
pub(super) struct Found {
    pub(super) chain: Chain,
    low: u64,
    high: u64,
    later: Option<u64>,
}

/// Reads it. The coordinate of a record is its offset and one.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) address: Address,
    pub(super) config: ClientConfig,
    pub(super) producer: ThreadedProducer<Ear>,
    pub(super) consumer: Arc<Mutex<Option<BaseConsumer<Ear>>>>,
    pub(super) heard: Arc<Heard>,
    pub(super) wait: Duration,
    /// Nobody waits for it any more.
    pub(super) is_left: Arc<AtomicBool>,
}

impl Found {
    /// The tail; `born` says when the sink was made where nothing in it does.
    pub(super) fn tail(&self, born: u64) -> Tail {
        let chain = &self.chain;
        let content = match (self.later, chain.content) {
            (Some(version), _) => Content::Later(version),
            (None, _) if chain.beside.others > 0 && chain.content.is_none() && !chain.has_before() => {
                Content::Foreign
            }
            (None, _) if !chain.is_sure() => Content::Trimmed(self.high),
            (None, Some((_, unit))) => Content::Unit(unit),
            (None, None) if chain.has_before() => Content::Trimmed(self.low),
            (None, None) => Content::Empty,
        };
        // Where that is not certain a person decides, and what comes follows what is there.
        Tail { born: chain.born().unwrap_or(born), coordinate: self.high, top: chain.top(), content }
    }
}

/// A record's header fields, as text; and when the sink was made, as it says.
fn unit(message: &BorrowedMessage<'_>, at: u64) -> (Read, u64) {
    let mut pairs = Vec::new();
    for header in message.headers().iter().flat_map(|headers| headers.iter()) {
        if let Some(Ok(value)) = header.value.map(std::str::from_utf8) {
            pairs.push((header.key, value));
        }
    }
    let born = pairs.iter().find(|(name, _)| *name == BORN).map(|(_, value)| *value);
    let born = born.and_then(|value| u64::from_str_radix(value, 16).ok()).unwrap_or(0);
    (read(at, &pairs), born)
}

impl Reader {
    /// Reads its end, from a unit that is known to count, if that is there.
    pub(super) fn look(&self, mark: Option<Mark>) -> Result<Found, Trouble> {
        let (topic, partition) = (&self.address.topic, self.address.partition);
        let (low, high) = patiently(&self.heard, self.wait, "read its end", |wait| {
            self.producer.client().fetch_watermarks(topic, partition, wait)
        })?;
        let of = |offset: i64| u64::try_from(offset).unwrap_or(0);
        let mut found = Found { chain: Chain::default(), low: of(low), high: of(high), later: None };
        let mark = mark.filter(|mark| (found.low..=found.high).contains(&mark.coordinate));
        if let Some(mark) = mark
            && self.behind(mark, &mut found)?
        {
            return Ok(found);
        }
        // In ever longer pieces of its end, until it is certain what counts.
        let mut records = 4 * UNITS as u64;
        loop {
            let from = found.high.saturating_sub(records).max(found.low);
            found.chain = if from == 0 { Chain::behind(0) } else { Chain::somewhere() };
            self.read(from, found.high, |at, read, born| {
                match read {
                    Read::Unit(unit) => found.chain.add(at, &unit, born),
                    Read::Other(content) => other(&mut found.chain, &mut found.later, at, content),
                }
                true
            })?;
            if found.chain.is_sure() || from == found.low {
                return Ok(found);
            }
            records *= 4;
        }
    }

    /// What is behind that unit, if that is there; it may just have been removed by retention.
    fn behind(&self, mark: Mark, found: &mut Found) -> Result<bool, Trouble> {
        let mut chain = (mark.coordinate == found.low).then(|| Chain::behind(mark.id));
        let from = mark.coordinate.saturating_sub(1).max(found.low);
        self.read(from, found.high, |at, read, born| {
            match (&mut chain, read) {
                (Some(chain), Read::Unit(unit)) => chain.add(at, &unit, born),
                (Some(chain), Read::Other(content)) => other(chain, &mut found.later, at, content),
                (None, Read::Unit(unit)) if is_at(&unit, at, mark) => {
                    chain = Some(Chain::from(at, &unit, born))
                }
                (None, _) => return false,
            }
            true
        })?;
        Ok(chain.map(|chain| found.chain = chain).is_some())
    }

    /// Has `each` see the records of a range, until it wants no more.
    fn read(&self, from: u64, to: u64, mut each: impl FnMut(u64, Read, u64) -> bool) -> Result<(), Trouble> {
        if from >= to {
            return Ok(());
        }
        let mut consumer = self.consumer.lock().unwrap_or_else(PoisonError::into_inner);
        if consumer.is_none() {
            let ear = Ear { heard: Arc::clone(&self.heard), answers: None };
            let made: Result<BaseConsumer<Ear>, _> = self.config.create_with_context(ear);
            *consumer = Some(made.map_err(|e| of_error("read", &e))?);
        }
        let Some(consumer) = consumer.as_ref() else { return Ok(()) };
        let mut place = TopicPartitionList::new();
        let offset = Offset::Offset(i64::try_from(from).unwrap_or(i64::MAX));
        let failed = |e| of_error("read its records", &e);
        place.add_partition_offset(&self.address.topic, self.address.partition, offset).map_err(failed)?;
        consumer.assign(&place).map_err(failed)?;
        let went = self.read_assigned(consumer, to, &mut each);
        let _ = consumer.unassign();
        went
    }

    fn read_assigned(
        &self,
        consumer: &BaseConsumer<Ear>,
        to: u64,
        each: &mut dyn FnMut(u64, Read, u64) -> bool,
    ) -> Result<(), Trouble> {
        let mut heard = Instant::now();
        loop {
            if self.is_left.load(Ordering::Acquire) {
                return Err(Trouble::Away("it was left".to_owned()));
            }
            match consumer.poll(NAP) {
                None if heard.elapsed() >= self.wait => {
                    return Err(Trouble::Away("cannot read its records: no answer in time".to_owned()));
                }
                None => {}
                Some(Ok(message)) => {
                    heard = Instant::now();
                    let at = u64::try_from(message.offset()).unwrap_or(0) + 1;
                    let (read, born) = unit(&message, at);
                    if at > to || !each(at, read, born) || at == to {
                        return Ok(());
                    }
                }
                // Behind the last record there may be marks of others' transactions.
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
                Some(Err(e)) => match e.rdkafka_error_code() {
                    Some(Code::OffsetOutOfRange | Code::AutoOffsetReset) => {
                        return Err(Trouble::Refused("its records were removed meanwhile".to_owned()));
                    }
                    Some(
                        Code::UnknownTopicOrPartition
                        | Code::UnknownTopic
                        | Code::UnknownPartition
                        | Code::TopicAuthorizationFailed
                        | Code::Authentication
                        | Code::AllBrokersDown,
                    ) => return Err(of_error("read its records", &e)),
                    // It tries again by itself. Of groups it needs nothing.
                    _ => {}
                },
            }
        }
    }
}

fn is_at(unit: &Header, at: u64, mark: Mark) -> bool {
    at == mark.coordinate && unit.id() == mark.id
}

fn other(chain: &mut Chain, later: &mut Option<u64>, at: u64, content: Content) {
    match content {
        Content::Later(version) => *later = Some(version),
        _ => chain.other(at),
    }
}
