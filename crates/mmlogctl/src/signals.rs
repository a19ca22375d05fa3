//! TERM, INT and HUP as something a command can look at and poll, instead of a sudden end.
//!
//! - The first one sets a flag, which the library's waits and long work hear too (`Options::stop`), and makes a
//!   descriptor readable; the command ends in its own time. [`end_by_them`] says for how long at most.
//! - The second one ends the process at once, the way the system does without a handler; a second HUP does not, since a
//!   terminal that goes away sends two: one from the kernel, one from its shell.
//! - A signal that was ignored when we started (`nohup`, a background job of a script) stays so.
//! - The first process of a container cannot die of a signal that it sends itself: it has the exit code that shells
//!   give to those who did.

use std::fs;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::low_level::{self, emulate_default_handler, pipe};
use signal_hook::{SigId, flag};

use crate::output;

const ENDING: [i32; 3] = [SIGTERM, SIGINT, SIGHUP];

/// How long a command may take to end after a signal, beside what it grants to others.
pub const AT_LAST: Duration = Duration::from_millis(800);

/// How often somebody looks who has no descriptor to wait for.
const LOOKS: Duration = Duration::from_millis(50);

/// What the handlers store to: they are the process's, and made once.
static CAUGHT: OnceLock<Caught> = OnceLock::new();

/// Whether the signals end this command wherever it is.
static IS_ENDED_BY_THEM: AtomicBool = AtomicBool::new(false);

#[derive(Debug, Default)]
struct Caught {
    raised: Arc<AtomicBool>,
    /// The last one.
    which: Arc<AtomicUsize>,
    /// Since when it is known.
    since: OnceLock<Instant>,
    /// How long others were granted.
    granted: OnceLock<Duration>,
}

impl Caught {
    /// Makes the handlers, the first time.
    fn once() -> io::Result<&'static Self> {
        if let Some(caught) = CAUGHT.get() {
            return Ok(caught);
        }
        let caught = CAUGHT.get_or_init(Self::default);
        for signal in not_ignored(&ENDING) {
            // Before the flag, by which others know that there is one.
            flag::register_usize(signal, Arc::clone(&caught.which), signal.unsigned_abs() as usize)?;
        }
        raise_by(&caught.raised).map(|_| caught)
    }

    fn raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }

    fn signal(&self) -> i32 {
        i32::try_from(self.which.load(Ordering::Acquire)).unwrap_or(SIGTERM)
    }

    /// Waits for a signal, then until the command should have ended, and ends it.
    fn end(&self) {
        while !self.raised() {
            thread::sleep(LOOKS);
        }
        let since = *self.since.get_or_init(Instant::now);
        loop {
            let all = self.granted.get().copied().unwrap_or_default().saturating_add(AT_LAST);
            let left = all.saturating_sub(since.elapsed());
            if left.is_zero() {
                break;
            }
            thread::sleep(left);
        }
        output::last_words(
            "ended by a signal in the middle of a step; the log is as after a crash, and the same command does the rest",
        );
        die_of(self.signal());
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
    let Ok(caught) = Caught::once() else { return };
    IS_ENDED_BY_THEM.store(true, Ordering::Release);
    mmlog::prepare_before_threads();
    // Where no thread can be had, the second signal ends it.
    let _ = thread::Builder::new().stack_size(64 << 10).spawn(|| caught.end());
}

/// Lets a command go on for that long after a signal, to leave others the time.
pub fn grant(grace: Duration) {
    if let Some(caught) = CAUGHT.get() {
        let _ = caught.granted.set(grace);
    }
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

/// The signal that has ended this command, which could not do all that it was asked to.
#[must_use]
pub fn ended_by() -> Option<i32> {
    let caught = CAUGHT.get().filter(|_| IS_ENDED_BY_THEM.load(Ordering::Acquire))?;
    caught.raised().then(|| caught.signal())
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
    /// Catches them from now on.
    ///
    /// # Errors
    /// When the system refuses a socket pair or a handler.
    pub fn catch() -> io::Result<Self> {
        let caught = Caught::once()?;
        let (wake, mut handler_end) = UnixStream::pair()?;
        for signal in not_ignored(&ENDING) {
            pipe::register(signal, handler_end.try_clone()?)?;
        }
        if caught.raised() {
            handler_end.write_all(b"!")?;
        }
        Ok(Self::new(Arc::clone(&caught.raised), wake))
    }

    /// Catches them until somebody else does, who raises these then.
    ///
    /// # Errors
    /// As [`Signals::catch`].
    pub fn by_hand() -> io::Result<(Self, Raise)> {
        let raised = Arc::new(AtomicBool::new(false));
        let (wake, other_end) = UnixStream::pair()?;
        let handlers = raise_by(&raised)?;
        Ok((Self::new(Arc::clone(&raised), wake), Raise { raised, wake: other_end, handlers }))
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

/// Raises [`Signals::by_hand`].
#[derive(Debug)]
pub struct Raise {
    raised: Arc<AtomicBool>,
    wake: UnixStream,
    /// What catches signals still.
    handlers: Vec<SigId>,
}

impl Raise {
    /// Somebody else catches signals from now on; whether one came before.
    pub fn take_over(&mut self) -> bool {
        self.handlers.drain(..).for_each(|handler| {
            low_level::unregister(handler);
        });
        self.raised.load(Ordering::Acquire)
    }

    /// As if a signal had come.
    pub fn raise(&mut self) {
        self.raised.store(true, Ordering::Release);
        // Of many the first is enough; a full socket says the same.
        let _ = self.wake.write(b"!");
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
    let status = own_status();
    signals.iter().copied().filter(|signal| !is_ignored(&status, *signal)).collect()
}

/// A file size limit then is an errno of the write, which can be reported, for the log as for standard output and
/// standard error. Ignored, it is one anyway, and stays ignored in a process that we start.
///
/// # Errors
/// When the system refuses a handler.
pub fn survive_size_limit() -> io::Result<()> {
    if !is_ignored(&own_status(), SIGXFSZ) {
        flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}

fn own_status() -> String {
    fs::read_to_string("/proc/self/status").unwrap_or_default()
}

/// Whether we inherited "ignore" for a signal, as a background job of a script does for INT.
fn is_ignored(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ignore_mask_is_read_bit_by_bit() {
        let status = "Name:\tsh\nSigIgn:\t0000000000000006\nSigCgt:\t0\n";
        assert!(is_ignored(status, SIGINT));
        assert!(!is_ignored(status, SIGTERM));
        assert!(!is_ignored("", SIGINT));
    }
}
