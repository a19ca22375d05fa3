//! Servers, as they are typed.

/// A server and its port, or the one that is meant where none is said; one with colons of its own stands in brackets.
pub(super) fn host(text: &str, default: u16) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']')?;
            let port = if behind.is_empty() { None } else { Some(behind.strip_prefix(':')?) };
            (host, port)
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    if host.is_empty() || !host.chars().all(is_plain) {
        return None;
    }
    let port = port.map_or(Some(default), |port| port.parse().ok())?;
    Some((host.to_owned(), port))
}
