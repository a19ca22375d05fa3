//! The program's two pipes, into the store, until the program has ended.
//!
//! Whatever becomes of the store, the pipes are read: the program must neither wait for ever nor die of
//! SIGPIPE because of us.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, ioctl_fionread, read};

use super::ExecArgs;
use super::child::Child;
use crate::exit::{Exit, Failure, shown};
use crate::output::Output;
use crate::storing::buffer::Upto;
use crate::storing::store::Store;
use crate::storing::{AT_ONCE, Stream};

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
}

struct Pipe {
    /// `None` at its end.
    end: Option<OwnedFd>,
    stream: Stream,
}

/// What there is to look at.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Source {
    Pipe(usize),
    /// A sync in the background.
    Trouble,
    /// The program; when it has ended, signals.
    End,
}

impl<'a> Pump<'a> {
    pub(super) fn new(store: Store<'a>, child: &'a mut Child, streams: [Stream; 2], args: &ExecArgs) -> Self {
        let ([output, error], [of_output, of_error]) = (std::mem::take(&mut child.pipes), streams);
        let pipes = [Pipe { end: output, stream: of_output }, Pipe { end: error, stream: of_error }];
        let (linger, until_closed) = (args.storing.linger, args.until_closed);
        Self { store, pipes, child, ended: false, until_closed, linger, deadline: None, lost: None }
    }

    /// Reads and stores to the end, and leaves the log.
    pub(super) fn run(mut self, out: &mut Output) -> Result<(), NotAll> {
        while !self.is_over() {
            for source in self.wait() {
                match source {
                    Source::Pipe(index) => self.read(index, out),
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
        let pipe = |index: usize| self.pipes[index].end.as_ref().map(AsFd::as_fd);
        let end = if self.ended { self.store.signals().as_fd() } else { self.child.as_fd() };
        let trouble = if self.lost.is_none() { self.store.trouble() } else { None };
        let all = [
            (Source::Pipe(0), pipe(0)),
            (Source::Pipe(1), pipe(1)),
            (Source::Trouble, trouble),
            (Source::End, Some(end)),
        ];
        let there = all.into_iter().filter_map(|(source, fd)| Some((source, fd?)));
        let (sources, mut fds): (Vec<Source>, Vec<PollFd<'_>>) =
            there.map(|(source, fd)| (source, PollFd::from_borrowed_fd(fd, PollFlags::IN))).unzip();
        let next = self.deadline.into_iter().chain(self.store.due()).min();
        let left = next.map(|at| at.saturating_duration_since(Instant::now()));
        if poll(&mut fds, left.and_then(|left| left.try_into().ok()).as_ref()).is_err() {
            return Vec::new();
        }
        let ready = sources.into_iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty());
        ready.map(|(source, _)| source).collect()
    }

    fn read(&mut self, index: usize, out: &mut Output) {
        match self.take(index, AT_ONCE) {
            Err(Errno::INTR | Errno::AGAIN) => {}
            // A pipe that is open for reading fails in no other way.
            Ok(0) | Err(_) => {
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

    /// Reads once, `most` bytes at most.
    fn take(&mut self, index: usize, most: usize) -> Result<usize, Errno> {
        let Pipe { end: Some(end), stream } = &mut self.pipes[index] else { return Ok(0) };
        let space = stream.space();
        let most = space.len().min(most);
        let n = read(&*end, &mut space[..most])?;
        stream.filled(n);
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
        while left > 0 {
            match self.take(index, left) {
                Err(Errno::INTR) => {}
                Ok(0) | Err(_) => break,
                Ok(n) => left -= n,
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
            (None, Ok(Exit::Done)) => Ok(()),
            // What was dropped is said.
            (None, Ok(_)) => Err(NotAll),
            // The first reason is the one to act on, also when closing failed too.
            (Some(bytes), _) => {
                out.notice(&format!("{path}: {bytes} bytes of the program's output were not stored"));
                Err(NotAll)
            }
            (None, Err(failure)) => {
                out.report(&failure);
                Err(NotAll)
            }
        }
    }
}
