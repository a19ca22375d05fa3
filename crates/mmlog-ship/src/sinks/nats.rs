//! `nats://SERVER[,SERVER...]/SUBJECT`: a stream of JetStream that has this subject and no other.
//!
//! A unit is a message. The fence is two headers together: the sequence that the message has to follow, and the id of the message that
//! has it. The sequence alone lets in what a dead connection still had on its way, once a stream was put back; the id alone is
//! forgotten by servers that start again. The first unit of a connection has the sequence alone: see the [crate's
//! documentation](crate#the-fence) for why that is enough.
//!
//! An answer counts only with the sequence that the unit was to have: a server that knows an id says "duplicate", with the place where it
//! met it, whatever became of that.
//!
//! The tail is read as what the stream says of itself, then the message *at* its last sequence: the last one of a subject may be an earlier one.

use std::collections::VecDeque;
use std::future::{Future, IntoFuture as _};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::stream::{Info, RawMessageErrorKind, Stream};
use tokio::runtime::Runtime;

use super::reading::{Read, read};
use super::{Message, Purpose, Secrets, Sink, Strength};
use crate::decide::{Content, Tail, Top};
use crate::trouble::Trouble;
use crate::unit::Kind;
pub use address::{Address, check};
use connection::{Connection, away, whole};
pub use feed::NatsFeed;
use reading::pairs;

mod address;
mod connection;
mod feed;
mod reading;
mod streams;

/// Headers of a message have fewer bytes.
const HEADERS: u64 = 2048;
/// Units that may be on their way: each costs the server a message.
const UNITS: usize = 256;

type Answer = Pin<Box<dyn Future<Output = Result<PublishAck, PublishError>> + Send>>;

/// The sink.
pub struct NatsSink {
    address: Address,
    secrets: Secrets,
    wait: Duration,
    link: Option<(Link, Runtime)>,
}

/// A connection. What it has on its way ends with its runtime.
struct Link {
    context: jetstream::Context,
    stream: Stream<()>,
    stream_name: String,
    is_gone: Arc<AtomicBool>,
    /// What has no answer, with the coordinate that it is to have.
    out: VecDeque<(u64, Answer)>,
}

impl NatsSink {
    /// There, with what it takes to be let in; `wait` is how long an answer is waited for.
    pub fn new(address: Address, secrets: Secrets, wait: Duration) -> Self {
        NatsSink { address, secrets, wait, link: None }
    }

    fn link(&mut self) -> Result<(&mut Link, &Runtime), Trouble> {
        let link = self.link.as_mut().filter(|(link, _)| !link.is_gone.load(Ordering::Acquire));
        let (link, runtime) = link.ok_or_else(|| Trouble::Away("the connection was cut".to_owned()))?;
        Ok((link, runtime))
    }

    async fn open_link(&self, purpose: Purpose) -> Result<(Link, u64), Trouble> {
        let Connection { client, context, is_gone } =
            Connection::make(&self.address, &self.secrets, self.wait, UNITS).await?;
        let found = streams::find(&context, &self.address, purpose).await?;
        let stream = context.get_stream_no_info(&found.name).await.map_err(away("use the stream"))?;
        let longest = (client.max_payload() as u64).min(found.longest.unwrap_or(u64::MAX));
        if longest < 2 * HEADERS {
            return Err(Trouble::Decide(format!(
                "it takes messages of {longest} bytes, which is too few: {} are the least",
                2 * HEADERS
            )));
        }
        let out = VecDeque::new();
        let link = Link { context, stream, stream_name: found.name, is_gone, out };
        Ok((link, longest - HEADERS))
    }
}

impl Link {
    async fn look(&self) -> Result<Tail, Trouble> {
        let info = self.stream.get_info().await.map_err(away("read the stream's state"))?;
        let born = born(&info);
        let state = info.state;
        let mut tail = Tail { born, coordinate: state.last_sequence, top: None, content: Content::Empty };
        let mut at = state.last_sequence;
        while at > 0 {
            let Some(read) = self.message(at).await? else {
                tail.content = Content::Trimmed(at);
                return Ok(tail);
            };
            match read {
                Read::Unit(header) => {
                    tail.top.get_or_insert(Top::of(&header));
                    if header.kind != Kind::Opening {
                        tail.content = Content::Unit(header);
                        return Ok(tail);
                    }
                }
                Read::Other(content) => {
                    tail.content = content;
                    return Ok(tail);
                }
            }
            at -= 1;
        }
        Ok(tail)
    }

    /// The message at that sequence; none where it was removed.
    async fn message(&self, at: u64) -> Result<Option<Read>, Trouble> {
        match self.stream.get_raw_message(at).await {
            Ok(message) => Ok(Some(read(at, &pairs(&message.headers)))),
            Err(e) if e.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(e) => Err(Trouble::Away(format!("cannot read its message {at}: {}", whole(&e)))),
        }
    }

    async fn send(&mut self, subject: String, message: &Message<'_>) -> Result<(), Trouble> {
        let mut publish = PublishMessage::build()
            .payload(message.payload.to_vec().into())
            .message_id(format!("{:016x}", message.unit.id()))
            .expected_stream(&self.stream_name)
            .expected_last_sequence(message.after);
        if message.unit.kind != Kind::Opening {
            publish = publish.expected_last_message_id(format!("{:016x}", message.unit.after));
        }
        for (name, value) in message.unit.fields() {
            publish = publish.header(name, value.as_str());
        }
        if let Some(cut) = message.cut.word() {
            publish = publish.header(super::Cut::FIELD, cut);
        }
        let sent = self.context.send_publish(subject, publish).await.map_err(refused)?;
        self.out.push_back((message.after + 1, Box::pin(sent.into_future())));
        Ok(())
    }
}

/// When the stream was made: nanoseconds since 1970, as the server noted it.
fn born(info: &Info) -> u64 {
    info.created.unix_timestamp_nanos() as u64
}

/// What a unit was answered with that was not taken.
fn refused(e: PublishError) -> Trouble {
    let text = whole(&e);
    match e.kind() {
        PublishErrorKind::WrongLastSequence | PublishErrorKind::WrongLastMessageId => {
            Trouble::Refused(format!("it has another tail by now: {text}"))
        }
        PublishErrorKind::StreamNotFound => Trouble::Away("no stream answers".to_owned()),
        PublishErrorKind::TimedOut => Trouble::Away("no answer to a unit".to_owned()),
        _ => Trouble::Away(format!("a unit was not taken: {text}")),
    }
}

impl Sink for NatsSink {
    fn name(&self) -> &str {
        &self.address.name
    }

    fn strength(&self) -> Strength {
        Strength::Fenced
    }

    fn units(&self) -> usize {
        UNITS
    }

    fn open(&mut self, purpose: Purpose) -> Result<u64, Trouble> {
        self.close();
        let runtime = connection::runtime()?;
        let (link, longest) = runtime.block_on(self.open_link(purpose))?;
        self.link = Some((link, runtime));
        Ok(longest)
    }

    fn look(&mut self) -> Result<Tail, Trouble> {
        let (link, runtime) = self.link()?;
        runtime.block_on(link.look())
    }

    fn send(&mut self, message: &Message<'_>) -> Result<(), Trouble> {
        let subject = self.address.subject.clone();
        let (link, runtime) = self.link()?;
        runtime.block_on(link.send(subject, message))
    }

    fn poll(&mut self, within: Duration) -> Result<Option<u64>, Trouble> {
        let (link, runtime) = self.link()?;
        let Some((expected, answer)) = link.out.front_mut() else { return Ok(None) };
        let expected = *expected;
        let waited = runtime.block_on(async { tokio::time::timeout(within, answer.as_mut()).await });
        let Ok(answer) = waited else { return Ok(None) };
        link.out.pop_front();
        let answer = answer.map_err(refused)?;
        if answer.duplicate || answer.sequence != expected {
            return Err(Trouble::Refused(format!(
                "it says that it has the unit {expected} at {} already",
                answer.sequence
            )));
        }
        Ok(Some(expected))
    }

    fn close(&mut self) {
        self.link = None;
    }
}

impl std::fmt::Debug for NatsSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsSink").field("name", &self.address.name).finish_non_exhaustive()
    }
}
