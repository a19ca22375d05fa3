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
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::stream::Stream;

use super::reading::{Read, read};
use super::{Message, Patience, Purpose, Secrets, Sink, Strength};
use crate::decide::{Content, Tail, Top};
use crate::trouble::Trouble;
use crate::unit::Kind;
pub use address::{Address, check};
use connection::{Connection, News, Wire, away, whole};
pub use feed::NatsFeed;
use reading::{born, message, pairs};

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
    wire: Wire<Link>,
    notes: Vec<String>,
}

/// A connection. What it has on its way ends with its runtime.
struct Link {
    context: jetstream::Context,
    stream: Stream<()>,
    stream_name: String,
    /// The first sequence that it ever had.
    least: u64,
    /// What has no answer, with the coordinate that it is to have.
    out: VecDeque<(u64, Answer)>,
}

impl NatsSink {
    /// There, with what it takes to be let in.
    pub fn new(address: Address, secrets: Secrets, patience: Patience) -> Self {
        NatsSink { address, secrets, wire: Wire::new(patience), notes: Vec::new() }
    }

    async fn open_link(
        &self,
        purpose: Purpose,
        news: Arc<News>,
    ) -> Result<(Link, u64, Vec<String>), Trouble> {
        let Connection { client, context } =
            Connection::make(&self.address, &self.secrets, self.wire.wait(), UNITS, news).await?;
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
        let link = Link { context, stream, stream_name: found.name, least: found.least, out };
        if purpose == Purpose::Look {
            link.may_send(self.address.subject.clone()).await?;
        }
        Ok((link, longest - HEADERS, found.notes))
    }
}

impl Link {
    async fn look(&self) -> Result<Tail, Trouble> {
        let info = self.stream.get_info().await.map_err(away("read the stream's state"))?;
        let born = born(&info);
        let state = info.state;
        let mut tail = Tail { born, coordinate: state.last_sequence, top: None, content: Content::Empty };
        let (mut at, mut first, mut missing) = (state.last_sequence, state.first_sequence, None);
        while at >= self.least.max(1) {
            let Some(headers) = message(&self.stream, at).await? else {
                missing = missing.or(Some(at));
                // Retention takes the oldest. Of the others a person has removed this one: what is below is the tail then.
                if at >= first {
                    let info = self.stream.get_info().await.map_err(away("read the stream's state"))?;
                    first = info.state.first_sequence;
                }
                if at < first {
                    break;
                }
                at -= 1;
                continue;
            };
            match read(at, &pairs(&headers)) {
                Read::Unit(header) => {
                    tail.top.get_or_insert(Top::of(&header));
                    if header.kind != Kind::Opening {
                        return Ok(Tail { content: Content::Unit(header), ..tail });
                    }
                }
                Read::Other(content) => return Ok(Tail { content, ..tail }),
            }
            at -= 1;
        }
        tail.content = missing.map_or(Content::Empty, Content::Trimmed);
        Ok(tail)
    }

    /// Sends what the stream cannot take, since it is for another one: it is refused, unless this user may not send at all.
    async fn may_send(&self, subject: String) -> Result<(), Trouble> {
        let probe = PublishMessage::build().expected_stream("mmlogctl-ship--check");
        let sent = self.context.send_publish(subject, probe).await.map_err(refused)?;
        match sent.await {
            Err(e) if e.kind() == PublishErrorKind::TimedOut => {
                Err(Trouble::Away("no answer to what was sent to its subject".to_owned()))
            }
            _ => Ok(()),
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
        let (worker, news) = self.wire.worker()?;
        let (link, longest, notes) = worker.run(self.open_link(purpose, news))?;
        self.wire.set(link, worker);
        self.notes = notes;
        Ok(longest)
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn look(&mut self) -> Result<Tail, Trouble> {
        let (link, worker) = self.wire.get()?;
        worker.run(link.look())
    }

    fn send(&mut self, message: &Message<'_>) -> Result<(), Trouble> {
        let subject = self.address.subject.clone();
        let (link, worker) = self.wire.get()?;
        worker.run(link.send(subject, message))
    }

    fn poll(&mut self, within: Duration) -> Result<Option<u64>, Trouble> {
        let (link, worker) = self.wire.get()?;
        let Some((expected, answer)) = link.out.front_mut() else { return Ok(None) };
        let expected = *expected;
        let waited = worker.run(async {
            match tokio::time::timeout(within, answer.as_mut()).await {
                Ok(answer) => answer.map(Some).map_err(refused),
                Err(_) => Ok(None),
            }
        });
        let Some(answer) = waited? else { return Ok(None) };
        link.out.pop_front();
        if answer.duplicate || answer.sequence != expected {
            return Err(Trouble::Refused(format!(
                "it says that it has the unit {expected} at {} already",
                answer.sequence
            )));
        }
        Ok(Some(expected))
    }

    fn close(&mut self) {
        self.wire.close();
    }
}

impl std::fmt::Debug for NatsSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsSink").field("name", &self.address.name).finish_non_exhaustive()
    }
}
