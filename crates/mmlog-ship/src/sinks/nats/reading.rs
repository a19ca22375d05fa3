//! What a message has.

use async_nats::HeaderMap;
use async_nats::jetstream::stream::{Info, RawMessageErrorKind, Stream};

use super::connection::whole;
use crate::trouble::Trouble;

/// When the stream was made: nanoseconds since 1970, as the server noted it.
pub(super) fn born(info: &Info) -> u64 {
    info.created.unix_timestamp_nanos() as u64
}

/// The headers of the message at that sequence; none where it was removed.
pub(super) async fn message<I>(stream: &Stream<I>, at: u64) -> Result<Option<HeaderMap>, Trouble> {
    match stream.get_raw_message(at).await {
        Ok(message) => Ok(Some(message.headers)),
        Err(e) if e.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(e) => Err(Trouble::Away(format!("cannot read its message {at}: {}", whole(&e)))),
    }
}

/// A message's headers, each with its name.
pub(super) fn pairs(headers: &HeaderMap) -> Vec<(&str, &str)> {
    let values = headers.iter();
    values
        .flat_map(|(name, values)| values.iter().map(move |value| (name.as_ref(), value.as_str())))
        .collect()
}
