//! The stream that has the subject, and whether it keeps what it takes.

use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamByNameErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, PersistenceMode, RetentionPolicy, StorageType};
use async_nats::jetstream::{Context, ErrorCode};

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
    /// The first sequence that it ever had.
    pub(super) least: u64,
    pub(super) notes: Vec<String>,
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
    let (least, notes) = (config.first_sequence.unwrap_or(1), notes(&config));
    Ok(Found { name: config.name, longest, least, notes })
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
    let name = config.name.clone();
    match context.create_stream(config).await {
        Ok(made) => Ok(made.cached_info().config.clone()),
        Err(e) if has_code(e.kind(), ErrorCode::STREAM_NAME_EXIST) => Err(Trouble::Decide(format!(
            "the stream {name} is there, and not of the subject {subject}: make one of another name that has it (nats stream add --subjects {subject}), or ship to another subject"
        ))),
        Err(e) => Err(away("make the stream")(e)),
    }
}

fn has_code(kind: CreateStreamErrorKind, code: ErrorCode) -> bool {
    matches!(kind, CreateStreamErrorKind::JetStream(e) if e.error_code() == code)
}

/// What it drops, as it was told to.
fn notes(config: &Config) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |what: String| {
        notes.push(format!(
            "the stream {} keeps {what}: what nobody has received by then is gone",
            config.name
        ));
    };
    if !config.max_age.is_zero() {
        note(format!("units for {} s", config.max_age.as_secs_f64()));
    }
    if config.discard == DiscardPolicy::Old && config.max_bytes > 0 {
        note(format!("the last {} bytes", config.max_bytes));
    }
    if config.discard == DiscardPolicy::Old && config.max_messages > 0 {
        note(format!("the last {} units", config.max_messages));
    }
    notes
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
    if config.persist_mode == Some(PersistenceMode::Async) {
        return Some("acknowledges what it has not stored yet");
    }
    if config.max_messages_per_subject > 0 {
        return Some("keeps a number of messages of a subject: it would drop units, or refuse them");
    }
    if config.subject_delete_marker_ttl.is_some_and(|ttl| !ttl.is_zero()) {
        return Some("gets messages of the server's own, where units were removed");
    }
    if config.allow_message_counter {
        return Some("counts, and takes nothing else");
    }
    if config.sealed {
        return Some("is sealed");
    }
    None
}
