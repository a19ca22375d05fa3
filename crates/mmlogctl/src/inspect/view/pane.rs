//! The pane that was chosen.
//!
//! ```text
//! start                   len cause         pid command        when
//!                10485632 128B torn        4312 nginx-log      2026-01-02T03:04:05Z
//! ```

use mmlog::Status;
use mmlog::units;
use ratatui::style::Style;

use super::canvas::{Canvas, TableLook};
use super::figures::{gate, lock, log_lock, waiting};
use crate::exit::printable;
use crate::inspect::model::lines::Kind;
use crate::inspect::model::log::Log;
use crate::inspect::model::{Model, Pane};
use crate::inspect::style::Styles;
use crate::inspect::tables::{followers, holes, segments, writers};
use crate::text::{clock, lasting, wrapped};

/// Instead of what only a look can tell.
const UNSEEN: &str = "the log cannot be looked at";
/// A finding or its next step takes no more lines.
const SENTENCE: usize = 6;

pub(super) fn draw(model: &Model, canvas: &mut Canvas) {
    let from = (model.shown.top, model.shown.left);
    if model.log().status().is_none() && model.shown.pane.is_table() {
        canvas.line(0, UNSEEN, canvas.styles.plain);
        return;
    }
    match model.shown.pane {
        Pane::Writers => {
            let sorted = Some((model.sorting.column, model.sorting.mark()));
            let look = TableLook { sorted, stands_out: writers::Row::stands_out, empty: "no writers" };
            canvas.table(&writers::columns(model), &writers::rows(model), from, &look);
        }
        Pane::Followers => {
            let empty = "no followers have announced themselves";
            canvas.table(&followers::columns(), &followers::rows(model), from, &plain(empty));
        }
        Pane::Holes => canvas.table(&holes::columns(), &holes::rows(model), from, &plain("no holes")),
        Pane::Segments => {
            canvas.table(&segments::columns(), &segments::rows(model), from, &plain("no segments"));
        }
        Pane::Lines => lines(model, canvas),
        Pane::Lock | Pane::Findings => {
            let rows = sentences(model, canvas.width());
            for (y, row) in (0..canvas.height()).zip(rows.iter().skip(model.shown.top)) {
                canvas.line(y, &row.text, (row.style)(canvas.styles));
            }
        }
    }
}

const fn plain<R>(empty: &str) -> TableLook<'_, R> {
    TableLook { sorted: None, stands_out: |_| false, empty }
}

/// How many rows there are.
pub(super) fn rows(model: &Model) -> usize {
    match model.shown.pane {
        Pane::Writers => writers::rows(model).len(),
        Pane::Followers => followers::rows(model).len(),
        Pane::Holes => holes::rows(model).len(),
        Pane::Segments => segments::rows(model).len(),
        Pane::Lines => {
            let range = model.log().lines.range();
            usize::try_from(range.end - range.start).unwrap_or(usize::MAX)
        }
        Pane::Lock | Pane::Findings => sentences(model, model.size.width).len(),
    }
}

/// The last lines, or those around a match. A match is marked, too, not only shown in another way.
fn lines(model: &Model, canvas: &mut Canvas) {
    let (lines, shown) = (&model.log().lines, &model.shown);
    let range = lines.range();
    if range.is_empty() {
        canvas.line(0, "no lines yet", canvas.styles.plain);
        return;
    }
    let page = u64::from(canvas.height());
    let end = range.end.saturating_sub(page).max(range.start);
    let top = shown.line.map_or(end, |line| line.min(end));
    let wanted = shown.search.to_lowercase();
    for (y, number) in (0..canvas.height()).zip(top..range.end) {
        let Some(row) = lines.row(number) else { break };
        let text: String = row.text.chars().skip(shown.left).collect();
        let is_match = !wanted.is_empty() && row.text.to_lowercase().contains(&wanted);
        let (mark, style) = match (row.kind, is_match) {
            (Kind::Note, _) => ("! ", canvas.styles.attention),
            (Kind::Text, true) if shown.found == Some(number) => ("> ", canvas.styles.chosen),
            (Kind::Text, true) => ("* ", canvas.styles.good),
            (Kind::Text, false) => ("", canvas.styles.plain),
        };
        canvas.line(y, &format!("{mark}{text}"), style);
    }
}

/// A line of a pane that is no table.
struct Sentence {
    text: String,
    style: fn(&Styles) -> Style,
}

fn sentence(text: String) -> Sentence {
    Sentence { text, style: |styles| styles.plain }
}

fn sentences(model: &Model, width: u16) -> Vec<Sentence> {
    let log = model.log();
    match (model.shown.pane, log.status()) {
        (Pane::Findings, _) => findings(log, usize::from(width)),
        (_, None) => vec![sentence(UNSEEN.to_owned())],
        (_, Some(status)) => locks(log, status, usize::from(width)),
    }
}

fn findings(log: &Log, width: usize) -> Vec<Sentence> {
    let mut all = Vec::new();
    for finding in log.findings() {
        let style: fn(&Styles) -> Style = match finding.severity {
            mmlog::Severity::Critical => |styles| styles.bad,
            mmlog::Severity::Warning => |styles| styles.attention,
            mmlog::Severity::Info => |styles| styles.good,
        };
        all.push(Sentence { text: format!("{}: {}", finding.severity, finding.id), style });
        let indented = |text: &str| {
            let lines = wrapped(&printable(text), width.saturating_sub(2), SENTENCE);
            lines.into_iter().map(|line| sentence(format!("  {line}")))
        };
        all.extend(indented(&finding.sentence));
        all.extend(indented(&format!("next: {}", finding.next_step)));
    }
    if all.is_empty() {
        all.push(sentence("nothing is wrong".to_owned()));
    }
    all
}

/// Lock, gate, maintenance, who waits; then who had them.
fn locks(log: &Log, s: &Status, width: usize) -> Vec<Sentence> {
    let of = |l: &mmlog::Lock| format!("{}, since {}", lock(l), clock(l.since));
    let d = &s.durability;
    let recovered = |r: mmlog::Recovered| {
        format!("{} lost, went on at {}, {}", units::counted(r.lost, "byte"), r.end, clock(Some(r.at)))
    };
    let fields = [
        ("lock", s.version_1.as_ref().map_or_else(|| of(&s.lock), |_| log_lock(s))),
        ("gate", gate(s)),
        ("maintenance", of(&s.maintenance)),
        ("unfinished", s.unfinished.unwrap_or("nothing").to_owned()),
        ("synced", format!("below {}, {}", d.synced, clock(d.synced_at))),
        ("recovered", d.recovered.map_or_else(|| "never".to_owned(), recovered)),
        ("waiting", waiting(s).to_string()),
    ];
    let mut all: Vec<Sentence> = fields.iter().flat_map(|(name, value)| field(name, value, width)).collect();
    let waits = s.writers.iter().filter_map(|w| Some((w, w.in_flight.as_ref()?)));
    for (writer, flight) in waits.filter(|(_, f)| f.phase == mmlog::Phase::Waiting) {
        let text =
            format!("  {} ({}) waits for {}", writer.pid, writer.command, lasting(flight.for_at_least));
        all.push(sentence(text));
    }
    all.push(Sentence { text: "last operations".to_owned(), style: |styles| styles.label });
    for o in log.operations.iter().rev() {
        let text =
            format!("  {} {:<11} {} by {} ({})", clock(o.since), o.what, o.operation, o.pid, o.command);
        all.push(sentence(text));
    }
    all
}

/// A name and a value on as many lines as it takes.
fn field<'a>(name: &'a str, value: &str, width: usize) -> impl Iterator<Item = Sentence> + use<'a> {
    const NAME: usize = 13;
    let lines = wrapped(&printable(value), width.saturating_sub(NAME), SENTENCE);
    let names = std::iter::once(name).chain(std::iter::repeat(""));
    names.zip(lines).map(|(name, line)| sentence(format!("{name:NAME$}{line}")))
}
