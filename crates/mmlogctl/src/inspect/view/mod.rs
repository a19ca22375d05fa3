//! Draws the model; pure functions of it.
//!
//! ```text
//! STALLED  app.log                                              live 2026-01-02T03:04:05Z
//! writer 4312 (nginx-log) is stopped with 128 bytes in flight at 10485760 ...
//! next: `kill -CONT 4312`, or ...
//! cursor 10485760 (10.0M)  watermark 10485632  lag 128B
//! file_size 16777216 [##########################..........] slack 6291456 (37%)
//! generation 0  base 0  growth 1.2M/s  disk full in 9h12m
//! rate 1.2M/s 9.0k msgs/s  ....,,,---===###   last 5 min
//! lock free, last append by 4312 (nginx-log)  gate open  waiting 0
//! [==============================>>x======.....................]
//!  WRITERS 16   lines   lock   followers 2   holes 1   segments 3   findings 2
//!    age     pid command       process    slot doing     bytes/s msgs/s  bytes
//!  3m12s    4312 nginx-log     stopped       0 copying        0B      0   1.2M
//! Tab pane  / filter  s sort  ? keys  q quit
//! ```
//!
//! Below 60x16 a small form has the state, the sentence, a few figures and one pane; below 20x5 there is a word.

pub mod canvas;
mod dialog;
mod figures;
mod frame;
mod list;
pub mod pane;
pub mod strip;
#[cfg(test)]
mod tests;

use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};

use crate::exit::printable;
use crate::inspect::model::{Dialog, Model, Pane, Screen};
use crate::inspect::style::Styles;
use crate::text;
use canvas::Canvas;

/// From here on all figures are shown.
const FULL: Size = Size::new(60, 16);
/// Below it nothing fits.
const LEAST: Size = Size::new(20, 5);

/// What fits on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Everything.
    Full,
    /// State, sentence, a few figures, one pane.
    Small,
    /// A word.
    None,
}

/// What fits on a screen of that size.
#[must_use]
pub const fn form(size: Size) -> Form {
    if size.width < LEAST.width || size.height < LEAST.height {
        Form::None
    } else if size.width < FULL.width || size.height < FULL.height {
        Form::Small
    } else {
        Form::Full
    }
}

/// Where the parts are.
#[derive(Clone, Copy, Debug)]
struct Parts {
    head: Rect,
    figures: Rect,
    tabs: Rect,
    pane: Rect,
    foot: Rect,
}

/// Draws the whole screen.
pub fn draw(model: &Model, styles: &Styles, buffer: &mut Buffer) {
    let area = buffer.area;
    let mut canvas = Canvas::new(buffer, area, styles);
    match (form(area.as_size()), model.screen) {
        (Form::None, _) => frame::too_small(&mut canvas),
        (_, Screen::List) => list::draw(model, &mut canvas),
        (form, Screen::Log) => {
            let parts = parts(model, area);
            frame::head(model, &mut canvas.part(parts.head));
            figures::draw(model, form, &mut canvas.part(parts.figures));
            frame::tabs(model, &mut canvas.part(parts.tabs));
            pane::draw(model, &mut canvas.part(parts.pane));
            frame::foot(model, &mut canvas.part(parts.foot));
        }
    }
    if form(area.as_size()) != Form::None {
        dialog::draw(model, &mut canvas);
    }
}

fn parts(model: &Model, area: Rect) -> Parts {
    let form = form(area.as_size());
    let head = 1 + sentences(model, area.width, area.height).len();
    let figures = figures::height(form, area.height);
    let mut y = area.y;
    let mut take = |rows: usize| {
        let height = u16::try_from(rows).unwrap_or(u16::MAX).min((area.y + area.height).saturating_sub(y));
        let part = Rect { y, height, ..area };
        y += height;
        part
    };
    let (head, figures, tabs) = (take(head), take(figures), take(1));
    let pane = take(usize::from(area.height.saturating_sub(head.height + figures.height + 2)));
    Parts { head, figures, tabs, pane, foot: take(1) }
}

/// The diagnosis and the next step, wrapped.
fn sentences(model: &Model, width: u16, height: u16) -> Vec<String> {
    let (problem, next) = model.log().diagnosis();
    let (of_problem, of_next) = match (form(Size::new(width, height)), height) {
        (Form::Full, 30..) => (4, 4),
        (Form::Full, 20..) => (2, 2),
        (_, 9..) => (2, 1),
        (_, 7..) => (1, 1),
        _ => (1, 0),
    };
    let wrap = |text: &str, most| text::wrapped(&printable(text), usize::from(width), most);
    let mut lines = wrap(&problem, of_problem);
    lines.extend(wrap(&format!("next: {next}"), of_next));
    lines
}

/// How many rows of what is scrolled are on the screen.
#[must_use]
pub fn page(model: &Model) -> usize {
    let screen = Rect::from((ratatui::layout::Position::ORIGIN, model.size));
    let rows = match (&model.dialog, model.screen) {
        (Some(dialog), _) => dialog::page(dialog, screen),
        (None, Screen::List) => list::page(screen.height),
        (None, Screen::Log) => {
            let title = u16::from(model.shown.pane.is_table());
            parts(model, screen).pane.height.saturating_sub(title)
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
        (None, Screen::List) => model.logs.len(),
        (None, Screen::Log) => pane::rows(model),
    }
}

/// How many columns may be left of the screen.
#[must_use]
pub fn columns(model: &Model) -> usize {
    match model.shown.pane {
        Pane::Lines => 4096,
        Pane::Writers => crate::inspect::tables::writers::COLUMNS - 2,
        Pane::Followers | Pane::Segments => 5,
        Pane::Holes => 4,
        Pane::Lock | Pane::Findings => 0,
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
