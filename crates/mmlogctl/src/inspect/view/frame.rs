//! The row of panes and the last line of the screen.
//!
//! ```text
//!  WRITERS 16   lines   lock   followers 2   holes 1   segments 3   findings 2   charts
//! ...
//! ? keys  q quit  Tab pane  s sort by state  / filter  Space pause          03:04:05Z
//! ```

use ratatui::layout::Rect;

use super::canvas::Canvas;
use super::pane::{self, sorted};
use crate::inspect::keys::Access;
use crate::inspect::model::{Model, Motion, Mouse, Pane, Purpose, Screen};
use crate::inspect::style::{Kind, Styles};
use crate::inspect::tables::writers;
use crate::text::clipped;

pub(super) fn too_small(canvas: &mut Canvas) {
    canvas.line(0, Kind::Plain, "too small");
}

/// All panes with their names and places, the chosen one in capitals; on a narrow screen from the chosen one on.
pub(crate) fn tabs(model: &Model, area: Rect) -> Vec<(Pane, String, Rect)> {
    let chosen = Pane::ALL.iter().position(|pane| *pane == model.shown.pane).unwrap_or(0);
    let title = |pane: Pane| match (pane::title(model, pane), pane == model.shown.pane) {
        (title, true) => format!(" {} ", title.to_uppercase()),
        (title, false) => format!(" {title} "),
    };
    let all = Pane::ALL.map(|pane| (pane, title(pane)));
    let needed: usize = all.iter().map(|(_, title)| title.chars().count()).sum();
    let first = if needed > usize::from(area.width) { chosen } else { 0 };
    let mut x = area.x;
    let placed = all.into_iter().skip(first).map(|(pane, title)| {
        let width = u16::try_from(title.chars().count()).unwrap_or(u16::MAX);
        let place = Rect { x, width, ..area };
        x = x.saturating_add(width);
        (pane, title, place)
    });
    placed.filter(|(.., place)| place.x < area.x + area.width).collect()
}

pub(super) fn draw_tabs(model: &Model, canvas: &mut Canvas) {
    for (pane, title, place) in tabs(model, canvas.area()) {
        let kind = if pane == model.shown.pane { Kind::Chosen } else { Kind::Label };
        canvas.part(place).line(0, kind, &title);
    }
    // One more is not to be seen, or not whole.
    let is_cut = tabs(model, canvas.area()).last().is_some_and(|(pane, _, place)| {
        place.x + place.width > canvas.area().x + canvas.width() || Pane::ALL.last() != Some(pane)
    });
    if is_cut {
        canvas.right(0, Kind::Label, " >");
    }
}

pub(super) fn foot(model: &Model, canvas: &mut Canvas) {
    if let Some(entry) = model.entry.as_ref().filter(|entry| entry.purpose != Purpose::Confirmation) {
        let name = if entry.purpose == Purpose::Filter { "filter" } else { "search" };
        canvas.line(0, Kind::Chosen, &format!("{name}: {}_", entry.text));
        return;
    }
    let clock = model.zone.time(model.now);
    let (clock, kind) = match model.motion {
        Motion::Live => (format!("  {clock}"), Kind::Label),
        Motion::Paused => (format!("  PAUSED {clock}"), Kind::Attention),
    };
    let has_clock = canvas.width() >= 60 || model.motion == Motion::Paused;
    let room =
        usize::from(canvas.width()) - if has_clock { clock.len().min(canvas.width().into()) } else { 0 };
    match model.notice.as_ref().filter(|_| model.dialog.is_none()) {
        Some(notice) => canvas.line(0, Kind::Attention, &clipped(notice, room)),
        None => canvas.line(0, Kind::Plain, &fitting(&hints(model, canvas.styles), room)),
    }
    if has_clock {
        canvas.right(0, kind, &clock);
    }
}

/// No part of a hint.
fn fitting(hints: &[String], room: usize) -> String {
    let mut line = String::new();
    for hint in hints {
        let gap = if line.is_empty() { "" } else { "  " };
        if line.chars().count() + gap.len() + hint.chars().count() > room {
            break;
        }
        line = line + gap + hint;
    }
    line
}

/// Those that matter first.
fn hints(model: &Model, styles: &Styles) -> Vec<String> {
    let mut hints = vec!["? keys".to_owned(), "q quit".to_owned()];
    let filter = if model.screen == Screen::List { &model.filter } else { &model.shown.filter };
    let is_filtered = model.screen == Screen::List || model.shown.pane.is_table();
    // Rows that are not shown come before all.
    if is_filtered && !filter.is_empty() {
        hints.insert(0, format!("/{filter}"));
    }
    let mut hint = |text: String| hints.push(text);
    if model.access == Access::ReadOnly {
        hint("read-only".to_owned());
    }
    let shown = &model.shown;
    match (model.screen, shown.pane) {
        (Screen::List, _) => hint("Enter open".to_owned()),
        (_, Pane::Writers) => {
            hint("Tab pane".to_owned());
            let (column, mark) = sorted(model, styles);
            hint(format!("s sort by {} {mark}", writers::columns(model, u16::MAX)[column].name));
        }
        (_, Pane::Lines) => {
            hint("Tab pane".to_owned());
            hint(if shown.line.is_some() { "G follow" } else { "following" }.to_owned());
            hint("/ search".to_owned());
            if !shown.search.is_empty() {
                hint(format!("n N /{}", shown.search));
            }
        }
        _ => hint("Tab pane".to_owned()),
    }
    if is_filtered && filter.is_empty() {
        hint("/ filter".to_owned());
    }
    if model.screen == Screen::Log {
        hint(if model.zoomed { "z all panes" } else { "z zoom" }.to_owned());
    }
    hint("Space pause".to_owned());
    if model.mouse == Mouse::Ours {
        hint("m select text".to_owned());
    }
    hints
}
