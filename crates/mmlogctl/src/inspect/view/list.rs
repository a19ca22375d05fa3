//! Several logs, the worst first.
//!
//! ```text
//! 3 logs: 1 STALLED, 2 OK
//! > X STALLED   /var/log/b.log                0B  writer 4312 (nginx-log) is ...
//!     OK        /var/log/a.log            1.2M/s
//!
//! writer 4312 (nginx-log) is stopped with 128 bytes in flight at 10485760, for 12 s
//!   kill -CONT 4312
//! Enter open  ? keys  q quit
//! ```

use mmlog::Severity;
use ratatui::layout::Rect;

use super::canvas::Canvas;
use super::frame::foot;
use super::head::{kind_of, mark_of, step};
use crate::exit::{printable, shown};
use crate::inspect::model::Model;
use crate::inspect::model::order::heading;
use crate::inspect::style::Kind;
use crate::text::{bytes, clipped, count, ending, rounded, wrapped};

/// Rows above the logs.
pub(crate) const ABOVE: u16 = 2;

/// Rows for logs; the rest is for the diagnosis of the chosen one.
pub(crate) const fn page(height: u16) -> u16 {
    match height {
        30.. => height - 9,
        16.. => height - 8,
        8.. => height - 6,
        _ => height.saturating_sub(3),
    }
}

/// The first row of the order that is shown: the chosen one always is.
pub(crate) fn top(model: &Model, order: &[usize], rows: u16) -> usize {
    let at = order.iter().position(|log| *log == model.chosen).unwrap_or(0);
    at.saturating_sub(usize::from(rows.saturating_sub(1)))
}

/// What is said of each log, from the left; the name takes what is left, or a part of it where a sentence follows.
struct Columns {
    name: u16,
    figures: bool,
    sentence: bool,
}

const STATE: u16 = 4;
const NAME: u16 = 15;
const FIGURES: u16 = 33;

impl Columns {
    const fn of(width: u16) -> Self {
        match width {
            100.. => Self { name: (width - NAME) / 4, figures: true, sentence: true },
            64.. => Self { name: width - NAME - FIGURES, figures: true, sentence: false },
            _ => Self { name: width.saturating_sub(NAME), figures: false, sentence: false },
        }
    }
}

pub(super) fn draw(model: &Model, canvas: &mut Canvas) {
    let heading = heading(&model.logs);
    let worst = model.logs.iter().map(|log| log.severity()).min().unwrap_or(Severity::Info);
    canvas.line(0, kind_of(worst), &heading);
    if !model.filter.is_empty() {
        canvas.right(0, Kind::Label, &format!("/{}", model.filter));
    }
    let columns = Columns::of(canvas.width());
    canvas.put(STATE, 1, 10, "state", canvas.styles.of(Kind::Label));
    canvas.put(NAME, 1, columns.name, "log", canvas.styles.of(Kind::Label));
    if columns.figures {
        let titles = format!("{:>9} {:>8} {:>6} {:>6}", "bytes/s", "writers", "lag", "size");
        canvas.put(NAME + columns.name, 1, FIGURES, &titles, canvas.styles.of(Kind::Label));
    }
    let (rows, order) = (page(canvas.height()), model.in_order());
    let top = top(model, &order, rows);
    for (y, log) in (0..rows).zip(order.iter().skip(top)) {
        row(model, *log, ABOVE + y, &columns, canvas);
    }
    if order.is_empty() {
        let nothing = match model.filter.is_empty() {
            true => "no process has a log open that can be seen",
            false => "no log has that text",
        };
        canvas.line(ABOVE, Kind::Plain, nothing);
    }
    let area = canvas.area();
    let shown = rows.min(u16::try_from(order.len()).unwrap_or(rows).max(1));
    let below = (ABOVE + shown + 1).min(area.height);
    let height = area.height.saturating_sub(below + 1 + u16::from(!model.notes.is_empty()));
    if !order.is_empty() {
        diagnosis(model, &mut canvas.part(Rect { y: area.y + below, height, ..area }));
    }
    let last = area.y + area.height.saturating_sub(1);
    if let (Some(note), true) = (model.notes.first(), below + 2 < area.height) {
        canvas.part(Rect { y: last - 1, height: 1, ..area }).line(0, Kind::Label, note);
    }
    foot(model, &mut canvas.part(Rect { y: last, height: 1, ..area }));
}

fn row(model: &Model, at: usize, y: u16, columns: &Columns, canvas: &mut Canvas) {
    let (log, styles) = (&model.logs[at], canvas.styles);
    let kind = kind_of(log.severity());
    let mark = mark_of(log.severity(), styles).to_string();
    let is_chosen = at == model.chosen;
    if is_chosen {
        let chosen = styles.glyphs.chosen.to_string();
        canvas.put(0, y, 1, &chosen, styles.of(Kind::Strong));
    }
    canvas.put(2, y, 1, &mark, styles.of(kind));
    canvas.put(STATE, y, 10, &log.word(), styles.of(kind));
    let text = styles.of(if is_chosen { Kind::Strong } else { Kind::Plain });
    let name = ending(&shown(&log.path), usize::from(columns.name));
    canvas.put(NAME, y, columns.name, &name, text);
    let x = NAME + columns.name;
    if columns.figures {
        let rate = log.history.rates().map_or_else(|| "-".to_owned(), |r| bytes(rounded(r.bytes)) + "/s");
        let figures = log.status().map(|s| {
            let (lag, size) = (s.cursor.saturating_sub(s.watermark), s.cursor.saturating_sub(s.first_kept));
            format!("{:>8} {:>6} {:>6}", count(s.writers.len() as u64), bytes(lag), bytes(size))
        });
        canvas.put(x, y, FIGURES, &format!("{rate:>9} {}", figures.unwrap_or_default()), text);
    }
    if columns.sentence && !log.findings().is_empty() {
        let x = x + FIGURES + 1;
        let room = usize::from(canvas.width().saturating_sub(x));
        canvas.put(x, y, u16::MAX, &clipped(&printable(&log.diagnosis().0), room), text);
    }
}

/// Of the chosen log, where there is room; the command is on a line of its own.
fn diagnosis(model: &Model, canvas: &mut Canvas) {
    let (problem, next) = model.log().diagnosis();
    let (command, advice) = step(&next);
    let (width, height) = (usize::from(canvas.width()), usize::from(canvas.height()));
    let after = usize::from(!command.is_empty()) + usize::from(!advice.is_empty() && height >= 4);
    let mut lines: Vec<(Kind, String)> =
        wrapped(&printable(&problem), width, height.saturating_sub(after).max(1))
            .into_iter()
            .map(|text| (Kind::Plain, text))
            .collect();
    if !command.is_empty() {
        lines.push((Kind::Strong, printable(&format!("  {command}"))));
    }
    let left = height.saturating_sub(lines.len());
    lines.extend(wrapped(&printable(&advice), width, left).into_iter().map(|text| (Kind::Plain, text)));
    for (y, (kind, text)) in (0..canvas.height()).zip(lines) {
        canvas.line(y, kind, &text);
    }
}
