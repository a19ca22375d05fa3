//! `otlp+http://HOST[:PORT][/PATH]`, `http://HOST[:PORT]/PATH?format=ndjson` or `bulk`; with `https` where it is encrypted.

use std::path::Path;

use ureq::http::{HeaderName, HeaderValue, Uri};

use super::super::secrets::{Secrets, TYPED, word};
use super::super::{Patience, web};
use super::json::base64;
use crate::sum;
use crate::trouble::{Trouble, shown};

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// As OpenTelemetry has them.
    Otlp,
    /// An object of JSON a line.
    Lines,
    /// The same, each behind a line that has it made.
    Bulk,
}

/// Where records go.
pub struct Address {
    /// As it was typed, without what is behind the `?`: there is no secret in it.
    pub(super) name: String,
    pub(super) format: Format,
    /// What is asked, with what is the server's of what is behind the `?`.
    pub(super) url: String,
    pub(super) is_compressed: bool,
    pub(super) service: Option<String>,
    pub(super) host: String,
    /// The log's path.
    pub(super) log: String,
    pub(super) secrets: Secrets,
    pub(super) patience: Patience,
}

impl Address {
    /// Reads one, for the log at that path.
    ///
    /// # Errors
    /// What is wrong with it, or with a secret.
    pub fn read(text: &str, log: &Path, secrets: Secrets, patience: Patience) -> Result<Self, Trouble> {
        // What was typed may have a secret in it.
        let usage = |why: &str| {
            Trouble::Usage(format!(
                "{why}; an address is otlp+http://HOST:4318, or http://HOST/PATH?format=ndjson or bulk, with https where it is encrypted"
            ))
        };
        let (otlp, plain) = text.strip_prefix("otlp+").map_or((false, text), |rest| (true, rest));
        let (place, query) = plain.split_once('?').unwrap_or((plain, ""));
        let (scheme, rest) = place.split_once("://").ok_or_else(|| usage("no address"))?;
        if rest.contains('@') {
            return Err(usage(TYPED));
        }
        let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let mut format = otlp.then_some(Format::Otlp);
        let (mut service, mut is_compressed, mut theirs) = (None, false, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("format", "ndjson")) if !otlp => format = Some(Format::Lines),
                Some(("format", "bulk")) if !otlp => format = Some(Format::Bulk),
                Some(("format", _)) => return Err(usage("no such format there")),
                Some(("service.name", name)) if is_plain(name) => service = Some(name.to_owned()),
                Some(("service.name", _)) => {
                    return Err(usage("no service.name: letters, digits, '.', '_', '/' and '-'"));
                }
                Some(("compress", "gzip")) => is_compressed = true,
                Some(("compress", _)) => return Err(usage("compress=gzip is all there is")),
                _ => theirs.push(pair),
            }
        }
        let format = format.ok_or_else(|| usage("?format=ndjson or ?format=bulk is missing"))?;
        let path = if otlp && path.len() < 2 { "/v1/logs" } else { path };
        if format == Format::Bulk && !path.ends_with("/_bulk") {
            return Err(usage(
                "the path of ?format=bulk ends with /_bulk: http://HOST:9200/INDEX/_bulk?format=bulk",
            ));
        }
        let url = format!(
            "{scheme}://{host}{path}{}{}",
            if theirs.is_empty() { "" } else { "?" },
            theirs.join("&")
        );
        let is_one = url.parse::<Uri>().is_ok_and(|uri| uri.host().is_some_and(|host| !host.is_empty()));
        if !is_one || !matches!(scheme, "http" | "https") || url.contains('#') {
            return Err(usage("no address"));
        }
        if secrets.ca.is_some() && scheme == "http" {
            return Err(usage("--tls-ca is of no use to a connection that is not encrypted"));
        }
        secrets.check(&|text, path| of_secret(text, path).map(drop))?;
        web::roots(&secrets)?;
        Ok(Address {
            name: format!("{}{scheme}://{host}{path}", if otlp { "otlp+" } else { "" }),
            format,
            url,
            is_compressed,
            service,
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            log: log.to_string_lossy().into_owned(),
            secrets,
            patience,
        })
    }

    /// What a shipper to it is called, if nobody says otherwise: behind the format.
    pub fn host(&self) -> &str {
        let place = self.name.split_once("://").map_or("", |(_, place)| place);
        place.split(['/', ':']).next().unwrap_or_default()
    }

    /// What it speaks.
    pub fn speaks(&self) -> &'static str {
        match self.format {
            Format::Otlp => "otlp",
            Format::Lines => "http",
            Format::Bulk => "bulk",
        }
    }

    /// Which place it is, encrypted or not.
    pub(super) fn born(&self) -> u64 {
        let place = self.name.split_once("://").map_or("", |(_, place)| place);
        sum::extend(0, place.as_bytes()).max(1)
    }

    pub(super) fn is_clear(&self) -> bool {
        self.url.starts_with("http://")
    }

    pub(super) fn has_secret(&self) -> bool {
        self.secrets.credentials.is_some()
    }

    /// Headers by which who asks is let in, read again at each connection.
    pub(super) fn secret(&self) -> Result<Vec<(HeaderName, HeaderValue)>, Trouble> {
        Ok(self.secrets.read(&of_secret)?.unwrap_or_default())
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Address").field("name", &self.name).finish_non_exhaustive()
    }
}

fn is_plain(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'/' | b'-');
    !text.is_empty() && text.bytes().all(is_plain)
}

/// Nothing of it is ever shown.
fn of_secret(text: &str, path: &Path) -> Result<Vec<(HeaderName, HeaderValue)>, Trouble> {
    let wrong = || {
        Trouble::Usage(format!(
            "{}: no lines `user NAME` and `password WORD`, `token WORD`, `api-key WORD` or `header NAME WORD`",
            shown(path)
        ))
    };
    let authorization = match (word(text, "user"), word(text, "password"), word(text, "token")) {
        (Some(user), Some(password), None) => {
            Some(format!("Basic {}", base64(format!("{user}:{password}").as_bytes())))
        }
        (None, None, Some(token)) => Some(format!("Bearer {token}")),
        (None, None, None) => word(text, "api-key").map(|key| format!("ApiKey {key}")),
        _ => return Err(wrong()),
    };
    let mut headers = Vec::new();
    let mut add = |name: &str, value: &str| -> Result<(), Trouble> {
        let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.push((HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?, value));
        Ok(())
    };
    if let Some(authorization) = authorization {
        add("authorization", &authorization)?;
    }
    for line in text.lines().filter_map(|line| line.strip_prefix("header ")) {
        let (name, value) = line.trim().split_once(' ').ok_or_else(wrong)?;
        add(name, value.trim())?;
    }
    if headers.is_empty() { Err(wrong()) } else { Ok(headers) }
}
