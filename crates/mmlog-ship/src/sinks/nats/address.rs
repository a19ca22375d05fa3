//! `nats://SERVER[:PORT][,SERVER[:PORT]...]/SUBJECT[?create=REPLICAS]`; `tls://` for a connection that has to be encrypted.

use std::path::Path;

use async_nats::{ConnectOptions, ServerAddr};

use super::super::secrets::{Secrets, TYPED, word};
use crate::trouble::{Trouble, shown};

/// Where a stream is.
#[derive(Clone, Debug)]
pub struct Address {
    /// As it was typed: there is no secret in it.
    pub name: String,
    pub(super) servers: Vec<ServerAddr>,
    pub(super) is_encrypted: bool,
    pub(super) subject: String,
    pub(super) create: Option<usize>,
}

impl Address {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, Trouble> {
        // What was typed may have a secret in it.
        let usage =
            |why: &str| Trouble::Usage(format!("{why}; an address is nats://SERVER[,SERVER...]/SUBJECT"));
        let (scheme, rest) = text.split_once("://").ok_or_else(|| usage("no address"))?;
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
        let (servers, subject) = rest.split_once('/').ok_or_else(|| usage("no subject"))?;
        if servers.contains('@') {
            return Err(usage(TYPED));
        }
        if !is_subject(subject) {
            return Err(usage("no subject of a stream: letters, digits, '-', '_' and dots between them"));
        }
        let create = match query.map(|query| query.split_once('=')) {
            None => None,
            Some(Some(("create", replicas))) => {
                let replicas = replicas.parse().ok().filter(|replicas| (1..=5).contains(replicas));
                Some(replicas.ok_or_else(|| usage("create= takes 1 to 5 replicas"))?)
            }
            Some(_) => return Err(usage("what is behind the ? is not known; there is create=REPLICAS")),
        };
        let parse = |server: &str| format!("{scheme}://{server}").parse::<ServerAddr>().ok();
        let servers: Option<Vec<ServerAddr>> = servers.split(',').map(parse).collect();
        let servers = servers.filter(|servers| servers.iter().all(|server| !server.host().is_empty()));
        let servers = servers.ok_or_else(|| usage("no server"))?;
        let name = text.split('?').next().unwrap_or(text).to_owned();
        Ok(Address { name, servers, is_encrypted: scheme == "tls", subject: subject.to_owned(), create })
    }

    /// What a shipper to it is called, if nobody says otherwise.
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

/// Without wildcards; plain, since it is in names of files, too.
fn is_subject(text: &str) -> bool {
    let is_token = |token: &str| {
        !token.is_empty()
            && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    text.len() <= 200 && text.split('.').all(is_token)
}

/// Whether they are what they should be.
///
/// # Errors
/// Others may read a secret, or it cannot be read, or is none.
pub fn check(secrets: &Secrets) -> Result<(), Trouble> {
    secrets.check(&|text, path| options_of(text, path).map(drop))
}

/// Read again, since secrets are replaced: who finds half of one tries again.
pub(super) fn options(secrets: &Secrets) -> Result<ConnectOptions, Trouble> {
    let options = secrets.read(&options_of)?.unwrap_or_default();
    Ok(match &secrets.ca {
        None => options,
        Some(ca) => options.add_root_certificates(ca.clone()),
    })
}

/// Nothing of it is ever shown.
fn options_of(text: &str, path: &Path) -> Result<ConnectOptions, Trouble> {
    if text.contains("BEGIN NATS USER JWT") {
        let options = ConnectOptions::with_credentials(text);
        return options.map_err(|_| Trouble::Usage(format!("{}: no credentials of NATS", shown(path))));
    }
    match (word(text, "user"), word(text, "password"), word(text, "token")) {
        (Some(user), Some(password), None) => Ok(ConnectOptions::with_user_and_password(user, password)),
        (None, None, Some(token)) => Ok(ConnectOptions::with_token(token)),
        _ => Err(Trouble::Usage(format!(
            "{}: neither a file of credentials of NATS, nor lines `user NAME` and `password WORD`, nor `token WORD`",
            shown(path)
        ))),
    }
}
