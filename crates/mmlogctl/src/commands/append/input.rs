//! Standard input: waiting, reading, and what still lies in it.

use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat, major, minor, tell};
use rustix::io::{Errno, ioctl_fionread, read};
use rustix::pipe::fcntl_setpipe_size;

use crate::exit::{Exit, Failure};
use crate::signals::Signals;
use crate::storing::AT_ONCE;
use crate::storing::buffer::BUFFER;

#[derive(Debug)]
pub(super) struct Input {
    kind: Kind,
}

#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Kind {
    /// Has an end already, and nothing in flight that could be lost.
    File,
    /// Pipe, socket, device: somebody else writes to it.
    Stream,
    /// Whoever writes to it has sent the signal.
    Terminal,
}

/// What came of waiting for input.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Read {
    Bytes(usize),
    End,
    TimeUp,
    Signal,
    /// The descriptor of somebody who wants to be heard is readable.
    Trouble,
    /// Nobody reads the copies.
    NoReader,
}

/// What else ends the wait for input.
pub(super) struct Others<'a> {
    pub(super) signals: Option<&'a Signals>,
    pub(super) trouble: Option<BorrowedFd<'a>>,
    pub(super) copies: Option<BorrowedFd<'a>>,
}

impl Input {
    /// Standard input; a pipe gets as big as one buffer, if the system lets us.
    pub(super) fn stdin() -> Self {
        let kind = match fstat(fd()) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => Kind::File,
            Ok(_) | Err(_) if io::stdin().is_terminal() => Kind::Terminal,
            Ok(_) | Err(_) => Kind::Stream,
        };
        // Not a pipe, or more than this user may have: the default will do.
        let _ = fcntl_setpipe_size(fd(), BUFFER);
        Self { kind }
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.kind == Kind::Terminal
    }

    /// Whether another process may have something to say yet.
    pub(super) fn has_producer(&self) -> bool {
        self.kind == Kind::Stream
    }

    /// Whether somebody has it open for writing.
    pub(super) fn is_open(&self) -> bool {
        let mut ready = [PollFd::from_borrowed_fd(fd(), PollFlags::IN)];
        let nothing = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut ready, Some(&nothing)).is_ok() && !ready[0].revents().contains(PollFlags::HUP)
    }

    /// Whether it was closed, perhaps: the Rust runtime then opens /dev/null for reading and writing, as daemons and other
    /// languages do, and shells do not.
    pub(super) fn is_nothing(&self) -> bool {
        const NULL: (u32, u32) = (1, 3);
        let is_null = fstat(fd()).is_ok_and(|stat| {
            FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
                && (major(stat.st_rdev), minor(stat.st_rdev)) == NULL
        });
        is_null && fcntl_getfl(fd()).is_ok_and(|flags| flags.contains(OFlags::RDWR))
    }

    pub(super) fn is_file(&self) -> bool {
        self.kind == Kind::File
    }

    /// Reads what is there, or waits for it, for the deadline or for one of the others.
    pub(super) fn read<'a>(
        &self,
        space: &mut [u8],
        deadline: Option<Instant>,
        others: &Others<'a>,
    ) -> Result<Read, Failure> {
        loop {
            let signal = others.signals.map(AsFd::as_fd);
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            // Standard input stands in for what is not there. A pipe that nobody reads is an error, whatever is asked.
            let watched =
                |other: Option<BorrowedFd<'a>>, flags| PollFd::from_borrowed_fd(other.unwrap_or(fd()), flags);
            let mut ready = [
                watched(None, PollFlags::IN),
                watched(signal, PollFlags::IN),
                watched(others.trouble, PollFlags::IN),
                watched(others.copies, PollFlags::empty()),
            ];
            match poll(&mut ready, left.and_then(timespec).as_ref()) {
                Ok(0) => return Ok(Read::TimeUp),
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(e) => return Err(broken(e)),
            }
            if signal.is_some() && !ready[1].revents().is_empty() {
                return Ok(Read::Signal);
            }
            if others.trouble.is_some() && !ready[2].revents().is_empty() {
                return Ok(Read::Trouble);
            }
            if others.copies.is_some() && ready[3].revents().contains(PollFlags::ERR) {
                return Ok(Read::NoReader);
            }
            let most = space.len().min(AT_ONCE);
            match read(fd(), &mut space[..most]) {
                Ok(0) => return Ok(Read::End),
                Ok(n) => return Ok(Read::Bytes(n)),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(e) => return Err(broken(e)),
            }
        }
    }

    /// Reads what is there without waiting; 0 is nothing.
    pub(super) fn read_now(&self, space: &mut [u8]) -> Result<usize, Failure> {
        let mut ready = [PollFd::from_borrowed_fd(fd(), PollFlags::IN)];
        let nothing = Timespec { tv_sec: 0, tv_nsec: 0 };
        match poll(&mut ready, Some(&nothing)) {
            Ok(0) => return Ok(0),
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(broken(e)),
        }
        match read(fd(), space) {
            Ok(n) => Ok(n),
            Err(Errno::INTR | Errno::AGAIN) => Ok(0),
            Err(e) => Err(broken(e)),
        }
    }

    /// How many bytes can be read without waiting.
    pub(super) fn lying(&self) -> u64 {
        match self.kind {
            Kind::Stream | Kind::Terminal => waiting(),
            // Of a file this counts more than 2 GiB, too.
            Kind::File => match (fstat(fd()), tell(fd())) {
                (Ok(stat), Ok(at)) => u64::try_from(stat.st_size).unwrap_or(0).saturating_sub(at),
                _ => waiting(),
            },
        }
    }

    /// How much to read after a signal: what a producer has handed over and would lose. A file
    /// loses nothing.
    pub(super) fn drainable(&self) -> usize {
        match self.kind {
            Kind::Stream | Kind::Terminal => usize::try_from(self.lying()).unwrap_or(usize::MAX),
            Kind::File => 0,
        }
    }
}

fn fd() -> BorrowedFd<'static> {
    rustix::stdio::stdin()
}

fn timespec(duration: Duration) -> Option<Timespec> {
    duration.try_into().ok()
}

fn broken(e: Errno) -> Failure {
    Failure::new(Exit::Failed, format!("standard input: read failed: {}", io::Error::from(e)))
}

/// What the kernel has ready on standard input, bytes.
fn waiting() -> u64 {
    ioctl_fionread(fd()).unwrap_or(0)
}
