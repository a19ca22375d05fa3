//! The one door to standard output and standard error.
//!
//! - Standard output is written with write(2), unbuffered: whoever has much to say collects it
//!   and hands it over whole. A closed pipe is [`Failure::OutputClosed`], a quiet success.
//! - Standard error carries notices, one line each, and at most one progress line, which is
//!   cleared before anything else is printed.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use rustix::net::sockopt::{socket_domain, socket_type};
use rustix::net::{AddressFamily, SocketType};

use crate::exit::{Exit, Failure, is_unsafe, printable};
use crate::signals::Signals;
use crate::text::for_terminal;

/// One of the two streams.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Standard {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

impl fmt::Display for Standard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Output => "standard output",
            Self::Error => "standard error",
        })
    }
}

impl Standard {
    /// Its descriptor. What was closed when the process began is /dev/null by now, which takes everything.
    fn open(self) -> Result<BorrowedFd<'static>, Failure> {
        let (number, fd) = match self {
            Self::Output => (1, rustix::stdio::stdout()),
            Self::Error => (2, rustix::stdio::stderr()),
        };
        match rawio::streams::was_closed(number) {
            true => {
                Err(Failure::new(Exit::Failed, format!("{self} is closed; open it, or send it to /dev/null")))
            }
            false => Ok(fd),
        }
    }
}

impl AsFd for Standard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Output => rustix::stdio::stdout(),
            Self::Error => rustix::stdio::stderr(),
        }
    }
}

/// A notice from where nobody has the [`Output`]: from within a wait of the library. Only for a terminal, whose progress
/// line it takes the place of.
pub fn aside(text: &str) {
    let text = printable(text);
    let _ = io::stderr().write_all(format!("\r\x1b[Kmmlogctl: {}\n", for_terminal(&text)).as_bytes());
}

/// What is left to be said when the rest of the process may not come back: where standard error does not take it, nothing.
pub fn last_words(text: &str) {
    let stderr = rustix::stdio::stderr();
    let mut ready = [PollFd::from_borrowed_fd(stderr, PollFlags::OUT)];
    if poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|n| n > 0) {
        let line = format!("mmlogctl: {}\n", printable(text));
        let line = match stderr.is_terminal() {
            true => format!("\r\x1b[K{}", for_terminal(&line)),
            false => line,
        };
        let _ = rustix::io::write(stderr, line.as_bytes());
    }
}

/// What standard output leads to.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Channel {
    /// A file or a terminal: what is written has arrived.
    None,
    /// A pipe.
    Pipe,
    /// A socket of this machine, which tells what its reader has not taken.
    Socket,
    /// Another socket. What the other machine has acknowledged dies with a reader that has not taken it.
    Elsewhere,
}

/// Standard output and standard error of a command.
#[derive(Debug)]
pub struct Output {
    sink: Sink,
    progress: Progress,
}

#[derive(Debug)]
enum Sink {
    Standard,
    #[cfg(test)]
    Memory {
        stdout: Vec<u8>,
        stderr: Vec<u8>,
    },
}

#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Progress {
    Hidden,
    Showing,
}

impl Output {
    /// The process's own streams.
    #[must_use]
    pub const fn standard() -> Self {
        Self { sink: Sink::Standard, progress: Progress::Hidden }
    }

    /// Collects instead of printing, for unit tests.
    #[cfg(test)]
    pub(crate) const fn memory() -> Self {
        Self { sink: Sink::Memory { stdout: Vec::new(), stderr: Vec::new() }, progress: Progress::Hidden }
    }

    /// What a memory output was given: (stdout, stderr).
    #[cfg(test)]
    pub(crate) fn taken(&self) -> (&[u8], &[u8]) {
        match &self.sink {
            Sink::Memory { stdout, stderr } => (stdout, stderr),
            Sink::Standard => (b"", b""),
        }
    }

    /// Writes all of `bytes` to standard output now.
    ///
    /// # Errors
    /// [`Failure::OutputClosed`] when nobody reads any more.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.write_counted(bytes, &AtomicU64::new(0))
    }

    /// As [`Output::write`]; counts the bytes as they are written, for whoever looks meanwhile.
    ///
    /// # Errors
    /// As [`Output::write`].
    pub fn write_counted(&mut self, bytes: &[u8], count: &AtomicU64) -> Result<(), Failure> {
        match &mut self.sink {
            Sink::Standard => Standard::Output.open().and_then(|fd| {
                let wrote = |written| {
                    count.fetch_add(written as u64, Ordering::Release);
                };
                write_all(fd, bytes, wrote).map_err(|e| Failure::of_stream(Standard::Output, &e.into()))
            }),
            #[cfg(test)]
            Sink::Memory { stdout, .. } => {
                stdout.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// Writes `bytes` to one of the streams, but after a signal only what its reader takes before
    /// [`Signals::grace_ends`]: a reader that has stopped reading must not keep us from ending. `waits` is told where it has to
    /// be waited for, and that it is over then.
    ///
    /// # Errors
    /// As [`Output::write`]; also when a signal cut it short.
    pub fn write_unless(
        &mut self,
        to: Standard,
        signals: &Signals,
        bytes: &[u8],
        waits: impl Fn(bool),
    ) -> Result<(), Failure> {
        match &self.sink {
            Sink::Standard => {
                let mut told = false;
                let written = write_unless(to, signals, bytes, || {
                    told = true;
                    waits(true);
                });
                if told {
                    waits(false);
                }
                written
            }
            #[cfg(test)]
            Sink::Memory { .. } => self.write(bytes),
        }
    }

    /// Writes text to standard output: all that a command says itself. Of a log's bytes there is [`Output::write`].
    ///
    /// # Errors
    /// As [`Output::write`].
    pub fn text(&mut self, text: &str) -> Result<(), Failure> {
        let text = if self.is_terminal() { for_terminal(text) } else { text.into() };
        self.write(text.as_bytes())
    }

    /// Writes `text` and a newline to standard output.
    ///
    /// # Errors
    /// As [`Output::write`].
    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        let mut line = String::with_capacity(text.len() + 1);
        line.push_str(text);
        line.push('\n');
        self.text(&line)
    }

    /// Whether standard output is a terminal (control bytes of a log must not reach one).
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self.sink, Sink::Standard) && io::stdout().is_terminal()
    }

    /// How wide the terminal is that standard output goes to; `None` where it goes elsewhere.
    #[must_use]
    pub fn columns(&self) -> Option<usize> {
        let size = || rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok();
        self.is_terminal().then(|| size().map_or(80, |size| usize::from(size.ws_col)).max(40))
    }

    /// Whether standard error is a terminal (progress may be shown).
    #[must_use]
    pub fn error_is_terminal(&self) -> bool {
        matches!(self.sink, Sink::Standard) && io::stderr().is_terminal()
    }

    /// Whether standard error leads to where standard output does: one terminal, pipe or file.
    #[must_use]
    pub fn is_one_stream(&self) -> bool {
        let leads_to = |fd| fstat(fd).map(|stat| (stat.st_dev, stat.st_ino));
        let (stdout, stderr) = (leads_to(rustix::stdio::stdout()), leads_to(rustix::stdio::stderr()));
        matches!(self.sink, Sink::Standard) && stdout.is_ok() && stdout == stderr
    }

    /// What standard output leads to, as far as it matters when that has arrived which is written there.
    #[must_use]
    pub fn channel(&self) -> Channel {
        let stdout = self.as_fd();
        match fstat(stdout).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            Ok(FileType::Fifo) => Channel::Pipe,
            Ok(FileType::Socket) => match (socket_domain(stdout), socket_type(stdout)) {
                (Ok(AddressFamily::UNIX), Ok(SocketType::STREAM | SocketType::SEQPACKET)) => Channel::Socket,
                _ => Channel::Elsewhere,
            },
            _ => Channel::None,
        }
    }

    /// Bytes that the pipe or socket at standard output still holds, of a socket perhaps too many; nothing where it is none.
    #[must_use]
    pub fn unread(&self) -> Option<u64> {
        match self.channel() {
            Channel::Pipe => rustix::io::ioctl_fionread(self.as_fd()).ok(),
            Channel::Socket => rawio::streams::not_taken(self.as_fd()).ok(),
            Channel::None | Channel::Elsewhere => None,
        }
    }

    /// Whether the reader of standard output has gone away, asked without writing or waiting.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        if !matches!(self.sink, Sink::Standard) {
            return false;
        }
        let stdout = io::stdout();
        let mut wait = [PollFd::new(&stdout, PollFlags::empty())];
        let gone = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
        match poll(&mut wait, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Ok(_) => wait[0].revents().intersects(gone),
            Err(_) => false,
        }
    }

    /// One line on standard error, `mmlogctl: TEXT`. A broken standard error is ignored:
    /// the work matters more than talking about it.
    pub fn notice(&mut self, text: &str) {
        self.clear_progress();
        self.stderr(&format!("mmlogctl: {}\n", printable(text)));
    }

    /// The one line of a failure; nothing for a closed pipe.
    pub fn report(&mut self, failure: &Failure) {
        if let Failure::Said { text, .. } = failure {
            self.notice(text);
        }
    }

    /// Replaces the progress line on standard error; only for a terminal.
    pub fn progress(&mut self, text: &str) {
        self.stderr(&format!("\r\x1b[K{}", printable(text)));
        self.progress = Progress::Showing;
    }

    /// Removes the progress line, if there is one.
    pub fn clear_progress(&mut self) {
        if self.progress == Progress::Showing {
            self.progress = Progress::Hidden;
            self.stderr("\r\x1b[K");
        }
    }

    fn stderr(&mut self, text: &str) {
        let text = if self.error_is_terminal() { for_terminal(text) } else { text.into() };
        match &mut self.sink {
            Sink::Standard => {
                let _ = io::stderr().lock().write_all(text.as_bytes());
            }
            #[cfg(test)]
            Sink::Memory { stderr, .. } => stderr.extend_from_slice(text.as_bytes()),
        }
    }
}

impl AsFd for Output {
    /// Standard output's descriptor, to poll it beside others (POLLERR: the reader is gone).
    fn as_fd(&self) -> BorrowedFd<'_> {
        rustix::stdio::stdout()
    }
}

/// write(2) until all is written; a descriptor that somebody made non-blocking is waited for.
fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8], mut wrote: impl FnMut(usize)) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(written) => {
                wrote(written);
                bytes = &bytes[written..];
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                poll(&mut [PollFd::new(&fd, PollFlags::OUT)], None)?;
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// `waits` is called once, where the reader has to be waited for.
fn write_unless(to: Standard, signals: &Signals, bytes: &[u8], waits: impl FnOnce()) -> Result<(), Failure> {
    let failed = |e: Errno| Failure::of_stream(to, &e.into());
    let fd = to.open()?;
    let regular = fstat(fd).is_ok_and(|s| FileType::from_raw_mode(s.st_mode) == FileType::RegularFile);
    if regular {
        return write_all(fd, bytes, drop).map_err(failed);
    }
    let signal = signals.as_fd();
    let mut waits = Some(waits);
    // A pipe that polls writable takes PIPE_BUF bytes without waiting.
    for piece in bytes.chunks(rustix::pipe::PIPE_BUF) {
        loop {
            let mut ready = [PollFd::new(&fd, PollFlags::OUT), PollFd::new(&signal, PollFlags::IN)];
            let left = signals.grace_ends().map(|at| at.saturating_duration_since(Instant::now()));
            // A signal that has been heard is not polled for again.
            let watched = if left.is_some() { &mut ready[..1] } else { &mut ready[..] };
            let left = if waits.is_some() { Some(Duration::ZERO) } else { left };
            match poll(watched, left.and_then(|left| left.try_into().ok()).as_ref()) {
                Ok(0) => match waits.take() {
                    Some(waits) => waits(),
                    None => {
                        let text = format!("{to}: nobody reads it, and a signal came");
                        return Err(Failure::new(Exit::Failed, text));
                    }
                },
                Ok(_) if !ready[0].revents().is_empty() => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(failed(e)),
            }
        }
        write_all(fd, piece, drop).map_err(failed)?;
    }
    Ok(())
}

/// JSON in which nothing [unsafe](is_unsafe) stands as it is, as serde_json leaves that from DEL on: it may be shown on
/// a terminal.
pub fn json_line(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for character in json.chars() {
        if is_unsafe(character) {
            let _ = write!(safe, "\\u{:04x}", u32::from(character));
        } else {
            safe.push(character);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_clears_the_progress_line_first() {
        let mut out = Output::memory();
        out.progress("1 MiB");
        out.notice("LOG: no space");
        assert_eq!(out.taken().1, b"\r\x1b[K1 MiB\r\x1b[Kmmlogctl: LOG: no space\n");
    }

    #[test]
    fn a_notice_is_one_line() {
        let mut out = Output::memory();
        out.notice("a\nb");
        assert_eq!(out.taken().1, b"mmlogctl: a\\nb\n");
    }
}
