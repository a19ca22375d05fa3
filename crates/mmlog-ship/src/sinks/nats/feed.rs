//! The units of a stream in order, for whoever receives them.

use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::pull::{Config, Stream as Messages};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use async_nats::jetstream::context::GetStreamByNameErrorKind;
use async_nats::jetstream::stream::Stream;
use futures_util::StreamExt as _;

use super::super::{Patience, Secrets, Stored};
use super::address::Address;
use super::connection::{Connection, News, Wire, away, whole};
use super::reading::{born, message, pairs};
use crate::receive::{self, Fed, Feed};
use crate::trouble::Trouble;
use crate::unit::{Header, Id};

/// Messages that are asked for together have at most so many bytes, whatever a message may have.
const AHEAD: usize = 16 << 20;
/// A message that has not come within that time may not be there.
const LOOK: Duration = Duration::from_millis(100);
/// After so many of those it is asked for by its sequence, and what it was to come by is made anew: a server forgets that without a word.
const LOOKS: u32 = 10;
/// The stream is asked for its state when nothing came for the first time, and then only after so many of those.
const SELDOM: u32 = 30;
/// The server keeps what it knows of this reader for so long after it is gone.
const IDLE: Duration = Duration::from_secs(10);

/// A stream that is read.
pub struct NatsFeed {
    address: Address,
    secrets: Secrets,
    wire: Wire<Link>,
}

struct Link {
    stream: Stream,
    messages: Option<Messages>,
    batch: usize,
    born: u64,
    /// The sequence that comes next.
    next: u64,
    /// How often in a row it did not come.
    late: u32,
    /// Whether the stream has it, or had it.
    is_behind: bool,
}

impl NatsFeed {
    /// The stream there.
    pub fn new(address: Address, secrets: Secrets, patience: Patience) -> Self {
        NatsFeed { address, secrets, wire: Wire::new(patience) }
    }

    async fn connect(&self, news: Arc<News>) -> Result<Option<Link>, Trouble> {
        let Connection { client, context } =
            Connection::make(&self.address, &self.secrets, self.wire.wait(), 1, news).await?;
        let name = match context.stream_by_subject(self.address.subject().to_owned()).await {
            Ok(name) => name,
            Err(e) if e.kind() == GetStreamByNameErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(away("look for the stream")(e)),
        };
        let stream = context.get_stream(&name).await;
        let stream =
            stream.map_err(|e| Trouble::Away(format!("cannot read the stream {name}: {}", whole(&e))))?;
        let born = born(stream.cached_info());
        let batch = (AHEAD / client.max_payload().max(1)).clamp(1, 64);
        Ok(Some(Link { stream, messages: None, batch, born, next: 1, late: 0, is_behind: false }))
    }
}

impl Link {
    /// The messages from the next one on, as they come.
    async fn messages(&mut self) -> Result<&mut Messages, Trouble> {
        if self.messages.is_none() {
            let config = Config {
                deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.next },
                ack_policy: AckPolicy::None,
                inactive_threshold: IDLE,
                memory_storage: true,
                num_replicas: 1,
                ..Config::default()
            };
            let consumer = self.stream.create_consumer(config).await.map_err(away("read from the stream"))?;
            let messages = consumer
                .stream()
                .max_messages_per_batch(self.batch)
                .messages()
                .await
                .map_err(away("read from the stream"))?;
            self.messages = Some(messages);
        }
        self.messages.as_mut().ok_or_else(|| Trouble::Away("the connection was cut".to_owned()))
    }

    async fn next(&mut self) -> Result<Fed, Trouble> {
        let waited = tokio::time::timeout(LOOK, self.messages().await?.next()).await;
        let Ok(message) = waited else { return self.late().await };
        (self.late, self.is_behind) = (0, false);
        let message = message.ok_or_else(|| Trouble::Away("the stream gives no more".to_owned()))?;
        let message = message.map_err(away("read from the stream"))?;
        let at = message
            .info()
            .map_err(|e| Trouble::Away(format!("a message without its place: {e}")))?
            .stream_sequence;
        if at > self.next {
            return self.missing(at).await;
        }
        if at < self.next {
            return Ok(Fed::Later);
        }
        let header = header(at, message.headers.as_ref().unwrap_or(&HeaderMap::new()))?;
        let payload = message.payload.to_vec();
        header.check(at, &payload).map_err(wrong)?;
        self.next = at + 1;
        Ok(Fed::Unit(Stored { coordinate: at, header, payload }))
    }

    /// Nothing has come: there is nothing, or it was removed, or it takes its time.
    async fn late(&mut self) -> Result<Fed, Trouble> {
        self.late += 1;
        let is_due = self.late == 1 || self.late >= if self.is_behind { LOOKS } else { SELDOM };
        if !is_due {
            return Ok(if self.is_behind { Fed::Later } else { Fed::Nothing });
        }
        let info = self.stream.get_info().await.map_err(away("read the stream's state"))?;
        if born(&info) != self.born {
            return Err(Trouble::Away("it was made anew".to_owned()));
        }
        let (first, last) = (info.state.first_sequence, info.state.last_sequence);
        if last + 1 < self.next {
            return Err(receive::put_back());
        }
        let was_behind = std::mem::replace(&mut self.is_behind, last >= self.next);
        if self.late > 1 {
            self.late = 1;
        }
        match (was_behind, self.is_behind) {
            (_, false) => Ok(Fed::Nothing),
            (false, true) => Ok(Fed::Later),
            (true, true) => self.missing(first.max(self.next + 1)).await,
        }
    }

    /// The next message did not come before that one: it was removed, or the connection lost it.
    async fn missing(&mut self, at: u64) -> Result<Fed, Trouble> {
        // Whatever comes next is asked for again.
        (self.messages, self.late, self.is_behind) = (None, 0, false);
        if message(&self.stream, self.next).await?.is_some() {
            return Ok(Fed::Later);
        }
        let from = std::mem::replace(&mut self.next, at);
        Ok(Fed::Missing { from, to: at - 1 })
    }

    async fn begin(&mut self, coordinate: u64, id: Id) -> Result<bool, Trouble> {
        let (first, last) = {
            let state = &self.stream.cached_info().state;
            (state.first_sequence, state.last_sequence)
        };
        (self.messages, self.late, self.is_behind) = (None, 0, false);
        if coordinate == 0 {
            // Older ones may be gone: it begins with what is there.
            self.next = first.max(1);
            return Ok(true);
        }
        self.next = coordinate + 1;
        if last < coordinate {
            return Ok(false);
        }
        match message(&self.stream, coordinate).await? {
            Some(headers) => Ok(id == 0 || header(coordinate, &headers)?.id() == id),
            None => Ok(true),
        }
    }
}

fn header(at: u64, headers: &HeaderMap) -> Result<Header, Trouble> {
    Header::read(at, &pairs(headers)).map_err(wrong)
}

fn wrong(e: crate::Error) -> Trouble {
    Trouble::Decide(format!("{e}; nothing of it was written"))
}

impl Feed for NatsFeed {
    fn name(&self) -> &str {
        &self.address.name
    }

    fn open(&mut self) -> Result<Option<u64>, Trouble> {
        self.wire.close();
        let (worker, news) = self.wire.worker()?;
        let Some(link) = worker.run(self.connect(news))? else { return Ok(None) };
        let born = link.born;
        self.wire.set(link, worker);
        Ok(Some(born))
    }

    fn begin(&mut self, coordinate: u64, id: Id) -> Result<bool, Trouble> {
        let (link, worker) = self.wire.get()?;
        worker.run(link.begin(coordinate, id))
    }

    fn next(&mut self) -> Result<Fed, Trouble> {
        let (link, worker) = self.wire.get()?;
        worker.run(link.next())
    }
}
