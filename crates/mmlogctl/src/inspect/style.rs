//! How the screen says things beside its words: a table with colours and one without, and characters that the terminal has.
//!
//! Colour repeats what a word or a mark says already, and never says more. From afar it is a ladder: green, yellow, red.

use std::env;

use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;

use crate::text::locale_has_unicode;

/// What a text is, whatever it looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Ordinary text.
    #[default]
    Plain,
    /// Names of fields and columns.
    Label,
    /// What is to be read first, or pasted.
    Strong,
    /// All is well.
    Good,
    /// Somebody should look at it some time.
    Attention,
    /// Somebody should look at it now.
    Bad,
    /// A row about something that is bad.
    Loud,
    /// The chosen pane, row or match.
    Chosen,
    /// What a chart is drawn with.
    Chart,
}

/// Text of one kind.
pub type Span = (Kind, String);
/// A row of it.
pub type Line = Vec<Span>;

/// A row of one kind.
pub fn line(kind: Kind, text: impl Into<String>) -> Line {
    vec![(kind, text.into())]
}

/// What each kind of text looks like.
#[derive(Clone, Copy, Debug)]
pub struct Styles {
    styles: [Style; 9],
    /// Whether the log's own colours are shown.
    pub colours: bool,
    /// Characters beside text.
    pub glyphs: Glyphs,
    /// Nothing but ASCII is drawn, whatever the text has: without UTF-8 a terminal may take other bytes for control
    /// characters.
    pub is_ascii: bool,
}

/// Characters for what is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glyphs {
    /// A line from left to right.
    pub across: char,
    /// A line from top to bottom.
    pub down: char,
    /// The corners of a frame: top left, top right, bottom left, bottom right.
    pub corners: [char; 4],
    /// Sorted with the greatest first, and with the least first.
    pub sorted: [char; 2],
    /// Beside what is well, what needs attention, what is bad.
    pub marks: [char; 3],
    /// The row that is chosen.
    pub chosen: char,
    /// What charts are drawn with.
    pub chart: Marker,
    /// What bars are drawn with: an eighth of a column, two, and so on to all of it.
    pub bars: [char; 8],
}

const UNICODE: Glyphs = Glyphs {
    across: '\u{2500}',
    down: '\u{2502}',
    corners: ['\u{250c}', '\u{2510}', '\u{2514}', '\u{2518}'],
    sorted: ['\u{25bc}', '\u{25b2}'],
    marks: ['\u{2713}', '!', '\u{2717}'],
    chosen: '\u{25b6}',
    chart: Marker::Braille,
    bars: ['\u{258f}', '\u{258e}', '\u{258d}', '\u{258c}', '\u{258b}', '\u{258a}', '\u{2589}', '\u{2588}'],
};

const ASCII: Glyphs = Glyphs {
    across: '-',
    down: '|',
    corners: ['+'; 4],
    sorted: ['v', '^'],
    marks: [' ', '!', 'X'],
    chosen: '>',
    chart: Marker::Custom('#'),
    bars: ['#'; 8],
};

const PLAIN: Style = Style::new();

/// For terminals with colours.
pub const COLOURS: Styles = Styles {
    styles: [
        PLAIN,
        PLAIN.fg(Color::Cyan),
        PLAIN.add_modifier(Modifier::BOLD),
        PLAIN.fg(Color::Green).add_modifier(Modifier::BOLD),
        PLAIN.fg(Color::Yellow).add_modifier(Modifier::BOLD),
        PLAIN.fg(Color::White).bg(Color::Red).add_modifier(Modifier::BOLD),
        PLAIN.fg(Color::Red).add_modifier(Modifier::BOLD),
        PLAIN.add_modifier(Modifier::REVERSED),
        PLAIN.fg(Color::Green),
    ],
    colours: true,
    glyphs: UNICODE,
    is_ascii: false,
};

/// For those without, and for people who asked for none.
pub const WORDS: Styles = Styles {
    styles: [
        PLAIN,
        PLAIN,
        PLAIN,
        PLAIN,
        PLAIN.add_modifier(Modifier::UNDERLINED),
        PLAIN.add_modifier(Modifier::REVERSED),
        PLAIN.add_modifier(Modifier::UNDERLINED),
        PLAIN.add_modifier(Modifier::REVERSED),
        PLAIN,
    ],
    colours: false,
    glyphs: UNICODE,
    is_ascii: false,
};

impl Styles {
    /// With colours or without, and with the characters that the locale and the terminal have.
    #[must_use]
    pub fn with(colours: bool) -> Self {
        let styles = if colours { COLOURS } else { WORDS };
        match (locale_has_unicode(), has_font()) {
            (false, _) => styles.in_ascii(),
            (true, true) => styles,
            (true, false) => Self { glyphs: ASCII, ..styles },
        }
    }

    /// With no others than those of ASCII.
    #[must_use]
    pub const fn in_ascii(self) -> Self {
        Self { glyphs: ASCII, is_ascii: true, ..self }
    }

    /// What a text of that kind looks like.
    #[must_use]
    pub const fn of(&self, kind: Kind) -> Style {
        self.styles[kind as usize]
    }
}

/// The console of Linux has no font for all of it.
fn has_font() -> bool {
    env::var_os("TERM").is_none_or(|term| term != "linux")
}
