//! `-F` on a log that does not exist yet.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, SyncSender};
use std::time::{Duration, Instant};

use mmlog::{Class, Fault, Log};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::follow::SLICE;
use super::shared::{Shared, Task};
use crate::exit::Failure;
use crate::reading;
use crate::unmade::is_missing;

/// After so long, half a log is no longer taken for one that is just being created.
const CREATION: Duration = Duration::from_secs(2);

/// Whether time may bring the log.
pub(super) fn is_to_come(fault: &Fault) -> bool {
    match fault {
        Fault::NoData => true,
        fault if fault.is_no_log() => true,
        // Its directory is missing too.
        Fault::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
        _ => fault.class() == Class::Busy,
    }
}

/// Waits for the log that was named `index`th; nothing when told to end before it comes.
///
/// inotify says when a file of that name appears. Where it cannot be had, and for what it does not
/// tell, we look every [`SLICE`].
pub(super) fn wait_for_log(index: usize, shared: &Shared) -> Result<Option<Log>, Failure> {
    let path = &shared.plan().logs[index];
    if shared.task() != Task::Follow {
        return Ok(None);
    }
    shared.say(index, "no log yet; waiting for it");
    let (wake, woken) = mpsc::sync_channel(1);
    let _watcher = watch(path, wake.clone());
    let mut trouble = Trouble::default();
    while shared.task() == Task::Follow {
        // To say what else is there takes a look at every process: not four times a second.
        if trouble.said && is_missing(path) {
            let _ = woken.recv_timeout(SLICE);
            continue;
        }
        match reading::open(path, shared.plan().trust, &shared.plan().old) {
            Ok(log) => {
                shared.say(index, "the log has appeared; following it");
                return Ok(Some(log));
            }
            Err(e) if is_to_come(e.fault()) => {
                if let Some(text) = trouble.lasting(&e) {
                    shared.say(index, &text);
                }
            }
            Err(e) => return Err(e.into()),
        }
        // `wake` is still held here, so this can only bring a wake-up or the end of the slice.
        let _ = woken.recv_timeout(SLICE);
    }
    drop(wake);
    Ok(None)
}

/// Something is there, but no whole log: said once when it lasts.
#[derive(Default)]
struct Trouble {
    since: Option<Instant>,
    said: bool,
}

impl Trouble {
    fn lasting(&mut self, error: &mmlog::Error) -> Option<String> {
        if matches!(error.fault(), Fault::NoLog | Fault::Io { .. } | Fault::Denied { .. }) {
            *self = Self::default();
            return None;
        }
        let lasts = self.since.get_or_insert_with(Instant::now).elapsed() >= CREATION;
        (lasts && !std::mem::replace(&mut self.said, true))
            .then(|| format!("still waiting: {}", error.words()))
    }
}

/// Wakes us when a file appears whose name begins with the log's; nothing if that cannot be had.
fn watch(log: &Path, wake: SyncSender<()>) -> Option<RecommendedWatcher> {
    let name = log.file_name()?.to_owned();
    let directory = match log.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => return None,
    };
    let concerns = move |path: &PathBuf| {
        path.file_name().is_some_and(|file| file.as_encoded_bytes().starts_with(name.as_encoded_bytes()))
    };
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.is_ok_and(|event| event.paths.iter().any(&concerns)) {
            // Full means that a wake-up is under way already.
            let _ = wake.try_send(());
        }
    })
    .ok()?;
    watcher.watch(&directory, RecursiveMode::NonRecursive).ok()?;
    Some(watcher)
}
