//! The first and the last lines of the screen.
//!
//! ```text
//! STALLED  /var/log/app.log                                         PAUSED 2026-01-02T03:04:05Z
//! writer 4312 (nginx-log) is stopped with 128 bytes in flight at 10485760
//! next: `kill -CONT 4312`, or `kill -9 4312`: it heals by itself
//! ...
//!  WRITERS 16   lines   lock   followers 2   holes 1   segments 3   findings 2
//! ...
//! Tab pane  / filter  s sort by age v  ? keys  q quit
//! ```

use mmlog::Severity;
use ratatui::style::Style;

use super::canvas::Canvas;
use crate::exit::shown;
use crate::inspect::keys::Access;
use crate::inspect::model::log::Log;
use crate::inspect::model::{Model, Motion, Pane, Purpose};
use crate::inspect::style::Styles;
use crate::inspect::tables::writers;
use crate::text::{clock, ending};

pub(super) fn too_small(canvas: &mut Canvas) {
    canvas.line(0, "too small", canvas.styles.plain);
}

/// How a state is written beside its word.
pub(super) fn state_style(log: &Log, styles: &Styles) -> Style {
    match log.severity() {
        Severity::Critical => styles.bad,
        Severity::Warning => styles.attention,
        Severity::Info => styles.good,
    }
}

pub(super) fn head(model: &Model, canvas: &mut Canvas) {
    let (log, styles) = (model.log(), canvas.styles);
    let x = canvas.put(0, 0, u16::MAX, &log.word(), state_style(log, styles));
    let clock = match model.motion {
        Motion::Live => clock(Some(model.now)),
        Motion::Paused => format!("PAUSED {}", clock(Some(model.now))),
    };
    let room = usize::from(canvas.width().saturating_sub(x + 2));
    let path = shown(&log.path);
    // The name is worth more than the time.
    let both = room >= path.chars().count() + clock.len() + 2;
    if both || model.motion == Motion::Paused {
        canvas.right(0, &clock, styles.plain);
    }
    let room = if both || model.motion == Motion::Live { room } else { room.saturating_sub(clock.len() + 2) };
    canvas.put(x + 2, 0, u16::MAX, &ending(&path, room), styles.plain);
    let (width, height) = (canvas.width(), model.size.height);
    for (y, line) in (1..).zip(super::sentences(model, width, height)) {
        canvas.line(y, &line, styles.plain);
    }
}

/// All panes, the chosen one in capitals; on a narrow screen from the chosen one on.
pub(super) fn tabs(model: &Model, canvas: &mut Canvas) {
    let chosen = Pane::ALL.iter().position(|pane| *pane == model.shown.pane).unwrap_or(0);
    let title = |pane: &Pane| match count(model, *pane) {
        Some(n) => format!("{} {n}", pane.name()),
        None => pane.name().to_owned(),
    };
    let needed: usize = Pane::ALL.iter().map(|pane| title(pane).chars().count() + 3).sum();
    let first = if needed > usize::from(canvas.width()) { chosen } else { 0 };
    let mut x = 0;
    for pane in Pane::ALL.iter().skip(first) {
        let (text, style) = match *pane == model.shown.pane {
            true => (format!(" {} ", title(pane).to_uppercase()), canvas.styles.chosen),
            false => (format!(" {} ", title(pane)), canvas.styles.label),
        };
        x = canvas.put(x, 0, u16::MAX, &text, style).saturating_add(1);
    }
}

fn count(model: &Model, pane: Pane) -> Option<u64> {
    let status = model.log().status();
    match pane {
        Pane::Writers => Some(status?.writers.len() as u64),
        Pane::Followers => Some(status?.holds.len() as u64),
        Pane::Holes => Some(status?.holes_total),
        Pane::Segments => Some(status?.segments.len() as u64),
        Pane::Findings => Some(model.log().findings().len() as u64),
        Pane::Lines | Pane::Lock => None,
    }
}

pub(super) fn foot(model: &Model, canvas: &mut Canvas) {
    let styles = canvas.styles;
    if let Some(entry) = model.entry.as_ref().filter(|entry| entry.purpose != Purpose::Confirmation) {
        let name = if entry.purpose == Purpose::Filter { "filter" } else { "search" };
        canvas.line(0, &format!("{name}: {}_", entry.text), styles.chosen);
    } else if let Some(notice) = model.notice.as_ref().filter(|_| model.dialog.is_none()) {
        canvas.line(0, notice, styles.attention);
    } else {
        canvas.line(0, &hints(model), styles.plain);
    }
}

fn hints(model: &Model) -> String {
    let shown = &model.shown;
    let own = match shown.pane {
        Pane::Writers => {
            let title = writers::columns(model)[model.sorting.column.min(11)].name;
            format!("s sort by {title} {}  ", model.sorting.mark())
        }
        Pane::Lines if shown.line.is_some() => "G follow  / search  ".to_owned(),
        Pane::Lines => "following  / search  ".to_owned(),
        _ => String::new(),
    };
    let filter = match (shown.pane.is_table(), shown.filter.is_empty()) {
        (true, false) => format!("/{}  ", shown.filter),
        (true, true) => "/ filter  ".to_owned(),
        (false, _) if shown.pane == Pane::Lines && !shown.search.is_empty() => {
            format!("n N /{}  ", shown.search)
        }
        _ => String::new(),
    };
    let access = if model.access == Access::ReadOnly { "  read-only" } else { "" };
    format!("? keys  q quit  Tab pane  {own}{filter}Space pause{access}")
}
