//! `s3://BUCKET[/PREFIX][?region=REGION][&endpoint=URL]`: where a bucket is, and what it takes to be let in.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rusty_s3::{Bucket, Credentials, UrlStyle};
use ureq::tls::RootCerts;

use super::super::secrets::{TYPED, word};
use super::super::{Patience, Secrets, web};
use crate::sum;
use crate::trouble::{Trouble, shown};

/// Where a bucket is, how it is asked, and for how long.
#[derive(Clone)]
pub struct Location {
    /// As it was typed, without what is behind the `?`: there is no secret in it.
    pub(super) name: String,
    pub(super) bucket: Bucket,
    /// What all keys begin with, its `/` at the end; empty, if there is none.
    pub(super) prefix: String,
    secrets: Secrets,
    pub(super) patience: Patience,
    pub(super) stop: Arc<AtomicBool>,
}

impl Location {
    /// Reads one; what takes its time ends when `stop` is raised.
    ///
    /// # Errors
    /// What is wrong with it, or with a secret.
    pub fn read(
        text: &str,
        secrets: Secrets,
        patience: Patience,
        stop: &Arc<AtomicBool>,
    ) -> Result<Self, Trouble> {
        // What was typed may have a secret in it.
        let usage = |why: &str| {
            Trouble::Usage(format!(
                "{why}; an address is s3://BUCKET/PREFIX?region=REGION, with &endpoint=URL for a store that is not Amazon's"
            ))
        };
        let rest = text.strip_prefix("s3://").ok_or_else(|| usage("no address"))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if text.contains('@') {
            return Err(usage(TYPED));
        }
        let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        if !is_plain(bucket) {
            return Err(usage("no bucket: letters, digits, '.', '_' and '-'"));
        }
        if !prefix.is_empty() && (prefix.len() > 700 || !prefix.split('/').all(is_plain)) {
            return Err(usage("no prefix: letters, digits, '.', '_' and '-', with single '/' between them"));
        }
        let (mut region, mut endpoint) = (None, None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("region", value)) if is_plain(value) => region = Some(value),
                Some(("endpoint", value)) => endpoint = Some(value.strip_suffix('/').unwrap_or(value)),
                _ => return Err(usage("what is behind the ? is not known")),
            }
        }
        let (url, style) = match (endpoint, region) {
            (Some(endpoint), _) if is_endpoint(endpoint) => (endpoint.to_owned(), UrlStyle::Path),
            (Some(_), _) => return Err(usage("no endpoint: http:// or https://, a host, and a port")),
            (None, Some(region)) => (format!("https://s3.{region}.amazonaws.com"), UrlStyle::VirtualHost),
            (None, None) => return Err(usage("no region")),
        };
        let url = url.parse().map_err(|_| usage("no endpoint"))?;
        // Stores that have no regions call theirs so.
        let region = region.unwrap_or("us-east-1").to_owned();
        let made = Bucket::new(url, style, bucket.to_owned(), region);
        let made = made.map_err(|_| usage("no endpoint"))?;
        if secrets.credentials.is_none() {
            return Err(usage("--credentials FILE is missing"));
        }
        secrets.check(&|text, path| of_secret(text, path).map(drop))?;
        let name = format!("s3://{bucket}{}{prefix}", if prefix.is_empty() { "" } else { "/" });
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let stop = Arc::clone(stop);
        let location = Location { name, bucket: made, prefix, secrets, patience, stop };
        location.roots()?;
        Ok(location)
    }

    /// Which place it is, whatever it is reached by.
    pub(super) fn born(&self) -> u64 {
        let name = format!("{}/{}", self.bucket(), self.prefix);
        sum::extend(0, name.as_bytes()).max(1)
    }

    /// What a shipper to it is called, if nobody says otherwise.
    pub fn bucket(&self) -> &str {
        self.bucket.name()
    }

    /// Read at each connection, since secrets are replaced.
    pub(super) fn secret(&self) -> Result<Credentials, Trouble> {
        let secret = self.secrets.read(&of_secret)?;
        secret.ok_or_else(|| Trouble::Usage("--credentials FILE is missing".to_owned()))
    }

    /// Who signs for servers.
    pub(super) fn roots(&self) -> Result<RootCerts, Trouble> {
        web::roots(&self.secrets)
    }
}

impl std::fmt::Debug for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Location").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Nothing of it is ever shown.
fn of_secret(text: &str, path: &Path) -> Result<Credentials, Trouble> {
    let word = |name| word(text, name).filter(|word| !word.is_empty());
    match (word("access-key"), word("secret-key"), word("session-token")) {
        (Some(key), Some(secret), None) => Ok(Credentials::new(key, secret)),
        (Some(key), Some(secret), Some(token)) => Ok(Credentials::new_with_token(key, secret, token)),
        _ => Err(Trouble::Usage(format!(
            "{}: no lines `access-key KEY` and `secret-key WORD`, and perhaps `session-token WORD`",
            shown(path)
        ))),
    }
}

/// One component of a name, which is a path nowhere.
fn is_plain(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !text.is_empty() && text.bytes().all(is_plain) && !matches!(text, "." | "..")
}

fn is_endpoint(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']');
    host.is_some_and(|host| !host.is_empty() && host.bytes().all(is_host))
}
