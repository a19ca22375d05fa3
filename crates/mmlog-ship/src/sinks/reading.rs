//! What a message of a server is, and where the units there end.

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

/// Reads a message's fields.
pub(super) fn read(at: u64, pairs: &[(&str, &str)]) -> Read {
    match Header::read(at, pairs) {
        Ok(header) => Read::Unit(header),
        Err(Error::Later { version, .. }) => Read::Other(Content::Later(version)),
        Err(_) => Read::Other(Content::Foreign),
    }
}
