//! The stream that has the subject, and whether it keeps what it takes.

use async_nats::jetstream::Context;
use async_nats::jetstream::context::GetStreamByNameErrorKind;
use async_nats::jetstream::stream::{Config, RetentionPolicy, StorageType};

use super::super::Purpose;
use super::address::Address;
use super::connection::{away, whole};
use crate::trouble::Trouble;

/// An id is kept in the server's memory for so long; that is not what the fence stands on.
const DUPLICATES: std::time::Duration = std::time::Duration::from_secs(10);

/// The stream.
pub(super) struct Found {
    pub(super) name: String,
    /// The longest message that it takes, if it says so.
    pub(super) longest: Option<u64>,
}

/// Finds it, or makes it where that was asked for.
pub(super) async fn find(context: &Context, address: &Address, purpose: Purpose) -> Result<Found, Trouble> {
    let config = match context.stream_by_subject(address.subject.clone()).await {
        Ok(name) => {
            let stream = context.get_stream(&name).await;
            let stream =
                stream.map_err(|e| Trouble::Away(format!("cannot read the stream {name}: {}", whole(&e))))?;
            stream.cached_info().config.clone()
        }
        Err(e) if e.kind() == GetStreamByNameErrorKind::NotFound => make(context, address, purpose).await?,
        Err(e) => return Err(away("look for the stream")(e)),
    };
    if let Some(why) = unfit(&config, &address.subject) {
        return Err(Trouble::Decide(format!(
            "the stream {} {why}; ship to a stream of its own, with file storage and limits as retention",
            config.name
        )));
    }
    let longest = u64::try_from(config.max_message_size).ok().filter(|longest| *longest > 0);
    Ok(Found { name: config.name, longest })
}

async fn make(context: &Context, address: &Address, purpose: Purpose) -> Result<Config, Trouble> {
    let subject = &address.subject;
    let Some(replicas) = address.create.filter(|_| purpose == Purpose::Ship) else {
        return Err(Trouble::Decide(format!(
            "no stream has the subject {subject}; `?create=1` behind the address makes one, `?create=3` one of three replicas"
        )));
    };
    let config = Config {
        name: subject.replace('.', "-"),
        subjects: vec![subject.clone()],
        num_replicas: replicas,
        storage: StorageType::File,
        retention: RetentionPolicy::Limits,
        duplicate_window: DUPLICATES,
        ..Config::default()
    };
    let made = context.create_stream(config).await.map_err(away("make the stream"))?;
    Ok(made.cached_info().config.clone())
}

/// Why it would lose units, or take them twice, or somebody else's.
fn unfit(config: &Config, subject: &str) -> Option<&'static str> {
    if config.subjects != [subject] {
        return Some("has other subjects, too: others could send to it between two units");
    }
    if config.mirror.is_some() || config.sources.as_ref().is_some_and(|sources| !sources.is_empty()) {
        return Some("gets messages of other streams");
    }
    if config.storage != StorageType::File {
        return Some("is in memory: it would lose units whenever the server ends");
    }
    if config.retention != RetentionPolicy::Limits {
        return Some("drops what somebody has read: its end could not be told");
    }
    if config.no_ack {
        return Some("does not acknowledge");
    }
    if config.sealed {
        return Some("is sealed");
    }
    None
}
