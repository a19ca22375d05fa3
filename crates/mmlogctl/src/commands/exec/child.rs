//! The program: started, sent the signals that come for it, waited for.
//!
//! A thread of its own does the last two, since whoever stores may be asleep: in a full disk, in a `--tee`
//! that nobody reads. Only this thread waits for children, so that no signal goes to a pid that is another
//! process's by now. As the first process of a container we also inherit children, which it waits for too.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::fcntl_setpipe_size;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, kill_process, pidfd_open, wait};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level;
use signal_hook::low_level::siginfo::{Cause, Origin};

use crate::exit::{Exit, NotRun, limited, printable};
use crate::output;
use crate::signals::{self, AT_LAST, Raise, not_ignored};
use crate::storing::buffer::BUFFER;

/// Sent on.
const FORWARDED: [i32; 7] = [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH];

/// Whoever sends one of these wants an end, and will not wait for somebody to free space.
const ENDING: [i32; 3] = [SIGTERM, SIGINT, SIGQUIT];

/// A terminal sends these to all of its foreground, which is the program too.
const OF_A_TERMINAL: [i32; 3] = [SIGINT, SIGQUIT, SIGWINCH];

/// The program while it runs, and how it ended.
pub(super) struct Child {
    /// The ends to read of its standard output and standard error.
    pub(super) pipes: [Option<OwnedFd>; 2],
    ended: UnixStream,
    status: Arc<OnceLock<WaitStatus>>,
}

impl Child {
    /// Starts it; `raise` is for the signals that want an end.
    pub(super) fn start(command: &[OsString], mut raise: Raise) -> Result<Self, (NotRun, String)> {
        let [program, arguments @ ..] = command else {
            return Err((NotRun::Failed, "no program; name one behind `--`".to_owned()));
        };
        let ours = |e: io::Error| (NotRun::Failed, format!("cannot start a program: {}", limited(&e)));
        let (read, write) = UnixStream::pair().map_err(ours)?;
        // Caught before there is a program: what comes in between is sent on later. CHLD also where it was
        // ignored, or the kernel would forget how the program ended.
        let signals = [not_ignored(&FORWARDED), vec![SIGCHLD]].concat();
        let caught = SignalDelivery::with_pipe(read, write, WithOrigin::default(), signals).map_err(ours)?;
        if raise.take_over() {
            return Err((NotRun::Failed, format!("{}: not started: a signal came before", name_of(program))));
        }
        let (ended, ended_here) = UnixStream::pair().map_err(ours)?;
        let status = Arc::new(OnceLock::new());
        let (started, pid) = mpsc::channel();
        let its_status = Arc::clone(&status);
        // Before there is a program, too: afterwards nothing may fail.
        let keeper = thread::Builder::new().spawn(move || {
            if let Ok(pid) = pid.recv() {
                Keeper::new(pid, caught, raise, its_status, ended_here).run();
            }
        });
        keeper.map_err(ours)?;

        let mut command = Command::new(program);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = signals::as_called(|| command.spawn()).map_err(|e| not_run(program, &e))?;
        let pipes = [child.stdout.take().map(OwnedFd::from), child.stderr.take().map(OwnedFd::from)];
        for pipe in pipes.iter().flatten() {
            // More than this user may have: the default will do.
            let _ = fcntl_setpipe_size(pipe, BUFFER);
        }
        // The keeper waits for it, and for nothing else.
        let _ = started.send(Pid::from_child(&child));
        Ok(Self { pipes, ended, status })
    }

    /// Its exit code, or 128 and the signal that ended it.
    pub(super) fn code(&self) -> u8 {
        self.status.get().map_or(u8::MAX, code_of)
    }
}

fn code_of(status: &WaitStatus) -> u8 {
    let signal = status.terminating_signal().map(|signal| 128 + signal);
    let code = status.exit_status().or(signal);
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

impl AsFd for Child {
    /// Readable once it has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }
}

fn name_of(program: &OsString) -> String {
    printable(&program.to_string_lossy())
}

fn not_run(program: &OsString, error: &io::Error) -> (NotRun, String) {
    let name = name_of(program);
    let (not_run, next) = match Errno::from_io_error(error) {
        Some(Errno::NOENT) => {
            (NotRun::Missing, "look at its name, at PATH and at the first line of a script")
        }
        Some(Errno::NOEXEC) => (NotRun::Refused, "a script begins with #! and the path of its interpreter"),
        Some(Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE) => {
            (NotRun::Failed, "raise the limit (`ulimit -a`)")
        }
        _ => (NotRun::Refused, "name a program that may be executed"),
    };
    (not_run, format!("{name}: cannot be run: {error}; {next}"))
}

/// The thread beside the program.
struct Keeper {
    /// `None` once it has been waited for.
    program: Option<Pid>,
    /// Beside SIGCHLD, which the caller may have blocked; before Linux 5.3 there is none.
    process: Option<OwnedFd>,
    caught: SignalDelivery<UnixStream, WithOrigin>,
    raise: Raise,
    status: Arc<OnceLock<WaitStatus>>,
    /// Closed when the program has ended.
    ended: Option<UnixStream>,
    /// Since when it has ended and an end is wanted.
    over: Option<Instant>,
}

impl Keeper {
    fn new(
        pid: Pid,
        caught: SignalDelivery<UnixStream, WithOrigin>,
        raise: Raise,
        status: Arc<OnceLock<WaitStatus>>,
        ended: UnixStream,
    ) -> Self {
        let process = pidfd_open(pid, PidfdFlags::empty()).ok();
        Self { program: Some(pid), process, caught, raise, status, ended: Some(ended), over: None }
    }

    /// To the end of the process: also what comes after the program's end may want an end.
    fn run(mut self) {
        loop {
            let came: Vec<Origin> = self.caught.pending().collect();
            self.reap();
            for origin in came {
                self.hear(&origin);
            }
            if self.time_left().is_some_and(|left| left.is_zero()) {
                self.end();
            }
            self.sleep();
        }
    }

    /// Waits for all children that have ended.
    fn reap(&mut self) {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if Some(pid) == self.program => {
                    let _ = self.status.set(status);
                    (self.program, self.process, self.ended) = (None, None, None);
                }
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) | Err(_) => return,
            }
        }
    }

    fn hear(&mut self, origin: &Origin) {
        let has_it = origin.cause == Cause::Kernel && OF_A_TERMINAL.contains(&origin.signal);
        if FORWARDED.contains(&origin.signal) && !has_it {
            self.forward(origin.signal);
        }
        if ENDING.contains(&origin.signal) {
            self.raise.raise();
        }
    }

    fn forward(&self, signal: i32) {
        if let (Some(program), Some(signal)) = (self.program, Signal::from_named_raw(signal)) {
            // Refused to us where the program has become another user's; who sent it can send it there.
            let _ = kill_process(program, signal);
        }
    }

    /// How long whoever stores may take to end still, once the program has ended and an end is wanted.
    fn time_left(&mut self) -> Option<Duration> {
        if self.program.is_some() || !self.raise.raised() {
            return None;
        }
        Some(AT_LAST.saturating_sub(self.over.get_or_insert_with(Instant::now).elapsed()))
    }

    /// With the program's code, unless that says that all is well.
    fn end(&self) -> ! {
        output::last_words(
            "ended by a signal in the middle of a step, which does not come back; the last of the program's output may not be stored",
        );
        let code = self.status.get().map_or(u8::MAX, code_of);
        low_level::exit(i32::from(if code == 0 { Exit::Failed.code() } else { code }))
    }

    /// Until there is something to hear or to wait for.
    fn sleep(&mut self) {
        let left = self.time_left().and_then(|left| Timespec::try_from(left).ok());
        let caught = self.caught.get_read();
        let mut ready = vec![PollFd::new(caught, PollFlags::IN)];
        ready.extend(self.process.iter().map(|process| PollFd::new(process, PollFlags::IN)));
        // An error is a signal that came: look again.
        let _ = poll(&mut ready, left.as_ref());
    }
}
