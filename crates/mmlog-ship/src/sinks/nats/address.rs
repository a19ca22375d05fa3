//! `nats://SERVER[:PORT][,SERVER[:PORT]...]/SUBJECT[?create=REPLICAS]`; `tls://` for a connection that has to be encrypted.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use async_nats::{ConnectOptions, ServerAddr};

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

/// What it takes to be let in; files, read again at each connection.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// What `nsc` makes, or lines `user NAME` and `password WORD`, or `token WORD`.
    pub credentials: Option<PathBuf>,
    /// Certificates of who signs for the servers; the system's, if none.
    pub ca: Option<PathBuf>,
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
            return Err(usage(
                "a password in a command line is seen by everybody; put it into a file, and name that with --credentials",
            ));
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

impl Secrets {
    /// Whether they are what they should be.
    ///
    /// # Errors
    /// Others may read a secret, or it cannot be read, or is none.
    pub fn check(&self) -> Result<(), Trouble> {
        if let Some(path) = &self.credentials {
            of_secret(path, &self.text(path)?)?;
        }
        if let Some(ca) = &self.ca {
            fs::File::open(ca).map_err(unreadable(ca))?;
        }
        Ok(())
    }

    fn text(&self, path: &Path) -> Result<String, Trouble> {
        let stat = fs::metadata(path).map_err(unreadable(path))?;
        if stat.mode() & 0o007 != 0 {
            return Err(Trouble::Usage(format!(
                "{}: everybody may read this secret; chmod o= {0}",
                shown(path)
            )));
        }
        fs::read_to_string(path).map_err(unreadable(path))
    }

    /// Read again, since secrets are replaced: who finds half of one tries again.
    pub(super) fn options(&self) -> Result<ConnectOptions, Trouble> {
        let passes = |trouble: Trouble| Trouble::Away(trouble.to_string());
        let options = match &self.credentials {
            None => ConnectOptions::new(),
            Some(path) => self.text(path).and_then(|text| of_secret(path, &text)).map_err(passes)?,
        };
        Ok(match &self.ca {
            None => options,
            Some(ca) => options.add_root_certificates(ca.clone()),
        })
    }
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> Trouble + '_ {
    move |e| Trouble::Usage(format!("{}: cannot read: {e}", shown(path)))
}

/// Nothing of it is ever shown.
fn of_secret(path: &Path, text: &str) -> Result<ConnectOptions, Trouble> {
    if text.contains("BEGIN NATS USER JWT") {
        let options = ConnectOptions::with_credentials(text);
        return options.map_err(|_| Trouble::Usage(format!("{}: no credentials of NATS", shown(path))));
    }
    let word = |name: &str| {
        text.lines()
            .find_map(|line| line.split_once(' ').filter(|(key, _)| *key == name))
            .map(|(_, word)| word.trim().to_owned())
    };
    match (word("user"), word("password"), word("token")) {
        (Some(user), Some(password), None) => Ok(ConnectOptions::with_user_and_password(user, password)),
        (None, None, Some(token)) => Ok(ConnectOptions::with_token(token)),
        _ => Err(Trouble::Usage(format!(
            "{}: neither a file of credentials of NATS, nor lines `user NAME` and `password WORD`, nor `token WORD`",
            shown(path)
        ))),
    }
}
