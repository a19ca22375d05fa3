//! The log that input is stored in: full disk, stopped processes, progress.

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use mmlog::{Class, Error, Log, Position, Writer};
use rustix::event::{PollFd, PollFlags, poll};

use super::sync::{Syncer, When};
use super::{OnFull, Storing};
use crate::exit::{Failure, shown};
use crate::output::Output;
use crate::progress::Progress;
use crate::signals::Signals;

/// The pauses between two attempts: the first, and what doubling ends at.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

pub(crate) struct Store<'a> {
    log: Log,
    writer: Writer,
    /// Behind the last append.
    end: Position,
    sync: When,
    syncer: Option<Syncer>,
    patience: Patience<'a>,
    taking: Taking,
    progress: Progress,
}

/// What becomes of an append.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Taking {
    All,
    Nothing,
}

impl<'a> Store<'a> {
    pub(crate) fn open(
        args: &Storing,
        signals: &'a Signals,
        progress: Progress,
        out: &mut Output,
    ) -> Result<Self, Failure> {
        let patience = Patience { on_full: args.on_full, signals };
        let options = Log::options().trust(args.access.trust()).drop_behind(args.drop_behind.unwrap_or(0));
        let options = args.creation.apply(options);
        let log = patience.insist(out, &args.log, || {
            if args.no_create { options.open(&args.log) } else { options.open_or_create(&args.log) }
        })?;
        let mut writer = patience.insist(out, &args.log, || log.writer())?;
        let syncer = match args.sync {
            When::Interval(length) => {
                let started = Syncer::start(log.clone(), length);
                Some(started.map_err(|e| Failure::io(&args.log, "starting to sync", &e))?)
            }
            When::Never | When::Always => None,
        };
        if args.sync != When::Never {
            // What was lost before cannot be had again; it costs nothing to ask.
            writer.sync()?;
        }
        let (end, taking) = (Position::default(), Taking::All);
        Ok(Self { log, writer, end, sync: args.sync, syncer, patience, taking, progress })
    }

    pub(crate) fn path(&self) -> &Path {
        self.log.path()
    }

    /// What ends every wait.
    pub(crate) const fn signals(&self) -> &'a Signals {
        self.patience.signals
    }

    /// Stores nothing from now on, as if it had.
    pub(crate) fn give_up(&mut self) {
        self.taking = Taking::Nothing;
    }

    /// Stores the two parts as one message.
    pub(crate) fn append(&mut self, parts: [&[u8]; 2], out: &mut Output) -> Result<(), Failure> {
        if self.taking == Taking::Nothing {
            return Ok(());
        }
        let writer = &mut self.writer;
        let at = self.patience.insist(out, self.log.path(), || match parts {
            [all, []] => writer.append(all),
            [first, second] => writer.append_vectored(&[IoSlice::new(first), IoSlice::new(second)]),
        })?;
        self.end = at + (parts[0].len() + parts[1].len()) as u64;
        Ok(())
    }

    /// Makes what was appended durable, if that was asked for.
    pub(crate) fn settle(&mut self, out: &mut Output) -> Result<(), Failure> {
        match &self.syncer {
            _ if self.taking == Taking::Nothing => Ok(()),
            Some(syncer) => {
                syncer.appended(self.end);
                self.check()
            }
            None if self.sync == When::Always => self.make_durable(out),
            None => Ok(()),
        }
    }

    /// The two parts are through.
    pub(crate) fn passed(&mut self, parts: [&[u8]; 2], out: &mut Output) {
        for part in parts {
            self.progress.passed(part, out);
        }
    }

    fn make_durable(&mut self, out: &mut Output) -> Result<(), Failure> {
        let (writer, end) = (&mut self.writer, self.end);
        let synced = self.patience.insist(out, self.log.path(), || writer.sync());
        synced.map_err(|e| not_durable(e, end))
    }

    /// Readable when [`Store::check`] has something to say.
    pub(crate) fn trouble(&self) -> Option<BorrowedFd<'_>> {
        self.syncer.as_ref().map(AsFd::as_fd)
    }

    /// Whether a sync in the background has failed.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let failure = self.syncer.as_ref().and_then(Syncer::failure);
        failure.map_or(Ok(()), |e| Err(not_durable(e, self.end)))
    }

    /// Makes durable what has to be, and leaves the log.
    pub(crate) fn close(mut self, out: &mut Output) -> Result<(), Failure> {
        if let Some(syncer) = self.syncer.take() {
            syncer.end();
        }
        let durable = if self.sync == When::Never { Ok(()) } else { self.make_durable(out) };
        drop(self.writer);
        let closed = self.log.close();
        durable?;
        Ok(closed?)
    }
}

/// When to try again, and how to say so.
struct Patience<'a> {
    on_full: OnFull,
    signals: &'a Signals,
}

impl Patience<'_> {
    /// Attempts until it works or there is no point. After a signal there is one attempt more,
    /// because whoever sent it will not wait for somebody to free space.
    fn insist<T>(
        &self,
        out: &mut Output,
        path: &Path,
        mut attempt: impl FnMut() -> mmlog::Result<T>,
    ) -> Result<T, Error> {
        let mut waiting_since = None;
        let (mut pause, longest) = PAUSES;
        loop {
            let last = self.signals.raised();
            let error = match attempt() {
                Ok(done) => {
                    if let Some(since) = waiting_since {
                        out.notice(&format!("{}: goes on after {}", shown(path), seconds(since)));
                    }
                    return Ok(done);
                }
                Err(error) => error,
            };
            if last || !self.is_worth_waiting(&error) {
                return Err(error);
            }
            if waiting_since.is_none() {
                waiting_since = Some(Instant::now());
                out.notice(&format!("{error} (waiting; nothing is lost)"));
            }
            self.sleep(pause);
            pause = longest.min(2 * pause);
        }
    }

    fn is_worth_waiting(&self, error: &Error) -> bool {
        match error.fault().class() {
            Class::Retry => self.on_full == OnFull::Retry,
            Class::Busy => true,
            Class::Damaged | Class::Refused => false,
        }
    }

    /// A pause that a signal ends.
    fn sleep(&self, pause: Duration) {
        let signal = self.signals.as_fd();
        let _ = poll(&mut [PollFd::new(&signal, PollFlags::IN)], pause.try_into().ok().as_ref());
    }
}

/// Says what is in the log all the same.
fn not_durable(error: Error, end: Position) -> Failure {
    match Failure::from(error) {
        Failure::Said { exit, text } if end > Position::default() => Failure::new(
            exit,
            format!("{text} (what was read is in the log, the last of it before position {end})"),
        ),
        other => other,
    }
}

fn seconds(since: Instant) -> String {
    format!("{:.1} s", since.elapsed().as_secs_f64())
}
