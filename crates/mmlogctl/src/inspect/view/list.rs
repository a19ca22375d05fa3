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
use super::head::{COPIED, briefly, first_clause, fitted, kind_of, mark_of};
use crate::exit::{printable, shown};
use crate::inspect::model::Model;
use crate::inspect::model::order::heading;
use crate::inspect::style::Kind;
use crate::inspect::tables::logs::{COLUMNS, Column};
use crate::text::{Step, clipped, ending, wrapped};

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

const STATE: u16 = 4;
const NAME: u16 = 15;
/// A path of so many columns tells most.
const PATH: u16 = 24;
/// Of a figure.
const FIGURE: u16 = 10;
/// Figures that matter first.
const MATTER: [&str; 7] = ["rate", "writers", "lag", "kept", "free", "followers", "disk"];

/// What is said of each log, from the left; the path takes what is left, or a part of it where a sentence follows.
struct Columns {
    path: u16,
    figures: Vec<&'static Column>,
    sentence: bool,
}

impl Columns {
    fn of(width: u16) -> Self {
        let sentence = width >= 100;
        let path = if sentence { (width - NAME) / 4 } else { PATH };
        let least = NAME + path + if sentence { (width - NAME) / 3 } else { 0 };
        let fit = usize::from(width.saturating_sub(least) / FIGURE);
        let matter = &MATTER[..fit.min(MATTER.len())];
        let figures: Vec<_> = COLUMNS.iter().filter(|column| matter.contains(&column.name)).collect();
        let taken = FIGURE * u16::try_from(figures.len()).unwrap_or(0);
        Self { path: if sentence { path } else { width.saturating_sub(NAME + taken) }, figures, sentence }
    }

    /// Where the figures end.
    fn end(&self) -> u16 {
        NAME + self.path + FIGURE * u16::try_from(self.figures.len()).unwrap_or(0)
    }
}

/// Each figure below its title.
fn figures(columns: &Columns, of: impl Fn(&Column) -> String) -> String {
    columns
        .figures
        .iter()
        .map(|column| format!("{:>width$}", of(column), width = usize::from(FIGURE)))
        .collect()
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
    canvas.put(NAME, 1, columns.path, "log", canvas.styles.of(Kind::Label));
    let titles = figures(&columns, |column| column.name.to_owned());
    canvas.put(NAME + columns.path, 1, u16::MAX, &titles, canvas.styles.of(Kind::Label));
    if columns.sentence {
        canvas.put(columns.end() + 2, 1, u16::MAX, "what", canvas.styles.of(Kind::Label));
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
    // Of one that was not looked at nobody knows that it is well.
    let is_well = log.severity() == Severity::Info;
    let mark =
        if is_well && log.status().is_none() { ' ' } else { mark_of(log.severity(), styles) }.to_string();
    let is_chosen = at == model.chosen;
    if is_chosen {
        let chosen = styles.glyphs.chosen.to_string();
        canvas.put(0, y, 1, &chosen, styles.of(Kind::Strong));
    }
    canvas.put(2, y, 1, &mark, styles.of(kind));
    canvas.put(STATE, y, 10, &log.word(), styles.of(kind));
    let text = styles.of(if is_chosen { Kind::Strong } else { Kind::Plain });
    let path = ending(&shown(&log.path), usize::from(columns.path));
    canvas.put(NAME, y, columns.path, &path, text);
    canvas.put(NAME + columns.path, y, u16::MAX, &figures(columns, |column| column.cell(log)), text);
    if columns.sentence && !log.findings().is_empty() {
        let x = columns.end() + 2;
        let room = usize::from(canvas.width().saturating_sub(x));
        let said = briefly(log, &log.diagnosis().0, |said| first_clause(said).chars().count() <= room);
        canvas.put(x, y, u16::MAX, &clipped(&printable(&said), room), text);
    }
}

/// Of the chosen log, where there is room; the command is on a line of its own.
fn diagnosis(model: &Model, canvas: &mut Canvas) {
    let log = model.log();
    let (problem, next) = log.diagnosis();
    let step = Step::of(&next);
    let advice = step.words("above");
    let (width, height) = (usize::from(canvas.width()), usize::from(canvas.height()));
    let most = if height >= 6 { 3 } else { 1 };
    let command = match step.command {
        "" => Vec::new(),
        command => fitted(&printable(command), width.saturating_sub(2), most, COPIED),
    };
    let after = command.len() + usize::from(!advice.is_empty() && height >= 4);
    let rows = height.saturating_sub(after).max(1);
    let fits = |said: &str| wrapped(&printable(first_clause(said)), width, usize::MAX).len() <= rows;
    let problem = briefly(log, &problem, fits);
    let mut lines: Vec<(Kind, String)> =
        wrapped(&printable(&problem), width, rows).into_iter().map(|text| (Kind::Plain, text)).collect();
    lines.extend(command.into_iter().map(|text| (Kind::Strong, format!("  {text}"))));
    let left = height.saturating_sub(lines.len());
    lines.extend(wrapped(&printable(&advice), width, left).into_iter().map(|text| (Kind::Plain, text)));
    for (y, (kind, text)) in (0..canvas.height()).zip(lines) {
        canvas.line(y, kind, &text);
    }
}
