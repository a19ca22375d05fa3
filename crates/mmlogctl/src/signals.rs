//! TERM, INT and HUP as something a command can look at and poll, instead of a sudden end.
//!
//! - The first one sets a flag and makes a descriptor readable; the command ends in its own time.
//! - The second one ends the process at once, the way the system does without a handler; a second HUP does not, since a
//!   terminal that goes away sends two: one from the kernel, one from its shell.
//! - A signal that was ignored when we started (`nohup`, a background job of a script) stays so.

use std::fs;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::{flag, low_level::pipe};

/// TERM, INT and HUP, caught.
#[derive(Debug)]
pub struct Signals {
    raised: Arc<AtomicBool>,
    wake: UnixStream,
    grace: Duration,
    grace_ends: OnceLock<Instant>,
}

impl Signals {
    /// Catches them from now on. Call it once, before the work starts.
    ///
    /// # Errors
    /// When the system refuses a socket pair or a handler.
    pub fn catch() -> io::Result<Self> {
        let raised = Arc::new(AtomicBool::new(false));
        let (wake, handler_end) = UnixStream::pair()?;
        let status = own_status();
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            if is_ignored(&status, signal) {
                continue;
            }
            // The order counts: the first signal finds the flag down, the second finds it up.
            if signal != SIGHUP {
                flag::register_conditional_default(signal, Arc::clone(&raised))?;
            }
            flag::register(signal, Arc::clone(&raised))?;
            pipe::register(signal, handler_end.try_clone()?)?;
        }
        Ok(Self::new(raised, wake))
    }

    /// Catches none of them: whoever does raises these.
    ///
    /// # Errors
    /// As [`Signals::catch`].
    pub fn by_hand() -> io::Result<(Self, Raise)> {
        let raised = Arc::new(AtomicBool::new(false));
        let (wake, other_end) = UnixStream::pair()?;
        Ok((Self::new(Arc::clone(&raised), wake), Raise { raised, wake: other_end }))
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
}

impl Raise {
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
