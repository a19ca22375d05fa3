//! Where events go.

use std::fmt;
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mmlog::{Class, Error, Fault, Log, Options, Result};
use mmlog_process::{Entry, How};

use crate::event::Event;
#[cfg(feature = "log")]
use crate::logger::Logger;
use crate::lost::{Lost, Untold};

/// What becomes of an event that there is no space for.
///
/// In both cases one that is not stored is counted ([`Sink::lost`]), and the log says so with the next one that is, in a line
/// before it: `mmlog-logging: 3 events not stored between 2026-11-30T09:22:10.123456Z and ...: no space`. The same holds for
/// events that cannot be stored for another reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnFull {
    /// The program goes on without it.
    #[default]
    DropAndTell,
    /// The thread that logs waits so long for space; `Duration::MAX` is for ever.
    Wait(Duration),
}

/// Pauses between two attempts: the first, and what doubling ends at.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// How long the last sink waits for those in the way of the trim.
const CLOSING: Duration = Duration::from_secs(1);

/// How a [`Sink`] is opened.
pub struct Builder {
    path: PathBuf,
    options: Options,
    on_full: OnFull,
    told: Option<Box<Told>>,
}

type Told = dyn Fn(&Error) + Send + Sync;

impl Builder {
    /// How the log is opened, and made: its policy, its mode, how long an event waits for somebody who holds the log up.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("app.log");
    /// use mmlog::{Log, Policy};
    /// use mmlog_logging::Sink;
    ///
    /// let bounded = Policy { rotate_size: Some(64 << 20), keep: Some(10), ..Policy::default() };
    /// let sink = Sink::builder(&path).options(Log::options().policy(&bounded)).open()?;
    /// # let _ = sink;
    /// # Ok(())
    /// # }
    /// ```
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// What becomes of an event that there is no space for.
    pub fn on_full(mut self, on_full: OnFull) -> Self {
        self.on_full = on_full;
        self
    }

    /// Calls `tell` when an event cannot be stored, once until the log has said so: for standard error, perhaps. It is called in
    /// the thread that logs, and may not log.
    pub fn on_lost(mut self, tell: impl Fn(&Error) + Send + Sync + 'static) -> Self {
        self.told = Some(Box::new(tell));
        self
    }

    /// Opens the log, and makes it if it is missing.
    ///
    /// # Errors
    /// As those of [`Options::open_or_create`].
    pub fn open(self) -> Result<Sink> {
        let entry = mmlog_process::open(&self.path, How { options: self.options, has_to_exist: false })?;
        let Self { on_full, told, .. } = self;
        Ok(Sink { open: Arc::new(Open { entry, on_full, told, lost: Lost::nothing() }) })
    }
}

/// Where events go: an open log. Clones are the same; any thread may log through it, also of a forked child.
///
/// When the last one is dropped, the log is closed, and the file exact if nobody else writes. One that is never dropped is closed
/// when the process ends.
#[derive(Clone)]
pub struct Sink {
    open: Arc<Open>,
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").field("on_full", &self.open.on_full).finish_non_exhaustive()
    }
}

struct Open {
    entry: &'static Entry,
    on_full: OnFull,
    told: Option<Box<Told>>,
    lost: Lost,
}

impl Sink {
    /// Opens the log at `path`, and makes it if it is missing.
    ///
    /// # Errors
    /// As those of [`Options::open_or_create`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder(path).open()
    }

    /// The defaults, to be changed and opened.
    pub fn builder(path: impl AsRef<Path>) -> Builder {
        let path = path.as_ref().to_path_buf();
        Builder { path, options: Log::options(), on_full: OnFull::default(), told: None }
    }

    /// An event, to be written to; its end appends it.
    pub fn event(&self) -> Event<'_> {
        Event::new(self)
    }

    /// A logger for the macros of `log`.
    #[cfg(feature = "log")]
    pub fn logger(&self) -> Logger {
        Logger::new(self.clone())
    }

    /// How many events this process could not store, since it opened the sink or was forked.
    pub fn lost(&self) -> u64 {
        self.open.lost.all()
    }

    /// Has the log say now what could not be stored, if anything, and not with the next event.
    pub fn tell_what_is_lost(&self) {
        self.open.tell();
    }

    #[inline]
    pub(crate) fn store(&self, event: &[u8]) {
        self.open.store(event);
    }
}

impl Open {
    #[inline]
    fn store(&self, event: &[u8]) {
        if self.lost.is_untold() {
            return self.store_and_tell(event, None);
        }
        if let Err(error) = mmlog_process::append(self.entry, |writer| writer.append(event)) {
            self.store_and_tell(event, Some(error));
        }
    }

    fn tell(&self) {
        if self.lost.is_untold() {
            self.store_and_tell(&[], None);
        }
    }

    /// `failed` is what came of a first attempt. The line and the event are one message: where the line alone has room, each
    /// event that has none would bring another.
    #[cold]
    fn store_and_tell(&self, event: &[u8], failed: Option<Error>) {
        let untold = self.lost.take();
        let line = untold.as_ref().map(Untold::line).unwrap_or_default();
        if line.is_empty() && event.is_empty() {
            return;
        }
        let parts = [IoSlice::new(line.as_bytes()), IoSlice::new(event)];
        let Err(error) = self.insist(&parts, failed) else { return };
        if let Some(untold) = untold {
            self.lost.give_back(&untold);
        }
        if !event.is_empty() {
            self.lose(event, &error);
        }
    }

    /// Appends, and where there is no space, for as long as this sink waits.
    fn insist(&self, parts: &[IoSlice<'_>], mut failed: Option<Error>) -> Result<()> {
        let (begun, (mut pause, longest)) = (Instant::now(), PAUSES);
        let patience = match self.on_full {
            OnFull::DropAndTell => Duration::ZERO,
            OnFull::Wait(patience) => patience,
        };
        loop {
            let error = match failed.take() {
                Some(error) => error,
                None => match mmlog_process::append(self.entry, |writer| writer.append_vectored(parts)) {
                    Ok(_) => return Ok(()),
                    Err(error) => error,
                },
            };
            let left = patience.saturating_sub(begun.elapsed());
            if left.is_zero() || !is_worth_waiting(&error) {
                return Err(error);
            }
            thread::sleep(pause.min(left));
            pause = longest.min(2 * pause);
        }
    }

    fn lose(&self, event: &[u8], error: &Error) {
        let (is_first, bytes) = self.lost.add(event.len(), error);
        // For whoever looks at the log meanwhile.
        let _ = mmlog_process::append(self.entry, |writer| {
            writer.drops(bytes);
            Ok(())
        });
        if let Some(told) = self.told.as_ref().filter(|_| is_first) {
            told(error);
        }
    }
}

fn is_worth_waiting(error: &Error) -> bool {
    error.fault().class() == Class::Retry || matches!(error.fault(), Fault::WritersFull { .. })
}

impl Drop for Open {
    fn drop(&mut self) {
        self.tell();
        // The file keeps its zeros then, until somebody else closes the log.
        let _ = mmlog_process::close(self.entry, CLOSING);
    }
}
