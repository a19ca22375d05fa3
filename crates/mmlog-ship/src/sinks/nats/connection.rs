//! A connection, which is used once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::jetstream::{self, context::ContextBuilder};
use async_nats::{Client, Event};
use tokio::runtime::Runtime;

use super::super::Secrets;
use super::address::{self, Address};
use crate::trouble::Trouble;

/// Who is connected, and whether that is still so.
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) context: jetstream::Context,
    pub(super) is_gone: Arc<AtomicBool>,
}

/// What a connection runs on; it ends with that.
pub(super) fn runtime() -> Result<Runtime, Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(away("wait for a network"))
}

impl Connection {
    /// Makes one; at most so many units are on their way by it.
    pub(super) async fn make(
        address: &Address,
        secrets: &Secrets,
        wait: Duration,
        units: usize,
    ) -> Result<Connection, Trouble> {
        let is_gone = Arc::new(AtomicBool::new(false));
        let gone = Arc::clone(&is_gone);
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
                if matches!(event, Event::Disconnected | Event::Closed) {
                    gone.store(true, Ordering::Release);
                }
                std::future::ready(())
            });
        let connecting = options.connect(address.servers.clone());
        let client = match tokio::time::timeout(wait, connecting).await {
            Ok(Ok(client)) => client,
            Ok(Err(e)) => return Err(away("connect")(e)),
            Err(_) => return Err(Trouble::Away(format!("no connection within {} s", wait.as_secs()))),
        };
        let context = ContextBuilder::new().timeout(wait).max_ack_inflight(units).build(client.clone());
        Ok(Connection { client, context, is_gone })
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
    text.chars().flat_map(|c| if c.is_control() { c.escape_debug().collect() } else { vec![c] }).collect()
}
