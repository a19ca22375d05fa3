//! `kafka://HOST[:PORT][,HOST[:PORT]...]/TOPIC?partition=N`; `kafkas://` for connections that are encrypted.

use std::fs;
use std::path::Path;

use super::super::Secrets;
use super::super::hosts::host;
use super::super::secrets::{TYPED, word};
use crate::trouble::{Trouble, shown};

/// Where servers listen, if nobody says otherwise.
const PORT: u16 = 9092;
/// Ways of letting somebody in by a name and a word.
const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// Where a partition is.
#[derive(Clone, Debug)]
pub struct Address {
    /// As it was typed: there is no secret in it.
    pub name: String,
    /// As the client takes them.
    pub(super) servers: String,
    pub(super) is_encrypted: bool,
    pub(super) topic: String,
    pub(super) partition: i32,
}

impl Address {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, Trouble> {
        // What was typed may have a secret in it.
        let usage = |why: &str| {
            Trouble::Usage(format!("{why}; an address is kafka://HOST[,HOST...]/TOPIC?partition=N"))
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(|| usage("no address"))?;
        let (servers, path) = rest.split_once('/').ok_or_else(|| usage("no topic"))?;
        if servers.contains('@') {
            return Err(usage(TYPED));
        }
        let (topic, query) = path.split_once('?').unwrap_or((path, ""));
        if !is_topic(topic) {
            return Err(usage("no topic: letters, digits, '-', '_' and '.'"));
        }
        let partition = match query.split_once('=') {
            Some(("partition", number)) => number.parse().ok().filter(|number| *number >= 0),
            None if query.is_empty() => None,
            _ => return Err(usage("what is behind the ? is not known; there is partition=N")),
        };
        let partition = partition.ok_or_else(|| {
            usage("a log has a partition of its own, whose number has to be said: ?partition=0")
        })?;
        let servers: Option<Vec<_>> = servers.split(',').map(|server| host(server, PORT)).collect();
        let typed = |(host, port): &(String, u16)| match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        let servers = servers.ok_or_else(|| usage("no server"))?.iter().map(typed).collect::<Vec<_>>();
        Ok(Address {
            name: text.to_owned(),
            servers: servers.join(","),
            is_encrypted: scheme == "kafkas",
            topic: topic.to_owned(),
            partition,
        })
    }

    /// What a shipper to it is called, if nobody says otherwise.
    pub fn place(&self) -> String {
        format!("{}-{}", self.topic, self.partition)
    }

    /// Whether what it takes to be let in is what it should be.
    ///
    /// # Errors
    /// Others may read a secret, or it cannot be read, or is none; or it would be of no use.
    pub fn check(&self, secrets: &Secrets) -> Result<(), Trouble> {
        secrets.check(&|text, path| Who::read(text, path).map(drop))?;
        let Some(ca) = &secrets.ca else { return Ok(()) };
        if !self.is_encrypted {
            return Err(Trouble::Usage(
                "--tls-ca is of no use to a connection that is not encrypted: kafkas:// is one that is"
                    .to_owned(),
            ));
        }
        let has_one =
            fs::read(ca).is_ok_and(|text| String::from_utf8_lossy(&text).contains("BEGIN CERTIFICATE"));
        if has_one { Ok(()) } else { Err(Trouble::Usage(format!("{}: no certificate in PEM", shown(ca)))) }
    }
}

/// As Kafka has them; it is in names of files, too.
fn is_topic(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !text.is_empty() && text.len() <= 200 && text.bytes().all(is_plain) && !matches!(text, "." | "..")
}

/// Who asks to be let in. It cannot be printed.
pub(super) struct Who {
    pub(super) user: String,
    pub(super) password: String,
    pub(super) mechanism: &'static str,
}

impl Who {
    /// Nothing of it is ever shown.
    pub(super) fn read(text: &str, path: &Path) -> Result<Who, Trouble> {
        let mechanism = word(text, "mechanism");
        let mechanism = mechanism.as_deref().unwrap_or(MECHANISMS[0]);
        let mechanism = MECHANISMS.into_iter().find(|known| *known == mechanism);
        match (word(text, "user"), word(text, "password"), mechanism) {
            (Some(user), Some(password), Some(mechanism)) => Ok(Who { user, password, mechanism }),
            _ => Err(Trouble::Usage(format!(
                "{}: no lines `user NAME` and `password WORD`, and perhaps `mechanism` with one of {}",
                shown(path),
                MECHANISMS.join(", ")
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_servers_a_topic_and_a_partition() {
        let read =
            |text: &str| Address::read(text).map(|a| (a.servers, a.is_encrypted, a.topic, a.partition));
        let of = |servers: &str, is_encrypted, topic: &str, partition| {
            Some((servers.to_owned(), is_encrypted, topic.to_owned(), partition))
        };
        assert_eq!(read("kafka://k1/logs?partition=0").ok(), of("k1:9092", false, "logs", 0));
        let several = "kafkas://k1:1,[::1],[::2]:7/logs.web_7-a?partition=12";
        assert_eq!(read(several).ok(), of("k1:1,[::1]:9092,[::2]:7", true, "logs.web_7-a", 12));
        for wrong in [
            "kafka://k1",
            "kafka://k1/",
            "kafka://k1/logs",
            "kafka://k1/logs?",
            "kafka://k1/logs?partition=",
            "kafka://k1/logs?partition=-1",
            "kafka://k1/logs?partition=4294967296",
            "kafka://k1/logs?partition=0&x=1",
            "kafka://k1/logs?acks=0",
            "kafka:///logs?partition=0",
            "kafka://k1,/logs?partition=0",
            "kafka://k1:x/logs?partition=0",
            "kafka://k1/a/b?partition=0",
            "kafka://k1/a b?partition=0",
            "kafka://k1/..?partition=0",
            "kafka://user:word@k1/logs?partition=0",
        ] {
            assert!(matches!(read(wrong), Err(Trouble::Usage(_))), "{wrong}");
        }
    }
}
