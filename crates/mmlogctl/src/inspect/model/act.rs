//! What keys do to the model.

use mmlog::Sight;
use ratatui::crossterm::event::KeyEvent;

use super::operation::{Operating, Stage, Word};
use super::{Dialog, Entry, Model, Motion, Mouse, Pane, Purpose, Request, Screen};
use crate::inspect::action::Operation;
use crate::inspect::keys::{self, Act};
use crate::inspect::view;

/// Lines are moved sideways by so many characters.
const SIDEWAYS: usize = 10;
/// Nobody types more.
const LONGEST_ENTRY: usize = 200;

/// Towards which end.
#[derive(Clone, Copy)]
enum Way {
    Next,
    Previous,
}

impl Model {
    pub(super) fn key(&mut self, key: &KeyEvent) -> Option<Request> {
        let act = keys::act(key, &self.places(), self.access);
        if act.is_none() {
            self.type_in(key);
            return None;
        }
        self.notice = None;
        let request = act.and_then(|act| self.act(act));
        self.keep_in_range();
        request
    }

    fn type_in(&mut self, key: &KeyEvent) {
        self.notice = None;
        if let (Some(entry), Some(c)) = (&mut self.entry, keys::typed(key))
            && entry.text.chars().count() < LONGEST_ENTRY
        {
            entry.text.push(c);
        }
        self.preview();
    }

    /// A filter works while it is typed.
    fn preview(&mut self) {
        if let Some(Entry { purpose: Purpose::Filter, text }) = &self.entry {
            let text = text.clone();
            *self.filter_mut() = text;
        }
    }

    /// Of the list, or of the pane.
    const fn filter_mut(&mut self) -> &mut String {
        match self.screen {
            Screen::List => &mut self.filter,
            Screen::Log => &mut self.shown.filter,
        }
    }

    fn act(&mut self, act: Act) -> Option<Request> {
        match act {
            Act::Quit => return Some(Request::Quit),
            Act::Suspend => return Some(Request::Suspend),
            Act::Help => self.help(),
            Act::Back => return self.back(),
            Act::Pause => return self.pause(),
            Act::NextPane => self.turn(1),
            Act::PreviousPane => self.turn(Pane::ALL.len() - 1),
            Act::Findings => self.show(Pane::Findings),
            Act::Zoom => self.zoomed = !self.zoomed,
            Act::Mouse => return Some(self.exchange_mouse()),
            Act::Copy => return self.copy(),
            Act::Open => return self.open(),
            Act::Down => self.scroll(|at, _| at.saturating_add(1)),
            Act::Up => self.scroll(|at, _| at.saturating_sub(1)),
            Act::PageDown => self.scroll(|at, page| at.saturating_add(page)),
            Act::PageUp => self.scroll(|at, page| at.saturating_sub(page)),
            Act::Top => self.scroll(|_, _| 0),
            Act::Bottom => self.scroll(|_, _| usize::MAX),
            Act::Left => self.shown.left = self.shown.left.saturating_sub(self.sideways()),
            Act::Right => self.shown.left += self.sideways(),
            Act::Filter => {
                let text = self.filter_mut().clone();
                self.begin(Purpose::Filter, text);
            }
            Act::Search => self.begin(Purpose::Search, String::new()),
            Act::NextMatch => self.find(Way::Next),
            Act::PreviousMatch => self.find(Way::Previous),
            Act::SortNext => self.sorting.turn(1),
            Act::SortPrevious => self.sorting.turn(-1),
            Act::Reverse => self.sorting.reverse(),
            Act::Operate(operation) => return self.operate(operation),
            Act::Take => return self.take(),
            Act::Erase => {
                self.erase(|text| text.truncate(text.char_indices().last().map_or(0, |(at, _)| at)))
            }
            Act::EraseAll => self.erase(String::clear),
        }
        None
    }

    fn help(&mut self) {
        self.dialog = match self.dialog.take() {
            Some(Dialog::Help(_)) => None,
            None => Some(Dialog::Help(0)),
            operating => operating,
        };
    }

    /// One step out, the innermost first. What runs is not left alone.
    fn back(&mut self) -> Option<Request> {
        if let Some(entry) = self.entry.take() {
            match entry.purpose {
                Purpose::Filter => self.filter_mut().clear(),
                Purpose::Search => {}
                Purpose::Confirmation => self.dialog = None,
            }
        } else if let Some(dialog) = self.dialog.take() {
            if matches!(&dialog, Dialog::Operating(operating) if operating.is_running()) {
                self.dialog = Some(dialog);
                self.notice = Some("it runs; it ends by itself".to_owned());
            }
        } else if !self.filter_mut().is_empty() {
            self.filter_mut().clear();
        } else if self.screen == Screen::List {
            return None;
        } else if !self.shown.search.is_empty() {
            self.shown.search.clear();
        } else if self.zoomed {
            self.zoomed = false;
        } else if self.is_search || self.logs.len() > 1 {
            self.screen = Screen::List;
            return Some(Request::Look);
        }
        None
    }

    pub(super) fn open(&mut self) -> Option<Request> {
        if !self.in_order().contains(&self.chosen) {
            return None;
        }
        (self.screen, self.zoomed) = (Screen::Log, false);
        self.show(Pane::default());
        Some(Request::Look)
    }

    fn exchange_mouse(&mut self) -> Request {
        let (mouse, notice) = match self.mouse {
            Mouse::Ours => (Mouse::Terminals, "m: the mouse selects text now"),
            Mouse::Terminals => (Mouse::Ours, "m: the mouse clicks and scrolls now"),
        };
        (self.mouse, self.notice) = (mouse, Some(notice.to_owned()));
        Request::Mouse(mouse)
    }

    fn copy(&mut self) -> Option<Request> {
        let command = self.log().findings().first().and_then(|finding| finding.command().map(str::to_owned));
        let Some(command) = command else {
            self.notice = Some("there is no command to copy".to_owned());
            return None;
        };
        self.notice = Some(format!("copied, if the terminal lets us: {command}"));
        Some(Request::Copy(command))
    }

    fn pause(&mut self) -> Option<Request> {
        self.motion = match self.motion {
            Motion::Live => Motion::Paused,
            Motion::Paused => Motion::Live,
        };
        (self.motion == Motion::Live).then_some(Request::Look)
    }

    fn turn(&mut self, by: usize) {
        let at = Pane::ALL.iter().position(|pane| *pane == self.shown.pane).unwrap_or(0);
        self.show(Pane::ALL[(at + by) % Pane::ALL.len()]);
    }

    pub(super) fn show(&mut self, pane: Pane) {
        let search = std::mem::take(&mut self.shown.search);
        self.shown = super::Shown { pane, search, ..Default::default() };
    }

    const fn sideways(&self) -> usize {
        if matches!(self.shown.pane, Pane::Lines) { SIDEWAYS } else { 1 }
    }

    /// Where the first row is now, and a page's rows, tell where it goes.
    pub(super) fn scroll(&mut self, to: impl Fn(usize, usize) -> usize) {
        let page = view::page(self);
        match &mut self.dialog {
            Some(Dialog::Help(top)) => *top = to(*top, page),
            Some(Dialog::Operating(operating)) => operating.top = to(operating.top, page),
            None if self.screen == Screen::List => {
                let order = self.in_order();
                let at = order.iter().position(|log| *log == self.chosen).unwrap_or(0);
                let to = to(at, page).min(order.len().saturating_sub(1));
                (self.chosen, self.is_choice) = (order.get(to).copied().unwrap_or(self.chosen), true);
            }
            None if self.shown.pane == Pane::Lines => {
                let range = self.log().lines.range();
                let at = self.shown.line.unwrap_or_else(|| range.end.saturating_sub(page as u64));
                let at = to(usize::try_from(at.saturating_sub(range.start)).unwrap_or(0), page);
                self.shown.line = Some(range.start.saturating_add(at as u64));
            }
            None => self.shown.top = to(self.shown.top, page),
        }
    }

    /// After anything: no row beyond the last, and at the end of the lines they are followed again.
    pub(super) fn keep_in_range(&mut self) {
        let (page, rows) = (view::page(self), view::rows(self));
        let last = rows.saturating_sub(page);
        match &mut self.dialog {
            Some(Dialog::Help(top)) => *top = (*top).min(last),
            Some(Dialog::Operating(operating)) => operating.top = operating.top.min(last),
            None => {}
        }
        self.chosen = self.chosen.min(self.logs.len().saturating_sub(1));
        if self.screen == Screen::List {
            let order = self.in_order();
            if !order.contains(&self.chosen) {
                self.chosen = order.first().copied().unwrap_or(self.chosen);
            }
        }
        if self.dialog.is_none() && self.screen == Screen::Log {
            self.shown.top = self.shown.top.min(last);
            self.shown.left = self.shown.left.min(view::columns(self));
        }
        let range = self.log().lines.range();
        let end = range.end.saturating_sub(page as u64);
        self.shown.line = self.shown.line.filter(|at| *at < end).map(|at| at.max(range.start));
    }

    fn begin(&mut self, purpose: Purpose, text: String) {
        self.entry = Some(Entry { purpose, text });
    }

    fn erase(&mut self, how: impl Fn(&mut String)) {
        if let Some(entry) = &mut self.entry {
            how(&mut entry.text);
        }
        self.preview();
    }

    fn take(&mut self) -> Option<Request> {
        let entry = self.entry.take()?;
        match entry.purpose {
            Purpose::Filter => *self.filter_mut() = entry.text,
            Purpose::Search => {
                (self.shown.search, self.shown.found) = (entry.text, None);
                self.find(Way::Previous);
            }
            Purpose::Confirmation => return self.confirm(entry),
        }
        None
    }

    /// The next match from the last one on; the first is the latest.
    fn find(&mut self, way: Way) {
        let matches = self.log().lines.matches(&self.shown.search);
        let from = self.shown.found;
        let found = match (way, from) {
            (Way::Next, Some(from)) => matches.iter().find(|n| **n > from),
            (Way::Previous, Some(from)) => matches.iter().rev().find(|n| **n < from),
            (_, None) => matches.last(),
        };
        match found {
            Some(number) => {
                self.shown.found = Some(*number);
                self.shown.line = Some(number.saturating_sub(view::page(self) as u64 / 2));
            }
            None if from.is_some() && !matches.is_empty() => self.notice = Some("no more matches".to_owned()),
            None => self.notice = Some(format!("not found: {}", self.shown.search)),
        }
    }

    fn operate(&mut self, operation: Operation) -> Option<Request> {
        if self.log().sight != Sight::Here {
            self.notice = Some("not possible from here: at its path is another file, or none".to_owned());
            return None;
        }
        let operating = Operating::new(operation, self.log().path.clone());
        let order = operating.order();
        self.dialog = Some(Dialog::Operating(operating));
        Some(Request::Run(order))
    }

    fn confirm(&mut self, entry: Entry) -> Option<Request> {
        let Some(Dialog::Operating(operating)) = &mut self.dialog else { return None };
        match operating.word(&entry.text) {
            Word::Go => operating.begin(Stage::Doing),
            Word::Plan(options) => {
                operating.options = options;
                operating.begin(Stage::Planning);
            }
            Word::Unknown => {
                let name = operating.operation.name();
                self.notice = Some(format!("not done: type {name}"));
                self.entry = Some(Entry { text: String::new(), ..entry });
                return None;
            }
        }
        Some(Request::Run(operating.order()))
    }
}
