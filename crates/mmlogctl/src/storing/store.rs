//! Where input is stored: in the log, or, with `--on-full drop`, in the count of what was dropped.
//!
//! A log that cannot be made yet for want of space is one that cannot take anything yet: each attempt to store makes it
//! first.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Instant;

use mmlog::{Error, Position};

use super::OnFull;
use super::dropped::Dropped;
use super::lines::Lines;
use super::opened::{Opened, Unstored, Wanted};
use super::patience::Patience;
use super::sync::{Syncer, When};
use crate::exit::{Exit, Failure, shown};
use crate::output::Output;
use crate::progress::Progress;
use crate::signals::Signals;

pub(crate) struct Store<'a> {
    wanted: Wanted<'a>,
    /// `None` while there is no space to make it, and so what comes is dropped.
    log: Option<Opened>,
    sync: When,
    syncer: Option<Syncer>,
    patience: Patience<'a>,
    taking: Taking,
    /// What `--on-full drop` has dropped and not told the log.
    dropped: Option<Dropped>,
    /// How the line that tells it looks.
    own_lines: Lines,
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
        wanted: Wanted<'a>,
        on_full: OnFull,
        signals: &'a Signals,
        progress: Progress,
        out: &mut Output,
    ) -> Result<Self, Failure> {
        let args = wanted.args;
        let syncer = match args.sync {
            When::Interval(length) => {
                let started = Syncer::start(length);
                Some(started.map_err(|e| Failure::io(&args.log, "starting to sync", &e))?)
            }
            When::Never | When::Always => None,
        };
        let mut store = Self {
            wanted,
            log: None,
            sync: args.sync,
            syncer,
            patience: Patience { on_full, signals },
            taking: Taking::All,
            dropped: None,
            own_lines: args.lines(),
            progress,
        };
        let opened = store.put(None, [b""; 2], out);
        store.or_drop(opened, out)?;
        Ok(store)
    }

    pub(crate) fn path(&self) -> &Path {
        self.log.as_ref().map_or(&self.wanted.args.log, Opened::path)
    }

    /// Says to whoever looks at the log that it waits for the reader of a copy, or no more.
    pub(crate) fn waits_for_reader(&self, waits: bool) {
        if let Some(log) = &self.log {
            log.writer().waits_for_reader(waits);
        }
    }

    /// What ends every wait.
    pub(crate) const fn signals(&self) -> &'a Signals {
        self.patience.signals
    }

    /// Stores nothing from now on, as if it had.
    pub(crate) fn give_up(&mut self) {
        self.taking = Taking::Nothing;
    }

    /// Stores the two parts, made from `input` bytes, as one message; drops them where that is what to do.
    pub(crate) fn append(
        &mut self,
        parts: [&[u8]; 2],
        input: usize,
        out: &mut Output,
    ) -> Result<(), Failure> {
        if self.taking == Taking::Nothing {
            return Ok(());
        }
        let stored = match &self.dropped {
            Some(dropped) if !dropped.is_due() => false,
            Some(_) => self.tell(parts, out)?,
            None => {
                let put = self.put(None, parts, out);
                self.or_drop(put, out)?
            }
        };
        if let (false, Some(dropped)) = (stored, &mut self.dropped) {
            dropped.add(input, parts);
            self.log.iter_mut().for_each(|log| log.drops(dropped.bytes()));
        }
        Ok(())
    }

    /// Begins to drop, where that is what to do without space; whether there was some.
    fn or_drop(&mut self, put: Result<(), Unstored>, out: &mut Output) -> Result<bool, Failure> {
        match put {
            Err(Unstored::Full(e)) if self.patience.on_full == OnFull::Drop => {
                out.notice(&format!("{e} (dropping what comes, until there is space)"));
                self.dropped = Some(Dropped::since(&e));
                Ok(false)
            }
            put => Ok(put.map(|()| true)?),
        }
    }

    /// Appends the line that says what was dropped and the two parts behind it; false while there is no space. One
    /// message: the line alone would fit where the parts do not, again and again.
    fn tell(&mut self, parts: [&[u8]; 2], out: &mut Output) -> Result<bool, Failure> {
        let Some(dropped) = &self.dropped else { return Ok(true) };
        let line = dropped.text().map(|text| self.own_lines.own(&text));
        match self.put(line, parts, out) {
            Ok(()) => {
                if let Some(told) = self.dropped.take() {
                    out.notice(&format!("{}: {}", shown(self.path()), told.over()));
                }
                Ok(true)
            }
            Err(Unstored::Full(_)) => {
                self.dropped.as_mut().map(Dropped::postpone);
                Ok(false)
            }
            Err(Unstored::Failed(failure)) => Err(failure),
        }
    }

    /// Appends them as one message, behind a line of ours; makes or opens the log for that.
    fn put(&mut self, own: Option<String>, parts: [&[u8]; 2], out: &mut Output) -> Result<(), Unstored> {
        let Self { wanted, log, patience, .. } = self;
        let log = match log {
            Some(log) => log,
            none => none.insert(Opened::new(wanted, patience, out)?),
        };
        if own.is_none() && parts.iter().all(|part| part.is_empty()) {
            return Ok(());
        }
        let before = log.before(own);
        let parts = [before.as_bytes(), parts[0], parts[1]];
        Ok(log.append(&parts, patience, out)?)
    }

    /// When [`Store::attend`] has something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        let dropped = self.dropped.as_ref().map(Dropped::idle_at);
        let next = dropped.into_iter().chain(self.log.as_ref().map(Opened::next_look)).min();
        next.filter(|_| self.taking == Taking::All)
    }

    /// What has to be done at times, whether anything comes or not.
    pub(crate) fn attend(&mut self, out: &mut Output) -> Result<(), Failure> {
        let now = Instant::now();
        if self.due().is_none_or(|due| due > now) {
            return Ok(());
        }
        if let Some(log) = &mut self.log
            && log.next_look() <= now
        {
            let is_new = log.look(out);
            log.warn(out);
            log.compress(out);
            if is_new && self.sync != When::Never {
                // As when it was opened: from now on it does not leave what is not durable.
                log.sync(&self.patience, out)?;
            }
        }
        if self.dropped.as_ref().is_some_and(|dropped| dropped.idle_at() <= now) {
            self.tell([b""; 2], out)?;
        }
        Ok(())
    }

    /// Makes what was appended durable, if that was asked for.
    pub(crate) fn settle(&mut self, out: &mut Output) -> Result<(), Failure> {
        match (&self.syncer, &self.log) {
            _ if self.taking == Taking::Nothing || self.dropped.is_some() => Ok(()),
            (Some(syncer), Some(log)) => {
                syncer.appended(log.writer(), log.end());
                self.check()
            }
            _ if self.sync == When::Always => self.make_durable(out),
            _ => Ok(()),
        }
    }

    /// The two parts are through.
    pub(crate) fn passed(&mut self, parts: [&[u8]; 2], out: &mut Output) {
        for part in parts {
            self.progress.passed(part, out);
        }
    }

    fn make_durable(&mut self, out: &mut Output) -> Result<(), Failure> {
        let Some(log) = &mut self.log else { return Ok(()) };
        let synced = log.sync(&self.patience, out);
        synced.map_err(|e| not_durable(e, log.end()))
    }

    /// Readable when [`Store::check`] has something to say.
    pub(crate) fn trouble(&self) -> Option<BorrowedFd<'_>> {
        self.syncer.as_ref().map(AsFd::as_fd)
    }

    /// Whether a sync in the background has failed.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let failure = self.syncer.as_ref().and_then(Syncer::failure);
        let end = self.log.as_ref().map_or(Position::default(), Opened::end);
        failure.map_or(Ok(()), |e| Err(not_durable(e, end)))
    }

    /// Makes durable what has to be, and leaves the log. Not done is what was dropped without a line in the log that
    /// says so: standard error says it instead.
    pub(crate) fn close(mut self, out: &mut Output) -> Result<Exit, Failure> {
        let told = if self.taking == Taking::All { self.tell([b""; 2], out) } else { Ok(true) };
        let untold = self.dropped.as_ref().and_then(Dropped::text);
        if let Some(text) = &untold {
            out.notice(&format!("{}: {text}; the log does not say so", shown(self.path())));
        } else if self.log.is_none() {
            out.notice(&format!(
                "{}: there was no space to make it until the end; nothing came",
                shown(self.path())
            ));
        }
        if let Some(syncer) = self.syncer.take() {
            syncer.end();
        }
        let durable = if self.sync == When::Never { Ok(()) } else { self.make_durable(out) };
        if self.taking == Taking::All
            && let Some(log) = &mut self.log
        {
            log.look(out);
        }
        let closed = self.log.map_or(Ok(()), |log| log.leave(out));
        told?;
        durable?;
        closed?;
        Ok(if untold.is_none() { Exit::Done } else { Exit::Failed })
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
