//! A map of the current file.
//!
//! ```text
//! ____======================>>==x=====..................
//! ```
//!
//! `=` written, `>` in flight, `x` hole, `.` slack, `_` punched.

use mmlog::Status;

/// What is what.
pub const LEGEND: &str = "= written  > in flight  x hole  . slack  _ punched";

/// The file in so many cells; where several things meet in one cell, what needs attention wins.
#[must_use]
pub fn strip(status: &Status, cells: u16) -> String {
    let len = u128::from(status.file_size);
    let cells = usize::from(cells);
    if len == 0 || cells == 0 {
        return " ".repeat(cells);
    }
    let base = status.base;
    // The cells of a range of positions; the end is rounded up, so that nothing is too small to be seen.
    let range = |start: u64, end: u64| {
        let (start, end) = (u128::from(start.max(base) - base), u128::from(end.saturating_sub(base)));
        let (start, end) = (start.min(len), end.min(len));
        let cell = |at: u128| usize::try_from(at).unwrap_or(cells).min(cells);
        let (first, last) = (cell(start * cells as u128 / len), cell((end * cells as u128).div_ceil(len)));
        if start < end { first..last } else { 0..0 }
    };
    let mut strip = vec!['.'; cells];
    let mut mark = |mark: char, start: u64, end: u64| strip[range(start, end)].fill(mark);
    mark('=', base, status.cursor);
    mark('_', base, status.first_kept.min(status.cursor));
    status.holes.iter().for_each(|hole| mark('x', hole.start, hole.start.saturating_add(hole.len)));
    for flight in status.writers.iter().filter_map(|writer| writer.in_flight.as_ref()) {
        mark('>', flight.start, flight.end.max(flight.start.saturating_add(1)));
    }
    strip.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn status() -> Status {
        let mut s = sample::worst();
        (s.base, s.cursor, s.file_size, s.first_kept) = (1000, 1600, 1000, 1100);
        s.holes.truncate(1);
        (s.holes[0].start, s.holes[0].len) = (1300, 100);
        s.writers.truncate(2);
        if let Some(flight) = &mut s.writers[1].in_flight {
            (flight.start, flight.end) = (1500, 1550);
        }
        s
    }

    #[test]
    fn every_kind_of_range_has_a_mark() {
        assert_eq!(strip(&status(), 10), "_==x=>....");
        assert_eq!(strip(&status(), 20), "__====xx==>=........");
    }

    #[test]
    fn nothing_is_too_small_to_be_seen() {
        let mut s = status();
        s.holes[0].len = 1;
        assert!(strip(&s, 3).contains('x'), "{}", strip(&s, 3));
        assert_eq!(strip(&s, 0), "");
    }

    #[test]
    fn hostile_figures_do_no_harm() {
        let mut s = sample::worst();
        for (base, cursor, size) in [(u64::MAX, 0, u64::MAX), (0, u64::MAX, 1), (5, 5, 0)] {
            (s.base, s.cursor, s.file_size) = (base, cursor, size);
            assert_eq!(strip(&s, 40).chars().count(), 40);
        }
    }
}
