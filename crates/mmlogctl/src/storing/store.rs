//! The log that input is stored in: full disk, stopped processes, progress.

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use mmlog::{Class, Error, Fault, Log, Position, Writer, units};
use rustix::event::{PollFd, PollFlags, poll};

use super::compressor::Compressor;
use super::dropped::Dropped;
use super::lines::Lines;
use super::place::{self, Watch};
use super::sync::{Syncer, When};
use super::{OnFull, Storing};
use crate::exit::{Exit, Failure, shown};
use crate::output::Output;
use crate::progress::Progress;
use crate::signals::Signals;
use crate::waits::leave;

/// The pauses between two attempts: the first, and what doubling ends at.
pub(crate) const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

pub(crate) struct Store<'a> {
    log: Log,
    writer: Writer,
    /// Behind the last append.
    end: Position,
    sync: When,
    syncer: Option<Syncer>,
    patience: Patience<'a>,
    taking: Taking,
    watch: Watch,
    compressor: Compressor,
    /// What `--on-full drop` has dropped and not told the log.
    dropped: Option<Dropped>,
    /// How the line that tells it looks.
    own_lines: Lines,
    /// The last byte stored is a newline.
    at_line_start: bool,
    /// Somebody else left a line without its newline.
    owes_newline: bool,
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
        on_full: OnFull,
        signals: &'a Signals,
        progress: Progress,
        out: &mut Output,
    ) -> Result<Self, Failure> {
        let patience = Patience { on_full, signals };
        let options =
            args.access.options(&args.log).stop(signals.flag()).drop_behind(args.drop_behind.unwrap_or(0));
        let options = args.creation.apply(options);
        let log = patience.insist(out, &args.log, || {
            if args.no_create { options.open(&args.log) } else { options.open_or_create(&args.log) }
        })?;
        if let Some(said) = args.creation.overruled(&args.log, &log) {
            out.notice(&said);
        }
        let mut writer = patience.insist(out, &args.log, || log.writer())?;
        let syncer = match args.sync {
            When::Interval(length) => {
                let started = Syncer::start(length);
                Some(started.map_err(|e| Failure::io(&args.log, "starting to sync", &e))?)
            }
            When::Never | When::Always => None,
        };
        if args.sync != When::Never {
            // What was lost before cannot be had again; it costs nothing to ask.
            writer.sync()?;
        }
        let watch = Watch::new(&args.log, log.path());
        let compressor = Compressor::new(args.log.clone(), args.access.options(&args.log));
        Ok(Self {
            log,
            writer,
            end: Position::default(),
            sync: args.sync,
            syncer,
            patience,
            taking: Taking::All,
            watch,
            compressor,
            dropped: None,
            own_lines: args.lines(),
            at_line_start: true,
            owes_newline: false,
            progress,
        })
    }

    /// Begins a line of its own: behind a file that was adopted, or bytes that were taken over or recovered, without a newline
    /// at the end, also where they are in an old segment by now.
    ///
    /// # Errors
    /// When the log's last byte cannot be read.
    pub(crate) fn begin_a_line(&mut self) -> Result<(), Failure> {
        self.at_line_start = self.log.last_byte()?.is_none_or(|last| last == b'\n');
        self.owes_newline = !self.at_line_start;
        Ok(())
    }

    /// # Errors
    /// When one of the streams is a file of the log.
    pub(crate) fn refuse_itself(&self, streams: &[place::Stream]) -> Result<(), Failure> {
        place::refuse_itself(&self.log, streams)
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
        let drops = self.patience.on_full == OnFull::Drop;
        let stored = match &self.dropped {
            Some(dropped) if !dropped.is_due() => false,
            Some(_) => self.tell(parts, out)?,
            None => match self.put_behind(parts, out) {
                Err(e) if drops && e.fault().class() == Class::Retry => {
                    out.notice(&format!("{e} (dropping what comes, until there is space)"));
                    self.dropped = Some(Dropped::since(&e));
                    false
                }
                put => put.map(|()| true)?,
            },
        };
        if let (false, Some(dropped)) = (stored, &mut self.dropped) {
            dropped.add(input, parts);
        }
        Ok(())
    }

    /// Appends the line that says what was dropped and the two parts behind it; false while there is no space. One
    /// message: the line alone would fit where the parts do not, again and again.
    fn tell(&mut self, parts: [&[u8]; 2], out: &mut Output) -> Result<bool, Failure> {
        let Some(dropped) = &self.dropped else { return Ok(true) };
        let mut line = self.own_lines.own(&dropped.text());
        if !self.at_line_start {
            line.insert(0, '\n');
        }
        match self.put(&[line.as_bytes(), parts[0], parts[1]], out) {
            Ok(()) => {
                if let Some(told) = self.dropped.take() {
                    out.notice(&format!("{}: {}", shown(self.path()), told.over()));
                }
                Ok(true)
            }
            Err(e) if e.fault().class() == Class::Retry => {
                self.dropped.as_mut().map(Dropped::postpone);
                Ok(false)
            }
            Err(e) => Err(e.into()),
        }
    }

    fn put_behind(&mut self, parts: [&[u8]; 2], out: &mut Output) -> Result<(), Error> {
        if std::mem::take(&mut self.owes_newline) && !self.at_line_start {
            return self.put(&[b"\n", parts[0], parts[1]], out);
        }
        self.put(&parts, out)
    }

    fn put(&mut self, parts: &[&[u8]], out: &mut Output) -> Result<(), Error> {
        let writer = &mut self.writer;
        let at = self.patience.insist(out, self.log.path(), || match parts {
            [all] | [all, []] => writer.append(all),
            parts => writer.append_vectored(&parts.iter().map(|part| IoSlice::new(part)).collect::<Vec<_>>()),
        })?;
        self.end = at + parts.iter().map(|part| part.len() as u64).sum::<u64>();
        let last = parts.iter().rev().find_map(|part| part.last());
        self.at_line_start = last.is_none_or(|last| *last == b'\n');
        Ok(())
    }

    /// When [`Store::attend`] has something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        let dropped = self.dropped.as_ref().map(Dropped::idle_at);
        let next = dropped.into_iter().chain([self.watch.next()]).min();
        next.filter(|_| self.taking == Taking::All)
    }

    /// What has to be done at times, whether anything comes or not.
    pub(crate) fn attend(&mut self, out: &mut Output) -> Result<(), Failure> {
        let now = Instant::now();
        if self.due().is_none_or(|due| due > now) {
            return Ok(());
        }
        if self.watch.next() <= now {
            let is_new = self.watch.look(&mut self.log, &mut self.writer, out);
            self.compressor.attend(&self.log, out);
            if is_new && self.sync != When::Never {
                // As when it was opened: from now on it does not leave what is not durable.
                self.writer.sync()?;
            }
        }
        if self.dropped.as_ref().is_some_and(|dropped| dropped.idle_at() <= now) {
            self.tell([b""; 2], out)?;
        }
        Ok(())
    }

    /// Makes what was appended durable, if that was asked for.
    pub(crate) fn settle(&mut self, out: &mut Output) -> Result<(), Failure> {
        match &self.syncer {
            _ if self.taking == Taking::Nothing || self.dropped.is_some() => Ok(()),
            Some(syncer) => {
                syncer.appended(&self.writer, self.end);
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

    /// Makes durable what has to be, and leaves the log. Not done is what was dropped without a line in the log that
    /// says so: standard error says it instead.
    pub(crate) fn close(mut self, out: &mut Output) -> Result<Exit, Failure> {
        let told =
            if self.taking == Taking::All { self.tell([b""; 2], out) } else { Ok(self.dropped.is_none()) };
        if let Some(dropped) = &self.dropped {
            out.notice(&format!("{}: {}; the log does not say so", shown(self.path()), dropped.text()));
        }
        if let Some(syncer) = self.syncer.take() {
            syncer.end();
        }
        let durable = if self.sync == When::Never { Ok(()) } else { self.make_durable(out) };
        if self.taking == Taking::All {
            self.watch.look(&mut self.log, &mut self.writer, out);
        }
        drop(self.compressor);
        drop(self.writer);
        let closed = leave(self.log, out);
        let told = told?;
        durable?;
        closed?;
        Ok(if told { Exit::Done } else { Exit::Failed })
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
        let mut waiting_since: Option<Instant> = None;
        let (mut pause, longest) = PAUSES;
        loop {
            let last = self.signals.raised();
            let error = match attempt() {
                Ok(done) => {
                    if let Some(since) = waiting_since {
                        out.notice(&format!(
                            "{}: goes on after {}",
                            shown(path),
                            units::lasting(since.elapsed())
                        ));
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
                out.notice(&format!("{} (waiting; nothing is lost)", without_trying(&error.to_string())));
            }
            self.sleep(pause);
            pause = longest.min(2 * pause);
        }
    }

    fn is_worth_waiting(&self, error: &Error) -> bool {
        match error.fault().class() {
            _ if matches!(error.fault(), Fault::Stopped { .. }) => false,
            // Without one, nothing can be said of what would be dropped.
            _ if matches!(error.fault(), Fault::WritersFull { .. }) => self.on_full != OnFull::Fail,
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

/// What is to be done in the words of an error, but for what whoever waits does by itself.
fn without_trying(text: &str) -> String {
    let tries = ["try again later, or ", "; try again later", " and try again"];
    tries.iter().fold(text.to_owned(), |text, words| text.replace(words, ""))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_not_told_to_try_again() {
        for (said, left) in [
            ("full; free some and try again, nothing was taken", "full; free some, nothing was taken"),
            ("busy: 7 holds it; try again later", "busy: 7 holds it"),
            ("7 holds it; try again later, or end it: `kill 7`", "7 holds it; end it: `kill 7`"),
        ] {
            assert_eq!(without_trying(said), left);
        }
    }
}
