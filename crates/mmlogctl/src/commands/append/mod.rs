//! `cmd | mmlogctl append LOG`: standard input into a log.
//!
//! Read what lies there, append all whole lines in it as one message, keep the rest: see [`crate::storing`].
//! A log that cannot take more stops the reading, and the pipe stops the producer. Nothing is dropped unless
//! `--on-full drop` asks for it: what cannot be stored is counted and said.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use clap::Args;

use crate::arguments::duration;
use crate::exit::{Exit, Failure, shown};
use crate::output::{Output, Standard};
use crate::progress::Progress;
use crate::signals::{self, Signals};
use crate::storing::opened::Wanted;
use crate::storing::place;
use crate::storing::store::Store;
use crate::storing::{self, buffer::Upto};
use crate::storing::{Copies, Storing, Stream};

mod input;

/// A program that had the signal as well has this long to end before we speak of waiting for it.
const SOON: Duration = Duration::from_millis(200);

use input::{Input, Others, Read};

/// Append standard input to a log: whole lines, nothing dropped unless told to.
///
/// Creates the log when it is missing. All whole lines that lie in the input are appended as
/// one message, so lines of several writers never mix; a line without its newline waits for
/// it, and a newline that is missing at the end of the input is added. Input that the log
/// cannot take yet stays in the pipe, which stops whoever writes to it.
///
/// While the disk is full, or a stopped process is in the way, it says so once, waits, and
/// goes on by itself. With --on-full drop it does not wait for space, not even for that to make the log in: what comes
/// is read and dropped, and when there is space the log gets a line that says so, such as
///
/// mmlogctl: 2640176 bytes (44 lines) dropped, 2026-11-28T23:10:02Z to 2026-11-28T23:10:05Z: no space
///
/// with bytes and lines of the input, the times in UTC of the first and the last that were dropped, and the
/// reason: no space (or no inode), quota, or file size limit; later versions keep to this form. The line has --timestamp and --prefix as others
/// have. If there is no space before the end of the input, standard error has the line, and the exit code
/// is 1.
///
/// After SIGTERM, SIGINT or SIGHUP, which the program at the other end of the pipe often has as well, it
/// goes on to the end of its input, so that the program's last words are stored; after --grace it stores
/// what lies in the pipe and ends. A second signal ends it at once (not a second SIGHUP: a terminal that
/// goes away sends two). A file and a terminal are not read on,
/// and a log that cannot take more is not waited for: what was not stored is said, exit code 1, or 3 where a process is in
/// the way. Standard input that is
/// closed has nothing to append, which is said.
///
/// A log that is removed or replaced while it is open is noticed within seconds and at the end, and said
/// once: what is appended then is in a file without a name. If another log was made in its place, append goes
/// on in that one. Within seconds it says, too, that the data file alone was taken away, or that the file system takes no writes
/// any more: it could append for a while and notice nothing. A file of the log itself is refused as input, and as where copies and messages go.
#[derive(Args, Debug)]
pub struct AppendArgs {
    #[command(flatten)]
    storing: Storing,
    /// Bytes as they come: no waiting for a newline, none added at the end.
    #[arg(long, conflicts_with_all = ["max_line", "split_mark", "timestamp", "prefix"])]
    raw: bool,
    /// Copy to standard output what was stored. When the copy cannot be written any more (its reader went away),
    /// that is said, and the log goes on without it.
    #[arg(long)]
    tee: bool,
    /// The same, and end when the copy cannot be written any more, as in `append --tee-ends app.log | head`: what
    /// lies in the pipe is stored. The exit code is 0 if the reader went away, else 1.
    #[arg(long)]
    tee_ends: bool,
    /// How long to go on reading after SIGTERM, SIGINT or SIGHUP, if the input does not end before; 0s
    /// stores what lies in the pipe. A reader of the copy (--tee) that has stopped reading is waited for
    /// within that time, too, and may take all of it.
    #[arg(long, value_name = "DUR", value_parser = duration, default_value = "5s")]
    grace: Duration,
}

impl AppendArgs {
    pub(crate) const fn storing(&self) -> &Storing {
        &self.storing
    }
}

/// Appends standard input until it ends or a signal comes.
///
/// # Errors
/// What stopped it, with how many bytes were not stored.
pub fn run(args: &AppendArgs, out: &mut Output) -> Result<Exit, Failure> {
    let storing = &args.storing;
    let input = Input::stdin();
    let signals = Signals::catch().map_err(|e| counted(storing.uncaught(&e), input.lying()))?;
    let grace = if input.has_producer() { args.grace } else { Duration::ZERO };
    signals::grant(grace);
    let signals = signals.with_grace(grace);
    if input.is_nothing() {
        out.notice(&format!(
            "{}: standard input is closed, or /dev/null: there is nothing to append",
            shown(&storing.log)
        ));
    }
    let progress = match (out.error_is_terminal(), input.is_terminal()) {
        (true, false) => Progress::showing(),
        _ => Progress::hidden(),
    };
    let output = (args.tee || args.tee_ends).then_some(place::Stream::Output);
    let streams: Vec<_> = [place::Stream::Input, place::Stream::Error].into_iter().chain(output).collect();
    place::refuse_named(&storing.log, &streams)?;
    let is_all = input.has_producer() && !input.is_open();
    let wanted = Wanted { args: storing, streams: &streams, begins_a_line: !args.raw, is_all };
    let store = Store::open(wanted, storing.on_full, &signals, progress, out)
        .map_err(|e| counted(e, input.lying()))?;
    let copies = Copies::asked(args.tee, args.tee_ends, Standard::Output);
    let stream = if args.raw { Stream::of_bytes(copies) } else { Stream::of_lines(storing.lines(), copies) };
    let stream = stream.map_err(|e| counted(e, input.lying()))?;
    let mut job = Job { stream, store, linger: storing.linger, grace, input: &input, signals: &signals };
    let pumped = job.pump(out);
    let unstored = job.stream.held() as u64;
    let closed = job.store.close(out);
    // The first reason is the one to act on, also when closing failed too.
    pumped.map_err(|e| counted(e, unstored + input.lying()))?;
    closed
}

/// Adds what the failure cost.
fn counted(failure: Failure, unstored: u64) -> Failure {
    match failure {
        Failure::Said { exit, text } if unstored > 0 => {
            Failure::new(exit, format!("{text} ({})", storing::unstored(unstored)))
        }
        other => other,
    }
}

/// The way from input to store.
struct Job<'a> {
    stream: Stream,
    store: Store<'a>,
    linger: Duration,
    grace: Duration,
    input: &'a Input,
    signals: &'a Signals,
}

impl Job<'_> {
    fn pump(&mut self, out: &mut Output) -> Result<(), Failure> {
        // When what lingers is stored.
        let mut lingers = None;
        loop {
            self.store.attend(out)?;
            let deadline = lingers.into_iter().chain(self.store.due()).min();
            match self.read(deadline, Some(self.signals)) {
                Ok(Read::Bytes(n)) => {
                    self.stream.filled(n);
                    if lingers.is_none() && !self.linger.is_zero() {
                        lingers = Instant::now().checked_add(self.linger);
                    }
                    if lingers.is_some() && !self.stream.is_full() {
                        continue;
                    }
                    self.flush(Upto::LastLine, out)?;
                }
                Ok(Read::TimeUp) if lingers.is_none_or(|at| at > Instant::now()) => continue,
                Ok(Read::TimeUp) => self.flush(Upto::LastLine, out)?,
                Ok(Read::End) => return self.flush(Upto::End, out),
                Ok(Read::Signal) => return self.last_words(out),
                Ok(Read::Trouble) => return self.store.check(),
                Ok(Read::NoReader) => return self.without_copies(Failure::OutputClosed, out),
                Err(failure) => {
                    self.flush(Upto::End, out)?;
                    return Err(failure);
                }
            }
            lingers = None;
        }
    }

    fn read(&mut self, deadline: Option<Instant>, signals: Option<&Signals>) -> Result<Read, Failure> {
        let copies = self.stream.needs();
        let others =
            Others { signals, trouble: self.store.trouble(), copies: copies.as_ref().map(AsFd::as_fd) };
        self.input.read(self.stream.space(), deadline, &others)
    }

    fn flush(&mut self, upto: Upto, out: &mut Output) -> Result<(), Failure> {
        self.stream.flush(upto, &mut self.store, out)?;
        match self.stream.broken() {
            Some(failure) => self.without_copies(failure, out),
            None => Ok(()),
        }
    }

    /// Ends, for want of copies, with what lies in the pipe.
    fn without_copies(&mut self, failure: Failure, out: &mut Output) -> Result<(), Failure> {
        self.stream.copy_no_more();
        self.drain(out)?;
        Err(failure)
    }

    /// After a signal: to the end of the input, for the grace at most.
    fn last_words(&mut self, out: &mut Output) -> Result<(), Failure> {
        let mut say_at = Instant::now().checked_add(SOON).filter(|_| !self.grace.is_zero());
        let until = self.signals.grace_ends();
        while until.is_some_and(|until| Instant::now() < until) {
            if say_at.is_some_and(|at| at <= Instant::now()) && self.input.is_open() {
                say_at = None;
                out.notice(&format!(
                    "{}: a signal came; standard input is still open, and is read to its end, for {:?} at most; a second signal ends this at once",
                    shown(self.store.path()),
                    self.grace
                ));
            }
            self.store.attend(out)?;
            let deadline = say_at.into_iter().chain(until).chain(self.store.due()).min();
            match self.read(deadline, None) {
                Ok(Read::Bytes(n)) => {
                    self.stream.filled(n);
                    self.flush(Upto::LastLine, out)?;
                }
                Ok(Read::End) => return self.flush(Upto::End, out),
                Ok(Read::TimeUp | Read::Signal) => {}
                Ok(Read::Trouble) => return self.store.check(),
                Ok(Read::NoReader) => self.stream.copy_no_more(),
                Err(failure) => {
                    self.flush(Upto::End, out)?;
                    return Err(failure);
                }
            }
        }
        self.drain(out)?;
        if !self.grace.is_zero() {
            out.notice(&format!(
                "{}: standard input is still open after {:?}; what comes now is not stored (--grace waits longer)",
                shown(self.store.path()),
                self.grace
            ));
        }
        Ok(())
    }

    /// What lies in the pipe at this moment, without waiting for more, and no more than that, or a busy
    /// producer would keep us here.
    fn drain(&mut self, out: &mut Output) -> Result<(), Failure> {
        let mut left = self.input.drainable();
        while left > 0 {
            let space = self.stream.space();
            let most = space.len().min(left);
            let n = self.input.read_now(&mut space[..most])?;
            if n == 0 {
                break;
            }
            left -= n;
            self.stream.filled(n);
            self.flush(Upto::LastLine, out)?;
        }
        self.flush(Upto::End, out)?;
        if self.input.is_file() && self.input.lying() > 0 {
            return Err(Failure::new(Exit::Failed, "standard input: stopped by a signal before its end"));
        }
        Ok(())
    }
}
