//! Blocking HTTP: what sinks that speak it have in common.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::Secrets;
use crate::trouble::{Trouble, shown, unreached};

/// The longest text of a server's that is shown.
const SHOWN: usize = 200;
/// A connection that was idle for longer may have been closed by a server: another one is made.
const IDLE: Duration = Duration::from_secs(3);
/// Where systems have the certificates of who signs for servers. Where there is none, those that Mozilla trusts are taken.
const SYSTEMS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Who asks; waits so long for each step.
pub(super) fn agent(roots: RootCerts, wait: Duration) -> Agent {
    let wait = Some(wait);
    let tls = TlsConfig::builder().root_certs(roots).build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_idle_age(IDLE)
        .proxy(None)
        .timeout_resolve(wait)
        .timeout_connect(wait)
        .timeout_per_read(wait)
        .timeout_per_write(wait)
        .timeout_recv_response(wait)
        .user_agent("mmlogctl-ship")
        .build();
    config.into()
}

/// Who signs for servers.
pub(super) fn roots(secrets: &Secrets) -> Result<RootCerts, Trouble> {
    let certificates = |text: &[u8]| -> Vec<Certificate<'static>> {
        let items = parse_pem(text).filter_map(Result::ok);
        items
            .filter_map(|item| match item {
                PemItem::Certificate(certificate) => Some(certificate),
                _ => None,
            })
            .collect()
    };
    if let Some(path) = &secrets.ca {
        let text = std::fs::read(path);
        let text = text.map_err(|e| Trouble::Usage(format!("{}: cannot read: {e}", shown(path))))?;
        let found = certificates(&text);
        if found.is_empty() {
            return Err(Trouble::Usage(format!("{}: no certificate in PEM", shown(path))));
        }
        return Ok(RootCerts::from(found));
    }
    let systems = SYSTEMS.iter().filter_map(|path| std::fs::read(path).ok());
    let found = systems.map(|text| certificates(&text)).find(|found| !found.is_empty());
    Ok(found.map_or(RootCerts::WebPki, RootCerts::from))
}

/// What is sent, counted.
pub(super) struct Sent<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) progress: &'a AtomicU64,
    /// Nobody waits for it any more.
    pub(super) is_left: Option<&'a AtomicBool>,
}

impl Read for Sent<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.is_left.is_some_and(|left| left.load(Ordering::Acquire)) {
            return Err(io::Error::other("it was left"));
        }
        self.progress.fetch_add(1, Ordering::Relaxed);
        self.bytes.read(to)
    }
}

/// Never with the address, which has a signature in it.
pub(super) fn of_http(e: &ureq::Error) -> Trouble {
    let said = match e {
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => "no address".to_owned(),
        e => plain(&e.to_string()),
    };
    let hint = if said.contains("certificate") { "; --tls-ca says who signs for it" } else { "" };
    unreached(format!("{said}{hint}"))
}

/// What a server says, on one line.
pub(super) fn plain(said: &str) -> String {
    said.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(SHOWN)
        .collect::<String>()
        .trim()
        .to_owned()
}
