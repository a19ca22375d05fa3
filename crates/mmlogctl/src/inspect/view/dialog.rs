//! What lies over the screen: the keys, or an operation.
//!
//! ```text
//! +-- trim app.log: the plan ---------------------------------+
//! | app.log: would cut the data file from 16777216 to ...     |
//! |                                                           |
//! | To do it type trim or app.log, then Enter; Esc leaves it. |
//! | > tri_                                                    |
//! +-----------------------------------------------------------+
//! ```

use ratatui::layout::Rect;

use super::canvas::Canvas;
use crate::exit::printable;
use crate::inspect::action::Operation;
use crate::inspect::keys::TABLE;
use crate::inspect::model::operation::{Operating, Stage};
use crate::inspect::model::{Dialog, Model};
use crate::text::{clipped, wrapped};

/// Frame above and below.
const FRAME: u16 = 2;
/// What an operation says below what its command said.
const BELOW: u16 = 2;

pub(super) fn draw(model: &Model, canvas: &mut Canvas) {
    let Some(dialog) = &model.dialog else { return };
    let screen = canvas.area();
    let mut part = canvas.part(area(screen));
    part.clear();
    match dialog {
        Dialog::Help(top) => {
            frame(&mut part, "keys");
            let styles = part.styles;
            let mut inner = inside(&mut part);
            for (y, line) in (0..inner.height()).zip(help(model, screen).iter().skip(*top)) {
                inner.line(y, line, styles.plain);
            }
        }
        Dialog::Operating(operating) => draw_operation(model, operating, screen, &mut part),
    }
}

/// The rows of it that can be scrolled.
pub(super) fn page(dialog: &Dialog, screen: Rect) -> u16 {
    let below = if matches!(dialog, Dialog::Operating(_)) { BELOW } else { 0 };
    area(screen).height.saturating_sub(FRAME + below)
}

fn area(screen: Rect) -> Rect {
    let margin = |length: u16| if length >= 40 { 2 } else { 0 };
    let (x, y) = (margin(screen.width), u16::from(screen.height >= 16));
    Rect { x: screen.x + x, y: screen.y + y, width: screen.width - 2 * x, height: screen.height - 2 * y }
}

fn inside<'a>(part: &'a mut Canvas) -> Canvas<'a> {
    let area = part.area();
    let (width, height) = (area.width.saturating_sub(4), area.height.saturating_sub(FRAME));
    part.part(Rect { x: area.x + 2, y: area.y + 1, width, height })
}

fn frame(part: &mut Canvas, title: &str) {
    let (width, height) = (usize::from(part.width()), part.height());
    let title = clipped(title, width.saturating_sub(6));
    let rule = format!("+-- {title} {}", "-".repeat(width));
    let style = part.styles.label;
    part.put(0, 0, part.width().saturating_sub(1), &rule, style);
    part.right(0, "+", style);
    for y in 1..height.saturating_sub(1) {
        part.put(0, y, 1, "|", style);
        part.right(y, "|", style);
    }
    part.line(height.saturating_sub(1), &format!("+{}+", "-".repeat(width.saturating_sub(2))), style);
}

/// The table of keys, as lines.
pub(super) fn help(model: &Model, screen: Rect) -> Vec<String> {
    const KEYS: usize = 11;
    let (mut lines, mut place) = (Vec::new(), None);
    for binding in TABLE.iter().filter(|b| b.is_for(model.access)) {
        if place.replace(binding.place) != Some(binding.place) {
            lines.push(format!("{}:", binding.place.name()));
        }
        let mut keys = binding.shown;
        for words in wrapped(binding.help, columns(screen).saturating_sub(KEYS + 2), usize::MAX) {
            lines.push(format!("  {keys:<KEYS$}{words}"));
            keys = "";
        }
    }
    lines
}

/// What the command said, as lines.
pub(super) fn said(operating: &Operating, screen: Rect) -> Vec<String> {
    operating.said.lines().flat_map(|line| wrapped(line, columns(screen), usize::MAX)).collect()
}

/// Within the frame.
fn columns(screen: Rect) -> usize {
    usize::from(area(screen).width.saturating_sub(4))
}

fn draw_operation(model: &Model, operating: &Operating, screen: Rect, part: &mut Canvas) {
    let name = operating.log.file_name().map_or_else(String::new, |name| printable(&name.to_string_lossy()));
    let stage = match &operating.stage {
        Stage::Planning => "planning",
        Stage::Planned(_) => "the plan",
        Stage::Doing => "at work",
        Stage::Done(_) => "done",
    };
    let options: String = operating.options.iter().map(|option| format!(" {option}")).collect();
    frame(part, &format!("{}{options} {name}: {stage}", operating.operation.name()));
    let styles = part.styles;
    let mut inner = inside(part);
    let room = inner.height().saturating_sub(BELOW);
    for (y, line) in (0..room).zip(said(operating, screen).iter().skip(operating.top)) {
        inner.line(y, line, styles.plain);
    }
    let (first, second) = below(model, operating, &name);
    inner.line(room, &first, styles.attention);
    inner.line(room + 1, &second, styles.plain);
}

/// What is to be typed, or how it ended.
fn below(model: &Model, operating: &Operating, name: &str) -> (String, String) {
    let entry = model.entry.as_ref().map(|entry| format!("> {}_", entry.text));
    let notice = model.notice.clone().unwrap_or_default();
    let close = "Enter closes".to_owned();
    match &operating.stage {
        Stage::Planning => ("asking for the plan ...".to_owned(), notice),
        Stage::Planned(_) if operating.wants_confirmation() => {
            let options = match operating.operation {
                Operation::Repair => "or repair --OPTION; ",
                _ => "",
            };
            let ask =
                format!("type {} or {name}, then Enter; {options}Esc leaves it", operating.operation.name());
            (if notice.is_empty() { ask } else { notice }, entry.unwrap_or_default())
        }
        Stage::Planned(ended) if ended.code == Some(0) => ("nothing to do".to_owned(), close),
        Stage::Planned(ended) => (format!("no plan: {}", ended.words), close),
        Stage::Doing => ("at work ...".to_owned(), notice),
        Stage::Done(ended) if ended.code == Some(0) => ("done".to_owned(), close),
        Stage::Done(ended) => (format!("not done: {}", ended.words), close),
    }
}
