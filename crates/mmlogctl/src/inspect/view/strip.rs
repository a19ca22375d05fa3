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

/// A part of a whole, `[####....]`.
#[must_use]
pub fn bar(part: u64, whole: u64, cells: u16) -> String {
    let cells = usize::from(cells);
    let full = (u128::from(part) * cells as u128).checked_div(u128::from(whole)).unwrap_or(0);
    let full = usize::try_from(full).unwrap_or(cells).min(cells);
    format!("[{}{}]", "#".repeat(full), ".".repeat(cells - full))
}

/// Rates as blocks, the greatest full; blank where nothing is known.
#[must_use]
pub fn sparkline(rates: &[Option<f64>]) -> String {
    const BLOCKS: [char; 8] =
        ['\u{2581}', '\u{2582}', '\u{2583}', '\u{2584}', '\u{2585}', '\u{2586}', '\u{2587}', '\u{2588}'];
    let greatest = rates.iter().flatten().copied().fold(0.0, f64::max);
    let block = |rate: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
        let eighth = (rate / greatest * 7.0).round() as usize;
        if greatest > 0.0 { BLOCKS[eighth.min(7)] } else { BLOCKS[0] }
    };
    rates.iter().map(|rate| rate.map_or(' ', block)).collect()
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
        assert_eq!(bar(7, 0, 4), "[....]");
        assert_eq!(bar(u64::MAX, 1, 4), "[####]");
        assert_eq!(bar(1, 2, 4), "[##..]");
    }

    #[test]
    fn the_greatest_rate_is_a_full_block() {
        assert_eq!(sparkline(&[None, Some(0.0), Some(50.0), Some(100.0)]), " \u{2581}\u{2585}\u{2588}");
        assert_eq!(sparkline(&[Some(0.0)]), "\u{2581}");
    }
}
