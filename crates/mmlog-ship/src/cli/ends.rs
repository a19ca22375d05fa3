//! Where a log goes, and where it comes from, as they are typed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;

use super::{ReceiveArgs, ShipArgs, TIMEOUT};
use crate::receive::Feed;
#[cfg(any(feature = "http", feature = "kafka", feature = "nats", feature = "redis", feature = "s3"))]
use crate::sinks::Secrets;
use crate::sinks::exec::ExecSink;
use crate::sinks::file::{FileFeed, FileSink};
#[cfg(feature = "http")]
use crate::sinks::http::{self, HttpSink};
#[cfg(feature = "kafka")]
use crate::sinks::kafka::{self, KafkaSink};
#[cfg(feature = "nats")]
use crate::sinks::nats::{self, NatsFeed, NatsSink};
#[cfg(feature = "redis")]
use crate::sinks::redis::{self, RedisFeed, RedisSink};
#[cfg(feature = "s3")]
use crate::sinks::s3::{Location, S3Feed, S3Sink};
use crate::sinks::{Patience, Sink};
use crate::trouble::{Trouble, shown};

/// How a server is talked to.
#[derive(Args, Debug)]
pub(super) struct Server {
    /// What it takes to be let in by a server: a file that others cannot read, read again at each connection.
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// Certificates of who signs for the servers, in PEM. Default: the system's.
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
}

impl Server {
    #[cfg(any(feature = "http", feature = "kafka", feature = "nats", feature = "redis", feature = "s3"))]
    fn secrets(&self) -> Secrets {
        Secrets { credentials: self.credentials.clone(), ca: self.tls_ca.clone() }
    }

    #[cfg(feature = "nats")]
    fn nats(&self, address: &str) -> Result<(nats::Address, Secrets), Trouble> {
        let (address, secrets) = (nats::Address::read(address)?, self.secrets());
        nats::check(&secrets)?;
        Ok((address, secrets))
    }

    #[cfg(feature = "redis")]
    fn redis(&self, address: &str) -> Result<(redis::Address, Secrets), Trouble> {
        let (address, secrets) = (redis::Address::read(address)?, self.secrets());
        address.check(&secrets)?;
        Ok((address, secrets))
    }
}

/// A sink that was left out when this was built.
#[cfg(not(all(feature = "http", feature = "nats", feature = "redis", feature = "s3")))]
fn lacks(feature: &str) -> Trouble {
    Trouble::Usage(format!(
        "this build has no {feature}: the Debian package mmlog-ship has, and `cargo install mmlog-ship --features {feature}`"
    ))
}

/// What is received from; it ends early when `stop` is raised.
#[cfg_attr(
    not(any(feature = "nats", feature = "redis", feature = "s3")),
    allow(unused_variables, reason = "it is for servers")
)]
pub(super) fn feed(args: &ReceiveArgs, stop: &Arc<AtomicBool>) -> Result<Box<dyn Feed>, Trouble> {
    let patience = Patience::new(args.timeout, Arc::clone(stop));
    match args.from.split_once(':') {
        Some(("file", directory)) if !directory.is_empty() => {
            Ok(Box::new(FileFeed::new(&absolute(Path::new(directory))?)))
        }
        #[cfg(feature = "nats")]
        Some(("nats" | "tls", _)) => {
            let (address, secrets) = args.server.nats(&args.from)?;
            Ok(Box::new(NatsFeed::new(address, secrets, patience)))
        }
        #[cfg(not(feature = "nats"))]
        Some(("nats" | "tls", _)) => Err(lacks("nats")),
        #[cfg(feature = "redis")]
        Some(("redis" | "rediss", _)) => {
            let (address, secrets) = args.server.redis(&args.from)?;
            Ok(Box::new(RedisFeed::new(address, secrets, patience)))
        }
        #[cfg(not(feature = "redis"))]
        Some(("redis" | "rediss", _)) => Err(lacks("redis")),
        #[cfg(feature = "s3")]
        Some(("s3", _)) => {
            let location = Location::read(&args.from, args.server.secrets(), patience, stop)?;
            Ok(Box::new(S3Feed::new(location, &args.into)))
        }
        #[cfg(not(feature = "s3"))]
        Some(("s3", _)) => Err(lacks("s3")),
        _ => Err(Trouble::Usage(format!(
            "{:?}: nothing is received from there; there are file:DIR, nats://SERVER/SUBJECT, redis://SERVER/KEY and s3://BUCKET/PREFIX",
            args.from.split(':').next().unwrap_or_default()
        ))),
    }
}

/// The sink, and what a shipper to it is called; what it waits for ends early when `stop` is raised.
#[cfg_attr(
    not(any(feature = "http", feature = "kafka", feature = "nats", feature = "redis", feature = "s3")),
    allow(unused_variables, reason = "it is for servers")
)]
pub(super) fn sink(args: &ShipArgs, stop: &Arc<AtomicBool>) -> Result<(Box<dyn Sink>, String), Trouble> {
    let patience = Patience::new(args.timeout.unwrap_or(TIMEOUT), Arc::clone(stop));
    let to = args.to.as_deref().unwrap_or_default();
    if to == "exec" {
        let program = args.command.first().ok_or_else(|| {
            Trouble::Usage("--to exec needs a command: mmlogctl ship LOG --to exec -- CMD".to_owned())
        })?;
        return Ok((Box::new(ExecSink::new(&args.command)), format!("exec-{}", plain(Path::new(program)))));
    }
    if !args.command.is_empty() {
        return Err(Trouble::Usage(format!("--to {to:?} takes no command")));
    }
    match to.split_once(':') {
        Some(("file", directory)) if !directory.is_empty() => {
            let directory = absolute(Path::new(directory))?;
            let name = format!("file-{}", plain(&directory));
            Ok((Box::new(FileSink::new(&directory)), name))
        }
        #[cfg(feature = "nats")]
        Some(("nats" | "tls", _)) => {
            let (address, secrets) = args.server.nats(to)?;
            let name = format!("nats-{}", plain(Path::new(address.subject())));
            Ok((Box::new(NatsSink::new(address, secrets, patience)), name))
        }
        #[cfg(not(feature = "nats"))]
        Some(("nats" | "tls", _)) => Err(lacks("nats")),
        #[cfg(feature = "redis")]
        Some(("redis" | "rediss", _)) => {
            let (address, secrets) = args.server.redis(to)?;
            let name = format!("redis-{}", plain(Path::new(address.key())));
            Ok((Box::new(RedisSink::new(address, secrets, patience)), name))
        }
        #[cfg(not(feature = "redis"))]
        Some(("redis" | "rediss", _)) => Err(lacks("redis")),
        #[cfg(feature = "s3")]
        Some(("s3", _)) => {
            let location = Location::read(to, args.server.secrets(), patience, stop)?;
            let name = format!("s3-{}", plain(Path::new(location.bucket())));
            Ok((Box::new(S3Sink::new(location, args.in_flight)), name))
        }
        #[cfg(not(feature = "s3"))]
        Some(("s3", _)) => Err(lacks("s3")),
        #[cfg(feature = "kafka")]
        Some(("kafka" | "kafkas", _)) => {
            let (address, secrets) = (kafka::Address::read(to)?, args.server.secrets());
            address.check(&secrets)?;
            let name = format!("kafka-{}", plain(Path::new(&address.place())));
            Ok((Box::new(KafkaSink::new(address, secrets, patience)), name))
        }
        #[cfg(not(feature = "kafka"))]
        Some(("kafka" | "kafkas", _)) => Err(Trouble::Usage(
            "this build has no kafka, nor has the Debian package: `cargo install mmlog-ship --features kafka-tls`".to_owned(),
        )),
        #[cfg(feature = "http")]
        Some(("otlp+http" | "otlp+https" | "http" | "https", _)) => {
            let log = absolute(args.log.as_deref().unwrap_or(Path::new("")))?;
            let address = http::Address::read(to, &log, args.server.secrets(), patience)?;
            let name = format!("{}-{}", address.speaks(), plain(Path::new(address.host())));
            Ok((Box::new(HttpSink::new(address)), name))
        }
        #[cfg(not(feature = "http"))]
        Some(("otlp+http" | "otlp+https" | "http" | "https", _)) => Err(lacks("http")),
        _ => Err(Trouble::Usage(format!(
            "--to {:?}: no such sink; there are file:DIR, exec, nats://SERVER/SUBJECT, redis://SERVER/KEY, s3://BUCKET/PREFIX, kafka://HOST/TOPIC?partition=N, otlp+http://HOST:4318 and http://HOST/PATH?format=ndjson or bulk",
            to.split(':').next().unwrap_or_default()
        ))),
    }
}

/// Whatever becomes of the working directory, and whoever says it from another one.
fn absolute(path: &Path) -> Result<PathBuf, Trouble> {
    std::path::absolute(path).map_err(|e| Trouble::Failed(format!("{}: {e}", shown(path))))
}

pub(super) const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// The last component, as a part of a name.
fn plain(path: &Path) -> String {
    let last = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    last.bytes().map(|byte| if is_plain(byte) { char::from(byte) } else { '_' }).take(40).collect()
}

/// The same of a whole text, without dots: one word of a subject, one component of a path.
pub(super) fn plain_word(text: &str) -> String {
    text.bytes().map(|byte| if is_plain(byte) && byte != b'.' { char::from(byte) } else { '_' }).collect()
}
