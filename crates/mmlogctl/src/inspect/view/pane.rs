//! The panes.
//!
//! ```text
//! - writers 3 --------------------------------------------
//!   who                     state      for   bytes/s msgs/s
//! X web | mmlogctl append   stopped     12s       0B      0
//! ```

use std::time::SystemTime;

use mmlog::Status;
use mmlog::units;

use super::canvas::{Canvas, TableLook};
use super::figures::{gate, lock, log_lock, map, waiting};
use super::layout::{Placed, has_findings_on_top, in_head};
use super::{charts, head};
use crate::commands::policy::{next, overdue, said};
use crate::commands::status::called;
use crate::exit::printable;
use crate::inspect::model::lines::{Kind as RowKind, Level, Row};
use crate::inspect::model::log::{Log, Operation};
use crate::inspect::model::{Model, Pane};
use crate::inspect::style::{Kind, Line, Styles, WORDS, line};
use crate::inspect::tables::writers::Order;
use crate::inspect::tables::{ago, followers, holes, segments, writers};
use crate::text::{lasting, wrapped};
use crate::who::Trouble;

/// Instead of what only a look can tell.
const UNSEEN: &str = "the log cannot be looked at";
/// What stands before a line: how bad it is, or that it was looked for.
const GUTTER: u16 = 2;

/// How many there are of what a pane shows.
pub(super) fn count(model: &Model, pane: Pane) -> u64 {
    let log = model.log();
    let of = |count: fn(&Status) -> u64| log.status().map_or(0, count);
    match pane {
        Pane::Writers => of(|s| s.writers.len() as u64),
        Pane::Followers => of(|s| (s.holds.len() + s.followers.len()) as u64),
        Pane::Holes => of(|s| s.holes_total),
        Pane::Segments => of(|s| s.segments.len() as u64),
        Pane::Findings => log.findings().len() as u64,
        Pane::Lines | Pane::Lock | Pane::Charts => 0,
    }
}

/// Its name, and how many there are.
pub(super) fn title(model: &Model, pane: Pane) -> String {
    match (count(model, pane), pane) {
        // Of a log that cannot be looked at, nobody knows.
        (0, Pane::Writers) if model.log().status().is_some() => "writers 0".to_owned(),
        (0, _) => pane.name().to_owned(),
        (n, _) => format!("{} {n}", pane.name()),
    }
}

pub(super) fn draw(model: &Model, placed: Placed, canvas: &mut Canvas) {
    let pane = placed.pane;
    let is_focused = model.shown.pane == pane;
    if let Some(area) = placed.title {
        let kind = if is_focused { Kind::Chosen } else { Kind::Label };
        canvas.part(area).rule(&title(model, pane), kind);
    }
    let canvas = &mut canvas.part(placed.body);
    let from = if is_focused { (model.shown.top, model.shown.left) } else { (0, 0) };
    if model.log().status().is_none() && pane.is_table() {
        canvas.line(0, Kind::Plain, UNSEEN);
        return;
    }
    let width = canvas.width();
    match pane {
        Pane::Writers => {
            let look = TableLook { sorted: Some(sorted(model, canvas.styles)), kind, empty: "no writers" };
            canvas.table(&writers::columns(model, width), &writers::rows(model), from, &look);
        }
        Pane::Followers => {
            let empty = "no followers have announced themselves";
            canvas.table(&followers::columns(width), &followers::rows(model), from, &plain(empty));
        }
        Pane::Holes => canvas.table(&holes::columns(), &holes::rows(model), from, &plain("no holes")),
        Pane::Segments => {
            canvas.table(&segments::columns(), &segments::rows(model), from, &plain("no segments"));
        }
        Pane::Lines => lines(model, canvas),
        Pane::Charts => charts::draw(model, canvas),
        Pane::Lock | Pane::Findings => {
            let rows = sentences(model, pane, width, canvas.styles);
            for (y, row) in (0..canvas.height()).zip(rows.iter().skip(from.0)) {
                canvas.spans(y, row);
            }
        }
    }
}

/// The column that writers are sorted by, and the mark of the way.
pub(super) fn sorted(model: &Model, styles: &Styles) -> (usize, char) {
    let [falling, rising] = styles.glyphs.sorted;
    let mark = if model.sorting.order == Order::Falling { falling } else { rising };
    (model.sorting.column.min(writers::COLUMNS - 1), mark)
}

fn kind(row: &writers::Row) -> Kind {
    match row.trouble() {
        Trouble::None => Kind::Plain,
        Trouble::Some => Kind::Attention,
        Trouble::Much => Kind::Loud,
    }
}

const fn plain<R>(empty: &str) -> TableLook<'_, R> {
    TableLook { sorted: None, kind: |_| Kind::Plain, empty }
}

/// How many rows a pane has in such a width.
pub(super) fn rows(model: &Model, pane: Pane, width: u16) -> usize {
    let is_all = model.filter_of(pane).is_empty();
    match pane {
        Pane::Writers if is_all => usize::try_from(count(model, pane)).unwrap_or(usize::MAX),
        Pane::Writers => writers::rows(model).len(),
        Pane::Followers => followers::rows(model).len(),
        Pane::Holes => holes::rows(model).len(),
        Pane::Segments => segments::rows(model).len(),
        Pane::Lines => {
            let range = model.log().lines.range();
            usize::try_from(range.end - range.start).unwrap_or(usize::MAX)
        }
        Pane::Charts => 0,
        Pane::Lock | Pane::Findings => sentences(model, pane, width, &WORDS).len(),
    }
}

/// The last lines, or those around a match. What is marked is marked before it, so that no text moves.
fn lines(model: &Model, canvas: &mut Canvas) {
    let (lines, shown) = (&model.log().lines, &model.shown);
    let is_focused = shown.pane == Pane::Lines;
    let range = lines.range();
    if range.is_empty() {
        canvas.line(0, Kind::Plain, "no lines yet");
        return;
    }
    let page = u64::from(canvas.height());
    let end = range.end.saturating_sub(page).max(range.start);
    let top = shown.line.filter(|_| is_focused).map_or(end, |line| line.min(end));
    let wanted = shown.search.to_lowercase();
    for (y, number) in (0..canvas.height()).zip(top..range.end) {
        let Some(row) = lines.row(number) else { break };
        let is_match = !wanted.is_empty() && row.text.to_lowercase().contains(&wanted);
        let (mark, kind) = match (row.kind, is_match, &row.level) {
            (_, true, _) if shown.found == Some(number) => (">", Kind::Chosen),
            (_, true, _) => ("*", Kind::Good),
            (RowKind::Note, ..) => ("!", Kind::Attention),
            (_, _, Some((Level::Error, _))) => ("E", Kind::Bad),
            (_, _, Some((Level::Warning, _))) => ("W", Kind::Attention),
            _ => ("", Kind::Plain),
        };
        canvas.put(0, y, 1, mark, canvas.styles.of(kind));
        let left = if is_focused { shown.left } else { 0 };
        text(&row, left, y, if mark == ">" { Some(kind) } else { None }, canvas);
    }
}

/// A line in its own colours, or with the word in colour that says how bad it is.
fn text(row: &Row, left: usize, y: u16, chosen: Option<Kind>, canvas: &mut Canvas) {
    let styles = canvas.styles;
    let from = row.text.char_indices().nth(left).map_or(row.text.len(), |(at, _)| at);
    let kind = chosen.or((row.kind == RowKind::Note).then_some(Kind::Attention));
    if let Some(kind) = kind {
        canvas.put(GUTTER, y, u16::MAX, &row.text[from..], styles.of(kind));
        return;
    }
    let mut runs = if styles.colours { row.runs.clone() } else { Vec::new() };
    if let Some((level, at)) = row.level.as_ref().filter(|_| runs.is_empty()) {
        let kind = if *level == Level::Error { Kind::Bad } else { Kind::Attention };
        runs = vec![(at.start, styles.of(kind)), (at.end, styles.of(Kind::Plain))];
    }
    // What is left of the screen decides how it begins there.
    let before = runs.partition_point(|(at, _)| *at <= from);
    let begins = before.checked_sub(1).map(|last| (0, runs[last].1));
    let runs =
        begins.into_iter().chain(runs[before..].iter().map(|(at, style)| (at - from, *style))).collect();
    canvas.runs(GUTTER, y, &row.text[from..], &runs);
}

fn sentences(model: &Model, pane: Pane, width: u16, styles: &Styles) -> Vec<Line> {
    let (log, width) = (model.log(), usize::from(width));
    match (pane, log.status()) {
        (Pane::Findings, _) => {
            let from = if has_findings_on_top(model) { in_head(model) } else { 0 };
            findings(log, from, width, styles)
        }
        (_, None) => vec![line(Kind::Plain, UNSEEN)],
        (_, Some(status)) => locks(model, status, width),
    }
}

fn findings(log: &Log, from: usize, width: usize, styles: &Styles) -> Vec<Line> {
    let all = log.findings().iter().skip(from);
    let lines: Vec<Line> = all.flat_map(|finding| head::finding(finding, styles, width)).collect();
    if lines.is_empty() { vec![line(Kind::Good, "nothing is wrong")] } else { lines }
}

/// Lock, gate, maintenance, who waits; then who had them; then the map of the file.
fn locks(model: &Model, s: &Status, width: usize) -> Vec<Line> {
    let (log, d) = (model.log(), &s.durability);
    let recovered = |r: mmlog::Recovered| {
        let lost = units::counted(r.lost, "byte");
        format!("{lost} lost, went on at {}, {}", r.end, ago(Some(r.at), model.now))
    };
    let synced = match d.synced_at {
        Some(_) => format!("below {}, {}", d.synced, ago(d.synced_at, model.now)),
        None => "nothing yet, nobody has asked for it".to_owned(),
    };
    let fields = [
        ("lock", log_lock(s, model.now)),
        ("gate", gate(s)),
        ("maintenance", lock(&s.maintenance, model.now)),
        ("unfinished", s.unfinished.unwrap_or("nothing").to_owned()),
        ("synced", synced),
        ("recovered", d.recovered.map_or_else(|| "never".to_owned(), recovered)),
        ("waiting", waiting(s).to_string()),
        ("positions", format!("cursor {}, watermark {}, limit {}", s.cursor, s.watermark, s.limit)),
        ("file", format!("{} bytes, generation {} from {}", s.file_size, s.generation, s.base)),
        ("policy", policy(s)),
    ];
    let mut all: Vec<Line> = fields.iter().flat_map(|(name, value)| field(name, value, width)).collect();
    for writer in &s.writers {
        let Some(waiting) = &writer.waiting else { continue };
        let since = lasting(units::passed(waiting.since, model.now).unwrap_or_default());
        let (pid, called) = (writer.pid, called(writer));
        let does = match waiting.dropped {
            None => format!("waits for {}", waiting.want),
            Some(bytes) => format!("drops for want of {}, {}", waiting.want, units::size(bytes)),
        };
        all.push(line(Kind::Plain, format!("  {pid} ({called}) {does}, {since}")));
    }
    all.extend(map(s, width));
    all.push(line(Kind::Label, "last operations"));
    let said = log.operations.iter().rev().map(|o| operation(o, model.now));
    let mut said: Vec<String> = said.collect();
    // One that has both bytes is one.
    said.dedup();
    all.extend(said.into_iter().map(|text| line(Kind::Plain, text)));
    all
}

/// The rules, and what is due next.
fn policy(s: &Status) -> String {
    let late = overdue(&s.policy).into_iter().map(|late| format!("overdue: {late}"));
    let parts: Vec<String> = std::iter::once(said(&s.policy)).chain(next(&s.policy)).chain(late).collect();
    parts.join("; ")
}

/// Whoever closes a log last does what a trim does: nobody need have called for it.
fn operation(o: &Operation, now: SystemTime) -> String {
    let what = if o.operation == "trim" { "cut to its size" } else { &o.operation };
    format!("  {:<14} {what} by {} ({})", ago(o.since, now), o.pid, o.command)
}

/// A name and a value on as many lines as it takes.
fn field<'a>(name: &'a str, value: &str, width: usize) -> impl Iterator<Item = Line> + use<'a> {
    const NAME: usize = 13;
    let lines = wrapped(&printable(value), width.saturating_sub(NAME), usize::MAX);
    let names = std::iter::once(name).chain(std::iter::repeat(""));
    names.zip(lines).map(|(name, text)| vec![(Kind::Label, format!("{name:NAME$}")), (Kind::Plain, text)])
}
