//! The one table of keys: what the dispatcher looks up and what the help pane shows.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::action::Operation;

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// End the inspector.
    Quit,
    /// Stop as a shell's job.
    Suspend,
    /// Show the keys.
    Help,
    /// One step out: dialog, filter, list of logs.
    Back,
    /// Go on or stand still.
    Pause,
    /// The next pane.
    NextPane,
    /// The one before it.
    PreviousPane,
    /// The pane of findings.
    Findings,
    /// The whole screen for the focused pane, or for all again.
    Zoom,
    /// Give the mouse to the terminal, or take it.
    Mouse,
    /// Copy the command of the next step.
    Copy,
    /// The log that is chosen in the list.
    Open,
    /// A row down.
    Down,
    /// A row up.
    Up,
    /// A page down.
    PageDown,
    /// A page up.
    PageUp,
    /// The first row.
    Top,
    /// The last row.
    Bottom,
    /// Columns further left.
    Left,
    /// Columns further right.
    Right,
    /// Type a text that rows must have.
    Filter,
    /// Type a text to look for.
    Search,
    /// The next match, downwards.
    NextMatch,
    /// The next match, upwards.
    PreviousMatch,
    /// Sort by the next column.
    SortNext,
    /// Sort by the column before.
    SortPrevious,
    /// Sort the other way round.
    Reverse,
    /// Plan and do an operation.
    Operate(Operation),
    /// What was typed is complete.
    Take,
    /// Remove a character.
    Erase,
    /// Remove all that was typed.
    EraseAll,
}

/// Where a key is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Also while something is typed.
    Always,
    /// Unless something is typed.
    Anywhere,
    /// In the list of logs.
    List,
    /// With one log open, no dialog before it.
    Log,
    /// In panes that are tables.
    Tables,
    /// In the table of writers.
    Writers,
    /// In the pane of the last lines.
    Lines,
    /// Before a dialog, nothing to type in it.
    Dialog,
    /// While something is typed.
    Typing,
}

impl Place {
    /// As help says it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Anywhere => "anywhere",
            Self::List => "list of logs",
            Self::Log => "one log",
            Self::Tables => "tables",
            Self::Writers => "writers",
            Self::Lines => "lines",
            Self::Dialog => "dialog",
            Self::Typing => "typing",
        }
    }
}

/// Who may change logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Operations have keys.
    Operate,
    /// They have none (`--read-only`).
    ReadOnly,
}

/// One line of the table.
#[derive(Debug)]
pub struct Binding {
    keys: &'static [(KeyCode, KeyModifiers)],
    /// The keys, as help says them.
    pub shown: &'static str,
    /// What they do.
    pub act: Act,
    /// Where.
    pub place: Place,
    /// What they do, in words; empty where the screen says it.
    pub help: &'static str,
}

const fn key(code: KeyCode) -> (KeyCode, KeyModifiers) {
    (code, KeyModifiers::NONE)
}

const fn char(c: char) -> (KeyCode, KeyModifiers) {
    key(KeyCode::Char(c))
}

const fn control(c: char) -> (KeyCode, KeyModifiers) {
    (KeyCode::Char(c), KeyModifiers::CONTROL)
}

macro_rules! bindings {
    ($($keys:expr, $shown:literal, $act:expr, $place:ident, $help:literal;)*) => {
        &[$(Binding { keys: &$keys, shown: $shown, act: $act, place: Place::$place, help: $help }),*]
    };
}

/// All keys, in the order of the help pane.
pub const TABLE: &[Binding] = bindings![
    [char('q')], "q", Act::Quit, Anywhere, "quit";
    [char('?')], "?", Act::Help, Anywhere, "show or hide the keys";
    [key(KeyCode::Esc)], "Esc", Act::Back, Anywhere, "one step out";
    [char(' ')], "Space", Act::Pause, Anywhere, "pause, go on";
    [char('j'), key(KeyCode::Down)], "j Down", Act::Down, Anywhere, "down";
    [char('k'), key(KeyCode::Up)], "k Up", Act::Up, Anywhere, "up";
    [char('g'), key(KeyCode::Home)], "g Home", Act::Top, Anywhere, "first row";
    [char('G'), key(KeyCode::End)], "G End", Act::Bottom, Anywhere, "last row; follow again";
    [char('m')], "m", Act::Mouse, Anywhere, "mouse clicks, or selects";
    [char('y')], "y", Act::Copy, Anywhere, "copy the command";
    [control('c')], "Ctrl-C", Act::Quit, Always, "quit";
    [control('z')], "Ctrl-Z", Act::Suspend, Always, "stop, until fg";
    [key(KeyCode::PageDown)], "PgDn", Act::PageDown, Always, "a page down";
    [key(KeyCode::PageUp)], "PgUp", Act::PageUp, Always, "a page up";
    [key(KeyCode::Enter)], "Enter", Act::Open, List, "open the chosen log";
    [char('/')], "/", Act::Filter, List, "only logs with a text";
    [key(KeyCode::Tab)], "Tab", Act::NextPane, Log, "next pane";
    [key(KeyCode::BackTab), (KeyCode::BackTab, KeyModifiers::SHIFT)], "Shift-Tab", Act::PreviousPane, Log, "previous pane";
    [char('z')], "z", Act::Zoom, Log, "this pane alone, or all";
    [char('f')], "f", Act::Findings, Log, "all findings";
    [char('h'), key(KeyCode::Left)], "h Left", Act::Left, Log, "columns further left";
    [char('l'), key(KeyCode::Right)], "l Right", Act::Right, Log, "columns further right";
    [char('T')], "T", Act::Operate(Operation::Trim), Log, "trim (plan first)";
    [char('R')], "R", Act::Operate(Operation::Rotate), Log, "rotate (plan first)";
    [char('X')], "X", Act::Operate(Operation::Repair), Log, "repair (plan first)";
    [char('/')], "/", Act::Filter, Tables, "only rows with a text";
    [char('s')], "s", Act::SortNext, Writers, "sort by the next column";
    [char('S')], "S", Act::SortPrevious, Writers, "sort by the one before";
    [char('o')], "o", Act::Reverse, Writers, "sort the other way round";
    [char('/')], "/", Act::Search, Lines, "search";
    [char('n')], "n", Act::NextMatch, Lines, "next match";
    [char('N')], "N", Act::PreviousMatch, Lines, "previous match";
    [key(KeyCode::Enter)], "Enter", Act::Back, Dialog, "";
    [key(KeyCode::Enter)], "Enter", Act::Take, Typing, "";
    [key(KeyCode::Esc)], "Esc", Act::Back, Typing, "";
    [key(KeyCode::Backspace)], "Backspace", Act::Erase, Typing, "";
    [control('u')], "Ctrl-U", Act::EraseAll, Typing, "";
];

impl Binding {
    /// Whether this access has it.
    #[must_use]
    pub fn is_for(&self, access: Access) -> bool {
        access == Access::Operate || !matches!(self.act, Act::Operate(_))
    }
}

/// What a key does in these places.
#[must_use]
pub fn act(event: &KeyEvent, places: &[Place], access: Access) -> Option<Act> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    // A capital is a letter of its own, whether or not the terminal says Shift.
    let modifiers = match event.code {
        KeyCode::Char(_) => event.modifiers - KeyModifiers::SHIFT,
        _ => event.modifiers,
    };
    let pressed = (event.code, modifiers);
    let here = |b: &&Binding| places.contains(&b.place) && b.is_for(access) && b.keys.contains(&pressed);
    TABLE.iter().find(here).map(|b| b.act)
}

/// The character of a key, where one types.
#[must_use]
pub fn typed(event: &KeyEvent) -> Option<char> {
    let plain = event.modifiers.difference(KeyModifiers::SHIFT).is_empty();
    match event.code {
        KeyCode::Char(c) if plain && event.kind != KeyEventKind::Release && !c.is_control() => Some(c),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: [&[Place]; 5] = [
        &[Place::Always, Place::Anywhere, Place::List],
        &[Place::Always, Place::Anywhere, Place::Log, Place::Tables, Place::Writers],
        &[Place::Always, Place::Anywhere, Place::Log, Place::Tables],
        &[Place::Always, Place::Anywhere, Place::Log, Place::Lines],
        &[Place::Always, Place::Typing],
    ];

    #[test]
    fn no_key_means_two_things_in_one_place() {
        for places in PLACES {
            let mut keys: Vec<_> =
                TABLE.iter().filter(|b| places.contains(&b.place)).flat_map(|b| b.keys).collect();
            let all = keys.len();
            keys.dedup();
            keys.sort_by_key(|key| format!("{key:?}"));
            keys.dedup();
            assert_eq!(keys.len(), all, "{places:?}");
        }
    }

    #[test]
    fn every_line_of_the_table_is_found_by_its_keys() {
        for binding in TABLE {
            for (code, modifiers) in binding.keys {
                let event = KeyEvent::new(*code, *modifiers);
                assert_eq!(act(&event, &[binding.place], Access::Operate), Some(binding.act), "{binding:?}");
            }
        }
    }

    #[test]
    fn a_capital_needs_no_shift_and_control_is_another_key() {
        let shifted = KeyEvent::new(KeyCode::Char('G'), KeyModifiers::SHIFT);
        assert_eq!(act(&shifted, PLACES[1], Access::Operate), Some(Act::Bottom));
        let other = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::CONTROL);
        assert_eq!(act(&other, PLACES[1], Access::Operate), None);
        assert_eq!(typed(&other), None);
    }

    #[test]
    fn who_may_only_read_has_no_operations() {
        for letter in ['T', 'R', 'X'] {
            let event = KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE);
            assert!(act(&event, PLACES[1], Access::Operate).is_some(), "{letter}");
            assert_eq!(act(&event, PLACES[1], Access::ReadOnly), None, "{letter}");
        }
    }
}
