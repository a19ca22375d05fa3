//! A connection, which is used once, and waiting for what comes by it.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::{self, context::ContextBuilder};
use async_nats::{Client, ConnectErrorKind, Event, ServerError};
use tokio::runtime::Runtime;

use super::super::{Patience, Secrets};
use super::address::{self, Address};
use crate::trouble::{Trouble, one_line, unreached};

/// How often it is looked, while something is waited for, whether that will ever come.
const TURN: Duration = Duration::from_millis(50);

/// What a server says without being asked.
#[derive(Debug, Default)]
pub(super) struct News {
    is_gone: AtomicBool,
    denied: Mutex<Option<String>>,
}

impl News {
    fn hear(&self, event: &Event) {
        match event {
            Event::Disconnected | Event::Closed => self.is_gone.store(true, Ordering::Release),
            Event::ServerError(ServerError::Other(text))
                if text.to_lowercase().contains("permissions violation") =>
            {
                let text = format!("this user may not: {}", one_line(text));
                *self.denied.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
            }
            _ => {}
        }
    }

    fn denied(&self) -> Option<Trouble> {
        self.denied.lock().unwrap_or_else(PoisonError::into_inner).clone().map(Trouble::Denied)
    }

    /// Why nothing more will come.
    fn bad(&self) -> Option<Trouble> {
        let cut = || {
            let is_gone = self.is_gone.load(Ordering::Acquire);
            is_gone.then(|| Trouble::Away("the connection was cut".to_owned()))
        };
        self.denied().or_else(cut)
    }
}

/// Who is connected.
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) context: jetstream::Context,
}

impl Connection {
    /// Makes one; at most so many units are on their way by it.
    pub(super) async fn make(
        address: &Address,
        secrets: &Secrets,
        wait: Duration,
        units: usize,
        news: Arc<News>,
    ) -> Result<Connection, Trouble> {
        let options = address::options(secrets)?;
        let options = options
            .name("mmlogctl-ship")
            .connection_timeout(wait)
            .request_timeout(Some(wait))
            // Each server that was named has its turn, before the first connection too. (Not: so that a connection that was cut is
            // mended. What it had on its way then is nobody's knowledge.)
            .max_reconnects(2 * address.servers.len())
            .ignore_discovered_servers()
            .require_tls(address.is_encrypted)
            .event_callback(move |event| {
                news.hear(&event);
                std::future::ready(())
            });
        let connecting = options.connect(address.servers.clone());
        let client = match tokio::time::timeout(wait, connecting).await {
            Ok(Ok(client)) => client,
            Ok(Err(e)) if is_denied(&e) => {
                return Err(Trouble::Denied(format!("cannot connect: {}", whole(&e))));
            }
            Ok(Err(e)) => return Err(away("connect")(e)),
            Err(_) => return Err(Trouble::Away(format!("no connection within {} s", wait.as_secs()))),
        };
        let context = ContextBuilder::new().timeout(wait).max_ack_inflight(units).build(client.clone());
        Ok(Connection { client, context })
    }
}

fn is_denied(e: &async_nats::ConnectError) -> bool {
    matches!(e.kind(), ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication)
        || whole(e).contains("authorization violation")
        || matches!(unreached(whole(e)), Trouble::Denied(_))
}

/// What is done by a connection, on a runtime that ends with it.
pub(super) struct Wire<L> {
    patience: Patience,
    open: Option<(L, Worker)>,
}

impl<L> Wire<L> {
    pub(super) fn new(patience: Patience) -> Self {
        Wire { patience, open: None }
    }

    pub(super) fn wait(&self) -> Duration {
        self.patience.wait
    }

    /// What a connection that is to be made runs on, and what will be heard by it.
    pub(super) fn worker(&self) -> Result<(Worker, Arc<News>), Trouble> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(away("wait for a network"))?;
        let news = Arc::new(News::default());
        let worker =
            Worker { runtime: Some(runtime), patience: self.patience.clone(), news: Arc::clone(&news) };
        Ok((worker, news))
    }

    pub(super) fn set(&mut self, link: L, worker: Worker) {
        self.open = Some((link, worker));
    }

    /// The connection, as long as it stands.
    pub(super) fn get(&mut self) -> Result<(&mut L, &Worker), Trouble> {
        let none = || Trouble::Away("there is no connection".to_owned());
        let (link, worker) = self.open.as_mut().ok_or_else(none)?;
        match worker.news.bad() {
            Some(bad) => Err(bad),
            None => Ok((link, worker)),
        }
    }

    pub(super) fn close(&mut self) {
        self.open = None;
    }
}

/// Does one thing at a time, for as long as that may take.
pub(super) struct Worker {
    runtime: Option<Runtime>,
    patience: Patience,
    news: Arc<News>,
}

impl Worker {
    /// Whatever it is: it ends when the server says that nothing will come, and soon after somebody says that it is to.
    pub(super) fn run<T>(&self, work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        let Some(runtime) = &self.runtime else { return Err(Trouble::Away("it has ended".to_owned())) };
        let mut patience = self.patience.clone();
        runtime.block_on(async {
            let mut work = pin!(work);
            loop {
                if let Ok(done) = tokio::time::timeout(TURN, work.as_mut()).await {
                    // A request that nobody may make has no answer, or one that says less.
                    return done.map_err(|e| if e.passes() { self.news.denied().unwrap_or(e) } else { e });
                }
                if let Some(bad) = self.news.bad().or_else(|| patience.is_over()) {
                    return Err(bad);
                }
            }
        })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Not waiting for a name that is being looked up.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What may pass; `doing` is what was done: "read the stream's state".
pub(super) fn away<E: std::error::Error>(doing: &str) -> impl Fn(E) -> Trouble + '_ {
    move |e| Trouble::Away(format!("cannot {doing}: {}", whole(&e)))
}

/// An error with what it came from, on one line.
pub(super) fn whole(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut source = e.source();
    while let Some(inner) = source {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = inner.source();
    }
    one_line(&text)
}
