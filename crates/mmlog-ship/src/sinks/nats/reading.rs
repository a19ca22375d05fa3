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
    match Header::read(at, &pairs(headers)) {
        Ok(header) => Read::Unit(header),
        Err(Error::Later { version, .. }) => Read::Other(Content::Later(version)),
        Err(_) => Read::Other(Content::Foreign),
    }
}

/// A message's headers, each with its name.
pub(super) fn pairs(headers: &HeaderMap) -> Vec<(&str, &str)> {
    let values = headers.iter();
    values
        .flat_map(|(name, values)| values.iter().map(move |value| (name.as_ref(), value.as_str())))
        .collect()
}
