//! What a message has.

use async_nats::HeaderMap;

/// A message's headers, each with its name.
pub(super) fn pairs(headers: &HeaderMap) -> Vec<(&str, &str)> {
    let values = headers.iter();
    values
        .flat_map(|(name, values)| values.iter().map(move |value| (name.as_ref(), value.as_str())))
        .collect()
}
