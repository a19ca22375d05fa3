//! The main thread while logs are followed: it watches for everything that ends the command.
//!
//! It sleeps in poll(2) until there is something: a signal, the end of a process (`--pid`), a reader
//! of standard output that went away, the end of the other threads. It writes the cursor-file, so
//! that no line waits for that.

use std::io::{self, PipeReader};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::acks::Acks;
use super::delivery::By;
use super::follow::follow_all;
use super::plan::Plan;
use super::shared::{Came, Shared, Task};
use crate::exit::{Exit, Failure, limited, shown};
use crate::output::Output;
use crate::signals::{AT_LAST, Signals};

/// Time between two looks at the place reached, for the cursor-file: while it moves, and while not.
const MOVING: Duration = Duration::from_millis(100);
const STANDING: Duration = Duration::from_millis(250);
/// The same while it moves, where each place is synced.
const SYNCED: Duration = Duration::from_secs(1);

/// How long the other threads, whose waits hear the signal too, may take to end, and then the reader of standard output
/// to take what the pipe holds. One that stands still takes for ever.
const GRACE: Duration = Duration::from_millis(AT_LAST.as_millis() as u64 * 3 / 8);
/// Time between two looks at the reader, at the end.
const LOOKS: Duration = Duration::from_millis(10);

/// Follows the logs until something ends it.
pub(super) fn run(plan: Plan, pids: &[i32], ack: Option<u32>, out: &mut Output) -> Result<Exit, Failure> {
    let failed = |operation: &'static str| move |e: io::Error| cannot(operation, &e);
    let signals = Signals::catch().map_err(failed("catch signals"))?;
    let mut processes = open_processes(pids)?;
    let (threads, ends_with_threads) = io::pipe().map_err(failed("make a pipe"))?;
    let shared = Arc::new(Shared::new(plan));
    if processes.is_empty() && !pids.is_empty() {
        shared.give(Task::Drain);
    }
    let mut saving = Saving::of(ack, &shared)?;
    let work = {
        let shared = Arc::clone(&shared);
        move || {
            let _ends_with_threads = ends_with_threads;
            follow_all(&shared);
        }
    };
    let worker = thread::Builder::new().spawn(work).map_err(failed("start a thread"))?;
    let ended = supervise(&shared, &signals, &mut processes, &threads, &mut saving, out)?;
    if ended == Threads::Ended
        && let Err(panic) = worker.join()
    {
        std::panic::resume_unwind(panic);
    }
    deliver(&shared, &signals, &mut saving, out)?;
    if saving.is_misled {
        return Ok(Exit::Failed);
    }
    let ended = shared.ended()?;
    Ok(saving.trouble.map_or(ended, |trouble| ended.max(trouble)))
}

/// Waits until the reader has taken everything, or has gone; not for long behind a signal.
fn deliver(shared: &Shared, signals: &Signals, saving: &mut Saving, out: &mut Output) -> Result<(), Failure> {
    let begun = Instant::now();
    let is_over = || signals.raised() && begun.elapsed() >= GRACE;
    while !(shared.is_delivered() || out.is_closed() || is_over() || saving.is_misled) {
        saving.save(shared, out);
        let signal = if signals.raised() { PollFlags::empty() } else { PollFlags::IN };
        let (stdout, signals) = (out.as_fd(), signals.as_fd());
        wait(&mut [PollFd::new(&stdout, PollFlags::empty()), PollFd::new(&signals, signal)], Some(LOOKS))?;
    }
    saving.save(shared, out);
    Ok(())
}

/// What is known of the other threads.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Threads {
    Ended,
    /// They do not come back from writing.
    Stuck,
}

fn supervise(
    shared: &Shared,
    signals: &Signals,
    processes: &mut Vec<OwnedFd>,
    threads: &PipeReader,
    saving: &mut Saving,
    out: &mut Output,
) -> Result<Threads, Failure> {
    loop {
        let pause = saving.save(shared, out);
        let event = match saving.is_misled {
            true => Event::ToEnd,
            false => look(out, signals, processes, threads, pause)?,
        };
        match event {
            Event::Nothing => {}
            Event::ThreadsEnded => return Ok(Threads::Ended),
            Event::ProcessEnded(index) => {
                processes.swap_remove(index);
                if processes.is_empty() {
                    shared.give(Task::Drain);
                }
            }
            Event::ToEnd => {
                shared.give(Task::End);
                let ended = wait(&mut [PollFd::new(threads, PollFlags::IN)], Some(GRACE))?;
                return Ok(if ended { Threads::Ended } else { Threads::Stuck });
            }
        }
    }
}

/// What the main thread wakes up for.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Event {
    Nothing,
    ThreadsEnded,
    /// The process of that index.
    ProcessEnded(usize),
    /// A signal, or nobody reads standard output any more.
    ToEnd,
}

fn look(
    out: &Output,
    signals: &Signals,
    processes: &[OwnedFd],
    threads: &PipeReader,
    pause: Option<Duration>,
) -> Result<Event, Failure> {
    let stdout = out.as_fd();
    let mut all = vec![
        PollFd::new(&stdout, PollFlags::empty()),
        PollFd::new(signals, PollFlags::IN),
        PollFd::new(threads, PollFlags::IN),
    ];
    all.extend(processes.iter().map(|process| PollFd::new(process, PollFlags::IN)));
    wait(&mut all, pause)?;
    let has = |index: usize| !all[index].revents().is_empty();
    Ok(if has(2) {
        Event::ThreadsEnded
    } else if has(0) || has(1) {
        Event::ToEnd
    } else if let Some(process) = (0..processes.len()).find(|index| has(index + 3)) {
        Event::ProcessEnded(process)
    } else {
        Event::Nothing
    })
}

/// poll(2); whether there is anything. A signal ends the wait early.
fn wait(descriptors: &mut [PollFd<'_>], limit: Option<Duration>) -> Result<bool, Failure> {
    let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
    match poll(descriptors, limit.as_ref()) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(e) => Err(cannot("wait for events", &e.into())),
    }
}

/// Opens those of the processes that have not ended.
fn open_processes(pids: &[i32]) -> Result<Vec<OwnedFd>, Failure> {
    let mut open = Vec::new();
    for pid in pids {
        match Pid::from_raw(*pid).map(|pid| pidfd_open(pid, PidfdFlags::empty())) {
            None | Some(Err(Errno::SRCH)) => {}
            Some(Ok(process)) => open.push(process),
            Some(Err(e)) => {
                let text = format!("--pid {pid}: cannot watch this process: {e}; name the pid of a process");
                return Err(Failure::new(Exit::Failed, text));
            }
        }
    }
    Ok(open)
}

fn cannot(operation: &str, error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("tail: cannot {operation}: {}", limited(error)))
}

/// Keeps the cursor-file current. What goes wrong is said once, and so is that it works again; the output goes on.
#[derive(Default)]
struct Saving {
    trouble: Option<Exit>,
    acks: Option<Acks>,
    /// It was no acknowledgement that came.
    is_misled: bool,
}

impl Saving {
    fn of(ack: Option<u32>, shared: &Shared) -> Result<Self, Failure> {
        let acks = ack.map(Acks::open).transpose()?;
        if acks.is_some() {
            shared.go_by(By::Acks);
        }
        Ok(Self { acks, ..Self::default() })
    }

    /// Takes the acknowledgements that are there; one that cannot be one ends everything.
    fn take_acks(&mut self, shared: &Shared, out: &mut Output) {
        let Some(acks) = &mut self.acks else { return };
        let taken = acks.read().and_then(|came| {
            let wrong = |position| {
                let text = format!(
                    "--ack: {position} is the end of no object that was printed, or smaller than before"
                );
                Failure::new(Exit::Failed, text)
            };
            shared.acknowledge(&came.positions).map_err(wrong).map(|()| came.is_closed)
        });
        match taken {
            Ok(false) => return,
            Ok(true) => {}
            Err(failure) => {
                out.report(&failure);
                self.is_misled = true;
                shared.give(Task::End);
            }
        }
        self.acks = None;
        shared.go_by(By::Nothing);
    }

    /// Saves the place; how long to wait before the next time.
    fn save(&mut self, shared: &Shared, out: &mut Output) -> Option<Duration> {
        shared.plan().cursor_file.as_ref()?;
        self.take_acks(shared, out);
        let moving = if shared.plan().hold.is_some() { SYNCED } else { MOVING };
        match shared.save_place(out) {
            Ok(Came::Further) => {
                if self.trouble.take().is_some() {
                    let file = shared.plan().cursor_file.as_ref();
                    let path = file.map(|file| shown(file.path())).unwrap_or_default();
                    out.notice(&format!("{path}: writing the cursor-file works again"));
                }
            }
            Ok(Came::Nowhere) => return Some(STANDING),
            Err(Failure::Said { text, exit }) => {
                if self.trouble.replace(exit).is_none() {
                    out.notice(&text);
                }
            }
            Err(Failure::OutputClosed) => {}
        }
        Some(moving)
    }
}
