//! The client, librdkafka: how it is told, what it hears of itself, and what its errors come to.
//!
//! It connects, and connects again, by threads of its own; what went wrong there it says in passing, so the last of that is kept, for
//! whoever waits in vain.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;
use rdkafka::{ClientConfig, ClientContext, Message as _};

use super::super::Secrets;
use super::address::{Address, Who};
use crate::trouble::{Trouble, one_line, unreached};

/// The longest request, which is a server's default less a little; of that so much is left to what is around a unit.
pub(super) const REQUEST: u64 = 1_000_000;
pub(super) const AROUND: u64 = 4096;
/// The first wait in one piece; each is twice the one before: so late it is noticed that there is nobody.
const SLICE: Duration = Duration::from_millis(200);

/// What came of a unit: its offset, or why it has none.
pub(super) type Answer = Result<i64, (Option<Code>, Trouble)>;

/// Hears what a client says.
pub(super) struct Ear {
    pub(super) heard: Arc<Heard>,
    pub(super) answers: Option<Sender<Answer>>,
}

/// What it has heard.
#[derive(Default)]
pub(super) struct Heard {
    last: Mutex<Option<Trouble>>,
    /// No server is connected.
    is_down: AtomicBool,
}

impl Heard {
    /// What was wrong last.
    fn last(&self) -> Option<Trouble> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why waiting is of no use, if it is of none.
    fn why(&self) -> Option<Trouble> {
        let last = self.last();
        let is_of_no_use = self.is_down.load(Ordering::Acquire) || matches!(last, Some(Trouble::Denied(_)));
        last.filter(|_| is_of_no_use)
    }

    fn forget(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.is_down.store(false, Ordering::Release);
    }
}

impl ClientContext for Ear {
    /// What matters of it comes as an error, too.
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        if code == Code::AllBrokersDown {
            return self.heard.is_down.store(true, Ordering::Release);
        }
        // How long that took is another time each time.
        let reason = reason.split(" (after ").next().unwrap_or(reason);
        let trouble = of_code("connect", code, reason);
        *self.heard.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(trouble);
    }
}

impl ConsumerContext for Ear {}

impl ProducerContext for Ear {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let answer = match result {
            Ok(message) => Ok(message.offset()),
            Err((e, _)) => {
                let is_silence = e.rdkafka_error_code() == Some(Code::MessageTimedOut);
                let heard = if is_silence { self.heard.why() } else { None };
                Err((e.rdkafka_error_code(), heard.unwrap_or_else(|| of_error("send units", e))))
            }
        };
        if let Some(answers) = &self.answers {
            // Nobody may be there any more.
            let _ = answers.send(answer);
        }
    }
}

/// What both kinds of client are told.
fn config(address: &Address, secrets: &Secrets, wait: Duration) -> Result<ClientConfig, Trouble> {
    let mut config = ClientConfig::new();
    let wait = wait.as_millis().clamp(1000, 300_000).to_string();
    let who = secrets.read(&Who::read)?;
    let protocol = match (address.is_encrypted, &who) {
        (false, None) => "plaintext",
        (true, None) => "ssl",
        (false, Some(_)) => "sasl_plaintext",
        (true, Some(_)) => "sasl_ssl",
    };
    config
        .set("bootstrap.servers", &address.servers)
        .set("client.id", "mmlogctl-ship")
        .set("security.protocol", protocol)
        .set("socket.timeout.ms", &wait)
        .set("socket.connection.setup.timeout.ms", &wait)
        .set("socket.keepalive.enable", "true")
        .set("reconnect.backoff.max.ms", "1000")
        .set("message.max.bytes", REQUEST.to_string())
        .set("allow.auto.create.topics", "false")
        .set("enable.metrics.push", "false");
    if let Some(ca) = &secrets.ca {
        config.set("ssl.ca.location", ca.to_string_lossy());
    }
    if let Some(Who { user, password, mechanism }) = who {
        config.set("sasl.mechanism", mechanism).set("sasl.username", user).set("sasl.password", password);
    }
    Ok(config)
}

/// Of one that sends so many bytes at once at most: in order, each once in a session of its, and nothing is acknowledged that not all replicas in sync have.
pub(super) fn sending(
    address: &Address,
    secrets: &Secrets,
    wait: Duration,
    most: u64,
) -> Result<ClientConfig, Trouble> {
    let mut config = config(address, secrets, wait)?;
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "0")
        .set("batch.size", most.to_string())
        // What is on its way is bounded by whoever sends.
        .set("queue.buffering.max.kbytes", "2097151")
        .set("message.timeout.ms", wait.as_millis().clamp(1000, 300_000).to_string());
    Ok(config)
}

/// Of one that reads a partition that it is told, without a group: it commits nothing.
pub(super) fn reading(address: &Address, secrets: &Secrets, wait: Duration) -> Result<ClientConfig, Trouble> {
    let mut config = config(address, secrets, wait)?;
    config
        .set("group.id", "mmlogctl-ship")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_uncommitted")
        .set("enable.partition.eof", "true")
        .set("check.crcs", "true")
        .set("queued.max.messages.kbytes", "4096")
        .set("fetch.max.bytes", "4194304");
    Ok(config)
}

/// Asks until there is an answer, or waiting is of no use.
pub(super) fn patiently<T>(
    heard: &Heard,
    wait: Duration,
    doing: &str,
    ask: impl Fn(Duration) -> Result<T, KafkaError>,
) -> Result<T, Trouble> {
    let (begun, mut slice) = (Instant::now(), SLICE);
    heard.forget();
    loop {
        let left = wait.saturating_sub(begun.elapsed());
        let error = match ask(slice.min(left).max(Duration::from_millis(1))) {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let trouble = of_error(doing, &error);
        let is_silence = matches!(
            error.rdkafka_error_code(),
            Some(Code::OperationTimedOut | Code::BrokerTransportFailure | Code::MessageTimedOut)
        );
        if !is_silence || left.is_zero() {
            return Err(heard.last().filter(|_| is_silence).unwrap_or(trouble));
        }
        if let Some(why) = heard.why() {
            return Err(why);
        }
        slice *= 2;
    }
}

/// What an error comes to; `doing` is what was done: "send units".
pub(super) fn of_error(doing: &str, error: &KafkaError) -> Trouble {
    match error {
        // Its value may be a secret.
        KafkaError::ClientConfig(_, why, key, _) => {
            let hint = match key.starts_with("ssl") || key == "security.protocol" {
                true => "; this build has no TLS: kafka-tls and kafka-system, features of mmlog-ship, have",
                false => "",
            };
            Trouble::Usage(format!("the client does not take {key}: {}{hint}", one_line(why)))
        }
        _ => match error.rdkafka_error_code() {
            Some(Code::BrokerTransportFailure) => of_code(doing, Code::OperationTimedOut, ""),
            Some(code) => of_code(doing, code, &code.to_string()),
            None => unreached(format!("cannot {doing}: {}", one_line(&error.to_string()))),
        },
    }
}

fn of_code(doing: &str, code: Code, reason: &str) -> Trouble {
    let said = format!("cannot {doing}: {}", one_line(reason));
    match code {
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState
        | Code::TopicAuthorizationFailed
        | Code::ClusterAuthorizationFailed => Trouble::Denied(said),
        Code::InvalidRecord => Trouble::Decide(
            "it takes no record without a key: the topic is compacted, which removes units; ship to one with cleanup.policy=delete"
                .to_owned(),
        ),
        Code::UnsupportedForMessageFormat | Code::PolicyViolation => Trouble::Decide(said),
        Code::OperationTimedOut | Code::MessageTimedOut => {
            Trouble::Away(format!("cannot {doing}: no answer in time"))
        }
        Code::OutOfOrderSequenceNumber
        | Code::UnknownProducerId
        | Code::InvalidProducerEpoch
        | Code::GaplessGuarantee
        | Code::Fatal => Trouble::Refused(format!("{said}; its session is over")),
        _ => unreached(said),
    }
}
