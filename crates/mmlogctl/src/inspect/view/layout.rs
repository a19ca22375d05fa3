//! Where the parts of one log's screen are.
//!
//! ```text
//! head                      head
//! tabs                      tabs
//! the chosen pane, or       - findings ------------------
//! writers                   - writers ---|- lines -------
//! - lines ------            - followers -|
//!                           - charts ----|
//! foot                      foot
//! ```
//!
//! Panes have the rows that they need; what is left goes to lines and charts, which use any room.

use ratatui::layout::Rect;

use super::{Form, form, head, pane};
use crate::inspect::model::{Model, Pane};
use mmlog::Severity;

/// Fewer rows than that are no chart.
const CHART: u16 = 5;
/// From so many rows on writers and lines share a small screen.
const SHARED: u16 = 12;

/// A pane on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) pane: Pane,
    /// A line with its name, where it is not the only one.
    pub(crate) title: Option<Rect>,
    pub(crate) body: Rect,
}

/// Where everything is.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) head: Rect,
    pub(crate) tabs: Rect,
    pub(crate) panes: Vec<Placed>,
    /// A line from top to bottom.
    pub(crate) divider: Option<Rect>,
    pub(crate) foot: Rect,
}

impl Layout {
    /// The focused pane.
    pub(crate) fn focused(&self, model: &Model) -> Option<Placed> {
        self.panes.iter().copied().find(|placed| placed.pane == model.shown.pane)
    }
}

/// Takes rows from the top of an area.
fn take(area: &mut Rect, rows: u16) -> Rect {
    let taken = Rect { height: rows.min(area.height), ..*area };
    area.y += taken.height;
    area.height -= taken.height;
    taken
}

fn titled(pane: Pane, mut area: Rect) -> Placed {
    let title = Some(take(&mut area, 1));
    Placed { pane, title, body: area }
}

pub(crate) fn of(model: &Model) -> Layout {
    let mut area = Rect::new(0, 0, model.size.width, model.size.height);
    let rows = u16::try_from(head::lines(model, model.size).len()).unwrap_or(u16::MAX);
    let least = if area.height >= 6 { 4 } else { 2 };
    let most = area.height.saturating_sub(least);
    let (head, tabs) = (take(&mut area, rows.min(most)), take(&mut area, 1));
    let rest = area.height.saturating_sub(1);
    let body = take(&mut area, rest);
    let (panes, divider) = match form(model.size) {
        _ if model.zoomed => (vec![alone(model, body)], None),
        Form::Large => large(model, body),
        _ => (small(model, body), None),
    };
    Layout { head, tabs, panes, divider, foot: area }
}

const fn alone(model: &Model, body: Rect) -> Placed {
    Placed { pane: model.shown.pane, title: None, body }
}

fn small(model: &Model, mut body: Rect) -> Vec<Placed> {
    let shares = matches!(model.shown.pane, Pane::Writers | Pane::Lines) && body.height >= SHARED;
    if !shares || model.log().status().is_none() {
        return vec![alone(model, body)];
    }
    let rows = needed(model, Pane::Writers, body.width).min(body.height / 2);
    let writers = Placed { pane: Pane::Writers, title: None, body: take(&mut body, rows) };
    vec![writers, titled(Pane::Lines, body)]
}

fn large(model: &Model, mut body: Rect) -> (Vec<Placed>, Option<Rect>) {
    let mut panes = Vec::new();
    if has_findings_on_top(model) {
        let rows = (needed(model, Pane::Findings, body.width) + 1).min(body.height / 4);
        panes.push(titled(Pane::Findings, take(&mut body, rows)));
    }
    let width = (body.width * 48 / 100).clamp(52, 130);
    let mut left = Rect { width, ..body };
    let right = Rect { x: body.x + width + 1, width: body.width - width - 1, ..body };
    let first = match model.shown.pane {
        Pane::Lines | Pane::Charts | Pane::Followers => Pane::Writers,
        Pane::Findings if !panes.is_empty() => Pane::Writers,
        pane => pane,
    };
    let has_followers = model.shown.pane == Pane::Followers || pane::count(model, Pane::Followers) > 0;
    let followers = match has_followers {
        true => (needed(model, Pane::Followers, width) + 1).min(left.height / 4),
        false => 0,
    };
    let needed = needed(model, first, width) + 1;
    let most = left.height.saturating_sub(followers);
    let rows = if most.saturating_sub(needed) < CHART { most.saturating_sub(CHART) } else { needed };
    let rows = rows.min(most * 6 / 10).max(most.min(3));
    panes.push(titled(first, take(&mut left, rows)));
    if followers > 0 {
        panes.push(titled(Pane::Followers, take(&mut left, followers)));
    }
    panes.push(titled(Pane::Charts, left));
    panes.push(titled(Pane::Lines, right));
    (panes, Some(Rect { x: body.x + width, width: 1, ..body }))
}

/// The one in the head is not said twice.
pub(super) fn has_findings_on_top(model: &Model) -> bool {
    form(model.size) == Form::Large && !model.zoomed && model.log().findings().len() > in_head(model)
}

/// How many findings the head says.
pub(super) fn in_head(model: &Model) -> usize {
    usize::from(model.log().severity() < Severity::Info)
}

/// Rows that a pane needs to show all of it, with the titles of its columns.
fn needed(model: &Model, pane: Pane, width: u16) -> u16 {
    let rows = pane::rows(model, pane, width).max(1) + usize::from(pane.is_table());
    u16::try_from(rows).unwrap_or(u16::MAX)
}
