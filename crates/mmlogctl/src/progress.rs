//! The progress line of long work: bytes, lines, rate, or a bar; on a terminal only.

use std::time::{Duration, Instant};

use mmlog::units::{counted, size};

use crate::output::Output;

/// At most five times a second.
const REDRAW: Duration = Duration::from_millis(200);

/// Counts what went through and shows it now and then.
#[derive(Debug)]
pub struct Progress {
    meter: Option<Meter>,
}

#[derive(Debug)]
struct Meter {
    bytes: u64,
    lines: u64,
    drawn: Instant,
    bytes_drawn: u64,
    rate: Option<f64>,
}

impl Progress {
    /// Shows nothing and costs nothing.
    #[must_use]
    pub const fn hidden() -> Self {
        Self { meter: None }
    }

    /// Starts counting now.
    #[must_use]
    pub fn showing() -> Self {
        let meter = Meter { bytes: 0, lines: 0, drawn: Instant::now(), bytes_drawn: 0, rate: None };
        Self { meter: Some(meter) }
    }

    /// Counts `bytes`, and redraws if it is time.
    pub fn passed(&mut self, bytes: &[u8], out: &mut Output) {
        let Some(meter) = &mut self.meter else { return };
        meter.bytes += bytes.len() as u64;
        meter.lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
        let since = meter.drawn.elapsed();
        if since >= REDRAW {
            out.progress(&meter.draw(since));
        }
    }
}

impl Meter {
    fn draw(&mut self, since: Duration) -> String {
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let now = (self.bytes - self.bytes_drawn) as f64 / since.as_secs_f64();
        // Half of the last one, so that the figure can be read.
        let rate = self.rate.map_or(now, |before| (before + now) / 2.0);
        self.rate = Some(rate);
        self.drawn = Instant::now();
        self.bytes_drawn = self.bytes;
        line(self.bytes, self.lines, rate)
    }
}

fn line(bytes: u64, lines: u64, rate: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate for people")]
    let rate = size(rate as u64);
    format!("{}  {}  {rate}/s", size(bytes), counted(lines, "line"))
}

/// How far the work on one of several files is.
#[derive(Debug)]
pub struct Bar {
    shows: bool,
    drawn: Option<Instant>,
}

impl Bar {
    /// One that is shown, or one that is not.
    #[must_use]
    pub const fn new(shows: bool) -> Self {
        Self { shows, drawn: None }
    }

    /// So much of the work on `name` is done; redraws if it is time.
    pub fn at(&mut self, name: &str, done: u64, total: u64, out: &mut Output) {
        if self.shows && self.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW) {
            self.drawn = Some(Instant::now());
            out.progress(&bar(name, done, total));
        }
    }
}

/// `name [#####---------------]  25%`
fn bar(name: &str, done: u64, total: u64) -> String {
    const WIDTH: usize = 20;
    let percent = (u128::from(done) * 100).checked_div(u128::from(total)).unwrap_or(100).min(100);
    let full = usize::try_from(percent).map_or(WIDTH, |percent| percent * WIDTH / 100);
    format!("{name} [{}{}] {percent:3}%", "#".repeat(full), "-".repeat(WIDTH - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_bytes_lines_and_rate() {
        assert_eq!(line(3 << 20, 1000, f64::from(1 << 20)), "3 MiB  1000 lines  1 MiB/s");
    }

    #[test]
    fn a_bar_is_as_full_as_the_work_is_done() {
        assert_eq!(bar("a", 0, 40), "a [--------------------]   0%");
        assert_eq!(bar("a", 10, 40), "a [#####---------------]  25%");
        assert_eq!(bar("a", u64::MAX, u64::MAX), "a [####################] 100%");
        assert_eq!(bar("a", 0, 0), "a [####################] 100%");
    }

    #[test]
    fn hidden_progress_says_nothing() {
        let mut out = Output::memory();
        Progress::hidden().passed(b"a\n", &mut out);
        assert_eq!(out.taken().1, b"");
    }

    #[test]
    fn progress_is_not_redrawn_at_every_call() {
        let mut out = Output::memory();
        let later = Instant::now() + Duration::from_secs(3600);
        let meter = Meter { bytes: 0, lines: 0, drawn: later, bytes_drawn: 0, rate: None };
        let mut progress = Progress { meter: Some(meter) };
        progress.passed(b"a\nb\n", &mut out);
        assert_eq!(out.taken().1, b"");
        assert_eq!(progress.meter.map(|m| (m.bytes, m.lines)), Some((4, 2)));
    }
}
