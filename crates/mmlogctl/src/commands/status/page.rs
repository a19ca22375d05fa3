//! Text of fields with their values below each other, in the columns that there are; in a pipe each value is one line.

use std::path::Path;

use mmlog::{Finding, ShipperState, ShipperStatus, units};

use crate::exit::{printable, shown};
use crate::text::{Step, broken};

/// Where values begin.
const INDENT: usize = 15;
/// Where the items of a list begin.
const ITEM: usize = 4;

/// What a shipper is at: `nats://n1/logs has all but 12.4 MiB, for 3 s`.
pub(crate) fn shipper(s: &ShipperStatus, cursor: u64) -> String {
    let lag = s.acked.map(|acked| cursor.saturating_sub(acked));
    let time = s.since.and_then(|at| at.elapsed().ok());
    let since = time.map_or_else(String::new, |time| format!(" for {}", units::lasting(time)));
    let why = if s.why.is_empty() { String::new() } else { format!(": {}", s.why) };
    let had = match lag {
        None => "has acknowledged nothing".to_owned(),
        Some(0) => "has all".to_owned(),
        Some(lag) => {
            let waits = s.waits_for(cursor);
            let time =
                if waits.is_zero() { String::new() } else { format!(", for {}", units::lasting(waits)) };
            format!("has all but {}{time}", units::size(lag))
        }
    };
    let state = match s.state {
        ShipperState::Shipping => return format!("{} {had}", s.sink),
        ShipperState::Away => "is AWAY",
        ShipperState::Denied => "does NOT LET IT IN",
        ShipperState::Decide => "needs a DECISION, its shipper has ended",
        ShipperState::Failed => "has no shipper, it FAILED",
        ShipperState::Ended => "has no shipper",
        _ => "is being reached",
    };
    format!("{} {had}, and {state}{since}{why}", s.sink)
}

/// Lines, as wide as they may be.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) text: String,
    columns: Option<usize>,
}

impl Page {
    pub(crate) fn new(columns: Option<usize>) -> Self {
        Self { text: String::new(), columns }
    }

    pub(crate) fn line(&mut self, text: &str) {
        self.text.push_str(&printable(text));
        self.text.push('\n');
    }

    /// Nothing of a value is left out: it goes on in the next line.
    pub(crate) fn field(&mut self, name: &str, value: &str) {
        let value = printable(value);
        let lines = match self.columns {
            Some(columns) => broken(&value, columns.saturating_sub(INDENT)),
            None => vec![value],
        };
        for (nth, line) in lines.iter().enumerate() {
            let name = if nth == 0 { name } else { "" };
            self.text.push_str(&format!("  {name:width$}{line}\n", width = INDENT - 2));
        }
    }

    /// What to do: what is to be pasted has a line of its own, whole and with nothing beside it.
    pub(crate) fn step(&mut self, name: &str, step: &str) {
        let step = Step::of(step);
        let words = step.words("below");
        if step.begins_with_command() {
            if !name.is_empty() {
                self.line(&format!("  {name}"));
            }
            self.verbatim(step.command);
            if !words.is_empty() {
                self.field("", &words);
            }
            return;
        }
        self.field(name, &words);
        if !step.command.is_empty() {
            self.verbatim(step.command);
        }
    }

    /// Never broken.
    fn verbatim(&mut self, text: &str) {
        self.line(&format!("{:INDENT$}{text}", ""));
    }

    /// Whether it is read on a screen, which has so many lines only.
    pub(crate) const fn is_on_screen(&self) -> bool {
        self.columns.is_some()
    }

    /// At most `most` items, the last of which says how many are missing.
    pub(crate) fn list(&mut self, most: usize, items: impl ExactSizeIterator<Item = String>) {
        let all = items.len();
        let shown = if all > most { most.saturating_sub(1) } else { all };
        for item in items.take(shown) {
            let item = printable(&item);
            let lines = match self.columns {
                Some(columns) => broken(&item, columns.saturating_sub(ITEM + 2)),
                None => vec![item],
            };
            for (nth, line) in lines.iter().enumerate() {
                // What goes on is further in.
                let indent = if nth == 0 { ITEM } else { ITEM + 2 };
                self.text.push_str(&format!("{:indent$}{line}\n", ""));
            }
        }
        if all > shown {
            self.line(&format!("    ... and {} more", all - shown));
        }
    }
}

/// Of a log that cannot be looked at, and of which it is known all the same how it is.
pub(super) fn explained(log: &Path, found: &Finding, columns: Option<usize>) -> String {
    let mut page = Page::new(columns);
    page.line(&format!("{}  {}", found.state, shown(log)));
    page.field("problem", &found.sentence);
    page.step("next", &found.next_step);
    page.text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_whole_at_any_width() {
        for columns in [Some(40), Some(80), None] {
            let mut page = Page::new(columns);
            page.field("next", &"word ".repeat(99));
            assert_eq!(page.text.matches("word").count(), 99);
            assert!(page.text.lines().all(|line| line.len() <= columns.unwrap_or(9999)), "{}", page.text);
        }
    }

    #[test]
    fn what_is_to_be_pasted_has_a_line_of_its_own() {
        let command =
            "mmlogctl prune --keep 5 /a/long/way/to/the/log/that/does/not/fit/into/80/columns/app.log";
        for step in [format!("`{command}` removes 5"), format!("look, or `{command}` removes 5")] {
            let mut page = Page::new(Some(80));
            page.step("next", &step);
            assert!(
                page.text.lines().any(|line| line.trim() == command) && page.text.contains("  next"),
                "{}",
                page.text
            );
        }
    }

    #[test]
    fn a_long_list_says_how_many_are_missing() {
        let mut page = Page::default();
        page.list(3, (1..=9).map(|n| n.to_string()).collect::<Vec<_>>().into_iter());
        assert_eq!(page.text, "    1\n    2\n    ... and 7 more\n");
        let mut page = Page::new(Some(40));
        page.list(3, ["word ".repeat(20).trim_end().to_owned()].into_iter());
        assert_eq!(page.text.matches("word").count(), 20, "{}", page.text);
        assert!(page.text.lines().all(|line| line.len() <= 40) && page.text.contains("\n      word"));
        let mut page = Page::default();
        page.list(3, vec!["a".to_owned(); 3].into_iter());
        assert_eq!(page.text.lines().count(), 3);
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let mut page = Page::default();
        page.field("lock", "held by 1 (\x1b[31mevil\n)");
        assert_eq!(page.text.matches(|c: char| c.is_control()).count(), 1);
    }
}
