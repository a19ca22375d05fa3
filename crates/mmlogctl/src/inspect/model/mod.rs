//! What the inspector knows and shows: plain data that events change.
//!
//! It opens nothing, starts nothing and asks no clock. What has to be done in the world it returns as a [`Request`].

mod act;
mod census;
pub mod lines;
pub mod log;
pub mod operation;
pub mod order;
mod point;
pub mod reader;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use mmlog::Sight;
use ratatui::crossterm::event::{KeyEvent, MouseEvent};
use ratatui::layout::Size;

use super::action::{News, Order};
use super::keys::{Access, Place};
use super::source::Look;
use super::tables::writers;
use super::tail::Piece;
use super::view;
use super::zone::Zone;
use crate::discovery::Census;
use crate::who::{self, Who};
use log::Log;
use operation::Operating;

/// The parts of a log that there is one place on the screen for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pane {
    /// Who appends.
    #[default]
    Writers,
    /// What was appended last.
    Lines,
    /// Lock, gate, maintenance, who waits, the last operations.
    Lock,
    /// Consumers that announced themselves.
    Followers,
    /// Ranges without content.
    Holes,
    /// Data files.
    Segments,
    /// All that is wrong or worth knowing.
    Findings,
    /// The last minutes.
    Charts,
}

impl Pane {
    /// In the order of Tab.
    pub const ALL: [Self; 8] = [
        Self::Writers,
        Self::Lines,
        Self::Lock,
        Self::Followers,
        Self::Holes,
        Self::Segments,
        Self::Findings,
        Self::Charts,
    ];

    /// Its name on the screen.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Writers => "writers",
            Self::Lines => "lines",
            Self::Lock => "lock",
            Self::Followers => "followers",
            Self::Holes => "holes",
            Self::Segments => "segments",
            Self::Findings => "findings",
            Self::Charts => "charts",
        }
    }

    /// Whether it is rows and columns.
    #[must_use]
    pub const fn is_table(self) -> bool {
        matches!(self, Self::Writers | Self::Followers | Self::Holes | Self::Segments)
    }
}

/// What is on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// The list of several logs.
    List,
    /// The one that is chosen.
    Log,
}

/// Whether looks are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    /// They are.
    Live,
    /// All stands still, to be read.
    Paused,
}

/// Whether the terminal tells us of its mouse, or selects text with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mouse {
    /// Clicks and the wheel are ours.
    Ours,
    /// They are the terminal's.
    Terminals,
}

/// Something that lies over the screen.
#[derive(Debug)]
pub enum Dialog {
    /// The keys; the first line that is shown.
    Help(usize),
    /// An operation.
    Operating(Operating),
}

/// What is typed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A text that rows must have.
    Filter,
    /// A text to look for.
    Search,
    /// A word without which nothing is done.
    Confirmation,
}

/// A line that is being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// For what.
    pub purpose: Purpose,
    /// So far.
    pub text: String,
}

/// How the open log is shown.
#[derive(Debug, Default)]
pub struct Shown {
    /// Which pane.
    pub pane: Pane,
    /// The first row of it that is shown.
    pub top: usize,
    /// So many columns are left of the screen; of lines, characters.
    pub left: usize,
    /// Rows must have it; empty for all.
    pub filter: String,
    /// What is looked for in the lines; empty for nothing.
    pub search: String,
    /// The number of the line at the top, unless the end is followed.
    pub line: Option<u64>,
    /// The number of the match that was gone to.
    pub found: Option<u64>,
}

/// Everything that is known and shown.
#[derive(Debug)]
pub struct Model {
    /// In the order of the command line, or by path.
    pub logs: Vec<Log>,
    /// What is shown where there is no log.
    pub none: Log,
    /// They are those that are found, and come and go.
    pub is_search: bool,
    /// What there may be besides those that were found.
    pub notes: Vec<String>,
    /// The chosen one.
    pub chosen: usize,
    /// Somebody has chosen it; else it is the one to look at first.
    pub is_choice: bool,
    /// A text that the logs of the list must have; empty for all.
    pub filter: String,
    /// What is on the screen.
    pub screen: Screen,
    /// How the open log is shown.
    pub shown: Shown,
    /// How writers are sorted.
    pub sorting: writers::Sorting,
    /// What lies over it.
    pub dialog: Option<Dialog>,
    /// What is typed.
    pub entry: Option<Entry>,
    /// One line about the last key.
    pub notice: Option<String>,
    /// Whether looks are taken.
    pub motion: Motion,
    /// Who may change logs.
    pub access: Access,
    /// The focused pane has the whole screen.
    pub zoomed: bool,
    /// Who has the mouse.
    pub mouse: Mouse,
    /// Where times are told.
    pub zone: Zone,
    /// The screen.
    pub size: Size,
    /// At the last look.
    pub now: SystemTime,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// A key was pressed.
    Key(KeyEvent),
    /// The mouse was used.
    Mouse(MouseEvent),
    /// The screen has another size.
    Size(Size),
    /// A log was looked at.
    Looked {
        /// Which.
        log: usize,
        /// Since the inspector began.
        at: Duration,
        /// What was seen.
        look: Look,
    },
    /// All that is shown was looked at, at that time by the clock.
    Round(SystemTime),
    /// These logs there are.
    Found(Census),
    /// The end of a log was read.
    Read {
        /// Which.
        log: usize,
        /// What came.
        pieces: Vec<Piece>,
    },
    /// Who the writers of a log are.
    Introduced {
        /// Of which.
        log: usize,
        /// Those of whom something is known now.
        people: Vec<(who::Key, Who)>,
    },
    /// The child said something, or ended.
    Job(News),
}

/// What has to be done in the world.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    /// End.
    Quit,
    /// Stop, as a shell's job.
    Suspend,
    /// Look now.
    Look,
    /// Run the tool.
    Run(Order),
    /// Take or give back the mouse.
    Mouse(Mouse),
    /// Have the terminal take a text, to be pasted.
    Copy(String),
}

impl Model {
    /// Nothing was looked at yet. Without logs they are those that are found.
    #[must_use]
    pub fn new(logs: &[PathBuf], access: Access, size: Size) -> Self {
        Self {
            logs: logs.iter().map(|path| Log::new(path)).collect(),
            none: Log::new(Path::new("")),
            is_search: logs.is_empty(),
            notes: Vec::new(),
            chosen: 0,
            is_choice: false,
            filter: String::new(),
            screen: if logs.len() == 1 { Screen::Log } else { Screen::List },
            shown: Shown::default(),
            sorting: writers::Sorting::default(),
            dialog: None,
            entry: None,
            notice: None,
            motion: Motion::Live,
            access,
            zoomed: false,
            mouse: Mouse::Terminals,
            zone: Zone::utc(),
            size,
            now: SystemTime::UNIX_EPOCH,
        }
    }

    /// The open log, or the one that the list has chosen.
    #[must_use]
    pub fn log(&self) -> &Log {
        self.logs.get(self.chosen).unwrap_or(&self.none)
    }

    /// Whether a look at that log is shown.
    #[must_use]
    pub fn wants(&self, log: usize) -> bool {
        let is_shown = self.screen == Screen::List || log == self.chosen;
        self.is_live() && is_shown && self.logs.get(log).is_some_and(|log| log.sight == Sight::Here)
    }

    /// Whether looks are taken.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.motion == Motion::Live
    }

    /// Whether the last lines of that log are shown.
    #[must_use]
    pub fn wants_lines(&self, log: usize) -> bool {
        self.wants(log) && self.screen == Screen::Log && view::shows(self, Pane::Lines)
    }

    /// What rows of a pane must have: only the focused one is filtered.
    #[must_use]
    pub fn filter_of(&self, pane: Pane) -> &str {
        if self.shown.pane == pane { &self.shown.filter } else { "" }
    }

    /// Where keys are looked at now.
    #[must_use]
    pub fn places(&self) -> Vec<Place> {
        if self.entry.is_some() {
            return vec![Place::Always, Place::Typing];
        }
        let mut places = vec![Place::Always, Place::Anywhere];
        match (&self.dialog, self.screen) {
            (Some(_), _) => places.push(Place::Dialog),
            (None, Screen::List) => places.push(Place::List),
            (None, Screen::Log) => {
                places.push(Place::Log);
                places.extend(self.shown.pane.is_table().then_some(Place::Tables));
                places.extend((self.shown.pane == Pane::Writers).then_some(Place::Writers));
                places.extend((self.shown.pane == Pane::Lines).then_some(Place::Lines));
            }
        }
        places
    }

    /// Takes what happened.
    pub fn update(&mut self, event: Event) -> Option<Request> {
        match event {
            Event::Key(key) => return self.key(&key),
            Event::Mouse(event) => {
                let request = self.point(&event);
                self.keep_in_range();
                return request;
            }
            Event::Size(size) => self.size = size,
            Event::Looked { log, at, look } => {
                if let Some(log) = self.logs.get_mut(log) {
                    log.looked(at, look);
                }
                // Of a thousand logs each is looked at, and then the order is asked for once.
                return None;
            }
            Event::Round(now) => {
                self.now = now;
                self.choose_worst();
            }
            Event::Found(census) => {
                self.found(census);
                self.choose_worst();
            }
            Event::Read { log, pieces } => {
                if let Some(log) = self.logs.get_mut(log) {
                    pieces.iter().for_each(|piece| log.lines.take(piece));
                }
            }
            Event::Introduced { log, people } => {
                if let Some(log) = self.logs.get_mut(log) {
                    log.introduced(people);
                }
            }
            Event::Job(news) => self.job(&news),
        }
        self.keep_in_range();
        None
    }

    /// Until somebody has chosen.
    fn choose_worst(&mut self) {
        if !self.is_choice && self.screen == Screen::List {
            self.chosen = self.in_order().first().copied().unwrap_or(self.chosen);
        }
    }

    fn job(&mut self, news: &News) {
        let Some(Dialog::Operating(operating)) = &mut self.dialog else { return };
        operating.take(news);
        if operating.wants_confirmation() && self.entry.is_none() {
            self.entry = Some(Entry { purpose: Purpose::Confirmation, text: String::new() });
        }
    }
}
