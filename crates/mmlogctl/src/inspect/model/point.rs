//! What the mouse does: the wheel scrolls what it points at, a click chooses it.

use ratatui::crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use super::{Model, Pane, Request, Screen};
use crate::inspect::tables::writers;
use crate::inspect::view::canvas::placed;
use crate::inspect::view::{frame, layout, list};

/// Rows for a step of the wheel.
const WHEEL: usize = 3;

impl Model {
    pub(super) fn point(&mut self, event: &MouseEvent) -> Option<Request> {
        let at = Position::new(event.column, event.row);
        match event.kind {
            MouseEventKind::ScrollDown => self.wheel(at, |from, _| from.saturating_add(WHEEL)),
            MouseEventKind::ScrollUp => self.wheel(at, |from, _| from.saturating_sub(WHEEL)),
            MouseEventKind::Down(MouseButton::Left) => return self.click(at),
            _ => {}
        }
        None
    }

    fn wheel(&mut self, at: Position, to: impl Fn(usize, usize) -> usize) {
        if self.dialog.is_none() && self.screen == Screen::Log {
            self.focus(at);
        }
        self.scroll(to);
    }

    /// The pane there, if it is another one.
    fn focus(&mut self, at: Position) {
        let panes = layout::of(self).panes;
        let is_there = |area: Option<Rect>| area.is_some_and(|area| area.contains(at));
        let there = panes.iter().find(|placed| is_there(placed.title) || placed.body.contains(at));
        if let Some(pane) = there.map(|placed| placed.pane).filter(|pane| *pane != self.shown.pane) {
            self.show(pane);
        }
    }

    fn click(&mut self, at: Position) -> Option<Request> {
        if self.dialog.is_some() || self.entry.is_some() {
            return None;
        }
        self.notice = None;
        if self.screen == Screen::List {
            return self.choose(at.y);
        }
        let layout = layout::of(self);
        if layout.tabs.contains(at) {
            let tabs = frame::tabs(self, layout.tabs);
            if let Some((pane, ..)) = tabs.into_iter().find(|(.., place)| place.contains(at)) {
                self.show(pane);
            }
            return None;
        }
        let left = self.shown.left;
        self.focus(at);
        let body = layout.panes.iter().find(|placed| placed.pane == Pane::Writers).map(|placed| placed.body);
        if let Some(body) = body.filter(|body| body.contains(at) && at.y == body.y) {
            let columns = placed(&writers::columns(self, body.width), left, body.width);
            let under = columns.iter().rev().find(|(_, x)| body.x + x <= at.x);
            if let Some((column, _)) = under {
                self.sorting.choose(*column);
            }
        }
        None
    }

    /// A row of the list; the chosen one is opened.
    fn choose(&mut self, y: u16) -> Option<Request> {
        let order = self.in_order();
        let rows = list::page(self.size.height);
        let row = y.checked_sub(list::ABOVE).filter(|row| *row < rows)?;
        let log = *order.get(list::top(self, &order, rows) + usize::from(row))?;
        if self.is_choice && log == self.chosen {
            return self.open();
        }
        (self.chosen, self.is_choice) = (log, true);
        None
    }
}
