//! A cluster of Kafka of the tests' own, which is the client's, in this process: shippers connect to it, and it fails as it is told to. And a
//! reader beside it that goes by what doc/ship.md says alone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, Headers as _, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};
use rdkafka::types::{RDKafkaApiKey, RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use crate::common::{Random, seed, until};
use crate::served::Chain;

/// What the tests ship to.
pub(crate) const TOPIC: &str = "logs";

/// Three servers, and a topic of three partitions.
pub(crate) struct Cluster {
    pub(crate) mock: MockCluster<'static, DefaultProducerContext>,
    random: Random,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let mock = MockCluster::new(3).unwrap();
        mock.create_topic(TOPIC, 3, 3).unwrap();
        Cluster { mock, random: Random::new(seed()) }
    }

    /// That partition.
    pub(crate) fn partition(&self, number: u32) -> String {
        format!("kafka://{}/{TOPIC}?partition={number}", self.mock.bootstrap_servers())
    }

    pub(crate) fn address(&self) -> String {
        self.partition(0)
    }

    /// The next requests of that kind come to nothing but that.
    pub(crate) fn refuse(&self, what: RDKafkaApiKey, with: RDKafkaRespErr, times: usize) {
        self.mock.request_errors(what, &vec![with; times]);
    }

    /// Reads along.
    pub(crate) fn reader(&self) -> Reader {
        Reader::of(&self.mock.bootstrap_servers())
    }

    /// What is there, and how many records do not count.
    pub(crate) fn shipped(&self) -> (Vec<u8>, u64) {
        let reader = self.reader();
        reader.reads_to(self.end());
        reader.end()
    }

    pub(crate) fn end(&self) -> i64 {
        let consumer = consumer(&self.mock.bootstrap_servers());
        consumer.fetch_watermarks(TOPIC, 0, Duration::from_secs(30)).unwrap().1
    }

    /// Somebody else sends what is none of ours.
    pub(crate) fn send(&self, payload: &[u8]) {
        self.put(OwnedHeaders::new(), payload);
    }

    fn put(&self, headers: OwnedHeaders, payload: &[u8]) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.mock.bootstrap_servers());
        let producer: BaseProducer = config.create().unwrap();
        let record = BaseRecord::<[u8], [u8]>::to(TOPIC).partition(0).headers(headers).payload(payload);
        producer.send(record).map_err(|(e, _)| e).unwrap();
        producer.flush(Duration::from_secs(30)).unwrap();
    }

    /// The first records of another one, as it was earlier.
    pub(crate) fn put_back(&self, from: &Cluster, records: i64) {
        let consumer = consumer(&from.mock.bootstrap_servers());
        for _ in 0..records {
            let message =
                until("it reads", || consumer.poll(Duration::from_millis(100)).and_then(Result::ok));
            let mut headers = OwnedHeaders::new();
            for header in message.headers().unwrap().iter() {
                headers = headers.insert(Header { key: header.key, value: header.value });
            }
            self.put(headers, message.payload().unwrap_or_default());
        }
    }
}

impl Cluster {
    /// The server that leads goes down, or another one leads; or an error for what is sent; or all go down.
    pub(crate) fn fail(&mut self) {
        let leader = 1 + i32::try_from(self.random.below(3)).unwrap();
        match self.random.below(4) {
            0 => (1..4).for_each(|broker| self.mock.broker_down(broker).unwrap()),
            1 => self.mock.partition_leader(TOPIC, 0, Some(leader)).unwrap(),
            2 => {
                let errors = [
                    RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
                    RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
                    RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
                    RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                ];
                self.mock.request_errors(RDKafkaApiKey::Produce, &errors);
            }
            _ => {
                self.mock.partition_leader(TOPIC, 0, Some(leader)).unwrap();
                self.mock.broker_down(leader).unwrap();
            }
        }
    }

    /// All are up again.
    pub(crate) fn go_on(&self) {
        (1..4).for_each(|broker| self.mock.broker_up(broker).unwrap());
    }
}

fn consumer(servers: &str) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers).set("group.id", "reader").set("enable.auto.commit", "false");
    config.set("auto.offset.reset", "error").set("reconnect.backoff.max.ms", "100");
    // It is to be as quick as who sends, whoever leads.
    config.set("topic.metadata.refresh.fast.interval.ms", "10").set("fetch.wait.max.ms", "20");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut place = TopicPartitionList::new();
    place.add_partition_offset(TOPIC, 0, Offset::Offset(0)).unwrap();
    consumer.assign(&place).unwrap();
    consumer
}

#[derive(Default)]
struct Seen {
    chain: Chain,
    id: String,
    next: i64,
    beside: u64,
}

/// Reads a partition from its first record, as it comes.
pub(crate) struct Reader {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Reader {
    fn of(servers: &str) -> Self {
        let seen = Arc::new(Mutex::new(Seen { id: "0".repeat(16), ..Seen::default() }));
        let stop = Arc::new(AtomicBool::new(false));
        let (servers, ours, told) = (servers.to_owned(), Arc::clone(&seen), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let consumer = consumer(&servers);
            while !told.load(Ordering::Relaxed) {
                let message = match consumer.poll(Duration::from_millis(20)) {
                    Some(Ok(message)) => message,
                    Some(Err(e)) if e.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset) => {
                        panic!("records were missed: {e}")
                    }
                    _ => continue,
                };
                let mut fields = BTreeMap::new();
                for header in message.headers().iter().flat_map(|headers| headers.iter()) {
                    let value = String::from_utf8(header.value.unwrap().to_vec()).unwrap();
                    assert!(fields.insert(header.key.to_owned(), value).is_none());
                }
                assert!(message.key().is_none());
                ours.lock().unwrap().add(message.offset(), &fields, message.payload().unwrap_or_default());
            }
        });
        Reader { seen, stop, thread }
    }

    pub(crate) fn reads_to(&self, end: i64) {
        until("it is read", || (self.seen.lock().unwrap().next >= end).then_some(()));
    }

    /// How many bytes count so far.
    pub(crate) fn bytes(&self) -> usize {
        self.seen.lock().unwrap().chain.bytes.len()
    }

    /// What counts, and how many records do not.
    pub(crate) fn end(self) -> (Vec<u8>, u64) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        let mut seen = self.seen.lock().unwrap();
        (std::mem::take(&mut seen.chain.bytes), seen.beside)
    }
}

impl Seen {
    /// A record counts if it follows the one that counted before it.
    fn add(&mut self, offset: i64, fields: &BTreeMap<String, String>, payload: &[u8]) {
        assert_eq!(offset, self.next, "records were missed");
        self.next += 1;
        if fields.get("mm-after") != Some(&self.id) {
            self.beside += 1;
            return;
        }
        self.id = fields["mm-id"].clone();
        let sum = mmlog_ship::sum::extend(0, payload);
        assert_eq!(u64::from_str_radix(&fields["mm-sum"], 16).unwrap(), sum);
        self.chain.add(offset as u64 + 1, |name| fields[name].clone(), payload);
    }
}
