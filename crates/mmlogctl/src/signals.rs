//! TERM, INT and HUP as something a command can look at and poll, instead of a sudden end.
//!
//! - The first one sets a flag, which the library's waits and long work hear too (`Options::stop`), and makes a
//!   descriptor readable; the command ends in its own time: [`AT_LAST`], and what it was [granted](grant).
//! - The second one ends the process at once, the way the system does without a handler; a second HUP does not, since a
//!   terminal that goes away sends two: one from the kernel, one from its shell.
//! - A thread of its own, the guard, hears them, and ends a command whose time is over wherever it is: the kernel would
//!   give them to the main thread, which runs no handler while a file system or a disk does not answer. So they are blocked
//!   in all others; what we start has the mask that we were called with ([`as_called`]).
//! - A signal that was ignored when we started (`nohup`, a background job of a script) stays so.
//! - The first process of a container cannot die of a signal that it sends itself: it has the exit code that shells
//!   give to those who did.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::low_level::{self, emulate_default_handler, pipe};
use signal_hook::{SigId, flag};

use crate::output;

const ENDING: [i32; 3] = [SIGTERM, SIGINT, SIGHUP];

/// What the guard alone hears: those, and what `exec` sends on.
const HEARD: [Signal; 7] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
];

/// How long a command may take to end after a signal, beside what it grants to others.
pub const AT_LAST: Duration = Duration::from_millis(800);

/// What the handlers store to: they are the process's, and made once.
static CAUGHT: OnceLock<Caught> = OnceLock::new();

/// The mask that we were called with, once ours is another one.
static AS_CALLED: OnceLock<SigSet> = OnceLock::new();

#[derive(Debug, Default)]
struct Caught {
    raised: Arc<AtomicBool>,
    /// The last one.
    which: Arc<AtomicUsize>,
    /// What catches them.
    handlers: OnceLock<Vec<SigId>>,
    /// Since when it is known.
    since: OnceLock<Instant>,
    /// How long others were granted.
    granted: OnceLock<Duration>,
    /// Whether a signal is how this command ends, when it could not do all that it was asked to.
    is_ended_by_them: AtomicBool,
    /// What the guard does before it ends us.
    at_last: OnceLock<fn()>,
}

impl Caught {
    /// Makes the handlers and the guard, the first time.
    fn once() -> io::Result<&'static Self> {
        if let Some(caught) = CAUGHT.get() {
            return Ok(caught);
        }
        let caught = CAUGHT.get_or_init(Self::default);
        // Blocked meanwhile: one that finds a handler and no flag to raise would be lost.
        let heard: SigSet = HEARD.into_iter().collect();
        let as_called = heard.thread_swap_mask(SigmaskHow::SIG_BLOCK).ok();
        let is_guarded = caught.handlers().map(|handlers| {
            let _ = caught.handlers.set(handlers);
            as_called.is_some_and(|as_called| caught.start_guard(as_called))
        });
        match as_called {
            Some(as_called) if matches!(is_guarded, Ok(true)) => {
                let _ = AS_CALLED.set(as_called);
            }
            // Where no thread can be had, the main thread hears signals, unless the system keeps it.
            Some(as_called) => {
                let _ = as_called.thread_set_mask();
            }
            None => {}
        }
        is_guarded.map(|_| caught)
    }

    fn handlers(&self) -> io::Result<Vec<SigId>> {
        let mut handlers = Vec::new();
        for signal in not_ignored(&ENDING) {
            // Before the flag, by which others know that there is one.
            let which = Arc::clone(&self.which);
            handlers.push(flag::register_usize(signal, which, signal.unsigned_abs() as usize)?);
        }
        handlers.extend(raise_by(&self.raised)?);
        Ok(handlers)
    }

    /// Whether a thread could be had for it.
    fn start_guard(&'static self, as_called: SigSet) -> bool {
        mmlog::prepare_before_threads();
        thread::Builder::new().stack_size(64 << 10).spawn(move || self.guard(as_called)).is_ok()
    }

    /// Hears signals, and ends this command when its time is over.
    fn guard(&self, as_called: SigSet) {
        loop {
            match self.left() {
                // Blocked but while we sleep: none comes between the look and the sleep.
                None => {
                    let _ = as_called.suspend();
                }
                Some(Duration::ZERO) => self.end(),
                Some(left) => {
                    // A second one ends us sooner, by its handler.
                    let _ = as_called.thread_set_mask();
                    thread::sleep(left);
                }
            }
        }
    }

    /// How much time there is still, once a signal came.
    fn left(&self) -> Option<Duration> {
        let since = self.raised().then(|| *self.since.get_or_init(Instant::now))?;
        let all = self.granted.get().copied().unwrap_or_default().saturating_add(AT_LAST);
        Some(all.saturating_sub(since.elapsed()))
    }

    fn end(&self) -> ! {
        if let Some(at_last) = self.at_last.get() {
            at_last();
        }
        output::last_words(if self.is_ended_by_them.load(Ordering::Acquire) {
            "ended by a signal in the middle of a step; nothing of the log is lost, and the same command does the rest"
        } else {
            "ended by a signal in the middle of a step, which does not come back; what was read last may not be stored"
        });
        die_of(self.signal());
    }

    fn raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }

    fn signal(&self) -> i32 {
        i32::try_from(self.which.load(Ordering::Acquire)).unwrap_or(SIGTERM)
    }
}

/// The first signal raises the flag, the second ends the process.
fn raise_by(raised: &Arc<AtomicBool>) -> io::Result<Vec<SigId>> {
    let mut handlers = Vec::new();
    for signal in not_ignored(&ENDING) {
        // The order counts: the first signal finds the flag down, the second finds it up.
        let at_once = match process::id() {
            _ if signal == SIGHUP => None,
            1 => Some(flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(raised))?),
            _ => Some(flag::register_conditional_default(signal, Arc::clone(raised))?),
        };
        handlers.extend(at_once);
        handlers.push(flag::register(signal, Arc::clone(raised))?);
    }
    Ok(handlers)
}

/// From now on a signal ends this command: the waits and the long work of the library by [`flag()`], the rest, such as a
/// reader of standard output that stands still or a slow disk, a moment later, wherever it is: whatever a command does to a
/// log may be killed at any step. Needs no descriptor.
pub fn end_by_them() {
    // Without handlers the system ends us, as it does others.
    if let Ok(caught) = Caught::once() {
        caught.is_ended_by_them.store(true, Ordering::Release);
    }
}

/// Lets a command that catches signals go on for that long after one, to leave others the time.
pub fn grant(grace: Duration) {
    if let Some(caught) = CAUGHT.get() {
        let _ = caught.granted.set(grace);
    }
}

/// What is done before a command that catches signals is ended where it is. It must not wait: not for a lock either.
pub fn at_last(does: fn()) {
    if let Some(caught) = CAUGHT.get() {
        let _ = caught.at_last.set(does);
    }
}

/// Starts a process with signals as our caller had them.
pub fn as_called<T>(start: impl FnOnce() -> T) -> T {
    let ours = AS_CALLED.get().and_then(|mask| mask.thread_swap_mask(SigmaskHow::SIG_SETMASK).ok());
    let started = start();
    if let Some(ours) = ours {
        let _ = ours.thread_set_mask();
    }
    started
}

/// What the library's waits and long work hear, where signals are caught.
#[must_use]
pub fn flag() -> Option<Arc<AtomicBool>> {
    CAUGHT.get().map(|caught| Arc::clone(&caught.raised))
}

/// Whether one came.
#[must_use]
pub fn came() -> bool {
    CAUGHT.get().is_some_and(Caught::raised)
}

/// The last one, if one came.
#[must_use]
pub fn which() -> Option<i32> {
    CAUGHT.get().filter(|caught| caught.raised()).map(Caught::signal)
}

/// The signal that has ended this command, which could not do all that it was asked to.
#[must_use]
pub fn ended_by() -> Option<i32> {
    CAUGHT.get().filter(|caught| caught.is_ended_by_them.load(Ordering::Acquire))?;
    which()
}

/// Ends as a process does that does not catch this signal.
pub fn die_of(signal: i32) -> ! {
    if process::id() != 1 {
        let _ = emulate_default_handler(signal);
    }
    low_level::exit(128 + signal)
}

/// TERM, INT and HUP, caught, as a descriptor too.
#[derive(Debug)]
pub struct Signals {
    raised: Arc<AtomicBool>,
    wake: UnixStream,
    grace: Duration,
    grace_ends: OnceLock<Instant>,
}

impl Signals {
    /// Catches them from now on. Without more of a [`grant`], this command ends soon after the first one.
    ///
    /// # Errors
    /// When the system refuses a socket pair or a handler.
    pub fn catch() -> io::Result<Self> {
        Self::with_handlers().map(|(signals, _)| signals)
    }

    /// Catches them until somebody else does, who raises these then.
    ///
    /// # Errors
    /// As [`Signals::catch`].
    pub fn by_hand() -> io::Result<(Self, Raise)> {
        let (signals, wake) = Self::with_handlers()?;
        let raise = Raise { raised: Arc::clone(&signals.raised), wake };
        Ok((signals, raise))
    }

    fn with_handlers() -> io::Result<(Self, Waker)> {
        let caught = Caught::once()?;
        let (wake, mut handler_end) = UnixStream::pair()?;
        let mut handlers = Vec::new();
        for signal in not_ignored(&ENDING) {
            handlers.push(pipe::register(signal, handler_end.try_clone()?)?);
        }
        if caught.raised() {
            handler_end.write_all(b"!")?;
        }
        Ok((Self::new(Arc::clone(&caught.raised), wake), Waker { end: handler_end, handlers }))
    }

    const fn new(raised: Arc<AtomicBool>, wake: UnixStream) -> Self {
        Self { raised, wake, grace: Duration::ZERO, grace_ends: OnceLock::new() }
    }

    /// The same, leaving others this long after the first one to finish what they are at.
    #[must_use]
    pub fn with_grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// Until when others may finish: nothing before the first signal, and from then on always the same.
    #[must_use]
    pub fn grace_ends(&self) -> Option<Instant> {
        let from_now = || {
            let now = Instant::now();
            now.checked_add(self.grace).unwrap_or(now)
        };
        self.raised().then(|| *self.grace_ends.get_or_init(from_now))
    }

    /// The flag that the first one raises.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.raised)
    }

    /// Whether one came.
    #[must_use]
    pub fn raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }
}

/// What makes the descriptor readable.
#[derive(Debug)]
struct Waker {
    end: UnixStream,
    handlers: Vec<SigId>,
}

/// Raises [`Signals::by_hand`].
#[derive(Debug)]
pub struct Raise {
    raised: Arc<AtomicBool>,
    wake: Waker,
}

impl Raise {
    /// Somebody else catches signals from now on, and sees to the end; whether one came before.
    pub fn take_over(&mut self) -> bool {
        let of_all = CAUGHT.get().and_then(|caught| caught.handlers.get()).into_iter().flatten().copied();
        self.wake.handlers.drain(..).chain(of_all).for_each(|handler| {
            low_level::unregister(handler);
        });
        let came = self.raised();
        if !came {
            grant(Duration::MAX);
        }
        came
    }

    /// Whether one came.
    #[must_use]
    pub fn raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }

    /// As if a signal had come.
    pub fn raise(&mut self) {
        self.raised.store(true, Ordering::Release);
        // Of many the first is enough; a full socket says the same.
        let _ = self.wake.end.write(b"!");
    }
}

impl AsFd for Signals {
    /// Readable from the first signal on, for ever.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

/// Those of `signals` that we did not inherit "ignore" for.
#[must_use]
pub fn not_ignored(signals: &[i32]) -> Vec<i32> {
    let ignored = inherited();
    signals.iter().copied().filter(|signal| !has(ignored, *signal)).collect()
}

/// A file size limit then is an errno of the write, which can be reported, for the log as for standard output and
/// standard error. Ignored, it is one anyway, and stays ignored in a process that we start.
///
/// # Errors
/// When the system refuses a handler.
pub fn survive_size_limit() -> io::Result<()> {
    if !has(inherited(), SIGXFSZ) {
        flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}

/// The signals that we inherited "ignore" for, as a background job of a script does for INT; looked up once, since it takes longer
/// than all handlers.
fn inherited() -> u64 {
    static IGNORED: OnceLock<u64> = OnceLock::new();
    *IGNORED.get_or_init(|| ignored(&own_status()))
}

fn own_status() -> String {
    let mut text = String::with_capacity(4096);
    let read = File::open("/proc/self/status").and_then(|file| file.take(4096).read_to_string(&mut text));
    if read.is_ok() { text } else { String::new() }
}

/// The mask of ignored signals in the status of a process.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
}

const fn has(mask: u64, signal: i32) -> bool {
    mask >> (signal - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ignore_mask_is_read_bit_by_bit() {
        let status = "Name:\tsh\nSigIgn:\t0000000000000006\nSigCgt:\t0\n";
        assert!(has(ignored(status), SIGINT));
        assert!(!has(ignored(status), SIGTERM));
        assert_eq!(ignored(""), 0);
    }
}
