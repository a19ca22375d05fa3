//! What lies over the screen: the keys, or an operation. It is as large as what it says.
//!
//! ```text
//! +- trim app.log: the plan ----------------------------------+
//! | app.log: would cut the data file from 16777216 to ...     |
//! |                                                           |
//! | type trim or app.log, then Enter; Esc leaves it           |
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
use crate::inspect::style::Kind;
use crate::text::{clipped, wrapped};

/// Frame above and below.
const FRAME: u16 = 2;
/// What an operation says below what its command said, and a blank line before it.
const BELOW: u16 = 3;
/// Where help's words begin, after the keys.
const KEYS: usize = 12;
/// A column of help.
const HELP: usize = 38;
/// Less than so much beside it tells nothing, and looks like a part of it.
const BESIDE: u16 = 10;
/// Nobody reads longer lines.
const WIDEST: u16 = 104;

pub(super) fn draw(model: &Model, canvas: &mut Canvas) {
    let Some(dialog) = &model.dialog else { return };
    let screen = canvas.area();
    let area = area(model, dialog, screen);
    // A column on both sides, so that no part of a word stands there.
    let left = area.x.saturating_sub(1).max(screen.x);
    let right = (area.x + area.width + 1).min(screen.x + screen.width);
    canvas.part(Rect { x: left, width: right - left, ..area }).clear();
    let mut part = canvas.part(area);
    match dialog {
        Dialog::Help(top) => {
            let lines = help(model, screen);
            let page = usize::from(part.height().saturating_sub(FRAME));
            let more = match (lines.len() > page, *top + page < lines.len()) {
                (false, _) => "",
                (true, true) => "PgDn: more",
                (true, false) => "PgUp: back",
            };
            frame(&mut part, "keys", more);
            let mut inner = inside(&mut part);
            for (y, line) in (0..inner.height()).zip(lines.iter().skip(*top)) {
                inner.line(y, Kind::Plain, line);
            }
        }
        Dialog::Operating(operating) => draw_operation(model, operating, screen, &mut part),
    }
}

/// The rows of it that can be scrolled.
pub(super) fn page(model: &Model, dialog: &Dialog, screen: Rect) -> u16 {
    let below = if matches!(dialog, Dialog::Operating(_)) { BELOW } else { 0 };
    area(model, dialog, screen).height.saturating_sub(FRAME + below)
}

/// In the middle, as large as needed; where next to nothing would stay beside it, all there is.
fn area(model: &Model, dialog: &Dialog, screen: Rect) -> Rect {
    let (lines, below) = match dialog {
        Dialog::Help(_) => (help(model, screen), 0),
        Dialog::Operating(operating) => {
            let mut lines = said(operating, screen);
            let (first, second) = below(model, operating, screen);
            let title = title(operating) + "xx";
            let widest = [first, second, title].into_iter().max_by_key(|line| line.chars().count());
            lines.extend(widest);
            (lines, usize::from(BELOW) - 1)
        }
    };
    let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let fitted = |wanted: usize, all: u16| {
        let wanted = u16::try_from(wanted).unwrap_or(u16::MAX);
        if wanted.saturating_add(BESIDE) > all { all } else { wanted }
    };
    let width = fitted(longest + 4, screen.width);
    let height = fitted(lines.len() + below + usize::from(FRAME), screen.height);
    let (x, y) = ((screen.width - width) / 2, (screen.height - height) / 2);
    Rect { x: screen.x + x, y: screen.y + y, width, height }
}

fn inside<'a>(part: &'a mut Canvas) -> Canvas<'a> {
    let area = part.area();
    let (width, height) = (area.width.saturating_sub(4), area.height.saturating_sub(FRAME));
    part.part(Rect { x: area.x + 2, y: area.y + 1, width, height })
}

fn frame(part: &mut Canvas, title: &str, note: &str) {
    let (width, height) = (usize::from(part.width()), part.height());
    let glyphs = part.styles.glyphs;
    let style = part.styles.of(Kind::Label);
    let across: String = std::iter::repeat_n(glyphs.across, width.saturating_sub(2)).collect();
    let [top_left, top_right, bottom_left, bottom_right] = glyphs.corners;
    part.line(0, Kind::Label, &format!("{top_left}{across}{top_right}"));
    part.put(
        1,
        0,
        u16::MAX,
        &format!(" {} ", clipped(title, width.saturating_sub(6))),
        part.styles.of(Kind::Strong),
    );
    let last = height.saturating_sub(1);
    part.line(last, Kind::Label, &format!("{bottom_left}{across}{bottom_right}"));
    if !note.is_empty() {
        part.put(1, last, u16::MAX, &format!(" {note} "), part.styles.of(Kind::Strong));
    }
    for y in 1..last {
        part.put(0, y, 1, glyphs.down.encode_utf8(&mut [0; 4]), style);
        part.right(y, Kind::Label, glyphs.down.encode_utf8(&mut [0; 4]));
    }
}

/// All keys that there are, a heading for each place, in as many columns as fit.
pub(super) fn help(model: &Model, screen: Rect) -> Vec<String> {
    let columns = (columns(screen) / HELP).clamp(1, 3);
    let (mut lines, mut place) = (Vec::new(), None);
    for binding in TABLE.iter().filter(|b| b.is_for(model.access) && !b.help.is_empty()) {
        if place.replace(binding.place) != Some(binding.place) {
            lines.push(format!("{}:", binding.place.name()));
        }
        let mut keys = binding.shown;
        for words in wrapped(binding.help, HELP - KEYS - 2, usize::MAX) {
            lines.push(format!("  {keys:<width$}{words}", width = KEYS - 2));
            keys = "";
        }
    }
    let mut rows = lines.len().div_ceil(columns);
    let mut parts = in_parts(&lines, rows);
    while parts.len() > columns {
        rows += 1;
        parts = in_parts(&lines, rows);
    }
    let row = |row: usize| {
        let cells = parts.iter().map(|part| part.get(row).map_or("", String::as_str));
        let text: String = cells.map(|cell| format!("{cell:<HELP$}")).collect();
        text.trim_end().to_owned()
    };
    (0..rows).map(row).collect()
}

/// Of so many lines at most, none of which ends with a heading.
fn in_parts(mut lines: &[String], most: usize) -> Vec<&[String]> {
    let mut parts = Vec::new();
    while !lines.is_empty() {
        let (mut part, mut rest) = lines.split_at(most.min(lines.len()));
        if let [others @ .., last] = part
            && !last.starts_with(' ')
            && !others.is_empty()
        {
            (part, rest) = lines.split_at(others.len());
        }
        parts.push(part);
        lines = rest;
    }
    parts
}

/// What the command said, as lines; of one that did in silence what it had planned, the plan.
pub(super) fn said(operating: &Operating, screen: Rect) -> Vec<String> {
    let said = if operating.said.trim().is_empty() { &operating.planned } else { &operating.said };
    said.lines().flat_map(|line| wrapped(line, columns(screen), usize::MAX)).collect()
}

/// Within the widest frame.
fn columns(screen: Rect) -> usize {
    usize::from(screen.width.min(WIDEST + 10).saturating_sub(4))
}

fn name(operating: &Operating) -> String {
    operating.log.file_name().map_or_else(String::new, |name| printable(&name.to_string_lossy()))
}

fn title(operating: &Operating) -> String {
    let stage = match &operating.stage {
        Stage::Planning => "planning",
        Stage::Planned(_) => "the plan",
        Stage::Doing => "at work",
        Stage::Done(ended) if ended.code == Some(0) => "done",
        Stage::Done(_) => "not done",
    };
    let options: String = operating.options.iter().map(|option| format!(" {option}")).collect();
    format!("{}{options} {}: {stage}", operating.operation.name(), name(operating))
}

fn draw_operation(model: &Model, operating: &Operating, screen: Rect, part: &mut Canvas) {
    frame(part, &title(operating), "");
    let mut inner = inside(part);
    let room = inner.height().saturating_sub(BELOW);
    for (y, line) in (0..room).zip(said(operating, screen).iter().skip(operating.top)) {
        inner.line(y, Kind::Plain, line);
    }
    let (first, second) = below(model, operating, screen);
    let kind = match &operating.stage {
        Stage::Done(ended) if ended.code == Some(0) => Kind::Good,
        Stage::Done(_) => Kind::Bad,
        _ => Kind::Attention,
    };
    inner.line(inner.height().saturating_sub(2), kind, &first);
    inner.line(inner.height().saturating_sub(1), Kind::Plain, &second);
}

/// What is to be typed, or how it ended.
fn below(model: &Model, operating: &Operating, screen: Rect) -> (String, String) {
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
            let (operation, name) = (operating.operation.name(), name(operating));
            let ask = format!("type {operation} or {name}, then Enter; {options}Esc leaves it");
            let short = format!("type {operation}, then Enter; Esc: no");
            let ask = if ask.chars().count() > columns(screen) { short } else { ask };
            (if notice.is_empty() { ask } else { notice }, entry.unwrap_or_default())
        }
        Stage::Planned(ended) if ended.code == Some(0) => ("nothing to do".to_owned(), close),
        Stage::Planned(ended) => (format!("no plan: {}", ended.words), close),
        Stage::Doing => ("at work ...".to_owned(), notice),
        Stage::Done(ended) if ended.code == Some(0) && operating.said.trim().is_empty() => {
            ("done, as planned above".to_owned(), close)
        }
        Stage::Done(ended) if ended.code == Some(0) => ("done".to_owned(), close),
        Stage::Done(ended) => (format!("not done: {}", ended.words), close),
    }
}
