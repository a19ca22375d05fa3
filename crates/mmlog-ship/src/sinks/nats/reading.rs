//! What a message is.

use async_nats::HeaderMap;

use crate::Error;
use crate::decide::Content;
use crate::unit::Header;

/// What a message is.
pub(super) enum Read {
    /// A unit.
    Unit(Header),
    /// Another's, or one of a later version.
    Other(Content),
}

/// Reads a message's headers.
pub(super) fn read(at: u64, headers: &HeaderMap) -> Read {
    let pairs: Vec<(&str, &str)> = headers
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| (name.as_ref(), value.as_str())))
        .collect();
    match Header::read(at, &pairs) {
        Ok(header) => Read::Unit(header),
        Err(Error::Later { version, .. }) => Read::Other(Content::Later(version)),
        Err(_) => Read::Other(Content::Foreign),
    }
}
