//! How the screen says things beside its words: a table with colours and one without.
//!
//! Colour repeats what a word or a mark says already, and never says more. Red and green are never all that tells two
//! things apart: good is cyan, attention is yellow, bad is reversed.

use ratatui::style::{Color, Modifier, Style};

use crate::colours::are_wanted;

/// What each kind of text looks like.
#[derive(Clone, Copy, Debug)]
pub struct Styles {
    /// Ordinary text.
    pub plain: Style,
    /// Names of fields and columns.
    pub label: Style,
    /// All is well.
    pub good: Style,
    /// Somebody should look at it some time.
    pub attention: Style,
    /// Somebody should look at it now.
    pub bad: Style,
    /// The chosen pane, row or match.
    pub chosen: Style,
}

const PLAIN: Style = Style::new();

/// For terminals with colours.
pub const COLOURS: Styles = Styles {
    plain: PLAIN,
    label: PLAIN.fg(Color::Cyan),
    good: PLAIN.fg(Color::Cyan).add_modifier(Modifier::BOLD),
    attention: PLAIN.fg(Color::Yellow).add_modifier(Modifier::BOLD),
    bad: PLAIN.fg(Color::White).bg(Color::Red).add_modifier(Modifier::BOLD),
    chosen: PLAIN.add_modifier(Modifier::REVERSED),
};

/// For those without, and for people who asked for none.
pub const WORDS: Styles = Styles {
    plain: PLAIN,
    label: PLAIN,
    good: PLAIN,
    attention: PLAIN.add_modifier(Modifier::UNDERLINED),
    bad: PLAIN.add_modifier(Modifier::REVERSED),
    chosen: PLAIN.add_modifier(Modifier::REVERSED),
};

impl Styles {
    /// As `NO_COLOR` and `TERM` ask for.
    #[must_use]
    pub fn of_environment() -> &'static Self {
        if are_wanted() { &COLOURS } else { &WORDS }
    }
}
