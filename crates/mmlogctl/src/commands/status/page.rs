//! Text that fits a screen: lines of 80 columns, fields with their values below each other.

use crate::exit::printable;
use crate::text::{clipped, wrapped};

const COLUMNS: usize = 80;
/// Where values begin.
const INDENT: usize = 15;

/// Lines that fit.
#[derive(Debug, Default)]
pub(super) struct Page(pub(super) String);

impl Page {
    pub(super) fn lines(&self) -> usize {
        self.0.lines().count()
    }

    pub(super) fn line(&mut self, text: &str) {
        self.0.push_str(&clipped(&printable(text), COLUMNS));
        self.0.push('\n');
    }

    pub(super) fn field(&mut self, name: &str, value: &str) {
        self.line(&format!("  {name:width$}{value}", width = INDENT - 2));
    }

    /// A value that may take `most` lines.
    pub(super) fn sentence(&mut self, name: &str, text: &str, most: usize) {
        for (nth, line) in wrapped(&printable(text), COLUMNS - INDENT, most).iter().enumerate() {
            self.field(if nth == 0 { name } else { "" }, line);
        }
    }

    /// At most `most` lines, the last of which says how many are missing.
    pub(super) fn list(&mut self, most: usize, items: impl ExactSizeIterator<Item = String>) {
        let all = items.len();
        let shown = if all > most { most.saturating_sub(1) } else { all };
        for item in items.take(shown) {
            self.line(&format!("    {item}"));
        }
        if all > shown {
            self.line(&format!("    ... and {} more", all - shown));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_clipped_to_the_width() {
        assert_eq!(clipped("short", 80), "short");
        assert_eq!(clipped("0123456789", 8), "01234...");
    }

    #[test]
    fn a_sentence_takes_two_lines_at_most() {
        assert_eq!(wrapped("one two three four", 9, 2), ["one two", "three ..."]);
        assert_eq!(wrapped("one two", 9, 2), ["one two"]);
    }

    #[test]
    fn a_long_list_says_how_many_are_missing() {
        let mut page = Page::default();
        page.list(3, (1..=9).map(|n| n.to_string()).collect::<Vec<_>>().into_iter());
        assert_eq!(page.0, "    1\n    2\n    ... and 7 more\n");
        let mut page = Page::default();
        page.list(3, vec!["a".to_owned(); 3].into_iter());
        assert_eq!(page.0.lines().count(), 3);
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let mut page = Page::default();
        page.field("lock", "held by 1 (\x1b[31mevil\n)");
        assert_eq!(page.0.matches(|c: char| c.is_control()).count(), 1);
    }
}
