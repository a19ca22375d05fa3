//! The program's two pipes, into the store, until the program has ended.
//!
//! Whatever becomes of the store, the pipes are read: the program must neither wait for ever nor die of
//! SIGPIPE because of us.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, ioctl_fionread, read};

use mmlog::units;

use super::ExecArgs;
use super::child::Child;
use crate::exit::{Exit, Failure, shown};
use crate::output::{Output, Standard};
use crate::storing::buffer::Upto;
use crate::storing::patience::PAUSES;
use crate::storing::store::Store;
use crate::storing::{AT_ONCE, Stream, unstored, why};

/// What the two pipes are, for people.
const NAMES: [&str; 2] = ["the program's standard output", "the program's standard error"];

/// How often a read that fails is tried again once the program has ended, a second in all.
const ATTEMPTS: usize = 100;

/// Some of the output was not stored, or not made durable, and that was said.
#[derive(Debug)]
pub(super) struct NotAll;

pub(super) struct Pump<'a> {
    store: Store<'a>,
    pipes: [Pipe; 2],
    child: &'a Child,
    ended: bool,
    until_closed: bool,
    linger: Duration,
    /// When what lingers is stored.
    deadline: Option<Instant>,
    /// How many bytes were not stored, once the store was given up.
    lost: Option<u64>,
    /// A pipe could not be read to its end.
    unread: bool,
}

struct Pipe {
    /// `None` at its end.
    end: Option<OwnedFd>,
    stream: Stream,
    /// The last read failed: when the next one is due, and how long to wait after that.
    failing: Option<(Instant, Duration)>,
}

impl Pipe {
    const fn new(end: Option<OwnedFd>, stream: Stream) -> Self {
        Self { end, stream, failing: None }
    }

    /// When it may be read, if that is later than now.
    fn rests_until(&self) -> Option<Instant> {
        self.failing.map(|(until, _)| until).filter(|until| *until > Instant::now())
    }
}

/// What there is to look at.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Source {
    Pipe(usize),
    /// Nobody reads the copies of this pipe.
    NoReader(usize),
    /// A sync in the background.
    Trouble,
    /// The program; when it has ended, signals.
    End,
}

impl<'a> Pump<'a> {
    pub(super) fn new(store: Store<'a>, child: &'a mut Child, streams: [Stream; 2], args: &ExecArgs) -> Self {
        let ([output, error], [of_output, of_error]) = (std::mem::take(&mut child.pipes), streams);
        let pipes = [Pipe::new(output, of_output), Pipe::new(error, of_error)];
        let (linger, until_closed) = (args.storing.linger, args.until_closed);
        let (deadline, lost, unread) = (None, None, false);
        Self { store, pipes, child, ended: false, until_closed, linger, deadline, lost, unread }
    }

    /// Reads and stores to the end, and leaves the log.
    pub(super) fn run(mut self, out: &mut Output) -> Result<(), NotAll> {
        while !self.is_over() {
            for source in self.wait() {
                match source {
                    Source::Pipe(index) => self.read(index, out),
                    Source::NoReader(index) => self.without_copies(index, &Failure::OutputClosed, out),
                    Source::Trouble => {
                        if let Err(failure) = self.store.check() {
                            self.give_up(&failure, out);
                        }
                    }
                    Source::End => self.ended = true,
                }
            }
            if self.lost.is_none()
                && let Err(failure) = self.store.attend(out)
            {
                self.give_up(&failure, out);
            }
            if self.deadline.is_some_and(|at| at <= Instant::now()) {
                self.deadline = None;
                self.flush(0, Upto::LastLine, out);
                self.flush(1, Upto::LastLine, out);
            }
        }
        self.drain(0, out);
        self.drain(1, out);
        self.close(out)
    }

    fn is_over(&self) -> bool {
        let closed = self.pipes.iter().all(|pipe| pipe.end.is_none());
        self.ended && (!self.until_closed || closed || self.store.signals().raised())
    }

    /// Waits for something to do; nothing is the end of the linger, or a signal.
    fn wait(&self) -> Vec<Source> {
        let pipe = |index: usize| match &self.pipes[index] {
            resting if resting.rests_until().is_some() => None,
            pipe => pipe.end.as_ref().map(AsFd::as_fd),
        };
        let end = if self.ended { self.store.signals().as_fd() } else { self.child.as_fd() };
        let trouble = if self.lost.is_none() { self.store.trouble() } else { None };
        let needs = [0, 1].map(|index| self.pipes[index].end.as_ref().and(self.pipes[index].stream.needs()));
        let copies = |index: usize| needs[index].as_ref().map(AsFd::as_fd);
        let all = [
            (Source::Pipe(0), pipe(0)),
            (Source::Pipe(1), pipe(1)),
            (Source::Trouble, trouble),
            (Source::End, Some(end)),
            (Source::NoReader(0), copies(0)),
            (Source::NoReader(1), copies(1)),
        ];
        let there = all.into_iter().filter_map(|(source, fd)| Some((source, fd?)));
        // A pipe that nobody reads is an error, whatever is asked.
        let flags =
            |source| if matches!(source, Source::NoReader(_)) { PollFlags::empty() } else { PollFlags::IN };
        let (sources, mut fds): (Vec<Source>, Vec<PollFd<'_>>) =
            there.map(|(source, fd)| (source, PollFd::from_borrowed_fd(fd, flags(source)))).unzip();
        let rests = self.pipes.iter().filter_map(Pipe::rests_until);
        let next = self.deadline.into_iter().chain(self.store.due()).chain(rests).min();
        let left = next.map(|at| at.saturating_duration_since(Instant::now()));
        match poll(&mut fds, left.and_then(|left| left.try_into().ok()).as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Vec::new(),
            Err(_) => {
                // Short of memory: not at full speed.
                thread::sleep(PAUSES.0);
                return Vec::new();
            }
        }
        let ready = sources.into_iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty());
        ready.map(|(source, _)| source).collect()
    }

    fn read(&mut self, index: usize, out: &mut Output) {
        match self.take(index, AT_ONCE) {
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(e) => self.failed(index, e, out),
            Ok(0) => {
                self.pipes[index].end = None;
                self.flush(index, Upto::End, out);
            }
            Ok(_) => {
                if self.deadline.is_none() && !self.linger.is_zero() {
                    self.deadline = Instant::now().checked_add(self.linger);
                }
                if self.deadline.is_none() || self.pipes[index].stream.is_full() {
                    self.flush(index, Upto::LastLine, out);
                }
            }
        }
    }

    /// What lies in the pipe stays there: it is tried again, for as long as the program may write to it.
    fn failed(&mut self, index: usize, error: Errno, out: &mut Output) {
        let pause = self.pipes[index].failing.map_or(PAUSES.0, |(_, pause)| PAUSES.1.min(2 * pause));
        if self.pipes[index].failing.is_none() {
            let (name, error) = (NAMES[index], io::Error::from(error));
            out.notice(&format!("{name}: read failed: {error} (trying again; nothing is lost)"));
        }
        self.pipes[index].failing = Some((Instant::now() + pause, pause));
    }

    /// Reads once, `most` bytes at most.
    fn take(&mut self, index: usize, most: usize) -> Result<usize, Errno> {
        let Pipe { end: Some(end), stream, failing } = &mut self.pipes[index] else { return Ok(0) };
        let space = stream.space();
        let most = space.len().min(most);
        let n = read(&*end, &mut space[..most])?;
        stream.filled(n);
        *failing = None;
        if let Some(lost) = &mut self.lost {
            *lost += n as u64;
        }
        Ok(n)
    }

    /// What lies in the pipe at this moment and no more, or a process that the program left behind would
    /// keep us here.
    fn drain(&mut self, index: usize, out: &mut Output) {
        let lying = self.pipes[index].end.as_ref().map_or(0, |end| ioctl_fionread(end).unwrap_or(0));
        let mut left = usize::try_from(lying).unwrap_or(usize::MAX);
        let mut attempts = 0;
        while left > 0 {
            match self.take(index, left) {
                Err(Errno::INTR) => {}
                Ok(0) | Err(Errno::AGAIN) => break,
                Ok(n) => left -= n,
                Err(_) if attempts < ATTEMPTS => {
                    attempts += 1;
                    thread::sleep(PAUSES.0);
                }
                Err(e) => {
                    let (name, error) = (NAMES[index], io::Error::from(e));
                    out.notice(&format!("{name}: read failed: {error} ({})", unstored(left as u64)));
                    self.unread = true;
                    break;
                }
            }
            self.flush(index, Upto::LastLine, out);
        }
        self.pipes[index].end = None;
        self.flush(index, Upto::End, out);
    }

    fn flush(&mut self, index: usize, upto: Upto, out: &mut Output) {
        if let Err(failure) = self.pipes[index].stream.flush(upto, &mut self.store, out) {
            self.give_up(&failure, out);
            // What is not stored is copied, if that was asked for; nothing of this fails.
            let _ = self.pipes[index].stream.flush(upto, &mut self.store, out);
        }
        if let Some(failure) = self.pipes[index].stream.broken() {
            self.without_copies(index, &failure, out);
        }
    }

    /// `--tee-ends`: the program is to meet what it would without us.
    fn without_copies(&mut self, index: usize, failure: &Failure, out: &mut Output) {
        let to = [Standard::Output, Standard::Error][index];
        if self.pipes[index].end.is_some() {
            out.notice(&format!("{}; {} is closed, too (--tee-ends)", why(to, failure), NAMES[index]));
        }
        self.pipes[index].stream.copy_no_more();
        self.drain(index, out);
    }

    /// From now on output is read and not stored.
    fn give_up(&mut self, failure: &Failure, out: &mut Output) {
        let held: usize = self.pipes.iter().map(|pipe| pipe.stream.held()).sum();
        self.lost = Some(held as u64);
        self.store.give_up();
        if let Failure::Said { text, .. } = failure {
            out.notice(&format!("{text} (nothing more of the program's output is stored)"));
        }
    }

    fn close(self, out: &mut Output) -> Result<(), NotAll> {
        let path = shown(self.store.path());
        let closed = self.store.close(out);
        match (self.lost, closed) {
            (None, Ok(Exit::Done)) if !self.unread => Ok(()),
            // What was dropped or could not be read is said.
            (None, Ok(_)) => Err(NotAll),
            // The first reason is the one to act on, also when closing failed too. All was appended; what is missing (a sync
            // that did not come to an end) was said.
            (Some(0), _) => Err(NotAll),
            (Some(bytes), _) => {
                let (lost, verb) = (units::counted(bytes, "byte"), units::agree(bytes, "was", "were"));
                out.notice(&format!("{path}: {lost} of the program's output {verb} not stored"));
                Err(NotAll)
            }
            (None, Err(failure)) => {
                out.report(&failure);
                Err(NotAll)
            }
        }
    }
}
