//! `redis://SERVER[:PORT][,SERVER[:PORT]...][/DB]/KEY`; `rediss://` for a connection that is encrypted.

use std::path::Path;

use super::super::hosts::host;
use super::super::secrets::{Secrets, TYPED, word};
use crate::trouble::{Trouble, shown};

/// Where servers listen, if nobody says otherwise.
const PORT: u16 = 6379;

/// Where a stream is.
#[derive(Clone, Debug)]
pub struct Address {
    /// As it was typed: there is no secret in it.
    pub name: String,
    pub(super) servers: Vec<(String, u16)>,
    pub(super) is_encrypted: bool,
    pub(super) database: i64,
    pub(super) key: String,
}

impl Address {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, Trouble> {
        // What was typed may have a secret in it.
        let usage =
            |why: &str| Trouble::Usage(format!("{why}; an address is redis://SERVER[,SERVER...][/DB]/KEY"));
        let (scheme, rest) = text.split_once("://").ok_or_else(|| usage("no address"))?;
        let (servers, path) = rest.split_once('/').ok_or_else(|| usage("no key"))?;
        if servers.contains('@') {
            return Err(usage(TYPED));
        }
        let (database, key) = match path.split_once('/') {
            Some((database, key)) => {
                let database = database.parse::<u16>();
                (database.map_err(|_| usage("the database is no number"))?, key)
            }
            None => (0, path),
        };
        if !is_key(key) {
            return Err(usage("no key of a stream: letters, digits, '-', '_', '.' and ':'"));
        }
        let servers: Option<Vec<_>> = servers.split(',').map(|server| host(server, PORT)).collect();
        Ok(Address {
            name: text.to_owned(),
            servers: servers.ok_or_else(|| usage("no server"))?,
            is_encrypted: scheme == "rediss",
            database: i64::from(database),
            key: key.to_owned(),
        })
    }

    /// What a shipper to it is called, if nobody says otherwise.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether what it takes to be let in is what it should be.
    ///
    /// # Errors
    /// Others may read a secret, or it cannot be read, or is none; or it would be of no use.
    pub fn check(&self, secrets: &Secrets) -> Result<(), Trouble> {
        if secrets.ca.is_some() && !self.is_encrypted {
            return Err(Trouble::Usage(
                "--tls-ca is of no use to a connection that is not encrypted: rediss:// is one that is"
                    .to_owned(),
            ));
        }
        secrets.check(&|text, path| Who::read(text, path).map(drop))
    }
}

/// Plain, since it is in names of files, too.
fn is_key(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    !text.is_empty() && text.len() <= 200 && text.bytes().all(is_plain)
}

/// Who asks to be let in. It cannot be printed.
pub(super) struct Who {
    /// The server's default, if none.
    pub(super) user: Option<String>,
    pub(super) password: String,
}

impl Who {
    /// Nothing of it is ever shown.
    pub(super) fn read(text: &str, path: &Path) -> Result<Who, Trouble> {
        match word(text, "password") {
            Some(password) => Ok(Who { user: word(text, "user"), password }),
            None => Err(Trouble::Usage(format!(
                "{}: not lines `user NAME`, which may be missing, and `password WORD`",
                shown(path)
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_servers_a_database_and_a_key() {
        let read = |text: &str| Address::read(text).map(|a| (a.servers, a.is_encrypted, a.database, a.key));
        let of = |host: &str, port| (host.to_owned(), port);
        assert_eq!(read("redis://n1/app").ok(), Some((vec![of("n1", 6379)], false, 0, "app".to_owned())));
        let several = vec![of("n1", 1), of("::1", 6379), of("::2", 7)];
        assert_eq!(
            read("rediss://n1:1,[::1],[::2]:7/3/logs:web7").ok(),
            Some((several, true, 3, "logs:web7".to_owned()))
        );
        for wrong in [
            "redis://n1",
            "redis://n1/",
            "redis:///app",
            "redis://n1:x/app",
            "redis://n1/x/app",
            "redis://n1/0/a b",
            "redis://user:word@n1/app",
            "redis://n1/0/a/b",
            "redis://n1/app?x",
            "redis://[::1/app",
        ] {
            assert!(matches!(read(wrong), Err(Trouble::Usage(_))), "{wrong}");
        }
    }
}
