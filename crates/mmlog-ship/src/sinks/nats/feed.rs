//! The units of a stream in order, for whoever receives them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::pull::{Config, Stream as Messages};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use async_nats::jetstream::context::GetStreamByNameErrorKind;
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use futures_util::StreamExt as _;
use tokio::runtime::Runtime;

use super::super::{Secrets, Stored};
use super::address::Address;
use super::connection::{Connection, away, runtime, whole};
use super::reading::pairs;
use crate::receive::{self, Fed, Feed};
use crate::trouble::Trouble;
use crate::unit::{Header, Id};

/// Messages that are asked for together have at most so many bytes, whatever a message may have.
const AHEAD: usize = 16 << 20;
/// A message that has not come within that time may not be there.
const LOOK: Duration = Duration::from_millis(100);
/// After so many of those it is asked for by its sequence, and what it was to come by is made anew: a server forgets that without a word.
const LOOKS: u32 = 10;
/// The server keeps what it knows of this reader for so long after it is gone.
const IDLE: Duration = Duration::from_secs(60);

/// A stream that is read.
pub struct NatsFeed {
    address: Address,
    secrets: Secrets,
    wait: Duration,
    link: Option<(Link, Runtime)>,
}

struct Link {
    name: String,
    stream: Stream,
    messages: Option<Messages>,
    batch: usize,
    is_gone: Arc<AtomicBool>,
    born: u64,
    /// The sequence that comes next.
    next: u64,
    /// How often in a row it did not come.
    late: u32,
}

impl NatsFeed {
    /// The stream there; `wait` is how long an answer is waited for.
    pub fn new(address: Address, secrets: Secrets, wait: Duration) -> Self {
        NatsFeed { address, secrets, wait, link: None }
    }

    async fn connect(&self) -> Result<Option<Link>, Trouble> {
        let Connection { client, context, is_gone } =
            Connection::make(&self.address, &self.secrets, self.wait, 1).await?;
        let name = match context.stream_by_subject(self.address.subject().to_owned()).await {
            Ok(name) => name,
            Err(e) if e.kind() == GetStreamByNameErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(away("look for the stream")(e)),
        };
        let stream = context.get_stream(&name).await;
        let stream =
            stream.map_err(|e| Trouble::Away(format!("cannot read the stream {name}: {}", whole(&e))))?;
        let born = super::born(stream.cached_info());
        let batch = (AHEAD / client.max_payload().max(1)).clamp(1, 64);
        let name = self.address.name.clone();
        Ok(Some(Link { name, stream, messages: None, batch, is_gone, born, next: 1, late: 0 }))
    }

    fn link(&mut self) -> Result<(&mut Link, &Runtime), Trouble> {
        let link = self.link.as_mut().filter(|(link, _)| !link.is_gone.load(Ordering::Acquire));
        let (link, runtime) = link.ok_or_else(|| Trouble::Away("the connection was cut".to_owned()))?;
        Ok((link, runtime))
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

    async fn next(&mut self, accept_gap: bool) -> Result<Fed, Trouble> {
        let waited = tokio::time::timeout(LOOK, self.messages().await?.next()).await;
        let Ok(message) = waited else { return self.late(accept_gap).await };
        self.late = 0;
        let message = message.ok_or_else(|| Trouble::Away("the stream gives no more".to_owned()))?;
        let message = message.map_err(away("read from the stream"))?;
        let at = message
            .info()
            .map_err(|e| Trouble::Away(format!("a message without its place: {e}")))?
            .stream_sequence;
        if at > self.next {
            return self.missing(at, accept_gap).await;
        }
        if at < self.next {
            return Ok(Fed::Later);
        }
        let header = header(at, message.headers.as_ref().unwrap_or(&HeaderMap::new()))?;
        let payload = message.payload.to_vec();
        header.check(at, &payload).map_err(|e| Trouble::Decide(format!("{e}; nothing of it was written")))?;
        self.next = at + 1;
        Ok(Fed::Unit(Stored { coordinate: at, header, payload }))
    }

    /// Nothing has come: there is nothing, or it was removed, or it takes its time.
    async fn late(&mut self, accept_gap: bool) -> Result<Fed, Trouble> {
        let info = self.stream.get_info().await.map_err(away("read the stream's state"))?;
        if super::born(&info) != self.born {
            return Err(Trouble::Away("it was made anew".to_owned()));
        }
        let (first, last) = (info.state.first_sequence, info.state.last_sequence);
        if last + 1 < self.next {
            return Err(Trouble::Decide(receive::went_back(&self.name, self.next - 1)));
        }
        self.late += 1;
        if last < self.next {
            return Ok(Fed::Nothing);
        }
        if self.late < LOOKS {
            return Ok(Fed::Later);
        }
        self.late = 0;
        self.missing(first.max(self.next + 1), accept_gap).await
    }

    /// The next message did not come before that one: it was removed, or the connection lost it.
    async fn missing(&mut self, at: u64, accept_gap: bool) -> Result<Fed, Trouble> {
        // Whatever comes next is asked for again.
        self.messages = None;
        if self.header(self.next).await?.is_some() {
            return Ok(Fed::Later);
        }
        let from = std::mem::replace(&mut self.next, at);
        match accept_gap {
            true => Ok(Fed::Missing { from, to: at - 1 }),
            false => Err(Trouble::Decide(receive::gone(&self.name, from, at - 1))),
        }
    }

    /// The message at that sequence; none where it was removed.
    async fn header(&self, at: u64) -> Result<Option<Header>, Trouble> {
        match self.stream.get_raw_message(at).await {
            Ok(message) => header(at, &message.headers).map(Some),
            Err(e) if e.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(e) => Err(Trouble::Away(format!("cannot read its message {at}: {}", whole(&e)))),
        }
    }

    async fn begin(&mut self, coordinate: u64, id: Id) -> Result<(), Trouble> {
        let state = &self.stream.cached_info().state;
        if coordinate == 0 {
            // Older ones may be gone: it begins with what is there.
            self.next = state.first_sequence.max(1);
            return Ok(());
        }
        if state.last_sequence < coordinate {
            return Err(Trouble::Decide(receive::went_back(&self.name, coordinate)));
        }
        self.next = coordinate + 1;
        match self.header(coordinate).await? {
            Some(header) if id != 0 && header.id() != id => {
                Err(Trouble::Decide(receive::went_back(&self.name, coordinate)))
            }
            _ => Ok(()),
        }
    }
}

fn header(at: u64, headers: &HeaderMap) -> Result<Header, Trouble> {
    Header::read(at, &pairs(headers)).map_err(|e| Trouble::Decide(format!("{e}; nothing of it was written")))
}

impl Feed for NatsFeed {
    fn name(&self) -> &str {
        &self.address.name
    }

    fn open(&mut self) -> Result<Option<u64>, Trouble> {
        self.link = None;
        let runtime = runtime()?;
        let Some(link) = runtime.block_on(self.connect())? else { return Ok(None) };
        let born = link.born;
        self.link = Some((link, runtime));
        Ok(Some(born))
    }

    fn begin(&mut self, coordinate: u64, id: Id) -> Result<(), Trouble> {
        let (link, runtime) = self.link()?;
        runtime.block_on(link.begin(coordinate, id))
    }

    fn next(&mut self, accept_gap: bool) -> Result<Fed, Trouble> {
        let (link, runtime) = self.link()?;
        runtime.block_on(link.next(accept_gap))
    }
}
