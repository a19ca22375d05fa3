//! A server of Redis of the tests' own, what was shipped to it, and the ways in which it fails.

use std::path::Path;
use std::process::Command;

use redis::{Client, Connection, Value, cmd};

use crate::common::until;
use crate::served::{Chain, Process, found};

/// What the tests ship to.
pub(crate) const KEY: &str = "logs:app";

/// One that runs.
pub(crate) struct Server {
    pub(crate) process: Process,
}

impl Server {
    /// Whose units are on the disk; none where there is no such program.
    pub(crate) fn start() -> Option<Self> {
        Server::start_with(&["--appendonly", "yes"])
    }

    /// With these options alone.
    pub(crate) fn start_with(more: &[&str]) -> Option<Self> {
        Server::start_as(|_| more.iter().map(|&word| word.to_owned()).collect())
    }

    /// With options that depend on the directory.
    pub(crate) fn start_as(more: impl FnOnce(&Path) -> Vec<String>) -> Option<Self> {
        let program = found("redis-server")?;
        let process = Process::start(|dir, port| {
            let mut command = Command::new(program);
            command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--dir"]);
            command.arg(dir.join("store")).args(more(dir));
            command
        });
        Some(Server { process })
    }

    pub(crate) fn place(&self) -> String {
        format!("127.0.0.1:{}", self.process.port)
    }

    pub(crate) fn address(&self) -> String {
        format!("redis://{}/{KEY}", self.place())
    }

    /// Connects, once it answers and has read what it had.
    pub(crate) fn connection(&self) -> Connection {
        self.connection_as("")
    }

    /// As somebody: `user:password@`.
    pub(crate) fn connection_as(&self, who: &str) -> Connection {
        let client = Client::open(format!("redis://{who}{}/", self.place())).unwrap();
        until("the server answers", || {
            let mut connection = client.get_connection().ok()?;
            cmd("PING").query::<String>(&mut connection).ok().map(|_| connection)
        })
    }

    /// Has it do something.
    pub(crate) fn told(&self, words: &[&str]) -> Value {
        let mut told = cmd(words[0]);
        told.arg(&words[1..]);
        told.query(&mut self.connection()).unwrap()
    }

    /// The last coordinate that the stream gave.
    pub(crate) fn last(&self) -> u64 {
        let mut connection = self.connection();
        let said: Result<Vec<Value>, _> = cmd("XINFO").arg("STREAM").arg(KEY).query(&mut connection);
        let Ok(said) = said else { return 0 };
        let at = said.iter().position(|value| *value == Value::BulkString(b"last-generated-id".to_vec()));
        let Value::BulkString(id) = &said[at.unwrap() + 1] else { panic!("{said:?}") };
        std::str::from_utf8(id).unwrap().split_once('-').unwrap().0.parse().unwrap()
    }

    /// How many units were removed of the oldest.
    pub(crate) fn trim_to(&self, kept: u64) {
        self.told(&["XTRIM", KEY, "MAXLEN", &kept.to_string()]);
    }

    pub(crate) fn shipped(&self) -> Vec<u8> {
        self.shipped_as("")
    }

    /// All bytes in the stream's units, the chain checked.
    pub(crate) fn shipped_as(&self, who: &str) -> Vec<u8> {
        type Entry = (String, Vec<(String, Vec<u8>)>);
        let mut connection = self.connection_as(who);
        let (mut chain, mut from, mut before) = (Chain::default(), "-".to_owned(), None);
        loop {
            let mut range = cmd("XRANGE");
            range.arg(KEY).arg(&from).arg("+").arg("COUNT").arg(64);
            let entries: Vec<Entry> = range.query(&mut connection).unwrap();
            let Some((last, _)) = entries.last() else { return chain.bytes };
            from = format!("({last}");
            for (id, fields) in &entries {
                let at: u64 = id.strip_suffix("-0").unwrap().parse().unwrap();
                assert!(before.is_none_or(|before| before + 1 == at), "an entry is missing before {at}");
                chain.is_part |= before.is_none() && at > 1;
                before = Some(at);
                let bytes = |name: &str| &fields.iter().find(|(key, _)| key == name).unwrap().1;
                let field = |name: &str| String::from_utf8(bytes(name).clone()).unwrap();
                chain.add(at, field, bytes("payload"));
            }
        }
    }
}
