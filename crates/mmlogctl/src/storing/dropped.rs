//! `--on-full drop`: what was dropped while the disk was full, and the line of the log that says so.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use memchr::memchr_iter;
use mmlog::{Error, Fault, units};
use rustix::io::Errno;

use super::patience::PAUSES;
use crate::text::now;

/// What is not in the log, and nothing in the log says so yet.
#[derive(Debug)]
pub(crate) struct Dropped {
    /// Of the input.
    bytes: u64,
    lines: u64,
    /// When the first of them came, and the last.
    came: Option<(Timestamp, Timestamp)>,
    why: &'static str,
    since: Instant,
    /// When it is tried again, and how long after that the next time.
    due: Instant,
    pause: Duration,
    /// When that is tried although nothing more comes.
    idle: Instant,
}

impl Dropped {
    /// Nothing yet; this is what comes in the way.
    pub(crate) fn since(error: &Error) -> Self {
        let (begun, (pause, longest)) = (Instant::now(), PAUSES);
        let (due, idle) = (begun + pause, begun + longest);
        Self { bytes: 0, lines: 0, came: None, why: why(error), since: begun, due, pause, idle }
    }

    /// Drops `input` bytes, which would have been stored as these parts.
    pub(crate) fn add(&mut self, input: usize, parts: [&[u8]; 2]) {
        self.bytes += input as u64;
        self.lines += parts.map(|part| memchr_iter(b'\n', part).count() as u64).iter().sum::<u64>();
        let now = now();
        self.came = Some((self.came.map_or(now, |(first, _)| first), now));
        self.idle = Instant::now() + PAUSES.1;
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// It was tried, in vain.
    pub(crate) fn postpone(&mut self) {
        self.pause = PAUSES.1.min(2 * self.pause);
        self.due = Instant::now() + self.pause;
        self.idle = self.idle.max(self.due);
    }

    /// Whether more that comes is tried; each attempt at a full disk costs system calls.
    pub(crate) fn is_due(&self) -> bool {
        self.due <= Instant::now()
    }

    /// When to try although nothing comes. Not earlier: what is left of the space would go to these lines, one for each
    /// piece of input that is too large for it.
    pub(crate) const fn idle_at(&self) -> Instant {
        self.idle
    }

    /// What has happened, if anything, as the log has it and people read it.
    pub(crate) fn text(&self) -> Option<String> {
        let Self { bytes, lines, why, .. } = self;
        let (first, last) = self.came?;
        // Later versions keep to this form, so it is "bytes" whatever their number.
        let lines = units::counted(*lines, "line");
        Some(format!("mmlogctl: {bytes} bytes ({lines}) dropped, {first:.0} to {last:.0}: {why}"))
    }

    /// For whoever watches standard error.
    pub(crate) fn over(&self) -> String {
        let time = units::lasting(self.since.elapsed());
        if self.came.is_none() {
            return format!("goes on after {time}; nothing was dropped");
        }
        let (dropped, were) = (units::counted(self.bytes, "byte"), units::agree(self.bytes, "was", "were"));
        format!("goes on after {time}; {dropped} {were} dropped, the log says so")
    }
}

fn why(error: &Error) -> &'static str {
    let errno = match error.fault() {
        Fault::NoSpace { source, .. } => Errno::from_io_error(source),
        _ => None,
    };
    match errno {
        Some(Errno::DQUOT) => "quota",
        Some(Errno::FBIG) => "file size limit",
        _ => "no space",
    }
}
