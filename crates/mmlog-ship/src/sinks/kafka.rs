//! `kafka://HOST[,HOST...]/TOPIC?partition=N`: a partition of a topic of Kafka, or of whatever else speaks as that does.
//!
//! A unit is a record, whose offset and one is its coordinate. A server of Kafka refuses nobody: what a connection that was given up still
//! had on its way lands behind what the next one sends. So which units count is told by whoever reads, by one rule for all: see
//! `chain`. The client's idempotence keeps the units of one connection in order and single; nothing else hangs on it.
//!
//! An answer counts only with the offset that the unit was to have: then nothing came in between since the opening, which was looked at. With
//! any other one all that is on its way is dropped, and the tail read.
//!
//! Records have no key: a topic that is compacted, and would remove units, refuses those. There are no transactions: the epoch of a
//! transactional producer would fence others at the server, but the rule above does as much for every reader, and by no mock-up of a server
//! that can be had here is a fenced one refused, so that nobody could show that it holds.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::message::{Header as Field, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};

use super::{Message, Patience, Purpose, Secrets, Sink, Strength, aside};
use crate::checkpoint::Known;
use crate::decide::Tail;
use crate::trouble::Trouble;
use crate::unit::{Header, Kind};
pub use address::Address;
use chain::{Beside, UNITS};
use client::{AROUND, Answer, Ear, Heard, REQUEST, of_error, patiently, reading, sending};
use partition::{BORN, Mark, Reader};

mod address;
mod chain;
mod client;
mod partition;

/// Units are not shorter.
const LEAST: u64 = 1024;
/// A client ends within that, or is left to itself.
const GRACE: Duration = Duration::from_secs(1);

/// The sink.
pub struct KafkaSink {
    address: Address,
    secrets: Secrets,
    patience: Patience,
    link: Option<Link>,
    /// The last unit that is known to count, and is no opening of this run's.
    mark: Option<Mark>,
    /// When it was made, as the last look or the checkpoint says.
    born: u64,
    /// So long a unit may be.
    longest: u64,
    notes: Vec<String>,
    beside: Beside,
    /// Whether there was a connection.
    was_open: bool,
}

/// A connection, and what it has on its way.
struct Link {
    reader: Reader,
    answers: Receiver<Answer>,
    sent: VecDeque<(u64, Header)>,
}

impl KafkaSink {
    /// There, with what it takes to be let in.
    pub fn new(address: Address, secrets: Secrets, patience: Patience) -> Self {
        KafkaSink {
            address,
            secrets,
            patience,
            link: None,
            mark: None,
            born: super::file::random().max(1),
            longest: REQUEST - AROUND,
            notes: Vec::new(),
            beside: Beside::default(),
            was_open: false,
        }
    }

    fn link(&mut self) -> Result<&mut Link, Trouble> {
        self.link.as_mut().ok_or_else(|| Trouble::Away("the connection was cut".to_owned()))
    }

    /// Half as much may be taken: at once, since a server looks at what comes together as a whole.
    fn too_long(&mut self) -> Trouble {
        if self.longest <= LEAST {
            return Trouble::Decide(format!(
                "it takes not even {LEAST} bytes at once: see the topic's max.message.bytes"
            ));
        }
        self.longest = (self.longest / 2).max(LEAST);
        Trouble::Refused(format!(
            "it takes less at once: units have {} bytes at most from now on",
            self.longest
        ))
    }
}

/// What of the topic people should know, if the partition is there.
fn find(reader: &Reader, is_first: bool) -> Result<Vec<String>, Trouble> {
    let Address { topic, partition, .. } = &reader.address;
    let found = patiently(&reader.heard, reader.wait, "connect", |wait| {
        reader.producer.client().fetch_metadata(Some(topic), wait)
    })?;
    let missing = |why: String| if is_first { Trouble::Decide(why) } else { Trouble::Away(why) };
    let there = found.topics().iter().find(|there| there.name() == topic);
    let error = there.and_then(|there| there.error()).map(rdkafka::error::RDKafkaErrorCode::from);
    let is_missing = matches!(error, Some(Code::UnknownTopicOrPartition | Code::UnknownTopic));
    let Some(there) = there.filter(|_| !is_missing) else {
        return Err(missing(format!(
            "there is no topic {topic}: make it, with cleanup.policy=delete, three replicas and min.insync.replicas=2"
        )));
    };
    if let Some(code) = error {
        return Err(of_error("find the topic", &rdkafka::error::KafkaError::MetadataFetch(code)));
    }
    let partitions = there.partitions();
    let Some(there) = partitions.iter().find(|there| there.id() == *partition) else {
        let count = partitions.len();
        return Err(missing(format!("the topic {topic} has partitions 0 to {}", count.saturating_sub(1))));
    };
    let is_alone = there.replicas().len() < 2;
    let alone = "the partition is on one server alone, without a replica: what that loses is gone";
    Ok(if is_alone { vec![alone.to_owned()] } else { Vec::new() })
}

impl Sink for KafkaSink {
    fn name(&self) -> &str {
        &self.address.name
    }

    fn strength(&self) -> Strength {
        Strength::Counted
    }

    fn units(&self) -> usize {
        UNITS
    }

    fn remember(&mut self, known: Option<Known>) {
        let Some(known) = known else { return };
        self.mark = known.place.map(|place| Mark { coordinate: place.coordinate, id: place.id });
        self.born = known.born;
    }

    fn open(&mut self, _: Purpose) -> Result<u64, Trouble> {
        self.close();
        let (address, secrets, wait) = (self.address.clone(), self.secrets.clone(), self.patience.wait);
        let (is_first, most) = (!self.was_open, self.longest + AROUND);
        let (link, mut notes) = aside::aside(&self.patience, move || {
            let (say, answers) = mpsc::channel();
            let heard = Arc::new(Heard::default());
            let ear = Ear { heard: Arc::clone(&heard), answers: Some(say) };
            let producer: Result<ThreadedProducer<Ear>, _> =
                sending(&address, &secrets, wait, most)?.create_with_context(ear);
            let reader = Reader {
                config: reading(&address, &secrets, wait)?,
                address,
                producer: producer.map_err(|e| of_error("connect", &e))?,
                consumer: Arc::new(Mutex::new(None)),
                heard,
                wait,
                is_left: Arc::new(AtomicBool::new(false)),
            };
            let notes = find(&reader, is_first)?;
            Ok((Link { reader, answers, sent: VecDeque::new() }, notes))
        })?;
        if self.secrets.credentials.is_some() && !self.address.is_encrypted {
            notes.push("the secret goes there as it is: kafkas:// is encrypted".to_owned());
        }
        (self.link, self.notes, self.was_open) = (Some(link), notes, true);
        Ok(self.longest)
    }

    fn notes(&self) -> Vec<String> {
        [&self.notes[..], &self.beside.notes()].concat()
    }

    fn look(&mut self) -> Result<Tail, Trouble> {
        let mark = self.mark;
        let reader = self.link()?.reader.clone();
        let found = aside::aside(&self.patience, move || reader.look(mark))?;
        let tail = found.tail(self.born);
        if let (true, Some((coordinate, unit))) = (found.chain.is_sure(), found.chain.content) {
            self.mark = Some(Mark { coordinate, id: unit.id() });
        }
        (self.born, self.beside) = (tail.born, found.chain.beside);
        Ok(tail)
    }

    fn send(&mut self, message: &Message<'_>) -> Result<(), Trouble> {
        let (topic, partition, born) = (self.address.topic.clone(), self.address.partition, self.born);
        let link = self.link()?;
        let mut fields = message.unit.fields();
        fields.push((BORN, format!("{born:016x}")));
        if let Some(cut) = message.cut.word() {
            fields.push((super::Cut::FIELD, cut.to_owned()));
        }
        let headers =
            fields.iter().fold(OwnedHeaders::new_with_capacity(fields.len()), |all, (key, value)| {
                all.insert(Field { key, value: Some(value) })
            });
        let record = BaseRecord::<[u8], [u8]>::to(&topic).partition(partition).headers(headers);
        let sent = link.reader.producer.send(record.payload(message.payload));
        match sent.map_err(|(e, _)| e) {
            Ok(()) => link.sent.push_back((message.after + 1, *message.unit)),
            Err(e) => return Err(of_error("send units", &e)),
        }
        Ok(())
    }

    fn poll(&mut self, within: Duration) -> Result<Option<u64>, Trouble> {
        let link = self.link()?;
        let Some((expected, unit)) = link.sent.front().copied() else { return Ok(None) };
        let answer = match link.answers.recv_timeout(within) {
            Err(RecvTimeoutError::Timeout) => return Ok(None),
            Err(RecvTimeoutError::Disconnected) => return Err(aside::ended()),
            Ok(answer) => answer,
        };
        link.sent.pop_front();
        match answer {
            Ok(offset) if u64::try_from(offset).is_ok_and(|offset| offset + 1 == expected) => {
                if unit.kind != Kind::Opening {
                    self.mark = Some(Mark { coordinate: expected, id: unit.id() });
                }
                Ok(Some(expected))
            }
            Ok(_) => Err(Trouble::Refused("something else came in between".to_owned())),
            Err((
                Some(Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize),
                _,
            )) => Err(self.too_long()),
            Err((_, trouble)) => Err(trouble),
        }
    }

    fn close(&mut self) {
        let Some(link) = self.link.take() else { return };
        link.reader.is_left.store(true, Ordering::Release);
        // It takes a moment, or, where a server hangs, longer. What is on its way is dropped first.
        if let Ok(ended) = aside::begin(move || drop(link)) {
            let _ = ended.recv_timeout(GRACE);
        }
    }
}

impl Drop for KafkaSink {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for KafkaSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaSink").field("name", &self.address.name).finish_non_exhaustive()
    }
}
