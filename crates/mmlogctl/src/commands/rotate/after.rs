//! `--run`: what is done with each segment once it is final, the oldest first, until it ended with 0.

use std::ffi::OsStr;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf, absolute};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use mmlog::{Due, Fault, HookTurn, Log, Rotated};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::exit::{Exit, Failure, limited, printable, shown};
use crate::output::Output;
use crate::signals::{self, Signals};

/// How long a command has to end after a signal, of which it is told.
const GRACE: Duration = Duration::from_secs(5);

/// How often a command is asked for where the kernel has no descriptors of processes.
const LOOK: Duration = Duration::from_millis(20);

/// The command, and the log that it is about.
pub(crate) struct Hook<'a> {
    pub(crate) command: &'a OsStr,
    pub(crate) log: &'a Path,
}

impl Hook<'_> {
    /// Runs the command for every segment that waits for it, those that others make final meanwhile included. The first
    /// that fails ends it: order is kept. What is gone is said at once.
    ///
    /// # Errors
    /// When it fails, or when somebody sends a signal.
    pub(crate) fn run_all(&self, turn: &mut HookTurn, out: &mut Output) -> Result<Exit, Failure> {
        let signals =
            Signals::catch().map_err(|e| self.failed(&format!("cannot catch signals: {}", limited(&e))))?;
        signals::grant(GRACE);
        let mut exit = Exit::Done;
        while let Some(due) = turn.due()? {
            if signals.raised() {
                return Err(self
                    .failed("was not run for all that wait: told to stop; the next `rotate --run` goes on"));
            }
            match due {
                Due::Segment(segment) => {
                    self.run(&segment, turn, &signals)?;
                    turn.done(segment.generation);
                }
                Due::Gone(generations) => {
                    let gone = self.gone(&generations);
                    out.report(&gone);
                    exit = gone.exit();
                }
                _ => break,
            }
        }
        Ok(exit)
    }

    /// They are not waited for any more.
    fn gone(&self, generations: &Range<u64>) -> Failure {
        let which = match generations.end - generations.start {
            1 => format!("segment {} is", generations.start),
            _ => format!("segments {} to {} are", generations.start, generations.end - 1),
        };
        self.failed(&format!("{which} gone, and was not yet run for; nobody can catch that up"))
    }

    fn failed(&self, problem: &str) -> Failure {
        let command = printable(&self.command.to_string_lossy());
        Failure::new(Exit::Failed, format!("{}: --run `{command}` {problem}", shown(self.log)))
    }

    fn run(&self, segment: &Rotated, turn: &HookTurn, signals: &Signals) -> Result<(), Failure> {
        let ended = match self.start(segment, turn) {
            Ok(child) => wait(child, signals),
            Err(e) => Err(e),
        };
        let problem = match ended {
            Ok(status) if status.success() && !signals.raised() => return Ok(()),
            Ok(status) => ended_how(status),
            Err(e) => format!("cannot be run: {e}"),
        };
        let path = shown(&segment.path);
        Err(self.failed(&format!(
            "{problem}; {path} is final all the same, and the next `rotate --run` begins with it"
        )))
    }

    /// A process group of its own, so that all of it can be ended. It keeps the turn: also when this process is killed,
    /// no other runs for the same segment meanwhile.
    fn start(&self, segment: &Rotated, turn: &HookTurn) -> io::Result<Child> {
        // It may go to another directory.
        let whole = |path: &Path| absolute(path).unwrap_or_else(|_| PathBuf::from(path));
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(self.command).process_group(0);
        shell.env("MMLOG_SEGMENT", whole(&segment.path)).env("MMLOG_LOG", whole(self.log));
        let numbers = [
            ("MMLOG_GENERATION", segment.generation),
            ("MMLOG_BASE", segment.base),
            ("MMLOG_END", segment.end),
            ("MMLOG_BYTES", segment.bytes()),
        ];
        shell.envs(numbers.map(|(name, value)| (name, value.to_string())));
        fcntl_setfd(turn.as_fd(), FdFlags::empty())?;
        let started = signals::as_called(|| shell.spawn());
        fcntl_setfd(turn.as_fd(), FdFlags::CLOEXEC)?;
        started
    }
}

/// Waits for its turn, and runs the command for all that wait.
///
/// # Errors
/// As [`Hook::run_all`].
pub(crate) fn catch_up(
    hook: &Hook<'_>,
    log: &Log,
    turn: Option<HookTurn>,
    wait: Duration,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let taken = match turn {
        Some(turn) => Ok(turn),
        None if log.waiting_for_hook().is_empty() => return Ok(Exit::Done),
        None => log.hook_turn(wait),
    };
    let mut turn = match taken {
        Ok(turn) => turn,
        Err(e) => match e.fault() {
            Fault::Busy(who) => {
                let text = "and runs its command for what waits now, too; else the next `rotate --run` does";
                out.notice(&format!("{}: {who} {text}", shown(hook.log)));
                return Ok(Exit::Done);
            }
            _ => return Err(e.into()),
        },
    };
    hook.run_all(&mut turn, out)
}

/// Until it ends; after a signal it is told, too, and killed if it does not hear.
fn wait(mut child: Child, signals: &Signals) -> io::Result<ExitStatus> {
    let group = Pid::from_child(&child);
    let process = pidfd_open(group, PidfdFlags::empty()).ok();
    let (mut told, mut killed) = (None::<Instant>, false);
    loop {
        if let Some(status) = child.try_wait()? {
            if told.is_some() {
                // What it had started.
                let _ = kill_process_group(group, Signal::KILL);
            }
            return Ok(status);
        }
        if signals.raised() && told.is_none() {
            let _ = kill_process_group(group, Signal::TERM);
            told = Some(Instant::now());
        }
        if told.is_some_and(|told| told.elapsed() >= GRACE) && !killed {
            let _ = kill_process_group(group, Signal::KILL);
            killed = true;
        }
        let mut fds = Vec::new();
        fds.extend(process.as_ref().map(|process| PollFd::new(process, PollFlags::IN)));
        if told.is_none() {
            fds.push(PollFd::new(signals, PollFlags::IN));
        }
        let slice = (told.is_some() || process.is_none())
            .then_some(Timespec { tv_sec: 0, tv_nsec: LOOK.subsec_nanos().into() });
        match poll(&mut fds, slice.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

fn ended_how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => format!("ended with {status}"),
    }
}
