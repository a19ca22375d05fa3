//! The intervals below each other, each with a bar.
//!
//! ```text
//!   11-29 14:00 <   163M  46.3K/s  #########
//!   11-29 15:00     1.2G   350K/s  ##################################################
//!   11-29 16:00     nothing for 2h00m
//!   11-29 18:00 !   7.1M   2.0K/s  #
//! ```

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::timeline::Row;
use crate::inspect::style::Glyphs;
use crate::text::{bytes, count, lasting, rounded, wrapped};

/// A bar shorter than this is none; the rates go before.
const BAR: usize = 8;
const DAY_NS: u64 = 86_400_000_000_000;
const MINUTE_NS: u64 = 60_000_000_000;

/// What is drawn.
pub(super) struct Chart<'a> {
    pub(super) rows: &'a [Row],
    pub(super) by_ns: u64,
    pub(super) zone: &'a TimeZone,
    pub(super) columns: usize,
    pub(super) glyphs: Glyphs,
    pub(super) has_lines: bool,
}

/// Whether a row has a sign.
type Is = fn(&Row) -> bool;

/// Signs beside a row, and what they say.
const MARKS: [(char, &str, Is); 4] = [
    ('<', "begins within it", |row| row.begins_within),
    ('>', "ends within it", |row| row.ends_within),
    ('!', "the clock was set", |row| row.clock_set),
    ('~', "about: more than a fifth may belong to its neighbours", |row| row.is_about() && !row.is_empty()),
];

impl Chart<'_> {
    /// The lines, and what their signs mean.
    pub(super) fn lines(&self) -> Vec<String> {
        let marks: Vec<String> = self.rows.iter().map(marks).collect();
        let marked = marks.iter().map(String::len).max().unwrap_or(0);
        let format = self.format();
        let label = self.rows.first().map_or(0, |row| self.told(row.from_ns, format).len());
        let room = |taken: usize| self.columns.saturating_sub(taken);
        // Blanks, and figures of at most five and seven characters.
        let taken = 2 + label + 1 + marked + 1 + 5 + if self.has_lines { 7 } else { 0 } + 2;
        let has_rates = room(taken) >= BAR + 9;
        let width = room(taken + if has_rates { 9 } else { 0 });
        let most = self.rows.iter().map(|row| row.bytes).max().unwrap_or(0);
        let mut lines = Vec::new();
        let mut all = self.rows.iter().zip(&marks).peekable();
        while let Some((row, mark)) = all.next() {
            let begin = format!("  {} {mark:<marked$}", self.told(row.from_ns, format));
            if row.is_empty() {
                let mut to_ns = row.to_ns;
                while let Some((next, _)) = all.next_if(|(next, _)| next.is_empty()) {
                    to_ns = next.to_ns;
                }
                let passed = lasting(Duration::from_nanos(to_ns.saturating_sub(row.from_ns)));
                lines.push(format!("{begin} nothing for {passed}"));
                continue;
            }
            let mut line = format!("{begin} {:>5}", bytes(row.bytes));
            if self.has_lines {
                line.push_str(&format!("  {:>5}", count(row.lines)));
            }
            if has_rates {
                line.push_str(&format!("  {:>5}/s", bytes(rounded(row.rate()))));
            }
            line.push_str("  ");
            line.push_str(&bar(row.bytes, most, width, &self.glyphs));
            lines.push(line.trim_end().to_owned());
        }
        let meant = MARKS.iter().filter(|(_, _, is)| self.rows.iter().any(is));
        for (mark, says, _) in meant {
            let says = wrapped(says, self.columns.saturating_sub(4), 3);
            lines.extend(says.iter().zip([*mark, ' ', ' ']).map(|(says, mark)| format!("  {mark} {says}")));
        }
        lines
    }

    fn told(&self, at_ns: u64, format: &str) -> String {
        let at = Timestamp::from_nanosecond(at_ns.into()).unwrap_or(Timestamp::MAX);
        at.to_zoned(self.zone.clone()).strftime(format).to_string()
    }

    /// As much of a time as tells the rows apart.
    fn format(&self) -> &'static str {
        let date = |at_ns| self.told(at_ns, "%Y-%m-%d");
        let ends = self.rows.first().zip(self.rows.last());
        let is_one_day = ends.is_none_or(|(a, b)| date(a.from_ns) == date(b.from_ns));
        match (is_one_day, self.by_ns) {
            (_, DAY_NS..) => "%Y-%m-%d",
            (true, MINUTE_NS..) => "%H:%M",
            (true, _) => "%H:%M:%S",
            (false, MINUTE_NS..) => "%m-%d %H:%M",
            (false, _) => "%m-%d %H:%M:%S",
        }
    }
}

fn marks(row: &Row) -> String {
    MARKS.iter().filter(|(_, _, is)| is(row)).map(|(mark, _, _)| mark).collect()
}

/// As long as its part of the longest; what there is at all is seen.
fn bar(part: u64, whole: u64, width: usize, glyphs: &Glyphs) -> String {
    let eighths = (u128::from(part) * width as u128 * 8).checked_div(u128::from(whole)).unwrap_or(0);
    let eighths = usize::try_from(eighths).unwrap_or(0).max(usize::from(part > 0 && width > 0));
    let mut bar = glyphs.bars[7].to_string().repeat(eighths / 8);
    if let Some(rest) = (eighths % 8).checked_sub(1) {
        bar.push(glyphs.bars[rest]);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::style::WORDS;

    const HOUR: u64 = 3_600_000_000_000;

    fn rows(all: &[u64]) -> Vec<Row> {
        let row = |(n, bytes): (u64, &u64)| Row {
            from_ns: n * HOUR,
            to_ns: (n + 1) * HOUR,
            bytes: *bytes,
            at_least: *bytes,
            at_most: *bytes,
            ..Row::default()
        };
        (0..).zip(all).map(row).collect()
    }

    fn drawn(rows: &[Row], columns: usize, glyphs: Glyphs, has_lines: bool) -> Vec<String> {
        let zone = TimeZone::UTC;
        Chart { rows, by_ns: HOUR, zone: &zone, columns, glyphs, has_lines }.lines()
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_the_longest_bar_fills_it() {
        let mut all = rows(&[7, 0, 0, 123_456_789, 1 << 60, 0, 55_555]);
        (all[0].begins_within, all[6].ends_within, all[3].clock_set) = (true, true, true);
        all[3].at_least = 0;
        for ascii in [true, false] {
            let glyphs = if ascii { WORDS.in_ascii().glyphs } else { WORDS.glyphs };
            for columns in [40, 41, 57, 80, 200] {
                for has_lines in [true, false] {
                    let lines = drawn(&all, columns, glyphs, has_lines);
                    assert!(lines.iter().all(|line| line.chars().count() <= columns), "{lines:#?}");
                    assert_eq!(lines[3].chars().count(), columns, "{lines:#?}");
                    assert_eq!(lines.iter().all(|line| line.is_ascii()), ascii, "{lines:#?}");
                }
            }
        }
    }

    #[test]
    fn a_pause_is_one_line_and_signs_are_explained() {
        let mut all = rows(&[10, 0, 0, 20]);
        all[0].begins_within = true;
        let lines = drawn(&all, 60, WORDS.in_ascii().glyphs, false);
        assert_eq!(lines[1], "  01:00   nothing for 2h00m");
        assert!(lines[0].starts_with("  00:00 <   10B     0B/s  ####"), "{lines:#?}");
        assert_eq!((lines.len(), lines[3].as_str()), (4, "  < begins within it"));
    }

    #[test]
    fn bars_are_drawn_to_an_eighth() {
        assert_eq!(bar(3, 8, 1, &WORDS.glyphs), "\u{258d}");
        assert_eq!(bar(8, 8, 2, &WORDS.glyphs), "\u{2588}\u{2588}");
        assert_eq!(bar(1, u64::MAX, 9, &WORDS.glyphs), "\u{258f}");
        assert_eq!(bar(0, 0, 9, &WORDS.glyphs), "");
    }
}
