//! Draws the model; pure functions of it.
//!
//! - From 100x30 on several panes are side by side (`layout`); below, the chosen one has what the head leaves.
//! - Below 20x5 there is a word.

pub mod canvas;
mod charts;
mod dialog;
mod figures;
pub(crate) mod frame;
mod head;
pub(crate) mod layout;
pub(crate) mod list;
pub mod pane;
pub mod strip;
#[cfg(test)]
mod svg;
#[cfg(test)]
mod tests;

use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};

use crate::inspect::model::{Dialog, Model, Pane, Screen};
use crate::inspect::style::Styles;
use canvas::Canvas;

/// From here on there are several panes.
const LARGE: Size = Size::new(100, 30);
/// Below it nothing fits.
const LEAST: Size = Size::new(20, 5);

/// What fits on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Panes side by side.
    Large,
    /// One pane or two.
    Small,
    /// A word.
    None,
}

/// What fits on a screen of that size.
#[must_use]
pub const fn form(size: Size) -> Form {
    if size.width < LEAST.width || size.height < LEAST.height {
        Form::None
    } else if size.width < LARGE.width || size.height < LARGE.height {
        Form::Small
    } else {
        Form::Large
    }
}

/// Draws the whole screen.
pub fn draw(model: &Model, styles: &Styles, buffer: &mut Buffer) {
    let area = buffer.area;
    draw_whole(model, &mut Canvas::new(buffer, area, styles));
    if styles.is_ascii {
        for cell in buffer.content.iter_mut().filter(|cell| !cell.symbol().is_ascii()) {
            cell.set_char('?');
        }
    }
}

fn draw_whole(model: &Model, canvas: &mut Canvas<'_>) {
    match (form(canvas.area().as_size()), model.screen) {
        (Form::None, _) => {
            frame::too_small(canvas);
            return;
        }
        (_, Screen::List) => list::draw(model, canvas),
        (_, Screen::Log) => {
            let layout = layout::of(model);
            head::draw(model, &mut canvas.part(layout.head));
            frame::draw_tabs(model, &mut canvas.part(layout.tabs));
            layout.panes.iter().for_each(|placed| pane::draw(model, *placed, canvas));
            if let Some(divider) = layout.divider {
                canvas.part(divider).divide();
            }
            frame::foot(model, &mut canvas.part(layout.foot));
        }
    }
    dialog::draw(model, canvas);
}

/// Whether a pane of the open log is on the screen.
#[must_use]
pub fn shows(model: &Model, pane: Pane) -> bool {
    layout::of(model).panes.iter().any(|placed| placed.pane == pane)
}

/// How many rows of what is scrolled are on the screen.
#[must_use]
pub fn page(model: &Model) -> usize {
    let screen = Rect::from((ratatui::layout::Position::ORIGIN, model.size));
    let rows = match (&model.dialog, model.screen) {
        (Some(dialog), _) => dialog::page(model, dialog, screen),
        (None, Screen::List) => list::page(screen.height),
        (None, Screen::Log) => {
            let title = u16::from(model.shown.pane.is_table());
            layout::of(model).focused(model).map_or(0, |placed| placed.body.height.saturating_sub(title))
        }
    };
    usize::from(rows).max(1)
}

/// How many rows there are of what is scrolled.
#[must_use]
pub fn rows(model: &Model) -> usize {
    let screen = Rect::from((ratatui::layout::Position::ORIGIN, model.size));
    match (&model.dialog, model.screen) {
        (Some(Dialog::Help(_)), _) => dialog::help(model, screen).len(),
        (Some(Dialog::Operating(operating)), _) => dialog::said(operating, screen).len(),
        (None, Screen::List) => model.in_order().len(),
        (None, Screen::Log) => {
            let width = layout::of(model).focused(model).map_or(0, |placed| placed.body.width);
            pane::rows(model, model.shown.pane, width)
        }
    }
}

/// How many columns may be left of the screen.
#[must_use]
pub fn columns(model: &Model) -> usize {
    match model.shown.pane {
        Pane::Lines => 4096,
        Pane::Writers => crate::inspect::tables::writers::COLUMNS - 2,
        Pane::Followers => 6,
        Pane::Segments => 5,
        Pane::Holes => 4,
        Pane::Lock | Pane::Findings | Pane::Charts => 0,
    }
}

/// A drawn screen as plain text, without blanks at the ends of lines.
#[must_use]
pub fn plain(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        let mut covered = 0;
        for x in 0..buffer.area.width {
            let symbol = buffer[(buffer.area.x + x, buffer.area.y + y)].symbol();
            // The cell behind a wide character is a part of it.
            if covered == 0 {
                line.push_str(symbol);
                covered = ratatui::text::Span::raw(symbol).width().max(1);
            }
            covered -= 1;
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
