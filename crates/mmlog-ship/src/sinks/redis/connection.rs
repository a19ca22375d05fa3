//! Connecting, and whether what is there keeps what it takes.

use std::fs;
use std::time::Duration;

use redis::{
    Client, Cmd, Connection, ConnectionAddr, ConnectionLike as _, ErrorKind, IntoConnectionInfo as _,
    RedisConnectionInfo, RedisError, TlsCertificates, Value, cmd, io::tcp::TcpSettings,
};

use super::super::Secrets;
use super::address::{Address, Who};
use crate::trouble::{Trouble, one_line, shown, unreached};

/// What a server says of itself.
#[derive(Debug)]
pub(super) struct Server {
    text: String,
    /// What it takes in transactions it forgets when it starts again.
    is_forgetful: bool,
}

impl Server {
    fn word(&self, name: &str) -> Option<&str> {
        let mut lines = self.text.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| *key == name).map(|(_, value)| value.trim())
    }

    /// The server that this one copies.
    fn copies(&self) -> Option<String> {
        let is_copy = self.word("role") == Some("slave");
        let of = |name| self.word(name).unwrap_or_default();
        is_copy.then(|| format!("{}:{}", of("master_host"), of("master_port")))
    }

    /// Why it would drop units.
    fn unfit(&self) -> Option<String> {
        let policy = self.word("maxmemory_policy").unwrap_or_default();
        policy.starts_with("allkeys").then(|| {
            format!("it drops whatever it likes when its memory is full (maxmemory-policy {policy}); ship to a server with noeviction")
        })
    }

    /// What people should know of it.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.text.is_empty() {
            notes.push("it does not say how it keeps what it takes (INFO is not allowed)".to_owned());
        }
        if self.word("aof_enabled") == Some("0") {
            notes.push("appendonly is off: units are in memory only, and what came after its last snapshot is gone when it ends".to_owned());
        }
        if self.is_forgetful {
            notes.push("the user default may not do everything: many servers then forget, when they start again, all that came in transactions, as units do (redis#14541); give that user +@all and ~*, and a password".to_owned());
        }
        if let Some(policy) = self.word("maxmemory_policy").filter(|policy| policy.starts_with("volatile")) {
            notes.push(format!("maxmemory-policy is {policy}: units are dropped if anybody gives their key an expiry; noeviction is better"));
        }
        notes
    }
}

/// Connects to the first server that was named, is there and is no copy; for whoever reads a copy will do.
pub(super) fn connect(
    address: &Address,
    secrets: &Secrets,
    wait: Duration,
    is_reader: bool,
    is_first: bool,
) -> Result<(Connection, Server), Trouble> {
    let (mut away, mut copy) = (None, None);
    // Each has its turn.
    let turn = wait / u32::try_from(address.servers.len()).unwrap_or(u32::MAX).max(1);
    for (host, port) in &address.servers {
        let (mut connection, server) = match connect_to(address, (host, *port), secrets, turn) {
            Ok(connected) => connected,
            Err(trouble) if trouble.passes() => {
                away = Some(trouble);
                continue;
            }
            Err(trouble) => return Err(trouble),
        };
        match server.copies() {
            Some(of) if !is_reader => {
                copy = Some(format!("{host}:{port} is a replica of {of}; ship to that one"));
            }
            _ => {
                waiting(&mut connection, wait)?;
                return Ok((connection, server));
            }
        }
    }
    match (away, copy) {
        (None, Some(text)) if is_first => Err(Trouble::Decide(text)),
        // It may become none.
        (_, Some(text)) => Err(Trouble::Away(text)),
        (away, None) => Err(away.unwrap_or(Trouble::Away("no server".to_owned()))),
    }
}

fn connect_to(
    address: &Address,
    (host, port): (&str, u16),
    secrets: &Secrets,
    wait: Duration,
) -> Result<(Connection, Server), Trouble> {
    let mut who = RedisConnectionInfo::default().set_db(address.database).set_skip_set_lib_name();
    if let Some(Who { user, password }) = secrets.read(&Who::read)? {
        who = who.set_password(password);
        if let Some(user) = user {
            who = who.set_username(user);
        }
    }
    let place = match address.is_encrypted {
        true => ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure: false, tls_params: None },
        false => ConnectionAddr::Tcp(host.to_owned(), port),
    };
    let info = place.into_connection_info().map_err(away("connect"))?;
    let info = info.set_redis_settings(who).set_tcp_settings(TcpSettings::default().set_nodelay(true));
    let client = match (address.is_encrypted, &secrets.ca) {
        (false, _) => Client::open(info),
        (true, ca) => {
            let read = |ca: &std::path::PathBuf| {
                fs::read(ca).map_err(|e| Trouble::Away(format!("{}: cannot read: {e}", shown(ca))))
            };
            let root_cert = ca.as_ref().map(read).transpose()?;
            // The one that is built here, whatever others in the process have.
            let _ = rustls::crypto::ring::default_provider().install_default();
            Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert })
        }
    };
    let client = client.map_err(away("connect"))?;
    let mut connection = client.get_connection_with_timeout(wait).map_err(away("connect"))?;
    waiting(&mut connection, wait)?;
    let server = match ask(&mut connection, &cmd("INFO")) {
        Ok(Value::BulkString(text)) => String::from_utf8_lossy(&text).into_owned(),
        Ok(Value::VerbatimString { text, .. }) => text,
        Err(e) if e.code() == Some("NOPERM") => String::new(),
        Ok(_) => return Err(Trouble::Away("it does not say what it is".to_owned())),
        Err(e) => return Err(away("ask what it is")(e)),
    };
    let is_forgetful = is_forgetful(&mut connection);
    Ok((connection, Server { text: server, is_forgetful }))
}

/// A server reads its file as the user `default`, and asks for each command of a transaction whether that may do it. Whoever may not ask
/// for that does not hear of it.
fn is_forgetful(connection: &mut Connection) -> bool {
    let Ok(Value::Array(all)) = ask(connection, cmd("ACL").arg("GETUSER").arg("default")) else {
        return false;
    };
    let has = |name: &str, word: &str| {
        let at = all.iter().position(|value| *value == Value::BulkString(name.as_bytes().to_vec()));
        match at.and_then(|at| all.get(at + 1)) {
            Some(Value::BulkString(text)) => String::from_utf8_lossy(text).split(' ').any(|one| one == word),
            // As versions before 7 list them.
            Some(Value::Array(keys)) => keys.contains(&Value::BulkString(word.as_bytes()[1..].to_vec())),
            _ => true,
        }
    };
    !has("commands", "+@all") || !has("keys", "~*")
}

/// For so long it waits.
fn waiting(connection: &mut Connection, wait: Duration) -> Result<(), Trouble> {
    let wait = Some(wait);
    let set = connection.set_read_timeout(wait).and_then(|()| connection.set_write_timeout(wait));
    set.map_err(away("connect"))
}

/// What keeps units from being there as long as they are to be.
pub(super) fn fits(
    connection: &mut Connection,
    server: &Server,
    key: &str,
    is_first: bool,
) -> Result<(), Trouble> {
    if let Some(why) = server.unfit() {
        return Err(Trouble::Decide(why));
    }
    match ask(connection, cmd("PTTL").arg(key)) {
        // It may come to be here: but who names a server for the first time has named the wrong one.
        Err(e) if is_first && e.code() == Some("MOVED") => Err(Trouble::Decide(moved(&e))),
        Err(e) => Err(away("ask for its expiry")(e)),
        Ok(Value::Int(left)) if left >= 0 => Err(Trouble::Decide(format!(
            "the key {key} has an expiry: all units would be gone in {} s; PERSIST takes that off",
            left / 1000
        ))),
        Ok(_) => Ok(()),
    }
}

fn moved(e: &RedisError) -> String {
    let there = e.detail().and_then(|detail| detail.split_whitespace().last()).unwrap_or("another");
    format!("this is a cluster, and the key is on {}: name that server", one_line(there))
}

/// Asks one thing.
pub(super) fn ask(connection: &mut Connection, what: &Cmd) -> Result<Value, RedisError> {
    connection.req_command(what)?.extract_error()
}

/// What may pass, and what does not; `doing` is what was done: "read the stream".
pub(super) fn away(doing: &str) -> impl Fn(RedisError) -> Trouble + '_ {
    move |e| match e.code() {
        Some("MOVED") => Trouble::Away(moved(&e)),
        Some("WRONGTYPE") => {
            Trouble::Decide("its key has something else, no stream; ship to another key".to_owned())
        }
        Some("OOM") => Trouble::Away("its memory is full (maxmemory): it takes nothing".to_owned()),
        Some("NOPERM" | "NOAUTH" | "WRONGPASS") => Trouble::Denied(said(doing, &e)),
        _ if e.kind() == ErrorKind::AuthenticationFailed => Trouble::Denied(said(doing, &e)),
        _ if e.is_timeout() => Trouble::Away(format!("cannot {doing}: no answer in time")),
        _ => unreached(said(doing, &e)),
    }
}

fn said(doing: &str, e: &RedisError) -> String {
    format!("cannot {doing}: {}", one_line(&e.to_string()))
}

/// Whether this user may send: units are queued, which is where that is asked, and left.
pub(super) fn may_send(connection: &mut Connection, key: &str) -> Result<(), Trouble> {
    let group = "mmlog-0000000000000000";
    ask(connection, &cmd("MULTI")).map_err(away("send units"))?;
    ask(connection, cmd("XADD").arg(key).arg("1-0").arg("a").arg("b")).map_err(away("send units"))?;
    let create = ask(connection, cmd("XGROUP").arg("CREATE").arg(key).arg(group).arg("0"));
    create.map_err(away("send units"))?;
    ask(connection, cmd("XGROUP").arg("SETID").arg(key).arg(group).arg("0")).map_err(away("send units"))?;
    ask(connection, &cmd("DISCARD")).map(drop).map_err(away("send units"))
}
